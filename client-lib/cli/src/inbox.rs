//! `sotto inbox`: a standing inbox at the terminal. Who has its link can add its owner to rooms, and
//! the owner says yes or no here, whenever they come.

use serde_json::json;
use sotto_client::{Client, Event, Inbox, InboxOptions, Invitation, JoinOptions, Standing, Suite};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

use crate::arguments::InboxArgs;
use crate::device;
use crate::output::{Done, Failure, Output};

const HELP: &str = "\
  /accept NUMBER NAME  come in, under that name
  /decline NUMBER      stay out
  /link                show the link again
  /give-up             end this inbox for good
  /quit                stop for now; invitations wait";
/// Bytes of a conversation's id that are shown, so that two invitations to one can be told.
const SHOWN_BYTES: usize = 4;

/// One inbox at the terminal.
struct Tray<'a> {
    client: Client,
    inbox: Inbox,
    output: &'a Output,
    /// As they were last shown; numbers are places in this list.
    invitations: Vec<Invitation>,
    arguments: &'a InboxArgs,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Quit,
}

/// Opens the inbox of this device, or a new one, and waits for invitations until `/quit` or the end
/// of stdin.
pub(crate) async fn run(arguments: InboxArgs, output: &Output) -> Result<Done, Failure> {
    let client = device::open(&arguments.device).await?;
    let inbox = inbox_of(&client, &arguments).await?;
    let mut tray = Tray {
        client: client.clone(),
        inbox,
        output,
        invitations: Vec::new(),
        arguments: &arguments,
    };
    let outcome = tray.watch().await;
    client.close().await;
    outcome?;
    let mut done = Done::new();
    done.insert("invitations".into(), json!(tray.invitations.len()));
    Ok(done)
}

/// A device has one inbox here, so that nobody has to choose.
async fn inbox_of(client: &Client, arguments: &InboxArgs) -> Result<Inbox, Failure> {
    for inbox in client.inboxes() {
        // One that was given up has none, and waits for the relay to hear so.
        let Some(link) = inbox.link().await? else {
            continue;
        };
        return match &arguments.relay {
            Some(relay) if link.relay() != relay => Err(Failure::usage(
                "this device has an inbox on another relay",
                "Leave --relay out to see it, end it there with /give-up, or name another --folder",
            )),
            _ => Ok(inbox),
        };
    }
    let relay = arguments.relay.clone().ok_or_else(|| {
        Failure::usage(
            "there is no inbox on this device",
            "Open one with: sotto inbox --relay ADDRESS",
        )
    })?;
    let mut options = InboxOptions::new(relay);
    if arguments.classic {
        options.suite = Suite::Classic;
    }
    Ok(client.open_inbox(options).await?)
}

