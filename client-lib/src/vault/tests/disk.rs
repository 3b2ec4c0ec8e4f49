//! What only a vault on disk can show: reopening, kills, wrong keys, copies, damage, what is left.

use std::fs;
use std::path::Path;

use super::super::sqlite::test_access;
use super::super::{Batch, Residue, SharedVault, SqliteVault, Vault, VaultKey};
use super::{A, B, key, put};
use crate::error::ErrorKind;

fn raw() -> VaultKey {
    VaultKey::raw([7; 32])
}

fn open(folder: &Path) -> SqliteVault {
    SqliteVault::open(folder, &raw()).unwrap()
}

fn kind(folder: &Path, key: &VaultKey) -> ErrorKind {
    SqliteVault::open(folder, key).unwrap_err().kind()
}

/// What a kill at this moment would leave.
fn copy(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Whether any file of the folder holds these bytes.
fn holds(folder: &Path, wanted: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|file| {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

#[test]
fn everything_is_there_after_it_was_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = open(folder.path());
    for number in 0..100 {
        let name = format!("m/{number:03}");
        vault.apply(&put(A, &name, &name)).unwrap();
    }
    let before = (vault.load(A).unwrap(), vault.mark());
    drop(vault);
    let vault = open(folder.path());
    assert_eq!(vault.load(A).unwrap(), before.0);
    assert_eq!(vault.mark().generation, before.1.generation + 1);
    assert_ne!(vault.mark().opening, before.1.opening);
    assert!(!vault.is_copy());
}

#[test]
fn a_batch_that_was_applied_survives_a_kill_and_one_that_was_not_left_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = open(folder.path());
    vault.apply(&put(A, "first", "x")).unwrap();
    let wal = folder.path().join("vault.sqlite-wal");
    let whole = fs::metadata(&wal).unwrap().len();
    let mut second = put(A, "second", &"y".repeat(20_000));
    second.delete(key(A, "first"));
    vault.apply(&second).unwrap();
    let end = fs::metadata(&wal).unwrap().len();
    assert!(end > whole + 20_000);
    for cut in [end, end - 1, end - 5_000, whole + 1, whole] {
        let killed = tempfile::tempdir().unwrap();
        copy(folder.path(), killed.path());
        let file = fs::OpenOptions::new()
            .write(true)
            .open(killed.path().join("vault.sqlite-wal"))
            .unwrap();
        file.set_len(cut).unwrap();
        let names: Vec<_> = open(killed.path())
            .load(A)
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let wanted: &[u8] = if cut == end { b"second" } else { b"first" };
        assert_eq!(names, [wanted.to_vec()], "cut at {cut} of {end}");
    }
}

#[test]
fn a_batch_that_fails_half_way_leaves_the_old_state() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = open(folder.path());
    vault.apply(&put(A, "kept", "x")).unwrap();
    let before = vault.mark();
    test_access::limit_pages(&vault, 40);
    let mut batch = put(B, "small", "x");
    batch.delete(key(A, "kept"));
    batch.put(key(B, "large"), vec![0; 1 << 20]);
    let full = vault.apply(&batch).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::VaultFull);
    assert_eq!(vault.get(&key(A, "kept")).unwrap().unwrap(), b"x");
    assert_eq!(vault.spaces().unwrap(), [A]);
    assert_eq!(vault.mark(), before);
    // With room again it goes through.
    test_access::limit_pages(&vault, 1 << 20);
    vault.apply(&batch).unwrap();
    assert_eq!(vault.spaces().unwrap(), [B]);
    drop(vault);
    assert_eq!(open(folder.path()).load(B).unwrap().len(), 2);
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path());
    assert_eq!(kind(folder.path(), &raw()), ErrorKind::VaultInUse);
    let counted = SqliteVault::residue_of(folder.path()).unwrap_err();
    assert_eq!(counted.kind(), ErrorKind::VaultInUse);
    drop(vault);
    drop(open(folder.path()));
}

