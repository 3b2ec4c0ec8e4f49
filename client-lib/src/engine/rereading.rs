//! The card that a ticket is sealed to, read again where some time went by before the ticket goes out: a
//! supporter may have left meanwhile, and what is sealed to an old card is theirs to read as well.
//! SPEC.md, "Asking".

use serde::{Deserialize, Serialize};
use sotto_protocol::frame::Answer;
use sotto_protocol::id::LogId;
use x25519_dalek::StaticSecret;

use super::asking::Asking;
use super::{Engine, Event};
use crate::desk::{Card, CardKeys, DeskState, Reading};
use crate::error::Result;
use crate::log::Denied;
use crate::time::Now;

/// A card that was read is believed for so long without another look.
const FRESH_MS: u64 = 60_000;

/// Where the card is, and which one we asked by.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptCard {
    keys: CardKeys,
    number: u64,
}

impl KeptCard {
    pub(super) fn new(keys: CardKeys, card: &Card) -> Self {
        let number = card.number();
        Self { keys, number }
    }

    pub(super) const fn is_by(&mut self, card: &Card) {
        self.number = card.number();
    }

    pub(super) const fn log(&self) -> LogId {
        self.keys.log
    }
}

impl Engine {
    fn waits_in_queue(&self) -> bool {
        let knocking = self.beside.knocking.as_ref();
        let asking = knocking.and_then(|one| one.asking.as_ref());
        asking.is_some_and(Asking::waits)
    }

    fn kept_card(&self) -> Option<&KeptCard> {
        let knocking = self.beside.knocking.as_ref()?;
        knocking.asking.as_ref()?.card()
    }

    pub(super) fn card_keys(&self) -> Option<&CardKeys> {
        self.kept_card().map(|card| &card.keys)
    }

    pub(super) fn is_card(&self, log: &LogId) -> bool {
        self.kept_card().is_some_and(|card| card.log() == *log)
    }

    /// Whether the ticket may go out by the card that we know; if not, the card is asked for.
    pub(super) fn has_fresh_card(&mut self, now: Now) -> bool {
        if self.kept_card().is_none() {
            return true;
        }
        let read_ms = self.beside.card_read_ms;
        if read_ms.is_some_and(|at| now.steady_ms.saturating_sub(at) < FRESH_MS) {
            return true;
        }
        self.ask_for_card();
        false
    }

    /// The desk's card as it is now. One that is not to be believed holds the ticket back.
    pub(super) fn card_read_again(
        &mut self,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        let Some(kept) = self.kept_card() else {
            return Ok(());
        };
        let newest = match result {
            Ok(Answer::Page(page)) => {
                let entries = page.entries.iter().map(|entry| entry.sealed.as_slice());
                Card::newest(&kept.keys, entries)
            }
            _ => Reading::Nothing,
        };
        let card = match newest {
            Reading::Card(card)
                if card.relay == self.saved.relay.identity
                    && card.number >= kept.number
                    && card.state(now.wall_ms) != DeskState::Stale =>
            {
                card
            }
            // Whoever waits already goes on waiting.
            _ if self.waits_in_queue() => return Ok(()),
            _ => {
                self.beside.knock_refused = true;
                self.tell(Event::Refused);
                return Ok(());
            }
        };
        self.beside.card_read_ms = Some(now.steady_ms);
        if self.waits_in_queue() {
            return self.learn_of_card(&card, now);
        }
        self.ask_by(&card, now)
    }

    /// The ticket is sealed to this card, and goes where it says.
    fn ask_by(&mut self, card: &Card, now: Now) -> Result<()> {
        let Some(knocking) = &mut self.beside.knocking else {
            return Ok(());
        };
        let Some(asking) = &mut knocking.asking else {
            return Ok(());
        };
        let queue = asking.queue_of(card);
        let before = core::mem::replace(&mut knocking.door, queue.log);
        (knocking.knock, knocking.sealing) = (queue.append, card.sealing);
        asking.goes_by(card, now);
        if before != queue.log {
            self.session.close(&before);
            self.beside.open.remove(&before);
        }
        let key = StaticSecret::from(queue.append);
        self.session.open(queue.log, vec![key]);
        self.keep_knocking()
    }
}
