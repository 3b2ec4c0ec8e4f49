//! How a talk is held: turns, a stop, an agreement, an end, and words that somebody reads first.

use crate::desk::{Desk, heard};
use crate::running::{Running, done, new_room, path, relay};

/// A room by link that Ana holds, with Ben and Cay.
struct Room {
    _folder: tempfile::TempDir,
    _relay: Running,
    ana: Running,
    ben: Running,
    cay: Running,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let name = |name: &str| path(folder.path(), name);
        let (relay, address) = relay();
        let link = new_room(&name("ana"), &address, &[]);
        for (device, called) in [("ben", "Ben"), ("cay", "Cay")] {
            let join = ["room", "join", &link, "--name", called];
            let (code, last) = done(&[&join[..], &["--folder", &name(device)]].concat());
            assert_eq!(code, Some(0), "{last}");
        }
        // Who joined says their name once they are here.
        let chat = |device| Running::start(&["chat", "--folder", &name(device)]);
        let [mut ana, mut ben, mut cay] = ["ana", "ben", "cay"].map(chat);
        for one in [&mut ana, &mut ben, &mut cay] {
            one.line_where("members", |line| {
                let members = line["members"].as_array().expect("members");
                let is_named = |name: &str| members.iter().any(|one| one["name"] == name);
                ["Ana", "Ben", "Cay"].iter().all(|name| is_named(name))
            });
        }
        Self {
            _folder: folder,
            _relay: relay,
            ana,
            ben,
            cay,
        }
    }

    /// All see that the talk is stopped, or that it is not.
    fn all_see_frozen(&mut self, is_frozen: bool) {
        for one in [&mut self.ana, &mut self.ben, &mut self.cay] {
            one.line_where("floor", |line| line["frozen"] == is_frozen);
        }
    }
}

/// What is typed is answered with this.
fn answered(running: &mut Running, typed: &str, words: &str) {
    running.type_line(typed);
    running.note(words);
}

#[test]
fn turns_and_a_stop_answer_whatever_is_typed_of_them() {
    let mut room = Room::new();
    answered(&mut room.ben, "/stop", "Nobody gives turns here");
    answered(&mut room.ben, "/go-on", "Nothing is stopped here");
    answered(&mut room.ana, "/turn Eve", "Whose turn?");
    room.ana.type_line("/turn Ben");
    for one in [&mut room.ana, &mut room.ben, &mut room.cay] {
        assert_eq!(one.line("floor")["turn"], "Ben");
    }
    answered(&mut room.ana, "/turn Ben", "That is so already.");
    answered(
        &mut room.cay,
        "I too",
        "not said: it is somebody else's turn",
    );
    answered(&mut room.ben, "/turn all", "not done: only who holds");
    room.cay.type_line("/stop");
    room.all_see_frozen(true);
    answered(&mut room.cay, "/stop", "You have stopped it already");
    answered(
        &mut room.ana,
        "/agreement 14 we wait",
        "Not proposed: the talk is stopped",
    );
    answered(
        &mut room.ana,
        "/turn all",
        "not done: somebody here stopped the talk",
    );
    answered(&mut room.ben, "/go-on", "It is not you who stopped it");
    room.cay.type_line("/go-on");
    room.cay
        .line_where("floor", |line| line["stopped"] == serde_json::json!([]));
    answered(
        &mut room.cay,
        "/go-on",
        "It is not you who stopped it, or you have said so",
    );
    room.ana.line_where("floor", |line| {
        line["frozen"] == true && line["stopped"] == serde_json::json!([])
    });
    room.ana.type_line("/turn all");
    room.all_see_frozen(false);
    answered(&mut room.cay, "/go-on", "Nothing is stopped here.");
    room.ben.type_line("/help");
    let help = room.ben.line("help");
    assert_eq!(help["kind"], "turns");
    let commands = help["commands"].as_array().expect("commands");
    assert!(commands.contains(&"/stop, /go-on".into()) && !commands.contains(&"/turn WHO".into()));
}

