//! What people say: the plaintext of an application message. SPEC.md, "Messages".
//!
//! ```text
//! spoken    = CBOR { content, opening (32), signature (64) }
//! commitment = HMAC-SHA-256(opening, "sotto/v1/commitment" || log id || epoch (8) || author leaf (32) || SHA-256(content))
//! signature  = Ed25519 by the author's leaf over "sotto/v1/spoken" || commitment
//! ```
//!
//! The commitment stands in the entry, where the relay stamps it without learning anything; with
//! opening and signature a receiver can later prove to moderators what was said, and nobody can
//! prove what was not. MLS's own ChaCha20-Poly1305 does not commit to its key, hence the HMAC.

mod draft;
mod floor;

use hmac::{Hmac, KeyInit, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sotto_protocol::frame::Bytes;
use sotto_protocol::id::{Commitment, LogId, PublicKey};

use crate::attachment::{
    ATTACHMENT_BYTES_MAX, AttachmentSecret, attachment_name_is_fit, media_type_is_fit,
};
use crate::desk::{AuditHead, Rated, Revocation, ShownBadge, SignedKeys};
use crate::link::DoorLink;
use crate::mls::{LeafId, LeafKey};
use crate::people::{SafeCheck, SafeTry};
use crate::random;

pub use draft::DRAFT_BYTES_MAX;
pub(crate) use draft::{Draft, Release, SendBack};
pub use floor::{AGREEMENT_BYTES_MAX, AgreementId};
pub(crate) use floor::{FloorSaid, Proposed, agreement_is_fit};

/// The longest text in bytes: what one run of entries carries, with room for what surrounds it.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// The longest name in bytes; a name is shown to everyone, so a long one is a weapon.
pub const NAME_BYTES_MAX: usize = 64;
/// The longest reaction in bytes: one emoji with its modifiers.
pub const REACTION_BYTES_MAX: usize = 32;
/// Messages in one receipt.
pub(crate) const RECEIPTS_MAX: usize = 1_000;
/// Names in one roster: the members of the largest room.
pub(crate) const ROSTER_MAX: usize = 1_000;
/// Things said before that are told at once to who comes: an evening's chat.
pub(crate) const RETOLD_LINES_MAX: usize = 256;
/// Bytes of all their words together: a quarter of an hour to read, and one run of entries.
pub(crate) const RETOLD_BYTES_MAX: usize = 64 << 10;
/// Places of tickets that are said to be gone at once: a rush that ends with the bell.
pub(crate) const GONE_MAX: usize = 256;
/// Ratings that are told at once: those of such a rush.
pub(crate) const RATED_MAX: usize = 256;
/// Bytes of what somebody is called for; a few words that everybody on duty reads.
pub const CALL_BYTES_MAX: usize = 256;
/// A door's keys as they are handed on: the smallest class holds them with the longest address.
const DOOR_SEALED_BYTES: usize = 1_024;

/// Names a message within its conversation: 16 random bytes of its author.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(#[serde(with = "serde_bytes")] [u8; 16]);

impl MessageId {
    /// A fresh one.
    pub(crate) fn random() -> Result<Self, random::NoRandomness> {
        random::array().map(Self)
    }

    /// Wraps 16 bytes that came from [`MessageId::as_bytes`].
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl core::fmt::Debug for MessageId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("MessageId(…)")
    }
}

/// One thing said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    pub(crate) id: MessageId,
    pub(crate) body: ContentBody,
    /// How many messages this leaf said before; a gap is a message left out.
    pub(crate) count: u64,
    /// Minutes since 1970-01-01, UTC, by the author's clock.
    pub(crate) minute: u64,
}

