//! For tests: secrets in the form of the vectors of RFC 9420, which every library can begin from.

use serde_json::Value;
use zeroize::Zeroizing;

use super::Suite;
use super::kept::{PackageKeys, key};
use super::provider::{Provider, Values};

/// The private keys of a KeyPackage that is kept.
pub(crate) struct PackageSecrets {
    pub(crate) init: Vec<u8>,
    pub(crate) encryption: Vec<u8>,
}

pub(crate) fn package_secrets(values: &Values) -> PackageSecrets {
    let keys = PackageKeys::of(values).unwrap();
    PackageSecrets {
        init: keys.init.to_vec(),
        encryption: keys.leaf.to_vec(),
    }
}

/// What is kept of a KeyPackage (`MLSMessage` bytes) with these private keys.
pub(crate) fn kept_package(suite: Suite, package: &[u8], secrets: &PackageSecrets) -> Values {
    let fixed = |secret: &[u8]| Zeroizing::new(secret.try_into().unwrap());
    let keys = PackageKeys {
        package: package.to_vec(),
        init: fixed(&secrets.init),
        leaf: fixed(&secrets.encryption),
    };
    keys.values(suite).unwrap()
}

/// The `exporter_secret` of a group's present epoch.
pub(crate) fn exporter_secret(values: &Values) -> Vec<u8> {
    let secret = |value: &Vec<u8>| {
        let mut value: Value = serde_json::from_slice(value).ok()?;
        let list = key(&mut value, "exporter_secret").ok()?.clone();
        serde_json::from_value(list).ok()
    };
    values.values().find_map(secret).unwrap()
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
