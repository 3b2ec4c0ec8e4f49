//! Many who join at once, and those who never win a race for the fence.

use super::*;
use crate::mls::{Plan, spoil};
use crate::seal::{CommitBody, EnvelopeBody};

/// Longer than a facilitator waits before it takes in who waits,
const SOON_MS: u64 = 1_000;
/// and longer than any other member does.
const LATER_MS: u64 = 24_000;
/// Longer than a newcomer waits before it tries again by itself.
const PATIENCE_MS: u64 = 46_000;

fn flies_join(room: &Room, name: &str) -> bool {
    let flight = room.of(name).engine.flight.as_ref();
    flight.is_some_and(|flight| matches!(flight.kind, saved::FlightKind::Join { .. }))
}

fn index(room: &Room, name: &str) -> usize {
    let found = room.devices.iter().position(|device| device.name == name);
    found.unwrap()
}

/// Everything arrives, and before each Commit of `unlucky` one of `lucky` does.
fn settle_against(room: &mut Room, unlucky: &str, lucky: &str) {
    for _ in 0..20 {
        let (unlucky_at, lucky_at) = (index(room, unlucky), index(room, lucky));
        for _ in 0..10 {
            if flies_join(room, unlucky) {
                let fence = room.log.fence;
                room.engine(lucky).want(saved::Intent::Update);
                for _ in 0..5 {
                    room.step(lucky_at);
                }
                let engine = &room.of(lucky).engine;
                assert_eq!(
                    room.log.fence,
                    fence + 1,
                    "{lucky}: {:?}, fence {} of {}, head {:?}, read {}, flies {}, intents {:?}",
                    engine.saved.stage,
                    engine.saved.fence,
                    engine.fence_wanted,
                    engine.head,
                    engine.saved.seq,
                    engine.flight.is_some(),
                    engine.saved.intents,
                );
            }
            room.step(unlucky_at);
        }
        for at in 0..room.devices.len() {
            if at != unlucky_at {
                room.step(at);
            }
        }
    }
}

fn pass(room: &mut Room, ms: u64) {
    room.now = room.now.plus_ms(ms);
    // Whoever waited for it begins now; what comes of it follows.
    for index in 0..room.devices.len() {
        room.step(index);
    }
}

/// A room with Zoe waiting at its link.
fn waiting_in(suite: Suite) -> Room {
    let mut room = Room::with_suite(&["Ann", "Ben", "Cay"], suite);
    room.join("Zoe");
    settle_against(&mut room, "Zoe", "Ben");
    assert_eq!(room.of("Zoe").engine.standing(), Standing::Joining);
    room
}

#[test]
fn who_always_loses_the_race_for_the_fence_is_taken_in_by_the_next_commit() {
    for suite in [Suite::Classic, Suite::Hybrid] {
        let mut room = waiting_in(suite);
        pass(&mut room, SOON_MS);
        settle_against(&mut room, "Zoe", "Ben");
        let (ann, zoe) = (room.leaf("Ann"), room.leaf("Zoe"));
        let joined = Event::Joined {
            leaf: zoe,
            by: Some(ann),
        };
        for name in ["Ann", "Ben", "Cay", "Zoe"] {
            assert!(room.has(name, |event| *event == joined), "{name}");
        }
        room.assert_one_epoch(&["Ann", "Ben", "Cay", "Zoe"]);
    }
}

#[test]
fn without_a_facilitator_a_member_takes_in_who_waits_and_newcomers_follow() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.go_offline("Ann", true);
    let link = room.of("Ann").engine.link().unwrap();
    room.join_by("Zoe", &link);
    settle_against(&mut room, "Zoe", "Ben");
    pass(&mut room, LATER_MS);
    settle_against(&mut room, "Zoe", "Ben");
    let zoe = room.leaf("Zoe");
    let is_in = |event: &Event| {
        matches!(event, Event::Joined { leaf, by: Some(by) }
            if *leaf == zoe && *by != zoe)
    };
    assert!(room.has("Ben", is_in) && room.has("Zoe", is_in));
    // Somebody who only sees the fenced lane judges the Commit alike.
    room.join_by("Yan", &link);
    room.settle();
    room.go_offline("Ann", false);
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Zoe", "Yan"]);
}

