//! What a badge is worth, to whom, and what two of one person have in common.

use super::*;
use crate::desk::DESK_TOPICS_MAX;
use crate::error::ErrorKind;

/// A Monday.
const MONDAY: u32 = 20_059;
const SUNDAY: u32 = MONDAY + 6;
const NOW: u64 = MONDAY as u64 * DAY_MS + 9 * 60 * 60_000;
const LOG: LogId = LogId::new([7; 32]);
const LEAF: LeafId = LeafId::new([8; 32]);

fn organisation() -> OrganisationKey {
    OrganisationKey::from_seed(&[1; 32])
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&one| one.to_owned()).collect()
}

fn attributes() -> BadgeAttributes {
    BadgeAttributes {
        role: "listener".into(),
        training: words(&["suicide prevention"]),
        languages: words(&["en", "pt"]),
        been_there: words(&["widowed", "depression"]),
    }
}

fn list() -> BadgeList {
    BadgeList {
        roles: words(&["listener", "leader"]),
        training: words(&["suicide prevention"]),
        languages: words(&["en", "pt", "ar"]),
        been_there: words(&["widowed", "depression"]),
    }
}

fn batch(wallet: &mut Wallet, count: usize) -> BadgeBatch {
    let requests = wallet.ask(count).unwrap();
    let issued = requests.issue(&organisation(), &attributes(), &list(), (SUNDAY, NOW));
    issued.unwrap()
}

/// A badge as its holder keeps it.
fn held() -> HeldBadge {
    let mut wallet = Wallet::default();
    let batch = batch(&mut wallet, 1);
    assert_eq!(wallet.import(&batch), 1);
    wallet.take(&organisation().id(), NOW).unwrap()
}

fn read(shown: &ShownBadge) -> Result<Known, NoBadge> {
    shown.read(&[organisation().id()], &LOG, &LEAF)
}

fn checked(more: &[Issued], said_ms: u64) -> Checked {
    let list = RevokedList::next(&organisation(), None, more.iter().copied(), said_ms).unwrap();
    Checked::newer(organisation().id(), &list, None, said_ms).unwrap()
}

#[test]
fn a_badge_says_what_its_organisation_vouches_for_and_no_name() {
    let known = read(&held().show(&LOG, &LEAF)).unwrap();
    let list = checked(&[], NOW);
    let badge = known.badge(known.state(false, Some(&list), NOW));
    assert_eq!(badge.attributes, attributes());
    assert_eq!(badge.organisation, organisation().id());
    assert_eq!((badge.day, badge.state), (SUNDAY, BadgeState::Valid));
}

#[test]
fn a_badge_that_no_trusted_organisation_signed_is_none() {
    let shown = held().show(&LOG, &LEAF);
    let other = OrganisationKey::from_seed(&[2; 32]).id();
    assert_eq!(shown.read(&[other], &LOG, &LEAF), Err(NoBadge::Foreign));
    assert_eq!(shown.read(&[], &LOG, &LEAF), Err(NoBadge::Foreign));
    assert!(
        shown
            .read(&[other, organisation().id()], &LOG, &LEAF)
            .is_ok()
    );
    let mut forged = shown;
    let mut body = cbor::decode::<BadgeBody>(&forged.badge).unwrap();
    body.of.role = "leader".into();
    forged.badge = cbor::encode(&body).unwrap();
    assert_eq!(read(&forged), Err(NoBadge::Foreign));
}

#[test]
fn a_badge_that_was_shown_elsewhere_or_by_another_member_is_none() {
    let held = held();
    let elsewhere = held.show(&LogId::new([9; 32]), &LEAF);
    assert_eq!(read(&elsewhere), Err(NoBadge::Stolen));
    let by_another = held.show(&LOG, &LeafId::new([9; 32]));
    assert_eq!(read(&by_another), Err(NoBadge::Stolen));
    // Who saw it shown has the badge, but not its key.
    let mut replayed = held.show(&LOG, &LEAF);
    let thief = LeafKey::from_seed(&[3; 32]);
    replayed.shown = Signature::new(thief.sign(&shown(&LOG, &thief.id())));
    let trusted = [organisation().id()];
    assert_eq!(
        replayed.read(&trusted, &LOG, &thief.id()),
        Err(NoBadge::Stolen)
    );
}

#[test]
fn a_badge_that_is_cut_or_extended_is_none() {
    let shown = held().show(&LOG, &LEAF);
    let whole = shown.badge.clone();
    for end in 0..whole.len() {
        let mut cut = shown.clone();
        cut.badge.truncate(end);
        assert_eq!(read(&cut), Err(NoBadge::Nonsense), "cut at {end}");
    }
    let mut longer = shown.clone();
    longer.badge.push(0);
    assert_eq!(read(&longer), Err(NoBadge::Nonsense));
    let on_the_wire = cbor::encode(&shown).unwrap();
    for end in 0..on_the_wire.len() {
        assert!(cbor::decode::<ShownBadge>(&on_the_wire[..end]).is_err());
    }
    for at in 0..whole.len() {
        let mut bent = shown.clone();
        bent.badge[at] ^= 1;
        assert!(read(&bent).is_err(), "bent at {at}");
    }
}

