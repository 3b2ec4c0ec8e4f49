//! `position`: how many entries stand before one's own. The owner key is all it takes.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Position, Refusal};
use sotto_protocol::proof::Purpose;

use super::{Carried, Prepared};
use crate::connection::session::Session;

pub(super) fn prepare(session: &Session, position: Position) -> Prepared<'_> {
    Prepared::beside(carry_out(session, position))
}

async fn carry_out(session: &Session, position: Position) -> Carried {
    let Position { log, seq, proof } = position;
    let holds = session.proves(Purpose::Own, &log, &proof.key, &proof.mac);
    // Read in any case: a false proof costs what a true one costs.
    let placed = session.relay().logs().position(&log, seq, &proof.key).await;
    if !holds {
        return Err(Refusal::of(ErrorCode::Refused));
    }
    Ok(Some(Answer::Placed(placed?).into()))
}
