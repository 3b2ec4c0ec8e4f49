//! Whom a desk names for a crisis, kept on the device of who asked there: it is shown without a line,
//! without the desk, and without anybody hearing of it.

use super::{Engine, saved};
use crate::desk::{Card, Resource};
use crate::error::Result;

impl Engine {
    /// Whom the desk names for a crisis: a phone number, a place. Known to who asked there, as its card said
    /// last before the answer, for as long as anything of the conversation is kept here; and in the team's
    /// room on the device that runs the desk.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        match &self.beside.office {
            Some(office) => &office.plan.resources,
            None => &self.beside.resources,
        }
    }

    /// What this card says of it takes the place of what one before said.
    pub(super) fn keep_resources(&mut self, card: &Card) -> Result<()> {
        let is_rating = self.is_rating();
        if is_rating || self.beside.resources == card.resources {
            return Ok(());
        }
        self.beside.resources.clone_from(&card.resources);
        let resources = self.beside.resources.clone();
        self.keep_beside(saved::CRISIS, &resources)
    }
}
