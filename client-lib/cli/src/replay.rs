//! `sotto replay`: a file's conversations through a relay that runs elsewhere.

use serde_json::json;
use sotto_client::transport::WebSocketDialer;
use tokio::time::Instant;

use crate::arguments::ReplayArgs;
use crate::device;
use crate::output::{Done, Failure, Output, fields};
use crate::speak::{
    Cast, Closing, Counts, Haystack, Held, Home, Plan, log_to_file, progress, read_file, suite_name,
};

/// Gathers, speaks, judges, and searches the vaults and all output on this machine.
pub(crate) async fn run(arguments: ReplayArgs, output: &Output) -> Result<Done, Failure> {
    let begun = Instant::now();
    let mut talks = read_file(&arguments.file)?;
    if !arguments.casting.all {
        talks.truncate(1);
    }
    let conversations = talks.len();
    let dialer = match &arguments.authority {
        Some(path) => WebSocketDialer::trusting(&device::authority(path)?)?,
        None => WebSocketDialer::new(),
    };
    let scratch = tempfile::Builder::new().prefix("sotto-replay-").tempdir()?;
    let (vaults, said) = (scratch.path().join("vaults"), scratch.path().join("output"));
    std::fs::create_dir(&vaults)?;
    std::fs::create_dir(&said)?;
    let output = output.copied_to(&said.join("replay.txt"))?;
    log_to_file(&said.join("clients.log"))?;
    let plan = Plan::of_file(
        talks,
        arguments.casting.kind,
        arguments.casting.members.into(),
    );
    let (lines, homes_count) = (plan.lines(), plan.homes.len());
    output.object(&json!({"type": "start", "people": plan.people.len(), "messages": lines}));
    output.words(&format!(
        "{} people gather in {homes_count} conversations and say {lines} things.",
        plan.people.len()
    ));
    let cast = Cast::open(&plan.people, &vaults, dialer).await?;
    let cast = cast.paced(arguments.rate);
    let homes = cast.gather_all(&arguments.relay, &plan).await?;
    let complete = progress(&cast, lines, cast.perform(&homes, plan.talks)).await?;
    let counts = Counts {
        conversations: u64::try_from(conversations).unwrap_or(u64::MAX),
        messages: u64::try_from(lines).unwrap_or(u64::MAX),
        ..Counts::default()
    };
    let haystack = Haystack(vec![vaults, said]);
    judge(&cast, &homes, haystack, &output, counts, complete, begun).await
}

async fn judge(
    cast: &Cast,
    homes: &[Home],
    haystack: Haystack,
    output: &Output,
    mut counts: Counts,
    complete: bool,
    begun: Instant,
) -> Result<Done, Failure> {
    let links: Vec<_> = homes.iter().map(|home| home.link.clone()).collect();
    let vaults_agree = cast.vaults_agree().await?;
    counts.suite = suite_name(cast.person(0)?.suite().await?);
    let closing = Closing::new(cast, &links, haystack, output)?;
    counts.control_found = true;
    counts.sentences_searched = closing.sentences();
    closing.search("running").await?.count(&mut counts);
    cast.close().await;
    closing.search("stopped").await?.count(&mut counts);
    let (verdict, alarms) = cast.judge();
    let said = u64::try_from(cast.ledger.count()).unwrap_or(u64::MAX);
    counts.take(verdict, alarms, counts.messages.saturating_sub(said));
    counts.seconds = begun.elapsed().as_secs_f64();
    let held = Held {
        kills: 0,
        kills_met: true,
        members_refused: 0,
        vaults_agree,
        relay_stopped: true,
    };
    let mut broken = counts.broken(held);
    if !complete {
        broken.push("nothing moved any more before all was heard".into());
    }
    if !broken.is_empty() {
        return Err(Failure::promise(broken.join("; "), fields(&counts)));
    }
    output.words(&format!(
        "{} messages, {} delivered to everybody exactly once, in order and unaltered; {:.1} s.",
        counts.messages, counts.delivered, counts.seconds
    ));
    Ok(fields(&counts))
}
