//! What one followed log has given so far, checked for holes, swaps and forks. Pure state: pushes
//! in, doubts out. SPEC: "Chain".
//!
//! It knows three things of a relay that must agree: the entries pushed, the heads it told of at
//! each `open`, and where it said our own appends landed.

use std::collections::{BTreeMap, VecDeque};

use sotto_protocol::chain::{self, Link};
use sotto_protocol::frame::{Entry, Follow, Lane, Opened};
use sotto_protocol::id::{ChainValue, LogId};
use sotto_protocol::right::Rights;

use super::{Cursor, Doubt, Keeps, SessionError, WINDOW, WITHHELD_AFTER_MS};
use crate::time::Now;

/// Chain values of delivered entries that are kept for comparison: all that may be pushed again
/// after a reconnect, several times over.
const RECENT_MAX: usize = 4 * WINDOW as usize;
/// Places beyond the last delivered entry that the relay told of: own appends under way.
const TOLD_MAX: usize = 64;
/// Holes remembered to tell a swap from a repeat.
const HOLES_MAX: usize = 16;

/// What a reader has to say beside entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// The relay lies.
    Doubt(Doubt),
    /// Entries are gone, and may be.
    Gone {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
}

/// One followed log, over any number of connections.
pub(super) struct Reader {
    log: LogId,
    pub(super) lane: Lane,
    keeps: Keeps,
    /// The last entry delivered.
    seen: Cursor,
    /// The last entry the caller stored; where a reconnect goes on.
    consumed: u64,
    /// Delivered and not consumed.
    pending: VecDeque<u64>,
    /// Credit used up and not yet given back.
    returned: u32,
    /// Credit the relay has left.
    outstanding: u32,
    /// The last entry pushed on this connection.
    stream: u64,
    recent: VecDeque<(u64, ChainValue)>,
    told: BTreeMap<u64, ChainValue>,
    holes: VecDeque<(u64, u64)>,
    /// The last entry already reported as missing.
    missing_to: u64,
    /// The last fence number, for the fenced lane.
    fence: Option<u64>,
    /// When the last push came or was told of.
    progress_ms: u64,
}

impl Reader {
    pub(super) fn new(log: LogId, lane: Lane, after: Cursor, keeps: Keeps) -> Self {
        Self {
            log,
            lane,
            keeps,
            seen: after,
            consumed: after.seq,
            pending: VecDeque::new(),
            returned: 0,
            outstanding: 0,
            stream: after.seq,
            recent: after
                .chain
                .map(|chain| (after.seq, chain))
                .into_iter()
                .collect(),
            told: BTreeMap::new(),
            holes: VecDeque::new(),
            missing_to: after.seq,
            fence: None,
            progress_ms: 0,
        }
    }

    /// The last entry delivered.
    pub(super) const fn seen(&self) -> Cursor {
        self.seen
    }

    /// Begins pushes on a connection.
    pub(super) const fn follow(&mut self, now: Now) -> Follow {
        self.stream = self.consumed;
        self.outstanding = WINDOW;
        self.returned = 0;
        self.progress_ms = now.steady_ms;
        Follow {
            log: self.log,
            lane: self.lane,
            after: self.consumed,
            credit: WINDOW,
        }
    }

    /// The connection is gone.
    pub(super) const fn stop(&mut self) {
        self.outstanding = 0;
    }

    /// The caller stored everything up to `seq`.
    pub(super) fn consumed(&mut self, seq: u64) {
        while self.pending.front().is_some_and(|first| *first <= seq) {
            self.pending.pop_front();
            self.returned = self.returned.saturating_add(1);
        }
        self.consumed = self.consumed.max(seq.min(self.seen.seq));
    }

    /// Credit to give back now, in large pieces.
    pub(super) const fn credit(&mut self) -> Option<u32> {
        if self.returned < WINDOW / 2 {
            return None;
        }
        let more = self.returned;
        self.returned = 0;
        self.outstanding = self.outstanding.saturating_add(more);
        Some(more)
    }

