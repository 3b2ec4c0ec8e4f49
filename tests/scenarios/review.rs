//! A trainee's chat: what they write is read by somebody of the team before it goes out.

use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::{Event, Standing};
use sotto_tests::world::{Person, World, pass};

use crate::desk::{office, seeker, sees_ticket, supporter, takes};
use crate::entering::sees_knock;

#[tokio::test(start_paused = true)]
async fn what_a_trainee_writes_goes_out_once_it_is_released_and_as_it_was_released() {
    let world = World::start().await;
    let ann = office(&world).await;
    let ben = supporter(&world, &ann, "Ben").await;
    let cay = supporter(&world, &ann, "Cay").await;
    let sam = seeker(&world, &ann, "I cannot sleep.").await;
    let ticket = sees_ticket(&ben).await;
    let chat = takes(&ben, ticket.id).await;
    chat.until_standing(Standing::In).await;
    sam.until_standing(Standing::Waiting).await;
    assert_eq!(chat.hears().await.text, "I cannot sleep.");

    // Ben asks the team for a reader, and Cay comes into a room of the two.
    let side = ben.client.side_room(&ben.conversation, "Ben", "a reader");
    let side = Person {
        client: ben.client.clone(),
        network: ben.network.clone(),
        conversation: side.await.unwrap(),
    };
    let called = |event: &Event| match event {
        Event::Called { asks, link, .. } if asks.0 == "a reader" => Some((**link).clone()),
        _ => None,
    };
    let link = cay.until("a call", called).await;
    let entering = cay.client.ask_to_enter(&link, "Cay", None).await.unwrap();
    let leaf = sees_knock(&side).await;
    side.conversation.admit(leaf).await.unwrap();
    let reader = Person {
        client: cay.client.clone(),
        network: cay.network.clone(),
        conversation: entering,
    };
    reader.until_standing(Standing::In).await;

    let review = chat.conversation.review_in(&side.conversation).await;
    review.unwrap();
    chat.says("Pull yourself together.").await;
    let draft = |event: &Event| match event {
        Event::Draft { id, text, .. } => Some((*id, text.0.clone())),
        _ => None,
    };
    let (id, text) = reader.until("a draft", draft).await;
    assert_eq!(text, "Pull yourself together.");
    pass(Duration::from_secs(60)).await;
    let own = side.conversation.release_draft(id, None).await.unwrap_err();
    assert_eq!(own.kind(), ErrorKind::Invalid);
    let words = "That sounds hard. How long has it been so?";
    let released = reader.conversation.release_draft(id, Some(words)).await;
    released.unwrap();
    assert_eq!(sam.hears_texts(2).await, ["I cannot sleep.", words]);
    // Nothing of the chat but the drafts is in the side-room.
    assert!(reader.conversation.history().await.unwrap().is_empty());
    // What is given back is told to Ben in the chat, and to nobody else.
    chat.says("I know how you feel.").await;
    let (id, _) = reader.until("a draft", draft).await;
    let back = reader.conversation.send_draft_back(id, "Do you?").await;
    back.unwrap();
    let note = |event: &Event| match event {
        Event::DraftSentBack { note, .. } => Some(note.0.clone()),
        _ => None,
    };
    assert_eq!(chat.until("a note", note).await, "Do you?");
    pass(Duration::from_secs(60)).await;
    let kept = sam.conversation.history().await.unwrap();
    let kept: Vec<_> = kept.into_iter().map(|message| message.text).collect();
    assert_eq!(kept, ["I cannot sleep.", words]);
}
