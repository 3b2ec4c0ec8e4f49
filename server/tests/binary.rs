//! The binary as operators meet it: what it prints, and with which code it ends.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails where something is not as expected"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use sotto_server::clock::{Clock as _, DAY, SystemClock};
use sotto_server::retention::Keys;

fn relay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sotto-relay"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn ended(arguments: &[&str]) -> (i32, Output) {
    let output = relay(arguments).output().unwrap();
    (output.status.code().unwrap(), output)
}

fn next_line(lines: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// A relay that runs; killed if a test fails.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    listening: Value,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = relay(arguments)
            .arg("--json")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let listening = next_line(&mut lines);
        Self {
            child,
            lines,
            listening,
        }
    }

    fn text(&self, key: &str) -> String {
        self.listening[key].as_str().unwrap().to_owned()
    }

    /// What the operator's server answers to the question whether the relay takes work.
    fn readyz(&self) -> String {
        let mut admin = TcpStream::connect(self.text("admin")).unwrap();
        admin
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        admin.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends a signal and waits for the end; gives code and last line.
    fn stop(mut self, signal: &str) -> (i32, Value) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
        let last = next_line(&mut self.lines);
        (self.child.wait().unwrap().code().unwrap(), last)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(folder: &Path) -> String {
    let text = format!(
        "create = \"dangerous_open\"\nfolder = {folder:?}\nlisten = \"127.0.0.1:0\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n"
    );
    let path = folder.with_extension("toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_relay_for_trying_out_says_where_it_listens_and_ends_with_zero_at_each_signal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let mut addresses = Vec::new();
    for signal in ["-TERM", "-INT"] {
        let running = Running::start(&["run", "--dev", "--folder", path]);
        assert_eq!(running.text("type"), "listening");
        let address = running.text("address");
        let (base, identity) = address.split_once("/#").unwrap();
        assert_eq!(base, format!("ws://{}", running.text("listen")));
        assert_eq!(identity.len(), 43);
        addresses.push(identity.to_owned());

        let answer = running.readyz();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

        let (code, last) = running.stop(signal);
        assert_eq!(code, 0);
        assert_eq!(last, serde_json::json!({"type": "summary", "ok": true}));
    }
    assert_eq!(addresses[0], addresses[1], "the identity stays");
}

#[test]
fn an_identity_is_made_only_when_asked_and_never_replaced() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("relay");
    let config = settings(&folder);
    let (code, output) = ended(&["run", "--config", &config, "--json"]);
    assert_eq!(code, 3);
    let last: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(last["error"]["kind"], "identity");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--init"));
    assert!(!folder.join("identity").exists());

    let running = Running::start(&["run", "--init", "--config", &config]);
    assert_eq!(running.stop("-TERM").0, 0);
    let (code, _) = ended(&["run", "--init", "--config", &config]);
    assert_eq!(code, 3);
    let running = Running::start(&["run", "--config", &config]);
    assert_eq!(running.stop("-TERM").0, 0);
}

#[test]
fn a_folder_or_port_in_use_is_said() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().to_str().unwrap();
    let running = Running::start(&["run", "--dev", "--folder", path]);
    let (code, output) = ended(&["run", "--dev", "--folder", path]);
    assert_eq!(code, 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains("another relay"));
    let listen = running.text("listen");
    let port = listen.rsplit_once(':').unwrap().1;
    let (code, output) = ended(&["run", "--dev", "--port", port]);
    assert_eq!(code, 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains(&listen));
}

