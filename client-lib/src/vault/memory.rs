//! A vault that keeps nothing once it is dropped: the reference that the other is compared with.

use core::fmt;
use core::ops::Bound;
use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{Batch, Key, Mark, Range, Residue, Row, Space, Vault};
use crate::error::Result;

type Rows = BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>;

/// Values in memory, wiped when dropped.
pub struct MemoryVault {
    spaces: BTreeMap<Space, Rows>,
    mark: Mark,
}

impl MemoryVault {
    /// An empty vault.
    #[must_use]
    pub fn new() -> Self {
        Self {
            spaces: BTreeMap::new(),
            mark: Mark {
                generation: 0,
                // Only tells openings apart; a system without randomness fails elsewhere.
                opening: crate::random::array().unwrap_or_default(),
            },
        }
    }

    fn delete(&mut self, key: &Key) {
        if let Some(rows) = self.spaces.get_mut(&key.space) {
            rows.remove(&key.name);
            if rows.is_empty() {
                self.spaces.remove(&key.space);
            }
        }
    }
}

impl Default for MemoryVault {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryVault({} spaces)", self.spaces.len())
    }
}

impl Vault for MemoryVault {
    fn apply(&mut self, batch: &Batch) -> Result<()> {
        batch.check()?;
        for space in &batch.erase {
            self.spaces.remove(space);
        }
        for key in &batch.deletes {
            self.delete(key);
        }
        for (key, value) in &batch.puts {
            let rows = self.spaces.entry(key.space).or_default();
            rows.insert(key.name.clone(), Zeroizing::new(value.clone()));
        }
        self.mark.generation += 1;
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        let rows = self.spaces.get(&key.space);
        let value = rows.and_then(|rows| rows.get(&key.name));
        Ok(value.map(|value| value.to_vec()))
    }

    fn range(&self, space: Space, range: Range<'_>) -> Result<Vec<Row>> {
        let Some(rows) = self.spaces.get(&space) else {
            return Ok(Vec::new());
        };
        Ok(names(rows, range)
            .into_iter()
            .map(|(name, value)| (name.clone(), value.to_vec()))
            .collect())
    }

    fn spaces(&self) -> Result<Vec<Space>> {
        Ok(self.spaces.keys().copied().collect())
    }

    fn residue(&self) -> Result<Residue> {
        let mut residue = Residue::default();
        for rows in self.spaces.values() {
            residue.spaces += 1;
            for (name, value) in rows {
                residue.rows += 1;
                residue.bytes += (name.len() + value.len()) as u64;
            }
        }
        Ok(residue)
    }

    fn mark(&self) -> Mark {
        self.mark
    }
}

/// The names of a sorted map that a range wants, in the order it wants them.
pub(super) fn names<'a, V>(
    rows: &'a BTreeMap<Vec<u8>, V>,
    range: Range<'_>,
) -> Vec<(&'a Vec<u8>, &'a V)> {
    let max = if range.max == 0 {
        usize::MAX
    } else {
        range.max
    };
    let mut low = Bound::Included(range.prefix.to_vec());
    let mut high = prefix_end(range.prefix).map_or(Bound::Unbounded, Bound::Excluded);
    if let Some(after) = range.after {
        let inside = after.starts_with(range.prefix);
        // A bound outside of the prefix leaves all of it or nothing, by the side it is on.
        match (range.backwards, inside, after < range.prefix) {
            (false, true, _) => low = Bound::Excluded(after.to_vec()),
            (true, true, _) => high = Bound::Excluded(after.to_vec()),
            (false, false, true) | (true, false, false) => {}
            (false, false, false) | (true, false, true) => return Vec::new(),
        }
    }
    let found = rows.range::<Vec<u8>, _>((low, high));
    if range.backwards {
        found.rev().take(max).collect()
    } else {
        found.take(max).collect()
    }
}

/// The first name behind all that begin with `prefix`, if there can be one.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}
