//! Requests: one type a verb. The table of verb by right is in SPEC.md.

use serde::{Deserialize, Serialize};

use super::{Bytes, NewEntry, entry::is_false};
use crate::id::{LogId, Mac, PublicKey, RetryId};
use crate::right::Rights;

/// One request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<'a> {
    /// What to do.
    #[serde(borrow, rename = "do")]
    pub verb: Verb<'a>,
    /// Chosen by the client; the answer carries it. Never two unanswered with the same.
    pub id: u64,
    /// Zeros that make it as long as other requests are; at most
    /// [`PAD_BYTES_MAX`](crate::limits::PAD_BYTES_MAX) of them. A relay does not look at them.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub pad: Option<Bytes<'a>>,
}

/// What a client may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb<'a> {
    /// Make a log with its first grants and policy.
    #[serde(borrow)]
    Create(Create<'a>),
    /// Prove grants for a log on this connection.
    Open(Open),
    /// Add entries to one or more logs, all or nothing.
    #[serde(borrow)]
    Append(Append<'a>),
    /// One page of entries after a cursor.
    Read(Read),
    /// Have entries after a cursor pushed, as far as credit allows.
    Follow(Follow),
    /// Allow more pushes.
    Credit(Credit),
    /// Stop pushes.
    Unfollow(Unfollow),
    /// Drop entries.
    Trim(Trim),
    /// Get an exclusive lease on an entry, and its held part.
    Claim(Claim),
    /// Make a live lease last longer.
    Renew(Renew),
    /// Give a lease back.
    Release(Release),
    /// How many unclaimed entries stand before one's own.
    Position(Position),
    /// Take one's own entry back.
    Withdraw(Withdraw),
    /// Remove and return the oldest entry.
    Take(Take),
    /// Replace the grants.
    Grants(Grants),
    /// Reserve the fence for a moment.
    Hold(Hold),
    /// Show grants, policy and use.
    Describe(Describe),
    /// Delete the log with all it holds.
    Delete(Delete),
}

/// A grant: what the holder of a key may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The holder's X25519 public key.
    pub key: PublicKey,
    /// An append with this grant counts only in an append that ends, under a live lease of the
    /// caller, an entry whose `owner` is this key. Stands beside no right but to append.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<PublicKey>,
    /// Appends and takes a minute with this key, all connections together; absent: the relay's own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Bits of work each append with this key costs; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<u8>,
    /// What the holder may do.
    pub rights: Rights,
    /// The last entry the holder may read, inclusive; with it set, nothing but reading is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_seq: Option<u64>,
}

impl Grant {
    /// Whether the rights may stand beside `ends`: to bind any but the right to append to the end
    /// of an entry means nothing.
    #[must_use]
    pub fn ends_alone(&self) -> bool {
        self.ends.is_none() || self.rights == Rights::APPEND
    }

    /// The rights that are left: all, or with `until_seq` only those to read.
    #[must_use]
    pub const fn rights_left(&self) -> Rights {
        if self.until_seq.is_some() {
            self.rights.intersection(Rights::READ.union(Rights::PEEK))
        } else {
            self.rights
        }
    }
}

/// How long and how much a log keeps, within the relay's own limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Days an ordinary entry lives, from 1.
    pub ttl_days: u16,
    /// Bytes all entries may hold together, as sealed.
    pub bytes_max: u64,
    /// What a grant has that a fenced append admits; must not hold `manage`.
    pub admit_rights: Rights,
    /// Days a fenced entry lives at least; it also lives as long as the oldest kept pin.
    pub ttl_fenced_days: u16,
}

/// `create`: the caller proves the root key, which is then of no further use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create<'a> {
    /// The day the request was first made, see [`Append::day`].
    pub day: u32,
    /// The log's root public key; the log's id is [`LogId::of_root`] of it.
    pub root: PublicKey,
    /// Nonce of the proof of work, where the relay asks one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<u64>,
    /// A proof of the root key for the purpose `Create`.
    pub proof: Mac,
    /// Retry id.
    pub retry: RetryId,
    /// The first grants.
    pub grants: Vec<Grant>,
    /// The log's policy.
    pub policy: Policy,
    /// An operator's ticket, where the relay asks one; at most
    /// [`TICKET_BYTES_MAX`](crate::limits::TICKET_BYTES_MAX) bytes.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Bytes<'a>>,
}

/// One proof of one grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The grant's public key.
    pub key: PublicKey,
    /// The MAC of [`crate::proof::prove`].
    pub mac: Mac,
}

/// `open`: rights are the union of all proved grants. A second `open` of a log adds to the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Which log.
    pub log: LogId,
    /// One to [`PROOFS_MAX`](crate::limits::PROOFS_MAX) proofs; all must hold.
    pub proofs: Vec<Proof>,
}

/// `append`: all items or none. Each item's log must be open on this connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Append<'a> {
    /// The UTC day on which this request was first made. The relay remembers retry ids of today
    /// and yesterday and refuses older days, so that a repeat is never applied twice.
    pub day: u32,
    /// Nonce of the proof of work, bound to the first item's log, where a grant asks one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<u64>,
    /// One to [`ITEMS_MAX`](crate::limits::ITEMS_MAX) items, applied in this order.
    #[serde(borrow)]
    pub items: Vec<Item<'a>>,
    /// Retry id, remembered in the first item's log.
    pub retry: RetryId,
}

