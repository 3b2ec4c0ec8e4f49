//! The logs a connection follows: cursor, credit and whose turn it is.
//!
//! Nothing is queued here. A follow that is behind is pulled from the log when the writer has time
//! for it; one that is not waits for the log's wake-up.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use sotto_protocol::frame::Lane;
use sotto_protocol::id::{LogId, Tag};
use sotto_protocol::limits::CREDIT_MAX;

/// Resolves when a log has changed.
pub(super) type Changed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells one follow of a log from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FollowId(u64);

struct Follow {
    id: FollowId,
    log: LogId,
    lane: Lane,
    after: u64,
    credit: u32,
    tag: Tag,
    /// The answer to `follow` is written.
    is_started: bool,
    /// There may be entries after the cursor.
    is_behind: bool,
    changed: Option<Changed>,
}

/// What a turn of the writer is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) id: FollowId,
    pub(super) log: LogId,
    pub(super) lane: Lane,
    pub(super) after: u64,
    pub(super) credit: u32,
    pub(super) tag: Tag,
}

/// All follows of one connection, in the order of their turns.
#[derive(Default)]
pub(crate) struct Follows {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    follows: Vec<Follow>,
    last: u64,
    /// The writer, waiting in [`Follows::wait`].
    waiting: Option<Waker>,
}

impl Inner {
    fn position(&self, id: FollowId) -> Option<usize> {
        self.follows.iter().position(|follow| follow.id == id)
    }

    fn find(&mut self, id: FollowId) -> Option<&mut Follow> {
        self.follows.iter_mut().find(|follow| follow.id == id)
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

impl fmt::Debug for Follows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follows").finish_non_exhaustive()
    }
}

impl Follows {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a follow, or replaces the one of the same log; it starts with [`Self::start`].
    pub(crate) fn insert(
        &self,
        log: LogId,
        lane: Lane,
        after: u64,
        credit: u32,
        tag: Tag,
    ) -> FollowId {
        let mut inner = self.inner();
        inner.last += 1;
        let id = FollowId(inner.last);
        inner.follows.retain(|follow| follow.log != log);
        inner.follows.push(Follow {
            id,
            log,
            lane,
            after,
            credit,
            tag,
            is_started: false,
            is_behind: true,
            changed: None,
        });
        id
    }

    /// The answer is written: pushes may go.
    pub(super) fn start(&self, id: FollowId) {
        let mut inner = self.inner();
        if let Some(follow) = inner.find(id) {
            follow.is_started = true;
        }
        inner.wake();
    }

    /// Ends the follow of a log; says whether there was one.
    pub(crate) fn remove(&self, log: &LogId) -> bool {
        let mut inner = self.inner();
        let before = inner.follows.len();
        inner.follows.retain(|follow| follow.log != *log);
        inner.follows.len() < before
    }

    /// Ends one follow.
    pub(super) fn end(&self, id: FollowId) {
        self.inner().follows.retain(|follow| follow.id != id);
    }

    /// Adds credit; `None` if the log is not followed, `Some(false)` if it would be too much.
    pub(crate) fn add_credit(&self, log: &LogId, more: u32) -> Option<bool> {
        let mut inner = self.inner();
        let follow = inner.follows.iter_mut().find(|follow| follow.log == *log)?;
        let sum = follow.credit.checked_add(more);
        let Some(sum) = sum.filter(|sum| *sum <= CREDIT_MAX) else {
            return Some(false);
        };
        follow.credit = sum;
        inner.wake();
        Some(true)
    }

    /// Whose turn it is. The follow goes to the end of the row, so that a busy log does not keep
    /// the others waiting.
    pub(super) fn next_turn(&self) -> Option<Turn> {
        let mut inner = self.inner();
        let place = inner
            .follows
            .iter()
            .position(|follow| follow.is_started && follow.is_behind && follow.credit > 0)?;
        let follow = inner.follows.remove(place);
        let turn = Turn {
            id: follow.id,
            log: follow.log,
            lane: follow.lane,
            after: follow.after,
            credit: follow.credit,
            tag: follow.tag,
        };
        inner.follows.push(follow);
        Some(turn)
    }

