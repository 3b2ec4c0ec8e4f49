//! Somebody at the demo's desk, and all that is heard in one of their conversations.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sotto_client::transport::{Dial, WebSocketDialer};
use sotto_client::vault::VaultKey;
use sotto_client::{Client, ClientOptions, Conversation, Event, Standing};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::output::{Done, Failure};
use crate::speak::Wire;

/// Whatever is to happen happens within this time, also on a slow machine and after a restart.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often something is looked at that no event tells of.
const GLANCE: Duration = Duration::from_millis(50);

/// A device, and whose it is.
pub(super) struct Somebody {
    pub(super) client: Client,
    pub(super) wire: Arc<Wire>,
    pub(super) folder: PathBuf,
}

impl Somebody {
    /// Opens a device in a folder of its own below `vaults`.
    pub(super) async fn with_device(
        vaults: &Path,
        device: &str,
        dialer: &WebSocketDialer,
    ) -> Result<Self, Failure> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|_| Failure::could_not_run("the system gave no randomness"))?;
        let wire = Wire::new(dialer.clone());
        let dial: Arc<dyn Dial> = Arc::clone(&wire) as _;
        let folder = vaults.join(device);
        let options = ClientOptions::folder(&folder, VaultKey::raw(key)).dialer(dial);
        Ok(Self {
            client: Client::open(options).await?,
            wire,
            folder,
        })
    }
}

/// One conversation on one device.
pub(super) struct Ear {
    pub(super) conversation: Conversation,
    heard: watch::Receiver<Vec<Event>>,
    /// Ends with this.
    _listens: JoinSet<()>,
}

impl Ear {
    pub(super) fn of(conversation: Conversation) -> Self {
        let (tell, heard) = watch::channel(Vec::new());
        let mut listens = JoinSet::new();
        let listened = conversation.clone();
        listens.spawn(async move {
            while let Some(event) = listened.next_event().await {
                tell.send_modify(|heard| heard.push(event));
            }
        });
        Self {
            conversation,
            heard,
            _listens: listens,
        }
    }

    /// How much was heard so far, to wait for what comes after.
    pub(super) fn mark(&self) -> usize {
        self.heard.borrow().len()
    }

    /// The first event after `mark` of which something is wanted.
    pub(super) async fn since<T>(
        &self,
        mark: usize,
        what: &str,
        wanted: impl Fn(&Event) -> Option<T>,
    ) -> Result<T, Failure> {
        let mut heard = self.heard.clone();
        let hears = async {
            loop {
                let found = heard
                    .borrow_and_update()
                    .iter()
                    .skip(mark)
                    .find_map(&wanted);
                if found.is_some() || heard.changed().await.is_err() {
                    return found;
                }
            }
        };
        let found = timeout(PATIENCE, hears).await.ok().flatten();
        found.ok_or_else(|| never(what))
    }

    /// The same, from the beginning.
    pub(super) async fn hears<T>(
        &self,
        what: &str,
        wanted: impl Fn(&Event) -> Option<T>,
    ) -> Result<T, Failure> {
        self.since(0, what, wanted).await
    }

    pub(super) async fn is_in(&self, what: &str) -> Result<(), Failure> {
        self.hears(what, |event| {
            matches!(event, Event::Standing(Standing::In | Standing::Waiting)).then_some(())
        })
        .await
    }

    /// Waits until the line is there, or gone.
    pub(super) async fn is_online(&self, is_on: bool) -> Result<(), Failure> {
        let mut heard = self.heard.clone();
        let is_so = |heard: &Vec<Event>| {
            let mut last = heard.iter().rev();
            last.find_map(|event| match event {
                Event::Online(is_on) => Some(*is_on),
                _ => None,
            }) == Some(is_on)
        };
        let turned = timeout(PATIENCE, heard.wait_for(is_so)).await;
        let what = if is_on { "a line" } else { "no line" };
        match turned {
            Ok(Ok(_)) => Ok(()),
            _ => Err(never(what)),
        }
    }

    /// How often a text was heard, one's own included.
    pub(super) fn times(&self, text: &str) -> usize {
        let is_it =
            |event: &&Event| matches!(event, Event::Message(message) if message.text == text);
        self.heard.borrow().iter().filter(is_it).count()
    }

    pub(super) async fn hears_text(&self, text: &str) -> Result<(), Failure> {
        let is_it = |event: &Event| {
            matches!(event, Event::Message(message) if message.text == text).then_some(())
        };
        self.hears("a message that was sent", is_it).await
    }
}

/// What was promised did not come, in a time in which it always does.
fn never(what: &str) -> Failure {
    Failure::promise(format!("it never came to this: {what}"), Done::new())
}

/// Looks again and again until there is something.
pub(super) async fn until_there<T, F>(what: &str, look: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<Option<T>, Failure>>,
{
    let looks = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(GLANCE).await;
        }
    };
    let found = timeout(PATIENCE, looks).await;
    found.unwrap_or_else(|_| Err(never(what)))
}
