//! `renew`: a live lease lasts longer.

use sotto_protocol::frame::Renew;

use super::{Prepared, change_of_open};
use crate::connection::session::Session;
use crate::log::Change;

pub(super) fn prepare(session: &Session, renew: Renew) -> Prepared<'_> {
    change_of_open(session, renew.log, |caller| Change::Renew(renew, caller))
}
