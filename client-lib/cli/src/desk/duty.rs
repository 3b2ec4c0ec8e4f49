//! `sotto desk duty`: a supporter at a desk, who sees who waits and takes one after the other.

use serde_json::json;
use sotto_client::{Client, Conversation, DeskTicket, Event};
use tokio::time::timeout;

use crate::arguments::DutyArgs;
use crate::chat::{self, Ended, Typed};
use crate::device;
use crate::exit;
use crate::output::{Done, Failure, Output};
use crate::screen::{shown, shown_short};

const HELP: &str = "\
  /tickets      who waits
  /take NUMBER  answer one of them
  /quit         go off duty
  /x            gone at once: everything on this device is erased";
/// A topic's or language's place on a line.
const CHOICE_CHARACTERS_MAX: usize = 32;

/// One supporter at the terminal.
struct Duty<'a> {
    client: Client,
    team: Conversation,
    output: &'a Output,
    arguments: &'a DutyArgs,
    /// As they were last shown; numbers are places in this list.
    tickets: Vec<DeskTicket>,
}

/// Comes on duty until `/quit` or the end of stdin.
pub(crate) async fn run(arguments: DutyArgs, output: &Output) -> Result<Done, Failure> {
    let client = device::open(&arguments.device).await?;
    let team = team_of(&client).await?;
    team.duty(true).await?;
    let mut duty = Duty {
        client: client.clone(),
        team,
        output,
        arguments: &arguments,
        tickets: Vec::new(),
    };
    let mut lines = chat::typed();
    let outcome = duty.watch(&mut lines).await;
    if matches!(outcome, Ok(Then::Exit)) {
        return exit::quick_exit(&client, &device::Folder::of(&arguments.device)?).await;
    }
    client.close().await;
    outcome.map(|_| Done::new())
}

/// The room of this device that is a desk's team.
async fn team_of(client: &Client) -> Result<Conversation, Failure> {
    for conversation in client.conversations() {
        if conversation.desk_address().await?.is_some() {
            return Ok(conversation);
        }
    }
    Err(Failure::usage(
        "no room of this device is the team of a desk",
        "Found one with `sotto desk new`, or enter the team with `sotto room join` and wait in \
         `sotto chat` until you were let in",
    ))
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Quit,
    Exit,
}

impl Duty<'_> {
    async fn watch(&mut self, lines: &mut Typed) -> Result<Then, Failure> {
        self.output.object(&json!({"type": "on_duty"}));
        self.output.words("You are on duty.");
        self.output.words(HELP);
        loop {
            let then = self.one(lines).await?;
            if then != Then::GoOn {
                return Ok(then);
            }
        }
    }

    async fn one(&mut self, lines: &mut Typed) -> Result<Then, Failure> {
        let team = self.team.clone();
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => self.typed(line.trim(), lines).await,
                None => Ok(Then::Quit),
            },
            event = team.next_event() => match event {
                Some(Event::Ticket(_)) => {
                    self.show().await?;
                    Ok(Then::GoOn)
                }
                Some(event) => {
                    if let Some(words) = chat::words_of(&event) {
                        self.output.note(words);
                    }
                    Ok(Then::GoOn)
                }
                None => Ok(Then::Quit),
            },
        }
    }

    async fn typed(&mut self, line: &str, lines: &mut Typed) -> Result<Then, Failure> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" => {}
            "/quit" => return Ok(Then::Quit),
            "/tickets" => self.show().await?,
            "/x" => return Ok(Then::Exit),
            "/take" => return self.take(rest.trim(), lines).await,
            _ => self.output.words(HELP),
        }
        Ok(Then::GoOn)
    }

    async fn show(&mut self) -> Result<(), Failure> {
        self.tickets = self.team.tickets().await?;
        if self.tickets.is_empty() {
            self.output.note("Nobody waits.");
        }
        for (waiting, number) in self.tickets.iter().zip(1_u64..) {
            let ticket = &waiting.ticket;
            let chosen = [&ticket.topic, &ticket.language];
            let mut chosen: Vec<_> = chosen.into_iter().flatten().cloned().collect();
            chosen.extend(
                ticket
                    .been_there
                    .iter()
                    .map(|one| format!("been there: {one}")),
            );
            chosen.extend(ticket.not.iter().map(|one| format!("not: {one}")));
            let chosen: Vec<_> = chosen
                .iter()
                .map(|one| shown_short(one, CHOICE_CHARACTERS_MAX))
                .collect();
            let words = shown(&ticket.words);
            let is_letter = waiting.id.is_letter;
            self.output.object(&json!({
                "type": "ticket", "number": number, "letter": is_letter, "words": words,
                "claimed": waiting.is_claimed,
                "topic": ticket.topic, "language": ticket.language,
                "been_there": ticket.been_there, "not": ticket.not,
            }));
            let kind = match (is_letter, waiting.is_claimed) {
                (_, true) => "being answered",
                (true, false) => "letter",
                (false, false) => "waits",
            };
            let chosen = chosen.join(", ");
            self.output
                .words(&format!("{kind}: {number} [{chosen}] {words}"));
        }
        Ok(())
    }

    /// Answers one, and comes back to the list once that chat is left alone.
    async fn take(&mut self, number: &str, lines: &mut Typed) -> Result<Then, Failure> {
        let at = number
            .parse::<usize>()
            .ok()
            .and_then(|at| at.checked_sub(1));
        let Some(ticket) = at.and_then(|at| self.tickets.get(at)) else {
            self.output
                .note("Which? Say it with the number of a ticket.");
            return Ok(Then::GoOn);
        };
        let (id, words) = (ticket.id, ticket.ticket.words.clone());
        let taken = self.client.take(&self.team, id, &self.arguments.name).await;
        let chat = match taken {
            Ok(chat) => chat,
            Err(error) => {
                self.output.note(&format!("not taken: {error}"));
                return Ok(Then::GoOn);
            }
        };
        let patience = self.arguments.device.patience();
        match timeout(patience, chat.ready()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                self.output.object(&json!({"type": "not_taken"}));
                self.output
                    .note("Somebody else answers this one, or they are gone.");
                self.show().await?;
                return Ok(Then::GoOn);
            }
            // It goes on by itself, so nobody shall think that it does not.
            Err(_) => self.output.note(
                "The relay is slow; you answer this one as soon as it is reached. Please stay.",
            ),
        }
        self.output.object(&json!({"type": "taken"}));
        self.output.note(
            "You answer this one. /quit goes back to the list; the chat stays open, in `sotto chat`.",
        );
        if !words.is_empty() {
            self.output.quote(&format!("(asked) {}", shown(&words)));
        }
        let ended = chat::talk(&chat, lines, patience, self.output).await?;
        if matches!(ended, Ended::Exit) {
            return Ok(Then::Exit);
        }
        self.show().await?;
        Ok(Then::GoOn)
    }
}
