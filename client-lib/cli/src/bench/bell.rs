//! `sotto bench bell`: a school's break. Everybody comes within a minute, a few listen, and at the end
//! the bell rings. Whoever came must have been told what became of it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sotto_client::{
    AskOptions, Client, Conversation, DeskAddress, DeskDate, DeskState, Event, Hours, Standing,
    Visit,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::shift::{Opens, Shift, Watch, link_of, patience, unfit, until_event};
use super::town::{Town, driven};
use crate::arguments::BellArgs;
use crate::output::{Done, Failure, Output, fields};
use crate::speak::Dice;

/// Of a hundred pupils who find no listener so many write a letter.
const LETTERS_PER_CENT: usize = 60;
/// How long who leaves early waits on average.
const EARLY_MEAN_S: f64 = 480.0;
/// A chat, in seconds: log-normal, with this median and spread.
const CHAT_S: (f64, f64) = (360.0, 0.5);
/// What happens at all happens within this time of the bell.
const AFTER_THE_BELL: Duration = Duration::from_secs(3 * 60 * 60);

/// What became of a pupil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    Letter,
    Left,
    RefusedFull,
    ClosedByBell,
}

/// Who takes a ticket is of no interest here.
struct Nobody;

impl Watch for Nobody {}

/// What one pupil saw.
struct Saw {
    /// Nothing, if nobody told them anything.
    fate: Option<Fate>,
    waited_s: u64,
    /// How often others came to be before them whom nothing explains.
    unexplained: u64,
}

/// What a pupil will do.
struct Pupil {
    comes: Duration,
    patience: Option<Duration>,
    writes: bool,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    listeners: u64,
    arrived: u64,
    answered: u64,
    letter: u64,
    left: u64,
    refused_full: u64,
    closed_by_bell: u64,
    unnamed: u64,
    longest_wait_s: u64,
    place_changes_unexplained: u64,
    seconds: f64,
}

/// Plays a break and judges it.
pub(crate) async fn run(arguments: BellArgs, output: &Output) -> Result<Done, Failure> {
    let begun = Instant::now();
    let mut counts = driven(move || play(arguments)).await?;
    counts.seconds = begun.elapsed().as_secs_f64();
    verdict(&counts, output)
}

async fn play(arguments: BellArgs) -> Result<Counts, Failure> {
    let town = Arc::new(Town::start().await?);
    let mut dice = Dice::new(arguments.seed);
    let bell = Instant::now() + Duration::from_secs(60 * u64::from(arguments.minutes));
    let (office, _) = town.somebody().await?;
    let opens = Opens {
        hours: until_the_bell(&town, arguments.minutes)?,
        capacity: arguments.capacity,
        chats: arguments.chats,
        classic: arguments.classic,
    };
    let (team, address) = opens.at(&town, &office).await?;
    let shift = Shift {
        link: link_of(&team).await?,
        most: usize::from(arguments.chats),
        chat_s: CHAT_S,
        over: CancellationToken::new(),
    };
    let (mut listening, over) = (JoinSet::new(), shift.over.clone());
    listening.spawn(async move {
        sleep_until(bell).await;
        over.cancel();
        Ok(())
    });
    for _ in 0..arguments.listeners {
        let (shift, seed) = (shift.clone(), Dice::new(dice.next()));
        listening.spawn(shift.run(Arc::clone(&town), Arc::new(Nobody), seed));
    }
    let mut waiting = JoinSet::new();
    for _ in 0..arguments.pupils {
        let pupil = Pupil::thrown(&mut dice);
        let (town, address) = (Arc::clone(&town), address.clone());
        waiting.spawn(async move { come(&town, &address, &pupil).await });
    }
    let mut counts = Counts {
        listeners: u64::from(arguments.listeners),
        ..Counts::default()
    };
    while let Some(ended) = waiting.join_next().await {
        let saw = ended.map_err(|_| Failure::could_not_run("a pupil's task ended"))??;
        counts.add(&saw);
    }
    while let Some(ended) = listening.join_next().await {
        ended.map_err(|_| Failure::could_not_run("a listener's task ended"))??;
    }
    office.close().await;
    Ok(counts)
}

impl Counts {
    fn add(&mut self, saw: &Saw) {
        self.arrived += 1;
        self.longest_wait_s = self.longest_wait_s.max(saw.waited_s);
        self.place_changes_unexplained += saw.unexplained;
        *match saw.fate {
            Some(Fate::Answered) => &mut self.answered,
            Some(Fate::Letter) => &mut self.letter,
            Some(Fate::Left) => &mut self.left,
            Some(Fate::RefusedFull) => &mut self.refused_full,
            Some(Fate::ClosedByBell) => &mut self.closed_by_bell,
            None => &mut self.unnamed,
        } += 1;
    }
}

