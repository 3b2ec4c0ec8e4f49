//! An app's handle to one running conversation.

use core::fmt;
use std::sync::{Arc, Weak};

use futures_util::Stream;
use futures_util::stream;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::on_disk;
use crate::content::MessageId;
use crate::engine::{
    Choices, Command, ConversationKind, Engine, Event, Fingerprint, Knock, Member, Message, Reply,
    Standing, Unsent,
};
use crate::error::{Error, ErrorKind, Result};
use crate::link::Link;
use crate::mls::{LeafId, Suite};
use crate::time::Now;
use crate::vault::{SharedVault, Space, Vault};

/// Commands that may wait for the driver; an app that gives more waits.
const COMMANDS_MAX: usize = 64;
/// Events that may wait for the app; with more the conversation stops reading, and loses nothing.
const EVENTS_MAX: usize = 1_024;

/// Names a conversation on this device; means nothing anywhere else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId(Space);

impl ConversationId {
    pub(super) const fn space(&self) -> Space {
        self.0
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConversationId(…)")
    }
}

/// One conversation. Cheap to clone; all clones are the same conversation, and share its events.
#[derive(Clone)]
pub struct Conversation {
    id: ConversationId,
    /// When it began on this device.
    begun_ms: u64,
    pub(super) vault: SharedVault,
    pub(super) asks: mpsc::Sender<Ask>,
    /// One attachment is taken in at a time.
    pub(super) attaching: Arc<Mutex<()>>,
    events: Arc<Mutex<mpsc::Receiver<Event>>>,
    standing: watch::Receiver<Standing>,
    /// Nothing is to be left: no event either that is here already.
    vanish: CancellationToken,
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conversation")
    }
}

/// What reads the engine as it is now.
type Look = Box<dyn FnOnce(&Engine, Now) + Send>;

/// What a handle asks of its driver.
pub(super) enum Ask {
    Do(Command, oneshot::Sender<Result<Reply>>),
    /// Answered once the attachment is here, or will not come.
    Fetch(MessageId, oneshot::Sender<Result<()>>),
    Look(Look),
}

/// The driver's side of a handle.
pub(super) struct Seat {
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) unread: Unread,
}

/// Events that no app has taken yet, as long as one could.
#[derive(Clone)]
pub(super) struct Unread(Weak<Mutex<mpsc::Receiver<Event>>>);

impl Unread {
    pub(super) async fn forget(&self) {
        if let Some(events) = self.0.upgrade() {
            let mut events = events.lock().await;
            events.close();
            while events.recv().await.is_some() {}
        }
    }
}

pub(super) fn pair(
    engine: &Engine,
    vault: SharedVault,
    vanish: &CancellationToken,
) -> (Conversation, Seat) {
    let (asks, asks_in) = mpsc::channel(COMMANDS_MAX);
    let (standing, standing_in) = watch::channel(engine.standing());
    let (events_out, events) = mpsc::channel(EVENTS_MAX);
    let events = Arc::new(Mutex::new(events));
    let unread = Unread(Arc::downgrade(&events));
    let conversation = Conversation {
        id: ConversationId(engine.space()),
        begun_ms: engine.begun_ms(),
        vault,
        asks,
        attaching: Arc::default(),
        events,
        standing: standing_in,
        vanish: vanish.clone(),
    };
    (
        conversation,
        Seat {
            asks: asks_in,
            events: events_out,
            standing,
            unread,
        },
    )
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "this conversation no longer runs")
}

impl Conversation {
    /// Names it on this device.
    #[must_use]
    pub const fn id(&self) -> ConversationId {
        self.id
    }

    pub(super) const fn space(&self) -> Space {
        self.id.0
    }

    /// Its place among those of a device: a later one comes behind the others, so that numbers stay.
    pub(super) const fn place_in_list(&self) -> (u64, Space) {
        (self.begun_ms, self.id.0)
    }

