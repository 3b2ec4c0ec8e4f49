//! One value of every structure that clients exchange, with and without its optional fields.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sotto_protocol::cbor;
use sotto_protocol::id::{ChainValue, LogId, PublicKey, RelayIdentity};
use sotto_protocol::proof::public_key;
use sotto_protocol::size_class::SizeClass;

use crate::attachment::AttachmentSecret;
use crate::content::{
    Attach, Call, Content, ContentBody, MessageId, Place, RetoldLine, RosterLine, Spoken, Taken,
    TakenWait, speak_opening,
};
use crate::desk::badge_samples as made;
use crate::desk::card::SignedCard;
use crate::desk::tests as desk;
use crate::desk::{Card, DeskAddress, Ticket};
use crate::engine::commits::CommitAad;
use crate::engine::group_id;
use crate::engine::handing::HandedDoor;
use crate::link::{DoorKeys, DoorLink, InboxLink, Link, LinkBody, RelayAddress, RoomLink};
use crate::mls::{LeafId, LeafKey, Suite};
use crate::people::backup::Backup;
use crate::people::backup::tests::{backup, ticket};
use crate::people::{SafeCheck, SafeTry};
use crate::policy::{Facilitator, Policy};
use crate::seal::letter::tests::write_under;
use crate::seal::letter::{
    Address, AnswerBody, InviteBody, KnockBody, PackageBody, Purpose, Slip, WelcomeBody,
};
use crate::seal::{
    CommitBody, ConversationSecret, Envelope, EnvelopeBody, Farewell, Packet, Part, Return, RunId,
    Seen, SnapshotBody, VerdictBody,
};

pub(super) const SECRET: [u8; 32] = [0x11; 32];
pub(super) const FOUNDER_SEED: [u8; 32] = [0x12; 32];
pub(super) const OTHER_SEED: [u8; 32] = [0x13; 32];
pub(super) const OPENING: [u8; 32] = [0x14; 32];
pub(super) const EPOCH: u64 = 7;
pub(super) const ATTACHMENT_SECRET: [u8; 32] = [0x1c; 32];
/// What knocks are sealed to.
const DOOR_OPENING: [u8; 32] = [0x29; 32];
/// What the keys of a door are sealed to.
const ASKER: [u8; 32] = [0x27; 32];
/// What is attached.
pub(super) const ATTACHED: &[u8] = b"a short sound";

/// A named item, the CDDL rule it follows, and whether the code takes given bytes as that.
pub(super) struct Sample {
    pub(super) file: &'static str,
    pub(super) name: String,
    pub(super) rule: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) takes: fn(&[u8]) -> bool,
    pub(super) text: Option<String>,
}

pub(super) fn log() -> LogId {
    LogId::new([0x10; 32])
}

pub(super) fn founder() -> LeafKey {
    LeafKey::from_seed(&FOUNDER_SEED)
}

pub(super) fn other() -> LeafKey {
    LeafKey::from_seed(&OTHER_SEED)
}

pub(super) fn manage(byte: u8) -> PublicKey {
    PublicKey::new([byte; 32])
}

pub(super) fn seen() -> Seen {
    Seen {
        seq: 41,
        chain: ChainValue::new([0x15; 32]),
        epoch: EPOCH,
        authenticator: 0x0102_0304_0506_0708,
    }
}

pub(super) fn message() -> Envelope<'static> {
    Envelope {
        body: EnvelopeBody::Message(vec![0xaa; 24].into()),
        seen: seen(),
    }
}

pub(super) fn all() -> Vec<Sample> {
    let mut all = packets();
    all.extend(aads());
    all.extend(policies());
    all.extend(contents());
    all.extend(links());
    all.extend(letters());
    all.extend(backups());
    all.extend(desks());
    all.extend(super::badges::badges());
    all
}

pub(super) fn sample<T: Serialize>(
    file: &'static str,
    rule: &'static str,
    name: impl Into<String>,
    value: &T,
    takes: fn(&[u8]) -> bool,
) -> Sample {
    Sample {
        file,
        name: name.into(),
        rule,
        bytes: cbor::encode(value).unwrap(),
        takes,
        text: None,
    }
}

fn takes_packet(bytes: &[u8]) -> bool {
    cbor::decode::<Packet<'_>>(bytes).is_ok()
}

