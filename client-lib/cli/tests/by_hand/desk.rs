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
pub(crate) fn new_desk(ana: &str, key: &str, relay: &str) -> String {
    new_desk_and_team(ana, key, relay).0
}

/// The same, with the link of its team's room.
fn new_desk_and_team(ana: &str, key: &str, relay: &str) -> (String, String) {
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
    let text = |name: &str| desk[name].as_str().expect("a text").to_owned();
    (text("address"), text("team"))
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
    let last = ask.line("summary");
    assert_eq!(
        (&last["ok"], &last["answered"]),
        (&true.into(), &false.into())
    );
    let (code, none) = done(&["desk", "duty", "--folder", &guest, "--name", "Guest"]);
    assert_eq!(code, Some(2), "{none}");
}

#[test]
fn how_it_was_is_said_in_two_keys_and_the_office_tells_nothing_of_it_on_the_same_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, guest, key] = ["ana", "guest", "key"].map(|name| path(folder.path(), name));
    let (_relay, relay) = relay();
    let address = new_desk(&ana, &key, &relay);
    let mut rate = Running::start(&["desk", "rate", &address, "--folder", &guest, "--early"]);
    let asked = rate.line("question");
    assert_eq!(asked["text"], "Did it help?");
    rate.type_line("perhaps");
    rate.note("One of these, please");
    rate.type_line("p");
    assert_eq!(rate.line("question")["text"], "Would you come here again?");
    rate.type_line("yes");
    rate.line("rated");
    assert_eq!(
        (rate.last()["ok"].clone(), rate.code()),
        (true.into(), Some(0))
    );
    let mut chat = Running::start(&["chat", "--folder", &guest]);
    assert_eq!(
        chat.last()["error"]["kind"],
        "usage",
        "it is no conversation"
    );
    let mut stats = Running::start(&["desk", "stats", "--folder", &ana, "--by", "month"]);
    assert_eq!(stats.line("open")["by"], "month");
    assert_eq!(stats.code(), Some(0));
    let given = ["--helped", "no", "--again", "no"];
    let rate = [&["desk", "rate", &address, "--folder", &guest], &given[..]].concat();
    assert_eq!(done(&rate).0, Some(0));
}

#[test]
fn who_asks_again_is_shown_the_place_they_have_and_takes_no_second_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, guest, key] = ["ana", "guest", "key"].map(|name| path(folder.path(), name));
    let (_relay, relay) = relay();
    let address = new_desk(&ana, &key, &relay);
    let asking = ["desk", "ask", &address, "--folder", &guest];
    let mut ask = Running::start(&asking);
    ask.line("place");
    ask.type_line("/quit");
    assert_eq!(ask.line("summary")["ok"], true);
    let (code, refused) = done(&asking);
    assert_eq!(
        (code, &refused["error"]["kind"]),
        (Some(2), &"usage".into())
    );
    let next = refused["error"]["next"].as_str().expect("what to do");
    assert!(next.contains("sotto chat 1"), "{next}");
    // There the place is shown, and given up.
    let mut chat = Running::start(&["chat", "--folder", &guest]);
    chat.note("Nobody has answered yet");
    assert_eq!(chat.line("place")["ahead"], 0);
    chat.type_line("/leave");
    assert_eq!(chat.line("summary")["ok"], true);
    let mut ask = Running::start(&asking);
    ask.line("place");
    let mut again = Running::start(&[&asking[..3], &["--folder", &ana]].concat());
    assert_eq!(again.line("place")["ahead"], 1);
}

/// A seeker who was answered by Ana, and Cay of the same team on duty, who has a badge.
pub(crate) struct Desk {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) relay: Running,
    pub(crate) address: String,
    /// The link of the team's room.
    pub(crate) team: String,
    pub(crate) ana: Running,
    pub(crate) cay: Running,
    pub(crate) guest: Running,
}

