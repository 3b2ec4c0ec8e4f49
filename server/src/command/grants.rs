//! `grants`: replace the list of grants.

use sotto_protocol::frame::Grants;

use super::{Prepared, change_of_open};
use crate::connection::session::Session;
use crate::log::Change;

pub(super) fn prepare(session: &Session, grants: Grants) -> Prepared<'_> {
    change_of_open(session, grants.log, |caller| Change::Grants(grants, caller))
}
