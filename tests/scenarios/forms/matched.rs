//! Somebody who has been there: matched by what the seeker chose to say, on the supporters' devices.

use sotto_client::{
    AskOptions, BadgeAttributes, DeskPlan, Event, Offer, OrganisationKey, Standing, Ticket,
};
use sotto_tests::world::Person;

use super::{
    Phone, Town, answers, badge_for, elsewhere, hears_until, is_with, saying, sees, words,
};
use crate::desk::{has_asked, plan, sees_words};
use crate::entering::is_named;

/// Who has been through this.
fn through(list: &[&str]) -> Offer {
    Offer {
        been_there: words(list),
        ..Offer::default()
    }
}

/// Who wants somebody who has.
fn wants(list: &[&str], says: &str) -> Ticket {
    Ticket {
        been_there: words(list),
        ..saying(says)
    }
}

#[tokio::test(start_paused = true)]
async fn cancer_match() {
    let town = Town::on_disk().await;
    let plan = DeskPlan {
        been_there: words(&["ovarian carcinoma", "stage three", "melanoma"]),
        ..plan()
    };
    let office = town.desk(&town.phone(), plan).await;
    let like_vic = through(&["melanoma"]);
    let like_una = through(&["ovarian carcinoma", "stage three", "two small children"]);
    let tom = town
        .offers(&town.phone(), &office, "Mentor Tom", like_vic)
        .await;
    let rosa = town
        .offers(&town.phone(), &office, "Mentor Rosa", like_una)
        .await;
    let asks = async |ticket| town.asks(&town.phone(), &office, ticket).await;
    let vic = asks(wants(&["melanoma"], "Mine is on the back.")).await;
    let una = asks(wants(
        &["ovarian carcinoma", "stage three"],
        "I have two girls.",
    ))
    .await;
    let wes = asks(wants(&["glioblastoma"], "Is there anybody?")).await;

    // Each mentor's own device puts first whom they share most with; nobody is shown to nobody.
    assert_eq!(
        sees(&tom, 3).await,
        [
            "Mine is on the back.",
            "Is there anybody?",
            "I have two girls."
        ]
    );
    assert_eq!(
        sees(&rosa, 3).await,
        [
            "I have two girls.",
            "Mine is on the back.",
            "Is there anybody?"
        ]
    );
    let chat = answers(&rosa, "Mentor Rosa", &una, "I have two girls.").await;
    chat.says("So have I.").await;
    hears_until(&una, "So have I.").await;
    answers(&tom, "Mentor Tom", &vic, "Mine is on the back.").await;
    answers(&tom, "Mentor Tom", &wes, "Is there anybody?").await;
    for client in [&office, &tom, &rosa, &vic, &una, &wes].map(|one| &one.client) {
        client.close().await;
    }

    // The match was made, and the relay has neither a diagnosis nor a person.
    let seized = town.seized("a diagnosis in the clear").await;
    let said = [
        "ovarian carcinoma",
        "stage three",
        "melanoma",
        "glioblastoma",
        "two small children",
        "Mentor Rosa",
        "I have two girls.",
    ];
    for said in said {
        assert!(!seized.holds(said.as_bytes()), "{said}");
    }
}

/// Shows the badge of a certified visitor in this chat; as the other one there is told of it.
async fn shows_badge(
    town: &Town,
    (visitor, chat, other): (&Person, &Person, &Person),
    organisation: &OrganisationKey,
    been_there: &[&str],
) -> BadgeAttributes {
    let of = BadgeAttributes {
        role: "certified visitor".into(),
        been_there: words(been_there),
        ..BadgeAttributes::default()
    };
    badge_for(town, visitor, organisation, &of).await;
    let us = organisation.id();
    let shown = visitor.client.show_badge(&chat.conversation, &us);
    shown.await.unwrap();
    let badge = |event: &Event| match event {
        Event::Badge { badge, .. } => Some(badge.attributes.clone()),
        _ => None,
    };
    let told = other.until("a badge", badge).await;
    assert_eq!(told, of);
    told
}

/// Somebody who leaves a letter and closes the app.
async fn leaves_letter(town: &Town, phone: &Phone, office: &Person, ticket: Ticket) {
    let address = office.conversation.desk_address().await.unwrap().unwrap();
    let (client, network) = town.world.device_with(phone.options()).await;
    let visit = client.visit(&address).await.unwrap();
    let options = AskOptions {
        ticket,
        ..AskOptions::default()
    };
    let conversation = client.leave_letter(&visit, options).await.unwrap();
    let person = super::person((client, network), conversation);
    has_asked(&person).await;
    person.client.close().await;
}

