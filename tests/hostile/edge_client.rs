//! The same for the client: every number that bounds what it keeps, reads or waits for stands in the
//! table here, by the file where it and its reason stand.

use std::collections::BTreeSet;
use std::path::Path;

use super::edge::{root, test_names};

mod desks;
mod duty;
mod people;

/// How a number is shown to hold, or why there is nothing to show.
enum Shown {
    /// By these tests: what is at the limit passes; what is past it is refused, waits, or is cut.
    By(&'static [&'static str]),
    /// Nobody but the client itself can bring it about: why.
    Inside(&'static str),
}
use Shown::{By, Inside};

/// No bound at all.
const FORM: Shown = Inside("a length, a number or a cost of the format, which vectors fix");
const PACE: Shown = Inside("when something is done or how much at once; the rest is done later");
/// Asked of the relay, which holds everybody to it.
const LOGS: Shown = By(&["logs_have_the_grants_and_policies_of_the_specification"]);
const BODIES: Shown = By(&["a_body_may_be_as_long_as_its_limits_and_no_longer"]);
const LINKS: Shown = By(&["an_address_and_a_link_may_be_as_long_as_their_limits_and_no_longer"]);
const VAULT: Shown =
    By(&["a_vault_takes_what_is_at_its_limits_and_refuses_what_is_past_them_whole"]);
const STRETCH: Shown = By(&["a_vaults_file_cannot_ask_for_more_memory_or_time_than_the_limits"]);
const REFUSED: Shown = By(&["a_refusal_is_waited_out_worked_off_or_told_and_not_for_ever"]);
const SILENT: Shown = By(&["a_relay_that_says_nothing_is_given_up"]);
const VOID: Shown = By(&["three_refusals_and_quiet_make_it_void"]);
const DEAD: Shown = By(&["nobody_makes_a_living_leaf_look_dead"]);
const SOCKET: Shown = By(&["no_limit_is_the_librarys"]);
const WAITS: Shown = By(&["waits_double_and_end_at_their_longest"]);
const PRIVACY: Shown =
    By(&["receipts_come_late_and_typing_once_in_ten_seconds_in_an_entry_like_any_other"]);
const WANTED: Shown = By(&["as_many_attachments_as_the_limit_are_wanted_and_one_more_is_refused"]);
const PACKAGES: Shown = By(&["keys_of_packages_are_kept_up_to_a_bound_and_the_oldest_goes_first"]);
const PADDED: Shown = By(&["whatever_is_said_at_a_desk_goes_as_one_frame_of_one_length"]);
const OUTGOING: Shown = By(&["a_line_is_given_up_with_one_byte_more_than_may_wait_for_it"]);
const FETCHING: Shown = By(&["as_many_calls_as_the_limit_wait_for_attachments_and_not_one_more"]);
const PAGES: Shown = By(&["a_log_without_an_end_is_read_up_to_its_limit_and_not_one_entry_more"]);
const CONNECT: Shown = By(&["a_relay_may_take_half_a_minute_to_let_one_connect_and_no_longer"]);
const SEND: Shown = By(&["a_message_may_take_three_minutes_to_be_handed_over_and_no_longer"]);
const VISIT: Shown = By(&["a_visit_for_a_backup_may_take_five_minutes_and_no_longer"]);

type Rows = &'static [(&'static str, Shown)];

