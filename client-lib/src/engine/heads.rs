//! On every device of a team: how far the office's records went when something was taken out. Who keeps
//! that can see later that no record was written anew. SPEC.md, "Audit".

use serde::{Deserialize, Serialize};

use super::{Engine, Event, saved};
use crate::desk::AuditHead;
use crate::error::Result;
use crate::mls::LeafId;

/// Ends of the chain that are kept: of a year with one export a week and some more.
pub(super) const HEADS_MAX: usize = 64;

/// Heard in the team's room, the oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Heads(Vec<AuditHead>);

impl Engine {
    /// The office took something out. Who is no office cannot sign.
    pub(super) fn audited_said(&mut self, by: LeafId, head: AuditHead) -> Result<()> {
        let Some(keys) = self.beside.desk.as_ref() else {
            return Ok(());
        };
        if !head.holds(&keys.organisation, keys.desk) {
            self.junk();
            return Ok(());
        }
        let heads = &mut self.beside.heads.0;
        if heads.contains(&head) {
            return Ok(());
        }
        // Each is of more records than the one before.
        let is_further = heads.last().is_none_or(|last| last.number < head.number);
        heads.push(head);
        let surplus = heads.len().saturating_sub(HEADS_MAX);
        heads.drain(..surplus);
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
        self.beside.heads.0.clone()
    }
}
