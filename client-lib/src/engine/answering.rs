//! An answer to who knocked or holds a ticket: the Commit and the letter that are one append, the inbox
//! it goes to, and when it is given up. SPEC.md, "Door".

use serde::Serialize;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Item, Refusal};
use sotto_protocol::id::{ChainValue, LogId};
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::beside::item_of;
use super::saved::{self, FlightKind, Intent};
use super::{Engine, internal};
use crate::error::Result;
use crate::log::{Denied, Token};
use crate::mls::{LeafId, StagedOut};
use crate::policy::Policy;
use crate::seal::letter::{self, Address, AnswerBody, InviteBody, Purpose, WelcomeBody};
use crate::time::Now;

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
    pub(super) fn inbox_refused(&mut self, log: &LogId) -> Result<()> {
        let found = self
            .beside
            .knocks
            .iter()
            .find(|(_, knock)| knock.inbox == *log);
        let Some(leaf) = found.map(|(leaf, _)| *leaf) else {
            return Ok(());
        };
        if self.admission_in_flight() != Some(leaf) {
            self.give_up_knock(&leaf)?;
        }
        Ok(())
    }

    /// Whether a refusal was about a log beside the conversation's, and is dealt with.
    pub(super) fn denied_beside(&mut self, denied: &Denied, now: Now) -> Result<bool> {
        let refusal = &denied.refusal;
        if self.ticket_denied(denied)? {
            return Ok(true);
        }
        match self.flight.as_ref().map(|flight| &flight.kind) {
            Some(FlightKind::Knock) => {
                self.take_flight();
                self.knock_denied(refusal.code, now)?;
            }
            Some(FlightKind::TurnAway(leaf)) => {
                let leaf = *leaf;
                self.take_flight();
                if refusal.code != ErrorCode::RetryTooOld {
                    self.give_up_knock(&leaf)?;
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
            self.give_up_knock(&leaf)?;
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
    pub(super) fn inbox_item(&self) -> Option<u16> {
        match self.flight.as_ref().map(|flight| &flight.kind) {
            Some(FlightKind::TurnAway(_)) => Some(0),
            _ => self.admission_in_flight().map(|_| 1),
        }
    }

    /// The oldest knock that got this answer and whose inbox is open; opens the first inbox if none.
    fn next_answer(&mut self, wanted: impl Fn(&Intent) -> Option<LeafId>) -> Option<LeafId> {
        let leaf = self.saved.intents.iter().find_map(wanted)?;
        let Some(knock) = self.beside.knocks.get(&leaf) else {
            self.saved
                .intents
                .retain(|intent| *intent != Intent::Add(leaf) && *intent != Intent::TurnAway(leaf));
            return None;
        };
        if self.beside.open.contains(&knock.inbox) {
            return Some(leaf);
        }
        let (inbox, append) = (knock.inbox, StaticSecret::from(knock.append));
        self.session.open(inbox, vec![append]);
        None
    }

    /// The Commit that adds somebody and the Welcome for their inbox, both or neither.
    pub(super) fn fly_admission(&mut self, now: Now) -> Result<bool> {
        if self.holds_back(now) {
            return Ok(false);
        }
        let wanted = |intent: &Intent| match intent {
            Intent::Add(leaf) if !self.is_put_off(leaf, now) => Some(*leaf),
            _ => None,
        };
        let Some(leaf) = self.saved.intents.iter().find_map(wanted) else {
            return Ok(false);
        };
        let wanted = |intent: &Intent| (*intent == Intent::Add(leaf)).then_some(leaf);
        let Some(leaf) = self.next_answer(wanted) else {
            return Ok(false);
        };
        let done = vec![Intent::Add(leaf)];
        let (mut plan, _) = self.plan(&done, &[], None)?;
        plan.day = self.session.today(now);
        let log = self.log_bytes();
        let group = self
            .group
            .as_mut()
            .ok_or_else(|| internal("an admission without a group"))?;
        let Ok(mut staged) = group.stage(&self.key, &plan, &log) else {
            // The KeyPackage is too old by now, or never fitted.
            self.give_up_knock(&leaf)?;
            return Ok(false);
        };
        let Some(letter) = self.welcome(&leaf, &staged)? else {
            self.drop_lost_commit()?;
            self.give_up_knock(&leaf)?;
            return Ok(false);
        };
        // It goes into their inbox, not into the log.
        staged.welcome = None;
        let returns: Vec<_> = self.host_back(&leaf).into_iter().collect();
        let mut items = self.commit_items(&staged, None, (&[], &returns))?;
        if let (Some(bytes), Some(item)) = (&plan.policy, items.first_mut()) {
            let policy = Policy::parse(bytes).map_err(|_| internal("rules of our own"))?;
            let member = item
                .admit
                .take()
                .ok_or_else(|| internal("an epoch's key"))?;
            item.grants = Some(self.new_grants(&policy, member, self.newest_secret()?));
        }
        items.push(letter);
        items.extend(self.ticket_end());
        let kind = FlightKind::Commit {
            rotates: false,
            done,
        };
        self.fly(kind, items, now)?;
        Ok(true)
    }

    fn welcome(&self, leaf: &LeafId, staged: &StagedOut) -> Result<Option<Item<'static>>> {
        let secret = self.newest_secret()?;
        let welcome = staged
            .welcome
            .as_deref()
            .ok_or_else(|| internal("an admission without a Welcome"))?;
        let welcome = WelcomeBody {
            log: self.saved.log,
            seq: self.saved.seq,
            tree: staged.tree.as_slice().into(),
            chain: self.saved.chain.unwrap_or(ChainValue::new([0; 32])),
            fence: self.saved.fence,
            secret: secret.clone(),
            welcome: welcome.into(),
        };
        let is_invited = self
            .beside
            .knocks
            .get(leaf)
            .is_some_and(|one| one.is_invited);
        if is_invited {
            let founder = self.root();
            self.letter_to(leaf, Purpose::Invite, &InviteBody { founder, welcome })
        } else {
            self.letter_to(leaf, Purpose::Answer, &AnswerBody::Welcome(welcome))
        }
    }

    /// A letter to who knocked; nothing if their key or inbox is none.
    fn letter_to(
        &self,
        leaf: &LeafId,
        purpose: Purpose,
        letter: &impl Serialize,
    ) -> Result<Option<Item<'static>>> {
        let Some(knock) = self.beside.knocks.get(leaf) else {
            return Ok(None);
        };
        let to = Address {
            purpose,
            log: &knock.inbox,
            key: &knock.reply,
        };
        let bytes = sotto_protocol::cbor::encode(letter)
            .map_err(|_| internal("a letter cannot be encoded"))?;
        let floor = self.policy.as_ref().map_or(SizeClass::K1, Policy::floor);
        match letter::write(to, &bytes, floor) {
            Ok(sealed) => item_of(knock.inbox, sealed).map(Some),
            Err(_) => Ok(None),
        }
    }

    pub(super) fn fly_turning_away(&mut self, now: Now) -> Result<bool> {
        let wanted = |intent: &Intent| match intent {
            Intent::TurnAway(leaf) => Some(*leaf),
            _ => None,
        };
        let Some(leaf) = self.next_answer(wanted) else {
            return Ok(false);
        };
        match self.letter_to(&leaf, Purpose::Answer, &AnswerBody::No)? {
            Some(item) => self.fly(FlightKind::TurnAway(leaf), vec![item], now)?,
            None => self.forget_knock(&leaf),
        }
        Ok(true)
    }

    /// A knock got its answer, or never can.
    pub(super) fn forget_knock(&mut self, leaf: &LeafId) {
        self.saved
            .intents
            .retain(|intent| *intent != Intent::Add(*leaf) && *intent != Intent::TurnAway(*leaf));
        if let Some(knock) = self.beside.knocks.remove(leaf) {
            self.session.close(&knock.inbox);
            self.beside.open.remove(&knock.inbox);
            self.drop_beside(&saved::knock_name(leaf));
        }
    }

    /// Our Commit that added them stands in the log, and so does the letter in their inbox.
    pub(super) fn answered_knocks(&mut self, done: &[Intent]) {
        for intent in done {
            if let Intent::Add(leaf) = intent {
                // Their old leaf is on a device that they no longer have, or shall not go on.
                let knock = self.beside.knocks.get(leaf);
                self.saved.retell_due |= knock.is_some_and(|knock| knock.retells);
                if let Some(one) = knock.and_then(|knock| knock.was.clone()) {
                    self.safe.answered(*leaf, one.was);
                    self.want(Intent::Remove(one.was));
                }
                self.forget_knock(leaf);
            }
        }
    }
}
