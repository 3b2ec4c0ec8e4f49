//! The outbox, and the one append that is on its way.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Item, NewEntry};

use super::changes::new_entry;
use super::joining::Joining;
use super::saved::{self, Digest, Flight, FlightKind, Flying, Queued, Stage};
use super::{Delivery, Engine, Event, internal, no_randomness, retry_id};
use crate::content::{self, Content, ContentBody, MessageId, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Denied, Token};
use crate::mls::Group;
use crate::seal::{self, Envelope, EnvelopeBody};
use crate::time::{DAY_MS, Now};
use crate::vault::Key;

/// Messages that may wait to be sent; a person does not type more in the longest time offline.
pub(super) const OUTBOX_MAX: usize = 4_096;
/// Messages in one append, so that a full outbox goes out in few round trips.
const BATCH_MAX: usize = 32;
/// Sealed bytes in one append, well below what a relay takes.
const BATCH_BYTES_MAX: usize = 512 * 1024;
/// Days a message waits to be sent. What was meant a week ago may hurt today; it is given back to
/// its author instead.
pub(super) const UNSENT_DAYS_MAX: u64 = 7;

impl Engine {
    /// Keeps something to be said. It goes out in this order.
    pub(super) fn queue(&mut self, body: ContentBody, now: Now) -> Result<MessageId> {
        if !body.is_within_limits() {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "a text, name or reaction is longer than a message may be",
            ));
        }
        self.has_room_to_say()?;
        let id = MessageId::random().map_err(no_randomness)?;
        self.queue_as(id, body, now)?;
        Ok(id)
    }

    /// # Errors
    /// [`ErrorKind::TooLarge`] where too much waits, with what may still be released into it.
    pub(super) fn has_room_to_say(&self) -> Result<()> {
        if self.outbox.len() + self.drafts.waiting().count() >= OUTBOX_MAX {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "too many messages wait to be sent",
            ));
        }
        Ok(())
    }

    pub(super) fn queue_as(&mut self, id: MessageId, body: ContentBody, now: Now) -> Result<()> {
        let (number, count) = (self.saved.next_out, self.saved.count);
        self.saved.count += 1;
        self.saved.next_out += 1;
        self.queue_at(number, (id, body), count, now)
    }

    /// At a place of the outbox that is free, as the one that so many were said before.
    pub(super) fn queue_at(
        &mut self,
        number: u64,
        (id, body): (MessageId, ContentBody),
        count: u64,
        now: Now,
    ) -> Result<()> {
        let content = Content {
            id,
            body,
            count,
            minute: self.wall_minute(),
        };
        let queued = Queued {
            content,
            since_ms: self.wanted_at(now),
        };
        self.out.store.put(
            Key::new(self.space, saved::out_name(number)),
            saved::encode(&queued)?,
        );
        self.outbox.insert(number, queued);
        Ok(())
    }

    pub(super) fn unqueue(&mut self, number: u64) -> Option<Content> {
        self.delete_row(&saved::out_name(number));
        self.outbox.remove(&number).map(|queued| queued.content)
    }

    /// What waited too long to be sent is given back; answers when the next is due (the
    /// conversation's time).
    pub(super) fn expire_unsent(&mut self, now: Now) -> Result<Option<u64>> {
        let due = |queued: &Queued| queued.since_ms.saturating_add(UNSENT_DAYS_MAX * DAY_MS);
        let waiting: Vec<_> = self
            .outbox
            .iter()
            .filter(|(number, one)| one.content.body.may_expire() && !self.is_flying(**number))
            .map(|(number, one)| (*number, one.content.id, due(one)))
            .collect();
        let mut next = self.expire_uploads(now)?;
        for (number, id, due) in waiting {
            if due > now.wall_ms {
                next = Some(next.map_or(due, |next: u64| next.min(due)));
            } else if self
                .unqueue(number)
                .is_some_and(|content| content.body.is_text())
            {
                self.abandon_upload(&id)?;
                self.tell(Event::Delivery {
                    id,
                    state: Delivery::Expired,
                });
            }
        }
        Ok(next)
    }

    /// Nothing waits since later than this.
    pub(super) fn wait_from(&mut self, at_ms: u64) -> Result<()> {
        let later = self.outbox.iter_mut();
        for (number, queued) in later.filter(|(_, one)| one.since_ms > at_ms) {
            queued.since_ms = at_ms;
            let key = Key::new(self.space, saved::out_name(*number));
            self.out.store.put(key, saved::encode(queued)?);
        }
        Ok(())
    }

    pub(super) fn is_flying(&self, number: u64) -> bool {
        self.saved.flying.iter().any(|one| one.number == number)
    }

    /// Starts the next append if there is one to make and nothing else is on its way.
    pub(super) fn go_on(&mut self, now: Now) -> Result<()> {
        self.go_on_beside(now)?;
        self.go_on_transfers(now)?;
        self.start_over_if_commits_are_gone(now)?;
        if self.head.is_some()
            && self
                .joining
                .as_ref()
                .is_some_and(|joining| !joining.is_started())
        {
            self.follow_from_pin();
        }
        if !self.is_online || self.saved.stage == Stage::Paused {
            return Ok(());
        }
        if self.flight.is_some() {
            if !self.has_passed_by()? {
                return Ok(());
            }
            self.answer_did_not_land(now)?;
            self.expire_unsent(now)?;
        }
        if self.reads_from_outside() {
            if self.fly_verdict(now)? {
                return Ok(());
            }
            return self.try_to_join(now);
        }
        if !self.is_caught_up() || self.group.is_none() {
            return Ok(());
        }
        match self.saved.stage {
            Stage::Founding if self.is_taking() => self.fly_admission(now).map(drop),
            Stage::Founding => self.fly_snapshot(now).map(drop),
            Stage::Leaving => {
                if self.take_door_away(now)? {
                    self.fly_farewell(now)?;
                }
                Ok(())
            }
            Stage::Waiting | Stage::In => {
                let fence_read = self.saved.fence >= self.fence_wanted;
                self.acknowledge_unasked();
                if self.fly_verdict(now)? {
                    return Ok(());
                }
                self.want_to_mend();
                // Nothing is encrypted with a state that may be a copy.
                if self.saved.is_old {
                    return if fence_read && self.joining.is_none() {
                        self.fly_return(now)
                    } else {
                        Ok(())
                    };
                }
                // Who cannot open the present epoch waits until it stands or is undone.
                if self.joining.is_some()
                    || (fence_read && (self.fly_commit(now)? || self.fly_admission(now)?))
                {
                    return Ok(());
                }
                if self.fly_turning_away(now)? || self.fly_snapshot(now)? {
                    return Ok(());
                }
                self.fly_messages(now)
            }
            _ => Ok(()),
        }
    }

    fn fly_messages(&mut self, now: Now) -> Result<()> {
        self.queue_badges(now)?;
        self.queue_safety(now)?;
        if self.saved.roster_due {
            self.saved.roster_due = false;
            self.queue_roster(now)?;
            self.queue_talk(now)?;
            self.say_desk(now)?;
        }
        if self.outbox.is_empty() {
            return Ok(());
        }
        let numbers: Vec<_> = self.outbox.keys().copied().take(BATCH_MAX).collect();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        self.saved.flying.clear();
        for number in numbers {
            if bytes >= BATCH_BYTES_MAX {
                break;
            }
            let sealed = self.seal_message(number)?;
            bytes += sealed
                .iter()
                .map(|entry| entry.sealed.as_slice().len())
                .sum::<usize>();
            if let Some(first) = sealed.first() {
                self.saved.flying.push(Flying {
                    digest: Digest::of(first.sealed.as_slice()),
                    number,
                });
            }
            entries.extend(sealed);
        }
        let item = self.item(entries);
        self.fly(FlightKind::Messages, vec![item], now)
    }

    /// Encrypts for the present epoch; a message that lost its epoch is encrypted anew, never sent
    /// twice under one key.
    pub(super) fn seal_message(&mut self, number: u64) -> Result<Vec<NewEntry<'static>>> {
        let seen = self.seen_now();
        let generation = self.newest_generation()?;
        let content = self
            .outbox
            .get(&number)
            .map(|queued| &queued.content)
            .ok_or_else(|| internal("a message that is not kept"))?;
        let group = self
            .group
            .as_mut()
            .ok_or_else(|| internal("a message without a group"))?;
        let place = Place {
            log: &self.saved.log,
            epoch: group.epoch(),
            author: self.key.id(),
        };
        let (spoken, commitment) = content::speak(place, &self.key, content)
            .map_err(|_| internal("a message cannot be encoded"))?;
        let message = group.encrypt(&self.key, &spoken)?;
        let envelope = Envelope {
            body: EnvelopeBody::Message(message.into()),
            seen,
        };
        let floor = self.policy.as_ref().map_or(
            sotto_protocol::size_class::SizeClass::K1,
            crate::policy::Policy::floor,
        );
        let sealed = seal::seal(&generation, &self.saved.log, &envelope, floor).map_err(|_| {
            Error::new(
                ErrorKind::TooLarge,
                "a message is longer than one run of entries",
            )
        })?;
        let mut commitment = Some(commitment);
        sealed
            .into_iter()
            .map(|sealed| new_entry(sealed, commitment.take()))
            .collect()
    }

    pub(super) fn answered(
        &mut self,
        token: Token,
        result: core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        if self.answered_beside(token, &result, now)? {
            return Ok(());
        }
        if self.create_token == Some(token) {
            self.create_token = None;
            return self.created(&result, now);
        }
        if self.describe_token == Some(token) {
            self.describe_token = None;
            if let Ok(answer) = &result {
                self.described(answer);
            }
            return Ok(());
        }
        if self.token != Some(token) {
            return Ok(());
        }
        self.token = None;
        match result {
            Ok(answer) => self.accepted(&answer),
            Err(denied) => self.denied(&denied, now),
        }
    }

    fn created(
        &mut self,
        result: &core::result::Result<Answer<'static>, Denied>,
        now: Now,
    ) -> Result<()> {
        match result {
            Ok(_) => {
                self.saved.root = None;
                Ok(())
            }
            // Founded days ago without a line.
            Err(denied) if denied.refusal.code == ErrorCode::RetryTooOld => {
                if let Some(root) = &mut self.saved.root {
                    root.renew()?;
                }
                self.create(now)
            }
            Err(denied) => Err(Error::new(
                ErrorKind::Refused,
                "the relay does not let us make a conversation",
            )
            .because(RefusedCode(denied.refusal.code))),
        }
    }

    /// The relay has it durably. Messages and Commits stay in flight until they are met in the log.
    fn accepted(&mut self, answer: &Answer<'_>) -> Result<()> {
        if let (Answer::Appended(done), Some(flight)) = (answer, &self.flight) {
            let here = flight.items.iter().zip(done);
            let here = here.filter(|(item, _)| item.log == self.saved.log);
            self.landed_at = here.map(|(_, done)| done.seq).max();
        }
        match self.flight.as_ref().map(|flight| &flight.kind) {
            Some(FlightKind::Snapshot) => {
                self.take_flight();
                self.saved.snapshot_due = false;
                self.saved.fenced_since_pin = 0;
                if self.saved.stage == Stage::Founding {
                    self.set_stage(Stage::In);
                }
            }
            Some(FlightKind::Farewell) => self.end(Stage::Left),
            Some(FlightKind::Waiting) => drop(self.take_flight()),
            Some(FlightKind::Verdict(verdict)) => {
                let verdict = *verdict;
                self.verdict_landed(verdict);
            }
            Some(FlightKind::Knock) => {
                let seq = match answer {
                    Answer::Appended(done) => done.first().map_or(0, |done| done.seq),
                    _ => 0,
                };
                return self.knock_landed(seq);
            }
            Some(FlightKind::TurnAway(leaf)) => {
                let leaf = *leaf;
                self.take_flight();
                self.forget_knock(&leaf);
            }
            _ => {}
        }
        Ok(())
    }

    fn denied(&mut self, denied: &Denied, now: Now) -> Result<()> {
        if self.denied_beside(denied, now)? {
            return Ok(());
        }
        let refusal = &denied.refusal;
        match refusal.code {
            ErrorCode::FenceConflict => {
                self.fence_wanted = refusal.fence.unwrap_or_default();
                self.lost_race();
            }
            ErrorCode::GrantsConflict => {
                self.saved.grants_version = refusal.version.unwrap_or(self.saved.grants_version)
            }
            ErrorCode::PinTooSoon => {
                self.saved.snapshot_due = false;
                self.saved.fenced_since_pin = 0;
            }
            _ => {}
        }
        let knows_earlier = !matches!(refusal.code, ErrorCode::Refused | ErrorCode::RetryTooOld);
        if !knows_earlier && (denied.perhaps_applied || self.is_repeat) {
            // An earlier sending may stand in the log all the same: read it to its end first, over
            // a new connection with the newest key we have.
            self.is_doubtful = true;
            self.head = None;
            self.out.hang_up = true;
            return Ok(());
        }
        let Some(flight) = self.drop_flight()? else {
            return Ok(());
        };
        match refusal.code {
            ErrorCode::FenceConflict | ErrorCode::GrantsConflict | ErrorCode::PinTooSoon => {}
            // Our key was cut or dropped, or it is a day later: the log says why.
            ErrorCode::Refused | ErrorCode::RetryTooOld => {
                self.head = None;
                self.out.hang_up = true;
            }
            _ => self.give_up(&flight)?,
        }
        Ok(())
    }

    /// Whether the log was read past where what is on its way stands or would stand, without
    /// meeting it; then it is dropped, and what it was for is built anew.
    fn has_passed_by(&mut self) -> Result<bool> {
        let has_read_all = if self.reads_from_outside() {
            self.head.is_some() && self.joining.as_ref().is_some_and(Joining::has_read_all)
        } else {
            self.is_caught_up()
        };
        let landed_before = self.landed_at.is_some_and(|seq| seq <= self.saved.seq);
        let passed = has_read_all && (self.is_doubtful || landed_before);
        if passed
            && let Some(flown) = self.drop_flight()?
            && matches!(flown.kind, FlightKind::Commit { .. })
            && landed_before
        {
            // It stands there and does not count: the same again would not either.
            self.give_up(&flown)?;
        }
        Ok(passed)
    }

    /// What is on its way is void; a Commit of ours that waits for it as well.
    pub(super) fn drop_flight(&mut self) -> Result<Option<Flown>> {
        let Some(flight) = self.take_flight() else {
            return Ok(None);
        };
        let messages = core::mem::take(&mut self.saved.flying);
        if matches!(flight.kind, FlightKind::Commit { .. }) {
            self.drop_pending_commit()?;
        }
        Ok(Some(Flown {
            kind: flight.kind,
            messages,
        }))
    }

    /// The same for what was built in such an epoch. A word on a Commit and a knock are of none.
    pub(super) fn drop_flight_of(&mut self, is_undone: impl Fn(u64) -> bool) -> Result<()> {
        let is_of_such = self.flight.as_ref().is_some_and(|flight| {
            let is_of_none = matches!(
                flight.kind,
                FlightKind::Verdict(_) | FlightKind::Knock | FlightKind::TurnAway(_)
            );
            !is_of_none && is_undone(flight.epoch)
        });
        if is_of_such {
            self.drop_flight()?;
        }
        Ok(())
    }

    fn drop_pending_commit(&mut self) -> Result<()> {
        if let Some(group) = self
            .group
            .as_mut()
            .filter(|group| group.has_pending_commit())
        {
            group.drop_pending()?;
        }
        Ok(())
    }

    /// The relay will never take these.
    fn give_up(&mut self, flown: &Flown) -> Result<()> {
        match &flown.kind {
            FlightKind::Messages => self.give_up_messages(flown)?,
            FlightKind::Commit { done, .. } => {
                let done = done.clone();
                self.saved.intents.retain(|intent| !done.contains(intent));
                self.forget_waiting();
            }
            FlightKind::Join { .. } => self.join_refused(true),
            FlightKind::Waiting => self.join_refused(false),
            FlightKind::Snapshot => self.saved.snapshot_due = false,
            FlightKind::Verdict(verdict) => self.saved.verdicts.retain(|one| one != verdict),
            FlightKind::Farewell | FlightKind::Knock | FlightKind::TurnAway(_) => {}
        }
        Ok(())
    }

    /// Somebody else's Commit came first: ours is void, what it was for is built anew.
    pub(super) fn drop_lost_commit(&mut self) -> Result<()> {
        let is_commit = self.flight.as_ref().is_some_and(|flight| {
            matches!(
                flight.kind,
                FlightKind::Commit { .. } | FlightKind::Join { .. }
            )
        });
        if is_commit {
            self.take_flight();
        }
        self.drop_pending_commit()
    }

    /// Keeps an append and sends it. There is never a second one beside it.
    pub(super) fn fly(
        &mut self,
        kind: FlightKind,
        items: Vec<Item<'static>>,
        now: Now,
    ) -> Result<()> {
        let flight = Flight {
            kind,
            items,
            retry: retry_id()?,
            day: self.session.today(now),
            epoch: self.group.as_ref().map_or(0, Group::epoch),
        };
        self.out
            .store
            .put(Key::new(self.space, saved::FLIGHT), saved::encode(&flight)?);
        self.flight = Some(flight);
        self.send_flight();
        Ok(())
    }

    /// An append whose answer we never had goes out again, byte for byte.
    pub(super) fn repeat_flight(&mut self) {
        self.is_repeat = self.flight.is_some();
        self.send_flight();
    }

    fn send_flight(&mut self) {
        if let Some(flight) = &self.flight {
            self.token = Some(
                self.session
                    .append(flight.items.clone(), flight.retry, flight.day),
            );
        }
    }

    pub(super) fn take_flight(&mut self) -> Option<Flight> {
        if let Some(token) = self.token.take() {
            self.session.cancel(token);
        }
        self.is_repeat = false;
        self.is_doubtful = false;
        self.landed_at = None;
        let flight = self.flight.take()?;
        self.delete_row(saved::FLIGHT);
        Some(flight)
    }
}

/// What was on its way.
pub(super) struct Flown {
    kind: FlightKind,
    messages: Vec<Flying>,
}

impl Flown {
    /// The places in the outbox of what it held.
    pub(super) fn messages(&self) -> impl Iterator<Item = u64> {
        self.messages.iter().map(|one| one.number)
    }
}

/// A relay's code as the source of an error.
#[derive(Debug, thiserror::Error)]
#[error("the relay answered {}", .0.name())]
struct RefusedCode(ErrorCode);
