//! Tickets and letters that nobody answered yet are in the backup: words bring the place in the queue
//! back, and the answer to a letter, whenever it came.

use std::time::Duration;

use sotto_client::{BackupStanding, Client, Event, ReturnWords, Standing};
use sotto_tests::world::{Network, Person, World, pass};

use super::desk::{asking, ends_as, has_asked, is_at, office, place, seeker, sees_words, takes};

const LETTER: &str = "It is three in the morning.";

async fn leaves_letter(world: &World, office: &Person) -> Person {
    let address = office.conversation.desk_address().await.unwrap().unwrap();
    let (client, network) = world.device().await;
    let visit = client.visit(&address).await.unwrap();
    let conversation = client.leave_letter(&visit, asking(LETTER)).await.unwrap();
    let sam = Person {
        client,
        network,
        conversation,
    };
    has_asked(&sam).await;
    sam
}

async fn words_of(client: &Client, world: &World) -> ReturnWords {
    let words = client.back_up(&world.address()).await.unwrap();
    client.backed_up().await.unwrap();
    words
}

/// On an empty device, with words that lead to one ticket.
async fn comes_back(world: &World, words: &ReturnWords) -> Person {
    let (client, network): (Client, Network) = world.device().await;
    let mut found = client.come_back(words, &world.address()).await.unwrap();
    assert_eq!(found.len(), 1);
    let conversation = found.remove(0);
    assert!(conversation.has_ticket().await.unwrap());
    Person {
        client,
        network,
        conversation,
    }
}

/// The chat's other side comes in anew, in place of a leaf that nobody has the keys of but once.
async fn comes_in_anew(chat: &Person, sam: &Person) {
    let returned = chat.until("a return", |event| match event {
        Event::Returned { leaf } => Some(*leaf),
        _ => None,
    });
    let leaf = returned.await;
    let members = sam.conversation.members().await.unwrap();
    assert!(members.iter().any(|one| one.is_me && one.leaf == leaf));
}

/// Both hear each other, and there are two of them.
async fn talk(chat: &Person, sam: &Person) {
    sam.says("I am back").await;
    chat.until("a text", |event| match event {
        Event::Message(message) => (message.text == "I am back").then_some(()),
        _ => None,
    })
    .await;
    chat.says("Welcome").await;
    sam.until("a text", |event| match event {
        Event::Message(message) => (message.text == "Welcome").then_some(()),
        _ => None,
    })
    .await;
    assert_eq!(chat.conversation.members().await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_answered_to_who_came_back_before_or_after_it_was() {
    let world = World::start().await;
    let ann = office(&world).await;
    for came_first in [true, false] {
        let sam = leaves_letter(&world, &ann).await;
        let words = words_of(&sam.client, &world).await;
        sam.client.close().await;
        let early = if came_first {
            Some(comes_back(&world, &words).await)
        } else {
            None
        };
        let letter = sees_words(&ann, LETTER).await;
        let chat = takes(&ann, letter.id).await;
        chat.until_standing(Standing::In).await;
        chat.says("Good morning. I read your letter.").await;
        let sam = match early {
            Some(sam) => sam,
            None => comes_back(&world, &words).await,
        };
        sam.until_standing(Standing::Waiting).await;
        comes_in_anew(&chat, &sam).await;
        talk(&chat, &sam).await;
        // From now on the words lead into the chat.
        sam.client.backed_up().await.unwrap();
        pass(Duration::from_secs(120)).await;
        assert_eq!(sam.client.backup_standing(), BackupStanding::Kept);
        let (client, network) = world.device().await;
        let mut found = client.come_back(&words, &world.address()).await.unwrap();
        let again = Person {
            client,
            network,
            conversation: found.remove(0),
        };
        assert!(found.is_empty() && !again.conversation.has_ticket().await.unwrap());
        again.until_standing(Standing::Waiting).await;
        talk(&chat, &again).await;
    }
}

#[tokio::test(start_paused = true)]
async fn words_keep_the_place_in_the_queue_and_one_device_has_the_answer() {
    let world = World::start().await;
    let ann = office(&world).await;
    let _before = seeker(&world, &ann, "before").await;
    let old = seeker(&world, &ann, "mine").await;
    is_at(&old, place(1)).await;
    let words = words_of(&old.client, &world).await;
    let sam = comes_back(&world, &words).await;
    is_at(&sam, place(1)).await;
    // The old phone is on still, and waits as well.
    let ticket = sees_words(&ann, "mine").await;
    let chat = takes(&ann, ticket.id).await;
    chat.until_standing(Standing::In).await;
    sam.until_standing(Standing::Waiting).await;
    old.until("its end", |event| match event {
        Event::Standing(Standing::Removed | Standing::TurnedAway) => Some(()),
        _ => None,
    })
    .await;
    comes_in_anew(&chat, &sam).await;
    talk(&chat, &sam).await;
}

#[tokio::test(start_paused = true)]
async fn a_quick_exit_leaves_a_letter_where_words_lead_to_it_and_nothing_else_that_waits() {
    let world = World::start().await;
    let ann = office(&world).await;
    let unkept = leaves_letter(&world, &ann).await;
    unkept.client.quick_exit().await.unwrap();
    pass(Duration::from_secs(60)).await;
    assert!(ann.conversation.tickets().await.unwrap().is_empty());

    let waits = seeker(&world, &ann, "now").await;
    let words = words_of(&waits.client, &world).await;
    waits.client.quick_exit().await.unwrap();
    pass(Duration::from_secs(60)).await;
    assert!(ann.conversation.tickets().await.unwrap().is_empty());
    let back = comes_back(&world, &words).await;
    let events = ends_as(&back.conversation, Standing::TurnedAway).await;
    assert!(events.contains(&Event::Unanswered));

    let sam = leaves_letter(&world, &ann).await;
    let words = words_of(&sam.client, &world).await;
    sam.client.quick_exit().await.unwrap();
    let letter = sees_words(&ann, LETTER).await;
    let chat = takes(&ann, letter.id).await;
    chat.until_standing(Standing::In).await;
    let sam = comes_back(&world, &words).await;
    sam.until_standing(Standing::Waiting).await;
    talk(&chat, &sam).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_back_is_in_no_backup() {
    let world = World::start().await;
    let ann = office(&world).await;
    let sam = seeker(&world, &ann, "I should not have").await;
    let words = words_of(&sam.client, &world).await;
    sam.conversation.leave().await.unwrap();
    pass(Duration::from_secs(120)).await;
    assert_eq!(sam.client.backup_standing(), BackupStanding::Kept);
    let (client, _) = world.device().await;
    let found = client.come_back(&words, &world.address()).await.unwrap();
    assert!(found.is_empty());
}
