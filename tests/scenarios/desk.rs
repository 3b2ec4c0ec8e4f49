//! A support desk: asking, waiting, being answered by exactly one, leaving.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use sotto_client::error::ErrorKind;
use sotto_client::vault::{MemoryVault, SharedVault};
use sotto_client::{
    AskOptions, Client, ClientOptions, Confidentiality, Conversation, DeskDate, DeskPlan,
    DeskTicket, Event, Hours, OrganisationKey, Place, Resource, Standing, Ticket, TicketId, Visit,
};
use sotto_tests::device::{Death, Disk};
use sotto_tests::world::{Network, Person, World, pass, wall_clock};
use tokio::time::timeout;

pub(crate) fn plan() -> DeskPlan {
    DeskPlan {
        desk: 0,
        name: "Quiet hour".into(),
        topics: vec!["grief".into(), "school".into()],
        languages: vec!["English".into()],
        been_there: Vec::new(),
        hours: Hours::new("Europe/Berlin").unwrap(),
        capacity: 50,
        chats_each: 2,
        minutes: 45,
        confidentiality: Confidentiality {
            version: 1,
            words: "We keep to ourselves what you say.".into(),
        },
        resources: vec![Resource {
            name: "Crisis line".into(),
            how: "116 123".into(),
        }],
        days: 90,
    }
}

pub(crate) async fn is_ready(person: &Person) {
    person
        .until("a desk", |event| (*event == Event::DeskReady).then_some(()))
        .await;
}

/// The office of a desk, in its team's room, on duty.
pub(crate) async fn office(world: &World) -> Person {
    office_of(world, OrganisationKey::random().unwrap()).await
}

/// The office of a desk of this organisation.
pub(crate) async fn office_of(world: &World, organisation: OrganisationKey) -> Person {
    let ann = world.founder("Ann").await;
    ann.conversation
        .found_desk(organisation, plan())
        .await
        .unwrap();
    is_ready(&ann).await;
    ann.conversation.duty(true).await.unwrap();
    ann
}

/// A supporter who comes to the team by its link, on duty.
pub(crate) async fn supporter(world: &World, office: &Person, name: &str) -> Person {
    let ben = world.joiner(name, &office.link().await).await;
    is_ready(&ben).await;
    ben.conversation.duty(true).await.unwrap();
    ben
}

pub(crate) fn asking(words: &str) -> AskOptions {
    AskOptions {
        ticket: Ticket {
            words: words.into(),
            topic: Some("grief".into()),
            ..Ticket::default()
        },
        ..AskOptions::default()
    }
}

/// Somebody who asks.
pub(crate) async fn seeker(world: &World, office: &Person, words: &str) -> Person {
    let vault = SharedVault::new(MemoryVault::new());
    seeker_on(world, office, &vault, words).await
}

pub(crate) async fn has_asked(person: &Person) {
    person
        .until("a ticket in the queue", |event| {
            (*event == Event::Knocked).then_some(())
        })
        .await;
}

pub(crate) async fn sees_ticket(person: &Person) -> DeskTicket {
    person
        .until("a ticket", |event| match event {
            Event::Ticket(ticket) => Some((**ticket).clone()),
            _ => None,
        })
        .await
}

/// The ticket with these words, as soon as this device offers it.
pub(crate) async fn sees_words(person: &Person, words: &str) -> DeskTicket {
    for _ in 0..100 {
        let tickets = person.conversation.tickets().await.unwrap();
        if let Some(found) = tickets.into_iter().find(|one| one.ticket.words == words) {
            return found;
        }
        pass(Duration::from_secs(5)).await;
    }
    panic!("no ticket says {words:?}");
}

/// The chat that answers a ticket.
pub(crate) async fn takes(supporter: &Person, id: TicketId) -> Person {
    let conversation = supporter
        .client
        .take(&supporter.conversation, id, "Ben")
        .await
        .unwrap();
    Person {
        client: supporter.client.clone(),
        network: supporter.network.clone(),
        conversation,
    }
}

pub(crate) async fn is_at(person: &Person, place: Place) {
    person
        .until(&format!("{place:?}"), |event| {
            (*event == Event::Place(place)).then_some(())
        })
        .await;
}

