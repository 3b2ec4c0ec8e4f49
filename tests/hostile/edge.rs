//! Every limit that a peer can reach is met at its edge and one past it, by a test that the table
//! here names. A limit that is missing here, and a test that is missing there, is a failure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where limits stand.
const FILES: [&str; 3] = [
    "protocol/src/limits.rs",
    "server/src/limits.rs",
    "server/src/connection/limits.rs",
];

/// Where tests may stand.
const CODE: [&str; 4] = ["protocol", "server", "client-lib", "tests"];

/// How a limit is shown to hold.
enum Shown {
    /// By these tests: what is at the limit passes; what is past it is refused, waits, or is cut.
    By(&'static [&'static str]),
    /// No peer can bring it about: why.
    Inside(&'static str),
}
use Shown::{By, Inside};

const NUMBERS: Shown = By(&["numbers_are_refused_one_past_their_limit"]);
const LENGTHS: Shown = By(&["counts_and_lengths_are_refused_one_past_their_limit"]);
const ADMISSIONS: Shown = By(&[
    "junk_admissions_of_a_link_holder_lock_no_member_out_and_stop_no_commit",
    "junk_admissions_of_a_member_leave_the_present_key_and_the_facilitators_commits",
]);
const SHARES: Shown = By(&["retry_ids_are_kept_for_who_claims_and_more_of_them_for_who_manages"]);
const PINS: Shown =
    By(&["the_last_pins_and_the_newest_of_each_of_the_last_days_are_kept_and_none_before"]);
const FRAMES: Shown = By(&["frames_around_entries_and_grants_are_as_long_as_the_limits_say"]);
const POLICY: Shown = By(&["a_policy_is_refused_one_past_what_the_operator_allows"]);
const STALLED: Shown =
    By(&["one_reader_stalls_while_999_read_on_and_costs_no_more_than_the_limit"]);
const LARGE: Shown = By(&[
    "a_large_message_waits_for_a_slot_and_ends_in_time",
    "one_large_message_too_many_waits_until_another_is_done_and_small_ones_pass",
]);
const ANSWERS: Shown = By(&["a_peer_that_takes_nothing_has_one_page_and_few_answers_in_memory"]);
const RESTART: Shown = By(&["promised_answers_are_written_and_clients_hear_when_to_come_back"]);
const RECENT: Shown = By(&["memory_is_bounded_per_log_and_in_all"]);

const OF_THE_WIRE: &[(&str, Shown)] = &[
    ("SEALED_BYTES_MAX", LENGTHS),
    ("HELD_BYTES_MAX", LENGTHS),
    ("PAD_BYTES_MAX", LENGTHS),
    (
        "RUN_BYTES_MAX",
        By(&["the_largest_append_passes_and_comes_back_as_pages"]),
    ),
    ("ITEM_ENTRIES_MAX", LENGTHS),
    ("ITEMS_MAX", LENGTHS),
    (
        "APPEND_BYTES_MAX",
        By(&["an_append_is_refused_one_entry_past_what_all_its_items_may_hold"]),
    ),
    (
        "APPEND_ENTRIES_MAX",
        By(&["an_append_is_refused_one_entry_past_what_all_its_items_may_hold"]),
    ),
    ("NEW_ENTRY_FRAME_BYTES_MAX", FRAMES),
    ("ENTRY_FRAME_BYTES_MAX", FRAMES),
    ("GRANT_BYTES_MAX", FRAMES),
    (
        "REQUEST_BYTES_MAX",
        By(&[
            "the_largest_append_fits_a_request",
            "an_item_of_the_largest_length_is_opened_and_a_longer_one_is_not",
        ]),
    ),
    ("ANSWER_BYTES_MAX", By(&["the_largest_answers_fit"])),
    (
        "MESSAGE_BYTES_MAX",
        By(&[
            "the_largest_items_fit_a_message",
            "frames_that_break_the_rules_end_the_connection",
            "fragments_that_come_to_too_much_end_the_connection",
            "a_message_over_the_limit_ends_the_line",
        ]),
    ),
    (
        "NOISE_MESSAGE_BYTES_MAX",
        By(&["an_item_of_the_largest_length_is_opened_and_a_longer_one_is_not"]),
    ),
    (
        "NOISE_PAYLOAD_BYTES_MAX",
        By(&["an_item_of_the_largest_length_is_opened_and_a_longer_one_is_not"]),
    ),
    ("PAGE_ENTRIES_MAX", NUMBERS),
    (
        "PAGE_BYTES_MAX",
        By(&["a_page_holds_as_many_bytes_as_it_may_and_no_entry_more"]),
    ),
    (
        "CBOR_DEPTH_MAX",
        By(&["an_item_may_be_as_deep_as_the_limit_and_no_deeper"]),
    ),
    ("GRANTS_ACTIVE_MAX", LENGTHS),
    ("GRANTS_MAX", LENGTHS),
    ("ADMITTED_MAX", ADMISSIONS),
    ("JOIN_ADMITTED_MAX", ADMISSIONS),
    ("PROOFS_MAX", LENGTHS),
    (
        "OPEN_LOGS_MAX",
        By(&["a_connection_opens_sixty_four_logs_and_no_more"]),
    ),
    (
        "CREDIT_MAX",
        By(&["more_credit_than_the_limit_is_refused_and_the_follow_goes_on"]),
    ),
    (
        "REQUESTS_IN_FLIGHT_MAX",
        By(&["requests_beyond_those_in_flight_wait_in_the_line_and_are_not_lost"]),
    ),
    ("PINS_LAST", PINS),
    ("PIN_DAYS", PINS),
    (
        "PIN_FENCED_SPACING",
        By(&["pins_of_who_does_not_manage_keep_their_distance"]),
    ),
    ("HOLD_MS_MAX", NUMBERS),
    ("LEASE_MS_MAX", NUMBERS),
    (
        "RETRY_IDS_PER_LOG_MAX",
        By(&["a_retry_id_too_many_is_refused_until_the_day_has_passed"]),
    ),
    ("RETRY_IDS_FOR_MANAGE", SHARES),
    ("RETRY_IDS_FOR_CLAIM", SHARES),
    ("TTL_DAYS_MAX", NUMBERS),
    (
        "TTL_FENCED_DAYS_DEFAULT",
        Inside("what clients ask for; a policy may say another number"),
    ),
    ("WORK_BITS_MAX", NUMBERS),
    ("TICKET_BYTES_MAX", LENGTHS),
    (
        "POSITION_STEP",
        By(&["an_owner_learns_a_coarse_place_and_may_withdraw"]),
    ),
];

