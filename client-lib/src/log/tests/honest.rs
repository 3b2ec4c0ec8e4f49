//! An honest relay over lines that break: everything once, in order, and no doubt.

use sotto_protocol::frame::Lane;
use sotto_protocol::id::LogId;

use super::super::{Cursor, Keeps, Session, SessionEvent, WINDOW};
use super::{DAY, Pair, item, member, noon, retry};
use crate::jitter::Jitter;

/// One client that reads and writes a log which others write to as well, in a network that breaks,
/// with a relay that restarts and is busy and a client that crashes.
struct Run {
    pair: Pair,
    log: LogId,
    dice: Jitter,
    to_relay: std::collections::VecDeque<Vec<u8>>,
    to_client: std::collections::VecDeque<Vec<u8>>,
    /// What a real client would have on disk.
    stored: Cursor,
    read: Vec<u64>,
    unconsumed: Vec<u64>,
    outbox: std::collections::BTreeMap<u64, Option<super::Token>>,
    written: u64,
    answered: Vec<u64>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut pair = Pair::new();
        let log = pair.relay.log(1, &member());
        pair.session = Session::seeded(pair.relay.identity(), seed);
        let mut run = Self {
            pair,
            log,
            dice: Jitter::seeded(seed),
            to_relay: std::collections::VecDeque::new(),
            to_client: std::collections::VecDeque::new(),
            stored: Cursor {
                day: DAY,
                ..Cursor::start(&log)
            },
            read: Vec::new(),
            unconsumed: Vec::new(),
            outbox: std::collections::BTreeMap::new(),
            written: 0,
            answered: Vec::new(),
        };
        run.start();
        run
    }

    fn start(&mut self) {
        let (log, stored) = (self.log, self.stored);
        self.pair.session.open(log, vec![member()]);
        self.pair
            .session
            .follow(log, Lane::All, stored, Keeps::Days(30));
        let unanswered: Vec<u64> = self.outbox.keys().copied().collect();
        for number in unanswered {
            self.send(number);
        }
    }

    fn send(&mut self, number: u64) {
        let text = number.to_string();
        let items = vec![item(self.log, text.as_bytes())];
        let token = self.pair.session.append(items, retry(number), DAY);
        self.outbox.insert(number, Some(token));
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice.next() % sides
    }

    fn step(&mut self) {
        match self.roll(100) {
            0..=24 => self.carry_out(),
            25..=54 => self.carry_in(),
            55..=69 => {
                let log = self.pair.relay.logs.get_mut(&self.log).unwrap();
                log.append(b"theirs", false, DAY);
            }
            70..=81 => {
                self.written += 1;
                let number = self.written;
                self.send(number);
            }
            82..=88 => self.consume(),
            89..=93 => self.cut(),
            94 => {
                self.pair.relay.restart();
                self.cut();
            }
            95 => self.crash(),
            96 => self.pair.relay.busy = 2,
            _ => self.pass(2_000),
        }
    }

    fn pass(&mut self, ms: u64) {
        self.pair.now = self.pair.now.plus_ms(ms);
        if self.pair.session.tick(self.pair.now).is_err() {
            self.cut();
        }
    }

    fn carry_out(&mut self) {
        if !self.pair.relay.is_connected() {
            self.pair.connect();
        }
        self.to_relay
            .extend(core::iter::from_fn(|| self.pair.session.poll_output()));
        let count = self.roll(4);
        for _ in 0..=count {
            if let Some(message) = self.to_relay.pop_front() {
                self.pair.relay.receive(&message);
            }
        }
    }

    fn carry_in(&mut self) {
        self.to_client
            .extend(core::iter::from_fn(|| self.pair.relay.poll()));
        let count = self.roll(8);
        for _ in 0..=count {
            if let Some(message) = self.to_client.pop_front() {
                self.pair.session.received(&message, self.pair.now).unwrap();
                self.take();
            }
        }
    }

    fn take(&mut self) {
        self.pair.collect(false);
        for (entry, _) in self.pair.entries.entry(self.log).or_default().iter() {
            self.unconsumed.push(entry.seq);
        }
        // Stored, in one transaction with the cursor.
        if let Some((_, cursor)) = self.pair.entries.entry(self.log).or_default().last() {
            self.stored = *cursor;
        }
        let entries = core::mem::take(&mut self.pair.entries);
        self.read
            .extend(entries.values().flatten().map(|(entry, _)| entry.seq));
        let answers = core::mem::take(&mut self.pair.answers);
        for (token, result) in answers {
            assert!(result.is_ok(), "an honest relay does it in the end");
            let found = self.outbox.iter().find(|(_, at)| **at == Some(token));
            let number = *found.unwrap().0;
            self.outbox.remove(&number);
            self.answered.push(number);
        }
    }

    fn consume(&mut self) {
        let count = usize::try_from(self.roll(20)).unwrap();
        let done = count.min(self.unconsumed.len());
        if let Some(last) = self.unconsumed.drain(..done).next_back() {
            self.pair.session.consumed(&self.log, last);
        }
    }

    fn cut(&mut self) {
        self.to_client.clear();
        self.to_relay.clear();
        self.pair.disconnect();
    }

    /// The process dies; what is on disk stays.
    fn crash(&mut self) {
        self.cut();
        let seed = self.roll(u64::MAX);
        self.pair.session = Session::seeded(self.pair.relay.identity(), seed);
        self.unconsumed.clear();
        self.start();
    }

    fn finish(&mut self) {
        let head = |run: &Self| run.pair.relay.logs[&run.log].head;
        let mut rounds = 0;
        while !(self.outbox.is_empty() && self.read.len() as u64 == head(self)) {
            self.carry_out();
            self.carry_in();
            self.consume();
            self.pass(500);
            rounds += 1;
            assert!(rounds < 5_000, "everything arrives once the line holds");
        }
    }
}

