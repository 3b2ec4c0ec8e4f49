//! `sotto desk`: a support desk from a terminal.

pub(crate) mod arguments;
mod ask;
mod audit;
mod card;
mod duty;
mod new;
mod qr;
pub(crate) mod rate;
mod stats;

pub(crate) use new::always;

use crate::arguments::DeskCommand;
use crate::output::{Done, Failure, Output};

pub(crate) async fn run(command: DeskCommand, output: &Output) -> Result<Done, Failure> {
    match command {
        DeskCommand::Card(arguments) => card::show(arguments, output).await,
        DeskCommand::New(arguments) => new::run(arguments, output).await,
        DeskCommand::Ask(arguments) => ask::run(arguments, output).await,
        DeskCommand::Letter(arguments) => ask::letter(arguments, output).await,
        DeskCommand::Duty(arguments) => duty::run(arguments, output).await,
        DeskCommand::Rate(arguments) => rate::run(arguments, output).await,
        DeskCommand::Stats(arguments) => stats::run(arguments, output).await,
        DeskCommand::Audit(arguments) => audit::run(arguments, output).await,
    }
}
