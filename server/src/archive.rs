//! Export and import: all logs of a stopped relay as one file that outlives the engine. The file
//! holds entries as their authors sealed them and no key at rest; it must not be trusted without
//! its checksum, and an import never touches a folder that holds something.
//!
//! ```text
//! file = "sotto-export" || 1 || item* || SHA-256 of everything before (32)
//! item = length (4, big-endian) || one CBOR item
//! ```
//! The items are a log, its entries and remembered answers, the next log, …, and an end that counts
//! them. Keys that stamped entries stay behind, so that a stamp of before an import can no longer
//! be confirmed.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sotto_protocol::cbor;
use sotto_protocol::id::RetryId;

use crate::clock::Clock;
use crate::limits::UPKEEP_ENTRIES_MAX;
use crate::log::codec::{self, StoredAnswer};
use crate::log::fault::Fault;
use crate::log::shared::Shared;
use crate::log::state::{GrantList, Head, StoredEntry};
use crate::offline::{self, OfflineError};
use crate::retention::{LogKeys, sealed_day, sync_folder};
use crate::store::folder::{self, UNFINISHED};
use crate::store::{Batch, Folder, Key, Record, SledOptions};

const MAGIC: &[u8] = b"sotto-export\x01";
const CHECK_BYTES: u64 = 32;
/// The largest item: a list of grants is at most about 400 KB, an entry far less.
const ITEM_BYTES_MAX: u32 = 1 << 20;

/// What an export or import carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Archived {
    /// Logs.
    pub logs: u64,
    /// Remembered answers.
    pub answers: u64,
    /// Entries.
    pub entries: u64,
}

/// Why nothing was exported or imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The data folder or its logs could not be read or filled.
    #[error(transparent)]
    Offline(OfflineError),
    /// A file could not be read or written.
    #[error("the export file could not be read or written")]
    Io(#[from] io::Error),
    /// The file is not an export, or not whole.
    #[error("the file is not a whole export")]
    File,
    /// The folder to import into holds something.
    #[error("the folder to import into is not empty")]
    NotEmpty,
}

