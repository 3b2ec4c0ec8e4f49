//! What comes into the inbox of who knocked, and what comes to a door.

use sotto_protocol::proof::public_key;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::*;
use crate::content::ContentBody;
use crate::engine::beside::Side;
use crate::engine::door::NextKeeper;
use crate::link::{DoorLink, LinkBody, RelayAddress};
use crate::seal::letter::{self, Address, AnswerBody, KnockBody, Purpose, WelcomeBody};

pub(super) fn founder(admission: Admission) -> (Engine, DoorLink) {
    let relay = RelayAddress {
        url: "ws://127.0.0.1:1/".into(),
        identity: RelayIdentity::new([1; 32]),
    };
    let options = RoomOptions {
        suite: Suite::Classic,
        admission,
        ..RoomOptions::new(relay, "Ann")
    };
    let (mut engine, _) = Engine::found(options, NOON).unwrap();
    engine.saved.stage = Stage::In;
    let door = engine.door_link().unwrap();
    assert_eq!(
        engine.link(),
        Some(Link(LinkBody::Door(door.clone()))),
        "no link leads past the door"
    );
    (engine, door)
}

pub(super) fn knocker(name: &str, door: &DoorLink) -> Engine {
    let link = Link(LinkBody::Door(door.clone()));
    let options = JoinOptions { name: name.into() };
    Engine::join(&link, &options, NOON).unwrap().0
}

fn give(engine: &mut Engine, log: LogId, seq: u64, sealed: Vec<u8>) -> Effects {
    let cursor = Cursor {
        seq,
        chain: None,
        day: 19_675,
    };
    let entry = entry_of(seq, sealed.into());
    engine
        .take(SessionEvent::Entry { log, entry, cursor }, NOON)
        .unwrap();
    engine.finish(NOON)
}

/// An answer as the founder would seal it.
fn answer(to: &Engine, body: &AnswerBody<'_>) -> Vec<u8> {
    let knocking = to.beside.knocking.as_ref().unwrap();
    let inbox = knocking.inbox();
    let address = Address {
        purpose: Purpose::Answer,
        log: &inbox,
        key: &public_key(&StaticSecret::from(knocking.reply)),
    };
    let body = sotto_protocol::cbor::encode(body).unwrap();
    letter::write(address, &body, SizeClass::K1)
        .unwrap()
        .remove(0)
}

/// A Welcome for the KeyPackage of `of`.
fn welcome(ann: &mut Engine, of: &Engine) -> (Vec<u8>, Vec<u8>) {
    let package = of.beside.knocking.as_ref().unwrap().package.0.clone();
    welcome_for(ann, package)
}

fn yes<'a>(ann: &Engine, (welcome, tree): &'a (Vec<u8>, Vec<u8>)) -> AnswerBody<'a> {
    AnswerBody::Welcome(WelcomeBody {
        log: ann.saved.log,
        seq: 0,
        tree: tree.as_slice().into(),
        chain: chain::genesis(&ann.saved.log),
        fence: 0,
        secret: ann.saved.secrets[0].clone(),
        welcome: welcome.as_slice().into(),
    })
}

fn read_to(engine: &Engine) -> u64 {
    let knocking = engine.beside.knocking.as_ref().unwrap();
    knocking.mark.cursor().seq
}

#[test]
fn a_welcome_for_another_key_package_is_acknowledged_and_changes_nothing() {
    let (mut ann, door) = founder(Admission::Approval);
    let mut ben = knocker("Ben", &door);
    let inbox = ben.beside.knocking.as_ref().unwrap().inbox();
    let cay = knocker("Cay", &door);
    let for_cay = welcome(&mut ann, &cay);
    let orphan = answer(&ben, &yes(&ann, &for_cay));
    let effects = give(&mut ben, inbox, 1, orphan);
    assert!(!effects.hang_up && effects.events.is_empty());
    assert_eq!((ben.standing(), read_to(&ben)), (Standing::Joining, 1));
    let effects = give(&mut ben, inbox, 2, vec![7; 1_024]);
    assert!(!effects.hang_up && effects.events.is_empty());
    assert_eq!((ben.standing(), read_to(&ben)), (Standing::Joining, 2));
    // The right one still opens.
    let for_ben = welcome(&mut ann, &ben);
    let right = answer(&ben, &yes(&ann, &for_ben));
    give(&mut ben, inbox, 3, right.clone());
    assert_eq!(ben.standing(), Standing::Waiting);
    assert_eq!(ben.saved.log, ann.saved.log);
    let epoch = ben.group.as_ref().unwrap().authenticator();
    // A KeyPackage is used once.
    let again = give(&mut ben, inbox, 4, right);
    assert!(!again.hang_up && again.events.is_empty());
    let no = answer(&ben, &AnswerBody::No);
    give(&mut ben, inbox, 5, no);
    assert_eq!((ben.standing(), read_to(&ben)), (Standing::Waiting, 5));
    assert_eq!(ben.group.as_ref().unwrap().authenticator(), epoch);
    assert!(ben.beside.knocking.as_ref().unwrap().values.is_empty());
}

