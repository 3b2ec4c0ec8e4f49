//! On duty at a desk: the tickets that wait, as this supporter's device sees them. SPEC.md,
//! "Team" and "Ticket".
//!
//! Nothing of it is kept on the disk: what waits is in the queue, and who comes on duty reads it anew.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use sotto_protocol::frame::{Entry, Lane};
use sotto_protocol::id::LogId;
use x25519_dalek::StaticSecret;

use super::taking::TicketKeys;
use super::{Engine, Event};
use crate::desk::Ticket;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Cursor, Keeps};
use crate::seal::letter::{Letters, Purpose, Read};
use crate::time::Now;

/// Tickets that a device shows; later ones wait unread, in their order.
pub(super) const TICKETS_SHOWN_MAX: usize = 1_024;
/// How often the whole queue is read anew: what was answered or taken back shows only so.
const LOOK_AGAIN_MS: u64 = 60_000;

/// Names a ticket at a desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId {
    /// It is a letter, whose author has gone and comes back for the answer.
    pub is_letter: bool,
    /// Its place in the queue.
    pub seq: u64,
}

/// Somebody who waits.
#[derive(Clone, PartialEq, Eq)]
pub struct DeskTicket {
    /// Names it here.
    pub id: TicketId,
    /// What they say of what they look for.
    pub ticket: Ticket,
    /// The day it was written, in days since 1970-01-01, UTC.
    pub day: u32,
    /// When this device first saw it, in milliseconds of its steady clock.
    pub since_ms: u64,
}

impl fmt::Debug for DeskTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeskTicket")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What is known of a desk's queues while on duty.
#[derive(Debug, Default)]
pub(super) struct Duty {
    is_on: bool,
    tickets: BTreeMap<TicketId, DeskTicket>,
    /// Those met since the queue was last read from its start.
    met: BTreeSet<TicketId>,
    look_again_at_ms: u64,
}

impl Duty {
    /// The line is gone: the next look is a while after the next one stands.
    pub(super) const fn pause(&mut self) {
        self.look_again_at_ms = 0;
    }
}

impl Engine {
    /// Whether we are on duty at this room's desk.
    #[must_use]
    pub const fn is_on_duty(&self) -> bool {
        self.beside.duty.is_on
    }

    /// Those who wait, letters behind the others, the oldest first; without those we claimed.
    #[must_use]
    pub fn tickets(&self) -> Vec<DeskTicket> {
        self.beside.duty.tickets.values().cloned().collect()
    }

    /// What it takes to claim one of them; nothing if it is not (any more) among those that wait.
    #[must_use]
    pub fn ticket_keys(&self, id: TicketId) -> Option<TicketKeys> {
        let keys = self.beside.desk.as_ref()?;
        self.beside.duty.tickets.get(&id)?;
        Some(TicketKeys {
            relay: self.saved.relay.clone(),
            queue: if id.is_letter {
                keys.letters
            } else {
                keys.queue
            },
            claim: keys.claim,
            openings: keys.openings.clone(),
            seq: id.seq,
            suite: keys.suite,
            organisation: keys.organisation,
        })
    }

    pub(super) fn set_duty(&mut self, is_on: bool) -> Result<()> {
        if self.beside.desk.is_none() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "there is no desk in this room, or its keys have not come yet",
            ));
        }
        if self.beside.duty.is_on != is_on {
            self.beside.duty = Duty {
                is_on,
                ..Duty::default()
            };
            self.follow_queues();
        }
        Ok(())
    }

    /// A ticket that we claim is no longer offered here.
    pub(super) fn ticket_is_ours(&mut self, id: TicketId) {
        self.beside.duty.tickets.remove(&id);
    }

    fn queues(&self) -> Vec<(LogId, bool)> {
        let keys = self.beside.desk.as_ref();
        keys.map_or_else(Vec::new, |keys| {
            vec![(keys.queue, false), (keys.letters, true)]
        })
    }

    /// Reads both queues from their start, or no longer.
    fn follow_queues(&mut self) {
        let Some(claim) = self.beside.desk.as_ref().map(|keys| keys.claim) else {
            return;
        };
        // The office reads with the key that it manages with: that one changes with no supporter.
        let key = self
            .desk_manage()
            .unwrap_or_else(|| StaticSecret::from(claim));
        for (log, _) in self.queues() {
            if self.beside.duty.is_on {
                self.session.open(log, vec![key.clone()]);
                let start = Cursor::start(&log);
                self.session.follow(log, Lane::All, start, Keeps::Removable);
            } else {
                self.session.unfollow(&log);
            }
        }
    }

    /// The desk's keys are new: what is sealed to them is read with them.
    pub(super) fn duty_keys_changed(&mut self) {
        if self.beside.duty.is_on {
            self.follow_queues();
        }
    }

    /// Reads the queues anew from time to time.
    pub(super) fn go_on_duty(&mut self, now: Now) {
        let duty = &mut self.beside.duty;
        // Without a line nothing can be met, and nothing that is not met is gone.
        if !duty.is_on || !self.is_online {
            return;
        }
        if duty.look_again_at_ms == 0 {
            duty.look_again_at_ms = now.steady_ms.saturating_add(LOOK_AGAIN_MS);
        }
        if duty.look_again_at_ms > now.steady_ms {
            return;
        }
        duty.look_again_at_ms = now.steady_ms.saturating_add(LOOK_AGAIN_MS);
        // What was not met since is gone.
        let met = core::mem::take(&mut duty.met);
        duty.tickets.retain(|id, _| met.contains(id));
        self.follow_queues();
    }

    pub(super) fn wake_duty(&self, now: Now) -> Option<u64> {
        let duty = &self.beside.duty;
        let at = Some(duty.look_again_at_ms).filter(|_| duty.is_on);
        at.filter(|at| *at > now.steady_ms)
    }

    /// The next ticket of a queue; whether the log is one.
    pub(super) fn ticket_met(&mut self, log: LogId, entry: &Entry<'_>, now: Now) -> Result<bool> {
        let Some((_, is_letter)) = self.queues().into_iter().find(|(one, _)| *one == log) else {
            return Ok(false);
        };
        self.session.consumed(&log, entry.seq);
        let Some(keys) = self.beside.desk.as_ref().filter(|_| self.beside.duty.is_on) else {
            return Ok(true);
        };
        let seq = entry.seq;
        let id = TicketId { is_letter, seq };
        let duty = &mut self.beside.duty;
        if duty.tickets.contains_key(&id) {
            duty.met.insert(id);
            return Ok(true);
        }
        if duty.tickets.len() >= TICKETS_SHOWN_MAX {
            return Ok(true);
        }
        let sealed = entry.sealed.as_slice();
        let read = keys.openings.iter().rev().find_map(|opening| {
            match Letters::default().read(&opening.0, Purpose::Ticket, &log, sealed) {
                Read::Whole(letter) => sotto_protocol::cbor::decode::<Ticket>(&letter).ok(),
                Read::Junk | Read::More => None,
            }
        });
        let Some(ticket) = read.filter(Ticket::is_within_limits) else {
            self.junk();
            return Ok(true);
        };
        let waiting = DeskTicket {
            id,
            ticket,
            day: entry.day,
            since_ms: now.steady_ms,
        };
        duty.tickets.insert(id, waiting.clone());
        duty.met.insert(id);
        self.tell(Event::Ticket(Box::new(waiting)));
        Ok(true)
    }
}