#[test]
fn wrong_settings_and_wrong_usage_end_with_two_and_a_damaged_store_with_four() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("relay");
    let config = settings(&folder);
    assert_eq!(ended(&["check-config", "--config", &config]).0, 0);
    assert_eq!(ended(&["run"]).0, 2);
    assert_eq!(ended(&["serve"]).0, 2);
    assert_eq!(ended(&["run", "--config", "/nonexistent.toml"]).0, 2);
    let wrong = scratch.path().join("wrong.toml");
    std::fs::write(&wrong, "create = \"work\"\nlisten_on = 1\n").unwrap();
    let (code, output) = ended(&["check-config", "--config", wrong.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("listen_on"));

    let running = Running::start(&["run", "--init", "--config", &config]);
    assert_eq!(running.stop("-TERM").0, 0);
    std::fs::remove_file(folder.join("mark")).unwrap();
    std::fs::remove_dir_all(folder.join("db")).unwrap();
    std::fs::write(folder.join("logs.keys"), b"not keys").unwrap();
    let (code, output) = ended(&["run", "--config", &config, "--json"]);
    assert_eq!(code, 4, "{output:?}");
    let last: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(last["error"]["kind"], "store");
    assert!(String::from_utf8_lossy(&output.stderr).contains("import"));
}

#[test]
fn a_stopped_relays_logs_are_exported_imported_and_told() {
    let scratch = tempfile::tempdir().unwrap();
    let (first, second) = (scratch.path().join("first"), scratch.path().join("second"));
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let file = scratch.path().join("logs.export");
    let file = file.to_str().unwrap();
    let running = Running::start(&["run", "--dev", "--folder", first]);
    assert_eq!(ended(&["export", "--folder", first, "--to", file]).0, 3);
    assert_eq!(ended(&["seizure", "--folder", first]).0, 3);
    assert_eq!(running.stop("-TERM").0, 0);

    assert_eq!(ended(&["export", "--folder", first, "--to", file]).0, 0);
    assert_eq!(ended(&["export", "--folder", first, "--to", file]).0, 3);
    assert_eq!(ended(&["import", "--folder", first, "--from", file]).0, 3);
    assert_eq!(ended(&["import", "--folder", second, "--from", file]).0, 0);
    let (code, output) = ended(&["seizure", "--json", "--folder", second]);
    assert_eq!(code, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.first().unwrap()["type"], "engine");
    assert_eq!(lines.last().unwrap()["ok"], true);
    assert_eq!(ended(&["seizure", "--folder", "/nonexistent"]).0, 3);
    // Looking at a folder makes no relay of it.
    let empty = tempfile::tempdir().unwrap();
    let (path, to) = (empty.path().to_str().unwrap(), "/nonexistent");
    assert_eq!(ended(&["seizure", "--folder", path]).0, 3);
    assert_eq!(ended(&["confirm-clock", "--folder", path]).0, 3);
    assert_eq!(ended(&["export", "--folder", path, "--to", to]).0, 3);
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 0);
    assert_eq!(ended(&["seizure"]).0, 2);
    std::fs::write(file, b"not an export").unwrap();
    let third = scratch.path().join("third");
    let third = third.to_str().unwrap();
    assert_ne!(ended(&["import", "--folder", third, "--from", file]).0, 0);
}

#[test]
fn a_clock_in_doubt_is_said_until_the_operator_confirms_it() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().to_str().unwrap();
    let start = || Running::start(&["run", "--dev", "--folder", path]);
    assert_eq!(start().stop("-TERM").0, 0);
    let long_ago = SystemClock::new().wall() - 50 * DAY - Duration::from_secs(3 * 3_600);
    let keys = Keys::open(scratch.path()).unwrap();
    keys.write_clock(long_ago.as_secs()).unwrap();
    keys.sync().unwrap();
    drop(keys);

    let running = start();
    let ready = running.readyz();
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(ready.contains("confirm-clock"), "{ready}");
    let (code, output) = ended(&["confirm-clock", "--folder", path]);
    assert_eq!(code, 3, "a relay that runs has the folder");
    assert!(String::from_utf8_lossy(&output.stderr).contains("another relay"));
    assert_eq!(running.stop("-TERM").0, 0);

    let (code, output) = ended(&["confirm-clock", "--folder", path]);
    assert_eq!(code, 0);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("moved on by 50 days and 3 hours"), "{said}");
    let running = start();
    assert!(!running.readyz().contains("clock"));
    assert_eq!(running.stop("-TERM").0, 0);
    let (_, output) = ended(&["confirm-clock", "--json", "--folder", path]);
    let text = String::from_utf8(output.stdout).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["type"], "clock");
    assert!(first["moved_s"].as_i64().unwrap() < 3_600);
}
