//! Entries that somebody with the seal writes although they may not.

use sotto_protocol::frame::Bytes;

use super::*;
use crate::content::ContentBody;
use crate::mls::Plan;
use crate::seal::{CommitBody, EnvelopeBody, Farewell, Seen, SnapshotBody};

/// Puts a body into the log as this device would seal it, fenced or not.
pub(super) fn inject(
    room: &mut Room,
    name: &str,
    body: EnvelopeBody<'_>,
    fenced: bool,
    pinned: bool,
) {
    let fence = fenced.then_some(room.log.fence);
    let engine = room.engine(name);
    let entries = engine
        .entries(&engine.newest_generation().unwrap(), body)
        .unwrap();
    let item = Item {
        fence,
        pin: pinned,
        ..engine.item(entries)
    };
    room.log.append(&[item]).unwrap();
}

/// A Commit of this device for `plan`, as bytes, without any trace on the device.
pub(super) fn commit_of(room: &mut Room, name: &str, plan: &Plan) -> (Vec<u8>, Vec<u8>) {
    let engine_day = room.now.day();
    let engine = room.engine(name);
    let log = engine.log_bytes();
    let aad = commits::CommitAad {
        next: None,
        seen: engine.seen_now(),
    }
    .encode()
    .unwrap();
    let plan = Plan {
        aad,
        add: plan.add.clone(),
        remove: plan.remove.clone(),
        policy: plan.policy.clone(),
        day: engine_day,
    };
    let group = engine.group.as_mut().unwrap();
    let staged = group.stage(&engine.key, &plan, &log).unwrap();
    group.drop_pending().unwrap();
    (staged.commit, staged.info)
}

pub(super) fn inject_commit(room: &mut Room, name: &str, plan: &Plan, fenced: bool) {
    let (commit, info) = commit_of(room, name, plan);
    let body = CommitBody {
        info: Some(info.into()),
        next: None,
        commit: commit.into(),
        welcome: None,
        farewells: Vec::new(),
        returns: Vec::new(),
    };
    inject(room, name, EnvelopeBody::Commit(body), fenced, false);
}

/// Noise in every kind of envelope.
fn inject_garbage(room: &mut Room, name: &str) {
    let noise: Bytes<'static> = vec![7; 100].into();
    inject(
        room,
        name,
        EnvelopeBody::Commit(CommitBody {
            info: None,
            next: None,
            commit: noise.clone(),
            welcome: None,
            farewells: Vec::new(),
            returns: Vec::new(),
        }),
        true,
        false,
    );
    inject(
        room,
        name,
        EnvelopeBody::Message(noise.clone()),
        false,
        false,
    );
    let leaf = room.leaf(name);
    inject(
        room,
        name,
        EnvelopeBody::Farewell(Farewell {
            leaf,
            signature: vec![7; 64],
        }),
        false,
        false,
    );
    inject(room, name, EnvelopeBody::Waiting(noise), false, false);
}

/// What each of these has skipped so far, and that they were told of each.
pub(super) fn assert_junk(room: &Room, names: &[&str], count: u64) {
    for name in names {
        assert_eq!(room.of(name).engine.saved.junk, count, "{name}");
        let counts = room.of(name).events.iter().filter_map(|event| match event {
            Event::Junk { count } => Some(*count),
            _ => None,
        });
        assert!(counts.eq(1..=count), "{name} is not told of each");
    }
}

