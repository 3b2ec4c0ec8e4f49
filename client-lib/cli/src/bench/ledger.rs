//! What all clients of a race saw, side by side: counted from their answers, nothing assumed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// A lease as its holder saw it. Where its answer came no later than `until`, it was live from the one
/// to the other, whatever the relay's clock said; an answer that came later, as that of a claim which
/// a kill left unanswered may, says of no moment that it was live.
struct Seen {
    lease: u64,
    heard: Instant,
    until: Instant,
}

impl Seen {
    fn overlaps(&self, other: &Self) -> bool {
        self.heard.max(other.heard) < self.until.min(other.until)
    }
}

/// One for all clients of a race.
#[derive(Default)]
pub(super) struct Ledger {
    /// Of each ticket all leases, in the order in which they were heard of.
    holders: BTreeMap<u64, Vec<Seen>>,
    left: BTreeMap<u64, Instant>,
    settled: BTreeSet<u64>,
    times: Vec<Duration>,
    pub(super) claims_granted: u64,
    pub(super) claims_refused: u64,
    pub(super) double_claims: u64,
    pub(super) claims_after_leaving: u64,
}

/// When a request was sent and its answer came.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) sent: Instant,
    pub(super) heard: Instant,
}

impl Ledger {
    /// A claim was granted for so long: a second holder beside one whose lease lives is one too many,
    /// and so is one of a ticket whose owner had heard, before it was claimed, that it is gone.
    pub(super) fn granted(&mut self, seq: u64, lease: u64, span: Span, lasts: Duration) {
        self.claims_granted += 1;
        self.times.push(span.heard - span.sent);
        if self.left.get(&seq).is_some_and(|left| *left < span.sent) {
            self.claims_after_leaving += 1;
        }
        let seen = Seen {
            lease,
            heard: span.heard,
            until: span.sent + lasts,
        };
        let all = self.holders.entry(seq).or_default();
        if all.iter().any(|before| before.lease == lease) {
            return;
        }
        if all.iter().any(|before| before.overlaps(&seen)) {
            self.double_claims += 1;
        }
        all.push(seen);
    }

    /// A claim was refused.
    pub(super) fn refused(&mut self, span: Span) {
        self.claims_refused += 1;
        self.times.push(span.heard - span.sent);
    }

    /// The holder is done with the ticket, as of when it said so.
    pub(super) fn ended(&mut self, seq: u64, lease: u64, sent: Instant) {
        let all = self.holders.get_mut(&seq).into_iter().flatten();
        for seen in all.filter(|seen| seen.lease == lease) {
            seen.until = seen.until.min(sent);
        }
    }

    /// Whether another claim than this one was granted since.
    pub(super) fn is_superseded(&self, seq: u64, lease: u64) -> bool {
        let last = self.holders.get(&seq).and_then(|all| all.last());
        self.settled.contains(&seq) || last.is_some_and(|seen| seen.lease != lease)
    }

    /// The owner heard that the ticket is gone.
    pub(super) fn left(&mut self, seq: u64, heard: Instant) {
        self.left.insert(seq, heard);
        self.settled.insert(seq);
    }

    /// The owner has an answer.
    pub(super) fn answered(&mut self, seq: u64) {
        self.settled.insert(seq);
    }

    /// Tickets that are answered or gone.
    pub(super) fn settled(&self) -> usize {
        self.settled.len()
    }

    /// The time below which this share of all claims was answered, in milliseconds.
    pub(super) fn percentile_ms(&self, share: f64) -> f64 {
        percentile_ms(&self.times, share)
    }
}

/// The smallest of the times that no smaller share than this is within; 0 for none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of claims, far below 2^52"
)]
fn percentile_ms(times: &[Duration], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    let found = sorted.get(rank.saturating_sub(1));
    found.map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(60);

    fn span(begun: Instant, sent: u64, heard: u64) -> Span {
        Span {
            sent: begun + Duration::from_secs(sent),
            heard: begun + Duration::from_secs(heard),
        }
    }

    #[tokio::test]
    async fn two_holders_at_once_are_counted_and_one_after_the_other_are_not() {
        let begun = Instant::now();
        let mut ledger = Ledger::default();
        ledger.granted(1, 10, span(begun, 0, 1), LASTS);
        // The same answer twice is one lease.
        ledger.granted(1, 10, span(begun, 0, 2), LASTS);
        ledger.granted(1, 11, span(begun, 50, 60), LASTS);
        assert_eq!(ledger.double_claims, 0);
        ledger.granted(1, 12, span(begun, 61, 62), LASTS);
        assert_eq!(ledger.double_claims, 1);
        for lease in [11, 12] {
            ledger.ended(1, lease, begun + Duration::from_secs(63));
        }
        ledger.granted(1, 13, span(begun, 63, 64), LASTS);
        assert_eq!((ledger.double_claims, ledger.claims_granted), (1, 5));
        assert!(ledger.is_superseded(1, 12) && !ledger.is_superseded(1, 13));
    }

    #[tokio::test]
    async fn a_grant_that_was_heard_of_after_its_lease_is_no_second_holder() {
        let begun = Instant::now();
        let mut ledger = Ledger::default();
        ledger.granted(1, 11, span(begun, 5, 6), LASTS);
        // Granted before the other for a second, and told only after a kill.
        ledger.granted(1, 10, span(begun, 0, 9), Duration::from_secs(1));
        assert_eq!(ledger.double_claims, 0);
        // The one that lives is not forgotten over it.
        ledger.granted(1, 12, span(begun, 10, 11), LASTS);
        assert_eq!(ledger.double_claims, 1);
    }

    #[tokio::test]
    async fn a_claim_counts_as_too_late_only_if_it_was_sent_after_the_owner_knew() {
        let begun = Instant::now();
        let mut ledger = Ledger::default();
        ledger.left(1, begun + Duration::from_secs(10));
        ledger.granted(1, 1, span(begun, 9, 11), LASTS);
        assert_eq!((ledger.claims_after_leaving, ledger.settled()), (0, 1));
        ledger.granted(1, 1, span(begun, 11, 12), LASTS);
        assert_eq!(ledger.claims_after_leaving, 1);
    }

    #[test]
    fn percentiles_are_times_that_were_met() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        let of = |share| percentile_ms(&times, share).round();
        assert_eq!([of(0.5), of(0.99), of(1.0)], [50.0, 99.0, 100.0]);
        assert_eq!(percentile_ms(&[], 0.5).round(), 0.0);
        assert_eq!(percentile_ms(&times[..1], 0.5).round(), 1.0);
    }
}
