//! WebSocket framing as no client does it, on a connection that is open.

use std::time::Duration;

use sotto_protocol::frame::Answer;
use sotto_protocol::limits::MESSAGE_BYTES_MAX;
use sotto_protocol::size_class::SizeClass;
use sotto_server::config::{CreateRule, Settings};
use sotto_server::connection::limits::MESSAGE_TIMEOUT;
use sotto_tests::peer::{Heard, entry, upgrade_by_hand};
use sotto_tests::relay::TestRelay;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// What passes at most while a line is closed, with a peer that does not close in turn.
const CLOSING: Duration = Duration::from_secs(3);

/// The code of the close frame the relay ends with; it never masks.
async fn close_code(line: &mut DuplexStream) -> Option<u16> {
    let mut bytes = Vec::new();
    line.read_to_end(&mut bytes).await.unwrap();
    let at = bytes.windows(1).rposition(|byte| byte == [0x88])?;
    let code = bytes.get(at + 2..at + 4)?;
    Some(u16::from_be_bytes(code.try_into().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn frames_that_break_the_rules_end_the_connection() {
    let relay = TestRelay::default().start().await;
    let huge = (MESSAGE_BYTES_MAX as u64 + 1).to_be_bytes();
    let mut too_long = vec![0x82, 0xff];
    too_long.extend_from_slice(&huge);
    too_long.extend_from_slice(&[1, 2, 3, 4]);
    let mut endless = vec![0x82, 0xff];
    endless.extend_from_slice(&[0xff; 8]);
    endless.extend_from_slice(&[1, 2, 3, 4]);
    let cases: [(&str, Vec<u8>, u16); 6] = [
        ("unmasked", vec![0x82, 0x01, 0x00], 1003),
        ("a text", vec![0x81, 0x81, 0, 0, 0, 0, b'x'], 1003),
        ("reserved bits", vec![0xf2, 0x81, 0, 0, 0, 0, 0], 1003),
        (
            "a continuation of nothing",
            vec![0x80, 0x81, 0, 0, 0, 0, 0],
            1003,
        ),
        ("one byte more than allowed", too_long, 1009),
        ("a length of 2^64 - 1", endless, 1009),
    ];
    for (name, bytes, code) in cases {
        let mut line = upgrade_by_hand(relay.line().await).await;
        line.write_all(&bytes).await.unwrap();
        assert_eq!(close_code(&mut line).await, Some(code), "{name}");
    }
    relay.stop().await;
}

/// A binary frame of 256 bytes, masked.
fn whole_frame() -> Vec<u8> {
    let mut whole = vec![0x82, 0xfe, 0x01, 0x00, 1, 2, 3, 4];
    whole.extend([0; 256]);
    whole
}

const OPEN: &str = "sotto_connections_open_count";

#[tokio::test(start_paused = true)]
async fn a_frame_that_breaks_off_ends_its_connection_and_nothing_else() {
    let relay = TestRelay::default().start().await;
    let mut other = relay.peer().await;
    let log = other.new_log().await;
    for length in [1, 2, 3, 5, 8, 9, 263] {
        let mut line = upgrade_by_hand(relay.line().await).await;
        relay.at_once(OPEN, 2.0).await;
        line.write_all(&whole_frame()[..length]).await.unwrap();
        drop(line);
        // When the line ends, not when a deadline does.
        relay.at_once(OPEN, 1.0).await;
        let mut peer = relay.peer().await;
        relay.at_once(OPEN, 2.0).await;
        let line = peer.socket.line();
        line.write_all(&whole_frame()[..length]).await.unwrap();
        drop(peer);
        relay.at_once(OPEN, 1.0).await;
    }
    other.say(&log.id(), "still here").await.unwrap();
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_never_goes_on_ends_its_connection_with_the_deadline() {
    let relay = TestRelay::default().start().await;
    let started = Instant::now();
    let mut line = upgrade_by_hand(relay.line().await).await;
    line.write_all(&whole_frame()[..9]).await.unwrap();
    assert_eq!(close_code(&mut line).await, Some(1008));
    let deadline = Settings::new(CreateRule::DangerousOpen).connections;
    let waited = started.elapsed();
    let handshake = Duration::from_millis(deadline.handshake_timeout_ms);
    assert!((handshake..handshake + CLOSING).contains(&waited));

    let mut peer = relay.peer().await;
    let started = Instant::now();
    let line = peer.socket.line();
    line.write_all(&whole_frame()[..9]).await.unwrap();
    assert_eq!(peer.hear().await, Heard::Closed(1008, "stalled".into()));
    let waited = started.elapsed();
    assert!((MESSAGE_TIMEOUT..MESSAGE_TIMEOUT + CLOSING).contains(&waited));
    relay.peer().await.new_log().await;
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_text_message_on_an_open_connection_ends_it_and_changes_nothing() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await;
    peer.socket.send(Message::Text("append!".into())).await;
    // What came behind it in the same breath, and would be accepted alone.
    let verb = peer.append(&log.id(), vec![entry("x", SizeClass::K1)]);
    peer.ask(verb).await;
    assert_eq!(peer.hear().await, Heard::Closed(1003, "malformed".into()));
    let mut other = relay.peer().await;
    other.open_log(&log.id(), &log.key).await.unwrap();
    let Ok(Answer::Page(page)) = other.read(&log.id(), 0).await else {
        panic!("no page");
    };
    assert!(page.entries.is_empty(), "{page:?}");
    // The control: the same, without the text.
    other.say(&log.id(), "x").await.unwrap();
    let Ok(Answer::Page(page)) = other.read(&log.id(), 0).await else {
        panic!("no page");
    };
    assert_eq!(page.entries.len(), 1);
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn fragments_that_come_to_too_much_end_the_connection() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let fragment = vec![0; 65_536];
    let mut data = Data::Binary;
    for _ in 0..=MESSAGE_BYTES_MAX / fragment.len() {
        let frame = Frame::message(fragment.clone(), OpCode::Data(data), false);
        peer.socket.send(Message::Frame(frame)).await;
        data = Data::Continue;
    }
    assert_eq!(peer.hear().await, Heard::Closed(1009, "too_large".into()));
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_never_ends_is_cut_off_however_small_and_pings_do_not_help() {
    for begun_bytes in [1, 100_000] {
        dripped(begun_bytes).await;
    }
}

/// A message that begins with so many bytes and goes on by one a second.
async fn dripped(begun_bytes: usize) {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let frame = |bytes: usize, data| Frame::message(vec![0; bytes], OpCode::Data(data), false);
    let first = frame(begun_bytes, Data::Binary);
    peer.socket.send(Message::Frame(first)).await;
    let mut sent = 0;
    loop {
        peer.socket.send(Message::Ping(vec![].into())).await;
        let next = frame(1, Data::Continue);
        peer.socket.send(Message::Frame(next)).await;
        sent += 1;
        assert!(sent < 100, "still connected");
        let second = tokio::time::sleep(Duration::from_secs(1));
        tokio::select! {
            heard = peer.hear() => {
                assert_eq!(heard, Heard::Closed(1008, "stalled".into()));
                break;
            }
            () = second => {}
        }
    }
    relay.stop().await;
}
