//! Which conversation: all of a device, by numbers that stay, each with what it is for. Who says to the
//! person who asked what was meant for the team cannot take it back.

use serde_json::json;
use sotto_client::{Client, Conversation, ConversationKind, Standing};

use super::lines::name_of;
use super::{Chat, Then};
use crate::output::{Failure, Output};

/// The conversation with this number, or the only one.
pub(crate) async fn choose(
    client: &Client,
    number: Option<usize>,
    output: &Output,
) -> Result<Conversation, Failure> {
    let all = client.conversations();
    if all.is_empty() {
        return Err(Failure::usage(
            "there is no conversation on this device",
            "Begin one with `sotto room new`, enter one with `sotto room join`, ask at a desk with `sotto \
             desk ask`, or say yes to an invitation in `sotto inbox`",
        ));
    }
    if number.is_none() && all.len() > 1 {
        list(client, output).await?;
        return Err(Failure::usage(
            "there are several conversations on this device",
            "Look which one you mean, and say the number in front of it behind the command",
        ));
    }
    let chosen = number.unwrap_or(1).checked_sub(1);
    chosen
        .and_then(|at| all.into_iter().nth(at))
        .ok_or_else(|| Failure::usage("there is no such conversation", "See `sotto chat`"))
}

/// Shows all conversations of this device with their numbers.
pub(crate) async fn list(client: &Client, output: &Output) -> Result<(), Failure> {
    for (conversation, number) in client.conversations().iter().zip(1_u64..) {
        let members = conversation.members().await?;
        let names: Vec<_> = members
            .iter()
            .filter(|one| !one.is_me)
            .map(name_of)
            .collect();
        let (kind, standing) = (conversation.kind().await?, conversation.standing().await?);
        let waits = conversation.has_ticket().await?;
        output.object(&json!({
            "type": "conversation", "number": number, "kind": kind.name(), "members": names,
            "waits_at_a_desk": waits,
        }));
        let what = what(kind, standing, &names.join(", "));
        output.words(&format!("{number}: {what}"));
    }
    Ok(())
}

impl Chat<'_> {
    /// Goes to another conversation of this device.
    pub(super) fn open(&self, number: &str) -> Then {
        let all = self.client.conversations();
        let chosen = number.parse::<usize>().ok();
        match chosen.and_then(|number| all.get(number.checked_sub(1)?)) {
            Some(next) if next.id() == self.conversation.id() => {
                self.note("You are there already.");
                Then::GoOn
            }
            Some(next) => Then::Open(next.id()),
            None => {
                self.note("Which? /chats lists them; take the number of one.");
                Then::GoOn
            }
        }
    }
}

/// The number of this conversation among all of the device.
pub(crate) fn number_of(client: &Client, conversation: &Conversation) -> Option<usize> {
    let all = client.conversations();
    let at = all.iter().position(|one| one.id() == conversation.id());
    at.map(|at| at + 1)
}

/// The room of this device that is a desk's team.
pub(crate) async fn team_of(client: &Client) -> Result<Option<Conversation>, Failure> {
    for conversation in client.conversations() {
        if conversation.desk_address().await?.is_some() {
            return Ok(Some(conversation));
        }
    }
    Ok(None)
}

/// What one is, in the middle of a sentence.
pub(super) const fn title(kind: ConversationKind) -> &'static str {
    match kind {
        ConversationKind::Team => "the team's room",
        ConversationKind::Theirs => "a chat with somebody who asked",
        ConversationKind::Ours => "your chat",
        ConversationKind::Ticket => "your place at a desk",
        ConversationKind::Letter => "your letter to a desk",
        ConversationKind::Turns => "a talk with turns",
        ConversationKind::Aside => "a side-room",
        _ => "a room",
    }
}

/// One line of the list.
fn what(kind: ConversationKind, standing: Standing, names: &str) -> String {
    let with = match names {
        "" => ", nobody else is there".to_owned(),
        names => format!(" with {names}"),
    };
    let what = match kind {
        ConversationKind::Ticket => {
            return "your place at a desk; nobody has answered yet".to_owned();
        }
        ConversationKind::Letter => {
            return "your letter to a desk; nobody has answered yet".to_owned();
        }
        _ if standing == Standing::Joining => {
            return "you asked to come in there; nobody has answered yet".to_owned();
        }
        ConversationKind::Team => "THE TEAM of your desk",
        ConversationKind::Theirs => "A CHAT WITH SOMEBODY WHO ASKED at the desk:",
        ConversationKind::Ours => "your chat, which began at a desk,",
        ConversationKind::Turns => "a talk with turns",
        ConversationKind::Aside => "a side-room of some of the team",
        _ => "a room",
    };
    format!("{what}{with}")
}

/// What is said once at the beginning of a talk, where one could take it for another.
pub(super) const fn of_whom(kind: ConversationKind) -> &'static str {
    match kind {
        ConversationKind::Team => {
            "This is the room of your desk's team: supporters read what you type, and nobody who asked."
        }
        ConversationKind::Theirs => {
            "This is a chat with somebody who asked at the desk: what you type is said to them."
        }
        ConversationKind::Aside => {
            "This is a side-room: what you type is said to those of the team who are here, and to nobody who \
             asked."
        }
        _ => "What you type is said to everybody here.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_teams_room_and_a_chat_with_somebody_who_asked_are_told_apart() {
        let line = |kind| what(kind, Standing::In, "Ben");
        let team = line(ConversationKind::Team);
        let chat = line(ConversationKind::Theirs);
        assert_eq!(team, "THE TEAM of your desk with Ben");
        assert_eq!(chat, "A CHAT WITH SOMEBODY WHO ASKED at the desk: with Ben");
        let alone = what(ConversationKind::Aside, Standing::In, "");
        assert!(alone.starts_with("a side-room") && alone.ends_with("nobody else is there"));
        assert!(of_whom(ConversationKind::Theirs).contains("said to them"));
        assert!(of_whom(ConversationKind::Team).contains("nobody who asked"));
    }
}
