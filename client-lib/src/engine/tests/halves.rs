//! A Commit that exactly half of a room can open, its author among them.

use super::disputes::noise;
use super::spoiling::{spoil_commit, tell_of};
use super::*;
use crate::mls::spoil;

const FOUR: [&str; 4] = ["Ann", "Ben", "Cay", "Dan"];
const EIGHT: [&str; 8] = ["Ann", "Ben", "Cay", "Dan", "Eve", "Fay", "Gus", "Hal"];

/// How it ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Stands,
    Void,
}

/// `author` spoils a Commit with that path secret for those `out`; Ann, the only facilitator, is
/// there or not. Everybody ends in one epoch, the author is named, and newcomers find them.
fn spoiled_for_half(
    names: &[&'static str],
    author: &str,
    path: usize,
    out: &[&str],
    ann: bool,
) -> End {
    let mut room = Room::new(names);
    let leaf = room.leaf(author);
    let epoch = room.epoch(author);
    spoil_commit(&mut room, author, spoil::How::Paths(vec![path]));
    let (log, now) = (room.log.clone(), room.now);
    let others: Vec<_> = names
        .iter()
        .copied()
        .filter(|name| *name != author)
        .collect();
    let there: Vec<_> = others
        .iter()
        .copied()
        .filter(|name| ann || *name != "Ann")
        .collect();
    if !ann {
        room.go_offline("Ann", true);
    }
    for name in &there {
        let index = room.index(name);
        Room::give(&log, &room.id, &mut room.devices[index], now);
        let engine = &room.of(name).engine;
        assert_eq!(engine.joining.is_some(), out.contains(name), "{name}");
        let at = engine.group.as_ref().unwrap().epoch();
        assert_eq!(at, epoch + u64::from(!out.contains(name)), "{name}");
    }
    assert_eq!(2 * out.len(), names.len(), "not half");
    room.settle();
    if !ann {
        // Quiet decides, where no word does.
        noise(&mut room, 16);
        room.settle();
    }
    room.assert_one_epoch(&there);
    let undone = |name: &&&str| room.has(name, |event| *event == Event::Undone { by: leaf });
    let undone = there.iter().filter(undone).count();
    assert!(undone == 0 || undone == there.len(), "{undone} undo it");
    if !ann {
        room.go_offline("Ann", false);
        room.settle();
    }
    for name in &others {
        assert!(tell_of(&room, name, leaf), "{name} is not told");
        for other in others.iter().map(|other| room.leaf(other)) {
            assert!(!tell_of(&room, name, other), "{name} is told of another");
        }
    }
    room.join("Ivy");
    room.settle();
    let mut all = others;
    all.push("Ivy");
    room.assert_one_epoch(&all);
    if undone == 0 { End::Stands } else { End::Void }
}

#[test]
fn a_commit_spoiled_for_half_with_the_facilitator_among_them_is_undone_for_all() {
    let end = spoiled_for_half(&FOUR, "Dan", 1, &["Ann", "Ben"], true);
    assert_eq!(end, End::Void);
    let end = spoiled_for_half(&EIGHT, "Hal", 2, &EIGHT[..4], true);
    assert_eq!(end, End::Void);
}

#[test]
fn a_commit_spoiled_for_half_that_the_facilitator_opens_stands_and_the_others_come_in_again() {
    let end = spoiled_for_half(&FOUR, "Ben", 1, &["Cay", "Dan"], true);
    assert_eq!(end, End::Stands);
    let end = spoiled_for_half(&EIGHT, "Dan", 2, &EIGHT[4..], true);
    assert_eq!(end, End::Stands);
}

#[test]
fn a_commit_spoiled_for_half_ends_in_one_epoch_without_a_facilitator_as_well() {
    // Nobody is there who could open it: quiet undoes it.
    let end = spoiled_for_half(&FOUR, "Ben", 1, &["Cay", "Dan"], false);
    assert_eq!(end, End::Void);
    let end = spoiled_for_half(&EIGHT, "Dan", 2, &EIGHT[4..], false);
    assert_eq!(end, End::Stands);
}
