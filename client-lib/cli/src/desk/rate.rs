//! `sotto desk rate`: how it was, in two keys.

use clap::ValueEnum;
use serde_json::json;
use sotto_client::{Conversation, Rating, Standing};
use tokio::time::timeout;

use super::arguments::{AgainChoice, HelpedChoice, RateArgs};
use super::ask::visit;
use crate::chat::{self, Typed};
use crate::output::{Done, Failure, Output};

/// Which desk it was is not kept.
const OFFER: &str = "How was it? Two questions, and nobody is told who answered them: \
     sotto desk rate 'ADDRESS' (with --early if you left before the end)";

/// Whether this is somebody who asked a desk, in the queue or in the chat.
pub(crate) async fn is_seeker(conversation: &Conversation) -> Result<bool, Failure> {
    let members = conversation.members().await?;
    let is_host = members.iter().any(|one| one.is_me && one.is_host);
    Ok(is_host || conversation.has_ticket().await?)
}

/// Tells who asked that they can say how it was, once it is over or nobody else is there.
pub(crate) async fn offer(conversation: &Conversation, output: &Output) {
    let is_over = match conversation.standing().await {
        Ok(Standing::Joining) => false,
        Ok(Standing::In | Standing::Waiting) => {
            let members = conversation.members().await;
            members.is_ok_and(|members| members.len() < 2)
        }
        _ => true,
    };
    if is_over {
        output.object(&json!({"type": "may_rate"}));
        output.words(OFFER);
    }
}

/// Asks what is not said yet, and sends it.
pub(crate) async fn run(arguments: RateArgs, output: &Output) -> Result<Done, Failure> {
    let mut lines = chat::typed();
    let helped: HelpedChoice = one_of(Rating::HELPED, arguments.helped, &mut lines, output).await?;
    let again: AgainChoice = one_of(Rating::AGAIN, arguments.again, &mut lines, output).await?;
    let rating = Rating {
        again: again.into(),
        early: arguments.early,
        helped: helped.into(),
    };
    let (client, visit) = visit(&arguments.address, &arguments.device).await?;
    let sent = client.rate(&visit, rating).await;
    let patience = arguments.device.patience();
    let there = match sent {
        Ok(sent) => Ok(timeout(patience, sent.gone()).await),
        Err(error) => Err(error),
    };
    client.close().await;
    match there? {
        Ok(true) => {}
        Ok(false) => {
            return Err(Failure::could_not_run("the desk took no rating")
                .then("Nothing of it is kept here"));
        }
        Err(_) => {
            return Err(Failure::unreachable("the relay was not reached in time")
                .then("It is kept, and goes out with the next `sotto` command on this device"));
        }
    }
    output.object(&json!({"type": "rated"}));
    output.words("Thank you. It is there, sealed, and nothing of it is left on this device.");
    Ok(Done::new())
}

/// The answer that was given with the command, or is typed now: a word or its first letter.
async fn one_of<T: ValueEnum>(
    question: &str,
    given: Option<T>,
    lines: &mut Typed,
    output: &Output,
) -> Result<T, Failure> {
    if let Some(given) = given {
        return Ok(given);
    }
    let names: Vec<_> = T::value_variants()
        .iter()
        .filter_map(|one| one.to_possible_value())
        .map(|one| one.get_name().to_owned())
        .collect();
    output.object(&json!({"type": "question", "text": question, "answers": names}));
    output.words(&format!("{question} ({})", names.join(", ")));
    loop {
        let Some(line) = lines.next_line().await? else {
            return Err(Failure::usage(
                "a question was not answered",
                "Answer with a word or its first letter; nothing was sent",
            ));
        };
        let typed = line.trim().to_lowercase();
        let mut found = T::value_variants().iter().filter(|one| {
            let name = one.to_possible_value();
            !typed.is_empty() && name.is_some_and(|name| name.get_name().starts_with(&typed))
        });
        if let Some(found) = found.next() {
            return Ok(found.clone());
        }
        output.note(&format!("One of these, please: {}.", names.join(", ")));
    }
}
