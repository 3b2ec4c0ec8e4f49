//! Which addresses are spoken to, and whom TLS trusts.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::error::{Error, ErrorKind, Result};

/// A relay's address, taken apart.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) uri: Uri,
    pub(super) is_tls: bool,
    host: String,
    port: u16,
}

fn refused(what: &'static str) -> Error {
    Error::new(ErrorKind::Address, what)
}

impl Address {
    /// `wss://host[:port][/path]`, or `ws://` with `localhost` or a loopback address: without TLS a
    /// bystander could see which relay one speaks to, and when.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let uri: Uri = url
            .parse()
            .map_err(|_| refused("this is not the address of a relay"))?;
        let authority = uri
            .authority()
            .ok_or_else(|| refused("the address names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("the address holds a user name"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (is_tls, default_port) = match uri.scheme_str() {
            Some("wss") => (true, 443),
            Some("ws") if is_this_machine(&host) => (false, 80),
            Some("ws") => {
                return Err(refused(
                    "without TLS only a relay on this machine is spoken to; use wss://",
                ));
            }
            _ => return Err(refused("a relay's address begins with wss://")),
        };
        let port = authority.port_u16().unwrap_or(default_port);
        Ok(Self {
            uri,
            is_tls,
            host,
            port,
        })
    }

    /// A TCP connection to it.
    pub(super) async fn connect(&self) -> Result<TcpStream> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(unreachable_relay)?;
        // A resolver may say anything of `localhost`; without TLS only this machine will do.
        let addresses: Vec<SocketAddr> = found
            .filter(|address| self.is_tls || address.ip().is_loopback())
            .collect();
        let socket = TcpStream::connect(addresses.as_slice())
            .await
            .map_err(unreachable_relay)?;
        if socket.set_nodelay(true).is_err() {
            // Small messages only wait a little longer.
            tracing::debug!("a socket without nodelay");
        }
        Ok(socket)
    }
}

fn unreachable_relay(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unreachable, "the relay cannot be reached").because(error)
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// TLS that trusts the web's root certificates.
pub(super) fn web_trust() -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    trust(roots)
}

/// TLS that trusts these authorities (PEM) and no other.
pub(super) fn only_trust(pem: &[u8]) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|_| untrusted("the authority's certificate cannot be read"))?;
        roots.add(certificate).map_err(|error| {
            untrusted("the authority's certificate cannot be used").because(error)
        })?;
    }
    if roots.is_empty() {
        return Err(untrusted("there is no certificate in the authority's file"));
    }
    trust(roots)
}

/// The provider is named, so that another crate of the app cannot change it or leave it undecided.
fn trust(roots: RootCertStore) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| untrusted("TLS could not be set up").because(error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn untrusted(what: &'static str) -> Error {
    Error::new(ErrorKind::Certificate, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_this_machine_is_spoken_to() {
        for url in [
            "ws://localhost:1",
            "ws://LOCALHOST/",
            "ws://127.0.0.1:7",
            "ws://127.8.8.8/path",
            "ws://[::1]:9",
            "wss://relay.example",
            "wss://relay.example:8443/sotto",
        ] {
            assert!(Address::parse(url).is_ok(), "{url}");
        }
        for url in [
            "ws://relay.example",
            "ws://192.168.1.1",
            "ws://0.0.0.0:1",
            "ws://localhost.example",
            "ws://127.0.0.1.example",
            "ws://[::ffff:10.0.0.1]",
            "http://localhost",
            "https://relay.example",
            "relay.example",
            "wss://",
            "wss://user@relay.example",
            "",
        ] {
            let refused = Address::parse(url).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Address, "{url}");
        }
    }

    #[test]
    fn an_authority_must_be_a_certificate() {
        for pem in [
            &b""[..],
            b"nonsense",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let refused = only_trust(pem).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Certificate);
        }
        assert!(web_trust().is_ok());
    }
}
