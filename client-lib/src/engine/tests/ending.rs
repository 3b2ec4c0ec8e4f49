//! When a talk ends, and who has gone quiet in it: what each device tells, once, and never too early.

use super::entering::room_of_cay;
use super::*;
use crate::engine::ending::{End, Ending};

const MINUTE: u64 = 60;

fn of_time(room: &mut Room, name: &str) -> Vec<Event> {
    let events = core::mem::take(&mut room.device(name).events);
    let is_of_time = |event: &Event| {
        matches!(
            event,
            Event::EndsAt { .. }
                | Event::EndsSoon { .. }
                | Event::TimeIsOver
                | Event::ClosesAt { .. }
                | Event::ClosesSoon { .. }
                | Event::Closed
                | Event::Quiet { .. }
        )
    };
    events.into_iter().filter(is_of_time).collect()
}

fn restart(room: &mut Room, name: &str) {
    let now = room.now;
    room.device(name).restart(now);
}

fn this_minute(room: &Room) -> u64 {
    room.now.wall_ms / 60_000
}

fn end(room: &mut Room, name: &str, end: End) {
    room.command(name, Command::End(end));
    room.settle();
}

/// Time passes in steps of so many seconds, for whoever is online.
fn pass(room: &mut Room, seconds: u64, steps: u64) {
    for _ in 0..steps {
        room.now = room.now.plus_ms(seconds * 1_000);
        for device in room.devices.iter_mut().filter(|device| device.is_online) {
            let effects = device.engine.tick(room.now);
            device.take(effects);
        }
        room.settle();
    }
}

#[test]
fn an_end_is_told_when_it_is_set_when_five_minutes_are_left_and_when_it_is_there() {
    let mut room = room_of_cay();
    let (ben, at) = (room.leaf("Ben"), this_minute(&room) + 20);
    end(&mut room, "Ben", End::After(20));
    for name in ["Ann", "Ben", "Cay"] {
        let set = Event::EndsAt {
            by: ben,
            minute: Some(at),
        };
        assert_eq!(of_time(&mut room, name), [set], "{name}");
        let ending = room.of(name).engine.ending().unwrap();
        assert_eq!((ending.by, ending.minute), (ben, at), "{name}");
    }
    let left = |room: &Room| room.of("Cay").engine.ending().map(|one| one.minutes_left);
    // The minute in which it was said had begun, so that it is not quite as long.
    let begun = room.now.wall_ms % 60_000 / 1_000;
    pass(&mut room, 15 * MINUTE - begun - 1, 1);
    assert_eq!(of_time(&mut room, "Cay"), []);
    pass(&mut room, 1, 1);
    let soon = Event::EndsSoon { minutes: 5 };
    assert_eq!(of_time(&mut room, "Cay"), [soon]);
    pass(&mut room, 30, 9);
    assert_eq!((of_time(&mut room, "Cay"), left(&room)), (vec![], Some(1)));
    restart(&mut room, "Cay");
    pass(&mut room, 30, 1);
    assert_eq!(of_time(&mut room, "Cay"), [Event::TimeIsOver]);
    assert_eq!(left(&room), Some(0));
    restart(&mut room, "Cay");
    pass(&mut room, 30, 9);
    assert_eq!(of_time(&mut room, "Cay"), []);
    // People talk on.
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

#[test]
fn more_time_is_told_and_warned_of_anew_and_an_end_can_be_taken_back() {
    let mut room = room_of_cay();
    end(&mut room, "Ben", End::After(4));
    assert_eq!(of_time(&mut room, "Cay").len(), 1);
    pass(&mut room, 30, 10);
    // What is so near when it is said is told once.
    assert_eq!(of_time(&mut room, "Cay"), [Event::TimeIsOver]);
    let at = this_minute(&room) + 10;
    end(&mut room, "Ann", End::Later(10));
    let ann = room.leaf("Ann");
    let set = |minute| Event::EndsAt { by: ann, minute };
    assert_eq!(of_time(&mut room, "Cay"), [set(Some(at))]);
    end(&mut room, "Ann", End::Later(10));
    assert_eq!(of_time(&mut room, "Cay"), [set(Some(at + 10))]);
    pass(&mut room, 30, 32);
    assert_eq!(of_time(&mut room, "Cay"), [Event::EndsSoon { minutes: 5 }]);
    end(&mut room, "Ann", End::Never);
    pass(&mut room, 60, 30);
    assert_eq!(of_time(&mut room, "Cay"), [set(None)]);
    assert_eq!(room.of("Cay").engine.ending(), None::<Ending>);
}

#[test]
fn only_who_holds_the_talk_says_when_it_ends() {
    let mut room = room_of_cay();
    let now = room.now;
    let (refused, _) = room.engine("Cay").command(Command::End(End::After(1)), now);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotAllowed);
    // A device that says it all the same is heard by nobody.
    let body = crate::content::ContentBody::Until(7);
    room.engine("Cay").queue(body, now).unwrap();
    room.settle();
    for name in ["Ann", "Ben", "Cay"] {
        assert_eq!(of_time(&mut room, name), [], "{name}");
        assert_eq!(room.of(name).engine.ending(), None);
    }
}

