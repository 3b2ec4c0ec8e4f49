//! Random changes on the memory engine and on sled side by side, with restarts and failing batches:
//! both say the same, and what was acknowledged is there.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sotto_protocol::frame::{Claim, LeaseCondition, Refusal};

use super::disk::{TestDisk, options, stop};
use super::*;
use crate::store::{Batch, Folder, Key, Range, StoreError, StoreFuture};

/// An engine whose next commit fails when the test says so, before or after it is done.
#[derive(Debug)]
pub(super) struct Failing {
    inner: Arc<dyn Store>,
    before: AtomicBool,
    after: AtomicBool,
    reads: std::sync::atomic::AtomicU64,
}

impl Failing {
    pub(super) fn over(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            before: AtomicBool::new(false),
            after: AtomicBool::new(false),
            reads: std::sync::atomic::AtomicU64::new(0),
        })
    }

    /// How often it was read.
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Store for Failing {
    fn get(
        &self,
        keys: Vec<Key>,
    ) -> StoreFuture<'_, Result<Vec<Option<bytes::Bytes>>, StoreError>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.get(keys)
    }

    fn range(&self, range: Range) -> StoreFuture<'_, Result<Vec<(Key, bytes::Bytes)>, StoreError>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.range(range)
    }

    fn commit(&self, batch: Batch) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            if self.before.swap(false, Ordering::SeqCst) {
                return Err(StoreError::Failed { source: None });
            }
            self.inner.commit(batch).await?;
            if self.after.swap(false, Ordering::SeqCst) {
                return Err(StoreError::Failed { source: None });
            }
            Ok(())
        })
    }

    fn has_room(&self) -> bool {
        true
    }

    fn close(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        self.inner.close()
    }
}

#[derive(Clone, Debug)]
enum Op {
    Append {
        log: u8,
        runs: Vec<u8>,
        fence: Option<u64>,
        pin: bool,
    },
    Trim {
        log: u8,
        to: u64,
    },
    Take {
        log: u8,
    },
    Claim {
        log: u8,
        seq: u64,
    },
    /// An entry for `inbox` and the end of one of those that were claimed, in either order, by a key
    /// that may append only with the end of an entry of its owner.
    Answer {
        which: usize,
        inbox: u8,
        first: bool,
    },
    Day,
    Restart,
    /// The next commit fails; `true`: after it landed. The caller tries again.
    Fail(bool),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let log = 0..3_u8;
    let op = prop_oneof![
        8 => (
            log.clone(),
            prop::collection::vec(1..4_u8, 1..3),
            prop::option::of(0..6_u64),
            any::<bool>(),
        )
            .prop_map(|(log, runs, fence, pin)| Op::Append { log, runs, fence, pin }),
        1 => (log.clone(), 0..20_u64).prop_map(|(log, to)| Op::Trim { log, to }),
        1 => log.clone().prop_map(|log| Op::Take { log }),
        4 => (log.clone(), 1..5_u64).prop_map(|(log, seq)| Op::Claim { log, seq }),
        4 => (any::<usize>(), log, any::<bool>())
            .prop_map(|(which, inbox, first)| Op::Answer { which, inbox, first }),
        1 => Just(Op::Day),
        1 => Just(Op::Restart),
        1 => any::<bool>().prop_map(Op::Fail),
    ];
    prop::collection::vec(op, 1..30)
}

/// One of the two sides.
struct Side {
    bench: Bench,
    failing: Arc<Failing>,
    folder: Option<tempfile::TempDir>,
    logs: Vec<LogId>,
    /// Whose each entry is.
    owners: HashMap<(u8, u64), u8>,
    /// The number of the last lease on each entry.
    leases: BTreeMap<(u8, u64), u64>,
}

/// Entries in a run of this length are of this owner.
const fn owner(length: u8) -> u8 {
    100 + length
}

/// Whose end the bound key answers with.
const ANSWERED: u8 = owner(1);

fn short() -> Policy {
    Policy {
        ttl_days: 2,
        ttl_fenced_days: 3,
        ..policy()
    }
}

impl Side {
    async fn new(on_disk: bool) -> Self {
        let folder = on_disk.then(|| tempfile::tempdir().unwrap());
        let (store, keys): (Arc<dyn Store>, _) = match &folder {
            Some(folder) => {
                let opened = Folder::open(folder.path(), options(TestDisk::open())).unwrap();
                (opened.store, opened.keys)
            }
            None => (Arc::new(MemoryStore::new()), Arc::new(Keys::in_memory())),
        };
        let failing = Failing::over(store);
        let bench = Bench::over(Arc::clone(&failing) as Arc<dyn Store>, keys).await;
        bench.logs.sweep().await.unwrap();
        let mut side = Self {
            bench,
            failing,
            folder,
            logs: Vec::new(),
            owners: HashMap::new(),
            leases: BTreeMap::new(),
        };
        for root in 0..3 {
            let bound = Grant {
                ends: Some(key(ANSWERED)),
                ..grant(3, Rights::APPEND)
            };
            let grants = vec![grant(2, Rights::ALL), bound, grant(4, Rights::CLAIM)];
            let log = side.bench.create_with(root + 50, grants, short()).await;
            side.logs.push(log);
        }
        side
    }

