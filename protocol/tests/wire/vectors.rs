//! `vectors/` and the code say the same, read in either direction.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::samples::{self, Kind};
use crate::{files, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

pub(crate) fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn checked_in_files_are_what_the_code_makes() {
    for (name, value) in files::all() {
        let text = std::fs::read_to_string(folder().join(&name)).unwrap();
        assert!(
            text == files::text(&value),
            "vectors/{name} differs; see the example write-vectors"
        );
    }
}

#[test]
fn hex_decodes_to_the_sample_and_the_decoded_form_encodes_to_the_hex() {
    for kind in Kind::ALL {
        let vectors = read(kind.file());
        let mut samples = samples::all();
        samples.retain(|sample| sample.value.kind() == kind);
        let vectors = vectors.as_array().unwrap();
        assert_eq!(vectors.len(), samples.len());
        for (vector, sample) in vectors.iter().zip(samples) {
            let bytes = hex::decode(vector["hex"].as_str().unwrap()).unwrap();
            let name = vector["name"].as_str().unwrap();
            assert_eq!(name, sample.name);
            assert_eq!(kind.decode(&bytes).as_ref(), Ok(&sample.value), "{name}");
            assert_eq!(json::to_cbor(&vector["decoded"]), bytes, "{name}");
        }
    }
}

#[test]
fn every_name_stands_for_one_vector() {
    let names: Vec<_> = samples::all()
        .into_iter()
        .map(|sample| (sample.value.kind().rule(), sample.name))
        .collect();
    let unique: BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
}