const LOG: &[(&str, Rows)] = &[
    (
        "log/mod.rs",
        &[
            (
                "WINDOW",
                By(&["a_reader_that_consumes_nothing_gets_one_window_and_no_more"]),
            ),
            (
                "ASKS_MAX",
                By(&["more_asks_than_fit_are_answered_busy_at_once"]),
            ),
            (
                "ASK_BYTES_MAX",
                By(&["asks_of_more_bytes_than_fit_are_answered_busy_at_once"]),
            ),
            (
                "WORK_BITS_INLINE",
                By(&["work_is_handed_out_from_one_bit_past_what_is_done_on_the_spot"]),
            ),
            ("HANDSHAKE_TIMEOUT_MS", SILENT),
            ("ANSWER_TIMEOUT_MS", SILENT),
            (
                "WITHHELD_AFTER_MS",
                By(&["a_tail_withheld_is_named_in_time"]),
            ),
        ],
    ),
    (
        "log/incoming.rs",
        &[
            (
                "EVENTS_MAX",
                By(&["a_relay_that_floods_with_notices_is_hung_up_on_at_the_bound"]),
            ),
            ("WORK_TRIES_INLINE", PACE),
        ],
    ),
    (
        "log/reader.rs",
        &[
            (
                "RECENT_MAX",
                By(&[
                    "chain_values_are_kept_for_so_many_entries_and_an_older_one_is_only_a_repeat",
                ]),
            ),
            (
                "TOLD_MAX",
                By(&["places_that_the_relay_told_of_are_kept_up_to_a_bound_the_nearest_first"]),
            ),
            (
                "HOLES_MAX",
                By(&["holes_are_remembered_up_to_a_bound_and_what_fills_an_older_one_is_a_repeat"]),
            ),
        ],
    ),
    (
        "log/ask.rs",
        &[
            ("WAIT_MS", REFUSED),
            ("FAULTS_MAX", REFUSED),
            ("WORKS_MAX", REFUSED),
        ],
    ),
    (
        "log/outgoing.rs",
        &[
            (
                "CREDITS_MAX",
                By(&["credits_that_may_be_refused_are_remembered_up_to_a_bound"]),
            ),
            ("APPEND_PADDED_BYTES", PADDED),
            ("PAD_BYTES_MIN", PADDED),
            ("PAD_FRAME_BYTES", PADDED),
        ],
    ),
    ("log/line.rs", &[("HANDSHAKE_BYTES_MAX", FORM)]),
];

const CONTENT: &[(&str, Rows)] = &[
    (
        "attachment.rs",
        &[
            (
                "ATTACHMENT_BYTES_MAX",
                By(&["of_an_attachment_that_is_one_byte_too_long_nothing_is_sent_or_kept"]),
            ),
            ("ATTACHMENT_NAME_BYTES_MAX", BODIES),
            ("MEDIA_TYPE_BYTES_MAX", BODIES),
            (
                "ATTACHMENTS_UNSENT_MAX",
                By(&["more_attachments_than_may_wait_are_refused"]),
            ),
            ("ATTACHMENTS_WANTED_MAX", WANTED),
            ("NONCE_BYTES", FORM),
            ("TAG_BYTES", FORM),
            ("CHUNK_BYTES", FORM),
            (
                "CHUNKS_MAX",
                By(&["lengths_come_in_few_steps_and_nothing_is_left_out"]),
            ),
            ("CHUNKS_AT_ONCE", PACE),
            ("LOG_BYTES_MAX", LOGS),
        ],
    ),
    (
        "link.rs",
        &[("URL_BYTES_MAX", LINKS), ("LINK_BYTES_MAX", LINKS)],
    ),
    (
        "seal.rs",
        &[
            ("NONCE_BYTES", FORM),
            ("TAG_BYTES", FORM),
            ("LENGTH_BYTES", FORM),
            ("BOX_BYTES", FORM),
            ("PART_BYTES", FORM),
            ("PART_PAYLOAD_BYTES", FORM),
            (
                "ENVELOPE_BYTES_MAX",
                By(&["a_mebibyte_fits_and_more_is_refused"]),
            ),
        ],
    ),
    (
        "seal/letter.rs",
        &[
            ("ENC_BYTES", FORM),
            ("LETTER_BYTES", FORM),
            ("PIECE_BYTES", FORM),
            ("PARTS_MAX", By(&["a_letter_of_more_than_a_run_is_refused"])),
        ],
    ),
    (
        "people/backup.rs",
        &[
            ("MEMORY_KIB", FORM),
            ("PASSES", FORM),
            (
                "LINES_MAX",
                By(&["the_most_conversations_fit_into_one_append"]),
            ),
            (
                "TICKETS_MAX",
                By(&["the_most_conversations_fit_into_one_append"]),
            ),
            ("LOG_BYTES_MAX", LOGS),
        ],
    ),
    (
        "people/words.rs",
        &[
            ("WORDS", FORM),
            ("BITS_PER_WORD", FORM),
            ("ENTROPY_BYTES", FORM),
            (
                "LETTERS_ENOUGH",
                By(&["the_list_tells_every_word_by_its_first_four_letters"]),
            ),
            ("LETTERS_MAX", Inside("within a text of a length")),
            (
                "TEXT_BYTES_MAX",
                By(&["a_text_is_looked_at_up_to_its_limit_and_no_longer"]),
            ),
            ("NEAR_MAX", Inside("of a list of 2,048 words")),
            ("SLIPS_MAX", Inside("of a list of 2,048 words")),
        ],
    ),
    ("time.rs", &[("DAY_MS", FORM)]),
];

