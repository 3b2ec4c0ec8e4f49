//! Every metric that is declared is counted somewhere, and none names anybody.

use std::time::Duration;

use sotto_protocol::frame::{Delete, Verb};
use sotto_protocol::limits::CREDIT_MAX;
use sotto_protocol::size_class::SizeClass;
use sotto_server::metrics::NAMES;
use sotto_tests::peer::{entry, retry};
use sotto_tests::relay::TestRelay;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(start_paused = true)]
async fn every_declared_metric_counts_and_none_names_a_log_or_a_key() {
    let mut setting = TestRelay::default();
    setting.settings.connections.connections_max = 3;
    setting.settings.connections.requests_burst = 20;
    let relay = setting.start().await;

    let mut author = relay.peer().await;
    let log = author.new_log().await;
    let mut stalled = relay.peer().await;
    stalled.open_log(&log.id(), &log.key).await.unwrap();
    stalled.follow(&log.id(), CREDIT_MAX).await.unwrap();
    let mut malformed = relay.peer().await;
    let turned_away = relay.line().await;
    relay
        .until("sotto_connections_turned_away_total", 1.0)
        .await;
    drop(turned_away);
    malformed.socket.send(Message::Text("x".into())).await;
    malformed.hear().await;
    relay.until("sotto_connections_open_count", 2.0).await;
    let half_open = relay.line().await;
    for _ in 0..40 {
        let verb = author.append(&log.id(), vec![entry("large", SizeClass::K16)]);
        author.call(verb).await.unwrap();
    }
    author.open_log(&log.id(), &log.root).await.unwrap_err();
    author.follow(&log.id(), CREDIT_MAX).await.unwrap();
    author.pushed(40).await;
    let delete = Delete {
        day: author.day(),
        log: log.id(),
        retry: retry(),
    };
    author.call(Verb::Delete(delete)).await.unwrap();
    author.hear().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop(half_open);
    relay.logs.sweep().await.unwrap();
    relay.clock.advance(Duration::from_secs(3 * 86_400));
    relay.logs.sweep().await.unwrap();
    relay.readiness.show(&relay.metrics);

    let text = relay.metrics.render();
    for name in NAMES {
        let has_counted = text.lines().any(|line| {
            let is_it = line
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']));
            is_it && !line.ends_with(" 0")
        });
        assert!(has_counted, "{name} never counted:\n{text}");
    }
    for line in text.lines().filter(|line| line.contains('{')) {
        assert!(line.starts_with("sotto_refusals_total{code=\""), "{line}");
    }
    let secrets = [log.id().as_bytes().to_vec(), log.key.to_bytes().to_vec()];
    for secret in secrets {
        assert!(!text.contains(&hex::encode(secret)));
    }
    relay.stop().await;
}
