//! What only the device that runs a desk has, its *office*: the organisation's key, what manages the
//! desk's logs, and how far the relay and the room know the newest of it. What is done with it is in
//! `desk`. SPEC.md, "Team".

use core::fmt;

use serde::{Deserialize, Serialize};
use sotto_protocol::frame::{Grant, Policy as LogPolicy};
use sotto_protocol::limits::TTL_FENCED_DAYS_DEFAULT;
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use x25519_dalek::StaticSecret;

use super::begin::grant;
use super::saved::RootKey;
use crate::desk::{
    CardKeys, DeskKeys, DeskPace, DeskPlan, LETTERS_TTL_DAYS, Openings, OrganisationKey,
};
use crate::log::NewLog;
use crate::mls::LeafId;

/// Days a ticket lives: long past the evening it was written, and not for another week.
const QUEUE_TTL_DAYS: u16 = 2;
/// Tickets a minute by everybody who has the card: the pupils of a school in one break.
const TICKETS_PER_MINUTE: u32 = 600;
/// Bytes that one ticket counts for at the relay: both of its parts.
const TICKET_BYTES: u64 = 8_192;
/// Tickets that may wait at most: a queue of them stays far below what a relay lets a log hold.
pub(super) const CAPACITY_MAX: u32 = 10_000;
/// Letters that may wait.
const LETTERS_MAX: u64 = 1_024;

/// Which log of a desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DeskLog {
    Card,
    Queue,
    Letters,
}

impl DeskLog {
    pub(super) const ALL: [Self; 3] = [Self::Card, Self::Queue, Self::Letters];
}

/// What only the device that runs the desk has.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Office {
    #[serde(with = "serde_bytes")]
    pub(super) organisation: [u8; 32],
    pub(super) plan: DeskPlan,
    pub(super) card: CardKeys,
    /// Secret grant key that manages all three logs.
    #[serde(with = "serde_bytes")]
    pub(super) manage: [u8; 32],
    /// Secret grant keys that the card hands out.
    #[serde(with = "serde_bytes")]
    pub(super) queue_append: [u8; 32],
    #[serde(with = "serde_bytes")]
    pub(super) letters_append: [u8; 32],
    pub(super) openings: Openings,
    /// Whom the present keys were said to.
    pub(super) team: Team,
    /// Root keys of the logs that the relay has not said of that they stand: card, queue, letters.
    pub(super) roots: [Option<RootKey>; 3],
    /// Versions of the grants of both queues.
    pub(super) versions: [u64; 2],
    /// Supporters' keys that both queues do not know yet.
    pub(super) keys_due: [bool; 2],
    /// The number of the newest card, and whether the relay has it.
    pub(super) number: u64,
    pub(super) card_due: bool,
    /// The last day on which the newest card is believed.
    pub(super) until: u32,
    /// As the newest card tells it.
    pub(super) pace: Option<DeskPace>,
    /// The keys are to be said in the room once all of it stands.
    pub(super) say_due: bool,
}

/// Members of the room since the desk's keys were last renewed; each of them may have the keys.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Team {
    /// The last epoch that was looked at.
    epoch: u64,
    leaves: Vec<LeafId>,
    /// Members as the records know them, and of which epoch.
    #[serde(default)]
    written: (u64, Vec<LeafId>),
}

impl Team {
    pub(super) fn new(epoch: u64, leaves: Vec<LeafId>) -> Self {
        Self {
            epoch,
            written: (epoch, leaves.clone()),
            leaves,
        }
    }

    pub(super) const fn was_looked_at_in(&self, epoch: u64) -> bool {
        self.epoch == epoch
    }

    /// Takes note of who is in now, for the records; how many are gone, if nothing was written of this
    /// epoch.
    pub(super) fn writes(&mut self, epoch: u64, leaves: &[LeafId]) -> Option<u64> {
        let (written_in, known) = &mut self.written;
        if *written_in == epoch {
            return None;
        }
        *written_in = epoch;
        let known = core::mem::replace(known, leaves.to_vec());
        let gone = known.iter().filter(|leaf| !leaves.contains(leaf));
        Some(u64::try_from(gone.count()).unwrap_or(u64::MAX))
    }

    /// Takes note of who is in now; whether somebody who may have the keys is gone, or came and went
    /// in an epoch that we never saw.
    pub(super) fn has_lost(&mut self, epoch: u64, leaves: &[LeafId]) -> bool {
        let has_skipped = epoch > self.epoch.saturating_add(1);
        let is_gone = self.leaves.iter().any(|leaf| !leaves.contains(leaf));
        let news = leaves.iter().filter(|leaf| !self.leaves.contains(leaf));
        let news: Vec<_> = news.copied().collect();
        self.leaves.extend(news);
        self.epoch = epoch;
        has_skipped || is_gone
    }

