//! The keys at rest: one a log, one a day, in two small files or in memory only. It must not give
//! out a key whose time is over, and knows nothing of what the keys seal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use sotto_protocol::id::LogId;
use zeroize::Zeroizing;

use super::seal::{self, SealError, Secret};
use super::slots::SlotFile;
use crate::store::LogName;

/// Name of the file with log keys.
const LOGS_FILE: &str = "logs.keys";
/// Name of the file with day keys.
const DAYS_FILE: &str = "days.keys";
/// `1 || generation (4) || name (16) || log id (32) || key (32)`.
const LOG_SLOT_BYTES: usize = 128;
/// `kind || number (4) || key (32)`.
const DAY_SLOT_BYTES: usize = 64;
/// Days and stamp periods that may have a key at once: every expiry day there can be, twice over
/// for a clock that was wrong for a while.
const DAYS_MAX: usize = 2_048;

/// Why the keys are not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A key file is damaged.
    #[error("a key file is damaged")]
    Damaged,
    /// A file could not be read or written.
    #[error("a key file could not be read or written")]
    Io(#[source] io::Error),
    /// The machine gave no randomness.
    #[error("no randomness for a new key")]
    Random,
    /// There are keys for as many days as there may be.
    #[error("too many days have a key")]
    Full,
}

impl From<io::Error> for KeysError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::InvalidData {
            Self::Damaged
        } else {
            Self::Io(error)
        }
    }
}

/// The name and keys of one log: the newest seals, an older one opens until all is sealed again.
#[derive(Clone)]
pub struct LogKeys {
    /// What the store calls the log.
    pub name: LogName,
    /// Generation, key and slot; oldest first, never empty.
    keys: Vec<(u32, Secret, u32)>,
}

impl LogKeys {
    /// The generation that seals.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.keys.last().map_or(0, |key| key.0)
    }

    /// Whether an older key is still kept.
    #[must_use]
    pub fn has_older(&self) -> bool {
        self.keys.len() > 1
    }

    fn key(&self, generation: u32) -> Option<&Secret> {
        self.keys
            .iter()
            .find(|key| key.0 == generation)
            .map(|key| &key.1)
    }
}

impl fmt::Debug for LogKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKeys(…)")
    }
}

/// What a slot of the day file is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// Seals what expires on the day.
    Day,
    /// Stamps entries in the period that begins on the day.
    Stamp,
    /// Not a key: the wall clock when it was last written down, in seconds.
    Clock,
}

impl Use {
    const fn byte(self) -> u8 {
        match self {
            Self::Day => 1,
            Self::Stamp => 2,
            Self::Clock => 3,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Day),
            2 => Some(Self::Stamp),
            3 => Some(Self::Clock),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Inner {
    logs: HashMap<LogId, Arc<LogKeys>>,
    days: BTreeMap<(Use, u32), (Secret, u32)>,
    files: Option<(SlotFile, SlotFile)>,
    /// Slots that were written and are not synced: of logs, of days.
    unsynced: (bool, bool),
}

/// All keys at rest.
#[derive(Default)]
pub struct Keys {
    inner: RwLock<Inner>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, KeysError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut()).map_err(|_| KeysError::Random)?;
    Ok(bytes)
}

impl Keys {
    /// Keys that die with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Whether a folder has key files, as every folder that a relay has used does.
    #[must_use]
    pub fn lie_in(folder: &Path) -> bool {
        folder.join(LOGS_FILE).is_file() && folder.join(DAYS_FILE).is_file()
    }

