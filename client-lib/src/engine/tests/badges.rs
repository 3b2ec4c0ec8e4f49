//! Badges among members: shown, checked, renewed, taken back, and kept from those who have none.

use super::*;
use crate::content::ContentBody;
use crate::desk::{
    Badge, BadgeAttributes, BadgeList, BadgeState, HeldBadge, OrganisationKey, Revocation,
    RevokedList, Wallet, week_end,
};
use crate::time::DAY_MS;

fn organisation() -> OrganisationKey {
    OrganisationKey::from_seed(&[0x31; 32])
}

/// Badges of one batch, good until this day.
fn badges<const N: usize>(day: u32) -> [HeldBadge; N] {
    let role = || "listener".to_owned();
    let of = BadgeAttributes {
        role: role(),
        ..BadgeAttributes::default()
    };
    let list = BadgeList {
        roles: vec![role()],
        ..BadgeList::default()
    };
    let mut wallet = Wallet::default();
    let requests = wallet.ask(N).unwrap();
    let batch = requests.issue(&organisation(), &of, &list, (day, NOON.wall_ms));
    wallet.import(&batch.unwrap());
    core::array::from_fn(|_| wallet.take(&organisation().id(), NOON.wall_ms).unwrap())
}

fn this_week() -> u32 {
    week_end(NOON.day())
}

/// Ann asks for help, Ben supports, Cay leads the team. All trust the organisation.
fn room() -> Room {
    let mut room = Room::new(&["Ann", "Ben", "Cay"]);
    for name in ["Ann", "Ben", "Cay"] {
        room.command(name, Command::Trust(organisation().id()));
    }
    room
}

fn show(room: &mut Room, name: &str, badge: HeldBadge) {
    room.command(name, Command::ShowBadge(Box::new(badge)));
    room.settle();
}

/// What Ann hears of her desk's card log: nothing new was revoked.
fn hear_list(room: &mut Room, name: &str) {
    let list = RevokedList::next(&organisation(), None, [], room.now.wall_ms).unwrap();
    room.command(name, Command::HearRevoked(Box::new(list)));
}

/// Whose badge, as this member sees it.
fn seen(room: &Room, by: &str, of: &str) -> Option<Badge> {
    let leaf = room.leaf(of);
    let members = room.of(by).engine.members();
    let member = members.into_iter().find(|member| member.leaf == leaf);
    member.unwrap().badge
}

fn state(room: &Room, by: &str, of: &str) -> Option<BadgeState> {
    seen(room, by, of).map(|badge| badge.state)
}

/// What the app was told of a badge, in order.
fn told(room: &Room, name: &str) -> Vec<BadgeState> {
    let events = room.of(name).events.iter();
    let states = events.filter_map(|event| match event {
        Event::Badge { badge, .. } => Some(badge.state),
        _ => None,
    });
    states.collect()
}

fn junk(room: &Room, name: &str) -> u64 {
    room.of(name).engine.saved.junk
}

fn take_back(room: &mut Room, by: &str, of: &str, key: &OrganisationKey) {
    let id = seen(room, "Cay", of).unwrap().id;
    let revocation = Revocation::new(key, id);
    room.command(by, Command::RevokeBadge(Box::new(revocation)));
    room.settle();
}

#[test]
fn a_badge_is_told_and_listed_and_valid_once_its_organisation_was_heard() {
    let mut room = room();
    let [badge] = badges(this_week());
    show(&mut room, "Ben", badge);
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::CannotCheck));
    hear_list(&mut room, "Ann");
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::Valid));
    assert_eq!(
        told(&room, "Ann"),
        [BadgeState::CannotCheck, BadgeState::Valid]
    );
    let badge = seen(&room, "Ann", "Ben").unwrap();
    assert_eq!(badge.attributes.role, "listener");
    assert_eq!(state(&room, "Ann", "Cay"), None);
    assert_eq!(state(&room, "Ben", "Ben"), Some(BadgeState::CannotCheck));
}

#[test]
fn a_badge_counts_only_for_who_trusts_its_organisation_whenever_that_is() {
    let mut room = Room::new(&["Ann", "Ben"]);
    let [badge] = badges(this_week());
    show(&mut room, "Ben", badge);
    assert_eq!((state(&room, "Ann", "Ben"), junk(&room, "Ann")), (None, 0));
    room.command("Ann", Command::Trust(organisation().id()));
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::CannotCheck));
}

#[test]
fn a_badge_that_another_member_copies_is_junk() {
    let mut room = room();
    let [badge] = badges(this_week());
    let log = room.id;
    let shown = badge.show(&log, &room.leaf("Ben"));
    show(&mut room, "Ben", badge);
    let before = junk(&room, "Ann");
    let now = room.now;
    let copied = ContentBody::Badge(Box::new(shown));
    room.engine("Cay").queue(copied, now).unwrap();
    room.settle();
    assert_eq!(state(&room, "Ann", "Cay"), None);
    assert_eq!(junk(&room, "Ann"), before + 1);
}

