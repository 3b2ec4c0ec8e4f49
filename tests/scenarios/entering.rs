//! A third person in a desk's chat: who asks to come in, and the seeker's yes.

use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::{Event, Link, OrganisationKey, Standing};
use sotto_tests::world::{Person, World, pass};

use crate::badges::badges_for;
use crate::coming_back::{backs_up, comes_back};
use crate::desk::{office, office_of, seeker, sees_ticket, supporter, takes};

/// A seeker and the supporter who answers, in their chat; and a third one of the team.
struct Talk {
    sam: Person,
    chat: Person,
    ben: Person,
    cay: Person,
}

async fn talk_at(world: &World, ann: &Person) -> Talk {
    let ben = supporter(world, ann, "Ben").await;
    let sam = seeker(world, ann, "I cannot sleep.").await;
    let ticket = sees_ticket(&ben).await;
    let chat = takes(&ben, ticket.id).await;
    sam.until_standing(Standing::Waiting).await;
    chat.until_standing(Standing::In).await;
    assert_eq!(chat.hears().await.text, "I cannot sleep.");
    let cay = supporter(world, ann, "Cay").await;
    keeps_door(&sam).await;
    Talk {
        sam,
        chat,
        ben,
        cay,
    }
}

/// Until the seeker's device has the keys of the chat's door.
pub(crate) async fn keeps_door(person: &Person) {
    for _ in 0..600 {
        if person.conversation.link().await.unwrap().is_some() {
            return;
        }
        pass(Duration::from_secs(1)).await;
    }
    panic!("no door");
}

/// The supporter asks the team; the third one is told where.
async fn called(talk: &Talk, asks: &str) -> Link {
    let team = &talk.ben.conversation;
    talk.chat.conversation.call(team, asks).await.unwrap();
    talk.cay
        .until("a call", |event| match event {
            Event::Called {
                asks: what, link, ..
            } => {
                assert_eq!(what.0, asks);
                Some((**link).clone())
            }
            _ => None,
        })
        .await
}

/// The third one knocks.
async fn knocks(talk: &Talk, link: &Link) -> Person {
    let asked = talk.cay.client.ask_to_enter(link, "Cay", None).await;
    Person {
        client: talk.cay.client.clone(),
        network: talk.cay.network.clone(),
        conversation: asked.unwrap(),
    }
}

pub(crate) async fn sees_knock(person: &Person) -> sotto_client::LeafId {
    person
        .until("a knock", |event| match event {
            Event::Knock { leaf, .. } => Some(*leaf),
            _ => None,
        })
        .await
}

pub(crate) async fn hears_entering(person: &Person, leaf: sotto_client::LeafId) {
    person
        .until("somebody who enters", |event| match event {
            Event::Joined { leaf: who, by } if *who == leaf => {
                assert!(by.is_some());
                Some(())
            }
            _ => None,
        })
        .await;
}

pub(crate) async fn is_named(person: &Person, name: &str) {
    for _ in 0..600 {
        if person.names().await.contains(&name.to_owned()) {
            return;
        }
        pass(Duration::from_secs(1)).await;
    }
    panic!("nobody is called {name}");
}

/// The message that tells what was said before.
pub(crate) async fn is_told(person: &Person) -> String {
    person
        .until("a retelling", |event| match event {
            Event::Message(message) if message.is_retold => Some(message.text.clone()),
            _ => None,
        })
        .await
}

async fn texts(person: &Person) -> Vec<String> {
    let kept = person.conversation.history().await.unwrap();
    kept.into_iter().map(|message| message.text).collect()
}

#[tokio::test(start_paused = true)]
async fn a_third_comes_in_by_the_seekers_yes_is_seen_by_all_and_reads_nothing_before() {
    let world = World::start().await;
    let ann = office(&world).await;
    let talk = talk_at(&world, &ann).await;
    let link = called(&talk, "a supervisor").await;
    let cay = knocks(&talk, &link).await;
    let leaf = sees_knock(&talk.sam).await;
    // The supporter's device sees who asks, and cannot let them in.
    assert_eq!(sees_knock(&talk.chat).await, leaf);
    let refused = talk.chat.conversation.admit(leaf).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed);
    assert_eq!(talk.sam.conversation.members().await.unwrap().len(), 2);
    talk.sam.conversation.admit(leaf).await.unwrap();
    hears_entering(&talk.sam, leaf).await;
    hears_entering(&talk.chat, leaf).await;
    cay.until_standing(Standing::In).await;
    cay.says("Good evening. I only listen.").await;
    for person in [&talk.sam, &talk.chat] {
        assert_eq!(person.hears().await.text, "Good evening. I only listen.");
        assert_eq!(person.names().await, ["Ben", "Cay", "Guest"]);
    }
    assert_eq!(texts(&cay).await, ["Good evening. I only listen."]);
    // Who came has no role, and cannot let in anybody either.
    let members = talk.sam.conversation.members().await.unwrap();
    let third = members.iter().find(|member| member.leaf == leaf).unwrap();
    assert!(!third.facilitates);
}

#[tokio::test(start_paused = true)]
async fn with_what_was_said_the_seekers_own_device_tells_it_and_all_see_what() {
    let world = World::start().await;
    let ann = office(&world).await;
    let talk = talk_at(&world, &ann).await;
    talk.chat.says("Since when?").await;
    assert_eq!(talk.sam.hears_texts(2).await.len(), 2);
    let link = called(&talk, "somebody who speaks Polish").await;
    let cay = knocks(&talk, &link).await;
    let leaf = sees_knock(&talk.sam).await;
    talk.sam.conversation.admit_and_retell(leaf).await.unwrap();
    let told = "Guest: I cannot sleep.\nBen: Since when?";
    for person in [&talk.chat, &talk.sam, &cay] {
        assert_eq!(is_told(person).await, told);
    }
    assert_eq!(texts(&cay).await, [told]);
    let kept = cay.conversation.history().await.unwrap();
    assert!(kept.iter().all(|message| message.is_retold));
}

