//! `sotto bench claim-race`: many wait in one queue, some claim everything at once, the relay is
//! killed while claims are unanswered, some leave, and some who claimed mean no good.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use sotto_client::RelayAddress;
use sotto_client::log::Ask;
use sotto_protocol::id::LogId;
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use x25519_dalek::StaticSecret;

use super::hand::{Hand, secret};
use super::ledger::Ledger;
use super::relay::Relay;
use super::seeker::{self, Saw};
use super::supporter::{self, Did, HONEST, STOLEN};
use crate::arguments::ClaimRaceArgs;
use crate::output::{Done, Failure, Output, fields};
use crate::speak::Dice;

/// Supporters that mean no good, where there are as many; one at least stays honest.
const DISHONEST: usize = 5;
/// A claim is under way within this time of an attempt to kill, or nothing moves.
const MOMENT: Duration = Duration::from_secs(60);
/// A kill is tried so often.
const KILL_TRIES_MAX: usize = 8;
/// Between two looks whether a claim is under way.
const GLANCE: Duration = Duration::from_millis(1);
/// Who leaves does so within this time for each who waits: while most still wait.
const LEAVE_WITHIN_MS: usize = 4;
/// A race in which nothing happens for so long is over, and whoever still waits is lost.
const STALLED: Duration = Duration::from_secs(120);

/// What all of a race share.
pub(super) struct Race {
    pub(super) relay: RelayAddress,
    pub(super) queue: LogId,
    pub(super) asks: StaticSecret,
    pub(super) claims: StaticSecret,
    pub(super) over: CancellationToken,
    ledger: Mutex<Ledger>,
    /// Tickets that lie in the queue.
    waiting: AtomicUsize,
    /// Claims without an answer.
    claiming: AtomicUsize,
}

