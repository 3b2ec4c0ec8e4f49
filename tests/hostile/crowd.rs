//! Those who have a link and no good intentions, and appends of which a part is wrong.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Append, Item, NewEntry, Policy, Refusal, Verb};
use sotto_protocol::id::{LogId, PublicKey};
use sotto_protocol::limits::{ADMITTED_MAX, JOIN_ADMITTED_MAX};
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use sotto_tests::peer::{Peer, TestLog, entry, random, retry, secret};
use sotto_tests::relay::TestRelay;
use tokio::io::DuplexStream;

fn item(log: LogId, fence: Option<u64>, entries: Vec<NewEntry<'static>>) -> Item<'static> {
    Item {
        log,
        pin: false,
        lease: None,
        admit: None,
        fence,
        grants: None,
        entries,
    }
}

fn append(peer: &Peer<DuplexStream>, items: Vec<Item<'static>>) -> Verb<'static> {
    Verb::Append(Append {
        day: peer.day(),
        work: None,
        items,
        retry: retry(),
    })
}

async fn admit(
    peer: &mut Peer<DuplexStream>,
    log: LogId,
    fence: u64,
    key: PublicKey,
) -> Result<(), Refusal> {
    let commit = Item {
        admit: Some(key),
        ..item(log, Some(fence), vec![entry("commit", SizeClass::K1)])
    };
    let verb = append(peer, vec![commit]);
    peer.call(verb).await.map(drop)
}

/// A conversation of which the attacker has the link, with a key of the present epoch that a
/// newcomer brought.
struct Room {
    log: TestLog,
    present: x25519_dalek::StaticSecret,
    member: Peer<DuplexStream>,
    stranger: Peer<DuplexStream>,
    fence: u64,
}

impl Room {
    async fn new(relay: &sotto_tests::relay::RunningRelay) -> Self {
        let (log, join, present) = (TestLog::default(), secret(), secret());
        let mut founder = relay.peer().await;
        let rights = Rights::PEEK | Rights::APPEND | Rights::FENCE;
        let grants = vec![
            TestLog::grant(&log.key, Rights::ALL),
            TestLog::grant(&join, rights),
        ];
        let create = sotto_protocol::frame::Create {
            policy: Policy {
                admit_rights: Rights::READ | Rights::APPEND | Rights::FENCE,
                ..TestLog::policy()
            },
            ..founder.create(&log, grants)
        };
        founder.call(Verb::Create(create)).await.unwrap();
        let mut stranger = relay.peer().await;
        stranger.open_log(&log.id(), &join).await.unwrap();
        let key = public_key(&present);
        admit(&mut stranger, log.id(), 0, key).await.unwrap();
        let mut member = relay.peer().await;
        member.open_log(&log.id(), &present).await.unwrap();
        Self {
            log,
            present,
            member,
            stranger,
            fence: 1,
        }
    }

    /// Junk keys are admitted until it is refused.
    async fn flood(&mut self, by_member: bool) -> usize {
        let peer = if by_member {
            &mut self.member
        } else {
            &mut self.stranger
        };
        for count in 0.. {
            let key = PublicKey::new(random());
            match admit(peer, self.log.id(), self.fence, key).await {
                Ok(()) => self.fence += 1,
                Err(refusal) => {
                    assert_eq!(refusal.code, ErrorCode::QuotaExceeded);
                    return count;
                }
            }
        }
        0
    }
}

#[tokio::test(start_paused = true)]
async fn junk_admissions_of_a_link_holder_lock_no_member_out_and_stop_no_commit() {
    let relay = TestRelay::default().start().await;
    let mut room = Room::new(&relay).await;
    let log = room.log.id();
    assert_eq!(room.flood(false).await, JOIN_ADMITTED_MAX - 1);
    // Somebody whose line was lost comes back with the key of the present epoch.
    let mut back = relay.peer().await;
    back.open_log(&log, &room.present).await.unwrap();
    back.say(&log, "still here").await.unwrap();
    let next = secret();
    admit(&mut back, log, room.fence, public_key(&next))
        .await
        .unwrap();
    back.open_log(&log, &next).await.unwrap();
    // Joins are closed to Commits for the day, but a KeyPackage can be put in.
    room.stranger.say(&log, "a KeyPackage").await.unwrap();
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn junk_admissions_of_a_member_leave_the_present_key_and_the_facilitators_commits() {
    let relay = TestRelay::default().start().await;
    let mut room = Room::new(&relay).await;
    let log = room.log.id();
    assert_eq!(room.flood(true).await, ADMITTED_MAX - 1);
    let mut back = relay.peer().await;
    back.open_log(&log, &room.present).await.unwrap();
    back.say(&log, "still here").await.unwrap();
    let mut facilitator = relay.peer().await;
    facilitator.open_log(&log, &room.log.key).await.unwrap();
    let next = public_key(&secret());
    admit(&mut facilitator, log, room.fence, next)
        .await
        .unwrap();
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_five_hundred_kibibytes_with_one_entry_refused_lands_in_no_part() {
    let relay = TestRelay::default().start().await;
    let mut peer = relay.peer().await;
    let log = peer.new_log().await.id();
    let run = || -> Vec<_> { (0..8).map(|_| entry("part", SizeClass::K64)).collect() };
    for wrong in 0..8 {
        let mut entries = run();
        entries[wrong].sealed = vec![1; 60_000].into();
        let verb = append(&peer, vec![item(log, Some(0), entries)]);
        let refused = peer.call(verb).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::BadRequest);
    }
    // Nor does a run land whose neighbour in the append is refused.
    let items = vec![item(log, Some(0), run()), item(log, Some(7), run())];
    let verb = append(&peer, items);
    let refused = peer.call(verb).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.item),
        (ErrorCode::FenceConflict, Some(1))
    );
    let sotto_protocol::frame::Answer::Page(page) = peer.read(&log, 0).await.unwrap() else {
        panic!("no page");
    };
    assert!(page.entries.is_empty());
    let verb = append(&peer, vec![item(log, Some(0), run())]);
    peer.call(verb).await.unwrap();
    relay.stop().await;
}
