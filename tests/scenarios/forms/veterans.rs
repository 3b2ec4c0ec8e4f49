//! Veterans and their families.

use sotto_client::error::ErrorKind;
use sotto_client::{
    Admission, Client, Command, Event, Inbox, InboxLink, InboxOptions, JoinOptions, LeafId,
    RoomOptions, Standing,
};
use sotto_tests::world::{Network, Person};

use super::{
    Town, answers, elsewhere, hears_until, is_with, kept, knocks_when_called, person, saying,
};
use crate::coming_back::let_in;
use crate::desk::plan;
use crate::entering::is_named;

/// Somebody who can be added while away.
struct Comrade {
    device: (Client, Network),
    inbox: Inbox,
}

impl Comrade {
    async fn new(town: &Town) -> Self {
        let device = town.world.device_with(town.phone().options()).await;
        let options = InboxOptions {
            suite: town.world.suite,
            ..InboxOptions::new(town.world.address())
        };
        let inbox = device.0.open_inbox(options).await.unwrap();
        inbox.ready().await.unwrap();
        Self { device, inbox }
    }

    async fn link(&self) -> InboxLink {
        self.inbox.link().await.unwrap().unwrap()
    }

    /// Says yes to who invites them, by this name and no other.
    async fn accepts(&self, name: &str) -> (Person, LeafId) {
        let invitation = loop {
            if let Some(Event::Invited(invitation)) = self.inbox.next_event().await {
                break invitation;
            }
        };
        let options = JoinOptions { name: name.into() };
        let accepted = self.device.0.accept(&self.inbox, invitation.id, &options);
        let room = accepted.await.unwrap();
        let comrade = person(self.device.clone(), room);
        comrade.until_standing(Standing::In).await;
        (comrade, invitation.by)
    }
}

/// Somebody comes in by this one's word, as this person is told.
async fn hears_vouching(person: &Person, by: LeafId) -> LeafId {
    let vouched = |event: &Event| match event {
        Event::Joined {
            leaf,
            by: Some(who),
        } if *who == by => Some(*leaf),
        _ => None,
    };
    person.until("somebody who was vouched for", vouched).await
}

#[tokio::test(start_paused = true)]
async fn military_women_by_vouching() {
    let town = Town::on_disk().await;
    let room = RoomOptions {
        admission: Admission::Approval,
        ..town.world.room("Heron of the 3rd")
    };
    let heron = town.world.founder_of(room, town.phone().options()).await;
    let me = |members: Vec<sotto_client::Member>| {
        members.into_iter().find(|one| one.is_me).unwrap().leaf
    };
    let herons = me(heron.conversation.members().await.unwrap());
    // Heron vouches for Lark, who then vouches for Wren.
    let (larks, wrens) = (Comrade::new(&town).await, Comrade::new(&town).await);
    heron.conversation.add(&larks.link().await).await.unwrap();
    let lark_leaf = hears_vouching(&heron, herons).await;
    let (lark, by) = larks.accepts("Lark of the 3rd").await;
    assert_eq!(by, herons);
    // Who was only let in lets in nobody.
    let early = lark
        .conversation
        .add(&wrens.link().await)
        .await
        .unwrap_err();
    assert_eq!(early.kind(), ErrorKind::NotAllowed);
    is_named(&heron, "Lark of the 3rd").await;
    let may = Command::Promote(lark_leaf);
    heron.conversation.command(may).await.unwrap();
    let rules = |event: &Event| matches!(event, Event::RulesChanged { .. }).then_some(());
    lark.until("the right to vouch", rules).await;
    lark.conversation.add(&wrens.link().await).await.unwrap();
    let wren_leaf = hears_vouching(&heron, lark_leaf).await;
    assert_eq!(hears_vouching(&lark, lark_leaf).await, wren_leaf);
    let (wren, by) = wrens.accepts("Wren of the 3rd").await;
    assert_eq!(by, lark_leaf);
    wren.says("Third battalion, the year of the flood").await;
    for person in [&heron, &lark] {
        hears_until(person, "Third battalion, the year of the flood").await;
        is_named(person, "Wren of the 3rd").await;
        is_with(
            person,
            &["Heron of the 3rd", "Lark of the 3rd", "Wren of the 3rd"],
        )
        .await;
    }
    // The relay knows no name, no leaf, and so not who vouched for whom.
    for client in [&heron.client, &lark.client, &wren.client] {
        client.close().await;
    }
    let seized = town.seized("nobody vouched for this line").await;
    for words in [
        "Third battalion",
        "Heron of the 3rd",
        "Lark of the 3rd",
        "Wren of the 3rd",
    ] {
        assert!(!seized.holds(words.as_bytes()), "{words}");
    }
    for leaf in [herons, lark_leaf, wren_leaf] {
        assert!(!seized.holds(leaf.as_bytes()));
    }
}

