//! `sotto bench queue-truth`: an evening at a desk, on lines that break. What people were told of their
//! place and of how long it takes is compared with what was so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use sotto_client::{AskOptions, Conversation, DeskAddress, DeskTicket, Event, Standing, Ticket};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::shift::{Opens, Shift, Watch, link_of, patience, unfit};
use super::town::{Town, Wire, driven};
use super::truth::{Compared, Truth};
use crate::arguments::QueueTruthArgs;
use crate::desk::always;
use crate::output::{Done, Failure, Output, fields};
use crate::speak::Dice;

/// A chat, in seconds: log-normal, with this median and spread; twenty minutes on average.
const CHAT_S: (f64, f64) = (1_084.0, 0.45);
const CHAT_MEAN_S: f64 = 1_200.0;
/// More come than can be answered at once, by this factor: then there is a queue.
const RUSH: f64 = 1.15;
/// How long who leaves early waits on average.
const EARLY_MEAN_S: f64 = 1_200.0;
/// How long a line is gone: an airplane mode, one way lost, a locked phone.
const CUTS_S: [u64; 3] = [15, 60, 120];
/// How often what is shown is looked at.
const LOOK: Duration = Duration::from_secs(60);
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Of a hundred waits so many end inside the range.
const INSIDE_MIN: f64 = 0.8;
/// Fewer ranges than this are counted and not judged: a share of twenty is chance.
const JUDGED_MIN: u64 = 100;

/// What all of an evening share.
struct Evening {
    town: Arc<Town>,
    cuts: usize,
    truth: Mutex<Truth>,
    made: Mutex<u64>,
}

impl Evening {
    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cuts_made(&self) -> MutexGuard<'_, u64> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose ticket it is stands in its words.
impl Watch for Evening {
    fn sees(&self, ticket: &DeskTicket) {
        if let Ok(number) = ticket.ticket.words.parse() {
            self.truth().lies_at(number, ticket.id.seq);
        }
    }

