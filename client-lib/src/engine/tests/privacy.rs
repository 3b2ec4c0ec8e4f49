//! What somebody's conversations have in common: nothing.

use std::collections::BTreeSet;

use sotto_protocol::frame::Item;
use sotto_protocol::id::PublicKey;

use super::*;

/// Everything of a conversation that reaches the relay, byte string by byte string: the log's id,
/// its grants, and of each entry what is sealed, its commitment and what it admits.
fn at_the_relay(engine: &Engine, items: &[Item<'static>]) -> Vec<Vec<u8>> {
    let mut strings = vec![engine.saved.log.as_bytes().to_vec()];
    let created = engine.new_log().unwrap();
    let grants = created.grants.iter().map(|grant| grant.key);
    let admitted = items.iter().filter_map(|item| item.admit);
    let replaced = items
        .iter()
        .filter_map(|item| item.grants.as_ref())
        .flat_map(|new| new.list.iter().map(|grant| grant.key));
    for key in grants.chain(admitted).chain(replaced) {
        strings.push(key.as_bytes().to_vec());
    }
    for entry in items.iter().flat_map(|item| &item.entries) {
        strings.push(entry.sealed.as_slice().to_vec());
        strings.push(entry.commitment.as_bytes().to_vec());
    }
    strings
}

/// Founds a room, says something in it, renews its secret; answers the founder and what was sent.
fn an_evening(name: &'static str) -> (Engine, Vec<Item<'static>>) {
    let mut room = Room::new(&[name]);
    let mut sent = Vec::new();
    for speaks in [true, false] {
        if speaks {
            room.say(name, "the same words in both rooms");
        } else {
            room.command(name, Command::Rotate);
        }
        for _ in 0..20 {
            let flying = room.engine(name).flight.as_ref();
            sent.extend(flying.map(|one| one.items.clone()).unwrap_or_default());
            room.step(0);
        }
    }
    let engine = room.devices.pop().unwrap().engine;
    (engine, sent)
}

fn windows(strings: &[Vec<u8>]) -> BTreeSet<[u8; 8]> {
    strings
        .iter()
        .flat_map(|string| string.windows(8))
        .map(|window| window.try_into().unwrap())
        .collect()
}

#[test]
fn two_conversations_of_one_person_share_no_key_no_id_and_no_bytes_at_the_relay() {
    let (one, sent_in_one) = an_evening("Ann");
    let (other, sent_in_other) = an_evening("Ann");
    assert!(
        sent_in_one.len() > 2 && sent_in_other.len() > 2,
        "they spoke"
    );

    let one_at_relay = windows(&at_the_relay(&one, &sent_in_one));
    let other_at_relay = windows(&at_the_relay(&other, &sent_in_other));
    assert!(
        one_at_relay.contains(&one.saved.log.as_bytes()[..8]),
        "the search sees"
    );
    assert_eq!(one_at_relay.intersection(&other_at_relay).count(), 0);

    // Nor do members of both, who see leaves and what their owners would hold `manage` with.
    assert_ne!(one.key.id(), other.key.id());
    assert_ne!(public_key_of(&one), public_key_of(&other));
    let tree = |engine: &Engine| engine.group.as_ref().unwrap().tree().unwrap();
    let keys_of = |tree: Vec<u8>| -> BTreeSet<[u8; 32]> {
        let windows = tree.windows(32);
        windows.map(|window| window.try_into().unwrap()).collect()
    };
    let (in_one, in_other) = (keys_of(tree(&one)), keys_of(tree(&other)));
    assert!(in_one.contains(one.key.id().as_bytes()), "the search sees");
    assert_eq!(in_one.intersection(&in_other).count(), 0);
}

fn public_key_of(engine: &Engine) -> PublicKey {
    sotto_protocol::proof::public_key(&engine.manage_key())
}
