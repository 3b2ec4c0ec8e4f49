//! A ticket that we claim as a supporter, and the chat that answers it. SPEC.md, "Answering a ticket".
//!
//! The chat is founded here and made at the relay only once we have the lease. What founds it is one
//! append: the Commit that adds the seeker, the Welcome for their inbox and the ticket's end under
//! our lease. So a ticket leaves the queue only for a chat that stands, and whoever lost the lease
//! changes nothing.

use core::fmt;

use serde::{Deserialize, Serialize};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Claim, Claimed, Delete, Item, LeaseCondition, Renew};
use sotto_protocol::id::{LogId, RetryId};
use sotto_protocol::limits::LEASE_MS_MAX;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::begin::{Admission, RoomOptions};
use super::beside::{Side, item_of};
use super::door::KeptKnock;
use super::saved::{self, Intent, Stage};
use super::{Effects, Engine, Event, retry_id};
use crate::content::name_is_fit;
use crate::desk::OpeningKey;
use crate::error::Result;
use crate::link::RelayAddress;
use crate::log::{Ask, Denied};
use crate::mls::{LeafId, Suite};
use crate::seal::letter::{KnockBody, Letters, Purpose, Read};
use crate::time::Now;

/// A lease is renewed so often until the ticket is answered: twice within its time, so that one
/// renewal may be lost.
const RENEW_EVERY_MS: u64 = LEASE_MS_MAX as u64 / 3;
/// No entry of a chat is smaller, nor of what leads to it.
pub(super) const DESK_FLOOR: SizeClass = SizeClass::K4;

/// What it takes to claim one ticket, from [`Engine::ticket_keys`].
#[derive(Clone)]
pub struct TicketKeys {
    pub(crate) relay: RelayAddress,
    pub(crate) queue: LogId,
    /// Secret grant key that reads the queue and claims.
    pub(crate) claim: [u8; 32],
    /// The card's present key and those before it.
    pub(crate) openings: Vec<OpeningKey>,
    /// The ticket's place.
    pub(crate) seq: u64,
    /// Of the chat.
    pub(crate) suite: Suite,
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys(…)")
    }
}

/// A ticket that we are about to answer.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Taking {
    queue: LogId,
    #[serde(with = "serde_bytes")]
    claim: [u8; 32],
    openings: Vec<OpeningKey>,
    seq: u64,
    /// Of the claim: the same again gives the same lease.
    retry: RetryId,
    /// The relay's day when it was first asked for; 0 before.
    day: u32,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    /// No lease yet.
    Claiming,
    /// The lease is ours, and nobody answered yet.
    Held { lease: u64 },
    /// Nobody can answer it: it is taken out of the queue.
    Clearing { lease: u64 },
    /// Somebody else has it, or nobody: what we made for it goes.
    Lost,
}

impl fmt::Debug for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Taking(…)")
    }
}

impl Engine {
    /// Claims a ticket and answers it, or hears that somebody else does ([`Event::NotTaken`]).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a name that cannot be shown.
    pub fn take_ticket(keys: TicketKeys, name: String, now: Now) -> Result<(Self, Effects)> {
        let options = RoomOptions {
            admission: Admission::Chat,
            suite: keys.suite,
            floor: DESK_FLOOR,
            ..RoomOptions::new(keys.relay, name)
        };
        let mut engine = Self::founding(options)?;
        engine.beside.taking = Some(Taking {
            queue: keys.queue,
            claim: keys.claim,
            openings: keys.openings,
            seq: keys.seq,
            retry: retry_id()?,
            day: 0,
            step: Step::Claiming,
        });
        engine.keep_taking()?;
        engine.begin(now)
    }

    fn keep_taking(&mut self) -> Result<()> {
        match self.beside.taking.clone() {
            Some(taking) => self.keep_beside(saved::TAKING, &taking),
            None => Ok(()),
        }
    }

    fn step_to(&mut self, step: Step) -> Result<()> {
        if let Some(taking) = &mut self.beside.taking {
            taking.step = step;
        }
        self.keep_taking()
    }

    /// Whether this is a chat that answers a ticket and does not stand yet.
    pub(super) const fn is_taking(&self) -> bool {
        self.beside.taking.is_some()
    }