#[test]
fn only_its_key_opens_a_vault() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = open(folder.path());
    vault.apply(&put(A, "name", "x")).unwrap();
    vault
        .change_key(&VaultKey::passphrase("correct horse"))
        .unwrap();
    drop(vault);
    for wrong in [
        raw(),
        VaultKey::raw([8; 32]),
        VaultKey::passphrase("correct horsf"),
        VaultKey::passphrase(""),
    ] {
        assert_eq!(kind(folder.path(), &wrong), ErrorKind::VaultKey);
    }
    let vault = SqliteVault::open(folder.path(), &VaultKey::passphrase("correct horse")).unwrap();
    assert_eq!(vault.get(&key(A, "name")).unwrap().unwrap(), b"x");
    assert_eq!(
        format!("{:?}", VaultKey::passphrase("canary")),
        "VaultKey(…)"
    );
}

#[test]
fn nothing_that_was_put_can_be_read_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = open(folder.path());
    let control = b"SQLite format 3";
    let secret = "sixteen bytes and more";
    vault.apply(&put(A, "a name of somebody", secret)).unwrap();
    for scrubbed in [false, true] {
        assert!(
            holds(folder.path(), control),
            "the search finds what is there"
        );
        assert!(!holds(folder.path(), secret.as_bytes()));
        assert!(!holds(folder.path(), b"a name of somebody"));
        assert!(!holds(folder.path(), &A.0), "nor the space's id");
        if !scrubbed {
            vault.scrub().unwrap();
        }
    }
}

#[test]
fn an_erased_space_leaves_neither_its_key_nor_its_rows_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = open(folder.path());
    vault.apply(&put(B, "kept", "x")).unwrap();
    for number in 0..200 {
        let name = format!("m/{number}");
        vault.apply(&put(A, &name, &"word ".repeat(100))).unwrap();
    }
    let sealed = test_access::sealed_of(&vault, A);
    assert!(sealed.len() > 200);
    // Long enough to be no chance, short enough to fit into what is left of an overwritten page.
    let pieces = || sealed.iter().map(|bytes| &bytes[..24]);
    vault.scrub().unwrap();
    assert!(pieces().all(|piece| holds(folder.path(), piece)));
    let size = |path: &Path| fs::metadata(path.join("vault.sqlite")).unwrap().len();
    let before = size(folder.path());
    let mut leave = Batch::default();
    leave.erase(A);
    vault.apply(&leave).unwrap();
    assert!(!pieces().any(|piece| holds(folder.path(), piece)));
    assert!(size(folder.path()) < before / 2, "nor the room it took");
    assert_eq!(vault.get(&key(B, "kept")).unwrap().unwrap(), b"x");
    let mut leave = Batch::default();
    leave.erase(B);
    vault.apply(&leave).unwrap();
    drop(vault);
    assert_eq!(
        SqliteVault::residue_of(folder.path()).unwrap(),
        Residue::default()
    );
}

#[test]
fn a_deleted_value_is_gone_from_the_files_after_a_scrub() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = open(folder.path());
    vault.apply(&put(A, "kept", "x")).unwrap();
    vault.apply(&put(A, "gone", "word")).unwrap();
    let sealed = test_access::sealed_of(&vault, A);
    let mut batch = Batch::default();
    batch.delete(key(A, "gone"));
    vault.apply(&batch).unwrap();
    let left = test_access::sealed_of(&vault, A);
    let gone: Vec<_> = sealed
        .iter()
        .filter(|bytes| !left.contains(bytes))
        .collect();
    assert_eq!(gone.len(), 2, "a name and a value");
    assert!(
        gone.iter().all(|bytes| holds(folder.path(), bytes)),
        "in the journal"
    );
    vault.scrub().unwrap();
    assert!(!gone.iter().any(|bytes| holds(folder.path(), bytes)));
}

#[test]
fn the_journal_empties_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = open(folder.path());
    for number in 1..=super::super::SCRUB_EVERY {
        vault.apply(&put(A, "name", &number.to_string())).unwrap();
    }
    let wal = folder.path().join("vault.sqlite-wal");
    assert_eq!(fs::metadata(wal).unwrap().len(), 0);
}

