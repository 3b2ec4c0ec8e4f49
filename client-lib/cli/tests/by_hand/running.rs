//! A `sotto` that runs, and what many tests begin with.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A `sotto` that runs; ended when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(&std::env::temp_dir(), arguments)
    }

    /// With its scratch folders in this one.
    pub(crate) fn start_in(scratch: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sotto"))
            .args(arguments)
            .env("TMPDIR", scratch)
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
    pub(crate) fn line(&mut self, kind: &str) -> Value {
        self.line_where(kind, |_| true)
    }

    pub(crate) fn line_where(&mut self, kind: &str, so: impl Fn(&Value) -> bool) -> Value {
        for line in self.lines.by_ref() {
            let line: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
            if line["type"] == kind && so(&line) {
                return line;
            }
            assert_ne!(line["type"], "summary", "ended before {kind}: {line}");
        }
        panic!("no line of the type {kind}");
    }

    /// The next note that begins with these words.
    pub(crate) fn note(&mut self, words: &str) {
        self.line_where("note", |line| {
            let text = line["text"].as_str();
            text.is_some_and(|text| text.starts_with(words))
        });
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin");
        writeln!(stdin, "{line}").expect("typed");
    }

    /// The same for a command that may end before it reads anything.
    pub(crate) fn type_if_read(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin");
        if let Err(error) = writeln!(stdin, "{line}") {
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        }
    }

    /// The last line there is.
    pub(crate) fn last(&mut self) -> Value {
        let last = self.lines.by_ref().last().expect("a line");
        serde_json::from_str(&last.expect("UTF-8")).expect("JSON")
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("a signal");
    }

    pub(crate) fn code(&mut self) -> Option<i32> {
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

pub(crate) fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().expect("a path").to_owned()
}

pub(crate) fn done(arguments: &[&str]) -> (Option<i32>, Value) {
    let mut running = Running::start(arguments);
    let last = running.last();
    (running.code(), last)
}

/// A relay for this test, and its address.
pub(crate) fn relay() -> (Running, String) {
    let mut relay = Running::start(&["relay", "--dev"]);
    let address = relay.line("listening")["address"].clone();
    let address = address.as_str().expect("an address").to_owned();
    (relay, address)
}

pub(crate) fn new_room(folder: &str, address: &str, more: &[&str]) -> String {
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
