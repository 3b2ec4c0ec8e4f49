//! What makes a log a queue: leases, places, taking and withdrawing.

use sotto_protocol::frame::{LeaseCondition, Release, Renew};
use sotto_protocol::limits::{LEASE_MS_MAX, POSITION_STEP};

use super::verbs::{code, withdraw};
use super::*;

#[tokio::test]
async fn exactly_one_gets_the_lease_and_only_it_brings_the_held_part() {
    let mut bench = Bench::new().await;
    let log = bench
        .create(
            1,
            vec![
                grant(2, Rights::ALL),
                grant(3, Rights::CLAIM | Rights::READ),
                grant(4, Rights::CLAIM),
            ],
        )
        .await;
    let ticket = Item {
        entries: vec![NewEntry {
            held: Some(vec![9; 100].into()),
            ..entry(1)
        }],
        ..item(log, 1)
    };
    bench.append(vec![ticket], &[2]).await.unwrap();
    let claimed = bench.claim(log, 1, 3).await.unwrap();
    assert_eq!(claimed.held.unwrap().as_slice(), [9; 100]);
    assert_eq!(code(bench.claim(log, 1, 4).await), ErrorCode::Claimed);
    assert_eq!(code(bench.claim(log, 2, 4).await), ErrorCode::NoSuchEntry);
    let page = bench
        .logs
        .page(&log, &keys(&[3]), Lane::All, 0, 10)
        .await
        .unwrap();
    assert!(page.entries[0].claimed && page.entries[0].held.is_some());
    // Another holder of the right cannot use the number, the number alone is not guessed.
    let end = |lease, by: u8| {
        (
            Item {
                lease: Some(LeaseCondition {
                    end: true,
                    seq: 1,
                    lease,
                }),
                entries: vec![],
                ..item(log, 0)
            },
            by,
        )
    };
    for (item, by) in [end(claimed.lease, 4), end(claimed.lease + 1, 3)] {
        assert_eq!(
            code(bench.append(vec![item], &[by]).await),
            ErrorCode::LeaseLost
        );
    }
    // It runs out by the monotonic clock; who wakes after that changes nothing.
    bench.clock.set_wall(Duration::from_secs(1));
    bench.clock.set_wall(crate::clock::DAY * DAY);
    bench.clock.advance_monotonic(Duration::from_secs(61));
    let second = bench.claim(log, 1, 4).await.unwrap();
    assert!(second.lease > claimed.lease);
    let (item, by) = end(claimed.lease, 3);
    assert_eq!(
        code(bench.append(vec![item], &[by]).await),
        ErrorCode::LeaseLost
    );
    let (item, by) = end(second.lease, 4);
    bench.append(vec![item], &[by]).await.unwrap();
    assert!(bench.seqs(log, 2).await.is_empty());
    assert_eq!(code(bench.claim(log, 1, 3).await), ErrorCode::NoSuchEntry);
}

/// Its holder counts from when they asked, and the relay's clock is amid a millisecond.
#[tokio::test]
async fn a_lease_lasts_all_of_its_time_whenever_within_a_millisecond_it_was_claimed() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(3, Rights::ALL)]).await;
    bench.append(vec![item(log, 1)], &[3]).await.unwrap();
    bench.clock.advance_monotonic(Duration::from_micros(999));
    bench.claim(log, 1, 3).await.unwrap();
    let minute = Duration::from_secs(60);
    bench
        .clock
        .advance_monotonic(minute - Duration::from_micros(1));
    assert_eq!(code(bench.claim(log, 1, 3).await), ErrorCode::Claimed);
    bench.clock.advance_monotonic(Duration::from_millis(2));
    bench.claim(log, 1, 3).await.unwrap();
}

