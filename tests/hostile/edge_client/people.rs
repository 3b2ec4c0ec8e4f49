//! The numbers of what people say and of who may do what, of who is offered to whom, and of what is
//! said of the wait.

use super::{BODIES, By, DEAD, FORM, Inside, PACE, Rows, Shown};

/// How a range is computed; what that comes to is measured.
const HONEST: Shown = By(&["eight_in_ten_waits_end_inside_the_range_on_any_evening"]);

/// What an organisation says, on both sides.
const SAID: Shown = By(&["attributes_and_lists_may_be_as_long_as_their_limits_and_no_longer"]);
const BATCHES: Shown = By(&["a_batch_holds_as_many_badges_as_its_limit_and_a_device_too"]);

pub(super) const PEOPLE: &[(&str, Rows)] = &[
    (
        "content.rs",
        &[
            ("TEXT_BYTES_MAX", BODIES),
            ("NAME_BYTES_MAX", BODIES),
            ("REACTION_BYTES_MAX", BODIES),
            ("RECEIPTS_MAX", BODIES),
            ("ROSTER_MAX", BODIES),
            ("RETOLD_LINES_MAX", BODIES),
            ("RETOLD_BYTES_MAX", BODIES),
            ("CALL_BYTES_MAX", BODIES),
            (
                "GONE_MAX",
                By(&["as_many_as_the_limit_are_said_to_be_gone_at_once"]),
            ),
            (
                "RATED_MAX",
                By(&["as_many_ratings_as_the_limit_are_said_at_once_and_the_rest_later"]),
            ),
            ("DOOR_SEALED_BYTES", FORM),
        ],
    ),
    (
        "policy.rs",
        &[
            ("CLIENT_VERSION", FORM),
            ("DEAD_DAYS", DEAD),
            ("UNDATED", FORM),
            ("WITNESSES", DEAD),
            (
                "LET_GO_MAX",
                By(&["a_commit_lets_sixty_four_go_and_not_one_more"]),
            ),
            (
                "FACILITATORS_MAX",
                By(&["a_policy_names_as_many_facilitators_as_its_limit_and_no_more"]),
            ),
            (
                "HOSTS_MAX",
                By(&["a_policy_names_as_many_hosts_as_its_limit_and_none_twice"]),
            ),
        ],
    ),
    (
        "desk/badge.rs",
        &[
            ("BADGE_ATTRIBUTE_BYTES_MAX", SAID),
            ("BADGE_ATTRIBUTES_MAX", SAID),
            (
                "BADGE_DAYS_MAX",
                By(&[
                    "nothing_is_issued_that_is_not_in_the_list_or_not_until_a_sunday_soon",
                    "a_badge_that_would_be_good_for_longer_than_two_weeks_cannot_be_checked",
                ]),
            ),
            (
                "CHECKED_MS",
                By(&["who_hears_nothing_of_what_is_revoked_for_a_day_cannot_check"]),
            ),
            (
                "BADGE_BYTES_MAX",
                By(&["a_badge_and_a_text_may_be_as_long_as_their_limits_and_no_longer"]),
            ),
        ],
    ),
    (
        "desk/badge/batch.rs",
        &[
            ("BADGE_BATCH_MAX", BATCHES),
            ("BADGES_KEPT_MAX", BATCHES),
            (
                "REVOKED_MAX",
                By(&["a_list_of_revoked_badges_is_as_long_as_its_limit_and_forgets_what_is_over"]),
            ),
            (
                "TEXT_BYTES_MAX",
                By(&["a_badge_and_a_text_may_be_as_long_as_their_limits_and_no_longer"]),
            ),
        ],
    ),
    (
        "engine/badging.rs",
        &[
            (
                "TRUSTED_MAX",
                By(&["a_conversation_trusts_as_many_organisations_as_the_limit_and_not_one_more"]),
            ),
            (
                "TAKEN_BACK_MAX",
                By(&["badges_taken_back_are_remembered_up_to_a_bound_and_the_oldest_goes_first"]),
            ),
        ],
    ),
    (
        "vault/lock.rs",
        &[(
            "OVERWRITTEN_BYTES_MAX",
            By(&["of_a_large_vault_so_much_is_overwritten_and_not_a_byte_more"]),
        )],
    ),
    (
        "people/safe.rs",
        &[(
            "SAFE_WORD_BYTES_MAX",
            By(&["a_safe_word_is_the_same_however_it_is_typed_and_as_long_as_its_limit"]),
        )],
    ),
    (
        "engine/safety.rs",
        &[(
            "SAFE_TRIES_MAX",
            By(&["who_has_only_the_words_stays_unverified_and_three_tries_are_all"]),
        )],
    ),
    ("client/safety.rs", &[("LOOK_AGAIN", PACE)]),
    (
        "engine/parting.rs",
        &[(
            "FEW_MAX",
            By(&["eight_members_hear_who_is_away_and_nine_do_not"]),
        )],
    ),
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
                "LOOKED_AT_MAX",
                By(&["of_a_list_so_many_are_looked_at_and_not_one_more"]),
            ),
        ],
    ),
    (
        "desk/range.rs",
        &[
            (
                "BELIEVED_MS",
                By(&["who_waits_reads_the_card_every_two_minutes_and_says_no_more_than_it_does"]),
            ),
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
            ("ONE", Inside("how finely deviations are counted")),
            ("AS_GUESSED", Inside("where they are counted from")),
        ],
    ),
];
