//! A desk's queue against those who may claim and mean no good, over both engines: nobody but who
//! has the live lease answers, and each ticket is answered once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Append, Verb};
use sotto_server::clock::ManualClock;
use sotto_server::retention::Keys;
use sotto_server::store::{Folder, MemoryStore, SledOptions, Store};
use sotto_tests::peer::{Peer, secret};
use sotto_tests::queue::{HeldPart, Queue, Ticket, code, leased, letter, letters, open_inbox};
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

#[tokio::test(start_paused = true)]
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
        setting.pass(60_000);
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
#[tokio::test(start_paused = true)]
async fn an_entry_that_the_thief_made_itself_ends_nothing_of_the_seekers() {
    let setting = Setting::new(false).await;
    let mut seeker = setting.relay.peer().await;
    let queue = Queue::create(&mut seeker).await;
    let ticket = queue.ask(&mut seeker).await;
    let mut thief = setting.supporter(&queue).await;
    let (_, held) = take(&queue, &mut thief, &ticket, 60_000).await;
    setting.pass(60_000);
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

#[tokio::test(start_paused = true)]
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
