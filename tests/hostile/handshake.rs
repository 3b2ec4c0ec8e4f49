//! Before and during the connection handshake.

use std::time::Duration;

use sotto_protocol::frame::{Entry, Frame, Push};
use sotto_protocol::id::{ChainValue, Commitment, RelayIdentity, Stamp, Tag};
use sotto_protocol::{SUB_PROTOCOL, cbor, proof};
use sotto_server::connection::limits::{BYTES_BEFORE_HANDSHAKE_MAX, READ_BUFFER_BYTES};
use sotto_tests::peer::{Heard, Peer, Socket, initiator, noise_frame, upgrade_by_hand};
use sotto_tests::relay::{DAY, RunningRelay, TestRelay};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::tungstenite::{Error, Message};

/// A request to upgrade, from the second line to the sub-protocol's name.
const UPGRADE: &str = "Host: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
     Sec-WebSocket-Protocol: ";

async fn greeted(relay: &RunningRelay) -> Socket<DuplexStream> {
    let mut socket = Socket::upgrade(relay.line().await, Some(SUB_PROTOCOL))
        .await
        .unwrap();
    socket.greeting().await;
    socket
}

#[tokio::test(start_paused = true)]
async fn a_request_without_the_sub_protocol_is_not_upgraded() {
    let relay = TestRelay::default().start().await;
    for protocols in [None, Some("sotto.v2"), Some("sotto.v10, chat")] {
        let refused = Socket::upgrade(relay.line().await, protocols).await;
        let Err(Error::Http(response)) = refused else {
            panic!("upgraded with {protocols:?}");
        };
        assert_eq!(response.status(), 400);
    }
    let among_others = Socket::upgrade(relay.line().await, Some("chat, sotto.v1")).await;
    assert!(among_others.is_ok());
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_greeting_is_of_today_and_the_handshake_binds_it() {
    let relay = TestRelay::default().start().await;
    let first = relay.peer().await;
    assert_eq!(first.day(), DAY);
    relay.clock.advance(Duration::from_secs(86_400));
    let mut next = relay.peer().await;
    assert_eq!(next.day(), DAY + 1);
    assert_ne!(first.hash(), next.hash());
    // The connection of yesterday keeps its key.
    let mut first = first;
    let log = next.new_log().await;
    first.open_log(&log.id(), &log.key).await.unwrap();
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_pins_another_identity_comes_no_further() {
    let relay = TestRelay::default().start().await;
    let mut socket = Socket::upgrade(relay.line().await, Some(SUB_PROTOCOL))
        .await
        .unwrap();
    let greeting = socket.greeting().await;
    let other = RelayIdentity::new([1; 32]);
    assert!(!proof::verify_day(
        &other,
        greeting.day,
        &greeting.key,
        &greeting.signature
    ));
    let mut message = vec![0; 48];
    initiator(&greeting, &other)
        .write_message(&[], &mut message)
        .unwrap();
    socket
        .send(Message::Binary(noise_frame(message).into()))
        .await;
    let end = socket.next().await.unwrap_err();
    assert_eq!(end, Heard::Closed(1002, "malformed".into()));
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whatever_is_not_the_handshake_ends_the_connection() {
    let relay = TestRelay::default().start().await;
    let push = Push {
        tag: Tag::new([0; 8]),
        entry: Entry {
            day: 0,
            seq: 1,
            held: None,
            fence: None,
            stamp: Stamp::new([0; 20]),
            before: ChainValue::new([0; 32]),
            sealed: vec![0; 1024].into(),
            claimed: false,
            commitment: Commitment::new([0; 32]),
        },
    };
    let cases = [
        (Message::Binary(vec![].into()), (1003, "malformed")),
        (Message::Binary(vec![0xff; 40].into()), (1003, "malformed")),
        (Message::Text("hello".into()), (1003, "malformed")),
        (
            Message::Binary(cbor::encode(&Frame::Push(push)).unwrap().into()),
            (1002, "out_of_order"),
        ),
        (
            Message::Binary(noise_frame(vec![]).into()),
            (1003, "malformed"),
        ),
        // A request, and a handshake message with a payload.
        (
            Message::Binary(noise_frame(vec![7; 200]).into()),
            (1003, "malformed"),
        ),
        (
            Message::Binary(noise_frame(vec![7; 48]).into()),
            (1002, "malformed"),
        ),
    ];
    let count = cases.len();
    for (message, (code, reason)) in cases {
        let mut socket = greeted(&relay).await;
        socket.send(message.clone()).await;
        let end = socket.next().await.unwrap_err();
        assert_eq!(end, Heard::Closed(code, reason.into()), "{message:?}");
    }
    let failed = relay.metrics.value("sotto_handshakes_failed_total");
    assert_eq!(failed, Some(count as f64));
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn too_much_before_the_handshake_is_cut_off() {
    let relay = TestRelay::default().start().await;
    let started = tokio::time::Instant::now();
    // A header as long as may be; one that never ends.
    let mut line = relay.line().await;
    line.write_all(b"GET / HTTP/1.1\r\nCookie: ").await.unwrap();
    let long = vec![b'x'; BYTES_BEFORE_HANDSHAKE_MAX - 512];
    line.write_all(&long).await.unwrap();
    line.write_all(b"\r\n").await.unwrap();
    let mut rest = UPGRADE.to_owned();
    rest.push_str(SUB_PROTOCOL);
    rest.push_str("\r\n\r\n");
    line.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    line.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    drop(line);
    let small = relay.connector.clone().with_pipe_bytes(1_024);
    let mut line = small.connect().await.unwrap();
    line.write_all(b"GET / HTTP/1.1\r\nCookie: ").await.unwrap();
    let mut taken = 0;
    while line.write_all(&[b'x'; 256]).await.is_ok() {
        taken += 256;
    }
    let most = BYTES_BEFORE_HANDSHAKE_MAX + READ_BUFFER_BYTES + 1_024;
    assert!(taken <= most, "{taken} bytes were taken");
    // A first message of two megabytes.
    let mut socket = greeted(&relay).await;
    let huge = noise_frame(vec![0; 2 << 20]);
    socket.send(Message::Binary(huge.into())).await;
    let end = socket.next().await.unwrap_err();
    assert_eq!(end, Heard::Closed(1009, "too_large".into()));
    // It was the limit, and not a deadline: nobody waited.
    assert!(started.elapsed() < Duration::from_secs(1));
    relay.at_once("sotto_connections_open_count", 0.0).await;
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_half_open_handshakes_are_gone_after_the_deadline() {
    let relay = TestRelay::default().start().await;
    let started = tokio::time::Instant::now();
    let mut half_open = Vec::new();
    for number in 0..1_000 {
        let line = relay.line().await;
        half_open.push(if number % 2 == 0 {
            line
        } else {
            upgrade_by_hand(line).await
        });
    }
    // Meanwhile others are served.
    let mut peer = relay.peer().await;
    let log = peer.new_log().await;
    peer.say(&log.id(), "still here").await.unwrap();
    drop(peer);
    relay.at_once("sotto_connections_open_count", 1_000.0).await;
    for line in &mut half_open {
        line.read_to_end(&mut Vec::new()).await.unwrap();
    }
    let (waited, deadline) = (started.elapsed(), Duration::from_secs(10));
    assert!((deadline..deadline + Duration::from_secs(3)).contains(&waited));
    relay.at_once("sotto_connections_open_count", 0.0).await;
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_byte_a_second_does_not_hold_a_place() {
    let relay = TestRelay::default().start().await;
    let mut line = relay.line().await;
    let mut seconds = 0;
    while line.write_all(b"G").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        seconds += 1;
        assert!(seconds <= 11, "still connected");
    }
    assert!(
        seconds >= 10,
        "{seconds} seconds are less than the deadline"
    );
    relay.at_once("sotto_connections_open_count", 0.0).await;
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_handshake_on_one_connection_is_refused() {
    let relay = TestRelay::default().start().await;
    let mut peer = Peer::connect(relay.line().await, &relay.identity).await;
    peer.send(noise_frame(vec![7; 48])).await;
    let end = peer.hear().await;
    assert_eq!(end, Heard::Closed(1002, "malformed".into()));
    relay.stop().await;
}
