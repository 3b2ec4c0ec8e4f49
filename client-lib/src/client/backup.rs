//! Keeping a backup under return words, and coming back with them. SPEC.md, "Backup".
//!
//! Which conversations there are is read from the vault, where each keeps a line of its own; so
//! whatever was stored before a crash is in the next backup. It is written at random times after a
//! change, on a connection of its own that no conversation shares.

mod keeping;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Delete, Opened};
use sotto_protocol::id::{RelayIdentity, RetryId};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;

use super::errand::Errand;
use super::{Client, Conversation, on_disk};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::link::RelayAddress;
use crate::log::Ask;
use crate::people::backup::{Backup, BackupKeys, LINES_MAX, Master};
use crate::people::safe::SafeMaster;
use crate::people::{BackupLine, ReturnWords, SafeWord};
use crate::random;
use crate::vault::{Batch, Key, Space, Vault};
use keeping::{VISIT_MAX, keep_up};

pub(super) use keeping::Kept;

/// How a client's backup stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupStanding {
    /// There is none.
    Absent,
    /// What it should hold is not all at the relay yet.
    Due,
    /// The relay has all of it.
    Kept,
    /// Its words were used on another device, which keeps it now; or it was ended there.
    Elsewhere,
}

/// What a client shares with the task that keeps its backup.
pub(super) struct Seat {
    changed: Arc<Notify>,
    standing: watch::Sender<BackupStanding>,
    running: Mutex<Option<Running>>,
}

/// Ends its task when dropped, with the client at the latest.
struct Running {
    space: Space,
    _stop: DropGuard,
}

impl Default for Seat {
    fn default() -> Self {
        Self {
            changed: Arc::default(),
            standing: watch::Sender::new(BackupStanding::Absent),
            running: Mutex::default(),
        }
    }
}

impl Seat {
    pub(super) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_randomness(error: random::NoRandomness) -> Error {
    Error::new(ErrorKind::Internal, "the system gave no randomness").because(error)
}

fn retry_id() -> Result<RetryId> {
    random::array().map(RetryId::new).map_err(no_randomness)
}

impl Client {
    /// Begins to keep a backup on this relay, and makes the words that bring it back. Show them
    /// for the person to write down, and again on demand ([`Client::return_words`]). The relay need not
    /// be reachable: wait for [`Client::backed_up`] before saying that the words are good.
    ///
    /// From then on the backup follows every change by itself. It holds 800 conversations at most: of
    /// more, those beyond are not in it, and nothing says so; an app that comes near has to.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if this client keeps a backup already; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, a backup may be kept whose words nobody knows: [`Client::end_backup`].
    pub async fn back_up(&self, relay: &RelayAddress) -> Result<ReturnWords> {
        self.without_backup()?;
        let words = ReturnWords::random().map_err(no_randomness)?;
        let master = stretch(&words, relay).await?;
        let kept = Kept::new(relay.clone(), &words, master, self.0.clock.now())?;
        self.keep_backup(kept, Batch::default()).await?;
        Ok(words)
    }

    /// Comes back with return words: into every conversation of their backup, in place of one's own
    /// leaf there. Whichever device was in them is told and shut out, and this client keeps the
    /// backup from now on. What had been said is not in it.
    ///
    /// The conversations are kept when this returns, and go on by themselves from there: watch their
    /// events. One whose keys were renewed since the backup was written asks at its door, where a
    /// facilitator must say yes; where no door is known it is [`Event::Refused`](crate::Event::Refused), and needs
    /// a new link.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if nothing is kept under these words on this relay;
    /// [`ErrorKind::Conflict`] if this client keeps a backup already;
    /// [`ErrorKind::Unreachable`] and what else a connection may fail with; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, one has come back or nothing was changed.
    pub async fn come_back(
        &self,
        words: &ReturnWords,
        relay: &RelayAddress,
    ) -> Result<Vec<Conversation>> {
        self.come_back_with(words, None, relay).await
    }

