//! Who may do what in a conversation: the policy extension and the one place that judges Commits by it.
//! SPEC.md, "Policy".
//!
//! Pure: every rule depends on the log's content alone, so that all who read the same log judge alike.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sotto_protocol::id::{LogId, PublicKey};
use sotto_protocol::size_class::SizeClass;

use crate::mls::{Author, Facts, LeafId, LeafKey};
use crate::seal::{Farewell, Return};

/// The newest policy this client understands; with a higher one it pauses.
pub(crate) const CLIENT_VERSION: u16 = 1;
/// How much older a leaf's keys are than those of others, in days, when it is dead: its owner could not
/// come back any more, as fenced entries are kept for 60, and everybody renews theirs each week.
const DEAD_DAYS: u32 = 90;
/// The day of a leaf whose owner did not know the relay's date when its keys were made; it never looks
/// dead, until its first renewal dates it.
pub(crate) const UNDATED: u32 = 0;
/// So many leaves with newer keys show it; in small rooms half of all.
const WITNESSES: usize = 3;
/// Farewells in one Commit, so that it stays small; the rest go with the next.
pub(crate) const LET_GO_MAX: usize = 64;
/// Facilitators of one conversation; more would make every Commit's policy a burden.
const FACILITATORS_MAX: usize = 32;
/// Hosts of one conversation: the two sides of a mediation, each with somebody of their own.
const HOSTS_MAX: usize = 4;

/// The bytes of the policy extension, as CBOR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// No entry of this conversation is smaller, in bytes; a size class.
    pub(crate) floor: u32,
    /// Whose conversation it is: while there are any, nobody comes in but by a Commit of one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hosts: Vec<LeafId>,
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
    #[error("only who the conversation is for may let somebody in, or change how that is done")]
    NotHost,
    #[error("too many farewells, or one that does not hold or whose leaf stays")]
    Farewell,
    #[error("a leaf with keys of a day that has not come")]
    NotYet,
    #[error("the new policy does not hold together")]
    BadPolicy,
    /// Not to be judged, and not to be skipped: whoever reads it pauses.
    #[error("this takes a newer client")]
    TooNew(u16),
}

/// What a Commit is judged by beside the policy and itself; all of it stands in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) log: &'a LogId,
    pub(crate) group_id: &'a [u8],
    /// The leaves of the epoch that the Commit ends, and the days of their keys.
    pub(crate) leaves: &'a [(LeafId, u32)],
    /// The day of the entry it stands in.
    pub(crate) day: u32,
    /// Of the present secret's PSK.
    pub(crate) psk_id: &'a [u8],
    /// Those that came with the Commit.
    pub(crate) farewells: &'a [Farewell],
    /// Those of hosts who come back under another leaf that came with the Commit.
    pub(crate) returns: &'a [Return],
    /// Whether its author signed a next secret.
    pub(crate) rotates: bool,
}

impl Case<'_> {
    fn has(&self, leaf: &LeafId) -> bool {
        self.leaves.iter().any(|(one, _)| one == leaf)
    }
}

