//! What went wrong with a command: a sentence, what to do next, and an exit code.

use std::fmt;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::config::ConfigError;
use crate::identity::IdentityError;
use crate::launch::LaunchError;
use crate::store::FolderError;

const USAGE: u8 = 2;
const COULD_NOT_RUN: u8 = 3;
const STORE_REFUSED: u8 = 4;

/// What to do about a store that is not whole.
pub(super) const RESTORE: &str =
    "Nothing was changed. Restore a copy of the folder, or `import` an export into an empty one.";

/// What went wrong, for people and for programs.
#[derive(Debug)]
pub struct Failure {
    kind: &'static str,
    message: String,
    next: &'static str,
    code: u8,
}

impl Failure {
    /// The process's exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// Kind, message and what to do next, as an object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"kind": self.kind, "message": self.message, "next": self.next})
    }

    pub(super) fn could_not_run(
        kind: &'static str,
        error: &dyn std::error::Error,
        next: &'static str,
    ) -> Self {
        Self {
            kind,
            message: told(error),
            next,
            code: COULD_NOT_RUN,
        }
    }

    pub(super) fn store(error: &dyn std::error::Error, next: &'static str) -> Self {
        Self {
            kind: "store",
            message: told(error),
            next,
            code: STORE_REFUSED,
        }
    }

    pub(super) fn of_folder(error: &dyn std::error::Error, folder: &FolderError) -> Self {
        match folder {
            FolderError::InUse => Self::could_not_run(
                "folder",
                error,
                "Stop the other relay, or name another folder.",
            ),
            FolderError::Io(_) => Self::could_not_run(
                "folder",
                error,
                "See that the folder may be read and written.",
            ),
            _ => Self::store(error, RESTORE),
        }
    }

    pub(super) fn no_folder(folder: &Path) -> Self {
        Self {
            kind: "folder",
            message: format!("no relay has used the folder {}", folder.display()),
            next: "Name the data folder of a relay.",
            code: COULD_NOT_RUN,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.message, self.next)
    }
}

/// An error with its causes in one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self {
            kind: "settings",
            message: told(&error),
            next: "Mend the settings; deploy/sotto.toml explains every key.",
            code: USAGE,
        }
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        match &error {
            LaunchError::Data { source, .. } => Self::of_folder(&error, source),
            LaunchError::Logs(_) => Self::store(&error, RESTORE),
            LaunchError::Identity(IdentityError::Missing { .. }) => Self::could_not_run(
                "identity",
                &error,
                "Start once with --init, or put the identity's copy there.",
            ),
            LaunchError::Identity(_) => Self::could_not_run(
                "identity",
                &error,
                "Never replace an identity that links were made for.",
            ),
            LaunchError::Listen { .. } => Self::could_not_run(
                "listen",
                &error,
                "Stop what has the port, or set another one.",
            ),
            _ => Self::could_not_run(
                "system",
                &error,
                "See that the folder exists and may be written.",
            ),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::could_not_run(
            "system",
            &error,
            "See that stdout and the folder for scratch files can be written.",
        )
    }
}
