//! Badges: what an organisation says of somebody who supports, without saying who it is. SPEC.md,
//! "Badges".
//!
//! ```text
//! badge      = CBOR { of, day, key }
//! signature  = Ed25519(organisation, "sotto/v1/badge" || SHA-256(badge))
//! shown      = Ed25519(badge key, "sotto/v1/show" || log id (32) || leaf (32))
//! revocation = Ed25519(organisation, "sotto/v1/revoked" || badge key (32))
//! notice     = first 16 bytes of SHA-256("sotto/v1/notice" || badge key (32))
//! list       = CBOR { notices, minute }
//! signature  = Ed25519(organisation, "sotto/v1/revoked-list" || SHA-256(list))
//! ```
//!
//! A badge is for one conversation: its key is fresh, nobody but its holder can show it, and only at
//! the leaf that it was shown with. Two badges of one person share the attributes and no more, so they
//! are no more alike than those of two people with the same attributes.

mod batch;

use core::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sotto_protocol::cbor;
use sotto_protocol::id::{LogId, Signature};

use super::address::{OrganisationId, OrganisationKey};
use crate::mls::{LeafId, LeafKey};
use crate::time::DAY_MS;

pub(crate) use batch::Wallet;
pub use batch::{
    BADGE_BATCH_MAX, BADGES_KEPT_MAX, BadBatch, BadgeBatch, BadgeList, BadgeRequests, Issued,
    NotIssued, REVOKED_MAX, RevokedList,
};

/// Bytes of the longest attribute: a card's longest topic.
pub const BADGE_ATTRIBUTE_BYTES_MAX: usize = super::DESK_TOPIC_BYTES_MAX;
/// Attributes of one kind: a set that nobody else has is a fingerprint, so it stays small.
pub const BADGE_ATTRIBUTES_MAX: usize = 8;
/// Days from now to the last one on which a badge may be good. Who is not to be trusted any more is
/// not renewed, which is of use only if nothing is good for long.
pub const BADGE_DAYS_MAX: u32 = 14;
/// For so long an organisation's last word on what it revoked counts; then one cannot check.
const CHECKED_MS: u64 = DAY_MS;
/// Bytes of the longest badge with its signature: every list full of the longest attributes fits.
const BADGE_BYTES_MAX: usize = 2_048;

/// What an organisation says of a supporter: from a short list, and never a name.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadgeAttributes {
    /// What they do here, such as `listener`.
    pub role: String,
    /// What they were trained for.
    pub training: Vec<String>,
    /// The languages they speak.
    pub languages: Vec<String>,
    /// What they have been through themselves.
    pub been_there: Vec<String>,
}

impl BadgeAttributes {
    fn is_fit(&self) -> bool {
        let few = |list: &[String]| {
            list.len() <= BADGE_ATTRIBUTES_MAX && list.iter().all(|one| attribute_is_fit(one))
        };
        attribute_is_fit(&self.role)
            && few(&self.training)
            && few(&self.languages)
            && few(&self.been_there)
    }
}

fn attribute_is_fit(text: &str) -> bool {
    let is_trick = |c: char| c.is_control() || crate::content::misleads(c);
    !text.trim().is_empty()
        && text.len() <= BADGE_ATTRIBUTE_BYTES_MAX
        && !text.chars().any(is_trick)
}

/// Names a badge: the public key (Ed25519) that it is about, made for one conversation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BadgeId(LeafId);

impl BadgeId {
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

    /// What stands for it in a list of revoked ones: only who knows the badge recognises it.
    fn notice(&self) -> Notice {
        let mut hash = Sha256::new();
        hash.update(b"sotto/v1/notice");
        hash.update(self.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        Notice(digest.first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Debug for BadgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BadgeId(…)")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
struct Notice(#[serde(with = "serde_bytes")] [u8; 16]);

/// What the organisation signs. The fields stand so that between two random strings there is little
/// that all badges of a week have in common.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BadgeBody {
    of: BadgeAttributes,
    /// The last day (UTC) on which it is good: a Sunday, so that it tells nothing of when it was made.
    day: u32,
    key: BadgeId,
}

/// A badge as its organisation signed it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedBadge {
    #[serde(with = "serde_bytes")]
    badge: Vec<u8>,
    signature: Signature,
}

/// A badge in a conversation: nobody else can show it, and at no other leaf.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShownBadge {
    #[serde(with = "serde_bytes")]
    badge: Vec<u8>,
    shown: Signature,
    signature: Signature,
}

/// An organisation takes a badge back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    pub(crate) key: BadgeId,
    signature: Signature,
}

/// A badge and the secret that shows it: on its holder's device only, and for one conversation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBadge {
    #[serde(with = "serde_bytes")]
    seed: [u8; 32],
    signed: SignedBadge,
}

