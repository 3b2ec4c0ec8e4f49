//! Two people, each on a device of their own, talk through a relay.
//!
//! `cargo run --example two_people -- ADDRESS`, with the address that a relay prints when it starts.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use sotto_client::{
    Client, ClientOptions, Conversation, Event, JoinOptions, Message, RelayAddress, RoomOptions,
};

/// Ann founds a conversation, Ben joins by its link, and both say something.
pub async fn run(relay: RelayAddress) -> Result<Vec<String>, Box<dyn Error>> {
    let ann = Client::open(ClientOptions::memory()).await?;
    let of_ann = ann.found(RoomOptions::new(relay, "Ann")).await?;
    of_ann.ready().await?;
    let link = of_ann.link().await?.ok_or("founded without a link")?;

    let ben = Client::open(ClientOptions::memory()).await?;
    let name = "Ben".to_owned();
    let of_ben = ben.join(&link, &JoinOptions { name }).await?;
    of_ben.ready().await?;

    of_ben.send("Hello. I found your link.").await?;
    let heard = next_message(&of_ann).await.ok_or("nothing came")?;
    of_ann.reply(heard.id, "Welcome! How are you?").await?;
    next_message(&of_ben).await.ok_or("his own words")?;
    next_message(&of_ben).await.ok_or("her answer")?;

    let history = of_ben.history().await?;
    ann.close().await;
    ben.close().await;
    Ok(history.into_iter().map(|message| message.text).collect())
}

/// The next message, ours included: everybody reads the same ones in the same order.
async fn next_message(conversation: &Conversation) -> Option<Message> {
    loop {
        if let Event::Message(message) = conversation.next_event().await? {
            return Some(message);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("which relay?")?;
    for text in run(address.parse()?).await? {
        println!("{text}");
    }
    Ok(())
}