impl<T: Into<OfflineError>> From<T> for ArchiveError {
    fn from(error: T) -> Self {
        Self::Offline(error.into())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchivedLog {
    head: Head,
    grants: GrantList,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchivedEntry<'a> {
    #[serde(borrow)]
    entry: StoredEntry<'a>,
    /// The day whose key sealed it.
    sealed_day: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchivedAnswer<'a> {
    day: u32,
    retry: RetryId,
    #[serde(borrow)]
    answer: StoredAnswer<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Item<'a> {
    Log(Box<ArchivedLog>),
    #[serde(borrow)]
    Entry(ArchivedEntry<'a>),
    #[serde(borrow)]
    Answer(Box<ArchivedAnswer<'a>>),
    End(Archived),
}

/// Writes all logs of a stopped relay's folder to a new file. Blocks.
///
/// # Errors
/// [`ArchiveError`]; a file that was begun is not whole and cannot be imported.
///
/// # Cancel safety
/// As for an error.
pub async fn export(
    folder: &Path,
    to: &Path,
    clock: Arc<dyn Clock>,
) -> Result<Archived, ArchiveError> {
    let folder = Folder::open(folder, SledOptions::offline())?;
    let shared = offline::logs_of(&folder, clock)?;
    shared.verify().await?;
    let file = File::options().write(true).create_new(true).open(to)?;
    let mut writer = Writer {
        file: BufWriter::new(file),
        hash: Sha256::new(),
        count: Archived::default(),
    };
    writer.bytes(MAGIC)?;
    for id in shared.keys.logs() {
        let Some(log) = shared.keys.log(&id) else {
            continue;
        };
        let Some(state) = shared.read_state(&id, &log).await? else {
            continue;
        };
        if state.head.deleted.is_some() {
            continue;
        }
        writer.count.logs += 1;
        writer.item(&Item::Log(Box::new(ArchivedLog {
            head: state.head,
            grants: GrantList::clone(&state.grants),
        })))?;
        export_records(&shared, &log, &mut writer).await?;
    }
    writer.item(&Item::End(writer.count))?;
    let count = writer.finish()?;
    offline::close(&shared).await?;
    Ok(count)
}

async fn export_records(
    shared: &Shared,
    log: &LogKeys,
    writer: &mut Writer,
) -> Result<(), ArchiveError> {
    let last = Record::Retry(u32::MAX, RetryId::new([0xff; 16]));
    let mut after = None;
    loop {
        let found = shared.records(log.name, Record::Ordinary(0), after, last);
        let found = found.await?;
        after = found.last().map(|(key, _)| *key);
        if after.is_none() {
            return Ok(());
        }
        for (key, value) in found {
            let day = sealed_day(&value).ok_or(Fault::Shape)?;
            if let Record::Retry(day, retry) = key.record {
                let answer = codec::open_answer(&shared.keys, log, &key, &value)?;
                writer.count.answers += 1;
                writer.item(&Item::Answer(Box::new(ArchivedAnswer {
                    day,
                    retry,
                    answer,
                })))?;
            } else {
                let entry = codec::open_entry(&shared.keys, log, &key, &value)?;
                writer.count.entries += 1;
                writer.item(&Item::Entry(ArchivedEntry {
                    entry,
                    sealed_day: day,
                }))?;
            }
        }
    }
}

struct Writer {
    file: BufWriter<File>,
    hash: Sha256,
    count: Archived,
}

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    fn item(&mut self, item: &Item<'_>) -> Result<(), ArchiveError> {
        let bytes = cbor::encode(item).map_err(|_| Fault::Shape)?;
        let length = u32::try_from(bytes.len()).map_err(|_| Fault::Shape)?;
        self.bytes(&length.to_be_bytes())?;
        self.bytes(&bytes)?;
        Ok(())
    }

    fn finish(mut self) -> Result<Archived, ArchiveError> {
        let check: [u8; 32] = self.hash.finalize().into();
        self.file.write_all(&check)?;
        let file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(self.count)
    }
}

/// Reads an export into an empty or missing folder, under new keys. Blocks.
///
/// # Errors
/// [`ArchiveError`]. A folder in which an import has begun and not ended is refused by the relay
/// and by a second import; remove it.
///
/// # Cancel safety
/// As for an error.
pub async fn import(
    from: &Path,
    to: &Path,
    clock: Arc<dyn Clock>,
) -> Result<Archived, ArchiveError> {
    let mut reader = Reader::open(from)?;
    std::fs::create_dir_all(to)?;
    if std::fs::read_dir(to)?.next().is_some() {
        return Err(ArchiveError::NotEmpty);
    }
    let lock = folder::lock(to)?;
    File::create_new(to.join(UNFINISHED))?.sync_all()?;
    sync_folder(to)?;
    let folder = Folder::open_locked(to, lock, SledOptions::offline())?;
    let shared = offline::logs_of(&folder, clock)?;
    let mut importer = Importer {
        shared: &shared,
        log: None,
        batch: Batch::default(),
        count: Archived::default(),
    };
    loop {
        let bytes = reader.item()?;
        let item: Item<'_> = cbor::decode(&bytes).map_err(|_| ArchiveError::File)?;
        if let Item::End(told) = item {
            importer.flush().await?;
            if told != importer.count || reader.left != 0 {
                return Err(ArchiveError::File);
            }
            break;
        }
        importer.item(item).await?;
    }
    let count = importer.count;
    shared.verify().await?;
    offline::close(&shared).await?;
    std::fs::remove_file(to.join(UNFINISHED))?;
    sync_folder(to)?;
    Ok(count)
}

struct Importer<'a> {
    shared: &'a Shared,
    log: Option<Arc<LogKeys>>,
    batch: Batch,
    count: Archived,
}

/// The revision of every imported head.
const FIRST_REVISION: u64 = 1;

impl Importer<'_> {
    async fn item(&mut self, item: Item<'_>) -> Result<(), ArchiveError> {
        let keys = &self.shared.keys;
        let record = match item {
            Item::Log(log) => {
                self.flush().await?;
                self.count.logs += 1;
                let named = keys.add_log_key(&log.head.id).map_err(Fault::from)?;
                self.batch.expects.push((named.name, None));
                let head = codec::seal_head(keys, &named, &log.head, FIRST_REVISION)?;
                let grants = codec::seal_grants(keys, &named, &log.grants)?;
                self.batch.puts.extend([head, grants]);
                self.log = Some(named);
                return Ok(());
            }
            Item::Entry(archived) => {
                self.count.entries += 1;
                let log = self.log.as_ref().ok_or(ArchiveError::File)?;
                codec::seal_entry(keys, log, &archived.entry, archived.sealed_day)?
            }
            Item::Answer(archived) => {
                self.count.answers += 1;
                let log = self.log.as_ref().ok_or(ArchiveError::File)?;
                let record = Record::Retry(archived.day, archived.retry);
                let key = Key::new(log.name, record);
                let last_day = archived.day.saturating_add(1);
                let value = codec::seal_answer(keys, log, &key, &archived.answer, last_day)?;
                (key, value)
            }
            Item::End(_) => return Err(ArchiveError::File),
        };
        self.batch.puts.push(record);
        if self.batch.puts.len() >= UPKEEP_ENTRIES_MAX {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes what has gathered, keys first.
    async fn flush(&mut self) -> Result<(), ArchiveError> {
        let mut batch = std::mem::take(&mut self.batch);
        let Some(log) = self.log.as_ref().filter(|_| !batch.puts.is_empty()) else {
            return Ok(());
        };
        if batch.expects.is_empty() {
            batch.expects.push((log.name, Some(FIRST_REVISION)));
        }
        self.shared.keys.sync().map_err(Fault::from)?;
        self.shared.store.commit(batch).await.map_err(Fault::from)?;
        Ok(())
    }
}

struct Reader {
    file: BufReader<File>,
    /// Bytes of items that are not read yet.
    left: u64,
}

impl Reader {
    /// Opens the file after its checksum was found right.
    fn open(path: &Path) -> Result<Self, ArchiveError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let body = length.checked_sub(CHECK_BYTES).ok_or(ArchiveError::File)?;
        let mut file = BufReader::new(file);
        let mut hash = Sha256::new();
        io::copy(&mut file.by_ref().take(body), &mut Hashing(&mut hash))?;
        let mut told = [0; 32];
        file.read_exact(&mut told)?;
        let seen: [u8; 32] = hash.finalize().into();
        if seen != told {
            return Err(ArchiveError::File);
        }
        file.seek(SeekFrom::Start(0))?;
        let mut magic = vec![0; MAGIC.len()];
        file.read_exact(&mut magic)?;
        let left = body.checked_sub(crate::log::state::widen(MAGIC.len()));
        match left {
            Some(left) if magic == MAGIC => Ok(Self { file, left }),
            _ => Err(ArchiveError::File),
        }
    }

    fn item(&mut self) -> Result<Vec<u8>, ArchiveError> {
        let mut length = [0; 4];
        self.file.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        let size = u64::from(length) + 4;
        self.left = self.left.checked_sub(size).ok_or(ArchiveError::File)?;
        if length > ITEM_BYTES_MAX {
            return Err(ArchiveError::File);
        }
        let mut bytes = Vec::new();
        self.file
            .by_ref()
            .take(u64::from(length))
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Hashes what is written to it.
struct Hashing<'a>(&'a mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
