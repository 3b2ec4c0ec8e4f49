//! One value of every variant of every frame, with and without its optional fields.

mod answers;
mod requests;

use sotto_protocol::cbor::{self, DecodeError};
use sotto_protocol::frame::{Bytes, Entry, Frame, FromRelay, Greeting, NewEntry, Push, Request};
use sotto_protocol::id::{
    ChainValue, Commitment, HeldDigest, LogId, PublicKey, RelayIdentity, RetryId, Signature, Stamp,
    Tag,
};

/// The day of all samples: 2026-11-23.
pub(crate) const DAY: u32 = 20_780;

/// A top-level item of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wire<'a> {
    Frame(Frame<'a>),
    Request(Request<'a>),
    FromRelay(FromRelay<'a>),
}

/// Which of the three an item is; also the name of its CDDL rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Frame,
    Request,
    FromRelay,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Frame, Self::Request, Self::FromRelay];

    pub(crate) const fn rule(self) -> &'static str {
        match self {
            Self::Frame => "Frame",
            Self::Request => "Request",
            Self::FromRelay => "FromRelay",
        }
    }

    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Frame => "frame.json",
            Self::Request => "request.json",
            Self::FromRelay => "from-relay.json",
        }
    }

    pub(crate) fn decode(self, bytes: &[u8]) -> Result<Wire<'_>, DecodeError> {
        match self {
            Self::Frame => cbor::decode(bytes).map(Wire::Frame),
            Self::Request => cbor::decode(bytes).map(Wire::Request),
            Self::FromRelay => cbor::decode(bytes).map(Wire::FromRelay),
        }
    }
}

impl Wire<'_> {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Frame(_) => Kind::Frame,
            Self::Request(_) => Kind::Request,
            Self::FromRelay(_) => Kind::FromRelay,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Frame(frame) => cbor::encode(frame),
            Self::Request(request) => cbor::encode(request),
            Self::FromRelay(item) => cbor::encode(item),
        }
        .unwrap()
    }
}

/// A named value.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) value: Wire<'static>,
}

/// All of them.
pub(crate) fn all() -> Vec<Sample> {
    let frames = frames().map(|(name, frame)| (name.to_owned(), Wire::Frame(frame)));
    let requests = requests::all()
        .into_iter()
        .map(|(name, request)| (name, Wire::Request(request)));
    let answers = answers::all()
        .into_iter()
        .map(|(name, item)| (name, Wire::FromRelay(item)));
    frames
        .chain(requests)
        .chain(answers)
        .map(|(name, value)| Sample { name, value })
        .collect()
}

fn frames() -> impl Iterator<Item = (&'static str, Frame<'static>)> {
    [
        (
            "greeting",
            Frame::Greeting(Greeting {
                day: DAY,
                key: PublicKey::new([0x61; 32]),
                identity: RelayIdentity::new([0x62; 32]),
                signature: Signature::new([0x63; 64]),
            }),
        ),
        ("noise", Frame::Noise(vec![0x64; 48].into())),
        (
            "push",
            Frame::Push(Push {
                tag: Tag::new([0x65; 8]),
                entry: entry(7),
            }),
        ),
        (
            "push, fenced, held",
            Frame::Push(Push {
                tag: Tag::new([0x65; 8]),
                entry: full_entry(8, false),
            }),
        ),
    ]
    .into_iter()
}

fn log() -> LogId {
    LogId::new([0x11; 32])
}

fn key(byte: u8) -> PublicKey {
    PublicKey::new([byte; 32])
}

fn retry() -> RetryId {
    RetryId::new([0x22; 16])
}

fn chain() -> ChainValue {
    ChainValue::new([0x33; 32])
}

fn sealed(length: usize) -> Bytes<'static> {
    vec![0x5a; length].into()
}

fn new_entry() -> NewEntry<'static> {
    NewEntry {
        held: None,
        owner: None,
        sealed: sealed(1024),
        last_resort: false,
        commitment: Commitment::new([0x44; 32]),
    }
}

fn entry(seq: u64) -> Entry<'static> {
    Entry {
        day: DAY,
        seq,
        held: None,
        fence: None,
        stamp: Stamp::new([0x55; 20]),
        before: chain(),
        sealed: sealed(1024),
        claimed: false,
        commitment: Commitment::new([0x44; 32]),
    }
}

fn full_entry(seq: u64, claimed: bool) -> Entry<'static> {
    Entry {
        held: Some(HeldDigest::new([0x66; 32])),
        fence: Some(3),
        claimed,
        ..entry(seq)
    }
}
