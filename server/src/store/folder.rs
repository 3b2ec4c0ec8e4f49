//! The relay's data folder: who may use it, what lies in it, and the disk beneath. It must not
//! look into the files of the engine.
//!
//! | file | what |
//! |---|---|
//! | `lock` | held while a process uses the folder |
//! | `logs.keys`, `days.keys` | the keys at rest, see [`crate::retention`] |
//! | `mark` | how far the engine had come when it was last heard of |
//! | `db/` | the engine's own files |
//! | `ballast` | zeros, given up when the disk is full |
//! | `unfinished` | there while an import is at work: what lies here is not whole |

use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{SledOptions, SledStore, Store};
use crate::clock::Clock;
use crate::retention::{Keys, KeysError, sync_folder};

/// Name of the file that says that an import has not ended.
pub(crate) const UNFINISHED: &str = "unfinished";

/// What the engine needs of a disk; a test can hold it back or fill it.
pub trait Disk: Send + Sync + Debug {
    /// Makes the data of a file survive a power cut. Blocks.
    ///
    /// # Errors
    /// What the file system says.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Bytes that may still be written in this folder.
    ///
    /// # Errors
    /// What the file system says.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;
}

/// The machine's disk.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        let free = fs2::available_space(folder)?;
        Ok(file_limit().map_or(free, |limit| {
            let used = folder.join("db").join("db").metadata();
            free.min(limit.saturating_sub(used.map_or(0, |about| about.len())))
        }))
    }
}

/// The longest file that this process may write, if there is such a limit and the system tells. The
/// engine must not run into it: unlike on a full disk, giving something up makes no room.
fn file_limit() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max file size"));
    // `unlimited` is no number.
    line?.split_whitespace().next()?.parse().ok()
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// Another process uses it.
    #[error("another relay uses this data folder")]
    InUse,
    /// Its files are damaged or do not belong together.
    #[error("the data folder is damaged; restore a copy, or import an export into an empty folder")]
    Damaged {
        /// What was noticed first.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The file system refuses.
    #[error("the data folder could not be read or written")]
    Io(#[source] io::Error),
}

impl From<io::Error> for FolderError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<KeysError> for FolderError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Io(error) => Self::Io(error),
            other => Self::Damaged {
                source: Some(other.into()),
            },
        }
    }
}

/// Proof that no other process uses the folder; lets go when dropped.
#[derive(Debug)]
pub(crate) struct Lock(
    #[expect(dead_code, reason = "the lock lasts as long as the file is open")] File,
);

/// Takes the folder for this process.
///
/// # Errors
/// [`FolderError::InUse`], [`FolderError::Io`].
pub(crate) fn lock(folder: &Path) -> Result<Lock, FolderError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(FolderError::InUse),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// An opened data folder: what [`Logs::start`](crate::log::Logs::start) needs.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The engine.
    pub store: Arc<dyn Store>,
    /// The keys that belong to it.
    pub keys: Arc<Keys>,
}

impl Folder {
    /// Opens the data folder, or makes one in an empty or missing folder. Blocks while the engine
    /// recovers.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(folder: &Path, options: SledOptions) -> Result<Self, FolderError> {
        std::fs::create_dir_all(folder)?;
        let lock = lock(folder)?;
        if folder.join(UNFINISHED).exists() {
            return Err(FolderError::Damaged { source: None });
        }
        Self::open_locked(folder, lock, options)
    }

    /// The operator says that the machine's clock is right: writes it down in the folder of a
    /// stopped relay, which goes by it from its next start on. Gives what was written there before.
    /// Blocks.
    ///
    /// # Errors
    /// [`FolderError`]; nothing was changed.
    pub fn confirm_clock(
        folder: &Path,
        clock: &dyn Clock,
    ) -> Result<Option<Duration>, FolderError> {
        let _lock = lock(folder)?;
        let keys = Keys::open(folder)?;
        let before = keys.clock_reading().map(Duration::from_secs);
        keys.write_clock(clock.wall().as_secs())?;
        keys.sync()?;
        Ok(before)
    }

    /// Opens a folder that this process has taken already.
    pub(crate) fn open_locked(
        folder: &Path,
        lock: Lock,
        options: SledOptions,
    ) -> Result<Self, FolderError> {
        let keys = Keys::open(folder)?;
        let store = SledStore::open(folder, lock, &keys.names(), options)?;
        sync_folder(folder)?;
        if let Some(parent) = folder.parent().filter(|parent| parent.is_dir()) {
            sync_folder(parent)?;
        }
        Ok(Self {
            store: Arc::new(store),
            keys: Arc::new(keys),
        })
    }
}
