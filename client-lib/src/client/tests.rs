//! The driver between a vault that fails, lines that do nothing, and an app that asks.

use core::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ed25519_dalek::SigningKey;
use futures_util::future::join_all;
use sotto_protocol::cbor;
use sotto_protocol::frame::{Frame, Greeting};
use sotto_protocol::id::{PublicKey, RelayIdentity};
use sotto_protocol::proof;
use tokio::sync::mpsc;

use super::clock::{Clock, Wall};
use super::{Client, ClientOptions};
use crate::engine::{RoomOptions, Standing};
use crate::error::{Error, ErrorKind, Result};
use crate::link::RelayAddress;
use crate::transport::{Dial, Line, Pending};
use crate::vault::{Batch, Key, Mark, MemoryVault, Range, Residue, Row, SharedVault, Space, Vault};

/// A vault that counts its batches and can be made to refuse them.
#[derive(Default)]
struct TroubledVault {
    inner: MemoryVault,
    batches: Arc<AtomicUsize>,
    refuses: Arc<AtomicBool>,
}

impl Vault for TroubledVault {
    fn apply(&mut self, batch: &Batch) -> Result<()> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::VaultFull, "no room"));
        }
        self.batches.fetch_add(1, Ordering::SeqCst);
        self.inner.apply(batch)
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        self.inner.get(key)
    }

    fn range(&self, space: Space, range: Range<'_>) -> Result<Vec<Row>> {
        self.inner.range(space, range)
    }

    fn spaces(&self) -> Result<Vec<Space>> {
        self.inner.spaces()
    }

    fn residue(&self) -> Result<Residue> {
        self.inner.residue()
    }

    fn mark(&self) -> Mark {
        self.inner.mark()
    }
}

/// A line whose other end is the test.
struct TestLine {
    incoming: mpsc::Receiver<Vec<u8>>,
    outgoing: mpsc::Sender<Vec<u8>>,
}

impl Line for TestLine {
    fn send(&mut self, message: Vec<u8>) -> Pending<'_, Result<()>> {
        Box::pin(async move {
            let sent = self.outgoing.send(message).await;
            sent.map_err(|_| Error::new(ErrorKind::Unreachable, "the line is cut"))
        })
    }

    fn receive(&mut self) -> Pending<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move { Ok(self.incoming.recv().await) })
    }
}

/// Gives out one line, then none.
struct OneLine(Mutex<Option<TestLine>>);

impl fmt::Debug for OneLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneLine")
    }
}

impl Dial for OneLine {
    fn dial<'a>(&'a self, _: &'a RelayAddress) -> Pending<'a, Result<Box<dyn Line>>> {
        let line = self.0.lock().unwrap().take();
        Box::pin(async move {
            match line {
                Some(line) => Ok(Box::new(line) as Box<dyn Line>),
                None => core::future::pending().await,
            }
        })
    }
}

/// The relay's end of the one line.
struct End {
    to_client: mpsc::Sender<Vec<u8>>,
    from_client: mpsc::Receiver<Vec<u8>>,
}

impl End {
    /// What a relay says first; the client answers with its handshake.
    async fn greet(&self) {
        let signing = SigningKey::from_bytes(&[3; 32]);
        let (day, key) = (
            Clock::start(Wall::default()).now().day(),
            PublicKey::new([9; 32]),
        );
        let greeting = Frame::Greeting(Greeting {
            day,
            key,
            identity: identity(),
            signature: proof::sign_day(&signing, day, &key),
        });
        let greeting = cbor::encode(&greeting).unwrap();
        self.to_client.send(greeting).await.unwrap();
    }
}

fn identity() -> RelayIdentity {
    let signing = SigningKey::from_bytes(&[3; 32]);
    RelayIdentity::new(signing.verifying_key().to_bytes())
}

fn address() -> RelayAddress {
    RelayAddress {
        url: "ws://localhost".to_owned(),
        identity: identity(),
    }
}

struct Setting {
    client: Client,
    end: End,
    batches: Arc<AtomicUsize>,
    refuses: Arc<AtomicBool>,
}

/// A client over a troubled vault and a line that may be full from the start.
async fn setting(is_full: bool) -> Setting {
    let vault = TroubledVault::default();
    let (batches, refuses) = (Arc::clone(&vault.batches), Arc::clone(&vault.refuses));
    let (to_client, incoming) = mpsc::channel(16);
    let (outgoing, from_client) = mpsc::channel(1);
    if is_full {
        outgoing.try_send(Vec::new()).unwrap();
    }
    let line = TestLine { incoming, outgoing };
    let dialer = Arc::new(OneLine(Mutex::new(Some(line))));
    let options = ClientOptions::vault(SharedVault::new(vault)).dialer(dialer);
    Setting {
        client: Client::open(options).await.unwrap(),
        end: End {
            to_client,
            from_client,
        },
        batches,
        refuses,
    }
}

#[tokio::test]
async fn nothing_is_sent_once_the_vault_refuses() {
    for refuses in [false, true] {
        let mut setting = setting(false).await;
        let options = RoomOptions::new(address(), "Kim");
        let room = setting.client.found(options).await.unwrap();
        setting.refuses.store(refuses, Ordering::SeqCst);
        setting.end.greet().await;
        let answered = setting.end.from_client.recv().await;
        assert_eq!(answered.is_none(), refuses, "the line ends, with no word");
        let said = room.send("hello").await;
        assert_eq!(said.is_err(), refuses, "and nothing is promised");
        if let Err(error) = said {
            assert_eq!(error.kind(), ErrorKind::Closed);
        }
    }
}

#[tokio::test]
async fn a_command_that_could_not_be_stored_is_refused() {
    let setting = setting(false).await;
    let room = setting
        .client
        .found(RoomOptions::new(address(), "Kim"))
        .await
        .unwrap();
    setting.refuses.store(true, Ordering::SeqCst);
    let said = room.send("hello").await.unwrap_err();
    assert_eq!(said.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn commands_that_wait_together_share_one_sync() {
    let setting = setting(false).await;
    let room = setting
        .client
        .found(RoomOptions::new(address(), "Kim"))
        .await
        .unwrap();
    room.send("first").await.unwrap();
    let unsent = room.unsent().await.unwrap().len();
    let before = setting.batches.load(Ordering::SeqCst);
    let said = join_all((0..20).map(|_| room.send("hello"))).await;
    assert!(said.iter().all(Result::is_ok));
    let batches = setting.batches.load(Ordering::SeqCst) - before;
    assert!(batches < 5, "{batches} batches for 20 commands");
    assert_eq!(room.unsent().await.unwrap().len(), unsent + 20);
}

#[tokio::test]
async fn an_app_is_served_while_the_relay_reads_nothing() {
    let setting = setting(true).await;
    let room = setting
        .client
        .found(RoomOptions::new(address(), "Kim"))
        .await
        .unwrap();
    setting.end.greet().await;
    // The answer to the greeting cannot go out, and the line is not read meanwhile.
    while setting.end.to_client.capacity() < setting.end.to_client.max_capacity() {
        tokio::task::yield_now().await;
    }
    setting.end.to_client.send(vec![0xFF]).await.unwrap();
    for _ in 0..3 {
        room.send("hello").await.unwrap();
        assert_eq!(room.standing().await.unwrap(), Standing::Founding);
    }
    let unread = setting.end.to_client.max_capacity() - setting.end.to_client.capacity();
    assert_eq!(unread, 1);
}
