//! The state of a session: what is wished for, what was asked, what is under way.
//!
//! Wishes (logs to open and follow, asks) live as long as the session; everything of one
//! connection is dropped with it and built again on the next.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Item, Lane, Refusal};
use sotto_protocol::id::{LogId, RelayIdentity, RetryId, Tag};
use sotto_protocol::limits;
use sotto_protocol::proof;
use x25519_dalek::StaticSecret;

use super::line::Line;
use super::reader::{Note, Reader};
use super::{
    ANSWER_TIMEOUT_MS, ASK_BYTES_MAX, ASKS_MAX, Ask, Cursor, Denied, HANDSHAKE_TIMEOUT_MS, Keeps,
    NewLog, SessionError, SessionEvent, Token, WorkDone,
};
use crate::jitter::Jitter;
use crate::time::{DAY_MS, Now};

/// How an `open` stands on this connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// To be asked for.
    Wanted,
    /// Asked for; `again` if the keys changed since.
    Asked {
        /// Ask once more when this is answered.
        again: bool,
    },
    /// Open.
    Open,
    /// Not to be had on this connection.
    Refused(Refusal),
}

/// How pushes of a log stand on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushes {
    /// None come.
    Quiet,
    /// They come, or were asked for.
    On,
    /// To be stopped.
    Leave,
    /// Stopping; what still comes belongs to nobody.
    Leaving,
    /// The relay ended or refused them.
    Over,
}

/// One log of the session.
pub(super) struct LogState {
    /// Whether the caller still wants it open; a closed one stays until its pushes stopped.
    pub(super) wanted: bool,
    pub(super) keys: Vec<StaticSecret>,
    pub(super) opening: Opening,
    pub(super) pushes: Pushes,
    pub(super) reader: Option<Reader>,
    /// Nothing is asked for this log before, after the relay was busy.
    pub(super) not_before_ms: u64,
    /// How often in a row it was.
    pub(super) tries: u32,
}

/// Where an ask is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To be sent.
    Waiting,
    /// Sent, with this request id.
    Sent(u64),
    /// Somebody works for it.
    Working,
}

/// One ask until it is answered.
pub(super) struct Pending {
    pub(super) ask: Ask,
    pub(super) bytes: usize,
    pub(super) stage: Stage,
    pub(super) not_before_ms: u64,
    pub(super) tries: u32,
    /// Sent on a connection that broke before the answer.
    pub(super) unanswered: bool,
    pub(super) work: Option<u64>,
}

/// What a request id stands for on this connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Open(LogId),
    Follow(LogId),
    Unfollow(LogId),
    Ask(Token),
}

/// A client's end of the connections to one relay; see the [module](super).
///
/// It never blocks and reads no clock. After each call that takes a time, take every event and
/// every output, then sleep until [`Session::next_deadline`] at the latest and call
/// [`Session::tick`].
pub struct Session {
    pub(super) identity: RelayIdentity,
    /// Whether the next greeting's identity is taken for the relay's, once.
    pub(super) learns: bool,
    pub(super) now: Now,
    pub(super) line: Line,
    pub(super) line_since_ms: u64,
    pub(super) jitter: Jitter,
    pub(super) next_id: u64,
    next_token: u64,
    pub(super) logs: BTreeMap<LogId, LogState>,
    /// Logs that are followed only once these others are open or refused.
    behind: BTreeMap<LogId, Vec<LogId>>,
    pub(super) asks: BTreeMap<Token, Pending>,
    ask_bytes: usize,
    /// Requests of this connection without an answer, and when they were sent.
    pub(super) asked: BTreeMap<u64, (Asked, u64)>,
    /// The last credits of this connection, which are answered only if refused.
    pub(super) credits: VecDeque<(u64, LogId, u32)>,
    pub(super) tags: BTreeMap<Tag, LogId>,
    pub(super) opened_here: BTreeSet<LogId>,
    pub(super) worn_out: bool,
    pub(super) handshake_out: Option<Vec<u8>>,
    /// The relay's date at the last handshake, and when that was (steady).
    greeted: Option<(u32, u64)>,
    pub(super) day_floor: u32,
    pub(super) events: VecDeque<SessionEvent>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("ready", &self.is_ready())
            .field("logs", &self.logs.len())
            .field("asks", &self.asks.len())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session with the relay of this identity, not connected.
    #[must_use]
    pub fn new(identity: RelayIdentity) -> Self {
        Self::with_jitter(identity, Jitter::random())
    }

