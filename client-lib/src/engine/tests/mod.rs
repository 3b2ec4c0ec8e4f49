//! Conversations over a log in memory, stepped by hand: no relay, no session, no time of its own.
//!
//! The log here refuses nobody, which is what a relay does that helps an attacker: whatever is
//! refused in these tests is refused by the members themselves.

mod backing;
mod disputes;
mod door;
mod forgeries;
mod late;
mod leaving;
mod lies;
mod races;
mod upkeep;
mod vectors;

use sotto_protocol::chain::{self, Link as ChainLink};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Entry, Grant, Item, NewEntry, Opened, Refusal};
use sotto_protocol::id::{ChainValue, LogId, PublicKey, RelayIdentity, Stamp, Tag};
use sotto_protocol::right::Rights;

use super::*;
use crate::log::{Cursor, Denied};
use crate::mls::Suite;

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
    /// The keys that may manage it, since the last change of the grants.
    managers: Vec<PublicKey>,
}

impl TestLog {
    fn new(log: &LogId) -> Self {
        Self {
            entries: Vec::new(),
            chain: chain::genesis(log),
            fence: 0,
            pins: Vec::new(),
            managers: Vec::new(),
        }
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
        for item in items {
            if item.pin {
                self.pins.push(self.entries.len() as u64 + 1);
            }
            if let Some(grants) = &item.grants {
                let manages = |grant: &&Grant| grant.rights.contains(Rights::MANAGE);
                let managers = grants.list.iter().filter(manages);
                self.managers = managers.map(|grant| grant.key).collect();
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
            day: 19_675,
            fence,
            commitment: &new.commitment,
            sealed,
            held: None,
        };
        let entry = Entry {
            day: 19_675,
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
}

/// A conversation and all who are or want to be in it.
struct Room {
    log: TestLog,
    id: LogId,
    devices: Vec<Device>,
    now: Now,
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
        let (engine, _) = Engine::found(options, NOON).unwrap();
        let id = engine.saved.log;
        let mut room = Self {
            log: TestLog::new(&id),
            id,
            devices: Vec::new(),
            now: NOON,
        };
        room.add(first, engine);
        room.settle();
        for name in rest {
            room.join(name);
            room.settle();
            assert_eq!(room.of(name).engine.standing(), Standing::In, "{name}");
        }
        room
    }

    fn add(&mut self, name: &'static str, engine: Engine) {
        self.devices.push(Device {
            name,
            engine,
            given: 0,
            events: Vec::new(),
            is_online: true,
        });
        let device = self.devices.last_mut().unwrap();
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
        let (engine, _) = Engine::join(link, &JoinOptions { name: name.into() }, NOON).unwrap();
        self.add(name, engine);
    }

    fn of(&self, name: &str) -> &Device {
        self.devices
            .iter()
            .find(|device| device.name == name)
            .unwrap()
    }

    fn engine(&mut self, name: &str) -> &mut Engine {
        &mut self
            .devices
            .iter_mut()
            .find(|device| device.name == name)
            .unwrap()
            .engine
    }

    fn leaf(&self, name: &str) -> LeafId {
        self.of(name).engine.key.id()
    }

    fn go_offline(&mut self, name: &str, offline: bool) {
        let device = self
            .devices
            .iter_mut()
            .find(|device| device.name == name)
            .unwrap();
        device.is_online = !offline;
        device.engine.set_online(!offline);
        device.engine.head = None;
    }

    fn command(&mut self, name: &str, command: Command) {
        let (reply, effects) = {
            let now = self.now;
            self.engine(name).command(command, now)
        };
        reply.unwrap();
        let device = self
            .devices
            .iter_mut()
            .find(|device| device.name == name)
            .unwrap();
        device.events.extend(effects.events);
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
        let device = &mut self.devices[index];
        if !device.is_online || device.engine.is_over() {
            return false;
        }
        let mut moved = Self::open(&self.log, device, now);
        moved |= Self::give(&self.log, &self.id, device, now);
        if let Some(token) = device
            .engine
            .token
            .filter(|_| device.engine.flight.is_some())
        {
            let items = device.engine.flight.as_ref().unwrap().items.clone();
            let result = match self.log.append(&items) {
                Ok(()) => Ok(Answer::Appended(Vec::new())),
                Err(refusal) => Err(Denied {
                    refusal,
                    perhaps_applied: false,
                }),
            };
            device.engine.answered(token, result, NOON).unwrap();
            moved = true;
        }
        let effects = device.engine.finish(now);
        moved |= !effects.events.is_empty();
        device.events.extend(effects.events);
        moved
    }

    fn open(log: &TestLog, device: &mut Device, now: Now) -> bool {
        if device.engine.head.is_some() {
            return false;
        }
        device.engine.set_online(true);
        let head = log.entries.len() as u64;
        device.engine.opened(&Opened {
            day: 19_675,
            tag: Tag::new([0; 8]),
            head,
            pins: log.pins.clone(),
            chain: log.chain,
            fence: log.fence,
            first: 1,
            rights: Rights::ALL,
            version: 0,
        });
        if device.engine.reads_from_outside() {
            // It goes to a pin first; every pin is given here, oldest first.
            let effects = device.engine.finish(now);
            device.events.extend(effects.events);
        }
        true
    }

    fn give(log: &TestLog, id: &LogId, device: &mut Device, now: Now) -> bool {
        let new: Vec<_> = log
            .entries
            .iter()
            .filter(|(entry, _)| entry.seq > device.given)
            .cloned()
            .collect();
        let moved = !new.is_empty();
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
                device.events.extend(effects.events);
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
