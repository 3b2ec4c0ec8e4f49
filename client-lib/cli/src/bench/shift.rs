//! A desk in a town, and who works there: shared by the benches that play an evening.

use std::sync::Arc;
use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::{
    Client, Confidentiality, Conversation, DeskAddress, DeskPlan, DeskTicket, Event, Hours,
    JoinOptions, Link, OrganisationKey, Resource, RoomOptions, Suite, TicketId,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::town::Town;
use crate::output::Failure;
use crate::speak::Dice;

/// Of a thousand who come so many leave early if they wait for long.
const EARLY_PER_MILLE: usize = 435;
/// A supporter looks at the list for so long before they take somebody, and at most so long.
const LOOK_MS: (usize, usize) = (500, 4_000);

/// What kind of desk it is.
pub(super) struct Opens {
    pub(super) hours: Hours,
    pub(super) capacity: u16,
    pub(super) chats: u8,
    pub(super) classic: bool,
}

impl Opens {
    /// Founds it from this device: the team's room, and where one asks.
    pub(super) async fn at(
        self,
        town: &Town,
        office: &Client,
    ) -> Result<(Conversation, DeskAddress), Failure> {
        let room = RoomOptions {
            suite: if self.classic {
                Suite::Classic
            } else {
                Suite::Hybrid
            },
            ..RoomOptions::new(town.address().clone(), "Office")
        };
        let team = office.found(room).await?;
        team.ready().await?;
        let plan = DeskPlan {
            desk: 0,
            name: "The listening room".into(),
            topics: Vec::new(),
            languages: vec!["en".into()],
            been_there: Vec::new(),
            hours: self.hours,
            capacity: u32::from(self.capacity),
            chats_each: self.chats,
            minutes: 0,
            confidentiality: Confidentiality {
                version: 1,
                words: "What you say stays here, unless somebody is in danger.".into(),
            },
            resources: vec![Resource {
                name: "A teacher you trust".into(),
                how: "room 12".into(),
            }],
            days: 30,
        };
        team.found_desk(OrganisationKey::random()?, plan).await?;
        until_event(&team, |event| *event == Event::DeskReady).await?;
        let address = team.desk_address().await?;
        let address = address.ok_or_else(|| Failure::could_not_run("a desk without an address"))?;
        Ok((team, address))
    }
}

pub(super) fn unfit(error: impl ToString) -> Failure {
    Failure::could_not_run(error.to_string())
}

pub(super) async fn until_event(
    conversation: &Conversation,
    wanted: impl Fn(&Event) -> bool,
) -> Result<(), Failure> {
    while let Some(event) = conversation.next_event().await {
        if wanted(&event) {
            return Ok(());
        }
    }
    Err(Failure::could_not_run("a conversation ended too early"))
}

/// The link into the team's room.
pub(super) async fn link_of(team: &Conversation) -> Result<Link, Failure> {
    let link = team.link().await?;
    link.ok_or_else(|| Failure::could_not_run("the team's room has no link"))
}

/// How long somebody waits who leaves early, of those who do; nothing of who stays.
pub(super) fn patience(dice: &mut Dice, mean_s: f64) -> Option<Duration> {
    let early = dice.below(1_000) < EARLY_PER_MILLE;
    early.then(|| Duration::from_secs_f64(dice.exponential(mean_s)))
}

/// Who looks over a supporter's shoulder.
pub(super) trait Watch: Send + Sync {
    /// It lies in the queue.
    fn sees(&self, _: &DeskTicket) {}

    /// It is answered, by who took it then.
    fn answered(&self, _: &DeskTicket, _: Instant) {}
}

/// How supporters work.
#[derive(Clone)]
pub(super) struct Shift {
    /// Into the team's room.
    pub(super) link: Link,
    /// Chats that one has at a time.
    pub(super) most: usize,
    /// A chat, in seconds: log-normal, with this median and spread.
    pub(super) chat_s: (f64, f64),
    /// Nobody takes a ticket any more.
    pub(super) over: CancellationToken,
}

impl Shift {
    /// One supporter, from before the first comes until the last chat is over.
    pub(super) async fn run(
        self,
        town: Arc<Town>,
        watch: Arc<dyn Watch>,
        mut dice: Dice,
    ) -> Result<(), Failure> {
        let (client, _) = town.somebody().await?;
        let options = JoinOptions {
            name: "Supporter".into(),
        };
        let team = client.join(&self.link, &options).await?;
        until_event(&team, |event| *event == Event::DeskReady).await?;
        team.duty(true).await?;
        let (mut chats, mut tried) = (JoinSet::new(), Vec::new());
        while !self.over.is_cancelled() {
            team.tickets().await?.iter().for_each(|one| watch.sees(one));
            let ticket = if chats.len() < self.most {
                next_ticket(&team, &tried, &mut dice).await?
            } else {
                None
            };
            let Some(ticket) = ticket else {
                tokio::select! {
                    Some(_) = chats.join_next() => {}
                    event = team.next_event() => {
                        event.ok_or_else(|| Failure::could_not_run("the team's room ended"))?;
                    }
                    () = self.over.cancelled() => {}
                }
                continue;
            };
            tried.push(ticket.id);
            let took = Instant::now();
            let chat = match client.take(&team, ticket.id, "Supporter").await {
                Ok(chat) => chat,
                // It is gone since the list was read.
                Err(error) if error.kind() == ErrorKind::Invalid => continue,
                Err(error) => return Err(error.into()),
            };
            let (median, sigma) = self.chat_s;
            let lasts = Duration::from_secs_f64(dice.log_normal(median, sigma));
            chats.spawn(talk(Arc::clone(&watch), (ticket, took), chat, lasts));
        }
        team.duty(false).await?;
        while chats.join_next().await.is_some() {}
        client.close().await;
        Ok(())
    }
}

/// One of the oldest that this listener did not try, after a look at the list.
async fn next_ticket(
    team: &Conversation,
    tried: &[TicketId],
    dice: &mut Dice,
) -> Result<Option<DeskTicket>, Failure> {
    let (least, most) = LOOK_MS;
    let look = u64::try_from(least + dice.below(most - least)).unwrap_or_default();
    sleep(Duration::from_millis(look)).await;
    let tickets = team.tickets().await?;
    let free = tickets
        .into_iter()
        .find(|one| !one.id.is_letter && !one.is_claimed && !tried.contains(&one.id));
    Ok(free)
}

/// A chat, unless somebody else was faster.
async fn talk(
    watch: Arc<dyn Watch>,
    (ticket, took): (DeskTicket, Instant),
    chat: Conversation,
    lasts: Duration,
) -> Option<()> {
    chat.ready().await.ok()?;
    watch.answered(&ticket, took);
    sleep(lasts).await;
    chat.leave().await.ok()?;
    while chat.next_event().await.is_some() {}
    Some(())
}
