//! The outbox, and the one append that is on its way.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::Answer;

use super::changes::new_entry;
use super::saved::{self, Digest, FlightKind, Flying, Stage};
use super::{Delivery, Engine, Event, internal, no_randomness};
use crate::content::{self, Content, ContentBody, MessageId, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Denied, Token};
use crate::seal::{self, Envelope, EnvelopeBody};
use crate::time::Now;
use crate::vault::Key;

/// Messages that may wait to be sent; a person does not type more in the longest time offline.
const OUTBOX_MAX: usize = 4_096;
/// Messages in one append, so that a full outbox goes out in few round trips.
const BATCH_MAX: usize = 32;
/// Sealed bytes in one append, well below what a relay takes.
const BATCH_BYTES_MAX: usize = 512 * 1024;

impl Engine {
    /// Keeps something to be said. It goes out in this order.
    pub(super) fn queue(&mut self, body: ContentBody, now: Now) -> Result<MessageId> {
        if !body.is_within_limits() {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "a text, name or reaction is longer than a message may be",
            ));
        }
        if self.outbox.len() >= OUTBOX_MAX {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "too many messages wait to be sent",
            ));
        }
        let id = MessageId::random().map_err(no_randomness)?;
        let content = Content {
            id,
            body,
            count: self.saved.count,
            minute: now.wall_ms / 60_000,
        };
        let number = self.saved.next_out;
        self.saved.count += 1;
        self.saved.next_out += 1;
        self.out.store.put(
            Key::new(self.space, saved::out_name(number)),
            saved::encode(&content)?,
        );
        self.outbox.insert(number, content);
        Ok(id)
    }

    pub(super) fn unqueue(&mut self, number: u64) -> Option<Content> {
        self.out
            .store
            .delete(Key::new(self.space, saved::out_name(number)));
        self.outbox.remove(&number)
    }

    /// Starts the next append if there is one to make and nothing else is on its way.
    pub(super) fn go_on(&mut self, now: Now) -> Result<()> {
        if self.head.is_some()
            && self
                .joining
                .as_ref()
                .is_some_and(|joining| !joining.is_started())
        {
            self.follow_from_pin();
        }
        if self.flight.is_some() || !self.is_online {
            return Ok(());
        }
        if self.reads_from_outside() {
            return self.try_to_join(now);
        }
        if !self.is_caught_up() || self.group.is_none() {
            return Ok(());
        }
        match self.saved.stage {
            Stage::Founding => self.fly_snapshot(now).map(drop),
            Stage::Leaving => self.fly_farewell(now),
            Stage::Waiting | Stage::In => {
                let fence_read = self.saved.fence >= self.fence_wanted;
                if fence_read && self.fly_verdict(now)? {
                    return Ok(());
                }
                // Who cannot open the present epoch waits until it stands or is undone.
                if self.joining.is_some() || (fence_read && self.fly_commit(now)?) {
                    return Ok(());
                }
                if self.fly_snapshot(now)? {
                    return Ok(());
                }
                self.fly_messages(now)
            }
            _ => Ok(()),
        }
    }

    fn fly_messages(&mut self, now: Now) -> Result<()> {
        if self.saved.roster_due {
            self.saved.roster_due = false;
            self.queue_roster(now)?;
        }
        if self.outbox.is_empty() {
            return Ok(());
        }
        let numbers: Vec<_> = self.outbox.keys().copied().take(BATCH_MAX).collect();
        let (mut flying, mut entries, mut bytes) = (Vec::new(), Vec::new(), 0);
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
                flying.push(Flying {
                    digest: Digest::of(first.sealed.as_slice()),
                    number,
                });
            }
            entries.extend(sealed);
        }
        let item = self.item(entries);
        self.fly(FlightKind::Messages(flying), vec![item], now)
    }

    /// Encrypts for the present epoch; a message that lost its epoch is encrypted anew, never sent
    /// twice under one key.
    pub(super) fn seal_message(
        &mut self,
        number: u64,
    ) -> Result<Vec<sotto_protocol::frame::NewEntry<'static>>> {
        let seen = self.seen_now();
        let generation = self.newest_generation()?;
        let content = self
            .outbox
            .get(&number)
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
    ) -> Result<()> {
        if self.create_token == Some(token) {
            self.create_token = None;
            return self.created(&result);
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
            Ok(_) => self.accepted(),
            Err(denied) => return self.denied(&denied),
        }
        Ok(())
    }

    fn created(&mut self, result: &core::result::Result<Answer<'static>, Denied>) -> Result<()> {
        match result {
            Ok(_) => {
                self.saved.root = None;
                Ok(())
            }
            Err(denied) => Err(Error::new(
                ErrorKind::Refused,
                "the relay does not let us make a conversation",
            )
            .because(RefusedCode(denied.refusal.code))),
        }
    }

    /// The relay has it durably. Messages and Commits stay in flight until they are met in the log.
    fn accepted(&mut self) {
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
            Some(FlightKind::Verdict(verdict)) => {
                let verdict = *verdict;
                self.take_flight();
                self.saved.verdicts.retain(|one| *one != verdict);
            }
            _ => {}
        }
    }

    fn denied(&mut self, denied: &Denied) -> Result<()> {
        let Some(flight) = self.take_flight() else {
            return Ok(());
        };
        let refusal = &denied.refusal;
        match refusal.code {
            ErrorCode::FenceConflict => self.fence_wanted = refusal.fence.unwrap_or_default(),
            ErrorCode::GrantsConflict => {
                self.saved.grants_version = refusal.version.unwrap_or(self.saved.grants_version)
            }
            ErrorCode::PinTooSoon => {
                self.saved.snapshot_due = false;
                self.saved.fenced_since_pin = 0;
            }
            // Our key was cut or dropped, or it is a day later: begin a new connection with the
            // newest key we have; the log says why.
            ErrorCode::Refused | ErrorCode::RetryTooOld => self.out.hang_up = true,
            _ => self.give_up(&flight.kind),
        }
        match flight.kind {
            FlightKind::Commit { .. } => {
                if let Some(group) = self
                    .group
                    .as_mut()
                    .filter(|group| group.has_pending_commit())
                {
                    group.drop_pending()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The relay will never take these.
    fn give_up(&mut self, kind: &FlightKind) {
        match kind {
            FlightKind::Messages(flying) => {
                for one in flying {
                    if let Some(content) = self.unqueue(one.number) {
                        self.tell(Event::Delivery {
                            id: content.id,
                            state: Delivery::Failed,
                        });
                    }
                }
            }
            FlightKind::Commit { done, .. } => {
                let done = done.clone();
                self.saved.intents.retain(|intent| !done.contains(intent));
            }
            FlightKind::Snapshot => self.saved.snapshot_due = false,
            FlightKind::Verdict(verdict) => self.saved.verdicts.retain(|one| one != verdict),
            FlightKind::Farewell | FlightKind::Join { .. } => {}
        }
    }

    /// Somebody else's Commit came first: ours is void, what it was for is built anew.
    pub(super) fn drop_lost_commit(&mut self) -> Result<()> {
        let is_commit = self
            .flight
            .as_ref()
            .is_some_and(|flight| matches!(flight.kind, FlightKind::Commit { .. }));
        if is_commit {
            self.take_flight();
        }
        if let Some(group) = self
            .group
            .as_mut()
            .filter(|group| group.has_pending_commit())
        {
            group.drop_pending()?;
        }
        Ok(())
    }
}

/// A relay's code as the source of an error.
#[derive(Debug, thiserror::Error)]
#[error("the relay answered {}", .0.name())]
struct RefusedCode(ErrorCode);
