//! What a supporter's device makes of a desk's queue, of its keys, and of what comes with a lease.

use sotto_protocol::frame::{Claimed, Granted, ItemDone, Page};
use sotto_protocol::id::HeldDigest;
use sotto_protocol::proof::public_key;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::*;
use crate::content::ContentBody;
use crate::desk::{
    Confidentiality, DeskFounding, DeskKeys, DeskPlan, Hours, OPENINGS_MAX, Offer, OpeningKey,
    Openings, OrganisationKey, SignedKeys, Ticket,
};
use crate::engine::beside::Side;
use crate::engine::duty::{JUNK_KNOWN_MAX, TICKETS_SHOWN_MAX};
use crate::engine::taking::TicketKeys;
use crate::link::RelayAddress;
use crate::seal::letter::{self, Address, Purpose};

pub(super) const OPENING: [u8; 32] = [7; 32];
pub(super) const QUEUE: LogId = LogId::new([8; 32]);

pub(super) fn relay() -> RelayAddress {
    RelayAddress {
        url: "ws://127.0.0.1:1/".into(),
        identity: RelayIdentity::new([1; 32]),
    }
}

pub(super) fn keys(number: u64) -> DeskKeys {
    DeskKeys {
        desk: 0,
        claim: [9; 32],
        queue: QUEUE,
        suite: Suite::Classic,
        number,
        letters: LogId::new([10; 32]),
        minutes: None,
        openings: vec![OpeningKey(OPENING)],
        chats_each: 2,
        organisation: OrganisationKey::from_seed(&[11; 32]).id(),
    }
}

/// As its organisation signs them for the room of `engine`.
fn signed(engine: &Engine, keys: &DeskKeys) -> SignedKeys {
    let organisation = OrganisationKey::from_seed(&[11; 32]);
    SignedKeys::sign(&organisation, &engine.saved.log, keys).unwrap()
}

pub(super) fn hears(engine: &mut Engine, by: LeafId, keys: &DeskKeys) {
    let signed = signed(engine, keys);
    engine.desk_said(by, signed).unwrap();
}

/// A supporter in a team's room.
pub(super) fn supporter() -> Engine {
    let options = RoomOptions {
        suite: Suite::Classic,
        ..RoomOptions::new(relay(), "Ann")
    };
    let (mut engine, _) = Engine::found(options, NOON).unwrap();
    engine.saved.stage = Stage::In;
    let me = engine.key.id();
    hears(&mut engine, me, &keys(3));
    engine
}

fn letter_of(purpose: Purpose, bytes: &[u8]) -> Vec<u8> {
    letter_in(&QUEUE, purpose, bytes)
}

pub(super) fn letter_in(log: &LogId, purpose: Purpose, bytes: &[u8]) -> Vec<u8> {
    let to = Address {
        purpose,
        log,
        key: &public_key(&StaticSecret::from(OPENING)),
    };
    letter::write(to, bytes, SizeClass::K4).unwrap().remove(0)
}

/// An entry with a held part.
pub(super) fn waiting(seq: u64, sealed: Vec<u8>) -> Entry<'static> {
    Entry {
        held: Some(HeldDigest::new([0; 32])),
        ..entry_of(seq, sealed.into())
    }
}

pub(super) fn give(engine: &mut Engine, seq: u64, sealed: Vec<u8>) {
    give_in(engine, QUEUE, seq, sealed);
}

pub(super) fn give_in(engine: &mut Engine, log: LogId, seq: u64, sealed: Vec<u8>) {
    let cursor = Cursor {
        seq,
        chain: None,
        day: 19_675,
    };
    let entry = waiting(seq, sealed);
    let event = SessionEvent::Entry { log, entry, cursor };
    engine.take(event, NOON).unwrap();
}

