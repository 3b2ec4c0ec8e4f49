//! What a conversation is for, as far as this device knows: who has several tells them apart by it, and
//! says to none what was meant for another.

use super::{Engine, Standing};

/// What a conversation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConversationKind {
    /// Nothing is known of it beside its members.
    Room,
    /// The room of a desk's team.
    Team,
    /// A ticket of ours at a desk, which nobody answered yet.
    Ticket,
    /// A letter of ours to a desk, which nobody answered yet.
    Letter,
    /// Somebody of a desk answered us: the chat is ours, and nobody else comes in but by our yes.
    Ours,
    /// A chat with somebody who asked a desk, also one that is about to begin.
    Theirs,
    /// A talk in which turns are given.
    Turns,
    /// A room of some of a team beside a chat, for a question or for drafts; also one that we asked to enter
    /// from a team.
    Aside,
}

impl ConversationKind {
    /// A stable name for bindings and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Team => "team",
            Self::Ticket => "ticket",
            Self::Letter => "letter",
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Turns => "turns",
            Self::Aside => "aside",
        }
    }
}

impl Engine {
    /// What this conversation is for, as far as this device knows. Of one that we are not in yet little is.
    #[must_use]
    pub fn kind(&self) -> ConversationKind {
        if self.has_ticket() {
            return if self.is_letter() {
                ConversationKind::Letter
            } else {
                ConversationKind::Ticket
            };
        }
        let is_inside = matches!(self.standing(), Standing::In | Standing::Waiting);
        let hosts = self.policy.as_ref().map(|policy| &policy.hosts);
        let has_host = hosts.is_some_and(|hosts| !hosts.is_empty());
        if self.is_desk() {
            ConversationKind::Team
        } else if self.is_taking() || has_host && !self.is_host() {
            ConversationKind::Theirs
        } else if has_host {
            ConversationKind::Ours
        } else if self.saved.floor.is_some() {
            ConversationKind::Turns
        } else if self.saved.is_aside && is_inside {
            ConversationKind::Aside
        } else {
            ConversationKind::Room
        }
    }

    /// When it began on this device, in milliseconds since 1970-01-01 by this device's clock: conversations
    /// are listed in this order.
    #[must_use]
    pub const fn begun_ms(&self) -> u64 {
        self.saved.begun_ms
    }
}
