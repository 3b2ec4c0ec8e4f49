//! Grants that append only with the end of an owner's entry: an inbox that takes the answer to one
//! ticket from whoever has the ticket's lease, and from nobody else.

use sotto_protocol::frame::{LeaseCondition, Refusal, Release};

use super::disk::{TestDisk, bench_at, stop};
use super::model::Failing;
use super::verbs::{code, withdraw};
use super::*;

/// Owns the inbox.
const SEEKER: u8 = 2;
/// Appends to the inbox with the end of the ticket.
const WRITER: u8 = 3;
/// Claims tickets.
const SUPPORTER: u8 = 4;
/// Claims tickets too.
const OTHER: u8 = 5;
/// The owner of the ticket that the inbox waits for.
const OWNER: u8 = 101;

/// A queue with four tickets, two of them of the owner, and the inbox.
struct Desk {
    bench: Bench,
    folder: Option<tempfile::TempDir>,
    queue: LogId,
    inbox: LogId,
}

fn bound(byte: u8, owner: u8) -> Grant {
    Grant {
        ends: Some(key(owner)),
        ..grant(byte, Rights::APPEND)
    }
}

fn ticket(queue: LogId, owner: Option<u8>) -> Item<'static> {
    let entry = NewEntry {
        owner: owner.map(key),
        ..entry(1)
    };
    Item {
        entries: vec![entry],
        ..item(queue, 1)
    }
}

fn leased(log: LogId, seq: u64, lease: u64, end: bool) -> Item<'static> {
    Item {
        lease: Some(LeaseCondition { end, seq, lease }),
        entries: vec![],
        ..item(log, 0)
    }
}

impl Desk {
    async fn new(on_disk: bool) -> Self {
        Self::with(on_disk, vec![bound(WRITER, OWNER)]).await
    }

    async fn with(on_disk: bool, writers: Vec<Grant>) -> Self {
        let folder = on_disk.then(|| tempfile::tempdir().unwrap());
        let clock = Arc::new(ManualClock::at_day(DAY));
        let mut bench = match &folder {
            Some(folder) => bench_at(folder.path(), TestDisk::open(), clock).await,
            None => Bench::new().await,
        };
        let claimers = [SUPPORTER, OTHER].map(|by| grant(by, Rights::READ | Rights::CLAIM));
        let manager = [grant(SEEKER, Rights::ALL)];
        let grants = manager.iter().cloned().chain(claimers).collect();
        let queue = bench.create(1, grants).await;
        let grants = manager.into_iter().chain(writers).collect();
        let inbox = bench.create(7, grants).await;
        let tickets = [Some(OWNER), Some(OWNER), Some(OWNER + 1), None];
        for owner in tickets {
            let ticket = ticket(queue, owner);
            bench.append(vec![ticket], &[SEEKER]).await.unwrap();
        }
        Self {
            bench,
            folder,
            queue,
            inbox,
        }
    }

    async fn restart(self) -> Self {
        let Self { bench, folder, .. } = self;
        let bench = match &folder {
            None => bench.restart().await,
            Some(folder) => {
                let clock = Arc::clone(&bench.clock);
                stop(bench).await;
                bench_at(folder.path(), TestDisk::open(), clock).await
            }
        };
        Self {
            bench,
            folder,
            ..self
        }
    }

    async fn claim(&mut self, seq: u64, by: u8) -> u64 {
        self.bench.claim(self.queue, seq, by).await.unwrap().lease
    }

    async fn answers(&self) -> usize {
        self.bench.seqs(self.inbox, SEEKER).await.len()
    }

    /// Everything of both logs, grants and books included.
    async fn seen(&self) -> Vec<String> {
        let mut seen = Vec::new();
        for log in [&self.queue, &self.inbox] {
            let keys = keys(&[SEEKER]);
            let logs = &self.bench.logs;
            seen.push(format!("{:?}", logs.describe(log, &keys).await.unwrap()));
            let page = logs.page(log, &keys, Lane::All, 0, 1_000).await.unwrap();
            let entries = page.entries.iter();
            seen.extend(entries.map(|entry| format!("{} {}", entry.seq, entry.claimed)));
        }
        seen
    }

