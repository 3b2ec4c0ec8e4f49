//! The forms of peer support, each told as the people in it would tell it: by the SDK alone, over a real
//! relay, on one clock that the test drives. README.md, beside the scenarios, has the table of them.

mod addiction;
mod counted;
mod crisis;
mod health;
mod heard;
mod matched;
mod mediation;
mod outreach;
mod school;
mod survivors;
mod table;
mod veterans;
mod work;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sotto_client::vault::{MemoryVault, SharedVault};
use sotto_client::{
    Admission, AskOptions, BadgeAttributes, BadgeList, Client, ClientOptions, Conversation,
    DeskDate, DeskPlan, Event, Hours, Issued, JoinOptions, LeafId, Offer, OrganisationId,
    OrganisationKey, ReturnWords, RoomOptions, Standing, Ticket, week_end,
};
use sotto_server::archive::export;
use sotto_server::clock::Clock;
use sotto_server::log::Retention;
use sotto_server::seizure::{Seizure, seize};
use sotto_server::store::{Folder, SledOptions};
use sotto_tests::relay::TestRelay;
use sotto_tests::store::AwaitedStore;
use sotto_tests::world::{Network, Person, World, pass, wall_clock};
use tempfile::TempDir;

use crate::coming_back::backs_up;
use crate::desk::{has_asked, is_ready, sees_words};
use crate::entering::{is_named, keeps_door, sees_knock};

/// Steps in which days pass: a relay whose clock moves by a day at once does not believe it.
const STEP: Duration = Duration::from_secs(8 * 3_600);
const MINUTE: Duration = Duration::from_secs(60);

type Wall = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// A relay, and people whose clocks all show the same: noon, when it begins.
struct Town {
    world: World,
    wall: Wall,
    /// Where the relay keeps what it keeps, if not in memory.
    data: Option<(TempDir, Folder)>,
}

/// What whoever takes a relay away has.
struct Seized {
    /// The facts that lie in its folder.
    facts: Seizure,
    /// All of its entries, without the relay's own seal, and all else that it keeps of its logs.
    bytes: Vec<u8>,
}

impl Seized {
    /// Of what is long enough to stand nowhere by chance.
    fn holds(&self, wanted: &[u8]) -> bool {
        assert!(wanted.len() >= 8, "that stands anywhere");
        self.bytes.windows(wanted.len()).any(|part| part == wanted)
    }
}

/// What is on it outlives the app.
#[derive(Clone)]
struct Phone {
    vault: SharedVault,
    wall: Wall,
}

impl Phone {
    fn options(&self) -> ClientOptions {
        let wall = Arc::clone(&self.wall);
        ClientOptions::vault(self.vault.clone()).wall_clock(move || wall())
    }
}

impl Town {
    async fn start() -> Self {
        Self::around(TestRelay::default()).await
    }

    async fn around(relay: TestRelay) -> Self {
        let world = World::around(relay).await;
        let wall = Arc::new(wall_clock());
        let data = None;
        Self { world, wall, data }
    }

