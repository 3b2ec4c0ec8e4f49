//! Commits that anyone can check and that some or all cannot open.

use super::spoiling::{append_commit, spoil_commit, spoiled, tell_of};
use super::*;
use crate::mls::{Plan, spoil};
use crate::seal::{self, Envelope, EnvelopeBody, Packet, VerdictBody};

pub(super) const ALL: [&str; 7] = ["Ann", "Ben", "Cay", "Dan", "Eve", "Fay", "Gus"];

pub(super) fn others(without: &str) -> Vec<&'static str> {
    ALL.into_iter().filter(|name| *name != without).collect()
}

/// A word of this leaf on the Commit at `seq`, as its device would sign it.
fn say(room: &mut Room, name: &str, seq: u64, opens: bool, commit: &[u8; 32]) {
    let fence = room.log.fence;
    let engine = room.engine(name);
    let signed = VerdictBody::signed(&engine.saved.log, seq, opens, commit);
    let body = VerdictBody {
        by: engine.key.id(),
        seq,
        opens,
        signature: engine.key.sign(&signed).to_vec(),
    };
    let entries = engine
        .entries(
            &engine.newest_generation().unwrap(),
            EnvelopeBody::Verdict(body),
        )
        .unwrap();
    let item = Item {
        fence: Some(fence),
        ..engine.item(entries)
    };
    room.log.append(&[item]).unwrap();
}

/// Entries that say nothing.
pub(super) fn noise(room: &mut Room, count: usize) {
    let engine = room.engine("Ann");
    let item = engine.item(
        engine
            .entries(
                &engine.newest_generation().unwrap(),
                EnvelopeBody::Waiting(vec![7; 10].into()),
            )
            .unwrap(),
    );
    for _ in 0..count {
        room.log.append(std::slice::from_ref(&item)).unwrap();
    }
}

/// The digest of the Commit that stands at `seq`.
fn commit_at(room: &Room, seq: u64) -> [u8; 32] {
    let bodies = bodies_of(room);
    let (_, packet) = bodies.iter().find(|(at, _)| *at == seq).unwrap();
    match sotto_protocol::cbor::decode(packet).unwrap() {
        Packet::Whole(Envelope {
            body: EnvelopeBody::Commit(body),
            ..
        }) => saved::Digest::of(body.commit.as_slice()).0,
        _ => panic!("a Commit"),
    }
}

/// What stands in the log's entries, as far as Ann's secrets open it.
fn bodies_of(room: &Room) -> Vec<(u64, Vec<u8>)> {
    let engine = &room.of("Ann").engine;
    let entries = room.log.entries.iter().filter_map(|(entry, _)| {
        let sealed = entry.sealed.as_slice();
        let opened = engine
            .saved
            .secrets
            .iter()
            .find_map(|secret| seal::open(&secret.generation(&room.id), &room.id, sealed).ok());
        Some((entry.seq, opened?))
    });
    entries.collect()
}

/// The words that stand in the log on the Commit at `seq`: whose, and whether it opens.
fn words_on(room: &Room, seq: u64) -> Vec<(LeafId, bool)> {
    let bodies = bodies_of(room);
    let words = bodies.iter().filter_map(|(_, packet)| {
        match sotto_protocol::cbor::decode(packet).unwrap() {
            Packet::Whole(Envelope {
                body: EnvelopeBody::Verdict(word),
                ..
            }) if word.seq == seq => Some((word.by, word.opens)),
            _ => None,
        }
    });
    words.collect()
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
            .filter(|name| tell_of(&room, name, gus))
            .count();
        assert_eq!(told, 6, "everybody is told who it was");
        room.assert_one_epoch(&others("Gus"));
        room.join("Hal");
        room.settle();
        let mut names = others("Gus");
        names.push("Hal");
        room.assert_one_epoch(&names);
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

#[test]
fn a_removed_facilitator_and_an_accomplice_do_not_undo_the_removal() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan", "Eve"]);
    room.command("Ann", Command::Promote(room.leaf("Ben")));
    room.settle();
    let accomplices = ["Ben", "Cay", "Eve"];
    for name in accomplices {
        room.go_offline(name, true);
    }
    let seq = room.log.entries.len() as u64 + 1;
    room.command("Ann", Command::Remove(room.leaf("Ben")));
    room.settle();
    // What they sign is what every honest refusal of it would say.
    let commit = commit_at(&room, seq);
    let junk = room.of("Ann").engine.saved.junk;
    for name in accomplices {
        say(&mut room, name, seq, false, &commit);
    }
    noise(&mut room, 20);
    room.settle();
    for name in ["Ann", "Dan"] {
        let undone = |event: &Event| matches!(event, Event::Undone { .. } | Event::Spoiled { .. });
        assert!(!room.has(name, undone), "{name}");
        let members = room.of(name).engine.members();
        assert!(members.iter().all(|member| member.leaf != room.leaf("Ben")));
        // They are well signed: only the noise is junk.
        assert_eq!(room.of(name).engine.saved.junk, junk + 20, "{name}");
    }
    room.assert_one_epoch(&["Ann", "Dan"]);
}

