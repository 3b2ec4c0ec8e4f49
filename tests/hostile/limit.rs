//! Limits of a connection, each at its edge.

use std::sync::Arc;
use std::time::Duration;

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Create, Describe, Grants, Lane, NewGrants, Open, Read, Verb};
use sotto_protocol::id::LogId;
use sotto_protocol::limits::{
    ITEM_ENTRIES_MAX, MESSAGE_BYTES_MAX, OPEN_LOGS_MAX, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX,
    PROOFS_MAX, REQUESTS_IN_FLIGHT_MAX, RUN_BYTES_MAX,
};
use sotto_protocol::proof::{Purpose, find_work, work_bits};
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use sotto_server::config::{CreateRule, TicketDigest};
use sotto_server::connection::limits::{
    KEYS_PER_LOG_MAX, LARGE_MESSAGES_MAX, PAGES_MAX, REPLIES_MAX,
};
use sotto_tests::peer::{Heard, Peer, TestLog, entry, retry, secret};
use sotto_tests::relay::{RunningRelay, TestRelay};
use sotto_tests::store::WatchedStore;
use tokio::io::DuplexStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

#[tokio::test(start_paused = true)]
async fn a_connection_opens_sixty_four_logs_and_no_more() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let mut logs = Vec::new();
    for _ in 0..OPEN_LOGS_MAX {
        logs.push(peer.new_log().await);
    }
    let mut other = relay.peer().await;
    let one_more = other.new_log().await;
    let refused = peer.open_log(&one_more.id(), &one_more.key).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::QuotaExceeded);
    // One that is open may be opened again.
    let (first, log) = (logs[0].id(), &logs[0]);
    peer.open_log(&first, &log.key).await.unwrap();
    peer.say(&logs[63].id(), "the last").await.unwrap();
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_the_keys_proved_for_one_log_the_last_ones_are_remembered() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let log = TestLog::default();
    let keys: Vec<_> = (0..=KEYS_PER_LOG_MAX).map(|_| secret()).collect();
    // The first may write, the others read.
    let rights = |n| if n == 0 { Rights::APPEND } else { Rights::READ };
    let grants = keys.iter().enumerate();
    let grants = grants.map(|(n, key)| TestLog::grant(key, rights(n)));
    let create = peer.create(&log, grants.collect());
    peer.call(Verb::Create(create)).await.unwrap();
    let prove = |peer: &Peer<_>, keys: &[x25519_dalek::StaticSecret]| {
        let proofs = keys
            .iter()
            .map(|key| peer.prove(key, Purpose::Open, &log.id()));
        Verb::Open(Open {
            log: log.id(),
            proofs: proofs.collect(),
        })
    };
    for keys in keys[..KEYS_PER_LOG_MAX].chunks(PROOFS_MAX) {
        let verb = prove(&peer, keys);
        peer.call(verb).await.unwrap();
    }
    peer.say(&log.id(), "all are remembered").await.unwrap();
    let verb = prove(&peer, &keys[KEYS_PER_LOG_MAX..]);
    peer.call(verb).await.unwrap();
    let refused = peer.say(&log.id(), "forgotten").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Refused);
    peer.read(&log.id(), 0).await.unwrap();
    let again = prove(&peer, &keys[..PROOFS_MAX]);
    peer.call(again).await.unwrap();
    peer.say(&log.id(), "proved again").await.unwrap();
    let too_many = prove(&peer, &keys[..=PROOFS_MAX]);
    peer.ask(too_many).await;
    assert!(matches!(
        peer.hear().await,
        Heard::Refused(_, refusal) if refusal.code == ErrorCode::TooLarge
    ));
    assert_eq!(peer.hear().await, Heard::Closed(1009, "too_large".into()));
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_grant_is_gone_stands_in_the_way_of_none_that_is_proved_later() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let (log, [manage, old, new]) = (TestLog::default(), [(); 3].map(|()| secret()));
    let grant = |key, rights| TestLog::grant(key, rights);
    let writes = Rights::READ.union(Rights::APPEND);
    let create = peer.create(
        &log,
        vec![grant(&manage, Rights::MANAGE), grant(&old, writes)],
    );
    peer.call(Verb::Create(create)).await.unwrap();
    let version = match peer.open_log(&log.id(), &manage).await.unwrap() {
        Answer::Opened(opened) => opened.version,
        other => panic!("{other:?}"),
    };
    peer.open_log(&log.id(), &old).await.unwrap();
    peer.say(&log.id(), "with the old key").await.unwrap();
    let list = NewGrants {
        cut: false,
        list: vec![grant(&manage, Rights::MANAGE), grant(&new, writes)],
        version,
    };
    let grants = Verb::Grants(Grants {
        day: peer.day(),
        log: log.id(),
        new: list,
        retry: retry(),
    });
    peer.call(grants).await.unwrap();
    let said = peer.say(&log.id(), "with a key that is gone").await;
    assert_eq!(said.unwrap_err().code, ErrorCode::Refused);
    peer.open_log(&log.id(), &new).await.unwrap();
    peer.say(&log.id(), "with the new key").await.unwrap();
    // What is proved now must have a grant all the same.
    for key in [&old, &secret()] {
        let refused = peer.open_log(&log.id(), key).await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::Refused);
    }
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_those_in_flight_wait_in_the_line_and_are_not_lost() {
    let store = WatchedStore::new();
    let relay = TestRelay {
        store: Arc::clone(&store) as _,
        ..TestRelay::default()
    }
    .start()
    .await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await.id();
    let before = relay.metrics.value("sotto_requests_total").unwrap();
    store.hold(true);
    let count = REQUESTS_IN_FLIGHT_MAX + 10;
    for _ in 0..count {
        // Small requests, so that all of them fit into the line.
        let verb = Verb::Hold(sotto_protocol::frame::Hold { ms: 1, log });
        peer.ask(verb).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let read = relay.metrics.value("sotto_requests_total").unwrap() - before;
    assert_eq!(read, REQUESTS_IN_FLIGHT_MAX as f64);
    store.hold(false);
    for _ in 0..count {
        assert!(matches!(peer.hear().await, Heard::Done(_, Answer::Held(_))));
    }
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_requests_id_is_not_used_twice() {
    let store = WatchedStore::new();
    let relay = TestRelay {
        store: Arc::clone(&store) as _,
        ..TestRelay::default()
    }
    .start()
    .await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await.id();
    store.hold(true);
    for _ in 0..2 {
        let verb = peer.append(&log, vec![entry("twice", SizeClass::K1)]);
        let item = sotto_protocol::cbor::encode(&sotto_protocol::frame::Request {
            verb,
            id: 77,
            pad: None,
        });
        let sealed = peer.seal(&item.unwrap());
        peer.send(sealed).await;
    }
    assert_eq!(
        peer.hear().await,
        Heard::Closed(1002, "out_of_order".into())
    );
    store.hold(false);
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_largest_append_passes_and_comes_back_as_pages() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await.id();
    let largest = RUN_BYTES_MAX / SizeClass::K64.bytes();
    let run = |count: usize, class| (0..count).map(|_| entry("x", class)).collect::<Vec<_>>();
    let verb = peer.append(&log, run(ITEM_ENTRIES_MAX, SizeClass::K1));
    peer.call(verb).await.unwrap();
    let verb = peer.append(&log, run(largest, SizeClass::K64));
    peer.call(verb).await.unwrap();
    let (mut after, mut all) = (0, Vec::new());
    loop {
        let Ok(Answer::Page(page)) = peer.read(&log, after).await else {
            panic!("no page");
        };
        let bytes = page.entries.iter();
        let bytes: usize = bytes.map(|entry| entry.sealed.as_slice().len()).sum();
        assert!(bytes <= PAGE_BYTES_MAX && page.entries.len() <= PAGE_ENTRIES_MAX);
        all.extend(page.entries.iter().map(|entry| entry.seq));
        after = page.entries.last().expect("a page moves on").seq;
        if !page.more {
            break;
        }
    }
    let count = u64::try_from(ITEM_ENTRIES_MAX + largest).unwrap();
    assert_eq!(all, (1..=count).collect::<Vec<_>>());
    for too_many in [
        run(largest + 1, SizeClass::K64),
        run(ITEM_ENTRIES_MAX + 1, SizeClass::K1),
    ] {
        let mut peer = relay.peer().await;
        let verb = peer.append(&log, too_many);
        let refused = peer.call(verb).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::TooLarge);
        assert_eq!(peer.hear().await, Heard::Closed(1009, "too_large".into()));
    }
    let Ok(Answer::Page(page)) = peer.read(&log, after).await else {
        panic!("no page");
    };
    assert!(page.entries.is_empty(), "nothing of them landed");
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn places_are_given_back_and_one_too_many_is_turned_away() {
    let mut setting = TestRelay::default();
    setting.settings.connections.connections_max = 2;
    let relay = setting.start().await;
    let first = relay.peer().await;
    let mut second = relay.peer().await;
    let refused =
        sotto_tests::peer::Socket::upgrade(relay.line().await, Some(sotto_protocol::SUB_PROTOCOL))
            .await;
    assert!(refused.is_err());
    relay
        .until("sotto_connections_turned_away_total", 1.0)
        .await;
    drop(first);
    relay.until("sotto_connections_open_count", 1.0).await;
    let _third = relay.peer().await;
    second.new_log().await;
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_used_up_rate_makes_a_connection_slower_and_refuses_nothing() {
    let mut setting = TestRelay::default();
    setting.settings.connections.requests_per_second = 10;
    setting.settings.connections.requests_burst = 5;
    let relay = setting.start().await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await.id();
    let started = tokio::time::Instant::now();
    for _ in 0..10 {
        peer.say(&log, "quick").await.unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(500));
    let waits = relay.metrics.value("sotto_rate_waits_total").unwrap();
    assert!(waits > 0.0);
    // Others are not slowed by it.
    let mut other = relay.peer().await;
    let started = tokio::time::Instant::now();
    other.new_log().await;
    assert!(started.elapsed() < Duration::from_millis(100));
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_past_the_burst_are_waited_for_at_the_rate_and_nothing_is_refused() {
    const PER_SECOND: u32 = 1 << 20;
    let mut setting = TestRelay::default();
    setting.settings.connections.bytes_per_second = PER_SECOND;
    setting.settings.connections.bytes_burst = u32::try_from(MESSAGE_BYTES_MAX).unwrap();
    let relay = setting.start().await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await.id();
    let largest = RUN_BYTES_MAX / SizeClass::K64.bytes();
    let started = tokio::time::Instant::now();
    for count in 1..=3 {
        let run = (0..largest).map(|_| entry("x", SizeClass::K64)).collect();
        let verb = peer.append(&log, run);
        peer.call(verb).await.unwrap();
        assert_eq!(
            started.elapsed(),
            Duration::ZERO,
            "append {count} is read at once"
        );
    }
    // What came is more than the burst: the next waits until the rest has come back.
    let received = relay.metrics.value("sotto_bytes_received_total").unwrap();
    let owed = received - MESSAGE_BYTES_MAX as f64;
    assert!(owed > 0.0, "{owed}");
    peer.say(&log, "late").await.unwrap();
    let (waited, wait) = (
        started.elapsed().as_secs_f64(),
        owed / f64::from(PER_SECOND),
    );
    assert!(
        (wait..wait + 0.1).contains(&waited),
        "{waited} s, not {wait} s"
    );
    // Others are not slowed by it.
    let mut other = relay.peer().await;
    let started = tokio::time::Instant::now();
    other.new_log().await;
    assert!(started.elapsed() < Duration::from_millis(100));
    relay.stop().await;
}

/// A peer in the middle of a message that is large.
async fn halfway(relay: &RunningRelay) -> Peer<DuplexStream> {
    let mut peer = relay.peer().await;
    let half = Frame::message(vec![0; 40_000], OpCode::Data(Data::Binary), false);
    peer.socket.send(Message::Frame(half)).await;
    peer
}

#[tokio::test(start_paused = true)]
async fn one_large_message_too_many_waits_until_another_is_done_and_small_ones_pass() {
    let relay = TestRelay::default().start().await;
    let mut owner = relay.peer().await;
    let log = owner.new_log().await;
    let mut begun = Vec::new();
    for _ in 1..LARGE_MESSAGES_MAX {
        begun.push(halfway(&relay).await);
    }
    // All of them have come in, and one more is read at once: it has the last slot.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let large = |owner: &Peer<_>| owner.append(&log.id(), vec![entry("large", SizeClass::K64)]);
    let started = tokio::time::Instant::now();
    for _ in 0..3 {
        let verb = large(&owner);
        owner.call(verb).await.unwrap();
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    let last = halfway(&relay).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let verb = large(&owner);
    let asked = owner.ask(verb).await;
    let waiting = tokio::time::timeout(Duration::from_secs(30), owner.hear()).await;
    assert!(waiting.is_err(), "{waiting:?}");
    let mut other = relay.peer().await;
    other.open_log(&log.id(), &log.key).await.unwrap();
    other.say(&log.id(), "small").await.unwrap();
    // Not when the others' time is up: when one of them is gone.
    drop(last);
    let answer = tokio::time::timeout(Duration::from_secs(1), owner.hear()).await;
    assert!(matches!(answer, Ok(Heard::Done(id, Answer::Appended(_))) if id == asked));
    relay.stop().await;
}

/// Reads of as much as a page may hold, by a peer that takes nothing of them.
async fn ask_for_pages(peer: &mut Peer<DuplexStream>, log: &LogId, count: usize) {
    for _ in 0..count {
        let read = Read {
            log: *log,
            lane: Lane::All,
            after: 0,
            entries_max: 1_024,
        };
        peer.ask(Verb::Read(read)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_has_one_page_and_few_answers_in_memory() {
    let store = WatchedStore::new();
    let mut setting = TestRelay {
        store: Arc::clone(&store) as _,
        ..TestRelay::default()
    };
    setting.settings.connections.requests_burst = 10_000;
    let relay = setting.start().await;
    let mut owner = relay.peer().await;
    let log = owner.new_log().await;
    let run = (0..16).map(|_| entry("large", SizeClass::K64)).collect();
    let verb = owner.append(&log.id(), run);
    owner.call(verb).await.unwrap();
    let (mut modest, mut greedy) = (relay.peer().await, relay.peer().await);
    let mut costs = Vec::new();
    for (peer, pages) in [(&mut modest, PAGES_MAX), (&mut greedy, PAGES_MAX + 40)] {
        peer.open_log(&log.id(), &log.key).await.unwrap();
        let before = store.reads();
        ask_for_pages(peer, &log.id(), pages).await;
        costs.push(store.reads() - before);
    }
    assert!(costs[0] > 0, "a page is read from the store");
    assert_eq!(costs[0], costs[1], "no page too many is read");
    // Answers of some bytes only: those in the queue, and those of the requests in flight.
    let before = relay.metrics.value("sotto_requests_total").unwrap();
    for _ in 0..3 * REQUESTS_IN_FLIGHT_MAX {
        modest.ask(Verb::Describe(Describe { log: log.id() })).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let read = relay.metrics.value("sotto_requests_total").unwrap() - before;
    assert_eq!(read, (REPLIES_MAX + REQUESTS_IN_FLIGHT_MAX) as f64);
    assert_eq!(
        relay.metrics.value("sotto_connections_stalled_total"),
        Some(0.0)
    );
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn create_costs_what_the_operator_asks() {
    let mut setting = TestRelay::default();
    setting.settings.create = CreateRule::Work;
    setting.settings.create_work_bits = 8;
    let relay = setting.start().await;
    let mut peer = relay.peer().await;
    let log = TestLog::default();
    let mut other = relay.peer().await;
    let mut create = peer.create(&log, vec![]);
    let found = |create: &Create<'_>| find_work(peer.hash(), &log.id(), &create.retry, 8);
    // One work in 256 is, by accident, good on both connections.
    let is_good_there =
        |create: &Create<'_>| work_bits(other.hash(), &log.id(), &create.retry, found(create)) >= 8;
    while is_good_there(&create) {
        create.retry = retry();
    }
    let work = found(&create);
    let refused = peer.call(Verb::Create(create.clone())).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.bits),
        (ErrorCode::WorkNeeded, Some(8))
    );
    let paid = Create {
        work: Some(work),
        ..create
    };
    // The same work is worth nothing on another connection.
    let elsewhere = Create {
        work: paid.work,
        retry: paid.retry,
        ..other.create(&log, vec![])
    };
    let refused = other.call(Verb::Create(elsewhere)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::WorkNeeded);
    peer.call(Verb::Create(paid)).await.unwrap();
    relay.stop().await;

    let mut setting = TestRelay::default();
    setting.settings.create = CreateRule::Ticket;
    setting.settings.create_tickets_sha256 = vec![TicketDigest::of(b"come in")];
    let relay = setting.start().await;
    let mut peer = relay.peer().await;
    for (ticket, is_accepted) in [
        (None, false),
        (Some(&b"come on"[..]), false),
        (Some(b"come in"), true),
    ] {
        let create = Create {
            ticket: ticket.map(Into::into),
            retry: retry(),
            ..peer.create(&TestLog::default(), vec![])
        };
        let answer = peer.call(Verb::Create(create)).await;
        assert_eq!(answer.is_ok(), is_accepted);
    }
    relay.stop().await;
}
