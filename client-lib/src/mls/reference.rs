//! Which KeyPackages a Welcome is for: what a reader knows before it opens anything.

use openmls_traits::OpenMlsProvider;

use super::provider::{Provider, Values};
use super::{Group, MlsError, Suite, codec};

impl Group {
    /// The reference (RFC 9420, section 5.2) of a KeyPackage (`MLSMessage` bytes).
    pub(crate) fn reference_of(suite: Suite, package: &[u8]) -> Result<Vec<u8>, MlsError> {
        let provider = Provider::new(Values::new())?;
        let package = codec::key_package(&provider, suite.ciphersuite(), package)?;
        let reference = package
            .hash_ref(provider.crypto())
            .map_err(|_| MlsError::Internal)?;
        Ok(reference.as_slice().to_vec())
    }

    /// The references that a Welcome (`MLSMessage` bytes) names.
    pub(crate) fn references_in(welcome: &[u8]) -> Result<Vec<Vec<u8>>, MlsError> {
        let welcome = codec::welcome(welcome)?;
        let secrets = welcome.secrets().iter();
        Ok(secrets
            .map(|secret| secret.new_member().as_slice().to_vec())
            .collect())
    }
}
