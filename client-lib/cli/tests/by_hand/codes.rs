//! Exit codes: what README.md says of them is what the commands do.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::running::{Running, new_room, path, relay};

const README: &str = include_str!("../../../../README.md");
/// Words that are right, and lead to nothing.
const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon absurd";
const TALK: &str = "conversation,turn,role,text\na,0,seeker,Is anybody there?\n";
/// What no test can bring about from outside: a broken promise, which is judged in `speak::count`, a
/// disk that fails in the middle, files that the superuser may not read, and an interruption of what
/// takes no time.
const NOT_MET: [(&str, i32); 10] = [
    ("bench", 1),
    ("demo", 1),
    ("replay", 1),
    ("bench", 4),
    ("demo", 4),
    ("replay", 4),
    ("residue", 3),
    ("badge", 130),
    ("exit", 130),
    ("residue", 130),
];

/// A command, by its first word, that ended with this code.
type Met = BTreeSet<(String, i32)>;

/// Every command, from the binary's own help.
fn commands() -> BTreeSet<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_sotto"))
        .arg("--help")
        .output()
        .expect("the binary runs");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| *word != "help")
        .map(str::to_owned)
        .collect()
}

/// The table of README.md.
fn promised(commands: &BTreeSet<String>) -> Met {
    let rows = README
        .lines()
        .skip_while(|line| !line.starts_with("| exit code |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut promised = Met::new();
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let code = cells[1].parse::<i32>().expect("a code");
        let named: BTreeSet<_> = cells[3]
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        let of: BTreeSet<_> = match cells[3] {
            every if every.starts_with("all") => commands.difference(&named).cloned().collect(),
            _ => named,
        };
        promised.extend(of.into_iter().map(|command| (command, code)));
    }
    promised
}

/// Ended; its last line says to programs what the exit code says to scripts.
fn ended(mut running: Running, arguments: &[&str], code: i32, kind: &str, met: &mut Met) {
    let last = running.last();
    assert_eq!(last["type"], "summary", "{arguments:?}");
    let wanted = if code == 0 { Value::Null } else { kind.into() };
    assert_eq!(
        (running.code(), &last["error"]["kind"]),
        (Some(code), &wanted),
        "{arguments:?} {last}"
    );
    assert_eq!(last["ok"], code == 0);
    if code != 0 {
        let next = last["error"]["next"].as_str();
        assert!(next.is_some_and(|next| !next.is_empty()), "{arguments:?}");
    }
    met.insert((arguments[0].to_owned(), code));
}

#[test]
fn exit_codes_and_the_last_line_say_what_the_readme_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut met = Met::new();
    // The demo and the bench that hold are tests of their own.
    met.extend(["bench", "demo"].map(|command| (command.to_owned(), 0)));
    fine(folder.path(), &mut met);
    people_meet_them(folder.path(), &mut met);
    operators_meet_them(folder.path(), &mut met);
    interrupted(folder.path(), &mut met);
    met.extend(NOT_MET.map(|(command, code)| (command.to_owned(), code)));
    assert_eq!(promised(&commands()), met);
}

/// Those that end well, and the two that say that something is kept.
fn fine(folder: &Path, met: &mut Met) {
    let (ana, talk) = (path(folder, "ana"), path(folder, "talk.csv"));
    let (key, asked) = (path(folder, "key"), path(folder, "asked"));
    std::fs::write(&talk, TALK).expect("a file");
    let (relay, address) = relay();
    let desk = desk_new(&address, &key);
    let new = ["room", "new", "--name", "Ana", "--relay", &address];
    let inbox = ["inbox", "--relay", &address];
    let words = ["words", "new", "--relay", &address];
    let table: [&[&str]; 8] = [
        &new,
        &inbox,
        &words,
        &["words", "show"],
        &["words", "end"],
        &["badge", "request", &asked],
        &["chat"],
        &["residue"],
    ];
    for arguments in table {
        let mut running = Running::start(&[arguments, &["--folder", &ana]].concat());
        drop(running.child.stdin.take());
        ended(running, arguments, 0, "", met);
    }
    let kept = ["residue", "--expect-empty", "--folder", &ana];
    ended(Running::start(&kept), &kept, 1, "promise", met);
    let exit = ["exit", "--folder", &ana];
    ended(Running::start(&exit), &exit, 0, "", met);
    let office = path(folder, "office");
    let new = [desk.as_slice(), &["--folder", &office]].concat();
    ended(Running::start(&new), &new, 0, "", met);
    a_copy_of_records(folder, &office, met);
    // The same desk of the same organisation, from another device.
    let other = path(folder, "other office");
    let again = [desk.as_slice(), &["--folder", &other]].concat();
    ended(Running::start(&again), &again, 3, "refused", met);
    let replay = ["replay", &talk, "--relay", &address];
    ended(Running::start(&replay), &replay, 0, "", met);
    relay.signal(Signal::TERM);
    ended(relay, &["relay"], 0, "", met);
}

