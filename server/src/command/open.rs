//! `open`: prove grants for a log on this connection.
//!
//! Whoever may not hears one answer, after the same work: every proof is checked and the log is
//! read, whether or not there is such a log or such a key.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Open, Refusal};
use sotto_protocol::proof::Purpose;

use super::{Carried, Prepared};
use crate::connection::session::Session;
use crate::error::code;

pub(super) fn prepare(session: &Session, open: Open) -> Prepared<'_> {
    Prepared::alone(carry_out(session, open))
}

async fn carry_out(session: &Session, open: Open) -> Carried {
    let log = open.log;
    let keys = session
        .keys_with(&log, &open.proofs)
        .map_err(|error| Refusal::of(code(&error)))?;
    let mut holds = true;
    for proof in &open.proofs {
        // No short cut: the number of proofs checked must not depend on which of them hold.
        holds &= session.proves(Purpose::Open, &log, &proof.key, &proof.mac);
    }
    let proved: Vec<_> = open.proofs.iter().map(|proof| proof.key).collect();
    let logs = session.relay().logs();
    let opened = logs.open_again(&log, &keys, &proved).await;
    match opened {
        Ok(opened) if holds => {
            session.set_open(log, keys);
            Ok(Some(Answer::Opened(opened).into()))
        }
        Ok(_) => Err(Refusal::of(ErrorCode::Refused)),
        Err(refusal) => Err(refusal),
    }
}
