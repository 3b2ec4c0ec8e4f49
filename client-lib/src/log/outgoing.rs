//! What a session sends next. Requests are built only when the socket wants them, so that nothing
//! queues up behind a slow line.

use sotto_protocol::cbor;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Credit, Open, Refusal, Request, Unfollow, Verb};
use sotto_protocol::id::LogId;
use sotto_protocol::limits;
use sotto_protocol::size_class::SizeClass;

use super::ask::proofs;
use super::line::Line;
use super::session::{Asked, Opening, Pushes, Stage};
use super::{Ask, Session, SessionEvent, Token};

/// How long the request is that appends one entry of 4 KiB: with a ticket's held part it is nearly so,
/// and what is said in its chat shall not be told from it. SPEC.md, "Size classes".
const APPEND_PADDED_BYTES: usize = 8_960;
/// Shorter padding has another head, with which some lengths cannot be met.
const PAD_BYTES_MIN: usize = 256;
/// CBOR around padding of that length: the key "pad" and a head of three bytes.
const PAD_FRAME_BYTES: usize = 7;
/// Credits remembered in case one is refused.
pub(super) const CREDITS_MAX: usize = 64;

impl Session {
    /// The next WebSocket binary message to send, if there is one now.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        if let Some(message) = self.handshake_out.take() {
            return Some(message);
        }
        if !self.is_ready() {
            return None;
        }
        if self.asked.len() < limits::REQUESTS_IN_FLIGHT_MAX
            && let Some(message) = self.open_next().or_else(|| self.pushes_next())
        {
            return Some(message);
        }
        if let Some(message) = self.credit_next() {
            return Some(message);
        }
        if self.asked.len() < limits::REQUESTS_IN_FLIGHT_MAX {
            return self.ask_next();
        }
        None
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Seals a request; nothing if it cannot be, which is a fault of ours and ends the connection.
    fn seal(&mut self, request: &Request<'_>) -> Option<Vec<u8>> {
        let item = cbor::encode(request).ok()?;
        let Line::Up(line) = &mut self.line else {
            return None;
        };
        line.seal(&item).ok()
    }

    fn note_asked(&mut self, id: u64, what: Asked) {
        self.asked.insert(id, (what, self.now.steady_ms));
    }

    fn open_next(&mut self) -> Option<Vec<u8>> {
        let now_ms = self.now.steady_ms;
        let log = *self
            .logs
            .iter()
            .find(|(log, state)| {
                state.wanted
                    && state.opening == Opening::Wanted
                    && state.not_before_ms <= now_ms
                    && !self.is_being_made(log)
            })?
            .0;
        if self.opened_here.len() >= limits::OPEN_LOGS_MAX && !self.opened_here.contains(&log) {
            if !self.worn_out {
                self.worn_out = true;
                self.events.push_back(SessionEvent::WornOut);
            }
            return None;
        }
        let id = self.id();
        let Line::Up(line) = &self.line else {
            return None;
        };
        let state = self.logs.get_mut(&log)?;
        state.opening = Opening::Asked { again: false };
        let verb = Verb::Open(Open {
            log,
            proofs: proofs(line, &state.keys, &log),
        });
        self.opened_here.insert(log);
        self.note_asked(id, Asked::Open(log));
        self.seal(&unpadded(verb, id))
    }

    fn pushes_next(&mut self) -> Option<Vec<u8>> {
        let now = self.now;
        let logs = self.logs.keys().copied();
        let held_up: Vec<_> = logs.filter(|log| self.is_held_up(log)).collect();
        let (log, verb) = self.logs.iter_mut().find_map(|(log, state)| {
            if state.pushes == Pushes::Leave {
                state.pushes = Pushes::Leaving;
                return Some((*log, Verb::Unfollow(Unfollow { log: *log })));
            }
            let may = state.opening == Opening::Open
                && state.pushes == Pushes::Quiet
                && !held_up.contains(log)
                && state.not_before_ms <= now.steady_ms;
            let reader = state.reader.as_mut().filter(|_| may)?;
            state.pushes = Pushes::On;
            Some((*log, Verb::Follow(reader.follow(now))))
        })?;
        let id = self.id();
        let what = match verb {
            Verb::Unfollow(_) => Asked::Unfollow(log),
            _ => Asked::Follow(log),
        };
        self.note_asked(id, what);
        self.seal(&unpadded(verb, id))
    }

    fn credit_next(&mut self) -> Option<Vec<u8>> {
        let (log, more) = self
            .logs
            .iter_mut()
            .filter(|(_, state)| state.pushes == Pushes::On)
            .find_map(|(log, state)| Some((*log, state.reader.as_mut()?.credit()?)))?;
        let id = self.id();
        if self.credits.len() == CREDITS_MAX {
            self.credits.pop_front();
        }
        self.credits.push_back((id, log, more));
        let verb = Verb::Credit(Credit { log, more });
        self.seal(&unpadded(verb, id))
    }

    fn ask_next(&mut self) -> Option<Vec<u8>> {
        let token = self.next_ask()?;
        let id = self.id();
        let Line::Up(line) = &mut self.line else {
            return None;
        };
        let pending = self.asks.get_mut(&token)?;
        let verb = pending.ask.verb(line, pending.work);
        pending.stage = Stage::Sent(id);
        let mut request = unpadded(verb, id);
        let item = match padded(&mut request) {
            Ok(item) => item,
            Err(code) => {
                self.deny(token, Refusal::of(code));
                return self.ask_next();
            }
        };
        let message = line.seal(&item).ok();
        self.note_asked(id, Asked::Ask(token));
        message
    }

    /// The oldest ask that may be sent. One that waits for a busy relay holds back later appends
    /// to its logs, so that an author's words keep their order.
    fn next_ask(&self) -> Option<Token> {
        let mut held_back: Vec<LogId> = Vec::new();
        for (token, pending) in &self.asks {
            if matches!(pending.stage, Stage::Sent(_)) {
                continue;
            }
            let logs = pending.ask.open_logs();
            let ready = pending.stage == Stage::Waiting
                && pending.not_before_ms <= self.now.steady_ms
                && logs.iter().all(|log| {
                    let state = self.logs.get(log);
                    state.is_some_and(|state| state.opening == Opening::Open)
                        && !held_back.contains(log)
                });
            if ready {
                return Some(*token);
            }
            if matches!(pending.ask, Ask::Append { .. }) {
                held_back.extend(logs);
            }
        }
        None
    }
}

