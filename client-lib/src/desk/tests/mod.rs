//! A desk's card, hours and address, without a relay.

mod card;
mod hours;

use sotto_protocol::id::{LogId, PublicKey, RelayIdentity};

use super::*;
use crate::mls::Suite;

pub(crate) const ORGANISATION_SEED: [u8; 32] = [0x41; 32];

pub(crate) const NONCE: u8 = 0x44;

pub(crate) fn organisation() -> OrganisationKey {
    OrganisationKey::from_seed(&ORGANISATION_SEED)
}

/// Argon2id's time is spent once.
pub(crate) fn keys() -> CardKeys {
    static KEYS: std::sync::LazyLock<CardKeys> = std::sync::LazyLock::new(|| {
        let fingerprint = DeskFingerprint::of(&organisation().id(), 7);
        CardKeys::of(fingerprint).unwrap()
    });
    KEYS.clone()
}

pub(crate) fn queue(byte: u8) -> QueueKeys {
    QueueKeys {
        log: LogId::new([byte; 32]),
        append: [byte + 1; 32],
    }
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

/// Open on Mondays and over the night to Sunday; with everything that a card can hold.
pub(crate) fn card() -> Card {
    let hours = Hours::new("Europe/Berlin")
        .and_then(|hours| hours.weekly("mon 18:00-22:00".parse()?))
        .and_then(|hours| hours.weekly("sat 22:00-02:00".parse()?))
        .and_then(|hours| hours.closed_on("2026-12-28".parse()?))
        .and_then(|hours| hours.also("2026-12-24 10:00-12:00".parse()?));
    Card {
        desk: 7,
        name: "Night line".into(),
        pace: Some(DeskPace {
            at: 1_805_000_000,
            low: 65_024,
            each: 90_000,
            high: 68_608,
        }),
        hours: hours.unwrap(),
        queue: queue(0x50),
        relay: RelayIdentity::new([0x54; 32]),
        suite: Suite::Hybrid,
        until: 20_900,
        number: 3,
        topics: texts(&["grief", "bullying"]),
        letters: queue(0x52),
        minutes: 45,
        sealing: PublicKey::new([0x55; 32]),
        capacity: 20,
        languages: texts(&["de", "en"]),
        resources: vec![Resource {
            how: "112".into(),
            name: "Emergency".into(),
        }],
        been_there: texts(&["lost a brother"]),
        chats_each: 2,
        organisation: organisation().id(),
        confidentiality: Confidentiality {
            words: "We tell nobody.\nUnless a life is in danger.".into(),
            version: 1,
        },
    }
}

/// The same, with little in it.
pub(crate) fn short_card() -> Card {
    Card {
        name: "A".into(),
        pace: None,
        hours: Hours::new("UTC").unwrap(),
        suite: Suite::Classic,
        topics: Vec::new(),
        minutes: 0,
        languages: Vec::new(),
        resources: Vec::new(),
        been_there: Vec::new(),
        ..card()
    }
}

pub(crate) fn address() -> DeskAddress {
    let relay = crate::link::RelayAddress {
        url: "wss://relay.example/".into(),
        identity: RelayIdentity::new([0x54; 32]),
    };
    DeskAddress::new(relay, organisation().id(), 7)
}

/// The entry of [`card`], with a nonce that is given.
pub(crate) fn entry() -> Vec<u8> {
    let mut draw = |out: &mut [u8]| {
        out.fill(NONCE);
        Ok(())
    };
    let sealed = card().seal_drawing(&organisation(), &keys(), &mut draw);
    sealed.unwrap()
}

/// The packet of such an entry: a signed card.
pub(crate) fn open_for_vectors(sealed: &[u8]) -> Vec<u8> {
    let keys = keys();
    let ad = [b"sotto/v1/card".as_slice(), keys.log.as_bytes()].concat();
    crate::seal::open_box(&keys.seal, &ad, sealed).unwrap()
}