#[test]
fn the_same_refusal_undoes_a_commit_that_is_no_facilitators() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    room.command("Ann", Command::Promote(room.leaf("Ben")));
    room.settle();
    let (seq, index) = (room.log.entries.len() as u64 + 1, room.index("Dan"));
    room.engine("Dan").want(saved::Intent::Update);
    for _ in 0..3 {
        room.step(index);
    }
    let commit = commit_at(&room, seq);
    say(&mut room, "Ben", seq, false, &commit);
    room.settle();
    let dan = room.leaf("Dan");
    assert!(room.has("Ann", |event| *event == Event::Undone { by: dan }));
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Dan"]);
}

/// Gus spoils, and whoever cannot open it has said so before anybody else reads of it: those who did,
/// and those who can.
fn refused_by_some(paths: Vec<usize>) -> (Room, Vec<&'static str>, Vec<&'static str>) {
    let mut room = Room::new(&ALL);
    spoil_commit(&mut room, "Gus", spoil::How::Paths(paths));
    let copy = (room.log.clone(), room.now);
    let (out, inside): (Vec<_>, Vec<_>) = others("Gus").into_iter().partition(|name| {
        let index = room.index(name);
        Room::give(&copy.0, &room.id, &mut room.devices[index], copy.1);
        room.of(name).engine.joining.is_some()
    });
    for name in &out {
        let index = room.index(name);
        while !room.of(name).engine.saved.verdicts.is_empty() {
            room.step(index);
        }
    }
    (room, out, inside)
}

/// One alone, for as long as it has something to do.
fn go_on_alone(room: &mut Room, name: &str) {
    let index = room.index(name);
    for _ in 0..20 {
        room.step(index);
    }
}

#[test]
fn a_rotation_waits_until_who_refused_a_commit_that_stands_is_in_again() {
    let mut seen = 0;
    for paths in [vec![0], vec![1], vec![0, 1]] {
        let (mut room, out, inside) = refused_by_some(paths);
        if !inside.contains(&"Ann") {
            continue;
        }
        assert!(!out.is_empty());
        seen += 1;
        room.command("Ann", Command::Rotate);
        go_on_alone(&mut room, "Ann");
        assert!(room.of("Ann").engine.disputes.is_empty(), "she decides it");
        let rotated = |room: &Room, name: &str| room.has(name, |event| *event == Event::Rotated);
        assert!(!rotated(&room, "Ann"), "{out:?} would be shut out");
        room.settle();
        room.assert_one_epoch(&others("Gus"));
        for name in others("Gus") {
            assert!(rotated(&room, name), "{name}");
        }
    }
    assert!(seen > 0);
}

#[test]
fn a_removal_waits_ten_seconds_in_all_for_who_does_not_come_back() {
    let (mut room, out, inside) = refused_by_some(vec![0]);
    assert!(inside.contains(&"Ann"));
    for name in &out {
        room.go_offline(name, true);
    }
    let gus = room.leaf("Gus");
    room.command("Ann", Command::Remove(gus));
    room.settle();
    let removed = |room: &Room| {
        room.of("Ann")
            .engine
            .group
            .as_ref()
            .is_some_and(|group| !group.leaves().contains(&gus))
    };
    room.pass_seconds(9);
    assert!(!removed(&room));
    // They come in again, and somebody refuses once more: it is the same wish.
    let since = room.of("Ann").engine.held_since_ms;
    room.engine("Ann").disputes.forget_stranded();
    let now = room.now;
    assert!(!room.engine("Ann").holds_back(now));
    assert!(since.is_some() && room.of("Ann").engine.held_since_ms == since);
    room.pass_seconds(2);
    assert!(removed(&room));
    assert_eq!(room.of("Ann").engine.held_since_ms, None);
}

#[test]
fn members_leave_the_fence_to_who_has_to_come_in_again() {
    let (mut room, out, inside) = refused_by_some(vec![0]);
    let member = inside.iter().find(|name| **name != "Ann").unwrap();
    room.go_offline("Ann", true);
    room.engine(member).want(saved::Intent::Update);
    go_on_alone(&mut room, member);
    let wants = |room: &Room| room.of(member).engine.saved.intents == [saved::Intent::Update];
    assert!(room.of(member).engine.disputes.is_empty() && wants(&room));
    room.settle();
    assert!(!wants(&room));
    let mut names = inside.clone();
    names.extend(&out);
    names.retain(|name| *name != "Ann");
    room.assert_one_epoch(&names);
}

