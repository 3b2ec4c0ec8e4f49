//! Badges in batches: a supporter asks for some, the organisation issues them, the supporter keeps
//! them; and the organisation says which of them are good no longer. Each is one text, for a file or
//! a mail.

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sotto_protocol::cbor;
use sotto_protocol::id::Signature;

use super::{
    BADGE_DAYS_MAX, BadgeAttributes, BadgeBody, BadgeId, HeldBadge, Notice, SignedBadge,
    attribute_is_fit, is_sunday, signed,
};
use crate::desk::DESK_TOPICS_MAX;
use crate::desk::address::{OrganisationId, OrganisationKey};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::LeafKey;
use crate::random;
use crate::time::DAY_MS;

/// Badges in a batch: more conversations than a supporter begins in a week, and few enough to mail.
pub const BADGE_BATCH_MAX: usize = 64;
/// Badges that a device keeps, asked for or held: some batches, of more than one organisation.
pub const BADGES_KEPT_MAX: usize = 256;
/// Badges that an organisation may have taken back before their time: the list of them fits the
/// largest card, so that it can go where cards go.
pub const REVOKED_MAX: usize = 400;
/// Bytes of the longest text of all these: a batch of the longest badges, in base64url.
pub(super) const TEXT_BYTES_MAX: usize = 192 * 1_024;
const REQUESTS: &str = "sotto-badge-requests:1:";
const BATCH: &str = "sotto-badges:1:";
const REVOKED: &str = "sotto-badges-revoked:1:";
/// What lists of revoked badges are signed under.
const LIST_LABEL: &[u8] = b"sotto/v1/revoked-list";

/// The text is none of these, or not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not what badges travel as, or it is not whole")]
pub struct BadBatch;

/// Why a badge was not issued, or not taken back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotIssued {
    /// Not in the organisation's list.
    #[error("“{0}” is not in the list of what a badge of this organisation may say")]
    NotListed(String),
    /// The list is too long, or holds what no badge may say.
    #[error("what a badge may say is a short list of short lines")]
    List,
    /// Not at the end of a week, or too late.
    #[error("a badge is good until a Sunday, at most two weeks from now")]
    Week,
    /// More than a list of them may hold.
    #[error("too many badges were taken back; the organisation needs a new key")]
    TooMany,
    /// A fault of ours.
    #[error("the badge could not be written")]
    Fault,
}

/// What badges of an organisation may say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadgeList {
    /// Roles.
    pub roles: Vec<String>,
    /// Trainings.
    pub training: Vec<String>,
    /// Languages.
    pub languages: Vec<String>,
    /// What one can have been through.
    pub been_there: Vec<String>,
}

impl BadgeList {
    fn admits(&self, of: &BadgeAttributes) -> core::result::Result<(), NotIssued> {
        let lists = [
            &self.roles,
            &self.training,
            &self.languages,
            &self.been_there,
        ];
        let is_short = |list: &&Vec<String>| {
            list.len() <= DESK_TOPICS_MAX && list.iter().all(|one| attribute_is_fit(one))
        };
        if !lists.iter().all(is_short) {
            return Err(NotIssued::List);
        }
        let role = core::slice::from_ref(&of.role);
        let said = [role, &of.training, &of.languages, &of.been_there];
        for (said, list) in said.into_iter().zip(lists) {
            if let Some(one) = said.iter().find(|one| !list.contains(one)) {
                return Err(NotIssued::NotListed(one.clone()));
            }
        }
        if of.is_fit() {
            Ok(())
        } else {
            Err(NotIssued::List)
        }
    }
}

/// What a supporter asks an organisation for: one badge for each of these keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BadgeRequests(Vec<BadgeId>);

impl BadgeRequests {
    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[BadgeId] {
        &self.0
    }

