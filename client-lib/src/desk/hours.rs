//! When a desk is open: weekly slots, closed dates and extra openings, on the clocks of the desk's
//! own time zone. SPEC.md, "Hours". The only place that names `jiff`.
//!
//! The time zones are those that are built in, so that two people with one card read the same hours
//! whatever their systems know.

use core::fmt;
use core::str::FromStr;
use std::sync::LazyLock;

use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// The most weekly slots: six on each day.
pub const DESK_SLOTS_MAX: usize = 42;
/// The most closed dates, and the most extra openings.
pub const DESK_DATES_MAX: usize = 64;
/// Bytes of the longest name of a time zone.
const ZONE_BYTES_MAX: usize = 48;
/// The last date: the last day of the year 9999.
const DATE_MAX: u32 = 2_932_896;
/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;
/// Days that are searched for the next opening: a year's closed season and some.
const SEARCH_DAYS: u32 = 400;
/// Who is open for longer than so many days without a break is open around the clock.
const LONG_DAYS: u32 = 7;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// When a desk is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// IANA name of the time zone.
    zone: String,
    /// Openings beside the weekly ones; also on closed dates.
    extra: Vec<Opening>,
    /// Dates on which no weekly slot begins.
    closed: Vec<DeskDate>,
    weekly: Vec<Slot>,
}

/// A date on the desk's calendar, as days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeskDate(u32);

/// Open on one day of every week. As text: `mon 18:00-22:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// 1 is Monday, 7 is Sunday.
    day: u8,
    /// Minutes since midnight.
    from: u16,
    /// Minutes since midnight; where not behind `from`, of the next day.
    until: u16,
}

/// Open on one date. As text: `2026-12-24 10:00-12:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    date: DeskDate,
    from: u16,
    until: u16,
}

/// The text says no hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadHours {
    /// No such time zone.
    #[error("this is not the IANA name of a time zone, such as Europe/Berlin")]
    Zone,
    /// Not a date.
    #[error("this is not a date such as 2026-12-24")]
    Date,
    /// Not a slot.
    #[error("this is not a slot such as mon 18:00-22:00")]
    Slot,
    /// Not an opening.
    #[error("this is not an opening such as 2026-12-24 10:00-12:00")]
    Opening,
    /// More of them than a card may hold.
    #[error("these are more than a card may hold")]
    TooMany,
}

/// Whether the clocks say open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Until then; nothing if around the clock.
    Open(Option<u64>),
    /// The next opening; nothing if none is in sight.
    Closed(Option<u64>),
}

/// An opening in milliseconds since 1970-01-01, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stretch {
    from: u64,
    until: u64,
}

impl DeskDate {
    /// Days since 1970-01-01, up to the year 9999.
    #[must_use]
    pub fn of_days(days: u32) -> Option<Self> {
        (days <= DATE_MAX).then_some(Self(days))
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn days(self) -> u32 {
        self.0
    }

    fn of(date: Date) -> Option<Self> {
        let days = (date - Date::constant(1970, 1, 1)).get_days();
        u32::try_from(days).ok().and_then(Self::of_days)
    }

    fn date(self) -> Option<Date> {
        let days = Span::new().try_days(i64::from(self.0)).ok()?;
        Date::constant(1970, 1, 1).checked_add(days).ok()
    }

    fn plus(self, days: u32) -> Option<Self> {
        Self::of_days(self.0.checked_add(days)?)
    }
}

/// The last day of the month that this day (since 1970-01-01, UTC) is in; itself past the year 9999.
pub(super) fn last_of_month(day: u32) -> u32 {
    let date = DeskDate(day).date().map(Date::last_of_month);
    date.and_then(DeskDate::of).map_or(day, DeskDate::days)
}

impl fmt::Display for DeskDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().map_or(Ok(()), |date| write!(f, "{date}"))
    }
}

impl FromStr for DeskDate {
    type Err = BadHours;

