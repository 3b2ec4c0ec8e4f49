//! A lost answer: the request is made again on another connection, and is not carried out twice.

use std::collections::BTreeSet;
use std::time::Duration;

use sotto_protocol::frame::{
    Answer, Claim, Delete, Describe, Grants, Hold, NewEntry, NewGrants, Release, Renew, Take, Trim,
    Verb, Withdraw,
};
use sotto_protocol::proof::{Purpose, public_key};
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use sotto_tests::peer::{Peer, TestLog, entry, retry, secret};
use sotto_tests::relay::TestRelay;
use tokio::io::DuplexStream;

/// What a repeat of a verb is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// It carries a retry id and gets the first answer.
    Remembered,
    /// It has none: doing it twice is as doing it once.
    Harmless,
    /// The verb changes nothing that lasts.
    Nothing,
}

/// Sorts all verbs. A new one does not compile until it is sorted, and is then missed below.
macro_rules! verbs {
    ($($repeat:ident: $($verb:ident),+;)+) => {
        const fn repeat_of(verb: &Verb<'_>) -> Repeat {
            match verb {
                $($(Verb::$verb { .. } => Repeat::$repeat,)+)+
            }
        }

        const VERBS: &[(&str, Repeat)] = &[$($((stringify!($verb), Repeat::$repeat)),+),+];
    };
}

verbs! {
    Remembered: Create, Append, Trim, Claim, Withdraw, Take, Grants, Delete;
    Harmless: Renew, Release, Hold;
    Nothing: Open, Read, Follow, Credit, Unfollow, Position, Describe;
}

/// What a verb needs to be made anew for a connection, with the same retry id.
type Make<'a> = Box<dyn Fn(&Peer<DuplexStream>) -> Verb<'static> + 'a>;

/// Every verb that changes something, in an order in which each can be carried out.
struct Changes {
    log: TestLog,
    owner: x25519_dalek::StaticSecret,
    /// Of the claim, once it is known.
    lease: u64,
}

impl Changes {
    fn create(&self) -> Make<'_> {
        let id = retry();
        Box::new(move |peer| {
            let grants = vec![TestLog::grant(&self.log.key, Rights::ALL)];
            let mut create = peer.create(&self.log, grants);
            create.retry = id;
            Verb::Create(create)
        })
    }

    fn append(&self) -> Make<'_> {
        let id = retry();
        Box::new(move |peer| {
            let owned = |owner| NewEntry {
                owner,
                held: Some(vec![5; 40].into()),
                ..entry("said", SizeClass::K1)
            };
            let owner = Some(public_key(&self.owner));
            let run = vec![
                owned(None),
                owned(owner),
                owned(None),
                owned(None),
                owned(None),
            ];
            let mut verb = peer.append(&self.log.id(), run);
            if let Verb::Append(append) = &mut verb {
                append.retry = id;
                append.items[0].fence = Some(0);
            }
            verb
        })
    }

    fn others(&self) -> Vec<Make<'_>> {
        let (log, lease) = (self.log.id(), self.lease);
        let ids = [(); 6].map(|()| retry());
        vec![
            Box::new(move |peer| {
                Verb::Claim(Claim {
                    ms: 60_000,
                    day: peer.day(),
                    log,
                    seq: 1,
                    retry: ids[0],
                })
            }),
            Box::new(move |_| {
                Verb::Renew(Renew {
                    ms: 60_000,
                    log,
                    seq: 1,
                    lease,
                })
            }),
            Box::new(move |_| Verb::Release(Release { log, seq: 1, lease })),
            Box::new(move |peer| {
                Verb::Withdraw(Withdraw {
                    day: peer.day(),
                    log,
                    seq: 2,
                    proof: peer.prove(&self.owner, Purpose::Own, &log),
                    retry: ids[1],
                })
            }),
            Box::new(move |peer| {
                Verb::Take(Take {
                    day: peer.day(),
                    log,
                    retry: ids[2],
                })
            }),
            Box::new(move |peer| {
                Verb::Trim(Trim {
                    to: 3,
                    day: peer.day(),
                    log,
                    retry: ids[3],
                })
            }),
            Box::new(move |_| Verb::Hold(Hold { ms: 5_000, log })),
            Box::new(move |peer| {
                let more = TestLog::grant(&self.owner, Rights::READ);
                Verb::Grants(Grants {
                    day: peer.day(),
                    log,
                    new: NewGrants {
                        cut: false,
                        list: vec![TestLog::grant(&self.log.key, Rights::ALL), more],
                        version: 1,
                    },
                    retry: ids[4],
                })
            }),
            Box::new(move |peer| {
                Verb::Delete(Delete {
                    day: peer.day(),
                    log,
                    retry: ids[5],
                })
            }),
        ]
    }
}

