//! Mediation: two pupils, and a third who helps them to hear each other.

use sotto_client::error::ErrorKind;
use sotto_client::{Admission, Agreement, Event, Floor, LeafId, Link, RoomOptions, Standing};
use sotto_tests::world::Person;

use super::{Phone, Town, elsewhere, hears_until, kept};
use crate::entering::{is_named, keeps_door};

/// Days until they look how it went.
const FOLLOW_UP: u32 = 14;

/// Mia's joint room, on the device of her pre-talks, in which nobody but her may speak yet.
async fn joint_room(town: &Town, mia: &Person) -> Person {
    let room = RoomOptions {
        admission: Admission::Approval,
        ..town.world.room("Mia")
    };
    let joint = mia.client.found(room).await.unwrap();
    let joint = elsewhere(mia, joint);
    joint.until_standing(Standing::In).await;
    keeps_door(&joint).await;
    let members = joint.conversation.members().await.unwrap();
    let me = members[0].leaf;
    joint.conversation.give_turn(Some(me)).await.unwrap();
    joint
}

/// Mia asks in the pre-talk; the yes is a knock at the joint room's door.
async fn says_yes(joint: &Person, pre: (&Person, &Person), name: &str) -> (Person, LeafId) {
    let asks = "a talk of the three of us";
    let called = joint.conversation.call(&pre.0.conversation, asks).await;
    called.unwrap();
    let call = |event: &Event| match event {
        Event::Called { link, .. } => Some((**link).clone()),
        _ => None,
    };
    let link: Link = pre.1.until("a call", call).await;
    let asked = pre.1.client.ask_to_enter(&link, name, None).await.unwrap();
    let knock = |event: &Event| match event {
        Event::Knock { leaf, .. } => Some(*leaf),
        _ => None,
    };
    let leaf = joint.until("a knock", knock).await;
    (elsewhere(pre.1, asked), leaf)
}

async fn sees_floor(person: &Person, wanted: impl Fn(&Floor) -> bool) {
    let floor = |event: &Event| match event {
        Event::Floor(floor) if wanted(floor) => Some(()),
        _ => None,
    };
    person.until("a change of who may speak", floor).await;
}

async fn is_refused(person: &Person, text: &str) {
    let refused = person.conversation.send(text).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed);
}

async fn sees_all_agree(person: &Person) -> Agreement {
    let stands = |event: &Event| match event {
        Event::Agreed { agreement, .. } if agreement.stands => Some((**agreement).clone()),
        _ => None,
    };
    person.until("an agreement that stands", stands).await
}

#[tokio::test(start_paused = true)]
async fn peer_mediation() {
    let town = Town::on_disk().await;
    let (mias, vics, bos): (Phone, Phone, Phone) = (town.phone(), town.phone(), town.phone());
    // Each side alone, first.
    let (with_vic, vic_pre) = town.two((&mias, "Mia"), (&vics, "Vic")).await;
    let (with_bo, bo_pre) = town.two_more((&with_vic, "Mia"), (&bos, "Bo")).await;
    vic_pre.says("He took my phone and read it out.").await;
    hears_until(&with_vic, "He took my phone and read it out.").await;
    bo_pre.says("They laughed at me first.").await;
    hears_until(&with_bo, "They laughed at me first.").await;

    // The joint room opens once both have said yes.
    let joint = joint_room(&town, &with_vic).await;
    let (vic, vic_leaf) = says_yes(&joint, (&with_vic, &vic_pre), "Vic").await;
    assert_eq!(joint.conversation.members().await.unwrap().len(), 1);
    let (bo, bo_leaf) = says_yes(&joint, (&with_bo, &bo_pre), "Bo").await;
    for leaf in [vic_leaf, bo_leaf] {
        joint.conversation.admit(leaf).await.unwrap();
    }
    for (person, other) in [(&vic, "Bo"), (&bo, "Vic"), (&joint, "Bo"), (&joint, "Vic")] {
        is_named(person, other).await;
    }

    // Turns: neither side can post outside their own.
    joint.conversation.give_turn(Some(vic_leaf)).await.unwrap();
    for person in [&vic, &bo] {
        sees_floor(person, |floor| floor.turn == Some(vic_leaf)).await;
    }
    is_refused(&bo, "That is not true").await;
    vic.says("I want it back, and not to be laughed at.").await;
    hears_until(&bo, "I want it back, and not to be laughed at.").await;
    joint.conversation.give_turn(Some(bo_leaf)).await.unwrap();
    for person in [&vic, &bo] {
        sees_floor(person, |floor| floor.turn == Some(bo_leaf)).await;
    }
    is_refused(&vic, "Liar").await;
    bo.says("You deserve it.").await;
    hears_until(&vic, "You deserve it.").await;

    // Vic presses stop: the room freezes for both at once, and for Mia.
    vic.conversation.stop().await.unwrap();
    for person in [&joint, &bo, &vic] {
        sees_floor(person, |floor| {
            floor.is_frozen && floor.stopped == [vic_leaf]
        })
        .await;
        is_refused(person, "but").await;
    }
    let over = joint.conversation.give_turn(None).await.unwrap_err();
    assert_eq!(over.kind(), ErrorKind::Conflict);
    // Mia asks each alone; then Vic lets it go on.
    with_vic.says("Shall we go on?").await;
    hears_until(&vic_pre, "Shall we go on?").await;
    vic.conversation.go_on().await.unwrap();
    sees_floor(&joint, |floor| floor.is_frozen && floor.stopped.is_empty()).await;
    joint.conversation.give_turn(Some(bo_leaf)).await.unwrap();
    sees_floor(&bo, |floor| !floor.is_frozen).await;
    bo.says("I am sorry. I will give it back.").await;
    hears_until(&vic, "I am sorry. I will give it back.").await;

    // What they agree on has three confirmations and a date.
    let (day, text) = (
        town.today() + FOLLOW_UP,
        "Bo gives it back. We greet each other.",
    );
    joint.conversation.propose(text, Some(day)).await.unwrap();
    for person in [&vic, &bo] {
        let proposed = |event: &Event| match event {
            Event::Agreement(agreement) => Some(agreement.id),
            _ => None,
        };
        let id = person.until("a proposal", proposed).await;
        person.conversation.agree(id).await.unwrap();
    }
    for person in [&joint, &vic, &bo] {
        let agreement = sees_all_agree(person).await;
        assert_eq!((agreement.text.as_str(), agreement.agreed.len()), (text, 3));
        assert_eq!(agreement.follow_up_day, Some(day));
    }

    // Nobody's pre-talk text is in the joint room, and nothing of any in what the relay keeps.
    let said = [
        "I want it back, and not to be laughed at.",
        "You deserve it.",
        "I am sorry. I will give it back.",
    ];
    for person in [&joint, &vic, &bo] {
        assert_eq!(kept(person).await, said);
    }
    for client in [&joint.client, &vic.client, &bo.client] {
        client.close().await;
    }
    town.days(FOLLOW_UP).await;
    let vic = town.opens_with(&vics, "Bo").await;
    let reminded = |event: &Event| match event {
        Event::FollowUp { day, text } => Some((*day, text.0.clone())),
        _ => None,
    };
    assert_eq!(vic.until("the day", reminded).await, (day, text.into()));
    vic.client.close().await;
    let seized = town.seized("written in the clear").await;
    for words in said.iter().chain([&text]) {
        assert!(!seized.holds(words.as_bytes()));
    }
}
