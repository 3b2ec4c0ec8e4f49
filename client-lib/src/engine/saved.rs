//! What a conversation keeps between two starts of the process, and how it stands in the vault.
//!
//! | name in the space | value |
//! |---|---|
//! | `state` | [`Saved`] |
//! | `flight` | [`Flight`], while an append is unanswered or not yet met |
//! | `mls/` and the library's key | the group's values |
//! | `open/` and a seq | [`Dispute`](super::dispute::Dispute), while that Commit may still be undone |
//! | `aside/` and that seq | [`Before`](super::aside::Before), what brings back the state before it |
//! | `outside` | [`Joining`](super::joining::Joining), while we follow an epoch that we are not in |
//! | `followed` | what is followed: the values of a [`Follower`](crate::mls::Follower) |
//! | `out/` and a number | [`Queued`], until it stands in the log |
//! | `act/`, message id and leaf | an emoji, as text |
//! | `msg/`, seq (8, big-endian) and message id | [`Stored`] |
//! | `badges` | [`Badging`](super::badging::Badging): who is trusted, and what members have shown |
//! | `drafts` | [`Drafts`](super::draft::Drafts): words that somebody reads before they go out |
//! | `line` | [`BackupLine`](crate::people::BackupLine), what a backup holds of this |
//! | `ticket` | [`TicketLine`](crate::people::TicketLine), what a backup holds of a ticket that waits |
//! | `door` | [`Door`](super::door::Door), on its keeper's device |
//! | `knock/` and a leaf | [`KeptKnock`](super::door::KeptKnock), until it is answered |
//! | `knocking` | [`Knocking`](super::knocking::Knocking), until our own knock is answered |
//! | `add/` and a log | [`Adding`](super::inviting::Adding), until a KeyPackage was taken |
//! | `crisis` | [`Resource`](crate::desk::Resource)s that a desk names, on the device of who asked |
//! | `numbers` | [`Numbers`](super::numbers::Numbers), at a desk's office |
//! | `audit/` and a number | [`AuditRecord`](crate::desk::AuditRecord), there |
//! | `heads` | [`Heads`](super::heads::Heads), on the devices of a desk's team |
//! | `inbox` | [`Inbox`](super::inbox::Inbox): this is no conversation, but an inbox |
//! | `package/` and a number | [`KeptPackage`](super::pool::KeptPackage), until it is used or old |
//! | `invited/` and a number | [`KeptInvitation`](super::inbox::KeptInvitation), until it is decided |
//! | `up/` and a number | [`Upload`](super::uploading::Upload), until its message stands in the log |
//! | `get/` and a message id | [`Download`](super::fetching::Download), until it is here |
//! | `here/` and a message id | nothing: all of its attachment is on this device |
//! | `drop/` and a log | [`OwnerKey`] of a log of ours that the relay shall delete |
//! | `~att/`, message id and index | a chunk of an attachment, sealed as it stands in its log |
//!
//! Names that begin with `~` are bulk: a conversation is loaded without them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use sotto_protocol::frame::Item;
use sotto_protocol::id::{ChainValue, LogId, PublicKey, RetryId};

use super::Choices;
use super::agreement::KeptAgreement;
use super::aside::Packed;
use super::ending::Ends;
use super::floor::Floor;
use super::pace::Pace;
use super::quiet::Quiet;
use crate::attachment::AttachmentSecret;
use crate::content::{Content, MessageId, RosterLine};
use crate::error::{Error, ErrorKind, Result};
use crate::link::{DoorLink, RelayAddress};
use crate::mls::{LeafId, Suite};
use crate::seal::{ConversationSecret, Farewell};
use zeroize::Zeroize as _;

