//! What a card may hold, who is believed, and what an address leads to.

use proptest::prelude::*;
use sotto_protocol::cbor;
use sotto_protocol::id::Signature;
use sotto_protocol::size_class::SizeClass;

use super::*;
use crate::desk::card::SignedCard;
use crate::error::ErrorKind;
use crate::link::BadLink;
use crate::people::{BadWords, ReturnWords};
use crate::seal::seal_box;

fn sealed(card: &Card) -> Vec<u8> {
    card.seal(&organisation(), &keys()).unwrap()
}

fn newest(entries: &[Vec<u8>]) -> Reading {
    Card::newest(&keys(), entries.iter().map(Vec::as_slice))
}

fn found(card: Card) -> Reading {
    Reading::Card(Box::new(card))
}

fn numbered(number: u64) -> Card {
    Card { number, ..card() }
}

type Change = fn(&mut Card);

/// Everything as long as it may be.
fn fullest() -> Card {
    let many = |count, bytes| vec!["x".repeat(bytes); count];
    let mut hours = Hours::new("America/Argentina/ComodRivadavia").unwrap();
    for _ in 0..DESK_SLOTS_MAX {
        hours = hours.weekly("sun 23:00-22:59".parse().unwrap()).unwrap();
    }
    for _ in 0..DESK_DATES_MAX {
        hours = hours.closed_on("9999-12-31".parse().unwrap()).unwrap();
        let opening = "9999-12-31 23:00-22:59".parse().unwrap();
        hours = hours.also(opening).unwrap();
    }
    let resource = Resource {
        how: "h".repeat(256),
        name: "n".repeat(DESK_TOPIC_BYTES_MAX),
    };
    Card {
        desk: 7,
        name: "n".repeat(DESK_NAME_BYTES_MAX),
        hours,
        until: u32::MAX,
        number: u64::MAX,
        topics: many(DESK_TOPICS_MAX, DESK_TOPIC_BYTES_MAX),
        minutes: u32::MAX,
        capacity: u32::MAX,
        languages: many(DESK_TOPICS_MAX, DESK_TOPIC_BYTES_MAX),
        resources: vec![resource; DESK_RESOURCES_MAX],
        been_there: many(DESK_TOPICS_MAX, DESK_TOPIC_BYTES_MAX),
        chats_each: u8::MAX,
        confidentiality: Confidentiality {
            words: "w".repeat(DESK_TERMS_BYTES_MAX),
            version: u32::MAX,
        },
        ..card()
    }
}

#[test]
fn the_fullest_card_fits_an_entry_and_a_short_one_looks_like_most() {
    assert_eq!(sealed(&fullest()).len(), SizeClass::K16.bytes());
    assert_eq!(newest(&[sealed(&fullest())]), found(fullest()));
    for card in [card(), short_card()] {
        assert_eq!(sealed(&card).len(), SizeClass::K4.bytes());
        assert_eq!(newest(&[sealed(&card)]), found(card));
    }
}

