//! Who comes in: knocks and the answers to them, calling somebody, and handing over.
//!
//! A chat that a desk answered with is the seeker's: they say yes or no, everybody else only sees who
//! asks.

use serde_json::json;
use sotto_client::{Badge, ErrorKind, Knock, LeafId, Link, Member};

use super::Chat;
use super::lines::{HELP_AT_A_DOOR, HELP_OF_A_HOST, NAME_CHARACTERS_MAX, find, find_knock};
use crate::badge;
use crate::output::Failure;
use crate::said::of_a_badge;
use crate::screen::{shown, shown_short};

/// Who says yes or no to those who knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decides {
    /// Everybody who facilitates.
    Facilitators,
    /// It is ours.
    You,
    /// It is somebody else's.
    Host,
}

impl Decides {
    fn among(members: &[Member]) -> Self {
        let mut hosts = members.iter().filter(|member| member.is_host);
        match hosts.next() {
            None => Self::Facilitators,
            Some(host) if host.is_me || hosts.any(|other| other.is_me) => Self::You,
            Some(_) => Self::Host,
        }
    }

    /// For programs.
    const fn name(self) -> &'static str {
        match self {
            Self::Facilitators => "facilitators",
            Self::You => "you",
            Self::Host => "host",
        }
    }

    /// One who asks, in words.
    fn line(self, number: u64, who: &str) -> String {
        match self {
            Self::Facilitators => format!("at the door: {number} {who}"),
            Self::You => format!(
                "at the door: {number} {who} asks to come in. They would read what is said from now \
                 on; you decide."
            ),
            Self::Host => {
                format!("at the door: {who} asks to come in; the person you talk with decides.")
            }
        }
    }
}

/// What is answered to who knocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    /// And they are told what was said before.
    YesAndTell,
    No,
}

impl Chat<'_> {
    /// Who waits at the door, oldest first.
    pub(super) async fn show_knocks(&mut self) -> Result<(), Failure> {
        self.members = self.conversation.members().await?;
        self.knocks = self.conversation.knocks().await?;
        if self.knocks.is_empty() {
            self.note("Nobody waits at the door.");
            return Ok(());
        }
        let decides = Decides::among(&self.members);
        for (knock, number) in self.knocks.iter().zip(1_u64..) {
            let name = shown_short(&knock.name, NAME_CHARACTERS_MAX);
            let was = knock.was.map(|leaf| self.name(leaf));
            self.output.object(&json!({
                "type": "knock", "number": number, "name": name, "was": was,
                "badge": knock.badge.as_ref().map(badge::as_object), "decides": decides.name(),
            }));
            let who = who(knock, &name, was.as_deref());
            self.output.words(&decides.line(number, &who));
        }
        match decides {
            Decides::Facilitators => self.output.words(HELP_AT_A_DOOR),
            Decides::You => self.output.words(HELP_OF_A_HOST),
            Decides::Host => {}
        }
        Ok(())
    }

    pub(super) async fn answer(&mut self, whom: &str, answer: Answer) {
        let Some(leaf) = find_knock(&self.knocks, whom) else {
            self.note("Whom? Say /knocks and take the number.");
            return;
        };
        let answered = match answer {
            Answer::Yes => self.conversation.admit(leaf).await,
            Answer::YesAndTell => self.conversation.admit_and_retell(leaf).await,
            Answer::No => self.conversation.turn_away(leaf).await,
        };
        let is_anothers = Decides::among(&self.members) == Decides::Host;
        match (answered, answer) {
            (Ok(()), Answer::Yes) => {
                self.note("Will be let in. They read nothing of what was said before.");
            }
            (Ok(()), Answer::YesAndTell) => self.note(
                "Will be let in. Your device tells them what was said before, as far as it is kept \
                 here; everybody sees what it tells.",
            ),
            (Ok(()), Answer::No) => self.note("Will be told no."),
            (Err(error), _) if is_anothers && error.kind() == ErrorKind::NotAllowed => self.note(
                "That is not yours to say: only the person this chat is for lets somebody in, on \
                 their own device. They see who asks.",
            ),
            (Err(error), _) => self.note(&format!("not answered: {error}")),
        }
    }

    /// Asks the team of our desk for somebody to come in.
    pub(super) async fn call(&mut self, asks: &str) -> Result<(), Failure> {
        let Some(team) = self.team.clone() else {
            self.note("Nobody can be called here: this device is in no desk's team.");
            return Ok(());
        };
        if asks.is_empty() {
            self.note("Whom? Say it in a few words, such as: /call a supervisor");
            return Ok(());
        }
        if self.conversation.link().await?.is_none() {
            self.note("not asked: this chat has no door yet; try again in a moment");
            return Ok(());
        }
        match self.conversation.call(&team, asks).await {
            Ok(()) => {
                self.output.object(&json!({"type": "calling"}));
                let decides = match Decides::among(&self.members) {
                    Decides::Host => "the person you talk with decides",
                    Decides::You => "you decide",
                    Decides::Facilitators => "whoever facilitates decides",
                };
                self.note(&format!(
                    "The team is asked, in these words and no others. Who comes asks to come in \
                     here, and {decides}."
                ));
            }
            Err(error) => self.note(&format!("not asked: {error}")),
        }
        Ok(())
    }

    /// Lets somebody else take our place.
    pub(super) async fn hand_over(&mut self, whom: &str) {
        let Some(leaf) = find(&self.members, whom) else {
            self.note("To whom? Say /members and take the number.");
            return;
        };
        let is_theirs = |member: &Member| member.leaf == leaf && member.is_host;
        if Decides::among(&self.members) == Decides::You || self.members.iter().any(is_theirs) {
            self.note("A chat is handed over by one supporter to another. /leave ends it for you.");
            return;
        }
        match self.conversation.hand_over(leaf).await {
            Ok(()) => {
                let name = self.name(leaf);
                self.note(&format!(
                    "{name} takes over. You leave as soon as they can, and read nothing after that."
                ));
            }
            Err(error) => self.note(&format!("not handed over: {error}")),
        }
    }

    /// Somebody of our team asks for somebody to come into another chat.
    pub(super) fn called(&self, by: LeafId, asks: &str, link: &Link) {
        let (by, link) = (self.name(by), link.to_string());
        let asks = shown(asks);
        self.output
            .object(&json!({"type": "called", "by": by, "asks": asks, "link": link}));
        self.output.words(&format!(
            "* {by} asks for somebody to come into another chat: {asks}\n  Ask there to come in with: \
             sotto room join '{link}' --name NAME\n  (with a badge: wait for such calls in `sotto desk \
             duty`)"
        ));
    }

    /// Somebody showed a badge, or it is worth something else now.
    pub(super) async fn badge_shown(&mut self, leaf: LeafId, badge: &Badge) -> Result<(), Failure> {
        if let Some(knock) = self.knocks.iter().find(|knock| knock.leaf == leaf) {
            let is_shown = knock.badge.as_ref() == Some(badge);
            return if is_shown {
                Ok(())
            } else {
                self.show_knocks().await
            };
        }
        self.members = self.conversation.members().await?;
        self.list_members();
        if self.members.iter().any(|member| member.leaf == leaf) {
            let name = self.name(leaf);
            self.note(&format!("{name} shows a badge: {}", of_a_badge(badge)));
        }
        Ok(())
    }
}

