//! What a person carries in their head: return words, and the sealed backup that they open.
//! SPEC.md, "Return words" and "Backup".
//!
//! | file | what lives there |
//! |---|---|
//! | `words` | words from bits, and bits from what somebody typed |
//! | `line` | what is kept of each conversation for the next backup |
//! | `ticket` | the same of each ticket and letter that waits for its answer |
//! | `safe` | what people agreed on to know each other by |
//! | `backup` | from words to keys, what a backup holds, and how it is sealed |

#[cfg(feature = "native")]
pub(crate) mod backup;
mod line;
pub(crate) mod safe;
mod ticket;
pub(crate) mod words;

pub(crate) use line::BackupLine;
pub use safe::{BadSafeWord, SafeCheck, SafeTry, SafeWord};
pub(crate) use ticket::TicketLine;
pub use words::{BadWords, NearWords, ReturnWords};
