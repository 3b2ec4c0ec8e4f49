//! What is said while one waits at a desk: in `sotto desk ask`, and later in `sotto chat`.

use serde_json::json;
use sotto_client::{Event, NO_RANGE_TEXT, Place, Undone};

use crate::output::Output;

/// Says what became of a ticket; whether the event was of one.
pub(crate) fn told(event: &Event, output: &Output) -> bool {
    let (kind, words) = match event {
        Event::Place(place) => {
            show_place(*place, output);
            return true;
        }
        Event::Knocked => ("queued", "You are in the queue."),
        Event::DeskFull => (
            "desk_full",
            "As many wait as can be answered. It is tried again every minute; you can also leave a \
             letter with `sotto desk letter`.",
        ),
        Event::Unanswered => (
            "unanswered",
            "Nobody could answer in time, and your place is gone. That has nothing to do with you. \
             Please ask again, or leave a letter: it is answered when somebody is there.",
        ),
        Event::DeskClosed => (
            "desk_closed",
            "The desk has closed for now, and your place is given back. That has nothing to do with you. \
             You can leave a letter with `sotto desk letter`, or ask again when it opens.",
        ),
        Event::Refused => (
            "desk_changed",
            "The desk takes nothing with the card that was read. Please ask again, or leave a letter.",
        ),
        Event::PutOff {
            what: Undone::Inbox,
            ..
        } => (
            "put_off",
            "The relay makes no inbox for the answer for now; it is asked again, and your ticket \
             goes out then.",
        ),
        _ => return false,
    };
    output.object(&json!({"type": kind}));
    output.note(words);
    true
}

/// The place, as the relay told it.
pub(crate) fn show_place(place: Place, output: &Output) {
    let (ahead, taken) = (place.ahead, place.is_taken);
    let wait = place
        .wait
        .map(|wait| json!({"from_s": wait.from_s, "to_s": wait.to_s}));
    output.object(&json!({"type": "place", "ahead": ahead, "taken": taken, "wait": wait}));
    output.words(&format!("* {}", words_of(place)));
}

fn words_of(place: Place) -> String {
    let stands = stands(place);
    match place.wait {
        _ if place.is_taken => stands,
        Some(wait) => format!("{stands} The wait by what was so lately: {wait}."),
        None => format!("{stands} How long it takes, {NO_RANGE_TEXT}."),
    }
}

fn stands(place: Place) -> String {
    match (place.is_taken, place.ahead) {
        (true, _) => "Somebody has taken your ticket and is about to answer.".to_owned(),
        (false, 0) => "You are next.".to_owned(),
        (false, 1) => "One is before you.".to_owned(),
        (false, ahead @ 2..5) => format!("{ahead} are before you."),
        (false, ahead) => format!("About {ahead} are before you."),
    }
}

#[cfg(test)]
mod tests {
    use sotto_client::WaitRange;

    use super::*;

    #[test]
    fn a_place_is_said_as_exactly_as_it_is_known() {
        let said = |ahead, is_taken, wait| {
            words_of(Place {
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
