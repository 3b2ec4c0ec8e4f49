//! `sotto demo desk`: a night at a support desk, with what goes wrong there. After every step the relay is
//! killed and its folder is taken, as who seizes it would.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use sotto_client::transport::WebSocketDialer;
use sotto_client::{
    AskOptions, Confidentiality, DeskAddress, DeskPlan, Event, JoinOptions, LeafId, Link,
    OrganisationKey, Resource, ReturnWords, RoomOptions, SafeWord, Safety, Ticket,
};
use sotto_server::clock::SystemClock;
use sotto_server::seizure::seize;
use tokio::time::Instant;

use super::arguments::DemoDeskArgs;
use super::ear::{Ear, Somebody, until_there};
use super::relay::RelayProcess;
use super::{Scratch, number};
use crate::desk::always;
use crate::output::{Done, Failure, Output, STORE_REFUSED, fields};
use crate::speak::{Closing, log_to_file, suite_name};

const ANA: &str = "Ana Quietwater";
const BEN: &str = "Ben Lanternfield";
const KAY: &str = "Dr Kay Harbourne";
const LOU: &str = "Lou Windermere";
const MIA: &str = "Mia Thistledown";
const NAMES: [&str; 5] = [ANA, BEN, KAY, LOU, MIA];
const TOPIC: &str = "somebody at home hurts me";
const ASKS: &str = "I do not know whether I am allowed to write here.";
const LOU_ASKS: &str = "I only need ten minutes of somebody.";
const BEFORE: [&str; 4] = [
    "You are. I am glad that you did. Take your time.",
    "He is asleep now. He took my keys away again.",
    "That should not happen to you. Is there somewhere you feel safe?",
    "My sister's, but that is two hours away from here.",
];
const WHILE_DOWN: &str = "I wrote this while nothing went through.";
const CALLS: &str = "a professional, for somebody in danger";
const AFTER: [&str; 3] = [
    "I am a social worker of this desk. I only see what is said from now on.",
    "Can she really find me a bed for tonight?",
    "She can, and I stay here with you until you say otherwise.",
];
const LAST: &str = "I hear somebody on the stairs.";
const SAFE_WORD: &str = "elderberry jam";
const BACK: [&str; 2] = [
    "It is me again, on my sister's old telephone.",
    "Welcome back. Both of us are still here with you.",
];

/// What the last line says.
#[derive(Debug, Default, Serialize)]
struct Counts {
    steps: u64,
    seizures: u64,
    logs_seized: u64,
    entries_seized: u64,
    places_kept: u64,
    claims_won: u64,
    claims_lost: u64,
    messages: u64,
    lost: u64,
    doubled: u64,
    read_from_before: u64,
    left_on_device: u64,
    safe_word_right: bool,
    found_on_disk: u64,
    control_found: bool,
    suite: &'static str,
    seconds: f64,
}

/// A message, and whose ears it was for.
struct Said {
    text: &'static str,
    by_all: Vec<Arc<Ear>>,
}

/// A desk, its relay, and who searches what.
struct Night<'a> {
    output: Output,
    scratch: &'a Scratch,
    relay: RelayProcess,
    dialer: WebSocketDialer,
    closing: Option<Closing>,
    said: Vec<Said>,
    counts: Counts,
}

/// The desk's people, each in the team's room.
struct Team {
    ana: (Somebody, Ear),
    ben: (Somebody, Ear),
    kay: (Somebody, Ear),
    address: DeskAddress,
}

/// Somebody who asks, or talks.
struct Seeker {
    device: Somebody,
    ear: Arc<Ear>,
}

