//! Who may speak: turns, and a stop that anybody can say. SPEC.md, "Floor".
//!
//! All of it is said in the log and judged by its place there, so that everybody judges alike. What
//! somebody says out of turn is shown to nobody; their own client refuses to send it, and tells them of
//! what was on its way already.

use serde::{Deserialize, Serialize};

use super::held::is_words;
use super::{Command, Engine, Event, Reply};
use crate::content::{ContentBody, FloorSaid, MessageId, ROSTER_MAX};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::{Group, LeafId};
use crate::time::Now;

/// Who may speak in a talk that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// Whose turn it is; everybody's if nobody is named. Who holds the talk may speak in any turn.
    pub turn: Option<LeafId>,
    /// Somebody stopped the talk: nobody speaks until who holds it opens it again.
    pub is_frozen: bool,
    /// Those who stopped it, and have not said that it may go on. While one of them is here it stays
    /// stopped.
    pub stopped: Vec<LeafId>,
    /// Words of others that came out of turn or while it was stopped, and were shown to nobody.
    pub unheard: u64,
}

impl Engine {
    /// Who may speak, where somebody holds the talk and has said so.
    #[must_use]
    pub const fn floor(&self) -> Option<&Floor> {
        self.saved.floor.as_ref()
    }

    pub(super) fn obey_of_floor(&mut self, command: Command, now: Now) -> Result<Reply> {
        match command {
            Command::SetFloor(turn) => self.set_floor(turn, now),
            Command::Stop | Command::GoOn if self.saved.floor.is_none() => Err(Error::new(
                ErrorKind::Invalid,
                "nobody gives turns here, so there is nothing to stop",
            )),
            Command::Stop => self.queue(ContentBody::Stop, now).map(|_| Reply::Kept),
            Command::GoOn => self.queue(ContentBody::GoOn, now).map(|_| Reply::Kept),
            command => self.obey_of_agreement(command, now),
        }
    }

