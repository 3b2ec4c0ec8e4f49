//! `sotto chat`: a conversation in plain lines, with who is here, who can read this, and what is
//! unsent.
//!
//! What others wrote reaches the terminal through [`shown`] only.

pub(crate) mod choosing;
pub(crate) mod crisis;
mod doing;
mod ending;
mod entering;
mod floor;
mod help;
mod lines;
mod others;
pub(crate) mod queue;
mod review;
mod safe_word;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::Duration;

use serde_json::{Value, json};
use sotto_client::{
    Client, Conversation, ConversationId, Delivery, Event, Knock, LeafId, Member, Message,
    MessageId, Resource, Standing,
};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::time::timeout;

use crate::arguments::ChatArgs;
use crate::attached::Attachments;
use crate::badge;
use crate::desk::rate;
use crate::device;
use crate::exit;
use crate::inbox;
use crate::output::{Done, Failure, Output};
use crate::said::{IS_A_TEAM, last_words, of_somebody};
use crate::screen::{shown, shown_short};

pub(crate) use self::choosing::{choose, team_of};
use self::entering::Answer;
pub(crate) use self::entering::who as who_asks;
pub(crate) use self::lines::name_of;
use self::lines::{NAME_CHARACTERS_MAX, NAMELESS, line_of, not_sent, safety_name};
pub(crate) use self::others::Others;
pub(crate) use crate::said::words_of;

/// Messages from before that are shown at the beginning.
const HISTORY_MAX: usize = 20;
/// One conversation at the terminal.
struct Chat<'a> {
    client: Client,
    conversation: Conversation,
    /// The team of a desk that this device is in, where somebody can be called from.
    team: Option<Conversation>,
    /// Whether this is no chat yet, as one waits at a desk.
    queue: Queue,
    output: &'a Output,
    members: Vec<Member>,
    /// Who waited at the door when it was last shown; numbers are places in this list.
    knocks: Vec<Knock>,
    patience: Duration,
    /// Ours that the relay does not have yet.
    unsent: BTreeSet<MessageId>,
    /// Told as sent before the answer to `send` was looked at.
    early: BTreeSet<MessageId>,
    /// What one types stands on the screen already.
    is_terminal: bool,
    is_online: bool,
    /// It was said that there is no connection, and nothing since.
    said_offline: bool,
    /// It was said that something is unsent, and not yet that it is sent.
    said_unsent: bool,
    attachments: Attachments,
    /// What was last offered to be written to somebody who has gone quiet.
    offered: Option<&'static str>,
    /// What happens elsewhere meanwhile.
    others: Others,
    /// All have agreed on what was proposed last.
    has_agreed: bool,
    /// Whom the desk names for a crisis, until that was told to who waits in vain.
    helps: Option<Vec<Resource>>,
}

/// How it stands with a ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    /// There is none (any more).
    Outside,
    Waiting,
    /// It was said that nobody answered.
    Unanswered,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Quit,
    Exit,
    /// In another conversation.
    Open(ConversationId),
}

/// How a talk ended.
pub(crate) enum Ended {
    /// With so much unsent.
    Quit(usize),
    /// Nothing is to be left: [`exit::quick_exit`].
    Exit,
}

/// Talks until `/quit`, `/leave`, the end of stdin or of the conversation.
pub(crate) async fn run(arguments: ChatArgs, output: &Output) -> Result<Done, Failure> {
    let client = device::open(&arguments.device).await?;
    let conversation = choose(&client, arguments.number, output).await?;
    let invitations = inbox::waiting(&client).await?;
    if invitations > 0 {
        output.note(&format!(
            "Invitations wait: {invitations}. See `sotto inbox`."
        ));
    }
    let patience = arguments.device.patience();
    let of = (&client, &conversation);
    let outcome = talk(of, &mut typed(), patience, output).await;
    if matches!(outcome, Ok(Ended::Exit)) {
        return exit::quick_exit(&client, &device::Folder::of(&arguments.device)?).await;
    }
    // Nobody looks here any more. Who may not say it is away already.
    let _ = conversation.step_away().await;
    client.close().await;
    let mut done = Done::new();
    if let Ended::Quit(unsent) = outcome? {
        done.insert("unsent".into(), json!(unsent));
    }
    Ok(done)
}