/// Plays it.
pub(crate) async fn run(arguments: DemoDeskArgs, output: &Output) -> Result<Done, Failure> {
    let begun = Instant::now();
    let mut scratch = Scratch::new()?;
    scratch.folder.disable_cleanup(arguments.keep);
    let output = output.copied_to(&scratch.output.join("demo.txt"))?;
    log_to_file(&scratch.output.join("clients.log"))?;
    let relay = RelayProcess::start(&scratch.relay, &scratch.output).await?;
    output.object(&json!({"type": "start"}));
    output.words(
        "A relay runs in a scratch folder on a free port of this machine. Anyone may create \
         conversations on it (dangerous_open). After every step it is killed, and its disk is taken.",
    );
    let mut night = Night {
        output: output.clone(),
        scratch: &scratch,
        relay,
        dialer: WebSocketDialer::new(),
        closing: None,
        said: Vec::new(),
        counts: Counts {
            control_found: true,
            ..Counts::default()
        },
    };
    let played = night.play().await;
    night.counts.seconds = begun.elapsed().as_secs_f64();
    if arguments.keep {
        let path = scratch.folder.path().display();
        output.words(&format!("Kept for you to look: {path}"));
    }
    played?;
    verdict(&output, &night.counts)
}

impl Night<'_> {
    async fn play(&mut self) -> Result<(), Failure> {
        let team = self.desk_opens().await?;
        self.seized("a desk opens").await?;
        let (lou, mut mia) = self.two_ask(&team).await?;
        self.seized("two ask").await?;
        self.place_is_kept(&team, lou, &mia).await?;
        self.seized("her place was kept").await?;
        let (winner, chat) = self.two_take(&team, &mia).await?;
        self.seized("two take one ticket").await?;
        self.they_talk(&mia.ear, &chat).await?;
        self.seized("they talk").await?;
        let kay = self.somebody_enters(&team, winner, &mia.ear, &chat).await?;
        self.seized("a professional came in").await?;
        let words = self.agree(&mia, &chat).await?;
        self.seized("she has her words").await?;
        self.exit(&mia, &chat, &kay).await?;
        self.seized("she is gone").await?;
        mia = self.comes_back(&words, &chat, &kay).await?;
        self.judge();
        self.counts.suite = suite_name(mia.ear.conversation.suite().await?);
        let Team { ana, ben, kay, .. } = team;
        for (somebody, _) in [ana, ben, kay] {
            somebody.client.close().await;
        }
        mia.device.client.close().await;
        self.seized("all is over").await?;
        if !self.relay.stop().await? {
            return Err(Failure::could_not_run("the relay did not stop well"));
        }
        Ok(())
    }

    fn scene(&mut self, name: &str, words: &str) {
        self.counts.steps += 1;
        self.output.object(&json!({"type": "scene", "name": name}));
        self.output.words(&format!("• {words}"));
    }

    async fn device(&self, device: &str) -> Result<Somebody, Failure> {
        Somebody::with_device(&self.scratch.vaults, device, &self.dialer).await
    }

    /// Says it, and waits until all of these heard it.
    async fn says(
        &mut self,
        text: &'static str,
        by: &Ear,
        all: &[&Arc<Ear>],
    ) -> Result<(), Failure> {
        by.conversation.send(text).await?;
        for ear in all {
            ear.hears_text(text).await?;
        }
        self.is_for(text, all);
        Ok(())
    }

    fn is_for(&mut self, text: &'static str, all: &[&Arc<Ear>]) {
        let by_all = all.iter().map(|ear| Arc::clone(ear)).collect();
        self.said.push(Said { text, by_all });
    }

    /// kill -9; the folder is read as it lies there, and searched; then the relay starts again.
    async fn seized(&mut self, when: &'static str) -> Result<(), Failure> {
        self.relay.kill().await?;
        let seized = seize(&self.scratch.relay, Arc::new(SystemClock::new())).await;
        let seized = seized.map_err(|error| Failure {
            code: STORE_REFUSED,
            ..Failure::could_not_run(format!("the relay's folder could not be read: {error}"))
        })?;
        let entries: u64 = seized.logs.iter().map(|log| log.entries).sum();
        self.counts.seizures += 1;
        self.counts.logs_seized = number(seized.logs.len());
        self.counts.entries_seized = entries;
        let report = serde_json::to_vec_pretty(&seized)
            .map_err(|_| Failure::could_not_run("the seizure's report could not be written"))?;
        // What is printed of it is searched with everything else.
        let name = format!("seizure-{}.json", self.counts.seizures);
        std::fs::write(self.scratch.output.join(name), report)?;
        self.output.object(&json!({
            "type": "seizure", "when": when, "logs": seized.logs.len(), "entries": entries,
        }));
        self.output.words(&format!(
            "  kill -9, and the disk is taken: {} logs with {entries} sealed entries, under ids that \
             say nothing",
            seized.logs.len(),
        ));
        if let Some(closing) = &self.closing {
            let searched = closing.search(when).await?;
            self.counts.found_on_disk += searched.hits();
            self.counts.control_found &= searched.control_found();
        }
        self.relay.restart().await
    }

    async fn desk_opens(&mut self) -> Result<Team, Failure> {
        self.scene(
            "desk",
            "A desk opens: two listen, and a professional can be called.",
        );
        let ana = self.device("ana").await?;
        let room = RoomOptions::new(self.relay.address().clone(), ANA);
        let team = Ear::of(ana.client.found(room).await?);
        team.conversation.ready().await?;
        team.conversation
            .found_desk(OrganisationKey::random()?, plan()?)
            .await?;
        is_ready(&team).await?;
        let address = team.conversation.desk_address().await?;
        let address = address.ok_or_else(|| Failure::could_not_run("a desk without an address"))?;
        let link = team.conversation.link().await?;
        let link = link.ok_or_else(|| Failure::could_not_run("a team without a link"))?;
        self.closing = Some(Closing::of(
            sentences(),
            NAMES.into_iter(),
            core::slice::from_ref(&link),
            (self.scratch.haystack(), &self.output),
        )?);
        let ben = self.joins(BEN, "ben", &link).await?;
        let kay = self.joins(KAY, "kay", &link).await?;
        team.conversation.duty(true).await?;
        ben.1.conversation.duty(true).await?;
        Ok(Team {
            ana: (ana, team),
            ben,
            kay,
            address,
        })
    }

    async fn joins(
        &self,
        name: &'static str,
        device: &str,
        link: &Link,
    ) -> Result<(Somebody, Ear), Failure> {
        let somebody = self.device(device).await?;
        let options = JoinOptions { name: name.into() };
        let team = Ear::of(somebody.client.join(link, &options).await?);
        is_ready(&team).await?;
        Ok((somebody, team))
    }

    async fn asks(
        &self,
        team: &Team,
        (name, device): (&'static str, &str),
        words: &str,
    ) -> Result<Seeker, Failure> {
        let somebody = self.device(device).await?;
        let visit = somebody.client.visit(&team.address).await?;
        let options = AskOptions {
            name: name.into(),
            ticket: Ticket {
                words: words.into(),
                topic: Some(TOPIC.into()),
                ..Ticket::default()
            },
        };
        let ear = Arc::new(Ear::of(somebody.client.ask(&visit, options).await?));
        let is_there = |event: &Event| (*event == Event::Knocked).then_some(());
        ear.hears("a ticket in the queue", is_there).await?;
        Ok(Seeker {
            device: somebody,
            ear,
        })
    }

    async fn two_ask(&mut self, team: &Team) -> Result<(Seeker, Seeker), Failure> {
        self.scene(
            "ask",
            "Two ask, without an account. The second is number 2 in the line.",
        );
        let lou = self.asks(team, (LOU, "lou"), LOU_ASKS).await?;
        let mia = self.asks(team, (MIA, "mia"), ASKS).await?;
        is_behind(&mia.ear, 0, 1).await?;
        Ok((lou, mia))
    }

    /// The relay was just killed; now her line breaks as well. Then who is before her is answered.
    async fn place_is_kept(
        &mut self,
        team: &Team,
        lou: Seeker,
        mia: &Seeker,
    ) -> Result<(), Failure> {
        self.scene(
            "place",
            "The relay comes back, then her line breaks: her place is the same.",
        );
        mia.ear.is_online(true).await?;
        self.still_behind(mia).await?;
        mia.device.wire.cut();
        mia.ear.is_online(false).await?;
        mia.device.wire.mend();
        mia.ear.is_online(true).await?;
        self.still_behind(mia).await?;
        let mark = mia.ear.mark();
        let (ana, room) = &team.ana;
        let ticket = ticket_of(room, LOU_ASKS).await?;
        let chat = ana.client.take(&room.conversation, ticket, ANA).await?;
        let chat = Arc::new(Ear::of(chat));
        chat.hears_text(LOU_ASKS).await?;
        lou.ear.hears_text(LOU_ASKS).await?;
        self.is_for(LOU_ASKS, &[&chat, &lou.ear]);
        is_behind(&mia.ear, mark, 0).await?;
        chat.conversation.leave().await?;
        lou.device.client.close().await;
        Ok(())
    }

    async fn still_behind(&mut self, mia: &Seeker) -> Result<(), Failure> {
        // Nothing is shown until the relay was asked again over the new line.
        let look = || async { Ok(mia.ear.conversation.place().await?) };
        let place = until_there("a place in the line", look).await?;
        self.counts.places_kept += u64::from(place.ahead == 1);
        Ok(())
    }

    /// Two listeners press at the same moment.
    async fn two_take(&mut self, team: &Team, mia: &Seeker) -> Result<(usize, Arc<Ear>), Failure> {
        self.scene("claim", "Two listeners take her ticket at the same moment.");
        let (ana, ben) = (&team.ana, &team.ben);
        let (here, there) = (
            ticket_of(&ana.1, ASKS).await?,
            ticket_of(&ben.1, ASKS).await?,
        );
        let (one, other) = tokio::join!(
            ana.0.client.take(&ana.1.conversation, here, ANA),
            ben.0.client.take(&ben.1.conversation, there, BEN),
        );
        let mut won = None;
        for (who, chat) in [one, other].into_iter().enumerate() {
            // Who heard in time that somebody else was about to has no chat at all.
            let Ok(chat) = chat else {
                self.counts.claims_lost += 1;
                continue;
            };
            let chat = Arc::new(Ear::of(chat));
            let is_mine = chat.hears("an answer or none", |event| match event {
                Event::Message(_) => Some(true),
                Event::NotTaken => Some(false),
                _ => None,
            });
            if is_mine.await? {
                self.counts.claims_won += 1;
                won = Some((who, chat));
            } else {
                self.counts.claims_lost += 1;
            }
        }
        let (who, chat) = won.ok_or_else(|| Failure::could_not_run("nobody took the ticket"))?;
        mia.ear.is_in("an answer").await?;
        mia.ear.hears_text(ASKS).await?;
        self.is_for(ASKS, &[&mia.ear, &chat]);
        // Whole names stand nowhere but in sealed places, not even here.
        let name = ["Ana", "Ben"].get(who).copied().unwrap_or_default();
        self.output
            .words(&format!("  {name} has it, and nobody else."));
        Ok((who, chat))
    }

    async fn they_talk(&mut self, mia: &Arc<Ear>, chat: &Arc<Ear>) -> Result<(), Failure> {
        self.scene(
            "talk",
            "They talk; the relay is killed in the middle of it.",
        );
        for (turn, text) in BEFORE.into_iter().enumerate() {
            let by = if turn % 2 == 0 { chat } else { mia };
            self.says(text, by, &[mia, chat]).await?;
        }
        self.relay.kill().await?;
        mia.is_online(false).await?;
        mia.conversation.send(WHILE_DOWN).await?;
        self.relay.restart().await?;
        for ear in [mia, chat] {
            ear.hears_text(WHILE_DOWN).await?;
        }
        self.is_for(WHILE_DOWN, &[mia, chat]);
        Ok(())
    }

    /// The listener calls somebody, who asks to come in; the seeker says yes, from now on.
    async fn somebody_enters(
        &mut self,
        team: &Team,
        winner: usize,
        mia: &Arc<Ear>,
        chat: &Arc<Ear>,
    ) -> Result<Arc<Ear>, Failure> {
        self.scene(
            "crisis",
            "The listener calls a professional, who asks to come in. She says yes: from now on.",
        );
        let room = if winner == 0 {
            &team.ana.1
        } else {
            &team.ben.1
        };
        let has_door = || async { Ok(chat.conversation.link().await?.map(drop)) };
        until_there("a door of the chat", has_door).await?;
        chat.conversation.call(&room.conversation, CALLS).await?;
        let (kay, room) = &team.kay;
        let called = |event: &Event| match event {
            Event::Called { link, .. } => Some((**link).clone()),
            _ => None,
        };
        let link = room.hears("a call", called).await?;
        let entered = kay.client.ask_to_enter(&link, KAY, None).await?;
        let entered = Arc::new(Ear::of(entered));
        let leaf = mia.hears("a knock", knock).await?;
        mia.conversation.admit(leaf).await?;
        entered.is_in("the seeker's yes").await?;
        let joined =
            |event: &Event| matches!(event, Event::Joined { leaf: who, .. } if *who == leaf);
        for ear in [mia, chat] {
            let told = |event: &Event| joined(event).then_some(());
            ear.hears("that somebody came in", told).await?;
        }
        let all = [mia, chat, &entered];
        for (text, by) in AFTER.into_iter().zip([&entered, mia, chat]) {
            self.says(text, by, &all).await?;
        }
        let before = BEFORE.into_iter().chain([ASKS, WHILE_DOWN]);
        let read = before.map(|text| entered.times(text)).sum::<usize>();
        self.counts.read_from_before += number(read);
        Ok(entered)
    }

    async fn agree(&mut self, mia: &Seeker, chat: &Ear) -> Result<ReturnWords, Failure> {
        self.scene(
            "words",
            "She keeps eight return words, and a safe word is agreed.",
        );
        let words = mia.device.client.back_up(self.relay.address()).await?;
        let word: SafeWord = SAFE_WORD
            .parse()
            .map_err(|_| Failure::could_not_run("a safe word that cannot be one"))?;
        mia.ear.conversation.agree_safe_word(&word).await?;
        let agreed = |event: &Event| matches!(event, Event::Safety { .. }).then_some(());
        chat.hears("a safe word", agreed).await?;
        mia.device.client.backed_up().await?;
        Ok(words)
    }

    /// Somebody comes into the room.
    async fn exit(&mut self, mia: &Seeker, chat: &Arc<Ear>, kay: &Arc<Ear>) -> Result<(), Failure> {
        self.scene(
            "exit",
            "Somebody comes into the room: one gesture, and nothing is left.",
        );
        // The relay was just killed, and that she is away is said at once or not at all: first the line is
        // there again.
        self.says(LAST, &mia.ear, &[&mia.ear, chat, kay]).await?;
        mia.device.client.quick_exit().await?;
        let away = |event: &Event| matches!(event, Event::Away { .. }).then_some(());
        chat.hears("that somebody is away", away).await?;
        let left = std::fs::read_dir(&mia.device.folder).map_or(0, Iterator::count);
        self.counts.left_on_device += number(left);
        Ok(())
    }

    async fn comes_back(
        &mut self,
        words: &ReturnWords,
        chat: &Arc<Ear>,
        kay: &Arc<Ear>,
    ) -> Result<Seeker, Failure> {
        self.scene(
            "return",
            "On another device she types the eight words, and gives the safe word.",
        );
        let device = self.device("another").await?;
        let mark = chat.mark();
        let found = device.client.come_back(words, self.relay.address()).await?;
        let conversation = found.into_iter().next();
        let conversation = conversation
            .ok_or_else(|| Failure::could_not_run("the words lead to no conversation"))?;
        let word: SafeWord = SAFE_WORD
            .parse()
            .map_err(|_| Failure::could_not_run("a safe word that cannot be one"))?;
        conversation.give_safe_word(&word).await?;
        let ear = Arc::new(Ear::of(conversation));
        let judged = |event: &Event| match event {
            Event::Safety {
                safety: Safety::Verified,
                ..
            } => Some(()),
            _ => None,
        };
        chat.since(mark, "the safe word", judged).await?;
        self.counts.safe_word_right = true;
        let all = [&ear, chat, kay];
        for (text, by) in BACK.into_iter().zip([&ear, chat]) {
            self.says(text, by, &all).await?;
        }
        Ok(Seeker { device, ear })
    }

    /// Everybody heard what was for them once.
    fn judge(&mut self) {
        for said in &self.said {
            self.counts.messages += 1;
            for times in said.by_all.iter().map(|ear| ear.times(said.text)) {
                self.counts.lost += u64::from(times == 0);
                self.counts.doubled += u64::from(times > 1);
            }
        }
    }
}

