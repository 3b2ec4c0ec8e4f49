//! The line of a conversation that a backup holds, batch by batch.

use super::*;
use crate::people::BackupLine;

/// What a batch writes of the state's newest secret, and of the line's.
fn written(effects: &Effects) -> (Option<[u8; 32]>, Option<BackupLine>) {
    let value = |name: &[u8]| {
        let puts = effects.store.puts.iter();
        puts.filter(|(key, _)| key.name == name)
            .map(|(_, value)| value)
            .next_back()
    };
    let state = value(saved::STATE).map(|value| saved::decode::<Saved>(value).unwrap());
    let newest = state.and_then(|state| state.secrets.last().map(|secret| *secret.as_bytes()));
    let line = value(saved::LINE).map(|value| sotto_protocol::cbor::decode(value).unwrap());
    assert_eq!(effects.backup, line.is_some());
    (newest, line)
}

/// Gives the second device what is new, entry by entry, and collects its lines.
fn lines_of_second(room: &mut Room) -> Vec<BackupLine> {
    let (log, id, now) = (&room.log, room.id, room.now);
    let device = &mut room.devices[1];
    let mut newest = device
        .engine
        .saved
        .secrets
        .last()
        .map(|one| *one.as_bytes());
    let (given, mut lines) = (device.given, Vec::new());
    let new = log.entries.iter().filter(|(entry, _)| entry.seq > given);
    for (entry, _) in new {
        device.given = entry.seq;
        let cursor = Cursor {
            seq: entry.seq,
            chain: Some(log.chain_after(entry.seq)),
            day: entry.day,
        };
        let entry = entry.clone();
        let event = SessionEvent::Entry {
            log: id,
            entry,
            cursor,
        };
        device.engine.take(event, now).unwrap();
        let (state, line) = written(&device.engine.finish(now));
        if state != newest {
            let line = line.as_ref().expect("a new secret without a line");
            assert_eq!(line.secrets.last().map(|one| *one.as_bytes()), state);
            newest = state;
        }
        lines.extend(line);
    }
    lines
}

#[test]
fn a_rotation_is_merged_and_ready_for_the_backup_in_one_batch() {
    let mut room = Room::new(&["Ann", "Ben"]);
    room.go_offline("Ben", true);
    room.command("Ann", Command::Rotate);
    room.settle();
    let lines = lines_of_second(&mut room);
    assert_eq!(lines.len(), 1);
    let engine = room.engine("Ben");
    let member = *engine
        .group
        .as_ref()
        .unwrap()
        .member_key(engine.saved.log.as_bytes())
        .unwrap();
    assert_eq!(
        lines[0].member, member,
        "of the epoch that the rotation began"
    );
    assert_eq!(lines[0].seed, engine.saved.seed);
}

#[test]
fn what_leaves_the_keys_as_they_are_writes_no_backup() {
    let mut room = Room::new(&["Ann", "Ben"]);
    room.go_offline("Ben", true);
    room.engine("Ann").want(saved::Intent::Update);
    room.settle();
    room.say("Ann", "hello");
    room.settle();
    assert_eq!(lines_of_second(&mut room).len(), 0);
}