    /// Whether the relay is not to hear of the chat (yet): a log that only a lost race asked for
    /// would be left behind.
    pub(super) fn is_unmade(&self) -> bool {
        let unasked = self
            .saved
            .root
            .as_ref()
            .is_some_and(|root| !root.is_asked());
        self.beside.taking.as_ref().is_some_and(|taking| {
            let is_held = matches!(taking.step, Step::Held { .. });
            taking.step == Step::Claiming || (unasked && !is_held)
        })
    }

    /// Whether a chat that was made for a ticket has nobody to come into it.
    pub(super) fn has_lost_ticket(&self) -> bool {
        let taking = self.beside.taking.as_ref();
        taking.is_some_and(|taking| taking.step == Step::Lost)
    }

    pub(super) fn start_taking(&mut self) {
        if let Some(taking) = &self.beside.taking {
            let (queue, claim) = (taking.queue, StaticSecret::from(taking.claim));
            self.session.open(queue, vec![claim]);
        }
    }

    /// What can be done now for the ticket. Called once an input.
    pub(super) fn go_on_taking(&mut self, now: Now) -> Result<()> {
        let today = self.session.today(now);
        let Some(taking) = &mut self.beside.taking else {
            return Ok(());
        };
        let (log, seq, step) = (taking.queue, taking.seq, taking.step);
        if step == Step::Lost {
            return self.take_chat_away(now);
        }
        if !self.is_online || !self.beside.open.contains(&log) {
            return Ok(());
        }
        match step {
            Step::Claiming => {
                if taking.day == 0 {
                    taking.day = today;
                }
                let (day, retry) = (taking.day, taking.retry);
                self.keep_taking()?;
                let claim = Claim {
                    ms: LEASE_MS_MAX,
                    day,
                    log,
                    seq,
                    retry,
                };
                self.ask_beside(Ask::Claim(claim), Side::Claim);
            }
            // Once the answer is on its way, it alone tells whether the lease was ours.
            Step::Held { lease } if self.flight.is_none() => {
                if self.beside.renew_at_ms <= now.steady_ms {
                    self.beside.renew_at_ms = now.steady_ms.saturating_add(RENEW_EVERY_MS);
                    let ms = LEASE_MS_MAX;
                    self.ask_beside(
                        Ask::Renew(Renew {
                            ms,
                            log,
                            seq,
                            lease,
                        }),
                        Side::Renew,
                    );
                }
            }
            Step::Clearing { .. } => {
                let items = self.ticket_end().into_iter().collect();
                let (retry, day) = (retry_id()?, today);
                self.ask_beside(Ask::Append { items, retry, day }, Side::ClearTicket);
            }
            Step::Held { .. } | Step::Lost => {}
        }
        Ok(())
    }

    /// The relay's word on our claim.
    pub(super) fn claimed(
        &mut self,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        let claimed = match result {
            Ok(Answer::Claimed(claimed)) => claimed,
            Err(denied) if denied.refusal.code == ErrorCode::RetryTooOld => {
                if let Some(taking) = &mut self.beside.taking {
                    (taking.retry, taking.day) = (retry_id()?, 0);
                }
                return self.keep_taking();
            }
            _ => return self.ticket_lost(),
        };
        let lease = claimed.lease;
        self.beside.renew_at_ms = now.steady_ms.saturating_add(RENEW_EVERY_MS);
        let Some((leaf, knock)) = self.open_held(claimed) else {
            return self.step_to(Step::Clearing { lease });
        };
        self.keep_beside(&saved::knock_name(&leaf), &knock)?;
        self.beside.knocks.insert(leaf, knock);
        self.want(Intent::Add(leaf));
        self.step_to(Step::Held { lease })?;
        self.open_as_member()?;
        self.create(now)
    }

    /// Who asks, by what came with the lease; nothing if it is not what an honest seeker writes.
    fn open_held(&self, claimed: &Claimed<'_>) -> Option<(LeafId, KeptKnock)> {
        let taking = self.beside.taking.as_ref()?;
        let held = claimed.held.as_ref()?.as_slice();
        let letter = taking.openings.iter().rev().find_map(|opening| {
            match Letters::default().read(&opening.0, Purpose::Held, &taking.queue, held) {
                Read::Whole(letter) => Some(letter),
                Read::Junk | Read::More => None,
            }
        })?;
        let knock: KnockBody<'_> = sotto_protocol::cbor::decode(&letter).ok()?;
        let leaf = self
            .group
            .as_ref()?
            .leaf_of(knock.package.as_slice())
            .ok()?;
        let is_sound = name_is_fit(&knock.name)
            && knock.was.is_none()
            && leaf != self.key.id()
            && knock.inbox != self.saved.log
            && knock.inbox != taking.queue;
        is_sound.then(|| (leaf, KeptKnock::of(&knock, taking.seq)))
    }

