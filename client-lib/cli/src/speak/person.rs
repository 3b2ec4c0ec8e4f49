//! One person: a client with its own vault and connection, and everything it heard.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sotto_client::vault::VaultKey;
use sotto_client::{
    Client, ClientOptions, Conversation, Delivery, Event, JoinOptions, LeafId, Link, MessageId,
    RelayAddress, RoomOptions, Standing, Suite,
};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::wire::Wire;
use crate::output::Failure;

/// How long one waits for the relay or another person without anything happening.
const PATIENCE: Duration = Duration::from_secs(60);

/// A text as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct HeardMessage {
    pub(crate) id: MessageId,
    pub(crate) seq: u64,
    pub(crate) author: LeafId,
    pub(crate) text: String,
}

/// Everything a person was told so far.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) messages: Vec<HeardMessage>,
    ids: BTreeSet<MessageId>,
    /// Ours that were not yet met in the log.
    unanswered: BTreeSet<MessageId>,
    /// Met in the log before `send` came back to us.
    early: BTreeSet<MessageId>,
    is_online: bool,
    was_refused: bool,
    is_removed: bool,
    /// Messages that were refused for good, and warnings about the relay or a member.
    pub(crate) alarms: u64,
    /// Grows with every event.
    events: u64,
}

impl Heard {
    fn take(&mut self, event: Event) {
        self.events += 1;
        match event {
            Event::Message(message) => {
                self.ids.insert(message.id);
                self.messages.push(HeardMessage {
                    id: message.id,
                    seq: message.seq,
                    author: message.author,
                    text: message.text,
                });
            }
            Event::Delivery { id, state } => {
                if !self.unanswered.remove(&id) {
                    self.early.insert(id);
                }
                if matches!(state, Delivery::Failed | Delivery::Expired) {
                    self.alarms += 1;
                }
            }
            Event::Online(online) => self.is_online = online,
            Event::Refused => self.was_refused = true,
            Event::Standing(Standing::Removed) => self.is_removed = true,
            Event::Doubt(_)
            | Event::Fork { .. }
            | Event::Spoiled { .. }
            | Event::HiddenManager { .. } => self.alarms += 1,
            _ => {}
        }
    }
}

/// What one needs to become a person.
pub(crate) struct Seat<'a> {
    pub(crate) name: &'a str,
    pub(crate) vault: &'a Path,
    pub(crate) wire: Arc<Wire>,
    /// Grows with everything that anybody hears.
    pub(crate) pulse: watch::Sender<u64>,
}

/// One client.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) wire: Arc<Wire>,
    client: Client,
    conversation: OnceLock<Conversation>,
    leaf: OnceLock<LeafId>,
    heard: watch::Sender<Heard>,
    pulse: watch::Sender<u64>,
    listening: Mutex<JoinSet<()>>,
}

impl Person {
    /// Makes the vault under a fresh key that nobody keeps.
    pub(crate) async fn open(seat: Seat<'_>) -> Result<Self, Failure> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|_| Failure::could_not_run("the system gave no randomness"))?;
        let dialer: Arc<dyn sotto_client::transport::Dial> = Arc::clone(&seat.wire) as _;
        let options = ClientOptions::folder(seat.vault, VaultKey::raw(key)).dialer(dialer);
        Ok(Self {
            name: seat.name.to_owned(),
            wire: seat.wire,
            client: Client::open(options).await?,
            conversation: OnceLock::new(),
            leaf: OnceLock::new(),
            heard: watch::Sender::default(),
            pulse: seat.pulse,
            listening: Mutex::default(),
        })
    }

    pub(crate) async fn found(&self, relay: RelayAddress) -> Result<(), Failure> {
        let options = RoomOptions::new(relay, self.name.clone());
        let conversation = self.client.found(options).await?;
        self.listen(conversation).await?;
        self.until_in().await
    }

    pub(crate) async fn join(&self, link: &Link) -> Result<(), Failure> {
        self.knock(link).await?;
        self.until_in().await
    }

    /// Tries a link without waiting for what comes of it.
    pub(crate) async fn knock(&self, link: &Link) -> Result<(), Failure> {
        let name = self.name.clone();
        let conversation = self.client.join(link, &JoinOptions { name }).await?;
        self.listen(conversation).await
    }

    async fn listen(&self, conversation: Conversation) -> Result<(), Failure> {
        let (heard, pulse) = (self.heard.clone(), self.pulse.clone());
        let events = conversation.clone();
        self.listening.lock().await.spawn(async move {
            while let Some(event) = events.next_event().await {
                heard.send_modify(|heard| heard.take(event));
                pulse.send_modify(|beats| *beats += 1);
            }
        });
        self.conversation
            .set(conversation)
            .map_err(|_| Failure::could_not_run("a person is in one conversation only"))
    }

    fn conversation(&self) -> Result<&Conversation, Failure> {
        let nowhere = || Failure::could_not_run("a person is in no conversation yet");
        self.conversation.get().ok_or_else(nowhere)
    }