#[test]
fn garbage_stale_replayed_unfenced_and_forbidden_commits_of_a_member_are_skipped_and_counted() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let others = ["Ann", "Cay"];
    let (ann, cay) = (room.leaf("Ann"), room.leaf("Cay"));
    let epoch = room.epoch("Ann");
    let of = |remove: Vec<LeafId>, policy: Option<Vec<u8>>| Plan {
        remove,
        policy,
        ..Plan::default()
    };
    // By who may not: removing, and changing the rules.
    let mut rules = room.of("Ben").engine.policy.clone().unwrap();
    rules.members_add = true;
    let rules = rules.encode().unwrap();
    let forbidden = [
        of(vec![cay], None),
        of(vec![ann], None),
        of(Vec::new(), Some(rules)),
    ];
    for plan in &forbidden {
        inject_commit(&mut room, "Ben", plan, true);
    }
    room.settle();
    assert_junk(&room, &["Ann", "Ben", "Cay"], 3);
    // Without a fence.
    inject_commit(&mut room, "Ann", &Plan::default(), false);
    room.settle();
    assert_junk(&room, &["Ann", "Ben", "Cay"], 4);
    inject_garbage(&mut room, "Ben");
    room.settle();
    assert_junk(&room, &others, 8);
    assert_eq!(room.epoch("Ann"), epoch);
    // A Commit that counts, which Ben's own device knows nothing of, then the same again.
    room.go_offline("Ben", true);
    let commit = commit_of(&mut room, "Ben", &Plan::default());
    for _ in 0..2 {
        let body = commit_body(commit.clone());
        inject(&mut room, "Ben", body, true, false);
    }
    // And one for the epoch that is over.
    inject_commit(&mut room, "Ben", &Plan::default(), true);
    room.settle();
    assert_junk(&room, &others, 10);
    let replayed = replay_all(&mut room);
    assert_eq!(replayed, room.log.fence / 2);
    room.settle();
    assert_junk(&room, &others, 10 + replayed);
    for name in others {
        assert_eq!(room.epoch(name), epoch + 1, "{name}");
    }
    room.join("Dan");
    room.settle();
    room.assert_one_epoch(&["Ann", "Cay", "Dan"]);
    assert_junk(&room, &others, 10 + replayed);
}

/// An external Commit of this device on the present epoch, as bytes, with such a PSK.
pub(super) fn external_commit(room: &mut Room, by: &str, psk: [u8; 32]) -> (Vec<u8>, Vec<u8>) {
    let ann = room.engine("Ann");
    let group = ann.group.as_ref().unwrap();
    let (info, tree) = (group.group_info(&ann.key).unwrap(), group.tree().unwrap());
    let log = ann.log_bytes();
    let seen = Seen {
        epoch: group.epoch(),
        ..Seen::default()
    };
    let aad = commits::CommitAad { next: None, seen }.encode().unwrap();
    let generation = ConversationSecret::new(psk).generation(&room.id);
    let key = &room.of(by).engine.key;
    let join = Group::join(key, &info, &tree, generation.psk(), &aad, &log, NOON.day()).unwrap();
    (join.out.commit, join.out.info)
}

pub(super) fn commit_body((commit, info): (Vec<u8>, Vec<u8>)) -> EnvelopeBody<'static> {
    EnvelopeBody::Commit(CommitBody {
        info: Some(info.into()),
        next: None,
        commit: commit.into(),
        welcome: None,
        farewells: Vec::new(),
        returns: Vec::new(),
    })
}

/// Everything fenced that stands in the log, once more, byte for byte.
fn replay_all(room: &mut Room) -> u64 {
    let fenced: Vec<_> = room
        .log
        .entries
        .iter()
        .filter(|(entry, _)| entry.fence.is_some())
        .map(|(entry, _)| entry.clone())
        .collect();
    let count = fenced.len() as u64;
    for entry in fenced {
        let entries = vec![NewEntry {
            held: None,
            owner: None,
            sealed: entry.sealed,
            last_resort: false,
            commitment: entry.commitment,
        }];
        let item = Item {
            fence: Some(room.log.fence),
            ..room.of("Ann").engine.item(entries)
        };
        room.log.append(&[item]).unwrap();
    }
    count
}

