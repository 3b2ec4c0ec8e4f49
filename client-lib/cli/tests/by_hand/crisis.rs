//! `/crisis`: whom a desk names, from what is on the device; and for a supporter the team.

use crate::desk::{Desk, new_desk};
use crate::running::{Running, path, relay};

/// The crisis line of the desk is shown.
fn names_the_line(running: &mut Running) {
    running.type_line("/crisis");
    let named = running.line("resource");
    assert_eq!(
        (&named["name"], &named["how"]),
        (&"Crisis line".into(), &"116 123".into())
    );
    assert_eq!(running.line("crisis")["resources"], 1);
}

#[test]
fn who_waits_at_a_desk_is_told_who_helps_while_the_relay_is_dead() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, guest, key] = ["ana", "guest", "key"].map(|name| path(folder.path(), name));
    let (relay, address) = relay();
    let desk = new_desk(&ana, &key, &address);
    let mut ask = Running::start(&["desk", "ask", &desk, "--folder", &guest]);
    ask.line("place");
    names_the_line(&mut ask);
    ask.type_line("/quit");
    assert_eq!(ask.line("summary")["ok"], true);
    drop(relay);
    let mut chat = Running::start(&["chat", "--folder", &guest]);
    names_the_line(&mut chat);
}

#[test]
fn who_was_answered_is_told_without_a_line_and_a_supporter_calls_the_team_by_it() {
    let mut desk = Desk::new();
    desk.crisis_call("/crisis she took pills", "a crisis: she took pills");
    desk.guest.type_line("/quit");
    assert_eq!(desk.guest.line("summary")["ok"], true);
    let guest = desk.folder("guest");
    let Desk { relay, folder, .. } = desk;
    drop(relay);
    let mut chat = Running::start(&["chat", "--folder", &guest]);
    names_the_line(&mut chat);
    drop(folder);
}

#[test]
fn who_finds_a_desk_full_is_told_who_helps_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = |name: &str| path(folder.path(), name);
    let (_relay, address) = relay();
    let (ana, key) = (name("ana"), name("key"));
    let mut new = Running::start(&[
        "desk",
        "new",
        "Small",
        "--folder",
        &ana,
        "--name",
        "Ana",
        "--relay",
        &address,
        "--organisation",
        &key,
        "--capacity",
        "1",
        "--resource",
        "Crisis line=116 123",
    ]);
    let desk = new.line("desk")["address"].clone();
    let desk = desk.as_str().expect("an address");
    let ask = |who: &str| Running::start(&["desk", "ask", desk, "--folder", &name(who)]);
    let mut first = ask("first");
    first.line("place");
    let mut second = ask("second");
    second.line("desk_full");
    assert_eq!(second.line("resource")["how"], "116 123");
}

impl Desk {
    /// Ana says this until the chat has its door, and Cay is asked with these words.
    fn crisis_call(&mut self, typed: &str, asks: &str) {
        loop {
            self.ana.type_line(typed);
            let said = self.ana.line_where("note", |line| {
                let text = line["text"].as_str().expect("words");
                text.starts_with("The team is asked") || text.starts_with("not asked")
            });
            assert_eq!(self.ana.line("resource")["how"], "116 123");
            if said["text"]
                .as_str()
                .expect("words")
                .starts_with("The team")
            {
                break;
            }
        }
        assert_eq!(self.cay.line("called")["asks"], asks);
    }
}