    fn from_str(text: &str) -> Result<Self, BadHours> {
        // Nothing but the one form: a time behind the date would be lost in silence.
        let parts: Vec<_> = text.trim().split('-').collect();
        let [year, month, day] = parts.as_slice() else {
            return Err(BadHours::Date);
        };
        let is_plain = [(year, 4), (month, 2), (day, 2)]
            .iter()
            .all(|(part, length)| part.len() == *length && is_digits(part));
        let numbers = (year.parse(), month.parse(), day.parse());
        let (Ok(year), Ok(month), Ok(day)) = numbers else {
            return Err(BadHours::Date);
        };
        let date = Date::new(year, month, day).ok().filter(|_| is_plain);
        date.and_then(Self::of).ok_or(BadHours::Date)
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const LONG_NAMES: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// `18:00-22:00`.
fn span_of(text: &str) -> Option<(u16, u16)> {
    let (from, until) = text.trim().split_once('-')?;
    Some((minutes_of(from)?, minutes_of(until)?))
}

/// `18:00`; `24:00` is the midnight at which a day ends.
fn minutes_of(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let is_plain = (1..=2).contains(&hours.len()) && minutes.len() == 2;
    if !is_plain || !is_digits(hours) || !is_digits(minutes) {
        return None;
    }
    let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
    match (hours, minutes) {
        (24, 0) => Some(0),
        (0..24, 0..60) => Some(hours * 60 + minutes),
        _ => None,
    }
}

fn write_span(f: &mut fmt::Formatter<'_>, from: u16, until: u16) -> fmt::Result {
    let (from_h, from_m) = (from / 60, from % 60);
    let (until_h, until_m) = (until / 60, until % 60);
    write!(f, "{from_h:02}:{from_m:02}-{until_h:02}:{until_m:02}")
}

impl FromStr for Slot {
    type Err = BadHours;

    fn from_str(text: &str) -> Result<Self, BadHours> {
        let slot = || {
            let (day, span) = text.trim().split_once(char::is_whitespace)?;
            let day = DAYS.iter().position(|one| one.eq_ignore_ascii_case(day))?;
            let (from, until) = span_of(span)?;
            let day = u8::try_from(day + 1).ok()?;
            Some(Self { day, from, until })
        };
        slot().ok_or(BadHours::Slot)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = usize::from(self.day).checked_sub(1);
        let day = day.and_then(|at| DAYS.get(at)).copied().unwrap_or_default();
        write!(f, "{day} ")?;
        write_span(f, self.from, self.until)
    }
}

impl FromStr for Opening {
    type Err = BadHours;

    fn from_str(text: &str) -> Result<Self, BadHours> {
        let (date, span) = text
            .trim()
            .split_once(char::is_whitespace)
            .ok_or(BadHours::Opening)?;
        let (from, until) = span_of(span).ok_or(BadHours::Opening)?;
        let date = date.parse()?;
        Ok(Self { date, from, until })
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.date)?;
        write_span(f, self.from, self.until)
    }
}

impl Hours {
    /// A desk that is never open, on the clocks of this time zone (an IANA name).
    ///
    /// # Errors
    /// [`BadHours::Zone`] if the name is unknown.
    pub fn new(zone: &str) -> Result<Self, BadHours> {
        let found = ZONES.get(zone).map_err(|_| BadHours::Zone)?;
        let hours = Self {
            // As it is spelled, however it was typed.
            zone: found.iana_name().ok_or(BadHours::Zone)?.to_owned(),
            extra: Vec::new(),
            closed: Vec::new(),
            weekly: Vec::new(),
        };
        hours.is_sound().then_some(hours).ok_or(BadHours::Zone)
    }

    /// Also open in this slot of every week.
    ///
    /// # Errors
    /// [`BadHours::TooMany`] behind [`DESK_SLOTS_MAX`].
    pub fn weekly(mut self, slot: Slot) -> Result<Self, BadHours> {
        self.weekly.push(slot);
        self.bounded()
    }

    /// No weekly slot begins on this date. One that began the day before goes on to its end.
    ///
    /// # Errors
    /// [`BadHours::TooMany`] behind [`DESK_DATES_MAX`].
    pub fn closed_on(mut self, date: DeskDate) -> Result<Self, BadHours> {
        self.closed.push(date);
        self.bounded()
    }

    /// Also open then, whether or not the date is a closed one.
    ///
    /// # Errors
    /// [`BadHours::TooMany`] behind [`DESK_DATES_MAX`].
    pub fn also(mut self, opening: Opening) -> Result<Self, BadHours> {
        self.extra.push(opening);
        self.bounded()
    }

    fn bounded(self) -> Result<Self, BadHours> {
        let fits = self.is_sound();
        fits.then_some(self).ok_or(BadHours::TooMany)
    }

    /// The IANA name of the time zone.
    #[must_use]
    pub fn zone_name(&self) -> &str {
        &self.zone
    }

    /// The slots of every week.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.weekly
    }

    /// The dates on which no slot begins.
    #[must_use]
    pub fn closed(&self) -> &[DeskDate] {
        &self.closed
    }

    /// The openings of single dates.
    #[must_use]
    pub fn openings(&self) -> &[Opening] {
        &self.extra
    }

    #[cfg(test)]
    pub(crate) fn of_parts(zone: &str, weekly: &[Slot]) -> Self {
        Self {
            zone: zone.to_owned(),
            extra: Vec::new(),
            closed: Vec::new(),
            weekly: weekly.to_vec(),
        }
    }

    /// Whether it keeps to the limits of the specification.
    pub(crate) fn is_sound(&self) -> bool {
        let is_time = |from: u16, until: u16| from < DAY_MINUTES && until < DAY_MINUTES;
        let is_zone = (1..=ZONE_BYTES_MAX).contains(&self.zone.len())
            && self.zone.bytes().all(|byte| byte.is_ascii_graphic());
        is_zone
            && self.weekly.len() <= DESK_SLOTS_MAX
            && self.closed.len() <= DESK_DATES_MAX
            && self.extra.len() <= DESK_DATES_MAX
            && self.closed.iter().all(|date| date.0 <= DATE_MAX)
            && (self.weekly.iter())
                .all(|slot| (1..=7).contains(&slot.day) && is_time(slot.from, slot.until))
            && (self.extra.iter()).all(|one| one.date.0 <= DATE_MAX && is_time(one.from, one.until))
    }

