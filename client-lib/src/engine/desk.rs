//! A desk in a team's room: the logs it needs, its card, and the keys that its supporters share.
//! SPEC.md, "Team".
//!
//! The team's room is an ordinary conversation. Who runs the desk, its *office*, is one facilitator's
//! device: it has the organisation's key, makes the card's log and both queues, and signs each card.
//! What supporters need is said in the room, by a facilitator, as names are: again for newcomers,
//! and anew when somebody is gone.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Grants, Item, NewGrants, Opened};
use sotto_protocol::id::LogId;
use x25519_dalek::StaticSecret;

use super::beside::{Side, item_of, new_root};
use super::office::{CAPACITY_MAX, DeskLog, Office, Team};
use super::putting_off::Need;
use super::saved::{self, RootKey, Stage};
use super::{Engine, Event, internal, no_randomness, retry_id};
use crate::content::ContentBody;
use crate::desk::{
    CardFigures, DeskAddress, DeskFounding, DeskKeys, Openings, OrganisationKey, SignedKeys,
};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Ask, Denied};
use crate::mls::{Group, LeafId};
use crate::random;
use crate::time::Now;

impl Engine {
    /// Whether this is the room of a desk's team, as far as we were told.
    #[must_use]
    pub const fn is_desk(&self) -> bool {
        self.beside.desk.is_some()
    }

    /// The desk's address, for a poster. Who has it can read the card and ask, once
    /// [`Event::DeskReady`] was told.
    #[must_use]
    pub fn desk_address(&self) -> Option<DeskAddress> {
        let keys = self.beside.desk.as_ref()?;
        let relay = self.saved.relay.clone();
        Some(DeskAddress::new(relay, keys.organisation, keys.desk))
    }

