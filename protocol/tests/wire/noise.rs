//! One connection handshake with fixed keys and the first items that travel on it.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use snow::{Builder, HandshakeState, TransportState};
use sotto_protocol::channel;
use sotto_protocol::frame::{Describe, FromRelay, Notice, Request, Verb};
use sotto_protocol::id::{LogId, PublicKey};
use sotto_protocol::limits::NOISE_MESSAGE_BYTES_MAX;
use sotto_protocol::proof::NOISE_PATTERN;
use sotto_protocol::{cbor, limits};

const CLIENT_EPHEMERAL: [u8; 32] = [0x06; 32];
const RELAY_EPHEMERAL: [u8; 32] = [0x07; 32];

/// A whole exchange, byte by byte.
pub(crate) struct Transcript {
    pub(crate) ephemerals: [[u8; 32]; 2],
    pub(crate) first: Vec<u8>,
    pub(crate) second: Vec<u8>,
    pub(crate) handshake_hash: Vec<u8>,
    pub(crate) exchanged: Vec<Exchanged>,
}

/// One item and the `noise` frame's bytes it became.
pub(crate) struct Exchanged {
    pub(crate) from: &'static str,
    pub(crate) item: Long,
    pub(crate) sealed: Long,
}

/// Bytes that are too long to print stand as length and digest.
pub(crate) struct Long(pub(crate) Vec<u8>);

impl Long {
    pub(crate) fn to_json(&self) -> Value {
        let Self(bytes) = self;
        let (first, others) = bytes.split_first().unwrap();
        if bytes.len() <= 256 {
            json!({ "hex": hex::encode(bytes) })
        } else if others.iter().all(|byte| byte == first) {
            json!({ "byte": hex::encode([*first]), "times": bytes.len() })
        } else {
            json!({ "length": bytes.len(), "sha256": hex::encode(Sha256::digest(bytes)) })
        }
    }
}

impl Transcript {
    pub(crate) fn new(prologue: &[u8], day_secret: &[u8; 32], day_key: &PublicKey) -> Self {
        let builder = || {
            Builder::new(NOISE_PATTERN.parse().unwrap())
                .prologue(prologue)
                .unwrap()
        };
        let mut client = builder()
            .remote_public_key(day_key.as_bytes())
            .unwrap()
            .fixed_ephemeral_key_for_testing_only(&CLIENT_EPHEMERAL)
            .build_initiator()
            .unwrap();
        let mut relay = builder()
            .local_private_key(day_secret)
            .unwrap()
            .fixed_ephemeral_key_for_testing_only(&RELAY_EPHEMERAL)
            .build_responder()
            .unwrap();
        let first = handshake(&mut client, &mut relay);
        let second = handshake(&mut relay, &mut client);
        let handshake_hash = client.get_handshake_hash().to_vec();
        assert_eq!(relay.get_handshake_hash(), handshake_hash);
        let client = client.into_transport_mode().unwrap();
        let relay = relay.into_transport_mode().unwrap();
        Self {
            ephemerals: [CLIENT_EPHEMERAL, RELAY_EPHEMERAL],
            first,
            second,
            handshake_hash,
            exchanged: exchange(client, relay),
        }
    }
}

fn handshake(from: &mut HandshakeState, to: &mut HandshakeState) -> Vec<u8> {
    let mut message = vec![0; NOISE_MESSAGE_BYTES_MAX];
    let length = from.write_message(&[], &mut message).unwrap();
    message.truncate(length);
    let payload = to.read_message(&message, &mut [0; 64]).unwrap();
    assert_eq!(payload, 0);
    message
}

fn seal(from: &mut TransportState, item: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    for piece in channel::pieces(item) {
        let mut message = vec![0; piece.len() + 16];
        let length = from.write_message(piece, &mut message).unwrap();
        sealed.extend(&message[..length]);
    }
    sealed
}

fn open(to: &mut TransportState, sealed: &[u8]) -> Vec<u8> {
    let mut item = Vec::new();
    for message in channel::messages(sealed) {
        let mut piece = vec![0; message.len()];
        let length = to.read_message(message, &mut piece).unwrap();
        item.extend(&piece[..length]);
    }
    item
}

fn exchange(mut client: TransportState, mut relay: TransportState) -> Vec<Exchanged> {
    let request = Request {
        verb: Verb::Describe(Describe {
            log: LogId::new([0x11; 32]),
        }),
        id: 1,
        pad: None,
    };
    let request = cbor::encode(&request).unwrap();
    let notice = cbor::encode(&FromRelay::Notice(Notice::Restarting(2_500))).unwrap();
    // Not an item, only as long as one that takes three transport messages.
    let long = vec![0x08; 2 * limits::NOISE_PAYLOAD_BYTES_MAX + 1];
    let mut both = Vec::new();
    for (from, item) in [
        ("client", request.clone()),
        ("client", long),
        ("client", request),
    ] {
        let sealed = seal(&mut client, &item);
        assert_eq!(open(&mut relay, &sealed), item);
        both.push(Exchanged {
            from,
            item: Long(item),
            sealed: Long(sealed),
        });
    }
    let sealed = seal(&mut relay, &notice);
    assert_eq!(open(&mut client, &sealed), notice);
    both.push(Exchanged {
        from: "relay",
        item: Long(notice),
        sealed: Long(sealed),
    });
    both
}
