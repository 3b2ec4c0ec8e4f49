//! What somebody learns who takes a stopped relay's data folder: every fact that lies in it. Works
//! on a copy; must not change the folder, and knows nothing that the folder does not hold.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;

use crate::clock::Clock;
use crate::log::codec;
use crate::log::shared::Shared;
use crate::log::state::{GrantRecord, Lease, LogState};
use crate::log::verify::seq_of;
use crate::offline::{self, OfflineError};
use crate::retention::LogKeys;
use crate::store::{BALLAST, Folder, Record, SledOptions, folder};

/// Everything.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Seizure {
    /// Of each log.
    pub logs: Vec<LogFacts>,
    /// Of the folder as a whole.
    pub engine: EngineFacts,
}

/// What lies in the folder of one log: exactly what the table in SECURITY.md lists.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct LogFacts {
    /// The log's id, in hexadecimal.
    pub id: String,
    /// How many entries there are.
    pub entries: u64,
    /// How many of each size class, in bytes.
    pub entries_by_class: Vec<(usize, u64)>,
    /// The day of the oldest entry, from 1970.
    pub first_day: Option<u32>,
    /// The day of the newest entry.
    pub last_day: Option<u32>,
    /// Who may do what.
    pub grants: Vec<GrantFacts>,
    /// Where a newcomer may start.
    pub pins: Vec<PinFacts>,
    /// How many fenced appends were accepted: about the epochs there were.
    pub fence: u64,
    /// Which entries are held. Whether a lease is still live only the relay's own clock can tell.
    pub claims: Vec<ClaimFacts>,
}

/// A grant.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct GrantFacts {
    /// The public key, in hexadecimal; made for this log.
    pub key: String,
    /// What it may do.
    pub rights: Vec<&'static str>,
    /// The owner key of the one ticket with whose end it may append, in hexadecimal, if it is bound
    /// to one.
    pub ends: Option<String>,
    /// The last entry it reaches, if it was cut.
    pub until_seq: Option<u64>,
    /// The day on which it was cut.
    pub cut_day: Option<u32>,
    /// Who added it, if a fenced append did: a `link` (a join key) or a `member`.
    pub admitted_by: Option<&'static str>,
    /// The day on which it was added so.
    pub admitted_day: Option<u32>,
}

/// A pin.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct PinFacts {
    /// Which entry.
    pub seq: u64,
    /// The day on which it was set.
    pub day: u32,
}

/// A lease on an entry.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct ClaimFacts {
    /// Which entry.
    pub seq: u64,
    /// The grant's public key, in hexadecimal.
    pub holder: String,
    /// For how many milliseconds it was given.
    pub ms: u64,
}

/// What belongs to one log is for its reader, never for a log line.
macro_rules! opaque {
    ($($name:ident)*) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })*
    };
}

opaque!(LogFacts GrantFacts PinFacts ClaimFacts);

