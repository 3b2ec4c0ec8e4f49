//! People around a relay: clients whose network is memory and can be cut, and helpers that wait for
//! what must happen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::{SinkExt, StreamExt};
use sotto_client::error::{Error, ErrorKind, Result};
use sotto_client::transport::{Dial, Line, Pending};
use sotto_client::{
    Client, ClientOptions, Conversation, Event, JoinOptions, LeafId, Link, Message, RelayAddress,
    RoomOptions, Standing, Suite,
};
use sotto_server::clock::{Clock, ManualClock, SystemClock};
use sotto_server::listener::MemoryConnector;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_util::sync::CancellationToken;

use crate::relay::{RunningRelay, TestRelay};

/// How long a test waits for what must happen before it says that it did not. Tests run on paused
/// time, so this passes in no time when nothing is left to do.
const PATIENCE: Duration = Duration::from_secs(600);

/// Events that a failed wait shows.
const HEARD_SHOWN: usize = 60;

/// Lets time pass for everybody; it is paused, so it takes none.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A wall clock that goes with the test's time, from noon today.
pub fn wall_clock() -> impl Fn() -> SystemTime + Clone + Send + Sync + 'static {
    let noon = Duration::from_secs(u64::from(SystemClock::new().day()) * 86_400 + 43_200);
    let start = tokio::time::Instant::now();
    move || SystemTime::UNIX_EPOCH + noon + start.elapsed()
}

/// A network of memory that can be cut and mended.
#[derive(Clone, Debug)]
pub struct Network {
    connector: Arc<Mutex<Option<MemoryConnector>>>,
    cut: Arc<Mutex<CancellationToken>>,
    /// What passed, one WebSocket message after the other, once somebody listens.
    overheard: Arc<Mutex<Option<Vec<Overheard>>>>,
    /// Connections so far.
    lines: Arc<AtomicUsize>,
    /// Whether what the relay says is held up on the way.
    held: watch::Sender<bool>,
}

/// A WebSocket message that passed.
#[derive(Clone, Debug)]
struct Overheard {
    line: usize,
    /// By the client, or by the relay.
    is_said: bool,
    message: Vec<u8>,
    at: tokio::time::Instant,
}

impl Network {
    /// A network that leads to this relay.
    #[must_use]
    pub fn to(relay: &RunningRelay) -> Self {
        Self {
            connector: Arc::new(Mutex::new(Some(relay.connector.clone()))),
            cut: Arc::default(),
            overheard: Arc::default(),
            lines: Arc::default(),
            held: watch::Sender::new(false),
        }
    }

    /// Holds up what the relay says, or lets it pass again; connections stay open, and what the
    /// client says passes at once.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Keeps a copy of every WebSocket message from now on, as whoever terminates TLS could.
    ///
    /// # Panics
    /// Never, unless another thread did.
    pub fn listen_in(&self) {
        *self.overheard.lock().expect("a lock") = Some(Vec::new());
    }

    /// Everything that was overheard.
    ///
    /// # Panics
    /// Never, unless another thread did.
    #[must_use]
    pub fn overheard(&self) -> Vec<Vec<u8>> {
        let all = self.overheard.lock().expect("a lock").clone();
        let all = all.into_iter().flatten();
        all.map(|one| one.message).collect()
    }

    /// The sizes of what the client said and of what the relay said, in their order, of each connection.
    ///
    /// # Panics
    /// Never, unless another thread did.
    #[must_use]
    pub fn sizes(&self) -> Vec<[Vec<usize>; 2]> {
        let mut lines: BTreeMap<usize, [Vec<usize>; 2]> = BTreeMap::new();
        let all = self.overheard.lock().expect("a lock").clone();
        for one in all.into_iter().flatten() {
            let [said, heard] = lines.entry(one.line).or_default();
            let of = if one.is_said { said } else { heard };
            of.push(one.message.len());
        }
        lines.into_values().collect()
    }

    /// The sizes of what the client said so far, in their order over all connections.
    ///
    /// # Panics
    /// Never, unless another thread did.
    #[must_use]
    pub fn said(&self) -> Vec<usize> {
        let all = self.overheard.lock().expect("a lock").clone();
        let said = all.into_iter().flatten().filter(|one| one.is_said);
        said.map(|one| one.message.len()).collect()
    }

    /// When the client said something of at least so many bytes.
    ///
    /// # Panics
    /// Never, unless another thread did.
    #[must_use]
    pub fn said_long(&self, bytes: usize) -> Vec<tokio::time::Instant> {
        let all = self.overheard.lock().expect("a lock").clone();
        let said = all.into_iter().flatten();
        let long = said.filter(|one| one.is_said && one.message.len() >= bytes);
        long.map(|one| one.at).collect()
    }

    /// Ends every connection; none can be made until [`Network::mend`].
    ///
    /// # Panics
    /// Never, unless another thread did.
    pub fn cut(&self) {
        *self.connector.lock().expect("a lock") = None;
        std::mem::take(&mut *self.cut.lock().expect("a lock")).cancel();
    }

