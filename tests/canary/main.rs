//! No text, name, secret, key or id reaches the relay's folder, its log lines, its metrics, the
//! vault's files or any `Debug` output, with every log line switched on.
//!
//! What is searched for is searched raw, as hexadecimal and as base64 in its three alignments. In
//! each place the same search must find a control: something that Sotto itself puts there in the
//! clear, so that a place which was not read, or read too early, is no success.

mod words;

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sotto_client::vault::VaultKey;
use sotto_client::{
    Admission, Client, ClientOptions, Command, Conversation, Event, JoinOptions, Link,
    NewAttachment, RelayAddress, ReturnWords, RoomOptions, Standing,
};
use sotto_server::config::{CreateRule, Settings};
use sotto_server::launch::Launch;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

const TEXTS: [&str; 5] = [
    "the heron waits by the mill pond",
    "seven grey stones under the stairs",
    "tell nobody about the blue door",
    "a lantern for every second window",
    "ask for the woman with the two dogs",
];
const NAMES: [&str; 4] = [
    "Wilhelmina-Quark",
    "Bartholomew-Zinc",
    "Clementine-Ochre",
    "Theodorus-Basalt",
];
/// What is attached: its name, its type, and what stands in it.
const ATTACHED: [&str; 3] = [
    "cormorant-at-dawn.ogg",
    "audio/x-cormorant-sound",
    "the rusty key hangs behind the clock",
];
const RELAY_FILES: &str = "the relay's files";
const LOG_ID: &str = "a log id";
const BACKUP_ID: &str = "the id of a backup's log";
const CONTROL: &str = "a control that must be found or the search is blind";

/// Everything that is logged, in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The forms in which bytes may stand somewhere.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![
        secret.to_vec(),
        hex::encode(secret).into_bytes(),
        hex::encode_upper(secret).into_bytes(),
    ];
    for skipped in 0..3 {
        let aligned = &secret[skipped..secret.len() - (secret.len() - skipped) % 3];
        forms.push(STANDARD.encode(aligned).into_bytes());
        forms.push(URL_SAFE_NO_PAD.encode(aligned).into_bytes());
    }
    forms
}

