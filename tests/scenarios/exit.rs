//! Quick exit: somebody comes into the room. Nothing is left on the device, the other side hears
//! nothing that says why, and return words bring the person back to the same supporter.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::vault::{SharedVault, SqliteVault, VaultKey};
use sotto_client::{
    Admission, Client, ClientOptions, Conversation, Event, ReturnWords, RoomOptions, Standing,
};
use sotto_tests::world::{Network, Person, World, pass};

use crate::desk::{office, seeker_on, sees_ticket, takes};

const KEY: [u8; 32] = [7; 32];
const NOTHING: [PathBuf; 0] = [];

/// A vault as a phone has it.
fn on_disk(folder: &Path) -> SharedVault {
    SharedVault::new(SqliteVault::open(folder, &VaultKey::raw(KEY)).unwrap())
}

/// Every file below a folder, and the folder itself while it is there.
fn everything_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = vec![folder.to_owned()];
    found.extend(entries.map(|entry| entry.unwrap().path()));
    found
}

/// Sam asks at a desk, on this disk, and Ben answers; both have heard each other.
pub(super) async fn in_a_chat(world: &World, folder: &Path) -> (Person, Person) {
    let ben = office(world).await;
    let sam = seeker_on(world, &ben, &on_disk(folder), "Can anybody hear me?").await;
    let ticket = sees_ticket(&ben).await;
    let chat = takes(&ben, ticket.id).await;
    sam.until_standing(Standing::Waiting).await;
    chat.until_standing(Standing::In).await;
    assert_eq!(chat.hears().await.text, "Can anybody hear me?");
    chat.says("I hear you.").await;
    assert_eq!(chat.hears().await.text, "I hear you.");
    assert_eq!(sam.hears_texts(2).await[1], "I hear you.");
    (sam, chat)
}

pub(super) async fn words_of(person: &Person, world: &World) -> ReturnWords {
    let words = person.client.back_up(&world.address()).await.unwrap();
    person.client.backed_up().await.unwrap();
    words
}

async fn comes_back(world: &World, words: &ReturnWords) -> Person {
    let (client, network) = world.device().await;
    let mut conversations = client.come_back(words, &world.address()).await.unwrap();
    let conversation = conversations.remove(0);
    Person {
        client,
        network,
        conversation,
    }
}