    /// Takes back credit that the relay refused.
    pub(super) const fn uncredit(&mut self, more: u32) {
        self.outstanding = self.outstanding.saturating_sub(more);
        self.returned = self.returned.saturating_add(more);
    }

    /// Whether entries behind the last seen one can all have expired by now.
    fn may_be_gone(&self, now: Now) -> bool {
        match self.keeps {
            Keeps::Removable => true,
            // The oldest missing entry is no older than the last seen one. A day to spare, since
            // the relay's clock may be ahead of ours by one.
            Keeps::Days(days) => {
                self.seen.day == 0
                    || self.seen.day.saturating_add(days.into()) <= now.day().saturating_add(1)
            }
        }
    }

    /// Entries up to `to` were skipped.
    fn skipped(&mut self, to: u64, now: Now, notes: &mut Vec<Note>) {
        let from = self.seen.seq.max(self.missing_to).saturating_add(1);
        if from > to {
            return;
        }
        self.missing_to = to;
        if self.may_be_gone(now) {
            notes.push(Note::Gone { from, to });
            return;
        }
        if self.holes.len() == HOLES_MAX {
            self.holes.pop_front();
        }
        self.holes.push_back((from, to));
        notes.push(Note::Doubt(Doubt::Withheld { from, to }));
    }

    /// The log was opened: what its head was.
    pub(super) fn opened(&mut self, opened: &Opened, now: Now, notes: &mut Vec<Note>) {
        let may_read = opened.rights.contains(Rights::READ)
            || (self.lane == Lane::Fenced && opened.rights.contains(Rights::PEEK));
        if !may_read {
            return;
        }
        if opened.head < self.seen.seq {
            notes.push(Note::Doubt(Doubt::Withheld {
                from: opened.head.saturating_add(1),
                to: self.seen.seq,
            }));
        }
        self.told(opened.head, opened.chain, now, notes);
        if self.lane == Lane::All {
            self.skipped(opened.first.saturating_sub(1).min(opened.head), now, notes);
        }
    }

    /// The relay said what the chain value at `seq` is.
    pub(super) fn told(&mut self, seq: u64, chain: ChainValue, now: Now, notes: &mut Vec<Note>) {
        let known = if seq == 0 {
            Some(chain::genesis(&self.log))
        } else if seq > self.seen.seq {
            if self.told.is_empty() {
                self.progress_ms = now.steady_ms;
            }
            let before = *self.told.entry(seq).or_insert(chain);
            if self.told.len() > TOLD_MAX {
                self.told.pop_last();
            }
            Some(before)
        } else if seq == self.seen.seq {
            Some(*self.seen.chain.get_or_insert(chain))
        } else {
            self.chain_at(seq)
        };
        if known.is_some_and(|known| known != chain) {
            notes.push(Note::Doubt(Doubt::Fork { seq }));
        }
    }

    fn chain_at(&self, seq: u64) -> Option<ChainValue> {
        let found = self.recent.iter().rev().find(|(at, _)| *at == seq);
        found.map(|(_, chain)| *chain)
    }

    /// The next push; gives the place behind it if it is new.
    pub(super) fn push(
        &mut self,
        entry: &Entry<'_>,
        now: Now,
        notes: &mut Vec<Note>,
    ) -> Result<Option<Cursor>, SessionError> {
        self.outstanding = self
            .outstanding
            .checked_sub(1)
            .ok_or(SessionError::NotFollowed)?;
        if entry.seq == 0 {
            return Err(SessionError::NotFollowed);
        }
        self.progress_ms = now.steady_ms;
        let chain = chain_after(entry);
        if entry.seq <= self.stream {
            self.drop_again(entry.seq, notes);
            return Ok(None);
        }
        self.stream = entry.seq;
        if entry.seq <= self.seen.seq {
            match self.chain_at(entry.seq) {
                Some(known) if known != chain => {
                    notes.push(Note::Doubt(Doubt::Fork { seq: entry.seq }));
                }
                Some(_) => {}
                None => self.drop_again(entry.seq, notes),
            }
            return Ok(None);
        }
        self.check_place(entry, now, notes);
        Ok(Some(self.deliver(entry, chain, notes)))
    }

