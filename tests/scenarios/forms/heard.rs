//! Heard and not seen: a whole session by the words that the terminal has for it.

use std::collections::BTreeSet;
use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::{
    Again, BadgeAttributes, Event, Helped, Member, NewAttachment, OrganisationKey, Rating,
    SafeWord, Safety, Standing,
};
use sotto_tests::world::{Person, pass};
use tokio::time::timeout;

use super::{Town, badge_for, elsewhere, leaf_of, saying};
use crate::desk::{plan, sees_words};
use crate::entering::{is_named, keeps_door};
use crate::said;
use crate::screen::shown;

/// What is read aloud of an event, by somebody who knows who is here. `None` is a silence.
fn aloud(event: &Event, members: &[Member]) -> Option<String> {
    let name = |leaf| {
        let of = members.iter().find(|one| one.leaf == leaf);
        let name = of.and_then(|one| one.name.clone());
        name.unwrap_or_else(|| "somebody who left".into())
    };
    if let Some(words) = said::last_words(event).or_else(|| said::words_of(event)) {
        return Some(words.into());
    }
    if let Some((_, words)) = said::of_a_ticket(event) {
        return Some(words.into());
    }
    if let Some((leaf, what)) = said::of_somebody(event) {
        return Some(format!("{} {what}", name(leaf)));
    }
    Some(match event {
        Event::Place(place) => said::of_a_place(*place),
        Event::Badge { leaf, badge } => format!("{}: {}", name(*leaf), said::of_a_badge(badge)),
        Event::Message(message) => {
            let attached = message.attachment.as_ref();
            let attached = attached.map(|one| format!("{}, {}", one.name, one.media_type));
            shown(&format!("{}{}", message.text, attached.unwrap_or_default()))
        }
        Event::Edited { text, .. } => shown(&text.0),
        Event::Joined { leaf, .. } | Event::Named { leaf, .. } => name(*leaf),
        Event::Knock { name, .. } => shown(&name.0),
        // What the program does, and says as a sentence of its own.
        Event::Standing(_)
        | Event::Delivery { .. }
        | Event::Attachment { .. }
        | Event::Online(_)
        | Event::Unreached(_)
        | Event::EndsAt { .. }
        | Event::EndsSoon { .. }
        | Event::TimeIsOver
        | Event::ClosesAt { .. }
        | Event::ClosesSoon { .. }
        | Event::Closed
        | Event::Quiet { .. } => {
            format!("{event:?}")
        }
        _ => return None,
    })
}

/// Which kind of event it is.
fn kind(event: &Event) -> String {
    let name = format!("{event:?}");
    let end = name.find(|c: char| !c.is_alphanumeric());
    name[..end.unwrap_or(name.len())].into()
}

