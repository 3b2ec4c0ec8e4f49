//! The `sotto` binary as a whole: what it prints, its exit codes, and the promises that `sotto demo`
//! tries.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails here has found what it looks for"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn sotto(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sotto"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

/// Every line of stdout must be an object.
fn lines(output: &Output) -> Vec<Value> {
    let stdout = std::str::from_utf8(&output.stdout).expect("UTF-8");
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect()
}

fn summary(output: &Output) -> Value {
    let last = lines(output).pop().expect("a last line");
    assert_eq!(last["type"], "summary");
    last
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn csv(folder: &Path, text: &str) -> String {
    let path = folder.join("talk.csv");
    let mut file = std::fs::File::create(&path).expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    path.to_str().expect("a path").to_owned()
}

const TALK: &str = "conversation,turn,role,text\n\
    a,0,supporter,\"Good evening, what brings you here?\"\n\
    a,1,seeker,\"A letter I did not dare to open.\"\n\
    a,2,seeker,ok\n\
    a,3,supporter,\"Shall we \"\"open\"\" it together? 🌿\"\n\
    b,0,seeker,\"Is anybody there at this hour?\"\n\
    b,1,supporter,\"Yes. Somebody is here at every hour.\"\n\
    b,2,seeker,\"שלום, then I will stay a little.\"\n";

fn held(output: &Output, messages: u64, kills: u64) -> Value {
    let summary = summary(output);
    assert_eq!(output.status.code(), Some(0), "{summary}\n{}", told(output));
    assert_eq!(summary["ok"], true);
    assert_eq!(summary["messages"], messages, "{summary}");
    assert_eq!(summary["delivered"], messages);
    assert_eq!(summary["kills"], kills);
    for zero in [
        "lost",
        "doubled",
        "out_of_order",
        "altered",
        "overheard",
        "sentences_on_disk",
        "names_on_disk",
        "secrets_on_disk",
    ] {
        assert_eq!(summary[zero], 0, "{zero}: {summary}");
    }
    assert_eq!(summary["control_found"], true);
    assert_eq!(summary["suite"], "hybrid");
    let killed: Vec<_> = lines(output)
        .into_iter()
        .filter(|line| line["type"] == "kill")
        .collect();
    assert_eq!(killed.len() as u64, kills);
    assert!(
        killed
            .iter()
            .all(|kill| kill["unanswered"].as_u64() > Some(0))
    );
    summary
}

#[test]
fn nothing_is_lost_or_readable_when_the_relay_is_killed_in_mid_sentence() {
    let output = sotto(&["demo", "--kills", "1", "--seed", "3", "--json"]);
    // 12 + 8 + 5 + 3 + 1 + 4 lines, and 4 from each of 8 people at the kill.
    let summary = held(&output, 33 + 32, 1);
    assert_eq!(summary["conversations"], 2);
    assert_eq!(summary["members_refused"], 1);
    let removed = lines(&output)
        .into_iter()
        .find(|line| line["type"] == "removed")
        .expect("one is removed");
    assert_eq!(removed["speaks"], false);
    assert_eq!(removed["returns"], false);
}

#[test]
fn a_night_at_a_desk_goes_well_whatever_happens_and_a_seized_relay_tells_nothing() {
    let output = sotto(&["demo", "desk", "--json"]);
    let summary = summary(&output);
    assert_eq!(output.status.code(), Some(0), "{summary}");
    for (field, expected) in [
        ("steps", 9),
        ("seizures", 9),
        ("places_kept", 2),
        ("claims_won", 1),
        ("claims_lost", 1),
        ("messages", 13),
        ("lost", 0),
        ("doubled", 0),
        ("read_from_before", 0),
        ("left_on_device", 0),
        ("found_on_disk", 0),
    ] {
        assert_eq!(summary[field], expected, "{field}");
    }
    assert_eq!(summary["control_found"], true);
    assert_eq!(summary["suite"], "hybrid");
    assert!(summary["entries_seized"].as_u64() > Some(30));
}

#[test]
fn a_files_conversations_are_spoken_as_chats() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = csv(folder.path(), TALK);
    let output = sotto(&["demo", "--file", &file, "--all", "--kills", "1", "--json"]);
    let summary = held(&output, 7, 1);
    assert_eq!(summary["conversations"], 2);
    // "ok" is too short to be looked for.
    assert_eq!(summary["sentences_searched"], 6);
}

#[test]
fn a_files_conversations_are_spoken_in_a_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = csv(folder.path(), TALK);
    let output = sotto(&[
        "demo",
        "--file",
        &file,
        "--all",
        "--as",
        "room",
        "--members",
        "3",
        "--kills",
        "0",
        "--json",
    ]);
    held(&output, 7, 0);
}

#[test]
fn a_bad_row_is_named_by_its_line_and_is_a_usage_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = csv(folder.path(), &format!("{TALK}b,three,seeker,late\n"));
    let output = sotto(&["demo", "--file", &file, "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let summary = summary(&output);
    assert_eq!(summary["ok"], false);
    assert_eq!(summary["error"]["kind"], "usage");
    let message = summary["error"]["message"].as_str().expect("a message");
    assert!(message.starts_with("line 9:"), "{message}");
    assert!(!message.contains("late"));
}

#[test]
fn what_is_not_understood_is_told_to_people_and_to_programs() {
    let output = sotto(&["demo", "--kils", "1", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(summary(&output)["error"]["kind"], "usage");
    assert!(told(&output).contains("--kils"));
    let plain = sotto(&["no-such-thing"]);
    assert_eq!(plain.status.code(), Some(2));
    assert!(plain.stdout.is_empty());
}

#[test]
fn a_relay_with_a_missing_settings_file_does_not_start() {
    let output = sotto(&["relay", "--config", "/does/not/exist", "--json"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert_eq!(summary(&output)["ok"], false);
}
