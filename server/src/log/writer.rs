//! The one writer: takes changes from a bounded queue and has them applied in groups, each written
//! and synced once. It must not know what a change means.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{NewEntry, Refusal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Change;
use super::apply::{Applier, looks_at};
use super::fault::Fault;
use super::group::{Group, Outcome};
use super::rate::Rates;
use super::retry::Answers;
use super::shared::Shared;
use super::upkeep::{self, Progress, Step};
use crate::limits::{
    BUSY_RETRY_MS, CHANGE_BYTES_QUEUED_MAX, CHANGES_QUEUED_MAX, GROUP_BYTES_MAX, GROUP_CHANGES_MAX,
};
use crate::store::StoreError;

/// What waits for the writer.
enum Job {
    Change {
        change: Change,
        bytes: usize,
        answer: oneshot::Sender<Outcome>,
    },
    Upkeep {
        step: Step,
        answer: oneshot::Sender<Result<Progress, Fault>>,
    },
}

/// Where changes are handed over.
#[derive(Clone)]
pub(crate) struct Queue {
    jobs: mpsc::Sender<Job>,
    bytes: Arc<AtomicUsize>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue(…)")
    }
}

impl Queue {
    /// Queues a change, or refuses it at once.
    pub(crate) fn hand_over(&self, change: Change) -> Result<oneshot::Receiver<Outcome>, Refusal> {
        let busy = || Refusal {
            retry_after_ms: Some(BUSY_RETRY_MS),
            ..Refusal::of(ErrorCode::Busy)
        };
        let bytes = size(&change);
        let queued = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let (answer, receiver) = oneshot::channel();
        let job = Job::Change {
            change,
            bytes,
            answer,
        };
        if queued > CHANGE_BYTES_QUEUED_MAX || self.jobs.try_send(job).is_err() {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(busy());
        }
        Ok(receiver)
    }

    /// Has one step of upkeep done between the changes of clients; waits for room in the queue.
    pub(crate) async fn upkeep(&self, step: Step) -> Result<Progress, Fault> {
        let (answer, receiver) = oneshot::channel();
        let closed = |_| Fault::from(StoreError::Closed);
        let job = Job::Upkeep { step, answer };
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        receiver.await.map_err(closed)?
    }
}

/// About what a change holds in memory.
fn size(change: &Change) -> usize {
    let entry = |entry: &NewEntry<'_>| {
        let held = entry.held.as_ref().map_or(0, |held| held.as_slice().len());
        256 + entry.sealed.as_slice().len() + held
    };
    match change {
        Change::Append { append, .. } => append
            .items
            .iter()
            .map(|item| {
                let grants = item.grants.as_ref().map_or(0, |grants| grants.list.len());
                512 + 64 * grants + item.entries.iter().map(entry).sum::<usize>()
            })
            .sum(),
        Change::Create(create) => 512 + 64 * create.grants.len(),
        Change::Grants(grants, _) => 512 + 64 * grants.new.list.len(),
        _ => 512,
    }
}

/// Starts the writer.
pub(crate) fn start(
    shared: Arc<Shared>,
    tasks: &TaskTracker,
    shutdown: CancellationToken,
) -> Queue {
    let (sender, receiver) = mpsc::channel(CHANGES_QUEUED_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    let writer = Writer {
        shared,
        bytes: Arc::clone(&bytes),
        rates: Rates::default(),
    };
    tasks.spawn(writer.run(receiver, shutdown));
    Queue {
        jobs: sender,
        bytes,
    }
}

struct Writer {
    shared: Arc<Shared>,
    bytes: Arc<AtomicUsize>,
    rates: Rates,
}

impl Writer {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>, shutdown: CancellationToken) {
        loop {
            let mut taken = Vec::new();
            let count = tokio::select! {
                count = jobs.recv_many(&mut taken, GROUP_CHANGES_MAX) => count,
                () = shutdown.cancelled(), if !jobs.is_closed() => {
                    jobs.close();
                    continue;
                }
            };
            if count == 0 {
                break;
            }
            self.process(taken).await;
        }
        if let Err(error) = self.shared.store.close().await {
            let error: &dyn std::error::Error = &error;
            tracing::error!(cause = "store", error, "the store could not be closed");
        }
    }

    async fn process(&mut self, jobs: Vec<Job>) {
        let changes = jobs.iter().filter_map(|job| match job {
            Job::Change { change, .. } => Some(change),
            Job::Upkeep { .. } => None,
        });
        // Not having them here only costs: they are asked for one by one then.
        let fetched = Answers::fetch(&self.shared, changes).await;
        let mut answers = fetched.unwrap_or_default();
        let mut group = Group::default();
        for job in jobs {
            let (change, bytes, answer) = match job {
                Job::Change {
                    change,
                    bytes,
                    answer,
                } => (change, bytes, answer),
                Job::Upkeep { step, answer } => {
                    self.commit(&mut group, &mut answers).await;
                    // Who asked may have gone away; the step is done all the same.
                    drop(answer.send(upkeep::run(&self.shared, step).await));
                    continue;
                }
            };
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            let looks = looks_at(&change);
            let stale = looks.iter().any(|id| group.logs.contains_key(id));
            if stale || group.bytes() > GROUP_BYTES_MAX {
                self.commit(&mut group, &mut answers).await;
            }
            let outcome = Applier {
                shared: &self.shared,
                rates: &mut self.rates,
                group: &mut group,
                now: self.shared.now(),
                answers: &mut answers,
            }
            .apply(change)
            .await;
            group.answer(answer, outcome);
        }
        self.commit(&mut group, &mut answers).await;
    }

    async fn commit(&self, group: &mut Group, answers: &mut Answers) {
        let full = std::mem::take(group);
        // Its callers hear of a failure; the writer goes on with the next group.
        if !full.is_empty() && full.commit(&self.shared).await.is_err() {
            answers.clear();
        }
    }
}
