//! Rights: what a grant lets its holder do to a log. SPEC: "Rights".

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A set of rights, on the wire an unsigned integer of bits. Unknown bits are refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u16);

impl Rights {
    /// No right at all.
    pub const NONE: Self = Self(0);
    /// Read and follow every entry.
    pub const READ: Self = Self(1);
    /// Read and follow pinned and fenced entries only.
    pub const PEEK: Self = Self(1 << 1);
    /// Append entries that are not fenced.
    pub const APPEND: Self = Self(1 << 2);
    /// Append fenced entries, and with them admit one grant of the policy's member rights.
    pub const FENCE: Self = Self(1 << 3);
    /// Mark an appended item as a place where a newcomer may start.
    pub const PIN: Self = Self(1 << 4);
    /// Drop entries up to a sequence number.
    pub const TRIM: Self = Self(1 << 5);
    /// Claim, renew and release entries; end them under a live lease.
    pub const CLAIM: Self = Self(1 << 6);
    /// Remove and return the oldest entry.
    pub const TAKE: Self = Self(1 << 7);
    /// Replace the grants, hold the fence, describe and delete the log.
    pub const MANAGE: Self = Self(1 << 8);
    /// Every right.
    pub const ALL: Self = Self((1 << 9) - 1);

    /// Each single right with its name in SPEC.md.
    pub const TABLE: [(Self, &'static str); 9] = [
        (Self::READ, "read"),
        (Self::PEEK, "peek"),
        (Self::APPEND, "append"),
        (Self::FENCE, "fence"),
        (Self::PIN, "pin"),
        (Self::TRIM, "trim"),
        (Self::CLAIM, "claim"),
        (Self::TAKE, "take"),
        (Self::MANAGE, "manage"),
    ];

    /// The set as bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set with these bits, or nothing if a bit is unknown.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// Whether every right of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sets share a right.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// What a request needs before the relay carries it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// A proof of the log's root key in the request itself.
    RootKey,
    /// A proof of the entry's owner key in the request itself; the log need not be open.
    OwnerKey,
    /// Proofs of grants in the request itself.
    GrantKeys,
    /// That the log is followed on this connection.
    Followed,
    /// That the log is open on this connection with at least one of these rights.
    Any(Rights),
    /// That the log is open on this connection with all of these rights.
    All(Rights),
    /// Of each item what [`Item::need`](crate::frame::Item::need) says.
    EachItem,
}

impl Need {
    /// Whether `rights`, those proved for the log on this connection, are enough. Needs that are
    /// not about rights are never met by them.
    #[must_use]
    pub const fn is_met_by(self, rights: Rights) -> bool {
        match self {
            Self::Any(any) => rights.intersects(any),
            Self::All(all) => rights.contains(all),
            Self::RootKey | Self::OwnerKey | Self::GrantKeys | Self::Followed | Self::EachItem => {
                false
            }
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rights, between) = match self {
            Self::RootKey => return f.write_str("proof of the root key"),
            Self::OwnerKey => return f.write_str("proof of the owner key"),
            Self::GrantKeys => return f.write_str("proofs of grants"),
            Self::Followed => return f.write_str("the log is followed"),
            Self::EachItem => return f.write_str("what each item needs"),
            Self::Any(rights) => (*rights, " or "),
            Self::All(rights) => (*rights, " and "),
        };
        let names = Rights::TABLE
            .iter()
            .filter(|(right, _)| rights.contains(*right));
        for (place, (_, name)) in names.enumerate() {
            f.write_str(if place == 0 { "" } else { between })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl core::ops::BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::TABLE
            .iter()
            .filter(|(right, _)| self.contains(*right));
        f.debug_set().entries(names.map(|(_, name)| name)).finish()
    }
}

impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0)
    }
}

impl<'de> Deserialize<'de> for Rights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bits = u16::deserialize(deserializer)?;
        Self::from_bits(bits).ok_or_else(|| de::Error::custom("unknown right"))
    }
}
