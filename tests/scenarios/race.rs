//! Many wait at a desk, and all who are on duty claim all of them at once while the relay dies under them:
//! each who waits is answered by exactly one, and who left by nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sotto_client::{ClientOptions, DeskPlan, OrganisationKey, Standing};
use sotto_server::identity::Identity;
use sotto_server::retention::Keys;
use sotto_tests::dice::Dice;
use sotto_tests::relay::TestRelay;
use sotto_tests::store::WatchedStore;
use sotto_tests::world::{Person, World, pass, wall_clock};
use tokio::task::{JoinSet, yield_now};

use crate::desk::{ends_as, is_ready, plan, seeker, sees_words, supporter};

const SEEKERS: usize = 12;
const LEAVERS: usize = 2;
const SUPPORTERS: usize = 4;

/// A relay that dies and is there again with what it had acknowledged.
struct Mortal {
    world: World,
    store: Arc<WatchedStore>,
    keys: Arc<Keys>,
    /// Where its identity is.
    folder: tempfile::TempDir,
}

impl Mortal {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Identity::create(&folder.path().join("identity")).unwrap();
        let (store, keys) = (WatchedStore::new(), Arc::new(Keys::in_memory()));
        let world = around(&store, &keys, &folder).await;
        Self {
            world,
            store,
            keys,
            folder,
        }
    }

    /// Nothing that it had not answered is known to be done, or not done.
    async fn dies(&mut self, people: &[Person]) {
        people.iter().for_each(|person| person.network.cut());
        self.store = self.store.copy().await;
        self.world = around(&self.store, &self.keys, &self.folder).await;
        for person in people {
            person.network.mend(&self.world.relay);
        }
    }
}

async fn around(store: &Arc<WatchedStore>, keys: &Arc<Keys>, folder: &tempfile::TempDir) -> World {
    let identity = Identity::load(&folder.path().join("identity")).unwrap();
    World::around(TestRelay {
        store: Arc::clone(store) as _,
        keys: Arc::clone(keys),
        identity: Some(identity),
        ..TestRelay::default()
    })
    .await
}

fn words(seeker: usize) -> String {
    format!("seeker {seeker}")
}

/// Where the relay dies.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// It has written nothing of what is claimed.
    Before,
    /// It has written all of it, and nobody has heard so.
    After,
    /// Somewhere on the way; so many turns of the test's one thread after the claims began.
    Within(usize),
}

/// All who are on duty claim these tickets, each in an order of their own.
async fn claim(supporters: &[Person], of: &[String], dice: &mut Dice) {
    let mut claims = JoinSet::new();
    for supporter in supporters {
        let mut tickets = supporter.conversation.tickets().await.unwrap();
        tickets.retain(|one| of.contains(&one.ticket.words));
        while !tickets.is_empty() {
            let ticket = tickets.swap_remove(dice.index(tickets.len()));
            let (client, team) = (supporter.client.clone(), supporter.conversation.clone());
            claims.spawn(async move {
                // The desk may have noticed meanwhile that somebody else answered.
                let _ = client.take(&team, ticket.id, "Ben").await;
            });
        }
    }
    claims.join_all().await;
}

/// The same, while the relay dies.
async fn claim_as_it_dies(
    relay: &mut Mortal,
    people: &[Person],
    of: &[String],
    moment: Moment,
    dice: &mut Dice,
) {
    let supporters = &people[1..=SUPPORTERS];
    let before = chats_of(supporters).await;
    match moment {
        Moment::Before => relay.store.hold(true),
        Moment::After => people.iter().for_each(|person| person.network.hold(true)),
        Moment::Within(_) => {}
    }
    claim(supporters, of, dice).await;
    if let Moment::Within(turns) = moment {
        for _ in 0..turns {
            yield_now().await;
        }
        relay.store.hold(true);
    }
    // Whatever can happen now happens: time passes once nobody has anything left to do.
    pass(Duration::from_millis(1)).await;
    let during = chats_of(supporters).await;
    if !matches!(moment, Moment::Within(_)) {
        assert_eq!(before, during, "a claim was answered before {moment:?}");
    }
    relay.dies(people).await;
    people.iter().for_each(|person| person.network.hold(false));
}