/// What the office took out holds, and one letter later it does not.
fn a_copy_of_records(folder: &Path, office: &str, met: &mut Met) {
    let taken = Command::new(env!("CARGO_BIN_EXE_sotto"))
        .args(["desk", "audit", "--folder", office, "--json"])
        .output()
        .expect("the binary runs");
    let text = String::from_utf8(taken.stdout).expect("UTF-8");
    let [copy, forged] = ["copy", "forged"].map(|name| path(folder, name));
    std::fs::write(&copy, &text).expect("a file");
    let other = text.replace(r#"{"exported":"audit"}"#, r#"{"exported":"numbers"}"#);
    assert_ne!(other, text);
    std::fs::write(&forged, other).expect("a file");
    let check = ["desk", "audit", "--check", &copy];
    ended(Running::start(&check), &check, 0, "", met);
    let check = ["desk", "audit", "--check", &forged];
    let mut running = Running::start(&check);
    let last = running.last();
    assert_eq!((&last["record"], running.code()), (&1.into(), Some(1)));
    ended(Running::start(&check), &check, 1, "promise", met);
}

fn desk_new<'a>(relay: &'a str, key: &'a str) -> [&'a str; 9] {
    [
        "desk",
        "new",
        "Quiet hour",
        "--name",
        "Ana",
        "--relay",
        relay,
        "--organisation",
        key,
    ]
}

/// What was typed wrong, a relay out of reach, a vault that refuses.
fn people_meet_them(folder: &Path, met: &mut Met) {
    let [used, empty, broken] = ["used", "empty", "broken"].map(|name| path(folder, name));
    let (relay, address) = relay();
    let link = new_room(&used, &address, &["--approval"]);
    drop(relay);
    std::fs::create_dir_all(Path::new(&broken)).expect("a folder");
    std::fs::write(Path::new(&broken).join("key"), [7; 32]).expect("a key");
    std::fs::write(Path::new(&broken).join("vault"), b"no folder").expect("a file");
    let join = ["room", "join", &link, "--name", "Ben"];
    let new = ["room", "new", "--name", "Ana", "--relay", &address];
    let inbox = ["inbox", "--relay", &address];
    let [words_new, words_use] = ["new", "use"].map(|what| ["words", what, "--relay", &address]);
    let beyond = [
        "room",
        "new",
        "--name",
        "Ana",
        "--relay",
        "ws://192.0.2.1/#A",
    ];
    let (key, nowhere) = (path(folder, "key"), path(folder, "no/such/folder"));
    let desk = desk_new(&address, &key);
    let duty = ["desk", "duty", "--name", "Ana"];
    let table: [(&[&str], &str, i32, &str); 27] = [
        (&beyond, "", 2, "usage"),
        (&duty, "", 2, "usage"),
        (&desk, "", 3, "unreachable"),
        (&duty, "", 4, "vault_io"),
        (&["badge", "import", &nowhere], "", 2, "usage"),
        (&["badge", "request", &nowhere], "", 3, "system"),
        (&["badge", "request", &nowhere], "", 4, "vault_io"),
        (
            &["room", "join", "sotto:1:AA", "--name", "Ben"],
            "",
            2,
            "usage",
        ),
        (&["chat"], "", 2, "usage"),
        (&["inbox"], "", 2, "usage"),
        (&["words", "end"], "", 2, "invalid"),
        (&["words", "show"], "", 2, "invalid"),
        (&["words", "decoy"], "", 2, "invalid"),
        (&words_use, "zoo zoo", 2, "usage"),
        (&new, "", 3, "unreachable"),
        (&join, "", 3, "unreachable"),
        (&inbox, "", 3, "unreachable"),
        (&words_new, "", 3, "system"),
        (&words_use, WORDS, 3, "unreachable"),
        (&["chat", "--authority", "/dev/null"], "", 3, "certificate"),
        (&new, "", 4, "vault_io"),
        (&join, "", 4, "vault_io"),
        (&inbox, "", 4, "vault_io"),
        (&["chat"], "", 4, "vault_io"),
        (&words_new, "", 4, "vault_io"),
        (&words_use, WORDS, 4, "vault_io"),
        (&["chat", "--authority", "/does/not/exist"], "", 2, "usage"),
    ];
    for (at_row, (arguments, typed, code, kind)) in table.into_iter().enumerate() {
        let own = path(Path::new(&empty), &at_row.to_string());
        let folder = if code == 4 { &broken } else { &own };
        let mut running =
            Running::start(&[arguments, &["--folder", folder, "--patience", "1"]].concat());
        running.type_if_read(typed);
        ended(running, arguments, code, kind, met);
    }
    what_is_kept_meets_them(folder, &broken, met);
}

