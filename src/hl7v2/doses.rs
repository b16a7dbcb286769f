//! Doses: RXA of RAS^O17 as MedicationAdministrations, RXE of RDE^O11 as MedicationRequests. Specification: HL7 v2.5.1, sections 4.14.4,
//! 4.14.7, 4.5.4 (TQ1); tables 0119 (order control), 0322 (completion), 0335 (repeat patterns).

use serde_json::{Value, json};

use super::{
    message::{Problem, Seg, time},
    resources::{Context, number, quantity, route},
};
use crate::store::inbox::Fact;

/// The number of an order: by whom it is, and what.
fn order(orc: &Seg<'_, '_>) -> Result<[String; 3], Problem> {
    let numbered = |field: usize, by: &str| {
        let number = orc.text(field, 1)?;
        Some([by.to_owned(), number, orc.text(field, 2).unwrap_or_default()])
    };
    numbered(2, "placer").or_else(|| numbered(3, "filler")).ok_or_else(|| {
        let text = "without the number of the order (ORC-2 or ORC-3) a change could not be told from another order";
        Problem::field(orc, "ORC", 2, text)
    })
}

/// A dose that was given, or was not.
///
/// # Errors
/// [`Problem`] when one cannot tell which dose, or when.
pub fn administration(
    context: &Context<'_>,
    orc: &Seg<'_, '_>,
    rxa: &Seg<'_, '_>,
    rxr: Option<&Seg<'_, '_>>,
) -> Result<Fact, Problem> {
    let [by, number_of_order, namespace] = order(orc)?;
    let Some((code, drug)) = drug(context, rxa, 5) else {
        return Err(Problem::field(rxa, "RXA", 5, "the code of the drug is missing"));
    };
    let Some(counter) = rxa.text(2, 1) else {
        let text = "without the number of the administration (RXA-2) a correction could not be told from another dose";
        return Err(Problem::field(rxa, "RXA", 2, text));
    };
    let moment = |field: usize| {
        let written = rxa.text(field, 1);
        written.map(|text| time(&text, context.zone).ok_or(text)).transpose()
    };
    let bad = |field| {
        Problem::field(
            rxa,
            "RXA",
            field,
            "the time must be written YYYYMMDDHHMM, with or without seconds and zone",
        )
    };
    let (start, end) = (moment(3).map_err(|_| bad(3))?, moment(4).map_err(|_| bad(4))?);
    let Some((start, begun)) = start else {
        return Err(Problem::field(
            rxa,
            "RXA",
            3,
            "the start of the administration is missing",
        ));
    };
    // Many systems number each order's administrations 0 or 1: then the start tells them apart, and a change of it is a problem.
    let alone = matches!(counter.as_str(), "0" | "1");
    let at = if alone { start.as_str() } else { "" };
    let give = rxa.text(1, 1).unwrap_or_default();
    let id = context.id(&["dose", &by, &number_of_order, &namespace, &give, &counter, &code, at]);
    let resource = match rxa.raw(21) {
        "D" => None,
        "U" if alone => {
            let text =
                "a correction (U) needs a number of the administration (RXA-2) that no other one of the order has";
            return Err(Problem::field(rxa, "RXA", 2, text));
        }
        "" | "A" | "U" => {
            let status = match rxa.raw(20) {
                "" | "CP" => "completed",
                "PA" => "stopped",
                "RE" | "NA" => "not-done",
                _ => {
                    return Err(Problem::field(
                        rxa,
                        "RXA",
                        20,
                        "the completion status must be CP, PA, RE or NA",
                    ));
                }
            };
            let mut resource = json!({
                "resourceType": "MedicationAdministration", "id": id, "status": status, "medicationCodeableConcept": drug,
            });
            match end {
                Some((end, ended)) if ended > begun => {
                    resource["effectivePeriod"] = json!({ "start": start, "end": end });
                }
                _ => resource["effectiveDateTime"] = json!(start),
            }
            let mut dosage = json!({});
            // 999 is written where the amount is not known.
            let amount = rxa.text(6, 1).filter(|text| text != "999");
            if let Some(text) = amount {
                let Some(value) = number(&text) else {
                    return Err(Problem::field(rxa, "RXA", 6, "the amount is no number"));
                };
                dosage["dose"] = quantity(value, None, rxa.repeats(7).next());
            }
            if let Some(route) = rxr.and_then(|rxr| route(rxr, context)) {
                dosage["route"] = route;
            }
            if dosage.as_object().is_some_and(|dosage| !dosage.is_empty()) {
                resource["dosage"] = dosage;
            }
            Some(resource)
        }
        _ => return Err(Problem::field(rxa, "RXA", 21, "the action must be A, U or D")),
    };
    Ok(Fact {
        id,
        at: context.written,
        resource,
    })
}

