//! What comes into a standing inbox, and what is taken from its pool.

use sotto_protocol::frame::Taken;
use sotto_protocol::size_class::SizeClass;

use super::*;
use crate::engine::inbox::{INVITATIONS_MAX, InboxOptions};
use crate::engine::pool::{PACKAGES_MAX, POOL_SIZE};
use crate::link::{InboxLink, RelayAddress};
use crate::seal::letter::{self, Address, InviteBody, Purpose, WelcomeBody};

fn relay() -> RelayAddress {
    RelayAddress {
        url: "ws://127.0.0.1:1/".into(),
        identity: RelayIdentity::new([1; 32]),
    }
}

fn room() -> Engine {
    let options = RoomOptions {
        suite: Suite::Classic,
        ..RoomOptions::new(relay(), "Ann")
    };
    let (mut engine, _) = Engine::found(options, NOON).unwrap();
    engine.saved.stage = Stage::In;
    engine
}

/// An inbox whose pool was filled, with what stands in the pool.
struct Owner {
    engine: Engine,
    link: InboxLink,
    pool: Vec<NewEntry<'static>>,
    met: u64,
}

impl Owner {
    fn new() -> Self {
        let options = InboxOptions {
            suite: Suite::Classic,
            ..InboxOptions::new(relay())
        };
        let (mut engine, _) = Engine::open_inbox(options, NOON).unwrap();
        let link = engine.inbox_link().unwrap();
        let pool = engine.fill_pool(NOON).unwrap();
        Self {
            engine,
            link,
            pool,
            met: 0,
        }
    }

    fn gives(&mut self, sealed: Vec<Vec<u8>>) -> Effects {
        let mut effects = Effects::default();
        for sealed in sealed {
            self.met += 1;
            let (log, seq) = (self.link.inbox, self.met);
            let cursor = Cursor {
                seq,
                chain: None,
                day: 19_675,
            };
            let entry = entry_of(seq, sealed.into());
            self.engine
                .take(SessionEvent::Entry { log, entry, cursor }, NOON)
                .unwrap();
            effects = self.engine.finish(NOON);
        }
        assert!(!effects.hang_up);
        effects
    }

    fn restart(&mut self, rows: &BTreeMap<Vec<u8>, Vec<u8>>) {
        let rows = rows.clone().into_iter().collect();
        (self.engine, _) = Engine::load(self.engine.space, rows, false, NOON).unwrap();
    }
}

/// What `ann` has of the pool's entry.
fn taken(ann: &mut Engine, link: &InboxLink, entry_taken: &NewEntry<'static>) -> Option<LeafId> {
    ann.add_from_inbox(link.clone()).unwrap();
    let answer = Answer::Taken(Taken {
        entry: entry_of(1, entry_taken.sealed.clone()),
        last_resort: entry_taken.last_resort,
    });
    let before: Vec<_> = ann.beside.knocks.keys().copied().collect();
    ann.taken(&link.pool, &Ok(answer)).unwrap();
    let mut now = ann.beside.knocks.keys();
    now.find(|leaf| !before.contains(leaf)).copied()
}

/// The letter for whom the KeyPackage of this leaf is.
fn letter(ann: &mut Engine, link: &InboxLink, leaf: &LeafId) -> Vec<Vec<u8>> {
    let package = ann.beside.knocks[leaf].package.0.clone();
    let (welcome, tree) = welcome_for(ann, package);
    let body = InviteBody {
        founder: ann.key.id(),
        welcome: WelcomeBody {
            log: ann.saved.log,
            seq: 0,
            tree: tree.as_slice().into(),
            chain: chain::genesis(&ann.saved.log),
            fence: 0,
            secret: ann.saved.secrets[0].clone(),
            welcome: welcome.as_slice().into(),
        },
    };
    let to = Address {
        purpose: Purpose::Invite,
        log: &link.inbox,
        key: &link.sealing,
    };
    let body = sotto_protocol::cbor::encode(&body).unwrap();
    letter::write(to, &body, SizeClass::K1).unwrap()
}

fn invites(owner: &Owner, package: usize) -> Vec<Vec<u8>> {
    let mut ann = room();
    let leaf = taken(&mut ann, &owner.link, &owner.pool[package]).unwrap();
    letter(&mut ann, &owner.link, &leaf)
}

#[test]
fn a_welcome_for_a_key_package_whose_key_is_gone_is_counted_and_the_inbox_goes_on() {
    let mut ben = Owner::new();
    let first = invites(&ben, 0);
    assert!(matches!(
        ben.gives(first.clone()).events[..],
        [Event::Invited(_)]
    ));
    let again = ben.gives(first);
    assert_eq!(again.events, [Event::InvitationLost { count: 1 }]);
    let other = invites(&ben, 0);
    let used = ben.gives(other);
    assert_eq!(used.events, [Event::InvitationLost { count: 2 }]);
    let next = invites(&ben, 1);
    assert!(matches!(ben.gives(next).events[..], [Event::Invited(_)]));
    assert_eq!(ben.engine.invitations().len(), 2);
}

