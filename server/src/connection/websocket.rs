//! WebSocket messages over a metered stream: the only place that names the WebSocket library.
//!
//! Binary messages in and out, pings, and a close with a reason; nothing of the library's defaults.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use sotto_protocol::SUB_PROTOCOL;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::limits::MESSAGE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self};

use super::fragments::Fragmenting;
use super::limits::{
    CLOSE_REASON_BYTES_MAX, FRAGMENT_BYTES, READ_BUFFER_BYTES, WRITE_BUFFER_BYTES,
    WRITE_BUFFER_BYTES_MAX,
};
use super::meter::{LargeSlot, Meter, Metered};

/// Why a connection gives no more messages.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// The peer closed, or the line is gone.
    #[error("the connection is closed")]
    Closed,
    /// Not WebSocket, or not as this protocol uses it.
    #[error("the peer broke the framing")]
    Framing,
    /// A message over its limit.
    #[error("the peer sent more than is allowed")]
    TooLarge,
    /// A large message was not finished in time.
    #[error("the peer did not finish a message")]
    TooSlow,
}

impl SocketError {
    /// Takes the library's error by value: it is not kept, because it may quote what the peer sent.
    fn from_library(error: tungstenite::Error) -> Self {
        use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
        match error {
            tungstenite::Error::ConnectionClosed
            | tungstenite::Error::AlreadyClosed
            | tungstenite::Error::Protocol(ResetWithoutClosingHandshake) => Self::Closed,
            tungstenite::Error::Io(error) => match error.kind() {
                io::ErrorKind::FileTooLarge => Self::TooLarge,
                io::ErrorKind::TimedOut => Self::TooSlow,
                _ => Self::Closed,
            },
            tungstenite::Error::Capacity(_) => Self::TooLarge,
            _ => Self::Framing,
        }
    }
}

/// The library's settings, none of them its default.
pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// Answers a WebSocket request that names the sub-protocol, refuses any other.
#[expect(
    clippy::result_large_err,
    reason = "the library's callback has this type"
)]
fn choose_protocol(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let is_named = request
        .headers()
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == SUB_PROTOCOL);
    if is_named {
        response.headers_mut().insert(
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUB_PROTOCOL),
        );
        Ok(response)
    } else {
        let mut refusal = ErrorResponse::new(Some(format!(
            "this relay speaks the WebSocket sub-protocol {SUB_PROTOCOL}\n"
        )));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        Err(refusal)
    }
}

/// Answers the request to upgrade.
async fn upgrade<S: AsyncRead + AsyncWrite + Unpin + Send>(
    io: S,
) -> Result<WebSocketStream<S>, SocketError> {
    let accepted =
        tokio_tungstenite::accept_hdr_async_with_config(io, choose_protocol, Some(config()));
    // Boxed: the library's future holds its buffers and lives for a moment only.
    Box::pin(accepted).await.map_err(SocketError::from_library)
}

/// Accepts a WebSocket connection.
pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin + Send>(
    io: S,
    slots: Arc<Semaphore>,
) -> Result<(Incoming<S>, Outgoing<S>, Arc<Meter>), SocketError> {
    let (metered, meter) = Metered::new(io, slots);
    let mut socket = upgrade(Fragmenting::new(metered)).await?;
    // The library has refused what came behind the request, so a frame begins here.
    socket.get_mut().begin();
    let (sink, stream) = socket.split();
    let incoming = Incoming {
        stream,
        meter: Arc::clone(&meter),
    };
    Ok((incoming, Outgoing { sink }, meter))
}

/// One message of the peer.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Bytes,
    /// Kept until the request is answered, if the message was large.
    pub(super) slot: Option<LargeSlot>,
}

/// The stream that the library reads and writes.
type Beneath<S> = Fragmenting<Metered<S>>;

/// The half that reads.
pub(super) struct Incoming<S> {
    stream: SplitStream<WebSocketStream<Beneath<S>>>,
    meter: Arc<Meter>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Incoming<S> {
    /// The next binary message. Pings are answered by the library.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Received, SocketError> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    let slot = self.meter.message_done();
                    return Ok(Received { bytes, slot });
                }
                Some(Ok(Message::Ping(payload) | Message::Pong(payload))) => {
                    self.meter.control_done(payload.len());
                }
                Some(Ok(Message::Close(_))) | None => return Err(SocketError::Closed),
                Some(Ok(Message::Text(_) | Message::Frame(_))) => return Err(SocketError::Framing),
                Some(Err(error)) => return Err(SocketError::from_library(error)),
            }
        }
    }

    /// Reads and drops what comes until the peer has answered our close frame.
    pub(super) async fn drain(&mut self) {
        while let Some(Ok(_)) = self.stream.next().await {
            drop(self.meter.message_done());
        }
    }
}

