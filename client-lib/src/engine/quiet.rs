//! The person whom a chat is for has gone quiet: three reminders, for who holds the talk alone. SPEC.md,
//! "Endings".
//!
//! Nothing is sent and nothing closes by itself: silence has many reasons, and who is left in one by a
//! clock is left alone.

use serde::{Deserialize, Serialize};

use super::Engine;
use super::Event;
use super::saved::Stage;
use crate::content::ContentBody;
use crate::mls::LeafId;
use crate::time::Now;

/// Between two reminders, and before the first: long enough to find words, or to fetch a glass of water.
const QUIET_EVERY_MS: u64 = 10 * 60_000;
/// The last one proposes an ending, so none is proposed in the first half hour.
const QUIET_STEPS: u8 = 3;

/// How long nobody answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Quiet {
    /// Our last words, or the last reminder (the conversation's time).
    since_ms: u64,
    /// Reminders so far.
    step: u8,
}

impl Engine {
    /// Those whom the talk is for, if it is for others and we hold it.
    fn held_for(&self) -> Vec<LeafId> {
        let policy = self.policy.as_ref();
        let hosts = policy.filter(|_| self.holds_talk(&self.key.id()));
        hosts.map_or_else(Vec::new, |policy| policy.hosts.clone())
    }

    /// Something was said; whether it ends a silence, or begins one.
    pub(super) fn note_quiet(&mut self, author: LeafId, body: &ContentBody, now: Now) {
        let hosts = self.held_for();
        let mut quiet = self.saved.quiet;
        if matches!(body, ContentBody::Floor(_)) {
            // It is their turn only now, perhaps.
            quiet = quiet.map(|quiet| Quiet {
                since_ms: now.wall_ms,
                ..quiet
            });
        }
        if author == self.key.id() && body.is_text() {
            // Words that only remind do not begin the ladder anew.
            let step = quiet.map_or(0, |quiet| quiet.step);
            let is_away = hosts.iter().all(|host| self.is_away(host));
            quiet = (!is_away).then_some(Quiet {
                since_ms: now.wall_ms,
                step,
            });
        } else if hosts.contains(&author) {
            match body {
                ContentBody::Text(_)
                | ContentBody::Reply { .. }
                | ContentBody::Attach(_)
                | ContentBody::Edit { .. }
                | ContentBody::React { .. }
                | ContentBody::Typing
                | ContentBody::Away => quiet = None,
                // They have just come in.
                ContentBody::Hello { .. } => {
                    quiet = quiet.map(|quiet| Quiet {
                        since_ms: now.wall_ms,
                        ..quiet
                    });
                }
                _ => {}
            }
        }
        self.saved.quiet = quiet;
    }

    /// Reminds who holds the talk; answers when the next reminder is due (the conversation's time).
    pub(super) fn look_at_quiet(&mut self, now: Now) -> Option<u64> {
        let is_member = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        if self.saved.quiet.is_none() || !is_member || !self.is_caught_up() {
            return None;
        }
        // Whoever left a letter is not here yet, and has said no name.
        let hosts = self.held_for();
        if !hosts.iter().any(|host| self.name_of(host).is_some()) {
            return None;
        }
        // And nobody is silent who may not speak.
        if !hosts.iter().any(|host| self.may_speak(host)) {
            return None;
        }
        let quiet = self.saved.quiet.as_mut()?;
        if quiet.step >= QUIET_STEPS {
            return None;
        }
        let due_ms = quiet.since_ms.saturating_add(QUIET_EVERY_MS);
        if due_ms > now.wall_ms {
            return Some(due_ms);
        }
        *quiet = Quiet {
            since_ms: now.wall_ms,
            step: quiet.step + 1,
        };
        let step = quiet.step;
        self.tell(Event::Quiet {
            step,
            is_last: step == QUIET_STEPS,
        });
        (step < QUIET_STEPS).then(|| now.wall_ms.saturating_add(QUIET_EVERY_MS))
    }
}