/// Who asks to come in: a name is anybody's to choose, a badge is not.
pub(crate) fn who(knock: &Knock, name: &str, was: Option<&str>) -> String {
    let badge = match (&knock.badge, was) {
        (Some(badge), _) => format!(" ({})", of_a_badge(badge)),
        (None, Some(was)) => format!(" (proves to have been {was} here before)"),
        (None, None) => " (shows no badge)".to_owned(),
    };
    format!("{name}{badge}")
}

#[cfg(test)]
mod tests {
    use sotto_client::{BadgeAttributes, BadgeId, BadgeState, OrganisationId};

    use super::*;

    fn member(number: u8, is_me: bool, is_host: bool) -> Member {
        Member {
            leaf: LeafId::new([number; 32]),
            name: None,
            facilitates: true,
            is_host,
            is_me,
            heard_ms: None,
            is_away: false,
            safety: None,
            badge: None,
        }
    }

    #[test]
    fn whose_the_chat_is_decides_and_without_anybody_those_who_facilitate() {
        let (ours, theirs) = (member(1, true, true), member(2, false, true));
        let (me, other) = (member(1, true, false), member(2, false, false));
        let among = |members: &[Member]| Decides::among(members);
        assert_eq!(among(&[ours, other.clone()]), Decides::You);
        assert_eq!(among(&[me.clone(), theirs]), Decides::Host);
        assert_eq!(among(&[me, other]), Decides::Facilitators);
        assert_eq!(among(&[]), Decides::Facilitators);
    }

    #[test]
    fn who_asks_is_said_with_what_is_vouched_for_and_what_is_not() {
        let mut knock = Knock {
            leaf: LeafId::new([3; 32]),
            name: "Cay".into(),
            was: None,
            badge: None,
        };
        assert_eq!(who(&knock, "Cay", None), "Cay (shows no badge)");
        let was = who(&knock, "Cay", Some("Ben"));
        assert_eq!(was, "Cay (proves to have been Ben here before)");
        knock.badge = Some(Badge {
            id: BadgeId::new([4; 32]),
            organisation: OrganisationId::new([1; 32]),
            attributes: BadgeAttributes {
                role: "supervisor".into(),
                training: Vec::new(),
                languages: Vec::new(),
                been_there: Vec::new(),
            },
            day: 1,
            state: BadgeState::CannotCheck,
        });
        let said = who(&knock, "Cay", None);
        assert!(said.starts_with("Cay (supervisor; "), "{said}");
        assert!(said.contains("cannot be checked"), "{said}");
        let asks = Decides::Host.line(1, &said);
        assert!(asks.ends_with("the person you talk with decides."));
    }
}
