//! `sotto demo`: people talk through a relay that is killed under them; then its disk is searched for
//! what they said.
//!
//! | file | what lives there |
//! |---|---|
//! | `relay` | the relay as a process |
//! | `kill` | its ends |
//! | `script` | what is said in the built-in demo |
//! | `evening` | the built-in demo |
//! | `spoken` | a file's conversations instead |
//! | `show` | side by side |
//! | `desk` | a night at a support desk |
//! | `ear` | who is there, and what they hear |

mod arguments;
mod desk;
mod ear;
mod evening;
mod kill;
mod relay;
mod script;
mod show;
mod spoken;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use sotto_client::Link;
use sotto_client::transport::WebSocketDialer;
use sotto_server::clock::SystemClock;
use sotto_server::seizure::seize;
use tempfile::TempDir;
use tokio::time::Instant;

pub(crate) use self::arguments::DemoArgs;
use self::arguments::OtherDemo;
use self::kill::Kills;
pub(crate) use self::relay::RelayProcess;
use crate::output::{Done, Failure, Output, STORE_REFUSED, fields};
use crate::speak::{
    Cast, Closing, Counts, Dice, Haystack, Held, log_to_file, read_file, suite_name,
};

/// A scratch folder with a relay in it.
struct Stage {
    output: Output,
    relay: RelayProcess,
    vaults: PathBuf,
    dialer: WebSocketDialer,
    dice: Dice,
    kills: Kills,
    kills_wanted: u16,
}

/// What was played.
struct Played {
    cast: Cast,
    links: Vec<Link>,
    /// Everything was said and heard.
    complete: bool,
    conversations: usize,
    /// What should have been said.
    lines: usize,
    members_refused: u64,
    members_to_refuse: u64,
    /// Whose reading is shown.
    reader: usize,
}

/// Folders of one demo; removed with it unless they shall be kept.
struct Scratch {
    folder: TempDir,
    relay: PathBuf,
    vaults: PathBuf,
    output: PathBuf,
}

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("sotto-demo-").tempdir()?;
        let make = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir(&path).map(|()| path)
        };
        let (relay, vaults, output) = (make("relay")?, make("vaults")?, make("output")?);
        Ok(Self {
            folder,
            relay,
            vaults,
            output,
        })
    }

    fn haystack(&self) -> Haystack {
        let folders = [&self.relay, &self.vaults, &self.output];
        Haystack(folders.into_iter().cloned().collect())
    }
}

/// Plays, searches, judges.
pub(crate) async fn run(arguments: DemoArgs, output: &Output) -> Result<Done, Failure> {
    if let Some(OtherDemo::Desk(arguments)) = arguments.other {
        return desk::run(arguments, output).await;
    }
    let begun = Instant::now();
    let talks = arguments.file.as_deref().map(read_file).transpose()?;
    let mut scratch = Scratch::new()?;
    scratch.folder.disable_cleanup(arguments.keep);
    let output = output.copied_to(&scratch.output.join("demo.txt"))?;
    log_to_file(&scratch.output.join("clients.log"))?;
    let relay = RelayProcess::start(&scratch.relay, &scratch.output).await?;
    output.object(&json!({"type": "start", "seed": arguments.seed}));
    output.words(&format!(
        "A relay runs in a scratch folder on a free port of this machine. Anyone may create \
         conversations on it (dangerous_open). Seed {}.",
        arguments.seed
    ));
    let mut stage = Stage {
        output,
        relay,
        vaults: scratch.vaults.clone(),
        dialer: WebSocketDialer::new(),
        dice: Dice::new(arguments.seed),
        kills: Kills::default(),
        kills_wanted: arguments.kills,
    };
    let played = match talks {
        Some(talks) => spoken::play(&mut stage, talks, &arguments.casting).await?,
        None => evening::play(&mut stage).await?,
    };
    let outcome = close(&mut stage, played, &scratch, begun).await;
    if arguments.keep {
        let path = scratch.folder.path().display();
        stage.output.words(&format!("Kept for you to look: {path}"));
    }
    outcome
}

