//! `describe`: what the relay holds of a log, for who may manage it.

use sotto_protocol::frame::{Answer, Describe};

use super::{Prepared, caller};
use crate::connection::session::Session;

pub(super) fn prepare(session: &Session, describe: Describe) -> Prepared<'_> {
    match caller(session, &describe.log) {
        Ok(caller) => Prepared::beside(async move {
            let logs = session.relay().logs();
            let described = logs.describe(&describe.log, &caller.keys).await?;
            Ok(Some(Answer::Described(described).into()))
        }),
        Err(refusal) => Prepared::now(Err(refusal)),
    }
}
