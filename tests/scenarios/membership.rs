//! Who is in, who is out, and what each can read.

use std::time::Duration;

use sotto_client::vault::{MemoryVault, SharedVault};
use sotto_client::{ClientOptions, Command, Event, Standing};
use sotto_protocol::frame::Lane;
use sotto_protocol::id::LogId;
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use sotto_tests::world::{Person, World, pass};

#[tokio::test(start_paused = true)]
async fn a_removed_member_reads_nothing_after_and_a_newcomer_nothing_before() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let old_link = ann.link().await;
    let ben = world.joiner("Ben", &old_link).await;
    let cay = world.joiner("Cay", &old_link).await;
    ann.says("before").await;
    assert_eq!(ben.hears_texts(1).await, ["before"]);
    assert_eq!(cay.hears_texts(1).await, ["before"]);
    let members = ann.conversation.members().await.unwrap();
    let leaf = members
        .iter()
        .find(|member| member.name.as_deref() == Some("Ben"))
        .unwrap()
        .leaf;
    ann.conversation.remove(leaf).await.unwrap();
    ben.until_standing(Standing::Removed).await;
    cay.until("rotation", |event| (*event == Event::Rotated).then_some(()))
        .await;
    ann.until("rotation", |event| (*event == Event::Rotated).then_some(()))
        .await;
    ann.says("after").await;
    assert_eq!(cay.hears_texts(1).await, ["after"]);
    assert!(ben.conversation.send("late").await.is_err());
    let kept: Vec<_> = ben
        .conversation
        .history()
        .await
        .unwrap()
        .into_iter()
        .map(|message| message.text)
        .collect();
    assert_eq!(kept, ["before"]);
    let new_link = ann.link().await;
    assert_ne!(new_link, old_link);
    let dan = world.joiner("Dan", &new_link).await;
    cay.says("welcome").await;
    assert_eq!(dan.hears_texts(1).await, ["welcome"]);
    assert_eq!(dan.names().await, ["Ann", "Cay", "Dan"]);
    let eve = world.knocking("Eve", &old_link).await;
    eve.until("a refusal", |event| {
        (*event == Event::Refused).then_some(())
    })
    .await;
}