pub(super) const STATE: &[u8] = b"state";
pub(super) const FLIGHT: &[u8] = b"flight";
pub(super) const MLS: &[u8] = b"mls/";
pub(super) const OPEN: &[u8] = b"open/";
pub(super) const ASIDE: &[u8] = b"aside/";
pub(super) const OUTSIDE: &[u8] = b"outside";
pub(super) const FOLLOWED: &[u8] = b"followed";
pub(super) const OUT: &[u8] = b"out/";
pub(super) const MESSAGE: &[u8] = b"msg/";
pub(super) const REACTION: &[u8] = b"act/";
pub(super) const BADGES: &[u8] = b"badges";
pub(super) const SAFE: &[u8] = b"safe";
pub(super) const DRAFTS: &[u8] = b"drafts";
pub(super) const LINE: &[u8] = b"line";
pub(super) const TICKET: &[u8] = b"ticket";
pub(super) const DOOR: &[u8] = b"door";
pub(super) const KNOCK: &[u8] = b"knock/";
pub(super) const KNOCKING: &[u8] = b"knocking";
pub(super) const TAKING: &[u8] = b"taking";
pub(super) const DESK: &[u8] = b"desk";
pub(super) const OFFICE: &[u8] = b"office";
pub(super) const PAST: &[u8] = b"past";
pub(super) const CRISIS: &[u8] = b"crisis";
pub(super) const NUMBERS: &[u8] = b"numbers";
pub(super) const AUDIT: &[u8] = b"audit/";
pub(super) const HEADS: &[u8] = b"heads";
pub(super) const ADD: &[u8] = b"add/";
pub(super) const INBOX: &[u8] = b"inbox";
pub(super) const PACKAGE: &[u8] = b"package/";
pub(super) const INVITED: &[u8] = b"invited/";
pub(super) const UPLOAD: &[u8] = b"up/";
pub(super) const DOWNLOAD: &[u8] = b"get/";
pub(super) const HERE: &[u8] = b"here/";
pub(super) const DISCARD: &[u8] = b"drop/";
/// What bulk begins with; behind every other name.
pub(super) const BULK: &[u8] = b"~";
pub(super) const CHUNK: &[u8] = b"~att/";

/// Secrets kept: the present one and those that late entries may still be sealed under.
pub(super) const SECRETS_KEPT: usize = 3;

