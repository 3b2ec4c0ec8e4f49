//! On duty: what a supporter hears beside the queue, as nobody can open the folder a second time.

use crate::desk::Desk;
use crate::running::{Running, done};

#[test]
fn on_duty_a_knock_at_the_teams_door_is_heard_and_answered() {
    let mut desk = Desk::new();
    let eve = desk.folder("eve");
    let join = [
        "room", "join", &desk.team, "--folder", &eve, "--name", "Eve",
    ];
    let mut joining = Running::start(&join);
    joining.line("knocked");
    desk.ana.type_line("/quit");
    let knock = desk.ana.line("knock");
    assert_eq!(
        (&knock["name"], &knock["team"]),
        (&"Eve".into(), &true.into())
    );
    // Looked for elsewhere, it is said where to look.
    let (code, refused) = done(&["chat", "--folder", &desk.folder("ana")]);
    assert_eq!(code, Some(4));
    let next = refused["error"]["next"].as_str().expect("what to do");
    assert!(next.contains("go on there"), "{next}");
    desk.ana.type_line("/turn-away 2");
    desk.ana.note("Whom? Say /knocks");
    desk.ana.type_line("/admit 1");
    desk.ana.note("Will be let into the team.");
    assert_eq!(joining.line("summary")["ok"], true);
}

#[test]
fn on_duty_the_team_and_the_other_chats_are_heard_and_gone_to() {
    let mut desk = Desk::new();
    desk.ana.type_line("/quit");
    desk.ana.note("Nobody waits");
    desk.cay.type_line("/team");
    assert_eq!(desk.cay.line("kind")["kind"], "team");
    desk.cay.type_line("Who takes the next one?");
    assert_eq!(
        desk.ana.line("team_message")["text"],
        "Who takes the next one?"
    );
    // The seeker writes while Ana looks at the list.
    desk.guest.type_line("Are you still there?");
    let elsewhere = desk.ana.line("elsewhere");
    assert_eq!(
        (&elsewhere["number"], &elsewhere["kind"]),
        (&2.into(), &"theirs".into())
    );
    desk.ana.type_line("/open 2");
    assert_eq!(desk.ana.line("kind")["kind"], "theirs");
    desk.ana.type_line("I am.");
    desk.guest
        .line_where("message", |line| line["text"] == "I am.");
    // And from a chat to the team's room, and back.
    desk.ana.type_line("/open 1");
    assert_eq!(desk.ana.line("kind")["kind"], "team");
    desk.guest.type_line("Thank you.");
    assert_eq!(desk.ana.line("elsewhere")["number"], 2);
    desk.ana.type_line("/open 9");
    desk.ana.note("Which? /chats lists them");
}

#[test]
fn who_steps_away_and_comes_again_is_told_of_both_times() {
    let mut desk = Desk::new();
    desk.guest.type_line("/quit");
    assert_eq!(desk.guest.line("summary")["ok"], true);
    desk.ana.note("Guest is away");
    let mut guest = Running::start(&["chat", "--folder", &desk.folder("guest")]);
    desk.ana.note("Guest is here again.");
    // Who goes back to the list is still there; who goes off duty is not.
    desk.ana.type_line("/quit");
    desk.ana.type_line("/quit");
    assert_eq!(desk.ana.line("summary")["ok"], true);
    guest.note("Ana is away");
}

/// Another guest, who asks while Ana is in her chat.
fn another_asks(desk: &Desk, words: &str) -> Running {
    let guest = desk.folder(words);
    let mut ask = Running::start(&["desk", "ask", &desk.address, words, "--folder", &guest]);
    ask.line("place");
    ask
}

#[test]
fn who_is_finishing_or_has_a_break_takes_nobody_new_and_keeps_their_chats() {
    let mut desk = Desk::new();
    desk.ana.type_line("/quit");
    desk.ana.note("Nobody waits");
    desk.ana.type_line("/finish");
    let finishing = desk.ana.line("duty");
    assert_eq!(
        (&finishing["mode"], &finishing["chats"]),
        (&"finishing".into(), &1.into())
    );
    let mut waits = another_asks(&desk, "waits");
    // Cay takes people all the while.
    desk.cay.line("ticket");
    desk.ana.type_line("/tickets");
    desk.ana.line("ticket");
    desk.ana.type_line("/take 1");
    desk.ana.note("not taken: you are finishing");
    desk.ana.type_line("/open 2");
    desk.ana.type_line("We have time.");
    desk.guest
        .line_where("message", |line| line["text"] == "We have time.");
    desk.ana.type_line("/quit");
    assert_eq!(desk.ana.line("duty")["mode"], "finishing");
    desk.ana.type_line("/break");
    assert_eq!(desk.ana.line("duty")["mode"], "break");
    desk.ana.type_line("/back");
    assert_eq!(desk.ana.line("duty")["mode"], "takes");
    desk.ana.line("ticket");
    desk.ana.type_line("/take 1");
    desk.ana.line("taken");
    desk.ana.type_line("Now I can.");
    waits.line_where("message", |line| line["text"] == "Now I can.");
}

/// This supporter answers the one who said these words.
fn takes(supporter: &mut Running, words: &str) {
    let ticket = supporter.line_where("ticket", |line| {
        line["words"] == words && line["claimed"] == false
    });
    supporter.type_line(&format!("/take {}", ticket["number"]));
    supporter.line("taken");
}

#[test]
fn who_has_a_badge_of_the_desk_shows_it_to_whom_they_answer() {
    let mut desk = Desk::new();
    let mut asks = another_asks(&desk, "asks");
    takes(&mut desk.cay, "asks");
    desk.cay.line("badge_shown");
    let shows = |line: &serde_json::Value| {
        let mut members = line["members"].as_array().expect("members").iter();
        members.any(|one| one["badge"]["role"] == "supervisor")
    };
    asks.line_where("members", shows);
    // Unless they do not want that.
    desk.cay.type_line("/quit");
    desk.cay.type_line("/quit");
    assert_eq!(desk.cay.line("summary")["ok"], true);
    let cay = desk.folder("cay");
    let duty = [
        "desk",
        "duty",
        "--name",
        "Cay",
        "--no-badge",
        "--folder",
        &cay,
    ];
    let mut cay = Running::start(&duty);
    cay.line("on_duty");
    let mut other = another_asks(&desk, "other");
    takes(&mut cay, "other");
    cay.type_line("Good evening");
    let is_last = |line: &serde_json::Value| line["text"] == "Good evening";
    for line in other.lines.by_ref() {
        let line: serde_json::Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        assert!(line["type"] != "members" || !shows(&line), "{line}");
        if line["type"] == "message" && is_last(&line) {
            break;
        }
    }
}
