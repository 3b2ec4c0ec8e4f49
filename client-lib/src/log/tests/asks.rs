//! Asks: sent until answered, with the same retry id, and never told as refused when they may stand.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{
    Answer, Describe, Done, FromRelay, Grant, Lane, NewGrants, Notice, Policy, Read, Refusal,
    Refused,
};
use sotto_protocol::id::LogId;
use sotto_protocol::limits;
use sotto_protocol::right::Rights;
use x25519_dalek::StaticSecret;

use super::super::{
    ANSWER_TIMEOUT_MS, ASKS_MAX, Ask, Cursor, Denied, HANDSHAKE_TIMEOUT_MS, Keeps, NewLog,
    SessionError, SessionEvent,
};
use super::{DAY, Pair, item, member, retry};

fn new_log(seed: u8) -> NewLog {
    NewLog {
        root: StaticSecret::from([seed; 32]),
        grants: vec![Grant {
            key: sotto_protocol::proof::public_key(&member()),
            ends: None,
            rate: None,
            work: None,
            rights: Rights::ALL,
            until_seq: None,
        }],
        policy: Policy {
            ttl_days: 30,
            bytes_max: 1 << 30,
            admit_rights: Rights::READ,
            ttl_fenced_days: 60,
        },
        ticket: None,
        retry: retry(u64::from(seed)),
        day: DAY,
    }
}

fn opened() -> (Pair, LogId) {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    pair.session.open(log, vec![member()]);
    pair.connect();
    pair.settle();
    (pair, log)
}

#[test]
fn what_is_found_unfit_as_it_goes_out_is_told_of_at_once() {
    let (mut pair, log) = opened();
    let mut unfit = item(log, &[1]);
    let twice = new_log(6).grants.remove(0);
    unfit.grants = Some(NewGrants {
        cut: false,
        list: vec![twice.clone(), twice],
        version: 0,
    });
    let token = pair.session.append(vec![unfit], retry(1), DAY);
    while pair.session.poll_event().is_some() {}
    assert_eq!(pair.session.poll_output(), None);
    // Nothing else may ever come that would make somebody look.
    assert_eq!(pair.session.next_deadline(), Some(pair.now.steady_ms));
    let told = pair.session.poll_event();
    let Some(SessionEvent::Answered { token: of, result }) = told else {
        panic!("{told:?}")
    };
    assert_eq!(of, token);
    assert_eq!(result.unwrap_err().refusal.code, ErrorCode::BadRequest);
    assert_ne!(pair.session.next_deadline(), Some(pair.now.steady_ms));
}

#[test]
fn a_log_is_made_opened_written_and_read_in_one_go() {
    let mut pair = Pair::new();
    let new = new_log(5);
    let log = new.id();
    let made = pair.session.create(new);
    pair.session.open(log, vec![member()]);
    pair.session
        .follow(log, Lane::All, Cursor::start(&log), Keeps::Days(30));
    let written = pair
        .session
        .append(vec![item(log, b"one")], retry(100), DAY);
    pair.connect();
    pair.settle();
    assert!(pair.answers[&made].is_ok());
    assert!(pair.answers[&written].is_ok());
    assert_eq!(pair.seqs(&log), [1]);
    assert_eq!(pair.relay.seen[..2], ["create", "open"], "in this order");
}

#[test]
fn an_append_whose_answer_was_lost_is_the_same_entry() {
    let (mut pair, log) = opened();
    let token = pair.session.append(vec![item(log, b"one")], retry(1), DAY);
    while let Some(message) = pair.session.poll_output() {
        pair.relay.receive(&message);
    }
    pair.disconnect();
    pair.connect();
    pair.settle();
    let Ok(Answer::Appended(done)) = &pair.answers[&token] else {
        panic!("answered by the first answer");
    };
    assert_eq!(done[0].seq, 1);
    assert_eq!(pair.relay.logs[&log].head, 1);
}