/// Ann renews the secret with a Commit that `paths` cannot open.
fn rotate_spoiled(room: &mut Room, how: spoil::How) {
    let engine = room.engine("Ann");
    let aad = commits::CommitAad {
        next: Some([3; 32].into()),
        seen: engine.seen_now(),
    };
    let plan = Plan {
        aad: aad.encode().unwrap(),
        ..Plan::default()
    };
    let (commit, info) = spoiled(room, "Ann", &plan, how);
    append_commit(room, "Ann", commit, info);
    room.go_offline("Ann", true);
}

#[test]
fn who_cannot_open_a_rotation_is_told_and_everybody_else_goes_on() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan", "Eve"]);
    room.command("Ann", Command::Promote(room.leaf("Ben")));
    room.settle();
    rotate_spoiled(&mut room, spoil::How::Paths(vec![0]));
    room.settle();
    let ann = room.leaf("Ann");
    let (out, inside): (Vec<_>, Vec<_>) = ["Ben", "Cay", "Dan", "Eve"]
        .into_iter()
        .partition(|name| room.of(name).engine.standing() == Standing::ShutOut);
    assert!(!out.is_empty() && !inside.is_empty(), "{out:?}");
    for name in &out {
        assert!(room.has(name, |event| *event == Event::Spoiled { by: ann }));
        assert!(
            room.of(name)
                .rows
                .keys()
                .all(|row| !row.starts_with(saved::MLS)
                    && !row.starts_with(saved::ASIDE)
                    && row != saved::FOLLOWED),
            "keys are left"
        );
    }
    room.assert_one_epoch(&inside);
}

#[test]
fn who_is_shut_out_and_knows_the_door_knocks_there() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let ben = room.leaf("Ben");
    let ann = &room.of("Ann").engine;
    let door = crate::link::DoorLink {
        door: LogId::new([4; 32]),
        knock: [5; 32],
        relay: ann.saved.relay.clone(),
        suite: Suite::Classic,
        founder: ann.key.id(),
        sealing: PublicKey::new([6; 32]),
    };
    room.engine("Ben").saved.door = Some(door);
    rotate_spoiled(&mut room, spoil::How::Tag);
    let index = room.index("Ben");
    room.step(index);
    let engine = &room.of("Ben").engine;
    assert!(engine.is_knocking());
    assert_ne!(engine.key.id(), ben, "with a new leaf");
    assert!(
        room.of("Ben")
            .rows
            .keys()
            .all(|row| !row.starts_with(saved::MLS))
    );
}

#[test]
fn a_facilitators_commit_that_does_not_open_is_followed_by_coming_in_again() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    room.command("Ann", Command::Promote(room.leaf("Ben")));
    room.settle();
    spoil_commit(&mut room, "Ann", spoil::How::Paths(vec![0]));
    room.settle();
    assert!(!room.has("Ben", |event| matches!(event, Event::Undone { .. })));
    room.assert_one_epoch(&["Ben", "Cay", "Dan"]);
}

#[test]
fn nine_commits_in_one_breath_make_no_spoiled_one_stand() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    let mut values = room
        .of("Dan")
        .engine
        .group
        .as_ref()
        .unwrap()
        .values()
        .unwrap();
    for _ in 0..9 {
        let aad = commits::CommitAad {
            next: None,
            seen: room.of("Dan").engine.seen_now(),
        };
        let plan = Plan {
            aad: aad.encode().unwrap(),
            ..Plan::default()
        };
        let gid = group_id(&room.id);
        let dan = &room.of("Dan").engine;
        let (commit, info, after) =
            spoil::commit_and_go_on(values, &gid, &dan.key, &plan, spoil::How::Paths(vec![0, 1]));
        values = after;
        append_commit(&mut room, "Dan", commit, info);
    }
    room.go_offline("Dan", true);
    room.settle();
    let dan = room.leaf("Dan");
    assert!(room.has("Ann", |event| *event == Event::Undone { by: dan }));
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

#[test]
fn a_void_commit_appended_again_counts_for_nobody_whatever_its_tags() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    // No facilitator is there to end the epoch.
    room.go_offline("Ann", true);
    let (commit, info) = spoil_commit(&mut room, "Dan", spoil::How::Tag);
    room.settle();
    noise(&mut room, 16);
    room.settle();
    let dan = room.leaf("Dan");
    let undone = |room: &Room, name: &str| {
        let events = &room.of(name).events;
        events
            .iter()
            .filter(|event| **event == Event::Undone { by: dan })
            .count()
    };
    assert_eq!(undone(&room, "Ben"), 1);
    for commit in [commit.clone(), spoil::with_other_tags(&commit)] {
        append_commit(&mut room, "Dan", commit, info.clone());
    }
    room.join("Hal");
    room.settle();
    noise(&mut room, 20);
    room.settle();
    assert_eq!(undone(&room, "Ben"), 1, "it counted once more");
    room.assert_one_epoch(&["Ben", "Cay", "Hal"]);
    room.go_offline("Ann", false);
    room.settle();
    assert!(
        room.of("Ann").engine.saved.voids.is_empty(),
        "the epoch is not over"
    );
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Hal"]);
    append_commit(&mut room, "Dan", commit, info);
    // Who begins now, at what a facilitator pinned since, is not led astray either.
    room.join("Ivy");
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Hal", "Ivy"]);
}

