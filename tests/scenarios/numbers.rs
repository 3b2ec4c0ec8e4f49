//! What a desk learns of itself: how it was for those who asked, in numbers that name nobody.

use std::time::Duration;

use sotto_client::vault::{MemoryVault, SharedVault};
use sotto_client::{Again, ClientOptions, Helped, Rating, Standing};
use sotto_tests::world::{Person, World, pass};

use crate::desk::{office, seeker, sees_ticket, takes};

const GOOD: Rating = Rating {
    again: Again::Yes,
    early: false,
    helped: Helped::Yes,
};

/// Somebody says how it was, on a device that has nothing else.
async fn rates(world: &World, office: &Person, rating: Rating) {
    let vault = SharedVault::new(MemoryVault::new());
    let (client, _) = world.device_with(ClientOptions::vault(vault.clone())).await;
    let desk = office.conversation.desk_address().await.unwrap().unwrap();
    let visit = client.visit(&desk).await.unwrap();
    let before = spaces(&vault);
    let sent = client.rate(&visit, rating).await.unwrap();
    assert!(client.conversations().is_empty(), "it is no conversation");
    assert!(sent.gone().await);
    // That the desk was visited is all that is left, as before.
    assert_eq!(spaces(&vault), before);
    client.close().await;
}

fn spaces(vault: &SharedVault) -> usize {
    vault.with(|vault| vault.spaces()).unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn who_was_answered_says_how_it_was_and_nothing_of_it_is_left() {
    let world = World::start().await;
    let ann = office(&world).await;
    let sam = seeker(&world, &ann, "It is about school.").await;
    let chat = takes(&ann, sees_ticket(&ann).await.id).await;
    sam.until_standing(Standing::Waiting).await;
    chat.until_standing(Standing::In).await;
    rates(&world, &ann, GOOD).await;
    pass(Duration::from_secs(180)).await;
    // It is no ticket that somebody would answer.
    assert!(ann.conversation.tickets().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rating_that_finds_no_line_goes_out_later() {
    let world = World::start().await;
    let ann = office(&world).await;
    let vault = SharedVault::new(MemoryVault::new());
    let (client, network) = world.device_with(ClientOptions::vault(vault.clone())).await;
    let desk = ann.conversation.desk_address().await.unwrap().unwrap();
    let visit = client.visit(&desk).await.unwrap();
    let before = spaces(&vault);
    network.cut();
    client.rate(&visit, GOOD).await.unwrap();
    pass(Duration::from_secs(30)).await;
    assert_eq!(spaces(&vault), before + 1);
    client.close().await;
    // Another day, on the same device.
    let (client, _) = world.device_with(ClientOptions::vault(vault.clone())).await;
    assert!(client.conversations().is_empty());
    for _ in 0..60 {
        if spaces(&vault) == before {
            break;
        }
        pass(Duration::from_secs(5)).await;
    }
    assert_eq!(spaces(&vault), before);
    client.close().await;
}
