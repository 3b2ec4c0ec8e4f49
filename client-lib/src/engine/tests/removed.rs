//! Somebody who was removed and kept every key, and a relay that helps: it gives them all entries,
//! and takes whatever they write.

use super::forgeries::{commit_body, commit_of, inject};
use super::*;
use crate::content::ContentBody;
use crate::mls::{Group, Incoming};
use crate::seal::{self, CommitBody, Envelope, EnvelopeBody, Farewell, Generation, Packet};

/// What this secret opens in an entry of one part.
fn opened(room: &Room, generation: &Generation, entry: &Entry<'_>) -> Option<Vec<u8>> {
    seal::open(generation, &room.id, entry.sealed.as_slice()).ok()
}

fn envelope(packet: &[u8]) -> Envelope<'_> {
    match sotto_protocol::cbor::decode(packet).unwrap() {
        Packet::Whole(envelope) => envelope,
        Packet::Part(_) => panic!("small enough for one"),
    }
}

/// All that is said in `room` is said before Ben, who is offline from then on, is removed by Ann.
fn removed() -> Room {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.say("Ann", "before");
    room.settle();
    room.go_offline("Ben", true);
    room
}

fn remove_ben(room: &mut Room) -> usize {
    let ben = room.leaf("Ben");
    let before = room.log.entries.len();
    room.command("Ann", Command::Remove(ben));
    room.settle();
    for name in ["Ann", "Cay"] {
        room.say(name, &format!("{name} after"));
        room.settle();
    }
    before
}

#[test]
fn a_removed_member_reads_nothing_behind_its_removal_with_all_entries_and_all_its_keys() {
    let mut room = removed();
    let before = remove_ben(&mut room);
    let ben = &room.of("Ben").engine;
    let group = ben.group.as_ref().unwrap();
    let mut group = Group::load(group.values().unwrap(), &group_id(&room.id)).unwrap();
    let generations: Vec<_> = (ben.saved.secrets.iter())
        .map(|secret| secret.generation(&room.id))
        .collect();
    let opens = |entry: &Entry<'_>| generations.iter().find_map(|one| opened(&room, one, entry));
    // The removal is the last that he opens; the next secret lies in it, and not for him.
    let (removal, behind) = room.log.entries[before..].split_first().unwrap();
    let packet = opens(&removal.0).unwrap();
    let EnvelopeBody::Commit(CommitBody { commit, next, .. }) = envelope(&packet).body else {
        panic!("a Commit")
    };
    let next = next.unwrap();
    let is_kept_from = |group: &Group| {
        let key = group.rotate_key(&ben.log_bytes()).unwrap();
        commits::open_next(&key, &room.id, next.as_slice()).is_none()
    };
    assert!(is_kept_from(&group));
    let Ok(Incoming::Commit(staged)) = group.open(commit.as_slice()) else {
        panic!("he can check it")
    };
    assert!(staged.removes_us);
    assert!(behind.len() >= 3, "a snapshot and two words");
    assert!(behind.iter().all(|(entry, _)| opens(entry).is_none()));
    // Nor does he read on where somebody hands him the new link as well.
    let newest = room.of("Ann").engine.newest_generation().unwrap();
    let mut after = Group::load(group.values().unwrap(), &group_id(&room.id)).unwrap();
    after.merge(*staged).unwrap();
    let mut messages = 0;
    for (entry, _) in behind {
        let packet = opened(&room, &newest, entry).unwrap();
        if let EnvelopeBody::Message(bytes) = envelope(&packet).body {
            messages += 1;
            assert!(group.open(bytes.as_slice()).is_err());
            assert!(after.open(bytes.as_slice()).is_err());
        }
    }
    assert!(messages >= 2, "{messages}");
    // And an honest device that is given everything knows that it is out.
    room.go_offline("Ben", false);
    room.settle();
    assert_eq!(room.of("Ben").engine.standing(), Standing::Removed);
    assert_eq!(room.texts("Ben"), ["before"]);
    for name in ["Ann", "Cay"] {
        assert_eq!(room.texts(name), ["before", "Ann after", "Cay after"]);
    }
}

/// A text of this device, sealed and encrypted and not sent.
fn unsent_text(room: &mut Room, name: &str, text: &str) -> Item<'static> {
    let engine = room.engine(name);
    engine.queue(ContentBody::Text(text.into()), NOON).unwrap();
    let number = *engine.outbox.keys().next_back().unwrap();
    let entries = engine.seal_message(number).unwrap();
    engine.item(entries)
}

#[test]
fn whatever_a_removed_member_writes_is_refused_and_counted_by_each_member() {
    let mut room = removed();
    let late = unsent_text(&mut room, "Ben", "late");
    let (commit, info) = commit_of(&mut room, "Ben", &Plan::default());
    remove_ben(&mut room);
    // One who has known no secret but the new one.
    room.join("Dan");
    room.settle();
    let names = ["Ann", "Cay", "Dan"];
    let before = names.map(|name| (room.epoch(name), room.of(name).engine.saved.junk));
    // All of it is sealed with the secret that he knew: a late word, a Commit in an unfenced and
    // in a fenced entry, the farewell of somebody else.
    room.log.append(&[late]).unwrap();
    for fenced in [false, true] {
        let body = commit_body((commit.clone(), info.clone()));
        inject(&mut room, "Ben", body, fenced, false);
    }
    let farewell = Farewell {
        leaf: room.leaf("Dan"),
        ..Farewell::of(&room.of("Ben").engine.key, &room.id)
    };
    let body = EnvelopeBody::Farewell(farewell);
    inject(&mut room, "Ben", body, false, false);
    room.settle();
    for (name, (epoch, junk)) in names.into_iter().zip(before) {
        assert_eq!(room.epoch(name), epoch, "{name}");
        // Who came in since can open none of it, and cannot tell what is not fenced from what those
        // who were here before may read.
        let count = if name == "Dan" { 1 } else { 4 };
        let counted = room.of(name).engine.saved.junk;
        assert_eq!(counted, junk + count, "{name}");
        assert!(room.has(name, |event| *event == Event::Junk { count: counted }));
        assert!(!room.texts(name).contains(&"late".to_owned()));
        assert!(!room.has(name, |event| matches!(event, Event::Leaving { .. })));
    }
    room.join("Eve");
    room.settle();
    room.assert_one_epoch(&["Ann", "Cay", "Dan", "Eve"]);
}

#[test]
fn a_removed_member_who_is_told_the_new_secret_writes_nothing_that_counts() {
    let mut room = removed();
    remove_ben(&mut room);
    let secret = room.of("Ann").engine.newest_secret().unwrap().clone();
    let ben = room.engine("Ben");
    ben.saved.secrets.push(secret);
    let late = unsent_text(&mut room, "Ben", "late");
    let commit = commit_of(&mut room, "Ben", &Plan::default());
    let before = ["Ann", "Cay"].map(|name| room.of(name).engine.saved.junk);
    room.log.append(&[late]).unwrap();
    inject(&mut room, "Ben", commit_body(commit), true, false);
    room.settle();
    for (name, junk) in ["Ann", "Cay"].into_iter().zip(before) {
        assert_eq!(room.of(name).engine.saved.junk, junk + 2, "{name}");
        assert!(!room.texts(name).contains(&"late".to_owned()));
    }
    room.assert_one_epoch(&["Ann", "Cay"]);
}
