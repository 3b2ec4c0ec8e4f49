//! Attachments: they arrive whole or not at all, whatever becomes of lines, relays and apps.

use std::sync::Arc;
use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::vault::{MemoryVault, SharedVault};
use sotto_client::{
    Attachment, ClientOptions, Conversation, Event, JoinOptions, MessageId, NewAttachment, Transfer,
};
use sotto_server::identity::Identity;
use sotto_server::retention::Keys;
use sotto_server::store::MemoryStore;
use sotto_tests::device::{Death, Start, Survivor, until_members, until_texts};
use sotto_tests::relay::TestRelay;
use sotto_tests::world::{Person, World, pass};
use tokio::io::AsyncReadExt;

/// Content of one chunk.
const CHUNK: usize = 65_496;

async fn two_people(world: &World) -> (Person, Person) {
    let ann = world.founder("Ann").await;
    let ben = world.joiner("Ben", &ann.link().await).await;
    (ann, ben)
}

/// Bytes that are nowhere the same.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn voice_note() -> NewAttachment {
    NewAttachment::new("voice note.ogg", "audio/ogg")
}

async fn attaches(person: &Person, bytes: &[u8]) -> MessageId {
    let attached = person.conversation.attach(voice_note(), bytes).await;
    attached.expect("taken in")
}

async fn fetched(conversation: &Conversation, id: MessageId) -> Vec<u8> {
    let mut got = Vec::new();
    let count = conversation.fetch(id, &mut got).await.expect("fetched");
    assert_eq!(count, got.len() as u64);
    got
}

#[tokio::test(start_paused = true)]
async fn an_attachment_of_any_length_arrives_as_it_was_sent() {
    let world = World::start().await;
    let (ann, ben) = two_people(&world).await;
    for length in [
        0,
        1,
        984,
        985,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        4 * CHUNK,
        4 * CHUNK + 1,
        5 << 20,
    ] {
        let bytes = noise(length);
        let id = attaches(&ann, &bytes).await;
        let heard = ben.hears().await;
        assert_eq!((heard.id, heard.text.as_str()), (id, ""));
        let expected = Attachment {
            name: "voice note.ogg".into(),
            media_type: "audio/ogg".into(),
            bytes: length as u64,
            is_here: false,
        };
        assert_eq!(heard.attachment, Some(expected));
        assert!(fetched(&ben.conversation, id).await == bytes, "{length}");
    }
}

/// Waits until so much of what this person sends or fetches is through, and not all of it.
async fn until_midway(person: &Person) {
    person
        .until("the middle of a transfer", |event| match event {
            Event::Attachment {
                transfer: Transfer::Sending { done, of } | Transfer::Fetching { done, of },
                ..
            } => (*done > of / 4 && *done < *of).then_some(()),
            _ => None,
        })
        .await;
}

/// Values in a vault but for the session's own, which come and go.
fn rows(vault: &SharedVault) -> usize {
    vault.with(|vault| {
        let spaces = vault.spaces().unwrap();
        let rows = spaces
            .into_iter()
            .flat_map(|space| vault.load(space).unwrap());
        rows.filter(|(name, _)| name.starts_with(b"~") || name.starts_with(b"up/"))
            .count()
    })
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_an_attachment_is_refused() {
    let world = World::start().await;
    let ann = world.founder("Ann").await;
    let logs = world.relay.logs.count();
    for (name, media_type) in [
        ("../../.bashrc", "text/plain"),
        ("", "text/plain"),
        ("a", ""),
    ] {
        let what = NewAttachment::new(name, media_type);
        let refused = ann.conversation.attach(what, &b"words"[..]).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
    let broken = reader_that_fails();
    let refused = ann.conversation.attach(voice_note(), broken).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Stream);
    let nothing = ann.conversation.fetch(MessageId::new([1; 16]), Vec::new());
    assert_eq!(nothing.await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(ann.conversation.unsent().await.unwrap(), []);
    assert_eq!(world.relay.logs.count(), logs);
}

/// Gives some bytes and then fails.
fn reader_that_fails() -> impl tokio::io::AsyncRead + Send + Unpin {
    struct Fails;
    impl tokio::io::AsyncRead for Fails {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::Error::other("the card was pulled out")))
        }
    }
    tokio::io::repeat(1).take(300_000).chain(Fails)
}

