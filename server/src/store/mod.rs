//! What the relay asks of a storage engine: get records, read a range of them, write one atomic
//! conditional batch. Nothing else, so that a replicated engine can take the place of this one.
//!
//! An engine sees names that say nothing, numbers and sealed values; it must not interpret them,
//! but for the revision at the start of a head (see [`Batch`]). Wake-ups are the log's business.

#[cfg(test)]
mod conformance;
pub(crate) mod folder;
mod memory;
mod sled;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use sotto_protocol::id::RetryId;

pub(crate) use self::sled::BALLAST;
pub use self::sled::{SledOptions, SledStore};
pub use folder::{Disk, Folder, FolderError, SystemDisk};
pub use memory::MemoryStore;

/// What the store's methods return.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The name of a log in the store: drawn at random, so that it tells neither id nor age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName(pub [u8; 16]);

impl fmt::Debug for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogName(…)")
    }
}

/// Which record of a log. The order of the variants is the order in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Record {
    /// The head: revision (8 bytes, big-endian, plain), then the sealed state.
    Head,
    /// The sealed list of grants.
    Grants,
    /// An ordinary entry by sequence number.
    Ordinary(u64),
    /// A fenced or pinned entry by sequence number.
    Fenced(u64),
    /// A remembered answer by the request's day and retry id.
    Retry(u32, RetryId),
}

/// The key of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose record.
    pub log: LogName,
    /// Which.
    pub record: Record,
}

impl Key {
    /// A key from its parts.
    #[must_use]
    pub const fn new(log: LogName, record: Record) -> Self {
        Self { log, record }
    }

    /// The key as bytes that sort as the keys do:
    /// `name (16) || kind (1) || number (8) | day (4) || retry id (16)`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.log.0.to_vec();
        match self.record {
            Record::Head => bytes.push(0),
            Record::Grants => bytes.push(1),
            Record::Ordinary(seq) => {
                bytes.push(2);
                bytes.extend_from_slice(&seq.to_be_bytes());
            }
            Record::Fenced(seq) => {
                bytes.push(3);
                bytes.extend_from_slice(&seq.to_be_bytes());
            }
            Record::Retry(day, retry) => {
                bytes.push(4);
                bytes.extend_from_slice(&day.to_be_bytes());
                bytes.extend_from_slice(retry.as_bytes());
            }
        }
        bytes
    }

    /// The key of these bytes, if they are one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (name, rest) = bytes.split_first_chunk::<16>()?;
        let (kind, rest) = rest.split_first()?;
        let record = match kind {
            0 if rest.is_empty() => Record::Head,
            1 if rest.is_empty() => Record::Grants,
            2 => Record::Ordinary(u64::from_be_bytes(rest.try_into().ok()?)),
            3 => Record::Fenced(u64::from_be_bytes(rest.try_into().ok()?)),
            4 => {
                let (day, retry) = rest.split_first_chunk::<4>()?;
                Record::Retry(u32::from_be_bytes(*day), retry.try_into().ok()?)
            }
            _ => return None,
        };
        Some(Self::new(LogName(*name), record))
    }
}

/// A range of records, in the order of their keys.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The first key, inclusive.
    pub from: Key,
    /// The last key, inclusive.
    pub to: Key,
    /// At most so many records.
    pub records_max: usize,
    /// No further record once the values read come to so many bytes; the first is always given.
    pub bytes_max: usize,
    /// Whether values are wanted; without, they are empty and cost nothing.
    pub values: bool,
}

/// One atomic change: all of it lands, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Every log that the batch touches, with the revision its head must have (`None`: there must
    /// be no head). A head written by the batch begins with a higher revision.
    pub expects: Vec<(LogName, Option<u64>)>,
    /// Records to write.
    pub puts: Vec<(Key, Bytes)>,
    /// Records to remove; one that is not there is no error.
    pub removes: Vec<Key>,
}

/// The revision at the start of a head's value.
#[must_use]
pub fn revision_of(head: &[u8]) -> Option<u64> {
    head.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A head does not have the expected revision: somebody else changed the log.
    #[error("the log was changed meanwhile")]
    Conflict,
    /// There is no room. Nothing was written; what is there can be read.
    #[error("there is no room left for the store")]
    Full,
    /// The engine failed. Nothing may be believed to be written.
    #[error("the storage engine failed")]
    Failed {
        /// What it said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Records are missing or altered.
    #[error("the store is damaged")]
    Damaged,
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}

/// A storage engine.
///
/// # Cancel safety
/// A future that is dropped may or may not have had its effect; a batch is never half applied.
pub trait Store: Send + Sync + fmt::Debug {
    /// The values of these keys, in their order.
    ///
    /// # Errors
    /// [`StoreError::Failed`], [`StoreError::Damaged`], [`StoreError::Closed`].
    fn get(&self, keys: Vec<Key>) -> StoreFuture<'_, Result<Vec<Option<Bytes>>, StoreError>>;

    /// The records of a range, as they were after some whole number of batches. Two calls may see
    /// different ones.
    ///
    /// # Errors
    /// [`StoreError::Failed`], [`StoreError::Damaged`], [`StoreError::Closed`].
    fn range(&self, range: Range) -> StoreFuture<'_, Result<Vec<(Key, Bytes)>, StoreError>>;

    /// Applies a batch and resolves once it would survive a power cut.
    ///
    /// # Errors
    /// Any [`StoreError`]. After [`StoreError::Conflict`] and [`StoreError::Full`] nothing was
    /// changed; after the others the caller must read again before it writes.
    fn commit(&self, batch: Batch) -> StoreFuture<'_, Result<(), StoreError>>;

    /// Whether there is room for new logs (more is asked for than for entries of existing ones).
    fn has_room(&self) -> bool;

    /// How many batches were written so far, as far as the engine counts them.
    fn batches(&self) -> u64 {
        0
    }

    /// Writes down what can be written down and lets go of the files; nothing works afterwards.
    fn close(&self) -> StoreFuture<'_, Result<(), StoreError>>;
}