const GROUPS: &[(&str, Rows)] = &[
    (
        "mls.rs",
        &[
            ("POLICY_EXTENSION", FORM),
            ("DAY_EXTENSION", FORM),
            (
                "PAST_EPOCHS",
                By(&[
                    "messages_of_the_last_three_epochs_open_and_of_the_one_before_no_longer",
                    "a_word_that_is_three_epochs_late_counts_and_one_that_is_four_late_is_passed_over",
                ]),
            ),
        ],
    ),
    (
        "mls/group.rs",
        &[
            (
                "OUT_OF_ORDER_TOLERANCE",
                By(&[
                    "keys_of_the_last_sixty_four_messages_are_kept_and_an_older_one_opens_no_more",
                ]),
            ),
            (
                "FORWARD_DISTANCE_MAX",
                By(&[
                    "a_message_after_two_thousand_that_are_missing_opens_and_after_one_more_does_not",
                ]),
            ),
        ],
    ),
    ("mls/outside.rs", &[("SIGNATURE", FORM)]),
    (
        "engine/changes.rs",
        &[(
            "INTENTS_MAX",
            By(&["of_changes_that_wait_256_are_kept_and_the_next_only_once_one_is_done"]),
        )],
    ),
    (
        "engine/disputing.rs",
        &[
            (
                "VERDICTS_MAX",
                By(&[
                    "of_words_on_commits_that_wait_16_are_kept_and_the_next_only_once_one_is_said",
                ]),
            ),
            (
                "VOIDS_MAX",
                By(&[
                    "of_void_commits_64_are_known_again_and_the_oldest_is_forgotten_for_one_more",
                ]),
            ),
            (
                "SPOILED_JOINS_MAX",
                By(&[
                    "a_link_holder_who_spoils_again_and_again_ends_the_link_and_the_room_speaks_on",
                ]),
            ),
        ],
    ),
    (
        "engine/dispute.rs",
        &[
            (
                "OPEN_MAX",
                By(&["a_commit_finds_no_place_where_too_many_are_open_unless_it_decides_one"]),
            ),
            ("OPEN_MANY", PACE),
            ("REFUSALS", VOID),
            ("QUIET_ENTRIES", VOID),
        ],
    ),
    (
        "engine/holding.rs",
        &[(
            "HOLD_MS",
            By(&["a_removal_waits_ten_seconds_in_all_for_who_does_not_come_back"]),
        )],
    ),
    (
        "engine/reading.rs",
        &[
            (
                "RING_MAX",
                By(&[
                    "the_last_five_hundred_and_twelve_chain_values_are_compared_and_none_before_them",
                ]),
            ),
            (
                "FAREWELLS_MAX",
                By(&[
                    "farewells_of_who_is_gone_are_kept_up_to_a_bound_and_make_room_past_it",
                    "farewells_of_who_is_here_are_kept_up_to_a_bound_and_not_one_more",
                ]),
            ),
            ("PARTS_MAX", Inside("tied to the wire's numbers beside it")),
        ],
    ),
    (
        "engine/waiting.rs",
        &[
            (
                "RACES_MAX",
                By(&["who_always_loses_the_race_for_the_fence_is_taken_in_by_the_next_commit"]),
            ),
            ("WAIT_MS", PACE),
            (
                "WAITING_MAX",
                By(&["one_commit_takes_in_32_who_wait_and_who_came_after_them_waits_for_the_next"]),
            ),
            ("FACILITATOR_AFTER_MS", PACE),
            ("MEMBER_AFTER_MS", PACE),
            ("MEMBER_SPREAD_MS", PACE),
        ],
    ),
    (
        "engine/returning.rs",
        &[(
            "RETURNS_MAX",
            By(&[
                "unknown_words_under_ones_own_name_lead_to_four_returns_and_are_junk_from_then_on",
            ]),
        )],
    ),
    ("engine/joining.rs", &[("QUIET_MS", PACE)]),
    (
        "engine/upkeep.rs",
        &[
            ("UPDATE_BEFORE_SPEAKING_MS", PACE),
            ("UPDATE_SILENT_MS", PACE),
            ("UPDATE_STAGGER_MS", PACE),
            ("SILENCE_MS", PACE),
            ("TURN_MS", PACE),
            ("TURNS_MAX", PACE),
            ("LOOK_AGAIN_MS", PACE),
            (
                "LOOKS_MAX",
                By(&[
                    "a_manage_key_that_is_changed_before_every_look_is_told_at_the_fourth_in_a_row",
                ]),
            ),
        ],
    ),
    ("engine/commits.rs", &[("NONCE_BYTES", FORM)]),
    (
        "engine/saved.rs",
        &[(
            "SECRETS_KEPT",
            By(&["what_no_secret_opens_is_junk_to_all_who_know_the_late_ones"]),
        )],
    ),
];

