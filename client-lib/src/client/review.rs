//! Drafts that somebody else reads first, in an app's handle, and what is handed on between two
//! conversations of one client. SPEC.md, "Review".

use core::time::Duration;
use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::conversation::Conversation;
use super::{Client, Shared};
use crate::content::MessageId;
use crate::engine::{Admission, Command, Engine, OpenDraft, RoomOptions};
use crate::error::{ErrorKind, Result};
use crate::vault::Space;

/// Between two looks at whether a room has its door.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Conversation {
    /// From now on, and over restarts, what is written in this chat is read in `side_room` first: it goes
    /// out once somebody else there releases it, and in their words if they changed it
    /// ([`Conversation::send`] makes a draft; answers to one message, changes, reactions, another name,
    /// proposals and files are refused with [`ErrorKind::NotAllowed`]). It is this client that keeps to it. It cannot be taken off, only bound to
    /// another room.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn review_in(&self, side_room: &Self) -> Result<()> {
        let review = Command::ReviewIn(side_room.space());
        self.command(review).await.map(drop)
    }

    /// Drafts in this side-room that nobody has decided on yet.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn open_drafts(&self) -> Result<Vec<OpenDraft>> {
        self.look(Engine::open_drafts).await
    }

    /// Lets somebody's draft go out, in other words if some are given.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Invalid`] if no such draft of somebody else waits.
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn release_draft(&self, of: MessageId, text: Option<&str>) -> Result<()> {
        let text = text.map(ToOwned::to_owned);
        let release = Command::ReleaseDraft { of, text };
        self.command(release).await.map(drop)
    }

    /// Gives somebody's draft back to them, with a note. It does not go out.
    ///
    /// # Errors
    /// As [`Conversation::release_draft`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn send_draft_back(&self, of: MessageId, note: &str) -> Result<()> {
        let note = note.to_owned();
        let back = Command::SendDraftBack { of, note };
        self.command(back).await.map(drop)
    }
}

impl Client {
    /// Founds a room for us and whoever of `team` answers: a team leader to ask, or to read drafts first. The
    /// team is asked in these words, one plain line of at most [`CALL_BYTES_MAX`](crate::CALL_BYTES_MAX)
    /// bytes; who comes knocks, and [`Conversation::admit`] lets them in. Nothing of any chat is in it. Give
    /// it a timeout where a person waits: without a relay it waits on.
    ///
    /// # Errors
    /// As [`Conversation::call`]; [`ErrorKind::Invalid`] for a name that cannot be shown.
    ///
    /// # Cancel safety
    /// Cancelled, the room may have been founded, and nobody asked.
    pub async fn side_room(
        &self,
        team: &Conversation,
        name: &str,
        asks: &str,
    ) -> Result<Conversation> {
        let relay = team.look(|engine| engine.relay().clone()).await?;
        let options = RoomOptions {
            admission: Admission::Approval,
            ..RoomOptions::new(relay, name)
        };
        let (engine, effects) = Engine::found_aside(options, self.0.clock.now())?;
        let room = self.begin(engine, effects).await?;
        while room.link().await?.is_none() {
            sleep(LOOK_AGAIN).await;
        }
        room.call(team, asks).await?;
        Ok(room)
    }

    fn in_space(&self, space: Space) -> Option<Conversation> {
        let conversations = &self.0.conversations;
        let all = conversations.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&space).cloned()
    }

    /// Hands on what one conversation has for another. What cannot be told yet is kept where it is.
    async fn hand_on(&self) {
        for from in self.conversations() {
            let Ok(all) = from.look(Engine::to_carry).await else {
                continue;
            };
            for carried in all {
                let taken = match self.in_space(carried.to()) {
                    Some(to) => to.command(Command::Carry(Box::new(carried.clone()))).await,
                    None => Err(super::conversation::closed()),
                };
                let is_taken = taken.is_ok();
                if taken.is_err_and(|error| error.kind() == ErrorKind::Closed) && self.is_stopping()
                {
                    return;
                }
                let carried = Box::new(carried);
                let told = Command::HandedOn { carried, is_taken };
                // One that has ended meanwhile is told nothing any more.
                let _ = from.command(told).await;
            }
        }
    }

    /// Hands on what was left by the last process, and whatever comes.
    pub(super) fn run_carrying(&self) {
        let (due, stop) = (Arc::clone(&self.0.carry), self.0.stop.clone());
        due.notify_one();
        let carrying = carry(Arc::downgrade(&self.0), due, stop);
        self.0.tasks.spawn(carrying);
    }

    fn is_stopping(&self) -> bool {
        self.0.stop.is_cancelled()
    }
}

/// Hands on whenever there is something, until the client stops or is dropped.
async fn carry(shared: Weak<Shared>, due: Arc<Notify>, stop: CancellationToken) {
    while stop.run_until_cancelled(due.notified()).await.is_some() {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let client = Client(shared);
        stop.run_until_cancelled(client.hand_on()).await;
    }
}
