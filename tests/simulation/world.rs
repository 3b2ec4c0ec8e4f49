//! A relay that fails and restarts, people whose lines break and whose devices crash, and dice that
//! decide what happens next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sotto_client::time::Now;
use sotto_client::{Admission, Command, Event, LeafId, RelayAddress, RoomOptions, Suite};
use sotto_server::clock::{Clock, ManualClock};
use sotto_server::identity::Identity;
use sotto_server::retention::Keys;
use sotto_tests::dice::Dice;
use sotto_tests::relay::{DAY, RunningRelay, TestRelay};
use sotto_tests::store::{Failure, WatchedStore};

use crate::actor::{Actor, Doom};

/// Who may ever be there; beyond that nothing new happens between them.
const PEOPLE_MAX: usize = 6;
/// Messages that one actor hands over or takes in one step.
const CARRIED_MAX: u64 = 8;
/// A wait that is longer is for another day.
const SOON_MS: u64 = 120_000;
/// Rounds in which everything must have come to rest.
const ROUNDS_MAX: usize = 2_000;

/// Something that was said and kept.
pub struct Said {
    pub text: String,
    pub author: usize,
    /// The app was told that it is kept; else a crash may have undone it.
    pub is_certain: bool,
    /// Everybody whom the author knew to be there.
    pub audience: Vec<LeafId>,
}

pub struct World {
    pub seed: u64,
    pub dice: Dice,
    pub actors: Vec<Actor>,
    pub said: Vec<Said>,
    /// Which actor has which leaf.
    pub leaves: BTreeMap<LeafId, usize>,
    /// How often what was done to them.
    done: BTreeMap<&'static str, u64>,
    relay: Option<RunningRelay>,
    store: Arc<WatchedStore>,
    keys: Arc<Keys>,
    clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
}

/// Waits until the relay has nothing left to do: time is paused and passes only then.
async fn quiet() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

