//! The door of a conversation that asks for a yes, on its keeper's side: knocks read, kept, answered.
//! SPEC.md, "Door".
//!
//! What a knock says is believed only as far as it proves itself: the KeyPackage is signed by the leaf
//! it names, and everything else concerns the knocker alone.

use serde::{Deserialize, Serialize};
use sotto_protocol::frame::{Delete, Entry, Grants, Lane, NewGrants, Opened};
use sotto_protocol::id::{LogId, PublicKey};
use sotto_protocol::proof::public_key;
use x25519_dalek::StaticSecret;

use super::beside::{Mark, Side, letterbox, new_root, reader_grant};
use super::putting_off::Need;
use super::saved::{self, ByteString, Intent, RootKey};
use super::{Engine, Event, Knock, Text, no_randomness, retry_id};
use crate::content::name_is_fit;
use crate::desk::ShownBadge;
use crate::error::{Error, ErrorKind, Result};
use crate::link::{DoorKeys, DoorLink, InboxLink};
use crate::log::{Ask, Cursor, Keeps, NewLog};
use crate::mls::LeafId;
use crate::random;
use crate::seal::Return;
use crate::seal::letter::{KnockBody, Letters, Purpose, Read};
use crate::time::Now;

/// Knocks that wait for a yes or no: more than anybody answers in one go. What comes then stays
/// at the door, the oldest first in line.
pub(super) const KNOCKS_MAX: usize = 32;
/// Knocks a minute by all who have the link: a flood fills the door slowly enough to be seen.
pub(super) const KNOCKS_PER_MINUTE: u32 = 30;
/// Bytes of all knocks at the door that were not read yet: 256 of the usual size.
const DOOR_BYTES_MAX: u64 = 1 << 20;

pub(super) fn new_door(root: &RootKey, keeper: &[u8; 32], knock: &[u8; 32]) -> NewLog {
    letterbox(root, keeper, knock, KNOCKS_PER_MINUTE, DOOR_BYTES_MAX)
}

/// A door's secrets, and how far it was read.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Door {
    pub(super) log: LogId,
    pub(super) root: Option<RootKey>,
    /// Secret grant key that reads, trims and manages.
    #[serde(with = "serde_bytes")]
    pub(super) keeper: [u8; 32],
    /// The one that is to take its place.
    pub(super) next_keeper: Option<NextKeeper>,
    /// A keeper is gone, and the key with them.
    pub(super) must_change_keys: bool,
    /// Facilitators who were given the keys.
    pub(super) handed: Vec<LeafId>,
    /// Secret grant key that the link hands out.
    #[serde(with = "serde_bytes")]
    pub(super) knock: [u8; 32],
    /// HPKE secret key that knocks are sealed to.
    #[serde(with = "serde_bytes")]
    sealing: [u8; 32],
    mark: Mark,
    /// The first one who knocks is let in, facilitates as well, and nobody after them.
    pub(super) is_chat: bool,
    lock: Lock,
    pub(super) grants_version: u64,
}

/// A keeper's key that the relay does not know for sure yet.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct NextKeeper(#[serde(with = "serde_bytes")] pub(super) [u8; 32]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Lock {
    Open,
    /// The relay is asked to take no more knocks.
    Closing,
    Closed,
}

impl core::fmt::Debug for Door {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Door(…)")
    }
}

/// A knock that waits for a yes or no, or for the yes or no to reach the inbox.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptKnock {
    /// Its place at the door.
    seq: u64,
    pub(super) name: String,
    pub(super) manage: PublicKey,
    pub(super) package: ByteString,
    pub(super) inbox: LogId,
    #[serde(with = "serde_bytes")]
    pub(super) append: [u8; 32],
    pub(super) reply: PublicKey,
    /// The member's leaf that they prove was theirs.
    pub(super) was: Option<Return>,
    /// As they showed it at the door.
    pub(super) badge: Option<ShownBadge>,
    /// They are to be told what was said before.
    pub(super) retells: bool,
    /// Nobody knocked: we add them from their inbox.
    pub(super) is_invited: bool,
    /// When to try again to add them (steady clock), and how often their inbox was busy.
    #[serde(skip)]
    pub(super) put_off: (u64, u8),
}

impl KeptKnock {
    /// Somebody who knocked, at this place.
    pub(super) fn of(knock: &KnockBody<'_>, seq: u64) -> Self {
        Self {
            seq,
            name: knock.name.clone(),
            manage: knock.manage,
            package: ByteString(knock.package.as_slice().to_vec()),
            inbox: knock.inbox,
            append: knock.append,
            reply: knock.reply,
            was: knock.was.clone(),
            badge: knock.badge.clone(),
            retells: false,
            is_invited: false,
            put_off: (0, 0),
        }
    }

