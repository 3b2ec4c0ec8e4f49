//! Limits of the logs, each at its edge and one past it. That none is missing here is checked where
//! hostile peers are tested, by a table of all limits.

use sotto_protocol::frame::Refusal;
use sotto_protocol::limits::{
    ITEM_ENTRIES_MAX, RETRY_IDS_FOR_CLAIM, RETRY_IDS_FOR_MANAGE, RETRY_IDS_PER_LOG_MAX,
};

use super::verbs::code;
use super::*;
use crate::limits::{
    BUSY_RETRY_MS, CHANGE_BYTES_QUEUED_MAX, CHANGES_QUEUED_MAX, HEADS_CACHED_MAX,
    LEASES_PER_LOG_MAX, LOG_BYTES_MIN, POSITION_COUNTED_MAX, PUSH_BYTES_PER_TURN,
};
use crate::log::codec;
use crate::log::state::{LogState, RetryCount};
use crate::store::Batch;

async fn limited(limits: LogLimits) -> Bench {
    let store = Arc::new(MemoryStore::new());
    let clock = Arc::new(ManualClock::at_day(DAY));
    Bench::limited(store, Arc::new(Keys::in_memory()), clock, limits).await
}

impl Bench {
    async fn try_create(&mut self, root: u8, policy: Policy) -> Result<Answer<'static>, Refusal> {
        let create = Create {
            day: self.today(),
            root: key(root),
            work: None,
            proof: Mac::new([0; 32]),
            retry: self.retry(),
            grants: vec![grant(2, Rights::ALL)],
            policy,
            ticket: None,
        };
        self.logs.change(Change::Create(create)).await
    }

    /// Appends so many entries of the smallest class in as few runs as that takes.
    async fn fill(&mut self, log: LogId, mut count: usize) {
        while count > 0 {
            let now = count.min(ITEM_ENTRIES_MAX);
            count -= now;
            let run = Item {
                entries: vec![entry(1); now],
                ..item(log, 0)
            };
            self.append(vec![run], &[2]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_policy_is_refused_one_past_what_the_operator_allows() {
    let mut bench = limited(LogLimits {
        log_bytes_max: 1 << 20,
        ttl_days_max: 10,
        ttl_fenced_days_max: 20,
        ..LogLimits::default()
    })
    .await;
    let largest = Policy {
        bytes_max: 1 << 20,
        ttl_days: 10,
        ttl_fenced_days: 20,
        ..policy()
    };
    let smallest = Policy {
        bytes_max: LOG_BYTES_MIN,
        ttl_days: 1,
        ttl_fenced_days: 1,
        ..policy()
    };
    let with = |change: fn(&mut Policy)| {
        let mut past = largest.clone();
        change(&mut past);
        past
    };
    let past = [
        with(|policy| policy.bytes_max += 1),
        with(|policy| policy.bytes_max = LOG_BYTES_MIN - 1),
        with(|policy| policy.ttl_days += 1),
        with(|policy| policy.ttl_days = 0),
        with(|policy| policy.ttl_fenced_days += 1),
        with(|policy| policy.ttl_fenced_days = 0),
    ];
    for policy in past {
        assert_eq!(
            code(bench.try_create(1, policy).await),
            ErrorCode::BadRequest
        );
    }
    bench.try_create(1, largest).await.unwrap();
    bench.try_create(3, smallest).await.unwrap();
}

#[tokio::test]
async fn one_log_too_many_is_refused_and_a_deleted_one_makes_room() {
    let mut bench = limited(LogLimits {
        logs_max: 2,
        ..LogLimits::default()
    })
    .await;
    bench.try_create(1, policy()).await.unwrap();
    bench.try_create(3, policy()).await.unwrap();
    assert_eq!(code(bench.try_create(4, policy()).await), ErrorCode::Busy);
    let delete = sotto_protocol::frame::Delete {
        day: bench.today(),
        log: LogId::of_root(&key(1)),
        retry: bench.retry(),
    };
    bench
        .logs
        .change(Change::Delete(delete, caller(&[2])))
        .await
        .unwrap();
    bench.logs.sweep().await.unwrap();
    for _ in 0..8 {
        bench.clock.advance(crate::clock::DAY / 3);
        bench.logs.sweep().await.unwrap();
    }
    bench.try_create(4, policy()).await.unwrap();
}

#[tokio::test]
async fn appends_past_the_minutes_rate_are_refused_until_the_next() {
    let mut bench = limited(LogLimits {
        appends_per_minute: 3,
        ..LogLimits::default()
    })
    .await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    for _ in 0..2 {
        for _ in 0..3 {
            bench.append(vec![item(log, 1)], &[2]).await.unwrap();
        }
        let refused = bench.append(vec![item(log, 1)], &[2]).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Busy);
        assert_eq!(refused.retry_after_ms, Some(60_000));
        bench.clock.advance_monotonic(Duration::from_secs(60));
    }
}

#[tokio::test]
async fn one_lease_too_many_is_refused_until_one_ends() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    bench.fill(log, LEASES_PER_LOG_MAX + 1).await;
    let last = u64::try_from(LEASES_PER_LOG_MAX).unwrap();
    for seq in 1..=last {
        bench.claim(log, seq, 2).await.unwrap();
    }
    assert_eq!(
        code(bench.claim(log, last + 1, 2).await),
        ErrorCode::QuotaExceeded
    );
    bench.clock.advance_monotonic(Duration::from_millis(60_001));
    bench.claim(log, last + 1, 2).await.unwrap();
}

/// The log remembers so many answers of today.
async fn remembers(bench: &Bench, log: LogId, count: u32) {
    let shared = Arc::clone(&bench.logs.shared);
    let (state, keys) = shared.state(&log).await.unwrap().unwrap();
    let mut head = state.head.clone();
    head.retries = vec![RetryCount { day: DAY, count }];
    let revision = state.revision.unwrap();
    let put = codec::seal_head(&shared.keys, &keys, &head, revision + 1).unwrap();
    let batch = Batch {
        expects: vec![(keys.name, Some(revision))],
        puts: vec![put],
        removes: Vec::new(),
    };
    shared.store.commit(batch).await.unwrap();
    shared.unpublish(&log);
}

/// Whoever has a desk's card appends and withdraws all day.
#[tokio::test]
async fn retry_ids_are_kept_for_who_claims_and_more_of_them_for_who_manages() {
    let mut bench = Bench::new().await;
    let [manages, claims, appends] = [2, 3, 4];
    let grants = vec![
        grant(manages, Rights::MANAGE),
        grant(claims, Rights::CLAIM),
        grant(appends, Rights::APPEND),
    ];
    let log = bench.create(1, grants.clone()).await;
    for _ in 0..3 {
        bench.append(vec![item(log, 1)], &[appends]).await.unwrap();
    }
    let full = ErrorCode::QuotaExceeded;
    let for_claims = RETRY_IDS_PER_LOG_MAX - RETRY_IDS_FOR_MANAGE;
    remembers(&bench, log, for_claims - RETRY_IDS_FOR_CLAIM - 1).await;
    bench.append(vec![item(log, 1)], &[appends]).await.unwrap();
    let refused = bench.append(vec![item(log, 1)], &[appends]).await;
    assert_eq!(code(refused), full);
    bench.claim(log, 1, claims).await.unwrap();
    remembers(&bench, log, for_claims - 1).await;
    bench.claim(log, 2, claims).await.unwrap();
    assert_eq!(code(bench.claim(log, 3, claims).await), full);
    // Who manages changes the grants, up to the last one.
    let list = grants.clone();
    bench.set_grants(log, false, list, 1).await.unwrap();
    remembers(&bench, log, RETRY_IDS_PER_LOG_MAX - 1).await;
    let list = grants.clone();
    bench.set_grants(log, false, list, 2).await.unwrap();
    assert_eq!(code(bench.set_grants(log, false, grants, 3).await), full);
}

#[tokio::test]
async fn a_retry_id_too_many_is_refused_until_the_day_has_passed() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    remembers(&bench, log, RETRY_IDS_PER_LOG_MAX - 1).await;
    bench.append(vec![item(log, 1)], &[2]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(
            code(bench.append(vec![item(log, 2)], &[2]).await),
            ErrorCode::QuotaExceeded
        );
        bench.clock.advance(crate::clock::DAY);
    }
    bench.append(vec![item(log, 2)], &[2]).await.unwrap();
    assert_eq!(bench.seqs(log, 2).await, [1, 2]);
}

