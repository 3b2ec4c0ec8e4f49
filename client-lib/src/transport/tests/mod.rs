//! Connections over real sockets of this machine.

use core::time::Duration;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sotto_protocol::limits::MESSAGE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::server::{
    ErrorResponse, Request as Asked, Response as Answer,
};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::{Line, WebSocketDialer};
use crate::error::{Error, ErrorKind};

const AUTHORITY: &[u8] = include_bytes!("authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("certificate.pem");
const CERTIFICATE_KEY: &[u8] = include_bytes!("certificate.key");

/// Names the sub-protocol that was asked for, as a relay does.
#[expect(
    clippy::result_large_err,
    clippy::unnecessary_wraps,
    reason = "the library's callback is so"
)]
fn relay_like(asked: &Asked, mut answer: Answer) -> Result<Answer, ErrorResponse> {
    let name = "Sec-WebSocket-Protocol";
    if let Some(wanted) = asked.headers().get(name) {
        assert_eq!(wanted, sotto_protocol::SUB_PROTOCOL);
        answer.headers_mut().insert(name, wanted.clone());
    }
    Ok(answer)
}

/// A listener and its port.
async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (socket, _) = listener.accept().await.unwrap();
    accept_hdr_async(socket, relay_like).await.unwrap()
}

/// A line and the other end of it.
async fn pair(dialer: &WebSocketDialer) -> (Box<dyn Line>, WebSocketStream<TcpStream>) {
    let (listener, port) = listen().await;
    let url = format!("ws://localhost:{port}/");
    let (line, end) = tokio::join!(dialer.connect(&url), accept(&listener));
    (line.unwrap(), end)
}

fn kind<T>(result: Result<T, Error>) -> ErrorKind {
    result.map(drop).unwrap_err().kind()
}

#[tokio::test]
async fn messages_go_both_ways_and_the_largest_fits() {
    let (mut line, mut end) = pair(&WebSocketDialer::new()).await;
    let largest = vec![7; MESSAGE_BYTES_MAX];
    for message in [b"one".to_vec(), Vec::new(), largest.clone()] {
        let (sent, got) = tokio::join!(line.send(message.clone()), end.next());
        sent.unwrap();
        assert_eq!(
            got.unwrap().unwrap(),
            Message::Binary(message.clone().into())
        );
        let back = end.send(Message::Binary(message.clone().into()));
        let (sent, got) = tokio::join!(back, line.receive());
        sent.unwrap();
        assert_eq!(got.unwrap(), Some(message));
    }
    end.close(None).await.unwrap();
    assert_eq!(line.receive().await.unwrap(), None);
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_line() {
    let (mut line, mut end) = pair(&WebSocketDialer::new()).await;
    let too_large = Message::Binary(vec![7; MESSAGE_BYTES_MAX + 1].into());
    let (_, got) = tokio::join!(end.send(too_large), line.receive());
    assert_eq!(kind(got), ErrorKind::NotTheRelay);
}

#[tokio::test]
async fn text_is_not_of_this_protocol() {
    let (mut line, mut end) = pair(&WebSocketDialer::new()).await;
    end.send(Message::Text("hello".into())).await.unwrap();
    assert_eq!(kind(line.receive().await), ErrorKind::NotTheRelay);
}

#[tokio::test]
async fn a_ping_is_answered() {
    let (mut line, mut end) = pair(&WebSocketDialer::new()).await;
    end.send(Message::Ping(Bytes::from_static(b"here")))
        .await
        .unwrap();
    end.send(Message::Binary(Bytes::from_static(b"next")))
        .await
        .unwrap();
    assert_eq!(line.receive().await.unwrap().unwrap(), b"next");
    line.send(b"more".to_vec()).await.unwrap();
    let answer = end.next().await.unwrap().unwrap();
    assert_eq!(answer, Message::Pong(Bytes::from_static(b"here")));
}

#[tokio::test]
async fn a_relay_that_answers_pings_is_kept_and_a_silent_one_is_given_up() {
    let dialer = WebSocketDialer::new().quiet(Duration::from_millis(20));
    let (mut line, mut end) = pair(&dialer).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { line.receive().await.map(|_| ()) });
    // Reading answers pings; each shows that the line was silent and was kept.
    for _ in 0..3 {
        let asked = end.next().await.unwrap().unwrap();
        assert!(matches!(asked, Message::Ping(_)));
    }
    // Not reading answers nothing.
    let given_up = tasks.join_next().await.unwrap().unwrap();
    assert_eq!(kind(given_up), ErrorKind::Unreachable);
}