#[test]
fn a_welcome_for_a_key_package_whose_key_is_gone_is_acknowledged() {
    let (mut ann, door) = founder(Admission::Approval);
    let mut ben = knocker("Ben", &door);
    let inbox = ben.beside.knocking.as_ref().unwrap().inbox();
    let for_ben = welcome(&mut ann, &ben);
    let letter = answer(&ben, &yes(&ann, &for_ben));
    ben.beside.knocking.as_mut().unwrap().values.clear();
    let effects = give(&mut ben, inbox, 1, letter);
    assert!(!effects.hang_up && effects.events.is_empty());
    assert_eq!((ben.standing(), read_to(&ben)), (Standing::Joining, 1));
}

#[test]
fn a_flooded_inbox_is_emptied_keeps_nothing_and_a_welcome_in_it_still_counts() {
    let (mut ann, door) = founder(Admission::Approval);
    let mut ben = knocker("Ben", &door);
    let inbox = ben.beside.knocking.as_ref().unwrap().inbox();
    let cay = knocker("Cay", &door);
    let for_cay = welcome(&mut ann, &cay);
    let orphan = answer(&ben, &yes(&ann, &for_cay));
    let size = |engine: &Engine| {
        let knocking = engine.beside.knocking.as_ref().unwrap();
        saved::encode(knocking).unwrap().len()
    };
    let before = size(&ben);
    for seq in 1..=200 {
        let letter = if seq % 2 == 0 {
            orphan.clone()
        } else {
            vec![7; 1_024]
        };
        let effects = give(&mut ben, inbox, seq, letter);
        assert!(!effects.hang_up && effects.events.is_empty());
    }
    assert_eq!(read_to(&ben), 200);
    assert!(size(&ben) < before + 64, "nothing of it is kept");
    let for_ben = welcome(&mut ann, &ben);
    let right = answer(&ben, &yes(&ann, &for_ben));
    give(&mut ben, inbox, 201, right);
    assert_eq!(ben.standing(), Standing::Waiting);
}

#[test]
fn a_welcome_into_another_conversation_is_refused() {
    let (_, door) = founder(Admission::Approval);
    let mut ben = knocker("Ben", &door);
    let inbox = ben.beside.knocking.as_ref().unwrap().inbox();
    // Eve read the knock, as only who has the door's key can, and has a room of her own.
    let (mut eve, _) = founder(Admission::Approval);
    let for_ben = welcome(&mut eve, &ben);
    let letter = answer(&ben, &yes(&eve, &for_ben));
    give(&mut ben, inbox, 1, letter);
    assert_eq!((ben.standing(), read_to(&ben)), (Standing::Joining, 1));
}

#[test]
fn a_no_is_told_once_the_inbox_is_gone() {
    let (_, door) = founder(Admission::Approval);
    let mut ben = knocker("Ben", &door);
    let inbox = ben.beside.knocking.as_ref().unwrap().inbox();
    let no = answer(&ben, &AnswerBody::No);
    give(&mut ben, inbox, 1, no);
    assert_eq!(ben.standing(), Standing::Joining);
    ben.inbox_deleted();
    let effects = ben.finish(NOON);
    assert!(ben.is_over() && effects.hang_up);
    assert_eq!(effects.events, [Event::Standing(Standing::TurnedAway)]);
    assert_eq!(effects.store.erase, [ben.space()]);
    assert!(effects.store.puts.is_empty());
}