/// The scalar state; small, rewritten with every change.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) relay: RelayAddress,
    pub(super) log: LogId,
    pub(super) suite: Suite,
    /// Seed of the leaf's signature key.
    #[serde(with = "serde_bytes")]
    pub(super) seed: [u8; 32],
    /// Secret grant key that holds `manage` while we facilitate.
    #[serde(with = "serde_bytes")]
    pub(super) manage: [u8; 32],
    /// Secret root key, until the log is made.
    pub(super) root: Option<RootKey>,
    /// The founding facilitator, whom newcomers believe.
    pub(super) founder: LeafId,
    /// Newest last.
    pub(super) secrets: Vec<ConversationSecret>,
    pub(super) stage: Stage,
    /// The version of client that the conversation asks for, and where we stood when it did.
    pub(super) paused: Option<(u16, Stage)>,
    /// The fence at which we last mended a false snapshot.
    pub(super) mended_at: Option<u64>,
    /// The last entry that was read to its end, and what follows from it.
    pub(super) seq: u64,
    pub(super) chain: Option<ChainValue>,
    pub(super) day: u32,
    /// The number that the next fenced item carries, as far as we read.
    pub(super) fence: u64,
    /// Messages of earlier epochs are no longer shown: a removal closed them.
    pub(super) closed_below: u64,
    pub(super) joined_epoch: u64,
    pub(super) grants_version: u64,
    pub(super) fenced_since_pin: u64,
    pub(super) is_rotated: bool,
    pub(super) roster_due: bool,
    pub(super) snapshot_due: bool,
    pub(super) junk: u64,
    pub(super) name: String,
    /// Messages said so far by this leaf.
    pub(super) count: u64,
    pub(super) next_out: u64,
    pub(super) names: Vec<RosterLine>,
    /// Those whose name we have from themselves, and not from a facilitator.
    pub(super) self_named: Vec<LeafId>,
    pub(super) intents: Vec<Intent>,
    pub(super) verdicts: Vec<Verdict>,
    /// Commits that were void in the present epoch; the same again do not count.
    pub(super) voids: Vec<Digest>,
    /// Whose GroupInfo of the present epoch was false.
    pub(super) false_info_by: Option<LeafId>,
    /// Joins by the present link that nobody could open.
    pub(super) spoiled_joins: u32,
    /// Bits of work that a join by the present link takes.
    pub(super) join_work: u8,
    pub(super) pace: Pace,
    /// The last day on which the relay's date and this device's agreed.
    pub(super) day_floor: u32,
    /// When our keys in the group were last renewed, by the conversation's time.
    pub(super) updated_ms: u64,
    /// When another member was last heard.
    pub(super) heard_ms: u64,
    /// When each other member was.
    pub(super) heard: Vec<Heard>,
    /// The day of our last sign of life.
    pub(super) alive_day: u32,
    pub(super) is_silent: bool,
    /// Of leaves that asked to be let go.
    pub(super) farewells: Vec<Farewell>,
    /// Messages of the flight that were not met in the log yet.
    pub(super) flying: Vec<Flying>,
    /// This state may be a copy, and encrypts no more.
    pub(super) is_old: bool,
    /// Commits were missed that are gone: on the way in again in place of our own leaf.
    pub(super) starts_over: bool,
    pub(super) choices: Choices,
    /// Messages read that nobody was told of yet.
    pub(super) receipts: Vec<MessageId>,
    /// After a Welcome: where reading begins to count.
    pub(super) passing: Option<Passing>,
    /// Where we knocked, to knock again if all else is lost.
    pub(super) door: Option<DoorLink>,
    /// We facilitate, and lack the door's keys.
    pub(super) wants_door: bool,
    /// Secret key that the door's keys shall be sealed to.
    pub(super) door_ask: Option<DoorAsk>,
    /// Somebody came who is to be told what was said before.
    pub(super) retell_due: bool,
    /// We leave as soon as this member facilitates.
    pub(super) hands_over: Option<LeafId>,
    /// On the way in from a backup.
    pub(super) way_back: Option<WayBack>,
    /// The last thing that we said here was that we are away.
    #[serde(default)]
    pub(super) said_away: bool,
    /// Who said so, and nothing since.
    #[serde(default)]
    pub(super) away: Vec<LeafId>,
    /// It answers a letter, whose author was not heard yet.
    #[serde(default)]
    pub(super) awaits_author: bool,
    /// When the talk ends.
    #[serde(default)]
    pub(super) ends: Option<Ends>,
    /// Who may speak.
    #[serde(default)]
    pub(super) floor: Option<Floor>,
    /// What all are to agree on.
    #[serde(default)]
    pub(super) agreement: Option<KeptAgreement>,
    /// How long nobody answered us.
    #[serde(default)]
    pub(super) quiet: Option<Quiet>,
    /// When it began on this device, by its clock.
    #[serde(default)]
    pub(super) begun_ms: u64,
    /// It was founded beside a chat, or we asked to enter it from a team.
    #[serde(default)]
    pub(super) is_aside: bool,
    /// What the line for a backup was made of.
    pub(super) lined: Option<Digest>,
}

impl Drop for Saved {
    fn drop(&mut self) {
        self.seed.zeroize();
        self.manage.zeroize();
        if let Some(root) = &mut self.root {
            root.key.zeroize();
        }
        if let Some(way) = &mut self.way_back {
            way.member.zeroize();
        }
    }
}

/// The secret half of an ask for the door's keys.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct DoorAsk(#[serde(with = "serde_bytes")] pub(super) [u8; 32]);

/// When a member was last heard, by the conversation's time.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Heard {
    pub(super) leaf: LeafId,
    pub(super) ms: u64,
    /// The person was told that it is long ago.
    pub(super) is_told: bool,
}

/// What a backup knew that leads back in.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct WayBack {
    /// Secret member key of an epoch since the last rotation.
    #[serde(with = "serde_bytes")]
    pub(super) member: [u8; 32],
    /// The log was read so far.
    pub(super) seq: u64,
}

/// A newcomer by Welcome skips all that stands before the Commit that added it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Passing {
    /// That Commit's fence number.
    pub(super) fence: u64,
    /// Its first entry was met; a run of them shares the number.
    pub(super) is_met: bool,
}

