//! What a session makes of a relay's messages.

use sotto_protocol::cbor;
use sotto_protocol::chain;
use sotto_protocol::error_code::Blame;
use sotto_protocol::frame::{
    Answer, Done, Frame, FromRelay, Notice, Opened, Page, Push, Refusal, Refused,
};
use sotto_protocol::id::{LogId, Tag};
use sotto_protocol::limits;

use super::ask::{Next, after_refusal};
use super::line::{Line, Shaking};
use super::reader::page_doubts;
use super::session::{Asked, LogState, Opening, Pushes, Stage};
use super::{Ask, Doubt, Session, SessionError, SessionEvent, Token, WORK_BITS_INLINE, WorkOrder};
use crate::time::Now;

/// Events that may wait to be taken: full windows of all logs with a doubt each, and answers.
pub(super) const EVENTS_MAX: usize = 16_384;
/// Tries on the spot; who needs more, which is as likely as heads sixteen times, hands the rest out.
const WORK_TRIES_INLINE: u32 = 1 << 20;

impl Session {
    /// Takes one WebSocket binary message.
    ///
    /// # Errors
    /// Any [`SessionError`] means: hang up. The session is then as if disconnected.
    pub fn received(&mut self, message: &[u8], now: Now) -> Result<(), SessionError> {
        self.now = now;
        let taken = self.take(message);
        if taken.is_err() {
            self.disconnected(now);
        }
        taken
    }

    fn take(&mut self, message: &[u8]) -> Result<(), SessionError> {
        if message.len() > limits::MESSAGE_BYTES_MAX {
            return Err(SessionError::TooLarge);
        }
        if self.events.len() > EVENTS_MAX {
            return Err(SessionError::TooMuch);
        }
        let frame: Frame<'_> = cbor::decode(message).map_err(SessionError::Malformed)?;
        match (core::mem::replace(&mut self.line, Line::Down), frame) {
            (Line::Silent, Frame::Greeting(greeting)) => {
                if core::mem::take(&mut self.learns) {
                    self.identity = greeting.identity;
                }
                let earliest = self.day_floor.saturating_sub(1);
                let (shaking, out) = Shaking::begin(&self.identity, &greeting, earliest)?;
                self.line = Line::Shaking(Box::new(shaking));
                self.handshake_out = Some(out);
                Ok(())
            }
            (Line::Shaking(shaking), Frame::Noise(message)) => {
                let day = shaking.day;
                self.line = Line::Up(Box::new(shaking.finish(message.as_slice())?));
                self.greeted(day);
                self.events.push_back(SessionEvent::Ready);
                Ok(())
            }
            (Line::Up(mut line), Frame::Noise(sealed)) => {
                let item = line.open(sealed.as_slice())?;
                self.line = Line::Up(line);
                match cbor::decode(&item).map_err(SessionError::Malformed)? {
                    FromRelay::Done(done) => self.done(done),
                    FromRelay::Refused(refused) => self.refused(refused),
                    FromRelay::Notice(Notice::Ended(ended)) => self.ended(ended.tag),
                    FromRelay::Notice(Notice::Restarting(ms)) => {
                        self.events.push_back(SessionEvent::Restarting { ms });
                        Ok(())
                    }
                }
            }
            (Line::Up(line), Frame::Push(push)) => {
                self.line = Line::Up(line);
                self.push(push)
            }
            _ => Err(SessionError::OutOfOrder),
        }
    }

    fn followed(&mut self, tag: Tag) -> Result<(LogId, &mut LogState), SessionError> {
        let log = *self.tags.get(&tag).ok_or(SessionError::NotFollowed)?;
        let state = self.logs.get_mut(&log).ok_or(SessionError::NotFollowed)?;
        Ok((log, state))
    }

    fn ended(&mut self, tag: Tag) -> Result<(), SessionError> {
        let (log, state) = self.followed(tag)?;
        if state.pushes == Pushes::On {
            state.pushes = Pushes::Over;
            if let Some(reader) = &mut state.reader {
                reader.stop();
            }
            self.events.push_back(SessionEvent::Ended { log });
        }
        Ok(())
    }

