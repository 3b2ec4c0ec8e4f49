//! A desk's queue against those who may claim and mean no good, over both engines: nobody but who
//! has the live lease answers, and each ticket is answered once. Time is the relay's clock, which is
//! driven; the runtime's is not paused, since the disk has threads of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sotto_protocol::cbor;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Append, Verb};
use sotto_protocol::proof::Purpose;
use sotto_server::clock::ManualClock;
use sotto_server::retention::Keys;
use sotto_server::store::{Folder, MemoryStore, SledOptions, Store};
use sotto_tests::peer::{Heard, Peer, retry, secret};
use sotto_tests::queue::{
    HeldPart, Queue, Ticket, claim, claimed, code, leased, letter, letters, open_inbox,
};
use sotto_tests::relay::{DAY, RunningRelay, TestRelay};
use tokio::io::DuplexStream;

type Line = Peer<DuplexStream>;

/// A relay that can be started again over what it kept, with its clock driven.
struct Setting {
    relay: RunningRelay,
    store: Arc<dyn Store>,
    keys: Arc<Keys>,
    clock: Arc<ManualClock>,
    folder: Option<tempfile::TempDir>,
}

fn open(folder: Option<&Path>) -> (Arc<dyn Store>, Arc<Keys>) {
    match folder {
        None => (Arc::new(MemoryStore::new()), Arc::new(Keys::in_memory())),
        Some(path) => {
            let folder = Folder::open(path, SledOptions::default()).expect("a folder");
            (folder.store, folder.keys)
        }
    }
}

impl Setting {
    async fn new(on_disk: bool) -> Self {
        let folder = on_disk.then(|| tempfile::tempdir().unwrap());
        let (store, keys) = open(folder.as_ref().map(tempfile::TempDir::path));
        let clock = Arc::new(ManualClock::at_day(DAY));
        Self {
            relay: start(&store, &keys, &clock).await,
            store,
            keys,
            clock,
            folder,
        }
    }

    async fn restart(self) -> Self {
        let Self {
            relay,
            mut store,
            mut keys,
            clock,
            folder,
        } = self;
        relay.stop().await;
        if let Some(folder) = &folder {
            store.close().await.unwrap();
            drop((store, keys));
            (store, keys) = open(Some(folder.path()));
        }
        Self {
            relay: start(&store, &keys, &clock).await,
            store,
            keys,
            clock,
            folder,
        }
    }

    /// A peer that has the queue open as one who claims.
    async fn supporter(&self, queue: &Queue) -> Line {
        let mut peer = self.relay.peer().await;
        let opened = peer.open_log(&queue.id(), &queue.claims).await;
        opened.expect("the queue");
        peer
    }

    fn pass(&self, ms: u64) {
        self.clock.advance_monotonic(Duration::from_millis(ms));
    }
}

async fn start(store: &Arc<dyn Store>, keys: &Arc<Keys>, clock: &Arc<ManualClock>) -> RunningRelay {
    TestRelay {
        store: Arc::clone(store),
        keys: Arc::clone(keys),
        clock: Arc::clone(clock),
        ..TestRelay::default()
    }
    .start()
    .await
}

/// A claim by this peer: the lease, and what it brought.
async fn take(queue: &Queue, peer: &mut Line, ticket: &Ticket, ms: u32) -> (u64, HeldPart) {
    let claimed = queue.claim(peer, ticket.seq, ms).await.expect("a lease");
    let held = HeldPart::read(claimed.held.expect("the held part").as_slice());
    (claimed.lease, held.expect("an inbox"))
}

async fn send(peer: &mut Line, append: Append<'static>) -> Option<(ErrorCode, Option<u16>)> {
    let refusal = peer.call(Verb::Append(append)).await.err()?;
    Some((refusal.code, refusal.item))
}

