//! The rules of each verb.

use sotto_protocol::frame::{
    Claim, Claimed, Delete, Grants, Hold, NewGrants, Proof, Refusal, Take, Trim, Withdraw,
};
use sotto_protocol::limits::{PIN_DAYS, PIN_FENCED_SPACING, PINS_LAST};

use super::*;

pub(super) fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> ErrorCode {
    result.unwrap_err().code
}

pub(super) fn withdraw(log: LogId, seq: u64, owner: u8, day: u32, retry: RetryId) -> Change {
    Change::Withdraw(Withdraw {
        day,
        log,
        seq,
        proof: Proof {
            key: key(owner),
            mac: Mac::new([0; 32]),
        },
        retry,
    })
}

impl Bench {
    pub(super) async fn claim(
        &mut self,
        log: LogId,
        seq: u64,
        by: u8,
    ) -> Result<Claimed<'static>, Refusal> {
        let claim = Claim {
            ms: 60_000,
            day: self.today(),
            log,
            seq,
            retry: self.retry(),
        };
        match self
            .logs
            .change(Change::Claim(claim, caller(&[by])))
            .await?
        {
            Answer::Claimed(claimed) => Ok(claimed),
            other => panic!("not the answer to a claim: {other:?}"),
        }
    }

    pub(super) async fn take(&mut self, log: LogId) -> Result<(u64, bool), Refusal> {
        let take = Take {
            day: self.today(),
            log,
            retry: self.retry(),
        };
        match self.logs.change(Change::Take(take, caller(&[2]))).await? {
            Answer::Taken(taken) => Ok((taken.entry.seq, taken.last_resort)),
            other => panic!("not the answer to a take: {other:?}"),
        }
    }

    pub(super) async fn trim(&mut self, log: LogId, to: u64) -> Result<Answer<'static>, Refusal> {
        let trim = Trim {
            to,
            day: self.today(),
            log,
            retry: self.retry(),
        };
        self.logs.change(Change::Trim(trim, caller(&[2]))).await
    }

    pub(super) async fn seqs(&self, log: LogId, by: u8) -> Vec<u64> {
        let page = self
            .logs
            .page(&log, &keys(&[by]), Lane::All, 0, 1_000)
            .await;
        page.unwrap()
            .entries
            .iter()
            .map(|entry| entry.seq)
            .collect()
    }

    pub(super) async fn set_grants(
        &mut self,
        log: LogId,
        cut: bool,
        list: Vec<Grant>,
        version: u64,
    ) -> Result<Answer<'static>, Refusal> {
        let grants = Grants {
            day: self.today(),
            log,
            new: NewGrants { cut, list, version },
            retry: self.retry(),
        };
        self.logs.change(Change::Grants(grants, caller(&[2]))).await
    }
}

#[tokio::test]
async fn a_batch_over_two_logs_of_which_one_refuses_lands_in_neither() {
    let mut bench = Bench::new().await;
    let one = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let two = bench.create(3, vec![grant(2, Rights::ALL)]).await;
    let refused = bench
        .append(
            vec![item(one, 1), fenced(one, 2, 0), fenced(two, 3, 1)],
            &[2],
        )
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code, refused.item, refused.fence),
        (ErrorCode::FenceConflict, Some(2), Some(0))
    );
    assert!(bench.seqs(one, 2).await.is_empty());
    assert!(bench.seqs(two, 2).await.is_empty());
    let done = bench
        .append(
            vec![fenced(one, 1, 0), fenced(one, 2, 1), fenced(two, 3, 0)],
            &[2],
        )
        .await
        .unwrap();
    assert_eq!(
        done.iter().map(|done| done.fence).collect::<Vec<_>>(),
        [1, 2, 1]
    );
}

#[tokio::test]
async fn of_twenty_racing_commits_one_is_accepted() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let changes: Vec<_> = (0..20)
        .map(|fill| bench.append_change(vec![fenced(log, fill, 0)], &[2]))
        .collect();
    let answers: Vec<_> = changes
        .into_iter()
        .map(|change| bench.logs.change(change))
        .collect();
    let mut accepted = 0;
    for answer in answers {
        match answer.await {
            Ok(_) => accepted += 1,
            Err(refusal) => assert_eq!(
                (refusal.code, refusal.fence),
                (ErrorCode::FenceConflict, Some(1))
            ),
        }
    }
    assert_eq!(accepted, 1);
}

