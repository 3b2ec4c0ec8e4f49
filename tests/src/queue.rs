//! A queue of tickets and the inboxes of those who wait in it, as bytes on the wire: what a desk
//! needs of a relay, without a desk.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{
    Answer, Append, Claim, Claimed, Grant, Item, LeaseCondition, NewEntry, Placed, Position,
    Refusal, Release, Renew, Verb, Withdraw,
};
use sotto_protocol::id::{LogId, RetryId};
use sotto_protocol::proof::{self, Purpose};
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use tokio::io::{AsyncRead, AsyncWrite};
use x25519_dalek::StaticSecret;

use crate::peer::{Peer, TestLog, entry, retry, secret, text_of};

/// A queue, with the keys that a desk hands out.
#[derive(Clone)]
pub struct Queue {
    /// The log, and the key that may do everything.
    pub log: TestLog,
    /// Puts tickets in.
    pub asks: StaticSecret,
    /// Reads and claims.
    pub claims: StaticSecret,
    /// Claims too, with a grant of its own.
    pub claims_too: StaticSecret,
    /// Reads alone.
    pub reads: StaticSecret,
}

/// One who waits.
#[derive(Clone)]
pub struct Ticket {
    /// Where it stands in the queue.
    pub seq: u64,
    /// The key of the entry's owner.
    pub owner: StaticSecret,
    /// Where the answer is to come.
    pub inbox: TestLog,
    /// Appends to the inbox, with the end of the ticket.
    pub reply: StaticSecret,
}

/// What the held part of a ticket tells its claimer.
#[derive(Clone)]
pub struct HeldPart {
    /// The inbox.
    pub inbox: LogId,
    /// The key that appends there.
    pub reply: StaticSecret,
}

impl HeldPart {
    /// From the bytes that a claim brought.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let inbox = bytes.get(..32)?.try_into().ok()?;
        let reply: [u8; 32] = bytes.get(32..64)?.try_into().ok()?;
        Some(Self {
            inbox: LogId::new(inbox),
            reply: StaticSecret::from(reply),
        })
    }
}

/// A request to claim, so that it can be repeated.
#[must_use]
pub fn claim(day: u32, log: LogId, seq: u64, ms: u32, retry: RetryId) -> Verb<'static> {
    Verb::Claim(Claim {
        ms,
        day,
        log,
        seq,
        retry,
    })
}

