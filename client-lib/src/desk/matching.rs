//! Who is offered to whom: the order in which a supporter's client shows the tickets that wait.
//!
//! It is decided in the supporters' clients, each for itself, from what seekers chose to say and what
//! the supporter offers; the relay never sees any of it. First who fits exactly, then who fits nearly,
//! then those whose language one does not speak. Nobody starves: who has waited for long fits everyone
//! who speaks their language, and who has waited for longer fits everyone. One thing is never bent,
//! however long the wait: from whom a seeker did *not* want their supporter.

use super::ticket::Ticket;

/// After so long a ticket fits everyone who speaks its language: somebody is better than nobody.
const LONG_MS: u64 = 5 * 60 * 1_000;
/// After so long it fits everyone: a translator is better than nobody.
const VERY_LONG_MS: u64 = 15 * 60 * 1_000;
/// Of each list so many are looked at, so that a long one costs nobody time; a ticket and a card hold
/// fewer.
const LOOKED_AT_MAX: usize = 32;

/// What a supporter offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// What they know about.
    pub topics: Vec<String>,
    /// The languages they speak, as tags.
    pub languages: Vec<String>,
    /// What they have been through themselves.
    pub been_there: Vec<String>,
    /// Where they are from.
    pub sites: Vec<String>,
}

/// A ticket that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingTicket {
    /// What its seeker wishes.
    pub ticket: Ticket,
    /// Its place in the queue's log.
    pub seq: u64,
    /// Since when it waits, by the same clock as the time of the order.
    pub since_ms: u64,
}

/// How well a supporter fits a wish, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fit {
    /// In everything.
    Exact,
    /// In the language, but not in so many of the other things.
    Near(usize),
    /// Not in the language, and not in so many of the other things.
    NoLanguage(usize),
    /// The seeker does not want somebody from there.
    Never,
}

impl Offer {
    /// How well it fits what a seeker wishes.
    #[must_use]
    pub fn fit(&self, wish: &Ticket) -> Fit {
        if looked_at(&wish.not).any(|not| has(&self.sites, not)) {
            return Fit::Never;
        }
        let topic = wish.topic.iter().filter(|topic| !has(&self.topics, topic));
        let been_there = looked_at(&wish.been_there).filter(|one| !has(&self.been_there, one));
        let lacks = topic.chain(been_there).count();
        let speaks = |tag: &String| looked_at(&self.languages).any(|own| is_spoken(own, tag));
        match (wish.language.as_ref().is_none_or(speaks), lacks) {
            (true, 0) => Fit::Exact,
            (true, lacks) => Fit::Near(lacks),
            (false, lacks) => Fit::NoLanguage(lacks),
        }
    }
}

/// In which order the tickets are offered to this supporter, as indices; without those that are never
/// offered to them. The same on every device that is told the same.
#[must_use]
pub fn offer_order(tickets: &[WaitingTicket], offer: &Offer, now_ms: u64) -> Vec<usize> {
    let mut order: Vec<_> = tickets
        .iter()
        .enumerate()
        .filter_map(|(index, ticket)| {
            let waited_ms = now_ms.saturating_sub(ticket.since_ms);
            let fit = match offer.fit(&ticket.ticket) {
                Fit::Never => return None,
                Fit::Near(_) if waited_ms >= LONG_MS => Fit::Exact,
                Fit::NoLanguage(_) if waited_ms >= VERY_LONG_MS => Fit::Exact,
                fit => fit,
            };
            Some((fit, ticket.seq, index))
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(.., index)| index).collect()
}

fn looked_at(list: &[String]) -> impl Iterator<Item = &String> {
    list.iter().take(LOOKED_AT_MAX)
}

/// Letters of another case are the same: a site is typed by both sides, and nothing may hang on how.
fn has(list: &[String], one: &str) -> bool {
    let one = one.trim().to_lowercase();
    looked_at(list).any(|own| own.trim().to_lowercase() == one)
}

/// Whether one who speaks `own` speaks with one who wishes for `wished`: the same tag, or one that
/// says less precisely the same (`pt` and `pt-BR`).
fn is_spoken(own: &str, wished: &str) -> bool {
    let (mut own, mut wished) = (own.split('-'), wished.split('-'));
    loop {
        match (own.next(), wished.next()) {
            (Some(own), Some(wished)) if own.eq_ignore_ascii_case(wished) => {}
            (Some(_), Some(_)) => return false,
            _ => return true,
        }
    }
}

#[cfg(test)]
#[path = "tests/matching.rs"]
mod tests;
