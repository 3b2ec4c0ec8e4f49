//! How a conversation begins on this device: founded, joined by link, or loaded from the vault.

use std::collections::{BTreeMap, BTreeSet};

use sotto_protocol::frame::{Grant, Lane, Policy as LogPolicy};
use sotto_protocol::id::LogId;
use sotto_protocol::limits::{TTL_DAYS_MAX, TTL_FENCED_DAYS_DEFAULT};
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::aside::{Kept, Loading};
use super::badging::Badging;
use super::beside::Beside;
use super::dispute::Disputes;
use super::disputing::SPOILED_JOINS_MAX;
use super::door::Door;
use super::draft::Drafts;
use super::pace::Pace;
use super::reading::SeenRing;
use super::safety::Safe;
use super::saved::{self, FlightKind, RootKey, Saved, Stage};
use super::transfers::Transfers;
use super::upkeep::Suspicion;
use super::{Choices, Effects, Engine, Indexed, group_id, internal, no_randomness, retry_id};
use crate::content::{ContentBody, MessageId, name_is_fit};
use crate::error::{Error, ErrorKind, Result};
use crate::jitter::Jitter;
use crate::link::{Link, LinkBody, RelayAddress};
use crate::log::{Cursor, Keeps, NewLog, Session};
use crate::mls::{Group, LeafId, LeafKey, Suite, Values};
use crate::policy::{CLIENT_VERSION, Facilitator, Policy, UNDATED};
use crate::random;
use crate::seal::ConversationSecret;
use crate::time::Now;
use crate::vault::{Row, Space};

/// Days an ordinary entry of a conversation lives: who was away for a month still gets all.
pub(super) const TTL_DAYS: u16 = 30;
/// Bytes of all entries of a conversation: a busy room of 25 for a month, and its snapshots.
const LOG_BYTES_MAX: u64 = 64 << 20;
/// What every member's key may do.
pub(super) const MEMBER_RIGHTS: Rights = Rights::READ
    .union(Rights::APPEND)
    .union(Rights::FENCE)
    .union(Rights::PIN);
/// What a link's key may do: find its way in, or say that it waits to be taken in.
pub(super) const JOIN_RIGHTS: Rights = Rights::PEEK.union(Rights::APPEND).union(Rights::FENCE);
/// What a facilitator's own key may do.
pub(super) const MANAGE_RIGHTS: Rights = MEMBER_RIGHTS.union(Rights::MANAGE);
/// Joins a minute by all who hold a link together; the evening's seventy fit into one.
const JOINS_PER_MINUTE: u32 = 120;
/// Bits of work for a join, once a link was used to spoil: what a client does on the spot.
const JOIN_WORK_FIRST: u8 = 16;
/// Four times as long with each link that is used so.
const JOIN_WORK_STEP: u8 = 2;
/// No more than seconds on a phone: who needs help waits so long once, who spoils each time.
const JOIN_WORK_MAX: u8 = 22;
const _: () = assert!(JOIN_WORK_MAX <= sotto_protocol::limits::WORK_BITS_MAX);

/// How others come into a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// Whoever has the link joins by themselves; nobody needs to be online.
    #[default]
    Link,
    /// The link leads to a door; the founder must say yes to each.
    Approval,
    /// A chat of two: the first one who knocks is let in, and nobody after them.
    Chat,
}

/// The rules of a new conversation.
#[derive(Clone, Debug)]
pub struct RoomOptions {
    /// Where it goes through.
    pub relay: RelayAddress,
    /// What the founder is called in it; 1 to [`NAME_BYTES_MAX`](crate::NAME_BYTES_MAX) bytes.
    pub name: String,
    /// How others come in.
    pub admission: Admission,
    /// Post-quantum by default.
    pub suite: Suite,
    /// How long every device keeps what it received, in seconds; absent: for good.
    pub keep_seconds: Option<u32>,
    /// No entry is smaller; larger hides more and costs more.
    pub floor: SizeClass,
}

impl RoomOptions {
    /// A room on this relay with every choice at its default.
    #[must_use]
    pub fn new(relay: RelayAddress, name: impl Into<String>) -> Self {
        Self {
            relay,
            name: name.into(),
            admission: Admission::default(),
            suite: Suite::default(),
            keep_seconds: None,
            floor: SizeClass::K1,
        }
    }
}

