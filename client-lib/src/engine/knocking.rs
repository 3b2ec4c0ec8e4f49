//! On the way in by a yes: a knock at a door, an inbox of one's own, and what comes of the answer.
//! SPEC.md, "Door" and "Inbox". What is different where the door is a desk's queue is in `asking`.
//!
//! A KeyPackage is used once: the first Welcome that opens for it counts, everything else that
//! comes into the inbox is acknowledged and forgotten.

use serde::{Deserialize, Serialize};
use sotto_protocol::frame::{Delete, Entry, Lane};
use sotto_protocol::id::{LogId, PublicKey};
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::asking::Asking;
use super::begin::{JoinOptions, new_saved, new_space};
use super::beside::{Mark, Side, item_of, letterbox, new_root};
use super::putting_off::Need;
use super::saved::{self, ByteString, FlightKind, Passing, RootKey, Stage};
use super::{Effects, Engine, Event, group_id, internal, no_randomness, retry_id};
use crate::desk::HeldBadge;
use crate::error::{Error, ErrorKind, Result};
use crate::link::{DoorLink, Link, LinkBody};
use crate::log::{Ask, Cursor, Keeps, NewLog};
use crate::mls::{Group, LeafId, LeafKey, Values};
use crate::policy::{CLIENT_VERSION, Policy, UNDATED};
use crate::random;
use crate::seal::Return;
use crate::seal::letter::{self, Address, AnswerBody, KnockBody, Purpose, Read, WelcomeBody};
use crate::time::Now;

/// Answers a minute into one inbox; one is enough.
const ANSWERS_PER_MINUTE: u32 = 30;
/// Bytes of an inbox: two Welcomes of the largest room.
const INBOX_BYTES_MAX: u64 = 4 << 20;
/// With the owner of a ticket it takes nothing but the append that ends the ticket.
pub(super) fn new_inbox(
    root: &RootKey,
    own: &[u8; 32],
    append: &[u8; 32],
    owner: Option<PublicKey>,
) -> NewLog {
    let mut inbox = letterbox(root, own, append, ANSWERS_PER_MINUTE, INBOX_BYTES_MAX);
    for grant in &mut inbox.grants {
        if grant.rights == Rights::APPEND {
            grant.ends = owner;
        }
    }
    inbox
}

/// No knock is smaller, so that neither the suite nor a long name shows in its size.
pub(super) const KNOCK_FLOOR: SizeClass = SizeClass::K4;
/// How long to wait after the door took no knock.
const KNOCK_AGAIN_MS: u64 = 60_000;

/// A knock of ours, until its answer is here and the inbox gone.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Knocking {
    pub(super) door: LogId,
    /// Secret grant key of the door's link.
    #[serde(with = "serde_bytes")]
    pub(super) knock: [u8; 32],
    /// Whom knocks are sealed to.
    pub(super) sealing: PublicKey,
    pub(super) inbox: LogId,
    pub(super) root: Option<RootKey>,
    /// Secret grant key that reads, trims and manages the inbox.
    #[serde(with = "serde_bytes")]
    pub(super) own: [u8; 32],
    /// Secret grant key that the knock hands out.
    #[serde(with = "serde_bytes")]
    pub(super) append: [u8; 32],
    /// HPKE secret key that answers are sealed to.
    #[serde(with = "serde_bytes")]
    pub(super) reply: [u8; 32],
    pub(super) package: ByteString,
    /// The KeyPackage's secrets; gone once it was used.
    pub(super) values: Vec<(ByteString, ByteString)>,
    /// Which leaf was ours before.
    pub(super) was: Option<Return>,
    /// Shown at the door, and inside once we are in.
    pub(super) badge: Option<HeldBadge>,
    /// The door is a desk's queue, and the knock a ticket in it.
    pub(super) asking: Option<Asking>,
    pub(super) is_sent: bool,
    /// A ticket that one came back to: another device may have its keys as well.
    #[serde(default)]
    pub(super) is_back: bool,
    pub(super) mark: Mark,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    Open,
    No,
    Yes,
}

impl core::fmt::Debug for Knocking {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Knocking(…)")
    }
}

