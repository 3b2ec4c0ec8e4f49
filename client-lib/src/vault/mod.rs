//! The vault: the durable, sealed store of one client. It knows no conversation, only spaces with
//! named values; what they mean is the engine's.
//!
//! A **space** has a key of its own, so that erasing it destroys everything in it. A **batch** is
//! applied whole or not at all, and stands on the disk when [`Vault::apply`] returns: the engine
//! puts secret tree, text and cursor into one batch, and nothing is shown or sent before.
//!
//! | vault | for |
//! |---|---|
//! | [`MemoryVault`] | tests, browsers without storage, people who want nothing kept |
//! | `SqliteVault` (feature `native`) | everything else |

mod gone;
#[cfg(feature = "native")]
mod lock;
mod memory;
#[cfg(feature = "native")]
mod sealing;
#[cfg(feature = "native")]
mod sqlite;
#[cfg(test)]
mod tests;

use core::fmt;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

pub use memory::MemoryVault;
#[cfg(feature = "native")]
pub use sealing::VaultKey;
#[cfg(all(test, feature = "native"))]
pub(crate) use sqlite::test_access;
#[cfg(feature = "native")]
pub use sqlite::{SCRUB_EVERY, SqliteVault};

use crate::error::{Error, ErrorKind, Result};

/// The longest name in bytes: a label, two ids and a number fit several times over.
pub const NAME_BYTES_MAX: usize = 512;
/// The largest value in bytes: the secret state of a conversation of 500 takes about 1 MiB.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// The most operations in one batch: a full page of entries with its keys, several times over.
pub const BATCH_OPERATIONS_MAX: usize = 65_536;

/// Names a space: 16 bytes that the engine draws or derives.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Space(pub [u8; 16]);

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Space(…)")
    }
}

/// Names a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The space it is in.
    pub space: Space,
    /// Its name there; ranges are in the order of these bytes, so numbers are big-endian.
    pub name: Vec<u8>,
}

impl Key {
    /// The value `name` of `space`.
    #[must_use]
    pub fn new(space: Space, name: impl Into<Vec<u8>>) -> Self {
        Self {
            space,
            name: name.into(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Changes that stand together or not at all. Applied in this order: `erase`, `deletes`, `puts`;
/// so a space that is erased and written to in one batch begins anew.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Values to write; of two with one key the later stays.
    pub puts: Vec<(Key, Vec<u8>)>,
    /// Values to delete; one that is not there is no error.
    pub deletes: Vec<Key>,
    /// Spaces to destroy with all that is in them.
    pub erase: Vec<Space>,
}

impl Batch {
    /// Writes a value.
    pub fn put(&mut self, key: Key, value: impl Into<Vec<u8>>) {
        self.puts.push((key, value.into()));
    }

    /// Deletes a value.
    pub fn delete(&mut self, key: Key) {
        self.deletes.push(key);
    }

    /// Destroys a space.
    pub fn erase(&mut self, space: Space) {
        self.erase.push(space);
    }

    /// Adds a batch that would be applied after this one; together they do what both do in turn.
    pub fn then(&mut self, later: Self) {
        for space in &later.erase {
            self.puts.retain(|(key, _)| key.space != *space);
            self.deletes.retain(|key| key.space != *space);
        }
        {
            let written = later.puts.iter().map(|(key, _)| key);
            let touched: BTreeSet<&Key> = later.deletes.iter().chain(written).collect();
            self.puts.retain(|(key, _)| !touched.contains(key));
        }
        self.erase.extend(later.erase);
        self.deletes.extend(later.deletes);
        self.puts.extend(later.puts);
    }

    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty() && self.erase.is_empty()
    }

    /// Refuses what is over a limit, before anything is changed.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`].
    pub fn check(&self) -> Result<()> {
        let names = self
            .deletes
            .iter()
            .chain(self.puts.iter().map(|(key, _)| key));
        let operations = self.puts.len() + self.deletes.len() + self.erase.len();
        if operations <= BATCH_OPERATIONS_MAX
            && names
                .into_iter()
                .all(|key| key.name.len() <= NAME_BYTES_MAX)
            && self
                .puts
                .iter()
                .all(|(_, value)| value.len() <= VALUE_BYTES_MAX)
        {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::TooLarge,
                "a batch, name or value is larger than a vault takes",
            ))
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Batch({} puts, {} deletes, {} erased)",
            self.puts.len(),
            self.deletes.len(),
            self.erase.len()
        )
    }
}

/// Which names of a space a reader wants, in the order of their bytes.
#[derive(Clone, Copy, Default)]
pub struct Range<'a> {
    /// Only names that begin with this.
    pub prefix: &'a [u8],
    /// Only names behind this one (before it, if `backwards`).
    pub after: Option<&'a [u8]>,
    /// At most so many; 0 is no limit.
    pub max: usize,
    /// From the last name to the first.
    pub backwards: bool,
}

