//! One who claims: everything that waits, at once with all others; and one who keeps what a claim
//! brought and answers without a lease.

use std::sync::Arc;
use std::time::Duration;

use sotto_client::log::{Ask, Token};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Claim, Claimed, Item, Lane, LeaseCondition, Read, Release};
use sotto_protocol::id::LogId;
use tokio::time::Instant;

use super::claim_race::Race;
use super::hand::{Hand, Outcome, retry};
use super::ledger::Span;
use super::seeker::{Held, entry, item, refused};
use crate::output::Failure;

/// Claims that one has under way at once.
const AT_ONCE: usize = 4;
/// How long an honest claim is for: no answer takes so long, with a restart in between.
const HONEST_MS: u32 = 120_000;
/// How long a dishonest one is for: it is meant to lapse.
const LAPSING_MS: u32 = 400;
/// Tickets that one dishonest supporter tries to steal.
const STOLEN_MAX: usize = 4;
/// How often one tries with each: before, while and after another answers.
const TRIES_MAX: u32 = 20;
/// Between two looks at an empty queue.
const LOOK: Duration = Duration::from_millis(100);

/// What the first word of a letter says of its author.
pub(super) const HONEST: &str = "welcome";
pub(super) const STOLEN: &str = "stolen";

/// What one supporter saw.
#[derive(Default)]
pub(super) struct Did {
    /// Letters that the relay refused.
    pub(super) stolen_refused: u64,
}

/// A ticket whose lease this supporter has or had.
struct Lease {
    seq: u64,
    number: u64,
    held: Held,
}

/// Claims and answers until the race is over.
pub(super) async fn answer_all(race: Arc<Race>) -> Result<Did, Failure> {
    let mut hand = Hand::new(&race.relay);
    hand.open(race.queue, &race.claims);
    let did = Did::default();
    while !race.over.is_cancelled() {
        let waiting = waiting(&race, &mut hand).await?;
        if waiting.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        for some in waiting.chunks(AT_ONCE) {
            for lease in claim(&race, &mut hand, some, HONEST_MS).await? {
                answer(&race, &mut hand, &lease).await?;
            }
            if race.over.is_cancelled() {
                break;
            }
        }
    }
    Ok(did)
}

/// Claims a few tickets, lets the leases lapse, and answers as soon as somebody else holds them.
pub(super) async fn steal(race: Arc<Race>) -> Result<Did, Failure> {
    let mut hand = Hand::new(&race.relay);
    hand.open(race.queue, &race.claims);
    let (mut did, mut kept) = (Did::default(), Vec::new());
    while !race.over.is_cancelled() {
        if kept.len() < STOLEN_MAX {
            let waiting = waiting(&race, &mut hand).await?;
            let some = waiting.get(..1).unwrap_or_default();
            let leases = claim(&race, &mut hand, some, LAPSING_MS).await?;
            kept.extend(leases.into_iter().map(|lease| (lease, 0)));
        }
        hand.turn().await;
        for (lease, tries) in &mut kept {
            if *tries < TRIES_MAX && race.ledger().is_superseded(lease.seq, lease.number) {
                *tries += 1;
                did.stolen_refused += attempt(&race, &mut hand, lease).await?;
            }
        }
    }
    Ok(did)
}

/// Two ways to be taken for the answer; how many the relay refused.
async fn attempt(race: &Race, hand: &mut Hand, lease: &Lease) -> Result<u64, Failure> {
    hand.open(lease.held.inbox, &lease.held.reply);
    let letter = || Ok::<_, Failure>(item(lease.held.inbox, vec![entry(STOLEN)?]));
    let with_end = vec![letter()?, end(race.queue, lease)];
    let mut count = 0;
    for items in [vec![letter()?], with_end] {
        match append(hand, items).await? {
            Err(denied) if denied.refusal.code == ErrorCode::LeaseLost => count += 1,
            Err(denied) => return Err(refused(denied)),
            // The seeker counts it.
            Ok(_) => {}
        }
    }
    hand.close(&lease.held.inbox);
    Ok(count)
}

