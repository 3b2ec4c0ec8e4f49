//! How long a client waits for its line: until it stands, while it takes in nothing, and for one
//! visit of a backup or to a desk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sotto_client::error::{ErrorKind, Result};
use sotto_client::transport::{Dial, Line, Pending, WebSocketDialer};
use sotto_client::{
    Client, ClientOptions, DeskAddress, JoinOptions, OrganisationId, RelayAddress, Standing,
};
use sotto_protocol::id::RelayIdentity;
use sotto_tests::world::{Network, Person, World, pass};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Resolving, connecting, TLS and the upgrade together.
const CONNECT: Duration = Duration::from_secs(30);
/// Until the messages of one input are handed to the system.
const SEND: Duration = Duration::from_secs(180);
/// One visit for a backup.
const VISIT: Duration = Duration::from_secs(300);
/// One visit to a desk.
const DESK: Duration = Duration::from_secs(60);
/// Less than the second in which these limits are counted, and more than what is done at once takes.
const HAIR: Duration = Duration::from_millis(900);

/// What a client asks of a WebSocket, and the answer to it.
async fn upgrade(listener: &TcpListener) -> (TcpStream, String) {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        assert_ne!(socket.read_buf(&mut asked).await.unwrap(), 0);
    }
    let asked = String::from_utf8(asked).unwrap();
    let mut lines = asked.lines().filter_map(|line| line.split_once(": "));
    let key = lines.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
    let key = derive_accept_key(key.unwrap().1.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {key}\r\nSec-WebSocket-Protocol: {}\r\n\r\n",
        sotto_protocol::SUB_PROTOCOL
    );
    (socket, answer)
}

// Time is paused only while nothing is on its way between the sockets: it does not wait for those.
#[tokio::test]
async fn a_relay_may_take_half_a_minute_to_let_one_connect_and_no_longer() {
    for (answers_after, connects) in [(CONNECT - HAIR, true), (CONNECT + HAIR, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("ws://127.0.0.1:{port}");
        let identity = RelayIdentity::new([7; 32]);
        let address = sotto_server::identity::relay_address(&url, &identity);
        let address: RelayAddress = address.parse().unwrap();
        let dialer = WebSocketDialer::new();
        let began = Instant::now();
        let dialed = async {
            let line = dialer.dial(&address).await;
            (line.map(drop), began.elapsed())
        };
        let answered = async {
            let (mut socket, answer) = upgrade(&listener).await;
            tokio::time::pause();
            sleep_until(began + answers_after).await;
            tokio::time::resume();
            // Who gave up may have hung up.
            let _ = socket.write_all(answer.as_bytes()).await;
            socket
        };
        let ((line, took), _socket) = tokio::join!(dialed, answered);
        if connects {
            line.unwrap();
        } else {
            assert_eq!(line.unwrap_err().kind(), ErrorKind::Unreachable);
            assert!((CONNECT..CONNECT + HAIR).contains(&took), "{took:?}");
        }
    }
}

/// How a line is to be slow, and what came of it.
#[derive(Debug, Default)]
struct Slow {
    /// How long the next message takes to be handed over.
    takes: Mutex<Option<Duration>>,
    /// That message went out.
    sent: Mutex<bool>,
    /// So long after it was begun the line was given up.
    ended_after: Mutex<Option<Duration>>,
}

/// A network whose lines can be slow.
#[derive(Clone, Debug)]
struct SlowNetwork(Network, Arc<Slow>);

impl Dial for SlowNetwork {
    fn dial<'a>(&'a self, address: &'a RelayAddress) -> Pending<'a, Result<Box<dyn Line>>> {
        Box::pin(async move {
            let line: Box<dyn Line> = Box::new(SlowLine {
                line: self.0.dial(address).await?,
                slow: Arc::clone(&self.1),
                heard: VecDeque::new(),
                began: None,
            });
            Ok(line)
        })
    }
}

struct SlowLine {
    line: Box<dyn Line>,
    slow: Arc<Slow>,
    /// Came while a message went out slowly: what is below the line goes on, so that the relay
    /// does not miss it.
    heard: VecDeque<Option<Vec<u8>>>,
    began: Option<Instant>,
}

impl SlowLine {
    async fn listen_for(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while let Ok(heard) = tokio::time::timeout_at(until, self.line.receive()).await {
            let heard = heard?;
            let is_end = heard.is_none();
            self.heard.push_back(heard);
            if is_end {
                sleep_until(until).await;
            }
        }
        Ok(())
    }
}

impl Line for SlowLine {
    fn send(&mut self, message: Vec<u8>) -> Pending<'_, Result<()>> {
        Box::pin(async move {
            let takes = self.slow.takes.lock().unwrap().take();
            let Some(takes) = takes else {
                return self.line.send(message).await;
            };
            self.began = Some(Instant::now());
            self.listen_for(takes).await?;
            self.line.send(message).await?;
            *self.slow.sent.lock().unwrap() = true;
            Ok(())
        })
    }

    fn receive(&mut self) -> Pending<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move {
            match self.heard.pop_front() {
                Some(heard) => Ok(heard),
                None => self.line.receive().await,
            }
        })
    }
}

impl Drop for SlowLine {
    fn drop(&mut self) {
        if let Some(began) = self.began {
            *self.slow.ended_after.lock().unwrap() = Some(began.elapsed());
        }
    }
}

/// What is given to the system after everything was erased may take so long.
const LAST_WORD: Duration = Duration::from_millis(300);

