//! What the writer and all readers share: the store, the keys, and the state of logs in use.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sotto_protocol::id::{Commitment, LogId, Stamp, Tag};

use super::codec;
use super::fault::Fault;
use super::recent::Recent;
use super::stamp;
use super::state::{LogState, Now, StoredEntry};
use super::watch::Watches;
use super::{LogParts, Retention};
use crate::clock::{Clock, day_of};
use crate::limits::{HEADS_CACHED_MAX, LogLimits, UPKEEP_BYTES_MAX, UPKEEP_ENTRIES_MAX};
use crate::retention::{Keys, KeysError, LogKeys};
use crate::store::{Key, LogName, Range, Record, Store};

/// See the module.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: LogLimits,
    pub(crate) recent: Recent,
    pub(crate) watches: Watches,
    /// States as they are in the store, never ahead of it.
    states: Mutex<HashMap<LogId, Arc<LogState>>>,
    /// Logs whose batch is being written, as they were before it: an engine may show a batch
    /// before it is durable, readers must not.
    unsettled: Mutex<HashMap<LogId, Option<Arc<LogState>>>>,
    tag_key: [u8; 32],
    run: u64,
    start_ms: u64,
    retention: Mutex<Retention>,
    /// The day on which every log was last looked through for what is expired.
    pub(crate) expired_day: AtomicU32,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// One read of a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneRange {
    pub(crate) fenced: bool,
    /// Exclusive.
    pub(crate) after: u64,
    /// Inclusive.
    pub(crate) to: u64,
    pub(crate) records_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) values: bool,
}

impl Shared {
    pub(crate) fn new(parts: LogParts) -> Result<Self, Fault> {
        let mut tag_key = [0; 32];
        getrandom::fill(&mut tag_key).map_err(|_| KeysError::Random)?;
        let run = getrandom::u64().map_err(|_| KeysError::Random)?;
        let start_ms = millis(parts.clock.as_ref());
        Ok(Self {
            store: parts.store,
            keys: parts.keys,
            clock: parts.clock,
            limits: parts.limits,
            recent: Recent::default(),
            watches: Watches::default(),
            states: Mutex::default(),
            unsettled: Mutex::default(),
            tag_key,
            run,
            start_ms,
            retention: Mutex::default(),
            expired_day: AtomicU32::new(0),
        })
    }

    /// This moment.
    pub(crate) fn now(&self) -> Now {
        let wall = self.clock.wall();
        let believed = Duration::from_secs(self.keys.clock_reading().unwrap_or(0));
        Now {
            day: day_of(wall),
            lives_from: day_of(wall.max(believed)),
            wall_s: wall.as_secs(),
            mono_ms: millis(self.clock.as_ref()),
            start_ms: self.start_ms,
            run: self.run,
            random: getrandom::u64().unwrap_or(0),
        }
    }

