//! One who waits: an inbox that takes the answer alone, a ticket, and the first letter that comes.

use std::sync::Arc;
use std::time::Duration;

use sotto_client::log::{Ask, NewLog};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Grant, Item, Lane, NewEntry, Policy, Read};
use sotto_protocol::id::{Commitment, LogId, PublicKey};
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use tokio::time::Instant;
use x25519_dalek::StaticSecret;

use super::claim_race::Race;
use super::hand::{Hand, random, retry, secret};
use crate::output::Failure;

/// Days that a log of a race keeps what lies in it.
const TTL_DAYS: u16 = 2;
/// Letters of one inbox that are looked at; there should be one at most.
const LETTERS: u32 = 16;
/// Bytes that a log of a race may hold.
const LOG_BYTES: u64 = 32 << 20;

/// What one seeker saw until the race was over.
#[derive(Default)]
pub(super) struct Saw {
    /// The relay said that the ticket is gone, at the seeker's own wish.
    pub(super) left: bool,
    /// The letters in the inbox, in the log's order; the first is the one that counts.
    pub(super) letters: Vec<String>,
}

/// What a claimer is told: where to answer, and with which key.
pub(super) struct Held {
    pub(super) inbox: LogId,
    pub(super) reply: StaticSecret,
}

impl Held {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.inbox.as_bytes().to_vec();
        bytes.extend_from_slice(&self.reply.to_bytes());
        bytes
    }

    /// From the bytes that a claim brought.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let inbox: [u8; 32] = bytes.get(..32)?.try_into().ok()?;
        let reply: [u8; 32] = bytes.get(32..)?.try_into().ok()?;
        Some(Self {
            inbox: LogId::new(inbox),
            reply: StaticSecret::from(reply),
        })
    }
}

/// A grant without further bounds.
pub(super) fn grant(key: PublicKey, rights: Rights) -> Grant {
    Grant {
        key,
        ends: None,
        rate: None,
        work: None,
        rights,
        until_seq: None,
    }
}

/// A log with these grants, and its id.
pub(super) fn new_log(hand: &Hand, grants: Vec<Grant>) -> Result<NewLog, Failure> {
    Ok(NewLog {
        root: secret()?,
        grants,
        policy: Policy {
            ttl_days: TTL_DAYS,
            bytes_max: LOG_BYTES,
            admit_rights: Rights::NONE,
            ttl_fenced_days: TTL_DAYS,
        },
        ticket: None,
        retry: retry()?,
        day: hand.today(),
    })
}

/// An entry of the smallest class that begins with these words. Who they are sealed for is no matter
/// of a race.
pub(super) fn entry(words: &str) -> Result<NewEntry<'static>, Failure> {
    let mut sealed = words.as_bytes().to_vec();
    sealed.resize(SizeClass::K1.bytes(), 0);
    Ok(NewEntry {
        held: None,
        owner: None,
        sealed: sealed.into(),
        last_resort: false,
        commitment: Commitment::new(random()?),
    })
}

/// The words that [`entry`] began with.
fn words_of(sealed: &[u8]) -> String {
    let words = sealed.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(words).into_owned()
}

/// An item of entries and nothing else.
pub(super) fn item(log: LogId, entries: Vec<NewEntry<'static>>) -> Item<'static> {
    Item {
        log,
        pin: false,
        admit: None,
        fence: None,
        lease: None,
        grants: None,
        entries,
    }
}

/// One whose ticket lies in the queue.
struct Waiting {
    hand: Hand,
    inbox: LogId,
    owner: StaticSecret,
    seq: u64,
}

/// Waits in the queue until the race is over; leaves after so long, if at all.
pub(super) async fn wait(race: Arc<Race>, leaves: Option<Duration>) -> Result<Saw, Failure> {
    let mut waiting = Waiting::ask(&race).await?;
    race.waits();
    let mut leaves = leaves.map(|after| Instant::now() + after);
    let mut saw = Saw::default();
    while !race.over.is_cancelled() {
        waiting.hand.turn().await;
        hear(&mut waiting.hand, &mut saw);
        if !saw.letters.is_empty() {
            race.ledger().answered(waiting.seq);
            leaves = None;
        }
        if leaves.is_some_and(|at| at <= Instant::now()) {
            leaves = None;
            saw.left = waiting.leave(&race).await?;
        }
    }
    saw.letters = waiting.letters().await?;
    Ok(saw)
}

impl Waiting {
    /// Makes an inbox that takes the answer alone, and leaves a ticket for it.
    async fn ask(race: &Race) -> Result<Self, Failure> {
        let mut hand = Hand::new(&race.relay);
        let (reader, reply, owner) = (secret()?, secret()?, secret()?);
        let bound = Grant {
            ends: Some(public_key(&owner)),
            ..grant(public_key(&reply), Rights::APPEND)
        };
        let reads = grant(public_key(&reader), Rights::READ | Rights::TRIM);
        let inbox = new_log(&hand, vec![reads, bound])?;
        let held = Held {
            inbox: inbox.id(),
            reply,
        };
        hand.call(Ask::Create(inbox)).await.map_err(refused)?;
        hand.open(race.queue, &race.asks);
        let ticket = NewEntry {
            held: Some(held.bytes().into()),
            owner: Some(public_key(&owner)),
            ..entry("a ticket")?
        };
        let append = Ask::Append {
            items: vec![item(race.queue, vec![ticket])],
            retry: retry()?,
            day: hand.today(),
        };
        let Answer::Appended(done) = hand.call(append).await.map_err(refused)? else {
            return Err(Failure::could_not_run("no ticket could be left"));
        };
        hand.close(&race.queue);
        hand.open(held.inbox, &reader);
        hand.follow(held.inbox);
        Ok(Self {
            hand,
            inbox: held.inbox,
            owner,
            seq: done.first().map_or(0, |done| done.seq),
        })
    }

    /// Takes the ticket back; whether it was still there.
    async fn leave(&mut self, race: &Race) -> Result<bool, Failure> {
        let withdraw = Ask::Withdraw {
            log: race.queue,
            seq: self.seq,
            owner: self.owner.clone(),
            retry: retry()?,
            day: self.hand.today(),
        };
        match self.hand.call(withdraw).await {
            Ok(_) => {
                race.ledger().left(self.seq, Instant::now());
                Ok(true)
            }
            // It was answered at this moment.
            Err(denied) if denied.refusal.code == ErrorCode::Refused => Ok(false),
            Err(denied) => Err(refused(denied)),
        }
    }

    /// What lies in the inbox now, whatever was pushed.
    async fn letters(&mut self) -> Result<Vec<String>, Failure> {
        let read = Ask::Read(Read {
            log: self.inbox,
            lane: Lane::All,
            after: 0,
            entries_max: LETTERS,
        });
        let Answer::Page(page) = self.hand.call(read).await.map_err(refused)? else {
            return Err(Failure::could_not_run("an inbox could not be read"));
        };
        let entries = page.entries.iter();
        let words = entries.map(|entry| words_of(entry.sealed.as_slice()));
        Ok(words.collect())
    }
}

fn hear(hand: &mut Hand, saw: &mut Saw) {
    while let Some((_, entry)) = hand.next_entry() {
        saw.letters.push(words_of(entry.sealed.as_slice()));
    }
}

/// What nobody expected the relay to refuse.
pub(super) fn refused(denied: sotto_client::log::Denied) -> Failure {
    let code = denied.refusal.code.name();
    Failure::could_not_run(format!("the relay refused a step of the race: {code}"))
}
