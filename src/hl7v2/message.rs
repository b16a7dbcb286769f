//! A message, read into segments and fields; the parser is a library's. Specification: HL7 v2.5.1, section 2.5 to 2.10.

use hl7_parser::message::{Message as Parsed, Repeat, Segment};
use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::{Offset, TimeZone},
};

/// What is wrong with a message, for its sender. It holds no value of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether no message of the kind is taken (AR), or this one is wrong (AE).
    pub reject: bool,
    /// Of HL7 table 0357.
    pub code: u16,
    /// Segment, its number, and field, as ERR-2 has it.
    pub place: Option<(&'static str, usize, usize)>,
    /// In words.
    pub text: String,
}

impl Problem {
    /// This message cannot be used.
    #[must_use]
    pub fn wrong(code: u16, place: (&'static str, usize, usize), text: impl Into<String>) -> Self {
        Self {
            reject: false,
            code,
            place: Some(place),
            text: text.into(),
        }
    }

    /// No such message can.
    #[must_use]
    pub fn reject(code: u16, field: usize, text: impl Into<String>) -> Self {
        Self {
            reject: true,
            code,
            place: Some(("MSH", 1, field)),
            text: text.into(),
        }
    }

    /// A field that must be there is not (101), or not what it must be (102).
    #[must_use]
    pub fn field(segment: &Seg<'_, '_>, name: &'static str, field: usize, text: impl Into<String>) -> Self {
        let code = if segment.text(field, 1).is_none() { 101 } else { 102 };
        Self::wrong(code, (name, segment.number, field), text)
    }
}

/// Bytes as text, by the character set that the message names (MSH-18): UTF-8, or ISO 8859-1, in which each byte is a character.
///
/// # Errors
/// [`Problem`] when it names another, or the bytes are not in it.
pub fn decoded(bytes: &[u8]) -> Result<String, Problem> {
    let first_line = bytes
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    let separator = first_line.get(3).copied().unwrap_or(b'|');
    let set = first_line.split(|byte| *byte == separator).nth(17).unwrap_or_default();
    let repeat = first_line.get(5).copied().unwrap_or(b'~');
    let set = set.split(|byte| *byte == repeat).next().unwrap_or_default();
    match set {
        b"8859/1" => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
        b"" | b"ASCII" | b"UNICODE UTF-8" => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Problem::reject(
                102,
                18,
                "the message is not UTF-8: name the character set in MSH-18 (UNICODE UTF-8 or 8859/1) and write it so",
            )),
        },
        _ => Err(Problem::reject(
            103,
            18,
            "of the character sets of MSH-18 only UNICODE UTF-8, ASCII and 8859/1 are read",
        )),
    }
}

/// A message.
pub struct Message<'m>(Parsed<'m>);

/// A segment and its number among those of its name.
#[derive(Clone, Copy)]
pub struct Seg<'s, 'm> {
    segment: &'s Segment<'m>,
    message: &'s Parsed<'m>,
    /// From 1.
    pub number: usize,
}

impl<'m> Message<'m> {
    /// Reads all of it: a part that cannot be read would otherwise be acknowledged and lost.
    ///
    /// # Errors
    /// [`Problem`].
    pub fn parse(text: &'m str) -> Result<Self, Problem> {
        let text = text.trim_end_matches(['\r', '\n']);
        let wrong = |what: &str| Problem {
            reject: true,
            code: 100,
            place: None,
            text: what.to_owned(),
        };
        let parsed = Parsed::parse_with_lenient_newlines(text, true)
            .map_err(|_| wrong("this is no HL7 v2 message: it must begin with MSH and its separators"))?;
        if parsed.raw_value().len() != text.len() {
            let after = parsed.segments.len();
            return Err(wrong(&format!("what follows segment {after} is no segment")));
        }
        Ok(Self(parsed))
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> Option<Seg<'_, 'm>> {
        self.segments().find(|segment| segment.name() == "MSH")
    }

    /// All segments, in order.
    pub fn segments(&self) -> impl Iterator<Item = Seg<'_, 'm>> {
        let mut counts = std::collections::BTreeMap::<&str, usize>::new();
        self.0.segments.iter().map(move |segment| {
            let count = counts.entry(segment.name).or_default();
            *count += 1;
            Seg {
                segment,
                message: &self.0,
                number: *count,
            }
        })
    }

    /// The separators: of fields, components and so on, as MSH-1 and MSH-2.
    #[must_use]
    pub fn separators(&self) -> (char, char, String) {
        let s = &self.0.separators;
        let encoding = [s.component, s.repetition, s.escape, s.subcomponent].iter().collect();
        (s.field, s.component, encoding)
    }
}

impl<'s, 'm> Seg<'s, 'm> {
    /// Such as `OBX`.
    #[must_use]
    pub fn name(&self) -> &'m str {
        self.segment.name
    }

    /// A field as it is written.
    #[must_use]
    pub fn raw(&self, field: usize) -> &'m str {
        self.segment.field(field).map_or("", |field| field.raw_value())
    }

    /// A component of the first repetition of a field, without its escapes; `None` when there is nothing, or the explicit nothing.
    #[must_use]
    pub fn text(&self, field: usize, component: usize) -> Option<String> {
        self.repeats(field).next()?.text(component)
    }

    /// The repetitions of a field.
    pub fn repeats(&self, field: usize) -> impl Iterator<Item = Rep<'s, 'm>> + use<'s, 'm> {
        let (segment, message) = (self.segment, self.message);
        let repeats = segment.field(field).into_iter().flat_map(|field| field.repeats.iter());
        repeats.map(move |repeat| Rep { repeat, message })
    }
}

/// One repetition of a field.
#[derive(Clone, Copy)]
pub struct Rep<'s, 'm> {
    repeat: &'s Repeat<'m>,
    message: &'s Parsed<'m>,
}

