//! A standing inbox of ours: a pool of KeyPackages that others take, and the letters of those who
//! added us with one. SPEC.md, "Standing inbox".
//!
//! It runs like a conversation, on a connection and in a space of its own, and is none: no group,
//! nothing to say. What a Welcome opens becomes a conversation of its own once the person says yes.

use core::fmt;

use serde::{Deserialize, Serialize};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Delete, Describe, Entry, Lane};
use sotto_protocol::id::LogId;
use sotto_protocol::proof::public_key;
use x25519_dalek::StaticSecret;

use super::begin::{JoinOptions, new_saved, new_space};
use super::beside::{Mark, Side, letterbox, new_root};
use super::pool::{POOL_DAYS, POOL_LOW, POOL_SIZE, new_pool};
use super::saved::{self, ByteString, RootKey, Stage};
use super::{
    Command, Effects, Engine, Event, Invitation, InvitationId, Reply, Standing, group_id, internal,
    no_randomness, retry_id,
};
use crate::error::{Error, ErrorKind, Result};
use crate::link::{InboxLink, RelayAddress};
use crate::log::{Ask, Cursor, Denied, Keeps, NewLog};
use crate::mls::{Group, LeafId, LeafKey, Suite, Values};
use crate::policy::Policy;
use crate::random;
use crate::seal::letter::{InviteBody, Purpose, Read};
use crate::time::Now;
use crate::vault::Key;

/// Invitations that wait for a yes or no; what comes then stays in the inbox, the oldest first.
pub(super) const INVITATIONS_MAX: usize = 32;
/// Letters a minute by all who have the address.
const INVITATIONS_PER_MINUTE: u32 = 30;
/// Bytes of letters that were not read yet: four Welcomes of the largest room.
const INBOX_BYTES_MAX: u64 = 8 << 20;

pub(super) fn new_tray(root: &RootKey, own: &[u8; 32], append: &[u8; 32]) -> NewLog {
    letterbox(root, own, append, INVITATIONS_PER_MINUTE, INBOX_BYTES_MAX)
}

/// How an inbox is made.
#[derive(Clone, Debug)]
pub struct InboxOptions {
    /// Where it is; only conversations on this relay can use it.
    pub relay: RelayAddress,
    /// Of the conversations that can use it; post-quantum by default.
    pub suite: Suite,
}

impl InboxOptions {
    /// An inbox on this relay with every choice at its default.
    #[must_use]
    pub fn new(relay: RelayAddress) -> Self {
        Self {
            relay,
            suite: Suite::default(),
        }
    }
}

/// An inbox's secrets, and how far it was read.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Inbox {
    pub(super) log: LogId,
    root: Option<RootKey>,
    pub(super) pool: LogId,
    pool_root: Option<RootKey>,
    /// Secret grant key that reads, trims and manages both logs, and fills the pool.
    #[serde(with = "serde_bytes")]
    own: [u8; 32],
    /// Secret grant keys that the address hands out.
    #[serde(with = "serde_bytes")]
    append: [u8; 32],
    #[serde(with = "serde_bytes")]
    take: [u8; 32],
    /// HPKE secret key that letters are sealed to.
    #[serde(with = "serde_bytes")]
    reading: [u8; 32],
    /// HPKE secret key that the address hands out and KeyPackages are sealed to.
    #[serde(with = "serde_bytes")]
    pub(super) opening: [u8; 32],
    mark: Mark,
    /// Entries that were no letters.
    junk: u64,
    /// Invitations for KeyPackages whose keys are gone.
    lost: u64,
    /// Of the next KeyPackage or invitation.
    pub(super) next: u64,
    /// When the pool was last filled, by the relay's date; 0 before.
    pub(super) filled: u32,
    /// The last KeyPackage was used: it is to be replaced.
    pub(super) is_spent: bool,
    /// It is given up, and waits for the relay to hear so.
    is_closing: bool,
    /// The last entry that was met, which may be a part of a letter.
    #[serde(skip)]
    met: Option<Cursor>,
    /// The relay was asked to drop what stands up to here.
    #[serde(skip)]
    trimmed: u64,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox(…)")
    }
}

/// A letter that opened, until the person decides; the KeyPackage's keys come with it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptInvitation {
    by: LeafId,
    log: LogId,
    letter: ByteString,
    #[serde(with = "serde_bytes")]
    seed: [u8; 32],
    values: Vec<(ByteString, ByteString)>,
}

impl fmt::Debug for KeptInvitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptInvitation(…)")
    }
}