fn bodies() -> Vec<(&'static str, EnvelopeBody<'static>)> {
    let farewell = || Farewell::of(&other(), &log());
    let leaving = || {
        [other(), founder()]
            .map(|leaf| Farewell::of(&leaf, &log()))
            .into_iter()
    };
    let commit = |info: bool, next: bool, welcome: bool, farewells: usize| {
        EnvelopeBody::Commit(CommitBody {
            info: info.then(|| vec![0xb1; 12].into()),
            next: next.then(|| vec![0xb2; 72].into()),
            commit: vec![0xb3; 16].into(),
            welcome: welcome.then(|| vec![0xb0; 16].into()),
            farewells: leaving().take(farewells).collect(),
            returns: Vec::new(),
        })
    };
    let host_back = CommitBody {
        info: Some(vec![0xb1; 12].into()),
        next: None,
        commit: vec![0xb3; 16].into(),
        welcome: None,
        farewells: Vec::new(),
        returns: vec![Return::of(&other(), &log(), founder().id())],
    };
    vec![
        ("message", message().body),
        ("commit with info", commit(true, false, false, 0)),
        (
            "commit with info and farewells",
            commit(true, false, false, 2),
        ),
        ("commit with welcome", commit(true, false, true, 0)),
        ("commit, host back", EnvelopeBody::Commit(host_back)),
        ("commit, rotation", commit(false, true, false, 1)),
        ("farewell", EnvelopeBody::Farewell(farewell())),
        ("waiting", EnvelopeBody::Waiting(vec![0xb6; 20].into())),
        (
            "verdict",
            EnvelopeBody::Verdict(VerdictBody {
                by: founder().id(),
                seq: 40,
                opens: false,
                signature: vec![0xb7; 64],
            }),
        ),
        (
            "snapshot",
            EnvelopeBody::Snapshot(SnapshotBody {
                by: founder().id(),
                info: vec![0xb8; 12].into(),
                tree: vec![0xb9; 12].into(),
                fence: 16,
                signature: vec![0xba; 64],
            }),
        ),
    ]
}

fn part() -> Part<'static> {
    Part {
        run: RunId::from([0x16; 8]),
        bytes: vec![0xbb; 20].into(),
        count: 17,
        index: 16,
    }
}

fn packets() -> Vec<Sample> {
    let part = Packet::Part(part());
    let whole = bodies().into_iter().map(|(name, body)| {
        let packet = Packet::Whole(Envelope { body, seen: seen() });
        sample("envelope.json", "Packet", name, &packet, takes_packet)
    });
    whole
        .chain([sample(
            "envelope.json",
            "Packet",
            "part",
            &part,
            takes_packet,
        )])
        .collect()
}

fn aads() -> Vec<Sample> {
    let aad = |next: bool| CommitAad {
        next: next.then(|| ConversationSecret::new(SECRET).digest().into()),
        seen: seen(),
    };
    let takes = |bytes: &[u8]| cbor::decode::<CommitAad>(bytes).is_ok();
    [("commit aad", false), ("commit aad, rotation", true)]
        .map(|(name, next)| sample("envelope.json", "CommitAad", name, &aad(next), takes))
        .into()
}

pub(super) fn policy(with_other: bool) -> Policy {
    let gid = group_id(&log());
    let (founder, other) = (founder(), other());
    let mut facilitators = vec![Facilitator::vouch(
        &founder,
        &gid,
        founder.id(),
        manage(0x17),
    )];
    if with_other {
        facilitators.push(Facilitator::vouch(&founder, &gid, other.id(), manage(0x18)));
    }
    Policy {
        floor: if with_other { 4_096 } else { 1_024 },
        link_joins: true,
        members_add: false,
        min_version: 1,
        facilitators,
        hosts: Vec::new(),
        keep_seconds: with_other.then_some(604_800),
    }
}

fn policies() -> Vec<Sample> {
    let takes = |bytes: &[u8]| Policy::parse(bytes).is_ok();
    let host = Policy {
        hosts: vec![other().id()],
        link_joins: false,
        keep_seconds: None,
        ..policy(true)
    };
    [
        ("founded", policy(false)),
        ("two facilitators, kept a week", policy(true)),
        ("of a host", host),
    ]
    .map(|(name, rules)| sample("policy.json", "Rules", name, &rules, takes))
    .into()
}

