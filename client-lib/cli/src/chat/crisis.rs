//! `/crisis`: for who asked, whom the desk names, from what is kept on this device; for a supporter, the team
//! as well.

use serde_json::json;
use sotto_client::{ConversationKind, Resource};
use tokio::time::timeout;

use super::Chat;
use crate::output::{Failure, Output};
use crate::screen::shown;

/// What is true everywhere. Which number is right depends on where somebody is, and nothing here knows that.
const ANYWHERE: &str = "If a life is in danger now, yours or another's, call the emergency number of where you \
                        are: 112 in the EU, 999 in the UK, 911 in North America, 000 in Australia.";
const UNHEARD: &str = "This is kept on your device. Nobody is told that you looked.";

impl Chat<'_> {
    pub(super) async fn crisis(&mut self, words: &str) -> Result<(), Failure> {
        let kind = self.conversation.kind().await?;
        if kind == ConversationKind::Theirs {
            let asks = match words {
                "" => "a crisis".to_owned(),
                words => format!("a crisis: {words}"),
            };
            self.call(&asks).await?;
        }
        let mut resources = self.conversation.resources().await?;
        let mut is_unheard = kind != ConversationKind::Theirs;
        // What somebody asked elsewhere has nothing to do with the team they are in.
        let is_ours = matches!(
            kind,
            ConversationKind::Ours | ConversationKind::Ticket | ConversationKind::Letter
        );
        let team = self.team.as_ref().filter(|_| !is_ours);
        if let Some(team) = team.filter(|_| resources.is_empty()) {
            resources = team.resources().await?;
            if let Some(address) = team.desk_address().await?.filter(|_| resources.is_empty()) {
                // A supporter's device has no card of its own, and the relay sees that one is read.
                is_unheard = false;
                let visit = timeout(self.patience, self.client.visit(&address)).await;
                if let Ok(Ok(visit)) = visit {
                    resources = visit.card().resources().to_vec();
                }
            }
        }
        show(&resources, self.output);
        if is_unheard {
            self.output.words(UNHEARD);
        }
        Ok(())
    }
}

/// Whom a desk names for a crisis, and what holds everywhere.
pub(crate) fn show(resources: &[Resource], output: &Output) {
    for Resource { name, how } in resources {
        output.object(&json!({"type": "resource", "name": name, "how": how}));
    }
    output.object(&json!({"type": "crisis", "resources": resources.len()}));
    output.words(ANYWHERE);
    if resources.is_empty() {
        return;
    }
    output.words("This desk also names, whether it is open or not:");
    for Resource { name, how } in resources {
        output.words(&format!("  {}: {}", shown(name), shown(how)));
    }
}
