//! A lost answer: the retry is the same answer, for every verb that changes something.

use sotto_protocol::frame::{Claim, Delete, Grants, NewGrants, Take, Trim};

use super::verbs::withdraw;
use super::*;

#[expect(clippy::too_many_lines, reason = "a list of changes")]
/// Every verb with a retry id, in an order in which each works.
fn changes(log: LogId, day: u32) -> Vec<Change> {
    let retry = |byte| RetryId::new([byte; 16]);
    let owned = NewEntry {
        owner: Some(key(7)),
        held: Some(vec![1; 10].into()),
        ..entry(1)
    };
    let by = || caller(&[2]);
    vec![
        Change::Create(Create {
            day,
            root: key(1),
            work: None,
            proof: Mac::new([0; 32]),
            retry: retry(1),
            grants: vec![grant(2, Rights::ALL)],
            policy: policy(),
            ticket: None,
        }),
        Change::Append {
            append: Append {
                day,
                work: None,
                items: vec![
                    Item {
                        entries: vec![owned, entry(2), entry(3), entry(4)],
                        ..item(log, 0)
                    },
                    fenced(log, 5, 0),
                ],
                retry: retry(2),
            },
            callers: vec![by(), by()],
            work_bits: 0,
        },
        Change::Claim(
            Claim {
                ms: 1_000,
                day,
                log,
                seq: 1,
                retry: retry(3),
            },
            by(),
        ),
        withdraw(log, 1, 7, day, retry(4)),
        Change::Take(
            Take {
                day,
                log,
                retry: retry(5),
            },
            by(),
        ),
        Change::Trim(
            Trim {
                to: 3,
                day,
                log,
                retry: retry(6),
            },
            by(),
        ),
        Change::Grants(
            Grants {
                day,
                log,
                new: NewGrants {
                    cut: false,
                    list: vec![grant(2, Rights::ALL), grant(3, Rights::READ)],
                    version: 1,
                },
                retry: retry(7),
            },
            by(),
        ),
        Change::Delete(
            Delete {
                day,
                log,
                retry: retry(8),
            },
            by(),
        ),
    ]
}

#[tokio::test]
async fn a_repeat_of_every_verb_gets_the_first_answer_and_changes_nothing() {
    let mut bench = Bench::new().await;
    let log = LogId::of_root(&key(1));
    for change in changes(log, DAY) {
        // Twice in one group, once in the next, once after a restart, once on the next day.
        let first = bench.logs.change(change.clone());
        let second = bench.logs.change(change.clone());
        let answer = first.await.unwrap();
        assert_eq!(second.await.unwrap(), answer);
        assert_eq!(bench.logs.change(change.clone()).await.unwrap(), answer);
        let before = bench.logs.describe(&log, &keys(&[2])).await.ok();
        bench = bench.restart().await;
        assert_eq!(bench.logs.change(change.clone()).await.unwrap(), answer);
        assert_eq!(bench.logs.describe(&log, &keys(&[2])).await.ok(), before);
    }
}

#[tokio::test]
async fn a_repeat_is_answered_on_the_next_day_and_refused_on_the_one_after() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let change = bench.append_change(vec![item(log, 1)], &[2]);
    let answer = bench.logs.change(change.clone()).await.unwrap();
    for day in 1..=2 {
        for _ in 0..2 {
            bench.clock.advance(crate::clock::DAY / 2);
            bench.logs.sweep().await.unwrap();
        }
        let again = bench.logs.change(change.clone()).await;
        if day == 1 {
            assert_eq!(again.unwrap(), answer);
        } else {
            assert_eq!(again.unwrap_err().code, ErrorCode::RetryTooOld);
        }
    }
    let described = bench.logs.describe(&log, &keys(&[2])).await.unwrap();
    assert_eq!(described.entries, 1);
}

#[tokio::test]
async fn a_day_that_has_not_come_is_refused() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let mut change = bench.append_change(vec![item(log, 1)], &[2]);
    if let Change::Append { append, .. } = &mut change {
        append.day += 1;
    }
    let refused = bench.logs.change(change).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::BadRequest);
}