/// The kinds of things said.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ContentBody {
    /// I am here: sent to newcomers, and once a day where nothing else was said.
    Alive,
    /// What an organisation says of the author.
    Badge(Box<ShownBadge>),
    /// An organisation takes back a badge of some member.
    BadgeRevoked(Box<Revocation>),
    /// A door's keys, sealed to a facilitator who asked for them.
    Door {
        to: LeafId,
        #[serde(with = "serde_bytes")]
        sealed: Vec<u8>,
    },
    /// The author facilitates and lacks the door's keys; they shall be sealed to this HPKE key.
    DoorAsk(PublicKey),
    /// The author's own earlier message now reads so.
    Edit { of: MessageId, text: String },
    /// My name in this conversation, and the public key I would hold `manage` with.
    Hello { name: String, manage: PublicKey },
    /// What supporters of this team's desk need, from a facilitator.
    Desk(Box<SignedKeys>),
    /// An emoji on a message; empty takes it back.
    React { to: MessageId, emoji: String },
    /// A text that answers a message.
    Reply { to: MessageId, text: String },
    /// A text.
    Text(String),
    /// Takes back the author's own messages.
    Delete(MessageId),
    /// Names as the author knows them, for newcomers, who cannot read what was said before them.
    Roster(Vec<RosterLine>),
    /// Somebody is writing.
    Typing,
    /// Something to look at or to listen to, in a log of its own.
    Attach(Box<Attach>),
    /// Messages the author has read.
    Receipt(Vec<MessageId>),
    /// What was said before somebody came, as the author tells it them.
    Retold(Vec<RetoldLine>),
    /// The author asks who is here to come into another conversation, by knocking at its door.
    Call(Box<Call>),
    /// The author goes off the line here.
    Away,
    /// What to know the author by, should they come back from nothing.
    SafeWord(SafeCheck),
    /// The author came back, and gives their safe word, or none.
    SafeTry(SafeTry),
    /// The author is about to answer a ticket of this team's desk.
    Taken(Taken),
    /// Who may speak from here on, from who holds the talk.
    Floor(FloorSaid),
    /// Nobody speaks from here on.
    Stop,
    /// As far as the author is concerned, the talk may go on.
    GoOn,
    /// What all are to agree on, from who holds the talk.
    Agreement(Box<Proposed>),
    /// The author agrees to it.
    Agree(AgreementId),
    /// Words for another conversation, to be read here first.
    Draft(Box<Draft>),
    /// Somebody else's draft may go out.
    Release(Box<Release>),
    /// It may not.
    SendBack(Box<SendBack>),
    /// The talk ends at this minute since 1970-01-01, UTC; at 0 never.
    Until(u64),
    /// Nothing more is said here from this minute since 1970-01-01, UTC.
    Closes(u64),
    /// These rated this team's desk.
    Rated(Vec<Rated>),
    /// Those who asked at these places of the queue went before somebody answered.
    Gone(Vec<u64>),
    /// How far the records of this team's desk go, as something was taken out of them.
    Audited(AuditHead),
}

/// A ticket that a supporter claims, and how long it had waited.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Taken {
    /// Its place in the queue's log.
    pub(crate) seq: u64,
    /// Nothing if the author's device did not see it come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wait: Option<TakenWait>,
    /// It is a letter.
    pub(crate) letter: bool,
}

/// How long a ticket waited.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakenWait {
    /// Those before it when it came.
    pub(crate) ahead: u32,
    pub(crate) seconds: u32,
}

/// One thing said before, in somebody's retelling: nothing proves it but their word.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetoldLine {
    /// What its author was called; empty if nobody knows any more.
    pub(crate) name: String,
    #[serde(rename = "text")]
    pub(crate) words: String,
    pub(crate) minute: u64,
}

/// Where one is asked to come, and what for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    pub(crate) asks: String,
    pub(crate) door: DoorLink,
}

impl core::fmt::Debug for RetoldLine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("RetoldLine(…)")
    }
}

impl core::fmt::Debug for Call {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Call(…)")
    }
}

/// Where an attachment lies, how it opens, and what it is by its author's word.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attach {
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<MessageId>,
    pub(crate) log: LogId,
    pub(crate) name: String,
    /// What is said with it; may be empty.
    pub(crate) text: String,
    #[serde(rename = "type")]
    pub(crate) media_type: String,
    pub(crate) bytes: u64,
    /// SHA-256 of all its bytes.
    #[serde(with = "serde_bytes")]
    pub(crate) digest: [u8; 32],
    pub(crate) secret: AttachmentSecret,
}

