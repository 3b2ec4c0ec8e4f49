//! Inputs and results of the recipes in SPEC.md: identifiers, connection, proofs, work, chain.

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use sotto_protocol::chain::{Link, extend, genesis, held_digest};
use sotto_protocol::id::{ChainValue, Commitment, LogId, RelayIdentity, RetryId};
use sotto_protocol::proof::{self, Purpose};
use x25519_dalek::StaticSecret;

use crate::noise::Transcript;
use crate::samples::DAY;

const IDENTITY_SECRET: [u8; 32] = [0x01; 32];
pub(crate) const DAY_SECRET: [u8; 32] = [0x02; 32];
const ROOT_SECRET: [u8; 32] = [0x03; 32];
const GRANT_SECRET: [u8; 32] = [0x04; 32];
const HANDSHAKE_HASH: [u8; 32] = [0x05; 32];

fn identity() -> (SigningKey, RelayIdentity) {
    let secret = SigningKey::from_bytes(&IDENTITY_SECRET);
    let public = RelayIdentity::new(secret.verifying_key().to_bytes());
    (secret, public)
}

fn log() -> LogId {
    LogId::of_root(&proof::public_key(&StaticSecret::from(ROOT_SECRET)))
}

fn retry() -> RetryId {
    RetryId::new([0x22; 16])
}

pub(crate) fn ids() -> Value {
    let root = proof::public_key(&StaticSecret::from(ROOT_SECRET));
    json!([{
        "name": "log id",
        "root_secret": hex::encode(ROOT_SECRET),
        "root": hex::encode(root.as_bytes()),
        "log": hex::encode(log().as_bytes()),
    }])
}

pub(crate) fn connection() -> Value {
    let (secret, identity) = identity();
    let day_key = proof::public_key(&StaticSecret::from(DAY_SECRET));
    let signature = proof::sign_day(&secret, DAY, &day_key);
    let prologue = proof::prologue(&identity, DAY);
    let Transcript {
        ephemerals,
        first,
        second,
        handshake_hash,
        exchanged,
    } = Transcript::new(&prologue, &DAY_SECRET, &day_key);
    let exchanged: Value = exchanged
        .iter()
        .map(|message| {
            json!({
                "from": message.from,
                "item": message.item.to_json(),
                "noise": message.sealed.to_json(),
            })
        })
        .collect();
    json!([{
        "name": "connection",
        "identity_secret": hex::encode(IDENTITY_SECRET),
        "identity": hex::encode(identity.as_bytes()),
        "day": DAY,
        "day_secret": hex::encode(DAY_SECRET),
        "day_key": hex::encode(day_key.as_bytes()),
        "signature": hex::encode(signature.as_bytes()),
        "prologue": hex::encode(prologue),
        "client_ephemeral_secret": hex::encode(ephemerals[0]),
        "relay_ephemeral_secret": hex::encode(ephemerals[1]),
        "first_message": hex::encode(first),
        "second_message": hex::encode(second),
        "handshake_hash": hex::encode(handshake_hash),
        "exchanged": exchanged,
    }])
}

pub(crate) fn proofs() -> Value {
    let grant = StaticSecret::from(GRANT_SECRET);
    let day_key = proof::public_key(&StaticSecret::from(DAY_SECRET));
    [
        ("open", Purpose::Open),
        ("create", Purpose::Create),
        ("own", Purpose::Own),
    ]
    .map(|(name, purpose)| {
        let mac = proof::prove(&grant, &day_key, purpose, &HANDSHAKE_HASH, &log());
        json!({
            "name": name,
            "secret": hex::encode(GRANT_SECRET),
            "key": hex::encode(proof::public_key(&grant).as_bytes()),
            "day_secret": hex::encode(DAY_SECRET),
            "day_key": hex::encode(day_key.as_bytes()),
            "handshake_hash": hex::encode(HANDSHAKE_HASH),
            "log": hex::encode(log().as_bytes()),
            "mac": hex::encode(mac.as_bytes()),
        })
    })
    .into_iter()
    .collect()
}

pub(crate) fn work() -> Value {
    [0, 8, 12]
        .map(|asked| {
            let nonce = proof::find_work(&HANDSHAKE_HASH, &log(), &retry(), asked);
            json!({
                "name": format!("{asked} bits"),
                "asked": asked,
                "handshake_hash": hex::encode(HANDSHAKE_HASH),
                "log": hex::encode(log().as_bytes()),
                "retry": hex::encode(retry().as_bytes()),
                "nonce": nonce,
                "bits": proof::work_bits(&HANDSHAKE_HASH, &log(), &retry(), nonce),
            })
        })
        .into_iter()
        .collect()
}

pub(crate) fn chain() -> Value {
    let commitment = Commitment::new([0x44; 32]);
    let held = held_digest(&[0x76; 40]);
    let plain = Link {
        seq: 1,
        day: DAY,
        fence: None,
        commitment: &commitment,
        sealed: &[0x5a; 1024],
        held: None,
    };
    let links = [
        ("entry", plain),
        (
            "fenced entry",
            Link {
                seq: 2,
                fence: Some(0),
                ..plain
            },
        ),
        (
            "entry with a held part",
            Link {
                seq: 3,
                held: Some(&held),
                ..plain
            },
        ),
    ];
    let start = genesis(&log());
    let mut all = vec![json!({
        "name": "genesis",
        "log": hex::encode(log().as_bytes()),
        "chain": hex::encode(start.as_bytes()),
    })];
    let mut before = start;
    for (name, link) in links {
        all.push(link_json(name, &before, &link));
        before = extend(&before, &link);
    }
    all.into()
}

fn link_json(name: &str, before: &ChainValue, link: &Link<'_>) -> Value {
    json!({
        "name": name,
        "before": hex::encode(before.as_bytes()),
        "seq": link.seq,
        "day": link.day,
        "fence": link.fence,
        "commitment": hex::encode(link.commitment.as_bytes()),
        "sealed": { "byte": "5a", "times": link.sealed.len() },
        "held": link.held.map(|_| json!({ "byte": "76", "times": 40 })),
        "held_digest": link.held.map(|held| hex::encode(held.as_bytes())),
        "chain": hex::encode(extend(before, link).as_bytes()),
    })
}
