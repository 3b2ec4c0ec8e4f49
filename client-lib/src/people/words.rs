//! Eight words of a list of 2,048 for 80 bits: return words, which are generated and never chosen,
//! and the words of a desk's address on a poster. The one place that knows the list.
//!
//! ```text
//! 88 bits = bits (80) || first 8 bits of SHA-256(label || bits (10 bytes))
//! word i  = list[bits 11 i .. 11 i + 11], i = 0 .. 7, most significant bit first
//! label   = "sotto/v1/words" of return words
//! ```
//!
//! Each purpose has a label of its own, so that words of one are taken for words of another only by
//! chance, once in 256.

use core::fmt;
use core::str::FromStr;

use bip39::Language;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// How many words there are.
pub(crate) const WORDS: usize = 8;
const BITS_PER_WORD: usize = 11;
/// What eight words hold beside their checksum.
pub(crate) const ENTROPY_BYTES: usize = 10;
/// The label of return words.
const RETURN: &[u8] = b"sotto/v1/words";
/// So many first letters tell every word of the list from all others.
const LETTERS_ENOUGH: usize = 4;
/// Letters of the longest thing that is looked at as a word; the longest word has 8.
const LETTERS_MAX: usize = 32;
/// Bytes of the longest text that is looked at.
const TEXT_BYTES_MAX: usize = 1_024;
/// Words shown as what may have been meant.
const NEAR_MAX: usize = 3;
/// Slips of the finger between a word and what may have been meant.
const SLIPS_MAX: usize = 2;

/// Eight words that bring a person back: through them, and nothing else, their backup is found and
/// opened. Whoever learns them is that person, so show them to nobody else, and keep no copy of them.
#[derive(Clone, PartialEq, Eq)]
pub struct ReturnWords(Zeroizing<[u8; ENTROPY_BYTES]>);

impl fmt::Debug for ReturnWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReturnWords(…)")
    }
}

#[cfg(feature = "native")]
impl ReturnWords {
    /// Words that nobody had before.
    pub(crate) fn random() -> Result<Self, crate::random::NoRandomness> {
        crate::random::array().map(Self::of)
    }

    /// What the words stand for.
    pub(crate) const fn entropy(&self) -> &Zeroizing<[u8; ENTROPY_BYTES]> {
        &self.0
    }
}

impl ReturnWords {
    #[cfg(any(test, feature = "native"))]
    pub(crate) fn of(entropy: [u8; ENTROPY_BYTES]) -> Self {
        Self(Zeroizing::new(entropy))
    }

    /// The words, in their order.
    #[must_use]
    pub fn words(&self) -> [&'static str; WORDS] {
        spell(RETURN, &self.0)
    }

    /// The words with a blank between two, to be shown and not kept.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.words().join(" "))
    }
}

/// The words of these bits.
pub(crate) fn spell(label: &[u8], entropy: &[u8; ENTROPY_BYTES]) -> [&'static str; WORDS] {
    let bits = entropy
        .iter()
        .chain(core::iter::once(&checksum(label, entropy)))
        .fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    core::array::from_fn(|at| {
        let index = (bits >> (BITS_PER_WORD * (WORDS - 1 - at))) & 0x7ff;
        usize::try_from(index)
            .ok()
            .and_then(|index| Language::English.word_list().get(index))
            .copied()
            .unwrap_or_default()
    })
}

fn checksum(label: &[u8], entropy: &[u8; ENTROPY_BYTES]) -> u8 {
    let mut hash = Sha256::new();
    hash.update(label);
    hash.update(entropy);
    hash.finalize().first().copied().unwrap_or_default()
}

