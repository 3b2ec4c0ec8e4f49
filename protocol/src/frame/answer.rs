//! What the relay says: answers, refusals, notices and pushes.

use serde::{Deserialize, Serialize};

use super::{Bytes, Entry, Grant, Policy};
use crate::error_code::ErrorCode;
use crate::id::{ChainValue, Tag};
use crate::right::Rights;

/// One item of the relay inside Noise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromRelay<'a> {
    /// The request was carried out.
    #[serde(borrow)]
    Done(Done<'a>),
    /// The request changed nothing.
    Refused(Refused),
    /// Not an answer: something the client should know.
    Notice(Notice),
}

/// A request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done<'a> {
    /// The request's id.
    pub id: u64,
    /// The verb's answer.
    #[serde(borrow)]
    pub answer: Answer<'a>,
}

/// A request that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The request's id.
    pub id: u64,
    /// Why.
    pub refusal: Refusal,
}

/// Why a request changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// With `work_needed`: how many bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u8>,
    /// The registered code.
    pub code: ErrorCode,
    /// In an append: the item that was refused, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u16>,
    /// With `fence_conflict`: the log's fence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// With `grants_conflict`: the current version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// With `internal`: a random number that stands in the relay's log as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<u64>,
    /// With codes of the blame *busy*: when to come back. With `claimed`: when the other lease ends
    /// at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u32>,
}

impl Refusal {
    /// A refusal with nothing but its code.
    #[must_use]
    pub const fn of(code: ErrorCode) -> Self {
        Self {
            bits: None,
            code,
            item: None,
            fence: None,
            version: None,
            incident: None,
            retry_after_ms: None,
        }
    }
}

/// The answer of each verb.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<'a> {
    /// To `create`.
    Created(Created),
    /// To `open`.
    Opened(Opened),
    /// To `append`: one for each item.
    Appended(Vec<ItemDone>),
    /// To `read`.
    #[serde(borrow)]
    Page(Page<'a>),
    /// To `follow`.
    Followed(Followed),
    /// To `claim` and `renew`.
    #[serde(borrow)]
    Claimed(Claimed<'a>),
    /// To `position`.
    Placed(Placed),
    /// To `take`.
    #[serde(borrow)]
    Taken(Taken<'a>),
    /// To `grants`.
    Granted(Granted),
    /// To `hold`.
    Held(Held),
    /// To `describe`.
    Described(Described),
    /// To verbs that have nothing to tell: `trim`, `release`, `withdraw`, `unfollow`, `delete`.
    Ok,
}

impl Answer<'_> {
    /// A copy that borrows from nothing.
    #[must_use]
    pub fn into_owned(self) -> Answer<'static> {
        match self {
            Self::Created(created) => Answer::Created(created),
            Self::Opened(opened) => Answer::Opened(opened),
            Self::Appended(items) => Answer::Appended(items),
            Self::Page(page) => Answer::Page(Page {
                more: page.more,
                entries: page.entries.into_iter().map(Entry::into_owned).collect(),
            }),
            Self::Followed(followed) => Answer::Followed(followed),
            Self::Claimed(claimed) => Answer::Claimed(Claimed {
                ms: claimed.ms,
                held: claimed.held.map(Bytes::into_owned),
                lease: claimed.lease,
            }),
            Self::Placed(placed) => Answer::Placed(placed),
            Self::Taken(taken) => Answer::Taken(Taken {
                entry: taken.entry.into_owned(),
                last_resort: taken.last_resort,
            }),
            Self::Granted(granted) => Answer::Granted(granted),
            Self::Held(held) => Answer::Held(held),
            Self::Described(described) => Answer::Described(described),
            Self::Ok => Answer::Ok,
        }
    }
}

/// The log stands. It is not open yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Created {
    /// The chain value before any entry.
    pub chain: ChainValue,
}

/// The state of an opened log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// Today, as the relay sees it.
    pub day: u32,
    /// Marks this log's pushes until the relay starts anew.
    pub tag: Tag,
    /// The last sequence number this opener may read; the log's head unless the grant is cut.
    pub head: u64,
    /// Where newcomers may start, oldest first.
    pub pins: Vec<u64>,
    /// The chain value at `head`.
    pub chain: ChainValue,
    /// How many fenced items were accepted.
    pub fence: u64,
    /// The lowest sequence number that is still there, or `head + 1`.
    pub first: u64,
    /// The union of the rights of all grants proved on this connection.
    pub rights: Rights,
    /// The version of the list of grants.
    pub version: u64,
}

/// Where an item landed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemDone {
    /// The UTC day of its entries.
    pub day: u32,
    /// The last sequence number of the item's entries; the log's head if it had none.
    pub seq: u64,
    /// The chain value at `seq`.
    pub chain: ChainValue,
    /// The log's fence after the item.
    pub fence: u64,
}

/// One page of entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page<'a> {
    /// Whether entries after this page were readable when it was made.
    pub more: bool,
    /// The entries, oldest first.
    #[serde(borrow)]
    pub entries: Vec<Entry<'a>>,
}

/// Pushes have begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Followed {
    /// Marks the pushes.
    pub tag: Tag,
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claimed<'a> {
    /// How long it lasts from now.
    pub ms: u32,
    /// The entry's held part; absent for `renew`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Bytes<'a>>,
    /// The lease's number; only grows.
    pub lease: u64,
}

/// An honest place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// Free entries before one's own: exact below
    /// [`POSITION_STEP`](crate::limits::POSITION_STEP), above it the next lower multiple.
    pub ahead: u64,
    /// Whether somebody has a live lease on it.
    pub claimed: bool,
}

/// What `take` removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken<'a> {
    /// The entry.
    #[serde(borrow)]
    pub entry: Entry<'a>,
    /// Whether it stays for the next.
    pub last_resort: bool,
}

/// The list was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Granted {
    /// The list's new version.
    pub version: u64,
}

/// The fence is reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// For how long.
    pub ms: u32,
    /// The log's fence.
    pub fence: u64,
}

/// What the relay holds of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// Bytes of all entries, as sealed.
    pub bytes: u64,
    /// The whole list of grants, cut ones included.
    pub grants: Vec<Grant>,
    /// The log's policy.
    pub policy: Policy,
    /// How many entries there are.
    pub entries: u64,
    /// The version of the list of grants.
    pub version: u64,
}

/// Something the client should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A followed log gives no more: the grant was cut or dropped, or the log deleted.
    Ended(Ended),
    /// The relay stops; come back after so many milliseconds (different for every client).
    Restarting(u32),
}

/// A followed log gives no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// Which log's.
    pub tag: Tag,
}

/// One entry of a followed log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push<'a> {
    /// Which log's.
    pub tag: Tag,
    /// The entry.
    #[serde(borrow)]
    pub entry: Entry<'a>,
}
