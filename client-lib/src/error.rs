//! The one error of the SDK: a kind to act on, whether to try again, and its source.
//!
//! Its text names no person, key, id or address, so that it may be logged.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

/// What went wrong, as an app would act on it. Names and meaning stay the same across versions and
/// bindings; new kinds may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another process, or another part of this one, has the vault open.
    VaultInUse,
    /// The key or passphrase does not open the vault.
    VaultKey,
    /// The vault's files are not what was written into them.
    VaultDamaged,
    /// The device has no room for the vault.
    VaultFull,
    /// The vault could not be read or written.
    VaultIo,
    /// The relay could not be reached, or the connection broke.
    Unreachable,
    /// An address is not one that this SDK connects to: not `wss://`, or `ws://` beyond this machine.
    Address,
    /// TLS failed: the certificate is not one that this client trusts.
    Certificate,
    /// Who answered is not the relay that the link names, or does not speak its protocol.
    NotTheRelay,
    /// What stands where a desk's card should be is not of the desk whose address one has: signed by
    /// another key, older than what was there before, or of another relay. Nobody should write there.
    NotTheDesk,
    /// This device's clock and the relay's are more than a day apart.
    Clock,
    /// The relay refuses: a wrong key, an unknown log, or a right that is not held.
    Refused,
    /// The relay has too much to do, or no room; see [`Error::retry_after`].
    Busy,
    /// Somebody changed it first: read what is there now and decide again.
    Conflict,
    /// What was given is too long or too much.
    TooLarge,
    /// What was given makes no sense: an unreadable link, an unknown member, an empty name.
    Invalid,
    /// One is not, or no longer, a member of this conversation.
    NotMember,
    /// One's role does not allow this.
    NotAllowed,
    /// It waited too long and will not be tried again.
    Expired,
    /// What was asked for is no longer there: it expired, or its author took it back.
    Gone,
    /// What came is not what its author sent.
    Altered,
    /// What the app gave to read from or write to failed.
    Stream,
    /// What ran this has stopped.
    Closed,
    /// A fault of this SDK.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::VaultInUse,
        Self::VaultKey,
        Self::VaultDamaged,
        Self::VaultFull,
        Self::VaultIo,
        Self::Unreachable,
        Self::Address,
        Self::Certificate,
        Self::NotTheRelay,
        Self::NotTheDesk,
        Self::Clock,
        Self::Refused,
        Self::Busy,
        Self::Conflict,
        Self::TooLarge,
        Self::Invalid,
        Self::NotMember,
        Self::NotAllowed,
        Self::Expired,
        Self::Gone,
        Self::Altered,
        Self::Stream,
        Self::Closed,
        Self::Internal,
    ];

    /// A name for logs and bindings, stable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VaultInUse => "vault_in_use",
            Self::VaultKey => "vault_key",
            Self::VaultDamaged => "vault_damaged",
            Self::VaultFull => "vault_full",
            Self::VaultIo => "vault_io",
            Self::Unreachable => "unreachable",
            Self::Address => "address",
            Self::Certificate => "certificate",
            Self::NotTheRelay => "not_the_relay",
            Self::NotTheDesk => "not_the_desk",
            Self::Clock => "clock",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::NotMember => "not_member",
            Self::NotAllowed => "not_allowed",
            Self::Expired => "expired",
            Self::Gone => "gone",
            Self::Altered => "altered",
            Self::Stream => "stream",
            Self::Closed => "closed",
            Self::Internal => "internal",
        }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unreachable | Self::Busy)
    }
}

/// What every fallible call of the SDK returns on failure.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    what: &'static str,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// A result with the SDK's [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl Error {
    /// An error of `kind`; `what` says what could not be done, in lower case, without anything
    /// about a person.
    #[must_use]
    pub const fn new(kind: ErrorKind, what: &'static str) -> Self {
        Self {
            kind,
            what,
            retry_after: None,
            source: None,
        }
    }

    /// The same error, caused by `source`.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The same error, worth trying again after so long.
    #[must_use]
    pub const fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What to act on.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// How long the relay asked to wait, if it did.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({}: {})", self.kind.name(), self.what)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| -> &(dyn std::error::Error + 'static) { source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_kind_and_never_the_source() {
        let error = Error::new(ErrorKind::VaultIo, "the vault could not be written")
            .because(std::io::Error::other("/home/anna/vault"));
        let shown = format!("{error:?} {error}");
        assert!(shown.contains("vault_io"));
        assert!(!shown.contains("anna"));
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn only_what_heals_by_itself_is_retryable() {
        let retryable: Vec<_> = ErrorKind::ALL
            .iter()
            .filter(|kind| kind.is_retryable())
            .collect();
        assert_eq!(retryable, [&ErrorKind::Unreachable, &ErrorKind::Busy]);
        let names: std::collections::BTreeSet<_> =
            ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}
