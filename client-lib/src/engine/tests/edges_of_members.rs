//! What members may make each other keep: every bound at its edge.

use sotto_protocol::frame::{Described, Policy};

use super::forgeries::inject;
use super::*;
use crate::content::ContentBody;
use crate::mls::{Group, LeafKey};
use crate::seal::{EnvelopeBody, Farewell};

/// A text of this device, sealed for its present epoch and not sent.
fn unsent(room: &mut Room, name: &str, text: &str) -> Item<'static> {
    let now = room.now;
    let engine = room.engine(name);
    engine.queue(ContentBody::Text(text.into()), now).unwrap();
    let number = *engine.outbox.keys().next_back().unwrap();
    let entries = engine.seal_message(number).unwrap();
    engine.item(entries)
}

/// So many epochs begin by Commits of Ann.
fn begin_epochs(room: &mut Room, count: u64) {
    let before = room.epoch("Ann");
    for _ in 0..count {
        room.engine("Ann").want(saved::Intent::Update);
        room.settle();
    }
    assert_eq!(room.epoch("Ann"), before + count);
}

#[test]
fn a_word_that_is_three_epochs_late_counts_and_one_that_is_four_late_is_passed_over() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.go_offline("Ben", true);
    let three_late = unsent(&mut room, "Ben", "three late");
    let four_late = unsent(&mut room, "Ben", "four late");
    begin_epochs(&mut room, 3);
    room.log.append(&[three_late]).unwrap();
    room.settle();
    begin_epochs(&mut room, 1);
    room.log.append(&[four_late]).unwrap();
    room.settle();
    for name in ["Ann", "Cay"] {
        assert_eq!(room.texts(name), ["three late"], "{name}");
        // Its author says it again: nobody is to blame for it.
        assert_eq!(room.of(name).engine.saved.junk, 0, "{name}");
    }
}

/// Ann reads that this member asks to be let go, and has done nothing about it yet.
fn read_farewell(room: &mut Room, name: &str) {
    let farewell = Farewell::of(&room.of(name).engine.key, &room.id);
    inject(room, name, EnvelopeBody::Farewell(farewell), false, false);
    let ann = &mut room.devices[0];
    assert!(Room::give(&room.log, &room.id, ann, room.now));
}

/// Whose farewells Ann keeps.
fn kept(room: &Room) -> Vec<LeafId> {
    let farewells = &room.of("Ann").engine.saved.farewells;
    farewells.iter().map(|one| one.leaf).collect()
}

fn is_told_that_they_leave(room: &Room, leaf: LeafId) -> bool {
    let events = &room.of("Ann").engine.out.events;
    events.contains(&Event::Leaving { leaf })
}

#[test]
fn farewells_of_who_is_gone_are_kept_up_to_a_bound_and_make_room_past_it() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let (ben, cay) = (room.leaf("Ben"), room.leaf("Cay"));
    let gone = Farewell::of(&LeafKey::from_seed(&[77; 32]), &room.id);
    room.engine("Ann").saved.farewells = vec![gone.clone(); 1_023];
    read_farewell(&mut room, "Ben");
    let at_the_bound = [vec![gone.leaf; 1_023], vec![ben]].concat();
    assert_eq!(kept(&room), at_the_bound);
    read_farewell(&mut room, "Cay");
    assert_eq!(kept(&room), [ben, cay]);
    for leaf in [ben, cay] {
        assert!(is_told_that_they_leave(&room, leaf));
    }
}

#[test]
fn farewells_of_who_is_here_are_kept_up_to_a_bound_and_not_one_more() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    let (ben, cay, dan) = (room.leaf("Ben"), room.leaf("Cay"), room.leaf("Dan"));
    // A room of so many takes too long: here one stands for many.
    let many = Farewell::of(&room.of("Ben").engine.key, &room.id);
    room.engine("Ann").saved.farewells = vec![many; 1_023];
    read_farewell(&mut room, "Cay");
    read_farewell(&mut room, "Dan");
    assert_eq!(kept(&room), [vec![ben; 1_023], vec![cay]].concat());
    assert!(is_told_that_they_leave(&room, cay));
    assert!(!is_told_that_they_leave(&room, dan));
    assert_eq!(room.of("Ann").engine.saved.junk, 0);
}

