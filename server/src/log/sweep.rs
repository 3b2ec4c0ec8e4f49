//! When retention acts: which logs need what, and when the keys of past days are erased. It must
//! not erase anything while the clock is in doubt.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sotto_protocol::id::LogId;
use tokio_util::sync::CancellationToken;

use super::Logs;
use super::fault::Fault;
use super::group::sync_keys;
use super::shared::Shared;
use super::stamp;
use super::state::LogState;
use super::upkeep::{Progress, Step, Task};
use crate::clock::{DAY, day_of};
use crate::limits::{REKEY_AFTER, SWEEP_INTERVAL};

/// How retention stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retention {
    /// No sweep has ended yet.
    #[default]
    Unknown,
    /// The last sweep did all there was to do.
    Swept,
    /// The wall clock moved a day or more since it was last written down: it may be wrong, or the
    /// relay was stopped that long. Nothing is erased until the operator confirms the clock, see
    /// [`Folder::confirm_clock`](crate::store::Folder::confirm_clock).
    ClockJumped {
        /// Seconds, forward positive.
        by_s: i64,
    },
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// How retention stands now.
    pub retention: Retention,
    /// Entries removed.
    pub removed: u64,
    /// Logs that were sealed again under a new key.
    pub rekeyed: u64,
    /// Deleted logs that were forgotten.
    pub forgotten: u64,
}

/// Sweeps now and then until the end.
pub(crate) async fn run(logs: Logs, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
        }
        // The fault is in the log; the next sweep tries again.
        drop(logs.sweep().await);
    }
}

/// Whether the clock may be gone by. If not, says so in the log and to whoever asks.
pub(crate) fn is_clock_believed(shared: &Shared, now_s: u64) -> bool {
    let Some(before) = shared
        .keys
        .clock_reading()
        .filter(|before| now_s.abs_diff(*before) >= DAY.as_secs())
    else {
        return true;
    };
    let by_s = i64::try_from(i128::from(now_s) - i128::from(before)).unwrap_or(i64::MAX);
    shared.set_retention(Retention::ClockJumped { by_s });
    tracing::warn!(
        by_s,
        "the clock moved by a day or more; nothing is erased until it is confirmed: stop the \
         relay, see that the date is right, run `sotto-relay confirm-clock`"
    );
    false
}

/// See [`Logs::sweep`].
pub(crate) async fn sweep(logs: &Logs) -> Result<Swept, Fault> {
    let shared = &logs.shared;
    let wall = shared.clock.wall();
    let now_s = wall.as_secs();
    let mut swept = Swept::default();
    if !is_clock_believed(shared, now_s) {
        swept.retention = shared.retention();
        return Ok(swept);
    }
    let today = day_of(wall);
    // A key may only be erased when nothing is left that needs it: a clock that went back and
    // came again leaves such entries in the middle of a day.
    let expire = shared.expired_day.load(Ordering::Relaxed) != today
        || shared.keys.first_day().is_some_and(|day| day < today);
    for id in shared.keys.logs() {
        tend(logs, &id, expire.then_some(today), now_s, &mut swept).await?;
    }
    shared.keys.erase_days_before(today)?;
    shared.keys.erase_stamps_before(stamp::first_kept(today))?;
    shared.keys.write_clock(now_s)?;
    sync_keys(shared).await?;
    shared.expired_day.store(today, Ordering::Relaxed);
    swept.retention = Retention::Swept;
    shared.set_retention(swept.retention);
    Ok(swept)
}

/// Does for one log what is due.
async fn tend(
    logs: &Logs,
    id: &LogId,
    expire: Option<u32>,
    now_s: u64,
    swept: &mut Swept,
) -> Result<(), Fault> {
    let found = logs.shared.state(id).await?;
    let Some((state, keys)) = found else {
        carry_out(logs, id, Task::Forget, swept).await?;
        return Ok(());
    };
    if state.head.purging {
        carry_out(logs, id, Task::Purge, swept).await?;
    }
    if let Some(day) = state.head.deleted {
        return tend_deleted(logs, id, &state, day, swept).await;
    }
    if let Some(today) = expire {
        carry_out(logs, id, Task::Expire(today), swept).await?;
    }
    let due = state
        .head
        .dirty
        .is_some_and(|dirty| now_s.saturating_sub(dirty) >= REKEY_AFTER.as_secs());
    if due || keys.has_older() {
        carry_out(logs, id, Task::Rekey, swept).await?;
        swept.rekeyed += 1;
    }
    Ok(())
}

/// A deleted log is remembered while its delete may be repeated.
async fn tend_deleted(
    logs: &Logs,
    id: &LogId,
    state: &Arc<LogState>,
    day: u32,
    swept: &mut Swept,
) -> Result<(), Fault> {
    let today = logs.shared.clock.day();
    debug_assert!(state.head.deleted.is_some());
    // The key was to be erased at the delete; a crash may have come between.
    logs.shared.keys.erase_older(id)?;
    sync_keys(&logs.shared).await?;
    if day + 1 < today {
        carry_out(logs, id, Task::Forget, swept).await?;
        swept.forgotten += 1;
    }
    Ok(())
}

/// All steps of a task.
async fn carry_out(logs: &Logs, id: &LogId, task: Task, swept: &mut Swept) -> Result<(), Fault> {
    let mut after = None;
    loop {
        let step = Step {
            log: *id,
            task,
            after,
        };
        let Progress { removed, next } = logs.queue.upkeep(step).await?;
        swept.removed += removed;
        if next.is_none() {
            return Ok(());
        }
        after = next;
    }
}
