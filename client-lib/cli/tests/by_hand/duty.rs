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
