//! What an app wants: commands checked and kept, and the end of a conversation.

use super::begin::check_name;
use super::saved::{self, Intent, Stage};
use super::{Choices, Command, Engine, Reply};
use crate::content::{ContentBody, MessageId, RECEIPTS_MAX};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::LeafId;
use crate::policy::CLIENT_VERSION;
use crate::time::Now;
use crate::vault::Key;

/// At most one *typing* goes out in so long.
const TYPING_EVERY_MS: u64 = 10_000;
/// Receipts wait at least so long and at most three times as long, so that they say little about
/// when somebody looked, and go out together.
const RECEIPTS_AFTER_MS: u64 = 20_000;

impl Engine {
    pub(super) fn obey(&mut self, command: Command, now: Now) -> Result<Reply> {
        if self.is_over() {
            return Err(Error::new(
                ErrorKind::NotMember,
                "you are no longer in this conversation",
            ));
        }
        if self.beside.inbox.is_some() {
            return self.obey_as_inbox(&command);
        }
        self.is_open_for(&command)?;
        if let Some(reply) = self.obey_reviewed(&command) {
            return reply;
        }
        self.may_say(&command)?;
        match command {
            Command::Send {
                text,
                reply_to: None,
            } => self.queue(ContentBody::Text(text), now).map(Reply::Message),
            Command::Send {
                text,
                reply_to: Some(to),
            } => self
                .queue(ContentBody::Reply { to, text }, now)
                .map(Reply::Message),
            Command::Edit { of, text } => {
                self.own(of)?;
                self.queue(ContentBody::Edit { of, text }, now)
                    .map(|_| Reply::Kept)
            }
            Command::Attach(step) => self.attach(step, now),
            Command::Fetch(id) => self.fetch(id).map(|()| Reply::Kept),
            Command::Release(id) => self.release(&id).map(|()| Reply::Kept),
            Command::Delete(of) => {
                if self.withdraw_upload(&of)? {
                    return Ok(Reply::Kept);
                }
                self.own(of)?;
                self.queue(ContentBody::Delete(of), now)
                    .map(|_| Reply::Kept)
            }
            Command::React { to, emoji } => self
                .queue(ContentBody::React { to, emoji }, now)
                .map(|_| Reply::Kept),
            Command::Typing => self.type_on(now),
            Command::Away => self.step_away(now),
            Command::Read(of) => {
                self.read(&of, now);
                Ok(Reply::Kept)
            }
            Command::Choose(choices) => {
                self.choose(choices);
                Ok(Reply::Kept)
            }
            Command::Rename(name) => self.rename(name, now),
            Command::Remove(leaf) => self.want_of_facilitator(Intent::Remove(leaf), Some(leaf)),
            Command::Promote(leaf) => self.promote(leaf),
            Command::Rotate => self.want_of_facilitator(Intent::Rotate, None),
            Command::Admit(leaf) => self.admit(leaf, false).map(|()| Reply::Kept),
            Command::TurnAway(leaf) => self.turn_away(leaf).map(|()| Reply::Kept),
            Command::Add(link) => self.add_from_inbox(*link).map(|()| Reply::Kept),
            Command::Decline(_) => Err(Error::new(
                ErrorKind::Invalid,
                "invitations are in an inbox",
            )),
            Command::Leave => self.leave(now).map(|()| Reply::Kept),
            command => self.obey_at_desk(command, now),
        }
    }

    fn leave(&mut self, now: Now) -> Result<()> {
        if self.is_asking() {
            return self.leave_queue(now);
        }
        if self.is_taking() {
            return self.leave_ticket();
        }
        // Who is not in yet has nobody to take leave of; an inbox ends by itself, and a leaf
        // that is on its way in all the same is one that nobody sits at.
        // And who is too old to read on goes like one who never came back.
        if self.group.is_none() || self.saved.stage == Stage::Paused {
            self.end(Stage::Left);
        } else {
            self.set_stage(Stage::Leaving);
        }
        Ok(())
    }

