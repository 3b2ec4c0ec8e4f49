//! A kill proves nothing about power. Here the system calls of a relay are watched: for every
//! acknowledged append the store's file was written, then synced, and only then was the answer sent.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use sotto_tests::peer::{Peer, TestLog};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::process::RelayProcess;

/// Appends of one connection, each sent when the one before was answered.
const APPENDS: usize = 20;
/// Connections that append at once.
const CONNECTIONS: usize = 12;

/// What a system call did, as far as it matters. Connections go by their two addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Heard(String),
    Answered(String),
    StoreWritten,
    StoreSynced,
}

/// A call that succeeded: the lines of the trace at which it began and returned. They are the same
/// where no other thread did anything meanwhile.
#[derive(Clone, Debug)]
struct Call {
    what: What,
    begun: usize,
    returned: usize,
}

/// The store's own file is sled's `db`; requests and answers pass over TCP.
fn what(call: &str) -> Option<What> {
    let (name, arguments) = call.split_once('(')?;
    if let Some((_, line)) = arguments.split_once("<TCP:[") {
        let (line, _) = line.split_once("]>")?;
        return match name {
            "recvfrom" | "read" | "readv" | "recvmsg" => Some(What::Heard(line.to_owned())),
            "sendto" | "write" | "writev" | "sendmsg" => Some(What::Answered(line.to_owned())),
            _ => None,
        };
    }
    match name {
        _ if !arguments.contains("/db>") => None,
        "pwrite64" | "pwritev" => Some(What::StoreWritten),
        "fdatasync" | "fsync" => Some(What::StoreSynced),
        _ => None,
    }
}

/// Whether a call that returned did what it should.
fn succeeded(what: &What, line: &str) -> bool {
    let result = line.rsplit_once(" = ").map(|(_, result)| result);
    let number = result.and_then(|result| result.split(' ').next()?.parse::<i64>().ok());
    match what {
        What::StoreSynced => number == Some(0),
        _ => number.is_some_and(|bytes| bytes > 0),
    }
}

/// The calls of a trace. One that another thread's interrupted has a line for its beginning and one
/// for its end.
fn calls(trace: &str) -> Vec<Call> {
    let (mut calls, mut unfinished) = (Vec::new(), HashMap::new());
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, call)) = line.trim_start().split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        let known = if call.starts_with("<... ") {
            unfinished.remove(thread)
        } else {
            what(call).map(|what| (what, at))
        };
        let Some((what, begun)) = known else { continue };
        if call.ends_with("<unfinished ...>") {
            unfinished.insert(thread.to_owned(), (what, begun));
        } else if succeeded(&what, call) {
            let returned = at;
            calls.push(Call {
                what,
                begun,
                returned,
            });
        }
    }
    calls
}

/// Where requests were heard and answered: for each connection, line of the trace by line.
fn answers(calls: &[Call]) -> BTreeMap<String, Vec<(usize, usize)>> {
    let (mut heard, mut answers) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new());
    for call in calls {
        match &call.what {
            What::Heard(line) => {
                heard.insert(line.clone(), call.returned);
            }
            What::Answered(line) => {
                if let Some(heard) = heard.remove(line) {
                    let of_line = answers.entry(line.clone()).or_default();
                    of_line.push((heard, call.begun));
                }
            }
            What::StoreWritten | What::StoreSynced => {}
        }
    }
    answers
}

/// The writes of the store between two lines of the trace that a sync between them followed, and
/// those that none did.
fn written(calls: &[Call], (from, to): (usize, usize)) -> (usize, usize) {
    let within: Vec<_> = calls
        .iter()
        .filter(|call| call.begun > from && call.begun < to)
        .collect();
    let of = |what: What| within.iter().filter(move |call| call.what == what);
    let is_safe = |write: &&&Call| {
        of(What::StoreSynced).any(|sync| sync.begun > write.returned && sync.returned < to)
    };
    let all = of(What::StoreWritten).count();
    let safe = of(What::StoreWritten).filter(is_safe).count();
    (safe, all - safe)
}

/// The calls in a trace once the tracer has written all of them: what the last answer's call did it
/// may write after the answer was read.
async fn traced(trace: &Path) -> Vec<Call> {
    let mut text = String::new();
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = std::fs::read_to_string(trace).unwrap();
        if now == text {
            return calls(&text);
        }
        text = now;
    }
}

async fn connect(relay: &RelayProcess) -> Peer<TcpStream> {
    let io = TcpStream::connect(relay.listen).await.unwrap();
    Peer::connect(io, relay.address.identity()).await
}

async fn say_all(peer: &mut Peer<TcpStream>, log: &TestLog) {
    for n in 0..APPENDS {
        peer.say(&log.id(), &format!("text {n}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_append_was_synced_before_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let relay = RelayProcess::start_traced(&folder.path().join("relay"), &trace);
    let mut peer = connect(&relay).await;
    let log = peer.new_log().await;
    say_all(&mut peer, &log).await;
    let calls = traced(&trace).await;
    relay.kill();
    let answers: Vec<_> = answers(&calls).into_values().flatten().collect();
    let last = answers.len().checked_sub(APPENDS).expect("every answer");
    for span in &answers[last..] {
        let (safe, not) = written(&calls, *span);
        assert!(safe > 0, "nothing was written and synced for an answer");
        assert_eq!(not, 0, "an answer went out between a write and its sync");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_of_many_connections_share_syncs_and_each_was_synced_before_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let relay = RelayProcess::start_traced(&folder.path().join("relay"), &trace);
    let log = connect(&relay).await.new_log().await;
    let mut peers = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut peer = connect(&relay).await;
        peer.open_log(&log.id(), &log.key).await.unwrap();
        peers.push(peer);
    }
    let mut speaking = JoinSet::new();
    for mut peer in peers {
        let log = log.clone();
        speaking.spawn(async move { say_all(&mut peer, &log).await });
    }
    while let Some(spoken) = speaking.join_next().await {
        spoken.unwrap();
    }
    let calls = traced(&trace).await;
    relay.kill();
    let mut spans = Vec::new();
    for of_line in answers(&calls).into_values() {
        // The handshake and `open` come first; who made the log says nothing.
        if let Some(first) = of_line.len().checked_sub(APPENDS) {
            spans.extend_from_slice(&of_line[first..]);
        }
    }
    assert_eq!(spans.len(), CONNECTIONS * APPENDS, "every answer is seen");
    for span in &spans {
        let (safe, _) = written(&calls, *span);
        assert!(safe > 0, "nothing was written and synced for an answer");
    }
    let first = spans.iter().map(|span| span.0).min().unwrap();
    let is_sync = |call: &&Call| call.what == What::StoreSynced && call.begun > first;
    let syncs = calls.iter().filter(is_sync).count();
    assert!(
        2 * syncs <= spans.len(),
        "{syncs} syncs, {} answers",
        spans.len()
    );
}
