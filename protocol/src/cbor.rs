//! Deterministic CBOR (RFC 8949, section 4.2.1), refused where it is anything else. SPEC: "Encoding".
//!
//! The subset: unsigned integers, byte strings, text strings, arrays, maps with text keys, `true`
//! and `false`. No negative numbers, floats, tags, `null` or `undefined`; no indefinite lengths; integers and
//! lengths in their shortest form; map keys in bytewise order of their encoding, none twice; nothing
//! behind the item. One item thus has one encoding, and nobody can hide a difference in another.

use serde::{Deserialize, Serialize};

use crate::limits::CBOR_DEPTH_MAX;

/// Why bytes are not an item of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The item goes on behind the last byte.
    #[error("the item is cut short")]
    Truncated,
    /// Bytes stand behind the item.
    #[error("bytes stand behind the item")]
    Trailing,
    /// An integer or length is not in its shortest form.
    #[error("an integer is longer than it need be")]
    OverLong,
    /// An indefinite length, a tag, a float, a negative number, `null` or `undefined`.
    #[error("a kind of value that this protocol does not use")]
    Kind,
    /// Map keys are not text, not in order, or not unique.
    #[error("map keys are out of order or not unique")]
    Keys,
    /// A text string is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
    /// Nested deeper than any frame.
    #[error("nested too deep")]
    Depth,
    /// Well-formed, but not the item that was expected: an unknown key or variant, a missing
    /// field, a wrong length.
    #[error("not the expected item")]
    Shape,
}

/// An item could not be encoded; only possible for a type that is not made for this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value cannot be encoded")]
pub struct EncodeError;

/// Encodes one item.
///
/// Fields of every type in this crate are declared in the order of their encoded keys (shorter
/// first, then bytewise), so that what serde writes is already deterministic; every golden vector
/// is decoded strictly to keep it so.
///
/// # Errors
/// [`EncodeError`] for a type with values outside of the subset, which no type of this crate has.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let bytes = cbor4ii::serde::to_vec(Vec::new(), value).map_err(|_| EncodeError)?;
    debug_assert_eq!(
        check(&bytes),
        Ok(()),
        "fields must be declared in deterministic order"
    );
    Ok(bytes)
}

/// Decodes one item, borrowing byte strings from `bytes` where the type does.
///
/// The value is written again and compared with `bytes` while it is written, so nothing that serde
/// is lenient about (an explicit `false` where absence says it, the other spelling of an enum)
/// gives an item a second encoding.
///
/// # Errors
/// [`DecodeError`] for anything that is not exactly one deterministic item of the expected shape.
pub fn decode<'a, T: Deserialize<'a> + Serialize>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    check(bytes)?;
    let value: T = cbor4ii::serde::from_slice(bytes).map_err(|_| DecodeError::Shape)?;
    let mut same = cbor4ii::serde::Serializer::new(Same { rest: bytes });
    value.serialize(&mut same).map_err(|_| DecodeError::Shape)?;
    if same.into_inner().rest.is_empty() {
        Ok(value)
    } else {
        Err(DecodeError::Shape)
    }
}

/// Takes what is written and compares it with what should be.
struct Same<'a> {
    rest: &'a [u8],
}

impl cbor4ii::core::enc::Write for Same<'_> {
    type Error = DecodeError;

    fn push(&mut self, input: &[u8]) -> Result<(), DecodeError> {
        self.rest = self.rest.strip_prefix(input).ok_or(DecodeError::Shape)?;
        Ok(())
    }
}

/// Whether `bytes` are exactly one item in deterministic encoding.
///
/// # Errors
/// The first [`DecodeError`] met, never [`DecodeError::Shape`].
pub fn check(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut walker = Walker { rest: bytes };
    walker.item(CBOR_DEPTH_MAX)?;
    if walker.rest.is_empty() {
        Ok(())
    } else {
        Err(DecodeError::Trailing)
    }
}

/// Steps over an item without building anything.
struct Walker<'a> {
    rest: &'a [u8],
}

