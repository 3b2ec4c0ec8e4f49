//! This device: the folder that keeps its conversations, and the key that opens it.
//!
//! Without a passphrase the key lies beside the vault in a file of its own, readable by its owner
//! only: whoever can copy the whole folder can then read it.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use console::Term;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::json;
use sotto_client::vault::VaultKey;
use sotto_client::{Client, ClientOptions, Conversation, Event, Inbox, Standing};
use tokio::time::timeout;

use crate::arguments::DeviceArgs;
use crate::output::{Failure, Output};

/// Under the person's home, unless a folder is given.
const FOLDER: &str = ".local/share/sotto";
const KEY_FILE: &str = "key";
pub(crate) const KEY_BYTES: usize = 32;

/// The folder that was given, or the usual one.
pub(crate) fn folder(given: Option<&PathBuf>) -> Result<PathBuf, Failure> {
    match given {
        Some(folder) => Ok(folder.clone()),
        None => std::env::home_dir()
            .map(|home| home.join(FOLDER))
            .ok_or_else(|| {
                Failure::usage("there is no home folder", "Name a folder with --folder")
            }),
    }
}

/// A device's folder, once it was made.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The one that a command works in.
    pub(crate) fn of(arguments: &DeviceArgs) -> Result<Self, Failure> {
        folder(arguments.folder.as_ref()).map(Self)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// Where its key is, unless a passphrase opens it.
pub(crate) fn key_file(folder: &Path) -> PathBuf {
    folder.join(KEY_FILE)
}

/// Where the vault is in a device's folder.
pub(crate) fn vault(folder: &Path) -> PathBuf {
    folder.join("vault")
}

/// Opens this device; its conversations run from then on.
pub(crate) async fn open(arguments: &DeviceArgs) -> Result<Client, Failure> {
    let folder = folder(arguments.folder.as_ref())?;
    make_private(&folder)?;
    let key = if arguments.passphrase {
        let is_new = !vault(&folder).exists();
        let _echo = Echo::now();
        VaultKey::passphrase(typed(move || ask_passphrase(is_new)).await?)
    } else {
        VaultKey::raw(own_key(&key_file(&folder))?)
    };
    let mut options = ClientOptions::folder(vault(&folder), key);
    if let Some(path) = &arguments.authority {
        options = options.certificate_authority(&authority(path)?)?;
    }
    Ok(Client::open(options).await?)
}

/// The certificates that are trusted for `wss://` instead of the web's.
pub(crate) fn authority(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        Failure::usage(
            format!("the authority's file cannot be read: {error}"),
            "Name a PEM file that is there with --authority",
        )
    })
}

fn make_private(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    Ok(())
}

/// Reads from the keyboard where it keeps nobody from hearing Ctrl-C.
async fn typed(
    read: impl FnOnce() -> Result<String, Failure> + Send + 'static,
) -> Result<String, Failure> {
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|_| Failure::could_not_run("stdin was not read"))?
}

/// The next line of stdin; at a terminal it is asked for.
pub(crate) async fn read_line(ask: &str, output: &Output) -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        output.words(ask);
    }
    typed(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        Ok(line)
    })
    .await
}

/// How the terminal was before something was asked without showing it; whatever becomes of the
/// question, it is so again.
struct Echo(Option<Termios>);