#[tokio::test(start_paused = true)]
async fn a_warm_hand_over_ends_when_the_new_one_is_there_and_the_old_one_reads_no_more() {
    let world = World::start().await;
    let ann = office(&world).await;
    let talk = talk_at(&world, &ann).await;
    let link = called(&talk, "somebody to take over").await;
    let cay = knocks(&talk, &link).await;
    let leaf = sees_knock(&talk.sam).await;
    talk.sam.conversation.admit(leaf).await.unwrap();
    hears_entering(&talk.chat, leaf).await;
    talk.sam.says("I stay with you both.").await;
    cay.until_standing(Standing::In).await;
    assert_eq!(talk.chat.hears().await.text, "I stay with you both.");
    is_named(&talk.chat, "Cay").await;
    talk.chat.conversation.hand_over(leaf).await.unwrap();
    talk.chat.until_standing(Standing::Left).await;
    for person in [&talk.sam, &cay] {
        person
            .until("a leave", |event| {
                matches!(event, Event::Left { .. }).then_some(())
            })
            .await;
    }
    cay.says("Now it is the two of us.").await;
    assert_eq!(talk.sam.hears().await.text, "Now it is the two of us.");
    let members = talk.sam.conversation.members().await.unwrap();
    assert_eq!(members.len(), 2);
    assert!(members.iter().all(|member| member.facilitates));
    // What is said now is nothing that the old one's device has.
    assert!(talk.chat.conversation.history().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_seekers_no_is_heard_and_nobody_else_says_yes() {
    let world = World::start().await;
    let ann = office(&world).await;
    let talk = talk_at(&world, &ann).await;
    let link = called(&talk, "a supervisor").await;
    let cay = knocks(&talk, &link).await;
    let leaf = sees_knock(&talk.sam).await;
    talk.sam.conversation.turn_away(leaf).await.unwrap();
    cay.until_standing(Standing::TurnedAway).await;
    assert_eq!(talk.chat.conversation.members().await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_asks_shows_a_badge_before_the_seeker_decides() {
    let world = World::start().await;
    let organisation = OrganisationKey::random().unwrap();
    let us = organisation.id();
    let text = organisation.secret_text();
    let ann = office_of(&world, organisation).await;
    let talk = talk_at(&world, &ann).await;
    badges_for(&talk.cay, &text.parse().unwrap()).await;
    let link = called(&talk, "a supervisor").await;
    let asked = talk.cay.client.ask_to_enter(&link, "Cay", Some(&us)).await;
    let leaf = sees_knock(&talk.sam).await;
    let badge = talk
        .sam
        .until("a badge at the door", |event| match event {
            Event::Badge { leaf: who, badge } if *who == leaf => Some((**badge).clone()),
            _ => None,
        })
        .await;
    assert_eq!(badge.attributes.role, "listener");
    let waiting = talk.sam.conversation.knocks().await.unwrap();
    assert_eq!(waiting[0].badge.as_ref().unwrap().id, badge.id);
    talk.sam.conversation.admit(leaf).await.unwrap();
    asked.unwrap().ready().await.unwrap();
    hears_entering(&talk.chat, leaf).await;
    // And the same one stays with them inside, for the supporter's device as well.
    for person in [&talk.sam, &talk.chat] {
        let mut shown = None;
        for _ in 0..600 {
            let members = person.conversation.members().await.unwrap();
            let third = members.into_iter().find(|member| member.leaf == leaf);
            shown = third.and_then(|member| member.badge);
            if shown.is_some() {
                break;
            }
            pass(Duration::from_secs(1)).await;
        }
        assert_eq!(shown.unwrap().id, badge.id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_seeker_who_missed_a_rotation_comes_back_by_words_to_the_same_chat_as_its_host() {
    let world = World::start().await;
    let ann = office(&world).await;
    let talk = talk_at(&world, &ann).await;
    let words = backs_up(&talk.sam, &world).await;
    let old = talk.chat.leaf_of("Guest").await;
    talk.sam.client.close().await;
    talk.chat
        .conversation
        .command(sotto_client::Command::Rotate)
        .await
        .unwrap();
    talk.chat
        .until("a rotation", |event| {
            (*event == Event::Rotated).then_some(())
        })
        .await;
    let sam = comes_back(&world, &words).await;
    // Nobody needs to say yes: it is their chat.
    sam.until_standing(Standing::In).await;
    talk.chat
        .until("the old leaf's removal", |event| match event {
            Event::Removed { leaf, .. } if *leaf == old => Some(()),
            _ => None,
        })
        .await;
    sam.says("It is me again.").await;
    assert_eq!(talk.chat.hears().await.text, "It is me again.");
    assert_eq!(sam.names().await, ["Ben", "Guest"]);
    let members = sam.conversation.members().await.unwrap();
    assert!(members.iter().all(|member| member.facilitates));
    // And it is still theirs to say who comes in.
    keeps_door(&sam).await;
    let back = Talk { sam, ..talk };
    let link = called(&back, "a supervisor").await;
    let cay = knocks(&back, &link).await;
    let leaf = sees_knock(&back.sam).await;
    let refused = back.chat.conversation.admit(leaf).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed);
    back.sam.conversation.admit(leaf).await.unwrap();
    cay.conversation.ready().await.unwrap();
}
