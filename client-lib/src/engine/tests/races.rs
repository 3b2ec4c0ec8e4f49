//! Commits that race for one epoch.

use super::*;

#[test]
fn two_and_twenty_commits_race_and_every_intent_lands() {
    for count in [2, 20] {
        let names: Vec<&'static str> = (0..count)
            .map(|n| &*Box::leak(format!("P{n}").into_boxed_str()))
            .collect();
        let mut room = Room::new(&names);
        let promoted: Vec<_> = names.iter().skip(1).map(|name| room.leaf(name)).collect();
        for leaf in promoted {
            room.command("P0", Command::Promote(leaf));
        }
        room.settle();
        let version = room.log.fence;
        for name in &names {
            room.command(name, Command::Rotate);
        }
        room.settle();
        assert!(room.log.fence > version, "at least one rotation");
        for name in &names {
            assert!(
                room.of(name).engine.saved.intents.is_empty(),
                "{name} still wants something"
            );
        }
        room.assert_one_epoch(&names);
    }
}

#[test]
fn a_target_of_removal_commits_at_the_same_moment_and_goes() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.command("Ann", Command::Promote(room.leaf("Ben")));
    room.settle();
    let ben = room.leaf("Ben");
    room.command("Ben", Command::Rotate);
    room.command("Ann", Command::Remove(ben));
    room.settle();
    assert_eq!(room.of("Ben").engine.standing(), Standing::Removed);
    room.assert_one_epoch(&["Ann", "Cay"]);
}

#[test]
fn who_was_away_for_two_hundred_epochs_reads_all_that_stayed() {
    let mut room = Room::new(&["Ann", "Ben"]);
    room.go_offline("Ben", true);
    for n in 0..200 {
        room.command("Ann", Command::Rotate);
        room.settle();
        room.say("Ann", &format!("text {n}"));
        room.settle();
    }
    room.go_offline("Ben", false);
    room.settle();
    let expected: Vec<_> = (0..200).map(|n| format!("text {n}")).collect();
    assert_eq!(room.texts("Ben"), expected);
    room.assert_one_epoch(&["Ann", "Ben"]);
}

#[test]
fn the_last_but_one_leaves_and_somebody_joins() {
    let mut room = Room::new(&["Ann", "Ben"]);
    room.command("Ben", Command::Leave);
    room.settle();
    assert_eq!(room.of("Ben").engine.standing(), Standing::Left);
    room.join("Cay");
    room.settle();
    room.assert_one_epoch(&["Ann", "Cay"]);
}

#[test]
fn who_leaves_with_no_facilitator_online_is_let_go_and_later_the_secret_is_renewed() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.go_offline("Ann", true);
    room.command("Ben", Command::Leave);
    room.settle();
    assert!(room.has("Cay", |event| *event == Event::NotYetRotated));
    assert!(!room.has("Cay", |event| *event == Event::Rotated));
    room.go_offline("Ann", false);
    room.settle();
    assert!(room.has("Cay", |event| *event == Event::Rotated));
    room.assert_one_epoch(&["Ann", "Cay"]);
}

#[test]
fn a_newcomer_follows_a_commit_that_lets_somebody_go() {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    room.go_offline("Ann", true);
    room.command("Ben", Command::Leave);
    room.settle();
    // Nobody has renewed the secret or pinned a snapshot since.
    room.join("Dan");
    room.settle();
    assert_eq!(room.of("Dan").engine.standing(), Standing::Waiting);
    room.go_offline("Ann", false);
    room.settle();
    room.assert_one_epoch(&["Ann", "Cay", "Dan"]);
}
