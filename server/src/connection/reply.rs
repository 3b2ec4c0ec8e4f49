//! What goes from a request to the writer: one encoded item, with what its writing brings about.

use sotto_protocol::cbor;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Done, FromRelay, Refusal, Refused};
use tokio::sync::OwnedSemaphorePermit;

use super::follow::FollowId;
use super::websocket::End;
use crate::metrics::Metrics;

/// The right to have one page in memory: of this connection, of all connections.
pub(crate) type PageSlots = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// An answer on its way to the writer.
#[derive(Debug)]
pub(super) struct Reply {
    /// Encoded, not yet sealed: the order of sealing is the order of writing.
    pub(super) item: Vec<u8>,
    /// A follow that starts when this is written.
    pub(super) starts: Option<FollowId>,
    /// The connection ends when this is written.
    pub(super) closes: Option<End>,
    /// Given back when this is written.
    pub(super) page: Option<PageSlots>,
}

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The verb's answer.
    pub(crate) answer: Answer<'static>,
    /// A follow that starts when the answer is written.
    pub(crate) starts: Option<FollowId>,
    /// Slots of the page in the answer.
    pub(crate) page: Option<PageSlots>,
}

impl From<Answer<'static>> for Outcome {
    fn from(answer: Answer<'static>) -> Self {
        Self {
            answer,
            starts: None,
            page: None,
        }
    }
}

impl Reply {
    /// Encodes what a request came to.
    pub(super) fn new(id: u64, outcome: Result<Outcome, Refusal>, metrics: &Metrics) -> Self {
        match outcome {
            Ok(outcome) => {
                let answer = outcome.answer;
                let item = cbor::encode(&FromRelay::Done(Done { id, answer }));
                match item {
                    Ok(item) => Self {
                        item,
                        starts: outcome.starts,
                        closes: None,
                        page: outcome.page,
                    },
                    Err(_) => Self::refused(id, Refusal::of(ErrorCode::Internal), metrics),
                }
            }
            Err(refusal) => Self::refused(id, refusal, metrics),
        }
    }

    fn refused(id: u64, refusal: Refusal, metrics: &Metrics) -> Self {
        let code = refusal.code;
        metrics.refusal(code);
        let closes = End::of(code);
        match cbor::encode(&FromRelay::Refused(Refused { id, refusal })) {
            Ok(item) => Self {
                item,
                starts: None,
                closes,
                page: None,
            },
            Err(_) => Self {
                item: Vec::new(),
                starts: None,
                closes: Some(End::Internal),
                page: None,
            },
        }
    }
}
