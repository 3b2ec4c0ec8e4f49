//! A peer that speaks bytes: it can do what a client does, and everything that a client must not.
//!
//! It knows the wire and nothing else; no code of the SDK or of the relay's connection is used.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use snow::{Builder, HandshakeState, TransportState};
use sotto_protocol::frame::{
    Answer, Append, Create, Credit, Done, Entry, Follow, Frame, FromRelay, Grant, Greeting, Item,
    Lane, NewEntry, Notice, Open, Policy, Proof, Push, Read, Refusal, Request, Verb,
};
use sotto_protocol::id::{Commitment, LogId, PublicKey, RelayIdentity, RetryId};
use sotto_protocol::limits::NOISE_MESSAGE_BYTES_MAX;
use sotto_protocol::proof::{self, NOISE_PATTERN, Purpose};
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use sotto_protocol::{SUB_PROTOCOL, cbor, channel};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use x25519_dalek::StaticSecret;

/// What a peer hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// The request with this id was carried out.
    Done(u64, Answer<'static>),
    /// The request with this id changed nothing.
    Refused(u64, Refusal),
    /// Something the relay says by itself.
    Notice(Notice),
    /// An entry of a followed log.
    Push(Push<'static>),
    /// The relay closed, with the code and reason of its close frame.
    Closed(u16, String),
    /// The line ended without a close frame.
    Gone,
}

/// A random array.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("randomness");
    bytes
}

/// A fresh secret key.
#[must_use]
pub fn secret() -> StaticSecret {
    StaticSecret::from(random::<32>())
}

/// A fresh retry id.
#[must_use]
pub fn retry() -> RetryId {
    RetryId::new(random())
}

/// A log that a test made up, with one key that may do everything.
#[derive(Clone)]
pub struct TestLog {
    /// The root key.
    pub root: StaticSecret,
    /// The key with all rights.
    pub key: StaticSecret,
}

impl Default for TestLog {
    fn default() -> Self {
        Self {
            root: secret(),
            key: secret(),
        }
    }
}

impl TestLog {
    /// The log's id.
    #[must_use]
    pub fn id(&self) -> LogId {
        LogId::of_root(&proof::public_key(&self.root))
    }

    /// A grant of these rights to a key.
    #[must_use]
    pub fn grant(key: &StaticSecret, rights: Rights) -> Grant {
        Grant {
            key: proof::public_key(key),
            ends: None,
            rate: None,
            work: None,
            rights,
            until_seq: None,
        }
    }

    /// A policy within every relay's limits.
    #[must_use]
    pub const fn policy() -> Policy {
        Policy {
            ttl_days: 30,
            bytes_max: 64 << 20,
            admit_rights: Rights::READ.union(Rights::APPEND),
            ttl_fenced_days: 60,
        }
    }
}

/// An entry of one size class whose sealed bytes begin with `text`.
#[must_use]
pub fn entry(text: &str, class: SizeClass) -> NewEntry<'static> {
    let mut sealed = text.as_bytes().to_vec();
    sealed.resize(class.bytes(), 0);
    NewEntry {
        held: None,
        owner: None,
        sealed: sealed.into(),
        last_resort: false,
        commitment: Commitment::new([7; 32]),
    }
}

/// The text that [`entry`] began with.
#[must_use]
pub fn text_of(entry: &Entry<'_>) -> String {
    let sealed = entry.sealed.as_slice();
    let end = sealed.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&sealed[..end.unwrap_or(sealed.len())]).into_owned()
}

/// The client's side of a WebSocket upgrade as bytes, for peers that break the framing after it.
///
/// # Panics
/// If the relay does not answer with the upgrade.
pub async fn upgrade_by_hand(mut io: DuplexStream) -> DuplexStream {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Sec-WebSocket-Protocol: {SUB_PROTOCOL}\r\n\r\n"
    );
    io.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(io.read_u8().await.expect("an answer"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "no upgrade");
    io
}

/// A WebSocket connection before the greeting.
pub struct Socket<S> {
    stream: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Upgrades, naming these sub-protocols.
    ///
    /// # Errors
    /// What the library says when the relay refuses.
    pub async fn upgrade(
        io: S,
        protocols: Option<&'static str>,
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let mut request = "ws://relay/".into_client_request().expect("a request");
        if let Some(protocols) = protocols {
            request.headers_mut().insert(
                "Sec-WebSocket-Protocol",
                HeaderValue::from_static(protocols),
            );
        }
        let (stream, _) = tokio_tungstenite::client_async(request, io).await?;
        Ok(Self { stream })
    }

    /// The line beneath, for bytes that are no WebSocket frame.
    pub fn line(&mut self) -> &mut S {
        self.stream.get_mut()
    }

    /// Sends any WebSocket message; a line that is closed already is no error.
    pub async fn send(&mut self, message: Message) {
        // The relay may close while we still talk: what it says is what tests look at.
        let _ = self.stream.send(message).await;
    }