    /// Ends every connection; new ones can be made at once.
    ///
    /// # Panics
    /// Never, unless another thread did.
    pub fn end_lines(&self) {
        std::mem::take(&mut *self.cut.lock().expect("a lock")).cancel();
    }

    /// Leads to this relay again.
    ///
    /// # Panics
    /// Never, unless another thread did.
    pub fn mend(&self, relay: &RunningRelay) {
        *self.connector.lock().expect("a lock") = Some(relay.connector.clone());
    }

    async fn connect(&self) -> Result<Box<dyn Line>> {
        let unreachable = || Error::new(ErrorKind::Unreachable, "the network is cut");
        let connector = self
            .connector
            .lock()
            .expect("a lock")
            .clone()
            .ok_or_else(unreachable)?;
        let cut = self.cut.lock().expect("a lock").clone();
        let io = connector.connect().await.map_err(|_| unreachable())?;
        let mut request = "ws://localhost/"
            .into_client_request()
            .map_err(|_| unreachable())?;
        request.headers_mut().insert(
            "Sec-WebSocket-Protocol",
            HeaderValue::from_static(sotto_protocol::SUB_PROTOCOL),
        );
        let (stream, _) = tokio_tungstenite::client_async(request, io)
            .await
            .map_err(|_| unreachable())?;
        Ok(Box::new(MemoryLine {
            stream,
            cut,
            overheard: Arc::clone(&self.overheard),
            line: self.lines.fetch_add(1, Ordering::Relaxed),
            held: self.held.subscribe(),
            arrived: None,
        }))
    }
}

impl Dial for Network {
    fn dial<'a>(&'a self, _address: &'a RelayAddress) -> Pending<'a, Result<Box<dyn Line>>> {
        Box::pin(self.connect())
    }
}

struct MemoryLine {
    stream: WebSocketStream<DuplexStream>,
    cut: CancellationToken,
    overheard: Arc<Mutex<Option<Vec<Overheard>>>>,
    line: usize,
    held: watch::Receiver<bool>,
    /// Came from the relay, and is held up.
    arrived: Option<Vec<u8>>,
}

impl MemoryLine {
    fn overhear(&self, message: &[u8], is_said: bool) {
        if let Some(overheard) = &mut *self.overheard.lock().expect("a lock") {
            overheard.push(Overheard {
                line: self.line,
                is_said,
                message: message.to_vec(),
                at: tokio::time::Instant::now(),
            });
        }
    }
}

impl Line for MemoryLine {
    fn send(&mut self, message: Vec<u8>) -> Pending<'_, Result<()>> {
        Box::pin(async move {
            let gone = || Error::new(ErrorKind::Unreachable, "the line is cut");
            self.overhear(&message, true);
            let sent = self
                .cut
                .run_until_cancelled(self.stream.send(WsMessage::Binary(message.into())))
                .await;
            sent.ok_or_else(gone)?.map_err(|_| gone())
        })
    }

    fn receive(&mut self) -> Pending<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move {
            loop {
                if self.arrived.is_some() {
                    let passes = self.held.wait_for(|held| !held);
                    if self.cut.run_until_cancelled(passes).await.is_none() {
                        return Ok(None);
                    }
                    return Ok(self.arrived.take());
                }
                match self.cut.run_until_cancelled(self.stream.next()).await {
                    Some(Some(Ok(WsMessage::Binary(message)))) => {
                        self.overhear(&message, false);
                        self.arrived = Some(message.into());
                    }
                    Some(Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_)))) => {}
                    _ => return Ok(None),
                }
            }
        })
    }
}

/// A relay and those around it.
#[derive(Debug)]
pub struct World {
    /// The relay.
    pub relay: RunningRelay,
    /// Which suite its rooms have.
    pub suite: Suite,
}

impl World {
    /// A relay on a store in memory, with today's date.
    ///
    /// # Panics
    /// If the relay does not start.
    pub async fn start() -> Self {
        Self::around(TestRelay::default()).await
    }

    /// This relay, with today's date.
    ///
    /// # Panics
    /// If the relay does not start.
    pub async fn around(relay: TestRelay) -> Self {
        let clock = Arc::new(ManualClock::at_day(SystemClock::new().day()));
        let relay = TestRelay { clock, ..relay }.start().await;
        Self {
            relay,
            suite: Suite::Classic,
        }
    }

    /// The relay's address as a person would be given it.
    ///
    /// # Panics
    /// Never: the address is made here.
    #[must_use]
    pub fn address(&self) -> RelayAddress {
        sotto_server::identity::relay_address("ws://localhost", &self.relay.identity)
            .parse()
            .expect("an address")
    }

    /// Somebody with a device of their own, and the network it is on.
    ///
    /// # Panics
    /// If a client on memory cannot be opened.
    pub async fn device(&self) -> (Client, Network) {
        self.device_with(ClientOptions::memory()).await
    }

    /// The same, with another vault or clock.
    ///
    /// # Panics
    /// If the client cannot be opened.
    pub async fn device_with(&self, options: ClientOptions) -> (Client, Network) {
        let network = Network::to(&self.relay);
        let options = options.dialer(Arc::new(network.clone()));
        (Client::open(options).await.expect("a client"), network)
    }

