//! Whose conversation it is: what everybody else's Commits may not do while there are hosts.

use super::forgeries::inject;
use super::*;
use crate::mls::{Group, LeafKey, Plan};
use crate::policy::{Facilitator, Policy, UNDATED};
use crate::seal::{CommitBody, EnvelopeBody, Return};

const DAN: [u8; 32] = [0xd1; 32];

/// Ann founded it and made Ben a facilitator; it is Cay's, who facilitates as well.
pub(super) fn room_of_cay() -> Room {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    for name in ["Ben", "Cay"] {
        let leaf = room.leaf(name);
        room.command("Ann", Command::Promote(leaf));
        room.settle();
    }
    let cay = room.leaf("Cay");
    let rules = Policy {
        hosts: vec![cay],
        link_joins: false,
        ..rules_of(&room)
    };
    assert!(counts(&mut room, "Ann", &rules_only(&rules), Vec::new()));
    room
}

fn rules_of(room: &Room) -> Policy {
    room.of("Ann").engine.policy.clone().unwrap()
}

fn rules_only(rules: &Policy) -> Plan {
    Plan {
        policy: Some(rules.encode().unwrap()),
        ..Plan::default()
    }
}

fn package(seed: [u8; 32]) -> (LeafId, Vec<u8>) {
    let key = LeafKey::from_seed(&seed);
    let (package, _) = Group::key_package(Suite::Classic, &key, UNDATED).unwrap();
    (key.id(), package)
}

fn adding(seed: [u8; 32]) -> Plan {
    Plan {
        add: vec![package(seed).1],
        ..Plan::default()
    }
}

/// Whether a Commit of this device is *the* Commit; where it is not, all skip it.
fn counts(room: &mut Room, name: &str, plan: &Plan, returns: Vec<Return>) -> bool {
    let here: Vec<_> = ["Ann", "Ben", "Cay"]
        .into_iter()
        .filter(|name| !room.of(name).engine.is_over())
        .collect();
    let look = |room: &Room| {
        let of = |name: &&str| {
            let engine = &room.of(name).engine;
            let epoch = engine.group.as_ref().map(Group::epoch);
            (epoch.unwrap_or_default(), engine.saved.junk)
        };
        here.iter().map(of).collect::<Vec<_>>()
    };
    let before = look(room);
    let body = CommitBody {
        returns,
        ..staged(room, name, plan)
    };
    inject(room, name, EnvelopeBody::Commit(body), true, false);
    room.settle();
    let after = look(room);
    let changed = |epochs: u64, junk: u64| {
        let one = |(epoch, skipped): &(u64, u64)| (epoch + epochs, skipped + junk);
        before.iter().map(one).collect::<Vec<_>>()
    };
    if after == changed(0, 1) {
        let group = room.engine(name).group.as_mut().unwrap();
        group.drop_pending().unwrap();
        return false;
    }
    // Who is removed by it is not here any more.
    let remain: Vec<_> = here
        .iter()
        .filter(|name| !room.of(name).engine.is_over())
        .collect();
    assert!(
        remain.len() < here.len() || after == changed(1, 0),
        "{before:?} {after:?}"
    );
    true
}

/// A Commit that its author's device expects to meet.
fn staged(room: &mut Room, name: &str, plan: &Plan) -> CommitBody<'static> {
    let day = room.now.day();
    let engine = room.engine(name);
    let log = engine.log_bytes();
    let aad = commits::CommitAad {
        next: None,
        seen: engine.seen_now(),
    };
    let plan = Plan {
        aad: aad.encode().unwrap(),
        add: plan.add.clone(),
        remove: plan.remove.clone(),
        policy: plan.policy.clone(),
        day,
    };
    let group = engine.group.as_mut().unwrap();
    let staged = group.stage(&engine.key, &plan, &log).unwrap();
    CommitBody {
        info: Some(staged.info.into()),
        next: None,
        commit: staged.commit.into(),
        welcome: None,
        farewells: Vec::new(),
        returns: Vec::new(),
    }
}

#[test]
fn nobody_but_a_host_lets_anybody_in() {
    for name in ["Ann", "Ben"] {
        let mut room = room_of_cay();
        assert!(!counts(&mut room, name, &adding(DAN), Vec::new()), "{name}");
        assert_eq!(room.of("Cay").engine.members().len(), 3);
    }
    let mut room = room_of_cay();
    assert!(counts(&mut room, "Cay", &adding(DAN), Vec::new()));
    assert_eq!(room.of("Ann").engine.members().len(), 4);
}

#[test]
fn nobody_but_a_host_changes_how_others_come_in() {
    let worse: [fn(&mut Policy); 5] = [
        |rules| rules.hosts.clear(),
        |rules| rules.hosts.push(LeafId::new([7; 32])),
        |rules| rules.link_joins = true,
        |rules| rules.members_add = true,
        |rules| rules.keep_seconds = Some(9),
    ];
    for (case, change) in worse.into_iter().enumerate() {
        let mut room = room_of_cay();
        let mut rules = rules_of(&room);
        change(&mut rules);
        let plan = rules_only(&rules);
        assert!(!counts(&mut room, "Ann", &plan, Vec::new()), "case {case}");
        assert!(counts(&mut room, "Cay", &plan, Vec::new()), "case {case}");
    }
}

