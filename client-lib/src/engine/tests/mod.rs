//! Conversations over a log in memory, stepped by hand: no relay, no session, no time of its own.
//!
//! The log here refuses nobody, which is what a relay does that helps an attacker: whatever is
//! refused in these tests is refused by the members themselves.

mod attachments;
mod away;
mod backing;
mod badges;
mod chance;
mod crowds;
mod disputes;
mod door;
mod draft;
mod duty;
mod edges_of_members;
mod edges_of_queues;
mod ending;
mod entering;
mod floor;
mod forgeries;
mod halves;
mod inbox;
mod late;
mod leaving;
mod lies;
mod numbers;
mod outsiders;
mod pausing;
mod privacy;
mod putting_off;
mod races;
mod ratings;
mod removed;
mod rereading;
mod restarts;
mod spoiling;
mod tables;
mod taking;
mod unsaid;
mod upkeep;
mod vanishing;
mod vectors;
mod waits;

use sotto_protocol::chain::{self, Link as ChainLink};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Entry, Grant, Item, NewEntry, Opened, Refusal};
use sotto_protocol::id::{
    ChainValue, Commitment, LogId, PublicKey, RelayIdentity, RetryId, Stamp, Tag,
};
use sotto_protocol::right::Rights;

use super::*;
use crate::log::{Cursor, Denied};
use crate::mls::{Plan, Suite};
use crate::vault::{SqliteVault, Vault as _};

const NOON: Now = Now {
    wall_ms: 1_700_000_000_000,
    steady_ms: 1_000_000,
};

/// A log that takes everything, with the fence as its only rule.
#[derive(Clone)]
struct TestLog {
    entries: Vec<(Entry<'static>, bool)>,
    chain: ChainValue,
    fence: u64,
    pins: Vec<u64>,
    /// Who may do what, since the last change of the whole list, and which change it was.
    grants: Vec<Grant>,
    version: u64,
    /// Appends that were answered; the same again is answered alike.
    known: BTreeSet<RetryId>,
    /// Today, as the relay stamps it.
    day: u32,
    /// The first entry that is still there.
    first: u64,
    /// Entries that the relay keeps back.
    hidden: core::ops::Range<u64>,
}

impl TestLog {
    fn new(log: &LogId) -> Self {
        Self {
            entries: Vec::new(),
            chain: chain::genesis(log),
            fence: 0,
            pins: Vec::new(),
            grants: Vec::new(),
            version: 0,
            known: BTreeSet::new(),
            day: NOON.day(),
            first: 1,
            hidden: 0..0,
        }
    }

    fn append_once(&mut self, flight: &Flight) -> Result<(), Refusal> {
        if !self.known.contains(&flight.retry) {
            self.append(&flight.items)?;
            self.known.insert(flight.retry);
        }
        Ok(())
    }

