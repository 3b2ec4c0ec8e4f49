//! Each lie of a relay raises the doubt that names it.

use sotto_protocol::cbor;
use sotto_protocol::frame::{Entry, Frame, Greeting, Lane, Push};
use sotto_protocol::id::{ChainValue, LogId, RelayIdentity, Tag};

use super::super::{Cursor, Doubt, Keeps, Session, SessionError, WITHHELD_AFTER_MS};
use super::{DAY, Pair, item, member, noon, retry};

type Lie = Box<dyn FnMut(Entry<'static>) -> Vec<Entry<'static>>>;

/// A log of six entries, followed by a client that knows it from the start.
fn pair() -> (Pair, LogId) {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    for number in 1..=6_u8 {
        let state = pair.relay.logs.get_mut(&log).unwrap();
        state.append(&[number], false, DAY);
    }
    pair.session.open(log, vec![member()]);
    let start = Cursor {
        day: DAY,
        ..Cursor::start(&log)
    };
    pair.session.follow(log, Lane::All, start, Keeps::Days(30));
    pair.connect();
    (pair, log)
}

fn told(lie: Lie) -> (Vec<u64>, Vec<Doubt>) {
    let (mut pair, log) = pair();
    pair.relay.lie = Some(lie);
    pair.settle();
    (pair.seqs(&log), pair.doubts)
}

#[test]
fn an_honest_relay_raises_none() {
    let (seqs, doubts) = told(Box::new(|entry| vec![entry]));
    assert_eq!((seqs, doubts), (vec![1, 2, 3, 4, 5, 6], vec![]));
}

#[test]
fn one_entry_withheld_is_named() {
    let (seqs, doubts) = told(Box::new(
        |entry| {
            if entry.seq == 3 { vec![] } else { vec![entry] }
        },
    ));
    assert_eq!(seqs, [1, 2, 4, 5, 6]);
    assert_eq!(doubts, [Doubt::Withheld { from: 3, to: 3 }]);
}

#[test]
fn two_entries_swapped_are_named() {
    let mut kept = None;
    let (seqs, doubts) = told(Box::new(move |entry| match entry.seq {
        3 => {
            kept = Some(entry);
            vec![]
        }
        4 => vec![entry, kept.take().unwrap()],
        _ => vec![entry],
    }));
    assert_eq!(seqs, [1, 2, 4, 5, 6], "never out of order");
    assert_eq!(
        doubts,
        [
            Doubt::Withheld { from: 3, to: 3 },
            Doubt::Swapped { seq: 3 }
        ]
    );
}

#[test]
fn two_entries_swapped_under_each_others_numbers_are_named() {
    let mut kept: Option<Entry<'static>> = None;
    let (_, doubts) = told(Box::new(move |entry| match entry.seq {
        3 => {
            kept = Some(entry);
            vec![]
        }
        4 => {
            let mut first = entry.clone();
            let mut second = kept.take().unwrap();
            first.seq = 3;
            second.seq = 4;
            vec![first, second]
        }
        _ => vec![entry],
    }));
    assert_eq!(
        doubts,
        [
            Doubt::ChainBroken { seq: 3 },
            Doubt::ChainBroken { seq: 4 },
            Doubt::ChainBroken { seq: 5 }
        ]
    );
}

#[test]
fn one_entry_repeated_is_named_and_dropped() {
    let (seqs, doubts) = told(Box::new(|entry| {
        if entry.seq == 3 {
            vec![entry.clone(), entry]
        } else {
            vec![entry]
        }
    }));
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    assert_eq!(doubts, [Doubt::Repeated { seq: 3 }]);
}

#[test]
fn one_entry_altered_is_named_by_the_next() {
    for alter in [
        (|entry: &mut Entry<'static>| entry.sealed = vec![9].into()) as fn(&mut Entry<'static>),
        |entry| entry.day += 1,
        |entry| entry.fence = Some(0),
        |entry| entry.commitment = sotto_protocol::id::Commitment::new([2; 32]),
    ] {
        let (_, doubts) = told(Box::new(move |mut entry| {
            if entry.seq == 3 {
                alter(&mut entry);
            }
            vec![entry]
        }));
        assert_eq!(doubts, [Doubt::ChainBroken { seq: 4 }]);
    }
}

#[test]
fn the_last_entry_altered_contradicts_the_head() {
    let (_, doubts) = told(Box::new(|mut entry| {
        if entry.seq == 6 {
            entry.sealed = vec![9].into();
        }
        vec![entry]
    }));
    assert_eq!(doubts, [Doubt::Fork { seq: 6 }]);
}

#[test]
fn a_tail_withheld_is_named_in_time() {
    let (mut pair, log) = pair();
    pair.relay.lie = Some(Box::new(
        |entry| {
            if entry.seq > 4 { vec![] } else { vec![entry] }
        },
    ));
    pair.settle();
    assert_eq!(pair.doubts, []);
    pair.now = pair.now.plus_ms(WITHHELD_AFTER_MS - 1);
    pair.session.tick(pair.now).unwrap();
    pair.settle();
    assert_eq!(pair.doubts, [], "a slow relay is no liar");
    pair.wait();
    assert_eq!(pair.seqs(&log), [1, 2, 3, 4]);
    assert_eq!(pair.doubts, [Doubt::Withheld { from: 5, to: 6 }]);
    assert_eq!(pair.session.next_deadline(), None, "said once");
}

#[test]
fn own_words_acknowledged_and_withheld_are_named_in_time() {
    let (mut pair, log) = pair();
    pair.relay.lie = Some(Box::new(
        |entry| {
            if entry.seq > 6 { vec![] } else { vec![entry] }
        },
    ));
    pair.settle();
    pair.session.append(vec![item(log, b"mine")], retry(1), DAY);
    pair.settle();
    pair.wait();
    assert_eq!(pair.doubts, [Doubt::Withheld { from: 7, to: 7 }]);
}

#[test]
fn own_words_acknowledged_and_replaced_are_a_fork() {
    let (mut pair, log) = pair();
    pair.relay.lie = Some(Box::new(|mut entry| {
        if entry.seq == 7 {
            entry.sealed = b"others".to_vec().into();
        }
        vec![entry]
    }));
    pair.settle();
    pair.session.append(vec![item(log, b"mine")], retry(1), DAY);
    pair.settle();
    assert_eq!(pair.doubts, [Doubt::Fork { seq: 7 }]);
}

#[test]
fn another_history_after_a_reconnect_is_a_fork() {
    let (mut pair, _) = pair();
    pair.settle();
    pair.disconnect();
    pair.relay.open_lie = Some(Box::new(|opened| opened.chain = ChainValue::new([9; 32])));
    pair.connect();
    pair.settle();
    assert_eq!(pair.doubts, [Doubt::Fork { seq: 6 }]);
}

#[test]
fn a_head_that_went_back_is_named() {
    let (mut pair, _) = pair();
    pair.settle();
    pair.disconnect();
    pair.relay.open_lie = Some(Box::new(|opened| opened.head = 4));
    pair.connect();
    pair.settle();
    assert!(pair.doubts.contains(&Doubt::Withheld { from: 5, to: 6 }));
}

#[test]
fn an_entry_that_differs_when_it_is_sent_again_is_a_fork() {
    let (mut pair, _) = pair();
    for _ in 0..6 {
        while let Some(message) = pair.session.poll_output() {
            pair.relay.receive(&message);
        }
        while let Some(message) = pair.relay.poll() {
            pair.session.received(&message, pair.now).unwrap();
        }
        pair.collect(false);
    }
    pair.disconnect();
    pair.relay.lie = Some(Box::new(|mut entry| {
        if entry.seq == 2 {
            entry.sealed = vec![9].into();
        }
        vec![entry]
    }));
    pair.connect();
    pair.settle();
    assert_eq!(pair.doubts, [Doubt::Fork { seq: 2 }]);
}

#[test]
fn young_entries_called_expired_are_withheld() {
    let (mut pair, log) = pair();
    let state = pair.relay.logs.get_mut(&log).unwrap();
    state.entries.retain(|entry| entry.seq > 2);
    pair.settle();
    assert_eq!(pair.doubts, [Doubt::Withheld { from: 1, to: 2 }]);
    assert_eq!(pair.gone, []);
}

#[test]
fn a_fenced_entry_withheld_from_the_fenced_lane_is_named() {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    for number in 1..=9 {
        let state = pair.relay.logs.get_mut(&log).unwrap();
        state.append(b"x", number % 3 == 0, DAY);
    }
    pair.relay.lie = Some(Box::new(
        |entry| {
            if entry.seq == 6 { vec![] } else { vec![entry] }
        },
    ));
    pair.session.open(log, vec![member()]);
    pair.session
        .follow(log, Lane::Fenced, Cursor::start(&log), Keeps::Days(60));
    pair.connect();
    pair.settle();
    assert_eq!(pair.seqs(&log), [3, 9]);
    assert_eq!(pair.doubts, [Doubt::Withheld { from: 4, to: 8 }]);
}

#[test]
fn pushes_beyond_credit_or_of_unknown_logs_end_the_connection() {
    let (mut pair, _) = pair();
    pair.settle();
    let entry = pair.relay.logs.values().next().unwrap().entries[0].clone();
    let tag = Tag::new([9; 8]);
    let push = cbor::encode(&Frame::Push(Push { tag, entry })).unwrap();
    let refused = pair.session.received(&push, pair.now);
    assert_eq!(refused, Err(SessionError::NotFollowed));

    let (mut pair, _) = self::pair();
    pair.relay.lie = Some(Box::new(|entry| vec![entry; 200]));
    while let Some(message) = pair.session.poll_output() {
        pair.relay.receive(&message);
    }
    let mut ended = Ok(());
    for _ in 0..10 {
        while let Some(message) = pair.relay.poll() {
            ended = ended.and_then(|()| pair.session.received(&message, pair.now));
        }
        while let Some(message) = pair.session.poll_output() {
            pair.relay.receive(&message);
        }
    }
    assert_eq!(ended, Err(SessionError::NotFollowed));
}

#[test]
fn only_the_pinned_relay_of_today_is_spoken_to() {
    let greet = |change: fn(&mut Greeting), identity: Option<RelayIdentity>| {
        let mut pair = Pair::new();
        pair.connect();
        let message = pair.relay.poll().unwrap();
        let Frame::Greeting(mut greeting) = cbor::decode(&message).unwrap() else {
            panic!("the relay greets first");
        };
        change(&mut greeting);
        let message = cbor::encode(&Frame::Greeting(greeting)).unwrap();
        let pinned = identity.unwrap_or_else(|| pair.relay.identity());
        let mut session = Session::seeded(pinned, 1);
        session.connected(noon());
        let result = session.received(&message, noon());
        assert_eq!(session.poll_output().is_some(), result.is_ok());
        result
    };
    assert_eq!(greet(|_| {}, None), Ok(()));
    let other = RelayIdentity::new([1; 32]);
    assert_eq!(greet(|_| {}, Some(other)), Err(SessionError::WrongRelay));
    assert_eq!(
        greet(|greeting| greeting.day += 1, None),
        Err(SessionError::BadSignature)
    );
    assert_eq!(
        greet(
            |greeting| greeting.key = sotto_protocol::id::PublicKey::new([9; 32]),
            None
        ),
        Err(SessionError::BadSignature)
    );
}

/// What comes of a greeting of this day, to a session that last agreed with its relay on `floor`.
fn greeted_on(day: u32, floor: u32) -> (Result<(), SessionError>, Pair) {
    let mut pair = Pair::new();
    pair.relay.day = day;
    pair.session.set_day_floor(floor);
    pair.connect();
    let message = pair.relay.poll().unwrap();
    let taken = pair.session.received(&message, pair.now);
    if taken.is_ok() {
        pair.settle();
        assert!(pair.session.is_ready());
    }
    (taken, pair)
}

#[test]
fn the_relays_date_is_taken_whatever_our_clock_says() {
    for day in [DAY - 365, DAY - 1, DAY, DAY + 1, DAY + 365] {
        let (taken, pair) = greeted_on(day, 0);
        assert_eq!(taken, Ok(()));
        assert_eq!(pair.session.today(pair.now), day);
        let later = pair.now.plus_ms(25 * 3_600_000);
        assert_eq!(pair.session.today(later), day + 1);
        let agreed = if day.abs_diff(DAY) <= 1 { day } else { 0 };
        assert_eq!(pair.session.day_floor(), agreed);
    }
}

#[test]
fn a_key_of_a_day_before_those_that_were_agreed_on_is_not_believed() {
    for (day, is_believed) in [(DAY - 2, false), (DAY - 1, true), (DAY + 400, true)] {
        let (taken, _) = greeted_on(day, DAY);
        let expected = if is_believed {
            Ok(())
        } else {
            Err(SessionError::WrongDay)
        };
        assert_eq!(taken, expected);
    }
}

#[test]
fn bytes_that_are_no_frame_end_the_connection_and_never_panic() {
    let (mut pair, _) = pair();
    pair.settle();
    let state = pair.relay.logs.values().next().unwrap();
    let entry = state.entries[5].clone();
    let tag = Tag::new([0; 8]);
    let valid = cbor::encode(&Frame::Push(Push { tag, entry })).unwrap();
    for cut in 0..valid.len() {
        let (mut pair, _) = self::pair();
        pair.settle();
        assert!(pair.session.received(&valid[..cut], pair.now).is_err());
        assert!(!pair.session.is_ready(), "as if disconnected");
        assert!(pair.session.poll_output().is_none());
    }
}

#[test]
fn an_altered_sealed_message_ends_the_connection() {
    let (mut pair, log) = pair();
    pair.settle();
    pair.session.append(vec![item(log, b"mine")], retry(1), DAY);
    while let Some(message) = pair.session.poll_output() {
        pair.relay.receive(&message);
    }
    let mut message = pair.relay.poll().unwrap();
    *message.last_mut().unwrap() ^= 1;
    assert_eq!(
        pair.session.received(&message, pair.now),
        Err(SessionError::Noise)
    );
    // Over a new connection the append is answered, and stands once.
    pair.disconnect();
    pair.connect();
    pair.settle();
    assert_eq!(pair.relay.logs[&log].head, 7);
    assert_eq!(pair.answers.len(), 1);
}

#[test]
fn who_learns_an_identity_stays_with_it_and_believes_no_forged_one() {
    let mut pair = Pair::new();
    pair.session = Session::learning();
    pair.connect();
    pair.settle();
    assert!(pair.session.is_ready());
    assert_eq!(pair.session.identity(), pair.relay.identity());
    // From then on it is as pinned as any.
    let mut greeter = Pair::new();
    greeter.connect();
    let message = greeter.relay.poll().unwrap();
    let Frame::Greeting(mut greeting) = cbor::decode(&message).unwrap() else {
        panic!("the relay greets first");
    };
    greeting.identity = RelayIdentity::new([1; 32]);
    let other = cbor::encode(&Frame::Greeting(greeting)).unwrap();
    pair.session.connected(noon());
    let refused = pair.session.received(&other, noon());
    assert_eq!(refused, Err(SessionError::WrongRelay));
    // An identity that did not sign the day is none.
    let mut session = Session::learning();
    session.connected(noon());
    let refused = session.received(&other, noon());
    assert_eq!(refused, Err(SessionError::BadSignature));
}
