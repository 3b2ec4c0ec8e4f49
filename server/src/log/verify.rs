//! Verifies a store before it is used: every entry that was acknowledged is there and opens, and
//! the chain goes through all of them. It must not mend anything.

use bytes::Bytes;
use sotto_protocol::id::ChainValue;

use super::StartError;
use super::codec;
use super::fault::Fault;
use super::shared::{LaneRange, Shared};
use super::state::{LaneUse, LogState, StoredEntry};
use crate::limits::{UPKEEP_BYTES_MAX, UPKEEP_ENTRIES_MAX};
use crate::retention::{KeysError, LogKeys, SealError};
use crate::store::{Key, StoreError};

/// What does not fit together.
#[derive(Debug, thiserror::Error)]
enum Damage {
    /// Number or sum of a lane's entries.
    #[error("entries are missing")]
    Missing,
    /// The chain between two entries, or to the head.
    #[error("the chain of a log is broken")]
    Chain,
}

impl Shared {
    /// Verifies every log.
    ///
    /// # Errors
    /// [`StartError`].
    pub(crate) async fn verify(&self) -> Result<(), StartError> {
        for id in self.keys.logs() {
            let Some(log) = self.keys.log(&id) else {
                continue;
            };
            match self.read_state(&id, &log).await.map_err(sort)? {
                // Its key was drawn, and the relay was killed before the log was acknowledged.
                None => self
                    .keys
                    .forget(&id)
                    .map_err(|error| sort(Fault::from(error)))?,
                Some(state) if state.head.deleted.is_none() => {
                    self.verify_log(&log, &state).await?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    async fn verify_log(&self, log: &LogKeys, state: &LogState) -> Result<(), StartError> {
        let mut lanes = [Lane::new(false), Lane::new(true)];
        let mut last: Option<(u64, ChainValue)> = None;
        loop {
            for lane in &mut lanes {
                lane.fill(self, log).await.map_err(sort)?;
            }
            let [ordinary, fenced] = &mut lanes;
            let next = match (ordinary.peek(), fenced.peek()) {
                (Some(one), Some(other)) if one < other => ordinary.take(),
                (Some(_), None) => ordinary.take(),
                (_, Some(_)) => fenced.take(),
                (None, None) => break,
            };
            let Some((key, value)) = next else { break };
            let entry = codec::open_entry(&self.keys, log, &key, &value).map_err(sort)?;
            let after = entry.after();
            if last.is_some_and(|(seq, chain)| seq + 1 == entry.seq && chain != entry.before) {
                return Err(damaged(Damage::Chain));
            }
            last = Some((entry.seq, after));
            let lane = if entry.is_fenced_lane() {
                fenced
            } else {
                ordinary
            };
            lane.count(&entry);
        }
        let broken =
            last.is_some_and(|(seq, chain)| seq == state.head.seq && chain != state.head.chain);
        if broken {
            return Err(damaged(Damage::Chain));
        }
        let [ordinary, fenced] = &lanes;
        if !same(&ordinary.seen, &state.head.ordinary) || !same(&fenced.seen, &state.head.fenced) {
            return Err(damaged(Damage::Missing));
        }
        Ok(())
    }
}

fn same(seen: &LaneUse, told: &LaneUse) -> bool {
    (seen.count, seen.check, seen.bytes) == (told.count, told.check, told.bytes)
}

/// One lane, read in pieces.
struct Lane {
    fenced: bool,
    cursor: u64,
    /// Newest first.
    piece: Vec<(Key, Bytes)>,
    done: bool,
    seen: LaneUse,
}

impl Lane {
    fn new(fenced: bool) -> Self {
        Self {
            fenced,
            cursor: 0,
            piece: Vec::new(),
            done: false,
            seen: LaneUse::default(),
        }
    }

    async fn fill(&mut self, shared: &Shared, log: &LogKeys) -> Result<(), Fault> {
        if !self.piece.is_empty() || self.done {
            return Ok(());
        }
        let range = LaneRange {
            fenced: self.fenced,
            after: self.cursor,
            to: u64::MAX,
            records_max: UPKEEP_ENTRIES_MAX,
            bytes_max: UPKEEP_BYTES_MAX,
            values: true,
        };
        self.piece = shared.lane(log.name, range).await?;
        self.piece.reverse();
        match self.piece.first() {
            Some((key, _)) => self.cursor = seq_of(key),
            None => self.done = true,
        }
        Ok(())
    }

    fn peek(&self) -> Option<u64> {
        self.piece.last().map(|(key, _)| seq_of(key))
    }

    fn take(&mut self) -> Option<(Key, Bytes)> {
        self.piece.pop()
    }

    fn count(&mut self, entry: &StoredEntry<'_>) {
        self.seen.add(entry.seq, super::append::stored_bytes(entry));
    }
}

/// The sequence number in an entry's key.
pub(crate) const fn seq_of(key: &Key) -> u64 {
    match key.record {
        crate::store::Record::Ordinary(seq) | crate::store::Record::Fenced(seq) => seq,
        _ => 0,
    }
}

fn damaged(damage: Damage) -> StartError {
    StartError::Damaged {
        source: Some(damage.into()),
    }
}

/// What a fault while verifying means.
fn sort(fault: Fault) -> StartError {
    let altered = matches!(
        fault,
        Fault::Shape
            | Fault::Seal(SealError::Damaged | SealError::Erased)
            | Fault::Keys(KeysError::Damaged)
            | Fault::Store(StoreError::Damaged | StoreError::Failed { .. })
    );
    if altered {
        StartError::Damaged {
            source: Some(fault.into()),
        }
    } else {
        StartError::Failed(fault.into())
    }
}
