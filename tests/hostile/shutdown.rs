//! Stopping: what was promised is answered, everybody hears when to come back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sotto_protocol::frame::{Answer, Notice};
use sotto_protocol::size_class::SizeClass;
use sotto_tests::peer::{Heard, entry};
use sotto_tests::relay::TestRelay;
use sotto_tests::store::WatchedStore;

#[tokio::test(start_paused = true)]
async fn promised_answers_are_written_and_clients_hear_when_to_come_back() {
    let store = WatchedStore::new();
    let relay = TestRelay {
        store: Arc::clone(&store) as _,
        ..TestRelay::default()
    }
    .start()
    .await;
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(relay.peer().await);
    }
    let mut author = relay.peer().await;
    let log = author.new_log().await.id();
    let requests = relay.metrics.value("sotto_requests_total").unwrap();
    store.hold(true);
    let verb = author.append(&log, vec![entry("promised", SizeClass::K1)]);
    let asked = author.ask(verb).await;
    relay.until("sotto_requests_total", requests + 1.0).await;

    relay.shutdown.cancel();
    let mut waits = BTreeSet::new();
    for peer in &mut peers {
        let Heard::Notice(Notice::Restarting(ms)) = peer.hear().await else {
            panic!("no notice");
        };
        assert!((1_000..=11_000).contains(&ms), "{ms}");
        waits.insert(ms);
        assert_eq!(peer.hear().await, Heard::Closed(1001, "restarting".into()));
    }
    assert!(waits.len() > 10, "all come back at once");
    assert!(matches!(
        author.hear().await,
        Heard::Notice(Notice::Restarting(_))
    ));
    store.hold(false);
    let answer = author.hear().await;
    assert!(
        matches!(&answer, Heard::Done(id, Answer::Appended(_)) if *id == asked),
        "{answer:?}"
    );
    assert_eq!(
        author.hear().await,
        Heard::Closed(1001, "restarting".into())
    );
    let connector = relay.connector.clone();
    relay.stop().await;
    assert!(connector.connect().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_does_not_keep_the_relay_from_stopping() {
    let relay = TestRelay::default().start().await;
    let mut author = relay.peer().await;
    let log = author.new_log().await;
    for _ in 0..8 {
        let verb = author.append(&log.id(), vec![entry("large", SizeClass::K64)]);
        author.call(verb).await.unwrap();
    }
    let mut stalled = relay.peer().await;
    stalled.open_log(&log.id(), &log.key).await.unwrap();
    stalled.follow(&log.id(), 100).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let half_open = relay.line().await;
    let started = tokio::time::Instant::now();
    relay.stop().await;
    assert!(started.elapsed() <= Duration::from_secs(11));
    drop((stalled, half_open));
}