#[tokio::test]
async fn a_fenced_run_is_one_step_and_its_entries_share_the_number() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let run = Item {
        entries: vec![entry(1), entry(2), entry(3)],
        ..fenced(log, 0, 0)
    };
    let done = bench.append(vec![run], &[2]).await.unwrap();
    assert_eq!((done[0].seq, done[0].fence), (3, 1));
    let page = bench
        .logs
        .page(&log, &keys(&[2]), Lane::Fenced, 0, 10)
        .await
        .unwrap();
    assert!(page.entries.iter().all(|entry| entry.fence == Some(0)));
    assert_eq!(page.entries.len(), 3);
}

#[tokio::test]
async fn a_rotation_cuts_older_grants_at_its_own_entry() {
    let mut bench = Bench::new().await;
    let member = Rights::READ | Rights::APPEND | Rights::FENCE;
    let join = Rights::PEEK | Rights::FENCE;
    let manage = grant(2, Rights::ALL);
    let log = bench
        .create(1, vec![manage.clone(), grant(3, member), grant(4, join)])
        .await;
    bench.append(vec![item(log, 1)], &[3]).await.unwrap();
    let rotation = Item {
        grants: Some(NewGrants {
            cut: true,
            list: vec![manage.clone(), grant(5, member)],
            version: 1,
        }),
        admit: Some(key(6)),
        ..fenced(log, 2, 0)
    };
    // The items behind it are still the caller's: rights are those of before the append.
    let done = bench
        .append(vec![rotation, item(log, 3)], &[2])
        .await
        .unwrap();
    assert_eq!((done[0].seq, done[1].seq), (2, 3));
    let opened = bench.logs.open(&log, &keys(&[3])).await.unwrap();
    assert_eq!(
        (opened.head, opened.chain, opened.rights),
        (2, done[0].chain, Rights::READ)
    );
    assert_eq!(bench.seqs(log, 3).await, [1, 2]);
    assert_eq!(bench.seqs(log, 6).await, [1, 2, 3]);
    assert_eq!(
        code(bench.append(vec![item(log, 4)], &[3]).await),
        ErrorCode::Refused
    );
    assert_eq!(
        code(bench.append(vec![fenced(log, 4, 1)], &[4]).await),
        ErrorCode::Refused
    );
    let pushes = bench
        .logs
        .pushes(&log, &keys(&[3]), Lane::All, 1, 10)
        .await
        .unwrap();
    assert_eq!((pushes.frames.len(), pushes.ended), (1, true));
    let pushes = bench
        .logs
        .pushes(&log, &keys(&[9]), Lane::All, 0, 10)
        .await
        .unwrap();
    assert!(pushes.frames.is_empty() && pushes.ended);
    // Dropped without `cut`: nothing is left.
    assert_eq!(
        code(bench.set_grants(log, false, vec![manage.clone()], 1).await),
        ErrorCode::GrantsConflict
    );
    bench.set_grants(log, false, vec![manage], 3).await.unwrap();
    assert!(bench.logs.open(&log, &keys(&[3])).await.is_err());
}

#[tokio::test]
async fn nobody_changes_anothers_grant_by_admitting_its_key() {
    let mut bench = Bench::new().await;
    let log = bench
        .create(
            1,
            vec![
                grant(2, Rights::ALL),
                grant(3, Rights::READ),
                grant(4, Rights::FENCE),
            ],
        )
        .await;
    let admit = |byte, fence| Item {
        admit: Some(key(byte)),
        ..fenced(log, 1, fence)
    };
    assert_eq!(
        code(bench.append(vec![admit(3, 0)], &[4]).await),
        ErrorCode::BadRequest
    );
    bench.append(vec![admit(2, 0)], &[4]).await.unwrap();
    let opened = bench.logs.open(&log, &keys(&[2])).await.unwrap();
    assert_eq!(opened.rights, Rights::ALL);
}

#[tokio::test]
async fn peek_reads_pins_and_fenced_entries_only() {
    let mut bench = Bench::new().await;
    let log = bench
        .create(1, vec![grant(2, Rights::ALL), grant(3, Rights::PEEK)])
        .await;
    let pinned = Item {
        pin: true,
        ..item(log, 2)
    };
    bench
        .append(
            vec![item(log, 1), pinned, fenced(log, 3, 0), item(log, 4)],
            &[2],
        )
        .await
        .unwrap();
    let opened = bench.logs.open(&log, &keys(&[3])).await.unwrap();
    assert_eq!((opened.pins, opened.rights), (vec![2], Rights::PEEK));
    let page = bench
        .logs
        .page(&log, &keys(&[3]), Lane::Fenced, 0, 10)
        .await
        .unwrap();
    assert_eq!(
        page.entries
            .iter()
            .map(|entry| entry.seq)
            .collect::<Vec<_>>(),
        [2, 3]
    );
    assert_eq!(
        code(bench.logs.page(&log, &keys(&[3]), Lane::All, 0, 10).await),
        ErrorCode::Refused
    );
    let pushes = bench
        .logs
        .pushes(&log, &keys(&[3]), Lane::Fenced, 0, 10)
        .await
        .unwrap();
    assert_eq!((pushes.frames.len(), pushes.cursor), (2, 4));
}