    /// Notes what a turn brought: the new cursor, what it used, and how to learn of more.
    pub(super) fn turn_done(
        &self,
        id: FollowId,
        after: u64,
        used: u32,
        is_behind: bool,
        changed: Changed,
    ) {
        let mut inner = self.inner();
        if let Some(follow) = inner.find(id) {
            follow.after = after;
            follow.credit = follow.credit.saturating_sub(used);
            follow.is_behind = is_behind;
            follow.changed = Some(changed);
        }
    }

    /// Whether the follow still stands; it may have been replaced during a turn.
    pub(super) fn is_current(&self, id: FollowId) -> bool {
        self.inner().position(id).is_some()
    }

    /// Waits until somebody may have a turn.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn wait(&self) {
        std::future::poll_fn(|cx| self.poll_turn(cx)).await;
    }

    fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner();
        inner.waiting = Some(cx.waker().clone());
        let mut is_ready = false;
        for follow in &mut inner.follows {
            if let Some(changed) = &mut follow.changed
                && changed.as_mut().poll(cx).is_ready()
            {
                follow.changed = None;
                follow.is_behind = true;
            }
            is_ready |= follow.is_started && follow.is_behind && follow.credit > 0;
        }
        if is_ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> Changed {
        Box::pin(std::future::pending())
    }

    fn log(number: u8) -> LogId {
        LogId::new([number; 32])
    }

    fn add(follows: &Follows, number: u8, credit: u32) -> FollowId {
        follows.insert(log(number), Lane::All, 0, credit, Tag::new([number; 8]))
    }

    #[test]
    fn nothing_is_pushed_before_the_answer_or_without_credit() {
        let follows = Follows::default();
        let id = add(&follows, 1, 0);
        assert!(follows.next_turn().is_none());
        follows.start(id);
        assert!(follows.next_turn().is_none());
        assert_eq!(follows.add_credit(&log(1), CREDIT_MAX), Some(true));
        assert_eq!(follows.add_credit(&log(1), 1), Some(false));
        assert_eq!(follows.add_credit(&log(2), 1), None);
        assert_eq!(follows.next_turn().unwrap().credit, CREDIT_MAX);
    }

    #[test]
    fn a_busy_log_does_not_keep_the_others_waiting() {
        let follows = Follows::default();
        for number in 1..=3 {
            let id = add(&follows, number, 100);
            follows.start(id);
        }
        let mut seen = Vec::new();
        for _ in 0..6 {
            let turn = follows.next_turn().unwrap();
            follows.turn_done(turn.id, 1, 1, true, never());
            seen.push(*turn.log.as_bytes().first().unwrap());
        }
        assert_eq!(seen, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn a_second_follow_replaces_the_first_and_its_turn() {
        let follows = Follows::default();
        let first = add(&follows, 1, 5);
        follows.start(first);
        let second = add(&follows, 1, 7);
        assert!(!follows.is_current(first));
        follows.turn_done(first, 9, 1, true, never());
        follows.start(first);
        assert!(follows.next_turn().is_none());
        follows.start(second);
        let turn = follows.next_turn().unwrap();
        assert_eq!((turn.after, turn.credit), (0, 7));
    }

    #[tokio::test]
    async fn a_change_brings_the_next_turn() {
        let follows = Follows::default();
        let id = add(&follows, 1, 5);
        follows.start(id);
        let (send, receive) = tokio::sync::oneshot::channel::<()>();
        let turn = follows.next_turn().unwrap();
        let changed = Box::pin(async { drop(receive.await) });
        follows.turn_done(turn.id, 3, 3, false, changed);
        assert!(follows.next_turn().is_none());
        let mut wait = Box::pin(follows.wait());
        assert!(futures_util::poll!(&mut wait).is_pending());
        send.send(()).unwrap();
        wait.await;
        let turn = follows.next_turn().unwrap();
        assert_eq!((turn.after, turn.credit), (3, 2));
    }
}
