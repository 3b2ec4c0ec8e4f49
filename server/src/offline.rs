//! The logs of a stopped relay's folder, opened to be read or filled: what `export`, `import` and
//! `seizure` have in common. Nobody is served, and nothing is swept.

use std::sync::Arc;

use crate::clock::Clock;
use crate::limits::LogLimits;
use crate::log::fault::Fault;
use crate::log::shared::Shared;
use crate::log::{LogParts, StartError};
use crate::store::{Folder, FolderError};

/// Why the logs of a folder could not be read or filled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfflineError {
    /// The folder is in use or damaged.
    #[error("the data folder could not be opened")]
    Folder(#[from] FolderError),
    /// The logs in it are not whole.
    #[error("the logs of the data folder are not whole")]
    Logs(#[from] StartError),
    /// The store refused.
    #[error("the store refused")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<Fault> for OfflineError {
    fn from(fault: Fault) -> Self {
        Self::Store(fault.into())
    }
}

/// The logs of an opened folder, not looked at yet.
pub(crate) fn logs_of(folder: &Folder, clock: Arc<dyn Clock>) -> Result<Shared, OfflineError> {
    Ok(Shared::new(LogParts {
        store: Arc::clone(&folder.store),
        keys: Arc::clone(&folder.keys),
        clock,
        limits: LogLimits::default(),
    })?)
}

/// Writes down what can be written down and lets go of the files.
pub(crate) async fn close(shared: &Shared) -> Result<(), OfflineError> {
    shared.keys.sync().map_err(Fault::from)?;
    shared.store.close().await.map_err(Fault::from)?;
    Ok(())
}
