//! What can be typed in a talk: what fits this kind of it, and who one is in it. A list of everything is
//! read by nobody who needs one line of it.

use serde_json::json;
use sotto_client::ConversationKind;

use super::Chat;
use crate::output::Failure;

/// The column in which the words begin.
const WIDTH: usize = 24;

/// Where somebody asks what there is.
#[derive(Clone, Copy)]
struct Here {
    kind: ConversationKind,
    /// Whether they say who comes in and goes.
    facilitates: bool,
    /// Whether they hold the talk.
    holds: bool,
    /// Whether they can ask a desk's team.
    has_team: bool,
    /// Whether there are other conversations on this device.
    has_others: bool,
}

/// For whom a line is.
#[derive(Clone, Copy)]
enum For {
    All,
    /// Who waits for an answer.
    Waiting,
    Inside,
    /// Whoever may let people in, where no chat is somebody's.
    Door,
    /// The person whose chat it is.
    Ours,
    /// The supporter in it.
    Theirs,
    /// A supporter, in a chat or among the team.
    Supporter,
    Aside,
    /// Who holds the talk.
    Holds,
    NotHolding,
    /// Who gives turns, or could.
    Gives,
    Turns,
    Others,
}

impl For {
    const fn fits(self, here: &Here) -> bool {
        use ConversationKind as Kind;
        let is_waiting = matches!(here.kind, Kind::Ticket | Kind::Letter);
        let is_theirs = matches!(here.kind, Kind::Theirs);
        let is_ours = matches!(here.kind, Kind::Ours);
        let is_room = !is_waiting && !is_theirs && !is_ours;
        match self {
            Self::All => true,
            Self::Waiting => is_waiting,
            Self::Inside => !is_waiting,
            Self::Door => is_room && here.facilitates,
            Self::Ours => is_ours,
            Self::Theirs => is_theirs,
            Self::Supporter => here.has_team && (is_theirs || matches!(here.kind, Kind::Team)),
            Self::Aside => matches!(here.kind, Kind::Aside),
            Self::Holds => !is_waiting && here.holds,
            Self::NotHolding => !is_waiting && !here.holds,
            Self::Gives => here.holds && matches!(here.kind, Kind::Room | Kind::Turns),
            Self::Turns => matches!(here.kind, Kind::Turns),
            Self::Others => here.has_others,
        }
    }
}

const LINES: [(For, &str, &str); 44] = [
    (
        For::Waiting,
        "/crisis",
        "who helps in a crisis, also without this desk and without a line",
    ),
    (
        For::Ours,
        "/crisis",
        "who helps in a crisis, also without this desk and without a line",
    ),
    (
        For::Theirs,
        "/crisis [WORDS]",
        "ask the team for somebody at once, and see whom the desk names",
    ),
    (
        For::Inside,
        "/members",
        "who is here and can read what you write",
    ),
    (
        For::Inside,
        "/attach FILE",
        "send a file; with words, as a picture needs: /attach FILE -- WORDS",
    ),
    (
        For::Inside,
        "/save NUMBER [FILE]",
        "keep a file that somebody sent",
    ),
    (For::Door, "/link", "the link that lets somebody in"),
    (
        For::Door,
        "/add LINK",
        "add somebody by the link of their inbox",
    ),
    (For::Door, "/remove WHO", "a member, by name or number"),
    (
        For::Door,
        "/hand-over WHO",
        "let another member take your place, and leave",
    ),
    (For::Door, "/knocks", "who asks to come in"),
    (For::Door, "/admit NUMBER", "they come in"),
    (For::Door, "/turn-away NUMBER", "they do not"),
    (
        For::Ours,
        "/knocks",
        "who asks to come in; nobody does without your yes",
    ),
    (
        For::Ours,
        "/admit NUMBER",
        "they come in, and read nothing of what was said before",
    ),
    (
        For::Ours,
        "/admit-and-tell NUMBER",
        "they come in, and are told what was said before",
    ),
    (
        For::Ours,
        "/turn-away NUMBER",
        "they do not; you need not say why",
    ),
    (For::NotHolding, "/end", "how much time is left"),
    (
        For::Holds,
        "/end [MINUTES]",
        "when this talk ends; alone what is left; /end never",
    ),
    (For::Holds, "/more-time MINUTES", "give more time"),
    (
        For::Holds,
        "/close DAYS",
        "in how many days this room closes: it can only be read then",
    ),
    (
        For::Theirs,
        "/nudge",
        "write to somebody who has gone quiet what was offered for it",
    ),
    (
        For::Theirs,
        "/call WORDS",
        "ask the team for somebody to come in: /call a supervisor",
    ),
    (
        For::Supporter,
        "/side WORDS",
        "found a room for you and whoever of the team answers",
    ),
    (
        For::Theirs,
        "/review-in NUMBER",
        "let what you write here be read in a side-room first",
    ),
    (
        For::Theirs,
        "/hand-over WHO",
        "let another supporter take your place, and leave",
    ),
    (
        For::Aside,
        "/drafts",
        "what waits to be read before it goes out",
    ),
    (
        For::Aside,
        "/release NUMBER [WORDS]",
        "let it go out, in these words if there are any",
    ),
    (
        For::Aside,
        "/send-back NUMBER NOTE",
        "give it back; it does not go out",
    ),
    (
        For::Gives,
        "/turn WHO",
        "whose turn it is, or /turn all; turns begin with the first",
    ),
    (
        For::Turns,
        "/stop, /go-on",
        "stop the talk for everybody at once, and let it go on",
    ),
    (
        For::Gives,
        "/agreement [DAYS] TEXT",
        "propose what all agree on; 14 days later you look how it went",
    ),
    (
        For::Turns,
        "/agreement",
        "what was proposed, and who has agreed",
    ),
    (For::Turns, "/agree", "agree to it"),
    (
        For::Inside,
        "/safe-word WORDS",
        "what to know you by, should you come back with return words",
    ),
    (
        For::Inside,
        "/give-safe-word WORDS",
        "give it, having come back",
    ),
    (
        For::Holds,
        "/allow-safe-word WHO",
        "let somebody try again who gave three wrong ones",
    ),
    (For::Others, "/chats", "your other conversations"),
    (For::Others, "/open NUMBER", "go to one of them"),
    (
        For::Waiting,
        "/leave",
        "give the place up; nothing of it is kept here",
    ),
    (
        For::Inside,
        "/leave",
        "leave for good; nothing of it is kept here",
    ),
    (For::All, "/quit", "stop for now"),
    (
        For::All,
        "/x",
        "gone at once: all on this device is erased; return words, if you made some, still work",
    ),
    (
        For::All,
        "/help all",
        "also what is for others, or for other kinds of talks",
    ),
];

