//! `delete`: delete the log.

use sotto_protocol::frame::Delete;

use super::{Prepared, change_of_open};
use crate::connection::session::Session;
use crate::log::Change;

pub(super) fn prepare(session: &Session, delete: Delete) -> Prepared<'_> {
    change_of_open(session, delete.log, |caller| Change::Delete(delete, caller))
}
