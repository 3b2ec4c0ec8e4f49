//! What can be typed after `sotto demo`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::arguments::Casting;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DemoArgs {
    /// Another demo.
    #[command(subcommand)]
    pub(crate) other: Option<OtherDemo>,
    /// Speak a CSV file with the columns conversation, turn, role, text.
    #[arg(long, value_name = "CSV")]
    pub(crate) file: Option<PathBuf>,
    /// How the file is spoken.
    #[command(flatten)]
    pub(crate) casting: Casting,
    /// How often the relay is killed while appends are unanswered.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=100))]
    pub(crate) kills: u16,
    /// Decides when the relay is killed and who loses the line.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Keep the scratch folder and say where it is.
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OtherDemo {
    /// A night at a support desk, with what goes wrong there; after each step the relay is killed and its
    /// disk is taken.
    Desk(DemoDeskArgs),
}

#[derive(Args, Debug)]
pub(crate) struct DemoDeskArgs {
    /// Keep the scratch folder and say where it is.
    #[arg(long)]
    pub(crate) keep: bool,
}