/// The code of a drug as it is written, and as CodeableConcept.
fn drug(context: &Context<'_>, segment: &Seg<'_, '_>, field: usize) -> Option<(String, Value)> {
    let field = segment.repeats(field).next()?;
    let code = field.text(1).or_else(|| field.text(2))?;
    Some((code, context.concept(&field)?))
}

/// An order for a drug.
///
/// # Errors
/// [`Problem`] when one cannot tell which order, or what became of it.
pub fn request(
    context: &Context<'_>,
    orc: &Seg<'_, '_>,
    rxe: &Seg<'_, '_>,
    timings: &[Seg<'_, '_>],
    rxr: Option<&Seg<'_, '_>>,
) -> Result<Fact, Problem> {
    let [by, number_of_order, namespace] = order(orc)?;
    let Some(status) = status(orc.raw(1), orc.raw(5)) else {
        let text = "the order control is none that is read here (docs/integration/hl7v2.md lists them)";
        return Err(Problem::wrong(103, ("ORC", orc.number, 1), text));
    };
    let Some((_, drug)) = drug(context, rxe, 2) else {
        return Err(Problem::field(rxe, "RXE", 2, "the code of the drug is missing"));
    };
    let id = context.id(&["order", &by, &number_of_order, &namespace]);
    let mut resource = json!({
        "resourceType": "MedicationRequest", "id": id, "status": status, "intent": "order", "medicationCodeableConcept": drug,
    });
    let authored = orc.text(9, 1).and_then(|text| time(&text, context.zone));
    resource["authoredOn"] = json!(authored.map_or_else(|| context.written.to_string(), |(text, _)| text));
    let amount = |field: usize| -> Result<Option<Value>, Problem> {
        let Some(text) = rxe.text(field, 1) else {
            return Ok(None);
        };
        number(&text)
            .map(Some)
            .ok_or_else(|| Problem::field(rxe, "RXE", field, "the amount is no number"))
    };
    let (least, most) = (amount(3)?, amount(4)?);
    let unit = rxe.repeats(5).next();
    let dose = match (least, most) {
        (Some(least), Some(most)) if least.as_f64() != most.as_f64() => Some(json!({
            "doseRange": { "low": quantity(least, None, unit), "high": quantity(most, None, unit) },
        })),
        (Some(value), _) | (None, Some(value)) => Some(json!({ "doseQuantity": quantity(value, None, unit) })),
        (None, None) => None,
    };
    let dose = match (dose, amount(23)?) {
        (Some(mut dose), Some(rate)) => {
            dose["rateQuantity"] = quantity(rate, None, rxe.repeats(24).next());
            Some(dose)
        }
        (dose, _) => dose,
    };
    let mut instructions: Vec<Value> = timings
        .iter()
        .map(|tq1| timing(tq1, context))
        .collect::<Result<_, _>>()?;
    if instructions.is_empty() {
        instructions.push(json!({}));
    }
    for instruction in &mut instructions {
        if let Some(dose) = &dose {
            instruction["doseAndRate"] = json!([dose]);
        }
        if let Some(route) = rxr.and_then(|rxr| route(rxr, context)) {
            instruction["route"] = route;
        }
    }
    resource["dosageInstruction"] = Value::Array(instructions);
    Ok(Fact {
        id,
        at: context.written,
        resource: Some(resource),
    })
}

/// What an order control makes of its order, or where it goes on, its status (ORC-5, table 0038).
fn status(control: &str, status: &str) -> Option<&'static str> {
    Some(match control {
        "CA" | "OC" | "CR" | "UA" => "cancelled",
        // Another order takes the place of a replaced one, under a control of its own (RO).
        "DC" | "OD" | "DR" | "RP" | "RQ" | "RU" => "stopped",
        "HD" | "OH" | "HR" => "on-hold",
        "NW" | "OK" | "XO" | "XX" | "XR" | "RO" | "RE" | "RL" | "OE" | "OR" | "SC" | "RF" | "AF" => match status {
            "CM" => "completed",
            "CA" => "cancelled",
            "DC" | "RP" => "stopped",
            "HD" => "on-hold",
            _ => "active",
        },
        _ => return None,
    })
}

