//! Joining where somebody must say yes, and chats of two.

use std::sync::Arc;
use std::time::Duration;

use sotto_client::vault::{MemoryVault, SharedVault};
use sotto_client::{
    Admission, Client, ClientOptions, Command, Event, LeafId, RoomOptions, Standing, Suite,
};
use sotto_tests::world::{Network, Person, World, pass};

async fn keeper(world: &World, name: &str, admission: Admission) -> Person {
    keeper_on(
        world,
        name,
        admission,
        &SharedVault::new(MemoryVault::new()),
    )
    .await
}

/// Somebody who founds a conversation with a door, on a device whose vault outlives the client.
async fn keeper_on(world: &World, name: &str, admission: Admission, vault: &SharedVault) -> Person {
    let network = Network::to(&world.relay);
    let options = ClientOptions::vault(vault.clone()).dialer(Arc::new(network.clone()));
    let client = Client::open(options).await.unwrap();
    let options = RoomOptions {
        suite: world.suite,
        admission,
        ..RoomOptions::new(world.address(), name)
    };
    let conversation = client.found(options).await.unwrap();
    let person = Person {
        client,
        network,
        conversation,
    };
    person.until_standing(Standing::In).await;
    person
}

/// The same device, started again.
async fn restarted(world: &World, vault: &SharedVault) -> Person {
    let network = Network::to(&world.relay);
    let options = ClientOptions::vault(vault.clone()).dialer(Arc::new(network.clone()));
    let client = Client::open(options).await.unwrap();
    let conversation = client.conversations().pop().unwrap();
    Person {
        client,
        network,
        conversation,
    }
}

async fn hears_knock(person: &Person, by: &str) -> LeafId {
    person
        .until("a knock", |event| match event {
            Event::Knock { leaf, name, .. } if name.0 == by => Some(*leaf),
            _ => None,
        })
        .await
}

async fn lets_in(person: &Person, name: &str) -> LeafId {
    let leaf = hears_knock(person, name).await;
    person.conversation.admit(leaf).await.unwrap();
    leaf
}

async fn has_knocked(person: &Person) {
    person
        .until("a knock that landed", |event| {
            (*event == Event::Knocked).then_some(())
        })
        .await;
}

async fn hears_rotation(person: &Person) {
    person
        .until("a rotation", |event| {
            (*event == Event::Rotated).then_some(())
        })
        .await;
}

