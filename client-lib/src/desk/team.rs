//! What a desk's supporters share, and what its organisation decides of it. SPEC.md, "Team".

use core::fmt;

use serde::{Deserialize, Serialize};
use sotto_protocol::id::{LogId, RelayIdentity};
use sotto_protocol::proof::public_key;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use super::address::{CardKeys, DeskFingerprint, OrganisationId, OrganisationKey};
use super::card::{Card, Confidentiality, QueueKeys, Resource};
use super::hours::Hours;
use crate::error::Result;
use crate::mls::Suite;

/// Opening keys that supporters keep: tickets sealed to an older card than so many have expired.
pub(crate) const OPENINGS_MAX: usize = 8;

/// HPKE secret key that tickets are sealed to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct OpeningKey(#[serde(with = "serde_bytes")] pub(crate) [u8; 32]);

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
    /// Chats that one supporter has at a time.
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

/// What every supporter of a desk has. A facilitator says it in the team's room; the one with the
/// highest number counts.
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
    /// What tickets are sealed to, the present card's last.
    pub(crate) openings: Vec<OpeningKey>,
    /// Chats that one supporter has at a time.
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

/// What the card says beside the plan.
pub(crate) struct CardFigures<'a> {
    pub(crate) number: u64,
    pub(crate) until: u32,
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