#[cfg(unix)]
#[test]
fn the_files_are_their_owners_only() {
    use std::os::unix::fs::PermissionsExt;
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("vault");
    let mut vault = open(&folder);
    vault.apply(&put(A, "name", "x")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert_eq!(files.len(), 3);
    for file in files {
        assert_eq!(mode(&file), 0o600);
    }
}

#[test]
fn a_vault_copied_elsewhere_or_copied_back_shows() {
    let folder = tempfile::tempdir().unwrap();
    let backup = tempfile::tempdir().unwrap();
    let mut vault = open(folder.path());
    vault.apply(&put(A, "name", "old")).unwrap();
    copy(folder.path(), backup.path());
    vault.apply(&put(A, "name", "new")).unwrap();
    drop(vault);
    assert!(open(backup.path()).is_copy(), "in another place");
    let mut copied = open(backup.path());
    assert!(copied.is_copy(), "until what follows from it is kept");
    copied.apply(&Batch::default()).unwrap();
    drop(copied);
    assert!(!open(backup.path()).is_copy(), "and no longer");
    assert!(
        !open(folder.path()).is_copy(),
        "the first one is still itself"
    );
    // Back into the same files, which keep their inodes: the generation tells.
    for file in ["vault.sqlite", "vault.sqlite-wal"] {
        let bytes = fs::read(backup.path().join(file)).unwrap_or_default();
        fs::write(folder.path().join(file), bytes).unwrap();
    }
    let opened = open(folder.path());
    assert_eq!(opened.get(&key(A, "name")).unwrap().unwrap(), b"old");
    assert!(opened.is_copy());
}

#[test]
fn a_changed_byte_is_damage_and_never_another_value() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = open(folder.path());
    for number in 0..20 {
        vault
            .apply(&put(A, &format!("m/{number}"), "word"))
            .unwrap();
    }
    let rows = vault.load(A).unwrap();
    drop(vault);
    let whole = fs::read(folder.path().join("vault.sqlite")).unwrap();
    let mut damaged = 0;
    for at in (0..whole.len()).step_by(211) {
        let other = tempfile::tempdir().unwrap();
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(other.path().join("vault.sqlite"), bytes).unwrap();
        let found = SqliteVault::open(other.path(), &raw()).and_then(|vault| vault.load(A));
        match found {
            // The byte was in a page or field that nothing reads.
            Ok(found) if found.len() == rows.len() => assert_eq!(found, rows, "at {at}"),
            // A vault counts no rows: a byte that unlinks one is not noticed, only a byte that
            // changes one. What is left is never another value.
            Ok(found) => assert!(found.iter().all(|row| rows.contains(row)), "at {at}"),
            Err(error) => {
                damaged += 1;
                assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::VaultDamaged | ErrorKind::VaultKey | ErrorKind::VaultIo
                    ),
                    "{error:?}"
                );
            }
        }
    }
    assert!(damaged > 5, "the bytes that matter were met: {damaged}");
}

#[test]
fn what_is_no_vault_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vault.sqlite"), [7; 8192]).unwrap();
    assert_eq!(kind(folder.path(), &raw()), ErrorKind::VaultDamaged);
    let empty = tempfile::tempdir().unwrap();
    let nothing = SqliteVault::residue_of(&empty.path().join("none")).unwrap();
    let file = empty.path().join("file");
    fs::write(&file, b"where a folder should be").unwrap();
    let unknown = SqliteVault::residue_of(&file).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::VaultIo, "which is not nothing");
    assert!(nothing.is_empty());
    assert!(
        !empty.path().join("none").exists(),
        "counting makes nothing"
    );
}