impl<'a> Walker<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], DecodeError> {
        let count = usize::try_from(count).map_err(|_| DecodeError::Truncated)?;
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Major type and argument (RFC 8949, section 3).
    fn head(&mut self) -> Result<(u8, u64), DecodeError> {
        let first = self
            .take(1)?
            .first()
            .copied()
            .ok_or(DecodeError::Truncated)?;
        let (major, info) = (first >> 5, first & 0x1f);
        if major == 7 {
            return if info == 20 || info == 21 {
                Ok((7, u64::from(info)))
            } else {
                Err(DecodeError::Kind)
            };
        }
        let (length, least) = match info {
            0..=23 => return Ok((major, u64::from(info))),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(DecodeError::Kind),
        };
        let argument = self
            .take(length)?
            .iter()
            .fold(0, |value, byte| (value << 8) | u64::from(*byte));
        if argument < least {
            Err(DecodeError::OverLong)
        } else {
            Ok((major, argument))
        }
    }

    fn item(&mut self, depth: usize) -> Result<(), DecodeError> {
        let depth = depth.checked_sub(1).ok_or(DecodeError::Depth)?;
        match self.head()? {
            (0 | 7, _) => Ok(()),
            (2, length) => self.take(length).map(drop),
            (3, length) => core::str::from_utf8(self.take(length)?)
                .map(drop)
                .map_err(|_| DecodeError::Text),
            (4, count) => (0..count).try_for_each(|_| self.item(depth)),
            (5, count) => self.map(count, depth),
            _ => Err(DecodeError::Kind),
        }
    }

    fn map(&mut self, count: u64, depth: usize) -> Result<(), DecodeError> {
        let mut before: Option<&[u8]> = None;
        for _ in 0..count {
            let key = self.key()?;
            if before.is_some_and(|before| before >= key) {
                return Err(DecodeError::Keys);
            }
            before = Some(key);
            self.item(depth)?;
        }
        Ok(())
    }

    /// One key, as encoded.
    fn key(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.rest;
        match self.head()? {
            (3, length) => {
                core::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::Text)?
            }
            _ => return Err(DecodeError::Keys),
        };
        start
            .get(..start.len() - self.rest.len())
            .ok_or(DecodeError::Truncated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_would_let_pass_is_refused() {
        #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Choice {
            Bare,
            With(u8),
        }
        #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
        struct Flag {
            #[serde(default, skip_serializing_if = "core::ops::Not::not")]
            a: bool,
        }
        assert_eq!(decode(b"\x64bare"), Ok(Choice::Bare));
        assert_eq!(decode(b"\xa1\x64with\x07"), Ok(Choice::With(7)));
        assert_eq!(
            decode::<Choice>(b"\xa1\x64bare\x07"),
            Err(DecodeError::Shape)
        );
        assert_eq!(decode::<Choice>(b"\x00"), Err(DecodeError::Shape));
        assert_eq!(decode(b"\xa0"), Ok(Flag { a: false }));
        assert_eq!(decode(b"\xa1\x61a\xf5"), Ok(Flag { a: true }));
        assert_eq!(decode::<Flag>(b"\xa1\x61a\xf4"), Err(DecodeError::Shape));
    }

    #[test]
    fn anything_but_the_one_encoding_is_refused() {
        let refused: [(&[u8], DecodeError); 16] = [
            (&[], DecodeError::Truncated),
            (&[0x00, 0x00], DecodeError::Trailing),
            (&[0x18, 0x17], DecodeError::OverLong),
            (&[0x19, 0x00, 0xff], DecodeError::OverLong),
            (&[0x58, 0x01, 0x00], DecodeError::OverLong),
            (&[0x5f, 0x41, 0x00, 0xff], DecodeError::Kind),
            (&[0x9f, 0xff], DecodeError::Kind),
            (&[0x20], DecodeError::Kind),
            (&[0xf6], DecodeError::Kind),
            (&[0xc0, 0x00], DecodeError::Kind),
            (&[0xf9, 0x00, 0x00], DecodeError::Kind),
            (&[0x61, 0xff], DecodeError::Text),
            (
                &[0xa2, 0x61, b'a', 0x00, 0x61, b'a', 0x00],
                DecodeError::Keys,
            ),
            (
                &[0xa2, 0x61, b'b', 0x00, 0x61, b'a', 0x00],
                DecodeError::Keys,
            ),
            (&[0xa1, 0x00, 0x00], DecodeError::Keys),
            (
                &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                DecodeError::Truncated,
            ),
        ];
        for (bytes, error) in refused {
            assert_eq!(check(bytes), Err(error), "{bytes:02x?}");
        }
        let mut deep = vec![0x81; CBOR_DEPTH_MAX];
        deep.push(0x00);
        assert_eq!(check(&deep), Err(DecodeError::Depth));
    }
}
