//! Words that somebody else reads before they go out.

use serde_json::json;
use sotto_client::{Event, MessageId};
use tokio::time::timeout;

use super::Chat;
use super::choosing::number_of;
use crate::output::Failure;
use crate::screen::shown;

impl Chat<'_> {
    /// What is typed of drafts and side-rooms; whether it was.
    pub(super) async fn typed_of_review(
        &mut self,
        word: &str,
        rest: &str,
    ) -> Result<bool, Failure> {
        match word {
            "/side" => self.side_room(rest).await?,
            "/review-in" => self.review_in(rest).await,
            "/drafts" => self.show_drafts().await?,
            "/release" => self.release(rest).await?,
            "/send-back" => self.send_back(rest).await?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A room for us and whoever of the team answers.
    async fn side_room(&self, asks: &str) -> Result<(), Failure> {
        // It may be asked for in the team's room itself.
        let is_team = self.conversation.desk_address().await?.is_some();
        let here = is_team.then_some(&self.conversation);
        let Some(team) = self.team.as_ref().or(here) else {
            self.note("Nobody can be asked here: this device is in no desk's team.");
            return Ok(());
        };
        if asks.is_empty() {
            self.note("For what? Say it in a few words, such as: /side a question");
            return Ok(());
        }
        let me = self.members.iter().find(|member| member.is_me);
        let name = me.and_then(|me| me.name.clone());
        let name = name.unwrap_or_else(|| "Supporter".to_owned());
        let founding = self.client.side_room(team, &name, asks);
        match timeout(self.patience, founding).await {
            Ok(Ok(room)) => {
                let number = number_of(&self.client, &room).unwrap_or_default();
                self.output
                    .object(&json!({"type": "side_room", "number": number}));
                self.note(&format!(
                    "A room for you and whoever of the team answers is founded, and the team is asked. \
                     Nothing of this chat is in it. It is number {number} of your conversations: /admit \
                     there who comes, and say /review-in {number} here if they are to read first what you \
                     write."
                ));
            }
            Ok(Err(error)) => self.note(&format!("not founded: {error}")),
            Err(_) => self.note(
                "Nobody is asked yet: the relay was not reached in time. Please try again in a moment.",
            ),
        }
        Ok(())
    }

    async fn review_in(&self, number: &str) {
        let all = self.client.conversations();
        let chosen = number.parse::<usize>().ok();
        let chosen = chosen.and_then(|number| all.get(number.checked_sub(1)?));
        let Some(side_room) = chosen else {
            self.note("Where? `sotto chat` lists your conversations; take the number of one.");
            return;
        };
        match self.conversation.review_in(side_room).await {
            Ok(()) => self.note(
                "From now on what you write here is read there first, and goes out once somebody else \
                 there releases it.",
            ),
            Err(error) => self.note(&format!("not done: {error}")),
        }
    }

    async fn show_drafts(&self) -> Result<(), Failure> {
        let drafts = self.conversation.open_drafts().await?;
        if drafts.is_empty() {
            self.note("No draft waits here.");
        }
        for (draft, number) in drafts.iter().zip(1_u64..) {
            let by = self.name(draft.by);
            self.output.object(&json!({
                "type": "draft", "number": number, "by": by, "text": draft.text,
            }));
            self.output
                .quote(&format!("draft {number} by {by}: {}", shown(&draft.text)));
        }
        Ok(())
    }

    async fn find_draft(&self, number: &str) -> Result<Option<MessageId>, Failure> {
        let drafts = self.conversation.open_drafts().await?;
        let number = number.parse::<usize>().ok();
        let found = number.and_then(|number| drafts.get(number.checked_sub(1)?));
        if found.is_none() {
            self.note("Which? Say /drafts and take the number.");
        }
        Ok(found.map(|draft| draft.id))
    }

    async fn release(&self, rest: &str) -> Result<(), Failure> {
        let (number, words) = rest.split_once(' ').unwrap_or((rest, ""));
        if let Some(id) = self.find_draft(number).await? {
            let words = Some(words.trim()).filter(|words| !words.is_empty());
            self.done(self.conversation.release_draft(id, words).await);
        }
        Ok(())
    }

    async fn send_back(&self, rest: &str) -> Result<(), Failure> {
        let (number, note) = rest.split_once(' ').unwrap_or((rest, ""));
        if let Some(id) = self.find_draft(number).await? {
            self.done(self.conversation.send_draft_back(id, note.trim()).await);
        }
        Ok(())
    }

    /// Whether the event was of a draft.
    pub(super) fn told_of_review(&mut self, event: &Event) -> bool {
        match event {
            Event::Draft { by, text, .. } => {
                let by = self.name(*by);
                self.output
                    .object(&json!({"type": "draft_came", "by": by, "text": text.0}));
                self.output
                    .quote(&format!("draft by {by}: {}", shown(&text.0)));
                self.note(
                    "/drafts lists what waits; /release NUMBER [WORDS], /send-back NUMBER NOTE",
                );
            }
            Event::DraftReleased { by, .. } => {
                let by = self.name(*by);
                self.output
                    .object(&json!({"type": "draft_released", "by": by}));
                self.note(&format!("{by} let a draft go out."));
            }
            Event::DraftSentBack { id, note } => {
                self.unsent.remove(id);
                self.output
                    .object(&json!({"type": "draft_sent_back", "note": note.0}));
                self.note("A draft was given back and does not go out:");
                self.output.quote(&shown(&note.0));
            }
            _ => return false,
        }
        true
    }
}
