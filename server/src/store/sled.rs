//! The sled engine, and the only file that names sled. It must not trust it: a commit is flushed
//! *and* synced on a handle of our own, what it says is compared with a mark beside it, and its
//! panics are caught.
//!
//! All records lie in one tree, because sled's batches are crash-atomic within one tree only.
//! Values stay below a sixteenth of a segment: sled puts larger pages into files of their own and
//! never syncs those.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

mod ballast;
mod meta;

pub(crate) use self::ballast::BALLAST;
use self::ballast::Ballast;
use self::meta::Meta;
use super::folder::{Disk, FolderError, Lock, SystemDisk};
use super::{Batch, Key, LogName, Range, Record, Store, StoreError, StoreFuture, revision_of};
use crate::retention::{SlotFile, sync_folder};

/// The largest value: a full list of grants is about 150 KiB.
const VALUE_BYTES_MAX: usize = 160 << 10;
/// sled moves pages over a quarter of a segment into files that it does not sync. A page holds at
/// most 17 values, or 20 after a merge.
const SEGMENT_BYTES: usize = 16 << 20;
const _: () = assert!(20 * (VALUE_BYTES_MAX + 64) < SEGMENT_BYTES / 4);
/// Calls that wait for a storage thread; past it callers wait for room.
const JOBS_MAX: usize = 256;
/// The key of our own record; shorter than any record's key.
const META_KEY: &[u8] = b"m";
/// The mark is written after every commit and synced after so many; a power cut may take it back
/// that far, damage that came with a power cut is then noticed by the chain alone.
const MARK_SYNC_COMMITS: u64 = 1_024;
const MARK_BYTES: usize = 64;
/// How often and how far apart the file of a closed engine is tried: 5 s in all. Opening it again
/// says what is wrong if that was too short.
const LET_GO_TRIES: u32 = 2_500;
const LET_GO_PAUSE: Duration = Duration::from_millis(2);
/// Kept free: what sled may write ahead and a trimming relay needs to get room again.
const RESERVE_BYTES: u64 = 96 << 20;
/// Disk that one byte of a batch may cost at once, pages and rewriting included.
const WRITE_FACTOR: u64 = 8;

/// How the engine is run.
#[derive(Clone, Debug)]
pub struct SledOptions {
    /// Bytes of pages kept in memory.
    pub cache_bytes: u64,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Whether room is set aside (32 MiB) so that reads go on when a full disk made a write fail.
    pub ballast: bool,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 128 << 20,
            disk: Arc::new(SystemDisk),
            ballast: true,
        }
    }
}

impl SledOptions {
    /// For looking at a folder and leaving it: without ballast.
    #[must_use]
    pub fn offline() -> Self {
        Self {
            ballast: false,
            ..Self::default()
        }
    }
}

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

enum Job {
    Get(Vec<Key>, Answer<Vec<Option<Bytes>>>),
    Range(Range, Answer<Vec<(Key, Bytes)>>),
    Commit(Batch, Answer<()>),
    Close(Answer<()>),
}

/// See the module.
pub struct SledStore {
    reads: mpsc::Sender<Job>,
    writes: mpsc::Sender<Job>,
    has_room: Arc<AtomicBool>,
    batches: Arc<AtomicU64>,
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore").finish_non_exhaustive()
    }
}

/// The part that both threads share.
struct Engine {
    folder: PathBuf,
    cache_bytes: u64,
    disk: Arc<dyn Disk>,
    /// Nothing while it is being opened again, or after the end.
    db: RwLock<Option<(sled::Db, File)>>,
    /// Something failed in a way after which nothing may be written.
    broken: AtomicBool,
    has_room: Arc<AtomicBool>,
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Failed {
        source: Some(Box::new(error)),
    }
}

fn is_full(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    ))
}

/// Calls into sled, which panics where others return an error.
fn guarded<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(StoreError::Failed { source: None }))
}

