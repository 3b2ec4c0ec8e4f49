//! What a dispute may bring back, and what is followed from outside meanwhile: kept in the vault with
//! everything else that an entry changed, so that a restart at any point of a dispute goes on from
//! there. Nothing here decides what counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dispute::{Dispute, Disputes};
use super::joining::Joining;
use super::saved::{self, ByteString, Digest};
use super::{Engine, group_id, internal};
use crate::error::{Error, ErrorKind, Result};
use crate::mls::{Follower, Group, LeafId, Values};
use crate::vault::{Key, Row};

/// A group's values as they are encoded.
pub(super) type Packed = Vec<(ByteString, ByteString)>;

pub(super) fn pack(values: Values) -> Packed {
    values
        .into_iter()
        .map(|(key, value)| (ByteString(key), ByteString(value)))
        .collect()
}

pub(super) fn unpack(packed: Packed) -> Values {
    packed
        .into_iter()
        .map(|(key, value)| (key.0, value.0))
        .collect()
}

/// What brings back the state before a Commit.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Before {
    /// We never left it, since the Commit did not open for us.
    Here,
    /// We were a member, and took the Commit.
    Member(Box<Aside>),
    /// We looked on from outside.
    Outside(Box<View>),
}

/// A member's state.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Aside {
    values: Packed,
    closed_below: u64,
    is_rotated: bool,
    is_old: bool,
    voids: Vec<Digest>,
    false_info_by: Option<LeafId>,
}

/// What somebody sees of an epoch from outside.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct View {
    pub(super) values: Packed,
    /// A GroupInfo to come in by.
    pub(super) info: Option<ByteString>,
    pub(super) voids: Vec<Digest>,
}

