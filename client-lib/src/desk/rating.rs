//! What somebody says of how it was: two taps, and no words. SPEC.md, "Ratings".
//!
//! It lies among the desk's letters, and nobody but who reads them can tell it from one. Nothing in it
//! says of which chat it is.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Whether it helped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Helped {
    /// It did.
    Yes,
    /// A little.
    Partly,
    /// It did not, or nobody came.
    No,
}

/// Whether one would come here again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// One would.
    Yes,
    /// One does not know.
    Maybe,
    /// One would not.
    No,
}

/// How it was for somebody who asked a desk, whether anybody answered or not.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rating {
    /// [`Rating::AGAIN`].
    pub again: Again,
    /// Who says it left before somebody came, or before the chat was at its end.
    pub early: bool,
    /// [`Rating::HELPED`].
    pub helped: Helped,
}

impl fmt::Debug for Rating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rating(…)")
    }
}

impl Rating {
    /// The first question, as a person is asked it.
    pub const HELPED: &'static str = "Did it help?";
    /// The second one.
    pub const AGAIN: &'static str = "Would you come here again?";
}

/// A rating as it lies among letters.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RatingLetter {
    pub(crate) rating: Rating,
}

/// A rating as the supporter's device that takes it out of the letters says it to the team.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rated {
    /// Its place in the letters' log: said twice, it is one.
    pub(crate) seq: u64,
    pub(crate) rating: Rating,
}
