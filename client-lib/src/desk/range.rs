//! How long somebody who waits will wait, as a range that is honest: from what the desk itself did
//! lately, and nothing where that says too little.
//!
//! Nothing is assumed about how long chats are or how people come. What is measured is how wrong the
//! simplest guess was: *a place takes as long as the last claims took, for each place before one*. Of
//! the last claims it is known how far their waits were from the guess that could have been made when
//! they came; the range is the narrowest that holds nearly all of these, around the guess for now
//! (conformal prediction). So a desk that is hard to foresee gets a wide range by itself.
//!
//! How far is counted in deviations that grow with the square root of the places, as a sum of chances
//! does (locally weighted: Lei et al., *Distribution-Free Predictive Inference for Regression*, 2018,
//! section 5.2). Counted in guesses, what a short queue shows made the range of a long one a quarter
//! wider.
//!
//! How many are on duty is not asked: what a claim takes says it already, and supporters who came a
//! minute ago make the guess no better than it is a few claims later (tried over changes of shifts).

use core::fmt;

use serde::{Deserialize, Serialize};

/// Claims that the guess is measured by, the newest: with more of them a change of shifts would count
/// too little.
const MEASURED_MAX: usize = 60;
/// With fewer than this their spread says too little, and nothing is said.
const MEASURED_MIN: usize = 12;
/// Claims that give the pace: with fewer their chance would make the range wide, with more it would
/// follow too slowly.
const PACE_CLAIMS: usize = 28;
/// With fewer than this since the desk opened there is no pace, and nothing is said.
const PACE_MIN: usize = 6;
/// The newest claims that are looked at: those that are measured, those that gave them their pace,
/// and those that were made while they waited.
const HISTORY_MAX: usize = 200;
/// A pause after which a desk begins anew: what a claim took before it says nothing of now.
const PAUSE_MS: u64 = 2 * 60 * 60 * 1_000;
/// Of a hundred measured claims so many lie in the range. More than the eighty that are promised, as
/// a desk does not go on as it did: it lost up to fifteen in a rush or a change of shifts.
const INSIDE_PER_CENT: usize = 96;
/// Nobody claims faster than one reads, so a smaller guess would only make figures that mean nothing.
const GUESS_MIN_MS: u64 = 10_000;
/// One, so that parts of it are whole numbers.
const ONE: u64 = 1 << 10;
/// A wait that is just as guessed, so that one below it is a number without a sign: sixty-four
/// deviations, more than any guess is long in a queue of 65,536.
const AS_GUESSED: u64 = 64 * ONE;
/// What a desk says of its pace is believed for so long, also by clocks that are off by as much.
const BELIEVED_MS: u64 = 10 * 60 * 1_000;

/// A claim of the desk's recent past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastClaim {
    /// When it was made.
    pub at_ms: u64,
    /// How long the ticket had waited.
    pub waited_ms: u64,
    /// How many were before it when it was given to the queue.
    pub ahead: u32,
}

/// From when to when the wait ends, from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitRange {
    /// In so many seconds at the earliest.
    pub from_s: u32,
    /// In so many seconds at the latest.
    pub to_s: u32,
}

/// How long somebody will wait with so many before them, by the claims that were made lately, in any
/// order; `opened_ms` is when the desk opened, if that is known. Nothing where nobody can honestly
/// say: too little is past, the desk opened just now, or has done nothing for long.
#[must_use]
pub fn wait_range(
    claims: &[PastClaim],
    ahead: u32,
    opened_ms: Option<u64>,
    now_ms: u64,
) -> Option<WaitRange> {
    DeskPace::of(claims, opened_ms, now_ms)?.range(u64::from(ahead), now_ms)
}

/// What a range is made of, as a desk's card says it: of each claim nothing is left in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeskPace {
    /// When that was so, in seconds since 1970-01-01.
    pub(crate) at: u64,
    /// How far from the simplest guess, in parts of [`ONE`] of a deviation above [`AS_GUESSED`]: at the
    /// earliest,
    pub(crate) low: u64,
    /// Milliseconds from one claim to the next.
    pub(crate) each: u64,
    /// and at the latest.
    pub(crate) high: u64,
}

impl DeskPace {
    /// As in [`wait_range`].
    pub(crate) fn of(claims: &[PastClaim], opened_ms: Option<u64>, now_ms: u64) -> Option<Self> {
        let past = Past::of(claims, now_ms);
        let each = past.pace(opened_ms.unwrap_or_default(), now_ms)?;
        let (low, high) = past.spread()?;
        Some(Self {
            at: now_ms / 1_000,
            low,
            each,
            high,
        })
    }

    /// How long one waits from now on with so many before one; nothing once it is out of
    /// date, or where it says nothing that makes sense.
    pub(crate) fn range(&self, ahead: u64, now_ms: u64) -> Option<WaitRange> {
        let age_ms = now_ms.abs_diff(self.at.saturating_mul(1_000));
        if age_ms > BELIEVED_MS || self.low > self.high {
            return None;
        }
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let (guess, deviation) = (guess(self.each, ahead), deviation(self.each, ahead));
        let seconds = |off: u64| {
            let off = i128::from(off) - i128::from(AS_GUESSED);
            let off_ms = off.saturating_mul(deviation.into()).div_euclid(ONE.into());
            let ms = off_ms.saturating_add(guess.into()).max(0);
            u32::try_from(ms / 1_000).unwrap_or(u32::MAX)
        };
        Some(WaitRange {
            from_s: seconds(self.low),
            to_s: seconds(self.high).saturating_add(1),
        })
    }
}

