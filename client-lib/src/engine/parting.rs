//! That somebody is away, and the last word before everything here is erased. SPEC.md, "Away".
//!
//! What is said is the same whatever the reason, so that nobody who hears it learns the reason.

use super::saved::Stage;
use super::{Engine, Event, Reply, retry_id};
use crate::content::ContentBody;
use crate::error::Result;
use crate::mls::{Group, LeafId};
use crate::time::Now;

/// In conversations of so many and fewer, which nobody joins by a link, members are told who is away,
/// and who comes back gives a safe word: those of a chat and whom they asked to enter. In larger
/// ones it would only tell many when somebody comes and goes.
const FEW_MAX: usize = 8;

impl Engine {
    /// Whether members are few and were each let in.
    pub(super) fn is_among_few(&self) -> bool {
        let by_link = self.policy.as_ref().is_none_or(|policy| policy.link_joins);
        let leaves = self.group.as_ref().map_or(0, |group| group.leaves().len());
        !by_link && (2..=FEW_MAX).contains(&leaves)
    }

    fn may_say_away(&self) -> bool {
        let is_member = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        is_member && self.is_online && self.is_among_few() && !self.saved.is_old
    }

    /// We are away from here on. Nobody wants to hear it later, so it goes out at once or not at all.
    pub(super) fn step_away(&mut self, now: Now) -> Result<Reply> {
        if self.may_say_away() && self.outbox.is_empty() && self.flight.is_none() {
            self.saved.said_away = true;
            self.queue(ContentBody::Away, now)?;
        }
        Ok(Reply::Kept)
    }

    /// After a start: an *away* that did not go out is none any more, and one that did is over; what
    /// was read is still to be told.
    pub(super) fn come_again(&mut self, now: Now) -> Result<()> {
        self.plan_receipts(now);
        let old: Vec<_> = self
            .outbox
            .iter()
            .filter(|(_, one)| matches!(one.content.body, ContentBody::Away))
            .map(|(number, _)| *number)
            .filter(|number| !self.is_flying(*number))
            .collect();
        for number in old {
            self.unqueue(number);
        }
        if core::mem::take(&mut self.saved.said_away) {
            self.queue(ContentBody::Alive, now)?;
        }
        Ok(())
    }

    /// Messages for a connection that stands, sealed to the end: that we are away, or that our ticket is
    /// taken back. It is the last thing that an engine does: nothing of it may be kept, as nothing that
    /// was kept may be used again.
    #[must_use]
    pub fn last_word(&mut self, now: Now) -> Vec<Vec<u8>> {
        let now = self.paced(now);
        let said = if self.is_asking() {
            self.leave_queue(now).and_then(|()| self.go_on_beside(now))
        } else if self.may_say_away() {
            self.append_away(now)
        } else {
            return Vec::new();
        };
        if said.is_err() {
            // Then it is not said.
            return Vec::new();
        }
        core::iter::from_fn(|| self.session.poll_output()).collect()
    }

    /// Beside what may be on its way: nobody waits for its answer.
    fn append_away(&mut self, now: Now) -> Result<()> {
        let number = self.saved.next_out;
        self.queue(ContentBody::Away, now)?;
        let entries = self.seal_message(number)?;
        let (item, day) = (self.item(entries), self.session.today(now));
        self.session.append(vec![item], retry_id()?, day);
        Ok(())
    }

    /// A member said that they are away.
    pub(super) fn member_away(&mut self, leaf: LeafId) -> Result<()> {
        let leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        if leaf == self.key.id() || !leaves.contains(&leaf) || self.saved.away.contains(&leaf) {
            return Ok(());
        }
        self.saved.away.retain(|one| leaves.contains(one));
        self.saved.away.push(leaf);
        self.tell(Event::Away { leaf });
        Ok(())
    }

    /// A member said anything else.
    pub(super) fn member_here(&mut self, leaf: LeafId) {
        let before = self.saved.away.len();
        self.saved.away.retain(|one| *one != leaf);
        if self.saved.away.len() != before {
            self.tell(Event::Back { leaf });
        }
    }

    /// Whether the last thing that we said is that we are away.
    #[must_use]
    pub const fn has_said_away(&self) -> bool {
        self.saved.said_away
    }

    /// Whether a member said that they are away, and nothing since.
    pub(super) fn is_away(&self, leaf: &LeafId) -> bool {
        self.saved.away.contains(leaf)
    }
}
