//! `conversation.json`: one small log of a conversation, and what each of its readers makes of each
//! entry.
//!
//! The MLS library draws its own randomness, so no run makes the same bytes as another. Therefore
//! what stands in the file is read again here, by those readers who can begin from what the file
//! gives; and a new run of the same evening is decided as the one that stands there.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sotto_protocol::proof::public_key;
use x25519_dalek::StaticSecret;

use super::super::forgeries::{commit_body, commit_of, external_commit, inject, inject_commit};
use super::super::{Device, Room, TestLog};
use super::recipes::{bytes, exported, hexed};
use crate::engine::tests::*;
use crate::link::{LinkBody, RoomLink};
use crate::mls::passive::{PackageSecrets, exporter_secret, kept_package, package_secrets};
use crate::mls::{Follower, Plan};
use crate::seal::{Envelope, EnvelopeBody, Packet, open};

/// Who writes: the founder, and one who joins by the link and is removed.
const WRITERS: [&str; 2] = ["Ann", "Ben"];
/// Who only reads: one who is taken in by a Welcome, and one who has the link and stays outside.
const READERS: [&str; 2] = ["Cay", "Dan"];
const CAY_SEED: [u8; 32] = [0x41; 32];

struct Recorder {
    room: Room,
    /// Every secret L, oldest first.
    secrets: Vec<[u8; 32]>,
    authors: BTreeMap<u64, &'static str>,
    /// Why an entry counts for nobody, or not for all.
    whys: BTreeMap<u64, &'static str>,
    decisions: BTreeMap<u64, BTreeMap<&'static str, String>>,
    epochs: BTreeMap<u64, Value>,
    /// Who has no connection now.
    away: Vec<&'static str>,
}

/// The log as it was when this was its last entry.
fn up_to(log: &TestLog, seq: u64) -> TestLog {
    let mut log = log.clone();
    log.chain = log.chain_after(seq);
    log.entries.truncate(usize::try_from(seq).unwrap());
    log.pins.retain(|pin| *pin <= seq);
    let fences = log.entries.iter().filter_map(|(entry, _)| entry.fence);
    log.fence = fences.max().map_or(0, |fence| fence + 1);
    log
}

fn epoch_of(engine: &Engine) -> Option<u64> {
    match &engine.joining {
        Some(joining) => joining.follower.as_ref().map(Follower::epoch),
        None => engine.group.as_ref().map(Group::epoch),
    }
}

/// What is in an entry, opened under the newest of these that opens it, and which that is.
fn opened(log: &LogId, secrets: &[[u8; 32]], sealed: &[u8]) -> Option<(usize, Vec<u8>)> {
    let opens = |secret: &[u8; 32]| {
        let generation = ConversationSecret::new(*secret).generation(log);
        open(&generation, log, sealed).ok()
    };
    let mut all = secrets.iter().enumerate().rev();
    all.find_map(|(at, secret)| Some((at, opens(secret)?)))
}

fn envelope(packet: &[u8]) -> Envelope<'_> {
    match sotto_protocol::cbor::decode(packet).unwrap() {
        Packet::Whole(envelope) => envelope,
        Packet::Part(_) => panic!("every entry of this evening is whole"),
    }
}