    /// Somebody who is to be added with a KeyPackage from their pool. It stands nowhere at the door.
    pub(super) fn invited(link: &InboxLink, package: Vec<u8>) -> Self {
        Self {
            seq: u64::MAX,
            name: String::new(),
            manage: PublicKey::new([0; 32]),
            package: ByteString(package),
            inbox: link.inbox,
            append: link.append,
            reply: link.sealing,
            was: None,
            badge: None,
            retells: false,
            is_invited: true,
            put_off: (0, 0),
        }
    }
}

impl core::fmt::Debug for KeptKnock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("KeptKnock(…)")
    }
}

impl Door {
    pub(super) fn new(is_chat: bool) -> Result<Self> {
        let (log, root) = new_root()?;
        Ok(Self {
            log,
            root: Some(root),
            keeper: random::array().map_err(no_randomness)?,
            next_keeper: None,
            must_change_keys: false,
            handed: Vec::new(),
            knock: random::array().map_err(no_randomness)?,
            sealing: random::array().map_err(no_randomness)?,
            mark: Mark::start(&log),
            is_chat,
            lock: Lock::Open,
            grants_version: 0,
        })
    }
}

impl Door {
    /// A door that somebody else made, or an earlier device.
    pub(super) fn of(link: &DoorLink, keys: &DoorKeys) -> Self {
        Self {
            log: link.door,
            root: None,
            keeper: keys.keeper,
            next_keeper: None,
            must_change_keys: false,
            handed: Vec::new(),
            knock: link.knock,
            sealing: keys.opening,
            mark: Mark::start(&link.door),
            is_chat: keys.chat,
            lock: Lock::Open,
            grants_version: 0,
        }
    }
}

impl Engine {
    /// Those who wait for a yes or no, oldest first.
    #[must_use]
    pub fn knocks(&self) -> Vec<Knock> {
        let mut waiting: Vec<_> = self
            .beside
            .knocks
            .iter()
            .filter(|(leaf, knock)| !knock.is_invited && !self.is_answered(leaf))
            .collect();
        waiting.sort_by_key(|(_, knock)| knock.seq);
        waiting
            .into_iter()
            .map(|(leaf, knock)| Knock {
                leaf: *leaf,
                name: knock.name.clone(),
                was: knock.was.as_ref().map(|one| one.was),
                badge: self.badging.of(leaf),
            })
            .collect()
    }

    fn is_answered(&self, leaf: &LeafId) -> bool {
        let about = |intent: &Intent| matches!(intent, Intent::Add(of) | Intent::TurnAway(of) if of == leaf);
        self.saved.intents.iter().any(about)
    }

    pub(super) fn door_link(&self) -> Option<DoorLink> {
        let door = self.beside.door.as_ref()?;
        (door.lock == Lock::Open).then(|| DoorLink {
            door: door.log,
            knock: door.knock,
            relay: self.saved.relay.clone(),
            suite: self.saved.suite,
            founder: self.root(),
            sealing: public_key(&StaticSecret::from(door.sealing)),
        })
    }

    /// What another keeper needs beside the link.
    pub(super) fn door_keys(&self) -> Option<DoorKeys> {
        let door = self.beside.door.as_ref()?;
        (door.lock == Lock::Open).then_some(DoorKeys {
            chat: door.is_chat,
            keeper: door.keeper,
            opening: door.sealing,
        })
    }

    pub(super) fn keep_door(&mut self) -> Result<()> {
        match self.beside.door.clone() {
            Some(door) => self.keep_beside(saved::DOOR, &door),
            None => Ok(()),
        }
    }

    /// Reads the door, as a member: who is only on the way back in can let in nobody.
    pub(super) fn start_door(&mut self) {
        let is_member = self.group.is_some() && !self.is_unmade();
        let Some(door) = self.beside.door.clone().filter(|_| is_member) else {
            return;
        };
        self.session
            .open(door.log, vec![StaticSecret::from(door.keeper)]);
        self.follow_door();
    }

    pub(super) fn make_door(&mut self, now: Now) -> Result<()> {
        let today = self.session.today(now);
        let is_asked = self.beside.is_asked(Side::MakeDoor) || self.is_unmade();
        let may_ask = !is_asked && self.beside.put_off.is_due(Need::Door, now);
        let Some(door) = self.beside.door.as_mut().filter(|_| may_ask) else {
            return Ok(());
        };
        let Some(root) = &mut door.root else {
            return Ok(());
        };
        root.ask_on(today);
        let new = new_door(root, &door.keeper, &door.knock);
        self.keep_door()?;
        self.create_beside(new, Side::MakeDoor);
        Ok(())
    }

