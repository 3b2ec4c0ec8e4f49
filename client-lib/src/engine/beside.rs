//! What a conversation has beside its own log: a door, inboxes to answer to, an inbox of one's own.
//!
//! It only routes: what a knock means is in `door`, what an answer means is in `knocking`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Entry, Grant, Item, NewEntry, Opened, Policy, Trim};
use sotto_protocol::id::LogId;
use sotto_protocol::limits::TTL_FENCED_DAYS_DEFAULT;
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use x25519_dalek::StaticSecret;

use super::asking::Place;
use super::changes::new_entry;
use super::door::{Door, KeptKnock};
use super::duty::Duty;
use super::gone::Gone;
use super::heads::Heads;
use super::inbox::{Inbox, KeptInvitation};
use super::inviting::Adding;
use super::knocking::Knocking;
use super::numbers::Numbers;
use super::office::{DeskLog, Office};
use super::pool::KeptPackage;
use super::putting_off::{Need, PutOff};
use super::saved::{self, RootKey, Stage};
use super::taking::Taking;
use super::tidying::Tidying;
use super::waits::Past;
use super::{Engine, Event, inviting, no_randomness, retry_id};
use crate::content::MessageId;
use crate::desk::{AuditRecord, DeskKeys, Resource, SignedKeys};
use crate::error::Result;
use crate::log::{Ask, Cursor, Denied, NewLog, Token};
use crate::mls::LeafId;
use crate::random;
use crate::seal::letter::Letters;
use crate::time::Now;
use crate::vault::{Key, Row};

/// Days an unread knock or answer lives: a facilitator may be away for a month.
pub(super) const TTL_DAYS: u16 = 30;

/// The state beside the conversation's; each part is kept under a name of its own.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) door: Option<Door>,
    pub(super) knocks: BTreeMap<LeafId, KeptKnock>,
    pub(super) knocking: Option<Knocking>,
    /// A desk of this team's, what only its office has, and the tickets that wait.
    pub(super) desk: Option<DeskKeys>,
    pub(super) desk_signed: Option<SignedKeys>,
    pub(super) office: Option<Office>,
    pub(super) duty: Duty,
    pub(super) tidying: [Tidying; 2],
    /// A ticket that this chat is to answer, and when its lease is to be renewed.
    pub(super) taking: Option<Taking>,
    pub(super) renew_at_ms: u64,
    /// The relay failed at the answer, and it may stand all the same.
    pub(super) has_answer_failed: bool,
    /// A standing inbox; then this is no conversation.
    pub(super) inbox: Option<Inbox>,
    pub(super) packages: BTreeMap<u64, KeptPackage>,
    pub(super) invitations: BTreeMap<u64, KeptInvitation>,
    /// It is known how many KeyPackages the pool holds.
    pub(super) is_counted: bool,
    /// Those we want to add and have no KeyPackage of yet, by their pools.
    pub(super) adding: BTreeMap<LogId, Adding>,
    /// Logs beside the conversation's that are open on this connection.
    pub(super) open: BTreeSet<LogId>,
    pub(super) letters: Letters,
    pub(super) asked: BTreeMap<Token, Side>,
    /// The door is not read on, since enough knocks wait for a yes or no.
    pub(super) is_full: bool,
    /// Knocks up to here were dropped at the relay.
    pub(super) door_trimmed: u64,
    /// The door took no knock; then, when to try again.
    pub(super) knock_refused: bool,
    pub(super) knock_at_ms: u64,
    /// What the relay did not do, and when it is asked again.
    pub(super) put_off: PutOff,
    /// At a desk's office, of who was answered lately.
    pub(super) past: Past,
    /// There, what is counted, and its records by their numbers.
    pub(super) numbers: Numbers,
    pub(super) audit: BTreeMap<u64, AuditRecord>,
    /// How far these went, as the team heard, and whom a queue lacks.
    pub(super) heads: Heads,
    pub(super) gone: Gone,
    /// The person was told that a log of the desk does not open.
    pub(super) is_desk_refused: bool,
    /// When the card that we ask by was read (steady clock).
    pub(super) card_read_ms: Option<u64>,
    /// Our place in a desk's queue, as the relay last told it, and when to ask again.
    pub(super) place: Option<Place>,
    pub(super) place_at_ms: u64,
    /// Whom that desk names for a crisis.
    pub(super) resources: Vec<Resource>,
    /// No key opens the conversation any more: a knock may.
    pub(super) must_knock: bool,
    /// What was said before is being read, to be told to who came.
    pub(super) is_retelling: bool,
    /// The log's fence, which we hold since nobody is left.
    pub(super) held_fence: Option<u64>,
}