    /// [`Client::come_back`], with the safe word that was agreed in a chat. It is given to those who
    /// agreed on it and to nobody else, and nothing tells here whether it was right, or whether one was
    /// agreed at all: with none or a wrong one all goes the same way.
    ///
    /// # Errors
    /// As [`Client::come_back`].
    ///
    /// # Cancel safety
    /// As [`Client::come_back`].
    pub async fn come_back_with(
        &self,
        words: &ReturnWords,
        safe: Option<&SafeWord>,
        relay: &RelayAddress,
    ) -> Result<Vec<Conversation>> {
        self.without_backup()?;
        let master = stretch(words, relay).await?;
        let safe = stretch_safe(safe, relay.identity()).await?;
        let keys = master.keys();
        let (opened, backup) = timeout(VISIT_MAX, self.fetch(&keys, relay))
            .await
            .unwrap_or_else(|_| Err(too_slow()))?;
        let here = self.lines().await?;
        let now = self.0.clock.now();
        let mut kept = Kept::new(relay.clone(), words, master, now)?;
        kept.stands_at(opened.fence);
        let (mut engines, mut batch) = (Vec::new(), Batch::default());
        for line in backup.lines {
            if here.iter().any(|one| one.log == line.log) {
                continue;
            }
            let (engine, mut effects) = Engine::come_back(line, &safe, now)?;
            batch.then(core::mem::take(&mut effects.store));
            engines.push((engine, effects));
        }
        self.keep_backup(kept, batch).await?;
        let run = |(engine, effects)| self.run(engine, effects);
        Ok(engines.into_iter().map(run).collect())
    }

    /// How the backup stands.
    #[must_use]
    pub fn backup_standing(&self) -> BackupStanding {
        *self.0.backup.standing.borrow()
    }

    /// Waits until the relay has everything that the backup should hold. Give it a timeout where a
    /// person waits: without a relay it waits on.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if there is no backup, [`ErrorKind::Conflict`] if another device keeps it
    /// now.
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn backed_up(&self) -> Result<()> {
        let mut standing = self.0.backup.standing.subscribe();
        let settled = standing
            .wait_for(|standing| *standing != BackupStanding::Due)
            .await
            .map_err(|_| Error::new(ErrorKind::Closed, "the client was closed"))?;
        match *settled {
            BackupStanding::Absent => Err(no_backup()),
            BackupStanding::Elsewhere => Err(Error::new(
                ErrorKind::Conflict,
                "the backup is kept by another device",
            )),
            BackupStanding::Due | BackupStanding::Kept => Ok(()),
        }
    }

    /// Erases the backup at the relay and its keys here: the words open nothing any more.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if there is no backup; [`ErrorKind::Unreachable`] and what else a
    /// connection may fail with, then it is as it was; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, it may be erased at the relay and not here; call it again.
    pub async fn end_backup(&self) -> Result<()> {
        let Some(space) = self.backup_space() else {
            if self.backup_standing() == BackupStanding::Elsewhere {
                self.0.backup.standing.send_replace(BackupStanding::Absent);
                return Ok(());
            }
            return Err(no_backup());
        };
        if let Some(kept) = self.kept_backup(space).await? {
            timeout(VISIT_MAX, self.erase(&kept))
                .await
                .unwrap_or_else(|_| Err(too_slow()))?;
        }
        self.forget_backup(space, BackupStanding::Absent).await
    }

    pub(super) fn backup_space(&self) -> Option<Space> {
        let running = self.0.backup.running();
        running.as_ref().map(|running| running.space)
    }

    pub(super) async fn kept_backup(&self, space: Space) -> Result<Option<Kept>> {
        let vault = self.0.vault.clone();
        let rows = on_disk(move || vault.with(|vault| vault.load(space))).await?;
        Kept::load(&rows)
    }

    async fn erase(&self, kept: &Kept) -> Result<()> {
        let keys = kept.master.keys();
        let log = keys.log();
        let mut errand = self.errand(&kept.relay).await?;
        // What is refused is not there, and that is what was wanted.
        if errand.open(log, keys.keeper).await?.is_some() {
            let ask = Ask::Delete(Delete {
                day: self.0.clock.now().day(),
                log,
                retry: retry_id()?,
            });
            if let Err(denied) = errand.ask(ask).await?
                && denied.refusal.code != ErrorCode::Refused
            {
                return Err(refused("the relay did not erase the backup"));
            }
        }
        Ok(())
    }

    fn without_backup(&self) -> Result<()> {
        if self.0.backup.running().is_some() {
            return Err(Error::new(
                ErrorKind::Conflict,
                "this client keeps a backup already",
            ));
        }
        Ok(())
    }

