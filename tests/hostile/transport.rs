//! Whoever ends TLS sees sealed messages pass: replayed, altered, injected or dropped ones must
//! end the connection and change nothing.

use sotto_protocol::cbor;
use sotto_protocol::frame::{Answer, Frame};
use sotto_protocol::size_class::SizeClass;
use sotto_tests::peer::{Heard, Peer, TestLog, entry, text_of};
use sotto_tests::relay::{RunningRelay, TestRelay};
use tokio::io::DuplexStream;

async fn texts(relay: &RunningRelay, log: &TestLog) -> Vec<String> {
    let mut reader = relay.peer().await;
    reader.open_log(&log.id(), &log.key).await.unwrap();
    match reader.read(&log.id(), 0).await.unwrap() {
        Answer::Page(page) => page.entries.iter().map(text_of).collect(),
        other => panic!("not a page: {other:?}"),
    }
}

fn sealed_append(peer: &mut Peer<DuplexStream>, log: &TestLog, text: &str) -> Vec<u8> {
    let verb = peer.append(&log.id(), vec![entry(text, SizeClass::K1)]);
    peer.request(verb).1
}

const NOT_AUTHENTIC: (u16, &str) = (1002, "malformed");

async fn assert_ended(peer: &mut Peer<DuplexStream>, (code, reason): (u16, &str)) {
    loop {
        match peer.hear().await {
            Heard::Done(..) => {}
            end => {
                assert_eq!(end, Heard::Closed(code, reason.into()));
                return;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_replayed_request_is_refused() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await;
    let message = sealed_append(&mut peer, &log, "once");
    peer.send(message.clone()).await;
    assert!(matches!(peer.hear().await, Heard::Done(..)));
    peer.send(message).await;
    assert_ended(&mut peer, NOT_AUTHENTIC).await;
    assert_eq!(texts(&relay, &log).await, ["once"]);
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_altered_request_is_refused_wherever_a_bit_was_turned() {
    let relay = TestRelay::default().start().await;
    let mut owner = relay.peer().await;
    let log = owner.new_log().await;
    for place in [0.0, 0.3, 0.6, 1.0] {
        let mut peer = relay.peer().await;
        peer.open_log(&log.id(), &log.key).await.unwrap();
        let message = sealed_append(&mut peer, &log, "altered");
        let Frame::Noise(sealed) = cbor::decode(&message).unwrap() else {
            panic!("not noise");
        };
        let mut sealed = sealed.as_slice().to_vec();
        let at = ((sealed.len() - 1) as f64 * place) as usize;
        sealed[at] ^= 1;
        peer.send(sotto_tests::peer::noise_frame(sealed)).await;
        assert_ended(&mut peer, NOT_AUTHENTIC).await;
    }
    assert!(texts(&relay, &log).await.is_empty());
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_another_connection_is_refused() {
    let relay = TestRelay::default().start().await;
    let mut one = relay.peer().await;
    let mut other = relay.peer().await;
    let log = one.new_log().await;
    other.open_log(&log.id(), &log.key).await.unwrap();
    let message = sealed_append(&mut one, &log, "injected");
    other.send(message).await;
    assert_ended(&mut other, NOT_AUTHENTIC).await;
    assert!(texts(&relay, &log).await.is_empty());
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_after_one_that_was_dropped_is_refused() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await;
    let _dropped = sealed_append(&mut peer, &log, "dropped");
    let after = sealed_append(&mut peer, &log, "after");
    peer.send(after).await;
    assert_ended(&mut peer, NOT_AUTHENTIC).await;
    assert!(texts(&relay, &log).await.is_empty());
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn garbage_inside_an_authentic_message_ends_the_connection_and_what_follows_is_not_done() {
    let relay = TestRelay::default().start().await;
    for garbage in [&b""[..], b"\x00", b"\xa0", &[0xff; 70_000]] {
        let mut peer = relay.peer().await;
        let log = peer.new_log().await;
        let sealed = peer.seal(garbage);
        let append = sealed_append(&mut peer, &log, "after garbage");
        peer.send(sealed).await;
        peer.send(append).await;
        assert_ended(&mut peer, (1003, "malformed")).await;
        assert!(texts(&relay, &log).await.is_empty());
    }
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn frames_of_the_relay_sent_by_a_client_end_the_connection() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let mut socket =
        sotto_tests::peer::Socket::upgrade(relay.line().await, Some(sotto_protocol::SUB_PROTOCOL))
            .await
            .unwrap();
    let greeting = Frame::Greeting(socket.greeting().await);
    peer.send(cbor::encode(&greeting).unwrap()).await;
    assert_ended(&mut peer, (1002, "out_of_order")).await;
    relay.stop().await;
}
