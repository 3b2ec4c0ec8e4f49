//! What a desk says of itself, signed by its organisation. SPEC.md, "Card".
//!
//! ```text
//! sealed    = nonce (24, random) || XChaCha20-Poly1305(seal key, nonce, ad, plaintext)
//! ad        = "sotto/v1/card" || id of the card's log (32)
//! plaintext = length (4, big-endian) || SignedCard (CBOR) || zeros, to a size class of 4 KiB or more
//! signature = Ed25519(organisation, "sotto/v1/card" || log id (32) || SHA-256(card (CBOR)))
//! ```

use core::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sotto_protocol::cbor;
use sotto_protocol::frame::Bytes;
use sotto_protocol::id::{LogId, PublicKey, RelayIdentity, Signature};
use sotto_protocol::size_class::SizeClass;

use super::address::{CardKeys, DeskFingerprint, OrganisationId, OrganisationKey};
use super::hours::{Door, Hours};
use super::range::DeskPace;
use crate::error::{Error, ErrorKind, Result};
use crate::mls::Suite;
use crate::seal::{Draw, open_box, seal_box};
use crate::time::DAY_MS;

/// Bytes of the longest name of a desk.
pub const DESK_NAME_BYTES_MAX: usize = 128;
/// The most topics, the most languages, and the most entries of what supporters have been through.
pub const DESK_TOPICS_MAX: usize = 24;
/// Bytes of the longest topic, language, or entry of what supporters have been through.
pub const DESK_TOPIC_BYTES_MAX: usize = 48;
/// Bytes of the longest words on the limits of confidentiality.
pub const DESK_TERMS_BYTES_MAX: usize = 3_072;
/// The most resources for a crisis.
pub const DESK_RESOURCES_MAX: usize = 8;
/// Bytes of the longest way to reach such a resource; its name is as long as a topic at most.
const RESOURCE_BYTES_MAX: usize = 256;
/// No card is smaller in its log, so that a short one looks like most.
const FLOOR: SizeClass = SizeClass::K4;
/// A desk that closes in less than this is one that ends soon.
const SOON_MS: u64 = 30 * 60_000;
/// What signatures and boxes of cards begin with.
const LABEL: &[u8] = b"sotto/v1/card";

/// What a desk says of itself: what it is for, when it is open, where to ask, and what a seeker must
/// know before the first word.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Which of the organisation's desks.
    pub(crate) desk: u8,
    pub(crate) name: String,
    /// How fast it answers, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pace: Option<DeskPace>,
    pub(crate) hours: Hours,
    /// Where tickets go.
    pub(crate) queue: QueueKeys,
    /// The relay that all of this is on.
    pub(crate) relay: RelayIdentity,
    /// Of the conversations that begin here.
    pub(crate) suite: Suite,
    /// The last day (UTC) on which the card is to be believed.
    pub(crate) until: u32,
    /// Counts up from card to card.
    pub(crate) number: u64,
    pub(crate) topics: Vec<String>,
    /// Where letters go.
    pub(crate) letters: QueueKeys,
    /// How long a chat may be, stated at its start; 0 is without a limit.
    pub(crate) minutes: u32,
    /// The HPKE public key that tickets and letters are sealed to.
    pub(crate) sealing: PublicKey,
    /// Tickets that may wait.
    pub(crate) capacity: u32,
    pub(crate) languages: Vec<String>,
    pub(crate) resources: Vec<Resource>,
    /// What supporters here have been through themselves.
    pub(crate) been_there: Vec<String>,
    /// Chats that one supporter has at a time; 0 is without a limit.
    pub(crate) chats_each: u8,
    pub(crate) organisation: OrganisationId,
    pub(crate) confidentiality: Confidentiality,
}

/// A log that strangers append to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueKeys {
    pub(crate) log: LogId,
    /// Secret grant key (X25519) that may append.
    #[serde(with = "serde_bytes")]
    pub(crate) append: [u8; 32],
}

impl fmt::Debug for QueueKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueKeys(…)")
    }
}

/// Help in a crisis that needs no relay: a phone number, a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// How it is reached.
    pub how: String,
    /// What it is called.
    pub name: String,
}

/// What the organisation says of where confidentiality ends; shown before the first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confidentiality {
    /// The words.
    pub words: String,
    /// Counts up whenever the words change.
    pub version: u32,
}

/// How a desk stands. Never an error: each leaves [choices](DeskState::choices).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeskState {
    /// Ask now.
    Open {
        /// When it closes, in milliseconds since 1970-01-01; nothing if around the clock.
        until_ms: Option<u64>,
    },
    /// Ask now, and be told that little time is left.
    EndsSoon {
        /// When it closes.
        until_ms: u64,
    },
    /// Nobody is there.
    Closed {
        /// When it opens; nothing if that is not in sight.
        opens_ms: Option<u64>,
    },
    /// As many wait as may.
    Full,
    /// The card is out of date: whoever renewed it does so no more, or the relay hides the new one.
    Stale,
}

