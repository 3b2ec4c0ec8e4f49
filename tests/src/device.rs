//! A device that can crash: a vault that dies at a chosen batch, and a person who starts the app
//! again and goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use sotto_client::error::{Error, ErrorKind, Result};
use sotto_client::vault::{
    Batch, Key, Mark, MemoryVault, Range, Residue, Row, SharedVault, Space, Vault,
};
use sotto_client::{
    Client, ClientOptions, Conversation, Event, JoinOptions, LeafId, Link, RoomOptions,
};
use tokio::sync::watch;

use crate::world::{Network, World};

/// Longer than anything that is under way takes; paused time passes at once when nothing is.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3_600);

/// When a disk dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Never.
    Never,
    /// Batch number so many (from 1) is lost, and all later ones.
    Before(u64),
    /// Batch number so many is kept, but nobody hears of it; all later ones are lost.
    After(u64),
}

/// What a device's disk holds, whatever becomes of the process.
#[derive(Clone)]
pub struct Disk {
    vault: Arc<Mutex<MemoryVault>>,
    /// How many processes were started on it. Only the last one lives: one that was not stopped
    /// properly is killed by the next start, as it would be in the world.
    starts: Arc<AtomicU64>,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            vault: Arc::new(Mutex::new(MemoryVault::new())),
            starts: Arc::default(),
        }
    }
}

impl Disk {
    /// The disk as it is now, again: a backup, or a copy of the phone.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn copy(&self) -> Self {
        let from = self.vault.lock().expect("a lock");
        let mut to = MemoryVault::new();
        for space in from.spaces().expect("spaces") {
            let mut batch = Batch::default();
            for (name, value) in from.load(space).expect("rows") {
                batch.put(Key::new(space, name), value);
            }
            to.apply(&batch).expect("a copy");
        }
        Self {
            vault: Arc::new(Mutex::new(to)),
            starts: Arc::default(),
        }
    }

    /// A vault on it for one process.
    #[must_use]
    pub fn vault(&self, death: Death) -> SharedVault {
        SharedVault::new(self.process(death, false))
    }

    /// A vault on it that says of itself that it is a copy.
    #[must_use]
    pub fn copied_vault(&self) -> SharedVault {
        SharedVault::new(self.process(Death::Never, true))
    }

    fn process(&self, death: Death, is_copy: bool) -> MortalVault {
        // With the lock held nothing of an earlier process is half done.
        let _lock = self.vault.lock().expect("a lock");
        MortalVault {
            disk: self.clone(),
            start: self.starts.fetch_add(1, Ordering::SeqCst) + 1,
            death,
            batches: 0,
            is_dead: false,
            is_copy,
        }
    }
}

/// A process's view of a disk until it dies.
struct MortalVault {
    disk: Disk,
    /// Which start of a process on the disk it is.
    start: u64,
    death: Death,
    batches: u64,
    is_dead: bool,
    is_copy: bool,
}

fn dead() -> Error {
    Error::new(ErrorKind::VaultIo, "the process is dead")
}

impl MortalVault {
    fn live<T>(&self, read: impl FnOnce(&MemoryVault) -> Result<T>) -> Result<T> {
        let vault = self.disk.vault.lock().expect("a lock");
        if self.is_dead || self.is_outlived() {
            return Err(dead());
        }
        read(&vault)
    }

    /// Whether the app was started again since. Asked with the lock held.
    fn is_outlived(&self) -> bool {
        self.disk.starts.load(Ordering::SeqCst) != self.start
    }
}

impl Vault for MortalVault {
    fn apply(&mut self, batch: &Batch) -> Result<()> {
        self.batches += 1;
        let mut vault = self.disk.vault.lock().expect("a lock");
        self.is_dead |= self.is_outlived() || self.death == Death::Before(self.batches);
        if self.is_dead {
            return Err(dead());
        }
        vault.apply(batch)?;
        self.is_copy = false;
        self.is_dead = self.death == Death::After(self.batches);
        if self.is_dead { Err(dead()) } else { Ok(()) }
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        self.live(|vault| vault.get(key))
    }

    fn range(&self, space: Space, range: Range<'_>) -> Result<Vec<Row>> {
        self.live(|vault| vault.range(space, range))
    }

    fn spaces(&self) -> Result<Vec<Space>> {
        self.live(Vault::spaces)
    }

    fn residue(&self) -> Result<Residue> {
        self.live(Vault::residue)
    }

    fn mark(&self) -> Mark {
        self.disk.vault.lock().expect("a lock").mark()
    }

    fn is_copy(&self) -> bool {
        self.is_copy
    }
}

/// How a person came into their conversation, to do it again if the crash undid it.
#[derive(Clone)]
pub enum Start {
    /// They found it.
    Found(RoomOptions),
    /// They join it.
    Join(Link, JoinOptions),
}

/// Somebody whose app crashes at most once, and who then starts it again and goes on.
pub struct Survivor {
    /// The device's disk.
    pub disk: Disk,
    /// Its network.
    pub network: Network,
    /// Whether the crash has come.
    pub has_crashed: bool,
    /// The conversation, as the running process has it.
    pub conversation: Conversation,
    client: Client,
    start: Start,
}

impl Survivor {
    /// Somebody new, whose disk dies so.
    ///
    /// # Panics
    /// If the start cannot be made even by a process that does not die.
    pub async fn new(world: &World, start: Start, death: Death) -> Self {
        let disk = Disk::default();
        let network = Network::to(&world.relay);
        match Self::try_start(&disk, &network, &start, disk.vault(death)).await {
            Ok((client, conversation)) => Self {
                disk,
                network,
                has_crashed: false,
                conversation,
                client,
                start,
            },
            Err(_) => {
                let vault = disk.vault(Death::Never);
                let started = Self::try_start(&disk, &network, &start, vault).await;
                let (client, conversation) = started.expect("a start");
                Self {
                    disk,
                    network,
                    has_crashed: true,
                    conversation,
                    client,
                    start,
                }
            }
        }
    }

