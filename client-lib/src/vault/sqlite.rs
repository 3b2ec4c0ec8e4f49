//! The vault in a folder on disk: SQLite for atomicity, our own sealing for secrecy.
//!
//! Who has the files and not the key learns: how many spaces there are, how many values each has,
//! how long each name and value is (24 bytes of nonce and 16 of tag included), when the files were
//! last written, and whether a passphrase or a raw key opens them. No name, no value, no space id,
//! and nothing to recognize a conversation by.
//!
//! Deleted rows are overwritten in the database (`secure_delete`); copies in the write-ahead log
//! go with [`Vault::scrub`], which runs by itself behind every [`SCRUB_EVERY`] batches that deleted
//! something and behind every erased space. What a file system keeps of blocks it freed is out of
//! reach; of an erased space there is then only what was sealed under a key that no file holds.

use core::cell::RefCell;
use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::lock::Folder;
use super::sealing::{Key as SealingKey, SpaceKeys, Stretch, VaultKey, What, damaged, wrong_key};
use super::{Batch, Key, Mark, Range, Residue, Row, Space, Vault, memory, random};
use crate::error::{Error, ErrorKind, Result};

/// Batches that deleted or replaced something until the write-ahead log is emptied.
pub const SCRUB_EVERY: u32 = 64;
/// Marks the file's format; another number is another program's or a later version's.
const APPLICATION_ID: i64 = 0x536F_7474;
const FORMAT: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE space (id INTEGER PRIMARY KEY, sealed BLOB NOT NULL);
CREATE TABLE row (
    space INTEGER NOT NULL,
    lookup BLOB NOT NULL,
    name BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (space, lookup)
) WITHOUT ROWID;
";

/// Vaults up to this size are written anew when something shall vanish from the disk, in memory
/// first; a larger one would cost too much each time.
const ANEW_BYTES_MAX: i64 = 4 << 20;

/// Before anything else. The lock file keeps others out, so the locking mode may be exclusive,
/// which spares the shared-memory file.
const PRAGMAS: &str = "
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA fullfsync = ON;
PRAGMA checkpoint_fullfsync = ON;
PRAGMA secure_delete = ON;
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
";

/// One space, opened.
struct Opened {
    id: i64,
    keys: SpaceKeys,
    /// Its names in order, once somebody asked for a range.
    names: RefCell<Option<BTreeMap<Vec<u8>, ()>>>,
}

/// A vault in a folder.
pub struct SqliteVault {
    connection: Connection,
    root: SealingKey,
    spaces: BTreeMap<Space, Opened>,
    mark: Mark,
    is_copy: bool,
    place: u64,
    unscrubbed: u32,
    /// Dropped last: the lock outlives the database.
    folder: Folder,
}

impl fmt::Debug for SqliteVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteVault({} spaces)", self.spaces.len())
    }
}

impl SqliteVault {
    /// Opens the vault in `folder`, or makes one there. The folder and its files are readable by
    /// their owner only. Blocks; with a passphrase for a good part of a second.
    ///
    /// # Errors
    /// [`ErrorKind::VaultInUse`] while another process, or another part of this one, has it open;
    /// [`ErrorKind::VaultKey`] for a wrong key; [`ErrorKind::VaultDamaged`],
    /// [`ErrorKind::VaultFull`], [`ErrorKind::VaultIo`].
    pub fn open(folder: &Path, key: &VaultKey) -> Result<Self> {
        let folder = Folder::enter(folder)?;
        let mut connection = connect(&folder)?;
        let (root, stored) = if is_new(&connection)? {
            (create(&mut connection, key)?, None)
        } else {
            let root = open_root(&connection, key)?;
            let stored = open_mark(&connection, &root)?;
            (root, Some(stored))
        };
        let spaces = open_spaces(&connection, &root)?;
        let place = folder.place();
        let is_copy = stored
            .as_ref()
            .is_some_and(|(mark, at)| *at != place || mark.generation < folder.high_water());
        let generation = stored.map_or(0, |(mark, _)| mark.generation) + 1;
        let mark = Mark {
            generation,
            opening: random()?,
        };
        // The sign of a copy stays until the first batch, which keeps what follows from it.
        let shown_place = if is_copy { !place } else { place };
        let transaction = begin(&mut connection)?;
        write_mark(&transaction, &root, mark, shown_place)?;
        transaction.commit().map_err(sql)?;
        folder.note(generation);
        Ok(Self {
            connection,
            root,
            spaces,
            mark,
            is_copy,
            place,
            unscrubbed: 0,
            folder,
        })
    }

