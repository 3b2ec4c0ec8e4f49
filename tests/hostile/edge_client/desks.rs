//! The numbers of a desk's card, its hours and its address, and of reading them.

use super::{By, FORM, LOGS, Rows, Shown};

const CARDS: Shown = By(&["a_card_may_be_as_long_as_its_limits_and_no_longer"]);
const HOURS: Shown = By(&["hours_are_bounded_and_a_zone_must_be_known"]);

pub(super) const DESKS: &[(&str, Rows)] = &[
    (
        "desk/address.rs",
        &[
            ("MEMORY_KIB", FORM),
            ("PASSES", FORM),
            ("LOG_BYTES_MAX", LOGS),
        ],
    ),
    (
        "desk/card.rs",
        &[
            ("DESK_NAME_BYTES_MAX", CARDS),
            ("DESK_TOPICS_MAX", CARDS),
            ("DESK_TOPIC_BYTES_MAX", CARDS),
            ("DESK_TERMS_BYTES_MAX", CARDS),
            ("DESK_RESOURCES_MAX", CARDS),
            ("RESOURCE_BYTES_MAX", CARDS),
            (
                "SOON_MS",
                By(&["a_state_is_never_an_error_and_leaves_choices"]),
            ),
        ],
    ),
    (
        "desk/hours.rs",
        &[
            ("DESK_SLOTS_MAX", HOURS),
            ("DESK_DATES_MAX", HOURS),
            ("ZONE_BYTES_MAX", HOURS),
            ("DATE_MAX", HOURS),
            ("DAY_MINUTES", FORM),
            (
                "SEARCH_DAYS",
                By(&["an_opening_is_looked_for_in_more_than_a_year_and_no_further"]),
            ),
            (
                "LONG_DAYS",
                By(&["who_is_there_for_a_week_without_a_break_has_no_end"]),
            ),
        ],
    ),
    (
        "client/desk.rs",
        &[
            (
                "VISIT_MAX",
                By(&["a_visit_to_a_desk_may_take_a_minute_and_no_longer"]),
            ),
            (
                "FRESH_MS",
                By(&["a_card_is_read_again_after_a_minute_and_not_before"]),
            ),
            (
                "DESKS_MAX",
                By(&["numbers_of_so_many_desks_are_kept_and_the_one_visited_longest_ago_goes"]),
            ),
        ],
    ),
];
