//! What the engine's own record and the mark beside it say: enough to notice that one of the two is
//! older than the other.

use crate::store::LogName;

/// What our own record says, in the same batch as everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// Batches so far.
    pub(super) commits: u64,
    /// Logs that have a head.
    pub(super) heads: u64,
    /// Sum of a mix of name and revision of every head.
    pub(super) check: u64,
}

impl Meta {
    pub(super) fn encode(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let numbers = [self.commits, self.heads, self.check];
        for (part, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            part.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes
            .chunks_exact(8)
            .filter_map(|part| Some(u64::from_be_bytes(*part.first_chunk()?)));
        Some(Self {
            commits: numbers.next()?,
            heads: numbers.next()?,
            check: numbers.next()?,
        })
    }

    pub(super) fn add(&mut self, log: LogName, revision: u64) {
        self.heads += 1;
        self.check = self.check.wrapping_add(mix(log, revision));
    }

    pub(super) fn remove(&mut self, log: LogName, revision: u64) {
        self.heads = self.heads.wrapping_sub(1);
        self.check = self.check.wrapping_sub(mix(log, revision));
    }
}

/// Spreads a name and a revision over 64 bits (FNV-1a): against accidents, not against people.
fn mix(log: LogName, revision: u64) -> u64 {
    log.0
        .iter()
        .chain(&revision.to_be_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}
