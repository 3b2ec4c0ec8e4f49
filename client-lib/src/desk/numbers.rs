//! What a desk tells a funder of itself: counts of whole periods in fives, and never fewer than five people.
//! SPEC.md, "Numbers".
//!
//! In fives, as whoever is told a number and has the poster can add people of their own: with an exact one, a
//! few more show how many others there are.
//!
//! There is no total anywhere: one total over cells of which one is hidden shows what is hidden. For the
//! same reason a day is in one period only, for good, and is shown once it is over.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::hours::last_of_month;
use super::rating::{Again, Helped, Rating};

/// What is less than this is not told apart, nor are two numbers between two multiples of it.
pub const SHOWN_MIN: u64 = 5;

/// So many people, to the five below, if they are five or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Count(u64);

impl Count {
    /// What may be said of a number.
    #[must_use]
    pub const fn of(people: u64) -> Self {
        if people < SHOWN_MIN {
            Self(0)
        } else {
            Self(people - people % SHOWN_MIN)
        }
    }

    /// The number, or up to four fewer than that; nothing if it is fewer than five, or none at all.
    #[must_use]
    pub const fn number(self) -> Option<u64> {
        if self.0 == 0 {
            None
        } else {
            Some(self.0 - self.0 % SHOWN_MIN)
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) => write!(f, "{number} to {}", number.saturating_add(SHOWN_MIN - 1)),
            None => f.write_str("fewer than 5"),
        }
    }
}

impl From<Count> for u64 {
    fn from(count: Count) -> Self {
        count.0
    }
}

/// A number that no count shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a count shows none of 1 to 4")]
pub struct TooFew;

impl TryFrom<u64> for Count {
    type Error = TooFew;

    /// As it is kept: 0 is fewer than five.
    fn try_from(number: u64) -> Result<Self, TooFew> {
        if (1..SHOWN_MIN).contains(&number) {
            return Err(TooFew);
        }
        // As it stands there, as a record is known by its bytes.
        Ok(Self(number))
    }
}

/// What the numbers of a desk are counted by. A day begins at midnight, UTC, a week on Monday.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Division {
    /// Each day.
    Day,
    /// Each week.
    #[default]
    Week,
    /// Each month.
    Month,
}

impl Division {
    /// The last day of the period that this day is in, in days since 1970-01-01.
    pub(crate) fn last_day(self, day: u32) -> u32 {
        match self {
            Self::Day => day,
            // The first of all days was a Thursday.
            Self::Week => day.saturating_add(6 - (day % 7 + 3) % 7),
            Self::Month => last_of_month(day),
        }
    }
}

/// The numbers of one desk in one period that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Its first day, in days since 1970-01-01, UTC.
    pub from: u32,
    /// Who went, or was sent home by the bell, before somebody answered.
    pub left: Count,
    /// Ratings by [`Rating::AGAIN`]. Shown only where no answer of either question is of fewer than five.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<AgainCounts>,
    /// How often somebody was called into a chat.
    pub calls: Count,
    /// Ratings of who left early; shown where `again` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<Count>,
    /// Its last day.
    pub until: u32,
    /// Ratings by [`Rating::HELPED`].
    pub helped: HelpedCounts,
    /// Letters that were answered.
    pub letters: Count,
    /// Who asked and was answered.
    pub answered: Count,
}

/// Answers to [`Rating::HELPED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelpedCounts {
    /// [`Helped::No`].
    pub no: Count,
    /// [`Helped::Yes`].
    pub yes: Count,
    /// [`Helped::Partly`].
    pub partly: Count,
}

/// Answers to [`Rating::AGAIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgainCounts {
    /// [`Again::No`].
    pub no: Count,
    /// [`Again::Yes`].
    pub yes: Count,
    /// [`Again::Maybe`].
    pub maybe: Count,
}

/// What is counted of one day, exactly, until its period is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    pub(crate) letters: u64,
    pub(crate) left: u64,
    pub(crate) calls: u64,
    /// Yes, partly, no.
    helped: [u64; 3],
    /// Yes, maybe, no.
    again: [u64; 3],
    early: u64,
}

