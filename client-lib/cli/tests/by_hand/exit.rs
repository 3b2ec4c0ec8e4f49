//! Somebody comes into the room: `/x`, what is left then, and the way back.

use std::path::Path;

use crate::running::{Running, done, new_room, path, relay};

/// What `sotto residue --expect-empty` says of a folder: its exit code, files, and files that an
/// empty device does not have.
fn residue(folder: &str) -> (Option<i32>, u64, u64) {
    let (code, said) = done(&["residue", "--expect-empty", "--folder", folder]);
    let number = |name: &str| said[name].as_u64().expect("a number");
    (code, number("files"), number("left"))
}

fn safety_in(chat: &mut Running, safety: &str) {
    chat.line_where("members", |line| {
        let mut members = line["members"].as_array().expect("members").iter();
        members.any(|member| member["safety"] == safety)
    });
}

#[test]
fn x_leaves_nothing_and_words_with_the_safe_word_bring_back_who_was_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, ben, borrowed] = ["ana", "ben", "new"].map(|name| path(folder.path(), name));
    let (_relay, address) = relay();
    let link = new_room(&ana, &address, &["--approval"]);
    let mut ana = Running::start(&["chat", "--folder", &ana]);
    let join = ["room", "join", &link, "--folder", &ben, "--name", "Ben"];
    let mut joining = Running::start(&join);
    ana.line("knock");
    ana.type_line("/admit Ben");
    assert_eq!(joining.line("summary")["ok"], true);
    let mut new = Running::start(&["words", "new", "--relay", &address, "--folder", &ben]);
    let words = new.line("words")["words"].clone();
    let words = words.as_str().expect("words");
    assert_eq!(new.line("summary")["ok"], true);
    let mut show = Running::start(&["words", "show", "--folder", &ben]);
    assert_eq!(show.line("words")["words"], words);
    let mut chat = Running::start(&["chat", "--folder", &ben]);
    chat.type_line("/safe-word blue teapot");
    safety_in(&mut ana, "agreed");
    chat.type_line("somebody is at the door");
    chat.type_line("/x");
    let last = chat.last();
    assert_eq!(last["ok"], true, "{last}");
    assert_eq!(last.as_object().expect("an object").len(), 2, "{last}");
    assert_eq!(chat.code(), Some(0));
    assert!(!Path::new(&ben).exists());
    assert_eq!(residue(&ben), (Some(0), 0, 0));
    ana.line_where("members", |line| {
        let mut members = line["members"].as_array().expect("members").iter();
        members.any(|member| member["away"] == true)
    });
    let mut back = Running::start(&[
        "words",
        "use",
        "--relay",
        &address,
        "--folder",
        &borrowed,
        "--safe-word",
    ]);
    back.type_line(words);
    back.type_line("Blue Teapot");
    assert_eq!(back.last()["inside"], 1);
    ana.note("Ben came back, and is UNVERIFIED");
    // It was given before `words use` ended.
    safety_in(&mut ana, "verified");
    // An open chat elsewhere keeps `sotto exit` off; then it leaves nothing either.
    let mut open = Running::start(&["chat", "--folder", &borrowed]);
    open.line("members");
    let exit = ["exit", "--folder", &borrowed];
    let (code, refused) = done(&exit);
    assert_eq!(
        (code, &refused["error"]["kind"]),
        (Some(4), &"vault_in_use".into())
    );
    open.type_line("/quit");
    assert_eq!(open.code(), Some(0));
    assert_eq!(done(&exit).0, Some(0));
    assert!(!Path::new(&borrowed).exists());
    assert_eq!(done(&exit).0, Some(0), "twice is no failure");
}

#[test]
fn residue_finds_whatever_lies_in_the_folder_beside_an_empty_vault() {
    let folder = tempfile::tempdir().expect("a folder");
    let ana = path(folder.path(), "ana");
    let (_relay, address) = relay();
    new_room(&ana, &address, &[]);
    let mut chat = Running::start(&["chat", "--folder", &ana]);
    chat.line("members");
    chat.type_line("/leave");
    assert_eq!(chat.line("summary")["ok"], true);
    assert_eq!(residue(&ana), (Some(0), 3, 0), "an empty device");
    let plant = |name: &str, bytes: &[u8]| {
        let at = Path::new(&ana).join(name);
        std::fs::create_dir_all(at.parent().expect("a folder")).expect("made");
        std::fs::write(at, bytes).expect("planted");
    };
    let database = std::fs::read(Path::new(&ana).join("vault/vault.sqlite")).expect("a vault");
    let planted: [(&str, &[u8], &str); 5] = [
        ("vault/vault.sqlite~", &database, "database"),
        ("old/vault-wal", &[0x37, 0x7f, 0x06, 0x82, 0, 0], "journal"),
        ("key.bak", &[7; 32], "key"),
        ("link.txt", b"sotto:1:AAAA", "text of sotto"),
        (".notes.swp", b"what she said", "unknown"),
    ];
    for (number, (name, bytes, format)) in planted.into_iter().enumerate() {
        plant(name, bytes);
        let left = number as u64 + 1;
        assert_eq!(residue(&ana), (Some(1), left + 3, left), "{name}");
        let mut listing = Running::start(&["residue", "--folder", &ana]);
        let line = listing.line_where("file", |line| line["name"] == name);
        assert_eq!(
            (&line["format"], &line["expected"]),
            (&format.into(), &false.into())
        );
    }
    // What is not ours stays, and is still found.
    assert_eq!(done(&["exit", "--folder", &ana]).0, Some(0));
    assert_eq!(residue(&ana), (Some(1), 5, 5));
}
