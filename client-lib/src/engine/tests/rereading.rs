//! A ticket that could not go out at once, and the card that is there when it can.

use sotto_protocol::frame::{Page, Placed};
use sotto_protocol::proof::public_key;

use super::door::denied;
use super::duty::{always, relay};
use super::*;
use crate::desk::tests::{keys, organisation, short_card};
use crate::desk::{Card, DeskAddress, DeskPace, Hours, QueueKeys, WaitRange};
use crate::engine::beside::Side;

const OLD: [u8; 32] = [7; 32];
const NEW: [u8; 32] = [6; 32];

const fn queue(byte: u8) -> QueueKeys {
    QueueKeys {
        log: LogId::new([byte; 32]),
        append: [3; 32],
    }
}

fn card(number: u64, sealing: [u8; 32], log: u8) -> Card {
    Card {
        relay: relay().identity,
        suite: Suite::Classic,
        sealing: public_key(&sealing.into()),
        queue: queue(log),
        hours: always(),
        number,
        ..short_card()
    }
}

const fn at(ms: u64) -> Now {
    Now {
        steady_ms: NOON.steady_ms + ms,
        ..NOON
    }
}

/// Somebody who asked by card 3 and has no line until `ms` later.
fn waited(ms: u64) -> Engine {
    let card = card(3, OLD, 8);
    let address = DeskAddress::new(relay(), *card.organisation(), card.desk());
    let (card, options) = ((&card, Some(keys())), AskOptions::default());
    let asked = Engine::ask_and_look(&address, card, Asked::Now, options, NOON);
    let mut sam = asked.unwrap().0;
    sam.is_online = true;
    sam.beside.open.insert(LogId::new([8; 32]));
    sam.inbox_made().unwrap();
    sam.finish(at(ms));
    sam
}

fn reads(sam: &mut Engine, result: Result<Answer<'static>, Denied>, now: Now) -> Effects {
    let mut asked = sam.beside.asked.iter();
    let found = asked.find(|(_, side)| **side == Side::ReadCard);
    let token = *found.expect("the card is asked for").0;
    sam.take(SessionEvent::Answered { token, result }, now)
        .unwrap();
    sam.finish(now)
}

fn page(card: &Card) -> Result<Answer<'static>, Denied> {
    let sealed = card.seal(&organisation(), &keys()).unwrap();
    Ok(Answer::Page(Page {
        more: false,
        entries: vec![entry_of(1, sealed.into())],
    }))
}

#[test]
fn a_ticket_that_waited_goes_out_by_the_card_as_it_is_then() {
    // At once: by the card that was just read.
    let sam = waited(59_999);
    assert!(sam.flight.is_some() && !sam.beside.is_asked(Side::ReadCard));
    let mut sam = waited(60_000);
    assert!(sam.flight.is_none());
    // A supporter left meanwhile, and the queue is another one too.
    reads(&mut sam, page(&card(4, NEW, 9)), at(60_000));
    assert!(sam.flight.is_none());
    sam.beside.open.insert(LogId::new([9; 32]));
    sam.finish(at(60_001));
    let flight = sam.flight.as_ref().unwrap();
    assert_eq!(flight.items[0].log, LogId::new([9; 32]));
    let knocking = sam.beside.knocking.as_ref().unwrap();
    assert_eq!(knocking.sealing, public_key(&NEW.into()));
}

/// Whose ticket waits, of cards that say how fast the desk answers.
fn waits() -> Engine {
    let mut sam = waited(59_999);
    sam.knock_landed(5).unwrap();
    sam.drop_flight().unwrap();
    sam.beside.place_at_ms = u64::MAX;
    sam
}

/// What is said with three before one, where the relay tells the place now.
fn says(sam: &mut Engine, claimed: bool, now: Now) -> Option<WaitRange> {
    let placed = Placed { ahead: 3, claimed };
    sam.placed(&Ok(Answer::Placed(placed)), now).unwrap();
    sam.beside.place_at_ms = u64::MAX;
    sam.place().unwrap().wait
}

fn told(minutes: u64, each: u64) -> Card {
    Card {
        pace: Some(DeskPace {
            at: (NOON.wall_ms + minutes * 60_000) / 1_000,
            low: 65_536,
            each,
            // Two of them, as the place is one of four: as long again.
            high: 65_536 + 2_048,
        }),
        ..card(4, NEW, 9)
    }
}

const fn later(minutes: u64) -> Now {
    Now {
        steady_ms: NOON.steady_ms + minutes * 60_000,
        wall_ms: NOON.wall_ms + minutes * 60_000,
    }
}

