//! Every verb once through session and relay, and what the relay refuses.

use sotto_client::log::{Ask, Cursor, Keeps, NewLog, SessionEvent};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{
    Answer, Claim, Delete, Describe, Grants, Hold, Item, Lane, NewEntry, NewGrants, Read, Release,
    Renew, Take, Trim,
};
use sotto_protocol::id::LogId;
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use sotto_server::config::{CreateRule, Settings};
use sotto_tests::peer::{TestLog, entry, retry, secret};
use sotto_tests::relay::{DAY, TestRelay};

use crate::client::{Client, item};

fn new_log(log: &TestLog) -> NewLog {
    NewLog {
        root: log.root.clone(),
        grants: vec![TestLog::grant(&log.key, Rights::ALL)],
        policy: TestLog::policy(),
        ticket: None,
        retry: retry(),
        day: DAY,
    }
}

async fn with_log(client: &mut Client<'_>) -> (TestLog, LogId) {
    let log = TestLog::default();
    let id = log.id();
    client.session.open(id, vec![log.key.clone()]);
    let made = client.session.create(new_log(&log));
    client.connect().await;
    assert!(matches!(client.answer(made).await, Ok(Answer::Created(_))));
    (log, id)
}

#[tokio::test(start_paused = true)]
async fn every_verb_is_answered_as_asked() {
    let relay = TestRelay::default().start().await;
    let mut client = Client::new(&relay, 1);
    let (log, id) = with_log(&mut client).await;
    let owner = secret();
    let ticket = NewEntry {
        held: Some(b"held".to_vec().into()),
        owner: Some(public_key(&owner)),
        ..entry("ticket", SizeClass::K1)
    };
    let entries = vec![
        entry("one", SizeClass::K1),
        ticket.clone(),
        ticket,
        entry("last", SizeClass::K64),
    ];
    let token = client.session.append(vec![item(id, entries)], retry(), DAY);
    assert!(matches!(client.answer(token).await, Ok(Answer::Appended(done)) if done[0].seq == 4));

    let claim = Ask::Claim(Claim {
        ms: 30_000,
        day: DAY,
        log: id,
        seq: 2,
        retry: retry(),
    });
    let token = client.session.ask(claim);
    let Ok(Answer::Claimed(claimed)) = client.answer(token).await else {
        panic!("claimed");
    };
    assert_eq!(claimed.held.expect("held").as_slice(), b"held");
    let lease = claimed.lease;
    let position = Ask::Position {
        log: id,
        seq: 3,
        owner: owner.clone(),
    };
    let withdraw = Ask::Withdraw {
        log: id,
        seq: 3,
        owner,
        retry: retry(),
        day: DAY,
    };
    let grants = vec![TestLog::grant(&log.key, Rights::ALL)];
    let new = NewGrants {
        cut: false,
        list: grants,
        version: 1,
    };
    let asks = [
        Ask::Renew(Renew {
            ms: 30_000,
            log: id,
            seq: 2,
            lease,
        }),
        position,
        Ask::Release(Release {
            log: id,
            seq: 2,
            lease,
        }),
        withdraw,
        Ask::Read(Read {
            log: id,
            lane: Lane::All,
            after: 0,
            entries_max: 10,
        }),
        Ask::Describe(Describe { log: id }),
        Ask::Hold(Hold { ms: 0, log: id }),
        Ask::Take(Take {
            day: DAY,
            log: id,
            retry: retry(),
        }),
        Ask::Trim(Trim {
            to: 2,
            day: DAY,
            log: id,
            retry: retry(),
        }),
        Ask::Describe(Describe { log: id }),
    ];
    for ask in asks {
        let name = format!("{ask:?}");
        let token = client.session.ask(ask);
        let answer = client.answer(token).await;
        assert!(answer.is_ok(), "{name}: {answer:?}");
        if let Ok(Answer::Described(described)) = answer {
            let version = described.version;
            let grants = Ask::Grants(Grants {
                day: DAY,
                log: id,
                new: NewGrants {
                    version,
                    ..new.clone()
                },
                retry: retry(),
            });
            let token = client.session.ask(grants);
            assert!(matches!(client.answer(token).await, Ok(Answer::Granted(_))));
        }
    }
    let delete = Ask::Delete(Delete {
        day: DAY,
        log: id,
        retry: retry(),
    });
    let token = client.session.ask(delete);
    assert!(matches!(client.answer(token).await, Ok(Answer::Ok)));
    assert_eq!(client.doubts, []);
    drop(client);
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_moved_fence_a_wrong_key_and_a_cut_grant_are_told() {
    let relay = TestRelay::default().start().await;
    let mut client = Client::new(&relay, 1);
    let (log, id) = with_log(&mut client).await;
    let fenced = |fence, grants| Item {
        fence: Some(fence),
        grants,
        ..item(id, vec![entry("commit", SizeClass::K1)])
    };
    let first = client.session.append(vec![fenced(0, None)], retry(), DAY);
    assert!(client.answer(first).await.is_ok());
    let late = client.session.append(vec![fenced(0, None)], retry(), DAY);
    let denied = client.answer(late).await.expect_err("the fence moved on");
    assert_eq!(denied.refusal.code, ErrorCode::FenceConflict);
    assert_eq!(denied.refusal.fence, Some(1));
    assert!(!denied.perhaps_applied);

    // Another, who may read, follows; then is cut.
    let reader_key = secret();
    let mut reader = Client::new(&relay, 2);
    reader.session.open(id, vec![secret()]);
    reader.connect().await;
    reader.settle().await;
    let refused = |event: &SessionEvent| matches!(event, SessionEvent::OpenRefused { .. });
    assert!(reader.others.iter().any(refused));
    let list = |reader: bool| {
        let mut list = vec![TestLog::grant(&log.key, Rights::ALL)];
        if reader {
            list.push(TestLog::grant(&reader_key, Rights::READ));
        }
        list
    };
    let grants = |list, version| {
        Some(NewGrants {
            cut: true,
            list,
            version,
        })
    };
    let described = client.session.ask(Ask::Describe(Describe { log: id }));
    let Ok(Answer::Described(described)) = client.answer(described).await else {
        panic!("described");
    };
    let version = described.version;
    let admit = fenced(1, grants(list(true), version));
    let token = client.session.append(vec![admit], retry(), DAY);
    assert!(client.answer(token).await.is_ok());
    reader.session.open(id, vec![reader_key.clone()]);
    reader
        .session
        .follow(id, Lane::All, Cursor::start(&id), Keeps::Days(30));
    reader.settle().await;
    assert_eq!(reader.entries.len(), 2);

    let cut = fenced(2, grants(list(false), version + 1));
    let token = client.session.append(vec![cut], retry(), DAY);
    assert!(client.answer(token).await.is_ok());
    let after = item(id, vec![entry("after", SizeClass::K1)]);
    let token = client.session.append(vec![after], retry(), DAY);
    assert!(client.answer(token).await.is_ok());
    reader.settle().await;
    assert_eq!(reader.entries.len(), 3, "up to the entry that cut it");
    let ended = |event: &&SessionEvent| matches!(event, SessionEvent::Ended { .. });
    assert_eq!(reader.others.iter().filter(ended).count(), 1);
    // Also over a new connection.
    reader.cut();
    reader.connect().await;
    reader.settle().await;
    assert_eq!(reader.entries.len(), 3);
    assert_eq!((reader.doubts, client.doubts), (vec![], vec![]));
    drop((reader.session, client.session));
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_costs_work_is_paid_for() {
    let mut settings = Settings::new(CreateRule::Work);
    settings.create_work_bits = 8;
    let relay = TestRelay {
        settings,
        ..TestRelay::default()
    }
    .start()
    .await;
    let mut client = Client::new(&relay, 1);
    let (_, id) = with_log(&mut client).await;
    let said = item(id, vec![entry("paid", SizeClass::K1)]);
    let token = client.session.append(vec![said], retry(), DAY);
    assert!(client.answer(token).await.is_ok());
    drop(client);
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stopping_relay_says_when_to_come_back() {
    let relay = TestRelay::default().start().await;
    let mut client = Client::new(&relay, 1);
    let _ = with_log(&mut client).await;
    relay.shutdown.cancel();
    // The farewell, then the end of the line, which the session is told as any other.
    let told = tokio::time::timeout(std::time::Duration::from_secs(5), client.until_ended()).await;
    assert!(told.is_ok(), "the relay closed");
    let restarting = |event: &SessionEvent| matches!(event, SessionEvent::Restarting { .. });
    assert!(client.others.iter().any(restarting));
    drop(client);
    relay.stop().await;
}