#[test]
fn garbage_stale_replayed_unfenced_and_forbidden_commits_of_a_link_holder_are_skipped_and_counted()
{
    let mut room = Room::new(&["Ann", "Ben"]);
    // Mal has the link and never joins.
    room.join("Mal");
    room.go_offline("Mal", true);
    let secret = *room.of("Ann").engine.newest_secret().unwrap().as_bytes();
    let stale = external_commit(&mut room, "Mal", secret);
    room.join("Cay");
    room.settle();
    let members = ["Ann", "Ben", "Cay"];
    room.assert_one_epoch(&members);
    let epoch = room.epoch("Ann");
    assert_junk(&room, &members, 0);
    inject_garbage(&mut room, "Mal");
    inject(&mut room, "Mal", commit_body(stale), true, false);
    let other = external_commit(&mut room, "Mal", [0x66; 32]);
    inject(&mut room, "Mal", commit_body(other), true, false);
    let unfenced = external_commit(&mut room, "Mal", secret);
    inject(&mut room, "Mal", commit_body(unfenced), false, false);
    room.settle();
    // Cay came by the link and cannot tell unfenced noise from words of before its time; here all of
    // it opens.
    assert_junk(&room, &members, 7);
    let replayed = replay_all(&mut room);
    assert_eq!(replayed, room.log.fence / 2);
    room.settle();
    for name in members {
        assert_eq!(room.epoch(name), epoch, "{name}");
    }
    assert_junk(&room, &members, 7 + replayed);
    room.join("Dan");
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Dan"]);
    assert_junk(&room, &members, 7 + replayed);
}

#[test]
fn a_commit_of_five_hundred_kibibytes_counts_as_a_run_and_not_at_all_with_a_part_missing() {
    for missing in [None, Some(0), Some(3), Some(7)] {
        let mut room = Room::new(&["Ann", "Ben"]);
        let engine = room.engine("Ben");
        let log = engine.log_bytes();
        let plan = Plan {
            aad: vec![0x5a; 500 << 10],
            ..Plan::default()
        };
        let group = engine.group.as_mut().unwrap();
        let epoch = group.epoch();
        let staged = group.stage(&engine.key, &plan, &log).unwrap();
        if missing.is_some() {
            group.drop_pending().unwrap();
        }
        let body = commit_body((staged.commit, staged.info));
        let generation = engine.newest_generation().unwrap();
        let mut entries = engine.entries(&generation, body).unwrap();
        assert_eq!(entries.len(), 8);
        if let Some(missing) = missing {
            entries.remove(missing);
        }
        let item = Item {
            fence: Some(room.log.fence),
            ..room.of("Ben").engine.item(entries)
        };
        room.log.append(&[item]).unwrap();
        room.settle();
        let now = room.of("Ann").engine.group.as_ref().unwrap().epoch();
        assert_eq!(now, epoch + u64::from(missing.is_none()));
        room.join("Cay");
        room.settle();
        room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
    }
}

#[test]
fn a_forged_snapshot_leads_nobody_astray() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let ben = room.engine("Ben");
    let group = ben.group.as_ref().unwrap();
    let (info, tree) = (group.group_info(&ben.key).unwrap(), group.tree().unwrap());
    let signed = SnapshotBody::signed(&ben.saved.log, ben.saved.fence, &info, &tree);
    // Ben is no facilitator: his snapshot is true, and still nobody need believe him.
    let snapshot = SnapshotBody {
        by: ben.key.id(),
        info: info.into(),
        tree: tree.into(),
        fence: ben.saved.fence,
        signature: ben.key.sign(&signed).to_vec(),
    };
    for _ in 0..5 {
        inject(
            &mut room,
            "Ben",
            EnvelopeBody::Snapshot(snapshot.clone()),
            false,
            true,
        );
    }
    room.join("Cay");
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

/// A snapshot by this device of its own group, said to stand at `fence`.
fn snapshot_of(room: &mut Room, name: &str, fence: u64) -> SnapshotBody<'static> {
    let engine = room.engine(name);
    let group = engine.group.as_ref().unwrap();
    let (info, tree) = (
        group.group_info(&engine.key).unwrap(),
        group.tree().unwrap(),
    );
    let signed = SnapshotBody::signed(&engine.saved.log, fence, &info, &tree);
    SnapshotBody {
        by: engine.key.id(),
        info: info.into(),
        tree: tree.into(),
        fence,
        signature: engine.key.sign(&signed).to_vec(),
    }
}