/// Those that wait and are not claimed, oldest first.
async fn waiting(race: &Race, hand: &mut Hand) -> Result<Vec<u64>, Failure> {
    let (mut seqs, mut after) = (Vec::new(), 0);
    loop {
        let read = Ask::Read(Read {
            log: race.queue,
            lane: Lane::All,
            after,
            entries_max: 1_024,
        });
        let Answer::Page(page) = hand.call(read).await.map_err(refused)? else {
            return Err(Failure::could_not_run("the queue could not be read"));
        };
        let free = page.entries.iter().filter(|entry| !entry.claimed);
        seqs.extend(free.map(|entry| entry.seq));
        after = page.entries.last().map_or(after, |entry| entry.seq);
        if !page.more {
            return Ok(seqs);
        }
    }
}

/// Claims all of these at once, and says which were granted.
async fn claim(race: &Race, hand: &mut Hand, seqs: &[u64], ms: u32) -> Result<Vec<Lease>, Failure> {
    let mut asked: Vec<(u64, Token, Instant)> = Vec::new();
    for seq in seqs {
        let claim = Claim {
            ms,
            day: hand.today(),
            log: race.queue,
            seq: *seq,
            retry: retry()?,
        };
        asked.push((*seq, hand.ask(Ask::Claim(claim)), Instant::now()));
        race.claim_begins();
    }
    let mut leases = Vec::new();
    while !asked.is_empty() {
        hand.turn().await;
        let mut left = Vec::new();
        for (seq, token, sent) in asked {
            let Some(outcome) = hand.outcome(token) else {
                left.push((seq, token, sent));
                continue;
            };
            race.claim_ends();
            let heard = Instant::now();
            let lease = granted(race, seq, outcome, Span { sent, heard }, ms)?;
            leases.extend(lease);
        }
        asked = left;
    }
    Ok(leases)
}

fn granted(
    race: &Race,
    seq: u64,
    outcome: Outcome,
    span: Span,
    ms: u32,
) -> Result<Option<Lease>, Failure> {
    match outcome {
        Ok(Answer::Claimed(Claimed {
            held: Some(held),
            lease: number,
            ..
        })) => {
            let lasts = Duration::from_millis(ms.into());
            race.ledger().granted(seq, number, span, lasts);
            let none = || Failure::could_not_run("a ticket without an inbox");
            let held = Held::read(held.as_slice()).ok_or_else(none)?;
            Ok(Some(Lease { seq, number, held }))
        }
        Ok(_) => Err(Failure::could_not_run("a claim without its held part")),
        Err(denied) => match denied.refusal.code {
            ErrorCode::Claimed | ErrorCode::NoSuchEntry => {
                race.ledger().refused(span);
                Ok(None)
            }
            _ => Err(refused(denied)),
        },
    }
}

/// A letter and the end of the ticket, in one append.
async fn answer(race: &Race, hand: &mut Hand, lease: &Lease) -> Result<(), Failure> {
    hand.open(lease.held.inbox, &lease.held.reply);
    let letter = item(lease.held.inbox, vec![entry(HONEST)?]);
    let sent = Instant::now();
    let outcome = append(hand, vec![letter, end(race.queue, lease)]).await?;
    race.ledger().ended(lease.seq, lease.number, sent);
    hand.close(&lease.held.inbox);
    match outcome {
        // The seeker left while being answered.
        Err(denied) if denied.refusal.code == ErrorCode::LeaseLost => {
            let release = Release {
                log: race.queue,
                seq: lease.seq,
                lease: lease.number,
            };
            // It is lost already; said all the same, so that nothing hangs on a guess.
            let _ = hand.call(Ask::Release(release)).await;
            Ok(())
        }
        Err(denied) => Err(refused(denied)),
        Ok(_) => Ok(()),
    }
}

async fn append(hand: &mut Hand, items: Vec<Item<'static>>) -> Result<Outcome, Failure> {
    let append = Ask::Append {
        items,
        retry: retry()?,
        day: hand.today(),
    };
    Ok(hand.call(append).await)
}

fn end(queue: LogId, lease: &Lease) -> Item<'static> {
    Item {
        lease: Some(LeaseCondition {
            end: true,
            seq: lease.seq,
            lease: lease.number,
        }),
        ..item(queue, Vec::new())
    }
}
