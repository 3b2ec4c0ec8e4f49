//! What follows from the key of a desk's organisation: fingerprint, words, keys, and a card's entry.

use serde_json::{Value, json};
use sotto_protocol::cbor;
use sotto_protocol::proof::public_key;

use super::recipes::{bytes, find, hexed, printed};
use crate::desk::tests::{
    NONCE, ORGANISATION_SEED, address, card, entry, keys, open_for_vectors, organisation,
};
use crate::desk::{Card, CardKeys, DeskFingerprint, DeskWords, OrganisationId, Reading};

pub(super) fn poster() -> Value {
    let (keys, sealed) = (keys(), entry());
    json!([{
        "name": "poster",
        "organisation_seed": hexed(ORGANISATION_SEED),
        "organisation_key": hexed(organisation().id().as_bytes()),
        "desk": card().desk,
        "fingerprint": hexed(keys.fingerprint.as_bytes()),
        "words": address().words().words(),
        "master": hexed(CardKeys::master_of(keys.fingerprint).unwrap()),
        "root_secret": hexed(keys.root),
        "root_key": hexed(public_key(&keys.root.into()).as_bytes()),
        "log": hexed(keys.log.as_bytes()),
        "read_secret": hexed(keys.read),
        "read_key": hexed(public_key(&keys.read.into()).as_bytes()),
        "seal_key": hexed(keys.seal),
        "nonce": hexed([NONCE; 24]),
        "card": hexed(cbor::encode(&card()).unwrap()),
        "signed_card": hexed(open_for_vectors(&sealed)),
        "sealed": printed(&sealed),
    }])
}

/// Opens with the code what stands in the file.
pub(super) fn open_all(vectors: &Value) {
    let vector = find(vectors, "poster");
    let organisation: [u8; 32] = bytes(&vector["organisation_key"]).try_into().unwrap();
    let fingerprint = DeskFingerprint::of(&OrganisationId::new(organisation), 7);
    assert_eq!(bytes(&vector["fingerprint"]), fingerprint.as_bytes());
    let listed = vector["words"].as_array().unwrap().iter();
    let typed: Vec<_> = listed.map(|word| word.as_str().unwrap()).collect();
    assert_eq!(typed.join(" ").parse(), Ok(DeskWords(fingerprint)));
    let master = bytes(&vector["master"]).try_into().unwrap();
    let keys = CardKeys::of_master(fingerprint, &master);
    assert_eq!(bytes(&vector["log"]), keys.log.as_bytes());
    let sealed = bytes(&vector["sealed"]);
    let read = Card::newest(&keys, [sealed.as_slice()]);
    assert_eq!(read, Reading::Card(Box::new(card())));
}
