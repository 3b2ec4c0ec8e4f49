//! The hash chain of a log: what shows forks, swaps and holes. SPEC: "Chain".

use sha2::{Digest, Sha256};

use crate::id::{ChainValue, Commitment, HeldDigest, LogId};

/// What the chain covers of one entry, beside the value before it.
///
/// ```text
/// chain(0) = SHA-256("sotto/v1/chain" || log id)
/// chain(n) = SHA-256("sotto/v1/link" || chain(n-1) || seq (8) || day (4) || fenced (1) || fence (8)
///                    || commitment (32) || SHA-256(sealed) (32) || held (1) || held digest (32))
/// ```
///
/// Integers are big-endian. `fenced` is 1 and `fence` the number for a fenced entry, both 0
/// otherwise; `held` is 1 with the digest for an entry that has a held part, else 0 and 32 zeros.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The entry's place, from 1.
    pub seq: u64,
    /// Days since 1970-01-01, UTC, as the relay saw it.
    pub day: u32,
    /// The fence number this entry was accepted under, if fenced.
    pub fence: Option<u64>,
    /// The author's commitment.
    pub commitment: &'a Commitment,
    /// The sealed bytes.
    pub sealed: &'a [u8],
    /// Digest of the held part, if there is one.
    pub held: Option<&'a HeldDigest>,
}

/// The value before any entry.
#[must_use]
pub fn genesis(log: &LogId) -> ChainValue {
    let mut hash = Sha256::new();
    hash.update(b"sotto/v1/chain");
    hash.update(log.as_bytes());
    ChainValue::new(hash.finalize().into())
}

/// The value after one more entry; the layout is on [`Link`].
#[must_use]
pub fn extend(before: &ChainValue, link: &Link<'_>) -> ChainValue {
    let mut hash = Sha256::new();
    hash.update(b"sotto/v1/link");
    hash.update(before.as_bytes());
    hash.update(link.seq.to_be_bytes());
    hash.update(link.day.to_be_bytes());
    hash.update([u8::from(link.fence.is_some())]);
    hash.update(link.fence.unwrap_or(0).to_be_bytes());
    hash.update(link.commitment.as_bytes());
    hash.update(Sha256::digest(link.sealed));
    hash.update([u8::from(link.held.is_some())]);
    hash.update(link.held.map_or([0; 32], |digest| *digest.as_bytes()));
    ChainValue::new(hash.finalize().into())
}

/// The digest of a held part that stands in the chain.
#[must_use]
pub fn held_digest(held: &[u8]) -> HeldDigest {
    HeldDigest::new(Sha256::digest(held).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_changes_the_value() {
        let start = genesis(&LogId::new([1; 32]));
        let commitment = Commitment::new([2; 32]);
        let digest = held_digest(b"held");
        let base = Link {
            seq: 1,
            day: 1,
            fence: None,
            commitment: &commitment,
            sealed: b"x",
            held: None,
        };
        let other_commitment = Commitment::new([3; 32]);
        let variants = [
            base,
            Link { seq: 2, ..base },
            Link { day: 2, ..base },
            Link {
                fence: Some(0),
                ..base
            },
            Link {
                fence: Some(1),
                ..base
            },
            Link {
                commitment: &other_commitment,
                ..base
            },
            Link {
                sealed: b"y",
                ..base
            },
            Link {
                held: Some(&digest),
                ..base
            },
        ];
        let values: std::collections::BTreeSet<_> =
            variants.iter().map(|link| extend(&start, link)).collect();
        assert_eq!(values.len(), variants.len());
    }
}
