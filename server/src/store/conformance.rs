//! What every engine must do: random batches against a plain map, across reopening.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sotto_protocol::id::RetryId;

use super::*;

/// One random step.
#[derive(Clone, Debug)]
enum Op {
    /// Writes a head and some records of a log, if the revision is right.
    Write {
        log: u8,
        right: bool,
        puts: Vec<(u8, u16)>,
        removes: Vec<u8>,
    },
    /// Removes a log's head.
    Drop {
        log: u8,
    },
    Read {
        log: u8,
        from: u8,
        to: u8,
        max: usize,
    },
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let log = 0..4_u8;
    let op = prop_oneof![
        6 => (
            log.clone(),
            prop::bool::weighted(0.9),
            prop::collection::vec((any::<u8>(), 0..2_000_u16), 0..6),
            prop::collection::vec(any::<u8>(), 0..4),
        )
            .prop_map(|(log, right, puts, removes)| Op::Write { log, right, puts, removes }),
        1 => log.clone().prop_map(|log| Op::Drop { log }),
        3 => (log, any::<u8>(), any::<u8>(), 1..20_usize)
            .prop_map(|(log, from, to, max)| Op::Read { log, from, to, max }),
        1 => Just(Op::Reopen),
    ];
    prop::collection::vec(op, 1..40)
}

fn name(log: u8) -> LogName {
    LogName([log; 16])
}

/// Spreads a byte over the kinds of records.
fn record(at: u8) -> Record {
    match at % 3 {
        0 => Record::Ordinary(u64::from(at) * 300),
        1 => Record::Fenced(u64::from(at) * 300),
        _ => Record::Retry(u32::from(at), RetryId::new([at; 16])),
    }
}

type Model = BTreeMap<Key, Bytes>;

fn batch(model: &Model, op: &Op) -> Option<(Batch, bool)> {
    let (log, right) = match op {
        Op::Write { log, right, .. } => (*log, *right),
        Op::Drop { log } => (*log, true),
        _ => return None,
    };
    let head = Key::new(name(log), Record::Head);
    let before = model.get(&head).and_then(|head| revision_of(head));
    let expected = if right {
        before
    } else {
        Some(before.unwrap_or(0) + 7)
    };
    let mut batch = Batch {
        expects: vec![(name(log), expected)],
        ..Batch::default()
    };
    match op {
        Op::Write { puts, removes, .. } => {
            let revision = before.unwrap_or(0) + 1;
            batch
                .puts
                .push((head, Bytes::copy_from_slice(&revision.to_be_bytes())));
            for at in removes {
                batch.removes.push(Key::new(name(log), record(*at)));
            }
            for (at, length) in puts {
                let value = vec![*at; usize::from(*length)];
                let key = Key::new(name(log), record(*at));
                batch.removes.retain(|removed| *removed != key);
                batch.puts.push((key, value.into()));
            }
        }
        _ => {
            batch
                .removes
                .extend(model.keys().filter(|key| key.log == name(log)));
        }
    }
    Some((batch, right))
}

fn apply(model: &mut Model, batch: &Batch) {
    for key in &batch.removes {
        model.remove(key);
    }
    model.extend(batch.puts.iter().cloned());
}

async fn run(
    ops: Vec<Op>,
    mut store: Arc<dyn Store>,
    reopen: impl Fn(Arc<dyn Store>) -> Arc<dyn Store>,
) {
    let mut model = Model::new();
    for op in ops {
        if let Some((batch, right)) = batch(&model, &op) {
            let result = store.commit(batch.clone()).await;
            if right {
                result.unwrap();
                apply(&mut model, &batch);
            } else {
                assert!(matches!(result, Err(StoreError::Conflict)), "{result:?}");
            }
        } else if let Op::Read { log, from, to, max } = op {
            let (from, to) = (
                Key::new(name(log), record(from)),
                Key::new(name(log), record(to)),
            );
            for values in [true, false] {
                let range = Range {
                    from,
                    to,
                    records_max: max,
                    bytes_max: usize::MAX,
                    values,
                };
                let found = store.range(range).await.unwrap();
                let expected: Vec<_> = if from <= to {
                    model
                        .range(from..=to)
                        .take(max)
                        .map(|(key, value)| {
                            (*key, if values { value.clone() } else { Bytes::new() })
                        })
                        .collect()
                } else {
                    Vec::new()
                };
                assert_eq!(found, expected);
            }
        } else {
            store.close().await.unwrap();
            store = reopen(store);
        }
    }
    let keys: Vec<Key> = model.keys().copied().collect();
    let values = store.get(keys).await.unwrap();
    let expected: Vec<_> = model.into_values().map(Some).collect();
    assert_eq!(values, expected);
    store.close().await.unwrap();
}

fn check(cases: u32, test: impl Fn(Vec<Op>)) {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&ops(), |ops| {
        test(ops);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn memory_does_what_a_map_does() {
    check(200, |ops| {
        // Memory forgets when it is closed, so it stays what it is.
        runtime().block_on(run(ops, Arc::new(MemoryStore::new()), |store| store));
    });
}

fn sled(path: &Path) -> Arc<dyn Store> {
    let names = (0..4).map(name).collect();
    let lock = folder::lock(path).unwrap();
    Arc::new(SledStore::open(path, lock, &names, SledOptions::offline()).unwrap())
}

#[test]
fn sled_does_what_a_map_does_across_reopening() {
    check(12, |ops| {
        let folder = tempfile::tempdir().unwrap();
        let store = sled(folder.path());
        runtime().block_on(run(ops, store, |store| {
            drop(store);
            sled(folder.path())
        }));
    });
}

#[tokio::test]
async fn sled_keeps_the_largest_values_in_its_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = sled(folder.path());
    let mut before = None;
    for round in 1..=6_u64 {
        let mut batch = Batch {
            expects: vec![(name(1), before)],
            ..Batch::default()
        };
        let head = Bytes::copy_from_slice(&round.to_be_bytes());
        batch.puts.push((Key::new(name(1), Record::Head), head));
        for at in 0..40 {
            let key = Key::new(name(1), Record::Ordinary(at * round));
            batch.puts.push((key, vec![7; 160 << 10].into()));
        }
        store.commit(batch).await.unwrap();
        before = Some(round);
    }
    let blobs = std::fs::read_dir(folder.path().join("db/blobs")).unwrap();
    assert_eq!(blobs.count(), 0, "files that sled does not sync");
    store.close().await.unwrap();
}

#[tokio::test]
async fn two_relays_cannot_use_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Folder::open(folder.path(), SledOptions::offline()).unwrap();
    let again = Folder::open(folder.path(), SledOptions::offline());
    assert!(matches!(again, Err(FolderError::InUse)));
    opened.store.close().await.unwrap();
    let again = Folder::open(folder.path(), SledOptions::offline()).unwrap();
    again.store.close().await.unwrap();
}

/// sled's own threads keep its locked file open for a moment after the last handle is gone.
#[tokio::test]
async fn a_closed_folder_can_be_opened_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let opened = Folder::open(folder.path(), SledOptions::offline()).unwrap();
        opened.store.close().await.unwrap();
    }
}
