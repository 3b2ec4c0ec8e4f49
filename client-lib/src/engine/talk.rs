//! What was said: which messages count, what an app is told of them, and what is kept how long.

use sotto_protocol::frame::Bytes;

use super::reading::At;
use super::saved::{self, FlightKind, Intent, Stage, Stored};
use super::{Command, Delivery, Engine, Event, Indexed, Message, Reply, Text};
use crate::content::{self, Content, ContentBody, MessageId, Place, RosterLine, name_is_fit};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::{Incoming, LeafId, PAST_EPOCHS};
use crate::time::Now;
use crate::vault::Key;

/// At most one *typing* goes out in so long.
const TYPING_EVERY_MS: u64 = 10_000;

/// A text, as its author sent it.
struct Said {
    author: LeafId,
    id: MessageId,
    reply_to: Option<MessageId>,
    minute: u64,
    text: String,
}

impl Engine {
    /// What the names of kept messages begin with.
    pub(crate) const MESSAGES: &[u8] = saved::MESSAGE;

    /// A message as it is kept.
    pub(crate) fn kept_message(name: &[u8], value: &[u8]) -> Result<Message> {
        let (seq, id) = saved::message_of(name)
            .ok_or_else(|| Error::new(ErrorKind::VaultDamaged, "a message without its name"))?;
        let Stored {
            author,
            is_mine,
            reply_to,
            minute,
            is_edited,
            text,
            ..
        } = saved::decode(value)?;
        Ok(Message {
            id,
            seq,
            author,
            is_mine,
            reply_to,
            minute,
            is_edited,
            text,
        })
    }

    /// An entry holds an application message.
    pub(super) fn message_met(&mut self, bytes: &Bytes<'_>, at: At, now: Now) -> Result<()> {
        if let Some(number) = self.own_message(&at) {
            return self.own_message_met(number, at, now);
        }
        let Some(group) = &mut self.group else {
            return Ok(());
        };
        let current = group.epoch();
        let (author, epoch, spoken) = match group.open(bytes.as_slice()) {
            Ok(Incoming::Message {
                author,
                epoch,
                content,
            }) => (author, epoch, content),
            // Ours, from before this device forgot that it sent it; the words are gone.
            Ok(Incoming::Own) => return Ok(()),
            _ => {
                self.junk();
                return Ok(());
            }
        };
        let place = Place {
            log: &self.saved.log,
            epoch,
            author,
        };
        if !self.counts(epoch, current) {
            self.junk();
            return Ok(());
        }
        match content::listen(place, &spoken, &at.commitment) {
            Ok(content) => self.heard(author, content, at, now),
            Err(_) => {
                self.junk();
                Ok(())
            }
        }
    }

    /// A removal closes all earlier epochs; otherwise a message may be a few epochs late.
    const fn counts(&self, epoch: u64, current: u64) -> bool {
        epoch >= self.saved.closed_below && current.saturating_sub(epoch) <= PAST_EPOCHS as u64
    }

    fn own_message(&self, at: &At) -> Option<u64> {
        let FlightKind::Messages(flying) = &self.flight.as_ref()?.kind else {
            return None;
        };
        flying
            .iter()
            .find(|one| one.digest == at.digest)
            .map(|one| one.number)
    }

    /// Our message stands in the log; if it came too late for its epoch nobody shows it, and it
    /// goes out again under the present one.
    fn own_message_met(&mut self, number: u64, at: At, now: Now) -> Result<()> {
        let Some(flight) = &mut self.flight else {
            return Ok(());
        };
        let epoch = flight.epoch;
        if let FlightKind::Messages(flying) = &mut flight.kind {
            flying.retain(|one| one.number != number);
            if flying.is_empty() {
                self.take_flight();
            }
        }
        let current = self.group.as_ref().map_or(0, crate::mls::Group::epoch);
        if !self.counts(epoch, current) {
            return Ok(());
        }
        let Some(content) = self.unqueue(number) else {
            return Ok(());
        };
        let id = content.id;
        self.heard(self.key.id(), content, at, now)?;
        self.tell(Event::Delivery {
            id,
            state: Delivery::Sent,
        });
        Ok(())
    }