#[test]
fn a_lost_answer_is_not_taken_for_a_refusal() {
    let (mut pair, log) = opened();
    let token = pair.session.append(vec![item(log, b"one")], retry(1), DAY);
    let never_sent = pair.session.append(vec![item(log, b"two")], retry(2), DAY);
    let message = pair.session.poll_output().unwrap();
    pair.relay.receive(&message);
    pair.disconnect();
    // Meanwhile the key is cut.
    pair.relay.logs.get_mut(&log).unwrap().key = sotto_protocol::id::PublicKey::new([0; 32]);
    pair.connect();
    pair.settle();
    let refused = |perhaps_applied| {
        Err(Denied {
            refusal: Refusal::of(ErrorCode::Refused),
            perhaps_applied,
        })
    };
    assert_eq!(pair.answers[&token], refused(true));
    assert_eq!(pair.answers[&never_sent], refused(false));
}

#[test]
fn a_busy_relay_is_asked_again_later() {
    let (mut pair, log) = opened();
    pair.relay.busy = 1;
    let first = pair.session.append(vec![item(log, b"one")], retry(1), DAY);
    let message = pair.session.poll_output().unwrap();
    pair.relay.receive(&message);
    pair.settle();
    let second = pair.session.append(vec![item(log, b"two")], retry(2), DAY);
    pair.settle();
    assert!(pair.answers.is_empty(), "the second waits for the first");
    assert!(
        pair.others
            .iter()
            .any(|event| matches!(event, SessionEvent::Delayed { token, .. } if *token == first))
    );
    pair.wait();
    assert!(pair.answers[&first].is_ok() && pair.answers[&second].is_ok());
    let texts: Vec<_> = pair.relay.logs[&log]
        .entries
        .iter()
        .map(super::text)
        .collect();
    assert_eq!(texts, ["one", "two"]);
}

/// What is read in the one is judged by how far the other goes, on every connection.
#[test]
fn a_log_is_followed_only_once_the_other_is_open_or_refused() {
    for (room, queue) in [(1, 2), (2, 1)] {
        let mut pair = Pair::new();
        let [room, queue] = [room, queue].map(|seed| pair.relay.log(seed, &member()));
        let stranger = StaticSecret::from([9; 32]);
        for (keys, is_refused) in [(member(), false), (stranger, true)] {
            pair.session.close(&queue);
            pair.session.open(room, vec![member()]);
            pair.session.open(queue, vec![keys]);
            let start = Cursor::start(&room);
            pair.session
                .follow(room, Lane::All, start, Keeps::Removable);
            pair.session.follow_behind(room, vec![queue]);
            let log = pair.relay.logs.get_mut(&room).unwrap();
            log.append(b"theirs", false, DAY);
            pair.entries.clear();
            pair.others.clear();
            pair.disconnect();
            pair.connect();
            pair.relay.busy = 1;
            pair.settle();
            pair.collect(true);
            while pair.entries.is_empty() {
                pair.wait();
            }
            let is_known = |event: &SessionEvent| match event {
                SessionEvent::Opened { log, .. } => *log == queue && !is_refused,
                SessionEvent::OpenRefused { log, .. } => *log == queue && is_refused,
                _ => false,
            };
            assert!(pair.others.iter().any(is_known));
            pair.disconnect();
        }
    }
}

#[test]
fn a_log_that_is_open_is_opened_again_to_hear_how_far_it_goes() {
    let (mut pair, log) = opened();
    let heads = |pair: &Pair| {
        let heads = pair.others.iter().filter_map(|event| match event {
            SessionEvent::Opened { opened, .. } => Some(opened.head),
            _ => None,
        });
        heads.collect::<Vec<_>>()
    };
    pair.relay
        .logs
        .get_mut(&log)
        .unwrap()
        .append(b"theirs", false, DAY);
    pair.session.open_again(&log);
    pair.settle();
    assert_eq!(heads(&pair), [0, 1]);
}

