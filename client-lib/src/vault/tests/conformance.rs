//! What every vault does.

use std::collections::BTreeMap;

use super::super::{
    BATCH_OPERATIONS_MAX, Batch, Key, MemoryVault, NAME_BYTES_MAX, Range, Row, Space,
    VALUE_BYTES_MAX, Vault,
};
use super::{A, B, key, put};
use crate::error::ErrorKind;
use crate::jitter::Jitter;

fn names(rows: Vec<Row>) -> Vec<String> {
    rows.into_iter()
        .map(|(name, _)| String::from_utf8(name).unwrap())
        .collect()
}

pub(super) fn keeps_what_was_put_and_forgets_what_was_deleted(vault: &mut dyn Vault) {
    vault.apply(&put(A, "name", "one")).unwrap();
    vault.apply(&put(B, "name", "other")).unwrap();
    assert_eq!(vault.get(&key(A, "name")).unwrap().unwrap(), b"one");
    assert_eq!(vault.get(&key(B, "name")).unwrap().unwrap(), b"other");
    assert_eq!(vault.get(&key(A, "nam")).unwrap(), None);
    vault.apply(&put(A, "name", "two")).unwrap();
    assert_eq!(vault.get(&key(A, "name")).unwrap().unwrap(), b"two");
    assert_eq!(vault.spaces().unwrap(), [A, B]);
    assert_eq!(vault.residue().unwrap().rows, 2);

    let mut batch = Batch::default();
    batch.delete(key(A, "name"));
    batch.delete(key(A, "never there"));
    vault.apply(&batch).unwrap();
    assert_eq!(vault.get(&key(A, "name")).unwrap(), None);
    assert_eq!(vault.spaces().unwrap(), [B], "an empty space is none");

    let mut batch = Batch::default();
    batch.erase(B);
    vault.apply(&batch).unwrap();
    assert_eq!(vault.load(B).unwrap(), []);
    assert!(vault.residue().unwrap().is_empty());
}

pub(super) fn a_batch_erases_then_deletes_then_puts(vault: &mut dyn Vault) {
    vault.apply(&put(A, "old", "x")).unwrap();
    let mut batch = Batch::default();
    batch.put(key(A, "new"), *b"first");
    batch.put(key(A, "new"), *b"second");
    batch.delete(key(A, "new"));
    batch.erase(A);
    vault.apply(&batch).unwrap();
    assert_eq!(
        vault.load(A).unwrap(),
        [(b"new".to_vec(), b"second".to_vec())]
    );
}

pub(super) fn ranges_are_in_the_order_of_names(vault: &mut dyn Vault) {
    let mut batch = Batch::default();
    for name in ["m/3", "m/1", "m", "n/1", "m/2", "l", "m0"] {
        batch.put(key(A, name), name.as_bytes());
    }
    batch.put(Key::new(A, [0xFF, 0xFF]), *b"last");
    vault.apply(&batch).unwrap();
    let range = |range: Range<'_>| names(vault.range(A, range).unwrap());
    assert_eq!(range(Range::of(b"m/")), ["m/1", "m/2", "m/3"]);
    assert_eq!(range(Range::of(b"m")), ["m", "m/1", "m/2", "m/3", "m0"]);
    assert_eq!(range(Range::of(b"x")), [] as [&str; 0]);
    let some = Range {
        max: 2,
        ..Range::of(b"m/")
    };
    assert_eq!(range(some), ["m/1", "m/2"]);
    let back = Range {
        backwards: true,
        ..some
    };
    assert_eq!(range(back), ["m/3", "m/2"]);
    for (after, forwards, backwards) in [
        ("m/2", vec!["m/3"], vec!["m/1"]),
        ("m/", vec!["m/1", "m/2"], vec![]),
        ("m/9", vec![], vec!["m/3", "m/2"]),
        ("a", vec!["m/1", "m/2"], vec![]),
        ("z", vec![], vec!["m/3", "m/2"]),
    ] {
        let after = Some(after.as_bytes());
        assert_eq!(range(Range { after, ..some }), forwards, "{after:?}");
        assert_eq!(range(Range { after, ..back }), backwards, "{after:?}");
    }
    let last = vault.range(A, Range::of(&[0xFF])).unwrap();
    assert_eq!(last, [(vec![0xFF, 0xFF], b"last".to_vec())]);
    assert_eq!(vault.load(A).unwrap().len(), 8);
}

