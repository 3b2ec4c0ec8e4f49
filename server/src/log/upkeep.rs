//! One step of upkeep on one log, done by the writer between the changes of clients: removing what
//! is trimmed or expired, sealing the rest again under a new key, forgetting a deleted log. It
//! must not decide when; the sweep does.

use sotto_protocol::id::{LogId, RetryId};
use sotto_protocol::limits::RETRY_IDS_PER_LOG_MAX;

use super::append;
use super::codec;
use super::fault::Fault;
use super::grant;
use super::group::{After, Group, Working, sync_keys};
use super::shared::{LaneRange, Shared};
use super::state::{LogState, Now};
use super::verify::seq_of;
use crate::limits::{REKEY_AFTER, UPKEEP_BYTES_MAX, UPKEEP_ENTRIES_MAX};
use crate::retention::{sealed_day, sealed_generation};
use crate::store::{Key, Range, Record};

/// What to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// Remove trimmed entries, or those of a deleted log.
    Purge,
    /// Remove what is expired by this day; seal again what lives longer than its key.
    Expire(u32),
    /// Seal everything under a new key and erase the old one.
    Rekey,
    /// Remove the last records of a deleted log, or the key of a log that never came to be.
    Forget,
}

/// One step of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) log: LogId,
    pub(crate) task: Task,
    /// Where the step before ended.
    pub(crate) after: Option<Key>,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Entries removed.
    pub(crate) removed: u64,
    /// Where the next step goes on; nothing when the task is done.
    pub(crate) next: Option<Key>,
}

/// Carries out a step.
pub(crate) async fn run(shared: &Shared, step: Step) -> Result<Progress, Fault> {
    let id = step.log;
    let Some((state, keys)) = shared.state(&id).await? else {
        if matches!(step.task, Task::Forget) {
            shared.keys.forget(&id)?;
            sync_keys(shared).await?;
        }
        return Ok(Progress::default());
    };
    let log = Working {
        state: LogState::clone(&state),
        before: Some(state),
        keys,
        grants_changed: false,
    };
    let mut work = Work {
        shared,
        id,
        now: shared.now(),
        log,
        group: Group::default(),
        progress: Progress::default(),
    };
    match step.task {
        Task::Purge => work.purge().await?,
        Task::Expire(today) => work.expire(today, step.after).await?,
        Task::Rekey => work.rekey(step.after).await?,
        Task::Forget => work.forget().await?,
    }
    let Work {
        log,
        mut group,
        progress,
        ..
    } = work;
    let unchanged = log
        .before
        .as_ref()
        .is_some_and(|before| before.head == log.state.head);
    if unchanged && !log.grants_changed && !group.has_records() && group.after.is_empty() {
        // Most logs on most days: nothing to write, nothing to sync.
        return Ok(progress);
    }
    group.logs.insert(id, log);
    group.commit(shared).await?;
    Ok(progress)
}

/// Removes one step of what lies at or below the floor.
pub(crate) async fn purge(
    shared: &Shared,
    id: &LogId,
    log: &mut Working,
    now: &Now,
) -> Result<Vec<(LogId, Key)>, Fault> {
    let mut removes = Vec::new();
    let deleted = log.state.head.deleted.is_some();
    for fenced in [false, true] {
        let range = LaneRange {
            fenced,
            after: 0,
            to: log.state.head.floor,
            records_max: UPKEEP_ENTRIES_MAX - removes.len(),
            bytes_max: UPKEEP_BYTES_MAX,
            values: !deleted,
        };
        for (key, value) in shared.lane(log.keys.name, range).await? {
            if !deleted {
                let entry = codec::open_entry(&shared.keys, &log.keys, &key, &value)?;
                append::remove(&mut log.state.head, &entry, now);
            }
            removes.push((*id, key));
        }
    }
    Ok(removes)
}

struct Work<'a> {
    shared: &'a Shared,
    id: LogId,
    now: Now,
    log: Working,
    group: Group,
    progress: Progress,
}

