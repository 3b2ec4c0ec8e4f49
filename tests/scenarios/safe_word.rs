//! A safe word: who comes back with return words and cannot give it is shown as unverified to the
//! supporter, and to nobody else.

use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::{
    Admission, ClientOptions, Command, Event, LeafId, ReturnWords, RoomOptions, SAFE_TRIES_MAX,
    SafeWord, Safety, Standing,
};
use sotto_protocol::size_class::SizeClass;
use sotto_tests::world::{Person, World, pass};

use crate::coming_back::{backs_up, founder_with_door, let_in};
use crate::exit::{hears_away, in_a_chat, words_of};

fn word(text: &str) -> SafeWord {
    text.parse().unwrap()
}

async fn hears_safety(person: &Person, wanted: Safety) -> LeafId {
    person
        .until(&format!("{wanted:?}"), |event| match event {
            Event::Safety { leaf, safety } if *safety == wanted => Some(*leaf),
            _ => None,
        })
        .await
}

/// Somebody with the words on an empty device, in the one conversation that they lead to.
async fn comes_back(world: &World, words: &ReturnWords, safe: Option<&SafeWord>) -> Person {
    let (client, network) = world.device().await;
    network.listen_in();
    let relay = world.address();
    let come_back = client.come_back_with(words, safe, &relay);
    let mut conversations = come_back.await.unwrap();
    let conversation = conversations.remove(0);
    let person = Person {
        client,
        network,
        conversation,
    };
    person.until_standing(Standing::Waiting).await;
    person
}

/// Sam and Ben in a chat at a desk, with a safe word and return words; Sam's device is gone.
async fn agreed(world: &World) -> (Person, ReturnWords, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (sam, ben) = in_a_chat(world, &folder.path().join("vault")).await;
    let (ben, words) = agree(world, sam, ben).await;
    (ben, words, folder)
}

/// Ben and Sam in a chat that no desk's door is beside, so that all that passes is the chat's.
async fn in_a_plain_chat(world: &World) -> (Person, Person) {
    let options = RoomOptions {
        admission: Admission::Chat,
        floor: SizeClass::K4,
        ..world.room("Ben")
    };
    let ben = world.founder_of(options, ClientOptions::memory()).await;
    let sam = world.joiner("Sam", &ben.link().await).await;
    (sam, ben)
}

async fn agree(world: &World, sam: Person, ben: Person) -> (Person, ReturnWords) {
    let words = words_of(&sam, world).await;
    sam.conversation
        .agree_safe_word(&word("Blue teapot"))
        .await
        .unwrap();
    hears_safety(&ben, Safety::Agreed).await;
    let of_oneself = sam.conversation.members().await.unwrap();
    assert!(of_oneself.iter().all(|member| member.safety.is_none()));
    sam.client.quick_exit().await.unwrap();
    hears_away(&ben).await;
    (ben, words)
}

