//! What the README tells people to do by hand: a relay, a room, two who chat, and what is left.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails here has found what it looks for"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A `sotto` that runs; ended when dropped.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sotto"))
            .args(arguments)
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        Self { child, lines }
    }

    /// The next line of this type; lines before it are passed over.
    fn line(&mut self, kind: &str) -> Value {
        self.line_where(kind, |_| true)
    }

    fn line_where(&mut self, kind: &str, so: impl Fn(&Value) -> bool) -> Value {
        for line in self.lines.by_ref() {
            let line: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
            if line["type"] == kind && so(&line) {
                return line;
            }
            assert_ne!(line["type"], "summary", "ended before {kind}: {line}");
        }
        panic!("no line of the type {kind}");
    }

    fn type_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin");
        writeln!(stdin, "{line}").expect("typed");
    }

    fn code(&mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.child.wait().expect("ended").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().expect("a path").to_owned()
}

fn done(arguments: &[&str]) -> (Option<i32>, Value) {
    let mut running = Running::start(arguments);
    let last = running
        .lines
        .by_ref()
        .last()
        .expect("a line")
        .expect("UTF-8");
    (running.code(), serde_json::from_str(&last).expect("JSON"))
}

#[test]
fn two_people_chat_in_two_terminals_and_leave_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ana, ben) = (path(folder.path(), "ana"), path(folder.path(), "ben"));
    let mut relay = Running::start(&["relay", "--dev"]);
    let address = relay.line("listening")["address"].clone();
    let address = address.as_str().expect("an address").to_owned();
    let new = [
        "room", "new", "--folder", &ana, "--name", "Ana", "--relay", &address,
    ];
    let mut new = Running::start(&new);
    let link = new.line("link")["link"]
        .as_str()
        .expect("a link")
        .to_owned();
    assert_eq!(new.line("summary")["ok"], true);
    let (code, joined) = done(&["room", "join", &link, "--folder", &ben, "--name", "Ben"]);
    assert_eq!((code, &joined["ok"]), (Some(0), &Value::Bool(true)));

    let mut first = Running::start(&["chat", "--folder", &ana]);
    let mut second = Running::start(&["chat", "--folder", &ben]);
    first.line_where("members", |line| {
        line["members"].as_array().is_some_and(|all| all.len() == 2)
    });
    first.type_line("Hello from the first terminal");
    let heard = second.line_where("message", |line| line["mine"] == false);
    assert_eq!(heard["text"], "Hello from the first terminal");
    assert_eq!(heard["author"], "Ana");
    second.type_line("And back from the second");
    let heard = first.line_where("message", |line| line["mine"] == false);
    assert_eq!(heard["text"], "And back from the second");

    let (sound, saved) = (
        path(folder.path(), "note.ogg"),
        path(folder.path(), "saved"),
    );
    let bytes: Vec<u8> = (0..300_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    std::fs::write(&sound, &bytes).expect("a file");
    first.type_line(&format!("/attach {sound}"));
    let heard = second.line_where("message", |line| line["mine"] == false);
    assert_eq!(heard["attachment"]["name"], "note.ogg");
    assert_eq!(heard["attachment"]["type"], "audio/ogg");
    second.type_line(&format!("/save 1 {saved}"));
    second.line_where("attachment", |line| line["state"] == "here");
    second.line_where("note", |line| {
        line["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("saved"))
    });
    assert!(std::fs::read(&saved).expect("saved") == bytes);

    // The folder is in use: a second process on it is refused.
    let (code, refused) = done(&["chat", "--folder", &ana]);
    assert_eq!(code, Some(4));
    assert_eq!(refused["error"]["kind"], "vault_in_use");

    second.type_line("/leave");
    assert_eq!(second.line("summary")["ok"], true);
    assert_eq!(second.code(), Some(0));
    let (code, residue) = done(&["residue", "--expect-empty", "--folder", &ben]);
    assert_eq!(code, Some(0), "{residue}");
    first.type_line("/quit");
    assert_eq!(first.line("summary")["unsent"], 0);
    let (code, residue) = done(&["residue", "--expect-empty", "--folder", &ana]);
    assert_eq!(code, Some(1));
    assert_eq!(residue["conversations"], 1);
}

/// A relay for this test, and its address.
fn relay() -> (Running, String) {
    let mut relay = Running::start(&["relay", "--dev"]);
    let address = relay.line("listening")["address"].clone();
    let address = address.as_str().expect("an address").to_owned();
    (relay, address)
}

fn new_room(folder: &str, address: &str, more: &[&str]) -> String {
    let new = [
        "room", "new", "--folder", folder, "--name", "Ana", "--relay", address,
    ];
    let mut new = Running::start(&[&new, more].concat());
    let link = new.line("link")["link"]
        .as_str()
        .expect("a link")
        .to_owned();
    assert_eq!(new.line("summary")["ok"], true);
    link
}

#[test]
fn who_knocks_waits_for_a_yes_and_hears_a_no() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, ben, eve] = ["ana", "ben", "eve"].map(|name| path(folder.path(), name));
    let (_relay, address) = relay();
    let link = new_room(&ana, &address, &["--approval"]);
    let join = |folder: &str, name: &str| {
        let mut joining =
            Running::start(&["room", "join", &link, "--folder", folder, "--name", name]);
        joining.line("knocked");
        joining
    };
    let mut ben = join(&ben, "Ben");
    let mut chat = Running::start(&["chat", "--folder", &ana]);
    assert_eq!(chat.line("knock")["name"], "Ben");
    let mut eve = join(&eve, "Eve");
    chat.line_where("knock", |line| line["name"] == "Eve");
    chat.type_line("/admit Ben");
    assert_eq!(ben.line("joined")["members"], 2);
    assert_eq!(ben.line("summary")["ok"], true);
    assert_eq!(ben.code(), Some(0));
    chat.line_where("members", |line| {
        line["members"].as_array().is_some_and(|all| all.len() == 2)
    });
    chat.type_line("/knocks");
    let knock = chat.line("knock");
    assert_eq!(
        (&knock["number"], &knock["name"]),
        (&1.into(), &"Eve".into())
    );
    chat.type_line("/turn-away 1");
    let last = eve.lines.by_ref().last().expect("a line").expect("UTF-8");
    let last: Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!(last["error"]["message"], "you were not let in");
    assert_eq!(eve.code(), Some(3));
    chat.type_line("/quit");
    assert_eq!(chat.line("summary")["ok"], true);
}