    /// An entry that comes when its turn is over.
    fn drop_again(&mut self, seq: u64, notes: &mut Vec<Note>) {
        self.returned = self.returned.saturating_add(1);
        let in_hole = |(from, to): &(u64, u64)| (*from..=*to).contains(&seq);
        notes.push(Note::Doubt(if self.holes.iter().any(in_hole) {
            Doubt::Swapped { seq }
        } else {
            Doubt::Repeated { seq }
        }));
    }

    /// Whether a new entry follows on the last one.
    fn check_place(&mut self, entry: &Entry<'_>, now: Now, notes: &mut Vec<Note>) {
        let adjacent = self.seen.seq.checked_add(1) == Some(entry.seq);
        if adjacent && self.seen.chain.is_some_and(|chain| chain != entry.before) {
            notes.push(Note::Doubt(Doubt::ChainBroken { seq: entry.seq }));
        }
        match self.lane {
            Lane::All => self.skipped(entry.seq - 1, now, notes),
            Lane::Fenced => {
                let Some(fence) = entry.fence else { return };
                // The entries of one run share their number; the next run has the next one.
                let follows_on = self.fence.is_none_or(|last| {
                    last.checked_add(1) == Some(fence) || (fence == last && adjacent)
                });
                self.fence = Some(fence);
                if !follows_on {
                    self.skipped(entry.seq - 1, now, notes);
                }
            }
        }
    }

    fn deliver(&mut self, entry: &Entry<'_>, chain: ChainValue, notes: &mut Vec<Note>) -> Cursor {
        if self
            .told
            .remove(&entry.seq)
            .is_some_and(|told| told != chain)
        {
            notes.push(Note::Doubt(Doubt::Fork { seq: entry.seq }));
        }
        self.told = self.told.split_off(&entry.seq);
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((entry.seq, chain));
        self.pending.push_back(entry.seq);
        self.seen = Cursor {
            seq: entry.seq,
            chain: Some(chain),
            day: entry.day,
        };
        self.seen
    }

    /// When to say that the relay keeps back what it told of.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let (last, _) = self.told.last_key_value()?;
        let waiting = self.lane == Lane::All
            && self.keeps != Keeps::Removable
            && self.outstanding > 0
            && *last > self.seen.seq.max(self.missing_to);
        waiting.then(|| self.progress_ms.saturating_add(WITHHELD_AFTER_MS))
    }

    /// Says it, once it is time.
    pub(super) fn tick(&mut self, now: Now, notes: &mut Vec<Note>) {
        let due = self
            .deadline_ms()
            .is_some_and(|deadline| deadline <= now.steady_ms);
        if !due {
            return;
        }
        if let Some((last, _)) = self.told.last_key_value() {
            self.skipped(*last, now, notes);
        }
    }
}

/// The chain value after an entry, from what it says stood before.
pub(super) fn chain_after(entry: &Entry<'_>) -> ChainValue {
    let link = Link {
        seq: entry.seq,
        day: entry.day,
        fence: entry.fence,
        commitment: &entry.commitment,
        sealed: entry.sealed.as_slice(),
        held: entry.held.as_ref(),
    };
    chain::extend(&entry.before, &link)
}

