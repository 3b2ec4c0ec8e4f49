//! Turns, a stop, and what all agree on: judged by the place in the log, alike by everybody.

use super::*;
use crate::content::{AgreementId, ContentBody, Draft, FloorSaid, Proposed};
use crate::engine::{Agreement, Floor};

/// Mia holds the talk of Vic and Bo.
fn room() -> Room {
    let mut room = Room::new(&["Mia", "Vic", "Bo"]);
    give(&mut room, Some("Mia"));
    room
}

const ALL: [&str; 3] = ["Mia", "Vic", "Bo"];

fn give(room: &mut Room, to: Option<&str>) {
    let to = to.map(|name| room.leaf(name));
    room.command("Mia", Command::SetFloor(to));
    room.settle();
}

fn do_it(room: &mut Room, name: &str, command: Command) -> Result<Reply> {
    let now = room.now;
    let (reply, effects) = room.engine(name).command(command, now);
    room.device(name).take(effects);
    room.settle();
    reply
}

fn send(text: &str) -> Command {
    Command::Send {
        text: text.into(),
        reply_to: None,
    }
}

/// Says it whatever our own client thinks of it.
fn force(room: &mut Room, name: &str, body: ContentBody) {
    let now = room.now;
    room.engine(name).queue(body, now).unwrap();
    room.settle();
}

fn text(words: &str) -> ContentBody {
    ContentBody::Text(words.into())
}

/// What everybody thinks of who may speak, which is the same but for how much each did not hear.
fn floor(room: &Room) -> Floor {
    let of = |name: &str| {
        let floor = room.of(name).engine.floor().unwrap().clone();
        Floor {
            unheard: 0,
            ..floor
        }
    };
    assert_eq!(of("Mia"), of("Vic"));
    assert_eq!(of("Mia"), of("Bo"));
    of("Mia")
}

fn everybody_heard(room: &Room, words: &str) -> bool {
    let heard = ALL.map(|name| room.texts(name).iter().any(|text| text == words));
    assert!(
        heard == [true; 3] || heard == [false; 3],
        "{words}: {heard:?}"
    );
    heard == [true; 3]
}

#[test]
fn what_is_said_out_of_turn_is_refused_and_shown_to_nobody() {
    let mut room = room();
    give(&mut room, Some("Vic"));
    let refused = do_it(&mut room, "Bo", send("liar")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed);
    do_it(&mut room, "Vic", send("It hurt.")).unwrap();
    do_it(&mut room, "Mia", send("Go on.")).unwrap();
    assert!(everybody_heard(&room, "It hurt.") && everybody_heard(&room, "Go on."));
    // A client that sends it all the same.
    force(&mut room, "Bo", text("liar"));
    assert!(!everybody_heard(&room, "liar"));
    for name in ["Mia", "Vic"] {
        assert_eq!(room.of(name).engine.floor().unwrap().unheard, 1, "{name}");
    }
    // It cannot be said by another way either.
    let id = MessageId::new([1; 16]);
    let its = room.of("Vic").engine.index.keys().next().copied().unwrap();
    for body in [
        ContentBody::Reply {
            to: id,
            text: "liar".into(),
        },
        ContentBody::React {
            to: its,
            emoji: "liar".into(),
        },
        ContentBody::Hello {
            name: "liar".into(),
            manage: PublicKey::new([7; 32]),
        },
        ContentBody::Typing,
        ContentBody::Draft(Box::new(Draft {
            id,
            text: "liar".into(),
        })),
    ] {
        force(&mut room, "Bo", body);
    }
    let tells = |event: &Event| {
        let said = |text: &Text| text.0 == "liar";
        match event {
            Event::Message(message) => message.text == "liar",
            Event::Reacted { emoji, .. } => said(emoji),
            Event::Named { name, .. } => said(name),
            Event::Typing { .. } | Event::Draft { .. } => true,
            _ => false,
        }
    };
    assert!(!room.has("Vic", tells));
    give(&mut room, Some("Bo"));
    do_it(&mut room, "Bo", send("I see.")).unwrap();
    assert!(everybody_heard(&room, "I see."));
}