/// What a person can do about a desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Choice {
    /// Ask for somebody, and wait.
    Ask,
    /// Write a letter, answered when they come back with their return words.
    Letter,
    /// Go to another desk.
    OtherDesk,
    /// Use what the card names for a crisis.
    Resources,
}

impl DeskState {
    /// What a person can do now.
    #[must_use]
    pub const fn choices(&self) -> &'static [Choice] {
        match self {
            Self::Open { .. } | Self::EndsSoon { .. } => &[
                Choice::Ask,
                Choice::Letter,
                Choice::OtherDesk,
                Choice::Resources,
            ],
            Self::Closed { .. } | Self::Full => {
                &[Choice::Letter, Choice::OtherDesk, Choice::Resources]
            }
            // Whoever held the sealing key may be gone.
            Self::Stale => &[Choice::OtherDesk, Choice::Resources],
        }
    }

    /// Whether one may ask.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::EndsSoon { .. })
    }

    /// The same, where as many wait as may.
    #[must_use]
    pub const fn if_full(self, is_full: bool) -> Self {
        if is_full && self.is_open() {
            Self::Full
        } else {
            self
        }
    }

    /// A stable name for bindings and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::EndsSoon { .. } => "ends_soon",
            Self::Closed { .. } => "closed",
            Self::Full => "full",
            Self::Stale => "stale",
        }
    }
}

/// A card and the organisation's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedCard<'a> {
    #[serde(borrow)]
    pub(crate) card: Bytes<'a>,
    pub(crate) signature: Signature,
}

/// What was found in a card's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The newest card of this desk.
    Card(Box<Card>),
    /// Nothing at all.
    Nothing,
    /// Something, but no card that the desk's organisation signed.
    Foreign,
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card(…)")
    }
}

impl Card {
    /// What the desk is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
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

    /// Counts up from card to card.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// What one can ask about.
    #[must_use]
    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    /// In which languages.
    #[must_use]
    pub fn languages(&self) -> &[String] {
        &self.languages
    }

    /// What supporters here have been through themselves.
    #[must_use]
    pub fn been_there(&self) -> &[String] {
        &self.been_there
    }

    /// When it is open.
    #[must_use]
    pub const fn hours(&self) -> &Hours {
        &self.hours
    }

    /// How many may wait.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// How many chats a supporter has at a time.
    #[must_use]
    pub const fn chats_each(&self) -> u8 {
        self.chats_each
    }

    /// How long a chat may be, in minutes; nothing if there is no limit.
    #[must_use]
    pub fn minutes(&self) -> Option<u32> {
        Some(self.minutes).filter(|minutes| *minutes > 0)
    }

    /// Where confidentiality ends. Show it before the first message.
    #[must_use]
    pub const fn confidentiality(&self) -> &Confidentiality {
        &self.confidentiality
    }

    /// Help in a crisis that needs no relay.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The suite of conversations that begin here.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The relay that the desk is on.
    #[must_use]
    pub const fn relay(&self) -> &RelayIdentity {
        &self.relay
    }

    /// The last day, in days since 1970-01-01, UTC, on which the card is to be believed.
    #[must_use]
    pub const fn until(&self) -> u32 {
        self.until
    }

    /// How the desk stands at this moment by its card alone; whether it is full its queue says.
    #[must_use]
    pub fn state(&self, now_ms: u64) -> DeskState {
        if now_ms / DAY_MS > u64::from(self.until) {
            return DeskState::Stale;
        }
        match self.hours.door(now_ms) {
            Door::Closed(opens_ms) => DeskState::Closed { opens_ms },
            Door::Open(Some(until_ms)) if until_ms.saturating_sub(now_ms) < SOON_MS => {
                DeskState::EndsSoon { until_ms }
            }
            Door::Open(until_ms) => DeskState::Open { until_ms },
        }
    }

    /// When it closes, if it is open and does so at a known time.
    pub(crate) fn closes_ms(&self, now_ms: u64) -> Option<u64> {
        match self.state(now_ms) {
            DeskState::Open { until_ms } => until_ms,
            DeskState::EndsSoon { until_ms } => Some(until_ms),
            DeskState::Closed { .. } | DeskState::Full | DeskState::Stale => None,
        }
    }

    /// A state in words, on the desk's own clock: `ends at 13:15 (Europe/Berlin)`.
    #[must_use]
    pub fn says(&self, state: DeskState, now_ms: u64) -> String {
        let zone = self.hours.zone_name();
        let moment = |at_ms| self.hours.moment(at_ms, now_ms);
        match state {
            DeskState::Open { until_ms } => match until_ms.and_then(moment) {
                Some(at) => format!("open; ends {at} ({zone})"),
                None => "open".to_owned(),
            },
            DeskState::EndsSoon { until_ms } => match moment(until_ms) {
                Some(at) => format!("ends {at} ({zone})"),
                None => "ends soon".to_owned(),
            },
            DeskState::Closed { opens_ms } => match opens_ms.and_then(moment) {
                Some(at) => format!("closed; opens {at} ({zone})"),
                None => "closed; when it opens is not known".to_owned(),
            },
            DeskState::Full => "full: as many wait as can be answered".to_owned(),
            DeskState::Stale => {
                "out of date: nobody has renewed what this desk says of itself".to_owned()
            }
        }
    }

