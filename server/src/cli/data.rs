//! Commands on the data folder of a stopped relay: export, import, the clock, and what it gives
//! away.
//!
//! None of them starts a relay, and each refuses a folder that a relay uses.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::{Failure, Output};
use crate::archive::{self, ArchiveError, Archived};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Settings;
use crate::offline::OfflineError;
use crate::retention::Keys;
use crate::seizure::{self, LogFacts, SeizureError};
use crate::store::Folder;

/// Which data folder.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct FolderArgs {
    /// The settings file that names the folder.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder itself.
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

impl FolderArgs {
    /// The folder, where a relay has been.
    fn used(self) -> Result<PathBuf, Failure> {
        let folder = self.folder()?;
        if Keys::lie_in(&folder) {
            Ok(folder)
        } else {
            Err(Failure::no_folder(&folder))
        }
    }

    fn folder(self) -> Result<PathBuf, Failure> {
        match (self.folder, self.config) {
            (Some(folder), _) => Ok(folder),
            (None, Some(config)) => Ok(Settings::load(&config)?.folder),
            // The argument parser asks for one of the two.
            (None, None) => Ok(PathBuf::new()),
        }
    }
}

/// How to export.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Which folder.
    #[command(flatten)]
    pub folder: FolderArgs,
    /// The file to write; refused where there is one.
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

/// How to import.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Which folder; empty or missing.
    #[command(flatten)]
    pub folder: FolderArgs,
    /// The file to read.
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
}

fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::new())
}

fn tell(output: Output, kind: &str, carried: Archived) -> Result<(), Failure> {
    let Archived {
        logs,
        answers,
        entries,
    } = carried;
    let object = json!({"type": kind, "logs": logs, "answers": answers, "entries": entries});
    let words = format!("{kind}: {logs} logs, {entries} entries, {answers} remembered answers");
    Ok(output.line(&object, &words)?)
}

pub(super) async fn export(args: ExportArgs, output: Output) -> Result<(), Failure> {
    let folder = args.folder.used()?;
    let carried = archive::export(&folder, &args.to, clock()).await?;
    tell(output, "exported", carried)
}

pub(super) async fn import(args: ImportArgs, output: Output) -> Result<(), Failure> {
    let folder = args.folder.folder()?;
    let carried = archive::import(&args.from, &folder, clock()).await?;
    tell(output, "imported", carried)
}

pub(super) fn confirm_clock(args: FolderArgs, output: Output) -> Result<(), Failure> {
    let folder = args.used()?;
    let clock = clock();
    let before = Folder::confirm_clock(&folder, &*clock)
        .map_err(|error| Failure::of_folder(&error, &error))?;
    let now_s = clock.wall().as_secs();
    let moved_s = before.map(|before| i128::from(now_s) - i128::from(before.as_secs()));
    let object = json!({
        "type": "clock",
        "now_s": now_s,
        "moved_s": moved_s.and_then(|moved| i64::try_from(moved).ok()),
    });
    let words = match moved_s {
        Some(moved) => format!(
            "the clock is confirmed; since the relay last looked it moved {} by {} days and {} \
             hours",
            if moved < 0 { "back" } else { "on" },
            moved.abs() / 86_400,
            moved.abs() % 86_400 / 3_600,
        ),
        None => "the clock is confirmed; the relay had not looked at it before".to_owned(),
    };
    Ok(output.line(&object, &words)?)
}

pub(super) async fn seizure(args: FolderArgs, output: Output) -> Result<(), Failure> {
    let folder = args.used()?;
    let facts = seizure::seize(&folder, clock()).await?;
    for log in &facts.logs {
        output.line(&with_type("log", log), &words_of(log))?;
    }
    let engine = &facts.engine;
    let words = format!(
        "the folder: {} files, {} batches, keys for {} days, {} entries in about the order of \
         their arrival",
        engine.files.len(),
        engine.batches,
        engine.key_days,
        engine.arrivals.len(),
    );
    Ok(output.line(&with_type("engine", engine), &words)?)
}

/// The facts as an object that says what it is.
fn with_type(kind: &str, facts: &impl serde::Serialize) -> Value {
    let mut value = serde_json::to_value(facts).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("type".to_owned(), kind.into());
    }
    value
}

fn words_of(log: &LogFacts) -> String {
    let day = |day: Option<u32>| day.map_or_else(|| "none".to_owned(), |day| day.to_string());
    let mut words = format!(
        "log {}\n  entries {}, by class {:?}\n  first_day {}, last_day {}\n  fence {}",
        log.id,
        log.entries,
        log.entries_by_class,
        day(log.first_day),
        day(log.last_day),
        log.fence,
    );
    let lines = [
        ("grants", lines_of(&log.grants)),
        ("pins", lines_of(&log.pins)),
        ("claims", lines_of(&log.claims)),
    ];
    for (name, lines) in lines {
        words.push_str(&format!("\n  {name} {}", lines.len()));
        for line in lines {
            words.push_str(&format!("\n    {line}"));
        }
    }
    words
}

/// Each fact as one line.
fn lines_of(facts: &[impl serde::Serialize]) -> Vec<String> {
    facts
        .iter()
        .map(|fact| serde_json::to_string(fact).unwrap_or_default())
        .collect()
}

impl From<OfflineError> for Failure {
    fn from(error: OfflineError) -> Self {
        match &error {
            OfflineError::Folder(folder) => Self::of_folder(&error, folder),
            _ => Self::store(&error, super::RESTORE),
        }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Offline(error) => error.into(),
            ArchiveError::NotEmpty => Self::could_not_run(
                "folder",
                &error,
                "Import into an empty or missing folder; put the identity's copy there afterwards.",
            ),
            ArchiveError::Io(_) => Self::could_not_run(
                "file",
                &error,
                "See that the file can be read, or does not exist yet and can be written.",
            ),
            ArchiveError::File => Self::store(&error, "Use another copy of the export."),
        }
    }
}

impl From<SeizureError> for Failure {
    fn from(error: SeizureError) -> Self {
        match error {
            SeizureError::Offline(error) => error.into(),
            SeizureError::Io(_) => Self::could_not_run(
                "file",
                &error,
                "See that the folder can be read and that there is room for a copy of it.",
            ),
        }
    }
}