#[test]
fn a_message_on_its_way_when_the_turn_ends_is_told_back_to_its_author() {
    let mut room = room();
    give(&mut room, Some("Vic"));
    room.go_offline("Vic", true);
    room.say("Vic", "one more thing");
    give(&mut room, Some("Bo"));
    room.go_offline("Vic", false);
    room.settle();
    assert!(!everybody_heard(&room, "one more thing"));
    let told = |state: Delivery| {
        let is =
            |event: &Event| matches!(event, Event::Delivery { state: told, .. } if *told == state);
        room.has("Vic", is)
    };
    assert!(told(Delivery::OutOfTurn) && !told(Delivery::Sent));
    assert!(room.of("Vic").engine.unsent().is_empty());
}

#[test]
fn a_stop_freezes_for_all_at_once_and_only_who_said_it_and_who_holds_the_talk_open_it() {
    let mut room = room();
    give(&mut room, None);
    do_it(&mut room, "Vic", Command::Stop).unwrap();
    assert!(floor(&room).is_frozen);
    for name in ALL {
        let refused = do_it(&mut room, name, send("but")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotAllowed, "{name}");
        force(&mut room, name, text("but"));
        assert!(!everybody_heard(&room, "but"), "{name}");
        restart(&mut room, name);
    }
    // Not over her head, whatever the mediator's client does.
    let refused = do_it(&mut room, "Mia", Command::SetFloor(None)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let open = FloorSaid {
        turn: None,
        frozen: false,
        stopped: Vec::new(),
    };
    force(&mut room, "Mia", ContentBody::Floor(open.clone()));
    assert!(floor(&room).is_frozen);
    // Nor by the other side.
    do_it(&mut room, "Bo", Command::GoOn).unwrap();
    force(&mut room, "Bo", ContentBody::Floor(open));
    assert!(floor(&room).is_frozen && floor(&room).stopped == [room.leaf("Vic")]);
    do_it(&mut room, "Vic", Command::GoOn).unwrap();
    assert!(floor(&room).is_frozen && floor(&room).stopped.is_empty());
    give(&mut room, Some("Bo"));
    assert!(!floor(&room).is_frozen);
    do_it(&mut room, "Bo", send("I am sorry.")).unwrap();
    assert!(everybody_heard(&room, "I am sorry."));
}

fn restart(room: &mut Room, name: &str) {
    let now = room.now;
    room.device(name).restart(now);
    room.settle();
}

#[test]
fn a_stop_of_one_who_is_gone_holds_nobody_up_for_ever() {
    let mut room = room();
    give(&mut room, None);
    do_it(&mut room, "Vic", Command::Stop).unwrap();
    do_it(&mut room, "Vic", Command::Leave).unwrap();
    room.pass_seconds(40);
    assert_eq!(room.of("Mia").engine.members().len(), 2);
    assert!(room.of("Bo").engine.floor().unwrap().is_frozen);
    give(&mut room, None);
    assert!(!room.of("Bo").engine.floor().unwrap().is_frozen);
}

/// Otherwise nobody who is left could give a turn, and all would be silent for good.
#[test]
fn turns_end_with_the_last_who_could_give_one() {
    let mut room = room();
    give(&mut room, Some("Vic"));
    assert!(do_it(&mut room, "Bo", send("not yet")).is_err());
    do_it(&mut room, "Mia", Command::Leave).unwrap();
    room.pass_seconds(40);
    do_it(&mut room, "Bo", send("Are you there?")).unwrap();
    let hears =
        |event: &Event| matches!(event, Event::Message(one) if one.text == "Are you there?");
    assert!(room.has("Vic", hears));
}

#[test]
fn where_nobody_gives_turns_there_is_nothing_to_stop() {
    let mut room = Room::new(&["Mia", "Vic", "Bo"]);
    let refused = do_it(&mut room, "Vic", Command::Stop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    force(&mut room, "Vic", ContentBody::Stop);
    let bo = room.leaf("Bo");
    let refused = do_it(&mut room, "Bo", Command::SetFloor(Some(bo))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed);
    room.assert_one_epoch(&ALL);
}

fn agreement(room: &Room) -> Agreement {
    let of = |name: &str| room.of(name).engine.agreement().unwrap();
    assert!(of("Mia") == of("Vic") && of("Mia") == of("Bo"));
    of("Mia")
}

fn propose(room: &mut Room, day: Option<u32>) -> AgreementId {
    let propose = Command::Propose {
        text: "We greet each other.".into(),
        follow_up_day: day,
    };
    do_it(room, "Mia", propose).unwrap();
    agreement(room).id
}

#[test]
fn an_agreement_stands_once_all_have_agreed_and_its_day_is_told_once() {
    let mut room = room();
    let day = room.now.day() + 2;
    let id = propose(&mut room, Some(day));
    let (mia, vic, bo) = (room.leaf("Mia"), room.leaf("Vic"), room.leaf("Bo"));
    do_it(&mut room, "Vic", Command::Agree(id)).unwrap();
    do_it(&mut room, "Vic", Command::Agree(id)).unwrap();
    assert_eq!(agreement(&room).agreed, [mia, vic]);
    assert!(!agreement(&room).stands);
    // Nobody agrees while it is stopped.
    do_it(&mut room, "Bo", Command::Stop).unwrap();
    let refused = do_it(&mut room, "Bo", Command::Agree(id)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed);
    force(&mut room, "Bo", ContentBody::Agree(id));
    assert_eq!(agreement(&room).agreed, [mia, vic]);
    do_it(&mut room, "Bo", Command::GoOn).unwrap();
    give(&mut room, None);
    do_it(&mut room, "Bo", Command::Agree(id)).unwrap();
    assert_eq!(agreement(&room).agreed, [mia, vic, bo]);
    assert!(agreement(&room).stands);
    let reminded = |room: &Room| {
        let is = |event: &&Event| matches!(event, Event::FollowUp { .. });
        room.of("Vic").events.iter().filter(is).count()
    };
    let to_midnight = u64::from(day) * crate::time::DAY_MS - room.now.wall_ms;
    for (ms, count) in [(to_midnight - 1, 0), (1, 1), (3_600_000, 1)] {
        room.now = room.now.plus_ms(ms);
        let now = room.now;
        let effects = room.engine("Vic").tick(now);
        room.device("Vic").take(effects);
        assert_eq!(reminded(&room), count);
        let now = room.now;
        room.device("Vic").restart(now);
    }
}

/// What who holds the talk says as if it had been said before.
fn tell(room: &mut Room, text: &str, first: [u8; 16]) {
    let told = Proposed {
        text: text.into(),
        told: Some(MessageId::new(first)),
        follow_up: None,
    };
    force(room, "Mia", ContentBody::Agreement(Box::new(told)));
}

/// Even who holds the talk makes nobody agree to what they never heard, and makes nobody believe it of
/// another.
#[test]
fn nobody_is_told_that_somebody_agreed() {
    let mut room = room();
    do_it(&mut room, "Vic", Command::Stop).unwrap();
    tell(&mut room, "Vic forgives.", [5; 16]);
    for name in ALL {
        let known = room.of(name).engine.agreement();
        assert!(known.is_none(), "nothing is said while it is stopped");
    }
    do_it(&mut room, "Vic", Command::GoOn).unwrap();
    give(&mut room, None);
    tell(&mut room, "Vic forgives.", [5; 16]);
    let told = agreement(&room);
    assert!(told.agreed.is_empty() && !told.stands);
    // The same message, by their word, said other words first.
    do_it(&mut room, "Bo", Command::Agree(told.id)).unwrap();
    tell(&mut room, "Vic forgets.", [5; 16]);
    let other = agreement(&room);
    assert!(other.text == "Vic forgets." && other.agreed.is_empty());
    force(&mut room, "Bo", ContentBody::Agree(told.id));
    assert!(agreement(&room).agreed.is_empty(), "to other words");
    let refused = do_it(&mut room, "Vic", Command::Agree(told.id)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    for name in ALL {
        do_it(&mut room, name, Command::Agree(other.id)).unwrap();
    }
    assert!(agreement(&room).stands);
}

/// As who starts over: the words of a newer one are gone from the log.
#[test]
fn who_missed_a_newer_proposal_takes_what_is_told_and_who_did_not_takes_the_older_from_nobody() {
    let mut room = room();
    let bo = room.leaf("Bo");
    do_it(&mut room, "Mia", Command::Promote(bo)).unwrap();
    let old = propose(&mut room, None);
    let before = room.of("Vic").engine.saved.agreement.clone();
    let newer = Command::Propose {
        text: "We do not shout.".into(),
        follow_up_day: None,
    };
    do_it(&mut room, "Mia", newer).unwrap();
    let id = agreement(&room).id;
    do_it(&mut room, "Bo", Command::Agree(id)).unwrap();
    let vic = room.engine("Vic");
    vic.saved.agreement = before;
    vic.doubt_agreement();
    // Bo, who holds the talk as well, tells what there is.
    let now = room.now;
    room.engine("Bo").queue_agreement(now).unwrap();
    room.settle();
    let known = room.of("Vic").engine.agreement().unwrap();
    assert!(known.id == id && id != old);
    let mia = room.leaf("Mia");
    assert_eq!(known.agreed.len(), 2, "each by their own word");
    assert!(known.agreed.contains(&mia) && known.agreed.contains(&bo));
    do_it(&mut room, "Vic", Command::Agree(id)).unwrap();
    assert!(
        ALL.iter()
            .all(|name| room.of(name).engine.agreement().unwrap().stands)
    );
    // Who is behind themselves turns nobody back.
    let stale = Proposed {
        text: "We greet each other.".into(),
        told: Some(MessageId::new([9; 16])),
        follow_up: None,
    };
    force(&mut room, "Bo", ContentBody::Agreement(Box::new(stale)));
    assert!(room.of("Mia").engine.agreement().unwrap().id == id);
}

#[test]
fn who_comes_later_hears_whose_turn_it_is_what_is_stopped_and_what_was_agreed() {
    let mut room = room();
    let id = propose(&mut room, None);
    do_it(&mut room, "Vic", Command::Agree(id)).unwrap();
    give(&mut room, Some("Vic"));
    do_it(&mut room, "Bo", Command::Stop).unwrap();
    room.join("Dan");
    room.settle();
    assert!(room.of("Dan").engine.agreement().is_none());
    let dan = room.of("Dan").engine.floor().unwrap().clone();
    assert_eq!(dan, floor(&room));
    assert_eq!(dan.stopped, [room.leaf("Bo")]);
    do_it(&mut room, "Bo", Command::GoOn).unwrap();
    give(&mut room, Some("Vic"));
    assert_eq!(*room.of("Dan").engine.floor().unwrap(), floor(&room));
    room.join("Eve");
    room.settle();
    // What was proposed is told them, and who agreed they hear from each of those.
    let known = agreement(&room);
    for name in ["Dan", "Eve"] {
        let told = room.of(name).engine.agreement().unwrap();
        assert!(told.id == id && told.text == known.text && !told.stands);
        assert_eq!(told.agreed.len(), 2, "{name}");
        assert!(told.agreed.iter().all(|leaf| known.agreed.contains(leaf)));
    }
    for name in ["Bo", "Dan", "Eve"] {
        do_it(&mut room, name, Command::Agree(id)).unwrap();
    }
    for name in ["Mia", "Vic", "Bo", "Dan", "Eve"] {
        assert!(room.of(name).engine.agreement().unwrap().stands, "{name}");
    }
    // Those who were there are told nothing new by it, and nobody who does not hold the talk is believed.
    let vic = room.leaf("Vic");
    let lie = FloorSaid {
        turn: None,
        frozen: true,
        stopped: vec![vic],
    };
    force(&mut room, "Bo", ContentBody::Floor(lie));
    assert!(!floor(&room).is_frozen);
}
