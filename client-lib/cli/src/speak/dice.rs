//! Choices that are the same for the same seed. Nothing secret comes from here.

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to 1, without it.
    pub(crate) fn unit(&mut self) -> f64 {
        let drawn = u32::try_from(self.next() >> 32).unwrap_or_default();
        f64::from(drawn) / (f64::from(u32::MAX) + 1.0)
    }

    /// A wait, exponential, with this mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// A length, log-normal, with this median and spread.
    pub(crate) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let normal = radius * (core::f64::consts::TAU * self.unit()).cos();
        median * (sigma * normal).exp()
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        let drawn = self.next().checked_rem(bound).unwrap_or(0);
        usize::try_from(drawn).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same() {
        let (mut one, mut two) = (Dice::new(7), Dice::new(7));
        let drawn: Vec<_> = (0..100).map(|_| one.below(6)).collect();
        assert_eq!(drawn, (0..100).map(|_| two.below(6)).collect::<Vec<_>>());
        assert!((0..6).all(|face| drawn.contains(&face)));
        assert_eq!(one.below(0), 0);
    }
}