#[test]
fn an_agreement_that_all_made_ends_only_where_that_is_meant() {
    let mut room = Room::new();
    answered(&mut room.ana, "/agree", "Nothing was proposed here yet.");
    for days in ["0", "366", "5000"] {
        let typed = format!("/agreement {days} we greet each other");
        answered(&mut room.ana, &typed, "Not proposed: you look how it went");
    }
    let today = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a date");
    let today = today.as_secs() / 86_400;
    room.ana.type_line("/agreement we greet each other");
    let proposed = room.ben.line("agreement");
    let day = proposed["follow_up_day"].as_u64().expect("a day");
    // In two weeks, where nobody says another number; midnight may pass meanwhile.
    assert!((today + 14..=today + 15).contains(&day), "{day}");
    room.cay.line("agreement");
    room.ben.type_line("/agree");
    room.cay.note("Ben agrees.");
    room.cay.type_line("/agree");
    for one in [&mut room.ana, &mut room.ben, &mut room.cay] {
        one.line_where("agreement", |line| line["stands"] == true);
    }
    answered(&mut room.ben, "/agree", "You have agreed to this already.");
    answered(
        &mut room.ana,
        "/agreement 7 we do not",
        "Not proposed: all have agreed",
    );
    room.ana.type_line("/agreement-anew 7 we do not");
    room.cay.note("What all had agreed on has ended");
    let other = room.cay.line("agreement");
    assert_eq!(
        (&other["text"], &other["stands"]),
        (&"we do not".into(), &false.into())
    );
}

#[test]
fn the_time_of_a_talk_is_said_by_who_holds_it_and_by_no_slip() {
    let mut room = Room::new();
    answered(&mut room.ana, "/end 0", "When?");
    answered(&mut room.ana, "/more-time 5", "This talk has no time limit");
    answered(&mut room.ana, "/more-time", "How much?");
    answered(&mut room.ben, "/end", "This talk has no time limit.");
    answered(
        &mut room.ben,
        "/end 5",
        "not done: only who holds this talk",
    );
    room.ana.type_line("/end 45");
    assert_eq!(room.ben.line("ends_at")["minutes_left"], 45);
    room.ana.type_line("/more-time 15");
    let left = |line: &serde_json::Value| line["minutes_left"].as_u64() > Some(45);
    room.ben.line_where("ends_at", left);
    answered(&mut room.ana, "/nudge", "Nobody has been quiet for long");
}

#[test]
fn a_draft_is_read_in_a_side_room_and_goes_out_as_it_was_released() {
    let mut desk = Desk::new();
    desk.ana.type_line("/side a reader");
    assert_eq!(desk.ana.line("side_room")["number"], 3);
    assert_eq!(desk.cay.line("called")["asks"], "a reader");
    desk.cay.type_line("/enter 1");
    desk.ana.type_line("/open 3");
    assert_eq!(desk.ana.line("kind")["kind"], "aside");
    desk.ana.line("knock");
    desk.ana.type_line("/admit 1");
    desk.cay.note("You are in.");
    desk.ana.type_line("/open 2");
    answered(&mut desk.ana, "/review-in 9", "Where?");
    answered(
        &mut desk.ana,
        "/review-in 3",
        "From now on what you write here is read there first",
    );
    desk.ana.type_line("Pull yourself together.");
    assert_eq!(
        desk.cay.line("draft_came")["text"],
        "Pull yourself together."
    );
    desk.cay.type_line("/drafts");
    assert_eq!(desk.cay.line("draft")["number"], 1);
    answered(&mut desk.cay, "/release 2", "Which? Say /drafts");
    desk.cay.type_line("/release 1 That sounds hard.");
    heard(&mut desk.guest, "That sounds hard.");
    desk.ana.type_line("I know how you feel.");
    desk.cay.line("draft_came");
    desk.cay.type_line("/send-back 1 Do you?");
    assert_eq!(desk.ana.line("draft_sent_back")["note"], "Do you?");
    answered(&mut desk.cay, "/drafts", "No draft waits here.");
}

#[test]
fn what_is_not_a_seekers_to_say_leaves_them_a_way_out() {
    let mut desk = Desk::new();
    desk.guest.type_line("/turn all");
    desk.guest.note("not done: only who holds this talk");
    desk.guest.note("You can ask for it in your own words.");
    desk.guest.type_line("/help");
    let help = desk.guest.line("help");
    let commands = help["commands"].as_array().expect("commands");
    assert_eq!(help["kind"], "ours");
    assert!(commands.contains(&"/crisis".into()) && !commands.contains(&"/nudge".into()));
    desk.guest.type_line("/help all");
    let all = desk.guest.line("help");
    assert!(all["commands"].as_array().expect("commands").len() > commands.len());
}
