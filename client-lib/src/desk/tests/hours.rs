//! When a desk is open, over nights, leaps of the clocks and holidays.

use proptest::prelude::*;

use super::*;
use crate::desk::hours::Door;

/// 2026-11-30, a Monday.
const MONDAY: u32 = 20_787;
const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// A moment in UTC.
fn utc(date: &str, hour: u64, minute: u64) -> u64 {
    let date: DeskDate = date.parse().unwrap();
    u64::from(date.days()) * DAY + (hour * 60 + minute) * MINUTE
}

fn hours(zone: &str, slots: &[&str]) -> Hours {
    let mut hours = Hours::new(zone).unwrap();
    for slot in slots {
        hours = hours.weekly(slot.parse().unwrap()).unwrap();
    }
    hours
}

/// When it opens and closes next, seen from outside of an opening.
fn next(hours: &Hours, now: u64) -> (u64, u64) {
    let Door::Closed(Some(opens)) = hours.door(now) else {
        panic!("{:?}", hours.door(now))
    };
    let Door::Open(Some(ends)) = hours.door(opens) else {
        panic!("{:?}", hours.door(opens))
    };
    (opens, ends)
}

#[test]
fn a_desk_opens_on_its_minute_and_closes_on_its_minute() {
    let hours = hours("Europe/Berlin", &["mon 12:00-13:15"]);
    let (opens, ends) = (utc("2026-11-30", 11, 0), utc("2026-11-30", 12, 15));
    assert_eq!(hours.door(opens - 1), Door::Closed(Some(opens)));
    assert_eq!(hours.door(opens), Door::Open(Some(ends)));
    assert_eq!(hours.door(ends - 1), Door::Open(Some(ends)));
    assert_eq!(hours.door(ends), Door::Closed(Some(opens + 7 * DAY)));
    assert_eq!(hours.clock(ends).as_deref(), Some("13:15"));
}

#[test]
fn a_moment_is_said_as_one_would_say_it_at_the_desk() {
    let hours = hours("Europe/Berlin", &[]);
    let now = utc("2026-11-30", 23, 30);
    for (at, said) in [
        (utc("2026-12-01", 12, 15), "at 13:15"),
        (utc("2026-12-02", 17, 0), "on Wednesday at 18:00"),
        (utc("2026-12-07", 17, 0), "on Monday at 18:00"),
        (utc("2026-12-08", 17, 0), "on 2026-12-08 at 18:00"),
        (utc("2026-11-30", 22, 0), "on 2026-11-30 at 23:00"),
    ] {
        // It is Tuesday there already.
        assert_eq!(hours.moment(at, now).as_deref(), Some(said));
    }
}

#[test]
fn a_night_goes_on_into_the_next_day_and_over_the_end_of_the_week() {
    let hours = hours("UTC", &["sun 22:00-02:00"]);
    let sunday = utc("2026-11-29", 22, 0);
    let ends = utc("2026-11-30", 2, 0);
    assert_eq!(next(&hours, sunday - 1), (sunday, ends));
    assert_eq!(hours.door(ends - 1), Door::Open(Some(ends)));
    assert_eq!(hours.door(ends), Door::Closed(Some(sunday + 7 * DAY)));
}

#[test]
fn what_touches_or_overlaps_is_one_opening() {
    let slots = ["mon 10:00-12:00", "mon 12:00-14:00", "mon 13:00-13:30"];
    let hours = hours("UTC", &slots);
    let monday = utc("2026-11-30", 10, 0);
    assert_eq!(next(&hours, monday - 1), (monday, utc("2026-11-30", 14, 0)));
}

