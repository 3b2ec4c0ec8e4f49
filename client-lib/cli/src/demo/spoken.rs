//! A file's conversations instead of the built-in evening: all at once, while the relay is killed.

use tokio_util::sync::CancellationToken;

use super::kill::Running;
use super::{Played, Stage};
use crate::arguments::Casting;
use crate::output::Failure;
use crate::speak::{Cast, FileTalk, Plan, progress};

/// Speaks them.
pub(super) async fn play(
    stage: &mut Stage,
    mut talks: Vec<FileTalk>,
    casting: &Casting,
) -> Result<Played, Failure> {
    if !casting.all {
        talks.truncate(1);
    }
    let conversations = talks.len();
    let plan = Plan::of_file(talks, casting.kind, casting.members.into());
    let lines = plan.lines();
    stage.output.words(&format!(
        "• {} people gather in {} conversations and say {lines} things.",
        plan.people.len(),
        plan.homes.len()
    ));
    let cast = Cast::open(&plan.people, &stage.vaults, stage.dialer.clone()).await?;
    let homes = cast.gather_all(stage.relay.address(), &plan).await?;
    let all_said = CancellationToken::new();
    let performing = async {
        let performed = progress(&cast, lines, cast.perform(&homes, plan.talks)).await;
        all_said.cancel();
        performed
    };
    let running = Running {
        relay: &mut stage.relay,
        cast: &cast,
        output: &stage.output,
    };
    let (wanted, dice) = (stage.kills_wanted, stage.dice.clone());
    let killing = stage.kills.during(wanted, lines, dice, running, &all_said);
    let (complete, killed) = tokio::join!(performing, killing);
    killed?;
    Ok(Played {
        complete: complete?,
        conversations,
        lines,
        links: homes.into_iter().map(|home| home.link).collect(),
        members_refused: 0,
        members_to_refuse: 0,
        reader: 0,
        cast,
    })
}
