//! A vault's folder: made for its owner only, used by one process at a time.
//!
//! The lock is the operating system's (`flock` on Unix), so that it goes with the process however
//! that ends. The file behind it carries the highest generation the vault reached: a database that
//! is lower was copied back. It is written behind each batch and not synced, so it may be too low
//! after a power cut, never too high.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::sqlite::io;
use crate::error::{Error, ErrorKind, Result};

const LOCK_FILE: &str = "vault.lock";
/// The database's name in the folder.
pub(super) const DATABASE_FILE: &str = "vault.sqlite";
/// What the database is accompanied by, behind its name.
const BESIDE_DATABASE: [&str; 3] = ["-wal", "-journal", "-shm"];
/// So much of each file is overwritten when a vault is destroyed. The sealed root key, without which
/// all else is noise, lies in the first pages of the database and of its journal; to overwrite a
/// gigabyte of noise would take longer than somebody may have.
pub(super) const OVERWRITTEN_BYTES_MAX: u64 = 16 << 20;

/// A folder that is ours until this is dropped.
pub(super) struct Folder {
    path: PathBuf,
    lock: File,
}

impl Folder {
    /// Makes the folder if need be and locks it.
    pub(super) fn enter(path: &Path) -> Result<Self> {
        make(path)?;
        Self::lock(path)
    }

    /// Locks a folder that may not be there.
    pub(super) fn enter_if_there(path: &Path) -> Result<Option<Self>> {
        // What cannot be looked at is not known to be absent.
        match path.join(DATABASE_FILE).try_exists() {
            Ok(true) => Self::lock(path).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(io(error)),
        }
    }

    /// Locks a folder in which anything of a vault may be.
    pub(super) fn enter_if_any(path: &Path) -> Result<Option<Self>> {
        let is_there = |name: &PathBuf| name.try_exists().unwrap_or(true);
        if files(path).iter().any(is_there) {
            Self::lock(path).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Overwrites and removes every file of the vault, and the folder if nothing else is in it. What
    /// cannot be overwritten is removed all the same.
    pub(super) fn wipe(self) -> Result<()> {
        let mut outcome = Ok(());
        let mut note = |result: std::io::Result<()>| match result {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                outcome = Err(io(error));
            }
            _ => {}
        };
        let files = files(&self.path);
        for file in &files {
            note(overwrite(file));
        }
        for file in &files {
            note(std::fs::remove_file(file));
        }
        // Somebody else's files may be in it.
        if std::fs::remove_dir(&self.path).is_err() {
            sync_folder(&self.path)?;
        }
        outcome
    }

    fn lock(path: &Path) -> Result<Self> {
        let lock = private_file(&path.join(LOCK_FILE))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                lock,
            }),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorKind::VaultInUse,
                "another process, or another part of this one, has the vault open",
            )),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    /// The database's path; the file is made for its owner only.
    pub(super) fn database(&self) -> Result<PathBuf> {
        let path = self.path.join(DATABASE_FILE);
        private_file(&path)?.sync_all().map_err(io)?;
        sync_folder(&self.path)?;
        Ok(path)
    }

    /// What tells this file from a copy of it: the inode, where there is one.
    pub(super) fn place(&self) -> u64 {
        place(&self.path.join(DATABASE_FILE)).unwrap_or(0)
    }

    /// The highest generation that was noted.
    pub(super) fn high_water(&self) -> u64 {
        let mut bytes = [0; 8];
        let mut file = &self.lock;
        let read = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.read_exact(&mut bytes));
        read.map_or(0, |()| u64::from_be_bytes(bytes))
    }

    /// Notes a generation.
    pub(super) fn note(&self, generation: u64) {
        let mut file = &self.lock;
        let written = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(&generation.to_be_bytes()));
        if written.is_err() {
            // Only a hint is lost: the batch itself stands.
            tracing::warn!("the vault's generation could not be noted");
        }
    }
}

/// Every file that a vault may have, the journal first: it may be the fresher one.
fn files(folder: &Path) -> Vec<PathBuf> {
    let beside = BESIDE_DATABASE.map(|end| format!("{DATABASE_FILE}{end}"));
    let names = beside.iter().map(String::as_str);
    names
        .chain([DATABASE_FILE, LOCK_FILE])
        .map(|name| folder.join(name))
        .collect()
}

fn overwrite(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len().min(OVERWRITTEN_BYTES_MAX);
    std::io::copy(&mut std::io::repeat(0).take(length), &mut file)?;
    file.sync_data()
}

#[cfg(unix)]
fn make(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io)
}

#[cfg(not(unix))]
fn make(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(io)
}

fn private_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(path).map_err(io)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // A file that was there already, such as one copied back, may be open to others.
        file.set_permissions(std::fs::Permissions::from_mode(0o600))
            .map_err(io)?;
    }
    Ok(file)
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(io)
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(unix)]
fn place(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|about| about.ino())
}

#[cfg(not(unix))]
fn place(_: &Path) -> Option<u64> {
    None
}
