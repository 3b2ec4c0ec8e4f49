//! On duty at a desk: the tickets that wait, as this supporter's device sees them. SPEC.md,
//! "Team" and "Ticket".
//!
//! Nothing of it is kept on the disk: what waits is in the queue, and who comes on duty reads it anew.

mod mode;

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use sotto_protocol::frame::{self, Answer, Entry, Lane};
use sotto_protocol::id::LogId;
use sotto_protocol::limits::POSITION_STEP;
use x25519_dalek::StaticSecret;

pub use mode::DutyMode;

use super::beside::Side;
use super::office::DeskLog;
use super::taking::{DESK_FLOOR, TicketKeys};
use super::{Engine, Event};
use crate::content::{ContentBody, Taken, TakenWait};
use crate::desk::{Offer, OpeningKey, Rating, RatingLetter, Ticket, WaitingTicket, offer_order};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Ask, Cursor, Denied, Keeps};
use crate::seal::letter::{Letters, Purpose, Read};
use crate::time::Now;

/// Tickets of one queue that a device shows; later ones wait unread, in their order.
pub(super) const TICKETS_SHOWN_MAX: usize = 1_024;
/// Entries of one queue that are known to be none, so that they are not tried again and again: more
/// than the largest queue has room for in the size of tickets.
pub(super) const JUNK_KNOWN_MAX: usize = 16_384;
/// How often the whole queue is read: what was answered, taken back or claimed shows only so.
const LOOK_AGAIN_MS: u64 = 60_000;
/// Entries asked for at once; the relay gives as many as fit one page.
const LOOK_ENTRIES: u32 = 1_024;

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
    /// Somebody has claimed it and is about to answer, as the relay told within the last minute. It
    /// stays here, in its place, since who claimed it may give it back.
    pub is_claimed: bool,
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
    pub(super) is_on: bool,
    mode: DutyMode,
    /// What we offer, if we said so.
    offer: Option<Offer>,
    waiting: View,
    letters: View,
    /// When the team hears of ratings that lie there (steady clock).
    pub(super) rate_at_ms: Option<u64>,
}

/// What is known of one queue.
#[derive(Debug, Default)]
pub(super) struct View {
    tickets: BTreeMap<u64, DeskTicket>,
    /// Those that we claim ourselves.
    ours: BTreeSet<u64>,
    /// The whole queue was read since the line is up: what is new from then on comes just now.
    is_live: bool,
    /// Of those that we saw come, how many were before them.
    came: BTreeMap<u64, u32>,
    /// Entries that are no tickets by the keys we have, and whether they can ever be one.
    pub(super) junk: BTreeMap<u64, Junk>,
    /// Junk was counted up to here.
    counted_to: u64,
    look: Option<Look>,
    look_at_ms: u64,
}

/// What an entry is that is no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Junk {
    /// Nobody who asks writes such a thing: it may go.
    Rubbish,
    /// Somebody says how it was: the team hears of it, and then it is rubbish.
    Rating(Rating),
    /// The same, and the team is about to hear of it.
    Told,
    /// It opens and makes no sense here; perhaps it does to a newer client.
    Strange,
}

impl Junk {
    const fn may_go(&self) -> bool {
        matches!(self, Self::Rubbish)
    }
}

/// One reading of the whole queue.
#[derive(Debug)]
struct Look {
    /// What is known now and not met is gone; what comes later is not judged.
    known_to: u64,
    met: BTreeSet<u64>,
    /// Whose time has come to be tidied away.
    rubbish: Vec<u64>,
}

/// What a look at a whole queue found.
#[derive(Default)]
struct Looked {
    rubbish: Vec<u64>,
    /// Those who are there no more, and whom nobody had claimed.
    went: Vec<u64>,
}

impl Duty {
    pub(super) const fn view(&mut self, is_letter: bool) -> &mut View {
        if is_letter {
            &mut self.letters
        } else {
            &mut self.waiting
        }
    }

    /// The line is gone: who is back looks at once.
    pub(super) const fn pause(&mut self) {
        (self.waiting.look_at_ms, self.letters.look_at_ms) = (0, 0);
        (self.waiting.is_live, self.letters.is_live) = (false, false);
    }
}

impl View {
    fn known_to(&self) -> u64 {
        let tickets = self.tickets.keys().next_back();
        let junk = self.junk.keys().next_back();
        tickets.into_iter().chain(junk).copied().max().unwrap_or(0)
    }