impl Race {
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn waits(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn claim_begins(&self) {
        self.claiming.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn claim_ends(&self) {
        self.claiming.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether a claim is under way, waiting for one for a while.
    async fn until_claiming(&self) -> bool {
        let moment = async {
            while self.claiming.load(Ordering::SeqCst) == 0 {
                sleep(GLANCE).await;
            }
        };
        timeout(MOMENT, moment).await.is_ok()
    }
}

/// What a race came to.
#[derive(Debug, Default, Serialize)]
struct Counts {
    engine: &'static str,
    seekers: u64,
    supporters: u64,
    dishonest: u64,
    restarts: u64,
    /// Claims that were without an answer when the relay was killed, all kills together.
    unanswered_at_kill: u64,
    claims_granted: u64,
    claims_refused: u64,
    seekers_answered: u64,
    seekers_withdrew: u64,
    double_claims: u64,
    lost_seekers: u64,
    claims_after_leaving: u64,
    stolen_welcomes_accepted: u64,
    /// Letters of who had no lease, which the relay did not take.
    stolen_welcomes_refused: u64,
    claim_p50_ms: f64,
    claim_p99_ms: f64,
    seconds: f64,
}

/// Runs a race over a relay of its own and judges it.
pub(crate) async fn run(arguments: ClaimRaceArgs, output: &Output) -> Result<Done, Failure> {
    let begun = Instant::now();
    let folder = tempfile::Builder::new().prefix("sotto-race-").tempdir()?;
    let mut relay = Relay::start(arguments.engine, folder.path()).await?;
    let race = Arc::new(begin(&relay).await?);
    let mut dice = Dice::new(arguments.seed);
    let [seekers, supporters] = [arguments.seekers, arguments.supporters].map(usize::from);
    let mut waiting = all_wait(&race, seekers, &mut dice).await?;
    output.words(&format!(
        "{seekers} wait; {supporters} claim all of them at once, {} of them dishonestly.",
        dishonest(supporters)
    ));
    let mut claiming = JoinSet::new();
    for number in 0..supporters {
        let race = Arc::clone(&race);
        if number < dishonest(supporters) {
            claiming.spawn(supporter::steal(race));
        } else {
            claiming.spawn(supporter::answer_all(race));
        }
    }
    let unanswered = play(&race, &mut relay, &mut dice, &arguments).await?;
    race.over.cancel();
    let saw = joined(&mut waiting).await?;
    let did = joined(&mut claiming).await?;
    relay.stop().await?;
    let mut counts = count(&race, &saw, &did);
    counts.engine = arguments.engine.name();
    counts.supporters = number(supporters);
    counts.dishonest = number(dishonest(supporters));
    counts.restarts = u64::from(arguments.restarts);
    counts.unanswered_at_kill = number(unanswered);
    counts.seconds = begun.elapsed().as_secs_f64();
    verdict(&counts, output)
}

fn dishonest(supporters: usize) -> usize {
    DISHONEST.min(supporters.saturating_sub(1))
}

/// A queue on the relay.
async fn begin(relay: &Relay) -> Result<Race, Failure> {
    let mut hand = Hand::new(relay.address());
    let (asks, claims) = (secret()?, secret()?);
    let grants = vec![
        seeker::grant(public_key(&asks), Rights::APPEND),
        seeker::grant(public_key(&claims), Rights::READ | Rights::CLAIM),
    ];
    let log = seeker::new_log(&hand, grants)?;
    let queue = log.id();
    hand.call(Ask::Create(log)).await.map_err(seeker::refused)?;
    Ok(Race {
        relay: relay.address().clone(),
        queue,
        asks,
        claims,
        over: CancellationToken::new(),
        ledger: Mutex::default(),
        waiting: AtomicUsize::new(0),
        claiming: AtomicUsize::new(0),
    })
}

/// Everybody's ticket lies in the queue; a tenth of them leave at a moment that the dice say.
async fn all_wait(
    race: &Arc<Race>,
    seekers: usize,
    dice: &mut Dice,
) -> Result<JoinSet<Result<Saw, Failure>>, Failure> {
    let mut waiting = JoinSet::new();
    for number in 0..seekers {
        let after = u64::try_from(dice.below(LEAVE_WITHIN_MS * seekers)).unwrap_or(0);
        let leaves = (number % 10 == 9).then(|| Duration::from_millis(after));
        let race = Arc::clone(race);
        waiting.spawn(seeker::wait(race, leaves));
    }
    while race.waiting.load(Ordering::SeqCst) < seekers {
        tokio::select! {
            Some(ended) = waiting.join_next() => {
                ended.map_err(|_| Failure::could_not_run("a seeker's task ended"))??;
            }
            () = sleep(GLANCE) => {}
        }
    }
    Ok(waiting)
}

/// Kills, as often as asked for, each while claims are unanswered and spread over the race; then
/// waits until nobody waits. Answers how many claims the kills met.
async fn play(
    race: &Race,
    relay: &mut Relay,
    dice: &mut Dice,
    arguments: &ClaimRaceArgs,
) -> Result<usize, Failure> {
    let seekers = usize::from(arguments.seekers);
    let restarts = usize::from(arguments.restarts);
    let mut unanswered = 0;
    for kill in 0..restarts {
        let slice = seekers / (restarts + 1);
        until_settled(race, slice * kill + dice.below(slice.max(1))).await;
        unanswered += kill_amid_claims(race, relay).await?;
    }
    until_settled(race, seekers).await;
    Ok(unanswered)
}

/// Kills while a claim is unanswered. One may be answered just before the relay is gone: that is no
/// kill that counts, and it is tried again. Answers how many claims it met.
async fn kill_amid_claims(race: &Race, relay: &mut Relay) -> Result<usize, Failure> {
    for _ in 0..KILL_TRIES_MAX {
        if !race.until_claiming().await {
            break;
        }
        relay.kill().await?;
        let met = race.claiming.load(Ordering::SeqCst);
        relay.restart().await?;
        if met > 0 {
            return Ok(met);
        }
    }
    Err(Failure::could_not_run("no kill met an unanswered claim"))
}

/// Waits until so many tickets are answered or gone, or nothing moves any more.
async fn until_settled(race: &Race, wanted: usize) {
    let (mut settled, mut moved) = (0, Instant::now());
    while settled < wanted && moved.elapsed() < STALLED {
        let now = race.ledger().settled();
        if now > settled {
            (settled, moved) = (now, Instant::now());
        }
        sleep(GLANCE).await;
    }
}

async fn joined<T: 'static>(tasks: &mut JoinSet<Result<T, Failure>>) -> Result<Vec<T>, Failure> {
    let mut all = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        all.push(ended.map_err(|_| Failure::could_not_run("a client's task ended"))??);
    }
    Ok(all)
}

fn count(race: &Race, saw: &[Saw], did: &[Did]) -> Counts {
    let ledger = race.ledger();
    let of = |test: &dyn Fn(&Saw) -> bool| number(saw.iter().filter(|one| test(one)).count());
    let first = |one: &Saw, word| one.letters.first().is_some_and(|letter| letter == word);
    let twice = of(&|one| one.letters.len() > 1);
    let after = of(&|one| one.left && !one.letters.is_empty());
    Counts {
        seekers: number(saw.len()),
        claims_granted: ledger.claims_granted,
        claims_refused: ledger.claims_refused,
        seekers_answered: of(&|one| first(one, HONEST)),
        seekers_withdrew: of(&|one| one.left),
        double_claims: ledger.double_claims + twice,
        lost_seekers: of(&|one| !one.left && one.letters.is_empty()),
        claims_after_leaving: ledger.claims_after_leaving + after,
        stolen_welcomes_accepted: of(&|one| first(one, STOLEN)),
        stolen_welcomes_refused: did.iter().map(|one| one.stolen_refused).sum(),
        claim_p50_ms: ledger.percentile_ms(0.5),
        claim_p99_ms: ledger.percentile_ms(0.99),
        ..Counts::default()
    }
}

fn verdict(counts: &Counts, output: &Output) -> Result<Done, Failure> {
    let mut broken = Vec::new();
    for (count, what) in [
        (counts.double_claims, "tickets were held or answered twice"),
        (counts.lost_seekers, "seekers were lost"),
        (
            counts.claims_after_leaving,
            "claims were granted of who had left",
        ),
        (
            counts.stolen_welcomes_accepted,
            "stolen welcomes were accepted",
        ),
    ] {
        if count > 0 {
            broken.push(format!("{count} {what}"));
        }
    }
    if counts.seekers_answered + counts.seekers_withdrew != counts.seekers {
        broken.push("those who were answered and those who left are not all".into());
    }
    if counts.restarts > 0 && counts.unanswered_at_kill == 0 {
        broken.push("no kill met an unanswered claim".into());
    }
    output.words(&format!(
        "{} answered, {} left, {} lost; {} claims granted, {} refused, {} doubled, {} of who had left; \
         of {} letters without a lease {} were accepted; {} kills met {} unanswered claims; {:.1} s.",
        counts.seekers_answered,
        counts.seekers_withdrew,
        counts.lost_seekers,
        counts.claims_granted,
        counts.claims_refused,
        counts.double_claims,
        counts.claims_after_leaving,
        counts.stolen_welcomes_refused + counts.stolen_welcomes_accepted,
        counts.stolen_welcomes_accepted,
        counts.restarts,
        counts.unanswered_at_kill,
        counts.seconds,
    ));
    if broken.is_empty() {
        Ok(fields(counts))
    } else {
        Err(Failure::promise(broken.join("; "), fields(counts)))
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
