//! For tests: Commits that anyone can check and that some or all members cannot open, and leaves that
//! end, as a member with a changed client would make them.

use std::sync::Mutex;

use openmls::group::MlsGroup;
use openmls::prelude::{
    BasicCredential, Extension, ExternalSender, GroupId, KeyPackage, Lifetime, MlsMessageOut,
};
use openmls_libcrux_crypto::CryptoProvider;
use openmls_traits::OpenMlsProvider;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig,
    HpkeKeyPair, KemOutput, SignatureScheme,
};
use tls_codec::SecretVLBytes;

use super::codec::{bytes_of, credential};
use super::provider::{Provider, Values};
use super::{LeafId, LeafKey, Plan, Suite, capabilities};

/// A KeyPackage that is good until a time (seconds since 1970-01-01, UTC).
fn ending_package(suite: Suite, key: &LeafKey, until: u64) -> KeyPackage {
    let provider = Provider::new(Values::new()).unwrap();
    let bundle = KeyPackage::builder()
        .leaf_node_capabilities(capabilities())
        .key_package_lifetime(Lifetime::init(0, until))
        .build(suite.ciphersuite(), &provider, key, credential(key))
        .unwrap();
    bundle.key_package().clone()
}

/// A KeyPackage that ends, as `MLSMessage` bytes.
pub(crate) fn ending(suite: Suite, key: &LeafKey, until: u64) -> Vec<u8> {
    bytes_of(&MlsMessageOut::from(ending_package(suite, key, until))).unwrap()
}

/// A KeyPackage (`MLSMessage` bytes) whose leaf cannot do what a conversation asks.
pub(crate) fn poor_package(suite: Suite, key: &LeafKey) -> Vec<u8> {
    let provider = Provider::new(Values::new()).unwrap();
    let bundle = KeyPackage::builder()
        .key_package_lifetime(super::codec::unending())
        .build(suite.ciphersuite(), &provider, key, credential(key))
        .unwrap();
    bytes_of(&MlsMessageOut::from(bundle.key_package().clone())).unwrap()
}

/// A Commit of `key`'s leaf that adds a leaf of `added` which ends, as `MLSMessage` bytes.
pub(crate) fn commit_of_ending(
    values: Values,
    group_id: &[u8],
    key: &LeafKey,
    added: &LeafKey,
    until: u64,
) -> Vec<u8> {
    let provider = Provider::new(values).unwrap();
    let mut group = MlsGroup::load(provider.storage(), &GroupId::from_slice(group_id))
        .unwrap()
        .unwrap();
    let suite = Suite::of(group.ciphersuite()).unwrap();
    let bundle = group
        .commit_builder()
        .force_self_update(true)
        .propose_adds([ending_package(suite, added, until)])
        .load_psks(provider.storage())
        .unwrap()
        .build(provider.rand(), provider.crypto(), key, |_| true)
        .unwrap()
        .stage_commit(&provider)
        .unwrap();
    bytes_of(&bundle.into_messages().0).unwrap()
}

/// How a Commit is spoiled.
pub(crate) enum How {
    /// Its confirmation tag is wrong: for everybody.
    Tag,
    /// The path secrets with these numbers, in the order they are encrypted, are noise: for those
    /// who need them.
    Paths(Vec<usize>),
    /// The Commit is good, but its GroupInfo has a key that leads nowhere: for who joins by it.
    Info,
}

/// The same Commit with other tags, as anybody with the seal can make it: its signature holds.
pub(crate) fn with_other_tags(commit: &[u8]) -> Vec<u8> {
    let mut other = commit.to_vec();
    let length = other.len();
    // The message ends with confirmation tag and, of a member, membership tag; each has 32 bytes.
    other[length - 5] ^= 1;
    other
}

/// A Commit of `key`'s leaf and its GroupInfo, as `MLSMessage` bytes; `values` stay as they were.
pub(crate) fn commit(
    values: Values,
    group_id: &[u8],
    key: &LeafKey,
    plan: &Plan,
    how: How,
) -> (Vec<u8>, Vec<u8>) {
    let (commit, info, _) = commit_and_go_on(values, group_id, key, plan, how);
    (commit, info)
}

/// The same, with the values of the epoch that it begins.
pub(crate) fn commit_and_go_on(
    values: Values,
    group_id: &[u8],
    key: &LeafKey,
    plan: &Plan,
    how: How,
) -> (Vec<u8>, Vec<u8>, Values) {
    let provider = Provider::new(values).unwrap();
    let mut group = MlsGroup::load(provider.storage(), &GroupId::from_slice(group_id))
        .unwrap()
        .unwrap();
    group.set_aad(plan.aad.clone());
    let spoiled = if let How::Paths(paths) = &how {
        paths.clone()
    } else {
        Vec::new()
    };
    let crypto = SpoilingCrypto {
        inner: CryptoProvider::new().unwrap(),
        spoiled,
        count: Mutex::new(0),
        leads_nowhere: false,
    };
    let builder = group
        .commit_builder()
        .force_self_update(true)
        .load_psks(provider.storage())
        .unwrap()
        .create_group_info(true);
    // OpenMLS encrypts path secrets side by side; one thread keeps the order they are numbered in.
    let one_by_one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let build = || builder.build(provider.rand(), &crypto, key, |_| true);
    let bundle = one_by_one
        .unwrap()
        .install(build)
        .unwrap()
        .stage_commit(&provider)
        .unwrap();
    let sealed = *crypto.count.lock().unwrap();
    assert!(
        crypto.spoiled.iter().any(|path| *path < sealed) || !matches!(how, How::Paths(_)),
        "there is no such path secret"
    );
    let (commit, _, info) = bundle.into_messages();
    let mut commit = bytes_of(&commit).unwrap();
    group.merge_pending_commit(&provider).unwrap();
    let after = provider.values().unwrap();
    if matches!(how, How::Info) {
        let crypto = SpoilingCrypto {
            leads_nowhere: true,
            ..crypto
        };
        let info = group.export_group_info(&crypto, key, false).unwrap();
        return (commit, bytes_of(&info).unwrap(), after);
    }
    if matches!(how, How::Tag) {
        // The message ends with confirmation tag and membership tag, each a length and 32 bytes.
        let length = commit.len();
        commit[length - 33 - 10] ^= 1;
    }
    (commit, bytes_of(&info.unwrap()).unwrap(), after)
}

