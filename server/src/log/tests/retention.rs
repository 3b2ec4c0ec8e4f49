//! Expired, trimmed, taken or deleted means unreadable on the disk within a day (P8).

use std::path::Path;

use sotto_protocol::frame::{Delete, Take};

use super::disk::{TestDisk, bench_at, copy_folder, options, stop};
use super::*;
use crate::clock;
use crate::log::{Retention, codec};
use crate::store::{Folder, Key, Range, Record};

/// All entry and answer records of the store as they lie on the disk.
async fn records(bench: &Bench, log: LogId) -> Vec<(Key, bytes::Bytes)> {
    let name = bench.keys.log(&log).unwrap().name;
    let range = Range {
        from: Key::new(name, Record::Head),
        to: Key::new(name, Record::Retry(u32::MAX, RetryId::new([0xff; 16]))),
        records_max: usize::MAX,
        bytes_max: usize::MAX,
        values: true,
    };
    bench.store.range(range).await.unwrap()
}

/// How many of the records still open with the keys that the folder holds now.
fn legible(keys: &Keys, log: LogId, records: &[(Key, bytes::Bytes)]) -> usize {
    let Some(log) = keys.log(&log) else { return 0 };
    records
        .iter()
        .filter(|(key, value)| match key.record {
            Record::Ordinary(_) | Record::Fenced(_) => {
                codec::open_entry(keys, &log, key, value).is_ok()
            }
            Record::Retry(..) => codec::open_answer(keys, &log, key, value).is_ok(),
            _ => false,
        })
        .count()
}

/// The keys that somebody finds who takes the folder now.
fn seized(folder: &Path) -> (tempfile::TempDir, Keys) {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(folder, copy.path());
    let keys = Keys::open(copy.path()).unwrap();
    (copy, keys)
}

/// Whether 32 bytes stand in any file of a folder.
fn lies_in(folder: &Path, key: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|file| {
        let path = file.unwrap().path();
        if path.is_dir() {
            return lies_in(&path, key);
        }
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(key.len()).any(|window| window == key)
    })
}

/// Lets days pass as a running relay does, sweeping every six hours.
async fn pass_days(bench: &Bench, days: u32) {
    for _ in 0..4 * days {
        bench.clock.advance(clock::DAY / 4);
        let swept = bench.logs.sweep().await.unwrap();
        assert_eq!(swept.retention, Retention::Swept);
    }
}

#[tokio::test]
async fn what_is_expired_cannot_be_opened_from_a_kept_copy() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at_day(DAY));
    let mut bench = bench_at(folder.path(), TestDisk::open(), clock).await;
    bench.logs.sweep().await.unwrap();
    let short = Policy {
        ttl_days: 2,
        ttl_fenced_days: 4,
        ..policy()
    };
    let log = bench
        .create_with(1, vec![grant(2, Rights::ALL)], short)
        .await;
    bench
        .append(vec![item(log, 1), fenced(log, 2, 0), item(log, 3)], &[2])
        .await
        .unwrap();
    let kept = records(&bench, log).await;
    assert_eq!(legible(&seized(folder.path()).1, log, &kept), 3 + 2);
    pass_days(&bench, 2).await;
    assert_eq!(bench.seqs(log, 2).await, [1, 2, 3]);
    pass_days(&bench, 1).await;
    assert_eq!(bench.seqs(log, 2).await, [2]);
    assert_eq!(legible(&seized(folder.path()).1, log, &kept), 1);
    pass_days(&bench, 2).await;
    assert!(bench.seqs(log, 2).await.is_empty());
    assert_eq!(legible(&seized(folder.path()).1, log, &kept), 0);
    let opened = bench.logs.open(&log, &keys(&[2])).await.unwrap();
    assert_eq!((opened.first, opened.head), (4, 3));
    bench.append(vec![item(log, 4)], &[2]).await.unwrap();
    stop(bench).await;
    let folder = Folder::open(folder.path(), options(TestDisk::open())).unwrap();
    let clock = Arc::new(ManualClock::at_day(DAY + 5));
    let bench = Bench::at(folder.store, folder.keys, clock).await;
    assert_eq!(bench.seqs(log, 2).await, [4]);
    stop(bench).await;
}

