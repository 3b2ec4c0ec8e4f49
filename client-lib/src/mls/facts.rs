//! What a Commit does, read off its proposals, for the policy to judge.

use openmls::group::StagedCommit;
use openmls::prelude::{LeafNode, LeafNodeIndex, Proposal, Sender};

use super::codec::{external_psk_id, leaf_id};
use super::{Author, Facts, LeafId, MlsError, POLICY_EXTENSION};

/// Reads the facts; `leaf_at` knows the leaves of the epoch that the Commit ends.
pub(super) fn facts_of(
    staged: &StagedCommit,
    sender: &Sender,
    aad: &[u8],
    leaf_at: impl Fn(LeafNodeIndex) -> Option<LeafId>,
) -> Result<Facts, MlsError> {
    let path = staged.update_path_leaf_node().and_then(own_leaf_id);
    let (author, path_fits) = match sender {
        Sender::Member(index) => {
            let leaf = leaf_at(*index).ok_or(MlsError::Unacceptable)?;
            (
                Author::Member(leaf),
                staged.update_path_leaf_node().is_none() || path == Some(leaf),
            )
        }
        Sender::NewMemberCommit => (Author::Newcomer(path.ok_or(MlsError::Unacceptable)?), true),
        _ => return Err(MlsError::Unacceptable),
    };
    let mut facts = Facts {
        author,
        added: Vec::new(),
        removed: Vec::new(),
        left: Vec::new(),
        policy: None,
        psks: Vec::new(),
        strange: !path_fits,
        aad: aad.to_vec(),
    };
    let mut external_inits = 0;
    for queued in staged.queued_proposals() {
        let proposer = match queued.sender() {
            Sender::Member(index) => leaf_at(*index),
            _ => path,
        };
        match queued.proposal() {
            Proposal::ExternalInit(_) => external_inits += 1,
            proposal => read_proposal(&mut facts, proposal, proposer, &leaf_at),
        }
    }
    let expected = usize::from(matches!(author, Author::Newcomer(_)));
    facts.strange |= external_inits != expected;
    Ok(facts)
}

fn read_proposal(
    facts: &mut Facts,
    proposal: &Proposal,
    proposer: Option<LeafId>,
    leaf_at: &impl Fn(LeafNodeIndex) -> Option<LeafId>,
) {
    match proposal {
        Proposal::Add(add) => match own_leaf_id(add.key_package().leaf_node()) {
            Some(leaf) => facts.added.push(leaf),
            None => facts.strange = true,
        },
        Proposal::Remove(remove) => match (leaf_at(remove.removed()), proposer) {
            (Some(leaf), Some(proposer)) => facts.removed.push((leaf, proposer)),
            _ => facts.strange = true,
        },
        Proposal::SelfRemove => match proposer {
            Some(leaf) => facts.left.push(leaf),
            None => facts.strange = true,
        },
        Proposal::PreSharedKey(psk) => match external_psk_id(psk) {
            Some(id) => facts.psks.push(id),
            None => facts.strange = true,
        },
        Proposal::GroupContextExtensions(extensions) => {
            let policy = extensions.extensions().unknown(POLICY_EXTENSION);
            facts.policy = Some(
                policy
                    .map(|extension| extension.0.clone())
                    .unwrap_or_default(),
            );
        }
        // Update proposals by reference could change another leaf's keys; members update by Commit.
        _ => facts.strange = true,
    }
}

fn own_leaf_id(leaf: &LeafNode) -> Option<LeafId> {
    leaf_id(
        leaf.credential().serialized_content(),
        leaf.signature_key().as_slice(),
    )
}
