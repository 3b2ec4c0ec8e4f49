//! What shall vanish is nowhere in a vault's files: no text, reaction, unsent word or chunk that was
//! ever kept, in no earlier form.

use std::fs;
use std::path::Path;

use super::*;
use crate::vault::{VaultKey, test_access};

const MINUTE_MS: u64 = 60_000;

fn holds(folder: &Path, wanted: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|file| {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

/// Ann founds a room in which messages are kept for an hour, and Ben has a disk.
fn room(folder: &Path) -> Room {
    let relay = crate::link::RelayAddress {
        url: "ws://127.0.0.1:1/".into(),
        identity: RelayIdentity::new([1; 32]),
    };
    let options = RoomOptions {
        suite: Suite::Classic,
        keep_seconds: Some(3_600),
        ..RoomOptions::new(relay, "Ann")
    };
    let (engine, founded) = Engine::found(options, NOON).unwrap();
    let id = engine.saved.log;
    let mut room = Room {
        log: TestLog::new(&id),
        id,
        devices: Vec::new(),
        now: NOON,
        restarts: Vec::new(),
    };
    room.add("Ann", engine, founded);
    room.settle();
    let (link, name) = (room.devices[0].engine.link().unwrap(), "Ben".into());
    let (engine, effects) = Engine::join(&link, &JoinOptions { name }, NOON).unwrap();
    room.add("Ben", engine, Effects::default());
    let vault = SqliteVault::open(folder, &VaultKey::raw([7; 32])).unwrap();
    room.devices[1].vault = Some(vault);
    room.devices[1].take(effects);
    room.settle();
    room
}

/// Text, edit, reply, reaction, unsent words and an attachment; gives the sealed bytes of every
/// row that was ever kept on Ben's disk.
fn evening(room: &mut Room) -> Vec<Vec<u8>> {
    let mut ever = Vec::new();
    let mut look = |room: &Room| {
        let device = room.of("Ben");
        let vault = device.vault.as_ref().unwrap();
        ever.extend(test_access::sealed_of(vault, device.engine.space()));
    };
    room.say("Ann", "a text that is not kept for long");
    room.settle();
    look(room);
    let ids: Vec<_> = room.engine("Ben").index.keys().copied().collect();
    let (of, text) = (ids[0], "another text that is not kept for long".to_owned());
    room.command("Ann", Command::Edit { of, text });
    room.settle();
    look(room);
    let emoji = "💛".to_owned();
    room.command("Ann", Command::React { to: of, emoji });
    room.command(
        "Ben",
        Command::Send {
            text: "words that wait".into(),
            reply_to: Some(of),
        },
    );
    look(room);
    room.settle();
    let begin = Command::Attach(Attaching::Begin(NewAttachment::new("a.ogg", "audio/ogg")));
    let Reply::Message(id) = room.command("Ben", begin) else {
        panic!("an id")
    };
    let bytes = vec![3; 100_000];
    room.command("Ben", Command::Attach(Attaching::More { id, bytes }));
    room.command("Ben", Command::Attach(Attaching::End(id)));
    look(room);
    let done = sotto_protocol::frame::ItemDone {
        day: 19_675,
        seq: 2,
        chain: ChainValue::new([0; 32]),
        fence: 0,
    };
    let (answer, now) = (Ok(Answer::Appended(vec![done])), room.now);
    room.engine("Ben")
        .batch_answered(&id, &answer, now)
        .unwrap();
    room.settle();
    look(room);
    assert_eq!(room.engine("Ben").index.len(), 3);
    ever
}

fn assert_vanished(ever: &[Vec<u8>], space: Space, vault: &mut SqliteVault, folder: &Path) {
    let live = test_access::sealed_of(vault, space);
    let gone: Vec<_> = ever.iter().filter(|bytes| !live.contains(bytes)).collect();
    assert!(gone.len() > 20, "{}", gone.len());
    for bytes in gone {
        let piece = &bytes[..bytes.len().min(24)];
        assert!(!holds(folder, piece), "a row is left in a file");
    }
    let names = vault.load(space).unwrap().into_iter().map(|(name, _)| name);
    for name in names {
        for kept in ["msg/", "act/", "out/", "here/", "up/", "~"] {
            assert!(!name.starts_with(kept.as_bytes()), "{kept}");
        }
    }
}

#[test]
fn what_shall_vanish_is_in_no_file_of_the_vault_in_no_earlier_form() {
    let folder = tempfile::tempdir().unwrap();
    let mut room = room(folder.path());
    let ever = evening(&mut room);
    let kept = &ever[ever.len() - 1];
    assert!(holds(folder.path(), &kept[..24]), "the search is not blind");
    room.now = room.now.plus_ms(61 * MINUTE_MS);
    room.settle();
    let device = &mut room.devices[1];
    let (space, mut vault) = (device.engine.space(), device.vault.take().unwrap());
    assert_vanished(&ever, space, &mut vault, folder.path());
    let deleted = |event: &&Event| matches!(event, Event::Deleted { .. });
    assert_eq!(device.events.iter().filter(deleted).count(), 3);
}

#[test]
fn what_vanishes_while_the_app_is_closed_is_gone_at_its_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut room = room(folder.path());
    let ever = evening(&mut room);
    let mut device = room.devices.remove(1);
    let space = device.engine.space();
    drop(device.vault.take());
    let mut vault = SqliteVault::open(folder.path(), &VaultKey::raw([7; 32])).unwrap();
    let rows = vault.range(space, Engine::rows()).unwrap();
    assert!(rows.iter().all(|(name, _)| !name.starts_with(b"~")));
    let later = room.now.plus_ms(61 * MINUTE_MS);
    let (_, effects) = Engine::load(space, rows, false, later).unwrap();
    assert!(effects.scrub);
    vault.apply(&effects.store).unwrap();
    vault.scrub().unwrap();
    assert_vanished(&ever, space, &mut vault, folder.path());
}

#[test]
fn who_is_removed_from_a_conversation_that_forgets_keeps_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut room = room(folder.path());
    let ever = evening(&mut room);
    let leaf = room.leaf("Ben");
    room.command("Ann", Command::Remove(leaf));
    room.settle();
    assert_eq!(room.of("Ben").engine.standing(), Standing::Removed);
    let device = &mut room.devices[1];
    let (space, mut vault) = (device.engine.space(), device.vault.take().unwrap());
    assert!(vault.residue().unwrap().is_empty());
    vault.scrub().unwrap();
    for bytes in &ever {
        assert!(!holds(folder.path(), &bytes[..bytes.len().min(24)]));
    }
    assert_eq!(vault.load(space).unwrap(), []);
}