const LIVES: &[(&str, Rows)] = &[
    (
        "engine/begin.rs",
        &[
            ("TTL_DAYS", LOGS),
            ("LOG_BYTES_MAX", LOGS),
            ("JOINS_PER_MINUTE", LOGS),
            ("JOIN_WORK_FIRST", PACE),
            ("JOIN_WORK_STEP", PACE),
            (
                "JOIN_WORK_MAX",
                By(&["the_work_of_a_join_rises_to_22_bits_and_no_further"]),
            ),
        ],
    ),
    ("engine/beside.rs", &[("TTL_DAYS", LOGS)]),
    (
        "engine/door.rs",
        &[
            (
                "KNOCKS_MAX",
                By(&["knocks_are_kept_once_up_to_a_bound_and_the_rest_stays_at_the_door"]),
            ),
            ("KNOCKS_PER_MINUTE", LOGS),
            ("DOOR_BYTES_MAX", LOGS),
        ],
    ),
    (
        "engine/knocking.rs",
        &[
            ("ANSWERS_PER_MINUTE", LOGS),
            ("INBOX_BYTES_MAX", LOGS),
            ("KNOCK_AGAIN_MS", PACE),
        ],
    ),
    (
        "engine/inbox.rs",
        &[
            (
                "INVITATIONS_MAX",
                By(&["more_invitations_than_a_person_answers_stay_at_the_relay_in_their_order"]),
            ),
            ("INVITATIONS_PER_MINUTE", LOGS),
            ("INBOX_BYTES_MAX", LOGS),
        ],
    ),
    (
        "engine/inviting.rs",
        &[
            ("TRY_AGAIN_MS", PACE),
            (
                "TRIES_MAX",
                By(&[
                    "a_busy_inbox_is_tried_again_30_times_and_then_it_is_told_that_nobody_was_added",
                ]),
            ),
        ],
    ),
    (
        "engine/pool.rs",
        &[
            ("POOL_SIZE", PACE),
            ("POOL_LOW", PACE),
            ("POOL_DAYS", PACE),
            ("PACKAGE_DAYS", PACE),
            ("PACKAGES_MAX", PACKAGES),
            ("TAKES_PER_MINUTE", LOGS),
            ("POOL_BYTES_MAX", LOGS),
        ],
    ),
    (
        "engine/keeping.rs",
        &[
            (
                "REACTIONS_MAX",
                By(&[
                    "of_reactions_to_a_message_256_are_kept_and_the_next_only_once_one_is_taken_back",
                ]),
            ),
            ("DELETES_MAX", PACE),
        ],
    ),
    (
        "engine/obeying.rs",
        &[("TYPING_EVERY_MS", PRIVACY), ("RECEIPTS_AFTER_MS", PRIVACY)],
    ),
    (
        "engine/sending.rs",
        &[
            (
                "OUTBOX_MAX",
                By(&[
                    "of_messages_that_wait_4096_are_kept_and_the_next_is_refused_until_one_is_gone",
                ]),
            ),
            ("BATCH_MAX", PACE),
            ("BATCH_BYTES_MAX", PACE),
            (
                "UNSENT_DAYS_MAX",
                By(&["a_message_that_waited_a_week_is_given_back"]),
            ),
        ],
    ),
    ("engine/transfers.rs", &[("STEPS", PACE)]),
    ("engine/uploading.rs", &[("PIECE_BYTES_MAX", PACE)]),
];

