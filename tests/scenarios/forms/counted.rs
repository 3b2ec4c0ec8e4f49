//! Forms in which somebody who is not of the desk is told of it, in numbers and nothing else.

use sotto_client::{
    Again, AuditFault, Count, DeskNumbers, Division, Helped, OrganisationKey, Period, Rating,
    Ticket,
};
use sotto_tests::world::Person;

use super::{Phone, Town, answers, hears_until, saying};
use crate::desk::plan;

/// Somebody asks, is answered, and both go.
async fn is_answered(town: &Town, office: &Person, words: &str) {
    let seeker = town.asks(&town.phone(), office, saying(words)).await;
    let chat = answers(office, "Ben", &seeker, words).await;
    for one in [&chat, &seeker] {
        one.conversation.leave().await.unwrap();
    }
    seeker.client.close().await;
}

/// Somebody asks, and goes before anybody answers.
async fn gives_up(town: &Town, office: &Person) -> Person {
    let seeker = town.asks(&town.phone(), office, Ticket::default()).await;
    super::sees(office, 1).await;
    seeker.conversation.leave().await.unwrap();
    seeker
}

async fn rates(town: &Town, office: &Person, helped: Helped) {
    let (client, _) = town.world.device_with(town.phone().options()).await;
    let desk = office.conversation.desk_address().await.unwrap().unwrap();
    let visit = client.visit(&desk).await.unwrap();
    let rating = Rating {
        again: Again::Yes,
        early: helped == Helped::No,
        helped,
    };
    assert!(client.rate(&visit, rating).await.unwrap().gone().await);
    client.close().await;
}

/// The office is closed, days pass, and it is there again and has read all.
async fn days_later(town: &Town, phone: &Phone, office: Person, days: u32) -> Person {
    office.client.close().await;
    town.days(days).await;
    let office = town.opens_team(phone).await;
    office.conversation.ready().await.unwrap();
    town.minutes(1).await;
    office
}

/// Every count in a period.
fn counts(period: &Period) -> Vec<Count> {
    let Period {
        answered,
        letters,
        left,
        calls,
        helped,
        ..
    } = *period;
    let mut all = vec![
        answered,
        letters,
        left,
        calls,
        helped.yes,
        helped.partly,
        helped.no,
    ];
    all.extend(
        period
            .again
            .map(|again| [again.yes, again.maybe, again.no])
            .into_iter()
            .flatten(),
    );
    all.extend(period.early);
    all
}

/// What personnel got so far, and this as well: nothing in it says more than a number of five or more.
fn get(told: &mut Vec<Period>, more: &DeskNumbers) {
    assert_eq!(more.periods[..told.len()], told[..], "nothing changed");
    told.clone_from(&more.periods);
    for pair in told.windows(2) {
        assert_eq!(pair[0].until + 1, pair[1].from, "each day is in one period");
    }
    for count in told.iter().flat_map(counts) {
        assert!(count.number().is_none_or(|number| number >= 5));
    }
}

#[tokio::test(start_paused = true)]
async fn mentoring_at_work() {
    let town = Town::start().await;
    let phone = town.phone();
    let office = town.desk(&phone, plan()).await;
    let began = town.today();
    for at in 0..6 {
        is_answered(&town, &office, &format!("My manager, {at}.")).await;
    }
    let gone = gives_up(&town, &office).await;
    for helped in [Helped::Yes; 5].into_iter().chain([Helped::No; 3]) {
        rates(&town, &office, helped).await;
    }
    // A device on duty sees who went, and what lies among the letters.
    town.minutes(12).await;
    gone.client.close().await;

    // On the same day there is nothing to be had, by whatever it is divided.
    let mut told = Vec::new();
    for by in [
        Division::Day,
        Division::Week,
        Division::Month,
        Division::Day,
    ] {
        let numbers = office.conversation.numbers(Some(by)).await.unwrap();
        assert!(numbers.periods.is_empty());
    }
    let office = days_later(&town, &phone, office, 2).await;
    let mut ask = async |office: &Person, by: Option<Division>| {
        let numbers = office.conversation.numbers(by).await.unwrap();
        get(&mut told, &numbers);
        numbers
    };
    let numbers = ask(&office, Some(Division::Week)).await;
    // Two days later the first one is told for good, and asking by week does not tell it again.
    let first = numbers.periods[0];
    assert_eq!((first.from, first.until), (began, began));
    assert_eq!(first.answered.number(), Some(5));
    assert_eq!(first.helped.yes.number(), Some(5));
    for hidden in [
        first.helped.no,
        first.helped.partly,
        first.left,
        first.letters,
    ] {
        assert_eq!(hidden.to_string(), "fewer than 5");
    }
    // All would come again: how many, and how many left early, would tell the three.
    assert_eq!((first.again, first.early), (None, None));
    ask(&office, Some(Division::Month)).await;
    let office = days_later(&town, &phone, office, 40).await;
    let numbers = ask(&office, None).await;
    let last = numbers.periods.last().unwrap();
    assert!(last.until < town.today() && last.until - began > 25);
    assert_eq!(numbers.by, Division::Month);
    // What was taken out, and how often, is written down, and no word of anybody.
    let audit = office.conversation.audit().await.unwrap();
    audit.check().unwrap();
    let all = format!("{numbers:?} {audit:?}");
    assert!(!all.contains("manager") && !all.contains("Ben") && !all.contains("Guest"));
}

#[tokio::test(start_paused = true)]
async fn trim() {
    let town = Town::start().await;
    let organisation = OrganisationKey::random().unwrap();
    let key = organisation.secret_text();
    let mut exports = Vec::new();
    for (desk, briefed) in [(0, 5), (1, 3)] {
        let phone = town.phone();
        let plan = sotto_client::DeskPlan { desk, ..plan() };
        let district = key.parse().unwrap();
        let office = town.desk_of(&phone, district, plan).await;
        let cay = town.supporter(&town.phone(), &office, "Cay").await;
        for at in 0..briefed {
            is_answered(&town, &office, &format!("After the accident, {at}.")).await;
        }
        // The form of an assessment, for the practitioners of this district.
        let form = "assessment 1: sleep 3 of 5, intrusions 2 of 5, follow-up in 28 days";
        office.says(form).await;
        hears_until(&cay, form).await;
        // Cay's device hears of whatever is taken out.
        let office_was = town.today();
        office.client.close().await;
        cay.client.close().await;
        town.days(7).await;
        let office = town.opens_team(&phone).await;
        office.conversation.ready().await.unwrap();
        town.minutes(1).await;
        let numbers = office.conversation.numbers(None).await.unwrap();
        assert_eq!(numbers.periods[0].from, office_was);
        let audit = office.conversation.audit().await.unwrap();
        assert!(!format!("{numbers:?} {audit:?}").contains("assessment"));
        town.minutes(1).await;
        let heard = office.conversation.audit_heads().await.unwrap();
        assert_eq!(heard.len(), 2);
        audit.check().unwrap();
        audit.agrees_with(&heard).unwrap();
        let mut forged = audit.clone();
        forged.records[0].desk += 1;
        assert_eq!(forged.check(), Err(AuditFault::Record(1)));
        exports.push(numbers.periods[0].answered);
        office.client.close().await;
    }
    let said: Vec<_> = exports.iter().map(Count::to_string).collect();
    assert_eq!(said, ["5 to 9", "fewer than 5"]);
}
