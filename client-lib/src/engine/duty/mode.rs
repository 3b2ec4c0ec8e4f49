//! Whether who is on duty takes anybody now. It is known on this device alone.

use super::Engine;
use crate::error::{Error, ErrorKind, Result};

/// Whether who is on duty takes anybody now. Chats that began go on in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DutyMode {
    /// Who waits is shown, and can be answered.
    #[default]
    Takes,
    /// Nobody new, and nobody who waits is told of: what was begun is brought to its end.
    Finishing,
    /// The same for a while.
    Break,
}

impl DutyMode {
    /// A stable name for bindings and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Takes => "takes",
            Self::Finishing => "finishing",
            Self::Break => "break",
        }
    }
}

impl Engine {
    /// Whether we take anybody now, while we are on duty.
    #[must_use]
    pub const fn duty_mode(&self) -> Option<DutyMode> {
        let duty = &self.beside.duty;
        if duty.is_on { Some(duty.mode) } else { None }
    }

    pub(in crate::engine) fn set_duty_mode(&mut self, mode: DutyMode) -> Result<()> {
        if !self.beside.duty.is_on {
            let what = "this device is not on duty at this desk";
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        self.beside.duty.mode = mode;
        Ok(())
    }

    /// # Errors
    /// [`ErrorKind::NotAllowed`] while we take nobody new.
    pub(super) fn may_take(&self) -> Result<()> {
        let what = match self.beside.duty.mode {
            DutyMode::Takes => return Ok(()),
            DutyMode::Finishing => "you are finishing and take nobody new; come back on duty first",
            DutyMode::Break => "you have a break and take nobody new; come back on duty first",
        };
        Err(Error::new(ErrorKind::NotAllowed, what))
    }
}
