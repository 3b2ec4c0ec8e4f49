//! A support desk as others see it: its address, its card, its hours. SPEC.md, "Desks".
//!
//! | file | what lives there |
//! |---|---|
//! | `address` | what a poster says, and where that leads to: the card's log and its keys |
//! | `card` | what a desk says of itself, signed by its organisation |
//! | `hours` | when it is open, in its own time zone. The only place that names `jiff` |
//! | `matching` | who is offered to whom |
//! | `range` | how long somebody who waits will wait, as an honest range |

mod address;
pub(crate) mod card;
mod hours;
mod matching;
mod range;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use address::{CardKeys, DeskFingerprint, OrganisationKey};
pub use address::{DeskAddress, DeskWords, OrganisationId};
pub(crate) use card::Reading;
pub use card::{
    Card, Choice, Confidentiality, DESK_NAME_BYTES_MAX, DESK_RESOURCES_MAX, DESK_TERMS_BYTES_MAX,
    DESK_TOPIC_BYTES_MAX, DESK_TOPICS_MAX, DeskState, QueueKeys, Resource,
};
pub use hours::{BadHours, DESK_DATES_MAX, DESK_SLOTS_MAX, DeskDate, Hours, Opening, Slot};
pub use matching::{Fit, Offer, WaitingTicket, Wish, offer_order};
pub use range::{NO_RANGE_TEXT, PastClaim, WaitRange, wait_range};
