//! `unfollow`: no further pushes of a log after the answer.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Unfollow};

use super::Prepared;
use crate::connection::session::Session;

pub(super) fn prepare<'a>(session: &'a Session, unfollow: &Unfollow) -> Prepared<'a> {
    if session.follows().remove(&unfollow.log) {
        Prepared::now(Ok(Some(Answer::Ok.into())))
    } else {
        Prepared::refused(ErrorCode::Refused)
    }
}