/// Why a text is not eight words that belong together. `Display` and `Debug` show nothing of what was typed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadWords {
    /// There are more or fewer than eight words.
    #[error("there are {found} words, not eight")]
    Count {
        /// How many.
        found: usize,
    },
    /// These words are not in the list.
    #[error("{} of the words are not in the list", .0.len())]
    Unknown(Vec<NearWords>),
    /// Every word is in the list, but they do not belong together: one is another than it was, or
    /// stands elsewhere. Where a slip of the finger would explain it, it is named.
    #[error("the words do not belong together; one of them is another, or stands elsewhere")]
    Mixed(Vec<NearWords>),
}

/// A place among the words, and what may have been meant there.
#[derive(Clone, PartialEq, Eq)]
pub struct NearWords {
    /// The word's place, from 1.
    pub place: usize,
    /// Words of the list that are near to what was typed, the nearest first; may be none.
    pub near: Vec<&'static str>,
}

impl fmt::Debug for NearWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearWords")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// Words as a person types them: in any case, with anything but letters between them, and cut off
/// behind the fourth letter if they like.
impl FromStr for ReturnWords {
    type Err = BadWords;

    fn from_str(text: &str) -> Result<Self, BadWords> {
        unspell(RETURN, text).map(Self)
    }
}

/// The bits of words as a person types them.
pub(crate) fn unspell(
    label: &[u8],
    text: &str,
) -> Result<Zeroizing<[u8; ENTROPY_BYTES]>, BadWords> {
    let typed = split(text);
    if typed.len() != WORDS {
        return Err(BadWords::Count { found: typed.len() });
    }
    let found: Vec<_> = typed.iter().map(|word| find(word)).collect();
    let unknown: Vec<_> = (1..)
        .zip(typed.iter().zip(&found))
        .filter(|(_, (_, index))| index.is_none())
        .map(|(place, (word, _))| NearWords {
            place,
            near: near(word),
        })
        .collect();
    if !unknown.is_empty() {
        return Err(BadWords::Unknown(unknown));
    }
    let indices: Zeroizing<Vec<u16>> = Zeroizing::new(found.into_iter().flatten().collect());
    fit(label, &indices).ok_or_else(|| BadWords::Mixed(one_slip_away(label, &indices)))
}

/// Words in small letters. Whatever is no letter (of any script) stands between two words, so that
/// hyphens, commas, line ends and the numbers of a list do no harm.
fn split(text: &str) -> Zeroizing<Vec<String>> {
    if text.len() > TEXT_BYTES_MAX {
        return Zeroizing::default();
    }
    let words = text.split(|one: char| !one.is_alphabetic());
    let words = words.filter(|word| !word.is_empty());
    Zeroizing::new(words.map(str::to_lowercase).collect())
}

/// A word's place in the list, by itself or by its first letters.
fn find(word: &str) -> Option<u16> {
    if let Some(index) = Language::English.find_word(word) {
        return Some(index);
    }
    if word.len() < LETTERS_ENOUGH {
        return None;
    }
    let list = Language::English.word_list();
    let at = list.iter().position(|listed| listed.starts_with(word))?;
    u16::try_from(at).ok()
}

/// The bits of words in these places of the list, if their checksum holds.
fn fit(label: &[u8], indices: &[u16]) -> Option<Zeroizing<[u8; ENTROPY_BYTES]>> {
    let bits = indices.iter().fold(0_u128, |bits, index| {
        (bits << BITS_PER_WORD) | u128::from(*index)
    });
    let mut bytes = bits.to_be_bytes();
    let parts = bytes
        .get(bytes.len() - ENTROPY_BYTES - 1..)
        .and_then(<[u8]>::split_first_chunk::<ENTROPY_BYTES>)
        .map(|(entropy, check)| (*entropy, check.first().copied()));
    bytes.zeroize();
    let (entropy, check) = parts?;
    (check == Some(checksum(label, &entropy))).then(|| Zeroizing::new(entropy))
}