    /// What it is for, as far as this device knows.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn kind(&self) -> Result<ConversationKind> {
        self.look(Engine::kind).await
    }

    /// Does something. What it changes is on the disk when this returns; the relay need not be
    /// reachable.
    ///
    /// # Errors
    /// [`ErrorKind::NotMember`], [`ErrorKind::NotAllowed`], [`ErrorKind::TooLarge`],
    /// [`ErrorKind::Invalid`], [`ErrorKind::Closed`], the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, it may or may not have been done.
    pub async fn command(&self, command: Command) -> Result<Reply> {
        let (answer, answered) = oneshot::channel();
        self.asks
            .send(Ask::Do(command, answer))
            .await
            .map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Says something; the message goes out when it can, exactly once, in the order it was said.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn send(&self, text: &str) -> Result<MessageId> {
        self.say(text, None).await
    }

    /// Answers a message.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn reply(&self, to: MessageId, text: &str) -> Result<MessageId> {
        self.say(text, Some(to)).await
    }

    async fn say(&self, text: &str, reply_to: Option<MessageId>) -> Result<MessageId> {
        let text = text.to_owned();
        match self.command(Command::Send { text, reply_to }).await? {
            Reply::Message(id) => Ok(id),
            Reply::Kept => Err(Error::new(ErrorKind::Internal, "a message without an id")),
        }
    }

    /// Changes a message of ours that was sent.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Invalid`] for a message of somebody else.
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn edit(&self, of: MessageId, text: &str) -> Result<()> {
        let text = text.to_owned();
        self.command(Command::Edit { of, text }).await.map(drop)
    }

    /// Takes back a message of ours that was sent. Devices that are offline show it until they are
    /// not, and nobody can be made to forget what they read.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Invalid`] for a message of somebody else.
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn delete(&self, message: MessageId) -> Result<()> {
        self.command(Command::Delete(message)).await.map(drop)
    }

    /// Reacts to a message with an emoji of at most
    /// [`REACTION_BYTES_MAX`](crate::REACTION_BYTES_MAX) bytes; an empty one takes it back.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn react(&self, to: MessageId, emoji: &str) -> Result<()> {
        let emoji = emoji.to_owned();
        self.command(Command::React { to, emoji }).await.map(drop)
    }

    /// Waits until one can talk with the others: as a member ([`Standing::In`]), or as one who was
    /// let in and has not heard anybody yet ([`Standing::Waiting`]). Give it a timeout where a
    /// person waits: without a relay, or with a link that ended, it waits on.
    ///
    /// # Errors
    /// [`ErrorKind::NotMember`] once the conversation is over for us; [`ErrorKind::Closed`] if what
    /// runs it stops.
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing, and takes no event.
    pub async fn ready(&self) -> Result<()> {
        let mut standing = self.standing.clone();
        let settled = standing
            .wait_for(|standing| {
                matches!(
                    standing,
                    Standing::In
                        | Standing::Waiting
                        | Standing::Removed
                        | Standing::ShutOut
                        | Standing::Left
                )
            })
            .await
            .map_err(|_| closed())?;
        match *settled {
            Standing::Removed | Standing::ShutOut | Standing::Left => Err(Error::new(
                ErrorKind::NotMember,
                "you are no longer in this conversation",
            )),
            _ => Ok(()),
        }
    }

    /// Removes a member and renews the secret.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn remove(&self, leaf: LeafId) -> Result<()> {
        self.command(Command::Remove(leaf)).await.map(drop)
    }

    /// Lets in who knocked. For facilitators at whose device the door is.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn admit(&self, leaf: LeafId) -> Result<()> {
        self.command(Command::Admit(leaf)).await.map(drop)
    }

    /// Lets in who knocked, and tells them what was said before: what this device keeps of it, the newest
    /// 256 messages and 64 KiB of words at most. Everybody sees what they are told.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn admit_and_retell(&self, leaf: LeafId) -> Result<()> {
        self.command(Command::AdmitAndRetell(leaf)).await.map(drop)
    }

    /// Tells who knocked that they are not let in.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Conflict`] if they are being let in already.
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn turn_away(&self, leaf: LeafId) -> Result<()> {
        self.command(Command::TurnAway(leaf)).await.map(drop)
    }

    /// Those who knocked and wait for a yes or no, oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn knocks(&self) -> Result<Vec<Knock>> {
        self.look(Engine::knocks).await
    }

    /// Leaves. Keys and texts are erased here as soon as the relay has the farewell.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn leave(&self) -> Result<()> {
        self.command(Command::Leave).await.map(drop)
    }

    /// Tells the others that one is away from here, where few are ([`Command::Away`]): before the app is
    /// closed. A [quick exit](super::Client::quick_exit) says the same.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn step_away(&self) -> Result<()> {
        self.command(Command::Away).await.map(drop)
    }

    /// The next event; nothing once the conversation has ended or the client was closed, nor after a
    /// [quick exit](super::Client::quick_exit). Events come once: of several callers each gets some.
    ///
    /// # Cancel safety
    /// Cancel safe: an event is given out or stays.
    pub async fn next_event(&self) -> Option<Event> {
        let next = async { self.events.lock().await.recv().await };
        tokio::select! {
            biased;
            () = self.vanish.cancelled() => None,
            event = next => event,
        }
    }

    /// The events as a stream; see [`Conversation::next_event`].
    pub fn events(&self) -> impl Stream<Item = Event> + Send + use<> {
        stream::unfold(self.clone(), |conversation| async move {
            let event = conversation.next_event().await?;
            Some((event, conversation))
        })
    }

    /// Everybody who can read what is said now.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn members(&self) -> Result<Vec<Member>> {
        self.look(Engine::members).await
    }

    /// Where one stands.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn standing(&self) -> Result<Standing> {
        self.look(Engine::standing).await
    }

    /// The present link: into the conversation, or to its door if this device keeps it.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn link(&self) -> Result<Option<Link>> {
        self.look(Engine::link).await
    }

    /// Texts of ours that are not in the log yet, oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn unsent(&self) -> Result<Vec<Unsent>> {
        self.look(Engine::unsent).await
    }

    /// The suite in force.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn suite(&self) -> Result<Suite> {
        self.look(Engine::suite).await
    }

    /// Every message that is kept on this device, in log order.
    ///
    /// # Errors
    /// The vault's kinds.
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn history(&self) -> Result<Vec<Message>> {
        self.kept(None, 0).await
    }

    /// At most `max` messages that are kept on this device and stand before place `seq` of the log
    /// ([`Message::seq`]; without it, the last ones), in log order: for a screen that scrolls back.
    ///
    /// # Errors
    /// The vault's kinds; [`ErrorKind::Invalid`] for a `max` of 0.
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn history_before(&self, seq: Option<u64>, max: usize) -> Result<Vec<Message>> {
        if max == 0 {
            return Err(Error::new(ErrorKind::Invalid, "a page of no messages"));
        }
        self.kept(seq, max).await
    }

    async fn kept(&self, before: Option<u64>, max: usize) -> Result<Vec<Message>> {
        let (vault, space) = (self.vault.clone(), self.id.0);
        let read = move |vault: &mut dyn Vault| Engine::history(vault, space, before, max);
        on_disk(move || vault.with(read)).await
    }

    /// What shows two members, compared over another channel, that they are in one group and nobody
    /// is between them; absent outside of it.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn fingerprint(&self) -> Result<Option<Fingerprint>> {
        self.look(Engine::fingerprint).await
    }

    /// What this device tells others of itself here.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn choices(&self) -> Result<Choices> {
        self.look(Engine::choices).await
    }

    /// Chooses what this device tells others of itself here, from now on and over restarts.
    ///
    /// # Errors
    /// As [`Conversation::command`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn choose(&self, choices: Choices) -> Result<()> {
        self.command(Command::Choose(choices)).await.map(drop)
    }

    pub(super) async fn look<T: Send + 'static>(
        &self,
        at: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T> {
        self.look_now(|engine, _| at(engine)).await
    }

    /// The same, where it depends on what time it is.
    pub(super) async fn look_now<T: Send + 'static>(
        &self,
        at: impl FnOnce(&Engine, Now) -> T + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let look = move |engine: &Engine, now: Now| {
            // Nobody waits any more: then nobody needs to know.
            let _ = answer.send(at(engine, now));
        };
        self.asks
            .send(Ask::Look(Box::new(look)))
            .await
            .map_err(|_| closed())?;
        answered.await.map_err(|_| closed())
    }
}
