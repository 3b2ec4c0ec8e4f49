//! Time as an input: nothing in this crate but the clock of `transport/` reads one.

use core::time::Duration;

/// Milliseconds of a day.
pub(crate) const DAY_MS: u64 = 86_400_000;

/// One moment, on two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds since 1970-01-01, UTC, as this device believes. It may jump; days come from it.
    pub wall_ms: u64,
    /// Milliseconds since some moment that stays the same while the process runs. It never goes
    /// back; deadlines and waits come from it.
    pub steady_ms: u64,
}

impl Now {
    /// Both clocks at the same number: what a simulator uses.
    #[must_use]
    pub const fn at(ms: u64) -> Self {
        Self {
            wall_ms: ms,
            steady_ms: ms,
        }
    }

    /// Days since 1970-01-01, UTC.
    #[must_use]
    pub fn day(self) -> u32 {
        u32::try_from(self.wall_ms / DAY_MS).unwrap_or(u32::MAX)
    }

    /// The same moment, later.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self {
            wall_ms: self.wall_ms.saturating_add(ms),
            steady_ms: self.steady_ms.saturating_add(ms),
        }
    }

    /// How long until `deadline_ms` of the steady clock; nothing once it is past.
    #[must_use]
    pub const fn until(self, deadline_ms: u64) -> Duration {
        Duration::from_millis(deadline_ms.saturating_sub(self.steady_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(Now::at(86_399_999).day(), 0);
        assert_eq!(Now::at(86_400_000).day(), 1);
        assert_eq!(Now::at(u64::MAX).day(), u32::MAX);
    }
}
