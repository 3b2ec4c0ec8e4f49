//! The relay's commands, for the binary `sotto-relay` and for `sotto relay`.
//!
//! Lines for programs go to stdout, everything else to stderr. Nothing here decides how a relay
//! behaves: that is in the settings.

mod data;
mod failure;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_subscriber::filter::LevelFilter;

pub use self::data::{ExportArgs, FolderArgs, ImportArgs};
pub use self::failure::Failure;
use self::failure::RESTORE;
use crate::config::{CreateRule, Format, Level, OutputSettings, Settings};
use crate::launch::{Launch, stop_at_signals};

/// The Sotto relay.
#[derive(Debug, Parser)]
#[command(name = "sotto-relay", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// Write one JSON object a line to stdout.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Serve until SIGINT or SIGTERM.
    Run(RunArgs),
    /// Read the settings and say whether they are right.
    CheckConfig(ConfigArgs),
    /// Write all logs of a stopped relay to a file.
    Export(ExportArgs),
    /// Read an export into an empty folder.
    Import(ImportArgs),
    /// Say that the machine's clock is right after it moved by a day or more; the relay is stopped.
    ConfirmClock(FolderArgs),
    /// Say everything that a stopped relay's folder gives away.
    Seizure(FolderArgs),
}

/// Where the settings are.
#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// The settings file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// How to run.
#[derive(Args, Debug, Default)]
pub struct RunArgs {
    /// The settings file.
    #[arg(long, value_name = "FILE", required_unless_present = "dev")]
    pub config: Option<PathBuf>,
    /// Make the relay's identity first; refused where there is one.
    #[arg(long)]
    pub init: bool,
    /// For trying out: on loopback, anyone may create logs, in a scratch folder unless one is given.
    #[arg(long, conflicts_with_all = ["config", "init"])]
    pub dev: bool,
    /// With --dev: the folder; the identity in it is used again.
    #[arg(long, value_name = "FOLDER", requires = "dev")]
    pub folder: Option<PathBuf>,
    /// With --dev: the port on loopback; without it any free one.
    #[arg(long, value_name = "PORT", requires = "dev")]
    pub port: Option<u16>,
}

/// Lines for whoever started the process.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// JSON on stdout instead of words.
    pub json: bool,
}

impl Output {
    /// One line on stdout: an object for programs, or words.
    fn line(self, object: &Value, words: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{object}")?;
        } else {
            writeln!(stdout, "{words}")?;
        }
        stdout.flush()
    }

    /// The last line, and the exit code.
    pub fn finish(self, outcome: Result<(), Failure>) -> ExitCode {
        let (object, code) = match &outcome {
            Ok(()) => (json!({"type": "summary", "ok": true}), 0),
            Err(failure) => {
                let error = failure.to_json();
                let object = json!({"type": "summary", "ok": false, "error": error});
                (object, failure.code())
            }
        };
        // Nobody is left to be told when both are closed.
        if self.json {
            let _ = writeln!(io::stdout().lock(), "{object}");
        }
        if let Err(failure) = outcome {
            let _ = writeln!(io::stderr().lock(), "{failure}");
        }
        ExitCode::from(code)
    }
}

/// Carries a command of `sotto-relay` out.
pub async fn execute(cli: Cli) -> ExitCode {
    let output = Output { json: cli.json };
    let outcome = match cli.command {
        Command::Run(args) => run(args, output).await,
        Command::CheckConfig(args) => check_config(&args.config, output),
        Command::Export(args) => data::export(args, output).await,
        Command::Import(args) => data::import(args, output).await,
        Command::ConfirmClock(args) => data::confirm_clock(args, output),
        Command::Seizure(args) => data::seizure(args, output).await,
    };
    output.finish(outcome)
}

fn check_config(path: &Path, output: Output) -> Result<(), Failure> {
    Settings::load(path)?;
    output.line(
        &json!({"type": "settings", "right": true}),
        "the settings are right",
    )?;
    Ok(())
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// A [`Failure`] with its exit code.
///
/// # Cancel safety
/// Dropping the future stops the relay at once; what was acknowledged is safe.
pub async fn run(args: RunArgs, output: Output) -> Result<(), Failure> {
    // Lives as long as the relay runs, and takes the scratch folder with it.
    let (launch, _scratch) = launch(args)?;
    log_to_stderr(&launch.settings.output);
    let is_open = launch.settings.create == CreateRule::DangerousOpen;
    let tasks = TaskTracker::new();
    let shutdown = CancellationToken::new();
    stop_at_signals(shutdown.clone(), &tasks)?;
    let relay = launch.launch().await?;
    if is_open {
        tracing::warn!("anyone who reaches this relay may create logs (create = dangerous_open)");
    }
    let object = json!({
        "type": "listening",
        "address": relay.address,
        "listen": relay.listen.to_string(),
        "admin": relay.admin.map(|address| address.to_string()),
    });
    output.line(&object, &format!("listening: {}", relay.address))?;
    tracing::info!("listening");
    relay.run(shutdown.clone()).await?;
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
    tracing::info!("stopped");
    Ok(())
}

fn launch(args: RunArgs) -> Result<(Launch, Option<tempfile::TempDir>), Failure> {
    if let Some(path) = args.config {
        let settings = Settings::load(&path)?;
        let init = args.init;
        return Ok((Launch { settings, init }, None));
    }
    let (folder, scratch) = match args.folder {
        Some(folder) => (folder, None),
        None => {
            let scratch = tempfile::Builder::new().prefix("sotto-relay-").tempdir()?;
            (scratch.path().to_path_buf(), Some(scratch))
        }
    };
    let settings = dev_settings(folder, args.port.unwrap_or(0));
    let init = !settings.identity_path().exists();
    Ok((Launch { settings, init }, scratch))
}

/// Settings for trying out, on loopback.
#[must_use]
pub fn dev_settings(folder: PathBuf, port: u16) -> Settings {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut settings = Settings::new(CreateRule::DangerousOpen);
    settings.folder = folder;
    settings.listen = loopback(port);
    settings.admin.listen = loopback(0);
    settings
}

fn log_to_stderr(output: &OutputSettings) {
    let level = match output.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(false);
    // A second relay in one process keeps the first one's subscriber.
    let _ = match output.format {
        Format::Text => subscriber.try_init(),
        Format::Json => subscriber.json().try_init(),
    };
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_relay_without_settings_is_a_usage_error() {
        let refused = Cli::try_parse_from(["sotto-relay", "run"]).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(Cli::try_parse_from(["sotto-relay", "run", "--dev"]).is_ok());
        assert!(Cli::try_parse_from(["sotto-relay", "run", "--dev", "--config", "x"]).is_err());
    }

    #[test]
    fn trying_out_listens_on_loopback_only() {
        let settings = dev_settings(PathBuf::from("x"), 0);
        assert!(settings.listen.ip().is_loopback() && settings.admin.listen.ip().is_loopback());
        settings.check().unwrap();
    }
}
