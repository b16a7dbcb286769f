//! A draft order in words: dose, route, how often, over how long, how many times.

use serde_json::Value;

/// The dosage instructions of a MedicationRequest in `en` or `fr`. Instructions without a structured dose are given in their
/// own words.
pub(super) fn words(order: &Value, language: &str) -> String {
    let french = language == "fr";
    let parts: Vec<String> = order
        .get("dosageInstruction")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|instruction| one(instruction, french))
        .filter(|words| !words.is_empty())
        .collect();
    parts.join(if french { "\u{202f}; puis " } else { "; then " })
}

fn one(instruction: &Value, french: bool) -> String {
    let Some(dose) = dose(instruction, french) else {
        return string(instruction, "/text").to_owned();
    };
    let repeat = instruction.pointer("/timing/repeat").unwrap_or(&Value::Null);
    let mut words = dose;
    for part in [route(instruction, french), often(repeat, french)]
        .into_iter()
        .flatten()
    {
        words.push(' ');
        words.push_str(&part);
    }
    if let Some(over) = length(repeat, french) {
        words.push_str(&over);
    }
    if let Some(count) = positive(repeat, "/count").filter(|count| *count > 1.0) {
        words.push_str(&format!(", {}\u{a0}doses", number(count, french)));
    }
    words
}

fn dose(instruction: &Value, french: bool) -> Option<String> {
    let value = positive(instruction, "/doseAndRate/0/doseQuantity/value")?;
    let unit = match string(instruction, "/doseAndRate/0/doseQuantity/unit") {
        "" => string(instruction, "/doseAndRate/0/doseQuantity/code"),
        unit => unit,
    };
    let unit = match unit.trim_matches(['[', ']']) {
        "IU" if french => "UI",
        "ug" | "mcg" => "µg",
        unit => unit,
    };
    Some(format!("{}\u{a0}{unit}", number(value, french)).trim_end().to_owned())
}

/// By the SNOMED CT code where it is one of the common ones, else as it was written.
fn route(instruction: &Value, french: bool) -> Option<String> {
    let coded = instruction
        .pointer("/route/coding")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find_map(|coding| match string(coding, "/code") {
            "47625008" => Some("IV"),
            "34206005" => Some("SC"),
            "78421000" => Some("IM"),
            "26643006" => Some(if french { "par voie orale" } else { "by mouth" }),
            _ => None,
        });
    let written = string(instruction, "/route/text");
    coded.or((!written.is_empty()).then_some(written)).map(str::to_owned)
}

/// How often; a single dose is `once`.
fn often(repeat: &Value, french: bool) -> Option<String> {
    let Some(period) = positive(repeat, "/period") else {
        let once = positive(repeat, "/count").is_none_or(|count| count <= 1.0);
        return once.then(|| (if french { "une fois" } else { "once" }).to_owned());
    };
    if positive(repeat, "/count") == Some(1.0) {
        return Some((if french { "une fois" } else { "once" }).to_owned());
    }
    let unit = Unit::of(string(repeat, "/periodUnit"))?;
    let times = positive(repeat, "/frequency").unwrap_or(1.0);
    Some(if french {
        unit.often_fr(times, period)
    } else {
        unit.often_en(times, period)
    })
}

/// `, over 1.5 h`.
fn length(repeat: &Value, french: bool) -> Option<String> {
    let value = positive(repeat, "/duration")?;
    let unit = Unit::of(string(repeat, "/durationUnit"))?;
    let words = unit.amount(value, french);
    Some(if french {
        format!(", en {words}")
    } else {
        format!(", over {words}")
    })
}