const OF_THE_LOGS: &[(&str, Shown)] = &[
    (
        "CHANGES_QUEUED_MAX",
        By(&["a_change_too_many_in_the_queue_hears_busy_and_the_others_are_done"]),
    ),
    (
        "CHANGE_BYTES_QUEUED_MAX",
        By(&["changes_that_wait_hold_no_more_bytes_than_their_limit"]),
    ),
    (
        "GROUP_CHANGES_MAX",
        Inside("how many changes are written at once; the others wait for the next group"),
    ),
    ("GROUP_BYTES_MAX", Inside("as GROUP_CHANGES_MAX")),
    (
        "BUSY_RETRY_MS",
        By(&["a_change_too_many_in_the_queue_hears_busy_and_the_others_are_done"]),
    ),
    (
        "FULL_RETRY_MS",
        By(&["a_full_disk_refuses_clearly_reads_on_and_goes_on_after_room_was_made"]),
    ),
    (
        "HEADS_CACHED_MAX",
        By(&["no_more_heads_are_in_memory_than_their_limit"]),
    ),
    ("RECENT_BYTES_MAX", RECENT),
    ("RECENT_BYTES_PER_LOG_MAX", RECENT),
    (
        "PUSH_BYTES_PER_TURN",
        By(&[
            "a_turn_holds_no_more_bytes_than_its_limit_and_always_one_push",
            "a_turn_of_pushes_from_the_store_holds_no_more_bytes_than_its_limit",
        ]),
    ),
    (
        "LEASES_PER_LOG_MAX",
        By(&["one_lease_too_many_is_refused_until_one_ends"]),
    ),
    (
        "RATES_COUNTED_MAX",
        By(&["no_more_rates_are_counted_than_their_limit"]),
    ),
    (
        "UPKEEP_ENTRIES_MAX",
        By(&["a_trim_is_seen_at_once_however_much_it_drops"]),
    ),
    ("UPKEEP_BYTES_MAX", Inside("as UPKEEP_ENTRIES_MAX")),
    (
        "POSITION_COUNTED_MAX",
        By(&["a_longer_queue_than_is_counted_is_told_as_the_limit"]),
    ),
    ("SWEEP_INTERVAL", Inside("the relay's own clock")),
    (
        "REKEY_AFTER",
        By(&["what_is_trimmed_taken_or_withdrawn_cannot_be_opened_a_day_later"]),
    ),
    ("LOG_BYTES_MIN", POLICY),
    (
        "logs_max",
        By(&["one_log_too_many_is_refused_and_a_deleted_one_makes_room"]),
    ),
    ("log_bytes_max", POLICY),
    ("ttl_days_max", POLICY),
    ("ttl_fenced_days_max", POLICY),
    (
        "appends_per_minute",
        By(&["appends_past_the_minutes_rate_are_refused_until_the_next"]),
    ),
];

