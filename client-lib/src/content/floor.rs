//! What is said of who may speak, and of what people agreed on. SPEC.md, "Floor".

use serde::{Deserialize, Serialize};

use super::{MessageId, ROSTER_MAX, turns_text};
use crate::mls::LeafId;

/// The longest agreement in bytes: a page or two that people can keep to.
pub const AGREEMENT_BYTES_MAX: usize = 8_192;

/// Who may speak from here on, as who holds the talk says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FloorSaid {
    /// Whose turn it is; everybody's if nobody is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) turn: Option<LeafId>,
    /// It is said again to who came, and the talk is stopped.
    pub(crate) frozen: bool,
    /// Those who stopped it, and did not say since that it may go on.
    pub(crate) stopped: Vec<LeafId>,
}

/// What is proposed for all to agree on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proposed {
    pub(crate) text: String,
    /// It is said again to who came: what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) told: Option<ProposedBefore>,
    /// The day on which people look how it went, in days since 1970-01-01, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) follow_up: Option<u32>,
}

/// What became of an agreement that was proposed before somebody came.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProposedBefore {
    pub(crate) of: MessageId,
    pub(crate) agreed: Vec<LeafId>,
    pub(crate) stands: bool,
}

impl FloorSaid {
    pub(super) const fn is_within_limits(&self) -> bool {
        self.stopped.len() <= ROSTER_MAX
    }
}

impl Proposed {
    pub(super) fn is_within_limits(&self) -> bool {
        let told = self.told.as_ref();
        agreement_is_fit(&self.text) && told.is_none_or(|told| told.agreed.len() <= ROSTER_MAX)
    }
}

/// What people sign has a page or two, and nothing in it that shows other words than it holds.
pub(crate) fn agreement_is_fit(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= AGREEMENT_BYTES_MAX && !text.chars().any(turns_text)
}

impl core::fmt::Debug for FloorSaid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FloorSaid(…)")
    }
}

impl core::fmt::Debug for Proposed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Proposed(…)")
    }
}

impl core::fmt::Debug for ProposedBefore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ProposedBefore(…)")
    }
}