pub(super) async fn hears_away(person: &Person) {
    person
        .until("that somebody is away", |event| {
            matches!(event, Event::Away { .. }).then_some(())
        })
        .await;
    let members = person.conversation.members().await.unwrap();
    assert_eq!(members.iter().filter(|one| one.is_away).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_quick_exit_nothing_is_here_and_words_lead_back_to_the_same_supporter() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let vault = folder.path().join("vault");
    let (sam, ben) = in_a_chat(&world, &vault).await;
    let words = words_of(&sam, &world).await;
    sam.says("He is at the door").await;
    assert_eq!(ben.hears_texts(1).await, ["He is at the door"]);
    sam.client.quick_exit().await.unwrap();
    assert_eq!(everything_in(&vault), NOTHING);
    // Whoever still holds a handle holds nothing.
    assert!(sam.client.conversations().is_empty());
    let refused = sam.conversation.send("more").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
    assert!(sam.conversation.history().await.is_err());
    assert!(sam.client.found(world.room("again")).await.is_err());
    assert_eq!(everything_in(&vault), NOTHING);
    // The other side hears that somebody is away, and nothing else.
    hears_away(&ben).await;
    let back = comes_back(&world, &words).await;
    back.until_standing(Standing::Waiting).await;
    back.says("It is me again").await;
    assert_eq!(ben.hears_texts(1).await, ["It is me again"]);
    let members = ben.conversation.members().await.unwrap();
    assert!(members.iter().all(|one| !one.is_away) && members.len() == 2);
    ben.says("Welcome back").await;
    assert_eq!(back.hears_texts(2).await[1], "Welcome back");
    // And on the same device, which is empty.
    back.client.quick_exit().await.unwrap();
    hears_away(&ben).await;
    let network = Network::to(&world.relay);
    let options = ClientOptions::vault(on_disk(&vault)).dialer(Arc::new(network.clone()));
    let client = Client::open(options).await.unwrap();
    assert!(client.conversations().is_empty());
    let mut conversations = client.come_back(&words, &world.address()).await.unwrap();
    let conversation = conversations.remove(0);
    conversation.send("once more").await.unwrap();
    assert_eq!(ben.hears_texts(1).await, ["once more"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_and_not_yet_shown_is_gone_with_a_quick_exit() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (sam, ben) = in_a_chat(&world, &folder.path().join("vault")).await;
    ben.says("Not for other eyes").await;
    sam.until("the text", |event| {
        matches!(event, Event::Message(message) if message.text == "Not for other eyes")
            .then_some(())
    })
    .await;
    for number in 0..3 {
        ben.says(&format!("Nor this {number}")).await;
    }
    pass(Duration::from_secs(5)).await;
    sam.client.quick_exit().await.unwrap();
    assert_eq!(sam.conversation.next_event().await, None);
    assert_eq!(sam.conversation.next_event().await, None);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_while_the_disk_may_still_hold_the_keys_that_sealed_it() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let vault = folder.path().join("vault");
    let (sam, _ben) = in_a_chat(&world, &vault).await;
    pass(Duration::from_secs(60)).await;
    // No file can be removed that is a folder.
    let stuck = vault.join("vault.sqlite-journal");
    std::fs::create_dir(&stuck).unwrap();
    let sizes = sizes_of(&sam, async |sam: &Person| {
        for _ in 0..2 {
            let failed = sam.client.quick_exit().await.unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::VaultIo);
        }
    })
    .await;
    assert_eq!(sizes, [0; 0]);
    assert!(everything_in(&vault).contains(&stuck));
    std::fs::remove_dir(&stuck).unwrap();
    SqliteVault::destroy_in(&vault).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_quick_exit_without_a_line_waits_for_nobody() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let vault = folder.path().join("vault");
    let (sam, ben) = in_a_chat(&world, &vault).await;
    let words = words_of(&sam, &world).await;
    sam.network.cut();
    sam.says("never said").await;
    let before = tokio::time::Instant::now();
    sam.client.quick_exit().await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(everything_in(&vault), NOTHING);
    let back = comes_back(&world, &words).await;
    back.says("It is me").await;
    assert_eq!(ben.hears_texts(1).await, ["It is me"]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_takes_nothing_holds_up_no_quick_exit() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let vault = folder.path().join("vault");
    let (sam, _ben) = in_a_chat(&world, &vault).await;
    // A relay that says nothing any more: the line stands, and nothing is answered.
    sam.network.hold(true);
    sam.says("on its way").await;
    let before = tokio::time::Instant::now();
    sam.client.quick_exit().await.unwrap();
    assert!(before.elapsed() <= Duration::from_millis(600));
    assert_eq!(everything_in(&vault), NOTHING);
}

/// What Sam's device says and hears from here on, by the sizes of messages. The relay's answer and its
/// push come in any order.
async fn sizes_of(sam: &Person, ends: impl AsyncFnOnce(&Person)) -> Vec<usize> {
    sam.network.listen_in();
    ends(sam).await;
    pass(Duration::from_secs(1)).await;
    let heard = sam.network.overheard();
    let mut sizes: Vec<_> = heard.iter().map(Vec::len).collect();
    sizes.sort_unstable();
    sizes
}

#[tokio::test(start_paused = true)]
async fn a_quick_exit_and_an_app_that_is_closed_say_the_same() {
    let world = World::start().await;
    let folders = tempfile::tempdir().unwrap();
    let (sam, ben) = in_a_chat(&world, &folders.path().join("one")).await;
    pass(Duration::from_secs(60)).await;
    let exit = sizes_of(&sam, async |sam: &Person| {
        sam.client.quick_exit().await.unwrap();
    })
    .await;
    hears_away(&ben).await;
    let (sam, ben) = in_a_chat(&world, &folders.path().join("other")).await;
    pass(Duration::from_secs(60)).await;
    let closed = sizes_of(&sam, async |sam: &Person| {
        sam.conversation.step_away().await.unwrap();
        sam.client.close().await;
    })
    .await;
    hears_away(&ben).await;
    // One message leaves the device, and the relay's answer and push may still be heard.
    assert_eq!(exit, closed);
}

#[tokio::test(start_paused = true)]
async fn who_opens_the_app_again_is_there_again_and_says_no_old_away() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let vault = folder.path().join("vault");
    let (sam, ben) = in_a_chat(&world, &vault).await;
    sam.conversation.step_away().await.unwrap();
    sam.client.close().await;
    drop(sam);
    hears_away(&ben).await;
    let open = async || {
        let network = Network::to(&world.relay);
        let options = ClientOptions::vault(on_disk(&vault)).dialer(Arc::new(network.clone()));
        let client = Client::open(options).await.unwrap();
        let conversation: Conversation = client.conversations().remove(0);
        Person {
            client,
            network,
            conversation,
        }
    };
    let sam = open().await;
    let back = |event: &Event| matches!(event, Event::Back { .. }).then_some(());
    ben.until("that somebody is here again", back).await;
    let members = ben.conversation.members().await.unwrap();
    assert!(members.iter().all(|one| !one.is_away));
    // Without a line nothing is said, then or later.
    sam.network.cut();
    pass(Duration::from_secs(1)).await;
    sam.conversation.step_away().await.unwrap();
    sam.client.close().await;
    drop(sam);
    let sam = open().await;
    sam.says("here").await;
    ben.until("a message and no away", |event| match event {
        Event::Message(message) if message.text == "here" => Some(()),
        Event::Away { .. } => panic!("an old away"),
        _ => None,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_exits_while_waiting_in_the_queue_is_waited_for_by_nobody() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let vault = folder.path().join("vault");
    let ben = office(&world).await;
    let sam = seeker_on(&world, &ben, &on_disk(&vault), "hello?").await;
    let ticket = sees_ticket(&ben).await;
    sam.client.quick_exit().await.unwrap();
    assert_eq!(everything_in(&vault), NOTHING);
    pass(Duration::from_secs(1)).await;
    let chat = takes(&ben, ticket.id).await;
    chat.until("that nobody waits", |event| {
        (*event == Event::NotTaken).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn eight_members_hear_who_is_away_and_nine_do_not() {
    let world = World::start().await;
    let options = RoomOptions {
        admission: Admission::Approval,
        ..world.room("Ann")
    };
    let ann = world.founder_of(options, ClientOptions::memory()).await;
    let link = ann.link().await;
    let mut inside = Vec::new();
    let let_in = async || {
        let person = world.knocking("Guest", &link).await;
        let leaf = ann
            .until("a knock", |event| match event {
                Event::Knock { leaf, .. } => Some(*leaf),
                _ => None,
            })
            .await;
        ann.conversation.admit(leaf).await.unwrap();
        person.until_standing(Standing::In).await;
        person
    };
    for _ in 1..8 {
        inside.push(let_in().await);
    }
    pass(Duration::from_secs(60)).await;
    inside[0].conversation.step_away().await.unwrap();
    hears_away(&ann).await;
    inside.push(let_in().await);
    pass(Duration::from_secs(60)).await;
    inside[1].conversation.step_away().await.unwrap();
    inside[1].says("only this").await;
    ann.until("words, and nothing of being away", |event| match event {
        Event::Message(message) if message.text == "only this" => Some(()),
        Event::Away { .. } => panic!("told to nine"),
        _ => None,
    })
    .await;
}