fn values_of(kept: &[(ByteString, ByteString)]) -> Values {
    kept.iter()
        .map(|(key, value)| (key.0.clone(), value.0.clone()))
        .collect()
}

/// A letter that opens with a KeyPackage, into a conversation as its own rules want it.
struct Opened {
    group: Group,
    policy: Policy,
    by: LeafId,
}

fn open_letter(
    seed: &[u8; 32],
    values: &[(ByteString, ByteString)],
    body: &InviteBody<'_>,
) -> Option<Opened> {
    let welcome = &body.welcome;
    let (group, by) = Group::from_welcome(
        values_of(values),
        welcome.welcome.as_slice(),
        welcome.tree.as_slice(),
    )
    .ok()?;
    let gid = group_id(&welcome.log);
    let policy = Policy::parse(&group.policy()).ok()?;
    let is_sound = group.id() == gid
        && group.leaves().contains(&LeafKey::from_seed(seed).id())
        && policy.is_facilitator(&by)
        && policy.leads_from(&gid, &body.founder, &by);
    is_sound.then_some(Opened { group, policy, by })
}

impl Engine {
    /// Opens an inbox. It is kept when this is stored; the relay need not be reachable yet.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] without randomness.
    pub fn open_inbox(options: InboxOptions, now: Now) -> Result<(Self, Effects)> {
        let nowhere = LogId::new([0; 32]);
        let mut saved = new_saved(options.relay, nowhere, "-")?;
        saved.suite = options.suite;
        saved.stage = Stage::Joining;
        let ((log, root), (pool, pool_root)) = (new_root()?, new_root()?);
        let mut engine = Self::assemble(new_space()?, saved);
        engine.beside.inbox = Some(Inbox {
            log,
            root: Some(root),
            pool,
            pool_root: Some(pool_root),
            own: random::array().map_err(no_randomness)?,
            append: random::array().map_err(no_randomness)?,
            take: random::array().map_err(no_randomness)?,
            reading: random::array().map_err(no_randomness)?,
            opening: random::array().map_err(no_randomness)?,
            mark: Mark::start(&log),
            junk: 0,
            lost: 0,
            next: 0,
            filled: 0,
            is_spent: false,
            is_closing: false,
            met: None,
            trimmed: 0,
        });
        engine.keep_inbox()?;
        engine.start()?;
        let now = engine.paced(now);
        let effects = engine.finish(now);
        Ok((engine, effects))
    }

    /// Whether this is an inbox and no conversation.
    #[must_use]
    pub const fn is_inbox(&self) -> bool {
        self.beside.inbox.is_some()
    }

    /// The address of the inbox; nothing for a conversation or an inbox that was given up.
    #[must_use]
    pub fn inbox_link(&self) -> Option<InboxLink> {
        let inbox = self.beside.inbox.as_ref()?;
        (!inbox.is_closing).then(|| InboxLink {
            pool: inbox.pool,
            take: inbox.take,
            inbox: inbox.log,
            owner: self.key.id(),
            relay: self.saved.relay.clone(),
            suite: self.saved.suite,
            append: inbox.append,
            opening: inbox.opening,
            sealing: public_key(&StaticSecret::from(inbox.reading)),
        })
    }

    /// An inbox is one once others can take from it.
    pub(super) const fn inbox_standing(&self) -> Standing {
        match &self.beside.inbox {
            Some(inbox) if inbox.filled > 0 => Standing::In,
            _ => Standing::Founding,
        }
    }

    /// Invitations that wait for a yes or no, oldest first.
    #[must_use]
    pub fn invitations(&self) -> Vec<Invitation> {
        let waiting = self.beside.invitations.iter();
        waiting
            .map(|(number, kept)| Invitation {
                id: InvitationId(*number),
                by: kept.by,
                log: kept.log,
            })
            .collect()
    }

