//! A store that counts what is asked of it, and can hold its commits back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sotto_server::store::{Batch, Key, MemoryStore, Range, Store, StoreError, StoreFuture};
use tokio::sync::watch;

/// [`MemoryStore`] under observation.
#[derive(Debug)]
pub struct WatchedStore {
    inner: MemoryStore,
    reads: AtomicU64,
    is_held: watch::Sender<bool>,
    waiting: watch::Sender<u64>,
}

impl Default for WatchedStore {
    fn default() -> Self {
        Self {
            inner: MemoryStore::new(),
            reads: AtomicU64::new(0),
            is_held: watch::Sender::new(false),
            waiting: watch::Sender::new(0),
        }
    }
}

impl WatchedStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How often anything was read.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Holds commits back, or lets them go.
    pub fn hold(&self, is_held: bool) {
        self.is_held.send_replace(is_held);
    }

    /// Waits until a commit is held back.
    ///
    /// # Panics
    /// Never: the sender lives in this store.
    pub async fn until_held(&self) {
        let mut waiting = self.waiting.subscribe();
        waiting
            .wait_for(|waiting| *waiting > 0)
            .await
            .expect("a store");
    }
}

impl Store for WatchedStore {
    fn get(&self, keys: Vec<Key>) -> StoreFuture<'_, Result<Vec<Option<Bytes>>, StoreError>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.get(keys)
    }

    fn range(&self, range: Range) -> StoreFuture<'_, Result<Vec<(Key, Bytes)>, StoreError>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.range(range)
    }

    fn commit(&self, batch: Batch) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let mut is_held = self.is_held.subscribe();
            if *is_held.borrow() {
                self.waiting.send_modify(|waiting| *waiting += 1);
                // The sender lives in this store.
                let _ = is_held.wait_for(|is_held| !is_held).await;
                self.waiting.send_modify(|waiting| *waiting -= 1);
            }
            self.inner.commit(batch).await
        })
    }

    fn has_room(&self) -> bool {
        self.inner.has_room()
    }

    fn close(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        self.inner.close()
    }
}