impl World {
    pub async fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Identity::create(&folder.path().join("identity")).expect("an identity");
        let mut dice = Dice::new(seed);
        let admission = match dice.roll(10) {
            0..=5 => Admission::Link,
            6..=8 => Admission::Approval,
            _ => Admission::Chat,
        };
        let clock = Arc::new(ManualClock::at_day(DAY));
        let began = now_of(&clock);
        let mut world = Self {
            seed,
            dice,
            actors: Vec::new(),
            said: Vec::new(),
            leaves: BTreeMap::new(),
            done: BTreeMap::new(),
            relay: None,
            store: WatchedStore::new(),
            keys: Arc::new(Keys::in_memory()),
            clock,
            folder,
        };
        world.start_relay().await;
        let options = RoomOptions {
            suite: Suite::Classic,
            admission,
            ..RoomOptions::new(world.address(), "P0")
        };
        world.actors.push(Actor::found(options, began));
        world
    }

    fn address(&self) -> RelayAddress {
        let identity = &self.relay.as_ref().expect("a relay").identity;
        sotto_server::identity::relay_address("ws://localhost", identity)
            .parse()
            .expect("an address")
    }

    pub fn now(&self) -> Now {
        now_of(&self.clock)
    }

    async fn start_relay(&mut self) {
        let identity = Identity::load(&self.folder.path().join("identity")).expect("an identity");
        let relay = TestRelay {
            store: self.store.clone(),
            keys: Arc::clone(&self.keys),
            identity: Some(identity),
            clock: Arc::clone(&self.clock),
            ..TestRelay::default()
        };
        self.relay = Some(relay.start().await);
    }

    /// The relay's process ends, with or without having told anybody, and another one starts.
    async fn restart_relay(&mut self) {
        let is_killed = self.dice.roll(2) == 0;
        self.note(if is_killed {
            "relay killed"
        } else {
            "relay restarted"
        });
        if is_killed {
            let now = self.now();
            self.actors.iter_mut().for_each(|actor| actor.cut(now));
        }
        self.store.fail(None);
        if let Some(relay) = self.relay.take() {
            relay.stop().await;
        }
        self.start_relay().await;
    }

    pub async fn stop(mut self) {
        self.actors.clear();
        if let Some(relay) = self.relay.take() {
            relay.stop().await;
        }
    }

    /// One thing happens.
    pub async fn step(&mut self) {
        let now = self.now();
        let who = self.dice.index(self.actors.len());
        match self.dice.roll(100) {
            0..=54 => self.carry(who).await,
            55..=66 => self.say(who, now),
            67..=74 => {
                if self.actors[who].is_connected() {
                    self.note("lines cut");
                }
                self.actors[who].cut(now);
            }
            75..=76 => self.actors[who].crash(now),
            77..=79 => {
                let doom = [Doom::BeforeBatch, Doom::AfterBatch][self.dice.index(2)];
                self.actors[who].doom(Some(doom));
            }
            80..=82 => {
                let failures = [Failure::Before, Failure::After, Failure::Full];
                self.store.fail(Some(failures[self.dice.index(3)]));
            }
            83 => self.restart_relay().await,
            84..=90 => {
                let ms = [5, 500, 5_000, 30_000, 600_000][self.dice.index(5)];
                self.pass(ms).await;
            }
            91..=93 => self.come(now),
            94..=96 => self.facilitate(who, now),
            // Who gives up at a door may still be let in by somebody, as a leaf without a name.
            97 if who > 0 && self.actors[who].leaf().is_some() && self.dice.roll(4) == 0 => {
                self.actors[who].command(Command::Leave, now);
            }
            _ => self.fidget(who, now),
        }
        self.note_leaves();
    }

    fn note(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    /// How often what happened, to whom, and to how many.
    pub fn happened(&self) -> BTreeMap<&'static str, u64> {
        let mut happened = self.done.clone();
        let mut note = |what, count| *happened.entry(what).or_default() += count;
        let certain = self.said.iter().filter(|said| said.is_certain).count();
        note("commits failed", self.store.failures());
        note("said", u64::try_from(certain).expect("a count"));
        for actor in &self.actors {
            note("crashes", u64::from(actor.crashes));
            for event in &actor.events {
                match event {
                    Event::Message(message) if !message.is_mine => note("shown to others", 1),
                    Event::Joined { .. } => note("joined", 1),
                    Event::Removed { .. } => note("removed", 1),
                    Event::Left { .. } => note("left", 1),
                    Event::Rotated => note("rotated", 1),
                    Event::RulesChanged { .. } => note("rules changed", 1),
                    Event::Edited { .. } | Event::Reacted { .. } => note("edited or reacted", 1),
                    _ => {}
                }
            }
        }
        happened
    }

    async fn carry(&mut self, who: usize) {
        let now = self.now();
        let relay = self.relay.as_ref().expect("a relay");
        let max = usize::try_from(1 + self.dice.roll(CARRIED_MAX)).expect("small");
        let actor = &mut self.actors[who];
        actor.connect(relay, now).await;
        actor.send(max, now).await;
        quiet().await;
        actor.receive(max, now);
        actor.tick(now);
    }

    fn say(&mut self, who: usize, now: Now) {
        if self.actors[who].is_over() {
            return;
        }
        let text = format!("m{} of {}", self.said.len(), self.actors[who].name);
        let members = self.actors[who].engine().members();
        let command = Command::Send {
            text: text.clone(),
            reply_to: None,
        };
        let is_certain = self.actors[who].command(command, now);
        self.said.push(Said {
            text,
            author: who,
            is_certain,
            audience: members.into_iter().map(|member| member.leaf).collect(),
        });
    }

    /// Somebody new tries to get in.
    fn come(&mut self, now: Now) {
        if self.actors.len() == PEOPLE_MAX {
            return;
        }
        let links: Vec<_> = self
            .actors
            .iter()
            .filter_map(|actor| actor.engine().link())
            .collect();
        if links.is_empty() {
            return;
        }
        let name = format!("P{}", self.actors.len());
        let link = &links[self.dice.index(links.len())];
        self.actors.push(Actor::join(&name, link, now));
    }

    /// A facilitator lets somebody in or turns them away, removes, promotes or rotates.
    fn facilitate(&mut self, who: usize, now: Now) {
        let actor = &mut self.actors[who];
        if !actor.facilitates() {
            return;
        }
        let mut others = actor.engine().members();
        others.retain(|member| !member.is_me && self.leaves.get(&member.leaf) != Some(&0));
        let knocks = actor.engine().knocks();
        let command = match self.dice.roll(6) {
            _ if !knocks.is_empty() && self.dice.roll(5) == 0 => Command::TurnAway(knocks[0].leaf),
            _ if !knocks.is_empty() => Command::Admit(knocks[0].leaf),
            0 if !others.is_empty() => Command::Remove(others[self.dice.index(others.len())].leaf),
            1..=2 if !others.is_empty() => {
                Command::Promote(others[self.dice.index(others.len())].leaf)
            }
            _ => Command::Rotate,
        };
        actor.command(command, now);
    }

    /// What people do between messages.
    fn fidget(&mut self, who: usize, now: Now) {
        let actor = &mut self.actors[who];
        let history = actor.history();
        if history.is_empty() || self.dice.roll(3) == 0 {
            let name = format!("P{who} {}", self.dice.roll(100));
            actor.command(Command::Rename(name), now);
            return;
        }
        let message = &history[self.dice.index(history.len())];
        let command = if message.is_mine {
            let first = message
                .text
                .split_once('!')
                .map_or(&*message.text, |it| it.0);
            let text = format!("{first}! {}", self.dice.roll(100));
            Command::Edit {
                of: message.id,
                text,
            }
        } else {
            let emoji = "🌱".to_owned();
            Command::React {
                to: message.id,
                emoji,
            }
        };
        actor.command(command, now);
    }

    fn note_leaves(&mut self) {
        for (index, actor) in self.actors.iter().enumerate() {
            if let Some(leaf) = actor.leaf() {
                self.leaves.insert(leaf, index);
            }
        }
    }

    /// Time passes for everybody. What was on its way arrives meanwhile: lines that stand still for
    /// minutes are not honest ones.
    pub async fn pass(&mut self, ms: u64) {
        if ms >= 1_000 {
            self.arrive().await;
        }
        self.clock.advance(Duration::from_millis(ms));
        let now = self.now();
        for actor in &mut self.actors {
            actor.tick(now);
        }
    }

    /// Nothing fails any more, and everything comes to rest.
    ///
    /// # Panics
    /// If it does not.
    pub async fn settle(&mut self) {
        self.store.fail(None);
        for actor in &mut self.actors {
            actor.doom(None);
        }
        for _ in 0..ROUNDS_MAX {
            if self.round().await {
                continue;
            }
            let now = self.now();
            let due = self.actors.iter().filter(|actor| !actor.is_over());
            let due = due.filter_map(Actor::wake_at).min();
            match due {
                Some(at) if at <= now.steady_ms + SOON_MS => {
                    self.pass(at.saturating_sub(now.steady_ms)).await;
                }
                _ => {
                    self.note_leaves();
                    return;
                }
            }
        }
        panic!(
            "seed {}: it does not come to rest: {}",
            self.seed,
            self.look()
        );
    }

    async fn arrive(&mut self) {
        let mut moved = true;
        while moved {
            quiet().await;
            let now = self.now();
            moved = false;
            for actor in &mut self.actors {
                moved |= actor.send(usize::MAX, now).await;
                moved |= actor.receive(usize::MAX, now);
            }
        }
    }

    async fn round(&mut self) -> bool {
        let now = self.now();
        let mut moved = false;
        for actor in &mut self.actors {
            let relay = self.relay.as_ref().expect("a relay");
            actor.connect(relay, now).await;
            moved |= actor.send(usize::MAX, now).await;
            quiet().await;
            moved |= actor.receive(usize::MAX, now);
            moved |= actor.tick(now);
            for knock in actor.engine().knocks() {
                moved |= actor.command(Command::Admit(knock.leaf), now);
            }
        }
        moved
    }

    /// What a failed run leaves to see.
    pub fn look(&self) -> String {
        let actors = self.actors.iter().map(|actor| {
            let events: Vec<_> = actor.events.iter().rev().take(12).collect();
            format!(
                "\n{} {:?} {:?}, {} members, {} unsent, {} crashes, online {}; last {events:?}",
                actor.name,
                actor.standing(),
                actor.engine().fingerprint(),
                actor.engine().members().len(),
                actor.engine().unsent().len(),
                actor.crashes,
                actor.is_connected(),
            )
        });
        actors.collect()
    }
}

fn now_of(clock: &ManualClock) -> Now {
    let ms = |span: Duration| u64::try_from(span.as_millis()).expect("a time");
    Now {
        wall_ms: ms(clock.wall()),
        steady_ms: ms(clock.monotonic()),
    }
}
