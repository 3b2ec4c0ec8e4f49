//! What a backup holds of a conversation, and what becomes of who came back from one. SPEC.md,
//! "Backup".
//!
//! The line is a value of the conversation's own, written in the batch of whatever changed it: a
//! rotation is never merged without it. Gathering lines and sending them is the client's.

use sha2::{Digest as _, Sha256};
use x25519_dalek::StaticSecret;

use super::saved::{self, Digest, Stage};
use super::{Engine, internal, no_randomness};
use crate::desk::OrganisationId;
use crate::error::Result;
use crate::log::Doubt;
use crate::mls::LeafKey;
use crate::people::BackupLine;
use crate::random;
use crate::time::Now;
use crate::vault::Key;

/// What the line was last made in; anything that changes it begins an epoch or is the name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineOf {
    epoch: u64,
    joined_epoch: u64,
    name: String,
    keeper: Option<[u8; 32]>,
    trusts: Option<OrganisationId>,
}

impl Engine {
    /// Writes the line anew if what it holds has changed.
    pub(super) fn keep_line(&mut self) -> Result<()> {
        let is_member = matches!(
            self.saved.stage,
            Stage::Waiting | Stage::In | Stage::Leaving | Stage::Paused
        );
        let Some(group) = self.group.as_ref().filter(|_| is_member) else {
            return Ok(());
        };
        let of = LineOf {
            epoch: group.epoch(),
            joined_epoch: self.saved.joined_epoch,
            name: self.saved.name.clone(),
            keeper: self.door_keys().map(|keys| keys.keeper),
            trusts: self.badging.trusted_first(),
        };
        if self.line_of.as_ref() == Some(&of) {
            return Ok(());
        }
        let member = *group.member_key(&self.log_bytes())?;
        let policy = group.policy();
        self.line_of = Some(of);
        let made_of = self.line_made_of(&policy)?;
        if self.saved.lined == Some(made_of) {
            return Ok(());
        }
        self.saved.lined = Some(made_of);
        let line = BackupLine {
            log: self.saved.log,
            seq: self.saved.seq,
            door: self.door_link().or_else(|| self.saved.door.clone()),
            name: self.saved.name.clone(),
            seed: self.saved.seed,
            keeps: self.door_keys(),
            relay: self.saved.relay.clone(),
            manage: self.saved.manage,
            member,
            trusts: self.badging.trusted_first(),
            founder: self.root(),
            secrets: self.saved.secrets.clone(),
        };
        self.put_line(&line)
    }

    /// A Commit without a new secret or policy leaves the keys of the epochs before it as they are,
    /// so the line stays good over it.
    fn line_made_of(&self, policy: &[u8]) -> Result<Digest> {
        let mut hash = Sha256::new();
        hash.update(self.newest_secret()?.digest());
        hash.update(self.saved.joined_epoch.to_be_bytes());
        hash.update(Sha256::digest(policy));
        hash.update(self.door_keys().map_or([0; 32], |keys| keys.keeper));
        hash.update(self.saved.name.as_bytes());
        let trusts = self.badging.trusted_first();
        hash.update(trusts.map_or([0; 32], |organisation| *organisation.as_bytes()));
        Ok(Digest(hash.finalize().into()))
    }

    pub(super) fn put_line(&mut self, line: &BackupLine) -> Result<()> {
        let value = sotto_protocol::cbor::encode(line)
            .map_err(|_| internal("a line of a backup cannot be encoded"))?;
        self.out.store.put(Key::new(self.space, saved::LINE), value);
        self.out.backup = true;
        Ok(())
    }

    /// With which keys the log is opened on the way back in. All keys of an `open` must have grants.
    pub(super) fn keys_on_the_way_back(&self) -> Result<Option<Vec<StaticSecret>>> {
        if let Some(group) = &self.group {
            let member = StaticSecret::from(*group.member_key(&self.log_bytes())?);
            return Ok(Some(vec![member]));
        }
        let member = self.saved.way_back.as_ref().map(|way| way.member);
        Ok(member.map(|member| vec![StaticSecret::from(member)]))
    }

    /// A log that ends before what the backup knew of it is not all of the log.
    pub(super) fn notice_shorter_log(&mut self, head: u64) {
        let known = self.saved.way_back.as_ref().map(|way| way.seq);
        if let Some(to) = known.filter(|known| *known > head) {
            self.tell(super::Event::Doubt(Doubt::Withheld { from: head + 1, to }));
        }
    }

    /// The keys of the backup open nothing any more. Whether one can knock instead.
    pub(super) fn is_shut_out(&mut self) -> bool {
        let can_knock = self.saved.way_back.is_some() && self.saved.door.is_some();
        self.beside.must_knock |= can_knock;
        can_knock
    }

    /// Knocks as a newcomer who proves which leaf was theirs.
    pub(super) fn knock_instead(&mut self, now: Now) -> Result<()> {
        if !core::mem::take(&mut self.beside.must_knock) {
            return Ok(());
        }
        let Some(door) = self.saved.door.clone() else {
            return Ok(());
        };
        drop(self.take_flight());
        let log = self.saved.log;
        self.session.close(&log);
        self.forget_disputes();
        self.head = None;
        self.saved.way_back = None;
        let old = core::mem::replace(
            &mut self.saved.seed,
            random::array().map_err(no_randomness)?,
        );
        self.key = LeafKey::from_seed(&self.saved.seed);
        // A new leaf has no name yet.
        self.say_hello_once(now)?;
        self.begin_to_knock(&door, Some(old))?;
        self.start_inbox();
        if self.is_online {
            self.make_inbox(now)?;
        }
        Ok(())
    }
}