#[tokio::test]
async fn who_kept_what_a_lapsed_claim_brought_answers_nothing_and_nobody() {
    for on_disk in [false, true] {
        let setting = Setting::new(on_disk).await;
        let mut seeker = setting.relay.peer().await;
        let queue = Queue::create(&mut setting.relay.peer().await).await;
        let ticket = queue.ask(&mut seeker).await;
        let other = queue.ask(&mut seeker).await;
        let (mut thief, mut honest) = (
            setting.supporter(&queue).await,
            setting.supporter(&queue).await,
        );
        let (stale, held) = take(&queue, &mut thief, &ticket, 60_000).await;
        open_inbox(&mut thief, &held).await.unwrap();
        setting.pass(60_001);
        let (lease, _) = take(&queue, &mut honest, &ticket, 60_000).await;
        let (others, others_held) = take(&queue, &mut thief, &other, 60_000).await;
        let lost = Some((ErrorCode::LeaseLost, Some(0)));
        let mut attempts = vec![
            queue.answer(&thief, (ticket.seq, stale), &held.inbox, "stolen"),
            // The number is drawn, but who reads it off somebody's screen has it.
            Append {
                items: vec![letter(&held.inbox, "stolen")],
                ..queue.answer(&thief, (0, 0), &held.inbox, "")
            },
            // A ticket that is truly the thief's, for an inbox that is not its own.
            queue.answer(&thief, (other.seq, others), &held.inbox, "stolen"),
        ];
        let kept = leased(&queue.id(), (other.seq, others), false);
        attempts.push(Append {
            items: vec![letter(&held.inbox, "stolen"), kept],
            ..queue.answer(&thief, (0, 0), &held.inbox, "")
        });
        for attempt in attempts.clone() {
            assert_eq!(send(&mut thief, attempt).await, lost);
        }
        assert_eq!(letters(&mut seeker, &ticket).await, [""; 0]);
        assert_eq!(
            queue.tickets(&mut honest).await,
            [(ticket.seq, true), (other.seq, true)]
        );
        open_inbox(&mut honest, &held).await.unwrap();
        let answer = queue.answer(&honest, (ticket.seq, lease), &held.inbox, "here I am");
        assert_eq!(send(&mut honest, answer.clone()).await, None);
        // Neither before the answer, nor after it, nor over a restart.
        for attempt in attempts.clone() {
            assert_eq!(send(&mut thief, attempt).await, lost);
        }
        let setting = setting.restart().await;
        let (mut thief, mut honest) = (
            setting.supporter(&queue).await,
            setting.supporter(&queue).await,
        );
        for peer in [&mut thief, &mut honest] {
            open_inbox(peer, &held).await.unwrap();
        }
        for attempt in attempts {
            assert_eq!(send(&mut thief, attempt).await, lost);
        }
        // The answer to the answer was lost: the repeat is answered, the letter lies there once.
        assert_eq!(send(&mut honest, answer).await, None);
        let mut seeker = setting.relay.peer().await;
        assert_eq!(letters(&mut seeker, &ticket).await, ["here I am"]);
        // What is the thief's own it may answer.
        open_inbox(&mut thief, &others_held).await.unwrap();
        let own = queue.answer(&thief, (other.seq, others), &others_held.inbox, "hello");
        assert_eq!(send(&mut thief, own).await, None);
        assert_eq!(letters(&mut seeker, &other).await, ["hello"]);
        setting.relay.stop().await;
    }
}

/// A log of the thief's own, an entry in it, a lease on the entry: all true, and the wrong owner.
#[tokio::test]
async fn an_entry_that_the_thief_made_itself_ends_nothing_of_the_seekers() {
    let setting = Setting::new(false).await;
    let mut seeker = setting.relay.peer().await;
    let queue = Queue::create(&mut seeker).await;
    let ticket = queue.ask(&mut seeker).await;
    let mut thief = setting.supporter(&queue).await;
    let (_, held) = take(&queue, &mut thief, &ticket, 60_000).await;
    setting.pass(60_001);
    open_inbox(&mut thief, &held).await.unwrap();
    // Whom it could name as owner: whatever it was shown is not the owner's key.
    let own = Queue::create(&mut thief).await;
    let bait = own.ask(&mut thief).await;
    let opened = thief.open_log(&own.id(), &own.claims).await;
    opened.unwrap();
    let (lease, _) = take(&own, &mut thief, &bait, 60_000).await;
    let attempt = own.answer(&thief, (bait.seq, lease), &held.inbox, "stolen");
    assert_eq!(
        send(&mut thief, attempt).await,
        Some((ErrorCode::LeaseLost, Some(0)))
    );
    assert_eq!(letters(&mut seeker, &ticket).await, [""; 0]);
    setting.relay.stop().await;
}