/// What the relay holds of a log, as far as somebody with all rights can see it.
async fn seen(peer: &mut Peer<DuplexStream>, log: &TestLog) -> String {
    let opened = peer.open_log(&log.id(), &log.key).await;
    let described = peer.call(Verb::Describe(Describe { log: log.id() })).await;
    let page = peer.read(&log.id(), 0).await;
    format!("{opened:?} {described:?} {page:?}")
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_answer_the_retry_is_the_same_for_every_verb_that_changes_something() {
    let relay = TestRelay::default().start().await;
    let mut changes = Changes {
        log: TestLog::default(),
        owner: secret(),
        lease: 0,
    };
    let log = changes.log.clone();
    let (mut observer, mut second) = (relay.peer().await, relay.peer().await);
    let mut tried = BTreeSet::new();
    for step in 0..11 {
        let make = match step {
            0 => changes.create(),
            1 => changes.append(),
            _ => changes
                .others()
                .into_iter()
                .nth(step - 2)
                .expect("a change"),
        };
        let mut first = relay.peer().await;
        if step > 0 {
            // Before, because nobody opens a log that is deleted.
            for peer in [&mut first, &mut second] {
                peer.open_log(&log.id(), &log.key).await.unwrap();
            }
        }
        let before = seen(&mut observer, &log).await;
        let verb = make(&first);
        let (name, repeat) = (verb.name(), repeat_of(&verb));
        assert_eq!(
            verb.retry().is_some(),
            repeat == Repeat::Remembered,
            "{name}"
        );
        first.ask(verb).await;
        // Carried out, and the answer is on its way when the line breaks.
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(first);
        let once = seen(&mut observer, &log).await;
        let is_seen = !matches!(name, "renew" | "hold");
        assert_eq!(before != once, is_seen, "{name} was carried out");
        let again = make(&second);
        let answer = second.call(again.clone()).await;
        assert_eq!(seen(&mut observer, &log).await, once, "{name} twice");
        let third = second.call(again).await;
        assert_eq!(seen(&mut observer, &log).await, once, "{name} thrice");
        if repeat == Repeat::Remembered {
            let answer = answer.clone().expect("the first answer");
            assert_eq!(third.as_ref(), Ok(&answer), "{name}");
        }
        tried.insert(name.to_owned());
        drop(make);
        match answer {
            Ok(Answer::Appended(items)) => {
                assert_eq!((items[0].seq, items[0].fence), (5, 1), "the same entries");
            }
            Ok(Answer::Taken(taken)) => assert_eq!(taken.entry.seq, 1),
            Ok(Answer::Claimed(claimed)) if name == "claim" => changes.lease = claimed.lease,
            _ => {}
        }
    }
    let changing = VERBS
        .iter()
        .filter(|(_, repeat)| *repeat != Repeat::Nothing);
    let changing: BTreeSet<_> = changing.map(|(name, _)| name.to_lowercase()).collect();
    assert_eq!(tried, changing);
    relay.stop().await;
}