    /// With a relay that can be seized.
    async fn on_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = Folder::open(folder.path(), SledOptions::offline()).unwrap();
        let relay = TestRelay {
            store: Arc::new(AwaitedStore(Arc::clone(&data.store))),
            keys: Arc::clone(&data.keys),
            ..TestRelay::default()
        };
        Self {
            data: Some((folder, data)),
            ..Self::around(relay).await
        }
    }

    /// Stops the relay and takes it away. Somebody wrote these words to it in the clear, so that a search
    /// that finds nothing is not blind.
    async fn seized(self, in_the_clear: &str) -> Seized {
        let mut peer = self.world.relay.peer().await;
        let log = peer.new_log().await.id();
        peer.say(&log, in_the_clear).await.unwrap();
        drop(peer);
        let clock: Arc<dyn Clock> = self.world.relay.clock.clone();
        self.world.relay.stop().await;
        let (folder, data) = self.data.expect("a relay with a folder");
        data.store.close().await.unwrap();
        drop(data);
        let facts = seize(folder.path(), Arc::clone(&clock)).await.unwrap();
        let archive = folder.path().join("archive");
        export(folder.path(), &archive, clock).await.unwrap();
        let bytes = std::fs::read(&archive).unwrap();
        let seized = Seized { facts, bytes };
        assert!(seized.holds(in_the_clear.as_bytes()), "the search is blind");
        seized
    }

    fn now_ms(&self) -> u64 {
        let since = (self.wall)().duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(since.as_millis()).unwrap()
    }

    fn today(&self) -> u32 {
        u32::try_from(self.now_ms() / 86_400_000).unwrap()
    }

    /// A new one.
    fn phone(&self) -> Phone {
        Phone {
            vault: SharedVault::new(MemoryVault::new()),
            wall: Arc::clone(&self.wall),
        }
    }

    /// Minutes pass, and whoever has an app open lives through them.
    async fn minutes(&self, minutes: u32) {
        for _ in 0..minutes {
            self.world.relay.clock.advance(MINUTE);
            pass(MINUTE).await;
        }
    }

    /// Days pass while every app is closed.
    async fn days(&self, days: u32) {
        for _ in 0..3 * days {
            self.world.relay.clock.advance(STEP);
            tokio::time::advance(STEP).await;
            // The relay's own sweep ends before ours: of two at once the slower one would write down an
            // earlier time, and after three such steps the relay would doubt its clock.
            pass(Duration::from_secs(1)).await;
            let swept = self.world.relay.logs.sweep().await.unwrap();
            assert_eq!(swept.retention, Retention::Swept);
        }
    }

    /// Opening hours on these days from now, all at this time (UTC), such as `12:55-13:15`.
    fn hours(&self, days: &[u32], time: &str) -> Hours {
        days.iter().fold(Hours::new("UTC").unwrap(), |hours, day| {
            let date = DeskDate::of_days(self.today() + day).unwrap();
            hours
                .also(format!("{date} {time}").parse().unwrap())
                .unwrap()
        })
    }

    /// Whoever runs a desk, on duty at it.
    async fn desk(&self, phone: &Phone, plan: DeskPlan) -> Person {
        let organisation = OrganisationKey::random().unwrap();
        self.desk_of(phone, organisation, plan).await
    }

    /// The same, of this organisation.
    async fn desk_of(
        &self,
        phone: &Phone,
        organisation: OrganisationKey,
        plan: DeskPlan,
    ) -> Person {
        let room = self.world.room("Office");
        let office = self.world.founder_of(room, phone.options()).await;
        let founded = office.conversation.found_desk(organisation, plan).await;
        founded.unwrap();
        is_ready(&office).await;
        office.conversation.duty(true).await.unwrap();
        office
    }

    /// Somebody of the desk's team, on duty.
    async fn supporter(&self, phone: &Phone, office: &Person, name: &str) -> Person {
        let link = office.link().await;
        let person = self.world.joiner_on(name, &link, phone.options()).await;
        is_ready(&person).await;
        person.conversation.duty(true).await.unwrap();
        person
    }

    /// Somebody of the desk's team, on duty with what they offer.
    async fn offers(&self, phone: &Phone, office: &Person, name: &str, offer: Offer) -> Person {
        let person = self.supporter(phone, office, name).await;
        person.conversation.duty_for(offer).await.unwrap();
        person
    }

    /// Somebody who asks at the desk.
    async fn asks(&self, phone: &Phone, office: &Person, ticket: Ticket) -> Person {
        let address = office.conversation.desk_address().await.unwrap().unwrap();
        let (client, network) = self.world.device_with(phone.options()).await;
        let visit = client.visit(&address).await.unwrap();
        let options = AskOptions {
            ticket,
            ..AskOptions::default()
        };
        let conversation = client.ask(&visit, options).await.unwrap();
        let person = person((client, network), conversation);
        has_asked(&person).await;
        person
    }

    /// A chat of two, by a link that one gives the other, and what each of them calls themselves.
    async fn two(&self, one: (&Phone, &str), other: (&Phone, &str)) -> (Person, Person) {
        let room = RoomOptions {
            admission: Admission::Chat,
            ..self.world.room(one.1)
        };
        let first = self.world.founder_of(room, one.0.options()).await;
        let link = first.link().await;
        let second = self.world.joiner_on(other.1, &link, other.0.options());
        let second = second.await;
        is_named(&first, other.1).await;
        is_named(&second, one.1).await;
        (first, second)
    }

    /// One more chat of two, of somebody who runs an app already with somebody who does not.
    async fn two_more(
        &self,
        one: (&Person, &str),
        (phone, name): (&Phone, &str),
    ) -> (Person, Person) {
        let first = self.chat_of(one.0, one.1).await;
        let link = first.link().await;
        let second = self.world.joiner_on(name, &link, phone.options()).await;
        is_named(&first, name).await;
        (first, second)
    }

    /// One more chat of two who both run an app already.
    async fn two_more_by(&self, one: (&Person, &str), other: (&Person, &str)) -> (Person, Person) {
        let first = self.chat_of(one.0, one.1).await;
        let (link, name) = (first.link().await, other.1.to_owned());
        let joined = other.0.client.join(&link, &JoinOptions { name }).await;
        let second = elsewhere(other.0, joined.unwrap());
        second.until_standing(Standing::In).await;
        (first, second)
    }

    async fn chat_of(&self, founder: &Person, name: &str) -> Person {
        let room = RoomOptions {
            admission: Admission::Chat,
            ..self.world.room(name)
        };
        let chat = founder.client.found(room).await.unwrap();
        let chat = elsewhere(founder, chat);
        chat.until_standing(Standing::In).await;
        chat
    }

    /// The app on this phone, opened again, and the chat in it with somebody of this name.
    async fn opens_with(&self, phone: &Phone, name: &str) -> Person {
        let device = self.world.device_with(phone.options()).await;
        for conversation in device.0.conversations() {
            let members = conversation.members().await.unwrap();
            if members.iter().any(|one| one.name.as_deref() == Some(name)) {
                return person(device, conversation);
            }
        }
        panic!("no conversation with {name}");
    }

    /// The app on this phone, opened again, and the one chat in it that is no desk's team.
    async fn opens(&self, phone: &Phone) -> Person {
        self.opens_where(phone, false).await
    }

    /// The same, in the team.
    async fn opens_team(&self, phone: &Phone) -> Person {
        self.opens_where(phone, true).await
    }

    async fn opens_where(&self, phone: &Phone, is_team: bool) -> Person {
        let device = self.world.device_with(phone.options()).await;
        for conversation in device.0.conversations() {
            let address = conversation.desk_address().await.unwrap();
            if address.is_some() == is_team {
                return person(device, conversation);
            }
        }
        panic!("no such conversation");
    }

    /// Somebody with nothing but words, on this phone that knows nothing of them.
    async fn comes_back(&self, phone: &Phone, words: &ReturnWords) -> Person {
        let device = self.world.device_with(phone.options()).await;
        let relay = self.world.address();
        let mut conversations = device.0.come_back(words, &relay).await.unwrap();
        assert_eq!(conversations.len(), 1);
        person(device, conversations.remove(0))
    }

    /// Return words that are good: the relay has their backup.
    async fn words_of(&self, person: &Person) -> ReturnWords {
        backs_up(person, &self.world).await
    }
}

