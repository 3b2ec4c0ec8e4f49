//! Turns, a stop that anybody can say, and what all agree on.

use serde_json::json;
use sotto_client::{Agreement, Delivery, ErrorKind, Event, Floor, LeafId};

use super::Chat;
use super::lines::find;
use crate::output::Failure;
use crate::screen::shown;

/// Days until people look how it went, where nobody says another number.
const FOLLOW_UP_DAYS: u32 = 14;
/// People who look at it later than in a year have forgotten what it was about.
const FOLLOW_UP_DAYS_MAX: u32 = 365;
/// For whose talk it is, where something is refused.
const WAYS_OUT: &str = "You can ask for it in your own words. And you may go at any time, without a reason: /quit \
                        stops for now, /leave is for good, /x erases everything here.";
/// Seconds in a day.
const DAY_SECONDS: u64 = 86_400;

impl Chat<'_> {
    /// What is typed of turns and agreements; whether it was.
    pub(super) async fn typed_of_floor(&mut self, word: &str, rest: &str) -> Result<bool, Failure> {
        match word {
            "/turn" => self.turn(rest).await?,
            "/stop" => self.stop().await?,
            "/go-on" => self.go_on().await?,
            "/agreement" => self.agreement(rest, false).await?,
            "/agreement-anew" => self.agreement(rest, true).await?,
            "/agree" => self.agree().await?,
            _ => return self.typed_of_review(word, rest).await,
        }
        Ok(true)
    }

    /// A refusal is said with what can be done; what is done is told once it stands.
    pub(super) fn done(&self, done: sotto_client::Result<()>) {
        match done {
            Ok(()) if !self.is_online => {
                self.note("That goes out once the relay is reached.");
            }
            Ok(()) => {}
            Err(error) => {
                self.note(&format!("not done: {error}"));
                self.show_ways_out(&error);
            }
        }
    }

    /// Whose talk it is need not stay in it because something is not theirs to say.
    pub(super) fn show_ways_out(&self, error: &sotto_client::Error) {
        let is_guest = self.members.iter().any(|one| one.is_me && one.is_host);
        if is_guest && error.kind() == ErrorKind::NotAllowed {
            self.note(WAYS_OUT);
        }
    }

    async fn turn(&self, whom: &str) -> Result<(), Failure> {
        let to = match whom {
            "all" => None,
            whom => {
                let found = find(&self.members, whom);
                if found.is_none() {
                    self.note(
                        "Whose turn? Say /turn with a name or number of /members, or /turn all.",
                    );
                    return Ok(());
                }
                found
            }
        };
        match self.conversation.floor().await? {
            Some(floor) if !floor.is_frozen && floor.turn == to => {
                self.unchanged("That is so already.", &floor);
            }
            _ => self.done(self.conversation.give_turn(to).await),
        }
        Ok(())
    }

    async fn stop(&self) -> Result<(), Failure> {
        match self.conversation.floor().await? {
            None => self.note(
                "Nobody gives turns here, so there is nothing to stop for others. You can stop for yourself \
                 at any time, and need not say why: /quit for now, /leave for good.",
            ),
            Some(floor) if self.have_stopped(&floor) => {
                self.unchanged("You have stopped it already; /go-on takes that back.", &floor);
            }
            Some(_) => self.done(self.conversation.stop().await),
        }
        Ok(())
    }

    async fn go_on(&self) -> Result<(), Failure> {
        match self.conversation.floor().await? {
            None => self.note("Nothing is stopped here: everybody may speak."),
            Some(floor) if !floor.is_frozen => self.unchanged("Nothing is stopped here.", &floor),
            Some(floor) if !self.have_stopped(&floor) => {
                self.unchanged(
                    "It is not you who stopped it, or you have said so already.",
                    &floor,
                );
            }
            Some(_) => self.done(self.conversation.go_on().await),
        }
        Ok(())
    }

    fn have_stopped(&self, floor: &Floor) -> bool {
        let me = self.members.iter().find(|one| one.is_me);
        me.is_some_and(|me| floor.stopped.contains(&me.leaf))
    }

    /// Nothing changes, and no event will say anything.
    fn unchanged(&self, why: &str, floor: &Floor) {
        self.note(why);
        self.show_floor(floor);
    }

    /// Proposes one, or shows the last.
    async fn agreement(&mut self, text: &str, is_anew: bool) -> Result<(), Failure> {
        let last = self.conversation.agreement().await?;
        if text.is_empty() {
            match last {
                Some(agreement) => self.show_agreement(&agreement),
                None => self.note("Nothing was proposed here yet."),
            }
            return Ok(());
        }
        let (text, days) = split_days(text);
        let floor = self.conversation.floor().await?;
        if self.holds() && floor.is_some_and(|floor| floor.is_frozen) {
            self.note(
                "Not proposed: the talk is stopped. Once those who stopped it have said that it may go on, \
                 open it with /turn all, and propose it then.",
            );
        } else if !(1..=FOLLOW_UP_DAYS_MAX).contains(&days) {
            self.note(
                "Not proposed: you look how it went on a day that is 1 to 365 days away, such as in: \
                 /agreement 14 we greet each other",
            );
        } else if last.is_some_and(|last| last.stands) && !is_anew {
            self.note(
                "Not proposed: all have agreed on something already, and it would end with this. If that \
                 is what you want, say /agreement-anew instead of /agreement; /agreement alone shows it.",
            );
        } else {
            let day = today().saturating_add(days);
            self.done(self.conversation.propose(text, Some(day)).await);
        }
        Ok(())
    }

    async fn agree(&mut self) -> Result<(), Failure> {
        let me = self.members.iter().find(|one| one.is_me).map(|me| me.leaf);
        let floor = self.conversation.floor().await?;
        match self.conversation.agreement().await? {
            None => self.note("Nothing was proposed here yet."),
            Some(agreement) if me.is_some_and(|me| agreement.agreed.contains(&me)) => {
                self.note("You have agreed to this already.");
                self.show_agreement(&agreement);
            }
            Some(_) if floor.is_some_and(|floor| floor.is_frozen) => self.note(
                "The talk is stopped, and nobody agrees to anything meanwhile. You can when it goes on, and \
                 you need not.",
            ),
            Some(agreement) => self.done(self.conversation.agree(agreement.id).await),
        }
        Ok(())
    }

    /// Whether the event was of turns or agreements.
    pub(super) fn told_of_floor(&mut self, event: &Event) -> bool {
        match event {
            Event::Floor(floor) => self.show_floor(floor),
            Event::Agreement(agreement) => {
                if self.has_agreed {
                    self.note(
                        "What all had agreed on has ended: something else is proposed in its place.",
                    );
                }
                self.show_agreement(agreement);
            }
            Event::Agreed { by, agreement } => {
                let name = self.name(*by);
                self.note(&format!("{name} agrees."));
                self.show_agreement(agreement);
            }
            Event::FollowUp { day, text } => {
                self.output
                    .object(&json!({"type": "follow_up", "day": day, "text": text.0}));
                self.note(
                    "Today is the day on which you look how it went with what you agreed on:",
                );
                self.output.quote(&shown(&text.0));
            }
            Event::Delivery {
                state: Delivery::OutOfTurn,
                ..
            } => {
                self.output.object(&json!({"type": "out_of_turn"}));
                self.note(
                    "What you wrote came out of turn or after a stop, and was shown to nobody.",
                );
                return false;
            }
            event => return self.told_of_review(event),
        }
        true
    }

    fn show_floor(&self, floor: &Floor) {
        let turn = floor.turn.map(|leaf| self.name(leaf));
        let stopped: Vec<_> = floor.stopped.iter().map(|leaf| self.name(*leaf)).collect();
        self.output.object(&json!({
            "type": "floor", "turn": turn, "frozen": floor.is_frozen, "stopped": stopped,
        }));
        let is_mine = |leaf: LeafId| self.members.iter().any(|one| one.is_me && one.leaf == leaf);
        let mine = floor.turn.is_some_and(is_mine);
        self.note(&words_of(floor, turn.as_deref(), mine, &stopped));
    }

    pub(super) fn show_agreement(&mut self, agreement: &Agreement) {
        self.has_agreed = agreement.stands;
        let agreed: Vec<_> = agreement
            .agreed
            .iter()
            .map(|leaf| self.name(*leaf))
            .collect();
        self.output.object(&json!({
            "type": "agreement", "text": agreement.text, "follow_up_day": agreement.follow_up_day,
            "agreed": agreed, "stands": agreement.stands,
        }));
        let state = if agreement.stands {
            "all have agreed, and it stands"
        } else {
            "it stands once all have agreed; /agree agrees"
        };
        let names = agreed.join(", ");
        let day = agreement.follow_up_day.map_or_else(String::new, |day| {
            format!("; you look how it went on {}", date(day))
        });
        self.note(&format!("Agreement ({state}). Agreed so far: {names}{day}"));
        for line in agreement.text.lines() {
            self.output.quote(&format!("  {}", shown(line)));
        }
    }
}