    fn append(&mut self, items: &[Item<'static>]) -> Result<(), Refusal> {
        if let Some(item) = items
            .iter()
            .find(|item| item.fence.is_some_and(|fence| fence != self.fence))
        {
            assert!(item.fence.is_some());
            return Err(Refusal {
                fence: Some(self.fence),
                ..Refusal::of(ErrorCode::FenceConflict)
            });
        }
        let changes = items.iter().filter_map(|item| item.grants.as_ref());
        if changes.clone().any(|new| new.version != self.version) {
            return Err(Refusal {
                version: Some(self.version),
                ..Refusal::of(ErrorCode::GrantsConflict)
            });
        }
        for item in items {
            if item.pin {
                self.pins.push(self.entries.len() as u64 + 1);
            }
            if let Some(grants) = &item.grants {
                self.grants.clone_from(&grants.list);
                self.version += 1;
            }
            if let Some(key) = item.admit {
                self.grants.push(Grant {
                    rights: begin::MEMBER_RIGHTS,
                    until_seq: None,
                    ends: None,
                    rate: None,
                    work: None,
                    key,
                });
            }
            for entry in &item.entries {
                self.push(entry, item.fence, item.pin);
            }
            self.fence += u64::from(item.fence.is_some());
        }
        Ok(())
    }

    fn push(&mut self, new: &NewEntry<'static>, fence: Option<u64>, pinned: bool) {
        let seq = self.entries.len() as u64 + 1;
        let sealed = new.sealed.as_slice();
        let link = ChainLink {
            seq,
            day: self.day,
            fence,
            commitment: &new.commitment,
            sealed,
            held: None,
        };
        let entry = Entry {
            day: self.day,
            seq,
            held: None,
            fence,
            stamp: Stamp::new([0; 20]),
            before: self.chain,
            sealed: new.sealed.clone(),
            claimed: false,
            commitment: new.commitment,
        };
        self.chain = chain::extend(&self.chain, &link);
        self.entries.push((entry, pinned));
    }

    /// The keys that may manage it, since the last change of the grants.
    fn managers(&self) -> Vec<PublicKey> {
        let manages = |grant: &&Grant| grant.rights.contains(Rights::MANAGE);
        let managers = self.grants.iter().filter(manages);
        managers.map(|grant| grant.key).collect()
    }

    fn chain_after(&self, seq: u64) -> ChainValue {
        let next = usize::try_from(seq).unwrap();
        self.entries
            .get(next)
            .map_or(self.chain, |(entry, _)| entry.before)
    }
}

/// Somebody with a device.
struct Device {
    name: &'static str,
    engine: Engine,
    /// The last entry that was given.
    given: u64,
    events: Vec<Event>,
    is_online: bool,
    /// What its vault holds.
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// A disk, where a test looks at it.
    vault: Option<SqliteVault>,
    /// It was just started again.
    is_fresh: bool,
}

impl Device {
    /// What an input led to; answers whether a person would notice.
    fn take(&mut self, effects: Effects) -> bool {
        let store = effects.store;
        if let Some(vault) = &mut self.vault {
            vault.apply(&store).unwrap();
            if effects.scrub {
                vault.scrub().unwrap();
            }
        }
        if !store.erase.is_empty() {
            self.rows.clear();
        }
        for key in store.deletes {
            self.rows.remove(&key.name);
        }
        for (key, value) in store.puts {
            self.rows.insert(key.name, value);
        }
        let tells = effects
            .events
            .iter()
            .any(|event| !matches!(event, Event::Online(_)));
        self.events.extend(effects.events);
        tells
    }

