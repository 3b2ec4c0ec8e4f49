//! The numbers of asking a desk and of being on duty at one.

use super::{By, FORM, Inside, LOGS, PACE, Rows, Shown};

const KEYS: Shown = By(&["keys_of_as_many_cards_as_the_limit_are_taken_and_not_one_more"]);
const PUT_OFF: Shown =
    By(&["a_log_that_the_relay_does_not_make_is_asked_for_ever_more_seldom_and_told_of_once"]);
const LADDER: Shown = By(&["who_holds_the_talk_is_reminded_three_times_and_nothing_else_happens"]);
const TALK: Shown =
    By(&["who_may_speak_and_an_agreement_may_be_as_long_as_their_limits_and_no_longer"]);
const TICKETS: Shown = By(&["a_ticket_may_be_as_long_as_its_limits_and_no_longer"]);

pub(super) const DUTY: &[(&str, Rows)] = &[
    (
        "desk/team.rs",
        &[
            ("OPENINGS_MAX", KEYS),
            ("KEYS_BYTES_MAX", KEYS),
            ("LETTERS_TTL_DAYS", LOGS),
        ],
    ),
    (
        "desk/ticket.rs",
        &[
            ("TICKET_WORDS_BYTES_MAX", TICKETS),
            ("CHOICE_BYTES_MAX", TICKETS),
            ("CHOICES_MAX", TICKETS),
        ],
    ),
    (
        "desk/numbers.rs",
        &[(
            "SHOWN_MIN",
            By(&["a_count_shows_no_number_below_five_wherever_it_comes_from"]),
        )],
    ),
    (
        "desk/audit.rs",
        &[
            (
                "KEPT_DAYS",
                By(&["numbers_and_records_are_kept_over_a_restart_and_for_400_days"]),
            ),
            (
                "RECORDS_MAX",
                By(&["as_many_records_and_places_as_the_limits_are_kept_and_not_one_more"]),
            ),
        ],
    ),
    (
        "engine/numbers.rs",
        &[
            (
                "SEEN_MAX",
                By(&["as_many_records_and_places_as_the_limits_are_kept_and_not_one_more"]),
            ),
            (
                "CALLS_KNOWN_MAX",
                By(&["a_call_that_is_said_again_counts_once_for_as_many_calls_as_the_limit"]),
            ),
            (
                "ASK_AGAIN_MS",
                By(&["an_office_knows_how_far_the_queues_go_before_it_judges_a_place"]),
            ),
            (
                "SEEN_DAYS",
                By(&["places_are_known_for_as_long_as_a_letter_lies_and_no_longer"]),
            ),
        ],
    ),
    (
        "engine/heads.rs",
        &[(
            "HEADS_MAX",
            By(&["members_keep_what_the_office_signed_and_are_told_of_a_chain_that_goes_back"]),
        )],
    ),
    (
        "engine/gone.rs",
        &[("SAY_AFTER_MS", PACE), ("SAY_JITTER_MS", PACE)],
    ),
    (
        "engine/asking.rs",
        &[
            ("PLACE_EVERY_MS", PACE),
            ("PLACE_JITTER_MS", PACE),
            ("LETTER_PLACE_EVERY_MS", PACE),
            ("LAST_LOOK_ENTRIES", PACE),
            ("FIRST_WORDS", FORM),
        ],
    ),
    (
        "engine/office.rs",
        &[
            ("QUEUE_TTL_DAYS", LOGS),
            ("TICKETS_PER_MINUTE", LOGS),
            (
                "TICKET_BYTES",
                By(&["as_many_wait_as_may_and_the_next_hears_that_it_is_full"]),
            ),
            (
                "CAPACITY_MAX",
                By(&["a_desk_lets_as_many_wait_as_the_limit_says_and_not_one_more"]),
            ),
            ("LETTERS_MAX", LOGS),
        ],
    ),
    (
        "engine/duty.rs",
        &[
            (
                "TICKETS_SHOWN_MAX",
                By(&["as_many_tickets_as_the_limit_are_shown_and_one_more_waits"]),
            ),
            (
                "JUNK_KNOWN_MAX",
                By(&["each_queue_has_room_of_its_own_and_so_many_entries_are_known_to_be_none"]),
            ),
            ("LOOK_AGAIN_MS", PACE),
            ("LOOK_ENTRIES", PACE),
        ],
    ),
    (
        "engine/waits.rs",
        &[
            (
                "CLAIMS_KEPT_MAX",
                By(&[
                    "the_office_keeps_as_many_claims_as_the_limit_one_of_each_ticket_and_over_a_restart",
                ]),
            ),
            (
                "TELL_EVERY_MS",
                By(&[
                    "the_card_tells_the_pace_every_two_minutes_while_people_are_answered_and_then_every_five",
                ]),
            ),
            (
                "TELL_AGAIN_MS",
                By(&[
                    "the_card_tells_the_pace_every_two_minutes_while_people_are_answered_and_then_every_five",
                ]),
            ),
            (
                "LATE_MINUTES",
                By(&["a_note_of_a_time_when_the_office_was_away_counts_for_its_own"]),
            ),
        ],
    ),
    (
        "engine/rereading.rs",
        &[
            (
                "FRESH_MS",
                By(&["a_ticket_that_waited_goes_out_by_the_card_as_it_is_then"]),
            ),
            (
                "READ_EVERY_MS",
                By(&["who_waits_reads_the_card_every_two_minutes_and_says_no_more_than_it_does"]),
            ),
        ],
    ),
    (
        "engine/putting_off.rs",
        &[("FIRST_MS", PUT_OFF), ("LAST_MS", PUT_OFF)],
    ),
    ("content/draft.rs", &[("DRAFT_BYTES_MAX", TALK)]),
    (
        "engine/draft.rs",
        &[
            (
                "DRAFTS_MAX",
                By(&["as_many_drafts_as_the_limit_wait_and_one_more_is_refused"]),
            ),
            (
                "OPEN_DRAFTS_MAX",
                By(&["a_readers_device_keeps_so_many_drafts_and_not_one_more"]),
            ),
            (
                "DECIDED_KEPT_MAX",
                Inside("what is handed on again is handed on at once, and not after so many"),
            ),
        ],
    ),
    ("client/review.rs", &[("LOOK_AGAIN", PACE)]),
    ("content/floor.rs", &[("AGREEMENT_BYTES_MAX", TALK)]),
    (
        "engine/ending.rs",
        &[
            (
                "SOON_MINUTES",
                By(&[
                    "an_end_is_told_when_it_is_set_when_five_minutes_are_left_and_when_it_is_there",
                ]),
            ),
            (
                "CLOSES_SOON_MINUTES",
                By(&[
                    "a_room_that_closes_says_so_two_weeks_before_and_nothing_more_is_said_in_it_then",
                ]),
            ),
            ("MINUTE_MS", FORM),
        ],
    ),
    (
        "engine/quiet.rs",
        &[("QUIET_EVERY_MS", LADDER), ("QUIET_STEPS", LADDER)],
    ),
    ("engine/tidying.rs", &[("LEASE_MS", PACE)]),
    ("engine/taking.rs", &[("RENEW_EVERY_MS", PACE)]),
];
