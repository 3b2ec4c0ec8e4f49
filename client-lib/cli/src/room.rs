//! `sotto room new` and `sotto room join`: how a conversation begins on this device.

use serde_json::json;
use sotto_client::{Admission, BadLink, InboxLink, JoinOptions, Link, RoomOptions, Suite};

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
        "Whoever has this link can come in; give it only to those whom you want there"
    };
    output.words(&format!("{says}:\n\n{link}\n"));
    let chat = arguments.device.command("chat");
    output.words(&format!("Talk with: {chat}"));
    Ok(Done::new())
}

/// Joins by a link.
pub(crate) async fn join(arguments: JoinArgs, output: &Output) -> Result<Done, Failure> {
    let text = match arguments.link {
        Some(link) => link,
        None => device::read_line("Paste the link:", output).await?,
    };
    let link: Link = text.parse().map_err(|bad| not_a_link(&text, bad))?;
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
    device::show_joined(members, &arguments.device, output);
    Ok(Done::new())
}

fn not_a_link(text: &str, bad: BadLink) -> Failure {
    if text.parse::<InboxLink>().is_ok() {
        return Failure::usage(
            "this is the link of an inbox; it lets you add its owner to a room of yours",
            "Say /add LINK in `sotto chat`",
        );
    }
    Failure::usage(bad.to_string(), "Ask for it again if it is not whole")
}
