//! A group we are a member of: Commits staged, met and merged, messages sealed and opened.

use std::mem;

use openmls::group::{
    JoinBuilder, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProcessedWelcome, StagedCommit,
};
use openmls::prelude::{
    GroupContext, GroupId, KeyPackage, KeyPackageBuilder, LeafNodeIndex, LeafNodeParameters,
    MlsMessageOut, PreSharedKeyProposal, ProcessedMessageContent, Sender,
    SenderRatchetConfiguration,
};
use openmls_traits::OpenMlsProvider;
use tls_codec::Serialize as _;
use zeroize::Zeroizing;

use super::codec::{
    self, bytes_of, context_extensions, credential, fixed, leaf_extensions, protocol_message,
    store_psk,
};
use super::facts::facts_of;
use super::follower::days_of;
use super::provider::{Provider, State, Values};
use super::{Facts, LeafId, LeafKey, MlsError, PAST_EPOCHS, POLICY_EXTENSION, Suite, capabilities};

/// Exporter label of the member key (RFC 9420, section 8.5); the context is the log id.
const MEMBER_KEY_LABEL: &str = "sotto/v1/member";
/// Exporter label of the key that a rotation's new secret is boxed under.
const ROTATE_KEY_LABEL: &str = "sotto/v1/rotate";
/// Messages of one sender that may be missing or out of order before one is refused.
const OUT_OF_ORDER_TOLERANCE: u32 = 64;
/// How far ahead of the last one a sender's message may be.
const FORWARD_DISTANCE_MAX: u32 = 2_000;

/// A member's view of a group.
#[derive(Debug)]
pub(crate) struct Group {
    provider: Provider,
    saved: Values,
    group: MlsGroup,
}

/// What a Commit of ours should do.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// KeyPackages (`MLSMessage` bytes) to add.
    pub(crate) add: Vec<Vec<u8>>,
    pub(crate) remove: Vec<LeafId>,
    /// New bytes of the policy extension.
    pub(crate) policy: Option<Vec<u8>>,
    /// Signed with the Commit.
    pub(crate) aad: Vec<u8>,
    /// Today, UTC, for our own leaf.
    pub(crate) day: u32,
}

/// A Commit of ours that is not merged yet.
#[derive(Debug)]
pub(crate) struct StagedOut {
    /// `MLSMessage` bytes of the PublicMessage.
    pub(crate) commit: Vec<u8>,
    /// `MLSMessage` bytes of the Welcome, if it adds anybody.
    pub(crate) welcome: Option<Vec<u8>>,
    /// GroupInfo of the new epoch (`MLSMessage` bytes), without its tree.
    pub(crate) info: Vec<u8>,
    /// The new epoch's tree (`ratchet_tree`, RFC 9420, section 12.4.3.3).
    pub(crate) tree: Vec<u8>,
    /// Secret member key of the new epoch (X25519).
    pub(crate) member_key: Zeroizing<[u8; 32]>,
    /// Key for the box of a rotation's new secret.
    pub(crate) rotate_key: Zeroizing<[u8; 32]>,
}

/// A join of ours by external Commit, in a scratch store until it stands in the log.
#[derive(Debug)]
pub(crate) struct ExternalJoin {
    pub(crate) group: Group,
    pub(crate) out: StagedOut,
}

/// A message that was opened but not applied.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// An application message.
    Message {
        author: LeafId,
        epoch: u64,
        content: Vec<u8>,
    },
    /// Our own application message; its content is in the outbox.
    Own,
    /// A Commit of somebody else.
    Commit(Box<Staged>),
    /// The Commit that we have pending.
    OwnCommit,
}

/// A checked Commit of somebody else.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Whether it removes us.
    pub(crate) removes_us: bool,
    staged: StagedCommit,
}

