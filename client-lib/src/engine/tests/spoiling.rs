//! What a member or a link holder with a changed client puts into the log, and joins that spoil.

use super::*;
use crate::mls::{LeafKey, Plan, spoil};
use crate::seal::{CommitBody, EnvelopeBody};

/// A spoiled Commit of `name` and its GroupInfo; the device itself does not notice.
pub(super) fn spoiled(
    room: &mut Room,
    name: &str,
    plan: &Plan,
    how: spoil::How,
) -> (Vec<u8>, Vec<u8>) {
    let engine = &room.of(name).engine;
    let values = engine.group.as_ref().unwrap().values().unwrap();
    spoil::commit(values, &group_id(&engine.saved.log), &engine.key, plan, how)
}

/// Puts a Commit into the log as this device would seal it.
pub(super) fn append_commit(room: &mut Room, name: &str, commit: Vec<u8>, info: Vec<u8>) {
    let fence = room.log.fence;
    let engine = room.engine(name);
    let body = CommitBody {
        info: Some(info.into()),
        next: None,
        commit: commit.into(),
        welcome: None,
        farewells: Vec::new(),
        returns: Vec::new(),
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
}

/// Puts a spoiled Commit of `name` into the log; those whose turn `how` says cannot open it. Who
/// spoils does not play on.
pub(super) fn spoil_commit(room: &mut Room, name: &str, how: spoil::How) -> (Vec<u8>, Vec<u8>) {
    let aad = commits::CommitAad {
        next: None,
        seen: room.of(name).engine.seen_now(),
    };
    let plan = Plan {
        aad: aad.encode().unwrap(),
        ..Plan::default()
    };
    let (commit, info) = spoiled(room, name, &plan, how);
    append_commit(room, name, commit.clone(), info.clone());
    room.go_offline(name, true);
    (commit, info)
}

/// Whether this person was told that `leaf` spoils.
pub(super) fn tell_of(room: &Room, name: &str, leaf: LeafId) -> bool {
    let named = [Event::Spoiled { by: leaf }, Event::Undone { by: leaf }];
    room.has(name, |event| named.contains(event))
}

/// How a link holder spoils its coming in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Falsely {
    /// With another secret under the right name.
    Psk,
    /// With a false confirmation tag.
    Tag,
}

/// Somebody who has only the link comes in so that nobody can follow.
pub(super) fn spoil_join(room: &mut Room, by: &str, seed: u8, how: Falsely) -> LeafId {
    let engine = &room.of(by).engine;
    let key = LeafKey::from_seed(&[seed; 32]);
    let group = engine.group.as_ref().unwrap();
    let (info, tree) = (
        group.group_info(&engine.key).unwrap(),
        group.tree().unwrap(),
    );
    let generation = engine.newest_generation().unwrap();
    let (psk_id, psk) = generation.psk();
    let psk = match how {
        Falsely::Psk => [9; 32],
        Falsely::Tag => *psk,
    };
    let aad = commits::CommitAad {
        next: None,
        seen: engine.seen_now(),
    };
    let log = engine.log_bytes();
    let join = Group::join(
        &key,
        &info,
        &tree,
        (psk_id, &psk),
        &aad.encode().unwrap(),
        &log,
        0,
    );
    let join = join.unwrap();
    let commit = match how {
        Falsely::Psk => join.out.commit,
        Falsely::Tag => spoil::with_other_tags(&join.out.commit),
    };
    append_commit(room, by, commit, join.out.info);
    key.id()
}

#[test]
fn a_join_spoiled_by_a_link_holder_is_undone_and_newcomers_are_not_led_astray() {
    for how in [Falsely::Psk, Falsely::Tag] {
        let mut room = Room::new(&["Ann", "Ben", "Cay"]);
        let stranger = spoil_join(&mut room, "Ann", 77, how);
        room.join("Hal");
        room.settle();
        for name in ["Ann", "Ben", "Cay"] {
            assert!(tell_of(&room, name, stranger), "{name} is not told");
        }
        room.assert_one_epoch(&["Ann", "Ben", "Cay", "Hal"]);
        let members = room.of("Hal").engine.members();
        assert!(members.iter().all(|member| member.leaf != stranger));
    }
}

