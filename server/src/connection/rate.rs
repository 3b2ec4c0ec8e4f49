//! How fast one connection may go: a token bucket that lets its owner wait, never drop.

use std::time::Duration;

/// Tokens that come back with time. A taker may go into debt once and then waits it out, so that a
/// request larger than what is left is late, not refused.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(per_second: u32, burst: u32, now: Duration) -> Self {
        Self {
            per_second: f64::from(per_second),
            burst: f64::from(burst),
            tokens: f64::from(burst),
            at: now,
        }
    }

    /// Takes `count` tokens; says how long to wait before going on.
    pub(super) fn take(&mut self, count: u32, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst) - f64::from(count);
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / self.per_second)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_free_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(10, 5, Duration::ZERO);
        for _ in 0..5 {
            assert_eq!(bucket.take(1, Duration::ZERO), Duration::ZERO);
        }
        assert_eq!(bucket.take(1, Duration::ZERO), SECOND / 10);
        assert_eq!(bucket.take(1, Duration::ZERO), SECOND / 5);
        assert_eq!(bucket.take(0, SECOND), Duration::ZERO);
    }

    #[test]
    fn rest_fills_no_more_than_the_burst() {
        let mut bucket = Bucket::new(10, 5, Duration::ZERO);
        assert_eq!(bucket.take(5, SECOND * 1_000), Duration::ZERO);
        assert_eq!(bucket.take(1, SECOND * 1_000), SECOND / 10);
    }
}