    fn answered(&self, ticket: &DeskTicket, took: Instant) {
        if let Ok(number) = ticket.ticket.words.parse() {
            self.truth().answered(number, took);
        }
    }
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    seekers: u64,
    supporters: u64,
    answered: u64,
    left: u64,
    disconnects: u64,
    places_compared: u64,
    place_error_max: u64,
    place_lost: u64,
    ranges: u64,
    inside: f64,
    width_mean_s: f64,
    naive_inside: f64,
    naive_width_mean_s: f64,
    seconds: f64,
}

/// Plays an evening and judges it.
pub(crate) async fn run(arguments: QueueTruthArgs, output: &Output) -> Result<Done, Failure> {
    let begun = Instant::now();
    let mut counts = driven(move || play(arguments)).await?;
    counts.seconds = begun.elapsed().as_secs_f64();
    verdict(&counts, output)
}

async fn play(arguments: QueueTruthArgs) -> Result<Counts, Failure> {
    let evening = Arc::new(Evening {
        town: Arc::new(Town::start().await?),
        cuts: usize::from(arguments.cuts),
        truth: Mutex::default(),
        made: Mutex::default(),
    });
    let mut dice = Dice::new(arguments.seed);
    let (office, _) = evening.town.somebody().await?;
    let opens = Opens {
        hours: always("UTC").map_err(unfit)?,
        capacity: 5_000,
        chats: arguments.chats,
        classic: arguments.classic,
    };
    let (team, address) = opens.at(&evening.town, &office).await?;
    let shift = Shift {
        link: link_of(&team).await?,
        most: usize::from(arguments.chats),
        chat_s: CHAT_S,
        over: CancellationToken::new(),
    };
    let mut shifts = JoinSet::new();
    for _ in 0..arguments.supporters {
        let (town, watch) = (Arc::clone(&evening.town), Arc::clone(&evening));
        let seed = Dice::new(dice.next());
        shifts.spawn(shift.clone().run(town, watch, seed));
    }
    // Whoever reads no events stops the conversation, and the desk's card with it.
    let mut hears = JoinSet::new();
    hears.spawn(async move { while team.next_event().await.is_some() {} });
    let places = f64::from(arguments.supporters) * f64::from(arguments.chats);
    let every_s = CHAT_MEAN_S / places / RUSH;
    let (mut comes_s, mut waiting) = (60.0, JoinSet::new());
    for number in 0..u64::from(arguments.seekers) {
        comes_s += dice.exponential(every_s);
        let (evening, address) = (Arc::clone(&evening), address.clone());
        let (comes, seed) = (Duration::from_secs_f64(comes_s), Dice::new(dice.next()));
        waiting.spawn(async move { seeks(&evening, &address, (number, comes), seed).await });
    }
    while let Some(ended) = waiting.join_next().await {
        ended.map_err(|_| Failure::could_not_run("a seeker's task ended"))??;
    }
    shift.over.cancel();
    while let Some(ended) = shifts.join_next().await {
        ended.map_err(|_| Failure::could_not_run("a supporter's task ended"))??;
    }
    hears.shutdown().await;
    office.close().await;
    let compared = evening.truth().compare();
    Ok(counts(&arguments, &compared, *evening.cuts_made()))
}

/// One who comes, and waits until somebody answers or patience ends.
async fn seeks(
    evening: &Evening,
    address: &DeskAddress,
    (number, comes): (u64, Duration),
    mut dice: Dice,
) -> Result<(), Failure> {
    sleep(comes).await;
    let (client, wire) = evening.town.somebody().await?;
    let visit = client.visit(address).await?;
    evening.truth().asks(number);
    let options = AskOptions {
        ticket: Ticket {
            words: number.to_string(),
            ..Ticket::default()
        },
        ..AskOptions::default()
    };
    let asked = client.ask(&visit, options).await?;
    let patience = patience(&mut dice, EARLY_MEAN_S);
    tokio::select! {
        () = waits(evening, number, &asked, patience) => {}
        () = looks(evening, number, &asked) => {}
        () = breaks(evening, &wire, dice) => {}
    }
    wire.mend();
    client.close().await;
    Ok(())
}

/// Hears what is told until the wait is over.
async fn waits(evening: &Evening, number: u64, asked: &Conversation, patience: Option<Duration>) {
    let mut wanted = None;
    let mut leaves_at = Instant::now() + patience.unwrap_or(A_DAY);
    loop {
        let event = tokio::select! {
            event = asked.next_event() => event,
            () = sleep_until(leaves_at) => {
                (wanted, leaves_at) = (Some(Instant::now()), Instant::now() + A_DAY);
                if asked.leave().await.is_err() {
                    return evening.truth().lost(number);
                }
                continue;
            }
        };
        match event {
            Some(Event::Knocked) => evening.truth().knocked(number),
            Some(Event::Place(place)) => evening.truth().shows(number, place, true),
            Some(Event::Standing(Standing::Waiting | Standing::In)) if wanted.is_none() => return,
            Some(Event::Standing(Standing::Left)) if wanted.is_some() => {
                let since = wanted.unwrap_or_else(Instant::now);
                return evening.truth().left(number, since);
            }
            None | Some(Event::Standing(Standing::Left | Standing::TurnedAway)) => {
                return evening.truth().lost(number);
            }
            Some(_) => {}
        }
    }
}

/// Looks at what is shown, from time to time.
async fn looks(evening: &Evening, number: u64, asked: &Conversation) {
    loop {
        sleep(LOOK).await;
        match asked.place().await {
            Ok(Some(place)) => evening.truth().shows(number, place, false),
            Ok(None) => {}
            // The conversation is over; who hears that says so.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Breaks the line each minute with the chance that was asked for.
async fn breaks(evening: &Evening, wire: &Wire, mut dice: Dice) {
    let mut minutes = interval(Duration::from_secs(60));
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first minute is still to pass.
    minutes.tick().await;
    loop {
        minutes.tick().await;
        if dice.below(100) < evening.cuts {
            *evening.cuts_made() += 1;
            wire.cut();
            let gone = CUTS_S.get(dice.below(CUTS_S.len())).copied();
            sleep(Duration::from_secs(gone.unwrap_or_default())).await;
            wire.mend();
        }
    }
}

fn counts(arguments: &QueueTruthArgs, compared: &Compared, disconnects: u64) -> Counts {
    Counts {
        seekers: u64::from(arguments.seekers),
        supporters: u64::from(arguments.supporters),
        answered: compared.answered,
        left: compared.left,
        disconnects,
        places_compared: compared.places_compared,
        place_error_max: compared.place_error_max,
        place_lost: compared.place_lost,
        ranges: compared.ranges,
        inside: compared.inside,
        width_mean_s: compared.width_s,
        naive_inside: compared.naive_inside,
        naive_width_mean_s: compared.naive_width_s,
        seconds: 0.0,
    }
}

fn verdict(counts: &Counts, output: &Output) -> Result<Done, Failure> {
    let mut broken = Vec::new();
    if counts.place_error_max > 0 {
        broken.push(format!("a place was wrong by {}", counts.place_error_max));
    }
    if counts.place_lost > 0 {
        broken.push(format!("{} lost their place", counts.place_lost));
    }
    if counts.answered + counts.left + counts.place_lost != counts.seekers {
        broken.push("those who were answered and those who left are not all".into());
    }
    let is_judged = counts.ranges >= JUDGED_MIN;
    if is_judged && counts.inside < INSIDE_MIN {
        broken.push(format!(
            "only {:.2} of the waits were in range",
            counts.inside
        ));
    }
    if is_judged && counts.width_mean_s > counts.naive_width_mean_s {
        broken.push("the naive range was narrower".into());
    }
    output.words(&format!(
        "Of {} who waited {} were answered and {} left; {} lines broke. {} places were compared, the worst \
         was wrong by {}, {} were lost. {} were told a range: {:.0} % of the waits lay inside, and it was \
         {:.0} s wide; the naive one that holds {:.0} % was {:.0} s wide. {:.1} s in all.",
        counts.seekers,
        counts.answered,
        counts.left,
        counts.disconnects,
        counts.places_compared,
        counts.place_error_max,
        counts.place_lost,
        counts.ranges,
        100.0 * counts.inside,
        counts.width_mean_s,
        100.0 * counts.naive_inside,
        counts.naive_width_mean_s,
        counts.seconds,
    ));
    if broken.is_empty() {
        Ok(fields(counts))
    } else {
        Err(Failure::promise(broken.join("; "), fields(counts)))
    }
}
