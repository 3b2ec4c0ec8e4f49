//! A whole folder: exported, imported, and in somebody else's hands.

use std::path::Path;

use super::disk::{TestDisk, bench_at, options, stop};
use super::*;
use crate::archive::{ArchiveError, export, import};
use crate::seizure::{ENGINE_FACTS, LOG_FACTS, SeizureError, seize};
use crate::store::{Folder, FolderError};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at_day(DAY))
}

/// A folder with three logs, one of which is deleted.
async fn filled(path: &Path) -> (Vec<LogId>, Change, Answer<'static>) {
    let mut bench = bench_at(path, TestDisk::open(), clock()).await;
    let mut logs = Vec::new();
    for root in 1..=3 {
        let log = bench
            .create(root, vec![grant(2, Rights::ALL), grant(3, Rights::READ)])
            .await;
        logs.push(log);
    }
    for fence in 0..5 {
        for log in &logs {
            let large = NewEntry {
                sealed: vec![7; 65_536].into(),
                held: Some(vec![8; 100].into()),
                ..entry(7)
            };
            let run = Item {
                entries: vec![large, entry(1)],
                pin: fence == 0,
                ..fenced(*log, 0, fence)
            };
            bench
                .append(vec![run, item(*log, 3), item(*log, 4)], &[2])
                .await
                .unwrap();
        }
    }
    bench.trim(logs[0], 6).await.unwrap();
    let delete = sotto_protocol::frame::Delete {
        day: bench.today(),
        log: logs[2],
        retry: bench.retry(),
    };
    bench
        .logs
        .change(Change::Delete(delete, caller(&[2])))
        .await
        .unwrap();
    let change = bench.append_change(vec![item(logs[1], 9)], &[2]);
    let answer = bench.logs.change(change.clone()).await.unwrap();
    stop(bench).await;
    (logs, change, answer)
}

async fn seen(bench: &Bench, log: LogId) -> String {
    let opened = bench.logs.open(&log, &keys(&[2])).await.unwrap();
    let page = bench
        .logs
        .page(&log, &keys(&[2]), Lane::All, 0, 1_000)
        .await
        .unwrap();
    let described = bench.logs.describe(&log, &keys(&[2])).await.unwrap();
    let chain = hex::encode(opened.chain.as_bytes());
    let entries: Vec<_> = page
        .entries
        .iter()
        .map(|entry| cbor::encode(entry).unwrap())
        .collect();
    format!(
        "{chain} {:?} {described:?} {entries:?}",
        (opened.first, opened.head, opened.pins)
    )
}

#[tokio::test]
async fn an_export_is_imported_with_everything_that_lives() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, change, answer) = filled(folder.path()).await;
    let bench = bench_at(folder.path(), TestDisk::open(), clock()).await;
    let before = [seen(&bench, logs[0]).await, seen(&bench, logs[1]).await];
    let running = export(folder.path(), &folder.path().join("x"), clock()).await;
    assert!(matches!(
        running,
        Err(ArchiveError::Folder(FolderError::InUse))
    ));
    stop(bench).await;
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("export");
    let exported = export(folder.path(), &file, clock()).await.unwrap();
    assert_eq!((exported.logs, exported.entries), (2, 14 + 21));
    assert!(
        export(folder.path(), &file, clock()).await.is_err(),
        "overwrote a file"
    );
    let target = files.path().join("new");
    assert_eq!(import(&file, &target, clock()).await.unwrap(), exported);
    let again = import(&file, &target, clock()).await;
    assert!(matches!(again, Err(ArchiveError::NotEmpty)));
    let bench = bench_at(&target, TestDisk::open(), clock()).await;
    assert_eq!(
        [seen(&bench, logs[0]).await, seen(&bench, logs[1]).await],
        before
    );
    assert_eq!(bench.logs.change(change).await.unwrap(), answer);
    assert!(bench.logs.open(&logs[2], &keys(&[2])).await.is_err());
    stop(bench).await;
}

#[tokio::test]
async fn an_export_holds_no_key_of_the_folder_and_no_flipped_byte_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("export");
    export(folder.path(), &file, clock()).await.unwrap();
    let bytes = std::fs::read(&file).unwrap();
    for (name, slot, at) in [("logs.keys", 128, 53), ("days.keys", 64, 5)] {
        let keys = std::fs::read(folder.path().join(name)).unwrap();
        for slot in keys.chunks(slot) {
            let key = &slot[at..at + 32];
            let empty = key.iter().filter(|byte| **byte == 0).count() > 20;
            assert!(empty || !bytes.windows(32).any(|window| window == key));
        }
    }
    for at in (0..bytes.len()).step_by(bytes.len() / 40) {
        let mut bad = bytes.clone();
        bad[at] ^= 4;
        std::fs::write(&file, &bad).unwrap();
        let target = files.path().join(format!("at-{at}"));
        let refused = import(&file, &target, clock()).await;
        assert!(matches!(refused, Err(ArchiveError::File)));
        assert!(!target.exists());
    }
    std::fs::write(&file, &bytes[..bytes.len() - 100]).unwrap();
    assert!(
        import(&file, &files.path().join("short"), clock())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_import_that_did_not_end_is_not_started_on() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("unfinished"), b"").unwrap();
    let opened = Folder::open(folder.path(), options(TestDisk::open()));
    assert!(matches!(opened, Err(FolderError::Damaged { .. })));
}

#[tokio::test]
async fn a_seizure_tells_every_fact_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, ..) = filled(folder.path()).await;
    let before = std::fs::read(folder.path().join("db/db")).unwrap();
    let seizure = seize(folder.path(), clock()).await.unwrap();
    assert_eq!(std::fs::read(folder.path().join("db/db")).unwrap(), before);
    assert_eq!(seizure.logs.len(), 3);
    let id = hex::encode(logs[1].as_bytes());
    let facts = seizure.logs.iter().find(|facts| facts.id == id).unwrap();
    assert_eq!((facts.entries, facts.fence, facts.claims), (21, 5, 0));
    assert_eq!(facts.entries_by_class, [(1_024, 16), (65_536, 5)]);
    assert_eq!((facts.first_day, facts.last_day), (Some(DAY), Some(DAY)));
    assert_eq!(
        (facts.grants.len(), facts.pins.as_slice()),
        (2, [1].as_slice())
    );
    // The order of arrival across logs, as the engine's file gives it away.
    assert!(seizure.engine.arrivals.len() >= 14 + 21);
    let json = serde_json::to_value(&seizure).unwrap();
    let names = |value: &serde_json::Value| -> Vec<String> {
        let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    let mut expected: Vec<_> = LOG_FACTS.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(names(&json["logs"][0]), expected);
    let mut expected: Vec<_> = ENGINE_FACTS.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(names(&json["engine"]), expected);
    let bench = bench_at(folder.path(), TestDisk::open(), clock()).await;
    let running = seize(folder.path(), clock()).await;
    assert!(matches!(
        running,
        Err(SeizureError::Folder(FolderError::InUse))
    ));
    stop(bench).await;
}
