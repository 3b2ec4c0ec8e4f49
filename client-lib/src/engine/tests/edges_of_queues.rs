//! What waits in a conversation: every bound at its edge.
//!
//! The bounds stand here as numbers, so that none of them moves unnoticed.

use super::forgeries::inject;
use super::*;
use crate::engine::door::KeptKnock;
use crate::engine::saved::{Digest, Intent, Verdict};
use crate::seal::{EnvelopeBody, VerdictBody};

/// A leaf of nobody.
fn leaf(n: u16) -> LeafId {
    let mut bytes = [0x5a; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    LeafId::new(bytes)
}

fn digest(n: u8) -> Digest {
    Digest::of(&[n])
}

/// Ann facilitates; Cay, who does not, has renewed her keys, and `reader` took it: the Commit may
/// still be undone, and this is what a word on it names, and what it is known by.
fn open_commit(room: &mut Room, reader: &str) -> (Verdict, Digest) {
    let (fence, cay) = (room.log.fence, room.index("Cay"));
    room.engine("Cay").want(Intent::Update);
    for _ in 0..3 {
        room.step(cay);
    }
    assert_eq!(room.log.fence, fence + 1, "Cay's Commit stands in the log");
    let (index, now) = (room.index(reader), room.now);
    Room::give(&room.log, &room.id, &mut room.devices[index], now);
    let by = room.leaf("Cay");
    let newest = room.of(reader).engine.disputes.iter().next_back();
    let (dispute, before) = newest.expect("an open Commit");
    assert!(matches!(before, Before::Member(_)));
    assert_eq!(dispute.author, by);
    let (seq, commit) = (dispute.seq, dispute.commit);
    let opens = true;
    (Verdict { seq, opens, commit }, dispute.path)
}

#[test]
fn of_changes_that_wait_256_are_kept_and_the_next_only_once_one_is_done() {
    let mut room = Room::new(&["Ann"]);
    let ann = room.engine("Ann");
    for n in 0..255 {
        ann.saved.intents.push(Intent::Remove(leaf(n)));
    }
    ann.want(Intent::Remove(leaf(255)));
    assert_eq!(ann.saved.intents.len(), 256);
    assert_eq!(ann.saved.intents.last(), Some(&Intent::Remove(leaf(255))));
    let full = ann.saved.intents.clone();
    ann.want(Intent::Remove(leaf(256)));
    assert_eq!(ann.saved.intents, full, "one past it is dropped");
    ann.saved.intents.remove(0);
    ann.want(Intent::Remove(leaf(256)));
    assert_eq!(ann.saved.intents.last(), Some(&Intent::Remove(leaf(256))));
    assert_eq!(ann.saved.intents.len(), 256);
}

#[test]
fn of_words_on_commits_that_wait_16_are_kept_and_the_next_only_once_one_is_said() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let (word, _) = open_commit(&mut room, "Ann");
    let ann = room.engine("Ann");
    // Who wants to pin says so unasked.
    ann.saved.snapshot_due = true;
    ann.saved.verdicts = (0..15)
        .map(|n| Verdict {
            commit: digest(n),
            ..word
        })
        .collect();
    ann.acknowledge_unasked();
    assert_eq!(ann.saved.verdicts.len(), 16);
    assert_eq!(ann.saved.verdicts.last(), Some(&word));
    let last = ann.saved.verdicts.last_mut().unwrap();
    last.commit = digest(15);
    let full = ann.saved.verdicts.clone();
    ann.acknowledge_unasked();
    assert_eq!(ann.saved.verdicts, full, "one past it is dropped");
    ann.saved.verdicts.remove(0);
    ann.acknowledge_unasked();
    assert_eq!(ann.saved.verdicts.len(), 16);
    assert_eq!(ann.saved.verdicts.last(), Some(&word));
}

