//! `sotto desk`: a desk that is there, and one that is not.

use sotto_client::{DeskAddress, OrganisationId};

use crate::running::{Running, done, path, relay};

#[test]
fn where_nobody_runs_a_desk_nothing_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ana, picture) = (path(folder.path(), "ana"), path(folder.path(), "x.png"));
    let (_relay, address) = relay();
    let relay = address.parse().expect("an address");
    let desk = DeskAddress::new(relay, OrganisationId::new([1; 32]), 7);
    let (text, words) = (desk.to_string(), desk.words().to_string());
    let host = desk.relay().url();
    for which in [
        vec!["--address", &text],
        vec!["--words", &words, "--host", host],
    ] {
        let more = ["--folder", &ana, "--png", &picture];
        let (code, last) = done(&[&["desk", "card"], which.as_slice(), &more].concat());
        assert_eq!((code, &last["error"]["kind"]), (Some(3), &"refused".into()));
        assert!(!folder.path().join("x.png").exists());
    }
    let (code, last) = done(&["desk", "card", "--words", "zoo zoo", "--host", host]);
    assert_eq!((code, &last["error"]["kind"]), (Some(2), &"usage".into()));
}

/// A desk that Ana runs, and its address.
fn new_desk(ana: &str, key: &str, relay: &str) -> String {
    let mut new = Running::start(&[
        "desk",
        "new",
        "Quiet hour",
        "--folder",
        ana,
        "--name",
        "Ana",
        "--relay",
        relay,
        "--organisation",
        key,
        "--topic",
        "grief",
        "--minutes",
        "45",
        "--resource",
        "Crisis line=116 123",
    ]);
    let desk = new.line("desk");
    assert_eq!(new.line("summary")["ok"], true);
    desk["address"].as_str().expect("an address").to_owned()
}

#[test]
fn somebody_asks_in_one_terminal_and_is_answered_in_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, guest, other, key] =
        ["ana", "guest", "other", "key"].map(|name| path(folder.path(), name));
    let (_relay, relay) = relay();
    let address = new_desk(&ana, &key, &relay);

    let (code, card) = done(&["desk", "card", "--address", &address, "--folder", &other]);
    assert_eq!((code, &card["state"]), (Some(0), &"open".into()), "{card}");

    let mut duty = Running::start(&["desk", "duty", "--folder", &ana, "--name", "Ana"]);
    duty.line("on_duty");
    let mut ask = Running::start(&[
        "desk",
        "ask",
        &address,
        "I do not know how to begin",
        "--topic",
        "grief",
        "--folder",
        &guest,
    ]);
    assert_eq!(ask.line("place")["ahead"], 0);
    let ticket = duty.line("ticket");
    assert_eq!(ticket["words"], "I do not know how to begin");
    assert_eq!(ticket["topic"], "grief");
    // Who asks may stop looking; the place is kept.
    ask.type_line("/quit");
    assert_eq!(ask.line("summary")["ok"], true);
    duty.type_line("/take 1");
    duty.line("taken");
    duty.type_line("That is a good way to begin");
    let mut chat = Running::start(&["chat", "--folder", &guest]);
    let heard = chat.line_where("message", |line| line["mine"] == false);
    assert_eq!(heard["text"], "That is a good way to begin");
    assert_eq!(heard["author"], "Ana");
    let heard = duty.line_where("message", |line| line["mine"] == false);
    assert_eq!(heard["text"], "I do not know how to begin");
    duty.type_line("/quit");
    duty.note("Nobody waits");

    let letter = ["desk", "letter", &address, "It is late", "--folder", &other];
    assert_eq!(done(&letter).0, Some(0));
    let letter = duty.line("ticket");
    assert_eq!(
        (&letter["letter"], &letter["words"]),
        (&true.into(), &"It is late".into())
    );
    duty.type_line("/quit");
    assert_eq!(duty.line("summary")["ok"], true);
}

#[test]
fn who_leaves_the_queue_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, guest, key] = ["ana", "guest", "key"].map(|name| path(folder.path(), name));
    let (_relay, relay) = relay();
    let address = new_desk(&ana, &key, &relay);
    let mut ask = Running::start(&["desk", "ask", &address, "--folder", &guest]);
    ask.line("place");
    ask.type_line("/leave");
    assert_eq!(ask.line("summary")["ok"], true);
    let (code, none) = done(&["desk", "duty", "--folder", &guest, "--name", "Guest"]);
    assert_eq!(code, Some(2), "{none}");
}
