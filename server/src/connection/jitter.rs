//! Random spreads, so that many connections do not do the same thing in the same moment.
//!
//! Nothing secret comes from here: without randomness the spread is zero, and all else goes on.

use std::time::Duration;

fn fraction() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness everybody gets the same moment, which is crowded but not wrong.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}

/// Some duration from zero to `most`.
pub(super) fn below(most: Duration) -> Duration {
    most.mul_f64(fraction())
}

/// `middle`, up to `percent` more or less.
pub(super) fn around(middle: Duration, percent: u32) -> Duration {
    let spread = middle * percent / 100;
    middle - spread + below(spread * 2)
}

#[cfg(test)]
mod tests {
    use super::super::limits::PING_JITTER_PERCENT;
    use super::*;

    #[test]
    fn a_spread_stays_within_its_bounds_and_differs() {
        let middle = Duration::from_secs(40);
        let drawn: Vec<_> = (0..1_000)
            .map(|_| around(middle, PING_JITTER_PERCENT).as_secs())
            .collect();
        let (least, most) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
        // A quarter of it either way, and nearly all of that is used.
        assert!(
            (30..32).contains(least) && (48..=50).contains(most),
            "{least} to {most}"
        );
    }
}