#[test]
fn who_is_no_host_still_says_who_facilitates_and_removes() {
    let mut room = room_of_cay();
    let mut rules = rules_of(&room);
    let cay = room.leaf("Cay");
    rules.facilitators.retain(|one| one.leaf != cay);
    assert!(counts(&mut room, "Ann", &rules_only(&rules), Vec::new()));
    let plan = Plan {
        remove: vec![cay],
        ..Plan::default()
    };
    assert!(counts(&mut room, "Ann", &plan, Vec::new()));
    // And with the last host gone it is nobody's to open.
    assert!(!counts(&mut room, "Ann", &adding(DAN), Vec::new()));
}

/// Cay under another leaf, as Ann adds her.
fn cay_back(room: &Room, leaf_seed: [u8; 32]) -> (Plan, Return) {
    let (leaf, package) = package(leaf_seed);
    let ann = &room.of("Ann").engine;
    let mut rules = rules_of(room);
    let cay = room.leaf("Cay");
    rules.hosts = vec![leaf];
    let gid = group_id(&room.id);
    let manage = PublicKey::new([6; 32]);
    rules
        .facilitators
        .push(Facilitator::vouch(&ann.key, &gid, leaf, manage));
    let key = LeafKey::from_seed(&room.of("Cay").engine.saved.seed);
    assert_eq!(key.id(), cay);
    let plan = Plan {
        add: vec![package],
        policy: Some(rules.encode().unwrap()),
        ..Plan::default()
    };
    (plan, Return::of(&key, &room.id, leaf))
}

#[test]
fn a_host_comes_back_by_the_word_of_the_old_leaf_and_by_nothing_less() {
    let mut room = room_of_cay();
    let (plan, word) = cay_back(&room, DAN);
    let dan = LeafKey::from_seed(&DAN);
    let ben = LeafKey::from_seed(&room.of("Ben").engine.saved.seed);
    let forged = Return {
        signature: Return::of(&dan, &room.id, dan.id()).signature,
        ..word
    };
    let of_another_log = Return {
        signature: Return::of(
            &LeafKey::from_seed(&room.of("Cay").engine.saved.seed),
            &LogId::new([9; 32]),
            dan.id(),
        )
        .signature,
        ..word
    };
    let of_no_host = Return::of(&ben, &room.id, dan.id());
    let for_another = Return::of(
        &LeafKey::from_seed(&room.of("Cay").engine.saved.seed),
        &room.id,
        LeafId::new([8; 32]),
    );
    let worse = [
        vec![],
        vec![forged],
        vec![of_another_log],
        vec![of_no_host],
        vec![for_another],
        vec![word.clone(), word.clone()],
    ];
    for (case, returns) in worse.into_iter().enumerate() {
        assert!(!counts(&mut room, "Ann", &plan, returns), "case {case}");
    }
    // The new leaf must take the old one's place, and nobody else may come along.
    let stays = Plan {
        policy: None,
        add: plan.add.clone(),
        ..Plan::default()
    };
    assert!(!counts(&mut room, "Ann", &stays, vec![word.clone()]));
    let with_another = Plan {
        add: vec![plan.add[0].clone(), package([0xe1; 32]).1],
        policy: plan.policy.clone(),
        ..Plan::default()
    };
    assert!(!counts(&mut room, "Ann", &with_another, vec![word.clone()]));
    assert!(counts(&mut room, "Ann", &plan, vec![word]));
    let hosts = room.of("Ben").engine.policy.clone().unwrap().hosts;
    assert_eq!(hosts, [dan.id()]);
}

#[test]
fn a_device_that_is_not_the_hosts_does_not_even_try() {
    let mut room = room_of_cay();
    let now = room.now;
    let add = |room: &mut Room, name: &str| {
        let link = crate::link::InboxLink {
            pool: LogId::new([3; 32]),
            take: [4; 32],
            inbox: LogId::new([5; 32]),
            owner: LeafId::new([6; 32]),
            relay: room.of("Ann").engine.saved.relay.clone(),
            suite: Suite::Classic,
            append: [7; 32],
            opening: [8; 32],
            sealing: PublicKey::new([9; 32]),
        };
        let add = Command::Add(Box::new(link));
        let (reply, _) = room.engine(name).command(add, now);
        reply.map_err(|error| error.kind())
    };
    assert_eq!(add(&mut room, "Ann"), Err(ErrorKind::NotAllowed));
    assert_eq!(add(&mut room, "Ben"), Err(ErrorKind::NotAllowed));
    assert_eq!(add(&mut room, "Cay"), Ok(Reply::Kept));
}

#[test]
fn a_log_that_may_no_longer_be_followed_once_it_is_open_is_opened_anew() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let now = room.now;
    for log in [room.id, LogId::new([3; 32])] {
        let ben = room.engine("Ben");
        let refusal = Refusal::of(ErrorCode::Refused);
        let event = SessionEvent::FollowRefused { log, refusal };
        ben.take(event, now).unwrap();
        assert!(ben.finish(now).hang_up);
    }
}
