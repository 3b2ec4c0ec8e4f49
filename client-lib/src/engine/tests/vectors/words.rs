//! Return words and what follows from them: bits, keys, and one sealed backup.

use serde_json::{Value, json};
use sotto_protocol::cbor;
use sotto_protocol::id::RelayIdentity;
use sotto_protocol::proof::public_key;

use super::recipes::{bytes, find, hexed, printed};
use crate::people::backup::tests::backup;
use crate::people::backup::{Backup, BackupKeys, Master, Shape};
use crate::people::safe::SafeMaster;
use crate::people::{ReturnWords, SafeTry, SafeWord};
use crate::seal::open_box;

const IDENTITY: [u8; 32] = [0x31; 32];
const NONCE: u8 = 0x3b;
const SAFE_WORD: &str = "blue teapot";

fn entropies() -> [[u8; 10]; 3] {
    [
        [0; 10],
        [0xff; 10],
        [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x10, 0x32],
    ]
}

fn keys(entropy: [u8; 10]) -> (Master, BackupKeys) {
    let words = ReturnWords::of(entropy);
    let master = Master::stretch(&words, &RelayIdentity::new(IDENTITY)).unwrap();
    let keys = master.keys();
    (master, keys)
}

pub(super) fn words() -> Value {
    let mut all: Vec<_> = (0..)
        .zip(entropies())
        .map(|(at, entropy)| {
            json!({
                "name": format!("words-{at}"),
                "entropy": hexed(entropy),
                "words": ReturnWords::of(entropy).words(),
            })
        })
        .collect();
    let entropy = entropies()[2];
    let (master, keys) = keys(entropy);
    let sealed = seal(&keys, &backup(2));
    all.push(json!({
        "name": "backup",
        "entropy": hexed(entropy),
        "identity": hexed(IDENTITY),
        "master": hexed(master.as_bytes()),
        "root_secret": hexed(keys.root.to_bytes()),
        "root_key": hexed(public_key(&keys.root).as_bytes()),
        "log": hexed(keys.log().as_bytes()),
        "keeper_secret": hexed(keys.keeper.to_bytes()),
        "keeper_key": hexed(public_key(&keys.keeper).as_bytes()),
        "seal_key": hexed(keys.seal_key()),
        "nonce": hexed([NONCE; 24]),
        "backup": printed(&cbor::encode(&backup(2)).unwrap()),
        "slip": printed(&open_box(keys.seal_key(), &ad(&keys), &sealed).unwrap()),
        "sealed": printed(&sealed),
    }));
    let (word, at): (SafeWord, _) = (SAFE_WORD.parse().unwrap(), RelayIdentity::new(IDENTITY));
    let given = SafeMaster::stretch(Some(&word), &at)
        .unwrap()
        .given(&keys.log());
    all.push(json!({
        "name": "safe-word",
        "word": SAFE_WORD,
        "identity": hexed(IDENTITY),
        "log": hexed(keys.log().as_bytes()),
        "try": hexed(cbor_bytes(&given)),
        "check": hexed(cbor_bytes(&given.check())),
    }));
    all.into()
}

/// The 32 bytes of what is encoded as a byte string.
fn cbor_bytes(value: &impl serde::Serialize) -> Vec<u8> {
    let encoded = cbor::encode(value).unwrap();
    encoded[encoded.len() - 32..].to_vec()
}

fn ad(keys: &BackupKeys) -> Vec<u8> {
    [b"sotto/v1/backup".as_slice(), keys.log().as_bytes()].concat()
}

fn seal(keys: &BackupKeys, backup: &Backup) -> Vec<u8> {
    let mut draw = |out: &mut [u8]| {
        out.fill(NONCE);
        Ok(())
    };
    let shape = Shape::of(&backup.lines, &backup.tickets).unwrap();
    keys.seal_drawing(backup, &shape, &mut draw)
        .unwrap()
        .remove(0)
}

/// Opens with the code what stands in the file.
pub(super) fn open_all(vectors: &Value) {
    for (at, entropy) in (0..).zip(entropies()) {
        let vector = find(vectors, &format!("words-{at}"));
        let listed = vector["words"].as_array().unwrap().iter();
        let typed: Vec<_> = listed.map(|word| word.as_str().unwrap()).collect();
        assert_eq!(typed.join(" ").parse(), Ok(ReturnWords::of(entropy)));
        assert_eq!(bytes(&vector["entropy"]), entropy);
    }
    let vector = find(vectors, "backup");
    let master = Master::new(bytes(&vector["master"]).try_into().unwrap());
    assert_eq!(bytes(&vector["log"]), master.keys().log().as_bytes());
    let held: Backup = cbor::decode(&bytes(&vector["backup"])).unwrap();
    assert_eq!(held, backup(2));
    let vector = find(vectors, "safe-word");
    let given = SafeTry::new(bytes(&vector["try"]).try_into().unwrap());
    assert_eq!(cbor_bytes(&given.check()), bytes(&vector["check"]));
}
