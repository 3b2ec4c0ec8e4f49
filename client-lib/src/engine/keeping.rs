//! What is kept of what was said: texts and reactions, and for how long. Nothing here decides what
//! counts.

use super::saved::{self, Stored};
use super::{Attachment, Engine, Event, Indexed, Message, Reaction, Text, Unsent};
use crate::content::{Content, ContentBody, MessageId};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::LeafId;
use crate::time::Now;
use crate::vault::{Key, Range, Row, Space, Vault};

/// Reactions kept for one message; more than people of the largest room give.
const REACTIONS_MAX: usize = 256;
/// Rows deleted because their time is over, in one batch; the rest go with the next.
const DELETES_MAX: usize = 4_096;

impl Engine {
    /// The last `max` messages (0: all) that `vault` keeps of the conversation in `space` and that
    /// stand before place `before` of the log (without it, the last ones), in log order.
    ///
    /// # Errors
    /// The vault's kinds.
    pub fn history(
        vault: &dyn Vault,
        space: Space,
        before: Option<u64>,
        max: usize,
    ) -> Result<Vec<Message>> {
        let place = before.map(|seq| [saved::MESSAGE, &seq.to_be_bytes()].concat());
        let mut messages = vault.range(
            space,
            Range {
                after: place.as_deref(),
                max,
                backwards: true,
                ..Range::of(saved::MESSAGE)
            },
        )?;
        messages.reverse();
        let reactions = vault.range(space, Range::of(saved::REACTION))?;
        let here = vault.range(space, Range::of(saved::HERE))?;
        kept_messages(&messages, &reactions, &here)
    }

    pub(super) fn keep(&mut self, seq: u64, id: MessageId, stored: &Stored) -> Result<()> {
        self.out.store.put(
            Key::new(self.space, saved::message_name(seq, &id)),
            saved::encode(stored)?,
        );
        let reacted = self.index.remove(&id).map(|old| old.reacted);
        self.index.insert(
            id,
            Indexed {
                seq,
                author: stored.author,
                reply_to: stored.reply_to,
                here_ms: stored.here_ms,
                reacted: reacted.unwrap_or_default(),
                attached: stored.attachment.clone(),
            },
        );
        Ok(())
    }

    /// One reaction of each member to each message that is kept; a new one takes the old one's place.
    pub(super) fn reacted(&mut self, by: LeafId, to: MessageId, emoji: String) -> Result<()> {
        let Some(message) = self.index.get_mut(&to) else {
            return Ok(());
        };
        let name = saved::reaction_name(&to, &by);
        if emoji.is_empty() {
            message.reacted.remove(&by);
            self.delete_row(&name);
        } else {
            if message.reacted.len() >= REACTIONS_MAX && !message.reacted.contains(&by) {
                return Ok(());
            }
            message.reacted.insert(by);
            self.out
                .store
                .put(Key::new(self.space, name), saved::encode(&emoji)?);
        }
        self.tell(Event::Reacted {
            to,
            by,
            emoji: Text(emoji),
        });
        Ok(())
    }

    pub(super) fn forget(&mut self, id: MessageId) -> Result<()> {
        if let Some(attached) = self.index.get(&id).and_then(|one| one.attached.clone()) {
            self.forget_attached(&id, &attached)?;
        }
        if let Some(old) = self.index.remove(&id) {
            self.delete_row(&saved::message_name(old.seq, &id));
            for by in old.reacted {
                self.delete_row(&saved::reaction_name(&id, &by));
            }
            // Not only unlisted: overwritten.
            self.out.scrub = true;
            self.tell(Event::Deleted { id });
        }
        Ok(())
    }

    /// What was kept longer than the rules say goes; answers when the next one is due (wall clock).
    pub(super) fn forget_old(&mut self, now: Now) -> Result<Option<u64>> {
        let rules = self.policy.as_ref();
        let Some(keep) = rules.and_then(|policy| policy.keep_seconds) else {
            return Ok(None);
        };
        let keep_ms = u64::from(keep) * 1_000;
        let due = |one: &Indexed| one.here_ms.saturating_add(keep_ms);
        let old: Vec<_> = self
            .index
            .iter()
            .filter(|(_, one)| due(one) <= now.wall_ms)
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            if self.out.store.deletes.len() > DELETES_MAX {
                break;
            }
            self.forget(id)?;
        }
        Ok(self.index.values().map(due).min())
    }

    /// Deletes a row, also one that this very batch was about to write.
    pub(super) fn delete_row(&mut self, name: &[u8]) {
        let key = Key::new(self.space, name);
        self.out.store.puts.retain(|(put, _)| *put != key);
        self.out.store.delete(key);
    }
}

/// Kept messages from their rows and those of all reactions.
fn kept_messages(messages: &[Row], reactions: &[Row], here: &[Row]) -> Result<Vec<Message>> {
    let reactions = reactions
        .iter()
        .map(|(name, value)| {
            let (id, by) = saved::reaction_of(name).ok_or_else(nameless)?;
            let emoji = saved::decode(value)?;
            Ok((
                id,
                Reaction {
                    by,
                    emoji: Text(emoji),
                },
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    messages
        .iter()
        .map(|(name, value)| {
            let (seq, id) = saved::message_of(name).ok_or_else(nameless)?;
            let stored: Stored = saved::decode(value)?;
            let to_this = reactions.iter().filter(|(to, _)| *to == id);
            let is_here = here
                .iter()
                .any(|(name, _)| saved::id_of(name, saved::HERE) == Some(id));
            Ok(Message {
                id,
                seq,
                author: stored.author,
                is_mine: stored.is_mine,
                reply_to: stored.reply_to,
                minute: stored.minute,
                is_edited: stored.is_edited,
                is_retold: stored.is_retold,
                reactions: to_this.map(|(_, reaction)| reaction.clone()).collect(),
                text: stored.text,
                attachment: stored
                    .attachment
                    .map(|attached| Engine::shown_attachment(&attached, is_here)),
            })
        })
        .collect()
}

fn nameless() -> Error {
    Error::new(ErrorKind::VaultDamaged, "a message without its name")
}

/// What an app may show of a content that waits.
pub(super) fn unsent(content: &Content) -> Option<Unsent> {
    let (reply_to, text, attachment) = match &content.body {
        ContentBody::Text(text) => (None, text, None),
        ContentBody::Reply { to, text } => (Some(*to), text, None),
        ContentBody::Attach(attach) => {
            let attachment = Attachment {
                name: attach.name.clone(),
                media_type: attach.media_type.clone(),
                bytes: attach.bytes,
                is_here: true,
            };
            (attach.to, &attach.text, Some(attachment))
        }
        _ => return None,
    };
    Some(Unsent {
        id: content.id,
        reply_to,
        minute: content.minute,
        text: text.clone(),
        attachment,
    })
}
