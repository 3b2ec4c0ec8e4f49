//! Saying how it was, from an app. SPEC.md, "Ratings".

use core::fmt;
use std::sync::PoisonError;

use super::conversation::Conversation;
use super::desk::Visit;
use super::{Client, Engine};
use crate::desk::Rating;
use crate::engine::Event;
use crate::error::Result;
use crate::vault::Space;

/// A rating on its way. Dropping it stops nothing.
#[derive(Clone)]
pub struct SentRating(Conversation);

impl fmt::Debug for SentRating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SentRating(…)")
    }
}

impl SentRating {
    /// Waits until nothing of it is on this device any more; whether the desk has it then. Give it a
    /// timeout where a person waits: without a relay it waits on.
    ///
    /// # Cancel safety
    /// Cancelled, it may be that the next call does not learn whether the desk has it.
    pub async fn gone(&self) -> bool {
        let mut is_there = false;
        while let Some(event) = self.0.next_event().await {
            is_there |= event == Event::Knocked;
        }
        is_there
    }
}

impl Client {
    /// Says how it was at a desk: after a chat, or when one left before. Nothing in it says of which
    /// chat or ticket it is, and it goes over a connection and with keys of its own; at the relay it
    /// looks like a letter. It is kept when this returns, goes out when the relay is reached, and is
    /// gone from here once it has.
    ///
    /// Who reads the desk's letters sees when it came; see SECURITY.md.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`](crate::ErrorKind::Gone) for a card that is out of date; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, it may or may not have been said.
    pub async fn rate(&self, desk: &Visit, rating: Rating) -> Result<SentRating> {
        let card = (desk.card(), Some(desk.keys.clone()));
        let now = self.0.clock.now();
        let (engine, effects) = Engine::rate_and_look(desk.address(), card, rating, now)?;
        self.begin(engine, effects).await.map(SentRating)
    }

    pub(super) fn know_rating(&self, space: Space, running: &Conversation) {
        let ratings = self.0.ratings.lock();
        let mut ratings = ratings.unwrap_or_else(PoisonError::into_inner);
        ratings.insert(space, SentRating(running.clone()));
    }

    pub(super) fn forget_ratings(&self) {
        let ratings = self.0.ratings.lock();
        ratings.unwrap_or_else(PoisonError::into_inner).clear();
    }
}