    fn set_floor(&mut self, turn: Option<LeafId>, now: Now) -> Result<Reply> {
        let me = self.key.id();
        if !self.holds_talk(&me) {
            return Err(Error::new(
                ErrorKind::NotAllowed,
                "only who holds this talk says whose turn it is",
            ));
        }
        let leaves = self.leaves_now();
        if turn.is_some_and(|turn| !leaves.contains(&turn)) {
            let what = "that is not a member of this conversation";
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let still = |floor: &Floor| floor.still_stopped(&leaves).any(|leaf| *leaf != me);
        if self.saved.floor.as_ref().is_some_and(still) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "somebody here stopped the talk and has not said that it may go on; ask them where \
                 the two of you are alone",
            ));
        }
        let said = FloorSaid {
            turn,
            frozen: false,
            stopped: Vec::new(),
        };
        self.queue(ContentBody::Floor(said), now)?;
        if let Some(kept) = self.saved.agreement.as_ref().filter(|_| self.is_frozen()) {
            // Who came while it was stopped did not hear of it.
            let said_again = Box::new(kept.said_again());
            self.queue(ContentBody::Agreement(said_again), now)?;
        }
        Ok(Reply::Kept)
    }

    fn leaves_now(&self) -> Vec<LeafId> {
        self.group.as_ref().map(Group::leaves).unwrap_or_default()
    }

    /// Whether this member may speak, as far as the log was read.
    pub(super) fn may_speak(&self, leaf: &LeafId) -> bool {
        let Some(floor) = &self.saved.floor else {
            return true;
        };
        let mut leaves = self.leaves_now().into_iter();
        if !leaves.any(|one| self.holds_talk(&one)) {
            // Who gave turns is gone, and nobody could give one any more.
            return true;
        }
        let is_turn = floor.turn.is_none_or(|turn| turn == *leaf) || self.holds_talk(leaf);
        !floor.is_frozen && is_turn
    }

    /// # Errors
    /// [`ErrorKind::NotAllowed`] while it is not our turn, or the talk is stopped.
    pub(super) fn may_say(&self, command: &Command) -> Result<()> {
        if !is_words(command) || self.may_speak(&self.key.id()) {
            return Ok(());
        }
        let is_frozen = self.saved.floor.as_ref().is_some_and(|one| one.is_frozen);
        let what = if is_frozen {
            "the talk is stopped for everybody; nothing is said until it is opened again"
        } else {
            "it is somebody else's turn; what you have to say waits until it is yours"
        };
        Err(Error::new(ErrorKind::NotAllowed, what))
    }

    /// Whether something said is shown to nobody, by its place in the log. Counts it.
    pub(super) fn is_out_of_turn(
        &mut self,
        author: LeafId,
        id: MessageId,
        body: &ContentBody,
    ) -> bool {
        let is_words = match body {
            ContentBody::Text(_)
            | ContentBody::Reply { .. }
            | ContentBody::Attach(_)
            | ContentBody::Retold(_)
            | ContentBody::Call(_)
            | ContentBody::Edit { .. }
            | ContentBody::React { .. }
            | ContentBody::Draft(_)
            | ContentBody::Release(_)
            | ContentBody::SendBack(_)
            | ContentBody::Typing => true,
            // A name can say a lot, so it stays; the first one is how people know each other.
            ContentBody::Hello { name, .. } => {
                let known = self.name_of(&author);
                known.is_some_and(|known| known != *name)
            }
            _ => false,
        };
        if !is_words || self.may_speak(&author) {
            return false;
        }
        if author == self.key.id() {
            if body.is_text() {
                self.tell(Event::Delivery {
                    id,
                    state: super::Delivery::OutOfTurn,
                });
            }
        } else if let Some(floor) = &mut self.saved.floor {
            floor.unheard += 1;
        }
        true
    }

    /// Who holds the talk says whose turn it is. That opens what was stopped, if all who stopped it said
    /// that it may go on.
    pub(super) fn floor_said(&mut self, by: LeafId, said: FloorSaid) {
        if !self.holds_talk(&by) {
            return;
        }
        let leaves = self.leaves_now();
        let before = self.saved.floor.clone();
        let mut floor = before.clone().unwrap_or(Floor {
            turn: None,
            is_frozen: false,
            stopped: Vec::new(),
            unheard: 0,
        });
        floor.turn = said.turn;
        floor.stopped.retain(|leaf| leaves.contains(leaf));
        if said.frozen {
            floor.is_frozen = true;
            for leaf in said.stopped.iter().filter(|leaf| leaves.contains(leaf)) {
                floor.stop(*leaf);
            }
        } else {
            floor.stopped.retain(|leaf| *leaf != by);
            floor.is_frozen &= !floor.stopped.is_empty();
        }
        self.floor_is(floor, before.as_ref());
    }

    /// A member stops the talk, for everybody and at once.
    pub(super) fn stop_said(&mut self, by: LeafId) {
        let before = self.saved.floor.clone();
        // Where nobody gives turns, whoever is one of many would silence all.
        let Some(mut floor) = before.clone() else {
            return;
        };
        floor.is_frozen = true;
        floor.stop(by);
        self.floor_is(floor, before.as_ref());
    }

    /// One who stopped it says that it may go on.
    pub(super) fn go_on_said(&mut self, by: LeafId) {
        let before = self.saved.floor.clone();
        let Some(mut floor) = before.clone() else {
            return;
        };
        floor.stopped.retain(|leaf| *leaf != by);
        self.floor_is(floor, before.as_ref());
    }

    fn floor_is(&mut self, floor: Floor, before: Option<&Floor>) {
        if before != Some(&floor) {
            self.tell(Event::Floor(Box::new(floor.clone())));
        }
        self.saved.floor = Some(floor);
    }

    /// Says it again, for who came since.
    pub(super) fn queue_floor(&mut self, now: Now) -> Result<()> {
        let Some(floor) = self.saved.floor.clone() else {
            return Ok(());
        };
        if !self.holds_talk(&self.key.id()) {
            return Ok(());
        }
        let said = FloorSaid {
            turn: floor.turn,
            frozen: floor.is_frozen,
            stopped: floor.stopped,
        };
        self.queue(ContentBody::Floor(said), now).map(drop)
    }
}

impl Floor {
    fn stop(&mut self, leaf: LeafId) {
        if !self.stopped.contains(&leaf) && self.stopped.len() < ROSTER_MAX {
            self.stopped.push(leaf);
        }
    }

    fn still_stopped<'a>(&'a self, leaves: &'a [LeafId]) -> impl Iterator<Item = &'a LeafId> {
        self.stopped.iter().filter(|leaf| leaves.contains(leaf))
    }
}