/// How one joins.
#[derive(Clone, Debug)]
pub struct JoinOptions {
    /// What one is called there; 1 to [`NAME_BYTES_MAX`](crate::NAME_BYTES_MAX) bytes.
    pub name: String,
}

impl Engine {
    /// Founds a conversation. It works from the first moment: what is
    /// said before the relay was reached waits.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that cannot be shown.
    pub fn found(options: RoomOptions, now: Now) -> Result<(Self, Effects)> {
        Self::found_as(options, false, now)
    }

    /// Founds a room of some of a team beside a chat: it is told apart from others by it
    /// ([`ConversationKind::Aside`](super::ConversationKind::Aside)).
    ///
    /// # Errors
    /// As [`Engine::found`].
    pub fn found_aside(options: RoomOptions, now: Now) -> Result<(Self, Effects)> {
        Self::found_as(options, true, now)
    }

    fn found_as(options: RoomOptions, is_aside: bool, now: Now) -> Result<(Self, Effects)> {
        let admission = options.admission;
        let mut engine = Self::founding(options)?;
        engine.saved.is_aside = is_aside;
        if admission != Admission::Link {
            engine.beside.door = Some(Door::new(admission == Admission::Chat)?);
            engine.keep_door()?;
        }
        engine.begin(now)
    }

    /// Starts what was put together, and says our name.
    pub(super) fn begin(mut self, now: Now) -> Result<(Self, Effects)> {
        self.saved.begun_ms = now.wall_ms;
        self.start()?;
        let now = self.paced(now);
        self.say_hello(now)?;
        self.keep_place_of_words();
        let effects = self.finish(now);
        Ok((self, effects))
    }

    /// A conversation of one, of which no relay heard yet.
    pub(super) fn founding(options: RoomOptions) -> Result<Self> {
        let root: [u8; 32] = random::array().map_err(no_randomness)?;
        let log = LogId::of_root(&public_key(&StaticSecret::from(root)));
        let secret = ConversationSecret::random().map_err(no_randomness)?;
        let mut saved = new_saved(options.relay, log, &options.name)?;
        saved.secrets.push(secret.clone());
        let key = LeafKey::from_seed(&saved.seed);
        saved.suite = options.suite;
        saved.founder = key.id();
        saved.root = Some(RootKey {
            key: root,
            retry: retry_id()?,
            day: 0,
        });
        saved.snapshot_due = true;
        let manage = public_key(&StaticSecret::from(saved.manage));
        let policy = Policy {
            floor: u32::try_from(options.floor.bytes()).map_err(|_| internal("a size class"))?,
            link_joins: options.admission == Admission::Link,
            members_add: false,
            min_version: CLIENT_VERSION,
            facilitators: vec![Facilitator::vouch(&key, &group_id(&log), key.id(), manage)],
            hosts: Vec::new(),
            keep_seconds: options.keep_seconds,
        };
        let bytes = policy.encode().map_err(|_| internal("a policy"))?;
        // The relay's date is not known yet, and this device's may be a year off.
        let group = Group::create(options.suite, &group_id(&log), &key, &bytes, UNDATED)?;
        let generation = secret.generation(&log);
        let (psk_id, psk) = generation.psk();
        group.store_psk(psk_id, psk)?;
        let mut engine = Self::assemble(new_space()?, saved);
        engine.group = Some(group);
        engine.policy = Some(policy);
        Ok(engine)
    }

    /// Joins by a link. Where it leads into a room, nobody needs to be online but the relay; where
    /// it leads to a door, one knocks and waits for a yes.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that cannot be shown.
    pub fn join(link: &Link, options: &JoinOptions, now: Now) -> Result<(Self, Effects)> {
        let room = match &link.0 {
            LinkBody::Door(door) => return Self::knock(door, options, now),
            LinkBody::Room(room) => room,
        };
        let mut saved = new_saved(room.relay.clone(), room.log, &options.name)?;
        saved.secrets.push(room.secret.clone());
        saved.founder = room.founder;
        saved.stage = Stage::Joining;
        Self::assemble(new_space()?, saved).begin(now)
    }

