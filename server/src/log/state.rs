//! What the relay keeps of a log besides its entries: the head, the grants, and how both and the
//! entries are laid out at rest. Pure data; it must not decide anything.
//!
//! All of it is the wire's strict CBOR, so the fields stand in the order of their encoded keys.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sotto_protocol::chain::{self, Link};
use sotto_protocol::frame::{Bytes, Entry, Grant, Policy};
use sotto_protocol::id::{ChainValue, Commitment, HeldDigest, LogId, PublicKey, Stamp};

/// The moment at which a change is applied, and the relay's run that it happens in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// UTC.
    pub(crate) day: u32,
    /// The day that lives are counted from: today, or the day of the last reading of the clock that
    /// was believed, if that is later. A clock that goes back takes nothing away.
    pub(crate) lives_from: u32,
    /// Seconds since 1970, for retention only.
    pub(crate) wall_s: u64,
    /// Milliseconds of the monotonic clock.
    pub(crate) mono_ms: u64,
    /// The monotonic clock when this run began.
    pub(crate) start_ms: u64,
    /// Drawn once for this run of the relay: monotonic readings of other runs mean nothing.
    pub(crate) run: u64,
    /// Fresh for every change.
    pub(crate) random: u64,
}

/// Use of one of the two lanes of a log: ordinary entries, and fenced or pinned ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LaneUse {
    /// Sealed bytes, as authors sent them.
    pub(crate) bytes: u64,
    /// Sum of a mix of all sequence numbers: with `count`, shows that none is missing.
    pub(crate) check: u64,
    /// Entries.
    pub(crate) count: u64,
}

impl LaneUse {
    /// One more entry.
    pub(crate) fn add(&mut self, seq: u64, bytes: usize) {
        self.count += 1;
        self.bytes += widen(bytes);
        self.check = self.check.wrapping_add(mix(seq));
    }

    /// One entry less.
    pub(crate) fn remove(&mut self, seq: u64, bytes: usize) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(widen(bytes));
        self.check = self.check.wrapping_sub(mix(seq));
    }
}

/// A length as the wire counts.
pub(crate) fn widen(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// SplitMix64: spreads a number over 64 bits. Against accidents, not against people: values are
/// sealed with an authenticator, only their absence has to be noticed.
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A place where newcomers may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pin {
    pub(crate) day: u32,
    pub(crate) seq: u64,
}

/// A lease on an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lease {
    /// How long it was given for.
    pub(crate) ms: u64,
    /// The run of the relay that gave it.
    pub(crate) run: u64,
    pub(crate) seq: u64,
    /// End, on the monotonic clock of that run.
    pub(crate) until: u64,
    /// The grant that claimed.
    pub(crate) holder: PublicKey,
    pub(crate) number: u64,
}

impl Lease {
    /// Milliseconds that are left of it.
    ///
    /// A lease of an earlier run goes on for its full length from the start of this run: the clock
    /// it was measured with is gone, and too long is safe where too short would give the entry to
    /// two people.
    pub(crate) fn left_ms(&self, now: &Now) -> u64 {
        let until = if self.run == now.run {
            self.until
        } else {
            now.start_ms.saturating_add(self.ms)
        };
        until.saturating_sub(now.mono_ms)
    }
}

/// How many retry ids of a day the log remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryCount {
    pub(crate) day: u32,
    pub(crate) count: u32,
}

/// What changes with every append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// The log, so that a head cannot stand for another.
    pub(crate) id: LogId,
    /// The latest day that an entry's life was counted from.
    pub(crate) day: u32,
    pub(crate) run: u64,
    pub(crate) seq: u64,
    /// The fence is held until then, on the monotonic clock of `run`.
    pub(crate) hold: u64,
    /// Oldest first.
    pub(crate) pins: Vec<Pin>,
    pub(crate) chain: ChainValue,
    /// When something was first removed that the current log key could still open, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dirty: Option<u64>,
    pub(crate) fence: u64,
    /// Entries up to here are trimmed, whether or not they are removed already.
    pub(crate) floor: u64,
    /// The number of the last lease.
    pub(crate) lease: u64,
    pub(crate) fenced: LaneUse,
    pub(crate) leases: Vec<Lease>,
    pub(crate) policy: Policy,
    /// The log was deleted on that day; only its remembered answers are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deleted: Option<u32>,
    /// Trimmed entries may still lie in the store.
    pub(crate) purging: bool,
    pub(crate) retries: Vec<RetryCount>,
    /// The version of the grants that belong to this head.
    pub(crate) version: u64,
    pub(crate) ordinary: LaneUse,
    /// From which entry on `join_bytes` counts: the present join keys are no older.
    pub(crate) join_from: u64,
    /// The fence when the last pin was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pin_fence: Option<u64>,
    /// Some entry goes earlier than one before it: the clock went back.
    pub(crate) disordered: bool,
    /// Sealed bytes of entries by the present join keys.
    pub(crate) join_bytes: u64,
}

