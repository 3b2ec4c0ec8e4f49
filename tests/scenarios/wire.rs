//! What who watches a seeker's line sees of a desk: that asking, a letter, the first words and every
//! other message go as frames of one length, one each.

use std::time::Duration;

use sotto_client::{Again, Client, Event, Helped, Rating, Suite, Visit};
use sotto_tests::world::{Network, Person, World, pass};

use super::desk::{asking, has_asked, office, sees_ticket, supporter, takes};

/// Nothing that asks the relay for something is so long, and nothing that says something is shorter.
const SAYING_BYTES_MIN: usize = 1_024;

/// What somebody did, and the lengths of the frames that said something to others meanwhile.
type Act = (&'static str, Vec<usize>);

/// Does this, and listens in.
async fn act<T>(name: &'static str, network: &Network, does: impl Future<Output = T>) -> (Act, T) {
    let before = network.said().len();
    let done = does.await;
    // Receipts, renewals and whatever else follows it.
    pass(Duration::from_secs(5)).await;
    let said = network.said().into_iter().skip(before);
    let frames = said.filter(|length| *length >= SAYING_BYTES_MIN);
    ((name, frames.collect()), done)
}

/// The one length of all of these, each of which is one frame.
fn one_length(acts: &[Act]) -> Result<usize, String> {
    let mut one = None;
    for (name, frames) in acts {
        let [length] = frames.as_slice() else {
            return Err(format!("{name} went as {frames:?}"));
        };
        if *one.get_or_insert(*length) != *length {
            return Err(format!("{name} is {length} long, what went before {one:?}"));
        }
    }
    one.ok_or_else(|| "nothing was said".into())
}

/// A device that is listened to from its first frame on, and the desk as it sees it.
async fn watched(world: &World, office: &Person) -> (Client, Network, Visit) {
    let address = office.conversation.desk_address().await.unwrap().unwrap();
    let (client, network) = world.device().await;
    network.listen_in();
    let visit = client.visit(&address).await.unwrap();
    (client, network, visit)
}

/// Says this, and the other hears it.
async fn says(name: &'static str, (from, to): (&Person, &Person), words: &str) -> Act {
    let said = async {
        from.says(words).await;
        assert_eq!(to.hears().await.text, words);
    };
    act(name, &from.network, said).await.0
}

/// Asks, is answered, and talks.
async fn a_chat(world: &World, ann: &Person) -> Vec<Act> {
    let ben = supporter(world, ann, "Ben").await;
    let (client, network, visit) = watched(world, ann).await;
    let (asked, sam) = act("ask", &network, async {
        let options = asking("I do not know how to begin.");
        let sam = Person {
            conversation: client.ask(&visit, options).await.unwrap(),
            client: client.clone(),
            network: network.clone(),
        };
        has_asked(&sam).await;
        sam
    })
    .await;
    let ticket = sees_ticket(&ben).await;
    let (mut first, chat) = act("first words", &network, async {
        let chat = takes(&ben, ticket.id).await;
        assert_eq!(chat.hears().await.text, "I do not know how to begin.");
        chat
    })
    .await;
    // Who comes in renews their own keys: a Commit, which is no message and longer than all. SECURITY.md.
    let commits = first.1.extract_if(.., |length| *length > 10_000).count();
    assert_eq!(commits, 1, "{first:?}");
    let long = "and then ".repeat(100);
    vec![
        asked,
        first,
        says("a short message", (&sam, &chat), "ok").await,
        says("a long message", (&sam, &chat), &long).await,
    ]
}

/// What is said in a room, which has no floor.
async fn in_a_room(world: &World) -> Act {
    let sam = world.founder("Sam").await;
    let ben = world.joiner("Ben", &sam.link().await).await;
    sam.until("Ben", |event| {
        matches!(event, Event::Joined { .. }).then_some(())
    })
    .await;
    pass(Duration::from_secs(5)).await;
    sam.network.listen_in();
    says("in a room", (&sam, &ben), "ok").await
}

#[tokio::test(start_paused = true)]
async fn whatever_is_said_at_a_desk_goes_as_one_frame_of_one_length() {
    let world = World {
        suite: Suite::Hybrid,
        ..World::start().await
    };
    let ann = office(&world).await;
    let mut acts = a_chat(&world, &ann).await;
    let (client, network, visit) = watched(&world, &ann).await;
    let letter = async {
        let options = asking("It is three in the morning.");
        let conversation = client.leave_letter(&visit, options).await.unwrap();
        let sam = Person {
            conversation,
            client: client.clone(),
            network: network.clone(),
        };
        has_asked(&sam).await;
    };
    acts.push(act("letter", &network, letter).await.0);
    let (client, network, visit) = watched(&world, &ann).await;
    let rating = async {
        let rating = Rating {
            again: Again::Maybe,
            early: false,
            helped: Helped::Yes,
        };
        assert!(client.rate(&visit, rating).await.unwrap().gone().await);
    };
    acts.push(act("rating", &network, rating).await.0);
    let length = one_length(&acts).unwrap();
    assert!(length > 2 * 4_096, "{length}");
    // It is the floor of the desk that does it.
    acts.push(in_a_room(&world).await);
    let told = one_length(&acts).unwrap_err();
    assert!(told.starts_with("in a room is"), "{told}");
}