fn open_db(folder: &Path, cache_bytes: u64) -> Result<(sled::Db, File), StoreError> {
    guarded(|| {
        let path = folder.join("db");
        let db = sled::Config::new()
            .path(&path)
            .cache_capacity(cache_bytes)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(None)
            .open()
            .map_err(failed)?;
        db.flush().map_err(failed)?;
        let file = File::options()
            .read(true)
            .write(true)
            .open(path.join("db"))
            .map_err(failed)?;
        file.sync_all().map_err(failed)?;
        sync_folder(&path).map_err(failed)?;
        Ok((db, file))
    })
}

/// Closes sled and waits until its file is free: its pool of threads, which no handle waits for, may
/// hold the locked file a moment longer and says nothing when it is done. Blocks.
fn let_go(db: sled::Db, file: &File) {
    drop(db);
    for _ in 0..LET_GO_TRIES {
        if file.try_lock().is_ok() {
            // A lock that cannot be given back ends with the handle.
            drop(file.unlock());
            return;
        }
        std::thread::sleep(LET_GO_PAUSE);
    }
}

impl SledStore {
    /// Opens the engine and compares it with its mark. Blocks.
    pub(super) fn open(
        folder: &Path,
        lock: Lock,
        names: &HashSet<LogName>,
        options: SledOptions,
    ) -> Result<Self, FolderError> {
        let damaged = |error: StoreError| FolderError::Damaged {
            source: Some(error.into()),
        };
        let (mut mark, marks) =
            SlotFile::open(&folder.join("mark"), MARK_BYTES).map_err(|error| {
                if error.kind() == io::ErrorKind::InvalidData {
                    damaged(StoreError::Damaged)
                } else {
                    FolderError::Io(error)
                }
            })?;
        let marked = marks.first().and_then(|(_, bytes)| Meta::decode(bytes));
        let is_new = !folder.join("db").join("db").exists();
        if is_new && marked.is_some_and(|marked| marked.commits > 0) {
            return Err(damaged(StoreError::Damaged));
        }
        let opened = open_db(folder, options.cache_bytes).map_err(damaged)?;
        let meta = guarded(|| check(&opened.0, marked, is_new, names)).map_err(damaged)?;
        if marks.is_empty() {
            mark.take_free();
        }
        mark.write(0, &meta.encode())?;
        mark.sync()?;
        let has_room = Arc::new(AtomicBool::new(true));
        let engine = Arc::new(Engine {
            folder: folder.to_path_buf(),
            cache_bytes: options.cache_bytes,
            disk: options.disk,
            db: RwLock::new(Some(opened)),
            broken: AtomicBool::new(false),
            has_room: Arc::clone(&has_room),
        });
        engine.room(0);
        let (reads, read_jobs) = mpsc::channel(JOBS_MAX);
        let (writes, write_jobs) = mpsc::channel(JOBS_MAX);
        let reader = Arc::clone(&engine);
        thread("sotto-reads", move || run_reads(&reader, read_jobs))?;
        let batches = Arc::new(AtomicU64::new(meta.commits));
        let writer = Writer {
            engine,
            meta,
            mark,
            mark_synced: meta.commits,
            batches: Arc::clone(&batches),
            ballast: Ballast::new(folder, options.ballast),
            attempted: None,
            lock: Some(lock),
        };
        thread("sotto-writes", move || writer.run(write_jobs))?;
        Ok(Self {
            reads,
            writes,
            has_room,
            batches,
        })
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
}

/// Our own record, if every head it counts is there and has a key, and it is not behind the mark.
fn check(
    db: &sled::Db,
    marked: Option<Meta>,
    is_new: bool,
    names: &HashSet<LogName>,
) -> Result<Meta, StoreError> {
    let told = match db.get(META_KEY).map_err(failed)? {
        Some(bytes) => Meta::decode(&bytes).ok_or(StoreError::Damaged)?,
        None if db.is_empty() && marked.is_none_or(|marked| marked.commits == 0) => Meta::default(),
        None => return Err(StoreError::Damaged),
    };
    match marked {
        Some(marked) if told.commits < marked.commits => return Err(StoreError::Damaged),
        Some(marked) if told.commits == marked.commits && told != marked => {
            return Err(StoreError::Damaged);
        }
        None if !is_new && told.commits > 0 => return Err(StoreError::Damaged),
        _ => {}
    }
    let mut seen = Meta {
        commits: told.commits,
        ..Meta::default()
    };
    let mut next = vec![0; 16];
    while let Some(found) = db.range(next..).next() {
        let (key, value) = found.map_err(failed)?;
        if key == META_KEY {
            next = [META_KEY, &[0]].concat();
            continue;
        }
        let key = Key::decode(&key).ok_or(StoreError::Damaged)?;
        // A log's head is its first record; records without one must not be.
        if key.record != Record::Head || !names.contains(&key.log) {
            return Err(StoreError::Damaged);
        }
        seen.add(key.log, revision_of(&value).ok_or(StoreError::Damaged)?);
        next = [key.log.0.as_slice(), &[0xff]].concat();
    }
    if seen == told {
        Ok(told)
    } else {
        Err(StoreError::Damaged)
    }
}

impl Engine {
    fn with_db<T>(
        &self,
        call: impl FnOnce(&sled::Db, &File) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let (db, file) = db.as_ref().ok_or(StoreError::Closed)?;
        guarded(|| call(db, file))
    }

