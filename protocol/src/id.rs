//! Identifiers and other byte strings of fixed length. SPEC: "Identifiers".
//!
//! Every type here is a CBOR byte string of exactly its length; another length is refused while
//! decoding. `Debug` never prints the bytes: a log line that holds an id holds a stable pseudonym.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Wraps the bytes as they are.
            #[must_use]
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = core::array::TryFromSliceError;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                Ok(Self(bytes.try_into()?))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "a byte string of {} bytes", $len)
                    }

                    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        $name::try_from(bytes)
                            .map_err(|_| E::invalid_length(bytes.len(), &self))
                    }
                }
                deserializer.deserialize_bytes(Visitor)
            }
        }
    };
}

fixed_bytes!(
    /// Names a log: SHA-256 over a label and the log's root key, see [`LogId::of_root`].
    LogId, 32
);
fixed_bytes!(
    /// An X25519 public key (RFC 7748): of a grant, a log's root, an entry's owner or a day.
    PublicKey, 32
);
fixed_bytes!(
    /// The relay's Ed25519 public key (RFC 8032), pinned by every link.
    RelayIdentity, 32
);
fixed_bytes!(
    /// An Ed25519 signature (RFC 8032).
    Signature, 64
);
fixed_bytes!(
    /// A grant proof: HMAC-SHA-256, see [`crate::proof`].
    Mac, 32
);
fixed_bytes!(
    /// Drawn by the client for every verb that changes something; a repeat gets the first answer.
    RetryId, 16
);
fixed_bytes!(
    /// A commitment to an entry's content (HMAC-SHA-256), random where there is nothing to commit to.
    Commitment, 32
);
fixed_bytes!(
    /// SHA-256 of an entry's `held` part; the part itself comes only with the lease.
    HeldDigest, 32
);
fixed_bytes!(
    /// A value of a log's hash chain, see [`crate::chain`].
    ChainValue, 32
);
fixed_bytes!(
    /// The relay's stamp on an entry: key id (4 bytes, big-endian), then 16 bytes of HMAC-SHA-256.
    Stamp, 20
);
fixed_bytes!(
    /// Drawn by the relay for each log at each start; marks pushes without naming the log.
    Tag, 8
);

impl LogId {
    /// `SHA-256("sotto/v1/log" || root key)`. Only who holds the root key can create this log.
    #[must_use]
    pub fn of_root(root: &PublicKey) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"sotto/v1/log");
        hash.update(root.as_bytes());
        Self(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_prints_the_bytes() {
        assert_eq!(format!("{:?}", LogId::new([7; 32])), "LogId(…)");
        assert_eq!(format!("{:?}", Mac::new([7; 32])), "Mac(…)");
    }
}