impl Head {
    /// The lane's use.
    pub(crate) const fn lane_mut(&mut self, fenced: bool) -> &mut LaneUse {
        if fenced {
            &mut self.fenced
        } else {
            &mut self.ordinary
        }
    }

    /// The lease on an entry, if it is live.
    pub(crate) fn live_lease(&self, seq: u64, now: &Now) -> Option<&Lease> {
        self.leases
            .iter()
            .find(|lease| lease.seq == seq && lease.left_ms(now) > 0)
    }
}

/// The chain and fence where a grant was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CutPoint {
    pub(crate) day: u32,
    pub(crate) chain: ChainValue,
    pub(crate) fence: u64,
}

/// A grant as the relay keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cut: Option<CutPoint>,
    pub(crate) grant: Grant,
    /// Added by a fenced append.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) admitted: Option<Admitted>,
}

/// When and how a key was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admitted {
    pub(crate) day: u32,
    /// By a join key.
    pub(crate) join: bool,
}

/// All grants of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantList {
    pub(crate) list: Vec<GrantRecord>,
    pub(crate) version: u64,
}

/// A log as the writer changes it and readers see it.
#[derive(Clone, Debug)]
pub(crate) struct LogState {
    /// The revision of the head in the store; `None` before the first write.
    pub(crate) revision: Option<u64>,
    pub(crate) head: Head,
    pub(crate) grants: Arc<GrantList>,
}

/// An entry as it is stored, before it is sealed at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredEntry<'a> {
    pub(crate) day: u32,
    pub(crate) seq: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) held: Option<Bytes<'a>>,
    /// By a join key.
    pub(crate) join: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fence: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<PublicKey>,
    pub(crate) stamp: Stamp,
    /// The last day on which it is there, unless a pin keeps it longer.
    pub(crate) until: u32,
    pub(crate) before: ChainValue,
    /// Part of an item that was pinned.
    pub(crate) pinned: bool,
    #[serde(borrow)]
    pub(crate) sealed: Bytes<'a>,
    pub(crate) commitment: Commitment,
    pub(crate) last_resort: bool,
}

impl StoredEntry<'_> {
    /// Whether it is in the lane of fenced and pinned entries.
    pub(crate) const fn is_fenced_lane(&self) -> bool {
        self.fence.is_some() || self.pinned
    }

    /// What the chain says of the held part.
    pub(crate) fn held_digest(&self) -> Option<HeldDigest> {
        self.held
            .as_ref()
            .map(|held| chain::held_digest(held.as_slice()))
    }

    /// The chain value after this entry.
    pub(crate) fn after(&self) -> ChainValue {
        chain::extend(
            &self.before,
            &Link {
                seq: self.seq,
                day: self.day,
                fence: self.fence,
                commitment: &self.commitment,
                sealed: self.sealed.as_slice(),
                held: self.held_digest().as_ref(),
            },
        )
    }

    /// The entry as readers get it.
    pub(crate) fn entry(&self) -> Entry<'_> {
        Entry {
            day: self.day,
            seq: self.seq,
            held: self.held_digest(),
            fence: self.fence,
            stamp: self.stamp,
            before: self.before,
            sealed: Bytes(Cow::Borrowed(self.sealed.as_slice())),
            claimed: false,
            commitment: self.commitment,
        }
    }

    /// A copy that borrows from nothing.
    pub(crate) fn into_owned(self) -> StoredEntry<'static> {
        StoredEntry {
            held: self.held.map(Bytes::into_owned),
            sealed: self.sealed.into_owned(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_lost_one_entry_and_gained_another_does_not_check() {
        let mut one = LaneUse::default();
        let mut other = LaneUse::default();
        for seq in [1, 2, 3] {
            one.add(seq, 1024);
        }
        for seq in [1, 2, 4] {
            other.add(seq, 1024);
        }
        assert_eq!(one.count, other.count);
        assert_ne!(one.check, other.check);
        other.remove(4, 1024);
        other.add(3, 1024);
        assert_eq!(one, other);
    }

    #[test]
    fn a_lease_of_an_earlier_run_lasts_its_full_length_from_the_start() {
        let now = Now {
            day: 1,
            lives_from: 1,
            wall_s: 0,
            mono_ms: 1_500,
            start_ms: 1_000,
            run: 2,
            random: 0,
        };
        let mut lease = Lease {
            ms: 2_000,
            run: 2,
            seq: 1,
            until: 1_600,
            holder: PublicKey::new([1; 32]),
            number: 1,
        };
        assert_eq!(lease.left_ms(&now), 100);
        lease.run = 1;
        assert_eq!(lease.left_ms(&now), 1_500);
    }
}
