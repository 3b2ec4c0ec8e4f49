//! Commits that race for one epoch.

use super::*;

#[test]
fn two_and_twenty_commits_race_for_one_epoch_one_wins_the_others_intents_land_next_and_nobody_forks()
 {
    for count in [2_u64, 20] {
        let names: Vec<&'static str> = (0..count)
            .map(|n| &*Box::leak(format!("P{n}").into_boxed_str()))
            .collect();
        let mut room = Room::new(&names);
        let epoch = |room: &Room, name: &str| {
            let group = room.of(name).engine.group.as_ref().unwrap();
            group.epoch()
        };
        let (before, fence) = (epoch(&room, names[0]), room.log.fence);
        for name in &names {
            let engine = room.engine(name);
            engine.want(saved::Intent::Update);
            drop(engine.finish(NOON));
            let flight = engine.flight.as_ref().unwrap();
            assert_eq!(flight.epoch, before, "all are for one epoch");
            assert_eq!(flight.items[0].fence, Some(fence));
        }
        for index in 0..names.len() {
            room.step(index);
        }
        assert_eq!(room.log.fence, fence + 1, "one wins");
        room.settle();
        for name in &names {
            assert_eq!(epoch(&room, name), before + count, "each lands once");
            assert!(room.of(name).engine.saved.intents.is_empty());
            assert_eq!(room.of(name).engine.saved.junk, 0);
        }
        room.assert_one_epoch(&names);
    }
}

#[test]
fn two_and_twenty_facilitators_rotate_at_once_and_every_intent_lands() {
    for count in [2, 20] {
        let names: Vec<&'static str> = (0..count)
            .map(|n| &*Box::leak(format!("P{n}").into_boxed_str()))
            .collect();
        let mut room = Room::new(&names);
        let promoted: Vec<_> = names.iter().skip(1).map(|name| room.leaf(name)).collect();
        for leaf in promoted {
            room.command("P0", Command::Promote(leaf));
        }
        room.settle();
        let version = room.log.fence;
        for name in &names {
            room.command(name, Command::Rotate);
        }
        room.settle();
        assert!(room.log.fence > version, "at least one rotation");
        for name in &names {
            assert!(
                room.of(name).engine.saved.intents.is_empty(),
                "{name} still wants something"
            );
        }
        room.assert_one_epoch(&names);
    }
}

#[test]
fn a_target_of_removal_commits_at_the_same_moment_and_goes() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.command("Ann", Command::Promote(room.leaf("Ben")));
    room.settle();
    let ben = room.leaf("Ben");
    room.command("Ben", Command::Rotate);
    room.command("Ann", Command::Remove(ben));
    room.settle();
    assert_eq!(room.of("Ben").engine.standing(), Standing::Removed);
    assert_grants(&room, "Ann", &["Ann"]);
    room.assert_one_epoch(&["Ann", "Cay"]);
}

/// The relay's list of grants is what the policy says, no more and no less: the keys of those who
/// facilitate, and since the last rotation the present epoch's key and the present link's.
fn assert_grants(room: &Room, by: &str, facilitators: &[&str]) {
    let engine = &room.of(by).engine;
    let policy = engine.policy.as_ref().unwrap();
    let leaves: Vec<_> = policy.facilitators.iter().map(|one| one.leaf).collect();
    let wanted: Vec<_> = facilitators.iter().map(|name| room.leaf(name)).collect();
    assert_eq!(leaves, wanted);
    let group = engine.group.as_ref().unwrap();
    let member = group.member_key(&engine.log_bytes()).unwrap();
    let member = sotto_protocol::proof::public_key(&(*member).into());
    let mut granted: Vec<_> = policy
        .facilitators
        .iter()
        .map(|one| {
            let own = begin::grant(&engine.manage_key(), begin::MANAGE_RIGHTS);
            Grant {
                key: one.manage,
                ..own
            }
        })
        .collect();
    let own = begin::grant(&engine.manage_key(), begin::MEMBER_RIGHTS);
    granted.push(Grant { key: member, ..own });
    granted.push(engine.join_grant(engine.newest_secret().unwrap()));
    assert_eq!(room.log.grants, granted);
    for name in facilitators {
        let own = sotto_protocol::proof::public_key(&room.of(name).engine.manage_key());
        assert!(room.log.managers().contains(&own), "{name}");
    }
}