impl Desk {
    /// The folder of somebody's device.
    pub(crate) fn folder(&self, name: &str) -> String {
        path(self.folder.path(), name)
    }

    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let name = |name: &str| path(folder.path(), name);
        let (relay, address) = relay();
        let (desk, team) = new_desk_and_team(&name("ana"), &name("key"), &address);
        let mut ana = Running::start(&["chat", "--folder", &name("ana")]);
        let join = ["room", "join", &team, "--name", "Cay"];
        let mut cay = Running::start(&[&join[..], &["--folder", &name("cay")]].concat());
        ana.line("knock");
        ana.type_line("/admit 1");
        ana.note("Will be let in. They read nothing of what was said before.");
        assert_eq!(cay.line("summary")["ok"], true);
        let mut cay = Running::start(&["chat", "--folder", &name("cay")]);
        cay.note("This is the team of a desk");
        for mut chat in [ana, cay] {
            chat.type_line("/quit");
            assert_eq!(chat.line("summary")["ok"], true);
        }
        has_a_badge(&name);
        let on_duty = |folder: &str, called: &str| {
            let mut duty = Running::start(&["desk", "duty", "--folder", folder, "--name", called]);
            duty.line("on_duty");
            duty
        };
        let mut ana = on_duty(&name("ana"), "Ana");
        let cay = on_duty(&name("cay"), "Cay");
        let ask = ["desk", "ask", &desk, "I do not know how to begin"];
        let mut guest = Running::start(&[&ask[..], &["--folder", &name("guest")]].concat());
        ana.line("ticket");
        ana.type_line("/take 1");
        ana.line("taken");
        heard(&mut ana, "I do not know how to begin");
        ana.type_line("That is a good way to begin");
        heard(&mut guest, "That is a good way to begin");
        Self {
            folder,
            relay,
            address: desk,
            team,
            ana,
            cay,
            guest,
        }
    }

    /// Ana asks the team, and Cay asks to come in; the seeker sees the badge.
    pub(crate) fn cay_asks_to_enter(&mut self, asks: &str) {
        // The door is made beside the chat, and a moment later.
        loop {
            self.ana.type_line(&format!("/call {asks}"));
            let said = self.ana.line_where("note", |line| {
                let text = line["text"].as_str().expect("words");
                text.starts_with("The team is asked") || text.starts_with("not asked")
            });
            if said["text"]
                .as_str()
                .expect("words")
                .starts_with("The team")
            {
                break;
            }
        }
        let called = self.cay.line("called");
        assert_eq!(
            (&called["by"], &called["asks"]),
            (&"Ana".into(), &asks.into())
        );
        self.cay.type_line("/enter 1 badge");
        assert_eq!(self.cay.line("asked_to_enter")["badge"], true);
        let knock = self.guest.line("knock");
        assert_eq!(
            (&knock["name"], &knock["decides"]),
            (&"Cay".into(), &"you".into())
        );
        assert_eq!(knock["badge"]["role"], "supervisor");
        // Nothing was heard of badges that were taken back, so nobody says that this one holds.
        assert_eq!(knock["badge"]["state"], "cannot_be_checked");
    }
}

/// Cay's device has a badge of the organisation whose desk it is.
fn has_a_badge(name: &impl Fn(&str) -> String) {
    let [asked, issued, list] = ["asked", "issued", "list"].map(name);
    std::fs::write(&list, "role supervisor\n").expect("a list");
    let (cay, key) = (name("cay"), name("key"));
    for arguments in [
        vec!["badge", "request", &asked, "--folder", &cay],
        vec![
            "badge",
            "issue",
            &asked,
            &issued,
            "--organisation",
            &key,
            "--list",
            &list,
            "--role",
            "supervisor",
        ],
        vec!["badge", "import", &issued, "--folder", &cay],
    ] {
        let (code, last) = done(&arguments);
        assert_eq!(code, Some(0), "{last}");
    }
}

/// The next message of somebody else says this.
pub(crate) fn heard(running: &mut Running, text: &str) {
    let heard = running.line_where("message", |line| line["mine"] == false);
    assert_eq!(heard["text"], text);
}