    /// The next binary message, or how the line ended.
    ///
    /// # Errors
    /// [`Heard::Closed`] or [`Heard::Gone`].
    pub async fn next(&mut self) -> Result<Vec<u8>, Heard> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes.to_vec()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err(Heard::Closed(frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Heard::Gone),
            }
        }
    }

    /// The relay's greeting.
    ///
    /// # Panics
    /// If it says anything else.
    pub async fn greeting(&mut self) -> Greeting {
        let bytes = self.next().await.expect("a greeting");
        match cbor::decode(&bytes).expect("a frame") {
            Frame::Greeting(greeting) => greeting,
            other => panic!("not a greeting: {other:?}"),
        }
    }
}

/// The initiator's side of the handshake before its first message.
///
/// # Panics
/// If Noise can't be set up.
#[must_use]
pub fn initiator(greeting: &Greeting, pinned: &RelayIdentity) -> HandshakeState {
    Builder::new(NOISE_PATTERN.parse().expect("a pattern"))
        .remote_public_key(greeting.key.as_bytes())
        .expect("a key")
        .prologue(&proof::prologue(pinned, greeting.day))
        .expect("a prologue")
        .build_initiator()
        .expect("an initiator")
}

/// A `noise` frame around bytes.
///
/// # Panics
/// Never for bytes.
#[must_use]
pub fn noise_frame(sealed: Vec<u8>) -> Vec<u8> {
    cbor::encode(&Frame::Noise(sealed.into())).expect("a frame")
}

/// A peer after its handshake.
pub struct Peer<S> {
    /// The line, for saying what no client says.
    pub socket: Socket<S>,
    noise: TransportState,
    hash: [u8; 32],
    day_key: PublicKey,
    day: u32,
    next_id: u64,
    early: VecDeque<Heard>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Upgrades, checks the greeting and carries the handshake out.
    ///
    /// # Panics
    /// If anything is not as the protocol says.
    pub async fn connect(io: S, pinned: &RelayIdentity) -> Self {
        let mut socket = Socket::upgrade(io, Some(SUB_PROTOCOL))
            .await
            .expect("an upgrade");
        let greeting = socket.greeting().await;
        assert_eq!(greeting.identity, *pinned);
        assert!(proof::verify_day(
            pinned,
            greeting.day,
            &greeting.key,
            &greeting.signature
        ));
        let mut noise = initiator(&greeting, pinned);
        let mut message = vec![0; 256];
        let length = noise.write_message(&[], &mut message).expect("a message");
        message.truncate(length);
        socket
            .send(Message::Binary(noise_frame(message).into()))
            .await;
        let answer = socket.next().await.expect("an answer");
        let Frame::Noise(answer) = cbor::decode(&answer).expect("a frame") else {
            panic!("not a noise frame");
        };
        noise
            .read_message(answer.as_slice(), &mut [])
            .expect("an authentic answer");
        let hash = noise.get_handshake_hash().try_into().expect("32 bytes");
        Self {
            socket,
            noise: noise.into_transport_mode().expect("a transport"),
            hash,
            day_key: greeting.key,
            day: greeting.day,
            next_id: 1,
            early: VecDeque::new(),
        }
    }

    /// The handshake's hash.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The day that the relay greeted with.
    #[must_use]
    pub const fn day(&self) -> u32 {
        self.day
    }

    /// A `noise` frame with a sealed item, not yet sent.
    ///
    /// # Panics
    /// Never, as long as there are nonces.
    pub fn seal(&mut self, item: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        for piece in channel::pieces(item) {
            let mut message = vec![0; NOISE_MESSAGE_BYTES_MAX];
            let length = self.noise.write_message(piece, &mut message).expect("room");
            sealed.extend_from_slice(&message[..length]);
        }
        noise_frame(sealed)
    }

    /// A sealed request, not yet sent, with its id.
    ///
    /// # Panics
    /// Never for a verb.
    pub fn request(&mut self, verb: Verb<'_>) -> (u64, Vec<u8>) {
        let id = self.next_id;
        self.next_id += 1;
        let item = cbor::encode(&Request {
            verb,
            id,
            pad: None,
        })
        .expect("a request");
        (id, self.seal(&item))
    }

    /// Sends a binary message as it is.
    pub async fn send(&mut self, message: Vec<u8>) {
        self.socket.send(Message::Binary(message.into())).await;
    }

    /// Sends a request; gives its id.
    pub async fn ask(&mut self, verb: Verb<'_>) -> u64 {
        let (id, message) = self.request(verb);
        self.send(message).await;
        id
    }

    /// The next thing the relay says.
    ///
    /// # Panics
    /// If it is not of this protocol.
    pub async fn hear(&mut self) -> Heard {
        if let Some(heard) = self.early.pop_front() {
            return heard;
        }
        self.hear_fresh().await
    }