#[test]
fn as_many_tickets_as_the_limit_are_shown_and_one_more_waits() {
    let mut ann = supporter();
    ann.set_duty(true, None).unwrap();
    let sealed = letter_of(
        Purpose::Ticket,
        &sotto_protocol::cbor::encode(&Ticket::default()).unwrap(),
    );
    for seq in 1..=TICKETS_SHOWN_MAX as u64 {
        give(&mut ann, seq, sealed.clone());
        assert_eq!(ann.tickets(NOON).len() as u64, seq);
    }
    give(&mut ann, TICKETS_SHOWN_MAX as u64 + 1, sealed);
    assert_eq!(ann.tickets(NOON).len(), TICKETS_SHOWN_MAX);
}

#[test]
fn what_is_no_ticket_is_counted_and_shown_to_nobody() {
    let mut ann = supporter();
    ann.set_duty(true, None).unwrap();
    give(&mut ann, 1, vec![5; 4_096]);
    let long = Ticket {
        words: "x".repeat(3_000),
        ..Ticket::default()
    };
    let long = sotto_protocol::cbor::encode(&long).unwrap();
    give(&mut ann, 2, letter_of(Purpose::Ticket, &long));
    let held = sotto_protocol::cbor::encode(&Ticket::default()).unwrap();
    give(&mut ann, 3, letter_of(Purpose::Held, &held));
    assert!(ann.tickets(NOON).is_empty());
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
    assert!(ann.tickets(NOON).is_empty());
    ann.set_duty(true, None).unwrap();
    give(&mut ann, 1, sealed);
    assert_eq!(ann.tickets(NOON).len(), 1);
    ann.set_duty(false, None).unwrap();
    assert!(ann.tickets(NOON).is_empty());
}

#[test]
fn a_desks_keys_are_believed_of_facilitators_and_never_replaced_by_older_or_strange_ones() {
    let mut ann = supporter();
    let me = ann.key.id();
    let known = |engine: &Engine| engine.beside.desk.as_ref().unwrap().number;
    hears(&mut ann, LeafId::new([12; 32]), &keys(9));
    hears(&mut ann, me, &keys(2));
    assert_eq!(known(&ann), 3);
    hears(&mut ann, me, &keys(4));
    assert_eq!(known(&ann), 4);
}

/// A facilitator who is not the office has the keys, and no key of the organisation's.
#[test]
fn a_facilitator_who_is_not_the_office_turns_nobody_to_another_queue() {
    let mut ann = supporter();
    let me = ann.key.id();
    ann.finish(NOON);
    let known = |engine: &Engine| engine.beside.desk.as_ref().unwrap().number;
    let own = OrganisationKey::from_seed(&[13; 32]);
    // In the organisation's name, with another key.
    let forged = SignedKeys::sign(&own, &ann.saved.log, &keys(9)).unwrap();
    ann.desk_said(me, forged).unwrap();
    assert_eq!((known(&ann), ann.saved.junk), (3, 1));
    // As the organisation signed them for another room.
    let organisation = OrganisationKey::from_seed(&[11; 32]);
    let elsewhere = SignedKeys::sign(&organisation, &LogId::new([14; 32]), &keys(9)).unwrap();
    ann.desk_said(me, elsewhere).unwrap();
    assert_eq!((known(&ann), ann.saved.junk), (3, 2));
    // In the name of an organisation of their own: that is told.
    let strange = DeskKeys {
        organisation: own.id(),
        ..keys(9)
    };
    let strange = SignedKeys::sign(&own, &ann.saved.log, &strange).unwrap();
    ann.desk_said(me, strange).unwrap();
    assert_eq!(known(&ann), 3);
    let told = ann.finish(NOON).events;
    assert!(told.contains(&Event::OtherDesk { by: me }));
}

#[test]
fn keys_are_kept_as_they_were_signed_and_said_again_by_who_did_not_sign_them() {
    let mut ann = supporter();
    let me = ann.key.id();
    let said = signed(&ann, &keys(4));
    ann.desk_said(me, said.clone()).unwrap();
    assert!(ann.beside.desk_signed.as_ref() == Some(&said));
    ann.say_desk(NOON).unwrap();
    let again = ContentBody::Desk(Box::new(said));
    assert!(ann.outbox.values().any(|one| one.content.body == again));
    ann.beside.desk = None;
    ann.begin_with_desk().unwrap();
    assert!(ann.beside.desk == Some(keys(4)));
}

