//! What a client may ask of a relay, kept until it is answered, as often as it has to be sent.

use core::fmt;

use sotto_protocol::error_code::{Blame, ErrorCode};
use sotto_protocol::frame::{
    self, Answer, Append, Bytes, Create, Item, NewEntry, Proof, Refusal, Verb,
};
use sotto_protocol::id::{LogId, RetryId};
use sotto_protocol::limits;
use sotto_protocol::proof::{self, Purpose};
use x25519_dalek::StaticSecret;

use super::line::Secured;

/// Names an ask until it is answered; never used twice by one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(super) u64);

/// A log to be made. The root key is proved once and can then be thrown away.
#[derive(Clone)]
pub struct NewLog {
    /// The root key; the log's id is made from its public half.
    pub root: StaticSecret,
    /// The first grants.
    pub grants: Vec<frame::Grant>,
    /// The log's policy.
    pub policy: frame::Policy,
    /// An operator's ticket, where the relay asks one.
    pub ticket: Option<Vec<u8>>,
    /// Retry id: random, the same for every sending.
    pub retry: RetryId,
    /// The day this was first asked, the same for every sending.
    pub day: u32,
}

impl NewLog {
    /// The id the log will have.
    #[must_use]
    pub fn id(&self) -> LogId {
        LogId::of_root(&proof::public_key(&self.root))
    }
}

impl fmt::Debug for NewLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewLog(…)")
    }
}

/// One thing to ask. What changes something carries a retry id and the day it was first asked,
/// both the same for every sending.
#[derive(Clone)]
#[non_exhaustive]
pub enum Ask {
    /// Make a log.
    Create(NewLog),
    /// Add entries to one or more open logs, all or nothing.
    Append {
        /// What to add, in this order.
        items: Vec<Item<'static>>,
        /// Retry id.
        retry: RetryId,
        /// The day this was first asked.
        day: u32,
    },
    /// One page of entries.
    Read(frame::Read),
    /// Drop entries.
    Trim(frame::Trim),
    /// Get an exclusive lease on an entry.
    Claim(frame::Claim),
    /// Make a lease last longer.
    Renew(frame::Renew),
    /// Give a lease back.
    Release(frame::Release),
    /// How many entries stand before one's own; the log need not be open.
    Position {
        /// Which log.
        log: LogId,
        /// Which entry.
        seq: u64,
        /// Its owner key.
        owner: StaticSecret,
    },
    /// Take one's own entry back; the log need not be open.
    Withdraw {
        /// Which log.
        log: LogId,
        /// Which entry.
        seq: u64,
        /// Its owner key.
        owner: StaticSecret,
        /// Retry id.
        retry: RetryId,
        /// The day this was first asked.
        day: u32,
    },
    /// Remove and return the oldest entry.
    Take(frame::Take),
    /// Replace the grants.
    Grants(frame::Grants),
    /// Reserve the fence.
    Hold(frame::Hold),
    /// Show what the relay holds.
    Describe(frame::Describe),
    /// Delete the log.
    Delete(frame::Delete),
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ask({})", self.verb_name())
    }
}

