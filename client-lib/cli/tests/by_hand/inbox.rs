//! `sotto inbox`, and `/add` in a chat.

use crate::running::{Running, done, new_room, path, relay};

/// Somebody with a room, at its chat.
fn chat(folder: &str, address: &str) -> Running {
    new_room(folder, address, &[]);
    let mut chat = Running::start(&["chat", "--folder", folder]);
    chat.line("members");
    chat
}

fn add(chat: &mut Running, link: &str) {
    chat.type_line(&format!("/add {link}"));
    chat.note("Will be added");
}

#[test]
fn somebody_is_added_while_away_and_says_yes_to_one_room_and_no_to_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, ben, cleo] = ["ana", "ben", "cleo"].map(|name| path(folder.path(), name));
    let (_relay, address) = relay();
    let mut inbox = Running::start(&["inbox", "--relay", &address, "--folder", &ben]);
    let link = inbox.line("inbox")["link"].clone();
    let link = link.as_str().expect("a link");
    inbox.type_line("/quit");
    assert_eq!(inbox.line("summary")["invitations"], 0);

    let mut first = chat(&ana, &address);
    add(&mut first, link);
    first.line_where("members", |line| {
        line["members"].as_array().is_some_and(|all| all.len() == 2)
    });
    let mut inbox = Running::start(&["inbox", "--folder", &ben]);
    assert_eq!(inbox.line("inbox")["link"], link, "the link stays");
    let invitation = inbox.line("invitation");
    assert_eq!(invitation["number"], 1);
    inbox.type_line("/accept 1");
    inbox.note("Under which name?");
    inbox.type_line("/accept 1 Ben");
    assert_eq!(inbox.line("joined")["members"], 2);
    first.line_where("members", |line| line["members"][1]["name"] == "Ben");

    let mut second = chat(&cleo, &address);
    add(&mut second, link);
    let other = inbox.line("invitation");
    assert_eq!(other["number"], 1);
    assert_ne!(other["room"], invitation["room"]);
    inbox.type_line("/decline 1");
    inbox.note("Declined");
    inbox.type_line("/quit");
    assert_eq!(inbox.line("summary")["invitations"], 0);

    let mut talk = Running::start(&["chat", "--folder", &ben]);
    talk.type_line("Thank you for having me");
    let heard = first.line_where("message", |line| line["mine"] == false);
    assert_eq!(
        (&heard["author"], &heard["text"]),
        (&"Ben".into(), &"Thank you for having me".into())
    );
}

#[test]
fn an_inbox_that_was_given_up_adds_nobody_and_a_link_is_told_from_an_inbox() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, ben] = ["ana", "ben"].map(|name| path(folder.path(), name));
    let (_relay, address) = relay();
    let mut inbox = Running::start(&["inbox", "--relay", &address, "--folder", &ben]);
    let link = inbox.line("inbox")["link"].clone();
    let link = link.as_str().expect("a link");
    inbox.type_line("/give-up");
    assert_eq!(inbox.line("summary")["ok"], true);
    let (code, none) = done(&["inbox", "--folder", &ben]);
    assert_eq!(code, Some(2), "{none}");
    let (code, residue) = done(&["residue", "--expect-empty", "--folder", &ben]);
    assert_eq!(code, Some(0), "{residue}");

    let (code, refused) = done(&["room", "join", link, "--name", "Ana", "--folder", &ana]);
    assert_eq!(code, Some(2));
    let next = refused["error"]["next"].as_str().expect("what to do");
    assert!(next.contains("/add"), "{next}");
    let mut chat = chat(&ana, &address);
    chat.type_line("/add sotto-inbox:1:AA");
    chat.note("Whom?");
    add(&mut chat, link);
    chat.note("Somebody was not added");
}
