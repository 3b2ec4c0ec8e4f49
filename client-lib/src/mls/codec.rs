//! Bytes to the library's types and back; every input is hostile until it parsed to its last byte.

use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, Extension, ExtensionType, Extensions,
    GroupContext, KeyPackage, LeafNode, Lifetime, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut,
    PreSharedKeyProposal, ProtocolMessage, ProtocolVersion, RatchetTreeIn,
    RequiredCapabilitiesExtension, UnknownExtension,
};
use openmls::schedule::{ExternalPsk, PreSharedKeyId, Psk};
use openmls_traits::OpenMlsProvider;
use tls_codec::{Deserialize as _, DeserializeBytes as _, Serialize as _};
use zeroize::Zeroizing;

use super::provider::Provider;
use super::{DAY_EXTENSION, LeafId, LeafKey, MlsError, POLICY_EXTENSION};

pub(super) fn bytes_of(message: &MlsMessageOut) -> Result<Vec<u8>, MlsError> {
    message.to_bytes().map_err(|_| MlsError::Internal)
}

pub(super) fn fixed(secret: Vec<u8>) -> Result<Zeroizing<[u8; 32]>, MlsError> {
    let secret = Zeroizing::new(secret);
    <[u8; 32]>::try_from(secret.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| MlsError::Internal)
}

fn body(bytes: &[u8]) -> Result<MlsMessageBodyIn, MlsError> {
    let mut rest = bytes;
    let message = MlsMessageIn::tls_deserialize(&mut rest).map_err(|_| MlsError::Unacceptable)?;
    if rest.is_empty() {
        Ok(message.extract())
    } else {
        Err(MlsError::Unacceptable)
    }
}

/// A Commit, Proposal or application message.
pub(super) fn protocol_message(bytes: &[u8]) -> Result<ProtocolMessage, MlsError> {
    match body(bytes)? {
        MlsMessageBodyIn::PublicMessage(message) => Ok(message.into()),
        MlsMessageBodyIn::PrivateMessage(message) => Ok(message.into()),
        _ => Err(MlsError::Unacceptable),
    }
}

pub(super) fn group_info(bytes: &[u8]) -> Result<VerifiableGroupInfo, MlsError> {
    match body(bytes)? {
        MlsMessageBodyIn::GroupInfo(info) => Ok(info),
        _ => Err(MlsError::Unacceptable),
    }
}

pub(super) fn welcome(bytes: &[u8]) -> Result<openmls::prelude::Welcome, MlsError> {
    match body(bytes)? {
        MlsMessageBodyIn::Welcome(welcome) => Ok(welcome),
        _ => Err(MlsError::Unacceptable),
    }
}

pub(super) fn tree(bytes: &[u8]) -> Result<RatchetTreeIn, MlsError> {
    RatchetTreeIn::tls_deserialize_exact_bytes(bytes).map_err(|_| MlsError::Unacceptable)
}

/// The lifetime of every leaf: no clock that is past 1970 is outside of it. The library compares a
/// leaf's with the clock of whoever reads a Commit or a tree, and what a Commit does must not depend
/// on when and where it is read. How old a KeyPackage may grow is the matter of the log it lies in.
pub(super) fn unending() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

/// A KeyPackage whose signature and suite hold, which never ends, and whose credential is its own key.
pub(super) fn key_package(
    provider: &Provider,
    ciphersuite: Ciphersuite,
    bytes: &[u8],
) -> Result<KeyPackage, MlsError> {
    let MlsMessageBodyIn::KeyPackage(package) = body(bytes)? else {
        return Err(MlsError::Unacceptable);
    };
    let package = package
        .validate(provider.crypto(), ProtocolVersion::Mls10)
        .map_err(|_| MlsError::Unacceptable)?;
    let leaf = package.leaf_node();
    let own = leaf_id(
        leaf.credential().serialized_content(),
        leaf.signature_key().as_slice(),
    );
    let is_ours = package.ciphersuite() == ciphersuite && *package.life_time() == unending();
    if is_ours && own.is_some() {
        Ok(package)
    } else {
        Err(MlsError::Unacceptable)
    }
}

