//! Words that were on their way while somebody joined.

use super::*;

/// Ann and Ben, and Cay who joined while what Ben had said was on its way; it lands after her.
fn joined_meanwhile(command: Command) -> Room {
    joined_after(command, |_| {})
}

/// The same, where something happens first that Ben does not read of.
fn joined_after(command: Command, first: impl FnOnce(&mut Room)) -> Room {
    let mut room = Room::new(&["Ann", "Ben"]);
    room.command("Ben", command);
    drop(room.engine("Ben").finish(NOON));
    assert!(room.of("Ben").engine.flight.is_some(), "on its way");
    first(&mut room);
    room.join("Cay");
    for _ in 0..20 {
        room.step(0);
        room.step(2);
    }
    assert_eq!(room.of("Cay").engine.standing(), Standing::In);
    room.settle();
    room
}

fn has_junk(room: &Room, name: &str) -> bool {
    room.has(name, |event| matches!(event, Event::Junk { .. }))
}

#[test]
fn words_that_were_on_their_way_when_somebody_joined_are_no_junk_to_them() {
    let mut room = joined_meanwhile(Command::Send {
        text: "to Ann, as far as I know".into(),
        reply_to: None,
    });
    assert_eq!(room.texts("Ann"), ["to Ann, as far as I know"]);
    assert_eq!(room.texts("Cay"), [""; 0]);
    for name in ["Ann", "Ben", "Cay"] {
        assert!(!has_junk(&room, name), "{name}");
    }
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

/// Ann renews the secret, and nobody else reads on.
fn rotate_alone(room: &mut Room) {
    room.command("Ann", Command::Rotate);
    for _ in 0..10 {
        room.step(0);
    }
    assert!(room.has("Ann", |event| *event == Event::Rotated));
}

#[test]
fn words_under_a_secret_from_before_somebody_came_are_no_junk_to_them() {
    let said = Command::Send {
        text: "before I read of the rotation".into(),
        reply_to: None,
    };
    let mut room = joined_after(said, rotate_alone);
    assert_eq!(room.texts("Ann"), ["before I read of the rotation"]);
    for name in ["Ann", "Ben", "Cay"] {
        assert!(!has_junk(&room, name), "{name}");
    }
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

#[test]
fn what_no_secret_opens_is_junk_to_all_who_know_the_late_ones() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let garbage = |room: &mut Room, fence| {
        let noise = changes::new_entry(vec![7; 1024], None).unwrap();
        room.log.push(&noise, fence, false);
        room.settle();
    };
    garbage(&mut room, None);
    assert!(has_junk(&room, "Ann") && !has_junk(&room, "Ben"));
    for _ in 0..2 {
        room.command("Ann", Command::Rotate);
        room.settle();
    }
    garbage(&mut room, None);
    assert!(has_junk(&room, "Ben"));
    room.join("Cay");
    room.settle();
    let fence = room.log.fence;
    garbage(&mut room, Some(fence));
    assert!(has_junk(&room, "Cay"), "a fenced one is never late");
}

#[test]
fn a_name_that_was_on_its_way_when_somebody_joined_reaches_them() {
    let mut room = joined_meanwhile(Command::Rename("Benedict".into()));
    let ben = room.leaf("Ben");
    for name in ["Ann", "Cay"] {
        let known = room.of(name).engine.name_of(&ben);
        assert_eq!(known.as_deref(), Some("Benedict"), "{name}");
    }
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}