    pub(super) fn renewed(
        &mut self,
        result: &core::result::Result<Answer<'static>, Denied>,
    ) -> Result<()> {
        let is_lost = |denied: &Denied| denied.refusal.code == ErrorCode::LeaseLost;
        if self.flight.is_none() && result.as_ref().is_err_and(is_lost) {
            return self.ticket_lost();
        }
        Ok(())
    }

    /// The ticket's end, which is part of the append that answers it.
    pub(super) fn ticket_end(&self) -> Option<Item<'static>> {
        let taking = self.beside.taking.as_ref()?;
        let (Step::Held { lease } | Step::Clearing { lease }) = taking.step else {
            return None;
        };
        let mut item = item_of(taking.queue, Vec::new()).ok()?;
        item.lease = Some(LeaseCondition {
            end: true,
            seq: taking.seq,
            lease,
        });
        Some(item)
    }

    /// Whether the append that answers was refused for good on the ticket's account: the whole of it
    /// changed nothing.
    pub(super) fn ticket_denied(&mut self, denied: &Denied) -> Result<bool> {
        let refusal = &denied.refusal;
        let is_certain = !(denied.perhaps_applied || self.is_repeat);
        let of_queue = refusal.item == Some(2);
        match refusal.code {
            _ if !self.is_taking() => return Ok(false),
            ErrorCode::LeaseLost => {}
            ErrorCode::Refused if of_queue && is_certain => {}
            _ => return Ok(false),
        }
        self.drop_flight()?;
        self.ticket_lost()?;
        Ok(true)
    }

    /// The queue does not open for us (any more): we are no supporter of this desk.
    pub(super) fn queue_refused(&mut self, log: &LogId) -> Result<bool> {
        let is_it = |taking: &Taking| taking.queue == *log;
        if !self.beside.taking.as_ref().is_some_and(is_it) {
            return Ok(false);
        }
        if self.flight.is_none() {
            self.ticket_lost()?;
        }
        Ok(true)
    }

    /// Somebody else answers, the seeker is gone, or nobody can answer it.
    pub(super) fn ticket_lost(&mut self) -> Result<()> {
        let leaves: Vec<_> = self.beside.knocks.keys().copied().collect();
        for leaf in leaves {
            self.forget_knock(&leaf);
        }
        self.tell(Event::NotTaken);
        self.step_to(Step::Lost)
    }

    /// Who asked cannot be answered, as their inbox takes nothing or their KeyPackage is none. The
    /// ticket would only come back.
    pub(super) fn ticket_is_void(&mut self) -> Result<()> {
        match self.beside.taking.as_ref().map(|taking| taking.step) {
            Some(Step::Held { lease }) => self.step_to(Step::Clearing { lease }),
            _ => Ok(()),
        }
    }

    /// Deletes the chat that nobody will come into.
    fn take_chat_away(&mut self, now: Now) -> Result<()> {
        if self.is_unmade() {
            self.end(Stage::Left);
            return Ok(());
        }
        if !self.is_online || self.head.is_none() {
            return Ok(());
        }
        let (log, day, retry) = (self.saved.log, self.session.today(now), retry_id()?);
        self.ask_beside(Ask::Delete(Delete { day, log, retry }), Side::DeleteLog);
        Ok(())
    }

    /// Our answer stands in the log: the chat begins.
    pub(super) fn ticket_answered(&mut self) {
        if let Some(taking) = self.beside.taking.take() {
            self.session.close(&taking.queue);
            self.beside.open.remove(&taking.queue);
            self.drop_beside(saved::TAKING);
            self.set_stage(Stage::In);
        }
    }

    pub(super) fn wake_taking(&self, now: Now) -> Option<u64> {
        let at = self.beside.renew_at_ms;
        let is_held = |taking: &Taking| matches!(taking.step, Step::Held { .. });
        let waits = self.flight.is_none() && self.beside.taking.as_ref().is_some_and(is_held);
        (waits && at > now.steady_ms).then_some(at)
    }
}
