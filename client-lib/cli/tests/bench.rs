//! `sotto bench`, small: the figures hold on both engines, and say what they say.

#![expect(
    clippy::expect_used,
    reason = "a test that fails here has found what it looks for"
)]

use std::process::{Command, Stdio};

use serde_json::Value;

fn claim_race(engine: &str) -> Value {
    summary_of(&[
        "claim-race",
        "--seekers",
        "30",
        "--supporters",
        "8",
        "--restarts",
        "2",
        "--engine",
        engine,
    ])
}

/// What a bench says in the end, if it held.
fn summary_of(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_sotto"))
        .arg("bench")
        .args(arguments)
        .arg("--json")
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().last().expect("a last line");
    let summary: Value = serde_json::from_str(last).expect("an object");
    assert!(output.status.success(), "{summary}");
    summary
}

#[test]
fn a_small_claim_race_has_one_winner_a_ticket_on_both_engines() {
    for engine in ["sled", "memory"] {
        let held = claim_race(engine);
        assert_eq!(held["type"], "summary");
        assert_eq!(
            (&held["ok"], &held["engine"]),
            (&true.into(), &engine.into())
        );
        for (name, count) in [
            ("seekers", 30),
            ("supporters", 8),
            ("restarts", 2),
            ("double_claims", 0),
            ("lost_seekers", 0),
            ("claims_after_leaving", 0),
            ("stolen_welcomes_accepted", 0),
        ] {
            assert_eq!(held[name], count, "{name}: {held}");
        }
        let number = |name: &str| held[name].as_u64().expect("a number");
        assert_eq!(number("seekers_answered") + number("seekers_withdrew"), 30);
        // It was a race: claims were lost to others, some met a kill, and theft was tried.
        for name in [
            "claims_refused",
            "unanswered_at_kill",
            "stolen_welcomes_refused",
        ] {
            assert!(number(name) > 0, "{name}: {held}");
        }
        assert!(number("claims_granted") >= number("seekers_answered"));
        assert!(held["claim_p99_ms"].as_f64() >= held["claim_p50_ms"].as_f64());
    }
}

#[test]
fn in_a_small_break_everybody_is_told_what_became_of_them() {
    let held = summary_of(&[
        "bell",
        "--pupils",
        "24",
        "--listeners",
        "2",
        "--minutes",
        "8",
        "--capacity",
        "10",
        "--classic",
    ]);
    assert_eq!((&held["ok"], &held["arrived"]), (&true.into(), &24.into()));
    let number = |name: &str| held[name].as_u64().expect("a number");
    let fates = [
        "answered",
        "letter",
        "left",
        "refused_full",
        "closed_by_bell",
    ];
    assert_eq!(fates.into_iter().map(number).sum::<u64>(), 24, "{held}");
    assert_eq!(
        (number("unnamed"), number("place_changes_unexplained")),
        (0, 0)
    );
    // It was full, some were answered, and the bell rang while some waited.
    assert!(number("answered") >= 4 && number("letter") > 0, "{held}");
    assert!(number("longest_wait_s") <= 8 * 60 + 30, "{held}");
}

#[test]
fn what_people_are_told_while_they_wait_on_bad_lines_is_so() {
    let held = summary_of(&[
        "queue-truth",
        "--seekers",
        "40",
        "--supporters",
        "3",
        "--classic",
    ]);
    assert_eq!((&held["ok"], &held["seekers"]), (&true.into(), &40.into()));
    let number = |name: &str| held[name].as_u64().expect("a number");
    assert_eq!(number("answered") + number("left"), 40, "{held}");
    assert_eq!((number("place_error_max"), number("place_lost")), (0, 0));
    // There was a queue, lines broke, and ranges were told: too few to judge their shares.
    assert!(number("places_compared") > 100, "{held}");
    assert!(number("disconnects") > 5 && number("ranges") > 5, "{held}");
}
