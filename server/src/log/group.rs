//! A group of changes that become durable together: the states they leave, the records they write,
//! the answers that wait. It must not decide whether a change may be made.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use sotto_protocol::frame::{Answer, Refusal};
use sotto_protocol::id::LogId;
use tokio::sync::oneshot;

use super::codec;
use super::fault::Fault;
use super::reader;
use super::recent::RecentPush;
use super::shared::Shared;
use super::state::{LogState, StoredEntry};
use crate::retention::LogKeys;
use crate::store::{Batch, Key, StoreError};

/// What a change comes to.
pub(crate) type Outcome = Result<Answer<'static>, Refusal>;

/// A log that the group changes.
#[derive(Clone, Debug)]
pub(crate) struct Working {
    /// As readers see it until the group is durable.
    pub(crate) before: Option<Arc<LogState>>,
    pub(crate) state: LogState,
    pub(crate) keys: Arc<LogKeys>,
    /// Whether the grants have to be written as well.
    pub(crate) grants_changed: bool,
}

/// What is done to the keys once the batch is durable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum After {
    /// All but the newest key of the log.
    EraseOlder(LogId),
    /// All of them.
    Forget(LogId),
}

/// The record of an entry, and its push if somebody follows the log.
pub(crate) type SealedEntry = ((Key, Bytes), Option<RecentPush>);

/// Seals an entry at rest.
pub(crate) fn seal_entry(
    shared: &Shared,
    id: &LogId,
    log: &Working,
    entry: &StoredEntry<'_>,
) -> Result<SealedEntry, Fault> {
    let record = codec::seal_entry(&shared.keys, &log.keys, entry, entry.until)?;
    let push = shared
        .watches
        .is_watched(id)
        .then(|| reader::recent_push(shared, id, entry))
        .flatten();
    Ok((record, push))
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) logs: HashMap<LogId, Working>,
    puts: Vec<(Key, Bytes)>,
    removes: Vec<Key>,
    pushes: HashMap<LogId, Vec<RecentPush>>,
    /// Logs some of whose entries are removed.
    thinned: HashSet<LogId>,
    /// Logs whose head is removed.
    gone: HashSet<LogId>,
    pub(crate) after: Vec<After>,
    answers: Vec<(oneshot::Sender<Outcome>, Outcome)>,
    bytes: usize,
}

impl Group {
    /// Bytes of the records to write.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there are records to write or remove, heads and grants aside.
    pub(crate) fn has_records(&self) -> bool {
        !self.puts.is_empty() || !self.removes.is_empty() || !self.gone.is_empty()
    }

    /// Whether nothing waits to be written or answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.answers.is_empty()
    }

    /// Takes an answer that is given once the group is durable.
    pub(crate) fn answer(&mut self, to: oneshot::Sender<Outcome>, outcome: Outcome) {
        self.answers.push((to, outcome));
    }

    /// Writes a record.
    pub(crate) fn put(&mut self, key: Key, value: Bytes) {
        self.bytes += value.len();
        self.puts.push((key, value));
    }

    /// Writes an entry that was sealed, and has it pushed if somebody follows the log.
    pub(crate) fn put_entry(&mut self, id: &LogId, (record, push): SealedEntry) {
        self.put(record.0, record.1);
        if let Some(push) = push {
            self.pushes.entry(*id).or_default().push(push);
        }
    }

    /// Removes a record of a log.
    pub(crate) fn remove(&mut self, id: &LogId, key: Key) {
        self.removes.push(key);
        self.thinned.insert(*id);
    }

    /// Removes a log's head and grants with the last of its records.
    pub(crate) fn remove_log(&mut self, id: &LogId) {
        self.gone.insert(*id);
    }

    /// Makes everything durable, then answers and wakes.
    ///
    /// # Errors
    /// The fault that all callers of the group have heard of; nothing of it was applied.
    pub(crate) async fn commit(mut self, shared: &Shared) -> Result<(), Fault> {
        let result = self.write(shared).await;
        if let Err(fault) = &result {
            // Whether the engine has it or not is not known: read again before the next change. If
            // it has, a repeat gets the first answer and changes nothing that followers would
            // be woken by, so they look now.
            for id in self.logs.keys() {
                shared.unpublish(id);
                shared.watches.wake(id);
            }
            let refusal = fault.refusal();
            for (to, outcome) in self.answers {
                // A caller that has gone away needs no answer.
                drop(to.send(outcome.and_then(|_| Err(refusal.clone()))));
            }
            return result;
        }
        let Self {
            logs,
            mut pushes,
            thinned,
            gone,
            answers,
            ..
        } = self;
        let changed: Vec<LogId> = logs.keys().copied().collect();
        for (id, log) in logs {
            if gone.contains(&id) {
                shared.unpublish(&id);
                continue;
            }
            shared.publish(&id, log.state);
            if thinned.contains(&id) {
                shared.recent.forget(&id);
            } else if let Some(pushes) = pushes.remove(&id) {
                shared.recent.add(&id, pushes);
            }
        }
        for (to, outcome) in answers {
            // A caller that has gone away needs no answer.
            drop(to.send(outcome));
        }
        for id in &changed {
            shared.watches.wake(id);
        }
        Ok(())
    }

    async fn write(&mut self, shared: &Shared) -> Result<(), Fault> {
        if self.logs.is_empty() {
            return Ok(());
        }
        let mut batch = Batch {
            puts: std::mem::take(&mut self.puts),
            removes: std::mem::take(&mut self.removes),
            ..Batch::default()
        };
        for (id, log) in &mut self.logs {
            let before = log.state.revision;
            batch.expects.push((log.keys.name, before));
            if self.gone.contains(id) {
                batch
                    .removes
                    .extend(super::shared::state_keys(log.keys.name));
                continue;
            }
            let revision = before.map_or(1, |revision| revision + 1);
            batch.puts.push(codec::seal_head(
                &shared.keys,
                &log.keys,
                &log.state.head,
                revision,
            )?);
            if log.grants_changed {
                let grants = codec::seal_grants(&shared.keys, &log.keys, &log.state.grants)?;
                batch.puts.push(grants);
            }
            log.state.revision = Some(revision);
        }
        sync_keys(shared).await?;
        let before = self.logs.iter().map(|(id, log)| (*id, log.before.clone()));
        shared.unsettle(before);
        let written = shared.store.commit(batch).await;
        shared.settled();
        written?;
        if self.after.is_empty() {
            return Ok(());
        }
        // The entries are durable by now; a key that could not be erased is tried again by the
        // sweep, and must not turn into a refusal of what was done.
        if let Err(fault) = erase(shared, &self.after).await {
            tracing::error!(cause = "keys", error = %fault, "a key could not be erased yet");
        }
        Ok(())
    }
}

async fn erase(shared: &Shared, after: &[After]) -> Result<(), Fault> {
    for step in after {
        match step {
            After::EraseOlder(id) => shared.keys.erase_older(id)?,
            After::Forget(id) => shared.keys.forget(id)?,
        }
    }
    sync_keys(shared).await
}

/// Makes drawn keys durable and erased ones gone, off the runtime's threads.
pub(crate) async fn sync_keys(shared: &Shared) -> Result<(), Fault> {
    if !shared.keys.is_unsynced() {
        return Ok(());
    }
    let keys = Arc::clone(&shared.keys);
    tokio::task::spawn_blocking(move || keys.sync())
        .await
        .map_err(|_| StoreError::Closed)??;
    Ok(())
}
