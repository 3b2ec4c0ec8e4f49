//! Whether a Commit that not everybody can open stands: one rule over the log, the same for members
//! and for those who only follow. SPEC.md, "Disputes".
//!
//! Pure: it counts verdicts that were verified elsewhere. A Commit that nobody refuses stands.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::saved::Digest;
use crate::mls::{Author, Facts, LeafId};
use crate::policy::Policy;

/// Commits that may be open at once. Each keeps the whole state before it, in memory and in the
/// vault: about 20 KiB in a room of ten, some MiB in one of 500. More would cost more than it helps,
/// since any other member's Commit or word decides all that are open.
pub(super) const OPEN_MAX: usize = 8;
/// With so many open, whoever may judge says so unasked, so that the next always has a place.
pub(super) const OPEN_MANY: usize = OPEN_MAX / 2;
/// Refusals that are enough, where nobody acknowledges, in rooms of six and more.
const REFUSALS: usize = 3;
/// Entries that must pass after that without an acknowledgment.
const QUIET_ENTRIES: u64 = 16;

/// What became of a Commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Open,
    Stands,
    Void,
}

/// One Commit that may still be undone, and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dispute {
    /// Sequence number of the Commit's first entry.
    pub(super) seq: u64,
    pub(super) author: LeafId,
    /// Whom people are told of, where that can be known: not always the author, who may have been
    /// led astray by a false GroupInfo.
    pub(super) culprit: Option<LeafId>,
    /// Whether somebody came in by it who was not in the epoch before.
    pub(super) is_join: bool,
    /// Whether its author was inside, and so knows the epochs before it.
    by_member: bool,
    /// SHA-256 of the Commit, which verdicts name.
    pub(super) commit: Digest,
    /// What it is known by when it is appended again.
    pub(super) path: Digest,
    judges: BTreeSet<LeafId>,
    /// Those whose word alone decides.
    facilitators: BTreeSet<LeafId>,
    refusals: BTreeSet<LeafId>,
    /// From this entry on it is void if nobody acknowledged.
    void_at: Option<u64>,
}

/// Whose word on a Commit counts: the leaves of the epoch it ends, without its author and without
/// those who go with it, who would have nothing to lose.
fn judges<'a>(facts: &'a Facts, leaves: &'a [LeafId]) -> impl Iterator<Item = &'a LeafId> {
    let author = facts.author.leaf();
    leaves
        .iter()
        .filter(move |leaf| **leaf != author && !facts.takes_out(leaf))
}

impl Dispute {
    /// A Commit at `seq` among these leaves; `None` if it stands from the first, since it is a
    /// facilitator's or nobody is there to judge it.
    pub(super) fn of(
        seq: u64,
        facts: &Facts,
        commit: &[u8],
        leaves: &[LeafId],
        policy: &Policy,
    ) -> Option<Self> {
        if matches!(facts.author, Author::Member(leaf) if policy.is_facilitator(&leaf)) {
            return None;
        }
        let judges: BTreeSet<_> = judges(facts, leaves).copied().collect();
        if judges.is_empty() {
            return None;
        }
        let author = facts.author.leaf();
        let is_newcomer = matches!(facts.author, Author::Newcomer(_));
        Some(Self {
            seq,
            author,
            culprit: (!is_newcomer).then_some(author),
            is_join: is_newcomer && !leaves.contains(&author),
            by_member: !is_newcomer,
            commit: Digest::of(commit),
            path: Digest(facts.path),
            facilitators: judges
                .iter()
                .copied()
                .filter(|leaf| policy.is_facilitator(leaf))
                .collect(),
            judges,
            refusals: BTreeSet::new(),
            void_at: None,
        })
    }

    /// Whether this leaf has a word in it.
    pub(super) fn may_judge(&self, leaf: &LeafId) -> bool {
        self.judges.contains(leaf)
    }

    /// Whether only quiet is missing for it to be void.
    pub(super) const fn is_all_but_void(&self) -> bool {
        self.void_at.is_some()
    }