#[test]
fn words_bring_a_person_back_on_another_device_and_a_slip_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, ben, borrowed] = ["ana", "ben", "new"].map(|name| path(folder.path(), name));
    let (_relay, address) = relay();
    let link = new_room(&ana, &address, &[]);
    let (code, _) = done(&["room", "join", &link, "--folder", &ben, "--name", "Ben"]);
    assert_eq!(code, Some(0));
    let mut new = Running::start(&["words", "new", "--relay", &address, "--folder", &ben]);
    let words = new.line("words")["words"]
        .as_str()
        .expect("words")
        .to_owned();
    assert_eq!(words.split(' ').count(), 8);
    assert_eq!(new.line("summary")["ok"], true);
    let come_back = |typed: &str| {
        let mut back =
            Running::start(&["words", "use", "--relay", &address, "--folder", &borrowed]);
        back.type_line(typed);
        let last = back.lines.by_ref().last().expect("a line").expect("UTF-8");
        let last: Value = serde_json::from_str(&last).expect("JSON");
        (back.code(), last)
    };
    let (first, rest) = words.split_once(' ').expect("words");
    let (code, refused) = come_back(&format!("{first}xx {rest}"));
    assert_eq!(
        (code, &refused["error"]["kind"]),
        (Some(2), &"usage".into())
    );
    let next = refused["error"]["next"].as_str().expect("what to do");
    assert!(next.contains("word 1") && next.contains(first), "{next}");
    let (code, back) = come_back(&words.to_uppercase());
    assert_eq!((code, &back["inside"]), (Some(0), &1.into()), "{back}");
    let mut chat = Running::start(&["chat", "--folder", &ana]);
    let mut again = Running::start(&["chat", "--folder", &borrowed]);
    again.type_line("It is me, on another phone");
    let heard = chat.line_where("message", |line| line["mine"] == false);
    assert_eq!(
        (&heard["author"], &heard["text"]),
        (&"Ben".into(), &"It is me, on another phone".into())
    );
    again.type_line("/quit");
    assert_eq!(again.line("summary")["ok"], true);
    let (code, ended) = done(&["words", "end", "--folder", &borrowed]);
    assert_eq!(code, Some(0), "{ended}");
}

