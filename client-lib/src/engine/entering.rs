//! Entering a conversation that is somebody's: a chat that a desk answered with. SPEC.md, "Entering".
//!
//! Its rules name its hosts, and nobody comes in but by a Commit of one of them. So there is one way:
//! whoever wants to come in knocks at the chat's door, the host says yes on their own device, and
//! everybody sees it. A host who lost the group comes back by the word of their old leaf alone.

use super::saved::{self, Intent, Stage, Stored};
use super::{Engine, Event, Reply, Text};
use crate::content::{
    Call, ContentBody, RETOLD_BYTES_MAX, RETOLD_LINES_MAX, RetoldLine, call_is_fit,
};
use crate::error::{Error, ErrorKind, Result};
use crate::link::{Link, LinkBody};
use crate::mls::LeafId;
use crate::policy::Policy;
use crate::seal::Return;
use crate::time::Now;
use crate::vault::Key;

impl Engine {
    /// Whether nobody may come in but by our yes, as the rules say.
    #[must_use]
    pub fn is_host(&self) -> bool {
        let policy = self.policy.as_ref();
        policy.is_some_and(|policy| policy.hosts.contains(&self.key.id()))
    }

    /// Whether this is a chat that we hold with somebody who asked a desk, or are about to: what a desk's limit
    /// of chats counts. One that answered a letter counts once its author is here.
    #[must_use]
    pub fn holds_chat(&self) -> bool {
        let is_of_others = |policy: &Policy| !policy.hosts.is_empty() && !self.is_host();
        let is_theirs = self.policy.as_ref().is_some_and(is_of_others);
        let is_open = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        let holds = is_open && self.facilitates() && is_theirs;
        self.is_claiming() || !self.is_taking() && holds && !self.saved.awaits_author
    }

    /// The word by which somebody who knocks comes back as a host.
    pub(super) fn host_back(&self, leaf: &LeafId) -> Option<Return> {
        let one = self.beside.knocks.get(leaf)?.was.clone()?;
        let hosts = &self.policy.as_ref()?.hosts;
        hosts.contains(&one.was).then_some(one)
    }

    /// Whose conversation it is, with these added. Who is answered by a desk is the host of the chat.
    pub(super) fn next_hosts(&self, before: &Policy, added: &[LeafId]) -> Vec<LeafId> {
        if before.hosts.is_empty() && self.is_taking() {
            return added.to_vec();
        }
        let back = added.iter().filter_map(|leaf| self.host_back(leaf));
        let back: Vec<_> = back.map(|one| (one.was, one.leaf)).collect();
        before.hosts_after(&back)
    }

    /// # Errors
    /// [`ErrorKind::NotAllowed`] where only somebody else may let this one in.
    pub(super) fn may_let_in(&self, leaf: &LeafId) -> Result<()> {
        if self.host_back(leaf).is_some() {
            return Ok(());
        }
        self.may_add()
    }

