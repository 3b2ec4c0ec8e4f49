//! People who speak a script through a relay, and the judgment of what arrived. Used by the demo and
//! by `sotto replay`; it knows nothing of how the relay is run.
//!
//! | file | what lives there |
//! |---|---|
//! | `file` | the conversations of a CSV file |
//! | `plan` | who says what to whom |
//! | `person` | one client with its own vault and connection, and all it heard |
//! | `wire` | a connection that can be cut |
//! | `cast` | all people, and how they gather |
//! | `ledger` | what was said to whom, and the verdict |
//! | `search` | looks for words in files |
//! | `closing` | what is looked for at the end, and where |
//! | `count` | what the last line says |

mod cast;
mod closing;
mod count;
mod dice;
mod file;
mod ledger;
mod person;
mod plan;
mod search;
mod wire;

pub(crate) use cast::{Cast, Home};
pub(crate) use closing::{Closing, log_to_file, progress};
pub(crate) use count::{Counts, Held, suite_name};
pub(crate) use dice::Dice;
pub(crate) use file::{FileTalk, read as read_file};
pub(crate) use person::Person;
pub(crate) use plan::{Line, Plan, Talk};
pub(crate) use search::Haystack;
pub(crate) use wire::Wire;
