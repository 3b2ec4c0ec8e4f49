//! Is it honest, and is it of use: simulated evenings, measured against the naive ways.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the sums of a simulation are small"
)]

use std::collections::VecDeque;

use super::*;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// SplitMix64, so that an evening is the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.next()).ln()
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.next()).ln()).sqrt();
        radius * (core::f64::consts::TAU * self.next()).cos()
    }
}

/// An evening at a desk.
struct Evening {
    hours: u64,
    /// Who comes in an hour, by the hour.
    arrivals: fn(f64) -> f64,
    /// Chats that are held at once: supporters on duty times what each takes.
    chats: fn(f64) -> usize,
    mean_minutes: f64,
}

/// Arrivals and early leavers of the reports: of those who come 0.435 leave early, if they wait for
/// long; chats are log-normal and end after an hour.
const LEAVES_EARLY: f64 = 0.435;
const PATIENCE_MINUTES: f64 = 20.0;

struct Waiting {
    came: u64,
    leaves: u64,
    ahead: u32,
}

impl Evening {
    fn come(&self, dice: &mut Dice) -> Vec<u64> {
        let mut at = 0.0;
        let mut came = Vec::new();
        loop {
            at += dice.exponential(1.0 / (self.arrivals)(at));
            if at >= self.hours as f64 {
                return came;
            }
            came.push((at * HOUR as f64) as u64);
        }
    }

    /// The claims in the order in which they were made, second by second.
    fn claims(&self, seed: u64) -> Vec<PastClaim> {
        let mut dice = Dice(seed);
        let mut coming: VecDeque<_> = self.come(&mut dice).into();
        let (mut queue, mut ends, mut claims) = (Vec::<Waiting>::new(), Vec::new(), Vec::new());
        for now in (0..self.hours * HOUR).step_by(1_000) {
            ends.retain(|end| *end > now);
            while coming.front().is_some_and(|came| *came <= now) {
                let came = coming.pop_front().unwrap();
                let is_early = dice.next() < LEAVES_EARLY;
                let stays = dice.exponential(PATIENCE_MINUTES * MINUTE as f64) as u64;
                queue.push(Waiting {
                    came,
                    leaves: if is_early { came + stays } else { u64::MAX },
                    ahead: u32::try_from(queue.len()).unwrap(),
                });
            }
            queue.retain(|one| one.leaves > now);
            while ends.len() < (self.chats)(now as f64 / HOUR as f64) && !queue.is_empty() {
                let one = queue.remove(0);
                let sigma = 0.45;
                let mean = (self.mean_minutes * MINUTE as f64).ln() - sigma * sigma / 2.0;
                let length = (mean + sigma * dice.normal())
                    .exp()
                    .min(72.0 * MINUTE as f64);
                ends.push(now + length as u64);
                // A person looks, reads and takes it.
                let at_ms = now + 3_000 + (dice.next() * 22_000.0) as u64;
                claims.push(PastClaim {
                    at_ms,
                    waited_ms: at_ms - one.came,
                    ahead: one.ahead,
                });
            }
        }
        claims.sort_by_key(|claim| claim.at_ms);
        claims
    }
}

/// What a way of saying it comes to.
#[derive(Clone, Copy, Default)]
struct Measured {
    waits: u32,
    said: u32,
    covered: u32,
    width_s: f64,
}

impl Measured {
    fn coverage(&self) -> f64 {
        f64::from(self.covered) / f64::from(self.said)
    }

    fn width_minutes(&self) -> f64 {
        self.width_s / f64::from(self.said) / 60.0
    }

    fn add(&mut self, range: Option<WaitRange>, truth: &PastClaim) {
        self.waits += 1;
        if let Some(range) = range {
            let seconds = truth.waited_ms / 1_000;
            self.said += 1;
            self.width_s += f64::from(range.to_s - range.from_s);
            let inside = u64::from(range.from_s)..=u64::from(range.to_s);
            self.covered += u32::from(inside.contains(&seconds));
        }
    }
}

/// From the shortest to the longest of the last twenty waits, stretched around its middle.
fn naive(known: &[PastClaim], stretch: f64) -> Option<WaitRange> {
    let last = &known[known.len().saturating_sub(20)..];
    if last.len() < MEASURED_MIN {
        return None;
    }
    let waits = last.iter().map(|claim| claim.waited_ms as f64 / 1_000.0);
    let (low, high) = waits.fold((f64::MAX, 0.0_f64), |(low, high), wait| {
        (low.min(wait), high.max(wait))
    });
    let (middle, half) = ((low + high) / 2.0, (high - low) / 2.0 * stretch);
    Some(WaitRange {
        from_s: (middle - half).max(0.0) as u32,
        to_s: (middle + half) as u32 + 1,
    })
}

