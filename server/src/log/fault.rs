//! What can go wrong below the domain, and what callers hear of it.

use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::Refusal;

use crate::limits::FULL_RETRY_MS;
use crate::retention::{KeysError, SealError};
use crate::store::StoreError;

/// A fault of the relay. Never a caller's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The storage engine.
    #[error("the store did not do what it was asked")]
    Store(#[from] StoreError),
    /// A value could not be sealed or opened.
    #[error("a stored value could not be sealed or opened")]
    Seal(#[from] SealError),
    /// The keys at rest.
    #[error("the keys at rest could not be used")]
    Keys(#[from] KeysError),
    /// A value that opens is not what this code writes.
    #[error("a stored value has a shape that is not known")]
    Shape,
}

impl Fault {
    /// The name under which it is counted.
    const fn cause(&self) -> &'static str {
        match self {
            Self::Store(StoreError::Full) => "store_full",
            Self::Store(_) => "store",
            Self::Seal(_) => "seal",
            Self::Keys(_) => "keys",
            Self::Shape => "shape",
        }
    }

    /// What callers hear. Writes the fault to the relay's log under a random number that the
    /// caller hears as well.
    pub(crate) fn refusal(&self) -> Refusal {
        if matches!(self, Self::Store(StoreError::Full)) {
            return Refusal {
                retry_after_ms: Some(FULL_RETRY_MS),
                ..Refusal::of(ErrorCode::StoreFull)
            };
        }
        let incident = getrandom::u32().map_or(0, u64::from);
        let cause = self.cause();
        let error: &dyn std::error::Error = self;
        tracing::error!(incident, cause, error, "a change or read failed");
        Refusal {
            incident: Some(incident),
            ..Refusal::of(ErrorCode::Internal)
        }
    }
}
