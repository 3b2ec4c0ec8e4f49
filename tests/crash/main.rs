//! A real relay process, killed with SIGKILL while appends are unanswered: what was acknowledged is
//! there, once, in order. A kill proves nothing about power; that the bytes were synced before the
//! answer is another test.
//!
//! The relay process is this test binary itself, see [`relay_process`]. `SOTTO_KILL_ROUNDS=500 cargo
//! test -p sotto-tests --test crash` runs the long loop.

mod full;
mod memory;
mod power;
mod process;
mod queue;

use std::path::PathBuf;
use std::time::Duration;

use sotto_client::{
    Client, ClientOptions, Conversation, Event, JoinOptions, RoomOptions, Standing,
};
use sotto_server::config::{CreateRule, Settings};
use sotto_server::launch::Launch;
use tokio_util::sync::CancellationToken;

use process::RelayProcess;

const FOLDER: &str = "SOTTO_TEST_RELAY_FOLDER";
const LISTEN: &str = "SOTTO_TEST_RELAY_LISTEN";
const ROUNDS: &str = "SOTTO_KILL_ROUNDS";
/// Rounds where nobody says otherwise.
const ROUNDS_DEFAULT: usize = 20;
/// Messages each side says in a round.
const BURST: usize = 40;

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no settings but its environment"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Not a test of its own: with the environment set it is the relay, until it is killed.
#[test]
fn relay_process() {
    let (Some(folder), Some(listen)) = (environment(FOLDER), environment(LISTEN)) else {
        return;
    };
    let mut settings = Settings::new(CreateRule::DangerousOpen);
    settings.folder = PathBuf::from(folder);
    settings.listen = listen.parse().unwrap();
    settings.admin.listen = ([127, 0, 0, 1], 0).into();
    settings.logs.appends_per_minute = 1_000_000;
    settings.connections.requests_per_second = 100_000;
    settings.connections.bytes_per_second = 1 << 30;
    let init = !settings.identity_path().exists();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let relay = Launch { settings, init }.launch().await.unwrap();
        println!("listening {} {}", relay.address, relay.admin.unwrap());
        relay.run(CancellationToken::new()).await.unwrap();
    });
}

async fn until_standing(conversation: &Conversation, standing: Standing) {
    while let Some(event) = conversation.next_event().await {
        if event == Event::Standing(standing) {
            return;
        }
    }
    panic!("the conversation ended");
}

/// Takes texts until `count` were heard.
async fn hear(conversation: &Conversation, count: usize, into: &mut Vec<String>) {
    while into.len() < count {
        match conversation.next_event().await {
            Some(Event::Message(message)) => into.push(message.text),
            Some(_) => {}
            None => panic!("the conversation ended"),
        }
    }
}

/// Where in a round the kill falls: spread over the time that a burst takes, the same every run.
fn kill_after(round: usize) -> Duration {
    Duration::from_millis((round as u64 * 37) % 90)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_entries_survive_kills_once_and_in_order() {
    let rounds = environment(ROUNDS)
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS_DEFAULT);
    let folder = tempfile::tempdir().unwrap();
    let mut relay = RelayProcess::start(folder.path(), ([127, 0, 0, 1], 0).into());
    let (ann, ben) = (
        Client::open(ClientOptions::memory()).await.unwrap(),
        Client::open(ClientOptions::memory()).await.unwrap(),
    );
    let hers = ann
        .found(RoomOptions::new(relay.address.clone(), "Ann"))
        .await
        .unwrap();
    until_standing(&hers, Standing::In).await;
    let link = hers.link().await.unwrap().unwrap();
    let his = ben
        .join(&link, &JoinOptions { name: "Ben".into() })
        .await
        .unwrap();
    until_standing(&his, Standing::In).await;

    let (mut heard_by_ann, mut heard_by_ben, mut unanswered) = (Vec::new(), Vec::new(), 0);
    for round in 0..rounds {
        for n in 0..BURST {
            hers.send(&format!("a {round} {n}")).await.unwrap();
            his.send(&format!("b {round} {n}")).await.unwrap();
        }
        // How far the relay gets is the machine's business; that it is cut off is ours.
        tokio::time::sleep(kill_after(round)).await;
        let listen = relay.kill();
        unanswered += hers.unsent().await.unwrap().len() + his.unsent().await.unwrap().len();
        relay = RelayProcess::start(folder.path(), listen);
        let all = (round + 1) * BURST * 2;
        hear(&hers, all, &mut heard_by_ann).await;
        hear(&his, all, &mut heard_by_ben).await;
    }
    assert!(unanswered > 0, "no kill met an unanswered append");
    assert_eq!(heard_by_ann, heard_by_ben, "both read the log's order");
    for side in ["a", "b"] {
        let expected: Vec<_> = (0..rounds)
            .flat_map(|round| (0..BURST).map(move |n| format!("{side} {round} {n}")))
            .collect();
        let heard: Vec<_> = heard_by_ben
            .iter()
            .filter(|text| text.starts_with(side))
            .cloned()
            .collect();
        assert_eq!(heard, expected, "each once, in the order they were said");
    }
    relay.kill();
}