fn sentences() -> impl Iterator<Item = &'static str> {
    let one = [TOPIC, ASKS, LOU_ASKS, WHILE_DOWN, CALLS, LAST, SAFE_WORD];
    one.into_iter().chain(BEFORE).chain(AFTER).chain(BACK)
}

fn plan() -> Result<DeskPlan, Failure> {
    let hours = always("UTC").map_err(|error| Failure::could_not_run(error.to_string()))?;
    Ok(DeskPlan {
        desk: 0,
        name: "Night line".into(),
        topics: vec![TOPIC.into()],
        languages: vec!["en".into()],
        been_there: Vec::new(),
        hours,
        capacity: 50,
        chats_each: 2,
        minutes: 0,
        confidentiality: Confidentiality {
            version: 1,
            words: "What you say stays here, unless somebody is in danger.".into(),
        },
        resources: vec![Resource {
            name: "Emergency".into(),
            how: "112".into(),
        }],
        days: 30,
    })
}

async fn is_ready(team: &Ear) -> Result<(), Failure> {
    let ready = |event: &Event| (*event == Event::DeskReady).then_some(());
    team.hears("a desk", ready).await
}

async fn is_behind(ear: &Ear, since: usize, count: u64) -> Result<(), Failure> {
    let is_so = |event: &Event| matches!(event, Event::Place(place) if place.ahead == count);
    let told = |event: &Event| is_so(event).then_some(());
    ear.since(since, "a place in the line", told).await
}

