//! A relay that has no room or does not allow what is needed: it is asked again, and nobody hangs up.

use sotto_protocol::frame::Granted;

use super::door::{self, denied, knocker};
use super::duty::{founder, founding};
use super::*;
use crate::engine::beside::Side;
use crate::engine::office::DeskLog;

/// So long after noon.
const fn after(ms: u64) -> Now {
    Now {
        wall_ms: NOON.wall_ms + ms,
        steady_ms: NOON.steady_ms + ms,
    }
}

/// The relay refuses what was asked.
fn refuse(engine: &mut Engine, side: Side, code: ErrorCode, now: Now) -> Effects {
    let mut asked = engine.beside.asked.iter();
    let found = asked.find(|(_, asked)| **asked == side);
    let token = *found.expect("it is asked").0;
    let result = Err(denied(code));
    engine
        .take(SessionEvent::Answered { token, result }, now)
        .unwrap();
    engine.finish(now)
}

/// An office whose logs are asked for.
fn office() -> Engine {
    let mut ann = founder();
    ann.found_desk(founding(50)).unwrap();
    ann.is_online = true;
    ann.finish(NOON);
    ann
}

fn told(effects: &Effects, what: Undone) -> usize {
    let why = ErrorKind::Busy;
    let event = Event::PutOff { what, why };
    effects.events.iter().filter(|one| **one == event).count()
}

#[test]
fn a_log_that_the_relay_does_not_make_is_asked_for_ever_more_seldom_and_told_of_once() {
    let (cay, link) = door::founder(Admission::Approval);
    let ben = knocker("Ben", &link);
    let desk = Side::MakeDesk(DeskLog::Letters);
    for (mut engine, side, what) in [
        (office(), desk, Undone::Desk),
        (cay, Side::MakeDoor, Undone::Door),
        (ben, Side::MakeInbox, Undone::Inbox),
    ] {
        engine.is_online = true;
        engine.make_logs(NOON).unwrap();
        let effects = refuse(&mut engine, side, ErrorCode::QuotaExceeded, NOON);
        assert_eq!(
            (told(&effects, what), effects.hang_up),
            (1, false),
            "{side:?}"
        );
        assert!(
            effects
                .wake_at
                .is_some_and(|at| at <= NOON.steady_ms + 90_000)
        );
        // At least 1, 2, 4, ... minutes and at most half as much more, up to an hour.
        let mut at = 0;
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            engine.finish(after(at + minutes * 60_000 - 1));
            // A line that comes and goes asks no sooner.
            engine.make_logs(after(at + minutes * 60_000 - 1)).unwrap();
            assert!(!engine.beside.is_asked(side), "{side:?}, {minutes}");
            at += minutes * 90_000;
            engine.finish(after(at));
            assert!(engine.beside.is_asked(side), "{side:?}, {minutes}");
            let effects = refuse(&mut engine, side, ErrorCode::QuotaExceeded, after(at));
            assert_eq!((told(&effects, what), effects.hang_up), (0, false));
        }
        engine.finish(after(at + 5_400_000));
        let made = ErrorCode::Refused;
        refuse(&mut engine, side, made, after(at + 5_400_000));
        engine.finish(after(at + 9_000_000));
        assert!(!engine.beside.is_asked(side));
    }
}

/// Somebody made the card's log before, or another office runs the desk.
#[test]
fn an_office_whose_keys_do_not_open_its_logs_says_so_once() {
    let mut ann = office();
    let log = ann.beside.office.as_ref().unwrap().card.log;
    let refusal = Refusal::of(ErrorCode::Refused);
    let refused = |ann: &mut Engine| {
        let refusal = refusal.clone();
        ann.take(SessionEvent::OpenRefused { log, refusal }, NOON)
            .unwrap();
        let events = ann.finish(NOON).events;
        events
            .iter()
            .filter(|one| **one == Event::DeskRefused)
            .count()
    };
    // It is still to be made.
    assert_eq!(refused(&mut ann), 0);
    refuse(
        &mut ann,
        Side::MakeDesk(DeskLog::Card),
        ErrorCode::Refused,
        NOON,
    );
    assert_eq!([refused(&mut ann), refused(&mut ann)], [1, 0]);
}

#[test]
fn keys_and_cards_that_the_relay_has_no_room_for_wait_and_hang_up_on_nobody() {
    let mut ann = office();
    let number = ann.beside.office.as_ref().unwrap().number();
    let (full, other) = (
        Err(denied(ErrorCode::QuotaExceeded)),
        Err(denied(ErrorCode::GrantsConflict)),
    );
    ann.desk_changed(DeskLog::Queue, 1, &full, NOON).unwrap();
    ann.card_published(number, &full, NOON).unwrap();
    let effects = ann.finish(NOON);
    assert_eq!((told(&effects, Undone::Desk), effects.hang_up), (2, false));
    assert!(ann.beside.office.as_ref().unwrap().what_is_due().1);
    // Another list than we thought: the next connection tells what it is.
    ann.desk_changed(DeskLog::Queue, 1, &other, NOON).unwrap();
    assert!(ann.finish(NOON).hang_up);
    let granted = Ok(Answer::Granted(Granted { version: 2 }));
    ann.desk_changed(DeskLog::Queue, 1, &granted, NOON).unwrap();
    ann.card_published(number, &other, NOON).unwrap();
    assert!(ann.finish(NOON).hang_up);
}