pub(super) fn what_is_over_a_limit_changes_nothing(vault: &mut dyn Vault) {
    vault.apply(&put(A, "kept", "x")).unwrap();
    let before = vault.mark();
    let mut long_name = put(A, "other", "x");
    long_name.put(Key::new(A, vec![0; NAME_BYTES_MAX + 1]), *b"x");
    let mut large = put(A, "other", "x");
    large.put(key(A, "large"), vec![0; VALUE_BYTES_MAX + 1]);
    let mut many = put(A, "other", "x");
    many.deletes = vec![key(A, "kept"); BATCH_OPERATIONS_MAX];
    for batch in [long_name, large, many] {
        let refused = vault.apply(&batch).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TooLarge);
        assert_eq!(vault.mark(), before);
        assert_eq!(names(vault.load(A).unwrap()), ["kept"]);
    }
    let mut edge = Batch::default();
    edge.put(Key::new(A, vec![1; NAME_BYTES_MAX]), Vec::new());
    edge.put(Key::new(A, Vec::new()), *b"no name");
    vault.apply(&edge).unwrap();
    assert_eq!(vault.get(&Key::new(A, [])).unwrap().unwrap(), b"no name");
}

#[test]
fn a_vault_takes_what_is_at_its_limits_and_refuses_what_is_past_them_whole() {
    what_is_over_a_limit_changes_nothing(&mut MemoryVault::new());
}

pub(super) fn each_batch_is_a_generation(vault: &mut dyn Vault) {
    let first = vault.mark();
    vault.apply(&put(A, "name", "x")).unwrap();
    vault.apply(&Batch::default()).unwrap();
    let last = vault.mark();
    assert_eq!(last.generation, first.generation + 2);
    assert_eq!(last.opening, first.opening);
}

/// A seeded list of batches does the same to every vault, also when they are merged.
pub(super) fn agrees_with_the_model(vault: &mut dyn Vault) {
    let mut dice = Jitter::seeded(7);
    let mut model: BTreeMap<Space, BTreeMap<Vec<u8>, Vec<u8>>> = BTreeMap::new();
    let mut merged: Option<Batch> = None;
    for round in 0..200_u64 {
        let mut batch = Batch::default();
        for _ in 0..dice.next() % 6 {
            let space = if dice.next().is_multiple_of(2) { A } else { B };
            let name = vec![u8::try_from(dice.next() % 8).unwrap()];
            match dice.next() % 10 {
                0 => batch.erase(space),
                1..=3 => batch.delete(Key::new(space, name)),
                _ => batch.put(Key::new(space, name), round.to_be_bytes()),
            }
        }
        for space in &batch.erase {
            model.remove(space);
        }
        for key in &batch.deletes {
            if let Some(rows) = model.get_mut(&key.space) {
                rows.remove(&key.name);
            }
        }
        for (key, value) in &batch.puts {
            let rows = model.entry(key.space).or_default();
            rows.insert(key.name.clone(), value.clone());
        }
        model.retain(|_, rows| !rows.is_empty());
        let mut all = merged.take().unwrap_or_default();
        all.then(batch);
        if dice.next().is_multiple_of(3) {
            merged = Some(all);
            continue;
        }
        vault.apply(&all).unwrap();
        for space in [A, B] {
            let rows: Vec<Row> = model.get(&space).into_iter().flatten().map(owned).collect();
            assert_eq!(vault.load(space).unwrap(), rows, "round {round}");
        }
        let spaces: Vec<Space> = model.keys().copied().collect();
        assert_eq!(vault.spaces().unwrap(), spaces);
    }
}

fn owned((name, value): (&Vec<u8>, &Vec<u8>)) -> Row {
    (name.clone(), value.clone())
}

macro_rules! suite {
    ($vault:ident, $make:expr, [$($case:ident),* $(,)?]) => {
        mod $vault {
            $(#[test]
            fn $case() {
                let (mut vault, _kept) = $make;
                super::$case(&mut vault);
            })*
        }
    };
}

suite!(
    memory,
    (super::MemoryVault::new(), ()),
    [
        keeps_what_was_put_and_forgets_what_was_deleted,
        a_batch_erases_then_deletes_then_puts,
        ranges_are_in_the_order_of_names,
        what_is_over_a_limit_changes_nothing,
        each_batch_is_a_generation,
        agrees_with_the_model,
    ]
);

#[cfg(feature = "native")]
suite!(
    sqlite,
    {
        let folder = tempfile::tempdir().unwrap();
        let key = crate::vault::VaultKey::raw([7; 32]);
        let vault = crate::vault::SqliteVault::open(folder.path(), &key).unwrap();
        (vault, folder)
    },
    [
        keeps_what_was_put_and_forgets_what_was_deleted,
        a_batch_erases_then_deletes_then_puts,
        ranges_are_in_the_order_of_names,
        what_is_over_a_limit_changes_nothing,
        each_batch_is_a_generation,
        agrees_with_the_model,
    ]
);
