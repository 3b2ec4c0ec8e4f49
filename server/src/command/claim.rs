//! `claim`: an exclusive lease on an entry.

use sotto_protocol::frame::Claim;

use super::{Prepared, change_of_open};
use crate::connection::session::Session;
use crate::log::Change;

pub(super) fn prepare(session: &Session, claim: Claim) -> Prepared<'_> {
    change_of_open(session, claim.log, |caller| Change::Claim(claim, caller))
}
