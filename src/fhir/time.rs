//! FHIR `dateTime`, `instant` and `date` (FHIR R4, Data Types, 2.24.0.1), read strictly as to what exists in the
//! calendar and leniently as to form: many real records leave out the seconds or the zone.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Later than now by more than this is a mistake of the record, not a difference between clocks.
pub const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// How exactly a moment is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// With its zone.
    Instant(Timestamp),
    /// A clock time without a zone.
    Local(DateTime),
    /// A day.
    Day(Date),
    /// A month: its middle.
    Month(Date),
    /// A year: its middle.
    Year(Date),
}

/// The parts of a text, taken from the left.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn digits(&mut self, n: usize) -> Option<i32> {
        let (head, tail) = self.0.split_at_checked(n)?;
        let mut value = 0i32;
        for byte in head {
            if !byte.is_ascii_digit() {
                return None;
            }
            value = value * 10 + i32::from(byte - b'0');
        }
        self.0 = tail;
        Some(value)
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn done(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a date or time. `None` for anything that is not in the calendar or on the clock.
pub fn parse(text: &str) -> Option<When> {
    let mut at = Cursor(text.trim().as_bytes());
    let year = i16::try_from(at.digits(4)?).ok().filter(|y| *y > 0)?;
    if at.done() {
        return Date::new(year, 7, 1).ok().map(When::Year);
    }
    if !at.eat(b'-') {
        return None;
    }
    let month = i8::try_from(at.digits(2)?).ok()?;
    if at.done() {
        return Date::new(year, month, 15).ok().map(When::Month);
    }
    if !at.eat(b'-') {
        return None;
    }
    let date = Date::new(year, month, i8::try_from(at.digits(2)?).ok()?).ok()?;
    if at.done() {
        return Some(When::Day(date));
    }
    if !(at.eat(b'T') || at.eat(b' ')) {
        return None;
    }
    let hour = at.digits(2)?;
    if !at.eat(b':') {
        return None;
    }
    let minute = at.digits(2)?;
    let mut second = 0;
    let mut nanos = 0;
    if at.eat(b':') {
        second = at.digits(2)?;
        if at.eat(b'.') {
            let mut scale = 100_000_000;
            let mut any = false;
            while let Some(digit) = at.digits(1) {
                nanos += digit * scale;
                scale /= 10;
                any = true;
            }
            if !any {
                return None;
            }
        }
    }
    // A leap second is allowed by the format; clocks here have none.
    let second = if second == 60 { 59 } else { second };
    let small = |n: i32| i8::try_from(n).ok();
    let clock = jiff::civil::Time::new(small(hour)?, small(minute)?, small(second)?, nanos).ok()?;
    let local = date.to_datetime(clock);
    if at.done() {
        return Some(When::Local(local));
    }
    let offset = offset(&mut at)?;
    if !at.done() {
        return None;
    }
    offset.to_timestamp(local).ok().map(When::Instant)
}

fn offset(at: &mut Cursor<'_>) -> Option<Offset> {
    if at.eat(b'Z') || at.eat(b'z') {
        return Some(Offset::UTC);
    }
    let sign = if at.eat(b'+') {
        1
    } else if at.eat(b'-') {
        -1
    } else {
        return None;
    };
    let hours = at.digits(2)?;
    at.eat(b':');
    let minutes = at.digits(2)?;
    // No place on Earth is further from UTC (FHIR R4: the pattern of `dateTime` has the same limit).
    if hours > 14 || minutes > 59 || (hours == 14 && minutes > 0) {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// A time of day that the record does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is all there.
    Nothing,
    /// The zone was assumed.
    Zone,
    /// The time of day was assumed to be noon.
    TimeOfDay,
}

impl When {
    /// As an instant; a day without a time is its noon, which is wrong by twelve hours at most. `None` for months and
    /// years, and outside of what a timestamp can hold.
    pub fn to_timestamp(self, zone: &TimeZone) -> Option<(Timestamp, Missing)> {
        match self {
            When::Instant(at) => Some((at, Missing::Nothing)),
            When::Local(local) => in_zone(local, zone).map(|at| (at, Missing::Zone)),
            When::Day(day) => in_zone(day.at(12, 0, 0, 0), zone).map(|at| (at, Missing::TimeOfDay)),
            When::Month(_) | When::Year(_) => None,
        }
    }

    /// First instant that the text can mean, for the start of a period.
    pub fn earliest(self, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            When::Instant(at) => Some(at),
            When::Local(local) => in_zone(local, zone),
            When::Day(day) => in_zone(day.at(0, 0, 0, 0), zone),
            When::Month(day) => in_zone(day.first_of_month().at(0, 0, 0, 0), zone),
            When::Year(day) => in_zone(day.first_of_year().at(0, 0, 0, 0), zone),
        }
    }

    /// Last instant that the text can mean: the end of a period that is given as a day includes that day
    /// (FHIR R4, Period, 2.24.0.14).
    pub fn latest(self, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            When::Instant(at) => Some(at),
            When::Local(local) => in_zone(local, zone),
            When::Day(day) => in_zone(day.at(23, 59, 59, 0), zone),
            When::Month(day) => in_zone(day.last_of_month().at(23, 59, 59, 0), zone),
            When::Year(day) => in_zone(day.last_of_year().at(23, 59, 59, 0), zone),
        }
    }
}