fn contents_of_entering() -> Vec<(&'static str, ContentBody)> {
    let told = |name: &str, words: &str| RetoldLine {
        name: name.into(),
        words: words.into(),
        minute: 29_923_199,
    };
    let call = Call {
        asks: "a supervisor".into(),
        door: door_link(Suite::Hybrid),
    };
    let wait = TakenWait {
        ahead: 3,
        seconds: 420,
    };
    let told = vec![told("Ben", "so it was"), told("", "and on")];
    vec![
        ("retold", ContentBody::Retold(told)),
        ("call", ContentBody::Call(Box::new(call))),
        ("taken", ContentBody::Taken(taken(Some(wait)))),
        ("taken, not seen to come", ContentBody::Taken(taken(None))),
        super::team::rated(),
        ("gone", ContentBody::Gone(vec![42, 44])),
        super::team::audited(),
    ]
}

const fn taken(wait: Option<TakenWait>) -> Taken {
    Taken {
        seq: 40,
        wait,
        letter: false,
    }
}

pub(super) fn content(body: ContentBody) -> Content {
    Content {
        id: MessageId::new([0x19; 16]),
        body,
        count: 3,
        minute: 29_923_200,
    }
}

/// A voice note of [`recipes`](super::recipes).
pub(super) fn attach(to: Option<MessageId>) -> Attach {
    Attach {
        to,
        log: attachment_log(),
        name: "note.ogg".into(),
        text: String::new(),
        media_type: "audio/ogg".into(),
        bytes: ATTACHED.len() as u64,
        digest: Sha256::digest(ATTACHED).into(),
        secret: AttachmentSecret::new(ATTACHMENT_SECRET),
    }
}

pub(super) fn attachment_log() -> LogId {
    LogId::new([0x1b; 32])
}

fn contents() -> Vec<Sample> {
    let (id, text) = (MessageId::new([0x1a; 16]), "hello".to_owned());
    let line = RosterLine {
        leaf: founder().id(),
        name: "Ann".into(),
        manage: manage(0x17),
    };
    let hello = ContentBody::Hello {
        name: "Ben".into(),
        manage: manage(0x18),
    };
    let emoji = "\u{1f49b}".to_owned();
    let kinds = [
        ("alive", ContentBody::Alive),
        (
            "handed door",
            ContentBody::Door {
                to: other().id(),
                sealed: handed_sealed(),
            },
        ),
        ("door_ask", ContentBody::DoorAsk(public(ASKER))),
        (
            "edit",
            ContentBody::Edit {
                of: id,
                text: text.clone(),
            },
        ),
        ("hello", hello),
        ("react", ContentBody::React { to: id, emoji }),
        (
            "reply",
            ContentBody::Reply {
                to: id,
                text: text.clone(),
            },
        ),
        ("text", ContentBody::Text(text)),
        ("delete", ContentBody::Delete(id)),
        ("roster", ContentBody::Roster(vec![line])),
        ("typing", ContentBody::Typing),
        ("attach", ContentBody::Attach(Box::new(attach(None)))),
        (
            "attach, reply",
            ContentBody::Attach(Box::new(attach(Some(id)))),
        ),
        ("receipt", ContentBody::Receipt(vec![id, id])),
    ];
    let takes = |bytes: &[u8]| {
        cbor::decode::<Content>(bytes).is_ok_and(|content| content.body.is_within_limits())
    };
    let mut all: Vec<_> = kinds
        .into_iter()
        .chain(contents_of_entering())
        .chain(super::badges::bodies())
        .chain([super::team::body()])
        .chain(of_safety())
        .chain(super::team::of_talk())
        .map(|(name, body)| sample("content.json", "Content", name, &content(body), takes))
        .collect();
    all.extend(super::team::keys());
    all.push(Sample {
        file: "content.json",
        name: "spoken".into(),
        rule: "Spoken",
        bytes: spoken().0,
        takes: |bytes| cbor::decode::<Spoken<'_>>(bytes).is_ok(),
        text: None,
    });
    all
}

