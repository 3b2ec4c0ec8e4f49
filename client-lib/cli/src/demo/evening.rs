//! The built-in demo: two people chat, six share a room, and what can go wrong does.

use std::sync::Arc;

use serde_json::json;
use sotto_client::Link;
use tokio::task::JoinSet;

use super::kill::{Running, moment};
use super::script::{AFTER, BURST, CHAT, FROM_THE_TUNNEL, GAP, LATE, NAMES, REFUSED, ROOM};
use super::{Played, Stage};
use crate::output::Failure;
use crate::speak::{Cast, Home, Line, Talk};

const SUPPORTER: usize = 0;
const SEEKER: usize = 1;
const FACILITATOR: usize = 2;
/// Members of the room that may lose their line: they speak in no scene in which one is away.
const RIDERS: [usize; 3] = [3, 4, 5];
const REMOVED: usize = 6;
const LATECOMER: usize = 7;
const RETURNING: usize = 8;
/// A burst whose answers all came before the relay fell is tried again so often.
const BURSTS_MAX: usize = 10;

/// Everything of one evening.
struct Evening<'a> {
    stage: &'a mut Stage,
    cast: Cast,
    /// All that was said was heard so far.
    complete: bool,
}

/// Plays it all.
pub(super) async fn play(stage: &mut Stage) -> Result<Played, Failure> {
    let names = NAMES.map(str::to_owned);
    let cast = Cast::open(&names, &stage.vaults, stage.dialer.clone()).await?;
    let mut evening = Evening {
        stage,
        cast,
        complete: true,
    };
    evening.scene("chat", "Two people chat.");
    let relay = evening.stage.relay.address().clone();
    let chat = evening.cast.gather(relay, &[SUPPORTER, SEEKER]).await?;
    evening.talk(&chat, &CHAT).await?;
    let room = evening.room().await?;
    evening.line_lost(&room).await?;
    evening.falls(&chat, &room).await?;
    let (new_link, refused) = evening.removal(&room).await?;
    let mut links = vec![chat.link, room.link];
    links.extend(new_link);
    Ok(Played {
        links,
        complete: evening.complete,
        conversations: 2,
        lines: evening.cast.ledger.count(),
        members_refused: refused,
        members_to_refuse: 1,
        reader: SEEKER,
        cast: evening.cast,
    })
}

fn lines(said: &[(usize, &str)]) -> Vec<Line> {
    said.iter()
        .map(|(speaker, text)| Line {
            speaker: *speaker,
            text: (*text).to_owned(),
        })
        .collect()
}