#[tokio::test(start_paused = true)]
async fn lines_that_are_lost_midway_cost_nothing_that_was_through() {
    let world = World::start().await;
    let (ann, ben) = two_people(&world).await;
    let bytes = noise(3 << 20);
    let id = attaches(&ann, &bytes).await;
    until_midway(&ann).await;
    ann.network.cut();
    ann.says("words do not wait for it").await;
    ann.network.mend(&world.relay);
    assert_eq!(ben.hears().await.text, "words do not wait for it");
    assert_eq!(ben.hears().await.id, id);
    let mut got = Vec::new();
    let (count, ()) = tokio::join!(ben.conversation.fetch(id, &mut got), async {
        until_midway(&ben).await;
        ben.network.cut();
        ben.network.mend(&world.relay);
    });
    assert_eq!(count.unwrap(), bytes.len() as u64);
    assert!(got == bytes);
    // Once here it needs no line.
    ben.network.cut();
    assert!(fetched(&ben.conversation, id).await == bytes);
    assert!(
        fetched(&ann.conversation, id).await == bytes,
        "its own copy"
    );
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_started_again_midway_goes_on() {
    let (store, keys) = (Arc::new(MemoryStore::new()), Arc::new(Keys::in_memory()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity");
    let relay = |identity| TestRelay {
        store: store.clone(),
        keys: keys.clone(),
        identity: Some(identity),
        ..TestRelay::default()
    };
    let mut world = World::around(relay(Identity::create(&file).unwrap())).await;
    let (ann, ben) = two_people(&world).await;
    let bytes = noise(3 << 20);
    let id = attaches(&ann, &bytes).await;
    until_midway(&ann).await;
    for person in [&ann, &ben] {
        person.network.cut();
    }
    let after = World::around(relay(Identity::load(&file).unwrap())).await;
    std::mem::replace(&mut world, after).relay.stop().await;
    for person in [&ann, &ben] {
        person.network.mend(&world.relay);
    }
    assert_eq!(ben.hears().await.id, id);
    assert!(fetched(&ben.conversation, id).await == bytes);
}

/// Somebody attaches and somebody fetches; one device dies on the way. Answers whether it did.
async fn live_through(is_sender: bool, death: Death) -> bool {
    let world = World::start().await;
    let of = |dies| if dies { death } else { Death::Never };
    let mut ann = Survivor::new(&world, Start::Found(world.room("Ann")), of(is_sender)).await;
    ann.until("a link", async |ann| Ok(ann.link().await?.is_some()))
        .await;
    let link = ann.conversation.link().await;
    let link = match link {
        Ok(link) => link.unwrap(),
        Err(_) => {
            ann.restart().await;
            ann.conversation.link().await.unwrap().unwrap()
        }
    };
    let name = "Ben".to_owned();
    let join = Start::Join(link, JoinOptions { name });
    let mut ben = Survivor::new(&world, join, of(!is_sender)).await;
    until_members(vec![&mut ann, &mut ben], 2).await;
    let bytes = noise(4 * CHUNK + 1);
    loop {
        let attached = ann.conversation.attach(voice_note(), &bytes[..]).await;
        if attached.is_ok() {
            break;
        }
        ann.restart().await;
        let unsent = ann.conversation.unsent().await.unwrap().len();
        if unsent + ann.texts().await.len() > 0 {
            break;
        }
    }
    ben.says("Ben is here").await;
    until_texts(vec![&mut ann, &mut ben], 2).await;
    ann.says("the last").await;
    until_texts(vec![&mut ann, &mut ben], 3).await;
    for person in [&mut ann, &mut ben] {
        loop {
            let history = person.conversation.history().await.unwrap_or_default();
            let with = |message: &&sotto_client::Message| message.attachment.is_some();
            let Some(id) = history.iter().find(with).map(|message| message.id) else {
                person.restart().await;
                continue;
            };
            assert_eq!(history.len(), 3, "{death:?}");
            let mut got = Vec::new();
            if person.conversation.fetch(id, &mut got).await.is_ok() {
                assert!(got == bytes, "{death:?}");
                break;
            }
            person.restart().await;
        }
    }
    if is_sender {
        ann.has_crashed
    } else {
        ben.has_crashed
    }
}

async fn die_everywhere(is_sender: bool, at: impl Fn(u64) -> Death) {
    let mut deaths = 0;
    while live_through(is_sender, at(deaths + 1)).await {
        deaths += 1;
    }
    assert!(deaths >= 10, "only {deaths} batches were tried");
}

#[tokio::test(start_paused = true)]
async fn a_sender_whose_app_dies_anywhere_has_sent_it_once() {
    die_everywhere(true, Death::Before).await;
    die_everywhere(true, Death::After).await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_whose_app_dies_anywhere_has_it_whole() {
    die_everywhere(false, Death::Before).await;
    die_everywhere(false, Death::After).await;
}

#[tokio::test(start_paused = true)]
async fn a_removed_member_cannot_fetch_what_was_attached_later() {
    let world = World::start().await;
    let (ann, ben) = two_people(&world).await;
    let cay = world.joiner("Cay", &ann.link().await).await;
    let before = attaches(&ann, b"before").await;
    assert_eq!(cay.hears().await.id, before);
    assert_eq!(fetched(&cay.conversation, before).await, b"before");
    ann.conversation
        .remove(ann.leaf_of("Cay").await)
        .await
        .unwrap();
    cay.until_standing(sotto_client::Standing::Removed).await;
    let after = attaches(&ann, b"after").await;
    ben.until("it", |event| {
        matches!(event, Event::Message(message) if message.id == after).then_some(())
    })
    .await;
    assert_eq!(fetched(&ben.conversation, after).await, b"after");
    assert!(cay.conversation.fetch(after, Vec::new()).await.is_err());
    let known = cay.conversation.history().await.unwrap();
    assert!(known.iter().all(|message| message.id != after));
    assert_eq!(fetched(&cay.conversation, before).await, b"before");
}

#[tokio::test(start_paused = true)]
async fn what_its_author_takes_back_is_gone_from_devices_and_from_the_relay() {
    let world = World::start().await;
    let vault = SharedVault::new(MemoryVault::new());
    let ann = world.founder("Ann").await;
    let device = ClientOptions::vault(vault.clone());
    let ben = world.joiner_on("Ben", &ann.link().await, device).await;
    let logs = world.relay.logs.count();
    let id = attaches(&ann, &noise(200_000)).await;
    assert_eq!(ben.hears().await.id, id);
    fetched(&ben.conversation, id).await;
    assert_eq!((world.relay.logs.count(), rows(&vault)), (logs + 1, 4));
    ann.conversation.delete(id).await.unwrap();
    for person in [&ann, &ben] {
        person
            .until("a deletion", |event| {
                (*event == Event::Deleted { id }).then_some(())
            })
            .await;
        let fetch = person.conversation.fetch(id, Vec::new()).await;
        assert_eq!(fetch.unwrap_err().kind(), ErrorKind::Invalid);
    }
    // What nobody can read any more goes with the next sweep.
    let mut removed = 0;
    for _ in 0..100 {
        pass(Duration::from_secs(1)).await;
        removed += world.relay.logs.sweep().await.unwrap().removed;
    }
    assert_eq!(removed, 4, "its chunks and nothing else");
    assert_eq!(rows(&vault), 0);
}

#[tokio::test(start_paused = true)]
async fn an_attachment_that_was_not_sent_can_be_taken_back_unseen() {
    let world = World::start().await;
    let (ann, ben) = two_people(&world).await;
    ann.network.cut();
    let id = attaches(&ann, &noise(200_000)).await;
    let unsent = ann.conversation.unsent().await.unwrap();
    assert_eq!((unsent.len(), unsent[0].id), (1, id));
    assert_eq!(unsent[0].attachment.as_ref().unwrap().bytes, 200_000);
    ann.conversation.delete(id).await.unwrap();
    assert_eq!(ann.conversation.unsent().await.unwrap(), []);
    ann.network.mend(&world.relay);
    ann.says("nothing").await;
    assert_eq!(ben.hears().await.text, "nothing");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_let_go_can_be_fetched_again() {
    let world = World::start().await;
    let (ann, ben) = two_people(&world).await;
    let bytes = noise(100_000);
    let what = NewAttachment {
        text: "listen".into(),
        ..voice_note()
    };
    let id = ann.conversation.attach(what, &bytes[..]).await.unwrap();
    assert_eq!(ben.hears().await.text, "listen");
    for person in [&ann, &ben] {
        fetched(&person.conversation, id).await;
        assert!(is_here(person).await);
        person.conversation.release(id).await.unwrap();
        assert!(!is_here(person).await);
        assert!(fetched(&person.conversation, id).await == bytes);
        assert!(is_here(person).await);
    }
}

async fn is_here(person: &Person) -> bool {
    let history = person.conversation.history().await.unwrap();
    history[0].attachment.as_ref().unwrap().is_here
}

#[tokio::test(start_paused = true)]
async fn leaving_erases_what_was_attached_and_fetched() {
    let world = World::start().await;
    let vault = SharedVault::new(MemoryVault::new());
    let ann = world.founder("Ann").await;
    let device = ClientOptions::vault(vault.clone());
    let ben = world.joiner_on("Ben", &ann.link().await, device).await;
    let id = attaches(&ann, &noise(200_000)).await;
    assert_eq!(ben.hears().await.id, id);
    fetched(&ben.conversation, id).await;
    ben.network.cut();
    attaches(&ben, &noise(200_000)).await;
    ben.network.mend(&world.relay);
    ben.conversation.leave().await.unwrap();
    ben.until_standing(sotto_client::Standing::Left).await;
    assert!(vault.with(|vault| vault.residue()).unwrap().is_empty());
}
