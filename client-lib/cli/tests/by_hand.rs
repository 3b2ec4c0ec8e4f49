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
