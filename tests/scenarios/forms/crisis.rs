//! When it is urgent: a professional who comes in while the peer stays, and a crew after a bad call.

use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::{BadgeAttributes, Command, Event, LeafId, OrganisationKey, Standing};
use sotto_tests::world::{Person, pass};
use tokio::time::Instant;

use super::{
    Town, answers, badge_for, hears_until, is_with, keeps, kept, knocks_when_called, leaf_of,
    saying,
};
use crate::desk::plan;

/// Who presses the button is promised somebody within so long.
const PROMISED: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn peer_counselling_in_suicide_prevention() {
    let town = Town::start().await;
    let organisation = OrganisationKey::random().unwrap();
    let us = organisation.id();
    let secret = organisation.secret_text();
    let office = town.desk_of(&town.phone(), organisation, plan()).await;
    let peer = town.supporter(&town.phone(), &office, "Joe").await;
    let kay = town.supporter(&town.phone(), &office, "Kay").await;
    let of = BadgeAttributes {
        role: "crisis professional".into(),
        ..BadgeAttributes::default()
    };
    badge_for(&town, &kay, &secret.parse().unwrap(), &of).await;
    let sam = town
        .asks(&town.phone(), &office, saying("I have a plan."))
        .await;
    let chat = answers(&peer, "Joe", &sam, "I have a plan.").await;

    let (guest, joe) = (leaf_of(&sam, "Guest").await, leaf_of(&sam, "Joe").await);
    let pressed = Instant::now();
    let third = (&kay, "Kay");
    let called = knocks_when_called((&chat, &peer, &sam), third, "a crisis", Some(&us));
    let (kay, leaf) = called.await;
    let people = [(guest, "Guest"), (joe, "Joe"), (leaf, "Kay")];
    // Nobody can be left with somebody who is not there yet.
    let early = chat.conversation.hand_over(leaf).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Invalid);
    chat.says("Kay may come in if you say so. I stay.").await;
    sam.conversation.admit(leaf).await.unwrap();
    kay.until_standing(Standing::In).await;
    kay.says("I am Kay. I am here.").await;
    hears_until(&chat, "I am Kay. I am here.").await;
    assert!(pressed.elapsed() <= PROMISED, "{:?}", pressed.elapsed());
    assert_eq!(chat.conversation.members().await.unwrap().len(), 3);
    // Kay reads what was said since the yes, and nothing before.
    keeps(&kay, &["I am Kay. I am here."]).await;
    chat.conversation.hand_over(leaf).await.unwrap();
    chat.until_standing(Standing::Left).await;
    kay.says("Now it is the two of us.").await;

    let steps = steps_until(&sam, people, "Now it is the two of us.").await;
    let wanted = [
        "a badge: crisis professional",
        "Kay is in, let in by Guest",
        "I am Kay. I am here.",
        "another rule",
        "Joe left",
        "Now it is the two of us.",
    ];
    let mut steps = steps.iter();
    for step in wanted {
        assert!(steps.any(|told| told == step), "{step}: not, or too late");
    }
    is_with(&sam, &["Guest", "Kay"]).await;
    let members = sam.conversation.members().await.unwrap();
    assert!(members.iter().all(|member| member.facilitates));
}

/// What a person is told of these people, in its order, until this is said.
async fn steps_until(person: &Person, people: [(LeafId, &str); 3], text: &str) -> Vec<String> {
    let name = |leaf| {
        let known = people.iter().find(|(of, _)| *of == leaf);
        known.map_or("somebody else", |(_, name)| name)
    };
    let mut steps = Vec::new();
    loop {
        let event = person.conversation.next_event().await.unwrap();
        steps.push(match event {
            Event::Badge { badge, .. } => format!("a badge: {}", badge.attributes.role),
            Event::Joined { leaf, by } => {
                format!(
                    "{} is in, let in by {}",
                    name(leaf),
                    by.map_or("nobody", name)
                )
            }
            Event::Message(message) => message.text,
            Event::RulesChanged { .. } => "another rule".into(),
            Event::Left { leaf } => format!("{} left", name(leaf)),
            _ => continue,
        });
        if steps.last().is_some_and(|last| last == text) {
            return steps;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn critical_incident_call_out() {
    let town = Town::start().await;
    // A peer of another station, and the room's link over the radio.
    let peer = town.world.founder("Peer, station 9").await;
    let radio = peer.link().await;
    let mut crew = Vec::new();
    for number in 1..=6 {
        let name = format!("Crew {number}");
        crew.push(town.world.joiner(&name, &radio).await);
    }
    until_members(&peer, 7).await;
    // All six are in: the link ends. The chief, who heard it too, finds a door that opens to nobody.
    peer.conversation.command(Command::Rotate).await.unwrap();
    for person in crew.iter().chain([&peer]) {
        let renewed = |event: &Event| (*event == Event::Rotated).then_some(());
        person.until("a rotation", renewed).await;
    }
    let chief = town.world.knocking("Chief", &radio).await;
    let refused = |event: &Event| (*event == Event::Refused).then_some(());
    chief.until("a refusal", refused).await;
    peer.says("It was not your fault.").await;
    for person in &crew {
        hears_until(person, "It was not your fault.").await;
        assert_eq!(person.conversation.members().await.unwrap().len(), 7);
    }
    assert!(kept(&chief).await.is_empty());
    assert!(chief.conversation.members().await.unwrap().len() < 2);

    // Afterwards one to one, and the room knows nothing of it.
    for (number, person) in crew.iter().enumerate() {
        let (one, other) = town.two_more_by((&peer, "Peer"), (person, "Crew")).await;
        let words = format!("I see it every night, {number}");
        other.says(&words).await;
        assert_eq!(one.hears().await.text, words);
        assert_eq!(one.conversation.members().await.unwrap().len(), 2);
    }
    peer.says("We meet again on Friday.").await;
    for person in &crew {
        assert!(
            hears_until(person, "We meet again on Friday.")
                .await
                .is_empty()
        );
        assert_eq!(kept(person).await.len(), 2);
    }
}

async fn until_members(person: &Person, count: usize) {
    for _ in 0..600 {
        if person
            .names()
            .await
            .iter()
            .filter(|name| *name != "?")
            .count()
            == count
        {
            return;
        }
        pass(Duration::from_secs(1)).await;
    }
    panic!("not {count} members");
}
