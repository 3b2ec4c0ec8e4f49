//! The examples of the SDK, as they stand, against a relay on a loopback socket.

#[expect(dead_code, reason = "its main is not called here")]
#[path = "../../client-lib/examples/room.rs"]
mod room;
#[expect(dead_code, reason = "its main is not called here")]
#[path = "../../client-lib/examples/two_people.rs"]
mod two_people;
#[expect(dead_code, reason = "its main is not called here")]
#[path = "../../client-lib/examples/voice_note.rs"]
mod voice_note;

use sotto_client::RelayAddress;
use sotto_server::config::{CreateRule, Settings};
use sotto_server::launch::Launch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Runs this with the address of a relay.
async fn beside_a_relay<T>(run: impl AsyncFnOnce(RelayAddress) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(CreateRule::DangerousOpen);
    settings.folder = folder.path().join("relay");
    settings.listen = ([127, 0, 0, 1], 0).into();
    settings.admin.enabled = false;
    let init = true;
    let relay = Launch { settings, init }.launch().await.unwrap();
    let address = relay.address.parse().unwrap();
    let shutdown = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(relay.run(shutdown.clone()));
    let result = run(address).await;
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
    result
}

#[tokio::test]
async fn two_people_talk() {
    let said = beside_a_relay(async |address| two_people::run(address).await.unwrap()).await;
    assert_eq!(said, ["Hello. I found your link.", "Welcome! How are you?"]);
}

#[tokio::test]
async fn a_room_of_three_becomes_two() {
    let [said, read] = beside_a_relay(async |address| room::run(address).await.unwrap()).await;
    assert_eq!((said, read), (2, 1));
}

#[tokio::test]
async fn a_voice_note_is_listened_to() {
    let heard = beside_a_relay(async |address| voice_note::run(address).await.unwrap()).await;
    assert_eq!(heard, ("How I got home".to_owned(), 300_000));
}
