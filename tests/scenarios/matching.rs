//! Whom a supporter is shown first, by what seekers chose to say: decided on the supporter's device.

use std::time::Duration;

use sotto_client::{AskOptions, Offer, Ticket};
use sotto_tests::world::{Person, World, pass};

use super::desk::{has_asked, is_ready, office};

/// Somebody who asks for this.
async fn asks_for(world: &World, office: &Person, ticket: Ticket) -> Person {
    let address = office.conversation.desk_address().await.unwrap().unwrap();
    let (client, network) = world.device().await;
    let visit = client.visit(&address).await.unwrap();
    let options = AskOptions {
        ticket,
        ..AskOptions::default()
    };
    let conversation = client.ask(&visit, options).await.unwrap();
    let person = Person {
        client,
        network,
        conversation,
    };
    has_asked(&person).await;
    person
}

/// A supporter of the team who offers this.
async fn offers(world: &World, office: &Person, name: &str, offer: Offer) -> Person {
    let ben = world.joiner(name, &office.link().await).await;
    is_ready(&ben).await;
    ben.conversation.duty_for(offer).await.unwrap();
    ben
}

/// The words of the tickets as this supporter sees them, once there are so many.
async fn sees(supporter: &Person, count: usize) -> Vec<String> {
    for _ in 0..100 {
        let tickets = supporter.conversation.tickets().await.unwrap();
        if tickets.len() == count {
            return tickets.into_iter().map(|one| one.ticket.words).collect();
        }
        pass(Duration::from_secs(5)).await;
    }
    panic!("never {count} tickets");
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&one| one.to_owned()).collect()
}

fn wishes(words: &str, topic: &str, language: &str, been_there: &[&str]) -> Ticket {
    let chosen = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty());
    Ticket {
        words: words.into(),
        topic: chosen(topic),
        language: chosen(language),
        been_there: self::words(been_there),
        ..Ticket::default()
    }
}

#[tokio::test(start_paused = true)]
async fn each_supporter_sees_first_whom_they_fit_and_next_best_when_nobody_does() {
    let world = World::start().await;
    let ann = office(&world).await;
    let asked = [
        wishes("first", "school", "en", &[]),
        wishes("second", "grief", "pt", &["lost a parent"]),
        wishes("third", "", "", &[]),
    ];
    let mut waiting = Vec::new();
    for ticket in asked {
        waiting.push(asks_for(&world, &ann, ticket).await);
    }
    let bia = Offer {
        topics: words(&["grief"]),
        languages: words(&["pt-BR"]),
        been_there: words(&["lost a parent"]),
        ..Offer::default()
    };
    let cay = Offer {
        topics: words(&["school"]),
        languages: words(&["en"]),
        ..Offer::default()
    };
    let bia = offers(&world, &ann, "Bia", bia).await;
    let cay = offers(&world, &ann, "Cay", cay).await;
    // Who speaks another language is offered last, and is there all the same.
    assert_eq!(sees(&bia, 3).await, ["second", "third", "first"]);
    assert_eq!(sees(&cay, 3).await, ["first", "third", "second"]);
    // Who said nothing of what they offer sees them as they came.
    assert_eq!(sees(&ann, 3).await, ["first", "second", "third"]);
    // Nobody starves: after a quarter of an hour everybody fits.
    pass(Duration::from_secs(16 * 60)).await;
    assert_eq!(sees(&bia, 3).await, ["first", "second", "third"]);
}

#[tokio::test(start_paused = true)]
async fn who_wants_nobody_from_their_site_is_never_shown_to_who_is_from_there() {
    let world = World::start().await;
    let ann = office(&world).await;
    let near = Offer {
        sites: words(&["Main Street"]),
        ..Offer::default()
    };
    let far = Offer {
        sites: words(&["Harbour"]),
        ..Offer::default()
    };
    let near = offers(&world, &ann, "Ned", near).await;
    let far = offers(&world, &ann, "Fay", far).await;
    let _seeker = asks_for(
        &world,
        &ann,
        Ticket {
            words: "not from my station".into(),
            not: words(&["main street"]),
            ..Ticket::default()
        },
    )
    .await;
    let _other = asks_for(&world, &ann, wishes("anybody", "", "", &[])).await;
    assert_eq!(sees(&far, 2).await, ["not from my station", "anybody"]);
    assert_eq!(sees(&near, 1).await, ["anybody"]);
    // However long it waits.
    pass(Duration::from_secs(60 * 60)).await;
    assert_eq!(sees(&far, 2).await, ["not from my station", "anybody"]);
    assert_eq!(sees(&near, 1).await, ["anybody"]);
}
