//! The door to the library, tried with two to four members and no log in between.

use super::*;

const LOG: [u8; 32] = [9; 32];
const DAY: u32 = 20_000;
const PSK: (&[u8], &[u8; 32]) = (b"psk id", &[8; 32]);

fn key(seed: u8) -> LeafKey {
    LeafKey::from_seed(&[seed; 32])
}

fn founded(suite: Suite) -> Group {
    let group = Group::create(suite, b"group", &key(1), b"policy", DAY).unwrap();
    group.store_psk(PSK.0, PSK.1).unwrap();
    group
}

fn join(host: &Group, by: &LeafKey) -> ExternalJoin {
    Group::join(
        by,
        &host.group_info(&key(1)).unwrap(),
        &host.tree().unwrap(),
        PSK,
        b"aad",
        &LOG,
        DAY,
    )
    .unwrap()
}

fn take(group: &mut Group, commit: &[u8]) -> Facts {
    let facts = group.look(commit).unwrap();
    let Incoming::Commit(staged) = group.open(commit).unwrap() else {
        panic!("a Commit")
    };
    group.merge(*staged).unwrap();
    facts
}

#[test]
fn a_link_joiner_and_a_member_agree_and_talk_in_both_suites() {
    for suite in [Suite::Hybrid, Suite::Classic] {
        let mut ann = founded(suite);
        let ExternalJoin {
            group: mut ben,
            out,
        } = join(&ann, &key(2));
        let facts = take(&mut ann, &out.commit);
        assert_eq!(facts.author, Author::Newcomer(key(2).id()));
        assert_eq!(facts.psks, [PSK.0]);
        assert!(!facts.strange);
        assert_eq!(ann.authenticator(), ben.authenticator());
        assert_eq!(*ann.member_key(&LOG).unwrap(), *out.member_key);
        let message = ben.encrypt(&key(2), b"hello").unwrap();
        let Incoming::Message {
            author, content, ..
        } = ann.open(&message).unwrap()
        else {
            panic!("a message")
        };
        assert_eq!(
            (author, content.as_slice()),
            (key(2).id(), b"hello".as_slice())
        );
        assert!(matches!(ben.open(&message).unwrap(), Incoming::Own));
        assert!(ann.open(&message).is_err(), "the same message opens once");
    }
}

#[test]
fn a_joiner_with_another_psk_is_not_followed() {
    let mut ann = founded(Suite::Classic);
    let wrong = (PSK.0, &[7; 32]);
    let info = ann.group_info(&key(1)).unwrap();
    let joined = Group::join(&key(2), &info, &ann.tree().unwrap(), wrong, b"", &LOG, DAY).unwrap();
    assert!(ann.open(&joined.out.commit).is_err());
    assert!(
        ann.look(&joined.out.commit).is_ok(),
        "its confirmation tag is all that gives it away"
    );
}

#[test]
fn the_new_epochs_keys_are_known_before_the_commit_wins() {
    let mut ann = founded(Suite::Classic);
    let ExternalJoin {
        group: mut ben,
        out,
    } = join(&ann, &key(2));
    take(&mut ann, &out.commit);
    let ExternalJoin {
        group: mut cay,
        out,
    } = join_by(&ann, &key(3));
    take(&mut ann, &out.commit);
    take(&mut ben, &out.commit);
    let plan = Plan {
        remove: vec![key(2).id()],
        policy: Some(b"new".to_vec()),
        aad: b"signed".to_vec(),
        ..Plan::default()
    };
    let staged = ann.stage(&key(1), &plan, &LOG).unwrap();
    let before = ann.epoch();
    let facts = take(&mut cay, &staged.commit);
    assert_eq!(facts.removed, [key(2).id()]);
    assert_eq!(facts.policy.as_deref(), Some(b"new".as_slice()));
    assert_eq!(facts.aad, b"signed");
    assert!(matches!(
        ann.open(&staged.commit).unwrap(),
        Incoming::OwnCommit
    ));
    ann.merge_pending().unwrap();
    assert_eq!(ann.epoch(), before + 1);
    assert_eq!(*cay.member_key(&LOG).unwrap(), *staged.member_key);
    assert_eq!(*ann.rotate_key(&LOG).unwrap(), *staged.rotate_key);
    let Incoming::Commit(removal) = ben.open(&staged.commit).unwrap() else {
        panic!("a Commit")
    };
    assert!(removal.removes_us);
    ben.merge(*removal).unwrap();
    assert!(ben.encrypt(&key(2), b"late").is_err());
    // A follower that starts at the new GroupInfo and tree is where the members are.
    let follower = Follower::start(&staged.info, &staged.tree).unwrap();
    assert_eq!(
        (follower.epoch(), follower.leaves().len()),
        (ann.epoch(), 2)
    );
    assert_eq!(follower.policy(), b"new");
}

