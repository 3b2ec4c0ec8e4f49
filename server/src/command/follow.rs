//! `follow`: have entries after a cursor pushed, as far as credit allows.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Follow, Followed, Lane, Refusal};
use sotto_protocol::right::Rights;

use super::{Carried, Prepared, caller};
use crate::connection::reply::Outcome;
use crate::connection::session::Session;
use crate::log::Caller;

pub(super) fn prepare(session: &Session, follow: Follow) -> Prepared<'_> {
    match caller(session, &follow.log) {
        Ok(caller) => Prepared::alone(carry_out(session, follow, caller)),
        Err(refusal) => Prepared::now(Err(refusal)),
    }
}

async fn carry_out(session: &Session, follow: Follow, caller: Caller) -> Carried {
    let logs = session.relay().logs();
    let rights = logs.open(&follow.log, &caller.keys).await?.rights;
    let may_follow = rights.contains(Rights::READ)
        || (follow.lane == Lane::Fenced && rights.contains(Rights::PEEK));
    if !may_follow {
        return Err(Refusal::of(ErrorCode::Refused));
    }
    let tag = logs.tag(&follow.log);
    let starts =
        session
            .follows()
            .insert(follow.log, follow.lane, follow.after, follow.credit, tag);
    Ok(Some(Outcome {
        starts: Some(starts),
        ..Answer::Followed(Followed { tag }).into()
    }))
}
