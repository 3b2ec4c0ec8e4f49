//! What each request needs, and what makes it safe to repeat. SPEC: "Verb by right", "Retry ids".
//!
//! The one table of verb by right: SPEC.md is compared with it.

use super::{Follow, Item, Lane, Read, Verb};
use crate::id::{LogId, RetryId};
use crate::right::{Need, Rights};

impl Verb<'_> {
    /// The name on the wire and in SPEC.md.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Open(_) => "open",
            Self::Append(_) => "append",
            Self::Read(_) => "read",
            Self::Follow(_) => "follow",
            Self::Credit(_) => "credit",
            Self::Unfollow(_) => "unfollow",
            Self::Trim(_) => "trim",
            Self::Claim(_) => "claim",
            Self::Renew(_) => "renew",
            Self::Release(_) => "release",
            Self::Position(_) => "position",
            Self::Withdraw(_) => "withdraw",
            Self::Take(_) => "take",
            Self::Grants(_) => "grants",
            Self::Hold(_) => "hold",
            Self::Describe(_) => "describe",
            Self::Delete(_) => "delete",
        }
    }

    /// What it needs. SPEC: "Verb by right".
    #[must_use]
    pub const fn need(&self) -> Need {
        match self {
            Self::Create(_) => Need::RootKey,
            Self::Open(_) => Need::GrantKeys,
            Self::Append(_) => Need::EachItem,
            Self::Read(Read { lane, .. }) | Self::Follow(Follow { lane, .. }) => lane.need(),
            Self::Credit(_) | Self::Unfollow(_) => Need::Followed,
            Self::Trim(_) => Need::All(Rights::TRIM),
            Self::Claim(_) | Self::Renew(_) | Self::Release(_) => Need::All(Rights::CLAIM),
            Self::Position(_) | Self::Withdraw(_) => Need::OwnerKey,
            Self::Take(_) => Need::All(Rights::TAKE),
            Self::Grants(_) | Self::Hold(_) | Self::Describe(_) | Self::Delete(_) => {
                Need::All(Rights::MANAGE)
            }
        }
    }

    /// Retry id and day of a verb that changes something, with the log that remembers them;
    /// nothing for verbs that a client may simply repeat.
    #[must_use]
    pub fn retry(&self) -> Option<(LogId, u32, RetryId)> {
        match self {
            Self::Create(create) => Some((LogId::of_root(&create.root), create.day, create.retry)),
            Self::Append(append) => {
                let first = append.items.first()?;
                Some((first.log, append.day, append.retry))
            }
            Self::Trim(trim) => Some((trim.log, trim.day, trim.retry)),
            Self::Claim(claim) => Some((claim.log, claim.day, claim.retry)),
            Self::Withdraw(withdraw) => Some((withdraw.log, withdraw.day, withdraw.retry)),
            Self::Take(take) => Some((take.log, take.day, take.retry)),
            Self::Grants(grants) => Some((grants.log, grants.day, grants.retry)),
            Self::Delete(delete) => Some((delete.log, delete.day, delete.retry)),
            Self::Open(_)
            | Self::Read(_)
            | Self::Follow(_)
            | Self::Credit(_)
            | Self::Unfollow(_)
            | Self::Renew(_)
            | Self::Release(_)
            | Self::Position(_)
            | Self::Hold(_)
            | Self::Describe(_) => None,
        }
    }
}

impl Item<'_> {
    /// The rights it needs, all of them. SPEC: "Verb by right".
    #[must_use]
    pub const fn need(&self) -> Need {
        let mut rights = if self.fence.is_some() {
            Rights::FENCE
        } else if self.entries.is_empty() {
            Rights::NONE
        } else {
            Rights::APPEND
        };
        if self.pin {
            rights = rights.union(Rights::PIN);
        }
        if self.grants.is_some() {
            rights = rights.union(Rights::MANAGE);
        }
        if self.lease.is_some() {
            rights = rights.union(Rights::CLAIM);
        }
        Need::All(rights)
    }
}

impl Lane {
    /// What reading or following it needs.
    #[must_use]
    pub const fn need(self) -> Need {
        match self {
            Self::All => Need::All(Rights::READ),
            Self::Fenced => Need::Any(Rights::READ.union(Rights::PEEK)),
        }
    }
}
