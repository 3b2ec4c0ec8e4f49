//! What was so in a queue, and whether it was what people were told. Times are of the driven clock; what
//! somebody asked for and heard of later was so at some moment in between.

use std::collections::BTreeMap;
use std::time::Duration;

use sotto_client::{Place, WaitRange};
use sotto_protocol::limits::POSITION_STEP;
use tokio::time::Instant;

/// A place that is shown was told within this time before: it is asked for every 15 to 20 seconds.
const SHOWN_FOR: Duration = Duration::from_secs(25);
/// The naive range is made of so many of the last waits.
const NAIVE_WAITS: usize = 20;
/// And where there are fewer than this of none.
const NAIVE_WAITS_MIN: usize = 12;

/// From when to when something may have happened.
#[derive(Clone, Copy)]
struct Between {
    from: Instant,
    to: Instant,
}

/// What became of one ticket.
#[derive(Default)]
struct Ticket {
    /// Its place in the queue's log, once a supporter saw it.
    seq: Option<u64>,
    asked: Option<Instant>,
    /// It lay in the queue.
    knocked: Option<Instant>,
    /// Somebody who then answered it took it.
    taken: Option<Between>,
    left: Option<Between>,
    /// The first range that was told, and when.
    range: Option<(Instant, WaitRange)>,
    is_lost: bool,
}

impl Ticket {
    /// When it was free no more; nothing as long as it is.
    fn gone(&self) -> Option<Between> {
        self.taken.or(self.left)
    }

    fn is_surely_there(&self, at: Instant) -> bool {
        let has_come = self.knocked.is_some_and(|knocked| knocked < at);
        has_come && self.gone().is_none_or(|gone| gone.from > at)
    }

    fn may_be_there(&self, at: Instant) -> bool {
        let has_come = self.asked.is_some_and(|asked| asked <= at);
        has_come && self.gone().is_none_or(|gone| gone.to >= at)
    }

    fn waited(&self) -> Option<Duration> {
        Some(self.taken?.from.saturating_duration_since(self.knocked?))
    }
}

/// A place that somebody was shown.
struct Shown {
    number: u64,
    at: Instant,
    ahead: u64,
    /// It was told at this moment, and not before.
    is_new: bool,
}

/// What all saw.
#[derive(Default)]
pub(super) struct Truth {
    tickets: BTreeMap<u64, Ticket>,
    shown: Vec<Shown>,
}

/// What came of comparing.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) answered: u64,
    pub(super) left: u64,
    pub(super) places_compared: u64,
    pub(super) place_error_max: u64,
    pub(super) place_lost: u64,
    pub(super) ranges: u64,
    pub(super) inside: f64,
    pub(super) width_s: f64,
    pub(super) naive_inside: f64,
    pub(super) naive_width_s: f64,
}

impl Truth {
    fn ticket(&mut self, number: u64) -> &mut Ticket {
        self.tickets.entry(number).or_default()
    }

    pub(super) fn asks(&mut self, number: u64) {
        self.ticket(number).asked = Some(Instant::now());
    }

    pub(super) fn knocked(&mut self, number: u64) {
        self.ticket(number).knocked = Some(Instant::now());
    }

    /// A supporter sees it in the queue.
    pub(super) fn lies_at(&mut self, number: u64, seq: u64) {
        self.ticket(number).seq = Some(seq);
    }

    /// It was answered by who took it then.
    pub(super) fn answered(&mut self, number: u64, took: Instant) {
        let to = Instant::now();
        self.ticket(number).taken = Some(Between { from: took, to });
    }

    /// Its author has left, as they wanted to since then.
    pub(super) fn left(&mut self, number: u64, wanted: Instant) {
        let to = Instant::now();
        self.ticket(number).left = Some(Between { from: wanted, to });
    }

    /// Somebody's place is gone, and nobody answered.
    pub(super) fn lost(&mut self, number: u64) {
        self.ticket(number).is_lost = true;
    }