#[test]
fn without_a_facilitator_a_spoiled_join_is_undone_all_the_same() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    room.go_offline("Ann", true);
    spoil_join(&mut room, "Ben", 77, Falsely::Psk);
    room.settle();
    disputes::noise(&mut room, 16);
    room.settle();
    room.assert_one_epoch(&["Ben", "Cay", "Dan"]);
    room.go_offline("Ann", false);
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Dan"]);
}

#[test]
fn a_link_holder_who_spoils_again_and_again_ends_the_link_and_the_room_speaks_on() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let first = room.of("Ann").engine.link().unwrap();
    let mut works = Vec::new();
    for n in 0..10 {
        // Somebody hands out each new link as well.
        spoil_join(&mut room, "Ann", 100 + n, Falsely::Psk);
        room.settle();
        room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
        works.push(room.of("Ann").engine.saved.join_work);
    }
    assert_eq!(works, [0, 0, 16, 16, 16, 18, 18, 18, 20, 20]);
    for name in ["Ann", "Ben", "Cay"] {
        let ended = room.of(name).events.iter();
        let ended = ended.filter(|event| **event == Event::LinkSpoiled).count();
        assert_eq!(ended, 3, "{name} is not told");
    }
    assert_ne!(room.of("Ann").engine.link().unwrap(), first);
    let grant = {
        let ann = &room.of("Ann").engine;
        ann.join_grant(ann.newest_secret().unwrap())
    };
    assert_eq!(
        grant.work,
        Some(20),
        "and it keeps the price while it is used so"
    );
    room.join_by("Hal", &first);
    room.settle();
    assert_eq!(room.of("Hal").engine.standing(), Standing::Joining);
    room.devices.retain(|device| device.name != "Hal");
    // Where a link is not used so, the next costs less.
    for _ in 0..2 {
        room.command("Ann", Command::Rotate);
        room.settle();
    }
    assert_eq!(room.of("Cay").engine.saved.join_work, 18);
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

#[test]
fn a_spoiled_link_is_renewed_once_however_many_facilitators_there_are() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    for name in ["Ben", "Cay"] {
        room.command("Ann", Command::Promote(room.leaf(name)));
        room.settle();
    }
    let rotated = |room: &Room| {
        let events = room.of("Cay").events.iter();
        events.filter(|event| **event == Event::Rotated).count()
    };
    let before = rotated(&room);
    for n in 0..3 {
        spoil_join(&mut room, "Ann", 100 + n, Falsely::Psk);
        room.settle();
    }
    assert_eq!(rotated(&room), before + 1);
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

#[test]
fn a_newcomer_whose_commit_is_void_comes_in_again() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.join("Hal");
    let (hal, ann) = (room.index("Hal"), room.index("Ann"));
    let fence = room.log.fence;
    while room.log.fence == fence {
        room.step(hal);
    }
    let seq = room.log.entries.len() as u64;
    room.step(hal);
    room.step(hal);
    assert_eq!(room.of("Hal").engine.standing(), Standing::Waiting);
    // Ann says that she cannot open it, whatever the reason.
    let now = room.now;
    Room::give(&room.log, &room.id, &mut room.devices[ann], now);
    let commit = room.of("Ann").engine.disputes.find(seq).unwrap().commit;
    let engine = room.engine("Ann");
    engine.saved.verdicts = vec![saved::Verdict {
        seq,
        opens: false,
        commit,
    }];
    room.settle();
    assert_eq!(room.of("Hal").engine.standing(), Standing::In);
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Hal"]);
}

#[test]
fn a_newcomer_led_astray_by_a_false_group_info_is_not_blamed() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    spoil_commit(&mut room, "Dan", spoil::How::Info);
    room.join("Hal");
    let hal = room.index("Hal");
    let fence = room.log.fence;
    while room.log.fence == fence {
        assert!(room.step(hal), "Hal builds on it");
    }
    room.settle();
    let (dan, leaf) = (room.leaf("Dan"), room.leaf("Hal"));
    for name in ["Ann", "Ben", "Cay"] {
        assert!(tell_of(&room, name, dan), "{name} is not told of Dan");
        assert!(!tell_of(&room, name, leaf), "{name} is told of Hal");
        assert_eq!(room.of(name).engine.saved.spoiled_joins, 0);
    }
    assert_eq!(room.of("Hal").engine.standing(), Standing::In);
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Hal"]);
}