#[tokio::test]
async fn who_only_reads_the_queue_cannot_answer_with_a_key_that_was_given_away() {
    let setting = Setting::new(false).await;
    let mut seeker = setting.relay.peer().await;
    let queue = Queue::create(&mut seeker).await;
    let ticket = queue.ask(&mut seeker).await;
    let mut supporter = setting.supporter(&queue).await;
    let (lease, held) = take(&queue, &mut supporter, &ticket, 60_000).await;
    // Everything that the claimer knows, in the hands of one who may not claim.
    let mut reader = setting.relay.peer().await;
    reader.open_log(&queue.id(), &queue.reads).await.unwrap();
    open_inbox(&mut reader, &held).await.unwrap();
    let attempt = queue.answer(&reader, (ticket.seq, lease), &held.inbox, "stolen");
    assert_eq!(
        send(&mut reader, attempt).await,
        Some((ErrorCode::Refused, Some(1)))
    );
    // And in the hands of another claimer, whose grant is another.
    let mut other = setting.relay.peer().await;
    other
        .open_log(&queue.id(), &queue.claims_too)
        .await
        .unwrap();
    open_inbox(&mut other, &held).await.unwrap();
    let attempt = queue.answer(&other, (ticket.seq, lease), &held.inbox, "stolen");
    assert_eq!(
        send(&mut other, attempt).await,
        Some((ErrorCode::LeaseLost, Some(0)))
    );
    assert_eq!(letters(&mut seeker, &ticket).await, [""; 0]);
    // A proof of the owner key ends nothing: withdrawing is not answering.
    let stranger = Ticket {
        owner: secret(),
        ..ticket.clone()
    };
    assert_eq!(
        code(queue.withdraw(&mut reader, &stranger).await),
        Some(ErrorCode::Refused)
    );
    queue.withdraw(&mut seeker, &ticket).await.unwrap();
    open_inbox(&mut supporter, &held).await.unwrap();
    let late = queue.answer(&supporter, (ticket.seq, lease), &held.inbox, "too late");
    assert_eq!(
        send(&mut supporter, late).await,
        Some((ErrorCode::LeaseLost, Some(0)))
    );
    assert_eq!(letters(&mut seeker, &ticket).await, [""; 0]);
    setting.relay.stop().await;
}

/// What every ticket's owner hears of its place.
async fn places(queue: &Queue, peer: &mut Line, tickets: &[Ticket]) -> Vec<Option<(u64, bool)>> {
    let mut places = Vec::new();
    for ticket in tickets {
        let placed = queue.place(peer, ticket).await;
        places.push(placed.ok().map(|placed| (placed.ahead, placed.claimed)));
    }
    places
}