/// Which of these stand somewhere in it, in any form; in one pass over what may be many megabytes.
fn found(haystack: &[u8], secrets: &[(&'static str, Vec<u8>)]) -> BTreeSet<&'static str> {
    let mut by_start: HashMap<[u8; 8], Vec<(&'static str, Vec<u8>)>> = HashMap::new();
    for (what, secret) in secrets {
        for form in forms(secret) {
            let start = *form.first_chunk().expect("long enough to be no accident");
            by_start.entry(start).or_default().push((what, form));
        }
    }
    // Two bytes tell almost always that nothing begins here, without a hash.
    let pair = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    let mut begins = vec![false; 1 << 16];
    for start in by_start.keys() {
        begins[pair(start)] = true;
    }
    let mut found = BTreeSet::new();
    for (at, start) in haystack.windows(8).enumerate() {
        if !begins[pair(start)] {
            continue;
        }
        for (what, form) in by_start.get(start).into_iter().flatten() {
            if haystack[at..].starts_with(form) {
                found.insert(*what);
            }
        }
    }
    found
}

fn files(folder: &Path, into: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.extend(std::fs::read(&path).unwrap());
        }
    }
}

/// Somebody, and everything that their app printed of what it was told.
struct Person {
    client: Client,
    conversation: Conversation,
    printed: String,
}

impl Person {
    fn new(client: &Client, conversation: Conversation) -> Self {
        Self {
            client: client.clone(),
            conversation,
            printed: String::new(),
        }
    }

    async fn until<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        while let Some(event) = self.conversation.next_event().await {
            writeln!(self.printed, "{event:?}").unwrap();
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
        panic!("the conversation ended");
    }

    async fn until_standing(&mut self, standing: Standing) {
        self.until(|event| (*event == Event::Standing(standing)).then_some(()))
            .await;
    }

    async fn hears(&mut self, text: &str) {
        self.until(|event| match event {
            Event::Message(message) if message.text == text => Some(()),
            _ => None,
        })
        .await;
    }

    async fn link(&mut self) -> Link {
        let link = self.conversation.link().await.unwrap().unwrap();
        writeln!(self.printed, "{link:?}").unwrap();
        link
    }

    /// Prints all that an app can ask for.
    async fn print_all(&mut self) {
        let (client, room) = (&self.client, &self.conversation);
        let members = room.members().await.unwrap();
        let asked = format!(
            "{client:?} {room:?} {:?} {members:?} {:?} {:?} {:?} {:?} {:?}\n",
            room.id(),
            room.history().await.unwrap(),
            room.knocks().await.unwrap(),
            room.unsent().await.unwrap(),
            room.fingerprint().await.unwrap(),
            room.turn_away(members[0].leaf).await,
        );
        self.printed.push_str(&asked);
    }
}

/// What must be found nowhere, and what the relay may know it by.
#[derive(Default)]
struct Secrets {
    kept: Vec<(&'static str, Vec<u8>)>,
}

impl Secrets {
    fn of_link(&mut self, link: &Link) {
        self.kept.extend(link_secrets(&link.to_string()));
    }

    async fn of_members(&mut self, person: &Person) {
        for member in person.conversation.members().await.unwrap() {
            self.kept.push(("a leaf", member.leaf.as_bytes().to_vec()));
        }
        for message in person.conversation.history().await.unwrap() {
            self.kept
                .push(("a message id", message.id.as_bytes().to_vec()));
        }
    }
}

/// A room with a link: joined, talked in, one is removed, the secret renewed.
async fn live_in_a_room(
    founder: &Client,
    member: &Client,
    address: RelayAddress,
    secrets: &mut Secrets,
) -> Vec<Person> {
    let options = RoomOptions::new(address, NAMES[0]);
    let mut ann = Person::new(founder, founder.found(options).await.unwrap());
    ann.until_standing(Standing::In).await;
    let link = ann.link().await;
    secrets.of_link(&link);
    let name = JoinOptions {
        name: NAMES[1].into(),
    };
    let mut ben = Person::new(member, member.join(&link, &name).await.unwrap());
    ben.until_standing(Standing::In).await;
    for text in &TEXTS[..3] {
        ann.conversation.send(text).await.unwrap();
        ben.hears(text).await;
    }
    let what = NewAttachment::new(ATTACHED[0], ATTACHED[1]);
    ann.printed.push_str(&format!("{what:?}"));
    let attached = ann.conversation.attach(what, ATTACHED[2].as_bytes());
    let id = attached.await.unwrap();
    ben.until(|event| {
        let is_it = matches!(event, Event::Message(message) if message.id == id);
        is_it.then_some(())
    })
    .await;
    let mut got = Vec::new();
    ben.conversation.fetch(id, &mut got).await.unwrap();
    assert_eq!(got, ATTACHED[2].as_bytes());
    ann.conversation.command(Command::Rotate).await.unwrap();
    ben.until(|event| (*event == Event::Rotated).then_some(()))
        .await;
    ben.conversation.send(TEXTS[3]).await.unwrap();
    ann.hears(TEXTS[3]).await;
    secrets.of_link(&ann.link().await);
    secrets.of_members(&ann).await;
    ben.print_all().await;
    let members = ann.conversation.members().await.unwrap();
    let leaf = members.iter().find(|member| !member.is_me).unwrap().leaf;
    ann.conversation.remove(leaf).await.unwrap();
    ben.until_standing(Standing::Removed).await;
    ann.until(|event| (*event == Event::Rotated).then_some(()))
        .await;
    secrets.of_link(&ann.link().await);
    ann.print_all().await;
    vec![ann, ben]
}

/// A conversation with a door: one is let in, one is turned away.
async fn live_behind_a_door(
    founder: &Client,
    member: &Client,
    address: RelayAddress,
    secrets: &mut Secrets,
) -> Vec<Person> {
    let options = RoomOptions {
        admission: Admission::Approval,
        ..RoomOptions::new(address, NAMES[0])
    };
    let mut ann = Person::new(founder, founder.found(options).await.unwrap());
    ann.until_standing(Standing::In).await;
    let link = ann.link().await;
    secrets.of_link(&link);
    let knock = |name: &str| {
        let options = JoinOptions { name: name.into() };
        let link = &link;
        async move { Person::new(member, member.join(link, &options).await.unwrap()) }
    };
    let (mut cay, mut dan) = (knock(NAMES[2]).await, knock(NAMES[3]).await);
    for _ in 0..2 {
        let (leaf, name) = ann
            .until(|event| match event {
                Event::Knock { leaf, name, .. } => Some((*leaf, name.0.clone())),
                _ => None,
            })
            .await;
        secrets.kept.push(("a leaf", leaf.as_bytes().to_vec()));
        ann.print_all().await;
        if name == NAMES[2] {
            ann.conversation.admit(leaf).await.unwrap();
        } else {
            ann.conversation.turn_away(leaf).await.unwrap();
        }
    }
    cay.until_standing(Standing::In).await;
    dan.until_standing(Standing::TurnedAway).await;
    cay.conversation.send(TEXTS[4]).await.unwrap();
    ann.hears(TEXTS[4]).await;
    secrets.of_members(&cay).await;
    cay.print_all().await;
    vec![ann, cay, dan]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_said_or_names_anybody_is_found_anywhere() {
    let lines = Lines::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .init();
    let (folder, vaults) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(CreateRule::DangerousOpen);
    settings.folder = folder.path().join("relay");
    settings.listen = ([127, 0, 0, 1], 0).into();
    settings.admin.enabled = false;
    let launch = Launch {
        settings,
        init: true,
    };
    let relay = launch.launch().await.unwrap();
    let (metrics, address): (_, RelayAddress) =
        (relay.metrics.clone(), relay.address.parse().unwrap());
    let shutdown = CancellationToken::new();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(relay.run(shutdown.clone()));

    let open = |name: &str| ClientOptions::folder(vaults.path().join(name), VaultKey::raw([7; 32]));
    let one = Client::open(open("one")).await.unwrap();
    let other = Client::open(open("other")).await.unwrap();
    tracing::trace!("{CONTROL}");
    let mut secrets = Secrets::default();
    let words = one.back_up(&address).await.unwrap();
    secrets.kept.extend(words::secrets(&words, &address));
    let mut people = live_in_a_room(&one, &other, address.clone(), &mut secrets).await;
    people.extend(live_behind_a_door(&one, &other, address.clone(), &mut secrets).await);

    let printed = kept_and_back(&one, open("third"), &address, &words).await;
    one.close().await;
    other.close().await;
    let running_files = read_all(&folder, &vaults);
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
    // Once more, now that everything is written out.
    let stopped_files = read_all(&folder, &vaults);
    let people = people.into_iter().map(|person| person.printed);
    let debug = people.chain([printed]).collect::<String>();
    let metrics = metrics.render();
    let logged = lines.0.lock().unwrap().clone();
    let ([relay, vault], [relay_then, vault_then]) = (running_files, stopped_files);
    search(
        &secrets,
        &[
            (RELAY_FILES, relay, &[LOG_ID, BACKUP_ID]),
            (RELAY_FILES, relay_then, &[LOG_ID, BACKUP_ID]),
            ("the vaults' files", vault, &["a table of the vault"]),
            ("the vaults' files", vault_then, &["a table of the vault"]),
            ("log lines", logged, &["the control", "a line of the relay"]),
            ("metrics", metrics.into_bytes(), &["a metric"]),
            ("Debug", debug.into_bytes(), &["an event"]),
        ],
    );
}

/// The relay's files and the vaults'.
fn read_all(folder: &tempfile::TempDir, vaults: &tempfile::TempDir) -> [Vec<u8>; 2] {
    [folder, vaults].map(|place| {
        let mut read = Vec::new();
        files(place.path(), &mut read);
        read
    })
}

/// Waits until what a client backs up is at the relay, and comes back with its words on a third
/// device; what an app prints of all that.
async fn kept_and_back(
    one: &Client,
    third: ClientOptions,
    address: &RelayAddress,
    words: &ReturnWords,
) -> String {
    one.backed_up().await.unwrap();
    let third = Client::open(third).await.unwrap();
    let back = third.come_back(words, address).await.unwrap();
    assert_eq!(back.len(), 2, "both conversations were in the backup");
    let again = third.come_back(words, address).await;
    let mut printed = format!("{words:?} {third:?} {back:?} {again:?}");
    for conversation in &back {
        while let Some(event) = conversation.next_event().await {
            writeln!(printed, "{event:?}").unwrap();
            // Where nobody else is left it waits for somebody.
            if let Event::Standing(Standing::In | Standing::Waiting) = event {
                break;
            }
        }
    }
    third.close().await;
    printed
}

/// What Sotto itself shows in the clear, by which a search shows that it sees.
fn controls() -> [(&'static str, Vec<u8>); 5] {
    [
        ("the control", CONTROL.into()),
        ("a line of the relay", "sotto_server::".into()),
        ("a table of the vault", "CREATE TABLE space".into()),
        ("a metric", "sotto_requests_total".into()),
        ("an event", "Standing(In)".into()),
    ]
}

/// A place, what was read in it, and what must be found there for the search to have seen it.
type Place<'a> = (&'a str, Vec<u8>, &'a [&'static str]);

fn search(secrets: &Secrets, places: &[Place<'_>]) {
    assert!(secrets.kept.len() > 20, "there is something to look for");
    let mut wanted = secrets.kept.clone();
    wanted.extend(TEXTS.map(|text| ("a text", text.as_bytes().to_vec())));
    wanted.extend(NAMES.map(|name| ("a name", name.as_bytes().to_vec())));
    wanted.extend(ATTACHED.map(|part| ("an attachment", part.as_bytes().to_vec())));
    wanted.extend(controls());
    for (place, bytes, shown) in places {
        let mut found = found(bytes, &wanted);
        for control in *shown {
            // The id of a log is what the relay knows it by; SECURITY.md lists what else it holds.
            assert!(found.remove(control), "{place}: {control} is not found");
        }
        for (control, _) in controls() {
            found.remove(control);
        }
        assert!(found.is_empty(), "{place} hold {found:?}");
    }
}

#[test]
fn the_search_finds_every_form_wherever_it_stands() {
    let secret: Vec<u8> = (0x41..0x61).collect();
    let wanted = [("it", secret.clone())];
    for before in 0..4 {
        let raw = [&vec![0x20; before], secret.as_slice(), b"behind"].concat();
        let (hex, base64) = (hex::encode(&raw), STANDARD.encode(&raw));
        let upper = hex.to_uppercase();
        let url = URL_SAFE_NO_PAD.encode(&raw);
        for place in [raw, hex.into(), upper.into(), base64.into(), url.into()] {
            assert_eq!(found(&place, &wanted), BTreeSet::from(["it"]), "{before}");
            let cut = &place[..place.len() / 2];
            assert!(found(cut, &wanted).is_empty());
        }
    }
}

/// The byte strings of 32 bytes in a link: log id, secret, founder, and behind a door what opens it
/// and what it is sealed to. The relay's identity is public, and stands in the relay's own key
/// file in no other form.
fn link_secrets(link: &str) -> Vec<(&'static str, Vec<u8>)> {
    let body = URL_SAFE_NO_PAD
        .decode(link.strip_prefix("sotto:1:").unwrap())
        .unwrap();
    let field = |name: &str| {
        let mut key = vec![0x60 | u8::try_from(name.len()).unwrap()];
        key.extend(name.bytes());
        key.extend([0x58, 0x20]);
        let mut windows = body.windows(key.len());
        let at = windows.position(|window| window == key)? + key.len();
        Some(body[at..at + 32].to_vec())
    };
    let fields = [
        (LOG_ID, "log"),
        ("a secret", "secret"),
        ("a leaf", "founder"),
        (LOG_ID, "door"),
        ("a door's key", "knock"),
        ("what knocks are sealed to", "sealing"),
    ];
    let found: Vec<_> = fields
        .into_iter()
        .filter_map(|(what, name)| Some((what, field(name)?)))
        .collect();
    assert!(found.len() >= 3);
    found
}
