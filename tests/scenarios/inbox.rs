//! Being added to a conversation while away, from an inbox.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sotto_client::vault::{MemoryVault, SharedVault};
use sotto_client::{
    Client, ClientOptions, Event, Inbox, InboxLink, InboxOptions, Invitation, JoinOptions,
    Standing, Suite,
};
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Refusal, Take, Verb};
use sotto_protocol::id::LogId;
use sotto_tests::peer::{self, Peer};
use sotto_tests::world::{Network, Person, World, pass};
use tokio::io::DuplexStream;
use x25519_dalek::StaticSecret;

/// Somebody with an inbox, on a device whose vault outlives the client.
struct Owner {
    client: Client,
    network: Network,
    inbox: Inbox,
}

impl Owner {
    async fn new(world: &World, vault: &SharedVault) -> Self {
        let network = Network::to(&world.relay);
        let options = ClientOptions::vault(vault.clone()).dialer(Arc::new(network.clone()));
        let client = Client::open(options).await.unwrap();
        let inbox = match client.inboxes().pop() {
            Some(inbox) => inbox,
            None => {
                let options = InboxOptions {
                    suite: world.suite,
                    ..InboxOptions::new(world.address())
                };
                client.open_inbox(options).await.unwrap()
            }
        };
        Self {
            client,
            network,
            inbox,
        }
    }

    async fn link(&self) -> InboxLink {
        self.inbox.link().await.unwrap().unwrap()
    }

