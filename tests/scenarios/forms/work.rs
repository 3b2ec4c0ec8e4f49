//! Work: colleagues who help each other, and those whose work is no office.

use sotto_client::{BadgeAttributes, Command, Event, Offer, OrganisationKey, Ticket};
use sotto_tests::world::Person;

use super::{Town, answers, badge_for, hears_until, is_with, kept, leaf_of, saying, sees, words};
use crate::desk::plan;
use crate::entering::is_named;

/// Until the supporter's badge says this role.
async fn sees_role(person: &Person, role: &str) {
    let shown = |event: &Event| match event {
        Event::Badge { badge, .. } if badge.attributes.role == role => Some(()),
        _ => None,
    };
    person.until(role, shown).await;
}

#[tokio::test(start_paused = true)]
async fn straw_a_listener_becomes_a_mentor() {
    let town = Town::start().await;
    let organisation = OrganisationKey::random().unwrap();
    let us = organisation.id();
    let key = organisation.secret_text().parse().unwrap();
    let office = town.desk_of(&town.phone(), organisation, plan()).await;
    let ben = town.supporter(&town.phone(), &office, "Ben").await;
    let sam = town
        .asks(
            &town.phone(),
            &office,
            saying("Nothing happened. It is everything."),
        )
        .await;
    let chat = answers(&ben, "Ben", &sam, "Nothing happened. It is everything.").await;
    let of = |role: &str| BadgeAttributes {
        role: role.into(),
        ..BadgeAttributes::default()
    };
    badge_for(&town, &ben, &key, &of("listener")).await;
    ben.client
        .show_badge(&chat.conversation, &us)
        .await
        .unwrap();
    sees_role(&sam, "listener").await;
    let (room, leaf) = (sam.conversation.id(), leaf_of(&sam, "Ben").await);

    badge_for(&town, &ben, &key, &of("mentor")).await;
    ben.client
        .show_badge(&chat.conversation, &us)
        .await
        .unwrap();
    sees_role(&sam, "mentor").await;
    let name = Command::Rename("Ben, your mentor".into());
    chat.conversation.command(name).await.unwrap();
    is_named(&sam, "Ben, your mentor").await;
    chat.says("Shall we plan the week?").await;
    hears_until(&sam, "Shall we plan the week?").await;

    // The same two in the same room, and all that was said is there.
    assert_eq!(leaf_of(&sam, "Ben, your mentor").await, leaf);
    let rooms: Vec<_> = sam
        .client
        .conversations()
        .iter()
        .map(|one| one.id())
        .collect();
    assert_eq!(rooms, [room]);
    assert_eq!(
        kept(&sam).await,
        [
            "Nothing happened. It is everything.",
            "Shall we plan the week?"
        ]
    );
    let members = sam.conversation.members().await.unwrap();
    let mut badges = members.iter().filter_map(|one| one.badge.as_ref());
    assert_eq!(badges.next().unwrap().attributes.role, "mentor");
}

#[tokio::test(start_paused = true)]
async fn sex_workers_alerts() {
    const ALERT: &str = "Silver van, plate ends in 52: do not get in.";
    let town = Town::on_disk().await;
    let room = town.world.room("Drop-in");
    let desk = town.world.founder_of(room, town.phone().options()).await;
    let link = desk.link().await;
    let names = ["Lila Docks", "Roxy Thunder", "Josefine"];
    let phones = names.map(|_| town.phone());
    let mut members = Vec::new();
    for (name, phone) in names.iter().zip(&phones) {
        members.push(town.world.joiner_on(name, &link, phone.options()).await);
        is_named(&desk, name).await;
    }
    // Roxy's phone is off for a day.
    members[1].client.close().await;
    desk.says(ALERT).await;
    for person in [&members[0], &members[2]] {
        hears_until(person, ALERT).await;
    }
    for client in [&desk.client, &members[0].client, &members[2].client] {
        client.close().await;
    }
    town.days(1).await;
    let roxy = town.opens(&phones[1]).await;
    hears_until(&roxy, ALERT).await;
    assert_eq!(kept(&roxy).await, [ALERT]);
    // The only list there is stands on the members' own devices, and knows a name of their choosing.
    let list = roxy.conversation.members().await.unwrap();
    assert_eq!(list.len(), 4);
    roxy.client.close().await;

    let seized = town.seized("a plate written in the clear").await;
    assert!(!seized.holds(&ALERT.as_bytes()[..16]), "an alert");
    for name in names {
        assert!(!seized.holds(name.as_bytes()), "{name}");
    }
    for member in list {
        assert!(!seized.holds(member.leaf.as_bytes()), "a list");
    }
}

#[tokio::test(start_paused = true)]
async fn workplace_desk() {
    const ASKS: &str = "My foreman must not hear of it.";
    let town = Town::start().await;
    let neds = town.phone();
    let from = |site: &str| Offer {
        sites: words(&[site]),
        ..Offer::default()
    };
    let office = town.desk(&town.phone(), plan()).await;
    let ned = town.offers(&neds, &office, "Ned", from("Hall 3")).await;
    let fay = town
        .offers(&town.phone(), &office, "Fay", from("Harbour"))
        .await;
    let ticket = Ticket {
        not: words(&["Hall 3"]),
        ..saying(ASKS)
    };
    let sam = town.asks(&town.phone(), &office, ticket).await;
    let other = town.asks(&town.phone(), &office, saying("Anybody.")).await;
    assert_eq!(sees(&ned, 1).await, ["Anybody."]);
    assert_eq!(sees(&fay, 2).await, [ASKS, "Anybody."]);
    // It is kept: however long it waits, and when the app is started again.
    town.minutes(30).await;
    assert_eq!(sees(&ned, 1).await, ["Anybody."]);
    ned.client.close().await;
    let ned = town.opens_team(&neds).await;
    ned.conversation.duty_for(from("Hall 3")).await.unwrap();
    assert_eq!(sees(&ned, 1).await, ["Anybody."]);
    // Whom the seeker gets was told what they chose, and they are nobody's colleague to each other.
    let shown = fay.conversation.tickets().await.unwrap();
    assert_eq!(shown[0].ticket.not, ["Hall 3"]);
    let chat = answers(&fay, "Fay", &sam, ASKS).await;
    answers(&ned, "Ned", &other, "Anybody.").await;
    chat.says("I am at the harbour. I know nobody in Hall 3.")
        .await;
    hears_until(&sam, "I am at the harbour. I know nobody in Hall 3.").await;
    is_with(&sam, &["Fay", "Guest"]).await;
}
