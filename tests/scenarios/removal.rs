//! Removal at the relay itself: connections that stay open, keys that were kept, and keys that
//! nobody was told of.

use std::time::Duration;

use sotto_client::vault::{MemoryVault, SharedVault};
use sotto_client::{ClientOptions, Command, Event, Standing};
use sotto_protocol::frame::{Answer, Describe, Grant, Grants, NewGrants, Verb};
use sotto_protocol::id::LogId;
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use sotto_tests::peer::{TestLog, retry, secret};
use sotto_tests::world::{Person, World, pass};
use x25519_dalek::StaticSecret;

use crate::membership::kept;

/// A device, and what is on its disk.
fn device() -> (ClientOptions, SharedVault) {
    let vault = SharedVault::new(MemoryVault::new());
    (ClientOptions::vault(vault.clone()), vault)
}

fn manage_key(vault: &SharedVault) -> StaticSecret {
    kept(vault, "manage").into()
}

async fn until_rotated(person: &Person) {
    person
        .until("a rotation", |event| {
            (*event == Event::Rotated).then_some(())
        })
        .await;
}

/// Ann and Ben, who both facilitate, what is on their disks, and Cay.
struct Three {
    ann: Person,
    ben: Person,
    cay: Person,
    anns: SharedVault,
    bens: SharedVault,
}

impl Three {
    async fn of(world: &World) -> Self {
        let (options, anns) = device();
        let ann = world.founder_of(world.room("Ann"), options).await;
        let (options, bens) = device();
        let ben = world.joiner_on("Ben", &ann.link().await, options).await;
        let cay = world.joiner("Cay", &ann.link().await).await;
        promote_ben(&ann, &ben).await;
        pass(Duration::from_secs(10)).await;
        Self {
            ann,
            ben,
            cay,
            anns,
            bens,
        }
    }
}

/// Ben facilitates from now on.
async fn promote_ben(ann: &Person, ben: &Person) {
    let leaf = ann.leaf_of("Ben").await;
    let promote = ann.conversation.command(Command::Promote(leaf));
    promote.await.unwrap();
    ben.until("the change", |event| {
        matches!(event, Event::RulesChanged { .. }).then_some(())
    })
    .await;
}

/// The grants that are in force.
async fn in_force(world: &World, log: &LogId, manage: &StaticSecret) -> Vec<Grant> {
    let keys = [public_key(manage)];
    let described = world.relay.logs.describe(log, &keys).await.unwrap();
    let mut grants = described.grants;
    grants.retain(|grant| grant.until_seq.is_none());
    grants
}

async fn head(world: &World, log: &LogId, manage: &StaticSecret) -> u64 {
    let keys = [public_key(manage)];
    world.relay.logs.open(log, &keys).await.unwrap().head
}

async fn texts(person: &Person) -> Vec<String> {
    let history = person.conversation.history().await.unwrap();
    history.into_iter().map(|message| message.text).collect()
}

/// A device that does not hear of anything meanwhile says something on its open connection; how many
/// messages as long as an entry pass. The first that comes from the relay may be one of them.
async fn says_unhearing(ben: &Person, text: &str) -> usize {
    let long = |ben: &Person| {
        let overheard = ben.network.overheard();
        overheard.iter().filter(|one| one.len() >= 1_024).count()
    };
    let before = long(ben);
    ben.says(text).await;
    pass(Duration::from_secs(2)).await;
    long(ben) - before
}