#[tokio::test]
async fn fenced_entries_live_since_the_oldest_pin() {
    let mut bench = Bench::new().await;
    bench.logs.sweep().await.unwrap();
    let short = Policy {
        ttl_days: 2,
        ttl_fenced_days: 3,
        ..policy()
    };
    let log = bench
        .create_with(1, vec![grant(2, Rights::ALL)], short)
        .await;
    let pinned = |fill, fence| Item {
        pin: true,
        ..fenced(log, fill, fence)
    };
    bench.append(vec![fenced(log, 1, 0)], &[2]).await.unwrap();
    bench.append(vec![pinned(2, 1)], &[2]).await.unwrap();
    bench
        .append(vec![fenced(log, 3, 2), item(log, 4)], &[2])
        .await
        .unwrap();
    pass_days(&bench, 12).await;
    // The first is older than the pin; the pin is one of the last four and holds the others.
    assert_eq!(bench.seqs(log, 2).await, [2, 3]);
    let bench = bench.restart().await;
    assert_eq!(bench.seqs(log, 2).await, [2, 3]);
    let mut bench = bench;
    for fence in 3..7 {
        bench.append(vec![pinned(5, fence)], &[2]).await.unwrap();
    }
    pass_days(&bench, 12).await;
    assert_eq!(bench.seqs(log, 2).await, [5, 6, 7, 8]);
}

#[tokio::test]
async fn what_is_trimmed_taken_or_withdrawn_cannot_be_opened_a_day_later() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at_day(DAY));
    let mut bench = bench_at(folder.path(), TestDisk::open(), clock).await;
    bench.logs.sweep().await.unwrap();
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let owned = NewEntry {
        owner: Some(key(7)),
        ..entry(4)
    };
    let run = Item {
        entries: vec![entry(1), entry(2), entry(3), owned, entry(5)],
        ..item(log, 0)
    };
    bench
        .append(vec![run, fenced(log, 6, 0)], &[2])
        .await
        .unwrap();
    let before = records(&bench, log).await;
    let (key, _) = folder::keys_in(folder.path(), &[log]).remove(0);
    // As long as nothing is gone the copy opens: six entries and two answers.
    assert_eq!(legible(&seized(folder.path()).1, log, &before), 6 + 2);
    assert!(lies_in(folder.path(), &key));
    bench.trim(log, 2).await.unwrap();
    let take = Take {
        day: bench.today(),
        log,
        retry: bench.retry(),
    };
    bench
        .logs
        .change(Change::Take(take, caller(&[2])))
        .await
        .unwrap();
    let (day, retry) = (bench.today(), bench.retry());
    let change = verbs::withdraw(log, 4, 7, day, retry);
    bench.logs.change(change).await.unwrap();
    let between = records(&bench, log).await;
    assert!(legible(&seized(folder.path()).1, log, &between) > 2);
    pass_days(&bench, 1).await;
    assert_eq!(bench.seqs(log, 2).await, [5, 6]);
    let (_copy, seized) = seized(folder.path());
    // Not even what is still there opens from the old copies: it was sealed again.
    assert_eq!(legible(&seized, log, &before), 0);
    assert_eq!(legible(&seized, log, &between), 0);
    assert!(
        !lies_in(folder.path(), &key),
        "the key is still in the folder"
    );
    stop(bench).await;
    let folder = Folder::open(folder.path(), options(TestDisk::open())).unwrap();
    let clock = Arc::new(ManualClock::at_day(DAY + 1));
    let bench = Bench::at(folder.store, folder.keys, clock).await;
    assert_eq!(bench.seqs(log, 2).await, [5, 6]);
    stop(bench).await;
}

