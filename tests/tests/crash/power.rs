//! A kill proves nothing about power. Here the system calls of a relay are watched: for every
//! acknowledged append the store's file was written, then synced, and only then was the answer sent.

use sotto_tests::peer::Peer;
use tokio::net::TcpStream;

use crate::process::RelayProcess;

/// Appends, each sent when the one before was answered.
const APPENDS: usize = 20;

/// What matters of a line of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    StoreWritten,
    StoreSynced,
    Answered,
}

/// The store's own file is sled's `db`; an answer is what goes out on a TCP connection. A call that
/// was interrupted by another thread's counts when it is resumed, that is when it returned.
fn call(line: &str) -> Option<Call> {
    let (_, call) = line.trim_start().split_once(' ')?;
    let call = call.trim_start();
    if call.contains("TCP:") && ["write", "send"].iter().any(|name| call.starts_with(name)) {
        return Some(Call::Answered);
    }
    let of_store = call.contains("/db>");
    let returned = call.ends_with("= 0");
    if call.starts_with("pwrite") && of_store {
        return Some(Call::StoreWritten);
    }
    let syncs = call.starts_with("fdatasync(") || call.starts_with("fsync(");
    let resumed =
        call.starts_with("<... fdatasync resumed>") || call.starts_with("<... fsync resumed>");
    ((syncs && of_store || resumed) && returned).then_some(Call::StoreSynced)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_append_was_synced_before_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let relay = RelayProcess::start_traced(&folder.path().join("relay"), &trace);
    let io = TcpStream::connect(relay.listen).await.unwrap();
    let mut peer = Peer::connect(io, relay.address.identity()).await;
    let log = peer.new_log().await;
    let before = std::fs::read_to_string(&trace).unwrap().lines().count();
    for n in 0..APPENDS {
        peer.say(&log.id(), &format!("text {n}")).await.unwrap();
    }
    relay.kill();
    let text = std::fs::read_to_string(&trace).unwrap();
    let calls: Vec<_> = text.lines().skip(before).filter_map(call).collect();
    let answers = calls.iter().filter(|call| **call == Call::Answered).count();
    assert!(answers >= APPENDS, "{answers} answers in the trace");
    let (mut written, mut synced, mut proven) = (false, false, 0);
    for call in calls {
        match call {
            Call::StoreWritten => (written, synced) = (true, false),
            Call::StoreSynced => synced = written,
            Call::Answered => {
                assert!(
                    !written || synced,
                    "an answer went out between a write and its sync"
                );
                proven += usize::from(synced);
                (written, synced) = (false, false);
            }
        }
    }
    assert!(
        proven >= APPENDS,
        "{proven} of {APPENDS} answers had a write and a sync before them"
    );
}