#[tokio::test]
async fn a_place_is_kept_through_claim_lapse_release_withdrawal_and_restart() {
    for on_disk in [false, true] {
        let mut setting = Setting::new(on_disk).await;
        let mut seeker = setting.relay.peer().await;
        let queue = Queue::create(&mut seeker).await;
        let mut tickets = Vec::new();
        for _ in 0..4 {
            tickets.push(queue.ask(&mut seeker).await);
        }
        let mut supporter = setting.supporter(&queue).await;
        let free = |ahead| Some((ahead, false));
        let taken = |ahead| Some((ahead, true));
        let all_wait = [free(0), free(1), free(2), free(3)];
        assert_eq!(places(&queue, &mut seeker, &tickets).await, all_wait);
        // Claimed: who stands behind moves up, who is claimed keeps its place.
        let (second, _) = take(&queue, &mut supporter, &tickets[1], 60_000).await;
        let one_taken = [free(0), taken(1), free(1), free(2)];
        assert_eq!(places(&queue, &mut seeker, &tickets).await, one_taken);
        // Given back, and lapsed to the millisecond: everybody stands where they stood.
        let seq = tickets[1].seq;
        queue.release(&mut supporter, seq, second).await.unwrap();
        assert_eq!(places(&queue, &mut seeker, &tickets).await, all_wait);
        let (second, _) = take(&queue, &mut supporter, &tickets[1], 60_000).await;
        setting.pass(60_000);
        assert_eq!(places(&queue, &mut seeker, &tickets).await, one_taken);
        let renewed = queue.renew(&mut supporter, seq, second, 30_000).await;
        assert_eq!(renewed.unwrap().ms, 30_000);
        setting.pass(30_000);
        assert_eq!(places(&queue, &mut seeker, &tickets).await, one_taken);
        setting.pass(1);
        assert_eq!(places(&queue, &mut seeker, &tickets).await, all_wait);
        let late = queue.renew(&mut supporter, seq, second, 30_000).await;
        assert_eq!(code(late), Some(ErrorCode::LeaseLost));
        // A restart moves nobody, and a live lease goes on with its number for all of its time.
        let (third, _) = take(&queue, &mut supporter, &tickets[2], 60_000).await;
        setting.pass(50_000);
        let before = places(&queue, &mut seeker, &tickets).await;
        assert_eq!(before, [free(0), free(1), taken(2), free(2)]);
        setting = setting.restart().await;
        let mut seeker = setting.relay.peer().await;
        let mut supporter = setting.supporter(&queue).await;
        assert_eq!(places(&queue, &mut seeker, &tickets).await, before);
        setting.pass(59_999);
        let seq = tickets[2].seq;
        let other = queue.claim(&mut supporter, seq, 60_000).await.unwrap_err();
        assert_eq!(
            (other.code, other.retry_after_ms),
            (ErrorCode::Claimed, Some(1))
        );
        let renewed = queue.renew(&mut supporter, seq, third, 60_000).await;
        assert_eq!(renewed.unwrap().lease, third);
        queue.release(&mut supporter, seq, third).await.unwrap();
        // Withdrawn: gone for good, whatever is claimed, and those behind move up.
        queue.withdraw(&mut seeker, &tickets[0]).await.unwrap();
        let (last, _) = take(&queue, &mut supporter, &tickets[3], 60_000).await;
        queue.withdraw(&mut seeker, &tickets[3]).await.unwrap();
        let left = [None, free(0), free(1), None];
        assert_eq!(places(&queue, &mut seeker, &tickets).await, left);
        let renewed = queue.renew(&mut supporter, tickets[3].seq, last, 1).await;
        assert_eq!(code(renewed), Some(ErrorCode::LeaseLost));
        setting = setting.restart().await;
        let mut seeker = setting.relay.peer().await;
        assert_eq!(places(&queue, &mut seeker, &tickets).await, left);
        setting.relay.stop().await;
    }
}

#[tokio::test]
async fn fifty_who_claim_one_ticket_at_the_same_moment_are_one_holder_and_49_refused() {
    for on_disk in [false, true] {
        let setting = Setting::new(on_disk).await;
        let mut seeker = setting.relay.peer().await;
        let queue = Queue::create(&mut seeker).await;
        let ticket = queue.ask(&mut seeker).await;
        let mut claimers = Vec::new();
        for _ in 0..50 {
            claimers.push(setting.supporter(&queue).await);
        }
        let mut earlier = 0;
        for _ in 0..3 {
            for claimer in &mut claimers {
                let verb = claim(claimer.day(), queue.id(), ticket.seq, 60_000, retry());
                claimer.ask(verb).await;
            }
            let (mut leases, mut refused) = (Vec::new(), 0);
            for claimer in &mut claimers {
                match claimer.hear().await {
                    Heard::Done(_, Answer::Claimed(claimed)) => leases.push(claimed),
                    Heard::Refused(_, refusal) => {
                        assert_eq!(refusal.code, ErrorCode::Claimed);
                        assert_eq!(refusal.retry_after_ms, Some(60_001));
                        refused += 1;
                    }
                    other => panic!("not an answer: {other:?}"),
                }
            }
            assert_eq!((leases.len(), refused), (1, 49));
            assert!(leases[0].held.is_some() && leases[0].lease > earlier);
            earlier = leases[0].lease;
            setting.pass(60_001);
        }
        setting.relay.stop().await;
    }
}