/// What Ben knows again, once a Commit is void after so many that were.
fn voids_after(count: u8) -> (Vec<Digest>, Vec<Digest>) {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let mut wanted: Vec<_> = (0..count).map(digest).collect();
    // The Commit puts them aside with the epoch, and its undoing brings them back.
    room.engine("Ben").saved.voids.clone_from(&wanted);
    let (word, path) = open_commit(&mut room, "Ben");
    let ann = &room.of("Ann").engine;
    let signed = VerdictBody::signed(&room.id, word.seq, false, &word.commit.0);
    let body = VerdictBody {
        by: ann.key.id(),
        seq: word.seq,
        opens: false,
        signature: ann.key.sign(&signed).to_vec(),
    };
    inject(&mut room, "Ann", EnvelopeBody::Verdict(body), true, false);
    let (ben, now) = (room.index("Ben"), room.now);
    Room::give(&room.log, &room.id, &mut room.devices[ben], now);
    wanted.push(path);
    (room.of("Ben").engine.saved.voids.clone(), wanted)
}

#[test]
fn of_void_commits_64_are_known_again_and_the_oldest_is_forgotten_for_one_more() {
    let (known, wanted) = voids_after(63);
    assert_eq!((known.len(), known), (64, wanted));
    let (known, wanted) = voids_after(64);
    assert_eq!((known.len(), known), (64, wanted[1..].to_vec()));
}

/// What somebody puts into the log who waits to be taken in.
fn package(n: u8) -> (LeafId, Vec<u8>) {
    let key = LeafKey::from_seed(&[n; 32]);
    let (package, _) = Group::key_package(Suite::Classic, &key, NOON.day()).unwrap();
    (key.id(), package)
}

fn wait(room: &mut Room, package: &[u8]) {
    let body = EnvelopeBody::Waiting(package.to_vec().into());
    inject(room, "Ann", body, false, false);
    room.settle();
}

#[test]
fn one_commit_takes_in_32_who_wait_and_who_came_after_them_waits_for_the_next() {
    let mut room = Room::new(&["Ann"]);
    let (epoch, junk) = (room.epoch("Ann"), room.of("Ann").engine.saved.junk);
    let waiting: Vec<_> = (100..133).map(package).collect();
    let ((last, late), first) = waiting.split_last().unwrap();
    assert_eq!(first.len(), 32);
    let packages: Vec<_> = first.iter().map(|(_, package)| package.clone()).collect();
    for package in &packages {
        wait(&mut room, package);
    }
    assert_eq!(room.of("Ann").engine.packages_waiting(), packages);
    assert_eq!(room.of("Ann").engine.saved.junk, junk);
    wait(&mut room, late);
    assert_eq!(room.of("Ann").engine.packages_waiting(), packages);
    assert_eq!(room.of("Ann").engine.saved.junk, junk + 1, "it is counted");
    room.now = room.now.plus_ms(1_000);
    room.settle();
    let members = room.of("Ann").engine.members();
    assert_eq!((members.len(), room.epoch("Ann")), (33, epoch + 1));
    for (leaf, _) in first {
        assert!(members.iter().any(|member| member.leaf == *leaf));
    }
    // Said again, as who waits does, it has a place.
    wait(&mut room, late);
    room.now = room.now.plus_ms(1_000);
    room.settle();
    let members = room.of("Ann").engine.members();
    assert_eq!((members.len(), room.epoch("Ann")), (34, epoch + 2));
    assert!(members.iter().any(|member| member.leaf == *last));
}

#[test]
fn the_work_of_a_join_rises_to_22_bits_and_no_further() {
    let mut room = Room::new(&["Ann"]);
    let ann = room.engine("Ann");
    ann.saved.spoiled_joins = disputing::SPOILED_JOINS_MAX;
    for (now, next) in [(0, 16), (16, 18), (18, 20), (20, 22), (21, 22), (22, 22)] {
        ann.saved.join_work = now;
        assert_eq!(ann.next_join_work(), next, "after {now}");
        let grant = ann.join_grant(ann.newest_secret().unwrap());
        assert_eq!(grant.work, Some(next), "after {now}");
    }
    // Whatever a relay says that it is now.
    for now in [28, u8::MAX] {
        ann.saved.join_work = now;
        assert_eq!(ann.next_join_work(), 22, "after {now}");
        ann.saved.spoiled_joins = 1;
        assert_eq!(ann.next_join_work(), 22, "after {now}");
        ann.saved.spoiled_joins = 0;
        assert_eq!(ann.next_join_work(), 20, "after {now}");
        ann.saved.spoiled_joins = disputing::SPOILED_JOINS_MAX;
    }
}