/// A root key on its way to be used once.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct RootKey {
    #[serde(with = "serde_bytes")]
    pub(super) key: [u8; 32],
    pub(super) retry: RetryId,
    /// The relay's day when the log was first asked for; 0 before.
    pub(super) day: u32,
}

impl RootKey {
    /// The log is asked for on this day, unless it was before.
    pub(super) const fn ask_on(&mut self, day: u32) {
        if self.day == 0 {
            self.day = day;
        }
    }

    /// Whether a relay may have heard of it.
    pub(super) const fn is_asked(&self) -> bool {
        self.day != 0
    }

    /// Asks anew, for what the relay found too old: it was never asked, or the log stands already, which
    /// it then says.
    pub(super) fn renew(&mut self) -> Result<()> {
        (self.retry, self.day) = (super::retry_id()?, 0);
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    Founding,
    Joining,
    Waiting,
    In,
    Leaving,
    Removed,
    Left,
    Paused,
    TurnedAway,
    ShutOut,
}

/// A change of members or rules that the person wanted; rebuilt after every lost race.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Intent {
    Remove(LeafId),
    Promote(LeafId, PublicKey),
    /// Renew the secret, and let go who asked to leave.
    Rotate,
    /// Let go who asked to leave, without the right to renew the secret.
    LetGo,
    /// Renew our own keys.
    Update,
    /// Let in who knocked.
    Add(LeafId),
    /// Tell who knocked that they are not let in.
    TurnAway(LeafId),
}

impl Intent {
    /// Whether it answers a knock, which takes a letter of its own.
    pub(super) const fn answers(&self) -> bool {
        matches!(self, Self::Add(_) | Self::TurnAway(_))
    }
}

/// What we have to say of a Commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verdict {
    pub(super) seq: u64,
    pub(super) opens: bool,
    pub(super) commit: Digest,
}

/// An append that is on its way: sent again, byte for byte, until it is answered.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Flight {
    pub(super) kind: FlightKind,
    #[serde(deserialize_with = "owned_items")]
    pub(super) items: Vec<Item<'static>>,
    pub(super) retry: RetryId,
    pub(super) day: u32,
    pub(super) epoch: u64,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) enum FlightKind {
    Snapshot,
    /// Those in [`Saved::flying`].
    Messages,
    Commit {
        rotates: bool,
        done: Vec<Intent>,
    },
    Farewell,
    Verdict(Verdict),
    /// A KeyPackage for the next Commit of a member.
    Waiting,
    /// At somebody's door.
    Knock,
    /// A no to who knocked.
    TurnAway(LeafId),
    /// The group of an external join, in scratch until it stands in the log.
    Join {
        digest: Digest,
        values: Packed,
    },
}

/// Frames borrow from what they were decoded from; what is kept must not.
fn owned_items<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> core::result::Result<Vec<Item<'static>>, D::Error> {
    let items = Vec::<Item<'de>>::deserialize(deserializer)?;
    Ok(items.into_iter().map(Item::into_owned).collect())
}

/// A message that is on its way.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Flying {
    pub(super) digest: Digest,
    pub(super) number: u64,
}

/// SHA-256 of an entry's sealed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Digest(#[serde(with = "serde_bytes")] pub(super) [u8; 32]);

impl Digest {
    pub(super) fn of(sealed: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(sealed).into())
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ByteString(#[serde(with = "serde_bytes")] pub(super) Vec<u8>);

/// A text as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) author: LeafId,
    pub(super) is_mine: bool,
    pub(super) reply_to: Option<MessageId>,
    pub(super) minute: u64,
    pub(super) is_edited: bool,
    #[serde(default)]
    pub(super) is_retold: bool,
    /// When this device first had it, for keeping it no longer than the rules say.
    pub(super) here_ms: u64,
    pub(super) text: String,
    pub(super) attachment: Option<Attached>,
}

/// An attachment as it is kept with its message.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Attached {
    pub(super) name: String,
    pub(super) media_type: String,
    pub(super) bytes: u64,
    pub(super) log: LogId,
    pub(super) secret: AttachmentSecret,
    #[serde(with = "serde_bytes")]
    pub(super) digest: [u8; 32],
    /// Of ours: what deletes the log.
    pub(super) owner: Option<OwnerKey>,
}