fn join_by(host: &Group, by: &LeafKey) -> ExternalJoin {
    join(host, by)
}

#[test]
fn a_follower_sees_what_members_see() {
    let mut ann = founded(Suite::Hybrid);
    let mut follower =
        Follower::start(&ann.group_info(&key(1)).unwrap(), &ann.tree().unwrap()).unwrap();
    let ExternalJoin { group: ben, out } = join(&ann, &key(2));
    let seen = follower.look(&out.commit).unwrap();
    assert_eq!(seen, take(&mut ann, &out.commit));
    follower.apply(&out.commit).unwrap();
    let plan = Plan {
        remove: vec![key(2).id()],
        ..Plan::default()
    };
    let staged = ann.stage(&key(1), &plan, &LOG).unwrap();
    let facts = follower.look(&staged.commit).unwrap();
    assert_eq!(facts, ben.look(&staged.commit).unwrap());
    assert_eq!(facts.removed, [key(2).id()]);
    follower.apply(&staged.commit).unwrap();
    ann.merge_pending().unwrap();
    assert_eq!(follower.leaves(), ann.leaves());
}

#[test]
fn a_welcome_adds_who_made_the_key_package() {
    let mut ann = founded(Suite::Hybrid);
    let (package, values) = Group::key_package(Suite::Hybrid, &key(2), DAY).unwrap();
    let staged = ann
        .stage(
            &key(1),
            &Plan {
                add: vec![package],
                ..Plan::default()
            },
            &LOG,
        )
        .unwrap();
    let (mut ben, by) =
        Group::from_welcome(values, &staged.welcome.unwrap(), &staged.tree).unwrap();
    assert_eq!(by, key(1).id());
    ann.merge_pending().unwrap();
    assert_eq!(ann.authenticator(), ben.authenticator());
    let message = ann.encrypt(&key(1), b"welcome").unwrap();
    assert!(matches!(
        ben.open(&message).unwrap(),
        Incoming::Message { .. }
    ));
    let other = Group::key_package(Suite::Classic, &key(3), DAY).unwrap().0;
    assert!(
        ann.stage(
            &key(1),
            &Plan {
                add: vec![other],
                ..Plan::default()
            },
            &LOG
        )
        .is_err(),
        "another suite"
    );
}

#[test]
fn a_key_package_that_is_kept_opens_every_welcome_for_it() {
    let (package, values) = Group::key_package(Suite::Classic, &key(2), DAY).unwrap();
    for _ in 0..2 {
        let mut ann = founded(Suite::Classic);
        let plan = Plan {
            add: vec![package.clone()],
            ..Plan::default()
        };
        let staged = ann.stage(&key(1), &plan, &LOG).unwrap();
        let welcome = staged.welcome.unwrap();
        // The library deletes the private key it used; what is kept is not the library's.
        let (ben, _) = Group::from_welcome(values.clone(), &welcome, &staged.tree).unwrap();
        ann.merge_pending().unwrap();
        assert_eq!(ann.authenticator(), ben.authenticator());
    }
}

/// In a hundred years; the library's clock is the machine's, and no leaf of this test may end by it.
const FAR_OFF: u64 = 5_000_000_000;

#[test]
fn a_leaf_that_ends_is_added_by_nobody_so_that_no_clock_decides() {
    let mut ann = founded(Suite::Classic);
    let ending = spoil::ending(Suite::Classic, &key(3), FAR_OFF);
    let plan = Plan {
        add: vec![ending.clone()],
        ..Plan::default()
    };
    assert!(ann.leaf_of(&ending).is_err());
    assert!(ann.stage(&key(1), &plan, &LOG).is_err());
    let ExternalJoin { group: ben, out } = join(&ann, &key(2));
    take(&mut ann, &out.commit);
    let commit =
        spoil::commit_of_ending(ann.values().unwrap(), b"group", &key(1), &key(3), FAR_OFF);
    // Where the leaf has not ended by the reader's clock; where it has, the library refuses it.
    assert!(ben.look(&commit).unwrap().strange);
    let unending = Group::key_package(Suite::Classic, &key(3), DAY).unwrap().0;
    assert_eq!(ann.leaf_of(&unending).unwrap(), key(3).id());
}