/// 32 bytes with this name in what a conversation keeps on its device.
pub(super) fn kept(vault: &SharedVault, name: &str) -> [u8; 32] {
    let mark = [
        &[0x60 + u8::try_from(name.len()).unwrap()],
        name.as_bytes(),
        &[0x58, 0x20],
    ]
    .concat();
    let found = vault.with(|vault| {
        let spaces = vault.spaces().unwrap().into_iter();
        let mut rows = spaces.flat_map(|space| vault.load(space).unwrap());
        let (_, state) = rows.find(|(row, _)| row == b"state").unwrap();
        let at = state.windows(mark.len()).position(|some| some == mark);
        let value = &state[at.unwrap() + mark.len()..];
        value[..32].to_vec()
    });
    found.try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn no_key_of_before_a_removal_reads_or_writes_anything_behind_it_at_the_relay() {
    let world = World::start().await;
    let vault = SharedVault::new(MemoryVault::new());
    let device = ClientOptions::vault(vault.clone());
    let ann = world.founder_of(world.room("Ann"), device).await;
    let ben = world.joiner("Ben", &ann.link().await).await;
    let cay = world.joiner("Cay", &ann.link().await).await;
    ann.says("before").await;
    assert_eq!(ben.hears_texts(1).await, ["before"]);
    assert_eq!(cay.hears_texts(1).await, ["before"]);
    pass(Duration::from_secs(10)).await;
    let (log, logs) = (LogId::new(kept(&vault, "log")), &world.relay.logs);
    let manage = public_key(&kept(&vault, "manage").into());
    let grants = logs.describe(&log, &[manage]).await.unwrap().grants;
    let cut = logs.open(&log, &[manage]).await.unwrap().head + 1;
    ann.conversation
        .remove(ann.leaf_of("Ben").await)
        .await
        .unwrap();
    ben.until_standing(Standing::Removed).await;
    cay.until("rotation", |event| (*event == Event::Rotated).then_some(()))
        .await;
    ann.says("after").await;
    assert_eq!(cay.hears_texts(1).await, ["after"]);
    let head = logs.open(&log, &[manage]).await.unwrap().head;
    assert!(head >= cut + 2, "a snapshot and a word");
    // All keys that anybody had, but the one that stays with who facilitates.
    let others = grants.iter().filter(|grant| grant.key != manage);
    let (mut readers, mut joiners) = (0, 0);
    for grant in others {
        let keys = [grant.key];
        let reads = grant.rights.contains(Rights::READ);
        let lane = if reads { Lane::All } else { Lane::Fenced };
        let opened = logs.open(&log, &keys).await.unwrap();
        let writes = [Rights::APPEND, Rights::FENCE, Rights::PIN];
        let may = writes.iter().any(|right| opened.rights.contains(*right));
        assert!(!may && opened.head == cut, "{opened:?}");
        let page = logs.page(&log, &keys, lane, 0, 1_024).await.unwrap();
        let last = page.entries.last().unwrap().seq;
        assert!(last <= cut, "{last}");
        readers += usize::from(reads);
        joiners += usize::from(!reads);
    }
    assert!(readers >= 2 && joiners == 1, "{readers} and {joiners}");
}

#[tokio::test(start_paused = true)]
async fn twenty_join_by_link_at_once_and_nobody_forks() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let link = ann.link().await;
    let mut joiners = Vec::new();
    for n in 0..20 {
        joiners.push(world.knocking(&format!("P{n}"), &link).await);
    }
    for joiner in &joiners {
        joiner.until_standing(Standing::Waiting).await;
    }
    ann.until("twenty joins", {
        let mut joined = 0;
        move |event| {
            joined += u32::from(matches!(event, Event::Joined { .. }));
            (joined == 20).then_some(())
        }
    })
    .await;
    ann.says("welcome, all").await;
    for joiner in &joiners {
        assert_eq!(joiner.hears_texts(1).await, ["welcome, all"]);
        assert_eq!(joiner.conversation.members().await.unwrap().len(), 21);
    }
    joiners[7].says("thank you").await;
    for joiner in &joiners {
        assert_eq!(joiner.hears_texts(1).await, ["thank you"]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_let_go_and_the_secret_is_renewed() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let link = ann.link().await;
    let ben = world.joiner("Ben", &link).await;
    let cay = world.joiner("Cay", &link).await;
    ben.conversation.leave().await.unwrap();
    ben.until_standing(Standing::Left).await;
    for left in [&ann, &cay] {
        left.until("the leaving", |event| {
            matches!(event, Event::Left { .. }).then_some(())
        })
        .await;
        left.until("rotation", |event| (*event == Event::Rotated).then_some(()))
            .await;
        assert_eq!(left.names().await, ["Ann", "Cay"]);
    }
    assert!(ben.conversation.history().await.unwrap().is_empty());
    assert_ne!(ann.link().await, link);
}

#[tokio::test(start_paused = true)]
async fn a_promoted_member_can_remove_and_rotate() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let link = ann.link().await;
    let ben = world.joiner("Ben", &link).await;
    let cay = world.joiner("Cay", &link).await;
    ann.until("Ben's hello", |event| {
        matches!(event, Event::Named { name, .. } if name.0 == "Ben").then_some(())
    })
    .await;
    let ben_leaf = ben.leaf_of("Ben").await;
    assert!(
        ben.conversation
            .remove(ben.leaf_of("Ann").await)
            .await
            .is_err()
    );
    ann.conversation
        .command(sotto_client::Command::Promote(ben_leaf))
        .await
        .unwrap();
    ben.until("the change", |event| {
        matches!(event, Event::RulesChanged { .. }).then_some(())
    })
    .await;
    ben.until("rotation", |event| (*event == Event::Rotated).then_some(()))
        .await;
    ben.conversation
        .remove(ben.leaf_of("Ann").await)
        .await
        .unwrap();
    ann.until_standing(Standing::Removed).await;
    cay.until("a removal", |event| {
        matches!(event, Event::Removed { .. }).then_some(())
    })
    .await;
    // A newcomer believes Ben's snapshot, since Ann vouched for Ben.
    cay.until("rotation", |event| (*event == Event::Rotated).then_some(()))
        .await;
    let dan = world.joiner("Dan", &cay.link().await).await;
    assert_eq!(dan.conversation.members().await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_renewed_secret_is_no_alarm_and_nothing_is_read_twice() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let ben = world.joiner("Ben", &ann.link().await).await;
    let mut said = Vec::new();
    for round in 0..4 {
        let texts = [format!("{round} of Ann"), format!("{round} of Ben")];
        ann.says(&texts[0]).await;
        ann.conversation.command(Command::Rotate).await.unwrap();
        ben.says(&texts[1]).await;
        said.extend(texts);
    }
    for person in [&ann, &ben] {
        let mut texts = Vec::new();
        while texts.len() < said.len() {
            let text = |event: &Event| match event {
                Event::Message(message) => Some(message.text.clone()),
                Event::Junk { .. } | Event::Returned { .. } => panic!("a false alarm: {event:?}"),
                _ => None,
            };
            texts.push(person.until("a text", text).await);
        }
        texts.sort();
        said.sort();
        assert_eq!(texts, said);
    }
}

/// All texts of this person's events until there are so many; nobody raises an alarm meanwhile.
async fn texts_without_alarm(person: &Person, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let text = |event: &Event| match event {
            Event::Message(message) => Some(message.text.clone()),
            Event::Junk { .. }
            | Event::Doubt(_)
            | Event::Refused
            | Event::Returned { .. }
            | Event::Spoiled { .. }
            | Event::Undone { .. } => panic!("an alarm: {event:?}"),
            _ => None,
        };
        texts.push(person.until("a text", text).await);
    }
    texts
}

/// Somebody is away while the secret is renewed so often, and reads on from cut grant to cut grant.
async fn away_through(rotations: usize) {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let ben = world.joiner("Ben", &ann.link().await).await;
    ann.says("before").await;
    assert_eq!(ben.hears_texts(1).await, ["before"]);
    ben.network.cut();
    let mut said = Vec::new();
    for number in 0..rotations {
        ann.conversation.command(Command::Rotate).await.unwrap();
        ann.until("a rotation", |event| {
            (*event == Event::Rotated).then_some(())
        })
        .await;
        let text = format!("text {number}");
        ann.says(&text).await;
        said.push(text);
    }
    ben.network.mend(&world.relay);
    assert_eq!(texts_without_alarm(&ben, rotations).await, said);
    let fingerprints = [&ann, &ben].map(|person| person.conversation.fingerprint());
    let [anns, bens] = fingerprints;
    assert_eq!(anns.await.unwrap(), bens.await.unwrap());
    ben.says("here again").await;
    ann.until("his word", |event| match event {
        Event::Message(message) => (message.text == "here again").then_some(()),
        _ => None,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_was_away_through_three_rotations_reads_on() {
    away_through(3).await;
}

#[tokio::test(start_paused = true)]
async fn who_was_away_for_two_hundred_epochs_reads_all_that_stayed() {
    away_through(200).await;
}

/// Waits until everybody is in, and answers how many of them members let in.
async fn all_in(first: &Person, count: u32) -> u32 {
    let (mut joined, mut taken_in) = (0, 0);
    first
        .until("all joins", move |event| {
            if let Event::Joined { by, .. } = event {
                joined += 1;
                taken_in += u32::from(by.is_some());
            }
            (joined == count).then_some(taken_in)
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn fifty_people_join_by_link_in_the_same_second_and_nobody_forks() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let link = ann.link().await;
    let mut joiners = Vec::new();
    for n in 0..50 {
        joiners.push(world.knocking(&format!("P{n}"), &link).await);
    }
    let taken_in = all_in(&ann, 50).await;
    for joiner in &joiners {
        joiner.until_standing(Standing::Waiting).await;
    }
    assert!(taken_in > 0, "nobody waited to be taken in");
    ann.says("welcome, all").await;
    for joiner in &joiners {
        assert_eq!(joiner.hears_texts(1).await, ["welcome, all"]);
        assert_eq!(joiner.conversation.members().await.unwrap().len(), 51);
    }
    joiners[49].says("thank you").await;
    for joiner in &joiners {
        assert_eq!(joiner.hears_texts(1).await, ["thank you"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_member_leaves_and_who_joins_then_hears_that_it_is_over() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let link = ann.link().await;
    ann.says("is anybody here?").await;
    ann.conversation.leave().await.unwrap();
    ann.until_standing(Standing::Left).await;
    let ben = world.knocking("Ben", &link).await;
    ben.until("a refusal", |event| {
        (*event == Event::Refused).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_last_member_is_no_facilitator_and_leaves_and_those_who_join_find_each_other() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let link = ann.link().await;
    let ben = world.joiner("Ben", &link).await;
    ann.conversation.leave().await.unwrap();
    ann.until_standing(Standing::Left).await;
    ben.until("the leaving", |event| {
        matches!(event, Event::Left { .. }).then_some(())
    })
    .await;
    ben.conversation.leave().await.unwrap();
    ben.until_standing(Standing::Left).await;
    let cay = world.knocking("Cay", &link).await;
    cay.until_standing(Standing::Waiting).await;
    cay.says("is anybody here?").await;
    let dan = world.knocking("Dan", &link).await;
    dan.until_standing(Standing::Waiting).await;
    dan.says("I am").await;
    cay.until_standing(Standing::In).await;
    cay.says("good").await;
    dan.until_standing(Standing::In).await;
}
