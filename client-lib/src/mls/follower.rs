//! A group as somebody sees it who is not in it: tree and Commits, no secrets.
//!
//! It checks what anyone can check (signatures, tree, parent hashes); it cannot check confirmation tags.

use openmls::group::{ProposalStore, PublicGroup};
use openmls::prelude::{GroupId, LeafNodeIndex, ProcessedMessage, ProcessedMessageContent};
use openmls_memory_storage::MemoryStorage;
use openmls_traits::OpenMlsProvider;
use tls_codec::Serialize as _;

use super::codec;
use super::facts::facts_of;
use super::provider::{Provider, Values};
use super::{Facts, LeafId, MlsError, POLICY_EXTENSION, Suite};

/// Follows a group from a snapshot on.
#[derive(Debug)]
pub(crate) struct Follower {
    provider: Provider,
    group: PublicGroup,
}

impl Follower {
    /// Starts at a GroupInfo (`MLSMessage` bytes) and its tree; signatures and tree are verified.
    pub(crate) fn start(group_info: &[u8], tree: &[u8]) -> Result<Self, MlsError> {
        let provider = Provider::new(Values::new())?;
        let info = codec::group_info(group_info)?;
        Suite::of(info.ciphersuite()).ok_or(MlsError::Unacceptable)?;
        let tree = codec::tree(tree)?;
        let (group, _) = PublicGroup::from_external(
            provider.crypto(),
            provider.storage(),
            tree,
            info,
            ProposalStore::new(),
        )
        .map_err(|_| MlsError::Unacceptable)?;
        codec::policy_alone(group.group_context().extensions()).ok_or(MlsError::Unacceptable)?;
        Ok(Self { provider, group })
    }

    /// The follower as it was kept.
    pub(crate) fn load(values: Values, group_id: &[u8]) -> Result<Self, MlsError> {
        let provider = Provider::new(values)?;
        let storage: &MemoryStorage = provider.storage();
        let group = PublicGroup::load(storage, &GroupId::from_slice(group_id))
            .map_err(|_| MlsError::Internal)?
            .ok_or(MlsError::Internal)?;
        Ok(Self { provider, group })
    }

    /// Everything that [`Follower::load`] needs.
    pub(crate) fn values(&self) -> Result<Values, MlsError> {
        self.provider.values()
    }

    pub(crate) fn group_id(&self) -> &[u8] {
        self.group.group_id().as_slice()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.group.group_context().epoch().as_u64()
    }

    pub(crate) fn suite(&self) -> Suite {
        Suite::of(self.group.ciphersuite()).unwrap_or_default()
    }

    /// Whether a member's group is in the very state that is followed.
    pub(crate) fn is_at(&self, group: &super::Group) -> bool {
        group.is_in(self.group.group_context())
    }

    /// The policy extension's bytes, empty if there is none.
    pub(crate) fn policy(&self) -> Vec<u8> {
        self.group
            .group_context()
            .extensions()
            .unknown(POLICY_EXTENSION)
            .map(|extension| extension.0.clone())
            .unwrap_or_default()
    }

    pub(crate) fn leaves(&self) -> Vec<LeafId> {
        self.days().into_iter().map(|(leaf, _)| leaf).collect()
    }

    /// All leaves in the order of the tree, each with the day on which its keys were made.
    pub(crate) fn days(&self) -> Vec<(LeafId, u32)> {
        days_of(&self.group)
    }

    /// The tree as it now stands, for an external join (`RatchetTree`, TLS encoding).
    pub(crate) fn tree(&self) -> Result<Vec<u8>, MlsError> {
        self.group
            .export_ratchet_tree()
            .tls_serialize_detached()
            .map_err(|_| MlsError::Internal)
    }

    /// Whether a GroupInfo is signed by one of the leaves and speaks of this very state, its tag included. Its external
    /// key can only be checked by members.
    pub(crate) fn fits(&self, info: &[u8]) -> bool {
        let Ok(other) = self.tree().and_then(|tree| Self::start(info, &tree)) else {
            return false;
        };
        other.group.group_context() == self.group.group_context()
            && other.group.confirmation_tag() == self.group.confirmation_tag()
    }

    /// What a Commit would do, without doing it.
    pub(crate) fn look(&self, message: &[u8]) -> Result<Facts, MlsError> {
        let processed = self.processed(message)?;
        match processed.content() {
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                facts_of(staged, processed.sender(), processed.aad(), |index| {
                    self.leaf(index)
                })
            }
            _ => Err(MlsError::Unacceptable),
        }
    }

    /// Takes a Commit that counts.
    pub(crate) fn apply(&mut self, message: &[u8]) -> Result<(), MlsError> {
        let storage: &MemoryStorage = self.provider.storage();
        match self.processed(message)?.into_content() {
            ProcessedMessageContent::StagedCommitMessage(staged) => self
                .group
                .merge_commit(storage, *staged)
                .map_err(|_| MlsError::Internal),
            _ => Err(MlsError::Unacceptable),
        }
    }

    /// The policy's bytes in a GroupInfo that need not be true.
    pub(crate) fn policy_claimed(info: &[u8]) -> Option<Vec<u8>> {
        codec::policy_of_info(info)
    }

    fn leaf(&self, index: LeafNodeIndex) -> Option<LeafId> {
        self.group
            .leaf(index)
            .and_then(|leaf| LeafId::from_slice(leaf.signature_key().as_slice()))
    }

    fn processed(&self, message: &[u8]) -> Result<ProcessedMessage, MlsError> {
        let message = codec::protocol_message(message)?;
        self.group
            .process_message(self.provider.crypto(), message)
            .map_err(|_| MlsError::Unacceptable)
    }
}

/// The leaves of a group, see [`Follower::days`].
pub(super) fn days_of(group: &PublicGroup) -> Vec<(LeafId, u32)> {
    group
        .members()
        .filter_map(|member| {
            let leaf = group.leaf(member.index)?;
            let id = LeafId::from_slice(&member.signature_key)?;
            Some((id, codec::day_of(leaf).unwrap_or_default()))
        })
        .collect()
}