    fn heard(&mut self, author: LeafId, content: Content, at: At, now: Now) -> Result<()> {
        if author != self.key.id() {
            self.heard_at(now);
            if self.saved.stage == Stage::Waiting {
                self.set_stage(Stage::In);
            }
        }
        let Content {
            id, body, minute, ..
        } = content;
        match body {
            ContentBody::Text(text) => self.text(
                Said {
                    author,
                    id,
                    reply_to: None,
                    minute,
                    text,
                },
                at,
                now,
            ),
            ContentBody::Reply { to, text } => self.text(
                Said {
                    author,
                    id,
                    reply_to: Some(to),
                    minute,
                    text,
                },
                at,
                now,
            ),
            ContentBody::Edit { of, text } => self.edited(author, of, text, minute),
            ContentBody::Delete(of) => {
                self.deleted(author, of);
                Ok(())
            }
            ContentBody::React { to, emoji } => {
                self.tell(Event::Reacted {
                    to,
                    by: author,
                    emoji: Text(emoji),
                });
                Ok(())
            }
            ContentBody::Hello { name, manage } => {
                self.named(
                    RosterLine {
                        leaf: author,
                        name,
                        manage,
                    },
                    true,
                );
                Ok(())
            }
            ContentBody::Roster(lines) => {
                self.roster(author, lines);
                Ok(())
            }
            ContentBody::Typing => {
                self.tell(Event::Typing { by: author });
                Ok(())
            }
            ContentBody::Receipt(of) => {
                self.tell(Event::Read { by: author, of });
                Ok(())
            }
            ContentBody::Alive => Ok(()),
        }
    }

    fn text(&mut self, said: Said, at: At, now: Now) -> Result<()> {
        let Said {
            author,
            id,
            reply_to,
            minute,
            text,
        } = said;
        // The same id twice is a resend after a lost answer, or somebody's copy: the first counts.
        if self.index.contains_key(&id) {
            return Ok(());
        }
        let is_mine = author == self.key.id();
        let stored = Stored {
            author,
            is_mine,
            reply_to,
            minute,
            is_edited: false,
            here_ms: now.wall_ms,
            text: text.clone(),
        };
        self.keep(at.first, id, &stored)?;
        self.tell(Event::Message(Message {
            id,
            seq: at.first,
            author,
            is_mine,
            reply_to,
            minute,
            is_edited: false,
            text,
        }));
        Ok(())
    }

    fn keep(&mut self, seq: u64, id: MessageId, stored: &Stored) -> Result<()> {
        self.out.store.put(
            Key::new(self.space, saved::message_name(seq, &id)),
            saved::encode(stored)?,
        );
        self.index.insert(
            id,
            Indexed {
                seq,
                author: stored.author,
                reply_to: stored.reply_to,
                here_ms: stored.here_ms,
            },
        );
        Ok(())
    }

    /// Only one's own words can be changed.
    fn edited(&mut self, author: LeafId, of: MessageId, text: String, minute: u64) -> Result<()> {
        let Some(old) = self
            .index
            .get(&of)
            .copied()
            .filter(|old| old.author == author)
        else {
            return Ok(());
        };
        let is_mine = author == self.key.id();
        let stored = Stored {
            author,
            is_mine,
            reply_to: old.reply_to,
            minute,
            is_edited: true,
            here_ms: old.here_ms,
            text: text.clone(),
        };
        self.keep(old.seq, of, &stored)?;
        self.tell(Event::Edited {
            id: of,
            text: Text(text),
        });
        Ok(())
    }

    fn deleted(&mut self, author: LeafId, of: MessageId) {
        if self.index.get(&of).is_some_and(|old| old.author == author) {
            self.forget(of);
        }
    }

    fn forget(&mut self, id: MessageId) {
        if let Some(old) = self.index.remove(&id) {
            self.out
                .store
                .delete(Key::new(self.space, saved::message_name(old.seq, &id)));
            self.tell(Event::Deleted { id });
        }
    }

    /// A facilitator hands newcomers the names that were said before they came; what somebody says of
    /// themselves always wins.
    fn roster(&mut self, author: LeafId, lines: Vec<RosterLine>) {
        if !self
            .policy
            .as_ref()
            .is_some_and(|policy| policy.is_facilitator(&author))
        {
            return;
        }
        for line in lines {
            self.named(line, false);
        }
    }

