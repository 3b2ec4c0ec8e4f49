//! Keeping a backup under return words, and coming back with them. SPEC.md, "Backup".
//!
//! Which conversations there are is read from the vault, where each keeps a line of its own; so
//! whatever was stored before a crash is in the next backup. It is written at random times after a
//! change, on a connection of its own that no conversation shares.
//!
//! There are always two, each under words of its own: one with every conversation, and one with those
//! that the person lets be seen, which are none at first (`decoy`). They are kept alike.

mod decoy;
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
use crate::people::backup::{Backup, BackupKeys, LINES_MAX, List, Master, TICKETS_MAX};
use crate::people::safe::SafeMaster;
use crate::people::{ReturnWords, SafeWord};
use crate::random;
use crate::vault::{Batch, Key, Space, Vault};
use decoy::keep_decoy;
use keeping::{InVault, Lists, VISIT_MAX, keep_up};

pub(super) use keeping::{Kept, Stored};

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

/// Which of the two backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Every conversation.
    Own,
    /// Those that may be seen by who is given the decoy words.
    Decoy,
}

/// What a client shares with the tasks that keep its backups.
pub(super) struct Seat {
    changed: Changed,
    own: watch::Sender<BackupStanding>,
    decoy: watch::Sender<BackupStanding>,
    running: Mutex<Option<Running>>,
}

/// Tells both tasks that what a backup holds has changed.
#[derive(Clone)]
pub(super) struct Changed {
    own: Arc<Notify>,
    decoy: Arc<Notify>,
    standing: watch::Receiver<BackupStanding>,
}

impl Changed {
    pub(super) fn new(standing: watch::Receiver<BackupStanding>) -> Self {
        Self {
            own: Arc::default(),
            decoy: Arc::default(),
            standing,
        }
    }

    /// Whether the relay has everything, so that words bring it back.
    pub(super) fn is_kept(&self) -> bool {
        *self.standing.borrow() == BackupStanding::Kept
    }

    pub(super) fn tell(&self) {
        self.own.notify_one();
        self.decoy.notify_one();
    }

    fn of(&self, side: Side) -> Arc<Notify> {
        Arc::clone(match side {
            Side::Own => &self.own,
            Side::Decoy => &self.decoy,
        })
    }
}

/// Ends both tasks when dropped, with the client at the latest.
struct Running {
    space: Space,
    _stop: DropGuard,
}

impl Default for Seat {
    fn default() -> Self {
        let absent = || watch::Sender::new(BackupStanding::Absent);
        let own = absent();
        Self {
            changed: Changed::new(own.subscribe()),
            own,
            decoy: absent(),
            running: Mutex::default(),
        }
    }
}

impl Seat {
    pub(super) fn changed(&self) -> Changed {
        self.changed.clone()
    }

    /// Until both were looked at, neither is known to hold all that it should.
    fn are_due(&self) {
        for standing in [&self.own, &self.decoy] {
            standing.send_if_modified(|standing| {
                let is_kept = *standing == BackupStanding::Kept;
                if is_kept {
                    *standing = BackupStanding::Due;
                }
                is_kept
            });
        }
    }

