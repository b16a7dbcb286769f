//! Numbers and dates as each language writes them.

use jiff::{Timestamp, tz::TimeZone};

/// A language that cards speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// French.
    French,
}

impl Language {
    /// From a language tag; English unless it is French.
    #[must_use]
    pub fn from_tag(tag: &str) -> Self {
        if tag.to_ascii_lowercase().starts_with("fr") {
            Self::French
        } else {
            Self::English
        }
    }

    /// `en` or `fr`.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }
}

fn localise(text: String, language: Language) -> String {
    match language {
        Language::English => text,
        Language::French => text.replace('.', ","),
    }
}

/// A number with at most three decimals and no trailing zeros, as values of a record are shown.
#[must_use]
pub fn number(value: f64, language: Language) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    localise(text.to_owned(), language)
}

/// Power of ten of the leading digit of a finite number that is not zero.
#[must_use]
pub fn magnitude(value: f64) -> i32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the logarithm of a finite number is small"
    )]
    let magnitude = value.abs().log10().floor() as i32;
    magnitude
}

/// A prediction: so many significant figures, never in scientific notation.
#[must_use]
pub fn significant(value: f64, figures: i32, language: Language) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let decimals = figures - 1 - magnitude(value);
    let scale = 10f64.powi(decimals);
    let rounded = (value * scale).round() / scale;
    let places = usize::try_from(decimals.max(0)).unwrap_or(0);
    localise(format!("{rounded:.places$}"), language)
}

/// A probability as a percentage; the ends of the scale are never claimed.
#[must_use]
pub fn percent(probability: f64, language: Language) -> String {
    let text = match (probability * 100.0).round() {
        p if p < 1.0 => "< 1".to_owned(),
        p if p > 99.0 => "> 99".to_owned(),
        p => format!("{p:.0}"),
    };
    match language {
        Language::English => format!("{text} %"),
        Language::French => format!("{text}\u{202f}%"),
    }
}

/// A UCUM unit as people write it; nothing for a pure number.
#[must_use]
pub fn unit(code: &str) -> String {
    if code == "1" {
        return String::new();
    }
    // Micro is written `u` in UCUM.
    let micro = |part: &str| match part.strip_prefix('u') {
        Some(rest @ ("g" | "mol" | "L")) => format!("µ{rest}"),
        _ => part.to_owned(),
    };
    let shown: Vec<String> = code.split('/').map(micro).collect();
    shown
        .join("/")
        .replace('.', "·")
        .replace("10*9", "10⁹")
        .replace(['[', ']'], "")
}

const MONTHS: [(&str, &str); 12] = [
    ("Jan", "janv."),
    ("Feb", "févr."),
    ("Mar", "mars"),
    ("Apr", "avr."),
    ("May", "mai"),
    ("Jun", "juin"),
    ("Jul", "juil."),
    ("Aug", "août"),
    ("Sep", "sept."),
    ("Oct", "oct."),
    ("Nov", "nov."),
    ("Dec", "déc."),
];

/// Day, month and time of day in `zone`, with the year when it is not that of `now`.
#[must_use]
pub fn date_time(time: Timestamp, now: Timestamp, zone: &TimeZone, language: Language) -> String {
    let local = time.to_zoned_datetime(zone.clone());
    let month = usize::try_from(local.month())
        .ok()
        .and_then(|m| MONTHS.get(m.checked_sub(1)?))
        .copied();
    let (english, french) = month.unwrap_or(("?", "?"));
    let month = if language == Language::French { french } else { english };
    let year = if local.year() == now.to_zoned_datetime(zone.clone()).year() {
        String::new()
    } else {
        format!(" {}", local.year())
    };
    format!(
        "{} {month}{year} {:02}:{:02}",
        local.day(),
        local.hour(),
        local.minute()
    )
}

/// A day, `2 Jun 1959`; a partial date as it is written.
#[must_use]
pub fn day(written: &str, language: Language) -> String {
    let Ok(date) = written.parse::<jiff::civil::Date>() else {
        return written.to_owned();
    };
    let month = usize::try_from(date.month() - 1)
        .ok()
        .and_then(|place| MONTHS.get(place));
    let (english, french) = month.copied().unwrap_or(("?", "?"));
    let month = if language == Language::French { french } else { english };
    format!("{} {month} {}", date.day(), date.year())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn french_writes_a_comma() {
        assert_eq!(number(1.25, Language::French), "1,25");
        assert_eq!(significant(4.7612, 2, Language::French), "4,8");
    }

    #[test]
    fn significant_figures() {
        assert_eq!(significant(651.913, 3, Language::English), "652");
        assert_eq!(significant(1234.0, 3, Language::English), "1230");
        assert_eq!(significant(0.01234, 2, Language::English), "0.012");
    }

    #[test]
    fn certainty_is_never_claimed() {
        assert_eq!(percent(1.0, Language::English), "> 99 %");
        assert_eq!(percent(0.001, Language::English), "< 1 %");
        assert_eq!(percent(0.5, Language::French), "50\u{202f}%");
    }

    #[test]
    fn dates_show_the_year_only_when_it_differs() {
        let now: Timestamp = "2026-06-02T08:00:00Z".parse().unwrap();
        let time: Timestamp = "2026-06-01T10:30:00Z".parse().unwrap();
        assert_eq!(date_time(time, now, &TimeZone::UTC, Language::English), "1 Jun 10:30");
        let old: Timestamp = "2025-02-01T10:30:00Z".parse().unwrap();
        assert_eq!(
            date_time(old, now, &TimeZone::UTC, Language::French),
            "1 févr. 2025 10:30"
        );
    }
}
