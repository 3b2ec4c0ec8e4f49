//! A door's keys handed from one facilitator to another, inside the conversation and for nobody
//! else in it. SPEC.md, "Keepers".
//!
//! Who came to facilitate asks with a key made for this; every keeper answers with a letter to that
//! key. When a facilitator is gone, a keeper that stays takes the keys they had out of the door's
//! grants, and those who find theirs refused ask again.

use serde::{Deserialize, Serialize};
use sotto_protocol::frame::{Grants, NewGrants};
use sotto_protocol::proof::public_key;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::beside::{Side, letterbox_grants};
use super::door::{Door, KNOCKS_PER_MINUTE, NextKeeper};
use super::saved::{DoorAsk, Stage};
use super::{Engine, internal, no_randomness, retry_id};
use crate::content::ContentBody;
use crate::error::Result;
use crate::link::{DoorKeys, DoorLink};
use crate::log::Ask;
use crate::mls::{Facts, LeafId};
use crate::policy::Policy;
use crate::random;
use crate::seal::letter::{self, Address, Letters, Purpose, Read};
use crate::time::Now;

/// What a keeper hands on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HandedDoor {
    pub(crate) door: DoorLink,
    pub(crate) keys: DoorKeys,
}

impl core::fmt::Debug for HandedDoor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HandedDoor(…)")
    }
}

impl Engine {
    /// After a Commit: whoever came to facilitate wants the door's keys, and whoever keeps it takes
    /// them from those who are gone.
    pub(super) fn keepers_changed(&mut self, facts: &Facts, before: Option<&Policy>) -> Result<()> {
        let (Some(before), Some(after)) = (before, &self.policy) else {
            return Ok(());
        };
        let me = self.key.id();
        let is_gone = |leaf: &LeafId| {
            !after.is_facilitator(leaf) || facts.left.contains(leaf) || facts.removed.contains(leaf)
        };
        let lost_one = before.facilitators.iter().any(|one| is_gone(&one.leaf));
        let facilitates = after.is_facilitator(&me);
        let came = !after.link_joins && facilitates && !before.is_facilitator(&me);
        self.saved.wants_door |= came && self.beside.door.is_none();
        if let Some(door) = self.beside.door.as_mut().filter(|door| !door.is_chat) {
            door.must_change_keys |= lost_one && facilitates;
        }
        // Whom another keeper let in waits no longer.
        for leaf in &facts.added {
            self.forget_knock(leaf);
        }
        if lost_one {
            self.keep_door()?;
        }
        Ok(())
    }

    /// A facilitator that comes back without the door's keys.
    pub(super) fn wants_door_again(&mut self) {
        let by_link = self.policy.as_ref().is_none_or(|policy| policy.link_joins);
        self.saved.wants_door |= !by_link && self.facilitates() && self.beside.door.is_none();
    }

    pub(super) fn hand_over_what_is_due(&mut self, now: Now) -> Result<()> {
        let is_member = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        if !is_member || !self.is_caught_up() {
            return Ok(());
        }
        if self.saved.wants_door {
            self.saved.wants_door = false;
            let secret: [u8; 32] = random::array().map_err(no_randomness)?;
            self.saved.door_ask = Some(DoorAsk(secret));
            let key = public_key(&StaticSecret::from(secret));
            self.queue(ContentBody::DoorAsk(key), now)?;
        }
        self.change_door_keys(now)
    }

    /// A facilitator asks for the door's keys; every keeper answers, so that none is waited for.
    pub(super) fn door_asked(
        &mut self,
        by: LeafId,
        key: sotto_protocol::id::PublicKey,
        now: Now,
    ) -> Result<()> {
        let is_facilitator = |leaf| {
            let policy = self.policy.as_ref();
            policy.is_some_and(|policy| policy.is_facilitator(leaf))
        };
        let (Some(door), Some(keys)) = (self.door_link(), self.door_keys()) else {
            return Ok(());
        };
        if by == self.key.id() || keys.chat || !is_facilitator(&by) || !self.facilitates() {
            return Ok(());
        }
        let letter = sotto_protocol::cbor::encode(&HandedDoor { door, keys })
            .map_err(|_| internal("a door's keys cannot be encoded"))?;
        let to = Address {
            purpose: Purpose::Door,
            log: &self.saved.log,
            key: &key,
        };
        // A key that no honest reader has gets nothing.
        let Ok(mut sealed) = letter::write(to, &letter, SizeClass::K1) else {
            return Ok(());
        };
        if let Some(door) = &mut self.beside.door
            && !door.handed.contains(&by)
        {
            door.handed.push(by);
        }
        self.keep_door()?;
        let sealed = sealed.pop().unwrap_or_default();
        self.queue(ContentBody::Door { to: by, sealed }, now)
            .map(drop)
    }

