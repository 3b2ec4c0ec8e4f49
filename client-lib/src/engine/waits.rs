//! How long somebody who asks will wait: at the office, which learns from the team how long others did
//! and tells on the card what a range is made of; and at who waits, who makes one of it (and reads the
//! card for it in `rereading`). SPEC.md, "Waits".

use serde::{Deserialize, Serialize};

use super::{Engine, Place, saved};
use crate::content::Taken;
use crate::desk::{DeskPace, PastClaim, WaitRange};
use crate::error::Result;
use crate::time::Now;

/// Claims that the office remembers: as many as a range is made of.
pub(super) const CLAIMS_KEPT_MAX: usize = 200;
/// How often the card tells the pace anew while people are answered: so that somebody who comes in a
/// rush hears of it, and a card costs the relay one append.
const TELL_EVERY_MS: u64 = 2 * 60_000;
/// How often while nobody is: waits grow longer then, and readers believe a pace for ten minutes.
const TELL_AGAIN_MS: u64 = 5 * 60_000;
/// A note that is older than this was made while the office was away, and counts for its own minute.
const LATE_MINUTES: u64 = 2;

/// What the office remembers of tickets that were answered: when, after how long, and behind how many.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Past {
    claims: Vec<KeptClaim>,
    /// When the card was last given a pace (steady clock).
    #[serde(skip)]
    told_ms: Option<u64>,
    /// Somebody was answered since.
    #[serde(skip)]
    is_news: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct KeptClaim {
    seq: u64,
    at_ms: u64,
    waited_ms: u64,
    ahead: u32,
}

impl Past {
    /// Takes a claim in; the last one of a ticket counts.
    fn take_in(&mut self, claim: KeptClaim) {
        self.claims.retain(|one| one.seq != claim.seq);
        self.claims.push(claim);
        let surplus = self.claims.len().saturating_sub(CLAIMS_KEPT_MAX);
        self.claims.drain(..surplus);
        self.is_news = true;
    }

    #[cfg(test)]
    pub(super) fn seqs(&self) -> Vec<u64> {
        self.claims.iter().map(|claim| claim.seq).collect()
    }

    fn pace(&self, now_ms: u64) -> Option<DeskPace> {
        let claims = self.claims.iter().map(|claim| PastClaim {
            at_ms: claim.at_ms,
            waited_ms: claim.waited_ms,
            ahead: claim.ahead,
        });
        let claims: Vec<_> = claims.collect();
        DeskPace::of(&claims, None, now_ms)
    }

    /// When the card is to tell anew (steady clock).
    fn due_ms(&self) -> u64 {
        let every = if self.is_news {
            TELL_EVERY_MS
        } else {
            TELL_AGAIN_MS
        };
        self.told_ms
            .map_or(0, |told_ms| told_ms.saturating_add(every))
    }
}

impl Engine {
    /// A member of the team is about to answer a ticket.
    pub(super) fn taken_said(&mut self, taken: Taken, minute: u64, now: Now) -> Result<()> {
        self.ticket_is_theirs(&taken);
        if !taken.letter {
            self.is_said(&[taken.seq]);
        }
        let wait = taken.wait.filter(|_| !taken.letter);
        let (Some(wait), true) = (wait, self.beside.office.is_some()) else {
            return Ok(());
        };
        let is_late = minute.saturating_add(LATE_MINUTES) < now.wall_ms / 60_000;
        let at_ms = if is_late {
            minute.saturating_mul(60_000)
        } else {
            now.wall_ms
        };
        self.beside.past.take_in(KeptClaim {
            seq: taken.seq,
            at_ms,
            waited_ms: u64::from(wait.seconds) * 1_000,
            ahead: wait.ahead,
        });
        let past = self.beside.past.clone();
        self.keep_beside(saved::PAST, &past)
    }

    /// Puts the pace on the card, at the office.
    pub(super) fn tell_pace(&mut self, now: Now) -> Result<()> {
        let past = &mut self.beside.past;
        let Some(office) = &mut self.beside.office else {
            return Ok(());
        };
        // One that waits to be told goes first.
        if office.card_due || past.due_ms() > now.steady_ms {
            return Ok(());
        }
        let pace = past.pace(now.wall_ms);
        let pace = pace.filter(|_| office.plan.hours.is_open(now.wall_ms));
        (past.told_ms, past.is_news) = (Some(now.steady_ms), false);
        if pace.is_none() && office.pace.is_none() {
            return Ok(());
        }
        office.pace = pace;
        office.number += 1;
        office.card_due = true;
        self.keep_office()
    }

    pub(super) fn wake_pace(&self, now: Now) -> Option<u64> {
        let office = self.beside.office.as_ref()?;
        let past = &self.beside.past;
        let may_change = office.pace.is_some() || past.is_news;
        let due_ms = past.due_ms();
        (may_change && due_ms > now.steady_ms).then_some(due_ms)
    }

    /// How long one waits from now on at this place; nothing where nobody can honestly say, or somebody
    /// is about to answer.
    pub(super) fn wait_range(&self, place: &Place, now: Now) -> Option<WaitRange> {
        let pace = self.asking()?.pace.filter(|_| !place.is_taken)?;
        pace.range(place.ahead, now.wall_ms)
    }
}