    /// The conversation that an invitation leads to. Its batch takes the invitation out of the
    /// inbox's space as well; then give the inbox [`Command::Decline`], which has it forgotten.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that cannot be shown, or an invitation that is not there.
    pub fn accept(
        &self,
        id: InvitationId,
        options: &JoinOptions,
        now: Now,
    ) -> Result<(Self, Effects)> {
        let kept = self
            .beside
            .invitations
            .get(&id.0)
            .ok_or_else(no_invitation)?;
        let body: InviteBody<'_> = sotto_protocol::cbor::decode(&kept.letter.0)
            .map_err(|_| internal("an invitation that was kept"))?;
        let opened = open_letter(&kept.seed, &kept.values, &body)
            .ok_or_else(|| internal("an invitation that opened"))?;
        let mut saved = new_saved(self.saved.relay.clone(), body.welcome.log, &options.name)?;
        saved.seed = kept.seed;
        saved.founder = body.founder;
        saved.day_floor = self.saved.day_floor;
        saved.stage = Stage::Joining;
        saved.begun_ms = now.wall_ms;
        let mut engine = Self::assemble(new_space()?, saved);
        engine.session.set_day_floor(engine.saved.day_floor);
        engine.enter(&body.welcome, opened.group, opened.policy, opened.by)?;
        let now = engine.paced(now);
        engine.say_hello(now)?;
        let mut effects = engine.finish(now);
        let name = saved::number_name(saved::INVITED, id.0);
        effects.store.delete(Key::new(self.space, name));
        effects.scrub = true;
        Ok((engine, effects))
    }

