//! A rating: what a desk's letters hold of it, and what becomes of it there.

use sotto_protocol::frame::Claimed;
use sotto_protocol::proof::public_key;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::duty::{OPENING, hear, minutes, on_duty, page, ticket, waiting};
use super::*;
use crate::content::{ContentBody, RATED_MAX};
use crate::desk::{Again, Helped, Rated, Rating, RatingLetter, Ticket};
use crate::engine::asking::Asking;
use crate::engine::beside::Side;
use crate::seal::letter::{self, Address, Letters, Purpose, Read};

const LOOK: Side = Side::Look(true);
const GOOD: Rating = Rating {
    again: Again::Yes,
    early: false,
    helped: Helped::Yes,
};

/// A rating as it lies in this log.
fn rating_in(log: LogId, rating: Rating) -> Vec<u8> {
    letter_in(log, &RatingLetter { rating })
}

fn letter_in(log: LogId, what: &impl serde::Serialize) -> Vec<u8> {
    let to = Address {
        purpose: Purpose::Ticket,
        log: &log,
        key: &public_key(&StaticSecret::from(OPENING)),
    };
    let letter = sotto_protocol::cbor::encode(what).unwrap();
    letter::write(to, &letter, SizeClass::K4).unwrap().remove(0)
}

/// On duty, with the letters open too.
fn on_duty_at_letters() -> (Engine, LogId) {
    let mut ann = on_duty();
    let letters = ann.beside.desk.as_ref().unwrap().letters;
    ann.beside.open.insert(letters);
    ann.finish(NOON);
    (ann, letters)
}

fn said(engine: &Engine) -> Vec<Rated> {
    let all = engine.outbox.values();
    let said = all.filter_map(|one| match &one.content.body {
        ContentBody::Rated(rated) => Some(rated.clone()),
        _ => None,
    });
    said.flatten().collect()
}

fn claims(engine: &Engine, is_letter: bool, seq: u64) -> bool {
    let side = Side::ClaimRubbish(is_letter, seq);
    engine.beside.is_asked(side)
}

fn claimed() -> Result<Answer<'static>, Denied> {
    Ok(Answer::Claimed(Claimed {
        ms: 10_000,
        held: None,
        lease: 7,
    }))
}

/// The team hears of these, from this device or another.
fn heard(engine: &mut Engine, all: &[Rated], now: Now) {
    let body = ContentBody::Rated(all.to_vec());
    let by = LeafId::new([0x77; 32]);
    engine.heard_of_desk(by, &body, (0, 0), now).unwrap();
}

/// A look at the letters finds these.
fn look(engine: &mut Engine, entries: Vec<Entry<'static>>, now: Now) {
    engine.finish(now);
    hear(engine, LOOK, page(entries, false), now);
}

#[test]
fn a_rating_is_no_ticket_and_no_junk_and_the_team_hears_of_it_before_it_goes() {
    let (mut ann, letters) = on_duty_at_letters();
    let entry = waiting(4, rating_in(letters, GOOD));
    look(&mut ann, vec![entry.clone()], NOON);
    assert!(ann.tickets(NOON).is_empty());
    assert_eq!(ann.saved.junk, 0);
    assert!(!claims(&ann, true, 4) && said(&ann).is_empty());
    // After a while, so that others may be first.
    let at = ann.wake_ratings(NOON).unwrap();
    assert!((minutes(1).steady_ms..minutes(6).steady_ms).contains(&at));
    look(&mut ann, vec![entry.clone()], minutes(6));
    let is_it = |rated: &Rated| rated.seq == 4 && rated.rating == GOOD;
    assert!(said(&ann).iter().all(is_it) && said(&ann).len() == 1);
    // It is said once, and stays there until it stands in the room's log.
    for minute in 7..20 {
        look(&mut ann, vec![entry.clone()], minutes(minute));
    }
    assert!(said(&ann).len() == 1 && !claims(&ann, true, 4));
    let told = said(&ann);
    heard(&mut ann, &told, minutes(20));
    look(&mut ann, vec![entry], minutes(21));
    assert!(claims(&ann, true, 4));
    hear(
        &mut ann,
        Side::ClaimRubbish(true, 4),
        claimed(),
        minutes(21),
    );
    assert!(ann.beside.is_asked(Side::EndRubbish(true, 4)));
    let ended = Ok(Answer::Appended(Vec::new()));
    hear(&mut ann, Side::EndRubbish(true, 4), ended, minutes(21));
    look(&mut ann, Vec::new(), minutes(40));
    assert_eq!((said(&ann).len(), ann.wake_ratings(minutes(40))), (1, None));
}