impl Chat<'_> {
    /// What there is here, or everything that there is anywhere.
    pub(super) async fn help(&self, which: &str) -> Result<(), Failure> {
        let me = self.members.iter().find(|member| member.is_me);
        let kind = self.conversation.kind().await?;
        let here = Here {
            kind,
            facilitates: me.is_some_and(|me| me.facilitates),
            holds: self.holds(),
            has_team: self.team.is_some() || kind == ConversationKind::Team,
            has_others: self.client.conversations().len() > 1,
        };
        let is_all = which == "all";
        let shown = LINES.iter().filter(|(who, ..)| is_all || who.fits(&here));
        let shown: Vec<_> = shown.map(|(_, typed, what)| (*typed, *what)).collect();
        let typed: Vec<_> = shown.iter().map(|(typed, _)| *typed).collect();
        self.output
            .object(&json!({"type": "help", "kind": kind.name(), "commands": typed}));
        self.output.words(
            "What you type is said to everybody here. A line that begins with / does something:",
        );
        for (typed, what) in shown {
            self.output.words(&format!("  {typed:WIDTH$}{what}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitting(here: &Here) -> Vec<&'static str> {
        let fit = LINES.iter().filter(|(who, ..)| who.fits(here));
        fit.map(|(_, typed, _)| *typed).collect()
    }

    #[test]
    fn everybody_sees_what_is_for_them_and_how_to_go() {
        let here = |kind| Here {
            kind,
            facilitates: true,
            holds: kind != ConversationKind::Ours,
            has_team: kind == ConversationKind::Theirs,
            has_others: false,
        };
        let ours = fitting(&here(ConversationKind::Ours));
        let theirs = fitting(&here(ConversationKind::Theirs));
        let waiting = fitting(&here(ConversationKind::Ticket));
        let turns = fitting(&here(ConversationKind::Turns));
        assert!(ours.contains(&"/admit-and-tell NUMBER") && !ours.contains(&"/nudge"));
        assert!(theirs.contains(&"/nudge") && !theirs.contains(&"/admit NUMBER"));
        assert_eq!(waiting, ["/crisis", "/leave", "/quit", "/x", "/help all"]);
        assert!(turns.contains(&"/stop, /go-on") && !ours.contains(&"/stop, /go-on"));
        for list in [ours, theirs, turns] {
            assert!(list.contains(&"/quit") && list.contains(&"/leave") && list.contains(&"/x"));
        }
    }

    #[test]
    fn every_line_has_room_for_its_words() {
        assert!(LINES.iter().all(|(_, typed, _)| typed.len() < WIDTH));
    }
}