/// What an answer to `claim` or `renew` says.
///
/// # Errors
/// The relay's refusal.
///
/// # Panics
/// If it is another answer.
pub fn claimed(answer: Result<Answer<'static>, Refusal>) -> Result<Claimed<'static>, Refusal> {
    match answer? {
        Answer::Claimed(claimed) => Ok(claimed),
        other => panic!("not the answer to a claim: {other:?}"),
    }
}

/// The code of a refusal; nothing for an answer.
#[must_use]
pub fn code<T>(answer: Result<T, Refusal>) -> Option<ErrorCode> {
    answer.err().map(|refusal| refusal.code)
}

impl Queue {
    /// Makes a queue and opens it with all rights.
    ///
    /// # Panics
    /// If the relay refuses.
    pub async fn create<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<S>) -> Self {
        let queue = Self {
            log: TestLog::default(),
            asks: secret(),
            claims: secret(),
            claims_too: secret(),
            reads: secret(),
        };
        let claims = Rights::READ | Rights::CLAIM;
        let grants = vec![
            TestLog::grant(&queue.log.key, Rights::ALL),
            TestLog::grant(&queue.asks, Rights::APPEND),
            TestLog::grant(&queue.claims, claims),
            TestLog::grant(&queue.claims_too, claims),
            TestLog::grant(&queue.reads, Rights::READ),
        ];
        let create = peer.create(&queue.log, grants);
        peer.call(Verb::Create(create)).await.expect("created");
        let opened = peer.open_log(&queue.id(), &queue.log.key).await;
        opened.expect("opened");
        queue
    }

    /// The log's id.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.log.id()
    }

    /// Makes an inbox that takes the answer alone, and puts a ticket for it into the queue, which
    /// the peer need not have open.
    ///
    /// # Panics
    /// If the relay refuses.
    pub async fn ask<S: AsyncRead + AsyncWrite + Unpin>(&self, peer: &mut Peer<S>) -> Ticket {
        let (inbox, owner, reply) = (TestLog::default(), secret(), secret());
        let bound = Grant {
            ends: Some(proof::public_key(&owner)),
            ..TestLog::grant(&reply, Rights::APPEND)
        };
        let grants = vec![TestLog::grant(&inbox.key, Rights::ALL), bound];
        let create = peer.create(&inbox, grants);
        peer.call(Verb::Create(create)).await.expect("an inbox");
        let opened = peer.open_log(&self.id(), &self.asks).await;
        opened.expect("opened");
        let mut held = inbox.id().as_bytes().to_vec();
        held.extend_from_slice(&reply.to_bytes());
        let ticket = NewEntry {
            held: Some(held.into()),
            owner: Some(proof::public_key(&owner)),
            ..entry("a ticket", SizeClass::K1)
        };
        let verb = peer.append(&self.id(), vec![ticket]);
        let Ok(Answer::Appended(done)) = peer.call(verb).await else {
            panic!("no ticket");
        };
        Ticket {
            seq: done[0].seq,
            owner,
            inbox,
            reply,
        }
    }

    /// Claims an entry; the peer has the queue open with a key that may.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn claim<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        peer: &mut Peer<S>,
        seq: u64,
        ms: u32,
    ) -> Result<Claimed<'static>, Refusal> {
        let verb = claim(peer.day(), self.id(), seq, ms, retry());
        claimed(peer.call(verb).await)
    }

    /// Renews a lease.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn renew<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        peer: &mut Peer<S>,
        seq: u64,
        lease: u64,
        ms: u32,
    ) -> Result<Claimed<'static>, Refusal> {
        let renew = Renew {
            ms,
            log: self.id(),
            seq,
            lease,
        };
        claimed(peer.call(Verb::Renew(renew)).await)
    }

    /// Gives a lease back.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn release<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        peer: &mut Peer<S>,
        seq: u64,
        lease: u64,
    ) -> Result<Answer<'static>, Refusal> {
        let release = Release {
            log: self.id(),
            seq,
            lease,
        };
        peer.call(Verb::Release(release)).await
    }

    /// Where a ticket stands.
    ///
    /// # Errors
    /// The relay's refusal.
    ///
    /// # Panics
    /// If it is another answer.
    pub async fn place<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        peer: &mut Peer<S>,
        ticket: &Ticket,
    ) -> Result<Placed, Refusal> {
        let position = Position {
            log: self.id(),
            seq: ticket.seq,
            proof: peer.prove(&ticket.owner, Purpose::Own, &self.id()),
        };
        match peer.call(Verb::Position(position)).await? {
            Answer::Placed(placed) => Ok(placed),
            other => panic!("not the answer to a position: {other:?}"),
        }
    }

    /// Takes a ticket back.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn withdraw<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        peer: &mut Peer<S>,
        ticket: &Ticket,
    ) -> Result<Answer<'static>, Refusal> {
        let withdraw = Withdraw {
            day: peer.day(),
            log: self.id(),
            seq: ticket.seq,
            proof: peer.prove(&ticket.owner, Purpose::Own, &self.id()),
            retry: retry(),
        };
        peer.call(Verb::Withdraw(withdraw)).await
    }

    /// An answer to a ticket: a letter into its inbox and the end of the ticket, in one append. The
    /// peer has the inbox open, see [`open_inbox`].
    #[must_use]
    pub fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        peer: &Peer<S>,
        (seq, lease): (u64, u64),
        inbox: &LogId,
        text: &str,
    ) -> Append<'static> {
        Append {
            day: peer.day(),
            work: None,
            items: vec![letter(inbox, text), leased(&self.id(), (seq, lease), true)],
            retry: retry(),
        }
    }

    /// The numbers of the tickets that are there, and whether each is claimed.
    ///
    /// # Panics
    /// If the relay refuses.
    pub async fn tickets<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        peer: &mut Peer<S>,
    ) -> Vec<(u64, bool)> {
        let Ok(Answer::Page(page)) = peer.read(&self.id(), 0).await else {
            panic!("not a page");
        };
        let entries = page.entries.iter();
        entries.map(|entry| (entry.seq, entry.claimed)).collect()
    }
}

/// An item with one small entry.
#[must_use]
pub fn letter(log: &LogId, text: &str) -> Item<'static> {
    Item {
        log: *log,
        pin: false,
        lease: None,
        admit: None,
        fence: None,
        grants: None,
        entries: vec![entry(text, SizeClass::K1)],
    }
}

/// An item that hangs on a lease and has no entries.
#[must_use]
pub fn leased(log: &LogId, (seq, lease): (u64, u64), end: bool) -> Item<'static> {
    Item {
        lease: Some(LeaseCondition { end, seq, lease }),
        entries: Vec::new(),
        ..letter(log, "")
    }
}

/// Opens the inbox that a claim told of.
///
/// # Errors
/// The relay's refusal.
pub async fn open_inbox<S: AsyncRead + AsyncWrite + Unpin>(
    peer: &mut Peer<S>,
    held: &HeldPart,
) -> Result<Answer<'static>, Refusal> {
    peer.open_log(&held.inbox, &held.reply).await
}

/// What lies in a seeker's inbox.
///
/// # Panics
/// If the relay refuses.
pub async fn letters<S: AsyncRead + AsyncWrite + Unpin>(
    peer: &mut Peer<S>,
    ticket: &Ticket,
) -> Vec<String> {
    let inbox = ticket.inbox.id();
    let opened = peer.open_log(&inbox, &ticket.inbox.key).await;
    opened.expect("her inbox");
    let Ok(Answer::Page(page)) = peer.read(&inbox, 0).await else {
        panic!("not a page");
    };
    page.entries.iter().map(text_of).collect()
}