    async fn fetch(&self, keys: &BackupKeys, relay: &RelayAddress) -> Result<(Opened, Backup)> {
        let mut errand = self.errand(relay).await?;
        let nothing = || refused("nothing is kept under these words on this relay");
        let opened = errand.open(keys.log(), keys.keeper.clone()).await?;
        let opened = opened.ok_or_else(nothing)?;
        let entries = errand.read(keys.log()).await?;
        let sealed = entries.iter().map(|entry| entry.sealed.as_slice());
        let backup = keys.newest(sealed).ok_or_else(nothing)?;
        Ok((opened, backup))
    }

    async fn errand(&self, relay: &RelayAddress) -> Result<Errand> {
        Errand::begin(&*self.0.dialer, &self.0.clock, relay).await
    }

    /// The lines of all conversations of the vault.
    async fn lines(&self) -> Result<Vec<BackupLine>> {
        let vault = self.0.vault.clone();
        let lines = on_disk(move || vault.with(|vault| lines_of(vault))).await?;
        lines
            .iter()
            .take(LINES_MAX)
            .map(|line| {
                sotto_protocol::cbor::decode(line).map_err(|_| {
                    Error::new(
                        ErrorKind::VaultDamaged,
                        "a value of the vault cannot be read",
                    )
                })
            })
            .collect()
    }

    /// Keeps a new backup, in one batch with what comes with it.
    async fn keep_backup(&self, kept: Kept, mut batch: Batch) -> Result<()> {
        let space = Space(random::array().map_err(no_randomness)?);
        kept.put(space, &mut batch)?;
        let vault = self.0.vault.clone();
        on_disk(move || vault.with(|vault| vault.apply(&batch))).await?;
        self.run_backup(space, kept);
        Ok(())
    }

    pub(super) fn run_backup(&self, space: Space, kept: Kept) {
        let stop = self.0.stop.child_token();
        *self.0.backup.running() = Some(Running {
            space,
            _stop: stop.clone().drop_guard(),
        });
        self.0.backup.standing.send_replace(BackupStanding::Due);
        let client = Arc::downgrade(&self.0);
        self.0.tasks.spawn(async move {
            let keeping = keep_up(client, space, kept);
            stop.run_until_cancelled(keeping).await
        });
    }

    async fn forget_backup(&self, space: Space, standing: BackupStanding) -> Result<()> {
        let mut batch = Batch::default();
        batch.erase(space);
        let vault = self.0.vault.clone();
        on_disk(move || vault.with(|vault| vault.apply(&batch))).await?;
        *self.0.backup.running() = None;
        self.0.backup.standing.send_replace(standing);
        Ok(())
    }

    /// In memory only: what is at the relay stays.
    pub(super) fn forget_backup_here(&self) {
        *self.0.backup.running() = None;
    }

    fn tell_backup(&self, is_due: bool) {
        let standing = if is_due {
            BackupStanding::Due
        } else {
            BackupStanding::Kept
        };
        self.0.backup.standing.send_if_modified(|known| {
            let is_new = *known != standing;
            *known = standing;
            is_new
        });
    }
}

async fn stretch(words: &ReturnWords, relay: &RelayAddress) -> Result<Master> {
    let (words, identity) = (words.clone(), *relay.identity());
    on_disk(move || Master::stretch(&words, &identity)).await
}

pub(super) async fn stretch_safe(
    word: Option<&SafeWord>,
    relay: &RelayIdentity,
) -> Result<SafeMaster> {
    let (word, relay) = (word.cloned(), *relay);
    on_disk(move || SafeMaster::stretch(word.as_ref(), &relay)).await
}

fn lines_of(vault: &mut dyn Vault) -> Result<Vec<Vec<u8>>> {
    let spaces = vault.spaces()?.into_iter();
    spaces
        .filter_map(|space| vault.get(&Key::new(space, Engine::LINE)).transpose())
        .collect()
}

fn refused(what: &'static str) -> Error {
    Error::new(ErrorKind::Refused, what)
}

pub(super) fn no_backup() -> Error {
    Error::new(ErrorKind::Invalid, "this client keeps no backup")
}

fn too_slow() -> Error {
    Error::new(ErrorKind::Unreachable, "the relay took too long")
}