#[test]
fn a_group_survives_being_saved_and_loaded() {
    let mut ann = founded(Suite::Classic);
    let mut saved = Values::new();
    let apply = |saved: &mut Values, state: State| {
        for (key, value) in state.puts {
            saved.insert(key, value);
        }
        for key in state.deletes {
            saved.remove(&key);
        }
    };
    apply(&mut saved, ann.changes().unwrap());
    assert_eq!(ann.changes().unwrap(), State::default());
    let ExternalJoin {
        group: mut ben,
        out,
    } = join(&ann, &key(2));
    take(&mut ann, &out.commit);
    apply(&mut saved, ann.changes().unwrap());
    let mut ann = Group::load(saved, b"group").unwrap();
    let message = ben.encrypt(&key(2), b"after").unwrap();
    assert!(matches!(
        ann.open(&message).unwrap(),
        Incoming::Message { .. }
    ));
}

#[test]
fn garbage_is_refused_without_a_change() {
    let mut ann = founded(Suite::Classic);
    let values = ann.values().unwrap();
    let message = ann.group_info(&key(1)).unwrap();
    for bytes in [&[][..], &[0; 64], &message] {
        assert!(ann.open(bytes).is_err());
    }
    assert_eq!(ann.values().unwrap(), values);
}

/// Somebody who writes, and somebody who reads.
struct Pair {
    writer: (Group, LeafKey),
    reader: (Group, LeafKey),
}

impl Pair {
    /// Who came in by link writes to who founded the group, and the other way round: the library is
    /// told the limits once at founding and once at joining.
    fn both_ways() -> [Self; 2] {
        let pair = || {
            let mut ann = founded(Suite::Classic);
            let ExternalJoin { group: ben, out } = join(&ann, &key(2));
            take(&mut ann, &out.commit);
            ((ann, key(1)), (ben, key(2)))
        };
        let (reader, writer) = pair();
        let founder_reads = Self { writer, reader };
        let (writer, reader) = pair();
        [founder_reads, Self { writer, reader }]
    }

    fn write(&mut self) -> Vec<u8> {
        let (group, key) = &mut self.writer;
        group.encrypt(key, b"words").unwrap()
    }

    fn opens(&mut self, message: &[u8]) -> bool {
        matches!(self.reader.0.open(message), Ok(Incoming::Message { .. }))
    }

    /// The reader renews its keys, of which the writer does not know yet.
    fn begin_epoch(&mut self) {
        let (group, key) = &mut self.reader;
        group.stage(key, &Plan::default(), &LOG).unwrap();
        group.merge_pending().unwrap();
    }
}

#[test]
fn messages_of_the_last_three_epochs_open_and_of_the_one_before_no_longer() {
    for mut pair in Pair::both_ways() {
        let [third, fourth] = [pair.write(), pair.write()];
        for _ in 0..3 {
            pair.begin_epoch();
        }
        assert!(pair.opens(&third));
        pair.begin_epoch();
        assert!(!pair.opens(&fourth));
    }
}

#[test]
fn keys_of_the_last_sixty_four_messages_are_kept_and_an_older_one_opens_no_more() {
    for mut pair in Pair::both_ways() {
        let messages: Vec<_> = (0..65).map(|_| pair.write()).collect();
        // It is the first of those sixty-four itself.
        assert!(pair.opens(&messages[64]));
        assert!(!pair.opens(&messages[0]), "the sixty-fifth");
        assert!(pair.opens(&messages[1]), "the sixty-fourth");
    }
}

#[test]
fn a_message_after_two_thousand_that_are_missing_opens_and_after_one_more_does_not() {
    for mut pair in Pair::both_ways() {
        for _ in 0..2_000 {
            pair.write();
        }
        let [at_the_limit, past_it] = [pair.write(), pair.write()];
        assert!(!pair.opens(&past_it));
        assert!(pair.opens(&at_the_limit));
        assert!(pair.opens(&past_it), "it is the next one now");
    }
}
