//! `sotto desk ask` and `sotto desk letter`: somebody who looks for somebody to talk to.

use serde_json::json;
use sotto_client::{
    AskOptions, Card, Client, Conversation, DeskAddress, Event, Resource, Standing, Ticket, Visit,
};
use tokio::time::timeout;

use super::card::now_ms;
use super::rate;
use crate::arguments::{AskArgs, DeviceArgs};
use crate::chat::{self, Ended, Typed, crisis, queue};
use crate::device;
use crate::exit;
use crate::output::{Done, Failure, Output};

const HELP: &str = "\
Your place is kept, whether you look or not: nobody asks whether you are still there, and you need do
nothing. You can close this; `sotto chat` shows it again, and the answer waits for you there.
  /crisis  who helps in a crisis, also without this desk and without a line
  /leave   give the place up; nothing of it is kept
  /quit    stop looking for now
  /x       gone at once: the place is given up, everything on this device is erased";

/// Asks, waits, and talks with who answers.
pub(crate) async fn run(arguments: AskArgs, output: &Output) -> Result<Done, Failure> {
    let (client, visit) = visited(&arguments).await?;
    let state = visit.state(now_ms());
    show_card(visit.card(), &visit, output);
    let mut done = Done::new();
    if !state.is_open() {
        let letter = arguments.device.command("desk letter");
        output.words(&format!(
            "Nobody is there now. You can leave a letter, which is answered when somebody is: \
             {letter} 'ADDRESS' 'YOUR WORDS'"
        ));
        client.close().await;
        done.insert("state".into(), json!(state.name()));
        return Ok(done);
    }
    if !arguments.again {
        let asked = not_twice(&client, &visit, &arguments).await;
        if asked.is_err() {
            client.close().await;
        }
        asked?;
    }
    let conversation = client.ask(&visit, options(&arguments)).await?;
    let mut lines = chat::typed();
    let outcome = wait(&conversation, &mut lines, output).await;
    let is_answered = matches!(outcome, Ok(Waited::Answered));
    let outcome = match outcome {
        Ok(Waited::Answered) => {
            output.words("Somebody is here for you.");
            let patience = arguments.device.patience();
            chat::talk((&client, &conversation), &mut lines, patience, output).await
        }
        Ok(Waited::Stopped) => {
            rate::offer(&conversation, output).await;
            Ok(Ended::Quit(0))
        }
        Ok(Waited::Exits) => Ok(Ended::Exit),
        Err(failure) => Err(failure),
    };
    if matches!(outcome, Ok(Ended::Exit)) {
        return exit::quick_exit(&client, &device::Folder::of(&arguments.device)?).await;
    }
    // Nobody looks here any more. Who may not say it has nobody to tell.
    let _ = conversation.step_away().await;
    client.close().await;
    done.insert("answered".into(), json!(is_answered));
    outcome.map(|_| done)
}

/// Whoever asks twice takes two places, and one of them from somebody else. As a rule they want to see
/// the one they have.
async fn not_twice(client: &Client, visit: &Visit, of: &AskArgs) -> Result<(), Failure> {
    for (conversation, number) in client.conversations().iter().zip(1_u64..) {
        if conversation.waits_at(visit).await? {
            let chat = of.device.command(&format!("chat {number}"));
            return Err(Failure::usage(
                "you wait at this desk already, and your place is kept",
                format!("See it with: {chat}. To wait there twice all the same, say --again"),
            ));
        }
    }
    Ok(())
}

/// Leaves a letter.
pub(crate) async fn letter(arguments: AskArgs, output: &Output) -> Result<Done, Failure> {
    if arguments.words.is_none() {
        return Err(Failure::usage(
            "a letter has words",
            "Say them behind the address, in quotes",
        ));
    }
    let (client, visit) = visited(&arguments).await?;
    show_card(visit.card(), &visit, output);
    let conversation = client.leave_letter(&visit, options(&arguments)).await?;
    let landed = device::until_knocked(&conversation, arguments.device.patience()).await;
    client.close().await;
    landed?;
    output.object(&json!({"type": "letter"}));
    let chat = arguments.device.command("chat");
    output.words(&format!(
        "Your letter is there, sealed; only the desk's supporters can read it. Look for the answer \
         with: {chat}"
    ));
    Ok(Done::new())
}

