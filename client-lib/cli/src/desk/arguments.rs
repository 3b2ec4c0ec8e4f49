//! What can be typed after `sotto desk` beside asking and answering.

use clap::{Args, ValueEnum};
use sotto_client::{Again, Helped};

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
