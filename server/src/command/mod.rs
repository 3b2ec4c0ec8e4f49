//! What a request does: a file a verb, each thin. SPEC: "Verbs".
//!
//! A command checks what only the connection knows (proofs, which logs are open, work) and hands
//! over to the logs; it decides nothing about a log and holds no state.

mod append;
mod claim;
mod create;
mod credit;
mod delete;
mod describe;
mod follow;
mod grants;
mod hold;
mod open;
mod position;
mod read;
mod release;
mod renew;
mod take;
mod trim;
mod unfollow;
mod withdraw;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Refusal, Verb};
use sotto_protocol::id::LogId;

use crate::connection::reply::Outcome;
use crate::connection::session::Session;
use crate::log::{Caller, Change};

/// What a request comes to; `None` where success is not answered.
pub(crate) type Carried = Result<Option<Outcome>, Refusal>;

type Running<'a> = Pin<Box<dyn Future<Output = Carried> + Send + 'a>>;

/// A request that was taken in: changes are handed over already.
pub(crate) struct Prepared<'a> {
    running: Running<'a>,
    runs_alone: bool,
}

impl fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("runs_alone", &self.runs_alone)
            .finish_non_exhaustive()
    }
}

impl<'a> Prepared<'a> {
    /// Runs beside others.
    fn beside(running: impl Future<Output = Carried> + Send + 'a) -> Self {
        Self {
            running: Box::pin(running),
            runs_alone: false,
        }
    }

    /// Sees what came before it, and what comes after sees it.
    fn alone(running: impl Future<Output = Carried> + Send + 'a) -> Self {
        Self {
            running: Box::pin(running),
            runs_alone: true,
        }
    }

    /// Is done already.
    fn now(carried: Carried) -> Self {
        Self::beside(std::future::ready(carried))
    }

    /// Is refused at once.
    pub(crate) fn refused(code: ErrorCode) -> Self {
        Self::now(Err(Refusal::of(code)))
    }

    /// Whether it must wait for those before it, and those after it for it.
    pub(crate) const fn runs_alone(&self) -> bool {
        self.runs_alone
    }

    /// Waits for what it comes to.
    pub(crate) async fn carry_out(self) -> Carried {
        self.running.await
    }
}

/// Takes a request in. Changes reach the log in the order of these calls.
pub(crate) fn prepare<'a>(session: &'a Session, verb: Verb<'_>) -> Prepared<'a> {
    match verb {
        Verb::Create(create) => create::prepare(session, create),
        Verb::Open(open) => open::prepare(session, open),
        Verb::Append(append) => append::prepare(session, append),
        Verb::Read(read) => read::prepare(session, read),
        Verb::Follow(follow) => follow::prepare(session, follow),
        Verb::Credit(credit) => credit::prepare(session, &credit),
        Verb::Unfollow(unfollow) => unfollow::prepare(session, &unfollow),
        Verb::Trim(trim) => trim::prepare(session, trim),
        Verb::Claim(claim) => claim::prepare(session, claim),
        Verb::Renew(renew) => renew::prepare(session, renew),
        Verb::Release(release) => release::prepare(session, release),
        Verb::Position(position) => position::prepare(session, position),
        Verb::Withdraw(withdraw) => withdraw::prepare(session, withdraw),
        Verb::Take(take) => take::prepare(session, take),
        Verb::Grants(grants) => grants::prepare(session, grants),
        Verb::Hold(hold) => hold::prepare(session, hold),
        Verb::Describe(describe) => describe::prepare(session, describe),
        Verb::Delete(delete) => delete::prepare(session, delete),
    }
}

/// Hands a change over now; the answer comes later.
fn change(session: &Session, change: Change) -> Prepared<'_> {
    let answer = session.relay().logs().change(change);
    Prepared::beside(async move { Ok(Some(answer.await?.into())) })
}

/// Hands over a change of a log that must be open on this connection.
fn change_of_open(
    session: &Session,
    log: LogId,
    with: impl FnOnce(Caller) -> Change,
) -> Prepared<'_> {
    match caller(session, &log) {
        Ok(caller) => change(session, with(caller)),
        Err(refusal) => Prepared::now(Err(refusal)),
    }
}

/// Who asks about a log that must be open.
fn caller(session: &Session, log: &LogId) -> Result<Caller, Refusal> {
    let keys = session.keys(log);
    keys.map(|keys| Caller {
        keys: keys.to_vec(),
    })
    .ok_or_else(|| Refusal::of(ErrorCode::Refused))
}