impl Group {
    /// A new group with us as its only leaf.
    pub(crate) fn create(
        suite: Suite,
        group_id: &[u8],
        key: &LeafKey,
        policy: &[u8],
        day: u32,
    ) -> Result<Self, MlsError> {
        let provider = Provider::new(Values::new())?;
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(suite.ciphersuite())
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .max_past_epochs(PAST_EPOCHS)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(
                OUT_OF_ORDER_TOLERANCE,
                FORWARD_DISTANCE_MAX,
            ))
            .capabilities(capabilities())
            .lifetime(codec::unending())
            .with_group_context_extensions(context_extensions(policy)?)
            .with_leaf_node_extensions(leaf_extensions(day)?)
            .map_err(|_| MlsError::Internal)?
            .use_ratchet_tree_extension(false)
            .build();
        let group = MlsGroup::new_with_group_id(
            &provider,
            key,
            &config,
            GroupId::from_slice(group_id),
            credential(key),
        )
        .map_err(|_| MlsError::Internal)?;
        Ok(Self {
            provider,
            saved: Values::new(),
            group,
        })
    }

    /// The group as it was saved.
    pub(crate) fn load(values: Values, group_id: &[u8]) -> Result<Self, MlsError> {
        let provider = Provider::new(values.clone())?;
        let group = MlsGroup::load(provider.storage(), &GroupId::from_slice(group_id))
            .map_err(|_| MlsError::Internal)?
            .ok_or(MlsError::Internal)?;
        Ok(Self {
            provider,
            saved: values,
            group,
        })
    }

    /// What must be saved since the last call.
    pub(crate) fn changes(&mut self) -> Result<State, MlsError> {
        self.provider.changes(&mut self.saved)
    }

    /// The same group as if nothing of it had been saved, so that [`Group::changes`] gives all of it.
    pub(crate) fn unsaved(self) -> Self {
        Self {
            saved: Values::new(),
            ..self
        }
    }

    /// Whether a GroupInfo (`MLSMessage` bytes) is what `key`'s owner would say of the present epoch:
    /// same context, same external key, and a signature that holds.
    pub(crate) fn info_is_true(&self, info: &[u8], key: &LeafKey) -> bool {
        let own = self.group_info(key).and_then(|own| codec::group_info(&own));
        let (Ok(own), Ok(theirs), Ok(tree)) = (own, codec::group_info(info), self.tree()) else {
            return false;
        };
        own.group_context() == theirs.group_context()
            && own.extensions().external_pub() == theirs.extensions().external_pub()
            && super::Follower::start(info, &tree).is_ok()
    }

    /// Everything that [`Group::load`] needs; for keeping an epoch aside.
    pub(crate) fn values(&self) -> Result<Values, MlsError> {
        self.provider.values()
    }

    /// The names under which [`Group::changes`] had values saved.
    pub(crate) fn saved_names(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.saved.keys()
    }

    /// Takes another state of the same group (an epoch kept aside, an adopted join), so that the
    /// next [`Group::changes`] turns what is saved into it.
    pub(crate) fn replace_with(&mut self, other: Self) {
        let saved = mem::take(&mut self.saved);
        *self = Self { saved, ..other };
    }

    pub(crate) fn suite(&self) -> Suite {
        Suite::of(self.group.ciphersuite()).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &[u8] {
        self.group.group_id().as_slice()
    }

    pub(super) fn is_in(&self, context: &GroupContext) -> bool {
        self.group.public_group().group_context() == context
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.group.epoch().as_u64()
    }

    /// The first 8 bytes of the epoch authenticator (RFC 9420, section 8.7).
    pub(crate) fn authenticator(&self) -> [u8; 8] {
        let bytes = self.group.epoch_authenticator().as_slice();
        bytes.first_chunk().copied().unwrap_or_default()
    }

    pub(crate) fn leaves(&self) -> Vec<LeafId> {
        self.days().into_iter().map(|(leaf, _)| leaf).collect()
    }

    /// All leaves in the order of the tree, each with the day on which its keys were made.
    pub(crate) fn days(&self) -> Vec<(LeafId, u32)> {
        days_of(self.group.public_group())
    }

    pub(crate) fn policy(&self) -> Vec<u8> {
        self.group
            .extensions()
            .unknown(POLICY_EXTENSION)
            .map(|extension| extension.0.clone())
            .unwrap_or_default()
    }

    pub(crate) fn member_key(&self, log: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, MlsError> {
        let secret = self
            .group
            .export_secret(self.provider.crypto(), MEMBER_KEY_LABEL, log, 32)
            .map_err(|_| MlsError::Internal)?;
        fixed(secret)
    }

    pub(crate) fn rotate_key(&self, log: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, MlsError> {
        let secret = self
            .group
            .export_secret(self.provider.crypto(), ROTATE_KEY_LABEL, log, 32)
            .map_err(|_| MlsError::Internal)?;
        fixed(secret)
    }

    /// Makes a PSK known, so that Commits which mix it in can be opened.
    pub(crate) fn store_psk(&self, id: &[u8], secret: &[u8; 32]) -> Result<(), MlsError> {
        store_psk(&self.provider, self.group.ciphersuite(), id, secret).map(drop)
    }

    pub(crate) fn has_pending_commit(&self) -> bool {
        self.group.pending_commit().is_some()
    }

    /// Seals an application message (`MLSMessage` bytes of the PrivateMessage).
    pub(crate) fn encrypt(&mut self, key: &LeafKey, content: &[u8]) -> Result<Vec<u8>, MlsError> {
        let message = self
            .group
            .create_message(&self.provider, key, content)
            .map_err(|_| MlsError::State)?;
        bytes_of(&message)
    }

    /// GroupInfo of the present epoch, without its tree.
    pub(crate) fn group_info(&self, key: &LeafKey) -> Result<Vec<u8>, MlsError> {
        let info = self
            .group
            .export_group_info(self.provider.crypto(), key, false)
            .map_err(|_| MlsError::Internal)?;
        bytes_of(&info)
    }

    /// The present epoch's tree.
    pub(crate) fn tree(&self) -> Result<Vec<u8>, MlsError> {
        self.group
            .export_ratchet_tree()
            .tls_serialize_detached()
            .map_err(|_| MlsError::Internal)
    }

    /// Builds a Commit and keeps it pending.
    pub(crate) fn stage(
        &mut self,
        key: &LeafKey,
        plan: &Plan,
        log: &[u8; 32],
    ) -> Result<StagedOut, MlsError> {
        let add = plan
            .add
            .iter()
            .map(|bytes| codec::key_package(&self.provider, self.group.ciphersuite(), bytes))
            .collect::<Result<Vec<_>, _>>()?;
        let members: Vec<_> = self.group.members().collect();
        let remove: Vec<_> = members
            .iter()
            .filter(|member| {
                plan.remove
                    .iter()
                    .any(|leaf| leaf.as_bytes()[..] == member.signature_key)
            })
            .map(|member| member.index)
            .collect();
        self.group.set_aad(plan.aad.clone());
        let mut builder = self
            .group
            .commit_builder()
            .force_self_update(true)
            .leaf_node_parameters(leaf_parameters(plan.day)?)
            .propose_adds(add)
            .propose_removals(remove);
        if let Some(policy) = &plan.policy {
            builder = builder
                .propose_group_context_extensions(context_extensions(policy)?)
                .map_err(|_| MlsError::Unacceptable)?;
        }
        let bundle = builder
            .load_psks(self.provider.storage())
            .map_err(|_| MlsError::State)?
            .create_group_info(true)
            .build(self.provider.rand(), self.provider.crypto(), key, |_| true)
            .map_err(|_| MlsError::State)?
            .stage_commit(&self.provider)
            .map_err(|_| MlsError::State)?;
        let pending = self.group.pending_commit().ok_or(MlsError::Internal)?;
        let crypto = self.provider.crypto();
        let member_key = pending
            .export_secret(crypto, MEMBER_KEY_LABEL, log, 32)
            .map_err(|_| MlsError::Internal)?;
        let rotate_key = pending
            .export_secret(crypto, ROTATE_KEY_LABEL, log, 32)
            .map_err(|_| MlsError::Internal)?;
        let tree = pending
            .export_ratchet_tree(crypto, self.group.export_ratchet_tree())
            .map_err(|_| MlsError::Internal)?
            .ok_or(MlsError::Internal)?;
        let (commit, welcome, info) = bundle.into_messages();
        Ok(StagedOut {
            commit: bytes_of(&commit)?,
            welcome: welcome.as_ref().map(bytes_of).transpose()?,
            info: bytes_of(&info.ok_or(MlsError::Internal)?)?,
            tree: tree
                .tls_serialize_detached()
                .map_err(|_| MlsError::Internal)?,
            member_key: fixed(member_key)?,
            rotate_key: fixed(rotate_key)?,
        })
    }

    /// Our pending Commit stands in the log.
    pub(crate) fn merge_pending(&mut self) -> Result<(), MlsError> {
        self.group
            .merge_pending_commit(&self.provider)
            .map_err(|_| MlsError::Internal)
    }

    /// Our pending Commit lost the race.
    pub(crate) fn drop_pending(&mut self) -> Result<(), MlsError> {
        self.group
            .clear_pending_commit(self.provider.storage())
            .map_err(|_| MlsError::Internal)
    }

    /// The epoch that a message (`MLSMessage` bytes) says it is of; anybody could have written so.
    pub(crate) fn epoch_of(message: &[u8]) -> Result<u64, MlsError> {
        protocol_message(message).map(|message| message.epoch().as_u64())
    }

    /// Opens a message. Application messages move the ratchet; nothing else changes the group.
    pub(crate) fn open(&mut self, message: &[u8]) -> Result<Incoming, MlsError> {
        let message = protocol_message(message)?;
        let processed = self
            .group
            .process_message(&self.provider, message)
            .map_err(|_| MlsError::Unacceptable)?;
        let (sender, epoch) = (processed.sender().clone(), processed.epoch().as_u64());
        // The credential is the author's signature key in every epoch, also in past ones.
        let author = match &sender {
            Sender::Member(_) => LeafId::from_slice(processed.credential().serialized_content()),
            _ => None,
        };
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => Ok(Incoming::Message {
                author: author.ok_or(MlsError::Unacceptable)?,
                epoch,
                content: message.into_bytes(),
            }),
            ProcessedMessageContent::OwnPrivateMessage => Ok(Incoming::Own),
            ProcessedMessageContent::OwnPendingCommit => Ok(Incoming::OwnCommit),
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                Ok(Incoming::Commit(Box::new(Staged {
                    removes_us: staged.self_removed(),
                    staged: *staged,
                })))
            }
            // Whatever changes the group is in the Commit itself: nothing is proposed beside it.
            ProcessedMessageContent::ProposalMessage(_)
            | ProcessedMessageContent::ExternalJoinProposalMessage(_) => {
                Err(MlsError::Unacceptable)
            }
        }
    }

    /// What anyone could check of a Commit, without opening it.
    pub(crate) fn look(&self, message: &[u8]) -> Result<Facts, MlsError> {
        let message = protocol_message(message)?;
        let public = self.group.public_group();
        let processed = public
            .process_message(self.provider.crypto(), message)
            .map_err(|_| MlsError::Unacceptable)?;
        match processed.content() {
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                facts_of(staged, processed.sender(), processed.aad(), |index| {
                    self.leaf_at(index)
                })
            }
            _ => Err(MlsError::Unacceptable),
        }
    }

    /// Takes somebody else's Commit.
    pub(crate) fn merge(&mut self, staged: Staged) -> Result<(), MlsError> {
        self.group
            .merge_staged_commit(&self.provider, staged.staged)
            .map_err(|_| MlsError::Internal)
    }

    /// Makes a KeyPackage in an own store; keep the values until the Welcome comes.
    pub(crate) fn key_package(
        suite: Suite,
        key: &LeafKey,
        day: u32,
    ) -> Result<(Vec<u8>, Values), MlsError> {
        Self::build_package(KeyPackage::builder(), suite, key, day)
    }

    /// The same, marked as one that may be used more than once.
    pub(crate) fn last_resort_package(
        suite: Suite,
        key: &LeafKey,
        day: u32,
    ) -> Result<(Vec<u8>, Values), MlsError> {
        let builder = KeyPackage::builder().mark_as_last_resort();
        Self::build_package(builder, suite, key, day)
    }

    fn build_package(
        builder: KeyPackageBuilder,
        suite: Suite,
        key: &LeafKey,
        day: u32,
    ) -> Result<(Vec<u8>, Values), MlsError> {
        let provider = Provider::new(Values::new())?;
        let bundle = builder
            .leaf_node_capabilities(capabilities())
            .leaf_node_extensions(leaf_extensions(day)?)
            .key_package_lifetime(codec::unending())
            .build(suite.ciphersuite(), &provider, key, credential(key))
            .map_err(|_| MlsError::Internal)?;
        let bytes = bytes_of(&MlsMessageOut::from(bundle.key_package().clone()))?;
        Ok((bytes, provider.values()?))
    }

    /// The leaf that a KeyPackage (`MLSMessage` bytes) would add to this group.
    pub(crate) fn leaf_of(&self, package: &[u8]) -> Result<LeafId, MlsError> {
        let package = codec::key_package(&self.provider, self.group.ciphersuite(), package)?;
        LeafId::from_slice(package.leaf_node().signature_key().as_slice())
            .ok_or(MlsError::Unacceptable)
    }

    /// Joins by a Welcome (`MLSMessage` bytes) and its tree, with the KeyPackage whose values are
    /// given. Also says who signed the Welcome.
    pub(crate) fn from_welcome(
        values: Values,
        welcome: &[u8],
        tree: &[u8],
    ) -> Result<(Self, LeafId), MlsError> {
        let provider = Provider::new(values)?;
        let processed =
            ProcessedWelcome::new_from_welcome(&provider, &join_config(), codec::welcome(welcome)?)
                .map_err(|_| MlsError::Unacceptable)?;
        let staged = JoinBuilder::new(&provider, processed)
            .with_ratchet_tree(codec::tree(tree)?)
            .skip_lifetime_validation()
            .build()
            .map_err(|_| MlsError::Unacceptable)?;
        let by = staged
            .welcome_sender()
            .ok()
            .and_then(|leaf| LeafId::from_slice(leaf.signature_key().as_slice()))
            .ok_or(MlsError::Unacceptable)?;
        let group = staged
            .into_group(&provider)
            .map_err(|_| MlsError::Unacceptable)?;
        codec::policy_alone(group.extensions()).ok_or(MlsError::Unacceptable)?;
        let group = Self {
            provider,
            saved: Values::new(),
            group,
        };
        Ok((group, by))
    }

    /// Joins by an external Commit with the PSK of the present secret.
    pub(crate) fn join(
        key: &LeafKey,
        info: &[u8],
        tree: &[u8],
        psk: (&[u8], &[u8; 32]),
        aad: &[u8],
        log: &[u8; 32],
        day: u32,
    ) -> Result<ExternalJoin, MlsError> {
        let provider = Provider::new(Values::new())?;
        let info = codec::group_info(info)?;
        let suite = Suite::of(info.ciphersuite()).ok_or(MlsError::Unacceptable)?;
        let tree = codec::tree(tree)?;
        let psk = store_psk(&provider, suite.ciphersuite(), psk.0, psk.1)?;
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_ratchet_tree(tree)
            .with_config(join_config())
            .with_aad(aad.to_vec())
            .skip_lifetime_validation()
            .build_group(&provider, info, credential(key))
            .map_err(|_| MlsError::Unacceptable)?
            .add_psk_proposal(PreSharedKeyProposal::new(psk))
            .leaf_node_parameters(leaf_parameters(day)?)
            .load_psks(provider.storage())
            .map_err(|_| MlsError::Internal)?
            .build(provider.rand(), provider.crypto(), key, |_| true)
            .map_err(|_| MlsError::Unacceptable)?
            .finalize(&provider)
            .map_err(|_| MlsError::Internal)?;
        let group = Self {
            provider,
            saved: Values::new(),
            group,
        };
        let (commit, _, _) = bundle.into_messages();
        let out = StagedOut {
            commit: bytes_of(&commit)?,
            welcome: None,
            info: group.group_info(key)?,
            tree: group.tree()?,
            member_key: group.member_key(log)?,
            rotate_key: group.rotate_key(log)?,
        };
        Ok(ExternalJoin { group, out })
    }

    fn leaf_at(&self, index: LeafNodeIndex) -> Option<LeafId> {
        self.group
            .member_at(index)
            .and_then(|member| LeafId::from_slice(&member.signature_key))
    }
}

/// Our own leaf with keys of this day.
pub(super) fn leaf_parameters(day: u32) -> Result<LeafNodeParameters, MlsError> {
    Ok(LeafNodeParameters::builder()
        .with_capabilities(capabilities())
        .with_extensions(leaf_extensions(day)?)
        .build())
}

pub(super) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .max_past_epochs(PAST_EPOCHS)
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(
            OUT_OF_ORDER_TOLERANCE,
            FORWARD_DISTANCE_MAX,
        ))
        .use_ratchet_tree_extension(false)
        .build()
}
