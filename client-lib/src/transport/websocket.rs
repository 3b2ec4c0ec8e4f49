//! WebSocket over TCP or TLS (RFC 6455, rustls).

use core::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use sotto_protocol::SUB_PROTOCOL;
use sotto_protocol::limits::MESSAGE_BYTES_MAX;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};

use super::{Dial, Line, Pending};
use crate::error::{Error, ErrorKind, Result};
use crate::link::RelayAddress;

/// The read buffer: one message of the smallest class and its frame.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Sent messages that may wait in memory: two full appends.
const WRITE_BUFFER_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// Dials `wss://` with web roots or a given authority, and `ws://` to this machine only.
#[derive(Clone, Default)]
pub struct WebSocketDialer {
    tls: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for WebSocketDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebSocketDialer")
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
        let refused = || {
            Error::new(
                ErrorKind::Certificate,
                "the authority's certificate cannot be read",
            )
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| refused())?;
            roots.add(certificate).map_err(|_| refused())?;
        }
        if roots.is_empty() {
            return Err(refused());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| refused())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: Some(Arc::new(config)),
        })
    }

    async fn connect(&self, address: &RelayAddress) -> Result<Box<dyn Line>> {
        let refused = || {
            Error::new(
                ErrorKind::Address,
                "a relay's address begins with wss://, or with ws:// for one on this machine",
            )
        };
        let mut request = address.url().into_client_request().map_err(|_| refused())?;
        let host = request.uri().host().unwrap_or_default().to_owned();
        if request.uri().scheme_str() != Some("wss") && !is_this_machine(&host) {
            return Err(refused());
        }
        request.headers_mut().insert(
            "Sec-WebSocket-Protocol",
            HeaderValue::from_static(SUB_PROTOCOL),
        );
        let connector = self.tls.clone().map(Connector::Rustls);
        let (stream, _) = connect_async_tls_with_config(request, Some(config()), true, connector)
            .await
            .map_err(|error| unreachable_relay(&error))?;
        Ok(Box::new(WebSocketLine { stream }))
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

fn unreachable_relay(error: &WsError) -> Error {
    match error {
        WsError::Tls(_) => Error::new(
            ErrorKind::Certificate,
            "the relay's certificate is not one that is trusted",
        ),
        // What the library says may hold an address; it stays out of our errors.
        _ => Error::new(ErrorKind::Unreachable, "the relay cannot be reached"),
    }
}

impl Dial for WebSocketDialer {
    fn dial<'a>(&'a self, address: &'a RelayAddress) -> Pending<'a, Result<Box<dyn Line>>> {
        Box::pin(self.connect(address))
    }
}

struct WebSocketLine {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Line for WebSocketLine {
    fn send(&mut self, message: Vec<u8>) -> Pending<'_, Result<()>> {
        Box::pin(async move {
            let sent = self.stream.send(Message::Binary(message.into())).await;
            sent.map_err(|error| unreachable_relay(&error))
        })
    }

    fn receive(&mut self) -> Pending<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move {
            loop {
                match self.stream.next().await {
                    None | Some(Ok(Message::Close(_))) => return Ok(None),
                    Some(Ok(Message::Binary(message))) => return Ok(Some(message.into())),
                    // Pings are answered by the library with the next read or write.
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(_)) => {
                        return Err(Error::new(
                            ErrorKind::NotTheRelay,
                            "the relay sent something that is no binary message",
                        ));
                    }
                    Some(Err(error)) => return Err(unreachable_relay(&error)),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_connections_stay_on_this_machine() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "relay.example",
            "10.0.0.1",
            "localhost.example",
            "0.0.0.0",
            "",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

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