    /// Issues a badge for each, good until the end of `day`, a Sunday.
    ///
    /// # Errors
    /// [`NotIssued`] for what is not in the list, and for another day.
    pub fn issue(
        &self,
        organisation: &OrganisationKey,
        of: &BadgeAttributes,
        list: &BadgeList,
        (day, now_ms): (u32, u64),
    ) -> core::result::Result<BadgeBatch, NotIssued> {
        list.admits(of)?;
        let today = today(now_ms);
        if !is_sunday(day) || day < today || day > today.saturating_add(BADGE_DAYS_MAX) {
            return Err(NotIssued::Week);
        }
        let sign = |key: &BadgeId| {
            let of = of.clone();
            SignedBadge::sign(organisation, &BadgeBody { of, day, key: *key })
        };
        let signed: Option<Vec<_>> = self.0.iter().map(sign).collect();
        signed.map(BadgeBatch).ok_or(NotIssued::Fault)
    }
}

/// What an organisation gives for it. Its copy is its only record of who has which badge.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BadgeBatch(Vec<SignedBadge>);

/// A badge that was issued, as its organisation needs it to take it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Names it.
    pub id: BadgeId,
    /// The last day on which it is good.
    pub day: u32,
}

impl BadgeBatch {
    /// What was issued.
    pub fn issued(&self) -> impl Iterator<Item = Issued> {
        let bodies = self.0.iter().filter_map(SignedBadge::body);
        bodies.map(|body| Issued {
            id: body.key,
            day: body.day,
        })
    }
}

/// The badges of a person's device, and the keys of those that were asked for.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Wallet {
    asked: Vec<Seed>,
    held: Vec<HeldBadge>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Seed(#[serde(with = "serde_bytes")] [u8; 32]);

impl Wallet {
    /// Makes fresh keys to ask for badges with.
    pub(crate) fn ask(&mut self, count: usize) -> Result<BadgeRequests> {
        let kept = self.asked.len().saturating_add(self.held.len());
        if count == 0 || count > BADGE_BATCH_MAX || kept.saturating_add(count) > BADGES_KEPT_MAX {
            let what = "one asks for 1 to 64 badges at once, and keeps 256 in all";
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let no_randomness = |_| Error::new(ErrorKind::Internal, "the system gave no randomness");
        let mut keys = Vec::new();
        for _ in 0..count {
            let seed: [u8; 32] = random::array().map_err(no_randomness)?;
            keys.push(BadgeId(LeafKey::from_seed(&seed).id()));
            self.asked.push(Seed(seed));
        }
        Ok(BadgeRequests(keys))
    }

    /// Takes in badges that were asked for here; answers how many.
    pub(crate) fn import(&mut self, batch: &BadgeBatch) -> usize {
        let before = self.held.len();
        for badge in &batch.0 {
            let Some(body) = badge.body() else { continue };
            let asked = self
                .asked
                .iter()
                .position(|seed| LeafKey::from_seed(&seed.0).id() == body.key.0);
            if let Some(place) = asked {
                let Seed(seed) = self.asked.remove(place);
                self.held.push(HeldBadge {
                    seed,
                    signed: badge.clone(),
                });
            }
        }
        self.held.len().saturating_sub(before)
    }

    /// Takes a badge out that this organisation signed and that is good for longest: it is shown once.
    pub(crate) fn take(&mut self, organisation: &OrganisationId, now_ms: u64) -> Option<HeldBadge> {
        self.forget_old(now_ms);
        let held = self.held.iter().enumerate();
        let (place, _) = held
            .filter(|(_, one)| one.signed.is_signed_by(organisation))
            .max_by_key(|(_, one)| one.says().map(|(_, day)| day))?;
        Some(self.held.remove(place))
    }

    /// Badges whose week is over are of no use.
    pub(crate) fn forget_old(&mut self, now_ms: u64) {
        let is_good = |one: &HeldBadge| one.says().is_some_and(|(_, day)| day >= today(now_ms));
        self.held.retain(is_good);
    }

    /// What is held, and how many more were asked for.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.held.len(), self.asked.len())
    }
}

/// Which badges an organisation took back before their week was over, as far as it knew at a moment. It
/// says so once a day even if there is nothing new: who hears nothing for longer cannot check.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokedList {
    list: ListBody,
    signature: Signature,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListBody {
    /// When the organisation said so.
    minute: u64,
    /// In the order of the notices, so that it tells nothing of who was revoked with whom.
    notices: Vec<Line>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// The badge's last day; then the line goes.
    day: u32,
    notice: Notice,
}

impl RevokedList {
    /// The next list after `last`, with some more on it.
    ///
    /// # Errors
    /// [`NotIssued::TooMany`].
    pub fn next(
        organisation: &OrganisationKey,
        last: Option<&Self>,
        more: impl IntoIterator<Item = Issued>,
        now_ms: u64,
    ) -> core::result::Result<Self, NotIssued> {
        let mut notices = last
            .map(|last| last.list.notices.clone())
            .unwrap_or_default();
        notices.extend(more.into_iter().map(|one| Line {
            day: one.day,
            notice: one.id.notice(),
        }));
        notices.retain(|line| line.day >= today(now_ms));
        notices.sort_by_key(|line| line.notice);
        notices.dedup_by_key(|line| line.notice);
        if notices.len() > REVOKED_MAX {
            return Err(NotIssued::TooMany);
        }
        let minute = last.map_or(0, |last| last.list.minute.saturating_add(1));
        let list = ListBody {
            minute: minute.max(now_ms / 60_000),
            notices,
        };
        let bytes = cbor::encode(&list).map_err(|_| NotIssued::Fault)?;
        let signature = Signature::new(organisation.sign(&signed(LIST_LABEL, &bytes)));
        Ok(Self { list, signature })
    }

    /// How many are on it.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.list.notices.len()
    }

    pub(super) const fn minute(&self) -> u64 {
        self.list.minute
    }

    pub(super) fn holds(&self, badge: &BadgeId) -> bool {
        let notice = badge.notice();
        let found = self
            .list
            .notices
            .binary_search_by_key(&notice, |line| line.notice);
        found.is_ok()
    }

    /// Whether this organisation said so.
    #[must_use]
    pub fn is_signed_by(&self, organisation: &OrganisationId) -> bool {
        let Ok(bytes) = cbor::encode(&self.list) else {
            return false;
        };
        self.is_within_limits()
            && organisation.verifies(&signed(LIST_LABEL, &bytes), self.signature.as_bytes())
    }

    fn is_within_limits(&self) -> bool {
        let notices = &self.list.notices;
        notices.len() <= REVOKED_MAX && notices.is_sorted_by(|one, next| one.notice < next.notice)
    }
}

