//! What return words give, by the recipe of SPEC.md ("Return words", "Backup") and not by the code
//! that is looked at: the words and everything derived from them must be found nowhere.

use argon2::{Algorithm, Argon2, Params, Version};
use bip39::Language;
use hkdf::Hkdf;
use sha2::Sha256;
use sotto_client::{RelayAddress, ReturnWords};
use sotto_protocol::id::LogId;
use sotto_protocol::proof::public_key;
use x25519_dalek::StaticSecret;

use crate::BACKUP_ID;

/// The 80 bits that eight words stand for, before their checksum.
fn entropy(words: &ReturnWords) -> Vec<u8> {
    let bits = words.words().iter().fold(0_u128, |bits, word| {
        let index = Language::English
            .find_word(word)
            .expect("a word of the list");
        bits << 11 | u128::from(index)
    });
    bits.to_be_bytes()[5..15].to_vec()
}

/// All of it, each with what it is. The id of the backup's log is among them, which the relay has.
pub(crate) fn secrets(words: &ReturnWords, relay: &RelayAddress) -> Vec<(&'static str, Vec<u8>)> {
    let (text, entropy) = (words.text().to_string(), entropy(words));
    let salt = [b"sotto/v1/words".as_slice(), relay.identity().as_bytes()].concat();
    let params = Params::new(64 * 1_024, 3, 1, Some(32)).unwrap();
    let mut master = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(&entropy, &salt, &mut master)
        .unwrap();
    let derive = |label: &[u8]| {
        let mut key = [0; 32];
        let source = Hkdf::<Sha256>::new(Some(b"sotto/v1/backup"), &master);
        source.expand(label, &mut key).unwrap();
        key
    };
    let (root, keeper, seal) = (derive(b"root"), derive(b"keeper"), derive(b"seal"));
    let log = LogId::of_root(&public_key(&StaticSecret::from(root)));
    vec![
        ("the return words", text.into_bytes()),
        ("what return words stand for", entropy),
        ("what return words are stretched to", master.to_vec()),
        ("the root key of a backup", root.to_vec()),
        ("the grant key of a backup", keeper.to_vec()),
        ("the seal key of a backup", seal.to_vec()),
        (BACKUP_ID, log.as_bytes().to_vec()),
    ]
}
