//! What a person carries in their head: return words, and the sealed backup that they open.
//! SPEC.md, "Return words" and "Backup".
//!
//! | file | what lives there |
//! |---|---|
//! | `words` | words from bits, and bits from what somebody typed |
//! | `line` | what is kept of each conversation for the next backup |
//! | `safe` | what people agreed on to know each other by |
//! | `backup` | from words to keys, what a backup holds, and how it is sealed |

#[cfg(feature = "native")]
pub(crate) mod backup;
mod line;
pub(crate) mod safe;
pub(crate) mod words;

pub(crate) use line::BackupLine;
pub use safe::{BadSafeWord, SafeCheck, SafeTry, SafeWord};
pub use words::{BadWords, NearWords, ReturnWords};