#[test]
fn keys_of_as_many_cards_as_the_limit_are_taken_and_not_one_more() {
    let ann = supporter();
    let of = |count: usize| {
        let keys = DeskKeys {
            openings: vec![OpeningKey(OPENING); count],
            ..keys(1)
        };
        let signed = signed(&ann, &keys);
        assert!(signed.is_within_limits());
        signed.open(&ann.saved.log).is_some()
    };
    assert!(!of(0));
    assert!(of(OPENINGS_MAX));
    assert!(!of(OPENINGS_MAX + 1));
    // As long as what is signed may be, and one byte more.
    let mut bytes = signed(&ann, &keys(1));
    bytes.set_keys(vec![0; 4_096]);
    assert!(bytes.is_within_limits());
    bytes.set_keys(vec![0; 4_097]);
    assert!(!ContentBody::Desk(Box::new(bytes)).is_within_limits());
    // More departures than the most: the oldest goes.
    let mut openings = Openings::none();
    for number in 0..=OPENINGS_MAX {
        openings.renew([u8::try_from(number).unwrap(); 32]);
    }
    let keys = openings.keys();
    assert_eq!((keys.len(), keys[0].0), (OPENINGS_MAX, [1; 32]));
}

/// Nine supporters leave in one evening, and a letter of the first card is still answered a month
/// later; then its key is of no use, and goes.
#[test]
fn an_opening_key_is_kept_as_long_as_a_letter_may_be_answered_and_no_longer() {
    let today = 19_675;
    let mut openings = Openings::none();
    for number in 0..10 {
        openings.renew([number; 32]);
    }
    // Nothing is forgotten while the relay has no card with the newest key.
    assert!(!openings.forget(today + 365));
    openings.card_stands(today);
    openings.renew([10; 32]);
    openings.card_stands(today + 20);
    assert!(!openings.forget(today + 31));
    assert_eq!(openings.keys().len(), 11);
    assert!(openings.forget(today + 32));
    let left: Vec<_> = openings.keys().into_iter().map(|key| key.0[0]).collect();
    assert_eq!(left, [9, 10]);
    assert!(openings.forget(today + 52));
    assert!(!openings.forget(today + 10_000));
    assert_eq!(openings.keys().len(), 1);
}

