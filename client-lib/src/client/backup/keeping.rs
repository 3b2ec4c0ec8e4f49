//! The task that keeps a backup, the same for either: it writes whenever one is due, each time on a connection that does
//! nothing else. SPEC.md, "Backup".

use core::fmt;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Weak;

use serde::{Deserialize, Serialize};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Item, NewEntry, Trim};
use sotto_protocol::id::{Commitment, LogId, RetryId};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::decoy::USED;
use super::{BackupStanding, Side, no_randomness, refused, retry_id, too_slow};
use crate::client::errand::Errand;
use crate::client::words::KeptWords;
use crate::client::{Client, Shared};
use crate::engine::{decode_kept, encode_kept};
use crate::error::{Error, ErrorKind, Result};
use crate::jitter::Jitter;
use crate::link::RelayAddress;
use crate::log::{Ask, NewLog};
use crate::people::backup::{Backup, BackupKeys, List, Master, Shape, digest_of};
use crate::people::{BackupLine, ReturnWords, TicketLine};
use crate::random;
use crate::time::Now;
use crate::vault::{Batch, Key, Row, Space};

/// The names of the values in the backups' space.
const OWN: &[u8] = b"backup";
const DECOY: &[u8] = b"decoy";
/// A change waits at least so long and at most three times as long, so that a backup does not
/// follow on a rotation by the second, and several changes are one.
const AFTER_CHANGE_MS: u64 = 10_000;
/// Without any change it is written anew after so long, and up to twice as long: then it never
/// expires, and not every rewriting is of a change.
const ANEW_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// After a failure; doubled with each, up to about an hour.
const AFTER_FAILURE_MS: u64 = 30_000;
const DOUBLINGS_MAX: u32 = 7;
/// How long one visit to the relay may take: a full run over a line of 16 KiB a second.
pub(super) const VISIT_MAX: Duration = Duration::from_secs(300);

/// What a device keeps of its backup.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::client) struct Kept {
    pub(super) relay: RelayAddress,
    pub(super) master: Master,
    /// What the keys were made from; a device of an earlier version did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<KeptWords>,
    #[serde(with = "serde_bytes")]
    writer: [u8; 16],
    /// Backups that this writer wrote.
    count: u64,
    /// The number under which the next one is appended.
    fence: u64,
    /// The log stands.
    is_made: bool,
    retry: RetryId,
    day: u32,
    /// What the last one held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written: Option<serde_bytes::ByteArray<32>>,
    written_ms: u64,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept(…)")
    }
}

impl Kept {
    pub(super) fn new(
        relay: RelayAddress,
        words: &ReturnWords,
        master: Master,
        now: Now,
    ) -> Result<Self> {
        Ok(Self {
            relay,
            master,
            words: Some(KeptWords::of(words)),
            writer: random::array().map_err(no_randomness)?,
            count: 0,
            fence: 0,
            is_made: false,
            retry: retry_id()?,
            day: now.day(),
            written: None,
            written_ms: 0,
        })
    }

    /// Its words, if they were kept.
    pub(in crate::client) fn words(&self) -> Option<ReturnWords> {
        self.words.as_ref().map(KeptWords::words)
    }

    /// The log was found under this fence.
    pub(super) const fn stands_at(&mut self, fence: u64) {
        self.fence = fence;
        self.is_made = true;
    }

    pub(super) fn put(&self, side: Side, space: Space, batch: &mut Batch) -> Result<()> {
        batch.put(side.key(space), encode_kept(self)?);
        Ok(())
    }

    /// Whether it is written once more after the first time: the one of the return words always is, as
    /// coming back into conversations changes their lines, and a return that led into none shall not show.
    fn is_wanted_again(&self, side: Side) -> bool {
        side == Side::Own && self.count == 1
    }

    /// Whether a backup in the log is of this device, and the last that it knows of: another
    /// writer's is of who came back elsewhere, a later one of ours is of a copy of this vault.
    fn is_ours(&self, newest: &Backup) -> bool {
        newest.writer == self.writer && newest.count <= self.count
    }
}

impl Side {
    /// Where what a device keeps of it stands.
    pub(super) fn key(self, space: Space) -> Key {
        Key::new(
            space,
            match self {
                Self::Own => OWN,
                Self::Decoy => DECOY,
            },
        )
    }
}

/// What a device keeps of both, in one space.
#[derive(Default)]
pub(in crate::client) struct Stored {
    pub(in crate::client) own: Option<Kept>,
    /// A device of an earlier version kept none.
    pub(in crate::client) decoy: Option<Kept>,
    /// The decoy words before these were used elsewhere, and the person has not seen these.
    pub(super) decoy_was_used: bool,
}