#[tokio::test]
async fn pins_of_who_does_not_manage_keep_their_distance() {
    let mut bench = Bench::new().await;
    let member = Rights::READ | Rights::APPEND | Rights::FENCE | Rights::PIN;
    let log = bench
        .create(1, vec![grant(2, Rights::ALL), grant(3, member)])
        .await;
    let pin = |fill| Item {
        pin: true,
        ..item(log, fill)
    };
    bench.append(vec![pin(1)], &[3]).await.unwrap();
    for fence in 0..PIN_FENCED_SPACING {
        // Up to the last of them it is too soon.
        assert_eq!(
            code(bench.append(vec![pin(2)], &[3]).await),
            ErrorCode::PinTooSoon
        );
        bench
            .append(vec![fenced(log, 3, fence)], &[3])
            .await
            .unwrap();
    }
    bench.append(vec![pin(4)], &[3]).await.unwrap();
}

#[tokio::test]
async fn the_last_pins_and_the_newest_of_each_of_the_last_days_are_kept_and_none_before() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let pin = |fill| Item {
        pin: true,
        ..item(log, fill)
    };
    // Six a day, and one day more than is kept.
    let days = u64::try_from(PIN_DAYS).unwrap() + 1;
    let mut kept = Vec::new();
    for day in 1..=days {
        for fill in 0..6 {
            bench.append(vec![pin(fill)], &[2]).await.unwrap();
        }
        kept.push(6 * day);
        bench.clock.advance(crate::clock::DAY);
    }
    let opened = bench.logs.open(&log, &keys(&[2])).await.unwrap();
    // The newest of each day but the first, which is one too many, and the last ones of today.
    let mut expected = kept[1..PIN_DAYS].to_vec();
    let last = u64::try_from(PINS_LAST).unwrap();
    expected.extend(6 * days - last + 1..=6 * days);
    assert_eq!(opened.pins, expected);
    assert_eq!(opened.pins.len(), PIN_DAYS - 1 + PINS_LAST);
}

#[tokio::test]
async fn a_trim_is_seen_at_once_however_much_it_drops() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    for _ in 0..3 {
        let run = Item {
            entries: vec![entry(1); 200],
            ..item(log, 0)
        };
        bench.append(vec![run], &[2]).await.unwrap();
    }
    bench.trim(log, 598).await.unwrap();
    assert_eq!(bench.seqs(log, 2).await, [599, 600]);
    let opened = bench.logs.open(&log, &keys(&[2])).await.unwrap();
    assert_eq!((opened.first, opened.head), (599, 600));
    bench.logs.sweep().await.unwrap();
    let described = bench.logs.describe(&log, &keys(&[2])).await.unwrap();
    assert_eq!((described.entries, described.bytes), (2, 2_048));
    let bench = bench.restart().await;
    assert_eq!(bench.seqs(log, 2).await, [599, 600]);
}

#[tokio::test]
async fn hold_keeps_the_fence_for_manage() {
    let mut bench = Bench::new().await;
    let log = bench
        .create(1, vec![grant(2, Rights::ALL), grant(3, Rights::FENCE)])
        .await;
    let hold = |ms| Change::Hold(Hold { ms, log }, caller(&[2]));
    bench.logs.change(hold(10_000)).await.unwrap();
    let held = bench
        .append(vec![fenced(log, 1, 0)], &[3])
        .await
        .unwrap_err();
    assert_eq!(
        (held.code, held.retry_after_ms),
        (ErrorCode::FenceHeld, Some(10_000))
    );
    bench.append(vec![fenced(log, 1, 0)], &[2]).await.unwrap();
    bench.clock.advance_monotonic(Duration::from_secs(10));
    bench.append(vec![fenced(log, 1, 1)], &[3]).await.unwrap();
}

