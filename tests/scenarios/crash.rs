//! A client dies at any batch of its vault: nothing is lost, doubled or out of order, and everybody
//! ends in one epoch.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::vault::VaultKey;
use sotto_client::{Client, ClientOptions, Conversation, Event, JoinOptions, Link, Standing};
use sotto_server::identity::Identity;
use sotto_server::retention::Keys;
use sotto_tests::device::{Death, Start, Survivor, until_all, until_members, until_texts};
use sotto_tests::relay::TestRelay;
use sotto_tests::store::WatchedStore;
use sotto_tests::world::World;
use tokio::time::timeout;

/// Whose device dies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Facilitator,
    Member,
}

fn joins(link: &Link, name: &str) -> Start {
    let name = name.to_owned();
    Start::Join(link.clone(), JoinOptions { name })
}

/// Waits until all have a link that is not this one.
async fn until_link(people: Vec<&mut Survivor>, other_than: Option<&Link>) -> Link {
    let found = Mutex::new(None);
    until_all(people, "a link", async |conversation: &Conversation| {
        let link = conversation.link().await?;
        let is_new = link.is_some() && link.as_ref() != other_than;
        if is_new {
            *found.lock().unwrap() = link;
        }
        Ok(is_new)
    })
    .await;
    found.into_inner().unwrap().unwrap()
}

/// Founding, two joins, talk, a removal with rotation, talk; one device dies on the way. Answers
/// whether it did.
async fn live_through(who: Who, death: Death) -> bool {
    let world = World::start().await;
    let of = |whose| if who == whose { death } else { Death::Never };
    let found = Start::Found(world.room("Ann"));
    let mut ann = Survivor::new(&world, found, of(Who::Facilitator)).await;
    let link = until_link(vec![&mut ann], None).await;
    let mut ben = Survivor::new(&world, joins(&link, "Ben"), of(Who::Member)).await;
    let mut cay = Survivor::new(&world, joins(&link, "Cay"), Death::Never).await;
    until_members(vec![&mut ann, &mut ben, &mut cay], 3).await;
    ann.says("Ann is here").await;
    ben.says("Ben is here").await;
    cay.says("Cay is here").await;
    until_texts(vec![&mut ann, &mut ben, &mut cay], 3).await;
    let members = cay.conversation.members().await.unwrap();
    let leaf = members.iter().find(|member| member.is_me).unwrap().leaf;
    ann.removes(leaf).await;
    until_members(vec![&mut ann, &mut ben], 2).await;
    until_link(vec![&mut ann, &mut ben], Some(&link)).await;
    ann.says("Ann stays").await;
    ben.says("Ben stays").await;
    until_texts(vec![&mut ann, &mut ben], 5).await;
    // Whatever would still come late or a second time comes before this.
    ben.says("the last").await;
    until_texts(vec![&mut ann, &mut ben], 6).await;
    let texts = ann.texts().await;
    assert_eq!(ben.texts().await, texts, "one order for both, {death:?}");
    let mut once = texts.clone();
    once.sort();
    let expected = [
        "Ann is here",
        "Ann stays",
        "Ben is here",
        "Ben stays",
        "Cay is here",
        "the last",
    ];
    assert_eq!(once, expected, "{death:?}");
    if who == Who::Facilitator {
        ann.has_crashed
    } else {
        ben.has_crashed
    }
}

async fn die_everywhere(who: Who, at: impl Fn(u64) -> Death) {
    let mut deaths = 0;
    while {
        // Shown when the test fails.
        println!("{:?}", at(deaths + 1));
        live_through(who, at(deaths + 1)).await
    } {
        deaths += 1;
    }
    assert!(deaths >= 10, "only {deaths} batches were tried");
}

#[tokio::test(start_paused = true)]
async fn a_facilitators_batch_is_lost_wherever() {
    die_everywhere(Who::Facilitator, Death::Before).await;
}

#[tokio::test(start_paused = true)]
async fn a_facilitator_dies_behind_any_batch() {
    die_everywhere(Who::Facilitator, Death::After).await;
}