#[test]
fn several_threads_share_one_vault() {
    let folder = tempfile::tempdir().unwrap();
    let shared = SharedVault::new(open(folder.path()));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let shared = shared.clone();
            scope.spawn(move || {
                for number in 0..10 {
                    let name = format!("{thread}/{number}");
                    shared
                        .with(|vault| vault.apply(&put(A, &name, "x")))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(shared.with(|vault| vault.load(A)).unwrap().len(), 40);
}

#[test]
fn a_destroyed_vault_is_overwritten_before_its_files_go_and_takes_nothing_more() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("vault");
    let shared = SharedVault::new(open(&folder));
    // Some of it in the database, some of it in its journal still.
    for number in 0..200 {
        let name = format!("m/{number:03}");
        let put = put(A, &name, &name.repeat(20));
        shared.with(|vault| vault.apply(&put)).unwrap();
    }
    let names = ["vault.sqlite", "vault.sqlite-wal", "vault.lock"];
    for name in names {
        fs::hard_link(folder.join(name), outside.path().join(name)).unwrap();
    }
    assert!(fs::metadata(outside.path().join(names[1])).unwrap().len() > 0);
    shared.destroy().unwrap();
    assert!(!folder.exists());
    // What the blocks of its files hold now, whoever finds them.
    for name in names {
        let bytes = fs::read(outside.path().join(name)).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0), "{name}");
    }
    let late = shared.with(|vault| vault.apply(&put(A, "late", "x")));
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(shared.with(|vault| vault.spaces()).unwrap(), []);
    assert!(shared.with(|vault| vault.get(&key(A, "m/001"))).is_err());
    shared.destroy().unwrap();
    assert!(!folder.exists());
    // A new one in its place knows nothing of it.
    assert!(open(&folder).spaces().unwrap().is_empty());
}

#[test]
fn a_vault_is_destroyed_without_its_key_and_others_files_stay() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("vault");
    SqliteVault::destroy_in(&folder).unwrap();
    assert!(!folder.exists());
    let vault = open(&folder);
    let refused = SqliteVault::destroy_in(&folder).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::VaultInUse);
    drop(vault);
    fs::write(folder.join("a picture"), b"mine").unwrap();
    SqliteVault::destroy_in(&folder).unwrap();
    let left: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert_eq!(left.len(), 1);
    // A journal that a kill left behind goes as well.
    fs::write(folder.join("vault.sqlite-journal"), b"pages").unwrap();
    SqliteVault::destroy_in(&folder).unwrap();
    assert!(!folder.join("vault.sqlite-journal").exists());
    fs::remove_file(folder.join("a picture")).unwrap();
}

#[test]
fn a_vault_of_which_something_is_left_says_so_each_time_and_takes_nothing_more() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("vault");
    let shared = SharedVault::new(open(&folder));
    shared.with(|vault| vault.apply(&put(A, "m", "x"))).unwrap();
    let stuck = folder.join("vault.sqlite-journal");
    fs::create_dir(&stuck).unwrap();
    for _ in 0..2 {
        let failed = shared.destroy().unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::VaultIo);
    }
    // All that could be erased is.
    let left: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert_eq!(left.len(), 1);
    let late = shared.with(|vault| vault.apply(&put(A, "late", "x")));
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Closed);
    fs::remove_dir(&stuck).unwrap();
    SqliteVault::destroy_in(&folder).unwrap();
}

#[test]
fn of_a_large_vault_so_much_is_overwritten_and_not_a_byte_more() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("vault");
    drop(open(&folder));
    let most = usize::try_from(super::super::lock::OVERWRITTEN_BYTES_MAX).unwrap();
    fs::write(folder.join("vault.sqlite-wal"), vec![7; most + 1]).unwrap();
    let link = outside.path().join("link");
    fs::hard_link(folder.join("vault.sqlite-wal"), &link).unwrap();
    SqliteVault::destroy_in(&folder).unwrap();
    let bytes = fs::read(link).unwrap();
    assert_eq!(bytes.iter().rposition(|byte| *byte == 0), Some(most - 1));
    assert_eq!((bytes.len(), bytes[most]), (most + 1, 7));
}
