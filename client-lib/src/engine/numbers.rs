//! At a desk's office: what is counted of what the team says, and the chain of what was done and counted.
//! SPEC.md, "Numbers" and "Audit".
//!
//! All of it is made of what is said in the team's room, so that an office that was off the line catches
//! up. Of a day whose period is over there is nothing left here but what may be shown.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Engine, Reply, saved};
use crate::content::{ContentBody, MessageId, Taken};
use crate::desk::{
    AuditExport, AuditHash, AuditHead, AuditWhat, Chain, Division, Exported, KEPT_DAYS, Period,
    RECORDS_MAX, Rated, Tally,
};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::LeafId;
use crate::time::Now;

/// Places in a queue that are known to be counted: more than come while one is being answered.
pub(super) const SEEN_MAX: usize = 2_048;
/// How far a queue goes is asked again so often, while what is said of it comes near the end of that.
const ASK_AGAIN_MS: u64 = 60_000;
/// Calls that are known to be counted: of an evening, and a resend follows within minutes.
pub(super) const CALLS_KNOWN_MAX: usize = 64;
/// Days for which places are: a letter lies for thirty.
const SEEN_DAYS: u32 = 32;

/// What became of somebody who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Became {
    Answered,
    Left,
    Rated,
}

/// A place of a queue that is counted, and on which day.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Seen {
    seq: u64,
    day: u32,
    became: Became,
}

/// Places of one queue that are counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Queue {
    /// Up to here nothing counts any more.
    floor: u64,
    /// How far the queue went when it was last opened, if it was.
    #[serde(default)]
    head: Option<u64>,
    /// In their order.
    all: Vec<Seen>,
}

impl Queue {
    fn find(&mut self, seq: u64) -> core::result::Result<&mut Seen, usize> {
        match self.all.binary_search_by_key(&seq, |seen| seen.seq) {
            Ok(at) => self.all.get_mut(at).ok_or(at),
            Err(at) => Err(at),
        }
    }

    /// Notes what became of this place; what was noted before, if anything. Nothing at all where it
    /// counts no more.
    fn note(&mut self, new: Seen) -> Option<Option<Seen>> {
        if new.seq <= self.floor || self.head.is_some_and(|head| new.seq > reach(head)) {
            return None;
        }
        let before = match self.find(new.seq) {
            Ok(seen) => Some(core::mem::replace(seen, new)),
            Err(at) => {
                self.all.insert(at, new);
                None
            }
        };
        let surplus = self.all.len().saturating_sub(SEEN_MAX);
        self.drop_first(surplus);
        Some(before)
    }

    /// Whether places are counted half as far behind the end as any may be, so that the end we know of
    /// may be an old one.
    fn is_near_reach(&self) -> bool {
        let half = u64::try_from(SEEN_MAX / 2).unwrap_or(u64::MAX);
        let last = self.all.last().map_or(0, |seen| seen.seq);
        self.head
            .is_some_and(|head| last > head.saturating_add(half))
    }

    fn drop_first(&mut self, count: usize) {
        if let Some(last) = self.all.drain(..count).next_back() {
            self.floor = last.seq;
        }
    }

    fn forget(&mut self, today: u32) {
        let is_old = |seen: &Seen| seen.day.saturating_add(SEEN_DAYS) < today;
        let count = self.all.iter().take_while(|seen| is_old(seen)).count();
        self.drop_first(count);
    }
}

/// Places further than this are nobody's yet: whoever says them would push those out that are to come.
fn reach(head: u64) -> u64 {
    head.saturating_add(u64::try_from(SEEN_MAX).unwrap_or(u64::MAX))
}

/// What is counted, and how far the chain goes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Numbers {
    /// The first day that is in no period yet; 0 before anything is counted.
    since: u32,
    by: Division,
    /// What was counted on each day since then.
    open: BTreeMap<u32, Tally>,
    tickets: Queue,
    letters: Queue,
    /// The last messages that called somebody, without by whom or whom to.
    #[serde(default)]
    calls: VecDeque<MessageId>,
    /// When it was last asked how far they go (steady clock).
    #[serde(skip)]
    asked_ms: Option<u64>,
    /// The last record's number and hash; nothing before the first.
    last: Option<(u64, AuditHash)>,
}