    /// Forgets what a look did not meet; what of the rest may be tidied away, and who went.
    fn looked(&mut self) -> Looked {
        let Some(look) = self.look.take() else {
            return Looked::default();
        };
        let is_there = |seq: &u64| *seq > look.known_to || look.met.contains(seq);
        let all = self.tickets.iter().filter(|(seq, _)| !is_there(seq));
        let unanswered = all.filter(|(_, ticket)| !ticket.is_claimed);
        let went = unanswered.map(|(seq, _)| *seq).collect();
        self.tickets.retain(|seq, _| is_there(seq));
        self.junk.retain(|seq, _| is_there(seq));
        self.ours.retain(is_there);
        self.came.retain(|seq, _| is_there(seq));
        self.is_live = true;
        let rubbish = look.rubbish;
        Looked { rubbish, went }
    }

    /// Those who are offered to somebody before this one, as exactly as the relay tells it to who waits:
    /// what is learnt of waits is used for such places.
    fn ahead(&self, seq: u64) -> u32 {
        let before = self.tickets.range(..seq);
        let free = before.filter(|(_, ticket)| !ticket.is_claimed).count();
        let free = u64::try_from(free).unwrap_or(u64::MAX);
        let told = if free < POSITION_STEP {
            free
        } else {
            free - free % POSITION_STEP
        };
        u32::try_from(told).unwrap_or(u32::MAX)
    }

    /// How long a ticket waited, if we saw it come.
    fn wait(&self, seq: u64, now: Now) -> Option<TakenWait> {
        let since_ms = self.tickets.get(&seq)?.since_ms;
        let waited_s = now.steady_ms.saturating_sub(since_ms) / 1_000;
        Some(TakenWait {
            ahead: *self.came.get(&seq)?,
            seconds: u32::try_from(waited_s).unwrap_or(u32::MAX),
        })
    }

    /// What the relay says of something that is known; whether it is.
    fn meets(&mut self, entry: &Entry<'_>, is_read: bool) -> bool {
        let seq = entry.seq;
        let ticket = self.tickets.get_mut(&seq);
        let junk = self.junk.get(&seq);
        let is_known = ticket.is_some() || junk.is_some();
        if let Some(look) = self.look.as_mut().filter(|_| is_read && is_known) {
            look.met.insert(seq);
            if junk.is_some_and(Junk::may_go) && !entry.claimed {
                look.rubbish.push(seq);
            }
        }
        if let Some(ticket) = ticket.filter(|_| is_read) {
            ticket.is_claimed = entry.claimed;
            if !entry.claimed {
                // We gave it back, or somebody else was faster and did.
                self.ours.remove(&seq);
            }
        }
        is_known
    }
}

/// A ticket, or what else it is.
fn read_ticket(
    openings: &[OpeningKey],
    (log, is_letter): (&LogId, bool),
    entry: &Entry<'_>,
) -> core::result::Result<Ticket, Junk> {
    let sealed = entry.sealed.as_slice();
    if entry.held.is_none() || sealed.len() != DESK_FLOOR.bytes() {
        return Err(Junk::Rubbish);
    }
    let letter = openings.iter().rev().find_map(|opening| {
        match Letters::default().read(&opening.0, Purpose::Ticket, log, sealed) {
            Read::Whole(letter) => Some(letter),
            Read::Junk | Read::More => None,
        }
    });
    let letter = letter.ok_or(Junk::Rubbish)?;
    let rating = sotto_protocol::cbor::decode::<RatingLetter>(&letter);
    if let (Ok(letter), true) = (rating, is_letter) {
        return Err(Junk::Rating(letter.rating));
    }
    let ticket = sotto_protocol::cbor::decode::<Ticket>(&letter).ok();
    ticket.filter(Ticket::is_within_limits).ok_or(Junk::Strange)
}

/// These tickets in the order in which we fit them, without those that are not for us.
fn fitting(tickets: Vec<DeskTicket>, offer: &Offer, now: Now) -> Vec<DeskTicket> {
    let waiting = tickets.iter().map(|one| WaitingTicket {
        ticket: one.ticket.clone(),
        seq: one.id.seq,
        since_ms: one.since_ms,
    });
    let order = offer_order(&waiting.collect::<Vec<_>>(), offer, now.steady_ms);
    let places = order.into_iter().filter_map(|index| tickets.get(index));
    places.cloned().collect()
}