async fn visited(arguments: &AskArgs) -> Result<(Client, Visit), Failure> {
    visit(&arguments.address, &arguments.device).await
}

/// Opens this device and reads the card of a desk.
pub(super) async fn visit(address: &str, device: &DeviceArgs) -> Result<(Client, Visit), Failure> {
    let address: DeskAddress = address.parse().map_err(|_| {
        Failure::usage(
            "this is not a complete address of a desk",
            "Copy it again, from sotto-desk: to its last character",
        )
    })?;
    let client = device::open(device).await?;
    let visit = timeout(device.patience(), client.visit(&address)).await;
    let visit = visit.map_err(|_| Failure::unreachable("the relay was not reached in time"))??;
    Ok((client, visit))
}

fn options(arguments: &AskArgs) -> AskOptions {
    AskOptions {
        name: arguments.name.clone(),
        ticket: Ticket {
            not: arguments.not.clone(),
            topic: arguments.topic.clone(),
            words: arguments.words.clone().unwrap_or_default(),
            language: arguments.language.clone(),
            been_there: arguments.been_there.clone(),
        },
    }
}

/// What one must know before the first word.
fn show_card(card: &Card, visit: &Visit, output: &Output) {
    let now = now_ms();
    let state = visit.state(now);
    output.object(&json!({"type": "state", "state": state.name()}));
    output.words(&format!("{}: {}.", card.name(), card.says(state, now)));
    output.words(&card.confidentiality().words);
    if let Some(minutes) = card.minutes() {
        output.words(&format!("We have about {minutes} minutes together."));
    }
    for resource in card.resources() {
        output.words(&format!(
            "In an emergency: {}, {}",
            resource.name, resource.how
        ));
    }
}

enum Waited {
    Answered,
    Stopped,
    Exits,
}

/// Waits in the queue, or for the next line.
async fn wait(
    conversation: &Conversation,
    lines: &mut Typed,
    output: &Output,
) -> Result<Waited, Failure> {
    output.words(HELP);
    let mut is_leaving = false;
    // Once nobody answers any more, nothing of it is kept here.
    let mut helps = Some(conversation.resources().await?);
    loop {
        tokio::select! {
            line = lines.next_line() => match line?.as_deref().map(str::trim) {
                Some("/leave") => {
                    conversation.leave().await?;
                    is_leaving = true;
                    output.note("Leaving the queue.");
                }
                Some("/crisis") => crisis::show(&conversation.resources().await?, output),
                Some("/x") => return Ok(Waited::Exits),
                Some("/quit") => return Ok(Waited::Stopped),
                Some("") => {}
                Some(text) if text.starts_with('/') => output.words(HELP),
                // It waits with them, and is said once somebody is there.
                Some(text) => drop(conversation.send(text).await?),
                None => return Ok(Waited::Stopped),
            },
            event = conversation.next_event() => match event {
                Some(Event::Unreached(why)) if !why.is_retryable() => {
                    return Err(Failure::not_reached(why));
                }
                Some(Event::Online(online)) => {
                    output.object(&json!({"type": "online", "online": online}));
                    if !online {
                        output.note("The line is gone; your place is kept.");
                    }
                }
                Some(Event::Standing(Standing::In | Standing::Waiting)) if !is_leaving => {
                    return Ok(Waited::Answered);
                }
                Some(event) => told(&event, &mut helps, output),
                None => return Ok(Waited::Stopped),
            },
        }
    }
}

/// What became of the ticket. Who hears that nobody answers for now is told once who helps meanwhile.
fn told(event: &Event, helps: &mut Option<Vec<Resource>>, output: &Output) {
    if !queue::told(event, output) {
        if let Some(words) = chat::words_of(event) {
            output.note(words);
        }
        return;
    }
    if queue::is_a_no(event)
        && let Some(resources) = helps.take()
    {
        crisis::show(&resources, output);
    }
}
