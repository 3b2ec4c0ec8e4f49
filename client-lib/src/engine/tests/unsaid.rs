//! What the relay never takes is told to who said it, and nothing came of it for anybody.

use super::door::denied;
use super::*;
use crate::engine::{End, Unsaid};

/// The relay refuses for good what this device sends next.
pub(super) fn refuse_next(room: &mut Room, name: &str) {
    let now = room.now;
    let engine = room.engine(name);
    engine.finish(now);
    let token = engine.token.expect("something is on its way");
    let result = Err(denied(ErrorCode::QuotaExceeded));
    engine
        .take(SessionEvent::Answered { token, result }, now)
        .unwrap();
    let effects = engine.finish(now);
    room.device(name).take(effects);
}

/// What is told to `name` once the relay refuses for good what this command says.
fn refused_for_good(room: &mut Room, name: &str, command: Command) -> Vec<Unsaid> {
    let before = room.of(name).events.len();
    room.command(name, command);
    refuse_next(room, name);
    room.settle();
    let told = room.of(name).events[before..].iter();
    told.filter_map(|event| match event {
        Event::Unsaid(what) => Some(*what),
        _ => None,
    })
    .collect()
}

#[test]
fn a_stop_that_the_relay_refuses_is_told_and_the_talk_goes_on() {
    let mut room = Room::new(&["Mia", "Vic", "Bo"]);
    room.command("Mia", Command::SetFloor(None));
    room.settle();
    let told = refused_for_good(&mut room, "Vic", Command::Stop);
    assert_eq!(told, [Unsaid::Stop]);
    // What is said again for who came since is nobody's doing.
    let (now, before) = (room.now, room.of("Mia").events.len());
    room.engine("Mia").queue_floor(now).unwrap();
    refuse_next(&mut room, "Mia");
    let unsaid = |event: &Event| matches!(event, Event::Unsaid(_));
    assert!(!room.of("Mia").events[before..].iter().any(unsaid));
    room.say("Bo", "and so on");
    room.settle();
    assert_eq!(room.texts("Mia"), ["and so on"]);
    // Said again it holds.
    room.command("Vic", Command::Stop);
    room.settle();
    let floor = room.of("Bo").engine.floor().unwrap().clone();
    assert!(floor.stopped.contains(&room.leaf("Vic")));
}

fn message_of(room: &Room, name: &str) -> MessageId {
    let mut told = room.of(name).events.iter();
    let id = told.find_map(|event| match event {
        Event::Message(message) => Some(message.id),
        _ => None,
    });
    id.unwrap()
}

#[test]
fn whatever_a_person_did_is_told_where_the_relay_refuses_it() {
    let mut room = Room::new(&["Mia", "Vic"]);
    room.say("Vic", "hello");
    room.command("Mia", Command::SetFloor(None));
    room.settle();
    let of = message_of(&room, "Mia");
    let vic = room.leaf("Vic");
    let propose = Command::Propose {
        text: "no calls after ten".into(),
        follow_up_day: None,
    };
    let edit = Command::Edit {
        of,
        text: "hi".into(),
    };
    let react = Command::React {
        to: of,
        emoji: "👍".into(),
    };
    let back = Command::End(End::After(20));
    for (name, command, told) in [
        ("Vic", edit, Unsaid::Change(of)),
        ("Vic", Command::Delete(of), Unsaid::Change(of)),
        ("Mia", react, Unsaid::Reaction(of)),
        ("Mia", Command::SetFloor(Some(vic)), Unsaid::Floor),
        ("Mia", propose.clone(), Unsaid::Agreement),
        ("Mia", back, Unsaid::End),
    ] {
        assert_eq!(refused_for_good(&mut room, name, command), [told]);
    }
    room.command("Mia", propose);
    room.settle();
    let of = room.of("Vic").engine.agreement().unwrap().id;
    let told = refused_for_good(&mut room, "Vic", Command::Agree(of));
    assert_eq!(told, [Unsaid::Agree(of)]);
    assert!(!room.of("Mia").engine.agreement().unwrap().stands);
}
