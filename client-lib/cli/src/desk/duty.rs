//! `sotto desk duty`: a supporter at a desk, who sees who waits and takes one after the other.

mod door;

use serde_json::json;
use sotto_client::{
    Client, Conversation, DeskAddress, DeskTicket, Event, Knock, LeafId, Link, Offer,
};
use tokio::time::timeout;

use crate::arguments::DutyArgs;
use crate::chat::{self, Ended, Others, Typed};
use crate::device;
use crate::exit;
use crate::output::{Done, Failure, Output};
use crate::screen::{shown, shown_short};

const HELP: &str = "\
  /tickets      who waits
  /take NUMBER  answer one of them
  /calls        who of the team asks for somebody to come into their chat
  /enter NUMBER [badge]
                ask to come in there, and show a badge of the desk's organisation;
                the link of a chat does instead of a number
  /chats        your chats, the team's room and side-rooms
  /open NUMBER  go to one of them; /quit comes back here
  /team         talk with the team
  /knocks       who asks to come into the team; /admit NUMBER, /turn-away NUMBER
  /finish       take nobody new, and bring your chats to an end
  /break        take nobody new for a while
  /back         take people again
  /quit         go off duty
  /x            gone at once: everything on this device is erased";
/// Calls that are remembered; of more the oldest goes.
const CALLS_MAX: usize = 16;
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
    /// The same.
    calls: Vec<Call>,
    /// Who waits at the team's door; the same.
    knocks: Vec<Knock>,
    /// What happens in chats meanwhile.
    others: Others,
}

/// Somebody of the team asks for somebody to come into their chat.
struct Call {
    by: String,
    asks: String,
    link: Link,
}

/// Comes on duty until `/quit` or the end of stdin.
pub(crate) async fn run(arguments: DutyArgs, output: &Output) -> Result<Done, Failure> {
    let client = device::open(&arguments.device).await?;
    let team = chat::team_of(&client).await?.ok_or_else(|| {
        Failure::usage(
            "no room of this device is the team of a desk",
            "Found one with `sotto desk new`, or enter the team with `sotto room join` and wait in \
             `sotto chat` until it says that its keys are here",
        )
    })?;
    match offer(&arguments) {
        Some(offer) => team.duty_for(offer).await?,
        None => team.duty(true).await?,
    }
    let mut duty = Duty {
        client: client.clone(),
        team,
        output,
        arguments: &arguments,
        tickets: Vec::new(),
        calls: Vec::new(),
        knocks: Vec::new(),
        others: Others::default(),
    };
    let mut lines = chat::typed();
    let outcome = duty.watch(&mut lines).await;
    if matches!(outcome, Ok(Then::Exit)) {
        return exit::quick_exit(&client, &device::Folder::of(&arguments.device)?).await;
    }
    duty.step_away().await;
    client.close().await;
    outcome.map(|_| Done::new())
}