    /// Opens the vault with another key from now on. Values are not sealed anew.
    ///
    /// # Errors
    /// [`ErrorKind::VaultFull`], [`ErrorKind::VaultIo`]; the old key stays good then.
    pub fn change_key(&mut self, key: &VaultKey) -> Result<()> {
        let transaction = begin(&mut self.connection)?;
        write_root(&transaction, &self.root, key)?;
        transaction.commit().map_err(sql)?;
        self.scrub()
    }

    /// What the folder holds, counted without a key. A folder without a vault holds nothing.
    ///
    /// # Errors
    /// [`ErrorKind::VaultInUse`], [`ErrorKind::VaultDamaged`], [`ErrorKind::VaultIo`].
    pub fn residue_of(folder: &Path) -> Result<Residue> {
        let Some(folder) = Folder::enter_if_there(folder)? else {
            return Ok(Residue::default());
        };
        let connection = connect(&folder)?;
        if is_new(&connection)? {
            return Ok(Residue::default());
        }
        count(&connection)
    }

    /// Destroys the vault in a folder without its key: the same as [`Vault::destroy`], for one that is
    /// not open. A folder that is not there, or without a vault, is left as it is.
    ///
    /// # Errors
    /// [`ErrorKind::VaultInUse`]; [`ErrorKind::VaultIo`] if something may be left.
    pub fn destroy_in(folder: &Path) -> Result<()> {
        match Folder::enter_if_any(folder)? {
            Some(folder) => folder.wipe(),
            None => Ok(()),
        }
    }

    fn opened_name(&self, opened: &Opened, space: Space, sealed: &[u8]) -> Result<Vec<u8>> {
        opened
            .keys
            .seal
            .open(What::Name(space), sealed)
            .ok_or_else(damaged)
    }

    /// Fills the list of names of a space.
    fn list(&self, space: Space, opened: &Opened) -> Result<()> {
        if opened.names.borrow().is_some() {
            return Ok(());
        }
        let mut statement = self
            .connection
            .prepare_cached("SELECT name FROM row WHERE space = ?1")
            .map_err(sql)?;
        let mut rows = statement.query(params![opened.id]).map_err(sql)?;
        let mut names = BTreeMap::new();
        while let Some(row) = rows.next().map_err(sql)? {
            let sealed: Vec<u8> = row.get(0).map_err(sql)?;
            names.insert(self.opened_name(opened, space, &sealed)?, ());
        }
        *opened.names.borrow_mut() = Some(names);
        Ok(())
    }

    fn fetch(&self, space: Space, opened: &Opened, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT value FROM row WHERE space = ?1 AND lookup = ?2")
            .map_err(sql)?;
        let lookup = opened.keys.lookup(name)?;
        let sealed: Option<Vec<u8>> = statement
            .query_row(params![opened.id, lookup], |row| row.get(0))
            .optional()
            .map_err(sql)?;
        let open = |sealed: Vec<u8>| {
            opened
                .keys
                .seal
                .open(What::Value(space, name), &sealed)
                .ok_or_else(damaged)
        };
        sealed.map(open).transpose()
    }

