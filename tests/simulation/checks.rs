//! What must hold once everything has come to rest.

use std::collections::BTreeMap;

use sotto_client::{Event, Message, MessageId, Standing};

use crate::actor::Actor;
use crate::world::World;

impl World {
    /// Everything that is promised of an honest run.
    ///
    /// # Panics
    /// If a promise is broken.
    pub fn check(&self) {
        for actor in &self.actors {
            self.check_alarms(actor);
            self.check_shown(actor);
        }
        self.check_group();
        self.check_words();
    }

    fn broken(&self, what: &str) -> ! {
        panic!("seed {}: {what}{}", self.seed, self.look())
    }

    /// Those who are in.
    fn inside(&self) -> Vec<&Actor> {
        let is_in = |actor: &&Actor| matches!(actor.standing(), Standing::In | Standing::Waiting);
        self.actors.iter().filter(is_in).collect()
    }

    /// An honest relay and honest members raise no alarm.
    fn check_alarms(&self, actor: &Actor) {
        for event in &actor.events {
            let is_alarm = matches!(
                event,
                Event::Doubt(_)
                    | Event::Fork { .. }
                    | Event::Silence { .. }
                    | Event::Spoiled { .. }
                    | Event::Undone { .. }
                    | Event::HiddenManager { .. }
                    | Event::Returned { .. }
                    | Event::Junk { .. }
            );
            if is_alarm {
                let at = actor.events.iter().position(|one| one == event);
                let near = at.map_or(&[][..], |at| &actor.events[at.saturating_sub(8)..]);
                let near = &near[..near.len().min(12)];
                self.broken(&format!("{} was told {event:?}, amid {near:?}", actor.name));
            }
        }
    }

    /// Messages are shown in log order, none twice, and none that is not kept.
    fn check_shown(&self, actor: &Actor) {
        let shown = actor.events.iter().filter_map(|event| match event {
            Event::Message(message) => Some(message.seq),
            _ => None,
        });
        let mut last = 0;
        for seq in shown {
            if seq <= last {
                self.broken(&format!("{} was shown {seq} after {last}", actor.name));
            }
            last = seq;
        }
    }

    /// All who are in are in one epoch, know the same members by the same names, and want nothing.
    fn check_group(&self) {
        let inside = self.inside();
        let seen = |actor: &Actor| {
            let mut members: Vec<_> = actor
                .engine()
                .members()
                .into_iter()
                .map(|member| (member.leaf, member.name, member.facilitates))
                .collect();
            members.sort();
            (actor.engine().fingerprint(), members)
        };
        for actor in &inside {
            if seen(actor) != seen(inside[0]) {
                self.broken(&format!("{} is in another group than P0", actor.name));
            }
            if !actor.engine().unsent().is_empty() {
                self.broken(&format!("{} still has something to say", actor.name));
            }
        }
        let (_, members) = seen(inside[0]);
        if members.iter().any(|(_, name, _)| name.is_none()) {
            self.broken("somebody has no name");
        }
        let mut leaves: Vec<_> = inside.iter().filter_map(|actor| actor.leaf()).collect();
        leaves.sort();
        if leaves != members.iter().map(|one| one.0).collect::<Vec<_>>() {
            self.broken("somebody is a member who is not in, or the other way round");
        }
        for actor in &self.actors {
            let told_why = actor.events.contains(&Event::Refused);
            let is_out = matches!(actor.standing(), Standing::Joining | Standing::Founding);
            if is_out && !told_why {
                self.broken(&format!("{} waits in vain", actor.name));
            }
        }
    }

    /// What was said stands exactly once, in one order for all, at everybody it was said to.
    fn check_words(&self) {
        let founder = self.actors[0].history();
        let order: BTreeMap<MessageId, &Message> =
            founder.iter().map(|one| (one.id, one)).collect();
        let histories: Vec<_> = self.actors.iter().map(Actor::history).collect();
        for (actor, history) in self.actors.iter().zip(&histories) {
            for message in history {
                let same = order.get(&message.id).is_some_and(|one| {
                    (one.seq, one.author) == (message.seq, message.author)
                        && (one.text == message.text || actor.is_over())
                });
                if !same {
                    self.broken(&format!("{} has a message that P0 has not", actor.name));
                }
            }
        }
        for said in &self.said {
            let count = |history: &[Message]| {
                let is_it = |one: &&Message| one.text.split('!').next() == Some(&said.text);
                history.iter().filter(is_it).count()
            };
            let author = &self.actors[said.author];
            let must = said.is_certain && !author.is_over() && self.is_inside(author);
            for (actor, history) in self.actors.iter().zip(&histories) {
                let was_there = actor
                    .leaf()
                    .is_some_and(|leaf| said.audience.contains(&leaf));
                let found = count(history);
                let expected = must && self.is_inside(actor) && (was_there || actor.name == "P0");
                if found > 1 || (expected && found == 0) {
                    self.broken(&format!("{} has {:?} {found} times", actor.name, said.text));
                }
            }
        }
    }

    fn is_inside(&self, actor: &Actor) -> bool {
        self.inside().iter().any(|one| one.name == actor.name)
    }
}
