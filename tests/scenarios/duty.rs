//! On duty and taking nobody new; and whom a desk names for a crisis, where there is no line.

use std::time::Duration;

use sotto_client::error::ErrorKind;
use sotto_client::vault::{MemoryVault, SharedVault};
use sotto_client::{ClientOptions, DutyMode, Event, Standing};
use sotto_tests::world::{World, pass};

use crate::desk::{office, plan, seeker, seeker_on, sees_words, takes};

#[tokio::test(start_paused = true)]
async fn who_is_finishing_or_has_a_break_takes_nobody_and_hears_of_nobody_new() {
    let world = World::start().await;
    let ann = office(&world).await;
    let sam = seeker(&world, &ann, "first").await;
    let chat = takes(&ann, sees_words(&ann, "first").await.id).await;
    chat.until_standing(Standing::In).await;
    let team = &ann.conversation;
    for mode in [DutyMode::Finishing, DutyMode::Break] {
        team.duty_as(mode).await.unwrap();
        assert_eq!(team.duty_mode().await.unwrap(), Some(mode));
        let waits = seeker(&world, &ann, mode.name()).await;
        let ticket = sees_words(&ann, mode.name()).await;
        let refused = ann.client.take(team, ticket.id, "Ann").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotAllowed);
        // Nothing was claimed by it, and what was begun goes on.
        assert!(!waits.conversation.place().await.unwrap().unwrap().is_taken);
        chat.says(mode.name()).await;
        assert_eq!(ann.client.chats_held().await, 1);
        waits.conversation.leave().await.unwrap();
        pass(Duration::from_secs(120)).await;
    }
    team.duty_as(DutyMode::Takes).await.unwrap();
    let _third = seeker(&world, &ann, "third").await;
    let mut told = Vec::new();
    while told.last().is_none_or(|words| words != "third") {
        if let Some(Event::Ticket(ticket)) = team.next_event().await {
            told.push(ticket.ticket.words);
        }
    }
    // Nobody was told of those who came meanwhile.
    assert_eq!(told, ["first", "third"]);
    team.duty(false).await.unwrap();
    assert_eq!(team.duty_mode().await.unwrap(), None);
    let off = team.duty_as(DutyMode::Break).await.unwrap_err();
    assert_eq!(off.kind(), ErrorKind::Invalid);
    drop(sam);
}

#[tokio::test(start_paused = true)]
async fn whom_a_desk_names_for_a_crisis_is_here_without_a_line_and_after_the_answer() {
    let world = World::start().await;
    let ann = office(&world).await;
    let vault = SharedVault::new(MemoryVault::new());
    let sam = seeker_on(&world, &ann, &vault, "I cannot sleep").await;
    assert_eq!(
        ann.conversation.resources().await.unwrap(),
        plan().resources
    );
    let ticket = sees_words(&ann, "I cannot sleep").await;
    let chat = takes(&ann, ticket.id).await;
    chat.until_standing(Standing::In).await;
    sam.until_standing(Standing::Waiting).await;
    sam.client.close().await;
    // The same device, where nothing answers any more.
    let (client, network) = world.device_with(ClientOptions::vault(vault)).await;
    network.cut();
    let again = client.conversations().remove(0);
    assert_eq!(again.resources().await.unwrap(), plan().resources);
    again.leave().await.unwrap();
}