    /// Founded days ago without a line.
    pub(super) fn door_too_old(&mut self, now: Now) -> Result<()> {
        if let Some(root) = self
            .beside
            .door
            .as_mut()
            .and_then(|door| door.root.as_mut())
        {
            root.renew()?;
        }
        self.make_door(now)
    }

    fn follow_door(&mut self) {
        if let Some(door) = &self.beside.door {
            self.session
                .follow(door.log, Lane::All, door.mark.cursor(), Keeps::Removable);
        }
    }

    pub(super) fn door_made(&mut self) -> Result<()> {
        let was_put_off = self.beside.put_off.done(Need::Door);
        if let Some(door) = &mut self.beside.door {
            door.root = None;
            if was_put_off {
                // Opening it was refused before.
                let keeper = StaticSecret::from(door.keeper);
                self.session.open(door.log, vec![keeper]);
            }
        }
        self.keep_door()
    }

    pub(super) fn door_opened(&mut self, log: LogId, opened: &Opened) {
        if let Some(door) = self.beside.door.as_mut().filter(|door| door.log == log) {
            door.grants_version = opened.version;
        }
    }

    /// The next entry at the door.
    pub(super) fn knock_met(&mut self, entry: &Entry<'_>, cursor: Cursor) -> Result<()> {
        let Some(door) = self.beside.door.as_mut() else {
            return Ok(());
        };
        let log = door.log;
        if self.beside.is_full || self.beside.knocks.len() >= KNOCKS_MAX {
            self.beside.is_full = true;
            self.session.unfollow(&log);
            return Ok(());
        }
        let read =
            Letters::default().read(&door.sealing, Purpose::Knock, &log, entry.sealed.as_slice());
        door.mark = cursor.into();
        self.keep_door()?;
        if let Read::Whole(knock) = read
            && let Ok(knock) = sotto_protocol::cbor::decode(&knock)
        {
            self.knocked_at(&knock, entry.seq)?;
        }
        self.session.consumed(&log, cursor.seq);
        Ok(())
    }

    /// Drops what was read at the relay, up to the oldest knock that waits for an answer: another
    /// keeper may be the one who gives it.
    pub(super) fn trim_door(&mut self, now: Now) -> Result<()> {
        let Some(door) = &self.beside.door else {
            return Ok(());
        };
        let (log, read) = (door.log, door.mark.cursor().seq);
        let waiting = self.beside.knocks.values().map(|knock| knock.seq).min();
        let to = waiting.map_or(read, |oldest| read.min(oldest.saturating_sub(1)));
        if to > self.beside.door_trimmed && self.beside.open.contains(&log) {
            self.beside.door_trimmed = to;
            self.trim_beside(log, to, now)?;
        }
        Ok(())
    }

    fn knocked_at(&mut self, knock: &KnockBody<'_>, seq: u64) -> Result<()> {
        let Some(group) = &self.group else {
            return Ok(());
        };
        let Ok(leaf) = group.leaf_of(knock.package.as_slice()) else {
            return Ok(());
        };
        let is_new = !group.leaves().contains(&leaf) && !self.beside.knocks.contains_key(&leaf);
        // Two knocks of one inbox would make one answer stand in the way of the other.
        let inbox_is_new = self
            .beside
            .knocks
            .values()
            .all(|other| other.inbox != knock.inbox)
            && knock.inbox != self.saved.log
            && self.beside.door.as_ref().map(|door| door.log) != Some(knock.inbox);
        let was_holds = |one: &Return| one.leaf == leaf && one.holds(&self.saved.log);
        let is_sound = name_is_fit(&knock.name) && knock.was.as_ref().is_none_or(was_holds);
        if !is_new || !inbox_is_new || !is_sound {
            return Ok(());
        }
        let kept = KeptKnock::of(knock, seq);
        self.keep_beside(&saved::knock_name(&leaf), &kept)?;
        self.tell(Event::Knock {
            leaf,
            name: Text(kept.name.clone()),
            was: kept.was.as_ref().map(|one| one.was),
        });
        self.beside.knocks.insert(leaf, kept);
        self.know_badges();
        self.let_host_back(leaf);
        Ok(())
    }

    /// Reads on once there is room. Never amid a row of events: some may be of the former reading.
    pub(super) fn read_door_on(&mut self) {
        let has_room = self.beside.knocks.len() < KNOCKS_MAX;
        if self.beside.is_full && has_room && self.beside.door.is_some() {
            self.beside.is_full = false;
            self.follow_door();
        }
    }

