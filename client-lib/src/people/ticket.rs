//! What is kept of each ticket and letter that nobody answered yet, for the next backup. SPEC.md,
//! "Backup".

use serde::{Deserialize, Serialize};
use sotto_protocol::id::LogId;

use crate::desk::OrganisationId;
use crate::link::RelayAddress;
use crate::mls::Suite;

/// One ticket: what one needs to keep its place, and to open the answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketLine {
    /// Secret grant key that reads, trims and manages the inbox.
    #[serde(with = "serde_bytes")]
    pub(crate) own: [u8; 32],
    /// The secret key of the KeyPackage's `init_key`.
    #[serde(with = "serde_bytes")]
    pub(crate) init: [u8; 32],
    /// The secret key of its leaf's `encryption_key`.
    #[serde(with = "serde_bytes")]
    pub(crate) leaf: [u8; 32],
    /// What one is called in the chat.
    pub(crate) name: String,
    /// Seed of the leaf's signature key.
    #[serde(with = "serde_bytes")]
    pub(crate) seed: [u8; 32],
    /// Where the answer comes.
    pub(crate) inbox: LogId,
    /// Secret owner key of the ticket's entry.
    #[serde(with = "serde_bytes")]
    pub(crate) owner: [u8; 32],
    /// Where it lies in the queue.
    pub(crate) place: u64,
    /// The desk's queue, or its letters.
    pub(crate) queue: LogId,
    pub(crate) relay: RelayAddress,
    /// HPKE secret key that the answer is sealed to.
    #[serde(with = "serde_bytes")]
    pub(crate) reply: [u8; 32],
    pub(crate) suite: Suite,
    /// It waits among the desk's letters.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub(crate) letter: bool,
    /// Secret grant key that one will hold `manage` with.
    #[serde(with = "serde_bytes")]
    pub(crate) manage: [u8; 32],
    /// The desk's organisation.
    pub(crate) trusts: OrganisationId,
    /// The KeyPackage (`MLSMessage` bytes).
    #[serde(with = "serde_bytes")]
    pub(crate) package: Vec<u8>,
}

impl core::fmt::Debug for TicketLine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("TicketLine(…)")
    }
}