    /// What the last sweep found.
    pub(crate) fn retention(&self) -> Retention {
        *self
            .retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a sweep found.
    pub(crate) fn set_retention(&self, retention: Retention) {
        *self
            .retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = retention;
    }

    fn states(&self) -> MutexGuard<'_, HashMap<LogId, Arc<LogState>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many states are in memory.
    #[cfg(test)]
    pub(crate) fn states_cached(&self) -> usize {
        self.states().len()
    }

    /// The state of a log as it was last committed; nothing for an unknown log.
    pub(crate) async fn state(
        &self,
        id: &LogId,
    ) -> Result<Option<(Arc<LogState>, Arc<LogKeys>)>, Fault> {
        let Some(log) = self.keys.log(id) else {
            return Ok(None);
        };
        let known = self.states().get(id).cloned();
        if let Some(state) = known {
            return Ok(Some((state, log)));
        }
        let state = self.read_state(id, &log).await?;
        Ok(self.settle(id, state).map(|state| (state, log)))
    }

    fn unsettled(&self) -> MutexGuard<'_, HashMap<LogId, Option<Arc<LogState>>>> {
        self.unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch over these logs is about to be written.
    pub(crate) fn unsettle(&self, logs: impl Iterator<Item = (LogId, Option<Arc<LogState>>)>) {
        self.unsettled().extend(logs);
    }

    /// The batch is durable, or failed.
    pub(crate) fn settled(&self) {
        self.unsettled().clear();
    }

    /// What readers may see of a state that was just read from the store.
    pub(crate) fn settle(&self, id: &LogId, read: Option<LogState>) -> Option<Arc<LogState>> {
        // Whether the read saw the batch or not: as long as it is being written, the state before
        // it counts; afterwards it is durable.
        let before = self.unsettled().get(id).cloned();
        match before {
            Some(before) => before,
            None => read.map(|state| self.publish(id, state)),
        }
    }

    /// The state of a log as it is in the store.
    pub(crate) async fn read_state(
        &self,
        id: &LogId,
        log: &LogKeys,
    ) -> Result<Option<LogState>, Fault> {
        let keys = state_keys(log.name).to_vec();
        let mut values = self.store.get(keys).await?.into_iter();
        let (head, grants) = (values.next().flatten(), values.next().flatten());
        let Some(head) = head else {
            return Ok(None);
        };
        codec::open_state(&self.keys, log, id, &head, grants.as_deref()).map(Some)
    }

    /// Lets everybody see a state that is in the store, unless a later one is already seen.
    pub(crate) fn publish(&self, id: &LogId, state: LogState) -> Arc<LogState> {
        let state = Arc::new(state);
        let mut states = self.states();
        if let Some(known) = states.get(id)
            && known.revision > state.revision
        {
            return Arc::clone(known);
        }
        if states.len() >= HEADS_CACHED_MAX && !states.contains_key(id) {
            let mut left = HEADS_CACHED_MAX / 8;
            states.retain(|_, _| {
                left = left.saturating_sub(1);
                left == 0
            });
        }
        states.insert(*id, Arc::clone(&state));
        state
    }

    /// Forgets a state, so that it is read again.
    pub(crate) fn unpublish(&self, id: &LogId) {
        self.states().remove(id);
        self.recent.forget(id);
    }

    /// Records of one lane, in order.
    pub(crate) async fn lane(
        &self,
        name: LogName,
        range: LaneRange,
    ) -> Result<Vec<(Key, Bytes)>, Fault> {
        let record = |seq| {
            if range.fenced {
                Record::Fenced(seq)
            } else {
                Record::Ordinary(seq)
            }
        };
        if range.after >= range.to {
            return Ok(Vec::new());
        }
        Ok(self
            .store
            .range(Range {
                from: Key::new(name, record(range.after + 1)),
                to: Key::new(name, record(range.to)),
                records_max: range.records_max,
                bytes_max: range.bytes_max,
                values: range.values,
            })
            .await?)
    }

    /// Records of a log from one on, or after the key where the last step ended; nothing when all
    /// were given.
    pub(crate) async fn records(
        &self,
        name: LogName,
        from: Record,
        after: Option<Key>,
        to: Record,
    ) -> Result<Vec<(Key, Bytes)>, Fault> {
        let range = Range {
            from: after.unwrap_or_else(|| Key::new(name, from)),
            to: Key::new(name, to),
            records_max: UPKEEP_ENTRIES_MAX + 1,
            bytes_max: UPKEEP_BYTES_MAX,
            values: true,
        };
        let mut found = self.store.range(range).await?;
        found.retain(|(key, _)| Some(*key) != after);
        Ok(found)
    }

    /// One entry, wherever it lies; nothing if it is trimmed or gone.
    pub(crate) async fn entry(
        &self,
        log: &LogKeys,
        floor: u64,
        seq: u64,
    ) -> Result<Option<StoredEntry<'static>>, Fault> {
        let keys = entry_keys(log.name, seq);
        let values = self.store.get(keys.clone()).await?;
        for (key, value) in keys.iter().zip(values) {
            if let Some(value) = value
                && seq > floor
            {
                return codec::open_entry(&self.keys, log, key, &value).map(Some);
            }
        }
        Ok(None)
    }

    /// What [`Self::entry`] costs, where there is no log to look into.
    pub(crate) async fn no_entry(&self, seq: u64) -> Result<(), Fault> {
        self.store.get(entry_keys(NOBODY, seq)).await?;
        Ok(())
    }

    /// What [`Self::state`] costs for a state that is not in memory, if it is or if there is none.
    pub(crate) async fn no_state(&self, id: &LogId) -> Result<(), Fault> {
        let is_read = self.keys.log(id).is_some() && !self.states().contains_key(id);
        if !is_read {
            self.store.get(state_keys(NOBODY).to_vec()).await?;
        }
        Ok(())
    }

    /// The tag of a log, for this run.
    pub(crate) fn tag(&self, log: &LogId) -> Tag {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.tag_key).expect("any length");
        mac.update(log.as_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        Tag::new(bytes.first_chunk().copied().unwrap_or_default())
    }

    /// See [`Logs::confirms_stamp`](super::Logs::confirms_stamp).
    pub(crate) fn confirms_stamp(
        &self,
        log: &LogId,
        seq: u64,
        day: u32,
        commitment: &Commitment,
        given: &Stamp,
    ) -> bool {
        let period = stamp::period_of(given);
        self.keys.known_stamp(period).is_some_and(|key| {
            let made = stamp::stamp(period, &key, log, seq, day, commitment);
            stamp::equal(&made, given)
        })
    }
}

/// Stands for the name of a log that does not exist, so that the store is asked all the same.
pub(crate) const NOBODY: LogName = LogName([0; 16]);

/// Where an entry may lie.
fn entry_keys(name: LogName, seq: u64) -> Vec<Key> {
    [Record::Ordinary(seq), Record::Fenced(seq)]
        .map(|record| Key::new(name, record))
        .to_vec()
}

/// The keys of the records that make a state.
pub(crate) const fn state_keys(name: LogName) -> [Key; 2] {
    [Key::new(name, Record::Head), Key::new(name, Record::Grants)]
}

fn millis(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX)
}
