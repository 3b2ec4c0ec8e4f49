//! Kills of the relay while appends are unanswered.

use std::collections::BTreeSet;

use serde_json::json;
use sotto_client::MessageId;
use tokio_util::sync::CancellationToken;

use super::relay::RelayProcess;
use crate::output::{Failure, Output};
use crate::speak::{Cast, Dice};

/// A kill that met nothing unanswered is tried again so often.
const MISSES_MAX: u32 = 10;

/// Kills so far, and what each met.
#[derive(Debug, Default)]
pub(super) struct Kills {
    unanswered: Vec<usize>,
    misses: u32,
}

/// What is there while people talk.
pub(super) struct Running<'a> {
    pub(super) relay: &'a mut RelayProcess,
    pub(super) cast: &'a Cast,
    pub(super) output: &'a Output,
}

impl Kills {
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.unanswered.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn unanswered_in_all(&self) -> u64 {
        u64::try_from(self.unanswered.iter().sum::<usize>()).unwrap_or(u64::MAX)
    }

    pub(super) fn all_met(&self) -> bool {
        self.unanswered.iter().all(|count| *count > 0)
    }

    /// Kills the relay, looks what its clients were left with, and starts it again. Whether there
    /// was anything unanswered; if not, it does not count.
    ///
    /// Unanswered is what was said before the kill and what its author still does not know to stand
    /// in the log after it took in all that the dead relay had sent.
    pub(super) async fn once(&mut self, running: &mut Running<'_>) -> Result<bool, Failure> {
        let Running {
            relay,
            cast,
            output,
        } = running;
        let before: Vec<BTreeSet<MessageId>> = cast
            .people
            .iter()
            .map(|person| person.unanswered())
            .collect();
        relay.kill().await?;
        for person in cast.people.iter().filter(|person| person.leaf().is_ok()) {
            person.until_online(false).await?;
        }
        let unanswered: usize = cast
            .people
            .iter()
            .zip(before)
            .map(|(person, before)| person.unanswered().intersection(&before).count())
            .sum();
        let is_met = unanswered > 0;
        if is_met {
            self.unanswered.push(unanswered);
            output.object(&json!({
                "type": "kill", "number": self.unanswered.len(), "unanswered": unanswered,
            }));
            output.words(&format!(
                "  kill -9 of the relay ({}): {unanswered} messages without an answer; it starts again",
                self.unanswered.len()
            ));
        } else {
            self.misses += 1;
            if self.misses == MISSES_MAX {
                return Err(Failure::could_not_run("no kill met an unanswered append"));
            }
        }
        relay.restart().await?;
        Ok(is_met)
    }

    /// So many kills, spread over the talk, until all was said.
    pub(super) async fn during(
        &mut self,
        wanted: u16,
        lines: usize,
        mut dice: Dice,
        mut running: Running<'_>,
        all_said: &CancellationToken,
    ) -> Result<(), Failure> {
        let slice = lines / usize::from(wanted.max(1));
        for number in 0..usize::from(wanted) {
            let at = slice * number + slice / 4 + dice.below(slice / 2);
            loop {
                let waiting = all_said.run_until_cancelled(moment(running.cast, at.max(1)));
                if waiting.await.is_none() {
                    return Ok(());
                }
                if self.once(&mut running).await? {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Waits until so much was said, and something is without an answer.
pub(super) async fn moment(cast: &Cast, said: usize) {
    let mut pulse = cast.pulse();
    while cast.ledger.count() < said || cast.unanswered() == 0 {
        // The cast holds the sender.
        let _ = pulse.changed().await;
    }
}