    fn get(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.with_db(|db, _| {
            keys.iter()
                .map(|key| {
                    let value = db.get(key.encode()).map_err(failed)?;
                    Ok(value.map(|value| Bytes::copy_from_slice(&value)))
                })
                .collect()
        })
    }

    fn range(&self, range: &Range) -> Result<Vec<(Key, Bytes)>, StoreError> {
        if range.from > range.to {
            return Ok(Vec::new());
        }
        self.with_db(|db, _| {
            let mut found = Vec::new();
            let mut bytes = 0;
            for record in db
                .range(range.from.encode()..=range.to.encode())
                .take(range.records_max)
            {
                let (key, value) = record.map_err(failed)?;
                let key = Key::decode(&key).ok_or(StoreError::Damaged)?;
                if range.values {
                    if bytes >= range.bytes_max {
                        break;
                    }
                    bytes += value.len();
                    found.push((key, Bytes::copy_from_slice(&value)));
                } else {
                    found.push((key, Bytes::new()));
                }
            }
            Ok(found)
        })
    }

    /// Whether a batch of so many bytes may be written; keeps what [`Store::has_room`] says.
    fn room(&self, bytes: u64) -> bool {
        // A disk that does not say how much is free is not a full one.
        let free = self.disk.free_bytes(&self.folder).unwrap_or(u64::MAX);
        let needed = bytes.saturating_mul(WRITE_FACTOR);
        self.has_room.store(
            free >= needed.saturating_add(2 * RESERVE_BYTES),
            Ordering::Relaxed,
        );
        free >= needed.saturating_add(RESERVE_BYTES)
    }

