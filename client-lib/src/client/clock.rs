//! The one clock of this crate.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::time::Now;

/// Wall time from the system, steady time from tokio (which tests can pause).
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the clock that everything else takes"
        )]
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            steady_ms: u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The instant of a steady deadline.
    pub(crate) fn instant(&self, steady_ms: u64) -> Instant {
        self.start + core::time::Duration::from_millis(steady_ms)
    }
}
