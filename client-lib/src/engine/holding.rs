//! Giving way at the fence while a Commit is refused: what could shut somebody out, or make a verdict
//! or a way back in lose its race, waits a moment. SPEC.md, "Disputes".
//!
//! It only puts off. Nothing here decides what counts, and nothing of it is kept on the disk.

use super::Engine;
use super::saved::Intent;
use crate::time::Now;

/// How long it waits at most: more than a verdict and the way back in take on a slow line, and too
/// little for who spoils and refuses again and again to gain much by it.
pub(super) const HOLD_MS: u64 = 10_000;

impl Engine {
    /// Whether Commits that give way do so now. One wish never waits longer than [`HOLD_MS`] in all,
    /// however often a Commit is refused meanwhile.
    pub(super) fn holds_back(&mut self, now: Now) -> bool {
        let is_refused = self.disputes.is_refused();
        let has_wish = self.saved.intents.iter().any(|one| *one != Intent::Update);
        if !is_refused && !has_wish {
            self.held_since_ms = None;
            return false;
        }
        let since = match self.held_since_ms {
            None if is_refused => *self.held_since_ms.insert(now.steady_ms),
            None => return false,
            Some(since) => since,
        };
        if now.steady_ms < since.saturating_add(HOLD_MS) {
            return is_refused;
        }
        self.disputes.forget_stranded();
        false
    }

    /// When what gives way goes on (steady clock).
    pub(super) fn held_until(&self, now: Now) -> Option<u64> {
        let until = self.held_since_ms?.saturating_add(HOLD_MS);
        Some(until).filter(|at| *at > now.steady_ms)
    }
}
