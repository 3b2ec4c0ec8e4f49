//! What a Commit does, read off its proposals, for the policy to judge.

use openmls::group::StagedCommit;
use openmls::prelude::{LeafNode, LeafNodeIndex, Proposal, Sender};
use sha2::Digest as _;
use tls_codec::{DeserializeBytes as _, Serialize as _, VLBytes};

use super::codec::{day_of, external_psk_id, leaf_id, policy_alone, unending};
use super::{Author, Facts, LeafId, MlsError};

/// Reads the facts; `leaf_at` knows the leaves of the epoch that the Commit ends.
pub(super) fn facts_of(
    staged: &StagedCommit,
    sender: &Sender,
    aad: &[u8],
    leaf_at: impl Fn(LeafNodeIndex) -> Option<LeafId>,
) -> Result<Facts, MlsError> {
    // Every Commit has a path, and no path changes its author's signature key.
    let node = staged
        .update_path_leaf_node()
        .ok_or(MlsError::Unacceptable)?;
    let path = own_leaf_id(node).ok_or(MlsError::Unacceptable)?;
    let day = day_of(node).ok_or(MlsError::Unacceptable)?;
    let author = match sender {
        Sender::Member(index) => Author::Member(leaf_at(*index).ok_or(MlsError::Unacceptable)?),
        Sender::NewMemberCommit => Author::Newcomer(path),
        _ => return Err(MlsError::Unacceptable),
    };
    let mut facts = Facts {
        author,
        added: Vec::new(),
        removed: Vec::new(),
        left: Vec::new(),
        policy: None,
        newest_day: day,
        psks: Vec::new(),
        strange: path != author.leaf(),
        path: path_id(node)?,
        aad: aad.to_vec(),
    };
    let mut external_inits = 0;
    // All are the author's own: no Commit refers to a Proposal, as nobody keeps any.
    for queued in staged.queued_proposals() {
        match queued.proposal() {
            Proposal::ExternalInit(_) => external_inits += 1,
            proposal => read_proposal(&mut facts, proposal, &leaf_at),
        }
    }
    let expected = usize::from(matches!(author, Author::Newcomer(_)));
    facts.strange |= external_inits != expected;
    Ok(facts)
}

/// SHA-256 of the path's new leaf key, which is drawn anew for each Commit and signed with it.
fn path_id(node: &LeafNode) -> Result<[u8; 32], MlsError> {
    let key = node
        .encryption_key()
        .tls_serialize_detached()
        .map_err(|_| MlsError::Internal)?;
    let key = VLBytes::tls_deserialize_exact_bytes(&key).map_err(|_| MlsError::Internal)?;
    Ok(sha2::Sha256::digest(key.as_slice()).into())
}

fn read_proposal(
    facts: &mut Facts,
    proposal: &Proposal,
    leaf_at: &impl Fn(LeafNodeIndex) -> Option<LeafId>,
) {
    match proposal {
        Proposal::Add(add) => {
            let leaf = add.key_package().leaf_node();
            match (own_leaf_id(leaf), day_of(leaf)) {
                (Some(leaf), Some(day)) // One that ends is there for some and not for others.
                    if *add.key_package().life_time() == unending() => {
                    facts.added.push(leaf);
                    facts.newest_day = facts.newest_day.max(day);
                }
                _ => facts.strange = true,
            }
        }
        Proposal::Remove(remove) => match leaf_at(remove.removed()) {
            Some(leaf) => facts.removed.push(leaf),
            None => facts.strange = true,
        },
        Proposal::PreSharedKey(psk) => match external_psk_id(psk) {
            Some(id) => facts.psks.push(id),
            None => facts.strange = true,
        },
        Proposal::GroupContextExtensions(extensions) => {
            match policy_alone(extensions.extensions()) {
                Some(policy) => facts.policy = Some(policy),
                None => facts.strange = true,
            }
        }
        _ => facts.strange = true,
    }
}

fn own_leaf_id(leaf: &LeafNode) -> Option<LeafId> {
    leaf_id(
        leaf.credential().serialized_content(),
        leaf.signature_key().as_slice(),
    )
}