    /// # Errors
    /// [`ErrorKind::NotAllowed`] where only somebody else may let in anybody.
    pub(super) fn may_add(&self) -> Result<()> {
        let me = self.key.id();
        let policy = self.policy.as_ref();
        if policy.is_none_or(|policy| policy.lets_in(&me)) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotAllowed,
            "only the person this chat is for can let somebody in; they see who asks",
        ))
    }

    /// A host who comes back needs nobody's yes: it is their chat.
    pub(super) fn let_host_back(&mut self, leaf: LeafId) {
        if self.facilitates() && self.host_back(&leaf).is_some() {
            self.want(Intent::Add(leaf));
        }
    }

    /// Asks who is here to come into another conversation, which has a door.
    pub(super) fn call(&mut self, asks: String, link: &Link, now: Now) -> Result<()> {
        let LinkBody::Door(door) = &link.0 else {
            let what = "that conversation has no door to knock at";
            return Err(Error::new(ErrorKind::Invalid, what));
        };
        if !call_is_fit(&asks) || door.relay != self.saved.relay {
            return Err(Error::new(
                ErrorKind::Invalid,
                "what somebody is called for is one line of 1 to 256 bytes, and the conversation is \
                 on this relay",
            ));
        }
        let door = door.clone();
        let call = ContentBody::Call(Box::new(Call { asks, door }));
        self.queue(call, now).map(drop)
    }

    /// A member asks us to come into another conversation. One on another relay is none that this
    /// room has to do with, and would only show that relay who we are.
    pub(super) fn called(&mut self, by: LeafId, call: Call) {
        if by == self.key.id() || call.door.relay != self.saved.relay {
            return;
        }
        self.tell(Event::Called {
            by,
            asks: Text(call.asks),
            link: Box::new(Link(LinkBody::Door(call.door))),
        });
    }

    /// Lets another member facilitate, and leaves once they do.
    pub(super) fn hand_over(&mut self, leaf: LeafId) -> Result<Reply> {
        self.promote(leaf)?;
        self.saved.hands_over = Some(leaf);
        self.leave_if_handed_over();
        Ok(Reply::Kept)
    }

    pub(super) fn leave_if_handed_over(&mut self) {
        let Some(leaf) = self.saved.hands_over else {
            return;
        };
        let group = self.group.as_ref();
        let is_here = group.is_some_and(|group| group.leaves().contains(&leaf));
        let policy = self.policy.as_ref();
        let facilitates = policy.is_some_and(|policy| policy.is_facilitator(&leaf));
        if !is_here {
            self.saved.hands_over = None;
        } else if facilitates {
            self.set_stage(Stage::Leaving);
        }
    }

    /// Whether the vault is being read for us; one reading at a time.
    pub(super) const fn is_loading(&self) -> bool {
        self.transfers.is_loading || self.beside.is_retelling
    }

    /// Reads what was said, to tell it to who came.
    pub(super) fn go_on_retelling(&mut self) {
        let is_member = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        if !self.saved.retell_due || !is_member || !self.is_online || self.is_loading() {
            return;
        }
        let mut said: Vec<_> = self.index.iter().map(|(id, one)| (one.seq, *id)).collect();
        said.sort_unstable();
        let surplus = said.len().saturating_sub(RETOLD_LINES_MAX);
        let newest = said.split_off(surplus);
        if newest.is_empty() {
            self.saved.retell_due = false;
            return;
        }
        self.beside.is_retelling = true;
        let names = newest.iter().map(|(seq, id)| saved::message_name(*seq, id));
        self.out.wants = names.map(|name| Key::new(self.space, name)).collect();
    }

    /// Tells it, the newest that there is room for. What cannot be kept waits for the next connection.
    pub(super) fn retell(&mut self, values: Vec<Option<Vec<u8>>>, now: Now) {
        let said = values.iter().flatten();
        let said = said.filter_map(|value| saved::decode::<Stored>(value).ok());
        let mut lines: Vec<_> = said
            .filter(|stored| !stored.is_retold)
            .map(|stored| self.retold_line(stored))
            .collect();
        let mut room = RETOLD_BYTES_MAX;
        let from = lines
            .iter()
            .rposition(|line| match room.checked_sub(line.words.len()) {
                Some(rest) => {
                    room = rest;
                    false
                }
                None => true,
            });
        let newest = lines.split_off(from.map_or(0, |last| last + 1));
        if newest.is_empty() || self.queue(ContentBody::Retold(newest), now).is_ok() {
            self.saved.retell_due = false;
        } else {
            self.beside.is_retelling = true;
        }
    }

    fn retold_line(&self, stored: Stored) -> RetoldLine {
        let sent = stored.attachment.map(|attached| attached.name);
        RetoldLine {
            name: self.name_of(&stored.author).unwrap_or_default(),
            words: match sent {
                Some(name) if stored.text.is_empty() => name,
                _ => stored.text,
            },
            minute: stored.minute,
        }
    }
}