/// What this supporter offers; without a word of it the queue stays in its own order.
fn offer(arguments: &DutyArgs) -> Option<Offer> {
    let offer = Offer {
        topics: arguments.topics.clone(),
        languages: arguments.languages.clone(),
        been_there: arguments.been_there.clone(),
        sites: arguments.sites.clone(),
    };
    (offer != Offer::default()).then_some(offer)
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
        if !self.team.knocks().await?.is_empty() {
            self.show_knocks().await?;
        }
        loop {
            let then = self.one(lines).await?;
            if then != Then::GoOn {
                return Ok(then);
            }
        }
    }

    async fn one(&mut self, lines: &mut Typed) -> Result<Then, Failure> {
        let team = self.team.clone();
        let but = [team.id()];
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
                Some(Event::Called { by, asks, link }) => {
                    self.called(by, &asks.0, *link).await?;
                    Ok(Then::GoOn)
                }
                Some(event) => {
                    self.heard_of_team(&event).await?;
                    Ok(Then::GoOn)
                }
                None => Ok(Then::Quit),
            },
            heard = self.others.next(&self.client, &but) => {
                self.others.tell(&self.client, heard, self.output).await;
                Ok(Then::GoOn)
            }
        }
    }

    async fn typed(&mut self, line: &str, lines: &mut Typed) -> Result<Then, Failure> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" => {}
            "/quit" => return Ok(Then::Quit),
            "/tickets" => self.show().await?,
            "/calls" => self.show_calls(),
            "/x" => return Ok(Then::Exit),
            "/enter" => return self.enter(rest.trim(), lines).await,
            "/take" => return self.take(rest.trim(), lines).await,
            _ => match self.typed_beside((word, rest.trim()), lines).await? {
                Some(then) => return Ok(then),
                None => self.output.words(HELP),
            },
        }
        Ok(Then::GoOn)
    }

    async fn called(&mut self, by: LeafId, asks: &str, link: Link) -> Result<(), Failure> {
        let members = self.team.members().await?;
        let by = members.iter().find(|member| member.leaf == by);
        let by = by.map_or_else(|| "somebody who left".to_owned(), chat::name_of);
        if self.calls.len() >= CALLS_MAX {
            self.calls.remove(0);
        }
        let asks = shown(asks);
        self.calls.push(Call { by, asks, link });
        self.show_calls();
        Ok(())
    }

    fn show_calls(&self) {
        if self.calls.is_empty() {
            self.output.note("Nobody calls.");
        }
        for (call, number) in self.calls.iter().zip(1_u64..) {
            let Call { by, asks, link } = call;
            self.output.object(&json!({
                "type": "called", "number": number, "by": by, "asks": asks, "link": link.to_string(),
            }));
            self.output.words(&format!("called: {number} {by}: {asks}"));
        }
    }

    /// The link of the call with this number, or the one that is typed.
    fn link_of(&self, which: &str) -> Option<Link> {
        let call = place_of(which).and_then(|at| self.calls.get(at));
        let link = call.map(|call| call.link.clone());
        link.or_else(|| which.parse().ok())
    }

    /// Asks to come into a chat, and talks there once whose chat it is says yes.
    async fn enter(&mut self, rest: &str, lines: &mut Typed) -> Result<Then, Failure> {
        let (which, with) = rest.split_once(' ').unwrap_or((rest, ""));
        let with_badge = with.trim() == "badge";
        let (Some(link), true) = (self.link_of(which), with_badge || with.is_empty()) else {
            self.output.note(
                "Where? Say /enter with the number of a call or a chat's link, and `badge` to show one.",
            );
            return Ok(Then::GoOn);
        };
        let desk = self.team.desk_address().await?;
        let organisation = desk.as_ref().filter(|_| with_badge);
        let organisation = organisation.map(DeskAddress::organisation);
        let name = &self.arguments.name;
        let chat = match self.client.ask_to_enter(&link, name, organisation).await {
            Ok(chat) => chat,
            Err(error) => {
                self.output.note(&format!("not asked: {error}"));
                return Ok(Then::GoOn);
            }
        };
        self.calls.retain(|call| call.link != link);
        self.output
            .object(&json!({"type": "asked_to_enter", "badge": with_badge}));
        self.output.note(
            "You ask to come in. The person the chat is for sees it and decides, and may take their \
             time. /quit goes back to the list; the chat stays open, and /chats there leads to it.",
        );
        self.talk(&chat, lines).await
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
        let Some(ticket) = place_of(number).and_then(|at| self.tickets.get(at)) else {
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
        self.show_badge(&chat).await;
        self.output.note(
            "You answer this one. /quit goes back to the list; the chat stays open, and /chats there leads to it.",
        );
        if !words.is_empty() {
            self.output.quote(&format!("(asked) {}", shown(&words)));
        }
        self.talk(&chat, lines).await
    }

    /// Who asked sees whom they talk to, if this device has a badge of the desk.
    async fn show_badge(&self, chat: &Conversation) {
        if self.arguments.no_badge {
            return;
        }
        match self.client.show_badge_of_desk(chat).await {
            Ok(true) => {
                self.output.object(&json!({"type": "badge_shown"}));
                self.output.note(
                    "They see your badge of this desk; with --no-badge none is shown by itself.",
                );
            }
            Ok(false) => {}
            Err(error) => self.output.note(&format!("no badge is shown: {error}")),
        }
    }

    /// Talks there, and comes back to the list.
    async fn talk(&mut self, chat: &Conversation, lines: &mut Typed) -> Result<Then, Failure> {
        let patience = self.arguments.device.patience();
        let ended = chat::talk((&self.client, chat), lines, patience, self.output).await?;
        if matches!(ended, Ended::Exit) {
            return Ok(Then::Exit);
        }
        self.others = Others::default();
        self.is_back_at_the_list().await?;
        Ok(Then::GoOn)
    }
}

/// The place in a list whose numbers begin with 1.
fn place_of(number: &str) -> Option<usize> {
    number.parse::<usize>().ok()?.checked_sub(1)
}