#[tokio::test]
async fn a_line_dropped_while_it_receives_loses_no_message() {
    let (mut line, mut end) = pair(&WebSocketDialer::new()).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for number in 0..200_u8 {
            end.send(Message::Binary(vec![number; 5_000].into()))
                .await
                .unwrap();
        }
        end
    });
    let mut got = Vec::new();
    while got.len() < 200 {
        tokio::select! {
            biased;
            message = line.receive() => got.push(message.unwrap().unwrap()[0]),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(got, (0..200).collect::<Vec<u8>>());
}

#[tokio::test]
async fn who_speaks_another_protocol_is_no_relay() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ] {
        let (listener, port) = listen().await;
        let url = format!("ws://127.0.0.1:{port}");
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
            socket
        };
        let dialer = WebSocketDialer::new();
        let (line, _socket) = tokio::join!(dialer.connect(&url), serve);
        assert_eq!(kind(line), ErrorKind::NotTheRelay, "{answer}");
    }
    // A WebSocket that does not name ours.
    let (listener, port) = listen().await;
    let url = format!("ws://127.0.0.1:{port}");
    let serve = async {
        let (socket, _) = listener.accept().await.unwrap();
        tokio_tungstenite::accept_async(socket).await
    };
    let dialer = WebSocketDialer::new();
    let (line, _served) = tokio::join!(dialer.connect(&url), serve);
    assert_eq!(kind(line), ErrorKind::NotTheRelay);
}

#[tokio::test]
async fn a_proxy_without_its_relay_and_a_closed_port_are_unreachable() {
    let (listener, port) = listen().await;
    let url = format!("ws://127.0.0.1:{port}");
    let serve = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let answer = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
        socket.write_all(answer).await.unwrap();
        socket
    };
    let dialer = WebSocketDialer::new();
    let (line, _socket) = tokio::join!(dialer.connect(&url), serve);
    assert_eq!(kind(line), ErrorKind::Unreachable);
    drop(listener);
    assert_eq!(kind(dialer.connect(&url).await), ErrorKind::Unreachable);
}

/// The other end of a TLS connection with the test certificate, for `localhost`.
async fn accept_tls(listener: &TcpListener) -> Option<impl AsyncRead + AsyncWrite + Unpin> {
    let chain = CertificateDer::pem_slice_iter(CERTIFICATE)
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(CERTIFICATE_KEY).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    acceptor.accept(socket).await.ok()
}

#[tokio::test]
async fn tls_trusts_a_given_authority_and_no_other() {
    let (listener, port) = listen().await;
    let url = format!("wss://localhost:{port}/");
    let trusting = WebSocketDialer::trusting(AUTHORITY).unwrap();
    let serve = async {
        let stream = accept_tls(&listener).await.unwrap();
        accept_hdr_async(stream, relay_like).await.unwrap()
    };
    let (line, mut end) = tokio::join!(trusting.connect(&url), serve);
    let mut line = line.unwrap();
    line.send(b"sealed".to_vec()).await.unwrap();
    let got = end.next().await.unwrap().unwrap();
    assert_eq!(got, Message::Binary(Bytes::from_static(b"sealed")));

    // The web's roots do not vouch for it, and it does not vouch for another name.
    for (dialer, name) in [
        (WebSocketDialer::new(), "localhost"),
        (trusting, "127.0.0.1"),
    ] {
        let url = format!("wss://{name}:{port}/");
        let (line, served) = tokio::join!(dialer.connect(&url), accept_tls(&listener));
        assert_eq!(kind(line), ErrorKind::Certificate, "{name}");
        assert!(served.is_none());
    }
}
