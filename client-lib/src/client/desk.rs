//! Reading a desk's card, by its address or by the words of a poster. SPEC.md, "Desks".
//!
//! A card is believed if the organisation that the address names signed it, for the relay that
//! handed it out, and if this client has seen no later one. Its number is all that is kept of a
//! visit.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::timeout;
use x25519_dalek::StaticSecret;

use super::errand::Errand;
use super::{Client, on_disk};
use crate::desk::{Card, CardKeys, DeskAddress, DeskFingerprint, DeskState, DeskWords, Reading};
use crate::engine::{decode_kept, encode_kept};
use crate::error::{Error, ErrorKind, Result};
use crate::link::{RelayAddress, url_of_host};
use crate::random;
use crate::vault::{Batch, Key, Row, Space};

/// The name of the one value in the space of visited desks.
const NAME: &[u8] = b"desks";
/// How long one visit may take: a card of 16 KiB over a thin line.
const VISIT_MAX: Duration = Duration::from_secs(60);
/// A card that was read is not read again for so long.
const FRESH_MS: u64 = 60_000;
/// Desks whose last card's number is kept; the one visited longest ago goes first.
const DESKS_MAX: usize = 64;

/// A desk as it was found: its card, and the address that leads there.
#[derive(Clone)]
pub struct Visit {
    pub(crate) address: DeskAddress,
    pub(crate) card: Card,
    /// What opens the card's log.
    pub(crate) keys: CardKeys,
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Visit(…)")
    }
}

impl Visit {
    /// What the desk says of itself.
    #[must_use]
    pub const fn card(&self) -> &Card {
        &self.card
    }

    /// The desk's address, with the identity of its relay: the whole one, also after a visit by
    /// words.
    #[must_use]
    pub const fn address(&self) -> &DeskAddress {
        &self.address
    }

    /// How the desk stands by its card alone; whether it is full its queue says.
    #[must_use]
    pub fn state(&self, now_ms: u64) -> DeskState {
        self.card.state(now_ms)
    }
}

/// Why a card is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Doubt {
    #[error("no card there is signed by the desk's organisation")]
    Signature,
    #[error("the card is older than one that was read before")]
    Older,
    #[error("the card is for another relay")]
    Relay,
}

fn not_the_desk(doubt: Doubt) -> Error {
    Error::new(
        ErrorKind::NotTheDesk,
        "this is not the desk whose address you have: do not write here; get the address again \
         from where you had it",
    )
    .because(doubt)
}

/// What a client knows of desks.
#[derive(Default)]
pub(super) struct Seat(Mutex<Desks>);

#[derive(Default)]
struct Desks {
    space: Option<Space>,
    /// Visited longest ago first.
    seen: Vec<Seen>,
    /// Of this run only: keys, which take a second to make, and the last card.
    fresh: BTreeMap<DeskFingerprint, Fresh>,
}

/// The last card of a desk that this client believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    desk: DeskFingerprint,
    number: u64,
}

struct Fresh {
    keys: CardKeys,
    visit: Visit,
    at_ms: u64,
}

/// Where a desk is looked for.
enum Place {
    /// At this relay and no other.
    Relay(RelayAddress),
    /// At whatever relay answers here.
    Url(String),
}

impl Place {
    fn is_of(&self, visit: &Visit) -> bool {
        match self {
            Self::Relay(relay) => *relay == visit.address.relay,
            Self::Url(url) => {
                let known = visit.address.relay.url.trim_end_matches('/');
                url.trim_end_matches('/') == known
            }
        }
    }
}

impl Seat {
    /// Takes a space of the vault if it is that of visited desks.
    pub(super) async fn load(&self, space: Space, rows: &[Row]) -> Result<bool> {
        let Some((_, value)) = rows.iter().find(|(name, _)| name == NAME) else {
            return Ok(false);
        };
        let mut desks = self.0.lock().await;
        desks.seen = decode_kept(value)?;
        desks.space = Some(space);
        Ok(true)
    }

