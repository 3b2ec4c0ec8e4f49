//! How long to wait before the next attempt to connect.

use core::time::Duration;

use crate::jitter::Jitter;

/// The first wait at most; a relay that just restarted is back by then.
const FIRST_MS: u64 = 250;
/// The longest wait; a person who unlocks the phone does not wait longer.
const LAST_MS: u64 = 30_000;

/// Doubles with each failure, spread over its whole length so that a restart is no stampede.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    jitter: Jitter,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self {
            failures: 0,
            jitter: Jitter::random(),
        }
    }

    pub(crate) const fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn next(&mut self) -> Duration {
        let longest = FIRST_MS
            .saturating_mul(1 << self.failures.min(16))
            .min(LAST_MS);
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(self.jitter.up_to(longest).max(1))
    }
}
