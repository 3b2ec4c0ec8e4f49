//! Proof of work that a relay asks, to be done where it stops nobody.

use core::fmt;

use sotto_protocol::id::{LogId, RetryId};
use sotto_protocol::proof;

use super::Token;

/// Work to do: `2^bits` hashes or so. Bound to this connection; worthless on the next.
#[derive(Clone)]
pub struct WorkOrder {
    pub(super) token: Token,
    pub(super) handshake_hash: [u8; 32],
    pub(super) log: LogId,
    pub(super) retry: RetryId,
    pub(super) bits: u8,
    pub(super) next: u64,
}

/// Work done.
#[derive(Clone)]
pub struct WorkDone {
    pub(super) token: Token,
    pub(super) handshake_hash: [u8; 32],
    pub(super) nonce: u64,
}

impl WorkOrder {
    /// Which ask it is for.
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// How many bits are asked; each more takes twice as long.
    #[must_use]
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    /// Does all of it. Blocks: seconds for 20 bits, minutes for 28 on a phone.
    #[must_use]
    pub fn run(mut self) -> WorkDone {
        loop {
            match self.run_some(u32::MAX) {
                Ok(done) => return done,
                Err(rest) => self = rest,
            }
        }
    }

    /// Tries at most `tries` nonces, for where nothing runs beside.
    ///
    /// # Errors
    /// What is left to do.
    pub fn run_some(mut self, tries: u32) -> Result<WorkDone, Self> {
        for _ in 0..tries {
            let bits = proof::work_bits(&self.handshake_hash, &self.log, &self.retry, self.next);
            if bits >= u32::from(self.bits) {
                return Ok(WorkDone {
                    token: self.token,
                    handshake_hash: self.handshake_hash,
                    nonce: self.next,
                });
            }
            self.next = self.next.wrapping_add(1);
        }
        Err(self)
    }
}

impl fmt::Debug for WorkOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkOrder({} bits)", self.bits)
    }
}

impl fmt::Debug for WorkDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkDone")
    }
}
