//! What stands in the place of a vault that was destroyed: it holds nothing and takes nothing, so
//! that whoever was about to write when it went writes nothing back.

use super::{Batch, Key, Mark, Range, Residue, Row, Space, Vault};
use crate::error::{Error, ErrorKind, Result};

pub(super) struct GoneVault {
    mark: Mark,
    /// What stopped some of it from being erased. Nothing that was done here since changed that.
    left: Option<Error>,
}

impl GoneVault {
    pub(super) const fn after(mark: Mark) -> Self {
        Self { mark, left: None }
    }

    pub(super) fn but_for(self, left: Option<Error>) -> Self {
        Self { left, ..self }
    }
}

fn gone<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Closed, "the vault was destroyed"))
}

impl Vault for GoneVault {
    fn apply(&mut self, _: &Batch) -> Result<()> {
        gone()
    }

    fn get(&self, _: &Key) -> Result<Option<Vec<u8>>> {
        gone()
    }

    fn range(&self, _: Space, _: Range<'_>) -> Result<Vec<Row>> {
        gone()
    }

    fn spaces(&self) -> Result<Vec<Space>> {
        Ok(Vec::new())
    }

    fn residue(&self) -> Result<Residue> {
        Ok(Residue::default())
    }

    fn mark(&self) -> Mark {
        self.mark
    }

    fn destroy(self: Box<Self>) -> Result<()> {
        self.left.map_or(Ok(()), Err)
    }
}
