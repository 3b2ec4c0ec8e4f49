//! A safe word: agreed in a chat while all is well, so that who comes back later can show that it is
//! they. SPEC.md, "Safe word".
//!
//! ```text
//! master = Argon2id(password = the word, salt = "sotto/v1/safe" || identity (32),
//!                   64 MiB, 3 passes, 1 lane, version 0x13, 32 bytes)
//! PRK    = HKDF-Extract-SHA-256(salt = "sotto/v1/safe", ikm = master)
//! try    = HKDF-Expand-SHA-256(PRK, "try" || log id (32), 32)
//! check  = SHA-256("sotto/v1/safe/check" || try)
//! ```
//!
//! The others keep `check` and never the word: who takes their device has to guess it, at Argon2id's
//! price, and what is found there opens nothing by itself.

use core::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Bytes of the longest safe word, or sentence.
pub(crate) const SAFE_WORD_BYTES_MAX: usize = 128;
/// What stands for a safe word that was not given.
const NOT_GIVEN: [u8; 32] = [0; 32];

/// What two people agreed on to know each other by; a word or a short sentence of their own. In small
/// letters and with one blank between two words, however it is typed.
#[derive(Clone, PartialEq, Eq)]
pub struct SafeWord(Zeroizing<String>);

impl fmt::Debug for SafeWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SafeWord(…)")
    }
}

/// Why a text is no safe word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a safe word has 1 to 128 bytes and is not blank")]
pub struct BadSafeWord;

impl core::str::FromStr for SafeWord {
    type Err = BadSafeWord;

    fn from_str(text: &str) -> Result<Self, BadSafeWord> {
        if text.len() > 4 * SAFE_WORD_BYTES_MAX {
            return Err(BadSafeWord);
        }
        let mut word = Zeroizing::new(String::with_capacity(2 * text.len()));
        for part in text.split_whitespace() {
            if !word.is_empty() {
                word.push(' ');
            }
            word.extend(part.chars().flat_map(char::to_lowercase));
        }
        if word.is_empty() || word.len() > SAFE_WORD_BYTES_MAX {
            return Err(BadSafeWord);
        }
        Ok(Self(word))
    }
}

/// What the others of a conversation keep of a safe word.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SafeCheck(#[serde(with = "serde_bytes")] [u8; 32]);

impl fmt::Debug for SafeCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SafeCheck(…)")
    }
}

impl SafeCheck {
    #[cfg(test)]
    pub(crate) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Whether it is this word's.
    pub(crate) fn is_of(&self, given: &SafeTry) -> bool {
        self.0.ct_eq(&given.check().0).into()
    }
}

/// A safe word as it is given to the others, in one conversation and nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SafeTry(#[serde(with = "serde_bytes")] [u8; 32]);

impl fmt::Debug for SafeTry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SafeTry(…)")
    }
}

impl SafeTry {
    /// None was given.
    #[cfg(any(test, feature = "native"))]
    pub(crate) const NONE: Self = Self(NOT_GIVEN);

    #[cfg(test)]
    pub(crate) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_given(&self) -> bool {
        self.0 != NOT_GIVEN
    }

    /// What the others are to keep of it.
    pub(crate) fn check(&self) -> SafeCheck {
        let mut hash = Sha256::new();
        hash.update(b"sotto/v1/safe/check");
        hash.update(self.0);
        SafeCheck(hash.finalize().into())
    }
}

#[cfg(feature = "native")]
pub(crate) use stretched::SafeMaster;

#[cfg(feature = "native")]
mod stretched {
    use sotto_protocol::id::{LogId, RelayIdentity};
    use zeroize::Zeroizing;

    use super::{SafeTry, SafeWord};
    use crate::error::Result;
    use crate::people::backup::argon2id;
    use crate::seal::derive::Source;

    /// A safe word after Argon2id, or that there is none.
    pub(crate) struct SafeMaster(Option<Zeroizing<[u8; 32]>>);

    impl SafeMaster {
        /// Takes as long for none as for one: how long it took shall say nothing.
        pub(crate) fn stretch(word: Option<&SafeWord>, relay: &RelayIdentity) -> Result<Self> {
            let salt = [b"sotto/v1/safe".as_slice(), relay.as_bytes()].concat();
            let password = word.map_or("", |word| word.0.as_str());
            let master = argon2id(password.as_bytes(), &salt)?;
            Ok(Self(word.map(|_| master)))
        }

        /// What it is in one conversation.
        pub(crate) fn given(&self, log: &LogId) -> SafeTry {
            self.0.as_ref().map_or(SafeTry::NONE, |master| {
                let source = Source::new(b"sotto/v1/safe", master.as_slice());
                SafeTry(*source.key(b"try", log.as_bytes()))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Result<SafeWord, BadSafeWord> {
        text.parse()
    }

    #[test]
    fn a_safe_word_is_the_same_however_it_is_typed_and_as_long_as_its_limit() {
        assert_eq!(word(" Blue\t TEAPOT\n"), word("blue teapot"));
        assert_ne!(word("blueteapot"), word("blue teapot"));
        assert!(word("Ä").is_ok_and(|typed| typed.0.as_str() == "ä"));
        assert_eq!(word(" \t"), Err(BadSafeWord));
        assert!(word(&"x".repeat(SAFE_WORD_BYTES_MAX)).is_ok());
        assert_eq!(word(&"x".repeat(SAFE_WORD_BYTES_MAX + 1)), Err(BadSafeWord));
        assert_eq!(word(&" ".repeat(1 << 20)), Err(BadSafeWord));
        assert_eq!(format!("{:?}", word("blue")), "Ok(SafeWord(…))");
    }

    #[test]
    fn a_check_fits_its_own_word_only_and_never_one_that_was_not_given() {
        let given = SafeTry::new([1; 32]);
        assert!(given.check().is_of(&given));
        assert!(!given.check().is_of(&SafeTry::new([2; 32])));
        assert!(!given.check().is_of(&SafeTry::NONE));
        assert!(given.is_given() && !SafeTry::NONE.is_given());
        assert_eq!(
            format!("{given:?} {:?}", given.check()),
            "SafeTry(…) SafeCheck(…)"
        );
    }

    #[cfg(feature = "native")]
    #[test]
    fn a_safe_word_is_another_in_each_conversation_and_at_each_relay() {
        use sotto_protocol::id::{LogId, RelayIdentity};
        let (here, there) = (RelayIdentity::new([1; 32]), RelayIdentity::new([2; 32]));
        let blue = word("blue teapot").unwrap();
        let master = SafeMaster::stretch(Some(&blue), &here).unwrap();
        let (one, other) = (LogId::new([3; 32]), LogId::new([4; 32]));
        assert_eq!(master.given(&one), master.given(&one));
        assert_ne!(master.given(&one), master.given(&other));
        let elsewhere = SafeMaster::stretch(Some(&blue), &there).unwrap();
        assert_ne!(master.given(&one), elsewhere.given(&one));
        let none = SafeMaster::stretch(None, &here).unwrap();
        assert_eq!(none.given(&one), SafeTry::NONE);
    }
}