    /// In memory only.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = Desks::default();
    }
}

impl Desks {
    fn refuses(&self, desk: DeskFingerprint, number: u64) -> bool {
        self.seen
            .iter()
            .any(|seen| seen.desk == desk && seen.number > number)
    }

    /// The desks with this one as the last; nothing if it is so already.
    fn with(&self, desk: DeskFingerprint, number: u64) -> Option<Vec<Seen>> {
        let seen = Seen { desk, number };
        if self.seen.last() == Some(&seen) {
            return None;
        }
        let mut all: Vec<_> = self.seen.clone();
        all.retain(|one| one.desk != desk);
        all.push(seen);
        let surplus = all.len().saturating_sub(DESKS_MAX);
        all.drain(..surplus);
        Some(all)
    }

    /// Keeps a visit for a while, and not more of them than desks.
    fn keep(&mut self, desk: DeskFingerprint, fresh: Fresh) {
        self.fresh.insert(desk, fresh);
        if self.fresh.len() > DESKS_MAX {
            let oldest = self.fresh.iter().min_by_key(|(_, one)| one.at_ms);
            if let Some(oldest) = oldest.map(|(desk, _)| *desk) {
                self.fresh.remove(&oldest);
            }
        }
    }
}

impl Client {
    /// Reads the card of a desk. Within a minute of the last time it is the same one, without a
    /// connection.
    ///
    /// # Errors
    /// [`ErrorKind::NotTheDesk`] if what is there is not this desk's card, or an older one: show the
    /// error's text and let nobody write there. [`ErrorKind::Refused`] if there is no card;
    /// [`ErrorKind::NotTheRelay`], [`ErrorKind::Unreachable`] and what else a connection may fail
    /// with; the vault's kinds.
    ///
    /// # Cancel safety
    /// Cancel safe: what was read may be remembered.
    pub async fn visit(&self, address: &DeskAddress) -> Result<Visit> {
        let place = Place::Relay(address.relay.clone());
        self.visit_at(address.fingerprint(), place).await
    }

    /// The same by the words of a poster and the name of the relay's host (or its URL). Whichever
    /// relay answers there is believed to be the desk's if the desk's own card says so;
    /// [`Visit::address`] then names it, for good.
    ///
    /// # Errors
    /// As of [`Client::visit`]; [`ErrorKind::Address`] if `host` is none.
    ///
    /// # Cancel safety
    /// Cancel safe: what was read may be remembered.
    pub async fn visit_by_words(&self, words: &DeskWords, host: &str) -> Result<Visit> {
        let url = url_of_host(host).map_err(|bad| {
            let what = "this is not the name of a relay's host";
            Error::new(ErrorKind::Address, what).because(bad)
        })?;
        self.visit_at(words.0, Place::Url(url)).await
    }

    /// Forgets which desks were visited, here and on the disk.
    ///
    /// # Errors
    /// The vault's kinds.
    ///
    /// # Cancel safety
    /// Cancelled, they may or may not be forgotten.
    pub async fn forget_desks(&self) -> Result<()> {
        let mut desks = self.0.desks.0.lock().await;
        if let Some(space) = desks.space {
            let mut batch = Batch::default();
            batch.erase(space);
            let vault = self.0.vault.clone();
            on_disk(move || vault.with(|vault| vault.apply(&batch))).await?;
        }
        *desks = Desks::default();
        Ok(())
    }

    async fn visit_at(&self, desk: DeskFingerprint, place: Place) -> Result<Visit> {
        let now_ms = self.0.clock.now().steady_ms;
        let known = match self.0.desks.0.lock().await.fresh.get(&desk) {
            Some(fresh)
                if now_ms.saturating_sub(fresh.at_ms) < FRESH_MS && place.is_of(&fresh.visit) =>
            {
                return Ok(fresh.visit.clone());
            }
            Some(fresh) => Some(fresh.keys.clone()),
            None => None,
        };
        let keys = match known {
            Some(keys) => keys,
            None => on_disk(move || CardKeys::of(desk)).await?,
        };
        let visit = timeout(VISIT_MAX, self.read_card(&keys, place)).await;
        let visit = visit.unwrap_or_else(|_| {
            let what = "the relay took too long";
            Err(Error::new(ErrorKind::Unreachable, what))
        })?;
        self.remember(keys, &visit).await?;
        Ok(visit)
    }

