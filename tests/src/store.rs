//! A store that counts what is asked of it, can hold its commits back, and can fail; and one on a disk
//! for which paused time waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sotto_protocol::id::RetryId;
use sotto_server::store::{
    Batch, Key, LogName, MemoryStore, Range, Record, Store, StoreError, StoreFuture,
};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

/// How a commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing is written.
    Before,
    /// It is written, and nobody is told.
    After,
    /// There is no room.
    Full,
}

/// [`MemoryStore`] under observation.
#[derive(Debug)]
pub struct WatchedStore {
    inner: MemoryStore,
    reads: AtomicU64,
    is_held: watch::Sender<bool>,
    waiting: watch::Sender<u64>,
    failure: Mutex<Option<Failure>>,
    failures: AtomicU64,
}

impl Default for WatchedStore {
    fn default() -> Self {
        Self {
            inner: MemoryStore::new(),
            reads: AtomicU64::new(0),
            is_held: watch::Sender::new(false),
            waiting: watch::Sender::new(0),
            failure: Mutex::new(None),
            failures: AtomicU64::new(0),
        }
    }
}

impl WatchedStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Another store with what is in this one now.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub async fn copy(&self) -> Arc<Self> {
        let key = |byte: u8, record| Key::new(LogName([byte; 16]), record);
        let all = Range {
            from: key(0, Record::Head),
            to: key(
                u8::MAX,
                Record::Retry(u32::MAX, RetryId::new([u8::MAX; 16])),
            ),
            records_max: usize::MAX,
            bytes_max: usize::MAX,
            values: true,
        };
        let puts = self.inner.range(all).await.expect("records");
        let other = Self::default();
        let batch = Batch {
            puts,
            ..Batch::default()
        };
        other.inner.commit(batch).await.expect("a copy");
        Arc::new(other)
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

    /// Lets the next commit fail, once; or no longer.
    ///
    /// # Panics
    /// Never, unless another thread did.
    pub fn fail(&self, failure: Option<Failure>) {
        *self.failure.lock().expect("a lock") = failure;
    }

    /// How many commits failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
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
            let failed = || StoreError::Failed { source: None };
            let failure = self.failure.lock().expect("a lock").take();
            self.failures
                .fetch_add(u64::from(failure.is_some()), Ordering::Relaxed);
            match failure {
                None => self.inner.commit(batch).await,
                Some(Failure::Before) => Err(failed()),
                Some(Failure::Full) => Err(StoreError::Full),
                Some(Failure::After) => self.inner.commit(batch).await.and(Err(failed())),
            }
        })
    }

    fn has_room(&self) -> bool {
        self.inner.has_room()
    }

    fn close(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        self.inner.close()
    }
}

/// A store with a thread of its own, for tests on paused time: which passes while nobody has anything to
/// do, and nobody sees what that thread does.
#[derive(Debug)]
pub struct AwaitedStore(pub Arc<dyn Store>);

impl AwaitedStore {
    /// Time stands still while something runs where it may block.
    fn ask<T: Send + 'static>(
        &self,
        ask: impl for<'a> FnOnce(&'a dyn Store) -> StoreFuture<'a, Result<T, StoreError>>
        + Send
        + 'static,
    ) -> StoreFuture<'static, Result<T, StoreError>> {
        let inner = Arc::clone(&self.0);
        let answer = move || Handle::current().block_on(ask(&*inner));
        Box::pin(async { spawn_blocking(answer).await.expect("an answer") })
    }
}

impl Store for AwaitedStore {
    fn get(&self, keys: Vec<Key>) -> StoreFuture<'_, Result<Vec<Option<Bytes>>, StoreError>> {
        self.ask(move |store| store.get(keys))
    }

    fn range(&self, range: Range) -> StoreFuture<'_, Result<Vec<(Key, Bytes)>, StoreError>> {
        self.ask(move |store| store.range(range))
    }

    fn commit(&self, batch: Batch) -> StoreFuture<'_, Result<(), StoreError>> {
        self.ask(move |store| store.commit(batch))
    }

    fn has_room(&self) -> bool {
        self.0.has_room()
    }

    fn close(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        self.ask(|store| store.close())
    }
}