impl Engine {
    /// Whether we are on duty at this room's desk.
    #[must_use]
    pub const fn is_on_duty(&self) -> bool {
        self.beside.duty.is_on
    }

    /// Those who wait, letters behind the others, without those we claimed: the oldest first, or, if we
    /// said what we offer, those whom we fit best, as [`offer_order`] tells.
    #[must_use]
    pub fn tickets(&self, now: Now) -> Vec<DeskTicket> {
        let duty = &self.beside.duty;
        let of = |view: &View| {
            let all = view.tickets.iter();
            let others = all.filter(|(seq, _)| !view.ours.contains(seq));
            let others = others.map(|(_, ticket)| ticket.clone()).collect::<Vec<_>>();
            match &duty.offer {
                Some(offer) => fitting(others, offer, now),
                None => others,
            }
        };
        [of(&duty.waiting), of(&duty.letters)].concat()
    }

    /// What it takes to claim one of them; nothing if it is not (any more) among those that wait.
    #[must_use]
    pub fn ticket_keys(&self, id: TicketId) -> Option<TicketKeys> {
        let keys = self.beside.desk.as_ref()?;
        let duty = &self.beside.duty;
        let view = if id.is_letter {
            &duty.letters
        } else {
            &duty.waiting
        };
        view.tickets.get(&id.seq)?;
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
            is_letter: id.is_letter,
            suite: keys.suite,
            minutes: keys.minutes.filter(|_| !id.is_letter),
            organisation: keys.organisation,
            chats_each: keys.chats_each,
        })
    }

    pub(super) fn set_duty(&mut self, is_on: bool, offer: Option<Offer>) -> Result<()> {
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
        self.beside.duty.offer = offer;
        self.beside.duty.mode = DutyMode::Takes;
        Ok(())
    }

    /// A ticket that we claim is no longer offered here, and the team hears of it.
    pub(super) fn ticket_is_ours(&mut self, id: TicketId, now: Now) -> Result<()> {
        self.may_take()?;
        let view = self.beside.duty.view(id.is_letter);
        let wait = view.wait(id.seq, now);
        if let Some(ticket) = view.tickets.get_mut(&id.seq) {
            ticket.is_claimed = true;
            view.ours.insert(id.seq);
        }
        let taken = Taken {
            seq: id.seq,
            wait,
            letter: id.is_letter,
        };
        self.queue(ContentBody::Taken(taken), now).map(drop)
    }

    /// Somebody of the team is about to answer a ticket. Whether that is so the next look shows.
    pub(super) fn ticket_is_theirs(&mut self, taken: &Taken) {
        let view = self.beside.duty.view(taken.letter);
        if let Some(ticket) = view.tickets.get_mut(&taken.seq) {
            ticket.is_claimed = true;
        }
    }

    pub(super) fn queues(&self) -> Vec<(LogId, bool)> {
        let keys = self.beside.desk.as_ref();
        keys.map_or_else(Vec::new, |keys| {
            vec![(keys.queue, false), (keys.letters, true)]
        })
    }

    /// What opens a queue for who is on duty. The office reads with the key that it manages with, as that
    /// one changes with no supporter, and claims with theirs once the relay knows it.
    fn queue_keys(&self, is_letter: bool) -> Vec<StaticSecret> {
        let claim = self.beside.desk.as_ref().map(|keys| keys.claim);
        let which = if is_letter {
            DeskLog::Letters
        } else {
            DeskLog::Queue
        };
        let office = self.beside.office.as_ref();
        let is_known = office.is_none_or(|office| office.has_told_keys(which));
        let claim = claim.filter(|_| is_known).map(StaticSecret::from);
        self.desk_manage().into_iter().chain(claim).collect()
    }

    /// Reads both queues from their start, or no longer.
    pub(super) fn follow_queues(&mut self) {
        for (log, is_letter) in self.queues() {
            if self.beside.duty.is_on {
                let keys = self.queue_keys(is_letter);
                self.session.open(log, keys);
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
            for is_letter in [false, true] {
                let view = self.beside.duty.view(is_letter);
                view.junk.clear();
                (view.look, view.look_at_ms, view.is_live) = (None, 0, false);
            }
            self.follow_queues();
        }
    }

    /// Reads the queues anew from time to time.
    pub(super) fn go_on_duty(&mut self, now: Now) {
        // Without a line nothing can be met, and nothing that is not met is gone.
        if !self.beside.duty.is_on || !self.is_online {
            return;
        }
        for (log, is_letter) in self.queues() {
            let is_busy = self.beside.is_asked(Side::Look(is_letter));
            let may_look = self.beside.open.contains(&log) && !is_busy;
            let view = self.beside.duty.view(is_letter);
            if may_look && view.look_at_ms <= now.steady_ms {
                view.look_at_ms = now.steady_ms.saturating_add(LOOK_AGAIN_MS);
                view.look = Some(Look {
                    known_to: view.known_to(),
                    met: BTreeSet::new(),
                    rubbish: Vec::new(),
                });
                self.read_queue_on(log, is_letter, 0);
            }
        }
    }

    fn read_queue_on(&mut self, log: LogId, is_letter: bool, after: u64) {
        let read = frame::Read {
            log,
            lane: Lane::All,
            after,
            entries_max: LOOK_ENTRIES,
        };
        self.ask_beside(Ask::Read(read), Side::Look(is_letter));
    }

    /// A page of a queue.
    pub(super) fn looked(
        &mut self,
        is_letter: bool,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) {
        let mut queues = self.queues().into_iter();
        let found = queues.find(|(_, letters)| *letters == is_letter);
        let (Some((log, _)), Ok(Answer::Page(page))) = (found, result) else {
            self.beside.duty.view(is_letter).look = None;
            return;
        };
        for entry in &page.entries {
            self.ticket_read(log, is_letter, entry, now);
        }
        match page.entries.last().filter(|_| page.more) {
            Some(last) => self.read_queue_on(log, is_letter, last.seq),
            None => {
                let looked = self.beside.duty.view(is_letter).looked();
                if is_letter {
                    self.plan_ratings(now);
                } else {
                    self.went(&looked.went, now);
                }
                self.tidy(is_letter, looked.rubbish, now);
            }
        }
    }

    pub(super) fn wake_duty(&self, now: Now) -> Option<u64> {
        let duty = &self.beside.duty;
        let times = [duty.waiting.look_at_ms, duty.letters.look_at_ms];
        let times = times.into_iter().filter(|_| duty.is_on);
        times.filter(|at| *at > now.steady_ms).min()
    }

    fn ticket_read(&mut self, log: LogId, is_letter: bool, entry: &Entry<'_>, now: Now) {
        self.met_in_queue(log, is_letter, entry, now);
        self.beside.duty.view(is_letter).meets(entry, true);
    }

    /// An entry of a queue, as it is pushed or read: what it is, if that is not known yet.
    fn met_in_queue(&mut self, log: LogId, is_letter: bool, entry: &Entry<'_>, now: Now) {
        let Some(keys) = self.beside.desk.as_ref().filter(|_| self.beside.duty.is_on) else {
            return;
        };
        let view = self.beside.duty.view(is_letter);
        let is_full = view.tickets.len() >= TICKETS_SHOWN_MAX;
        if view.meets(entry, false) || is_full {
            return;
        }
        let seq = entry.seq;
        match read_ticket(&keys.openings, (&log, is_letter), entry) {
            Ok(ticket) => {
                let waiting = DeskTicket {
                    id: TicketId { is_letter, seq },
                    ticket,
                    day: entry.day,
                    since_ms: now.steady_ms,
                    is_claimed: entry.claimed,
                };
                if view.is_live {
                    let ahead = view.ahead(seq);
                    view.came.insert(seq, ahead);
                }
                view.tickets.insert(seq, waiting.clone());
                if self.may_take().is_ok() {
                    self.tell(Event::Ticket(Box::new(waiting)));
                }
            }
            Err(junk) => {
                if view.junk.len() < JUNK_KNOWN_MAX {
                    view.junk.insert(seq, junk);
                }
                // Once, however often it is read.
                if seq > view.counted_to && !matches!(junk, Junk::Rating(_)) {
                    view.counted_to = seq;
                    self.junk();
                }
            }
        }
    }

    /// The next ticket of a queue; whether the log is one.
    pub(super) fn ticket_met(&mut self, log: LogId, entry: &Entry<'_>, now: Now) -> Result<bool> {
        let Some((_, is_letter)) = self.queues().into_iter().find(|(one, _)| *one == log) else {
            return Ok(false);
        };
        self.session.consumed(&log, entry.seq);
        self.met_in_queue(log, is_letter, entry, now);
        Ok(true)
    }
}
