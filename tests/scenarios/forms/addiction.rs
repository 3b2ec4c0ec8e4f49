//! Addiction: a sponsor for years, whatever becomes of phones.

use sotto_client::{Event, LeafId, Standing};
use sotto_protocol::size_class::SizeClass;
use sotto_tests::world::Person;

use super::{Phone, Town, hears_until, is_with, kept, leaf_of};

const MONTHS: u32 = 13;
/// In days. The relay keeps words for 30 and keys for 60.
const MONTH: u32 = 28;

/// A month later: the two open their apps and say something.
async fn meets(town: &Town, sponsors: &Phone, sponsees: &Phone, month: u32) {
    town.days(MONTH).await;
    let sponsor = town.opens_with(sponsors, "Patricia").await;
    let sponsee = town.opens(sponsees).await;
    let (asks, answer) = (format!("Month {month}, sober"), format!("One day, {month}"));
    sponsee.says(&asks).await;
    hears_until(&sponsor, &asks).await;
    sponsor.says(&answer).await;
    hears_until(&sponsee, &answer).await;
    sponsee.client.backed_up().await.unwrap();
    sponsee.client.close().await;
    sponsor.client.close().await;
}

async fn hears_return(person: &Person, leaf: LeafId) {
    let returned = |event: &Event| (*event == Event::Returned { leaf }).then_some(());
    person.until("a return", returned).await;
}

#[tokio::test(start_paused = true)]
async fn aa_sponsorship() {
    let town = Town::on_disk().await;
    let (sponsors, mut pats) = (town.phone(), town.phone());
    // One sponsor, two sponsees, and no service in between.
    let (one, pat) = town
        .two((&sponsors, "Leopold M."), (&pats, "Patricia"))
        .await;
    let other = town.phone();
    let (_, kim) = town.two_more((&one, "Leopold M."), (&other, "Kim")).await;
    let (lee, leaf) = (
        leaf_of(&pat, "Leopold M.").await,
        leaf_of(&pat, "Patricia").await,
    );
    let words = town.words_of(&pat).await;
    kim.says("Kim was here").await;
    for client in [&one.client, &pat.client, &kim.client] {
        client.close().await;
    }
    for month in 1..=MONTHS {
        meets(&town, &sponsors, &pats, month).await;
        if month % 6 == 0 {
            // The phone is gone. On the next one, by words: the same two.
            pats = town.phone();
            let sponsor = town.opens_with(&sponsors, "Patricia").await;
            let pat = town.comes_back(&pats, &words).await;
            hears_return(&sponsor, leaf).await;
            pat.until_standing(Standing::Waiting).await;
            pat.says("New phone").await;
            hears_until(&sponsor, "New phone").await;
            assert_eq!(leaf_of(&pat, "Leopold M.").await, lee);
            is_with(&sponsor, &["Leopold M.", "Patricia"]).await;
            pat.client.backed_up().await.unwrap();
            pat.client.close().await;
            sponsor.client.close().await;
        }
    }
    // More than a year, all of it with the sponsor, each line once.
    let sponsor = town.opens_with(&sponsors, "Patricia").await;
    let said = kept(&sponsor).await;
    let of = |month: u32| [format!("Month {month}, sober"), format!("One day, {month}")];
    let all = (1..=MONTHS)
        .flat_map(of)
        .filter(|line| said.iter().filter(|one| *one == line).count() == 1);
    assert_eq!(all.count(), 2 * usize::try_from(MONTHS).unwrap());
    sponsor.client.close().await;

    // What the relay has of it fits into a table of sizes and days: of the words the last month's, and
    // the changes of keys that a newcomer would need. It opens nothing of either.
    let seized = town.seized("One day at a time, in the clear").await;
    for words in ["Month 13, sober", "One day, 13", "Patricia", "Leopold M."] {
        assert!(!seized.holds(words.as_bytes()), "{words}");
    }
    let classes = seized
        .facts
        .logs
        .iter()
        .flat_map(|log| &log.entries_by_class);
    let words = classes.filter(|(bytes, _)| *bytes == SizeClass::K1.bytes());
    let words: u64 = words.map(|(_, count)| *count).sum();
    assert!(
        (2..2 * u64::from(MONTHS)).contains(&words),
        "{words} of a year"
    );
    let entries: u64 = seized.facts.logs.iter().map(|log| log.entries).sum();
    assert!(entries < 100, "{entries} entries");
}