    /// Takes a committed batch into the lists of names.
    fn keep_up(&mut self, batch: &Batch, changed: Changed) {
        for space in changed.gone {
            self.spaces.remove(&space);
        }
        self.spaces.extend(changed.made);
        for key in &batch.deletes {
            if let Some(names) = self.names_of(key.space) {
                names.remove(&key.name);
            }
        }
        for (key, _) in &batch.puts {
            if let Some(names) = self.names_of(key.space) {
                names.insert(key.name.clone(), ());
            }
        }
    }

    fn names_of(&mut self, space: Space) -> Option<&mut BTreeMap<Vec<u8>, ()>> {
        self.spaces.get_mut(&space)?.names.get_mut().as_mut()
    }
}

/// Spaces that a batch made and destroyed.
#[derive(Default)]
struct Changed {
    made: BTreeMap<Space, Opened>,
    gone: BTreeSet<Space>,
}

/// One batch being written.
struct Writing<'a> {
    transaction: &'a Transaction<'a>,
    root: &'a SealingKey,
    spaces: &'a BTreeMap<Space, Opened>,
    changed: Changed,
}

impl Writing<'_> {
    fn space(&self, space: Space) -> Option<&Opened> {
        let kept = || {
            self.spaces
                .get(&space)
                .filter(|_| !self.changed.gone.contains(&space))
        };
        self.changed.made.get(&space).or_else(kept)
    }

    fn run(&mut self, batch: &Batch) -> Result<()> {
        for space in &batch.erase {
            self.erase(*space)?;
        }
        for key in &batch.deletes {
            self.delete(key)?;
        }
        for (key, value) in &batch.puts {
            self.put(key, value)?;
        }
        let touched: BTreeSet<Space> = batch.deletes.iter().map(|key| key.space).collect();
        touched
            .into_iter()
            .try_for_each(|space| self.erase_if_empty(space))
    }

    fn erase(&mut self, space: Space) -> Result<()> {
        let Some(id) = self.space(space).map(|opened| opened.id) else {
            return Ok(());
        };
        self.execute("DELETE FROM row WHERE space = ?1", params![id])?;
        self.execute("DELETE FROM space WHERE id = ?1", params![id])?;
        self.changed.made.remove(&space);
        self.changed.gone.insert(space);
        Ok(())
    }

    fn erase_if_empty(&mut self, space: Space) -> Result<()> {
        let Some(id) = self.space(space).map(|opened| opened.id) else {
            return Ok(());
        };
        let left: Option<i64> = self
            .transaction
            .prepare_cached("SELECT 1 FROM row WHERE space = ?1 LIMIT 1")
            .and_then(|mut statement| {
                statement
                    .query_row(params![id], |row| row.get(0))
                    .optional()
            })
            .map_err(sql)?;
        if left.is_some() {
            return Ok(());
        }
        self.erase(space)
    }

    fn delete(&self, key: &Key) -> Result<()> {
        let Some(opened) = self.space(key.space) else {
            return Ok(());
        };
        let lookup = opened.keys.lookup(&key.name)?;
        self.execute(
            "DELETE FROM row WHERE space = ?1 AND lookup = ?2",
            params![opened.id, lookup],
        )
    }

    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        if self.space(key.space).is_none() {
            let made = self.make(key.space)?;
            self.changed.made.insert(key.space, made);
        }
        let Some(opened) = self.space(key.space) else {
            return Err(damaged());
        };
        let keys = &opened.keys;
        let name = keys.seal.seal(What::Name(key.space), &key.name)?;
        let value = keys.seal.seal(What::Value(key.space, &key.name), value)?;
        self.execute(
            "INSERT OR REPLACE INTO row (space, lookup, name, value) VALUES (?1, ?2, ?3, ?4)",
            params![opened.id, keys.lookup(&key.name)?, name, value],
        )
    }

    fn make(&self, space: Space) -> Result<Opened> {
        let key = SealingKey::fresh()?;
        let plain = zeroize::Zeroizing::new([space.0.as_slice(), key.as_bytes()].concat());
        let sealed = self.root.seal(What::SpaceKey, &plain)?;
        self.execute("INSERT INTO space (sealed) VALUES (?1)", params![sealed])?;
        Ok(Opened {
            id: self.transaction.last_insert_rowid(),
            keys: SpaceKeys::of(space, &key)?,
            names: RefCell::new(Some(BTreeMap::new())),
        })
    }

    fn execute(&self, statement: &str, params: &[&dyn rusqlite::ToSql]) -> Result<()> {
        self.transaction
            .prepare_cached(statement)
            .and_then(|mut statement| statement.execute(params))
            .map(drop)
            .map_err(sql)
    }
}