    /// Goes on from what a vault holds of a conversation.
    ///
    /// # Errors
    /// [`ErrorKind::VaultDamaged`] if the rows are not what an engine wrote.
    ///
    /// `is_copy` is what [`Vault::is_copy`](crate::vault::Vault::is_copy) says of where they are from.
    pub fn load(space: Space, rows: Vec<Row>, is_copy: bool, now: Now) -> Result<(Self, Effects)> {
        let mut values = Values::new();
        let (mut state, mut flight, mut outbox, mut index) =
            (None, None, BTreeMap::new(), BTreeMap::<_, Indexed>::new());
        let mut reactions = Vec::new();
        let (mut beside, mut transfers) = (Beside::default(), Transfers::default());
        let (mut disputes, mut drafts) = (Loading::default(), Drafts::default());
        let (mut badging, mut safe) = (Badging::default(), Safe::default());
        for row in rows {
            if beside.load(&row)?
                || badging.load(&row)?
                || safe.load(&row)?
                || drafts.load(&row)?
                || disputes.take(&row)?
                || transfers.load(&row)?
            {
                continue;
            }
            let (name, value) = row;
            if let Some(key) = name.strip_prefix(saved::MLS) {
                values.insert(key.to_vec(), value);
            } else if name == saved::STATE {
                state = Some(saved::decode::<Saved>(&value)?);
            } else if name == saved::FLIGHT {
                flight = Some(saved::decode(&value)?);
            } else if let Some(number) = saved::numbered(&name, saved::OUT) {
                outbox.insert(number, saved::decode(&value)?);
            } else if let Some((seq, id)) = saved::message_of(&name) {
                let stored: saved::Stored = saved::decode(&value)?;
                index.insert(
                    id,
                    Indexed {
                        seq,
                        author: stored.author,
                        reply_to: stored.reply_to,
                        here_ms: stored.here_ms,
                        reacted: BTreeSet::new(),
                        attached: stored.attachment,
                    },
                );
            } else if let Some(reaction) = saved::reaction_of(&name) {
                reactions.push(reaction);
            }
        }
        note_reactions(&mut index, reactions);
        let state = state.ok_or_else(|| {
            Error::new(ErrorKind::VaultDamaged, "a conversation without its state")
        })?;
        let mut engine = Self::assemble(space, state);
        if !values.is_empty() {
            let group = Group::load(values, &group_id(&engine.saved.log))?;
            engine.policy = Policy::parse(&group.policy()).ok();
            engine.group = Some(group);
        }
        engine.beside = beside;
        engine.transfers = transfers;
        engine.drop_half_taken();
        engine.outbox = outbox;
        engine.index = index;
        engine.flight = flight;
        disputes.finish(&mut engine)?;
        if is_copy {
            engine.distrust_copy();
        }
        engine.start()?;
        let now = engine.paced(now);
        (engine.safe, engine.drafts) = (safe, drafts);
        engine.begin_with_badges(badging, now);
        engine.come_again(now)?;
        let effects = engine.finish(now);
        Ok((engine, effects))
    }

    pub(super) fn assemble(space: Space, saved: Saved) -> Self {
        Self {
            space,
            session: Session::new(saved.relay.identity),
            key: LeafKey::from_seed(&saved.seed),
            saved,
            policy: None,
            group: None,
            joining: None,
            outbox: BTreeMap::new(),
            flight: None,
            token: None,
            create_token: None,
            describe_token: None,
            turn: None,
            run: None,
            disputes: Disputes::default(),
            held_since_ms: None,
            kept: Kept::default(),
            seen: SeenRing::default(),
            index: BTreeMap::new(),
            head: None,
            head_fence: 0,
            fence_wanted: 0,
            is_repeat: false,
            is_doubtful: false,
            landed_at: None,
            returns: 0,
            jitter: Jitter::random(),
            receipts_at_ms: None,
            is_online: false,
            unreached: None,
            typing_at_ms: None,
            looked_ms: None,
            suspicion: Suspicion::default(),
            clock_off: 0,
            badging: Badging::default(),
            safe: Safe::default(),
            drafts: Drafts::default(),
            waiting: super::waiting::Queue::default(),
            beside: Beside::default(),
            line_of: None,
            transfers: Transfers::default(),
            out: Effects::default(),
        }
    }