#[test]
fn a_card_may_be_as_long_as_its_limits_and_no_longer() {
    let longer: [(&str, Change); 10] = [
        ("name", |card| card.name.push('n')),
        ("topics", |card| card.topics.push("x".into())),
        ("topic", |card| card.topics[0].push('x')),
        ("languages", |card| card.languages.push("x".into())),
        ("been there", |card| card.been_there.push("x".into())),
        ("terms", |card| card.confidentiality.words.push('w')),
        ("resources", |card| {
            let more = card.resources[0].clone();
            card.resources.push(more);
        }),
        ("way", |card| card.resources[0].how.push('h')),
        ("resource", |card| card.resources[0].name.push('n')),
        ("no name", |card| card.name = " ".into()),
    ];
    assert!(fullest().is_sound());
    for (what, change) in longer {
        let mut card = fullest();
        change(&mut card);
        assert!(!card.is_sound(), "{what}");
        let refused = card.seal(&organisation(), &keys()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{what}");
        // Nor is it read if somebody else made it.
        let bytes = cbor::encode(&card).unwrap();
        assert_eq!(
            newest(&[signed_by(&organisation(), bytes)]),
            Reading::Foreign
        );
    }
    for text in ["a\u{202e}b", "a\u{7}b", "a\nb"] {
        let mut card = card();
        card.name = text.into();
        assert!(!card.is_sound());
    }
}

fn signed_by(key: &OrganisationKey, card: Vec<u8>) -> Vec<u8> {
    use sha2::Digest as _;
    let keys = keys();
    let digest: [u8; 32] = sha2::Sha256::digest(&card).into();
    let said = [b"sotto/v1/card".as_slice(), keys.log.as_bytes(), &digest].concat();
    let signed = SignedCard {
        card: card.into(),
        signature: Signature::new(key.sign(&said)),
    };
    boxed(&cbor::encode(&signed).unwrap())
}

fn boxed(packet: &[u8]) -> Vec<u8> {
    let keys = keys();
    let ad = [b"sotto/v1/card".as_slice(), keys.log.as_bytes()].concat();
    let mut draw = |bytes: &mut [u8]| crate::random::fill(bytes);
    seal_box(&keys.seal, &ad, packet, SizeClass::K4, &mut draw).unwrap()
}

#[test]
fn the_highest_number_counts_wherever_it_stands() {
    let entries = [2, 5, 4].map(|number| sealed(&numbered(number)));
    assert_eq!(newest(&entries), found(numbered(5)));
    let renamed = Card {
        name: "Later".into(),
        ..numbered(5)
    };
    let twice = [sealed(&numbered(5)), sealed(&renamed), sealed(&numbered(1))];
    assert_eq!(newest(&twice), found(renamed));
}

#[test]
fn nobody_but_the_organisation_makes_a_card() {
    let stranger = OrganisationKey::from_seed(&[9; 32]);
    // Another organisation's card, well signed by that.
    let theirs = Card {
        organisation: stranger.id(),
        number: 9,
        ..card()
    };
    // This one's, signed by another key.
    let forged = signed_by(&stranger, cbor::encode(&numbered(9)).unwrap());
    let theirs = signed_by(&stranger, cbor::encode(&theirs).unwrap());
    // Another desk's of the same organisation.
    let other = Card {
        desk: 8,
        number: 9,
        ..card()
    };
    let other = signed_by(&organisation(), cbor::encode(&other).unwrap());
    // A card whose number was raised under a signature that held before.
    let opened = open_for_vectors(&sealed(&card()));
    let SignedCard { signature, .. } = cbor::decode(&opened).unwrap();
    let raised = SignedCard {
        card: cbor::encode(&numbered(9)).unwrap().into(),
        signature,
    };
    let raised = boxed(&cbor::encode(&raised).unwrap());
    let junk = vec![0; SizeClass::K4.bytes()];
    let all = [theirs, forged, other, raised, junk];
    for (at, one) in all.iter().enumerate() {
        assert_eq!(newest(core::slice::from_ref(one)), Reading::Foreign, "{at}");
        let both = [one.clone(), sealed(&card()), one.clone()];
        assert_eq!(newest(&both), found(card()), "{at}");
    }
    assert_eq!(newest(&[]), Reading::Nothing);
    // What is signed for one log is nothing in another.
    let elsewhere = CardKeys::of_master(keys().fingerprint, &[0x43; 32]);
    let entry = sealed(&card());
    let moved = Card::newest(&elsewhere, [entry.as_slice()]);
    assert_eq!(moved, Reading::Foreign);
}

#[test]
fn a_team_seals_only_its_own_desks_card() {
    let stranger = OrganisationKey::from_seed(&[9; 32]);
    let other = Card { desk: 8, ..card() };
    for refused in [
        card().seal(&stranger, &keys()),
        other.seal(&organisation(), &keys()),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn a_state_is_never_an_error_and_leaves_choices() {
    let at = |day: u64, minute: u64| day * 86_400_000 + minute * 60_000;
    // 2026-11-30 is a Monday; Berlin is an hour ahead of UTC.
    let monday = 20_787;
    let card = card();
    let says = |now| card.says(card.state(now), now);
    let state = |now| card.state(now).name();
    let evening = at(monday, 18 * 60);
    assert_eq!(state(evening), "open");
    assert_eq!(says(evening), "open; ends at 22:00 (Europe/Berlin)");
    let late = at(monday, 20 * 60 + 31);
    assert_eq!(says(late), "ends at 22:00 (Europe/Berlin)");
    // Half an hour is the edge.
    assert_eq!(state(at(monday, 20 * 60 + 30)), "open");
    assert_eq!(state(late), "ends_soon");
    let night = at(monday, 21 * 60);
    assert_eq!(
        says(night),
        "closed; opens on Saturday at 22:00 (Europe/Berlin)"
    );
    // What the card says holds on its last day and not beyond.
    assert_ne!(state(at(20_900, 24 * 60 - 1)), "stale");
    assert_eq!(state(at(20_901, 0)), "stale");
    let never = short_card().state(evening);
    assert_eq!(never, DeskState::Closed { opens_ms: None });
    assert_eq!(
        short_card().says(never, evening),
        "closed; when it opens is not known"
    );
    let full = card.state(evening).if_full(true);
    assert_eq!((full.name(), full.is_open()), ("full", false));
    assert_eq!(card.state(night).if_full(true).name(), "closed");
    for state in [
        card.state(evening),
        card.state(late),
        card.state(night),
        DeskState::Full,
        DeskState::Stale,
    ] {
        assert!(state.choices().contains(&Choice::Resources));
        assert!(state.choices().contains(&Choice::OtherDesk));
        assert_eq!(state.is_open(), state.choices().contains(&Choice::Ask));
        assert!(!card.says(state, evening).is_empty());
    }
}

#[test]
fn an_address_survives_copying_and_nothing_less() {
    let text = address().to_string();
    assert_eq!(text.parse(), Ok(address()));
    for end in 0..text.len() {
        assert_eq!(text[..end].parse::<DeskAddress>(), Err(BadLink), "{end}");
    }
    let mut beyond = address();
    beyond.relay.url = "ws://relay.example/".into();
    assert_eq!(beyond.to_string().parse::<DeskAddress>(), Err(BadLink));
    assert_eq!(format!("{:?}", address()), "DeskAddress(…)");
}

#[test]
fn the_words_of_a_poster_are_read_as_people_type_them_and_are_no_return_words() {
    let words = address().words();
    let text = words.to_string();
    assert_eq!(text.to_uppercase().replace(' ', "-").parse(), Ok(words));
    assert!(text.parse::<ReturnWords>().is_err());
    let mut typed = words.words().map(str::to_owned);
    typed[4] = "xqzzzk".into();
    let Err(BadWords::Unknown(unknown)) = typed.join(" ").parse::<DeskWords>() else {
        panic!("taken")
    };
    assert_eq!(unknown[0].place, 5);
    assert_eq!(format!("{words:?}"), "DeskWords(…)");
}

#[test]
fn every_desk_has_a_place_of_its_own_and_link_and_words_lead_there() {
    let fingerprint = address().fingerprint();
    let typed: DeskWords = address().words().to_string().parse().unwrap();
    assert_eq!(typed.0, fingerprint);
    let others = [
        DeskAddress::new(address().relay, organisation().id(), 8),
        DeskAddress::new(address().relay, OrganisationId::new([1; 32]), 7),
    ];
    for other in others {
        assert_ne!(other.fingerprint(), fingerprint);
    }
    let keys = CardKeys::of(fingerprint).unwrap();
    let again = CardKeys::of(typed.0).unwrap();
    assert_eq!(keys, again);
    assert_eq!(
        format!("{keys:?} {:?}", organisation()),
        "CardKeys(…) OrganisationKey(…)"
    );
}

prop_compose! {
    fn any_card()(
        number: u64,
        minutes: u32,
        capacity: u32,
        chats_each: u8,
        until: u32,
        name in "[a-zà-ÿ ]{0,40}x",
        topics in prop::collection::vec("[a-z]{1,24}", 0..24),
        words in "[a-zA-Z\n]{0,2000}x",
        slots in prop::collection::vec((0..7_usize, 0..1_440_u16, 0..1_440_u16), 0..42),
        dates in prop::collection::vec(0..30_000_u32, 0..64),
    ) -> Card {
        let mut hours = Hours::new("Asia/Kathmandu").unwrap();
        for (day, from, until) in slots {
            let day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][day];
            let (from, until) = ((from / 60, from % 60), (until / 60, until % 60));
            let slot = format!("{day} {:02}:{:02}-{:02}:{:02}", from.0, from.1, until.0, until.1);
            hours = hours.weekly(slot.parse().unwrap()).unwrap();
        }
        for date in dates {
            hours = hours.closed_on(DeskDate::of_days(date).unwrap()).unwrap();
        }
        Card {
            name, number, minutes, capacity, chats_each, until, hours,
            languages: topics.clone(),
            topics,
            confidentiality: Confidentiality { words, version: minutes },
            ..card()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sealed_opens_and_a_changed_byte_does_not(
        card in any_card(), at: prop::sample::Index, bit in 0..8_u8,
    ) {
        let mut entry = sealed(&card);
        prop_assert_eq!(newest(core::slice::from_ref(&entry)), found(card));
        let at = at.index(entry.len());
        entry[at] ^= 1 << bit;
        prop_assert_eq!(newest(&[entry]), Reading::Foreign);
    }

    #[test]
    fn no_bytes_are_a_panic(bytes: Vec<u8>) {
        prop_assert_eq!(newest(core::slice::from_ref(&bytes)), Reading::Foreign);
        let packet = &bytes[..bytes.len().min(4_000)];
        prop_assert_eq!(newest(&[boxed(packet)]), Reading::Foreign);
    }

    #[test]
    fn no_text_is_a_panic(text: String) {
        let _ = text.parse::<DeskAddress>();
        let _ = text.parse::<DeskWords>();
        let _ = format!("sotto-desk:1:{text}").parse::<DeskAddress>();
    }
}
