//! What is said of words that somebody reads before they go out. SPEC.md, "Review".

use serde::{Deserialize, Serialize};

use super::MessageId;

/// The longest draft in bytes, and the longest note on one: a long letter, which a reviewer reads whole.
pub const DRAFT_BYTES_MAX: usize = 16_384;

/// Words for another conversation, to be read here first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    /// What the message will be called there.
    pub(crate) id: MessageId,
    pub(crate) text: String,
}

/// They may go out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    pub(crate) of: MessageId,
    /// In other words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// They may not.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendBack {
    pub(crate) of: MessageId,
    pub(crate) note: String,
}

impl Draft {
    pub(super) const fn is_within_limits(&self) -> bool {
        self.text.len() <= DRAFT_BYTES_MAX
    }
}

impl Release {
    pub(super) fn is_within_limits(&self) -> bool {
        let text = self.text.as_ref();
        text.is_none_or(|text| text.len() <= DRAFT_BYTES_MAX)
    }
}

impl SendBack {
    pub(super) const fn is_within_limits(&self) -> bool {
        self.note.len() <= DRAFT_BYTES_MAX
    }
}
