//! When a talk ends: said by who holds it, and told by each device's own clock. SPEC.md, "Endings".
//!
//! Nobody is thrown out by a clock. What is told here is for people, who decide themselves what comes
//! of it.

use serde::{Deserialize, Serialize};

use super::saved::Stage;
use super::{Command, Engine, Event, Reply};
use crate::content::{ContentBody, MessageId};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::LeafId;
use crate::time::Now;

/// So long before the end people are told of it: time to say what still has to be said, and too short to
/// begin anything new.
const SOON_MINUTES: u64 = 5;
const MINUTE_MS: u64 = 60_000;

/// Another end for a talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// At this minute since 1970-01-01, UTC.
    At(u64),
    /// So many minutes from now.
    After(u32),
    /// So many minutes after the present end, or from now on if that is over or there is none.
    Later(u32),
    /// There is none (any more).
    Never,
}

/// When a talk ends, as who holds it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Who said so.
    pub by: LeafId,
    /// In minutes since 1970-01-01, UTC.
    pub minute: u64,
    /// Minutes until then by this device's clock, the last one begun; 0 if it is over.
    pub minutes_left: u64,
}

/// What is kept of it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ends {
    by: LeafId,
    minute: u64,
    /// What the person was told of it last.
    told: Told,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Told {
    Set,
    Soon,
    Over,
}

impl Ends {
    const fn at_ms(&self) -> u64 {
        self.minute.saturating_mul(MINUTE_MS)
    }

    const fn soon_ms(&self) -> u64 {
        self.at_ms().saturating_sub(SOON_MINUTES * MINUTE_MS)
    }
}

impl Engine {
    pub(super) fn obey_of_talk(&mut self, command: Command, now: Now) -> Result<Reply> {
        match command {
            Command::End(end) => self.set_end(end, now),
            command => self.obey_of_floor(command, now),
        }
    }

    /// Something was said of how the talk is held.
    pub(super) fn heard_of_talk(
        &mut self,
        author: LeafId,
        id: MessageId,
        body: ContentBody,
        now: Now,
    ) -> Result<()> {
        match body {
            ContentBody::Agreement(proposed) => {
                return self.agreement_said(author, id, *proposed, now);
            }
            ContentBody::Until(minute) => self.until_said(author, minute),
            ContentBody::Floor(said) => self.floor_said(author, said),
            ContentBody::Stop => self.stop_said(author),
            ContentBody::GoOn => self.go_on_said(author),
            ContentBody::Agree(of) => self.agree_said(author, of),
            ContentBody::Draft(draft) => self.draft_said(author, *draft),
            ContentBody::Release(release) => self.draft_released(author, *release),
            ContentBody::SendBack(back) => self.draft_sent_back(author, *back),
            _ => {}
        }
        Ok(())
    }

    /// Says again how the talk is held, for who came since.
    pub(super) fn queue_talk(&mut self, now: Now) -> Result<()> {
        self.queue_floor(now)?;
        self.queue_agreement(now)?;
        self.queue_end(now)
    }

    /// Whether this leaf holds the talk: it facilitates, and is not the one whom the talk is for.
    pub(super) fn holds_talk(&self, leaf: &LeafId) -> bool {
        self.policy
            .as_ref()
            .is_some_and(|policy| policy.is_facilitator(leaf) && !policy.hosts.contains(leaf))
    }

    /// When the talk ends, if somebody said so.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        let ends = self.saved.ends.as_ref()?;
        let left_ms = ends.at_ms().saturating_sub(self.saved.pace.wall_ms());
        Some(Ending {
            by: ends.by,
            minute: ends.minute,
            minutes_left: left_ms.div_ceil(MINUTE_MS),
        })
    }

    fn set_end(&mut self, end: End, now: Now) -> Result<Reply> {
        if !self.holds_talk(&self.key.id()) {
            return Err(Error::new(
                ErrorKind::NotAllowed,
                "only who holds this talk says when it ends; ask them for more time",
            ));
        }
        let this_minute = self.wall_minute();
        let minute = match end {
            End::At(minute) => minute,
            End::After(minutes) => this_minute.saturating_add(u64::from(minutes)),
            End::Later(minutes) => {
                let ends = self.saved.ends.as_ref().map_or(0, |ends| ends.minute);
                ends.max(this_minute).saturating_add(u64::from(minutes))
            }
            End::Never => 0,
        };
        self.queue(ContentBody::Until(minute), now)?;
        Ok(Reply::Kept)
    }

    /// The desk's card gives a chat so long: who asked hears it before anything else.
    pub(super) fn state_limit(&mut self, minutes: Option<u32>, now: Now) -> Result<()> {
        let Some(minutes) = minutes.filter(|minutes| *minutes > 0) else {
            return Ok(());
        };
        let minute = self.wall_minute().saturating_add(u64::from(minutes));
        self.queue(ContentBody::Until(minute), now).map(drop)
    }

    /// Says it again, for who came since.
    fn queue_end(&mut self, now: Now) -> Result<()> {
        match self.saved.ends {
            Some(ends) if self.holds_talk(&self.key.id()) => {
                self.queue(ContentBody::Until(ends.minute), now).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// A member says when the talk ends; 0 is never.
    fn until_said(&mut self, by: LeafId, minute: u64) {
        let known = self.saved.ends.as_ref().map_or(0, |ends| ends.minute);
        if !self.holds_talk(&by) || minute == known {
            return;
        }
        let ends = Ends {
            by,
            minute,
            told: Told::Set,
        };
        // Who hears of an end that is near hears how near.
        let is_soon = ends.soon_ms() <= self.saved.pace.wall_ms();
        let told = if is_soon { Told::Soon } else { Told::Set };
        self.saved.ends = (minute > 0).then_some(Ends { told, ..ends });
        let minute = Some(minute).filter(|minute| *minute > 0);
        self.tell(Event::EndsAt { by, minute });
    }

    /// Tells that the end is near or there; answers when the next is due (steady clock).
    pub(super) fn look_at_end(&mut self, now: Now) -> Option<u64> {
        let is_member = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        // Without a line people are told as well, but not before it is clear that there is none: the
        // log may say that there is more time.
        let has_read = self.is_caught_up() || self.unreached.is_some();
        let wall_ms = self.saved.pace.wall_ms();
        let ends = self.saved.ends.as_mut().filter(|_| is_member && has_read)?;
        let (at_ms, soon_ms) = (ends.at_ms(), ends.soon_ms());
        let told = if wall_ms >= at_ms {
            Told::Over
        } else if wall_ms >= soon_ms {
            Told::Soon
        } else {
            Told::Set
        };
        let is_news = told > ends.told;
        ends.told = ends.told.max(told);
        let due_ms = match ends.told {
            Told::Set => Some(soon_ms),
            Told::Soon => Some(at_ms),
            Told::Over => None,
        };
        match told {
            Told::Soon if is_news => {
                let left_ms = at_ms.saturating_sub(wall_ms);
                self.tell(Event::EndsSoon {
                    minutes: left_ms.div_ceil(MINUTE_MS),
                });
            }
            Told::Over if is_news => self.tell(Event::TimeIsOver),
            _ => {}
        }
        due_ms.map(|due_ms| now.steady_ms.saturating_add(due_ms.saturating_sub(wall_ms)))
    }
}
