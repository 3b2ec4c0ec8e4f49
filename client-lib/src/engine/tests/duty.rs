//! What a supporter's device makes of a desk's queue, of its keys, and of what comes with a lease.

use sotto_protocol::frame::{Claimed, Granted, ItemDone};
use sotto_protocol::proof::public_key;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::*;
use crate::desk::{
    Confidentiality, DeskFounding, DeskKeys, DeskPlan, Hours, OPENINGS_MAX, OpeningKey,
    OrganisationId, OrganisationKey, Ticket,
};
use crate::engine::duty::TICKETS_SHOWN_MAX;
use crate::engine::taking::TicketKeys;
use crate::link::RelayAddress;
use crate::seal::letter::{self, Address, Purpose};

const OPENING: [u8; 32] = [7; 32];
const QUEUE: LogId = LogId::new([8; 32]);

fn relay() -> RelayAddress {
    RelayAddress {
        url: "ws://127.0.0.1:1/".into(),
        identity: RelayIdentity::new([1; 32]),
    }
}

fn keys(number: u64) -> DeskKeys {
    DeskKeys {
        desk: 0,
        claim: [9; 32],
        queue: QUEUE,
        suite: Suite::Classic,
        number,
        letters: LogId::new([10; 32]),
        openings: vec![OpeningKey(OPENING)],
        chats_each: 2,
        organisation: OrganisationId::new([11; 32]),
    }
}

/// A supporter in a team's room.
fn supporter() -> Engine {
    let options = RoomOptions {
        suite: Suite::Classic,
        ..RoomOptions::new(relay(), "Ann")
    };
    let (mut engine, _) = Engine::found(options, NOON).unwrap();
    engine.saved.stage = Stage::In;
    let me = engine.key.id();
    engine.desk_said(me, keys(3)).unwrap();
    engine
}

fn letter_of(purpose: Purpose, bytes: &[u8]) -> Vec<u8> {
    let to = Address {
        purpose,
        log: &QUEUE,
        key: &public_key(&StaticSecret::from(OPENING)),
    };
    letter::write(to, bytes, SizeClass::K4).unwrap().remove(0)
}

fn give(engine: &mut Engine, seq: u64, sealed: Vec<u8>) {
    let cursor = Cursor {
        seq,
        chain: None,
        day: 19_675,
    };
    let entry = entry_of(seq, sealed.into());
    let log = QUEUE;
    let event = SessionEvent::Entry { log, entry, cursor };
    engine.take(event, NOON).unwrap();
}

#[test]
fn as_many_tickets_as_the_limit_are_shown_and_one_more_waits() {
    let mut ann = supporter();
    ann.set_duty(true).unwrap();
    let sealed = letter_of(
        Purpose::Ticket,
        &sotto_protocol::cbor::encode(&Ticket::default()).unwrap(),
    );
    for seq in 1..=TICKETS_SHOWN_MAX as u64 {
        give(&mut ann, seq, sealed.clone());
        assert_eq!(ann.tickets().len() as u64, seq);
    }
    give(&mut ann, TICKETS_SHOWN_MAX as u64 + 1, sealed);
    assert_eq!(ann.tickets().len(), TICKETS_SHOWN_MAX);
}

#[test]
fn what_is_no_ticket_is_counted_and_shown_to_nobody() {
    let mut ann = supporter();
    ann.set_duty(true).unwrap();
    give(&mut ann, 1, vec![5; 4_096]);
    let long = Ticket {
        words: "x".repeat(3_000),
        ..Ticket::default()
    };
    let long = sotto_protocol::cbor::encode(&long).unwrap();
    give(&mut ann, 2, letter_of(Purpose::Ticket, &long));
    let held = sotto_protocol::cbor::encode(&Ticket::default()).unwrap();
    give(&mut ann, 3, letter_of(Purpose::Held, &held));
    assert!(ann.tickets().is_empty());
    assert_eq!(ann.saved.junk, 3);
}

#[test]
fn who_is_off_duty_is_shown_nothing() {
    let mut ann = supporter();
    let sealed = letter_of(
        Purpose::Ticket,
        &sotto_protocol::cbor::encode(&Ticket::default()).unwrap(),
    );
    give(&mut ann, 1, sealed.clone());
    assert!(ann.tickets().is_empty());
    ann.set_duty(true).unwrap();
    give(&mut ann, 1, sealed);
    assert_eq!(ann.tickets().len(), 1);
    ann.set_duty(false).unwrap();
    assert!(ann.tickets().is_empty());
}

#[test]
fn a_desks_keys_are_believed_of_facilitators_and_never_replaced_by_older_or_strange_ones() {
    let mut ann = supporter();
    let me = ann.key.id();
    let known = |engine: &Engine| engine.beside.desk.as_ref().unwrap().number;
    ann.desk_said(LeafId::new([12; 32]), keys(9)).unwrap();
    ann.desk_said(me, keys(2)).unwrap();
    let strange = DeskKeys {
        organisation: OrganisationId::new([13; 32]),
        ..keys(9)
    };
    ann.desk_said(me, strange).unwrap();
    assert_eq!(known(&ann), 3);
    ann.desk_said(me, keys(4)).unwrap();
    assert_eq!(known(&ann), 4);
}

