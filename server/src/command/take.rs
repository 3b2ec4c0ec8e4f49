//! `take`: remove the oldest entry; the answer has it.

use sotto_protocol::frame::Take;

use super::{Prepared, change_of_open};
use crate::connection::session::Session;
use crate::log::Change;

pub(super) fn prepare(session: &Session, take: Take) -> Prepared<'_> {
    change_of_open(session, take.log, |caller| Change::Take(take, caller))
}
