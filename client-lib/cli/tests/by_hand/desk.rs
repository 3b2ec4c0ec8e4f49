//! `sotto desk card`, where there is no desk.

use sotto_client::{DeskAddress, OrganisationId};

use crate::running::{done, path, relay};

#[test]
fn where_nobody_runs_a_desk_nothing_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ana, picture) = (path(folder.path(), "ana"), path(folder.path(), "x.png"));
    let (_relay, address) = relay();
    let relay = address.parse().expect("an address");
    let desk = DeskAddress::new(relay, OrganisationId::new([1; 32]), 7);
    let (text, words) = (desk.to_string(), desk.words().to_string());
    let host = desk.relay().url();
    for which in [
        vec!["--address", &text],
        vec!["--words", &words, "--host", host],
    ] {
        let more = ["--folder", &ana, "--png", &picture];
        let (code, last) = done(&[&["desk", "card"], which.as_slice(), &more].concat());
        assert_eq!((code, &last["error"]["kind"]), (Some(3), &"refused".into()));
        assert!(!folder.path().join("x.png").exists());
    }
    let (code, last) = done(&["desk", "card", "--words", "zoo zoo", "--host", host]);
    assert_eq!((code, &last["error"]["kind"]), (Some(2), &"usage".into()));
}
