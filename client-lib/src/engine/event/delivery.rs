//! What became of what was sent.

/// What became of a message of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// Kept on this device; goes out when the relay can be reached.
    Unsent,
    /// Stands in the log.
    Sent,
    /// Will not go out: refused for good.
    Failed,
    /// Waited too long.
    Expired,
    /// Came out of turn, or while the talk was stopped: it is shown to nobody.
    OutOfTurn,
}