    /// Lets go of the engine and opens it again: sled refuses everything after a failed write.
    fn reopen(&self) -> Result<(), StoreError> {
        let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((db, file)) = db.take() {
            let_go(db, &file);
        }
        *db = Some(open_db(&self.folder, self.cache_bytes)?);
        Ok(())
    }
}

fn run_reads(engine: &Engine, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.blocking_recv() {
        // A caller that has gone away needs no answer.
        match job {
            Job::Get(keys, answer) => drop(answer.send(engine.get(&keys))),
            Job::Range(range, answer) => drop(answer.send(engine.range(&range))),
            Job::Commit(_, answer) | Job::Close(answer) => {
                drop(answer.send(Err(StoreError::Closed)));
            }
        }
    }
}

/// The thread that writes.
struct Writer {
    engine: Arc<Engine>,
    meta: Meta,
    mark: SlotFile,
    mark_synced: u64,
    batches: Arc<AtomicU64>,
    ballast: Ballast,
    /// What our own record says if the batch that failed on a full disk landed all the same.
    attempted: Option<Meta>,
    lock: Option<Lock>,
}

impl Writer {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.blocking_recv() {
            // A caller that has gone away needs no answer.
            match job {
                Job::Commit(batch, answer) => drop(answer.send(self.commit(&batch))),
                Job::Close(answer) => drop(answer.send(self.close())),
                Job::Get(_, answer) => drop(answer.send(Err(StoreError::Closed))),
                Job::Range(_, answer) => drop(answer.send(Err(StoreError::Closed))),
            }
        }
        // Nobody is left to tell; the next start verifies.
        drop(self.close());
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if self.engine.broken.load(Ordering::Relaxed) {
            return Err(StoreError::Failed { source: None });
        }
        self.stand_up()?;
        let bytes: usize = batch.puts.iter().map(|(_, value)| value.len() + 64).sum();
        if batch
            .puts
            .iter()
            .any(|(_, value)| value.len() > VALUE_BYTES_MAX)
        {
            return Err(StoreError::Failed { source: None });
        }
        let frees = !batch.removes.is_empty();
        if !self.engine.room(u64::try_from(bytes).unwrap_or(u64::MAX)) && !frees {
            return Err(StoreError::Full);
        }
        let meta = self.next_meta(batch)?;
        match self.write(batch, meta) {
            Ok(()) => {}
            Err(Attempt::Full) => self.recover(meta)?,
            Err(Attempt::Failed(error)) => {
                // Whether it is on the disk nobody knows; only a start that verifies can tell.
                self.engine.broken.store(true, Ordering::Relaxed);
                self.engine.has_room.store(false, Ordering::Relaxed);
                return Err(error);
            }
        }
        self.meta = meta;
        self.batches.store(meta.commits, Ordering::Relaxed);
        self.write_mark()
    }

    /// Checks what the batch expects and says what our own record becomes.
    fn next_meta(&self, batch: &Batch) -> Result<Meta, StoreError> {
        let mut meta = self.meta;
        meta.commits += 1;
        for (log, expected) in &batch.expects {
            let key = Key::new(*log, Record::Head);
            let head = self.engine.get(&[key])?.into_iter().next().flatten();
            if head.as_deref().and_then(revision_of) != *expected {
                return Err(StoreError::Conflict);
            }
            let written = batch.puts.iter().find(|(put, _)| *put == key);
            let removed = batch.removes.contains(&key);
            if written.is_none() && !removed {
                continue;
            }
            if let Some(before) = expected {
                meta.remove(*log, *before);
            }
            if let Some((_, head)) = written {
                meta.add(*log, revision_of(head).ok_or(StoreError::Damaged)?);
            }
        }
        Ok(meta)
    }

    fn write(&self, batch: &Batch, meta: Meta) -> Result<(), Attempt> {
        let mut records = sled::Batch::default();
        for key in &batch.removes {
            records.remove(key.encode());
        }
        for (key, value) in &batch.puts {
            records.insert(key.encode(), value.as_ref());
        }
        records.insert(META_KEY, meta.encode().as_slice());
        let mut full = false;
        let result = self.engine.with_db(|db, file| {
            let mut step = |error: sled::Error| {
                full |= is_full(&error);
                failed(error)
            };
            db.apply_batch(records).map_err(&mut step)?;
            db.flush().map_err(&mut step)?;
            self.engine.disk.sync(file).map_err(failed)
        });
        result.map_err(|error| {
            if full {
                Attempt::Full
            } else {
                Attempt::Failed(error)
            }
        })
    }