    async fn hear_fresh(&mut self) -> Heard {
        let bytes = match self.socket.next().await {
            Ok(bytes) => bytes,
            Err(end) => return end,
        };
        match cbor::decode(&bytes).expect("a frame") {
            Frame::Greeting(_) => panic!("a second greeting"),
            Frame::Push(push) => Heard::Push(Push {
                tag: push.tag,
                entry: push.entry.into_owned(),
            }),
            Frame::Noise(sealed) => self.open(sealed.as_slice()),
        }
    }

    fn open(&mut self, sealed: &[u8]) -> Heard {
        let mut item = Vec::new();
        for message in channel::messages(sealed) {
            let mut piece = vec![0; NOISE_MESSAGE_BYTES_MAX];
            let length = self
                .noise
                .read_message(message, &mut piece)
                .expect("an authentic message");
            item.extend_from_slice(&piece[..length]);
        }
        match cbor::decode(&item).expect("an item") {
            FromRelay::Done(Done { id, answer }) => Heard::Done(id, answer.into_owned()),
            FromRelay::Refused(refused) => Heard::Refused(refused.id, refused.refusal),
            FromRelay::Notice(notice) => Heard::Notice(notice),
        }
    }

    /// Asks, and waits for the answer; what is heard meanwhile stays for [`Self::hear`].
    ///
    /// # Errors
    /// The relay's refusal.
    ///
    /// # Panics
    /// If the connection ends first.
    pub async fn call(&mut self, verb: Verb<'_>) -> Result<Answer<'static>, Refusal> {
        let asked = self.ask(verb).await;
        loop {
            match self.hear_fresh().await {
                Heard::Done(id, answer) if id == asked => return Ok(answer),
                Heard::Refused(id, refusal) if id == asked => return Err(refusal),
                end @ (Heard::Closed(..) | Heard::Gone) => panic!("no answer but {end:?}"),
                other => self.early.push_back(other),
            }
        }
    }

    /// A proof of a key for a log on this connection.
    #[must_use]
    pub fn prove(&self, key: &StaticSecret, purpose: Purpose, log: &LogId) -> Proof {
        Proof {
            key: proof::public_key(key),
            mac: proof::prove(key, &self.day_key, purpose, &self.hash, log),
        }
    }

    /// A request to create a log with these grants.
    #[must_use]
    pub fn create(&self, log: &TestLog, grants: Vec<Grant>) -> Create<'static> {
        let root = self.prove(&log.root, Purpose::Create, &log.id());
        Create {
            day: self.day,
            root: root.key,
            work: None,
            proof: root.mac,
            retry: retry(),
            grants,
            policy: TestLog::policy(),
            ticket: None,
        }
    }

    /// Creates and opens a log whose one key may do everything.
    ///
    /// # Panics
    /// If the relay refuses.
    pub async fn new_log(&mut self) -> TestLog {
        let log = TestLog::default();
        let grants = vec![TestLog::grant(&log.key, Rights::ALL)];
        let create = self.create(&log, grants);
        self.call(Verb::Create(create)).await.expect("created");
        self.open_log(&log.id(), &log.key).await.expect("opened");
        log
    }

    /// Opens a log with one key.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn open_log(
        &mut self,
        log: &LogId,
        key: &StaticSecret,
    ) -> Result<Answer<'static>, Refusal> {
        let proofs = vec![self.prove(key, Purpose::Open, log)];
        self.call(Verb::Open(Open { log: *log, proofs })).await
    }

    /// A request to append entries to one log.
    #[must_use]
    pub fn append<'a>(&self, log: &LogId, entries: Vec<NewEntry<'a>>) -> Verb<'a> {
        Verb::Append(Append {
            day: self.day,
            work: None,
            items: vec![Item {
                log: *log,
                pin: false,
                lease: None,
                admit: None,
                fence: None,
                grants: None,
                entries,
            }],
            retry: retry(),
        })
    }

    /// Appends one small entry.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn say(&mut self, log: &LogId, text: &str) -> Result<Answer<'static>, Refusal> {
        let verb = self.append(log, vec![entry(text, SizeClass::K1)]);
        self.call(verb).await
    }

    /// Follows all entries of a log from its beginning.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn follow(&mut self, log: &LogId, credit: u32) -> Result<Answer<'static>, Refusal> {
        self.call(Verb::Follow(Follow {
            log: *log,
            lane: Lane::All,
            after: 0,
            credit,
        }))
        .await
    }

    /// Gives more credit; not answered.
    pub async fn credit(&mut self, log: &LogId, more: u32) {
        self.ask(Verb::Credit(Credit { log: *log, more })).await;
    }

    /// Reads one page.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn read(&mut self, log: &LogId, after: u64) -> Result<Answer<'static>, Refusal> {
        self.call(Verb::Read(Read {
            log: *log,
            lane: Lane::All,
            after,
            entries_max: 1_024,
        }))
        .await
    }

    /// The texts of the next `count` pushes.
    ///
    /// # Panics
    /// If anything else is heard.
    pub async fn pushed(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            match self.hear().await {
                Heard::Push(push) => texts.push(text_of(&push.entry)),
                other => panic!("not a push: {other:?}"),
            }
        }
        texts
    }
}