/// The newest claims, the oldest first.
struct Past(Vec<PastClaim>);

impl Past {
    fn of(claims: &[PastClaim], now_ms: u64) -> Self {
        let mut past: Vec<_> = claims.to_vec();
        past.retain(|claim| claim.at_ms <= now_ms);
        past.sort_by_key(|claim| claim.at_ms);
        let too_many = past.len().saturating_sub(HISTORY_MAX);
        past.drain(..too_many);
        Self(past)
    }

    /// Milliseconds from one claim to the next, as it was at that time.
    fn pace(&self, opened_ms: u64, at_ms: u64) -> Option<u64> {
        let made = self.0.partition_point(|claim| claim.at_ms <= at_ms);
        let mut since = at_ms;
        let mut count: u64 = 0;
        for claim in self.0.iter().take(made).rev().take(PACE_CLAIMS) {
            if claim.at_ms < opened_ms || since.saturating_sub(claim.at_ms) > PAUSE_MS {
                break;
            }
            since = claim.at_ms;
            count += 1;
        }
        if count < PACE_MIN as u64 {
            return None;
        }
        Some(at_ms.saturating_sub(since) / count)
    }

    /// The narrowest range that holds nearly all that were measured, as [`DeskPace`] says it.
    fn spread(&self) -> Option<(u64, u64)> {
        let off = |claim: &PastClaim| {
            let came_ms = claim.at_ms.saturating_sub(claim.waited_ms);
            let each = self.pace(0, came_ms)?;
            let guess = i128::from(guess(each, claim.ahead));
            let deviation = i128::from(deviation(each, claim.ahead));
            let off = (i128::from(claim.waited_ms) - guess) * i128::from(ONE);
            u64::try_from(off.div_euclid(deviation) + i128::from(AS_GUESSED)).ok()
        };
        let measured = self.0.iter().rev().filter_map(off);
        let mut offs: Vec<_> = measured.take(MEASURED_MAX).collect();
        if offs.len() < MEASURED_MIN {
            return None;
        }
        offs.sort_unstable();
        let inside = ((offs.len() + 1) * INSIDE_PER_CENT).div_ceil(100);
        let inside = inside.min(offs.len());
        offs.windows(inside)
            .filter_map(|window| Some((*window.first()?, *window.last()?)))
            .min_by_key(|(low, high)| high - low)
    }
}

/// The simplest guess, in milliseconds.
fn guess(pace: u64, ahead: u32) -> u64 {
    let guess = u128::from(pace) * places(ahead) / u128::from(ONE);
    u64::try_from(guess).unwrap_or(u64::MAX).max(GUESS_MIN_MS)
}

/// How far a wait is from the guess by chance, in milliseconds.
fn deviation(pace: u64, ahead: u32) -> u64 {
    let root = ((u128::from(ahead) + 1) * u128::from(ONE) * u128::from(ONE)).isqrt();
    let deviation = u128::from(pace) * root / u128::from(ONE);
    u64::try_from(deviation)
        .unwrap_or(u64::MAX)
        .max(GUESS_MIN_MS)
}

/// For how many places one waits with so many before one, in parts of [`ONE`]: the power seven
/// eighths, as the longer a queue, the more of it leave before their turn.
fn places(ahead: u32) -> u128 {
    let count = u128::from(ahead) + 1;
    // The eighth root, in parts of 256.
    let root = (count << 64).isqrt().isqrt().isqrt().max(1);
    ((count * u128::from(ONE)) << 8) / root
}

/// What is said where [`wait_range`] says nothing.
pub const NO_RANGE_TEXT: &str = "we can't say";

/// In words, rounded so that no more is promised: *about 5 to 15 minutes*.
impl fmt::Display for WaitRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = round(self.from_s / 60, false);
        let to = round(self.to_s.div_ceil(60).max(1), true);
        let of = |minutes: u32| match minutes {
            1 => "1 minute".to_owned(),
            60 => "1 hour".to_owned(),
            _ if minutes < 60 => format!("{minutes} minutes"),
            _ if minutes % 60 == 30 => format!("{}½ hours", minutes / 60),
            _ => format!("{} hours", minutes / 60),
        };
        if from == 0 {
            return write!(f, "up to {}", of(to));
        }
        if from == to {
            return write!(f, "about {}", of(to));
        }
        let same_unit = (from < 60) == (to < 60);
        match (
            same_unit,
            from.is_multiple_of(30) && !from.is_multiple_of(60),
        ) {
            (true, _) if from < 60 => write!(f, "about {from} to {}", of(to)),
            (true, true) => write!(f, "about {}½ to {}", from / 60, of(to)),
            (true, false) => write!(f, "about {} to {}", from / 60, of(to)),
            (false, _) => write!(f, "about {} to {}", of(from), of(to)),
        }
    }
}

/// Minutes as people say them, down or up.
const fn round(minutes: u32, up: bool) -> u32 {
    let step = match minutes {
        0..10 => 1,
        10..60 => 5,
        60..240 => 30,
        _ => 60,
    };
    if up {
        minutes.div_ceil(step).saturating_mul(step)
    } else {
        minutes / step * step
    }
}

#[cfg(test)]
#[path = "tests/range.rs"]
mod tests;
