//! Conversations that ask for a newer client than this one.

use serde::Serialize;

use super::forgeries::inject;
use super::leaving::{Forged, forge};
use super::*;
use crate::content::ContentBody;
use crate::mls::Plan;
use crate::policy::{CLIENT_VERSION, Facilitator};
use crate::seal::{EnvelopeBody, SnapshotBody};

const NEWER: u16 = CLIENT_VERSION + 1;

/// A policy as some later version may write it.
#[derive(Serialize)]
struct LaterForm {
    floor: u32,
    novelty: bool,
    members_add: bool,
    min_version: u16,
    facilitators: Vec<Facilitator>,
}

/// The rules of the room, for clients of the next version, in this form and in a later one.
fn newer_rules(room: &Room, in_later_form: bool) -> Vec<u8> {
    let mut rules = room.of("Ann").engine.policy.clone().unwrap();
    if in_later_form {
        let later = LaterForm {
            floor: rules.floor,
            novelty: true,
            members_add: false,
            min_version: NEWER,
            facilitators: rules.facilitators,
        };
        return sotto_protocol::cbor::encode(&later).unwrap();
    }
    rules.min_version = NEWER;
    rules.encode().unwrap()
}

fn change_rules(room: &mut Room, name: &str, rules: Vec<u8>) {
    let plan = Plan {
        policy: Some(rules),
        ..Plan::default()
    };
    let forged = Forged {
        plan,
        ..Forged::default()
    };
    forge(room, name, forged);
}

#[test]
fn who_is_too_old_pauses_unread_and_goes_on_once_it_is_newer() {
    for in_later_form in [false, true] {
        let mut room = Room::new(&["Ann", "Ben", "Cay"]);
        let link = room.of("Ann").engine.link().unwrap();
        let rules = newer_rules(&room, in_later_form);
        let (epoch, seq) = (room.epoch("Ben"), room.of("Ben").engine.saved.seq);
        change_rules(&mut room, "Ann", rules);
        room.settle();
        room.join_by("Dan", &link);
        room.settle();
        for name in ["Ben", "Cay", "Dan"] {
            assert_eq!(room.of(name).engine.standing(), Standing::Paused, "{name}");
        }
        let ben = room.engine("Ben");
        assert_eq!(
            (ben.group.as_ref().unwrap().epoch(), ben.saved.seq),
            (epoch, seq)
        );
        ben.queue(ContentBody::Text("late".into()), NOON).unwrap();
        drop(ben.finish(NOON));
        assert!(ben.flight.is_none(), "it writes nothing");
        // A client that knows the next version stands where the old one stood.
        ben.saved.paused = ben.saved.paused.map(|(_, stage)| (CLIENT_VERSION, stage));
        ben.go_on_if_new_enough();
        assert_eq!(ben.standing(), Standing::In);
        let dan = room.engine("Dan");
        dan.saved.paused = dan.saved.paused.map(|(_, stage)| (CLIENT_VERSION, stage));
        dan.go_on_if_new_enough();
        assert_eq!(dan.standing(), Standing::Joining);
    }
}

#[test]
fn nobody_who_may_not_change_the_rules_makes_others_pause() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    for in_later_form in [false, true] {
        let rules = newer_rules(&room, in_later_form);
        change_rules(&mut room, "Ben", rules);
        room.go_offline("Ben", false);
        room.settle();
    }
    // A snapshot that nobody believes does not either, while another one is believed.
    let (info, tree) = newer_snapshot(&mut room, "Ben");
    let fence = room.log.fence;
    let body = signed_snapshot(&room, "Ben", fence, info, tree);
    inject(&mut room, "Ben", EnvelopeBody::Snapshot(body), false, true);
    room.join("Dan");
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Dan"]);
}

#[test]
fn a_newcomer_that_is_too_old_for_every_starting_point_pauses() {
    for in_later_form in [false, true] {
        let mut room = Room::new(&["Ann", "Ben"]);
        let link = room.of("Ann").engine.link().unwrap();
        let (info, tree) = if in_later_form {
            later_snapshot(&mut room)
        } else {
            newer_snapshot(&mut room, "Ann")
        };
        let fence = room.log.fence;
        let body = signed_snapshot(&room, "Ann", fence, info, tree);
        inject(&mut room, "Ann", EnvelopeBody::Snapshot(body), false, true);
        room.log.pins = vec![*room.log.pins.last().unwrap()];
        room.join_by("Cay", &link);
        let newest = room.log.pins[0];
        room.devices.last_mut().unwrap().given = newest - 1;
        room.go_offline("Ann", true);
        room.go_offline("Ben", true);
        room.pass_seconds(11);
        let standing = room.of("Cay").engine.standing();
        assert_eq!(
            standing,
            Standing::Paused,
            "in a later form: {in_later_form}"
        );
    }
}

/// GroupInfo and tree of the room as it would be under rules for a newer client.
fn newer_snapshot(room: &mut Room, name: &str) -> (Vec<u8>, Vec<u8>) {
    let rules = newer_rules(room, false);
    snapshot_under(room, name, rules)
}

fn later_snapshot(room: &mut Room) -> (Vec<u8>, Vec<u8>) {
    let rules = newer_rules(room, true);
    snapshot_under(room, "Ann", rules)
}

fn snapshot_under(room: &mut Room, name: &str, rules: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let engine = room.engine(name);
    let log = engine.log_bytes();
    let plan = Plan {
        policy: Some(rules),
        ..Plan::default()
    };
    let group = engine.group.as_mut().unwrap();
    let staged = group.stage(&engine.key, &plan, &log).unwrap();
    group.drop_pending().unwrap();
    (staged.info, staged.tree)
}

fn signed_snapshot(
    room: &Room,
    name: &str,
    fence: u64,
    info: Vec<u8>,
    tree: Vec<u8>,
) -> SnapshotBody<'static> {
    let key = &room.of(name).engine.key;
    let signed = SnapshotBody::signed(&room.id, fence, &info, &tree);
    SnapshotBody {
        by: key.id(),
        info: info.into(),
        tree: tree.into(),
        fence,
        signature: key.sign(&signed).to_vec(),
    }
}
