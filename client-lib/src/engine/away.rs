//! Away for longer than the log keeps what is needed to follow it. SPEC.md, "Away too long".
//!
//! Words expire after weeks, Commits after two months, and with them what a cut key opens. Who comes
//! back later has a group that nobody is in any more. It starts over: reads what newcomers read, and
//! comes in again in place of its own leaf. Where its keys open nothing, it knocks where it knows the
//! door; elsewhere only a new link leads back in.

use sotto_protocol::limits::TTL_FENCED_DAYS_DEFAULT;
use x25519_dalek::StaticSecret;

use super::joining::Joining;
use super::saved::Stage;
use super::{Engine, Event};
use crate::error::Result;
use crate::policy::Policy;
use crate::time::Now;

impl Engine {
    /// Entries are gone that we did not read.
    pub(super) fn expired(&mut self) {
        // A newcomer skips what stood before it; who reads from outside skips words on purpose.
        if self.is_inside() && self.saved.passing.is_none() {
            self.tell(Event::Expired);
        }
    }

    /// Whether a fenced item was passed over: its number is beyond the next one. Its Commit is gone,
    /// or is kept from us; our group does not lead to the present epoch either way.
    pub(super) fn has_missed_a_commit(&self, fence: Option<u64>) -> bool {
        let is_beyond = fence.is_some_and(|fence| fence > self.saved.fence);
        is_beyond && self.is_inside() && self.saved.passing.is_none()
    }

    /// The same where no Commit is left behind what is gone: the log is read to its head, and counts
    /// more fenced items than we met.
    pub(super) fn start_over_if_commits_are_gone(&mut self, now: Now) -> Result<()> {
        let is_short = self.head_fence > self.saved.fence;
        if is_short && self.is_inside() && self.is_caught_up() {
            return self.start_over(now);
        }
        Ok(())
    }

    const fn is_inside(&self) -> bool {
        matches!(self.saved.stage, Stage::Waiting | Stage::In)
    }

    /// The log does not open for us. Who was here within the life of a cut key waits, as a relay that
    /// is wrong today may be right tomorrow; who was away for longer has no key of its own any more.
    pub(super) fn not_let_in(&mut self, now: Now) -> Result<()> {
        self.head = None;
        if self.saved.stage == Stage::Leaving || self.has_lost_ticket() {
            // Nobody is there to be told: the log is gone, perhaps by our own doing before a
            // crash. What is left is to forget.
            self.end(Stage::Left);
        } else if self.is_inside() && self.is_away_past_its_keys() {
            self.tell(Event::Expired);
            if self.joins_by_link() {
                return self.start_over(now);
            }
            self.shut_out();
        } else {
            self.no_way_in();
        }
        Ok(())
    }

    /// What we came with, or would come in again with, opens nothing.
    pub(super) fn no_way_in(&mut self) {
        if self.is_shut_out() {
            return;
        }
        if self.saved.starts_over && self.is_away_past_its_keys() {
            self.shut_out();
        } else {
            self.tell(Event::Refused);
        }
    }

    /// Neither this device's clock nor the relay's date alone makes this true: it goes by the
    /// conversation's own time.
    fn is_away_past_its_keys(&self) -> bool {
        let kept = u32::from(TTL_FENCED_DAYS_DEFAULT);
        self.saved.day != 0 && self.our_day() > self.saved.day.saturating_add(kept)
    }

    fn joins_by_link(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.link_joins)
    }

    /// Reads what a newcomer reads, to come in again in place of our own leaf. Nothing is encrypted
    /// with the group that is left behind.
    pub(super) fn start_over(&mut self, now: Now) -> Result<()> {
        self.drop_flight_of(|_| true)?;
        self.drop_lost_commit()?;
        self.forget_disputes();
        self.run = None;
        self.head = None;
        self.saved.is_old = true;
        self.saved.starts_over = true;
        self.joining = Some(Joining::default());
        self.set_stage(Stage::Joining);
        // Our leaf may be gone from the tree, and our name with it.
        self.say_hello_once(now)?;
        let keys = self.keys_to_start_over()?;
        self.session.open(self.saved.log, keys);
        Ok(())
    }

    /// The link's key, where the rules let people in by it: it lives as long as the secret does. Our
    /// own may have been cut.
    pub(super) fn keys_to_start_over(&self) -> Result<Vec<StaticSecret>> {
        if self.joins_by_link() {
            return Ok(vec![self.newest_generation()?.join_key()]);
        }
        Ok(self.keys_on_the_way_back()?.unwrap_or_default())
    }

    /// Whether our leaf was let go meanwhile, in a conversation that nobody comes into without a yes.
    pub(super) fn is_let_go(&self) -> bool {
        let follower = self.joining.as_ref().and_then(|one| one.follower.as_ref());
        let Some(follower) = follower.filter(|_| self.saved.starts_over) else {
            return false;
        };
        let by_link = Policy::parse(&follower.policy()).is_ok_and(|policy| policy.link_joins);
        !by_link && !follower.leaves().contains(&self.key.id())
    }
}