#[tokio::test]
async fn a_change_too_many_in_the_queue_hears_busy_and_the_others_are_done() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let changes: Vec<_> = (0..=CHANGES_QUEUED_MAX)
        .map(|_| bench.append_change(vec![item(log, 1)], &[2]))
        .collect();
    // Handed over at once: the writer has its first turn when the first answer is awaited.
    let mut answers: Vec<_> = changes
        .into_iter()
        .map(|change| bench.logs.change(change))
        .collect();
    let refused = answers.pop().unwrap().await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Busy);
    assert_eq!(refused.retry_after_ms, Some(BUSY_RETRY_MS));
    for answer in answers {
        answer.await.unwrap();
    }
    bench.append(vec![item(log, 1)], &[2]).await.unwrap();
}

#[tokio::test]
async fn changes_that_wait_hold_no_more_bytes_than_their_limit() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let large = NewEntry {
        sealed: vec![1; 65_536].into(),
        ..entry(1)
    };
    let (mut answers, mut handed) = (Vec::new(), 0);
    loop {
        let run = Item {
            entries: vec![large.clone(); 16],
            ..item(log, 0)
        };
        let change = bench.append_change(vec![run], &[2]);
        let mut answer = Box::pin(bench.logs.change(change));
        // A refusal is there at once, an answer only after the writer had its turn.
        if let Some(refused) = futures_util::FutureExt::now_or_never(&mut answer) {
            assert_eq!(code(refused), ErrorCode::Busy);
            break;
        }
        answers.push(answer);
        handed += 16 * 65_536;
    }
    let most = CHANGE_BYTES_QUEUED_MAX + 16 * 65_536;
    assert!(handed <= most, "{handed} bytes wait");
    assert!(
        handed + 4 * 65_536 > CHANGE_BYTES_QUEUED_MAX,
        "{handed} bytes"
    );
}