#[test]
fn who_comes_later_hears_when_it_ends() {
    let mut room = Room::new(&["Ann", "Ben"]);
    end(&mut room, "Ann", End::After(60));
    let at = this_minute(&room) + 60;
    of_time(&mut room, "Ben");
    room.join("Cay");
    room.settle();
    let ending = room.of("Cay").engine.ending().map(|one| one.minute);
    assert_eq!(ending, Some(at));
    // Nobody else is told again.
    assert_eq!(of_time(&mut room, "Ben"), []);
}

#[test]
fn without_a_line_the_clock_speaks_once_that_is_known_and_with_one_the_log_goes_first() {
    let mut room = room_of_cay();
    end(&mut room, "Ben", End::After(10));
    room.go_offline("Cay", true);
    of_time(&mut room, "Cay");
    end(&mut room, "Ben", End::Later(60));
    let at = this_minute(&room) + 70;
    pass(&mut room, 60, 11);
    let now = room.now;
    let effects = room.engine("Cay").tick(now);
    room.device("Cay").take(effects);
    assert_eq!(
        of_time(&mut room, "Cay"),
        [],
        "whether there is a line is open"
    );
    // On the way to the relay the log is read first.
    room.go_offline("Cay", false);
    room.settle();
    let ben = room.leaf("Ben");
    let set = Event::EndsAt {
        by: ben,
        minute: Some(at),
    };
    assert_eq!(of_time(&mut room, "Cay"), [set]);
    room.go_offline("Cay", true);
    pass(&mut room, 60, 60);
    let now = room.now;
    let effects = room.engine("Cay").not_reached(ErrorKind::Unreachable, now);
    room.device("Cay").take(effects);
    assert_eq!(of_time(&mut room, "Cay"), [Event::TimeIsOver]);
}

const DAYS: u64 = 24 * 60;

#[test]
fn a_room_that_closes_says_so_two_weeks_before_and_nothing_more_is_said_in_it_then() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let (ann, at) = (room.leaf("Ann"), this_minute(&room) + 30 * DAYS);
    end(&mut room, "Ann", End::CloseAt(at));
    let set = Event::ClosesAt {
        by: ann,
        minute: at,
    };
    assert_eq!(of_time(&mut room, "Cay"), [set]);
    let begun = room.now.wall_ms % 60_000 / 1_000;
    pass(&mut room, 16 * DAYS * MINUTE - begun - 1, 1);
    assert_eq!(of_time(&mut room, "Cay"), []);
    pass(&mut room, 1, 1);
    let soon = |minutes| Event::ClosesSoon { minutes };
    assert_eq!(of_time(&mut room, "Cay"), [soon(14 * DAYS)]);
    restart(&mut room, "Cay");
    pass(&mut room, 14 * DAYS * MINUTE - 1, 1);
    assert_eq!(of_time(&mut room, "Cay"), [soon(1)]);
    room.say("Cay", "Goodbye.");
    room.settle();
    pass(&mut room, 1, 1);
    assert_eq!(of_time(&mut room, "Cay"), [Event::Closed]);
    restart(&mut room, "Cay");
    pass(&mut room, DAYS * MINUTE, 1);
    assert_eq!(of_time(&mut room, "Cay"), []);
    for name in ["Ann", "Ben", "Cay"] {
        let (now, text) = (room.now, "one more".to_owned());
        let reply_to = None;
        let send = Command::Send { text, reply_to };
        let (refused, _) = room.engine(name).command(send, now);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotAllowed, "{name}");
    }
    assert_eq!(room.texts("Ben"), ["Goodbye."]);
    let ending = room.of("Cay").engine.ending().unwrap();
    assert_eq!((ending.closes, ending.minutes_left), (true, 0));
    // Who holds it can open it again.
    end(&mut room, "Ann", End::Never);
    room.say("Cay", "Hello again.");
    room.settle();
    assert_eq!(room.texts("Ben"), ["Goodbye.", "Hello again."]);
}

#[test]
fn a_room_closes_by_the_word_of_who_holds_it_at_a_time_to_come_and_for_newcomers_alike() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let (now, this) = (room.now, this_minute(&room));
    for (name, at, kind) in [
        ("Cay", this + 9, ErrorKind::NotAllowed),
        ("Ann", this, ErrorKind::Invalid),
    ] {
        let close = Command::End(End::CloseAt(at));
        let (refused, _) = room.engine(name).command(close, now);
        assert_eq!(refused.unwrap_err().kind(), kind, "{name}");
    }
    let body = crate::content::ContentBody::Closes(this + 9);
    room.engine("Cay").queue(body, now).unwrap();
    room.settle();
    assert_eq!(room.of("Ben").engine.ending(), None);
    let mut room = Room::new(&["Ann", "Ben"]);
    let at = this_minute(&room) + 60;
    end(&mut room, "Ann", End::CloseAfter(60));
    room.join("Cay");
    room.settle();
    let ending = room.of("Cay").engine.ending().unwrap();
    assert_eq!((ending.closes, ending.minute), (true, at));
    end(&mut room, "Ann", End::Later(5));
    let ending = room.of("Cay").engine.ending().unwrap();
    assert_eq!((ending.closes, ending.minute), (true, at + 5));
    // A talk that merely ends is another thing at the same minute.
    end(&mut room, "Ann", End::At(at));
    assert!(!room.of("Cay").engine.ending().unwrap().closes);
}

