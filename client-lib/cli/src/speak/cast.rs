//! All people of a plan: how they gather, speak, and are heard out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sotto_client::transport::WebSocketDialer;
use sotto_client::{Link, RelayAddress};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::ledger::{self, Ledger, Said, Verdict};
use super::person::{Person, Seat};
use super::plan::{Plan, Talk};
use super::wire::Wire;
use crate::output::Failure;

/// People who open their vault or gather at the same time; each costs a few dozen synced writes.
const AT_ONCE: usize = 16;
/// Nothing was heard by anybody for so long: what is missing by then is lost.
const STANDSTILL: Duration = Duration::from_secs(90);

/// A conversation among some of the cast.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) members: Arc<[usize]>,
    pub(crate) link: Link,
}

/// Everybody, and what was said.
#[derive(Clone)]
pub(crate) struct Cast {
    pub(crate) people: Arc<[Arc<Person>]>,
    pub(crate) ledger: Arc<Ledger>,
    pulse: watch::Sender<u64>,
    pace: Option<Arc<Mutex<Interval>>>,
    lanes: Arc<AtomicUsize>,
}

impl Cast {
    /// Opens a vault for each, in numbered folders below `folder`.
    pub(crate) async fn open(
        names: &[String],
        folder: &Path,
        dialer: WebSocketDialer,
    ) -> Result<Self, Failure> {
        let pulse = watch::Sender::default();
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        let mut opening = JoinSet::new();
        for (number, name) in names.iter().cloned().enumerate() {
            let (slots, pulse) = (Arc::clone(&slots), pulse.clone());
            let wire = Wire::new(dialer.clone());
            let vault = folder.join(format!("{number:04}"));
            opening.spawn(async move {
                let _slot = slots.acquire_owned().await;
                let seat = Seat {
                    name: &name,
                    vault: &vault,
                    wire,
                    pulse,
                };
                Person::open(seat).await.map(|person| (number, person))
            });
        }
        let mut people = all(opening).await?;
        people.sort_by_key(|(number, _)| *number);
        Ok(Self {
            people: people
                .into_iter()
                .map(|(_, person)| Arc::new(person))
                .collect(),
            ledger: Arc::default(),
            pulse,
            pace: None,
            lanes: Arc::default(),
        })
    }

    /// What is said in one lane is read in the order in which it was said.
    pub(crate) fn new_lane(&self) -> usize {
        self.lanes.fetch_add(1, Ordering::Relaxed)
    }

    /// The same, saying at most so many messages a second in all.
    pub(crate) fn paced(mut self, rate: Option<u32>) -> Self {
        self.pace = rate.map(|rate| {
            let mut pace = interval(Duration::from_secs(1) / rate.max(1));
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Arc::new(Mutex::new(pace))
        });
        self
    }

    pub(crate) fn person(&self, number: usize) -> Result<&Arc<Person>, Failure> {
        let nobody = || Failure::could_not_run("the script has a speaker that is not in the cast");
        self.people.get(number).ok_or_else(nobody)
    }

    /// The first founds, the others join by link one after the other; done when each sees all.
    pub(crate) async fn gather(
        &self,
        relay: RelayAddress,
        members: &[usize],
    ) -> Result<Home, Failure> {
        let (founder, others) = members
            .split_first()
            .ok_or_else(|| Failure::could_not_run("a conversation without members"))?;
        let founder = self.person(*founder)?;
        founder.found(relay).await?;
        let link = founder.link().await?;
        for other in others {
            self.person(*other)?.join(&link).await?;
        }
        for member in members {
            self.person(*member)?.until_members(members.len()).await?;
        }
        Ok(Home {
            members: members.into(),
            link,
        })
    }

    /// All conversations of a plan at once.
    pub(crate) async fn gather_all(
        &self,
        relay: &RelayAddress,
        plan: &Plan,
    ) -> Result<Vec<Home>, Failure> {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        let mut gathering = JoinSet::new();
        for (number, members) in plan.homes.iter().cloned().enumerate() {
            let (cast, relay, slots) = (self.clone(), relay.clone(), Arc::clone(&slots));
            gathering.spawn(async move {
                let _slot = slots.acquire_owned().await;
                let home = cast.gather(relay, &members).await?;
                Ok((number, home))
            });
        }
        let mut homes = all(gathering).await?;
        homes.sort_by_key(|(number, _)| *number);
        Ok(homes.into_iter().map(|(_, home)| home).collect())
    }