    fn obey_at_desk(&mut self, command: Command, now: Now) -> Result<Reply> {
        match command {
            Command::FoundDesk(founding) => {
                self.found_desk(*founding)?;
                self.make_desk_if_online(now)?;
            }
            Command::Duty(is_on) => self.set_duty(is_on, None)?,
            Command::DutyFor(offer) => self.set_duty(true, Some(*offer))?,
            Command::DutyAs(mode) => self.set_duty_mode(mode)?,
            Command::Export { what, by } => return self.export(what, by, now),
            Command::Claiming(id) => self.ticket_is_ours(id, now)?,
            Command::AdmitAndRetell(leaf) => self.admit(leaf, true)?,
            Command::Call { asks, link } => self.call(asks, &link, now)?,
            Command::HandOver(leaf) => return self.hand_over(leaf),
            command => return self.obey_of_talk(command, now),
        }
        Ok(Reply::Kept)
    }

    fn own(&self, of: MessageId) -> Result<()> {
        match self.index.get(&of) {
            Some(one) if one.author == self.key.id() => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Invalid,
                "only a message of your own that was sent can be changed",
            )),
        }
    }

    fn type_on(&mut self, now: Now) -> Result<Reply> {
        let due = self
            .typing_at_ms
            .is_none_or(|at| now.steady_ms.saturating_sub(at) >= TYPING_EVERY_MS);
        // Nobody wants to know later that somebody was typing.
        let at_once = self.is_online && self.outbox.is_empty();
        if due && at_once && self.saved.choices.sends_typing {
            self.typing_at_ms = Some(now.steady_ms);
            self.queue(ContentBody::Typing, now)?;
        }
        Ok(Reply::Kept)
    }

    fn rename(&mut self, name: String, now: Now) -> Result<Reply> {
        check_name(&name)?;
        self.saved.name = name;
        self.say_hello(now)?;
        Ok(Reply::Kept)
    }

    pub(super) fn promote(&mut self, leaf: LeafId) -> Result<Reply> {
        let line = self.saved.names.iter().find(|line| line.leaf == leaf);
        let manage = line
            .map(|line| line.manage)
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "this member has not said hello yet"))?;
        self.want_of_facilitator(Intent::Promote(leaf, manage), Some(leaf))
    }

    fn want_of_facilitator(&mut self, intent: Intent, about: Option<LeafId>) -> Result<Reply> {
        if !self.facilitates() {
            return Err(Error::new(
                ErrorKind::NotAllowed,
                "only a facilitator can do this",
            ));
        }
        let leaves = self
            .group
            .as_ref()
            .map(crate::mls::Group::leaves)
            .unwrap_or_default();
        if about.is_some_and(|leaf| !leaves.contains(&leaf) || leaf == self.key.id()) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "that is not another member of this conversation",
            ));
        }
        self.want(intent);
        Ok(Reply::Kept)
    }

    /// What this device tells others of itself here.
    #[must_use]
    pub const fn choices(&self) -> Choices {
        self.saved.choices
    }

    fn choose(&mut self, choices: Choices) {
        self.saved.choices = choices;
        if !choices.sends_receipts {
            self.saved.receipts.clear();
            self.receipts_at_ms = None;
        }
    }

    /// Notes what was read, to be told later with what else was read by then.
    fn read(&mut self, of: &[MessageId], now: Now) {
        if !self.saved.choices.sends_receipts {
            return;
        }
        let me = self.key.id();
        for id in of {
            let others = self.index.get(id).is_some_and(|one| one.author != me);
            if others
                && !self.saved.receipts.contains(id)
                && self.saved.receipts.len() < RECEIPTS_MAX
            {
                self.saved.receipts.push(*id);
            }
        }
        self.plan_receipts(now);
    }

    pub(super) fn plan_receipts(&mut self, now: Now) {
        if !self.saved.receipts.is_empty() && self.receipts_at_ms.is_none() {
            let wait = RECEIPTS_AFTER_MS + self.jitter.next() % (2 * RECEIPTS_AFTER_MS);
            self.receipts_at_ms = Some(now.steady_ms.saturating_add(wait));
        }
    }

    /// Queues the receipts that are due; answers when the next are (steady clock).
    pub(super) fn send_receipts(&mut self, now: Now) -> Result<Option<u64>> {
        let Some(at) = self.receipts_at_ms else {
            return Ok(None);
        };
        // Without a line they wait for it rather than fill the outbox.
        if at > now.steady_ms || !self.is_online {
            return Ok(Some(at).filter(|at| *at > now.steady_ms));
        }
        self.receipts_at_ms = None;
        let of = core::mem::take(&mut self.saved.receipts);
        self.queue(ContentBody::Receipt(of), now)?;
        Ok(None)
    }

    /// The conversation asks for a newer client than this one: it waits where it is, unread.
    pub(super) fn pause(&mut self, version: u16) {
        if self.saved.stage != Stage::Paused {
            self.saved.paused = Some((version, self.saved.stage));
            self.set_stage(Stage::Paused);
        }
    }

    /// Goes on where an older client paused.
    pub(super) fn go_on_if_new_enough(&mut self) {
        let paused = &mut self.saved.paused;
        if let Some((_, stage)) = paused.take_if(|(version, _)| *version <= CLIENT_VERSION) {
            self.set_stage(stage);
        }
    }

    /// The conversation is over for us. Left: everything goes. Removed or shut out: texts stay and
    /// keys go, but where texts are kept for a time only they go as well, as nobody looks at the
    /// time any more.
    pub(super) fn end(&mut self, stage: Stage) {
        let rules = self.policy.as_ref();
        let texts_stay = matches!(stage, Stage::Removed | Stage::ShutOut)
            && rules.is_none_or(|rules| rules.keep_seconds.is_none());
        self.set_stage(stage);
        // What this input was about to write of keys and unsent words must not come after the erasing.
        self.out
            .store
            .puts
            .retain(|(key, _)| texts_stay && is_of_texts(&key.name));
        // Who is out of a chat may need it more than before.
        let resources = core::mem::take(&mut self.beside.resources);
        self.forget_beside();
        if texts_stay {
            self.beside.resources = resources;
        }
        self.forget_disputes();
        self.forget_transfers();
        if !texts_stay || self.keep_texts_only().is_err() {
            self.out.store.erase(self.space);
        }
        // The next backup is without it.
        self.out.backup = true;
        if !texts_stay {
            self.index.clear();
            self.transfers.here.clear();
        }
        self.group = None;
        self.flight = None;
        self.token = None;
        self.outbox.clear();
        self.saved.flying.clear();
        self.saved.secrets.clear();
        let log = self.saved.log;
        self.session.close(&log);
        self.out.hang_up = true;
    }

    fn keep_texts_only(&mut self) -> Result<()> {
        let mut state = self.saved.clone();
        state.secrets.clear();
        state.seed = [0; 32];
        state.manage = [0; 32];
        state.door = None;
        state.door_ask = None;
        state.way_back = None;
        state.away.clear();
        state.intents.clear();
        let saved = self.group.iter().flat_map(crate::mls::Group::saved_names);
        for key in saved {
            self.out
                .store
                .delete(Key::new(self.space, [saved::MLS, key].concat()));
        }
        for number in self.outbox.keys() {
            self.out
                .store
                .delete(Key::new(self.space, saved::out_name(*number)));
        }
        self.out.store.delete(Key::new(self.space, saved::FLIGHT));
        self.out.store.delete(Key::new(self.space, saved::LINE));
        self.out.store.delete(Key::new(self.space, saved::TICKET));
        self.out.store.delete(Key::new(self.space, saved::BADGES));
        self.out.store.delete(Key::new(self.space, saved::SAFE));
        self.out.store.delete(Key::new(self.space, saved::DRAFTS));
        self.out
            .store
            .put(Key::new(self.space, saved::STATE), saved::encode(&state)?);
        Ok(())
    }
}

fn is_of_texts(name: &[u8]) -> bool {
    let kept = [
        saved::MESSAGE,
        saved::REACTION,
        saved::HERE,
        saved::CHUNK,
        saved::CRISIS,
    ];
    kept.iter().any(|prefix| name.starts_with(prefix))
}
