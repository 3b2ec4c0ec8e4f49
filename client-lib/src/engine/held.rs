//! How a talk is held: by whom, and where each part of that is obeyed, heard and said again.

use super::{Command, Engine, Reply};
use crate::content::{ContentBody, MessageId};
use crate::error::Result;
use crate::mls::LeafId;
use crate::time::Now;

impl Engine {
    pub(super) fn obey_of_talk(&mut self, command: Command, now: Now) -> Result<Reply> {
        match command {
            Command::End(end) => self.set_end(end, now),
            command => self.obey_of_floor(command, now),
        }
    }

    /// Something was said of how the talk is held.
    pub(super) fn heard_of_talk(
        &mut self,
        author: LeafId,
        id: MessageId,
        body: ContentBody,
        now: Now,
    ) -> Result<()> {
        match body {
            ContentBody::Agreement(proposed) => {
                return self.agreement_said(author, id, *proposed, now);
            }
            ContentBody::Until(minute) => self.until_said(author, minute, false),
            ContentBody::Closes(minute) => self.until_said(author, minute, true),
            ContentBody::Floor(said) => self.floor_said(author, said),
            ContentBody::Stop => self.stop_said(author),
            ContentBody::GoOn => self.go_on_said(author),
            ContentBody::Agree(of) => self.agree_said(author, of),
            ContentBody::Draft(draft) => self.draft_said(author, *draft),
            ContentBody::Release(release) => self.draft_released(author, *release),
            ContentBody::SendBack(back) => self.draft_sent_back(author, *back),
            _ => {}
        }
        Ok(())
    }

    /// Says again how the talk is held, for who came since.
    pub(super) fn queue_talk(&mut self, now: Now) -> Result<()> {
        self.queue_floor(now)?;
        self.queue_agreement(now)?;
        self.queue_end(now)
    }

    /// Whether this leaf holds the talk: it facilitates, and is not the one whom the talk is for.
    pub(super) fn holds_talk(&self, leaf: &LeafId) -> bool {
        self.policy
            .as_ref()
            .is_some_and(|policy| policy.is_facilitator(leaf) && !policy.hosts.contains(leaf))
    }
}

/// Whether a command says something that others read.
pub(super) const fn is_words(command: &Command) -> bool {
    matches!(
        command,
        Command::Send { .. }
            | Command::Edit { .. }
            | Command::React { .. }
            | Command::Rename(_)
            | Command::Call { .. }
            | Command::Propose { .. }
            | Command::Attach(super::Attaching::Begin(_))
    )
}