#[test]
fn a_badge_is_good_until_the_end_of_its_sunday_and_not_longer() {
    let known = read(&held().show(&LOG, &LEAF)).unwrap();
    let state = |now_ms: u64| known.state(false, Some(&checked(&[], now_ms)), now_ms);
    let monday_after = (u64::from(SUNDAY) + 1) * DAY_MS;
    assert_eq!(state(monday_after - 1), BadgeState::Valid);
    assert_eq!(state(monday_after), BadgeState::Expired);
}

/// A clock that is two weeks slow, or an organisation that does not keep to the rule.
#[test]
fn a_badge_that_would_be_good_for_longer_than_two_weeks_cannot_be_checked() {
    let known = read(&held().show(&LOG, &LEAF)).unwrap();
    let state = |days_before: u32| {
        let now_ms = u64::from(SUNDAY - days_before) * DAY_MS;
        known.state(false, Some(&checked(&[], now_ms)), now_ms)
    };
    assert_eq!(state(BADGE_DAYS_MAX), BadgeState::Valid);
    assert_eq!(state(BADGE_DAYS_MAX + 1), BadgeState::CannotCheck);
}

#[test]
fn a_revoked_badge_is_known_by_the_organisations_word_or_its_list() {
    let known = read(&held().show(&LOG, &LEAF)).unwrap();
    let fresh = checked(&[], NOW);
    assert_eq!(known.state(true, Some(&fresh), NOW), BadgeState::Revoked);
    let (id, day) = (known.id, SUNDAY);
    let listed = checked(&[Issued { id, day }], NOW);
    assert_eq!(known.state(false, Some(&listed), NOW), BadgeState::Revoked);
    // And stays so when nothing more is heard.
    let later = NOW + 3 * DAY_MS;
    assert_eq!(
        known.state(false, Some(&listed), later),
        BadgeState::Revoked
    );
    let said = Revocation::new(&organisation(), id);
    assert!(said.is_signed_by(&organisation().id()));
    let forger = OrganisationKey::from_seed(&[2; 32]);
    assert!(!Revocation::new(&forger, id).is_signed_by(&organisation().id()));
    let mut of_another = said;
    of_another.key = BadgeId::new([4; 32]);
    assert!(!of_another.is_signed_by(&organisation().id()));
}

#[test]
fn who_hears_nothing_of_what_is_revoked_for_a_day_cannot_check() {
    let known = read(&held().show(&LOG, &LEAF)).unwrap();
    assert_eq!(known.state(false, None, NOW), BadgeState::CannotCheck);
    let list = checked(&[], NOW);
    let at = |now_ms| known.state(false, Some(&list), now_ms);
    let said_ms = NOW / 60_000 * 60_000;
    assert_eq!(at(said_ms + CHECKED_MS), BadgeState::Valid);
    assert_eq!(at(said_ms + CHECKED_MS + 1), BadgeState::CannotCheck);
}

#[test]
fn an_old_list_said_again_and_a_list_of_the_future_give_no_time() {
    let key = organisation();
    let old = RevokedList::next(&key, None, [], NOW).unwrap();
    let newer = |list: &RevokedList, known: Option<&Checked>, now_ms| {
        Checked::newer(key.id(), list, known, now_ms)
    };
    let known = newer(&old, None, NOW).unwrap();
    assert!(newer(&old, Some(&known), NOW + DAY_MS).is_none());
    let next = RevokedList::next(&key, Some(&old), [], NOW).unwrap();
    assert!(newer(&next, Some(&known), NOW).is_some());
    let of_the_future = RevokedList::next(&key, None, [], NOW + 9 * DAY_MS).unwrap();
    assert_eq!(newer(&of_the_future, None, NOW).unwrap().at_ms, NOW);
    let forger = OrganisationKey::from_seed(&[2; 32]);
    let forged = RevokedList::next(&forger, None, [], NOW).unwrap();
    assert!(newer(&forged, None, NOW).is_none());
}

/// The longest run of bytes that two strings have in common.
fn common(one: &[u8], other: &[u8]) -> usize {
    let longest_at = |from: usize| {
        let rest = &one[from..];
        let lengths = (0..other.len()).map(|at| {
            let pairs = rest.iter().zip(&other[at..]);
            pairs.take_while(|(one, other)| one == other).count()
        });
        lengths.max().unwrap_or_default()
    };
    (0..one.len()).map(longest_at).max().unwrap_or_default()
}