#[tokio::test(start_paused = true)]
async fn a_last_word_may_take_so_long_and_no_longer() {
    let hair = Duration::from_millis(5);
    for (takes, is_said) in [(LAST_WORD - hair, true), (LAST_WORD + hair, false)] {
        let world = World::start().await;
        let ann = world.founder("Ann").await;
        let slow = Arc::<Slow>::default();
        let network = Network::to(&world.relay);
        let dialer = Arc::new(SlowNetwork(network.clone(), Arc::clone(&slow)));
        let options = ClientOptions::memory().dialer(dialer);
        let client = Client::open(options).await.unwrap();
        let options = JoinOptions { name: "Ben".into() };
        let conversation = client.join(&ann.link().await, &options).await.unwrap();
        let ben = Person {
            client,
            network,
            conversation,
        };
        ben.until_standing(Standing::In).await;
        pass(Duration::from_secs(5)).await;
        *slow.takes.lock().unwrap() = Some(takes);
        ben.says("on its way").await;
        for _ in 0..1_000 {
            if slow.takes.lock().unwrap().is_none() {
                break;
            }
            pass(Duration::from_millis(1)).await;
        }
        assert_eq!(*slow.takes.lock().unwrap(), None, "nothing was said");
        let before = Instant::now();
        ben.client.quick_exit().await.unwrap();
        assert!(before.elapsed() <= LAST_WORD + hair);
        assert_eq!(*slow.sent.lock().unwrap(), is_said);
        let ended_after = slow.ended_after.lock().unwrap().unwrap();
        assert!(ended_after <= LAST_WORD + hair, "{ended_after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_may_take_three_minutes_to_be_handed_over_and_no_longer() {
    for (takes, is_kept) in [(SEND - HAIR, true), (SEND + HAIR, false)] {
        let world = World::start().await;
        let ann = world.founder("Ann").await;
        let slow = Arc::<Slow>::default();
        let network = Network::to(&world.relay);
        let dialer = Arc::new(SlowNetwork(network.clone(), Arc::clone(&slow)));
        let client = Client::open(ClientOptions::memory().dialer(dialer))
            .await
            .unwrap();
        let options = JoinOptions { name: "Ben".into() };
        let conversation = client.join(&ann.link().await, &options).await.unwrap();
        let ben = Person {
            client,
            network,
            conversation,
        };
        ben.until_standing(Standing::In).await;
        pass(Duration::from_secs(600)).await;
        // What Ben's device says next is that it took these: nothing that waits for an answer, which
        // must come as soon.
        *slow.takes.lock().unwrap() = Some(takes);
        for _ in 0..40 {
            ann.says("hello").await;
        }
        ben.hears_texts(40).await;
        pass(SEND + 2 * HAIR).await;
        assert_eq!(*slow.takes.lock().unwrap(), None, "nothing was said");
        assert_eq!(*slow.sent.lock().unwrap(), is_kept);
        let ended_after = *slow.ended_after.lock().unwrap();
        if is_kept {
            assert_eq!(ended_after, None);
        } else {
            let ended_after = ended_after.unwrap();
            assert!(
                (SEND..SEND + HAIR).contains(&ended_after),
                "{ended_after:?}"
            );
        }
        // Either way nothing is lost.
        ann.says("still there").await;
        assert_eq!(ben.hears_texts(1).await, ["still there"]);
    }
}

/// A network on which connecting takes its time.
#[derive(Clone, Debug)]
struct LateNetwork(Network, Arc<Mutex<Duration>>);

impl LateNetwork {
    fn to(world: &World) -> Self {
        Self(Network::to(&world.relay), Arc::default())
    }

    fn takes(&self, time: Duration) {
        *self.1.lock().unwrap() = time;
    }

    async fn client(&self) -> Client {
        let options = ClientOptions::memory().dialer(Arc::new(self.clone()));
        Client::open(options).await.unwrap()
    }
}

impl Dial for LateNetwork {
    fn dial<'a>(&'a self, address: &'a RelayAddress) -> Pending<'a, Result<Box<dyn Line>>> {
        let takes = *self.1.lock().unwrap();
        Box::pin(async move {
            pass(takes).await;
            self.0.dial(address).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_visit_for_a_backup_may_take_five_minutes_and_no_longer() {
    let world = World::start().await;
    let (address, late) = (world.address(), LateNetwork::to(&world));
    let ann = late.client().await;
    let words = ann.back_up(&address).await.unwrap();
    ann.backed_up().await.unwrap();

    // Coming back with the words, and the first backup after it.
    let elsewhere = LateNetwork::to(&world);
    let back = elsewhere.client().await;
    elsewhere.takes(VISIT + HAIR);
    let began = Instant::now();
    let refused = back.come_back(&words, &address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unreachable);
    let took = began.elapsed();
    assert!((VISIT..VISIT + HAIR).contains(&took), "{took:?}");
    elsewhere.takes(VISIT - HAIR);
    assert!(back.come_back(&words, &address).await.unwrap().is_empty());
    timeout(VISIT, back.backed_up()).await.unwrap().unwrap();

    // Ending it.
    late.takes(VISIT + HAIR);
    let began = Instant::now();
    let refused = ann.end_backup().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unreachable);
    let took = began.elapsed();
    assert!((VISIT..VISIT + HAIR).contains(&took), "{took:?}");
    late.takes(VISIT - HAIR);
    ann.end_backup().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_visit_to_a_desk_may_take_a_minute_and_no_longer() {
    let world = World::start().await;
    let late = LateNetwork::to(&world);
    let ann = late.client().await;
    let desk = DeskAddress::new(world.address(), OrganisationId::new([1; 32]), 7);
    for (takes, kind) in [
        (DESK + HAIR, ErrorKind::Unreachable),
        // It was in time, and there is no such desk.
        (DESK - HAIR, ErrorKind::Refused),
    ] {
        late.takes(takes);
        let refused = ann.visit(&desk).await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{takes:?}");
    }
}
