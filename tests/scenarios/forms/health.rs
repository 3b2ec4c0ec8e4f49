//! Illness and disability.

use sotto_client::{
    Badge, BadgeAttributes, BadgeState, Command, Event, OrganisationKey, RevokedList, Standing,
};
use sotto_tests::world::Person;

use super::{Town, answers, badge_for, hears_until, is_with, kept, leaf_of, saying};
use crate::desk::{is_at, place, plan};

#[tokio::test(start_paused = true)]
async fn traumatic_brain_injury() {
    let town = Town::start().await;
    let lous = town.phone();
    let ann = town.desk(&town.phone(), plan()).await;
    let before = town.asks(&town.phone(), &ann, saying("before")).await;
    let between = town.asks(&town.phone(), &ann, saying("between")).await;
    let lou = town.asks(&lous, &ann, saying("I lose the thread.")).await;
    is_at(&lou, place(2)).await;

    // Twenty minutes' pause in the queue, the app closed; meanwhile it goes on.
    lou.client.close().await;
    town.minutes(10).await;
    answers(&ann, "Ann", &before, "before").await;
    town.minutes(10).await;
    let lou = town.opens(&lous).await;
    is_at(&lou, place(1)).await;
    between.conversation.leave().await.unwrap();
    between.until_standing(Standing::Left).await;
    is_at(&lou, place(0)).await;

    // Answered, and twenty minutes' pause in the chat.
    let chat = answers(&ann, "Ann", &lou, "I lose the thread.").await;
    chat.says("I am Ann. Take your time.").await;
    hears_until(&lou, "I am Ann. Take your time.").await;
    lou.client.close().await;
    town.minutes(10).await;
    chat.says("We said: you call the ward on Monday.").await;
    town.minutes(10).await;
    let lou = town.opens(&lous).await;
    assert_eq!(
        lou.hears().await.text,
        "We said: you call the ward on Monday."
    );
    // Who is this, and what did we agree: all of it is there to read again, once.
    is_with(&lou, &["Ann", "Guest"]).await;
    assert_eq!(
        kept(&lou).await,
        [
            "I lose the thread.",
            "I am Ann. Take your time.",
            "We said: you call the ward on Monday.",
        ]
    );
    // The other side was not told that anybody had gone, nor was the chat ended for it.
    lou.says("Monday. I wrote it down.").await;
    hears_until(&chat, "Monday. I wrote it down.").await;
    assert_eq!(chat.conversation.members().await.unwrap().len(), 2);
}

/// Until a badge is worth this.
async fn sees(person: &Person, wanted: BadgeState) -> Badge {
    let shown = |event: &Event| match event {
        Event::Badge { badge, .. } if badge.state == wanted => Some((**badge).clone()),
        _ => None,
    };
    person.until(&format!("{wanted:?}"), shown).await
}

/// What the member of this name's badge is worth.
async fn worth(person: &Person, name: &str) -> BadgeState {
    let members = person.conversation.members().await.unwrap();
    let of = members
        .into_iter()
        .find(|one| one.name.as_deref() == Some(name));
    of.unwrap().badge.unwrap().state
}

async fn hears_list(person: &Person, list: &RevokedList) {
    let list = Command::HearRevoked(Box::new(list.clone()));
    person.conversation.command(list).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn trained_specialists() {
    let town = Town::start().await;
    let organisation = OrganisationKey::random().unwrap();
    let us = organisation.id();
    let key: OrganisationKey = organisation.secret_text().parse().unwrap();
    let (bens, sams, anns) = (town.phone(), town.phone(), town.phone());
    let ann = town.desk_of(&anns, organisation, plan()).await;
    let ben = town.supporter(&bens, &ann, "Ben").await;
    let sam = town.asks(&sams, &ann, saying("My heart races.")).await;
    let chat = answers(&ben, "Ben", &sam, "My heart races.").await;
    let of = BadgeAttributes {
        role: "trained peer".into(),
        training: vec!["panic".into()],
        ..BadgeAttributes::default()
    };
    let issued = badge_for(&town, &ben, &key, &of).await;
    ben.client
        .show_badge(&chat.conversation, &us)
        .await
        .unwrap();
    // The badge says for what, and until when; whether it was taken back nobody has said yet.
    let badge = sees(&sam, BadgeState::CannotCheck).await;
    assert_eq!((badge.attributes, badge.day), (of.clone(), issued.day));
    let list = RevokedList::next(&key, None, [], town.now_ms()).unwrap();
    hears_list(&sam, &list).await;
    sees(&sam, BadgeState::Valid).await;

    // Its week is over, and it was not renewed.
    for client in [&sam.client, &ben.client, &ann.client] {
        client.close().await;
    }
    town.days(issued.day + 1 - town.today()).await;
    let (sam, chat) = (town.opens(&sams).await, town.opens(&bens).await);
    assert_eq!(worth(&sam, "Ben").await, BadgeState::Expired);
    let issued = badge_for(&town, &chat, &key, &of).await;
    chat.client
        .show_badge(&chat.conversation, &us)
        .await
        .unwrap();
    sees(&sam, BadgeState::CannotCheck).await;
    let list = RevokedList::next(&key, Some(&list), [], town.now_ms()).unwrap();
    hears_list(&sam, &list).await;
    sees(&sam, BadgeState::Valid).await;

    // Taken back: before the next message is shown, the badge is worth nothing.
    let list = RevokedList::next(&key, Some(&list), [issued], town.now_ms()).unwrap();
    hears_list(&sam, &list).await;
    chat.says("It is nothing, I am still here.").await;
    let first = sam.until("a message or a badge", |event| match event {
        Event::Message(_) => Some(None),
        Event::Badge { badge, .. } => Some(Some(badge.state)),
        _ => None,
    });
    assert_eq!(first.await, Some(BadgeState::Revoked));
    hears_until(&sam, "It is nothing, I am still here.").await;
    assert_eq!(worth(&sam, "Ben").await, BadgeState::Revoked);

    // And from the same day no new chat reaches this person.
    let ann = town.opens_team(&anns).await;
    ann.conversation
        .remove(leaf_of(&ann, "Ben").await)
        .await
        .unwrap();
    let removed = |event: &Event| (*event == Event::DeskReady).then_some(());
    ann.until("a card of its own", removed).await;
    town.asks(&town.phone(), &ann, saying("Mine races, too."))
        .await;
    let team = chat.client.conversations().into_iter();
    for room in team.filter(|room| room.id() != chat.conversation.id()) {
        assert!(room.duty(true).await.is_err() || room.tickets().await.unwrap().is_empty());
    }
    ann.conversation.duty(true).await.unwrap();
    crate::desk::sees_words(&ann, "Mine races, too.").await;
}
