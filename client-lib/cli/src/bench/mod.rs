//! `sotto bench`: figures under load, each counted from what clients saw.
//!
//! | file | what lives there |
//! |---|---|
//! | `bell` | a school's break, in which all come at once and a few listen |
//! | `claim_race` | many wait, some claim all of them at once |
//! | `seeker` | one who waits |
//! | `supporter` | one who claims, and one who means no good |
//! | `hand` | a client at the level of logs |
//! | `ledger` | what all of them saw |
//! | `queue_truth` | an evening of bad lines: whether the places and ranges that were told were true |
//! | `shift` | a desk in a town, and a supporter there |
//! | `relay` | the relay, which can be killed |
//! | `truth` | what was so in a queue, beside what was told |
//! | `town` | a relay and people on a clock that is driven |

mod bell;
mod claim_race;
mod hand;
mod ledger;
mod queue_truth;
mod relay;
mod seeker;
mod shift;
mod supporter;
mod town;
mod truth;

use crate::arguments::BenchCommand;
use crate::output::{Done, Failure, Output};

/// Runs one of them.
pub(crate) async fn run(command: BenchCommand, output: &Output) -> Result<Done, Failure> {
    match command {
        BenchCommand::Bell(arguments) => bell::run(arguments, output).await,
        BenchCommand::QueueTruth(arguments) => queue_truth::run(arguments, output).await,
        BenchCommand::ClaimRace(arguments) => claim_race::run(arguments, output).await,
    }
}
