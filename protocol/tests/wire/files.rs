//! What `vectors/` must hold, computed from the code; `cargo run -p sotto-protocol --example
//! write-vectors` writes it, the test compares it.

use serde_json::{Value, json};

use crate::samples::{self, Kind};
use crate::{json, recipes};

/// Every file with its contents.
pub(crate) fn all() -> Vec<(String, Value)> {
    let frames = Kind::ALL.map(|kind| (kind.file().to_owned(), frames(kind)));
    let recipes = [
        ("id.json", recipes::ids()),
        ("connection.json", recipes::connection()),
        ("proof.json", recipes::proofs()),
        ("work.json", recipes::work()),
        ("chain.json", recipes::chain()),
    ];
    let recipes = recipes.map(|(name, value)| (name.to_owned(), value));
    frames.into_iter().chain(recipes).collect()
}

fn frames(kind: Kind) -> Value {
    samples::all()
        .iter()
        .filter(|sample| sample.value.kind() == kind)
        .map(|sample| {
            let bytes = sample.value.encode();
            json!({
                "name": sample.name,
                "hex": hex::encode(&bytes),
                "decoded": json::from_cbor(&bytes),
            })
        })
        .collect()
}

/// The text of a file: indented, with a line break at its end.
pub(crate) fn text(value: &Value) -> String {
    // In one order, whether or not some crate of the build asks to keep another.
    let mut value = value.clone();
    value.sort_all_objects();
    let mut text = serde_json::to_string_pretty(&value).unwrap();
    text.push('\n');
    text
}
