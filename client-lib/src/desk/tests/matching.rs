//! Who is offered first, and that nobody starves.

use proptest::prelude::*;

use super::*;

const NOW: u64 = 100 * 60 * 60 * 1_000;

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&one| one.to_owned()).collect()
}

fn wish(topic: &str, language: &str, been_there: &[&str]) -> Ticket {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Ticket {
        topic: some(topic),
        language: some(language),
        been_there: words(been_there),
        ..Ticket::default()
    }
}

fn ticket(seq: u64, wish: Ticket) -> WaitingTicket {
    WaitingTicket {
        ticket: wish,
        seq,
        since_ms: NOW - 1_000,
    }
}

fn offer() -> Offer {
    Offer {
        topics: words(&["grief", "work"]),
        languages: words(&["en", "pt-BR"]),
        been_there: words(&["widowed"]),
        sites: words(&["harbour"]),
    }
}

fn order(tickets: &[WaitingTicket]) -> Vec<usize> {
    offer_order(tickets, &offer(), NOW)
}

#[test]
fn who_fits_exactly_comes_first_and_then_who_fits_next_best() {
    let tickets = [
        ticket(1, wish("", "ar", &[])),
        ticket(2, wish("debts", "en", &["evicted"])),
        ticket(3, wish("grief", "en", &["evicted"])),
        ticket(4, wish("grief", "en", &["widowed"])),
        ticket(5, wish("", "", &[])),
    ];
    assert_eq!(order(&tickets), [3, 4, 2, 1, 0]);
}

#[test]
fn who_fits_alike_keeps_the_place_in_the_queue() {
    let tickets = [7, 3, 9].map(|seq| ticket(seq, wish("grief", "", &[])));
    assert_eq!(order(&tickets), [1, 0, 2]);
}

#[test]
fn a_language_is_spoken_in_its_kinds() {
    let fit = |language: &str| offer().fit(&wish("", language, &[]));
    for language in ["en", "EN-gb", "pt", "pt-br"] {
        assert_eq!(fit(language), Fit::Exact, "{language}");
    }
    for language in ["pt-PT", "e", "eng", "ar"] {
        assert_eq!(fit(language), Fit::NoLanguage(0), "{language}");
    }
}

#[test]
fn a_ticket_that_waited_long_is_for_everyone_with_its_language_and_then_for_everyone() {
    let exact = || ticket(9, wish("grief", "en", &[]));
    let first_of = |waited_ms: u64, wish: Ticket| {
        let mut old = ticket(1, wish);
        old.since_ms = NOW - waited_ms;
        order(&[exact(), old]).remove(0)
    };
    let other_topic = || wish("debts", "en", &[]);
    assert_eq!(first_of(LONG_MS - 1, other_topic()), 0);
    assert_eq!(first_of(LONG_MS, other_topic()), 1);
    let other_language = || wish("grief", "ar", &[]);
    assert_eq!(first_of(VERY_LONG_MS - 1, other_language()), 0);
    assert_eq!(first_of(VERY_LONG_MS, other_language()), 1);
}

#[test]
fn who_wants_nobody_from_a_site_gets_nobody_from_there_however_long_they_wait() {
    let mut not_here = ticket(1, wish("", "", &[]));
    not_here.ticket.not = words(&["school", "harbour"]);
    not_here.since_ms = 0;
    assert!(order(&[not_here.clone()]).is_empty());
    not_here.ticket.not.pop();
    assert_eq!(order(&[not_here]), [0]);
}

#[test]
fn of_a_list_so_many_are_looked_at_and_not_one_more() {
    let fillers = |count: usize| vec!["filler".to_owned(); count];
    let mut supporter = offer();
    supporter.topics = fillers(LOOKED_AT_MAX - 1);
    supporter.topics.push("grief".into());
    let grief = wish("grief", "", &[]);
    assert_eq!(supporter.fit(&grief), Fit::Exact);
    supporter.topics.insert(0, "filler".into());
    assert_eq!(supporter.fit(&grief), Fit::Near(1));
}

fn a_list() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("[a-d]", 0..3)
}

