//! A desk's address, and what follows from it: its fingerprint, the words on a poster, and the keys
//! of the log that holds its card. SPEC.md, "Desks".
//!
//! ```text
//! fingerprint = first 10 bytes of SHA-256("sotto/v1/desk" || organisation key (32) || desk (1))
//! words       = the eight words of fingerprint, with the checksum's label "sotto/v1/desk-words"
//! master      = Argon2id(password = fingerprint (10), salt = "sotto/v1/desk",
//!                        64 MiB, 3 passes, 1 lane, version 0x13, 32 bytes)
//! PRK         = HKDF-Extract-SHA-256(salt = "sotto/v1/desk", ikm = master)
//! root, read, seal key = HKDF-Expand-SHA-256(PRK, "root" / "read" / "seal", 32)
//! ```
//!
//! So a link, a QR code and eight words lead to one log, paper outlives every rotation of what the
//! card says, and a relay that has seen no poster reads nothing.

use core::fmt;
use core::str::FromStr;

#[cfg(feature = "native")]
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sotto_protocol::frame::{Grant, Policy};
use sotto_protocol::id::{LogId, PublicKey};
use sotto_protocol::limits::TTL_DAYS_MAX;
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::link::{BadLink, RelayAddress, checked, read_link, write_link};
use crate::mls::{LeafId, LeafKey};
use crate::people::words::{BadWords, ENTROPY_BYTES, WORDS, spell, unspell};
use crate::seal::derive::Source;

const PREFIX: &str = "sotto-desk:1:";
const ORGANISATION_PREFIX: &str = "sotto-organisation:1:";
const KEY_PREFIX: &str = "sotto-organisation-key:1:";
/// What the fingerprint is drawn under, and the salt of what is drawn from it.
const LABEL: &[u8] = b"sotto/v1/desk";
/// The label of a poster's words.
const WORDS_LABEL: &[u8] = b"sotto/v1/desk-words";
/// Argon2id's memory, as for return words.
#[cfg(feature = "native")]
const MEMORY_KIB: u32 = 64 * 1024;
#[cfg(feature = "native")]
const PASSES: u32 = 3;
/// Bytes of a card's log: the last card, the next one, and room.
const LOG_BYTES_MAX: u64 = 262_144;

/// The public key (Ed25519) of the organisation that runs a desk and vouches for who answers there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrganisationId(LeafId);

impl OrganisationId {
    /// Wraps the public key's bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(LeafId::new(bytes))
    }

    /// The public key's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether the organisation signed `message` (Ed25519, RFC 8032, strict).
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verifies(message, signature)
    }
}

impl fmt::Debug for OrganisationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrganisationId(…)")
    }
}

/// For a screen, a file or a mail: `sotto-organisation:1:…`.
impl fmt::Display for OrganisationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_link(f, ORGANISATION_PREFIX, self)
    }
}

impl FromStr for OrganisationId {
    type Err = BadLink;

    fn from_str(text: &str) -> core::result::Result<Self, BadLink> {
        read_link(ORGANISATION_PREFIX, text)
    }
}

/// The secret key of an organisation: it signs cards of desks, and badges. Whoever has it is the
/// organisation.
pub struct OrganisationKey {
    key: LeafKey,
    seed: Zeroizing<[u8; 32]>,
}

impl OrganisationKey {
    /// A fresh one.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal): the system gives no randomness.
    pub fn random() -> Result<Self> {
        let what = "the system gave no randomness";
        let fault = |_| Error::new(ErrorKind::Internal, what);
        let seed = crate::random::array().map_err(fault)?;
        Ok(Self::from_seed(&seed))
    }

    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            key: LeafKey::from_seed(seed),
            seed: Zeroizing::new(*seed),
        }
    }

    pub(crate) fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.seed.clone()
    }

    /// What everybody may know of it.
    #[must_use]
    pub fn id(&self) -> OrganisationId {
        OrganisationId(self.key.id())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message)
    }

    /// The key itself, for a file that nobody else reads: `sotto-organisation-key:1:…`.
    #[must_use]
    pub fn secret_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "{KEY_PREFIX}{}",
            URL_SAFE_NO_PAD.encode(self.seed.as_ref())
        ))
    }
}

/// What [`OrganisationKey::secret_text`] wrote.
impl FromStr for OrganisationKey {
    type Err = BadLink;

    fn from_str(text: &str) -> core::result::Result<Self, BadLink> {
        let body = text.trim().strip_prefix(KEY_PREFIX).ok_or(BadLink)?;
        let mut seed = Zeroizing::new([0; 32]);
        match URL_SAFE_NO_PAD.decode_slice(body, seed.as_mut()) {
            Ok(32) => Ok(Self::from_seed(&seed)),
            _ => Err(BadLink),
        }
    }
}

impl fmt::Debug for OrganisationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrganisationKey(…)")
    }
}

/// What names a desk for good: its organisation and its number there, in 80 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct DeskFingerprint(#[serde(with = "serde_bytes")] [u8; ENTROPY_BYTES]);

impl DeskFingerprint {
    pub(crate) fn of(organisation: &OrganisationId, desk: u8) -> Self {
        let mut hash = Sha256::new();
        hash.update(LABEL);
        hash.update(organisation.as_bytes());
        hash.update([desk]);
        let digest: [u8; 32] = hash.finalize().into();
        let first = digest.first_chunk::<ENTROPY_BYTES>();
        Self(first.copied().unwrap_or_default())
    }