/// A knock as its author would seal it, changed.
fn knock(door: &DoorLink, by: &Engine, change: impl FnOnce(&mut KnockBody<'_>)) -> Vec<u8> {
    let knocking = by.beside.knocking.as_ref().unwrap();
    let mut body = KnockBody {
        badge: None,
        was: None,
        name: by.saved.name.clone(),
        inbox: knocking.inbox(),
        reply: public_key(&StaticSecret::from(knocking.reply)),
        append: [9; 32],
        manage: public_key(&by.manage_key()),
        package: knocking.package.0.as_slice().into(),
    };
    change(&mut body);
    let to = Address {
        purpose: Purpose::Knock,
        log: &door.door,
        key: &door.sealing,
    };
    let body = sotto_protocol::cbor::encode(&body).unwrap();
    letter::write(to, &body, SizeClass::K4).unwrap().remove(0)
}

#[test]
fn knocks_are_kept_once_up_to_a_bound_and_the_rest_stays_at_the_door() {
    let (mut ann, door) = founder(Admission::Approval);
    let knockers: Vec<_> = (0..34).map(|n| knocker(&format!("P{n}"), &door)).collect();
    let mut told = 0;
    let mut seq = 0;
    for one in &knockers {
        for _ in 0..2 {
            seq += 1;
            let sealed = knock(&door, one, |_| {});
            let effects = give(&mut ann, door.door, seq, sealed);
            told += effects
                .events
                .iter()
                .filter(|event| matches!(event, Event::Knock { .. }))
                .count();
        }
    }
    assert_eq!((told, ann.knocks().len()), (32, 32));
    assert!(ann.beside.is_full);
    assert_eq!(ann.knocks()[0].name, "P0", "the oldest first");
    let first = ann.knocks()[0].leaf;
    ann.command(Command::TurnAway(first), NOON).0.unwrap();
    assert_eq!(ann.knocks().len(), 31, "answered, as far as people care");
    ann.forget_knock(&first);
    ann.finish(NOON);
    assert!(!ann.beside.is_full, "there is room again");
}

#[test]
fn knocks_that_do_not_hold_together_are_dropped() {
    let (mut ann, door) = founder(Admission::Approval);
    let ben = knocker("Ben", &door);
    let (own, at_door) = (ann.saved.log, door.door);
    let mut hybrid = door.clone();
    hybrid.suite = Suite::Hybrid;
    let other_suite = knocker("Cay", &hybrid);
    let bad: Vec<Vec<u8>> = vec![
        vec![3; 1_024],
        knock(&door, &ben, |body| body.name = "two\nlines".into()),
        knock(&door, &ben, |body| body.inbox = own),
        knock(&door, &ben, |body| body.inbox = at_door),
        knock(&door, &ben, |body| body.package = vec![1, 2, 3].into()),
        knock(&door, &other_suite, |_| {}),
    ];
    for (seq, sealed) in (1..).zip(bad) {
        let effects = give(&mut ann, door.door, seq, sealed);
        assert!(effects.events.is_empty() && !effects.hang_up);
    }
    assert!(ann.knocks().is_empty());
    let good = knock(&door, &ben, |_| {});
    give(&mut ann, door.door, 7, good);
    assert_eq!(ann.knocks().len(), 1);
    assert!(
        ann.command(Command::Admit(ann.key.id()), NOON).0.is_err(),
        "nobody knocks under this id"
    );
}

#[test]
fn a_door_that_took_no_knock_is_opened_again_before_the_next() {
    let (_, link) = founder(Admission::Chat);
    let mut ben = knocker("Ben", &link);
    ben.inbox_made().unwrap();
    ben.set_online(true);
    ben.beside.open.insert(link.door);
    drop(ben.finish(NOON));
    assert!(matches!(
        ben.flight.as_ref().unwrap().kind,
        saved::FlightKind::Knock
    ));
    let token = ben.token.unwrap();
    let refused = Err(denied(ErrorCode::Refused));
    ben.answered(token, refused, NOON).unwrap();
    drop(ben.finish(NOON));
    let later = NOON.plus_ms(600_000);
    drop(ben.tick(later));
    assert!(ben.flight.is_none(), "there may be no door any more");
    ben.beside.open.insert(link.door);
    drop(ben.finish(later));
    assert!(ben.flight.is_some(), "there is: it was full");
}

#[test]
fn a_chat_chooses_the_first_who_knocks() {
    let (mut ann, door) = founder(Admission::Chat);
    for (seq, name) in [(1, "Ben"), (2, "Cay")] {
        let one = knocker(name, &door);
        let sealed = knock(&door, &one, |_| {});
        give(&mut ann, door.door, seq, sealed);
        if name == "Ben" {
            assert_eq!(ann.saved.intents, [saved::Intent::Add(one.key.id())]);
        }
    }
    assert_eq!(ann.saved.intents.len(), 1);
}

#[test]
fn a_keeper_that_is_gone_loses_the_key_and_the_link_stays_good() {
    let (mut ann, link) = founder(Admission::Approval);
    let door = ann.beside.door.as_mut().unwrap();
    door.root = None;
    let (log, keeper) = (door.log, door.keeper);
    ann.beside.open.insert(log);
    let gid = group_id(&ann.saved.log);
    let cay = LeafKey::from_seed(&[9; 32]).id();
    let mut before = ann.policy.clone().unwrap();
    let manage = PublicKey::new([8; 32]);
    let vouched = crate::policy::Facilitator::vouch(&ann.key, &gid, cay, manage);
    before.facilitators.push(vouched);
    let me = ann.key.id();
    let facts = |removed| crate::mls::Facts {
        author: crate::mls::Author::Member(me),
        added: Vec::new(),
        removed,
        left: Vec::new(),
        policy: None,
        psks: Vec::new(),
        newest_day: 0,
        strange: false,
        path: [0; 32],
        aad: Vec::new(),
    };
    let asked = |ann: &mut Engine| {
        ann.change_door_keys(NOON).unwrap();
        ann.beside.is_asked(Side::ChangeDoorKeys)
    };
    let same = ann.policy.clone();
    ann.keepers_changed(&facts(Vec::new()), same.as_ref())
        .unwrap();
    assert!(!asked(&mut ann), "nobody is gone");
    ann.keepers_changed(&facts(vec![cay]), Some(&before))
        .unwrap();
    assert!(asked(&mut ann));
    ann.door_keys_changed().unwrap();
    assert_ne!(ann.beside.door.as_ref().unwrap().keeper, keeper);
    assert!(ann.door_link() == Some(link));
    // A restart before the answer: the new key may be the one that opens.
    let next = [3; 32];
    ann.beside.door.as_mut().unwrap().next_keeper = Some(NextKeeper(next));
    ann.door_refused().unwrap();
    assert_eq!(ann.beside.door.as_ref().unwrap().keeper, next);
}

#[test]
fn only_the_facilitator_who_asked_can_read_the_keys_of_a_door() {
    let (mut ann, link) = founder(Admission::Approval);
    ann.outbox.clear();
    let secret = StaticSecret::from([5; 32]);
    let cay = LeafKey::from_seed(&[9; 32]).id();
    ann.door_asked(cay, public_key(&secret), NOON).unwrap();
    assert!(ann.outbox.is_empty(), "she does not facilitate");
    let gid = group_id(&ann.saved.log);
    let manage = PublicKey::new([8; 32]);
    let vouched = crate::policy::Facilitator::vouch(&ann.key, &gid, cay, manage);
    ann.policy.as_mut().unwrap().facilitators.push(vouched);
    ann.door_asked(cay, public_key(&secret), NOON).unwrap();
    let said = ann
        .outbox
        .values()
        .next()
        .map(|queued| queued.content.body.clone());
    let Some(ContentBody::Door { to, sealed }) = said else {
        panic!("no keys");
    };
    assert_eq!(to, cay);
    let read = |secret: [u8; 32]| {
        letter::Letters::default().read(&secret, Purpose::Door, &ann.saved.log, &sealed)
    };
    assert_eq!(read([6; 32]), letter::Read::Junk);
    let letter::Read::Whole(letter) = read([5; 32]) else {
        panic!("it does not open");
    };
    let handed: handing::HandedDoor = sotto_protocol::cbor::decode(&letter).unwrap();
    assert!(handed.door == link);
}

pub(super) fn denied(code: ErrorCode) -> Denied {
    Denied {
        refusal: Refusal::of(code),
        perhaps_applied: false,
    }
}

#[test]
fn who_founded_or_knocked_days_ago_without_a_line_asks_for_their_logs_anew() {
    let root_of = |engine: &Engine, side| {
        let door = engine.beside.door.as_ref().and_then(|one| one.root.clone());
        let inbox = engine.beside.knocking.as_ref();
        let inbox = inbox.and_then(|one| one.root.clone());
        if side == Side::MakeDoor { door } else { inbox }
    };
    let (ann, link) = founder(Admission::Chat);
    let ben = knocker("Ben", &link);
    for (mut engine, side) in [(ann, Side::MakeDoor), (ben, Side::MakeInbox)] {
        engine.make_logs(NOON).unwrap();
        let first = root_of(&engine, side).unwrap();
        let token = |engine: &Engine| {
            let mut asked = engine.beside.asked.iter();
            *asked.find(|(_, asked)| **asked == side).unwrap().0
        };
        let asked = token(&engine);
        let too_old = Err(denied(ErrorCode::RetryTooOld));
        engine.answered_beside(asked, &too_old, NOON).unwrap();
        let second = root_of(&engine, side).unwrap();
        assert_ne!(second.retry, first.retry);
        assert_eq!(second.key, first.key, "the same log");
        // It stands already, from the first time.
        let asked = token(&engine);
        let stands = Err(denied(ErrorCode::Refused));
        engine.answered_beside(asked, &stands, NOON).unwrap();
        assert!(root_of(&engine, side).is_none());
        assert!(!engine.finish(NOON).hang_up);
    }
}
