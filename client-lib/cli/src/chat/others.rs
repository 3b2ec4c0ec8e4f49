//! What happens in this device's other conversations while one looks at one of them: somebody who waits
//! for an answer there is not to wait unheard.

use std::collections::BTreeSet;

use futures_util::future::select_all;
use serde_json::json;
use sotto_client::{Client, Conversation, ConversationId, ConversationKind, Event};

use super::choosing::{number_of, title};
use crate::output::Output;

/// The other conversations, as far as they were listened to.
#[derive(Default)]
pub(crate) struct Others {
    /// Nothing comes of them any more.
    ended: BTreeSet<ConversationId>,
    /// It was said that something was written there.
    told: BTreeSet<ConversationId>,
}

impl Others {
    /// What comes next in any conversation but these. Waits for ever where there is none. Cancel safe.
    pub(crate) async fn next(
        &mut self,
        client: &Client,
        but: &[ConversationId],
    ) -> (Conversation, Option<Event>) {
        let all = client.conversations().into_iter();
        let listening = all
            .filter(|one| !but.contains(&one.id()) && !self.ended.contains(&one.id()))
            .map(|one| {
                Box::pin(async move {
                    let event = one.next_event().await;
                    (one, event)
                })
            });
        let listening: Vec<_> = listening.collect();
        if listening.is_empty() {
            return core::future::pending().await;
        }
        let (heard, _, _) = select_all(listening).await;
        heard
    }

    /// Says what was heard, if it is for somebody who looks elsewhere.
    pub(crate) async fn tell(
        &mut self,
        client: &Client,
        (conversation, event): (Conversation, Option<Event>),
        output: &Output,
    ) {
        let id = conversation.id();
        let Some(event) = event else {
            self.ended.insert(id);
            return;
        };
        // One that has ended meanwhile has nothing more to tell.
        let Ok(kind) = conversation.kind().await else {
            return;
        };
        let Some(what) = worth_telling(&event, kind) else {
            return;
        };
        // Of words once, until somebody has looked.
        if matches!(event, Event::Message(_)) && !self.told.insert(id) {
            return;
        }
        let Some(number) = number_of(client, &conversation) else {
            return;
        };
        output.object(&json!({
            "type": "elsewhere", "number": number, "kind": kind.name(), "what": what,
        }));
        let title = title(kind);
        output.words(&format!(
            "* In {number}, {title}, {what}. /open {number} goes there."
        ));
    }
}

fn worth_telling(event: &Event, kind: ConversationKind) -> Option<&'static str> {
    Some(match event {
        Event::Message(message) if !message.is_mine => "somebody wrote",
        // In a chat that is theirs they say yes or no themselves.
        Event::Knock { .. } if kind != ConversationKind::Theirs => "somebody asks to come in",
        Event::Called { .. } => "somebody asks for you to come into another conversation",
        Event::Quiet { .. } => "nobody has answered you for a while",
        Event::EndsSoon { .. } => "little time is left",
        Event::TimeIsOver => "the time that was agreed on is over",
        Event::Draft { .. } => "a draft waits to be read",
        Event::DraftSentBack { .. } => "a draft of yours was given back",
        Event::Leaving { .. } | Event::Left { .. } => "somebody left",
        _ => return None,
    })
}
