//! Encoded pushes of the latest entries of followed logs, so that a thousand followers cost one
//! encoding. Bounded; whatever is not here is read from the store.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sotto_protocol::id::LogId;

use crate::limits::{PUSH_BYTES_PER_TURN, RECENT_BYTES_MAX, RECENT_BYTES_PER_LOG_MAX};

/// One encoded push.
#[derive(Clone, Debug)]
pub(crate) struct RecentPush {
    pub(crate) seq: u64,
    pub(crate) is_fenced: bool,
    pub(crate) frame: Bytes,
}

#[derive(Default)]
struct Inner {
    /// Runs without gaps, oldest first.
    logs: HashMap<LogId, (VecDeque<RecentPush>, usize)>,
    bytes: usize,
}

/// The latest pushes of all logs.
#[derive(Default)]
pub(crate) struct Recent {
    inner: Mutex<Inner>,
}

impl Recent {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the next entries of a log.
    pub(crate) fn add(&self, log: &LogId, pushes: Vec<RecentPush>) {
        let mut inner = self.inner();
        if inner.bytes >= RECENT_BYTES_MAX {
            // Rare and cheap: followers that are behind read from the store once.
            inner.logs.clear();
            inner.bytes = 0;
        }
        let (run, bytes) = inner.logs.entry(*log).or_default();
        let before = *bytes;
        for push in pushes {
            if run.back().is_some_and(|last| last.seq + 1 != push.seq) {
                run.clear();
                *bytes = 0;
            }
            *bytes += push.frame.len();
            run.push_back(push);
            while *bytes > RECENT_BYTES_PER_LOG_MAX {
                match run.pop_front() {
                    Some(first) => *bytes -= first.frame.len(),
                    None => break,
                }
            }
        }
        let after = *bytes;
        inner.bytes = inner.bytes + after - before;
    }

    /// Forgets a log: entries were removed, or nobody follows it.
    pub(crate) fn forget(&self, log: &LogId) {
        let mut inner = self.inner();
        if let Some((_, bytes)) = inner.logs.remove(log) {
            inner.bytes -= bytes;
        }
    }

    /// The pushes after a cursor, if all of them up to `to` are here: at most `max` of the wanted
    /// ones and no more than a turn's bytes, and how far that went.
    pub(crate) fn after(
        &self,
        log: &LogId,
        after: u64,
        to: u64,
        fenced_only: bool,
        max: usize,
    ) -> Option<(Vec<(u64, Bytes)>, u64)> {
        let inner = self.inner();
        let (run, _) = inner.logs.get(log)?;
        let first = run.front()?.seq;
        if after + 1 < first || run.back()?.seq < to {
            return None;
        }
        let skip = usize::try_from(after + 1 - first).ok()?;
        let mut pushes: Vec<(u64, Bytes)> = Vec::new();
        let (mut cursor, mut bytes) = (after, 0);
        for push in run.iter().skip(skip).take_while(|push| push.seq <= to) {
            if push.is_fenced || !fenced_only {
                bytes += push.frame.len();
                let is_over = bytes > PUSH_BYTES_PER_TURN && !pushes.is_empty();
                if pushes.len() >= max || is_over {
                    break;
                }
                pushes.push((push.seq, push.frame.clone()));
            }
            cursor = push.seq;
        }
        Some((pushes, cursor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(seq: u64, bytes: usize) -> RecentPush {
        RecentPush {
            seq,
            is_fenced: seq.is_multiple_of(2),
            frame: vec![0; bytes].into(),
        }
    }

    #[test]
    fn only_a_run_without_gaps_is_served() {
        let log = LogId::new([1; 32]);
        let recent = Recent::default();
        recent.add(&log, vec![push(3, 10), push(4, 10), push(5, 10)]);
        assert!(recent.after(&log, 1, 5, false, 9).is_none());
        let (pushes, cursor) = recent.after(&log, 2, 5, false, 2).unwrap();
        assert_eq!((pushes.len(), cursor), (2, 4));
        let (pushes, cursor) = recent.after(&log, 2, 5, true, 9).unwrap();
        assert_eq!((pushes.len(), cursor), (1, 5));
        assert!(recent.after(&log, 2, 6, false, 9).is_none());
        recent.add(&log, vec![push(7, 10)]);
        assert!(recent.after(&log, 2, 7, false, 9).is_none());
        recent.forget(&log);
        assert_eq!(recent.inner().bytes, 0);
    }

    #[test]
    fn a_turn_holds_no_more_bytes_than_its_limit_and_always_one_push() {
        let log = LogId::new([1; 32]);
        let recent = Recent::default();
        let pushes = [20_000, 40_000, 10_000, 70_000];
        recent.add(
            &log,
            (1..)
                .zip(pushes)
                .map(|(seq, bytes)| push(seq, bytes))
                .collect(),
        );
        for (after, cursor) in [(0, 2), (2, 3), (3, 4)] {
            let (pushes, to) = recent.after(&log, after, 4, false, 9).unwrap();
            assert_eq!(
                (to, pushes.len()),
                (cursor, usize::try_from(cursor - after).unwrap())
            );
        }
    }

    #[test]
    fn memory_is_bounded_per_log_and_in_all() {
        let recent = Recent::default();
        for number in 0..100_u8 {
            let log = LogId::new([number; 32]);
            recent.add(&log, (1..50).map(|seq| push(seq, 65_536)).collect());
            let inner = recent.inner();
            assert!(inner.logs[&log].1 <= RECENT_BYTES_PER_LOG_MAX);
            assert!(inner.bytes <= RECENT_BYTES_MAX + RECENT_BYTES_PER_LOG_MAX);
        }
    }
}