    /// The process ends and begins again with what the vault holds.
    fn restart(&mut self, now: Now) {
        let may = !matches!(self.engine.standing(), Standing::Founding);
        if self.engine.is_over() || !may {
            return;
        }
        let rows = self.rows.clone().into_iter().collect();
        let (engine, effects) = Engine::load(self.engine.space, rows, false, now).unwrap();
        self.engine = engine;
        self.take(effects);
        self.given = match &self.engine.joining {
            Some(joining) if self.engine.reads_from_outside() => joining.seq(),
            _ => self.engine.saved.seq,
        };
        self.is_fresh = true;
    }
}

/// A conversation and all who are or want to be in it.
struct Room {
    log: TestLog,
    id: LogId,
    devices: Vec<Device>,
    now: Now,
    /// Whoever did anything is started again after it; those named in vain are not.
    restarts: Vec<&'static str>,
}

impl Room {
    fn new(names: &[&'static str]) -> Self {
        Self::with_suite(names, Suite::Classic)
    }

    /// The first founds, the others join by link, one after the other.
    fn with_suite(names: &[&'static str], suite: Suite) -> Self {
        let relay = crate::link::RelayAddress {
            url: "ws://127.0.0.1:1/".into(),
            identity: RelayIdentity::new([1; 32]),
        };
        let (first, rest) = names.split_first().unwrap();
        let options = RoomOptions {
            suite,
            ..RoomOptions::new(relay, *first)
        };
        let (engine, effects) = Engine::found(options, NOON).unwrap();
        let id = engine.saved.log;
        let mut room = Self {
            log: TestLog::new(&id),
            id,
            devices: Vec::new(),
            now: NOON,
            restarts: Vec::new(),
        };
        room.add(first, engine, effects);
        room.settle();
        for name in rest {
            room.join(name);
            room.settle();
            assert_eq!(room.of(name).engine.standing(), Standing::In, "{name}");
        }
        room
    }

    fn add(&mut self, name: &'static str, engine: Engine, effects: Effects) {
        self.devices.push(Device {
            name,
            engine,
            given: 0,
            events: Vec::new(),
            is_online: true,
            rows: BTreeMap::new(),
            vault: None,
            is_fresh: false,
        });
        let device = self.devices.last_mut().unwrap();
        device.take(effects);
        if let Some(token) = device.engine.create_token {
            let created = Answer::Created(sotto_protocol::frame::Created {
                chain: chain::genesis(&self.id),
            });
            device.engine.answered(token, Ok(created), NOON).unwrap();
        }
    }

    /// Begins to join by the present link of the first device.
    fn join(&mut self, name: &'static str) {
        let link = self.devices[0].engine.link().unwrap();
        self.join_by(name, &link);
    }

    fn join_by(&mut self, name: &'static str, link: &Link) {
        let options = JoinOptions { name: name.into() };
        let (engine, effects) = Engine::join(link, &options, self.now).unwrap();
        self.add(name, engine, effects);
    }

    fn of(&self, name: &str) -> &Device {
        self.devices
            .iter()
            .find(|device| device.name == name)
            .unwrap()
    }

    fn device(&mut self, name: &str) -> &mut Device {
        self.devices
            .iter_mut()
            .find(|device| device.name == name)
            .unwrap()
    }

    fn engine(&mut self, name: &str) -> &mut Engine {
        &mut self.device(name).engine
    }

    fn index(&self, name: &str) -> usize {
        self.devices
            .iter()
            .position(|device| device.name == name)
            .unwrap()
    }

    fn leaf(&self, name: &str) -> LeafId {
        self.of(name).engine.key.id()
    }

    fn go_offline(&mut self, name: &str, offline: bool) {
        let device = self.device(name);
        device.is_online = !offline;
        device.engine.set_online(!offline);
        device.engine.head = None;
    }

    fn command(&mut self, name: &str, command: Command) -> Reply {
        let (reply, effects) = {
            let now = self.now;
            self.engine(name).command(command, now)
        };
        self.device(name).take(effects);
        reply.unwrap()
    }

    fn say(&mut self, name: &str, text: &str) {
        self.command(
            name,
            Command::Send {
                text: text.into(),
                reply_to: None,
            },
        );
    }

    /// Everything that is on its way arrives, until nothing more happens.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut moved = false;
            for index in 0..self.devices.len() {
                moved |= self.step(index);
            }
            if !moved {
                return;
            }
        }
        panic!("the room does not come to rest");
    }

    /// One device takes what is new for it and appends what it has.
    fn step(&mut self, index: usize) -> bool {
        let now = self.now;
        self.log.day = now.day();
        let device = &mut self.devices[index];
        if !device.is_online || device.engine.is_over() {
            return false;
        }
        let is_fresh = core::mem::take(&mut device.is_fresh);
        let mut moved = Self::open(&self.log, device, now) && !is_fresh;
        moved |= Self::give(&self.log, &self.id, device, now);
        if let Some(token) = device
            .engine
            .token
            .filter(|_| device.engine.flight.is_some())
        {
            let flight = device.engine.flight.clone().unwrap();
            let result = match self.log.append_once(&flight) {
                Ok(()) => Ok(Answer::Appended(Vec::new())),
                Err(refusal) => Err(Denied {
                    refusal,
                    perhaps_applied: false,
                }),
            };
            device.engine.answered(token, result, now).unwrap();
            moved = true;
        }
        let effects = device.engine.finish(now);
        moved |= device.take(effects);
        moved |= device.engine.token.is_some() && device.engine.flight.is_some();
        if moved && self.restarts.contains(&device.name) {
            device.restart(now);
        }
        moved
    }