const OUTSIDE: &[(&str, Rows)] = &[
    (
        "vault/mod.rs",
        &[
            ("NAME_BYTES_MAX", VAULT),
            ("VALUE_BYTES_MAX", VAULT),
            ("BATCH_OPERATIONS_MAX", VAULT),
        ],
    ),
    (
        "vault/sqlite.rs",
        &[
            ("SCRUB_EVERY", By(&["the_journal_empties_itself"])),
            ("APPLICATION_ID", FORM),
            ("FORMAT", FORM),
            ("ANEW_BYTES_MAX", PACE),
        ],
    ),
    (
        "vault/sealing.rs",
        &[
            ("NONCE_BYTES", FORM),
            ("MEMORY_KIB", FORM),
            ("PASSES", FORM),
            ("MEMORY_KIB_MAX", STRETCH),
            ("PASSES_MAX", STRETCH),
        ],
    ),
    (
        "transport/websocket.rs",
        &[
            ("READ_BUFFER_BYTES", SOCKET),
            ("FRAGMENT_BYTES", PACE),
            ("WRITE_BUFFER_BYTES_MAX", SOCKET),
            ("CONNECT_TIMEOUT", CONNECT),
            (
                "QUIET",
                By(&["a_relay_that_answers_pings_is_kept_and_a_silent_one_is_given_up"]),
            ),
        ],
    ),
    (
        "transport/backoff.rs",
        &[
            ("FIRST_MS", WAITS),
            ("LAST_MS", WAITS),
            (
                "HINT_MAX_MS",
                By(&["a_relay_may_ask_for_minutes_but_not_for_ever"]),
            ),
            (
                "HELD",
                By(&["only_a_connection_that_held_makes_waits_short_again"]),
            ),
        ],
    ),
    (
        "client/conversation.rs",
        &[
            ("COMMANDS_MAX", PACE),
            (
                "EVENTS_MAX",
                By(&["an_app_that_does_not_look_for_long_misses_nothing"]),
            ),
        ],
    ),
    (
        "client/driver.rs",
        &[
            ("GATHER_MAX", PACE),
            ("GATHER_BYTES_MAX", PACE),
            ("OUTGOING_BYTES_MAX", OUTGOING),
            ("SEND_TIMEOUT", SEND),
            (
                "LAST_WORD_MAX",
                By(&["a_last_word_may_take_so_long_and_no_longer"]),
            ),
            ("FETCHING_MAX", FETCHING),
            ("WORK_TRIES", PACE),
        ],
    ),
    (
        "client/backup/keeping.rs",
        &[
            ("AFTER_CHANGE_MS", PACE),
            ("ANEW_MS", PACE),
            ("AFTER_FAILURE_MS", PACE),
            ("DOUBLINGS_MAX", PACE),
            ("VISIT_MAX", VISIT),
        ],
    ),
    (
        "client/errand.rs",
        &[("WORK_TRIES", PACE), ("PAGE", PACE), ("ENTRIES_MAX", PAGES)],
    ),
    ("client/attaching.rs", &[("BLOCK_BYTES", PACE)]),
];