impl Knocking {
    /// What is kept of our KeyPackage.
    pub(super) fn package(&self) -> Values {
        let values = self.values.iter();
        values
            .map(|(key, value)| (key.0.clone(), value.0.clone()))
            .collect()
    }

    pub(super) const fn inbox(&self) -> LogId {
        self.inbox
    }

    /// A letter to whoever reads the door.
    pub(super) fn seal(&self, purpose: Purpose, letter: &[u8]) -> Result<Vec<Vec<u8>>> {
        let to = Address {
            purpose,
            log: &self.door,
            key: &self.sealing,
        };
        letter::write(to, letter, KNOCK_FLOOR).map_err(|_| internal("a knock could not be sealed"))
    }
}

impl Engine {
    /// Knocks. What is said before the answer waits.
    pub(super) fn knock(
        door: &DoorLink,
        options: &JoinOptions,
        now: Now,
    ) -> Result<(Self, Effects)> {
        Self::knock_with(door, options, (None, false), now)
    }

    fn knock_with(
        door: &DoorLink,
        options: &JoinOptions,
        (badge, is_aside): (Option<HeldBadge>, bool),
        now: Now,
    ) -> Result<(Self, Effects)> {
        // Which log it is, the Welcome tells.
        let nowhere = LogId::new([0; 32]);
        let mut saved = new_saved(door.relay.clone(), nowhere, &options.name)?;
        saved.suite = door.suite;
        saved.founder = door.founder;
        saved.stage = Stage::Joining;
        saved.is_aside = is_aside;
        let mut engine = Self::assemble(new_space()?, saved);
        engine.begin_to_knock(door, None)?;
        if let Some(knocking) = &mut engine.beside.knocking {
            knocking.badge = badge;
        }
        engine.keep_knocking()?;
        engine.begin(now)
    }

    /// Knocks with a badge, where a link leads to a door: whose conversation it is sees what an
    /// organisation says of who asks.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a link that leads to no door, a name that cannot be shown, or what is
    /// no badge.
    pub fn ask_to_enter(
        link: &Link,
        options: &JoinOptions,
        badge: Option<HeldBadge>,
        now: Now,
    ) -> Result<(Self, Effects)> {
        let LinkBody::Door(door) = &link.0 else {
            let what = "this link leads to no door; join by it";
            return Err(Error::new(ErrorKind::Invalid, what));
        };
        if badge.as_ref().is_some_and(|badge| badge.says().is_none()) {
            return Err(Error::new(ErrorKind::Invalid, "that is no badge"));
        }
        Self::knock_with(door, options, (badge, true), now)
    }

    /// Everything for a knock; with the seed of an old leaf it proves whose that was.
    pub(super) fn begin_to_knock(&mut self, door: &DoorLink, was: Option<[u8; 32]>) -> Result<()> {
        self.saved.door = Some(door.clone());
        self.saved.suite = door.suite;
        let mut knocking = self.new_knocking(door.door, door.knock, door.sealing)?;
        let me = self.key.id();
        knocking.was = was.map(|seed| Return::of(&LeafKey::from_seed(&seed), &self.saved.log, me));
        self.beside.knocking = Some(knocking);
        self.keep_knocking()
    }

    /// Fresh keys for one knock and its answer, for the suite that is saved.
    pub(super) fn new_knocking(
        &self,
        door: LogId,
        knock: [u8; 32],
        sealing: PublicKey,
    ) -> Result<Knocking> {
        let (package, values) = Group::key_package(self.saved.suite, &self.key, UNDATED)?;
        let (inbox, root) = new_root()?;
        Ok(Knocking {
            door,
            knock,
            sealing,
            inbox,
            root: Some(root),
            own: random::array().map_err(no_randomness)?,
            append: random::array().map_err(no_randomness)?,
            reply: random::array().map_err(no_randomness)?,
            package: ByteString(package),
            values: values
                .into_iter()
                .map(|(key, value)| (ByteString(key), ByteString(value)))
                .collect(),
            was: None,
            badge: None,
            asking: None,
            is_sent: false,
            is_back: false,
            mark: Mark::start(&inbox),
            outcome: Outcome::Open,
        })
    }

