//! How words of other people are shown: so that they cannot write beyond their place on the screen.

/// What stands in place of a character that could move the cursor or turn the writing around.
const HIDDEN: char = '\u{fffd}';

/// A text for a terminal: line ends become blanks, control characters and those that change the
/// direction of what follows become a mark.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .map(|one| match one {
            '\n' | '\t' => ' ',
            _ if is_trick(one) => HIDDEN,
            _ => one,
        })
        .collect()
}

/// The same, cut to so many characters.
pub(crate) fn shown_short(text: &str, characters_max: usize) -> String {
    let whole = shown(text);
    if whole.chars().count() <= characters_max {
        return whole;
    }
    let mut cut: String = whole
        .chars()
        .take(characters_max.saturating_sub(1))
        .collect();
    cut.push('…');
    cut
}

fn is_trick(one: char) -> bool {
    one.is_control()
        || matches!(one, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_writes_beyond_their_line() {
        assert_eq!(
            shown("a\u{1b}[2Jb\r\nAna: c"),
            "a\u{fffd}[2Jb\u{fffd} Ana: c"
        );
        assert_eq!(shown("\u{202e}olleh"), "\u{fffd}olleh");
        assert_eq!(shown("שלום 🌿 ok"), "שלום 🌿 ok");
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(shown_short("grüße", 5), "grüße");
        assert_eq!(shown_short("grüße!", 5), "grüß…");
    }
}
