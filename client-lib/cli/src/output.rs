//! What a command prints: words for people or objects for programs, and the exit code.
//!
//! Stdout carries results only. Nothing here is a log.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use sotto_client::ErrorKind;

pub(crate) const PROMISE_FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const COULD_NOT_RUN: u8 = 3;
pub(crate) const STORE_REFUSED: u8 = 4;
pub(crate) const INTERRUPTED: u8 = 130;

/// What the last line says beside `type` and `ok`.
pub(crate) type Done = Map<String, Value>;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
#[error("{message}. {next}")]
pub(crate) struct Failure {
    /// A word for programs.
    pub(crate) kind: &'static str,
    /// What could not be done.
    pub(crate) message: String,
    /// What to do now.
    pub(crate) next: String,
    /// The exit code.
    pub(crate) code: u8,
    /// What is known all the same.
    pub(crate) done: Box<Done>,
}

impl Failure {
    fn new(kind: &'static str, code: u8, message: String, next: String) -> Self {
        let done = Box::default();
        Self {
            kind,
            message,
            next,
            code,
            done,
        }
    }

    /// What was typed or given makes no sense.
    pub(crate) fn usage(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new("usage", USAGE, message.into(), next.into())
    }

    /// Something that is needed was not to be had.
    pub(crate) fn could_not_run(message: impl Into<String>) -> Self {
        let next = "Try again; if it stays so, see that the disk has room and may be written";
        Self::new("system", COULD_NOT_RUN, message.into(), next.into())
    }

    /// The relay was not reached.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(
            ErrorKind::Unreachable.name(),
            COULD_NOT_RUN,
            message.into(),
            "Try again later".into(),
        )
    }

    /// The relay was not reached for this reason.
    pub(crate) fn not_reached(why: ErrorKind) -> Self {
        let said = match why {
            ErrorKind::Certificate => "the relay's certificate is not one that this device trusts",
            ErrorKind::NotTheRelay => "who answers at this address is not the relay that it names",
            ErrorKind::Clock => "this device's clock and the relay's are more than a day apart",
            _ => "the relay is not reached",
        };
        sotto_client::Error::new(why, said).into()
    }

    /// One of the promises of README.md did not hold.
    pub(crate) fn promise(message: impl Into<String>, done: Done) -> Self {
        let next = "Please report this with the lines above; it must never happen";
        Self {
            done: Box::new(done),
            ..Self::new("promise", PROMISE_FAILED, message.into(), next.into())
        }
    }

    /// Ended by Ctrl-C or SIGTERM.
    pub(crate) fn interrupted() -> Self {
        let next = "What was promised is kept";
        Self::new(
            "interrupted",
            INTERRUPTED,
            "interrupted".into(),
            next.into(),
        )
    }

    /// Whether the relay was not reached: nothing was decided then.
    pub(crate) fn is_for_now(&self) -> bool {
        let kinds = [
            ErrorKind::Unreachable,
            ErrorKind::Certificate,
            ErrorKind::NotTheRelay,
            ErrorKind::Clock,
        ];
        kinds.iter().any(|kind| kind.name() == self.kind)
    }

    /// The same failure, with what to do about it.
    pub(crate) fn then(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }
}

