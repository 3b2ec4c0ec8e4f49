//! Who may do what in a conversation: the policy extension and the one place that judges Commits by it.
//! SPEC.md, "Policy".
//!
//! Pure: every rule depends on the log's content alone, so that all who read the same log judge alike.

use serde::{Deserialize, Serialize};
use sotto_protocol::id::PublicKey;
use sotto_protocol::size_class::SizeClass;

use crate::mls::{Author, Facts, LeafId, LeafKey};

/// The newest policy this client understands; with a higher one it pauses.
pub(crate) const CLIENT_VERSION: u16 = 1;
/// Facilitators of one conversation; more would make every Commit's policy a burden.
const FACILITATORS_MAX: usize = 32;

/// The bytes of the policy extension, as CBOR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// No entry of this conversation is smaller, in bytes; a size class.
    pub(crate) floor: u32,
    /// Whether whoever holds the link may join by an external Commit.
    pub(crate) link_joins: bool,
    /// Whether members may add others; facilitators always may.
    pub(crate) members_add: bool,
    /// A client below this pauses instead of skipping what it does not know.
    pub(crate) min_version: u16,
    /// Who may do all that facilitators may.
    pub(crate) facilitators: Vec<Facilitator>,
    /// How long messages are kept after they were read, in seconds; absent: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keep_seconds: Option<u32>,
}

/// A facilitator and who vouched for it; the founder vouches for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facilitator {
    pub(crate) by: LeafId,
    pub(crate) leaf: LeafId,
    /// The public key whose grant has `manage`.
    pub(crate) manage: PublicKey,
    /// Ed25519 by `by` over `"sotto/v1/facilitator" || group id || leaf || manage`.
    #[serde(with = "serde_bytes")]
    pub(crate) signature: Vec<u8>,
}

/// Why a Commit is not admitted; counted, and shown to facilitators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Forbidden {
    #[error("a kind of proposal that no conversation admits")]
    Strange,
    #[error("joining takes the current secret")]
    Secret,
    #[error("joining by link is off")]
    LinkOff,
    #[error("a newcomer may only replace its own old leaf")]
    NewcomerRemoves,
    #[error("only a facilitator may do this")]
    NotFacilitator,
    #[error("the new policy does not hold together")]
    BadPolicy,
}

fn vouched(group_id: &[u8], leaf: &LeafId, manage: &PublicKey) -> Vec<u8> {
    [
        b"sotto/v1/facilitator".as_slice(),
        group_id,
        leaf.as_bytes(),
        manage.as_bytes(),
    ]
    .concat()
}

impl Facilitator {
    pub(crate) fn vouch(by: &LeafKey, group_id: &[u8], leaf: LeafId, manage: PublicKey) -> Self {
        Self {
            by: by.id(),
            leaf,
            manage,
            signature: by.sign(&vouched(group_id, &leaf, &manage)).to_vec(),
        }
    }

    fn holds(&self, group_id: &[u8]) -> bool {
        self.by.verifies(
            &vouched(group_id, &self.leaf, &self.manage),
            &self.signature,
        )
    }
}

impl Policy {
    /// Parses the extension's bytes and checks what can be checked of them alone.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Forbidden> {
        let policy: Self = sotto_protocol::cbor::decode(bytes).map_err(|_| Forbidden::BadPolicy)?;
        let floor_is_class = usize::try_from(policy.floor)
            .ok()
            .and_then(SizeClass::exactly)
            .is_some();
        if floor_is_class && policy.facilitators.len() <= FACILITATORS_MAX {
            Ok(policy)
        } else {
            Err(Forbidden::BadPolicy)
        }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Forbidden> {
        sotto_protocol::cbor::encode(self).map_err(|_| Forbidden::BadPolicy)
    }

    pub(crate) fn floor(&self) -> SizeClass {
        usize::try_from(self.floor)
            .ok()
            .and_then(SizeClass::exactly)
            .unwrap_or(SizeClass::K1)
    }

    pub(crate) fn is_facilitator(&self, leaf: &LeafId) -> bool {
        self.facilitators
            .iter()
            .any(|facilitator| facilitator.leaf == *leaf)
    }

    /// Whether a chain of vouching leads from `root` to `leaf`; what a newcomer believes.
    pub(crate) fn leads_from(&self, group_id: &[u8], root: &LeafId, leaf: &LeafId) -> bool {
        let mut reached = vec![*root];
        // Each round reaches at least one more or ends; the list is bounded.
        loop {
            if reached.contains(leaf) {
                return true;
            }
            let next: Vec<_> = self
                .facilitators
                .iter()
                .filter(|one| {
                    reached.contains(&one.by) && !reached.contains(&one.leaf) && one.holds(group_id)
                })
                .map(|one| one.leaf)
                .collect();
            if next.is_empty() {
                return false;
            }
            reached.extend(next);
        }
    }

    /// Whether a Commit may do what it does. `psk_id` is that of the current secret.
    pub(crate) fn judge(
        &self,
        group_id: &[u8],
        facts: &Facts,
        psk_id: &[u8],
    ) -> Result<(), Forbidden> {
        if facts.strange {
            return Err(Forbidden::Strange);
        }
        match facts.author {
            Author::Newcomer(leaf) => self.judge_newcomer(facts, leaf, psk_id),
            Author::Member(leaf) => self.judge_member(group_id, facts, leaf),
        }
    }

    fn judge_newcomer(&self, facts: &Facts, leaf: LeafId, psk_id: &[u8]) -> Result<(), Forbidden> {
        // Who is in already may always replace its own leaf: its device lost the group's state.
        let returns = facts.removed.iter().any(|(removed, _)| *removed == leaf);
        if !self.link_joins && !returns {
            return Err(Forbidden::LinkOff);
        }
        if facts.psks.as_slice() != [psk_id] {
            return Err(Forbidden::Secret);
        }
        if facts.policy.is_some() || !facts.added.is_empty() {
            return Err(Forbidden::NotFacilitator);
        }
        // At most one Remove, and only of the old leaf with the same signature key.
        if facts.removed.len() > 1 || facts.removed.iter().any(|(removed, _)| *removed != leaf) {
            return Err(Forbidden::NewcomerRemoves);
        }
        Ok(())
    }

    fn judge_member(&self, group_id: &[u8], facts: &Facts, leaf: LeafId) -> Result<(), Forbidden> {
        let facilitates = self.is_facilitator(&leaf);
        if !facts.psks.is_empty() {
            return Err(Forbidden::Strange);
        }
        // Who is removed must have been proposed by a facilitator, whoever commits it.
        let removed_by_others = facts
            .removed
            .iter()
            .any(|(_, proposer)| !self.is_facilitator(proposer));
        if removed_by_others || (!facts.added.is_empty() && !facilitates && !self.members_add) {
            return Err(Forbidden::NotFacilitator);
        }
        let gone = |leaf: &LeafId| facts.removed.iter().any(|(removed, _)| removed == leaf);
        match &facts.policy {
            None if self.facilitators.iter().any(|one| gone(&one.leaf)) => {
                Err(Forbidden::BadPolicy)
            }
            None => Ok(()),
            Some(_) if !facilitates => Err(Forbidden::NotFacilitator),
            Some(bytes) => {
                let new = Self::parse(bytes)?;
                let sound = new
                    .facilitators
                    .iter()
                    .all(|one| one.holds(group_id) && !gone(&one.leaf));
                if sound && !new.facilitators.is_empty() {
                    Ok(())
                } else {
                    Err(Forbidden::BadPolicy)
                }
            }
        }
    }
}
