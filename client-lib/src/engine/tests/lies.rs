//! A relay that shows two people two histories, or one thing twice; and what a link holder sees who
//! never joins, even where the relay helps.

use super::*;
use crate::link::LinkBody;
use crate::mls::Follower;
use crate::seal::{self, Envelope, EnvelopeBody, Packet};

/// Ann and Ben are shown the same up to here, then each what they say themselves.
struct Forked {
    room: Room,
    for_ann: TestLog,
    /// Where the two histories part.
    seq: u64,
}

impl Forked {
    fn new() -> Self {
        let mut room = Room::new(&["Ann", "Ben"]);
        let for_ben = room.log.clone();
        let seq = room.log.entries.len() as u64 + 1;
        room.go_offline("Ben", true);
        room.say("Ann", "to Ann alone");
        room.settle();
        room.go_offline("Ann", true);
        let for_ann = std::mem::replace(&mut room.log, for_ben);
        room.go_offline("Ben", false);
        room.say("Ben", "to Ben alone");
        room.settle();
        assert_eq!(room.log.entries.len() as u64, seq);
        Self { room, for_ann, seq }
    }

    /// What Ben just wrote is carried over into the history that Ann is shown.
    fn carry_over(&mut self) {
        let (entry, _) = self.room.log.entries.last().unwrap().clone();
        let fence = entry.fence.map(|_| self.for_ann.fence);
        let new = NewEntry {
            held: None,
            owner: None,
            sealed: entry.sealed,
            commitment: entry.commitment,
            last_resort: false,
        };
        self.for_ann.push(&new, fence, false);
        std::mem::swap(&mut self.room.log, &mut self.for_ann);
        self.room.go_offline("Ben", true);
        self.room.go_offline("Ann", false);
        self.room.settle();
    }

    fn forks_that_ann_was_told(&self) -> Vec<(u64, Option<LeafId>)> {
        let events = self.room.of("Ann").events.iter();
        let forks = events.filter_map(|event| match event {
            Event::Fork { seq, signed_by } => Some((*seq, *signed_by)),
            _ => None,
        });
        forks.collect()
    }
}

#[test]
fn a_word_from_the_other_side_of_a_fork_names_where_the_histories_part() {
    let mut forked = Forked::new();
    forked.room.say("Ben", "from the other side");
    forked.room.settle();
    forked.carry_over();
    assert_eq!(forked.forks_that_ann_was_told(), [(forked.seq, None)]);
}

#[test]
fn a_commit_from_the_other_side_of_a_fork_is_signed_by_who_saw_it() {
    let mut forked = Forked::new();
    let engine = forked.room.engine("Ben");
    engine.want(saved::Intent::Update);
    drop(engine.finish(NOON));
    forked.room.settle();
    forked.carry_over();
    let ben = forked.room.leaf("Ben");
    assert_eq!(
        forked.forks_that_ann_was_told(),
        [(forked.seq, None), (forked.seq, Some(ben))]
    );
}

#[test]
fn what_a_relay_repeats_under_another_number_is_shown_once_and_counted() {
    let mut room = Room::new(&["Ann", "Ben"]);
    room.say("Ann", "once");
    room.settle();
    let (entry, _) = room.log.entries.last().unwrap().clone();
    let again = NewEntry {
        held: None,
        owner: None,
        sealed: entry.sealed,
        commitment: entry.commitment,
        last_resort: false,
    };
    room.log.push(&again, None, false);
    room.settle();
    assert_eq!(room.texts("Ben"), ["once"]);
    assert!(room.has("Ben", |event| *event == Event::Junk { count: 1 }));
    room.assert_one_epoch(&["Ann", "Ben"]);
}

/// Everything that somebody with the link can open, of every entry, also of those that the relay
/// gives to members only; and how many leaves they see.
fn seen_with(link: &Link, log: &TestLog) -> (Vec<Vec<u8>>, usize) {
    let LinkBody::Room(link) = &link.0 else {
        panic!("a link into a room")
    };
    let generation = link.secret.generation(&link.log);
    let (mut opened, mut follower) = (Vec::new(), None);
    for (entry, _) in &log.entries {
        let plain = seal::open(&generation, &link.log, entry.sealed.as_slice()).unwrap();
        let Ok(Packet::Whole(envelope)) = sotto_protocol::cbor::decode::<Packet<'_>>(&plain) else {
            panic!("a whole envelope")
        };
        follow(&envelope, &mut follower);
        opened.push(plain.to_vec());
    }
    (opened, follower.unwrap().leaves().len())
}

fn follow(envelope: &Envelope<'_>, follower: &mut Option<Follower>) {
    match (&envelope.body, follower) {
        (EnvelopeBody::Snapshot(snapshot), follower) => {
            let (info, tree) = (snapshot.info.as_slice(), snapshot.tree.as_slice());
            *follower = Some(Follower::start(info, tree).unwrap());
        }
        (EnvelopeBody::Commit(body), Some(follower)) => {
            follower.apply(body.commit.as_slice()).unwrap();
        }
        _ => {}
    }
}

#[test]
fn who_holds_a_link_and_does_not_join_counts_nameless_leaves_and_reads_no_name_and_no_word() {
    let names = ["Wilhelmina", "Bartholomew", "Clementine"];
    let mut room = Room::new(&names);
    let said = ["the heron waits by the mill", "seven grey stones"];
    room.say("Wilhelmina", said[0]);
    room.say("Bartholomew", said[1]);
    room.settle();
    let link = room.devices[0].engine.link().unwrap();
    let (opened, leaves) = seen_with(&link, &room.log);
    assert_eq!(leaves, 3);
    let holds =
        |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|at| at == text.as_bytes());
    for text in names.iter().chain(&said) {
        assert!(!opened.iter().any(|plain| holds(plain, text)), "{text}");
    }
    // The search is not blind: what every entry of a Commit holds, it finds.
    assert!(opened.iter().any(|plain| holds(plain, "commit")));
    // And their key at the relay opens pinned and fenced entries only.
    let join = Rights::PEEK.union(Rights::APPEND).union(Rights::FENCE);
    assert_eq!(begin::JOIN_RIGHTS, join);
}
