//! Decoy words: eight more, for a person who is made to give theirs away. They open an innocent place,
//! and nobody can tell from what happens meanwhile that they were not the others.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::vault::{Batch, Key, MemoryVault, Row, SharedVault, Space};
use sotto_client::{BackupStanding, Client, ClientOptions, Command, Event, ReturnWords, Standing};
use sotto_tests::world::{Network, Person, World, pass, wall_clock};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

use super::coming_back::{backs_up, comes_back};

/// No message that carries a backup is shorter, and none of a small room's is so long.
const BACKUP_BYTES: usize = 16_384;

/// The decoy words, once they are good.
pub(crate) async fn decoy_words_of(client: &Client) -> ReturnWords {
    client.decoy_backed_up().await.unwrap();
    client.decoy_words().await.unwrap()
}

/// Somebody on an empty device who was given words that lead to nothing at all.
pub(crate) async fn finds_nothing(world: &World, words: &ReturnWords) -> Client {
    let (client, _) = world.device().await;
    let found = client.come_back(words, &world.address()).await.unwrap();
    assert!(found.is_empty());
    client.backed_up().await.unwrap();
    client.decoy_backed_up().await.unwrap();
    client
}

/// Waits until this device has heard that its decoy words were used, which it does at its next writing.
async fn until_used(client: &Client) {
    let id = client.conversations()[0].id();
    client.show_by_decoy(id, true).await.unwrap();
    pass(Duration::from_secs(120)).await;
    assert_eq!(client.decoy_standing(), BackupStanding::Elsewhere);
    client.show_by_decoy(id, false).await.unwrap();
    pass(Duration::from_secs(120)).await;
    assert_eq!(client.decoy_standing(), BackupStanding::Elsewhere);
}

/// Ann with Ben, who keeps a backup.
async fn ann_and_ben(world: &World) -> (Person, Person, ReturnWords) {
    let ann = world.founder("Ann").await;
    let ben = world.joiner("Ben", &ann.link().await).await;
    let words = backs_up(&ben, world).await;
    (ann, ben, words)
}

#[tokio::test(start_paused = true)]
async fn decoy_words_lead_to_nothing_and_the_return_words_stay_good() {
    let world = World::start().await;
    let (ann, ben, words) = ann_and_ben(&world).await;
    let decoy = decoy_words_of(&ben.client).await;
    assert_ne!(decoy, words);
    assert_eq!(ben.client.decoy_words().await.unwrap(), decoy);

    let taken = finds_nothing(&world, &decoy).await;
    // Whoever has them keeps that backup now, with a second one like everybody.
    assert_eq!(taken.return_words().await.unwrap(), decoy);
    assert_ne!(decoy_words_of(&taken).await, decoy);
    // Nothing happened to the chat, and Ben's device hears of it and has new decoy words.
    until_used(&ben.client).await;
    let told = ben.client.decoy_backed_up().await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Conflict);
    let new = ben.client.decoy_words().await.unwrap();
    assert_ne!(new, decoy);
    assert_eq!(decoy_words_of(&ben.client).await, new);
    assert_eq!(ben.client.backup_standing(), BackupStanding::Kept);
    ben.says("still here").await;
    let text = ann.until("a text", |event| match event {
        Event::Returned { .. } => panic!("somebody came back"),
        Event::Message(message) => Some(message.text.clone()),
        _ => None,
    });
    assert_eq!(text.await, "still here");

    // What is done with what the decoy words opened changes nothing of what the return words open.
    taken.end_backup().await.unwrap();
    ben.client.close().await;
    let back = comes_back(&world, &words).await;
    back.says("it is me").await;
    assert_eq!(ann.hears_texts(1).await, ["it is me"]);
    // After a return as well there are others, which lead to nothing.
    finds_nothing(&world, &decoy_words_of(&back.client).await).await;
}

