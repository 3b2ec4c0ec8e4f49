//! What a desk's supporters share, and what its organisation decides of it. SPEC.md, "Team".

use core::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sotto_protocol::cbor;
use sotto_protocol::id::{LogId, RelayIdentity, Signature};
use sotto_protocol::proof::public_key;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use super::address::{CardKeys, DeskFingerprint, OrganisationId, OrganisationKey};
use super::card::{Card, Confidentiality, QueueKeys, Resource};
use super::hours::Hours;
use super::range::DeskPace;
use crate::error::{Error, ErrorKind, Result};
use crate::mls::Suite;

/// Opening keys that a desk has at most: two departures on every day that a letter lives. What is
/// sealed to none of them is tried with each, which still takes milliseconds.
pub(crate) const OPENINGS_MAX: usize = 64;
/// Days a letter lives that nobody answered.
pub(crate) const LETTERS_TTL_DAYS: u16 = 30;
/// Bytes of a desk's keys as they are signed: with as many opening keys as there may be they fit.
const KEYS_BYTES_MAX: usize = 4_096;
/// What the organisation's signature of a desk's keys begins with.
const LABEL: &[u8] = b"sotto/v1/desk-keys";

/// HPKE secret key that tickets are sealed to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct OpeningKey(#[serde(with = "serde_bytes")] pub(crate) [u8; 32]);

/// The opening keys of a desk, as its office keeps them: the present card's last.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Openings(Vec<Opening>);

#[derive(Clone, Serialize, Deserialize)]
struct Opening {
    key: OpeningKey,
    /// The day (UTC) on which a card with another key took the place of the last one with this.
    over: Option<u32>,
}

impl Openings {
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    /// As supporters get them.
    pub(crate) fn keys(&self) -> Vec<OpeningKey> {
        let keys = self.0.iter().map(|opening| opening.key.clone());
        keys.collect()
    }

    /// A fresh key for the next card. Past the most that there may be the oldest goes.
    pub(crate) fn renew(&mut self, key: [u8; 32]) {
        self.0.push(Opening {
            key: OpeningKey(key),
            over: None,
        });
        let surplus = self.0.len().saturating_sub(OPENINGS_MAX);
        self.0.drain(..surplus);
    }

    /// The newest card stands: from today on nothing is sealed to the keys before its own.
    pub(crate) fn card_stands(&mut self, today: u32) {
        let before = self.0.len().saturating_sub(1);
        for opening in self.0.iter_mut().take(before) {
            opening.over = opening.over.or(Some(today));
        }
    }

    /// Drops the keys of which nothing lies in a queue any more: a letter may be as old as its key is
    /// over, and a relay a day behind. Whether there were any.
    pub(crate) fn forget(&mut self, today: u32) -> bool {
        let last = |over: u32| over.saturating_add(u32::from(LETTERS_TTL_DAYS) + 1);
        let before = self.0.len();
        let is_needed = |opening: &Opening| opening.over.is_none_or(|over| today <= last(over));
        self.0.retain(is_needed);
        self.0.len() != before
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpeningKey(…)")
    }
}

/// What an organisation decides of a desk; its card says it to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskPlan {
    /// Which of the organisation's desks it is.
    pub desk: u8,
    /// What it is called.
    pub name: String,
    /// What one can ask about.
    pub topics: Vec<String>,
    /// In which languages.
    pub languages: Vec<String>,
    /// What supporters here have been through themselves.
    pub been_there: Vec<String>,
    /// When it is open.
    pub hours: Hours,
    /// Tickets that may wait.
    pub capacity: u32,
    /// Chats that one supporter has at a time; 0 is without a limit.
    pub chats_each: u8,
    /// How long a chat may be; 0 is without a limit.
    pub minutes: u32,
    /// Where confidentiality ends.
    pub confidentiality: Confidentiality,
    /// Help in a crisis that needs no relay.
    pub resources: Vec<Resource>,
    /// Days for which a card is believed; it is renewed long before.
    pub days: u16,
}

/// A desk that is about to be founded in a team's room.
#[derive(Clone)]
pub struct DeskFounding {
    /// Seed of the organisation's key.
    pub(crate) organisation: Zeroizing<[u8; 32]>,
    pub(crate) plan: DeskPlan,
    pub(crate) card: CardKeys,
}

impl fmt::Debug for DeskFounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeskFounding(…)")
    }
}

#[cfg(feature = "native")]
impl DeskFounding {
    /// Takes 64 MiB and a good part of a second: do it where it stops nobody.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal).
    pub fn new(organisation: &OrganisationKey, plan: DeskPlan) -> Result<Self> {
        let fingerprint = DeskFingerprint::of(&organisation.id(), plan.desk);
        Ok(Self {
            card: CardKeys::of(fingerprint)?,
            organisation: organisation.seed(),
            plan,
        })
    }
}

