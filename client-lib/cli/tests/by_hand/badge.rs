//! `sotto badge`: from the supporter's keys to what the other one sees.

use crate::running::{Running, done, new_room, path, relay};

#[test]
fn a_badge_is_asked_for_issued_shown_checked_and_taken_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ana, ben, asked, issued, key, list, revoked] =
        ["ana", "ben", "asked", "issued", "key", "list", "revoked"]
            .map(|name| path(folder.path(), name));
    let (_relay, address) = relay();
    let link = new_room(&ana, &address, &[]);
    let (code, joined) = done(&["room", "join", &link, "--name", "Ben", "--folder", &ben]);
    assert_eq!(code, Some(0), "{joined}");

    let (code, requests) = done(&["badge", "request", &asked, "--count", "2", "--folder", &ben]);
    assert_eq!((code, &requests["asked"]), (Some(0), &2.into()));
    std::fs::write(&list, "role listener\nlanguage pt\n").expect("a list");
    let issue = |role: &str, new: &[&str]| {
        let line = [
            "badge",
            "issue",
            &asked,
            &issued,
            "--organisation",
            &key,
            "--list",
            &list,
            "--role",
            role,
            "--language",
            "pt",
        ];
        Running::start(&[&line, new].concat())
    };
    let mut first = issue("listener", &["--new-organisation"]);
    let organisation = first.line("organisation")["organisation"].clone();
    let organisation = organisation.as_str().expect("its public key");
    assert_eq!(first.line("summary")["issued"], 2);
    let refused = issue("director", &[]).last();
    assert_eq!(refused["error"]["kind"], "usage", "not in the list");

    let import = ["badge", "import", &issued, "--folder", &ben];
    assert_eq!(done(&import).1["held"], 2);
    assert_eq!(done(&import).0, Some(2), "they are here already");
    let show = [
        "badge",
        "show",
        "--organisation",
        organisation,
        "--folder",
        &ben,
    ];
    let (code, shown) = done(&show);
    assert_eq!((code, &shown["held"]), (Some(0), &1.into()), "{shown}");

    let check = |more: &[&str]| {
        let line = [
            "badge",
            "check",
            "--organisation",
            organisation,
            "--folder",
            &ana,
        ];
        let mut check = Running::start(&[&line, more].concat());
        let badge = check.line("badge");
        assert_eq!(badge["name"], "Ben");
        badge["state"].clone()
    };
    assert_eq!(check(&[]), "cannot_be_checked");
    let revoke = |badges: &[&str]| {
        let line = ["badge", "revoke", &revoked, "--organisation", &key];
        done(&[&line, badges].concat()).1["revoked"].clone()
    };
    assert_eq!(revoke(&[]), 0);
    assert_eq!(check(&["--revoked", &revoked]), "valid");
    assert_eq!(revoke(&[&issued]), 2);
    assert_eq!(check(&["--revoked", &revoked]), "taken_back");
}
