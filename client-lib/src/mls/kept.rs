//! A KeyPackage whose Welcome is still to come, as plain keys: what another device needs to open it.
//!
//! The library keeps it as JSON of its own, in which the two private keys are found by their names.

use openmls::key_packages::KeyPackageBundle;
use openmls::prelude::MlsMessageOut;
use serde_json::Value;
use zeroize::Zeroizing;

use super::provider::Values;
use super::{MlsError, codec};

const INIT: &str = "private_init_key";
const LEAF: &str = "private_encryption_key";

/// A KeyPackage (`MLSMessage` bytes) with the secret keys of its `init_key` and of its leaf.
pub(crate) struct PackageKeys {
    pub(crate) package: Vec<u8>,
    pub(crate) init: Zeroizing<[u8; 32]>,
    pub(crate) leaf: Zeroizing<[u8; 32]>,
}

impl core::fmt::Debug for PackageKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PackageKeys(…)")
    }
}

impl PackageKeys {
    /// Of a KeyPackage that was made here.
    pub(crate) fn of(values: &Values) -> Result<Self, MlsError> {
        let mut kept = bundle_in(values)?;
        let bundle: KeyPackageBundle =
            serde_json::from_value(kept.clone()).map_err(|_| MlsError::Internal)?;
        let package = MlsMessageOut::from(bundle.key_package().clone());
        Ok(Self {
            package: codec::bytes_of(&package)?,
            init: bytes(&mut kept, INIT)?,
            leaf: bytes(&mut kept, LEAF)?,
        })
    }
}

fn bundle_in(values: &Values) -> Result<Value, MlsError> {
    values
        .values()
        .filter_map(|value| serde_json::from_slice::<Value>(value).ok())
        .find(|value| value.get(INIT).is_some())
        .ok_or(MlsError::Internal)
}

fn bytes(kept: &mut Value, name: &str) -> Result<Zeroizing<[u8; 32]>, MlsError> {
    let list = key(kept, name)?.clone();
    codec::fixed(serde_json::from_value(list).map_err(|_| MlsError::Internal)?)
}

/// The list of bytes of the key with this name, however deep it stands.
pub(super) fn key<'a>(kept: &'a mut Value, name: &str) -> Result<&'a mut Value, MlsError> {
    let found = find(kept, name).and_then(list);
    found.ok_or(MlsError::Internal)
}

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

/// Some keys are wrapped, some twice.
fn list(value: &mut Value) -> Option<&mut Value> {
    match value {
        Value::Object(object) => object.values_mut().next().and_then(list),
        value => Some(value),
    }
}

#[cfg(feature = "native")]
mod taken_up {
    use openmls::key_packages::KeyPackageBundle;
    use openmls_traits::OpenMlsProvider as _;
    use openmls_traits::storage::StorageProvider as _;
    use serde_json::json;

    use super::super::provider::{Provider, Values};
    use super::super::{Group, LeafKey, MlsError, Suite, codec};
    use super::{INIT, LEAF, PackageKeys, bundle_in, key};

    impl PackageKeys {
        /// As if it had been made here.
        pub(crate) fn values(&self, suite: Suite) -> Result<Values, MlsError> {
            let provider = Provider::new(Values::new())?;
            let package = codec::key_package(&provider, suite.ciphersuite(), &self.package)?;
            let (_, form) = Group::key_package(suite, &LeafKey::from_seed(&[0; 32]), 0)?;
            let mut kept = bundle_in(&form)?;
            let whole = kept.get_mut("key_package").ok_or(MlsError::Internal)?;
            *whole = serde_json::to_value(&package).map_err(|_| MlsError::Internal)?;
            *key(&mut kept, INIT)? = json!(self.init.as_slice());
            *key(&mut kept, LEAF)? = json!(self.leaf.as_slice());
            let bundle: KeyPackageBundle =
                serde_json::from_value(kept).map_err(|_| MlsError::Unacceptable)?;
            let name = package
                .hash_ref(provider.crypto())
                .map_err(|_| MlsError::Internal)?;
            provider
                .storage()
                .write_key_package(&name, &bundle)
                .map_err(|_| MlsError::Internal)?;
            provider.values()
        }
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::super::{Group, LeafKey, Suite};
    use super::*;

    #[test]
    fn a_package_that_was_taken_to_another_device_opens_what_it_would_have_opened() {
        for suite in [Suite::Classic, Suite::Hybrid] {
            let key = LeafKey::from_seed(&[7; 32]);
            let (package, values) = Group::key_package(suite, &key, 0).unwrap();
            let keys = PackageKeys::of(&values).unwrap();
            assert_eq!(keys.package, package);
            let there = keys.values(suite).unwrap();
            let again = PackageKeys::of(&there).unwrap();
            assert_eq!(*again.init, *keys.init);
            assert_eq!(*again.leaf, *keys.leaf);
            assert!(there.keys().all(|name| values.contains_key(name)));
            assert_eq!(format!("{keys:?}"), "PackageKeys(…)");
        }
    }
}
