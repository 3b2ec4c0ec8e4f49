//! What connections cost a relay that runs for long: a large message must not be paid for until its
//! connection ends.

use std::time::Duration;

use sotto_protocol::frame::{Append, Follow, Item, Lane, Verb};
use sotto_protocol::limits::{CREDIT_MAX, RUN_BYTES_MAX};
use sotto_protocol::size_class::SizeClass;
use sotto_server::connection::limits::STALLED_BYTES_MAX;
use sotto_tests::peer::{Peer, TestLog, entry, retry};
use tokio::net::{TcpSocket, TcpStream};

use crate::process::RelayProcess;

/// Connections that each sent one large message and stay.
const CONNECTIONS: usize = 64;
/// What one of them may cost after it. Seen: 1.05 MiB with the library's buffer, a tenth without.
const EACH_MAX: usize = 256 << 10;

/// An append of a full run, which is refused because the log is not open: nothing of it is kept.
fn large(peer: &Peer<TcpStream>) -> Verb<'static> {
    let count = RUN_BYTES_MAX / SizeClass::K64.bytes();
    Verb::Append(Append {
        day: peer.day(),
        work: None,
        items: vec![Item {
            log: TestLog::default().id(),
            pin: false,
            lease: None,
            admit: None,
            fence: None,
            grants: None,
            entries: vec![entry("x", SizeClass::K64); count],
        }],
        retry: retry(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_per_connection_is_back_to_its_bound_after_a_large_message() {
    let folder = tempfile::tempdir().unwrap();
    let relay = RelayProcess::start(folder.path(), ([127, 0, 0, 1], 0).into());
    let mut peers = Vec::new();
    for _ in 0..CONNECTIONS {
        let line = TcpStream::connect(relay.listen).await.unwrap();
        peers.push(Peer::connect(line, relay.address.identity()).await);
    }
    // What the process keeps after the first, whoever sends it, is not counted.
    let verb = large(&peers[0]);
    peers[0].call(verb).await.unwrap_err();
    let before = relay.resident_bytes();
    for peer in &mut peers {
        // As one frame, which is how a browser would send it.
        let verb = large(peer);
        peer.call(verb).await.unwrap_err();
    }
    let grown = relay.resident_bytes().saturating_sub(before);
    assert!(
        grown <= CONNECTIONS * EACH_MAX,
        "{} bytes for each connection",
        grown / CONNECTIONS
    );
    relay.kill();
}

/// Followers that take nothing.
const STALLED: usize = 48;
/// Appends of a mebibyte in the log that they follow: more than a kernel keeps for a socket.
const APPENDS: usize = 16;

/// A connection on which little is on its way before it is taken.
async fn narrow(relay: &RelayProcess) -> Peer<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let line = socket.connect(relay.listen).await.unwrap();
    Peer::connect(line, relay.address.identity()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_takes_nothing_costs_no_more_memory_than_its_figure() {
    let folder = tempfile::tempdir().unwrap();
    let relay = RelayProcess::start(folder.path(), ([127, 0, 0, 1], 0).into());
    let mut author = narrow(&relay).await;
    let log = author.new_log().await;
    for _ in 0..APPENDS {
        let verb = author.append(&log.id(), vec![entry("large", SizeClass::K64); 16]);
        author.call(verb).await.unwrap();
    }
    // Whatever the relay keeps of the log for all who follow, it keeps from here on.
    author.follow(&log.id(), CREDIT_MAX).await.unwrap();
    author.pushed(16 * APPENDS).await;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let mut peer = narrow(&relay).await;
        peer.open_log(&log.id(), &log.key).await.unwrap();
        stalled.push(peer);
    }
    let before = relay.resident_bytes();
    for peer in &mut stalled {
        let (log, lane, after, credit) = (log.id(), Lane::All, 0, CREDIT_MAX);
        peer.ask(Verb::Follow(Follow {
            log,
            lane,
            after,
            credit,
        }))
        .await;
    }
    // Less than the write timeout, and long enough for the sockets to fill.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let grown = relay.resident_bytes().saturating_sub(before);
    let each = grown / STALLED;
    assert!(each <= STALLED_BYTES_MAX, "{each} bytes for each follower");
    relay.kill();
}