impl Numbers {
    /// What is counted on this day, or the first that is not closed where it comes too late.
    fn on(&mut self, day: u32) -> &mut Tally {
        self.open.entry(day.max(self.since)).or_default()
    }

    /// One of the queues was opened, and goes so far.
    pub(super) fn queue_goes_to(&mut self, is_letters: bool, head: u64) {
        let queue = if is_letters {
            &mut self.letters
        } else {
            &mut self.tickets
        };
        queue.head = queue.head.max(Some(head));
    }

    /// Somebody's ticket or letter became this. Who is said to have gone may have been answered all the
    /// same; what was counted in a period that is over stays as it was shown.
    fn became(&mut self, is_letter: bool, new: Seen) -> bool {
        let since = self.since;
        let new = Seen {
            day: new.day.max(since),
            ..new
        };
        let queue = if is_letter {
            &mut self.letters
        } else {
            &mut self.tickets
        };
        let before = match queue.find(new.seq) {
            Ok(seen) if seen.became != Became::Left || seen.became == new.became => return false,
            Ok(seen) if seen.day < since => return false,
            _ => queue.note(new),
        };
        let Some(before) = before else {
            return false;
        };
        if let Some(old) = before {
            let cell = cell(self.on(old.day), is_letter, old.became);
            if let Some(cell) = cell {
                *cell = cell.saturating_sub(1);
            }
        }
        if let Some(cell) = cell(self.on(new.day), is_letter, new.became) {
            *cell += 1;
        }
        true
    }
}

/// Where it is counted; a rating has cells of its own.
const fn cell(tally: &mut Tally, is_letter: bool, became: Became) -> Option<&mut u64> {
    match (became, is_letter) {
        (Became::Answered, false) => Some(&mut tally.answered),
        (Became::Answered, true) => Some(&mut tally.letters),
        (Became::Left, _) => Some(&mut tally.left),
        (Became::Rated, _) => None,
    }
}

fn no_office() -> Error {
    Error::new(
        ErrorKind::Invalid,
        "only the device that runs a desk, its office, has its numbers",
    )
}

impl Engine {
    /// The room is read once it is known how far the queues go by now: an office that was off the line
    /// for long counts nobody's place otherwise that came since.
    pub(super) fn read_behind_queues(&mut self) {
        if self.beside.office.is_some() {
            let queues = self.queues().into_iter().map(|(log, _)| log).collect();
            self.session.follow_behind(self.saved.log, queues);
        }
    }

    /// And one that is on the line for long asks again.
    pub(super) fn ask_how_far_queues_go(&mut self, now: Now) {
        let numbers = &mut self.beside.numbers;
        let near = [
            numbers.tickets.is_near_reach(),
            numbers.letters.is_near_reach(),
        ];
        let is_due = |at: u64| at.saturating_add(ASK_AGAIN_MS) <= now.steady_ms;
        if near == [false; 2] || !numbers.asked_ms.is_none_or(is_due) {
            return;
        }
        numbers.asked_ms = Some(now.steady_ms);
        for ((log, _), _) in self
            .queues()
            .into_iter()
            .zip(near)
            .filter(|(_, near)| *near)
        {
            self.session.open_again(&log);
        }
    }

    fn keep_numbers(&mut self) -> Result<()> {
        let numbers = self.beside.numbers.clone();
        self.keep_beside(saved::NUMBERS, &numbers)
    }

    /// Counts nothing where this is no office.
    fn count(&mut self, change: impl FnOnce(&mut Numbers) -> bool) -> Result<()> {
        if self.beside.office.is_some() && change(&mut self.beside.numbers) {
            return self.keep_numbers();
        }
        Ok(())
    }

    /// A desk's team says something of those who ask, on this day by the relay and in this minute by
    /// its author.
    pub(super) fn heard_of_desk(
        &mut self,
        by: LeafId,
        body: &ContentBody,
        (day, minute): (u32, u64),
        now: Now,
    ) -> Result<()> {
        match body {
            ContentBody::Taken(taken) => {
                self.count_taken(taken, day)?;
                self.taken_said(*taken, minute, now)
            }
            ContentBody::Rated(rated) => {
                self.ratings_said(rated);
                self.count_rated(rated, day)
            }
            ContentBody::Gone(seqs) => {
                self.is_said(seqs);
                self.count_gone(seqs, day)
            }
            ContentBody::Audited(head) => self.audited_said(by, *head, day),
            _ => Ok(()),
        }
    }