    /// Wishes of the session that follow from what is kept.
    pub(super) fn start(&mut self) -> Result<()> {
        self.session.set_day_floor(self.saved.day_floor);
        if !self.is_over() {
            self.begin_with_desk()?;
            self.start_beside();
        }
        self.go_on_if_new_enough();
        match self.saved.stage {
            Stage::Removed | Stage::Left | Stage::ShutOut | Stage::TurnedAway => return Ok(()),
            Stage::Joining if self.beside.inbox.is_some() => return Ok(()),
            Stage::Joining if self.is_knocking() => {
                self.repeat_flight();
                return Ok(());
            }
            Stage::Joining => {
                let goes_on = self.joining.is_some();
                self.joining.get_or_insert_default();
                let keys = match self.keys_on_the_way_back()? {
                    Some(_) if self.saved.starts_over => self.keys_to_start_over()?,
                    Some(keys) => keys,
                    None => vec![self.newest_generation()?.join_key()],
                };
                self.session.open(self.saved.log, keys);
                if matches!(
                    self.flight.as_ref().map(|one| &one.kind),
                    Some(FlightKind::Waiting)
                ) {
                    // The secrets of its KeyPackage ended with the process.
                    self.take_flight();
                }
                if goes_on {
                    self.follow_on();
                }
                self.repeat_flight();
                return Ok(());
            }
            // Its log is made once there is a ticket to answer.
            Stage::Founding if self.is_unmade() => return Ok(()),
            // On the way in when it turned out that this client is too old.
            Stage::Paused if self.group.is_none() => return Ok(()),
            _ => {}
        }
        self.open_as_member()?;
        self.repeat_flight();
        Ok(())
    }

    /// Makes what logs the relay has not said of that they stand. It is asked for them only now
    /// that its date is known; what was asked before stays as it was.
    pub(super) fn make_logs(&mut self, now: Now) -> Result<()> {
        self.create(now)?;
        self.make_door(now)?;
        self.make_inbox(now)?;
        self.make_desk(now)?;
        self.make_tray(now)
    }

    pub(super) fn create(&mut self, now: Now) -> Result<()> {
        let today = self.session.today(now);
        if self.is_unmade() {
            return Ok(());
        }
        let Some(root) = &mut self.saved.root else {
            return Ok(());
        };
        if self.create_token.is_none() {
            root.ask_on(today);
            let new = self.new_log()?;
            self.create_token = Some(self.session.create(new));
        }
        Ok(())
    }

    /// Opens the log with the newest keys we have and follows it from where we read to.
    pub(super) fn open_as_member(&mut self) -> Result<()> {
        let group = self
            .group
            .as_ref()
            .ok_or_else(|| internal("a member without a group"))?;
        let member_key = StaticSecret::from(*group.member_key(&self.log_bytes())?);
        let mut keys = vec![member_key];
        if self.facilitates() {
            keys.push(self.manage_key());
        }
        self.head = None;
        self.session.open(self.saved.log, keys);
        let cursor = Cursor {
            seq: self.saved.seq,
            chain: self.saved.chain,
            day: self.saved.day,
        };
        self.session
            .follow(self.saved.log, Lane::All, cursor, Keeps::Days(TTL_DAYS));
        Ok(())
    }

    pub(super) fn new_log(&self) -> Result<NewLog> {
        let root = self
            .saved
            .root
            .as_ref()
            .ok_or_else(|| internal("founding without a root key"))?;
        let group = self
            .group
            .as_ref()
            .ok_or_else(|| internal("founding without a group"))?;
        let member = StaticSecret::from(*group.member_key(&self.log_bytes())?);
        let by_link = self.policy.as_ref().is_some_and(|policy| policy.link_joins);
        let mut grants = vec![
            grant(&self.manage_key(), MANAGE_RIGHTS),
            grant(&member, MEMBER_RIGHTS),
        ];
        if by_link {
            grants.push(self.join_grant(self.newest_secret()?));
        }
        Ok(NewLog {
            root: StaticSecret::from(root.key),
            grants,
            policy: LogPolicy {
                ttl_days: TTL_DAYS.min(TTL_DAYS_MAX),
                bytes_max: LOG_BYTES_MAX,
                admit_rights: MEMBER_RIGHTS,
                ttl_fenced_days: TTL_FENCED_DAYS_DEFAULT,
            },
            ticket: None,
            retry: root.retry,
            day: root.day,
        })
    }

    pub(super) fn join_grant(&self, secret: &ConversationSecret) -> Grant {
        let key = secret.generation(&self.saved.log).join_key();
        let bits = self.next_join_work();
        Grant {
            rate: Some(JOINS_PER_MINUTE),
            work: (bits > 0).then_some(bits),
            ..grant(&key, JOIN_RIGHTS)
        }
    }