impl Echo {
    fn now() -> Self {
        Self(tcgetattr(std::io::stdin()).ok())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // A terminal that is gone shows nothing.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// At a terminal it is asked without showing it, twice for a new folder; elsewhere it is the first
/// line of stdin.
fn ask_passphrase(is_new: bool) -> Result<String, Failure> {
    let terminal = Term::stderr();
    if !(terminal.is_term() && std::io::stdin().is_terminal()) {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        let typed = line.trim_end_matches(['\r', '\n']);
        return not_empty(typed.to_owned());
    }
    let ask = |what: &str| {
        terminal.write_str(what)?;
        terminal.read_secure_line()
    };
    let typed = not_empty(ask("passphrase: ")?)?;
    if is_new && ask("the same again, since nobody can bring it back: ")? != typed {
        return Err(Failure::usage(
            "the two passphrases differ",
            "Try again; nothing was made",
        ));
    }
    Ok(typed)
}

fn not_empty(typed: String) -> Result<String, Failure> {
    if typed.is_empty() {
        return Err(Failure::usage(
            "a passphrase is not empty",
            "Type one, or leave --passphrase out",
        ));
    }
    Ok(typed)
}

/// The key in the file; a new one where there is no file yet.
fn own_key(path: &Path) -> Result<[u8; KEY_BYTES], Failure> {
    let mut key = [0; KEY_BYTES];
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(mut file) => {
            getrandom::fill(&mut key)
                .map_err(|_| Failure::could_not_run("the system gave no randomness"))?;
            file.write_all(&key)?;
            file.sync_all()?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let mut file = fs::File::open(path)?;
            file.read_exact(&mut key).map_err(|_| {
                Failure::could_not_run("the key file is not whole")
                    .then("Put its copy back; without it the vault cannot be opened")
            })?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(key)
}

/// Waits until one has a place in the conversation.
pub(crate) async fn until_in(
    conversation: &Conversation,
    patience: Duration,
) -> Result<(), Failure> {
    let kept = "What was begun is kept and goes on with `sotto chat`; do not begin it again";
    within(patience, until_answered(conversation), kept).await
}

/// Waits until our knock lies at the door, or was answered before.
pub(crate) async fn until_knocked(
    conversation: &Conversation,
    patience: Duration,
) -> Result<(), Failure> {
    let kept = "The knock is kept and goes on with `sotto chat`; do not knock again";
    within(patience, until_in_or_asked(conversation), kept).await
}

/// Waits until the relay holds the inbox.
pub(crate) async fn until_open(inbox: &Inbox, patience: Duration) -> Result<(), Failure> {
    let opening = async {
        let ready = inbox.ready();
        let mut ready = core::pin::pin!(ready);
        loop {
            tokio::select! {
                biased;
                done = &mut ready => return Ok(done?),
                event = inbox.next_event() => match event {
                    Some(Event::Unreached(why)) if !why.is_retryable() => {
                        return Err(Failure::not_reached(why));
                    }
                    Some(Event::Refused) => {
                        return Err(Failure::could_not_run("the relay makes no inbox for you")
                            .then("Ask whoever runs the relay"));
                    }
                    Some(_) => {}
                    None => return Ok(inbox.ready().await?),
                },
            }
        }
    };
    let kept = "The inbox is kept and is opened with the next `sotto inbox`";
    within(patience, opening, kept).await
}

/// What was begun is kept whatever happens, and `kept` says so.
async fn within(
    patience: Duration,
    what: impl Future<Output = Result<(), Failure>>,
    kept: &str,
) -> Result<(), Failure> {
    match timeout(patience, what).await {
        Ok(Err(failure)) if failure.is_for_now() => {
            let next = format!("{}. {kept}", failure.next);
            Err(failure.then(next))
        }
        Ok(outcome) => outcome,
        Err(_) => {
            let seconds = patience.as_secs();
            let said = format!("the relay was not reached within {seconds} seconds");
            Err(Failure::unreachable(said).then(kept))
        }
    }
}

/// Says that one is in.
pub(crate) fn show_joined(members: usize, device: &DeviceArgs, output: &Output) {
    output.object(&json!({"type": "joined", "members": members}));
    let words = match members.saturating_sub(1) {
        0 => "You are in; nobody else is here yet.".to_owned(),
        1 => "You are in, with one other.".to_owned(),
        others => format!("You are in, with {others} others."),
    };
    output.words(&words);
    output.words(&format!("Talk with: {}", device.command("chat")));
}

/// Waits until one has a place, however long it takes.
pub(crate) async fn until_answered(conversation: &Conversation) -> Result<(), Failure> {
    while !is_settled(conversation).await? {
        next_step(conversation).await?;
    }
    Ok(())
}

/// The same, or until one has asked for a place.
pub(crate) async fn until_in_or_asked(conversation: &Conversation) -> Result<(), Failure> {
    while !is_settled(conversation).await? {
        if next_step(conversation).await? == Event::Knocked {
            break;
        }
    }
    Ok(())
}

async fn is_settled(conversation: &Conversation) -> Result<bool, Failure> {
    match conversation.standing().await? {
        Standing::In | Standing::Waiting => Ok(true),
        Standing::Removed | Standing::ShutOut | Standing::Left => Err(refused()),
        Standing::TurnedAway => Err(Failure::could_not_run("you were not let in")
            .then("Ask whoever gave you the link; you may knock again")),
        _ => Ok(false),
    }
}

async fn next_step(conversation: &Conversation) -> Result<Event, Failure> {
    match conversation.next_event().await {
        Some(Event::Refused) => Err(refused()),
        Some(Event::Unreached(why)) if !why.is_retryable() => Err(Failure::not_reached(why)),
        Some(event) => Ok(event),
        // It ended; how, the standing says.
        None => match is_settled(conversation).await {
            Err(failure) => Err(failure),
            Ok(_) => Err(refused()),
        },
    }
}

fn refused() -> Failure {
    Failure::could_not_run("the relay does not let this link in")
        .then("Ask for a new link; this one no longer opens anything")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEY_FILE);
        let key = own_key(&path).unwrap();
        assert_eq!(own_key(&path).unwrap(), key);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::write(&path, b"short").unwrap();
        assert!(own_key(&path).is_err());
    }
}
