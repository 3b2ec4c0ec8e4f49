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
use sotto_client::vault::VaultKey;
use sotto_client::{Client, ClientOptions, Conversation, Event, Standing};
use tokio::time::timeout;

use crate::arguments::DeviceArgs;
use crate::output::Failure;

/// Under the person's home, unless a folder is given.
const FOLDER: &str = ".local/share/sotto";
const KEY_FILE: &str = "key";
const KEY_BYTES: usize = 32;

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

/// Where the vault is in a device's folder.
pub(crate) fn vault(folder: &Path) -> PathBuf {
    folder.join("vault")
}

/// Opens this device; its conversations run from then on.
pub(crate) async fn open(arguments: &DeviceArgs) -> Result<Client, Failure> {
    let folder = folder(arguments.folder.as_ref())?;
    make_private(&folder)?;
    let key = if arguments.passphrase {
        VaultKey::passphrase(ask_passphrase(!vault(&folder).exists())?)
    } else {
        VaultKey::raw(own_key(&folder.join(KEY_FILE))?)
    };
    let mut options = ClientOptions::folder(vault(&folder), key);
    if let Some(path) = &arguments.authority {
        options = options.certificate_authority(&fs::read(path)?)?;
    }
    Ok(Client::open(options).await?)
}

fn make_private(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    Ok(())
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
    within(patience, until_answered(conversation)).await
}

/// Waits until our knock lies at the door, or was answered before.
pub(crate) async fn until_knocked(
    conversation: &Conversation,
    patience: Duration,
) -> Result<(), Failure> {
    within(patience, until_in_or_asked(conversation)).await
}

async fn within(
    patience: Duration,
    what: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    timeout(patience, what).await.unwrap_or_else(|_| {
        let said = format!(
            "the relay was not reached within {} seconds",
            patience.as_secs()
        );
        Err(Failure::unreachable(said).then("What was begun is kept and goes on with `sotto chat`"))
    })
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