const OF_A_CONNECTION: &[(&str, Shown)] = &[
    (
        "READ_BUFFER_BYTES",
        By(&[
            "no_limit_is_the_librarys_default",
            "memory_per_connection_is_back_to_its_bound_after_a_large_message",
        ]),
    ),
    ("WRITE_BUFFER_BYTES", STALLED),
    (
        "FRAGMENT_BYTES",
        By(&[
            "messages_of_every_length_arrive_as_they_were_sent_however_the_line_cuts_them",
            "no_frame_that_the_library_sees_is_longer_than_a_fragment",
        ]),
    ),
    ("STALLED_BYTES_MAX", STALLED),
    ("WRITE_BUFFER_BYTES_MAX", STALLED),
    (
        "BYTES_BEFORE_HANDSHAKE_MAX",
        By(&[
            "too_much_before_the_handshake_is_refused",
            "too_much_before_the_handshake_is_cut_off",
        ]),
    ),
    ("SMALL_MESSAGE_BYTES", LARGE),
    ("LARGE_MESSAGES_MAX", LARGE),
    (
        "MESSAGE_TIMEOUT",
        By(&[
            "a_message_of_two_bytes_has_no_longer_than_any_other_and_silence_has_no_end",
            "a_message_that_never_ends_is_cut_off_however_small_and_pings_do_not_help",
        ]),
    ),
    ("REPLIES_MAX", ANSWERS),
    ("PAGES_MAX", ANSWERS),
    (
        "PAGES_ALL_MAX",
        Inside("a page that is one too many is read when another was sent; nothing is refused"),
    ),
    (
        "KEYS_PER_LOG_MAX",
        By(&["of_the_keys_proved_for_one_log_the_last_ones_are_remembered"]),
    ),
    (
        "PUSHES_PER_TURN",
        By(&["a_turn_of_a_busy_log_is_as_long_as_the_limit_and_then_the_others_have_theirs"]),
    ),
    (
        "CLOSE_REASON_BYTES_MAX",
        Inside("the relay's own words, which are short"),
    ),
    (
        "CLOSE_TIMEOUT",
        By(&["a_peer_that_takes_nothing_does_not_keep_the_relay_from_stopping"]),
    ),
    (
        "PING_JITTER_PERCENT",
        By(&["a_spread_stays_within_its_bounds_and_differs"]),
    ),
    ("RESTART_SPREAD", RESTART),
    ("RESTART_LEAST", RESTART),
];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The constants of a file, and the fields of the structures in it.
fn declared(file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let name = |line: &str| {
        let line = line.trim_start();
        let named = line
            .strip_prefix("pub const ")
            .or_else(|| line.strip_prefix("pub "));
        let (name, _) = named?.split_once(':')?;
        Some(name.to_owned())
    };
    text.lines().filter_map(name).collect()
}

/// The functions of a text that the test runner calls: the attribute stands above them.
fn tests_of(text: &str) -> Vec<String> {
    let mut tests = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.is_empty() {
            is_test = false;
        } else if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((before, rest)) = line.split_once("fn ")
            && matches!(before, "" | "async ")
        {
            let name = rest.split('(').next().unwrap_or_default();
            if is_test {
                tests.push(name.to_owned());
            }
            is_test = false;
        }
    }
    tests
}

/// The names of all tests in a folder's Rust files.
fn tests_in(folder: &Path, into: &mut BTreeSet<String>) {
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            tests_in(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            into.extend(tests_of(&text));
        }
    }
}

/// The names of all tests.
pub(crate) fn test_names() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for folder in CODE {
        tests_in(&root().join(folder), &mut known);
    }
    known
}

#[test]
fn the_table_names_every_limit() {
    for (file, table) in FILES
        .iter()
        .zip([OF_THE_WIRE, OF_THE_LOGS, OF_A_CONNECTION])
    {
        let listed: BTreeSet<_> = table.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed.len(), table.len(), "{file}: a limit is named twice");
        assert_eq!(listed, declared(file), "{file}");
    }
}

#[test]
fn only_what_the_runner_calls_is_a_test() {
    let text = "
#[test]
#[expect(
    dead_code
)]
fn one() {

#[tokio::test(start_paused = true)]
                async fn two() {

async fn three() {

#[test]
fn four() {
fn five() {";
    assert_eq!(tests_of(text), ["one", "two", "four"]);
}

#[test]
fn every_test_that_the_table_names_exists() {
    let known = test_names();
    let tables = [OF_THE_WIRE, OF_THE_LOGS, OF_A_CONNECTION];
    for (limit, shown) in tables.into_iter().flatten() {
        match shown {
            By(tests) => {
                for test in *tests {
                    assert!(known.contains(*test), "{limit}: there is no test {test}");
                }
            }
            Inside(why) => assert!(!why.is_empty(), "{limit}"),
        }
    }
}