    /// The keys are new, and only these get them.
    pub(super) fn hears(&mut self, leaves: Vec<LeafId>) {
        self.leaves = leaves;
    }
}

impl fmt::Debug for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Office(…)")
    }
}

impl Office {
    pub(super) const fn root(&mut self, which: DeskLog) -> &mut Option<RootKey> {
        let [card, queue, letters] = &mut self.roots;
        match which {
            DeskLog::Card => card,
            DeskLog::Queue => queue,
            DeskLog::Letters => letters,
        }
    }

    /// Which queues do not know the newest keys yet, and whether the card's log lacks the newest card.
    #[cfg(test)]
    pub(super) const fn what_is_due(&self) -> ([bool; 2], bool) {
        (self.keys_due, self.card_due)
    }

    #[cfg(test)]
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Whether the relay knows the supporters' newest key of this queue.
    pub(super) fn has_told_keys(&self, which: DeskLog) -> bool {
        let ([queue, letters], [_, queue_root, letters_root]) = (self.keys_due, &self.roots);
        match which {
            DeskLog::Queue => !queue && queue_root.is_none(),
            _ => !letters && letters_root.is_none(),
        }
    }

    pub(super) fn organisation(&self) -> OrganisationKey {
        OrganisationKey::from_seed(&self.organisation)
    }

    pub(super) fn manage(&self) -> StaticSecret {
        StaticSecret::from(self.manage)
    }

    pub(super) fn new_log(&self, which: DeskLog, root: &RootKey, keys: &DeskKeys) -> NewLog {
        let capacity = self.plan.capacity;
        match which {
            DeskLog::Card => NewLog {
                root: StaticSecret::from(root.key),
                grants: self.card.grants(public_key(&self.manage())),
                policy: CardKeys::policy(),
                ticket: None,
                retry: root.retry,
                day: root.day,
            },
            _ => new_queue(which, root, self.queue_grants(which, keys), capacity),
        }
    }

    pub(super) fn queue_grants(&self, which: DeskLog, keys: &DeskKeys) -> Vec<Grant> {
        let append = match which {
            DeskLog::Letters => &self.letters_append,
            _ => &self.queue_append,
        };
        queue_grants(&self.manage, &keys.claim, append)
    }
}

/// Who may do what in a queue: anybody who has the card appends, supporters read and claim.
fn queue_grants(manage: &[u8; 32], claim: &[u8; 32], append: &[u8; 32]) -> Vec<Grant> {
    let key = |secret: &[u8; 32]| StaticSecret::from(*secret);
    let rights = Rights::READ.union(Rights::TRIM).union(Rights::MANAGE);
    vec![
        grant(&key(manage), rights),
        grant(&key(claim), Rights::READ.union(Rights::CLAIM)),
        Grant {
            rate: Some(TICKETS_PER_MINUTE),
            ..grant(&key(append), Rights::APPEND)
        },
    ]
}

fn new_queue(which: DeskLog, root: &RootKey, grants: Vec<Grant>, capacity: u32) -> NewLog {
    let (ttl_days, tickets) = match which {
        DeskLog::Letters => (LETTERS_TTL_DAYS, LETTERS_MAX),
        _ => (QUEUE_TTL_DAYS, u64::from(capacity)),
    };
    NewLog {
        root: StaticSecret::from(root.key),
        grants,
        policy: LogPolicy {
            ttl_days,
            // A tenth of a log's bytes is kept for those who manage it.
            bytes_max: tickets.saturating_mul(TICKET_BYTES) * 10 / 9 + TICKET_BYTES,
            admit_rights: Rights::NONE,
            ttl_fenced_days: TTL_FENCED_DAYS_DEFAULT,
        },
        ticket: None,
        retry: root.retry,
        day: root.day,
    }
}

/// Both queues of a desk, by their names in SPEC.md.
#[cfg(test)]
pub(super) fn new_queues(
    root: &RootKey,
    keys: &[[u8; 32]; 3],
    capacity: u32,
) -> [(&'static str, NewLog); 2] {
    let [manage, claim, append] = keys;
    [("queue", DeskLog::Queue), ("letters", DeskLog::Letters)].map(|(name, which)| {
        let grants = queue_grants(manage, claim, append);
        (name, new_queue(which, root, grants, capacity))
    })
}
