//! `sotto words`: eight words that bring a person back on another device.
//!
//! Words are read from stdin and never from the arguments, which any process of the machine can see.

use core::time::Duration;
use std::io::IsTerminal;

use serde_json::json;
use sotto_client::{
    BackupStanding, BadSafeWord, BadWords, Client, Conversation, NearWords, ReturnWords, SafeWord,
    Standing,
};
use tokio::time::timeout;

use crate::arguments::{DecoyArgs, DeviceArgs, WordsArgs, WordsUseArgs};
use crate::chat::choose;
use crate::device;
use crate::output::{Done, Failure, Output};

/// So long the second backup may wait for its moment.
const DECOY_PATIENCE: Duration = Duration::from_secs(35);

/// Begins a backup and shows its words.
pub(crate) async fn new(arguments: WordsArgs, output: &Output) -> Result<Done, Failure> {
    let client = device::open(&arguments.device).await?;
    let words = client.back_up(&arguments.relay).await?;
    let written = timeout(arguments.device.patience(), client.backed_up()).await;
    if !matches!(written, Ok(Ok(()))) {
        // Words that open nothing would be worse than none.
        client.close().await;
        let said = "the relay did not take the backup, so there are no words";
        return Err(Failure::could_not_run(said)
            .then("Say `sotto words end` once the relay can be reached, then try again"));
    }
    client.close().await;
    output.object(&json!({"type": "words", "words": words.text().as_str()}));
    output.words(&format!(
        "These eight words bring you back on any device. Write them down on paper;\n\
         whoever reads them is you:\n\n    {}\n",
        words.text().as_str()
    ));
    output.words("Come back with: sotto words use --relay ADDRESS");
    output.words("To see them again: sotto words show");
    Ok(Done::new())
}

/// Shows the words of this device's backup once more.
pub(crate) async fn show(arguments: DeviceArgs, output: &Output) -> Result<Done, Failure> {
    let client = device::open(&arguments).await?;
    let words = client.return_words().await;
    client.close().await;
    let words = words?.text();
    output.object(&json!({"type": "words", "words": words.as_str()}));
    output.words(words.as_str());
    Ok(Done::new())
}

/// Shows the decoy words, once they are good.
pub(crate) async fn decoy(arguments: DecoyArgs, output: &Output) -> Result<Done, Failure> {
    let client = device::open(&arguments.device).await?;
    let words = good_decoy(&client, &arguments, output).await;
    client.close().await;
    let words = words?.text();
    output.object(&json!({"type": "words", "words": words.as_str()}));
    output.words(&format!(
        "Who is made to give words away gives these eight. They are used like the others, and open\n\
         only what you let them show:\n\n    {}\n",
        words.as_str()
    ));
    output.words("After they were used, and after every return, there are new ones.");
    Ok(Done::new())
}

async fn good_decoy(
    client: &Client,
    arguments: &DecoyArgs,
    output: &Output,
) -> Result<ReturnWords, Failure> {
    for (numbers, is_shown) in [(&arguments.show, true), (&arguments.hide, false)] {
        for number in numbers {
            let conversation = choose(client, Some(*number), output).await?;
            client.show_by_decoy(conversation.id(), is_shown).await?;
        }
    }
    if client.decoy_standing() == BackupStanding::Elsewhere {
        output.words("The decoy words were used on another device. These are new:");
        client.decoy_words().await?;
    }
    output.words("They are kept at a moment of their own, which may take half a minute…");
    let patience = arguments.device.patience() + DECOY_PATIENCE;
    match timeout(patience, client.decoy_backed_up()).await {
        Ok(kept) => kept?,
        Err(_) => {
            let said = "the relay did not take the backup, so there are no decoy words yet";
            return Err(Failure::could_not_run(said).then("Try again once it can be reached"));
        }
    }
    Ok(client.decoy_words().await?)
}