/// A clock time that a change to summer time skips or repeats is resolved as calendars do (RFC 5545): the offset
/// before the gap, the first of the two.
fn in_zone(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(local).compatible().ok()
}

/// Hours from one instant to another.
pub fn hours_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() / 3600.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Option<(Timestamp, Missing)> {
        parse(text)?.to_timestamp(&TimeZone::UTC)
    }

    #[test]
    fn forms_of_a_time() {
        let noon: Timestamp = "2026-05-30T12:00:00Z".parse().unwrap();
        for (text, missing) in [
            ("2026-05-30T12:00:00Z", Missing::Nothing),
            ("2026-05-30T14:00:00+02:00", Missing::Nothing),
            ("2026-05-30T12:00:00.000-00:00", Missing::Nothing),
            ("2026-05-30T12:00Z", Missing::Nothing),
            ("2026-05-30T12:00:00", Missing::Zone),
            ("2026-05-30", Missing::TimeOfDay),
        ] {
            assert_eq!(utc(text), Some((noon, missing)), "{text}");
        }
        assert_eq!(utc("2026-05"), None);
        assert_eq!(parse("2026"), Some(When::Year(Date::new(2026, 7, 1).unwrap())));
    }

    #[test]
    fn what_is_not_in_the_calendar_is_refused() {
        for text in [
            "2026-02-30",
            "0000-01-01",
            "2026-13-01",
            "2026-01-01T24:00:00Z",
            "2026-01-01T12:00:00+99:99",
            "-001-01-01",
            "2026-01-01T12:00:00+14:30",
            "2026-01-01T12:00:00.Z",
            "2026-01-01T12:00:00ZZ",
            "yesterday",
            "",
            "2026-1-1",
            "٢٠٢٦-01-01",
            "20260101",
            "99999-01-01",
            "2026-01-01T",
            "2026-01-01T12:60:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn summer_time_in_the_hospitals_zone() {
        let zone = TimeZone::get("Europe/Paris").unwrap();
        let at = |text: &str| parse(text).unwrap().to_timestamp(&zone).unwrap().0.to_string();
        assert_eq!(at("2026-01-10T08:00:00"), "2026-01-10T07:00:00Z");
        assert_eq!(at("2026-07-10T08:00:00"), "2026-07-10T06:00:00Z");
        // The clock jumps from 2 to 3 on 29 March and back from 3 to 2 on 25 October.
        assert_eq!(at("2026-03-29T02:30:00"), "2026-03-29T01:30:00Z");
        assert_eq!(at("2026-10-25T02:30:00"), "2026-10-25T00:30:00Z");
    }

    #[test]
    fn a_day_as_an_end_includes_the_day() {
        let day = parse("2026-05-30").unwrap();
        assert_eq!(
            day.earliest(&TimeZone::UTC).unwrap().to_string(),
            "2026-05-30T00:00:00Z"
        );
        assert_eq!(day.latest(&TimeZone::UTC).unwrap().to_string(), "2026-05-30T23:59:59Z");
    }
}
