//! A rating: on the way to the desk's letters, on the device of who says it, and out of them again on
//! one that is on duty. SPEC.md, "Ratings".
//!
//! It goes the way of a letter, to the last byte of what it asks of the relay, with keys that were made
//! for it alone. Once it lies there nothing of it is left here, and nobody comes back for it.

use super::asking::Asking;
use super::duty::Junk;
use super::gone::{SAY_AFTER_MS, SAY_JITTER_MS};
use super::saved::Stage;
use super::{Effects, Engine};
use crate::content::{ContentBody, RATED_MAX};
use crate::desk::{Card, CardKeys, DeskAddress, Rated, Rating};
use crate::error::Result;
use crate::time::Now;

/// As whoever asks is called who gives no name. It goes nowhere.
const NAME: &str = "Guest";

impl Engine {
    /// Says how it was, by the desk's card as it was just read. It is over, with nothing left, once the
    /// relay has it or refuses it.
    ///
    /// # Errors
    /// [`ErrorKind::NotTheDesk`](crate::ErrorKind::NotTheDesk) for a card of another desk,
    /// [`ErrorKind::Gone`](crate::ErrorKind::Gone) for one that is out of date.
    pub fn rate(
        desk: &DeskAddress,
        card: &Card,
        rating: Rating,
        now: Now,
    ) -> Result<(Self, Effects)> {
        Self::rate_and_look(desk, (card, None), rating, now)
    }

    /// The same, with what opens the card's log, as of a letter.
    pub(crate) fn rate_and_look(
        desk: &DeskAddress,
        card: (&Card, Option<CardKeys>),
        rating: Rating,
        now: Now,
    ) -> Result<(Self, Effects)> {
        Self::begin_to_ask(desk, card, Asking::rating(rating)?, NAME, now)
    }

    /// Whether this is no conversation, but a rating on its way.
    #[must_use]
    pub fn is_rating(&self) -> bool {
        self.asking().is_some_and(Asking::is_rating)
    }

    /// It lies among the letters, or these take it not: nobody is to be asked about it again. Its inbox,
    /// which nothing comes into, goes with its time at the relay, as that of a letter does whose author
    /// never comes back.
    pub(super) fn rating_is_over(&mut self) {
        self.end(Stage::Left);
    }

    /// A look at the letters found these, perhaps: the team hears of them after a while, together and
    /// from one of those who found them, as one message for each would let a stranger fill its room.
    pub(super) fn plan_ratings(&mut self, now: Now) {
        let mut junk = self.beside.duty.view(true).junk.values();
        if junk.any(|one| matches!(one, Junk::Rating(_))) && self.beside.duty.rate_at_ms.is_none() {
            let wait = SAY_AFTER_MS + self.jitter.next() % SAY_JITTER_MS;
            self.beside.duty.rate_at_ms = Some(now.steady_ms.saturating_add(wait));
        }
    }

    /// The team heard of these: what lies there is of no use to anybody any more.
    pub(super) fn ratings_said(&mut self, all: &[Rated]) {
        let junk = &mut self.beside.duty.view(true).junk;
        for rated in all {
            let one = junk.get_mut(&rated.seq);
            if let Some(one) = one.filter(|one| matches!(one, Junk::Rating(_) | Junk::Told)) {
                *one = Junk::Rubbish;
            }
        }
    }

    /// Says what lies there once it is due, the oldest first; the rest at the next look.
    pub(super) fn say_ratings(&mut self, now: Now) -> Result<()> {
        let is_due = |at: &mut u64| *at <= now.steady_ms;
        if !self.is_online || self.beside.duty.rate_at_ms.take_if(is_due).is_none() {
            return Ok(());
        }
        let junk = self.beside.duty.view(true).junk.iter_mut();
        let ratings = junk.filter_map(|(seq, one)| match *one {
            Junk::Rating(rating) => {
                *one = Junk::Told;
                Some(Rated { seq: *seq, rating })
            }
            _ => None,
        });
        let all: Vec<_> = ratings.take(RATED_MAX).collect();
        if all.is_empty() {
            // Somebody else was first.
            return Ok(());
        }
        self.queue(ContentBody::Rated(all), now).map(drop)
    }

    pub(super) fn wake_ratings(&self, now: Now) -> Option<u64> {
        let at = self.beside.duty.rate_at_ms;
        at.filter(|at| *at > now.steady_ms)
    }
}