    async fn try_start(
        disk: &Disk,
        network: &Network,
        start: &Start,
        vault: SharedVault,
    ) -> Result<(Client, Conversation)> {
        let _ = disk;
        let options = ClientOptions::vault(vault).dialer(Arc::new(network.clone()));
        let client = Client::open(options).await?;
        let known = client.conversations().pop();
        let conversation = match (known, start) {
            (Some(known), _) => known,
            (None, Start::Found(options)) => client.found(options.clone()).await?,
            (None, Start::Join(link, options)) => client.join(link, options).await?,
        };
        Ok((client, conversation))
    }

    /// Starts the app again, on whatever the disk holds, without having stopped it properly.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.restart_on(self.disk.vault(Death::Never)).await;
    }

    /// Starts the app again on this vault.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart_on(&mut self, vault: SharedVault) {
        self.has_crashed = true;
        // The old process's connections end with it.
        self.network.end_lines();
        let started = Self::try_start(&self.disk, &self.network, &self.start, vault).await;
        (self.client, self.conversation) = started.expect("a start");
    }

    /// Waits, over a crash, until this holds.
    ///
    /// # Panics
    /// If it does not come to hold.
    pub async fn until(&mut self, what: &str, holds: impl AsyncFn(&Conversation) -> Result<bool>) {
        loop {
            match holds(&self.conversation).await {
                Ok(true) => return,
                Ok(false) => {
                    let event = self.conversation.next_event();
                    match tokio::time::timeout(PATIENCE, event).await {
                        Ok(Some(_)) => {}
                        Ok(None) => self.restart().await,
                        Err(_) => panic!("waited in vain for {what}: {}", self.look().await),
                    }
                }
                Err(_) => self.restart().await,
            }
        }
    }

    /// What a failed wait leaves to see.
    async fn look(&self) -> String {
        let standing = self.conversation.standing().await;
        let members = self.conversation.members().await.unwrap_or_default();
        let names: Vec<_> = members
            .into_iter()
            .map(|member| member.name.unwrap_or_else(|| "?".into()))
            .collect();
        let unsent = self.conversation.unsent().await.unwrap_or_default().len();
        format!(
            "{standing:?}, crashed: {}, members {names:?}, {unsent} unsent",
            self.has_crashed
        )
    }

    /// Says something exactly once, over a crash: looks what became of it before saying it again.
    pub async fn says(&mut self, text: &str) {
        loop {
            if self.conversation.send(text).await.is_ok() {
                return;
            }
            self.restart().await;
            let unsent = self.conversation.unsent().await;
            let is_unsent = unsent.is_ok_and(|all| all.iter().any(|one| one.text == text));
            if is_unsent || self.texts().await.iter().any(|one| one == text) {
                return;
            }
        }
    }

    /// Removes a member, over a crash.
    pub async fn removes(&mut self, leaf: LeafId) {
        while self.conversation.remove(leaf).await.is_err() {
            let gone = |members: Vec<sotto_client::Member>| {
                members.iter().all(|member| member.leaf != leaf)
            };
            if !self.has_crashed {
                self.restart().await;
            } else if self.conversation.members().await.is_ok_and(gone) {
                return;
            }
        }
    }

    /// Every text on the disk, in log order.
    pub async fn texts(&mut self) -> Vec<String> {
        loop {
            match self.conversation.history().await {
                Ok(kept) => return kept.into_iter().map(|message| message.text).collect(),
                Err(_) => self.restart().await,
            }
        }
    }

    /// Every event that waits, without waiting for more.
    pub async fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let soon = std::time::Duration::from_secs(30);
        while let Ok(Some(event)) = tokio::time::timeout(soon, self.conversation.next_event()).await
        {
            events.push(event);
        }
        events
    }
}

/// Waits, over crashes of any of them, until this holds for all.
///
/// # Panics
/// If it does not come to hold.
pub async fn until_all(
    people: Vec<&mut Survivor>,
    what: &str,
    holds: impl AsyncFn(&Conversation) -> Result<bool>,
) {
    let left = &watch::Sender::new(people.len());
    let holds = &holds;
    join_all(people.into_iter().map(|person| async move {
        person.until(what, holds).await;
        left.send_modify(|left| *left -= 1);
        // Others may need an app that runs.
        let mut all = left.subscribe();
        loop {
            tokio::select! {
                _ = all.wait_for(|left| *left == 0) => return,
                event = person.conversation.next_event() => {
                    if event.is_none() {
                        person.restart().await;
                    }
                }
            }
        }
    }))
    .await;
}

/// Waits, over crashes, until all have so many texts on their disks.
///
/// # Panics
/// If they do not come.
pub async fn until_texts(people: Vec<&mut Survivor>, count: usize) {
    until_all(people, "texts", async |conversation: &Conversation| {
        Ok(conversation.history().await?.len() >= count)
    })
    .await;
}

/// Waits, over crashes, until all see so many members, each with a name.
///
/// # Panics
/// If that does not come to be.
pub async fn until_members(people: Vec<&mut Survivor>, count: usize) {
    until_all(people, "members", async |conversation: &Conversation| {
        let members = conversation.members().await?;
        Ok(members.len() == count && members.iter().all(|member| member.name.is_some()))
    })
    .await;
}