#[test]
fn nobody_pins_where_a_commit_is_open_or_was_void() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    let pins = room.log.pins.len();
    room.engine("Ann").saved.snapshot_due = true;
    room.settle();
    assert_eq!(
        room.log.pins.len(),
        pins + 1,
        "Dan's coming in is acknowledged"
    );
    spoil_commit(&mut room, "Dan", spoil::How::Tag);
    room.engine("Ann").saved.snapshot_due = true;
    let index = room.index("Ann");
    while room.step(index) {
        let ann = &room.of("Ann").engine;
        let pinned = room.log.pins.len() > pins + 1;
        assert!(!pinned || (ann.disputes.is_empty() && ann.saved.voids.is_empty()));
    }
    assert_eq!(
        room.log.pins.len(),
        pins + 2,
        "after her next Commit she does"
    );
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

#[test]
fn an_earlier_commit_that_becomes_void_takes_the_stranded_back_as_well() {
    let mut room = Room::new(&ALL);
    let index = room.index("Gus");
    room.engine("Gus").want(saved::Intent::Update);
    let fence = room.log.fence;
    while room.log.fence == fence {
        room.step(index);
    }
    let seq = room.log.entries.len() as u64;
    room.step(index);
    // All take it; then comes one by Gus again that does not open.
    spoil_commit(&mut room, "Gus", spoil::How::Tag);
    for name in others("Gus") {
        let index = room.index(name);
        let now = room.now;
        let device = &mut room.devices[index];
        Room::give(&room.log, &room.id, device, now);
        assert!(device.engine.joining.is_some(), "{name} is not stranded");
        assert!(device.engine.disputes.find(seq).is_some());
        assert!(device.engine.disputes.len() > 1);
        device.engine.saved.verdicts.clear();
    }
    let commit = room.of("Ann").engine.disputes.find(seq).unwrap().commit;
    say(&mut room, "Ann", seq, false, &commit.0);
    room.settle();
    let gus = room.leaf("Gus");
    assert!(room.has("Ben", |event| *event == Event::Undone { by: gus }));
    room.assert_one_epoch(&others("Gus"));
}

#[test]
fn an_acknowledgment_of_what_is_decided_is_not_sent() {
    let (mut room, out, inside) = refused_by_some(vec![0]);
    assert!(!out.is_empty() && inside.len() >= 3, "{out:?}");
    let seq = room
        .of(inside[0])
        .engine
        .disputes
        .iter()
        .next_back()
        .unwrap();
    let seq = seq.0.seq;
    // All who can open it read the refusals at the same moment, and all want to say so.
    for name in &inside {
        let (index, now) = (room.index(name), room.now);
        Room::give(&room.log, &room.id, &mut room.devices[index], now);
        let words = &room.of(name).engine.saved.verdicts;
        assert!(words.iter().any(|word| word.seq == seq && word.opens));
    }
    room.settle();
    // One word decides; the others' would say nothing new.
    let said = words_on(&room, seq);
    let opens = said.iter().filter(|(_, opens)| *opens).count();
    assert_eq!((opens, said.len()), (1, 1 + out.len()));
    for name in others("Gus") {
        assert!(room.of(name).engine.saved.verdicts.is_empty(), "{name}");
    }
    room.assert_one_epoch(&others("Gus"));
}

#[test]
fn a_newcomer_does_not_adopt_a_commit_built_on_one_that_was_void_by_then() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    room.go_offline("Ann", true);
    spoil_commit(&mut room, "Dan", spoil::How::Paths(vec![0, 1, 2, 3]));
    for name in ["Ben", "Cay"] {
        let (index, fence) = (room.index(name), room.log.fence);
        while room.log.fence == fence {
            room.step(index);
        }
    }
    // Two have refused; quiet decides, but who joins reads fenced entries only.
    room.join_by("Hal", &room.of("Ann").engine.link().unwrap());
    let index = room.index("Hal");
    let now = room.now;
    Room::open(&room.log, &mut room.devices[index], now);
    Room::give(&room.log, &room.id, &mut room.devices[index], now);
    drop(room.engine("Hal").finish(now));
    assert!(
        room.of("Hal").engine.flight.is_some(),
        "Hal is on the way in"
    );
    noise(&mut room, 16);
    room.settle();
    room.assert_one_epoch(&["Ben", "Cay", "Hal"]);
}