    pub(super) fn found_desk(&mut self, founding: DeskFounding) -> Result<()> {
        if !self.facilitates() {
            return Err(Error::new(
                ErrorKind::NotAllowed,
                "only a facilitator can do this",
            ));
        }
        if self.beside.desk.is_some() {
            return Err(Error::new(
                ErrorKind::Conflict,
                "there is a desk in this room already",
            ));
        }
        if !(1..=CAPACITY_MAX).contains(&founding.plan.capacity) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a desk lets 1 to 10,000 people wait",
            ));
        }
        let fresh = || random::array::<32>().map_err(no_randomness);
        let (queue, queue_root) = new_root()?;
        let (letters, letters_root) = new_root()?;
        let mut openings = Openings::none();
        openings.renew(fresh()?);
        let keys = DeskKeys {
            desk: founding.plan.desk,
            claim: fresh()?,
            queue,
            suite: self.saved.suite,
            number: 1,
            letters,
            minutes: Some(founding.plan.minutes).filter(|minutes| *minutes > 0),
            openings: openings.keys(),
            chats_each: founding.plan.chats_each,
            organisation: OrganisationKey::from_seed(&founding.organisation).id(),
        };
        let card_root = RootKey {
            key: founding.card.root,
            retry: retry_id()?,
            day: 0,
        };
        let office = Office {
            organisation: *founding.organisation,
            plan: founding.plan,
            card: founding.card,
            manage: fresh()?,
            queue_append: fresh()?,
            letters_append: fresh()?,
            openings,
            team: Team::new(
                self.group.as_ref().map_or(0, Group::epoch),
                self.group.as_ref().map(Group::leaves).unwrap_or_default(),
            ),
            roots: [Some(card_root), Some(queue_root), Some(letters_root)],
            versions: [0; 2],
            keys_due: [false; 2],
            number: 1,
            card_due: true,
            until: 0,
            pace: None,
            say_due: true,
        };
        // A card that could not be signed later is refused now.
        self.card_of(&office, &keys, 0)?;
        self.beside.office = Some(office);
        self.beside.desk = Some(keys);
        self.keep_office()?;
        self.keep_desk()?;
        self.start_desk();
        Ok(())
    }

    pub(super) fn keep_office(&mut self) -> Result<()> {
        match self.beside.office.clone() {
            Some(office) => self.keep_beside(saved::OFFICE, &office),
            None => Ok(()),
        }
    }

    /// Keeps the desk's keys as they are said in the room, signed by the office.
    fn keep_desk(&mut self) -> Result<()> {
        let (Some(office), Some(keys)) = (&self.beside.office, &self.beside.desk) else {
            return Ok(());
        };
        let signed = SignedKeys::sign(&office.organisation(), &self.saved.log, keys)?;
        self.keep_signed(signed)
    }

    fn keep_signed(&mut self, signed: SignedKeys) -> Result<()> {
        self.keep_beside(saved::DESK, &signed)?;
        self.beside.desk_signed = Some(signed);
        Ok(())
    }

    /// After a start: what was kept is what the organisation signed.
    pub(super) fn begin_with_desk(&mut self) -> Result<()> {
        let what = "the desk's keys of the vault are not signed";
        let damaged = || Error::new(ErrorKind::VaultDamaged, what);
        if let Some(signed) = &self.beside.desk_signed {
            let keys = signed.open(&self.saved.log).ok_or_else(damaged)?;
            self.beside.desk = Some(keys);
        }
        Ok(())
    }

    fn log_of_desk(&self, which: DeskLog) -> Option<LogId> {
        Some(match which {
            DeskLog::Card => self.beside.office.as_ref()?.card.log,
            DeskLog::Queue => self.beside.desk.as_ref()?.queue,
            DeskLog::Letters => self.beside.desk.as_ref()?.letters,
        })
    }

    /// What the office manages the desk's logs with.
    pub(super) fn desk_manage(&self) -> Option<StaticSecret> {
        self.beside.office.as_ref().map(Office::manage)
    }

    pub(super) fn start_desk(&mut self) {
        if let Some(office) = &self.beside.office {
            let manage = office.manage();
            for which in DeskLog::ALL {
                if let Some(log) = self.log_of_desk(which) {
                    self.session.open(log, vec![manage.clone()]);
                }
            }
        }
        self.read_behind_queues();
    }

    /// At once, where there is a line already.
    pub(super) fn make_desk_if_online(&mut self, now: Now) -> Result<()> {
        if self.is_online {
            return self.make_desk(now);
        }
        Ok(())
    }

    /// Makes what the relay has not said of that it stands.
    pub(super) fn make_desk(&mut self, now: Now) -> Result<()> {
        let today = self.session.today(now);
        for which in DeskLog::ALL {
            let is_due = self.beside.put_off.is_due(Need::Log(which), now);
            if !is_due || self.beside.is_asked(Side::MakeDesk(which)) {
                continue;
            }
            let (Some(office), Some(keys)) = (&mut self.beside.office, &self.beside.desk) else {
                return Ok(());
            };
            let Some(root) = office.root(which) else {
                continue;
            };
            root.ask_on(today);
            let root = root.clone();
            let new = office.new_log(which, &root, keys);
            self.keep_office()?;
            self.create_beside(new, Side::MakeDesk(which));
        }
        Ok(())
    }

    pub(super) fn desk_made(
        &mut self,
        which: DeskLog,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        let code = result.as_ref().err().map(|denied| denied.refusal.code);
        let Some(office) = &mut self.beside.office else {
            return Ok(());
        };
        match code {
            // Refused: an earlier asking made it, and opening it shows that, or that we did not.
            None | Some(ErrorCode::Refused) => {
                *office.root(which) = None;
                if self.beside.put_off.done(Need::Log(which)) {
                    // Opening it was refused before.
                    self.start_desk();
                }
            }
            Some(ErrorCode::RetryTooOld) => {
                if let Some(root) = office.root(which) {
                    root.renew()?;
                }
                self.keep_office()?;
                return self.make_desk(now);
            }
            Some(code) => self.put_off(Need::Log(which), code, now),
        }
        self.keep_office()
    }

    pub(super) fn desk_opened(&mut self, log: LogId, opened: &Opened) {
        let is_queue = self.log_of_desk(DeskLog::Queue) == Some(log);
        let is_letters = self.log_of_desk(DeskLog::Letters) == Some(log);
        let is_card = self.log_of_desk(DeskLog::Card) == Some(log);
        self.beside.is_desk_refused &= !(is_card || is_queue || is_letters);
        if let Some(office) = &mut self.beside.office {
            let [queue, letters] = &mut office.versions;
            if is_queue {
                *queue = opened.version;
            } else if is_letters {
                *letters = opened.version;
            }
            if is_queue || is_letters {
                self.beside.numbers.queue_goes_to(is_letters, opened.head);
            }
        }
    }

    /// Whether a log that does not open is one of the desk's, at its office.
    pub(super) fn desk_log_refused(&mut self, log: &LogId) -> bool {
        let mut all = DeskLog::ALL.into_iter();
        let found = all.find(|which| self.log_of_desk(*which).as_ref() == Some(log));
        let (Some(which), Some(office)) = (found, &mut self.beside.office) else {
            return false;
        };
        // One that is still to be made is no riddle.
        let is_made = office.root(which).is_none();
        if is_made && !core::mem::replace(&mut self.beside.is_desk_refused, true) {
            self.tell(Event::DeskRefused);
        }
        true
    }

    /// What can be done now for the desk. Called once an input.
    pub(super) fn go_on_desk(&mut self, now: Now) -> Result<()> {
        let is_in = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        if self.beside.office.is_none() || !is_in || !self.is_online {
            return Ok(());
        }
        self.look_at_team()?;
        self.write_down_who_is_gone()?;
        self.ask_how_far_queues_go(now);
        self.close_periods(now)?;
        self.forget_openings(now)?;
        self.change_queue_keys(now)?;
        self.tell_pace(now)?;
        self.publish_card(now)?;
        let said = self.beside.office.as_mut().is_some_and(|office| {
            let stands = office.roots.iter().all(Option::is_none) && office.keys_due == [false; 2];
            stands && !office.card_due && core::mem::take(&mut office.say_due)
        });
        if said {
            self.keep_office()?;
            self.say_desk(now)?;
            self.tell(Event::DeskReady);
        }
        Ok(())
    }

    /// Says the keys in the room, for those who are here and for newcomers.
    pub(super) fn say_desk(&mut self, now: Now) -> Result<()> {
        match self.beside.desk_signed.clone() {
            Some(signed) if self.facilitates() => {
                let body = ContentBody::Desk(Box::new(signed));
                self.queue(body, now).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// A facilitator says what supporters need. Only the organisation can have signed it: a
    /// facilitator who is not the office turns nobody to another queue.
    pub(super) fn desk_said(&mut self, by: LeafId, signed: SignedKeys) -> Result<()> {
        let policy = self.policy.as_ref();
        if !policy.is_some_and(|policy| policy.is_facilitator(&by)) {
            return Ok(());
        }
        let Some(keys) = signed.open(&self.saved.log) else {
            self.junk();
            return Ok(());
        };
        let known = self.beside.desk.as_ref();
        let is_other = known.is_some_and(|known| {
            known.organisation != keys.organisation || known.desk != keys.desk
        });
        if is_other {
            self.tell(Event::OtherDesk { by });
            return Ok(());
        }
        let is_newer = known.is_none_or(|known| known.number < keys.number);
        // The office knows best what it said.
        if !is_newer || self.beside.office.is_some() {
            return Ok(());
        }
        self.beside.desk = Some(keys);
        self.keep_signed(signed)?;
        self.tell(Event::DeskReady);
        self.duty_keys_changed();
        Ok(())
    }

    /// Looks at who is in the room, after each Commit and whatever else led to another epoch: who is
    /// gone had the desk's keys.
    pub(super) fn look_at_team(&mut self) -> Result<()> {
        let (Some(office), Some(group)) = (&mut self.beside.office, &self.group) else {
            return Ok(());
        };
        let epoch = group.epoch();
        if office.team.was_looked_at_in(epoch) {
            return Ok(());
        }
        let leaves = group.leaves();
        if office.team.has_lost(epoch, &leaves) {
            office.team.hears(leaves);
            return self.renew_desk_keys();
        }
        self.keep_office()
    }

    /// A supporter is gone: what they could open is sealed to another key from now on, and their key
    /// claims nothing.
    pub(super) fn renew_desk_keys(&mut self) -> Result<()> {
        let (Some(office), Some(keys)) = (&mut self.beside.office, &mut self.beside.desk) else {
            return Ok(());
        };
        keys.claim = random::array().map_err(no_randomness)?;
        let opening = random::array().map_err(no_randomness)?;
        office.openings.renew(opening);
        office.keys_due = [true; 2];
        office.number += 1;
        office.card_due = true;
        self.say_desk_anew()
    }

    /// Opening keys of which no letter is left go, here and at all supporters'.
    fn forget_openings(&mut self, now: Now) -> Result<()> {
        let today = self.session.today(now);
        let office = self.beside.office.as_mut();
        if office.is_some_and(|office| office.openings.forget(today)) {
            return self.say_desk_anew();
        }
        Ok(())
    }

    fn say_desk_anew(&mut self) -> Result<()> {
        let (Some(office), Some(keys)) = (&mut self.beside.office, &mut self.beside.desk) else {
            return Ok(());
        };
        keys.openings = office.openings.keys();
        keys.number += 1;
        office.say_due = true;
        self.keep_office()?;
        self.keep_desk()?;
        self.duty_keys_changed();
        Ok(())
    }

    fn change_queue_keys(&mut self, now: Now) -> Result<()> {
        for (which, at) in [(DeskLog::Queue, 0), (DeskLog::Letters, 1)] {
            let Some(log) = self.log_of_desk(which) else {
                return Ok(());
            };
            let (Some(office), Some(keys)) = (&self.beside.office, &self.beside.desk) else {
                return Ok(());
            };
            let is_due = office.keys_due.get(at).copied().unwrap_or_default()
                && self.beside.put_off.is_due(Need::Grants(which), now);
            // One at a time: the next one needs the version that this one gives.
            let mut asked = self.beside.asked.values();
            let is_asked =
                asked.any(|side| matches!(side, Side::ChangeDesk(one, _) if *one == which));
            if !is_due || is_asked || !self.beside.open.contains(&log) {
                continue;
            }
            let number = keys.number;
            let ask = Ask::Grants(Grants {
                day: self.session.today(now),
                log,
                new: NewGrants {
                    cut: false,
                    list: office.queue_grants(which, keys),
                    version: office.versions.get(at).copied().unwrap_or_default(),
                },
                retry: retry_id()?,
            });
            self.ask_beside(ask, Side::ChangeDesk(which, number));
        }
        Ok(())
    }

    pub(super) fn desk_changed(
        &mut self,
        which: DeskLog,
        number: u64,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        let need = Need::Grants(which);
        let is_newest = self
            .beside
            .desk
            .as_ref()
            .is_some_and(|keys| keys.number == number);
        let granted = match result {
            Ok(Answer::Granted(granted)) => granted,
            Err(denied) if !is_other_list(denied) => {
                self.put_off(need, denied.refusal.code, now);
                return Ok(());
            }
            // Perhaps by our own doing: a new connection tells.
            _ => {
                self.look_anew(need, now);
                return Ok(());
            }
        };
        self.beside.put_off.done(need);
        if let Some(office) = &mut self.beside.office {
            let ([queue, letters], [queue_due, letters_due]) =
                (&mut office.versions, &mut office.keys_due);
            let (version, due) = if which == DeskLog::Queue {
                (queue, queue_due)
            } else {
                (letters, letters_due)
            };
            // Somebody left meanwhile: the relay does not know the newest keys yet.
            (*version, *due) = (granted.version, *due && !is_newest);
        }
        if self.beside.duty.is_on {
            self.follow_queues();
        }
        self.keep_office()
    }

    fn card_of(&self, office: &Office, keys: &DeskKeys, until: u32) -> Result<Vec<u8>> {
        let figures = CardFigures {
            number: office.number,
            until,
            pace: office.pace,
            relay: self.saved.relay.identity,
            keys,
            appends: (&office.queue_append, &office.letters_append),
        };
        let card = office.plan.card(&figures);
        let card = card.ok_or_else(|| internal("a desk without a key"))?;
        card.seal(&office.organisation(), &office.card)
    }

    /// Puts the newest card into its log, and a fresh one long before the last is no longer believed.
    fn publish_card(&mut self, now: Now) -> Result<()> {
        let today = self.session.today(now);
        let mut asked = self.beside.asked.values();
        let is_asked = asked.any(|side| matches!(side, Side::PublishCard(_)));
        let Some(office) = &mut self.beside.office else {
            return Ok(());
        };
        let log = office.card.log;
        let half = u32::from(office.plan.days / 2).max(1);
        if !office.card_due && today.saturating_add(half) > office.until {
            office.number += 1;
            office.card_due = true;
        }
        let [card_root, ..] = &office.roots;
        let is_ready = office.card_due
            && card_root.is_none()
            && office.keys_due == [false; 2]
            && self.beside.put_off.is_due(Need::Card, now);
        let is_open = self.beside.open.contains(&log);
        if !is_ready || !is_open || is_asked {
            return Ok(());
        }
        office.until = today.saturating_add(u32::from(office.plan.days.max(1)));
        let (until, number) = (office.until, office.number);
        let (Some(office), Some(keys)) = (&self.beside.office, &self.beside.desk) else {
            return Ok(());
        };
        let sealed = self.card_of(office, keys, until)?;
        let items: Vec<Item<'static>> = vec![item_of(log, vec![sealed])?];
        self.keep_office()?;
        let (retry, day) = (retry_id()?, today);
        self.ask_beside(Ask::Append { items, retry, day }, Side::PublishCard(number));
        Ok(())
    }

    /// The newest card stands; the ones before it go.
    pub(super) fn card_published(
        &mut self,
        number: u64,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        let done = match result {
            Ok(Answer::Appended(done)) => done,
            Err(denied) if !is_other_list(denied) => {
                self.put_off(Need::Card, denied.refusal.code, now);
                return Ok(());
            }
            _ => {
                self.look_anew(Need::Card, now);
                return Ok(());
            }
        };
        self.beside.put_off.done(Need::Card);
        let seq = done.first().map_or(0, |done| done.seq);
        let today = self.session.today(now);
        let Some(office) = &mut self.beside.office else {
            return Ok(());
        };
        if office.number == number {
            office.card_due = false;
            office.openings.card_stands(today);
        }
        let log = office.card.log;
        self.keep_office()?;
        match seq.saturating_sub(1) {
            0 => Ok(()),
            before => self.trim_beside(log, before, now),
        }
    }
}

/// Whether the grants are others than we thought.
fn is_other_list(denied: &Denied) -> bool {
    matches!(
        denied.refusal.code,
        ErrorCode::GrantsConflict | ErrorCode::Refused
    )
}