impl Vault for SqliteVault {
    fn apply(&mut self, batch: &Batch) -> Result<()> {
        batch.check()?;
        let mark = Mark {
            generation: self.mark.generation + 1,
            ..self.mark
        };
        let transaction = begin(&mut self.connection)?;
        let mut writing = Writing {
            transaction: &transaction,
            root: &self.root,
            spaces: &self.spaces,
            changed: Changed::default(),
        };
        writing.run(batch)?;
        let changed = writing.changed;
        write_mark(&transaction, &self.root, mark, self.place)?;
        transaction.commit().map_err(sql)?;
        self.mark = mark;
        self.folder.note(mark.generation);
        let erased = !changed.gone.is_empty();
        self.keep_up(batch, changed);
        self.unscrubbed += 1;
        if (erased || self.unscrubbed >= SCRUB_EVERY) && self.scrub().is_err() {
            // The batch stands; the next one tries again.
            self.unscrubbed = SCRUB_EVERY;
            tracing::warn!("the vault's journal could not be emptied yet");
        }
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        match self.spaces.get(&key.space) {
            Some(opened) => self.fetch(key.space, opened, &key.name),
            None => Ok(None),
        }
    }

    fn range(&self, space: Space, range: Range<'_>) -> Result<Vec<Row>> {
        let Some(opened) = self.spaces.get(&space) else {
            return Ok(Vec::new());
        };
        self.list(space, opened)?;
        let names = opened.names.borrow();
        let Some(names) = names.as_ref() else {
            return Ok(Vec::new());
        };
        memory::names(names, range)
            .into_iter()
            .map(|(name, ())| {
                let value = self.fetch(space, opened, name)?.ok_or_else(damaged)?;
                Ok((name.clone(), value))
            })
            .collect()
    }

    fn spaces(&self) -> Result<Vec<Space>> {
        Ok(self.spaces.keys().copied().collect())
    }

    fn residue(&self) -> Result<Residue> {
        count(&self.connection)
    }

    fn mark(&self) -> Mark {
        self.mark
    }

    fn is_copy(&self) -> bool {
        self.is_copy
    }

    fn scrub(&mut self) -> Result<()> {
        let pages = number(&self.connection, "PRAGMA page_count")?;
        let bytes = pages.saturating_mul(number(&self.connection, "PRAGMA page_size")?);
        // Pages that were balanced against each other may hold older copies of rows in what is free
        // of them. Where the disk has no room to write all anew, what is free is given back at least.
        let is_anew = bytes <= ANEW_BYTES_MAX && self.connection.execute_batch("VACUUM").is_ok();
        if !is_anew {
            let mut vacuum = self
                .connection
                .prepare("PRAGMA incremental_vacuum")
                .map_err(sql)?;
            let mut pages = vacuum.query([]).map_err(sql)?;
            // Each step frees one page.
            while pages.next().map_err(sql)?.is_some() {}
        }
        let busy: i64 = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(sql)?;
        if busy != 0 {
            return Err(Error::new(
                ErrorKind::VaultIo,
                "the vault's journal could not be emptied",
            ));
        }
        self.unscrubbed = 0;
        Ok(())
    }