    /// What a join by the next link takes: nothing, unless links before it were used to spoil. It
    /// rises with each such link, and falls with each that was not.
    pub(super) const fn next_join_work(&self) -> u8 {
        let now = if self.saved.join_work > JOIN_WORK_MAX {
            // What the relay says that the present link takes.
            JOIN_WORK_MAX
        } else {
            self.saved.join_work
        };
        if self.saved.spoiled_joins >= SPOILED_JOINS_MAX {
            if now == 0 {
                JOIN_WORK_FIRST
            } else if now + JOIN_WORK_STEP > JOIN_WORK_MAX {
                JOIN_WORK_MAX
            } else {
                now + JOIN_WORK_STEP
            }
        } else if self.saved.spoiled_joins > 0 {
            now
        } else if now > JOIN_WORK_FIRST {
            now - JOIN_WORK_STEP
        } else {
            0
        }
    }

    /// Says our name, unless that waits to be said.
    pub(super) fn say_hello_once(&mut self, now: Now) -> Result<()> {
        let is_hello = |one: &saved::Queued| matches!(one.content.body, ContentBody::Hello { .. });
        if self.outbox.values().any(is_hello) {
            return Ok(());
        }
        self.say_hello(now)
    }

    pub(super) fn say_hello(&mut self, now: Now) -> Result<()> {
        let manage = public_key(&self.manage_key());
        let name = self.saved.name.clone();
        self.queue(ContentBody::Hello { name, manage }, now)
            .map(drop)
    }
}

/// Who reacted to what is kept.
fn note_reactions(index: &mut BTreeMap<MessageId, Indexed>, reactions: Vec<(MessageId, LeafId)>) {
    for (to, by) in reactions {
        if let Some(message) = index.get_mut(&to) {
            message.reacted.insert(by);
        }
    }
}

pub(super) fn grant(key: &StaticSecret, rights: Rights) -> Grant {
    Grant {
        key: public_key(key),
        ends: None,
        rate: None,
        work: None,
        rights,
        until_seq: None,
    }
}

pub(super) fn new_space() -> Result<Space> {
    Ok(Space(random::array().map_err(no_randomness)?))
}

/// # Errors
/// [`ErrorKind::Invalid`] for a name that cannot be shown.
pub(super) fn check_name(name: &str) -> Result<()> {
    if name_is_fit(name) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        "a name has 1 to 64 bytes and no control characters",
    ))
}

pub(super) fn new_saved(relay: RelayAddress, log: LogId, name: &str) -> Result<Saved> {
    check_name(name)?;
    let seed: [u8; 32] = random::array().map_err(no_randomness)?;
    Ok(Saved {
        relay,
        log,
        suite: Suite::default(),
        seed,
        manage: random::array().map_err(no_randomness)?,
        root: None,
        founder: LeafKey::from_seed(&seed).id(),
        secrets: Vec::new(),
        stage: Stage::Founding,
        paused: None,
        mended_at: None,
        seq: 0,
        chain: Some(sotto_protocol::chain::genesis(&log)),
        day: 0,
        fence: 0,
        closed_below: 0,
        joined_epoch: 0,
        grants_version: 0,
        fenced_since_pin: 0,
        is_rotated: true,
        roster_due: false,
        snapshot_due: false,
        junk: 0,
        name: name.to_owned(),
        count: 0,
        next_out: 0,
        names: Vec::new(),
        self_named: Vec::new(),
        intents: Vec::new(),
        verdicts: Vec::new(),
        pace: Pace::default(),
        day_floor: 0,
        voids: Vec::new(),
        false_info_by: None,
        spoiled_joins: 0,
        join_work: 0,
        updated_ms: 0,
        heard_ms: 0,
        heard: Vec::new(),
        alive_day: 0,
        is_silent: false,
        farewells: Vec::new(),
        flying: Vec::new(),
        is_old: false,
        starts_over: false,
        choices: Choices::default(),
        receipts: Vec::new(),
        passing: None,
        door: None,
        wants_door: false,
        door_ask: None,
        retell_due: false,
        hands_over: None,
        way_back: None,
        said_away: false,
        away: Vec::new(),
        awaits_author: false,
        ends: None,
        floor: None,
        agreement: None,
        quiet: None,
        begun_ms: 0,
        is_aside: false,
        lined: None,
    })
}
