//! Who goes, what goes with them, and who sees to it.

use super::forgeries::inject;
use super::*;
use crate::mls::{Author, Facts, Group, Plan, spoil};
use crate::policy::{Facilitator, Forbidden};
use crate::seal::{CommitBody, EnvelopeBody, Farewell};

/// A Commit that a device writes past all that its own code would let it.
#[derive(Default)]
pub(super) struct Forged {
    pub(super) plan: Plan,
    pub(super) farewells: Vec<Farewell>,
    /// The digest of a next secret, as in a rotation.
    pub(super) next: Option<[u8; 32]>,
}

/// Puts it into the log; the device takes no further part.
pub(super) fn forge(room: &mut Room, name: &str, forged: Forged) {
    let today = room.now.day();
    let engine = room.engine(name);
    let log = engine.log_bytes();
    let aad = commits::CommitAad {
        next: forged.next.map(Into::into),
        seen: engine.seen_now(),
    };
    let plan = Plan {
        aad: aad.encode().unwrap(),
        day: if forged.plan.day == 0 {
            today
        } else {
            forged.plan.day
        },
        ..forged.plan
    };
    let group = engine.group.as_mut().unwrap();
    let staged = group.stage(&engine.key, &plan, &log).unwrap();
    group.drop_pending().unwrap();
    put_commit(
        room,
        name,
        staged.commit,
        Some(staged.info),
        forged.farewells,
    );
    room.go_offline(name, true);
}

fn put_commit(
    room: &mut Room,
    name: &str,
    commit: Vec<u8>,
    info: Option<Vec<u8>>,
    farewells: Vec<Farewell>,
) {
    let body = CommitBody {
        info: info.map(Into::into),
        next: None,
        commit: commit.into(),
        welcome: None,
        farewells,
        returns: Vec::new(),
    };
    inject(room, name, EnvelopeBody::Commit(body), true, false);
}

fn farewell_of(room: &Room, name: &str) -> Farewell {
    Farewell::of(&room.of(name).engine.key, &room.id)
}

fn facilitators(room: &Room, name: &str) -> Vec<LeafId> {
    let policy = room.of(name).engine.policy.as_ref().unwrap();
    policy.facilitators.iter().map(|one| one.leaf).collect()
}

fn promote(room: &mut Room, by: &str, name: &str) {
    let leaf = room.leaf(name);
    room.command(by, Command::Promote(leaf));
    room.settle();
    assert!(facilitators(room, name).contains(&leaf));
}

/// Somebody leaves, and the others go on.
fn leave(room: &mut Room, name: &str) {
    room.command(name, Command::Leave);
    room.settle();
    assert_eq!(room.of(name).engine.standing(), Standing::Left);
}

#[test]
fn who_leaves_with_nobody_online_is_let_go_although_others_joined_meanwhile() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.go_offline("Ann", true);
    room.go_offline("Cay", true);
    leave(&mut room, "Ben");
    let ben = room.leaf("Ben");
    // These move the group on, and know nothing of Ben's farewell.
    for name in ["Dan", "Eve"] {
        room.join_by(name, &room.of("Cay").engine.link().unwrap());
        room.settle();
    }
    assert_eq!(room.of("Eve").engine.members().len(), 5);
    room.go_offline("Cay", false);
    room.pass_seconds(60);
    for name in ["Cay", "Dan", "Eve"] {
        assert!(
            room.has(name, |event| *event == Event::Left { leaf: ben }),
            "{name}"
        );
        assert!(
            room.has(name, |event| *event == Event::NotYetRotated),
            "{name}"
        );
    }
    room.go_offline("Ann", false);
    room.settle();
    assert!(room.has("Eve", |event| *event == Event::Rotated));
    room.assert_one_epoch(&["Ann", "Cay", "Dan", "Eve"]);
}