    /// After the disk was full in the middle of a batch: it landed whole or not at all, and the
    /// engine can tell once it is opened again.
    ///
    /// # Errors
    /// [`StoreError::Full`] if it did not land, or cannot be told yet.
    fn recover(&mut self, meta: Meta) -> Result<(), StoreError> {
        self.engine.has_room.store(false, Ordering::Relaxed);
        self.ballast.give_up();
        self.attempted = Some(meta);
        if self.engine.reopen().is_err() {
            return Err(StoreError::Full);
        }
        self.ask_again()?;
        if self.meta == meta {
            Ok(())
        } else {
            Err(StoreError::Full)
        }
    }

    /// Finds out whether the batch that failed had landed.
    fn ask_again(&mut self) -> Result<(), StoreError> {
        let told = self.engine.with_db(|db, file| {
            self.engine.disk.sync(file).map_err(failed)?;
            let told = db.get(META_KEY).map_err(failed)?;
            Ok(told.as_deref().and_then(Meta::decode).unwrap_or_default())
        });
        match told {
            Ok(told) if told == self.meta || Some(told) == self.attempted => {
                self.meta = told;
                self.attempted = None;
                Ok(())
            }
            _ => {
                self.engine.broken.store(true, Ordering::Relaxed);
                Err(StoreError::Failed { source: None })
            }
        }
    }

    /// Whether the engine stands and has room to stand up again; it is opened again if need be.
    fn stand_up(&mut self) -> Result<(), StoreError> {
        if self.attempted.is_some() {
            if self.engine.reopen().is_err() {
                return Err(StoreError::Full);
            }
            self.ask_again()?;
        }
        if self.ballast.keep() {
            Ok(())
        } else {
            self.engine.has_room.store(false, Ordering::Relaxed);
            Err(StoreError::Full)
        }
    }

    fn write_mark(&mut self) -> Result<(), StoreError> {
        let written = self.mark.write(0, &self.meta.encode()).and_then(|()| {
            if self.meta.commits >= self.mark_synced + MARK_SYNC_COMMITS {
                self.mark_synced = self.meta.commits;
                self.mark.sync()?;
            }
            Ok(())
        });
        written.map_err(failed)
    }

    fn close(&mut self) -> Result<(), StoreError> {
        let mut db = self
            .engine
            .db
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Some((db, file)) = db.take() else {
            return Ok(());
        };
        let closed = guarded(|| {
            db.flush().map_err(failed)?;
            self.engine.disk.sync(&file).map_err(failed)?;
            let_go(db, &file);
            Ok(())
        });
        self.mark.sync().map_err(failed)?;
        drop(self.lock.take());
        closed
    }
}

enum Attempt {
    Full,
    Failed(StoreError),
}

async fn ask<T>(
    jobs: &mpsc::Sender<Job>,
    job: impl FnOnce(Answer<T>) -> Job,
) -> Result<T, StoreError> {
    let (answer, receiver) = oneshot::channel();
    jobs.send(job(answer))
        .await
        .map_err(|_| StoreError::Closed)?;
    receiver.await.map_err(|_| StoreError::Closed)?
}

impl Store for SledStore {
    fn get(&self, keys: Vec<Key>) -> StoreFuture<'_, Result<Vec<Option<Bytes>>, StoreError>> {
        Box::pin(ask(&self.reads, |answer| Job::Get(keys, answer)))
    }

    fn range(&self, range: Range) -> StoreFuture<'_, Result<Vec<(Key, Bytes)>, StoreError>> {
        Box::pin(ask(&self.reads, move |answer| Job::Range(range, answer)))
    }

    fn commit(&self, batch: Batch) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(ask(&self.writes, |answer| Job::Commit(batch, answer)))
    }

    fn has_room(&self) -> bool {
        self.has_room.load(Ordering::Relaxed)
    }

    fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    fn close(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(ask(&self.writes, Job::Close))
    }
}
