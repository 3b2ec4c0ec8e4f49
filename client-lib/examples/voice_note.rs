//! A voice note: one person attaches it, the other is told of it and listens.
//!
//! `cargo run --example voice_note -- ADDRESS`, with the address that a relay prints when it starts.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use sotto_client::{Client, ClientOptions, Event, JoinOptions, NewAttachment};
use sotto_client::{RelayAddress, RoomOptions};

/// Answers what the other heard of it, and how many bytes there were to listen to.
pub async fn run(relay: RelayAddress) -> Result<(String, u64), Box<dyn Error>> {
    let ann = Client::open(ClientOptions::memory()).await?;
    let room = ann.found(RoomOptions::new(relay, "Ann")).await?;
    room.ready().await?;
    let link = room.link().await?.ok_or("founded without a link")?;
    let ben = Client::open(ClientOptions::memory()).await?;
    let name = "Ben".to_owned();
    let joined = ben.join(&link, &JoinOptions { name }).await?;
    joined.ready().await?;

    // In an app this is a file, or what the microphone gives.
    let sound = vec![0x5a; 300_000];
    let mut note = NewAttachment::new("note.ogg", "audio/ogg; codecs=opus");
    note.text = "How I got home".into();
    room.attach(note, &sound[..]).await?;

    while let Some(event) = joined.next_event().await {
        let Event::Message(message) = event else {
            continue;
        };
        let Some(attachment) = &message.attachment else {
            continue;
        };
        println!("{}: {}", attachment.name, message.text);
        // Brought here, checked, and kept sealed; then written to whatever plays it.
        let mut player = Vec::new();
        let bytes = joined.fetch(message.id, &mut player).await?;
        return Ok((message.text, bytes));
    }
    Err("the conversation ended".into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("which relay?")?;
    let (text, bytes) = run(address.parse()?).await?;
    println!("\"{text}\", {bytes} bytes to listen to");
    Ok(())
}