#[test]
fn a_false_snapshot_is_told_of_mended_once_and_puts_no_true_one_off() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let ben = room.leaf("Ben");
    for _ in 0..10 {
        inject_garbage(&mut room, "Ben");
    }
    room.settle();
    let waited = room.of("Ben").engine.saved.fenced_since_pin;
    assert!(waited >= 10);
    let pins = room.log.pins.len();
    // True, but no facilitator's; then one that nobody signed; then one of a fence to come.
    let fence = room.log.fence;
    let own = snapshot_of(&mut room, "Ben", fence);
    let unsigned = SnapshotBody {
        by: room.leaf("Ann"),
        ..own.clone()
    };
    let early = snapshot_of(&mut room, "Ben", fence + 3);
    for snapshot in [own, unsigned, early] {
        inject(
            &mut room,
            "Ben",
            EnvelopeBody::Snapshot(snapshot),
            false,
            true,
        );
    }
    // What is only late says nothing.
    let late = snapshot_of(&mut room, "Ben", fence - 1);
    inject(&mut room, "Ben", EnvelopeBody::Snapshot(late), false, true);
    let index = room
        .devices
        .iter()
        .position(|device| device.name == "Ben")
        .unwrap();
    let now = room.now;
    Room::give(&room.log, &room.id, &mut room.devices[index], now);
    assert_eq!(
        room.of("Ben").engine.saved.fenced_since_pin,
        waited,
        "not put off"
    );
    room.settle();
    for name in ["Ann", "Ben"] {
        let told = |by: Option<LeafId>| {
            let false_one = Event::FalseSnapshot { by };
            let events = room.of(name).events.iter();
            events.filter(|event| **event == false_one).count()
        };
        assert_eq!((told(Some(ben)), told(None)), (2, 1), "{name}");
    }
    assert_eq!(room.log.pins.len(), pins + 4 + 1, "Ann pins one true one");
    assert_eq!(room.of("Ben").engine.saved.fenced_since_pin, 0);
}

#[test]
fn when_garbage_has_pushed_out_every_pin_a_facilitator_makes_the_room_joinable_again() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let link = room.of("Ann").engine.link().unwrap();
    room.go_offline("Ann", true);
    let fence = room.log.fence;
    for _ in 0..4 {
        let garbage = snapshot_of(&mut room, "Ben", fence);
        inject(
            &mut room,
            "Ben",
            EnvelopeBody::Snapshot(garbage),
            false,
            true,
        );
    }
    // The relay keeps the last four.
    let kept = room.log.pins.len() - 4;
    room.log.pins.drain(..kept);
    room.join_by("Cay", &link);
    room.devices.last_mut().unwrap().given = room.log.pins[3] - 1;
    room.settle();
    assert_eq!(room.of("Cay").engine.standing(), Standing::Joining);
    room.go_offline("Ann", false);
    room.settle();
    assert_eq!(room.of("Cay").engine.standing(), Standing::In);
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

#[test]
fn a_newest_pin_of_garbage_is_left_for_an_older_one() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let link = room.of("Ann").engine.link().unwrap();
    let older = *room.log.pins.last().unwrap();
    let fence = room.log.fence;
    let garbage = snapshot_of(&mut room, "Ben", fence);
    inject(
        &mut room,
        "Ben",
        EnvelopeBody::Snapshot(garbage),
        false,
        true,
    );
    for name in ["Ann", "Ben"] {
        room.go_offline(name, true);
    }
    room.join_by("Cay", &link);
    let newest = *room.log.pins.last().unwrap();
    room.devices[2].given = newest - 1;
    room.settle();
    // Nothing fenced stands behind it that could show that this is all.
    let cay = room.engine("Cay");
    let left = cay.joining.as_ref().unwrap().pins_left();
    assert!(cay.flight.is_none());
    room.pass_seconds(11);
    let cay = room.engine("Cay");
    assert_eq!(cay.joining.as_ref().unwrap().pins_left(), left - 1);
    // The relay gives what follows on the pin before.
    room.devices[2].given = older - 1;
    room.settle();
    assert_eq!(room.of("Cay").engine.standing(), Standing::Waiting);
    for name in ["Ann", "Ben"] {
        room.go_offline(name, false);
    }
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