/// A chat that waits for its lease.
pub(super) fn taking() -> Engine {
    let keys = TicketKeys {
        relay: relay(),
        queue: QUEUE,
        claim: [9; 32],
        openings: vec![OpeningKey(OPENING)],
        seq: 5,
        suite: Suite::Classic,
        minutes: Some(45),
        organisation: OrganisationKey::from_seed(&[11; 32]).id(),
        is_letter: false,
        chats_each: 0,
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

/// Open around the clock.
pub(super) fn always() -> Hours {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let hours = days
        .into_iter()
        .try_fold(Hours::new("UTC").unwrap(), |hours, day| {
            hours.weekly(format!("{day} 00:00-24:00").parse()?)
        });
    hours.unwrap()
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

pub(super) fn founding(capacity: u32) -> DeskFounding {
    let organisation = OrganisationKey::random().unwrap();
    DeskFounding::new(&organisation, plan(capacity)).unwrap()
}

/// A founder of a room, in it.
pub(super) fn founder() -> Engine {
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
    use crate::engine::office::DeskLog;
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
        ann.desk_changed(which, keys, &granted(2), NOON).unwrap();
    }
    ann.card_published(card, &published, NOON).unwrap();
    assert_eq!(due(&ann), ([true; 2], true));
    let (keys, card) = numbers(&ann);
    for which in [DeskLog::Queue, DeskLog::Letters] {
        ann.desk_changed(which, keys, &granted(3), NOON).unwrap();
    }
    ann.card_published(card, &published, NOON).unwrap();
    assert_eq!(due(&ann), ([false; 2], false));
}

#[test]
fn without_a_line_no_ticket_is_taken_for_gone() {
    let mut ann = supporter();
    ann.is_online = true;
    ann.set_duty(true, None).unwrap();
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
        assert_eq!(ann.tickets(NOON).len(), 1);
    }
}

/// The office comes in again itself and never reads the Commit that let a supporter go.
#[test]
fn keys_are_renewed_for_who_is_gone_however_the_office_came_to_know() {
    use crate::engine::office::Team;
    let ghost = LeafId::new([12; 32]);
    let number = |engine: &Engine| engine.beside.desk.as_ref().unwrap().number;
    let mut ann = founder();
    ann.found_desk(founding(50)).unwrap();
    ann.is_online = true;
    ann.finish(NOON);
    assert_eq!(number(&ann), 1);
    let me = ann.key.id();
    let epoch = ann.group.as_ref().unwrap().epoch();
    // Somebody is gone since the last look, an epoch that was undone later.
    let last_look = |engine: &mut Engine, epoch, leaves| {
        engine.beside.office.as_mut().unwrap().team = Team::new(epoch, leaves);
        engine.finish(NOON);
    };
    last_look(&mut ann, epoch + 1, vec![me, ghost]);
    assert_eq!(number(&ann), 2);
    // Told once.
    ann.finish(NOON);
    last_look(&mut ann, epoch + 1, vec![me]);
    assert_eq!(number(&ann), 2);
}

#[test]
fn who_came_and_went_in_epochs_that_were_not_seen_counts_as_gone() {
    use crate::engine::office::Team;
    let [ann, ben, cay] = [1, 2, 3].map(|number| LeafId::new([number; 32]));
    let mut team = Team::new(4, vec![ann]);
    assert!(!team.has_lost(5, &[ann, ben]));
    assert!(!team.has_lost(6, &[ann, ben, cay]));
    assert!(team.has_lost(7, &[ann, cay]));
    team.hears(vec![ann, cay]);
    assert!(!team.has_lost(8, &[ann, cay]));
    assert!(team.has_lost(10, &[ann, cay]));
    // A Commit that was undone, and another in its place.
    assert!(!team.has_lost(9, &[ann, cay]));
    assert!(!team.has_lost(10, &[ann, cay]));
}

pub(super) fn ticket() -> Vec<u8> {
    letter_of(
        Purpose::Ticket,
        &sotto_protocol::cbor::encode(&Ticket::default()).unwrap(),
    )
}

/// A supporter on duty, online, whose queue is open and about to be read.
pub(super) fn on_duty() -> Engine {
    let mut ann = supporter();
    ann.is_online = true;
    ann.set_duty(true, None).unwrap();
    ann.beside.open.insert(QUEUE);
    ann
}

pub(super) const LOOK: Side = Side::Look(false);

/// The answer to what was asked of the relay.
pub(super) fn hear(
    engine: &mut Engine,
    side: Side,
    result: Result<Answer<'static>, Denied>,
    now: Now,
) {
    let mut asked = engine.beside.asked.iter();
    let found = asked.find(|(_, asked)| **asked == side);
    let token = *found.expect("it is asked").0;
    engine
        .take(SessionEvent::Answered { token, result }, now)
        .unwrap();
}

pub(super) fn page(entries: Vec<Entry<'static>>, more: bool) -> Result<Answer<'static>, Denied> {
    Ok(Answer::Page(Page { more, entries }))
}

pub(super) const fn minutes(count: u64) -> Now {
    Now {
        steady_ms: NOON.steady_ms + count * 60_000,
        wall_ms: NOON.wall_ms + count * 60_000,
    }
}

#[test]
fn a_look_tells_who_is_claimed_and_who_is_gone_and_judges_nobody_who_came_meanwhile() {
    let mut ann = on_duty();
    ann.finish(NOON);
    let (first, second) = (waiting(1, ticket()), waiting(2, ticket()));
    hear(&mut ann, LOOK, page(vec![first.clone()], true), NOON);
    hear(&mut ann, LOOK, page(vec![second.clone()], false), NOON);
    let claimed = |ann: &Engine| {
        let all = ann.tickets(NOON).into_iter();
        all.map(|one| (one.id.seq, one.is_claimed))
            .collect::<Vec<_>>()
    };
    assert_eq!(claimed(&ann), [(1, false), (2, false)]);
    // Not before a minute is over.
    ann.finish(minutes(0));
    assert!(!ann.beside.is_asked(LOOK));
    ann.finish(minutes(1));
    // Somebody has the second, and a third one comes while the queue is read.
    let second = Entry {
        claimed: true,
        ..second
    };
    give(&mut ann, 3, ticket());
    hear(
        &mut ann,
        LOOK,
        page(vec![second.clone()], false),
        minutes(1),
    );
    assert_eq!(claimed(&ann), [(2, true), (3, false)]);
    // What we claim is not offered to us, until we give it back.
    let id = ann.tickets(NOON)[1].id;
    ann.ticket_is_ours(id, minutes(1)).unwrap();
    assert_eq!(claimed(&ann), [(2, true)]);
    let [ours, free] = [true, false].map(|claimed| Entry {
        claimed,
        ..waiting(3, ticket())
    });
    for (at, entry, shown) in [(2, ours, 1), (3, free, 2)] {
        ann.finish(minutes(at));
        let both = vec![second.clone(), entry];
        hear(&mut ann, LOOK, page(both, false), minutes(at));
        assert_eq!(ann.tickets(NOON).len(), shown, "after {at} minutes");
    }
}

/// Whatever is appended with the key that the card hands out.
#[test]
fn what_nobody_writes_who_asks_is_taken_out_of_the_queue_and_counted_once() {
    let mut ann = on_duty();
    ann.finish(NOON);
    let small = entry_of(1, vec![5; 1_024].into());
    let unheld = entry_of(2, ticket().into());
    let sealed_to_nobody = waiting(3, vec![5; 4_096]);
    // Another device on duty is at it.
    let busy = Entry {
        claimed: true,
        ..waiting(4, vec![6; 4_096])
    };
    // It opens, and may make sense to a newer client.
    let newer = waiting(5, letter_of(Purpose::Ticket, b"newer"));
    let all = vec![
        small,
        unheld,
        sealed_to_nobody,
        busy,
        newer,
        waiting(6, ticket()),
    ];
    for look in 0..3 {
        let now = minutes(look);
        ann.finish(now);
        hear(&mut ann, LOOK, page(all.clone(), false), now);
        assert_eq!((ann.saved.junk, ann.tickets(NOON).len()), (5, 1));
        let mut taken = BTreeSet::new();
        for _ in 0..3 {
            let mut asked = ann.beside.asked.values();
            let seq = asked.find_map(|side| match side {
                Side::ClaimRubbish(false, seq) => Some(*seq),
                _ => None,
            });
            let seq = seq.expect("one is claimed");
            taken.insert(seq);
            if look == 0 {
                // Somebody else was faster.
                let lost = Err(door::denied(ErrorCode::NoSuchEntry));
                hear(&mut ann, Side::ClaimRubbish(false, seq), lost, now);
                continue;
            }
            let claimed = Answer::Claimed(Claimed {
                ms: 10_000,
                held: None,
                lease: 7,
            });
            hear(&mut ann, Side::ClaimRubbish(false, seq), Ok(claimed), now);
            let ended = Ok(Answer::Appended(Vec::new()));
            hear(&mut ann, Side::EndRubbish(false, seq), ended, now);
        }
        assert_eq!(taken, BTreeSet::from([1, 2, 3]));
        let is_rubbish = |side: &Side| matches!(side, Side::ClaimRubbish(..));
        assert!(!ann.beside.asked.values().any(is_rubbish));
    }
}

#[test]
fn who_may_not_claim_or_is_refused_clears_nothing_until_the_next_look() {
    let mut ann = on_duty();
    ann.finish(NOON);
    let junk = vec![waiting(1, vec![5; 4_096]), waiting(2, vec![6; 4_096])];
    hear(&mut ann, LOOK, page(junk, false), NOON);
    let asked = ann.beside.asked.values().copied().collect::<Vec<_>>();
    let claim = asked
        .into_iter()
        .find(|side| matches!(side, Side::ClaimRubbish(..)));
    let refused = Err(door::denied(ErrorCode::Refused));
    hear(&mut ann, claim.unwrap(), refused, NOON);
    let is_rubbish = |side: &Side| matches!(side, Side::ClaimRubbish(..));
    assert!(!ann.beside.asked.values().any(is_rubbish));
}

#[test]
fn each_queue_has_room_of_its_own_and_so_many_entries_are_known_to_be_none() {
    let mut ann = supporter();
    ann.set_duty(true, None).unwrap();
    let sealed = ticket();
    for seq in 1..=TICKETS_SHOWN_MAX as u64 {
        give(&mut ann, seq, sealed.clone());
    }
    let log = ann.beside.desk.as_ref().unwrap().letters;
    let to = Address {
        purpose: Purpose::Ticket,
        log: &log,
        key: &public_key(&StaticSecret::from(OPENING)),
    };
    let bytes = sotto_protocol::cbor::encode(&Ticket::default()).unwrap();
    let letter = letter::write(to, &bytes, SizeClass::K4).unwrap().remove(0);
    ann.ticket_met(log, &waiting(1, letter), NOON).unwrap();
    assert_eq!(ann.tickets(NOON).len(), TICKETS_SHOWN_MAX + 1);
    let known = |ann: &mut Engine| ann.beside.duty.view(true).junk.len();
    for seq in 0..=JUNK_KNOWN_MAX as u64 {
        let junk = entry_of(seq + 2, vec![5; 1_024].into());
        ann.ticket_met(log, &junk, NOON).unwrap();
    }
    assert_eq!(known(&mut ann), JUNK_KNOWN_MAX);
}

fn wishes(topic: &str, not: &[&str]) -> Vec<u8> {
    let ticket = Ticket {
        topic: Some(topic.into()),
        not: not.iter().map(|&one| one.to_owned()).collect(),
        ..Ticket::default()
    };
    letter_of(
        Purpose::Ticket,
        &sotto_protocol::cbor::encode(&ticket).unwrap(),
    )
}

/// Decided on the supporter's device: the relay sees nothing of it.
#[test]
fn who_says_what_they_offer_is_shown_first_whom_they_fit_and_never_who_wants_nobody_from_there() {
    let mut ann = on_duty();
    for (seq, topic, not) in [
        (1, "debts", [].as_slice()),
        (2, "grief", &["harbour"]),
        (3, "grief", &[]),
    ] {
        give(&mut ann, seq, wishes(topic, not));
    }
    let shown =
        |ann: &Engine, now| -> Vec<u64> { ann.tickets(now).iter().map(|one| one.id.seq).collect() };
    assert_eq!(shown(&ann, NOON), [1, 2, 3]);
    let offer = Offer {
        topics: vec!["grief".into()],
        sites: vec!["harbour".into()],
        ..Offer::default()
    };
    ann.obey(Command::DutyFor(Box::new(offer)), NOON).unwrap();
    assert!(ann.is_on_duty());
    assert_eq!(shown(&ann, NOON), [3, 1]);
    // Who waits long is for everybody, but for whom they do not want.
    assert_eq!(shown(&ann, minutes(5)), [1, 3]);
    // Off duty nothing of it is left.
    ann.set_duty(false, None).unwrap();
    ann.set_duty(true, None).unwrap();
    give(&mut ann, 4, wishes("grief", &["harbour"]));
    assert_eq!(shown(&ann, NOON), [4]);
}