#[test]
fn a_busy_relay_opens_and_follows_later() {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    pair.relay
        .logs
        .get_mut(&log)
        .unwrap()
        .append(b"x", false, DAY);
    pair.relay.busy = 1;
    pair.session.open(log, vec![member()]);
    pair.session
        .follow(log, Lane::All, Cursor::start(&log), Keeps::Days(30));
    pair.connect();
    pair.settle();
    pair.relay.busy = 1;
    pair.wait();
    assert_eq!(pair.seqs(&log), [] as [u64; 0]);
    pair.wait();
    assert_eq!(pair.seqs(&log), [1]);
}

#[test]
fn little_work_is_done_on_the_spot_and_much_is_handed_out() {
    let (mut pair, log) = opened();
    pair.relay.work = Some(6);
    let token = pair.session.append(vec![item(log, b"one")], retry(1), DAY);
    pair.settle();
    assert!(pair.answers[&token].is_ok());

    pair.relay.work = Some(17);
    let token = pair.session.append(vec![item(log, b"two")], retry(2), DAY);
    pair.settle();
    let order = |pair: &mut Pair| {
        let found = pair
            .others
            .iter()
            .position(|event| matches!(event, SessionEvent::WorkNeeded(_)));
        let SessionEvent::WorkNeeded(order) = pair.others.remove(found.unwrap()) else {
            panic!("found as such");
        };
        order
    };
    let first = order(&mut pair);
    assert_eq!(first.bits(), 17);
    // Work for a connection that is gone is worth nothing.
    pair.disconnect();
    pair.connect();
    pair.settle();
    pair.session.worked(&first.run());
    pair.settle();
    assert!(!pair.answers.contains_key(&token));
    let second = order(&mut pair);
    pair.session.worked(&second.run());
    pair.settle();
    assert!(pair.answers[&token].is_ok());

    pair.relay.work = Some(limits::WORK_BITS_MAX + 1);
    let token = pair
        .session
        .append(vec![item(log, b"three")], retry(3), DAY);
    pair.settle();
    let denied = pair.answers[&token].as_ref().unwrap_err();
    assert_eq!(denied.refusal.code, ErrorCode::WorkNeeded);
}

#[test]
fn a_refused_log_refuses_its_asks_until_it_is_opened_with_another_key() {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    pair.session.open(log, vec![StaticSecret::from([99; 32])]);
    let early = pair.session.append(vec![item(log, b"one")], retry(1), DAY);
    pair.connect();
    pair.settle();
    assert!(pair.answers[&early].is_err());
    let late = pair.session.append(vec![item(log, b"one")], retry(2), DAY);
    pair.settle();
    assert!(pair.answers[&late].is_err());
    pair.session.open(log, vec![member()]);
    let good = pair.session.append(vec![item(log, b"one")], retry(3), DAY);
    pair.settle();
    assert!(pair.answers[&good].is_ok());
}

#[test]
fn what_a_relay_would_call_nonsense_is_refused_here_and_not_sent() {
    let (mut pair, log) = opened();
    let seen = pair.relay.seen.len();
    let items = |count| vec![item(log, b"x"); count];
    let mut unpadded = items(1);
    unpadded[0].entries[0].sealed = b"unpadded".to_vec().into();
    let mut too_long = items(1);
    too_long[0].entries = vec![too_long[0].entries[0].clone(); limits::ITEM_ENTRIES_MAX + 1];
    for (number, (items, code)) in [
        (unpadded, ErrorCode::BadRequest),
        (too_long, ErrorCode::TooLarge),
        (items(limits::ITEMS_MAX + 1), ErrorCode::TooLarge),
        (items(0), ErrorCode::TooLarge),
    ]
    .into_iter()
    .enumerate()
    {
        let token = pair.session.append(items, retry(number as u64), DAY);
        pair.settle();
        let denied = pair.answers[&token].as_ref().unwrap_err();
        assert_eq!(denied.refusal.code, code, "case {number}");
        assert!(!denied.perhaps_applied);
    }
    assert_eq!(pair.relay.seen.len(), seen);
    // The largest that may be sent is.
    let mut run = item(log, &[0; limits::SEALED_BYTES_MAX]);
    run.entries = vec![run.entries[0].clone(); limits::RUN_BYTES_MAX / limits::SEALED_BYTES_MAX];
    let full = pair.session.append(vec![run.clone(), run], retry(9), DAY);
    pair.settle();
    assert!(pair.answers[&full].is_ok());
}