    fn destroy(self: Box<Self>) -> Result<()> {
        let Self {
            connection, folder, ..
        } = *self;
        // Closing would write the journal back and free it with what it holds; it is to be
        // overwritten where it is. Where that cannot be set, it is the file system that frees it.
        if connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .is_err()
        {
            tracing::debug!("the vault's journal could not be kept for overwriting");
        }
        drop(connection);
        folder.wipe()
    }
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sql)
}

fn connect(folder: &Folder) -> Result<Connection> {
    let connection = Connection::open(folder.database()?).map_err(sql)?;
    connection.set_prepared_statement_cache_capacity(16);
    connection.execute_batch(PRAGMAS).map_err(sql)?;
    Ok(connection)
}

fn number(connection: &Connection, pragma: &str) -> Result<i64> {
    connection
        .query_row(pragma, [], |row| row.get(0))
        .map_err(sql)
}

/// Whether nothing was ever committed; refuses what is not a vault of this format.
fn is_new(connection: &Connection) -> Result<bool> {
    let format = number(connection, "PRAGMA user_version")?;
    let application = number(connection, "PRAGMA application_id")?;
    match (application, format) {
        (0, 0) => {
            let tables = number(connection, "SELECT count(*) FROM sqlite_schema")?;
            if tables == 0 {
                Ok(true)
            } else {
                Err(damaged())
            }
        }
        (APPLICATION_ID, FORMAT) => Ok(false),
        _ => Err(damaged()),
    }
}

fn create(connection: &mut Connection, key: &VaultKey) -> Result<SealingKey> {
    let root = SealingKey::fresh()?;
    let transaction = begin(connection)?;
    transaction.execute_batch(SCHEMA).map_err(sql)?;
    write_root(&transaction, &root, key)?;
    transaction
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"
        ))
        .map_err(sql)?;
    transaction.commit().map_err(sql)?;
    Ok(root)
}

fn write_meta(transaction: &Transaction<'_>, name: &str, value: &[u8]) -> Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")
        .and_then(|mut statement| statement.execute(params![name, value]))
        .map(drop)
        .map_err(sql)
}

fn read_meta(connection: &Connection, name: &str) -> Result<Vec<u8>> {
    connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .map_err(sql)
}

fn write_root(transaction: &Transaction<'_>, root: &SealingKey, key: &VaultKey) -> Result<()> {
    let stretch = Stretch::fresh(key)?;
    let stored = serde_json::to_vec(&stretch)
        .map_err(|_| Error::new(ErrorKind::Internal, "the vault's parameters"))?;
    let wrapped = stretch.stretch(key)?.seal(What::Root, root.as_bytes())?;
    write_meta(transaction, "stretch", &stored)?;
    write_meta(transaction, "root", &wrapped)
}

fn open_root(connection: &Connection, key: &VaultKey) -> Result<SealingKey> {
    let stretch: Stretch = serde_json::from_slice(&read_meta(connection, "stretch")?)
        .map_err(|error| damaged().because(error))?;
    let root = stretch
        .stretch(key)?
        .open(What::Root, &read_meta(connection, "root")?)
        .map(zeroize::Zeroizing::new)
        .ok_or_else(wrong_key)?;
    SealingKey::from_bytes(&root).ok_or_else(damaged)
}

/// The mark, sealed: generation (8, big-endian), opening (16), place (8).
fn write_mark(
    transaction: &Transaction<'_>,
    root: &SealingKey,
    mark: Mark,
    place: u64,
) -> Result<()> {
    let plain = [
        mark.generation.to_be_bytes().as_slice(),
        &mark.opening,
        &place.to_be_bytes(),
    ]
    .concat();
    write_meta(transaction, "mark", &root.seal(What::Mark, &plain)?)
}

