//! A desk in a town, and what a supporter there does: shared by the benches that play an evening.

use std::time::Duration;

use sotto_client::{
    Client, Confidentiality, Conversation, DeskAddress, DeskPlan, DeskTicket, Event, Hours, LeafId,
    OrganisationKey, Resource, RoomOptions, Suite, TicketId,
};
use tokio::time::sleep;

use super::town::Town;
use crate::output::Failure;
use crate::speak::Dice;

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

/// One of the oldest that this listener did not try, after a look at the list.
pub(super) async fn next_ticket(
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
pub(super) async fn talk(chat: Conversation, lasts: Duration) -> Option<LeafId> {
    chat.ready().await.ok()?;
    sleep(lasts).await;
    chat.leave().await.ok()?;
    while chat.next_event().await.is_some() {}
    None
}