#[tokio::test(start_paused = true)]
async fn grief_with_a_caseworker() {
    let town = Town::start().await;
    let door = |name: &str| RoomOptions {
        admission: Admission::Approval,
        ..town.world.room(name)
    };
    let world = &town.world;
    let mentor = world
        .founder_of(door("Mentor"), town.phone().options())
        .await;
    let widow = let_in(world, &mentor, "Widow").await;
    let other = let_in(world, &mentor, "Widower").await;
    widow.says("He would be forty today.").await;
    hears_until(&mentor, "He would be forty today.").await;
    hears_until(&other, "He would be forty today.").await;

    // The pension is another room. Mentor and widow are in both, from the same phones.
    let case = mentor.client.found(door("Mentor")).await.unwrap();
    let case = elsewhere(&mentor, case);
    case.until_standing(Standing::In).await;
    let link = case.link().await;
    let options = JoinOptions {
        name: "Mrs B.".into(),
    };
    let joins = widow.client.join(&link, &options).await.unwrap();
    let widow_in_case = elsewhere(&widow, joins);
    let knock = crate::entering::sees_knock(&case).await;
    case.conversation.admit(knock).await.unwrap();
    widow_in_case.until_standing(Standing::In).await;
    let caseworker = let_in(world, &case, "Caseworker").await;
    caseworker.says("Form 7 is missing.").await;
    for person in [&case, &widow_in_case] {
        hears_until(person, "Form 7 is missing.").await;
        is_with(person, &["Caseworker", "Mentor", "Mrs B."]).await;
    }
    widow.says("I could not sleep.").await;
    hears_until(&mentor, "I could not sleep.").await;
    widow_in_case.says("Form 7 is in the post.").await;

    // The caseworker reads the case and nothing else, and nothing here leads to the other room.
    let heard = hears_until(&caseworker, "Form 7 is in the post.").await;
    assert_eq!(heard, ["Form 7 is missing."]);
    assert_eq!(caseworker.client.conversations().len(), 1);
    assert_eq!(kept(&caseworker).await.len(), 2);
    is_with(&mentor, &["Mentor", "Widow", "Widower"]).await;
    let leaves = async |person: &Person| -> Vec<LeafId> {
        let members = person.conversation.members().await.unwrap();
        members.into_iter().map(|one| one.leaf).collect()
    };
    let of_case = leaves(&caseworker).await;
    assert!(
        leaves(&mentor)
            .await
            .iter()
            .all(|one| !of_case.contains(one))
    );
}

#[tokio::test(start_paused = true)]
async fn ptsd_peers_with_consented_supervision() {
    let town = Town::start().await;
    let office = town.desk(&town.phone(), plan()).await;
    let peer = town.supporter(&town.phone(), &office, "Peer").await;
    let doctor = town.supporter(&town.phone(), &office, "Dr. Ray").await;
    let vet = town
        .asks(&town.phone(), &office, saying("The market, again."))
        .await;
    let chat = answers(&peer, "Peer", &vet, "The market, again.").await;
    let (chat_of, third) = ((&chat, &peer, &vet), (&doctor, "Dr. Ray"));

    // Not now. Until there is a yes, a supervisor has nothing that could be read.
    let (refused, leaf) = knocks_when_called(chat_of, third, "a second opinion", None).await;
    vet.conversation.turn_away(leaf).await.unwrap();
    refused.until_standing(Standing::TurnedAway).await;
    assert!(kept(&refused).await.is_empty());
    vet.says("It was a car door.").await;
    hears_until(&chat, "It was a car door.").await;
    assert_eq!(vet.conversation.members().await.unwrap().len(), 2);

    // The peer may ask without the veteran's words, and the veteran say yes another time.
    let (ray, leaf) = knocks_when_called(chat_of, third, "to meet him", None).await;
    let knocks = vet.conversation.knocks().await.unwrap();
    assert_eq!(knocks[0].name, "Dr. Ray");
    vet.conversation.admit(leaf).await.unwrap();
    ray.until_standing(Standing::In).await;
    vet.says("So you are the doctor.").await;
    hears_until(&ray, "So you are the doctor.").await;
    assert_eq!(kept(&ray).await, ["So you are the doctor."]);
    for person in [&vet, &chat] {
        is_named(person, "Dr. Ray").await;
        let members = person.conversation.members().await.unwrap();
        let third = members.iter().find(|one| one.leaf == leaf).unwrap();
        assert!(!third.facilitates && !third.is_host);
    }
    // A clinician gets a summary, as the veteran has edited it and not before: what the peer writes to
    // the clinician is read by the veteran first, in the chat of the two.
    let (clinic, clinician) = town
        .two_more((&peer, "Peer"), (&town.phone(), "Clinician"))
        .await;
    let review = clinic.conversation.review_in(&chat.conversation).await;
    review.unwrap();
    clinic.says("Startles at noises; drinks again.").await;
    let draft = |event: &Event| match event {
        Event::Draft { id, text, .. } => Some((*id, text.0.clone())),
        _ => None,
    };
    let (id, text) = vet.until("a summary", draft).await;
    assert_eq!(text, "Startles at noises; drinks again.");
    assert!(kept(&clinician).await.is_empty());
    let edited = Some("Startles at noises.");
    let released = vet.conversation.release_draft(id, edited).await;
    released.unwrap();
    hears_until(&clinician, "Startles at noises.").await;
    assert_eq!(kept(&clinician).await, ["Startles at noises."]);
    // Nor does the team's room hold a word of either.
    assert!(kept(&doctor).await.is_empty());
}
