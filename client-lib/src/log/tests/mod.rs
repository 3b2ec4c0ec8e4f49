//! The session against a small model of a relay: honest, busy, restarting, lying.

mod asks;
mod edges;
mod honest;
mod lies;
mod model;

use std::collections::BTreeMap;

use sotto_protocol::frame::{Entry, Item, NewEntry};
use sotto_protocol::id::{Commitment, LogId, RetryId};
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::{Cursor, Doubt, Session, SessionEvent, Token};
use crate::time::Now;
use model::ModelRelay;

/// A day some time from now; the model relay starts at its noon.
const DAY: u32 = 20_000;

fn noon() -> Now {
    Now::at(u64::from(DAY) * 86_400_000 + 43_200_000)
}

fn member() -> StaticSecret {
    StaticSecret::from([11; 32])
}

/// Pads to the smallest class; the text comes back by [`text`].
fn padded(text: &[u8]) -> Vec<u8> {
    let length = SizeClass::holding(text.len()).map_or(text.len(), SizeClass::bytes);
    let mut sealed = text.to_vec();
    sealed.resize(length, 0);
    sealed
}

fn text(entry: &Entry<'_>) -> String {
    let text = String::from_utf8(entry.sealed.as_slice().to_vec()).unwrap();
    text.trim_end_matches('\0').to_owned()
}

fn item(log: LogId, text: &[u8]) -> Item<'static> {
    Item {
        log,
        pin: false,
        lease: None,
        admit: None,
        fence: None,
        grants: None,
        entries: vec![NewEntry {
            held: None,
            owner: None,
            sealed: padded(text).into(),
            commitment: Commitment::new([1; 32]),
            last_resort: false,
        }],
    }
}

fn retry(number: u64) -> RetryId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    RetryId::new(bytes)
}

/// A session, the relay, and everything the session said, sorted.
struct Pair {
    session: Session,
    relay: ModelRelay,
    now: Now,
    entries: BTreeMap<LogId, Vec<(Entry<'static>, Cursor)>>,
    doubts: Vec<Doubt>,
    gone: Vec<(u64, u64)>,
    answers: BTreeMap<Token, Result<sotto_protocol::frame::Answer<'static>, super::Denied>>,
    others: Vec<SessionEvent>,
}

impl Pair {
    fn new() -> Self {
        let relay = ModelRelay::new(DAY);
        Self {
            session: Session::seeded(relay.identity(), 1),
            relay,
            now: noon(),
            entries: BTreeMap::new(),
            doubts: Vec::new(),
            gone: Vec::new(),
            answers: BTreeMap::new(),
            others: Vec::new(),
        }
    }

    fn connect(&mut self) {
        self.session.connected(self.now);
        self.relay.connect();
    }

    fn disconnect(&mut self) {
        self.session.disconnected(self.now);
        self.relay.disconnect();
    }

    /// Carries messages both ways until nobody has any.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            while let Some(message) = self.session.poll_output() {
                self.relay.receive(&message);
                moved = true;
            }
            while let Some(message) = self.relay.poll() {
                self.session.received(&message, self.now).unwrap();
                moved = true;
            }
            self.collect(true);
            if !moved {
                return;
            }
        }
    }

    /// Lets time pass until the session has nothing to wait for.
    fn wait(&mut self) {
        let deadline = self.session.next_deadline().unwrap();
        let ms = deadline.saturating_sub(self.now.steady_ms);
        self.now = self.now.plus_ms(ms);
        self.session.tick(self.now).unwrap();
        self.settle();
    }

    fn collect(&mut self, consume: bool) {
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Entry { log, entry, cursor } => {
                    if consume {
                        self.session.consumed(&log, entry.seq);
                    }
                    self.entries.entry(log).or_default().push((entry, cursor));
                }
                SessionEvent::Doubt { doubt, .. } => self.doubts.push(doubt),
                SessionEvent::Gone { from, to, .. } => self.gone.push((from, to)),
                SessionEvent::Answered { token, result } => {
                    assert!(
                        self.answers.insert(token, result).is_none(),
                        "answered once"
                    );
                }
                other => self.others.push(other),
            }
        }
    }

    fn seqs(&self, log: &LogId) -> Vec<u64> {
        let entries = self.entries.get(log).map_or(&[][..], Vec::as_slice);
        entries.iter().map(|(entry, _)| entry.seq).collect()
    }
}
