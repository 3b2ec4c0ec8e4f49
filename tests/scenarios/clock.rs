//! A device whose clock is a year off, or jumps by one: it talks, nothing is forgotten early or kept
//! for long, and nobody is accused.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use sotto_client::vault::{MemoryVault, SharedVault};
use sotto_client::{Admission, Client, ClientOptions, Event, RoomOptions, Standing};
use sotto_tests::world::{Network, Person, World, pass, wall_clock};

const YEAR_SECONDS: i64 = 365 * 86_400;
const MINUTE: Duration = Duration::from_secs(60);
/// How long everything is kept.
const KEPT: Duration = Duration::from_secs(7_200);

/// A clock that somebody can put forward or back.
#[derive(Clone, Default)]
struct Off(Arc<AtomicI64>);

impl Off {
    fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    fn clock(&self) -> impl Fn() -> SystemTime + Send + Sync + 'static {
        let (off, right) = (Arc::clone(&self.0), wall_clock());
        move || {
            let seconds = off.load(Ordering::SeqCst);
            let by = Duration::from_secs(seconds.unsigned_abs());
            if seconds < 0 {
                right() - by
            } else {
                right() + by
            }
        }
    }
}

fn room(world: &World, name: &str, admission: Admission) -> RoomOptions {
    RoomOptions {
        admission,
        keep_seconds: Some(u32::try_from(KEPT.as_secs()).unwrap()),
        ..world.room(name)
    }
}

async fn is_told_of_days(person: &Person, days: i64) {
    person
        .until("a clock that is off", |event| match event {
            Event::ClockOff { days: by } if *by == days => Some(()),
            Event::Doubt(_) | Event::Silence { .. } | Event::Deleted { .. } => {
                panic!("a false alarm: {event:?}")
            }
            _ => None,
        })
        .await;
}

async fn texts(person: &Person) -> Vec<String> {
    let history = person.conversation.history().await.unwrap();
    history.into_iter().map(|message| message.text).collect()
}

/// Both say something, and both have both.
async fn talk(ann: &Person, ben: &Person, round: &str) {
    let said = [format!("{round} of Ann"), format!("{round} of Ben")];
    ann.says(&said[0]).await;
    ben.until(&said[0], |event| heard(event, &said[0])).await;
    ben.says(&said[1]).await;
    ann.until(&said[1], |event| heard(event, &said[1])).await;
}

fn heard(event: &Event, text: &str) -> Option<()> {
    match event {
        Event::Message(message) => (message.text == text).then_some(()),
        Event::Doubt(_) | Event::Silence { .. } | Event::Deleted { .. } => {
            panic!("a false alarm: {event:?}")
        }
        _ => None,
    }
}

async fn forgets_in_time(person: &Person) {
    for _ in 0..=KEPT.as_secs() / MINUTE.as_secs() {
        pass(MINUTE).await;
    }
    assert_eq!(texts(person).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_is_a_year_off_founds_joins_and_talks() {
    for (ann_is_off, ben_is_off) in [(YEAR_SECONDS, 0), (0, YEAR_SECONDS), (-YEAR_SECONDS, 0)] {
        let world = World::start().await;
        let (anns, bens) = (Off::default(), Off::default());
        anns.set(ann_is_off);
        bens.set(ben_is_off);
        let device = |off: &Off| ClientOptions::memory().wall_clock(off.clock());
        let options = room(&world, "Ann", Admission::Link);
        let ann = world.founder_of(options, device(&anns)).await;
        let ben = world
            .joiner_on("Ben", &ann.link().await, device(&bens))
            .await;
        talk(&ann, &ben, "at once").await;
        pass(KEPT / 2).await;
        talk(&ann, &ben, "later").await;
        assert_eq!(texts(&ann).await.len(), 4);
        assert_eq!(texts(&ben).await, texts(&ann).await);
        forgets_in_time(&ann).await;
        forgets_in_time(&ben).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_knocks_with_a_clock_a_year_off_is_let_in() {
    for seconds in [YEAR_SECONDS, -YEAR_SECONDS] {
        let world = World::start().await;
        let off = Off::default();
        off.set(seconds);
        let right = ClientOptions::memory().wall_clock(wall_clock());
        let options = room(&world, "Ann", Admission::Chat);
        let ann = world.founder_of(options, right).await;
        let link = ann.link().await;
        let device = ClientOptions::memory().wall_clock(off.clock());
        let ben = world.knocking_on("Ben", &link, device).await;
        is_told_of_days(&ben, -seconds / 86_400).await;
        ben.until_standing(Standing::In).await;
        talk(&ann, &ben, "inside").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_a_year_takes_nothing_away_over_a_restart_without_a_line() {
    for seconds in [YEAR_SECONDS, -YEAR_SECONDS] {
        let world = World::start().await;
        let off = Off::default();
        let right = ClientOptions::memory().wall_clock(wall_clock());
        let options = room(&world, "Ann", Admission::Link);
        let ann = world.founder_of(options, right).await;
        let vault = SharedVault::new(MemoryVault::new());
        let device = || ClientOptions::vault(vault.clone()).wall_clock(off.clock());
        let ben = world.joiner_on("Ben", &ann.link().await, device()).await;
        talk(&ann, &ben, "before").await;
        off.set(seconds);
        pass(MINUTE).await;
        talk(&ann, &ben, "after").await;
        ben.network.cut();
        ben.says("without a line").await;
        ben.client.close().await;
        // Nobody confirms the date until there is a line again.
        let network = Network::to(&world.relay);
        network.cut();
        let client = Client::open(device().dialer(Arc::new(network.clone())));
        let client = client.await.unwrap();
        let conversation = client.conversations().pop().unwrap();
        let ben = Person {
            client,
            network,
            conversation,
        };
        pass(MINUTE).await;
        assert_eq!(texts(&ben).await.len(), 4, "nothing is gone");
        ben.network.mend(&world.relay);
        is_told_of_days(&ben, -seconds / 86_400).await;
        ann.until("without a line", |event| heard(event, "without a line"))
            .await;
        off.set(0);
        talk(&ann, &ben, "put right").await;
        assert_eq!(texts(&ben).await.len(), 7);
        forgets_in_time(&ben).await;
    }
}
