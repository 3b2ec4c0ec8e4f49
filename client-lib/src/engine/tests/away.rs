//! A member that comes back when Commits it did not read are gone from the log.

use super::*;

/// Room with Ann and Cay where Ben went off line after these words; then epochs began that he does
/// not know, behind a new snapshot.
fn gone_for_long() -> Room {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.say("Ann", "before");
    room.settle();
    room.go_offline("Ben", true);
    for _ in 0..3 {
        let engine = room.engine("Ann");
        engine.want(saved::Intent::Update);
        drop(engine.finish(NOON));
        room.settle();
    }
    room.engine("Ann").saved.snapshot_due = true;
    room.say("Ann", "while he was away");
    room.settle();
    room
}

/// Everything before the newest pin is gone.
fn expire(room: &mut Room) {
    let newest = *room.log.pins.last().unwrap();
    room.log.pins.retain(|pin| *pin == newest);
    room.log.first = newest;
}

#[test]
fn who_missed_commits_that_are_gone_comes_in_again_in_place_of_the_own_leaf() {
    for restarts in [vec![], vec!["Ben"]] {
        let mut room = gone_for_long();
        expire(&mut room);
        room.restarts = restarts;
        let leaf = room.leaf("Ben");
        room.go_offline("Ben", false);
        room.settle();
        assert!(room.has("Ben", |event| *event == Event::Expired));
        assert!(room.has("Ann", |event| *event == Event::Returned { leaf }));
        assert_eq!(
            room.texts("Ben"),
            ["before"],
            "the rest was not for his keys"
        );
        room.restarts.clear();
        room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
    }
}

#[test]
fn who_missed_no_commit_does_not_start_over_though_words_are_gone() {
    let mut room = Room::new(&["Ann", "Ben"]);
    room.go_offline("Ben", true);
    room.say("Ann", "gone");
    room.settle();
    room.log.first = room.log.entries.len() as u64 + 1;
    room.say("Ann", "kept");
    room.settle();
    room.go_offline("Ben", false);
    room.settle();
    assert!(room.has("Ben", |event| *event == Event::Expired));
    assert_eq!(room.texts("Ben"), ["kept"]);
    assert!(!room.has("Ann", |event| matches!(event, Event::Returned { .. })));
    room.assert_one_epoch(&["Ann", "Ben"]);
}

/// What a relay shows that hides everything between two entries, and every pin but the first.
#[test]
fn who_starts_over_is_not_led_back_to_an_epoch_before_its_own() {
    let mut room = gone_for_long();
    let (pins, epoch) = (room.log.pins.clone(), room.epoch("Ben"));
    room.log.pins.truncate(1);
    room.log.hidden = room.of("Ben").engine.saved.seq + 1..room.log.entries.len() as u64;
    room.go_offline("Ben", false);
    room.settle();
    let ben = &room.of("Ben").engine;
    assert!(ben.saved.starts_over);
    assert_eq!(ben.standing(), Standing::Joining);
    assert!(ben.flight.is_none(), "he comes in nowhere");
    assert_eq!(room.epoch("Ben"), epoch);
    // Shown the truth, he comes in.
    (room.log.pins, room.log.hidden) = (pins, 0..0);
    expire(&mut room);
    room.go_offline("Ben", true);
    room.device("Ben").restart(NOON);
    room.go_offline("Ben", false);
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

#[test]
fn whose_leaf_was_let_go_meanwhile_comes_in_nowhere_without_a_yes() {
    for link_joins in [true, false] {
        let mut room = gone_for_long();
        let ben = room.leaf("Ben");
        let ann = room.engine("Ann");
        let rules = Policy {
            link_joins,
            ..ann.policy.clone().unwrap()
        };
        // A group without him, of which he only sees the snapshot.
        let plan = Plan {
            remove: vec![ben],
            policy: Some(rules.encode().unwrap()),
            ..Plan::default()
        };
        let log = ann.log_bytes();
        let group = ann.group.as_mut().unwrap();
        group.stage(&ann.key, &plan, &log).unwrap();
        group.merge_pending().unwrap();
        ann.saved.snapshot_due = true;
        room.settle();
        expire(&mut room);
        room.go_offline("Ann", true);
        room.go_offline("Cay", true);
        room.go_offline("Ben", false);
        room.settle();
        let standing = room.of("Ben").engine.standing();
        if link_joins {
            assert_eq!(
                standing,
                Standing::Waiting,
                "whoever has the link may come in"
            );
        } else {
            assert_eq!(standing, Standing::ShutOut);
        }
    }
}