    pub(crate) fn fingerprint(&self) -> DeskFingerprint {
        DeskFingerprint::of(&self.organisation, self.desk)
    }

    /// Whether it keeps to the limits of the specification.
    pub(crate) fn is_sound(&self) -> bool {
        let few = |all: &[String]| {
            all.len() <= DESK_TOPICS_MAX
                && all.iter().all(|one| line_is_fit(one, DESK_TOPIC_BYTES_MAX))
        };
        line_is_fit(&self.name, DESK_NAME_BYTES_MAX)
            && few(&self.topics)
            && few(&self.languages)
            && few(&self.been_there)
            && self.hours.is_sound()
            && text_is_fit(&self.confidentiality.words, DESK_TERMS_BYTES_MAX)
            && self.resources.len() <= DESK_RESOURCES_MAX
            && self.resources.iter().all(|one| {
                line_is_fit(&one.name, DESK_TOPIC_BYTES_MAX)
                    && line_is_fit(&one.how, RESOURCE_BYTES_MAX)
            })
    }

    /// The entry of the card's log.
    pub(crate) fn seal(&self, key: &OrganisationKey, keys: &CardKeys) -> Result<Vec<u8>> {
        self.seal_drawing(key, keys, &mut crate::random::fill)
    }

    /// [`Card::seal`], with randomness that is given.
    pub(crate) fn seal_drawing(
        &self,
        key: &OrganisationKey,
        keys: &CardKeys,
        draw: Draw<'_>,
    ) -> Result<Vec<u8>> {
        let is_ours = key.id() == self.organisation && self.fingerprint() == keys.fingerprint;
        if !is_ours || !self.is_sound() {
            let what = "a desk's card is too long, or is not of the desk that it goes to";
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let fault = || Error::new(ErrorKind::Internal, "a desk's card could not be sealed");
        let card = cbor::encode(self).map_err(|_| fault())?;
        let signature = Signature::new(key.sign(&signed(&keys.log, &card)));
        let card = Bytes::from(card);
        let signed = cbor::encode(&SignedCard { card, signature }).map_err(|_| fault())?;
        seal_box(
            &keys.seal,
            &associated_data(&keys.log),
            &signed,
            FLOOR,
            draw,
        )
        .map_err(|error| fault().because(error))
    }

    /// What an entry of the log holds, if it is a card that this desk's organisation signed.
    pub(crate) fn open(keys: &CardKeys, sealed: &[u8]) -> Option<Self> {
        let opened = open_box(&keys.seal, &associated_data(&keys.log), sealed).ok()?;
        let SignedCard {
            card: bytes,
            signature,
        } = cbor::decode(&opened).ok()?;
        let card: Self = cbor::decode(bytes.as_slice()).ok()?;
        let is_ours = card.fingerprint() == keys.fingerprint
            && card
                .organisation
                .verifies(&signed(&keys.log, bytes.as_slice()), signature.as_bytes());
        (is_ours && card.is_sound()).then_some(card)
    }

    /// The card with the highest number among a log's entries; of two with one number the later.
    pub(crate) fn newest<'a>(
        keys: &CardKeys,
        entries: impl IntoIterator<Item = &'a [u8]>,
    ) -> Reading {
        let mut reading = Reading::Nothing;
        for sealed in entries {
            let Some(card) = Self::open(keys, sealed) else {
                if reading == Reading::Nothing {
                    reading = Reading::Foreign;
                }
                continue;
            };
            let is_newer = match &reading {
                Reading::Card(known) => known.number <= card.number,
                _ => true,
            };
            if is_newer {
                reading = Reading::Card(Box::new(card));
            }
        }
        reading
    }
}

fn associated_data(log: &LogId) -> Vec<u8> {
    [LABEL, log.as_bytes()].concat()
}

fn signed(log: &LogId, card: &[u8]) -> Vec<u8> {
    let digest: [u8; 32] = Sha256::digest(card).into();
    [LABEL, log.as_bytes(), &digest].concat()
}

/// One line, without what could make it look like another.
fn line_is_fit(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max && !text.trim().is_empty() && !text.chars().any(is_trick)
}

/// The same, of several lines.
fn text_is_fit(text: &str, bytes_max: usize) -> bool {
    let is_trick = |c: char| c != '\n' && is_trick(c);
    text.len() <= bytes_max && !text.trim().is_empty() && !text.chars().any(is_trick)
}

fn is_trick(c: char) -> bool {
    c.is_control() || crate::content::misleads(c)
}
