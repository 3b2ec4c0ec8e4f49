//! What is said while one waits at a desk: in `sotto desk ask`, and later in `sotto chat`.

use serde_json::json;
use sotto_client::{Event, Place};

use crate::output::Output;
use crate::said::{of_a_place, of_a_ticket};

/// Says what became of a ticket; whether the event was of one.
pub(crate) fn told(event: &Event, output: &Output) -> bool {
    if let Event::Place(place) = event {
        show_place(*place, output);
        return true;
    }
    let Some((kind, words)) = of_a_ticket(event) else {
        return false;
    };
    output.object(&json!({"type": kind}));
    output.note(words);
    true
}

/// Whether nobody answers, for now or at all.
pub(crate) const fn is_a_no(event: &Event) -> bool {
    matches!(
        event,
        Event::DeskFull | Event::DeskClosed | Event::Unanswered | Event::Refused
    )
}

/// The place, as the relay told it.
pub(crate) fn show_place(place: Place, output: &Output) {
    let (ahead, taken) = (place.ahead, place.is_taken);
    let wait = place
        .wait
        .map(|wait| json!({"from_s": wait.from_s, "to_s": wait.to_s}));
    output.object(&json!({"type": "place", "ahead": ahead, "taken": taken, "wait": wait}));
    output.words(&format!("* {}", of_a_place(place)));
}

#[cfg(test)]
mod tests {
    use sotto_client::WaitRange;

    use super::*;

    #[test]
    fn a_place_is_said_as_exactly_as_it_is_known() {
        let said = |ahead, is_taken, wait| {
            of_a_place(Place {
                ahead,
                is_taken,
                wait,
            })
        };
        let wait = Some(WaitRange {
            from_s: 300,
            to_s: 540,
        });
        assert_eq!(
            said(0, false, None),
            "You are next. How long it takes, we can't say."
        );
        assert_eq!(
            said(4, false, wait),
            "4 are before you. The wait by what was so lately: about 5 to 9 minutes."
        );
        assert!(said(25, false, None).starts_with("About 25 are before you."));
        assert_eq!(
            said(3, true, wait),
            "Somebody has taken your ticket and is about to answer."
        );
    }

    #[test]
    fn what_becomes_of_a_ticket_has_words_and_the_rest_is_left_to_the_chat() {
        let output = Output::new(true);
        let of_a_ticket = [
            Event::Knocked,
            Event::DeskFull,
            Event::DeskClosed,
            Event::Unanswered,
        ];
        for event in of_a_ticket {
            assert!(told(&event, &output), "{event:?}");
        }
        assert!(!told(&Event::Rotated, &output));
    }
}
