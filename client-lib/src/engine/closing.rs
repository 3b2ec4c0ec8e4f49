//! A desk closes while somebody waits: the bell. SPEC.md, "Asking".
//!
//! Nobody shall wait where nobody comes any more. The card said when the desk closes; at that time the
//! ticket is taken back and the person told, who then may leave a letter. One that a supporter has
//! taken just before is left to them: an answer is on its way.

use super::asking::Asking;
use super::{Engine, Event};
use crate::error::Result;
use crate::time::Now;

impl Engine {
    fn waiting_ticket(&mut self) -> Option<&mut Asking> {
        self.asking_mut().filter(|asking| !asking.is_leaving())
    }

    /// Takes the ticket back if the desk has closed. Called once an input.
    pub(super) fn close_if_due(&mut self, now: Now) -> Result<()> {
        let is_taken = self.place().is_some_and(|place| place.is_taken);
        if is_taken || !self.is_asking() {
            return Ok(());
        }
        let Some(asking) = self.waiting_ticket() else {
            return Ok(());
        };
        if asking.closes_ms.is_none_or(|at| at > now.wall_ms) {
            return Ok(());
        }
        self.tell(Event::DeskClosed);
        self.leave_queue(now)
    }

    /// When to look (steady clock).
    pub(super) fn wake_closing(&self, now: Now) -> Option<u64> {
        let asking = self.asking()?;
        let in_ms = asking.closes_ms?.checked_sub(now.wall_ms)?;
        (in_ms > 0 && !asking.is_leaving()).then(|| now.steady_ms.saturating_add(in_ms))
    }
}
