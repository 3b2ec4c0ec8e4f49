//! The time of a talk, and what can be written to somebody who has gone quiet.

use serde_json::json;
use sotto_client::{End, Event, LeafId, Member};

use super::Chat;
use crate::output::Failure;

/// What is told of each reminder, and what can be written then.
const REMINDERS: [(&str, &str); 3] = [
    (
        "has written nothing for ten minutes",
        "Take your time. I am still here.",
    ),
    (
        "has written nothing for twenty minutes",
        "Are you still there? You need not say anything; a single letter is enough, and I wait.",
    ),
    (
        "has written nothing for half an hour. It may be time to end here",
        "I have not heard from you for half an hour, so I stop here for now. That is all right, whatever the \
         reason. Whenever you want to talk, write here or ask at the desk again; you need not explain.",
    ),
];

const MINUTES_A_DAY: u32 = 1_440;

const HAS_CLOSED: &str = "This room has closed, as was agreed. You can read what was said for as long as \
                          you like; /leave takes it off this device.";

impl Chat<'_> {
    /// Whatever is typed behind a stroke and is of how a talk is held; whether it was.
    pub(super) async fn typed_of_talk(&mut self, word: &str, rest: &str) -> Result<bool, Failure> {
        match word {
            "/end" => self.end(rest).await?,
            "/close" => self.close(rest).await,
            "/more-time" => self.more_time(rest).await?,
            "/nudge" => self.nudge().await,
            _ => return self.typed_of_floor(word, rest).await,
        }
        Ok(true)
    }

    /// Says when the talk ends, or shows it.
    async fn end(&self, minutes: &str) -> Result<(), Failure> {
        let end = match (minutes, minutes.parse::<u32>()) {
            ("", _) => {
                self.show_end().await?;
                return Ok(());
            }
            ("never", _) => End::Never,
            (_, Ok(minutes)) if minutes > 0 => End::After(minutes),
            _ => {
                self.note(
                    "When? Say it in minutes from now, such as: /end 45. /end never takes the limit away; \
                     /leave leaves now.",
                );
                return Ok(());
            }
        };
        self.done(self.conversation.set_end(end).await);
        Ok(())
    }

    /// Says on which day the room closes.
    async fn close(&self, days: &str) {
        let days = days.parse::<u32>().ok().filter(|days| *days > 0);
        let Some(minutes) = days.and_then(|days| days.checked_mul(MINUTES_A_DAY)) else {
            self.note(
                "In how many days? /close 84 closes this room in twelve weeks: it can only be read then. \
                 /end never keeps it open.",
            );
            return;
        };
        self.done(self.conversation.set_end(End::CloseAfter(minutes)).await);
    }

    async fn more_time(&self, minutes: &str) -> Result<(), Failure> {
        match minutes.parse() {
            Ok(minutes) if minutes > 0 => {
                // It would set an end where there is none.
                if self.conversation.ending().await?.is_none() && self.holds() {
                    self.note(
                        "This talk has no time limit, so there is nothing to add to. /end 45 sets one.",
                    );
                } else {
                    self.done(self.conversation.extend(minutes).await);
                }
            }
            _ => self.note("How much? Say it in minutes, such as: /more-time 15"),
        }
        Ok(())
    }

    async fn show_end(&self) -> Result<(), Failure> {
        let ending = self.conversation.ending().await?;
        let left = ending.map(|ending| ending.minutes_left);
        let closes = ending.is_some_and(|ending| ending.closes);
        self.output
            .object(&json!({"type": "ending", "minutes_left": left, "closes": closes}));
        match left {
            Some(0) if closes => self.note(HAS_CLOSED),
            Some(left) if closes => self.note(&closes_in(left)),
            None => self.note("This talk has no time limit."),
            Some(0) => self.note("The time that was agreed on is over."),
            Some(left) => self.note(&format!("You have {} left together.", about(left))),
        }
        Ok(())
    }

    /// Sends what was last offered for somebody who has gone quiet.
    async fn nudge(&mut self) {
        match self.offered.take() {
            Some(words) => {
                self.output.quote(&format!("(you) {words}"));
                self.say(words).await;
            }
            None => self.note("Nobody has been quiet for long; write what you like."),
        }
    }

    /// Whether the event was of the time of this talk.
    pub(super) async fn told_of_time(&mut self, event: &Event) -> Result<bool, Failure> {
        match event {
            Event::EndsAt { by, minute } => self.ends_at(*by, *minute).await?,
            Event::EndsSoon { minutes } => {
                self.output
                    .object(&json!({"type": "ends_soon", "minutes_left": minutes}));
                self.note(&soon(*minutes));
            }
            Event::TimeIsOver => {
                self.output.object(&json!({"type": "time_is_over"}));
                let may_extend = self.holds();
                let has_words = self.client.return_words().await.is_ok();
                self.note(over(may_extend));
                if !may_extend {
                    self.note(way_back(has_words));
                }
            }
            Event::ClosesAt { by, minute } => {
                let by = self.name(*by);
                self.output
                    .object(&json!({"type": "closes_at", "by": by, "minute": minute}));
                let ending = self.conversation.ending().await?;
                let left = ending.map_or(0, |ending| ending.minutes_left);
                self.note(&format!("{by} says: {}", closes_in(left)));
            }
            Event::ClosesSoon { minutes } => {
                self.output
                    .object(&json!({"type": "closes_soon", "minutes_left": minutes}));
                self.note(&closes_in(*minutes));
            }
            Event::Closed => {
                self.output.object(&json!({"type": "closed"}));
                self.note(HAS_CLOSED);
            }
            Event::Quiet { step, .. } => self.quiet(*step),
            event => return Ok(self.told_of_floor(event)),
        }
        Ok(true)
    }

    async fn ends_at(&self, by: LeafId, minute: Option<u64>) -> Result<(), Failure> {
        let ending = self.conversation.ending().await?;
        let left = ending.map(|ending| ending.minutes_left);
        self.output
            .object(&json!({"type": "ends_at", "minute": minute, "minutes_left": left}));
        match (minute, left) {
            (None, _) => self.note("There is no time limit any more."),
            (_, None | Some(0)) => {}
            (_, Some(left)) => {
                let is_ours = self.members.iter().any(|one| one.is_me && one.leaf == by);
                let hint = if is_ours {
                    " (/more-time 15 gives more)"
                } else {
                    ""
                };
                self.note(&format!("You have {} together.{hint}", about(left)));
            }
        }
        Ok(())
    }

    fn quiet(&mut self, step: u8) {
        let place = usize::from(step).saturating_sub(1);
        let Some((what, words)) = REMINDERS.get(place) else {
            return;
        };
        self.offered = Some(*words);
        self.output
            .object(&json!({"type": "quiet", "step": step, "words": words}));
        let name = self.host();
        self.note(&format!(
            "{name} {what}. Nothing is sent by itself; /nudge sends this for you: {words}"
        ));
    }

    fn host(&self) -> String {
        let host = self.members.iter().find(|member| member.is_host);
        host.map_or_else(|| "The other one".to_owned(), |host| self.name(host.leaf))
    }

    /// Whether we say when the talk ends.
    pub(super) fn holds(&self) -> bool {
        let ours = |member: &&Member| member.is_me;
        let me = self.members.iter().find(ours);
        me.is_some_and(|me| me.facilitates && !me.is_host)
    }
}