fn of_safety() -> [(&'static str, ContentBody); 3] {
    let (check, given) = (SafeCheck::new([0x2a; 32]), SafeTry::new([0x2b; 32]));
    [
        ("away", ContentBody::Away),
        ("safe word", ContentBody::SafeWord(check)),
        ("safe try", ContentBody::SafeTry(given)),
    ]
}

/// "hello" as the founder says it, and the commitment.
pub(super) fn spoken() -> (Vec<u8>, sotto_protocol::id::Commitment) {
    let (log, key) = (log(), founder());
    let said = content(ContentBody::Text("hello".into()));
    speak_opening(place(&log, key.id()), &key, &said, OPENING).unwrap()
}

pub(super) const fn place(log: &LogId, author: LeafId) -> Place<'_> {
    Place {
        log,
        epoch: EPOCH,
        author,
    }
}

fn relay() -> RelayAddress {
    RelayAddress {
        url: "wss://relay.example/".into(),
        identity: RelayIdentity::new([0x1b; 32]),
    }
}

fn public(secret: [u8; 32]) -> PublicKey {
    public_key(&secret.into())
}

fn handed() -> HandedDoor {
    HandedDoor {
        door: door_link(Suite::Hybrid),
        keys: DoorKeys {
            chat: false,
            keeper: [0x28; 32],
            opening: DOOR_OPENING,
        },
    }
}

/// The same, as sealed to who asked.
fn handed_sealed() -> Vec<u8> {
    let (log, key) = (log(), public(ASKER));
    let to = Address {
        purpose: Purpose::Door,
        log: &log,
        key: &key,
    };
    let handed = cbor::encode(&handed()).unwrap();
    let mut entries = write_under(to, &handed, SizeClass::K1, (0x2b, [0x2a; 32]));
    assert_eq!(entries.len(), 1);
    entries.remove(0).sealed
}

fn door_link(suite: Suite) -> DoorLink {
    DoorLink {
        door: LogId::new([0x1c; 32]),
        knock: [0x1d; 32],
        relay: relay(),
        suite,
        founder: founder().id(),
        sealing: public(DOOR_OPENING),
    }
}

fn links() -> Vec<Sample> {
    let room = LinkBody::Room(RoomLink {
        log: log(),
        relay: relay(),
        secret: ConversationSecret::new(SECRET),
        founder: founder().id(),
    });
    let door = |suite| LinkBody::Door(door_link(suite));
    let takes = |bytes: &[u8]| cbor::decode::<LinkBody>(bytes).is_ok();
    let mut all: Vec<_> = [
        ("room", room),
        ("door", door(Suite::Hybrid)),
        ("door, classic", door(Suite::Classic)),
    ]
    .map(|(name, body)| Sample {
        text: Some(Link(body.clone()).to_string()),
        ..sample("link.json", "Link", name, &body, takes)
    })
    .into();
    let inbox = |suite| InboxLink {
        pool: LogId::new([0x30; 32]),
        take: [0x31; 32],
        inbox: LogId::new([0x32; 32]),
        owner: other().id(),
        relay: relay(),
        suite,
        append: [0x33; 32],
        opening: [0x34; 32],
        sealing: public([0x35; 32]),
    };
    let takes = |bytes: &[u8]| cbor::decode::<InboxLink>(bytes).is_ok();
    all.extend(
        [("inbox", Suite::Hybrid), ("inbox, classic", Suite::Classic)].map(|(name, suite)| {
            let inbox = inbox(suite);
            Sample {
                text: Some(inbox.to_string()),
                ..sample("link.json", "InboxLink", name, &inbox, takes)
            }
        }),
    );
    all
}