/// Ben, who facilitates as well, wants this at the same moment at which Ann removes him, and is
/// the first.
fn target_wins(wish: impl Fn(&Room) -> Command, left: &[&str], facilitators: &[&str]) {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    room.command("Ann", Command::Promote(room.leaf("Ben")));
    room.settle();
    let (epoch, fence, leaf) = (room.epoch("Ann"), room.log.fence, room.leaf("Ben"));
    let wish = wish(&room);
    room.command("Ann", Command::Remove(leaf));
    room.command("Ben", wish);
    for name in ["Ann", "Ben"] {
        let now = room.now;
        let effects = room.engine(name).finish(now);
        room.device(name).take(effects);
        let flight = room.of(name).engine.flight.as_ref().unwrap();
        let at = (flight.epoch, flight.items[0].fence);
        assert_eq!(at, (epoch, Some(fence)), "{name}");
        assert!(flight.items[0].grants.is_some(), "{name}");
    }
    let (ann, ben) = (room.index("Ann"), room.index("Ben"));
    room.step(ben);
    assert_eq!(room.log.fence, fence + 1, "Ben's is the first");
    let in_room = |room: &Room, name: &str| {
        let members = room.of(name).engine.members();
        members.iter().any(|member| member.leaf == leaf)
    };
    room.step(ann);
    assert_eq!(room.log.fence, fence + 1, "Ann's lost");
    assert!(in_room(&room, "Ann"));
    room.settle();
    assert_eq!(room.log.fence, fence + 2, "and lands next");
    assert_eq!(room.of("Ben").engine.standing(), Standing::Removed);
    for name in left {
        assert_eq!(room.epoch(name), epoch + 2, "{name}");
        assert!(!in_room(&room, name), "{name}");
        assert_grants(&room, name, facilitators);
        assert!(room.of(name).engine.saved.intents.is_empty(), "{name}");
    }
    room.assert_one_epoch(left);
}

#[test]
fn a_target_of_removal_wins_the_race_the_removal_lands_next_and_grants_and_epoch_agree() {
    let rest = ["Ann", "Cay", "Dan"];
    target_wins(|_| Command::Rotate, &rest, &["Ann"]);
    // What Ben did still counts.
    target_wins(
        |room| Command::Remove(room.leaf("Cay")),
        &["Ann", "Dan"],
        &["Ann"],
    );
    target_wins(
        |room| Command::Promote(room.leaf("Cay")),
        &rest,
        &["Ann", "Cay"],
    );
}

#[test]
fn who_was_away_through_three_rotations_reads_on() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan", "Eve"]);
    room.go_offline("Ben", true);
    for name in ["Cay", "Dan", "Eve"] {
        let leaf = room.leaf(name);
        room.command("Ann", Command::Remove(leaf));
        room.settle();
        room.say("Ann", &format!("without {name}"));
        room.settle();
    }
    room.go_offline("Ben", false);
    room.settle();
    let heard = ["without Cay", "without Dan", "without Eve"];
    assert_eq!(room.texts("Ben"), heard);
    room.assert_one_epoch(&["Ann", "Ben"]);
}

#[test]
fn who_was_away_for_two_hundred_epochs_reads_all_that_stayed() {
    let mut room = Room::new(&["Ann", "Ben"]);
    room.go_offline("Ben", true);
    for n in 0..200 {
        room.command("Ann", Command::Rotate);
        room.settle();
        room.say("Ann", &format!("text {n}"));
        room.settle();
    }
    room.go_offline("Ben", false);
    room.settle();
    let expected: Vec<_> = (0..200).map(|n| format!("text {n}")).collect();
    assert_eq!(room.texts("Ben"), expected);
    room.assert_one_epoch(&["Ann", "Ben"]);
}

#[test]
fn the_last_but_one_leaves_and_somebody_joins() {
    let mut room = Room::new(&["Ann", "Ben"]);
    room.command("Ben", Command::Leave);
    room.settle();
    assert_eq!(room.of("Ben").engine.standing(), Standing::Left);
    room.join("Cay");
    room.settle();
    room.assert_one_epoch(&["Ann", "Cay"]);
}

