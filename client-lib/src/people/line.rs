//! What is kept of each conversation for the next backup. SPEC.md, "Backup".

use serde::{Deserialize, Serialize};
use sotto_protocol::id::LogId;

use crate::desk::OrganisationId;
use crate::link::{DoorKeys, DoorLink, RelayAddress};
use crate::mls::LeafId;
use crate::seal::ConversationSecret;

/// One conversation: what one needs to come in again in place of one's own leaf.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupLine {
    pub(crate) log: LogId,
    /// The log was read so far when this line was made; a shorter one is not all of it.
    pub(crate) seq: u64,
    /// Where one knocks, if one knows, when the keys below open nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) door: Option<DoorLink>,
    /// What one is called there.
    pub(crate) name: String,
    /// Seed of the leaf's signature key.
    #[serde(with = "serde_bytes")]
    pub(crate) seed: [u8; 32],
    /// With `door`, while one keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keeps: Option<DoorKeys>,
    pub(crate) relay: RelayAddress,
    /// Secret grant key that one holds `manage` with as a facilitator.
    #[serde(with = "serde_bytes")]
    pub(crate) manage: [u8; 32],
    /// The member key of the epoch in which this line was made: good until the next rotation.
    #[serde(with = "serde_bytes")]
    pub(crate) member: [u8; 32],
    /// Whose badges were believed there first: in a chat that a desk answered, the desk's organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trusts: Option<OrganisationId>,
    pub(crate) founder: LeafId,
    /// The newest last.
    pub(crate) secrets: Vec<ConversationSecret>,
}

impl core::fmt::Debug for BackupLine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("BackupLine(…)")
    }
}
