//! Inputs and results of the recipes in SPEC.md's part on conversations: what is derived, signed,
//! boxed and sealed.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sotto_protocol::cbor;
use sotto_protocol::id::{LogId, PublicKey};
use sotto_protocol::proof::public_key;
use sotto_protocol::size_class::SizeClass;
use zeroize::Zeroizing;

use super::samples::{
    self, ATTACHED, ATTACHMENT_SECRET, EPOCH, FOUNDER_SEED, OPENING, SECRET, founder, log, manage,
    message, place, spoken,
};
use crate::attachment::{AttachmentSecret, CHUNK_BYTES, Cut};
use crate::content::{ContentBody, listen};
use crate::engine::commits::{box_next_under, open_next};
use crate::engine::group_id;
use crate::seal::letter::tests::{Written, ephemeral, write_under};
use crate::seal::letter::{Address, AnswerBody, Letters, Purpose, Read};
use crate::seal::{
    ConversationSecret, Envelope, EnvelopeBody, Farewell, Generation, Packet, SnapshotBody,
    VerdictBody, open, seal_drawing,
};

const COMMIT: [u8; 4] = [0xc0, 0xc1, 0xc2, 0xc3];
const ROTATE_KEY: [u8; 32] = [0x20; 32];
const NEXT: [u8; 32] = [0x21; 32];
const EXPORTER_SECRET: [u8; 32] = [0x28; 32];
const READER: [u8; 32] = [0x29; 32];
const IKM: [u8; 32] = [0x2a; 32];
const LETTER_LOG: LogId = LogId::new([0x1f; 32]);
const NONCE: [u8; 24] = [0x22; 24];
/// Bytes of the message whose envelope takes a run of two.
const LONG: usize = 70_000;
/// Bytes of an attachment of five chunks.
const FIVE_CHUNKS: u64 = 5 * CHUNK_BYTES as u64;

pub(super) fn hexed(bytes: impl AsRef<[u8]>) -> Value {
    json!(hex::encode(bytes))
}

fn generation() -> Generation {
    ConversationSecret::new(SECRET).generation(&log())
}

pub(super) fn recipes() -> Value {
    json!([
        secrets(),
        facilitator(),
        verdict(),
        snapshot(),
        farewell(),
        commitment(),
        next(),
        exporter(),
        attachment(),
        letter("letter", &cbor::encode(&AnswerBody::No).unwrap()),
        letter("letter, a run", &[0xaa; LONG]),
    ])
}

fn secrets() -> Value {
    let generation = generation();
    let join = generation.join_key();
    let (psk_id, psk) = generation.psk();
    json!({
        "name": "secrets",
        "log": hexed(log().as_bytes()),
        "group_id": hexed(group_id(&log())),
        "secret": hexed(SECRET),
        "secret_digest": hexed(ConversationSecret::new(SECRET).digest()),
        "seal_key": hexed(generation.seal_key()),
        "join_secret": hexed(join.to_bytes()),
        "join_key": hexed(public_key(&join).as_bytes()),
        "psk": hexed(psk),
        "psk_id": hexed(psk_id),
    })
}

fn facilitator() -> Value {
    let policy = samples::policy(true);
    let vouched = &policy.facilitators[1];
    json!({
        "name": "facilitator",
        "by_seed": hexed(FOUNDER_SEED),
        "by": hexed(vouched.by.as_bytes()),
        "group_id": hexed(group_id(&log())),
        "leaf": hexed(vouched.leaf.as_bytes()),
        "manage": hexed(manage(0x18).as_bytes()),
        "signature": hexed(&vouched.signature),
    })
}

fn verdict() -> Value {
    let digest: [u8; 32] = Sha256::digest(COMMIT).into();
    let signed = VerdictBody::signed(&log(), 40, false, &digest);
    json!({
        "name": "verdict",
        "by_seed": hexed(FOUNDER_SEED),
        "log": hexed(log().as_bytes()),
        "seq": 40,
        "opens": false,
        "commit": hexed(COMMIT),
        "signed": hexed(&signed),
        "signature": hexed(founder().sign(&signed)),
    })
}

fn snapshot() -> Value {
    let (info, tree) = ([0xd0; 12], [0xd1; 12]);
    let signed = SnapshotBody::signed(&log(), 16, &info, &tree);
    json!({
        "name": "snapshot",
        "by_seed": hexed(FOUNDER_SEED),
        "log": hexed(log().as_bytes()),
        "fence": 16,
        "info": hexed(info),
        "tree": hexed(tree),
        "signed": hexed(&signed),
        "signature": hexed(founder().sign(&signed)),
    })
}

fn farewell() -> Value {
    let farewell = Farewell::of(&founder(), &log());
    json!({
        "name": "farewell",
        "leaf_seed": hexed(FOUNDER_SEED),
        "log": hexed(log().as_bytes()),
        "leaf": hexed(farewell.leaf.as_bytes()),
        "signed": hexed(Farewell::signed(&log(), &farewell.leaf)),
        "signature": hexed(&farewell.signature),
    })
}

