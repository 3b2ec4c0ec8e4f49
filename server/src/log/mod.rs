//! The relay's one object: ordered logs of sealed bytes, guarded by grants.
//!
//! [`Logs`] is the handle. Every change goes through one writer that applies many of them as one
//! batch, has it flushed and synced, and only then answers and wakes (group commit); reads go past
//! it. The rules are pure functions over a log's state (`append`, `grant`, `lease`); this module
//! must not know of connections, and the connection verifies proofs before it calls.

mod append;
mod apply;
pub(crate) mod codec;
pub(crate) mod fault;
mod grant;
mod group;
mod lease;
mod rate;
mod reader;
mod recent;
mod retry;
pub(crate) mod shared;
mod stamp;
pub(crate) mod state;
mod sweep;
mod upkeep;
pub(crate) mod verify;
mod watch;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{
    Answer, Append, Claim, Create, Delete, Described, Grants, Hold, Lane, Opened, Page, Placed,
    Refusal, Release, Renew, Take, Trim, Withdraw,
};
use sotto_protocol::id::{Commitment, LogId, PublicKey, Stamp, Tag};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::limits::LogLimits;
use crate::retention::Keys;
use crate::store::Store;

use shared::Shared;
pub use sweep::{Retention, Swept};
pub use watch::LogWatch;
use writer::Queue;

/// Who asks: the public keys of all grants that were proved for that log on that connection. What
/// they may do is decided when the change is applied, by the grants as they are then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The proved keys.
    pub keys: Vec<PublicKey>,
}

/// A change of one or more logs, with its caller.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// Make a log. The root key, and work or ticket, were checked by the connection.
    Create(Create<'static>),
    /// Add entries, all or nothing.
    Append {
        /// What to append.
        append: Append<'static>,
        /// Who asks, one for each item: grants are proved per log.
        callers: Vec<Caller>,
        /// Bits of the proof of work for the first item's log, 0 without one.
        work_bits: u32,
    },
    /// Drop entries.
    Trim(Trim, Caller),
    /// Get a lease.
    Claim(Claim, Caller),
    /// Make a lease last.
    Renew(Renew, Caller),
    /// Give a lease back.
    Release(Release, Caller),
    /// Take one's own entry back; the connection has checked the proof of the owner key.
    Withdraw(Withdraw),
    /// Remove and return the oldest entry.
    Take(Take, Caller),
    /// Replace the grants.
    Grants(Grants, Caller),
    /// Reserve the fence.
    Hold(Hold, Caller),
    /// Delete the log.
    Delete(Delete, Caller),
}

/// What a log's followers are sent.
#[derive(Clone, Debug, Default)]
pub struct Pushes {
    /// Sequence number and encoded [`Frame::Push`](sotto_protocol::frame::Frame::Push), in order.
    pub frames: Vec<(u64, Bytes)>,
    /// Everything of the lane up to here is in `frames` or is not there; go on after it.
    pub cursor: u64,
    /// Nothing will ever come after the cursor: the grants are cut or dropped, or the log deleted.
    pub ended: bool,
}

/// Where the logs live.
#[derive(Debug)]
pub struct LogParts {
    /// The engine.
    pub store: Arc<dyn Store>,
    /// The keys at rest that belong to the engine's values.
    pub keys: Arc<Keys>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What the operator allows.
    pub limits: LogLimits,
}

