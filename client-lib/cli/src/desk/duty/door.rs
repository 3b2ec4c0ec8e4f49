//! What a supporter hears on duty beside the queue: who knocks at the team's door, what the team says,
//! and what happens in their chats. The folder is open here, so nobody can look anywhere else.

use serde_json::json;
use sotto_client::{Conversation, DutyMode, Event, Knock};

use super::{Duty, Then, place_of};
use crate::badge;
use crate::chat::{self, Typed, who_asks};
use crate::output::Failure;
use crate::screen::{shown, shown_short};

/// A name's place on a line.
const NAME_CHARACTERS_MAX: usize = 24;
const HELP_AT_THE_TEAMS_DOOR: &str = "\
Whoever comes into the team can read what people write to the desk. Be sure who it is.
  /admit NUMBER      they come into the team
  /turn-away NUMBER  they do not";

impl Duty<'_> {
    /// What is typed of the team's door and of other conversations; nothing if it is neither.
    pub(super) async fn typed_beside(
        &mut self,
        (word, rest): (&str, &str),
        lines: &mut Typed,
    ) -> Result<Option<Then>, Failure> {
        match word {
            "/knocks" => self.show_knocks().await?,
            "/admit" => self.answer(rest, true).await,
            "/turn-away" => self.answer(rest, false).await,
            "/finish" => self.be(DutyMode::Finishing).await?,
            "/break" => self.be(DutyMode::Break).await?,
            "/back" => self.be(DutyMode::Takes).await?,
            "/chats" => chat::choosing::list(&self.client, self.output).await?,
            "/team" => return self.talk(&self.team.clone(), lines).await.map(Some),
            "/open" => return self.open(rest, lines).await.map(Some),
            _ => return Ok(None),
        }
        Ok(Some(Then::GoOn))
    }

    /// Takes nobody new, or people again.
    async fn be(&mut self, mode: DutyMode) -> Result<(), Failure> {
        self.team.duty_as(mode).await?;
        let chats = self.client.chats_held().await;
        self.output
            .object(&json!({"type": "duty", "mode": mode.name(), "chats": chats}));
        let chats = match chats {
            0 => "You are in no chat now.".to_owned(),
            1 => "You are in one chat, which goes on.".to_owned(),
            chats => format!("You are in {chats} chats, which go on."),
        };
        match mode {
            DutyMode::Finishing => self.output.note(&format!(
                "You take nobody new and bring to an end what you began. {chats} /back takes people again, \
                 /quit goes off duty."
            )),
            DutyMode::Break => self.output.note(&format!(
                "You have a break: nobody new is shown to you. Others of the team see who waits, and every \
                 place is kept. {chats} /back takes people again."
            )),
            _ => {
                self.output.note("You take people again.");
                self.show().await?;
            }
        }
        Ok(())
    }

    /// Who waits is shown to who takes people, and to who is finishing whether they have.
    pub(super) async fn is_back_at_the_list(&mut self) -> Result<(), Failure> {
        match self.team.duty_mode().await? {
            Some(DutyMode::Finishing) => self.be(DutyMode::Finishing).await,
            Some(DutyMode::Break) => self.be(DutyMode::Break).await,
            _ => self.show().await,
        }
    }

    async fn open(&mut self, number: &str, lines: &mut Typed) -> Result<Then, Failure> {
        let all = self.client.conversations();
        let Some(chosen) = place_of(number).and_then(|at| all.get(at)) else {
            self.output
                .note("Which? /chats lists them; take the number of one.");
            return Ok(Then::GoOn);
        };
        self.talk(chosen, lines).await
    }

    /// Who waits at the team's door, oldest first.
    pub(super) async fn show_knocks(&mut self) -> Result<(), Failure> {
        self.knocks = self.team.knocks().await?;
        if self.knocks.is_empty() {
            self.output.note("Nobody waits at the team's door.");
            return Ok(());
        }
        for (knock, number) in self.knocks.iter().zip(1_u64..) {
            let name = shown_short(&knock.name, NAME_CHARACTERS_MAX);
            self.output.object(&json!({
                "type": "knock", "number": number, "name": name, "team": true,
                "badge": knock.badge.as_ref().map(badge::as_object),
            }));
            let who = who_asks(knock, &name, None);
            self.output
                .words(&format!("at the team's door: {number} {who}"));
        }
        self.output.words(HELP_AT_THE_TEAMS_DOOR);
        Ok(())
    }

    async fn answer(&mut self, number: &str, is_yes: bool) {
        let Some(knock) = place_of(number).and_then(|at| self.knocks.get(at)) else {
            self.output.note("Whom? Say /knocks and take the number.");
            return;
        };
        let Knock { leaf, .. } = *knock;
        let (answered, said) = if is_yes {
            let said = "Will be let into the team.";
            (self.team.admit(leaf).await, said)
        } else {
            (self.team.turn_away(leaf).await, "Will be told no.")
        };
        match answered {
            Ok(()) => self.output.note(said),
            Err(error) => self.output.note(&format!("not answered: {error}")),
        }
    }

    /// What the team says and does, beside tickets and calls.
    pub(super) async fn heard_of_team(&mut self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::Knock { .. } => self.show_knocks().await?,
            Event::Message(message) if !message.is_mine => {
                let members = self.team.members().await?;
                let by = members.iter().find(|one| one.leaf == message.author);
                let by = by.map_or_else(|| "somebody who left".to_owned(), chat::name_of);
                self.output
                    .object(&json!({"type": "team_message", "author": by, "text": message.text}));
                self.output
                    .quote(&format!("(team) {by}: {}", shown(&message.text)));
                self.output.words("* /team goes there, to answer.");
            }
            event => {
                if let Some(words) = chat::words_of(event) {
                    self.output.note(words);
                }
            }
        }
        Ok(())
    }

    /// Off duty: those who are in a chat with us hear that we are away.
    pub(super) async fn step_away(&self) {
        for conversation in self.client.conversations() {
            let conversation: Conversation = conversation;
            // Who may not say it any more is away already.
            let _ = conversation.step_away().await;
        }
    }
}