#[test]
fn a_busy_inbox_is_tried_again_30_times_and_then_it_is_told_that_nobody_was_added() {
    let mut room = Room::new(&["Ann"]);
    let options = InboxOptions {
        suite: Suite::Classic,
        ..InboxOptions::new(room.of("Ann").engine.saved.relay.clone())
    };
    let (ben, _) = Engine::open_inbox(options, NOON).unwrap();
    let link = ben.inbox_link().unwrap();
    let (leaf, package) = package(100);
    let mut now = room.now;
    let ann = room.engine("Ann");
    let knock = KeptKnock::invited(&link, package);
    ann.beside.knocks.insert(leaf, knock);
    ann.beside.open.insert(link.inbox);
    ann.want(Intent::Add(leaf));
    let mut is_busy = |now: Now| {
        assert!(ann.fly_admission(now).unwrap());
        assert_eq!(ann.admission_in_flight(), Some(leaf));
        let delayed = SessionEvent::Delayed {
            token: ann.token.unwrap(),
            refusal: Refusal {
                item: Some(1),
                ..Refusal::of(ErrorCode::Busy)
            },
        };
        ann.take(delayed, now).unwrap();
        assert!(ann.flight.is_none(), "nothing else waits for it");
        let tries = ann.beside.knocks.get(&leaf).map(|knock| knock.put_off.1);
        let is_told = ann.out.events.contains(&Event::NotAdded);
        let is_wanted = ann.saved.intents.contains(&Intent::Add(leaf));
        (tries, is_wanted, is_told)
    };
    for tries in 1..=30 {
        assert_eq!(is_busy(now), (Some(tries), true, false));
        now = now.plus_ms(60_000);
    }
    assert_eq!(is_busy(now), (None, false, true));
}

#[test]
fn of_reactions_to_a_message_256_are_kept_and_the_next_only_once_one_is_taken_back() {
    let mut room = Room::new(&["Ann"]);
    room.say("Ann", "words");
    room.settle();
    let ann = room.engine("Ann");
    let id = *ann.index.keys().next().unwrap();
    let mut react = |by: u16, emoji: &str| {
        let rows = ann.out.store.puts.len();
        let told = ann.out.events.len();
        ann.reacted(leaf(by), id, emoji.into()).unwrap();
        let is_written = ann.out.store.puts.len() > rows;
        assert_eq!(is_written, !emoji.is_empty() && ann.out.events.len() > told);
        let kept = &ann.index[&id].reacted;
        (kept.len(), kept.contains(&leaf(by)), is_written)
    };
    for n in 0..256 {
        assert_eq!(react(n, "+"), (usize::from(n) + 1, true, true));
    }
    assert_eq!(react(256, "+"), (256, false, false), "one past it");
    assert_eq!(react(0, "-"), (256, true, true), "in place of another");
    assert_eq!(react(0, ""), (255, false, false), "taken back");
    assert_eq!(react(256, "+"), (256, true, true));
}

fn send(engine: &mut Engine, now: Now) -> core::result::Result<(), ErrorKind> {
    let command = Command::Send {
        text: "more".into(),
        reply_to: None,
    };
    let (reply, _) = engine.command(command, now);
    reply.map(drop).map_err(|error| error.kind())
}

#[test]
fn of_messages_that_wait_4096_are_kept_and_the_next_is_refused_until_one_is_gone() {
    let mut room = Room::new(&["Ann"]);
    room.go_offline("Ann", true);
    room.say("Ann", "words");
    let now = room.now;
    let ann = room.engine("Ann");
    let (first, queued) = ann.outbox.first_key_value().unwrap();
    let (first, queued) = (*first, queued.clone());
    while ann.outbox.len() < 4_095 {
        ann.outbox.insert(ann.saved.next_out, queued.clone());
        ann.saved.next_out += 1;
    }
    let reply = send(ann, now);
    assert_eq!((reply, ann.outbox.len()), (Ok(()), 4_096));
    let (count, next) = (ann.saved.count, ann.saved.next_out);
    let reply = send(ann, now);
    assert_eq!((reply, ann.outbox.len()), (Err(ErrorKind::TooLarge), 4_096));
    assert_eq!((ann.saved.count, ann.saved.next_out), (count, next));
    assert!(ann.unqueue(first).is_some());
    let reply = send(ann, now);
    assert_eq!((reply, ann.outbox.len()), (Ok(()), 4_096));
}