fn words_of(floor: &Floor, turn: Option<&str>, is_mine: bool, stopped: &[String]) -> String {
    if floor.is_frozen {
        let who = stopped.join(", ");
        return if stopped.is_empty() {
            "The talk is stopped. It may go on once whoever holds it opens it, with /turn all or /turn WHO."
                .to_owned()
        } else {
            format!(
                "STOPPED by {who}: nobody says anything now, and nobody need say why. /go-on by whoever \
                 stopped it, then whoever holds the talk opens it with /turn all or /turn WHO."
            )
        };
    }
    match turn {
        _ if is_mine => "It is your turn.".to_owned(),
        Some(name) => format!("It is {name}'s turn. /stop stops the talk for everybody."),
        None => "Everybody may speak. /stop stops the talk for everybody.".to_owned(),
    }
}

/// A number of days in front, as in `7 we greet each other`.
fn split_days(text: &str) -> (&str, u32) {
    let split = text.split_once(' ');
    match split.map(|(first, rest)| (first.parse(), rest)) {
        Some((Ok(days), rest)) => (rest.trim(), days),
        _ => (text, FOLLOW_UP_DAYS),
    }
}

/// In days since 1970-01-01, UTC.
fn today() -> u32 {
    #[expect(
        clippy::disallowed_methods,
        reason = "a person says so many days from now"
    )]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    let days = since.map_or(0, |since| since.as_secs() / DAY_SECONDS);
    u32::try_from(days).unwrap_or_default()
}

/// The date of a day since 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn date(day: u32) -> String {
    let z = u64::from(day) + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let date = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{date:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_said_as_a_date() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(19_675), "2023-11-14");
        assert_eq!(date(19_782), "2024-02-29");
    }

    #[test]
    fn an_agreement_may_begin_with_the_days_until_people_look_how_it_went() {
        assert_eq!(
            split_days("7 we greet each other"),
            ("we greet each other", 7)
        );
        assert_eq!(
            split_days("we greet each other"),
            ("we greet each other", 14)
        );
    }

    #[test]
    fn a_stop_says_who_and_that_nobody_need_say_why() {
        let floor = Floor {
            turn: None,
            is_frozen: true,
            stopped: Vec::new(),
            unheard: 0,
        };
        let said = words_of(&floor, None, false, &["Vic".to_owned()]);
        assert!(said.starts_with("STOPPED by Vic") && said.contains("nobody need say why"));
    }
}
