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

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
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
