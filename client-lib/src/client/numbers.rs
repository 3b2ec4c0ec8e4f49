//! What a desk's office tells of the desk, from an app. SPEC.md, "Numbers" and "Audit".

use super::conversation::Conversation;
use crate::desk::{AuditExport, AuditHead, Division, Exported, Period};
use crate::engine::{Command, Engine};
use crate::error::{Error, ErrorKind, Result};

/// The numbers of a desk, for who funds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskNumbers {
    /// Those of the last year that are over, the oldest first.
    pub periods: Vec<Period>,
    /// What the days to come are divided by.
    pub by: Division,
    /// The last day, in days since 1970-01-01, UTC, of the period that is not over; nothing before the
    /// relay was first reached.
    pub open_until: Option<u32>,
}

impl Conversation {
    /// The numbers of this team's desk, by day, week or month. For the desk's office. That they were
    /// taken out is written down, and the team hears of it.
    ///
    /// A day is in one period for good: another division than before holds from the first day on that is
    /// in none yet. What is of fewer than five people is not told, and there is no total, as it would tell
    /// it.
    ///
    /// # Errors
    /// As [`Conversation::command`]; [`ErrorKind::Invalid`] where this is not the office.
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn numbers(&self, by: Option<Division>) -> Result<DeskNumbers> {
        let what = Exported::Numbers;
        self.command(Command::Export { what, by }).await?;
        self.look(|engine| {
            let (by, open_until) = engine.open_period();
            DeskNumbers {
                periods: engine.numbers(),
                by,
                open_until,
            }
        })
        .await
    }

    /// The records of this team's desk. For the desk's office. That they were taken out is one.
    ///
    /// # Errors
    /// As [`Conversation::numbers`].
    ///
    /// # Cancel safety
    /// As [`Conversation::command`].
    pub async fn audit(&self) -> Result<AuditExport> {
        let what = Exported::Audit;
        self.command(Command::Export { what, by: None }).await?;
        let audit = self.look(Engine::audit).await?;
        audit.ok_or_else(|| Error::new(ErrorKind::Internal, "a desk without its records"))
    }

    /// How far the records of this team's desk went whenever the office took something out, as far as
    /// this device heard.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// Cancel safe: it changes nothing.
    pub async fn audit_heads(&self) -> Result<Vec<AuditHead>> {
        self.look(Engine::audit_heads).await
    }
}