    fn push(&mut self, push: Push<'_>) -> Result<(), SessionError> {
        let now = self.dated();
        let log = *self.tags.get(&push.tag).ok_or(SessionError::NotFollowed)?;
        // A log that was closed, or whose pushes are stopping: late ones belong to nobody.
        let Some(state) = self.logs.get_mut(&log) else {
            return Ok(());
        };
        let (Pushes::On, Some(reader)) = (state.pushes, &mut state.reader) else {
            return Ok(());
        };
        let mut notes = Vec::new();
        let taken = reader.push(&push.entry, now, &mut notes);
        self.note(log, notes);
        if let Some(cursor) = taken? {
            let entry = push.entry.into_owned();
            self.events
                .push_back(SessionEvent::Entry { log, entry, cursor });
        }
        Ok(())
    }

    fn done(&mut self, done: Done<'_>) -> Result<(), SessionError> {
        let (asked, _) = self.asked.remove(&done.id).ok_or(SessionError::NotAsked)?;
        match (asked, done.answer) {
            (Asked::Open(log), Answer::Opened(opened)) => self.opened(log, opened),
            (Asked::Follow(log), Answer::Followed(followed)) => {
                if self.tags.get(&followed.tag) == Some(&log) {
                    Ok(())
                } else {
                    Err(SessionError::NotFollowed)
                }
            }
            (Asked::Unfollow(log), Answer::Ok) => {
                self.left(log);
                Ok(())
            }
            (Asked::Ask(token), answer) => self.answered(token, done.id, answer),
            _ => Err(SessionError::NotAsked),
        }
    }

    fn left(&mut self, log: LogId) {
        if let Some(state) = self.logs.get_mut(&log) {
            state.pushes = Pushes::Quiet;
            if !state.wanted {
                self.logs.remove(&log);
            }
        }
    }

    fn opened(&mut self, log: LogId, opened: Opened) -> Result<(), SessionError> {
        if *self.tags.entry(opened.tag).or_insert(log) != log {
            return Err(SessionError::NotAsked);
        }
        let now = self.dated();
        let Some(state) = self.logs.get_mut(&log).filter(|state| state.wanted) else {
            return Ok(());
        };
        state.opening = match state.opening {
            Opening::Asked { again: true } => Opening::Wanted,
            _ => Opening::Open,
        };
        state.tries = 0;
        let mut notes = Vec::new();
        if let Some(reader) = &mut state.reader {
            reader.opened(&opened, now, &mut notes);
        }
        self.events.push_back(SessionEvent::Opened { log, opened });
        self.note(log, notes);
        Ok(())
    }

    fn answered(&mut self, token: Token, id: u64, answer: Answer<'_>) -> Result<(), SessionError> {
        let Some(pending) = self.asks.get(&token) else {
            return Ok(());
        };
        if pending.stage != Stage::Sent(id) || !pending.ask.is_answered_by(&answer) {
            return Err(SessionError::NotAsked);
        }
        let Some(pending) = self.forget_ask(token) else {
            return Ok(());
        };
        match (&pending.ask, &answer) {
            (Ask::Create(new), Answer::Created(created)) => {
                let log = new.id();
                if created.chain != chain::genesis(&log) {
                    let doubt = Doubt::Fork { seq: 0 };
                    self.events.push_back(SessionEvent::Doubt { log, doubt });
                }
            }
            (Ask::Append { items, .. }, Answer::Appended(done)) => {
                for (item, done) in items.iter().zip(done) {
                    self.told(item.log, done);
                }
            }
            (Ask::Read(read), Answer::Page(page)) => self.check_page(read.log, read.after, page),
            _ => {}
        }
        let result = Ok(answer.into_owned());
        self.events
            .push_back(SessionEvent::Answered { token, result });
        Ok(())
    }

    fn told(&mut self, log: LogId, done: &sotto_protocol::frame::ItemDone) {
        let now = self.dated();
        let state = self.logs.get_mut(&log);
        let Some(reader) = state.and_then(|state| state.reader.as_mut()) else {
            return;
        };
        let mut notes = Vec::new();
        reader.told(done.seq, done.chain, now, &mut notes);
        self.note(log, notes);
    }

    fn check_page(&mut self, log: LogId, after: u64, page: &Page<'_>) {
        let doubts = page_doubts(after, &page.entries);
        self.events.extend(
            doubts
                .into_iter()
                .map(|doubt| SessionEvent::Doubt { log, doubt }),
        );
    }