impl Stored {
    /// What a space holds, if it is the backups'.
    pub(in crate::client) fn load(rows: &[Row]) -> Result<Option<Self>> {
        let value = |wanted: &[u8]| rows.iter().find(|(name, _)| name == wanted);
        let kept = |wanted| {
            value(wanted)
                .map(|(_, value)| decode_kept(value))
                .transpose()
        };
        let stored = Self {
            own: kept(OWN)?,
            decoy: kept(DECOY)?,
            decoy_was_used: value(USED).is_some(),
        };
        let is_any = stored.own.is_some() || stored.decoy.is_some() || stored.decoy_was_used;
        Ok(is_any.then_some(stored))
    }
}

/// What the two backups are to hold, and what tells whether it is what they held last. A change of
/// either is one of both: they are written anew for the same reasons.
pub(super) struct Lists {
    own: List,
    decoy: List,
    shape: Shape,
    digest: [u8; 32],
}

impl Lists {
    pub(super) fn new(vault: InVault, shown: &BTreeSet<Space>) -> Result<Self> {
        let decoy = List {
            lines: only(&vault.lines, shown),
            tickets: only(&vault.tickets, shown),
        };
        let own = vault.list();
        Ok(Self {
            shape: Shape::of(&own.lines, &own.tickets)?,
            digest: digest_of(&own, &decoy)?,
            own,
            decoy,
        })
    }

    fn of(self, side: Side) -> List {
        match side {
            Side::Own => self.own,
            Side::Decoy => self.decoy,
        }
    }
}

/// Those of these spaces.
fn only<T: Clone>(lines: &[(Space, T)], shown: &BTreeSet<Space>) -> Vec<T> {
    let is_shown = |(space, _): &&(Space, T)| shown.contains(space);
    let lines = lines.iter().filter(is_shown);
    lines.map(|(_, line)| line.clone()).collect()
}

/// The lines in a vault, each by its space.
#[derive(Default)]
pub(super) struct InVault {
    pub(super) lines: Vec<(Space, BackupLine)>,
    pub(super) tickets: Vec<(Space, TicketLine)>,
}

impl InVault {
    pub(super) fn list(self) -> List {
        List {
            lines: self.lines.into_iter().map(|(_, line)| line).collect(),
            tickets: self.tickets.into_iter().map(|(_, line)| line).collect(),
        }
    }
}

/// What a visit to the relay found.
enum Visit {
    Written,
    Elsewhere,
}

impl Client {
    fn due_at(&self, side: Side, kept: &Kept, is_due: bool, jitter: &mut Jitter) -> Instant {
        let now = self.0.clock.now();
        let wait = match kept.written {
            // The words were just given out, or just used: they shall be good at once.
            None if side == Side::Own => 0,
            // The other one not in the same second: nobody waits for it.
            _ if is_due => AFTER_CHANGE_MS + jitter.up_to(2 * AFTER_CHANGE_MS),
            _ => {
                let anew = kept
                    .written_ms
                    .saturating_add(ANEW_MS + jitter.up_to(ANEW_MS));
                anew.saturating_sub(now.wall_ms)
            }
        };
        self.0.clock.instant(now.steady_ms.saturating_add(wait))
    }

    pub(super) async fn store_backup(&self, side: Side, space: Space, kept: &Kept) -> Result<()> {
        let mut batch = Batch::default();
        kept.put(side, space, &mut batch)?;
        self.apply(batch).await
    }

    async fn try_to_write(
        &self,
        (side, space): (Side, Space),
        kept: &mut Kept,
        lists: Lists,
    ) -> Result<Visit> {
        let now = self.0.clock.now();
        let digest = lists.digest;
        let visit = self.write_backup(kept, side, lists, now);
        let visit = timeout(VISIT_MAX, visit).await;
        let visit = visit.unwrap_or_else(|_| Err(too_slow()))?;
        match visit {
            Visit::Written => {
                kept.written = Some(digest.into());
                kept.written_ms = now.wall_ms;
                kept.count += 1;
                self.store_backup(side, space, kept).await?;
            }
            Visit::Elsewhere if side == Side::Own => {
                self.forget_backup(space, BackupStanding::Elsewhere).await?;
            }
            Visit::Elsewhere => self.decoy_was_used(space).await?,
        }
        Ok(visit)
    }