    /// A member of the team answers a ticket or a letter.
    pub(super) fn count_taken(&mut self, taken: &Taken, day: u32) -> Result<()> {
        let (seq, became) = (taken.seq, Became::Answered);
        self.count(|numbers| numbers.became(taken.letter, Seen { seq, day, became }))
    }

    /// Those who asked went before somebody answered.
    pub(super) fn count_gone(&mut self, seqs: &[u64], day: u32) -> Result<()> {
        let became = Became::Left;
        self.count(|numbers| {
            let mut is_new = false;
            for seq in seqs {
                let seq = *seq;
                is_new |= numbers.became(false, Seen { seq, day, became });
            }
            is_new
        })
    }

    /// Some said how it was.
    pub(super) fn count_rated(&mut self, all: &[Rated], day: u32) -> Result<()> {
        let became = Became::Rated;
        self.count(|numbers| {
            let mut is_new = false;
            for Rated { seq, rating } in all.iter().copied() {
                if numbers.became(true, Seen { seq, day, became }) {
                    numbers.on(day).rate(rating);
                    is_new = true;
                }
            }
            is_new
        })
    }

    /// Somebody of the team is called into a chat. The same message again is a resend, or a copy.
    pub(super) fn count_call(&mut self, id: MessageId, day: u32) -> Result<()> {
        self.count(|numbers| {
            if numbers.calls.contains(&id) {
                return false;
            }
            numbers.calls.push_back(id);
            if numbers.calls.len() > CALLS_KNOWN_MAX {
                numbers.calls.pop_front();
            }
            numbers.on(day).calls += 1;
            true
        })
    }

    /// Today by the relay, as far as our own clock bears it out: what is closed or forgotten once is so for
    /// good, so a relay whose date is ahead shall not bring it about.
    fn office_day(&self, now: Now) -> u32 {
        self.session.today(now).min(now.day().saturating_add(1))
    }

    /// Closes the periods that are over, once everything is read that was said in them.
    pub(super) fn close_periods(&mut self, now: Now) -> Result<()> {
        let today = self.office_day(now);
        if self.beside.office.is_none() || !self.is_caught_up() {
            return Ok(());
        }
        if self.beside.numbers.since == 0 {
            self.beside.numbers.since = today;
            return self.keep_numbers();
        }
        loop {
            let numbers = &mut self.beside.numbers;
            let (from, until) = (numbers.since, numbers.by.last_day(numbers.since));
            if until >= today {
                return Ok(());
            }
            let later = numbers.open.split_off(&until.saturating_add(1));
            let mut sum = Tally::default();
            let closed = core::mem::replace(&mut numbers.open, later);
            closed.values().for_each(|tally| sum.add(tally));
            numbers.since = until.saturating_add(1);
            numbers.tickets.forget(today);
            numbers.letters.forget(today);
            self.write_down(today, AuditWhat::Period(sum.shown(from, until)))?;
        }
    }

    /// What a record says stays, so nothing is written of an epoch that may be undone.
    pub(super) fn write_down_who_is_gone(&mut self) -> Result<()> {
        if self.joining.is_some() || self.disputes.iter().next().is_some() {
            return Ok(());
        }
        let (Some(office), Some(group)) = (&mut self.beside.office, &self.group) else {
            return Ok(());
        };
        let Some(gone) = office.team.writes(group.epoch(), &group.leaves()) else {
            return Ok(());
        };
        if gone > 0 {
            self.write_down_gone(gone)?;
        }
        self.keep_office()
    }

    /// So many devices are in the team no more.
    pub(super) fn write_down_gone(&mut self, gone: u64) -> Result<()> {
        self.write_down(self.our_day(), AuditWhat::Gone(gone))
    }