#[test]
fn a_farewell_that_was_never_posted_counts_alike_for_members_and_for_who_follows() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    room.go_offline("Ann", true);
    let (ben, farewell) = (room.leaf("Ben"), farewell_of(&room, "Ben"));
    let plan = Plan {
        remove: vec![ben],
        ..Plan::default()
    };
    forge(
        &mut room,
        "Cay",
        Forged {
            plan,
            farewells: vec![farewell],
            next: None,
        },
    );
    room.settle();
    assert_eq!(room.of("Ben").engine.standing(), Standing::Removed);
    assert!(room.has("Dan", |event| *event == Event::Left { leaf: ben }));
    room.join_by("Eve", &room.of("Dan").engine.link().unwrap());
    room.settle();
    room.assert_one_epoch(&["Dan", "Eve"]);
    room.go_offline("Ann", false);
    room.settle();
    room.assert_one_epoch(&["Ann", "Dan", "Eve"]);
}

#[test]
fn a_removal_without_a_true_farewell_is_junk_for_all() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    let ben = room.leaf("Ben");
    let true_one = farewell_of(&room, "Ben");
    let of_another_log = Farewell::of(&room.of("Ben").engine.key, &LogId::new([1; 32]));
    let of_another_leaf = Farewell {
        leaf: ben,
        ..farewell_of(&room, "Cay")
    };
    let epoch = room.epoch("Ann");
    let sets = [
        vec![],
        vec![of_another_log],
        vec![of_another_leaf],
        vec![true_one.clone(), true_one.clone()],
        vec![true_one.clone(), farewell_of(&room, "Dan")],
    ];
    for farewells in sets {
        let plan = Plan {
            remove: vec![ben],
            ..Plan::default()
        };
        let forged = Forged {
            plan,
            farewells,
            next: None,
        };
        forge(&mut room, "Cay", forged);
        room.go_offline("Cay", false);
        room.settle();
    }
    // Nor one that carries a farewell of somebody who stays.
    let forged = Forged {
        farewells: vec![true_one],
        ..Forged::default()
    };
    forge(&mut room, "Cay", forged);
    room.go_offline("Cay", false);
    room.settle();
    for name in ["Ann", "Ben", "Cay", "Dan"] {
        assert_eq!(room.epoch(name), epoch, "{name}");
    }
    room.join("Eve");
    room.settle();
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Dan", "Eve"]);
}

#[test]
fn a_commit_that_refers_to_a_proposal_is_junk_for_all() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let (epoch, ben, gid) = (room.epoch("Ann"), room.leaf("Ben"), group_id(&room.id));
    let ann = &room.of("Ann").engine;
    let values = ann.group.as_ref().unwrap().values().unwrap();
    let (proposal, commit) = spoil::by_reference(values, &gid, &ann.key, ben);
    for message in [proposal, commit] {
        put_commit(&mut room, "Ann", message, None, Vec::new());
    }
    room.settle();
    room.join("Dan");
    room.settle();
    assert_eq!(room.epoch("Ann"), epoch + 1, "Dan's");
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Dan"]);
}

#[test]
fn a_commit_with_a_foreign_extension_of_the_context_is_junk_for_all() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let (epoch, gid) = (room.epoch("Ann"), group_id(&room.id));
    let ann = &room.of("Ann").engine;
    let values = ann.group.as_ref().unwrap().values().unwrap();
    let commit = spoil::with_outsiders(values, &gid, &ann.key);
    put_commit(&mut room, "Ann", commit, None, Vec::new());
    room.settle();
    room.join("Dan");
    room.settle();
    assert_eq!(room.epoch("Ann"), epoch + 1, "Dan's");
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Dan"]);
}

