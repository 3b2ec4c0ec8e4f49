//! What lies in a desk's queue and is no ticket is taken out of it by who is on duty, so that one
//! stranger who has the card does not fill the queue for days. SPEC.md, "Ticket".
//!
//! It is claimed and ended, one after the other, as a ticket would be. That nobody clears what they are
//! only too old to read follows from the order in which a desk's keys change: who can claim has the
//! keys of the newest card.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Claim, LeaseCondition};
use sotto_protocol::id::LogId;

use super::beside::{Side, item_of};
use super::{Engine, retry_id};
use crate::error::Result;
use crate::log::{Ask, Denied};
use crate::time::Now;

/// How long one lease is to last; the end follows at once.
const LEASE_MS: u32 = 10_000;

/// What is being taken out of one queue.
#[derive(Debug, Default)]
pub(super) struct Tidying {
    rubbish: Vec<u64>,
}

impl Engine {
    /// What a look at a queue found to be rubbish, not claimed by anybody. Everybody on duty begins at
    /// a place of their own, so that few meet.
    pub(super) fn tidy(&mut self, is_letter: bool, mut rubbish: Vec<u64>, now: Now) {
        if let Some(turn) = self.jitter.next().checked_rem(rubbish.len() as u64) {
            rubbish.rotate_left(usize::try_from(turn).unwrap_or(0));
        }
        self.beside.tidying(is_letter).rubbish = rubbish;
        // A fault here is one of randomness; the next look tries again.
        if self.tidy_next(is_letter, now).is_err() {
            self.beside.tidying(is_letter).rubbish.clear();
        }
    }

    fn queue_of(&self, is_letter: bool) -> Option<LogId> {
        let mut queues = self.queues().into_iter();
        let found = queues.find(|(_, letters)| *letters == is_letter);
        found.map(|(log, _)| log)
    }

    fn tidy_next(&mut self, is_letter: bool, now: Now) -> Result<()> {
        let is_busy = self.beside.asked.values().any(|side| {
            matches!(side, Side::ClaimRubbish(letter, _) | Side::EndRubbish(letter, _) if *letter == is_letter)
        });
        if is_busy || !self.beside.duty.is_on {
            return Ok(());
        }
        let Some(log) = self.queue_of(is_letter) else {
            return Ok(());
        };
        let Some(seq) = self.beside.tidying(is_letter).rubbish.pop() else {
            return Ok(());
        };
        let claim = Claim {
            ms: LEASE_MS,
            day: self.session.today(now),
            log,
            seq,
            retry: retry_id()?,
        };
        self.ask_beside(Ask::Claim(claim), Side::ClaimRubbish(is_letter, seq));
        Ok(())
    }

    pub(super) fn rubbish_claimed(
        &mut self,
        (is_letter, seq): (bool, u64),
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        match result {
            Ok(Answer::Claimed(claimed)) => {
                let Some(log) = self.queue_of(is_letter) else {
                    return Ok(());
                };
                let mut item = item_of(log, Vec::new())?;
                item.lease = Some(LeaseCondition {
                    end: true,
                    seq,
                    lease: claimed.lease,
                });
                let (items, retry, day) = (vec![item], retry_id()?, self.session.today(now));
                let ask = Ask::Append { items, retry, day };
                self.ask_beside(ask, Side::EndRubbish(is_letter, seq));
                Ok(())
            }
            Err(denied) if is_done_by_others(denied) => self.tidy_next(is_letter, now),
            // No right, no room: the next look begins anew.
            _ => {
                self.beside.tidying(is_letter).rubbish.clear();
                Ok(())
            }
        }
    }

    pub(super) fn rubbish_ended(
        &mut self,
        (is_letter, seq): (bool, u64),
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        if result.is_ok() {
            self.beside.duty.view(is_letter).junk.remove(&seq);
        }
        self.tidy_next(is_letter, now)
    }
}

/// Whether somebody else on duty is at this one, or was.
fn is_done_by_others(denied: &Denied) -> bool {
    let code = denied.refusal.code;
    matches!(code, ErrorCode::Claimed | ErrorCode::NoSuchEntry)
}
