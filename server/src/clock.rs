//! Time, as something that is handed in: the wall clock for days, the monotonic clock for leases.
//!
//! Nothing else in this crate asks the machine for the time, so that a test can be a year off.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Seconds of a UTC day; leap seconds are the operating system's business.
pub const DAY: Duration = Duration::from_secs(86_400);

/// What time it is.
pub trait Clock: Send + Sync + Debug {
    /// Since 1970-01-01, UTC. May jump either way.
    fn wall(&self) -> Duration;

    /// Since some moment that does not change while the process lives. Never goes back.
    fn monotonic(&self) -> Duration;

    /// Days since 1970-01-01, UTC.
    fn day(&self) -> u32 {
        day_of(self.wall())
    }
}

/// The day that a wall reading falls on.
#[must_use]
pub fn day_of(wall: Duration) -> u32 {
    u32::try_from(wall.as_secs() / DAY.as_secs()).unwrap_or(u32::MAX)
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts the monotonic clock at zero.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one door to the machine's clock"
    )]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one door to the machine's clock"
    )]
    fn wall(&self) -> Duration {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct ManualClock {
    /// Wall, monotonic.
    now: Mutex<(Duration, Duration)>,
}

impl ManualClock {
    /// Noon of the given day; the monotonic clock at zero.
    #[must_use]
    pub fn at_day(day: u32) -> Self {
        Self {
            now: Mutex::new((DAY * day + DAY / 2, Duration::ZERO)),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut (Duration, Duration)) -> T) -> T {
        change(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        self.with(|now| {
            now.0 += by;
            now.1 += by;
        });
    }

    /// Lets time pass on the monotonic clock only.
    pub fn advance_monotonic(&self, by: Duration) {
        self.with(|now| now.1 += by);
    }

    /// Sets the wall clock, as an operator or a broken battery does.
    pub fn set_wall(&self, wall: Duration) {
        self.with(|now| now.0 = wall);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Duration {
        self.with(|now| now.0)
    }

    fn monotonic(&self) -> Duration {
        self.with(|now| now.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::at_day(20_000);
        assert_eq!(clock.day(), 20_000);
        clock.advance(DAY);
        assert_eq!((clock.day(), clock.monotonic()), (20_001, DAY));
        clock.set_wall(DAY * 3);
        clock.advance_monotonic(DAY);
        assert_eq!((clock.day(), clock.monotonic()), (3, DAY * 2));
    }

    #[test]
    fn the_system_clock_is_after_2020_and_its_monotonic_side_never_goes_back() {
        let clock = SystemClock::new();
        assert!(clock.day() > 18_262);
        let before = clock.monotonic();
        assert!(clock.monotonic() >= before);
    }
}