    pub(super) fn keep_knocking(&mut self) -> Result<()> {
        match self.beside.knocking.clone() {
            Some(knocking) => self.keep_beside(saved::KNOCKING, &knocking),
            None => Ok(()),
        }
    }

    /// Whether the answer is still to come.
    pub(super) fn is_knocking(&self) -> bool {
        self.group.is_none() && self.beside.knocking.is_some()
    }

    pub(super) fn waits_for_answer(&self) -> bool {
        let outcome = self
            .beside
            .knocking
            .as_ref()
            .map(|knocking| knocking.outcome);
        outcome == Some(Outcome::Open)
    }

    pub(super) fn start_inbox(&mut self) {
        let Some(knocking) = self.beside.knocking.clone() else {
            return;
        };
        self.session
            .open(knocking.inbox, vec![StaticSecret::from(knocking.own)]);
        self.session.follow(
            knocking.inbox,
            Lane::All,
            knocking.mark.cursor(),
            Keeps::Removable,
        );
        if !knocking.is_sent {
            self.session
                .open(knocking.door, vec![StaticSecret::from(knocking.knock)]);
        }
    }

    pub(super) fn make_inbox(&mut self, now: Now) -> Result<()> {
        let today = self.session.today(now);
        let may_ask =
            !self.beside.is_asked(Side::MakeInbox) && self.beside.put_off.is_due(Need::Inbox, now);
        let Some(knocking) = self.beside.knocking.as_mut().filter(|_| may_ask) else {
            return Ok(());
        };
        let Some(root) = &mut knocking.root else {
            return Ok(());
        };
        root.ask_on(today);
        let owner = knocking.asking.as_ref().map(Asking::owner);
        let new = new_inbox(root, &knocking.own, &knocking.append, owner);
        self.keep_knocking()?;
        self.create_beside(new, Side::MakeInbox);
        Ok(())
    }

    /// Knocked days ago without a line.
    pub(super) fn inbox_too_old(&mut self, now: Now) -> Result<()> {
        if let Some(root) = self
            .beside
            .knocking
            .as_mut()
            .and_then(|one| one.root.as_mut())
        {
            root.renew()?;
        }
        self.make_inbox(now)
    }

    pub(super) fn inbox_made(&mut self) -> Result<()> {
        let was_put_off = self.beside.put_off.done(Need::Inbox);
        if let Some(knocking) = &mut self.beside.knocking {
            knocking.root = None;
            if was_put_off {
                // Opening it was refused before.
                let own = StaticSecret::from(knocking.own);
                self.session.open(knocking.inbox, vec![own]);
            }
        }
        self.keep_knocking()
    }

    /// Whether it is our inbox, which the relay has not made yet.
    pub(super) fn is_inbox_unmade(&self, log: &LogId) -> bool {
        let knocking = self.beside.knocking.as_ref();
        knocking.is_some_and(|one| one.inbox == *log && one.root.is_some())
    }

    /// Knocks once there is an inbox for the answer; and lets an inbox go that had its answer.
    pub(super) fn go_on_knocking(&mut self, now: Now) -> Result<()> {
        if core::mem::take(&mut self.beside.knock_refused) {
            self.beside.knock_at_ms = now.steady_ms.saturating_add(KNOCK_AGAIN_MS);
        }
        let Some(knocking) = &self.beside.knocking else {
            return Ok(());
        };
        if knocking.outcome != Outcome::Open {
            if !self.is_online {
                return Ok(());
            }
            let ask = Ask::Delete(Delete {
                day: self.session.today(now),
                log: knocking.inbox,
                retry: retry_id()?,
            });
            self.ask_beside(ask, Side::DeleteInbox);
            return Ok(());
        }
        if knocking.asking.is_some() && self.go_on_asking(now)? {
            return Ok(());
        }
        let Some(knocking) = &self.beside.knocking else {
            return Ok(());
        };
        let is_due = !knocking.is_sent
            && knocking.root.is_none()
            && self.flight.is_none()
            && self.beside.open.contains(&knocking.door)
            && self.beside.knock_at_ms <= now.steady_ms;
        if !is_due || !self.has_fresh_card(now) {
            return Ok(());
        }
        let Some(knocking) = &self.beside.knocking else {
            return Ok(());
        };
        let me = self.key.id();
        let body = KnockBody {
            was: knocking.was.clone(),
            name: self.saved.name.clone(),
            badge: knocking
                .badge
                .as_ref()
                .map(|badge| badge.show(&knocking.door, &me)),
            inbox: knocking.inbox,
            reply: public_key(&StaticSecret::from(knocking.reply)),
            append: knocking.append,
            manage: public_key(&self.manage_key()),
            package: knocking.package.0.as_slice().into(),
        };
        let body = sotto_protocol::cbor::encode(&body)
            .map_err(|_| internal("a knock cannot be encoded"))?;
        let item = match &knocking.asking {
            Some(asking) => asking.item(knocking, &body)?,
            None => item_of(knocking.door, knocking.seal(Purpose::Knock, &body)?)?,
        };
        self.fly(FlightKind::Knock, vec![item], now)
    }