/// How often and from when to when, as the beginning of a dosage instruction.
fn timing(tq1: &Seg<'_, '_>, context: &Context<'_>) -> Result<Value, Problem> {
    let mut repeat = json!({});
    let mut instruction = json!({});
    let moment = |field: usize| -> Result<Option<String>, Problem> {
        let Some(text) = tq1.text(field, 1) else {
            return Ok(None);
        };
        let problem = || Problem::field(tq1, "TQ1", field, "the time must be written YYYYMMDDHHMM, or YYYYMMDD");
        time(&text, context.zone)
            .map(|(text, _)| Some(text))
            .ok_or_else(problem)
    };
    let mut bounds = json!({});
    for (name, field) in [("start", 7), ("end", 8)] {
        if let Some(at) = moment(field)? {
            bounds[name] = json!(at);
        }
    }
    let mut patterns = tq1.repeats(3).filter_map(|field| field.part(1, 1));
    let (pattern, more) = (patterns.next(), patterns.next());
    match (pattern.as_deref().and_then(often), more) {
        (Some(often), None) => {
            for (name, value) in [
                ("frequency", json!(often.0)),
                ("period", json!(often.1)),
                ("periodUnit", json!(often.2)),
            ] {
                repeat[name] = value;
            }
        }
        (None, None) if pattern.as_deref().is_some_and(|p| p.eq_ignore_ascii_case("once")) => {
            repeat["count"] = json!(1)
        }
        // Whoever reads it says that it is not understood.
        _ => {
            let raw = tq1.raw(3);
            if !raw.is_empty() {
                instruction["text"] = json!(raw);
                instruction["timing"] = json!({ "code": { "text": raw } });
            }
        }
    }
    if bounds.as_object().is_some_and(|bounds| !bounds.is_empty()) {
        repeat["boundsPeriod"] = bounds;
    }
    if repeat.as_object().is_some_and(|repeat| !repeat.is_empty()) {
        instruction["timing"]["repeat"] = repeat;
    }
    Ok(instruction)
}

/// Times in a period of a repeat pattern.
fn often(pattern: &str) -> Option<(u32, u32, &'static str)> {
    let pattern = pattern.to_ascii_uppercase();
    Some(match pattern.as_str() {
        "BID" => (2, 1, "d"),
        "TID" => (3, 1, "d"),
        "QID" => (4, 1, "d"),
        "QD" | "DAILY" | "QAM" | "QPM" | "QHS" | "QDAY" => (1, 1, "d"),
        "QOD" => (1, 2, "d"),
        "QW" | "WEEKLY" => (1, 1, "wk"),
        _ => {
            let rest = pattern.strip_prefix('Q')?;
            let unit = match rest.chars().next_back()? {
                'H' => "h",
                'D' => "d",
                'W' => "wk",
                _ => return None,
            };
            let count = rest
                .get(..rest.len() - 1)?
                .parse()
                .ok()
                .filter(|count| (1..1000).contains(count))?;
            (1, count, unit)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_was_replaced_or_is_no_longer_given_is_not_active() {
        for (control, of, expected) in [
            ("NW", "", Some("active")),
            ("RO", "", Some("active")),
            ("RP", "", Some("stopped")),
            ("RU", "IP", Some("stopped")),
            ("SC", "CM", Some("completed")),
            ("SC", "DC", Some("stopped")),
            ("SC", "IP", Some("active")),
            ("HD", "", Some("on-hold")),
            ("DF", "", None),
            ("PA", "", None),
            ("", "", None),
        ] {
            assert_eq!(status(control, of), expected, "{control} {of}");
        }
    }

    #[test]
    fn repeat_patterns() {
        assert_eq!(often("Q12H"), Some((1, 12, "h")));
        assert_eq!(often("q8h"), Some((1, 8, "h")));
        assert_eq!(often("Q2W"), Some((1, 2, "wk")));
        assert_eq!(often("BID"), Some((2, 1, "d")));
        for other in ["", "Q", "QH", "Q0H", "Q12", "Q12J2", "PRN", "QéH", "C"] {
            assert_eq!(often(other), None, "{other}");
        }
    }
}
