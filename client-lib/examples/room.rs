//! A room of three, one of whom is removed and reads nothing that comes after.
//!
//! `cargo run --example room -- ADDRESS`, with the address that a relay prints when it starts.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use sotto_client::{Client, ClientOptions, Conversation, Event, JoinOptions, Link};
use sotto_client::{RelayAddress, RoomOptions, Standing};

/// Answers what was said, and how much of it Mallory could read.
pub async fn run(relay: RelayAddress) -> Result<[usize; 2], Box<dyn Error>> {
    let ann = Client::open(ClientOptions::memory()).await?;
    let room = ann.found(RoomOptions::new(relay, "Ann")).await?;
    room.ready().await?;
    let link = room.link().await?.ok_or("founded without a link")?;
    let ben = join(&link, "Ben").await?;
    let mallory = join(&link, "Mallory").await?;

    room.send("Welcome, both of you.").await?;
    until(&mallory, |event| matches!(event, Event::Message(_))).await?;
    let me = |members: Vec<_>| {
        members
            .into_iter()
            .find(|one: &sotto_client::Member| one.is_me)
    };
    let leaf = me(mallory.members().await?).ok_or("no member")?.leaf;
    room.remove(leaf).await?;
    let removed = Event::Standing(Standing::Removed);
    until(&mallory, |event| *event == removed).await?;

    until(&ben, |event| *event == Event::Rotated).await?;
    ben.send("It is quiet here now.").await?;
    until(&ben, |event| matches!(event, Event::Message(_))).await?;
    let (said, read) = (ben.history().await?, mallory.history().await?);
    Ok([said.len(), read.len()])
}

async fn join(link: &Link, name: &str) -> sotto_client::Result<Conversation> {
    let device = Client::open(ClientOptions::memory()).await?;
    let name = name.to_owned();
    let joined = device.join(link, &JoinOptions { name }).await?;
    joined.ready().await.map(|()| joined)
}

async fn until(of: &Conversation, wanted: impl Fn(&Event) -> bool) -> Result<(), Box<dyn Error>> {
    while !wanted(&of.next_event().await.ok_or("it ended")?) {}
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("which relay?")?;
    let [said, read] = run(address.parse()?).await?;
    println!("{said} messages were said, Mallory read {read}");
    Ok(())
}
