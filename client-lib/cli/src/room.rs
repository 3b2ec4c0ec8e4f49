//! `sotto room new` and `sotto room join`: how a conversation begins on this device.

use std::io::{BufRead, IsTerminal};

use serde_json::json;
use sotto_client::{Admission, JoinOptions, Link, RoomOptions, Suite};

use crate::arguments::{JoinArgs, NewArgs};
use crate::device;
use crate::output::{Done, Failure, Output};

/// Founds a conversation and prints its link.
pub(crate) async fn new(arguments: NewArgs, output: &Output) -> Result<Done, Failure> {
    let mut options = RoomOptions::new(arguments.relay, arguments.name);
    if arguments.classic {
        options.suite = Suite::Classic;
    }
    if arguments.approval {
        options.admission = Admission::Approval;
    }
    options.keep_seconds = arguments.forget_after.map(|hours| hours * 3_600);
    let client = device::open(&arguments.device).await?;
    let conversation = client.found(options).await?;
    device::until_in(&conversation, arguments.device.patience()).await?;
    let link = conversation
        .link()
        .await?
        .ok_or_else(|| Failure::could_not_run("the conversation has no link"))?;
    client.close().await;
    output.object(&json!({"type": "link", "link": link.to_string()}));
    let says = if link.asks_for_a_yes() {
        "Whoever has this link can ask to come in; you say yes or no in `sotto chat`"
    } else {
        "Whoever has this link can come in. Give it to nobody else"
    };
    output.words(&format!("{says}:\n\n{link}\n"));
    output.words("Talk with: sotto chat");
    Ok(Done::new())
}

/// Joins by a link.
pub(crate) async fn join(arguments: JoinArgs, output: &Output) -> Result<Done, Failure> {
    let text = match arguments.link {
        Some(link) => link,
        None => read_link(output)?,
    };
    let link: Link = text
        .parse()
        .map_err(|bad: sotto_client::BadLink| Failure::usage(bad.to_string(), "Copy it whole"))?;
    let client = device::open(&arguments.device).await?;
    let name = arguments.name;
    let conversation = client.join(&link, &JoinOptions { name }).await?;
    if link.asks_for_a_yes() {
        device::until_knocked(&conversation, arguments.device.patience()).await?;
        output.object(&json!({"type": "knocked"}));
        output.words(
            "You knocked. Somebody inside must say yes, which may take a while; you may also stop \
             waiting here (Ctrl-C) and look again later with `sotto chat`.",
        );
        device::until_answered(&conversation).await?;
    } else {
        device::until_in(&conversation, arguments.device.patience()).await?;
    }
    let members = conversation.members().await?.len();
    client.close().await;
    output.object(&json!({"type": "joined", "members": members}));
    output.words(&format!(
        "You are in, with {} others.",
        members.saturating_sub(1)
    ));
    output.words("Talk with: sotto chat");
    Ok(Done::new())
}

fn read_link(output: &Output) -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        output.words("Paste the link:");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}
