//! What connections cost a relay that runs for long: a large message must not be paid for until its
//! connection ends.

use sotto_protocol::frame::{Append, Item, Verb};
use sotto_protocol::limits::RUN_BYTES_MAX;
use sotto_protocol::size_class::SizeClass;
use sotto_tests::peer::{Peer, TestLog, entry, retry};
use tokio::net::TcpStream;

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