#[test]
fn who_is_there_for_a_week_without_a_break_has_no_end() {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let slots = days.map(|day| format!("{day} 00:00-24:00"));
    let slots = slots.each_ref().map(String::as_str);
    let always = hours("America/New_York", &slots);
    for day in 0..400 {
        let now = (u64::from(MONDAY) + day) * DAY + day * 97 % 1_440 * MINUTE;
        assert_eq!(always.door(now), Door::Open(None), "{day}");
    }
    // One whole week has an end a minute after it began, and none before.
    let monday = utc("2026-11-30", 0, 0);
    let ends = monday + 7 * DAY;
    let mut week = hours("UTC", &[]);
    for day in MONDAY..MONDAY + 7 {
        let date = DeskDate::of_days(day).unwrap();
        week = week
            .also(format!("{date} 00:00-24:00").parse().unwrap())
            .unwrap();
    }
    assert_eq!(week.door(monday), Door::Open(None));
    assert_eq!(week.door(monday + 1), Door::Open(Some(ends)));
    assert_eq!(week.door(ends), Door::Closed(None));
}

#[test]
fn a_desk_without_slots_is_closed_and_says_nothing_of_when() {
    assert_eq!(hours("UTC", &[]).door(DAY), Door::Closed(None));
    assert_eq!(hours("UTC", &[]).door(u64::MAX), Door::Closed(None));
    let slots = hours("UTC", &["mon 10:00-12:00"]);
    for now in [0, u64::MAX, u64::MAX / 2, 253_402_207_200_000] {
        let _ = slots.door(now);
    }
}

#[test]
fn on_a_holiday_nothing_begins_but_what_began_the_day_before_goes_on() {
    let hours = hours("UTC", &["thu 22:00-02:00", "fri 10:00-12:00"])
        .closed_on("2026-12-25".parse().unwrap())
        .unwrap();
    // 2026-12-25 is a Friday.
    let eve = utc("2026-12-24", 22, 0);
    assert_eq!(next(&hours, eve - 1), (eve, utc("2026-12-25", 2, 0)));
    let after = utc("2026-12-25", 2, 0);
    assert_eq!(
        hours.door(after),
        Door::Closed(Some(utc("2026-12-31", 22, 0)))
    );
    // An extra opening counts on a closed date, too.
    let hours = hours
        .also("2026-12-25 15:00-16:00".parse().unwrap())
        .unwrap();
    assert_eq!(
        next(&hours, after),
        (utc("2026-12-25", 15, 0), utc("2026-12-25", 16, 0))
    );
}

#[test]
fn an_opening_is_looked_for_in_more_than_a_year_and_no_further() {
    let far = |days: u32| {
        let date = DeskDate::of_days(MONDAY + days).unwrap();
        let opening = format!("{date} 10:00-12:00").parse().unwrap();
        hours("UTC", &[]).also(opening).unwrap()
    };
    let now = u64::from(MONDAY) * DAY;
    let opens = |days: u32| now + u64::from(days) * DAY + 600 * MINUTE;
    assert_eq!(far(400).door(now), Door::Closed(Some(opens(400))));
    assert_eq!(far(401).door(now), Door::Closed(None));
}

#[test]
fn a_time_that_the_clocks_leap_over_comes_as_much_later() {
    // On 2027-03-28 Berlin goes from 02:00 to 03:00, at 01:00 UTC.
    let at = |hour, minute| utc("2027-03-28", hour, minute);
    let day = |slot| next(&hours("Europe/Berlin", &[slot]), utc("2027-03-27", 12, 0));
    assert_eq!(day("sun 02:30-05:00"), (at(1, 30), at(3, 0)));
    assert_eq!(day("sun 01:30-02:30"), (at(0, 30), at(1, 30)));
    assert_eq!(day("sun 01:30-03:30"), (at(0, 30), at(1, 30)));
    // A night that is an hour shorter.
    let night = day("sat 22:00-06:00");
    assert_eq!(night, (utc("2027-03-27", 21, 0), at(4, 0)));
    // Nothing is left of this one, on that day.
    let (opens, _) = day("sun 02:30-03:15");
    assert_eq!(opens, utc("2027-04-04", 0, 30));
}