impl core::fmt::Debug for Attach {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Attach(…)")
    }
}

impl core::fmt::Debug for ContentBody {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ContentBody(…)")
    }
}

/// One name of a roster.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RosterLine {
    pub(crate) leaf: LeafId,
    pub(crate) name: String,
    pub(crate) manage: PublicKey,
}

impl core::fmt::Debug for RosterLine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("RosterLine(…)")
    }
}

/// What travels inside the PrivateMessage.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spoken<'a> {
    #[serde(borrow)]
    content: Bytes<'a>,
    #[serde(with = "serde_bytes")]
    opening: [u8; 32],
    #[serde(with = "serde_bytes")]
    signature: [u8; 64],
}

/// Who says something, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) log: &'a LogId,
    pub(crate) epoch: u64,
    pub(crate) author: LeafId,
}

/// The content cannot be read or does not open its commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is not what its commitment says")]
pub(crate) struct Unproven;

/// Bytes for MLS to encrypt, and the commitment for the entry.
pub(crate) fn speak(
    place: Place<'_>,
    key: &LeafKey,
    content: &Content,
) -> Result<(Vec<u8>, Commitment), Unproven> {
    let opening = random::array().map_err(|_| Unproven)?;
    speak_opening(place, key, content, opening)
}

/// [`speak`], with an opening that is given: never the same one twice, but for golden vectors.
pub(crate) fn speak_opening(
    place: Place<'_>,
    key: &LeafKey,
    content: &Content,
    opening: [u8; 32],
) -> Result<(Vec<u8>, Commitment), Unproven> {
    let content = sotto_protocol::cbor::encode(content).map_err(|_| Unproven)?;
    let commitment = commit(place, &opening, &content);
    let spoken = Spoken {
        content: content.into(),
        opening,
        signature: key.sign(&signed(&commitment)),
    };
    Ok((
        sotto_protocol::cbor::encode(&spoken).map_err(|_| Unproven)?,
        commitment,
    ))
}

/// The content, if it opens the entry's commitment and the author signed that.
pub(crate) fn listen(
    place: Place<'_>,
    spoken: &[u8],
    commitment: &Commitment,
) -> Result<Content, Unproven> {
    let spoken: Spoken<'_> = sotto_protocol::cbor::decode(spoken).map_err(|_| Unproven)?;
    let content = spoken.content.as_slice();
    if commit(place, &spoken.opening, content) != *commitment
        || !place
            .author
            .verifies(&signed(commitment), &spoken.signature)
    {
        return Err(Unproven);
    }
    let content: Content = sotto_protocol::cbor::decode(content).map_err(|_| Unproven)?;
    if content.body.is_within_limits() {
        Ok(content)
    } else {
        Err(Unproven)
    }
}

fn commit(place: Place<'_>, opening: &[u8; 32], content: &[u8]) -> Commitment {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(opening).expect("any length");
    mac.update(b"sotto/v1/commitment");
    mac.update(place.log.as_bytes());
    mac.update(&place.epoch.to_be_bytes());
    mac.update(place.author.as_bytes());
    mac.update(&Sha256::digest(content));
    Commitment::new(mac.finalize().into_bytes().into())
}

fn signed(commitment: &Commitment) -> Vec<u8> {
    [b"sotto/v1/spoken".as_slice(), commitment.as_bytes()].concat()
}