    /// An append that must be refused for the lack of the end, and change nothing.
    async fn is_refused(&mut self, items: Vec<Item<'static>>, by: &[u8], what: &str) {
        let before = self.seen().await;
        let place = items.iter().position(|item| item.log == self.inbox);
        let place = place.map(|place| u16::try_from(place).unwrap());
        let refused = self.bench.append(items, by).await.unwrap_err();
        let expected = Refusal {
            item: place,
            ..Refusal::of(ErrorCode::LeaseLost)
        };
        assert_eq!(refused, expected, "{what}");
        assert_eq!(self.seen().await, before, "{what}");
    }
}

#[tokio::test]
async fn what_does_not_end_the_owners_entry_is_refused_and_changes_nothing() {
    for on_disk in [false, true] {
        let mut desk = Desk::new(on_disk).await;
        let (queue, inbox) = (desk.queue, desk.inbox);
        let own = desk.claim(1, SUPPORTER).await;
        let foreign = desk.claim(2, OTHER).await;
        let of_another_owner = desk.claim(3, SUPPORTER).await;
        let of_nobody = desk.claim(4, SUPPORTER).await;
        let both = [WRITER, SUPPORTER];
        let letter = || item(inbox, 9);
        let cases = [
            ("alone", vec![letter()]),
            ("kept", vec![letter(), leased(queue, 1, own, false)]),
            (
                "another owner's",
                vec![letter(), leased(queue, 3, of_another_owner, true)],
            ),
            (
                "nobody's",
                vec![leased(queue, 4, of_nobody, true), letter()],
            ),
            (
                "another's lease",
                vec![letter(), leased(queue, 2, foreign, true)],
            ),
            (
                "another number",
                vec![letter(), leased(queue, 1, own + 1, true)],
            ),
            (
                "another entry's number",
                vec![leased(queue, 1, of_nobody, true), letter()],
            ),
            ("no entry", vec![letter(), leased(queue, 9, own, true)]),
        ];
        for (what, items) in cases {
            desk.is_refused(items, &both, what).await;
        }
        // One of two letters is as little as one.
        let items = vec![leased(queue, 3, of_another_owner, true), letter(), letter()];
        desk.is_refused(items, &both, "two letters").await;
        // The right one, of whom the lease is not.
        let items = vec![letter(), leased(queue, 1, own, true)];
        desk.is_refused(items, &[WRITER, OTHER], "not the caller's")
            .await;
        let items = vec![letter(), leased(queue, 1, own, true)];
        desk.bench.append(items, &both).await.unwrap();
        assert_eq!(desk.answers().await, 1);
        stop(desk.bench).await;
    }
}

#[tokio::test]
async fn whichever_order_the_items_have_exactly_one_append_goes_through() {
    for on_disk in [false, true] {
        for order in 0..4 {
            let mut desk = Desk::new(on_disk).await;
            let (queue, inbox) = (desk.queue, desk.inbox);
            let lease = desk.claim(1, SUPPORTER).await;
            let (letter, end) = (item(inbox, 9), leased(queue, 1, lease, true));
            let items = match order {
                0 => vec![letter.clone(), end.clone()],
                1 => vec![end.clone(), letter.clone()],
                2 => vec![letter.clone(), end.clone(), letter.clone()],
                // With the end of another entry beside it, and a note for the queue in the end.
                _ => {
                    let other = desk.claim(3, SUPPORTER).await;
                    vec![leased(queue, 3, other, true), end.clone(), letter.clone()]
                }
            };
            let letters = if order == 2 { 2 } else { 1 };
            let change = desk.bench.append_change(items, &[WRITER, SUPPORTER]);
            let answer = desk.bench.logs.change(change.clone()).await.unwrap();
            assert_eq!(desk.answers().await, letters, "order {order}");
            assert!(!desk.bench.seqs(queue, SEEKER).await.contains(&1));
            // The answer was lost, then the relay's power, then the day was over.
            let repeated = desk.bench.logs.change(change.clone()).await.unwrap();
            assert_eq!(repeated, answer);
            let mut desk = desk.restart().await;
            desk.bench.trim(queue, 9).await.unwrap();
            desk.bench.clock.advance(crate::clock::DAY / 2);
            desk.bench.clock.advance(crate::clock::DAY / 2);
            desk.bench.logs.sweep().await.unwrap();
            let repeated = desk.bench.logs.change(change).await.unwrap();
            assert_eq!(repeated, answer);
            assert_eq!(desk.answers().await, letters);
            // It is over: the same once more is another append, and there is nothing to end.
            for items in [vec![letter.clone()], vec![letter, end]] {
                desk.is_refused(items, &[WRITER, SUPPORTER], "after the end")
                    .await;
            }
            stop(desk.bench).await;
        }
    }
}