#[tokio::test(start_paused = true)]
async fn an_open_connection_of_a_removed_member_appends_nothing_behind_the_cut() {
    let world = World::start().await;
    let (options, vault) = device();
    let ann = world.founder_of(world.room("Ann"), options).await;
    let ben = world.joiner("Ben", &ann.link().await).await;
    let cay = world.joiner("Cay", &ann.link().await).await;
    pass(Duration::from_secs(10)).await;
    let (log, manage) = (LogId::new(kept(&vault, "log")), manage_key(&vault));
    ben.network.listen_in();
    // While he is in, such a connection carries his words.
    ben.network.hold(true);
    let before = head(&world, &log, &manage).await;
    assert!(says_unhearing(&ben, "early").await > 0);
    assert_eq!(head(&world, &log, &manage).await, before + 1);
    ben.network.hold(false);
    assert_eq!(cay.hears_texts(1).await, ["early"]);
    pass(Duration::from_secs(10)).await;
    ben.network.hold(true);
    let leaf = ann.leaf_of("Ben").await;
    ann.conversation.remove(leaf).await.unwrap();
    until_rotated(&cay).await;
    cay.says("after").await;
    pass(Duration::from_secs(10)).await;
    let cut = head(&world, &log, &manage).await;
    assert_eq!(says_unhearing(&ben, "late").await, 1, "he does not know");
    assert_eq!(head(&world, &log, &manage).await, cut, "and is refused");
    ben.network.hold(false);
    ben.until_standing(Standing::Removed).await;
    pass(Duration::from_secs(60)).await;
    assert_eq!(head(&world, &log, &manage).await, cut);
    for person in [&ann, &cay] {
        assert_eq!(texts(person).await, ["early", "after"]);
        assert_eq!(person.names().await, ["Ann", "Cay"]);
    }
    assert_eq!(texts(&ben).await, ["early"]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_facilitators_key_does_nothing_on_its_open_connection_nor_on_another() {
    let world = World::start().await;
    let Three {
        ann,
        ben,
        cay,
        anns,
        bens,
    } = Three::of(&world).await;
    let (log, key) = (LogId::new(kept(&anns, "log")), manage_key(&bens));
    let mut open = world.relay.peer().await;
    open.open_log(&log, &key).await.unwrap();
    let Ok(Answer::Described(described)) = open.call(Verb::Describe(Describe { log })).await else {
        panic!("he manages it")
    };
    open.say(&log, "noise").await.unwrap();
    let leaf = ann.leaf_of("Ben").await;
    ann.conversation.remove(leaf).await.unwrap();
    ben.until_standing(Standing::Removed).await;
    until_rotated(&cay).await;
    pass(Duration::from_secs(10)).await;
    let cut = head(&world, &log, &manage_key(&anns)).await;
    cay.says("after").await;
    pass(Duration::from_secs(10)).await;
    let behind = head(&world, &log, &manage_key(&anns)).await;
    assert!(behind > cut);
    let grants = in_force(&world, &log, &manage_key(&anns)).await;
    let mut again = world.relay.peer().await;
    again.open_log(&log, &key).await.unwrap();
    for peer in [&mut open, &mut again] {
        peer.say(&log, "late").await.unwrap_err();
        let new = NewGrants {
            cut: true,
            list: described.grants.clone(),
            version: described.version + 1,
        };
        let (day, retry) = (peer.day(), retry());
        let change = Grants {
            day,
            log,
            new,
            retry,
        };
        peer.call(Verb::Grants(change)).await.unwrap_err();
        let describe = Verb::Describe(Describe { log });
        peer.call(describe).await.unwrap_err();
        let Ok(Answer::Page(page)) = peer.read(&log, 0).await else {
            panic!("up to the cut he may read")
        };
        let last = page.entries.last().unwrap().seq;
        assert!(last < cut, "{last}, and the snapshot stands at {cut}");
    }
    assert_eq!(head(&world, &log, &manage_key(&anns)).await, behind);
    assert_eq!(in_force(&world, &log, &manage_key(&anns)).await, grants);
    cay.says("still here").await;
    ann.until("her words", |event| match event {
        Event::Message(message) => (message.text == "still here").then_some(()),
        _ => None,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_facilitator_with_a_secret_second_manage_key_is_found_out_and_it_manages_no_more() {
    let world = World::start().await;
    let Three {
        ann,
        ben,
        cay,
        anns,
        bens,
    } = Three::of(&world).await;
    let (log, hidden) = (LogId::new(kept(&anns, "log")), secret());
    let mut accomplice = world.relay.peer().await;
    accomplice.open_log(&log, &manage_key(&bens)).await.unwrap();
    let describe = Verb::Describe(Describe { log });
    let Ok(Answer::Described(described)) = accomplice.call(describe).await else {
        panic!("Ben manages it")
    };
    let mut list = described.grants;
    list.retain(|grant| grant.until_seq.is_none());
    let honest: Vec<_> = list
        .iter()
        .filter(|one| one.rights.contains(Rights::MANAGE))
        .map(|one| one.key)
        .collect();
    assert_eq!(
        honest,
        [&anns, &bens].map(|vault| public_key(&manage_key(vault)))
    );
    list.push(TestLog::grant(&hidden, Rights::ALL));
    let new = NewGrants {
        cut: true,
        list,
        version: described.version,
    };
    let (day, retry) = (accomplice.day(), retry());
    let change = Grants {
        day,
        log,
        new,
        retry,
    };
    accomplice.call(Verb::Grants(change)).await.unwrap();
    // It works: the key alone manages the log.
    let mut stranger = world.relay.peer().await;
    stranger.open_log(&log, &hidden).await.unwrap();
    let describe = Verb::Describe(Describe { log });
    stranger.call(describe.clone()).await.unwrap();
    // Ann's line ends some time, as lines do.
    ann.network.end_lines();
    ann.until("an alarm", |event| {
        (*event == Event::HiddenManager { count: 1 }).then_some(())
    })
    .await;
    until_rotated(&cay).await;
    pass(Duration::from_secs(10)).await;
    let grants = in_force(&world, &log, &manage_key(&anns)).await;
    let manages = grants
        .iter()
        .filter(|one| one.rights.contains(Rights::MANAGE));
    let managers: Vec<_> = manages.map(|one| one.key).collect();
    assert_eq!(managers, honest);
    assert_eq!(grants.len(), 4, "with one member key and one link");
    stranger.call(describe).await.unwrap_err();
    stranger.say(&log, "late").await.unwrap_err();
    cay.says("on it goes").await;
    ben.until("her words", |event| match event {
        Event::Message(message) => (message.text == "on it goes").then_some(()),
        _ => None,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_target_of_removal_wins_the_race_at_the_relay_and_grants_and_policy_agree() {
    let world = World::start().await;
    let Three {
        ann,
        ben,
        cay,
        anns,
        bens,
    } = Three::of(&world).await;
    let log = LogId::new(kept(&anns, "log"));
    let managers = async |world: &World| {
        let mut grants = in_force(world, &log, &manage_key(&anns)).await;
        let count = grants.len();
        grants.retain(|one| one.rights.contains(Rights::MANAGE));
        let keys: Vec<_> = grants.into_iter().map(|one| one.key).collect();
        (keys, count)
    };
    let both = [&anns, &bens].map(|vault| public_key(&manage_key(vault)));
    assert_eq!(managers(&world).await.0, both);
    let leaf = ann.leaf_of("Ben").await;
    // What Ann hears stands still, so that Ben's Commit is the first.
    ann.network.hold(true);
    ben.conversation.command(Command::Rotate).await.unwrap();
    until_rotated(&cay).await;
    ann.conversation.remove(leaf).await.unwrap();
    pass(Duration::from_secs(2)).await;
    assert_eq!(cay.names().await, ["Ann", "Ben", "Cay"]);
    assert_eq!(managers(&world).await.0, both);
    ann.network.hold(false);
    ben.until_standing(Standing::Removed).await;
    until_rotated(&cay).await;
    pass(Duration::from_secs(10)).await;
    let (left, count) = managers(&world).await;
    assert_eq!(left, both[..1]);
    assert_eq!(count, 3, "Ann's, the epoch's and the link's");
    for person in [&ann, &cay] {
        assert_eq!(person.names().await, ["Ann", "Cay"]);
    }
    let [anns, cays] = [&ann, &cay].map(|person| person.conversation.fingerprint());
    assert_eq!(anns.await.unwrap(), cays.await.unwrap());
    cay.says("here").await;
    assert_eq!(ann.hears_texts(1).await, ["here"]);
}