/// Which single slip of the finger would explain a checksum that does not hold.
fn one_slip_away(label: &[u8], indices: &[u16]) -> Vec<NearWords> {
    let list = Language::English.word_list();
    let mut explained = Vec::new();
    for (at, index) in indices.iter().enumerate() {
        let Some(typed) = list.get(usize::from(*index)) else {
            continue;
        };
        let near: Vec<_> = (0_u16..)
            .zip(list.iter())
            .filter(|(other, word)| other != index && slips(typed, word) == 1)
            .filter(|(other, _)| {
                let mut indices = Zeroizing::new(indices.to_vec());
                if let Some(place) = indices.get_mut(at) {
                    *place = *other;
                }
                fit(label, &indices).is_some()
            })
            .map(|(_, word)| *word)
            .collect();
        if !near.is_empty() {
            let place = at + 1;
            explained.push(NearWords { place, near });
        }
    }
    explained
}

/// Words of the list that may have been meant, the nearest first.
fn near(typed: &str) -> Vec<&'static str> {
    if typed.chars().count() > LETTERS_MAX {
        return Vec::new();
    }
    let mut near: Vec<_> = Language::English
        .word_list()
        .iter()
        .map(|word| (slips(typed, word), *word))
        .filter(|(slips, _)| *slips <= SLIPS_MAX)
        .collect();
    near.sort_by_key(|(slips, _)| *slips);
    near.into_iter()
        .take(NEAR_MAX)
        .map(|(_, word)| word)
        .collect()
}

