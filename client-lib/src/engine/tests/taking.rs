//! A ticket that we claim, and what the relay may say to that: whatever it is, the ticket is answered
//! by somebody, and nobody holds it for ever.

use sotto_protocol::frame::{Claimed, Placed};
use sotto_protocol::proof::public_key;

use super::door::denied;
use super::duty::{OPENING, QUEUE, give_in, hears, keys, letter_in, relay, supporter, taking};
use super::*;
use crate::content::ContentBody;
use crate::desk::{Card, DeskAddress, DeskKeys, QueueKeys, Ticket};
use crate::engine::beside::Side;
use crate::seal::letter::Purpose;

/// Somebody who asks, with the ticket's entry as it would lie in the queue.
fn asker() -> (Engine, NewEntry<'static>) {
    asker_with(Asked::Now, AskOptions::default())
}

fn asker_with(asked: Asked, options: AskOptions) -> (Engine, NewEntry<'static>) {
    let card = Card {
        relay: relay().identity,
        suite: Suite::Classic,
        sealing: public_key(&OPENING.into()),
        queue: QueueKeys {
            log: QUEUE,
            append: [3; 32],
        },
        letters: QueueKeys {
            log: QUEUE,
            append: [3; 32],
        },
        ..crate::desk::tests::short_card()
    };
    let address = DeskAddress::new(relay(), *card.organisation(), card.desk());
    let (mut sam, _) = Engine::ask(&address, &card, asked, options, NOON).unwrap();
    sam.is_online = true;
    sam.beside.open.insert(QUEUE);
    sam.inbox_made().unwrap();
    sam.finish(NOON);
    let entry = sam.flight.as_ref().unwrap().items[0].entries[0].clone();
    (sam, entry)
}

/// Ben has the lease of Sam's ticket.
fn held() -> (Engine, Engine) {
    let (sam, entry) = asker();
    let mut ben = taking();
    ben.is_online = true;
    ben.beside.open.insert(QUEUE);
    ben.finish(NOON);
    assert!(ben.beside.is_asked(Side::Claim));
    let claimed = Claimed {
        ms: 120_000,
        held: entry.held,
        lease: 77,
    };
    assert_eq!(ben.secrets_of_ticket(), Some((true, 1)));
    hear(&mut ben, Side::Claim, Ok(Answer::Claimed(claimed)));
    // Whom it is from, is known: nothing else is opened.
    assert_eq!(ben.secrets_of_ticket(), Some((true, 0)));
    (ben, sam)
}

/// His answer is on its way.
fn answering() -> Engine {
    answering_sam().0
}

fn answering_sam() -> (Engine, Engine) {
    let (mut ben, sam) = held();
    let inbox = sam.beside.knocking.as_ref().unwrap().inbox();
    ben.saved.root = None;
    ben.head = Some(0);
    ben.beside.open.insert(inbox);
    ben.finish(NOON);
    assert_eq!(
        ben.flight.as_ref().map(|flight| flight.items.len()),
        Some(3)
    );
    (ben, sam)
}

fn hear(engine: &mut Engine, side: Side, result: Result<Answer<'static>, Denied>) -> Effects {
    let mut asked = engine.beside.asked.iter();
    let found = asked.find(|(_, asked)| **asked == side);
    let token = *found.expect("it is asked").0;
    engine
        .take(SessionEvent::Answered { token, result }, NOON)
        .unwrap();
    engine.finish(NOON)
}

/// The relay's word on the answer that is on its way.
fn refused(engine: &mut Engine, code: ErrorCode, item: Option<u16>) -> Effects {
    let token = engine.token.expect("an answer on its way");
    let mut denied = denied(code);
    denied.refusal.item = item;
    let result = Err(denied);
    engine
        .take(SessionEvent::Answered { token, result }, NOON)
        .unwrap();
    engine.finish(NOON)
}

/// It goes back into its place, and the chat that was made for it goes.
fn lets_go(ben: &mut Engine) {
    assert!(ben.flight.is_none() && ben.saved.intents.is_empty());
    assert!(ben.beside.is_asked(Side::Release));
    let effects = hear(ben, Side::Release, Err(denied(ErrorCode::LeaseLost)));
    assert!(ben.has_lost_ticket() && !ben.beside.is_asked(Side::Renew));
    assert!(effects.events.contains(&Event::NotTaken));
    assert_eq!(ben.secrets_of_ticket(), Some((false, 0)));
}

