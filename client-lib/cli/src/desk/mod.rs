//! `sotto desk`: a support desk from a terminal.

mod card;
mod qr;

use crate::arguments::DeskCommand;
use crate::output::{Done, Failure, Output};

pub(crate) async fn run(command: DeskCommand, output: &Output) -> Result<Done, Failure> {
    match command {
        DeskCommand::Card(arguments) => card::show(arguments, output).await,
    }
}
