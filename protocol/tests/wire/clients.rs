//! The CDDL of what clients exchange, against its vectors. The code that reads them is the
//! client's, which tests the other half: `near.json` holds its verdicts on items nearly right.

use std::collections::BTreeSet;

use cddl::cddl_from_str;
use cddl::validator::Validator as _;
use cddl::validator::cbor::CBORValidator;
use cddl::validator::cbor_value::decode_cbor;
use serde_json::Value;
use sotto_protocol::cbor;

use crate::{json, near, spec, vectors};

const FILES: [&str; 8] = [
    "envelope.json",
    "policy.json",
    "content.json",
    "link.json",
    "letter.json",
    "backup.json",
    "desk.json",
    "badge.json",
];

/// Every vector with its verdicts.
fn all() -> Vec<(Value, Value)> {
    let verdicts: Vec<Value> = serde_json::from_str(include_str!("near.json")).unwrap();
    let files = FILES.map(|name| vectors::read(name).as_array().unwrap().clone());
    let vectors: Vec<_> = files.into_iter().flatten().collect();
    assert_eq!(vectors.len(), verdicts.len());
    vectors
        .into_iter()
        .map(|vector| {
            let named = verdicts.iter().find(|one| one["name"] == vector["name"]);
            (vector, named.unwrap().clone())
        })
        .collect()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap()
}

/// Whether the CDDL accepts each of these by the rule.
fn accepts(rule: &str, items: &[Vec<u8>]) -> Vec<bool> {
    let text = format!("vector = {rule}\n{}", spec::cddl());
    let rules = cddl_from_str(&text, true).unwrap();
    let one = |bytes: &Vec<u8>| {
        let value = decode_cbor(bytes).unwrap();
        CBORValidator::new(&rules, value, None).validate().is_ok()
    };
    items.iter().map(one).collect()
}

#[test]
fn every_vector_is_valid_by_the_rule_it_names_and_by_no_other() {
    let vectors = all();
    let items: Vec<_> = vectors
        .iter()
        .map(|(vector, _)| hex::decode(text(vector, "hex")).unwrap())
        .collect();
    for ((vector, _), bytes) in vectors.iter().zip(&items) {
        assert_eq!(json::to_cbor(&vector["decoded"]), *bytes);
        assert_eq!(cbor::check(bytes), Ok(()));
    }
    for rule in rules(&vectors) {
        for ((vector, _), found) in vectors.iter().zip(accepts(rule, &items)) {
            let own = rule == text(vector, "rule")
                || (text(vector, "rule"), rule) == ("Packet", "Slip") && is_part(vector)
                || (text(vector, "rule"), rule) == ("Slip", "Packet") && is_part(vector);
            assert_eq!(found, own, "{} as {rule}", text(vector, "name"));
        }
    }
}

/// A part looks the same in an envelope's run and in a letter's.
fn is_part(vector: &Value) -> bool {
    vector["decoded"].get("part").is_some()
}

fn rules(vectors: &[(Value, Value)]) -> BTreeSet<&str> {
    vectors.iter().map(|(one, _)| text(one, "rule")).collect()
}

/// Compares the CDDL with the client's code on changed items; `(accepted, refused)`.
fn compare(kind: &str, change: near::Change, alike: fn(bool, bool) -> bool) -> (usize, usize) {
    let vectors = all();
    let (mut accepted, mut refused) = (0, 0);
    for rule in rules(&vectors) {
        let (mut others, mut code) = (Vec::new(), String::new());
        for (vector, verdicts) in vectors.iter().filter(|(one, _)| text(one, "rule") == rule) {
            others.extend(near::changed(&vector["decoded"], change));
            code.push_str(text(verdicts, kind));
            assert_eq!(code.len(), others.len(), "{}", text(vector, "name"));
        }
        let bytes: Vec<_> = others.iter().map(json::to_cbor).collect();
        for ((code, cddl), other) in code.chars().zip(accepts(rule, &bytes)).zip(&others) {
            let code = code == '1';
            assert!(
                alike(code, cddl),
                "{rule}: code {code}, CDDL {cddl}: {other}"
            );
            *(if cddl { &mut accepted } else { &mut refused }) += 1;
        }
    }
    (accepted, refused)
}

#[test]
fn keys_too_many_and_missing_ones_are_judged_alike() {
    let (accepted, refused) = compare("keys", near::keys, |code, cddl| code == cddl);
    assert!(accepted >= 5 && refused > 150, "{accepted} {refused}");
}

#[test]
fn values_of_another_type_are_refused_by_both() {
    let (accepted, refused) = compare("types", near::types, |code, cddl| code == cddl);
    assert_eq!(accepted, 0);
    assert!(refused > 400, "{refused}");
}

#[test]
fn what_the_code_refuses_by_its_size_the_cddl_refuses_too() {
    // Some lengths are only met when a signature or box is opened; there the CDDL says more.
    let (accepted, refused) = compare("sizes", near::sizes, |code, cddl| code || !cddl);
    assert!(accepted > 100 && refused > 200, "{accepted} {refused}");
}