#[tokio::test]
async fn a_claim_that_is_repeated_after_its_time_is_answered_with_a_dead_lease() {
    for on_disk in [false, true] {
        let mut setting = Setting::new(on_disk).await;
        let mut seeker = setting.relay.peer().await;
        let queue = Queue::create(&mut seeker).await;
        let ticket = queue.ask(&mut seeker).await;
        let mut supporter = setting.supporter(&queue).await;
        let first = claim(supporter.day(), queue.id(), ticket.seq, 60_000, retry());
        let answer = claimed(supporter.call(first.clone()).await).unwrap();
        let held = HeldPart::read(answer.held.as_ref().unwrap().as_slice()).unwrap();
        // The answer was lost, and is had again, over a restart as well.
        assert_eq!(
            claimed(supporter.call(first.clone()).await).unwrap(),
            answer
        );
        setting = setting.restart().await;
        let mut supporter = setting.supporter(&queue).await;
        assert_eq!(
            claimed(supporter.call(first.clone()).await).unwrap(),
            answer
        );
        let renewed = queue.renew(&mut supporter, ticket.seq, answer.lease, 60_000);
        assert_eq!(renewed.await.unwrap().lease, answer.lease);
        // After its time the answer is the same, and worth nothing.
        setting.pass(60_001);
        let mut other = setting.supporter(&queue).await;
        let (live, _) = take(&queue, &mut other, &ticket, 60_000).await;
        assert_eq!(claimed(supporter.call(first).await).unwrap(), answer);
        let renewed = queue.renew(&mut supporter, ticket.seq, answer.lease, 60_000);
        assert_eq!(code(renewed.await), Some(ErrorCode::LeaseLost));
        let released = queue.release(&mut supporter, ticket.seq, answer.lease);
        assert_eq!(code(released.await), Some(ErrorCode::LeaseLost));
        open_inbox(&mut supporter, &held).await.unwrap();
        let dead = (ticket.seq, answer.lease);
        let attempt = queue.answer(&supporter, dead, &held.inbox, "stolen");
        assert_eq!(
            send(&mut supporter, attempt).await,
            Some((ErrorCode::LeaseLost, Some(0)))
        );
        // Nothing of it touched the lease that is live.
        let renewed = queue.renew(&mut other, ticket.seq, live, 60_000).await;
        assert_eq!(renewed.unwrap().lease, live);
        setting.relay.stop().await;
    }
}

