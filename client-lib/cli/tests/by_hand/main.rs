//! What the README tells people to do by hand: a relay, a room, two who chat, and what is left.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails here has found what it looks for"
)]

mod badge;
mod choosing;
mod codes;
mod crisis;
mod desk;
mod duty;
mod exit;
mod inbox;
mod running;
mod talk;
mod tls;

use serde_json::Value;

use running::{Running, done, new_room, path, relay};

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
    second.note("saved");
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
    let last = eve.last();
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
        let last = back.last();
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
fn decoy_words_bring_nobody_back_into_anything_and_the_words_still_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, his, hers] = ["ana", "his", "hers"].map(|name| path(folder.path(), name));
    let (_relay, address) = relay();
    let _link = new_room(&ana, &address, &[]);
    let shown = |arguments: &[&str]| {
        let mut running = Running::start(&[arguments, &["--folder", &ana]].concat());
        let words = running.line("words")["words"].clone();
        assert_eq!(running.line("summary")["ok"], true);
        words.as_str().expect("words").to_owned()
    };
    let words = shown(&["words", "new", "--relay", &address]);
    let decoy = shown(&["words", "decoy"]);
    assert_ne!(decoy, words);
    for (typed, device, inside) in [(&decoy, &his, 0), (&words, &hers, 1)] {
        let mut back = Running::start(&["words", "use", "--relay", &address, "--folder", device]);
        back.type_line(typed);
        let last = back.last();
        assert_eq!((back.code(), &last["inside"]), (Some(0), &inside.into()));
    }
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
        (code, running.last())
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