fn letters() -> Vec<Sample> {
    let package = [0x23; 24];
    let knock = KnockBody {
        was: None,
        name: "Ben".into(),
        badge: None,
        inbox: LogId::new([0x1f; 32]),
        reply: manage(0x20),
        append: [0x21; 32],
        manage: manage(0x22),
        package: package.as_slice().into(),
    };
    let again = KnockBody {
        was: Some(Return::of(&other(), &log(), founder().id())),
        ..knock.clone()
    };
    let with_badge = KnockBody {
        badge: Some(made::shown(&LogId::new([0x1c; 32]), &other().id())),
        ..knock.clone()
    };
    let welcome = WelcomeBody {
        log: log(),
        seq: 41,
        tree: vec![0x24; 24].into(),
        chain: ChainValue::new([0x15; 32]),
        fence: EPOCH,
        secret: ConversationSecret::new(SECRET),
        welcome: vec![0x25; 24].into(),
    };
    let invite = InviteBody {
        founder: founder().id(),
        welcome: welcome.clone(),
    };
    let welcome = AnswerBody::Welcome(welcome);
    let pooled = PackageBody::sign(&other(), &LogId::new([0x30; 32]), &package);
    let is_invite = |bytes: &[u8]| cbor::decode::<InviteBody<'_>>(bytes).is_ok();
    let is_package = |bytes: &[u8]| cbor::decode::<PackageBody<'_>>(bytes).is_ok();
    let is_knock = |bytes: &[u8]| cbor::decode::<KnockBody<'_>>(bytes).is_ok();
    let is_answer = |bytes: &[u8]| cbor::decode::<AnswerBody<'_>>(bytes).is_ok();
    let letter = "letter.json";
    let is_handed = |bytes: &[u8]| cbor::decode::<HandedDoor>(bytes).is_ok();
    let is_slip = |bytes: &[u8]| cbor::decode::<Slip<'_>>(bytes).is_ok();
    let whole = Slip::Whole(vec![0xbc; 20].into());
    vec![
        sample(letter, "Slip", "slip, whole", &whole, is_slip),
        sample(letter, "Slip", "slip, part", &Slip::Part(part()), is_slip),
        sample(letter, "HandedDoor", "door keys", &handed(), is_handed),
        sample(letter, "KnockLetter", "knock", &knock, is_knock),
        sample(letter, "KnockLetter", "knock-again", &again, is_knock),
        sample(letter, "KnockLetter", "knock-badge", &with_badge, is_knock),
        sample(letter, "AnswerLetter", "no", &AnswerBody::No, is_answer),
        sample(letter, "AnswerLetter", "welcome", &welcome, is_answer),
        sample(letter, "InviteLetter", "invite", &invite, is_invite),
        sample(letter, "PackageLetter", "package", &pooled, is_package),
    ]
}

fn desks() -> Vec<Sample> {
    let file = "desk.json";
    let is_card = |bytes: &[u8]| cbor::decode::<Card>(bytes).is_ok_and(|card| card.is_sound());
    let is_signed = |bytes: &[u8]| cbor::decode::<SignedCard<'_>>(bytes).is_ok();
    let is_address = |bytes: &[u8]| cbor::decode::<DeskAddress>(bytes).is_ok();
    let is_ticket =
        |bytes: &[u8]| cbor::decode::<Ticket>(bytes).is_ok_and(|ticket| ticket.is_within_limits());
    let ticket = Ticket {
        not: vec!["site 4".into()],
        topic: Some("grief".into()),
        words: "hello".into(),
        language: Some("en".into()),
        been_there: vec!["loss of a child".into()],
    };
    let empty = Ticket::default();
    let signed = desk::open_for_vectors(&desk::entry());
    let mut address = sample(file, "DeskAddress", "address", &desk::address(), is_address);
    address.text = Some(desk::address().to_string());
    let card = |name, card: &Card| sample(file, "Card", name, card, is_card);
    let signed = Sample {
        file,
        name: "signed card".to_owned(),
        rule: "SignedCard",
        bytes: signed,
        takes: is_signed,
        text: None,
    };
    vec![
        address,
        card("card", &desk::card()),
        card("card, with little in it", &desk::short_card()),
        signed,
        sample(file, "TicketLetter", "ticket", &ticket, is_ticket),
        sample(file, "TicketLetter", "ticket, empty", &empty, is_ticket),
        super::team::rating(),
    ]
    .into_iter()
    .chain(super::team::records())
    .collect()
}

fn backups() -> Vec<Sample> {
    let takes = |bytes: &[u8]| cbor::decode::<Backup>(bytes).is_ok_and(|backup| backup.is_sound());
    let named = |name, backup: &Backup| sample("backup.json", "Backup", name, backup, takes);
    let waits = Backup {
        tickets: vec![ticket(5, false), ticket(6, true)],
        ..backup(0)
    };
    vec![
        named("backup-empty", &backup(0)),
        named("backup-two", &backup(2)),
        named("backup, one waits", &waits),
    ]
}
