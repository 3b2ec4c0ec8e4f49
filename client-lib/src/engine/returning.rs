//! A state that may be a copy: an old vault copied back, a phone restored. It must never encrypt
//! again, since the original may have used the very same message keys; so it comes in again in place
//! of its own leaf, and everybody is told.
//!
//! The signs: the vault says so, or the log holds an entry of ours that this state does not know.
//! Both are looked at before anything is sent, as nothing is sent before the log is read to its head.

use super::aside::Before;
use super::dispute::Dispute;
use super::saved::Stage;
use super::{Engine, internal};
use crate::error::Result;
use crate::seal::CommitBody;
use crate::time::Now;

/// Times that unknown words under our name make us come in again, in one process. The relay and
/// strangers cannot write such; a member can (what names the author is not signed), and shall
/// gain no more by it than by Commits of their own.
const RETURNS_MAX: u8 = 4;

impl Engine {
    /// The vault says that this state was copied here or is from an earlier time.
    pub(super) fn distrust_copy(&mut self) {
        match self.saved.stage {
            Stage::Removed | Stage::Left | Stage::ShutOut | Stage::TurnedAway => {}
            // The original may be in the group that we were about to join: begin anew, and take
            // its place.
            Stage::Joining => drop(self.take_flight()),
            _ => self.saved.is_old = true,
        }
    }

    /// The log holds a message under our name that this state does not know.
    pub(super) fn own_unknown(&mut self) {
        if self.saved.is_old {
            return;
        }
        if self.returns == RETURNS_MAX {
            self.junk();
            return;
        }
        self.returns += 1;
        self.saved.is_old = true;
    }

    /// The log holds a Commit that our leaf signed and this state does not know: the present epoch
    /// is out of its reach, so it follows from outside and comes in again; behind a rotation it cannot.
    pub(super) fn outlived(
        &mut self,
        body: &CommitBody<'_>,
        dispute: Option<Dispute>,
        is_rotation: bool,
    ) -> Result<()> {
        if is_rotation {
            // The secret it handed on is for those in its epoch, and our keys end here.
            self.shut_out();
            return Ok(());
        }
        self.look_on(body)?;
        self.drop_lost_commit()?;
        self.took(dispute, Some(Before::Here));
        self.saved.is_old = true;
        self.set_stage(Stage::Joining);
        Ok(())
    }

    /// Comes in again in place of our own leaf. Until the Commit stands in the log we read on with
    /// the state we have, so that nothing that others say is missed.
    pub(super) fn fly_return(&mut self, now: Now) -> Result<()> {
        let group = self
            .group
            .as_ref()
            .ok_or_else(|| internal("a return without a group"))?;
        let (info, tree, epoch) = (group.group_info(&self.key)?, group.tree()?, group.epoch());
        if self.fly_join(&info, &tree, epoch, self.saved.fence, now)? {
            Ok(())
        } else {
            Err(internal("no way back into the group"))
        }
    }
}
