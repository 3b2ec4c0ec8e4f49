//! What one connection has proved: the logs it opened and with which keys.
//!
//! It holds keys as they were proved; what they may do is asked of the log each time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sotto_protocol::frame::Proof;
use sotto_protocol::id::{LogId, Mac, PublicKey, RetryId};
use sotto_protocol::limits::OPEN_LOGS_MAX;
use sotto_protocol::proof::{self, Purpose};
use tokio::sync::Semaphore;

use super::follow::Follows;
use super::limits::{KEYS_PER_LOG_MAX, PAGES_MAX};
use crate::identity::DayKey;
use crate::server::Relay;

/// Keys that were proved for one log.
pub(crate) type Keys = Arc<[PublicKey]>;

/// One connection after its handshake.
pub(crate) struct Session {
    relay: Arc<Relay>,
    day: Arc<DayKey>,
    hash: [u8; 32],
    opened: Mutex<HashMap<LogId, Keys>>,
    follows: Follows,
    pages: Arc<Semaphore>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// A log could not be added to those that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// Too many logs.
    #[error("the connection has too many logs open")]
    TooManyLogs,
}

impl Session {
    pub(super) fn new(relay: Arc<Relay>, day: Arc<DayKey>, hash: [u8; 32]) -> Self {
        Self {
            relay,
            day,
            hash,
            opened: Mutex::default(),
            follows: Follows::default(),
            pages: Arc::new(Semaphore::new(PAGES_MAX)),
        }
    }

    /// The relay.
    pub(crate) fn relay(&self) -> &Relay {
        &self.relay
    }

    /// The logs this connection follows.
    pub(crate) const fn follows(&self) -> &Follows {
        &self.follows
    }

    /// Bounds the pages of this connection that are in memory.
    pub(crate) const fn pages(&self) -> &Arc<Semaphore> {
        &self.pages
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<LogId, Keys>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys proved for a log, if it is open.
    pub(crate) fn keys(&self, log: &LogId) -> Option<Keys> {
        self.opened().get(log).map(Arc::clone)
    }

    /// The keys already proved for a log with new ones, which push out those proved longest ago: with
    /// each rotation a member proves a new one, and the old ones open nothing that it does not.
    pub(crate) fn keys_with(&self, log: &LogId, new: &[Proof]) -> Result<Keys, OpenError> {
        let opened = self.opened();
        if !opened.contains_key(log) && opened.len() >= OPEN_LOGS_MAX {
            return Err(OpenError::TooManyLogs);
        }
        let mut keys = opened
            .get(log)
            .map(|keys| keys.to_vec())
            .unwrap_or_default();
        for proof in new {
            keys.retain(|key| *key != proof.key);
            keys.push(proof.key);
        }
        keys.drain(..keys.len().saturating_sub(KEYS_PER_LOG_MAX));
        Ok(keys.into())
    }

    /// A log is open with these keys.
    pub(crate) fn set_open(&self, log: LogId, keys: Keys) {
        self.opened().insert(log, keys);
    }

    /// Whether a proof holds. The work is the same whether or not the log or key exist.
    pub(crate) fn proves(&self, purpose: Purpose, log: &LogId, key: &PublicKey, mac: &Mac) -> bool {
        let metrics = self.relay.metrics();
        metrics.proof_agreements().increment(1);
        metrics.proof_macs().increment(1);
        proof::verify(self.day.secret(), key, purpose, &self.hash, log, mac)
    }

    /// The bits of work behind a nonce; none without one.
    pub(crate) fn work(&self, log: &LogId, retry: &RetryId, nonce: Option<u64>) -> u32 {
        nonce.map_or(0, |nonce| proof::work_bits(&self.hash, log, retry, nonce))
    }
}
