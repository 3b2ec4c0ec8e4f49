//! What is said in the built-in demo. Invented; about nobody.

/// Who is in it: two who chat, then the room's founder and five others, and the removed one under a
/// new name. Long enough that a name stands nowhere by chance, and none is a word of the narration.
pub(super) const NAMES: [&str; 9] = [
    "Amaranth of the Ferry",
    "Bergamot by the Window",
    "Cardamom from Upstairs",
    "Damson on the Hill",
    "Elderflower Lane Nine",
    "Foxglove in the Rain",
    "Gooseberry at the Gate",
    "Hawthorn Coming Late",
    "Gooseberry Once Again",
];

/// The chat: (who, what); the supporter is 0.
pub(super) const CHAT: [(usize, &str); 12] = [
    (0, "Hello, I'm here. Take all the time you need."),
    (1, "I don't know where to begin, honestly."),
    (0, "Anywhere. The middle is a good place too."),
    (1, "It has been three weeks since I slept through a night."),
    (1, "And everybody keeps telling me to just relax. 🙃"),
    (0, "That word. I heard it for a year myself."),
    (0, "What is the night like, when you lie awake?"),
    (1, "Loud. Everything I did not say comes back at once."),
    (
        0,
        "Then say one of those things here. Nobody else reads it.",
    ),
    (1, "I miss my brother, and I am angry with him for going."),
    (0, "Both at the same time. I know that one well."),
    (1, "Thank you. Nobody let me say the second half before."),
];

/// The room, before the sixth came in.
pub(super) const ROOM: [(usize, &str); 8] = [
    (
        2,
        "Welcome, everyone. Say as much or as little as you like.",
    ),
    (3, "Hello! First time here, so I may only listen today."),
    (4, "Listening counts. I did it for a month."),
    (5, "שלום לכולם, טוב לראות אתכם שוב הערב"),
    (
        6,
        "Same for me. It was a long week, and I am glad it is over.",
    ),
    (2, "What carried you through it, if anything did?"),
    (4, "A walk by the river every evening, even in the rain."),
    (3, "For me it was knowing that this evening would come."),
];

/// When the sixth is there.
pub(super) const LATE: [(usize, &str); 5] = [
    (
        7,
        "Sorry to be late, the tram stood still for half an hour.",
    ),
    (2, "Good that you made it. We were at what carries us."),
    (5, "I began to bake bread. It is terrible bread so far."),
    (7, "Terrible bread is how mine began as well. 🍞"),
    (6, "Count me in for the terrible bread."),
];

/// While one of them has no line.
pub(super) const GAP: [(usize, &str); 3] = [
    (2, "Somebody's line went away; they will find this later."),
    (7, "We go on quietly until they are back with us."),
    (2, "Nothing of what we say meanwhile is lost to them."),
];

/// What the one without a line writes meanwhile.
pub(super) const FROM_THE_TUNNEL: &str = "I am in a tunnel; this waits on my phone until I am out.";

/// Said by everybody at once while the relay falls; a number is added.
pub(super) const BURST: [&str; 4] = [
    "I was just about to say something important",
    "and then the screen said that there is no line",
    "but whatever I write stays here until it went out",
    "and nobody has to read it twice, or guess the order",
];

/// After the removal, among those who stayed.
pub(super) const AFTER: [(usize, &str); 4] = [
    (
        2,
        "I asked them to go. It was not all right what they wrote.",
    ),
    (3, "Thank you for doing it. I did not dare to say so."),
    (7, "The room feels like ours again."),
    (4, "Same time next week? I will bring better bread."),
];

/// What the removed one tries to say.
pub(super) const REFUSED: &str = "You cannot get rid of me that easily.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_is_long_enough_to_be_searched_for() {
        let all = CHAT
            .iter()
            .chain(&ROOM)
            .chain(&LATE)
            .chain(&GAP)
            .chain(&AFTER);
        let mut spoken = all.map(|(_, text)| *text).chain(BURST);
        assert!(spoken.all(|text| text.len() >= 16));
        assert!(NAMES.iter().all(|name| (16..=64).contains(&name.len())));
    }

    #[test]
    fn nobody_speaks_where_they_are_not() {
        assert!(CHAT.iter().all(|(who, _)| *who < 2));
        assert!(ROOM.iter().all(|(who, _)| (2..7).contains(who)));
        assert!(LATE.iter().all(|(who, _)| (2..8).contains(who)));
        // Who loses the line is one of 3 to 5; who is removed is 6.
        assert!(GAP.iter().all(|(who, _)| [2, 7].contains(who)));
        assert!(AFTER.iter().all(|(who, _)| [2, 3, 4, 5, 7].contains(who)));
    }
}