fn closes_in(minutes: u64) -> String {
    format!(
        "This room closes in {}. What was said can still be read then, and nothing more is said.",
        about(minutes)
    )
}

fn about(minutes: u64) -> String {
    match minutes {
        1 => "about a minute".to_owned(),
        2..120 => format!("about {minutes} minutes"),
        120..2_880 => format!("about {} hours", minutes / 60),
        _ => format!("about {} days", minutes / 1_440),
    }
}

fn soon(minutes: u64) -> String {
    let left = about(minutes);
    format!("You have {left} left together. What matters most for the rest of it?")
}

const fn over(may_extend: bool) -> &'static str {
    if may_extend {
        "The time you agreed on is over. Nothing closes by itself: end it together, or give more with \
         /more-time MINUTES."
    } else {
        "The time you agreed on is over. Nothing closes by itself: you can end here, or ask for more."
    }
}

/// What is true of coming back on this device.
const fn way_back(has_words: bool) -> &'static str {
    if has_words {
        "This chat stays on this device, in `sotto chat`, and your return words bring you back to it on \
         another one."
    } else {
        "This chat stays on this device, in `sotto chat`. `sotto words new` makes words that bring you back to \
         it on another one; there are none yet."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_the_time_is_warm_and_says_what_can_be_done() {
        assert!(soon(5).starts_with("You have about 5 minutes left together."));
        assert!(over(false).contains("you can end here, or ask for more"));
        assert!(over(true).contains("/more-time"));
        // Words that somebody does not have are no way back.
        assert!(!over(false).contains("words") && way_back(false).contains("there are none yet"));
        assert!(closes_in(20_160).starts_with("This room closes in about 14 days."));
        assert_eq!(about(1), "about a minute");
        assert_eq!(about(600), "about 10 hours");
        assert_eq!(about(20_160), "about 14 days");
    }

    #[test]
    fn no_words_are_offered_that_end_a_chat_before_the_last_reminder() {
        let ends = |words: &str| words.contains("stop here");
        let [first, second, last] = REMINDERS;
        assert!(!ends(first.1) && !ends(second.1) && ends(last.1));
        // Whether they have return words nobody knows but they.
        assert!(!last.1.contains("return words") && last.1.contains("ask at the desk again"));
    }
}