const fn kind(body: &EnvelopeBody<'_>) -> &'static str {
    match body {
        EnvelopeBody::Commit(_) => "commit",
        EnvelopeBody::Message(_) => "message",
        EnvelopeBody::Snapshot(_) => "snapshot",
        EnvelopeBody::Verdict(_) => "verdict",
        EnvelopeBody::Farewell(_) => "farewell",
        EnvelopeBody::Waiting(_) => "waiting",
    }
}

/// What a device makes of the next entry; nothing if it is none of its lane, or it is out.
fn read_next(room: &mut Room, name: &str, secrets: &[[u8; 32]]) -> Option<String> {
    let (now, index, id) = (room.now, room.index(name), room.id);
    let seq = room.devices[index].given + 1;
    let log = up_to(&room.log, seq);
    let device = &mut room.devices[index];
    let (entry, pinned) = log.entries.last().unwrap();
    let is_outside = device.engine.reads_from_outside();
    let is_given = !is_outside || entry.fence.is_some() || *pinned;
    let was_over = device.engine.is_over();
    let (epoch, junk) = (epoch_of(&device.engine), device.engine.saved.junk);
    let told = device.events.len();
    Room::give(&log, &id, device, now);
    let effects = device.engine.finish(now);
    device.take(effects);
    if was_over || !is_given {
        return None;
    }
    let packet = opened(&id, secrets, entry.sealed.as_slice());
    let body = packet.as_ref().map(|(_, packet)| envelope(packet).body);
    Some(decision(
        device,
        body.as_ref(),
        (epoch, junk, told),
        is_outside,
    ))
}

fn decision(
    device: &Device,
    body: Option<&EnvelopeBody<'_>>,
    (epoch, junk, told): (Option<u64>, u64, usize),
    is_outside: bool,
) -> String {
    let engine = &device.engine;
    let said = device.events[told..].iter().find_map(|event| match event {
        Event::Message(message) => Some(message.text.clone()),
        _ => None,
    });
    if engine.is_over() {
        return "is removed".into();
    }
    match (epoch, epoch_of(engine)) {
        (None, Some(begun)) => return format!("begins at epoch {begun}"),
        (Some(before), Some(begun)) if before != begun => return format!("begins epoch {begun}"),
        _ => {}
    }
    if let Some(said) = said {
        return format!("reads: {said}");
    }
    let is_before_us = |bytes: &[u8]| Group::epoch_of(bytes).unwrap() < engine.saved.joined_epoch;
    match body {
        _ if is_outside || engine.saved.junk > junk => "skips".into(),
        Some(EnvelopeBody::Message(bytes)) if is_before_us(bytes.as_slice()) => {
            "passes over".into()
        }
        _ => "takes".into(),
    }
}

/// A device that follows by the link from the first entry on.
fn begin_reading(room: &mut Room, name: &'static str, link: &Link) {
    room.join_by(name, link);
    let (now, log) = (room.now, up_to(&room.log, 1));
    Room::open(&log, room.device(name), now);
}

fn wait_with(room: &mut Room, package: Vec<u8>, values: crate::mls::Values) {
    let engine = room.engine("Cay");
    engine.key = LeafKey::from_seed(&CAY_SEED);
    engine.joining.as_mut().unwrap().turn = waiting::Turn::of_patience(package, values);
}

impl Recorder {
    fn new() -> Self {
        let room = Room::new(&["Ann"]);
        let secret = *room.of("Ann").engine.newest_secret().unwrap().as_bytes();
        let written = 1..=room.log.entries.len() as u64;
        let mut recorder = Self {
            room,
            secrets: vec![secret],
            authors: written.map(|seq| (seq, "Ann")).collect(),
            whys: BTreeMap::new(),
            decisions: BTreeMap::new(),
            epochs: BTreeMap::new(),
            away: Vec::new(),
        };
        recorder.note_epoch();
        recorder
    }

    fn note_epoch(&mut self) {
        let engine = &self.room.of("Ann").engine;
        let group = engine.group.as_ref().unwrap();
        let log = engine.log_bytes();
        let member = StaticSecret::from(*group.member_key(&log).unwrap());
        self.epochs.entry(group.epoch()).or_insert_with(|| {
            json!({
                "name": format!("epoch-{}", group.epoch()),
                "epoch": group.epoch(),
                "authenticator": hexed(group.authenticator()),
                "exporter_secret": hexed(exporter_secret(&group.values().unwrap())),
                "member_secret": hexed(member.to_bytes()),
                "member_key": hexed(public_key(&member).as_bytes()),
                "rotate_key": hexed(*group.rotate_key(&log).unwrap()),
            })
        });
        let newest = *engine.newest_secret().unwrap().as_bytes();
        if self.secrets.last() != Some(&newest) {
            self.secrets.push(newest);
        }
    }

    /// Everything that is on its way arrives, one entry after the other.
    fn settle(&mut self) {
        for _ in 0..100 {
            let mut moved = false;
            for name in WRITERS.into_iter().chain(READERS) {
                moved |= self.turn(name);
            }
            if !moved {
                return;
            }
        }
        panic!("the room does not come to rest");
    }

    fn turn(&mut self, name: &'static str) -> bool {
        if self.away.contains(&name) || !self.room.devices.iter().any(|one| one.name == name) {
            return false;
        }
        let (now, index) = (self.room.now, self.room.index(name));
        let is_writer = WRITERS.contains(&name);
        if is_writer && !self.room.devices[index].engine.is_over() {
            Room::open(&self.room.log, &mut self.room.devices[index], now);
        }
        let mut moved = self.read(name);
        if is_writer {
            let before = self.room.log.entries.len() as u64;
            moved |= self.room.step(index);
            self.wrote(name, before, None);
            // Whoever rotates is the first to know the new L.
            moved |= self.read(name);
        }
        moved
    }

    fn read(&mut self, name: &'static str) -> bool {
        let index = self.room.index(name);
        let mut moved = false;
        while self.room.devices[index].given < self.room.log.entries.len() as u64 {
            moved = true;
            if let Some(decision) = read_next(&mut self.room, name, &self.secrets) {
                let seq = self.room.devices[index].given;
                let decided = self.decisions.entry(seq).or_default();
                decided.insert(name, decision);
            }
            if name == "Ann" {
                self.note_epoch();
            }
        }
        moved
    }

    fn wrote(&mut self, name: &'static str, behind: u64, why: Option<&'static str>) {
        for seq in behind + 1..=self.room.log.entries.len() as u64 {
            self.authors.insert(seq, name);
            if let Some(why) = why {
                self.whys.insert(seq, why);
            }
        }
    }

    /// Puts something into the log beside what the devices do.
    fn put(&mut self, name: &'static str, why: Option<&'static str>, put: impl FnOnce(&mut Room)) {
        let before = self.room.log.entries.len() as u64;
        put(&mut self.room);
        self.wrote(name, before, why);
    }

    fn say(&mut self, name: &'static str, text: &str) {
        self.room.say(name, text);
        self.settle();
    }

    /// Somebody says something that is on its way for a while.
    fn say_slowly(&mut self, name: &'static str, text: &str) -> Flight {
        self.room.say(name, text);
        self.away.push(name);
        self.room.of(name).engine.flight.clone().unwrap()
    }

    fn entries(&self) -> impl Iterator<Item = Value> {
        self.room.log.entries.iter().map(|(entry, pinned)| {
            let opened = opened(&self.room.id, &self.secrets, entry.sealed.as_slice());
            let (secret, packet) = opened.unwrap();
            let mut value = json!({
                "name": format!("entry-{}", entry.seq),
                "seq": entry.seq,
                "day": entry.day,
                "before": hexed(entry.before.as_bytes()),
                "commitment": hexed(entry.commitment.as_bytes()),
                "sealed": hexed(entry.sealed.as_slice()),
                "pinned": pinned,
                "secret": secret,
                "body": kind(&envelope(&packet).body),
                "author": self.authors[&entry.seq],
                "decided": self.decisions.get(&entry.seq).cloned().unwrap_or_default(),
            });
            if let Some(fence) = entry.fence {
                value["fence"] = json!(fence);
            }
            if let Some(why) = self.whys.get(&entry.seq) {
                value["why"] = json!(why);
            }
            value
        })
    }
}

/// The evening, as it goes.
fn record() -> Value {
    let mut all = Recorder::new();
    let founder = all.room.leaf("Ann");
    let link = all.room.of("Ann").engine.link().unwrap();
    let cay = LeafKey::from_seed(&CAY_SEED);
    let (package, values) = Group::key_package(Suite::Classic, &cay, NOON.day()).unwrap();
    let keys = package_secrets(&values);
    for name in READERS {
        begin_reading(&mut all.room, name, &link);
    }
    wait_with(&mut all.room, package.clone(), values);
    all.room.join_by("Ben", &link);
    all.settle();
    all.say("Ann", "Good evening, Ben.");
    all.say("Ben", "Good evening.");
    forbidden(&mut all);
    let secret = all.secrets[0];
    let stale = external_commit(&mut all.room, "Dan", secret);
    taken_in(&mut all, &package);
    all.put(
        "Dan",
        Some("an external Commit of an epoch that is over"),
        |room| {
            inject(room, "Dan", commit_body(stale), true, false);
        },
    );
    all.settle();
    all.say("Ann", "Welcome, Cay.");
    all.room.engine("Ben").want(saved::Intent::Update);
    all.settle();
    removed(&mut all);
    all.say("Ann", "Now it is the two of us, Cay.");
    let relay = &all.room.of("Ann").engine.saved.relay;
    let mut file = vec![
        json!({
            "name": "conversation",
            "log": hexed(all.room.id.as_bytes()),
            "suite": "classic",
            "founder": hexed(founder.as_bytes()),
            "relay": relay.to_string(),
            "secrets": all.secrets.iter().map(hexed).collect::<Vec<_>>(),
            "chain": hexed(all.room.log.chain.as_bytes()),
        }),
        json!({
            "name": "Cay",
            "seed": hexed(CAY_SEED),
            "package": hexed(&package),
            "init_secret": hexed(&keys.init),
            "encryption_secret": hexed(&keys.encryption),
        }),
    ];
    file.extend(all.epochs.values().cloned());
    file.extend(all.entries());
    file.into()
}

fn forbidden(all: &mut Recorder) {
    let ann = all.room.leaf("Ann");
    let removal = Plan {
        remove: vec![ann],
        ..Plan::default()
    };
    let why = "a member that is no facilitator removes a leaf that did not say farewell";
    all.put("Ben", Some(why), |room| {
        inject_commit(room, "Ben", &removal, true);
    });
    let why = "a Commit counts in a fenced entry only";
    all.put("Ann", Some(why), |room| {
        inject_commit(room, "Ann", &Plan::default(), false);
    });
    all.settle();
}

/// Cay waits, and is taken in; what Ben says meanwhile arrives behind it.
fn taken_in(all: &mut Recorder, package: &[u8]) {
    let late = all.say_slowly("Ben", "Is somebody coming?");
    all.put("Cay", None, |room| {
        let body = EnvelopeBody::Waiting(package.to_vec().into());
        inject(room, "Cay", body, false, false);
    });
    all.settle();
    all.room.now = all.room.now.plus_ms(1_000);
    all.settle();
    let why = "said in the epoch before: who was in it reads it, who came since cannot";
    all.put("Ben", Some(why), |room| {
        room.log.append_once(&late).unwrap();
    });
    all.away.clear();
    all.settle();
}

/// Ben is removed; what he has on its way arrives behind it.
fn removed(all: &mut Recorder) {
    let ben = all.room.leaf("Ben");
    let commit = commit_of(&mut all.room, "Ben", &Plan::default());
    let late = all.say_slowly("Ben", "Wait, please.");
    let before = all.room.log.entries.len() as u64;
    all.room.command("Ann", Command::Remove(ben));
    all.settle();
    // Behind the Commit of a rotation lies its snapshot.
    let why = "the snapshot of a rotation is sealed under the new L, which Dan does not have";
    all.whys.insert(before + 2, why);
    all.put(
        "Ben",
        Some("of a closed epoch, by a leaf that is gone"),
        |room| {
            room.log.append_once(&late).unwrap();
        },
    );
    all.put("Ben", Some("a Commit of an epoch that is over"), |room| {
        inject(room, "Ben", commit_body(commit), true, false);
    });
    all.away.clear();
    all.settle();
}

fn named<'a>(file: &'a Value, prefix: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = file.as_array().unwrap().iter();
    all.filter(move |one| one["name"].as_str().unwrap().starts_with(prefix))
}

