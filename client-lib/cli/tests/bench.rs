//! `sotto bench`, small: the figures hold on both engines, and say what they say.

#![expect(
    clippy::expect_used,
    reason = "a test that fails here has found what it looks for"
)]

use std::process::{Command, Stdio};

use serde_json::Value;

fn claim_race(engine: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_sotto"))
        .args(["bench", "claim-race", "--seekers", "30", "--supporters"])
        .args(["8", "--restarts", "2", "--engine", engine, "--json"])
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