/// Until so many are here.
pub(crate) fn sees(running: &mut Running, count: usize) {
    running.line_where("members", |line| {
        line["members"]
            .as_array()
            .is_some_and(|all| all.len() == count)
    });
}

#[test]
fn a_third_comes_in_by_the_seekers_yes_and_by_nobody_elses() {
    let mut desk = Desk::new();
    desk.cay_asks_to_enter("a supervisor");
    let knock = desk.ana.line("knock");
    assert_eq!(
        (&knock["name"], &knock["decides"]),
        (&"Cay".into(), &"host".into())
    );
    desk.ana.type_line("/admit 1");
    desk.ana.note("That is not yours to say");
    desk.guest.type_line("/admit 1");
    desk.guest
        .note("Will be let in. They read nothing of what was said before.");
    desk.ana.note("Cay was let in by Guest");
    desk.cay.type_line("Good evening. I only listen.");
    for person in [&mut desk.ana, &mut desk.guest] {
        heard(person, "Good evening. I only listen.");
    }
    desk.guest.type_line("Good evening to you both");
    // The first that Cay reads of somebody else.
    heard(&mut desk.cay, "Good evening to you both");
    heard(&mut desk.ana, "Good evening to you both");
    // Back at the list, and off duty.
    for person in [&mut desk.ana, &mut desk.cay] {
        person.type_line("/quit");
        person.type_line("/quit");
        assert_eq!(person.line("summary")["ok"], true);
    }
}

#[test]
fn a_chat_is_handed_over_and_the_seeker_tells_the_new_one_what_was_said() {
    let mut desk = Desk::new();
    desk.cay_asks_to_enter("somebody to take over");
    desk.guest.type_line("/hand-over Ana");
    desk.guest
        .note("A chat is handed over by one supporter to another");
    desk.guest.type_line("/admit-and-tell 1");
    desk.guest.note("Will be let in. Your device tells them");
    let told = desk
        .cay
        .line_where("message", |line| line["retold"] == true);
    assert_eq!(
        (&told["author"], &told["text"]),
        (
            &"Guest".into(),
            &"Guest: I do not know how to begin\nAna: That is a good way to begin".into()
        )
    );
    desk.ana
        .line_where("message", |line| line["retold"] == true);
    desk.cay.type_line("I am here, and have read it");
    heard(&mut desk.ana, "I am here, and have read it");
    desk.ana.type_line("/hand-over Cay");
    desk.ana.note("Cay takes over");
    desk.ana.note("You left; nothing of it is kept here.");
    desk.ana.note("Nobody waits");
    sees(&mut desk.guest, 2);
    sees(&mut desk.cay, 2);
    desk.guest.type_line("Thank you for staying");
    heard(&mut desk.cay, "Thank you for staying");
    // Who handed over is still on duty, and reads nothing of it.
    desk.ana.type_line("/quit");
    let mut after = desk.ana.lines.by_ref().map(|line| line.expect("a line"));
    assert!(after.all(|line| !line.contains("Thank you")));
    assert_eq!(desk.ana.code(), Some(0));
}

#[test]
fn who_is_not_wanted_is_told_so_and_may_be_called_again() {
    let mut desk = Desk::new();
    desk.cay_asks_to_enter("a supervisor");
    desk.guest.type_line("/turn-away 1");
    desk.guest.note("Will be told no.");
    desk.cay.note("You were not let in.");
    // By the link alone, as a program does, and without a badge.
    desk.ana.type_line("/call somebody else");
    let called = desk.cay.line("called");
    let link = called["link"].as_str().expect("a link");
    desk.cay.type_line(&format!("/enter {link}"));
    assert_eq!(desk.cay.line("asked_to_enter")["badge"], false);
    let knock = desk
        .guest
        .line_where("knock", |knock| knock["badge"].is_null());
    assert_eq!(knock["name"], "Cay");
    desk.guest.type_line("/admit 1");
    desk.cay.note("You are in.");
    desk.cay.type_line("/quit");
    desk.cay.type_line("/calls");
    desk.cay.note("Nobody calls.");
}