/// What is the same in every run.
fn shape(file: &Value) -> Vec<Value> {
    let keys = ["seq", "fence", "pinned", "secret", "body", "author"];
    named(file, "entry-")
        .map(|entry| {
            let mut shape: Vec<_> = keys.iter().map(|key| entry[key].clone()).collect();
            shape.extend([entry["why"].clone(), entry["decided"].clone()]);
            shape.into()
        })
        .collect()
}

/// What stands in the file, as long as a new evening goes the same way.
pub(super) fn conversation(kept: Option<Value>) -> Value {
    let fresh = record();
    kept.filter(|kept| shape(kept) == shape(&fresh))
        .unwrap_or(fresh)
}

fn id<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

/// The log that stands in the file; its chain holds.
fn log_of(file: &Value) -> TestLog {
    let head = &file[0];
    let mut log = TestLog::new(&LogId::new(id(&head["log"])));
    for entry in named(file, "entry-") {
        assert_eq!(hexed(log.chain.as_bytes()), entry["before"]);
        log.day = u32::try_from(entry["day"].as_u64().unwrap()).unwrap();
        let new = NewEntry {
            held: None,
            owner: None,
            sealed: bytes(&entry["sealed"]).into(),
            commitment: Commitment::new(id(&entry["commitment"])),
            last_resort: false,
        };
        let (fence, pinned) = (entry["fence"].as_u64(), entry["pinned"] == true);
        log.push(&new, fence, pinned);
        if pinned {
            log.pins.push(log.entries.len() as u64);
        }
        log.fence += u64::from(fence.is_some());
    }
    assert_eq!(hexed(log.chain.as_bytes()), head["chain"]);
    log
}

