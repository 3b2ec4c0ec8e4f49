//! The conversation's secret, new with each rotation, and all that is derived from it.
//! SPEC.md, "Secrets".

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sotto_protocol::id::LogId;
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::derive::Source;
use crate::random;

/// `L`: 32 random bytes. Whoever has them can open the outer box and, where the policy admits
/// joins by link, join; nobody can open a word with them.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ConversationSecret(#[serde(with = "serde_bytes")] [u8; 32]);

impl core::fmt::Debug for ConversationSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ConversationSecret(…)")
    }
}

impl ConversationSecret {
    pub(crate) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn random() -> Result<Self, random::NoRandomness> {
        random::array().map(Self)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a Commit's author signs to bind the secret that follows it.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"sotto/v1/secret-digest");
        hash.update(self.0);
        hash.finalize().into()
    }

    /// Everything derived from it for one log.
    pub(crate) fn generation(&self, log: &LogId) -> Generation {
        let source = Source::new(b"sotto/v1/secret", &self.0);
        let expand = |label: &[u8]| source.key(label, log.as_bytes());
        let psk = expand(b"psk");
        let mut hash = Sha256::new();
        hash.update(b"sotto/v1/psk-id");
        hash.update(psk.as_slice());
        let digest = hash.finalize();
        let mut psk_id = b"sotto/v1/psk".to_vec();
        psk_id.extend(digest.iter().take(16));
        Generation {
            seal_key: expand(b"seal"),
            join_key: expand(b"join"),
            psk,
            psk_id,
        }
    }
}

/// The keys of one rotation.
pub(crate) struct Generation {
    seal_key: Zeroizing<[u8; 32]>,
    join_key: Zeroizing<[u8; 32]>,
    psk: Zeroizing<[u8; 32]>,
    psk_id: Vec<u8>,
}

impl core::fmt::Debug for Generation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Generation(…)")
    }
}

impl Generation {
    pub(crate) fn seal_key(&self) -> &[u8; 32] {
        &self.seal_key
    }

    /// The grant key of who joins by link.
    pub(crate) fn join_key(&self) -> StaticSecret {
        StaticSecret::from(*self.join_key)
    }

    pub(crate) fn psk(&self) -> (&[u8], &[u8; 32]) {
        (&self.psk_id, &self.psk)
    }
}