fn person((client, network): (Client, Network), conversation: Conversation) -> Person {
    Person {
        client,
        network,
        conversation,
    }
}

/// A person of this app, in another conversation.
fn elsewhere(of: &Person, conversation: Conversation) -> Person {
    person((of.client.clone(), of.network.clone()), conversation)
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&one| one.to_owned()).collect()
}

/// The words of the tickets as this supporter sees them, the first one first, once there are so many.
async fn sees(supporter: &Person, count: usize) -> Vec<String> {
    for _ in 0..100 {
        let tickets = supporter.conversation.tickets().await.unwrap();
        if tickets.len() == count {
            return tickets.into_iter().map(|one| one.ticket.words).collect();
        }
        pass(Duration::from_secs(5)).await;
    }
    panic!("never {count} tickets");
}

/// What a seeker says beforehand.
fn saying(words: &str) -> Ticket {
    Ticket {
        words: words.into(),
        ..Ticket::default()
    }
}

/// The supporter takes the ticket with these words, and the two are in their chat.
async fn answers(supporter: &Person, name: &str, seeker: &Person, words: &str) -> Person {
    let ticket = sees_words(supporter, words).await;
    let team = &supporter.conversation;
    let chat = supporter.client.take(team, ticket.id, name).await.unwrap();
    let chat = elsewhere(supporter, chat);
    chat.until_standing(Standing::In).await;
    seeker.until_standing(Standing::Waiting).await;
    if !words.is_empty() {
        assert_eq!(chat.hears().await.text, words);
    }
    chat
}