    fn refused(&mut self, refused: Refused) -> Result<(), SessionError> {
        let Refused { id, refusal } = refused;
        let Some((asked, _)) = self.asked.remove(&id) else {
            return self.credit_refused(id, &refusal);
        };
        match asked {
            Asked::Open(log) => self.open_refused(log, refusal),
            Asked::Follow(log) => self.follow_refused(log, refusal),
            // There was nothing to stop.
            Asked::Unfollow(log) => self.left(log),
            Asked::Ask(token) => self.ask_refused(token, refusal),
        }
        Ok(())
    }

    fn credit_refused(&mut self, id: u64, refusal: &Refusal) -> Result<(), SessionError> {
        let found = self.credits.iter().position(|credit| credit.0 == id);
        let (_, log, more) = found
            .and_then(|at| self.credits.remove(at))
            .ok_or(SessionError::NotAsked)?;
        // What is refused for good is a log that ended meanwhile, which is told by itself.
        let state = self.logs.get_mut(&log);
        if refusal.code.blame() == Blame::Busy
            && let Some(reader) = state.and_then(|state| state.reader.as_mut())
        {
            reader.uncredit(more);
        }
        Ok(())
    }

    /// Makes a log wait if the relay is busy; whether it does.
    fn wait(&mut self, log: LogId, refusal: &Refusal) -> bool {
        let now_ms = self.now.steady_ms;
        let Some(state) = self.logs.get_mut(&log) else {
            return false;
        };
        let Next::Wait { ms } = after_refusal(refusal, state.tries, false) else {
            return false;
        };
        state.tries = state.tries.saturating_add(1);
        state.not_before_ms = now_ms.saturating_add(self.jitter.spread(ms));
        true
    }

    fn open_refused(&mut self, log: LogId, refusal: Refusal) {
        self.opened_here.remove(&log);
        let waits = self.wait(log, &refusal);
        let Some(state) = self.logs.get_mut(&log).filter(|state| state.wanted) else {
            return;
        };
        if waits || state.opening == (Opening::Asked { again: true }) {
            state.opening = Opening::Wanted;
            return;
        }
        state.opening = Opening::Refused(refusal.clone());
        self.events.push_back(SessionEvent::OpenRefused {
            log,
            refusal: refusal.clone(),
        });
        self.refuse_asks_of(log, &refusal);
    }

    fn follow_refused(&mut self, log: LogId, refusal: Refusal) {
        let waits = self.wait(log, &refusal);
        let Some(state) = self.logs.get_mut(&log) else {
            return;
        };
        match state.pushes {
            // Whatever was to be stopped did not begin.
            Pushes::Leave => state.pushes = Pushes::Quiet,
            Pushes::On if waits => state.pushes = Pushes::Quiet,
            Pushes::On => {
                state.pushes = Pushes::Over;
                self.events
                    .push_back(SessionEvent::FollowRefused { log, refusal });
            }
            Pushes::Quiet | Pushes::Leaving | Pushes::Over => {}
        }
    }

    fn ask_refused(&mut self, token: Token, refusal: Refusal) {
        let now_ms = self.now.steady_ms;
        let Some(pending) = self.asks.get_mut(&token) else {
            return;
        };
        let subject = pending.ask.work_subject();
        match after_refusal(&refusal, pending.tries, subject.is_some()) {
            Next::Wait { ms } => {
                pending.tries = pending.tries.saturating_add(1);
                pending.stage = Stage::Waiting;
                pending.not_before_ms = now_ms.saturating_add(self.jitter.spread(ms));
                self.events
                    .push_back(SessionEvent::Delayed { token, refusal });
            }
            Next::Work { bits } => self.work(token, bits),
            Next::Report => self.deny(token, refusal),
        }
    }

    fn work(&mut self, token: Token, bits: u8) {
        let (Line::Up(line), Some(pending)) = (&self.line, self.asks.get_mut(&token)) else {
            return;
        };
        let Some((log, retry)) = pending.ask.work_subject() else {
            return;
        };
        pending.tries = pending.tries.saturating_add(1);
        pending.stage = Stage::Working;
        let order = WorkOrder {
            token,
            handshake_hash: line.handshake_hash,
            log,
            retry,
            bits,
            next: 0,
        };
        if bits > WORK_BITS_INLINE {
            self.events.push_back(SessionEvent::WorkNeeded(order));
            return;
        }
        match order.run_some(WORK_TRIES_INLINE) {
            Ok(done) => self.worked(&done),
            Err(rest) => self.events.push_back(SessionEvent::WorkNeeded(rest)),
        }
    }
}
