//! A session on a line to a relay, and everything it said, sorted.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sotto_client::log::{Cursor, Denied, Doubt, Session, SessionEvent, Token};
use sotto_client::time::Now;
use sotto_protocol::SUB_PROTOCOL;
use sotto_protocol::frame::{Answer, Entry, Item, NewEntry};
use sotto_protocol::id::LogId;
use sotto_server::clock::Clock;
use sotto_tests::relay::RunningRelay;
use tokio::io::DuplexStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// On paused time this passes only when nobody has anything left to do.
const QUIET: Duration = Duration::from_millis(100);

pub struct Client<'a> {
    pub session: Session,
    relay: &'a RunningRelay,
    line: Option<WebSocketStream<DuplexStream>>,
    /// What a real client would have stored.
    pub cursors: BTreeMap<LogId, Cursor>,
    pub entries: Vec<(LogId, Entry<'static>)>,
    pub doubts: Vec<Doubt>,
    pub answers: BTreeMap<Token, Result<Answer<'static>, Denied>>,
    pub others: Vec<SessionEvent>,
}

impl<'a> Client<'a> {
    pub fn new(relay: &'a RunningRelay, seed: u64) -> Self {
        Self {
            session: Session::seeded(relay.identity, seed),
            relay,
            line: None,
            cursors: BTreeMap::new(),
            entries: Vec::new(),
            doubts: Vec::new(),
            answers: BTreeMap::new(),
            others: Vec::new(),
        }
    }

    pub fn now(&self) -> Now {
        let ms = |span: Duration| u64::try_from(span.as_millis()).expect("a time");
        Now {
            wall_ms: ms(self.relay.clock.wall()),
            steady_ms: ms(self.relay.clock.monotonic()),
        }
    }

    pub async fn connect(&mut self) {
        let mut request = "ws://localhost/".into_client_request().expect("a request");
        request.headers_mut().insert(
            "Sec-WebSocket-Protocol",
            HeaderValue::from_static(SUB_PROTOCOL),
        );
        let io = self.relay.line().await;
        let (line, _) = tokio_tungstenite::client_async(request, io)
            .await
            .expect("an upgrade");
        self.line = Some(line);
        self.session.connected(self.now());
    }

    pub fn cut(&mut self) {
        self.line = None;
        self.session.disconnected(self.now());
    }

    /// A new process: everything but what is stored is gone.
    pub fn crash(&mut self, seed: u64) {
        self.line = None;
        self.session = Session::seeded(self.relay.identity, seed);
    }

    /// Carries at most so many messages; `false` if it stopped because nobody had any.
    pub async fn carry(&mut self, messages_max: usize) -> bool {
        for _ in 0..messages_max {
            let now = self.now();
            let line = self.line.as_mut().expect("a line");
            if let Some(message) = self.session.poll_output() {
                line.send(Message::Binary(message.into()))
                    .await
                    .expect("the relay takes it");
                continue;
            }
            match timeout(QUIET, line.next()).await {
                Ok(Some(Ok(Message::Binary(message)))) => {
                    self.session.received(&message, now).expect("a good relay");
                }
                Ok(Some(Ok(Message::Ping(_)))) => {}
                Ok(ended) => panic!("the relay ended the line: {ended:?}"),
                Err(_) => return false,
            }
            self.collect();
        }
        true
    }

    /// Takes what the relay sends until it ends the line.
    pub async fn until_ended(&mut self) {
        let now = self.now();
        let line = self.line.as_mut().expect("a line");
        while let Some(Ok(message)) = line.next().await {
            if let Message::Binary(message) = message {
                self.session.received(&message, now).expect("a good relay");
            }
        }
        self.cut();
        self.collect();
    }

    /// Carries everything, letting time pass where the session waits for it.
    pub async fn settle(&mut self) {
        loop {
            while self.carry(1_000).await {}
            self.collect();
            let Some(deadline) = self.session.next_deadline() else {
                return;
            };
            let wait = self.now().until(deadline);
            if wait > Duration::from_secs(60) {
                return;
            }
            self.relay.clock.advance(wait.max(Duration::from_millis(1)));
            self.session.tick(self.now()).expect("the relay answers");
        }
    }

    fn collect(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Entry { log, entry, cursor } => {
                    self.session.consumed(&log, entry.seq);
                    self.cursors.insert(log, cursor);
                    self.entries.push((log, entry));
                }
                SessionEvent::Doubt { doubt, .. } => self.doubts.push(doubt),
                SessionEvent::Answered { token, result } => {
                    let first = self.answers.insert(token, result).is_none();
                    assert!(first, "answered once");
                }
                other => self.others.push(other),
            }
        }
    }

    /// The answer to an ask, after everything was carried.
    pub async fn answer(&mut self, token: Token) -> Result<Answer<'static>, Denied> {
        self.settle().await;
        self.answers.remove(&token).expect("an answer")
    }
}

pub fn item(log: LogId, entries: Vec<NewEntry<'static>>) -> Item<'static> {
    Item {
        log,
        pin: false,
        lease: None,
        admit: None,
        fence: None,
        grants: None,
        entries,
    }
}