#[test]
fn a_chat_that_is_somebodys_is_closed_by_nobody() {
    let mut room = room_of_cay();
    let (now, at) = (room.now, this_minute(&room) + 9);
    let close = Command::End(End::CloseAt(at));
    let (refused, _) = room.engine("Ann").command(close, now);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotAllowed);
    let body = crate::content::ContentBody::Closes(1);
    room.engine("Ann").queue(body, now).unwrap();
    room.settle();
    assert_eq!(room.of("Cay").engine.ending(), None);
    room.say("Cay", "I still speak.");
    room.settle();
    assert_eq!(room.texts("Ann"), ["I still speak."]);
}

fn quiet(step: u8) -> Event {
    Event::Quiet {
        step,
        is_last: step == 3,
    }
}

#[test]
fn who_holds_the_talk_is_reminded_three_times_and_nothing_else_happens() {
    let mut room = room_of_cay();
    room.say("Ben", "How was it?");
    room.settle();
    let entries = room.log.entries.len();
    for step in 1..=3 {
        pass(&mut room, 10 * MINUTE - 1, 1);
        assert_eq!(of_time(&mut room, "Ben"), [], "{step}");
        restart(&mut room, "Ben");
        pass(&mut room, 1, 1);
        assert_eq!(of_time(&mut room, "Ben"), [quiet(step)]);
    }
    pass(&mut room, 10 * MINUTE, 6);
    for name in ["Ann", "Ben", "Cay"] {
        assert_eq!(of_time(&mut room, name), [], "{name}");
    }
    assert_eq!(room.log.entries.len(), entries);
    assert_eq!(room.of("Cay").engine.standing(), Standing::In);
}

#[test]
fn a_reminder_that_is_sent_does_not_begin_the_ladder_anew_and_an_answer_ends_it() {
    let mut room = room_of_cay();
    room.say("Ben", "How was it?");
    room.settle();
    pass(&mut room, 10 * MINUTE, 1);
    assert_eq!(of_time(&mut room, "Ben"), [quiet(1)]);
    pass(&mut room, 4 * MINUTE, 1);
    room.say("Ben", "Are you there?");
    room.settle();
    pass(&mut room, 10 * MINUTE - 1, 1);
    assert_eq!(of_time(&mut room, "Ben"), []);
    pass(&mut room, 1, 1);
    assert_eq!(of_time(&mut room, "Ben"), [quiet(2)]);
    room.say("Cay", "yes");
    room.settle();
    pass(&mut room, 10 * MINUTE, 3);
    assert_eq!(of_time(&mut room, "Ben"), []);
    room.say("Ben", "Good.");
    room.settle();
    pass(&mut room, 10 * MINUTE, 1);
    assert_eq!(of_time(&mut room, "Ben"), [quiet(1)]);
    // To who said that they are away nobody is told to write.
    room.command("Cay", Command::Away);
    room.settle();
    pass(&mut room, 10 * MINUTE, 3);
    assert_eq!(of_time(&mut room, "Ben"), []);
}

#[test]
fn words_that_nobody_hears_end_no_silence_and_nobody_is_silent_who_may_not_speak() {
    let mut room = room_of_cay();
    room.say("Ben", "How was it?");
    room.settle();
    let (ann, now) = (room.leaf("Ann"), room.now);
    let turn = |room: &mut Room, to| {
        room.command("Ben", Command::SetFloor(to));
        room.settle();
    };
    turn(&mut room, Some(ann));
    pass(&mut room, 10 * MINUTE, 3);
    assert_eq!(of_time(&mut room, "Ben"), []);
    // Out of turn, by a client that sends it all the same.
    let body = crate::content::ContentBody::Text("yes".into());
    room.engine("Cay").queue(body, now).unwrap();
    room.settle();
    turn(&mut room, None);
    pass(&mut room, 10 * MINUTE - 1, 1);
    assert_eq!(of_time(&mut room, "Ben"), []);
    pass(&mut room, 1, 1);
    assert_eq!(of_time(&mut room, "Ben"), [quiet(1)]);
}

#[test]
fn nobody_is_reminded_where_the_talk_is_for_nobody_in_particular_or_they_are_not_there_yet() {
    let mut room = Room::new(&["Ann", "Ben"]);
    room.say("Ann", "hello");
    room.settle();
    pass(&mut room, 10 * MINUTE, 3);
    assert_eq!(of_time(&mut room, "Ann"), []);
    let mut room = room_of_cay();
    let cay = room.leaf("Cay");
    room.engine("Ben")
        .saved
        .names
        .retain(|line| line.leaf != cay);
    room.say("Ben", "an answer to a letter");
    room.settle();
    pass(&mut room, 10 * MINUTE, 3);
    assert_eq!(of_time(&mut room, "Ben"), []);
}
