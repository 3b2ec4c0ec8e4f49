//! Where a group's keys live: a map in memory whose changes the engine puts into its one transaction.
//!
//! Nothing is written to a disk here, so a change of the group and the cursor that caused it can
//! never be torn apart by a crash.

use std::collections::BTreeMap;

use openmls_libcrux_crypto::CryptoProvider;
use openmls_memory_storage::MemoryStorage;
use openmls_traits::OpenMlsProvider;
use zeroize::Zeroize;

use super::MlsError;

/// A group's stored values by key.
pub(crate) type Values = BTreeMap<Vec<u8>, Vec<u8>>;

/// What changed since the last time it was asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) puts: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) deletes: Vec<Vec<u8>>,
}

/// Crypto, randomness and storage for one group.
pub(crate) struct Provider {
    crypto: CryptoProvider,
    storage: MemoryStorage,
}

impl core::fmt::Debug for Provider {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Provider(…)")
    }
}

impl Provider {
    pub(crate) fn new(values: Values) -> Result<Self, MlsError> {
        let storage = MemoryStorage::default();
        *storage.values.write().map_err(|_| MlsError::Internal)? = values.into_iter().collect();
        Ok(Self {
            crypto: CryptoProvider::new().map_err(|_| MlsError::Internal)?,
            storage,
        })
    }

    pub(crate) fn values(&self) -> Result<Values, MlsError> {
        let values = self.storage.values.read().map_err(|_| MlsError::Internal)?;
        Ok(values
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    /// Turns `saved` into the present values and says what that took.
    pub(crate) fn changes(&self, saved: &mut Values) -> Result<State, MlsError> {
        let now = self.values()?;
        let puts = now
            .iter()
            .filter(|(key, value)| saved.get(*key) != Some(value))
            .map(|(key, value)| (key.clone(), value.clone()));
        let state = State {
            puts: puts.collect(),
            deletes: saved
                .keys()
                .filter(|key| !now.contains_key(*key))
                .cloned()
                .collect(),
        };
        *saved = now;
        Ok(state)
    }
}

/// The group's secrets go with the group.
impl Drop for Provider {
    fn drop(&mut self) {
        if let Ok(mut values) = self.storage.values.write() {
            values.values_mut().for_each(Zeroize::zeroize);
        }
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = CryptoProvider;
    type RandProvider = CryptoProvider;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &Self::StorageProvider {
        &self.storage
    }

    fn crypto(&self) -> &Self::CryptoProvider {
        &self.crypto
    }

    fn rand(&self) -> &Self::RandProvider {
        &self.crypto
    }
}