#[test]
fn a_folder_under_a_passphrase_opens_with_it_and_with_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let ana = path(folder.path(), "ana");
    let (_relay, address) = relay();
    let with = |typed: &str, arguments: &[&str]| {
        let mut running =
            Running::start(&[arguments, &["--folder", &ana, "--passphrase"]].concat());
        running.type_line(typed);
        let code = running.code();
        let last = running
            .lines
            .by_ref()
            .last()
            .expect("a line")
            .expect("UTF-8");
        (code, serde_json::from_str::<Value>(&last).expect("JSON"))
    };
    let new = ["room", "new", "--name", "Ana", "--relay", &address];
    assert_eq!(with("", &new).0, Some(2), "an empty one is none");
    assert_eq!(with("correct horse", &new).0, Some(0));
    let (code, refused) = with("correct hose", &["chat"]);
    assert_eq!(
        (code, &refused["error"]["kind"]),
        (Some(4), &"vault_key".into())
    );
    let (code, refused) = done(&["chat", "--folder", &ana]);
    assert_eq!(
        (code, &refused["error"]["kind"]),
        (Some(4), &"vault_key".into())
    );
    assert!(
        refused["error"]["next"]
            .as_str()
            .expect("what to do")
            .contains("--passphrase")
    );
    let (code, chat) = with("correct horse\nsaid behind it", &["chat"]);
    assert_eq!((code, &chat["unsent"]), (Some(0), &0.into()), "{chat}");
}

/// Every command that can meet it: what was typed wrong, a relay out of reach, a vault that refuses,
/// and Ctrl-C. The last line says so to programs, the exit code to scripts.
#[test]
fn exit_codes_and_the_last_line_say_what_went_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let [used, empty, broken] = ["used", "empty", "broken"].map(|name| path(folder.path(), name));
    let (relay, address) = relay();
    let link = new_room(&used, &address, &["--approval"]);
    drop(relay);
    std::fs::create_dir_all(Path::new(&broken)).expect("a folder");
    std::fs::write(Path::new(&broken).join("key"), [7; 32]).expect("a key");
    std::fs::write(Path::new(&broken).join("vault"), b"no folder").expect("a file");
    let join = ["room", "join", &link, "--name", "Ben"];
    let new = ["room", "new", "--name", "Ana", "--relay", &address];
    let [words_new, words_use] = ["new", "use"].map(|what| ["words", what, "--relay", &address]);
    let good = "abandon abandon abandon abandon abandon abandon abandon absurd";
    let table: [(&[&str], &str, i32, &str); 14] = [
        (
            &["room", "new", "--name", "Ana", "--relay", "ws://nowhere"],
            "",
            2,
            "usage",
        ),
        (
            &["room", "join", "sotto:1:AA", "--name", "Ben"],
            "",
            2,
            "usage",
        ),
        (&["chat"], "", 2, "usage"),
        (&["words", "end"], "", 2, "invalid"),
        (&words_use, "zoo zoo", 2, "usage"),
        (&new, "", 3, "unreachable"),
        (&join, "", 3, "unreachable"),
        (&words_new, "", 3, "system"),
        (&words_use, good, 3, "unreachable"),
        (&new, "", 4, "vault_io"),
        (&join, "", 4, "vault_io"),
        (&["chat"], "", 4, "vault_io"),
        (&words_new, "", 4, "vault_io"),
        (&words_use, good, 4, "vault_io"),
    ];
    for (at_row, (arguments, typed, code, kind)) in table.into_iter().enumerate() {
        let own = path(Path::new(&empty), &at_row.to_string());
        let folder = if code == 4 { &broken } else { &own };
        let mut running =
            Running::start(&[arguments, &["--folder", folder, "--patience", "1"]].concat());
        running.type_line(typed);
        let last = running
            .lines
            .by_ref()
            .last()
            .expect("a line")
            .expect("UTF-8");
        let last: Value = serde_json::from_str(&last).expect("JSON");
        assert_eq!(last["type"], "summary", "{arguments:?}");
        assert_eq!(
            (running.code(), &last["error"]["kind"]),
            (Some(code), &kind.into()),
            "{arguments:?} {last}"
        );
        assert_eq!(last["ok"], false);
        assert!(
            last["error"]["next"]
                .as_str()
                .is_some_and(|next| !next.is_empty())
        );
    }
    ctrl_c_ends_with_its_own_code(&used);
}

/// Waiting at a terminal, and ended.
fn ctrl_c_ends_with_its_own_code(folder: &str) {
    let mut chat = Running::start(&["chat", "--folder", folder]);
    chat.line("members");
    let id = rustix::process::Pid::from_child(&chat.child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("a signal");
    let last = chat.line("summary");
    assert_eq!(last["error"]["kind"], "interrupted");
    assert_eq!(chat.code(), Some(130));
}