/// Lines that are typed. What is read ahead stays in it, so there is one for a whole command.
pub(crate) type Typed = Lines<BufReader<Stdin>>;

pub(crate) fn typed() -> Typed {
    BufReader::new(tokio::io::stdin()).lines()
}

/// Talks in one conversation, and in those that are opened from it.
pub(crate) async fn talk(
    (client, conversation): (&Client, &Conversation),
    lines: &mut Typed,
    patience: Duration,
    output: &Output,
) -> Result<Ended, Failure> {
    let mut conversation = conversation.clone();
    let team = team_of(client).await?;
    loop {
        let here = conversation.id();
        let team = team.clone().filter(|team| team.id() != here);
        let of = (client, &conversation);
        let mut chat = Chat::begin(of, team, patience, output).await?;
        let is_seeker = rate::is_seeker(&conversation).await?;
        let then = chat.talk(lines).await?;
        match then {
            Then::Exit => return Ok(Ended::Exit),
            Then::Open(id) => {
                let all = client.conversations();
                if let Some(next) = all.into_iter().find(|one| one.id() == id) {
                    conversation = next;
                }
            }
            Then::GoOn | Then::Quit => {
                if is_seeker {
                    rate::offer(&conversation, output).await;
                }
                return Ok(Ended::Quit(chat.unsent.len()));
            }
        }
    }
}

impl<'a> Chat<'a> {
    async fn begin(
        (client, conversation): (&Client, &Conversation),
        team: Option<Conversation>,
        patience: Duration,
        output: &'a Output,
    ) -> Result<Self, Failure> {
        Ok(Self {
            members: conversation.members().await?,
            knocks: conversation.knocks().await?,
            team,
            queue: if conversation.has_ticket().await? {
                Queue::Waiting
            } else {
                Queue::Outside
            },
            patience,
            unsent: BTreeSet::new(),
            client: client.clone(),
            conversation: conversation.clone(),
            output,
            early: BTreeSet::new(),
            is_terminal: std::io::stdin().is_terminal(),
            is_online: false,
            said_offline: false,
            said_unsent: false,
            attachments: Attachments::default(),
            offered: None,
            others: Others::default(),
            helps: Some(conversation.resources().await?),
            has_agreed: conversation
                .agreement()
                .await?
                .is_some_and(|agreement| agreement.stands),
        })
    }
}

