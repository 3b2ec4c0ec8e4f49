//! A whole folder: exported, imported, and in somebody else's hands.

use std::path::Path;

use super::disk::{TestDisk, bench_at, options, stop};
use super::*;
use crate::archive::{ArchiveError, export, import};
use crate::offline::OfflineError;
use crate::seizure::{SeizureError, seize};
use crate::store::{Folder, FolderError};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at_day(DAY))
}

/// May append with the end of one entry alone.
fn answers() -> Grant {
    Grant {
        ends: Some(key(101)),
        ..grant(4, Rights::APPEND)
    }
}

/// A folder with three logs, one of which is deleted.
async fn filled(path: &Path) -> (Vec<LogId>, Change, Answer<'static>) {
    let mut bench = bench_at(path, TestDisk::open(), clock()).await;
    let mut logs = Vec::new();
    for root in 1..=3 {
        let log = bench
            .create(
                root,
                vec![grant(2, Rights::ALL), grant(3, Rights::READ), answers()],
            )
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
    bench.claim(logs[1], 1, 2).await.unwrap();
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
        Err(ArchiveError::Offline(OfflineError::Folder(
            FolderError::InUse
        )))
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
    assert!(before[0].contains("ends: Some"));
    assert_eq!(bench.logs.change(change).await.unwrap(), answer);
    assert!(bench.logs.open(&logs[2], &keys(&[2])).await.is_err());
    stop(bench).await;
}

/// Every key in a folder's key files with its name: those of these logs, and of days and stamps.
pub(super) fn keys_in(folder: &Path, logs: &[LogId]) -> Vec<(Vec<u8>, String)> {
    let slots = |name, bytes| {
        let file = std::fs::read(folder.join(name)).unwrap();
        let slots = file.chunks(bytes).map(<[u8]>::to_vec);
        slots
            .filter(|slot| slot.iter().any(|byte| *byte != 0))
            .collect::<Vec<_>>()
    };
    let mut keys = Vec::new();
    for log in logs {
        let of_log = slots("logs.keys", 128);
        let slot = of_log.iter().find(|slot| &slot[21..53] == log.as_bytes());
        let slot = slot.expect("the log has a key");
        keys.push((slot[53..85].to_vec(), "a log's key".to_owned()));
    }
    for slot in slots("days.keys", 64) {
        match slot[0] {
            1 | 2 => keys.push((slot[5..37].to_vec(), format!("key {}", slot[0]))),
            // The clock's last reading, which is no secret.
            3 => {}
            other => panic!("a slot of kind {other}"),
        }
    }
    for kind in ["key 1", "key 2"] {
        assert!(keys.iter().any(|(_, name)| name == kind), "no {kind}");
    }
    keys
}

#[tokio::test]
async fn an_export_holds_no_key_of_the_folder_and_no_flipped_byte_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, ..) = filled(folder.path()).await;
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("export");
    export(folder.path(), &file, clock()).await.unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let keys = keys_in(folder.path(), &logs[..2]);
    for (key, what) in &keys {
        let holds = |bytes: &[u8]| bytes.windows(32).any(|window| window == key);
        // The search finds them where they are.
        let lies = ["logs.keys", "days.keys"].map(|name| {
            let file = std::fs::read(folder.path().join(name));
            holds(&file.unwrap())
        });
        assert!(lies.contains(&true), "{what} is no key");
        assert!(!holds(&bytes), "{what} is in the export");
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
    assert_eq!((facts.entries, facts.fence), (21, 5));
    assert_eq!(facts.entries_by_class, [(1_024, 16), (65_536, 5)]);
    assert_eq!((facts.first_day, facts.last_day), (Some(DAY), Some(DAY)));
    let rights: Vec<_> = facts.grants.iter().map(|grant| &grant.rights).collect();
    assert_eq!(rights[1], &["read"]);
    assert_eq!((rights.len(), rights[0].len()), (3, 9));
    let ends: Vec<_> = facts.grants.iter().map(|grant| &grant.ends).collect();
    assert_eq!(ends, [&None, &None, &Some("65".repeat(32))]);
    let pins: Vec<_> = facts.pins.iter().map(|pin| (pin.seq, pin.day)).collect();
    assert_eq!(pins, [(1, DAY)]);
    let claims: Vec<_> = facts.claims.iter().map(|claim| claim.seq).collect();
    assert_eq!(claims, [1]);
    assert_eq!(facts.claims[0].holder, facts.grants[0].key);
    // The order of arrival across logs, as the engine's file gives it away.
    assert!(seizure.engine.arrivals.len() >= 14 + 21);
    let bench = bench_at(folder.path(), TestDisk::open(), clock()).await;
    let running = seize(folder.path(), clock()).await;
    assert!(matches!(
        running,
        Err(SeizureError::Offline(OfflineError::Folder(
            FolderError::InUse
        )))
    ));
    stop(bench).await;
}

/// The rows of the first table in SECURITY.md after these words: the name of the fact, and the row.
fn told(after: &str) -> Vec<(String, String)> {
    let page = include_str!("../../../../SECURITY.md");
    let (_, rest) = page.split_once(after).expect("the words are there");
    rest.lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|row| {
            let name = row.split('`').nth(1).expect("a name").to_owned();
            (name, row.to_owned())
        })
        .collect()
}

/// The names of an object's fields, and of the fields of the objects in its lists.
fn names(facts: &serde_json::Value) -> Vec<(String, Vec<String>)> {
    let fields = |value: &serde_json::Value| -> Vec<String> {
        let object = value.as_object();
        object.map_or_else(Vec::new, |object| object.keys().cloned().collect())
    };
    let object = facts.as_object().unwrap();
    object
        .iter()
        .map(|(name, value)| (name.clone(), fields(&value[0])))
        .collect()
}

#[tokio::test]
async fn what_a_seizure_tells_is_what_security_md_lists() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, ..) = filled(folder.path()).await;
    let seizure = seize(folder.path(), clock()).await.unwrap();
    let id = hex::encode(logs[1].as_bytes());
    let of_log = seizure.logs.iter().find(|facts| facts.id == id).unwrap();
    let cases = [
        (
            "## What a stopped relay's folder tells",
            serde_json::to_value(of_log).unwrap(),
        ),
        (
            "What the storage engine and the files give away",
            serde_json::to_value(&seizure.engine).unwrap(),
        ),
    ];
    for (place, facts) in cases {
        let (told, seized) = (told(place), names(&facts));
        let mut listed: Vec<_> = told.iter().map(|(name, _)| name).collect();
        let mut printed: Vec<_> = seized.iter().map(|(name, _)| name).collect();
        listed.sort();
        printed.sort();
        assert_eq!(printed, listed, "{place}");
        for (name, parts) in &seized {
            let (_, row) = told.iter().find(|(told, _)| told == name).unwrap();
            let mut in_row: Vec<_> = row.split('`').skip(1).step_by(2).skip(1).collect();
            // `as entries`, `ttl_fenced`: a row may name other things in its last column.
            in_row.retain(|part| parts.iter().any(|known| known == part));
            in_row.sort_unstable();
            let mut parts: Vec<_> = parts.iter().map(String::as_str).collect();
            parts.sort_unstable();
            assert_eq!(in_row, parts, "{name}");
        }
    }
    // And no file lies there that the page does not name.
    let page = include_str!("../../../../SECURITY.md");
    for (file, ..) in &seizure.engine.files {
        let named = file.split('/').next().unwrap();
        let is_named = [format!("`{named}`"), format!("`{named}/`")];
        assert!(is_named.iter().any(|name| page.contains(name)), "{file}");
    }
}
