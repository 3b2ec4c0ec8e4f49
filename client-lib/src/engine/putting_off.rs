//! What the relay did not do for us, for a reason that passes or that somebody must see to: it is
//! asked again, ever more seldom, over lines that come and go. SPEC.md says of each what it is for.

use std::collections::BTreeMap;

use sotto_protocol::error_code::ErrorCode;

use super::office::DeskLog;
use super::{Engine, Event, Undone};
use crate::error::ErrorKind;
use crate::jitter::Jitter;
use crate::time::Now;

/// The first wait: a quota that is counted by the minute has room again.
const FIRST_MS: u64 = 60_000;
/// The longest one: whoever runs the relay may have made room, and nobody shall have to say so here.
const LAST_MS: u64 = 60 * 60_000;

/// What the relay is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    Door,
    Inbox,
    /// A ticket of somebody else's, to answer it.
    Claim,
    /// Of a desk: a log, who may do what in it, and the card.
    Log(DeskLog),
    Grants(DeskLog),
    Card,
}

/// How often something was not done, and when it is asked for again (steady clock).
#[derive(Clone, Copy, Debug, Default)]
struct Wait {
    times: u32,
    until_ms: u64,
}

/// What is put off.
#[derive(Debug, Default)]
pub(super) struct PutOff(BTreeMap<Need, Wait>);

impl PutOff {
    /// How often that makes.
    fn again(&mut self, need: Need, jitter: &mut Jitter, now: Now) -> u32 {
        let wait = self.0.entry(need).or_default();
        let ms = FIRST_MS.saturating_mul(1 << wait.times.min(16));
        let ms = jitter.spread(ms.min(LAST_MS));
        wait.times = wait.times.saturating_add(1);
        wait.until_ms = now.steady_ms.saturating_add(ms);
        wait.times
    }

    pub(super) fn is_due(&self, need: Need, now: Now) -> bool {
        self.0
            .get(&need)
            .is_none_or(|wait| wait.until_ms <= now.steady_ms)
    }

    /// Whether it had been put off.
    pub(super) fn done(&mut self, need: Need) -> bool {
        self.0.remove(&need).is_some()
    }

    /// When the next one is due.
    pub(super) fn next(&self, now: Now) -> Option<u64> {
        let times = self.0.values().map(|wait| wait.until_ms);
        times.filter(|at| *at > now.steady_ms).min()
    }
}

impl Engine {
    /// The relay refused it for another reason than that it is done or changed; told once until it is
    /// done.
    pub(super) fn put_off(&mut self, need: Need, code: ErrorCode, now: Now) {
        if self.beside.put_off.again(need, &mut self.jitter, now) > 1 {
            return;
        }
        let what = match need {
            Need::Door => Undone::Door,
            Need::Inbox => Undone::Inbox,
            Need::Claim => Undone::Claim,
            Need::Log(_) | Need::Grants(_) | Need::Card => Undone::Desk,
        };
        let why = match code {
            ErrorCode::QuotaExceeded | ErrorCode::Busy | ErrorCode::StoreFull => ErrorKind::Busy,
            _ => ErrorKind::Refused,
        };
        self.tell(Event::PutOff { what, why });
    }

    /// What is there is not what we thought: a new connection tells. A relay that always says so is
    /// not asked at full speed.
    pub(super) fn look_anew(&mut self, need: Need, now: Now) {
        self.beside.put_off.again(need, &mut self.jitter, now);
        self.out.hang_up = true;
    }
}
