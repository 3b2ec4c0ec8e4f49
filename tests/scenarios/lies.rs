//! A relay that shows two people two histories: it keeps a copy of its store and runs twice.

use std::sync::Arc;
use std::time::Duration;

use sotto_client::log::Doubt;
use sotto_client::{ClientOptions, Command, Event, LeafId};
use sotto_server::identity::Identity;
use sotto_server::retention::Keys;
use sotto_tests::relay::TestRelay;
use sotto_tests::store::WatchedStore;
use sotto_tests::world::{Person, World, pass, wall_clock};

const HOUR: Duration = Duration::from_secs(3_600);

/// Ann and Ben after "hello", each at a relay of their own from then on, perhaps with a friend each.
struct Parted {
    anns: World,
    bens: World,
    ann: Person,
    ben: Person,
    /// Ann's and Ben's.
    friends: Vec<Person>,
}

impl Parted {
    async fn new() -> Self {
        Self::with_friends(&[]).await
    }

    async fn with_friends(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("identity");
        Identity::create(&file).unwrap();
        let (store, keys) = (WatchedStore::new(), Arc::new(Keys::in_memory()));
        let relay = |store: Arc<WatchedStore>| TestRelay {
            store,
            keys: Arc::clone(&keys),
            identity: Some(Identity::load(&file).unwrap()),
            ..TestRelay::default()
        };
        let anns = World::around(relay(Arc::clone(&store))).await;
        let device = || ClientOptions::memory().wall_clock(wall_clock());
        let ann = anns.founder_of(anns.room("Ann"), device()).await;
        let ben = anns.joiner_on("Ben", &ann.link().await, device()).await;
        ann.says("hello").await;
        assert_eq!(ben.hears_texts(1).await, ["hello"]);
        let mut friends = Vec::new();
        for name in names {
            friends.push(anns.joiner_on(name, &ann.link().await, device()).await);
        }
        pass(Duration::from_secs(60)).await;
        let moved = friends.get(1).into_iter().chain([&ben]);
        moved.clone().for_each(|person| person.network.cut());
        let bens = World::around(relay(store.copy().await)).await;
        moved.for_each(|person| person.network.mend(&bens.relay));
        ann.says("to Ann's relay alone").await;
        ben.says("to Ben's relay alone").await;
        ben.hears_texts(1).await;
        Self {
            anns,
            bens,
            ann,
            ben,
            friends,
        }
    }

    async fn pass_hours(&self, hours: u32) {
        for _ in 0..hours {
            self.anns.relay.clock.advance(HOUR);
            self.bens.relay.clock.advance(HOUR);
            pass(HOUR).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_moved_between_two_histories_is_told_where_they_part() {
    let parted = Parted::new().await;
    let Parted { anns, ben, .. } = &parted;
    ben.network.cut();
    ben.network.mend(&anns.relay);
    let at = ben
        .until("a fork", |event| match event {
            Event::Doubt(Doubt::Fork { seq }) => Some(*seq),
            _ => None,
        })
        .await;
    let own = ben.conversation.history().await.unwrap();
    assert_eq!(own.last().unwrap().seq, at, "their last common number");
}

#[tokio::test(start_paused = true)]
async fn who_is_kept_apart_from_all_others_is_told_within_the_days_sign_of_life() {
    let parted = Parted::new().await;
    parted.pass_hours(27).await;
    for person in [&parted.ann, &parted.ben] {
        person
            .until("silence", |event| {
                matches!(event, Event::Silence { .. }).then_some(())
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_keeps_four_people_in_two_halves_is_told_of_by_whom_each_no_longer_hears() {
    let parted = Parted::with_friends(&["Cay", "Dan"]).await;
    let Parted {
        ann, ben, friends, ..
    } = &parted;
    parted.pass_hours(27).await;
    for (person, apart) in [
        (ann, ["Ben", "Dan"]),
        (&friends[0], ["Ben", "Dan"]),
        (ben, ["Ann", "Cay"]),
        (&friends[1], ["Ann", "Cay"]),
    ] {
        let mut expected = Vec::new();
        for name in apart {
            expected.push(person.leaf_of(name).await);
        }
        let mut unheard = Vec::new();
        while unheard.len() < apart.len() {
            let leaf = person
                .until("whom it does not hear", |event| match event {
                    Event::Unheard { leaf, .. } => Some(*leaf),
                    Event::Silence { .. } => panic!("its own half is heard"),
                    _ => None,
                })
                .await;
            unheard.push(leaf);
        }
        unheard.sort();
        expected.sort();
        assert_eq!(unheard, expected);
        let members = person.conversation.members().await.unwrap();
        let last = |leaf: LeafId| members.iter().find(|one| one.leaf == leaf)?.heard_ms;
        let heard = members.iter().filter_map(|one| one.heard_ms).max();
        assert!(expected.iter().all(|leaf| last(*leaf) < heard));
    }
    // What shows them that they are apart, compared by another way.
    let code = async |person: &Person| person.conversation.fingerprint().await.unwrap();
    ann.conversation.command(Command::Rotate).await.unwrap();
    pass(Duration::from_secs(60)).await;
    assert_eq!(code(ann).await, code(&friends[0]).await);
    assert_ne!(code(ann).await, code(ben).await);
}