    fn named(&mut self, line: RosterLine, by_self: bool) {
        let is_member = self
            .group
            .as_ref()
            .is_some_and(|group| group.leaves().contains(&line.leaf));
        let known = self
            .saved
            .names
            .iter()
            .position(|old| old.leaf == line.leaf);
        if !is_member || (known.is_some() && !by_self) {
            return;
        }
        if let Some(position) = known {
            self.saved.names.remove(position);
        }
        self.tell(Event::Named {
            leaf: line.leaf,
            name: Text(line.name.clone()),
        });
        self.saved.names.push(line);
    }

    pub(super) fn queue_roster(&mut self, now: Now) -> Result<()> {
        let lines = self.saved.names.clone();
        if lines.is_empty() {
            return Ok(());
        }
        self.queue(ContentBody::Roster(lines), now).map(drop)
    }

    /// What was kept longer than the rules say goes; answers when the next one is due.
    pub(super) fn forget_old(&mut self, now: Now) -> Option<u64> {
        let keep_ms = u64::from(self.policy.as_ref()?.keep_seconds?) * 1_000;
        let due = |here_ms: u64| here_ms.saturating_add(keep_ms);
        let old: Vec<_> = self
            .index
            .iter()
            .filter(|(_, one)| due(one.here_ms) <= now.wall_ms)
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            self.forget(id);
        }
        let next = self.index.values().map(|one| due(one.here_ms)).min()?;
        Some(
            now.steady_ms
                .saturating_add(next.saturating_sub(now.wall_ms)),
        )
    }

    pub(super) fn obey(&mut self, command: Command, now: Now) -> Result<Reply> {
        if self.is_over() {
            return Err(Error::new(
                ErrorKind::NotMember,
                "you are no longer in this conversation",
            ));
        }
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
            Command::Delete(of) => {
                self.own(of)?;
                self.queue(ContentBody::Delete(of), now)
                    .map(|_| Reply::Kept)
            }
            Command::React { to, emoji } => self
                .queue(ContentBody::React { to, emoji }, now)
                .map(|_| Reply::Kept),
            Command::Typing => self.type_on(now),
            Command::Read(of) => self
                .queue(ContentBody::Receipt(of), now)
                .map(|_| Reply::Kept),
            Command::Rename(name) => self.rename(name, now),
            Command::Remove(leaf) => self.want_of_facilitator(Intent::Remove(leaf), Some(leaf)),
            Command::Promote(leaf) => self.promote(leaf),
            Command::Rotate => self.want_of_facilitator(Intent::Rotate, None),
            Command::Leave => {
                self.set_stage(Stage::Leaving);
                Ok(Reply::Kept)
            }
        }
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
        if due && self.is_online && self.outbox.is_empty() {
            self.typing_at_ms = Some(now.steady_ms);
            self.queue(ContentBody::Typing, now)?;
        }
        Ok(Reply::Kept)
    }

    fn rename(&mut self, name: String, now: Now) -> Result<Reply> {
        if !name_is_fit(&name) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a name has 1 to 64 bytes and no control characters",
            ));
        }
        self.saved.name = name;
        self.say_hello(now)?;
        Ok(Reply::Kept)
    }

    fn promote(&mut self, leaf: LeafId) -> Result<Reply> {
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

    /// The conversation is over for us. Removed: texts stay, keys go. Left: everything goes.
    pub(super) fn end(&mut self, stage: Stage) {
        self.set_stage(stage);
        // What this input was about to write of keys and unsent words must not come after the erasing.
        self.out
            .store
            .puts
            .retain(|(key, _)| stage == Stage::Removed && key.name.starts_with(saved::MESSAGE));
        if stage != Stage::Removed || self.keep_texts_only().is_err() {
            self.out.store.erase(self.space);
        }
        self.group = None;
        self.flight = None;
        self.token = None;
        self.outbox.clear();
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
        state.intents.clear();
        let keys = self
            .group
            .as_ref()
            .map(crate::mls::Group::values)
            .transpose()?
            .unwrap_or_default();
        for key in keys.into_keys() {
            self.out
                .store
                .delete(Key::new(self.space, [saved::MLS, &key].concat()));
        }
        for number in self.outbox.keys() {
            self.out
                .store
                .delete(Key::new(self.space, saved::out_name(*number)));
        }
        self.out.store.delete(Key::new(self.space, saved::FLIGHT));
        self.out
            .store
            .put(Key::new(self.space, saved::STATE), saved::encode(&state)?);
        Ok(())
    }
}