macro_rules! debug_says_no_more {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}
debug_says_no_more!(
    BadgeAttributes,
    BadgeBody,
    Known,
    SignedBadge,
    ShownBadge,
    Revocation,
    HeldBadge
);

/// What a badge is worth now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadgeState {
    /// The organisation vouches for it, and did not take it back as far as it said within a day.
    Valid,
    /// Its week is over.
    Expired,
    /// The organisation took it back, or an earlier one that was shown at this place.
    Revoked,
    /// The organisation signed it, but for more than a day nothing was heard of what it revoked.
    CannotCheck,
}

/// A member's badge, as it is shown to the person.
#[derive(Clone, PartialEq, Eq)]
pub struct Badge {
    /// Names it, for taking it back.
    pub id: BadgeId,
    /// Who vouches.
    pub organisation: OrganisationId,
    /// For what.
    pub attributes: BadgeAttributes,
    /// The last day (UTC, since 1970-01-01) on which it is good.
    pub day: u32,
    /// What it is worth now.
    pub state: BadgeState,
}

impl fmt::Debug for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Badge")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Why what was shown is no badge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoBadge {
    /// It keeps to no form, or to no limit.
    #[error("this is not a badge")]
    Nonsense,
    /// None of the organisations that are trusted here signed it.
    #[error("no organisation that is trusted here signed it")]
    Foreign,
    /// It was not shown by its holder, here, at this leaf.
    #[error("it is somebody else's badge")]
    Stolen,
}

impl SignedBadge {
    fn sign(organisation: &OrganisationKey, body: &BadgeBody) -> Option<Self> {
        let badge = cbor::encode(body).ok()?;
        let signature = Signature::new(organisation.sign(&signed(b"sotto/v1/badge", &badge)));
        Some(Self { badge, signature })
    }

    /// What it says, whoever signed it.
    fn body(&self) -> Option<BadgeBody> {
        if self.badge.len() > BADGE_BYTES_MAX {
            return None;
        }
        let body: BadgeBody = cbor::decode(&self.badge).ok()?;
        (body.of.is_fit() && is_sunday(body.day)).then_some(body)
    }

    fn is_signed_by(&self, organisation: &OrganisationId) -> bool {
        let message = signed(b"sotto/v1/badge", &self.badge);
        organisation.verifies(&message, self.signature.as_bytes())
    }
}

impl HeldBadge {
    /// As it is shown at this leaf of this conversation.
    pub(crate) fn show(&self, log: &LogId, leaf: &LeafId) -> ShownBadge {
        let key = LeafKey::from_seed(&self.seed);
        ShownBadge {
            badge: self.signed.badge.clone(),
            shown: Signature::new(key.sign(&shown(log, leaf))),
            signature: self.signed.signature,
        }
    }

    /// What it says of its holder, and the last day on which it is good.
    #[must_use]
    pub fn says(&self) -> Option<(BadgeAttributes, u32)> {
        self.signed.body().map(|body| (body.of, body.day))
    }
}

impl ShownBadge {
    /// Whether it is short enough to be looked at.
    pub(crate) const fn is_within_limits(&self) -> bool {
        let length = self.badge.len();
        length > 0 && length <= BADGE_BYTES_MAX
    }

    /// What it says, if one of these organisations vouches for who shows it at this leaf.
    pub(crate) fn read(
        &self,
        trusted: &[OrganisationId],
        log: &LogId,
        leaf: &LeafId,
    ) -> Result<Known, NoBadge> {
        let signed = SignedBadge {
            badge: self.badge.clone(),
            signature: self.signature,
        };
        let body = signed.body().ok_or(NoBadge::Nonsense)?;
        let key = body.key;
        if !key.0.verifies(&shown(log, leaf), self.shown.as_bytes()) {
            return Err(NoBadge::Stolen);
        }
        let mut trusted = trusted.iter();
        let organisation = trusted.find(|organisation| signed.is_signed_by(organisation));
        let organisation = *organisation.ok_or(NoBadge::Foreign)?;
        Ok(Known {
            id: key,
            organisation,
            attributes: body.of,
            day: body.day,
        })
    }
}

