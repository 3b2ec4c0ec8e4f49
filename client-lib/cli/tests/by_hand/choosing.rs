//! Which conversation: the one with the person who asked, or the team's.

use serde_json::Value;

use crate::desk::Desk;
use crate::running::Running;

/// The conversations of a device, as `sotto chat` lists them, and what it says to do.
fn listed(folder: &str) -> (Vec<Value>, String) {
    let listing = Running::start(&["chat", "--folder", folder]);
    let lines: Vec<Value> = { listing }
        .lines
        .by_ref()
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON"))
        .collect();
    let last = lines.last().expect("a summary");
    let next = last["error"]["next"]
        .as_str()
        .expect("what to do")
        .to_owned();
    let of = |line: &&Value| line["type"] == "conversation";
    (lines.iter().filter(of).cloned().collect(), next)
}

fn off_duty(running: &mut Running) {
    running.type_line("/quit");
    running.type_line("/quit");
    assert_eq!(running.line("summary")["ok"], true);
}

#[test]
fn a_supporter_sees_which_conversation_is_the_teams_and_which_the_seekers() {
    let mut desk = Desk::new();
    desk.ana.type_line("/side a question");
    assert_eq!(desk.ana.line("side_room")["number"], 3);
    desk.cay.line("called");
    desk.cay.type_line("/enter 1");
    desk.cay.line("asked_to_enter");
    off_duty(&mut desk.cay);
    off_duty(&mut desk.ana);
    let (all, next) = listed(&desk.folder("ana"));
    let kinds: Vec<_> = all.iter().map(|line| line["kind"].clone()).collect();
    // In the order in which they began, so that a number stays.
    assert_eq!(kinds, ["team", "theirs", "aside"]);
    assert_eq!(all[1]["members"], serde_json::json!(["Guest"]));
    assert!(
        !next.contains(|one: char| one.is_ascii_digit()),
        "a number in a hint is typed as it stands: {next}"
    );
    let mut chat = Running::start(&["chat", "2", "--folder", &desk.folder("ana")]);
    assert_eq!(chat.line("kind")["kind"], "theirs");
    let mut chat = Running::start(&["chat", "1", "--folder", &desk.folder("cay")]);
    assert_eq!(chat.line("kind")["kind"], "team");
    desk.guest.type_line("/quit");
    assert_eq!(desk.guest.line("summary")["ok"], true);
    let mut chat = Running::start(&["chat", "--folder", &desk.folder("guest")]);
    assert_eq!(chat.line("kind")["kind"], "ours");
}