    /// A keeper hands a facilitator the door's keys.
    pub(super) fn door_handed(&mut self, by: LeafId, to: LeafId, sealed: &[u8]) -> Result<()> {
        let by_facilitator = self
            .policy
            .as_ref()
            .is_some_and(|policy| policy.is_facilitator(&by));
        let Some(secret) = self.saved.door_ask.as_ref().map(|ask| ask.0) else {
            return Ok(());
        };
        if to != self.key.id() || !by_facilitator || !self.facilitates() {
            return Ok(());
        }
        let read = Letters::default().read(&secret, Purpose::Door, &self.saved.log, sealed);
        let Read::Whole(letter) = read else {
            return Ok(());
        };
        let Ok(handed) = sotto_protocol::cbor::decode::<HandedDoor>(&letter) else {
            return Ok(());
        };
        let opening = public_key(&StaticSecret::from(handed.keys.opening));
        let is_sound = handed.door.sealing == opening
            && handed.door.relay == self.saved.relay
            && handed.door.door != self.saved.log;
        if !is_sound {
            return Ok(());
        }
        self.saved.door_ask = None;
        self.saved.door = Some(handed.door.clone());
        self.beside.door = Some(Door::of(&handed.door, &handed.keys));
        self.keep_door()?;
        self.start_door();
        Ok(())
    }

    /// Takes the key that one who is gone had out of the door's grants. What lies at the door stays
    /// sealed to a key they knew, so a relay that helps them can show it to them: SPEC says so.
    pub(super) fn change_door_keys(&mut self, now: Now) -> Result<()> {
        let Some(mut door) = self.beside.door.clone() else {
            return Ok(());
        };
        let is_open = self.beside.open.contains(&door.log);
        let is_due = door.must_change_keys && is_open && door.root.is_none();
        if !is_due || self.beside.is_asked(Side::ChangeDoorKeys) {
            return Ok(());
        }
        let next = match door.next_keeper {
            Some(next) => next.0,
            None => random::array().map_err(no_randomness)?,
        };
        door.next_keeper = Some(NextKeeper(next));
        let ask = Ask::Grants(Grants {
            day: now.day(),
            log: door.log,
            new: NewGrants {
                cut: false,
                list: letterbox_grants(&next, &door.knock, KNOCKS_PER_MINUTE),
                version: door.grants_version,
            },
            retry: retry_id()?,
        });
        self.beside.door = Some(door);
        self.keep_door()?;
        self.ask_beside(ask, Side::ChangeDoorKeys);
        Ok(())
    }

    pub(super) fn door_keys_changed(&mut self) -> Result<()> {
        let Some(door) = &mut self.beside.door else {
            return Ok(());
        };
        if let Some(next) = door.next_keeper.take() {
            door.keeper = next.0;
            door.handed.clear();
        }
        door.must_change_keys = false;
        self.keep_door()?;
        self.start_door();
        // On this connection the old key was proved, and all keys of an `open` must have grants.
        self.out.hang_up = true;
        Ok(())
    }

    pub(super) fn door_keys_not_changed(&mut self) -> Result<()> {
        if let Some(door) = &mut self.beside.door {
            door.next_keeper = None;
            door.must_change_keys = false;
        }
        self.out.hang_up = true;
        self.keep_door()
    }

    /// Our key no longer opens the door: our own change was answered to nobody, or another keeper
    /// was faster and must be asked.
    pub(super) fn door_refused(&mut self) -> Result<()> {
        let Some(door) = self.beside.door.as_mut().filter(|door| door.root.is_none()) else {
            return Ok(());
        };
        if door.next_keeper.is_some() {
            return self.door_keys_changed();
        }
        let leaves = self
            .group
            .as_ref()
            .map(crate::mls::Group::leaves)
            .unwrap_or_default();
        let me = self.key.id();
        let others = self.policy.as_ref().is_some_and(|policy| {
            let mut list = policy.facilitators.iter();
            list.any(|one| one.leaf != me && leaves.contains(&one.leaf))
        });
        if others && !door.is_chat && self.saved.door_ask.is_none() {
            self.door_deleted();
            self.saved.wants_door = true;
        }
        Ok(())
    }
}
