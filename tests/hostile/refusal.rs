//! Whoever may not hears one answer after the same work, whatever the reason.

use std::sync::Arc;

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{
    Answer, Grants, NewEntry, NewGrants, Open, Position, Proof, Refusal, Take, Verb, Withdraw,
};
use sotto_protocol::id::LogId;
use sotto_protocol::proof::{self, Purpose};
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use sotto_server::clock::DAY;
use sotto_tests::peer::{Peer, TestLog, entry, retry, secret, text_of};
use sotto_tests::relay::{RunningRelay, TestRelay};
use sotto_tests::store::WatchedStore;
use tokio::io::DuplexStream;

/// What a refusal cost.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Work {
    agreements: Option<f64>,
    macs: Option<f64>,
    reads: u64,
}

struct Setting {
    relay: RunningRelay,
    store: Arc<WatchedStore>,
    log: TestLog,
    dropped: x25519_dalek::StaticSecret,
    /// Cut so long ago that nobody can still be reading up to the cut.
    expired: x25519_dalek::StaticSecret,
}

impl Setting {
    async fn new() -> Self {
        let store = WatchedStore::new();
        let relay = TestRelay {
            store: Arc::clone(&store) as _,
            ..TestRelay::default()
        }
        .start()
        .await;
        let mut owner = relay.peer().await;
        let (log, dropped, expired) = (TestLog::default(), secret(), secret());
        let all = TestLog::grant(&log.key, Rights::ALL);
        let reader = TestLog::grant(&dropped, Rights::READ);
        let cut = TestLog::grant(&expired, Rights::READ);
        let create = owner.create(&log, vec![all.clone(), reader.clone(), cut]);
        owner.call(Verb::Create(create)).await.unwrap();
        let Ok(Answer::Opened(opened)) = owner.open_log(&log.id(), &log.key).await else {
            panic!("not opened");
        };
        let grants = |day, cut, list, version| {
            Verb::Grants(Grants {
                day,
                log: log.id(),
                new: NewGrants { cut, list, version },
                retry: retry(),
            })
        };
        let list = vec![all.clone(), reader];
        let cuts = grants(owner.day(), true, list, opened.version);
        owner.call(cuts).await.unwrap();
        // The cut grant stays for as long as fenced entries do, and goes with them.
        for _ in 0..4 * (u32::from(TestLog::policy().ttl_fenced_days) + 2) {
            relay.clock.advance(DAY / 4);
            relay.logs.sweep().await.unwrap();
        }
        let mut owner = relay.peer().await;
        let Ok(Answer::Opened(opened)) = owner.open_log(&log.id(), &log.key).await else {
            panic!("not opened");
        };
        owner.say(&log.id(), "an entry").await.unwrap();
        let drops = grants(owner.day(), false, vec![all], opened.version);
        owner.call(drops).await.unwrap();
        Self {
            relay,
            store,
            log,
            dropped,
            expired,
        }
    }

    fn work(&self) -> Work {
        Work {
            agreements: self.relay.metrics.value("sotto_proof_agreements_total"),
            macs: self.relay.metrics.value("sotto_proof_macs_total"),
            reads: self.store.reads(),
        }
    }

    /// The refusal and what it cost.
    async fn cost(&self, peer: &mut Peer<DuplexStream>, verb: Verb<'_>) -> (Refusal, Work) {
        let before = self.work();
        let refusal = peer.call(verb).await.unwrap_err();
        let after = self.work();
        let spent = |one: Option<f64>, other: Option<f64>| Some(one? - other?);
        let work = Work {
            agreements: spent(after.agreements, before.agreements),
            macs: spent(after.macs, before.macs),
            reads: after.reads - before.reads,
        };
        (refusal, work)
    }
}

/// A true proof of `key`, and one that is false in its last bit.
fn proofs(
    peer: &Peer<DuplexStream>,
    key: &x25519_dalek::StaticSecret,
    purpose: Purpose,
    log: &LogId,
) -> (Proof, Proof) {
    let held = peer.prove(key, purpose, log);
    let mut mac = *held.mac.as_bytes();
    mac[31] ^= 1;
    let false_one = Proof {
        mac: mac.into(),
        ..held.clone()
    };
    (held, false_one)
}