#[tokio::test]
async fn no_more_heads_are_in_memory_than_their_limit() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let shared = &bench.logs.shared;
    let (state, _) = shared.state(&log).await.unwrap().unwrap();
    for number in 0..=HEADS_CACHED_MAX {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        shared.publish(&LogId::new(id), LogState::clone(&state));
        assert!(shared.states_cached() <= HEADS_CACHED_MAX);
    }
    bench.append(vec![item(log, 1)], &[2]).await.unwrap();
}

#[tokio::test]
async fn a_longer_queue_than_is_counted_is_told_as_the_limit() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let owned = || NewEntry {
        owner: Some(key(7)),
        ..entry(1)
    };
    let own = || Item {
        entries: vec![owned()],
        ..item(log, 0)
    };
    bench.fill(log, POSITION_COUNTED_MAX).await;
    let edge = bench.append(vec![own()], &[2]).await.unwrap()[0].seq;
    bench.fill(log, 100).await;
    let past = bench.append(vec![own()], &[2]).await.unwrap()[0].seq;
    for seq in [edge, past] {
        let placed = bench.logs.position(&log, seq, &key(7)).await.unwrap();
        assert_eq!(placed.ahead, u64::try_from(POSITION_COUNTED_MAX).unwrap());
    }
}

#[tokio::test]
async fn a_turn_of_pushes_from_the_store_holds_no_more_bytes_than_its_limit() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let sized = |bytes: usize| NewEntry {
        sealed: vec![1; bytes].into(),
        ..entry(1)
    };
    for bytes in [1 << 14, 1 << 15, 1 << 14, 1 << 10, 1 << 16, 1 << 10] {
        let run = Item {
            entries: vec![sized(bytes)],
            ..item(log, 0)
        };
        bench.append(vec![run], &[2]).await.unwrap();
    }
    let (mut after, mut turns) = (0, Vec::new());
    while after < 6 {
        let pushes = bench
            .logs
            .pushes(&log, &keys(&[2]), Lane::All, after, 32)
            .await;
        let pushes = pushes.unwrap();
        after = pushes.cursor;
        turns.push(pushes.frames.len());
    }
    assert_eq!(PUSH_BYTES_PER_TURN, 1 << 16);
    assert_eq!(turns, [3, 1, 1, 1]);
}