#[test]
fn a_fence_burnt_for_a_minute_stops_nobody() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let dan = room.of("Ann").engine.link().unwrap();
    let epoch = room.epoch("Ann");
    let noise: Bytes<'static> = vec![7; 100].into();
    for second in 0..60 {
        // What whoever has the link can write, ahead of everybody else.
        let body = CommitBody {
            info: None,
            next: None,
            commit: noise.clone(),
            welcome: None,
            farewells: Vec::new(),
            returns: Vec::new(),
        };
        inject(&mut room, "Cay", EnvelopeBody::Commit(body), true, false);
        match second {
            10 => {
                room.join_by("Dan", &dan);
            }
            30 => {
                room.command("Ann", Command::Rotate);
            }
            50 => {
                room.say("Ben", "still here");
            }
            _ => {}
        }
        room.pass_seconds(1);
    }
    assert_eq!(room.epoch("Ann"), epoch + 2, "Dan's and the rotation");
    assert!(room.texts("Dan").contains(&"still here".to_owned()));
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Dan"]);
}

#[test]
fn an_external_commit_without_the_present_psk_is_refused_by_all() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let epoch = room.epoch("Ann");
    let (day, ann) = (room.now.day(), &room.of("Ann").engine);
    let group = ann.group.as_ref().unwrap();
    let (info, tree) = (group.group_info(&ann.key).unwrap(), group.tree().unwrap());
    let log = ann.log_bytes();
    let key = LeafKey::from_seed(&[77; 32]);
    let psk = (b"another".as_slice(), &[7; 32]);
    let join = Group::join(&key, &info, &tree, psk, b"", &log, day).unwrap();
    let body = CommitBody {
        info: Some(join.out.info.into()),
        next: None,
        commit: join.out.commit.into(),
        welcome: None,
        farewells: Vec::new(),
        returns: Vec::new(),
    };
    inject(&mut room, "Ben", EnvelopeBody::Commit(body), true, false);
    room.settle();
    assert_eq!(room.epoch("Ann"), epoch);
    room.join("Cay");
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

#[test]
fn a_false_group_info_is_mended_by_a_facilitator() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let (commit, _) = commit_of(&mut room, "Ben", &Plan::default());
    let engine = room.engine("Ben");
    let stale = engine
        .group
        .as_ref()
        .unwrap()
        .group_info(&engine.key)
        .unwrap();
    let body = CommitBody {
        info: Some(stale.into()),
        next: None,
        commit: commit.into(),
        welcome: None,
        farewells: Vec::new(),
        returns: Vec::new(),
    };
    inject(&mut room, "Ben", EnvelopeBody::Commit(body), true, false);
    // His own device does not know this Commit; it has no further part in this.
    room.go_offline("Ben", true);
    room.settle();
    room.join("Cay");
    room.settle();
    assert_eq!(room.of("Cay").engine.standing(), Standing::In);
}

#[test]
fn late_words_of_a_removed_member_are_not_shown_even_with_the_relays_help() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let late = {
        let engine = room.engine("Ben");
        engine
            .queue(ContentBody::Text("late".into()), NOON)
            .unwrap();
        let number = *engine.outbox.keys().next_back().unwrap();
        let entries = engine.seal_message(number).unwrap();
        engine.item(entries)
    };
    room.go_offline("Ben", true);
    let ben = room.leaf("Ben");
    room.command("Ann", Command::Remove(ben));
    room.settle();
    room.log.append(&[late]).unwrap();
    room.settle();
    assert!(!room.texts("Ann").contains(&"late".to_owned()));
    assert!(!room.texts("Cay").contains(&"late".to_owned()));
    room.assert_one_epoch(&["Ann", "Cay"]);
}

#[test]
fn an_old_link_does_not_lead_back_in_even_with_the_relays_help() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let old_link = room.of("Ann").engine.link().unwrap();
    let ben = room.leaf("Ben");
    room.command("Ann", Command::Remove(ben));
    room.settle();
    room.join_by("Ben again", &old_link);
    room.settle();
    assert_eq!(room.of("Ben again").engine.standing(), Standing::Joining);
    assert_eq!(room.of("Ann").engine.members().len(), 2);
    room.devices.retain(|device| device.name != "Ben again");
    room.assert_one_epoch(&["Ann", "Cay"]);
}