    /// Lets in who knocked; `retells` what was said before once they are in.
    pub(super) fn admit(&mut self, leaf: LeafId, retells: bool) -> Result<()> {
        self.decide(leaf)?;
        self.may_let_in(&leaf)?;
        if let Some(knock) = self.beside.knocks.get_mut(&leaf) {
            knock.retells = retells;
            let knock = knock.clone();
            self.keep_beside(&saved::knock_name(&leaf), &knock)?;
        }
        self.saved
            .intents
            .retain(|intent| *intent != Intent::TurnAway(leaf));
        self.want(Intent::Add(leaf));
        Ok(())
    }

    pub(super) fn turn_away(&mut self, leaf: LeafId) -> Result<()> {
        self.decide(leaf)?;
        if self.admission_in_flight() == Some(leaf) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "they are being let in already",
            ));
        }
        self.saved
            .intents
            .retain(|intent| *intent != Intent::Add(leaf));
        self.want(Intent::TurnAway(leaf));
        Ok(())
    }

    fn decide(&self, leaf: LeafId) -> Result<()> {
        if !self.facilitates() {
            return Err(Error::new(
                ErrorKind::NotAllowed,
                "only a facilitator can do this",
            ));
        }
        if self.beside.knocks.contains_key(&leaf) {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::Invalid,
                "nobody waits at the door under this id",
            ))
        }
    }

    pub(super) fn is_chat(&self) -> bool {
        self.beside.door.as_ref().is_some_and(|door| door.is_chat)
    }

    /// In a chat whoever was first is let in; once they are, the door closes and nobody else is.
    pub(super) fn let_in_to_chat(&mut self) -> Result<()> {
        if !self.is_chat() {
            return Ok(());
        }
        let is_taken = self
            .group
            .as_ref()
            .is_some_and(|group| group.leaves().len() > 1);
        let lock = self.beside.door.as_ref().map(|door| door.lock);
        if is_taken || lock != Some(Lock::Open) {
            let others: Vec<_> = self.beside.knocks.keys().copied().collect();
            for leaf in others {
                self.saved
                    .intents
                    .retain(|intent| *intent != Intent::Add(leaf));
                self.want(Intent::TurnAway(leaf));
            }
            return self.shut();
        }
        let first = self.beside.knocks.iter().min_by_key(|(_, knock)| knock.seq);
        let is_chosen = self
            .saved
            .intents
            .iter()
            .any(|intent| matches!(intent, Intent::Add(_)));
        if let Some((leaf, _)) = first
            && !is_chosen
        {
            let leaf = *leaf;
            self.want(Intent::Add(leaf));
        }
        Ok(())
    }

    fn shut(&mut self) -> Result<()> {
        match &mut self.beside.door {
            Some(door) if door.lock == Lock::Open => door.lock = Lock::Closing,
            _ => return Ok(()),
        }
        self.keep_door()
    }

    /// Takes the knockers' grant away; who has the link then hears what a stranger hears.
    pub(super) fn close_door_if_due(&mut self, now: Now) -> Result<()> {
        let Some(door) = &self.beside.door else {
            return Ok(());
        };
        let is_due = door.lock == Lock::Closing
            && self.beside.open.contains(&door.log)
            && !self.beside.is_asked(Side::CloseDoor);
        if !is_due {
            return Ok(());
        }
        let ask = Ask::Grants(Grants {
            day: self.session.today(now),
            log: door.log,
            new: NewGrants {
                cut: false,
                list: vec![reader_grant(&door.keeper)],
                version: door.grants_version,
            },
            retry: retry_id()?,
        });
        self.ask_beside(ask, Side::CloseDoor);
        Ok(())
    }

    pub(super) fn door_closed(&mut self) -> Result<()> {
        if let Some(door) = &mut self.beside.door {
            door.lock = Lock::Closed;
        }
        self.keep_door()
    }

    /// The door's grants were not what we thought: a new connection tells.
    pub(super) fn open_door_again(&mut self) {
        self.out.hang_up = true;
    }

    /// Before its last keeper leaves, the door goes; whether it is gone, or left to another keeper.
    pub(super) fn take_door_away(&mut self, now: Now) -> Result<bool> {
        let Some(door) = &self.beside.door else {
            return Ok(true);
        };
        let policy = self.policy.as_ref();
        let stays = |leaf| policy.is_some_and(|policy| policy.is_facilitator(leaf));
        if door.handed.iter().any(stays) {
            return Ok(true);
        }
        let ask = Ask::Delete(Delete {
            day: self.session.today(now),
            log: door.log,
            retry: retry_id()?,
        });
        self.ask_beside(ask, Side::DeleteDoor);
        Ok(false)
    }

    pub(super) fn door_deleted(&mut self) {
        if let Some(door) = self.beside.door.take() {
            self.session.close(&door.log);
            self.drop_beside(saved::DOOR);
        }
    }
}