impl Work<'_> {
    fn remove(&mut self, key: Key) {
        self.group.remove(&self.id, key);
        self.progress.removed += 1;
    }

    fn key(&self, record: Record) -> Key {
        Key::new(self.log.keys.name, record)
    }

    /// Records from a key on, or after the one where the last step ended.
    async fn records(
        &self,
        from: Record,
        after: Option<Key>,
        to: Record,
    ) -> Result<Vec<(Key, bytes::Bytes)>, Fault> {
        let name = self.log.keys.name;
        self.shared.records(name, from, after, to).await
    }

    async fn purge(&mut self) -> Result<(), Fault> {
        let removes = purge(self.shared, &self.id, &mut self.log, &self.now).await?;
        if removes.is_empty() {
            self.log.state.head.purging = false;
        } else {
            self.progress.next = Some(self.key(Record::Head));
        }
        for (_, key) in removes {
            self.remove(key);
        }
        Ok(())
    }

    /// First the ordinary lane, then the fenced one, then what hangs on the head.
    async fn expire(&mut self, today: u32, after: Option<Key>) -> Result<(), Fault> {
        let from_fenced = matches!(after.map(|key| key.record), Some(Record::Fenced(_)));
        if !from_fenced {
            let last = Record::Ordinary(u64::MAX);
            let found = self.records(Record::Ordinary(0), after, last).await?;
            let mut done = true;
            for (key, value) in found {
                let over = sealed_day(&value).is_some_and(|day| day < today);
                if !over && !self.log.state.head.disordered {
                    done = true;
                    break;
                }
                done = false;
                self.progress.next = Some(key);
                if over {
                    self.expire_entry(key, &value)?;
                }
            }
            if !done {
                return Ok(());
            }
            self.progress.next = Some(self.key(Record::Fenced(0)));
            return Ok(());
        }
        self.expire_fenced(today, after).await
    }

    fn expire_entry(&mut self, key: Key, value: &[u8]) -> Result<(), Fault> {
        let entry = codec::open_entry(&self.shared.keys, &self.log.keys, &key, value)?;
        append::forget(&mut self.log.state.head, &entry);
        self.remove(key);
        Ok(())
    }

    /// Fenced entries live as promised or since the oldest kept pin, whichever is longer.
    async fn expire_fenced(&mut self, today: u32, after: Option<Key>) -> Result<(), Fault> {
        append::keep_pins(&mut self.log.state.head, today);
        let pinned_from = self.log.state.head.pins.first().map(|pin| pin.seq);
        let longer = today.saturating_add(u32::from(self.log.state.head.policy.ttl_fenced_days));
        let last = Record::Fenced(u64::MAX);
        let found = self.records(Record::Fenced(0), after, last).await?;
        self.progress.next = None;
        for (key, value) in found {
            let entry = codec::open_entry(&self.shared.keys, &self.log.keys, &key, &value)?;
            let over = entry.until < today;
            if !over && !self.log.state.head.disordered {
                self.progress.next = None;
                break;
            }
            self.progress.next = Some(key);
            let kept = pinned_from.is_some_and(|first| entry.seq >= first);
            let sealed = sealed_day(&value).unwrap_or(0);
            if over && !kept {
                if sealed < today {
                    append::forget(&mut self.log.state.head, &entry);
                } else {
                    // It was sealed for longer when a pin still kept it.
                    append::remove(&mut self.log.state.head, &entry, &self.now);
                }
                self.remove(key);
            } else if sealed < today {
                let keys = &self.shared.keys;
                let record = codec::seal_entry(keys, &self.log.keys, &entry, longer)?;
                self.group.put(record.0, record.1);
            }
        }
        if self.progress.next.is_none() {
            self.expire_head(today).await?;
        }
        Ok(())
    }

    async fn expire_head(&mut self, today: u32) -> Result<(), Fault> {
        let head = &mut self.log.state.head;
        let kept_days = u32::from(head.policy.ttl_fenced_days);
        head.retries.retain(|count| count.day + 1 >= today);
        self.log.grants_changed |=
            grant::expire_cut(&mut self.log.state, today.saturating_sub(kept_days));
        let Some(last_day) = today.checked_sub(2) else {
            return Ok(());
        };
        let range = Range {
            from: self.key(Record::Retry(0, RetryId::new([0; 16]))),
            to: self.key(Record::Retry(last_day, RetryId::new([0xff; 16]))),
            records_max: usize::try_from(RETRY_IDS_PER_LOG_MAX).unwrap_or(usize::MAX),
            bytes_max: usize::MAX,
            values: false,
        };
        for (key, _) in self.shared.store.range(range).await? {
            self.group.remove(&self.id, key);
        }
        Ok(())
    }

    async fn rekey(&mut self, after: Option<Key>) -> Result<(), Fault> {
        if after.is_none() {
            if !self.log.keys.has_older() {
                self.log.keys = self.shared.keys.add_log_key(&self.id)?;
            }
            self.log.state.head.dirty = None;
        }
        let newest = self.log.keys.generation();
        let last = Record::Retry(u32::MAX, RetryId::new([0xff; 16]));
        let found = self.records(Record::Ordinary(0), after, last).await?;
        self.progress.next = found.last().map(|(key, _)| *key);
        for (key, value) in found {
            if sealed_generation(&value) == Some(newest) {
                continue;
            }
            match key.record {
                Record::Retry(..) => self.rekey_answer(key, &value)?,
                _ => {
                    let keys = &self.shared.keys;
                    let entry = codec::open_entry(keys, &self.log.keys, &key, &value)?;
                    let day = sealed_day(&value).ok_or(Fault::Shape)?;
                    let record = codec::seal_entry(keys, &self.log.keys, &entry, day)?;
                    self.group.put(record.0, record.1);
                }
            }
        }
        if self.progress.next.is_none() {
            self.log.grants_changed = true;
            self.group.after.push(After::EraseOlder(self.id));
        }
        Ok(())
    }

    /// A remembered answer may hold what was taken or given with a lease; that goes after half the
    /// time, so that it is illegible within a day as well.
    fn rekey_answer(&mut self, key: Key, value: &[u8]) -> Result<(), Fault> {
        let keys = &self.shared.keys;
        let mut stored = codec::open_answer(keys, &self.log.keys, &key, value)?;
        let holds_content = matches!(
            stored.answer,
            Some(
                sotto_protocol::frame::Answer::Taken(_) | sotto_protocol::frame::Answer::Claimed(_)
            )
        );
        if holds_content {
            if stored.at + REKEY_AFTER.as_secs() / 2 <= self.now.wall_s {
                stored.answer = None;
            } else {
                let dirty = self.log.state.head.dirty.get_or_insert(stored.at);
                *dirty = stored.at.min(*dirty);
            }
        }
        let day = sealed_day(value).ok_or(Fault::Shape)?;
        let value = codec::seal_answer(keys, &self.log.keys, &key, &stored, day)?;
        self.group.put(key, value);
        Ok(())
    }

    async fn forget(&mut self) -> Result<(), Fault> {
        let range = Range {
            from: self.key(Record::Ordinary(0)),
            to: self.key(Record::Retry(u32::MAX, RetryId::new([0xff; 16]))),
            records_max: UPKEEP_ENTRIES_MAX,
            bytes_max: usize::MAX,
            values: false,
        };
        let found = self.shared.store.range(range).await?;
        if found.is_empty() {
            self.group.remove_log(&self.id);
            self.group.after.push(After::Forget(self.id));
        }
        self.progress.next = found.last().map(|(key, _)| *key);
        for (key, _) in found {
            debug_assert!(seq_of(&key) <= self.log.state.head.seq);
            self.remove(key);
        }
        Ok(())
    }
}
