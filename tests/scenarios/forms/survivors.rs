//! Those who got away.

use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::{
    BadgeAttributes, DeskPlan, Event, MessageId, NewAttachment, OrganisationKey, ReturnWords,
    SafeWord, Safety, Standing, Ticket,
};
use sotto_tests::world::{Person, World};
use tokio::time::timeout;

use super::{
    Town, answers, badge_for, hears_until, is_with, keeps, kept, knocks_when_called, leaf_of,
    person,
};
use crate::decoy::{decoy_words_of, finds_nothing};
use crate::desk::{plan, sees_ticket};
use crate::entering::hears_entering;
use crate::exit::{hears_away, in_a_chat, words_of};

async fn hears_safety(person: &Person, wanted: Safety) {
    let safety = |event: &Event| {
        matches!(event, Event::Safety { safety, .. } if *safety == wanted).then_some(())
    };
    person.until(&format!("{wanted:?}"), safety).await;
}

async fn types(world: &World, words: &ReturnWords, safe: Option<&SafeWord>) -> Person {
    let device = world.device().await;
    let relay = world.address();
    let mut found = device.0.come_back_with(words, safe, &relay).await.unwrap();
    let back = person(device, found.remove(0));
    back.until_standing(Standing::Waiting).await;
    back
}

#[tokio::test(start_paused = true)]
async fn domestic_violence() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let phone = folder.path().join("vault");
    let (sam, ben) = in_a_chat(&world, &phone).await;
    let words = words_of(&sam, &world).await;
    let safe: SafeWord = "the blue teapot".parse().unwrap();
    sam.conversation.agree_safe_word(&safe).await.unwrap();
    hears_safety(&ben, Safety::Agreed).await;
    let decoy = decoy_words_of(&sam.client).await;

    // One gesture: nothing is left on the phone, and the supporter hears nothing that says why.
    sam.client.quick_exit().await.unwrap();
    assert!(!phone.exists());
    assert_eq!(sam.conversation.next_event().await, None);
    hears_away(&ben).await;
    let more = timeout(Duration::from_secs(60), ben.conversation.next_event()).await;
    assert!(!matches!(
        more,
        Ok(Some(Event::Left { .. } | Event::Leaving { .. }))
    ));

    // He makes her tell her words. She tells the others: a place where nothing is and nothing ever was, which
    // looks like what anybody finds who begins. The supporter hears nothing of it.
    let room = finds_nothing(&world, &decoy).await;
    assert!(room.conversations().is_empty());
    let heard = timeout(Duration::from_secs(60), ben.conversation.next_event()).await;
    assert!(!matches!(heard, Ok(Some(Event::Returned { .. }))));

    // He found the words, and not what the two agreed on. He sees nothing of what the supporter sees.
    let he = types(&world, &words, None).await;
    hears_safety(&ben, Safety::Unverified { wrong: 0 }).await;
    let guess: SafeWord = "open up".parse().unwrap();
    he.conversation.give_safe_word(&guess).await.unwrap();
    hears_safety(&ben, Safety::Unverified { wrong: 1 }).await;
    he.says("It is me, where are you now?").await;
    hears_until(&ben, "It is me, where are you now?").await;
    while let Ok(Some(event)) = timeout(Duration::from_secs(60), he.conversation.next_event()).await
    {
        assert!(!matches!(event, Event::Safety { .. }), "{event:?}");
    }
    assert_eq!(kept(&he).await, ["It is me, where are you now?"]);

    // She comes back on another phone: the same supporter, who knows that it is she, and he is out.
    let sam = types(&world, &words, Some(&safe)).await;
    hears_safety(&ben, Safety::Verified).await;
    he.until_standing(Standing::Removed).await;
    sam.says("I am at my sister's.").await;
    hears_until(&ben, "I am at my sister's.").await;
    ben.says("Good.").await;
    hears_until(&sam, "Good.").await;
    assert_eq!(ben.conversation.members().await.unwrap().len(), 2);
}