fn measure(
    evening: &Evening,
    say: &dyn Fn(&[PastClaim], &PastClaim) -> Option<WaitRange>,
) -> Measured {
    let mut all = Measured::default();
    for seed in 1..=6 {
        let claims = evening.claims(seed);
        for truth in &claims {
            let came = truth.at_ms - truth.waited_ms;
            let known = claims.partition_point(|claim| claim.at_ms <= came);
            all.add(say(&claims[..known], truth), truth);
        }
    }
    all
}

fn ours(evening: &Evening) -> Measured {
    measure(evening, &|known, truth| {
        wait_range(known, truth.ahead, None, truth.at_ms - truth.waited_ms)
    })
}

/// The naive way where it covers as much as ours: narrower than that it would not be honest.
fn naive_that_covers(evening: &Evening, coverage: f64) -> Measured {
    let mut stretch = 1.0;
    loop {
        let measured = measure(evening, &|known, _| naive(known, stretch));
        if measured.coverage() >= coverage || stretch > 20.0 {
            return measured;
        }
        stretch *= 1.1;
    }
}

const STEADY_SMALL: Evening = Evening {
    hours: 24,
    arrivals: |_| 8.5,
    chats: |_| 6,
    mean_minutes: 45.0,
};
const STEADY: Evening = Evening {
    hours: 8,
    arrivals: |_| 46.0,
    chats: |_| 32,
    mean_minutes: 45.0,
};
const RUSH: Evening = Evening {
    arrivals: |hour| {
        if (2.0..6.0).contains(&hour) {
            69.0
        } else {
            46.0
        }
    },
    ..STEADY
};
const TOO_MANY: Evening = Evening {
    arrivals: |_| 60.0,
    ..STEADY
};
const MORE_COME_ON_DUTY: Evening = Evening {
    chats: |hour| if hour < 4.0 { 22 } else { 44 },
    ..STEADY
};
const SOME_GO_HOME: Evening = Evening {
    arrivals: |_| 40.0,
    chats: |hour| if hour < 4.0 { 32 } else { 20 },
    ..STEADY
};

#[test]
fn eight_in_ten_waits_end_inside_the_range_on_any_evening() {
    let evenings = [
        ("steady, small", STEADY_SMALL),
        ("steady", STEADY),
        ("a rush", RUSH),
        ("too many", TOO_MANY),
        ("more come on duty", MORE_COME_ON_DUTY),
        ("some go home", SOME_GO_HOME),
    ];
    let (mut width, mut naive_width) = (0.0, 0.0);
    for (name, evening) in evenings {
        let ours = ours(&evening);
        let said = f64::from(ours.said) / f64::from(ours.waits);
        assert!(ours.coverage() >= 0.82, "{name}: {}", ours.coverage());
        assert!(said >= 0.85, "{name}: {said}");
        let naive = naive_that_covers(&evening, ours.coverage());
        width += ours.width_minutes();
        naive_width += naive.width_minutes();
    }
    assert!(width <= 0.9 * naive_width, "{width} against {naive_width}");
}

/// Where the naive way is honest as it is, ours is not wider either.
#[test]
fn on_a_small_steady_desk_the_range_is_narrower_than_the_last_twenty_waits() {
    let ours = ours(&STEADY_SMALL);
    let naive = measure(&STEADY_SMALL, &|known, _| naive(known, 1.0));
    assert!(ours.coverage() > naive.coverage());
    assert!(
        ours.width_minutes() <= naive.width_minutes(),
        "{} against {}",
        ours.width_minutes(),
        naive.width_minutes()
    );
}

/// A claim every two minutes; each waited so many minutes with so many before it.
fn regular(count: u64, minutes: u64, ahead: u32) -> Vec<PastClaim> {
    (1..=count)
        .map(|number| PastClaim {
            at_ms: 10 * HOUR + number * 2 * MINUTE,
            waited_ms: minutes * MINUTE,
            ahead,
        })
        .collect()
}

fn last(claims: &[PastClaim]) -> u64 {
    claims.iter().map(|claim| claim.at_ms).max().unwrap()
}

#[test]
fn a_regular_desk_gets_a_narrow_range_for_each_place() {
    let claims = regular(80, 6, 2);
    let now = last(&claims);
    let range = |ahead| wait_range(&claims, ahead, None, now).unwrap();
    let minutes = |range: WaitRange| (range.from_s / 60, range.to_s.div_ceil(60));
    assert_eq!(minutes(range(2)), (5, 7));
    assert_eq!(minutes(range(0)), (2, 3));
    assert!(range(30).from_s > 6 * range(2).from_s);
    let mut in_disorder = claims.clone();
    in_disorder.reverse();
    assert_eq!(wait_range(&in_disorder, 2, None, now), Some(range(2)));
}

/// The pace is known from the sixth claim on, so waits of four minutes are measured from the eighth.
#[test]
fn nothing_is_said_with_one_measured_claim_too_few() {
    let first_measured = PACE_MIN + 2;
    let enough = regular((first_measured + MEASURED_MIN - 1) as u64, 4, 1);
    let now = last(&enough);
    assert!(wait_range(&enough, 1, None, now).is_some());
    assert_eq!(wait_range(&enough[1..], 1, None, now), None);
    assert_eq!(wait_range(&[], 1, None, now), None);
}

