//! Commits that anyone can check and that some or all cannot open.

use super::*;
use crate::mls::{Plan, spoil};
use crate::seal::{CommitBody, EnvelopeBody};

/// Puts a spoiled Commit of `name` into the log; those whose turn `spoiled` says cannot open it.
fn spoil_commit(room: &mut Room, name: &str, how: spoil::How) {
    let fence = room.log.fence;
    let engine = room.engine(name);
    let aad = commits::CommitAad {
        next: None,
        seen: engine.seen_now(),
    }
    .encode()
    .unwrap();
    let values = engine.group.as_ref().unwrap().values().unwrap();
    let group_id = group_id(&engine.saved.log);
    let (commit, info) = spoil::commit(
        values,
        &group_id,
        &engine.key,
        &Plan {
            aad,
            ..Plan::default()
        },
        how,
    );
    let body = CommitBody {
        info: Some(info.into()),
        next: None,
        commit: commit.into(),
        farewells: Vec::new(),
    };
    let entries = engine
        .entries(
            &engine.newest_generation().unwrap(),
            EnvelopeBody::Commit(body),
        )
        .unwrap();
    let item = Item {
        fence: Some(fence),
        ..engine.item(entries)
    };
    room.log.append(&[item]).unwrap();
    // The one who spoils does not play on.
    room.go_offline(name, true);
}

const ALL: [&str; 7] = ["Ann", "Ben", "Cay", "Dan", "Eve", "Fay", "Gus"];

fn others(without: &str) -> Vec<&'static str> {
    ALL.into_iter().filter(|name| *name != without).collect()
}

#[test]
fn a_commit_spoiled_for_all_is_undone_and_its_author_named() {
    for how in [
        spoil::How::Tag,
        spoil::How::Paths(vec![0, 1, 2, 3, 4, 5, 6]),
    ] {
        let mut room = Room::new(&ALL);
        spoil_commit(&mut room, "Gus", how);
        room.settle();
        let gus = room.leaf("Gus");
        for name in others("Gus") {
            assert!(
                room.has(name, |event| *event == Event::Spoiled { by: gus }),
                "{name} is not told"
            );
            assert!(
                room.has(name, |event| *event == Event::Undone { by: gus }),
                "{name} does not undo"
            );
        }
        room.assert_one_epoch(&others("Gus"));
        room.join("Hal");
        room.settle();
        let mut names = others("Gus");
        names.push("Hal");
        room.assert_one_epoch(&names);
    }
}

#[test]
fn a_commit_spoiled_for_some_ends_with_everybody_in_one_epoch() {
    for paths in [vec![0], vec![1]] {
        let mut room = Room::new(&ALL);
        spoil_commit(&mut room, "Gus", spoil::How::Paths(paths));
        room.settle();
        let gus = room.leaf("Gus");
        let told = others("Gus")
            .iter()
            .filter(|name| {
                let named = [Event::Spoiled { by: gus }, Event::Undone { by: gus }];
                room.has(name, |event| named.contains(event))
            })
            .count();
        assert_eq!(told, 6, "everybody is told who it was");
        room.assert_one_epoch(&others("Gus"));
    }
}

#[test]
fn the_only_facilitator_may_be_the_one_who_cannot_open_it() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    spoil_commit(&mut room, "Cay", spoil::How::Tag);
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben"]);
    let cay = room.leaf("Cay");
    room.command("Ann", Command::Remove(cay));
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben"]);
}

#[test]
fn newcomers_follow_the_undoing() {
    let mut room = Room::new(&ALL);
    spoil_commit(&mut room, "Gus", spoil::How::Tag);
    // Hal begins before anybody has said that it is spoiled.
    room.join("Hal");
    room.settle();
    let mut names = others("Gus");
    names.push("Hal");
    room.assert_one_epoch(&names);
}
