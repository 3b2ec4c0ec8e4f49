//! Return words: a person whose device is gone comes back with eight words on an empty one.

use std::sync::Arc;
use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::{
    Admission, BackupStanding, Client, ClientOptions, Event, LeafId, ReturnWords, RoomOptions,
    Standing,
};
use sotto_tests::world::{Network, Person, World, pass};

/// Words for a backup that the relay has.
pub(crate) async fn backs_up(person: &Person, world: &World) -> ReturnWords {
    let words = person.client.back_up(&world.address()).await.unwrap();
    person.client.backed_up().await.unwrap();
    words
}

/// Somebody with nothing but words, on an empty device, in their only conversation.
pub(crate) async fn comes_back(world: &World, words: &ReturnWords) -> Person {
    let (client, network) = world.device().await;
    let mut conversations = client.come_back(words, &world.address()).await.unwrap();
    assert_eq!(conversations.len(), 1);
    Person {
        client,
        network,
        conversation: conversations.remove(0),
    }
}

async fn hears_return(person: &Person, leaf: LeafId) {
    person
        .until("a return", |event| match event {
            Event::Returned { leaf: who } => {
                assert_eq!(*who, leaf);
                Some(())
            }
            Event::Joined { .. } => panic!("shown as somebody else"),
            _ => None,
        })
        .await;
}

async fn until_backup(client: &Client, standing: BackupStanding) {
    for _ in 0..600 {
        if client.backup_standing() == standing {
            return;
        }
        pass(Duration::from_secs(1)).await;
    }
    panic!("the backup is {:?}", client.backup_standing());
}

pub(crate) async fn founder_with_door(world: &World, name: &str) -> Person {
    let options = RoomOptions {
        admission: Admission::Approval,
        ..world.room(name)
    };
    world.founder_of(options, ClientOptions::memory()).await
}

pub(crate) async fn let_in(world: &World, ann: &Person, name: &str) -> Person {
    let person = world.knocking(name, &ann.link().await).await;
    let leaf = ann
        .until("a knock", |event| match event {
            Event::Knock { leaf, was, .. } => {
                assert_eq!(*was, None);
                Some(*leaf)
            }
            _ => None,
        })
        .await;
    ann.conversation.admit(leaf).await.unwrap();
    person.until_standing(Standing::In).await;
    person
}

#[tokio::test(start_paused = true)]
async fn words_on_a_borrowed_phone_bring_back_the_same_person_and_tell_the_old_device() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let ben = world.joiner("Ben", &ann.link().await).await;
    ben.says("before").await;
    assert_eq!(ann.hears_texts(1).await, ["before"]);
    let leaf = ann.leaf_of("Ben").await;
    let words = backs_up(&ben, &world).await;
    // As somebody reads them off paper.
    let words: ReturnWords = words.text().to_uppercase().parse().unwrap();
    let back = comes_back(&world, &words).await;
    hears_return(&ann, leaf).await;
    ben.until_standing(Standing::Removed).await;
    back.says("it is me").await;
    assert_eq!(ann.hears_texts(1).await, ["it is me"]);
    ann.says("welcome back").await;
    assert_eq!(
        back.hears_texts(2).await,
        ["it is me", "welcome back"],
        "and nothing from before"
    );
    assert_eq!(ann.names().await, ["Ann", "Ben"]);
    assert_eq!(back.leaf_of("Ben").await, leaf);
    // The old device does not write over the backup that is now kept elsewhere.
    until_backup(&ben.client, BackupStanding::Elsewhere).await;
    back.client.backed_up().await.unwrap();
    // And the same words work again.
    let third = comes_back(&world, &words).await;
    hears_return(&ann, leaf).await;
    third.says("once more").await;
    assert_eq!(ann.hears_texts(1).await, ["once more"]);
}

#[tokio::test(start_paused = true)]
async fn a_facilitator_comes_back_as_one_behind_a_closed_door_too() {
    let world = World::start().await;
    let ann = founder_with_door(&world, "Ann").await;
    let ben = let_in(&world, &ann, "Ben").await;
    let words = backs_up(&ann, &world).await;
    let leaf = ben.leaf_of("Ann").await;
    ann.client.close().await;
    let ann = comes_back(&world, &words).await;
    hears_return(&ben, leaf).await;
    ann.until_standing(Standing::Waiting).await;
    ben.says("hello again").await;
    assert_eq!(ann.hears_texts(1).await, ["hello again"]);
    let members = ann.conversation.members().await.unwrap();
    let other = members.iter().find(|member| !member.is_me).unwrap();
    ann.conversation.remove(other.leaf).await.unwrap();
    ben.until_standing(Standing::Removed).await;
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_soon_in_the_backup_and_words_work_after_it() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let link = ann.link().await;
    let ben = world.joiner("Ben", &link).await;
    let cay = world.joiner("Cay", &link).await;
    let words = backs_up(&ben, &world).await;
    until_named(&ann, "Cay").await;
    let whom = ann.leaf_of("Cay").await;
    ann.conversation.remove(whom).await.unwrap();
    cay.until_standing(Standing::Removed).await;
    ben.until("a rotation", |event| {
        (*event == Event::Rotated).then_some(())
    })
    .await;
    until_backup(&ben.client, BackupStanding::Due).await;
    ben.client.backed_up().await.unwrap();
    ben.client.close().await;
    let back = comes_back(&world, &words).await;
    back.says("I am here").await;
    assert_eq!(ann.hears_texts(1).await, ["I am here"]);
}

