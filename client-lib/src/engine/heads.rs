//! On every device of a team: how far the office's records went when something was taken out. Who keeps
//! that can see later that no record was written anew. SPEC.md, "Audit".

use core::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::{Engine, Event, saved};
use crate::desk::AuditHead;
use crate::error::Result;
use crate::mls::LeafId;

/// Ends of the chain that are kept: of a year with one export a week and some more.
pub(super) const HEADS_MAX: usize = 64;

/// One that was heard.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Heard {
    /// By the relay, as what the office says of its day is what is in question.
    day: u32,
    head: AuditHead,
}

/// Heard in the team's room, the oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Heads(Vec<Heard>);

impl Heads {
    /// Of too many the one goes that is missed least, the closest in days to those before and behind it:
    /// else an office that takes something out a few dozen times pushes out all that it said before. Of
    /// those as close it is the newest.
    fn thin_out(&mut self) {
        while self.0.len() > HEADS_MAX {
            let heard = self.0.windows(3).zip(1..);
            let gaps = heard.filter_map(|(three, at)| match three {
                [before, _, behind] => Some((behind.day.saturating_sub(before.day), at)),
                _ => None,
            });
            let Some((_, at)) = gaps.min_by_key(|(gap, at)| (*gap, Reverse(*at))) else {
                return;
            };
            self.0.remove(at);
        }
    }
}

impl Engine {
    /// The office took something out. Who is no office cannot sign.
    pub(super) fn audited_said(&mut self, by: LeafId, head: AuditHead, day: u32) -> Result<()> {
        let Some(keys) = self.beside.desk.as_ref() else {
            return Ok(());
        };
        if !head.holds(&keys.organisation, keys.desk) {
            self.junk();
            return Ok(());
        }
        let heads = &mut self.beside.heads;
        if heads.0.iter().any(|heard| heard.head == head) {
            return Ok(());
        }
        // Each is of more records than the one before, and not of an earlier day.
        let is_further = heads.0.last().is_none_or(|last| {
            let last = last.head;
            last.number() < head.number() && last.day() <= head.day()
        });
        heads.0.push(Heard { day, head });
        heads.thin_out();
        if !is_further {
            self.tell(Event::AuditRewritten { by });
        }
        let heads = self.beside.heads.clone();
        self.keep_beside(saved::HEADS, &heads)
    }

    /// How far the records of this team's desk went whenever something was taken out, as far as this
    /// device heard: to be compared with what the office shows
    /// ([`AuditExport::agrees_with`](crate::AuditExport::agrees_with)).
    #[must_use]
    pub fn audit_heads(&self) -> Vec<AuditHead> {
        let heads = self.beside.heads.0.iter();
        heads.map(|heard| heard.head).collect()
    }
}