    fn zone(&self) -> Option<TimeZone> {
        ZONES.get(&self.zone).ok()
    }

    pub(crate) fn is_open(&self, now_ms: u64) -> bool {
        matches!(self.door(now_ms), Door::Open(_))
    }

    /// What the clocks say at this moment. A zone that this client does not know says nothing, which
    /// is closed: a letter can be written.
    pub(crate) fn door(&self, now_ms: u64) -> Door {
        self.looked_up(now_ms).unwrap_or(Door::Closed(None))
    }

    fn looked_up(&self, now_ms: u64) -> Option<Door> {
        let zone = self.zone()?;
        let today = DeskDate::of(zone.to_datetime(timestamp(now_ms)?).date())?;
        // A slot may run on until the day behind it, and a leap of the clocks moves it further.
        let first = DeskDate(today.0.saturating_sub(2));
        let mut near = self.stretches(&zone, first, LONG_DAYS + 4);
        near.sort_unstable();
        let mut open_until = None;
        for stretch in near {
            let reached = open_until.unwrap_or(now_ms);
            if stretch.from <= reached && reached < stretch.until {
                open_until = Some(stretch.until);
            }
        }
        if let Some(until) = open_until {
            let long = u64::from(LONG_DAYS) * crate::time::DAY_MS;
            let ends = (until - now_ms < long).then_some(until);
            return Some(Door::Open(ends));
        }
        Some(Door::Closed(self.next(&zone, today, now_ms)))
    }

    fn next(&self, zone: &TimeZone, today: DeskDate, now_ms: u64) -> Option<u64> {
        (0..SEARCH_DAYS).find_map(|ahead| {
            // Two days at once: a leap of the clocks may move an opening behind the next day's.
            let days = self.stretches(zone, today.plus(ahead)?, 2);
            let later = days.iter().map(|stretch| stretch.from);
            later.filter(|from| *from > now_ms).min()
        })
    }

    /// What begins on so many days, in no order.
    fn stretches(&self, zone: &TimeZone, first: DeskDate, days: u32) -> Vec<Stretch> {
        let mut all = Vec::new();
        for date in (0..days).filter_map(|ahead| first.plus(ahead)) {
            let Some(on) = date.date() else { continue };
            let weekday = on.weekday();
            let weekly = self
                .weekly
                .iter()
                .filter(|slot| is_day(slot.day, weekday) && !self.closed.contains(&date));
            let weekly = weekly.map(|slot| (slot.from, slot.until));
            let extra = self.extra.iter().filter(|one| one.date == date);
            let extra = extra.map(|one| (one.from, one.until));
            all.extend(
                weekly
                    .chain(extra)
                    .filter_map(|(from, until)| stretch(zone, on, from, until)),
            );
        }
        all
    }

    /// The time of day at the desk: `13:15`.
    #[must_use]
    pub fn clock(&self, at_ms: u64) -> Option<String> {
        let local = self.zone()?.to_datetime(timestamp(at_ms)?);
        Some(format!("{:02}:{:02}", local.hour(), local.minute()))
    }

    /// A moment at the desk as one would say it now: `13:15`, `on Monday at 18:00`, or
    /// `on 2027-01-04 at 18:00`.
    #[must_use]
    pub fn moment(&self, at_ms: u64, now_ms: u64) -> Option<String> {
        let (zone, clock) = (self.zone()?, self.clock(at_ms)?);
        let on = zone.to_datetime(timestamp(at_ms)?).date();
        let today = zone.to_datetime(timestamp(now_ms)?).date();
        let ahead = (on - today).get_days();
        let day = usize::try_from(on.weekday().to_monday_zero_offset()).ok()?;
        Some(match ahead {
            0 => format!("at {clock}"),
            1..7 => format!("on {} at {clock}", LONG_NAMES.get(day)?),
            _ => format!("on {on} at {clock}"),
        })
    }
}

fn is_day(day: u8, weekday: Weekday) -> bool {
    i8::try_from(day).is_ok_and(|day| day == weekday.to_monday_one_offset())
}

fn timestamp(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
}

/// From wall clock to wall clock. What falls into an hour that the clocks leap over is as much
/// later, what falls into one that they repeat is in the first of the two (RFC 5545's rule); where
/// nothing is left of an opening, there is none.
fn stretch(zone: &TimeZone, on: Date, from: u16, until: u16) -> Option<Stretch> {
    let ends_on = if until > from {
        on
    } else {
        on.tomorrow().ok()?
    };
    let (from, until) = (instant(zone, on, from)?, instant(zone, ends_on, until)?);
    (from < until).then_some(Stretch { from, until })
}

fn instant(zone: &TimeZone, on: Date, minutes: u16) -> Option<u64> {
    let (hour, minute) = (minutes / 60, minutes % 60);
    let hour = i8::try_from(hour).ok()?;
    let minute = i8::try_from(minute).ok()?;
    let at = on.at(hour, minute, 0, 0);
    let at = zone.to_ambiguous_timestamp(at).compatible().ok()?;
    u64::try_from(at.as_millisecond()).ok()
}