#[test]
fn a_claim_is_lost_only_if_the_ticket_is_somebody_elses_or_gone() {
    for code in [
        ErrorCode::Claimed,
        ErrorCode::NoSuchEntry,
        ErrorCode::Refused,
    ] {
        let mut ben = taking();
        ben.is_online = true;
        ben.beside.open.insert(QUEUE);
        ben.finish(NOON);
        let effects = hear(&mut ben, Side::Claim, Err(denied(code)));
        assert!(effects.events.contains(&Event::NotTaken), "{code:?}");
    }
    for code in [
        ErrorCode::QuotaExceeded,
        ErrorCode::Busy,
        ErrorCode::Internal,
    ] {
        let mut ben = taking();
        ben.is_online = true;
        ben.beside.open.insert(QUEUE);
        ben.finish(NOON);
        let effects = hear(&mut ben, Side::Claim, Err(denied(code)));
        assert!(!effects.events.contains(&Event::NotTaken), "{code:?}");
        assert!(!ben.is_over() && !ben.beside.is_asked(Side::Claim));
        ben.finish(Now {
            steady_ms: NOON.steady_ms + 90_000,
            ..NOON
        });
        assert!(ben.beside.is_asked(Side::Claim), "{code:?}");
    }
}

#[test]
fn an_answer_that_the_relay_does_not_take_lets_the_ticket_go() {
    let mut ben = answering();
    let effects = refused(&mut ben, ErrorCode::QuotaExceeded, None);
    assert!(!effects.hang_up);
    lets_go(&mut ben);
    // Of the queue: so it is as well.
    let mut ben = answering();
    refused(&mut ben, ErrorCode::QuotaExceeded, Some(2));
    lets_go(&mut ben);
}

/// The relay failed, and nobody knows whether it carried the append out.
#[test]
fn an_answer_in_doubt_is_looked_for_in_the_log_before_the_ticket_is_let_go() {
    let mut ben = answering();
    let effects = refused(&mut ben, ErrorCode::Internal, None);
    assert!(effects.hang_up && ben.flight.is_some());
    assert!(!ben.beside.is_asked(Side::Release));
    // The log is open again, and there is nothing in it.
    ben.head = Some(0);
    ben.finish(NOON);
    lets_go(&mut ben);
}

#[test]
fn whose_item_was_refused_is_told_by_its_log() {
    let mut ben = answering();
    let effects = refused(&mut ben, ErrorCode::Refused, Some(2));
    assert!(ben.has_lost_ticket() && effects.events.contains(&Event::NotTaken));
    let mut ben = answering();
    ben.flight.as_mut().unwrap().items.swap(0, 2);
    refused(&mut ben, ErrorCode::Refused, Some(0));
    assert!(ben.has_lost_ticket());
    // The inbox takes nothing: nobody can answer it, and it goes.
    let mut ben = answering();
    refused(&mut ben, ErrorCode::Refused, Some(1));
    assert!(!ben.has_lost_ticket() && ben.beside.is_asked(Side::ClearTicket));
}

#[test]
fn who_leaves_before_the_answer_gives_the_ticket_back() {
    let (mut ben, _) = held();
    let (done, _) = ben.command(Command::Leave, NOON);
    done.unwrap();
    assert!(ben.beside.is_asked(Side::Release));
    let effects = hear(&mut ben, Side::Release, Ok(Answer::Ok));
    // They know.
    assert!(!effects.events.contains(&Event::NotTaken));
    // A claim that is on its way is answered first.
    let (_, entry) = asker();
    let mut ben = taking();
    ben.is_online = true;
    ben.beside.open.insert(QUEUE);
    ben.finish(NOON);
    ben.command(Command::Leave, NOON).0.unwrap();
    let claimed = Claimed {
        ms: 120_000,
        held: entry.held,
        lease: 77,
    };
    hear(&mut ben, Side::Claim, Ok(Answer::Claimed(claimed)));
    assert!(ben.beside.is_asked(Side::Release) && ben.saved.intents.is_empty());
    // Nobody heard of it.
    let mut ben = taking();
    ben.command(Command::Leave, NOON).0.unwrap();
    assert!(ben.is_over());
}

#[test]
fn an_answer_that_is_on_its_way_is_not_called_back_and_its_author_leaves_the_chat() {
    let mut ben = answering();
    ben.command(Command::Leave, NOON).0.unwrap();
    assert!(ben.flight.is_some() && !ben.beside.is_asked(Side::Release));
    ben.ticket_answered(NOON).unwrap();
    assert_eq!(ben.saved.stage, Stage::Leaving);
    // It did not land.
    let mut ben = answering();
    ben.command(Command::Leave, NOON).0.unwrap();
    refused(&mut ben, ErrorCode::GrantsConflict, None);
    assert!(ben.flight.is_none() && ben.beside.is_asked(Side::Release));
}

/// The same at a desk whose chats have half an hour.
fn supporter_of_a_desk_with_a_limit() -> Engine {
    let mut engine = supporter();
    let me = engine.key.id();
    let limited = DeskKeys {
        minutes: Some(30),
        ..keys(4)
    };
    hears(&mut engine, me, &limited);
    engine
}