impl From<sotto_client::Error> for Failure {
    fn from(error: sotto_client::Error) -> Self {
        let kind = error.kind();
        let (code, next) = match kind {
            ErrorKind::VaultInUse => (
                STORE_REFUSED,
                "Another program works in this folder, such as `sotto chat` or `sotto desk duty` in another \
                 terminal: go on there, or end it first",
            ),
            ErrorKind::VaultKey => (
                STORE_REFUSED,
                "Try the passphrase again (say --passphrase if the folder has one); without it \
                 nothing can be opened",
            ),
            ErrorKind::VaultDamaged | ErrorKind::VaultFull | ErrorKind::VaultIo => (
                STORE_REFUSED,
                "See that the disk has room and is well; nothing was overwritten",
            ),
            ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Address => {
                (USAGE, "Change what was given")
            }
            ErrorKind::NotAllowed => (USAGE, "Ask a facilitator of the conversation"),
            ErrorKind::Certificate => (
                COULD_NOT_RUN,
                "If it has an authority of its own, name that one's PEM file with --authority; \
                 otherwise somebody may stand between you and the relay",
            ),
            ErrorKind::NotTheRelay => (
                COULD_NOT_RUN,
                "See that you have a network that lets you out, and ask whoever runs the relay for \
                 its address",
            ),
            ErrorKind::NotTheDesk => (COULD_NOT_RUN, "Nothing was sent there"),
            ErrorKind::Clock => (COULD_NOT_RUN, "Set this device's clock"),
            ErrorKind::NotMember | ErrorKind::Refused => {
                (COULD_NOT_RUN, "Ask for a new link to come back")
            }
            _ => (COULD_NOT_RUN, "Try again later"),
        };
        Self::new(kind.name(), code, error.to_string(), next.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::could_not_run(format!("a file could not be read or written: {error}"))
    }
}

/// Where a command's results go.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    json: bool,
    /// A second copy of every line, for whoever searches all output.
    copy: Option<Arc<Mutex<File>>>,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json, copy: None }
    }

    /// The same, with a copy of every line but quoted ones in a file.
    pub(crate) fn copied_to(&self, path: &Path) -> io::Result<Self> {
        let copy = Some(Arc::new(Mutex::new(File::create(path)?)));
        Ok(Self {
            json: self.json,
            copy,
        })
    }

    /// Whether people read it.
    pub(crate) const fn is_for_people(&self) -> bool {
        !self.json
    }

    /// A line for programs.
    pub(crate) fn object(&self, object: &Value) {
        if self.json {
            self.write(&object.to_string(), true);
        }
    }

    /// A line for people.
    pub(crate) fn words(&self, words: &str) {
        if !self.json {
            self.write(words, true);
        }
    }

    /// A line for people that shows what somebody said, and so is no place to search for it.
    pub(crate) fn quote(&self, words: &str) {
        if !self.json {
            self.write(words, false);
        }
    }

    /// Something that is said beside the conversation.
    pub(crate) fn note(&self, words: &str) {
        self.object(&json!({"type": "note", "text": words}));
        self.words(&format!("* {words}"));
    }

    fn write(&self, line: &str, copied: bool) {
        let mut stdout = io::stdout().lock();
        // A reader who closed the pipe wants no more lines; the exit code still tells the outcome.
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
        if let Some(copy) = self.copy.as_ref().filter(|_| copied) {
            let mut copy = copy.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk is noticed by the search's control text.
            let _ = writeln!(copy, "{line}");
        }
    }

    /// The last line, and the exit code.
    pub(crate) fn finish(&self, outcome: Result<Done, Failure>) -> u8 {
        if let Err(failure) = &outcome {
            // Nobody is left to be told when stderr is closed.
            let _ = writeln!(io::stderr().lock(), "sotto: {failure}.");
        }
        self.finish_silently(outcome)
    }

    /// The last line for programs only, and the exit code.
    pub(crate) fn finish_silently(&self, outcome: Result<Done, Failure>) -> u8 {
        let (done, failure) = match outcome {
            Ok(done) => (done, None),
            Err(mut failure) => (core::mem::take(&mut *failure.done), Some(failure)),
        };
        self.object(&summary(done, failure.as_ref()));
        failure.map_or(0, |failure| failure.code)
    }
}

fn summary(done: Done, failure: Option<&Failure>) -> Value {
    let mut line = Map::new();
    line.insert("type".into(), json!("summary"));
    line.insert("ok".into(), json!(failure.is_none()));
    line.extend(done);
    if let Some(failure) = failure {
        let error = json!({
            "kind": failure.kind,
            "message": failure.message,
            "next": failure.next,
        });
        line.insert("error".into(), error);
    }
    Value::Object(line)
}

/// A struct's fields for the last line.
pub(crate) fn fields(of: &impl serde::Serialize) -> Done {
    match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => fields,
        _ => Done::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_whether_it_held_and_what_to_do() {
        let held = summary(Done::new(), None);
        // A shell tells the last line by how it begins, whatever else was built beside this.
        assert_eq!(held.to_string(), r#"{"type":"summary","ok":true}"#);
        let mut done = Done::new();
        done.insert("lost".into(), json!(3));
        let failure = Failure::promise("3 messages were lost", Done::new());
        let line = summary(done, Some(&failure));
        assert_eq!(line["ok"], false);
        assert_eq!(line["lost"], 3);
        assert_eq!(line["error"]["kind"], "promise");
        assert!(!line["error"]["next"].as_str().unwrap().is_empty());
    }

    #[test]
    fn a_refusing_vault_is_told_apart_from_a_relay_out_of_reach() {
        let code = |kind| Failure::from(sotto_client::Error::new(kind, "x")).code;
        assert_eq!(code(ErrorKind::VaultInUse), STORE_REFUSED);
        assert_eq!(code(ErrorKind::VaultDamaged), STORE_REFUSED);
        assert_eq!(code(ErrorKind::Unreachable), COULD_NOT_RUN);
        assert_eq!(code(ErrorKind::Invalid), USAGE);
    }

    #[test]
    fn quoted_lines_are_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        let output = Output::new(false).copied_to(&path).unwrap();
        output.words("a line of the demo");
        output.quote("what somebody said");
        let copy = std::fs::read_to_string(&path).unwrap();
        assert!(copy.contains("a line of the demo") && !copy.contains("what somebody said"));
    }
}
