//! A rating: on the way to the desk's letters, on the device of who says it, and out of them again on
//! one that is on duty. SPEC.md, "Ratings".
//!
//! It goes the way of a letter, to the last byte of what it asks of the relay, with keys that were made
//! for it alone. Once it lies there nothing of it is left here, and nobody comes back for it.

use super::asking::Asking;
use super::saved::Stage;
use super::{Effects, Engine};
use crate::content::ContentBody;
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

    /// We have claimed what lies at this place of the letters, and are about to end it: if it is a
    /// rating, the team hears of it first, so that it is not lost between the two.
    pub(super) fn say_rating(&mut self, is_letter: bool, seq: u64, now: Now) -> Result<()> {
        let Some(rating) = self.rating_at(is_letter, seq) else {
            return Ok(());
        };
        self.queue(ContentBody::Rated(Rated { seq, rating }), now)
            .map(drop)
    }
}
