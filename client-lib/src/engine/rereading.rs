//! The card that we ask by, read again: where some time went by before the ticket goes out, as a
//! supporter may have left meanwhile, and what is sealed to an old card is theirs to read as well; and
//! while the ticket waits, for how long it takes and whether the desk closes. SPEC.md, "Asking" and
//! "Waits".

use serde::{Deserialize, Serialize};
use sotto_protocol::frame::{self, Answer, Lane};
use sotto_protocol::id::LogId;
use sotto_protocol::limits::PAGE_ENTRIES_MAX;
use x25519_dalek::StaticSecret;

use super::asking::Asking;
use super::beside::Side;
use super::{Engine, Event};
use crate::desk::{Card, CardKeys, DeskState, Reading};
use crate::error::Result;
use crate::log::{Ask, Denied};
use crate::time::Now;

/// A card that was read is believed for so long without another look.
const FRESH_MS: u64 = 60_000;
/// How often who waits reads the card again.
const READ_EVERY_MS: u64 = 2 * 60_000;

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

    const fn log(&self) -> LogId {
        self.keys.log
    }
}

impl Engine {
    fn waits_in_queue(&self) -> bool {
        self.asking().is_some_and(Asking::waits)
    }

    fn kept_card(&self) -> Option<&KeptCard> {
        self.asking()?.card()
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

    /// The card's log is open for as long as it is read: no later connection says of which desk we are.
    pub(super) fn close_card(&mut self) {
        if let Some(log) = self.kept_card().map(KeptCard::log) {
            self.beside.open.remove(&log);
            self.session.close(&log);
        }
    }

    /// The desk's card as it is now. One that is not to be believed holds the ticket back.
    pub(super) fn card_read_again(
        &mut self,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        self.close_card();
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
        self.keep_resources(card)?;
        self.keep_knocking()
    }

    /// Reads the desk's card again from time to time while we wait: how long it takes, and whether it
    /// closes earlier.
    pub(super) fn read_card_again(&mut self, now: Now) {
        if self.card_due_ms().is_none_or(|at| at > now.steady_ms) {
            return;
        }
        self.beside.card_read_ms = Some(now.steady_ms);
        self.ask_for_card();
    }

    fn ask_for_card(&mut self) {
        let Some(KeptCard { keys, .. }) = self.kept_card() else {
            return;
        };
        let (log, read) = (keys.log, StaticSecret::from(keys.read));
        if !self.beside.is_asked(Side::ReadCard) {
            self.session.open(log, vec![read]);
            let read = frame::Read {
                log,
                lane: Lane::All,
                after: 0,
                entries_max: u32::try_from(PAGE_ENTRIES_MAX).unwrap_or(u32::MAX),
            };
            self.ask_beside(Ask::Read(read), Side::ReadCard);
        }
    }

    /// When to read the card again (steady clock), while our ticket waits.
    fn card_due_ms(&self) -> Option<u64> {
        let asking = self.asking()?;
        let waits = self.is_online && self.is_asking() && asking.waits();
        let read_ms = self.beside.card_read_ms.unwrap_or_default();
        (waits && asking.card().is_some()).then(|| read_ms.saturating_add(READ_EVERY_MS))
    }

    pub(super) fn wake_card(&self, now: Now) -> Option<u64> {
        self.card_due_ms().filter(|at| *at > now.steady_ms)
    }

    /// The card as it is while we wait. Where the ticket lies does not change.
    fn learn_of_card(&mut self, card: &Card, now: Now) -> Result<()> {
        let Some(asking) = self.asking_mut() else {
            return Ok(());
        };
        asking.pace = card.pace;
        asking.closes_ms = match card.state(now.wall_ms) {
            DeskState::Closed { .. } if asking.was_open => Some(now.wall_ms),
            _ => card.closes_ms(now.wall_ms),
        };
        asking.is_by(card);
        self.keep_resources(card)?;
        self.keep_knocking()
    }
}
