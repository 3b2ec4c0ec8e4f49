//! Creating, opening, appending, reading and following.

use sotto_protocol::limits::{PAGE_BYTES_MAX, SEALED_BYTES_MAX};

use super::*;

#[tokio::test]
async fn what_is_appended_is_read_in_order_with_its_chain() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let opened = bench.logs.open(&log, &keys(&[2])).await.unwrap();
    assert_eq!((opened.head, opened.first, opened.fence), (0, 1, 0));
    assert_eq!(opened.chain, chain::genesis(&log));
    bench.append(vec![item(log, 1)], &[2]).await.unwrap();
    let done = bench
        .append(vec![fenced(log, 2, 0), item(log, 3)], &[2])
        .await
        .unwrap();
    assert_eq!((done[0].seq, done[0].fence), (2, 1));
    let page = bench
        .logs
        .page(&log, &keys(&[2]), Lane::All, 0, 10)
        .await
        .unwrap();
    assert!(!page.more);
    let mut value = chain::genesis(&log);
    for (index, entry) in page.entries.iter().enumerate() {
        assert_eq!(entry.seq, index as u64 + 1);
        assert_eq!(entry.before, value);
        assert_eq!(
            entry.sealed.as_slice(),
            vec![u8::try_from(entry.seq).unwrap(); 1024]
        );
        assert!(bench.logs.confirms_stamp(
            &log,
            entry.seq,
            entry.day,
            &entry.commitment,
            &entry.stamp
        ));
        assert!(!bench.logs.confirms_stamp(
            &log,
            entry.seq + 1,
            entry.day,
            &entry.commitment,
            &entry.stamp
        ));
        value = chain::extend(
            &value,
            &Link {
                seq: entry.seq,
                day: entry.day,
                fence: entry.fence,
                commitment: &entry.commitment,
                sealed: entry.sealed.as_slice(),
                held: None,
            },
        );
    }
    assert_eq!(done[1].chain, value);
    let opened = bench.logs.open(&log, &keys(&[2])).await.unwrap();
    assert_eq!((opened.head, opened.chain, opened.fence), (3, value, 1));
    let fenced_only = bench
        .logs
        .page(&log, &keys(&[2]), Lane::Fenced, 0, 10)
        .await
        .unwrap();
    let seqs: Vec<_> = fenced_only.entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [2]);
}

#[tokio::test]
async fn a_page_is_cut_where_it_is_full_and_says_so() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    for fill in 0..6 {
        let item = if fill % 2 == 0 {
            fenced(log, fill, u64::from(fill) / 2)
        } else {
            item(log, fill)
        };
        bench.append(vec![item], &[2]).await.unwrap();
    }
    let mut after = 0;
    let mut seen = Vec::new();
    loop {
        let page = bench
            .logs
            .page(&log, &keys(&[2]), Lane::All, after, 2)
            .await
            .unwrap();
        seen.extend(page.entries.iter().map(|entry| entry.seq));
        after = *seen.last().unwrap();
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn a_page_holds_as_many_bytes_as_it_may_and_no_entry_more() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let largest = NewEntry {
        sealed: vec![1; SEALED_BYTES_MAX].into(),
        ..entry(1)
    };
    let full = PAGE_BYTES_MAX / SEALED_BYTES_MAX;
    assert_eq!(full * SEALED_BYTES_MAX, PAGE_BYTES_MAX);
    for count in 1..=full + 1 {
        let one = Item {
            entries: vec![largest.clone()],
            ..item(log, 1)
        };
        bench.append(vec![one], &[2]).await.unwrap();
        let reader = keys(&[2]);
        let page = bench.logs.page(&log, &reader, Lane::All, 0, 1_024);
        let page = page.await.unwrap();
        assert_eq!(
            (page.entries.len(), page.more),
            (count.min(full), count > full)
        );
    }
}

#[tokio::test]
async fn a_follower_is_woken_and_gets_the_same_bytes_live_and_from_the_store() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let mut watch = bench.logs.watch(&log);
    bench
        .append(vec![item(log, 1), fenced(log, 2, 0)], &[2])
        .await
        .unwrap();
    watch.changed().await;
    let live = bench
        .logs
        .pushes(&log, &keys(&[2]), Lane::All, 0, 10)
        .await
        .unwrap();
    assert_eq!((live.frames.len(), live.cursor, live.ended), (2, 2, false));
    let again = bench
        .logs
        .pushes(&log, &keys(&[2]), Lane::All, 0, 10)
        .await
        .unwrap();
    assert_eq!(live.frames[0].1.as_ptr(), again.frames[0].1.as_ptr());
    let Frame::Push(push) = cbor::decode(&live.frames[1].1).unwrap() else {
        panic!("not a push");
    };
    assert_eq!((push.tag, push.entry.seq), (bench.logs.tag(&log), 2));
    // A second follower is behind: the store gives the same.
    let fenced = bench
        .logs
        .pushes(&log, &keys(&[2]), Lane::Fenced, 0, 10)
        .await
        .unwrap();
    assert_eq!(fenced.frames, live.frames[1..]);
    drop(watch);
    bench.logs.shared.recent.forget(&log);
    let stored = bench
        .logs
        .pushes(&log, &keys(&[2]), Lane::All, 0, 10)
        .await
        .unwrap();
    assert_eq!(stored.frames, live.frames);
}

#[tokio::test]
async fn strangers_and_unknown_logs_are_refused_alike() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    let unknown = LogId::new([9; 32]);
    for (log, by) in [(log, 3), (unknown, 2)] {
        let opened = bench.logs.open(&log, &keys(&[by])).await;
        assert_eq!(opened.unwrap_err().code, ErrorCode::Refused);
        let refused = bench.append(vec![item(log, 1)], &[by]).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Refused);
        let page = bench.logs.page(&log, &keys(&[by]), Lane::All, 0, 1).await;
        assert_eq!(page.unwrap_err().code, ErrorCode::Refused);
    }
    assert!(bench.logs.open(&log, &keys(&[2, 3])).await.is_err());
    assert!(bench.logs.open(&log, &[]).await.is_err());
}

#[tokio::test]
async fn a_restart_changes_nothing_but_the_tags() {
    let mut bench = Bench::new().await;
    let log = bench.create(1, vec![grant(2, Rights::ALL)]).await;
    bench.append(vec![item(log, 1)], &[2]).await.unwrap();
    let before = bench.logs.open(&log, &keys(&[2])).await.unwrap();
    bench.clock.advance(Duration::from_secs(1));
    let bench = bench.restart().await;
    let after = bench.logs.open(&log, &keys(&[2])).await.unwrap();
    assert_ne!(before.tag, after.tag);
    assert_eq!(
        (before.head, before.chain, before.version),
        (after.head, after.chain, after.version)
    );
}