    fn open(log: &TestLog, device: &mut Device, now: Now) -> bool {
        if device.engine.head.is_some() {
            return false;
        }
        device.engine.set_online(true);
        let head = log.entries.len() as u64;
        device.engine.opened(&Opened {
            day: log.day,
            tag: Tag::new([0; 8]),
            head,
            pins: log.pins.clone(),
            chain: log.chain,
            fence: log.fence,
            first: log.first,
            rights: Rights::ALL,
            version: log.version,
        });
        if device.engine.saved.starts_over {
            // Read anew, from a pin.
            device.given = log.pins.first().map_or(0, |pin| pin - 1);
        }
        if device.engine.reads_from_outside() {
            // It goes to a pin first; every pin is given here, oldest first.
            let effects = device.engine.finish(now);
            device.take(effects);
        }
        true
    }

    fn give(log: &TestLog, id: &LogId, device: &mut Device, now: Now) -> bool {
        let new: Vec<_> = log
            .entries
            .iter()
            .filter(|(entry, _)| entry.seq > device.given.max(log.first - 1))
            .filter(|(entry, _)| !log.hidden.contains(&entry.seq))
            .cloned()
            .collect();
        let moved = !new.is_empty();
        if device.given + 1 < log.first {
            let (from, to) = (device.given + 1, log.first - 1);
            let gone = SessionEvent::Gone { log: *id, from, to };
            device.engine.take(gone, now).unwrap();
            device.given = to;
        }
        for (entry, pinned) in new {
            device.given = entry.seq;
            let outside = device.engine.reads_from_outside();
            if outside && entry.fence.is_none() && !pinned {
                continue;
            }
            let cursor = Cursor {
                seq: entry.seq,
                chain: Some(log.chain_after(entry.seq)),
                day: entry.day,
            };
            device
                .engine
                .take(
                    SessionEvent::Entry {
                        log: *id,
                        entry,
                        cursor,
                    },
                    now,
                )
                .unwrap();
        }
        moved
    }

    /// Time passes, a second at a time.
    fn pass_seconds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now.plus_ms(1_000);
            for device in self.devices.iter_mut().filter(|device| device.is_online) {
                let effects = device.engine.tick(self.now);
                device.take(effects);
            }
            self.settle();
        }
    }

    fn epoch(&self, name: &str) -> u64 {
        self.of(name).engine.group.as_ref().unwrap().epoch()
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let texts = self.of(name).events.iter().filter_map(|event| {
            if let Event::Message(message) = event {
                Some(message.text.clone())
            } else {
                None
            }
        });
        texts.collect()
    }

    fn has(&self, name: &str, wanted: impl Fn(&Event) -> bool) -> bool {
        self.of(name).events.iter().any(wanted)
    }

    /// Everybody named is in one epoch with one tree, and hears everybody.
    fn assert_one_epoch(&mut self, names: &[&str]) {
        let epochs: Vec<_> = names
            .iter()
            .map(|name| {
                self.of(name)
                    .engine
                    .group
                    .as_ref()
                    .map(|group| (group.epoch(), group.authenticator()))
            })
            .collect();
        assert!(
            epochs
                .iter()
                .all(|epoch| epoch.is_some() && *epoch == epochs[0]),
            "{names:?} are in {epochs:?}"
        );
        for name in names {
            let text = format!("{name} is here, {}", self.log.entries.len());
            self.say(name, &text);
            self.settle();
            for other in names {
                assert!(
                    self.texts(other).contains(&text),
                    "{other} does not hear {name}"
                );
            }
        }
    }
}

/// An entry that somebody else wrote beside a conversation.
fn entry_of(seq: u64, sealed: sotto_protocol::frame::Bytes<'static>) -> Entry<'static> {
    Entry {
        day: 19_675,
        seq,
        held: None,
        fence: None,
        stamp: Stamp::new([0; 20]),
        before: ChainValue::new([0; 32]),
        sealed,
        claimed: false,
        commitment: Commitment::new([0; 32]),
    }
}

/// A Welcome for this KeyPackage and the tree that goes with it, of a Commit that is not sent.
fn welcome_for(by: &mut Engine, package: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let plan = Plan {
        add: vec![package],
        ..Plan::default()
    };
    let log = by.log_bytes();
    let group = by.group.as_mut().unwrap();
    let staged = group.stage(&by.key, &plan, &log).unwrap();
    group.drop_pending().unwrap();
    (staged.welcome.unwrap(), staged.tree)
}