/// The half that writes.
pub(super) struct Outgoing<S> {
    sink: SplitSink<WebSocketStream<Beneath<S>>, Message>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Outgoing<S> {
    /// Writes one binary message; small ones wait in the buffer for [`Self::flush`]. Each fragment
    /// of a large one must go within `fragment_timeout`.
    pub(super) async fn send(
        &mut self,
        message: Bytes,
        fragment_timeout: Duration,
    ) -> Result<(), SocketError> {
        let stalled = |_| SocketError::TooSlow;
        if message.len() <= FRAGMENT_BYTES {
            return timeout(fragment_timeout, self.feed(Message::Binary(message)))
                .await
                .map_err(stalled)?;
        }
        let mut rest = message;
        let mut data = Data::Binary;
        while !rest.is_empty() {
            let fragment = rest.split_to(FRAGMENT_BYTES.min(rest.len()));
            let frame = Frame::message(fragment, OpCode::Data(data), rest.is_empty());
            let written = async {
                self.feed(Message::Frame(frame)).await?;
                self.flush().await
            };
            timeout(fragment_timeout, written)
                .await
                .map_err(stalled)??;
            data = Data::Continue;
        }
        Ok(())
    }

    /// Writes a ping without content.
    pub(super) async fn ping(&mut self) -> Result<(), SocketError> {
        self.feed(Message::Ping(Bytes::new())).await?;
        self.flush().await
    }

    /// Writes out what waits.
    pub(super) async fn flush(&mut self) -> Result<(), SocketError> {
        self.sink.flush().await.map_err(SocketError::from_library)
    }

    /// Writes a close frame.
    pub(super) async fn close(&mut self, end: End) -> Result<(), SocketError> {
        let (code, reason) = end.on_the_wire();
        let reason = reason.get(..CLOSE_REASON_BYTES_MAX).unwrap_or(reason);
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        self.feed(Message::Close(Some(frame))).await?;
        self.flush().await
    }

    async fn feed(&mut self, message: Message) -> Result<(), SocketError> {
        self.sink
            .feed(message)
            .await
            .map_err(SocketError::from_library)
    }
}

/// How a connection ended, as far as the peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// The peer closed, or the line is gone: nobody is left to tell.
    #[error("the peer is gone")]
    Gone,
    /// Bytes that are not an item of this protocol, text messages and broken framing included.
    #[error("the peer sent what is not of this protocol")]
    Malformed,
    /// A message over its limit.
    #[error("the peer sent more than is allowed")]
    TooLarge,
    /// A frame that may not stand here.
    #[error("the peer sent a frame out of order")]
    OutOfOrder,
    /// A transport message that does not open: altered, replayed or injected on the way.
    #[error("a sealed message did not open")]
    NotAuthentic,
    /// The connection handshake took too long.
    #[error("the connection handshake took too long")]
    HandshakeTimeout,
    /// The peer took or sent nothing for too long.
    #[error("the peer stalled")]
    Stalled,
    /// The relay stops.
    #[error("the relay stops")]
    Stopping,
    /// The relay's own fault.
    #[error("the relay failed")]
    Internal,
}

impl End {
    /// Close code of RFC 6455, section 7.4.1, with a reason: the name of the error code, if there is
    /// one.
    fn on_the_wire(self) -> (CloseCode, &'static str) {
        let close_code = match self {
            Self::Gone => CloseCode::Normal,
            Self::Malformed => CloseCode::Unsupported,
            Self::TooLarge => CloseCode::Size,
            Self::OutOfOrder | Self::NotAuthentic => CloseCode::Protocol,
            Self::HandshakeTimeout | Self::Stalled => CloseCode::Policy,
            Self::Stopping => CloseCode::Away,
            Self::Internal => CloseCode::Error,
        };
        let reason = match self {
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Stalled => "stalled",
            Self::Stopping => "restarting",
            _ => self.code().map_or("", ErrorCode::name),
        };
        (close_code, reason)
    }
}

impl From<SocketError> for End {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Closed => Self::Gone,
            SocketError::Framing => Self::Malformed,
            SocketError::TooLarge => Self::TooLarge,
            SocketError::TooSlow => Self::Stalled,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Of a connection that was accepted, not of what it should have been accepted with.
    #[tokio::test]
    async fn no_limit_is_the_librarys_default() {
        let (mut peer, io) = tokio::io::duplex(4_096);
        let request = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: {SUB_PROTOCOL}\r\n\r\n"
        );
        peer.write_all(request.as_bytes()).await.unwrap();
        let socket = upgrade(io).await.unwrap();
        let (ours, theirs) = (*socket.get_config(), WebSocketConfig::default());
        let limits = |of: &WebSocketConfig| {
            [
                Some(of.read_buffer_size),
                Some(of.write_buffer_size),
                Some(of.max_write_buffer_size),
                of.max_message_size,
                of.max_frame_size,
            ]
        };
        let wanted = [
            READ_BUFFER_BYTES,
            WRITE_BUFFER_BYTES,
            WRITE_BUFFER_BYTES_MAX,
            MESSAGE_BYTES_MAX,
            MESSAGE_BYTES_MAX,
        ];
        assert_eq!(limits(&ours), wanted.map(Some));
        for (ours, theirs) in limits(&ours).iter().zip(limits(&theirs)) {
            assert_ne!(*ours, theirs);
        }
        assert!(!ours.accept_unmasked_frames);
    }
}