    const fn standing(&self, side: Side) -> &watch::Sender<BackupStanding> {
        match side {
            Side::Own => &self.own,
            Side::Decoy => &self.decoy,
        }
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
    /// Cancelled, a backup may be kept whose words were shown to nobody: [`Client::return_words`] shows
    /// them, [`Client::end_backup`] ends it.
    pub async fn back_up(&self, relay: &RelayAddress) -> Result<ReturnWords> {
        self.without_backup()?;
        let (kept, words) = self.new_backup(relay).await?;
        let (decoy, _) = self.new_backup(relay).await?;
        self.keep_backup(kept, decoy, Batch::default()).await?;
        Ok(words)
    }

    /// Comes back with return words: into every conversation of their backup, in place of one's own
    /// leaf there. Whichever device was in them is told and shut out, and this client keeps the
    /// backup from now on. What had been said is not in it.
    ///
    /// The conversations are kept when this returns, and go on by themselves from there: watch their
    /// events. One whose keys were renewed since the backup was written asks at its door, where a
    /// facilitator must say yes; where no door is known it is [`Event::Refused`](crate::Event::Refused), and needs
    /// a new link. A ticket or a letter that waits is one of them ([`Conversation::has_ticket`]): it keeps
    /// its place, and its answer is found, also one that came meanwhile.
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
        // Made anew whichever words these are: a backup does not say whether there is another.
        let (decoy, _) = self.new_backup(relay).await?;
        let here = self.lines().await?;
        let now = self.0.clock.now();
        let mut kept = Kept::new(relay.clone(), words, master, now)?;
        kept.stands_at(opened.fence);
        let (mut engines, mut batch) = (Vec::new(), Batch::default());
        for line in backup.lines {
            if here.lines.iter().any(|one| one.log == line.log) {
                continue;
            }
            let (engine, mut effects) = Engine::come_back(line, &safe, now)?;
            batch.then(core::mem::take(&mut effects.store));
            engines.push((engine, effects));
        }
        for line in backup.tickets {
            if here.tickets.iter().any(|one| one.inbox == line.inbox) {
                continue;
            }
            let (engine, mut effects) = Engine::come_back_to_ticket(line, now)?;
            batch.then(core::mem::take(&mut effects.store));
            engines.push((engine, effects));
        }
        self.keep_backup(kept, decoy, batch).await?;
        let run = |(engine, effects)| self.run(engine, effects);
        Ok(engines.into_iter().map(run).collect())
    }

    /// How the backup stands.
    #[must_use]
    pub fn backup_standing(&self) -> BackupStanding {
        *self.0.backup.own.borrow()
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
        self.until_backed_up(Side::Own).await
    }