    /// Speaks all talks at once and waits until everybody heard everything, or nothing moves any
    /// more: whether all was said and heard.
    pub(crate) async fn perform(&self, homes: &[Home], talks: Vec<Talk>) -> Result<bool, Failure> {
        let mut speaking = JoinSet::new();
        for talk in talks {
            let lane = self.new_lane();
            let members = homes
                .get(talk.home)
                .map(|home| Arc::clone(&home.members))
                .ok_or_else(|| Failure::could_not_run("a talk without a conversation"))?;
            let cast = self.clone();
            speaking.spawn(async move { cast.speak(lane, talk, members).await });
        }
        let spoken = self.unless_still(all(speaking)).await;
        match spoken {
            Some(spoken) => spoken.map(drop)?,
            None => return Ok(false),
        }
        Ok(self.settle().await)
    }

    /// One talk: each line after its speaker heard the one before.
    async fn speak(&self, lane: usize, talk: Talk, members: Arc<[usize]>) -> Result<(), Failure> {
        let mut last = None;
        for (turn, line) in talk.lines.into_iter().enumerate() {
            let speaker = self.person(line.speaker)?;
            if let Some((by, id)) = last
                && by != line.speaker
            {
                speaker.hear(id).await;
            }
            let said = self
                .say(line.speaker, line.text, lane, turn, &members)
                .await?;
            last = Some((line.speaker, said));
        }
        Ok(())
    }

    /// One line by one person, to be read by these.
    pub(crate) async fn say(
        &self,
        speaker: usize,
        text: String,
        lane: usize,
        turn: usize,
        readers: &Arc<[usize]>,
    ) -> Result<sotto_client::MessageId, Failure> {
        if let Some(pace) = &self.pace {
            pace.lock().await.tick().await;
        }
        let person = self.person(speaker)?;
        let id = person.say(&text).await?;
        self.ledger.note(Said {
            id,
            text,
            author: person.leaf()?,
            readers: Arc::clone(readers),
            lane,
            turn,
        });
        Ok(id)
    }

    /// Waits until everybody heard what is theirs to hear, and every author knows that it stands in
    /// the log; false if nothing moves any more.
    pub(crate) async fn settle(&self) -> bool {
        let hearing = async {
            for said in self.ledger.all() {
                for reader in said.readers.iter() {
                    if let Some(person) = self.people.get(*reader) {
                        person.hear(said.id).await;
                    }
                }
            }
        };
        self.unless_still(hearing).await.is_some()
    }

    /// The work's result, or nothing once nobody hears anything any more.
    async fn unless_still<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut beats = self.pulse.subscribe();
        let still = async { while timeout(STANDSTILL, beats.changed()).await.is_ok() {} };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = still => None,
        }
    }

    /// Grows with everything anybody hears.
    pub(crate) fn pulse(&self) -> watch::Receiver<u64> {
        self.pulse.subscribe()
    }

    /// Messages that their authors do not know to stand in the log.
    pub(crate) fn unanswered(&self) -> usize {
        self.people
            .iter()
            .map(|person| person.unanswered_count())
            .sum()
    }

    /// What everybody heard, judged; and warnings that honest relays and members do not cause.
    pub(crate) fn judge(&self) -> (Verdict, u64) {
        let heard: Vec<_> = self.people.iter().map(|person| person.heard()).collect();
        let messages: Vec<_> = heard
            .iter()
            .map(|heard| heard.messages.as_slice())
            .collect();
        let alarms = heard.iter().map(|heard| heard.alarms).sum();
        (ledger::judge(&self.ledger.all(), &messages), alarms)
    }

    /// Whether each vault keeps what its person was told.
    pub(crate) async fn vaults_agree(&self) -> Result<bool, Failure> {
        for person in self.people.iter() {
            if !person.keeps_what_it_heard().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends all clients.
    pub(crate) async fn close(&self) {
        let mut closing = JoinSet::new();
        for person in self.people.iter().map(Arc::clone) {
            closing.spawn(async move { person.close().await });
        }
        while closing.join_next().await.is_some() {}
    }
}

/// Waits for all; the first failure ends the rest.
async fn all<T: 'static>(mut tasks: JoinSet<Result<T, Failure>>) -> Result<Vec<T>, Failure> {
    let mut done = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.map_err(|_| Failure::could_not_run("a part of this program stopped"))?;
        done.push(ended?);
    }
    Ok(done)
}
