//! A relay behind TLS with an authority of its own, and addresses without TLS.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::running::{Running, done, path, relay};

/// Where the SDK keeps what its own tests of TLS need.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/transport/tests");

/// Takes TLS off in front of a relay, as a proxy does, for `localhost`. Runs as long as the runtime.
fn terminator(runtime: &Runtime, address: &str) -> String {
    let (url, identity) = address.split_once('#').expect("an identity");
    let relay = url.trim_start_matches("ws://").trim_end_matches('/');
    let relay = relay.to_owned();
    let read = |name: &str| std::fs::read(Path::new(KEPT).join(name)).expect("a file");
    let chain = CertificateDer::pem_slice_iter(&read("certificate.pem"))
        .collect::<Result<Vec<_>, _>>()
        .expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(&read("certificate.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a server");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let handle = runtime.handle().clone();
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, relay) = (acceptor.clone(), relay.clone());
            handle.spawn(async move {
                // Who does not trust it hangs up.
                let mut outside = acceptor.accept(socket).await?;
                let mut inside = TcpStream::connect(relay).await?;
                copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    format!("wss://localhost:{port}/#{identity}")
}

#[test]
fn a_relay_behind_tls_is_spoken_to_under_its_own_authority_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, ben] = ["ana", "ben"].map(|name| path(folder.path(), name));
    let (_relay, inner) = relay();
    let runtime = Runtime::new().expect("a runtime");
    let address = terminator(&runtime, &inner);
    let [good, other, none] = ["authority.pem", "stranger.pem", "certificate.key"]
        .map(|name| path(Path::new(KEPT), name));
    let new = |folder: &str, address: &str, more: &[&str]| {
        let new = [
            "room", "new", "--name", "Ana", "--relay", address, "--folder", folder,
        ];
        // It would outlast the test if it waited instead of saying what is wrong.
        Running::start(&[&new[..], &["--patience", "3600"], more].concat())
    };
    let by_number = address.replace("localhost", "127.0.0.1");
    for (at_row, (address, more)) in [
        (&address, &[][..]),
        (&address, &["--authority", &other]),
        (&by_number, &["--authority", &good]),
        (&address, &["--authority", &none]),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = path(folder.path(), &at_row.to_string());
        let mut refused = new(&folder, address, more);
        let last = refused.last();
        let error = &last["error"];
        assert_eq!(
            (refused.code(), &error["kind"]),
            (Some(3), &"certificate".into()),
            "{more:?}: {last}"
        );
        let said = error["message"].as_str().expect("words");
        assert!(said.contains("certificate"), "{said}");
        let next = error["next"].as_str().expect("what to do");
        assert!(next.contains("--authority"), "{next}");
    }
    let mut room = new(&ana, &address, &["--authority", &good]);
    let link = room.line("link")["link"].clone();
    let link = link.as_str().expect("a link");
    let join = [
        "room",
        "join",
        link,
        "--name",
        "Ben",
        "--folder",
        &ben,
        "--authority",
        &good,
    ];
    assert_eq!(done(&join).0, Some(0));
    let [mut first, mut second] = [&ana, &ben]
        .map(|folder| Running::start(&["chat", "--folder", folder, "--authority", &good]));
    first.type_line("through the proxy");
    let heard = second.line_where("message", |line| line["mine"] == false);
    assert_eq!(heard["text"], "through the proxy");
    drop((first, second));
    // A chat that was fine before says so at once when its authority is no longer named.
    let mut blind = Running::start(&["chat", "--folder", &ben]);
    blind.line_where("note", |line| {
        line["text"]
            .as_str()
            .is_some_and(|text| text.contains("certificate") && text.contains("--authority"))
    });
}

#[test]
fn beyond_this_machine_nothing_is_spoken_to_without_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_relay, inner) = relay();
    let identity = inner.split_once('#').expect("an identity").1;
    for host in ["192.0.2.1:7700", "relay.example", "[2001:db8::1]:7700"] {
        let address = format!("ws://{host}/#{identity}");
        let ana = path(folder.path(), "ana");
        for verb in [
            &["room", "new", "--name", "Ana", "--relay", &address][..],
            &["inbox", "--relay", &address],
            &["words", "new", "--relay", &address],
        ] {
            let (code, refused) = done(&[verb, &["--folder", &ana]].concat());
            let message = refused["error"]["message"].as_str().expect("words");
            assert_eq!(code, Some(2), "{host}: {refused}");
            assert!(message.contains("without TLS") && message.contains("wss://"));
        }
        assert!(!Path::new(&ana).exists(), "nothing is made");
    }
}