/// The credential of a leaf: its own signature key, so that a leaf cannot speak as another.
pub(super) fn credential(key: &LeafKey) -> CredentialWithKey {
    let id = key.id().as_bytes().to_vec();
    CredentialWithKey {
        credential: BasicCredential::new(id.clone()).into(),
        signature_key: id.into(),
    }
}

/// The extensions of a leaf whose keys are made on this day.
pub(super) fn leaf_extensions(day: u32) -> Result<Extensions<LeafNode>, MlsError> {
    let day = UnknownExtension(day.to_be_bytes().to_vec());
    Extensions::single(Extension::Unknown(DAY_EXTENSION, day)).map_err(|_| MlsError::Internal)
}

/// The day on which a leaf says that its keys were made.
pub(super) fn day_of(leaf: &LeafNode) -> Option<u32> {
    let day = leaf.extensions().unknown(DAY_EXTENSION)?;
    Some(u32::from_be_bytes(day.0.as_slice().try_into().ok()?))
}

/// The leaf's name, if credential and signature key are the same 32 bytes.
pub(super) fn leaf_id(credential: &[u8], signature_key: &[u8]) -> Option<LeafId> {
    if credential == signature_key {
        LeafId::from_slice(signature_key)
    } else {
        None
    }
}

fn required_capabilities() -> RequiredCapabilitiesExtension {
    RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(POLICY_EXTENSION)], &[], &[])
}

/// The policy extension's bytes, if beside them there is nothing but what every leaf must be able
/// to do. Another extension could change the meaning of a group behind the policy's back.
pub(super) fn policy_alone(extensions: &Extensions<GroupContext>) -> Option<Vec<u8>> {
    let policy = extensions.unknown(POLICY_EXTENSION)?;
    let required = extensions.required_capabilities()?;
    let alone = extensions.iter().count() == 2 && *required == required_capabilities();
    alone.then(|| policy.0.clone())
}

pub(super) fn context_extensions(policy: &[u8]) -> Result<Extensions<GroupContext>, MlsError> {
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required_capabilities()),
        Extension::Unknown(POLICY_EXTENSION, UnknownExtension(policy.to_vec())),
    ])
    .map_err(|_| MlsError::Internal)
}

/// The policy that a GroupInfo (`MLSMessage` bytes) tells of, whoever made it.
pub(super) fn policy_of_info(info: &[u8]) -> Option<Vec<u8>> {
    let info = group_info(info).ok()?;
    let policy = info
        .group_context()
        .extensions()
        .unknown(POLICY_EXTENSION)?;
    Some(policy.0.clone())
}

/// The id of the external PSK that a proposal names; the library only gives it out serialized.
pub(super) fn external_psk_id(proposal: &PreSharedKeyProposal) -> Option<Vec<u8>> {
    let bytes = proposal.tls_serialize_detached().ok()?;
    let mut rest = bytes.as_slice();
    let id = PreSharedKeyId::tls_deserialize(&mut rest).ok()?;
    match id.psk() {
        Psk::External(external) if rest.is_empty() => Some(external.psk_id().to_vec()),
        _ => None,
    }
}

/// Makes an external PSK known to the store and returns its id with a fresh nonce.
pub(super) fn store_psk(
    provider: &Provider,
    ciphersuite: Ciphersuite,
    id: &[u8],
    secret: &[u8; 32],
) -> Result<PreSharedKeyId, MlsError> {
    let psk = Psk::External(ExternalPsk::new(id.to_vec()));
    let id =
        PreSharedKeyId::new(ciphersuite, provider.rand(), psk).map_err(|_| MlsError::Internal)?;
    id.store(provider, secret).map_err(|_| MlsError::Internal)?;
    Ok(id)
}