/// A badge that was found good in form and signatures.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: BadgeId,
    pub(crate) organisation: OrganisationId,
    attributes: BadgeAttributes,
    day: u32,
}

impl Known {
    /// What it is worth, by what is known of its organisation's revocations.
    pub(crate) fn state(
        &self,
        is_revoked: bool,
        list: Option<&Checked>,
        now_ms: u64,
    ) -> BadgeState {
        let today = u32::try_from(now_ms / DAY_MS).unwrap_or(u32::MAX);
        let listed = list.is_some_and(|list| list.list.holds(&self.id));
        let is_checked = list.is_some_and(|list| now_ms <= list.at_ms.saturating_add(CHECKED_MS));
        if is_revoked || listed {
            BadgeState::Revoked
        } else if self.day < today {
            BadgeState::Expired
        } else if !is_checked || self.day > today.saturating_add(BADGE_DAYS_MAX) {
            BadgeState::CannotCheck
        } else {
            BadgeState::Valid
        }
    }

    /// When its worth may next change by itself.
    pub(crate) fn changes_at(&self, list: Option<&Checked>, now_ms: u64) -> Option<u64> {
        let over = u64::from(self.day).saturating_add(1).saturating_mul(DAY_MS);
        let earliest = self.day.saturating_sub(BADGE_DAYS_MAX);
        let soon = u64::from(earliest).saturating_mul(DAY_MS);
        let unchecked = list.map(|list| list.at_ms.saturating_add(CHECKED_MS).saturating_add(1));
        let all = [over, soon].into_iter().chain(unchecked);
        all.filter(|at| *at > now_ms).min()
    }

    /// As an app shows it.
    pub(crate) fn badge(&self, state: BadgeState) -> Badge {
        Badge {
            id: self.id,
            organisation: self.organisation,
            attributes: self.attributes.clone(),
            day: self.day,
            state,
        }
    }

    /// Whether it is good for as long as the other one, or longer.
    pub(crate) const fn is_as_new_as(&self, other: &Self) -> bool {
        self.day >= other.day
    }
}

/// An organisation's word on what it revoked, and when it was said or first heard, whichever is earlier.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Checked {
    pub(crate) organisation: OrganisationId,
    pub(crate) list: RevokedList,
    pub(crate) at_ms: u64,
}

impl Checked {
    /// A list that is signed, and newer than what is known; a clock that is ahead of ours makes it no
    /// fresher.
    pub(crate) fn newer(
        organisation: OrganisationId,
        list: &RevokedList,
        known: Option<&Self>,
        now_ms: u64,
    ) -> Option<Self> {
        let is_newer = known.is_none_or(|known| known.list.minute() < list.minute());
        (is_newer && list.is_signed_by(&organisation)).then(|| Self {
            organisation,
            list: list.clone(),
            at_ms: list.minute().saturating_mul(60_000).min(now_ms),
        })
    }
}

impl Revocation {
    /// Of this badge, by its organisation.
    pub fn new(organisation: &OrganisationKey, badge: BadgeId) -> Self {
        let signature = Signature::new(organisation.sign(&revoked(&badge)));
        Self {
            key: badge,
            signature,
        }
    }

    /// Whether this organisation said so.
    pub(crate) fn is_signed_by(&self, organisation: &OrganisationId) -> bool {
        organisation.verifies(&revoked(&self.key), self.signature.as_bytes())
    }
}

/// Whether a day since 1970-01-01, a Thursday, is a Sunday: the end of a week.
const fn is_sunday(day: u32) -> bool {
    day % 7 == 3
}

/// The Sunday on or after a day.
#[must_use]
pub const fn week_end(day: u32) -> u32 {
    let past = (day.saturating_add(3)) % 7;
    day.saturating_add((6 - past) % 7)
}

fn signed(label: &[u8], bytes: &[u8]) -> Vec<u8> {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    [label, &digest].concat()
}

fn shown(log: &LogId, leaf: &LeafId) -> Vec<u8> {
    [b"sotto/v1/show".as_slice(), log.as_bytes(), leaf.as_bytes()].concat()
}

fn revoked(badge: &BadgeId) -> Vec<u8> {
    [b"sotto/v1/revoked".as_slice(), badge.as_bytes()].concat()
}

#[cfg(test)]
#[path = "tests/badge_samples.rs"]
pub(crate) mod samples;
#[cfg(test)]
#[path = "tests/badge.rs"]
mod tests;
