//! Follows: credit, turns, slow readers, and logs that give no more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{
    Answer, Delete, Ended, Follow, Grants, Lane, NewGrants, Notice, Unfollow, Verb,
};
use sotto_protocol::limits::{CREDIT_MAX, ENTRY_FRAME_BYTES_MAX};
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use sotto_server::connection::limits::{PUSHES_PER_TURN, STALLED_BYTES_MAX};
use sotto_server::limits::PUSH_BYTES_PER_TURN;
use sotto_tests::peer::{Heard, Peer, TestLog, entry, retry, secret};
use sotto_tests::relay::TestRelay;

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn no_credit_for_an_hour_stops_the_pushes_and_loses_nothing() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await;
    for text in numbers(0..10) {
        peer.say(&log.id(), &text).await.unwrap();
    }
    peer.follow(&log.id(), 3).await.unwrap();
    assert_eq!(peer.pushed(3).await, numbers(0..3));
    // An hour without credit: nothing comes, and the line stays.
    let silence = tokio::time::timeout(Duration::from_secs(3_600), peer.hear()).await;
    assert!(silence.is_err());
    peer.credit(&log.id(), 4).await;
    assert_eq!(peer.pushed(4).await, numbers(3..7));
    peer.credit(&log.id(), 100).await;
    assert_eq!(peer.pushed(3).await, numbers(7..10));
    peer.say(&log.id(), "live").await.unwrap();
    assert_eq!(peer.pushed(1).await, ["live"]);
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_follower_gets_every_entry_once_in_order() {
    let relay = TestRelay::default().start().await;
    let mut author = relay.peer().await;
    let log = author.new_log().await;
    let mut followers = Vec::new();
    for _ in 0..20 {
        let mut follower = relay.peer().await;
        follower.open_log(&log.id(), &log.key).await.unwrap();
        follower.follow(&log.id(), CREDIT_MAX).await.unwrap();
        followers.push(follower);
    }
    for text in numbers(0..100) {
        author.say(&log.id(), &text).await.unwrap();
    }
    for follower in &mut followers {
        assert_eq!(follower.pushed(100).await, numbers(0..100));
    }
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_of_a_busy_log_is_as_long_as_the_limit_and_then_the_others_have_theirs() {
    let relay = TestRelay::default().start().await;
    let mut author = relay.peer().await;
    let (busy, quiet) = (author.new_log().await, author.new_log().await);
    let mut reader = relay.peer().await;
    for log in [&busy, &quiet] {
        reader.open_log(&log.id(), &log.key).await.unwrap();
        reader.follow(&log.id(), CREDIT_MAX).await.unwrap();
    }
    // One append over both logs, so that both have something in the same moment; whose turn
    // comes first changes from one to the next.
    let one = PUSHES_PER_TURN + 8;
    let mut before_quiet = BTreeSet::new();
    for _ in 0..4 {
        let mut verb = author.append(&busy.id(), vec![entry("busy", SizeClass::K1); one]);
        if let Verb::Append(append) = &mut verb {
            let other = author.append(&quiet.id(), vec![entry("quiet", SizeClass::K1)]);
            let Verb::Append(other) = other else {
                panic!("not an append")
            };
            append.items.extend(other.items);
        }
        author.call(verb).await.unwrap();
        let texts = reader.pushed(one + 1).await;
        before_quiet.insert(texts.iter().position(|text| text == "quiet").unwrap());
    }
    assert!(before_quiet.contains(&PUSHES_PER_TURN), "{before_quiet:?}");
    assert!(
        before_quiet.iter().all(|count| *count <= PUSHES_PER_TURN),
        "{before_quiet:?}"
    );
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pushed_after_unfollow_and_a_second_follow_replaces_the_first() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await.id();
    for text in numbers(0..4) {
        peer.say(&log, &text).await.unwrap();
    }
    peer.follow(&log, 2).await.unwrap();
    assert_eq!(peer.pushed(2).await, numbers(0..2));
    let answer = peer.call(Verb::Unfollow(Unfollow { log })).await;
    assert_eq!(answer, Ok(Answer::Ok));
    peer.credit(&log, 5).await;
    assert!(matches!(
        peer.hear().await,
        Heard::Refused(_, refusal) if refusal.code == ErrorCode::Refused
    ));
    let again = peer.call(Verb::Unfollow(Unfollow { log })).await;
    assert_eq!(again.unwrap_err().code, ErrorCode::Refused);
    peer.follow(&log, 1).await.unwrap();
    assert_eq!(peer.pushed(1).await, numbers(0..1));
    let (lane, after, credit) = (Lane::All, 2, 1);
    let follow = Follow {
        log,
        lane,
        after,
        credit,
    };
    peer.call(Verb::Follow(follow)).await.unwrap();
    assert_eq!(peer.pushed(1).await, numbers(2..3));
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn more_credit_than_the_limit_is_refused_and_the_follow_goes_on() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await.id();
    peer.follow(&log, CREDIT_MAX).await.unwrap();
    peer.credit(&log, 1).await;
    assert!(matches!(
        peer.hear().await,
        Heard::Refused(_, refusal) if refusal.code == ErrorCode::BadRequest
    ));
    peer.say(&log, "still").await.unwrap();
    assert_eq!(peer.pushed(1).await, ["still"]);
    peer.credit(&log, 1).await;
    peer.say(&log, "there").await.unwrap();
    assert_eq!(peer.pushed(1).await, ["there"]);
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_follow_ends_with_its_grant_and_with_its_log() {
    let relay = TestRelay::default().start().await;
    let mut owner = relay.peer().await;
    let (log, reader_key) = (TestLog::default(), secret());
    let all = TestLog::grant(&log.key, Rights::ALL);
    let reading = TestLog::grant(&reader_key, Rights::READ);
    let create = owner.create(&log, vec![all.clone(), reading]);
    owner.call(Verb::Create(create)).await.unwrap();
    let Ok(Answer::Opened(opened)) = owner.open_log(&log.id(), &log.key).await else {
        panic!("not opened");
    };
    owner.follow(&log.id(), 10).await.unwrap();
    let mut reader = relay.peer().await;
    reader.open_log(&log.id(), &reader_key).await.unwrap();
    reader.follow(&log.id(), 10).await.unwrap();
    owner.say(&log.id(), "before").await.unwrap();
    assert_eq!(reader.pushed(1).await, ["before"]);

    let cut = Grants {
        day: owner.day(),
        log: log.id(),
        new: NewGrants {
            cut: true,
            list: vec![all],
            version: opened.version,
        },
        retry: retry(),
    };
    owner.call(Verb::Grants(cut)).await.unwrap();
    let ended = Heard::Notice(Notice::Ended(Ended { tag: opened.tag }));
    assert_eq!(reader.hear().await, ended);
    owner.say(&log.id(), "after").await.unwrap();
    assert_eq!(owner.pushed(2).await, ["before", "after"]);
    let silence = tokio::time::timeout(Duration::from_secs(60), reader.hear()).await;
    assert!(silence.is_err(), "{silence:?}");

    let delete = Delete {
        day: owner.day(),
        log: log.id(),
        retry: retry(),
    };
    owner.call(Verb::Delete(delete)).await.unwrap();
    assert_eq!(owner.hear().await, ended);
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_takes_nothing_is_disconnected_and_nobody_waits_for_it() {
    let relay = TestRelay::default().start().await;
    let mut author = relay.peer().await;
    let log = author.new_log().await;
    let mut stalled = relay.peer().await;
    stalled.open_log(&log.id(), &log.key).await.unwrap();
    stalled.follow(&log.id(), CREDIT_MAX).await.unwrap();
    let mut healthy = relay.peer().await;
    healthy.open_log(&log.id(), &log.key).await.unwrap();
    healthy.follow(&log.id(), CREDIT_MAX).await.unwrap();
    for text in numbers(0..300) {
        author.say(&log.id(), &text).await.unwrap();
    }
    assert_eq!(healthy.pushed(300).await, numbers(0..300));
    relay.until("sotto_connections_open_count", 3.0).await;
    // What was written to it is what its line holds and one buffer, not 300 entries.
    let sent = relay.metrics.value("sotto_pushes_total").unwrap();
    assert!(sent < 400.0, "{sent} pushes");
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(
        relay.metrics.value("sotto_connections_stalled_total"),
        Some(1.0)
    );
    author.say(&log.id(), "on").await.unwrap();
    assert_eq!(healthy.pushed(1).await, ["on"]);
    relay.stop().await;
}

/// The line of the reader that stalls: a small one, so that what the relay keeps for it shows.
const STALLED_LINE_BYTES: usize = 4 * 1024;

#[tokio::test(start_paused = true)]
async fn one_reader_stalls_while_999_read_on_and_costs_no_more_than_the_limit() {
    const READERS: usize = 999;
    const ENTRIES: usize = 100;
    let relay = TestRelay::default().start().await;
    let mut author = relay.peer().await;
    let log = author.new_log().await;
    let small = relay.connector.clone().with_pipe_bytes(STALLED_LINE_BYTES);
    let line = small.connect().await.unwrap();
    let mut stalled = Peer::connect(line, &relay.identity).await;
    stalled.open_log(&log.id(), &log.key).await.unwrap();
    stalled.follow(&log.id(), CREDIT_MAX).await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = relay.peer().await;
        reader.open_log(&log.id(), &log.key).await.unwrap();
        reader.follow(&log.id(), CREDIT_MAX).await.unwrap();
        readers.push(reader);
    }
    for text in numbers(0..ENTRIES) {
        author.say(&log.id(), &text).await.unwrap();
    }
    let began = tokio::time::Instant::now();
    let all = readers.iter_mut().map(|reader| reader.pushed(ENTRIES));
    for texts in futures_util::future::join_all(all).await {
        assert_eq!(texts, numbers(0..ENTRIES));
    }
    assert!(began.elapsed() < Duration::from_secs(1), "others waited");
    assert_eq!(
        relay.metrics.value("sotto_connections_open_count"),
        Some(1_001.0)
    );
    // What went out in all but to those who read, less what lies in its line, is what the relay
    // keeps in buffers; the pushes that it has pulled and not sent yet are a turn at most.
    let sent = relay.metrics.value("sotto_pushes_total").unwrap() as usize;
    let to_it = sent - READERS * ENTRIES;
    assert!(to_it > 0 && to_it < ENTRIES, "{to_it} pushes");
    let frame = SizeClass::K1.bytes() + ENTRY_FRAME_BYTES_MAX;
    let kept = (to_it * frame).saturating_sub(STALLED_LINE_BYTES) + PUSH_BYTES_PER_TURN;
    assert!(kept <= STALLED_BYTES_MAX, "{kept} bytes are kept for it");
    // It has missed nothing that it could not have had.
    assert_eq!(stalled.pushed(ENTRIES).await, numbers(0..ENTRIES));
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_its_answers_is_disconnected() {
    let relay = TestRelay::default().start().await;
    let mut author = relay.peer().await;
    let log = author.new_log().await;
    for _ in 0..16 {
        let verb = author.append(&log.id(), vec![entry("large", SizeClass::K64)]);
        author.call(verb).await.unwrap();
    }
    let mut greedy = relay.peer().await;
    greedy.open_log(&log.id(), &log.key).await.unwrap();
    for _ in 0..64 {
        greedy
            .ask(Verb::Read(sotto_protocol::frame::Read {
                log: log.id(),
                lane: Lane::All,
                after: 0,
                entries_max: 1_024,
            }))
            .await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        relay.metrics.value("sotto_connections_stalled_total"),
        Some(1.0)
    );
    author.read(&log.id(), 0).await.unwrap();
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_and_one_that_does_not_answer_is_closed() {
    let relay = TestRelay::default().start().await;
    let mut listening = relay.peer().await;
    let silent = relay.peer().await;
    let hour = tokio::time::sleep(Duration::from_secs(3_600));
    tokio::select! {
        heard = listening.hear() => panic!("{heard:?}"),
        () = hour => {}
    }
    assert_eq!(
        relay.metrics.value("sotto_connections_stalled_total"),
        Some(1.0)
    );
    listening.new_log().await;
    drop(silent);
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn answers_come_as_they_are_done_and_changes_land_in_the_order_they_were_sent() {
    let store = sotto_tests::store::WatchedStore::new();
    let relay = TestRelay {
        store: Arc::clone(&store) as _,
        ..TestRelay::default()
    }
    .start()
    .await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await.id();
    store.hold(true);
    let mut asked = Vec::new();
    for text in numbers(0..40) {
        let verb = peer.append(&log, vec![entry(&text, SizeClass::K1)]);
        asked.push(peer.ask(verb).await);
    }
    // A read is not held up by writes that wait for the disk.
    let Ok(Answer::Page(page)) = peer.read(&log, 0).await else {
        panic!("no page");
    };
    assert!(page.entries.is_empty());
    store.hold(false);
    let mut seqs = std::collections::BTreeMap::new();
    for _ in 0..40 {
        match peer.hear().await {
            Heard::Done(id, Answer::Appended(items)) => seqs.insert(id, items[0].seq),
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(seqs.keys().copied().collect::<Vec<_>>(), asked);
    assert_eq!(
        seqs.into_values().collect::<Vec<_>>(),
        (1..=40).collect::<Vec<_>>()
    );
    relay.stop().await;
}