#[tokio::test]
async fn who_lost_the_lease_does_not_get_in_before_the_one_who_has_it() {
    for on_disk in [false, true] {
        let mut desk = Desk::new(on_disk).await;
        let (queue, inbox) = (desk.queue, desk.inbox);
        let answer = |seq, lease| vec![item(inbox, 9), leased(queue, seq, lease, true)];
        let lapsed = desk.claim(1, SUPPORTER).await;
        desk.bench.clock.advance_monotonic(Duration::from_secs(60));
        let by = [WRITER, SUPPORTER];
        desk.bench.clock.advance_monotonic(Duration::from_millis(1));
        desk.is_refused(answer(1, lapsed), &by, "lapsed").await;
        let live = desk.claim(1, OTHER).await;
        for number in [lapsed, live] {
            desk.is_refused(answer(1, number), &by, "claimed by another")
                .await;
        }
        let given_back = desk.claim(2, SUPPORTER).await;
        let release = Release {
            log: queue,
            seq: 2,
            lease: given_back,
        };
        let release = Change::Release(release, caller(&by));
        desk.bench.logs.change(release).await.unwrap();
        desk.is_refused(answer(2, given_back), &by, "released")
            .await;
        // Over a restart the live lease goes on, and no other does.
        let mut desk = desk.restart().await;
        desk.is_refused(answer(1, lapsed), &by, "lapsed, after a restart")
            .await;
        let items = answer(1, live);
        desk.bench.append(items, &[WRITER, OTHER]).await.unwrap();
        assert_eq!(desk.answers().await, 1);
        stop(desk.bench).await;
    }
}

#[tokio::test]
async fn a_ticket_that_is_withdrawn_trimmed_or_over_takes_its_answer_with_it() {
    for on_disk in [false, true] {
        for how in 0..3 {
            let mut desk = Desk::new(on_disk).await;
            let (queue, inbox) = (desk.queue, desk.inbox);
            let lease = desk.claim(1, SUPPORTER).await;
            match how {
                0 => {
                    let (day, retry) = (desk.bench.today(), desk.bench.retry());
                    let withdraw = withdraw(queue, 1, OWNER, day, retry);
                    desk.bench.logs.change(withdraw).await.unwrap();
                }
                1 => drop(desk.bench.trim(queue, 1).await.unwrap()),
                _ => {
                    // 30 days with the lease renewed by nobody.
                    for _ in 0..64 {
                        desk.bench.clock.advance(crate::clock::DAY / 2);
                        desk.bench.logs.sweep().await.unwrap();
                    }
                }
            }
            let items = vec![leased(queue, 1, lease, true), item(inbox, 9)];
            desk.is_refused(items, &[WRITER, SUPPORTER], "gone").await;
            stop(desk.bench).await;
        }
    }
}

#[tokio::test]
async fn of_two_entries_with_one_owner_the_end_of_either_serves() {
    let mut desk = Desk::new(false).await;
    let (queue, inbox) = (desk.queue, desk.inbox);
    for seq in [2, 1] {
        let lease = desk.claim(seq, SUPPORTER).await;
        let items = vec![item(inbox, 9), leased(queue, seq, lease, true)];
        desk.bench
            .append(items, &[WRITER, SUPPORTER])
            .await
            .unwrap();
    }
    assert_eq!(desk.answers().await, 2);
}

