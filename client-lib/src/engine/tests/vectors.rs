//! `protocol/vectors/` and SPEC.md against the structures that clients exchange, in both directions:
//! what the code makes is what stands there, what stands there opens, and the code takes an item
//! just when the CDDL does (the tests of the wire check the other half of that, with `near.json`).
//!
//! For an intended change: a failing test leaves what the code makes in `target/vectors/`; look at
//! the difference, and copy it.

mod badges;
mod conversation;
mod hybrid;
#[path = "../../../../protocol/tests/wire/json.rs"]
mod json;
#[path = "../../../../protocol/tests/wire/near.rs"]
mod near;
mod poster;
mod recipes;
mod samples;
mod team;
mod words;

use std::path::Path;

use serde_json::{Value, json};

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

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/vectors"))
}

fn read(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

fn items(file: &str) -> Value {
    samples::all()
        .iter()
        .filter(|sample| sample.file == file)
        .map(|sample| {
            let mut vector = json!({
                "name": sample.name,
                "rule": sample.rule,
                "hex": hex::encode(&sample.bytes),
                "decoded": json::from_cbor(&sample.bytes),
            });
            if let Some(text) = &sample.text {
                vector["text"] = json!(text);
            }
            vector
        })
        .collect()
}

/// Which changed forms of each item the code takes.
fn nears() -> Value {
    samples::all()
        .iter()
        .map(|sample| {
            // In the order of the files, which the tests of the wire read.
            let mut decoded = json::from_cbor(&sample.bytes);
            decoded.sort_all_objects();
            let verdicts = |change: near::Change| -> String {
                near::changed(&decoded, change)
                    .iter()
                    .map(json::to_cbor)
                    .map(|bytes| if (sample.takes)(&bytes) { '1' } else { '0' })
                    .collect()
            };
            json!({
                "name": sample.name,
                "keys": verdicts(near::keys),
                "types": verdicts(near::types),
                "sizes": verdicts(near::sizes),
            })
        })
        .collect()
}

#[test]
fn checked_in_files_are_what_the_code_makes() {
    let mut files: Vec<_> = FILES.map(|name| (name, items(name))).into();
    files.push(("recipe.json", recipes::recipes()));
    files.push(("seal.json", recipes::seals()));
    files.push(("words.json", words::words()));
    files.push(("poster.json", poster::poster()));
    let kept = |name: &str| {
        let text = std::fs::read_to_string(folder().join(name)).ok()?;
        serde_json::from_str(&text).ok()
    };
    let name = "conversation.json";
    files.push((name, conversation::conversation(kept(name))));
    files.push(("hybrid.json", hybrid::hybrid(kept("hybrid.json"))));
    files.push(("../tests/wire/near.json", nears()));
    let made = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/vectors"));
    let mut differing = Vec::new();
    for (name, mut value) in files {
        // In one order, whether or not some crate of the build asks to keep another.
        value.sort_all_objects();
        let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
        if std::fs::read_to_string(folder().join(name)).ok().as_ref() != Some(&text) {
            std::fs::create_dir_all(made).unwrap();
            let name = Path::new(name).file_name().unwrap();
            std::fs::write(made.join(name), text).unwrap();
            differing.push(name);
        }
    }
    assert!(differing.is_empty(), "differ: {differing:?}");
}

#[test]
fn what_stands_there_is_taken_and_is_the_decoded_form() {
    let samples = samples::all();
    let mut count = 0;
    for file in FILES {
        for vector in read(file).as_array().unwrap() {
            let name = vector["name"].as_str().unwrap();
            let sample = samples.iter().find(|sample| sample.name == name).unwrap();
            let bytes = hex::decode(vector["hex"].as_str().unwrap()).unwrap();
            assert!((sample.takes)(&bytes), "{name}");
            assert_eq!(json::to_cbor(&vector["decoded"]), bytes, "{name}");
            count += 1;
        }
    }
    assert_eq!(count, samples.len());
}

#[test]
fn what_stands_there_opens() {
    recipes::open_all(&read("seal.json"), &read("recipe.json"));
    words::open_all(&read("words.json"));
    poster::open_all(&read("poster.json"));
    for vector in read("desk.json").as_array().unwrap() {
        if let Some(text) = vector.get("text").and_then(Value::as_str) {
            let address: crate::DeskAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }
    conversation::read_all(&read("conversation.json"));
    hybrid::open_all(&read("hybrid.json"));
    for vector in read("link.json").as_array().unwrap() {
        let text = vector["text"].as_str().unwrap();
        let body = if vector["rule"] == "InboxLink" {
            let link: crate::InboxLink = text.parse().unwrap();
            assert_eq!(link.to_string(), text);
            sotto_protocol::cbor::encode(&link).unwrap()
        } else {
            let link: crate::Link = text.parse().unwrap();
            assert_eq!(link.to_string(), text);
            sotto_protocol::cbor::encode(&link.0).unwrap()
        };
        assert_eq!(hex::encode(body), vector["hex"].as_str().unwrap());
    }
}
