//! The engine that forgets: the reference that every other engine is compared with. It must not
//! be used where an acknowledged entry has to survive the process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Batch, Key, Range, Record, Store, StoreError, StoreFuture, revision_of};

/// Records in a sorted map.
#[derive(Default)]
pub struct MemoryStore {
    records: Mutex<BTreeMap<Key, Bytes>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<Key, Bytes>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, range: &Range) -> Vec<(Key, Bytes)> {
        if range.from > range.to {
            return Vec::new();
        }
        let mut bytes = 0_usize;
        self.records()
            .range(range.from..=range.to)
            .take(range.records_max)
            .take_while(|(_, value)| {
                let wanted = bytes < range.bytes_max;
                bytes += value.len();
                wanted || !range.values
            })
            .map(|(key, value)| {
                let value = if range.values {
                    value.clone()
                } else {
                    Bytes::new()
                };
                (*key, value)
            })
            .collect()
    }

    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let mut records = self.records();
        for (log, expected) in &batch.expects {
            let head = records.get(&Key::new(*log, Record::Head));
            if head.and_then(|head| revision_of(head)) != *expected {
                return Err(StoreError::Conflict);
            }
        }
        for key in &batch.removes {
            records.remove(key);
        }
        records.extend(batch.puts);
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn get(&self, keys: Vec<Key>) -> StoreFuture<'_, Result<Vec<Option<Bytes>>, StoreError>> {
        Box::pin(async move {
            let records = self.records();
            Ok(keys.iter().map(|key| records.get(key).cloned()).collect())
        })
    }

    fn range(&self, range: Range) -> StoreFuture<'_, Result<Vec<(Key, Bytes)>, StoreError>> {
        Box::pin(async move { Ok(self.read(&range)) })
    }

    fn commit(&self, batch: Batch) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.write(batch) })
    }

    fn has_room(&self) -> bool {
        true
    }

    fn close(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}