    /// One more record of the chain; the oldest go with their time.
    fn write_down(&mut self, today: u32, what: AuditWhat) -> Result<()> {
        let Some(keys) = self.beside.desk.as_ref() else {
            return Ok(());
        };
        let start = AuditHash::start(&keys.organisation, keys.desk);
        let mut chain = Chain {
            desk: keys.desk,
            last: self.beside.numbers.last.unwrap_or((0, start)),
        };
        // No day goes back, so that what is left out before its time shows.
        let last = self.beside.audit.last_key_value();
        let today = last.map_or(today, |(_, last)| today.max(last.day));
        let record = chain.next(today, what)?;
        self.beside.numbers.last = Some(chain.last);
        self.keep_beside(&saved::number_name(saved::AUDIT, record.number), &record)?;
        self.beside.audit.insert(record.number, record);
        while let Some(first) = self.beside.audit.first_entry() {
            let number = *first.key();
            let is_old = first.get().day.saturating_add(KEPT_DAYS) < today;
            if !is_old && self.beside.audit.len() <= RECORDS_MAX {
                break;
            }
            self.beside.audit.remove(&number);
            self.drop_beside(&saved::number_name(saved::AUDIT, number));
        }
        self.keep_numbers()
    }

    /// Something is about to be taken out: that is written down, and the team hears how far the chain
    /// goes. A new division holds for the days that are in no period yet.
    pub(super) fn export(
        &mut self,
        what: Exported,
        by: Option<Division>,
        now: Now,
    ) -> Result<Reply> {
        if self.beside.office.is_none() {
            return Err(no_office());
        }
        self.beside.numbers.by = by.unwrap_or(self.beside.numbers.by);
        self.close_periods(now)?;
        self.write_down(self.office_day(now), AuditWhat::Exported(what))?;
        if let Some(head) = self.audit_head() {
            self.queue(ContentBody::Audited(head), now)?;
        }
        Ok(Reply::Kept)
    }

    fn audit_head(&self) -> Option<AuditHead> {
        let office = self.beside.office.as_ref()?;
        let (_, last) = self.beside.audit.last_key_value()?;
        Some(AuditHead::sign(&office.organisation(), last))
    }

    /// The numbers of all periods that are over and kept, the oldest first. Ask by [`Command::Export`]
    /// before, so that it is written down.
    ///
    /// [`Command::Export`]: super::Command::Export
    #[must_use]
    pub fn numbers(&self) -> Vec<Period> {
        let records = self.beside.audit.values();
        let periods = records.filter_map(|record| match record.what {
            AuditWhat::Period(period) => Some(period),
            _ => None,
        });
        periods.collect()
    }

    /// What is counted and not shown yet.
    #[cfg(test)]
    pub(super) const fn counted_exactly(&self) -> &BTreeMap<u32, Tally> {
        &self.beside.numbers.open
    }

    /// When it was last asked how far the queues go.
    #[cfg(test)]
    pub(super) const fn queues_asked_ms(&self) -> Option<u64> {
        self.beside.numbers.asked_ms
    }

    #[cfg(test)]
    pub(super) fn places_known(&self) -> usize {
        let numbers = &self.beside.numbers;
        numbers.tickets.all.len() + numbers.letters.all.len()
    }

    /// The division of the periods to come, and the last day of the one that is not over.
    #[must_use]
    pub fn open_period(&self) -> (Division, Option<u32>) {
        let numbers = &self.beside.numbers;
        let is_begun = numbers.since != 0;
        (
            numbers.by,
            is_begun.then(|| numbers.by.last_day(numbers.since)),
        )
    }

    /// The records of this desk; nothing where this is not its office.
    #[must_use]
    pub fn audit(&self) -> Option<AuditExport> {
        let keys = self.beside.desk.as_ref()?;
        Some(AuditExport {
            organisation: keys.organisation,
            desk: keys.desk,
            records: self.beside.audit.values().copied().collect(),
            head: self.audit_head()?,
        })
    }

    /// All of it goes, as the room is over for us.
    pub(super) fn forget_numbers(&mut self) {
        self.drop_beside(saved::NUMBERS);
        self.drop_beside(saved::HEADS);
        let numbers: Vec<_> = self.beside.audit.keys().copied().collect();
        for number in numbers {
            self.drop_beside(&saved::number_name(saved::AUDIT, number));
        }
    }
}