#[test]
fn after_a_badge_is_taken_back_the_next_message_comes_from_somebody_without() {
    let mut room = room();
    let [badge, next] = badges(this_week());
    show(&mut room, "Ben", badge);
    hear_list(&mut room, "Ann");
    take_back(&mut room, "Cay", "Ben", &organisation());
    room.say("Ben", "still here");
    room.settle();
    let events = &room.of("Ann").events;
    let revoked = |event: &Event| matches!(event, Event::Badge { badge, .. } if badge.state == BadgeState::Revoked);
    let revoked = events.iter().position(revoked).unwrap();
    let said =
        |event: &Event| matches!(event, Event::Message(message) if message.text == "still here");
    assert!(revoked < events.iter().position(said).unwrap());
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::Revoked));
    // The next one of the batch is of the same person.
    show(&mut room, "Ben", next);
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::Revoked));
}

#[test]
fn nobody_but_its_organisation_takes_a_badge_back() {
    let mut room = room();
    let [badge] = badges(this_week());
    show(&mut room, "Ben", badge);
    hear_list(&mut room, "Ann");
    let before = junk(&room, "Ann");
    take_back(
        &mut room,
        "Cay",
        "Ben",
        &OrganisationKey::from_seed(&[0x32; 32]),
    );
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::Valid));
    assert_eq!(junk(&room, "Ann"), before + 1);
}

#[test]
fn the_organisations_list_takes_a_badge_back_where_nobody_of_it_is() {
    let mut room = room();
    let [badge] = badges(this_week());
    show(&mut room, "Ben", badge);
    let (id, day) = (seen(&room, "Ann", "Ben").unwrap().id, this_week());
    let issued = crate::desk::Issued { id, day };
    let list = RevokedList::next(&organisation(), None, [issued], room.now.wall_ms).unwrap();
    room.command("Ann", Command::HearRevoked(Box::new(list)));
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::Revoked));
    let forged = OrganisationKey::from_seed(&[0x32; 32]);
    let forged = RevokedList::next(&forged, None, [], room.now.wall_ms).unwrap();
    let now = room.now;
    let command = Command::HearRevoked(Box::new(forged));
    let (refused, _) = room.engine("Ann").command(command, now);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
}

/// The clock goes on; each device looks at it.
fn pass(room: &mut Room, ms: u64) {
    room.now = room.now.plus_ms(ms);
    room.pass_seconds(1);
}

#[test]
fn with_the_list_withheld_for_a_day_one_cannot_check_and_then_it_expires() {
    let mut room = room();
    let [badge] = badges(this_week() + 7);
    show(&mut room, "Ben", badge);
    hear_list(&mut room, "Ann");
    pass(&mut room, DAY_MS - 61_000);
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::Valid));
    pass(&mut room, 61_000);
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::CannotCheck));
    hear_list(&mut room, "Ann");
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::Valid));
    let monday_after = (u64::from(this_week()) + 8) * DAY_MS;
    let left = monday_after - room.now.wall_ms;
    pass(&mut room, left);
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::Expired));
    let [.., last] = told(&room, "Ann")
        .try_into()
        .unwrap_or([BadgeState::Valid; 5]);
    assert_eq!(last, BadgeState::Expired);
}

#[test]
fn a_renewed_badge_takes_the_place_of_the_old_one_and_not_the_other_way() {
    let mut room = room();
    let ([old], [new]) = (badges(this_week()), badges(this_week() + 7));
    show(&mut room, "Ben", old.clone());
    show(&mut room, "Ben", new);
    assert_eq!(seen(&room, "Ann", "Ben").unwrap().day, this_week() + 7);
    show(&mut room, "Ben", old);
    assert_eq!(seen(&room, "Ann", "Ben").unwrap().day, this_week() + 7);
}

#[test]
fn who_comes_later_sees_badges_and_which_were_taken_back() {
    let mut room = room();
    let ([ben], [cay]) = (badges(this_week()), badges(this_week()));
    show(&mut room, "Ben", ben);
    show(&mut room, "Cay", cay);
    // Ann founded the room, and so says it again.
    take_back(&mut room, "Ann", "Ben", &organisation());
    room.join("Dan");
    room.command("Dan", Command::Trust(organisation().id()));
    room.settle();
    assert_eq!(state(&room, "Dan", "Cay"), Some(BadgeState::CannotCheck));
    // Ben's device does not show again what was taken back.
    assert_eq!(state(&room, "Dan", "Ben"), None);
    let id = room.of("Ben").engine.key.id();
    let log = room.id;
    let again = badges::<1>(this_week())[0].show(&log, &id);
    let now = room.now;
    let again = ContentBody::Badge(Box::new(again));
    room.engine("Ben").queue(again, now).unwrap();
    room.settle();
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::Revoked));
}

