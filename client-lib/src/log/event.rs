//! What a session tells: answers, entries, and what a relay should not have done.

use sotto_protocol::cbor::DecodeError;
use sotto_protocol::frame::{Answer, Entry, Opened, Refusal};
use sotto_protocol::id::{ChainValue, LogId};

use super::{Token, WorkOrder};
use crate::error::{Error, ErrorKind};

/// A place in a log as one client saw it: what it stores to go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The last entry seen; 0 before the first.
    pub seq: u64,
    /// The chain value after it, if it is known.
    pub chain: Option<ChainValue>,
    /// The day of that entry, which tells whether missing ones can have expired; 0 if not known.
    pub day: u32,
}

impl Cursor {
    /// Before the first entry of a log.
    #[must_use]
    pub fn start(log: &LogId) -> Self {
        Self {
            seq: 0,
            chain: Some(sotto_protocol::chain::genesis(log)),
            day: 0,
        }
    }

    /// Behind entry `seq`, of which nothing else is known: what a newcomer has from a pin.
    #[must_use]
    pub const fn behind(seq: u64) -> Self {
        Self {
            seq,
            chain: None,
            day: 0,
        }
    }
}

/// What a log keeps, so that an honest gap is told from a lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Every entry lives so many days; nobody removes one earlier.
    Days(u16),
    /// Entries may go at any time: they are taken, claimed, trimmed or withdrawn.
    Removable,
}

/// What a session tells. Take all of them with `poll_event` after each input.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The connection stands, sealed, with the relay that was pinned.
    Ready,
    /// A log is open; again after each reconnect.
    Opened {
        /// Which log.
        log: LogId,
        /// Its state.
        opened: Opened,
    },
    /// A log could not be opened; it is tried again after a reconnect or another `open`.
    OpenRefused {
        /// Which log.
        log: LogId,
        /// Why.
        refusal: Refusal,
    },
    /// A log could not be followed; it is tried again after a reconnect or another `follow`.
    FollowRefused {
        /// Which log.
        log: LogId,
        /// Why.
        refusal: Refusal,
    },
    /// The next entry of a followed log. Say `consumed` once it is stored.
    Entry {
        /// Which log.
        log: LogId,
        /// The entry.
        entry: Entry<'static>,
        /// The place behind it.
        cursor: Cursor,
    },
    /// Entries of a followed log are no longer there, and may honestly be gone: they expired or
    /// were removed. Inclusive.
    Gone {
        /// Which log.
        log: LogId,
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// An ask was answered; nothing more comes for its token.
    Answered {
        /// Which ask.
        token: Token,
        /// The answer, or why there is none.
        result: Result<Answer<'static>, Denied>,
    },
    /// An ask waits because the relay has no time or room; it is sent again by itself.
    Delayed {
        /// Which ask.
        token: Token,
        /// Why.
        refusal: Refusal,
    },
    /// The relay asks work that is too long to do on the spot: run it elsewhere, then call
    /// `worked`.
    WorkNeeded(WorkOrder),
    /// A followed log gives no more: the grant was cut or dropped, or the log deleted.
    Ended {
        /// Which log.
        log: LogId,
    },
    /// The relay stops; come back after so long.
    Restarting {
        /// Milliseconds.
        ms: u32,
    },
    /// This connection has held as many logs as one may; hang up and connect anew to go on.
    WornOut,
    /// The relay did what an honest one does not.
    Doubt {
        /// Which log.
        log: LogId,
        /// What.
        doubt: Doubt,
    },
}

/// What an honest relay does not do. Entries keep coming after a doubt: whether to believe them is
/// not decided here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// Entries that are or were there are not given. Inclusive.
    Withheld {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// An entry came a second time; the second was dropped.
    Repeated {
        /// Which.
        seq: u64,
    },
    /// An entry that had been left out came after later ones; it was dropped.
    Swapped {
        /// Which.
        seq: u64,
    },
    /// What this entry says stood before it is not what did: it or the one before was altered.
    ChainBroken {
        /// Which.
        seq: u64,
    },
    /// The relay tells two histories that differ at or before this entry.
    Fork {
        /// Which.
        seq: u64,
    },
}

/// Why an ask has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// What the relay said, or would have said.
    pub refusal: Refusal,
    /// Whether an earlier sending, whose answer was lost, may have been carried out all the same.
    pub perhaps_applied: bool,
}

/// Why a connection must end: who answers is not the relay, or does not keep to the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The bytes are not a frame.
    #[error("the relay sent bytes that are no frame")]
    Malformed(#[source] DecodeError),
    /// A message is over its limit.
    #[error("the relay sent more than a message may hold")]
    TooLarge,
    /// The greeting names another relay than the one that is pinned.
    #[error("another relay answered than the one the link names")]
    WrongRelay,
    /// The greeting's key is not signed by the relay.
    #[error("the relay's key of the day is not signed by it")]
    BadSignature,
    /// The greeting's day is before the last one on which the relay and this device agreed.
    #[error("the relay's key is of a day that is long over")]
    WrongDay,
    /// The Noise handshake or a message of it failed.
    #[error("a sealed message of the connection could not be opened")]
    Noise,
    /// A frame that may not stand here.
    #[error("the relay sent a frame out of order")]
    OutOfOrder,
    /// An answer to nothing that was asked, or of another verb.
    #[error("the relay answered what was not asked")]
    NotAsked,
    /// A push of an unknown log, or without credit.
    #[error("the relay pushed what was not asked for")]
    NotFollowed,
    /// The relay said what nobody took in time.
    #[error("the relay said more than is kept")]
    TooMuch,
    /// The relay did not greet or answer in time.
    #[error("the relay does not answer")]
    Silent,
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        let kind = match error {
            SessionError::WrongDay => ErrorKind::Clock,
            SessionError::Silent => ErrorKind::Unreachable,
            _ => ErrorKind::NotTheRelay,
        };
        Self::new(kind, "the connection to the relay was given up").because(error)
    }
}