    /// What somebody is told, or shown since they were told.
    pub(super) fn shows(&mut self, number: u64, place: Place, is_new: bool) {
        let at = Instant::now();
        if let (Some(wait), true) = (place.wait, is_new) {
            self.ticket(number).range.get_or_insert((at, wait));
        }
        if !place.is_taken {
            let ahead = place.ahead;
            self.shown.push(Shown {
                number,
                at,
                ahead,
                is_new,
            });
        }
    }

    pub(super) fn compare(&self) -> Compared {
        let all = || self.tickets.values();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let mut compared = Compared {
            answered: count(all().filter(|one| one.taken.is_some()).count()),
            left: count(
                all()
                    .filter(|one| one.taken.is_none() && one.left.is_some())
                    .count(),
            ),
            place_lost: count(all().filter(|one| one.is_lost).count()),
            ..Compared::default()
        };
        for shown in &self.shown {
            if let Some(error) = self.error(shown) {
                compared.places_compared += 1;
                compared.place_error_max = compared.place_error_max.max(error);
            }
        }
        self.compare_ranges(&mut compared);
        compared
    }

    /// By how much a place was wrong; nothing where the ticket was never seen by a supporter.
    fn error(&self, shown: &Shown) -> Option<u64> {
        let seq = self.tickets.get(&shown.number)?.seq?;
        let before = |test: &dyn Fn(&Ticket) -> bool| {
            let tickets = self.tickets.values();
            let before = tickets.filter(|one| one.seq.is_some_and(|other| other < seq));
            u64::try_from(before.filter(|one| test(one)).count()).unwrap_or(u64::MAX)
        };
        let (mut least, mut most) = (u64::MAX, 0);
        let back = if shown.is_new { 0 } else { SHOWN_FOR.as_secs() };
        for second in 0..=back {
            let Some(at) = shown.at.checked_sub(Duration::from_secs(second)) else {
                break;
            };
            least = least.min(before(&|one| one.is_surely_there(at)));
            most = most.max(before(&|one| one.may_be_there(at)));
        }
        let (least, most) = (told(least), told(most));
        Some(
            least
                .saturating_sub(shown.ahead)
                .max(shown.ahead.saturating_sub(most)),
        )
    }

    fn compare_ranges(&self, compared: &mut Compared) {
        let waits: Vec<_> = self.tickets.values().filter_map(Wait::of).collect();
        let ours = Measured::of(
            waits
                .iter()
                .map(|wait| (wait.from_s, wait.to_s, wait.waited_s)),
        );
        (compared.ranges, compared.inside) = (ours.count, ours.inside());
        compared.width_s = ours.width();
        // The naive way where it is as honest as ours: narrower than that it would only be wrong.
        let mut stretch = 1.0;
        loop {
            let naive = waits.iter().filter_map(|wait| {
                let (from_s, to_s) = self.naive(wait.at, stretch)?;
                Some((from_s, to_s, wait.waited_s))
            });
            let naive = Measured::of(naive);
            (compared.naive_inside, compared.naive_width_s) = (naive.inside(), naive.width());
            if naive.count == 0 || naive.inside() >= ours.inside() || stretch > 20.0 {
                return;
            }
            stretch *= 1.05;
        }
    }

    /// From the shortest to the longest of the last waits, stretched around its middle.
    fn naive(&self, at: Instant, stretch: f64) -> Option<(f64, f64)> {
        let answered = self.tickets.values().filter_map(|one| {
            let taken = one.taken?.from;
            (taken <= at).then_some((taken, one.waited()?.as_secs_f64()))
        });
        let mut answered: Vec<_> = answered.collect();
        answered.sort_by_key(|(taken, _)| *taken);
        let last = answered
            .iter()
            .rev()
            .take(NAIVE_WAITS)
            .map(|(_, wait)| *wait);
        let last: Vec<f64> = last.collect();
        if last.len() < NAIVE_WAITS_MIN {
            return None;
        }
        let low = last.iter().copied().fold(f64::MAX, f64::min);
        let high = last.iter().copied().fold(0.0, f64::max);
        let (middle, half) = (low.midpoint(high), (high - low) / 2.0 * stretch);
        Some(((middle - half).max(0.0), middle + half))
    }
}

