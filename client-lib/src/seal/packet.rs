//! What is inside of the box: an envelope, whole or in parts. SPEC.md, "Envelope".

use serde::{Deserialize, Serialize};
use sotto_protocol::frame::Bytes;
use sotto_protocol::id::{ChainValue, LogId, Signature};

use crate::mls::{LeafId, LeafKey};

/// The content of one sealed entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Packet<'a> {
    #[serde(borrow)]
    Part(Part<'a>),
    #[serde(borrow)]
    Whole(Envelope<'a>),
}

/// One of the adjacent entries of a run that together carry an encoded [`Envelope`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part<'a> {
    /// The same random bytes in every part of the run.
    pub(crate) run: RunId,
    #[serde(borrow)]
    pub(crate) bytes: Bytes<'a>,
    pub(crate) count: u16,
    /// From 0.
    pub(crate) index: u16,
}

/// Marks the parts of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RunId(#[serde(with = "serde_bytes")] [u8; 8]);

impl From<[u8; 8]> for RunId {
    fn from(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }
}

/// A message with what its author last saw of the log, so that readers notice forks and holes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Envelope<'a> {
    #[serde(borrow)]
    pub(crate) body: EnvelopeBody<'a>,
    pub(crate) seen: Seen,
}

/// What an author last saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    pub(crate) seq: u64,
    pub(crate) chain: ChainValue,
    pub(crate) epoch: u64,
    /// The first 8 bytes of the epoch authenticator, as a big-endian number.
    pub(crate) authenticator: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            seq: 0,
            chain: ChainValue::new([0; 32]),
            epoch: 0,
            authenticator: 0,
        }
    }
}

/// The kinds of message. All MLS objects are `MLSMessage` bytes (RFC 9420, section 6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EnvelopeBody<'a> {
    /// A KeyPackage of who lost too many races, see SPEC.md, "Waiting".
    #[serde(borrow)]
    Waiting(Bytes<'a>),
    /// A Commit.
    #[serde(borrow)]
    Commit(CommitBody<'a>),
    /// An application message (PrivateMessage).
    #[serde(borrow)]
    Message(Bytes<'a>),
    /// Whether a Commit opens, see SPEC.md, "Disputes"; only in a fenced entry.
    Verdict(VerdictBody),
    /// A leaf asks to be let go.
    Farewell(Farewell),
    /// Where newcomers start.
    #[serde(borrow)]
    Snapshot(SnapshotBody<'a>),
}

/// A Commit with what others need of the epoch it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommitBody<'a> {
    /// GroupInfo of the new epoch without its tree; absent in a rotation, whose snapshot has it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) info: Option<Bytes<'a>>,
    /// In a rotation: nonce (24) and XChaCha20-Poly1305 box of the next secret under the new epoch's
    /// rotate key.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<Bytes<'a>>,
    /// The PublicMessage.
    #[serde(borrow)]
    pub(crate) commit: Bytes<'a>,
    /// Of the hosts that it adds under another leaf.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) returns: Vec<Return>,
    /// For those it takes in who waited, see SPEC.md, "Waiting".
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) welcome: Option<Bytes<'a>>,
    /// Of the leaves that it lets go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) farewells: Vec<Farewell>,
}

/// A leaf says which new one is its owner's: their device lost the group, and they come in anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Return {
    pub(crate) was: LeafId,
    pub(crate) leaf: LeafId,
    /// Ed25519 by `was` over `"sotto/v1/was" || log id (32) || leaf (32)`.
    pub(crate) signature: Signature,
}

impl Return {
    pub(crate) fn of(was: &LeafKey, log: &LogId, leaf: LeafId) -> Self {
        let signed = Self::signed(log, &leaf);
        Self {
            was: was.id(),
            leaf,
            signature: Signature::new(was.sign(&signed)),
        }
    }

    pub(crate) fn holds(&self, log: &LogId) -> bool {
        let signed = Self::signed(log, &self.leaf);
        self.was.verifies(&signed, self.signature.as_bytes())
    }

    fn signed(log: &LogId, leaf: &LeafId) -> Vec<u8> {
        [b"sotto/v1/was".as_slice(), log.as_bytes(), leaf.as_bytes()].concat()
    }
}

/// A leaf's wish to be gone. It names no epoch, so that no Commit which comes first can void it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Farewell {
    pub(crate) leaf: LeafId,
    /// Ed25519 by the leaf over `"sotto/v1/farewell" || log id (32) || leaf (32)`.
    #[serde(with = "serde_bytes")]
    pub(crate) signature: Vec<u8>,
}

impl Farewell {
    pub(crate) fn signed(log: &LogId, leaf: &LeafId) -> Vec<u8> {
        [
            b"sotto/v1/farewell".as_slice(),
            log.as_bytes(),
            leaf.as_bytes(),
        ]
        .concat()
    }

    pub(crate) fn of(key: &LeafKey, log: &LogId) -> Self {
        let leaf = key.id();
        let signature = key.sign(&Self::signed(log, &leaf)).to_vec();
        Self { leaf, signature }
    }

    pub(crate) fn holds(&self, log: &LogId) -> bool {
        self.leaf
            .verifies(&Self::signed(log, &self.leaf), &self.signature)
    }
}

/// A leaf says whether it can open a Commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerdictBody {
    /// The leaf.
    pub(crate) by: LeafId,
    /// Sequence number of the Commit's first entry.
    pub(crate) seq: u64,
    pub(crate) opens: bool,
    /// Ed25519 by the leaf, see [`VerdictBody::signed`].
    #[serde(with = "serde_bytes")]
    pub(crate) signature: Vec<u8>,
}

impl VerdictBody {
    /// `"sotto/v1/verdict" || log id (32) || seq (8) || opens (1) || SHA-256(Commit) (32)`.
    pub(crate) fn signed(log: &LogId, seq: u64, opens: bool, commit: &[u8; 32]) -> Vec<u8> {
        let mut message = b"sotto/v1/verdict".to_vec();
        message.extend_from_slice(log.as_bytes());
        message.extend_from_slice(&seq.to_be_bytes());
        message.push(u8::from(opens));
        message.extend_from_slice(commit);
        message
    }
}

/// A group as it stands after a fence number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotBody<'a> {
    /// Who made it.
    pub(crate) by: LeafId,
    /// GroupInfo without its tree.
    #[serde(borrow)]
    pub(crate) info: Bytes<'a>,
    /// `ratchet_tree` (RFC 9420, section 12.4.3.3).
    #[serde(borrow)]
    pub(crate) tree: Bytes<'a>,
    /// Fenced entries below this number are in it; a reader goes on with this one.
    pub(crate) fence: u64,
    /// Ed25519 by the maker's leaf, see [`SnapshotBody::signed`].
    #[serde(with = "serde_bytes")]
    pub(crate) signature: Vec<u8>,
}

impl SnapshotBody<'_> {
    /// `"sotto/v1/snapshot" || log id (32) || fence (8) || SHA-256(info) || SHA-256(tree)`.
    pub(crate) fn signed(log: &LogId, fence: u64, info: &[u8], tree: &[u8]) -> Vec<u8> {
        use sha2::{Digest, Sha256};
        let mut message = b"sotto/v1/snapshot".to_vec();
        message.extend_from_slice(log.as_bytes());
        message.extend_from_slice(&fence.to_be_bytes());
        message.extend_from_slice(&Sha256::digest(info));
        message.extend_from_slice(&Sha256::digest(tree));
        message
    }
}