/// How many letters must be left out, put in, changed, or changed for their neighbor, to make one
/// word of the other.
fn slips(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    let (mut row_before, mut letter_before) = (Vec::<usize>::new(), None);
    let at = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
    for (down, letter) in (1..).zip(one.chars()) {
        let mut next = vec![down];
        for (across, theirs) in other.iter().enumerate() {
            let changed = at(&row, across) + usize::from(letter != *theirs);
            let shorter = at(&row, across + 1) + 1;
            let longer = at(&next, across) + 1;
            let mut least = changed.min(shorter).min(longer);
            let is_swapped = across
                .checked_sub(1)
                .is_some_and(|left| other.get(left) == Some(&letter))
                && letter_before == Some(*theirs);
            if is_swapped {
                least = least.min(at(&row_before, across - 1) + 1);
            }
            next.push(least);
        }
        row_before = core::mem::replace(&mut row, next);
        letter_before = Some(letter);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Result<ReturnWords, BadWords> {
        text.parse()
    }

    fn some() -> ReturnWords {
        ReturnWords::of([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    }

    #[test]
    fn a_text_is_looked_at_up_to_its_limit_and_no_longer() {
        let text = some().text().to_string();
        let padded = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
        assert_eq!(words(&padded(TEXT_BYTES_MAX)), Ok(some()));
        let longer = words(&padded(TEXT_BYTES_MAX + 1));
        assert_eq!(longer, Err(BadWords::Count { found: 0 }));
    }

    #[test]
    fn the_list_is_the_one_that_the_specification_names() {
        let lines: String = Language::English
            .word_list()
            .iter()
            .map(|word| format!("{word}\n"))
            .collect();
        let digest = hex::encode(Sha256::digest(lines));
        assert!(include_str!("../../../protocol/SPEC.md").contains(&digest));
    }

    #[test]
    fn the_list_tells_every_word_by_its_first_four_letters() {
        let list = Language::English.word_list();
        let first: BTreeSet<_> = list
            .iter()
            .map(|word| word.get(..LETTERS_ENOUGH).unwrap_or(word))
            .collect();
        assert_eq!(first.len(), 2_048);
        assert!(list.is_sorted());
        let lengths: BTreeSet<_> = list.iter().map(|word| word.len()).collect();
        assert_eq!((lengths.first(), lengths.last()), (Some(&3), Some(&8)));
    }

    #[test]
    fn words_are_taken_as_people_write_them_down() {
        let text = some().text();
        let all = some().words();
        let short: Vec<_> = all
            .iter()
            .map(|word| word.get(..4).unwrap_or(word))
            .collect();
        let listed: Vec<_> = (1..)
            .zip(all)
            .map(|(at, word)| format!("{at}. {word}\n"))
            .collect();
        for typed in [
            text.to_string(),
            text.to_uppercase(),
            text.replace(' ', "-"),
            text.replace(' ', ", "),
            format!("  {}\r\n", text.replace(' ', "  \t")),
            short.join(" "),
            listed.concat(),
        ] {
            assert_eq!(words(&typed), Ok(some()), "{typed}");
        }
    }

    #[test]
    fn a_word_that_is_none_is_named_with_what_may_have_been_meant() {
        let mut typed = some().words().map(str::to_owned);
        typed[2] = "acommodate".into();
        typed[5] = "xqzzzk".into();
        let Err(BadWords::Unknown(unknown)) = words(&typed.join(" ")) else {
            panic!("taken");
        };
        assert_eq!(unknown[0].place, 3);
        assert_eq!((unknown[1].place, unknown[1].near.len()), (6, 0));
        let near = |typed| near(typed).first().copied();
        assert_eq!(near("abadnon"), Some("abandon"));
        assert_eq!(near("freind"), Some("friend"));
        assert_eq!(near("zo"), Some("zoo"));
        // A letter of another script that looks the same is another letter.
        assert_eq!(near("аbandon"), Some("abandon"));
        assert_eq!(find("аbandon"), None);
    }

    #[test]
    fn a_slip_from_one_word_to_another_is_named() {
        // Every pair of words that one slip tells apart, at one place: nearly all are caught by
        // the checksum, and what is caught names the word that was meant.
        let list = Language::English.word_list();
        let (mut tried, mut caught) = (0, 0);
        for (word, index) in some().words().iter().zip(0..) {
            let near = list.iter().filter(|other| slips(word, other) == 1);
            for other in near {
                let mut typed = some().words();
                typed[index] = other;
                tried += 1;
                if let Err(BadWords::Mixed(slipped)) = words(&typed.join(" ")) {
                    caught += 1;
                    let named = slipped.iter().find(|one| one.place == index + 1);
                    assert!(named.is_some_and(|one| one.near.contains(word)));
                }
            }
        }
        assert!(tried > 0 && caught == tried, "{caught} of {tried}");
    }

    #[test]
    fn missing_and_surplus_words_are_counted() {
        assert_eq!(words(""), Err(BadWords::Count { found: 0 }));
        assert_eq!(words("zoo zoo"), Err(BadWords::Count { found: 2 }));
        let more = format!("{} zoo", some().text().as_str());
        assert_eq!(words(&more), Err(BadWords::Count { found: 9 }));
        assert_eq!(
            words(&"zoo ".repeat(100_000)),
            Err(BadWords::Count { found: 0 })
        );
    }

    #[test]
    fn nothing_of_the_words_is_printed() {
        let (text, all) = (some().text(), some().words());
        let mut typed = all;
        typed[0] = "abandno";
        let wrong = words(&typed.join(" ")).unwrap_err();
        let printed = format!("{:?} {wrong:?} {wrong}", some());
        assert!(
            !printed.contains(text.as_str()) && !printed.contains("aband"),
            "{printed}"
        );
    }

    #[test]
    fn letters_in_the_wrong_place_are_one_slip() {
        for (one, other, count) in [
            ("form", "from", 1),
            ("form", "form", 0),
            ("", "zoo", 3),
            ("zoo", "", 3),
            ("cat", "cart", 1),
            ("abandon", "zoo", 6),
        ] {
            assert_eq!(slips(one, other), count, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn bits_become_words_and_words_bits(entropy: [u8; 10]) {
            let made = ReturnWords::of(entropy);
            let text = made.text();
            prop_assert_eq!(text.split(' ').count(), 8);
            prop_assert_eq!(words(&text), Ok(made));
        }

        #[test]
        fn no_text_is_a_panic(text: String) {
            let _ = words(&text);
        }
    }
}