    /// A leaf says at entry `seq` whether it can open the Commit.
    pub(super) fn judged(&mut self, by: &LeafId, opens: bool, seq: u64) -> Outcome {
        if !self.judges.contains(by) {
            return Outcome::Open;
        }
        if opens {
            return Outcome::Stands;
        }
        if self.facilitators.contains(by) {
            return Outcome::Void;
        }
        self.refusals.insert(*by);
        let all = self.judges.len() + 1;
        if self.refusals.len() * 2 > all {
            return Outcome::Void;
        }
        if self.refusals.len() >= REFUSALS.min(all.div_ceil(2)) && self.void_at.is_none() {
            self.void_at = Some(seq.saturating_add(QUIET_ENTRIES));
        }
        Outcome::Open
    }

    /// Entry `seq` was reached.
    pub(super) fn reached(&self, seq: u64) -> Outcome {
        if self.void_at.is_some_and(|at| seq >= at) {
            Outcome::Void
        } else {
            Outcome::Open
        }
    }
}

/// The Commits that may still be undone, oldest first, each with what brings back the state
/// before it.
#[derive(Debug)]
pub(super) struct Disputes<T> {
    open: Vec<(Dispute, T)>,
    /// Who refused a Commit that stands, and has not come in again.
    stranded: BTreeSet<LeafId>,
}

impl<T> Default for Disputes<T> {
    fn default() -> Self {
        Self {
            open: Vec::new(),
            stranded: BTreeSet::new(),
        }
    }
}

impl<T> Disputes<T> {
    /// As they were kept.
    pub(super) fn kept(mut disputes: Vec<(Dispute, T)>) -> Self {
        disputes.sort_by_key(|(dispute, _)| dispute.seq);
        Self {
            open: disputes,
            ..Self::default()
        }
    }

    /// Whether there is a place for one more. A Commit that decides an earlier one always has one.
    pub(super) fn takes(&self, new: Option<&Dispute>) -> bool {
        new.is_none_or(|new| {
            if new.by_member {
                self.takes_from_member(&new.author)
            } else {
                self.takes_from_outside()
            }
        })
    }

    pub(super) fn takes_from_member(&self, author: &LeafId) -> bool {
        self.takes_from_outside() || self.open.iter().any(|(one, _)| one.may_judge(author))
    }

    pub(super) const fn takes_from_outside(&self) -> bool {
        self.open.len() < OPEN_MAX
    }

    /// A new Commit was taken. One that stands from the first makes all earlier ones stand; one of a
    /// member those that it has a word in, and all before. Who comes in by it has opened none.
    pub(super) fn took(&mut self, new: Option<(Dispute, T)>) {
        let Some(new) = new else {
            self.stand(self.open.len());
            return;
        };
        if !new.0.by_member {
            self.stranded.remove(&new.0.author);
        }
        let has_opened = |earlier: &Dispute| new.0.by_member && earlier.may_judge(&new.0.author);
        if let Some(position) = self
            .open
            .iter()
            .rposition(|(earlier, _)| has_opened(earlier))
        {
            self.stand(position + 1);
        }
        self.open.push(new);
    }

    /// The first so many stand: who refused them comes in again.
    fn stand(&mut self, count: usize) {
        for (dispute, _) in self.open.drain(..count) {
            self.stranded.extend(dispute.refusals);
        }
    }

    /// Whether somebody could not open a Commit, and it is not decided yet or they are still outside.
    pub(super) fn is_refused(&self) -> bool {
        let mut open = self.open.iter();
        !self.stranded.is_empty() || open.any(|(dispute, _)| !dispute.refusals.is_empty())
    }

    /// Nobody waits for them any more.
    pub(super) fn forget_stranded(&mut self) {
        self.stranded.clear();
    }

    /// Nor for those who are gone.
    pub(super) fn keep_stranded(&mut self, leaves: &[LeafId]) {
        self.stranded.retain(|leaf| leaves.contains(leaf));
    }

    pub(super) const fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &(Dispute, T)> {
        self.open.iter()
    }

    pub(super) fn befores(&mut self) -> impl Iterator<Item = (u64, &mut T)> {
        self.open
            .iter_mut()
            .map(|(dispute, before)| (dispute.seq, before))
    }

    pub(super) fn find(&self, seq: u64) -> Option<&Dispute> {
        self.open
            .iter()
            .map(|(dispute, _)| dispute)
            .find(|dispute| dispute.seq == seq)
    }

