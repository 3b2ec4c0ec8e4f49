//! A client by hand: the SDK's session with a relay, and nothing of the SDK above it. It connects
//! again as often as it must, and repeats what was unanswered.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sotto_client::RelayAddress;
use sotto_client::log::{Ask, Cursor, Denied, Keeps, Session, SessionEvent, Token};
use sotto_client::time::Now;
use sotto_client::transport::{Dial, Line, WebSocketDialer};
use sotto_protocol::frame::{Answer, Entry, Lane};
use sotto_protocol::id::{LogId, RetryId};
use sotto_server::clock::{Clock, SystemClock};
use tokio::time::sleep;
use x25519_dalek::StaticSecret;

use crate::output::Failure;

/// Between two tries to reach a relay that is down.
const RECONNECT: Duration = Duration::from_millis(100);
/// The longest turn that waits for bytes.
const TURN: Duration = Duration::from_millis(50);

/// What the relay said to an ask, or would have.
pub(super) type Outcome = Result<Answer<'static>, Denied>;

/// One client; see the module.
pub(super) struct Hand {
    address: RelayAddress,
    dialer: WebSocketDialer,
    clock: SystemClock,
    session: Session,
    line: Option<Box<dyn Line>>,
    outcomes: BTreeMap<Token, Outcome>,
    heard: VecDeque<(LogId, Entry<'static>)>,
}

/// A random array.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|_| Failure::could_not_run("the system gave no randomness"))?;
    Ok(bytes)
}

/// A fresh retry id.
pub(super) fn retry() -> Result<RetryId, Failure> {
    random().map(RetryId::new)
}

/// A fresh secret key.
pub(super) fn secret() -> Result<StaticSecret, Failure> {
    random::<32>().map(StaticSecret::from)
}

impl Hand {
    /// Not connected yet.
    pub(super) fn new(address: &RelayAddress) -> Self {
        Self {
            address: address.clone(),
            dialer: WebSocketDialer::new(),
            clock: SystemClock::new(),
            session: Session::new(*address.identity()),
            line: None,
            outcomes: BTreeMap::new(),
            heard: VecDeque::new(),
        }
    }

    fn now(&self) -> Now {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Now {
            wall_ms: ms(self.clock.wall()),
            steady_ms: ms(self.clock.monotonic()),
        }
    }

    /// Today, by the relay once it has greeted.
    pub(super) fn today(&self) -> u32 {
        self.session.today(self.now())
    }

    /// Wishes a log open.
    pub(super) fn open(&mut self, log: LogId, key: &StaticSecret) {
        self.session.open(log, vec![key.clone()]);
    }

    /// Wishes it no longer open.
    pub(super) fn close(&mut self, log: &LogId) {
        self.session.close(log);
    }

    /// Wishes every entry of an open log.
    pub(super) fn follow(&mut self, log: LogId) {
        self.session
            .follow(log, Lane::All, Cursor::start(&log), Keeps::Removable);
    }

    /// Asks, and does not wait.
    pub(super) fn ask(&mut self, ask: Ask) -> Token {
        self.session.ask(ask)
    }

    /// What came of an ask, once.
    pub(super) fn outcome(&mut self, token: Token) -> Option<Outcome> {
        self.outcomes.remove(&token)
    }

    /// Asks, and waits for the outcome, over as many connections as it takes.
    pub(super) async fn call(&mut self, ask: Ask) -> Outcome {
        let token = self.ask(ask);
        loop {
            if let Some(outcome) = self.outcome(token) {
                return outcome;
            }
            self.turn().await;
        }
    }

    /// The next entry of what is followed.
    pub(super) fn next_entry(&mut self) -> Option<(LogId, Entry<'static>)> {
        self.heard.pop_front()
    }

    /// One turn: connects if it must, sends what is to be sent, and waits a moment for what comes.
    pub(super) async fn turn(&mut self) {
        if self.exchange().await.is_none() {
            self.line = None;
            self.session.disconnected(self.now());
        }
        self.collect();
    }

    /// `None` if the line is at its end.
    async fn exchange(&mut self) -> Option<()> {
        if self.line.is_none() {
            let Ok(line) = self.dialer.dial(&self.address).await else {
                sleep(RECONNECT).await;
                return None;
            };
            self.line = Some(line);
            self.session.connected(self.now());
        }
        let now = self.now();
        let deadline = self.session.next_deadline();
        let line = self.line.as_mut()?;
        while let Some(message) = self.session.poll_output() {
            line.send(message).await.ok()?;
        }
        let wait = deadline.map_or(TURN, |at| {
            TURN.min(Duration::from_millis(at.saturating_sub(now.steady_ms)))
        });
        let received = tokio::select! {
            received = line.receive() => Some(received.ok()??),
            () = sleep(wait) => None,
        };
        let now = self.now();
        match received {
            Some(message) => self.session.received(&message, now).ok(),
            None => self.session.tick(now).ok(),
        }
    }

    fn collect(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Answered { token, result } => {
                    self.outcomes.insert(token, result);
                }
                SessionEvent::Entry { log, entry, .. } => {
                    self.session.consumed(&log, entry.seq);
                    self.heard.push_back((log, entry));
                }
                SessionEvent::WornOut => {
                    self.line = None;
                    self.session.disconnected(self.now());
                }
                _ => {}
            }
        }
    }
}