#[test]
fn who_leaves_with_no_facilitator_online_is_let_go_and_later_the_secret_is_renewed() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.go_offline("Ann", true);
    room.command("Ben", Command::Leave);
    room.pass_seconds(6);
    assert!(room.has("Cay", |event| *event == Event::NotYetRotated));
    assert!(!room.has("Cay", |event| *event == Event::Rotated));
    room.go_offline("Ann", false);
    room.settle();
    assert!(room.has("Cay", |event| *event == Event::Rotated));
    room.assert_one_epoch(&["Ann", "Cay"]);
}

#[test]
fn a_newcomer_follows_a_commit_that_lets_somebody_go() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.go_offline("Ann", true);
    room.command("Ben", Command::Leave);
    room.pass_seconds(6);
    // Nobody has renewed the secret or pinned a snapshot since.
    room.join("Dan");
    room.settle();
    assert_eq!(room.of("Dan").engine.standing(), Standing::Waiting);
    room.go_offline("Ann", false);
    room.settle();
    room.assert_one_epoch(&["Ann", "Cay", "Dan"]);
}

/// A room whose newest pin landed behind a Commit that its snapshot does not hold, and somebody who
/// begins to join at that pin.
fn joining_at_a_late_pin() -> Room {
    let mut room = Room::new(&["Ann", "Ben"]);
    // Nothing is open then.
    room.command("Ann", Command::Rotate);
    room.settle();
    let ann = room.engine("Ann");
    ann.saved.snapshot_due = true;
    drop(ann.finish(NOON));
    assert!(matches!(
        ann.flight.as_ref().map(|flight| &flight.kind),
        Some(saved::FlightKind::Snapshot)
    ));
    commit_of_ben(&mut room);
    room.settle();
    room.join("Cay");
    let newest = *room.log.pins.last().unwrap();
    room.devices[2].given = newest - 1;
    for _ in 0..3 {
        room.step(2);
    }
    assert!(room.of("Cay").engine.flight.is_none(), "it lacks a Commit");
    room
}

/// Ben's Commit lands before anybody else does anything.
fn commit_of_ben(room: &mut Room) {
    let fence = room.log.fence;
    room.engine("Ben").want(saved::Intent::Update);
    for _ in 0..2 {
        room.step(1);
    }
    assert_eq!(room.log.fence, fence + 1);
}

/// The relay gives what follows on the pin before the newest.
fn go_to_older_pin(room: &mut Room) {
    let older = room.log.pins[room.log.pins.len() - 2];
    room.devices[2].given = older - 1;
    room.settle();
    assert_eq!(room.of("Cay").engine.standing(), Standing::In);
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

#[test]
fn a_snapshot_behind_commits_it_lacks_leads_nobody_astray() {
    let mut room = joining_at_a_late_pin();
    commit_of_ben(&mut room);
    room.step(2);
    assert!(room.of("Cay").engine.flight.is_none(), "a stale epoch");
    go_to_older_pin(&mut room);
}

#[test]
fn a_snapshot_that_nothing_follows_on_is_left_for_an_older_one() {
    let mut room = joining_at_a_late_pin();
    let later = NOON.plus_ms(60_000);
    let cay = room.engine("Cay");
    let pins = cay.joining.as_ref().unwrap().pins_left();
    drop(cay.finish(later));
    assert_eq!(cay.joining.as_ref().unwrap().pins_left(), pins - 1);
    go_to_older_pin(&mut room);
}

#[test]
fn who_is_promoted_and_removed_at_once_goes_and_the_room_goes_on() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let ben = room.leaf("Ben");
    room.command("Ann", Command::Promote(ben));
    room.command("Ann", Command::Remove(ben));
    room.settle();
    assert_eq!(room.of("Ben").engine.standing(), Standing::Removed);
    assert!(room.of("Ann").engine.saved.intents.is_empty());
    room.assert_one_epoch(&["Ann", "Cay"]);
}

#[test]
fn who_gives_up_on_the_way_in_is_out_at_once() {
    let mut room = Room::new(&["Ann"]);
    room.join("Ben");
    room.command("Ben", Command::Leave);
    assert_eq!(room.of("Ben").engine.standing(), Standing::Left);
}