/// Chats that these are in.
async fn chats_of(supporters: &[Person]) -> usize {
    let mut chats = 0;
    for supporter in supporters {
        for chat in supporter.client.conversations() {
            chats += usize::from(chat.standing().await.unwrap() == Standing::In);
        }
    }
    chats
}

/// How many chats of these supporters hold the words of each who waited, and what else they hold.
async fn answered(supporters: &[Person]) -> BTreeMap<String, usize> {
    let mut chats = BTreeMap::new();
    for supporter in supporters {
        for chat in supporter.client.conversations() {
            let standing = chat.standing().await.unwrap();
            assert!(
                matches!(standing, Standing::In | Standing::Left),
                "a chat is {standing:?} in the end"
            );
            let said = chat.history_before(None, 10).await.unwrap_or_default();
            for one in said {
                *chats.entry(one.text).or_default() += 1;
            }
        }
    }
    chats
}

async fn race(seed: u64) {
    let (mut relay, mut dice) = (Mortal::new().await, Dice::new(seed));
    let people = crowd(&relay.world).await;
    let (supporters, seekers) = people[1..].split_at(SUPPORTERS);
    for leaver in &seekers[..LEAVERS] {
        leaver.conversation.leave().await.unwrap();
        ends_as(&leaver.conversation, Standing::Left).await;
    }
    // One more goes as the claims begin.
    seekers[LEAVERS].conversation.leave().await.unwrap();
    let all: Vec<_> = (0..SEEKERS).map(words).collect();
    let moments = [
        Moment::Before,
        Moment::After,
        Moment::Within(dice.index(200)),
        Moment::Within(dice.index(2_000)),
    ];
    for (of, moment) in all.chunks(SEEKERS / moments.len()).zip(moments) {
        claim_as_it_dies(&mut relay, &people, of, moment, &mut dice).await;
    }
    // Leases of claims that were granted and never heard of run out, and what is left is claimed again.
    for _ in 0..10 {
        relay.world.relay.clock.advance(Duration::from_secs(60));
        pass(Duration::from_secs(60)).await;
        claim(supporters, &all, &mut dice).await;
    }
    pass(Duration::from_secs(60)).await;
    judge(supporters, seekers).await;
}

/// Ann's desk, those who are on duty, and those who wait.
async fn crowd(world: &World) -> Vec<Person> {
    let options = ClientOptions::memory().wall_clock(wall_clock());
    let ann = world.founder_of(world.room("Ann"), options).await;
    let plan = DeskPlan {
        chats_each: 100,
        ..plan()
    };
    let organisation = OrganisationKey::random().unwrap();
    ann.conversation
        .found_desk(organisation, plan)
        .await
        .unwrap();
    is_ready(&ann).await;
    let mut people = vec![ann];
    for number in 0..SUPPORTERS {
        people.push(supporter(world, &people[0], &format!("Ben {number}")).await);
    }
    for number in 0..SEEKERS {
        people.push(seeker(world, &people[0], &words(number)).await);
    }
    for supporter in &people[1..=SUPPORTERS] {
        sees_words(supporter, &words(SEEKERS - 1)).await;
    }
    people
}

/// Each who waits is answered once, who left before by nobody, and who leaves meanwhile once at most.
async fn judge(supporters: &[Person], seekers: &[Person]) {
    let chats = answered(supporters).await;
    for (number, seeker) in seekers.iter().enumerate() {
        let (by, words) = (chats.get(&words(number)).copied(), words(number));
        let standing = seeker.conversation.standing().await.unwrap();
        if number < LEAVERS {
            assert_eq!((by, standing), (None, Standing::Left), "{words}");
            continue;
        }
        if number == LEAVERS {
            assert!(by.is_none_or(|by| by == 1), "{words}: {by:?}");
            assert_eq!(standing, Standing::Left, "{words}");
            continue;
        }
        assert_eq!((by, standing), (Some(1), Standing::In), "{words}");
        let members = seeker.conversation.members().await.unwrap();
        assert_eq!(members.len(), 2, "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_is_answered_by_one_while_all_claim_all_and_the_relay_dies() {
    for seed in 1..=3 {
        race(seed).await;
    }
}