impl core::fmt::Debug for Attached {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Attached(…)")
    }
}

/// Secret grant key that appends to the log of an attachment and manages it.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct OwnerKey(#[serde(with = "serde_bytes")] pub(super) [u8; 32]);

impl core::fmt::Debug for OwnerKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("OwnerKey(…)")
    }
}

impl core::fmt::Debug for Saved {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Saved(…)")
    }
}

impl core::fmt::Debug for Flight {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Flight(…)")
    }
}

/// Encodes a value that only this device reads; field order is free here.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    cbor4ii::serde::to_vec(Vec::new(), value).map_err(|_| {
        Error::new(
            ErrorKind::Internal,
            "a value of the vault cannot be encoded",
        )
    })
}

/// Decodes what [`encode`] wrote; anything else means that the vault is damaged.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    cbor4ii::serde::from_slice(bytes).map_err(|_| {
        Error::new(
            ErrorKind::VaultDamaged,
            "a value of the vault cannot be read",
        )
    })
}

pub(super) fn out_name(number: u64) -> Vec<u8> {
    number_name(OUT, number)
}

/// A name that is a label and a number.
pub(super) fn number_name(label: &[u8], number: u64) -> Vec<u8> {
    [label, &number.to_be_bytes()].concat()
}

/// The number of such a name.
pub(super) fn numbered(name: &[u8], label: &[u8]) -> Option<u64> {
    let number = name.strip_prefix(label)?;
    number.try_into().ok().map(u64::from_be_bytes)
}

pub(super) fn message_name(seq: u64, id: &MessageId) -> Vec<u8> {
    [MESSAGE, &seq.to_be_bytes(), id.as_bytes()].concat()
}

/// Seq and id of a message's name.
pub(super) fn message_of(name: &[u8]) -> Option<(u64, MessageId)> {
    let rest = name.strip_prefix(MESSAGE)?;
    let (seq, id) = rest.split_first_chunk::<8>()?;
    Some((
        u64::from_be_bytes(*seq),
        MessageId::new(id.try_into().ok()?),
    ))
}

pub(super) fn reaction_name(to: &MessageId, by: &LeafId) -> Vec<u8> {
    [REACTION, to.as_bytes(), by.as_bytes()].concat()
}

/// Message id and leaf of a reaction's name.
pub(super) fn reaction_of(name: &[u8]) -> Option<(MessageId, LeafId)> {
    let rest = name.strip_prefix(REACTION)?;
    let (id, by) = rest.split_first_chunk::<16>()?;
    Some((MessageId::new(*id), LeafId::from_slice(by)?))
}

pub(super) fn knock_name(leaf: &LeafId) -> Vec<u8> {
    [KNOCK, leaf.as_bytes()].concat()
}

pub(super) fn upload_name(number: u64) -> Vec<u8> {
    [UPLOAD, &number.to_be_bytes()].concat()
}

pub(super) fn download_name(id: &MessageId) -> Vec<u8> {
    [DOWNLOAD, id.as_bytes()].concat()
}

pub(super) fn here_name(id: &MessageId) -> Vec<u8> {
    [HERE, id.as_bytes()].concat()
}

pub(super) fn discard_name(log: &LogId) -> Vec<u8> {
    [DISCARD, log.as_bytes()].concat()
}

pub(super) fn chunk_name(id: &MessageId, index: u32) -> Vec<u8> {
    [CHUNK, id.as_bytes(), &index.to_be_bytes()].concat()
}

/// The message id behind `prefix`.
pub(super) fn id_of(name: &[u8], prefix: &[u8]) -> Option<MessageId> {
    let id = name.strip_prefix(prefix)?;
    Some(MessageId::new(id.try_into().ok()?))
}

/// A content that waits to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Queued {
    pub(super) content: Content,
    /// Since when, by the conversation's time.
    pub(super) since_ms: u64,
}

/// What waits, by its number.
pub(super) type Waiting = std::collections::BTreeMap<u64, Queued>;