impl ContentBody {
    /// Checked on both sides: a client of ours never sends more, a hostile one is not shown.
    pub(crate) fn is_within_limits(&self) -> bool {
        match self {
            Self::Alive
            | Self::Taken(_)
            | Self::Until(_)
            | Self::Closes(_)
            | Self::Stop
            | Self::GoOn
            | Self::Agree(_)
            | Self::Audited(_)
            | Self::Typing
            | Self::Away
            | Self::SafeWord(_)
            | Self::SafeTry(_)
            | Self::Delete(_)
            | Self::DoorAsk(_)
            | Self::BadgeRevoked(_) => true,
            Self::Draft(draft) => draft.is_within_limits(),
            Self::Release(release) => release.is_within_limits(),
            Self::SendBack(back) => back.is_within_limits(),
            Self::Floor(said) => said.is_within_limits(),
            Self::Agreement(proposed) => proposed.is_within_limits(),
            Self::Badge(shown) => shown.is_within_limits(),
            Self::Desk(keys) => keys.is_within_limits(),
            Self::Door { sealed, .. } => sealed.len() == DOOR_SEALED_BYTES,
            Self::Edit { text, .. } | Self::Reply { text, .. } | Self::Text(text) => {
                text.len() <= TEXT_BYTES_MAX
            }
            Self::Hello { name, .. } => name_is_fit(name),
            Self::React { emoji, .. } => emoji.len() <= REACTION_BYTES_MAX,
            Self::Roster(lines) => {
                lines.len() <= ROSTER_MAX && lines.iter().all(|line| name_is_fit(&line.name))
            }
            Self::Attach(attach) => {
                attach.text.len() <= TEXT_BYTES_MAX
                    && attach.bytes <= ATTACHMENT_BYTES_MAX
                    && attachment_name_is_fit(&attach.name)
                    && media_type_is_fit(&attach.media_type)
            }
            Self::Receipt(of) => of.len() <= RECEIPTS_MAX,
            Self::Retold(lines) => retold_is_fit(lines),
            Self::Call(call) => call_is_fit(&call.asks),
            Self::Rated(rated) => (1..=RATED_MAX).contains(&rated.len()),
            Self::Gone(seqs) => (1..=GONE_MAX).contains(&seqs.len()),
        }
    }

    /// Whether a desk's team says it of those who ask.
    pub(crate) const fn is_of_desk(&self) -> bool {
        matches!(
            self,
            Self::Taken(_) | Self::Rated(_) | Self::Gone(_) | Self::Audited(_)
        )
    }

    /// Whether an app shows it as a message.
    pub(crate) const fn is_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Reply { .. } | Self::Attach(_))
    }

    /// Whether nobody wants it any more once it is old; what must reach the others does not expire.
    pub(crate) const fn may_expire(&self) -> bool {
        !matches!(
            self,
            Self::Hello { .. }
                | Self::Badge(_)
                | Self::BadgeRevoked(_)
                | Self::Roster(_)
                | Self::Delete(_)
                | Self::Door { .. }
                | Self::DoorAsk(_)
                | Self::Desk(_)
                | Self::Retold(_)
                | Self::Until(_)
                | Self::Closes(_)
                | Self::Rated(_)
                | Self::Draft(_)
                | Self::Release(_)
                | Self::SendBack(_)
                | Self::Floor(_)
                | Self::Stop
                | Self::GoOn
                | Self::Agreement(_)
                | Self::Agree(_)
                | Self::Gone(_)
                | Self::Audited(_)
                | Self::SafeWord(_)
                | Self::SafeTry(_)
        )
    }
}

fn retold_is_fit(lines: &[RetoldLine]) -> bool {
    let bytes: usize = lines.iter().map(|line| line.words.len()).sum();
    (1..=RETOLD_LINES_MAX).contains(&lines.len())
        && bytes <= RETOLD_BYTES_MAX
        && lines
            .iter()
            .all(|line| line.name.is_empty() || name_is_fit(&line.name))
}

/// What somebody is called for is one short line.
pub(crate) fn call_is_fit(asks: &str) -> bool {
    let trick = |c: char| c.is_control() || misleads(c);
    !asks.trim().is_empty() && asks.len() <= CALL_BYTES_MAX && !asks.chars().any(trick)
}

/// A name is short and has no control characters.
pub(crate) fn name_is_fit(name: &str) -> bool {
    let trick = |c: char| c.is_control() || misleads(c);
    !name.trim().is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(trick)
}

/// Whether a character changes the direction of text, or is not seen at all, so that a line seems to say
/// something else or two names look alike. Those that join letters and emoji may stay.
pub(crate) const fn misleads(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0e}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

#[cfg(test)]
mod tests;