/// A place as exactly as the relay tells it.
const fn told(ahead: u64) -> u64 {
    if ahead < POSITION_STEP {
        ahead
    } else {
        ahead - ahead % POSITION_STEP
    }
}

/// A wait that a range was told for, and that ended in an answer.
struct Wait {
    at: Instant,
    from_s: f64,
    to_s: f64,
    waited_s: f64,
}

impl Wait {
    fn of(ticket: &Ticket) -> Option<Self> {
        let (at, range) = ticket.range?;
        Some(Self {
            at,
            from_s: f64::from(range.from_s),
            to_s: f64::from(range.to_s),
            waited_s: ticket
                .taken?
                .from
                .saturating_duration_since(at)
                .as_secs_f64(),
        })
    }
}

#[derive(Default)]
struct Measured {
    count: u64,
    inside: u32,
    width_s: f64,
}

impl Measured {
    fn of(all: impl Iterator<Item = (f64, f64, f64)>) -> Self {
        let mut measured = Self::default();
        for (from_s, to_s, waited_s) in all {
            measured.count += 1;
            measured.width_s += to_s - from_s;
            measured.inside += u32::from((from_s..=to_s).contains(&waited_s));
        }
        measured
    }

    fn inside(&self) -> f64 {
        f64::from(self.inside) / self.all()
    }

    fn width(&self) -> f64 {
        self.width_s / self.all()
    }

    fn all(&self) -> f64 {
        f64::from(u32::try_from(self.count).unwrap_or(u32::MAX).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(ahead: u64) -> Place {
        Place {
            ahead,
            is_taken: false,
            wait: None,
        }
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    /// Three who came one after the other, the first of them taken and answered.
    async fn three() -> Truth {
        let mut truth = Truth::default();
        for number in 1..=3 {
            truth.asks(number);
            truth.knocked(number);
            truth.lies_at(number, 10 * number);
            pass(10).await;
        }
        truth.answered(1, Instant::now());
        pass(60).await;
        truth
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_right_or_wrong_by_so_many() {
        for (ahead, error) in [(1, 0), (0, 1), (2, 1), (5, 4)] {
            let mut truth = three().await;
            truth.shows(3, place(ahead), true);
            let compared = truth.compare();
            assert_eq!(
                (compared.places_compared, compared.place_error_max),
                (1, error)
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_shown_since_a_while_ago_is_judged_by_that_while() {
        let mut truth = three().await;
        truth.answered(2, Instant::now());
        pass(20).await;
        truth.shows(3, place(1), false);
        assert_eq!(truth.compare().place_error_max, 0);
        pass(10).await;
        truth.shows(3, place(1), false);
        assert_eq!(truth.compare().place_error_max, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_have_left_may_be_counted_or_not() {
        let mut truth = three().await;
        let wanted = Instant::now();
        pass(5).await;
        for ahead in [0, 1] {
            truth.shows(3, place(ahead), true);
        }
        pass(5).await;
        truth.left(2, wanted);
        assert_eq!(truth.compare().place_error_max, 0);
        assert_eq!(truth.compare().left, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_lies_inside_its_range_or_does_not() {
        for (to_s, inside) in [(89, 0.0), (90, 1.0)] {
            let mut truth = three().await;
            let wait = Some(WaitRange { from_s: 10, to_s });
            truth.shows(2, Place { wait, ..place(0) }, true);
            pass(90).await;
            truth.answered(2, Instant::now());
            let compared = truth.compare();
            assert_eq!((compared.ranges, compared.inside), (1, inside));
            assert_eq!(compared.width_s, f64::from(to_s - 10));
        }
    }
}
