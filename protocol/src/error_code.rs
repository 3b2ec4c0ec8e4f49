//! Error codes, sorted by who is to blame. SPEC: "Errors". Numbers are never reused.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Who has to do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// You sent nonsense: the sender has a bug or is an attacker; the connection is closed.
    Malformed,
    /// You may not, or not now: the request is well formed and changes nothing.
    NotAllowed,
    /// The relay has too much to do: come back after `retry_after_ms`.
    Busy,
    /// The relay has a fault; an incident number is given, nothing else.
    Internal,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $blame:ident;)*) => {
        /// A registered code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// The name in SPEC.md and in metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Who is to blame.
            #[must_use]
            pub const fn blame(self) -> Blame {
                match self { $(Self::$name => Blame::$blame,)* }
            }

            /// The code with this number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

error_codes! {
    /// The bytes are not an item of this protocol.
    Malformed = 100, "malformed", Malformed;
    /// A length or a count is over its limit.
    TooLarge = 101, "too_large", Malformed;
    /// A frame that may not stand here, such as a request before the handshake.
    OutOfOrder = 102, "out_of_order", Malformed;
    /// Wrong key, unknown log, expired grant, missing right: one answer for all.
    Refused = 200, "refused", NotAllowed;
    /// The fence has moved on; `fence` says where it is.
    FenceConflict = 201, "fence_conflict", NotAllowed;
    /// Somebody changed the grants; `version` says which is current.
    GrantsConflict = 202, "grants_conflict", NotAllowed;
    /// The log's or the grant's quota is used up.
    QuotaExceeded = 203, "quota_exceeded", NotAllowed;
    /// The lease this depends on is not yours, or no longer live.
    LeaseLost = 204, "lease_lost", NotAllowed;
    /// Another holder has a live lease on the entry.
    Claimed = 205, "claimed", NotAllowed;
    /// The retry id is older than the relay remembers; whether it was applied is not known.
    RetryTooOld = 206, "retry_too_old", NotAllowed;
    /// A proof of work of `bits` is needed.
    WorkNeeded = 207, "work_needed", NotAllowed;
    /// The entry is not there: trimmed, expired, taken, withdrawn, or never was.
    NoSuchEntry = 208, "no_such_entry", NotAllowed;
    /// Pins must lie further apart.
    PinTooSoon = 209, "pin_too_soon", NotAllowed;
    /// The policy, grants or item break a rule of the relay.
    BadRequest = 210, "bad_request", NotAllowed;
    /// Too much at once; try again after `retry_after_ms`.
    Busy = 300, "busy", Busy;
    /// A `manage` key holds the fence for a moment.
    FenceHeld = 301, "fence_held", Busy;
    /// The relay has no room on its disk for new entries; what it has stays readable.
    StoreFull = 302, "store_full", Busy;
    /// The relay's own fault.
    Internal = 400, "internal", Internal;
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.number())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u16::deserialize(deserializer)?;
        Self::from_number(number).ok_or_else(|| de::Error::custom("unknown error code"))
    }
}