fn table() -> Vec<(String, &'static Shown)> {
    let mut table = Vec::new();
    let more = [desks::DESKS, duty::DUTY, people::PEOPLE];
    let all = [LOG, CONTENT, GROUPS, LIVES, OUTSIDE].into_iter();
    for (file, rows) in all.chain(more).flatten() {
        for (name, shown) in *rows {
            table.push((format!("{file} {name}"), shown));
        }
    }
    table
}

/// Constants that are a number or a time, with whether a reason stands above them.
fn numbers_in(text: &str) -> Vec<(String, bool)> {
    const TYPES: [&str; 9] = [
        "u8",
        "u16",
        "u32",
        "u64",
        "i64",
        "usize",
        "Duration",
        "(u64, u64)",
        "f64",
    ];
    let mut numbers = Vec::new();
    let mut before = "";
    for line in text.lines() {
        // The tests of a file stand at its end.
        if line.ends_with("mod tests {") {
            break;
        }
        let visible = line.strip_prefix("pub(crate) ").or_else(|| {
            line.strip_prefix("pub(super) ")
                .or_else(|| line.strip_prefix("pub "))
        });
        let constant = visible.unwrap_or(line).strip_prefix("const ");
        if let Some((name, rest)) = constant.and_then(|rest| rest.split_once(": "))
            && TYPES.iter().any(|of| rest.starts_with(&format!("{of} =")))
        {
            numbers.push((name.to_owned(), before.starts_with("///")));
        }
        before = line;
    }
    numbers
}

/// All of them in a folder: the file with the name, and whether its reason is there.
fn declared(folder: &Path, prefix: &str, into: &mut Vec<(String, bool)>) {
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "tests" {
            declared(&path, &format!("{prefix}{name}/"), into);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            for (number, has_reason) in numbers_in(&text) {
                into.push((format!("{prefix}{name} {number}"), has_reason));
            }
        }
    }
}

#[test]
fn the_table_names_every_number_of_the_client_and_each_limit_has_its_reason() {
    let mut numbers = Vec::new();
    declared(&root().join("client-lib/src"), "", &mut numbers);
    let all: BTreeSet<_> = numbers.iter().map(|(name, _)| name.clone()).collect();
    let listed: BTreeSet<_> = table().into_iter().map(|(name, _)| name).collect();
    assert_eq!(listed.len(), table().len(), "a number is named twice");
    let missing: Vec<_> = all.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&all).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not listed {missing:?}, gone {gone:?}"
    );
    for (name, shown) in table() {
        let has_reason = numbers.iter().any(|(number, has)| *number == name && *has);
        let is_limit = !matches!(shown, Inside(_));
        assert!(has_reason || !is_limit, "{name}: no reason stands above it");
    }
}

#[test]
fn every_test_that_the_clients_table_names_exists() {
    let known = test_names();
    for (number, shown) in table() {
        match shown {
            By(tests) => {
                for test in *tests {
                    assert!(known.contains(*test), "{number}: there is no test {test}");
                }
            }
            Inside(why) => assert!(!why.is_empty(), "{number}"),
        }
    }
}