/// What every supporter of a desk has. The organisation signs it and a facilitator says it in the
/// team's room; the one with the highest number counts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeskKeys {
    /// Which of the organisation's desks.
    pub(crate) desk: u8,
    /// Secret grant key (X25519) that reads both queues and claims in them.
    #[serde(with = "serde_bytes")]
    pub(crate) claim: [u8; 32],
    /// Where tickets lie.
    pub(crate) queue: LogId,
    /// Of the chats.
    pub(crate) suite: Suite,
    /// Counts up with each renewal.
    pub(crate) number: u64,
    /// Where letters lie.
    pub(crate) letters: LogId,
    /// How long a chat may be; nothing without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) minutes: Option<u32>,
    /// What tickets are sealed to, the present card's last.
    pub(crate) openings: Vec<OpeningKey>,
    /// Chats that one supporter has at a time; 0 is without a limit.
    pub(crate) chats_each: u8,
    pub(crate) organisation: OrganisationId,
}

impl fmt::Debug for DeskKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeskKeys(…)")
    }
}

impl DeskKeys {
    /// Checked on both sides.
    pub(crate) fn is_within_limits(&self) -> bool {
        (1..=OPENINGS_MAX).contains(&self.openings.len()) && self.queue != self.letters
    }
}

/// A desk's keys as they are said in the room of `log`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedKeys {
    #[serde(with = "serde_bytes")]
    keys: Vec<u8>,
    signature: Signature,
}

impl fmt::Debug for SignedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedKeys(…)")
    }
}

impl SignedKeys {
    pub(crate) fn sign(key: &OrganisationKey, log: &LogId, keys: &DeskKeys) -> Result<Self> {
        let what = "a desk's keys cannot be encoded";
        let keys = cbor::encode(keys).map_err(|_| Error::new(ErrorKind::Internal, what))?;
        Ok(Self {
            signature: Signature::new(key.sign(&signed(log, &keys))),
            keys,
        })
    }

    /// The keys, if the organisation that they name signed them for this room.
    pub(crate) fn open(&self, log: &LogId) -> Option<DeskKeys> {
        let keys: DeskKeys = cbor::decode(&self.keys).ok()?;
        let message = signed(log, &self.keys);
        let signature = self.signature.as_bytes();
        let is_sound = keys.organisation.verifies(&message, signature);
        (is_sound && keys.is_within_limits()).then_some(keys)
    }

    #[cfg(test)]
    pub(crate) fn set_keys(&mut self, keys: Vec<u8>) {
        self.keys = keys;
    }

    /// Checked on both sides, before anything of it is read.
    pub(crate) const fn is_within_limits(&self) -> bool {
        self.keys.len() <= KEYS_BYTES_MAX
    }
}

fn signed(log: &LogId, keys: &[u8]) -> Vec<u8> {
    [LABEL, log.as_bytes(), &Sha256::digest(keys)].concat()
}

/// What the card says beside the plan.
pub(crate) struct CardFigures<'a> {
    pub(crate) number: u64,
    pub(crate) until: u32,
    pub(crate) pace: Option<DeskPace>,
    pub(crate) relay: RelayIdentity,
    pub(crate) keys: &'a DeskKeys,
    /// Secret grant keys that append to the queue and to the letters.
    pub(crate) appends: (&'a [u8; 32], &'a [u8; 32]),
}

impl DeskPlan {
    /// The card of this plan.
    pub(crate) fn card(&self, figures: &CardFigures<'_>) -> Option<Card> {
        let keys = figures.keys;
        let opening = keys.openings.last()?;
        Some(Card {
            desk: self.desk,
            name: self.name.clone(),
            pace: figures.pace,
            hours: self.hours.clone(),
            queue: QueueKeys {
                log: keys.queue,
                append: *figures.appends.0,
            },
            relay: figures.relay,
            suite: keys.suite,
            until: figures.until,
            number: figures.number,
            topics: self.topics.clone(),
            letters: QueueKeys {
                log: keys.letters,
                append: *figures.appends.1,
            },
            minutes: self.minutes,
            sealing: public_key(&StaticSecret::from(opening.0)),
            capacity: self.capacity,
            languages: self.languages.clone(),
            resources: self.resources.clone(),
            been_there: self.been_there.clone(),
            chats_each: self.chats_each,
            organisation: keys.organisation,
            confidentiality: self.confidentiality.clone(),
        })
    }
}