/// Searches while the relay runs and after it stopped, and judges what was heard.
async fn close(
    stage: &mut Stage,
    played: Played,
    scratch: &Scratch,
    begun: Instant,
) -> Result<Done, Failure> {
    let cast = &played.cast;
    show::side_by_side(&stage.output, cast.person(played.reader)?, &scratch.relay)?;
    let suite = suite_name(cast.person(played.reader)?.suite().await?);
    let vaults_agree = cast.vaults_agree().await?;
    let closing = Closing::new(cast, &played.links, scratch.haystack(), &stage.output)?;
    stage.output.words(&format!(
        "• The relay's folder, all vaults and all output are searched for {} sentences, {} names \
         and {} link secrets: as they are, as hexadecimal and as base64.",
        closing.sentences(),
        cast.people.len(),
        played.links.len()
    ));
    let running = closing.search("running").await?;
    cast.close().await;
    let relay_stopped = stage.relay.stop().await?;
    let stopped = closing.search("stopped").await?;
    let (verdict, alarms) = cast.judge();
    let mut counts = Counts {
        conversations: number(played.conversations),
        messages: number(played.lines),
        kills: stage.kills.count(),
        unanswered_at_kill: stage.kills.unanswered_in_all(),
        sentences_searched: closing.sentences(),
        control_found: true,
        members_refused: played.members_refused,
        entries_stored: Some(entries_stored(&scratch.relay).await?),
        suite,
        ..Counts::default()
    };
    let unsaid = played.lines.saturating_sub(cast.ledger.count());
    counts.take(verdict, alarms, number(unsaid));
    running.count(&mut counts);
    stopped.count(&mut counts);
    counts.seconds = begun.elapsed().as_secs_f64();
    let held = Held {
        kills: u64::from(stage.kills_wanted),
        kills_met: stage.kills.all_met(),
        members_refused: played.members_to_refuse,
        vaults_agree,
        relay_stopped,
    };
    verdict_in_words(&stage.output, &counts, &held, played.complete)
}

fn verdict_in_words(
    output: &Output,
    counts: &Counts,
    held: &Held,
    complete: bool,
) -> Result<Done, Failure> {
    output.words(&format!(
        "\n{} conversations, {} messages, {} delivered to everybody exactly once, in order and \
         unaltered; {} kills, {} messages without an answer at them; lost {}, doubled {}, out of \
         order {}, altered {}; {:.1} s.",
        counts.conversations,
        counts.messages,
        counts.delivered,
        counts.kills,
        counts.unanswered_at_kill,
        counts.lost,
        counts.doubled,
        counts.out_of_order,
        counts.altered,
        counts.seconds,
    ));
    let mut broken = counts.broken(*held);
    if !complete {
        broken.push("nothing moved any more before all was heard".into());
    }
    if !broken.is_empty() {
        return Err(Failure::promise(broken.join("; "), fields(counts)));
    }
    output.words(
        "Everything held. By hand, in three terminals: the relay's, Ana's and Ben's (README.md says \
         how `sotto` is found):\n",
    );
    for line in BY_HAND {
        output.words(&format!("  {line}"));
    }
    Ok(fields(counts))
}

const BY_HAND: [&str; 5] = [
    "1  sotto relay --dev                                           # prints ADDRESS",
    "2  sotto room new --folder ana --name Ana --relay 'ADDRESS'    # prints LINK",
    "2  sotto chat --folder ana",
    "3  sotto room join 'LINK' --folder ben --name Ben",
    "3  sotto chat --folder ben",
];

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Entries in the stopped relay's folder, as `sotto-relay seizure` counts them.
async fn entries_stored(folder: &Path) -> Result<u64, Failure> {
    let seized = seize(folder, Arc::new(SystemClock::new())).await;
    let refused = |error| Failure {
        code: STORE_REFUSED,
        ..Failure::could_not_run(format!("the relay's folder could not be read: {error}"))
    };
    let logs = seized.map_err(refused)?.logs;
    Ok(logs.iter().map(|log| log.entries).sum())
}
