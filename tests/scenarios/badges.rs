//! Seeker today, supporter tomorrow: what an organisation says of somebody, in one conversation.

use std::time::UNIX_EPOCH;

use sotto_client::{
    BadgeAttributes, BadgeBatch, BadgeList, BadgeState, Command, Event, OrganisationKey,
    Revocation, RevokedList, week_end,
};
use sotto_tests::world::{Person, World, wall_clock};

/// What the organisation's clock says: noon, as on the devices.
fn now_ms() -> u64 {
    let since = wall_clock()().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// Three badges for this person's device, by file as it were.
pub(crate) async fn badges_for(person: &Person, organisation: &OrganisationKey) {
    let asked = person.client.ask_for_badges(3).await.unwrap().to_string();
    let requests: sotto_client::BadgeRequests = asked.parse().unwrap();
    let of = BadgeAttributes {
        role: "listener".into(),
        been_there: vec!["widowed".into()],
        ..BadgeAttributes::default()
    };
    let list = BadgeList {
        roles: vec!["listener".into()],
        been_there: vec!["widowed".into(), "evicted".into()],
        ..BadgeList::default()
    };
    let today = u32::try_from(now_ms() / 86_400_000).unwrap();
    let issued = requests.issue(organisation, &of, &list, (week_end(today + 3), now_ms()));
    let batch: BadgeBatch = issued.unwrap().to_string().parse().unwrap();
    assert_eq!(person.client.import_badges(&batch).await.unwrap(), 3);
}

/// Until the badge of somebody is worth this.
async fn sees(person: &Person, wanted: BadgeState) -> sotto_client::Badge {
    person
        .until("a badge", |event| match event {
            Event::Badge { badge, .. } if badge.state == wanted => Some((**badge).clone()),
            _ => None,
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn a_supporter_shows_a_badge_and_the_organisation_takes_it_back() {
    let world = World::start().await;
    let organisation = OrganisationKey::random().unwrap();
    let us = organisation.id();
    let seeker = world.founder("Ann").await;
    let link = seeker.link().await;
    let supporter = world.joiner("Ben", &link).await;
    let leader = world.joiner("Cay", &link).await;
    for person in [&seeker, &supporter, &leader] {
        let trust = Command::Trust(us);
        person.conversation.command(trust).await.unwrap();
    }
    badges_for(&supporter, &organisation).await;
    let show = supporter.client.show_badge(&supporter.conversation, &us);
    show.await.unwrap();
    let badge = sees(&seeker, BadgeState::CannotCheck).await;
    assert_eq!(badge.attributes.been_there, ["widowed"]);
    assert_eq!(supporter.client.badges().await.held, 2);

    let list = RevokedList::next(&organisation, None, [], now_ms()).unwrap();
    let hear = Command::HearRevoked(Box::new(list));
    seeker.conversation.command(hear).await.unwrap();
    sees(&seeker, BadgeState::Valid).await;

    let revocation = Revocation::new(&organisation, badge.id);
    let take_back = Command::RevokeBadge(Box::new(revocation));
    leader.conversation.command(take_back).await.unwrap();
    sees(&seeker, BadgeState::Revoked).await;
    supporter.says("still here").await;
    assert_eq!(seeker.hears_texts(1).await, ["still here"]);
    let members = seeker.conversation.members().await.unwrap();
    let mut ben = members
        .iter()
        .filter(|one| one.name.as_deref() == Some("Ben"));
    let state = ben.next().unwrap().badge.as_ref().unwrap().state;
    assert_eq!(state, BadgeState::Revoked);
}

#[tokio::test(start_paused = true)]
async fn the_same_person_asks_for_help_in_one_conversation_and_gives_it_in_another() {
    let world = World::start().await;
    let organisation = OrganisationKey::random().unwrap();
    let us = organisation.id();
    let ann = world.founder("Ann").await;
    let ben = world.joiner("Ben", &ann.link().await).await;
    let other = world.founder("Cay").await;
    let trust = || Command::Trust(us);
    badges_for(&ben, &organisation).await;
    let link = other.link().await;
    let options = sotto_client::JoinOptions { name: "B.".into() };
    let elsewhere = ben.client.join(&link, &options).await.unwrap();
    elsewhere.ready().await.unwrap();
    other.conversation.command(trust()).await.unwrap();
    ann.conversation.command(trust()).await.unwrap();
    let shown = ben.client.show_badge(&elsewhere, &us);
    shown.await.unwrap();
    let in_one = sees(&other, BadgeState::CannotCheck).await;
    // Where he asks for help nobody sees that he gives it elsewhere.
    ben.says("I need somebody").await;
    assert_eq!(ann.hears_texts(1).await, ["I need somebody"]);
    let members = ann.conversation.members().await.unwrap();
    assert!(members.iter().all(|member| member.badge.is_none()));
    ben.client.show_badge(&ben.conversation, &us).await.unwrap();
    let in_other = sees(&ann, BadgeState::CannotCheck).await;
    assert_ne!(in_one.id, in_other.id);
}