#[test]
fn a_last_resort_key_package_used_twice_opens_both_conversations() {
    let mut ben = Owner::new();
    assert!(ben.pool[POOL_SIZE].last_resort);
    assert!(ben.pool[..POOL_SIZE].iter().all(|one| !one.last_resort));
    for _ in 0..2 {
        let letter = invites(&ben, POOL_SIZE);
        assert!(matches!(ben.gives(letter).events[..], [Event::Invited(_)]));
    }
    let options = JoinOptions { name: "Ben".into() };
    let [first, second] = ben.engine.invitations()[..] else {
        panic!("two invitations")
    };
    assert_ne!(first.log, second.log);
    for invitation in [first, second] {
        let (joined, effects) = ben.engine.accept(invitation.id, &options, NOON).unwrap();
        assert_eq!(joined.standing(), Standing::Waiting);
        assert_eq!(joined.saved.log, invitation.log);
        let gone: Vec<_> = effects.store.deletes.iter().map(|key| key.space).collect();
        assert_eq!(
            gone,
            [ben.engine.space],
            "one batch takes it from the inbox"
        );
    }
}

#[test]
fn a_flooded_inbox_keeps_nothing_of_it_and_an_invitation_behind_the_flood_still_comes_in() {
    let mut ben = Owner::new();
    for count in 1..=200 {
        let effects = ben.gives(vec![vec![7; 1_024]]);
        assert_eq!(effects.events, [Event::Junk { count }]);
    }
    let rows: Vec<_> = ben.engine.invitations();
    assert!(rows.is_empty());
    let letter = invites(&ben, 0);
    assert!(matches!(ben.gives(letter).events[..], [Event::Invited(_)]));
}

#[test]
fn letters_that_are_begun_and_never_ended_do_not_stop_an_inbox() {
    let mut ben = Owner::new();
    let to = Address {
        purpose: Purpose::Invite,
        log: &ben.link.inbox.clone(),
        key: &ben.link.sealing.clone(),
    };
    let long = vec![1; 70_000];
    for count in 0..4 {
        let begun = letter::write(to, &long, SizeClass::K1).unwrap().remove(0);
        let effects = ben.gives(vec![begun]);
        let expected = (count > 0).then_some(Event::Junk { count });
        assert_eq!(effects.events, Vec::from_iter(expected));
        let marked = ben.engine.inbox_mark();
        assert_eq!(marked, count, "all but the last may be trimmed");
    }
    let letter = invites(&ben, 0);
    let events = ben.gives(letter).events;
    assert!(matches!(events[..], [Event::Invited(_)]));
    assert_eq!(ben.engine.inbox_mark(), 5);
}

#[test]
fn more_invitations_than_a_person_answers_stay_at_the_relay_in_their_order() {
    let mut ben = Owner::new();
    let last = POOL_SIZE;
    for _ in 0..INVITATIONS_MAX {
        let letter = invites(&ben, last);
        assert!(matches!(ben.gives(letter).events[..], [Event::Invited(_)]));
    }
    let letter = invites(&ben, 0);
    assert_eq!(ben.gives(letter.clone()).events, []);
    ben.engine.tick(NOON);
    assert!(ben.engine.beside.is_full);
    let first = ben.engine.invitations()[0].id;
    let (declined, _) = ben.engine.command(Command::Decline(first), NOON);
    assert!(declined.is_ok());
    assert!(!ben.engine.beside.is_full);
    ben.met -= letter.len() as u64;
    assert!(matches!(ben.gives(letter).events[..], [Event::Invited(_)]));
}

