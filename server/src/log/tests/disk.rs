//! The logs on sled: the sync before the answer, damage, a full disk, and what a folder gives away.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use super::*;
use crate::store::{Disk, Folder, FolderError, SledOptions, SystemDisk};

/// A disk whose syncs wait until the test lets them through, and whose room the test sets.
#[derive(Debug)]
pub(super) struct TestDisk {
    /// Filled by the test for each sync that may happen; nothing: all may.
    gate: Option<Mutex<mpsc::Receiver<()>>>,
    pub(super) syncs: AtomicU64,
    pub(super) free: AtomicU64,
}

impl TestDisk {
    pub(super) fn open() -> Arc<Self> {
        Arc::new(Self {
            gate: None,
            syncs: AtomicU64::new(0),
            free: AtomicU64::new(u64::MAX),
        })
    }

    fn gated() -> (Arc<Self>, mpsc::Sender<()>) {
        let (sender, receiver) = mpsc::channel();
        let disk = Self {
            gate: Some(Mutex::new(receiver)),
            syncs: AtomicU64::new(0),
            free: AtomicU64::new(u64::MAX),
        };
        (Arc::new(disk), sender)
    }
}

impl Disk for TestDisk {
    fn sync(&self, file: &File) -> io::Result<()> {
        if let Some(gate) = &self.gate {
            // A test that has ended lets everything through.
            let _ended = gate.lock().unwrap().recv();
        }
        self.syncs.fetch_add(1, Ordering::SeqCst);
        SystemDisk.sync(file)
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.free.load(Ordering::SeqCst))
    }
}

pub(super) fn options(disk: Arc<dyn Disk>) -> SledOptions {
    SledOptions {
        cache_bytes: 8 << 20,
        disk,
        ballast: false,
    }
}

/// A relay's logs over a folder.
pub(super) async fn bench_at(path: &Path, disk: Arc<dyn Disk>, clock: Arc<ManualClock>) -> Bench {
    let folder = Folder::open(path, options(disk)).unwrap();
    Bench::at(folder.store, folder.keys, clock).await
}

/// Retry ids that no earlier bench over the same folder has used.
pub(super) fn next_retry() -> u64 {
    static USED: AtomicU64 = AtomicU64::new(1);
    USED.fetch_add(1 << 32, Ordering::SeqCst)
}

pub(super) async fn stop(bench: Bench) {
    bench.shutdown.cancel();
    bench.tasks.close();
    bench.tasks.wait().await;
}

/// Opens a folder and starts the logs on it, or says why not.
async fn start_on(path: &Path, clock: Arc<ManualClock>) -> Result<Bench, String> {
    let folder = match Folder::open(path, SledOptions::offline()) {
        Ok(folder) => folder,
        Err(FolderError::Damaged { .. }) => return Err("damaged".to_owned()),
        Err(error) => panic!("refused for another reason: {error:?}"),
    };
    let tasks = TaskTracker::new();
    let shutdown = CancellationToken::new();
    let parts = LogParts {
        store: Arc::clone(&folder.store),
        keys: Arc::clone(&folder.keys),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        limits: LogLimits::default(),
    };
    match Logs::start(parts, &tasks, shutdown.clone()).await {
        Ok(logs) => Ok(Bench {
            logs,
            clock,
            keys: folder.keys,
            store: folder.store,
            tasks,
            shutdown,
            next_retry: next_retry(),
        }),
        Err(super::super::StartError::Damaged { .. }) => {
            folder.store.close().await.unwrap();
            Err("damaged".to_owned())
        }
        Err(error) => panic!("refused for another reason: {error:?}"),
    }
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy_folder(&file.path(), &target);
        } else {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_dir() {
            found.extend(files(&file.path()));
        } else {
            found.push(file.path());
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn nothing_is_answered_or_shown_before_the_sync_has_returned() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, gate) = TestDisk::gated();
    let clock = Arc::new(ManualClock::at_day(DAY));
    let mut bench = bench_at(folder.path(), disk.clone(), clock).await;
    gate.send(()).unwrap();
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    assert_eq!(disk.syncs.load(Ordering::SeqCst), 1);
    let changes: Vec<_> = (0..100)
        .map(|fill| bench.append_change(vec![item(log, fill)], &[2]))
        .collect();
    let mut answers: Vec<_> = changes
        .into_iter()
        .map(|change| Box::pin(bench.logs.change(change)))
        .collect();
    // The writer is at work on the first group and cannot get past the sync: reads still go on,
    // and show nothing.
    for _ in 0..50 {
        let opened = bench.logs.open(&log, &keys(&[2])).await.unwrap();
        assert_eq!(opened.head, 0);
        let page = bench
            .logs
            .page(&log, &keys(&[2]), Lane::All, 0, 10)
            .await
            .unwrap();
        assert!(page.entries.is_empty());
        let early = futures_util::future::select_all(&mut answers);
        let waiting = futures_util::FutureExt::now_or_never(early);
        assert!(waiting.is_none(), "answered before the sync");
    }
    drop(gate);
    for answer in answers {
        answer.await.unwrap();
    }
    let syncs = disk.syncs.load(Ordering::SeqCst);
    assert!((2..20).contains(&syncs), "{syncs} syncs for 100 appends");
    stop(bench).await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one experiment, told in order")]
async fn a_flipped_byte_never_loses_or_alters_what_was_acknowledged() {
    let whole = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at_day(DAY));
    let mut bench = bench_at(whole.path(), TestDisk::open(), Arc::clone(&clock)).await;
    let mut logs = Vec::new();
    for root in 10..16 {
        let log = bench.create(root, vec![grant(2, Rights::ALL)]).await;
        for fence in 0..8 {
            let fill = root + u8::try_from(fence).unwrap();
            let items = vec![fenced(log, fill, fence), item(log, fill), item(log, fill)];
            bench.append(items, &[2]).await.unwrap();
        }
        logs.push(log);
    }
    bench.trim(logs[0], 5).await.unwrap();
    let mut before = Vec::new();
    for log in &logs {
        let page = bench.logs.page(log, &keys(&[2]), Lane::All, 0, 1_000).await;
        before.push(page.unwrap());
    }
    stop(bench).await;
    let mut files = files(whole.path());
    files.retain(|file| file.metadata().unwrap().len() > 0);
    let sizes: Vec<u64> = files
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .collect();
    // sled's file is mostly zeros ahead of what is written; half of the flips go where data is.
    let data: Vec<(usize, u64)> = files
        .iter()
        .enumerate()
        .flat_map(|(index, file)| {
            let bytes = std::fs::read(file).unwrap();
            let used = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0);
            used.map(|(at, _)| (index, at as u64)).collect::<Vec<_>>()
        })
        .collect();
    let mut seed = 0x5eed_u64;
    let mut next = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 20) % below
    };
    let (mut refused, mut flipped) = (0, 0);
    for round in 0..=200 {
        let (file, at) = if round % 8 == 0 {
            // The small files as often as their importance asks.
            let file = usize::try_from(next(files.len() as u64)).unwrap();
            (file, next(sizes[file]))
        } else {
            data[usize::try_from(next(data.len() as u64)).unwrap()]
        };
        let copy = tempfile::tempdir().unwrap();
        copy_folder(whole.path(), copy.path());
        let path = copy
            .path()
            .join(files[file].strip_prefix(whole.path()).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        // Without a flip it starts: the refusals are for the flips.
        if round < 200 {
            bytes[usize::try_from(at).unwrap()] ^= 1 << next(8);
            flipped += 1;
        }
        std::fs::write(&path, bytes).unwrap();
        match start_on(copy.path(), Arc::clone(&clock)).await {
            Err(_) => {
                assert!(round < 200, "a whole store is refused");
                refused += 1;
            }
            Ok(bench) => {
                for (log, expected) in logs.iter().zip(&before) {
                    let page = bench.logs.page(log, &keys(&[2]), Lane::All, 0, 1_000).await;
                    assert_eq!(&page.unwrap(), expected, "round {round}: {path:?} at {at}");
                }
                stop(bench).await;
            }
        }
    }
    assert_eq!(flipped, 200);
    assert!(refused > 100, "{refused} of 200 flips were noticed");
}