/// The supporter in `chat` asks the team for somebody. The one who hears it knocks at the chat's door; and
/// what their leaf will be.
async fn knocks_when_called(
    (chat, team, seeker): (&Person, &Person, &Person),
    third: (&Person, &str),
    asks: &str,
    badge_of: Option<&OrganisationId>,
) -> (Person, LeafId) {
    keeps_door(seeker).await;
    keeps_door(chat).await;
    let call = chat.conversation.call(&team.conversation, asks);
    call.await.unwrap();
    let called = |event: &Event| match event {
        Event::Called {
            asks: what, link, ..
        } if what.0 == asks => Some((**link).clone()),
        _ => None,
    };
    let link = third.0.until("a call", called).await;
    let asked = third.0.client.ask_to_enter(&link, third.1, badge_of).await;
    let third = elsewhere(third.0, asked.unwrap());
    (third, sees_knock(seeker).await)
}

/// One badge for this person's device, of an organisation that may say just this.
async fn badge_for(
    town: &Town,
    person: &Person,
    organisation: &OrganisationKey,
    of: &BadgeAttributes,
) -> Issued {
    let asked = person.client.ask_for_badges(1).await.unwrap();
    let list = BadgeList {
        roles: vec![of.role.clone()],
        training: of.training.clone(),
        languages: of.languages.clone(),
        been_there: of.been_there.clone(),
    };
    let until = week_end(town.today() + 3);
    let batch = asked.issue(organisation, of, &list, (until, town.now_ms()));
    let batch = batch.unwrap();
    let taken = person.client.import_badges(&batch).await;
    assert_eq!(taken.unwrap(), 1);
    batch.issued().next().unwrap()
}

/// Until this text; the texts that come before it.
async fn hears_until(person: &Person, text: &str) -> Vec<String> {
    let mut before = Vec::new();
    loop {
        let heard = person.hears().await.text;
        if heard == text {
            return before;
        }
        before.push(heard);
    }
}

/// Until these are all who are here, by name.
async fn is_with(person: &Person, names: &[&str]) {
    let mut last = Vec::new();
    for _ in 0..600 {
        last = person.names().await;
        if last == names {
            return;
        }
        pass(Duration::from_secs(1)).await;
    }
    panic!("{last:?} and not {names:?}");
}

/// The leaf of who is called so, as soon as it is known.
async fn leaf_of(person: &Person, name: &str) -> LeafId {
    is_named(person, name).await;
    person.leaf_of(name).await
}

/// Until this and nothing else is kept of what was said.
async fn keeps(person: &Person, texts: &[&str]) {
    let mut last = Vec::new();
    for _ in 0..60 {
        last = kept(person).await;
        if last == texts {
            return;
        }
        pass(Duration::from_secs(1)).await;
    }
    panic!("{last:?} and not {texts:?}");
}

/// What this device keeps of what was said.
async fn kept(person: &Person) -> Vec<String> {
    let kept = person.conversation.history().await.unwrap();
    kept.into_iter().map(|message| message.text).collect()
}
