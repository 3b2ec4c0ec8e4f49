//! Who says what to whom: a script, before anybody speaks.

use super::file::{FileTalk, Role};
use crate::arguments::As;

/// People who speak, the conversations they share, and what they will say there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Names; everybody is in one conversation.
    pub(crate) people: Vec<String>,
    /// Members of each conversation, the founder first.
    pub(crate) homes: Vec<Vec<usize>>,
    /// What is said; each talk goes on by itself.
    pub(crate) talks: Vec<Talk>,
}

/// Lines that follow each other: each is said after its speaker heard the one before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Talk {
    pub(crate) home: usize,
    pub(crate) lines: Vec<Line>,
}

/// One line of a script.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) speaker: usize,
    pub(crate) text: String,
}

const FIRST: [&str; 16] = [
    "Juniper", "Marigold", "Rowan", "Clover", "Sorrel", "Linden", "Hazel", "Tansy", "Bramble",
    "Yarrow", "Fennel", "Laurel", "Myrtle", "Saffron", "Thistle", "Willow",
];
const SECOND: [&str; 16] = [
    "Harbor", "Meadow", "Lantern", "Orchard", "Pebble", "Thicket", "Hollow", "Ferry", "Garden",
    "Quarry", "Rafter", "Saddle", "Timber", "Valley", "Window", "Yonder",
];

/// The name of the person with this number: long enough that it stands nowhere by chance.
pub(crate) fn full_name(number: usize) -> String {
    let pick = |list: [&'static str; 16], at: usize| list.get(at % 16).copied().unwrap_or_default();
    format!(
        "{} {} {number:04}",
        pick(FIRST, number),
        pick(SECOND, number / 16 + number)
    )
}

impl Plan {
    /// A file's conversations, each between two people of its own, or all in one room.
    pub(crate) fn of_file(talks: Vec<FileTalk>, kind: As, members: usize) -> Self {
        match kind {
            As::Chats => Self::chats(talks),
            As::Room => Self::room(talks, members),
        }
    }

    fn chats(talks: Vec<FileTalk>) -> Self {
        let mut plan = Self {
            people: (0..talks.len() * 2).map(full_name).collect(),
            ..Self::default()
        };
        for (home, talk) in talks.into_iter().enumerate() {
            let (supporter, seeker) = (home * 2, home * 2 + 1);
            plan.homes.push(vec![supporter, seeker]);
            plan.talks.push(speak(home, talk, supporter, seeker));
        }
        plan
    }

    /// The two roles of each conversation go round the members, so that all speak.
    fn room(talks: Vec<FileTalk>, members: usize) -> Self {
        let speaker = |number: usize| number.checked_rem(members).unwrap_or(0);
        let spoken = talks
            .into_iter()
            .enumerate()
            .map(|(at, talk)| speak(0, talk, speaker(at * 2), speaker(at * 2 + 1)));
        Self {
            people: (0..members).map(full_name).collect(),
            homes: vec![(0..members).collect()],
            talks: spoken.collect(),
        }
    }

    /// Lines of all talks.
    pub(crate) fn lines(&self) -> usize {
        self.talks.iter().map(|talk| talk.lines.len()).sum()
    }
}

fn speak(home: usize, talk: FileTalk, supporter: usize, seeker: usize) -> Talk {
    let lines = talk.into_iter().map(|turn| Line {
        speaker: match turn.role {
            Role::Supporter => supporter,
            Role::Seeker => seeker,
        },
        text: turn.text,
    });
    Talk {
        home,
        lines: lines.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::file::FileTurn;
    use super::*;

    fn talks(count: usize) -> Vec<FileTalk> {
        let turn = |role| FileTurn {
            role,
            text: "words".into(),
        };
        (0..count)
            .map(|_| vec![turn(Role::Supporter), turn(Role::Seeker)])
            .collect()
    }

    #[test]
    fn every_chat_has_two_people_of_its_own() {
        let plan = Plan::of_file(talks(3), As::Chats, 12);
        assert_eq!(plan.homes, [[0, 1], [2, 3], [4, 5]]);
        assert_eq!(plan.lines(), 6);
        let names: BTreeSet<_> = plan.people.iter().collect();
        assert_eq!(names.len(), 6);
    }

    #[test]
    fn in_a_room_every_member_speaks() {
        let plan = Plan::of_file(talks(7), As::Room, 12);
        assert_eq!(plan.homes.len(), 1);
        let speakers: BTreeSet<_> = plan
            .talks
            .iter()
            .flat_map(|talk| talk.lines.iter().map(|line| line.speaker))
            .collect();
        assert_eq!(speakers, (0..12).collect());
    }

    #[test]
    fn names_are_long_and_differ() {
        let names: BTreeSet<_> = (0..1_000).map(full_name).collect();
        assert_eq!(names.len(), 1_000);
        assert!(names.iter().all(|name| name.len() >= 16));
    }
}