/// Its encoding as it is shown, but for the attribute set, in the parts before and behind it.
fn without_attributes(shown: &ShownBadge) -> [Vec<u8>; 2] {
    let whole = cbor::encode(shown).unwrap();
    let set = cbor::encode(&attributes()).unwrap();
    let at = whole
        .windows(set.len())
        .position(|window| window == set)
        .unwrap();
    [whole[..at].to_vec(), whole[at + set.len()..].to_vec()]
}

#[test]
fn two_badges_of_one_person_have_nothing_in_common_but_what_they_say() {
    let mut wallet = Wallet::default();
    let batch = batch(&mut wallet, 4);
    wallet.import(&batch);
    let mut parts = Vec::new();
    for number in 1..=4 {
        let badge = wallet.take(&organisation().id(), NOW).unwrap();
        let leaf = LeafKey::from_seed(&[10 + number; 32]).id();
        parts.push(without_attributes(
            &badge.show(&LogId::new([number; 32]), &leaf),
        ));
    }
    for (index, one) in parts.iter().enumerate() {
        for other in &parts[index + 1..] {
            for (one, other) in one
                .iter()
                .flat_map(|one| other.iter().map(move |other| (one, other)))
            {
                assert!(common(one, other) < 16, "{}", common(one, other));
            }
        }
    }
    // The measure itself sees what two have in common.
    assert!(common(&parts[0][1], &parts[0][1]) > 100);
}

#[test]
fn a_badge_is_taken_out_once_and_only_one_of_that_organisation_that_is_good() {
    let mut wallet = Wallet::default();
    let two = batch(&mut wallet, 2);
    assert_eq!((wallet.import(&two), wallet.import(&two)), (2, 0));
    let other = OrganisationKey::from_seed(&[2; 32]).id();
    assert!(wallet.take(&other, NOW).is_none());
    let us = organisation().id();
    let (one, two) = (wallet.take(&us, NOW), wallet.take(&us, NOW));
    assert!(one.is_some() && two.is_some() && one != two);
    assert!(wallet.take(&us, NOW).is_none());
    let late = batch(&mut wallet, 1);
    wallet.import(&late);
    assert!(wallet.take(&us, (u64::from(SUNDAY) + 1) * DAY_MS).is_none());
    assert_eq!(wallet.count(), (0, 0));
}

#[test]
fn somebody_elses_badges_are_not_taken_in() {
    let theirs = batch(&mut Wallet::default(), 3);
    let mut wallet = Wallet::default();
    wallet.ask(3).unwrap();
    assert_eq!(wallet.import(&theirs), 0);
    assert_eq!(wallet.count(), (0, 3));
}

#[test]
fn a_batch_holds_as_many_badges_as_its_limit_and_a_device_too() {
    let mut wallet = Wallet::default();
    for _ in 0..BADGES_KEPT_MAX / BADGE_BATCH_MAX {
        wallet.ask(BADGE_BATCH_MAX).unwrap();
    }
    for count in [0, 1, BADGE_BATCH_MAX + 1] {
        let refused = if count == 1 {
            wallet.ask(count)
        } else {
            Wallet::default().ask(count)
        };
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid, "{count}");
    }
}

/// The longest that an organisation may say.
fn longest() -> BadgeAttributes {
    let lines = || vec!["x".repeat(BADGE_ATTRIBUTE_BYTES_MAX); BADGE_ATTRIBUTES_MAX];
    BadgeAttributes {
        role: "x".repeat(BADGE_ATTRIBUTE_BYTES_MAX),
        training: lines(),
        languages: lines(),
        been_there: lines(),
    }
}

fn list_of(of: &BadgeAttributes) -> BadgeList {
    BadgeList {
        roles: vec![of.role.clone()],
        training: of.training.clone(),
        languages: of.languages.clone(),
        been_there: of.been_there.clone(),
    }
}

#[test]
fn a_batch_of_the_longest_badges_travels_as_a_text_and_survives_it() {
    let mut wallet = Wallet::default();
    let requests = wallet.ask(BADGE_BATCH_MAX).unwrap();
    let again: BadgeRequests = requests.to_string().parse().unwrap();
    assert!(again == requests);
    let of = longest();
    let issued = again.issue(&organisation(), &of, &list_of(&of), (SUNDAY, NOW));
    let text = issued.unwrap().to_string();
    let batch: BadgeBatch = format!("\n{text}\r\n").parse().unwrap();
    assert_eq!(batch.issued().count(), BADGE_BATCH_MAX);
    assert_eq!(wallet.import(&batch), BADGE_BATCH_MAX);
    let end = text.len() - 1;
    assert_eq!(text[..end].parse::<BadgeBatch>(), Err(BadBatch));
    assert_eq!(text.parse::<BadgeRequests>(), Err(BadBatch));
}