pub(crate) const fn place(ahead: u64) -> Place {
    Place {
        ahead,
        is_taken: false,
        wait: None,
    }
}

pub(crate) async fn ends_as(conversation: &Conversation, standing: Standing) -> Vec<Event> {
    let mut heard = Vec::new();
    loop {
        let event = conversation.next_event().await.expect("an end");
        let is_end = event == Event::Standing(standing);
        heard.push(event);
        if is_end {
            return heard;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_answered_and_the_first_words_are_there_already() {
    let world = World::start().await;
    let ann = office(&world).await;
    let ben = supporter(&world, &ann, "Ben").await;
    let sam = seeker(&world, &ann, "I do not know how to begin.").await;
    is_at(&sam, place(0)).await;
    let ticket = sees_ticket(&ben).await;
    assert_eq!(ticket.ticket.words, "I do not know how to begin.");
    assert_eq!(ticket.ticket.topic.as_deref(), Some("grief"));
    let chat = takes(&ben, ticket.id).await;
    sam.until_standing(Standing::Waiting).await;
    chat.until_standing(Standing::In).await;
    assert_eq!(chat.hears().await.text, "I do not know how to begin.");
    chat.says("That is a good way to begin.").await;
    let heard = sam.hears_texts(2).await;
    assert_eq!(
        heard,
        [
            "I do not know how to begin.",
            "That is a good way to begin."
        ]
    );
    assert_eq!(sam.names().await, ["Ben", "Guest"]);
    // Both may do everything in it, and nobody else is there.
    let members = sam.conversation.members().await.unwrap();
    assert!(members.iter().all(|member| member.facilitates));
    assert_eq!(sam.conversation.place().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn of_two_who_claim_one_ticket_one_answers_and_the_other_hears_so() {
    let world = World::start().await;
    let ann = office(&world).await;
    let ben = supporter(&world, &ann, "Ben").await;
    let sam = seeker(&world, &ann, "").await;
    let (here, there) = (sees_ticket(&ann).await, sees_ticket(&ben).await);
    assert_eq!(here.id, there.id);
    let (one, other) = tokio::join!(takes(&ann, here.id), takes(&ben, there.id));
    sam.until_standing(Standing::Waiting).await;
    let ended = async |chat: &Person| {
        let mut lost = false;
        while let Some(event) = chat.conversation.next_event().await {
            lost |= event == Event::NotTaken;
            if event == Event::Standing(Standing::In) {
                return false;
            }
            if event == Event::Standing(Standing::Left) {
                return lost;
            }
        }
        panic!("neither");
    };
    let lost = [ended(&one).await, ended(&other).await];
    assert_eq!(lost.iter().filter(|lost| **lost).count(), 1, "{lost:?}");
    assert_eq!(sam.conversation.members().await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_place_survives_a_cut_line_and_moves_up_as_others_leave_or_are_answered() {
    let world = World::start().await;
    let ann = office(&world).await;
    let first = seeker(&world, &ann, "first").await;
    let second = seeker(&world, &ann, "second").await;
    let third = seeker(&world, &ann, "third").await;
    is_at(&third, place(2)).await;
    third.network.cut();
    pass(Duration::from_secs(120)).await;
    third.network.mend(&world.relay);
    is_at(&third, place(2)).await;
    second.conversation.leave().await.unwrap();
    ends_as(&second.conversation, Standing::Left).await;
    is_at(&third, place(1)).await;
    let ticket = sees_ticket(&ann).await;
    assert_eq!(ticket.ticket.words, "first");
    let chat = takes(&ann, ticket.id).await;
    chat.until_standing(Standing::In).await;
    first.until_standing(Standing::Waiting).await;
    is_at(&third, place(0)).await;
}

/// The office of a desk that is open today from noon, when everybody's clock begins, until then.
async fn office_until(world: &World, until: &str) -> Person {
    let ann = world.founder("Ann").await;
    let since = wall_clock()().duration_since(UNIX_EPOCH).unwrap();
    let today = u32::try_from(since.as_secs() / 86_400).unwrap();
    let date = DeskDate::of_days(today).unwrap();
    let opening = format!("{date} 12:00-{until}").parse().unwrap();
    let hours = Hours::new("UTC").unwrap().also(opening).unwrap();
    let plan = DeskPlan { hours, ..plan() };
    let organisation = OrganisationKey::random().unwrap();
    let founded = ann.conversation.found_desk(organisation, plan).await;
    founded.unwrap();
    is_ready(&ann).await;
    ann.conversation.duty(true).await.unwrap();
    ann
}

#[tokio::test(start_paused = true)]
async fn the_bell_sends_home_who_waits_and_leaves_alone_who_talks() {
    let world = World::start().await;
    let ann = office_until(&world, "12:20").await;
    let sam = asks(&world, &ann, "first").await;
    let eve = asks(&world, &ann, "second").await;
    let chat = takes(&ann, sees_words(&ann, "first").await.id).await;
    sam.until_standing(Standing::Waiting).await;
    wait(&world, Duration::from_secs(19 * 60)).await;
    assert_eq!(eve.conversation.place().await.unwrap(), Some(place(0)));
    wait(&world, Duration::from_secs(2 * 60)).await;
    let heard = ends_as(&eve.conversation, Standing::Left).await;
    let closed = heard.iter().filter(|event| **event == Event::DeskClosed);
    assert_eq!(closed.count(), 1);
    // The ticket is gone, nobody can answer it, and the chat that was begun goes on.
    wait(&world, Duration::from_secs(2 * 60)).await;
    assert!(ann.conversation.tickets().await.unwrap().is_empty());
    chat.says("We have a little longer.").await;
    assert_eq!(
        sam.hears_texts(2).await,
        ["first", "We have a little longer."]
    );
}

#[tokio::test(start_paused = true)]
async fn a_letter_outlives_the_bell() {
    let world = World::start().await;
    let ann = office_until(&world, "12:20").await;
    let (client, network) = device_at(&world).await;
    let address = ann.conversation.desk_address().await.unwrap().unwrap();
    let visit = client.visit(&address).await.unwrap();
    let letter = client.leave_letter(&visit, asking("for later")).await;
    let sam = Person {
        client,
        network,
        conversation: letter.unwrap(),
    };
    has_asked(&sam).await;
    wait(&world, Duration::from_secs(60 * 60)).await;
    let chat = takes(&ann, sees_words(&ann, "for later").await.id).await;
    sam.until_standing(Standing::Waiting).await;
    assert_eq!(chat.hears().await.text, "for later");
}

/// A device on the same clock as the desk's.
async fn device_at(world: &World) -> (Client, Network) {
    let options = ClientOptions::memory().wall_clock(wall_clock());
    world.device_with(options).await
}

/// Somebody on that clock who asks.
async fn asks(world: &World, office: &Person, words: &str) -> Person {
    let (client, network) = device_at(world).await;
    let address = office.conversation.desk_address().await.unwrap().unwrap();
    let visit = client.visit(&address).await.unwrap();
    let conversation = client.ask(&visit, asking(words)).await.unwrap();
    let person = Person {
        client,
        network,
        conversation,
    };
    has_asked(&person).await;
    person
}

#[tokio::test(start_paused = true)]
async fn who_left_the_queue_is_answered_by_nobody() {
    let world = World::start().await;
    let ann = office(&world).await;
    let sam = seeker(&world, &ann, "never mind").await;
    let ticket = sees_ticket(&ann).await;
    sam.conversation.leave().await.unwrap();
    ends_as(&sam.conversation, Standing::Left).await;
    let chat = takes(&ann, ticket.id).await;
    let heard = ends_as(&chat.conversation, Standing::Left).await;
    assert!(heard.contains(&Event::NotTaken));
}

/// Time passes for people and for the relay.
async fn wait(world: &World, time: Duration) {
    world.relay.clock.advance(time);
    pass(time).await;
}

/// The same device, started again; it has one conversation.
async fn restarted(world: &World, vault: &SharedVault) -> Person {
    let (client, network) = world.device_with(ClientOptions::vault(vault.clone())).await;
    let conversation = client.conversations().pop().expect("a conversation");
    Person {
        client,
        network,
        conversation,
    }
}

/// Somebody who asks on a device whose vault outlives the app.
pub(crate) async fn seeker_on(
    world: &World,
    office: &Person,
    vault: &SharedVault,
    words: &str,
) -> Person {
    let address = office.conversation.desk_address().await.unwrap().unwrap();
    let (client, network) = world.device_with(ClientOptions::vault(vault.clone())).await;
    let visit = client.visit(&address).await.unwrap();
    let conversation = client.ask(&visit, asking(words)).await.unwrap();
    let person = Person {
        client,
        network,
        conversation,
    };
    has_asked(&person).await;
    person
}

#[tokio::test(start_paused = true)]
async fn a_locked_phone_and_an_app_that_was_ended_keep_the_place_and_hear_the_answer() {
    let world = World::start().await;
    let ann = office(&world).await;
    let before = seeker(&world, &ann, "before").await;
    let vault = SharedVault::new(MemoryVault::new());
    let sam = seeker_on(&world, &ann, &vault, "still here").await;
    is_at(&sam, place(1)).await;
    sam.client.close().await;
    wait(&world, Duration::from_secs(20 * 60)).await;
    let sam = restarted(&world, &vault).await;
    is_at(&sam, place(1)).await;
    sam.client.close().await;
    // Answered while nobody looks.
    let ticket = sees_words(&ann, "still here").await;
    let chat = takes(&ann, ticket.id).await;
    chat.until_standing(Standing::In).await;
    chat.says("good that you stayed").await;
    let sam = restarted(&world, &vault).await;
    let mut heard = sam.hears_texts(2).await;
    heard.sort();
    assert_eq!(heard, ["good that you stayed", "still here"]);
    is_at(&before, place(0)).await;
}

/// Ben's app on this disk, and the team's room in it.
async fn opened(world: &World, disk: &Disk, death: Death) -> Option<(Client, Conversation)> {
    let options = ClientOptions::vault(disk.vault(death));
    let options = options.dialer(Arc::new(Network::to(&world.relay)));
    let client = Client::open(options).await.ok()?;
    for conversation in client.conversations() {
        if let Ok(Some(_)) = conversation.desk_address().await {
            return Some((client, conversation));
        }
    }
    None
}

/// What Ben's app does with a ticket, as long as it lives: nothing, if it died on the way.
async fn answers(client: &Client, team: &Conversation, words: &str) -> Option<Conversation> {
    team.duty(true).await.ok()?;
    for _ in 0..20 {
        let tickets = team.tickets().await.ok()?;
        if let Some(one) = tickets.iter().find(|one| one.ticket.words == words) {
            let chat = client.take(team, one.id, "Ben").await.ok()?;
            // One that is dead never gets ready.
            timeout(Duration::from_secs(20), chat.ready())
                .await
                .ok()?
                .ok()?;
            return Some(chat);
        }
        pass(Duration::from_secs(1)).await;
    }
    None
}

/// Ben dies somewhere on the way to an answer; whether he did. Then somebody else answers what he did
/// not, he starts again, and there is one answer.
async fn lives_through(
    world: &World,
    ann: &Person,
    (client, visit): (&Client, &Visit),
    disk: &Disk,
    death: Death,
) -> bool {
    let words = format!("{death:?}");
    let sam = client.ask(visit, asking(&words)).await.unwrap();
    let mut answered = None;
    let running = opened(world, disk, death).await;
    if let Some((ben, team)) = &running {
        answered = answers(ben, team, &words).await;
    }
    let is_in = async || {
        let standing = sam.standing().await.unwrap();
        matches!(standing, Standing::In | Standing::Waiting)
    };
    pass(Duration::from_secs(30)).await;
    let mut hers = None;
    if !is_in().await {
        // The lease of who is dead runs out.
        wait(world, Duration::from_secs(121)).await;
        let ticket = sees_words(ann, &words).await;
        let team = &ann.conversation;
        let chat = ann.client.take(team, ticket.id, "Ann").await.unwrap();
        chat.ready().await.unwrap();
        pass(Duration::from_secs(5)).await;
        hers = Some(chat);
    }
    assert!(is_in().await, "{words}: nobody answered");
    drop(running);
    let (ben, _team) = opened(world, disk, Death::Never).await.expect("a start");
    pass(Duration::from_secs(60)).await;
    let mut chats = 0;
    for chat in ben.conversations() {
        let said = chat.history_before(None, 10).await.unwrap_or_default();
        let is_of_sam = said.iter().any(|one| one.text == words);
        chats += usize::from(is_of_sam);
        let standing = chat.standing().await.unwrap();
        let settled = matches!(standing, Standing::In | Standing::Left);
        assert!(settled, "{words}: a chat is {standing:?}");
    }
    let members = sam.members().await.unwrap();
    let by_ben = members.iter().any(|one| one.name.as_deref() == Some("Ben"));
    assert_eq!((members.len(), chats), (2, usize::from(by_ben)), "{words}");
    ben.close().await;
    if let Some(chat) = hers {
        // She holds no more chats than the desk allows.
        chat.leave().await.unwrap();
    }
    answered.is_none()
}

#[tokio::test(start_paused = true)]
async fn a_supporter_dies_anywhere_and_each_ticket_is_answered_once() {
    let world = World::start().await;
    let ann = office(&world).await;
    let disk = Disk::default();
    let device = ClientOptions::vault(disk.vault(Death::Never));
    let ben = world.joiner_on("Ben", &ann.link().await, device).await;
    is_ready(&ben).await;
    ben.client.close().await;
    let (client, _network) = world.device().await;
    let address = ann.conversation.desk_address().await.unwrap().unwrap();
    let visit = client.visit(&address).await.unwrap();
    for kind in [Death::Before, Death::After] {
        let mut deaths = 0;
        // A fresh device each time: chats of the lives before would have batches of their own.
        while lives_through(
            &world,
            &ann,
            (&client, &visit),
            &disk.copy(),
            kind(deaths + 1),
        )
        .await
        {
            deaths += 1;
            assert!(deaths < 60, "he never lives");
        }
        assert!(deaths >= 6, "only {deaths} batches were tried");
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_wait_as_may_and_the_next_hears_that_it_is_full() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let small = DeskPlan {
        capacity: 3,
        ..plan()
    };
    ann.conversation
        .found_desk(OrganisationKey::random().unwrap(), small)
        .await
        .unwrap();
    is_ready(&ann).await;
    let mut waiting = Vec::new();
    for words in ["one", "two", "three"] {
        waiting.push(seeker(&world, &ann, words).await);
    }
    let address = ann.conversation.desk_address().await.unwrap().unwrap();
    let (client, network) = world.device().await;
    let visit = client.visit(&address).await.unwrap();
    let conversation = client.ask(&visit, asking("four")).await.unwrap();
    let four = Person {
        client,
        network,
        conversation,
    };
    four.until("a full desk", |event| {
        (*event == Event::DeskFull).then_some(())
    })
    .await;
    // It is no error: whoever goes on waiting comes in once there is room.
    waiting.pop().unwrap().conversation.leave().await.unwrap();
    has_asked(&four).await;
    is_at(&four, place(2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_supporter_who_is_gone_claims_nothing_and_older_tickets_are_still_answered() {
    let world = World::start().await;
    let ann = office(&world).await;
    let ben = supporter(&world, &ann, "Ben").await;
    let before = seeker(&world, &ann, "sealed to the old card").await;
    let (client, _network) = world.device().await;
    let address = ann.conversation.desk_address().await.unwrap().unwrap();
    let old = client.visit(&address).await.unwrap();
    let ticket = sees_words(&ben, "sealed to the old card").await;
    // Ben has the keys, and is removed while his device hears nothing of it.
    ben.network.hold(true);
    let leaf = ann.leaf_of("Ben").await;
    ann.conversation.remove(leaf).await.unwrap();
    is_ready(&ann).await;
    let (other, _network) = world.device().await;
    let new = other.visit(&address).await.unwrap();
    assert!(new.card().number() > old.card().number());
    let chat = takes(&ben, ticket.id).await;
    chat.network.hold(false);
    let heard = ends_as(&chat.conversation, Standing::Left).await;
    assert!(heard.contains(&Event::NotTaken));
    let ticket = sees_words(&ann, "sealed to the old card").await;
    takes(&ann, ticket.id)
        .await
        .until_standing(Standing::In)
        .await;
    before.until_standing(Standing::Waiting).await;
    let after = seeker(&world, &ann, "sealed to the new card").await;
    let ticket = sees_words(&ann, "sealed to the new card").await;
    takes(&ann, ticket.id)
        .await
        .until_standing(Standing::In)
        .await;
    after.until_standing(Standing::Waiting).await;
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_answered_while_its_author_is_away() {
    let world = World::start().await;
    let ann = office(&world).await;
    let address = ann.conversation.desk_address().await.unwrap().unwrap();
    let vault = SharedVault::new(MemoryVault::new());
    let (client, network) = world.device_with(ClientOptions::vault(vault.clone())).await;
    let visit = client.visit(&address).await.unwrap();
    let conversation = client
        .leave_letter(&visit, asking("It is three in the morning."))
        .await
        .unwrap();
    let sam = Person {
        client,
        network,
        conversation,
    };
    has_asked(&sam).await;
    // A letter stands before nobody who waits now.
    let waiting = seeker(&world, &ann, "now").await;
    is_at(&waiting, place(0)).await;
    sam.client.close().await;
    let letter = sees_words(&ann, "It is three in the morning.").await;
    assert!(letter.id.is_letter);
    let chat = takes(&ann, letter.id).await;
    chat.until_standing(Standing::In).await;
    chat.says("Good morning. I read your letter.").await;
    let sam = restarted(&world, &vault).await;
    let mut heard = sam.hears_texts(2).await;
    heard.sort();
    assert_eq!(
        heard,
        [
            "Good morning. I read your letter.",
            "It is three in the morning."
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn who_leaves_as_they_are_answered_is_seen_to_leave() {
    let world = World::start().await;
    let ann = office(&world).await;
    let sam = seeker(&world, &ann, "I should not have").await;
    let ticket = sees_ticket(&ann).await;
    sam.network.hold(true);
    let chat = takes(&ann, ticket.id).await;
    chat.until_standing(Standing::In).await;
    sam.conversation.leave().await.unwrap();
    sam.network.hold(false);
    ends_as(&sam.conversation, Standing::Left).await;
    chat.until("that they left", |event| match event {
        Event::Leaving { .. } | Event::Left { .. } => Some(()),
        _ => None,
    })
    .await;
    // What they had written goes with them.
    let said = chat.conversation.history_before(None, 10).await.unwrap();
    assert!(said.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_any_relay_heard_of_them_is_gone_at_once() {
    let world = World::start().await;
    let ann = office(&world).await;
    let address = ann.conversation.desk_address().await.unwrap().unwrap();
    let (client, network) = world.device().await;
    let visit = client.visit(&address).await.unwrap();
    network.cut();
    let conversation = client.ask(&visit, asking("no line")).await.unwrap();
    conversation.leave().await.unwrap();
    ends_as(&conversation, Standing::Left).await;
    assert!(ann.conversation.tickets().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_supporter_has_as_many_chats_as_the_desk_allows_and_the_next_when_one_has_ended() {
    let world = World::start().await;
    let ann = office(&world).await;
    let mut chats = Vec::new();
    // The answer to a letter waits for its author, and holds nobody up.
    let (client, _network) = world.device().await;
    let address = ann.conversation.desk_address().await.unwrap().unwrap();
    let visit = client.visit(&address).await.unwrap();
    client.leave_letter(&visit, asking("later")).await.unwrap();
    let letter = sees_words(&ann, "later").await;
    client.close().await;
    takes(&ann, letter.id)
        .await
        .until_standing(Standing::In)
        .await;
    for words in ["one", "two"] {
        let seeker = seeker(&world, &ann, words).await;
        let chat = takes(&ann, sees_words(&ann, words).await.id).await;
        seeker.until_standing(Standing::Waiting).await;
        chats.push((chat, seeker));
    }
    let third = seeker(&world, &ann, "three").await;
    let ticket = sees_words(&ann, "three").await;
    let team = &ann.conversation;
    let refused = ann.client.take(team, ticket.id, "Ann").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed);
    // Nothing was claimed by it.
    assert!(!third.conversation.place().await.unwrap().unwrap().is_taken);
    let (chat, _gone) = chats.remove(0);
    chat.conversation.leave().await.unwrap();
    ends_as(&chat.conversation, Standing::Left).await;
    let chat = takes(&ann, ticket.id).await;
    third.until_standing(Standing::Waiting).await;
    chat.until_standing(Standing::In).await;
}
