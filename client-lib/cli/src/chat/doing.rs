//! Files that are sent, and who is added and removed.

use serde_json::json;
use sotto_client::InboxLink;

use super::Chat;
use super::lines::find;
use crate::attached;
use crate::output::Failure;

impl Chat<'_> {
    pub(super) async fn attach(&mut self, path: &str) {
        match attached::attach(&self.conversation, path).await {
            Ok(id) => {
                if !self.early.remove(&id) {
                    self.unsent.insert(id);
                }
            }
            Err(words) => self.note(&words),
        }
    }

    pub(super) async fn remove(&mut self, whom: &str) {
        let Some(leaf) = find(&self.members, whom) else {
            self.note("Whom? Say /members and take the number.");
            return;
        };
        match self.conversation.remove(leaf).await {
            Ok(()) => self.note("Will be removed; the secret and the link are renewed with it."),
            Err(error) => self.note(&format!("not removed: {error}")),
        }
    }

    /// Adds somebody by the link of their inbox.
    pub(super) async fn add(&mut self, link: &str) {
        let Ok(inbox) = link.parse::<InboxLink>() else {
            self.note("Whom? Say /add with the link that `sotto inbox` showed them, from its first to its last character.");
            return;
        };
        match self.conversation.add(&inbox).await {
            Ok(()) => self.note("Will be added; they may say yes or no whenever they come."),
            Err(error) => self.note(&format!("not added: {error}")),
        }
    }

    pub(super) async fn show_link(&self) -> Result<(), Failure> {
        match self.conversation.link().await? {
            Some(link) => {
                self.output
                    .object(&json!({"type": "link", "link": link.to_string()}));
                let says = if link.asks_for_a_yes() {
                    "Whoever has this link can ask to come in"
                } else {
                    "Whoever has this link can come in"
                };
                self.output.words(&format!("{says}:\n{link}"));
            }
            None => self.note("There is no link now."),
        }
        Ok(())
    }
}