#[tokio::test]
async fn a_full_log_can_still_remove_somebody() {
    let mut bench = Bench::new().await;
    let member = Rights::READ | Rights::APPEND | Rights::FENCE;
    let grants = vec![
        grant(2, Rights::ALL),
        grant(3, member),
        grant(4, Rights::FENCE),
    ];
    let small = Policy {
        bytes_max: 160 << 10,
        ..policy()
    };
    let log = bench.create_with(1, grants, small).await;
    for fence in 0..20 {
        bench
            .append(vec![fenced(log, 1, fence)], &[4])
            .await
            .unwrap();
    }
    // A join key holds an eighth at most.
    assert_eq!(
        code(bench.append(vec![fenced(log, 1, 20)], &[4]).await),
        ErrorCode::QuotaExceeded
    );
    for _ in 0..(144 - 20) {
        bench.append(vec![item(log, 2)], &[3]).await.unwrap();
    }
    assert_eq!(
        code(bench.append(vec![item(log, 2)], &[3]).await),
        ErrorCode::QuotaExceeded
    );
    for fence in 20..28 {
        bench
            .append(vec![fenced(log, 3, fence)], &[3])
            .await
            .unwrap();
    }
    assert_eq!(
        code(bench.append(vec![fenced(log, 3, 28)], &[3]).await),
        ErrorCode::QuotaExceeded
    );
    for fence in 28..36 {
        bench
            .append(vec![fenced(log, 4, fence)], &[2])
            .await
            .unwrap();
    }
    assert_eq!(
        code(bench.append(vec![item(log, 2)], &[2]).await),
        ErrorCode::QuotaExceeded
    );
    bench.trim(log, 100).await.unwrap();
    bench.append(vec![item(log, 2)], &[3]).await.unwrap();
}

#[tokio::test]
async fn rate_and_price_are_the_grants() {
    let mut bench = Bench::new().await;
    let slow = Grant {
        rate: Some(2),
        work: Some(8),
        ..grant(3, Rights::APPEND)
    };
    let log = bench.create(1, vec![grant(2, Rights::ALL), slow]).await;
    let refused = bench.append(vec![item(log, 1)], &[3]).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.bits),
        (ErrorCode::WorkNeeded, Some(8))
    );
    for expected in [true, true, false] {
        let mut change = bench.append_change(vec![item(log, 1)], &[3]);
        if let Change::Append { work_bits, .. } = &mut change {
            *work_bits = 8;
        }
        let result = bench.logs.change(change).await;
        assert_eq!(result.is_ok(), expected, "{result:?}");
        if let Err(refusal) = result {
            assert_eq!(
                (refusal.code, refusal.retry_after_ms),
                (ErrorCode::Busy, Some(60_000))
            );
        }
    }
    bench.append(vec![item(log, 1)], &[2]).await.unwrap();
    bench.clock.advance_monotonic(Duration::from_secs(60));
    let mut change = bench.append_change(vec![item(log, 1)], &[3]);
    if let Change::Append { work_bits, .. } = &mut change {
        *work_bits = 8;
    }
    bench.logs.change(change).await.unwrap();
}

#[tokio::test]
async fn a_deleted_log_is_gone_and_stays_gone() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    bench.append(vec![item(log, 1)], &[2]).await.unwrap();
    let mut watch = bench.logs.watch(&log);
    let delete = Delete {
        day: bench.today(),
        log,
        retry: bench.retry(),
    };
    bench
        .logs
        .change(Change::Delete(delete, caller(&[2])))
        .await
        .unwrap();
    watch.changed().await;
    let pushes = bench
        .logs
        .pushes(&log, &keys(&[2]), Lane::All, 0, 10)
        .await
        .unwrap();
    assert!(pushes.ended && pushes.frames.is_empty());
    assert_eq!(
        code(bench.append(vec![item(log, 1)], &[2]).await),
        ErrorCode::Refused
    );
    let bench = bench.restart().await;
    assert!(bench.logs.open(&log, &keys(&[2])).await.is_err());
    for _ in 0..3 {
        bench.clock.advance(crate::clock::DAY * 23 / 24);
        bench.logs.sweep().await.unwrap();
    }
    assert_eq!(bench.logs.count(), 0);
}

#[tokio::test]
async fn malformed_items_are_refused_whole() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let odd = NewEntry {
        sealed: vec![0; 1_000].into(),
        ..entry(1)
    };
    let bad = [
        Item {
            entries: vec![odd],
            ..item(log, 1)
        },
        Item {
            entries: vec![],
            ..item(log, 1)
        },
        Item {
            admit: Some(key(5)),
            ..item(log, 1)
        },
        Item {
            grants: Some(NewGrants {
                cut: false,
                list: vec![],
                version: 1,
            }),
            ..item(log, 1)
        },
        Item {
            entries: vec![],
            pin: true,
            ..item(log, 1)
        },
    ];
    for bad in bad {
        let refused = bench
            .append(vec![item(log, 1), bad], &[2])
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code, refused.item),
            (ErrorCode::BadRequest, Some(1))
        );
    }
    assert!(bench.seqs(log, 2).await.is_empty());
}
