//! Quick exit, and `sotto exit`: nothing of this device's folder is left, and nothing on the screen.

use std::fs::{self, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::Path;

use sotto_client::Client;
use sotto_client::error::ErrorKind;
use sotto_client::vault::SqliteVault;

use crate::arguments::ExitArgs;
use crate::device;
use crate::output::{Done, Failure};

/// Clears the screen and what can be scrolled back to, and goes to its first place.
const CLEAR: &str = "\x1b[2J\x1b[3J\x1b[H";

/// Erases what runs here. Says nothing: what would be said could be read.
pub(crate) async fn quick_exit(client: &Client, device: &device::Folder) -> Result<Done, Failure> {
    // Without its key the vault is noise, from the first write on.
    let key = forget_key(device.path());
    clear_screen();
    client.quick_exit().await?;
    key?;
    leave(device.path());
    Ok(Done::new())
}

/// Erases a device that nothing runs on.
pub(crate) async fn run(arguments: ExitArgs) -> Result<Done, Failure> {
    let folder = device::folder(arguments.folder.as_ref())?;
    let vault = device::vault(&folder);
    // First, as it refuses while a chat is open elsewhere.
    let destroyed = tokio::task::spawn_blocking(move || SqliteVault::destroy_in(&vault)).await;
    let destroyed = destroyed.map_err(|_| Failure::could_not_run("the vault was not erased"))?;
    match destroyed {
        Err(error) if error.kind() == ErrorKind::VaultInUse => return Err(error.into()),
        // What could not be erased is noise without it.
        destroyed => {
            forget_key(&folder)?;
            destroyed?;
        }
    }
    leave(&folder);
    Ok(Done::new())
}

/// Overwrites the key file and removes it.
fn forget_key(folder: &Path) -> Result<(), Failure> {
    let path = device::key_file(folder);
    match OpenOptions::new().write(true).open(&path) {
        Ok(mut file) => {
            let length = usize::try_from(file.metadata()?.len()).unwrap_or(device::KEY_BYTES);
            file.write_all(&vec![0; length.min(device::KEY_BYTES)])?;
            file.sync_all()?;
            fs::remove_file(&path)?;
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes the folder, if nothing of somebody else is in it.
fn leave(folder: &Path) {
    // What is in it then is not ours; `sotto residue` shows it.
    let _ = fs::remove_dir(folder);
}

fn clear_screen() {
    let mut terminal = std::io::stdout();
    if terminal.is_terminal() {
        // A terminal that is gone shows nothing.
        let _ = terminal.write_all(CLEAR.as_bytes());
        let _ = terminal.flush();
    }
}
