//! Spreads waits, so that clients that failed together do not come back together.
//!
//! Not for secrets: a small generator that a test can seed.

/// A generator of spread waits (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    /// The same seed spreads alike.
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Seeded by the system; without its randomness by a constant, since only spreading is lost.
    pub(crate) fn random() -> Self {
        Self(getrandom::u64().unwrap_or(0x5EED))
    }

    /// The next number.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Between `ms` and one and a half times as long.
    pub(crate) const fn spread(&mut self, ms: u64) -> u64 {
        ms.saturating_add(self.next() % (ms / 2 + 1))
    }

    /// Anything from 0 to `ms`.
    #[cfg(feature = "native")]
    pub(crate) const fn up_to(&mut self, ms: u64) -> u64 {
        self.next() % ms.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_wait_is_never_shorter_and_at_most_half_longer() {
        let mut jitter = Jitter::seeded(1);
        let waits: Vec<u64> = (0..1000).map(|_| jitter.spread(1000)).collect();
        assert!(waits.iter().all(|wait| (1000..=1500).contains(wait)));
        assert!(waits.iter().min() < waits.iter().max());
        assert_eq!(jitter.spread(0), 0);
    }
}