#[tokio::test]
async fn a_live_lease_goes_on_after_a_restart_and_its_number_is_not_used_again() {
    let mut bench = Bench::new().await;
    let log = bench
        .create(1, vec![grant(2, Rights::ALL), grant(3, Rights::CLAIM)])
        .await;
    bench.append(vec![item(log, 1)], &[2]).await.unwrap();
    let first = bench.claim(log, 1, 2).await.unwrap();
    let mut bench = bench.restart().await;
    assert_eq!(code(bench.claim(log, 1, 3).await), ErrorCode::Claimed);
    let renew = |ms| {
        Change::Renew(
            Renew {
                ms,
                log,
                seq: 1,
                lease: first.lease,
            },
            caller(&[2]),
        )
    };
    let Answer::Claimed(renewed) = bench.logs.change(renew(u32::MAX)).await.unwrap() else {
        panic!("not the answer to a renewal");
    };
    assert_eq!((renewed.ms, renewed.lease), (LEASE_MS_MAX, first.lease));
    let release = Change::Release(
        Release {
            log,
            seq: 1,
            lease: first.lease,
        },
        caller(&[2]),
    );
    bench.logs.change(release).await.unwrap();
    assert_eq!(
        code(bench.logs.change(renew(1)).await),
        ErrorCode::LeaseLost
    );
    assert!(bench.claim(log, 1, 3).await.unwrap().lease > first.lease);
}

#[tokio::test]
async fn an_owner_learns_a_coarse_place_and_may_withdraw() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    for fill in 1..=9 {
        let owned = NewEntry {
            owner: Some(key(fill + 100)),
            ..entry(fill)
        };
        bench
            .append(
                vec![Item {
                    entries: vec![owned],
                    ..item(log, fill)
                }],
                &[2],
            )
            .await
            .unwrap();
    }
    let place = |seq: u64| {
        let logs = bench.logs.clone();
        let owner = key(u8::try_from(seq).unwrap() + 100);
        async move { logs.position(&log, seq, &owner).await.unwrap().ahead }
    };
    assert_eq!(place(4).await, 3);
    assert_eq!(place(9).await, POSITION_STEP);
    bench.claim(log, 1, 2).await.unwrap();
    assert_eq!(
        bench.logs.position(&log, 4, &key(104)).await.unwrap().ahead,
        2
    );
    assert!(
        bench
            .logs
            .position(&log, 1, &key(101))
            .await
            .unwrap()
            .claimed
    );
    assert_eq!(
        code(bench.logs.position(&log, 4, &key(105)).await),
        ErrorCode::Refused
    );
    let (day, retry) = (bench.today(), bench.retry());
    let stranger = bench.logs.change(withdraw(log, 2, 103, day, retry)).await;
    assert_eq!(code(stranger), ErrorCode::Refused);
    bench
        .logs
        .change(withdraw(log, 2, 102, day, retry))
        .await
        .unwrap();
    assert_eq!(
        bench.logs.position(&log, 4, &key(104)).await.unwrap().ahead,
        1
    );
    assert_eq!(
        code(bench.logs.position(&log, 2, &key(102)).await),
        ErrorCode::Refused
    );
}

#[tokio::test]
async fn take_gives_each_once_and_the_last_resort_only_when_alone() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let last = NewEntry {
        last_resort: true,
        ..entry(1)
    };
    bench
        .append(
            vec![Item {
                entries: vec![last, entry(2), entry(3)],
                ..item(log, 0)
            }],
            &[2],
        )
        .await
        .unwrap();
    assert_eq!(bench.take(log).await.unwrap(), (2, false));
    assert_eq!(bench.take(log).await.unwrap(), (3, false));
    assert_eq!(bench.take(log).await.unwrap(), (1, true));
    assert_eq!(bench.take(log).await.unwrap(), (1, true));
    bench.trim(log, 1).await.unwrap();
    assert_eq!(code(bench.take(log).await), ErrorCode::NoSuchEntry);
}

#[tokio::test]
async fn takes_past_the_rate_of_the_key_are_refused_until_the_next_minute() {
    let mut bench = Bench::new().await;
    let rate = Some(2);
    let grants = vec![
        grant(1, Rights::APPEND),
        Grant {
            rate,
            ..grant(2, Rights::TAKE)
        },
    ];
    let log = bench.create(1, grants).await;
    for _ in 0..3 {
        bench.append(vec![item(log, 1)], &[1]).await.unwrap();
    }
    for seq in 1..=2 {
        assert_eq!(bench.take(log).await.unwrap(), (seq, false));
    }
    let refused = bench.take(log).await.unwrap_err();
    assert_eq!((refused.code, refused.item), (ErrorCode::Busy, None));
    bench.clock.advance_monotonic(Duration::from_secs(60));
    assert_eq!(bench.take(log).await.unwrap(), (3, false));
}
