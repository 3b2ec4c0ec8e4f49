//! What is said of who may speak, and of what people agreed on. SPEC.md, "Floor".

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{MessageId, ROSTER_MAX, misleads};
use crate::mls::LeafId;

/// The longest agreement in bytes: a page or two that people can keep to.
pub const AGREEMENT_BYTES_MAX: usize = 8_192;

const AGREEMENT: &[u8] = b"sotto/v1/agreement";

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

/// Names what is proposed, to the last letter: whoever agrees to it agreed to these words and no others,
/// whatever somebody else was shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgreementId(#[serde(with = "serde_bytes")] [u8; 32]);

impl AgreementId {
    /// Wraps 32 bytes that came from [`AgreementId::as_bytes`].
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What is proposed for all to agree on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proposed {
    pub(crate) text: String,
    /// It is said again, and this message said it first. Of who has agreed it says nothing: that
    /// everybody says themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) told: Option<MessageId>,
    /// The day on which people look how it went, in days since 1970-01-01, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) follow_up: Option<u32>,
}

impl FloorSaid {
    pub(super) const fn is_within_limits(&self) -> bool {
        self.stopped.len() <= ROSTER_MAX
    }
}

impl Proposed {
    pub(super) fn is_within_limits(&self) -> bool {
        agreement_is_fit(&self.text)
    }

    /// The same as said by message `id`, and what it is named by.
    pub(crate) fn named(self, id: MessageId) -> (Self, AgreementId) {
        let told = Some(self.told.unwrap_or(id));
        let said_again = Self { told, ..self };
        // What was read can be written.
        let bytes = sotto_protocol::cbor::encode(&said_again).unwrap_or_default();
        let hash = Sha256::new().chain_update(AGREEMENT).chain_update(bytes);
        (said_again, AgreementId(hash.finalize().into()))
    }
}

/// What people sign has a page or two, and nothing in it that shows other words than it holds.
pub(crate) fn agreement_is_fit(text: &str) -> bool {
    let is_trick = |c: char| misleads(c) || c.is_control() && !matches!(c, '\n' | '\t');
    !text.trim().is_empty() && text.len() <= AGREEMENT_BYTES_MAX && !text.chars().any(is_trick)
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

impl core::fmt::Debug for AgreementId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("AgreementId(…)")
    }
}