#[tokio::test(start_paused = true)]
async fn decoy_words_lead_to_what_may_be_seen_and_to_nothing_else() {
    let world = World::start().await;
    let (ann, ben, words) = ann_and_ben(&world).await;
    let cay = world.founder("Cay").await;
    let link = cay.link().await;
    let options = sotto_client::JoinOptions { name: "Ben".into() };
    let choir = Person {
        conversation: ben.client.join(&link, &options).await.unwrap(),
        client: ben.client.clone(),
        network: ben.network.clone(),
    };
    choir.until_standing(Standing::In).await;
    let decoy = decoy_words_of(&ben.client).await;
    let (chat, id) = (ben.conversation.id(), choir.conversation.id());
    ben.client.show_by_decoy(chat, true).await.unwrap();
    ben.client.show_by_decoy(id, true).await.unwrap();
    ben.client.show_by_decoy(chat, false).await.unwrap();
    assert_eq!(ben.client.shown_by_decoy().await.unwrap(), [id]);
    assert_eq!(decoy_words_of(&ben.client).await, decoy);
    let none = world.device().await.0.show_by_decoy(id, true).await;
    assert_eq!(none.unwrap_err().kind(), ErrorKind::Invalid);
    let strange = cay.client.back_up(&world.address()).await;
    strange.unwrap();
    let strange = cay.client.show_by_decoy(id, true).await.unwrap_err();
    assert_eq!(strange.kind(), ErrorKind::Invalid);

    let he = comes_back(&world, &decoy).await;
    he.says("what do you sing?").await;
    assert_eq!(cay.hears_texts(1).await, ["what do you sing?"]);
    choir.until_standing(Standing::Removed).await;
    ben.says("and here it is quiet").await;
    assert_eq!(ann.hears_texts(1).await, ["and here it is quiet"]);
    // The return words lead to both.
    let (client, _) = world.device().await;
    let both = client.come_back(&words, &world.address()).await.unwrap();
    assert_eq!(both.len(), 2);
}

/// Counts how often words were stretched by Argon2id.
#[derive(Clone, Default)]
struct Stretched(Arc<AtomicUsize>);

impl Subscriber for Stretched {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Named(bool);
        impl Visit for Named {
            fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
                self.0 |= format!("{value:?}") == "words are stretched";
            }
        }
        let mut named = Named(false);
        event.record(&mut named);
        self.0.fetch_add(usize::from(named.0), Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What a return looks like from outside.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// The connections that carried a backup, in their order: what was said and what was heard, in bytes.
    lines: Vec<[Vec<usize>; 2]>,
    /// Passes of Argon2id.
    stretched: usize,
    /// Whether the first one was written within a second of the return.
    is_prompt: bool,
    /// Whether it was written again, and the other one, 10 to 30 s later.
    is_apart: bool,
    /// The rows of the space that both are kept in: their names and lengths.
    disk: Vec<(Vec<u8>, usize)>,
}

fn rows_of_backup(vault: &SharedVault) -> (Space, Vec<(Vec<u8>, usize)>) {
    let (space, rows) = vault.with(|vault| {
        let spaces = vault.spaces().unwrap().into_iter();
        let mut rows = spaces.map(|space| (space, vault.load(space).unwrap()));
        let is_backup =
            |(_, rows): &(Space, Vec<Row>)| rows.iter().any(|(name, _)| name == b"backup");
        rows.find(is_backup).unwrap()
    });
    let length = |(name, value): Row| (name, value.len());
    (space, rows.into_iter().map(length).collect())
}

async fn seen(world: &World, words: &ReturnWords, conversations: usize) -> Seen {
    let vault = SharedVault::new(MemoryVault::new());
    let (client, network) = world.device_with(ClientOptions::vault(vault.clone())).await;
    network.listen_in();
    let counted = Stretched::default();
    let counting = tracing::subscriber::set_default(counted.clone());
    let found = client.come_back(words, &world.address()).await.unwrap();
    assert_eq!(found.len(), conversations);
    let returned = tokio::time::Instant::now();
    client.backed_up().await.unwrap();
    client.decoy_backed_up().await.unwrap();
    pass(Duration::from_secs(120)).await;
    drop(counting);
    client.close().await;
    let has_backup = |line: &[Vec<usize>; 2]| line.iter().flatten().any(|one| *one >= BACKUP_BYTES);
    let written: Vec<_> = network
        .said_long(BACKUP_BYTES)
        .into_iter()
        .map(|at| at.saturating_duration_since(returned).as_secs())
        .collect();
    let (first, later) = written.split_first().unwrap();
    let mut lines: Vec<_> = network.sizes().into_iter().filter(has_backup).collect();
    // Of the two that were written later either is first, by chance.
    lines.get_mut(2..).unwrap().sort();
    Seen {
        lines,
        stretched: counted.0.load(Ordering::Relaxed),
        is_prompt: *first < 1,
        is_apart: later.iter().all(|at| (10..=31).contains(at)),
        disk: rows_of_backup(&vault).1,
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_by_decoy_words_does_all_that_one_does_by_return_words() {
    let world = World::start().await;
    let (_ann, ben, words) = ann_and_ben(&world).await;
    let decoy = decoy_words_of(&ben.client).await;
    ben.client.close().await;
    let by_decoy = seen(&world, &decoy, 0).await;
    let by_return = seen(&world, &words, 1).await;
    assert_eq!(by_decoy, by_return);
    // The return, its backup twice and the other one; return words, safe word and new decoy words.
    assert_eq!((by_return.lines.len(), by_return.stretched), (4, 3));
    assert!(by_return.is_prompt && by_return.is_apart);
    let names: Vec<_> = by_return.disk.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&b"backup".to_vec(), &b"decoy".to_vec()]);
}