async fn safety_of(person: &Person) -> Vec<Safety> {
    let members = person.conversation.members().await.unwrap();
    members.iter().filter_map(|member| member.safety).collect()
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_with_the_safe_word_is_known_again() {
    let world = World::start().await;
    let (ben, words, _folder) = agreed(&world).await;
    let sam = comes_back(&world, &words, Some(&word(" blue  TEAPOT "))).await;
    hears_safety(&ben, Safety::Unverified { wrong: 0 }).await;
    hears_safety(&ben, Safety::Verified).await;
    sam.says("it is me").await;
    assert_eq!(ben.hears_texts(1).await, ["it is me"]);
    assert_eq!(safety_of(&ben).await, [Safety::Verified]);
    assert_eq!(safety_of(&sam).await, []);
}

#[tokio::test(start_paused = true)]
async fn who_has_only_the_words_stays_unverified_and_three_tries_are_all() {
    let world = World::start().await;
    let (ben, words, _folder) = agreed(&world).await;
    let eve = comes_back(&world, &words, None).await;
    hears_safety(&ben, Safety::Unverified { wrong: 0 }).await;
    eve.says("it is me, what did I tell you?").await;
    ben.hears().await;
    assert_eq!(safety_of(&ben).await, [Safety::Unverified { wrong: 0 }]);
    // Ben says nothing to them by which a guess could be tried, if both agreed on one word.
    let refused = ben.conversation.agree_safe_word(&word("blue teapot")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    // To say a word of one's own helps nobody who is unverified.
    let own = word("open sesame");
    eve.conversation.agree_safe_word(&own).await.unwrap();
    eve.conversation.give_safe_word(&own).await.unwrap();
    hears_safety(&ben, Safety::Unverified { wrong: 1 }).await;
    let guess = async |text: &str| eve.conversation.give_safe_word(&word(text)).await.unwrap();
    guess("teapot").await;
    hears_safety(&ben, Safety::Unverified { wrong: 2 }).await;
    // Coming back once more brings no further tries.
    eve.client.close().await;
    let eve = comes_back(&world, &words, Some(&word("green teapot"))).await;
    let leaf = hears_safety(
        &ben,
        Safety::Unverified {
            wrong: SAFE_TRIES_MAX,
        },
    )
    .await;
    let right = word("blue teapot");
    eve.conversation.give_safe_word(&right).await.unwrap();
    eve.says("and now?").await;
    assert_eq!(ben.hears_texts(1).await, ["and now?"]);
    let locked = Safety::Unverified {
        wrong: SAFE_TRIES_MAX,
    };
    assert_eq!(safety_of(&ben).await, [locked]);
    // Nothing of it reached the one who guesses.
    while let Ok(Some(event)) =
        tokio::time::timeout(Duration::from_secs(60), eve.conversation.next_event()).await
    {
        assert!(!matches!(event, Event::Safety { .. }), "{event:?}");
    }
    assert_eq!(safety_of(&eve).await, []);
    // Ben may look again, for reasons of his own.
    ben.conversation.allow_safe_word(leaf).await.unwrap();
    hears_safety(&ben, Safety::Unverified { wrong: 0 }).await;
    eve.conversation.give_safe_word(&right).await.unwrap();
    hears_safety(&ben, Safety::Verified).await;
}

/// Ann keeps a door, and Ben agreed with her on a safe word; his words are older than what follows.
async fn behind_a_door(world: &World) -> (Person, Person, ReturnWords) {
    let ann = founder_with_door(world, "Ann").await;
    let ben = let_in(world, &ann, "Ben").await;
    let words = backs_up(&ben, world).await;
    let blue = word("blue teapot");
    ben.conversation.agree_safe_word(&blue).await.unwrap();
    hears_safety(&ann, Safety::Agreed).await;
    (ann, ben, words)
}

/// Somebody with the words, who has to knock and is let in.
async fn knocks_again(
    world: &World,
    ann: &Person,
    (words, safe): (&ReturnWords, Option<&SafeWord>),
) -> (Person, LeafId) {
    let (client, network) = world.device().await;
    let relay = world.address();
    let come_back = client.come_back_with(words, safe, &relay);
    let conversation = come_back.await.unwrap().remove(0);
    let person = Person {
        client,
        network,
        conversation,
    };
    let leaf = ann
        .until("a knock of who was here", |event| match event {
            Event::Knock { leaf, was, .. } => {
                assert!(was.is_some());
                Some(*leaf)
            }
            _ => None,
        })
        .await;
    ann.conversation.admit(leaf).await.unwrap();
    person.until_standing(Standing::In).await;
    (person, leaf)
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_by_a_knock_has_to_give_it_all_the_same() {
    let world = World::start().await;
    let (ann, ben, words) = behind_a_door(&world).await;
    ben.client.close().await;
    // A rotation that Ben's backup does not know.
    ann.conversation.command(Command::Rotate).await.unwrap();
    ann.until("a rotation", |event| {
        (*event == Event::Rotated).then_some(())
    })
    .await;
    let (back, leaf) = knocks_again(&world, &ann, (&words, Some(&word("blue teapot")))).await;
    let marked = hears_safety(&ann, Safety::Unverified { wrong: 0 }).await;
    assert_eq!(marked, leaf);
    assert_eq!(hears_safety(&ann, Safety::Verified).await, leaf);
    back.says("it is me").await;
    assert_eq!(ann.hears_texts(1).await, ["it is me"]);
}

#[tokio::test(start_paused = true)]
async fn to_be_gone_for_a_while_makes_nobody_forget_that_it_has_to_be_given() {
    let world = World::start().await;
    let (ann, ben, words) = behind_a_door(&world).await;
    ben.client.close().await;
    let whom = ann.leaf_of("Ben").await;
    ann.conversation.remove(whom).await.unwrap();
    let removed = |event: &Event| matches!(event, Event::Rotated).then_some(());
    ann.until("the rotation after it", removed).await;
    assert_eq!(safety_of(&ann).await, []);
    let (_eve, leaf) = knocks_again(&world, &ann, (&words, Some(&word("a guess")))).await;
    assert_eq!(
        hears_safety(&ann, Safety::Unverified { wrong: 1 }).await,
        leaf
    );
    // Out and in once more: what was wrong stays wrong, and by the first leaf there is nothing to gain.
    ann.conversation.remove(leaf).await.unwrap();
    ann.until("the rotation after it", removed).await;
    let (_eve, leaf) = knocks_again(&world, &ann, (&words, Some(&word("blue teapot")))).await;
    let locked = Safety::Unverified {
        wrong: SAFE_TRIES_MAX,
    };
    assert_eq!(hears_safety(&ann, locked).await, leaf);
    pass(Duration::from_secs(5)).await;
    assert_eq!(safety_of(&ann).await, [locked]);
}

#[tokio::test(start_paused = true)]
async fn who_is_new_here_learns_what_was_agreed_and_who_comes_back_does_not() {
    let world = World::start().await;
    let (ann, ben, words) = behind_a_door(&world).await;
    let own = word("green kettle");
    ann.conversation.agree_safe_word(&own).await.unwrap();
    hears_safety(&ben, Safety::Agreed).await;
    let cay = let_in(&world, &ann, "Cay").await;
    hears_safety(&cay, Safety::Agreed).await;
    hears_safety(&cay, Safety::Agreed).await;
    ben.client.backed_up().await.unwrap();
    ben.client.close().await;
    let back = comes_back(&world, &words, Some(&word("blue teapot"))).await;
    hears_safety(&ann, Safety::Verified).await;
    hears_safety(&cay, Safety::Verified).await;
    pass(Duration::from_secs(60)).await;
    assert_eq!(safety_of(&back).await, []);
}

/// What is said in a conversation is no smaller; what is smaller asks the relay for something.
const SPOKEN_BYTES_MIN: usize = 4_096;

/// What one connection carried, by sizes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wire {
    /// All that the device said to the others, in its order.
    spoken: Vec<usize>,
    /// All that it said, and all that it heard. The relay answers and hands on in any order, and what the
    /// device asks next follows the answer that came first.
    said: Vec<usize>,
    heard: Vec<usize>,
}

/// What a device says and hears from its first message on, until all is quiet. Connections of their own
/// begin in any order.
async fn wire_of(person: &Person) -> Vec<Wire> {
    pass(Duration::from_secs(5)).await;
    let sizes = person.network.sizes().into_iter();
    let wires = sizes.map(|[mut said, mut heard]| {
        let spoken = said.iter().copied();
        let spoken = spoken.filter(|size| *size >= SPOKEN_BYTES_MIN).collect();
        said.sort_unstable();
        heard.sort_unstable();
        Wire {
            spoken,
            said,
            heard,
        }
    });
    let mut wires: Vec<_> = wires.collect();
    wires.sort_unstable();
    wires
}

#[tokio::test(start_paused = true)]
async fn with_a_right_a_wrong_and_no_safe_word_the_wire_is_the_same() {
    let world = World::start().await;
    let mut wires = Vec::new();
    for given in [Some("blue teapot"), Some("no idea"), None] {
        let (sam, ben) = in_a_plain_chat(&world).await;
        let (ben, words) = agree(&world, sam, ben).await;
        let given = given.map(word);
        let sam = comes_back(&world, &words, given.as_ref()).await;
        wires.push(wire_of(&sam).await);
        ben.client.close().await;
    }
    let said = wires[0].iter().map(|wire| wire.said.len());
    assert!(said.sum::<usize>() > 5);
    assert_eq!(wires[0], wires[1]);
    assert_eq!(wires[0], wires[2]);
}

#[tokio::test(start_paused = true)]
async fn where_none_was_agreed_the_same_is_said_and_nobody_is_marked() {
    let world = World::start().await;
    let (sam, ben) = in_a_plain_chat(&world).await;
    let words = words_of(&sam, &world).await;
    sam.client.quick_exit().await.unwrap();
    hears_away(&ben).await;
    let sam = comes_back(&world, &words, None).await;
    let without = wire_of(&sam).await;
    assert_eq!(safety_of(&ben).await, []);
    let (sam, ben) = in_a_plain_chat(&world).await;
    let (_ben, words) = agree(&world, sam, ben).await;
    let sam = comes_back(&world, &words, None).await;
    assert_eq!(wire_of(&sam).await, without);
}