const fn unpadded(verb: Verb<'_>, id: u64) -> Request<'_> {
    let pad = None;
    Request { verb, id, pad }
}

/// Encodes a request, an append of one middling entry as long as any other; errors as `within_limits`.
fn padded(request: &mut Request<'_>) -> Result<Vec<u8>, ErrorCode> {
    let item = within_limits(request)?;
    let of_one_entry = match &request.verb {
        Verb::Append(append) => append.items.iter().flat_map(|item| &item.entries),
        _ => return Ok(item),
    };
    let is_alike = of_one_entry
        .map(|entry| entry.sealed.as_slice().len())
        .eq([SizeClass::K4.bytes()]);
    let missing = APPEND_PADDED_BYTES
        .checked_sub(item.len() + PAD_FRAME_BYTES)
        .filter(|missing| is_alike && *missing >= PAD_BYTES_MIN);
    let Some(missing) = missing else {
        return Ok(item);
    };
    request.pad = Some(vec![0; missing].into());
    within_limits(request)
}

/// Encodes a request; the code the relay would give instead of an answer, closing the connection
/// for everything else on it.
fn within_limits(request: &Request<'_>) -> Result<Vec<u8>, ErrorCode> {
    request.check_bounds()?;
    let item = cbor::encode(request).map_err(|_| ErrorCode::BadRequest)?;
    if item.len() > limits::REQUEST_BYTES_MAX {
        return Err(ErrorCode::TooLarge);
    }
    Ok(item)
}