/// Entries for one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item<'a> {
    /// Which log.
    pub log: LogId,
    /// Whether newcomers may start at the first of these entries.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pin: bool,
    /// A grant with the policy's `admit_rights`, added with this fenced item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admit: Option<PublicKey>,
    /// The fence it expects; accepted only while that is the log's, which then grows by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// Only while this lease is the caller's and live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseCondition>,
    /// A new list of grants, set with this fenced item; takes `manage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<NewGrants>,
    /// A run of adjacent entries; may be empty only for an item with a lease.
    #[serde(borrow)]
    pub entries: Vec<NewEntry<'a>>,
}

impl Item<'_> {
    /// A copy that borrows from nothing.
    #[must_use]
    pub fn into_owned(self) -> Item<'static> {
        let entries = self.entries.into_iter().map(NewEntry::into_owned);
        Item {
            entries: entries.collect(),
            ..self
        }
    }
}

/// The lease an item depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseCondition {
    /// Whether the claimed entry is removed with this append.
    #[serde(default, skip_serializing_if = "is_false")]
    pub end: bool,
    /// The claimed entry.
    pub seq: u64,
    /// The lease's number.
    pub lease: u64,
}

/// A new list of grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGrants {
    /// `true`: grants that are not in the list are kept for reading up to the last entry of this
    /// item (or their earlier `until_seq`); `false` or absent: they are dropped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
    /// The whole new list.
    pub list: Vec<Grant>,
    /// The version it replaces; another one is a `grants_conflict`.
    pub version: u64,
}

/// Which entries a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Every entry; takes `read`.
    All,
    /// Fenced and pinned entries; takes `read` or `peek`.
    Fenced,
}

/// `read`: one page, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Which log.
    pub log: LogId,
    /// Which entries.
    pub lane: Lane,
    /// Only entries with a higher sequence number.
    pub after: u64,
    /// At most so many, and at most [`PAGE_BYTES_MAX`](crate::limits::PAGE_BYTES_MAX) bytes.
    pub entries_max: u32,
}

/// `follow`: pushes from a cursor on, each using one credit. A second `follow` replaces the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    /// Which log.
    pub log: LogId,
    /// Which entries.
    pub lane: Lane,
    /// Only entries with a higher sequence number.
    pub after: u64,
    /// How many entries may be pushed for now; at most
    /// [`CREDIT_MAX`](crate::limits::CREDIT_MAX).
    pub credit: u32,
}

/// `credit`: allow more pushes of a followed log. Never answered unless it is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credit {
    /// Which log.
    pub log: LogId,
    /// How many more; the sum stays within [`CREDIT_MAX`](crate::limits::CREDIT_MAX).
    pub more: u32,
}

/// `unfollow`: no further pushes of this log after the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unfollow {
    /// Which log.
    pub log: LogId,
}

/// `trim`: an inbox's acknowledgement. Pins and fenced entries go as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trim {
    /// Up to and with this sequence number.
    pub to: u64,
    /// The day the request was first made, see [`Append::day`].
    pub day: u32,
    /// Which log.
    pub log: LogId,
    /// Retry id.
    pub retry: RetryId,
}

/// `claim`: exactly one holder at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// How long, at most [`LEASE_MS_MAX`](crate::limits::LEASE_MS_MAX).
    pub ms: u32,
    /// The day the request was first made, see [`Append::day`].
    pub day: u32,
    /// Which log.
    pub log: LogId,
    /// Which entry.
    pub seq: u64,
    /// Retry id.
    pub retry: RetryId,
}

/// `renew`: from now on for `ms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// How long, at most [`LEASE_MS_MAX`](crate::limits::LEASE_MS_MAX).
    pub ms: u32,
    /// Which log.
    pub log: LogId,
    /// Which entry.
    pub seq: u64,
    /// The lease's number.
    pub lease: u64,
}

/// `release`: the entry is free again, in its old place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Which log.
    pub log: LogId,
    /// Which entry.
    pub seq: u64,
    /// The lease's number.
    pub lease: u64,
}

/// `position`: needs the entry's owner key and nothing else; the log need not be open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Which log.
    pub log: LogId,
    /// Which entry.
    pub seq: u64,
    /// A proof of the owner key for the purpose `Own`.
    pub proof: Proof,
}

/// `withdraw`: needs the entry's owner key and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdraw {
    /// The day the request was first made, see [`Append::day`].
    pub day: u32,
    /// Which log.
    pub log: LogId,
    /// Which entry.
    pub seq: u64,
    /// A proof of the owner key for the purpose `Own`.
    pub proof: Proof,
    /// Retry id.
    pub retry: RetryId,
}

/// `take`: one-time KeyPackages. An entry marked last-resort is returned only when it is alone, and
/// stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// The day the request was first made, see [`Append::day`].
    pub day: u32,
    /// Which log.
    pub log: LogId,
    /// Retry id.
    pub retry: RetryId,
}

/// `grants`: replace the list outside of an append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// The day the request was first made, see [`Append::day`].
    pub day: u32,
    /// Which log.
    pub log: LogId,
    /// The new list.
    pub new: NewGrants,
    /// Retry id.
    pub retry: RetryId,
}

/// `hold`: only `manage` keys may append fenced entries for this long; 0 lets go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// At most [`HOLD_MS_MAX`](crate::limits::HOLD_MS_MAX).
    pub ms: u32,
    /// Which log.
    pub log: LogId,
}

/// `describe`: what the relay holds of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Describe {
    /// Which log.
    pub log: LogId,
}

/// `delete`: entries, grants and the log's key at rest. The id can never be used again by others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// The day the request was first made, see [`Append::day`].
    pub day: u32,
    /// Which log.
    pub log: LogId,
    /// Retry id.
    pub retry: RetryId,
}
