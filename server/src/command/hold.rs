//! `hold`: reserve the fence for a moment.

use sotto_protocol::frame::Hold;

use super::{Prepared, change_of_open};
use crate::connection::session::Session;
use crate::log::Change;

pub(super) fn prepare(session: &Session, hold: Hold) -> Prepared<'_> {
    change_of_open(session, hold.log, |caller| Change::Hold(hold, caller))
}
