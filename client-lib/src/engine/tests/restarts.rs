//! Devices that are started again at every point of a dispute.

use super::disputes::{ALL, noise, others};
use super::spoiling::{Falsely, spoil_commit, spoil_join};
use super::*;
use crate::content::ContentBody;
use crate::mls::spoil;

/// Whoever is named is started again after everything it does.
fn settle_with_restarts(room: &mut Room, names: &[&'static str]) {
    room.restarts = names.to_vec();
    room.settle();
    noise(room, 17);
    room.settle();
    room.restarts.clear();
}

#[test]
fn a_restart_at_any_point_of_a_dispute_ends_in_the_same_epoch_as_for_all_others() {
    let spoils = [
        spoil::How::Tag,
        spoil::How::Paths(vec![0]),
        spoil::How::Paths(vec![1]),
    ];
    for how in spoils {
        let mut room = Room::new(&ALL);
        spoil_commit(&mut room, "Gus", how);
        room.join("Hal");
        let mut names = others("Gus");
        names.push("Hal");
        settle_with_restarts(&mut room, &names);
        room.assert_one_epoch(&names);
    }
}

#[test]
fn the_same_where_no_facilitator_decides() {
    for how in [spoil::How::Tag, spoil::How::Paths(vec![0])] {
        let mut room = Room::new(&ALL);
        room.go_offline("Ann", true);
        spoil_commit(&mut room, "Gus", how);
        let mut names = others("Gus");
        names.retain(|name| *name != "Ann");
        settle_with_restarts(&mut room, &names);
        room.assert_one_epoch(&names);
    }
}

#[test]
fn the_same_after_a_spoiled_join() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    spoil_join(&mut room, "Ann", 77, Falsely::Psk);
    room.join("Hal");
    let names = ["Ann", "Ben", "Cay", "Hal"];
    settle_with_restarts(&mut room, &names);
    room.assert_one_epoch(&names);
}

#[test]
fn what_was_put_aside_is_gone_once_a_commit_is_decided_or_the_conversation_is_over() {
    let mut room = Room::new(&ALL);
    let kept = |room: &Room, name: &str| {
        let rows = room.of(name).rows.keys();
        let of_disputes = [saved::ASIDE, saved::OPEN, saved::OUTSIDE, saved::FOLLOWED];
        rows.filter(|row| of_disputes.iter().any(|one| row.starts_with(one)))
            .count()
    };
    room.join("Hal");
    room.settle();
    assert!(kept(&room, "Ben") > 0, "Hal's coming in is still open");
    room.command("Ann", Command::Rotate);
    room.settle();
    for name in ALL {
        assert_eq!(kept(&room, name), 0, "{name}");
    }
    spoil_commit(&mut room, "Gus", spoil::How::Tag);
    let ben = room.index("Ben");
    room.step(ben);
    assert!(kept(&room, "Ben") > 0, "Ben is stranded");
    room.command("Ben", Command::Leave);
    while room.of("Ben").engine.standing() != Standing::Left {
        room.step(ben);
    }
    assert!(room.of("Ben").rows.is_empty());
}

#[test]
fn that_one_was_away_is_not_said_once_one_is_back() {
    let mut room = Room::new(&["Ann", "Ben"]);
    room.go_offline("Ben", true);
    let now = room.now;
    room.engine("Ben").queue(ContentBody::Away, now).unwrap();
    room.say("Ben", "later");
    let waits = |room: &Room| {
        let all = room.of("Ben").engine.outbox.values();
        all.map(|one| one.content.body == ContentBody::Away)
            .collect::<Vec<_>>()
    };
    assert_eq!(waits(&room), [true, false]);
    room.device("Ben").restart(now);
    assert_eq!(waits(&room), [false]);
    room.go_offline("Ben", false);
    room.settle();
    assert_eq!(room.texts("Ann"), ["later"]);
    assert!(!room.has("Ann", |event| matches!(event, Event::Away { .. })));
}