impl Rep<'_, '_> {
    /// A component, as [`Seg::text`].
    #[must_use]
    pub fn text(&self, component: usize) -> Option<String> {
        let component = self.repeat.component(component)?;
        self.clean(component.raw_value())
    }

    /// A part of a component.
    #[must_use]
    pub fn part(&self, component: usize, part: usize) -> Option<String> {
        let component = self.repeat.component(component)?;
        self.clean(component.subcomponent(part)?.raw_value())
    }

    fn clean(&self, raw: &str) -> Option<String> {
        let text = self.message.separators.decode(raw).to_string();
        let text = text.trim();
        (!text.is_empty() && text != "\"\"").then(|| text.to_owned())
    }
}

/// A time as FHIR writes it, with the moment where it is one: `YYYYMMDD[HHMM[SS[.S]]][+ZZZZ]`. Without a zone it is meant in `zone`;
/// a day alone stays a day. Specification: section 2.A.22 (DTM).
#[must_use]
pub fn time(text: &str, zone: &TimeZone) -> Option<(String, Option<Timestamp>)> {
    let (clock, offset) = match text.find(['+', '-']) {
        None => (text, None),
        Some(at) => (text.get(..at)?, Some(text.get(at..)?)),
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    if !clock.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| clock.get(from..to)?.parse::<i16>().ok();
    let small = |from: usize| i8::try_from(number(from, from + 2)?).ok();
    let date = Date::new(number(0, 4)?, small(4)?, small(6)?).ok()?;
    if clock.len() == 8 {
        return Some((date.to_string(), None));
    }
    let seconds = match clock.len() {
        12 => 0,
        14 => small(12)?,
        _ => return None,
    };
    let time = Time::new(small(8)?, small(10)?, seconds, 0).ok()?;
    let at = date.to_datetime(time);
    let zone = match offset {
        None => zone.clone(),
        Some(offset) => {
            let (sign, digits) = offset.split_at(1);
            if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let (hours, minutes) = (
                digits.get(..2)?.parse::<i32>().ok()?,
                digits.get(2..)?.parse::<i32>().ok()?,
            );
            let seconds = (hours * 60 + minutes) * 60 * if sign == "-" { -1 } else { 1 };
            TimeZone::fixed(Offset::from_seconds(seconds).ok()?)
        }
    };
    let moment = zone.to_timestamp(at).ok()?;
    Some((moment.to_string(), Some(moment)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_as_they_are_written() {
        let zone = TimeZone::get("Europe/Paris").unwrap();
        let written = |text: &str| time(text, &zone).map(|(text, _)| text);
        for (text, expected) in [
            ("202601150830", Some("2026-01-15T07:30:00Z")),
            ("20260115083015", Some("2026-01-15T07:30:15Z")),
            ("20260115083015.1234", Some("2026-01-15T07:30:15Z")),
            ("20260715083015", Some("2026-07-15T06:30:15Z")),
            ("202601150830-0500", Some("2026-01-15T13:30:00Z")),
            ("202601150830+0000", Some("2026-01-15T08:30:00Z")),
            ("20260115", Some("2026-01-15")),
            ("202601", None),
            ("2026011525", None),
            ("202601152530", None),
            ("20260231", None),
            ("202601150830+5", None),
            ("202601150830+9900", None),
            ("2026-01-15", None),
            ("yesterday", None),
            ("", None),
            ("é0260115", None),
        ] {
            assert_eq!(written(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn fields_are_found_and_nothing_is_passed_over() {
        let text = "MSH|^~\\&|LAB|NORTH\rPID|||1^^^A~2^^^B||X\\T\\Y\rOBX|1|NM|a||\"\"\r";
        let message = Message::parse(text).unwrap();
        let pid = message.segments().nth(1).unwrap();
        assert_eq!((pid.text(3, 1), pid.text(5, 1)), (Some("1".into()), Some("X&Y".into())));
        let second = pid.repeats(3).nth(1).unwrap();
        assert_eq!((second.text(1), second.text(4)), (Some("2".into()), Some("B".into())));
        assert_eq!(
            message.segments().nth(2).unwrap().text(5, 1),
            None,
            "explicitly nothing"
        );
        assert_eq!(message.header().unwrap().text(3, 1), Some("LAB".into()));
        assert!(Message::parse("MSH|^~\\&|LAB\rOBX|1\r!!\rOBX|2").is_err_and(|p| p.text.contains("segment 2")));
        for text in ["", "MSH", "PID|1", "{}", "\u{feff}MSH|^~\\&|"] {
            assert!(Message::parse(text).is_err_and(|p| p.reject), "{text}");
        }
    }

    #[test]
    fn other_character_sets() {
        let latin = b"MSH|^~\\&|A|B|C|D|20260101||ORU^R01|1|P|2.5||||||8859/1\rPID|||1||M\xfcller";
        assert!(decoded(latin).unwrap().contains("Müller"));
        assert!(decoded(b"MSH|^~\\&|A\rPID|||1||M\xfcller").is_err());
        assert!(decoded(b"MSH|^~\\&|A|B|C|D|2||ORU^R01|1|P|2.5||||||ISO IR87").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_message_or_none(text in "(MSH\\|\\^~\\\\&\\|)?[A-Z0-9|^~\\\\&\r\n\"é]{0,120}") {
            if let Ok(message) = Message::parse(&text) {
                for segment in message.segments() {
                    for field in 1..20 {
                        let _ = (segment.text(field, 1), segment.raw(field));
                    }
                }
            }
        }

        #[test]
        fn any_text_is_a_time_or_none(text in "[0-9+.\\-é]{0,24}") {
            let _ = time(&text, &TimeZone::UTC);
        }
    }
}