impl<'a> Range<'a> {
    /// Every name that begins with `prefix`.
    #[must_use]
    pub const fn of(prefix: &'a [u8]) -> Self {
        Self {
            prefix,
            after: None,
            max: 0,
            backwards: false,
        }
    }
}

impl fmt::Debug for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Range(…)")
    }
}

/// A name with its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// What a vault holds, as anybody can count it who has its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Residue {
    /// Spaces.
    pub spaces: u64,
    /// Values in all spaces.
    pub rows: u64,
    /// Bytes of the values and names, as stored.
    pub bytes: u64,
}

impl Residue {
    /// Whether nothing was kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.spaces == 0 && self.rows == 0
    }
}

/// Where a vault is in its own history. Each batch makes `generation` grow by one; `opening` is
/// drawn anew each time the vault is opened. Whoever finds two vaults that went on from one
/// generation under different openings, or a generation lower than one seen before, has found a
/// copy: the engine then rejoins rather than use a message key twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// How many batches were applied.
    pub generation: u64,
    /// Random, of this opening.
    pub opening: [u8; 16],
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark(…)")
    }
}

/// A durable store of named values in spaces. Every vault passes one conformance suite.
///
/// Calls block for the time the disk takes.
pub trait Vault: Send {
    /// Applies a batch whole or not at all. On `Ok` it survives a kill and a power cut; on `Err`
    /// everything is as before.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`], [`ErrorKind::VaultFull`], [`ErrorKind::VaultIo`].
    fn apply(&mut self, batch: &Batch) -> Result<()>;

    /// One value.
    ///
    /// # Errors
    /// [`ErrorKind::VaultIo`]; [`ErrorKind::VaultDamaged`] if it is not what was written.
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>>;

    /// Names with their values, in order.
    ///
    /// # Errors
    /// As [`Vault::get`].
    fn range(&self, space: Space, range: Range<'_>) -> Result<Vec<Row>>;

    /// All of a space, in the order of names.
    ///
    /// # Errors
    /// As [`Vault::get`].
    fn load(&self, space: Space) -> Result<Vec<Row>> {
        self.range(space, Range::default())
    }

    /// The spaces that hold anything, in the order of their bytes.
    ///
    /// # Errors
    /// As [`Vault::get`].
    fn spaces(&self) -> Result<Vec<Space>>;

    /// What is kept.
    ///
    /// # Errors
    /// As [`Vault::get`].
    fn residue(&self) -> Result<Residue>;

    /// Where this vault is in its history.
    fn mark(&self) -> Mark;

    /// Whether there is a sign that these files were copied back from an earlier time or moved
    /// here from elsewhere since they were last closed. No sign is no proof. The sign stays until
    /// the first batch is applied.
    fn is_copy(&self) -> bool {
        false
    }

    /// Overwrites what earlier batches deleted and journals may still hold.
    ///
    /// # Errors
    /// [`ErrorKind::VaultIo`].
    fn scrub(&mut self) -> Result<()> {
        Ok(())
    }

    /// Ends the vault: nothing of it can be read any more, whoever has the key. It looks for no
    /// network and asks nobody, and goes on behind what could not be erased.
    ///
    /// # Errors
    /// [`ErrorKind::VaultIo`] if something may be left.
    fn destroy(mut self: Box<Self>) -> Result<()> {
        let batch = Batch {
            erase: self.spaces()?,
            ..Batch::default()
        };
        self.apply(&batch)?;
        self.scrub()
    }
}

/// A vault that several conversations of one process use, one at a time.
#[derive(Clone)]
pub struct SharedVault(Arc<Mutex<Box<dyn Vault>>>);

impl SharedVault {
    /// Shares `vault`.
    #[must_use]
    pub fn new(vault: impl Vault + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(vault))))
    }

    /// Does something with the vault. Blocks while others do.
    pub fn with<R>(&self, work: impl FnOnce(&mut dyn Vault) -> R) -> R {
        // A panic of another holder cannot leave half a batch: the store's transaction is undone.
        let mut vault = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(vault.as_mut())
    }

    /// Ends the vault ([`Vault::destroy`]) for everybody who shares it: from then on it takes nothing
    /// and holds nothing.
    ///
    /// # Errors
    /// As [`Vault::destroy`]; nobody can use it all the same, and each further call says it again.
    pub fn destroy(&self) -> Result<()> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = shared.mark();
        let gone = || gone::GoneVault::after(mark);
        let outcome = core::mem::replace(&mut *shared, Box::new(gone())).destroy();
        *shared = Box::new(gone().but_for(outcome.clone().err()));
        outcome
    }
}

impl fmt::Debug for SharedVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedVault")
    }
}

/// Fresh random bytes.
#[cfg(feature = "native")]
fn random<const N: usize>() -> Result<[u8; N]> {
    crate::random::array().map_err(|error| {
        Error::new(ErrorKind::Internal, "the system gives no randomness").because(error)
    })
}