#[test]
fn who_waits_where_nobody_is_goes_on_by_its_own_commits() {
    let mut room = waiting_in(Suite::Classic);
    for name in ["Ann", "Ben", "Cay"] {
        room.go_offline(name, true);
    }
    room.settle();
    assert_eq!(room.of("Zoe").engine.standing(), Standing::Joining);
    pass(&mut room, PATIENCE_MS);
    room.settle();
    assert_eq!(room.of("Zoe").engine.standing(), Standing::Waiting);
    for name in ["Ann", "Ben", "Cay"] {
        room.go_offline(name, false);
    }
    pass(&mut room, LATER_MS);
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Zoe"]);
    assert_eq!(room.of("Ann").engine.members().len(), 4);
}

#[test]
fn one_who_cannot_be_added_keeps_none_of_the_others_out() {
    let mut room = waiting_in(Suite::Classic);
    room.go_offline("Ann", true);
    // Somebody with the link puts in what no group takes, before others and after.
    let poor = spoil::poor_package(Suite::Classic, &LeafKey::from_seed(&[0x77; 32]));
    let noise = vec![7; 40];
    for body in [noise, poor] {
        let engine = room.engine("Zoe");
        let generation = engine.newest_generation().unwrap();
        let entries = engine
            .entries(&generation, EnvelopeBody::Waiting(body.into()))
            .unwrap();
        let item = engine.item(entries);
        room.log.append(&[item]).unwrap();
    }
    room.go_offline("Ann", false);
    let junk = room.of("Ann").engine.saved.junk;
    settle_against(&mut room, "Zoe", "Ben");
    pass(&mut room, SOON_MS);
    settle_against(&mut room, "Zoe", "Ben");
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Zoe"]);
    assert!(room.of("Ann").engine.saved.junk > junk, "it is counted");
}

#[test]
fn a_rotation_takes_in_nobody_who_waits_with_the_old_secret() {
    let mut room = waiting_in(Suite::Classic);
    let cay = room.leaf("Cay");
    room.command("Ann", Command::Remove(cay));
    room.settle();
    pass(&mut room, SOON_MS);
    settle_against(&mut room, "Zoe", "Ben");
    assert_eq!(room.of("Ann").engine.members().len(), 2);
    assert_eq!(room.of("Zoe").engine.standing(), Standing::Joining);
    room.devices.retain(|device| device.name != "Zoe");
    room.assert_one_epoch(&["Ann", "Ben"]);
}

#[test]
fn a_welcome_that_does_not_open_costs_only_a_commit_of_ones_own() {
    for welcome in [None, Some(vec![9; 60])] {
        let mut room = waiting_in(Suite::Classic);
        let package = room.of("Ann").engine.packages_waiting().remove(0);
        let engine = room.engine("Ann");
        let (log, aad) = (engine.log_bytes(), Vec::new());
        let plan = Plan {
            add: vec![package],
            aad,
            ..Plan::default()
        };
        let group = engine.group.as_mut().unwrap();
        let staged = group.stage(&engine.key, &plan, &log).unwrap();
        let body = CommitBody {
            info: Some(staged.info.into()),
            next: None,
            commit: staged.commit.into(),
            welcome: welcome.map(Into::into),
            farewells: Vec::new(),
            returns: Vec::new(),
        };
        let generation = engine.newest_generation().unwrap();
        let entries = engine
            .entries(&generation, EnvelopeBody::Commit(body))
            .unwrap();
        let item = Item {
            fence: Some(room.log.fence),
            ..room.of("Ann").engine.item(entries)
        };
        room.log.append(&[item]).unwrap();
        room.settle();
        let zoe = room.leaf("Zoe");
        assert!(room.has("Ben", |event| *event == Event::Returned { leaf: zoe }));
        room.assert_one_epoch(&["Ann", "Ben", "Cay", "Zoe"]);
    }
}