/// A unit of time with its words: symbol or singular and plural, English and French, and whether French says `toutes`.
struct Unit {
    english: [&'static str; 2],
    french: [&'static str; 2],
    feminine: bool,
}

impl Unit {
    fn of(code: &str) -> Option<Self> {
        let (english, french, feminine) = match code {
            "s" => (["s", "s"], ["s", "s"], true),
            "min" => (["min", "min"], ["min", "min"], true),
            "h" => (["h", "h"], ["h", "h"], true),
            "d" => (["day", "days"], ["jour", "jours"], false),
            "wk" => (["week", "weeks"], ["semaine", "semaines"], true),
            "mo" => (["month", "months"], ["mois", "mois"], false),
            "a" => (["year", "years"], ["an", "ans"], false),
            _ => return None,
        };
        Some(Self {
            english,
            french,
            feminine,
        })
    }

    fn amount(&self, value: f64, french: bool) -> String {
        let [one, many] = if french { self.french } else { self.english };
        let plural = if french { value >= 2.0 } else { value != 1.0 };
        format!("{}\u{a0}{}", number(value, french), if plural { many } else { one })
    }

    fn often_en(&self, times: f64, period: f64) -> String {
        let [one, _] = self.english;
        let each = (period == 1.0).then_some(one);
        match (times, each) {
            (1.0, Some("day")) => "once a day".to_owned(),
            (1.0, Some(each)) => format!("every {each}"),
            (1.0, None) => format!("every {}", self.amount(period, false)),
            (2.0, Some(each)) => format!("twice a {each}"),
            (times, Some(each)) => format!("{} times a {each}", number(times, false)),
            (times, None) => format!("{} times in {}", number(times, false), self.amount(period, false)),
        }
    }

    fn often_fr(&self, times: f64, period: f64) -> String {
        let [one, many] = self.french;
        let all = if self.feminine { "toutes" } else { "tous" };
        match (times, period == 1.0) {
            (1.0, true) if one == "jour" => "une fois par jour".to_owned(),
            (1.0, true) => format!("{all} les {many}"),
            (1.0, false) => format!("{all} les {}", self.amount(period, true)),
            (times, true) => format!("{}\u{a0}fois par {one}", number(times, true)),
            (times, false) => format!("{}\u{a0}fois en {}", number(times, true), self.amount(period, true)),
        }
    }
}

fn number(value: f64, french: bool) -> String {
    let text = value.to_string();
    if french { text.replace('.', ",") } else { text }
}

fn positive(value: &Value, path: &str) -> Option<f64> {
    value
        .pointer(path)
        .and_then(Value::as_f64)
        .filter(|number| *number > 0.0)
}

fn string<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn both(instruction: &Value) -> [String; 2] {
        ["en", "fr"].map(|language| {
            let order = json!({ "dosageInstruction": [instruction] });
            words(&order, language).replace(['\u{a0}', '\u{202f}'], " ")
        })
    }

    fn order(value: f64, unit: &str, route: &str, repeat: Value) -> Value {
        json!({
            "doseAndRate": [{"doseQuantity": {"value": value, "unit": unit}}],
            "route": {"coding": [{"code": route}], "text": "somehow"},
            "timing": {"repeat": repeat},
        })
    }

    #[test]
    fn each_kind_of_rhythm_has_its_words() {
        let repeat = |frequency: u32, period: f64, unit: &str| json!({"frequency": frequency, "period": period, "periodUnit": unit});
        for (instruction, english, french) in [
            (
                order(5.0, "mg", "26643006", repeat(1, 1.0, "d")),
                "5 mg by mouth once a day",
                "5 mg par voie orale une fois par jour",
            ),
            (
                order(2000.0, "IU", "47625008", repeat(1, 3.0, "d")),
                "2000 IU IV every 3 days",
                "2000 UI IV tous les 3 jours",
            ),
            (
                order(162.0, "mg", "34206005", repeat(1, 1.0, "wk")),
                "162 mg SC every week",
                "162 mg SC toutes les semaines",
            ),
            (
                order(0.5, "mg", "26643006", repeat(2, 1.0, "d")),
                "0.5 mg by mouth twice a day",
                "0,5 mg par voie orale 2 fois par jour",
            ),
            (
                order(10.0, "mg", "1", repeat(3, 1.0, "wk")),
                "10 mg somehow 3 times a week",
                "10 mg somehow 3 fois par semaine",
            ),
            (
                order(
                    410.0,
                    "mg",
                    "47625008",
                    json!({"frequency": 1, "period": 8, "periodUnit": "wk", "duration": 90, "durationUnit": "min"}),
                ),
                "410 mg IV every 8 weeks, over 90 min",
                "410 mg IV toutes les 8 semaines, en 90 min",
            ),
            (
                order(
                    6000.0,
                    "mg",
                    "47625008",
                    json!({"count": 1, "duration": 24, "durationUnit": "h"}),
                ),
                "6000 mg IV once, over 24 h",
                "6000 mg IV une fois, en 24 h",
            ),
            (
                order(
                    17.8,
                    "mg",
                    "47625008",
                    json!({"count": 13, "frequency": 1, "period": 6, "periodUnit": "h"}),
                ),
                "17.8 mg IV every 6 h, 13 doses",
                "17,8 mg IV toutes les 6 h, 13 doses",
            ),
        ] {
            assert_eq!(both(&instruction), [english, french]);
        }
    }

    #[test]
    fn what_has_no_structure_keeps_its_own_words() {
        assert_eq!(both(&json!({"text": "as told"})), ["as told", "as told"]);
        assert_eq!(words(&json!({}), "en"), "");
        let twice = json!({"dosageInstruction": [{"text": "first"}, {"text": "second"}]});
        assert_eq!(words(&twice, "en"), "first; then second");
    }
}