fn open_mark(connection: &Connection, root: &SealingKey) -> Result<(Mark, u64)> {
    let plain = root
        .open(What::Mark, &read_meta(connection, "mark")?)
        .ok_or_else(damaged)?;
    let parts = || {
        let (generation, rest) = plain.split_first_chunk::<8>()?;
        let (opening, rest) = rest.split_first_chunk::<16>()?;
        let place = rest.first_chunk::<8>()?;
        let mark = Mark {
            generation: u64::from_be_bytes(*generation),
            opening: *opening,
        };
        Some((mark, u64::from_be_bytes(*place)))
    };
    parts().ok_or_else(damaged)
}

fn open_spaces(connection: &Connection, root: &SealingKey) -> Result<BTreeMap<Space, Opened>> {
    let mut statement = connection
        .prepare("SELECT id, sealed FROM space")
        .map_err(sql)?;
    let mut rows = statement.query([]).map_err(sql)?;
    let mut spaces = BTreeMap::new();
    while let Some(row) = rows.next().map_err(sql)? {
        let id = row.get(0).map_err(sql)?;
        let sealed: Vec<u8> = row.get(1).map_err(sql)?;
        let plain = root
            .open(What::SpaceKey, &sealed)
            .map(zeroize::Zeroizing::new)
            .ok_or_else(damaged)?;
        let (space, key) = plain
            .split_first_chunk::<16>()
            .and_then(|(space, key)| Some((Space(*space), SealingKey::from_bytes(key)?)))
            .ok_or_else(damaged)?;
        let opened = Opened {
            id,
            keys: SpaceKeys::of(space, &key)?,
            names: RefCell::new(None),
        };
        spaces.insert(space, opened);
    }
    Ok(spaces)
}

fn count(connection: &Connection) -> Result<Residue> {
    let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
    connection
        .query_row(
            "SELECT (SELECT count(*) FROM space), count(*),
                    coalesce(sum(length(name) + length(value)), 0) FROM row",
            [],
            |row| {
                Ok(Residue {
                    spaces: unsigned(row.get(0)?),
                    rows: unsigned(row.get(1)?),
                    bytes: unsigned(row.get(2)?),
                })
            },
        )
        .map_err(sql)
}

/// Sorted by what one can do about it.
fn sql(error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    match error.sqlite_error_code() {
        Some(Code::DiskFull) => {
            Error::new(ErrorKind::VaultFull, "the device has no room for the vault")
        }
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => damaged(),
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
            Error::new(ErrorKind::VaultInUse, "another program has the vault open")
        }
        None if matches!(error, rusqlite::Error::QueryReturnedNoRows) => damaged(),
        _ => Error::new(ErrorKind::VaultIo, "the vault could not be read or written"),
    }
    .because(error)
}

pub(super) fn io(error: std::io::Error) -> Error {
    let (kind, what) = if error.kind() == std::io::ErrorKind::StorageFull {
        (ErrorKind::VaultFull, "the device has no room for the vault")
    } else {
        (ErrorKind::VaultIo, "the vault's files could not be opened")
    };
    Error::new(kind, what).because(error)
}

/// What tests do to a vault that nobody else may.
#[cfg(test)]
pub(crate) mod test_access {
    use super::{Space, SqliteVault};

    /// Lets the database grow to so many pages: a full disk.
    pub(in crate::vault) fn limit_pages(vault: &SqliteVault, pages: u32) {
        let pragma = format!("PRAGMA max_page_count = {pages}");
        vault.connection.query_row(&pragma, [], |_| Ok(())).unwrap();
    }

    /// Every sealed name, value and key of a space.
    pub(crate) fn sealed_of(vault: &SqliteVault, space: Space) -> Vec<Vec<u8>> {
        let id = vault.spaces[&space].id;
        let statement = "SELECT name FROM row WHERE space = ?1
             UNION ALL SELECT value FROM row WHERE space = ?1
             UNION ALL SELECT sealed FROM space WHERE id = ?1";
        let mut statement = vault.connection.prepare(statement).unwrap();
        statement
            .query_map([id], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }
}