    pub(super) fn obey_as_inbox(&mut self, command: &Command) -> Result<Reply> {
        match command {
            Command::Decline(id) => {
                if self.beside.invitations.remove(&id.0).is_none() {
                    return Err(no_invitation());
                }
                self.delete_row(&saved::number_name(saved::INVITED, id.0));
                self.out.scrub = true;
            }
            Command::Leave => self.close_inbox()?,
            _ => {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "an inbox is no conversation",
                ));
            }
        }
        Ok(Reply::Kept)
    }

    /// Forgets at once what could open anything; the logs go when the relay is reached.
    fn close_inbox(&mut self) -> Result<()> {
        self.forget_inbox_rows();
        if let Some(inbox) = &mut self.beside.inbox {
            inbox.is_closing = true;
            inbox.reading = [0; 32];
            inbox.opening = [0; 32];
            let log = inbox.log;
            self.session.unfollow(&log);
        }
        self.keep_inbox()
    }

    #[cfg(test)]
    pub(super) fn inbox_mark(&self) -> u64 {
        let inbox = self.beside.inbox.as_ref();
        inbox.map_or(0, |inbox| inbox.mark.cursor().seq)
    }

    fn forget_inbox_rows(&mut self) {
        let packages = core::mem::take(&mut self.beside.packages);
        for number in packages.keys() {
            self.delete_row(&saved::number_name(saved::PACKAGE, *number));
        }
        let invitations = core::mem::take(&mut self.beside.invitations);
        for number in invitations.keys() {
            self.delete_row(&saved::number_name(saved::INVITED, *number));
        }
        self.out.scrub = true;
    }

    pub(super) fn keep_inbox(&mut self) -> Result<()> {
        match self.beside.inbox.clone() {
            Some(inbox) => self.keep_beside(saved::INBOX, &inbox),
            None => Ok(()),
        }
    }

    pub(super) fn start_tray(&mut self) {
        let Some(inbox) = &self.beside.inbox else {
            return;
        };
        let own = || vec![StaticSecret::from(inbox.own)];
        self.session.open(inbox.log, own());
        self.session.open(inbox.pool, own());
        if !inbox.is_closing {
            self.follow_tray();
        }
    }

    fn follow_tray(&mut self) {
        if let Some(inbox) = &self.beside.inbox {
            let (log, cursor) = (inbox.log, inbox.mark.cursor());
            self.session
                .follow(log, Lane::All, cursor, Keeps::Removable);
        }
    }

    pub(super) fn is_tray(&self, log: &LogId) -> bool {
        let inbox = self.beside.inbox.as_ref();
        inbox.is_some_and(|inbox| inbox.log == *log)
    }

    /// Makes both logs, unless the relay said that they stand.
    pub(super) fn make_tray(&mut self, now: Now) -> Result<()> {
        let today = self.session.today(now);
        let is_asked = |side| self.beside.is_asked(side);
        let (tray_asked, pool_asked) = (is_asked(Side::MakeTray), is_asked(Side::MakePool));
        let Some(inbox) = self.beside.inbox.as_mut() else {
            return Ok(());
        };
        let mut new = Vec::new();
        if let Some(root) = inbox.root.as_mut().filter(|_| !tray_asked) {
            root.ask_on(today);
            let log = new_tray(root, &inbox.own, &inbox.append);
            new.push((log, Side::MakeTray));
        }
        if let Some(root) = inbox.pool_root.as_mut().filter(|_| !pool_asked) {
            root.ask_on(today);
            new.push((new_pool(root, &inbox.own, &inbox.take), Side::MakePool));
        }
        self.keep_inbox()?;
        for (log, side) in new {
            self.create_beside(log, side);
        }
        Ok(())
    }

    pub(super) fn inbox_answered(
        &mut self,
        side: Side,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        let Some(inbox) = &mut self.beside.inbox else {
            return Ok(());
        };
        match (side, result) {
            (Side::MakeTray, Ok(_)) => inbox.root = None,
            (Side::MakePool, Ok(_)) => inbox.pool_root = None,
            // It stands already, or the relay makes none for us; the `open` tells which.
            (Side::MakeTray, Err(denied)) if denied.refusal.code == ErrorCode::Refused => {
                inbox.root = None;
            }
            (Side::MakePool, Err(denied)) if denied.refusal.code == ErrorCode::Refused => {
                inbox.pool_root = None;
            }
            (Side::MakeTray | Side::MakePool, Err(denied))
                if denied.refusal.code == ErrorCode::RetryTooOld =>
            {
                let is_tray = side == Side::MakeTray;
                let (tray, pool) = (&mut inbox.root, &mut inbox.pool_root);
                if let Some(root) = if is_tray { tray } else { pool } {
                    root.renew()?;
                }
                return self.make_tray(now);
            }
            (Side::CountPool, Ok(Answer::Described(described))) => {
                self.beside.is_counted = true;
                let (left, today) = (described.entries, self.session.today(now));
                // One of them is the last resort.
                let is_due = left < POOL_LOW + 1
                    || inbox.is_spent
                    || today >= inbox.filled.saturating_add(POOL_DAYS);
                if is_due {
                    self.send_packages(now)?;
                }
                return Ok(());
            }
            (Side::FillPool, Ok(Answer::Appended(done))) => {
                let (pool, is_first) = (inbox.pool, inbox.filled == 0);
                inbox.filled = done.first().map_or(0, |done| done.day);
                inbox.is_spent = false;
                self.keep_inbox()?;
                if is_first {
                    self.tell(Event::Standing(self.standing()));
                }
                let last = done.first().map_or(0, |done| done.seq);
                let before = last.saturating_sub(POOL_SIZE as u64 + 1);
                return match before {
                    0 => Ok(()),
                    // Older ones go, the last resort before this one among them.
                    _ => self.trim_beside(pool, before, now),
                };
            }
            (Side::DeletePool, _) if is_done(result) => self.end(Stage::Left),
            (Side::DeleteTray, _) if is_done(result) => {}
            // The next connection tells more.
            _ => self.out.hang_up = true,
        }
        self.keep_inbox()
    }

    /// The next entry of the inbox. What it led to is stored with the place behind it, and only then
    /// it goes from the relay.
    pub(super) fn invitation_met(&mut self, entry: &Entry<'_>, cursor: Cursor) -> Result<()> {
        let Some(inbox) = self.beside.inbox.as_mut().filter(|one| !one.is_closing) else {
            return Ok(());
        };
        let log = inbox.log;
        if self.beside.is_full || self.beside.invitations.len() >= INVITATIONS_MAX {
            self.beside.is_full = true;
            self.session.unfollow(&log);
            return Ok(());
        }
        let read = self.beside.letters.read(
            &inbox.reading,
            Purpose::Invite,
            &log,
            entry.sealed.as_slice(),
        );
        let before = inbox.met.replace(cursor);
        self.session.consumed(&log, cursor.seq);
        let letter = match read {
            Read::Whole(letter) => Some(letter),
            Read::Junk => None,
            // The parts of a run are dealt with together, once it is whole or another begins: whoever
            // begins letters and ends none must not have them kept.
            Read::More => match before {
                Some(before) if self.beside.letters.has_just_begun() => {
                    return self.broken_off(before);
                }
                _ => return Ok(()),
            },
        };
        inbox.mark = cursor.into();
        let body = letter
            .as_ref()
            .and_then(|letter| sotto_protocol::cbor::decode::<InviteBody<'_>>(letter).ok());
        match (body, letter.as_ref()) {
            (Some(body), Some(letter)) => self.invited(&body, letter)?,
            _ => self.junk_in_inbox(),
        }
        // Somebody took a KeyPackage for it, or has the address and makes noise.
        self.beside.is_counted = false;
        self.keep_inbox()
    }

    /// A letter begins behind `before`: one that was not at its end there has none.
    fn broken_off(&mut self, before: Cursor) -> Result<()> {
        let Some(inbox) = &mut self.beside.inbox else {
            return Ok(());
        };
        if inbox.mark.cursor().seq < before.seq {
            inbox.mark = before.into();
            self.junk_in_inbox();
            self.keep_inbox()?;
        }
        Ok(())
    }

    fn junk_in_inbox(&mut self) {
        if let Some(inbox) = &mut self.beside.inbox {
            inbox.junk += 1;
            let count = inbox.junk;
            self.tell(Event::Junk { count });
        }
    }

    /// A letter of somebody who has the address. The first KeyPackage that it opens with counts; one
    /// that is no last resort goes with it.
    fn invited(&mut self, body: &InviteBody<'_>, letter: &[u8]) -> Result<()> {
        let welcome = body.welcome.welcome.as_slice();
        let named = Group::references_in(welcome).unwrap_or_default();
        let packages = self.beside.packages.iter();
        let mut ours = packages.filter(|(_, kept)| named.contains(&kept.reference.0));
        let found = ours.find_map(|(number, kept)| {
            let opened = open_letter(&kept.seed, &kept.values, body)?;
            Some((*number, kept.clone(), opened))
        });
        let Some(inbox) = &mut self.beside.inbox else {
            return Ok(());
        };
        let Some((used, package, opened)) = found else {
            inbox.lost += 1;
            let count = inbox.lost;
            self.tell(Event::InvitationLost { count });
            return Ok(());
        };
        let number = inbox.next;
        inbox.next += 1;
        inbox.is_spent |= package.is_last_resort;
        if !package.is_last_resort {
            self.forget_package(used);
        }
        let kept = KeptInvitation {
            by: opened.by,
            log: body.welcome.log,
            letter: ByteString(letter.to_vec()),
            seed: package.seed,
            values: package.values,
        };
        self.keep_beside(&saved::number_name(saved::INVITED, number), &kept)?;
        self.tell(Event::Invited(Invitation {
            id: InvitationId(number),
            by: kept.by,
            log: kept.log,
        }));
        self.beside.invitations.insert(number, kept);
        Ok(())
    }

    /// What can be done now for the inbox. Called once an input.
    pub(super) fn go_on_inbox(&mut self, now: Now) -> Result<()> {
        let Some(inbox) = &self.beside.inbox else {
            return Ok(());
        };
        let (log, pool) = (inbox.log, inbox.pool);
        if inbox.is_closing {
            return self.take_inbox_away(now);
        }
        if self.beside.is_full && self.beside.invitations.len() < INVITATIONS_MAX {
            self.beside.is_full = false;
            self.follow_tray();
        }
        self.trim_inbox(now)?;
        let is_due = self.beside.open.contains(&pool)
            && self.beside.open.contains(&log)
            && !self.beside.is_counted
            && !self.beside.is_asked(Side::FillPool);
        if is_due {
            self.ask_beside(Ask::Describe(Describe { log: pool }), Side::CountPool);
        }
        Ok(())
    }

    /// Drops what was dealt with at the relay, once an input.
    fn trim_inbox(&mut self, now: Now) -> Result<()> {
        let Some(inbox) = &mut self.beside.inbox else {
            return Ok(());
        };
        let (log, to) = (inbox.log, inbox.mark.cursor().seq);
        if to > inbox.trimmed && self.beside.open.contains(&log) {
            inbox.trimmed = to;
            self.trim_beside(log, to, now)?;
        }
        Ok(())
    }

    fn take_inbox_away(&mut self, now: Now) -> Result<()> {
        let Some(inbox) = &self.beside.inbox else {
            return Ok(());
        };
        let (log, pool) = (inbox.log, inbox.pool);
        let is_unheard =
            |root: &Option<RootKey>| root.as_ref().is_some_and(|root| !root.is_asked());
        if is_unheard(&inbox.root) && is_unheard(&inbox.pool_root) {
            // No relay ever heard of it.
            self.end(Stage::Left);
            return Ok(());
        }
        if !self.is_online {
            return Ok(());
        }
        for (log, side) in [(log, Side::DeleteTray), (pool, Side::DeletePool)] {
            let (day, retry) = (self.session.today(now), retry_id()?);
            self.ask_beside(Ask::Delete(Delete { day, log, retry }), side);
        }
        Ok(())
    }
}

/// What is refused is gone already, and that is what was wanted.
fn is_done(result: &core::result::Result<Answer<'static>, Denied>) -> bool {
    match result {
        Ok(_) => true,
        Err(denied) => denied.refusal.code == ErrorCode::Refused,
    }
}

fn no_invitation() -> Error {
    Error::new(ErrorKind::Invalid, "there is no such invitation")
}
