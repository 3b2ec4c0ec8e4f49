//! How long to wait before the next attempt to connect.

use core::time::Duration;

use crate::jitter::Jitter;

/// The first wait at most; a relay that just restarted is back by then.
const FIRST_MS: u64 = 250;
/// The longest wait of its own accord; a person who unlocks the phone does not wait longer.
const LAST_MS: u64 = 30_000;
/// The longest wait that a relay may ask for.
const HINT_MAX_MS: u64 = 300_000;
/// How long a connection must have held for the next failure to count as the first: a relay that
/// accepts and hangs up at once is not asked ever again at full speed, and one that was killed and
/// started again is found at once.
const HELD: Duration = Duration::from_millis(500);

/// Doubles with each failure, spread over its whole length so that a restart is no stampede.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    jitter: Jitter,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self::with(Jitter::random())
    }

    const fn with(jitter: Jitter) -> Self {
        Self {
            failures: 0,
            jitter,
        }
    }

    /// A connection ended that had held for so long.
    pub(crate) fn held(&mut self, span: Duration) {
        if span >= HELD {
            self.failures = 0;
        }
    }

    /// The next wait, on top of what the relay asked for when it stopped.
    pub(crate) fn next(&mut self, hint_ms: Option<u32>) -> Duration {
        let longest = FIRST_MS
            .saturating_mul(1 << self.failures.min(16))
            .min(LAST_MS);
        self.failures = self.failures.saturating_add(1);
        let own = self.jitter.up_to(longest).max(1);
        let asked = hint_ms.map_or(0, u64::from).min(HINT_MAX_MS);
        Duration::from_millis(asked.saturating_add(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_at_their_longest() {
        let mut longest = [0; 12];
        for seed in 0..200 {
            let mut backoff = Backoff::with(Jitter::seeded(seed));
            for at in &mut longest {
                let wait = u64::try_from(backoff.next(None).as_millis()).unwrap();
                assert!(wait >= 1);
                *at = wait.max(*at);
            }
        }
        for (number, wait) in longest.into_iter().enumerate() {
            let most = (FIRST_MS << number).min(LAST_MS);
            assert!(wait <= most && wait > most / 2, "{number}: {wait}");
        }
    }

    #[test]
    fn only_a_connection_that_held_makes_waits_short_again() {
        let longest = |held: Duration| {
            let waits = (0..100).map(|seed| {
                let mut backoff = Backoff::with(Jitter::seeded(seed));
                for _ in 0..10 {
                    backoff.next(None);
                    backoff.held(held);
                }
                backoff.next(None)
            });
            waits.max().unwrap()
        };
        assert!(longest(HELD / 2) > Duration::from_millis(LAST_MS / 2));
        assert!(longest(HELD) <= Duration::from_millis(FIRST_MS));
    }

    #[test]
    fn a_relay_may_ask_for_minutes_but_not_for_ever() {
        let mut backoff = Backoff::with(Jitter::seeded(1));
        assert!(backoff.next(Some(5_000)) > Duration::from_secs(5));
        let most = Duration::from_millis(HINT_MAX_MS + LAST_MS);
        assert!(backoff.next(Some(u32::MAX)) <= most);
    }
}
