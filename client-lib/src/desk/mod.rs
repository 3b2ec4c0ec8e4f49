//! A support desk as others see it: its address, its card, its hours. SPEC.md, "Desks".
//!
//! | file | what lives there |
//! |---|---|
//! | `address` | what a poster says, and where that leads to: the card's log and its keys |
//! | `card` | what a desk says of itself, signed by its organisation |
//! | `hours` | when it is open, in its own time zone. The only place that names `jiff` |

mod address;
mod card;
mod hours;

pub(crate) use address::{CardKeys, DeskFingerprint, OrganisationKey};
pub use address::{DeskAddress, DeskWords, OrganisationId};
pub(crate) use card::Reading;
pub use card::{
    Card, Choice, Confidentiality, DESK_NAME_BYTES_MAX, DESK_RESOURCES_MAX, DESK_TERMS_BYTES_MAX,
    DESK_TOPIC_BYTES_MAX, DESK_TOPICS_MAX, DeskState, QueueKeys, Resource,
};
pub use hours::{BadHours, DESK_DATES_MAX, DESK_SLOTS_MAX, DeskDate, Hours, Opening, Slot};
