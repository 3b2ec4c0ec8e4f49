//! The keys of a vault on disk, and how names and values are sealed under them.
//!
//! ```text
//! app's key or passphrase ──HKDF / Argon2id──> wrapping key ──seals──> root key (random, stored)
//! root key ──seals──> a random key for each space ──HKDF──> sealing key, lookup key
//! sealed = nonce (24, random) || XChaCha20-Poly1305(key, nonce, ad, plaintext)
//! ad     = "sotto/v1/vault/" || what || 0 || space id (16, or none) || name (or none)
//! lookup = first 16 bytes of HMAC-SHA-256(lookup key, name)
//! ```

use core::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Space, random};
use crate::error::{Error, ErrorKind, Result};

const NONCE_BYTES: usize = 24;
/// Argon2id for a new vault: 64 MiB and 3 passes, what RFC 9106 recommends where memory is short.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// The most that a vault's own parameters may ask: a changed file must not take the device's memory.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// And its time: ten times what is usual.
const PASSES_MAX: u32 = 32;

/// What opens a vault.
#[derive(Clone)]
#[non_exhaustive]
pub enum VaultKey {
    /// 32 random bytes that the app keeps elsewhere: a keychain, a secure element.
    Raw(Zeroizing<[u8; 32]>),
    /// A passphrase, stretched by Argon2id (64 MiB, 3 passes); opening takes a good part of a
    /// second.
    Passphrase(Zeroizing<String>),
}

impl VaultKey {
    /// 32 random bytes.
    #[must_use]
    pub fn raw(key: [u8; 32]) -> Self {
        Self::Raw(Zeroizing::new(key))
    }

    /// What a person types.
    #[must_use]
    pub fn passphrase(words: impl Into<String>) -> Self {
        Self::Passphrase(Zeroizing::new(words.into()))
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultKey(…)")
    }
}

/// How the wrapping key is made, stored in the clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stretch {
    salt: [u8; 16],
    /// Memory in KiB and passes of Argon2id; absent for a raw key.
    argon2id: Option<(u32, u32)>,
}

impl Stretch {
    pub(super) fn fresh(key: &VaultKey) -> Result<Self> {
        Ok(Self {
            salt: random()?,
            argon2id: matches!(key, VaultKey::Passphrase(_)).then_some((MEMORY_KIB, PASSES)),
        })
    }

    /// The wrapping key.
    pub(super) fn stretch(&self, key: &VaultKey) -> Result<Key> {
        let mut wrapping = Zeroizing::new([0; 32]);
        match (key, self.argon2id) {
            (VaultKey::Raw(raw), None) => {
                Hkdf::<Sha256>::new(Some(&self.salt), raw.as_ref())
                    .expand(b"sotto/v1/vault/wrap", wrapping.as_mut())
                    .map_err(|_| fault())?;
            }
            (VaultKey::Passphrase(words), Some((memory_kib, passes))) => {
                if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX {
                    return Err(damaged());
                }
                let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(|_| damaged())?;
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(words.as_bytes(), &self.salt, wrapping.as_mut())
                    .map_err(|_| fault())?;
            }
            _ => return Err(wrong_key()),
        }
        Ok(Key(wrapping))
    }
}

/// What sealed bytes are, so that none can stand in another's place.
#[derive(Clone, Copy)]
pub(super) enum What<'a> {
    Root,
    Mark,
    SpaceKey,
    Name(Space),
    Value(Space, &'a [u8]),
}

impl What<'_> {
    fn associated(self) -> Vec<u8> {
        let (label, space, name): (&[u8], &[u8], &[u8]) = match &self {
            Self::Root => (b"root", &[], &[]),
            Self::Mark => (b"mark", &[], &[]),
            Self::SpaceKey => (b"space", &[], &[]),
            Self::Name(space) => (b"name", &space.0, &[]),
            Self::Value(space, name) => (b"value", &space.0, name),
        };
        [b"sotto/v1/vault/", label, &[0], space, name].concat()
    }
}

/// A key that seals; wiped when dropped.
pub(super) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub(super) fn fresh() -> Result<Self> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn seal(&self, what: What<'_>, plain: &[u8]) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let payload = Payload {
            msg: plain,
            aad: &what.associated(),
        };
        let boxed = XChaCha20Poly1305::new(self.as_bytes().into())
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| fault())?;
        Ok([nonce.as_slice(), &boxed].concat())
    }

    /// Nothing if the bytes are not what was sealed with this key as this.
    pub(super) fn open(&self, what: What<'_>, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, boxed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: boxed,
            aad: &what.associated(),
        };
        XChaCha20Poly1305::new(self.as_bytes().into())
            .decrypt(&XNonce::from(*nonce), payload)
            .ok()
    }
}

/// A space's keys.
pub(super) struct SpaceKeys {
    pub(super) seal: Key,
    lookup: Key,
}

impl SpaceKeys {
    pub(super) fn of(space: Space, key: &Key) -> Result<Self> {
        let derive = |label: &[u8]| -> Result<Key> {
            let mut out = Zeroizing::new([0; 32]);
            Hkdf::<Sha256>::new(Some(&space.0), key.as_bytes())
                .expand(label, out.as_mut())
                .map_err(|_| fault())?;
            Ok(Key(out))
        };
        Ok(Self {
            seal: derive(b"sotto/v1/vault/space/seal")?,
            lookup: derive(b"sotto/v1/vault/space/lookup")?,
        })
    }

    /// Where a name is found without saying it.
    pub(super) fn lookup(&self, name: &[u8]) -> Result<[u8; 16]> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.lookup.as_bytes())
            .map_err(|_| fault())?;
        mac.update(name);
        let digest = mac.finalize().into_bytes();
        digest.first_chunk::<16>().copied().ok_or_else(fault)
    }
}

fn fault() -> Error {
    Error::new(ErrorKind::Internal, "the vault's keys could not be used")
}

pub(super) fn damaged() -> Error {
    Error::new(
        ErrorKind::VaultDamaged,
        "the vault's files are not what was written into them",
    )
}

pub(super) fn wrong_key() -> Error {
    Error::new(ErrorKind::VaultKey, "the key does not open this vault")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vaults_file_cannot_ask_for_more_memory_or_time_than_the_limits() {
        let stretched = |memory_kib, passes| {
            let stretch = Stretch {
                salt: [1; 16],
                argon2id: Some((memory_kib, passes)),
            };
            let key = stretch.stretch(&VaultKey::passphrase("words"));
            key.map(drop).map_err(|error| error.kind())
        };
        let damaged = Err(ErrorKind::VaultDamaged);
        assert_eq!(stretched(MEMORY_KIB_MAX + 1, 1), damaged);
        assert_eq!(stretched(u32::MAX, u32::MAX), damaged);
        assert_eq!(stretched(8, PASSES_MAX), Ok(()));
        assert_eq!(stretched(8, PASSES_MAX + 1), damaged);
        // What this version asks for itself is below.
        const { assert!(MEMORY_KIB <= MEMORY_KIB_MAX && PASSES <= PASSES_MAX) };
    }
}
