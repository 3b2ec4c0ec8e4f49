//! A support desk as others see it: its address, its card, its hours. SPEC.md, "Desks".
//!
//! | file | what lives there |
//! |---|---|
//! | `address` | what a poster says, and where that leads to: the card's log and its keys |
//! | `audit` | what a desk's office did and counted, as a chain |
//! | `badge` | what an organisation says of a supporter, for one conversation at a time |
//! | `card` | what a desk says of itself, signed by its organisation |
//! | `hours` | when it is open, in its own time zone. The only place that names `jiff` |
//! | `numbers` | what a desk tells a funder of itself |
//! | `matching` | who is offered to whom |
//! | `rating` | what somebody says of how it was |
//! | `range` | how long somebody who waits will wait, as an honest range |
//! | `ticket` | what somebody says who asks |
//! | `team` | what its supporters share, and what its organisation decides |

mod address;
mod audit;
mod badge;
pub(crate) mod card;
mod hours;
mod matching;
pub(crate) mod numbers;
mod range;
mod rating;
mod team;
#[cfg(test)]
pub(crate) mod tests;
mod ticket;

pub(crate) use address::{CardKeys, DeskFingerprint};
pub use address::{DeskAddress, DeskWords, OrganisationId, OrganisationKey};
pub use audit::{
    AuditExport, AuditFault, AuditHash, AuditHead, AuditRecord, AuditWhat, BadHash, Exported,
};
pub(crate) use audit::{Chain, KEPT_DAYS, RECORDS_MAX};
#[cfg(test)]
pub(crate) use badge::samples as badge_samples;
pub use badge::{
    BADGE_ATTRIBUTE_BYTES_MAX, BADGE_ATTRIBUTES_MAX, BADGE_BATCH_MAX, BADGE_DAYS_MAX,
    BADGES_KEPT_MAX, BadBatch, Badge, BadgeAttributes, BadgeBatch, BadgeId, BadgeList,
    BadgeRequests, BadgeState, HeldBadge, Issued, NotIssued, REVOKED_MAX, Revocation, RevokedList,
    week_end,
};
pub(crate) use badge::{Checked, Known, NoBadge, ShownBadge, Wallet};
pub(crate) use card::Reading;
pub use card::{
    Card, Choice, Confidentiality, DESK_NAME_BYTES_MAX, DESK_RESOURCES_MAX, DESK_TERMS_BYTES_MAX,
    DESK_TOPIC_BYTES_MAX, DESK_TOPICS_MAX, DeskState, QueueKeys, Resource,
};
pub use hours::{BadHours, DESK_DATES_MAX, DESK_SLOTS_MAX, DeskDate, Hours, Opening, Slot};
pub use matching::{Fit, Offer, WaitingTicket, offer_order};
pub(crate) use numbers::Tally;
pub use numbers::{AgainCounts, Count, Division, HelpedCounts, Period, SHOWN_MIN, TooFew};
pub(crate) use range::DeskPace;
pub use range::{NO_RANGE_TEXT, PastClaim, WaitRange, wait_range};
pub use rating::{Again, Helped, Rating};
pub(crate) use rating::{Rated, RatingLetter};
#[cfg(test)]
pub(crate) use team::OPENINGS_MAX;
pub(crate) use team::{CardFigures, DeskKeys, LETTERS_TTL_DAYS, OpeningKey, Openings, SignedKeys};
pub use team::{DeskFounding, DeskPlan};
pub use ticket::{CHOICE_BYTES_MAX, CHOICES_MAX, TICKET_WORDS_BYTES_MAX, Ticket};
