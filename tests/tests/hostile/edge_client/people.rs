//! The numbers of who is offered to whom, and of what is said of the wait.

use super::{By, Inside, Rows, Shown};

/// How a range is computed; what that comes to is measured.
const HONEST: Shown = By(&["eight_in_ten_waits_end_inside_the_range_on_any_evening"]);

pub(super) const PEOPLE: &[(&str, Rows)] = &[
    (
        "desk/matching.rs",
        &[
            (
                "LONG_MS",
                By(&[
                    "a_ticket_that_waited_long_is_for_everyone_with_its_language_and_then_for_everyone",
                ]),
            ),
            (
                "VERY_LONG_MS",
                By(&[
                    "a_ticket_that_waited_long_is_for_everyone_with_its_language_and_then_for_everyone",
                ]),
            ),
            (
                "UNSEEN_MS",
                By(&["who_was_not_seen_for_long_is_offered_last_and_not_dropped"]),
            ),
            (
                "LOOKED_AT_MAX",
                By(&["of_a_list_so_many_are_looked_at_and_not_one_more"]),
            ),
        ],
    ),
    (
        "desk/range.rs",
        &[
            (
                "MEASURED_MAX",
                By(&["claims_past_the_limit_and_claims_of_the_future_change_nothing"]),
            ),
            (
                "HISTORY_MAX",
                By(&["as_many_claims_as_the_limit_are_looked_at_and_not_one_more"]),
            ),
            (
                "MEASURED_MIN",
                By(&["nothing_is_said_with_one_measured_claim_too_few"]),
            ),
            (
                "PACE_MIN",
                By(&[
                    "nothing_is_said_by_a_desk_that_opened_just_now_or_has_done_nothing_for_long",
                ]),
            ),
            (
                "PAUSE_MS",
                By(&[
                    "nothing_is_said_by_a_desk_that_opened_just_now_or_has_done_nothing_for_long",
                ]),
            ),
            ("PACE_CLAIMS", HONEST),
            ("INSIDE_PER_CENT", HONEST),
            ("GUESS_MIN_MS", HONEST),
            ("ONE", Inside("how finely ratios are counted")),
        ],
    ),
];
