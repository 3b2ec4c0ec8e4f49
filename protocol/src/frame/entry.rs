//! Entries, as authors send them and as readers get them.

use serde::{Deserialize, Serialize};

use super::Bytes;
use crate::id::{ChainValue, Commitment, HeldDigest, PublicKey, Stamp};

/// An entry as its author sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEntry<'a> {
    /// A second sealed part, given out only with the lease; at most
    /// [`HELD_BYTES_MAX`](crate::limits::HELD_BYTES_MAX) bytes.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Bytes<'a>>,
    /// Who proves this key may ask for the entry's `position` and `withdraw` it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PublicKey>,
    /// The sealed bytes, exactly one size class long.
    #[serde(borrow)]
    pub sealed: Bytes<'a>,
    /// The author's commitment to the content, random where there is nothing to commit to.
    pub commitment: Commitment,
    /// Whether `take` returns it but leaves it, as long as no other entry is there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub last_resort: bool,
}

impl NewEntry<'_> {
    /// A copy that borrows from nothing.
    #[must_use]
    pub fn into_owned(self) -> NewEntry<'static> {
        NewEntry {
            held: self.held.map(Bytes::into_owned),
            sealed: self.sealed.into_owned(),
            ..self
        }
    }
}

/// An entry as a reader gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry<'a> {
    /// Days since 1970-01-01, UTC, as the relay saw it; the author's own minute is sealed.
    pub day: u32,
    /// Place in the log, from 1 without gaps.
    pub seq: u64,
    /// Digest of the held part, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldDigest>,
    /// The fence number it was accepted under; the entries of one fenced run share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// The relay's stamp over log, seq, day and commitment.
    pub stamp: Stamp,
    /// The chain value before this entry, so that a reader who skips entries can go on.
    pub before: ChainValue,
    /// The sealed bytes.
    #[serde(borrow)]
    pub sealed: Bytes<'a>,
    /// Whether somebody has a live lease on it; only for holders of `claim`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub claimed: bool,
    /// The author's commitment.
    pub commitment: Commitment,
}

impl Entry<'_> {
    /// A copy that borrows from nothing.
    #[must_use]
    pub fn into_owned(self) -> Entry<'static> {
        Entry {
            sealed: self.sealed.into_owned(),
            ..self
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(super) const fn is_false(value: &bool) -> bool {
    !*value
}