    /// One visit: makes the log if need be, appends under the fence, drops what stood before.
    async fn write_backup(
        &self,
        kept: &mut Kept,
        side: Side,
        lists: Lists,
        now: Now,
    ) -> Result<Visit> {
        let keys = kept.master.keys();
        let log = keys.log();
        let mut errand = self.errand(&kept.relay).await?;
        if !kept.is_made {
            make_log(&mut errand, &keys, kept).await?;
        }
        let Some(opened) = errand.open(log, keys.keeper.clone()).await? else {
            return if kept.is_made {
                Ok(Visit::Elsewhere)
            } else {
                Err(refused("the relay makes no log for a backup"))
            };
        };
        kept.is_made = true;
        if opened.fence != kept.fence {
            let entries = errand.read(log).await?;
            let newest = keys.newest(entries.iter().map(|entry| entry.sealed.as_slice()));
            if newest.is_some_and(|newest| !kept.is_ours(&newest)) {
                return Ok(Visit::Elsewhere);
            }
            kept.fence = opened.fence;
        }
        let shape = lists.shape.clone();
        let list = lists.of(side);
        let backup = Backup {
            count: kept.count,
            lines: list.lines,
            tickets: list.tickets,
            minute: now.wall_ms / 60_000,
            writer: kept.writer,
        };
        let sealed = keys
            .seal(&backup, &shape)
            .map_err(|_| Error::new(ErrorKind::TooLarge, "a backup is longer than a run"))?;
        let (day, retry) = (errand.today(), retry_id()?);
        let count = u64::try_from(sealed.len()).unwrap_or(u64::MAX);
        let items = vec![item_of(log, kept.fence, sealed)?];
        match errand.ask(Ask::Append { items, retry, day }).await? {
            Ok(Answer::Appended(done)) => {
                let done = done
                    .first()
                    .ok_or_else(|| refused("no item was appended"))?;
                kept.fence = done.fence;
                let to = done.seq.saturating_sub(count);
                let retry = retry_id()?;
                // The next one trims further if this is lost.
                let trim = Trim {
                    to,
                    day,
                    log,
                    retry,
                };
                let _ = errand.ask(Ask::Trim(trim)).await;
                Ok(Visit::Written)
            }
            // Somebody was faster; the next visit looks who it was.
            _ => Err(refused("the relay did not take the backup")),
        }
    }
}

/// Writes the backup whenever it is due, until its words are used elsewhere, which is then true.
/// Between two visits the client may be dropped.
pub(super) async fn keep_up(
    client: Weak<Shared>,
    side: Side,
    space: Space,
    mut kept: Kept,
) -> bool {
    let (mut jitter, mut failures) = (Jitter::random(), 0);
    let mut due: Option<Instant> = None;
    loop {
        let Some(shared) = client.upgrade().map(Client) else {
            return false;
        };
        let lists = match shared.lists(space).await {
            Ok(lists) => lists,
            Err(error) => {
                tracing::error!(kind = error.kind().name(), "no backup can be made");
                return false;
            }
        };
        let is_due = kept.written.is_none_or(|written| *written != lists.digest);
        shared.tell_backup(side, is_due);
        let is_due = is_due || kept.is_wanted_again(side);
        let at = shared.due_at(side, &kept, is_due, &mut jitter);
        // What is due already does not wait longer for a further change.
        let at = due.filter(|due| is_due && *due < at).unwrap_or(at);
        due = is_due.then_some(at);
        let changed = shared.0.backup.changed().of(side);
        drop(shared);
        tokio::select! {
            () = changed.notified() => continue,
            () = sleep_until(at) => {}
        }
        let Some(shared) = client.upgrade().map(Client) else {
            return false;
        };
        due = None;
        match shared.try_to_write((side, space), &mut kept, lists).await {
            Ok(Visit::Written) => failures = 0,
            Ok(Visit::Elsewhere) => return true,
            Err(error) => {
                tracing::debug!(kind = error.kind().name(), "a backup was not written");
                drop(shared);
                let wait = jitter.spread(AFTER_FAILURE_MS << failures.min(DOUBLINGS_MAX));
                failures += 1;
                sleep(Duration::from_millis(wait)).await;
            }
        }
    }
}

async fn make_log(errand: &mut Errand, keys: &BackupKeys, kept: &mut Kept) -> Result<()> {
    let new = NewLog {
        root: keys.root.clone(),
        grants: keys.grants(),
        policy: BackupKeys::policy(),
        ticket: None,
        retry: kept.retry,
        day: kept.day,
    };
    if let Err(denied) = errand.ask(Ask::Create(new)).await?
        && matches!(
            denied.refusal.code,
            ErrorCode::RetryTooOld | ErrorCode::BadRequest
        )
    {
        // First asked days ago, or on a day that has not come for the relay: it stands, and opens,
        // or the next visit makes it.
        kept.retry = retry_id()?;
        kept.day = errand.today();
    }
    // A log that stands is refused, and opens.
    Ok(())
}

fn item_of(log: LogId, fence: u64, sealed: Vec<Vec<u8>>) -> Result<Item<'static>> {
    let entries: Result<Vec<_>> = sealed
        .into_iter()
        .map(|sealed| {
            Ok(NewEntry {
                held: None,
                owner: None,
                sealed: sealed.into(),
                commitment: Commitment::new(random::array().map_err(no_randomness)?),
                last_resort: false,
            })
        })
        .collect();
    Ok(Item {
        log,
        pin: false,
        admit: None,
        fence: Some(fence),
        lease: None,
        grants: None,
        entries: entries?,
    })
}