#[tokio::test(start_paused = true)]
async fn a_members_batch_is_lost_wherever() {
    die_everywhere(Who::Member, Death::Before).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_dies_behind_any_batch() {
    die_everywhere(Who::Member, Death::After).await;
}

#[tokio::test]
async fn two_processes_on_one_vault_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = || ClientOptions::folder(folder.path(), VaultKey::raw([7; 32]));
    let first = Client::open(options()).await.unwrap();
    let second = Client::open(options()).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::VaultInUse);
    first.close().await;
    drop(first);
    Client::open(options()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_append_without_an_answer_is_the_same_entry_after_a_restart_of_the_relay() {
    let (store, keys) = (WatchedStore::new(), Arc::new(Keys::in_memory()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity");
    let relay = |identity| TestRelay {
        store: store.clone(),
        keys: keys.clone(),
        identity: Some(identity),
        ..TestRelay::default()
    };
    let mut world = World::around(relay(Identity::create(&file).unwrap())).await;
    let ann = world.founder("Ann").await;
    let ben = world.joiner("Ben", &ann.link().await).await;
    ann.says("before").await;
    assert_eq!(ben.hears_texts(1).await, ["before"]);
    assert_eq!(ann.hears_texts(1).await, ["before"]);
    store.hold(true);
    for n in 0..5 {
        ann.says(&format!("unanswered {n}")).await;
    }
    store.until_held().await;
    ann.network.cut();
    ben.network.cut();
    store.hold(false);
    let after = World::around(relay(Identity::load(&file).unwrap())).await;
    let before = std::mem::replace(&mut world, after);
    before.relay.stop().await;
    ann.network.mend(&world.relay);
    ben.network.mend(&world.relay);
    ann.says("after").await;
    let expected: Vec<_> = (0..5)
        .map(|n| format!("unanswered {n}"))
        .chain(["after".to_owned()])
        .collect();
    for person in [&ann, &ben] {
        let mut texts = Vec::new();
        while texts.len() < expected.len() {
            let text = |event: &Event| match event {
                Event::Message(message) => Some(message.text.clone()),
                // What an entry that stands twice would be to others, and to its author.
                Event::Junk { .. } | Event::Returned { .. } => panic!("an entry stands twice"),
                _ => None,
            };
            texts.push(person.until("a text", text).await);
        }
        assert_eq!(texts, expected);
    }
}

/// The only one there leaves, on a device whose disk dies so; answers whether it did.
async fn last_one_leaves(death: Death) -> bool {
    let world = World::start().await;
    let found = Start::Found(world.room("Ann"));
    let mut ann = Survivor::new(&world, found, Death::Never).await;
    let link = until_link(vec![&mut ann], None).await;
    ann.restart_on(ann.disk.vault(death)).await;
    let first = ann.conversation.clone();
    let is_gone = async |conversation: &Conversation| {
        // What a crash took with it, the person wants again.
        let _ = conversation.leave().await;
        while let Some(event) = conversation.next_event().await {
            if event == Event::Standing(Standing::Left) {
                break;
            }
        }
    };
    let patience = Duration::from_secs(3_600);
    let in_time = timeout(patience, is_gone(&first)).await;
    in_time.expect("the end, or a dead disk");
    ann.network.end_lines();
    let start_again = || {
        let options = ClientOptions::vault(ann.disk.vault(Death::Never));
        Client::open(options.dialer(Arc::new(ann.network.clone())))
    };
    let again = start_again().await.unwrap();
    let kept = again.conversations().pop();
    if let Some(kept) = &kept {
        let in_time = timeout(patience, is_gone(kept)).await;
        in_time.expect("the end after a restart");
    }
    let left = start_again().await.unwrap().conversations();
    assert!(left.is_empty(), "nothing of it is there");
    let ben = world.knocking("Ben", &link).await;
    ben.until("a refusal", |event| {
        (*event == Event::Refused).then_some(())
    })
    .await;
    kept.is_some()
}

#[tokio::test(start_paused = true)]
async fn the_last_one_leaves_for_good_wherever_the_device_dies() {
    for death in [Death::Before, Death::After] {
        let mut deaths = 0;
        for batch in 2..=14 {
            // Shown when the test fails.
            println!("{:?}", death(batch));
            deaths += u64::from(last_one_leaves(death(batch)).await);
        }
        assert!(deaths >= 2, "only {deaths} batches were tried");
    }
}