async fn ticket_of(team: &Ear, words: &str) -> Result<sotto_client::TicketId, Failure> {
    let look = || async {
        let tickets = team.conversation.tickets().await?;
        let found = tickets.into_iter().find(|one| one.ticket.words == words);
        Ok(found.map(|ticket| ticket.id))
    };
    until_there("a ticket", look).await
}

const fn knock(event: &Event) -> Option<LeafId> {
    match event {
        Event::Knock { leaf, .. } => Some(*leaf),
        _ => None,
    }
}

fn verdict(output: &Output, counts: &Counts) -> Result<Done, Failure> {
    let mut broken = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            broken.push(what.to_owned());
        }
    };
    must(counts.seizures == counts.steps, "a step without a seizure");
    must(counts.places_kept == 2, "a place was lost");
    must(
        counts.claims_won == 1,
        "a ticket was not answered by exactly one",
    );
    must(counts.claims_lost == 1, "who lost a claim was not told");
    must(counts.lost == 0, "a message was lost");
    must(counts.doubled == 0, "a message came twice");
    must(
        counts.read_from_before == 0,
        "who came in read what was said before",
    );
    must(counts.left_on_device == 0, "a quick exit left something");
    must(counts.safe_word_right, "the safe word was not believed");
    must(
        counts.found_on_disk == 0,
        "something that was said was found on a disk",
    );
    must(
        counts.control_found,
        "the search does not find what is there",
    );
    output.words(&format!(
        "\n{} messages, each heard once by everybody it was for; {} seizures, the last of {} logs with {} \
         entries: nothing that was said, no name and no link in any of them. {:.1} s.",
        counts.messages, counts.seizures, counts.logs_seized, counts.entries_seized, counts.seconds,
    ));
    if broken.is_empty() {
        Ok(fields(counts))
    } else {
        Err(Failure::promise(broken.join("; "), fields(counts)))
    }
}