/// What was asked of the relay for a log beside the conversation's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    MakeDoor,
    CloseDoor,
    DeleteDoor,
    ChangeDoorKeys,
    MakeInbox,
    DeleteInbox,
    /// Of a ticket of ours: the card that it is sealed to, and its place.
    ReadCard,
    Place,
    Withdraw,
    /// At our inbox, once the ticket is gone.
    LastLook,
    /// Of a desk's queue, or its letters: a page of it, and what is no ticket there.
    Look(bool),
    ClaimRubbish(bool, u64),
    EndRubbish(bool, u64),
    /// Of a ticket that we are to answer.
    Claim,
    Renew,
    Release,
    ClearTicket,
    /// Of a team's desk.
    MakeDesk(DeskLog),
    /// With the number of the keys, or of the card, that it was asked for: both may be newer by the
    /// time it is answered.
    ChangeDesk(DeskLog, u64),
    PublishCard(u64),
    /// The log of an attachment of ours.
    MakeAttachment(MessageId),
    /// Chunks of it.
    Upload(MessageId),
    /// How many of them arrived.
    Count(MessageId),
    /// Chunks of an attachment that is wanted here.
    Fetch(MessageId),
    /// A log that shall be deleted.
    Discard(LogId),
    /// Of the conversation's own log, which the last member takes away.
    HoldFence,
    DeleteLog,
    /// Of a standing inbox.
    MakeTray,
    MakePool,
    CountPool,
    FillPool,
    DeleteTray,
    DeletePool,
    /// A KeyPackage of somebody who is to be added.
    Take(LogId),
}

/// Where one is in a log that is read and trimmed.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(super) struct Mark {
    seq: u64,
    chain: Option<sotto_protocol::id::ChainValue>,
    day: u32,
}

impl Mark {
    pub(super) fn start(log: &LogId) -> Self {
        Cursor::start(log).into()
    }

    pub(super) const fn cursor(self) -> Cursor {
        Cursor {
            seq: self.seq,
            chain: self.chain,
            day: self.day,
        }
    }
}

impl From<Cursor> for Mark {
    fn from(cursor: Cursor) -> Self {
        Self {
            seq: cursor.seq,
            chain: cursor.chain,
            day: cursor.day,
        }
    }
}

/// A fresh root key on its way to be used once, and the id of the log it makes.
pub(super) fn new_root() -> Result<(LogId, RootKey)> {
    let key: [u8; 32] = random::array().map_err(no_randomness)?;
    let root = RootKey {
        key,
        retry: retry_id()?,
        day: 0,
    };
    Ok((LogId::of_root(&public_key(&StaticSecret::from(key))), root))
}

/// A log that one key reads, trims and manages, and another appends to.
pub(super) fn letterbox(
    root: &RootKey,
    reader: &[u8; 32],
    writer: &[u8; 32],
    rate: u32,
    bytes_max: u64,
) -> NewLog {
    NewLog {
        root: StaticSecret::from(root.key),
        grants: letterbox_grants(reader, writer, rate),
        policy: Policy {
            ttl_days: TTL_DAYS,
            bytes_max,
            admit_rights: Rights::NONE,
            ttl_fenced_days: TTL_FENCED_DAYS_DEFAULT,
        },
        ticket: None,
        retry: root.retry,
        day: root.day,
    }
}

/// One key that reads, trims and manages, and one that appends at most `rate` entries a minute.
pub(super) fn letterbox_grants(reader: &[u8; 32], writer: &[u8; 32], rate: u32) -> Vec<Grant> {
    vec![
        reader_grant(reader),
        Grant {
            rate: Some(rate),
            ..super::begin::grant(&StaticSecret::from(*writer), Rights::APPEND)
        },
    ]
}

pub(super) fn reader_grant(reader: &[u8; 32]) -> Grant {
    let rights = Rights::READ.union(Rights::TRIM).union(Rights::MANAGE);
    super::begin::grant(&StaticSecret::from(*reader), rights)
}