/// Words under Ben's name that his own state knows nothing of, as a copy of it would say them.
fn say_as_a_copy_of_ben(room: &mut Room) {
    let ben = &room.of("Ben").engine;
    let values = ben.group.as_ref().unwrap().values().unwrap();
    let mut copy = Group::load(values, &group_id(&room.id)).unwrap();
    let words = copy.encrypt(&ben.key, b"unknown").unwrap();
    inject(
        room,
        "Ben",
        EnvelopeBody::Message(words.into()),
        false,
        false,
    );
    room.settle();
}

/// How often Ben came in again, and what he skipped.
fn returns_and_junk(room: &Room) -> (usize, u64) {
    let ben = room.of("Ben");
    let leaf = room.leaf("Ben");
    let returns = ben
        .events
        .iter()
        .filter(|one| **one == Event::Returned { leaf });
    (returns.count(), ben.engine.saved.junk)
}

#[test]
fn unknown_words_under_ones_own_name_lead_to_four_returns_and_are_junk_from_then_on() {
    let mut room = Room::new(&["Ann", "Ben"]);
    for round in 1..=4 {
        say_as_a_copy_of_ben(&mut room);
        assert_eq!(returns_and_junk(&room), (round, 0));
    }
    let epoch = room.epoch("Ben");
    say_as_a_copy_of_ben(&mut room);
    assert_eq!(returns_and_junk(&room), (4, 1));
    assert!(!room.of("Ben").engine.saved.is_old);
    assert_eq!((room.epoch("Ann"), room.epoch("Ben")), (epoch, epoch));
}

/// Ann looks at the grants, among which is one of a key that she does not know.
fn look(room: &mut Room, hidden: Option<u8>) {
    let engine = room.engine("Ann");
    let own = begin::grant(&engine.manage_key(), begin::MANAGE_RIGHTS);
    let hidden = hidden.map(|byte| Grant {
        key: PublicKey::new([byte; 32]),
        ..own
    });
    engine.described(&Answer::Described(Described {
        bytes: 0,
        grants: [own].into_iter().chain(hidden).collect(),
        policy: Policy {
            ttl_days: 1,
            bytes_max: 1,
            admit_rights: begin::MEMBER_RIGHTS,
            ttl_fenced_days: 1,
        },
        entries: 0,
        version: 7,
    }));
}

/// How often Ann was told of such a key.
fn told_of_hidden(room: &Room) -> usize {
    let events = room.of("Ann").engine.out.events.iter();
    let told = events.filter(|event| matches!(event, Event::HiddenManager { .. }));
    told.count()
}

#[test]
fn a_manage_key_that_is_changed_before_every_look_is_told_at_the_fourth_in_a_row() {
    let mut room = Room::new(&["Ann", "Ben"]);
    for byte in 11..14 {
        look(&mut room, Some(byte));
    }
    // Nothing is there: what comes then is not in a row with it.
    look(&mut room, None);
    for byte in 21..24 {
        look(&mut room, Some(byte));
    }
    assert_eq!(told_of_hidden(&room), 0);
    assert!(room.of("Ann").engine.saved.intents.is_empty());
    look(&mut room, Some(24));
    assert_eq!(told_of_hidden(&room), 1);
    let wanted = &room.of("Ann").engine.saved.intents;
    assert_eq!(*wanted, [saved::Intent::Rotate]);
    // And the count begins anew.
    for byte in 31..34 {
        look(&mut room, Some(byte));
    }
    assert_eq!(told_of_hidden(&room), 1);
    look(&mut room, Some(34));
    assert_eq!(told_of_hidden(&room), 2);
}