#[test]
fn a_leaving_takes_one_commit_whoever_is_online() {
    let names = ["Ann", "Ben", "Cay", "Dan", "Eve", "Fay"];
    for away in [&[][..], &["Ann"], &["Ann", "Cay", "Dan"]] {
        let mut room = Room::new(&names);
        for name in away {
            room.go_offline(name, true);
        }
        let fence = room.log.fence;
        leave(&mut room, "Ben");
        room.pass_seconds(60);
        assert_eq!(room.log.fence, fence + 1, "without {away:?}");
        assert_eq!(room.of("Fay").engine.members().len(), 5);
        let is_rotated = room.has("Fay", |event| *event == Event::Rotated);
        assert_eq!(is_rotated, away.is_empty(), "a facilitator goes first");
    }
}

#[test]
fn of_several_facilitators_one_renews_the_secret() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    promote(&mut room, "Ann", "Ben");
    promote(&mut room, "Ann", "Cay");
    let fence = room.log.fence;
    leave(&mut room, "Dan");
    room.pass_seconds(60);
    assert_eq!(room.log.fence, fence + 1);
    room.assert_one_epoch(&["Ann", "Ben", "Cay"]);
}

#[test]
fn a_facilitator_who_leaves_keeps_neither_role_nor_key() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    promote(&mut room, "Ann", "Ben");
    assert_eq!(room.log.managers().len(), 2);
    let (ann, ben) = (room.leaf("Ann"), room.leaf("Ben"));
    let rotations = |room: &Room| {
        let events = room.of("Cay").events.iter();
        events.filter(|event| **event == Event::Rotated).count()
    };
    let before = rotations(&room);
    room.go_offline("Ann", true);
    leave(&mut room, "Ben");
    room.pass_seconds(60);
    // Cay let Ben go, and may not change the rules.
    assert_eq!(facilitators(&room, "Cay"), [ann, ben]);
    assert_eq!(rotations(&room), before);
    room.go_offline("Ann", false);
    room.settle();
    assert_eq!(rotations(&room), before + 1);
    assert_eq!(facilitators(&room, "Cay"), [ann]);
    let manage = sotto_protocol::proof::public_key(&room.of("Ann").engine.manage_key());
    assert_eq!(room.log.managers(), [manage]);
    room.assert_one_epoch(&["Ann", "Cay"]);
}

#[test]
fn a_rotation_that_leaves_a_role_to_who_is_gone_is_junk_for_all() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    promote(&mut room, "Ann", "Ben");
    promote(&mut room, "Ann", "Dan");
    for name in ["Ann", "Dan"] {
        room.go_offline(name, true);
    }
    leave(&mut room, "Ben");
    room.pass_seconds(60);
    let epoch = room.epoch("Cay");
    // Nor may the Commit that takes the farewell of a facilitator, if a facilitator makes it.
    let dan = farewell_of(&room, "Dan");
    let forgeries = [
        Forged {
            next: Some([7; 32]),
            ..Forged::default()
        },
        Forged {
            plan: Plan {
                remove: vec![dan.leaf],
                ..Plan::default()
            },
            farewells: vec![dan],
            ..Forged::default()
        },
    ];
    for forged in forgeries {
        let ann = room
            .devices
            .iter()
            .position(|device| device.name == "Ann")
            .unwrap();
        // Ann reads without sending.
        let now = room.now;
        Room::open(&room.log, &mut room.devices[ann], now);
        Room::give(&room.log, &room.id, &mut room.devices[ann], now);
        forge(&mut room, "Ann", forged);
        room.settle();
        assert_eq!(room.epoch("Cay"), epoch);
    }
    room.go_offline("Ann", false);
    room.settle();
    room.join("Eve");
    room.settle();
    room.assert_one_epoch(&["Ann", "Cay", "Eve"]);
}