fn today(now_ms: u64) -> u32 {
    u32::try_from(now_ms / DAY_MS).unwrap_or(u32::MAX)
}

fn write(f: &mut fmt::Formatter<'_>, prefix: &str, value: &impl Serialize) -> fmt::Result {
    let body = cbor::encode(value).map_err(|_| fmt::Error)?;
    write!(f, "{prefix}{}", URL_SAFE_NO_PAD.encode(body))
}

fn read<T: Serialize + DeserializeOwned>(
    prefix: &str,
    text: &str,
) -> core::result::Result<T, BadBatch> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(BadBatch);
    }
    let body = text.trim().strip_prefix(prefix).ok_or(BadBatch)?;
    let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| BadBatch)?;
    cbor::decode(&body).map_err(|_| BadBatch)
}

fn is_a_batch(count: usize) -> bool {
    (1..=BADGE_BATCH_MAX).contains(&count)
}

macro_rules! travels_as_text {
    ($type:ident, $prefix:expr, $fits:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(f, $prefix, self)
            }
        }

        impl FromStr for $type {
            type Err = BadBatch;

            fn from_str(text: &str) -> core::result::Result<Self, BadBatch> {
                let fits: fn(&Self) -> bool = $fits;
                read($prefix, text).and_then(|one| if fits(&one) { Ok(one) } else { Err(BadBatch) })
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($type), "(…)"))
            }
        }
    };
}
travels_as_text!(BadgeRequests, REQUESTS, |one| is_a_batch(one.0.len()));
travels_as_text!(BadgeBatch, BATCH, |one| is_a_batch(one.0.len())
    && one.0.iter().all(|badge| badge.body().is_some()));
travels_as_text!(RevokedList, REVOKED, Self::is_within_limits);

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wallet(…)")
    }
}

impl fmt::Debug for ListBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListBody(…)")
    }
}
