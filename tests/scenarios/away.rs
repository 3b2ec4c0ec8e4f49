//! Away for longer than the relay keeps what is said, and what leads back in.

use std::time::Duration;

use sotto_client::vault::{MemoryVault, SharedVault};
use sotto_client::{
    Admission, ClientOptions, Command, Event, LeafId, Message, RoomOptions, Standing,
};
use sotto_server::identity::Identity;
use sotto_tests::relay::TestRelay;
use sotto_tests::world::{Person, World, wall_clock};

/// Steps in which days pass: a relay whose clock moves by a day at once does not believe it.
const STEP: Duration = Duration::from_secs(8 * 3_600);

/// An app that can be closed, and opened again days later.
struct App {
    options: Box<dyn Fn() -> ClientOptions>,
}

impl App {
    fn new() -> Self {
        let (vault, clock) = (SharedVault::new(MemoryVault::new()), wall_clock());
        let options = move || ClientOptions::vault(vault.clone()).wall_clock(clock.clone());
        Self {
            options: Box::new(options),
        }
    }

    fn device(&self) -> ClientOptions {
        (self.options)()
    }

    async fn opens(&self, world: &World) -> Person {
        let (client, network) = world.device_with(self.device()).await;
        let conversation = client.conversations().pop().unwrap();
        Person {
            client,
            network,
            conversation,
        }
    }
}

/// Days pass while every app is closed.
async fn pass_days(world: &World, days: u32) {
    for _ in 0..3 * days {
        world.relay.clock.advance(STEP);
        tokio::time::advance(STEP).await;
        world.relay.logs.sweep().await.unwrap();
    }
}

/// Ann with her room, and Ben in it, after "hello".
async fn two_people(world: &World, apps: &[App; 2], admission: Admission) -> (Person, Person) {
    let [anns, bens] = apps;
    let options = RoomOptions {
        admission,
        ..world.room("Ann")
    };
    let ann = world.founder_of(options, anns.device()).await;
    let link = ann.link().await;
    let ben = world.knocking_on("Ben", &link, bens.device()).await;
    if admission == Admission::Approval {
        let (leaf, was) = hears_of_a_knock(&ann).await;
        assert_eq!(was, None);
        ann.conversation.admit(leaf).await.unwrap();
    }
    ben.until_standing(Standing::In).await;
    ann.says("hello").await;
    hears(&ben, "hello").await;
    (ann, ben)
}

/// Waits for this text; everything else that is told meanwhile.
async fn hears(person: &Person, text: &str) -> Vec<Event> {
    let mut before = Vec::new();
    person
        .until(text, |event| match event {
            Event::Message(Message { text: said, .. }) if said == text => Some(()),
            other => {
                before.push(other.clone());
                None
            }
        })
        .await;
    before
}

async fn hears_of_a_knock(ann: &Person) -> (LeafId, Option<LeafId>) {
    ann.until("a knock", |event| match event {
        Event::Knock { leaf, was, .. } => Some((*leaf, *was)),
        _ => None,
    })
    .await
}