#[test]
fn who_left_does_not_come_back_into_a_role() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    promote(&mut room, "Ann", "Ben");
    room.go_offline("Ann", true);
    let key = LeafKey::from_seed(&room.of("Ben").engine.saved.seed);
    leave(&mut room, "Ben");
    room.pass_seconds(60);
    let epoch = room.epoch("Cay");
    let cay = &room.of("Cay").engine;
    let group = cay.group.as_ref().unwrap();
    let (info, tree) = (group.group_info(&cay.key).unwrap(), group.tree().unwrap());
    let generation = cay.newest_generation().unwrap();
    let log = cay.log_bytes();
    let join = Group::join(
        &key,
        &info,
        &tree,
        generation.psk(),
        b"",
        &log,
        room.now.day(),
    )
    .unwrap();
    put_commit(
        &mut room,
        "Cay",
        join.out.commit,
        Some(join.out.info),
        Vec::new(),
    );
    room.settle();
    assert_eq!(room.epoch("Cay"), epoch);
    room.go_offline("Ann", false);
    room.settle();
    room.assert_one_epoch(&["Ann", "Cay"]);
}

#[test]
fn without_its_last_facilitator_a_room_goes_on_and_says_so() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    leave(&mut room, "Ann");
    room.pass_seconds(60);
    for name in ["Ben", "Cay"] {
        assert!(
            room.has(name, |event| *event == Event::NoFacilitator),
            "{name}"
        );
    }
    let link = room.of("Ben").engine.link().unwrap();
    room.join_by("Dan", &link);
    room.settle();
    assert!(room.has("Dan", |event| *event == Event::NoFacilitator));
    room.assert_one_epoch(&["Ben", "Cay", "Dan"]);
    leave(&mut room, "Ben");
    room.pass_seconds(60);
    assert!(!room.has("Cay", |event| *event == Event::Rotated));
    room.assert_one_epoch(&["Cay", "Dan"]);
}

#[test]
fn newcomers_believe_whoever_facilitates_although_those_who_vouched_are_gone() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan", "Eve"]);
    promote(&mut room, "Ann", "Ben");
    promote(&mut room, "Ann", "Dan");
    promote(&mut room, "Ben", "Cay");
    leave(&mut room, "Ann");
    room.pass_seconds(60);
    let ben = room.leaf("Ben");
    room.command("Dan", Command::Remove(ben));
    room.settle();
    assert_eq!(room.of("Ben").engine.standing(), Standing::Removed);
    // Cay alone makes what newcomers begin at.
    room.go_offline("Dan", true);
    room.command("Cay", Command::Rotate);
    room.settle();
    let link = room.of("Eve").engine.link().unwrap();
    room.join_by("Fay", &link);
    room.settle();
    assert_eq!(room.of("Fay").engine.standing(), Standing::In);
    room.go_offline("Dan", false);
    room.settle();
    room.assert_one_epoch(&["Cay", "Dan", "Eve", "Fay"]);
}

#[test]
fn a_dead_leaf_is_removed_by_a_member_and_the_room_is_not_yet_rotated_until_a_facilitator_comes() {
    let mut room = Room::new(&["Ann", "Ben", "Cay", "Dan"]);
    let ben = room.leaf("Ben");
    room.go_offline("Ben", true);
    room.pass_days(60);
    room.go_offline("Ann", true);
    let is_gone = |room: &Room, name: &str| {
        let gone = |event: &Event| matches!(event, Event::Removed { leaf, .. } if *leaf == ben);
        room.has(name, gone)
    };
    room.pass_days(25);
    assert!(!is_gone(&room, "Cay"), "not before it is dead");
    room.pass_days(25);
    for name in ["Cay", "Dan"] {
        assert!(is_gone(&room, name), "{name}");
        assert!(
            room.has(name, |event| *event == Event::NotYetRotated),
            "{name}"
        );
        assert!(!room.has(name, |event| *event == Event::Rotated), "{name}");
    }
    // Who comes now decides alike, from snapshot and Commits alone.
    room.join_by("Eve", &room.of("Cay").engine.link().unwrap());
    room.settle();
    room.assert_one_epoch(&["Cay", "Dan", "Eve"]);
    room.go_offline("Ann", false);
    room.settle();
    assert!(room.has("Eve", |event| *event == Event::Rotated));
    room.assert_one_epoch(&["Ann", "Cay", "Dan", "Eve"]);
}