#[test]
fn nothing_is_said_by_a_desk_that_opened_just_now_or_has_done_nothing_for_long() {
    let claims = regular(40, 4, 1);
    let now = last(&claims);
    let opened = |claims_since: usize| claims[claims.len() - claims_since].at_ms;
    let said = |opened, now| wait_range(&claims, 1, opened, now).is_some();
    assert!(said(Some(opened(PACE_MIN)), now));
    assert!(!said(Some(opened(PACE_MIN - 1)), now));
    assert!(said(None, now + PAUSE_MS) && !said(None, now + PAUSE_MS + 1));
}

/// Of claims before a pause it is known how far off the guesses were, but not what a claim takes now.
#[test]
fn after_a_night_the_pace_is_that_of_the_new_day() {
    let mut claims = regular(60, 6, 2);
    let morning = last(&claims) + PAUSE_MS + 1;
    let slow = |number: u64| PastClaim {
        at_ms: morning + number * 10 * MINUTE,
        waited_ms: 0,
        ahead: 0,
    };
    claims.extend((0..PACE_MIN as u64 - 1).map(slow));
    assert_eq!(wait_range(&claims, 2, None, last(&claims)), None);
    claims.push(slow(PACE_MIN as u64 - 1));
    let range = wait_range(&claims, 2, None, last(&claims)).unwrap();
    assert!(range.to_s > 15 * 60, "{range:?}");
}

/// Of those who came before the first claim that is known, nothing is measured; they only fill.
#[test]
fn as_many_claims_as_the_limit_are_looked_at_and_not_one_more() {
    let said = |fillers: u64| {
        let measured = (PACE_MIN + 2 + MEASURED_MIN - 1) as u64;
        let mut claims = regular(measured + fillers, 4, 1);
        for claim in claims.iter_mut().skip(measured as usize) {
            claim.waited_ms = claim.at_ms;
        }
        wait_range(&claims, 1, None, last(&claims)).is_some()
    };
    let most = (HISTORY_MAX - (PACE_MIN + 2 + MEASURED_MIN - 1)) as u64;
    assert!(said(most) && !said(most + 1));
}

#[test]
fn claims_past_the_limit_and_claims_of_the_future_change_nothing() {
    let claims = regular(HISTORY_MAX as u64, 6, 2);
    let now = last(&claims);
    let odd = |at_ms| PastClaim {
        at_ms,
        waited_ms: HOUR,
        ahead: 0,
    };
    let mut more = claims.clone();
    more.extend((0..50).map(odd));
    more.extend((1..50).map(|number| odd(now + number)));
    let said = |claims: &[PastClaim]| wait_range(claims, 2, None, now);
    assert_eq!(said(&more), said(&claims));
    let mut changed = claims.clone();
    for claim in changed.iter_mut().take(HISTORY_MAX - MEASURED_MAX) {
        claim.waited_ms = HOUR;
    }
    assert_eq!(said(&changed), said(&claims));
}

#[test]
fn numbers_without_sense_give_no_panic() {
    let odd = PastClaim {
        at_ms: u64::MAX,
        waited_ms: u64::MAX,
        ahead: u32::MAX,
    };
    let zero = PastClaim {
        at_ms: 0,
        waited_ms: u64::MAX,
        ahead: u32::MAX,
    };
    for claims in [
        vec![odd; 300],
        vec![zero; 300],
        [vec![zero; 30], vec![odd; 30]].concat(),
    ] {
        for ahead in [0, u32::MAX] {
            for opened in [None, Some(u64::MAX)] {
                for now in [0, u64::MAX] {
                    let range = wait_range(&claims, ahead, opened, now);
                    assert!(range.is_none_or(|range| range.from_s <= range.to_s));
                }
            }
        }
    }
}

#[test]
fn the_words_promise_no_more_than_the_numbers() {
    let text = |from_minutes: u32, to_minutes: u32| {
        let range = WaitRange {
            from_s: from_minutes * 60 + 59,
            to_s: to_minutes * 60 - 59,
        };
        range.to_string()
    };
    for (from, to, words) in [
        (0, 1, "up to 1 minute"),
        (0, 13, "up to 15 minutes"),
        (1, 4, "about 1 to 4 minutes"),
        (6, 13, "about 6 to 15 minutes"),
        (23, 41, "about 20 to 45 minutes"),
        (25, 56, "about 25 minutes to 1 hour"),
        (40, 70, "about 40 minutes to 1½ hours"),
        (61, 118, "about 1 to 2 hours"),
        (95, 170, "about 1½ to 3 hours"),
        (130, 400, "about 2 to 7 hours"),
    ] {
        assert_eq!(text(from, to), words);
    }
}
