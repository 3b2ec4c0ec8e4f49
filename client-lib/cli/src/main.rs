//! The `sotto` command: a runtime, the signals and the exit code around one file a subcommand.
//!
//! It prints for people, or with `--json` one object a line for programs; logs and progress go to
//! stderr.

mod arguments;
mod attached;
mod badge;
mod bench;
mod chat;
mod demo;
mod desk;
mod device;
mod exit;
mod inbox;
mod output;
mod replay;
mod residue;
mod room;
mod said;
mod screen;
mod speak;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind as UsageKind;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{BadgeCommand, Cli, Command, RoomCommand, WordsCommand};
use crate::output::{Done, Failure, Output};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(refused) => return not_understood(&refused, &arguments),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(run(cli));
            // A thread may still wait for a line from the keyboard.
            runtime.shutdown_background();
            code
        }
        Err(_) => ExitCode::from(output::COULD_NOT_RUN),
    }
}

/// Help and version are no failure; everything else is told in the way that was asked for.
fn not_understood(refused: &clap::Error, arguments: &[OsString]) -> ExitCode {
    // Nobody is left to be told when the terminal is gone.
    let _ = refused.print();
    if matches!(
        refused.kind(),
        UsageKind::DisplayHelp | UsageKind::DisplayVersion
    ) {
        return ExitCode::SUCCESS;
    }
    let json = arguments.iter().any(|argument| argument == "--json");
    let said = refused.to_string();
    let said = said.lines().next().unwrap_or_default();
    let said = said.strip_prefix("error: ").unwrap_or(said);
    let failure = Failure::usage(said, "See `sotto help`");
    ExitCode::from(Output::new(json).finish_silently(Err(failure)))
}

async fn run(cli: Cli) -> ExitCode {
    let output = Output::new(cli.json);
    let outcome = match cli.command {
        Command::Relay(arguments) => {
            let output = sotto_server::cli::Output { json: cli.json };
            return output.finish(sotto_server::cli::run(arguments, output).await);
        }
        Command::Demo(arguments) => unless_interrupted(demo::run(arguments, &output)).await,
        Command::Bench { command } => unless_interrupted(bench::run(command, &output)).await,
        Command::Replay(arguments) => unless_interrupted(replay::run(arguments, &output)).await,
        Command::Room {
            command: RoomCommand::New(arguments),
        } => unless_interrupted(room::new(arguments, &output)).await,
        Command::Room {
            command: RoomCommand::Join(arguments),
        } => unless_interrupted(room::join(arguments, &output)).await,
        Command::Inbox(arguments) => unless_interrupted(inbox::run(arguments, &output)).await,
        Command::Desk { command } => unless_interrupted(desk::run(command, &output)).await,
        Command::Badge { command } => unless_interrupted(badge_of(command, &output)).await,
        Command::Words { command } => unless_interrupted(words_of(command, &output)).await,
        Command::Chat(arguments) => unless_interrupted(chat::run(arguments, &output)).await,
        Command::Exit(arguments) => unless_interrupted(exit::run(arguments)).await,
        Command::Residue(arguments) => unless_interrupted(residue::run(arguments, &output)).await,
    };
    ExitCode::from(output.finish(outcome))
}

async fn badge_of(command: BadgeCommand, output: &Output) -> Result<Done, Failure> {
    match command {
        BadgeCommand::Request(arguments) => badge::request(arguments, output).await,
        BadgeCommand::Issue(arguments) => badge::issue(&arguments, output),
        BadgeCommand::Import(arguments) => badge::import(arguments, output).await,
        BadgeCommand::Show(arguments) => badge::show(arguments, output).await,
        BadgeCommand::Check(arguments) => badge::check(arguments, output).await,
        BadgeCommand::Revoke(arguments) => badge::revoke(&arguments, output),
    }
}

async fn words_of(command: WordsCommand, output: &Output) -> Result<Done, Failure> {
    match command {
        WordsCommand::New(arguments) => words::new(arguments, output).await,
        WordsCommand::Use(arguments) => words::come_back(arguments, output).await,
        WordsCommand::Show(arguments) => words::show(arguments, output).await,
        WordsCommand::Decoy(arguments) => words::decoy(arguments, output).await,
        WordsCommand::End(arguments) => words::end(arguments, output).await,
    }
}

/// Dropping a command's future ends what it started.
async fn unless_interrupted(
    command: impl Future<Output = Result<Done, Failure>>,
) -> Result<Done, Failure> {
    let no_signals = |_| Failure::could_not_run("signals could not be waited for");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    tokio::select! {
        outcome = command => outcome,
        _ = interrupt.recv() => Err(Failure::interrupted()),
        _ = terminate.recv() => Err(Failure::interrupted()),
    }
}