#[tokio::test]
async fn one_append_answers_several_tickets_each_with_its_own_end() {
    let mut desk = Desk::with(false, vec![bound(WRITER, OWNER), bound(6, OWNER + 1)]).await;
    let (queue, inbox) = (desk.queue, desk.inbox);
    let one = desk.claim(1, SUPPORTER).await;
    let items = vec![item(inbox, 9), leased(queue, 1, one, true)];
    desk.is_refused(items.clone(), &[6, SUPPORTER], "the other's key")
        .await;
    let three = desk.claim(3, SUPPORTER).await;
    let ends = [leased(queue, 3, three, true)].into_iter().chain(items);
    desk.bench
        .append(ends.collect(), &[WRITER, 6, SUPPORTER])
        .await
        .unwrap();
    // An entry is ended once: twice in one append refuses all of it.
    let two = desk.claim(2, SUPPORTER).await;
    let end = || leased(queue, 2, two, true);
    let twice = vec![end(), item(inbox, 9), end()];
    let refused = desk.bench.append(twice, &[WRITER, SUPPORTER]).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.code, refused.item),
        (ErrorCode::LeaseLost, Some(2))
    );
    assert_eq!(desk.answers().await, 1);
}

#[tokio::test]
async fn a_bound_grant_is_used_only_where_no_other_serves() {
    let free = Grant {
        rate: Some(1),
        work: Some(3),
        ..grant(6, Rights::APPEND)
    };
    let slow = Grant {
        rate: Some(1),
        ..bound(WRITER, OWNER)
    };
    let mut desk = Desk::with(false, vec![slow, free]).await;
    let (queue, inbox) = (desk.queue, desk.inbox);
    let keys = [WRITER, 6, SUPPORTER];
    let letter = || vec![item(inbox, 9)];
    let lease = desk.claim(1, SUPPORTER).await;
    let answer = || vec![item(inbox, 9), leased(queue, 1, lease, true)];
    // Without the end the free one is what serves, and what has to be paid for.
    for (items, by, bits, outcome) in [
        (letter(), &keys[..], 2, Err(ErrorCode::WorkNeeded)),
        (letter(), &keys, 3, Ok(())),
        (letter(), &keys, 3, Err(ErrorCode::Busy)),
        // With it too; the bound one is counted by itself where it is the only one.
        (answer(), &keys, 3, Err(ErrorCode::Busy)),
        (answer(), &[WRITER, SUPPORTER], 0, Ok(())),
    ] {
        let mut change = desk.bench.append_change(items, by);
        if let Change::Append { work_bits, .. } = &mut change {
            *work_bits = bits;
        }
        let answered = desk.bench.logs.change(change).await;
        let answered = answered.map(drop).map_err(|refusal| refusal.code);
        assert_eq!(answered, outcome);
    }
    assert_eq!(desk.answers().await, 2);
}

#[tokio::test]
async fn a_bound_grant_gives_no_right_but_to_append_and_binds_no_other_key() {
    let mut desk = Desk::with(
        false,
        vec![bound(WRITER, OWNER), grant(6, Rights::READ | Rights::PIN)],
    )
    .await;
    let (queue, inbox) = (desk.queue, desk.inbox);
    let lease = desk.claim(1, SUPPORTER).await;
    let end = || leased(queue, 1, lease, true);
    // Fenced, pinned, reading: what it does not give is refused as ever.
    for letter in [
        fenced(inbox, 9, 0),
        Item {
            pin: true,
            ..item(inbox, 9)
        },
    ] {
        let refused = desk.bench.append(vec![letter, end()], &[WRITER, SUPPORTER]);
        assert_eq!(code(refused.await), ErrorCode::Refused);
    }
    let logs = desk.bench.logs.clone();
    let page = |by: u8| {
        let (logs, keys) = (logs.clone(), keys(&[by]));
        async move { logs.page(&inbox, &keys, Lane::All, 0, 9).await }
    };
    assert_eq!(code(page(WRITER).await), ErrorCode::Refused);
    assert!(page(6).await.is_ok());
    // Beside a key that pins, it pins, and is bound all the same.
    let pinned = || Item {
        pin: true,
        ..item(inbox, 9)
    };
    let by = [WRITER, 6, SUPPORTER];
    desk.is_refused(vec![pinned()], &by, "pinned").await;
    desk.bench.append(vec![pinned(), end()], &by).await.unwrap();
    assert_eq!(page(6).await.unwrap().entries.len(), 1);
    // The seeker's own key is free.
    desk.bench
        .append(vec![item(inbox, 8)], &[SEEKER])
        .await
        .unwrap();
}