    /// Erases the backup at the relay and its keys here: the words open nothing any more, nor do the
    /// decoy words.
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
                self.0.backup.own.send_replace(BackupStanding::Absent);
                return Ok(());
            }
            return Err(no_backup());
        };
        let stored = self.stored_backup(space).await?;
        // What was erased is found gone at its next visit, and then given up here: the decoy goes first, so
        // that whoever is cut off half-way still has what the return words open.
        for kept in stored.decoy.iter().chain(&stored.own) {
            timeout(VISIT_MAX, self.erase(kept))
                .await
                .unwrap_or_else(|_| Err(too_slow()))?;
        }
        self.forget_backup(space, BackupStanding::Absent).await
    }

    pub(super) fn backup_space(&self) -> Option<Space> {
        let running = self.0.backup.running();
        running.as_ref().map(|running| running.space)
    }

    /// What this device keeps of its backups.
    pub(super) async fn stored_backup(&self, space: Space) -> Result<Stored> {
        let vault = self.0.vault.clone();
        let rows = on_disk(move || vault.with(|vault| vault.load(space))).await?;
        Ok(Stored::load(&rows)?.unwrap_or_default())
    }

    async fn until_backed_up(&self, side: Side) -> Result<()> {
        let mut standing = self.0.backup.standing(side).subscribe();
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

    /// A backup that is still to be written, and its words.
    async fn new_backup(&self, relay: &RelayAddress) -> Result<(Kept, ReturnWords)> {
        let words = ReturnWords::random().map_err(no_randomness)?;
        let master = stretch(&words, relay).await?;
        let kept = Kept::new(relay.clone(), &words, master, self.0.clock.now())?;
        Ok((kept, words))
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

    /// The lines of everything in the vault.
    async fn lines(&self) -> Result<List> {
        let vault = self.0.vault.clone();
        let lines = on_disk(move || vault.with(|vault| lines_of(vault))).await?;
        Ok(lines.list())
    }

    /// What the two backups are to hold.
    async fn lists(&self, space: Space) -> Result<Lists> {
        let vault = self.0.vault.clone();
        let read = move || vault.with(|vault| Ok((lines_of(vault)?, decoy::shown(vault, space)?)));
        let (lines, shown) = on_disk(read).await?;
        Lists::new(lines, &shown)
    }

    /// Keeps two new backups, in one batch with what comes with them.
    async fn keep_backup(&self, own: Kept, decoy: Kept, mut batch: Batch) -> Result<()> {
        let space = Space(random::array().map_err(no_randomness)?);
        own.put(Side::Own, space, &mut batch)?;
        decoy.put(Side::Decoy, space, &mut batch)?;
        self.apply(batch).await?;
        self.run_backup(space, own, Some(decoy), false);
        Ok(())
    }

    /// Goes on with what was stored.
    pub(super) async fn load_backup(&self, space: Space, stored: Stored) -> Result<()> {
        if let Some(own) = stored.own {
            self.run_backup(space, own, stored.decoy, stored.decoy_was_used);
            return Ok(());
        }
        // A decoy alone: its backup was ended while it was being made.
        let mut batch = Batch::default();
        batch.erase(space);
        self.apply(batch).await
    }

    fn run_backup(&self, space: Space, own: Kept, decoy: Option<Kept>, was_used: bool) {
        let stop = self.0.stop.child_token();
        *self.0.backup.running() = Some(Running {
            space,
            _stop: stop.clone().drop_guard(),
        });
        self.0.backup.own.send_replace(BackupStanding::Due);
        self.0.backup.decoy.send_replace(if was_used {
            BackupStanding::Elsewhere
        } else {
            BackupStanding::Due
        });
        let (client, relay) = (Arc::downgrade(&self.0), own.relay.clone());
        let keeping = keep_decoy(client.clone(), space, relay, decoy);
        let until = stop.clone();
        self.0
            .tasks
            .spawn(async move { until.run_until_cancelled(keeping).await });
        self.0.tasks.spawn(async move {
            let keeping = keep_up(client, Side::Own, space, own);
            stop.run_until_cancelled(keeping).await
        });
    }

    async fn forget_backup(&self, space: Space, standing: BackupStanding) -> Result<()> {
        let mut batch = Batch::default();
        batch.erase(space);
        self.apply(batch).await?;
        *self.0.backup.running() = None;
        self.0.backup.own.send_replace(standing);
        self.0.backup.decoy.send_replace(BackupStanding::Absent);
        Ok(())
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        let vault = self.0.vault.clone();
        on_disk(move || vault.with(|vault| vault.apply(&batch))).await
    }

    /// In memory only: what is at the relay stays.
    pub(super) fn forget_backup_here(&self) {
        *self.0.backup.running() = None;
    }

    fn tell_backup(&self, side: Side, is_due: bool) {
        let standing = if is_due {
            BackupStanding::Due
        } else {
            BackupStanding::Kept
        };
        self.0.backup.standing(side).send_if_modified(|known| {
            // Of decoy words that were used the person is told until they saw others.
            let is_new = *known != standing && *known != BackupStanding::Elsewhere;
            if is_new {
                *known = standing;
            }
            is_new
        });
    }
}

async fn stretch(words: &ReturnWords, relay: &RelayAddress) -> Result<Master> {
    let (words, identity) = (words.clone(), *relay.identity());
    slowly(move || Master::stretch(&words, &identity)).await
}

pub(super) async fn stretch_safe(
    word: Option<&SafeWord>,
    relay: &RelayIdentity,
) -> Result<SafeMaster> {
    let (word, relay) = (word.cloned(), *relay);
    slowly(move || SafeMaster::stretch(word.as_ref(), &relay)).await
}

/// One Argon2id, that can be counted.
async fn slowly<T: Send + 'static>(
    stretch: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tracing::trace!("words are stretched");
    on_disk(stretch).await
}

/// As many as a backup holds.
fn lines_of(vault: &mut dyn Vault) -> Result<InVault> {
    let mut found = InVault::default();
    for space in vault.spaces()? {
        if let Some(line) = vault.get(&Key::new(space, Engine::LINE))? {
            found.lines.push((space, line_in(&line)?));
        }
        if let Some(line) = vault.get(&Key::new(space, Engine::TICKET))? {
            found.tickets.push((space, line_in(&line)?));
        }
    }
    found.lines.truncate(LINES_MAX);
    found.tickets.truncate(TICKETS_MAX);
    Ok(found)
}

fn line_in<T: serde::de::DeserializeOwned + serde::Serialize>(value: &[u8]) -> Result<T> {
    sotto_protocol::cbor::decode(value).map_err(|_| {
        let what = "a value of the vault cannot be read";
        Error::new(ErrorKind::VaultDamaged, what)
    })
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
