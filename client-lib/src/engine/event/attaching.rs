//! An attachment that an app hands over to be sent.

use core::fmt;

use crate::content::MessageId;

/// Something to be sent: what its readers are told of it.
#[derive(Clone, PartialEq, Eq)]
pub struct NewAttachment {
    /// As in [`Attachment::name`](crate::Attachment::name).
    pub name: String,
    /// As in [`Attachment::media_type`](crate::Attachment::media_type).
    pub media_type: String,
    /// What is said with it; at most [`TEXT_BYTES_MAX`](crate::TEXT_BYTES_MAX) bytes. May be empty, but
    /// of a picture (`image/…`) it says what that shows, for who does not see it.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
}

impl NewAttachment {
    /// Without words, and an answer to nothing.
    #[must_use]
    pub fn new(name: impl Into<String>, media_type: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            media_type: media_type.into(),
            text: String::new(),
            reply_to: None,
        }
    }
}

impl fmt::Debug for NewAttachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewAttachment(…)")
    }
}

/// An attachment is taken in piece by piece, one attachment at a time, and goes out once it is
/// whole. What is not whole when the process ends is forgotten.
#[derive(Clone)]
#[non_exhaustive]
pub enum Attaching {
    /// Begins; one that was begun before and is not whole is forgotten.
    Begin(NewAttachment),
    /// The next bytes, at most a mebibyte at once.
    More {
        /// Of the message that beginning gave.
        id: MessageId,
        /// Of any length.
        bytes: Vec<u8>,
    },
    /// That was all of it.
    End(MessageId),
    /// Never mind.
    Cancel(MessageId),
}

impl fmt::Debug for Attaching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attaching(…)")
    }
}