/// Looking at what is kept, and erasing it.
fn what_is_kept_meets_them(folder: &Path, broken: &str, met: &mut Met) {
    let damaged = ["residue", "--folder", broken];
    ended(Running::start(&damaged), &damaged, 4, "vault_io", met);
    for misspelt in [["residue", "--expect-emty"], ["exit", "--foldr"]] {
        ended(Running::start(&misspelt), &misspelt, 2, "usage", met);
    }
    let damaged = ["exit", "--folder", broken];
    ended(Running::start(&damaged), &damaged, 4, "vault_io", met);
    // A key that is a folder cannot be overwritten.
    let no_key = path(folder, "no key");
    std::fs::create_dir_all(Path::new(&no_key).join("key")).expect("a folder");
    let exit = ["exit", "--folder", &no_key];
    ended(Running::start(&exit), &exit, 3, "system", met);
}

/// A relay's settings, port and store, and commands without a place for their scratch folder.
fn operators_meet_them(folder: &Path, met: &mut Met) {
    let [talk, bad, store] = ["talk.csv", "bad.csv", "store"].map(|name| path(folder, name));
    std::fs::write(&bad, format!("{TALK}a,one,seeker,late\n")).expect("a file");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its number").port().to_string();
    let mut relay = Running::start(&["relay", "--dev", "--folder", &store]);
    let address = relay.line("listening")["address"].clone();
    let address = address.as_str().expect("an address").to_owned();
    new_room(&path(folder, "kept"), &address, &[]);
    relay.signal(Signal::TERM);
    assert_eq!(relay.code(), Some(0));
    damage(Path::new(&store));
    let nowhere = path(folder, "nowhere");
    let replay = ["replay", &talk, "--relay", &address];
    let table: [(&[&str], i32, &str); 11] = [
        (&["demo", "--file", &bad], 2, "usage"),
        (&["demo"], 3, "system"),
        (&["bench", "claim-race", "--seekers", "0"], 2, "usage"),
        (&["bench", "bell", "--minutes", "1"], 2, "usage"),
        (&["bench", "queue-truth", "--cuts", "101"], 2, "usage"),
        (&["bench", "claim-race"], 3, "system"),
        (&["replay", &bad, "--relay", &address], 2, "usage"),
        (&replay, 3, "system"),
        (&["relay", "--config", &nowhere], 2, "settings"),
        (
            &[
                "relay",
                "--dev",
                "--folder",
                &folder.join("other").display().to_string(),
                "--port",
                &port,
            ],
            3,
            "listen",
        ),
        (&["relay", "--dev", "--folder", &store], 4, "store"),
    ];
    for (arguments, code, kind) in table {
        ended(
            Running::start_in(Path::new(&nowhere), arguments),
            arguments,
            code,
            kind,
            met,
        );
    }
}

/// Every byte of the store's file is another one.
fn damage(store: &Path) {
    let file = store.join("db/db");
    let mut bytes = std::fs::read(&file).expect("read");
    bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&file, bytes).expect("written");
}

/// Ctrl-C, at each of the places where one waits.
fn interrupted(folder: &Path, met: &mut Met) {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (relay, address) = relay();
    let (used, talk) = (path(folder, "used"), path(folder, "talk.csv"));
    let door = new_room(&path(folder, "door"), &address, &["--approval"]);
    let identity = address.split_once('#').expect("an identity").1;
    let nobody = format!("ws://{}/#{identity}", silent.local_addr().expect("a port"));
    let join = ["room", "join", &door, "--name", "Ben"];
    let key = path(folder, "key");
    let desk = desk_new(&nobody, &key);
    let table: [(&[&str], Option<&str>); 9] = [
        (&join, Some("knocked")),
        (&desk, None),
        (&["bench", "claim-race"], None),
        (&["room", "join", "--name", "Ben"], None),
        (&["inbox", "--relay", &address], Some("inbox")),
        (&["words", "use", "--relay", &address], None),
        (&["chat"], Some("members")),
        (&["demo"], Some("start")),
        (&["replay", &talk, "--relay", &nobody], Some("start")),
    ];
    for (at_row, (arguments, sign)) in table.into_iter().enumerate() {
        let own = path(folder, &format!("interrupted {at_row}"));
        let place = if arguments[0] == "chat" { &used } else { &own };
        let of_a_device = !matches!(arguments[0], "bench" | "demo" | "replay");
        let place: &[&str] = if of_a_device {
            &["--folder", place]
        } else {
            &[]
        };
        let mut running = Running::start(&[arguments, place].concat());
        match sign {
            Some(sign) => drop(running.line(sign)),
            None => until_it_listens(&running),
        }
        running.signal(Signal::INT);
        ended(running, arguments, 130, "interrupted", met);
    }
    drop(relay);
}

/// Until a process without output minds signals: the system shows which ones it catches.
fn until_it_listens(running: &Running) {
    let status = format!("/proc/{}/status", running.child.id());
    let minds = || {
        let status = std::fs::read_to_string(&status).expect("a process that runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.expect("signals that are caught").trim();
        u64::from_str_radix(caught, 16).expect("a mask") & (1 << (Signal::INT.as_raw() - 1)) != 0
    };
    while !minds() {
        std::thread::yield_now();
    }
}
