//! The one mapping from what goes wrong in the relay to the codes of the wire, by blame.
//!
//! A peer never hears more than a registered code. Faults of the store and of the keys at rest are
//! mapped where they get their incident number, in `log::fault`.

use sotto_protocol::error_code::ErrorCode;

use crate::connection::End;
use crate::connection::session::OpenError;

/// The code of an error.
pub(crate) fn code<'a, E>(error: &'a E) -> ErrorCode
where
    ErrorCode: From<&'a E>,
{
    ErrorCode::from(error)
}

impl From<&OpenError> for ErrorCode {
    fn from(error: &OpenError) -> Self {
        match error {
            OpenError::TooManyLogs => Self::QuotaExceeded,
        }
    }
}

impl End {
    /// The code that stands for this end, if the peer is to blame or the relay is.
    #[must_use]
    pub const fn code(self) -> Option<ErrorCode> {
        match self {
            Self::Malformed | Self::NotAuthentic => Some(ErrorCode::Malformed),
            Self::TooLarge => Some(ErrorCode::TooLarge),
            Self::OutOfOrder => Some(ErrorCode::OutOfOrder),
            Self::Internal => Some(ErrorCode::Internal),
            Self::Gone | Self::HandshakeTimeout | Self::Stalled | Self::Stopping => None,
        }
    }

    /// The end that a refusal with this code brings, if it brings one.
    #[must_use]
    pub const fn of(code: ErrorCode) -> Option<Self> {
        match code {
            ErrorCode::Malformed => Some(Self::Malformed),
            ErrorCode::TooLarge => Some(Self::TooLarge),
            ErrorCode::OutOfOrder => Some(Self::OutOfOrder),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use sotto_protocol::error_code::Blame;

    use super::*;

    #[test]
    fn exactly_what_is_nonsense_ends_the_connection() {
        for code in ErrorCode::ALL {
            let is_nonsense = code.blame() == Blame::Malformed;
            assert_eq!(End::of(*code).is_some(), is_nonsense, "{}", code.name());
            if let Some(end) = End::of(*code) {
                assert_eq!(end.code(), Some(*code));
            }
        }
    }
}
