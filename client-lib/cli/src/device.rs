//! This device: the folder that keeps its conversations, and the key that opens it.
//!
//! Without a passphrase the key lies beside the vault in a file of its own, readable by its owner
//! only: whoever can copy the whole folder can then read it.

use std::fs::{self, OpenOptions};
use std::io::{IsTerminal, Read, Write};
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
/// How long one waits for a relay before one is told that it cannot be reached.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

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
        VaultKey::passphrase(ask_passphrase()?)
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

fn ask_passphrase() -> Result<String, Failure> {
    let refused = || {
        Failure::usage(
            "a passphrase is asked at a terminal only",
            "Run it in a terminal",
        )
    };
    let terminal = Term::stderr();
    if !(terminal.is_term() && std::io::stdin().is_terminal()) {
        return Err(refused());
    }
    terminal.write_str("passphrase: ").map_err(|_| refused())?;
    terminal.read_secure_line().map_err(|_| refused())
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
pub(crate) async fn until_in(conversation: &Conversation) -> Result<(), Failure> {
    let refused = || {
        Failure::could_not_run("the relay does not let this link in")
            .then("Ask for a new link; this one no longer opens anything")
    };
    let entering = async {
        loop {
            match conversation.standing().await? {
                Standing::In | Standing::Waiting => return Ok(()),
                Standing::Removed | Standing::ShutOut | Standing::Left => {
                    return Err(refused());
                }
                _ => {}
            }
            match conversation.next_event().await {
                Some(Event::Refused) | None => return Err(refused()),
                Some(_) => {}
            }
        }
    };
    timeout(PATIENCE, entering).await.unwrap_or_else(|_| {
        let said = "the relay was not reached within half a minute";
        Err(Failure::could_not_run(said)
            .then("What was begun is kept and goes on with `sotto chat`"))
    })
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
