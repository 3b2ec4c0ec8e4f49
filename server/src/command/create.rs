//! `create`: a new log, for who holds its root key and pays what the operator asks.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Create, Refusal};
use sotto_protocol::id::LogId;
use sotto_protocol::proof::Purpose;

use super::{Prepared, change};
use crate::config::CreateRule;
use crate::connection::session::Session;
use crate::log::Change;

pub(super) fn prepare<'a>(session: &'a Session, create: Create<'_>) -> Prepared<'a> {
    match check(session, &create) {
        // The ticket has done its part; nobody behind here should see it.
        Ok(()) => change(
            session,
            Change::Create(Create {
                ticket: None,
                ..create
            }),
        ),
        Err(refusal) => Prepared::now(Err(refusal)),
    }
}

fn check(session: &Session, create: &Create<'_>) -> Result<(), Refusal> {
    let ticket = create.ticket.as_ref().map(|ticket| ticket.as_slice());
    let log = LogId::of_root(&create.root);
    if !session.proves(Purpose::Create, &log, &create.root, &create.proof) {
        return Err(Refusal::of(ErrorCode::Refused));
    }
    let settings = session.relay().settings();
    match settings.create {
        CreateRule::DangerousOpen => Ok(()),
        CreateRule::Ticket => match ticket {
            Some(ticket) if settings.accepts_ticket(ticket) => Ok(()),
            _ => Err(Refusal::of(ErrorCode::Refused)),
        },
        CreateRule::Work => {
            let bits = settings.create_work_bits;
            if session.work(&log, &create.retry, create.work) >= u32::from(bits) {
                Ok(())
            } else {
                Err(Refusal {
                    bits: Some(bits),
                    ..Refusal::of(ErrorCode::WorkNeeded)
                })
            }
        }
    }
}
