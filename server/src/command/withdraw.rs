//! `withdraw`: take one's own entry back. The owner key is all it takes.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Refusal, Withdraw};
use sotto_protocol::proof::Purpose;

use super::position::NOBODYS;
use super::{Prepared, change};
use crate::connection::session::Session;
use crate::log::Change;

pub(super) fn prepare(session: &Session, withdraw: Withdraw) -> Prepared<'_> {
    let proof = &withdraw.proof;
    if session.proves(Purpose::Own, &withdraw.log, &proof.key, &proof.mac) {
        return change(session, Change::Withdraw(withdraw));
    }
    Prepared::beside(async move {
        let logs = session.relay().logs();
        // What it brings is not told; a false proof must not be answered faster than a true one.
        let _ = logs.position(&withdraw.log, withdraw.seq, &NOBODYS).await;
        Err(Refusal::of(ErrorCode::Refused))
    })
}