async fn rotates(person: &Person) {
    person.conversation.command(Command::Rotate).await.unwrap();
    person
        .until("a rotation", |event| {
            (*event == Event::Rotated).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn away_past_the_retention_of_words_one_goes_on_and_is_told_that_some_are_gone() {
    let world = World::start().await;
    let apps = [App::new(), App::new()];
    let (ann, ben) = two_people(&world, &apps, Admission::Link).await;
    ben.client.close().await;
    ann.says("gone before Ben is back").await;
    hears(&ann, "gone before Ben is back").await;
    ann.client.close().await;
    pass_days(&world, 70).await;
    let (ann, ben) = (apps[0].opens(&world).await, apps[1].opens(&world).await);
    ann.says("on the last day").await;
    let told = hears(&ben, "on the last day").await;
    assert!(told.contains(&Event::Expired), "{told:?}");
    let is_alarm = |event: &Event| {
        matches!(
            event,
            Event::Doubt(_) | Event::Fork { .. } | Event::Refused | Event::Returned { .. }
        )
    };
    assert!(!told.iter().any(is_alarm), "{told:?}");
    ben.says("back again").await;
    hears(&ann, "back again").await;
}

#[tokio::test(start_paused = true)]
async fn away_past_the_retention_of_keys_one_knocks_as_who_one_was_and_is_let_in() {
    let world = World::start().await;
    let apps = [App::new(), App::new()];
    let (ann, ben) = two_people(&world, &apps, Admission::Approval).await;
    ben.client.close().await;
    let leaf = ann.leaf_of("Ben").await;
    rotates(&ann).await;
    ann.client.close().await;
    pass_days(&world, 75).await;
    let (ann, ben) = (apps[0].opens(&world).await, apps[1].opens(&world).await);
    let (new_leaf, was) = hears_of_a_knock(&ann).await;
    assert_eq!(was, Some(leaf), "it is Ben who knocks");
    ann.conversation.admit(new_leaf).await.unwrap();
    ben.until_standing(Standing::In).await;
    ben.says("by the door").await;
    hears(&ann, "by the door").await;
    ann.says("come in").await;
    hears(&ben, "come in").await;
    let kept = ben.conversation.history().await.unwrap();
    assert_eq!(kept.first().map(|one| one.text.as_str()), Some("hello"));
    assert_eq!(ann.names().await, ["Ann", "Ben"], "the old leaf went");
}

#[tokio::test(start_paused = true)]
async fn away_past_the_retention_of_keys_without_a_door_only_a_new_link_leads_back_in() {
    let world = World::start().await;
    let apps = [App::new(), App::new()];
    let (ann, ben) = two_people(&world, &apps, Admission::Link).await;
    ben.client.close().await;
    rotates(&ann).await;
    ann.client.close().await;
    pass_days(&world, 75).await;
    let (ann, ben) = (apps[0].opens(&world).await, apps[1].opens(&world).await);
    ben.until_standing(Standing::ShutOut).await;
    let kept = ben.conversation.history().await.unwrap();
    let texts: Vec<_> = kept.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(texts, ["hello"], "what was said stays");
    let app = App::new();
    let again = world
        .joiner_on("Ben", &ann.link().await, app.device())
        .await;
    again.says("by a new link").await;
    hears(&ann, "by a new link").await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_within_the_life_of_a_key_is_told_and_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity");
    let relay = |identity| TestRelay {
        identity: Some(identity),
        ..TestRelay::default()
    };
    let world = World::around(relay(Identity::create(&file).unwrap())).await;
    let apps = [App::new(), App::new()];
    let (ann, ben) = two_people(&world, &apps, Admission::Link).await;
    ben.client.close().await;
    ann.client.close().await;
    pass_days(&world, 20).await;
    // An empty store under the same identity, as after a restore that went wrong.
    let wrong = World::around(relay(Identity::load(&file).unwrap())).await;
    wrong.relay.clock.advance(20 * 3 * STEP);
    let ben = apps[1].opens(&wrong).await;
    ben.until("a refusal", |event| {
        (*event == Event::Refused).then_some(())
    })
    .await;
    ben.network.cut();
    ben.network.mend(&world.relay);
    let ann = apps[0].opens(&world).await;
    ann.says("right again").await;
    hears(&ann, "right again").await;
    hears(&ben, "right again").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_written_as_soon_as_the_app_is_opened_after_weeks_goes_out() {
    let world = World::start().await;
    let apps = [App::new(), App::new()];
    let (ann, ben) = two_people(&world, &apps, Admission::Link).await;
    ann.client.close().await;
    ben.client.close().await;
    pass_days(&world, 20).await;
    let ann = apps[0].opens(&world).await;
    ann.says("before there is a line").await;
    let told = hears(&ann, "before there is a line").await;
    let is_given_back = |event: &Event| matches!(event, Event::Delivery { .. });
    assert!(!told.iter().any(is_given_back), "{told:?}");
    let ben = apps[1].opens(&world).await;
    hears(&ben, "before there is a line").await;
}