#[test]
fn of_a_time_that_comes_twice_the_first_counts() {
    // On 2026-10-25 Berlin goes from 03:00 to 02:00, at 01:00 UTC.
    let at = |hour, minute| utc("2026-10-25", hour, minute);
    let day = |slot| next(&hours("Europe/Berlin", &[slot]), utc("2026-10-24", 12, 0));
    assert_eq!(day("sun 02:30-04:00"), (at(0, 30), at(3, 0)));
    assert_eq!(
        day("sun 01:00-02:30"),
        (utc("2026-10-24", 23, 0), at(0, 30))
    );
    let night = day("sat 22:00-06:00");
    assert_eq!(night, (utc("2026-10-24", 20, 0), at(5, 0)));
}

#[test]
fn zones_at_the_ends_of_the_world_have_their_own_days() {
    for (zone, hour_utc, date) in [
        ("Pacific/Kiritimati", 20, "2026-11-29"),
        ("Pacific/Pago_Pago", 21, "2026-11-30"),
        ("Asia/Kathmandu", 4, "2026-11-30"),
    ] {
        let hours = hours(zone, &["mon 10:00-11:00"]);
        let minute = if zone == "Asia/Kathmandu" { 15 } else { 0 };
        let opens = utc(date, hour_utc, minute);
        assert_eq!(next(&hours, opens - MINUTE).0, opens, "{zone}");
    }
}

#[test]
fn hours_are_bounded_and_a_zone_must_be_known() {
    let slot: Slot = "mon 10:00-11:00".parse().unwrap();
    let mut hours = Hours::new("UTC").unwrap();
    for _ in 0..DESK_SLOTS_MAX {
        hours = hours.weekly(slot).unwrap();
    }
    assert_eq!(hours.clone().weekly(slot), Err(BadHours::TooMany));
    let last: DeskDate = "9999-12-31".parse().unwrap();
    let opening: Opening = "2026-12-24 10:00-12:00".parse().unwrap();
    for _ in 0..DESK_DATES_MAX {
        hours = hours.closed_on(last).unwrap().also(opening).unwrap();
    }
    assert_eq!(hours.clone().closed_on(last), Err(BadHours::TooMany));
    assert_eq!(hours.also(opening), Err(BadHours::TooMany));
    assert_eq!(DeskDate::of_days(last.days()), Some(last));
    assert_eq!(DeskDate::of_days(last.days() + 1), None);
    for zone in ["", "Europe/Atlantis", "Berlin", &"x".repeat(49), "a b"] {
        assert_eq!(Hours::new(zone), Err(BadHours::Zone), "{zone}");
    }
    assert_eq!(
        Hours::new("europe/berlin").unwrap().zone_name(),
        "Europe/Berlin"
    );
    // A zone that only others know is closed, and no error.
    let unknown = Hours::of_parts("Europe/Atlantis", &[slot]);
    assert!(unknown.is_sound());
    assert_eq!(unknown.door(DAY), Door::Closed(None));
    assert!(!Hours::of_parts(&"x".repeat(49), &[]).is_sound());
    assert!(Hours::of_parts(&"x".repeat(48), &[]).is_sound());
}

#[test]
fn hours_are_written_one_way_and_read_back() {
    for text in ["mon 00:00-00:00", "sun 22:00-06:30", "wed 09:05-17:00"] {
        assert_eq!(text.parse::<Slot>().unwrap().to_string(), text);
    }
    let again = "Fri 9:00-24:00".parse::<Slot>().unwrap();
    assert_eq!(again.to_string(), "fri 09:00-00:00");
    for text in [
        "",
        "mon",
        "mon 10-11",
        "mon 10:00",
        "mon 25:00-26:00",
        "mon 24:01-25:00",
        "mon 10:60-11:00",
        "day 10:00-11:00",
        "mon 10:00-11:00 x",
        "mon +1:00-11:00",
        "mon 1:5-2:00",
    ] {
        assert_eq!(text.parse::<Slot>(), Err(BadHours::Slot), "{text}");
    }
    let opening = "2026-12-24 10:00-12:00";
    assert_eq!(opening.parse::<Opening>().unwrap().to_string(), opening);
    for text in [
        "2026-02-29",
        "2026-13-01",
        "26-01-01",
        "2026-1-1",
        "1969-12-31",
        "x",
        "2026-12-24-1",
    ] {
        assert_eq!(text.parse::<DeskDate>(), Err(BadHours::Date), "{text}");
    }
}

