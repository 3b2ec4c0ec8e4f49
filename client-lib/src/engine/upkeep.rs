//! What a conversation needs without anybody asking: fresh keys, a sign of life, and a look at who
//! may manage the log. SPEC.md, "Upkeep".

use sotto_protocol::frame::{Answer, Describe, Described};
use sotto_protocol::right::Rights;

use super::saved::{Intent, Stage};
use super::{Engine, Event};
use crate::content::ContentBody;
use crate::error::Result;
use crate::log::Ask;
use crate::time::Now;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Before the first message after so long, the own keys are renewed: who read them off the device
/// once is shut out again.
const UPDATE_BEFORE_SPEAKING_MS: u64 = DAY_MS;
/// Silent members renew theirs so often, each on a day of its own.
const UPDATE_SILENT_MS: u64 = 7 * DAY_MS;
/// How far the members' days lie apart.
const UPDATE_STAGGER_MS: u64 = 2 * DAY_MS;
/// Without any word of another member for so long on a standing connection, the relay may be
/// keeping the log's end to itself. Two hours more than a day, as signs of life come daily.
const SILENCE_MS: u64 = DAY_MS + 2 * 60 * 60 * 1_000;

impl Engine {
    /// Queues what is due; answers when to look again, on the steady clock.
    pub(super) fn keep_up(&mut self, now: Now) -> Result<Option<u64>> {
        let is_member = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        if !is_member || !self.is_caught_up() || self.joining.is_some() {
            return Ok(None);
        }
        if self.saved.updated_ms == 0 {
            self.saved.updated_ms = now.wall_ms;
        }
        if self.saved.heard_ms == 0 || now.wall_ms < self.saved.heard_ms {
            self.saved.heard_ms = now.wall_ms;
        }
        let others = self
            .group
            .as_ref()
            .is_some_and(|group| group.leaves().len() > 1);
        if others {
            self.renew_keys(now);
            self.give_sign_of_life(now)?;
            self.notice_silence(now);
        }
        Ok(Some(now.steady_ms.saturating_add(
            self.next_due_ms(now).saturating_sub(now.wall_ms).max(1_000),
        )))
    }

    fn renew_keys(&mut self, now: Now) {
        let age = now.wall_ms.saturating_sub(self.saved.updated_ms);
        let speaks = age >= UPDATE_BEFORE_SPEAKING_MS && !self.outbox.is_empty();
        if speaks || age >= UPDATE_SILENT_MS + self.stagger_ms() {
            self.want(Intent::Update);
        }
    }

    /// The same for this leaf every time, another for others.
    fn stagger_ms(&self) -> u64 {
        let id = self.key.id();
        let first = id
            .as_bytes()
            .first_chunk::<8>()
            .copied()
            .unwrap_or_default();
        u64::from_be_bytes(first) % UPDATE_STAGGER_MS
    }

    fn give_sign_of_life(&mut self, now: Now) -> Result<()> {
        if self.saved.alive_day != now.day() && self.outbox.is_empty() {
            self.saved.alive_day = now.day();
            self.queue(ContentBody::Alive, now)?;
        }
        Ok(())
    }

    fn notice_silence(&mut self, now: Now) {
        let silent = now.wall_ms.saturating_sub(self.saved.heard_ms) >= SILENCE_MS;
        if silent && !self.saved.is_silent {
            self.saved.is_silent = true;
            self.tell(Event::Silence {
                since_ms: self.saved.heard_ms,
            });
        }
    }

    /// Another member's word arrived.
    pub(super) const fn heard_at(&mut self, now: Now) {
        self.saved.heard_ms = now.wall_ms;
        self.saved.is_silent = false;
    }

    /// Our own Commit stands: our keys are fresh.
    pub(super) const fn updated_at(&mut self, now: Now) {
        self.saved.updated_ms = now.wall_ms;
    }

    fn next_due_ms(&self, now: Now) -> u64 {
        let tomorrow = (u64::from(now.day()) + 1) * DAY_MS;
        let update = self.saved.updated_ms + UPDATE_SILENT_MS + self.stagger_ms();
        let silence = self.saved.heard_ms + SILENCE_MS;
        let due = [tomorrow, update, silence]
            .into_iter()
            .filter(|due| *due > now.wall_ms);
        due.min().unwrap_or(tomorrow)
    }

    /// Facilitators look at the list of grants each time the log is opened.
    pub(super) fn look_at_grants(&mut self) {
        if self.facilitates() && self.saved.stage == Stage::In {
            let log = self.saved.log;
            self.describe_token = Some(self.session.ask(Ask::Describe(Describe { log })));
        }
    }

    /// A key that may manage the log and belongs to no facilitator is somebody's way back in.
    pub(super) fn described(&mut self, answer: &Answer<'_>) {
        let (
            Answer::Described(Described {
                grants, version, ..
            }),
            Some(policy),
        ) = (answer, &self.policy)
        else {
            return;
        };
        let known = |grant: &sotto_protocol::frame::Grant| {
            policy
                .facilitators
                .iter()
                .any(|one| one.manage == grant.key)
        };
        let manages = |grant: &sotto_protocol::frame::Grant| {
            grant.until_seq.is_none() && grant.rights.contains(Rights::MANAGE)
        };
        let strangers = grants
            .iter()
            .filter(|grant| manages(grant) && !known(grant))
            .count();
        self.saved.grants_version = *version;
        if strangers > 0 {
            self.tell(Event::HiddenManager { count: strangers });
            // The next rotation replaces the whole list.
            self.want(Intent::Rotate);
        }
    }
}
