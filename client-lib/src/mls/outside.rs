//! For tests: external Commits of somebody with a changed client, who takes more than a way in.
//!
//! The library's builder offers a joiner nothing but PSKs, so what goes beyond that is made around
//! it. A Commit that removes somebody else is built on a tree in which that leaf bears the joiner's
//! own name, which the library lets every joiner remove, and signed for the tree as it is: so it is
//! whole to the last byte, confirmation tag included. What else is put into a Commit is signed anew
//! with it; such a Commit can be checked, and not opened.

use openmls::group::MlsGroup;
use openmls::prelude::PreSharedKeyProposal;
use openmls_traits::OpenMlsProvider;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use sha2::Digest as _;
use tls_codec::Serialize as _;

use super::codec::{self, bytes_of, context_extensions, credential, store_psk};
use super::group::{join_config, leaf_parameters};
use super::provider::{Provider, Values};
use super::{LeafId, LeafKey, Suite};

/// What an external Commit does beside letting its author in.
pub(crate) enum Beyond {
    /// Nothing, as every honest one.
    Nothing,
    /// It mixes no PSK in.
    NoPsk,
    /// It removes a leaf that is not its author's.
    Remove(LeafId),
    /// It adds whose KeyPackage (`MLSMessage` bytes) this is.
    Add(Vec<u8>),
    /// It changes the policy extension to these bytes.
    Policy(Vec<u8>),
    /// It holds a proposal of a kind that the RFC leaves to applications.
    Custom,
    /// It holds one more ExternalInit.
    SecondInit,
}

/// The epoch that somebody comes into.
pub(crate) struct Ground<'a> {
    /// Its GroupInfo (`MLSMessage` bytes), signed by `host`.
    pub(crate) info: Vec<u8>,
    pub(crate) tree: Vec<u8>,
    pub(crate) host: &'a LeafKey,
}

/// An external Commit of `key`'s leaf and the GroupInfo that goes with it, as `MLSMessage` bytes.
pub(crate) fn commit(
    ground: &Ground<'_>,
    key: &LeafKey,
    psk: (&[u8], &[u8; 32]),
    (aad, day): (&[u8], u32),
    beyond: Beyond,
) -> (Vec<u8>, Vec<u8>) {
    let plain = |psk| build(&ground.info, &ground.tree, (key, key), psk, (aad, day));
    let with = |kind: u16, body: Vec<u8>| {
        let (commit, info) = plain(Some(psk));
        let proposal = [&[1][..], &kind.to_be_bytes(), &body].concat();
        (signed_with(&commit, &ground.info, key, &proposal), info)
    };
    match beyond {
        Beyond::Nothing => {
            let (commit, info) = plain(Some(psk));
            // What is signed here is what the library signs.
            assert_eq!(signed_with(&commit, &ground.info, key, &[]), commit);
            (commit, info)
        }
        Beyond::NoPsk => plain(None),
        Beyond::Remove(leaf) => {
            let (pretended, told) = pretend(ground, key, leaf);
            let signer = Elsewhere { key, told };
            let (info, tree) = &pretended;
            build(info, tree, (key, &signer), Some(psk), (aad, day))
        }
        Beyond::Add(package) => with(1, package[4..].to_vec()),
        Beyond::Policy(policy) => {
            let extensions = context_extensions(&policy).unwrap();
            with(7, extensions.tls_serialize_detached().unwrap())
        }
        Beyond::Custom => with(0xf0f0, vector(b"anything")),
        Beyond::SecondInit => with(6, vector(&[7; 32])),
    }
}

/// What [`super::Group::join`] does, with any signer and with or without a PSK.
fn build(
    info: &[u8],
    tree: &[u8],
    (key, signer): (&LeafKey, &impl Signer),
    psk: Option<(&[u8], &[u8; 32])>,
    (aad, day): (&[u8], u32),
) -> (Vec<u8>, Vec<u8>) {
    let provider = Provider::new(Values::new()).unwrap();
    let info = codec::group_info(info).unwrap();
    let suite = Suite::of(info.ciphersuite()).unwrap();
    let psk = psk.map(|(id, psk)| {
        let id = store_psk(&provider, suite.ciphersuite(), id, psk).unwrap();
        PreSharedKeyProposal::new(id)
    });
    let (group, bundle) = MlsGroup::external_commit_builder()
        .with_ratchet_tree(codec::tree(tree).unwrap())
        .with_config(join_config())
        .with_aad(aad.to_vec())
        .skip_lifetime_validation()
        .build_group(&provider, info, credential(key))
        .unwrap()
        .add_psk_proposals(psk)
        .leaf_node_parameters(leaf_parameters(day).unwrap())
        .load_psks(provider.storage())
        .unwrap()
        .build(provider.rand(), provider.crypto(), signer, |_| true)
        .unwrap()
        .finalize(&provider)
        .unwrap();
    let info = group.export_group_info(provider.crypto(), key, false);
    let (commit, _, _) = bundle.into_messages();
    (
        bytes_of(&commit).unwrap(),
        bytes_of(&info.unwrap()).unwrap(),
    )
}

