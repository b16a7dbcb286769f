//! Results: OBX of ORU^R01 as Observations. Specification: HL7 v2.5.1, section 7.4.2; status by table 0085.

use serde_json::{Value, json};

use super::{
    message::{Problem, Seg, time},
    resources::{Context, number, quantity},
};
use crate::store::inbox::Fact;

/// What an OBX under its OBR says; `None` where it says nothing yet.
///
/// # Errors
/// [`Problem`] when one cannot tell what it is, or which.
pub fn result(context: &Context<'_>, order: &Seg<'_, '_>, obx: &Seg<'_, '_>) -> Result<Option<Fact>, Problem> {
    let Some(code) = obx.repeats(3).next().and_then(|field| context.concept(&field)) else {
        return Err(Problem::field(obx, "OBX", 3, "the code of the observation is missing"));
    };
    // Documents and pointers to them.
    if matches!(obx.raw(2), "ED" | "RP") {
        return Ok(None);
    }
    let status = match obx.raw(11) {
        // Not there yet, or a question of the order.
        "I" | "O" | "N" => return Ok(None),
        "F" | "U" => Some("final"),
        "C" => Some("corrected"),
        "P" | "R" | "S" | "B" | "V" => Some("preliminary"),
        "X" => Some("cancelled"),
        "W" => Some("entered-in-error"),
        "D" => None,
        _ => {
            return Err(Problem::field(
                obx,
                "OBX",
                11,
                "the status of the result must be one of table 0085",
            ));
        }
    };
    let number_of_order = [3, 2]
        .into_iter()
        .find_map(|field| order.text(field, 1).map(|number| (field, number)));
    let Some((field, order_number)) = number_of_order else {
        let text =
            "without the number of the order (OBR-3 or OBR-2) a correction could not be told from another result";
        return Err(Problem::field(order, "OBR", 3, text));
    };
    let by = if field == 3 { "filler" } else { "placer" };
    let namespace = order.text(field, 2).unwrap_or_default();
    let written = |component| obx.text(3, component);
    let code_id = written(1).or_else(|| written(2)).unwrap_or_default();
    let system = written(3).unwrap_or_default();
    let sub = obx.text(4, 1).unwrap_or_default();
    let id = context.id(&["result", by, &order_number, &namespace, &code_id, &system, &sub]);
    let Some(status) = status else {
        return Ok(Some(Fact {
            id,
            at: context.written,
            resource: None,
        }));
    };
    let (at, segment, name, place) = match (obx.text(14, 1), order.text(7, 1)) {
        (Some(at), _) => (at, obx, "OBX", 14),
        (None, Some(at)) => (at, order, "OBR", 7),
        (None, None) => {
            let text = "the time of the observation is missing: OBX-14 or OBR-7";
            return Err(Problem::field(obx, "OBX", 14, text));
        }
    };
    let Some((at, _)) = time(&at, context.zone) else {
        let text = "the time must be written YYYYMMDD, or YYYYMMDDHHMM with or without seconds and zone";
        return Err(Problem::field(segment, name, place, text));
    };
    let mut observation = json!({
        "resourceType": "Observation", "id": id, "status": status, "code": code, "effectiveDateTime": at,
    });
    // Without one it takes the place of a value that was said before: whoever reads it says that there is none.
    if let Some((element, value)) = value(context, obx)? {
        observation[element] = value;
    }
    Ok(Some(Fact {
        id,
        at: context.written,
        resource: Some(observation),
    }))
}

/// The value, and the element that it is.
fn value(context: &Context<'_>, obx: &Seg<'_, '_>) -> Result<Option<(&'static str, Value)>, Problem> {
    let mut repeats = obx.repeats(5);
    let (Some(first), None) = (repeats.next(), repeats.next()) else {
        let raw = obx.raw(5);
        return Ok((!raw.is_empty()).then(|| ("valueString", json!(raw))));
    };
    let unit = obx.repeats(6).next();
    let text = first.text(1);
    let as_text = |text: String| {
        let (comparator, rest) = bounded(&text);
        match number(rest) {
            Some(value) => ("valueQuantity", quantity(value, comparator, unit)),
            None => ("valueString", json!(text)),
        }
    };
    Ok(match obx.raw(2) {
        "NM" => match text {
            None => None,
            Some(text) => {
                let Some(value) = number(&text) else {
                    return Err(Problem::field(obx, "OBX", 5, "OBX-2 says NM, and this is no number"));
                };
                Some(("valueQuantity", quantity(value, None, unit)))
            }
        },
        "SN" => match (text.as_deref(), first.text(2), first.text(3)) {
            (None | Some("=" | "<" | "<=" | ">" | ">="), Some(value), None) => {
                let Some(value) = number(&value) else {
                    return Err(Problem::field(
                        obx,
                        "OBX",
                        5,
                        "OBX-2 says SN, and its second part is no number",
                    ));
                };
                let comparator = text.as_deref().filter(|comparator| *comparator != "=");
                Some(("valueQuantity", quantity(value, comparator, unit)))
            }
            // A ratio, or from one number to another.
            (None, None, None) => None,
            _ => Some(("valueString", json!(obx.raw(5)))),
        },
        "CWE" | "CE" | "CNE" | "CF" => context.concept(&first).map(|concept| ("valueCodeableConcept", concept)),
        "" | "ST" | "TX" | "FT" => text.map(as_text),
        _ => text.map(|text| ("valueString", json!(text))),
    })
}

/// A limit before a number.
fn bounded(text: &str) -> (Option<&'static str>, &str) {
    for comparator in ["<=", ">=", "<", ">"] {
        if let Some(rest) = text.strip_prefix(comparator) {
            return (Some(comparator), rest.trim_start());
        }
    }
    (None, text)
}
