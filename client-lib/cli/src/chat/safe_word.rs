//! Safe words: agreed here, and given by who comes back.

use super::Chat;
use super::lines::{WHICH_SAFE_WORD, find};

impl Chat<'_> {
    pub(super) async fn agree_safe_word(&self, word: &str) {
        let Ok(word) = word.parse() else {
            self.note(WHICH_SAFE_WORD);
            return;
        };
        match self.conversation.agree_safe_word(&word).await {
            Ok(()) => self.note(
                "Whoever comes back here in your name is shown as unverified until they give it. It is \
                 kept nowhere on this device; remember it.",
            ),
            Err(error) => self.note(&format!("not agreed: {error}")),
        }
    }

    /// Whether it was right is for the others to know.
    pub(super) async fn give_safe_word(&self, word: &str) {
        let Ok(word) = word.parse() else {
            self.note(WHICH_SAFE_WORD);
            return;
        };
        match self.conversation.give_safe_word(&word).await {
            Ok(()) => self.note("Given."),
            Err(error) => self.note(&format!("not given: {error}")),
        }
    }

    pub(super) async fn allow_safe_word(&self, whom: &str) {
        let Some(leaf) = find(&self.members, whom) else {
            self.note("Whom? Say /members and take the number.");
            return;
        };
        match self.conversation.allow_safe_word(leaf).await {
            Ok(()) => self.note("Their next safe words are looked at again, three at most."),
            Err(error) => self.note(&format!("not done: {error}")),
        }
    }
}
