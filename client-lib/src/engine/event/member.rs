//! Who is in a conversation, and who wants to be.

use core::fmt;

use crate::desk::Badge;
use crate::engine::Safety;
use crate::mls::LeafId;

/// Somebody in a conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    /// Names the member in this conversation and nowhere else.
    pub leaf: LeafId,
    /// What they call themselves; absent until they said so.
    pub name: Option<String>,
    /// Whether they may remove others and change who facilitates.
    pub facilitates: bool,
    /// Whether the conversation is theirs: while it is somebody's, nobody comes in but by their yes. In a
    /// chat that answers a ticket it is the one who asked.
    pub is_host: bool,
    /// Whether it is us.
    pub is_me: bool,
    /// When they were last heard, in milliseconds since 1970-01-01, UTC: every device that is online
    /// gives a sign of life once a day. Absent of oneself, and before the first one.
    pub heard_ms: Option<u64>,
    /// What an organisation that is trusted here says of them; show it only with its state.
    pub badge: Option<Badge>,
    /// Where a safe word was agreed with them: whether who sits there now gave it. Absent of oneself.
    pub safety: Option<Safety>,
    /// Whether they said that they are away from their device, and nothing since.
    pub is_away: bool,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("facilitates", &self.facilitates)
            .field("is_me", &self.is_me)
            .finish_non_exhaustive()
    }
}

/// Somebody who waits for a yes or no.
#[derive(Clone, PartialEq, Eq)]
pub struct Knock {
    /// Names them here, and as a member once they are let in.
    pub leaf: LeafId,
    /// What they call themselves.
    pub name: String,
    /// The leaf that they prove was theirs; a member's who lost their device, as a rule. Once they
    /// are let in it is removed.
    pub was: Option<LeafId>,
    /// What an organisation that is trusted here says of them; show it only with its state.
    pub badge: Option<Badge>,
}

impl fmt::Debug for Knock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Knock(…)")
    }
}
