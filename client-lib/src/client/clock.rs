//! The one clock of this crate.

use core::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::time::Now;

/// Wall time from the system, steady time from tokio (which tests can pause).
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    start: Instant,
    wall: Wall,
}

/// What tells the time of day.
#[derive(Clone)]
pub(crate) struct Wall(pub(crate) Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wall")
    }
}

impl Default for Wall {
    fn default() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the clock that everything else takes"
        )]
        Self(Arc::new(SystemTime::now))
    }
}

impl Clock {
    pub(crate) fn start(wall: Wall) -> Self {
        Self {
            start: Instant::now(),
            wall,
        }
    }

    pub(crate) fn now(&self) -> Now {
        let wall = (self.wall.0)()
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
