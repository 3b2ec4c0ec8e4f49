//! Appends and takes of one minute by log and grant, in memory only. It must not outlive the minute.

use std::collections::HashMap;

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::Refusal;
use sotto_protocol::id::{LogId, PublicKey};

use super::append;
use super::state::Now;
use crate::limits::RATES_COUNTED_MAX;

/// Appends and takes of the present minute by log and grant.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    minute: u64,
    counts: HashMap<(LogId, PublicKey), u32>,
}

impl Rates {
    /// Counts the items of an append, or none of them; `item` of a refusal is the payer's place.
    pub(crate) fn count(
        &mut self,
        payers: &[(LogId, append::Payer)],
        limit: u32,
        now: &Now,
    ) -> Result<(), Refusal> {
        let minute = now.mono_ms / 60_000;
        if minute != self.minute || self.counts.len() >= RATES_COUNTED_MAX {
            self.minute = minute;
            self.counts.clear();
        }
        for (index, (log, payer)) in payers.iter().enumerate() {
            let key = (*log, payer.key);
            let earlier = payers
                .iter()
                .take(index)
                .filter(|(log, payer)| (*log, payer.key) == key)
                .count();
            let used = self.counts.get(&key).copied().unwrap_or(0);
            let used = used.saturating_add(u32::try_from(earlier).unwrap_or(u32::MAX));
            if used >= payer.rate.unwrap_or(limit).min(limit) {
                let left = 60_000 - now.mono_ms % 60_000;
                return Err(Refusal {
                    item: u16::try_from(index).ok(),
                    retry_after_ms: u32::try_from(left).ok(),
                    ..Refusal::of(ErrorCode::Busy)
                });
            }
        }
        for (log, payer) in payers {
            *self.counts.entry((*log, payer.key)).or_default() += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_rates_are_counted_than_their_limit() {
        let mut rates = Rates::default();
        let now = Now {
            day: 1,
            lives_from: 1,
            wall_s: 0,
            mono_ms: 0,
            start_ms: 0,
            run: 1,
            random: 0,
        };
        let payer = append::Payer {
            key: PublicKey::new([1; 32]),
            work: 0,
            rate: None,
            is_join: false,
        };
        for number in 0..=RATES_COUNTED_MAX {
            let mut log = [0; 32];
            log[..8].copy_from_slice(&number.to_be_bytes());
            let log = LogId::new(log);
            rates.count(&[(log, payer)], 1, &now).unwrap();
            assert!(rates.counts.len() <= RATES_COUNTED_MAX);
        }
    }
}