#[test]
fn keys_of_as_many_cards_as_the_limit_are_taken_and_not_one_more() {
    let of = |count: usize| {
        ContentBody::Desk(Box::new(DeskKeys {
            openings: vec![OpeningKey(OPENING); count],
            ..keys(1)
        }))
    };
    assert!(!of(0).is_within_limits());
    assert!(of(OPENINGS_MAX).is_within_limits());
    assert!(!of(OPENINGS_MAX + 1).is_within_limits());
}

/// A chat that waits for its lease.
fn taking() -> Engine {
    let keys = TicketKeys {
        relay: relay(),
        queue: QUEUE,
        claim: [9; 32],
        openings: vec![OpeningKey(OPENING)],
        seq: 5,
        suite: Suite::Classic,
    };
    Engine::take_ticket(keys, "Ben".into(), NOON).unwrap().0
}

#[test]
fn a_ticket_whose_held_part_says_nothing_is_cleared_and_answered_to_nobody() {
    for held in [
        None,
        Some(vec![5; 4_096]),
        Some(letter_of(Purpose::Held, b"no knock")),
    ] {
        let mut ben = taking();
        let claimed = Claimed {
            ms: 120_000,
            held: held.map(Into::into),
            lease: 77,
        };
        ben.claimed(&Ok(Answer::Claimed(claimed)), NOON).unwrap();
        assert!(ben.saved.intents.is_empty() && ben.beside.knocks.is_empty());
        // The relay never hears of a chat, only of the ticket's end.
        assert!(ben.saved.root.as_ref().is_some_and(|root| !root.is_asked()));
        let end = ben.ticket_end().unwrap().lease.unwrap();
        assert_eq!((end.seq, end.lease, end.end), (5, 77, true));
    }
}

fn plan(capacity: u32) -> DeskPlan {
    DeskPlan {
        desk: 0,
        name: "Quiet hour".into(),
        topics: Vec::new(),
        languages: Vec::new(),
        been_there: Vec::new(),
        hours: Hours::new("UTC").unwrap(),
        capacity,
        chats_each: 2,
        minutes: 0,
        confidentiality: Confidentiality {
            words: "Nothing leaves this room.".into(),
            version: 1,
        },
        resources: Vec::new(),
        days: 90,
    }
}

fn founding(capacity: u32) -> DeskFounding {
    let organisation = OrganisationKey::random().unwrap();
    DeskFounding::new(&organisation, plan(capacity)).unwrap()
}

/// A founder of a room, in it.
fn founder() -> Engine {
    let options = RoomOptions {
        suite: Suite::Classic,
        ..RoomOptions::new(relay(), "Ann")
    };
    let (mut engine, _) = Engine::found(options, NOON).unwrap();
    engine.saved.stage = Stage::In;
    engine
}

#[test]
fn a_desk_lets_as_many_wait_as_the_limit_says_and_not_one_more() {
    for (capacity, is_taken) in [(0, false), (1, true), (10_000, true), (10_001, false)] {
        let founded = founder().found_desk(founding(capacity));
        assert_eq!(founded.is_ok(), is_taken, "{capacity}");
    }
}

/// Somebody else leaves while the relay is told of the keys that follow on the first one's leaving.
#[test]
fn keys_and_cards_that_are_older_than_the_newest_leave_the_newest_due() {
    use crate::engine::desk::DeskLog;
    let mut ann = founder();
    ann.found_desk(founding(50)).unwrap();
    let due = |engine: &Engine| engine.beside.office.as_ref().unwrap().what_is_due();
    let numbers = |engine: &Engine| {
        let card = engine.beside.office.as_ref().unwrap().number();
        (engine.beside.desk.as_ref().unwrap().number, card)
    };
    ann.renew_desk_keys().unwrap();
    let (keys, card) = numbers(&ann);
    ann.renew_desk_keys().unwrap();
    let granted = |version| Ok(Answer::Granted(Granted { version }));
    let published = Ok(Answer::Appended(vec![ItemDone {
        day: 1,
        seq: 1,
        chain: ChainValue::new([0; 32]),
        fence: 0,
    }]));
    for which in [DeskLog::Queue, DeskLog::Letters] {
        ann.desk_changed(which, keys, &granted(2)).unwrap();
    }
    ann.card_published(card, &published, NOON).unwrap();
    assert_eq!(due(&ann), ([true; 2], true));
    let (keys, card) = numbers(&ann);
    for which in [DeskLog::Queue, DeskLog::Letters] {
        ann.desk_changed(which, keys, &granted(3)).unwrap();
    }
    ann.card_published(card, &published, NOON).unwrap();
    assert_eq!(due(&ann), ([false; 2], false));
}

#[test]
fn without_a_line_no_ticket_is_taken_for_gone() {
    let mut ann = supporter();
    ann.is_online = true;
    ann.set_duty(true).unwrap();
    let sealed = letter_of(
        Purpose::Ticket,
        &sotto_protocol::cbor::encode(&Ticket::default()).unwrap(),
    );
    give(&mut ann, 1, sealed);
    ann.finish(NOON);
    ann.disconnected(NOON);
    for minutes in 1..5 {
        ann.tick(Now {
            steady_ms: NOON.steady_ms + minutes * 60_000,
            wall_ms: NOON.wall_ms + minutes * 60_000,
        });
        assert_eq!(ann.tickets().len(), 1);
    }
}
