//! Limits of a connection, each at its edge.

use std::sync::Arc;
use std::time::Duration;

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Open, Verb};
use sotto_protocol::limits::{
    ITEM_ENTRIES_MAX, OPEN_LOGS_MAX, PROOFS_MAX, REQUESTS_IN_FLIGHT_MAX, RUN_BYTES_MAX,
};
use sotto_protocol::proof::Purpose;
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use sotto_server::config::{CreateRule, TicketDigest};
use sotto_server::connection::limits::KEYS_PER_LOG_MAX;
use sotto_tests::peer::{Heard, Peer, TestLog, entry, retry, secret};
use sotto_tests::relay::TestRelay;
use sotto_tests::store::WatchedStore;

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
    assert!(read <= REQUESTS_IN_FLIGHT_MAX as f64, "{read} were read");
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
        let item = sotto_protocol::cbor::encode(&sotto_protocol::frame::Request { verb, id: 77 });
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
    let (mut after, mut count) = (0, 0);
    loop {
        let Ok(Answer::Page(page)) = peer.read(&log, after).await else {
            panic!("no page");
        };
        count += page.entries.len();
        match page.entries.last() {
            Some(last) => after = last.seq,
            None => break,
        }
    }
    assert_eq!(count, ITEM_ENTRIES_MAX + largest);
    let verb = peer.append(&log, run(largest + 1, SizeClass::K64));
    let refused = peer.call(verb).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::TooLarge);
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
async fn create_costs_what_the_operator_asks() {
    let mut setting = TestRelay::default();
    setting.settings.create = CreateRule::Work;
    setting.settings.create_work_bits = 8;
    let relay = setting.start().await;
    let mut peer = relay.peer().await;
    let log = TestLog::default();
    let create = peer.create(&log, vec![]);
    let refused = peer.call(Verb::Create(create.clone())).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.bits),
        (ErrorCode::WorkNeeded, Some(8))
    );
    let work = sotto_protocol::proof::find_work(peer.hash(), &log.id(), &create.retry, 8);
    let paid = sotto_protocol::frame::Create {
        work: Some(work),
        ..create
    };
    // The same work is worth nothing on another connection.
    let mut other = relay.peer().await;
    let elsewhere = sotto_protocol::frame::Create {
        work: paid.work,
        retry: paid.retry,
        ..other.create(&log, vec![])
    };
    let bits = sotto_protocol::proof::work_bits(other.hash(), &log.id(), &paid.retry, work);
    if bits < 8 {
        let refused = other.call(Verb::Create(elsewhere)).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::WorkNeeded);
    }
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
        let create = sotto_protocol::frame::Create {
            ticket: ticket.map(Into::into),
            retry: retry(),
            ..peer.create(&TestLog::default(), vec![])
        };
        let answer = peer.call(Verb::Create(create)).await;
        assert_eq!(answer.is_ok(), is_accepted);
    }
    relay.stop().await;
}