#[test]
fn nobody_makes_a_living_leaf_look_dead() {
    let today = 20_000;
    let ids: Vec<_> = (1..=5).map(|n| LeafKey::from_seed(&[n; 32]).id()).collect();
    let dead = |days: &[u32]| {
        let leaves: Vec<_> = ids.iter().copied().zip(days.iter().copied()).collect();
        crate::policy::dead(&leaves).into_iter().collect::<Vec<_>>()
    };
    let old = today - 90;
    assert_eq!(dead(&[old, today]), [ids[0]], "the other of two shows it");
    assert_eq!(dead(&[old, today, today, today, old + 1]), [ids[0]]);
    assert_eq!(
        dead(&[old, today, today, old + 1, old + 1]),
        [],
        "two of five do not"
    );
    assert_eq!(dead(&[old]), []);
    // And a day that has not come makes a Commit count for nobody.
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    let epoch = room.epoch("Ann");
    let plan = Plan {
        day: room.now.day() + 2,
        ..Plan::default()
    };
    let forged = Forged {
        plan,
        ..Forged::default()
    };
    forge(&mut room, "Cay", forged);
    room.go_offline("Cay", false);
    room.settle();
    room.join("Dan");
    room.settle();
    assert_eq!(room.epoch("Ann"), epoch + 1, "Dan's");
    room.assert_one_epoch(&["Ann", "Ben", "Cay", "Dan"]);
}

#[test]
fn a_newcomer_that_removes_others_takes_a_role_lacks_the_secret_or_adds_anything_is_refused() {
    let key = LeafKey::from_seed(&[1; 32]);
    let (ann, ben, new) = (key.id(), LeafId::new([2; 32]), LeafId::new([3; 32]));
    let log = LogId::new([1; 32]);
    let gid = group_id(&log);
    let policy = Policy {
        floor: 1_024,
        link_joins: true,
        members_add: true,
        min_version: 1,
        facilitators: vec![Facilitator::vouch(&key, &gid, ann, PublicKey::new([9; 32]))],
        hosts: Vec::new(),
        keep_seconds: None,
    };
    let good = Facts {
        author: Author::Newcomer(new),
        added: Vec::new(),
        removed: Vec::new(),
        left: Vec::new(),
        policy: None,
        newest_day: 7,
        psks: vec![b"psk".to_vec()],
        strange: false,
        path: [0; 32],
        aad: Vec::new(),
    };
    let case = crate::policy::Case {
        log: &log,
        group_id: &gid,
        leaves: &[(ann, 7), (ben, 7)],
        day: 7,
        psk_id: b"psk",
        farewells: &[],
        returns: &[],
        rotates: false,
    };
    let judge = |change: &dyn Fn(&mut Facts)| {
        let mut facts = good.clone();
        change(&mut facts);
        policy.judge(&case, &facts)
    };
    assert_eq!(judge(&|_| {}), Ok(()));
    let returned = judge(&|facts| {
        facts.author = Author::Newcomer(ben);
        facts.removed = vec![ben];
    });
    assert_eq!(returned, Ok(()));
    let removes = Err(Forbidden::NewcomerRemoves);
    assert_eq!(judge(&|facts| facts.removed = vec![ben]), removes);
    assert_eq!(judge(&|facts| facts.removed = vec![new, ben]), removes);
    let twice = judge(&|facts| facts.author = Author::Newcomer(ben));
    assert_eq!(twice, removes, "a second leaf of one key");
    let rules = policy.encode().unwrap();
    let takes_role = judge(&|facts| facts.policy = Some(rules.clone()));
    assert_eq!(takes_role, Err(Forbidden::NotFacilitator));
    let adds = judge(&|facts| facts.added = vec![ben]);
    assert_eq!(adds, Err(Forbidden::NotFacilitator));
    for psks in [
        vec![],
        vec![b"old".to_vec()],
        vec![b"psk".to_vec(), b"old".to_vec()],
    ] {
        let lacks = judge(&|facts| facts.psks.clone_from(&psks));
        assert_eq!(lacks, Err(Forbidden::Secret));
    }
    let custom = judge(&|facts| facts.strange = true);
    assert_eq!(custom, Err(Forbidden::Strange));
    assert_eq!(judge(&|facts| facts.newest_day = 9), Err(Forbidden::NotYet));
}