    async fn restart(self) -> Self {
        let Self {
            bench,
            failing,
            folder,
            ..
        } = self;
        let Some(folder) = folder else {
            let bench = bench.restart().await;
            return Self {
                bench,
                failing,
                folder,
                ..self
            };
        };
        let clock = Arc::clone(&bench.clock);
        stop(bench).await;
        let opened = Folder::open(folder.path(), options(TestDisk::open())).unwrap();
        let failing = Failing::over(opened.store);
        let bench = Bench::at(Arc::clone(&failing) as Arc<dyn Store>, opened.keys, clock).await;
        Self {
            bench,
            failing,
            folder: Some(folder),
            ..self
        }
    }

    /// A change, and again as long as the relay is at fault.
    async fn change(&mut self, change: Change) -> Result<Answer<'static>, ErrorCode> {
        loop {
            match self.bench.logs.change(change.clone()).await {
                Err(Refusal {
                    code: ErrorCode::Internal,
                    ..
                }) => {}
                Err(refusal) => return Err(refusal.code),
                Ok(answer) => return Ok(answer),
            }
        }
    }

    async fn claim(&mut self, place: u8, seq: u64) -> Result<Answer<'static>, ErrorCode> {
        let claim = Claim {
            ms: 60_000,
            day: self.bench.today(),
            log: self.logs[usize::from(place)],
            seq,
            retry: self.bench.retry(),
        };
        let answer = self.change(Change::Claim(claim, caller(&[4]))).await;
        if let Ok(Answer::Claimed(claimed)) = &answer {
            self.leases.insert((place, seq), claimed.lease);
        }
        answer
    }

    /// Goes through if the lease is live and the entry of the owner that the key is bound to, and
    /// only then.
    async fn answer(
        &mut self,
        at: (u8, u64),
        lease: u64,
        inbox: u8,
        first: bool,
    ) -> Result<Answer<'static>, ErrorCode> {
        let [log, inbox] = [at.0, inbox].map(|place| self.logs[usize::from(place)]);
        let seq = at.1;
        let end = Item {
            lease: Some(LeaseCondition {
                end: true,
                seq,
                lease,
            }),
            entries: Vec::new(),
            ..item(log, 0)
        };
        let letter = item(inbox, 9);
        let items = if first {
            vec![end, letter]
        } else {
            vec![letter, end]
        };
        let keys = keys(&[2]);
        let page = self.bench.logs.page(&log, &keys, Lane::All, 0, 1_000);
        let entries = page.await.unwrap().entries;
        let claimed = entries
            .iter()
            .any(|entry| entry.seq == seq && entry.claimed);
        let serves = claimed && self.owners.get(&at) == Some(&ANSWERED);
        let change = self.bench.append_change(items, &[3, 4]);
        let answer = self.change(change).await;
        assert_eq!(answer.is_ok(), serves, "{at:?} {answer:?}");
        answer
    }

    async fn append(
        &mut self,
        place: u8,
        runs: &[u8],
        fence: Option<u64>,
        pin: bool,
    ) -> Result<Answer<'static>, ErrorCode> {
        let log = self.logs[usize::from(place)];
        let items = runs.iter().enumerate().map(|(index, length)| Item {
            entries: vec![
                NewEntry {
                    owner: Some(key(owner(*length))),
                    ..entry(*length)
                };
                usize::from(*length)
            ],
            fence: fence.map(|fence| fence + index as u64),
            pin: pin && index == 0,
            ..item(log, 0)
        });
        let change = self.bench.append_change(items.collect(), &[2]);
        let answer = self.change(change).await;
        if let Ok(Answer::Appended(dones)) = &answer {
            for (done, length) in dones.iter().zip(runs) {
                let first = done.seq - u64::from(*length) + 1;
                let seqs = (first..=done.seq).map(|seq| (place, seq));
                self.owners.extend(seqs.map(|at| (at, owner(*length))));
            }
        }
        answer
    }

    /// An operation that is a request of a client, and its answer.
    async fn ask(&mut self, op: &Op) -> Option<Result<Answer<'static>, ErrorCode>> {
        let by = || caller(&[2]);
        let day = self.bench.today();
        match op {
            Op::Append {
                log,
                runs,
                fence,
                pin,
            } => Some(self.append(*log, runs, *fence, *pin).await),
            Op::Claim { log, seq } => Some(self.claim(*log, *seq).await),
            Op::Answer {
                which,
                inbox,
                first,
            } => {
                let place = which % self.leases.len().max(1);
                let found = self.leases.iter().nth(place);
                let (at, lease) = found.map(|(at, lease)| (*at, *lease))?;
                Some(self.answer(at, lease, *inbox, *first).await)
            }
            Op::Trim { log, to } => {
                let trim = sotto_protocol::frame::Trim {
                    to: *to,
                    day,
                    log: self.logs[usize::from(*log)],
                    retry: self.bench.retry(),
                };
                Some(self.change(Change::Trim(trim, by())).await)
            }
            Op::Take { log } => {
                let take = sotto_protocol::frame::Take {
                    day,
                    log: self.logs[usize::from(*log)],
                    retry: self.bench.retry(),
                };
                Some(self.change(Change::Take(take, by())).await)
            }
            Op::Day | Op::Restart | Op::Fail(_) => None,
        }
    }

    async fn step(mut self, op: &Op) -> (Self, Option<Result<Answer<'static>, ErrorCode>>) {
        match op {
            Op::Day => {
                for _ in 0..2 {
                    self.bench.clock.advance(crate::clock::DAY / 2);
                    // A sweep may meet the failing batch as well; the next one goes on.
                    while self.bench.logs.sweep().await.is_err() {}
                }
            }
            Op::Restart => self = self.restart().await,
            Op::Fail(after) => {
                let which = if *after {
                    &self.failing.after
                } else {
                    &self.failing.before
                };
                which.store(true, Ordering::SeqCst);
            }
            _ => {
                let answer = self.ask(op).await;
                return (self, answer);
            }
        }
        (self, None)
    }

    /// All that a reader and a manager see, without what is drawn at random.
    async fn seen(&self) -> Vec<String> {
        let mut seen = Vec::new();
        for log in &self.logs {
            let opened = self.bench.logs.open(log, &keys(&[2])).await.unwrap();
            seen.push(format!(
                "{:?} {:?}",
                (opened.head, opened.first),
                opened.pins
            ));
            let described = self.bench.logs.describe(log, &keys(&[2])).await.unwrap();
            seen.push(format!(
                "{:?}",
                (described.bytes, described.entries, opened.fence)
            ));
            let page = self
                .bench
                .logs
                .page(log, &keys(&[2]), Lane::All, 0, 1_000)
                .await
                .unwrap();
            assert_eq!(described.entries, page.entries.len() as u64);
            for entry in page.entries {
                seen.push(format!("{} {} {:?}", entry.seq, entry.day, entry.fence));
                seen.push(hex::encode(entry.before.as_bytes()));
            }
        }
        seen
    }
}