#[test]
fn keys_of_packages_are_kept_up_to_a_bound_and_the_oldest_goes_first() {
    let filling = POOL_SIZE + 1;
    for (before, goes) in [
        (PACKAGES_MAX - filling, false),
        (PACKAGES_MAX - filling + 1, true),
    ] {
        let mut ben = Owner::new();
        let beside = &mut ben.engine.beside;
        let (oldest, kept) = beside.packages.first_key_value().unwrap();
        let (oldest, kept) = (*oldest, kept.clone());
        // As if so many had been made, and nobody had come by them.
        let inbox = beside.inbox.as_mut().unwrap();
        for _ in beside.packages.len()..before {
            let mut other = kept.clone();
            other.reference.0 = inbox.next.to_be_bytes().to_vec();
            beside.packages.insert(inbox.next, other);
            inbox.next += 1;
        }
        drop(ben.engine.finish(NOON));
        assert_eq!(ben.engine.fill_pool(NOON).unwrap().len(), filling);
        let packages = &ben.engine.beside.packages;
        assert_eq!(packages.len(), PACKAGES_MAX);
        assert_eq!(packages.contains_key(&oldest), !goes);
        assert!(packages.contains_key(&(oldest + 1)), "one was too many");
        let deleted = ben.engine.finish(NOON).store.deletes;
        assert_eq!(deleted.len(), usize::from(goes));
        // Who took the oldest one comes too late once its key is gone; who took the next does not.
        let letter = invites(&ben, 0);
        let events = ben.gives(letter).events;
        let is_lost = events == [Event::InvitationLost { count: 1 }];
        assert_eq!(is_lost, goes, "{events:?}");
        let letter = invites(&ben, 1);
        assert!(matches!(ben.gives(letter).events[..], [Event::Invited(_)]));
    }
}

#[test]
fn a_key_package_that_the_inboxs_owner_did_not_sign_adds_nobody() {
    let ben = Owner::new();
    let mut ann = room();
    // Whoever has the address could seal one, and a relay give what others put in.
    let link = InboxLink {
        owner: ann.key.id(),
        ..ben.link.clone()
    };
    assert_eq!(taken(&mut ann, &link, &ben.pool[0]), None);
    assert_eq!(ann.out.events, [Event::NotAdded]);
    assert!(taken(&mut ann, &ben.link, &ben.pool[0]).is_some());
}

#[test]
fn a_lost_answer_to_a_take_is_asked_for_again_with_the_same_retry_id_also_after_a_restart() {
    let ben = Owner::new();
    let mut ann = room();
    ann.add_from_inbox(ben.link.clone()).unwrap();
    let asked = |engine: &Engine| {
        let adding = &engine.beside.adding[&ben.link.pool];
        saved::encode(adding).unwrap()
    };
    ann.set_online(true);
    let effects = ann.finish(NOON);
    let before = asked(&ann);
    let name = inviting::name(&ben.link.pool);
    let kept = effects.store.puts.iter().rfind(|(key, _)| key.name == name);
    assert_eq!(kept.unwrap().1, before, "it is kept before it is asked");
    let mut beside = Beside::default();
    assert!(beside.load(&(name, before.clone())).unwrap());
    ann.beside = beside;
    ann.set_online(true);
    ann.finish(NOON);
    assert_eq!(asked(&ann), before);
}

#[test]
fn what_is_given_up_leaves_no_key() {
    let mut ben = Owner::new();
    let effects = ben.engine.finish(NOON);
    let mut rows: BTreeMap<_, _> = BTreeMap::new();
    let letter = invites(&ben, 0);
    for effects in [effects, ben.gives(letter)] {
        rows.extend(
            effects
                .store
                .puts
                .into_iter()
                .map(|(key, value)| (key.name, value)),
        );
    }
    let (given_up, effects) = ben.engine.command(Command::Leave, NOON);
    assert!(given_up.is_ok());
    assert!(ben.engine.is_over(), "the relay never heard of it");
    assert_eq!(effects.store.erase, [ben.engine.space]);
    assert!(effects.store.puts.is_empty());
    ben.restart(&rows);
    assert_eq!(ben.engine.invitations().len(), 1, "without that it goes on");
}

#[test]
fn what_a_person_has_forgotten_is_overwritten_at_once() {
    let mut ben = Owner::new();
    let letter = invites(&ben, 0);
    drop(ben.gives(letter));
    let id = ben.engine.invitations()[0].id;
    let (reply, effects) = ben.engine.command(Command::Decline(id), NOON);
    assert_eq!(reply.unwrap(), Reply::Kept);
    assert!(effects.scrub, "an invitation holds the keys of a leaf");
    let (reply, effects) = ben.engine.command(Command::Leave, NOON);
    assert_eq!(reply.unwrap(), Reply::Kept);
    assert!(effects.scrub, "as do the KeyPackages of an inbox");
}

#[test]
fn an_inbox_that_is_given_up_before_the_relay_answered_is_deleted_there_all_the_same() {
    for is_asked in [false, true] {
        let mut ben = Owner::new();
        if is_asked {
            ben.engine.make_logs(NOON).unwrap();
        }
        let (reply, _) = ben.engine.command(Command::Leave, NOON);
        assert_eq!(reply.unwrap(), Reply::Kept);
        let is_over = ben.engine.standing() == Standing::Left;
        assert_eq!(
            is_over,
            !is_asked,
            "{is_asked}: {:?}",
            ben.engine.standing()
        );
    }
}