fn commitment() -> Value {
    let (spoken, commitment) = spoken();
    let content = samples::content(ContentBody::Text("hello".into()));
    json!({
        "name": "commitment",
        "author_seed": hexed(FOUNDER_SEED),
        "log": hexed(log().as_bytes()),
        "epoch": EPOCH,
        "author": hexed(founder().id().as_bytes()),
        "opening": hexed(OPENING),
        "content": hexed(cbor::encode(&content).unwrap()),
        "commitment": hexed(commitment.as_bytes()),
        "spoken": hexed(spoken),
    })
}

fn next() -> Value {
    let key = Zeroizing::new(ROTATE_KEY);
    let boxed = box_next_under(NONCE, &key, &log(), &ConversationSecret::new(NEXT)).unwrap();
    json!({
        "name": "next",
        "rotate_key": hexed(ROTATE_KEY),
        "log": hexed(log().as_bytes()),
        "nonce": hexed(NONCE),
        "secret": hexed(NEXT),
        "next": hexed(boxed),
    })
}

/// `MLS-Exporter(label, log id, 32)` of RFC 9420, sections 8 and 8.5, as both suites have it.
pub(super) fn exported(exporter_secret: &[u8], label: &str, log: &LogId) -> [u8; 32] {
    let expand = |secret: &[u8], label: &str, context: &[u8]| -> [u8; 32] {
        let label = format!("MLS 1.0 {label}");
        let lengths = [label.len(), context.len()].map(|length| u8::try_from(length).unwrap());
        let info = [
            [0, 32].as_slice(),
            &lengths[..1],
            label.as_bytes(),
            &lengths[1..],
            context,
        ];
        let mut out = [0; 32];
        let from = hkdf::Hkdf::<Sha256>::from_prk(secret).unwrap();
        from.expand(&info.concat(), &mut out).unwrap();
        out
    };
    let derived = expand(exporter_secret, label, &[]);
    expand(&derived, "exported", &Sha256::digest(log.as_bytes()))
}

fn exporter() -> Value {
    let member = exported(&EXPORTER_SECRET, "sotto/v1/member", &log());
    json!({
        "name": "exporter",
        "log": hexed(log().as_bytes()),
        "exporter_secret": hexed(EXPORTER_SECRET),
        "member_secret": hexed(member),
        "member_key": hexed(public_key(&member.into()).as_bytes()),
        "rotate_key": hexed(exported(&EXPORTER_SECRET, "sotto/v1/rotate", &log())),
    })
}

fn address(key: &PublicKey) -> Address<'_> {
    Address {
        purpose: Purpose::Answer,
        log: &LETTER_LOG,
        key,
    }
}

/// A letter in an inbox, with the ephemeral key that 32 given bytes lead to, the same for each
/// entry (nobody else may do so).
fn letter(name: &str, letter: &[u8]) -> Value {
    let reader = public_key(&READER.into());
    let entries = write_under(address(&reader), letter, SizeClass::K1, (0x2b, IKM));
    let list = |shown: fn(&Written) -> Value| -> Value { entries.iter().map(shown).collect() };
    json!({
        "name": name,
        "log": hexed(LETTER_LOG.as_bytes()),
        "info": "sotto/v1/answer",
        "reader_secret": hexed(READER),
        "reader_key": hexed(reader.as_bytes()),
        "ephemeral_ikm": hexed(IKM),
        "ephemeral_secret": hexed(ephemeral(&IKM)),
        "letter": if letter.len() == LONG {
            json!({ "byte": "aa", "times": LONG })
        } else {
            hexed(letter)
        },
        "run": hexed([0x2b; 8]),
        "slips": list(|one| printed(&one.slip)),
        "enc": list(|one| hexed(&one.sealed[..32])),
        "sealed": list(|one| printed(&one.sealed)),
    })
}

/// The keys of an attachment, its only chunk, and the third of five (of which six are sent).
fn attachment() -> Value {
    let (secret, log) = (
        AttachmentSecret::new(ATTACHMENT_SECRET),
        samples::attachment_log(),
    );
    let keys = secret.keys(&log);
    let only = Cut::of(ATTACHED.len() as u64).unwrap().chunk(0);
    let third = Cut::of(FIVE_CHUNKS).unwrap().chunk(2);
    let sealed = |at, content: &[u8], class| keys.seal_under(NONCE, at, content, class).unwrap();
    json!({
        "name": "attachment",
        "log": hexed(log.as_bytes()),
        "secret": hexed(ATTACHMENT_SECRET),
        "chunk_key": hexed(keys.chunk_key()),
        "read_secret": hexed(keys.read_key().to_bytes()),
        "read_key": hexed(public_key(&keys.read_key()).as_bytes()),
        "nonce": hexed(NONCE),
        "bytes": hexed(ATTACHED),
        "digest": hexed(Sha256::digest(ATTACHED)),
        "only_chunk": hexed(sealed(only, ATTACHED, SizeClass::K1)),
        "third_of_five": printed(&sealed(third, &[0xaa; CHUNK_BYTES], SizeClass::K64)),
        "third_of_five_content": { "byte": "aa", "times": CHUNK_BYTES },
    })
}