impl Ask {
    const fn verb_name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Append { .. } => "append",
            Self::Read(_) => "read",
            Self::Trim(_) => "trim",
            Self::Claim(_) => "claim",
            Self::Renew(_) => "renew",
            Self::Release(_) => "release",
            Self::Position { .. } => "position",
            Self::Withdraw { .. } => "withdraw",
            Self::Take(_) => "take",
            Self::Grants(_) => "grants",
            Self::Hold(_) => "hold",
            Self::Describe(_) => "describe",
            Self::Delete(_) => "delete",
        }
    }

    /// The logs that must be open before this can be sent.
    pub(super) fn open_logs(&self) -> Vec<LogId> {
        match self {
            Self::Create(_) | Self::Position { .. } | Self::Withdraw { .. } => Vec::new(),
            Self::Append { items, .. } => items.iter().map(|item| item.log).collect(),
            Self::Read(ask) => vec![ask.log],
            Self::Trim(ask) => vec![ask.log],
            Self::Claim(ask) => vec![ask.log],
            Self::Renew(ask) => vec![ask.log],
            Self::Release(ask) => vec![ask.log],
            Self::Take(ask) => vec![ask.log],
            Self::Grants(ask) => vec![ask.log],
            Self::Hold(ask) => vec![ask.log],
            Self::Describe(ask) => vec![ask.log],
            Self::Delete(ask) => vec![ask.log],
        }
    }

    /// What proof of work for this is bound to, if it can be asked.
    pub(super) fn work_subject(&self) -> Option<(LogId, RetryId)> {
        match self {
            Self::Create(new) => Some((new.id(), new.retry)),
            Self::Append { items, retry, .. } => items.first().map(|item| (item.log, *retry)),
            _ => None,
        }
    }

    /// Whether sending it a second time is the same as once, so that after a lost answer it may be
    /// sent again: all but what a lease's state decides carry a retry id or change nothing.
    pub(super) const fn changes_something(&self) -> bool {
        !matches!(
            self,
            Self::Read(_) | Self::Position { .. } | Self::Describe(_)
        )
    }

    /// Bytes it keeps in memory, about.
    pub(super) fn bytes(&self) -> usize {
        const FRAME: usize = 256;
        match self {
            Self::Append { items, .. } => items
                .iter()
                .flat_map(|item| &item.entries)
                .map(|entry| {
                    let held = entry.held.as_ref().map_or(0, |held| held.0.len());
                    FRAME + entry.sealed.0.len() + held
                })
                .sum(),
            Self::Create(new) => FRAME * (1 + new.grants.len()),
            Self::Grants(ask) => FRAME * (1 + ask.new.list.len()),
            _ => FRAME,
        }
    }

    /// The wire form for this connection, borrowing what may be large.
    pub(super) fn verb(&self, line: &Secured, work: Option<u64>) -> Verb<'_> {
        match self {
            Self::Create(new) => Verb::Create(Create {
                day: new.day,
                root: proof::public_key(&new.root),
                work,
                proof: line.prove(&new.root, Purpose::Create, &new.id()).mac,
                retry: new.retry,
                grants: new.grants.clone(),
                policy: new.policy.clone(),
                ticket: new.ticket.as_deref().map(Bytes::from),
            }),
            Self::Append { items, retry, day } => Verb::Append(Append {
                day: *day,
                work,
                items: items.iter().map(borrowed).collect(),
                retry: *retry,
            }),
            Self::Position { log, seq, owner } => Verb::Position(frame::Position {
                log: *log,
                seq: *seq,
                proof: line.prove(owner, Purpose::Own, log),
            }),
            Self::Withdraw {
                log,
                seq,
                owner,
                retry,
                day,
            } => Verb::Withdraw(frame::Withdraw {
                day: *day,
                log: *log,
                seq: *seq,
                proof: line.prove(owner, Purpose::Own, log),
                retry: *retry,
            }),
            Self::Read(ask) => Verb::Read(ask.clone()),
            Self::Trim(ask) => Verb::Trim(ask.clone()),
            Self::Claim(ask) => Verb::Claim(ask.clone()),
            Self::Renew(ask) => Verb::Renew(ask.clone()),
            Self::Release(ask) => Verb::Release(ask.clone()),
            Self::Take(ask) => Verb::Take(ask.clone()),
            Self::Grants(ask) => Verb::Grants(ask.clone()),
            Self::Hold(ask) => Verb::Hold(ask.clone()),
            Self::Describe(ask) => Verb::Describe(ask.clone()),
            Self::Delete(ask) => Verb::Delete(ask.clone()),
        }
    }

    /// Whether this is an answer to this.
    pub(super) fn is_answered_by(&self, answer: &Answer<'_>) -> bool {
        match (self, answer) {
            (Self::Append { items, .. }, Answer::Appended(done)) => items.len() == done.len(),
            (Self::Read(ask), Answer::Page(page)) => {
                usize::try_from(ask.entries_max).is_ok_and(|max| page.entries.len() <= max)
            }
            (Self::Create(_), Answer::Created(_))
            | (Self::Claim(_) | Self::Renew(_), Answer::Claimed(_))
            | (Self::Position { .. }, Answer::Placed(_))
            | (Self::Take(_), Answer::Taken(_))
            | (Self::Grants(_), Answer::Granted(_))
            | (Self::Hold(_), Answer::Held(_))
            | (Self::Describe(_), Answer::Described(_))
            | (
                Self::Trim(_) | Self::Release(_) | Self::Withdraw { .. } | Self::Delete(_),
                Answer::Ok,
            ) => true,
            _ => false,
        }
    }
}

fn borrowed<'a>(item: &'a Item<'static>) -> Item<'a> {
    Item {
        log: item.log,
        pin: item.pin,
        lease: item.lease.clone(),
        admit: item.admit,
        fence: item.fence,
        grants: item.grants.clone(),
        entries: item
            .entries
            .iter()
            .map(|entry| NewEntry {
                held: entry.held.as_ref().map(|held| Bytes::from(held.as_slice())),
                owner: entry.owner,
                sealed: Bytes::from(entry.sealed.as_slice()),
                last_resort: entry.last_resort,
                commitment: entry.commitment,
            })
            .collect(),
    }
}

/// What to do about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send it again after so long.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// Work, then send it again.
    Work {
        /// How much.
        bits: u8,
    },
    /// Tell the caller.
    Report,
}

/// The shortest and the longest wait for a busy relay, whatever it asks for.
pub(super) const WAIT_MS: (u64, u64) = (250, 60_000);
/// Tries after a fault of the relay's own.
pub(super) const FAULTS_MAX: u32 = 3;
/// How often work may be asked anew for one sending, as when the price rises while it is done.
pub(super) const WORKS_MAX: u32 = 4;

/// Decides by blame; `tries` counts refusals so far that were not reported.
pub(super) fn after_refusal(refusal: &Refusal, tries: u32, can_work: bool) -> Next {
    let doubling = WAIT_MS.0 << tries.min(8);
    let wait = |ms: Option<u32>| Next::Wait {
        ms: ms.map_or(doubling, u64::from).clamp(WAIT_MS.0, WAIT_MS.1),
    };
    match (refusal.code.blame(), refusal.code) {
        (Blame::Busy, _) => wait(refusal.retry_after_ms),
        (Blame::Internal, _) if tries < FAULTS_MAX => wait(refusal.retry_after_ms),
        (_, ErrorCode::WorkNeeded) if can_work && tries < WORKS_MAX => match refusal.bits {
            Some(bits) if bits <= limits::WORK_BITS_MAX => Next::Work { bits },
            _ => Next::Report,
        },
        _ => Next::Report,
    }
}

/// Proofs of several keys for one log.
pub(super) fn proofs(line: &Secured, keys: &[StaticSecret], log: &LogId) -> Vec<Proof> {
    keys.iter()
        .map(|key| line.prove(key, Purpose::Open, log))
        .collect()
}
