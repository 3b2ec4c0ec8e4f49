//! `release`: a lease is given back.

use sotto_protocol::frame::Release;

use super::{Prepared, change_of_open};
use crate::connection::session::Session;
use crate::log::Change;

pub(super) fn prepare(session: &Session, release: Release) -> Prepared<'_> {
    change_of_open(session, release.log, |caller| {
        Change::Release(release, caller)
    })
}