/// Comes back with words, into everything they lead to.
pub(crate) async fn come_back(arguments: WordsUseArgs, output: &Output) -> Result<Done, Failure> {
    let line = device::read_line("Type the eight words:", output).await?;
    let words: ReturnWords = line.parse().map_err(|bad| not_words(&bad))?;
    let safe = safe_word(&arguments, output).await?;
    let client = device::open(&arguments.device).await?;
    let relay = &arguments.relay;
    let conversations = client.come_back_with(&words, safe.as_ref(), relay);
    let conversations = conversations.await?;
    let (mut inside, mut outside) = (0_u64, 0_u64);
    for conversation in &conversations {
        if is_back(conversation, &arguments.device).await? {
            inside += 1;
        } else {
            outside += 1;
        }
    }
    output.words(&format!("You are back in {inside} conversations."));
    if outside > 0 {
        output.words(&format!(
            "{outside} more wait for an answer or for somebody's yes, or need a new link: see `sotto chat`."
        ));
    }
    output.words("The backup is written anew from here, which may take half a minute…");
    // If the relay is slow the next start writes it.
    let _ = timeout(arguments.device.patience(), client.backed_up()).await;
    client.close().await;
    output.words(&format!("Talk with: {}", arguments.device.command("chat")));
    let mut done = Done::new();
    done.insert("inside".into(), json!(inside));
    done.insert("outside".into(), json!(outside));
    Ok(done)
}

/// Ends the backup: its words open nothing any more.
pub(crate) async fn end(arguments: DeviceArgs, output: &Output) -> Result<Done, Failure> {
    let client = device::open(&arguments).await?;
    let ended = client.end_backup().await;
    client.close().await;
    ended?;
    output.words("The backup is gone; its words open nothing any more.");
    Ok(Done::new())
}

/// Asked for at a terminal whether there is one or not, and elsewhere if the arguments say so.
async fn safe_word(arguments: &WordsUseArgs, output: &Output) -> Result<Option<SafeWord>, Failure> {
    if !(arguments.safe_word || std::io::stdin().is_terminal()) {
        return Ok(None);
    }
    let ask = "Type the safe word, or nothing if none was agreed:";
    let line = device::read_line(ask, output).await?;
    if line.trim().is_empty() {
        return Ok(None);
    }
    let word = line
        .parse()
        .map_err(|bad: BadSafeWord| Failure::usage(bad.to_string(), "Type it again"))?;
    Ok(Some(word))
}

/// Whether one has a place in it again before patience ends.
async fn is_back(conversation: &Conversation, device: &DeviceArgs) -> Result<bool, Failure> {
    if conversation.has_ticket().await? {
        return Ok(false);
    }
    let ready = timeout(device.patience(), device::until_in_or_asked(conversation)).await;
    if matches!(ready, Ok(Err(_)) | Err(_)) {
        return Ok(false);
    }
    let standing = conversation.standing().await?;
    let is_back = matches!(standing, Standing::In | Standing::Waiting);
    if is_back {
        // What was not given before this ends the next start gives.
        let _ = timeout(device.patience(), conversation.safe_word_given()).await;
    }
    Ok(is_back)
}

fn not_words(bad: &BadWords) -> Failure {
    let next = match bad {
        BadWords::Unknown(words) | BadWords::Mixed(words) if !words.is_empty() => {
            let named: Vec<_> = words.iter().map(named).collect();
            format!("Look again at {}", named.join("; "))
        }
        _ => "Type all eight, in their order".to_owned(),
    };
    Failure::usage(bad.to_string(), next)
}

fn named(word: &NearWords) -> String {
    if word.near.is_empty() {
        format!("word {}", word.place)
    } else {
        format!("word {} (perhaps {})", word.place, word.near.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_named_with_what_was_meant() {
        let bad = "abandn abandon abandon abandon abandon abandon abandon xqzzzk";
        let failure = not_words(&bad.parse::<ReturnWords>().unwrap_err());
        assert_eq!(failure.code, crate::output::USAGE);
        assert!(
            failure
                .next
                .starts_with("Look again at word 1 (perhaps abandon"),
            "{failure}"
        );
        assert!(failure.next.ends_with("; word 8"), "{failure}");
        let few = not_words(&"zoo".parse::<ReturnWords>().unwrap_err());
        assert_eq!(few.message, "there are 1 words, not eight");
    }
}