#[test]
fn a_list_of_facilitators_that_hangs_on_nobody_is_not_sound() {
    let keys: Vec<_> = (1..=4).map(|n| LeafKey::from_seed(&[n; 32])).collect();
    let ids: Vec<_> = keys.iter().map(LeafKey::id).collect();
    let log = LogId::new([1; 32]);
    let gid = group_id(&log);
    let vouch = |by: usize, of: usize| {
        Facilitator::vouch(&keys[by], &gid, ids[of], PublicKey::new([9; 32]))
    };
    let policy = |facilitators| Policy {
        floor: 1_024,
        link_joins: true,
        members_add: false,
        min_version: 1,
        facilitators,
        hosts: Vec::new(),
        keep_seconds: None,
    };
    let leaves: Vec<_> = ids.iter().map(|leaf| (*leaf, 0)).collect();
    let old = policy(vec![vouch(0, 0), vouch(0, 1), vouch(1, 2), vouch(0, 3)]);
    let judge = |new: &Policy, removed: Vec<LeafId>| {
        let facts = Facts {
            author: Author::Member(ids[3]),
            added: Vec::new(),
            removed,
            left: Vec::new(),
            policy: Some(new.encode().unwrap()),
            newest_day: 0,
            psks: Vec::new(),
            strange: false,
            path: [0; 32],
            aad: Vec::new(),
        };
        let case = crate::policy::Case {
            log: &log,
            group_id: &gid,
            leaves: &leaves,
            day: 0,
            psk_id: b"",
            farewells: &[],
            returns: &[],
            rotates: true,
        };
        old.judge(&case, &facts)
    };
    // Without the one who vouched for it, 2 hangs on nobody that 0 and 3 hang on.
    let torn = policy(vec![vouch(0, 0), vouch(1, 2), vouch(0, 3)]);
    assert_eq!(judge(&torn, vec![ids[1]]), Err(Forbidden::BadPolicy));
    let mut mended = torn;
    let left = [ids[0], ids[2], ids[3]];
    mended.vouch_anew(&keys[3], &gid, &left);
    assert_eq!(judge(&mended, vec![ids[1]]), Ok(()));
    let root = mended.root(&gid, ids[0], &left);
    assert!(left.iter().all(|leaf| mended.leads_from(&gid, &root, leaf)));
    // A leaf that stays on the list although it goes.
    assert_eq!(judge(&old, vec![ids[1]]), Err(Forbidden::BadPolicy));
    // And one that is on it twice.
    let twice = policy(vec![vouch(0, 0), vouch(0, 0)]);
    assert_eq!(judge(&twice, vec![]), Err(Forbidden::BadPolicy));
}

#[test]
fn who_says_away_twice_is_away_and_was_not_here_between() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let leaf = room.leaf("Ben");
    for _ in 0..2 {
        let now = room.now;
        let away = crate::content::ContentBody::Away;
        room.engine("Ben").queue(away, now).unwrap();
        room.settle();
    }
    let of_away = |event: &&Event| matches!(event, Event::Away { .. } | Event::Back { .. });
    let told: Vec<_> = room.of("Ann").events.iter().filter(of_away).collect();
    assert_eq!(told, [&Event::Away { leaf }]);
    room.say("Ben", "here");
    room.settle();
    assert!(room.has("Ann", |event| *event == Event::Back { leaf }));
}
