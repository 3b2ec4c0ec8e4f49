//! Who waits for a log to change. Holds nothing for a log that nobody watches.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sotto_protocol::id::LogId;
use tokio::sync::watch;

type Map = HashMap<LogId, watch::Sender<()>>;

/// All watches.
#[derive(Clone, Default)]
pub(crate) struct Watches {
    map: Arc<Mutex<Map>>,
}

impl Watches {
    fn map(&self) -> MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to watch a log, whether or not it exists.
    pub(crate) fn watch(&self, log: &LogId) -> LogWatch {
        let receiver = self
            .map()
            .entry(*log)
            .or_insert_with(|| watch::Sender::new(()))
            .subscribe();
        LogWatch {
            log: *log,
            receiver,
            watches: self.clone(),
        }
    }

    /// Wakes everybody who watches the log.
    pub(crate) fn wake(&self, log: &LogId) {
        if let Some(sender) = self.map().get(log) {
            sender.send_replace(());
        }
    }

    /// Whether anybody does.
    pub(crate) fn is_watched(&self, log: &LogId) -> bool {
        self.map().contains_key(log)
    }

    /// How many logs are watched.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.map().len()
    }
}

/// Tells when a log has changed: new entries, other grants, entries removed, or deleted.
///
/// A change after [`Logs::watch`](super::Logs::watch) is never missed: read first, then wait.
pub struct LogWatch {
    log: LogId,
    receiver: watch::Receiver<()>,
    watches: Watches,
}

impl LogWatch {
    /// Waits until the log has changed since the watch began or this was last called.
    ///
    /// # Cancel safety
    /// A change that was not yet reported is reported by the next call.
    pub async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The sender lives in the map as long as this watch does.
            std::future::pending::<()>().await;
        }
    }
}

impl fmt::Debug for LogWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogWatch(…)")
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        let mut map = self.watches.map();
        if map
            .get(&self.log)
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            map.remove(&self.log);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_kept_for_a_log_that_nobody_watches() {
        let watches = Watches::default();
        let log = LogId::new([1; 32]);
        let mut one = watches.watch(&log);
        let other = watches.watch(&log);
        assert_eq!(watches.count(), 1);
        drop(other);
        assert!(watches.is_watched(&log));
        watches.wake(&log);
        one.changed().await;
        drop(one);
        assert_eq!(watches.count(), 0);
    }
}
