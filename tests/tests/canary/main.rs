//! No text, name, secret, key or id reaches the relay's folder, its log lines, its metrics, the
//! vault's files or any `Debug` output, with every log line switched on.
//!
//! What is searched for is searched raw, as hexadecimal and as base64 in its three alignments; the
//! same search must first find a control that was planted.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sotto_client::vault::VaultKey;
use sotto_client::{
    Client, ClientOptions, Conversation, Event, JoinOptions, RelayAddress, RoomOptions, Standing,
};
use sotto_server::config::{CreateRule, Settings};
use sotto_server::launch::Launch;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

const TEXTS: [&str; 3] = [
    "the heron waits by the mill pond",
    "seven grey stones under the stairs",
    "tell nobody about the blue door",
];
const NAMES: [&str; 2] = ["Wilhelmina-Quark", "Bartholomew-Zinc"];
const RELAY_FILES: &str = "the relay's files";
const LOG_ID: &str = "a log id";
const CONTROL: &str = "a control that must be found or the search is blind";

/// Everything that is logged, in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The forms in which bytes may stand somewhere.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![
        secret.to_vec(),
        hex::encode(secret).into_bytes(),
        hex::encode_upper(secret).into_bytes(),
    ];
    for skipped in 0..3 {
        let aligned = &secret[skipped..secret.len() - (secret.len() - skipped) % 3];
        forms.push(STANDARD.encode(aligned).into_bytes());
        forms.push(URL_SAFE_NO_PAD.encode(aligned).into_bytes());
    }
    forms
}

fn holds(haystack: &[u8], secret: &[u8]) -> bool {
    forms(secret)
        .iter()
        .any(|form| haystack.windows(form.len()).any(|window| window == form))
}

fn files(folder: &Path, into: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.extend(std::fs::read(&path).unwrap());
        }
    }
}

async fn until(conversation: &Conversation, mut wanted: impl FnMut(&Event) -> bool) {
    while let Some(event) = conversation.next_event().await {
        if wanted(&event) {
            return;
        }
    }
    panic!("the conversation ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_said_or_names_anybody_is_found_anywhere() {
    let lines = Lines::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .init();
    let (folder, vaults) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(CreateRule::DangerousOpen);
    settings.folder = folder.path().join("relay");
    settings.listen = ([127, 0, 0, 1], 0).into();
    settings.admin.enabled = false;
    let relay = Launch {
        settings,
        init: true,
    }
    .launch()
    .await
    .unwrap();
    let (metrics, address): (_, RelayAddress) =
        (relay.metrics.clone(), relay.address.parse().unwrap());
    let shutdown = CancellationToken::new();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(relay.run(shutdown.clone()));

    let open = |name: &str| ClientOptions::folder(vaults.path().join(name), VaultKey::raw([7; 32]));
    let (ann, ben) = (
        Client::open(open("ann")).await.unwrap(),
        Client::open(open("ben")).await.unwrap(),
    );
    let room = ann
        .found(RoomOptions::new(address, NAMES[0]))
        .await
        .unwrap();
    until(&room, |event| *event == Event::Standing(Standing::In)).await;
    let link = room.link().await.unwrap().unwrap();
    let joined = ben
        .join(
            &link,
            &JoinOptions {
                name: NAMES[1].into(),
            },
        )
        .await
        .unwrap();
    until(&joined, |event| *event == Event::Standing(Standing::In)).await;
    for text in TEXTS {
        room.send(text).await.unwrap();
        until(
            &joined,
            |event| matches!(event, Event::Message(message) if message.text == text),
        )
        .await;
    }
    let members = room.members().await.unwrap();
    let history = room.history().await.unwrap();
    let debug = format!(
        "{ann:?} {room:?} {link:?} {members:?} {history:?} {:?}",
        room.id()
    );

    let secrets = link_secrets(&link.to_string());
    let mut relay_files = Vec::new();
    files(folder.path(), &mut relay_files);
    let mut vault_files = Vec::new();
    files(vaults.path(), &mut vault_files);
    ann.close().await;
    ben.close().await;
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
    // Once more, now that everything is written out.
    files(folder.path(), &mut relay_files);
    files(vaults.path(), &mut vault_files);

    tracing::trace!("{CONTROL}");
    let logged = lines.0.lock().unwrap().clone();
    assert!(
        holds(&logged, CONTROL.as_bytes()),
        "every log line is on and kept"
    );
    let logged = String::from_utf8(logged).unwrap().replace(CONTROL, "");
    let places = [
        (RELAY_FILES, relay_files),
        ("the vaults' files", vault_files),
        ("log lines", logged.into_bytes()),
        ("metrics", metrics.render().into_bytes()),
        ("Debug", debug.into_bytes()),
    ];
    for (place, mut bytes) in places {
        for text in TEXTS.iter().chain(&NAMES) {
            assert!(
                !holds(&bytes, text.as_bytes()),
                "{place} hold a text or name"
            );
        }
        for (what, secret) in &secrets {
            // The id of a log is what the relay knows it by; SECURITY.md lists what else it holds.
            if (place, *what) == (RELAY_FILES, LOG_ID) {
                continue;
            }
            assert!(!holds(&bytes, secret), "{place} hold {what}");
        }
        bytes.extend(hex::encode(CONTROL).bytes());
        assert!(
            holds(&bytes, CONTROL.as_bytes()),
            "the search finds what is there"
        );
    }
}

/// The byte strings of 32 bytes in a link: log id, relay identity, secret, founder. The identity is
/// public, and stands in the relay's own key file in no other form.
fn link_secrets(link: &str) -> Vec<(&'static str, Vec<u8>)> {
    let body = URL_SAFE_NO_PAD
        .decode(link.strip_prefix("sotto:1:").unwrap())
        .unwrap();
    let field = |name: &str| {
        let mut key = vec![0x60 | u8::try_from(name.len()).unwrap()];
        key.extend(name.bytes());
        key.extend([0x58, 0x20]);
        let at = body
            .windows(key.len())
            .position(|window| window == key)
            .unwrap()
            + key.len();
        body[at..at + 32].to_vec()
    };
    vec![
        (LOG_ID, field("log")),
        ("a secret", field("secret")),
        ("a leaf", field("founder")),
    ]
}