#[test]
fn more_asks_than_fit_are_answered_busy_at_once() {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    let tokens: Vec<_> = (0..=ASKS_MAX as u64)
        .map(|number| {
            pair.session
                .append(vec![item(log, b"x")], retry(number), DAY)
        })
        .collect();
    pair.collect(true);
    assert_eq!(pair.answers.len(), 1);
    let denied = pair.answers[tokens.last().unwrap()].as_ref().unwrap_err();
    assert_eq!(denied.refusal.code, ErrorCode::Busy);
    // All the others are answered once the log is open, 64 at a time.
    pair.session.open(log, vec![member()]);
    pair.connect();
    pair.settle();
    assert_eq!(pair.answers.len(), ASKS_MAX + 1);
    assert_eq!(pair.relay.logs[&log].head, ASKS_MAX as u64);
}

#[test]
fn a_page_is_read_and_a_page_out_of_order_is_doubted() {
    let (mut pair, log) = opened();
    for number in 1..=5_u8 {
        let state = pair.relay.logs.get_mut(&log).unwrap();
        state.append(&[number], false, DAY);
    }
    let read = Ask::Read(Read {
        log,
        lane: Lane::All,
        after: 1,
        entries_max: 3,
    });
    let token = pair.session.ask(read.clone());
    pair.settle();
    let Ok(Answer::Page(page)) = &pair.answers[&token] else {
        panic!("a page");
    };
    assert_eq!(page.entries.len(), 3);
    assert!(page.more);
    assert_eq!(pair.doubts, []);
    pair.relay.logs.get_mut(&log).unwrap().entries.swap(2, 3);
    pair.session.ask(read);
    pair.settle();
    assert_eq!(pair.doubts, [super::Doubt::Repeated { seq: 3 }]);
}

#[test]
fn a_cancelled_ask_gets_no_answer() {
    let (mut pair, log) = opened();
    let sent = pair.session.append(vec![item(log, b"one")], retry(1), DAY);
    let message = pair.session.poll_output().unwrap();
    let unsent = pair.session.append(vec![item(log, b"two")], retry(2), DAY);
    assert!(!pair.session.cancel(sent), "it may stand");
    assert!(pair.session.cancel(unsent), "it was never sent");
    pair.relay.receive(&message);
    pair.settle();
    assert!(pair.answers.is_empty());
    assert_eq!(pair.relay.logs[&log].head, 1);
}

#[test]
fn a_cut_grant_ends_the_pushes_and_a_restart_is_told() {
    let mut pair = Pair::new();
    let log = pair.relay.log(1, &member());
    pair.session.open(log, vec![member()]);
    pair.session
        .follow(log, Lane::All, Cursor::start(&log), Keeps::Days(30));
    pair.connect();
    pair.settle();
    pair.relay.end(&log);
    pair.relay.notice(Notice::Restarting(1500));
    pair.settle();
    let told = |wanted: fn(&SessionEvent) -> bool| pair.others.iter().filter(|e| wanted(e)).count();
    assert_eq!(told(|event| matches!(event, SessionEvent::Ended { .. })), 1);
    assert_eq!(
        told(|event| matches!(event, SessionEvent::Restarting { ms: 1500 })),
        1
    );
}

