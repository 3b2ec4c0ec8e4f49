//! What the last line says, and whether it all held.

use serde::Serialize;
use sotto_client::Suite;

use super::ledger::Verdict;

/// The summary of a demo or a replay.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) conversations: u64,
    pub(crate) messages: u64,
    pub(crate) delivered: u64,
    pub(crate) kills: u64,
    /// Over all kills.
    pub(crate) unanswered_at_kill: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) out_of_order: u64,
    pub(crate) altered: u64,
    pub(crate) overheard: u64,
    pub(crate) alarms: u64,
    pub(crate) sentences_searched: u64,
    pub(crate) sentences_on_disk: u64,
    pub(crate) names_on_disk: u64,
    pub(crate) secrets_on_disk: u64,
    pub(crate) control_found: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entries_stored: Option<u64>,
    pub(crate) members_refused: u64,
    pub(crate) suite: &'static str,
    pub(crate) seconds: f64,
}

/// What must be so beside the zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) kills: u64,
    /// Whether each kill had unanswered appends.
    pub(crate) kills_met: bool,
    pub(crate) members_refused: u64,
    pub(crate) vaults_agree: bool,
    /// Whether the relay stopped as it should when it was asked to.
    pub(crate) relay_stopped: bool,
}

impl Counts {
    /// Takes over what was judged. What was planned and never said is lost too.
    pub(crate) fn take(&mut self, verdict: Verdict, alarms: u64, unsaid: u64) {
        self.delivered = verdict.delivered;
        self.lost = verdict.lost + unsaid;
        self.doubled = verdict.doubled;
        self.out_of_order = verdict.out_of_order;
        self.altered = verdict.altered;
        self.overheard = verdict.overheard;
        self.alarms = alarms;
    }

    /// What did not hold, in words.
    pub(crate) fn broken(&self, held: Held) -> Vec<String> {
        let zeros = [
            (self.lost, "readings were lost"),
            (self.doubled, "readings were doubled"),
            (self.out_of_order, "readings were out of order"),
            (self.altered, "readings were altered"),
            (self.overheard, "readings were not the reader's to read"),
            (self.alarms, "warnings came up without a cause"),
            (self.sentences_on_disk, "sentences were found"),
            (self.names_on_disk, "names were found"),
            (self.secrets_on_disk, "link secrets were found"),
        ];
        let mut broken: Vec<_> = zeros
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let musts = [
            (self.delivered == self.messages, "not all was delivered"),
            (
                self.control_found,
                "the search did not find its control text",
            ),
            (
                self.kills == held.kills,
                "the relay was not killed as often as asked",
            ),
            (held.kills_met, "a kill met no unanswered append"),
            (
                self.members_refused == held.members_refused,
                "a removed member was not refused",
            ),
            (
                held.relay_stopped,
                "the relay did not stop when it was asked to",
            ),
            (
                held.vaults_agree,
                "a vault does not hold what its person was told",
            ),
        ];
        let missed = musts.into_iter().filter(|(held, _)| !held);
        broken.extend(missed.map(|(_, what)| what.to_owned()));
        broken
    }
}

/// A suite's name in the summary.
pub(crate) const fn suite_name(suite: Suite) -> &'static str {
    match suite {
        Suite::Hybrid => "hybrid",
        Suite::Classic => "classic",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: Held = Held {
        kills: 2,
        kills_met: true,
        members_refused: 1,
        vaults_agree: true,
        relay_stopped: true,
    };

    fn good() -> Counts {
        Counts {
            messages: 7,
            delivered: 7,
            kills: 2,
            control_found: true,
            members_refused: 1,
            ..Counts::default()
        }
    }

    #[test]
    fn it_held_only_if_everything_did() {
        assert!(good().broken(HELD).is_empty());
        let broken: [fn(&mut Counts); 14] = [
            |counts| counts.delivered = 6,
            |counts| counts.lost = 1,
            |counts| counts.doubled = 1,
            |counts| counts.out_of_order = 1,
            |counts| counts.altered = 1,
            |counts| counts.overheard = 1,
            |counts| counts.alarms = 1,
            |counts| counts.sentences_on_disk = 1,
            |counts| counts.names_on_disk = 1,
            |counts| counts.secrets_on_disk = 1,
            |counts| counts.control_found = false,
            |counts| counts.kills = 1,
            |counts| counts.members_refused = 0,
            |counts| counts.messages = 8,
        ];
        for spoil in broken {
            let mut counts = good();
            spoil(&mut counts);
            assert_eq!(counts.broken(HELD).len(), 1, "{counts:?}");
        }
        for held in [
            Held {
                kills_met: false,
                ..HELD
            },
            Held {
                vaults_agree: false,
                ..HELD
            },
            Held {
                relay_stopped: false,
                ..HELD
            },
        ] {
            assert_eq!(good().broken(held).len(), 1);
        }
    }

    #[test]
    fn what_was_never_said_is_lost() {
        let mut counts = good();
        let verdict = Verdict {
            delivered: 5,
            lost: 1,
            ..Verdict::default()
        };
        counts.take(verdict, 0, 1);
        assert_eq!((counts.lost, counts.delivered), (2, 5));
    }
}
