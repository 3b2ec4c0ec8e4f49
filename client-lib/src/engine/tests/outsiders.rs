//! What somebody who has only the link puts into the log as a way in that takes more than a way in:
//! true external Commits, with nothing wrong in them but what they take.

use super::forgeries::{commit_body, inject};
use super::*;
use crate::mls::Group;
use crate::mls::outside::{self, Beyond, Ground};
use crate::policy::Facilitator;

const MEMBERS: [&str; 3] = ["Ann", "Ben", "Cay"];

fn stranger() -> LeafKey {
    LeafKey::from_seed(&[77; 32])
}

/// An external Commit of this leaf on the epoch that `by` is in.
fn from_outside(room: &Room, by: &str, key: &LeafKey, beyond: Beyond) -> (Vec<u8>, Vec<u8>) {
    let engine = &room.of(by).engine;
    let group = engine.group.as_ref().unwrap();
    let ground = Ground {
        info: group.group_info(&engine.key).unwrap(),
        tree: group.tree().unwrap(),
        host: &engine.key,
    };
    let generation = engine.newest_generation().unwrap();
    let aad = commits::CommitAad {
        next: None,
        seen: engine.seen_now(),
    };
    let signed = (&*aad.encode().unwrap(), room.now.day());
    outside::commit(&ground, key, generation.psk(), signed, beyond)
}

/// Whether this member's library has nothing against a Commit: whether anybody can check it, and
/// whether it opens.
fn holds(room: &Room, name: &str, commit: &[u8]) -> (bool, bool) {
    let group = room.of(name).engine.group.as_ref().unwrap();
    let mut copy = Group::load(group.values().unwrap(), &group_id(&room.id)).unwrap();
    (group.look(commit).is_ok(), copy.open(commit).is_ok())
}

/// Such a Commit counts for nobody: each member skips and counts it, tells of nobody else and is
/// where it was, and the room speaks on and can be joined.
fn is_refused_by_all(mut room: Room, commit: (Vec<u8>, Vec<u8>)) {
    let leaf = stranger().id();
    let before = MEMBERS.map(|name| (room.epoch(name), room.of(name).engine.saved.junk));
    let told = MEMBERS.map(|name| room.of(name).events.len());
    inject(&mut room, "Ben", commit_body(commit), true, false);
    room.settle();
    for (at, name) in MEMBERS.into_iter().enumerate() {
        let after = (room.epoch(name), room.of(name).engine.saved.junk);
        assert_eq!(after, (before[at].0, before[at].1 + 1), "{name}");
        let new = &room.of(name).events[told[at]..];
        let quiet = |event: &Event| matches!(event, Event::Junk { .. } | Event::Online(_));
        assert!(new.iter().all(quiet), "{name} is told {new:?}");
        assert_eq!(room.of(name).engine.members().len(), 3);
    }
    // Who follows from a snapshot on passes over it as well.
    room.join("Dan");
    room.settle();
    assert_eq!(room.of("Dan").engine.standing(), Standing::In);
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Dan"]);
    let members = room.of("Dan").engine.members();
    assert!(members.iter().all(|member| member.leaf != leaf));
}

#[test]
fn an_external_commit_of_the_same_making_that_takes_nothing_lets_its_author_in() {
    let mut room = Room::new(&MEMBERS);
    let commit = from_outside(&room, "Ann", &stranger(), Beyond::Nothing);
    assert_eq!(holds(&room, "Cay", &commit.0), (true, true));
    let epoch = room.epoch("Ann");
    inject(&mut room, "Ben", commit_body(commit), true, false);
    room.settle();
    for name in MEMBERS {
        assert_eq!(room.epoch(name), epoch + 1, "{name}");
        assert_eq!(room.of(name).engine.saved.junk, 0);
        let leaf = stranger().id();
        assert!(room.has(name, |event| *event == Event::Joined { leaf, by: None }));
    }
}