    /// A session whose waits are spread alike for each `seed`: for simulations.
    #[must_use]
    pub const fn seeded(identity: RelayIdentity, seed: u64) -> Self {
        Self::with_jitter(identity, Jitter::seeded(seed))
    }

    /// A session with whatever relay answers first, which is then the one that it stays with. Only
    /// for who checks the identity by what they read there.
    #[cfg(any(feature = "native", test))]
    pub(crate) fn learning() -> Self {
        Self {
            learns: true,
            ..Self::new(RelayIdentity::new([0; RelayIdentity::LEN]))
        }
    }

    /// Which relay this is a session with.
    #[cfg(any(feature = "native", test))]
    pub(crate) const fn identity(&self) -> RelayIdentity {
        self.identity
    }

    const fn with_jitter(identity: RelayIdentity, jitter: Jitter) -> Self {
        Self {
            identity,
            learns: false,
            now: Now::at(0),
            line: Line::Down,
            line_since_ms: 0,
            jitter,
            next_id: 0,
            next_token: 0,
            logs: BTreeMap::new(),
            behind: BTreeMap::new(),
            asks: BTreeMap::new(),
            ask_bytes: 0,
            asked: BTreeMap::new(),
            credits: VecDeque::new(),
            tags: BTreeMap::new(),
            opened_here: BTreeSet::new(),
            worn_out: false,
            handshake_out: None,
            greeted: None,
            day_floor: 0,
            events: VecDeque::new(),
        }
    }

