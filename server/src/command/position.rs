//! `position`: how many entries stand before one's own. The owner key is all it takes.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Position, Refusal};
use sotto_protocol::id::PublicKey;
use sotto_protocol::proof::Purpose;

use super::{Carried, Prepared};
use crate::connection::session::Session;

/// A key that nobody can prove.
pub(super) const NOBODYS: PublicKey = PublicKey::new([0; 32]);

pub(super) fn prepare(session: &Session, position: Position) -> Prepared<'_> {
    Prepared::beside(carry_out(session, position))
}

async fn carry_out(session: &Session, position: Position) -> Carried {
    let Position { log, seq, proof } = position;
    let holds = session.proves(Purpose::Own, &log, &proof.key, &proof.mac);
    // Read in any case, and as one who owns nothing: a false proof costs what a strange key costs,
    // and does not tell whether its key is the owner's.
    let owner = if holds { proof.key } else { NOBODYS };
    let placed = session.relay().logs().position(&log, seq, &owner).await;
    if !holds {
        return Err(Refusal::of(ErrorCode::Refused));
    }
    Ok(Some(Answer::Placed(placed?).into()))
}