async fn knocks_and_talks(suite: Suite) {
    let world = World {
        suite,
        ..World::start().await
    };
    let ann = keeper(&world, "Ann", Admission::Approval).await;
    ann.says("before anybody came").await;
    let link = ann.link().await;
    assert!(link.asks_for_a_yes());
    let ben = world.knocking("Ben", &link).await;
    lets_in(&ann, "Ben").await;
    ben.until_standing(Standing::In).await;
    ann.says("come in").await;
    assert_eq!(ben.hears_texts(1).await, ["come in"], "and nothing before");
    ben.says("thank you").await;
    assert_eq!(ann.hears_texts(2).await, ["come in", "thank you"]);
    let cay = world.knocking("Cay", &link).await;
    let leaf = hears_knock(&ann, "Cay").await;
    assert_eq!(ann.conversation.knocks().await.unwrap()[0].name, "Cay");
    ann.conversation.admit(leaf).await.unwrap();
    ben.until("an arrival that names who said yes", |event| match event {
        Event::Joined {
            leaf: who,
            by: Some(_),
        } if *who == leaf => Some(()),
        _ => None,
    })
    .await;
    cay.until_standing(Standing::In).await;
    cay.says("hello, both").await;
    assert_eq!(ben.hears_texts(1).await, ["hello, both"]);
    assert_eq!(ann.hears_texts(1).await, ["hello, both"]);
    assert_eq!(ann.names().await, ["Ann", "Ben", "Cay"]);
    assert!(ann.conversation.knocks().await.unwrap().is_empty());
    let members = ann.conversation.members().await.unwrap();
    let facilitating = members.iter().filter(|member| member.facilitates);
    assert_eq!(facilitating.count(), 1);
    assert_eq!(ben.conversation.link().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn who_knocks_and_gets_a_yes_talks_and_reads_nothing_from_before() {
    knocks_and_talks(Suite::Classic).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_with_the_hybrid_suite() {
    knocks_and_talks(Suite::Hybrid).await;
}

#[tokio::test(start_paused = true)]
async fn who_gets_a_no_is_told_and_nothing_is_kept() {
    let world = World::start().await;
    let ann = keeper(&world, "Ann", Admission::Approval).await;
    let ben = world.knocking("Ben", &ann.link().await).await;
    let leaf = hears_knock(&ann, "Ben").await;
    ann.conversation.turn_away(leaf).await.unwrap();
    ben.until_standing(Standing::TurnedAway).await;
    assert!(ben.conversation.send("please").await.is_err());
    assert_eq!(ann.conversation.members().await.unwrap().len(), 1);
    assert!(ann.conversation.admit(leaf).await.is_err(), "it was a no");
    // Nobody is turned away for good: another knock, another answer.
    let again = world.knocking("Ben", &ann.link().await).await;
    lets_in(&ann, "Ben").await;
    again.until_standing(Standing::In).await;
}

#[tokio::test(start_paused = true)]
async fn in_a_chat_the_first_is_let_in_and_the_others_are_told() {
    let world = World::start().await;
    let ann = keeper(&world, "Ann", Admission::Chat).await;
    let link = ann.link().await;
    ann.network.cut();
    let mut both = [
        world.knocking("Ben", &link).await,
        world.knocking("Cay", &link).await,
    ];
    for one in &both {
        has_knocked(one).await;
    }
    ann.network.mend(&world.relay);
    let first = ann
        .until("an arrival", |event| match event {
            Event::Joined { leaf, by: Some(_) } => Some(*leaf),
            _ => None,
        })
        .await;
    let told = |event: &Event| match event {
        Event::Standing(standing @ (Standing::In | Standing::TurnedAway)) => Some(*standing),
        _ => None,
    };
    if both[0].until("an answer", told).await == Standing::TurnedAway {
        both.reverse();
    } else {
        assert_eq!(both[1].until("an answer", told).await, Standing::TurnedAway);
    }
    let [ben, _] = both;
    let members = ben.conversation.members().await.unwrap();
    assert_eq!(members.len(), 2);
    assert!(members.iter().all(|member| member.facilitates));
    assert!(
        members
            .iter()
            .any(|member| member.is_me && member.leaf == first)
    );
    ben.says("hello").await;
    assert_eq!(ann.hears_texts(1).await, ["hello"]);
    ann.says("hello to you").await;
    assert_eq!(ben.hears_texts(2).await, ["hello", "hello to you"]);
    // The door is closed: no link any more, and the old one leads nowhere.
    assert_eq!(ann.conversation.link().await.unwrap(), None);
    let dan = world.knocking("Dan", &link).await;
    dan.until("a refusal", |event| {
        (*event == Event::Refused).then_some(())
    })
    .await;
    // Either may end it.
    let other = members.iter().find(|member| !member.is_me).unwrap();
    ben.conversation.remove(other.leaf).await.unwrap();
    ann.until_standing(Standing::Removed).await;
}

#[tokio::test(start_paused = true)]
async fn a_knock_waits_for_a_founder_who_is_away() {
    let world = World::start().await;
    let ann = keeper(&world, "Ann", Admission::Approval).await;
    let link = ann.link().await;
    ann.network.cut();
    let ben = world.knocking("Ben", &link).await;
    ben.says("is anybody there?").await;
    let cay = world.knocking("Cay", &link).await;
    has_knocked(&ben).await;
    has_knocked(&cay).await;
    ben.network.cut();
    ann.network.mend(&world.relay);
    lets_in(&ann, "Cay").await;
    cay.until_standing(Standing::In).await;
    ben.network.mend(&world.relay);
    let waiting = ann.conversation.knocks().await.unwrap();
    assert_eq!(waiting[0].name, "Ben", "and was told of before");
    ann.conversation.admit(waiting[0].leaf).await.unwrap();
    ben.until_standing(Standing::In).await;
    // What was said at the door is heard inside.
    assert_eq!(ann.hears_texts(1).await, ["is anybody there?"]);
    assert_eq!(cay.hears_texts(1).await, ["is anybody there?"]);
}

#[tokio::test(start_paused = true)]
async fn a_founder_who_restarts_amid_an_admission_lets_in_exactly_once() {
    // From before the inbox is opened until long after the answer, cut at every few steps.
    for steps in [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144] {
        let world = World::start().await;
        let vault = SharedVault::new(MemoryVault::new());
        let ann = keeper_on(&world, "Ann", Admission::Approval, &vault).await;
        let ben = world.knocking("Ben", &ann.link().await).await;
        lets_in(&ann, "Ben").await;
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        ann.network.cut();
        ann.client.close().await;
        let ann = restarted(&world, &vault).await;
        ann.says("sorry, that was me").await;
        ben.until_standing(Standing::In).await;
        assert_eq!(ben.hears_texts(1).await, ["sorry, that was me"], "{steps}");
        ben.says("no harm done").await;
        let heard = ann
            .until("an answer", |event| match event {
                Event::Message(message) if !message.is_mine => Some(message.text.clone()),
                _ => None,
            })
            .await;
        assert_eq!(heard, "no harm done", "{steps}");
        assert_eq!(ann.names().await, ["Ann", "Ben"], "{steps}");
        assert_eq!(ben.conversation.members().await.unwrap().len(), 2);
        assert!(ann.conversation.knocks().await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_at_the_door_stays_bounded_and_stops_nobody_who_was_let_in() {
    let world = World::start().await;
    let ann = keeper(&world, "Ann", Admission::Approval).await;
    let link = ann.link().await;
    let ben = world.knocking("Ben", &link).await;
    lets_in(&ann, "Ben").await;
    ben.until_standing(Standing::In).await;
    let mut flood = Vec::new();
    for n in 0..40 {
        flood.push(world.knocking(&format!("P{n}"), &link).await);
    }
    let mut waiting = 0;
    while waiting < 29 {
        ann.until("a knock", |event| {
            matches!(event, Event::Knock { .. }).then_some(())
        })
        .await;
        waiting += 1;
    }
    // Thirty a minute, Ben's included; the relay's clock stands still.
    ben.says("still here").await;
    assert_eq!(ann.hears_texts(1).await, ["still here"]);
    assert_eq!(ann.conversation.knocks().await.unwrap().len(), 29);
    world.relay.clock.advance(Duration::from_secs(61));
    while waiting < 32 {
        ann.until("a knock", |event| {
            matches!(event, Event::Knock { .. }).then_some(())
        })
        .await;
        waiting += 1;
    }
    ann.says("and I").await;
    assert_eq!(ben.hears_texts(2).await, ["still here", "and I"]);
    let kept = ann.conversation.knocks().await.unwrap();
    assert_eq!(kept.len(), 32, "the rest stays at the door");
    for knock in &kept {
        ann.conversation.turn_away(knock.leaf).await.unwrap();
    }
    while waiting < 40 {
        ann.until("a knock that had stayed at the door", |event| {
            matches!(event, Event::Knock { .. }).then_some(())
        })
        .await;
        waiting += 1;
    }
    assert_eq!(ann.conversation.members().await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_removed_member_needs_a_new_yes() {
    let world = World::start().await;
    let ann = keeper(&world, "Ann", Admission::Approval).await;
    let link = ann.link().await;
    let ben = world.knocking("Ben", &link).await;
    let leaf = lets_in(&ann, "Ben").await;
    let cay = world.knocking("Cay", &link).await;
    lets_in(&ann, "Cay").await;
    for one in [&ben, &cay] {
        one.until_standing(Standing::In).await;
    }
    ann.conversation.remove(leaf).await.unwrap();
    ben.until_standing(Standing::Removed).await;
    hears_rotation(&cay).await;
    let again = world.knocking("Ben", &link).await;
    let leaf = hears_knock(&ann, "Ben").await;
    ann.says("he is back").await;
    assert_eq!(cay.hears_texts(1).await, ["he is back"]);
    assert_eq!(
        again.conversation.standing().await.unwrap(),
        Standing::Joining
    );
    assert_eq!(ann.conversation.members().await.unwrap().len(), 2);
    ann.conversation.turn_away(leaf).await.unwrap();
    again.until_standing(Standing::TurnedAway).await;
    // With a yes, after a rotation, a newcomer gets the present secret.
    let dan = world.knocking("Dan", &link).await;
    lets_in(&ann, "Dan").await;
    dan.until_standing(Standing::In).await;
    dan.says("good evening").await;
    assert_eq!(cay.hears_texts(1).await, ["good evening"]);
}

#[tokio::test(start_paused = true)]
async fn a_door_goes_with_its_keeper() {
    let world = World::start().await;
    let ann = keeper(&world, "Ann", Admission::Approval).await;
    let link = ann.link().await;
    let ben = world.knocking("Ben", &link).await;
    lets_in(&ann, "Ben").await;
    ben.until_standing(Standing::In).await;
    ann.conversation.leave().await.unwrap();
    ann.until_standing(Standing::Left).await;
    let cay = world.knocking("Cay", &link).await;
    cay.until("a refusal", |event| {
        (*event == Event::Refused).then_some(())
    })
    .await;
    // Who knocks in vain can give up.
    cay.conversation.leave().await.unwrap();
    cay.until_standing(Standing::Left).await;
}

/// Waits until this one keeps the door.
async fn keeps_the_door(person: &Person) {
    for _ in 0..600 {
        if person.conversation.link().await.unwrap().is_some() {
            return;
        }
        pass(Duration::from_secs(1)).await;
    }
    panic!("the door's keys never came");
}

/// Somebody who is let in, and then facilitates as well.
async fn facilitator(world: &World, ann: &Person, name: &str) -> Person {
    let person = world.knocking(name, &ann.link().await).await;
    let leaf = lets_in(ann, name).await;
    person.until_standing(Standing::In).await;
    ann.until("a name", |event| match event {
        Event::Named { leaf: who, .. } if *who == leaf => Some(()),
        _ => None,
    })
    .await;
    ann.conversation
        .command(Command::Promote(leaf))
        .await
        .unwrap();
    hears_rotation(ann).await;
    keeps_the_door(&person).await;
    person
}

#[tokio::test(start_paused = true)]
async fn another_facilitator_keeps_the_door_when_the_founder_leaves() {
    let world = World::start().await;
    let ann = keeper(&world, "Ann", Admission::Approval).await;
    let link = ann.link().await;
    let ben = world.knocking("Ben", &link).await;
    lets_in(&ann, "Ben").await;
    ben.until_standing(Standing::In).await;
    let cay = facilitator(&world, &ann, "Cay").await;
    assert_eq!(cay.link().await.to_string(), link.to_string());
    assert_eq!(
        ben.conversation.link().await.unwrap(),
        None,
        "a member keeps none"
    );
    ann.conversation.leave().await.unwrap();
    ann.until_standing(Standing::Left).await;
    hears_rotation(&cay).await;
    let dan = world.knocking("Dan", &link).await;
    lets_in(&cay, "Dan").await;
    dan.until_standing(Standing::In).await;
    dan.says("good evening").await;
    assert_eq!(cay.hears_texts(1).await, ["good evening"]);
    assert_eq!(cay.names().await, ["Ben", "Cay", "Dan"]);
}

#[tokio::test(start_paused = true)]
async fn two_who_keep_a_door_see_the_same_knocks_and_one_answer_is_enough() {
    let world = World::start().await;
    let ann = keeper(&world, "Ann", Admission::Approval).await;
    let cay = facilitator(&world, &ann, "Cay").await;
    let link = ann.link().await;
    // The founder is away, and misses nothing.
    ann.network.cut();
    let dan = world.knocking("Dan", &link).await;
    let eve = world.knocking("Eve", &link).await;
    lets_in(&cay, "Eve").await;
    eve.until_standing(Standing::In).await;
    ann.network.mend(&world.relay);
    lets_in(&ann, "Dan").await;
    dan.until_standing(Standing::In).await;
    eve.says("all here").await;
    for one in [&ann, &cay, &dan] {
        assert_eq!(one.hears_texts(1).await, ["all here"]);
        assert_eq!(one.names().await, ["Ann", "Cay", "Dan", "Eve"]);
        assert!(one.conversation.knocks().await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_founder_leaves_a_door_that_all_who_stay_keep() {
    let world = World::start().await;
    let ann = keeper(&world, "Ann", Admission::Approval).await;
    let cay = facilitator(&world, &ann, "Cay").await;
    let dan = facilitator(&world, &ann, "Dan").await;
    let link = ann.link().await;
    let whom = cay.leaf_of("Ann").await;
    cay.conversation.remove(whom).await.unwrap();
    ann.until_standing(Standing::Removed).await;
    pass(Duration::from_secs(600)).await;
    let eve = world.knocking("Eve", &link).await;
    hears_knock(&cay, "Eve").await;
    // Whose keys the other's change made void has the new ones by now.
    lets_in(&dan, "Eve").await;
    eve.until_standing(Standing::In).await;
    eve.says("hello").await;
    assert_eq!(cay.hears_texts(1).await, ["hello"]);
    assert!(cay.conversation.knocks().await.unwrap().is_empty());
}