#[tokio::test(start_paused = true)]
async fn amputee_visitor() {
    /// Days within which a visitor answers.
    const PROMISED: u32 = 3;
    const MAX: &str = "They take it off on Monday.";
    const SISTER: &str = "My brother loses his leg.";
    let town = Town::start().await;
    let organisation = OrganisationKey::random().unwrap();
    let key: OrganisationKey = organisation.secret_text().parse().unwrap();
    let plan = DeskPlan {
        topics: words(&["visitor", "family"]),
        ..plan()
    };
    let (guses, flos, maxes, sisters) = (town.phone(), town.phone(), town.phone(), town.phone());
    let office = town.desk_of(&town.phone(), organisation, plan).await;
    let about = |topic: &str, been_there: &[&str]| Offer {
        topics: words(&[topic]),
        been_there: words(been_there),
        ..Offer::default()
    };
    let gus_offers = about("visitor", &["below the knee"]);
    let flo_offers = about("family", &[]);
    let gus = town
        .offers(&guses, &office, "Gus", gus_offers.clone())
        .await;
    let flo = town.offers(&flos, &office, "Flo", flo_offers.clone()).await;
    let on = |topic: &str, ticket| Ticket {
        topic: Some(topic.into()),
        ..ticket
    };
    leaves_letter(&town, &sisters, &office, on("family", saying(SISTER))).await;
    let max = wants(&["below the knee"], MAX);
    leaves_letter(&town, &maxes, &office, on("visitor", max)).await;
    let asked = town.today();
    for person in [&office, &gus, &flo] {
        person.client.close().await;
    }

    // Two days later each visitor finds theirs first: family with family.
    town.days(2).await;
    let gus = town.opens_team(&guses).await;
    gus.conversation.duty_for(gus_offers).await.unwrap();
    let flo = town.opens_team(&flos).await;
    flo.conversation.duty_for(flo_offers).await.unwrap();
    assert_eq!(sees(&gus, 2).await, [MAX, SISTER]);
    assert_eq!(sees(&flo, 2).await, [SISTER, MAX]);
    for (visitor, name, phone, words, been_there) in [
        (&gus, "Gus", &maxes, MAX, &["below the knee"][..]),
        (&flo, "Flo", &sisters, SISTER, &[]),
    ] {
        let letter = sees_words(visitor, words).await;
        let team = &visitor.conversation;
        let chat = visitor.client.take(team, letter.id, name).await.unwrap();
        let chat = elsewhere(visitor, chat);
        chat.until_standing(Standing::In).await;
        chat.says("I will come on Sunday.").await;
        let seeker = town.opens(phone).await;
        hears_until(&seeker, "I will come on Sunday.").await;
        assert!(town.today() - asked <= PROMISED);
        shows_badge(&town, (visitor, &chat, &seeker), &key, been_there).await;
        is_named(&seeker, name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn spinal_cord_injury_and_family() {
    let town = Town::start().await;
    let office = town.desk(&town.phone(), plan()).await;
    let offers = async |name, list: &[&str]| {
        town.offers(&town.phone(), &office, name, through(list))
            .await
    };
    let eli = offers("Eli", &["T4", "parent"]).await;
    let fin = offers("Fin", &["C6"]).await;
    let dana = offers("Dana", &["C6", "parent"]).await;
    let asks = async |ticket| town.asks(&town.phone(), &office, ticket).await;
    let tess = asks(wants(&["T4", "parent"], "Can I drive?")).await;
    let cleo = asks(wants(&["C6", "parent"], "My son is nine.")).await;
    let gina = asks(wants(&["C6", "sibling"], "He is my brother.")).await;

    // By level and by role: who has both is offered who asks for both.
    assert_eq!(sees(&dana, 3).await[0], "My son is nine.");
    assert_eq!(sees(&eli, 3).await[0], "Can I drive?");
    let chat = answers(&dana, "Dana", &cleo, "My son is nine.").await;
    chat.says("Mine was seven.").await;
    hears_until(&cleo, "Mine was seven.").await;
    is_with(&cleo, &["Dana", "Guest"]).await;
    // A person and not a search page, also where nobody has both: the next best is a person too.
    assert_eq!(sees(&fin, 2).await, ["He is my brother.", "Can I drive?"]);
    answers(&fin, "Fin", &gina, "He is my brother.").await;
    answers(&eli, "Eli", &tess, "Can I drive?").await;
}
