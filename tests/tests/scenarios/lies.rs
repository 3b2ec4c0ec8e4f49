//! A relay that shows two people two histories: it keeps a copy of its store and runs twice.

use std::sync::Arc;
use std::time::Duration;

use sotto_client::log::Doubt;
use sotto_client::{ClientOptions, Event};
use sotto_server::identity::Identity;
use sotto_server::retention::Keys;
use sotto_tests::relay::TestRelay;
use sotto_tests::store::WatchedStore;
use sotto_tests::world::{Person, World, pass, wall_clock};

const HOUR: Duration = Duration::from_secs(3_600);

/// Ann and Ben after "hello", each at a relay of their own from then on.
struct Parted {
    anns: World,
    bens: World,
    ann: Person,
    ben: Person,
}

impl Parted {
    async fn new() -> Self {
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
        pass(Duration::from_secs(60)).await;
        ben.network.cut();
        let bens = World::around(relay(store.copy().await)).await;
        ben.network.mend(&bens.relay);
        ann.says("to Ann's relay alone").await;
        ben.says("to Ben's relay alone").await;
        ben.hears_texts(1).await;
        Self {
            anns,
            bens,
            ann,
            ben,
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