    /// Opens or makes the two key files of a folder. Blocks.
    ///
    /// # Errors
    /// [`KeysError`]; a single flipped byte is [`KeysError::Damaged`].
    pub fn open(folder: &Path) -> Result<Self, KeysError> {
        let (logs_file, logs) = SlotFile::open(&folder.join(LOGS_FILE), LOG_SLOT_BYTES)?;
        let (days_file, days) = SlotFile::open(&folder.join(DAYS_FILE), DAY_SLOT_BYTES)?;
        let mut inner = Inner::default();
        for (slot, payload) in logs {
            let (id, name, generation, key) = parse_log(&payload).ok_or(KeysError::Damaged)?;
            let keys = inner
                .logs
                .entry(id)
                .or_insert_with(|| Arc::new(LogKeys { name, keys: vec![] }));
            let keys = Arc::make_mut(keys);
            if keys.name != name {
                return Err(KeysError::Damaged);
            }
            keys.keys.push((generation, key, slot));
            keys.keys.sort_by_key(|key| key.0);
        }
        for (slot, payload) in days {
            let (which, number, key) = parse_day(&payload).ok_or(KeysError::Damaged)?;
            if inner.days.insert((which, number), (key, slot)).is_some() {
                return Err(KeysError::Damaged);
            }
        }
        inner.files = Some((logs_file, days_file));
        sync_folder(folder)?;
        Ok(Self {
            inner: RwLock::new(inner),
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys of a log, if there is such a log.
    #[must_use]
    pub fn log(&self, log: &LogId) -> Option<Arc<LogKeys>> {
        self.read().logs.get(log).cloned()
    }

    /// How many logs have a key.
    #[must_use]
    pub fn count(&self) -> usize {
        self.read().logs.len()
    }

    /// What the store calls the logs that have a key.
    #[must_use]
    pub fn names(&self) -> HashSet<LogName> {
        self.read().logs.values().map(|keys| keys.name).collect()
    }

    /// Every log that has a key, in the order of their names in the store.
    #[must_use]
    pub fn logs(&self) -> Vec<LogId> {
        let mut logs: Vec<_> = self
            .read()
            .logs
            .iter()
            .map(|(id, keys)| (keys.name, *id))
            .collect();
        logs.sort_unstable();
        logs.into_iter().map(|(_, id)| id).collect()
    }

    /// Draws a key for a log: its first, or one that takes the place of the current. Not on disk
    /// before [`Self::sync`].
    ///
    /// # Errors
    /// [`KeysError`]; no key was added.
    pub fn add_log_key(&self, log: &LogId) -> Result<Arc<LogKeys>, KeysError> {
        let mut inner = self.write();
        let mut keys = match inner.logs.get(log) {
            Some(keys) => LogKeys::clone(keys),
            None => LogKeys {
                name: LogName(*random::<16>()?),
                keys: vec![],
            },
        };
        let generation = keys.keys.last().map_or(0, |key| key.0 + 1);
        let key = random()?;
        let mut slot = 0;
        if let Some((file, _)) = &mut inner.files {
            slot = file.take_free();
            let mut payload = Zeroizing::new(vec![1]);
            payload.extend_from_slice(&generation.to_be_bytes());
            payload.extend_from_slice(&keys.name.0);
            payload.extend_from_slice(log.as_bytes());
            payload.extend_from_slice(key.as_slice());
            file.write(slot, &payload)?;
        }
        inner.unsynced.0 = true;
        keys.keys.push((generation, key, slot));
        let keys = Arc::new(keys);
        inner.logs.insert(*log, Arc::clone(&keys));
        Ok(keys)
    }

    /// Overwrites all keys of a log but the newest. Gone for good after [`Self::sync`].
    ///
    /// # Errors
    /// [`KeysError`]; the keys may be partly gone.
    pub fn erase_older(&self, log: &LogId) -> Result<(), KeysError> {
        self.erase_some(log, 1)
    }

    /// Overwrites all keys of a log and forgets that it ever was.
    ///
    /// # Errors
    /// [`KeysError`]; the keys may be partly gone.
    pub fn forget(&self, log: &LogId) -> Result<(), KeysError> {
        self.erase_some(log, 0)
    }

    fn erase_some(&self, log: &LogId, keep: usize) -> Result<(), KeysError> {
        let mut inner = self.write();
        let Some(found) = inner.logs.get(log) else {
            return Ok(());
        };
        let mut keys = LogKeys::clone(found);
        let gone = keys.keys.len().saturating_sub(keep);
        for (_, _, slot) in keys.keys.drain(..gone) {
            if let Some((file, _)) = &mut inner.files {
                file.erase(slot)?;
            }
        }
        inner.unsynced.0 = true;
        if keys.keys.is_empty() {
            inner.logs.remove(log);
        } else {
            inner.logs.insert(*log, Arc::new(keys));
        }
        Ok(())
    }

    /// Draws the key of a day unless it has one. Not on disk before [`Self::sync`].
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn need_day(&self, day: u32) -> Result<(), KeysError> {
        self.need(Use::Day, day)
    }

    fn need(&self, which: Use, number: u32) -> Result<(), KeysError> {
        if self.read().days.contains_key(&(which, number)) {
            return Ok(());
        }
        let key = random()?;
        self.put(which, number, key)
    }

    fn put(&self, which: Use, number: u32, key: Secret) -> Result<(), KeysError> {
        let mut inner = self.write();
        if inner.days.len() >= DAYS_MAX {
            return Err(KeysError::Full);
        }
        let known = inner.days.get(&(which, number)).map(|known| known.1);
        let mut slot = known.unwrap_or(0);
        if let Some((_, file)) = &mut inner.files {
            if known.is_none() {
                slot = file.take_free();
            }
            let mut payload = Zeroizing::new(vec![which.byte()]);
            payload.extend_from_slice(&number.to_be_bytes());
            payload.extend_from_slice(key.as_slice());
            file.write(slot, &payload)?;
        }
        inner.unsynced.1 = true;
        inner.days.insert((which, number), (key, slot));
        Ok(())
    }

    /// Overwrites the keys of all days before this one. Gone for good after [`Self::sync`].
    ///
    /// # Errors
    /// [`KeysError`]; some keys may be gone.
    pub fn erase_days_before(&self, day: u32) -> Result<(), KeysError> {
        self.erase_before(Use::Day, day)
    }

    fn erase_before(&self, which: Use, day: u32) -> Result<(), KeysError> {
        let mut inner = self.write();
        let gone: Vec<_> = inner
            .days
            .range((which, 0)..(which, day))
            .map(|(key, value)| (*key, value.1))
            .collect();
        for (key, slot) in gone {
            if let Some((_, file)) = &mut inner.files {
                file.erase(slot)?;
            }
            inner.days.remove(&key);
            inner.unsynced.1 = true;
        }
        Ok(())
    }

    /// The oldest day that has a key.
    #[must_use]
    pub fn first_day(&self) -> Option<u32> {
        let inner = self.read();
        let (key, _) = inner.days.range((Use::Day, 0)..(Use::Stamp, 0)).next()?;
        Some(key.1)
    }

    /// How many days have a key.
    #[must_use]
    pub fn day_count(&self) -> usize {
        let inner = self.read();
        inner.days.range((Use::Day, 0)..(Use::Stamp, 0)).count()
    }

    /// The key that stamps entries of the period, drawn if need be.
    ///
    /// # Errors
    /// [`KeysError`].
    pub(crate) fn stamp(&self, period: u32) -> Result<Secret, KeysError> {
        self.need(Use::Stamp, period)?;
        self.known_stamp(period).ok_or(KeysError::Damaged)
    }

    /// The key that stamped entries of the period, if it is still kept.
    pub(crate) fn known_stamp(&self, period: u32) -> Option<Secret> {
        let inner = self.read();
        inner
            .days
            .get(&(Use::Stamp, period))
            .map(|found| found.0.clone())
    }

    /// Overwrites the stamp keys of periods before this one.
    ///
    /// # Errors
    /// [`KeysError`].
    pub(crate) fn erase_stamps_before(&self, period: u32) -> Result<(), KeysError> {
        self.erase_before(Use::Stamp, period)
    }

    /// The wall clock as last written down, in seconds.
    #[must_use]
    pub fn clock_reading(&self) -> Option<u64> {
        let inner = self.read();
        let (bytes, _) = inner.days.get(&(Use::Clock, 0))?;
        Some(u64::from_be_bytes(*bytes.first_chunk()?))
    }

    /// Writes down the wall clock.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn write_clock(&self, seconds: u64) -> Result<(), KeysError> {
        let mut bytes = Zeroizing::new([0; 32]);
        if let Some(start) = bytes.first_chunk_mut::<8>() {
            *start = seconds.to_be_bytes();
        }
        self.put(Use::Clock, 0, bytes)
    }

    /// Whether something was written that [`Self::sync`] has to make durable.
    #[must_use]
    pub fn is_unsynced(&self) -> bool {
        let unsynced = self.read().unsynced;
        unsynced.0 || unsynced.1
    }

    /// Makes new keys durable and erased ones gone. Blocks.
    ///
    /// # Errors
    /// [`KeysError::Io`].
    pub fn sync(&self) -> Result<(), KeysError> {
        let mut inner = self.write();
        if let Some((logs, days)) = &inner.files {
            if inner.unsynced.0 {
                logs.sync()?;
            }
            if inner.unsynced.1 {
                days.sync()?;
            }
        }
        inner.unsynced = (false, false);
        Ok(())
    }

    /// Seals a value under the log's newest key and, if it has a day, that day's.
    ///
    /// # Errors
    /// [`SealError::Erased`] for a day that has no key.
    pub fn seal(
        &self,
        log: &LogKeys,
        day: Option<u32>,
        associated: &[u8],
        plain: &[u8],
    ) -> Result<Bytes, SealError> {
        let (generation, key, _) = log.keys.last().ok_or(SealError::Erased)?;
        let inner = self.read();
        let day = match day {
            None => None,
            Some(day) => Some((
                day,
                &inner.days.get(&(Use::Day, day)).ok_or(SealError::Erased)?.0,
            )),
        };
        seal::seal(*generation, key, day, associated, plain)
    }

    /// Opens a value.
    ///
    /// # Errors
    /// [`SealError::Erased`] if one of its keys is gone, [`SealError::Damaged`] if it was altered.
    pub fn open_value(
        &self,
        log: &LogKeys,
        associated: &[u8],
        value: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (generation, day) = seal::header(value).ok_or(SealError::Damaged)?;
        let key = log.key(generation).ok_or(SealError::Erased)?;
        let inner = self.read();
        let day = match day {
            None => None,
            Some(day) => Some(&inner.days.get(&(Use::Day, day)).ok_or(SealError::Erased)?.0),
        };
        seal::open(key, day, associated, value)
    }
}

fn parse_log(payload: &[u8]) -> Option<(LogId, LogName, u32, Secret)> {
    let (_, rest) = payload.split_first()?;
    let (generation, rest) = rest.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_first_chunk::<16>()?;
    let (id, rest) = rest.split_first_chunk::<32>()?;
    let key = rest.first_chunk::<32>()?;
    Some((
        LogId::new(*id),
        LogName(*name),
        u32::from_be_bytes(*generation),
        Zeroizing::new(*key),
    ))
}

fn parse_day(payload: &[u8]) -> Option<(Use, u32, Secret)> {
    let (which, rest) = payload.split_first()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let key = rest.first_chunk::<32>()?;
    Some((
        Use::of(*which)?,
        u32::from_be_bytes(*number),
        Zeroizing::new(*key),
    ))
}

/// Makes the names of new files survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(byte: u8) -> LogId {
        LogId::new([byte; 32])
    }

