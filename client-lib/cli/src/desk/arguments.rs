//! What can be typed after `sotto desk` beside asking and answering.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sotto_client::{Again, Division, Helped};

use crate::arguments::DeviceArgs;

#[derive(Debug, Args)]
pub(crate) struct RateArgs {
    /// The desk's address: sotto-desk:1:…
    pub(crate) address: String,
    /// Whether it helped; asked for if it is not given.
    #[arg(long, value_enum, value_name = "ANSWER")]
    pub(crate) helped: Option<HelpedChoice>,
    /// Whether you would come here again; asked for if it is not given.
    #[arg(long, value_enum, value_name = "ANSWER")]
    pub(crate) again: Option<AgainChoice>,
    /// You left before somebody came, or before the chat was at its end.
    #[arg(long)]
    pub(crate) early: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HelpedChoice {
    Yes,
    Partly,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AgainChoice {
    Yes,
    Maybe,
    No,
}

impl From<HelpedChoice> for Helped {
    fn from(choice: HelpedChoice) -> Self {
        match choice {
            HelpedChoice::Yes => Self::Yes,
            HelpedChoice::Partly => Self::Partly,
            HelpedChoice::No => Self::No,
        }
    }
}

impl From<AgainChoice> for Again {
    fn from(choice: AgainChoice) -> Self {
        match choice {
            AgainChoice::Yes => Self::Yes,
            AgainChoice::Maybe => Self::Maybe,
            AgainChoice::No => Self::No,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// The number of the team's room, as `sotto chat` shows it; may be left out if there is one.
    pub(crate) room: Option<usize>,
    /// What the days that are in no period yet are divided by, from now on.
    #[arg(long, value_enum, value_name = "PERIOD")]
    pub(crate) by: Option<By>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Day,
    Week,
    Month,
}

impl From<By> for Division {
    fn from(by: By) -> Self {
        match by {
            By::Day => Self::Day,
            By::Week => Self::Week,
            By::Month => Self::Month,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// The number of the team's room, as `sotto chat` shows it; may be left out if there is one.
    pub(crate) room: Option<usize>,
    /// Check what `sotto desk audit --json` printed into this file. With a room also whether it is what
    /// the office told this device of.
    #[arg(long, value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}
