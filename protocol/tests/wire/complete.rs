//! The samples, and so the vectors, leave nothing out: every variant, every error, and every
//! optional field once with it and once without.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Answer, Frame, FromRelay, Lane, Notice, Verb};

use crate::samples::{self, Wire};
use crate::{json, spec};

/// Which variant a value is, and all there are. A new variant does not compile until it stands in
/// its list, and then has no sample.
macro_rules! variants {
    ($module:ident, $type:ty, $name:ident: $($variant:ident),+ $(,)?) => {
        mod $module {
            use super::*;

            pub(super) const ALL: &[&str] = &[$(stringify!($variant)),+];

            pub(super) const fn of(value: &$type) -> &'static str {
                match value {
                    $($name::$variant { .. } => stringify!($variant),)+
                }
            }
        }
    };
}

variants!(frames, Frame<'_>, Frame: Greeting, Noise, Push);
variants!(
    verbs, Verb<'_>, Verb: Create, Open, Append, Read, Follow, Credit, Unfollow, Trim, Claim,
    Renew, Release, Position, Withdraw, Take, Grants, Hold, Describe, Delete
);
variants!(items, FromRelay<'_>, FromRelay: Done, Refused, Notice);
variants!(
    answers, Answer<'_>, Answer: Created, Opened, Appended, Page, Followed, Claimed, Placed, Taken,
    Granted, Held, Described, Ok
);
variants!(notices, Notice, Notice: Ended, Restarting);
variants!(lanes, Lane, Lane: All, Fenced);
variants!(
    errors, ErrorCode, ErrorCode: Malformed, TooLarge, OutOfOrder, Refused, FenceConflict,
    GrantsConflict, QuotaExceeded, LeaseLost, Claimed, RetryTooOld, WorkNeeded, NoSuchEntry,
    PinTooSoon, BadRequest, Busy, FenceHeld, StoreFull, Internal
);

/// The variants that stand in an item of the wire, with the name of their type.
fn variants_of(item: &Wire<'_>) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    match item {
        Wire::Frame(frame) => found.push(("Frame", frames::of(frame))),
        Wire::Request(request) => {
            found.push(("Verb", verbs::of(&request.verb)));
            match &request.verb {
                Verb::Read(read) => found.push(("Lane", lanes::of(&read.lane))),
                Verb::Follow(follow) => found.push(("Lane", lanes::of(&follow.lane))),
                _ => {}
            }
        }
        Wire::FromRelay(item) => {
            found.push(("FromRelay", items::of(item)));
            match item {
                FromRelay::Done(done) => found.push(("Answer", answers::of(&done.answer))),
                FromRelay::Refused(refused) => {
                    found.push(("ErrorCode", errors::of(&refused.refusal.code)));
                }
                FromRelay::Notice(notice) => found.push(("Notice", notices::of(notice))),
            }
        }
    }
    found
}

#[test]
fn every_variant_and_every_error_has_a_vector() {
    let samples = samples::all();
    let seen: BTreeSet<_> = samples
        .iter()
        .flat_map(|sample| variants_of(&sample.value))
        .collect();
    let lists = [
        ("Frame", frames::ALL),
        ("Verb", verbs::ALL),
        ("FromRelay", items::ALL),
        ("Answer", answers::ALL),
        ("Notice", notices::ALL),
        ("Lane", lanes::ALL),
        ("ErrorCode", errors::ALL),
    ];
    let all: BTreeSet<_> = lists
        .iter()
        .flat_map(|(name, all)| all.iter().map(move |variant| (*name, *variant)))
        .collect();
    assert_eq!(seen, all);
    assert_eq!(errors::ALL.len(), ErrorCode::ALL.len());
}

/// A map of the CDDL: its keys that must be there, and those that may.
#[derive(Debug, Default)]
struct Rule {
    musts: BTreeSet<String>,
    mays: BTreeSet<String>,
    /// Names that stand in it.
    names: Vec<String>,
}

/// The rules of SPEC.md that define a map or a choice, by name.
fn rules(cddl: &str) -> BTreeMap<String, Rule> {
    let mut rules = BTreeMap::new();
    let mut blocks = Vec::<String>::new();
    for line in cddl.lines() {
        // A rule begins at the margin and goes on below.
        match blocks.last_mut() {
            Some(block) if line.starts_with([' ', '}', '/']) => block.push_str(line),
            _ => blocks.push(line.to_owned()),
        }
    }
    for block in blocks {
        let Some((name, body)) = block.split_once(" = ") else {
            continue;
        };
        let mut rule = Rule::default();
        let words = body.split(|one: char| !one.is_alphanumeric() && one != '-');
        rule.names = words.map(str::to_owned).collect();
        let inner = body.trim().strip_prefix('{');
        if let Some(inner) = inner.and_then(|inner| inner.trim_end().strip_suffix('}')) {
            for member in inner
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
            {
                let (key, _) = member.split_once(':').unwrap();
                match key.strip_prefix("? ") {
                    Some(key) => rule.mays.insert(key.to_owned()),
                    None => rule.musts.insert(key.to_owned()),
                };
            }
        }
        rules.insert(name.to_owned(), rule);
    }
    rules
}

/// The names of the rules that a root is made of.
fn reached(rules: &BTreeMap<String, Rule>, roots: &[&str]) -> BTreeSet<String> {
    let mut wanted: Vec<_> = roots.iter().map(|root| (*root).to_owned()).collect();
    let mut reached = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if let Some(rule) = rules.get(&name)
            && reached.insert(name)
        {
            wanted.extend(rule.names.iter().cloned());
        }
    }
    reached
}

/// The key sets of all maps in a value.
fn maps(value: &Value, into: &mut BTreeSet<BTreeSet<String>>) {
    match value {
        Value::Object(object) => {
            into.insert(object.keys().cloned().collect());
            object.values().for_each(|inner| maps(inner, into));
        }
        Value::Array(items) => items.iter().for_each(|inner| maps(inner, into)),
        _ => {}
    }
}

#[test]
fn every_optional_field_has_a_vector_with_it_and_one_without() {
    let cddl = spec::cddl();
    let rules = rules(&cddl);
    let mut shapes = BTreeSet::new();
    for sample in samples::all() {
        maps(&json::from_cbor(&sample.value.encode()), &mut shapes);
    }
    let mut optional = 0;
    for name in reached(&rules, &["Frame", "Request", "FromRelay"]) {
        let rule = &rules[&name];
        let all: BTreeSet<_> = rule.musts.union(&rule.mays).cloned().collect();
        let is_of_rule =
            |shape: &&BTreeSet<String>| shape.is_superset(&rule.musts) && shape.is_subset(&all);
        let of_rule: Vec<_> = shapes.iter().filter(is_of_rule).collect();
        for key in &rule.mays {
            optional += 1;
            let has = of_rule.iter().any(|shape| shape.contains(key));
            let lacks = of_rule.iter().any(|shape| !shape.contains(key));
            assert!(has && lacks, "{name}.{key}: with {has}, without {lacks}");
        }
    }
    assert!(optional > 20, "{optional} optional fields were found");
}
