//! A ticket that could not go out at once, and the card that is there when it can.

use sotto_protocol::frame::Page;
use sotto_protocol::proof::public_key;

use super::door::denied;
use super::duty::relay;
use super::*;
use crate::desk::tests::{keys, organisation, short_card};
use crate::desk::{Card, DeskAddress, QueueKeys};
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
    // Once it lies there the card is nothing to us.
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