impl Evening<'_> {
    fn scene(&self, name: &str, words: &str) {
        let output = &self.stage.output;
        output.object(&json!({"type": "scene", "name": name}));
        output.words(&format!("• {words}"));
    }

    /// One after the other, as people talk who wait for each other.
    async fn talk(&mut self, home: &Home, said: &[(usize, &str)]) -> Result<(), Failure> {
        let talk = Talk {
            home: 0,
            lines: lines(said),
        };
        let homes = core::slice::from_ref(home);
        self.complete &= self.cast.perform(homes, vec![talk]).await?;
        Ok(())
    }

    /// Five share a room; a sixth comes late by the link and reads nothing of before.
    async fn room(&mut self) -> Result<Home, Failure> {
        self.scene(
            "room",
            "Five share a room; a sixth comes in late, by a link.",
        );
        let relay = self.stage.relay.address().clone();
        let five = self.cast.gather(relay, &[2, 3, 4, 5, 6]).await?;
        self.talk(&five, &ROOM).await?;
        self.cast.person(LATECOMER)?.join(&five.link).await?;
        let six = Home {
            members: [2, 3, 4, 5, 6, 7].into(),
            link: five.link,
        };
        self.until_members(&six.members).await?;
        self.talk(&six, &LATE).await?;
        Ok(six)
    }

    async fn until_members(&self, members: &[usize]) -> Result<(), Failure> {
        for member in members {
            let person = self.cast.person(*member)?;
            person.until_members(members.len()).await?;
        }
        Ok(())
    }

    /// One loses the line, writes all the same, and comes back to everything.
    async fn line_lost(&mut self, room: &Home) -> Result<(), Failure> {
        self.scene(
            "line",
            "One of them loses the line, writes on, and returns.",
        );
        let at = self.stage.dice.below(RIDERS.len());
        let rider = RIDERS.get(at).copied().unwrap_or(REMOVED);
        let person = Arc::clone(self.cast.person(rider)?);
        person.wire.cut();
        person.until_online(false).await?;
        // The others talk without waiting for the one who is away.
        let lane = self.cast.new_lane();
        for (turn, (speaker, text)) in GAP.iter().enumerate() {
            let said = (*text).to_owned();
            let id = self.cast.say(*speaker, said, lane, turn, &room.members);
            let id = id.await?;
            for other in room.members.iter().filter(|other| **other != rider) {
                self.cast.person(*other)?.hear(id).await;
            }
        }
        let said = FROM_THE_TUNNEL.to_owned();
        let lane = self.cast.new_lane();
        self.cast.say(rider, said, lane, 0, &room.members).await?;
        let waiting = person.unanswered_count();
        self.stage
            .output
            .object(&json!({"type": "line", "unsent": waiting}));
        self.stage
            .output
            .words(&format!("  without a line: {waiting} unsent"));
        person.wire.mend();
        self.complete &= self.cast.settle().await;
        Ok(())
    }

    /// Everybody speaks at once; in the middle of it the relay is killed.
    async fn falls(&mut self, chat: &Home, room: &Home) -> Result<(), Failure> {
        let wanted = u64::from(self.stage.kills_wanted);
        if wanted > 0 {
            self.scene(
                "kill",
                "All speak at once, and the relay is killed under them.",
            );
        }
        for number in 0..BURSTS_MAX + usize::from(self.stage.kills_wanted) {
            if self.stage.kills.count() == wanted {
                break;
            }
            self.fall(number, chat, room).await?;
        }
        Ok(())
    }

    async fn fall(&mut self, number: usize, chat: &Home, room: &Home) -> Result<(), Failure> {
        let said = self.cast.ledger.count();
        let mut speaking = JoinSet::new();
        let homes = [chat, room].into_iter();
        for (speaker, readers) in homes.flat_map(|home| {
            let speakers = home.members.iter();
            speakers.map(|speaker| (*speaker, Arc::clone(&home.members)))
        }) {
            let cast = self.cast.clone();
            speaking.spawn(async move {
                let lane = cast.new_lane();
                for (turn, text) in BURST.iter().enumerate() {
                    let text = format!("{text} ({number}-{speaker}-{turn})");
                    cast.say(speaker, text, lane, turn, &readers).await?;
                }
                Ok::<_, Failure>(())
            });
        }
        // Some of it shall stand in the log already.
        let ahead = 4 + self.stage.dice.below(16);
        let killing = async {
            moment(&self.cast, said + ahead).await;
            let mut running = Running {
                relay: &mut self.stage.relay,
                cast: &self.cast,
                output: &self.stage.output,
            };
            self.stage.kills.once(&mut running).await
        };
        killing.await?;
        while let Some(spoken) = speaking.join_next().await {
            spoken.map_err(|_| Failure::could_not_run("a speaker stopped"))??;
        }
        self.complete &= self.cast.settle().await;
        Ok(())
    }

    /// One is removed: hears nothing more, says nothing more, and the old link opens nothing. The
    /// new link, if there is one, and how many were refused in every way.
    async fn removal(&mut self, room: &Home) -> Result<(Option<Link>, u64), Failure> {
        self.scene("removal", "One is removed, and then refused.");
        let facilitator = Arc::clone(self.cast.person(FACILITATOR)?);
        let removed = Arc::clone(self.cast.person(REMOVED)?);
        facilitator.remove(removed.leaf()?).await?;
        removed.until_removed().await?;
        let stayed = Home {
            members: [2, 3, 4, 5, 7].into(),
            link: room.link.clone(),
        };
        self.until_members(&stayed.members).await?;
        self.talk(&stayed, &AFTER).await?;
        let speaks = removed.say(REFUSED).await.is_ok();
        let returning = self.cast.person(RETURNING)?;
        returning.knock(&room.link).await?;
        let returns = returning.until_refused().await.is_err();
        let output = &self.stage.output;
        output.object(&json!({"type": "removed", "speaks": speaks, "returns": returns}));
        output.words(&format!(
            "  speaks on: {}; comes back by the old link: {}",
            yes(speaks),
            yes(returns)
        ));
        let refused = u64::from(!speaks && !returns);
        Ok((facilitator.link().await.ok(), refused))
    }
}

const fn yes(is: bool) -> &'static str {
    if is { "YES" } else { "no" }
}