    async fn until<T>(&self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let patience = Duration::from_secs(600);
        let wait = async {
            loop {
                let event = self.inbox.next_event().await.expect("an inbox that runs");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(patience, wait).await;
        found.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    async fn is_invited(&self) -> Invitation {
        self.until("an invitation", |event| match event {
            Event::Invited(invitation) => Some(*invitation),
            _ => None,
        })
        .await
    }

    async fn accepts(&self, name: &str, invitation: Invitation) -> Person {
        let options = JoinOptions { name: name.into() };
        let accepted = self.client.accept(&self.inbox, invitation.id, &options);
        Person {
            client: self.client.clone(),
            network: self.network.clone(),
            conversation: accepted.await.unwrap(),
        }
    }
}

/// The address of an inbox whose owner opened it and went away.
async fn link_left_behind(world: &World, vault: &SharedVault) -> InboxLink {
    let owner = Owner::new(world, vault).await;
    owner.inbox.ready().await.unwrap();
    let link = owner.link().await;
    owner.client.close().await;
    link
}

fn vault() -> SharedVault {
    SharedVault::new(MemoryVault::new())
}

/// Somebody whom `by` added is in.
async fn is_added(by: &Person) {
    by.until("an arrival", |event| match event {
        Event::Joined { by: Some(_), .. } => Some(()),
        _ => None,
    })
    .await;
}

/// What the owner did has reached the relay.
async fn is_ready() {
    pass(Duration::from_secs(10)).await;
}

/// A field of 32 bytes in an address.
fn field(link: &InboxLink, name: &str) -> [u8; 32] {
    let text = link.to_string();
    let body = text.rsplit(':').next().unwrap();
    let body = URL_SAFE_NO_PAD.decode(body).unwrap();
    let head = 0x60 + u8::try_from(name.len()).unwrap();
    let mark = [&[head], name.as_bytes(), &[0x58, 0x20]].concat();
    let at = body.windows(mark.len()).position(|some| some == mark);
    let value = &body[at.unwrap() + mark.len()..];
    value[..32].try_into().unwrap()
}

async fn is_added_while_away(suite: Suite) {
    let world = World {
        suite,
        ..World::start().await
    };
    let disk = vault();
    let link = link_left_behind(&world, &disk).await;
    let link: InboxLink = link.to_string().parse().unwrap();
    let ann = world.founder("Ann").await;
    ann.says("before Ben").await;
    ann.conversation.add(&link).await.unwrap();
    is_added(&ann).await;
    ann.says("welcome").await;
    let ben = Owner::new(&world, &disk).await;
    let invitation = ben.is_invited().await;
    assert_eq!(ben.client.conversations().len(), 0, "nobody asked them yet");
    let ben_in = ben.accepts("Ben", invitation).await;
    ben_in.until_standing(Standing::In).await;
    assert_eq!(
        ben_in.hears_texts(1).await,
        ["welcome"],
        "and nothing before"
    );
    ben_in.says("hello").await;
    assert_eq!(ann.hears_texts(2).await, ["welcome", "hello"]);
    assert_eq!(ben.inbox.invitations().await.unwrap(), []);
    assert_eq!(ann.names().await, ["Ann", "Ben"]);
    // What was accepted is there after a restart, and the inbox goes on.
    ben.client.close().await;
    let ben = Owner::new(&world, &disk).await;
    assert_eq!(ben.client.conversations().len(), 1);
    assert_eq!(ben.inbox.invitations().await.unwrap(), []);
    assert_eq!(ben.link().await, link);
}

#[tokio::test(start_paused = true)]
async fn somebody_is_added_from_an_inbox_while_away() {
    is_added_while_away(Suite::Classic).await;
}

#[tokio::test(start_paused = true)]
async fn somebody_is_added_from_an_inbox_with_the_hybrid_suite() {
    is_added_while_away(Suite::Hybrid).await;
}

#[tokio::test(start_paused = true)]
async fn an_invitation_that_is_declined_is_forgotten_here_and_at_the_relay() {
    let world = World::start().await;
    let disk = vault();
    let ben = Owner::new(&world, &disk).await;
    is_ready().await;
    let ann = world.founder("Ann").await;
    ann.conversation.add(&ben.link().await).await.unwrap();
    let invitation = ben.is_invited().await;
    ben.inbox.decline(invitation.id).await.unwrap();
    assert!(ben.inbox.decline(invitation.id).await.is_err());
    ben.client.close().await;
    let ben = Owner::new(&world, &disk).await;
    is_ready().await;
    assert_eq!(ben.inbox.invitations().await.unwrap(), []);
    let options = JoinOptions { name: "Ben".into() };
    let late = ben.client.accept(&ben.inbox, invitation.id, &options);
    assert!(late.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_empty_pool_is_no_obstacle_and_a_last_resort_key_package_used_twice_opens_both() {
    let world = World::start().await;
    let disk = vault();
    let link = link_left_behind(&world, &disk).await;
    // Whoever has the address takes what is there; the last one stays.
    let rooms = 18;
    let mut founders = Vec::new();
    for number in 0..rooms {
        let ann = world.founder(&format!("Ann {number}")).await;
        ann.conversation.add(&link).await.unwrap();
        is_added(&ann).await;
        founders.push(ann);
    }
    let ben = Owner::new(&world, &disk).await;
    for ann in &founders {
        let invitation = ben.is_invited().await;
        let here = ben.accepts("Ben", invitation).await;
        here.until_standing(Standing::In).await;
        here.says("hello").await;
        assert_eq!(ann.hears_texts(1).await, ["hello"]);
    }
    // The pool is full again, and the last resort another one.
    is_ready().await;
    let ann = world.founder("Ann").await;
    ann.conversation.add(&link).await.unwrap();
    let invitation = ben.is_invited().await;
    ben.accepts("Ben", invitation)
        .await
        .until_standing(Standing::In)
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_inbox_that_was_given_up_is_gone_and_who_adds_from_it_hears_so() {
    let world = World::start().await;
    let disk = vault();
    let ben = Owner::new(&world, &disk).await;
    let link = ben.link().await;
    is_ready().await;
    ben.inbox.give_up().await.unwrap();
    while ben.inbox.next_event().await.is_some() {}
    assert!(disk.with(|vault| vault.residue()).unwrap().is_empty());
    let ann = world.founder("Ann").await;
    ann.conversation.add(&link).await.unwrap();
    ann.until("that nobody is added", |event| {
        (*event == Event::NotAdded).then_some(())
    })
    .await;
    assert_eq!(ann.names().await, ["Ann"]);
}

async fn takes(by: &mut Peer<DuplexStream>, pool: LogId) -> Result<bool, Refusal> {
    let take = Take {
        day: by.day(),
        log: pool,
        retry: peer::retry(),
    };
    match by.call(Verb::Take(take)).await? {
        Answer::Taken(taken) => Ok(taken.last_resort),
        other => panic!("not the answer to a take: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_cannot_drain_the_pool_of_an_inbox_and_who_has_its_address_leaves_the_last_one() {
    let world = World::start().await;
    let ben = Owner::new(&world, &vault()).await;
    let link = ben.link().await;
    is_ready().await;
    ben.client.close().await;
    let pool = LogId::new(field(&link, "pool"));
    let inbox = LogId::new(field(&link, "inbox"));
    let take = StaticSecret::from(field(&link, "take"));
    let append = StaticSecret::from(field(&link, "append"));
    // Who knows which logs they are, and has no key of the address.
    let mut stranger = world.relay.peer().await;
    for log in [pool, inbox] {
        let opened = stranger.open_log(&log, &peer::secret()).await;
        assert_eq!(opened.unwrap_err().code, ErrorCode::Refused);
    }
    let taken = takes(&mut stranger, pool).await;
    assert_eq!(taken.unwrap_err().code, ErrorCode::Refused);
    let said = stranger.say(&inbox, "noise").await;
    assert_eq!(said.unwrap_err().code, ErrorCode::Refused);
    // Who has the address can neither read nor fill what they can take from.
    let mut spoiler = world.relay.peer().await;
    spoiler.open_log(&pool, &take).await.unwrap();
    spoiler.open_log(&inbox, &append).await.unwrap();
    for log in [pool, inbox] {
        let read = spoiler.read(&log, 0).await;
        assert_eq!(read.unwrap_err().code, ErrorCode::Refused);
    }
    let said = spoiler.say(&pool, "a false one").await;
    assert_eq!(said.unwrap_err().code, ErrorCode::Refused);
    for number in 0..30 {
        let is_last = takes(&mut spoiler, pool).await.unwrap();
        assert_eq!(is_last, number >= 16, "{number}");
    }
    let taken = takes(&mut spoiler, pool).await;
    assert_eq!(taken.unwrap_err().code, ErrorCode::Busy);
    // Whoever comes then waits a minute, and is not turned away.
    let ann = world.founder("Ann").await;
    ann.conversation.add(&link).await.unwrap();
    is_ready().await;
    assert_eq!(ann.names().await, ["Ann"]);
    world.relay.clock.advance(Duration::from_secs(61));
    is_added(&ann).await;
}

#[tokio::test(start_paused = true)]
async fn more_invitations_than_wait_come_in_once_some_are_decided() {
    let world = World::start().await;
    let disk = vault();
    let link = link_left_behind(&world, &disk).await;
    for number in 0..34 {
        let ann = world.founder(&format!("Ann {number}")).await;
        ann.conversation.add(&link).await.unwrap();
        is_added(&ann).await;
        ann.client.close().await;
        world.relay.clock.advance(Duration::from_secs(10));
    }
    let ben = Owner::new(&world, &disk).await;
    is_ready().await;
    let waiting = ben.inbox.invitations().await.unwrap();
    assert_eq!(waiting.len(), 32);
    for invitation in &waiting[..2] {
        ben.inbox.decline(invitation.id).await.unwrap();
    }
    is_ready().await;
    let now = ben.inbox.invitations().await.unwrap();
    assert_eq!(now.len(), 32);
    assert_eq!(now[..30], waiting[2..], "the oldest first");
}

#[tokio::test(start_paused = true)]
async fn a_flooded_inbox_lets_a_real_invitation_in_behind_the_flood() {
    let world = World::start().await;
    let disk = vault();
    let link = link_left_behind(&world, &disk).await;
    let inbox = LogId::new(field(&link, "inbox"));
    let append = StaticSecret::from(field(&link, "append"));
    let mut spoiler = world.relay.peer().await;
    spoiler.open_log(&inbox, &append).await.unwrap();
    let mut said = 0;
    while spoiler.say(&inbox, "noise").await.is_ok() {
        said += 1;
    }
    assert_eq!(said, 30, "no more in a minute");
    let ann = world.founder("Ann").await;
    ann.conversation.add(&link).await.unwrap();
    is_ready().await;
    ann.says("meanwhile").await;
    assert_eq!(
        ann.hears_texts(1).await,
        ["meanwhile"],
        "nothing waits for it"
    );
    assert_eq!(ann.names().await, ["Ann"]);
    world.relay.clock.advance(Duration::from_secs(61));
    is_added(&ann).await;
    let ben = Owner::new(&world, &disk).await;
    let mut junk = 0;
    ben.until("an invitation", |event| match event {
        Event::Junk { count } => {
            junk = *count;
            None
        }
        Event::Invited(_) => Some(()),
        _ => None,
    })
    .await;
    assert_eq!(junk, 30);
}
