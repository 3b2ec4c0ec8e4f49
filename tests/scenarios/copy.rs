//! A vault copied back, or started twice: no message key is used a second time, and all are told.
//!
//! Whoever opens a message deletes its key. So a key that was used twice shows at once: the second
//! message is junk for everybody.

use sotto_client::{Command, Event, JoinOptions, LeafId, Link, Standing};
use sotto_tests::device::{Death, Disk, Start, Survivor, until_members, until_texts};
use sotto_tests::world::{Person, World};

/// Waits for this text; on the way there must be this many returns of this leaf, and no junk.
async fn hears_after_returns(person: &Person, text: &str, leaf: LeafId, returns: usize) {
    let mut seen = 0;
    person
        .until(text, |event| match event {
            Event::Returned { leaf: who } => {
                assert_eq!(*who, leaf);
                seen += 1;
                None
            }
            Event::Junk { .. } => panic!("a message key was used twice"),
            Event::Joined { .. } | Event::Removed { .. } => panic!("shown as somebody else"),
            Event::Message(message) => (message.text == text).then_some(()),
            _ => None,
        })
        .await;
    assert_eq!(seen, returns, "returns before {text}");
}

/// Ann, who founded, and Ben, who has said "one" and "two".
async fn two_people() -> (World, Person, Survivor, LeafId) {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let mut ben = joiner(&world, &ann.link().await, "Ben").await;
    until_members(vec![&mut ben], 2).await;
    ben.says("one").await;
    ben.says("two").await;
    assert_eq!(ann.hears_texts(2).await, ["one", "two"]);
    until_texts(vec![&mut ben], 2).await;
    let leaf = ann.leaf_of("Ben").await;
    (world, ann, ben, leaf)
}

async fn joiner(world: &World, link: &Link, name: &str) -> Survivor {
    let name = name.to_owned();
    let start = Start::Join(link.clone(), JoinOptions { name });
    Survivor::new(world, start, Death::Never).await
}

async fn go_back_to(ben: &mut Survivor, backup: &Disk) {
    ben.disk = backup.copy();
    ben.restart().await;
}

#[tokio::test(start_paused = true)]
async fn a_vault_copied_back_uses_no_key_twice_and_comes_in_again_for_all_to_see() {
    let (world, ann, mut ben, leaf) = two_people().await;
    let cay = world.joiner("Cay", &ann.link().await).await;
    ben.says("three").await;
    until_texts(vec![&mut ben], 3).await;
    for person in [&ann, &cay] {
        assert_eq!(person.hears().await.text, "three");
    }
    let backup = ben.disk.copy();
    ben.says("four").await;
    ben.says("five").await;
    until_texts(vec![&mut ben], 5).await;
    go_back_to(&mut ben, &backup).await;
    ben.says("six").await;
    for person in [&ann, &cay] {
        hears_after_returns(person, "four", leaf, 0).await;
        hears_after_returns(person, "five", leaf, 0).await;
        hears_after_returns(person, "six", leaf, 1).await;
        assert_eq!(person.names().await, ["Ann", "Ben", "Cay"]);
    }
    cay.says("welcome back").await;
    until_texts(vec![&mut ben], 5).await;
    // What the copy did not know of its own words is gone from it; all else is there.
    let kept = ["one", "two", "three", "six", "welcome back"];
    assert_eq!(ben.texts().await, kept);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_started_again_and_again_comes_in_each_time() {
    let (_world, ann, mut ben, leaf) = two_people().await;
    let backup = ben.disk.copy();
    ben.says("three").await;
    until_texts(vec![&mut ben], 3).await;
    hears_after_returns(&ann, "three", leaf, 0).await;
    for round in 1..=3 {
        go_back_to(&mut ben, &backup).await;
        let text = format!("round {round}");
        ben.says(&text).await;
        hears_after_returns(&ann, &text, leaf, 1).await;
    }
    ann.says("enough").await;
    until_texts(vec![&mut ben], 4).await;
    assert_eq!(ben.texts().await, ["one", "two", "round 3", "enough"]);
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_says_it_is_a_copy_comes_in_again_before_a_word() {
    let (_world, ann, mut ben, leaf) = two_people().await;
    ben.disk = ben.disk.copy();
    let vault = ben.disk.copied_vault();
    ben.restart_on(vault).await;
    ann.until("a return", |event| {
        (*event == Event::Returned { leaf }).then_some(())
    })
    .await;
    ben.says("three").await;
    hears_after_returns(&ann, "three", leaf, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_on_the_same_disk_is_no_copy() {
    let (_world, ann, mut ben, leaf) = two_people().await;
    for round in 1..=3 {
        ben.says(&format!("unsent {round}")).await;
        ben.restart().await;
        let text = format!("round {round}");
        ben.says(&text).await;
        hears_after_returns(&ann, &text, leaf, 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_original_that_still_runs_is_replaced_and_told_so() {
    let (world, ann, mut ben, leaf) = two_people().await;
    let mut other = joiner(&world, &ann.link().await, "Cay").await;
    other.disk = ben.disk.copy();
    let vault = other.disk.copied_vault();
    other.restart_on(vault).await;
    ben.until("the end", async |conversation| {
        Ok(conversation.standing().await? == Standing::Removed)
    })
    .await;
    assert!(ben.conversation.send("I am still here").await.is_err());
    other.says("three").await;
    hears_after_join(&ann, "three", leaf).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_behind_a_rotation_of_its_original_is_shut_out_and_told_so() {
    let (_world, ann, mut ben, leaf) = two_people().await;
    ann.conversation
        .command(Command::Promote(leaf))
        .await
        .expect("a promotion");
    ben.until("a role", async |conversation| {
        let members = conversation.members().await?;
        Ok(members.iter().any(|one| one.is_me && one.facilitates))
    })
    .await;
    let backup = ben.disk.copy();
    ben.conversation
        .command(Command::Rotate)
        .await
        .expect("a rotation");
    ann.until("a rotation", |event| {
        (*event == Event::Rotated).then_some(())
    })
    .await;
    ben.says("three").await;
    hears_after_returns(&ann, "three", leaf, 0).await;
    go_back_to(&mut ben, &backup).await;
    ben.until("the end", async |conversation| {
        Ok(conversation.standing().await? == Standing::ShutOut)
    })
    .await;
    assert_eq!(ben.texts().await, ["one", "two"], "what was read stays");
    assert!(ben.conversation.send("is anybody there?").await.is_err());
}

/// As [`hears_after_returns`], with a join of somebody else before.
async fn hears_after_join(person: &Person, text: &str, leaf: LeafId) {
    let mut returned = false;
    person
        .until(text, |event| match event {
            Event::Returned { leaf: who } => {
                returned |= *who == leaf;
                None
            }
            Event::Message(message) => (message.text == text).then_some(()),
            _ => None,
        })
        .await;
    assert!(returned);
}
