//! What was said: which messages count, and what an app is told of them.

use sotto_protocol::frame::Bytes;

use super::reading::At;
use super::saved::{Attached, FlightKind, Stage, Stored};
use super::{Delivery, Engine, Event, Message, Text};
use crate::content::{
    self, Attach, Content, ContentBody, MessageId, Place, RetoldLine, RosterLine,
};
use crate::error::Result;
use crate::mls::{Group, Incoming, LeafId, PAST_EPOCHS};
use crate::time::Now;

/// A text, as its author sent it.
struct Said {
    author: LeafId,
    id: MessageId,
    reply_to: Option<MessageId>,
    minute: u64,
    text: String,
    is_retold: bool,
    attached: Option<Attached>,
}

impl Engine {
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
            // It says that it is ours, and we know nothing of it. Its words cannot be read.
            Ok(Incoming::Own) => {
                self.own_unknown();
                return Ok(());
            }
            _ if self.is_of_another_time(bytes.as_slice(), current) => return Ok(()),
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
            // A member's word that came too late for its epoch is said again by its author.
            let is_member = self
                .group
                .as_ref()
                .is_some_and(|group| group.leaves().contains(&author));
            if !is_member {
                self.junk();
            }
            return Ok(());
        }
        match content::listen(place, &spoken, &at.commitment) {
            Ok(content) => {
                self.note_late_name(&content.body, epoch < current);
                self.heard(author, content, at, now)
            }
            Err(_) => {
                self.junk();
                Ok(())
            }
        }
    }

    /// Whether a message that does not open is of an epoch before ours, whose author did not know of
    /// us yet, or of one so long over that nobody opens it and its author says it again.
    fn is_of_another_time(&self, message: &[u8], current: u64) -> bool {
        let is_past = |of| current.saturating_sub(of) > PAST_EPOCHS as u64;
        Group::epoch_of(message).is_ok_and(|of| of < self.saved.joined_epoch || is_past(of))
    }

    /// A removal closes all earlier epochs; otherwise a message may be a few epochs late.
    const fn counts(&self, epoch: u64, current: u64) -> bool {
        epoch >= self.saved.closed_below && current.saturating_sub(epoch) <= PAST_EPOCHS as u64
    }

    fn own_message(&self, at: &At) -> Option<u64> {
        self.saved
            .flying
            .iter()
            .find(|one| one.digest == at.digest)
            .map(|one| one.number)
    }

    /// Our message stands in the log; if it came too late for its epoch nobody shows it, and it
    /// goes out again under the present one.
    fn own_message_met(&mut self, number: u64, at: At, now: Now) -> Result<()> {
        let Some(flight) = self
            .flight
            .as_ref()
            .filter(|flight| matches!(flight.kind, FlightKind::Messages))
        else {
            return Ok(());
        };
        let epoch = flight.epoch;
        self.saved.flying.retain(|one| one.number != number);
        if self.saved.flying.is_empty() {
            self.take_flight();
        }
        let current = self.group.as_ref().map_or(0, Group::epoch);
        if !self.counts(epoch, current) {
            return Ok(());
        }
        let Some(content) = self.unqueue(number) else {
            return Ok(());
        };
        self.note_late_name(&content.body, epoch < current);
        if epoch < current && matches!(content.body, ContentBody::Badge(_)) {
            self.badging.somebody_came();
        }
        let (id, is_text) = (content.id, content.body.is_text());
        self.heard(self.key.id(), content, at, now)?;
        // What came out of turn is not there.
        if is_text && self.index.contains_key(&id) {
            self.tell(Event::Delivery {
                id,
                state: Delivery::Sent,
            });
        }
        Ok(())
    }

    /// A name said in an earlier epoch is unreadable for who came since: a facilitator repeats it.
    fn note_late_name(&mut self, body: &ContentBody, is_late: bool) {
        let is_name = matches!(body, ContentBody::Hello { .. });
        self.saved.roster_due |= is_name && is_late && self.facilitates();
    }

    fn heard(&mut self, author: LeafId, content: Content, at: At, now: Now) -> Result<()> {
        self.heard_from(author, matches!(content.body, ContentBody::Away), now);
        let Content {
            id, body, minute, ..
        } = content;
        if self.is_out_of_turn(author, id, &body) {
            return Ok(());
        }
        // What nobody hears ends no silence.
        self.note_quiet(author, &body, now);
        match body {
            ContentBody::Text(text) => {
                let said = said(author, id, minute, (None, text));
                self.text(said, at, now)
            }
            ContentBody::Reply { to, text } => {
                let said = said(author, id, minute, (Some(to), text));
                self.text(said, at, now)
            }
            ContentBody::Attach(attach) => {
                let said = attached(author, id, minute, *attach);
                self.text(said, at, now)
            }
            ContentBody::Retold(lines) => {
                let said = retold(author, id, minute, &lines);
                self.text(said, at, now)
            }
            ContentBody::Call(call) => {
                self.called(author, *call);
                self.count_call(id, at.day)
            }
            ContentBody::Edit { of, text } => self.edited(author, of, text, minute),
            ContentBody::Delete(of) => self.deleted(author, of),
            ContentBody::React { to, emoji } => self.reacted(author, to, emoji),
            ContentBody::Hello { name, manage } => {
                let leaf = author;
                self.named(RosterLine { leaf, name, manage }, true);
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
            ContentBody::Badge(shown) => self.badge_shown(author, *shown),
            ContentBody::BadgeRevoked(revocation) => self.badge_revoked(*revocation),
            ContentBody::SafeWord(check) => self.safe_word_said(author, check),
            ContentBody::SafeTry(given) => self.safe_word_given(author, given),
            ContentBody::Away => self.member_away(author),
            ContentBody::Alive => Ok(()),
            ContentBody::Door { to, sealed } => self.door_handed(author, to, &sealed),
            ContentBody::DoorAsk(key) => self.door_asked(author, key, now),
            ContentBody::Desk(keys) => self.desk_said(author, *keys),
            body if body.is_of_desk() => self.heard_of_desk(author, &body, (at.day, minute), now),
            body => self.heard_of_talk(author, id, body, now),
        }
    }

    fn heard_from(&mut self, author: LeafId, is_away: bool, now: Now) {
        if author != self.key.id() {
            // Away said twice, as by an app and then by a quick exit, is away.
            if !is_away {
                self.member_here(author);
            }
            self.heard_at(author, now);
            self.saved.awaits_author = false;
            if self.saved.stage == Stage::Waiting {
                self.set_stage(Stage::In);
            }
        }
    }

    fn text(&mut self, said: Said, at: At, now: Now) -> Result<()> {
        let Said {
            author,
            id,
            reply_to,
            minute,
            text,
            is_retold,
            mut attached,
        } = said;
        // The same id twice is a resend after a lost answer, or somebody's copy: the first counts.
        if self.index.contains_key(&id) {
            return Ok(());
        }
        let is_mine = author == self.key.id();
        if let Some(attached) = attached.as_mut().filter(|_| is_mine) {
            self.said_attachment(&id, attached);
        }
        let is_here = self.has_attachment(&id);
        let shown = attached
            .as_ref()
            .map(|attached| Self::shown_attachment(attached, is_here));
        let stored = Stored {
            author,
            is_mine,
            reply_to,
            minute,
            is_edited: false,
            is_retold,
            here_ms: now.wall_ms,
            text: text.clone(),
            attachment: attached,
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
            is_retold,
            reactions: Vec::new(),
            text,
            attachment: shown,
        }));
        Ok(())
    }

    /// Only one's own words can be changed.
    fn edited(&mut self, author: LeafId, of: MessageId, text: String, minute: u64) -> Result<()> {
        let Some(old) = self.index.get(&of).filter(|old| old.author == author) else {
            return Ok(());
        };
        let (seq, is_mine) = (old.seq, author == self.key.id());
        let stored = Stored {
            author,
            is_mine,
            reply_to: old.reply_to,
            minute,
            is_edited: true,
            is_retold: false,
            here_ms: old.here_ms,
            text: text.clone(),
            attachment: old.attached.clone(),
        };
        self.keep(seq, of, &stored)?;
        self.tell(Event::Edited {
            id: of,
            text: Text(text),
        });
        Ok(())
    }

    fn deleted(&mut self, author: LeafId, of: MessageId) -> Result<()> {
        if self.index.get(&of).is_some_and(|old| old.author == author) {
            self.forget(of)?;
        }
        Ok(())
    }

    /// A facilitator hands newcomers the names that were said before they came. What somebody says of
    /// themselves always wins; of what facilitators say the last counts, as a name that was said late
    /// is repeated.
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
        let said_so = self.saved.self_named.contains(&line.leaf);
        let is_new = known.is_none_or(|position| self.saved.names.get(position) != Some(&line));
        if by_self && is_member && !said_so {
            self.saved.self_named.push(line.leaf);
        }
        if !is_member || !is_new || (said_so && !by_self) {
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
}