impl Tally {
    pub(crate) const fn rate(&mut self, rating: Rating) {
        let ([yes, partly, no], [again, maybe, never]) = (&mut self.helped, &mut self.again);
        *match rating.helped {
            Helped::Yes => yes,
            Helped::Partly => partly,
            Helped::No => no,
        } += 1;
        *match rating.again {
            Again::Yes => again,
            Again::Maybe => maybe,
            Again::No => never,
        } += 1;
        if rating.early {
            self.early += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.letters += other.letters;
        self.left += other.left;
        self.calls += other.calls;
        self.early += other.early;
        for (sum, more) in self.helped.iter_mut().zip(other.helped) {
            *sum += more;
        }
        for (sum, more) in self.again.iter_mut().zip(other.again) {
            *sum += more;
        }
    }

    /// What may be shown of it. Both questions are answered by the same people, so that the whole of one
    /// would tell what is hidden of the other: the second one and who left early are shown only
    /// where nothing is hidden, and so nothing to be told.
    pub(crate) fn shown(&self, from: u32, until: u32) -> Period {
        let ([yes, partly, no], [again, maybe, never]) = (self.helped, self.again);
        let stayed = (yes + partly + no).saturating_sub(self.early);
        let cells = [yes, partly, no, again, maybe, never, self.early, stayed];
        let is_whole = cells.iter().all(|cell| *cell >= SHOWN_MIN);
        Period {
            from,
            left: Count::of(self.left),
            again: is_whole.then(|| AgainCounts {
                no: Count::of(never),
                yes: Count::of(again),
                maybe: Count::of(maybe),
            }),
            calls: Count::of(self.calls),
            early: is_whole.then(|| Count::of(self.early)),
            until,
            helped: HelpedCounts {
                no: Count::of(no),
                yes: Count::of(yes),
                partly: Count::of(partly),
            },
            letters: Count::of(self.letters),
            answered: Count::of(self.answered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_shows_no_number_below_five_wherever_it_comes_from() {
        for number in 0..5 {
            assert_eq!(Count::of(number).number(), None);
            assert_eq!(Count::of(number).to_string(), "fewer than 5");
            assert_eq!(Count::of(number), Count::of(0));
            assert_eq!(Count::try_from(number).is_ok(), number == 0);
        }
        assert_eq!(Count::of(5).number(), Some(5));
        assert_eq!(Count::of(12).to_string(), "10 to 14");
        assert_eq!(Count::try_from(17).unwrap().number(), Some(15));
    }

    /// Whoever is told the number and has the poster.
    #[test]
    fn people_of_ones_own_do_not_measure_what_is_hidden() {
        for hidden in 0..5 {
            assert_eq!(Count::of(hidden + 5), Count::of(5));
            // Fewer than five of them show whether there are at least so many others, and no more.
            for own in 0..5 {
                let is_shown = Count::of(hidden + own).number().is_some();
                assert_eq!(is_shown, hidden >= 5 - own);
            }
        }
    }

    #[test]
    fn every_day_is_in_one_period_and_the_periods_are_those_of_a_calendar() {
        // 2026-11-29 is a Sunday.
        let sunday = 20_786;
        assert_eq!(Division::Day.last_day(sunday), sunday);
        assert_eq!(Division::Week.last_day(sunday), sunday);
        assert_eq!(Division::Week.last_day(sunday + 1), sunday + 7);
        assert_eq!(Division::Month.last_day(sunday), sunday + 1);
        assert_eq!(Division::Month.last_day(sunday + 2), sunday + 32);
        // A leap year's February.
        assert_eq!(Division::Month.last_day(19_754), 19_782);
        assert_eq!(Division::Week.last_day(0), 3);
        for by in [Division::Day, Division::Week, Division::Month] {
            for day in 20_000..20_800 {
                let last = by.last_day(day);
                assert!(last >= day && by.last_day(last) == last);
                assert!((day..=last).all(|one| by.last_day(one) == last));
            }
        }
    }

    fn rated(yes: u64, partly: u64, no: u64, again: Again, early: u64) -> Tally {
        let mut tally = Tally::default();
        let all = [
            (Helped::Yes, yes),
            (Helped::Partly, partly),
            (Helped::No, no),
        ];
        let mut left = early;
        for (helped, count) in all {
            for _ in 0..count {
                let early = left > 0;
                left = left.saturating_sub(1);
                tally.rate(Rating {
                    again,
                    early,
                    helped,
                });
            }
        }
        tally
    }

    #[test]
    fn the_whole_of_one_question_never_tells_what_is_hidden_of_the_other() {
        // All would come again: how many answered is known, and that nobody said no or maybe.
        let one = rated(20, 7, 5, Again::Yes, 6).shown(1, 7);
        assert_eq!(one.helped.yes.number(), Some(20));
        assert_eq!((one.again, one.early), (None, None));
        let mut all = rated(20, 7, 5, Again::Yes, 6);
        all.add(&rated(5, 5, 5, Again::Maybe, 0));
        let but_one = all.shown(1, 7);
        assert_eq!(but_one.again, None);
        all.add(&rated(5, 5, 5, Again::No, 0));
        let shown = all.shown(1, 7);
        let again = shown.again.unwrap();
        assert_eq!(again.yes.number(), Some(30));
        assert_eq!(
            (again.maybe.number(), again.no.number()),
            (Some(15), Some(15))
        );
        assert_eq!(shown.early.and_then(Count::number), Some(5));
    }
}