/// Signs for a context with the true tree hash what names the pretended one.
struct Elsewhere<'a> {
    key: &'a LeafKey,
    told: Told,
}

struct Told {
    pretended: [u8; 32],
    real: [u8; 32],
}

impl Signer for Elsewhere<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        let mut payload = payload.to_vec();
        replace(&mut payload, &self.told.pretended, &self.told.real);
        Ok(self.key.sign(&payload).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// GroupInfo and tree as if the leaf of `victim` were `key`'s.
fn pretend(ground: &Ground<'_>, key: &LeafKey, victim: LeafId) -> ((Vec<u8>, Vec<u8>), Told) {
    let context = Context::of(&ground.info);
    let mut nodes = nodes_of(&ground.tree);
    let width = nodes.len().div_ceil(2).next_power_of_two() * 2 - 1;
    let real = tree_hash(&nodes, 0, width);
    assert_eq!(real, context.tree_hash, "the tree hash is not understood");
    let is_victims = |node: &Option<Vec<u8>>| {
        let node = node.as_deref().filter(|node| node[0] == 1);
        node.is_some_and(|node| count(node, victim.as_bytes()) == 2)
    };
    let at = nodes.iter().position(is_victims).unwrap();
    let leaf = nodes[at].as_mut().unwrap();
    replace(leaf, victim.as_bytes(), key.id().as_bytes());
    let signed = leaf.len() - SIGNATURE;
    let mut tbs = leaf[1..signed].to_vec();
    if source_of(&leaf[1..]) != 1 {
        tbs.extend(vector(&context.group_id));
        tbs.extend(u32::try_from(at / 2).unwrap().to_be_bytes());
    }
    sign_end(leaf, key, "LeafNodeTBS", &tbs);
    // What this leaf has a part in is blank once it is removed, so it may be blank before as well;
    // else the hashes in its siblings' nodes would not fit.
    let (mut low, mut wide) = (0, width);
    while wide > 1 {
        let half = wide / 2;
        if let Some(node) = nodes.get_mut(low + half) {
            *node = None;
        }
        low += if at > low + half { half + 1 } else { 0 };
        wide = half;
    }
    let pretended = tree_hash(&nodes, 0, width);
    let mut info = ground.info.clone();
    replace(&mut info, &real, &pretended);
    let tbs = info[4..info.len() - SIGNATURE].to_vec();
    sign_end(&mut info, ground.host, "GroupInfoTBS", &tbs);
    let tree: Vec<u8> = nodes
        .iter()
        .flat_map(|node| optional(node.as_deref()))
        .collect();
    ((info, vector(&tree)), Told { pretended, real })
}

/// An external Commit with one more proposal, signed with it; what its confirmation tag confirms is
/// the Commit before.
fn signed_with(commit: &[u8], info: &[u8], key: &LeafKey, proposal: &[u8]) -> Vec<u8> {
    // The message ends with the tag, a length and 32 bytes; no membership tag, from outside.
    let (content, ending) = commit.split_at(commit.len() - SIGNATURE - 33);
    let mut read = Reader(&content[4..]);
    read.vector();
    read.take(8 + 1);
    read.vector();
    read.take(1);
    let head = content.len() - read.0.len();
    let proposals = [read.vector(), proposal].concat();
    let content = [&content[..head], &vector(&proposals), read.0].concat();
    let tbs = [&content[..], &Context::of(info).bytes].concat();
    let mut signed = [&content[..], &ending[..SIGNATURE]].concat();
    sign_end(&mut signed, key, "FramedContentTBS", &tbs);
    signed.extend(&ending[SIGNATURE..]);
    signed
}

/// A signature and its length.
const SIGNATURE: usize = 2 + 64;

/// Signs `tbs` (RFC 9420, section 5.1.2) in place of the signature that `signed` ends with.
fn sign_end(signed: &mut Vec<u8>, key: &LeafKey, label: &str, tbs: &[u8]) {
    let label = format!("MLS 1.0 {label}");
    let payload = [vector(label.as_bytes()), vector(tbs)].concat();
    signed.truncate(signed.len() - 64);
    signed.extend(key.sign(&payload));
}

fn count(bytes: &[u8], what: &[u8; 32]) -> usize {
    bytes.windows(32).filter(|some| some == what).count()
}

fn replace(bytes: &mut [u8], what: &[u8; 32], with: &[u8; 32]) {
    while let Some(at) = bytes.windows(32).position(|some| some == what) {
        bytes[at..at + 32].copy_from_slice(with);
    }
}

/// Bytes of which the first are read next.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    /// A vector with its length before it (RFC 9420, section 2.1.2).
    fn vector(&mut self) -> &'a [u8] {
        let bytes = 1 << (self.0[0] >> 6);
        let length = self.take(bytes).iter().enumerate();
        let length = length.fold(0, |sum, (at, byte)| {
            let byte = if at == 0 { byte & 0x3f } else { *byte };
            (sum << 8) | usize::from(byte)
        });
        self.take(length)
    }
}

