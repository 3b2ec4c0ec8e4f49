//! Those who asked and went before somebody answered. A device on duty sees it by what the queue lacks,
//! and the office may be asleep: so it is said in the team's room, by one of those who saw it. SPEC.md,
//! "Numbers".

use std::collections::BTreeSet;

use super::Engine;
use crate::content::{ContentBody, GONE_MAX};
use crate::error::Result;
use crate::time::Now;

/// How long a device waits at least whether somebody else says it.
pub(super) const SAY_AFTER_MS: u64 = 60_000;
/// What is added to it by chance, so that one is first.
pub(super) const SAY_JITTER_MS: u64 = 5 * 60_000;

/// Places of the queue that are empty, and nobody said so yet.
#[derive(Debug, Default)]
pub(super) struct Gone {
    seqs: BTreeSet<u64>,
    /// When to say it (steady clock).
    say_at_ms: u64,
}

impl Engine {
    /// A look at the queue found these gone that nobody had claimed.
    pub(super) fn went(&mut self, seqs: &[u64], now: Now) {
        let gone = &mut self.beside.gone;
        if seqs.is_empty() {
            return;
        }
        if gone.seqs.is_empty() {
            let wait = SAY_AFTER_MS + self.jitter.next() % SAY_JITTER_MS;
            gone.say_at_ms = now.steady_ms.saturating_add(wait);
        }
        gone.seqs.extend(seqs);
        while gone.seqs.len() > GONE_MAX {
            gone.seqs.pop_last();
        }
    }

    /// Somebody else said it, or that they answered after all.
    pub(super) fn is_said(&mut self, seqs: &[u64]) {
        for seq in seqs {
            self.beside.gone.seqs.remove(seq);
        }
    }

    /// Says it once it is due.
    pub(super) fn say_gone(&mut self, now: Now) -> Result<()> {
        let gone = &mut self.beside.gone;
        if gone.seqs.is_empty() || gone.say_at_ms > now.steady_ms || !self.is_online {
            return Ok(());
        }
        let seqs = core::mem::take(&mut gone.seqs).into_iter().collect();
        self.queue(ContentBody::Gone(seqs), now).map(drop)
    }

    pub(super) fn wake_gone(&self, now: Now) -> Option<u64> {
        let gone = &self.beside.gone;
        let waits = !gone.seqs.is_empty() && gone.say_at_ms > now.steady_ms;
        waits.then_some(gone.say_at_ms)
    }
}