#[tokio::test]
async fn no_list_may_bind_another_right_and_no_admission_frees_a_bound_key() {
    let mut desk = Desk::new(false).await;
    let inbox = desk.inbox;
    let odd = Rights::TABLE.map(|(right, _)| right | Rights::APPEND);
    let odd = odd.into_iter().filter(|rights| *rights != Rights::APPEND);
    for rights in odd.chain([Rights::READ, Rights::FENCE]) {
        let bound = Grant {
            rights,
            ..bound(9, OWNER)
        };
        let list = vec![grant(SEEKER, Rights::ALL), bound];
        let refused = desk.bench.set_grants(inbox, false, list, 1).await;
        assert_eq!(code(refused), ErrorCode::BadRequest, "{rights:?}");
    }
    let list = vec![grant(SEEKER, Rights::ALL), bound(9, OWNER)];
    desk.bench.set_grants(inbox, false, list, 1).await.unwrap();
    let appends = Policy {
        admit_rights: Rights::APPEND,
        ..policy()
    };
    let grants = vec![grant(SEEKER, Rights::ALL), bound(WRITER, OWNER)];
    let log = desk.bench.create_with(8, grants, appends).await;
    let admitting = Item {
        admit: Some(key(WRITER)),
        ..fenced(log, 1, 0)
    };
    let refused = desk.bench.append(vec![admitting], &[SEEKER]).await;
    assert_eq!(code(refused), ErrorCode::BadRequest);
}

#[tokio::test]
async fn a_list_that_is_replaced_or_cut_keeps_the_owner_of_what_it_keeps() {
    for on_disk in [false, true] {
        let mut desk = Desk::new(on_disk).await;
        let inbox = desk.inbox;
        let list = vec![grant(SEEKER, Rights::ALL), bound(WRITER, OWNER + 1)];
        desk.bench
            .set_grants(inbox, true, list.clone(), 1)
            .await
            .unwrap();
        let desk = desk.restart().await;
        let described = desk.bench.logs.describe(&inbox, &keys(&[SEEKER])).await;
        assert_eq!(described.unwrap().grants, list);
        let mut desk = desk;
        let lease = desk.claim(3, SUPPORTER).await;
        let items = vec![item(inbox, 9), leased(desk.queue, 3, lease, true)];
        desk.bench
            .append(items, &[WRITER, SUPPORTER])
            .await
            .unwrap();
        // Who only appends has nothing to read on with.
        let list = vec![grant(SEEKER, Rights::ALL)];
        desk.bench
            .set_grants(inbox, true, list.clone(), 2)
            .await
            .unwrap();
        let described = desk.bench.logs.describe(&inbox, &keys(&[SEEKER])).await;
        assert_eq!(described.unwrap().grants, list);
        stop(desk.bench).await;
    }
}

/// Whoever has no right in the queue learns nothing of what lies there, in words or in work.
#[tokio::test]
async fn an_outsider_who_names_an_end_makes_the_relay_read_nothing() {
    let failing = Failing::over(Arc::new(MemoryStore::new()));
    let keys = Arc::new(Keys::in_memory());
    let mut bench = Bench::over(Arc::clone(&failing) as Arc<dyn Store>, keys).await;
    let queue = bench.create(1, vec![grant(SEEKER, Rights::ALL)]).await;
    let inbox = bench.create(7, vec![bound(WRITER, OWNER)]).await;
    let owned = ticket(queue, Some(OWNER));
    bench.append(vec![owned], &[SEEKER]).await.unwrap();
    let lease = bench.claim(queue, 1, SEEKER).await.unwrap().lease;
    let mut reads = Vec::new();
    for (seq, lease) in [(1, lease), (1, lease + 1), (9, lease)] {
        let items = vec![item(inbox, 9), leased(queue, seq, lease, true)];
        let before = failing.reads();
        let refused = bench.append(items, &[WRITER]).await.unwrap_err();
        assert_eq!((refused.code, refused.item), (ErrorCode::Refused, Some(1)));
        reads.push(failing.reads() - before);
    }
    assert_eq!(reads, [reads[0]; 3]);
}
