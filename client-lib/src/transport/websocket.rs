//! WebSocket over TCP or TLS (RFC 6455, rustls).

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use sotto_protocol::SUB_PROTOCOL;
use sotto_protocol::limits::MESSAGE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::TlsError;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message};
use tokio_tungstenite::{
    Connector, WebSocketStream, client_async_tls_with_config, client_async_with_config,
};

use super::address::{Address, only_trust, web_trust};
use super::{Dial, Line, Pending};
use crate::error::{Error, ErrorKind, Result};
use crate::link::RelayAddress;

/// The read buffer: one message of the smallest class and its frame.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Longer messages are sent in fragments of this size (RFC 6455, section 5.4): the library keeps the
/// buffer that the longest frame needed for as long as the connection lives.
const FRAGMENT_BYTES: usize = 16 * 1024;
/// Sent bytes that may wait in memory: a fragment, and the library's own answers to pings.
const WRITE_BUFFER_BYTES_MAX: usize = 2 * FRAGMENT_BYTES;
/// How long resolving, connecting, TLS and the upgrade may take together, over Tor too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// After so long without a word the relay is asked for one, and after as long again given up.
/// Shorter than what carriers give an idle line.
const QUIET: Duration = Duration::from_secs(45);

/// Dials `wss://` with web roots or a given authority, and `ws://` to this machine only.
///
/// TLS only hides from bystanders which relay one speaks to and when: the relay proves its identity
/// inside, with the key that the link names.
#[derive(Clone)]
pub struct WebSocketDialer {
    tls: Option<Arc<ClientConfig>>,
    quiet: Duration,
}

impl fmt::Debug for WebSocketDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebSocketDialer")
    }
}

impl Default for WebSocketDialer {
    fn default() -> Self {
        Self {
            tls: None,
            quiet: QUIET,
        }
    }
}

impl WebSocketDialer {
    /// Trusts the web's root certificates.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts only these authorities (PEM).
    ///
    /// # Errors
    /// [`ErrorKind::Certificate`] if there is no certificate in `pem`.
    pub fn trusting(pem: &[u8]) -> Result<Self> {
        Ok(Self {
            tls: Some(only_trust(pem)?),
            ..Self::default()
        })
    }

    /// Asks a relay for a word after so long without one, and gives it up after as long again.
    #[must_use]
    pub const fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    /// Connects to a URL.
    pub(super) async fn connect(&self, url: &str) -> Result<Box<dyn Line>> {
        let address = Address::parse(url)?;
        timeout(CONNECT_TIMEOUT, self.open(&address))
            .await
            .map_err(|late| {
                Error::new(ErrorKind::Unreachable, "the relay did not answer in time").because(late)
            })?
    }

    async fn open(&self, address: &Address) -> Result<Box<dyn Line>> {
        let mut request = address.uri.clone().into_client_request().map_err(sorted)?;
        request.headers_mut().insert(
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUB_PROTOCOL),
        );
        let connector = match (&self.tls, address.is_tls) {
            (_, false) => Connector::Plain,
            (Some(tls), true) => Connector::Rustls(Arc::clone(tls)),
            (None, true) => Connector::Rustls(web_trust()?),
        };
        let socket = address.connect().await?;
        // The library refuses an answer that names another sub-protocol, or none.
        let (stream, _) =
            client_async_tls_with_config(request, socket, Some(config()), Some(connector))
                .await
                .map_err(sorted)?;
        Ok(Box::new(WebSocketLine::new(stream, self.quiet)))
    }
}

/// A line over a stream that leads to a relay already, such as one within this process: the upgrade,
/// and no TLS.
///
/// # Errors
/// [`ErrorKind::Unreachable`], [`ErrorKind::NotTheRelay`].
pub async fn line_over<S>(stream: S) -> Result<Box<dyn Line>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut request = "ws://localhost/".into_client_request().map_err(sorted)?;
    request.headers_mut().insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(SUB_PROTOCOL),
    );
    let upgrade = client_async_with_config(request, stream, Some(config()));
    let (stream, _) = upgrade.await.map_err(sorted)?;
    Ok(Box::new(WebSocketLine::new(stream, QUIET)))
}

pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// Sorts what the library says by what one can do about it. What it says may hold an address: that
/// stays a source and out of our texts.
fn sorted(error: WsError) -> Error {
    let (kind, what) = match &error {
        WsError::Io(io) if is_certificate(io) => (
            ErrorKind::Certificate,
            "the relay's certificate is not one that is trusted",
        ),
        WsError::Tls(TlsError::InvalidDnsName) | WsError::Url(_) => {
            (ErrorKind::Address, "this is not the address of a relay")
        }
        WsError::Tls(_) => (
            ErrorKind::Certificate,
            "the relay's certificate is not one that is trusted",
        ),
        WsError::Http(response) if !response.status().is_server_error() => {
            (ErrorKind::NotTheRelay, "who answers is no relay")
        }
        WsError::Capacity(_) | WsError::Utf8(_) | WsError::Protocol(_) => (
            ErrorKind::NotTheRelay,
            "who answers does not keep to the protocol",
        ),
        _ => (ErrorKind::Unreachable, "the relay cannot be reached"),
    };
    Error::new(kind, what).because(error)
}

fn is_certificate(error: &std::io::Error) -> bool {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

impl Dial for WebSocketDialer {
    fn dial<'a>(&'a self, address: &'a RelayAddress) -> Pending<'a, Result<Box<dyn Line>>> {
        Box::pin(self.connect(address.url()))
    }
}

pub(super) struct WebSocketLine<S> {
    stream: WebSocketStream<S>,
    quiet: Duration,
    /// When the silence has lasted too long.
    silent_at: Instant,
    /// Asked for a word since the last.
    asked: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> WebSocketLine<S> {
    fn new(stream: WebSocketStream<S>, quiet: Duration) -> Self {
        Self {
            stream,
            quiet,
            silent_at: Instant::now() + quiet,
            asked: false,
        }
    }

    /// The next message, kept in the library until it is whole: dropping this loses nothing.
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let Ok(message) = timeout_at(self.silent_at, self.stream.next()).await else {
                self.ask().await?;
                continue;
            };
            self.asked = false;
            self.silent_at = Instant::now() + self.quiet;
            match message {
                None | Some(Ok(Message::Close(_))) => return Ok(None),
                Some(Ok(Message::Binary(message))) => return Ok(Some(message.into())),
                // The library answers pings with the next read or write.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(_)) => {
                    return Err(Error::new(
                        ErrorKind::NotTheRelay,
                        "the relay sent something that is no binary message",
                    ));
                }
                Some(Err(error)) => return Err(sorted(error)),
            }
        }
    }

    /// Asks a silent relay for a word; gives it up if it was asked before.
    async fn ask(&mut self) -> Result<()> {
        let silent = || Error::new(ErrorKind::Unreachable, "the relay has fallen silent");
        if self.asked {
            return Err(silent());
        }
        self.asked = true;
        self.silent_at = Instant::now() + self.quiet;
        let ping = self.stream.send(Message::Ping(Bytes::new()));
        timeout(self.quiet, ping)
            .await
            .map_err(|_| silent())?
            .map_err(sorted)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Line for WebSocketLine<S> {
    fn send(&mut self, message: Vec<u8>) -> Pending<'_, Result<()>> {
        Box::pin(async move {
            let mut rest = Bytes::from(message);
            let mut data = Data::Binary;
            loop {
                let fragment = rest.split_to(FRAGMENT_BYTES.min(rest.len()));
                let is_last = rest.is_empty();
                let frame = Frame::message(fragment, OpCode::Data(data), is_last);
                let sent = self.stream.send(Message::Frame(frame)).await;
                sent.map_err(sorted)?;
                if is_last {
                    return Ok(());
                }
                data = Data::Continue;
            }
        })
    }

    fn receive(&mut self) -> Pending<'_, Result<Option<Vec<u8>>>> {
        Box::pin(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_the_librarys() {
        let (ours, theirs) = (config(), WebSocketConfig::default());
        assert_ne!(ours.read_buffer_size, theirs.read_buffer_size);
        assert_ne!(ours.write_buffer_size, theirs.write_buffer_size);
        assert_ne!(ours.max_write_buffer_size, theirs.max_write_buffer_size);
        assert_ne!(ours.max_message_size, theirs.max_message_size);
        assert_ne!(ours.max_frame_size, theirs.max_frame_size);
    }
}
