//! Words that were on their way while somebody joined.

use super::*;

/// Ann and Ben, and Cay who joined while what Ben had said was on its way; it lands after her.
fn joined_meanwhile(command: Command) -> Room {
    let mut room = Room::new(&["Ann", "Ben"]);
    room.command("Ben", command);
    drop(room.engine("Ben").finish(NOON));
    assert!(room.of("Ben").engine.flight.is_some(), "on its way");
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