#[test]
fn an_external_commit_that_removes_someone_else_is_refused_by_all() {
    // From the first leaf to the last: they hang differently in the tree.
    for victim in MEMBERS {
        let room = Room::new(&MEMBERS);
        let other = if victim == "Ann" { "Cay" } else { "Ann" };
        let commit = from_outside(&room, other, &stranger(), Beyond::Remove(room.leaf(victim)));
        // There is nothing wrong in it but that: only the policy stands in its way.
        assert_eq!(holds(&room, other, &commit.0), (true, true), "{victim}");
        let facts = room.of(other).engine.group.as_ref().unwrap();
        let facts = facts.look(&commit.0).unwrap();
        assert_eq!(facts.removed, [room.leaf(victim)]);
        is_refused_by_all(room, commit);
    }
}

#[test]
fn an_external_commit_that_lacks_the_psk_is_refused_by_all() {
    let room = Room::new(&MEMBERS);
    let commit = from_outside(&room, "Ann", &stranger(), Beyond::NoPsk);
    assert_eq!(holds(&room, "Cay", &commit.0), (true, true));
    is_refused_by_all(room, commit);
}

#[test]
fn an_external_commit_that_adds_somebody_is_refused_by_all() {
    let room = Room::new(&MEMBERS);
    let friend = LeafKey::from_seed(&[78; 32]);
    let package = Group::key_package(Suite::Classic, &friend, room.now.day());
    let beyond = Beyond::Add(package.unwrap().0);
    let commit = from_outside(&room, "Ann", &stranger(), beyond);
    // The library admits only ExternalInit, Remove, PSKs and custom proposals from outside.
    assert!(!holds(&room, "Cay", &commit.0).0);
    is_refused_by_all(room, commit);
}

#[test]
fn an_external_commit_that_takes_a_role_by_changing_the_rules_is_refused_by_all() {
    let room = Room::new(&MEMBERS);
    let (key, manage) = (stranger(), PublicKey::new([7; 32]));
    let mut rules = room.of("Ann").engine.policy.clone().unwrap();
    let role = Facilitator::vouch(&key, &group_id(&room.id), key.id(), manage);
    rules.facilitators.push(role);
    let beyond = Beyond::Policy(rules.encode().unwrap());
    let commit = from_outside(&room, "Ann", &key, beyond);
    assert!(!holds(&room, "Cay", &commit.0).0);
    is_refused_by_all(room, commit);
}

#[test]
fn an_external_commit_with_a_custom_proposal_or_a_second_init_is_refused_by_all() {
    for beyond in [Beyond::Custom, Beyond::SecondInit] {
        let room = Room::new(&MEMBERS);
        let commit = from_outside(&room, "Ann", &stranger(), beyond);
        // No leaf says that it knows such a proposal.
        assert!(!holds(&room, "Cay", &commit.0).0);
        is_refused_by_all(room, commit);
    }
}

#[test]
fn an_external_commit_that_takes_up_the_role_of_who_is_gone_is_refused_by_all() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    room.command("Ann", Command::Promote(room.leaf("Dan")));
    room.settle();
    // Dan goes while no facilitator is there, so that nobody takes the role away.
    let seed = room.of("Dan").engine.saved.seed;
    room.go_offline("Ann", true);
    room.command("Dan", Command::Leave);
    room.pass_seconds(60);
    let key = LeafKey::from_seed(&seed);
    let policy = room.of("Cay").engine.policy.as_ref().unwrap();
    assert!(policy.is_facilitator(&key.id()));
    assert_eq!(room.of("Cay").engine.members().len(), 3);
    let commit = from_outside(&room, "Ben", &key, Beyond::Nothing);
    assert_eq!(holds(&room, "Cay", &commit.0), (true, true));
    let before = ["Ben", "Cay"].map(|name| (room.epoch(name), room.of(name).engine.saved.junk));
    inject(&mut room, "Ben", commit_body(commit), true, false);
    room.settle();
    for (name, (epoch, junk)) in ["Ben", "Cay"].into_iter().zip(before) {
        let after = (room.epoch(name), room.of(name).engine.saved.junk);
        assert_eq!(after, (epoch, junk + 1), "{name}");
    }
    room.go_offline("Ann", false);
    room.settle();
    room.join("Eve");
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Eve"]);
    let policy = room.of("Eve").engine.policy.as_ref().unwrap();
    assert!(!policy.is_facilitator(&key.id()));
}