/// Reads the log that stands in the file, as those who can begin from what the file gives.
pub(super) fn read_all(file: &Value) {
    let (head, cay) = (&file[0], &file[1]);
    let log = log_of(file);
    let secrets: Vec<[u8; 32]> = head["secrets"].as_array().unwrap().iter().map(id).collect();
    let link = Link(LinkBody::Room(RoomLink {
        log: LogId::new(id(&head["log"])),
        relay: head["relay"].as_str().unwrap().parse().unwrap(),
        secret: ConversationSecret::new(secrets[0]),
        founder: LeafId::new(id(&head["founder"])),
    }));
    let mut room = Room {
        log,
        id: LogId::new(id(&head["log"])),
        devices: Vec::new(),
        now: NOON,
        restarts: Vec::new(),
    };
    for name in READERS {
        begin_reading(&mut room, name, &link);
    }
    let package = bytes(&cay["package"]);
    let keys = PackageSecrets {
        init: bytes(&cay["init_secret"]),
        encryption: bytes(&cay["encryption_secret"]),
    };
    let values = kept_package(Suite::Classic, &package, &keys);
    wait_with(&mut room, package, values);
    let mut epochs = 0;
    for entry in named(file, "entry-") {
        for name in READERS {
            let decided = read_next(&mut room, name, &secrets);
            assert_eq!(
                decided.as_deref(),
                entry["decided"][name].as_str(),
                "{name}, {}",
                entry["name"]
            );
        }
        let inside = room.of("Cay").engine.group.as_ref();
        if let Some(group) =
            inside.filter(|_| entry["decided"]["Cay"].to_string().contains("begins"))
        {
            epochs += 1;
            check_epoch(file, group, &room.id);
        }
    }
    assert_eq!(epochs, 3, "taken in, Ben's own keys, and Ben's removal");
    let newest = room.of("Cay").engine.newest_secret().unwrap();
    assert_eq!(Some(newest.as_bytes()), secrets.last());
}

fn check_epoch(file: &Value, group: &Group, log: &LogId) {
    let name = format!("epoch-{}", group.epoch());
    let epoch = named(file, &name).next().unwrap();
    let secret = bytes(&epoch["exporter_secret"]);
    assert_eq!(secret, exporter_secret(&group.values().unwrap()), "{name}");
    assert_eq!(hexed(group.authenticator()), epoch["authenticator"]);
    let member = StaticSecret::from(*group.member_key(log.as_bytes()).unwrap());
    let rotate = group.rotate_key(log.as_bytes()).unwrap();
    assert_eq!(exported(&secret, "sotto/v1/member", log), member.to_bytes());
    assert_eq!(exported(&secret, "sotto/v1/rotate", log), *rotate);
    assert_eq!(hexed(member.to_bytes()), epoch["member_secret"]);
    assert_eq!(hexed(*rotate), epoch["rotate_key"]);
}
