//! `hybrid.json`: what is special to the default suite, its KEM: a key pair from given bytes, a box, and
//! a KeyPackage. Box and KeyPackage are drawn anew by each run, so those that stand in the file stay
//! as long as they open.

use serde_json::{Value, json};

use super::recipes::{bytes, find, hexed};
use crate::mls::passive::{PackageSecrets, hpke, kept_package, package_secrets};
use crate::mls::{Group, LeafKey, Plan, Suite};

const IKM: [u8; 32] = [0x2a; 32];
const SEED: [u8; 32] = [0x41; 32];
const DAY: u32 = 20_000;
const INFO: &[u8] = b"info";
const AAD: &[u8] = b"aad";
const PLAINTEXT: &[u8] = b"plaintext";

fn fresh() -> Value {
    let (secret, key) = hpke::derived(Suite::Hybrid, &IKM);
    let (enc, ciphertext) = hpke::sealed(Suite::Hybrid, &key, (INFO, AAD), PLAINTEXT);
    let leaf = LeafKey::from_seed(&SEED);
    let (package, values) = Group::key_package(Suite::Hybrid, &leaf, DAY).unwrap();
    let keys = package_secrets(&values);
    json!([
        {
            "name": "key",
            "ikm": hexed(IKM),
            "secret": hexed(secret),
            "key": hexed(key),
        },
        {
            "name": "box",
            "info": hexed(INFO),
            "aad": hexed(AAD),
            "plaintext": hexed(PLAINTEXT),
            "enc": hexed(enc),
            "ciphertext": hexed(ciphertext),
        },
        {
            "name": "package",
            "seed": hexed(SEED),
            "day": DAY,
            "package": hexed(package),
            "init_secret": hexed(&keys.init),
            "encryption_secret": hexed(&keys.encryption),
        },
    ])
}

/// The file without what differs from run to run.
fn same(mut file: Value) -> Value {
    for (at, names) in [
        (1, ["enc", "ciphertext"].as_slice()),
        (2, &["package", "init_secret", "encryption_secret"]),
    ] {
        for name in names {
            let drawn = file[at][*name].as_str().map(str::len);
            file[at][*name] = json!(drawn);
        }
    }
    file
}

/// What stands in the file, as long as nothing but what is drawn differs from what the code makes.
pub(super) fn hybrid(kept: Option<Value>) -> Value {
    let fresh = fresh();
    kept.filter(|kept| same(kept.clone()) == same(fresh.clone()))
        .unwrap_or(fresh)
}

/// Opens the box that stands in the file, and a Welcome for the KeyPackage that stands there.
pub(super) fn open_all(file: &Value) {
    let secret = bytes(&find(file, "key")["secret"]);
    let boxed = find(file, "box");
    let field = |name: &str| bytes(&boxed[name]);
    let opened = hpke::opened(
        Suite::Hybrid,
        &secret,
        (&field("info"), &field("aad")),
        (field("enc"), field("ciphertext")),
    );
    assert_eq!(opened, field("plaintext"));
    let kept = find(file, "package");
    let package = bytes(&kept["package"]);
    let keys = PackageSecrets {
        init: bytes(&kept["init_secret"]),
        encryption: bytes(&kept["encryption_secret"]),
    };
    let values = kept_package(Suite::Hybrid, &package, &keys);
    let ann = LeafKey::from_seed(&[0x12; 32]);
    let mut group = Group::create(Suite::Hybrid, b"group", &ann, b"policy", DAY).unwrap();
    let plan = Plan {
        add: vec![package],
        ..Plan::default()
    };
    let staged = group.stage(&ann, &plan, &[9; 32]).unwrap();
    let welcome = staged.welcome.unwrap();
    let (cay, _) = Group::from_welcome(values, &welcome, &staged.tree).unwrap();
    group.merge_pending().unwrap();
    assert_eq!(group.authenticator(), cay.authenticator());
}