#[tokio::test]
async fn a_day_on_which_nothing_expires_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at_day(DAY));
    let mut bench = bench_at(folder.path(), TestDisk::open(), clock).await;
    bench.logs.sweep().await.unwrap();
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    bench
        .append(vec![item(log, 1), fenced(log, 2, 0)], &[2])
        .await
        .unwrap();
    // Remembered answers go after two days.
    pass_days(&bench, 3).await;
    let before = bench.store.batches();
    pass_days(&bench, 3).await;
    assert_eq!(bench.store.batches(), before);
    stop(bench).await;
}

#[tokio::test]
async fn a_deleted_log_cannot_be_opened_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at_day(DAY));
    let mut bench = bench_at(folder.path(), TestDisk::open(), clock).await;
    bench.logs.sweep().await.unwrap();
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    bench
        .append(vec![item(log, 1), item(log, 2)], &[2])
        .await
        .unwrap();
    let before = records(&bench, log).await;
    let (key, _) = folder::keys_in(folder.path(), &[log]).remove(0);
    assert_eq!(legible(&seized(folder.path()).1, log, &before), 2 + 2);
    assert!(lies_in(folder.path(), &key));
    let delete = Delete {
        day: bench.today(),
        log,
        retry: bench.retry(),
    };
    bench
        .logs
        .change(Change::Delete(delete, caller(&[2])))
        .await
        .unwrap();
    assert_eq!(legible(&seized(folder.path()).1, log, &before), 0);
    assert!(
        !lies_in(folder.path(), &key),
        "the key is still in the folder"
    );
    pass_days(&bench, 3).await;
    assert_eq!(bench.logs.count(), 0);
    assert!(
        std::fs::read(folder.path().join("logs.keys"))
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
    stop(bench).await;
}

#[tokio::test]
async fn keys_are_not_erased_by_a_clock_that_is_a_year_off() {
    for years in [-1_i64, 1] {
        let mut bench = Bench::new().await;
        bench.logs.sweep().await.unwrap();
        let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
        bench.append(vec![item(log, 1)], &[2]).await.unwrap();
        let right = bench.clock.wall();
        let off_s = years * 365 * 86_400;
        let wrong = Duration::from_secs(right.as_secs().checked_add_signed(off_s).unwrap());
        bench.clock.set_wall(wrong);
        let swept = bench.logs.sweep().await.unwrap();
        assert_eq!(swept.retention, Retention::ClockJumped { by_s: off_s });
        assert_eq!(bench.logs.retention(), swept.retention);
        assert_eq!(swept.removed, 0);
        // People go on meanwhile; what they write has a wrong day and is lost by nobody.
        bench.append(vec![item(log, 2)], &[2]).await.unwrap();
        bench.clock.set_wall(right + Duration::from_secs(60));
        assert_eq!(
            bench.logs.sweep().await.unwrap().retention,
            Retention::Swept
        );
        bench.append(vec![item(log, 3)], &[2]).await.unwrap();
        let mut bench = bench.restart().await;
        assert_eq!(bench.seqs(log, 2).await, [1, 2, 3]);
        pass_days(&bench, 31).await;
        // What was written in the year ahead stays until it is over there; nothing goes too soon.
        let left = if years > 0 { vec![2] } else { vec![] };
        assert_eq!(bench.seqs(log, 2).await, left);
        // After the operator's word a jump is time that has passed. It is said at the start.
        bench.append(vec![item(log, 4)], &[2]).await.unwrap();
        bench.clock.advance(clock::DAY * 400);
        bench = bench.restart().await;
        assert!(matches!(
            bench.logs.retention(),
            Retention::ClockJumped { .. }
        ));
        let swept = bench.logs.sweep().await.unwrap();
        assert!(matches!(swept.retention, Retention::ClockJumped { .. }));
        bench
            .keys
            .write_clock(bench.clock.wall().as_secs())
            .unwrap();
        assert_eq!(
            bench.logs.sweep().await.unwrap().retention,
            Retention::Swept
        );
        assert!(bench.seqs(log, 2).await.is_empty());
    }
}
