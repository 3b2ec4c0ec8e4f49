//! For tests: secrets in the form of the vectors of RFC 9420, which every library can begin from.

use openmls::key_packages::KeyPackageBundle;
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::StorageProvider as _;
use serde_json::{Value, json};

use super::provider::{Provider, Values};
use super::{Group, LeafKey, Suite, codec};

/// The private keys of a KeyPackage that is kept.
pub(crate) struct PackageSecrets {
    pub(crate) init: Vec<u8>,
    pub(crate) encryption: Vec<u8>,
}

/// Where in a kept value the key with this name stands.
fn find<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    if value.get(name).is_some() {
        return value.get_mut(name);
    }
    let inner: Vec<&mut Value> = match value {
        Value::Object(object) => object.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    inner.into_iter().find_map(|value| find(value, name))
}

/// The list of bytes inside of a kept key.
fn list(value: &mut Value) -> &mut Value {
    if value.is_object() {
        return list(value.as_object_mut().unwrap().values_mut().next().unwrap());
    }
    value
}

fn bytes(value: &mut Value) -> Vec<u8> {
    serde_json::from_value(list(value).clone()).unwrap()
}

fn parsed(values: &Values) -> impl Iterator<Item = Value> {
    values
        .values()
        .filter_map(|value| serde_json::from_slice(value).ok())
}

pub(crate) fn package_secrets(values: &Values) -> PackageSecrets {
    let of = |name: &str| {
        parsed(values)
            .find_map(|mut value| find(&mut value, name).map(bytes))
            .unwrap()
    };
    PackageSecrets {
        init: of("private_init_key"),
        encryption: of("private_encryption_key"),
    }
}

/// What is kept of a KeyPackage (`MLSMessage` bytes) with these private keys.
pub(crate) fn kept_package(suite: Suite, package: &[u8], secrets: &PackageSecrets) -> Values {
    let (_, other) = Group::key_package(suite, &LeafKey::from_seed(&[1; 32]), 0).unwrap();
    let mut bundle = parsed(&other)
        .find(|value| value.get("private_init_key").is_some())
        .unwrap();
    let provider = Provider::new(Values::new()).unwrap();
    let package = codec::key_package(&provider, suite.ciphersuite(), package).unwrap();
    bundle["key_package"] = serde_json::to_value(&package).unwrap();
    *list(&mut bundle["private_init_key"]) = json!(secrets.init);
    *list(&mut bundle["private_encryption_key"]) = json!(secrets.encryption);
    let bundle: KeyPackageBundle = serde_json::from_value(bundle).unwrap();
    let name = package.hash_ref(provider.crypto()).unwrap();
    let storage = provider.storage();
    storage.write_key_package(&name, &bundle).unwrap();
    provider.values().unwrap()
}

/// The `exporter_secret` of a group's present epoch.
pub(crate) fn exporter_secret(values: &Values) -> Vec<u8> {
    parsed(values)
        .find_map(|mut value| find(&mut value, "exporter_secret").map(bytes))
        .unwrap()
}

/// HPKE (RFC 9180, base mode) as a suite has it, with keys that are given.
pub(crate) mod hpke {
    use openmls_traits::OpenMlsProvider as _;
    use openmls_traits::crypto::OpenMlsCrypto as _;
    use openmls_traits::types::HpkeCiphertext;

    use super::{Provider, Suite, Values};

    fn provider() -> Provider {
        Provider::new(Values::new()).unwrap()
    }

    /// `DeriveKeyPair`: the secret key and the public one.
    pub(crate) fn derived(suite: Suite, ikm: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let config = suite.ciphersuite().hpke_config();
        let pair = provider()
            .crypto()
            .derive_hpke_keypair(config, ikm)
            .unwrap();
        (pair.private.to_vec(), pair.public)
    }

    /// Encapsulated key and ciphertext.
    pub(crate) fn sealed(
        suite: Suite,
        key: &[u8],
        (info, aad): (&[u8], &[u8]),
        plaintext: &[u8],
    ) -> (Vec<u8>, Vec<u8>) {
        let config = suite.ciphersuite().hpke_config();
        let sealed = provider()
            .crypto()
            .hpke_seal(config, key, info, aad, plaintext)
            .unwrap();
        (sealed.kem_output.into(), sealed.ciphertext.into())
    }

    pub(crate) fn opened(
        suite: Suite,
        secret: &[u8],
        (info, aad): (&[u8], &[u8]),
        (enc, ciphertext): (Vec<u8>, Vec<u8>),
    ) -> Vec<u8> {
        let config = suite.ciphersuite().hpke_config();
        let boxed = HpkeCiphertext {
            kem_output: enc.into(),
            ciphertext: ciphertext.into(),
        };
        provider()
            .crypto()
            .hpke_open(config, &boxed, secret, info, aad)
            .unwrap()
    }
}
