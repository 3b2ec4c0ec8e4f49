//! Whether a Commit that not everybody can open stands: one rule over the log, the same for members
//! and for those who only follow. SPEC.md, "Disputes".
//!
//! Pure: it counts verdicts that were verified elsewhere. A Commit that nobody refuses stands.

use std::collections::BTreeSet;

use crate::mls::LeafId;

/// Commits whose state before is kept; the oldest stands when another comes.
const KEPT: usize = 8;
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

/// One Commit and what is said of it.
#[derive(Debug)]
pub(super) struct Dispute {
    /// Sequence number of the Commit's first entry.
    pub(super) seq: u64,
    pub(super) author: LeafId,
    /// SHA-256 of the Commit, which verdicts name.
    pub(super) commit: [u8; 32],
    /// The leaves that may judge: those of the epoch it ends, without its author.
    leaves: BTreeSet<LeafId>,
    /// Those whose word alone decides.
    facilitators: BTreeSet<LeafId>,
    refusals: BTreeSet<LeafId>,
    /// From this entry on it is void if nobody acknowledged.
    void_at: Option<u64>,
}

impl Dispute {
    pub(super) fn new(
        seq: u64,
        author: LeafId,
        commit: [u8; 32],
        leaves: impl IntoIterator<Item = LeafId>,
        is_facilitator: impl Fn(&LeafId) -> bool,
    ) -> Self {
        let leaves: BTreeSet<_> = leaves.into_iter().filter(|leaf| *leaf != author).collect();
        let facilitators = leaves.iter().copied().filter(is_facilitator).collect();
        Self {
            seq,
            author,
            commit,
            leaves,
            facilitators,
            refusals: BTreeSet::new(),
            void_at: None,
        }
    }

    /// Whether this leaf has a word in it.
    pub(super) fn may_judge(&self, leaf: &LeafId) -> bool {
        self.leaves.contains(leaf)
    }

    pub(super) fn is_refused(&self) -> bool {
        !self.refusals.is_empty()
    }

    /// A leaf says at entry `seq` whether it can open the Commit.
    pub(super) fn judged(&mut self, by: &LeafId, opens: bool, seq: u64) -> Outcome {
        if !self.leaves.contains(by) {
            return Outcome::Open;
        }
        if opens {
            return Outcome::Stands;
        }
        if self.facilitators.contains(by) {
            return Outcome::Void;
        }
        self.refusals.insert(*by);
        let all = self.leaves.len() + 1;
        if self.refusals.len() * 2 > all {
            return Outcome::Void;
        }
        if self.refusals.len() >= REFUSALS.min(all.div_ceil(2)) && self.void_at.is_none() {
            self.void_at = Some(seq + QUIET_ENTRIES);
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

/// The Commits that may still be disputed, oldest first, each with what brings back the state
/// before it.
#[derive(Debug)]
pub(super) struct Disputes<T>(Vec<(Dispute, T)>);

impl<T> Default for Disputes<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Disputes<T> {
    /// A new Commit was taken. One by a leaf that had its word in an earlier one acknowledges that.
    pub(super) fn push(&mut self, dispute: Dispute, before: T) {
        if let Some(position) = self
            .0
            .iter()
            .rposition(|(earlier, _)| earlier.may_judge(&dispute.author))
        {
            self.0.drain(..=position);
        }
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push((dispute, before));
    }

    pub(super) fn find(&self, seq: u64) -> Option<&Dispute> {
        self.0
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
        let Some(position) = self.0.iter().position(|(dispute, _)| dispute.seq == seq) else {
            return (Outcome::Open, None);
        };
        let outcome = self
            .0
            .get_mut(position)
            .map_or(Outcome::Open, |(dispute, _)| dispute.judged(by, opens, at));
        match outcome {
            Outcome::Open => (outcome, None),
            Outcome::Stands => {
                self.0.drain(..=position);
                (outcome, None)
            }
            Outcome::Void => (outcome, self.undo(position)),
        }
    }

    /// Entry `seq` was reached; see [`Disputes::judged`].
    pub(super) fn reached(&mut self, seq: u64) -> Option<(Dispute, T)> {
        let position = self
            .0
            .iter()
            .position(|(dispute, _)| dispute.reached(seq) == Outcome::Void)?;
        self.undo(position)
    }

    fn undo(&mut self, position: usize) -> Option<(Dispute, T)> {
        self.0.drain(position..).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(n: u8) -> LeafId {
        LeafId::new([n; 32])
    }

    /// A Commit of leaf 0 among `count` leaves, leaf 1 a facilitator if `facilitated`.
    fn dispute(count: u8, facilitated: bool) -> Dispute {
        Dispute::new(10, leaf(0), [0; 32], (0..count).map(leaf), |one| {
            facilitated && *one == leaf(1)
        })
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
    fn a_commit_of_another_acknowledges_and_a_void_one_takes_the_later_along() {
        let mut disputes = Disputes::default();
        let by = |seq, author| {
            Dispute::new(seq, leaf(author), [0; 32], (0..5).map(leaf), |one| {
                *one == leaf(4)
            })
        };
        disputes.push(by(1, 0), "before 1");
        disputes.push(by(2, 0), "before 2");
        disputes.push(by(3, 1), "before 3");
        assert!(disputes.find(1).is_none() && disputes.find(2).is_none());
        disputes.push(by(4, 1), "before 4");
        let (outcome, undone) = disputes.judged(3, &leaf(4), false, 9);
        assert_eq!(outcome, Outcome::Void);
        assert_eq!(undone.map(|(_, before)| before), Some("before 3"));
        assert!(disputes.find(4).is_none());
    }
}