fn without_stamps(answer: Option<Result<Answer<'static>, ErrorCode>>) -> String {
    match answer {
        Some(Ok(Answer::Taken(taken))) => format!("took {}", taken.entry.seq),
        Some(Ok(Answer::Claimed(claimed))) => format!("claimed for {}", claimed.ms),
        other => format!("{other:?}"),
    }
}

async fn compare(ops: Vec<Op>) {
    let (mut one, mut other) = (Side::new(false).await, Side::new(true).await);
    for op in ops {
        let (next, answer) = one.step(&op).await;
        one = next;
        let (next, expected) = other.step(&op).await;
        other = next;
        assert_eq!(without_stamps(answer), without_stamps(expected), "{op:?}");
    }
    assert_eq!(one.seen().await, other.seen().await);
    let before = other.seen().await;
    let other = other.restart().await;
    assert_eq!(other.seen().await, before);
    stop(other.bench).await;
    stop(one.bench).await;
}

#[test]
fn random_changes_come_to_the_same_on_both_engines_whatever_fails() {
    let mut runner = TestRunner::new(Config {
        cases: 16,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&ops(), |ops| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(compare(ops));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[tokio::test]
async fn a_batch_that_fails_is_acknowledged_to_nobody_and_applied_once_on_retry() {
    let mut side = Side::new(true).await;
    for (after, seqs) in [(false, 0), (true, 1)] {
        let log = side.logs[usize::from(after)];
        let change = side.bench.append_change(vec![item(log, 1)], &[2]);
        let which = if after {
            &side.failing.after
        } else {
            &side.failing.before
        };
        which.store(true, Ordering::SeqCst);
        let mut watch = side.bench.logs.watch(&log);
        let refused = side.bench.logs.change(change.clone()).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Internal);
        assert!(refused.incident.is_some());
        let woken = tokio::time::timeout(Duration::from_secs(60), watch.changed());
        woken.await.expect("followers look at what is there now");
        assert_eq!(side.bench.seqs(log, 2).await.len(), seqs);
        side.bench.logs.change(change).await.unwrap();
        assert_eq!(side.bench.seqs(log, 2).await, [1]);
    }
    stop(side.bench).await;
}

#[tokio::test]
async fn every_refused_open_reads_the_store_as_often_as_an_accepted_one() {
    let side = Side::new(true).await;
    let (log, unknown) = (side.logs[0], LogId::new([9; 32]));
    let mut counts = Vec::new();
    for (log, by) in [(log, 2), (log, 3), (unknown, 2), (log, 2), (unknown, 3)] {
        let before = side.failing.reads();
        // Refused or not, only the count matters here.
        drop(side.bench.logs.open(&log, &keys(&[by])).await);
        counts.push(side.failing.reads() - before);
    }
    assert_eq!(counts, [3; 5]);
    stop(side.bench).await;
}