/// Encrypts noise where it should encrypt a path secret.
struct SpoilingCrypto {
    inner: CryptoProvider,
    spoiled: Vec<usize>,
    count: Mutex<usize>,
    leads_nowhere: bool,
}

impl OpenMlsCrypto for SpoilingCrypto {
    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk: &[u8],
        info: &[u8],
        aad: &[u8],
        text: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        let mut count = self.count.lock().unwrap();
        let noise = vec![0; text.len()];
        let text = if self.spoiled.contains(&*count) {
            &noise
        } else {
            text
        };
        *count += 1;
        self.inner.hpke_seal(config, pk, info, aad, text)
    }

    fn supports(&self, suite: Ciphersuite) -> Result<(), CryptoError> {
        self.inner.supports(suite)
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        self.inner.supported_ciphersuites()
    }

    fn hkdf_extract(
        &self,
        hash: HashType,
        salt: &[u8],
        ikm: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.inner.hkdf_extract(hash, salt, ikm)
    }

    fn hmac(
        &self,
        hash: HashType,
        key: &[u8],
        message: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.inner.hmac(hash, key, message)
    }

    fn hkdf_expand(
        &self,
        hash: HashType,
        prk: &[u8],
        info: &[u8],
        length: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        self.inner.hkdf_expand(hash, prk, info, length)
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.hash(hash, data)
    }

    fn aead_encrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner.aead_encrypt(alg, key, data, nonce, aad)
    }

    fn aead_decrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner.aead_decrypt(alg, key, data, nonce, aad)
    }

    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        self.inner.signature_key_gen(alg)
    }

    fn verify_signature(
        &self,
        alg: SignatureScheme,
        data: &[u8],
        pk: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner.verify_signature(alg, data, pk, signature)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.sign(alg, data, key)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner.hpke_open(config, input, sk, info, aad)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk: &[u8],
        info: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        self.inner
            .hpke_setup_sender_and_export(config, pk, info, context, length)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk: &[u8],
        info: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        self.inner
            .hpke_setup_receiver_and_export(config, enc, sk, info, context, length)
    }

    fn derive_hpke_keypair(
        &self,
        config: HpkeConfig,
        ikm: &[u8],
    ) -> Result<HpkeKeyPair, CryptoError> {
        let mut ikm = ikm.to_vec();
        ikm[0] ^= u8::from(self.leads_nowhere);
        self.inner.derive_hpke_keypair(config, &ikm)
    }
}

/// A Proposal of `key`'s leaf to remove `leaf`, and a Commit that refers to it, as `MLSMessage`
/// bytes; `values` stay as they were.
pub(crate) fn by_reference(
    values: Values,
    group_id: &[u8],
    key: &LeafKey,
    leaf: LeafId,
) -> (Vec<u8>, Vec<u8>) {
    let provider = Provider::new(values).unwrap();
    let mut group = MlsGroup::load(provider.storage(), &GroupId::from_slice(group_id))
        .unwrap()
        .unwrap();
    let index = group
        .members()
        .find(|member| member.signature_key == leaf.as_bytes())
        .unwrap()
        .index;
    let (proposal, _) = group.propose_remove_member(&provider, key, index).unwrap();
    let (commit, _, _) = group.commit_to_pending_proposals(&provider, key).unwrap();
    (bytes_of(&proposal).unwrap(), bytes_of(&commit).unwrap())
}

/// A Commit of `key`'s leaf that lets somebody outside of the group propose changes of it, beside
/// the policy as it is.
pub(crate) fn with_outsiders(values: Values, group_id: &[u8], key: &LeafKey) -> Vec<u8> {
    let provider = Provider::new(values).unwrap();
    let mut group = MlsGroup::load(provider.storage(), &GroupId::from_slice(group_id))
        .unwrap()
        .unwrap();
    let outsider = LeafKey::from_seed(&[99; 32]).id().as_bytes().to_vec();
    let sender = ExternalSender::new(
        outsider.clone().into(),
        BasicCredential::new(outsider).into(),
    );
    let mut extensions = group.extensions().clone();
    extensions
        .add(Extension::ExternalSenders(vec![sender]))
        .unwrap();
    let (commit, _, _) = group
        .update_group_context_extensions(&provider, extensions, key)
        .unwrap();
    bytes_of(&commit).unwrap()
}