fn vector(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    let head = match length {
        0..=0x3f => length.to_be_bytes()[3..].to_vec(),
        0x40..=0x3fff => (length | 0x4000).to_be_bytes()[2..].to_vec(),
        _ => (length | 0x8000_0000).to_be_bytes().to_vec(),
    };
    [head, bytes.to_vec()].concat()
}

fn optional(bytes: Option<&[u8]>) -> Vec<u8> {
    bytes.map_or_else(|| vec![0], |bytes| [&[1], bytes].concat())
}

/// The GroupContext in a GroupInfo.
struct Context {
    bytes: Vec<u8>,
    group_id: Vec<u8>,
    tree_hash: [u8; 32],
}

impl Context {
    fn of(info: &[u8]) -> Self {
        let begin = &info[4..];
        let mut read = Reader(begin);
        read.take(4);
        let group_id = read.vector().to_vec();
        read.take(8);
        let tree_hash = read.vector().try_into().unwrap();
        read.vector();
        read.vector();
        Self {
            bytes: begin[..begin.len() - read.0.len()].to_vec(),
            group_id,
            tree_hash,
        }
    }
}

/// Passes over the fields of a LeafNode up to its source (RFC 9420, section 7.2), which it answers.
fn source_of(leaf: &[u8]) -> u8 {
    up_to_source(&mut Reader(leaf))
}

fn up_to_source(read: &mut Reader<'_>) -> u8 {
    read.vector();
    read.vector();
    read.take(2);
    for _identity_and_capabilities in 0..6 {
        read.vector();
    }
    read.take(1)[0]
}

/// The nodes of a tree, each with its kind.
fn nodes_of(tree: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut read = Reader(Reader(tree).vector());
    let mut nodes = Vec::new();
    while !read.0.is_empty() {
        if read.take(1) == [0] {
            nodes.push(None);
            continue;
        }
        let begin = read.0;
        if read.take(1) == [1] {
            match up_to_source(&mut read) {
                1 => drop(read.take(16)),
                3 => drop(read.vector()),
                _ => {}
            }
            read.vector();
            read.vector();
        } else {
            for _key_hash_and_unmerged in 0..3 {
                read.vector();
            }
        }
        nodes.push(Some(begin[..begin.len() - read.0.len()].to_vec()));
    }
    nodes
}

/// RFC 9420, section 7.8; both suites hash with SHA-256.
fn tree_hash(nodes: &[Option<Vec<u8>>], low: usize, wide: usize) -> [u8; 32] {
    let node_at = |at: usize| {
        let node = nodes.get(at).and_then(Option::as_deref);
        optional(node.map(|node| &node[1..]))
    };
    let input = if wide == 1 {
        let index = u32::try_from(low / 2).unwrap();
        [&[1][..], &index.to_be_bytes(), &node_at(low)].concat()
    } else {
        let half = wide / 2;
        let (left, right) = (
            tree_hash(nodes, low, half),
            tree_hash(nodes, low + half + 1, half),
        );
        let node = node_at(low + half);
        [&[2][..], &node, &vector(&left), &vector(&right)].concat()
    };
    sha2::Sha256::digest(input).into()
}
