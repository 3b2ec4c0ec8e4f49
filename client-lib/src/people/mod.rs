//! What a person carries in their head: return words, and the sealed backup that they open.
//! SPEC.md, "Return words" and "Backup".
//!
//! | file | what lives there |
//! |---|---|
//! | `words` | words from bits, and bits from what somebody typed |
//! | `backup` | from words to keys, what a backup holds, and how it is sealed |

pub(crate) mod backup;
mod words;

pub use words::{BadWords, NearWords, ReturnWords};