    /// A verified verdict at entry `at`. What is void gives back the state before it, and takes
    /// all that was built on it along.
    pub(super) fn judged(
        &mut self,
        seq: u64,
        by: &LeafId,
        opens: bool,
        at: u64,
    ) -> (Outcome, Option<(Dispute, T)>) {
        let Some(position) = self.open.iter().position(|(dispute, _)| dispute.seq == seq) else {
            return (Outcome::Open, None);
        };
        let outcome = self
            .open
            .get_mut(position)
            .map_or(Outcome::Open, |(dispute, _)| dispute.judged(by, opens, at));
        match outcome {
            Outcome::Open => (outcome, None),
            Outcome::Stands => {
                self.stand(position + 1);
                (outcome, None)
            }
            Outcome::Void => (outcome, self.undo(position)),
        }
    }

    /// Entry `seq` was reached; see [`Disputes::judged`].
    pub(super) fn reached(&mut self, seq: u64) -> Option<(Dispute, T)> {
        let position = self
            .open
            .iter()
            .position(|(dispute, _)| dispute.reached(seq) == Outcome::Void)?;
        self.undo(position)
    }

    fn undo(&mut self, position: usize) -> Option<(Dispute, T)> {
        self.open.drain(position..).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Facilitator;

    fn leaf(n: u8) -> LeafId {
        LeafId::new([n; 32])
    }

    fn facts(author: Author) -> Facts {
        Facts {
            author,
            added: Vec::new(),
            removed: Vec::new(),
            left: Vec::new(),
            policy: None,
            newest_day: 0,
            psks: Vec::new(),
            strange: false,
            path: [0; 32],
            aad: Vec::new(),
        }
    }

    fn rules(facilitators: &[u8]) -> Policy {
        Policy {
            floor: 1024,
            link_joins: true,
            members_add: false,
            min_version: 1,
            facilitators: facilitators
                .iter()
                .map(|n| Facilitator {
                    by: leaf(*n),
                    leaf: leaf(*n),
                    manage: sotto_protocol::id::PublicKey::new([0; 32]),
                    signature: Vec::new(),
                })
                .collect(),
            hosts: Vec::new(),
            keep_seconds: None,
        }
    }

    fn leaves(count: u8) -> Vec<LeafId> {
        (0..count).map(leaf).collect()
    }

    /// A Commit of leaf 0 among `count` leaves, leaf 1 a facilitator if `facilitated`.
    fn dispute(count: u8, facilitated: bool) -> Dispute {
        let policy = rules(if facilitated { &[1] } else { &[] });
        let facts = facts(Author::Member(leaf(0)));
        Dispute::of(10, &facts, b"", &leaves(count), &policy).unwrap()
    }

    #[test]
    fn a_facilitators_commit_stands_from_the_first_and_so_does_all_before_it() {
        let by_facilitator = facts(Author::Member(leaf(1)));
        let policy = rules(&[1]);
        assert_eq!(
            Dispute::of(10, &by_facilitator, b"", &leaves(3), &policy),
            None
        );
        // Coming in again is no Commit of a member, whoever it is.
        let returning = facts(Author::Newcomer(leaf(1)));
        assert!(Dispute::of(10, &returning, b"", &leaves(3), &policy).is_some());
        let mut disputes = Disputes::default();
        disputes.took(Some((dispute(3, true), "before")));
        disputes.took(None);
        assert!(disputes.is_empty());
    }

    #[test]
    fn who_goes_with_a_commit_has_no_word_in_it() {
        let mut leaving = facts(Author::Member(leaf(0)));
        leaving.left = vec![leaf(2)];
        leaving.removed = vec![leaf(1)];
        let dispute = Dispute::of(10, &leaving, b"", &leaves(4), &rules(&[1])).unwrap();
        assert!(!dispute.may_judge(&leaf(1)) && !dispute.may_judge(&leaf(2)));
        assert!(dispute.may_judge(&leaf(3)));
        leaving.left = vec![leaf(2), leaf(3)];
        let alone = Dispute::of(10, &leaving, b"", &leaves(4), &rules(&[]));
        assert_eq!(alone, None, "nobody is left to judge");
    }

    #[test]
    fn a_commit_finds_no_place_where_too_many_are_open_unless_it_decides_one() {
        let mut disputes = Disputes::default();
        for seq in 0..8 {
            let mut one = dispute(3, false);
            one.seq = seq;
            assert!(disputes.takes(Some(&one)));
            disputes.took(Some((one, ())));
        }
        assert!(!disputes.takes(Some(&dispute(3, false))));
        assert!(disputes.takes(None));
        let by_judge = facts(Author::Member(leaf(2)));
        let by_judge = Dispute::of(10, &by_judge, b"", &leaves(3), &rules(&[])).unwrap();
        assert!(disputes.takes(Some(&by_judge)));
        disputes.took(Some((by_judge, ())));
        assert_eq!(disputes.len(), 1);
    }

    #[test]
    fn an_acknowledgment_of_another_leaf_makes_it_stand() {
        let mut open = dispute(9, false);
        assert_eq!(open.judged(&leaf(3), false, 11), Outcome::Open);
        assert_eq!(
            open.judged(&leaf(0), true, 12),
            Outcome::Open,
            "the author's own word does not count"
        );
        assert_eq!(
            open.judged(&leaf(99), true, 12),
            Outcome::Open,
            "nor a stranger's"
        );
        assert_eq!(open.judged(&leaf(4), true, 13), Outcome::Stands);
    }

    #[test]
    fn more_than_half_refusing_makes_it_void() {
        let mut open = dispute(5, false);
        assert_eq!(open.judged(&leaf(1), false, 11), Outcome::Open);
        assert_eq!(
            open.judged(&leaf(1), false, 12),
            Outcome::Open,
            "one leaf counts once"
        );
        assert_eq!(open.judged(&leaf(2), false, 13), Outcome::Open);
        assert_eq!(open.judged(&leaf(3), false, 14), Outcome::Void);
    }

    #[test]
    fn three_refusals_and_quiet_make_it_void() {
        let mut open = dispute(20, false);
        for n in 1..=3 {
            assert_eq!(open.judged(&leaf(n), false, 20), Outcome::Open);
        }
        assert_eq!(open.reached(35), Outcome::Open);
        assert_eq!(open.reached(36), Outcome::Void);
    }

    #[test]
    fn a_facilitators_word_decides() {
        assert_eq!(dispute(9, true).judged(&leaf(1), false, 11), Outcome::Void);
        assert_eq!(dispute(9, true).judged(&leaf(1), true, 11), Outcome::Stands);
    }

    #[test]
    fn in_a_pair_the_other_alone_needs_quiet() {
        let mut open = dispute(2, false);
        assert_eq!(open.judged(&leaf(1), false, 11), Outcome::Open);
        assert_eq!(open.reached(27), Outcome::Void);
    }

    #[test]
    fn who_refused_what_stands_is_waited_for_until_they_are_in_again_or_gone() {
        let mut disputes = Disputes::default();
        disputes.took(Some((dispute(5, true), ())));
        assert!(!disputes.is_refused());
        disputes.judged(10, &leaf(2), false, 11);
        assert!(disputes.is_refused(), "it is open");
        disputes.judged(10, &leaf(1), true, 12);
        assert!(disputes.is_empty() && disputes.is_refused(), "it stands");
        let again = facts(Author::Newcomer(leaf(2)));
        let again = Dispute::of(13, &again, b"", &leaves(5), &rules(&[1])).unwrap();
        disputes.took(Some((again, ())));
        assert!(!disputes.is_refused(), "in again");
        disputes.judged(13, &leaf(3), false, 14);
        disputes.took(None);
        disputes.keep_stranded(&leaves(4));
        assert!(disputes.is_refused());
        disputes.keep_stranded(&leaves(3));
        assert!(!disputes.is_refused(), "gone");
    }

    #[test]
    fn a_commit_of_another_acknowledges_and_a_void_one_takes_the_later_along() {
        let mut disputes = Disputes::default();
        let by = |seq, author| {
            let facts = facts(Author::Member(leaf(author)));
            Dispute::of(seq, &facts, b"", &leaves(5), &rules(&[4])).unwrap()
        };
        disputes.took(Some((by(1, 0), "before 1")));
        disputes.took(Some((by(2, 0), "before 2")));
        disputes.took(Some((by(3, 1), "before 3")));
        assert!(disputes.find(1).is_none() && disputes.find(2).is_none());
        disputes.took(Some((by(4, 1), "before 4")));
        let (outcome, undone) = disputes.judged(3, &leaf(4), false, 9);
        assert_eq!(outcome, Outcome::Void);
        assert_eq!(undone.map(|(_, before)| before), Some("before 3"));
        assert!(disputes.find(4).is_none());
    }
}