    #[cfg(test)]
    pub(crate) const fn as_bytes(&self) -> &[u8; ENTROPY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for DeskFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeskFingerprint(…)")
    }
}

/// Eight words on a poster: with the name of a relay they lead to a desk. They are no secret of a
/// person: whoever reads the poster has them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeskWords(pub(crate) DeskFingerprint);

impl DeskWords {
    /// The words, in their order.
    #[must_use]
    pub fn words(&self) -> [&'static str; WORDS] {
        spell(WORDS_LABEL, &self.0.0)
    }
}

impl fmt::Display for DeskWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

impl fmt::Debug for DeskWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeskWords(…)")
    }
}

/// As people type words off a poster; a mistake is named as for
/// [`ReturnWords`](crate::ReturnWords).
impl FromStr for DeskWords {
    type Err = BadWords;

    fn from_str(text: &str) -> core::result::Result<Self, BadWords> {
        unspell(WORDS_LABEL, text).map(|bits| Self(DeskFingerprint(*bits)))
    }
}

/// The address of a desk, for a link or a QR code: everybody may have it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskAddress {
    /// Which of the organisation's desks.
    pub(crate) desk: u8,
    pub(crate) relay: RelayAddress,
    pub(crate) organisation: OrganisationId,
}

impl DeskAddress {
    /// The address of this desk of an organisation, on this relay.
    #[must_use]
    pub const fn new(relay: RelayAddress, organisation: OrganisationId, desk: u8) -> Self {
        Self {
            desk,
            relay,
            organisation,
        }
    }

    /// Where the desk's relay is.
    #[must_use]
    pub const fn relay(&self) -> &RelayAddress {
        &self.relay
    }

    /// Whose desk it is.
    #[must_use]
    pub const fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }

    /// Which of the organisation's desks.
    #[must_use]
    pub const fn desk(&self) -> u8 {
        self.desk
    }

    /// The words of a poster, which name the same desk.
    #[must_use]
    pub fn words(&self) -> DeskWords {
        DeskWords(self.fingerprint())
    }

    pub(crate) fn fingerprint(&self) -> DeskFingerprint {
        DeskFingerprint::of(&self.organisation, self.desk)
    }
}

impl fmt::Debug for DeskAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeskAddress(…)")
    }
}

impl fmt::Display for DeskAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_link(f, PREFIX, self)
    }
}

impl FromStr for DeskAddress {
    type Err = BadLink;

    fn from_str(text: &str) -> core::result::Result<Self, BadLink> {
        let address: Self = read_link(PREFIX, text)?;
        checked(&address.relay).map(|()| address)
    }
}

/// What a desk's fingerprint gives: the log of its card, and what reads it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardKeys {
    pub(crate) log: LogId,
    /// Secret grant key that reads.
    #[serde(with = "serde_bytes")]
    pub(crate) read: [u8; 32],
    /// Secret key of the log's root.
    #[serde(with = "serde_bytes")]
    pub(crate) root: [u8; 32],
    /// What cards are sealed under.
    #[serde(with = "serde_bytes")]
    pub(crate) seal: [u8; 32],
    /// Whose they are.
    pub(crate) fingerprint: DeskFingerprint,
}

impl fmt::Debug for CardKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardKeys(…)")
    }
}

impl CardKeys {
    /// Takes 64 MiB and a good part of a second.
    #[cfg(feature = "native")]
    pub(crate) fn of(fingerprint: DeskFingerprint) -> Result<Self> {
        let master = Self::master_of(fingerprint)?;
        Ok(Self::of_master(fingerprint, &master))
    }

    #[cfg(feature = "native")]
    pub(crate) fn master_of(fingerprint: DeskFingerprint) -> Result<Zeroizing<[u8; 32]>> {
        let what = "a desk's address could not be stretched";
        let fault = || Error::new(ErrorKind::Internal, what);
        let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(|_| fault())?;
        let mut master = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&fingerprint.0, LABEL, master.as_mut())
            .map_err(|_| fault())?;
        Ok(master)
    }

    pub(crate) fn of_master(fingerprint: DeskFingerprint, master: &[u8; 32]) -> Self {
        let source = Source::new(LABEL, master);
        let key = |label: &[u8]| *source.key(label, &[]);
        let root = key(b"root");
        Self {
            log: LogId::of_root(&public_key(&StaticSecret::from(root))),
            read: key(b"read"),
            root,
            seal: key(b"seal"),
            fingerprint,
        }
    }

    /// The first grants of the log: whoever has the address reads, and the desk's team, which has
    /// the secret half of `manage`, writes the next card and drops the last one.
    pub(crate) fn grants(&self, manage: PublicKey) -> Vec<Grant> {
        let grant = |key, rights| Grant {
            key,
            ends: None,
            rate: None,
            work: None,
            rights,
            until_seq: None,
        };
        let read = public_key(&StaticSecret::from(self.read));
        vec![grant(read, Rights::READ), grant(manage, MANAGE_RIGHTS)]
    }

    /// The log's policy: the last card stays as long as a relay keeps anything.
    pub(crate) const fn policy() -> Policy {
        Policy {
            ttl_days: TTL_DAYS_MAX,
            bytes_max: LOG_BYTES_MAX,
            admit_rights: Rights::NONE,
            ttl_fenced_days: TTL_DAYS_MAX,
        }
    }
}

/// What the desk's team may do with the log of its card.
const MANAGE_RIGHTS: Rights = Rights::READ
    .union(Rights::APPEND)
    .union(Rights::TRIM)
    .union(Rights::MANAGE);
