//! A ticket: what somebody says who asks a desk for somebody to talk to. SPEC.md, "Ticket".
//!
//! It is one entry of the desk's queue, in two parts that are sealed to the card's key. The first one
//! every supporter on duty reads, to see who fits. The second one, `held`, the relay gives out only
//! with the lease: it is a knock, and says how to answer.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::content::misleads;

/// Bytes of the first words: with every choice at its longest the ticket still fits the smallest
/// class of a desk.
pub const TICKET_WORDS_BYTES_MAX: usize = 2_500;
/// Bytes of a topic, a language or another thing that is chosen.
pub const CHOICE_BYTES_MAX: usize = 64;
/// Things of one kind that are chosen.
pub const CHOICES_MAX: usize = 8;

/// What a seeker may choose to say when they ask; all of it may be left out.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// Where the seeker would rather not have their supporter from: a site, a station, a region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not: Vec<String>,
    /// What it is about, as the card names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The first words; they are said again as the first message of the chat.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
    /// In which language, as the card names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What the supporter should have been through themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub been_there: Vec<String>,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(…)")
    }
}

impl Ticket {
    /// Checked on both sides: a client of ours never sends more, a hostile one is not shown.
    pub(crate) fn is_within_limits(&self) -> bool {
        let fits = |choice: &String| {
            !choice.trim().is_empty()
                && choice.len() <= CHOICE_BYTES_MAX
                && !choice.chars().any(|c| c.is_control() || misleads(c))
        };
        let few = |choices: &Vec<String>| choices.len() <= CHOICES_MAX && choices.iter().all(fits);
        self.words.len() <= TICKET_WORDS_BYTES_MAX
            && self.topic.iter().chain(&self.language).all(fits)
            && few(&self.been_there)
            && few(&self.not)
    }
}

#[cfg(test)]
mod tests {
    use sotto_protocol::id::LogId;
    use sotto_protocol::size_class::SizeClass;

    use super::*;
    use crate::seal::letter::{self, Address, Purpose};

    fn longest() -> Ticket {
        let choice = || "x".repeat(CHOICE_BYTES_MAX);
        Ticket {
            not: vec![choice(); CHOICES_MAX],
            topic: Some(choice()),
            words: "y".repeat(TICKET_WORDS_BYTES_MAX),
            language: Some(choice()),
            been_there: vec![choice(); CHOICES_MAX],
        }
    }

    #[test]
    fn the_longest_ticket_is_as_long_on_the_wire_as_an_empty_one() {
        let key = sotto_protocol::proof::public_key(&[7; 32].into());
        let to = Address {
            purpose: Purpose::Ticket,
            log: &LogId::new([1; 32]),
            key: &key,
        };
        for ticket in [longest(), Ticket::default()] {
            let bytes = sotto_protocol::cbor::encode(&ticket).unwrap();
            let sealed = letter::write(to, &bytes, SizeClass::K4).unwrap();
            let lengths: Vec<_> = sealed.iter().map(Vec::len).collect();
            assert_eq!(lengths, [4_096]);
        }
    }

    #[test]
    fn a_ticket_may_be_as_long_as_its_limits_and_no_longer() {
        assert!(longest().is_within_limits());
        assert!(Ticket::default().is_within_limits());
        let x = |count: usize| "x".repeat(count);
        let worse: [fn(&mut Ticket, String); 5] = [
            |ticket, _| ticket.words.push('y'),
            |ticket, long| ticket.topic = Some(long),
            |ticket, long| ticket.language = Some(long),
            |ticket, _| ticket.been_there.push("x".into()),
            |ticket, _| ticket.not.push("x".into()),
        ];
        for (number, change) in worse.into_iter().enumerate() {
            let mut ticket = longest();
            change(&mut ticket, x(CHOICE_BYTES_MAX + 1));
            assert!(!ticket.is_within_limits(), "case {number}");
        }
        for odd in ["a\nb", " ", "a\u{202e}b"] {
            let odd = Ticket {
                topic: Some(odd.into()),
                ..Ticket::default()
            };
            assert!(!odd.is_within_limits());
        }
    }
}