impl Tray<'_> {
    async fn watch(&mut self) -> Result<(), Failure> {
        device::until_open(&self.inbox, self.arguments.device.patience()).await?;
        self.show_link().await?;
        self.output.words(HELP);
        self.show_invitations().await?;
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while self.one(&mut lines).await? == Then::GoOn {}
        Ok(())
    }

    /// Waits for a line or an event, whichever comes first. Both are cancel safe.
    async fn one(&mut self, lines: &mut Lines<BufReader<Stdin>>) -> Result<Then, Failure> {
        let inbox = self.inbox.clone();
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => self.typed(line.trim()).await,
                None => Ok(Then::Quit),
            },
            event = inbox.next_event() => match event {
                Some(event) => self.told(&event).await,
                None => Ok(Then::Quit),
            },
        }
    }

    async fn typed(&mut self, line: &str) -> Result<Then, Failure> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" => {}
            "/quit" => return Ok(Then::Quit),
            "/link" => self.show_link().await?,
            "/accept" => self.accept(rest.trim()).await?,
            "/decline" => self.decline(rest.trim()).await?,
            "/give-up" => {
                self.inbox.give_up().await?;
                self.note("Nobody can add you by its link any more; the relay is told once it is reached.");
            }
            _ => self.output.words(HELP),
        }
        Ok(Then::GoOn)
    }

    async fn told(&mut self, event: &Event) -> Result<Then, Failure> {
        match event {
            Event::Invited(_) => self.show_invitations().await?,
            Event::InvitationLost { .. } => self.note(
                "Somebody added you with a key that is gone; you cannot come in there. Have them add \
                 you again.",
            ),
            Event::Online(online) => {
                self.output
                    .object(&json!({"type": "online", "online": online}));
                let words = if *online {
                    "The relay is reached."
                } else {
                    "The line is gone; it is tried again."
                };
                self.output.words(&format!("* {words}"));
            }
            Event::Unreached(why) => self.note(&Failure::not_reached(*why).to_string()),
            Event::Refused => self.note("The relay holds this inbox no longer: /give-up, and open another one."),
            Event::Standing(Standing::Left) => return Ok(Then::Quit),
            _ => {}
        }
        Ok(Then::GoOn)
    }

    async fn show_link(&self) -> Result<(), Failure> {
        let Some(link) = self.inbox.link().await? else {
            self.note("This inbox was given up.");
            return Ok(());
        };
        let link = link.to_string();
        self.output.object(&json!({"type": "inbox", "link": link}));
        self.output.words(&format!(
            "Who has this link can add you to rooms, with /add in `sotto chat`; you say yes or no \
             here:\n\n{link}\n"
        ));
        Ok(())
    }

    async fn show_invitations(&mut self) -> Result<(), Failure> {
        self.invitations = self.inbox.invitations().await?;
        if self.invitations.is_empty() {
            self.note("No invitation waits.");
        }
        for (invitation, number) in self.invitations.iter().zip(1_u64..) {
            let room = room_of(invitation);
            self.output
                .object(&json!({"type": "invitation", "number": number, "room": room}));
            self.output.words(&format!(
                "invited: {number} (room {room}; who is in it you see once you came in)"
            ));
        }
        Ok(())
    }

    async fn accept(&mut self, rest: &str) -> Result<(), Failure> {
        let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
        let (Some(invitation), name) = (self.find(number), name.trim()) else {
            self.note(WHICH);
            return Ok(());
        };
        if name.is_empty() {
            self.note("Under which name? Say /accept NUMBER NAME.");
            return Ok(());
        }
        let name = name.to_owned();
        let options = JoinOptions { name };
        let accepted = self
            .client
            .accept(&self.inbox, invitation.id, &options)
            .await;
        let conversation = match accepted {
            Ok(conversation) => conversation,
            Err(error) => {
                self.note(&format!("not accepted: {error}"));
                return Ok(());
            }
        };
        let waited = device::until_in(&conversation, self.arguments.device.patience()).await;
        match waited {
            Ok(()) => {
                let members = conversation.members().await?.len();
                device::show_joined(members, &self.arguments.device, self.output);
            }
            Err(failure) => self.note(&failure.to_string()),
        }
        self.invitations = self.inbox.invitations().await?;
        Ok(())
    }

    async fn decline(&mut self, number: &str) -> Result<(), Failure> {
        let Some(invitation) = self.find(number) else {
            self.note(WHICH);
            return Ok(());
        };
        match self.inbox.decline(invitation.id).await {
            Ok(()) => self.note(
                "Declined. Those inside are not told: they see a member who says nothing, until they \
                 remove you.",
            ),
            Err(error) => self.note(&format!("not declined: {error}")),
        }
        self.invitations = self.inbox.invitations().await?;
        Ok(())
    }

    fn find(&self, number: &str) -> Option<Invitation> {
        let at = number.parse::<usize>().ok()?.checked_sub(1)?;
        self.invitations.get(at).copied()
    }

    fn note(&self, words: &str) {
        self.output.note(words);
    }
}

const WHICH: &str = "Which? Say it with the number of an invitation.";

/// What tells two invitations to one room.
fn room_of(invitation: &Invitation) -> String {
    let bytes = invitation.log.as_bytes();
    hex::encode(bytes.get(..SHOWN_BYTES).unwrap_or(bytes))
}

/// How many invitations wait on this device, to be told of where one talks.
pub(crate) async fn waiting(client: &Client) -> Result<usize, Failure> {
    let mut count = 0;
    for inbox in client.inboxes() {
        count += inbox.invitations().await?.len();
    }
    Ok(count)
}
