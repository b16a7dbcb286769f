//! Numbers, units, codes, ranges and measures in words.

use jiff::SignedDuration;

use super::markdown::{code, plain};
use crate::{
    model::{
        formula::Number,
        twin_file::{Measure, Range, Since, Status, Take, Text, Urgency, Window},
    },
    patient::needs::{ATC, Code, LOINC, RXNORM, SNOMED},
    wording::{Language, significant},
};

/// What cannot be said of a number of the file in fewer figures.
pub(super) fn exact(value: f64) -> String {
    match value {
        f64::INFINITY => "∞".to_owned(),
        f64::NEG_INFINITY => "-∞".to_owned(),
        value => value.to_string(),
    }
}

/// A computed number: three figures, no zeros at the end.
pub(super) fn rounded(value: f64) -> String {
    let text = significant(value, 3, Language::English);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A UCUM unit as people write it; nothing for a pure number.
pub(super) fn unit(code: &str) -> String {
    if code == "1" {
        return String::new();
    }
    let mut out = String::new();
    for (i, part) in code.split('/').enumerate() {
        if i > 0 {
            out.push('/');
        }
        let factors: Vec<String> = part.split('.').map(factor).collect();
        out.push_str(&factors.join("·"));
    }
    out
}

fn factor(code: &str) -> String {
    if let Some(power) = code.strip_prefix("10*") {
        return format!("10{}", power.chars().map(raised).collect::<String>());
    }
    let bare = match code {
        "a" => "years".to_owned(),
        "wk" => "weeks".to_owned(),
        "Cel" => "°C".to_owned(),
        code => code.replace(['[', ']'], ""),
    };
    let bare = match bare.strip_prefix('u') {
        Some(rest @ ("g" | "mol" | "L" | "m" | "U" | "IU")) => format!("µ{rest}"),
        _ => bare,
    };
    match bare.strip_suffix(['2', '3']) {
        Some(stem) if stem.chars().all(char::is_alphabetic) && !stem.is_empty() => {
            format!("{stem}{}", bare.chars().last().map(raised).unwrap_or_default())
        }
        _ => bare,
    }
}

fn raised(digit: char) -> char {
    match digit {
        '-' => '⁻',
        digit => {
            let place = digit.to_digit(10).and_then(|d| usize::try_from(d).ok()).unwrap_or(0);
            "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(place).unwrap_or(digit)
        }
    }
}

/// A number with its unit.
pub(super) fn quantity(value: &str, ucum: &str) -> String {
    let unit = unit(ucum);
    let times = if unit.starts_with("10") { "× " } else { "" };
    format!("{value} {times}{unit}").trim_end().to_owned()
}

/// A length of time.
pub(super) fn hours(hours: f64) -> String {
    let whole = |of: f64| (hours / of).fract().abs() < 1e-9;
    if hours > 0.0 && hours < 1.0 {
        format!("{} min", rounded(hours * 60.0))
    } else if hours >= 672.0 && whole(168.0) {
        format!("{} weeks", hours / 168.0)
    } else if hours >= 72.0 && whole(24.0) {
        format!("{} d", hours / 24.0)
    } else {
        format!("{hours} h")
    }
}

/// A length of time.
pub(super) fn length(duration: SignedDuration) -> String {
    hours(duration.as_secs_f64() / 3600.0)
}

/// A text in both languages.
pub(super) fn both(text: &Text) -> String {
    let (english, french) = (plain(&text.en), plain(&text.fr));
    if english.eq_ignore_ascii_case(&french) {
        return english;
    }
    format!("{english} (*{french}*)")
}

/// Codes, system by system.
pub(super) fn codes(codes: &[Code]) -> String {
    let mut systems: Vec<(&str, Vec<String>)> = Vec::new();
    for Code { system, code: own } in codes {
        let (name, shown) = match system.as_str() {
            LOINC => ("LOINC", format!("[{own}](https://loinc.org/{own})")),
            SNOMED => ("SNOMED CT", plain(own)),
            RXNORM => ("RxNorm", plain(own)),
            ATC => ("ATC", plain(own)),
            "http://hl7.org/fhir/sid/icd-10-cm" | "http://hl7.org/fhir/sid/icd-10" => ("ICD-10", plain(own)),
            "http://www.cms.gov/Medicare/Coding/ICD10" => ("ICD-10-PCS", plain(own)),
            "http://www.ama-assn.org/go/cpt" => ("CPT", plain(own)),
            _ => ("", code(&format!("{system}|{own}"))),
        };
        match systems.iter_mut().find(|(known, _)| *known == name) {
            Some((_, list)) if list.contains(&shown) => {}
            Some((_, list)) => list.push(shown),
            None => systems.push((name, vec![shown])),
        }
    }
    let systems = systems.iter().map(|(name, list)| format!("{name} {}", list.join(", ")));
    systems.map(|s| s.trim().to_owned()).collect::<Vec<_>>().join("; ")
}

/// A number or the formula that gives it.
pub(super) fn number(number: &Number) -> String {
    match number {
        Number::Plain(value) => exact(*value),
        Number::Formula(formula) => code(formula.text()),
    }
}

/// A range with its unit.
pub(super) fn range(range: &Range, ucum: &str) -> String {
    match (&range.low, &range.high) {
        (Some(low), Some(high)) => quantity(&format!("{} to {}", number(low), number(high)), ucum),
        (Some(low), None) => format!("{} or more", quantity(&number(low), ucum)),
        (None, Some(high)) => format!("{} or less", quantity(&number(high), ucum)),
        (None, None) => "any".to_owned(),
    }
}

/// The ends between which a model or a twin holds.
pub(super) fn ends((low, high): (f64, f64), ucum: &str) -> String {
    match (low.is_finite(), high.is_finite()) {
        (true, true) if low.total_cmp(&high).is_eq() => format!("{} only", quantity(&exact(low), ucum)),
        (true, true) => quantity(&format!("{} to {}", exact(low), exact(high)), ucum),
        (true, false) => format!("from {}", quantity(&exact(low), ucum)),
        (false, true) => format!("up to {}", quantity(&exact(high), ucum)),
        (false, false) => String::new(),
    }
}

/// How a measure is taken.
pub(super) fn taken(measure: &Measure) -> String {
    let of = code(&measure.output);
    let level = measure.level.map(exact).unwrap_or_default();
    let what = match measure.take {
        Take::Area => format!("area under {of}"),
        Take::Mean => format!("mean of {of}"),
        Take::Highest => format!("highest {of}"),
        Take::Lowest => format!("lowest {of}"),
        Take::First | Take::Last => of,
        Take::TimeBelow => format!("hours with {of} below {level}"),
        Take::TimeAbove => format!("hours with {of} above {level}"),
        Take::TimeOfLowest => format!("hours until {of} is lowest"),
        Take::TimeOfHighest => format!("hours until {of} is highest"),
        Take::FirstTimeBelow => format!("hours until {of} is first below {level}"),
        Take::FirstTimeAbove => format!("hours until {of} is first above {level}"),
        Take::DoseIntensity => {
            return "dose a day of the plan as a share of the present plan's, delay counted".to_owned();
        }
        Take::DosePerWeek => return "dose a week of the plan".to_owned(),
    };
    let window = match (measure.window, measure.take) {
        (Window::Steady, Take::Area) => "per 24 h at steady state".to_owned(),
        (Window::Steady, Take::TimeBelow | Take::TimeAbove) => "a week at steady state".to_owned(),
        (Window::Steady, Take::First) => "at the beginning of an interval at steady state".to_owned(),
        (Window::Steady, Take::Last) => "at the end of an interval at steady state".to_owned(),
        (Window::Steady, _) => "at steady state".to_owned(),
        (Window::Span { from, to, since }, _) => {
            let since = match since {
                Since::Now => "now",
                Since::Dose => "the first dose of the plan",
                Since::FirstDose => "the first dose of the record, or of the plan when there is none",
            };
            match measure.take {
                Take::First => format!("{} after {since}", hours(from)),
                Take::Last => format!("{} after {since}", hours(to)),
                _ if from == 0.0 => format!("within {} of {since}", hours(to)),
                _ => format!("from {} to {} after {since}", hours(from), hours(to)),
            }
        }
    };
    let by = measure
        .by
        .as_ref()
        .map(|by| format!(", divided by {}", code(by.text())));
    let change = measure.change.then_some(", less its value at the start");
    format!(
        "{what} {window}{}{}",
        by.unwrap_or_default(),
        change.unwrap_or_default()
    )
}

/// How loudly something is said.
pub(super) fn urgency(urgency: Urgency) -> String {
    let word = match urgency {
        Urgency::Info => "information",
        Urgency::Warning => "warning",
        Urgency::Critical => "critical",
    };
    word.to_owned()
}

/// A status in a word.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Investigational => "investigational",
        Status::Draft => "draft",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_for_people() {
        let shown = ["mg.h/L", "10*9/L", "[IU]/dL", "umol/L", "m2", "1", "a", "mm[Hg]"].map(unit);
        let wanted = ["mg·h/L", "10⁹/L", "IU/dL", "µmol/L", "m²", "", "years", "mmHg"];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn lengths() {
        assert_eq!(
            [0.5, 12.0, 48.0, 168.0, 336.0, 672.0].map(hours),
            ["30 min", "12 h", "48 h", "7 d", "14 d", "4 weeks"]
        );
    }

    #[test]
    fn a_range_has_its_unit() {
        let above = Range {
            low: Some(Number::Plain(5.0)),
            high: None,
        };
        assert_eq!(range(&above, "mg/L"), "5 mg/L or more");
        assert_eq!(range(&above, "10*9/L"), "5 × 10⁹/L or more");
        assert_eq!(ends((0.0, 0.0), "1"), "0 only");
        assert_eq!(ends((18.0, f64::INFINITY), "a"), "from 18 years");
    }
}
