//! Frames: what travels, as types. SPEC: "Frames" and "Verbs".
//!
//! Every struct is a CBOR map with its field names as keys, every enum a map with one key (or a
//! bare text for a variant without fields). Fields stand in the order of their encoded keys,
//! shorter names first, so that encoding is deterministic without sorting; new fields keep that
//! order. Byte strings that may be large borrow from the buffer they were decoded from.

mod answer;
mod bounds;
mod entry;
mod need;
mod verb;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use answer::{
    Answer, Claimed, Created, Described, Done, Ended, Followed, FromRelay, Granted, Held, ItemDone,
    Notice, Opened, Page, Placed, Push, Refusal, Refused, Taken,
};
pub use entry::{Entry, NewEntry};
pub use verb::{
    Append, Claim, Create, Credit, Delete, Describe, Follow, Grant, Grants, Hold, Item, Lane,
    LeaseCondition, NewGrants, Open, Policy, Position, Proof, Read, Release, Renew, Request, Take,
    Trim, Unfollow, Verb, Withdraw,
};

use crate::id::{PublicKey, RelayIdentity, Signature};

/// A byte string that borrows from the buffer it was decoded from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes<'a>(#[serde(borrow, with = "serde_bytes")] pub Cow<'a, [u8]>);

impl<'a> Bytes<'a> {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// A copy that borrows from nothing.
    #[must_use]
    pub fn into_owned(self) -> Bytes<'static> {
        Bytes(Cow::Owned(self.0.into_owned()))
    }
}

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Bytes<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Cow::Owned(bytes))
    }
}

impl core::fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Bytes({} bytes)", self.0.len())
    }
}

/// One WebSocket binary message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame<'a> {
    /// Relay to client, first of all: the key of the day.
    Greeting(Greeting),
    /// Either way: a Noise handshake message, then transport messages (see [`crate::channel`]).
    /// The client's hold one [`Request`] each, the relay's one [`FromRelay`].
    #[serde(borrow)]
    Noise(Bytes<'a>),
    /// Relay to client: one entry of a followed log, the same bytes for every follower.
    #[serde(borrow)]
    Push(Push<'a>),
}

/// The relay's key of the day, signed by its identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Greeting {
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// The X25519 key that Noise and grant proofs use on this connection.
    pub key: PublicKey,
    /// Who signed; a client compares it with the one its link pins.
    pub identity: RelayIdentity,
    /// See [`crate::proof::sign_day`].
    pub signature: Signature,
}