#[test]
fn who_waits_reads_the_card_every_two_minutes_and_says_no_more_than_it_does() {
    let mut sam = waits();
    assert_eq!(says(&mut sam, false, at(60_000)), None);
    sam.finish(at(119_999));
    assert!(!sam.beside.is_asked(Side::ReadCard));
    sam.finish(later(2));
    reads(&mut sam, page(&told(2, 60_000)), later(2));
    // Four places of a minute each, a bit less as some leave; and twice that.
    let range = says(&mut sam, false, later(2)).unwrap();
    assert!((180..240).contains(&range.from_s) && (360..480).contains(&range.to_s));
    // The ticket stays where it lies.
    let knocking = sam.beside.knocking.as_ref().unwrap();
    assert_eq!(knocking.door, LogId::new([8; 32]));
    sam.finish(later(3));
    assert!(!sam.beside.is_asked(Side::ReadCard));
    sam.finish(later(4));
    reads(&mut sam, page(&told(4, 120_000)), later(4));
    assert!(says(&mut sam, false, later(4)).unwrap().from_s >= 360);
    let mut upside_down = told(4, 120_000).pace.unwrap();
    upside_down.low = 65_536 + 4_096;
    assert_eq!(upside_down.range(3, later(4).wall_ms), None);
    // One that cannot be read, or is older, changes nothing and disturbs nobody.
    sam.finish(later(6));
    let effects = reads(&mut sam, Err(denied(ErrorCode::Refused)), later(6));
    assert_eq!(effects.events, []);
    assert!(says(&mut sam, false, later(6)).is_some() && sam.is_asking());
    // What was said is believed for ten minutes, by this clock and by one that is slow.
    assert!(says(&mut sam, false, later(14)).is_some());
    assert_eq!(says(&mut sam, false, later(15)), None);
    // Who is about to be answered waits no more.
    assert_eq!(says(&mut sam, true, later(14)), None);
}

#[test]
fn who_waits_at_a_desk_that_closes_early_is_told() {
    let mut sam = waits();
    sam.finish(later(2));
    // Its hours are over, as nobody is left.
    let closed = Card {
        hours: Hours::new("UTC")
            .and_then(|hours| hours.weekly("mon 00:00-00:01".parse()?))
            .unwrap(),
        ..told(2, 60_000)
    };
    let effects = reads(&mut sam, page(&closed), later(2));
    assert!(effects.events.contains(&Event::DeskClosed));
}

#[test]
fn of_a_letter_the_card_is_nothing_to_us_once_it_lies_there() {
    let card = card(3, OLD, 8);
    let address = DeskAddress::new(relay(), *card.organisation(), card.desk());
    let by = (&card, Some(keys()));
    let asked = Engine::ask_and_look(&address, by, Asked::ByLetter, AskOptions::default(), NOON);
    let mut sam = asked.unwrap().0;
    assert!(sam.is_card(&keys().log));
    sam.knock_landed(5).unwrap();
    assert!(!sam.is_card(&keys().log));
}

#[test]
fn a_ticket_is_held_back_where_the_card_is_older_or_gone() {
    let none = || Err(denied(ErrorCode::Refused));
    for result in [page(&card(2, NEW, 8)), none()] {
        let mut sam = waited(60_000);
        let effects = reads(&mut sam, result, at(60_000));
        assert!(effects.events.contains(&Event::Refused) && sam.flight.is_none());
        // It is looked for again after a minute.
        sam.finish(at(119_999));
        assert!(!sam.beside.is_asked(Side::ReadCard));
        sam.finish(at(120_000));
        reads(&mut sam, page(&card(3, OLD, 8)), at(120_000));
        assert!(sam.flight.is_some());
    }
}

/// A place that looks as before is not told again, and one whose wait changed is.
#[test]
fn a_place_is_told_again_once_its_wait_reads_differently() {
    let mut sam = waits();
    let placed = |sam: &mut Engine, now| {
        says(sam, false, now);
        let events = sam.finish(now).events;
        events.iter().any(|event| matches!(event, Event::Place(_)))
    };
    assert!(placed(&mut sam, at(60_000)));
    assert!(!placed(&mut sam, at(75_000)));
    sam.finish(later(2));
    reads(&mut sam, page(&told(2, 60_000)), later(2));
    assert!(placed(&mut sam, later(2)));
    assert!(!placed(&mut sam, later(3)));
}

/// A chat's connections are not to say, each time anew, of which desk it is.
#[test]
fn the_cards_log_is_open_for_as_long_as_it_is_read_and_no_longer() {
    let mut sam = waits();
    let card = keys().log;
    assert!(!sam.session.holds(&card));
    sam.finish(later(2));
    assert!(sam.session.holds(&card));
    reads(&mut sam, page(&told(2, 60_000)), later(2));
    assert!(!sam.session.holds(&card));
    // Nor if the ticket is over while it is being read.
    sam.finish(later(4));
    assert!(sam.session.holds(&card));
    sam.inbox_deleted();
    assert!(!sam.session.holds(&card));
}
