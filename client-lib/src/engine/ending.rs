//! When a talk ends: said by who holds it, and told by each device's own clock. SPEC.md, "Endings".
//!
//! Nobody is thrown out by a clock. What is told here is for people, who decide themselves what comes
//! of it; only where it was said that a room closes, nothing more is said in it then.

use serde::{Deserialize, Serialize};

use super::held::is_words;
use super::saved::Stage;
use super::{Command, Engine, Event, Reply};
use crate::content::ContentBody;
use crate::error::{Error, ErrorKind, Result};
use crate::mls::LeafId;
use crate::time::Now;

/// So long before the end people are told of it: time to say what still has to be said, and too short to
/// begin anything new.
const SOON_MINUTES: u64 = 5;
/// So long before a room closes people are told of it: two weeks.
const CLOSES_SOON_MINUTES: u64 = 14 * 24 * 60;
const MINUTE_MS: u64 = 60_000;

/// Another end for a talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// At this minute since 1970-01-01, UTC.
    At(u64),
    /// So many minutes from now.
    After(u32),
    /// So many minutes after the present end, or from now on if that is over or there is none. Of a room
    /// that closes, or has closed, it is when it closes now.
    Later(u32),
    /// The room closes at this minute since 1970-01-01, UTC: it can be read from then on, and nothing
    /// more is said in it.
    CloseAt(u64),
    /// The room closes in so many minutes.
    CloseAfter(u32),
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
    /// The room closes then.
    pub closes: bool,
}

/// What is kept of it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ends {
    by: LeafId,
    minute: u64,
    /// The room closes then.
    #[serde(default)]
    closes: bool,
    /// What the person was told of it last.
    told: Told,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Told {
    Set,
    Early,
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

    /// When people are first told that it comes near.
    const fn early_ms(&self) -> u64 {
        if self.closes {
            self.at_ms().saturating_sub(CLOSES_SOON_MINUTES * MINUTE_MS)
        } else {
            self.soon_ms()
        }
    }

    /// What is to be told by this time.
    const fn due(&self, wall_ms: u64) -> Told {
        if wall_ms >= self.at_ms() {
            Told::Over
        } else if wall_ms >= self.soon_ms() {
            Told::Soon
        } else if wall_ms >= self.early_ms() {
            Told::Early
        } else {
            Told::Set
        }
    }

    const fn body(&self) -> ContentBody {
        if self.closes {
            ContentBody::Closes(self.minute)
        } else {
            ContentBody::Until(self.minute)
        }
    }
}

impl Engine {
    /// When the talk ends, if somebody said so.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        let ends = self.saved.ends.as_ref()?;
        let left_ms = ends.at_ms().saturating_sub(self.saved.pace.wall_ms());
        Some(Ending {
            by: ends.by,
            minute: ends.minute,
            minutes_left: left_ms.div_ceil(MINUTE_MS),
            closes: ends.closes,
        })
    }

    /// Whether it is for somebody in particular, on whom nobody shall close it.
    fn is_somebodys(&self) -> bool {
        let policy = self.policy.as_ref();
        policy.is_some_and(|policy| !policy.hosts.is_empty())
    }

    /// Whether nothing more is said here.
    pub(super) fn is_closed(&self) -> bool {
        let wall_ms = self.saved.pace.wall_ms();
        let ends = self.saved.ends.as_ref();
        ends.is_some_and(|ends| ends.closes && wall_ms >= ends.at_ms())
    }

    /// # Errors
    /// [`ErrorKind::NotAllowed`] for words where the room has closed.
    pub(super) fn is_open_for(&self, command: &Command) -> Result<()> {
        if !self.is_closed() || !is_words(command) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotAllowed,
            "this room has closed; what was said in it can be read here until you leave",
        ))
    }

    pub(super) fn set_end(&mut self, end: End, now: Now) -> Result<Reply> {
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
                let known = self.saved.ends;
                let ends = known.map_or(0, |ends| ends.minute);
                let minute = ends.max(this_minute).saturating_add(u64::from(minutes));
                if known.is_some_and(|ends| ends.closes) {
                    return self.close_at(minute, now);
                }
                minute
            }
            End::CloseAt(minute) => return self.close_at(minute, now),
            End::CloseAfter(minutes) => {
                return self.close_at(this_minute.saturating_add(u64::from(minutes)), now);
            }
            End::Never => 0,
        };
        self.queue(ContentBody::Until(minute), now)?;
        Ok(Reply::Kept)
    }

    fn close_at(&mut self, minute: u64, now: Now) -> Result<Reply> {
        if self.is_somebodys() {
            return Err(Error::new(
                ErrorKind::NotAllowed,
                "a chat that is somebody's is not closed on them; say when your time with them ends",
            ));
        }
        if minute <= self.wall_minute() {
            let what = "a room closes at a time that is to come";
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        self.queue(ContentBody::Closes(minute), now)?;
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
    pub(super) fn queue_end(&mut self, now: Now) -> Result<()> {
        match self.saved.ends {
            Some(ends) if self.holds_talk(&self.key.id()) => self.queue(ends.body(), now).map(drop),
            _ => Ok(()),
        }
    }

    /// A member says when the talk ends, or the room closes; 0 is never.
    pub(super) fn until_said(&mut self, by: LeafId, minute: u64, closes: bool) {
        let known = self.saved.ends.as_ref();
        let known = known.map_or((0, false), |ends| (ends.minute, ends.closes));
        if closes && self.is_somebodys() {
            return;
        }
        let closes = closes && minute > 0;
        if !self.holds_talk(&by) || (minute, closes) == known {
            return;
        }
        let ends = Ends {
            by,
            minute,
            closes,
            told: Told::Set,
        };
        // Who hears of an end that is near hears how near; of one that is over, that it is.
        let told = ends.due(self.saved.pace.wall_ms()).min(Told::Soon);
        self.saved.ends = (minute > 0).then_some(Ends { told, ..ends });
        let minute = Some(minute).filter(|minute| *minute > 0);
        self.tell(match minute {
            Some(minute) if closes => Event::ClosesAt { by, minute },
            minute => Event::EndsAt { by, minute },
        });
    }

    /// Tells that the end is near or there; answers when the next is due (steady clock).
    pub(super) fn look_at_end(&mut self, now: Now) -> Option<u64> {
        let is_member = matches!(self.saved.stage, Stage::Waiting | Stage::In);
        // Without a line people are told as well, but not before it is clear that there is none: the
        // log may say that there is more time.
        let has_read = self.is_caught_up() || self.unreached.is_some();
        let wall_ms = self.saved.pace.wall_ms();
        let ends = self.saved.ends.as_mut().filter(|_| is_member && has_read)?;
        let told = ends.due(wall_ms);
        let is_news = told > ends.told;
        ends.told = ends.told.max(told);
        let due_ms = match ends.told {
            Told::Set => Some(ends.early_ms()),
            Told::Early => Some(ends.soon_ms()),
            Told::Soon => Some(ends.at_ms()),
            Told::Over => None,
        };
        let (closes, left_ms) = (ends.closes, ends.at_ms().saturating_sub(wall_ms));
        let minutes = left_ms.div_ceil(MINUTE_MS);
        if is_news {
            self.tell(match (told, closes) {
                (Told::Over, true) => Event::Closed,
                (Told::Over, false) => Event::TimeIsOver,
                (_, true) => Event::ClosesSoon { minutes },
                (_, false) => Event::EndsSoon { minutes },
            });
        }
        due_ms.map(|due_ms| now.steady_ms.saturating_add(due_ms.saturating_sub(wall_ms)))
    }
}
