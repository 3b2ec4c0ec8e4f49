//! The pool of a standing inbox: KeyPackages that others take, and their keys. SPEC.md, "Standing
//! inbox".

use core::fmt;

use serde::{Deserialize, Serialize};
use sotto_protocol::frame::{Grant, Item, NewEntry, Policy as LogPolicy};
use sotto_protocol::limits::TTL_FENCED_DAYS_DEFAULT;
use sotto_protocol::proof::public_key;
use sotto_protocol::right::Rights;
use sotto_protocol::size_class::SizeClass;
use x25519_dalek::StaticSecret;

use super::begin::grant;
use super::beside::{Side, TTL_DAYS, item_of};
use super::saved::{self, ByteString, RootKey};
use super::{Engine, internal, no_randomness, retry_id};
use crate::error::Result;
use crate::log::{Ask, NewLog};
use crate::mls::{Group, LeafKey};
use crate::policy::UNDATED;
use crate::random;
use crate::seal::letter::{self, Address, PackageBody, Purpose};
use crate::time::Now;

/// KeyPackages in a full pool: more people than add somebody between two times that they are
/// online, and no more than a phone makes in a blink.
pub(super) const POOL_SIZE: usize = 16;
/// With fewer the pool is filled anew.
pub(super) const POOL_LOW: u64 = 8;
/// Days after which the KeyPackages of the pool are replaced, half their life in it.
pub(super) const POOL_DAYS: u32 = 15;
/// Days for which the keys of a KeyPackage are kept: it may be taken on its last day, and the letter
/// lie in the inbox for as long again.
const PACKAGE_DAYS: u32 = 2 * 30 + 1;
/// Keys kept at once: those of sixteen pools, so that one that is drained all the time ends the
/// oldest ones, and no vault.
pub(super) const PACKAGES_MAX: usize = 16 * (POOL_SIZE + 1);
/// KeyPackages a minute for all who have the address.
const TAKES_PER_MINUTE: u32 = 30;
/// Bytes of a pool: two fillings.
const POOL_BYTES_MAX: u64 = 1 << 20;
/// No KeyPackage is smaller in the pool, so that its suite does not show.
const PACKAGE_FLOOR: SizeClass = SizeClass::K4;

/// The secret half of a KeyPackage that may be in the pool or on its way back in a letter.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptPackage {
    /// Seed of the leaf's signature key: each KeyPackage has its own, so that nothing shows that two
    /// conversations have a member in common.
    #[serde(with = "serde_bytes")]
    pub(super) seed: [u8; 32],
    /// By which a Welcome names the KeyPackage.
    pub(super) reference: ByteString,
    pub(super) values: Vec<(ByteString, ByteString)>,
    pub(super) is_last_resort: bool,
    day: u32,
}

impl fmt::Debug for KeptPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptPackage(…)")
    }
}

impl Engine {
    /// Puts a fresh set of KeyPackages into the pool.
    pub(super) fn send_packages(&mut self, now: Now) -> Result<()> {
        let Some(pool) = self.beside.inbox.as_ref().map(|inbox| inbox.pool) else {
            return Ok(());
        };
        let items = vec![Item {
            entries: self.fill_pool(now)?,
            ..item_of(pool, Vec::new())?
        }];
        let (retry, day) = (retry_id()?, self.session.today(now));
        self.ask_beside(Ask::Append { items, retry, day }, Side::FillPool);
        Ok(())
    }

    /// A fresh set of KeyPackages, the last resort at its end, whose keys are kept from now on.
    pub(super) fn fill_pool(&mut self, now: Now) -> Result<Vec<NewEntry<'static>>> {
        let today = self.session.today(now);
        self.forget_old_packages(today);
        let suite = self.saved.suite;
        let Some(inbox) = &mut self.beside.inbox else {
            return Ok(Vec::new());
        };
        let (pool, opening) = (inbox.pool, public_key(&StaticSecret::from(inbox.opening)));
        let to = Address {
            purpose: Purpose::Package,
            log: &pool,
            key: &opening,
        };
        let mut entries: Vec<NewEntry<'static>> = Vec::new();
        let mut made = Vec::new();
        for index in 0..=POOL_SIZE {
            let is_last_resort = index == POOL_SIZE;
            let seed: [u8; 32] = random::array().map_err(no_randomness)?;
            let leaf = LeafKey::from_seed(&seed);
            let (package, values) = if is_last_resort {
                Group::last_resort_package(suite, &leaf, UNDATED)?
            } else {
                Group::key_package(suite, &leaf, UNDATED)?
            };
            let body = PackageBody::sign(&self.key, &pool, &package);
            let body = sotto_protocol::cbor::encode(&body)
                .map_err(|_| internal("a KeyPackage cannot be encoded"))?;
            let sealed = letter::write(to, &body, PACKAGE_FLOOR)
                .map_err(|_| internal("a KeyPackage could not be sealed"))?;
            for mut entry in item_of(pool, sealed)?.entries {
                entry.last_resort = is_last_resort;
                entries.push(entry);
            }
            let values = values.into_iter();
            let kept = KeptPackage {
                seed,
                reference: ByteString(Group::reference_of(suite, &package)?),
                values: values
                    .map(|(key, value)| (ByteString(key), ByteString(value)))
                    .collect(),
                is_last_resort,
                day: today,
            };
            made.push((inbox.next, kept));
            inbox.next += 1;
        }
        for (number, kept) in made {
            self.keep_beside(&saved::number_name(saved::PACKAGE, number), &kept)?;
            self.beside.packages.insert(number, kept);
        }
        self.keep_inbox()?;
        Ok(entries)
    }

    fn forget_old_packages(&mut self, today: u32) {
        let room = PACKAGES_MAX - (POOL_SIZE + 1);
        let too_many = self.beside.packages.len().saturating_sub(room);
        let packages = self.beside.packages.iter().enumerate();
        let old: Vec<_> = packages
            .filter(|(index, (_, kept))| {
                *index < too_many || today > kept.day.saturating_add(PACKAGE_DAYS)
            })
            .map(|(_, (number, _))| *number)
            .collect();
        for number in old {
            self.forget_package(number);
        }
    }

    pub(super) fn forget_package(&mut self, number: u64) {
        self.beside.packages.remove(&number);
        self.delete_row(&saved::number_name(saved::PACKAGE, number));
        self.out.scrub = true;
    }
}

/// A log that one key fills, counts and trims, and another takes from.
pub(super) fn new_pool(root: &RootKey, own: &[u8; 32], take: &[u8; 32]) -> NewLog {
    let rights = Rights::APPEND.union(Rights::TRIM).union(Rights::MANAGE);
    let grants: Vec<Grant> = vec![
        grant(&StaticSecret::from(*own), rights),
        Grant {
            rate: Some(TAKES_PER_MINUTE),
            ..grant(&StaticSecret::from(*take), Rights::TAKE)
        },
    ];
    NewLog {
        root: StaticSecret::from(root.key),
        grants,
        policy: LogPolicy {
            ttl_days: TTL_DAYS,
            bytes_max: POOL_BYTES_MAX,
            admit_rights: Rights::NONE,
            ttl_fenced_days: TTL_FENCED_DAYS_DEFAULT,
        },
        ticket: None,
        retry: root.retry,
        day: root.day,
    }
}
