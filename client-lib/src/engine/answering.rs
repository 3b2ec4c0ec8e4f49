//! An answer to who knocked while it is on its way: the inbox it goes to, and when it is given up.
//! SPEC.md, "Door".

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::Refusal;
use sotto_protocol::id::LogId;
use x25519_dalek::StaticSecret;

use super::Engine;
use super::saved::{FlightKind, Intent};
use crate::error::Result;
use crate::log::{Denied, Token};
use crate::mls::LeafId;

impl Engine {
    /// Whom the Commit on its way lets in.
    pub(super) fn admission_in_flight(&self) -> Option<LeafId> {
        let FlightKind::Commit { done, .. } = &self.flight.as_ref()?.kind else {
            return None;
        };
        done.iter().find_map(|intent| match intent {
            Intent::Add(leaf) => Some(*leaf),
            _ => None,
        })
    }

    /// The inbox of somebody who is to get an answer.
    pub(super) fn open_inbox_of(&mut self, log: &LogId) {
        let knock = self
            .beside
            .knocks
            .values()
            .find(|knock| knock.inbox == *log);
        if let Some(knock) = knock {
            let append = StaticSecret::from(knock.append);
            self.session.open(*log, vec![append]);
        }
    }

    /// An inbox that is not there (any more) gets no answer. An admission on its way may have landed
    /// before: the newcomer deletes the inbox once in, so that a repeat finds it gone.
    pub(super) fn inbox_refused(&mut self, log: &LogId) {
        let found = self
            .beside
            .knocks
            .iter()
            .find(|(_, knock)| knock.inbox == *log);
        let Some(leaf) = found.map(|(leaf, _)| *leaf) else {
            return;
        };
        if self.admission_in_flight() != Some(leaf) {
            self.give_up_knock(&leaf);
        }
    }

    /// Whether a refusal was about a log beside the conversation's, and is dealt with.
    pub(super) fn denied_beside(&mut self, denied: &Denied) -> Result<bool> {
        let refusal = &denied.refusal;
        match self.flight.as_ref().map(|flight| &flight.kind) {
            Some(FlightKind::Knock) => {
                self.take_flight();
                self.knock_refused();
            }
            Some(FlightKind::TurnAway(leaf)) => {
                let leaf = *leaf;
                self.take_flight();
                if refusal.code != ErrorCode::RetryTooOld {
                    self.give_up_knock(&leaf);
                }
            }
            _ => {
                let is_certain = !(denied.perhaps_applied || self.is_repeat);
                let of_inbox = refusal.item.is_some() && refusal.item == self.inbox_item();
                if !(is_certain && of_inbox) {
                    return Ok(false);
                }
                self.give_up_answer()?;
            }
        }
        Ok(true)
    }

    /// The inbox asks more than an answer is worth: work, or a wait without end. Whoever made it
    /// so gets none.
    pub(super) fn give_up_answer(&mut self) -> Result<()> {
        let leaf = match self.flight.as_ref().map(|flight| &flight.kind) {
            Some(FlightKind::TurnAway(leaf)) => Some(*leaf),
            _ => self.admission_in_flight(),
        };
        if let Some(leaf) = leaf {
            self.drop_flight()?;
            self.give_up_knock(&leaf);
        }
        Ok(())
    }

    /// Whether what is on its way answers a knock.
    pub(super) fn is_answering(&self) -> bool {
        self.inbox_item().is_some()
    }

    /// Whether it is the knocker's inbox that keeps an answer waiting, and not the relay.
    pub(super) fn inbox_delays(&self, token: Token, refusal: &Refusal) -> bool {
        self.token == Some(token) && refusal.item.is_some() && refusal.item == self.inbox_item()
    }

    /// Which item of the answer that is on its way is for the inbox.
    fn inbox_item(&self) -> Option<u16> {
        match self.flight.as_ref().map(|flight| &flight.kind) {
            Some(FlightKind::TurnAway(_)) => Some(0),
            _ => self.admission_in_flight().map(|_| 1),
        }
    }
}