/// What the files give away besides: the second table in SECURITY.md.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct EngineFacts {
    /// Name, bytes, and when it was last written (seconds since 1970).
    pub files: Vec<(String, u64, u64)>,
    /// Entries of all logs in the order in which their bytes lie in the engine's file: index of the
    /// log in `logs`, sequence number. About the order in which they arrived.
    pub arrivals: Vec<(usize, u64)>,
    /// How many batches were written since the folder was made.
    pub batches: u64,
    /// The days for which there is a key: until then something was promised to be kept.
    pub key_days: usize,
    /// When retention last looked at the clock (seconds since 1970).
    pub clock: Option<u64>,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeizureError {
    /// The data folder or its logs could not be read.
    #[error(transparent)]
    Offline(OfflineError),
    /// The copy could not be made or read.
    #[error("the data folder could not be copied")]
    Io(#[from] io::Error),
}

impl<T: Into<OfflineError>> From<T> for SeizureError {
    fn from(error: T) -> Self {
        Self::Offline(error.into())
    }
}

/// Tells everything that the folder of a stopped relay holds. Blocks, and takes as much room in
/// the temporary folder as the data folder has.
///
/// # Errors
/// [`SeizureError`]; [`FolderError::InUse`](crate::store::FolderError::InUse) while a relay runs on the folder.
///
/// # Cancel safety
/// Changes nothing.
pub async fn seize(data: &Path, clock: Arc<dyn Clock>) -> Result<Seizure, SeizureError> {
    // Held while it is copied; a relay that runs holds it too.
    let lock = folder::lock(data)?;
    let files = list(data)?;
    let copy = tempfile::tempdir()?;
    copy_files(data, copy.path(), &files)?;
    drop(lock);
    let bytes = std::fs::read(copy.path().join("db").join("db"))?;
    let opened = Folder::open(copy.path(), SledOptions::offline())?;
    let shared = offline::logs_of(&opened, clock)?;
    shared.verify().await?;
    let mut logs = Vec::new();
    let mut marks = HashMap::new();
    for id in shared.keys.logs() {
        let Some(log) = shared.keys.log(&id) else {
            continue;
        };
        if let Some(state) = shared.read_state(&id, &log).await? {
            let facts = log_facts(&shared, &log, &state, logs.len(), &mut marks).await?;
            logs.push(facts);
        }
    }
    let engine = EngineFacts {
        files: files
            .iter()
            .map(|file| (file.name.display().to_string(), file.bytes, file.modified_s))
            .collect(),
        arrivals: arrivals(&bytes, &marks),
        batches: opened.store.batches(),
        key_days: shared.keys.day_count(),
        clock: shared.keys.clock_reading(),
    };
    offline::close(&shared).await?;
    Ok(Seizure { logs, engine })
}

/// Bytes of a sealed value by which it is found in the engine's file: the start of its nonce.
const MARK_AT: std::ops::Range<usize> = 9..17;

async fn log_facts(
    shared: &Shared,
    log: &LogKeys,
    state: &LogState,
    index: usize,
    marks: &mut HashMap<[u8; 8], (usize, u64)>,
) -> Result<LogFacts, SeizureError> {
    let head = &state.head;
    let mut by_class = vec![0_u64; SizeClass::ALL.len()];
    let (mut first_day, mut last_day) = (None::<u32>, None::<u32>);
    let mut entries = 0;
    let mut after = None;
    loop {
        let found = shared.records(
            log.name,
            Record::Ordinary(0),
            after,
            Record::Fenced(u64::MAX),
        );
        let found = found.await?;
        after = found.last().map(|(key, _)| *key);
        if after.is_none() {
            break;
        }
        for (key, value) in found {
            if let Some(mark) = value.get(MARK_AT).and_then(|mark| mark.try_into().ok()) {
                marks.insert(mark, (index, seq_of(&key)));
            }
            if head.deleted.is_some() {
                continue;
            }
            let entry = codec::open_entry(&shared.keys, log, &key, &value)?;
            entries += 1;
            first_day = Some(first_day.unwrap_or(entry.day).min(entry.day));
            last_day = Some(last_day.unwrap_or(entry.day).max(entry.day));
            let class = SizeClass::exactly(entry.sealed.as_slice().len());
            let class = SizeClass::ALL
                .iter()
                .position(|known| Some(*known) == class);
            if let Some(count) = class.and_then(|class| by_class.get_mut(class)) {
                *count += 1;
            }
        }
    }
    Ok(LogFacts {
        id: hex::encode(head.id.as_bytes()),
        entries,
        entries_by_class: SizeClass::ALL
            .iter()
            .map(|class| class.bytes())
            .zip(by_class)
            .filter(|(_, count)| *count > 0)
            .collect(),
        first_day,
        last_day,
        grants: state.grants.list.iter().map(grant_facts).collect(),
        pins: head
            .pins
            .iter()
            .map(|pin| PinFacts {
                seq: pin.seq,
                day: pin.day,
            })
            .collect(),
        fence: head.fence,
        claims: head.leases.iter().map(claim_facts).collect(),
    })
}

fn claim_facts(lease: &Lease) -> ClaimFacts {
    ClaimFacts {
        seq: lease.seq,
        holder: hex::encode(lease.holder.as_bytes()),
        ms: lease.ms,
    }
}

fn grant_facts(record: &GrantRecord) -> GrantFacts {
    let grant = &record.grant;
    GrantFacts {
        key: hex::encode(grant.key.as_bytes()),
        rights: Rights::TABLE
            .iter()
            .filter(|(right, _)| grant.rights.contains(*right))
            .map(|(_, name)| *name)
            .collect(),
        ends: grant.ends.map(|owner| hex::encode(owner.as_bytes())),
        until_seq: grant.until_seq,
        cut_day: record.cut.map(|cut| cut.day),
        admitted_by: record
            .admitted
            .map(|admitted| if admitted.join { "link" } else { "member" }),
        admitted_day: record.admitted.map(|admitted| admitted.day),
    }
}

/// Finds entries in the engine's file.
fn arrivals(file: &[u8], marks: &HashMap<[u8; 8], (usize, u64)>) -> Vec<(usize, u64)> {
    let mut seen = std::collections::HashSet::new();
    file.windows(8)
        .filter_map(|window| marks.get(<&[u8; 8]>::try_from(window).ok()?))
        .filter(|found| seen.insert(**found))
        .copied()
        .collect()
}

struct FileFact {
    /// Within the folder.
    name: PathBuf,
    bytes: u64,
    modified_s: u64,
}

fn list(data: &Path) -> io::Result<Vec<FileFact>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        for file in std::fs::read_dir(data.join(&inner))? {
            let file = file?;
            let name = inner.join(file.file_name());
            let about = file.metadata()?;
            if about.is_dir() {
                folders.push(name);
            } else if name != Path::new(BALLAST) {
                let modified = about.modified()?.duration_since(SystemTime::UNIX_EPOCH);
                files.push(FileFact {
                    name,
                    bytes: about.len(),
                    modified_s: modified.map_or(0, |since| since.as_secs()),
                });
            }
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn copy_files(from: &Path, to: &Path, files: &[FileFact]) -> io::Result<()> {
    for file in files {
        let target = to.join(&file.name);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::copy(from.join(&file.name), target)?;
    }
    Ok(())
}
