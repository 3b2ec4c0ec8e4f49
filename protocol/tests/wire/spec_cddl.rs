//! The CDDL of SPEC.md accepts every vector and refuses what is near it.

use cddl::ast::CDDL;
use cddl::cddl_from_str;
use cddl::validator::Validator as _;
use cddl::validator::cbor::CBORValidator;
use cddl::validator::cbor_value::decode_cbor;
use serde_json::{Value, json};
use sotto_protocol::cbor;
use sotto_protocol::error_code::ErrorCode;
use sotto_protocol::frame::{Request, Verb};
use sotto_protocol::size_class::SizeClass;

use crate::samples::{self, Kind, Sample, Wire};
use crate::{json, spec};

/// The rules with one of them as the root, for each kind of item.
struct Rules([String; 3]);

impl Rules {
    fn new() -> Self {
        Self(Kind::ALL.map(|kind| format!("vector = {}\n{}", kind.rule(), spec::cddl())))
    }

    fn parsed(&self) -> [(Kind, CDDL<'_>); 3] {
        let Self(texts) = self;
        let parse = |place: usize| cddl_from_str(&texts[place], true).unwrap();
        [
            (Kind::ALL[0], parse(0)),
            (Kind::ALL[1], parse(1)),
            (Kind::ALL[2], parse(2)),
        ]
    }
}

fn accepts(rules: &[(Kind, CDDL<'_>); 3], kind: Kind, bytes: &[u8]) -> bool {
    let (_, cddl) = rules.iter().find(|(of, _)| *of == kind).unwrap();
    let value = decode_cbor(bytes).unwrap();
    CBORValidator::new(cddl, value, None).validate().is_ok()
}

/// Whether the code takes an item: decodes it and finds it within its limits. Rules between parts
/// of a request stand in the prose and not in the CDDL.
fn code_accepts(kind: Kind, bytes: &[u8]) -> bool {
    let sealed_fit = |request: &Request<'_>| match &request.verb {
        Verb::Append(append) => append
            .items
            .iter()
            .flat_map(|item| &item.entries)
            .all(|entry| SizeClass::exactly(entry.sealed.as_slice().len()).is_some()),
        _ => true,
    };
    match kind.decode(bytes) {
        Ok(Wire::Request(request)) => match request.check_bounds() {
            Ok(()) => true,
            Err(ErrorCode::BadRequest) => sealed_fit(&request),
            Err(_) => false,
        },
        Ok(_) => true,
        Err(_) => false,
    }
}

#[test]
fn every_vector_is_valid_as_its_own_kind_only() {
    let rules = Rules::new();
    let rules = rules.parsed();
    for sample in samples::all() {
        let bytes = sample.value.encode();
        for kind in Kind::ALL {
            let own = kind == sample.value.kind();
            assert_eq!(accepts(&rules, kind, &bytes), own, "{}", sample.name);
        }
    }
}

fn is_map(value: &Value) -> bool {
    let object = value.as_object();
    object.is_some_and(|object| !object.contains_key("hex") && !object.contains_key("byte"))
}

/// Applies `change` to every part of a value in turn.
fn changed(value: &Value, change: &dyn Fn(&Value) -> Vec<Value>) -> Vec<Value> {
    let mut all = change(value);
    if let (true, Value::Object(object)) = (is_map(value), value) {
        for (key, inner) in object {
            for other in changed(inner, change) {
                let mut copy = object.clone();
                copy.insert(key.clone(), other);
                all.push(Value::Object(copy));
            }
        }
    }
    if let Value::Array(items) = value {
        for (place, inner) in items.iter().enumerate() {
            for other in changed(inner, change) {
                let mut copy = items.clone();
                copy[place] = other;
                all.push(Value::Array(copy));
            }
        }
    }
    all
}

/// Changes every part of every sample and compares the two verdicts; `(accepted, refused)`.
fn verdicts(
    of: impl Fn(&Sample) -> bool,
    change: &dyn Fn(&Value) -> Vec<Value>,
    compare: impl Fn(bool, bool) -> bool,
) -> (usize, usize) {
    let rules = Rules::new();
    let rules = rules.parsed();
    let (mut accepted, mut refused) = (0, 0);
    for sample in samples::all().into_iter().filter(of) {
        let kind = sample.value.kind();
        let value = json::from_cbor(&sample.value.encode());
        for other in changed(&value, change) {
            let bytes = json::to_cbor(&other);
            assert_eq!(cbor::check(&bytes), Ok(()));
            let (code, cddl) = (code_accepts(kind, &bytes), accepts(&rules, kind, &bytes));
            assert!(
                compare(code, cddl),
                "{}: code {code}, CDDL {cddl}: {other}",
                sample.name
            );
            *(if cddl { &mut accepted } else { &mut refused }) += 1;
        }
    }
    (accepted, refused)
}

#[test]
fn an_unknown_key_is_refused_everywhere() {
    let add = |value: &Value| {
        let mut copy = value.clone();
        if !is_map(value) {
            return Vec::new();
        }
        copy.as_object_mut()
            .unwrap()
            .insert("zzz".to_owned(), json!(1));
        vec![copy]
    };
    let (accepted, refused) = verdicts(|_| true, &add, |code, cddl| code == cddl);
    assert_eq!(accepted, 0);
    assert!(refused > 200, "{refused}");
}

#[test]
fn a_missing_key_is_refused_unless_it_is_optional() {
    let remove = |value: &Value| {
        let keys = value.as_object().filter(|_| is_map(value));
        let keys = keys.into_iter().flat_map(|object| object.keys());
        let without = keys.map(|key| {
            let mut copy = value.clone();
            copy.as_object_mut().unwrap().remove(key);
            copy
        });
        without.collect()
    };
    let (accepted, refused) = verdicts(|_| true, &remove, |code, cddl| code == cddl);
    assert!(accepted > 20, "{accepted}");
    assert!(refused > 400, "{refused}");
}

#[test]
fn a_value_of_another_type_is_refused() {
    let retype = |value: &Value| {
        let kinds = [
            json!(1),
            json!("x"),
            json!([]),
            json!({}),
            json!({ "hex": "00" }),
        ];
        let same = |other: &Value| match (value, other) {
            (Value::Object(_), Value::Object(_)) => is_map(value) == is_map(other),
            _ => core::mem::discriminant(value) == core::mem::discriminant(other),
        };
        kinds.into_iter().filter(|other| !same(other)).collect()
    };
    let (accepted, refused) = verdicts(|_| true, &retype, |code, cddl| code == cddl);
    assert_eq!(accepted, 0);
    assert!(refused > 2_000, "{refused}");
}

/// Every number of a request, at and past every limit there is.
#[test]
fn numbers_have_the_same_limits_in_the_cddl_as_in_code() {
    let limits = [
        0,
        28,
        128,
        255,
        400,
        511,
        1024,
        4096,
        10_000,
        65_535,
        120_000,
        0xffff_ffff_u64,
    ];
    let numbers = limits.into_iter().flat_map(|limit| [limit, limit + 1]);
    let numbers: Vec<_> = numbers
        .chain([u64::MAX])
        .map(|number| json!(number))
        .collect();
    let change = |value: &Value| {
        if value.is_number() {
            numbers.clone()
        } else {
            Vec::new()
        }
    };
    let requests = |sample: &Sample| sample.value.kind() == Kind::Request;
    let (accepted, refused) = verdicts(requests, &change, |code, cddl| code == cddl);
    assert!(accepted > 500 && refused > 100, "{accepted} {refused}");
    // What a relay says is checked for its types by the codec and for its ranges by the CDDL.
    let others = |sample: &Sample| sample.value.kind() != Kind::Request;
    verdicts(others, &change, |code, cddl| code || !cddl);
}

#[test]
fn byte_strings_have_the_same_lengths_in_the_cddl_as_in_code() {
    let lengths = [
        0, 1, 8, 16, 20, 32, 64, 128, 129, 1023, 1024, 2048, 8192, 8193, 65_536, 65_537,
    ];
    let change = |value: &Value| {
        if value.is_object() && !is_map(value) {
            let of = |length: &i32| json!({ "byte": "5a", "times": length });
            lengths.iter().map(of).collect()
        } else {
            Vec::new()
        }
    };
    let requests = |sample: &Sample| sample.value.kind() == Kind::Request;
    let (accepted, refused) = verdicts(requests, &change, |code, cddl| code == cddl);
    assert!(accepted > 50 && refused > 500, "{accepted} {refused}");
    let others = |sample: &Sample| sample.value.kind() != Kind::Request;
    verdicts(others, &change, |code, cddl| code || !cddl);
}

#[test]
fn lists_have_the_same_lengths_in_the_cddl_as_in_code() {
    let change = |lengths: &'static [usize]| {
        move |value: &Value| {
            let Some(first) = value.as_array().and_then(|items| items.first()) else {
                return Vec::new();
            };
            let many = |length: &usize| Value::Array(vec![first.clone(); *length]);
            lengths.iter().map(many).collect()
        }
    };
    let named = |names: &'static [&'static str]| {
        move |sample: &Sample| {
            sample.value.kind() == Kind::Request && names.contains(&sample.name.as_str())
        }
    };
    let equal = |code, cddl| code == cddl;
    let (accepted, refused) = verdicts(named(&["open"]), &change(&[0, 1, 4, 5]), equal);
    assert_eq!((accepted, refused), (2, 2));
    // The list begins with a cut grant, of which there may be more than of others.
    let (accepted, refused) = verdicts(named(&["grants, cut"]), &change(&[0, 2048, 2049]), equal);
    assert_eq!((accepted, refused), (2, 1));
    let (accepted, refused) = verdicts(named(&["append"]), &change(&[1, 16, 17]), equal);
    assert_eq!((accepted, refused), (5, 1));
}