    /// The knock lies at the door, at this place; now somebody must say yes.
    pub(super) fn knock_landed(&mut self, seq: u64) -> Result<()> {
        self.take_flight();
        if let Some(knocking) = &mut self.beside.knocking {
            knocking.is_sent = true;
            knocking.package = ByteString(Vec::new());
            self.beside.open.remove(&knocking.door);
            self.session.close(&knocking.door);
            if let Some(asking) = &mut knocking.asking {
                asking.landed(seq);
            }
        }
        self.tell(Event::Knocked);
        if self.is_rating() {
            self.rating_is_over();
            return Ok(());
        }
        self.keep_ticket()?;
        self.keep_knocking()
    }

    /// The door took no knock: it is full, or there is none (any more). Opening it again tells.
    pub(super) fn knock_refused(&mut self) {
        self.beside.knock_refused = true;
        if let Some(knocking) = &self.beside.knocking {
            let (door, knock) = (knocking.door, StaticSecret::from(knocking.knock));
            self.beside.open.remove(&door);
            self.session.close(&door);
            self.session.open(door, vec![knock]);
        }
        self.tell(Event::Refused);
    }

    /// The next entry of our inbox. It goes from the relay as soon as it is dealt with.
    pub(super) fn answer_met(&mut self, entry: &Entry<'_>, cursor: Cursor, now: Now) -> Result<()> {
        let Some(knocking) = &self.beside.knocking else {
            return Ok(());
        };
        let (inbox, is_open) = (knocking.inbox, knocking.outcome == Outcome::Open);
        let read = self.beside.letters.read(
            &knocking.reply,
            Purpose::Answer,
            &inbox,
            entry.sealed.as_slice(),
        );
        let letter = match read {
            // The parts of a run are dealt with together.
            Read::More => return Ok(()),
            Read::Junk => None,
            Read::Whole(letter) => Some(letter),
        };
        if let Some(letter) = letter.filter(|_| is_open) {
            match sotto_protocol::cbor::decode::<AnswerBody<'_>>(&letter) {
                Ok(AnswerBody::No) => self.set_outcome(Outcome::No),
                Ok(AnswerBody::Welcome(welcome)) => self.welcomed(&welcome, now)?,
                Err(_) => {}
            }
        }
        self.session.consumed(&inbox, cursor.seq);
        if let Some(knocking) = &mut self.beside.knocking {
            knocking.mark = cursor.into();
        }
        self.keep_knocking()?;
        self.trim_beside(inbox, cursor.seq, now)
    }

    pub(super) fn set_outcome(&mut self, outcome: Outcome) {
        if let Some(knocking) = &mut self.beside.knocking {
            knocking.outcome = outcome;
            knocking.values = Vec::new();
        }
        if self.asking().is_some() {
            self.drop_ticket();
        }
    }

    /// A Welcome: for our KeyPackage, into a conversation that the link's founder vouches for, or
    /// nothing at all.
    fn welcomed(&mut self, welcome: &WelcomeBody<'_>, now: Now) -> Result<()> {
        let Some(knocking) = &self.beside.knocking else {
            return Ok(());
        };
        let opened = Group::from_welcome(
            knocking.package(),
            welcome.welcome.as_slice(),
            welcome.tree.as_slice(),
        );
        let Ok((group, by)) = opened else {
            return Ok(());
        };
        let gid = group_id(&welcome.log);
        let Ok(policy) = Policy::parse(&group.policy()) else {
            return Ok(());
        };
        let leaves = group.leaves();
        let is_asked = knocking.asking.is_some();
        let leads = if is_asked {
            self.is_supporter(&policy, &gid, &leaves, &by)
        } else {
            policy.leads_from(&gid, &self.saved.founder, &by)
        };
        // No log is two things at once.
        let is_elsewhere = welcome.log != knocking.inbox && welcome.log != knocking.door;
        let believed = is_elsewhere
            && group.id() == gid
            && leaves.contains(&self.key.id())
            && policy.is_facilitator(&by)
            && leads;
        if !believed {
            return Ok(());
        }
        if is_asked {
            self.saved.founder = by;
        }
        let (badge, is_back) = (knocking.badge.clone(), knocking.is_back);
        if is_back {
            return self.come_in_after(welcome, &group, by);
        }
        self.enter(welcome, group, policy, by)?;
        if let Some(badge) = badge {
            self.show_badge(badge, now)?;
        }
        self.answered_by_desk(now)
    }

    /// In: the conversation is read from where its author stood, silently up to the Commit that
    /// added us, which stands in the log since the letter came in the same append.
    pub(super) fn enter(
        &mut self,
        welcome: &WelcomeBody<'_>,
        group: Group,
        policy: Policy,
        by: LeafId,
    ) -> Result<()> {
        self.set_outcome(Outcome::Yes);
        let group = group.unsaved();
        self.saved.log = welcome.log;
        self.saved.secrets = vec![welcome.secret.clone()];
        self.saved.suite = group.suite();
        self.saved.joined_epoch = group.epoch();
        self.saved.fence = welcome.fence.saturating_add(1);
        self.saved.seq = welcome.seq;
        self.saved.chain = Some(welcome.chain);
        self.saved.day = 0;
        self.saved.passing = Some(Passing {
            fence: welcome.fence,
            is_met: false,
        });
        let asked = policy.min_version;
        self.policy = Some(policy);
        let generation = self.newest_generation()?;
        let (psk_id, psk) = generation.psk();
        group.store_psk(psk_id, psk)?;
        self.group = Some(group);
        if self.is_host() {
            self.wants_door_again();
        }
        let me = self.key.id();
        self.tell(Event::Joined {
            leaf: me,
            by: Some(by),
        });
        self.set_stage(Stage::Waiting);
        if asked > CLIENT_VERSION {
            self.pause(asked);
        }
        // Who came back with a backup has the door's keys already.
        self.start_door();
        self.open_as_member()
    }

    /// Whether an entry stands before the Commit that added us, or is (part of) it.
    pub(super) fn passes_over(&mut self, entry: &Entry<'_>) -> bool {
        let Some(passing) = &mut self.saved.passing else {
            return false;
        };
        if entry.fence == Some(passing.fence) {
            passing.is_met = true;
            return true;
        }
        let is_past = passing.is_met || entry.fence.is_some_and(|fence| fence > passing.fence);
        if is_past {
            self.saved.passing = None;
        }
        !is_past
    }

    /// The inbox is gone, and with it the last of the knock. After a no, so is everything.
    pub(super) fn inbox_deleted(&mut self) {
        self.close_card();
        let Some(knocking) = self.beside.knocking.take() else {
            return;
        };
        self.session.close(&knocking.inbox);
        // A host who comes back knocks at a door that is their own, and reads it from then on.
        let kept = self.beside.door.as_ref();
        if kept.is_none_or(|kept| kept.log != knocking.door) {
            self.session.close(&knocking.door);
        }
        self.drop_beside(saved::KNOCKING);
        if knocking.is_back && knocking.outcome == Outcome::Yes {
            self.begin_the_way_back();
        }
        if knocking.outcome == Outcome::No {
            let is_leaving = knocking.asking.as_ref().is_some_and(Asking::is_leaving);
            self.end(if is_leaving {
                Stage::Left
            } else {
                Stage::TurnedAway
            });
        }
    }
}