fn a_wish() -> impl Strategy<Value = Ticket> {
    let one = || proptest::option::of("[a-d]");
    (one(), one(), a_list(), a_list()).prop_map(|(topic, language, been_there, not)| Ticket {
        topic,
        language,
        been_there,
        not,
        ..Ticket::default()
    })
}

fn an_offer() -> impl Strategy<Value = Offer> {
    (a_list(), a_list(), a_list(), a_list()).prop_map(|(topics, languages, been_there, sites)| {
        Offer {
            topics,
            languages,
            been_there,
            sites,
        }
    })
}

/// A queue: who came earlier waits longer.
fn a_queue() -> impl Strategy<Value = Vec<WaitingTicket>> {
    let one = (a_wish(), 1_u64..20);
    proptest::collection::vec(one, 0..12).prop_map(|ones| {
        let minute = 60_000;
        let mut since_ms = NOW - 40 * minute;
        let mut queue = Vec::new();
        for (seq, (wish, gap)) in (1..).zip(ones) {
            since_ms = (since_ms + gap * minute / 4).min(NOW);
            queue.push(WaitingTicket {
                ticket: wish,
                seq,
                since_ms,
            });
        }
        queue
    })
}

fn place_of(order: &[usize], index: usize) -> Option<usize> {
    order.iter().position(|one| *one == index)
}

proptest! {
    #[test]
    fn every_ticket_is_offered_once_but_those_that_are_never(queue in a_queue(), offer in an_offer()) {
        let mut order = offer_order(&queue, &offer, NOW);
        order.sort_unstable();
        let may = |index: &usize| offer.fit(&queue[*index].ticket) != Fit::Never;
        let all: Vec<_> = (0..queue.len()).filter(may).collect();
        prop_assert_eq!(order, all);
    }

    /// In every order of arrival the same, so that two devices agree.
    #[test]
    fn the_order_does_not_depend_on_how_the_tickets_are_listed(queue in a_queue(), offer in an_offer()) {
        let listed = |queue: &[WaitingTicket]| -> Vec<u64> {
            let order = offer_order(queue, &offer, NOW);
            order.into_iter().map(|index| queue[index].seq).collect()
        };
        let mut reversed = queue.clone();
        reversed.reverse();
        prop_assert_eq!(listed(&queue), listed(&reversed));
    }

    /// Only those before it in the queue, of whom there are ever fewer, come before one who has waited
    /// for very long.
    #[test]
    fn no_ticket_starves(queue in a_queue(), offer in an_offer()) {
        let order = offer_order(&queue, &offer, NOW);
        for (index, ticket) in queue.iter().enumerate() {
            let is_old = NOW - ticket.since_ms >= VERY_LONG_MS;
            if let Some(place) = place_of(&order, index).filter(|_| is_old) {
                prop_assert!(order[..place].iter().all(|before| queue[*before].seq < ticket.seq));
            }
        }
    }

    /// No ticket that it says nothing to comes before one that it fits and that was before.
    #[test]
    fn who_offers_more_offers_no_fitting_ticket_later(
        queue in a_queue(), offer in an_offer(), one in "[a-d]", kind in 0..3
    ) {
        let mut more = offer.clone();
        let wants = |wish: &Ticket| match kind {
            0 => wish.topic.as_ref() == Some(&one),
            1 => wish.language.as_ref() == Some(&one),
            _ => wish.been_there.contains(&one),
        };
        match kind {
            0 => more.topics.push(one.clone()),
            1 => more.languages.push(one.clone()),
            _ => more.been_there.push(one.clone()),
        }
        let (before, after) = (offer_order(&queue, &offer, NOW), offer_order(&queue, &more, NOW));
        let comes_first = |order: &[usize], one, other| place_of(order, one) < place_of(order, other);
        let is_same = |other: &usize| offer.fit(&queue[*other].ticket) == more.fit(&queue[*other].ticket);
        for (index, ticket) in queue.iter().enumerate().filter(|(_, ticket)| wants(&ticket.ticket)) {
            let mut passed = before.iter().filter(|other| is_same(other));
            let is_passed = passed.any(|other| {
                comes_first(&before, index, *other) && !comes_first(&after, index, *other)
            });
            prop_assert!(!is_passed, "{ticket:?}");
        }
    }
}
