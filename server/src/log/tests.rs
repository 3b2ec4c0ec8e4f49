//! The logs as their callers see them, over the memory engine.

use std::sync::Arc;
use std::time::Duration;

use sotto_protocol::cbor;
use sotto_protocol::chain::{self, Link};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{
    Answer, Append, Create, Frame, Grant, Item, ItemDone, Lane, NewEntry, Policy,
};
use sotto_protocol::id::{Commitment, LogId, Mac, PublicKey, RetryId};
use sotto_protocol::right::Rights;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Caller, Change, LogParts, Logs};
use crate::clock::{Clock, ManualClock};
use crate::limits::LogLimits;
use crate::retention::Keys;
use crate::store::{MemoryStore, Store};

mod admissions;
mod bound;
mod disk;
mod entries;
mod folder;
mod limits;
mod model;
mod queue;
mod retention;
mod retries;
mod verbs;

/// The day on which every test begins.
pub(super) const DAY: u32 = 20_000;

/// A relay's logs without a relay, and what they stand on.
pub(crate) struct Bench {
    pub(crate) logs: Logs,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
    next_retry: u64,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        Self::over(store, Arc::new(Keys::in_memory())).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>, keys: Arc<Keys>) -> Self {
        Self::at(store, keys, Arc::new(ManualClock::at_day(DAY))).await
    }

    pub(crate) async fn at(
        store: Arc<dyn Store>,
        keys: Arc<Keys>,
        clock: Arc<ManualClock>,
    ) -> Self {
        Self::limited(store, keys, clock, LogLimits::default()).await
    }

    pub(crate) async fn limited(
        store: Arc<dyn Store>,
        keys: Arc<Keys>,
        clock: Arc<ManualClock>,
        limits: LogLimits,
    ) -> Self {
        let tasks = TaskTracker::new();
        let shutdown = CancellationToken::new();
        let parts = LogParts {
            store: Arc::clone(&store),
            keys: Arc::clone(&keys),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            limits,
        };
        let logs = Logs::start(parts, &tasks, shutdown.clone()).await.unwrap();
        Self {
            logs,
            clock,
            keys,
            store,
            tasks,
            shutdown,
            next_retry: disk::next_retry(),
        }
    }

    /// Stops the writer and starts anew over the same store and keys.
    pub(crate) async fn restart(self) -> Self {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let next_retry = self.next_retry;
        let mut bench = Self::at(self.store, self.keys, self.clock).await;
        bench.next_retry = next_retry;
        bench
    }

    pub(crate) fn retry(&mut self) -> RetryId {
        self.next_retry += 1;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next_retry.to_be_bytes());
        RetryId::new(bytes)
    }

    pub(crate) fn today(&self) -> u32 {
        self.clock.day()
    }

    pub(crate) async fn create(&mut self, root: u8, grants: Vec<Grant>) -> LogId {
        self.create_with(root, grants, policy()).await
    }

    pub(crate) async fn create_with(
        &mut self,
        root: u8,
        grants: Vec<Grant>,
        policy: Policy,
    ) -> LogId {
        let create = Create {
            day: self.today(),
            root: key(root),
            work: None,
            proof: Mac::new([0; 32]),
            retry: self.retry(),
            grants,
            policy,
            ticket: None,
        };
        let answer = self.logs.change(Change::Create(create)).await.unwrap();
        assert!(matches!(answer, Answer::Created(_)));
        LogId::of_root(&key(root))
    }

    pub(crate) async fn append(
        &mut self,
        items: Vec<Item<'static>>,
        by: &[u8],
    ) -> Result<Vec<ItemDone>, sotto_protocol::frame::Refusal> {
        let change = self.append_change(items, by);
        match self.logs.change(change).await? {
            Answer::Appended(items) => Ok(items),
            other => panic!("not the answer to an append: {other:?}"),
        }
    }

    pub(crate) fn append_change(&mut self, items: Vec<Item<'static>>, by: &[u8]) -> Change {
        let callers = vec![caller(by); items.len()];
        Change::Append {
            append: Append {
                day: self.today(),
                work: None,
                items,
                retry: self.retry(),
            },
            callers,
            work_bits: 0,
        }
    }
}

pub(crate) fn key(byte: u8) -> PublicKey {
    PublicKey::new([byte; 32])
}

pub(crate) fn keys(bytes: &[u8]) -> Vec<PublicKey> {
    bytes.iter().map(|byte| key(*byte)).collect()
}

pub(crate) fn caller(bytes: &[u8]) -> Caller {
    Caller { keys: keys(bytes) }
}

pub(crate) fn policy() -> Policy {
    Policy {
        ttl_days: 30,
        bytes_max: 64 << 20,
        admit_rights: Rights::READ | Rights::APPEND | Rights::FENCE,
        ttl_fenced_days: 60,
    }
}

pub(crate) fn grant(byte: u8, rights: Rights) -> Grant {
    Grant {
        key: key(byte),
        ends: None,
        rate: None,
        work: None,
        rights,
        until_seq: None,
    }
}

/// A sealed entry of the smallest class, filled with a byte.
pub(crate) fn entry(fill: u8) -> NewEntry<'static> {
    NewEntry {
        held: None,
        owner: None,
        sealed: vec![fill; 1024].into(),
        last_resort: false,
        commitment: Commitment::new([fill; 32]),
    }
}

pub(crate) fn item(log: LogId, fill: u8) -> Item<'static> {
    Item {
        log,
        pin: false,
        lease: None,
        admit: None,
        fence: None,
        grants: None,
        entries: vec![entry(fill)],
    }
}

pub(crate) fn fenced(log: LogId, fill: u8, fence: u64) -> Item<'static> {
    Item {
        fence: Some(fence),
        ..item(log, fill)
    }
}