#[test]
fn a_device_that_starts_again_knows_all_of_it_and_tells_nothing_twice() {
    let mut room = room();
    let [badge] = badges(this_week());
    show(&mut room, "Ben", badge);
    hear_list(&mut room, "Ann");
    let before = told(&room, "Ann");
    let now = room.now;
    for name in ["Ann", "Ben"] {
        room.device(name).restart(now);
    }
    room.settle();
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::Valid));
    assert_eq!(told(&room, "Ann"), before);
    take_back(&mut room, "Cay", "Ben", &organisation());
    let now = room.now;
    room.device("Ann").restart(now);
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::Revoked));
    // Who is in later is shown it by a device that was started again.
    room.join("Dan");
    room.command("Dan", Command::Trust(organisation().id()));
    room.settle();
    assert_eq!(junk(&room, "Dan"), 0);
}

#[test]
fn a_conversation_trusts_as_many_organisations_as_the_limit_and_not_one_more() {
    let mut room = Room::new(&["Ann"]);
    let trust = |room: &mut Room, number: u8| {
        let id = OrganisationKey::from_seed(&[number; 32]).id();
        let now = room.now;
        room.engine("Ann").command(Command::Trust(id), now).0
    };
    for number in 1..=8 {
        trust(&mut room, number).unwrap();
    }
    assert!(trust(&mut room, 8).is_ok());
    assert_eq!(trust(&mut room, 9).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn badges_taken_back_are_remembered_up_to_a_bound_and_the_oldest_goes_first() {
    let mut room = room();
    let log = room.id;
    let all: [HeldBadge; 64] = badges(this_week());
    let [one_more] = badges(this_week());
    let leaf = |number: usize| LeafId::new([u8::try_from(number).unwrap(); 32]);
    let engine = room.engine("Ann");
    for (number, badge) in all.into_iter().chain([one_more]).enumerate() {
        let shown = badge.show(&log, &leaf(number));
        let id = engine.badging.know(leaf(number), &shown, &log);
        let revocation = Revocation::new(&organisation(), id);
        engine.badge_revoked(revocation).unwrap();
        let count = engine.badging.taken_back().len();
        assert_eq!(count, (number + 1).min(64));
    }
    assert!(!engine.badging.taken_back().contains(&leaf(0)));
    assert!(engine.badging.taken_back().contains(&leaf(64)));
}

/// The team leader's word overtakes the badge that it is about.
#[test]
fn a_badge_that_was_taken_back_before_it_was_shown_is_worth_nothing() {
    let mut room = room();
    let [badge, next] = badges(this_week());
    let (log, ben) = (room.id, room.leaf("Ben"));
    let shown = badge.show(&log, &ben);
    let id = shown.read(&[organisation().id()], &log, &ben).unwrap().id;
    let strange = OrganisationKey::from_seed(&[0x77; 32]);
    for key in [&strange, &organisation()] {
        let revocation = Box::new(Revocation::new(key, id));
        let now = room.now;
        let cay = room.engine("Cay");
        cay.queue(ContentBody::BadgeRevoked(revocation), now)
            .unwrap();
        room.settle();
    }
    show(&mut room, "Ben", badge);
    for name in ["Ann", "Cay"] {
        assert_eq!(
            state(&room, name, "Ben"),
            Some(BadgeState::Revoked),
            "{name}"
        );
    }
    // And so is the next one of the batch.
    show(&mut room, "Ben", next);
    assert_eq!(state(&room, "Ann", "Ben"), Some(BadgeState::Revoked));
}

#[test]
fn nothing_is_kept_of_badges_of_who_is_gone() {
    let mut room = room();
    let [badge, foreign] = badges(this_week());
    show(&mut room, "Ben", badge);
    take_back(&mut room, "Cay", "Ben", &organisation());
    assert_eq!(room.engine("Ann").badging.taken_back().len(), 1);
    let ben = room.leaf("Ben");
    room.command("Ann", Command::Remove(ben));
    room.settle();
    let kept = |room: &mut Room| {
        let badging = &room.engine("Ann").badging;
        (badging.taken_back().len(), badging.shown())
    };
    assert_eq!(kept(&mut room), (0, 0));
    // Also where nobody trusts the organisation.
    let mut room = Room::new(&["Ann", "Ben"]);
    show(&mut room, "Ben", foreign);
    assert_eq!(kept(&mut room), (0, 1));
    let ben = room.leaf("Ben");
    room.command("Ann", Command::Remove(ben));
    room.settle();
    assert_eq!(kept(&mut room), (0, 0));
}