#[test]
fn a_closed_log_is_left_and_its_asks_end() {
    let (mut pair, log) = opened();
    pair.session
        .follow(log, Lane::All, Cursor::start(&log), Keeps::Days(30));
    pair.settle();
    let token = pair.session.append(vec![item(log, b"one")], retry(1), DAY);
    pair.session.close(&log);
    pair.settle();
    assert!(pair.answers[&token].is_err());
    assert_eq!(pair.relay.seen.last(), Some(&"unfollow"));
    pair.disconnect();
    let opens = |pair: &Pair| {
        pair.relay
            .seen
            .iter()
            .filter(|verb| **verb == "open")
            .count()
    };
    let before = opens(&pair);
    pair.connect();
    pair.settle();
    assert_eq!(opens(&pair), before, "it is not opened again");
}

#[test]
fn a_connection_that_has_held_its_logs_says_so() {
    let mut pair = Pair::new();
    pair.connect();
    for root in 1..=u8::try_from(limits::OPEN_LOGS_MAX).unwrap() + 1 {
        let log = pair.relay.log(root, &member());
        pair.session.open(log, vec![member()]);
        pair.settle();
        pair.session.close(&log);
    }
    let worn = |pair: &Pair| {
        let events = pair.others.iter();
        events
            .filter(|event| matches!(event, SessionEvent::WornOut))
            .count()
    };
    assert_eq!(worn(&pair), 1);
    let log = pair.relay.log(100, &member());
    pair.session.open(log, vec![member()]);
    pair.disconnect();
    pair.connect();
    pair.settle();
    assert!(
        pair.others.iter().any(
            |event| matches!(event, SessionEvent::Opened { log: opened, .. } if *opened == log)
        )
    );
}

#[test]
fn a_relay_that_says_nothing_is_given_up() {
    let mut pair = Pair::new();
    pair.connect();
    let deadline = pair.now.steady_ms + HANDSHAKE_TIMEOUT_MS;
    assert_eq!(pair.session.next_deadline(), Some(deadline));
    let late = pair.now.plus_ms(HANDSHAKE_TIMEOUT_MS);
    assert_eq!(pair.session.tick(late), Err(SessionError::Silent));

    let (mut pair, log) = opened();
    pair.session.append(vec![item(log, b"one")], retry(1), DAY);
    assert!(pair.session.poll_output().is_some());
    pair.now = pair.now.plus_ms(ANSWER_TIMEOUT_MS - 1);
    assert_eq!(pair.session.tick(pair.now), Ok(()));
    pair.now = pair.now.plus_ms(1);
    assert_eq!(pair.session.tick(pair.now), Err(SessionError::Silent));
}

#[test]
fn answers_that_nobody_asked_for_end_the_connection() {
    for said in [
        FromRelay::Done(Done {
            id: 77,
            answer: Answer::Ok,
        }),
        FromRelay::Refused(Refused {
            id: 77,
            refusal: Refusal::of(ErrorCode::Busy),
        }),
    ] {
        let (mut pair, _) = opened();
        pair.relay.item(&said);
        let message = pair.relay.poll().unwrap();
        assert_eq!(
            pair.session.received(&message, pair.now),
            Err(SessionError::NotAsked)
        );
    }
    // An answer of another verb.
    let (mut pair, log) = opened();
    pair.session.ask(Ask::Describe(Describe { log }));
    while let Some(message) = pair.session.poll_output() {
        pair.relay.receive(&message);
    }
    let message = pair.relay.poll().unwrap();
    assert_eq!(
        pair.session.received(&message, pair.now),
        Err(SessionError::NotAsked)
    );
    pair.relay.say(vec![0xff]);
    let message = pair.relay.poll().unwrap();
    assert!(pair.session.received(&message, pair.now).is_err());
}

#[test]
fn debug_shows_no_id_and_no_key() {
    let (mut pair, log) = opened();
    pair.session
        .append(vec![item(log, b"canary")], retry(1), DAY);
    let ask = Ask::Append {
        items: vec![item(log, b"canary")],
        retry: retry(1),
        day: DAY,
    };
    assert_eq!(format!("{ask:?}"), "Ask(append)");
    assert_eq!(format!("{:?}", new_log(1)), "NewLog(…)");
    assert_eq!(
        format!("{:?}", pair.session),
        "Session { ready: true, logs: 1, asks: 1, .. }"
    );
}