    #[test]
    fn a_value_opens_with_both_keys_and_with_nothing_less() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path()).unwrap();
        let first = keys.add_log_key(&log(1)).unwrap();
        keys.need_day(10).unwrap();
        let value = keys.seal(&first, Some(10), b"place", b"words").unwrap();
        keys.sync().unwrap();
        assert_eq!(keys.open_value(&first, b"place", &value).unwrap(), b"words");
        assert_eq!(
            keys.open_value(&first, b"other", &value),
            Err(SealError::Damaged)
        );
        let other = keys.add_log_key(&log(2)).unwrap();
        assert_eq!(
            keys.open_value(&other, b"place", &value),
            Err(SealError::Damaged)
        );
        // After a restart as well.
        drop(keys);
        let keys = Keys::open(folder.path()).unwrap();
        let first = keys.log(&log(1)).unwrap();
        assert_eq!(keys.open_value(&first, b"place", &value).unwrap(), b"words");
        let newer = keys.add_log_key(&log(1)).unwrap();
        assert_eq!(keys.open_value(&newer, b"place", &value).unwrap(), b"words");
        keys.erase_older(&log(1)).unwrap();
        let newer = keys.log(&log(1)).unwrap();
        assert_eq!(
            keys.open_value(&newer, b"place", &value),
            Err(SealError::Erased)
        );
    }

    #[test]
    fn the_key_of_a_past_day_is_nowhere_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path()).unwrap();
        keys.need_day(10).unwrap();
        keys.need_day(11).unwrap();
        keys.sync().unwrap();
        let secret = keys.read().days.get(&(Use::Day, 10)).unwrap().0.clone();
        let path = folder.path().join(DAYS_FILE);
        let holds = || {
            let bytes = std::fs::read(&path).unwrap();
            bytes.windows(32).any(|window| window == secret.as_slice())
        };
        assert!(holds());
        keys.erase_days_before(11).unwrap();
        keys.sync().unwrap();
        assert!(!holds());
        assert_eq!(keys.first_day(), Some(11));
    }

    #[test]
    fn the_clock_reading_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path()).unwrap();
        assert_eq!(keys.clock_reading(), None);
        keys.write_clock(5).unwrap();
        keys.write_clock(7).unwrap();
        drop(keys);
        let keys = Keys::open(folder.path()).unwrap();
        assert_eq!(keys.clock_reading(), Some(7));
    }
}