#[tokio::test(start_paused = true)]
async fn wrong_key_unknown_log_and_expired_grant_are_refused_alike_at_the_same_cost() {
    let setting = Setting::new().await;
    let known = setting.log.id();
    let unknown = TestLog::default().id();
    let mut peer = setting.relay.peer().await;
    let (strange, strange_false) = proofs(&peer, &secret(), Purpose::Open, &known);
    let (_, granted_false) = proofs(&peer, &setting.log.key, Purpose::Open, &known);
    let (dropped, _) = proofs(&peer, &setting.dropped, Purpose::Open, &known);
    let (expired, _) = proofs(&peer, &setting.expired, Purpose::Open, &known);
    let (elsewhere, elsewhere_false) = proofs(&peer, &setting.log.key, Purpose::Open, &unknown);
    let low_order = Proof {
        key: [0; 32].into(),
        mac: [0; 32].into(),
    };
    let cases = [
        ("strange key", known, strange),
        ("strange key, false proof", known, strange_false),
        ("granted key, false proof", known, granted_false),
        ("dropped grant", known, dropped),
        ("expired grant", known, expired),
        ("unknown log", unknown, elsewhere),
        ("unknown log, false proof", unknown, elsewhere_false),
        ("low order", known, low_order),
    ];
    let mut costs = Vec::new();
    for (name, log, proof) in cases {
        let proofs = vec![proof];
        let verb = Verb::Open(Open { log, proofs });
        costs.push((name, setting.cost(&mut peer, verb).await));
    }
    let (_, first) = &costs[0];
    assert_eq!(first.0, Refusal::of(ErrorCode::Refused));
    assert!(first.1.agreements == Some(1.0) && first.1.macs == Some(1.0) && first.1.reads > 0);
    for (name, cost) in &costs {
        assert_eq!(cost, first, "{name}");
    }
    setting.relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_false_proof_among_true_ones_refuses_all_after_checking_all() {
    let setting = Setting::new().await;
    let log = setting.log.id();
    let mut peer = setting.relay.peer().await;
    let (held, false_one) = proofs(&peer, &setting.log.key, Purpose::Open, &log);
    let (strange, _) = proofs(&peer, &secret(), Purpose::Open, &log);
    let mut costs = Vec::new();
    for proofs in [vec![false_one.clone(), held.clone()], vec![held, strange]] {
        let verb = Verb::Open(Open { log, proofs });
        costs.push(setting.cost(&mut peer, verb).await);
    }
    assert_eq!(costs[0].0.code, ErrorCode::Refused);
    assert_eq!(costs[0], costs[1]);
    assert_eq!(costs[0].1.agreements, Some(2.0));
    // And the log is not open.
    let refused = peer.say(&log, "not open").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Refused);
    setting.relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_key_is_refused_alike_whatever_is_there() {
    let setting = Setting::new().await;
    let (owner, stranger) = (secret(), secret());
    let log = setting.log.id();
    let mut peer = setting.relay.peer().await;
    peer.open_log(&log, &setting.log.key).await.unwrap();
    let owned = sotto_protocol::frame::NewEntry {
        owner: Some(proof::public_key(&owner)),
        ..entry("a ticket", SizeClass::K1)
    };
    let verb = peer.append(&log, vec![owned]);
    peer.call(verb).await.unwrap();
    let unknown = TestLog::default().id();
    let (held, false_one) = proofs(&peer, &owner, Purpose::Own, &log);
    let (strange, _) = proofs(&peer, &stranger, Purpose::Own, &log);
    let (elsewhere, _) = proofs(&peer, &owner, Purpose::Own, &unknown);
    let cases = [
        ("false proof", log, 2, false_one),
        ("strange key", log, 2, strange),
        ("another entry", log, 1, held.clone()),
        ("no entry", log, 9, held.clone()),
        ("unknown log", unknown, 2, elsewhere),
    ];
    let (mut positions, mut withdrawals) = (Vec::new(), Vec::new());
    for (name, log, seq, proof) in &cases {
        let (log, seq, proof) = (*log, *seq, proof.clone());
        let position = Verb::Position(Position {
            log,
            seq,
            proof: proof.clone(),
        });
        let (refusal, work) = setting.cost(&mut peer, position).await;
        assert_eq!(refusal, Refusal::of(ErrorCode::Refused), "position, {name}");
        positions.push(work);
        let withdraw = Verb::Withdraw(Withdraw {
            day: peer.day(),
            log,
            seq,
            proof,
            retry: retry(),
        });
        let (refusal, work) = setting.cost(&mut peer, withdraw).await;
        assert_eq!(refusal, Refusal::of(ErrorCode::Refused), "withdraw, {name}");
        withdrawals.push(work);
    }
    let (one, reads) = (Some(1.0), positions[0].reads);
    assert!((one, one) == (positions[0].agreements, positions[0].macs) && reads > 0);
    assert!(
        positions.iter().all(|work| *work == positions[0]),
        "{positions:?}"
    );
    // Whether a proof is false its maker knows; whether a log or an entry is there shall nobody
    // learn who does not own it.
    assert!(
        withdrawals
            .iter()
            .all(|work| (work.agreements, work.macs) == (one, one))
    );
    let others = &withdrawals[1..];
    assert!(
        others.iter().all(|work| *work == others[0]),
        "{withdrawals:?}"
    );
    let (seq, proof) = (2, held);
    peer.call(Verb::Position(Position { log, seq, proof }))
        .await
        .unwrap();
    setting.relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_not_open_is_refused_for_every_verb() {
    let setting = Setting::new().await;
    let log = setting.log.id();
    let mut peer = setting.relay.peer().await;
    let reads = setting.store.reads();
    let (day, seq) = (peer.day(), 1);
    use sotto_protocol::frame as f;
    let verbs = vec![
        peer.append(&log, vec![entry("x", SizeClass::K1)]),
        Verb::Read(f::Read {
            log,
            lane: f::Lane::All,
            after: 0,
            entries_max: 1,
        }),
        Verb::Follow(f::Follow {
            log,
            lane: f::Lane::All,
            after: 0,
            credit: 1,
        }),
        Verb::Credit(f::Credit { log, more: 1 }),
        Verb::Unfollow(f::Unfollow { log }),
        Verb::Trim(f::Trim {
            to: 1,
            day,
            log,
            retry: retry(),
        }),
        Verb::Claim(f::Claim {
            ms: 1,
            day,
            log,
            seq,
            retry: retry(),
        }),
        Verb::Renew(f::Renew {
            ms: 1,
            log,
            seq,
            lease: 1,
        }),
        Verb::Release(f::Release { log, seq, lease: 1 }),
        Verb::Take(f::Take {
            day,
            log,
            retry: retry(),
        }),
        Verb::Grants(f::Grants {
            day,
            log,
            new: NewGrants {
                cut: false,
                list: vec![],
                version: 1,
            },
            retry: retry(),
        }),
        Verb::Hold(f::Hold { ms: 1, log }),
        Verb::Describe(f::Describe { log }),
        Verb::Delete(f::Delete {
            day,
            log,
            retry: retry(),
        }),
    ];
    for verb in verbs {
        let name = verb.name();
        let refused = peer.call(verb).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Refused, "{name}");
    }
    assert_eq!(setting.store.reads(), reads, "nothing was looked up");
    setting.relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_opens_with_wrong_keys_change_nothing_for_others() {
    let setting = Setting::new().await;
    let log = setting.log.id();
    let mut peer = setting.relay.peer().await;
    for _ in 0..10_000 {
        let proof = Proof {
            key: [9; 32].into(),
            mac: [9; 32].into(),
        };
        let proofs = vec![proof];
        let refused = peer.call(Verb::Open(Open { log, proofs })).await;
        assert_eq!(refused, Err(Refusal::of(ErrorCode::Refused)));
    }
    let mut other = setting.relay.peer().await;
    other.open_log(&log, &setting.log.key).await.unwrap();
    setting.relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn strangers_cannot_drain_key_packages_and_who_may_take_leaves_the_last_resort() {
    let relay = TestRelay::default().start().await;
    let mut owner = relay.peer().await;
    let (log, appender, taker) = (TestLog::default(), secret(), secret());
    let grants = vec![
        TestLog::grant(&log.key, Rights::ALL),
        TestLog::grant(&appender, Rights::APPEND.union(Rights::READ)),
        TestLog::grant(&taker, Rights::TAKE),
    ];
    let create = owner.create(&log, grants);
    owner.call(Verb::Create(create)).await.unwrap();
    owner.open_log(&log.id(), &log.key).await.unwrap();
    let packages = ["one", "two", "last resort"].map(|text| NewEntry {
        last_resort: text == "last resort",
        ..entry(text, SizeClass::K4)
    });
    let put = owner.append(&log.id(), packages.to_vec());
    owner.call(put).await.unwrap();
    let take = |day| {
        Verb::Take(Take {
            day,
            log: log.id(),
            retry: retry(),
        })
    };
    let mut stranger = relay.peer().await;
    assert!(stranger.open_log(&log.id(), &secret()).await.is_err());
    assert!(stranger.call(take(stranger.day())).await.is_err());
    let mut writer = relay.peer().await;
    writer.open_log(&log.id(), &appender).await.unwrap();
    assert!(writer.call(take(writer.day())).await.is_err());
    let mut friend = relay.peer().await;
    friend.open_log(&log.id(), &taker).await.unwrap();
    let mut taken = Vec::new();
    for _ in 0..4 {
        match friend.call(take(friend.day())).await.unwrap() {
            Answer::Taken(one) => taken.push((text_of(&one.entry), one.last_resort)),
            other => panic!("nothing was taken: {other:?}"),
        }
    }
    let expected = [
        ("one", false),
        ("two", false),
        ("last resort", true),
        ("last resort", true),
    ];
    assert_eq!(taken, expected.map(|(text, last)| (text.to_owned(), last)));
    relay.stop().await;
}