async fn until_named(person: &Person, name: &str) {
    for _ in 0..600 {
        if person.names().await.contains(&name.to_owned()) {
            return;
        }
        pass(Duration::from_secs(1)).await;
    }
    panic!("nobody is called {name}");
}

#[tokio::test(start_paused = true)]
async fn an_old_backup_leads_to_the_door_and_shows_whose_leaf_it_was() {
    let world = World::start().await;
    let ann = founder_with_door(&world, "Ann").await;
    let ben = let_in(&world, &ann, "Ben").await;
    let cay = let_in(&world, &ann, "Cay").await;
    let leaf = cay.leaf_of("Ben").await;
    let words = backs_up(&ben, &world).await;
    ben.client.close().await;
    // A rotation that Ben's backup does not know.
    let whom = ann.leaf_of("Cay").await;
    ann.conversation.remove(whom).await.unwrap();
    cay.until_standing(Standing::Removed).await;
    let back = comes_back(&world, &words).await;
    let new_leaf = ann
        .until("a knock", |event| match event {
            Event::Knock {
                leaf: new,
                was,
                name,
            } => {
                assert_eq!((*was, name.0.as_str()), (Some(leaf), "Ben"));
                Some(*new)
            }
            _ => None,
        })
        .await;
    assert_eq!(ann.conversation.knocks().await.unwrap()[0].was, Some(leaf));
    ann.conversation.admit(new_leaf).await.unwrap();
    back.until_standing(Standing::In).await;
    // The leaf that the lost device had goes, and the secret is renewed.
    ann.until("the old leaf's removal", |event| match event {
        Event::Removed { leaf: gone, .. } if *gone == leaf => Some(()),
        _ => None,
    })
    .await;
    back.says("by the door").await;
    assert_eq!(ann.hears_texts(1).await, ["by the door"]);
    assert_eq!(ann.names().await, ["Ann", "Ben"]);
    // The backup follows: the words lead straight in again.
    until_backup(&back.client, BackupStanding::Due).await;
    back.client.backed_up().await.unwrap();
    back.client.close().await;
    let again = comes_back(&world, &words).await;
    hears_return(&ann, new_leaf).await;
    again.says("straight in").await;
    assert_eq!(ann.hears_texts(1).await, ["straight in"]);
}

#[tokio::test(start_paused = true)]
async fn an_old_backup_without_a_door_asks_for_a_new_link() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let ben = world.joiner("Ben", &ann.link().await).await;
    let words = backs_up(&ben, &world).await;
    ben.client.close().await;
    ann.conversation
        .command(sotto_client::Command::Rotate)
        .await
        .unwrap();
    ann.until("a rotation", |event| {
        (*event == Event::Rotated).then_some(())
    })
    .await;
    let back = comes_back(&world, &words).await;
    back.until("a refusal", |event| {
        (*event == Event::Refused).then_some(())
    })
    .await;
    // It stays in the backup until the person leaves it.
    back.client.backed_up().await.unwrap();
    let third = comes_back(&world, &words).await;
    third.conversation.leave().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn words_that_nobody_made_or_that_were_ended_open_nothing() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let words = backs_up(&ann, &world).await;
    assert_eq!(ann.client.return_words().await.unwrap(), words);
    let again = ann.client.back_up(&world.address()).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
    ann.client.end_backup().await.unwrap();
    assert_eq!(ann.client.backup_standing(), BackupStanding::Absent);
    let gone = ann.client.return_words().await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Invalid);
    let (client, _) = world.device().await;
    let refused = client.come_back(&words, &world.address()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Refused);
    assert!(client.conversations().is_empty());
    // A new backup has new words.
    let new = backs_up(&ann, &world).await;
    assert_ne!(new, words);
    assert_eq!(
        comes_back(&world, &new)
            .await
            .conversation
            .standing()
            .await
            .unwrap(),
        Standing::Joining
    );
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_made_once_the_relay_is_reached_and_over_restarts() {
    let world = World::start().await;
    let vault = sotto_client::vault::SharedVault::new(sotto_client::vault::MemoryVault::new());
    let ann = world
        .founder_of(world.room("Ann"), ClientOptions::vault(vault.clone()))
        .await;
    ann.network.cut();
    let words = ann.client.back_up(&world.address()).await.unwrap();
    pass(Duration::from_secs(3_600)).await;
    assert_eq!(ann.client.backup_standing(), BackupStanding::Due);
    ann.client.close().await;
    let network = Network::to(&world.relay);
    let options = ClientOptions::vault(vault).dialer(Arc::new(network.clone()));
    let client = Client::open(options).await.unwrap();
    assert_eq!(
        client.conversations().len(),
        1,
        "a backup is no conversation"
    );
    client.backed_up().await.unwrap();
    client.close().await;
    let back = comes_back(&world, &words).await;
    back.until_standing(Standing::Waiting).await;
}
