//! No room: the engine's file may not grow any more. What was acknowledged stays, reading goes on,
//! and so does writing once there is room.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Verb};
use sotto_protocol::id::LogId;
use sotto_protocol::size_class::SizeClass;
use sotto_tests::peer::{Peer, entry, text_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::RelayProcess;

/// The longest file. The relay keeps 96 MiB of it free, so that it never runs into the limit.
const FILE_BYTES_MAX: u64 = 176 << 20;
/// Refusals in a row after which the disk counts as full.
const REFUSALS: usize = 4;
/// Entries of an append: a mebibyte.
const RUN: usize = 16;

async fn readyz(relay: &RelayProcess) -> String {
    let mut admin = TcpStream::connect(relay.admin).await.unwrap();
    let request = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    admin.write_all(request).await.unwrap();
    let mut answer = String::new();
    admin.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn connect(relay: &RelayProcess) -> Peer<TcpStream> {
    let line = TcpStream::connect(relay.listen).await.unwrap();
    Peer::connect(line, relay.address.identity()).await
}

/// The texts of all entries, in the log's order.
async fn texts(peer: &mut Peer<TcpStream>, log: &LogId) -> Vec<String> {
    let (mut texts, mut after) = (Vec::new(), 0);
    loop {
        let Ok(Answer::Page(page)) = peer.read(log, after).await else {
            panic!("reading does not go on");
        };
        let Some(last) = page.entries.last() else {
            return texts;
        };
        after = last.seq;
        texts.extend(page.entries.iter().map(text_of));
    }
}

fn run(peer: &Peer<TcpStream>, log: &LogId, number: usize) -> (Verb<'static>, Vec<String>) {
    let said: Vec<_> = (0..RUN).map(|part| format!("{number} {part}")).collect();
    let entries = said.iter().map(|text| entry(text, SizeClass::K64));
    (peer.append(log, entries.collect()), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_clearly_reads_on_and_goes_on_after_room_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let relay = RelayProcess::start(folder.path(), ([127, 0, 0, 1], 0).into());
    let mut peer = connect(&relay).await;
    let log = peer.new_log().await;
    relay.limit_files(Some(FILE_BYTES_MAX));
    let mut acknowledged = Vec::new();
    let (mut number, mut refusals) = (0, 0);
    let (mut verb, mut said) = run(&peer, &log.id(), number);
    // A little room may be found by the engine's own tidying: the disk is full when the same
    // request was refused several times.
    while refusals < REFUSALS {
        match peer.call(verb.clone()).await {
            Ok(_) => {
                acknowledged.append(&mut said);
                (number, refusals) = (number + 1, 0);
                (verb, said) = run(&peer, &log.id(), number);
                assert!(number < 64, "the disk is never full");
            }
            Err(refusal) => {
                refusals += 1;
                assert_eq!(refusal.code, ErrorCode::StoreFull);
                assert!(refusal.retry_after_ms.is_some_and(|ms| ms > 0));
                let ready = readyz(&relay).await;
                assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("store full"));
                // Reading goes on, for whoever comes as well, and nothing that was refused is there.
                let mut other = connect(&relay).await;
                other.open_log(&log.id(), &log.key).await.unwrap();
                assert_eq!(texts(&mut other, &log.id()).await, acknowledged);
                assert_eq!(texts(&mut peer, &log.id()).await, acknowledged);
            }
        }
    }
    assert!(number > 8, "{number} appends fitted");

    relay.limit_files(None);
    // The same request with the same retry id: it lands now, once.
    let answer = peer.call(verb.clone()).await.unwrap();
    assert_eq!(peer.call(verb).await.unwrap(), answer);
    acknowledged.extend(said);
    assert!(readyz(&relay).await.starts_with("HTTP/1.1 200"));
    assert_eq!(texts(&mut peer, &log.id()).await, acknowledged);
    relay.kill();

    let relay = RelayProcess::start(folder.path(), ([127, 0, 0, 1], 0).into());
    let mut peer = connect(&relay).await;
    peer.open_log(&log.id(), &log.key).await.unwrap();
    assert_eq!(texts(&mut peer, &log.id()).await, acknowledged);
    relay.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_killed_on_a_full_disk_comes_back_with_everything_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let relay = RelayProcess::start(folder.path(), ([127, 0, 0, 1], 0).into());
    let mut peer = connect(&relay).await;
    let log = peer.new_log().await;
    relay.limit_files(Some(FILE_BYTES_MAX));
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let (verb, said) = run(&peer, &log.id(), number);
        match peer.call(verb).await {
            Ok(_) => acknowledged.extend(said),
            Err(refusal) => {
                assert_eq!(refusal.code, ErrorCode::StoreFull);
                break;
            }
        }
    }
    relay.kill();
    // On the same disk first, which is as full as before.
    let relay = RelayProcess::start(folder.path(), ([127, 0, 0, 1], 0).into());
    relay.limit_files(Some(FILE_BYTES_MAX));
    let mut peer = connect(&relay).await;
    peer.open_log(&log.id(), &log.key).await.unwrap();
    assert_eq!(texts(&mut peer, &log.id()).await, acknowledged);
    relay.kill();
}