#[test]
fn attributes_and_lists_may_be_as_long_as_their_limits_and_no_longer() {
    let ask = || Wallet::default().ask(1).unwrap();
    let issue = |of: &BadgeAttributes, list: &BadgeList| {
        let issued = ask().issue(&organisation(), of, list, (SUNDAY, NOW));
        issued.map(drop)
    };
    let of = longest();
    assert_eq!(issue(&of, &list_of(&of)), Ok(()));
    let worse: [fn(&mut BadgeAttributes); 5] = [
        |of| of.role.push('x'),
        |of| of.training[0].push('x'),
        |of| of.languages.push("x".into()),
        |of| of.been_there[0] = "a\nb".into(),
        |of| of.role = " ".into(),
    ];
    for (number, change) in worse.into_iter().enumerate() {
        let mut of = longest();
        change(&mut of);
        assert_eq!(
            issue(&of, &list_of(&of)),
            Err(NotIssued::List),
            "case {number}"
        );
    }
    let mut long = list();
    long.languages.resize(DESK_TOPICS_MAX, "x".into());
    assert_eq!(issue(&attributes(), &long), Ok(()));
    long.languages.push("x".into());
    assert_eq!(issue(&attributes(), &long), Err(NotIssued::List));
}

#[test]
fn nothing_is_issued_that_is_not_in_the_list_or_not_until_a_sunday_soon() {
    let requests = Wallet::default().ask(1).unwrap();
    let issue = |of: &BadgeAttributes, day: u32| {
        let issued = requests.issue(&organisation(), of, &list(), (day, NOW));
        issued.map(drop)
    };
    let mut of = attributes();
    of.been_there.push("shipwrecked".into());
    assert_eq!(
        issue(&of, SUNDAY),
        Err(NotIssued::NotListed("shipwrecked".into()))
    );
    let of = attributes();
    for day in [SUNDAY, SUNDAY + 7] {
        assert_eq!(issue(&of, day), Ok(()), "{day}");
    }
    for day in [SUNDAY - 7, SUNDAY - 1, SUNDAY + 1, SUNDAY + 14] {
        assert_eq!(issue(&of, day), Err(NotIssued::Week), "{day}");
    }
    assert_eq!((week_end(MONDAY), week_end(SUNDAY)), (SUNDAY, SUNDAY));
    assert_eq!(week_end(SUNDAY + 1), SUNDAY + 7);
}

#[test]
fn a_list_of_revoked_badges_is_as_long_as_its_limit_and_forgets_what_is_over() {
    let issued = |number: usize| Issued {
        id: BadgeId::new([u8::try_from(number % 251).unwrap(); 32]),
        day: SUNDAY,
    };
    let key = organisation();
    let many = |count: usize| {
        (0..count).map(|number| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            let id = BadgeId::new(id);
            Issued { id, ..issued(0) }
        })
    };
    let full = RevokedList::next(&key, None, many(REVOKED_MAX), NOW).unwrap();
    let text = full.to_string();
    let again: RevokedList = text.parse().unwrap();
    assert!(again == full && again.is_signed_by(&key.id()));
    assert!(cbor::encode(&full).unwrap().len() < 15 * 1_024);
    let over = RevokedList::next(&key, None, many(REVOKED_MAX + 1), NOW);
    assert_eq!(over.unwrap_err(), NotIssued::TooMany);
    // Said twice it stands there once, and goes when nobody could use the badge any more.
    let twice = RevokedList::next(&key, Some(&full), many(2), NOW).unwrap();
    assert_eq!(twice.count(), REVOKED_MAX);
    let monday_after = (u64::from(SUNDAY) + 1) * DAY_MS;
    let next = RevokedList::next(&key, Some(&twice), [], monday_after).unwrap();
    assert_eq!(next.count(), 0);
}

#[test]
fn a_badge_and_a_text_may_be_as_long_as_their_limits_and_no_longer() {
    let mut shown = held().show(&LOG, &LEAF);
    for (length, fits) in [
        (0, false),
        (1, true),
        (BADGE_BYTES_MAX, true),
        (BADGE_BYTES_MAX + 1, false),
    ] {
        shown.badge = vec![0; length];
        assert_eq!(shown.is_within_limits(), fits, "{length}");
    }
    // Blanks around it count as well: what is longer is not even looked at.
    let text = Wallet::default().ask(1).unwrap().to_string();
    let blanks = |count: usize| "\n".repeat(count - text.len());
    let padded = |count: usize| format!("{text}{}", blanks(count)).parse::<BadgeRequests>();
    assert!(padded(batch::TEXT_BYTES_MAX).is_ok());
    assert!(padded(batch::TEXT_BYTES_MAX + 1).is_err());
}