#[test]
fn a_rating_that_another_device_told_of_is_tidied_away_unsaid() {
    let (mut ann, letters) = on_duty_at_letters();
    let entry = waiting(4, rating_in(letters, GOOD));
    let other = waiting(5, letter_in(letters, &Ticket::default()));
    look(&mut ann, vec![entry.clone(), other.clone()], NOON);
    let rating = GOOD;
    // What is no rating stays, whatever somebody says.
    heard(&mut ann, &[4, 5].map(|seq| Rated { seq, rating }), NOON);
    look(&mut ann, vec![entry, other], minutes(1));
    assert!(claims(&ann, true, 4) && !claims(&ann, true, 5));
    look(&mut ann, Vec::new(), minutes(10));
    assert!(said(&ann).is_empty());
}

/// One message for each would let a stranger who has the card fill the team's room.
#[test]
fn as_many_ratings_as_the_limit_are_said_at_once_and_the_rest_later() {
    let (mut ann, letters) = on_duty_at_letters();
    let most = u64::try_from(RATED_MAX).unwrap();
    let sealed = rating_in(letters, GOOD);
    let all: Vec<_> = (1..=most + 1)
        .map(|seq| waiting(seq, sealed.clone()))
        .collect();
    look(&mut ann, all.clone(), NOON);
    look(&mut ann, all.clone(), minutes(6));
    let seqs = |ann: &Engine| said(ann).iter().map(|one| one.seq).collect::<Vec<_>>();
    assert_eq!(seqs(&ann), (1..=most).collect::<Vec<_>>());
    look(&mut ann, all, minutes(12));
    assert_eq!(seqs(&ann), (1..=most + 1).collect::<Vec<_>>());
    let messages = ann.outbox.values();
    let messages = messages.filter(|one| matches!(one.content.body, ContentBody::Rated(_)));
    assert_eq!(messages.count(), 2);
    let rated = said(&ann)[0];
    assert!(ContentBody::Rated(vec![rated; RATED_MAX]).is_within_limits());
    assert!(!ContentBody::Rated(vec![rated; RATED_MAX + 1]).is_within_limits());
    assert!(!ContentBody::Rated(Vec::new()).is_within_limits());
}

/// Where tickets lie nobody rates: it would be seen as one who asks.
#[test]
fn a_rating_among_the_tickets_is_left_where_it_is() {
    let (mut ann, _) = on_duty_at_letters();
    let queue = duty::QUEUE;
    let look = Side::Look(false);
    let entries = vec![waiting(1, rating_in(queue, GOOD)), waiting(2, ticket())];
    hear(&mut ann, look, page(entries, false), NOON);
    assert_eq!((ann.saved.junk, ann.tickets(NOON).len()), (1, 1));
    assert!(!claims(&ann, false, 1), "a newer client may know better");
}

#[test]
fn a_rating_is_as_large_and_shaped_as_a_letter_and_answers_to_nothing() {
    let desk = crate::desk::tests::address();
    let card = crate::desk::tests::card();
    let mut engine = Engine::rate(&desk, &card, GOOD, NOON).unwrap().0;
    let knocking = engine.beside.knocking.as_ref().unwrap();
    assert_eq!(knocking.door, card.letters.log);
    let asking = knocking.asking.as_ref().unwrap();
    let letter = Asking::new(Ticket::default(), true).unwrap();
    let knock = [7; 2_000];
    let shapes = [asking, &letter].map(|one| {
        let item = one.item(knocking, &knock).unwrap();
        let [entry] = item.entries.as_slice() else {
            panic!("one entry")
        };
        let held = entry.held.as_ref().unwrap();
        let none = (item.pin, item.lease.is_some(), item.fence);
        (
            entry.sealed.as_slice().len(),
            held.as_slice().len(),
            entry.owner.is_some(),
            none,
        )
    });
    assert_eq!(shapes[0], (4_096, 4_096, true, (false, false, None)));
    assert_eq!(shapes[0], shapes[1]);
    assert!(asking.owner() != letter.owner());
    // Of the one who rates nothing is in it, not even where an answer would go.
    let opening = [3; 32];
    let mut to_us = knocking.clone();
    to_us.sealing = public_key(&StaticSecret::from(opening));
    let item = asking.item(&to_us, &knock).unwrap();
    let held = item.entries[0].held.as_ref().unwrap();
    let read = Letters::default().read(&opening, Purpose::Held, &to_us.door, held.as_slice());
    assert!(matches!(read, Read::Whole(bytes) if bytes.is_empty()));
    // And once it lies there nothing is left.
    engine.knock_landed(9).unwrap();
    assert!(engine.is_over() && engine.beside.knocking.is_none());
    let effects = engine.finish(NOON);
    assert!(effects.events.contains(&Event::Knocked));
    assert!(effects.store.puts.is_empty() && !effects.store.erase.is_empty());
}

#[test]
fn a_desk_that_takes_no_rating_is_not_asked_again() {
    let desk = crate::desk::tests::address();
    let card = crate::desk::tests::card();
    for code in [ErrorCode::QuotaExceeded, ErrorCode::Refused] {
        let mut engine = Engine::rate(&desk, &card, GOOD, NOON).unwrap().0;
        engine.knock_denied(code, NOON).unwrap();
        assert!(engine.is_over());
        assert!(!engine.finish(NOON).events.contains(&Event::Knocked));
    }
}
