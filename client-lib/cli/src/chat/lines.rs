//! What is said at the terminal that needs no conversation: members and help in plain words.

use sotto_client::{Knock, LeafId, Member, Safety};

use crate::said;
use crate::screen::shown_short;

/// A name's place on a line.
pub(super) const NAME_CHARACTERS_MAX: usize = 24;
/// Who has not said a name yet.
pub(super) const NAMELESS: &str = "(no name yet)";
pub(super) const HELP_AT_A_DOOR: &str =
    "/knocks  who waits to come in    /admit NUMBER    /turn-away NUMBER";
/// To the person whose chat it is.
pub(super) const HELP_OF_A_HOST: &str = "\
This chat is yours: nobody comes in without your yes, and you need not say why not.
  /admit NUMBER           they come in, and read nothing of what was said before
  /admit-and-tell NUMBER  they come in, and your device tells them what was said before; all see it
  /turn-away NUMBER       they do not come in";

pub(crate) fn name_of(member: &Member) -> String {
    match &member.name {
        Some(name) => shown_short(name, NAME_CHARACTERS_MAX),
        None if member.is_me => "you".to_owned(),
        None => NAMELESS.to_owned(),
    }
}

/// Who has not said a name yet, in a chat that is somebody's.
const fn nameless_in_a_chat(is_host: bool) -> &'static str {
    if is_host {
        "the one who asked"
    } else {
        "somebody of the desk"
    }
}

/// One member; in a chat that is somebody's in the words of the desk, as those who ask know no others.
pub(super) fn line_of((at, member): (usize, &Member), is_somebodys: bool) -> String {
    let is_said = member.is_me && member.name.is_some();
    let is_unverified = matches!(member.safety, Some(Safety::Unverified { .. }));
    let mut roles: Vec<_> = [
        (is_said, "you"),
        (member.facilitates && !is_somebodys, "facilitator"),
        (member.is_host, "says who comes in"),
        (member.is_away, "away"),
        (is_unverified, "UNVERIFIED"),
    ]
    .into_iter()
    .filter(|(is, _)| *is)
    .map(|(_, word)| word.to_owned())
    .collect();
    roles.extend(member.badge.as_ref().map(said::of_a_badge));
    let roles = if roles.is_empty() {
        String::new()
    } else {
        format!(" ({})", roles.join(", "))
    };
    let name = match &member.name {
        None if is_somebodys && !member.is_me => nameless_in_a_chat(member.is_host).to_owned(),
        _ => name_of(member),
    };
    format!("{} {name}{roles}", at + 1)
}

/// How much of what one typed did not go out yet.
pub(super) fn not_sent(count: usize) -> String {
    match count {
        1 => "One line of yours is not sent yet.".to_owned(),
        count => format!("{count} lines of yours are not sent yet."),
    }
}

pub(super) const WHICH_SAFE_WORD: &str =
    "Which? Say it behind the command: a word or a short sentence of your own.";

/// For programs.
pub(super) const fn safety_name(safety: Safety) -> &'static str {
    match safety {
        Safety::Agreed => "agreed",
        Safety::Verified => "verified",
        Safety::Unverified { .. } => "unverified",
        _ => "unknown",
    }
}

/// By number, or by a name that only one of them has.
pub(super) fn find_knock(knocks: &[Knock], whom: &str) -> Option<LeafId> {
    if let Ok(number) = whom.parse::<usize>() {
        return knocks.get(number.checked_sub(1)?).map(|found| found.leaf);
    }
    let mut named = knocks.iter().filter(|knock| knock.name == whom);
    let found = named.next()?;
    named.next().is_none().then_some(found.leaf)
}

/// By number, or by a name that only one member has.
pub(super) fn find(members: &[Member], whom: &str) -> Option<LeafId> {
    if let Ok(number) = whom.parse::<usize>() {
        return members.get(number.checked_sub(1)?).map(|found| found.leaf);
    }
    let mut named = members
        .iter()
        .filter(|member| member.name.as_deref() == Some(whom));
    let found = named.next()?;
    named.next().is_none().then_some(found.leaf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u8, name: &str) -> Member {
        Member {
            leaf: LeafId::new([number; 32]),
            name: Some(name.into()),
            facilitates: number == 1,
            is_host: false,
            is_me: number == 1,
            heard_ms: None,
            badge: None,
            safety: None,
            is_away: false,
        }
    }

    #[test]
    fn a_name_that_two_have_removes_nobody() {
        let members = [member(1, "Ana"), member(2, "Ben"), member(3, "Ben")];
        assert_eq!(find(&members, "Ana"), Some(LeafId::new([1; 32])));
        assert_eq!(find(&members, "Ben"), None);
        assert_eq!(find(&members, "3"), Some(LeafId::new([3; 32])));
        assert_eq!(find(&members, "0"), None);
        assert_eq!(find(&members, "Eve"), None);
    }

    #[test]
    fn a_member_is_listed_with_what_they_may_do() {
        let in_a_room = |at, member: &Member| line_of((at, member), false);
        assert_eq!(in_a_room(0, &member(1, "Ana")), "1 Ana (you, facilitator)");
        assert_eq!(in_a_room(1, &member(2, "B\u{1b}en")), "2 B\u{fffd}en");
        let host = Member {
            is_host: true,
            ..member(2, "Cay")
        };
        assert_eq!(in_a_room(1, &host), "2 Cay (says who comes in)");
        let nameless = |number| Member {
            name: None,
            ..member(number, "")
        };
        assert_eq!(in_a_room(0, &nameless(1)), "1 you (facilitator)");
        assert_eq!(in_a_room(1, &nameless(2)), "2 (no name yet)");
        // Nobody who asked need know what a facilitator is.
        assert_eq!(line_of((0, &nameless(1)), true), "1 you");
        assert_eq!(line_of((1, &nameless(2)), true), "2 somebody of the desk");
    }
}