/// Entries for a log beside the conversation's.
pub(super) fn item_of(log: LogId, sealed: Vec<Vec<u8>>) -> Result<Item<'static>> {
    let entries: Result<Vec<NewEntry<'static>>> = sealed
        .into_iter()
        .map(|sealed| new_entry(sealed, None))
        .collect();
    Ok(Item {
        log,
        pin: false,
        lease: None,
        admit: None,
        fence: None,
        grants: None,
        entries: entries?,
    })
}

impl Beside {
    /// Takes a row of the vault if it belongs here.
    pub(super) fn load(&mut self, (name, value): &Row) -> Result<bool> {
        if name == saved::DOOR {
            self.door = Some(saved::decode(value)?);
        } else if name == saved::KNOCKING {
            self.knocking = Some(saved::decode(value)?);
        } else if let Some(leaf) = name.strip_prefix(saved::KNOCK).and_then(LeafId::from_slice) {
            self.knocks.insert(leaf, saved::decode(value)?);
        } else if name == saved::TAKING {
            self.taking = Some(saved::decode(value)?);
        } else if name == saved::DESK {
            self.desk_signed = Some(saved::decode(value)?);
        } else if name == saved::OFFICE {
            self.office = Some(saved::decode(value)?);
        } else if name == saved::PAST {
            self.past = saved::decode(value)?;
        } else if name == saved::CRISIS {
            self.resources = saved::decode(value)?;
        } else if name == saved::NUMBERS {
            self.numbers = saved::decode(value)?;
        } else if name == saved::HEADS {
            self.heads = saved::decode(value)?;
        } else if let Some(number) = saved::numbered(name, saved::AUDIT) {
            self.audit.insert(number, saved::decode(value)?);
        } else if name == saved::INBOX {
            self.inbox = Some(saved::decode(value)?);
        } else if let Some(number) = saved::numbered(name, saved::PACKAGE) {
            self.packages.insert(number, saved::decode(value)?);
        } else if let Some(number) = saved::numbered(name, saved::INVITED) {
            self.invitations.insert(number, saved::decode(value)?);
        } else if name.starts_with(saved::ADD) {
            let adding: Adding = saved::decode(value)?;
            self.adding.insert(adding.pool(), adding);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    pub(super) fn disconnected(&mut self) {
        self.open.clear();
        self.door_trimmed = 0;
        self.held_fence = None;
        self.is_counted = false;
        self.place = None;
        self.place_at_ms = 0;
        self.renew_at_ms = 0;
        self.duty.pause();
        self.is_retelling = false;
    }

    pub(super) const fn tidying(&mut self, is_letter: bool) -> &mut Tidying {
        let [queue, letters] = &mut self.tidying;
        if is_letter { letters } else { queue }
    }

    pub(super) fn forget_asked(&mut self, side: Side) {
        self.asked.retain(|_, asked| *asked != side);
    }

    pub(super) fn is_asked(&self, side: Side) -> bool {
        self.asked.values().any(|asked| *asked == side)
    }
}

impl Engine {
    /// Wishes of the session for what is kept beside the conversation.
    pub(super) fn start_beside(&mut self) {
        self.start_door();
        self.start_inbox();
        self.start_tray();
        self.start_taking();
        self.start_desk();
        let flying = self.flight.iter().flat_map(|flight| &flight.items);
        let inboxes: Vec<_> = flying.map(|item| item.log).collect();
        for log in inboxes {
            self.open_inbox_of(&log);
        }
    }

    pub(super) fn ask_beside(&mut self, ask: Ask, side: Side) {
        if !self.beside.is_asked(side) {
            let token = self.session.ask(ask);
            self.beside.asked.insert(token, side);
        }
    }

    pub(super) fn create_beside(&mut self, new: NewLog, side: Side) {
        let token = self.session.create(new);
        self.beside.asked.insert(token, side);
    }

    /// Drops what was read; an answer that is lost does no harm, the next one trims further.
    pub(super) fn trim_beside(&mut self, log: LogId, to: u64, now: Now) -> Result<()> {
        let (day, retry) = (self.session.today(now), retry_id()?);
        self.session.ask(Ask::Trim(Trim {
            to,
            day,
            log,
            retry,
        }));
        Ok(())
    }

    pub(super) fn opened_beside(&mut self, log: LogId, opened: &Opened) {
        self.beside.open.insert(log);
        self.door_opened(log, opened);
        self.desk_opened(log, opened);
    }

    pub(super) fn met_beside(
        &mut self,
        log: LogId,
        entry: &Entry<'_>,
        cursor: Cursor,
        now: Now,
    ) -> Result<()> {
        let of_door = self.beside.door.as_ref().map(|door| door.log);
        let of_inbox = self
            .beside
            .knocking
            .as_ref()
            .map(|knocking| knocking.inbox());
        if of_door == Some(log) {
            self.knock_met(entry, cursor)
        } else if of_inbox == Some(log) {
            self.answer_met(entry, cursor, now)
        } else if self.is_tray(&log) {
            self.invitation_met(entry, cursor)
        } else {
            self.ticket_met(log, entry, now).map(drop)
        }
    }

    pub(super) fn ended_beside(&mut self, log: &LogId) {
        self.beside.open.remove(log);
        // Another keeper changed the keys; a new connection tells.
        self.out.hang_up |= self.is_door(log);
    }

    fn is_door(&self, log: &LogId) -> bool {
        self.beside
            .door
            .as_ref()
            .is_some_and(|door| door.log == *log)
    }

    pub(super) fn refused_beside(&mut self, log: LogId) -> Result<()> {
        self.beside.open.remove(&log);
        if self.is_door(&log) {
            return self.door_refused();
        }
        if self.attachment_refused(&log)? || self.pool_refused(&log) || self.queue_refused(&log)? {
            return Ok(());
        }
        if self.desk_log_refused(&log) || self.is_inbox_unmade(&log) || self.is_card(&log) {
            return Ok(());
        }
        if self.is_rating() {
            self.rating_is_over();
            return Ok(());
        }
        if self.waits_for_answer() || self.is_tray(&log) {
            self.tell(Event::Refused);
        }
        self.inbox_refused(&log)
    }

    /// Whether the token was of an ask beside the conversation, which is then dealt with.
    pub(super) fn answered_beside(
        &mut self,
        token: Token,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<bool> {
        let Some(side) = self.beside.asked.remove(&token) else {
            return Ok(false);
        };
        let code = result.as_ref().err().map(|denied| denied.refusal.code);
        match (side, code) {
            // Refused: an earlier asking made it, and opening it shows that; or it opens to nobody.
            (Side::MakeDoor, None | Some(ErrorCode::Refused)) => self.door_made()?,
            (Side::MakeInbox, None | Some(ErrorCode::Refused)) => self.inbox_made()?,
            (Side::HoldFence, None) => {
                if let Ok(Answer::Held(held)) = result {
                    self.beside.held_fence = Some(held.fence);
                }
            }
            // Whatever keeps the log there, we are gone.
            (Side::HoldFence, Some(_)) | (Side::DeleteLog, _) => self.end(Stage::Left),
            (Side::MakeDoor, Some(ErrorCode::RetryTooOld)) => self.door_too_old(now)?,
            (Side::MakeInbox, Some(ErrorCode::RetryTooOld)) => self.inbox_too_old(now)?,
            (Side::MakeDoor, Some(code)) => self.put_off(Need::Door, code, now),
            (Side::MakeInbox, Some(code)) => self.put_off(Need::Inbox, code, now),
            // What is refused is gone already, and that is what was wanted.
            (Side::CloseDoor, None | Some(ErrorCode::Refused)) => self.door_closed()?,
            (Side::DeleteDoor, None | Some(ErrorCode::Refused)) => self.door_deleted(),
            (Side::ChangeDoorKeys, None) => self.door_keys_changed()?,
            // Somebody was faster: their keys are asked for once ours are refused.
            (Side::ChangeDoorKeys, Some(_)) => self.door_keys_not_changed()?,
            (Side::DeleteInbox, None | Some(ErrorCode::Refused)) => self.inbox_deleted(),
            (Side::CloseDoor, Some(_)) => self.open_door_again(),
            (Side::DeleteDoor | Side::DeleteInbox, Some(_)) => self.out.hang_up = true,
            (
                Side::MakeTray
                | Side::MakePool
                | Side::CountPool
                | Side::FillPool
                | Side::DeleteTray
                | Side::DeletePool,
                _,
            ) => self.inbox_answered(side, result, now)?,
            (Side::Take(pool), _) => self.taken(&pool, result)?,
            (Side::Look(of), _) => self.looked(of, result, now),
            (Side::ClaimRubbish(of, seq), _) => self.rubbish_claimed((of, seq), result, now)?,
            (Side::EndRubbish(of, seq), _) => self.rubbish_ended((of, seq), result, now)?,
            (Side::ReadCard, _) => self.card_read_again(result, now)?,
            (Side::Place, _) => self.placed(result, now)?,
            (Side::Withdraw, _) => self.withdrawn(result, now)?,
            (Side::LastLook, _) => self.looked_for_answer(result, now)?,
            (Side::Claim, _) => self.claimed(result, now)?,
            (Side::Renew, _) => self.renewed(result)?,
            (Side::ClearTicket | Side::Release, _) => self.ticket_lost()?,
            (Side::MakeDesk(which), _) => self.desk_made(which, result, now)?,
            (Side::ChangeDesk(which, number), _) => {
                self.desk_changed(which, number, result, now)?
            }
            (Side::PublishCard(number), _) => self.card_published(number, result, now)?,
            _ => self.transfer_answered(side, result, now)?,
        }
        Ok(true)
    }

    /// What can be done now beside the conversation. Called once an input.
    pub(super) fn go_on_beside(&mut self, now: Now) -> Result<()> {
        self.knock_instead(now)?;
        self.make_what_was_put_off(now)?;
        self.read_door_on();
        self.let_in_to_chat()?;
        self.close_door_if_due(now)?;
        self.hand_over_what_is_due(now)?;
        self.trim_door(now)?;
        self.go_on_adding(now)?;
        self.go_on_inbox(now)?;
        self.go_on_taking(now)?;
        self.go_on_desk(now)?;
        self.go_on_duty(now);
        self.say_gone(now)?;
        self.say_ratings(now)?;
        self.close_if_due(now)?;
        self.go_on_retelling();
        self.go_on_knocking(now)
    }

    fn make_what_was_put_off(&mut self, now: Now) -> Result<()> {
        if !self.is_online {
            return Ok(());
        }
        self.make_door(now)?;
        self.make_inbox(now)?;
        self.make_desk(now)
    }

    /// When to come back for what is beside the conversation.
    pub(super) fn wake_beside(&self, now: Now) -> Option<u64> {
        let at = self.beside.knock_at_ms;
        let again = (at > now.steady_ms && self.is_knocking()).then_some(at);
        let at = self.beside.place_at_ms;
        let place = (at > now.steady_ms && self.is_asking()).then_some(at);
        let put_off = self.beside.knocks.values().map(|knock| knock.put_off.0);
        let put_off = put_off.filter(|at| *at > now.steady_ms);
        let lease = self.wake_taking(now);
        let undone = self.beside.put_off.next(now);
        let others = [
            again,
            place,
            lease,
            self.wake_closing(now),
            self.wake_duty(now),
            self.wake_pace(now),
            self.wake_gone(now),
            self.wake_ratings(now),
            self.wake_card(now),
            undone,
        ];
        put_off.chain(others.into_iter().flatten()).min()
    }

    pub(super) fn keep_beside<T: Serialize>(&mut self, name: &[u8], value: &T) -> Result<()> {
        let value = saved::encode(value)?;
        self.out.store.put(Key::new(self.space, name), value);
        Ok(())
    }

    pub(super) fn drop_beside(&mut self, name: &[u8]) {
        self.delete_row(name);
    }

    /// Everything beside the conversation goes, as it is over for us.
    pub(super) fn forget_beside(&mut self) {
        self.drop_beside(saved::DOOR);
        self.drop_beside(saved::KNOCKING);
        self.drop_beside(saved::TICKET);
        for name in [saved::TAKING, saved::DESK, saved::OFFICE, saved::PAST] {
            self.drop_beside(name);
        }
        self.forget_numbers();
        let leaves: Vec<_> = self.beside.knocks.keys().copied().collect();
        for leaf in leaves {
            self.drop_beside(&saved::knock_name(&leaf));
        }
        let pools: Vec<_> = self.beside.adding.keys().copied().collect();
        for pool in pools {
            self.drop_beside(&inviting::name(&pool));
        }
        self.beside = Beside::default();
    }
}
