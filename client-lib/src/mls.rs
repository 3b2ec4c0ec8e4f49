//! The one door to OpenMLS: groups, followers and facts about Commits, as bytes and plain types.
//!
//! Nothing outside of this folder names the library. It must not decide what a Commit may do (that is
//! `policy`) nor when it counts (that is `engine`); it says what a message is and applies it when told.
//! RFC 9420; the exporter labels and the suites are in SPEC.md, "Conversation".

mod codec;
mod facts;
mod follower;
mod group;
mod kept;
#[cfg(test)]
pub(crate) mod outside;
#[cfg(test)]
pub(crate) mod passive;
mod provider;
mod reference;
#[cfg(test)]
pub(crate) mod spoil;

pub(crate) use follower::Follower;
#[cfg(test)]
pub(crate) use group::ExternalJoin;
pub(crate) use group::{Group, Incoming, Plan, StagedOut};
pub(crate) use kept::PackageKeys;
#[cfg(test)]
pub(crate) use provider::State;
pub(crate) use provider::Values;

use ed25519_dalek::{Signer as _, SigningKey};
use openmls::prelude::{Capabilities, Ciphersuite, CredentialType, ExtensionType, SignatureScheme};
use openmls_traits::signatures::{Signer, SignerError};
use serde::{Deserialize, Serialize};

/// The GroupContext extension that holds the conversation's policy; from the range for private use
/// (RFC 9420, section 17.3).
pub(crate) const POLICY_EXTENSION: u16 = 0xf050;
/// The leaf extension that holds the day (UTC, since 1970-01-01) on which its keys were made.
pub(crate) const DAY_EXTENSION: u16 = 0xf051;
/// Past epochs whose messages can still be opened; SPEC.md, "Order".
pub(crate) const PAST_EPOCHS: usize = 3;

/// Which ciphersuite a conversation uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suite {
    /// `MLS_256_XWING_CHACHA20POLY1305_SHA256_Ed25519` (0x004D): X25519 with ML-KEM-768. What is
    /// recorded today stays closed to a later quantum computer; signatures remain classical.
    #[default]
    Hybrid,
    /// `MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519` (0x0003): smaller Commits, for rooms of
    /// more than 100 and thin lines.
    Classic,
}

impl Suite {
    const fn ciphersuite(self) -> Ciphersuite {
        match self {
            Self::Hybrid => Ciphersuite::MLS_256_XWING_CHACHA20POLY1305_SHA256_Ed25519,
            Self::Classic => Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
        }
    }

    pub(crate) const fn of(ciphersuite: Ciphersuite) -> Option<Self> {
        match ciphersuite {
            Ciphersuite::MLS_256_XWING_CHACHA20POLY1305_SHA256_Ed25519 => Some(Self::Hybrid),
            Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519 => Some(Self::Classic),
            _ => None,
        }
    }
}

/// What went wrong at the door, by blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MlsError {
    /// The bytes, or what they ask, are not acceptable; whoever wrote them is to blame.
    #[error("not an acceptable message of this group")]
    Unacceptable,
    /// The group cannot do this now, for example with a Commit pending.
    #[error("the group cannot do this now")]
    State,
    /// A fault of ours or of the library.
    #[error("the group library failed")]
    Internal,
}

/// Names a leaf by its signature public key (Ed25519, 32 bytes), made for one conversation only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafId([u8; 32]);

impl LeafId {
    /// Wraps the public key's bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The public key's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Whether this leaf signed `message` (Ed25519, RFC 8032, strict).
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(&self.0) else {
            return false;
        };
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
    }
}

impl core::fmt::Debug for LeafId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("LeafId(…)")
    }
}

impl Serialize for LeafId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for LeafId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: serde_bytes::ByteArray<32> = Deserialize::deserialize(deserializer)?;
        Ok(Self(bytes.into_array()))
    }
}

/// A leaf's signature key pair, made for one conversation and erased with it.
pub(crate) struct LeafKey(SigningKey);

impl LeafKey {
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    pub(crate) fn id(&self) -> LeafId {
        LeafId(self.0.verifying_key().to_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl core::fmt::Debug for LeafKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("LeafKey(…)")
    }
}

impl Signer for LeafKey {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Who wrote a Commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// A leaf of the epoch that the Commit ends.
    Member(LeafId),
    /// Who joins by this Commit (RFC 9420, section 12.4.3.2).
    Newcomer(LeafId),
}

impl Author {
    pub(crate) const fn leaf(&self) -> LeafId {
        match self {
            Self::Member(leaf) | Self::Newcomer(leaf) => *leaf,
        }
    }
}

/// What a Commit does, as far as a policy cares; the same for members and followers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) author: Author,
    pub(crate) added: Vec<LeafId>,
    /// Leaves it removes.
    pub(crate) removed: Vec<LeafId>,
    /// Those of them that asked for it; known once the policy has judged.
    pub(crate) left: Vec<LeafId>,
    /// New bytes of the policy extension.
    pub(crate) policy: Option<Vec<u8>>,
    /// The newest day in a leaf that it brings: its author's own, and those it adds.
    pub(crate) newest_day: u32,
    /// Ids of the external PSKs it mixes in.
    pub(crate) psks: Vec<Vec<u8>>,
    /// Whether it holds a kind of proposal that no policy admits.
    pub(crate) strange: bool,
    /// Names the Commit whatever its tags, which are not signed: the same again has the same.
    pub(crate) path: [u8; 32],
    pub(crate) aad: Vec<u8>,
}

impl Facts {
    /// Whether this leaf is not in the epoch that the Commit begins, or in another way than before.
    pub(crate) fn takes_out(&self, leaf: &LeafId) -> bool {
        self.removed.contains(leaf) || self.left.contains(leaf)
    }
}

/// What every leaf is able to do.
fn capabilities() -> Capabilities {
    Capabilities::builder()
        .ciphersuites(vec![
            Suite::Hybrid.ciphersuite(),
            Suite::Classic.ciphersuite(),
        ])
        .extensions(vec![
            ExtensionType::Unknown(POLICY_EXTENSION),
            ExtensionType::Unknown(DAY_EXTENSION),
            // A KeyPackage may have no extension that its leaf does not name; every leaf names this
            // one, so that none shows which kind it came by.
            ExtensionType::LastResort,
        ])
        .credentials(vec![CredentialType::Basic])
        .build()
}

#[cfg(test)]
mod tests;