    async fn until_in(&self) -> Result<(), Failure> {
        let conversation = self.conversation()?.clone();
        self.until("nobody was let in", || async {
            Ok(match conversation.standing().await? {
                Standing::In | Standing::Waiting => Some(()),
                _ => None,
            })
        })
        .await?;
        let members = conversation.members().await?;
        if let Some(me) = members.iter().find(|member| member.is_me) {
            // Set once: a person joins one conversation only.
            let _ = self.leaf.set(me.leaf);
        }
        Ok(())
    }

    /// Waits until the conversation has so many members, as this person sees it.
    pub(crate) async fn until_members(&self, count: usize) -> Result<(), Failure> {
        let conversation = self.conversation()?.clone();
        self.until("somebody did not see all members", || async {
            let members = conversation.members().await?;
            Ok((members.len() == count).then_some(()))
        })
        .await
    }

    /// Looks again after each event, until there is what was looked for.
    async fn until<T, F>(&self, failed: &str, look: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Option<T>, Failure>>,
    {
        let mut changes = self.heard.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(found) = look().await? {
                return Ok(found);
            }
            // The sender is this person's own.
            let _ = timeout(PATIENCE, changes.changed())
                .await
                .map_err(|_| Failure::could_not_run(failed.to_owned()))?;
        }
    }

    /// Waits for something to have been heard.
    async fn until_heard(
        &self,
        failed: &str,
        so: impl FnMut(&Heard) -> bool,
    ) -> Result<(), Failure> {
        let mut changes = self.heard.subscribe();
        let waiting = timeout(PATIENCE, changes.wait_for(so)).await;
        match waiting {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Failure::could_not_run(failed.to_owned())),
        }
    }

    /// Says something: on the disk of this person when it returns.
    pub(crate) async fn say(&self, text: &str) -> Result<MessageId, Failure> {
        let id = self.conversation()?.send(text).await?;
        self.heard.send_modify(|heard| {
            if !heard.early.remove(&id) {
                heard.unanswered.insert(id);
            }
        });
        self.pulse.send_modify(|beats| *beats += 1);
        Ok(id)
    }

    /// Waits as long as it takes; whoever calls it watches for a standstill.
    pub(crate) async fn hear(&self, id: MessageId) {
        // The sender is this person's own and lives as long as the call.
        let _ = self
            .heard
            .subscribe()
            .wait_for(|heard| heard.ids.contains(&id))
            .await;
    }

    /// Ours that we do not know to stand in the log.
    pub(crate) fn unanswered(&self) -> BTreeSet<MessageId> {
        self.heard.borrow().unanswered.clone()
    }

    pub(crate) fn unanswered_count(&self) -> usize {
        self.heard.borrow().unanswered.len()
    }

    pub(crate) async fn until_online(&self, online: bool) -> Result<(), Failure> {
        let failed = if online {
            "a line did not come back"
        } else {
            "a line did not end"
        };
        self.until_heard(failed, |heard| heard.is_online == online)
            .await
    }

    pub(crate) async fn until_removed(&self) -> Result<(), Failure> {
        self.until_heard("the removed one was not told", |heard| heard.is_removed)
            .await
    }

    pub(crate) async fn until_refused(&self) -> Result<(), Failure> {
        self.until_heard("an old link was not refused", |heard| heard.was_refused)
            .await
    }

    pub(crate) async fn remove(&self, leaf: LeafId) -> Result<(), Failure> {
        Ok(self.conversation()?.remove(leaf).await?)
    }

    /// The conversation's present link; waits for it.
    pub(crate) async fn link(&self) -> Result<Link, Failure> {
        let link = self.conversation()?.link().await?;
        link.ok_or_else(|| Failure::could_not_run("the conversation has no link"))
    }

    pub(crate) async fn suite(&self) -> Result<Suite, Failure> {
        Ok(self.conversation()?.suite().await?)
    }

    /// Names this person in their conversation.
    pub(crate) fn leaf(&self) -> Result<LeafId, Failure> {
        let nowhere = || Failure::could_not_run("a person is in no conversation yet");
        self.leaf.get().copied().ok_or_else(nowhere)
    }

    /// Everything heard so far.
    pub(crate) fn heard(&self) -> watch::Ref<'_, Heard> {
        self.heard.borrow()
    }

    /// What stands in the vault, compared to what was told while it happened.
    pub(crate) async fn keeps_what_it_heard(&self) -> Result<bool, Failure> {
        let history = self.conversation()?.history().await?;
        let kept = history.into_iter().map(|message| message.id);
        let heard = self.heard.borrow();
        Ok(kept.eq(heard.messages.iter().map(|message| message.id)))
    }

    /// Ends the client and hears out what it still had to tell.
    pub(crate) async fn close(&self) {
        self.client.close().await;
        let mut listening = self.listening.lock().await;
        while listening.join_next().await.is_some() {}
    }
}
