//! `credit`: more pushes of a followed log. Answered only if it is refused.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::Credit;

use super::Prepared;
use crate::connection::session::Session;

pub(super) fn prepare<'a>(session: &'a Session, credit: &Credit) -> Prepared<'a> {
    match session.follows().add_credit(&credit.log, credit.more) {
        Some(true) => Prepared::now(Ok(None)),
        Some(false) => Prepared::refused(ErrorCode::BadRequest),
        None => Prepared::refused(ErrorCode::Refused),
    }
}
