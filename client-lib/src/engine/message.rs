//! What was said, as an app is told of it.

use core::fmt;

use super::event::Text;
use crate::content::MessageId;
use crate::error::ErrorKind;
use crate::mls::LeafId;

/// A text somebody said.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Names it in this conversation.
    pub id: MessageId,
    /// Place in the log; messages of one conversation are in this order for everybody.
    pub seq: u64,
    /// Who said it.
    pub author: LeafId,
    /// Whether it is ours.
    pub is_mine: bool,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// The author's clock, in minutes since 1970-01-01, UTC.
    pub minute: u64,
    /// Whether its author changed it later.
    pub is_edited: bool,
    /// Whether it is what was said before somebody came, as its author tells it them: a line for each,
    /// with a name before it, or a question mark; further lines of one message are set in by two blanks.
    /// Nobody but its author vouches for it.
    pub is_retold: bool,
    /// What members reacted with, at most one each; empty in
    /// [`Event::Message`](super::Event::Message).
    pub reactions: Vec<Reaction>,
    /// What was said; with an attachment, what was said with it, maybe nothing.
    pub text: String,
    /// What was sent with it.
    pub attachment: Option<Attachment>,
}

/// What came with a message. Name and type are its author's word: show them, and trust neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What its author calls it; one part of a path, without control characters, at most
    /// [`ATTACHMENT_NAME_BYTES_MAX`](crate::ATTACHMENT_NAME_BYTES_MAX) bytes.
    pub name: String,
    /// What it is, such as `audio/ogg`; at most
    /// [`MEDIA_TYPE_BYTES_MAX`](crate::MEDIA_TYPE_BYTES_MAX) bytes of ASCII.
    pub media_type: String,
    /// How long it is; at most [`ATTACHMENT_BYTES_MAX`](crate::ATTACHMENT_BYTES_MAX).
    pub bytes: u64,
    /// Whether this device has all of it; then it can be read without a line.
    pub is_here: bool,
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("is_here", &self.is_here)
            .finish_non_exhaustive()
    }
}

/// How an attachment fares on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transfer {
    /// On its way to the relay; then its message goes out.
    Sending {
        /// Parts that the relay has.
        done: u32,
        /// Parts in all, of at most 64 KiB, padding included.
        of: u32,
    },
    /// On its way to this device.
    Fetching {
        /// Parts that are here.
        done: u32,
        /// Parts in all.
        of: u32,
    },
    /// All of it is here, and is what its author sent.
    Here,
    /// It will not come: [`ErrorKind::Gone`], [`ErrorKind::Altered`], or
    /// [`ErrorKind::NotMember`] as the conversation is over for us.
    Failed(ErrorKind),
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("seq", &self.seq)
            .field("is_mine", &self.is_mine)
            .finish_non_exhaustive()
    }
}

/// What a member reacted to a message with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// Who.
    pub by: LeafId,
    /// With what.
    pub emoji: Text,
}

/// A text of ours that is not in the log yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Unsent {
    /// Its id, the same when it is sent.
    pub id: MessageId,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// When it was said, in minutes since 1970-01-01, UTC.
    pub minute: u64,
    /// What it says.
    pub text: String,
    /// What goes with it.
    pub attachment: Option<Attachment>,
}

impl fmt::Debug for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsent").finish_non_exhaustive()
    }
}
