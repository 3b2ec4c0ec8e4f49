//! What a session keeps for a relay or a caller, each bound at its edge. A table of all limits, where
//! hostile peers are tested, names these tests.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Lane, Notice, Refusal};
use sotto_protocol::limits;

use super::super::ask::{FAULTS_MAX, Next, WAIT_MS, WORKS_MAX, after_refusal};
use super::super::incoming::EVENTS_MAX;
use super::super::outgoing::CREDITS_MAX;
use super::super::{
    ASK_BYTES_MAX, Cursor, Keeps, SessionError, SessionEvent, WINDOW, WORK_BITS_INLINE,
};
use super::{DAY, Pair, item, member, retry};

#[test]
fn a_relay_that_floods_with_notices_is_hung_up_on_at_the_bound() {
    let mut pair = Pair::new();
    pair.connect();
    pair.settle();
    let mut taken = 0;
    let ended = loop {
        pair.relay.notice(Notice::Restarting(1));
        let message = pair.relay.poll().expect("a message");
        match pair.session.received(&message, pair.now) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(ended, SessionError::TooMuch);
    assert_eq!(taken, EVENTS_MAX + 1);
    // With somebody who takes them there is no end.
    let mut pair = Pair::new();
    pair.connect();
    for _ in 0..2 * EVENTS_MAX {
        pair.relay.notice(Notice::Restarting(1));
        if let Some(message) = pair.relay.poll() {
            pair.session.received(&message, pair.now).unwrap();
        }
        while pair.session.poll_event().is_some() {}
        while let Some(message) = pair.session.poll_output() {
            pair.relay.receive(&message);
        }
    }
}

#[test]
fn asks_of_more_bytes_than_fit_are_answered_busy_at_once() {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    let mut run = item(log, &[0; limits::SEALED_BYTES_MAX]);
    run.entries = vec![run.entries[0].clone(); limits::RUN_BYTES_MAX / limits::SEALED_BYTES_MAX];
    // 256 bytes for what is around an entry.
    let each = run.entries.len() * (limits::SEALED_BYTES_MAX + 256);
    let most = ASK_BYTES_MAX / each;
    let tokens: Vec<_> = (0..=most as u64)
        .map(|number| pair.session.append(vec![run.clone()], retry(number), DAY))
        .collect();
    pair.collect(true);
    assert_eq!(pair.answers.len(), 1);
    let denied = pair.answers[tokens.last().unwrap()].as_ref().unwrap_err();
    assert_eq!(denied.refusal.code, ErrorCode::Busy);
    // What is answered makes room.
    pair.session.open(log, vec![member()]);
    pair.connect();
    pair.settle();
    let again = pair.session.append(vec![run], retry(100), DAY);
    pair.settle();
    assert!(pair.answers[&again].is_ok());
}

#[test]
fn credits_that_may_be_refused_are_remembered_up_to_a_bound() {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    let each = WINDOW as usize;
    let count = (CREDITS_MAX + 10) * each + WINDOW as usize;
    for _ in 0..count {
        let of_relay = pair.relay.logs.get_mut(&log).unwrap();
        of_relay.append(b"x", false, DAY);
    }
    pair.session.open(log, vec![member()]);
    pair.session
        .follow(log, Lane::All, Cursor::start(&log), Keeps::Days(30));
    pair.connect();
    pair.settle();
    assert_eq!(pair.seqs(&log).len(), count, "and nothing stops for it");
    assert_eq!(pair.session.credits.len(), CREDITS_MAX);
}

#[test]
fn a_refusal_is_waited_out_worked_off_or_told_and_not_for_ever() {
    let refusal = |code, bits, ms| Refusal {
        retry_after_ms: ms,
        bits,
        ..Refusal::of(code)
    };
    let fault = refusal(ErrorCode::Internal, None, None);
    assert!(matches!(
        after_refusal(&fault, FAULTS_MAX - 1, true),
        Next::Wait { .. }
    ));
    assert_eq!(after_refusal(&fault, FAULTS_MAX, true), Next::Report);
    let price = |bits| refusal(ErrorCode::WorkNeeded, Some(bits), None);
    let (most, dearest) = (WORKS_MAX, limits::WORK_BITS_MAX);
    assert_eq!(
        after_refusal(&price(dearest), most - 1, true),
        Next::Work { bits: dearest }
    );
    assert_eq!(after_refusal(&price(dearest + 1), 0, true), Next::Report);
    assert_eq!(after_refusal(&price(dearest), most, true), Next::Report);
    assert_eq!(after_refusal(&price(dearest), 0, false), Next::Report);
    // Neither at once nor for longer than a minute, whatever a relay asks for.
    for (asked, waits) in [
        (0, WAIT_MS.0),
        (5_000, 5_000),
        (60_000, WAIT_MS.1),
        (u32::MAX, WAIT_MS.1),
    ] {
        let busy = refusal(ErrorCode::Busy, None, Some(asked));
        assert_eq!(after_refusal(&busy, 0, true), Next::Wait { ms: waits });
    }
    let busy = refusal(ErrorCode::Busy, None, None);
    let waits = |tries| after_refusal(&busy, tries, true);
    assert_eq!(waits(u32::MAX), Next::Wait { ms: WAIT_MS.1 });
}

#[test]
fn work_is_handed_out_from_one_bit_past_what_is_done_on_the_spot() {
    for bits in [WORK_BITS_INLINE, WORK_BITS_INLINE + 1] {
        let mut pair = Pair::new();
        let log = pair.relay.log(1, &member());
        pair.session.open(log, vec![member()]);
        pair.connect();
        pair.settle();
        pair.relay.work = Some(bits);
        let token = pair.session.append(vec![item(log, b"x")], retry(1), DAY);
        pair.settle();
        let handed_out = pair
            .others
            .iter()
            .any(|event| matches!(event, SessionEvent::WorkNeeded(order) if order.bits() == bits));
        assert_eq!(handed_out, bits > WORK_BITS_INLINE);
        assert_eq!(pair.answers.contains_key(&token), !handed_out);
    }
}