macro_rules! debug_says_no_more {
    ($($name:ident),*) => {$(
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}
debug_says_no_more!(Before, Aside, View);

/// What stands in the vault of all this.
#[derive(Debug, Default)]
pub(super) struct Kept {
    open: BTreeMap<u64, Dispute>,
    /// The encoded [`Joining`], if its follower stands there too.
    outside: Option<Vec<u8>>,
}

impl Kept {
    /// The state before this Commit changed and must be written anew.
    pub(super) fn forget(&mut self, seq: u64) {
        self.open.remove(&seq);
    }
}

/// Rows of a vault as they are read, until they are whole.
#[derive(Default)]
pub(super) struct Loading {
    open: BTreeMap<u64, Dispute>,
    asides: BTreeMap<u64, Before>,
    outside: Option<Joining>,
    encoded: Vec<u8>,
    followed: Option<Values>,
}

impl Loading {
    /// Takes a row if it is of this kind.
    pub(super) fn take(&mut self, (name, value): &Row) -> Result<bool> {
        if let Some(seq) = saved::numbered(name, saved::OPEN) {
            self.open.insert(seq, saved::decode(value)?);
        } else if let Some(seq) = saved::numbered(name, saved::ASIDE) {
            self.asides.insert(seq, saved::decode(value)?);
        } else if name == saved::OUTSIDE {
            self.outside = Some(saved::decode(value)?);
            self.encoded.clone_from(value);
        } else if name == saved::FOLLOWED {
            self.followed = Some(unpack(saved::decode(value)?));
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Gives the engine what was kept.
    pub(super) fn finish(mut self, engine: &mut Engine) -> Result<()> {
        engine.kept.open = self.open.clone();
        let mut disputes = Vec::new();
        for (seq, dispute) in self.open {
            let before = self.asides.remove(&seq).ok_or_else(damaged)?;
            disputes.push((dispute, before));
        }
        engine.disputes = Disputes::kept(disputes);
        if let Some(mut joining) = self.outside {
            let values = self.followed.ok_or_else(damaged)?;
            let gid = group_id(&engine.saved.log);
            joining.resume(Follower::load(values, &gid)?);
            engine.joining = Some(joining);
            engine.kept.outside = Some(self.encoded);
        }
        Ok(())
    }
}

fn damaged() -> Error {
    Error::new(
        ErrorKind::VaultDamaged,
        "a conversation without a part of its state",
    )
}

impl Engine {
    /// The present state, for going back to it.
    pub(super) fn aside(&self) -> Result<Aside> {
        let group = self
            .group
            .as_ref()
            .ok_or_else(|| internal("a Commit without a group"))?;
        Ok(Aside {
            values: pack(group.values()?),
            closed_below: self.saved.closed_below,
            is_rotated: self.saved.is_rotated,
            is_old: self.saved.is_old,
            voids: self.saved.voids.clone(),
            false_info_by: self.saved.false_info_by,
        })
    }

    /// Takes a state that was put aside.
    pub(super) fn restore(&mut self, aside: Aside) -> Result<()> {
        let restored = Group::load(unpack(aside.values), &group_id(&self.saved.log))?;
        let group = self
            .group
            .as_mut()
            .ok_or_else(|| internal("a Commit without a group"))?;
        group.replace_with(restored);
        self.policy = crate::policy::Policy::parse(&group.policy()).ok();
        self.saved.closed_below = aside.closed_below;
        self.saved.is_rotated = aside.is_rotated;
        self.saved.is_old = aside.is_old;
        self.saved.voids = aside.voids;
        self.saved.false_info_by = aside.false_info_by;
        // How the talk is held may have been said in the epoch that is undone, and was not read by all.
        self.saved.roster_due |= self.facilitates();
        self.doubt_agreement();
        Ok(())
    }

    /// Puts into the batch what changed of open Commits and of what is followed from outside.
    pub(super) fn keep_disputes(&mut self) -> Result<()> {
        let decided: Vec<u64> = self
            .kept
            .open
            .keys()
            .copied()
            .filter(|seq| self.disputes.find(*seq).is_none())
            .collect();
        for seq in decided {
            self.kept.open.remove(&seq);
            self.delete_row(&saved::number_name(saved::OPEN, seq));
            self.delete_row(&saved::number_name(saved::ASIDE, seq));
        }
        let mut rows = Vec::new();
        for (dispute, before) in self.disputes.iter() {
            let seq = dispute.seq;
            let known = self.kept.open.get(&seq);
            if known == Some(dispute) {
                continue;
            }
            if known.is_none() {
                rows.push((
                    saved::number_name(saved::ASIDE, seq),
                    saved::encode(before)?,
                ));
            }
            rows.push((
                saved::number_name(saved::OPEN, seq),
                saved::encode(dispute)?,
            ));
            self.kept.open.insert(seq, dispute.clone());
        }
        self.keep_outside(&mut rows)?;
        for (name, value) in rows {
            self.out.store.put(Key::new(self.space, name), value);
        }
        Ok(())
    }

    fn keep_outside(&mut self, rows: &mut Vec<Row>) -> Result<()> {
        let Some(joining) = self.joining.as_mut().filter(|joining| joining.follows()) else {
            if self.kept.outside.take().is_some() {
                self.delete_row(saved::OUTSIDE);
                self.delete_row(saved::FOLLOWED);
            }
            return Ok(());
        };
        let encoded = saved::encode(&*joining)?;
        if let Some(values) = joining.take_changed(self.kept.outside.is_none())? {
            rows.push((saved::FOLLOWED.to_vec(), saved::encode(&pack(values))?));
        }
        if self.kept.outside.as_ref() != Some(&encoded) {
            rows.push((saved::OUTSIDE.to_vec(), encoded.clone()));
            self.kept.outside = Some(encoded);
        }
        Ok(())
    }

    /// Everything of this goes; the conversation is over for us.
    pub(super) fn forget_disputes(&mut self) {
        self.disputes = Disputes::default();
        self.joining = None;
        for seq in core::mem::take(&mut self.kept.open).into_keys() {
            self.delete_row(&saved::number_name(saved::OPEN, seq));
            self.delete_row(&saved::number_name(saved::ASIDE, seq));
        }
        if self.kept.outside.take().is_some() {
            self.delete_row(saved::OUTSIDE);
            self.delete_row(saved::FOLLOWED);
        }
    }
}