/// Everything that this person was told and has not heard yet, read aloud.
async fn hears_all(person: &Person, kinds: &mut BTreeSet<String>) {
    let members = person.conversation.members().await.unwrap();
    let next = || timeout(Duration::from_secs(30), person.conversation.next_event());
    while let Ok(Some(event)) = next().await {
        let line = aloud(&event, &members).unwrap_or_else(|| panic!("no words: {event:?}"));
        assert!(!line.trim().is_empty(), "{event:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        kinds.insert(kind(&event));
    }
}

#[tokio::test(start_paused = true)]
async fn blinded_veterans() {
    let town = Town::start().await;
    let organisation = OrganisationKey::random().unwrap();
    let us = organisation.id();
    let key = organisation.secret_text().parse().unwrap();
    let office = town.desk_of(&town.phone(), organisation, plan()).await;
    let before = town.asks(&town.phone(), &office, saying("before")).await;
    let vet = town
        .asks(&town.phone(), &office, saying("I hear better than I type."))
        .await;
    let mut kinds = BTreeSet::new();
    pass(Duration::from_secs(60)).await;
    before.conversation.leave().await.unwrap();
    pass(Duration::from_secs(60)).await;
    hears_all(&vet, &mut kinds).await;

    // A talk, with all that may happen in one.
    let ticket = sees_words(&office, "I hear better than I type.").await;
    let team = &office.conversation;
    let chat = office.client.take(team, ticket.id, "Ann").await.unwrap();
    let chat = elsewhere(&office, chat);
    is_named(&vet, "Ann").await;
    let of = BadgeAttributes {
        role: "peer".into(),
        been_there: vec!["blast".into()],
        ..BadgeAttributes::default()
    };
    badge_for(&town, &office, &key, &of).await;
    let badge = office.client.show_badge(&chat.conversation, &us);
    badge.await.unwrap();
    let id = chat
        .conversation
        .send("\u{1b}[31mHello in red")
        .await
        .unwrap();
    // A picture that nobody can hear is not sent.
    let silent = NewAttachment::new("way in.png", "image/png");
    let refused = chat.conversation.attach(silent, &[1; 20][..]).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    let chart = NewAttachment {
        text: "The way in: three steps, then a rail on the left.".into(),
        ..NewAttachment::new("way in.png", "image/png")
    };
    chat.conversation
        .attach(chart, &[1; 2_000][..])
        .await
        .unwrap();
    vet.conversation.react(id, "👍").await.unwrap();
    pass(Duration::from_secs(60)).await;
    let kept = vet.conversation.history().await.unwrap();
    let chart = kept.iter().find(|one| one.attachment.is_some()).unwrap();
    let fetched = vet.conversation.fetch(chart.id, Vec::new()).await;
    assert_eq!(fetched.unwrap(), 2_000);
    chat.conversation.react(id, "🙂").await.unwrap();
    chat.conversation.edit(id, "Hello, in words").await.unwrap();
    chat.conversation.delete(id).await.unwrap();
    let safe: SafeWord = "white cane".parse().unwrap();
    chat.conversation.agree_safe_word(&safe).await.unwrap();
    pass(Duration::from_secs(60)).await;

    // Somebody comes in and takes over; the line is lost and comes back.
    keeps_door(&vet).await;
    let bob = town.supporter(&town.phone(), &office, "Bob").await;
    let link = vet.link().await;
    let third = bob.client.ask_to_enter(&link, "Bob", None).await.unwrap();
    let third = elsewhere(&bob, third);
    pass(Duration::from_secs(60)).await;
    let knock = vet.conversation.knocks().await.unwrap()[0].leaf;
    vet.conversation.admit(knock).await.unwrap();
    is_named(&chat, "Bob").await;
    chat.conversation.hand_over(knock).await.unwrap();
    pass(Duration::from_secs(60)).await;
    vet.network.cut();
    pass(Duration::from_secs(5)).await;
    vet.network.mend(&town.world.relay);
    pass(Duration::from_secs(120)).await;
    third.conversation.step_away().await.unwrap();
    pass(Duration::from_secs(60)).await;
    hears_all(&vet, &mut kinds).await;
    hears_all(&third, &mut kinds).await;

    // All of it was told, so that no silence is a success.
    let told = [
        "Attachment",
        "Away",
        "Badge",
        "Deleted",
        "Edited",
        "Joined",
        "Knock",
        "Left",
        "Message",
        "Named",
        "Online",
        "Place",
        "Reacted",
        "RulesChanged",
        "Safety",
        "Standing",
    ];
    for kind in told {
        assert!(kinds.contains(kind), "{kind}: {kinds:?}");
    }
    every_state_has_words(leaf_of(&vet, "Guest").await);
    rates(&vet, &office).await;
}

/// Two questions in words, at the end, from the same app.
async fn rates(vet: &Person, office: &Person) {
    assert!(Rating::HELPED.ends_with('?') && Rating::AGAIN.ends_with('?'));
    let desk = office.conversation.desk_address().await.unwrap().unwrap();
    let visit = vet.client.visit(&desk).await.unwrap();
    let rating = Rating {
        again: Again::Yes,
        early: false,
        helped: Helped::Yes,
    };
    vet.conversation.leave().await.unwrap();
    vet.until_standing(Standing::Left).await;
    assert!(vet.client.rate(&visit, rating).await.unwrap().gone().await);
}

/// Also of what did not happen.
fn every_state_has_words(leaf: sotto_client::LeafId) {
    let ends = [
        Standing::Left,
        Standing::Removed,
        Standing::ShutOut,
        Standing::TurnedAway,
    ];
    let safeties = [
        Safety::Agreed,
        Safety::Verified,
        Safety::Unverified { wrong: 0 },
        Safety::Unverified { wrong: 1 },
        Safety::Unverified { wrong: 3 },
    ];
    let mut events = vec![
        Event::Knocked,
        Event::DeskClosed,
        Event::DeskFull,
        Event::Unanswered,
        Event::NotTaken,
        Event::NoFacilitator,
        Event::NotYetRotated,
        Event::Rotated,
        Event::Expired,
        Event::Refused,
        Event::Silence { since_ms: 0 },
        Event::Unheard { leaf, since_ms: 0 },
        Event::ClockOff { days: 2 },
        Event::Undone { by: leaf },
        Event::FalseSnapshot { by: None },
        Event::HiddenManager { count: 1 },
        Event::LinkSpoiled,
        Event::Leaving { leaf },
        Event::Returned { leaf },
        Event::Removed { leaf, by: leaf },
    ];
    events.extend(ends.map(Event::Standing));
    events.extend(safeties.map(|safety| Event::Safety { leaf, safety }));
    let mut lines = BTreeSet::new();
    for event in &events {
        let words = aloud(event, &[]).unwrap_or_else(|| panic!("no words: {event:?}"));
        assert!(words.contains(' '), "{words}");
        lines.insert(words);
    }
    // No two of them sound the same.
    assert_eq!(lines.len(), events.len());
}