impl Pupil {
    fn thrown(dice: &mut Dice) -> Self {
        Self {
            comes: Duration::from_secs_f64(60.0 * dice.unit()),
            patience: patience(dice, EARLY_MEAN_S),
            writes: dice.below(100) < LETTERS_PER_CENT,
        }
    }
}

/// Open from now until the bell.
fn until_the_bell(town: &Town, minutes: u16) -> Result<Hours, Failure> {
    let days = u32::try_from(town.now_ms() / 86_400_000).unwrap_or(u32::MAX);
    let date = DeskDate::of_days(days).ok_or_else(|| Failure::could_not_run("no such date"))?;
    let until = format!("{date} 12:00-12:{minutes:02}");
    let opening = until.parse().map_err(unfit)?;
    let hours = Hours::new("UTC").and_then(|hours| hours.also(opening));
    hours.map_err(unfit)
}

/// One pupil, from coming to the end of the break.
async fn come(town: &Town, address: &DeskAddress, pupil: &Pupil) -> Result<Saw, Failure> {
    sleep(pupil.comes).await;
    let (client, _) = town.somebody().await?;
    let visit = client.visit(address).await?;
    let came = Instant::now();
    let mut saw = Saw {
        fate: None,
        waited_s: 0,
        unexplained: 0,
    };
    let refused = match visit.state(town.now_ms()) {
        DeskState::Open { .. } | DeskState::EndsSoon { .. } => {
            let asked = client.ask(&visit, AskOptions::default()).await?;
            let told = wait(&asked, pupil, &mut saw).await;
            saw.waited_s = came.elapsed().as_secs();
            told
        }
        _ => Some(Fate::ClosedByBell),
    };
    saw.fate = match refused {
        Some(Fate::RefusedFull | Fate::ClosedByBell) if pupil.writes => {
            write(&client, &visit).await?
        }
        told => told,
    };
    client.close().await;
    Ok(saw)
}

/// Waits for a listener; answers what one was told in the end.
async fn wait(asked: &Conversation, pupil: &Pupil, saw: &mut Saw) -> Option<Fate> {
    let mut ahead = u64::MAX;
    let mut told = None;
    let far = Instant::now() + AFTER_THE_BELL;
    let patience = pupil.patience.map(|patience| Instant::now() + patience);
    let mut leaves_at = patience.unwrap_or(far);
    loop {
        let event = tokio::select! {
            event = asked.next_event() => event?,
            () = sleep_until(leaves_at) => {
                if leaves_at == far {
                    return None;
                }
                leaves_at = far;
                told = Some(Fate::Left);
                asked.leave().await.ok()?;
                continue;
            }
        };
        match event {
            Event::Place(place) => {
                saw.unexplained += u64::from(place.ahead > ahead);
                ahead = place.ahead;
            }
            Event::DeskFull => {
                told = Some(Fate::RefusedFull);
                asked.leave().await.ok()?;
            }
            Event::DeskClosed => told = Some(Fate::ClosedByBell),
            // Somebody answered just before one was gone: then one is in a chat, and takes leave of it.
            Event::Standing(Standing::Waiting | Standing::In) if told.is_none() => {
                return Some(Fate::Answered);
            }
            Event::Standing(Standing::Left) => return told,
            Event::Standing(Standing::TurnedAway) => return None,
            _ => {}
        }
    }
}

/// Writes a letter instead; nothing if it does not come to lie there.
async fn write(client: &Client, visit: &Visit) -> Result<Option<Fate>, Failure> {
    let letter = client.leave_letter(visit, AskOptions::default()).await?;
    let lies = until_event(&letter, |event| *event == Event::Knocked);
    let lies = timeout(AFTER_THE_BELL, lies).await;
    Ok(matches!(lies, Ok(Ok(()))).then_some(Fate::Letter))
}

fn verdict(counts: &Counts, output: &Output) -> Result<Done, Failure> {
    let named =
        counts.answered + counts.letter + counts.left + counts.refused_full + counts.closed_by_bell;
    let mut broken = Vec::new();
    if counts.unnamed > 0 || named != counts.arrived {
        broken.push(format!("{} pupils were told nothing", counts.unnamed));
    }
    if counts.place_changes_unexplained > 0 {
        broken.push(format!(
            "{} places grew for no reason",
            counts.place_changes_unexplained
        ));
    }
    output.words(&format!(
        "Of {} pupils {} were answered, {} wrote a letter, {} left, {} found it full, and the bell sent {} \
         home; {} were told nothing. The longest wait was {} s. {:.1} s in all.",
        counts.arrived,
        counts.answered,
        counts.letter,
        counts.left,
        counts.refused_full,
        counts.closed_by_bell,
        counts.unnamed,
        counts.longest_wait_s,
        counts.seconds,
    ));
    if broken.is_empty() {
        Ok(fields(counts))
    } else {
        Err(Failure::promise(broken.join("; "), fields(counts)))
    }
}
