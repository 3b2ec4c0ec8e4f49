//! Time as one conversation keeps it, on a device whose clock may be wrong and may jump.
//!
//! What this device forgets, gives back or renews by itself goes by a clock that neither the device's
//! wall clock nor the relay's date can push far ahead alone: it runs with the steady clock; up to a
//! day more is believed to the wall clock (a device that slept), and what that claims beyond only as
//! far as the relay's date went on as well. SPEC.md, "Upkeep".

use serde::{Deserialize, Serialize};

use super::{Engine, Event};
use crate::error::Result;
use crate::time::{DAY_MS, Now};

/// Kept with the conversation.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pace {
    /// The conversation's time; begins as the wall clock's.
    ours_ms: u64,
    /// The wall clock when it was last looked at.
    wall_ms: u64,
    /// What the wall clock claimed beyond what was believed.
    claimed_ms: u64,
    /// The relay's date when it last greeted, and our time then; 0 before.
    relay_day: u32,
    greeted_ms: u64,
}

impl Pace {
    /// The wall clock when it was last looked at.
    pub(super) const fn wall_ms(&self) -> u64 {
        self.wall_ms
    }

    /// Looks at the clocks, `steady_ms` after the last look; 0 where another process did that.
    fn look(&mut self, now: Now, steady_ms: u64) {
        if self.ours_ms == 0 {
            self.ours_ms = now.wall_ms;
            self.wall_ms = now.wall_ms;
        }
        let passed = now.wall_ms.saturating_sub(self.wall_ms);
        let is_plausible = passed <= steady_ms.saturating_add(DAY_MS);
        let believed = if is_plausible {
            passed.max(steady_ms)
        } else {
            steady_ms
        };
        self.wall_ms = now.wall_ms;
        self.ours_ms = self.ours_ms.saturating_add(believed);
        let claimed = self.claimed_ms.saturating_add(passed);
        self.claimed_ms = claimed.saturating_sub(believed);
    }

    /// The relay said which day it is.
    fn greeted(&mut self, day: u32) {
        let days = day.saturating_sub(self.relay_day);
        let passed = self.ours_ms.saturating_sub(self.greeted_ms);
        let more = (u64::from(days) * DAY_MS).saturating_sub(passed);
        if self.relay_day != 0 {
            self.ours_ms = self.ours_ms.saturating_add(more.min(self.claimed_ms));
        }
        self.claimed_ms = 0;
        self.relay_day = day;
        self.greeted_ms = self.ours_ms;
    }
}

impl Engine {
    /// The moment by the conversation's own time.
    pub(super) fn paced(&mut self, now: Now) -> Now {
        let steady_ms = self
            .looked_ms
            .map_or(0, |at| now.steady_ms.saturating_sub(at));
        self.looked_ms = Some(now.steady_ms);
        self.saved.pace.look(now, steady_ms);
        Now {
            wall_ms: self.saved.pace.ours_ms,
            ..now
        }
    }

    /// The device's wall clock, in minutes: what a message says of when it was written.
    pub(super) const fn wall_minute(&self) -> u64 {
        self.saved.pace.wall_ms / 60_000
    }

    /// The moment at which something is wanted, with what the wall clock claims: whoever opens the app
    /// after a month and writes at once does not write a month ago.
    pub(super) const fn wanted_at(&self, now: Now) -> u64 {
        now.wall_ms.saturating_add(self.saved.pace.claimed_ms)
    }

    /// The relay greeted: its date is known.
    pub(super) fn date_told(&mut self, now: Now) -> Result<()> {
        let day = self.session.today(now);
        self.saved.pace.greeted(day);
        self.saved.day_floor = self.session.day_floor();
        let days = i64::from(day) - i64::from(self.wall_day());
        let days = if days.abs() > 1 { days } else { 0 };
        if days != self.clock_off {
            self.clock_off = days;
            self.tell(Event::ClockOff { days });
        }
        // What the wall clock claimed and the relay did not is no reason to keep anything for longer.
        let ours_ms = self.saved.pace.ours_ms;
        self.wait_from(ours_ms)?;
        self.uploads_wait_from(ours_ms)
    }

    /// The day by the conversation's own time.
    pub(super) fn our_day(&self) -> u32 {
        Now::at(self.saved.pace.ours_ms).day()
    }

    fn wall_day(&self) -> u32 {
        Now::at(self.saved.pace.wall_ms).day()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_700_000_000_000;
    const YEAR: u64 = 365 * DAY_MS;

    fn at(wall_ms: u64) -> Now {
        Now {
            wall_ms,
            steady_ms: 0,
        }
    }

    fn begun() -> Pace {
        let mut pace = Pace::default();
        pace.look(at(NOON), 0);
        pace.greeted(at(NOON).day());
        assert_eq!(pace.ours_ms, NOON);
        pace
    }

    #[test]
    fn it_goes_with_the_steady_clock_whatever_the_wall_clock_does() {
        let mut pace = begun();
        for (count, wall) in [(1, NOON + YEAR), (2, NOON - YEAR), (3, NOON)] {
            pace.look(at(wall), 1_000);
            assert_eq!(pace.ours_ms, NOON + count * 1_000);
        }
        pace.look(at(NOON + 3_600_000), 2_000);
        assert_eq!(pace.ours_ms, NOON + 3_603_000, "it slept for an hour");
    }

    #[test]
    fn a_month_without_the_app_passes_once_the_relays_date_says_so_too() {
        let mut pace = begun();
        let later = NOON + 30 * DAY_MS;
        pace.look(at(later), 0);
        assert_eq!(pace.ours_ms, NOON, "so far only the device says so");
        pace.greeted(at(later).day());
        assert_eq!(pace.ours_ms, later);
    }

    #[test]
    fn neither_clock_alone_goes_far() {
        let mut pace = begun();
        pace.look(at(NOON + YEAR), 0);
        pace.greeted(at(NOON).day());
        assert_eq!(pace.ours_ms, NOON);
        let mut pace = begun();
        pace.look(at(NOON), 0);
        pace.greeted(at(NOON + YEAR).day());
        assert_eq!(pace.ours_ms, NOON);
    }
}