    async fn read_card(&self, keys: &CardKeys, place: Place) -> Result<Visit> {
        let (dialer, clock) = (&*self.0.dialer, &self.0.clock);
        let (mut errand, url) = match place {
            Place::Relay(relay) => (Errand::begin(dialer, clock, &relay).await?, relay.url),
            Place::Url(url) => {
                let errand = Errand::begin_anywhere(dialer, clock, url.clone()).await?;
                (errand, url)
            }
        };
        let nothing = || {
            let what = "no desk has its card under this address on this relay";
            Error::new(ErrorKind::Refused, what)
        };
        let read = StaticSecret::from(keys.read);
        let opened = errand.open(keys.log, read).await?;
        opened.ok_or_else(nothing)?;
        let entries = errand.read(keys.log).await?;
        let identity = errand.relay();
        let card = match Card::newest(keys, entries.iter().map(|entry| entry.sealed.as_slice())) {
            Reading::Card(card) => *card,
            Reading::Nothing => return Err(nothing()),
            Reading::Foreign => return Err(not_the_desk(Doubt::Signature)),
        };
        if card.relay != identity {
            return Err(not_the_desk(Doubt::Relay));
        }
        let relay = RelayAddress { url, identity };
        let address = DeskAddress::new(relay, card.organisation, card.desk);
        let keys = keys.clone();
        Ok(Visit {
            address,
            card,
            keys,
        })
    }

    /// Believes a card if it is no older than the last one, and keeps its number.
    async fn remember(&self, keys: CardKeys, visit: &Visit) -> Result<()> {
        let (desk, number) = (keys.fingerprint, visit.card.number);
        let mut desks = self.0.desks.0.lock().await;
        if desks.refuses(desk, number) {
            return Err(not_the_desk(Doubt::Older));
        }
        if let Some(seen) = desks.with(desk, number) {
            let space = match desks.space {
                Some(space) => space,
                None => Space(random::array().map_err(|none| {
                    Error::new(ErrorKind::Internal, "the system gave no randomness").because(none)
                })?),
            };
            let mut batch = Batch::default();
            batch.put(Key::new(space, NAME), encode_kept(&seen)?);
            let vault = self.0.vault.clone();
            on_disk(move || vault.with(|vault| vault.apply(&batch))).await?;
            desks.seen = seen;
            desks.space = Some(space);
        }
        let fresh = Fresh {
            keys,
            visit: visit.clone(),
            at_ms: self.0.clock.now().steady_ms,
        };
        desks.keep(desk, fresh);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::OrganisationId;

    fn desk(number: u8) -> DeskFingerprint {
        DeskFingerprint::of(&OrganisationId::new([1; 32]), number)
    }

    #[test]
    fn numbers_of_so_many_desks_are_kept_and_the_one_visited_longest_ago_goes() {
        let mut desks = Desks::default();
        let most = u8::try_from(DESKS_MAX).unwrap();
        for number in 0..most {
            desks.seen = desks.with(desk(number), 5).unwrap();
        }
        assert!(desks.refuses(desk(0), 4) && !desks.refuses(desk(0), 5));
        assert!(!desks.refuses(desk(most), 0));
        // Visited again, the first is the last to go.
        desks.seen = desks.with(desk(0), 6).unwrap();
        assert_eq!(desks.with(desk(0), 6), None, "nothing to write");
        desks.seen = desks.with(desk(most), 5).unwrap();
        assert_eq!(desks.seen.len(), DESKS_MAX);
        assert!(desks.refuses(desk(0), 5));
        assert!(!desks.refuses(desk(1), 0), "it went");
        assert!(desks.refuses(desk(2), 4));
    }
}