/// Why the logs could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Entries are missing or altered: starting would lose what was acknowledged.
    #[error("the store is damaged; restore a copy, or import an export into an empty folder")]
    Damaged {
        /// What was noticed first.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The store or the keys could not be read.
    #[error("the store could not be read")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// All logs of the relay: a handle that is cheap to clone.
#[derive(Clone)]
pub struct Logs {
    shared: Arc<Shared>,
    queue: Queue,
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

impl Logs {
    /// Verifies the whole store and starts the writer, and a task that sweeps now and then, as
    /// tasks of `tasks`.
    ///
    /// When `shutdown` is cancelled the writer takes no further changes, carries out and answers
    /// those it has, and closes the store.
    ///
    /// # Errors
    /// [`StartError`]: it starts whole or not at all.
    ///
    /// # Cancel safety
    /// Dropped, nothing was started.
    pub async fn start(
        parts: LogParts,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> Result<Self, StartError> {
        let shared = Arc::new(Shared::new(parts).map_err(|fault| failed(fault.into()))?);
        shared.verify().await?;
        // Said now, not ten minutes later: who starts a relay is looking at it.
        let _believed = sweep::is_clock_believed(&shared, shared.clock.wall().as_secs());
        let queue = writer::start(Arc::clone(&shared), tasks, shutdown.clone());
        let logs = Self { shared, queue };
        tasks.spawn(sweep::run(logs.clone(), shutdown));
        Ok(logs)
    }

    /// Carries out a change. The future resolves after the change is flushed and synced (or
    /// refused); only then do readers see it.
    ///
    /// The change is handed over when this is called, not when the future is first polled: changes
    /// that one caller hands over in order are applied in that order.
    ///
    /// # Errors
    /// The [`Refusal`] to send to the client; nothing was changed.
    ///
    /// # Cancel safety
    /// A dropped future does not take the change back.
    pub fn change(
        &self,
        change: Change,
    ) -> impl Future<Output = Result<Answer<'static>, Refusal>> + Send + use<> {
        let answer = self.queue.hand_over(change);
        async move {
            match answer {
                Ok(answer) => answer
                    .await
                    .unwrap_or_else(|_| Err(Refusal::of(ErrorCode::Busy))),
                Err(refusal) => Err(refusal),
            }
        }
    }

    /// The state of a log for someone who proved these keys. Costs the same number of store reads
    /// whether or not the log is known and the keys have grants.
    ///
    /// # Errors
    /// [`ErrorCode::Refused`] for an unknown log or a key without a grant, or a fault of ours.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn open(&self, log: &LogId, keys: &[PublicKey]) -> Result<Opened, Refusal> {
        self.open_again(log, &[], keys).await
    }

    /// The same for someone who proved keys earlier as well. Of those, what has no grant any more
    /// counts for nothing: a line stands longer than cut grants are kept.
    ///
    /// # Errors
    /// As [`Self::open`], by the keys that are not earlier ones.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn open_again(
        &self,
        log: &LogId,
        earlier: &[PublicKey],
        keys: &[PublicKey],
    ) -> Result<Opened, Refusal> {
        reader::open(&self.shared, log, earlier, keys).await
    }

    /// One page of entries after a cursor.
    ///
    /// # Errors
    /// A [`Refusal`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn page(
        &self,
        log: &LogId,
        keys: &[PublicKey],
        lane: Lane,
        after: u64,
        entries_max: u32,
    ) -> Result<Page<'static>, Refusal> {
        reader::page(&self.shared, log, keys, lane, after, entries_max).await
    }

    /// At most `max` pushes after a cursor, each encoded once for all followers while it is new.
    ///
    /// # Errors
    /// A fault of ours; a log that gives no more is `ended`, not an error.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn pushes(
        &self,
        log: &LogId,
        keys: &[PublicKey],
        lane: Lane,
        after: u64,
        max: usize,
    ) -> Result<Pushes, Refusal> {
        reader::pushes(&self.shared, log, keys, lane, after, max).await
    }

    /// How many unclaimed entries stand before one's own. The connection has checked the proof of
    /// the owner key.
    ///
    /// # Errors
    /// [`ErrorCode::Refused`] for whatever is not there or not the owner's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn position(
        &self,
        log: &LogId,
        seq: u64,
        owner: &PublicKey,
    ) -> Result<Placed, Refusal> {
        reader::position(&self.shared, log, seq, owner).await
    }

    /// What the relay holds of a log, for `manage`.
    ///
    /// # Errors
    /// [`ErrorCode::Refused`] without that right.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn describe(&self, log: &LogId, keys: &[PublicKey]) -> Result<Described, Refusal> {
        reader::describe(&self.shared, log, keys).await
    }

    /// Starts to wait for changes of a log, known or not.
    #[must_use]
    pub fn watch(&self, log: &LogId) -> LogWatch {
        self.shared.watches.watch(log)
    }

    /// What marks the log's pushes until the relay starts anew.
    #[must_use]
    pub fn tag(&self, log: &LogId) -> Tag {
        self.shared.tag(log)
    }

    /// Whether this relay stamped that commitment, for reports. Keys of stamps are kept for three
    /// months after their own.
    #[must_use]
    pub fn confirms_stamp(
        &self,
        log: &LogId,
        seq: u64,
        day: u32,
        commitment: &Commitment,
        stamp: &Stamp,
    ) -> bool {
        self.shared.confirms_stamp(log, seq, day, commitment, stamp)
    }

    /// Looks after retention once: what is expired goes, with the keys of past days; what was
    /// trimmed, taken or withdrawn becomes illegible in time; deleted logs are forgotten.
    ///
    /// Nothing is removed or erased while the clock is in doubt, see [`Retention::ClockJumped`].
    /// The relay calls this by itself every ten minutes.
    ///
    /// # Errors
    /// A fault of ours; no key of a day was erased.
    ///
    /// # Cancel safety
    /// What was done stays done; the next sweep does the rest.
    pub async fn sweep(&self) -> Result<Swept, Refusal> {
        sweep::sweep(self).await.map_err(|fault| fault.refusal())
    }

    /// How retention stands, for the operator: what the last sweep found, or the start if the clock
    /// was in doubt then.
    #[must_use]
    pub fn retention(&self) -> Retention {
        self.shared.retention()
    }

    /// How many logs there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.keys.count()
    }

    /// Whether there is room for new logs; `false` is what `/readyz` should say.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.shared.store.has_room()
    }
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> StartError {
    StartError::Failed(source)
}