/// Somebody asks, or leaves a letter.
fn give_ticket(engine: &mut Engine, is_letter: bool) -> TicketId {
    let ticket = sotto_protocol::cbor::encode(&Ticket::default()).unwrap();
    let log = if is_letter {
        LogId::new([10; 32])
    } else {
        QUEUE
    };
    let sealed = letter_in(&log, Purpose::Ticket, &ticket);
    give_in(engine, log, 1, sealed);
    TicketId { is_letter, seq: 1 }
}

/// What waits to be said of the end of the chat.
fn ends_of(engine: &Engine) -> Vec<u64> {
    let waiting = engine.outbox.values();
    let ends = waiting.filter_map(|one| match one.content.body {
        ContentBody::Until(minute) => Some(minute),
        _ => None,
    });
    ends.collect()
}

#[test]
fn who_answers_says_at_once_how_long_the_desk_gives_a_chat() {
    let mut ben = answering();
    assert!(ends_of(&ben).is_empty());
    ben.ticket_answered(NOON).unwrap();
    assert_eq!(ends_of(&ben), [NOON.wall_ms / 60_000 + 45]);
    // Who left a letter comes later, and a desk may have no limit.
    let mut ann = supporter_of_a_desk_with_a_limit();
    ann.set_duty(true, None).unwrap();
    for (is_letter, minutes) in [(false, Some(30)), (true, None)] {
        let id = give_ticket(&mut ann, is_letter);
        let keys = ann.ticket_keys(id).unwrap();
        assert_eq!(keys.minutes, minutes, "{is_letter}");
    }
}

/// Sam's inbox gives out Ben's answer.
fn answered(ben: &Engine, sam: &mut Engine) {
    let item = &ben.flight.as_ref().unwrap().items[1];
    for (entry, seq) in item.entries.iter().zip(1..) {
        let cursor = Cursor {
            seq,
            chain: None,
            day: 19_675,
        };
        let (log, entry) = (item.log, entry_of(seq, entry.sealed.clone()));
        let event = SessionEvent::Entry { log, entry, cursor };
        sam.take(event, NOON).unwrap();
    }
}

#[test]
fn an_answer_whose_chat_is_the_queue_or_the_inbox_is_none() {
    let (ben, mut sam) = answering_sam();
    answered(&ben, &mut sam);
    assert!(sam.group.is_some());
    let (ben, mut sam) = answering_sam();
    sam.beside.knocking.as_mut().unwrap().door = ben.saved.log;
    answered(&ben, &mut sam);
    assert!(sam.group.is_none());
}

#[test]
fn what_is_said_while_one_waits_comes_behind_the_tickets_words_however_much_it_is() {
    let ticket = Ticket {
        words: "first".into(),
        ..Ticket::default()
    };
    let options = AskOptions {
        ticket,
        ..AskOptions::default()
    };
    let (mut sam, _) = asker_with(Asked::Now, options);
    let mut said = 0;
    while sam.queue(ContentBody::Text("then".into()), NOON).is_ok() {
        said += 1;
    }
    assert!(said > 100);
    sam.answered_by_desk(NOON).unwrap();
    let texts: Vec<_> = sam.unsent().into_iter().map(|one| one.text).collect();
    assert_eq!((texts[0].as_str(), texts[1].as_str()), ("first", "then"));
    assert_eq!(texts.len(), said + 1);
    let counts: Vec<_> = sam.outbox.values().map(|one| one.content.count).collect();
    assert_eq!(counts, (0..counts.len() as u64).collect::<Vec<_>>());
    // Our name stands before it all.
    let first = &sam.outbox.values().next().unwrap().content.body;
    assert!(matches!(first, ContentBody::Hello { .. }));
}

#[test]
fn a_letters_place_is_asked_for_every_two_hours_and_a_tickets_every_fifteen_seconds() {
    for (asked, wait_ms) in [(Asked::Now, 15_000), (Asked::ByLetter, 7_200_000)] {
        let (mut sam, _) = asker_with(asked, AskOptions::default());
        sam.knock_landed(5).unwrap();
        sam.finish(NOON);
        let placed = Answer::Placed(Placed {
            ahead: 0,
            claimed: false,
        });
        hear(&mut sam, Side::Place, Ok(placed));
        let at = |ms| Now {
            steady_ms: NOON.steady_ms + ms,
            ..NOON
        };
        sam.finish(at(wait_ms - 1));
        assert!(!sam.beside.is_asked(Side::Place), "{asked:?}");
        sam.finish(at(wait_ms + 5_000));
        assert!(sam.beside.is_asked(Side::Place), "{asked:?}");
    }
}
