//! Size classes: the only lengths a sealed entry may have. SPEC: "Size classes".

use crate::limits;

/// One of the lengths an entry's sealed bytes may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SizeClass {
    /// 1,024 bytes: holds 99.8 % of what people type.
    K1,
    /// 2,048 bytes.
    K2,
    /// 4,096 bytes: a desk's floor.
    K4,
    /// 8,192 bytes: a small hybrid Commit.
    K8,
    /// 16,384 bytes.
    K16,
    /// 32,768 bytes.
    K32,
    /// 65,536 bytes; anything larger is a run of entries.
    K64,
}

impl SizeClass {
    /// Every class, smallest first.
    pub const ALL: [Self; 7] = [
        Self::K1,
        Self::K2,
        Self::K4,
        Self::K8,
        Self::K16,
        Self::K32,
        Self::K64,
    ];

    /// The class's length in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::K1 => 1024,
            Self::K2 => 2048,
            Self::K4 => 4096,
            Self::K8 => 8192,
            Self::K16 => 16_384,
            Self::K32 => 32_768,
            Self::K64 => limits::SEALED_BYTES_MAX,
        }
    }

    /// The smallest class that holds `bytes`, or nothing if it takes a run of entries.
    #[must_use]
    pub fn holding(bytes: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|class| bytes <= class.bytes())
    }

    /// The class whose length is exactly `bytes`.
    #[must_use]
    pub fn exactly(bytes: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|class| bytes == class.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_boundary_goes_to_the_right_class() {
        for (smaller, larger) in SizeClass::ALL.iter().zip(SizeClass::ALL.iter().skip(1)) {
            assert_eq!(SizeClass::holding(smaller.bytes()), Some(*smaller));
            assert_eq!(SizeClass::holding(smaller.bytes() + 1), Some(*larger));
            assert_eq!(SizeClass::exactly(smaller.bytes() + 1), None);
        }
        assert_eq!(SizeClass::holding(SizeClass::K64.bytes() + 1), None);
    }
}
