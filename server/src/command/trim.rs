//! `trim`: drop entries up to a sequence number.

use sotto_protocol::frame::Trim;

use super::{Prepared, change_of_open};
use crate::connection::session::Session;
use crate::log::Change;

pub(super) fn prepare(session: &Session, trim: Trim) -> Prepared<'_> {
    change_of_open(session, trim.log, |caller| Change::Trim(trim, caller))
}
