//! `append`: entries for one or more open logs, all or nothing.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Append, Bytes, Item, NewEntry, Refusal};

use super::{Prepared, caller, change};
use crate::connection::session::Session;
use crate::log::Change;

pub(super) fn prepare<'a>(session: &'a Session, append: Append<'_>) -> Prepared<'a> {
    let Some(first) = append.items.first() else {
        return Prepared::refused(ErrorCode::BadRequest);
    };
    let work_bits = session.work(&first.log, &append.retry, append.work);
    let callers: Result<Vec<_>, Refusal> = (0_u16..)
        .zip(&append.items)
        .map(|(index, item)| {
            caller(session, &item.log).map_err(|refusal| Refusal {
                item: Some(index),
                ..refusal
            })
        })
        .collect();
    match callers {
        Ok(callers) => change(
            session,
            Change::Append {
                append: into_owned(append),
                callers,
                work_bits,
            },
        ),
        Err(refusal) => Prepared::now(Err(refusal)),
    }
}

/// A copy that borrows from nothing: the request's buffer goes, the change stays until it is
/// written.
fn into_owned(append: Append<'_>) -> Append<'static> {
    Append {
        items: append.items.into_iter().map(item_into_owned).collect(),
        day: append.day,
        work: append.work,
        retry: append.retry,
    }
}

fn item_into_owned(item: Item<'_>) -> Item<'static> {
    Item {
        entries: item
            .entries
            .into_iter()
            .map(|entry| NewEntry {
                held: entry.held.map(Bytes::into_owned),
                sealed: entry.sealed.into_owned(),
                ..entry
            })
            .collect(),
        ..item
    }
}