/// What a person with a calendar would say, minute by minute, in a zone without leaps.
fn is_open_by_hand(slots: &[(u32, u32, u32)], now: u64) -> bool {
    let week = 7 * 1_440;
    // 1970-01-01 was a Thursday.
    let minute = u32::try_from((now / MINUTE + 3 * 1_440) % u64::from(week)).unwrap();
    slots.iter().any(|(day, from, until)| {
        let length = if until > from {
            until - from
        } else {
            until + 1_440 - from
        };
        (minute + week - (day * 1_440 + from)) % week < length
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_clocks_agree_with_a_calendar(
        slots in prop::collection::vec((0..7_u32, 0..1_440_u32, 0..1_440_u32), 0..6),
        now in 0..4_000_000_000_000_u64,
    ) {
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let texts: Vec<_> = slots.iter().map(|(day, from, until)| {
            let day = days[*day as usize];
            format!("{day} {:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
        }).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let hours = hours("UTC", &texts);
        let is_open = |at| is_open_by_hand(&slots, at);
        match hours.door(now) {
            Door::Open(ends) => {
                prop_assert!(is_open(now));
                if let Some(ends) = ends {
                    prop_assert!(ends > now && !is_open(ends) && is_open(ends - 1));
                    // Nothing between is closed.
                    for step in 0..50 {
                        prop_assert!(is_open(now + (ends - 1 - now) * step / 50));
                    }
                }
            }
            Door::Closed(opens) => {
                prop_assert!(!is_open(now));
                prop_assert_eq!(opens.is_none(), slots.is_empty());
                if let Some(opens) = opens {
                    prop_assert!(opens > now && is_open(opens) && !is_open(opens - 1));
                    for step in 0..50 {
                        prop_assert!(!is_open(now + (opens - 1 - now) * step / 50));
                    }
                }
            }
        }
    }

    #[test]
    fn every_zone_opens_and_closes_and_opens_again(
        zone in prop::sample::select(vec![
            "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca",
            "Asia/Gaza", "Pacific/Apia", "America/Sao_Paulo", "Antarctica/Troll",
        ]),
        now in 1_000_000_000_000..2_500_000_000_000_u64,
        from in 0..1_440_u32,
        until in 0..1_440_u32,
    ) {
        let slot = format!("sun {:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60);
        let hours = hours(zone, &[&slot]);
        let (mut at, mut before) = (now, hours.door(now));
        for _ in 0..6 {
            let (Door::Open(Some(next)) | Door::Closed(Some(next))) = before else {
                panic!("{before:?}")
            };
            prop_assert!(next > at && next - at < 15 * DAY, "{zone} {slot} {at} {next}");
            let after = hours.door(next);
            let turned = matches!(
                (before, after),
                (Door::Open(_), Door::Closed(_)) | (Door::Closed(_), Door::Open(_))
            );
            prop_assert!(turned, "{zone} {slot} {next}");
            (at, before) = (next, after);
        }
    }

    #[test]
    fn no_text_and_no_moment_is_a_panic(text: String, now: u64) {
        let _ = (text.parse::<Slot>(), text.parse::<Opening>(), text.parse::<DeskDate>());
        let _ = (Hours::new(&text), hours("Asia/Gaza", &["mon 10:00-11:00"]).door(now));
    }
}
