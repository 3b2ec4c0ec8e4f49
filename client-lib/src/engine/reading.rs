//! From entries to envelopes: opening the outer box, joining runs, and which kinds count where.

use std::collections::VecDeque;

use sotto_protocol::frame::{Entry, Opened};
use sotto_protocol::id::{ChainValue, Commitment};
use sotto_protocol::limits::{RUN_BYTES_MAX, SEALED_BYTES_MAX};
use sotto_protocol::right::Rights;

use super::saved::{Digest, SECRETS_KEPT, Stage};
use super::{Engine, Event};
use crate::error::Result;
use crate::log::Cursor;
use crate::mls::Group;
use crate::seal::{self, Envelope, EnvelopeBody, Farewell, Packet, Part, RunId, Seen};
use crate::time::Now;

/// Chain values kept to compare with what others saw: more than any honest author lags behind.
const RING_MAX: usize = 512;
/// Farewells that are kept: one of each leaf, in a room larger than any that MLS serves well.
const FAREWELLS_MAX: usize = 1_024;
/// Parts of the longest run.
const PARTS_MAX: u16 = 17;
const _: () = assert!(PARTS_MAX as usize == RUN_BYTES_MAX / SEALED_BYTES_MAX);

/// Where an envelope stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) first: u64,
    pub(super) fence: Option<u64>,
    pub(super) day: u32,
    pub(super) commitment: Commitment,
    pub(super) digest: Digest,
    /// Behind its last entry.
    pub(super) end: Cursor,
}

/// Parts of a run, until it is whole.
#[derive(Debug)]
pub(super) struct Run {
    id: RunId,
    count: u16,
    next: u16,
    bytes: Vec<u8>,
    at: At,
}

/// The last chain values, by sequence number.
#[derive(Debug, Default)]
pub(super) struct SeenRing(VecDeque<(u64, ChainValue)>);

impl SeenRing {
    fn push(&mut self, seq: u64, chain: ChainValue) {
        if self.0.len() == RING_MAX {
            self.0.pop_front();
        }
        self.0.push_back((seq, chain));
    }

    /// Whether somebody saw another history than we did; `false` where we cannot tell, as where the
    /// author knew no chain value and says zeros.
    pub(super) fn differs(&self, seen: &Seen) -> bool {
        if seen.chain == ChainValue::new([0; 32]) {
            return false;
        }
        self.0
            .iter()
            .any(|(seq, chain)| *seq == seen.seq && *chain != seen.chain)
    }
}

/// What opening an entry gave.
pub(super) enum Unsealed {
    /// Nothing that anybody can read.
    Junk,
    /// Nothing that we can read; who was here before us may.
    Unknown,
    /// A part of a run that goes on.
    More,
    /// An encoded envelope.
    Whole(Vec<u8>, At),
}

impl Engine {
    pub(super) fn opened(&mut self, opened: &Opened) {
        (self.head, self.head_fence) = (Some(opened.head), opened.fence);
        self.saved.grants_version = opened.version;
        if self.reads_from_outside() && !opened.rights.contains(Rights::FENCE) {
            // The secret was renewed: this link still shows the way to its own end, no further.
            self.head = None;
            self.no_way_in();
            return;
        }
        self.notice_shorter_log(opened.head);
        if let Some(joining) = &mut self.joining {
            joining.opened(opened);
        }
    }

    /// Whether everything is read that stood in the log when it was opened.
    pub(super) fn is_caught_up(&self) -> bool {
        let is_passing = self.saved.passing.is_some_and(|passing| !passing.is_met);
        self.run.is_none() && !is_passing && self.head.is_some_and(|head| self.saved.seq >= head)
    }