#[test]
fn a_thousand_honest_runs_raise_no_doubt_and_lose_nothing() {
    for seed in 0..1_000 {
        let mut run = Run::new(seed);
        for _ in 0..100 {
            run.step();
        }
        run.finish();
        let log = &run.pair.relay.logs[&run.log];
        let all: Vec<u64> = (1..=log.head).collect();
        assert_eq!(run.read, all, "seed {seed}: each entry once, in order");
        assert_eq!(run.pair.doubts, [], "seed {seed}");
        assert_eq!(run.pair.gone, [], "seed {seed}");
        let mut written: Vec<u64> = log
            .entries
            .iter()
            .filter_map(|entry| super::text(entry).parse().ok())
            .collect();
        written.sort_unstable();
        let numbers: Vec<u64> = (1..=run.written).collect();
        assert_eq!(written, numbers, "seed {seed}: each append once");
        run.answered.sort_unstable();
        assert_eq!(run.answered, numbers, "seed {seed}: each answered once");
    }
}

#[test]
fn a_reader_that_consumes_nothing_gets_one_window_and_no_more() {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    for _ in 0..3 * WINDOW {
        let state = pair.relay.logs.get_mut(&log).unwrap();
        state.append(b"x", false, DAY);
    }
    pair.session.open(log, vec![member()]);
    pair.session
        .follow(log, Lane::All, Cursor::start(&log), Keeps::Days(30));
    pair.connect();
    for _ in 0..20 {
        while let Some(message) = pair.session.poll_output() {
            pair.relay.receive(&message);
        }
        while let Some(message) = pair.relay.poll() {
            pair.session.received(&message, pair.now).unwrap();
        }
        pair.collect(false);
    }
    assert_eq!(pair.seqs(&log).len(), WINDOW as usize);
    pair.session.consumed(&log, u64::from(WINDOW));
    pair.settle();
    assert_eq!(
        pair.seqs(&log),
        (1..=u64::from(3 * WINDOW)).collect::<Vec<_>>()
    );
    assert_eq!(pair.doubts, []);
}

#[test]
fn the_fenced_lane_has_gaps_by_design() {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    for number in 1..=12 {
        let state = pair.relay.logs.get_mut(&log).unwrap();
        state.append(b"x", number % 3 == 0, DAY);
    }
    pair.session.open(log, vec![member()]);
    pair.session
        .follow(log, Lane::Fenced, Cursor::start(&log), Keeps::Days(30));
    pair.connect();
    pair.settle();
    pair.disconnect();
    pair.connect();
    pair.settle();
    assert_eq!(pair.seqs(&log), [3, 6, 9, 12]);
    assert_eq!((pair.doubts, pair.gone), (vec![], vec![]));
}

#[test]
fn entries_that_expired_while_one_was_away_are_gone_and_no_doubt() {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    let state = pair.relay.logs.get_mut(&log).unwrap();
    for day in [0, 0, 1, 1, 31, 31] {
        state.append(b"x", false, DAY + day);
    }
    state.entries.retain(|entry| entry.day == DAY + 31);
    pair.relay.day = DAY + 31;
    pair.now = noon().plus_ms(31 * 86_400_000);
    pair.session.open(log, vec![member()]);
    let stored = Cursor {
        seq: 2,
        chain: None,
        day: DAY,
    };
    pair.session.follow(log, Lane::All, stored, Keeps::Days(30));
    pair.connect();
    pair.settle();
    assert_eq!(pair.seqs(&log), [5, 6]);
    assert_eq!((pair.doubts, pair.gone), (vec![], vec![(3, 4)]));
}

#[test]
fn following_anew_on_one_connection_drops_what_was_under_way() {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    for _ in 0..10 {
        let state = pair.relay.logs.get_mut(&log).unwrap();
        state.append(b"x", false, DAY);
    }
    pair.session.open(log, vec![member()]);
    pair.session
        .follow(log, Lane::All, Cursor::start(&log), Keeps::Days(30));
    pair.connect();
    // Let the relay push everything, and take none of it yet.
    let mut late = Vec::new();
    for _ in 0..6 {
        while let Some(message) = pair.session.poll_output() {
            pair.relay.receive(&message);
        }
        let ready = pair.session.is_ready();
        while let Some(message) = pair.relay.poll() {
            if ready && pair.relay.seen.contains(&"follow") {
                late.push(message);
            } else {
                pair.session.received(&message, pair.now).unwrap();
            }
        }
    }
    pair.session
        .follow(log, Lane::All, Cursor::behind(4), Keeps::Days(30));
    for message in late {
        pair.session.received(&message, pair.now).unwrap();
    }
    pair.settle();
    assert_eq!(pair.seqs(&log), [5, 6, 7, 8, 9, 10]);
    assert_eq!(pair.doubts, []);
    assert!(
        pair.others
            .iter()
            .any(|event| matches!(event, SessionEvent::Ready))
    );
}