#[tokio::test]
async fn a_store_that_went_back_in_time_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at_day(DAY));
    let mut bench = bench_at(folder.path(), TestDisk::open(), Arc::clone(&clock)).await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    stop(bench).await;
    let old = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), old.path());
    let mut bench = bench_at(folder.path(), TestDisk::open(), Arc::clone(&clock)).await;
    bench.append(vec![item(log, 1)], &[2]).await.unwrap();
    stop(bench).await;
    // The engine's files of before, with the mark and keys of after.
    std::fs::remove_dir_all(folder.path().join("db")).unwrap();
    copy_folder(&old.path().join("db"), &folder.path().join("db"));
    assert!(start_on(folder.path(), Arc::clone(&clock)).await.is_err());
    std::fs::remove_dir_all(folder.path().join("db")).unwrap();
    assert!(start_on(folder.path(), Arc::clone(&clock)).await.is_err());
    // All of before is whole, as a restored copy is.
    stop(start_on(old.path(), clock).await.unwrap()).await;
}

#[tokio::test]
async fn a_full_disk_refuses_appends_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let disk = TestDisk::open();
    let clock = Arc::new(ManualClock::at_day(DAY));
    let mut bench = bench_at(folder.path(), disk.clone(), clock).await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    for fill in 0..10 {
        bench.append(vec![item(log, fill)], &[2]).await.unwrap();
    }
    disk.free.store(1 << 20, Ordering::SeqCst);
    for _ in 0..2 {
        let full = bench.append(vec![item(log, 11)], &[2]).await.unwrap_err();
        assert_eq!(full.code, ErrorCode::StoreFull);
        assert!(full.retry_after_ms.is_some());
    }
    assert!(!bench.logs.has_room());
    assert_eq!(bench.seqs(log, 2).await.len(), 10);
    bench.trim(log, 4).await.unwrap();
    disk.free.store(u64::MAX, Ordering::SeqCst);
    let done = bench.append(vec![item(log, 12)], &[2]).await.unwrap();
    assert_eq!(done[0].seq, 11);
    assert!(bench.logs.has_room());
    let bench = {
        let clock = Arc::clone(&bench.clock);
        stop(bench).await;
        start_on(folder.path(), clock).await.unwrap()
    };
    assert_eq!(bench.seqs(log, 2).await, (5..=11).collect::<Vec<_>>());
    stop(bench).await;
}

#[tokio::test]
async fn a_killed_relay_comes_back_with_everything_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at_day(DAY));
    let mut bench = bench_at(folder.path(), TestDisk::open(), Arc::clone(&clock)).await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    for fill in 0..20 {
        bench.append(vec![item(log, fill)], &[2]).await.unwrap();
        // What a kill leaves: the files as they are, nothing closed.
        if fill % 5 == 0 {
            let copy = tempfile::tempdir().unwrap();
            copy_folder(folder.path(), copy.path());
            let other = start_on(copy.path(), Arc::clone(&clock)).await.unwrap();
            let seqs = other.seqs(log, 2).await;
            assert_eq!(seqs.len(), usize::from(fill) + 1);
            stop(other).await;
        }
    }
    stop(bench).await;
}