    /// Whether the connection stands and is sealed.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.line, Line::Up(_))
    }

    /// Today by the relay: the day of its last greeting and one more for each full 24 hours since;
    /// before the first one the day of this device. Requests carry it.
    #[must_use]
    pub fn today(&self, now: Now) -> u32 {
        let Some((day, at)) = self.greeted else {
            return now.day();
        };
        let days = now.steady_ms.saturating_sub(at) / DAY_MS;
        day.saturating_add(u32::try_from(days).unwrap_or(u32::MAX))
    }

    /// The last day on which the relay's date and this device's agreed, give or take one. A
    /// greeting from before the day before it is not believed: keep it, and give it to the next
    /// session.
    #[must_use]
    pub const fn day_floor(&self) -> u32 {
        self.day_floor
    }

    /// What [`Session::day_floor`] was.
    pub const fn set_day_floor(&mut self, day: u32) {
        self.day_floor = day;
    }

    /// The relay has proved that this is its key of the day.
    pub(super) fn greeted(&mut self, day: u32) {
        if day.abs_diff(self.now.day()) <= 1 {
            self.day_floor = self.day_floor.max(day);
        }
        self.greeted = Some((day, self.now.steady_ms));
    }

    /// What a greeting with this day does.
    #[cfg(test)]
    pub(crate) fn greeted_on(&mut self, day: u32) {
        self.greeted(day);
    }

    /// The moment, on the relay's date.
    pub(super) fn dated(&self) -> Now {
        Now {
            wall_ms: u64::from(self.today(self.now)) * DAY_MS,
            ..self.now
        }
    }

    /// A WebSocket connection was made; the relay speaks first.
    pub fn connected(&mut self, now: Now) {
        self.drop_connection(now);
        self.line = Line::Silent;
        self.line_since_ms = now.steady_ms;
    }

    /// The connection is gone, whoever ended it. Wishes stay.
    pub fn disconnected(&mut self, now: Now) {
        self.drop_connection(now);
    }

    fn drop_connection(&mut self, now: Now) {
        self.now = now;
        self.line = Line::Down;
        self.handshake_out = None;
        self.asked.clear();
        self.credits.clear();
        self.tags.clear();
        self.opened_here.clear();
        self.worn_out = false;
        for pending in self.asks.values_mut() {
            pending.unanswered |= matches!(pending.stage, Stage::Sent(_));
            pending.stage = Stage::Waiting;
            pending.work = None;
        }
        self.logs.retain(|_, log| log.wanted);
        for log in self.logs.values_mut() {
            log.opening = Opening::Wanted;
            log.pushes = Pushes::Quiet;
            log.not_before_ms = 0;
            log.tries = 0;
            if let Some(reader) = &mut log.reader {
                reader.stop();
            }
        }
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// Wishes a log open, proving these keys (at most
    /// [`PROOFS_MAX`](sotto_protocol::limits::PROOFS_MAX)), now and after each reconnect.
    /// With other keys than before it is opened again; with the same only if it was refused.
    pub fn open(&mut self, log: LogId, keys: Vec<StaticSecret>) {
        if keys.is_empty() || keys.len() > limits::PROOFS_MAX {
            let refusal = Refusal::of(ErrorCode::TooLarge);
            self.events
                .push_back(SessionEvent::OpenRefused { log, refusal });
            return;
        }
        let state = self.logs.entry(log).or_insert_with(|| LogState {
            wanted: true,
            keys: Vec::new(),
            opening: Opening::Wanted,
            pushes: Pushes::Quiet,
            reader: None,
            not_before_ms: 0,
            tries: 0,
        });
        let same = {
            let old: BTreeSet<_> = state.keys.iter().map(proof::public_key).collect();
            let new: BTreeSet<_> = keys.iter().map(proof::public_key).collect();
            old == new
        };
        state.wanted = true;
        state.keys = keys;
        state.opening = match &state.opening {
            Opening::Refused(_) => Opening::Wanted,
            Opening::Open if !same => Opening::Wanted,
            Opening::Asked { again } => Opening::Asked {
                again: *again || !same,
            },
            stays => stays.clone(),
        };
        if state.pushes == Pushes::Over {
            state.pushes = Pushes::Quiet;
        }
    }

    /// Wishes a log no longer open: its pushes stop, its asks are answered as refused.
    pub fn close(&mut self, log: &LogId) {
        self.unfollow(log);
        if let Some(state) = self.logs.get_mut(log) {
            state.wanted = false;
            if state.pushes == Pushes::Quiet {
                self.logs.remove(log);
            }
        }
        self.refuse_asks_of(*log, &Refusal::of(ErrorCode::Refused));
    }

    /// Wishes the entries of an open log behind `after`, in order, each once, over all reconnects.
    /// A second call begins anew.
    pub fn follow(&mut self, log: LogId, lane: Lane, after: Cursor, keeps: Keeps) {
        self.unfollow(&log);
        if let Some(state) = self.logs.get_mut(&log) {
            state.reader = Some(Reader::new(log, lane, after, keeps));
        }
    }

    /// On each connection, has the entries of `log` come only once these others are open or refused:
    /// what is read in it is judged by how far they go.
    pub fn follow_behind(&mut self, log: LogId, others: Vec<LogId>) {
        self.behind.insert(log, others);
    }

    /// What a log is followed behind.
    #[cfg(test)]
    pub(crate) fn others_before(&self, log: &LogId) -> Vec<LogId> {
        self.behind.get(log).cloned().unwrap_or_default()
    }

    /// Whether a log waits for others that are about to be opened. One that is still to be made holds
    /// nothing up.
    pub(super) fn is_held_up(&self, log: &LogId) -> bool {
        let others = self.behind.get(log).into_iter().flatten();
        let mut states = others.filter_map(|other| self.logs.get_key_value(other));
        states.any(|(other, state)| {
            let is_due = matches!(state.opening, Opening::Wanted | Opening::Asked { .. });
            is_due && state.wanted && !self.is_being_made(other)
        })
    }

    pub(super) fn is_being_made(&self, log: &LogId) -> bool {
        let mut asks = self.asks.values();
        asks.any(|pending| matches!(&pending.ask, Ask::Create(new) if new.id() == *log))
    }

    /// Opens a log anew that is open, to hear how far it goes by now.
    pub fn open_again(&mut self, log: &LogId) {
        let state = self.logs.get_mut(log);
        if let Some(state) = state.filter(|state| state.opening == Opening::Open) {
            state.opening = Opening::Wanted;
        }
    }

    /// Wishes no more entries of a log.
    pub fn unfollow(&mut self, log: &LogId) {
        let Some(state) = self.logs.get_mut(log) else {
            return;
        };
        state.reader = None;
        state.pushes = match state.pushes {
            Pushes::On => Pushes::Leave,
            Pushes::Over => Pushes::Quiet,
            stays => stays,
        };
    }

    /// Says that every entry of `log` up to and with `seq` is stored: credit for more, and where a
    /// reconnect goes on.
    pub fn consumed(&mut self, log: &LogId, seq: u64) {
        let state = self.logs.get_mut(log);
        if let Some(reader) = state.and_then(|state| state.reader.as_mut()) {
            reader.consumed(seq);
        }
    }

    /// Whether a log is opened on each connection.
    #[cfg(test)]
    pub(crate) fn holds(&self, log: &LogId) -> bool {
        self.logs.contains_key(log)
    }

    /// The last entry of a followed log that was given out.
    #[must_use]
    pub fn seen(&self, log: &LogId) -> Option<Cursor> {
        let reader = self.logs.get(log)?.reader.as_ref()?;
        Some(reader.seen())
    }

    /// Makes a log. An `open` of it waits for the answer.
    pub fn create(&mut self, log: NewLog) -> Token {
        self.ask(Ask::Create(log))
    }

    /// Appends; sent again with the same retry id and day after each reconnect until it is
    /// answered.
    ///
    /// Two appends at once may land in either order when the relay is busy: wait for an answer
    /// where the order matters.
    pub fn append(&mut self, items: Vec<Item<'static>>, retry: RetryId, day: u32) -> Token {
        self.ask(Ask::Append { items, retry, day })
    }

    /// Asks. It waits until the logs it needs are open, is sent again after each reconnect and
    /// while the relay is busy, and gets exactly one [`SessionEvent::Answered`] unless cancelled.
    /// Over [`ASKS_MAX`](super::ASKS_MAX) or [`ASK_BYTES_MAX`](super::ASK_BYTES_MAX) it is answered
    /// *busy* at once.
    pub fn ask(&mut self, ask: Ask) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        let bytes = ask.bytes();
        let refusal = if self.asks.len() >= ASKS_MAX || self.ask_bytes + bytes > ASK_BYTES_MAX {
            Some(Refusal::of(ErrorCode::Busy))
        } else {
            self.refused_log(&ask)
        };
        if let Some(refusal) = refusal {
            let result = Err(Denied {
                refusal,
                perhaps_applied: false,
            });
            self.events
                .push_back(SessionEvent::Answered { token, result });
            return token;
        }
        self.ask_bytes += bytes;
        let pending = Pending {
            ask,
            bytes,
            stage: Stage::Waiting,
            not_before_ms: 0,
            tries: 0,
            unanswered: false,
            work: None,
        };
        self.asks.insert(token, pending);
        token
    }

    fn refused_log(&self, ask: &Ask) -> Option<Refusal> {
        ask.open_logs().iter().find_map(|log| {
            let state = self.logs.get(log)?;
            match &state.opening {
                Opening::Refused(refusal) => Some(refusal.clone()),
                _ => None,
            }
        })
    }

    /// Gives up an ask; no answer comes. `true` if it was never sent, so that it is certain not to
    /// be carried out.
    pub fn cancel(&mut self, token: Token) -> bool {
        self.forget_ask(token)
            .is_none_or(|pending| !pending.unanswered && !matches!(pending.stage, Stage::Sent(_)))
    }

    pub(super) fn forget_ask(&mut self, token: Token) -> Option<Pending> {
        let pending = self.asks.remove(&token)?;
        self.ask_bytes = self.ask_bytes.saturating_sub(pending.bytes);
        Some(pending)
    }

    /// Hands in work that [`SessionEvent::WorkNeeded`] asked for.
    pub fn worked(&mut self, done: &WorkDone) {
        let Line::Up(line) = &self.line else { return };
        let same_line = line.handshake_hash == done.handshake_hash;
        if let Some(pending) = self.asks.get_mut(&done.token)
            && same_line
            && pending.stage == Stage::Working
        {
            pending.work = Some(done.nonce);
            pending.stage = Stage::Waiting;
        }
    }

    /// Answers every ask that needs `log` with `refusal`.
    pub(super) fn refuse_asks_of(&mut self, log: LogId, refusal: &Refusal) {
        let tokens: Vec<Token> = self
            .asks
            .iter()
            .filter(|(_, pending)| pending.ask.open_logs().contains(&log))
            .map(|(token, _)| *token)
            .collect();
        for token in tokens {
            self.deny(token, refusal.clone());
        }
    }

    /// Answers an ask with a refusal.
    pub(super) fn deny(&mut self, token: Token, refusal: Refusal) {
        let Some(pending) = self.forget_ask(token) else {
            return;
        };
        // A relay that remembers the retry id answers a repeat as it did at first, so only what
        // it cannot or does not look up leaves a doubt.
        let sent = matches!(pending.stage, Stage::Sent(_));
        let looked_up = sent
            && !matches!(
                refusal.code,
                ErrorCode::Refused | ErrorCode::RetryTooOld | ErrorCode::Internal
            );
        let perhaps_applied = pending.ask.changes_something()
            && ((pending.unanswered && !looked_up)
                || (sent && refusal.code == ErrorCode::Internal));
        let result = Err(Denied {
            refusal,
            perhaps_applied,
        });
        self.events
            .push_back(SessionEvent::Answered { token, result });
    }

    pub(super) fn note(&mut self, log: LogId, notes: Vec<Note>) {
        self.events.extend(notes.into_iter().map(|note| match note {
            Note::Doubt(doubt) => SessionEvent::Doubt { log, doubt },
            Note::Gone { from, to } => SessionEvent::Gone { log, from, to },
        }));
    }

    /// The steady time at which [`Session::tick`] has something to do, if nothing comes before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        // A request that was found unfit as it was to go out is told of like any other refusal.
        if !self.events.is_empty() {
            return Some(self.now.steady_ms);
        }
        let waits = self
            .asks
            .values()
            .filter(|pending| pending.stage == Stage::Waiting)
            .map(|pending| pending.not_before_ms)
            .chain(self.logs.values().map(|log| log.not_before_ms))
            .filter(|at| *at > self.now.steady_ms);
        let readers = self
            .logs
            .values()
            .filter_map(|log| log.reader.as_ref()?.deadline_ms());
        match self.line {
            Line::Down => None,
            Line::Silent | Line::Shaking(_) => {
                Some(self.line_since_ms.saturating_add(HANDSHAKE_TIMEOUT_MS))
            }
            Line::Up(_) => waits.chain(readers).chain(self.answer_deadline()).min(),
        }
    }

    fn answer_deadline(&self) -> Option<u64> {
        let (_, (_, sent_ms)) = self.asked.first_key_value()?;
        Some(sent_ms.saturating_add(ANSWER_TIMEOUT_MS))
    }

    /// Lets time pass: waits end, and what the relay should have said by now is noticed.
    ///
    /// # Errors
    /// [`SessionError::Silent`] if the relay owes a greeting or an answer: hang up.
    pub fn tick(&mut self, now: Now) -> Result<(), SessionError> {
        self.now = now;
        let late = match self.line {
            Line::Down => false,
            Line::Silent | Line::Shaking(_) => {
                self.line_since_ms.saturating_add(HANDSHAKE_TIMEOUT_MS) <= now.steady_ms
            }
            Line::Up(_) => self
                .answer_deadline()
                .is_some_and(|deadline| deadline <= now.steady_ms),
        };
        if late {
            self.drop_connection(now);
            return Err(SessionError::Silent);
        }
        if self.is_ready() {
            let (mut notes, now) = (Vec::new(), self.dated());
            for (log, state) in &mut self.logs {
                if let Some(reader) = &mut state.reader {
                    let mut of_log = Vec::new();
                    reader.tick(now, &mut of_log);
                    notes.push((*log, of_log));
                }
            }
            for (log, notes) in notes {
                self.note(log, notes);
            }
        }
        Ok(())
    }
}