/// Randomness that counts: the first string drawn is all 0x31, the second all 0x32, and so on.
fn sealed(envelope: &Envelope<'_>, floor: SizeClass) -> Vec<Vec<u8>> {
    let mut byte = 0x30;
    let mut draw = |bytes: &mut [u8]| {
        byte += 1;
        bytes.fill(byte);
        Ok(())
    };
    seal_drawing(&generation(), &log(), envelope, floor, &mut draw).unwrap()
}

fn long() -> Envelope<'static> {
    Envelope {
        body: EnvelopeBody::Message(vec![0xaa; LONG].into()),
        ..message()
    }
}

/// An item as hex, or as length and digest where it is too long to print.
pub(super) fn printed(bytes: &[u8]) -> Value {
    if bytes.len() <= 4_096 {
        hexed(bytes)
    } else {
        json!({ "length": bytes.len(), "sha256": hexed(Sha256::digest(bytes)) })
    }
}

pub(super) fn seals() -> Value {
    let entry = |name: &str, envelope: &Envelope<'_>, floor: SizeClass| {
        let entries = sealed(envelope, floor);
        let opened = |entry: &Vec<u8>| open(&generation(), &log(), entry).unwrap();
        json!({
            "name": name,
            "seal_key": hexed(generation().seal_key()),
            "log": hexed(log().as_bytes()),
            "floor": floor.bytes(),
            "envelope": printed(&cbor::encode(envelope).unwrap()),
            "packets": entries.iter().map(|one| printed(&opened(one))).collect::<Vec<_>>(),
            "nonces": entries.iter().map(|one| hexed(&one[..24])).collect::<Vec<_>>(),
            "sealed": entries.iter().map(|one| printed(one)).collect::<Vec<_>>(),
        })
    };
    let mut run = entry("run", &long(), SizeClass::K1);
    run["run"] = hexed([0x31; 8]);
    run["message"] = json!({ "byte": "aa", "times": LONG });
    json!([
        entry("small", &message(), SizeClass::K1),
        entry("floor", &message(), SizeClass::K4),
        run,
    ])
}

pub(super) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

pub(super) fn find<'a>(vectors: &'a Value, name: &str) -> &'a Value {
    let mut all = vectors.as_array().unwrap().iter();
    all.find(|vector| vector["name"] == name).unwrap()
}

/// Opens with the code what stands in the files.
pub(super) fn open_all(seals: &Value, recipes: &Value) {
    for name in ["small", "floor"] {
        let entry = bytes(&find(seals, name)["sealed"][0]);
        let packet = open(&generation(), &log(), &entry).unwrap();
        assert_eq!(
            cbor::decode(&packet),
            Ok(Packet::Whole(message())),
            "{name}"
        );
    }
    let attached = find(recipes, "attachment");
    let keys = AttachmentSecret::new(ATTACHMENT_SECRET).keys(&samples::attachment_log());
    let only = Cut::of(ATTACHED.len() as u64).unwrap().chunk(0);
    let opened = keys.open(only, ATTACHED.len(), &bytes(&attached["only_chunk"]));
    assert_eq!(opened.unwrap(), ATTACHED);
    let answer = find(recipes, "letter");
    let entry = bytes(&answer["sealed"][0]);
    let read = Letters::default().read(&READER, Purpose::Answer, &LETTER_LOG, &entry);
    assert_eq!(read, Read::Whole(bytes(&answer["letter"]).into()));
    let next = find(recipes, "next");
    let key = Zeroizing::new(bytes(&next["rotate_key"]).try_into().unwrap());
    let secret = open_next(&key, &log(), &bytes(&next["next"])).unwrap();
    assert_eq!(secret.as_bytes().to_vec(), bytes(&next["secret"]));
    for name in ["verdict", "snapshot", "farewell"] {
        let vector = find(recipes, name);
        let (signed, signature) = (bytes(&vector["signed"]), bytes(&vector["signature"]));
        assert!(founder().id().verifies(&signed, &signature), "{name}");
    }
    let said = find(recipes, "commitment");
    let commitment = <[u8; 32]>::try_from(bytes(&said["commitment"])).unwrap();
    let content = listen(
        place(&log(), founder().id()),
        &bytes(&said["spoken"]),
        &sotto_protocol::id::Commitment::new(commitment),
    )
    .unwrap();
    assert_eq!(cbor::encode(&content).unwrap(), bytes(&said["content"]));
    let gid = group_id(&log());
    let policy = samples::policy(true);
    assert!(policy.leads_from(&gid, &founder().id(), &samples::other().id()));
}
