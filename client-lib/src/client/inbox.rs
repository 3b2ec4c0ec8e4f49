//! An app's handle to one inbox, and how its invitations become conversations.

use core::fmt;
use std::sync::PoisonError;

use super::conversation::Conversation;
use super::{Client, Engine};
use crate::engine::{Command, Event, InboxOptions, Invitation, InvitationId, JoinOptions};
use crate::error::Result;
use crate::link::InboxLink;
use crate::vault::Space;

/// A standing inbox: who has its [link](Inbox::link) can add its owner to conversations while they
/// are away. Cheap to clone; all clones are the same inbox, and share its events.
#[derive(Clone)]
pub struct Inbox(Conversation);

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

impl Inbox {
    /// Its address, a secret: who has it can add its owner, and fill the inbox. Absent once the inbox
    /// was given up.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn link(&self) -> Result<Option<InboxLink>> {
        self.0.look(Engine::inbox_link).await
    }

    /// Waits until the relay holds it, so that its link can be given away. Give it a timeout where a
    /// person waits: without a relay it waits on.
    ///
    /// # Errors
    /// [`ErrorKind::NotMember`](crate::ErrorKind::NotMember) once it was given up;
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if what runs it stops.
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing, and takes no event.
    pub async fn ready(&self) -> Result<()> {
        self.0.ready().await
    }

    /// Invitations that wait for a yes or no, oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn invitations(&self) -> Result<Vec<Invitation>> {
        self.0.look(Engine::invitations).await
    }

    /// The next event; [`Event::Invited`] above all. Nothing once the inbox was given up or the client
    /// closed.
    ///
    /// # Cancel safety
    /// Cancel safe: an event is given out or stays.
    pub async fn next_event(&self) -> Option<Event> {
        self.0.next_event().await
    }

    /// Forgets an invitation. Who added us sees us as a member that never says anything, until they
    /// remove us.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if there is no such invitation;
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed), the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, it may or may not have been done.
    pub async fn decline(&self, id: InvitationId) -> Result<()> {
        self.0.command(Command::Decline(id)).await.map(drop)
    }

    /// Gives the inbox up: its keys are erased, and its logs deleted as soon as the relay is reached.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed), the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, it may or may not have been done.
    pub async fn give_up(&self) -> Result<()> {
        self.0.command(Command::Leave).await.map(drop)
    }
}

impl Client {
    /// Opens an inbox. It is kept when this returns; the relay need not be reachable yet.
    ///
    /// # Errors
    /// The vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, the inbox may or may not have been opened.
    pub async fn open_inbox(&self, options: InboxOptions) -> Result<Inbox> {
        let (engine, effects) = Engine::open_inbox(options, self.0.clock.now())?;
        self.begin(engine, effects).await.map(Inbox)
    }

    /// Every inbox of this client, in no particular order.
    #[must_use]
    pub fn inboxes(&self) -> Vec<Inbox> {
        let inboxes = self.0.inboxes.lock();
        let inboxes = inboxes.unwrap_or_else(PoisonError::into_inner);
        inboxes.values().cloned().collect()
    }

    /// Says yes to an invitation of this client's `inbox`: the conversation is kept, and the invitation
    /// gone, when this returns.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a name that cannot be shown or if there is no such invitation;
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed), the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, it may or may not have been done.
    pub async fn accept(
        &self,
        inbox: &Inbox,
        id: InvitationId,
        options: &JoinOptions,
    ) -> Result<Conversation> {
        // One at a time, so that no invitation is accepted twice.
        let _turn = inbox.0.attaching.lock().await;
        let (now, options) = (self.0.clock.now(), options.clone());
        let look = move |engine: &Engine| engine.accept(id, &options, now);
        let (engine, effects) = inbox.0.look(look).await??;
        let conversation = self.begin(engine, effects).await?;
        // The batch took it away already; an inbox that is over has forgotten it by itself.
        let _ = inbox.decline(id).await;
        Ok(conversation)
    }

    pub(super) fn know_inbox(&self, space: Space, running: &Conversation) {
        let inboxes = self.0.inboxes.lock();
        let mut inboxes = inboxes.unwrap_or_else(PoisonError::into_inner);
        inboxes.insert(space, Inbox(running.clone()));
    }

    pub(super) fn forget_inboxes(&self) {
        let inboxes = self.0.inboxes.lock();
        inboxes.unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Conversation {
    /// Adds somebody whose inbox's address we have; they need not be online. For facilitators.
    /// [`Event::Joined`] tells that it is done, [`Event::NotAdded`] that it cannot be.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the inbox is on another relay, for
    /// another suite, or this is a chat of two.
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn add(&self, inbox: &InboxLink) -> Result<()> {
        let inbox = Box::new(inbox.clone());
        self.command(Command::Add(inbox)).await.map(drop)
    }
}