    /// Somebody who founds a room, and is in it.
    ///
    /// # Panics
    /// If that does not come to pass.
    pub async fn founder(&self, name: &str) -> Person {
        self.founder_of(self.room(name), ClientOptions::memory())
            .await
    }

    /// A room that this person would found.
    #[must_use]
    pub fn room(&self, name: &str) -> RoomOptions {
        RoomOptions {
            suite: self.suite,
            ..RoomOptions::new(self.address(), name)
        }
    }

    /// Somebody who founds this room on such a device, and is in it.
    ///
    /// # Panics
    /// If that does not come to pass.
    pub async fn founder_of(&self, options: RoomOptions, device: ClientOptions) -> Person {
        let (client, network) = self.device_with(device).await;
        let conversation = client.found(options).await.expect("a room");
        let person = Person {
            client,
            network,
            conversation,
        };
        person.until_standing(Standing::In).await;
        person
    }

    /// Somebody who joins by a link, and is let in.
    ///
    /// # Panics
    /// If that does not come to pass.
    pub async fn joiner(&self, name: &str, link: &Link) -> Person {
        self.joiner_on(name, link, ClientOptions::memory()).await
    }

    /// The same, on such a device.
    ///
    /// # Panics
    /// If that does not come to pass.
    pub async fn joiner_on(&self, name: &str, link: &Link, device: ClientOptions) -> Person {
        let person = self.knocking_on(name, link, device).await;
        person.until_standing(Standing::In).await;
        person
    }

    /// Somebody who has begun to join.
    ///
    /// # Panics
    /// If it cannot be begun.
    pub async fn knocking(&self, name: &str, link: &Link) -> Person {
        self.knocking_on(name, link, ClientOptions::memory()).await
    }

    /// The same, on such a device.
    ///
    /// # Panics
    /// If it cannot be begun.
    pub async fn knocking_on(&self, name: &str, link: &Link, device: ClientOptions) -> Person {
        let (client, network) = self.device_with(device).await;
        let conversation = client
            .join(
                link,
                &JoinOptions {
                    name: name.to_owned(),
                },
            )
            .await
            .expect("a joining");
        Person {
            client,
            network,
            conversation,
        }
    }
}

/// Somebody in a conversation, with a device and a network of their own.
#[derive(Debug)]
pub struct Person {
    /// The device.
    pub client: Client,
    /// Its network.
    pub network: Network,
    /// The conversation.
    pub conversation: Conversation,
}

impl Person {
    /// The next event that `wanted` takes; what comes before it is thrown away.
    ///
    /// # Panics
    /// If none comes.
    pub async fn until<T>(&self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let mut heard = Vec::new();
        let waiting = async {
            loop {
                let event = self
                    .conversation
                    .next_event()
                    .await
                    .unwrap_or_else(|| panic!("the conversation ended before {what}"));
                if let Some(found) = wanted(&event) {
                    return found;
                }
                heard.push(event);
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await.ok();
        let last = heard.split_off(heard.len().saturating_sub(HEARD_SHOWN));
        found.unwrap_or_else(|| panic!("waited in vain for {what}, last heard {last:?}"))
    }

    /// Waits for a standing.
    ///
    /// # Panics
    /// If it does not come to be.
    pub async fn until_standing(&self, standing: Standing) {
        self.until(&format!("{standing:?}"), |event| {
            (*event == Event::Standing(standing)).then_some(())
        })
        .await;
    }

    /// The next text.
    ///
    /// # Panics
    /// If none comes.
    pub async fn hears(&self) -> Message {
        self.until("a message", |event| {
            if let Event::Message(message) = event {
                Some(message.clone())
            } else {
                None
            }
        })
        .await
    }

    /// The next texts, in order.
    ///
    /// # Panics
    /// If fewer come.
    pub async fn hears_texts(&self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            texts.push(self.hears().await.text);
        }
        texts
    }

    /// Says something.
    ///
    /// # Panics
    /// If it cannot be kept.
    pub async fn says(&self, text: &str) {
        self.conversation.send(text).await.expect("a message");
    }

    /// The present link.
    ///
    /// # Panics
    /// If there is none.
    pub async fn link(&self) -> Link {
        self.conversation
            .link()
            .await
            .expect("a conversation")
            .expect("a link")
    }

    /// The names of all members, sorted; those who have not said theirs are `?`.
    ///
    /// # Panics
    /// If the conversation has ended.
    pub async fn names(&self) -> Vec<String> {
        let members = self.conversation.members().await.expect("members");
        let mut names: Vec<_> = members
            .into_iter()
            .map(|member| member.name.unwrap_or_else(|| "?".into()))
            .collect();
        names.sort();
        names
    }
}
impl Person {
    /// The leaf of a member with this name.
    ///
    /// # Panics
    /// If nobody is called so.
    pub async fn leaf_of(&self, name: &str) -> LeafId {
        let members = self.conversation.members().await.expect("members");
        let member = members
            .iter()
            .find(|member| member.name.as_deref() == Some(name));
        member
            .unwrap_or_else(|| panic!("nobody is called {name}"))
            .leaf
    }
}
