//! What supporters note for each other: a room of the team that forgets after a time of its own.

use std::time::Duration;

use sotto_client::{Admission, Event, RoomOptions, Standing};
use sotto_tests::world::{Person, World, pass};

use crate::desk::{office, seeker, sees_ticket, supporter, takes};
use crate::entering::sees_knock;

const DAY: u32 = 24 * 60 * 60;

async fn notes_of(ben: &Person, world: &World) -> Person {
    let options = RoomOptions {
        admission: Admission::Approval,
        keep_seconds: Some(DAY),
        ..world.room("Ben")
    };
    let conversation = ben.client.found(options).await.unwrap();
    while conversation.link().await.unwrap().is_none() {
        pass(Duration::from_secs(1)).await;
    }
    Person {
        client: ben.client.clone(),
        network: ben.network.clone(),
        conversation,
    }
}

async fn texts(person: &Person) -> Vec<String> {
    let history = person.conversation.history().await.unwrap();
    history.into_iter().map(|message| message.text).collect()
}

#[tokio::test(start_paused = true)]
async fn the_teams_notes_are_read_by_the_team_alone_and_are_gone_after_their_own_time() {
    let world = World::start().await;
    let ann = office(&world).await;
    let ben = supporter(&world, &ann, "Ben").await;
    let sam = seeker(&world, &ann, "I cannot sleep.").await;
    let ticket = sees_ticket(&ben).await;
    let chat = takes(&ben, ticket.id).await;
    chat.until_standing(Standing::In).await;
    sam.until_standing(Standing::Waiting).await;

    // The room of notes is founded once; the team is asked into it by name.
    let notes = notes_of(&ben, &world).await;
    notes
        .conversation
        .call(&ben.conversation, "our notes")
        .await
        .unwrap();
    let called = |event: &Event| match event {
        Event::Called { link, .. } => Some((**link).clone()),
        _ => None,
    };
    let link = ann.until("a call", called).await;
    let entering = ann.client.ask_to_enter(&link, "Ann", None).await.unwrap();
    let leaf = sees_knock(&notes).await;
    notes.conversation.admit(leaf).await.unwrap();
    let anns = Person {
        client: ann.client.clone(),
        network: ann.network.clone(),
        conversation: entering,
    };
    anns.until_standing(Standing::In).await;

    let note = "Likes to be asked about her dog first.";
    notes.says(note).await;
    chat.says("Good evening.").await;
    assert_eq!(anns.hears().await.text, note);
    assert_eq!(
        sam.hears_texts(2).await,
        ["I cannot sleep.", "Good evening."]
    );
    assert_eq!(notes.names().await, ["Ann", "Ben"]);
    assert_eq!(sam.client.conversations().len(), 1);

    pass(Duration::from_secs(u64::from(DAY) + 60)).await;
    assert!(texts(&notes).await.is_empty() && texts(&anns).await.is_empty());
    let kept = ["I cannot sleep.", "Good evening."];
    assert_eq!(
        (texts(&chat).await, texts(&sam).await),
        (
            kept.map(String::from).to_vec(),
            kept.map(String::from).to_vec()
        )
    );
}