/// What is wrong with a page by itself: out of order, or links that do not fit.
pub(super) fn page_doubts(after: u64, entries: &[Entry<'_>]) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let mut last = after;
    let mut chain: Option<ChainValue> = None;
    for entry in entries {
        if entry.seq <= last {
            doubts.push(Doubt::Repeated { seq: entry.seq });
        } else if last.checked_add(1) == Some(entry.seq)
            && chain.is_some_and(|chain| chain != entry.before)
        {
            doubts.push(Doubt::ChainBroken { seq: entry.seq });
        }
        last = last.max(entry.seq);
        chain = Some(chain_after(entry));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use sotto_protocol::id::{Commitment, Stamp};

    use super::*;

    const DAY: u32 = 20_000;

    fn log() -> LogId {
        LogId::new([1; 32])
    }

    fn now() -> Now {
        Now::at(u64::from(DAY) * 86_400_000)
    }

    fn reader() -> Reader {
        let mut reader = Reader::new(log(), Lane::All, Cursor::start(&log()), Keeps::Days(30));
        reader.follow(now());
        reader
    }

    /// An honest entry behind the last one, after `skipped` that are not there.
    fn next(reader: &Reader, skipped: u64) -> Entry<'static> {
        let seen = reader.seen();
        Entry {
            day: DAY,
            seq: seen.seq + skipped + 1,
            held: None,
            fence: None,
            stamp: Stamp::new([0; 20]),
            before: seen.chain.unwrap(),
            sealed: vec![0; 1_024].into(),
            claimed: false,
            commitment: Commitment::new([0; 32]),
        }
    }

    fn pushed(reader: &mut Reader, entry: &Entry<'_>) -> Vec<Note> {
        let mut notes = Vec::new();
        // Credit is another test's business.
        reader.outstanding = 1;
        reader.push(entry, now(), &mut notes).unwrap();
        notes
    }

    #[test]
    fn chain_values_are_kept_for_so_many_entries_and_an_older_one_is_only_a_repeat() {
        let mut reader = reader();
        let mut entries = Vec::new();
        for _ in 0..=RECENT_MAX {
            let entry = next(&reader, 0);
            assert_eq!(pushed(&mut reader, &entry), []);
            entries.push(entry);
        }
        assert_eq!(reader.recent.len(), RECENT_MAX);
        let forked = |entry: &Entry<'static>| Entry {
            commitment: Commitment::new([9; 32]),
            ..entry.clone()
        };
        reader.stream = 0;
        let first = pushed(&mut reader, &forked(&entries[0]));
        assert_eq!(first, [Note::Doubt(Doubt::Repeated { seq: 1 })]);
        let second = pushed(&mut reader, &forked(&entries[1]));
        assert_eq!(second, [Note::Doubt(Doubt::Fork { seq: 2 })]);
    }

    #[test]
    fn places_that_the_relay_told_of_are_kept_up_to_a_bound_the_nearest_first() {
        let mut reader = reader();
        let mut notes = Vec::new();
        let most = TOLD_MAX as u64;
        for seq in 1..=most + 10 {
            reader.told(seq, ChainValue::new([1; 32]), now(), &mut notes);
        }
        assert_eq!(reader.told.len(), TOLD_MAX);
        // Another value for one that is kept is a fork, for one that is not it is news.
        for (seq, doubts) in [(most, 1), (most + 1, 0)] {
            notes.clear();
            reader.told(seq, ChainValue::new([2; 32]), now(), &mut notes);
            assert_eq!(notes.len(), doubts, "{seq}");
        }
    }

    #[test]
    fn holes_are_remembered_up_to_a_bound_and_what_fills_an_older_one_is_a_repeat() {
        let mut reader = reader();
        // Before the first entry nobody can say whether something expired.
        let first = next(&reader, 0);
        assert_eq!(pushed(&mut reader, &first), []);
        for _ in 0..=HOLES_MAX {
            let entry = next(&reader, 1);
            assert_eq!(pushed(&mut reader, &entry).len(), 1, "one is missing");
        }
        assert_eq!(reader.holes.len(), HOLES_MAX);
        // The holes are at 2, 4, 6 and so on; the first is forgotten.
        for (seq, doubt) in [
            (2, Doubt::Repeated { seq: 2 }),
            (4, Doubt::Swapped { seq: 4 }),
        ] {
            let late = Entry {
                seq,
                ..next(&reader, 0)
            };
            assert_eq!(pushed(&mut reader, &late), [Note::Doubt(doubt)]);
        }
    }
}