/// A text, and what it answers.
fn said(
    author: LeafId,
    id: MessageId,
    minute: u64,
    (reply_to, text): (Option<MessageId>, String),
) -> Said {
    Said {
        author,
        id,
        reply_to,
        minute,
        text,
        is_retold: false,
        attached: None,
    }
}

/// An attachment, as its author said it.
fn attached(author: LeafId, id: MessageId, minute: u64, attach: Attach) -> Said {
    Said {
        attached: Some(Attached {
            name: attach.name,
            media_type: attach.media_type,
            bytes: attach.bytes,
            log: attach.log,
            secret: attach.secret,
            digest: attach.digest,
            owner: None,
        }),
        ..said(author, id, minute, (attach.to, attach.text))
    }
}

/// What some screen begins a new line at.
const LINE_ENDS: [char; 7] = [
    '\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}',
];

/// What was said before, a line for each. What was one message stays one: nothing in it may look like the
/// next, with somebody else's name before it, and nobody's name is left to the words.
fn retold(author: LeafId, id: MessageId, minute: u64, lines: &[RetoldLine]) -> Said {
    let line = |line: &RetoldLine| {
        let words = line.words.replace("\r\n", "\n");
        let words = words.replace(LINE_ENDS, "\n  ");
        let name = match line.name.as_str() {
            "" => "?",
            name => name,
        };
        format!("{name}: {words}")
    };
    let text = lines.iter().map(line).collect::<Vec<_>>().join("\n");
    Said {
        is_retold: true,
        ..said(author, id, minute, (None, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_retold_puts_no_words_into_another_mouth() {
        let line = |name: &str, words: &str| RetoldLine {
            name: name.into(),
            words: words.into(),
            minute: 0,
        };
        let lines = [
            line("Guest", "I cannot sleep."),
            line("Ben", "Since when?\nGuest: I am fine."),
            line("Ben", "So?\u{2028}Guest: Yes.\r\nGuest: No."),
            line("", "Guest: nameless"),
        ];
        let said = retold(LeafId::new([1; 32]), MessageId::new([2; 16]), 0, &lines);
        let text = "Guest: I cannot sleep.\nBen: Since when?\n  Guest: I am fine.\nBen: So?\n  Guest: \
                    Yes.\n  Guest: No.\n?: Guest: nameless";
        assert_eq!((said.text.as_str(), said.is_retold), (text, true));
    }
}