    /// The next entry of the log, as a member.
    pub(super) fn met(&mut self, entry: &Entry<'_>, cursor: Cursor, now: Now) -> Result<()> {
        if self.is_over() || self.saved.stage == Stage::Paused {
            return Ok(());
        }
        if entry.seq <= self.saved.seq {
            // Followed anew (with the keys of a new epoch) amid a row of entries, some come again.
            let log = self.saved.log;
            self.session.consumed(&log, entry.seq);
            return Ok(());
        }
        if self.passes_over(entry) {
            self.read_to(cursor);
            return Ok(());
        }
        if self.has_missed_a_commit(entry.fence) {
            return self.start_over(now);
        }
        if let Some(fence) = entry.fence {
            // The entries of a fenced run share a number; a newcomer's count starts at its own.
            if fence >= self.saved.fence {
                self.saved.fence = fence + 1;
                self.saved.fenced_since_pin += 1;
            }
        }
        self.reached(entry.seq)?;
        match self.unseal(entry, cursor) {
            Unsealed::More => return Ok(()),
            Unsealed::Junk => self.junk(),
            Unsealed::Unknown => {}
            Unsealed::Whole(bytes, at) => {
                match sotto_protocol::cbor::decode::<Envelope<'_>>(&bytes) {
                    Ok(envelope) => self.envelope_met(&envelope, at, now)?,
                    Err(_) => self.junk(),
                }
            }
        }
        // What a newer client can read is read again by one.
        if self.saved.stage != Stage::Paused {
            self.read_to(cursor);
        }
        Ok(())
    }

    /// Everything up to and with `cursor` is done with.
    pub(super) fn read_to(&mut self, cursor: Cursor) {
        self.saved.seq = cursor.seq;
        self.saved.chain = cursor.chain;
        self.saved.day = cursor.day;
        if let Some(chain) = cursor.chain {
            self.seen.push(cursor.seq, chain);
        }
        let log = self.saved.log;
        self.session.consumed(&log, cursor.seq);
    }

    /// Opens the outer box and joins runs. A run that is broken off was never whole for anybody.
    pub(super) fn unseal(&mut self, entry: &Entry<'_>, cursor: Cursor) -> Unsealed {
        let sealed = entry.sealed.as_slice();
        let opened = self.saved.secrets.iter().rev().find_map(|secret| {
            let generation = secret.generation(&self.saved.log);
            seal::open(&generation, &self.saved.log, sealed).ok()
        });
        let run = self.run.take();
        let Some(packet) = opened else {
            let is_known = entry.fence.is_some() || self.knows_late_secrets();
            return if is_known {
                Unsealed::Junk
            } else {
                Unsealed::Unknown
            };
        };
        let at = At {
            first: entry.seq,
            fence: entry.fence,
            day: entry.day,
            commitment: entry.commitment,
            digest: Digest::of(sealed),
            end: cursor,
        };
        match sotto_protocol::cbor::decode::<Packet<'_>>(&packet) {
            Err(_) => Unsealed::Junk,
            Ok(Packet::Whole(envelope)) => match sotto_protocol::cbor::encode(&envelope) {
                Ok(bytes) => Unsealed::Whole(bytes, at),
                Err(_) => Unsealed::Junk,
            },
            Ok(Packet::Part(part)) => self.join_part(run, &part, at),
        }
    }

    /// Whether we know every secret that words which come late may be sealed under. Who came in since
    /// does not know the ones before. A fenced entry is never late: its author had read the log.
    const fn knows_late_secrets(&self) -> bool {
        self.saved.joined_epoch == 0 || self.saved.secrets.len() >= SECRETS_KEPT
    }

    fn join_part(&mut self, run: Option<Run>, part: &Part<'_>, at: At) -> Unsealed {
        if part.count == 0 || part.count > PARTS_MAX || part.index >= part.count {
            return Unsealed::Junk;
        }
        let mut run = match run {
            Some(run) if part.index > 0 => run,
            _ => Run {
                id: part.run,
                count: part.count,
                next: 0,
                bytes: Vec::new(),
                at,
            },
        };
        let fits = run.id == part.run
            && run.count == part.count
            && run.next == part.index
            && run.at.fence == at.fence;
        if !fits {
            return Unsealed::Junk;
        }
        run.bytes.extend_from_slice(part.bytes.as_slice());
        run.next += 1;
        if run.next == run.count {
            let end = at.end;
            return Unsealed::Whole(run.bytes, At { end, ..run.at });
        }
        self.run = Some(run);
        Unsealed::More
    }

    fn envelope_met(&mut self, envelope: &Envelope<'_>, at: At, now: Now) -> Result<()> {
        if self.seen.differs(&envelope.seen) {
            self.tell(Event::Fork {
                seq: envelope.seen.seq,
                signed_by: None,
            });
        }
        match &envelope.body {
            // A Commit counts only in a fenced entry, and a fenced entry holds nothing else.
            EnvelopeBody::Commit(body) if at.fence.is_some() => {
                self.fenced_commit_met(body, at, now)
            }
            EnvelopeBody::Verdict(body) if at.fence.is_some() => self.verdict_met(body, at),
            EnvelopeBody::Message(bytes) if at.fence.is_none() => self.message_met(bytes, at, now),
            EnvelopeBody::Farewell(farewell) if at.fence.is_none() => {
                self.farewell_met(farewell);
                Ok(())
            }
            EnvelopeBody::Waiting(package) if at.fence.is_none() => {
                self.waiting_met(package.as_slice(), at, now);
                Ok(())
            }
            EnvelopeBody::Snapshot(body) if at.fence.is_none() => self.snapshot_met(body),
            _ => {
                self.junk();
                Ok(())
            }
        }
    }

    /// A leaf asks to be let go. What it signed holds in any epoch, so it is kept until it is gone.
    fn farewell_met(&mut self, farewell: &Farewell) {
        let leaves = self.group.as_ref().map(Group::leaves).unwrap_or_default();
        let known = |one: &Farewell| one.leaf == farewell.leaf;
        if farewell.leaf == self.key.id() || self.saved.farewells.iter().any(known) {
            return;
        }
        if !leaves.contains(&farewell.leaf) || !farewell.holds(&self.saved.log) {
            self.junk();
            return;
        }
        if self.saved.farewells.len() >= FAREWELLS_MAX {
            // Kept beyond their leaf only for the case that its removal is undone.
            self.saved
                .farewells
                .retain(|one| leaves.contains(&one.leaf));
        }
        if self.saved.farewells.len() < FAREWELLS_MAX {
            self.saved.farewells.push(farewell.clone());
            self.tell(Event::Leaving {
                leaf: farewell.leaf,
            });
        }
    }

    /// What we saw of the log, for the envelopes we write.
    pub(super) fn seen_now(&self) -> Seen {
        let group = self.group.as_ref();
        Seen {
            seq: self.saved.seq,
            chain: self.saved.chain.unwrap_or(ChainValue::new([0; 32])),
            epoch: group.map_or(0, Group::epoch),
            authenticator: group.map_or(0, |group| u64::from_be_bytes(group.authenticator())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_value_of_zeros_is_no_fork() {
        let mut ring = SeenRing::default();
        ring.push(7, ChainValue::new([1; 32]));
        let differs = |seq, byte| {
            ring.differs(&Seen {
                seq,
                chain: ChainValue::new([byte; 32]),
                ..Seen::default()
            })
        };
        assert!(differs(7, 2));
        assert!(!differs(7, 1) && !differs(7, 0) && !differs(8, 2));
    }

    #[test]
    fn the_last_five_hundred_and_twelve_chain_values_are_compared_and_none_before_them() {
        let mut ring = SeenRing::default();
        for seq in 1..=512 {
            ring.push(seq, ChainValue::new([1; 32]));
        }
        let other = |seq| Seen {
            seq,
            chain: ChainValue::new([2; 32]),
            ..Seen::default()
        };
        assert!(ring.differs(&other(1)));
        ring.push(513, ChainValue::new([1; 32]));
        assert!(!ring.differs(&other(1)));
        assert!(ring.differs(&other(2)) && ring.differs(&other(513)));
    }
}
