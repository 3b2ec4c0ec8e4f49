//! What badges are on the wire, from keys that are given, for golden vectors.

use super::*;
use crate::desk::badge::batch::{BadgeBatch, BadgeRequests, Issued, RevokedList};

/// The seed of the organisation's key.
pub(crate) const ORGANISATION: [u8; 32] = [0x31; 32];
/// The seeds of two badges' keys.
pub(crate) const BADGES: [[u8; 32]; 2] = [[0x32; 32], [0x33; 32]];
/// A Sunday.
const DAY: u32 = 20_065;

fn organisation() -> OrganisationKey {
    OrganisationKey::from_seed(&ORGANISATION)
}

fn key(seed: &[u8; 32]) -> BadgeId {
    BadgeId(LeafKey::from_seed(seed).id())
}

fn body(seed: &[u8; 32]) -> BadgeBody {
    let one = |text: &str| vec![text.to_owned()];
    let of = BadgeAttributes {
        role: "listener".into(),
        training: Vec::new(),
        languages: one("en"),
        been_there: one("widowed"),
    };
    BadgeBody {
        of,
        day: DAY,
        key: key(seed),
    }
}

fn signed_badge(seed: &[u8; 32]) -> SignedBadge {
    SignedBadge::sign(&organisation(), &body(seed)).unwrap()
}

/// What the first badge's signature is over, but for the label and the hash.
pub(crate) fn said() -> Vec<u8> {
    cbor::encode(&body(&BADGES[0])).unwrap()
}

pub(crate) fn takes_said(bytes: &[u8]) -> bool {
    cbor::decode::<BadgeBody>(bytes).is_ok()
}

/// The first badge, at this leaf.
pub(crate) fn shown(log: &LogId, leaf: &LeafId) -> ShownBadge {
    let [seed, _] = BADGES;
    let signed = signed_badge(&seed);
    HeldBadge { seed, signed }.show(log, leaf)
}

pub(crate) fn revocation() -> Revocation {
    Revocation::new(&organisation(), key(&BADGES[0]))
}

pub(crate) fn requests() -> BadgeRequests {
    let keys: Vec<_> = BADGES.iter().map(key).collect();
    cbor::decode(&cbor::encode(&keys).unwrap()).unwrap()
}

pub(crate) fn batch() -> BadgeBatch {
    let signed: Vec<_> = BADGES.iter().map(signed_badge).collect();
    cbor::decode(&cbor::encode(&signed).unwrap()).unwrap()
}

pub(crate) fn list() -> RevokedList {
    let issued = BADGES.map(|seed| Issued {
        id: key(&seed),
        day: DAY,
    });
    let now_ms = u64::from(DAY) * DAY_MS;
    RevokedList::next(&organisation(), None, issued, now_ms).unwrap()
}
