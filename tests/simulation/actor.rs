//! Somebody with a device: an engine stepped by hand, a disk, and a line to the relay.

use std::collections::VecDeque;

use futures_util::{FutureExt, SinkExt, StreamExt};
use sotto_client::engine::{Effects, Engine};
use sotto_client::time::Now;
use sotto_client::vault::{MemoryVault, Space, Vault};
use sotto_client::{Command, Event, JoinOptions, LeafId, Link, Message, RoomOptions, Standing};
use sotto_protocol::SUB_PROTOCOL;
use sotto_tests::relay::RunningRelay;
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// When the next crash comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    /// The next batch is lost, and with it what led to it.
    BeforeBatch,
    /// The next batch is kept, and nothing of what it led to is sent or shown.
    AfterBatch,
}

/// Somebody.
pub struct Actor {
    pub name: String,
    engine: Engine,
    disk: MemoryVault,
    space: Space,
    line: Option<WebSocketStream<DuplexStream>>,
    outgoing: VecDeque<Vec<u8>>,
    wake_at: Option<u64>,
    doom: Option<Doom>,
    /// Everything shown, over all crashes.
    pub events: Vec<Event>,
    pub crashes: u32,
}

impl Actor {
    pub fn found(options: RoomOptions, now: Now) -> Self {
        let name = options.name.clone();
        let (engine, effects) = Engine::found(options, now).expect("a room");
        Self::begin(name, engine, effects, now)
    }

    pub fn join(name: &str, link: &Link, now: Now) -> Self {
        let options = JoinOptions { name: name.into() };
        let (engine, effects) = Engine::join(link, &options, now).expect("a joining");
        Self::begin(name.into(), engine, effects, now)
    }

    fn begin(name: String, engine: Engine, effects: Effects, now: Now) -> Self {
        let mut actor = Self {
            name,
            space: engine.space(),
            engine,
            disk: MemoryVault::new(),
            line: None,
            outgoing: VecDeque::new(),
            wake_at: None,
            doom: None,
            events: Vec::new(),
            crashes: 0,
        };
        actor.let_out(effects, now);
        actor
    }

    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    pub const fn standing(&self) -> Standing {
        self.engine.standing()
    }

    pub const fn is_over(&self) -> bool {
        self.engine.is_over()
    }

    pub const fn is_connected(&self) -> bool {
        self.line.is_some()
    }

    pub const fn wake_at(&self) -> Option<u64> {
        self.wake_at
    }

    pub fn facilitates(&self) -> bool {
        let members = self.engine.members();
        members.iter().any(|one| one.is_me && one.facilitates)
    }

    /// Our own leaf, while we are in.
    pub fn leaf(&self) -> Option<LeafId> {
        let members = self.engine.members();
        members.iter().find(|one| one.is_me).map(|one| one.leaf)
    }

    pub fn history(&self) -> Vec<Message> {
        Engine::history(&self.disk, self.space, None, 0).expect("a history")
    }

    /// The disk first, then the relay, then the app; what a driver does.
    fn let_out(&mut self, mut effects: Effects, now: Now) {
        loop {
            if !effects.store.is_empty() {
                let batch = core::mem::take(&mut effects.store);
                match self.doom.take() {
                    Some(Doom::BeforeBatch) => return self.start_again(now),
                    Some(Doom::AfterBatch) => {
                        self.disk.apply(&batch).expect("a vault");
                        return self.start_again(now);
                    }
                    None => self.disk.apply(&batch).expect("a vault"),
                }
            }
            self.wake_at = effects.wake_at;
            self.events.append(&mut effects.events);
            assert!(effects.work.is_empty(), "nothing here costs work");
            if self.line.is_none() {
                return;
            }
            self.outgoing.extend(effects.send);
            if !effects.hang_up {
                return;
            }
            self.line = None;
            self.outgoing.clear();
            effects = self.engine.disconnected(now);
        }
    }

    /// The process is dead; another one goes on from the disk.
    fn start_again(&mut self, now: Now) {
        self.crashes += 1;
        self.line = None;
        self.outgoing.clear();
        let rows = self.disk.load(self.space).expect("rows");
        if rows.is_empty() {
            // Left for good: nothing is kept that a process could go on from.
            self.wake_at = None;
            drop(self.engine.disconnected(now));
            return;
        }
        let (engine, effects) = Engine::load(self.space, rows, false, now).expect("an engine");
        self.engine = engine;
        self.let_out(effects, now);
    }

    pub const fn doom(&mut self, doom: Option<Doom>) {
        self.doom = doom;
    }

    pub fn crash(&mut self, now: Now) {
        self.start_again(now);
    }

    pub fn cut(&mut self, now: Now) {
        self.outgoing.clear();
        if self.line.take().is_some() {
            let effects = self.engine.disconnected(now);
            self.let_out(effects, now);
        }
    }

    /// Connects, if there is a relay.
    pub async fn connect(&mut self, relay: &RunningRelay, now: Now) {
        if self.is_over() || self.line.is_some() {
            return;
        }
        let mut request = "ws://localhost/".into_client_request().expect("a request");
        request.headers_mut().insert(
            "Sec-WebSocket-Protocol",
            HeaderValue::from_static(SUB_PROTOCOL),
        );
        let upgraded = tokio_tungstenite::client_async(request, relay.line().await).await;
        self.line = Some(upgraded.expect("an upgrade").0);
        let effects = self.engine.connected(now);
        self.let_out(effects, now);
    }

    /// Hands at most so many messages to the network; whether there were any.
    pub async fn send(&mut self, max: usize, now: Now) -> bool {
        let mut moved = false;
        for _ in 0..max {
            let Some(line) = &mut self.line else { break };
            let Some(message) = self.outgoing.pop_front() else {
                break;
            };
            moved = true;
            if line.send(WsMessage::Binary(message.into())).await.is_err() {
                self.cut(now);
            }
        }
        moved
    }

    /// Takes at most so many messages that have come; whether there were any.
    pub fn receive(&mut self, max: usize, now: Now) -> bool {
        let mut moved = false;
        for _ in 0..max {
            let Some(line) = &mut self.line else { break };
            match line.next().now_or_never() {
                None => break,
                Some(Some(Ok(WsMessage::Binary(message)))) => {
                    let effects = self.engine.received(&message, now);
                    self.let_out(effects, now);
                }
                Some(Some(Ok(_))) => {}
                Some(Some(Err(_)) | None) => self.cut(now),
            }
            moved = true;
        }
        moved
    }

    pub fn tick(&mut self, now: Now) -> bool {
        if self.is_over() || self.wake_at.is_none_or(|at| at > now.steady_ms) {
            return false;
        }
        self.wake_at = None;
        let effects = self.engine.tick(now);
        self.let_out(effects, now);
        true
    }

    /// Does something; whether the app was told that it is kept.
    pub fn command(&mut self, command: Command, now: Now) -> bool {
        let crashes = self.crashes;
        let (reply, effects) = self.engine.command(command, now);
        self.let_out(effects, now);
        reply.is_ok() && self.crashes == crashes
    }
}