impl Chat<'_> {
    async fn talk(&mut self, lines: &mut Typed) -> Result<Then, Failure> {
        let history = self.conversation.history_before(None, HISTORY_MAX);
        for message in history.await? {
            self.show_message(&message, true);
        }
        for unsent in self.conversation.unsent().await? {
            let text = &unsent.text;
            self.output.object(&json!({"type": "unsent", "text": text}));
            self.output
                .quote(&format!("(not sent yet) {}", shown(text)));
            if !self.early.remove(&unsent.id) {
                self.unsent.insert(unsent.id);
            }
        }
        let kind = self.conversation.kind().await?;
        self.output
            .object(&json!({"type": "kind", "kind": kind.name()}));
        let whom = choosing::of_whom(kind);
        self.output
            .words(&format!("{whom} /help shows what else there is."));
        if self.queue == Queue::Waiting {
            self.note(
                "Nobody has answered yet, and your place is kept. What you write is said once \
                 somebody is there; /leave gives the place up.",
            );
            if let Some(place) = self.conversation.place().await? {
                queue::show_place(place, self.output);
            }
        } else if self.conversation.standing().await? == Standing::Joining {
            self.note("You are not in yet. What you write goes out once you are.");
        } else {
            self.show_members();
        }
        if self.conversation.desk_address().await?.is_some() {
            self.note(IS_A_TEAM);
        }
        if !self.knocks.is_empty() {
            self.show_knocks().await?;
        }
        loop {
            let then = self.one(lines).await?;
            if then != Then::GoOn {
                return Ok(then);
            }
        }
    }

    /// Waits for a line or an event, whichever comes first. Both are cancel safe.
    async fn one(&mut self, lines: &mut Typed) -> Result<Then, Failure> {
        let conversation = self.conversation.clone();
        // On duty what the team says is for who comes back to the list.
        let but = [Some(&conversation), self.team.as_ref()];
        let but: Vec<_> = but.into_iter().flatten().map(Conversation::id).collect();
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => self.typed(line.trim()).await,
                None => {
                    self.wait_until_sent().await?;
                    Ok(Then::Quit)
                }
            },
            saved = self.attachments.saved() => {
                let (Ok(words) | Err(words)) = saved;
                self.note(&words);
                Ok(Then::GoOn)
            }
            event = conversation.next_event() => match event {
                Some(event) => self.told(event).await,
                None => Ok(Then::Quit),
            },
            heard = self.others.next(&self.client, &but) => {
                self.others.tell(&self.client, heard, self.output).await;
                Ok(Then::GoOn)
            }
        }
    }

    /// At the end of stdin what was typed still goes out, if the relay can be reached.
    async fn wait_until_sent(&mut self) -> Result<(), Failure> {
        let patience = self.patience;
        let sending = async {
            while !self.unsent.is_empty() {
                match self.conversation.next_event().await {
                    Some(event) => self.told(event).await?,
                    None => break,
                };
            }
            Ok::<_, Failure>(())
        };
        timeout(patience, sending).await.unwrap_or(Ok(()))?;
        if !self.unsent.is_empty() {
            let said = not_sent(self.unsent.len());
            self.note(&format!("{said} That goes out with the next `sotto chat`."));
        }
        Ok(())
    }

    async fn typed(&mut self, line: &str) -> Result<Then, Failure> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" => {}
            "/x" => return Ok(Then::Exit),
            "/quit" => return Ok(Then::Quit),
            "/crisis" => self.crisis(rest.trim()).await?,
            "/chats" => choosing::list(&self.client, self.output).await?,
            "/open" => return Ok(self.open(rest.trim())),
            "/help" => self.help(rest.trim()).await?,
            "/members" => self.show_members(),
            "/link" => self.show_link().await?,
            "/leave" => {
                self.conversation.leave().await?;
                self.note("Leaving: keys and texts are erased here once the relay knows.");
            }
            "/remove" => self.remove(rest.trim()).await,
            "/add" => self.add(rest.trim()).await,
            "/knocks" => self.show_knocks().await?,
            "/admit" => self.answer(rest.trim(), Answer::Yes).await,
            "/admit-and-tell" => self.answer(rest.trim(), Answer::YesAndTell).await,
            "/turn-away" => self.answer(rest.trim(), Answer::No).await,
            "/call" => self.call(rest.trim()).await?,
            "/hand-over" => self.hand_over(rest.trim()).await,
            "/safe-word" => self.agree_safe_word(rest).await,
            "/give-safe-word" => self.give_safe_word(rest).await,
            "/allow-safe-word" => self.allow_safe_word(rest.trim()).await,
            "/attach" => self.attach(rest.trim()).await,
            "/save" => {
                if let Err(words) = self.attachments.save(&self.conversation, rest.trim()) {
                    self.note(&words);
                }
            }
            _ if self.typed_of_talk(word, rest.trim()).await? => {}
            _ if line.starts_with('/') => {
                self.note(&format!(
                    "There is no {}; /help shows what there is.",
                    shown(word)
                ));
            }
            _ => self.say(line).await,
        }
        Ok(Then::GoOn)
    }

    async fn say(&mut self, text: &str) {
        match self.conversation.send(text).await {
            Ok(id) => {
                if !self.early.remove(&id) {
                    self.unsent.insert(id);
                }
                if !self.is_online {
                    self.show_unsent();
                }
            }
            Err(error) => {
                self.note(&format!("not said: {error}"));
                self.show_ways_out(&error);
            }
        }
    }

    async fn told(&mut self, event: Event) -> Result<Then, Failure> {
        if let Some(then) = self.told_in_queue(&event).await? {
            return Ok(then);
        }
        if self.told_of_time(&event).await? {
            return Ok(Then::GoOn);
        }
        if let Some(words) = last_words(&event) {
            self.note(words);
            return Ok(Then::Quit);
        }
        if let Some(words) = words_of(&event) {
            self.note(words);
            return Ok(Then::GoOn);
        }
        if let Some((leaf, what)) = of_somebody(&event) {
            if matches!(event, Event::Reacted { .. }) {
                self.note(&format!("{} {what}.", self.name(leaf)));
            } else {
                self.changed(leaf, &what).await?;
            }
            return Ok(Then::GoOn);
        }
        match event {
            Event::Message(message) => self.show_message(&message, false),
            Event::Delivery { id, state } => self.delivered(id, state),
            Event::Attachment { id, transfer } => {
                self.attachments.told(id, transfer, self.output);
            }
            Event::Online(online) => self.online(online),
            Event::Unreached(why) if why.is_retryable() => self.say_offline(),
            Event::Unreached(why) => self.note(&Failure::not_reached(why).to_string()),
            Event::Knock { .. } => self.show_knocks().await?,
            Event::Joined { leaf, by } => self.joined(leaf, by).await?,
            Event::Named { leaf, .. } => self.named(leaf).await?,
            Event::Spoiled { by } => {
                let name = self.name(by);
                self.note(&format!(
                    "WARNING: {name} wrote a change that cannot be opened"
                ));
            }
            Event::Called { by, asks, link } => self.called(by, &asks.0, &link),
            Event::Badge { leaf, badge } => self.badge_shown(leaf, &badge).await?,
            Event::Edited { text, .. } => self.note(&format!("edited: {}", shown(&text.0))),
            _ => {}
        }
        Ok(Then::GoOn)
    }

    /// What is told while one waits at a desk, and is not told of a chat.
    async fn told_in_queue(&mut self, event: &Event) -> Result<Option<Then>, Failure> {
        if self.queue == Queue::Outside {
            return Ok(None);
        }
        match event {
            Event::Standing(Standing::In | Standing::Waiting) => {
                self.queue = Queue::Outside;
                self.output.object(&json!({"type": "answered"}));
                self.note("Somebody is here for you.");
                self.members = self.conversation.members().await?;
                self.show_members();
            }
            // It is the answer, which is told next.
            Event::Joined { .. } => {}
            Event::Standing(Standing::TurnedAway) => {
                if self.queue == Queue::Waiting {
                    queue::told(&Event::Unanswered, self.output);
                }
                return Ok(Some(Then::Quit));
            }
            event if queue::told(event, self.output) => {
                if queue::is_a_no(event)
                    && let Some(resources) = self.helps.take()
                {
                    crisis::show(&resources, self.output);
                }
                if *event == Event::Unanswered {
                    self.queue = Queue::Unanswered;
                }
            }
            _ => return Ok(None),
        }
        Ok(Some(Then::GoOn))
    }

    fn delivered(&mut self, id: MessageId, state: Delivery) {
        let was_unsent = self.unsent.remove(&id);
        match state {
            Delivery::Sent if !was_unsent => {
                self.early.insert(id);
            }
            Delivery::Failed => self.note("a message of yours was refused for good"),
            Delivery::Expired => self.note("a message of yours waited too long"),
            _ => {}
        }
        if self.unsent.is_empty() && core::mem::take(&mut self.said_unsent) {
            self.output.words("* All is sent.");
        }
        let word = match state {
            Delivery::Unsent => "unsent",
            Delivery::Sent => "sent",
            Delivery::Failed => "failed",
            Delivery::OutOfTurn => "out_of_turn",
            _ => "expired",
        };
        let unsent = self.unsent.len();
        self.output
            .object(&json!({"type": "delivery", "state": word, "unsent": unsent}));
    }

    fn online(&mut self, online: bool) {
        self.is_online = online;
        self.output
            .object(&json!({"type": "online", "online": online}));
        if !online {
            self.say_offline();
            return;
        }
        self.said_offline = false;
        self.output.words("* Connected: what you write goes out.");
    }

    /// Once, until there is a connection again.
    fn say_offline(&mut self) {
        if !core::mem::replace(&mut self.said_offline, true) {
            self.output.words(
                "* Not connected: what you write waits here and goes out once the relay is reached.",
            );
            self.show_unsent();
        }
    }

    /// Somebody said what they are called; often it was known from their first words.
    async fn named(&mut self, leaf: LeafId) -> Result<(), Failure> {
        let before = self.name(leaf);
        self.members = self.conversation.members().await?;
        let of = self.members.iter().find(|member| member.leaf == leaf);
        let (name, is_me) = (of.map(name_of), of.is_some_and(|member| member.is_me));
        self.list_members();
        if let Some(name) = name.filter(|name| *name != before && !is_me) {
            let before = if before == NAMELESS {
                "Somebody"
            } else {
                &before
            };
            self.note(&format!("{before} is called {name} now."));
        }
        Ok(())
    }

    async fn joined(&mut self, leaf: LeafId, by: Option<LeafId>) -> Result<(), Failure> {
        self.members = self.conversation.members().await?;
        let is_me = |member: &Member| member.is_me && member.leaf == leaf;
        if self.members.iter().any(is_me) {
            self.note("You are in.");
            self.show_members();
            return Ok(());
        }
        let by = by.map(|by| format!("was let in by {}", self.name(by)));
        self.changed(leaf, by.as_deref().unwrap_or("came in")).await
    }

    async fn changed(&mut self, leaf: LeafId, what: &str) -> Result<(), Failure> {
        let before = self.name(leaf);
        self.members = self.conversation.members().await?;
        let is_here = self.members.iter().any(|member| member.leaf == leaf);
        let name = if is_here { self.name(leaf) } else { before };
        self.note(&format!("{name} {what}."));
        self.show_members();
        Ok(())
    }

    fn name(&self, leaf: LeafId) -> String {
        let member = self.members.iter().find(|member| member.leaf == leaf);
        let Some(member) = member else {
            return "somebody who left".to_owned();
        };
        // Who was let in says a name later; at the door they said one.
        let knock = self.knocks.iter().find(|knock| knock.leaf == leaf);
        match (&member.name, knock) {
            (None, Some(knock)) => shown_short(&knock.name, NAME_CHARACTERS_MAX),
            _ => name_of(member),
        }
    }

    fn show_message(&mut self, message: &Message, is_old: bool) {
        let author = self.name(message.author);
        let attached = message.attachment.as_ref();
        let attached = attached.map(|one| (self.attachments.note(message.id, one), one));
        let mut line = json!({
            "type": "message", "seq": message.seq, "author": author,
            "mine": message.is_mine, "text": message.text, "retold": message.is_retold,
        });
        if let (Some(((number, _), one)), Some(line)) = (&attached, line.as_object_mut()) {
            let attachment = json!({
                "number": number, "name": one.name, "type": one.media_type, "bytes": one.bytes,
            });
            line.insert("attachment".into(), attachment);
        }
        self.output.object(&line);
        if message.is_retold {
            self.output
                .quote(&format!("told by {author} of what was said before:"));
            for line in message.text.lines() {
                self.output.quote(&format!("  {}", shown(line)));
            }
            return;
        }
        let words = attached.map(|((_, words), _)| words);
        if !message.is_mine || is_old || !self.is_terminal || words.is_some() {
            let text = shown(&message.text);
            let words = words.unwrap_or_default();
            self.output.quote(&format!("{author}: {text}{words}"));
        }
    }

    fn show_members(&self) {
        self.list_members();
        let is_somebodys = self.members.iter().any(|one| one.is_host);
        let all = self.members.iter().enumerate();
        let names: Vec<_> = all.map(|one| line_of(one, is_somebodys)).collect();
        self.output.words(&format!(
            "here, and able to read what you write now: {}; nobody else",
            names.join(", ")
        ));
        if !self.unsent.is_empty() {
            self.output.words(&not_sent(self.unsent.len()));
        }
    }

    /// For programs.
    fn list_members(&self) {
        let listed: Vec<Value> = self
            .members
            .iter()
            .map(|member| {
                json!({
                    "name": name_of(member), "me": member.is_me,
                    "facilitates": member.facilitates, "host": member.is_host,
                    "away": member.is_away, "safety": member.safety.map(safety_name),
                    "badge": member.badge.as_ref().map(badge::as_object),
                })
            })
            .collect();
        self.output
            .object(&json!({"type": "members", "members": listed}));
    }

    fn show_unsent(&mut self) {
        if !self.unsent.is_empty() {
            self.said_unsent = true;
            self.output.words(&not_sent(self.unsent.len()));
        }
    }

    fn note(&self, words: &str) {
        self.output.note(words);
    }
}
