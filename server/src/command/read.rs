//! `read`: one page. Few pages are in memory at once, of one connection and of all.

use std::sync::Arc;

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Read, Refusal};

use super::{Prepared, caller};
use crate::connection::reply::{Outcome, PageSlots};
use crate::connection::session::Session;

pub(super) fn prepare(session: &Session, read: Read) -> Prepared<'_> {
    match caller(session, &read.log) {
        Ok(caller) => Prepared::beside(async move {
            let slots = slots(session).await?;
            let logs = session.relay().logs();
            let page = logs
                .page(
                    &read.log,
                    &caller.keys,
                    read.lane,
                    read.after,
                    read.entries_max,
                )
                .await?;
            Ok(Some(Outcome {
                page: Some(slots),
                ..Answer::Page(page).into()
            }))
        }),
        Err(refusal) => Prepared::now(Err(refusal)),
    }
}

async fn slots(session: &Session) -> Result<PageSlots, Refusal> {
    let closed = |_| Refusal::of(ErrorCode::Busy);
    let own = Arc::clone(session.pages())
        .acquire_owned()
        .await
        .map_err(closed)?;
    let of_all = session.relay().page_slots();
    let shared = of_all.acquire_owned().await.map_err(closed)?;
    Ok((own, shared))
}
