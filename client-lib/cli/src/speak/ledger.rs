//! What was said to whom, and the verdict on what arrived: exactly once, in order, unaltered, and at
//! nobody else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sotto_client::{LeafId, MessageId};

use super::person::HeardMessage;

/// One thing that was said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) id: MessageId,
    pub(crate) text: String,
    pub(crate) author: LeafId,
    /// Everybody who should read it, the author included.
    pub(crate) readers: Arc<[usize]>,
    /// What is said in one lane is read in the order of its turns.
    pub(crate) lane: usize,
    pub(crate) turn: usize,
}

/// All that was said so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    said: Mutex<Vec<Said>>,
}

impl Ledger {
    pub(crate) fn note(&self, said: Said) {
        self.lock().push(said);
    }

    pub(crate) fn all(&self) -> Vec<Said> {
        self.lock().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Said>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts of what should never be, beside what arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Messages that every reader has, exactly once, in order and unaltered.
    pub(crate) delivered: u64,
    /// Readings that are missing.
    pub(crate) lost: u64,
    /// Readings too many.
    pub(crate) doubled: u64,
    /// Readings behind their place.
    pub(crate) out_of_order: u64,
    /// Readings with other words or another author, or of what nobody said.
    pub(crate) altered: u64,
    /// Readings by somebody who should not.
    pub(crate) overheard: u64,
}

/// Judges what each person heard, by number.
pub(crate) fn judge(said: &[Said], heard: &[&[HeardMessage]]) -> Verdict {
    let by_id: BTreeMap<_, _> = said
        .iter()
        .enumerate()
        .map(|(at, said)| (said.id, at))
        .collect();
    let mut verdict = Verdict::default();
    let mut is_good = vec![true; said.len()];
    let mut places = BTreeMap::new();
    for (reader, messages) in heard.iter().enumerate() {
        let mut reading = Reading::new(said, reader);
        for message in *messages {
            let Some(&at) = by_id.get(&message.id) else {
                verdict.altered += 1;
                continue;
            };
            // The log has one order for all: one message, one place.
            let place = *places.entry(at).or_insert(message.seq);
            let fault = reading.next(at, message, place == message.seq, &mut verdict);
            if let Some(good) = is_good.get_mut(at).filter(|_| fault) {
                *good = false;
            }
        }
        for at in reading.missing() {
            verdict.lost += 1;
            if let Some(good) = is_good.get_mut(at) {
                *good = false;
            }
        }
    }
    let delivered = is_good.iter().filter(|good| **good).count();
    verdict.delivered = u64::try_from(delivered).unwrap_or(u64::MAX);
    verdict
}

/// One person's way through what they heard.
struct Reading<'a> {
    said: &'a [Said],
    reader: usize,
    times: Vec<u32>,
    last_seq: u64,
    last_turns: BTreeMap<usize, usize>,
}

impl<'a> Reading<'a> {
    fn new(said: &'a [Said], reader: usize) -> Self {
        Self {
            said,
            reader,
            times: vec![0; said.len()],
            last_seq: 0,
            last_turns: BTreeMap::new(),
        }
    }

    /// Counts what is wrong with the next message; whether anything is.
    fn next(
        &mut self,
        at: usize,
        message: &HeardMessage,
        same_place: bool,
        verdict: &mut Verdict,
    ) -> bool {
        let (Some(said), Some(times)) = (self.said.get(at), self.times.get_mut(at)) else {
            return true;
        };
        *times += 1;
        if *times > 1 {
            verdict.doubled += 1;
            return true;
        }
        let last_turn = self.last_turns.insert(said.lane, said.turn);
        let in_order = message.seq > self.last_seq
            && last_turn.is_none_or(|last| said.turn > last)
            && same_place;
        self.last_seq = message.seq;
        let unaltered = said.text == message.text && said.author == message.author;
        let meant = said.readers.contains(&self.reader);
        verdict.out_of_order += u64::from(!in_order);
        verdict.altered += u64::from(!unaltered);
        verdict.overheard += u64::from(!meant);
        !(in_order && unaltered && meant)
    }

    fn missing(&self) -> impl Iterator<Item = usize> {
        let wanted = self.said.iter().zip(&self.times).enumerate();
        wanted
            .filter(|(_, (said, times))| **times == 0 && said.readers.contains(&self.reader))
            .map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> MessageId {
        serde_json::from_value(serde_json::json!(vec![number; 16])).unwrap()
    }

    fn said(number: u8, turn: usize) -> Said {
        Said {
            id: id(number),
            text: format!("words {number}"),
            author: LeafId::new([1; 32]),
            readers: [0, 1].into(),
            lane: 0,
            turn,
        }
    }

    fn read(number: u8, seq: u64) -> HeardMessage {
        HeardMessage {
            id: id(number),
            seq,
            author: LeafId::new([1; 32]),
            text: format!("words {number}"),
        }
    }

    fn all() -> Vec<Said> {
        vec![said(1, 0), said(2, 1), said(3, 2)]
    }

    fn good() -> Vec<HeardMessage> {
        vec![read(1, 4), read(2, 6), read(3, 7)]
    }

    fn judged(second: &[HeardMessage]) -> Verdict {
        judge(&all(), &[&good(), second])
    }

    #[test]
    fn what_arrives_everywhere_is_delivered() {
        let delivered = Verdict {
            delivered: 3,
            ..Verdict::default()
        };
        assert_eq!(judged(&good()), delivered);
    }

    #[test]
    fn a_message_that_one_reader_lacks_is_lost() {
        let verdict = judged(&[read(1, 4), read(3, 7)]);
        assert_eq!((verdict.delivered, verdict.lost), (2, 1));
    }

    #[test]
    fn a_message_read_twice_is_doubled() {
        let verdict = judged(&[read(1, 4), read(2, 6), read(2, 6), read(3, 7)]);
        assert_eq!((verdict.delivered, verdict.doubled), (2, 1));
    }

    #[test]
    fn another_order_than_the_logs_is_noticed() {
        let swapped = judged(&[read(2, 6), read(1, 4), read(3, 7)]);
        assert_eq!(swapped.out_of_order, 1);
        // In order by itself, but not where the others have it.
        let moved = judged(&[read(1, 4), read(2, 5), read(3, 7)]);
        assert_eq!(moved.out_of_order, 1);
        assert_eq!(moved.delivered, 2);
    }

    #[test]
    fn other_words_or_another_author_are_altered() {
        let mut words = good();
        words[1].text.push('!');
        assert_eq!((judged(&words).altered, judged(&words).delivered), (1, 2));
        let mut author = good();
        author[2].author = LeafId::new([9; 32]);
        assert_eq!(judged(&author).altered, 1);
        let mut invented = good();
        invented.push(read(9, 9));
        assert_eq!(judged(&invented).altered, 1);
    }

    #[test]
    fn who_should_not_read_it_is_counted() {
        let verdict = judge(&all(), &[&good(), &good(), &[read(2, 6)]]);
        assert_eq!((verdict.overheard, verdict.delivered), (1, 2));
    }
}