/// The leaves whose owners have not been here for so long that any member may remove them.
///
/// Leaves alone show it, each with a day that its owner signed and that was not ahead of its entry:
/// so who follows from a snapshot on knows it as well, and no relay and no single member can make
/// somebody look dead.
pub(crate) fn dead(leaves: &[(LeafId, u32)]) -> BTreeSet<LeafId> {
    let mut days: Vec<_> = leaves.iter().map(|(_, day)| *day).collect();
    days.sort_unstable();
    let enough = leaves.len().div_ceil(2).min(WITNESSES);
    let witnessed = days.len().checked_sub(enough).and_then(|at| days.get(at));
    leaves
        .iter()
        .filter(|(_, day)| {
            let long_over = |newer: &u32| day.saturating_add(DEAD_DAYS) <= *newer;
            *day != UNDATED && witnessed.is_some_and(long_over)
        })
        .map(|(leaf, _)| *leaf)
        .collect()
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

/// The version that a policy of any form asks for; the one thing that never changes its place.
fn min_version(bytes: &[u8]) -> Option<u16> {
    #[derive(Deserialize)]
    struct AnyForm {
        min_version: u16,
    }
    sotto_protocol::cbor::check(bytes).ok()?;
    let form: AnyForm = cbor4ii::serde::from_slice(bytes).ok()?;
    Some(form.min_version)
}

/// The version that a policy asks for, if it is newer than this client.
pub(crate) fn newer_version(bytes: &[u8]) -> Option<u16> {
    min_version(bytes).filter(|version| *version > CLIENT_VERSION)
}

impl Policy {
    /// Parses the extension's bytes and checks what can be checked of them alone.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Forbidden> {
        let policy: Self = sotto_protocol::cbor::decode(bytes).map_err(|_| Forbidden::BadPolicy)?;
        let floor_is_class = usize::try_from(policy.floor)
            .ok()
            .and_then(SizeClass::exactly)
            .is_some();
        let hosts: BTreeSet<_> = policy.hosts.iter().collect();
        let few_hosts = policy.hosts.len() <= HOSTS_MAX && hosts.len() == policy.hosts.len();
        if floor_is_class && few_hosts && policy.facilitators.len() <= FACILITATORS_MAX {
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

    /// Whether this leaf may let others in: anybody whom the other rules let, where there are no hosts.
    pub(crate) fn lets_in(&self, leaf: &LeafId) -> bool {
        self.hosts.is_empty() || self.hosts.contains(leaf)
    }

    /// The hosts, each who came back by their new leaf.
    pub(crate) fn hosts_after(&self, came_back: &[(LeafId, LeafId)]) -> Vec<LeafId> {
        let now = |host: &LeafId| {
            let mut found = came_back.iter().filter(|(was, _)| was == host);
            found.next().map_or(*host, |(_, leaf)| *leaf)
        };
        self.hosts.iter().map(now).collect()
    }

    /// Whether a chain of vouching leads from `root` to `leaf`; what a newcomer believes.
    pub(crate) fn leads_from(&self, group_id: &[u8], root: &LeafId, leaf: &LeafId) -> bool {
        reached(*root, &self.edges(group_id)).contains(leaf)
    }

    /// Who vouches for whom, where the signature holds.
    fn edges(&self, group_id: &[u8]) -> Vec<(LeafId, LeafId)> {
        let hold = self.facilitators.iter().filter(|one| one.holds(group_id));
        hold.map(|one| (one.by, one.leaf)).collect()
    }

    /// The leaf that a link should name, so that whoever comes by it believes those of `leaves`
    /// that facilitate. `wanted` if it is there and chains lead from it to all of them, else one of
    /// them from which they do, else one who is gone.
    pub(crate) fn root(&self, group_id: &[u8], wanted: LeafId, leaves: &[LeafId]) -> LeafId {
        let edges = self.edges(group_id);
        let all = self.present(leaves);
        let gone = core::iter::once(wanted).chain(edges.iter().map(|(by, _)| *by));
        core::iter::once(wanted)
            .filter(|leaf| leaves.contains(leaf))
            .chain(all.iter().copied())
            .chain(gone)
            .find(|root| reached(*root, &edges).is_superset(&all))
            .unwrap_or(wanted)
    }

    /// Those of `leaves` that facilitate: without its leaf nobody does.
    pub(crate) fn present(&self, leaves: &[LeafId]) -> BTreeSet<LeafId> {
        let present = leaves.iter().filter(|leaf| self.is_facilitator(leaf));
        present.copied().collect()
    }

    /// Where chains lead to all who facilitate from nobody who is there, because somebody in
    /// between is gone, `key` vouches for all that it does not lead to.
    pub(crate) fn vouch_anew(&mut self, key: &LeafKey, group_id: &[u8], leaves: &[LeafId]) {
        let edges = self.edges(group_id);
        let all = self.present(leaves);
        let hangs_on = |root: &LeafId| reached(*root, &edges).is_superset(&all);
        if leaves.iter().any(hangs_on) {
            return;
        }
        let from_us = reached(key.id(), &edges);
        for one in &mut self.facilitators {
            if !from_us.contains(&one.leaf) {
                *one = Facilitator::vouch(key, group_id, one.leaf, one.manage);
            }
        }
    }

    /// Whether a Commit may do what it does.
    pub(crate) fn judge(&self, case: &Case<'_>, facts: &Facts) -> Result<(), Forbidden> {
        if facts.strange {
            return Err(Forbidden::Strange);
        }
        // A clock may be a day off; a leaf further ahead would never die, and could bury others.
        if facts.newest_day > case.day.saturating_add(1) {
            return Err(Forbidden::NotYet);
        }
        match facts.author {
            Author::Newcomer(leaf) => self.judge_newcomer(case, facts, leaf),
            Author::Member(leaf) => self.judge_member(case, facts, leaf),
        }
    }

    fn judge_newcomer(
        &self,
        case: &Case<'_>,
        facts: &Facts,
        leaf: LeafId,
    ) -> Result<(), Forbidden> {
        // At most one Remove, and only of the old leaf with the same signature key.
        let returns = facts.removed == [leaf];
        let is_new = facts.removed.is_empty() && !case.has(&leaf);
        if !(returns || is_new) {
            return Err(Forbidden::NewcomerRemoves);
        }
        // Who is in already may always replace its own leaf: its device lost the group's state.
        if !self.link_joins && !returns {
            return Err(Forbidden::LinkOff);
        }
        if facts.psks.as_slice() != [case.psk_id] {
            return Err(Forbidden::Secret);
        }
        // Nor does a role come back with somebody who had gone.
        let takes_role = self.is_facilitator(&leaf) && !returns;
        if facts.policy.is_some() || !facts.added.is_empty() || takes_role {
            return Err(Forbidden::NotFacilitator);
        }
        if !case.returns.is_empty() {
            return Err(Forbidden::NotHost);
        }
        if case.farewells.is_empty() {
            Ok(())
        } else {
            Err(Forbidden::Farewell)
        }
    }

    fn judge_member(&self, case: &Case<'_>, facts: &Facts, leaf: LeafId) -> Result<(), Forbidden> {
        if !facts.psks.is_empty() {
            return Err(Forbidden::Strange);
        }
        let asked = farewells(case, facts)?;
        self.judge_entering(case, facts, leaf)?;
        if self.is_facilitator(&leaf) {
            return self.judge_facilitator(case, facts);
        }
        let dead = dead(case.leaves);
        let may_go = |leaf: &LeafId| asked.contains(leaf) || dead.contains(leaf);
        let removes = !facts.removed.iter().all(may_go);
        // Who has the link may hand it on, and so may let in who waits with it.
        let may_add = self.members_add || self.link_joins;
        let adds = !facts.added.is_empty()
            && (!may_add || facts.added.iter().any(|leaf| self.is_facilitator(leaf)));
        if removes || adds || facts.policy.is_some() {
            return Err(Forbidden::NotFacilitator);
        }
        Ok(())
    }

    /// Where there are hosts, only they let in, and only they change how others come in. Of everybody
    /// else's Commits one kind brings somebody: a host who comes back and has signed their new leaf.
    fn judge_entering(
        &self,
        case: &Case<'_>,
        facts: &Facts,
        author: LeafId,
    ) -> Result<(), Forbidden> {
        let mut came_back = Vec::new();
        for one in case.returns {
            let of_host = self.hosts.contains(&one.was) && facts.added.contains(&one.leaf);
            let is_first = came_back
                .iter()
                .all(|(was, leaf)| *was != one.was && *leaf != one.leaf);
            if !(of_host && is_first && one.holds(case.log)) {
                return Err(Forbidden::NotHost);
            }
            came_back.push((one.was, one.leaf));
        }
        if self.lets_in(&author) {
            return Ok(());
        }
        let is_back = |leaf: &LeafId| came_back.iter().any(|(_, back)| back == leaf);
        let keeps_rules = match facts.policy.as_deref().map(Self::parse) {
            None => came_back.is_empty(),
            Some(Ok(new)) => {
                let allowed = Self {
                    hosts: self.hosts_after(&came_back),
                    facilitators: new.facilitators.clone(),
                    ..self.clone()
                };
                new == allowed
            }
            // Judged as what it is by the rules for facilitators, or as what no member may do.
            Some(Err(_)) => true,
        };
        if keeps_rules && facts.added.iter().all(is_back) {
            Ok(())
        } else {
            Err(Forbidden::NotHost)
        }
    }

    fn judge_facilitator(&self, case: &Case<'_>, facts: &Facts) -> Result<(), Forbidden> {
        let is_left = |leaf: &LeafId| {
            let was_in = case.has(leaf) && !facts.removed.contains(leaf);
            was_in || facts.added.contains(leaf)
        };
        let Some(bytes) = &facts.policy else {
            let takes_one = facts.removed.iter().any(|leaf| self.is_facilitator(leaf));
            let all_left = self.facilitators.iter().all(|one| is_left(&one.leaf));
            // A role must not outlast its leaf, nor must the right to manage the log.
            return if (takes_one || case.rotates) && !all_left {
                Err(Forbidden::BadPolicy)
            } else {
                Ok(())
            };
        };
        if let Some(version) = newer_version(bytes) {
            return Err(Forbidden::TooNew(version));
        }
        let new = Self::parse(bytes)?;
        let leaves: BTreeSet<_> = new.facilitators.iter().map(|one| one.leaf).collect();
        let sound = !leaves.is_empty()
            && leaves.len() == new.facilitators.len()
            && leaves.iter().all(is_left)
            && new.hangs_together(case.group_id, &leaves);
        if sound {
            Ok(())
        } else {
            Err(Forbidden::BadPolicy)
        }
    }

    /// Whether all signatures hold, and from some leaf chains lead to everybody in the list.
    fn hangs_together(&self, group_id: &[u8], leaves: &BTreeSet<LeafId>) -> bool {
        let edges = self.edges(group_id);
        edges.len() == self.facilitators.len()
            && edges
                .iter()
                .any(|(by, _)| reached(*by, &edges).is_superset(leaves))
    }
}

/// The leaves whose farewells came with a Commit; each must hold, and be of another leaf that goes.
fn farewells(case: &Case<'_>, facts: &Facts) -> Result<BTreeSet<LeafId>, Forbidden> {
    if case.farewells.len() > LET_GO_MAX {
        return Err(Forbidden::Farewell);
    }
    let mut asked = BTreeSet::new();
    for farewell in case.farewells {
        let goes = facts.removed.contains(&farewell.leaf) && asked.insert(farewell.leaf);
        if !goes || !farewell.holds(case.log) {
            return Err(Forbidden::Farewell);
        }
    }
    Ok(asked)
}

/// Where chains lead to from `root`, itself included.
fn reached(root: LeafId, edges: &[(LeafId, LeafId)]) -> BTreeSet<LeafId> {
    let mut reached = BTreeSet::from([root]);
    // Each round reaches at least one more or ends; the list is bounded.
    loop {
        let next: Vec<_> = edges
            .iter()
            .filter(|(by, leaf)| reached.contains(by) && !reached.contains(leaf))
            .map(|(_, leaf)| *leaf)
            .collect();
        if next.is_empty() {
            return reached;
        }
        reached.extend(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_as_many_facilitators_as_its_limit_and_no_more() {
        let by = LeafKey::from_seed(&[1; 32]);
        let named = |count: usize| {
            let leaves = (0..count).map(|n| LeafKey::from_seed(&[u8::try_from(n).unwrap(); 32]));
            let policy = Policy {
                floor: 1024,
                link_joins: false,
                members_add: false,
                min_version: 1,
                facilitators: leaves
                    .map(|leaf| {
                        Facilitator::vouch(&by, b"group", leaf.id(), PublicKey::new([6; 32]))
                    })
                    .collect(),
                hosts: Vec::new(),
                keep_seconds: None,
            };
            Policy::parse(&policy.encode().unwrap()).map(|read| read.facilitators.len())
        };
        assert_eq!(named(FACILITATORS_MAX), Ok(FACILITATORS_MAX));
        assert_eq!(named(FACILITATORS_MAX + 1), Err(Forbidden::BadPolicy));
    }

    #[test]
    fn a_policy_names_as_many_hosts_as_its_limit_and_none_twice() {
        let named = |hosts: &[u8]| {
            let policy = Policy {
                floor: 1024,
                hosts: hosts.iter().map(|n| LeafId::new([*n; 32])).collect(),
                link_joins: false,
                members_add: false,
                min_version: 1,
                facilitators: Vec::new(),
                keep_seconds: None,
            };
            Policy::parse(&policy.encode().unwrap()).map(|read| read.hosts.len())
        };
        let most: Vec<_> = (0..=HOSTS_MAX).map(|n| u8::try_from(n).unwrap()).collect();
        assert_eq!(named(&most[1..]), Ok(HOSTS_MAX));
        assert_eq!(named(&most), Err(Forbidden::BadPolicy));
        assert_eq!(named(&[3, 3]), Err(Forbidden::BadPolicy));
    }

    #[test]
    fn a_commit_lets_sixty_four_go_and_not_one_more() {
        let log = LogId::new([9; 32]);
        let keys: Vec<_> = (0..66).map(|n| LeafKey::from_seed(&[n; 32])).collect();
        let leaves: Vec<_> = keys.iter().map(|key| (key.id(), UNDATED)).collect();
        let said: Vec<_> = keys.iter().map(|key| Farewell::of(key, &log)).collect();
        let judge = |count: usize| {
            let farewells = said.get(1..=count).unwrap();
            let facts = Facts {
                author: Author::Member(leaves[0].0),
                added: Vec::new(),
                removed: farewells.iter().map(|one| one.leaf).collect(),
                left: Vec::new(),
                policy: None,
                newest_day: UNDATED,
                psks: Vec::new(),
                strange: false,
                path: [0; 32],
                aad: Vec::new(),
            };
            let case = Case {
                log: &log,
                group_id: &[],
                leaves: &leaves,
                day: 1,
                psk_id: &[],
                farewells,
                returns: &[],
                rotates: false,
            };
            let policy = Policy {
                floor: 1024,
                link_joins: false,
                members_add: false,
                min_version: 1,
                facilitators: Vec::new(),
                hosts: Vec::new(),
                keep_seconds: None,
            };
            policy.judge(&case, &facts)
        };
        assert_eq!(judge(LET_GO_MAX), Ok(()));
        assert_eq!(judge(LET_GO_MAX + 1), Err(Forbidden::Farewell));
    }
}