/// What a device says of its backups, so many seconds long: when, from its beginning on.
async fn written(network: &Network, seconds: u64) -> Vec<u64> {
    let begun = tokio::time::Instant::now();
    network.listen_in();
    pass(Duration::from_secs(seconds)).await;
    let long = network.said_long(BACKUP_BYTES).into_iter();
    long.map(|at| at.duration_since(begun).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn both_backups_are_written_for_the_same_reasons_and_each_in_its_own_time() {
    let world = World::start().await;
    let (ann, ben, _) = ann_and_ben(&world).await;
    ben.client.decoy_backed_up().await.unwrap();
    pass(Duration::from_secs(60)).await;
    let mut apart = 0;
    for _ in 0..4 {
        ann.conversation.command(Command::Rotate).await.unwrap();
        let at = written(&ben.network, 60).await;
        let [one, other] = at.as_slice() else {
            panic!("written at {at:?}");
        };
        assert!((9..=32).contains(one) && (9..=32).contains(other), "{at:?}");
        apart += usize::from(one != other);
        let lines = ben.network.sizes();
        let carried = |line: &&[Vec<usize>; 2]| line[0].iter().any(|one| *one >= BACKUP_BYTES);
        let carried: Vec<_> = lines.iter().filter(carried).collect();
        assert_eq!(carried.len(), 2, "one connection for each");
        assert_eq!(carried[0], carried[1]);
    }
    assert!(apart > 0);
}

#[tokio::test(start_paused = true)]
async fn without_any_change_both_backups_are_written_anew_within_two_weeks() {
    let world = World::start().await;
    let options = ClientOptions::memory().wall_clock(wall_clock());
    let (client, network) = world.device_with(options).await;
    client.back_up(&world.address()).await.unwrap();
    client.decoy_backed_up().await.unwrap();
    pass(Duration::from_secs(60)).await;
    let days = 24 * 3_600;
    let at = written(&network, 15 * days).await;
    let first = at.iter().filter(|at| **at < 14 * days).count();
    assert!((2..=4).contains(&first), "written at {at:?}");
    assert!(at.iter().all(|at| *at > 6 * days), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_device_of_an_earlier_version_gets_its_second_backup_and_an_end_ends_both() {
    let world = World::start().await;
    let vault = SharedVault::new(MemoryVault::new());
    let (client, _) = world.device_with(ClientOptions::vault(vault.clone())).await;
    let words = client.back_up(&world.address()).await.unwrap();
    client.backed_up().await.unwrap();
    client.close().await;
    let (space, _) = rows_of_backup(&vault);
    let mut batch = Batch::default();
    batch.delete(Key::new(space, b"decoy"));
    vault.with(|vault| vault.apply(&batch)).unwrap();

    let (client, _) = world.device_with(ClientOptions::vault(vault.clone())).await;
    let decoy = decoy_words_of(&client).await;
    assert_eq!(client.return_words().await.unwrap(), words);
    client.close().await;
    let (client, _) = world.device_with(ClientOptions::vault(vault)).await;
    assert_eq!(decoy_words_of(&client).await, decoy);
    client.end_backup().await.unwrap();
    assert_eq!(client.decoy_standing(), BackupStanding::Absent);
    assert_eq!(
        client.decoy_words().await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    for words in [words, decoy] {
        let (client, _) = world.device().await;
        let refused = client.come_back(&words, &world.address()).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Refused);
    }
}