/// Everything that is heard of the queue by those who have no live lease, searched for the bytes.
#[tokio::test]
async fn the_held_part_reaches_the_holder_of_the_lease_and_nobody_else() {
    for on_disk in [false, true] {
        let setting = Setting::new(on_disk).await;
        let mut seeker = setting.relay.peer().await;
        let queue = Queue::create(&mut seeker).await;
        let (mut reader, mut supporter, mut late) = (
            setting.relay.peer().await,
            setting.supporter(&queue).await,
            setting.supporter(&queue).await,
        );
        reader.open_log(&queue.id(), &queue.reads).await.unwrap();
        reader.follow(&queue.id(), 100).await.unwrap();
        late.follow(&queue.id(), 100).await.unwrap();
        let ticket = queue.ask(&mut seeker).await;
        let secrets = [
            ticket.reply.to_bytes().to_vec(),
            ticket.inbox.id().as_bytes().to_vec(),
            seeker
                .prove(&ticket.owner, Purpose::Own, &queue.id())
                .key
                .as_bytes()
                .to_vec(),
        ];
        let holds = |answer: &[u8], secret: &[u8]| {
            let mut windows = answer.windows(secret.len());
            windows.any(|window| window == secret)
        };
        let mut said = Vec::new();
        for peer in [&mut reader, &mut late] {
            let Heard::Push(push) = peer.hear().await else {
                panic!("not a push");
            };
            said.push(cbor::encode(&push).unwrap());
        }
        let (lease, _) = take(&queue, &mut supporter, &ticket, 60_000).await;
        for round in 0..2 {
            for peer in [&mut reader, &mut late] {
                let page = peer.read(&queue.id(), 0).await.unwrap();
                said.push(cbor::encode(&page).unwrap());
            }
            let renewed = queue.renew(&mut supporter, ticket.seq, lease, 60_000).await;
            said.push(cbor::encode(&renewed.unwrap()).unwrap());
            if round == 0 {
                let refused = queue.claim(&mut late, ticket.seq, 60_000).await;
                said.push(cbor::encode(&refused.unwrap_err()).unwrap());
                let unheard = queue.claim(&mut reader, ticket.seq, 60_000).await;
                let unheard = unheard.unwrap_err();
                assert_eq!(unheard.code, ErrorCode::Refused);
                said.push(cbor::encode(&unheard).unwrap());
            }
        }
        let place = queue.place(&mut seeker, &ticket).await.unwrap();
        said.push(cbor::encode(&place).unwrap());
        for secret in &secrets {
            assert!(!said.iter().any(|answer| holds(answer, secret)));
        }
        // The search finds what is there: two of the three in the answer to a claim that is won.
        setting.pass(60_001);
        let won = queue.claim(&mut late, ticket.seq, 60_000).await.unwrap();
        let won = cbor::encode(&won).unwrap();
        let found = secrets.iter().filter(|secret| holds(&won, secret)).count();
        assert_eq!(found, 2, "the owner's key is told to no claimer");
        setting.relay.stop().await;
    }
}

/// Leaving and being answered at the same moment: one of them happens.
#[tokio::test]
async fn who_leaves_while_being_answered_is_either_answered_or_gone() {
    for on_disk in [false, true] {
        let setting = Setting::new(on_disk).await;
        let mut seeker = setting.relay.peer().await;
        let queue = Queue::create(&mut seeker).await;
        let mut supporter = setting.supporter(&queue).await;
        let mut outcomes = Vec::new();
        for round in 0..20 {
            let ticket = queue.ask(&mut seeker).await;
            let (lease, held) = take(&queue, &mut supporter, &ticket, 60_000).await;
            open_inbox(&mut supporter, &held).await.unwrap();
            let answer = queue.answer(&supporter, (ticket.seq, lease), &held.inbox, "hello");
            let (answered, left) = if round % 2 == 0 {
                tokio::join!(
                    send(&mut supporter, answer),
                    queue.withdraw(&mut seeker, &ticket)
                )
            } else {
                let (left, answered) = tokio::join!(
                    queue.withdraw(&mut seeker, &ticket),
                    send(&mut supporter, answer)
                );
                (answered, left)
            };
            let letters = letters(&mut seeker, &ticket).await;
            match left {
                Ok(_) => {
                    assert_eq!(answered, Some((ErrorCode::LeaseLost, Some(0))));
                    assert!(letters.is_empty(), "an answer to one who had left");
                }
                Err(refusal) => {
                    assert_eq!((refusal.code, answered), (ErrorCode::Refused, None));
                    assert_eq!(letters, ["hello"]);
                }
            }
            outcomes.push(answered.is_none());
            // The connection keeps no more logs open than it may.
            if round % 8 == 7 {
                seeker = setting.relay.peer().await;
                supporter = setting.supporter(&queue).await;
            }
        }
        assert!(outcomes.contains(&true) && outcomes.contains(&false));
        setting.relay.stop().await;
    }
}
