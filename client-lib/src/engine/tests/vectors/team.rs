//! What supporters of a desk share.

use super::samples::{Sample, log, sample};
use crate::content::{ContentBody, Draft, FloorSaid, MessageId, Proposed, Release, SendBack};
use crate::desk::{
    Again, AuditExport, AuditHash, AuditHead, AuditRecord, AuditWhat, Chain, DeskKeys, Exported,
    Helped, OpeningKey, OrganisationKey, Rated, Rating, RatingLetter, SignedKeys, Tally,
    badge_samples,
};
use crate::mls::{LeafId, Suite};
use sotto_protocol::cbor;
use sotto_protocol::id::LogId;

/// What a facilitator says of it.
pub(super) fn body() -> (&'static str, ContentBody) {
    ("desk", ContentBody::Desk(Box::new(signed_keys())))
}

/// How a talk is held.
pub(super) fn of_talk() -> Vec<(&'static str, ContentBody)> {
    let (id, leaf) = (MessageId::new([0x1a; 16]), LeafId::new([0x37; 32]));
    let floor = |turn, frozen| {
        ContentBody::Floor(FloorSaid {
            turn,
            frozen,
            stopped: frozen.then_some(leaf).into_iter().collect(),
        })
    };
    let proposed = Proposed {
        text: "we greet each other".into(),
        told: None,
        follow_up: Some(20_794),
    };
    // The samples' messages have this id.
    let (said_again, named) = proposed.clone().named(MessageId::new([0x19; 16]));
    let text = || "hello".to_owned();
    let release = |text| ContentBody::Release(Box::new(Release { of: id, text }));
    vec![
        ("until", ContentBody::Until(29_923_245)),
        ("closes", ContentBody::Closes(29_923_245)),
        ("floor, open", floor(None, false)),
        ("floor, a turn", floor(Some(leaf), false)),
        ("floor, stopped and said again", floor(None, true)),
        ("stop", ContentBody::Stop),
        ("go on", ContentBody::GoOn),
        ("agreement", ContentBody::Agreement(Box::new(proposed))),
        (
            "agreement, said again",
            ContentBody::Agreement(Box::new(said_again)),
        ),
        ("agree", ContentBody::Agree(named)),
        (
            "draft",
            ContentBody::Draft(Box::new(Draft { id, text: text() })),
        ),
        ("release", release(None)),
        ("release, in other words", release(Some(text()))),
        (
            "send back",
            ContentBody::SendBack(Box::new(SendBack {
                of: id,
                note: text(),
            })),
        ),
    ]
}

const RATING: Rating = Rating {
    again: Again::Maybe,
    early: false,
    helped: Helped::Partly,
};

/// What lies among a desk's letters and is none.
pub(super) fn rating() -> Sample {
    let letter = RatingLetter { rating: RATING };
    sample("desk.json", "RatingLetter", "rating", &letter, |bytes| {
        cbor::decode::<RatingLetter>(bytes).is_ok()
    })
}

/// What the team hears of it.
pub(super) fn rated() -> (&'static str, ContentBody) {
    let rated = |seq| Rated {
        seq,
        rating: RATING,
    };
    ("rated", ContentBody::Rated(vec![rated(41), rated(43)]))
}

/// Records of a desk, one of each kind, each behind the one before.
fn chain() -> Vec<AuditRecord> {
    let organisation = OrganisationKey::from_seed(&badge_samples::ORGANISATION).id();
    let start = AuditHash::start(&organisation, 0);
    let mut chain = Chain {
        desk: 0,
        last: (0, start),
    };
    let mut little = Tally::default();
    little.answered = 12;
    little.left = 4;
    let mut much = little;
    for helped in [Helped::Yes, Helped::Partly, Helped::No] {
        for (at, again) in [Again::Yes, Again::Maybe, Again::No]
            .into_iter()
            .enumerate()
        {
            for _ in 0..5 {
                let early = at == 0;
                much.rate(Rating {
                    again,
                    early,
                    helped,
                });
            }
        }
    }
    let whats = [
        AuditWhat::Gone(1),
        AuditWhat::Period(little.shown(20_779, 20_785)),
        AuditWhat::Period(much.shown(20_786, 20_792)),
        AuditWhat::Exported(Exported::Numbers),
        AuditWhat::Exported(Exported::Audit),
    ];
    let records = whats.map(|what| chain.next(20_793, what).unwrap());
    records.into()
}

/// The same, for the file.
pub(super) fn records() -> Vec<Sample> {
    let names = [
        "record of who is gone",
        "record of a period",
        "record of a period, with all answers",
        "record of numbers taken out",
        "record of records taken out",
    ];
    let takes = |bytes: &[u8]| cbor::decode::<AuditRecord>(bytes).is_ok();
    let all = names.into_iter().zip(chain());
    all.map(|(name, record)| sample("desk.json", "AuditRecord", name, &record, takes))
        .collect()
}

/// What the team hears of these.
pub(super) fn audited() -> (&'static str, ContentBody) {
    let organisation = OrganisationKey::from_seed(&badge_samples::ORGANISATION);
    let last = chain().pop().unwrap();
    let head = AuditHead::sign(&organisation, &last);
    ("audited", ContentBody::Audited(head))
}

#[test]
fn the_records_of_the_vectors_are_a_chain_that_the_organisation_signed() {
    let (_, ContentBody::Audited(head)) = audited() else {
        panic!("a head")
    };
    let export = AuditExport {
        organisation: OrganisationKey::from_seed(&badge_samples::ORGANISATION).id(),
        desk: 0,
        records: chain(),
        head,
    };
    export.check().unwrap();
}

/// What is signed in it.
pub(super) fn keys() -> [Sample; 2] {
    let limited = DeskKeys {
        minutes: Some(45),
        ..desk_keys()
    };
    [
        ("desk, signed", desk_keys()),
        ("desk with a limit, signed", limited),
    ]
    .map(|(name, keys)| {
        sample("content.json", "DeskKeys", name, &keys, |bytes| {
            cbor::decode::<DeskKeys>(bytes).is_ok_and(|keys| keys.is_within_limits())
        })
    })
}

fn desk_keys() -> DeskKeys {
    DeskKeys {
        desk: 0,
        claim: [0x32; 32],
        queue: LogId::new([0x33; 32]),
        suite: Suite::Hybrid,
        number: 2,
        letters: LogId::new([0x34; 32]),
        minutes: None,
        openings: vec![OpeningKey([0x35; 32]), OpeningKey([0x36; 32])],
        chats_each: 2,
        organisation: OrganisationKey::from_seed(&badge_samples::ORGANISATION).id(),
    }
}

fn signed_keys() -> SignedKeys {
    let organisation = OrganisationKey::from_seed(&badge_samples::ORGANISATION);
    SignedKeys::sign(&organisation, &log(), &desk_keys()).unwrap()
}

/// What stands in the file is signed as the page says.
#[test]
fn the_desks_keys_of_the_vectors_are_signed_for_their_room() {
    assert!(signed_keys().open(&log()) == Some(desk_keys()));
}