/// A minute of somebody's voice, as far as anybody here can tell.
fn voice() -> Vec<u8> {
    (0..200_000_u32).map(|at| (at % 251) as u8).collect()
}

async fn speaks(person: &Person, note: &[u8]) -> MessageId {
    let what = NewAttachment::new("voice note.ogg", "audio/ogg");
    person.conversation.attach(what, note).await.unwrap()
}

async fn plays(person: &Person, id: MessageId) -> Vec<u8> {
    let mut sound = Vec::new();
    person.conversation.fetch(id, &mut sound).await.unwrap();
    sound
}

#[tokio::test(start_paused = true)]
async fn refugees() {
    let town = Town::start().await;
    let organisation = OrganisationKey::random().unwrap();
    let us = organisation.id();
    let secret = organisation.secret_text();
    let plan = DeskPlan {
        languages: vec!["prs".into(), "en".into()],
        ..plan()
    };
    let office = town.desk_of(&town.phone(), organisation, plan).await;
    let address = office.conversation.desk_address().await.unwrap().unwrap();
    let visit = town.world.device().await.0.visit(&address).await.unwrap();
    assert_eq!(visit.card().languages(), ["prs", "en"]);
    let ben = town.supporter(&town.phone(), &office, "Ben").await;
    let ticket = Ticket {
        language: Some("prs".into()),
        ..Ticket::default()
    };
    let noor = town.asks(&town.phone(), &office, ticket).await;
    assert_eq!(
        sees_ticket(&ben).await.ticket.language.as_deref(),
        Some("prs")
    );
    let chat = answers(&ben, "Ben", &noor, "").await;
    let note = voice();
    let id = speaks(&noor, &note).await;
    assert_eq!(chat.hears().await.id, id);
    assert!(plays(&chat, id).await == note);
    let words = town.words_of(&noor).await;
    let supporter = leaf_of(&noor, "Ben").await;

    // Another SIM, a borrowed phone, words.
    noor.client.close().await;
    let noor = town.comes_back(&town.phone(), &words).await;
    noor.says("(in Dari) It is me, on my cousin's phone.").await;
    hears_until(&chat, "(in Dari) It is me, on my cousin's phone.").await;
    assert_eq!(leaf_of(&noor, "Ben").await, supporter);
    // Yesterday's voice note is not on it, and nothing pretends that it was; who has it sends it again.
    let gone = noor.conversation.fetch(id, Vec::new()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Invalid);
    keeps(&noor, &["(in Dari) It is me, on my cousin's phone."]).await;
    let again = speaks(&chat, &plays(&chat, id).await).await;
    hears_until(&noor, "").await;
    assert!(plays(&noor, again).await == note);

    // An interpreter, whose badge says so at the door, and who is seen by both from then on.
    let ema = town.supporter(&town.phone(), &office, "Ema").await;
    let of = BadgeAttributes {
        role: "interpreter".into(),
        languages: vec!["prs".into(), "en".into()],
        ..BadgeAttributes::default()
    };
    badge_for(&town, &ema, &secret.parse().unwrap(), &of).await;
    let (chat_of, third) = ((&chat, &ben, &noor), (&ema, "Ema"));
    let called = knocks_when_called(chat_of, third, "an interpreter for Dari", Some(&us));
    let (ema, leaf) = called.await;
    let shown = |event: &Event| match event {
        Event::Badge { leaf: who, badge } if *who == leaf => Some(badge.attributes.clone()),
        _ => None,
    };
    assert_eq!(noor.until("a badge", shown).await, of);
    assert_eq!(noor.conversation.members().await.unwrap().len(), 2);
    noor.conversation.admit(leaf).await.unwrap();
    hears_entering(&noor, leaf).await;
    hears_entering(&chat, leaf).await;
    ema.until_standing(Standing::In).await;
    ema.says("He says that the papers came.").await;
    for person in [&noor, &chat] {
        hears_until(person, "He says that the papers came.").await;
        is_with(person, &["Ben", "Ema", "Guest"]).await;
    }
    keeps(&ema, &["He says that the papers came."]).await;
}
