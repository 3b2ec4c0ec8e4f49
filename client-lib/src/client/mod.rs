//! The door for apps: a [`Client`] holds a vault and runs its conversations, each on a connection of
//! its own.

mod asking;
mod attaching;
mod backup;
mod badges;
mod clock;
mod conversation;
mod desk;
mod driver;
mod errand;
mod exit;
mod inbox;
mod numbers;
mod rating;
mod review;
mod safety;
mod talk;
#[cfg(test)]
mod tests;
mod words;

use core::fmt;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use backup::BackupStanding;
pub use badges::BadgesKept;
pub use conversation::{Conversation, ConversationId};
pub use desk::Visit;
pub use inbox::Inbox;
pub use numbers::DeskNumbers;
pub use rating::SentRating;

use crate::engine::{Effects, Engine, JoinOptions, RoomOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::link::Link;
use crate::transport::{Dial, WebSocketDialer};
use crate::vault::{Batch, MemoryVault, SharedVault, Space, SqliteVault, VaultKey};

use clock::{Clock, Wall};

/// What a client is made of.
#[derive(Debug)]
pub struct ClientOptions {
    vault: VaultChoice,
    dialer: Arc<dyn Dial>,
    wall: Wall,
}

#[derive(Debug)]
enum VaultChoice {
    Ready(SharedVault),
    Folder(PathBuf, VaultKey),
}

impl ClientOptions {
    /// Nothing is kept: when the process ends, everything is gone.
    #[must_use]
    pub fn memory() -> Self {
        Self::vault(SharedVault::new(MemoryVault::new()))
    }

    /// Keeps everything in a folder, sealed under `key`. One process at a time.
    #[must_use]
    pub fn folder(folder: impl Into<PathBuf>, key: VaultKey) -> Self {
        Self::with(VaultChoice::Folder(folder.into(), key))
    }

    /// Keeps everything in this vault.
    #[must_use]
    pub fn vault(vault: SharedVault) -> Self {
        Self::with(VaultChoice::Ready(vault))
    }

    fn with(vault: VaultChoice) -> Self {
        Self {
            vault,
            dialer: Arc::new(WebSocketDialer::new()),
            wall: Wall::default(),
        }
    }

    /// Trusts only these authorities (PEM) for `wss://`, instead of the web's.
    ///
    /// # Errors
    /// [`ErrorKind::Certificate`] if there is no certificate in it.
    pub fn certificate_authority(mut self, pem: &[u8]) -> Result<Self> {
        self.dialer = Arc::new(WebSocketDialer::trusting(pem)?);
        Ok(self)
    }

    /// Connects another way; for tests, and for apps that bring their own network.
    #[must_use]
    pub fn dialer(mut self, dialer: Arc<dyn Dial>) -> Self {
        self.dialer = dialer;
        self
    }

    /// Takes the time of day from elsewhere than the system; for tests, and for devices whose own
    /// clock is known to be wrong. Days come from the relay; a clock that is more than one off is
    /// told of by [`Event::ClockOff`](crate::Event::ClockOff).
    #[must_use]
    pub fn wall_clock(
        mut self,
        time: impl Fn() -> std::time::SystemTime + Send + Sync + 'static,
    ) -> Self {
        self.wall = Wall(Arc::new(time));
        self
    }
}

/// One vault and the conversations in it, running. Cheap to clone; all clones are the same client.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

pub(crate) struct Shared {
    vault: SharedVault,
    dialer: Arc<dyn Dial>,
    clock: Clock,
    tasks: TaskTracker,
    stop: CancellationToken,
    vanish: CancellationToken,
    /// Told after `vanish`: whether everything on the disk is erased.
    erased: watch::Sender<Option<bool>>,
    conversations: Mutex<BTreeMap<Space, Conversation>>,
    inboxes: Mutex<BTreeMap<Space, Inbox>>,
    ratings: Mutex<BTreeMap<Space, SentRating>>,
    backup: backup::Seat,
    /// Told when one conversation has something for another.
    carry: Arc<Notify>,
    desks: desk::Seat,
    badges: badges::Seat,
    /// Held from the look at how many chats there are until there is one more.
    taking: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// Opens the vault and goes on with every conversation in it. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::VaultInUse`], [`ErrorKind::VaultKey`], [`ErrorKind::VaultDamaged`] or
    /// [`ErrorKind::VaultIo`] if the vault or a conversation in it cannot be read.
    ///
    /// # Cancel safety
    /// Cancelled, it leaves nothing running and nothing changed.
    pub async fn open(options: ClientOptions) -> Result<Self> {
        let vault = match options.vault {
            VaultChoice::Ready(vault) => vault,
            VaultChoice::Folder(folder, key) => {
                // A passphrase takes Argon2id's time.
                on_disk(move || SqliteVault::open(&folder, &key).map(SharedVault::new)).await?
            }
        };
        let client = Self(Arc::new(Shared {
            vault,
            dialer: options.dialer,
            clock: Clock::start(options.wall),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            vanish: CancellationToken::new(),
            erased: watch::Sender::new(None),
            conversations: Mutex::default(),
            inboxes: Mutex::default(),
            ratings: Mutex::default(),
            backup: backup::Seat::default(),
            carry: Arc::default(),
            desks: desk::Seat::default(),
            badges: badges::Seat::default(),
            taking: tokio::sync::Mutex::default(),
        }));
        let vault = client.0.vault.clone();
        let (is_copy, spaces) = on_disk(move || {
            vault.with(|vault| {
                let spaces = vault.spaces()?;
                let spaces = spaces
                    .into_iter()
                    .map(|space| Ok((space, vault.range(space, Engine::rows())?)))
                    .collect::<Result<Vec<_>>>();
                Ok((vault.is_copy(), spaces?))
            })
        })
        .await?;
        let (mut loaded, mut first, mut scrub) = (Vec::new(), Batch::default(), false);
        let mut kept = None;
        for (space, rows) in spaces {
            if let Some(backup) = backup::Stored::load(&rows)? {
                kept = Some((space, backup));
                continue;
            }
            if client.0.desks.load(space, &rows).await? {
                continue;
            }
            if let Some(wallet) = badges::load(&rows)? {
                *client.0.badges.lock().await = Some((space, wallet));
                continue;
            }
            let (engine, mut effects) = Engine::load(space, rows, is_copy, client.0.clock.now())?;
            first.then(core::mem::take(&mut effects.store));
            scrub |= core::mem::take(&mut effects.scrub);
            loaded.push((engine, effects));
        }
        // In one batch, since the vault says only until the next one that it is a copy.
        let vault = client.0.vault.clone();
        on_disk(move || vault.with(|vault| driver::write(vault, &first, scrub))).await?;
        for (engine, effects) in loaded {
            client.run(engine, effects);
        }
        if let Some((space, backup)) = kept {
            client.load_backup(space, backup).await?;
        }
        client.run_carrying();
        Ok(client)
    }

    /// Founds a conversation. It is kept when this returns; the relay need
    /// not be reachable yet.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that cannot be shown; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, the conversation may or may not have been founded.
    pub async fn found(&self, options: RoomOptions) -> Result<Conversation> {
        let (engine, effects) = Engine::found(options, self.0.clock.now())?;
        self.begin(engine, effects).await
    }

    /// Joins by a link, or knocks at the door it leads to. It is kept when this returns; watch for [`Standing`](crate::Standing) events.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that cannot be shown; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, the joining may or may not have begun.
    pub async fn join(&self, link: &Link, options: &JoinOptions) -> Result<Conversation> {
        let (engine, effects) = Engine::join(link, options, self.0.clock.now())?;
        self.begin(engine, effects).await
    }

    /// Every conversation of this client, in the order in which they began on this device.
    #[must_use]
    pub fn conversations(&self) -> Vec<Conversation> {
        let conversations = self
            .0
            .conversations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = conversations.values().cloned().collect();
        all.sort_unstable_by_key(Conversation::place_in_list);
        all
    }

    /// Stops everything and waits for it. What was promised is on the disk; unsent messages go out
    /// when the vault is opened again.
    ///
    /// # Cancel safety
    /// Cancelled, everything still stops, but nobody waits for it.
    pub async fn close(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.forget_conversations();
    }

    fn forget_conversations(&self) {
        self.0
            .conversations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.forget_inboxes();
        self.forget_ratings();
    }

    async fn begin(&self, engine: Engine, mut effects: Effects) -> Result<Conversation> {
        let (vault, batch) = (self.0.vault.clone(), core::mem::take(&mut effects.store));
        on_disk(move || vault.with(|vault| vault.apply(&batch))).await?;
        Ok(self.run(engine, effects))
    }

    fn run(&self, engine: Engine, effects: Effects) -> Conversation {
        let (space, is_inbox) = (engine.space(), engine.is_inbox());
        let is_rating = engine.is_rating();
        let (conversation, seat) =
            conversation::pair(&engine, self.0.vault.clone(), &self.0.vanish);
        let driver = driver::Driver {
            engine,
            effects,
            seat,
            vault: self.0.vault.clone(),
            dialer: Arc::clone(&self.0.dialer),
            clock: self.0.clock.clone(),
            backup: self.0.backup.changed(),
            carry: Arc::clone(&self.0.carry),
            stop: self.0.stop.child_token(),
            vanish: self.0.vanish.clone(),
            erased: self.0.erased.subscribe(),
        };
        self.0.tasks.spawn(driver.run());
        if is_inbox {
            self.know_inbox(space, &conversation);
            return conversation;
        }
        if is_rating {
            self.know_rating(space, &conversation);
            return conversation;
        }
        self.0
            .conversations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(space, conversation.clone());
        conversation
    }
}

/// Runs what waits for a disk where it stops nobody.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(Error::new(
            ErrorKind::Internal,
            "a vault's work was broken off",
        ))
    })
}
