//! Draft orders from a hook's context, read as clients really send them.
//!
//! Drafts are not yet resources of a server, and clients send what their order form holds at that moment: without
//! intent, without status, with objects where FHIR wants lists. What can be understood is understood; the rest is said.

use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::patient::facts::{Order, Remark, Source};
use crate::patient::needs::Needs;

use super::bundle::explode_with_urls;
use super::codes;
use super::dosage::{Dosage, Dose, Rate, Timing};
use super::drugs;
use super::facts::{Item, Kind, ReadContext, Reader};
use super::orders::{Written, make};
use super::peek::{Coding, Concept, Medication, Meta, Peek, Reference, Text};
use super::references::Whose;
use super::terminology::Terminology;
use super::units::{Quantity, finite};

/// The drafts that order the twin's drug, with what was assumed or left out about them. `drafts` may be single
/// resources and Bundles; resources of other types are passed over.
pub fn read_draft_orders(
    drafts: &[&RawValue],
    needs: &Needs,
    terminology: &Terminology,
    ctx: &ReadContext<'_>,
) -> (Vec<Order>, Vec<Remark>) {
    let mut reader = Reader::new(needs, terminology, ctx);
    let mut orders = Vec::new();
    let Some(drug) = needs.drug.as_ref() else {
        return (orders, Vec::new());
    };
    let mut read: Vec<(Value, &RawValue)> = Vec::new();
    for data in drafts {
        let out = explode_with_urls(data);
        for entry in out.entries {
            let Ok(value) = serde_json::from_str::<Value>(entry.resource.get()) else {
                reader.notes.ignore_counted("remark-broken-entry", &[]);
                continue;
            };
            read.push((value, entry.resource));
        }
        for _ in 0..out.broken {
            reader.notes.ignore_counted("remark-broken-entry", &[]);
        }
    }
    for (value, _) in &read {
        if value.get("resourceType").and_then(Value::as_str) == Some("Medication")
            && let Some(id) = value.get("id").and_then(Value::as_str)
        {
            reader.products.insert(format!("Medication/{id}"), medication(value));
        }
    }
    for (value, raw) in &read {
        let kind = match value.get("resourceType").and_then(Value::as_str) {
            Some("MedicationRequest") => Kind::Request,
            Some("MedicationStatement") => Kind::Statement,
            _ => continue,
        };
        let item = item(kind, value, raw);
        let Some(hit) = drugs::find(&reader, drug.into(), &item) else {
            drugs::note_missing(&mut reader, &item);
            let concept = item.peek.medication_codeable_concept.as_ref();
            if let Some(way) = concept.and_then(|c| codes::other_way(drug, c, terminology)) {
                let source = item.peek.id.as_ref().map(|_| &item.source);
                reader.notes.ignore(
                    "remark-order-route",
                    &[("name", drug.name.as_str()), ("route", way)],
                    source,
                );
            }
            continue;
        };
        let source = item.peek.id.as_ref().map(|_| &item.source);
        let args = [("name", drug.name.as_str()), ("type", kind.name())];
        if item.peek.is_modified() {
            reader.notes.ignore("remark-modified", &args, source);
            continue;
        }
        // An order that is taken back or ended is signed like others, and asks for no dose.
        let ended = match item.peek.status.as_ref().map(Text::as_str) {
            Some("entered-in-error") => Some("remark-order-entered-in-error"),
            Some("cancelled" | "stopped") => Some("remark-order-forbidden"),
            _ => None,
        };
        if let Some(id) = ended {
            reader.notes.ignore(id, &args, source);
            continue;
        }
        // A draft without a subject is for the patient whose chart is open.
        if reader.names.whose(item.peek.subject.as_ref()) == Whose::Other {
            reader.notes.ignore("remark-other-subject", &args, source);
            continue;
        }
        let Some(made) = make(&mut reader, drug, &hit, written(value), &item) else {
            continue;
        };
        orders.push(Order {
            source: source.cloned(),
            draft: true,
            ..made.order
        });
    }
    let (mut ignored, assumed) = reader.notes.finish();
    ignored.extend(assumed);
    (orders, ignored)
}

fn item<'a>(kind: Kind, value: &'a Value, raw: &'a RawValue) -> Item<'a> {
    let id = value.get("id").and_then(text);
    let peek = Peek {
        meta: value.get("meta").map(|m| Meta {
            version_id: m.get("versionId").and_then(text),
            last_updated: None,
        }),
        status: value.get("status").and_then(text),
        // Presence is all that counts; the resource itself stands in for the list.
        modifier_extension: list(value.get("modifierExtension")).next().map(|_| raw),
        implicit_rules: value.get("implicitRules").and_then(text),
        subject: value.get("subject").or_else(|| value.get("patient")).map(reference),
        medication_codeable_concept: value.get("medicationCodeableConcept").map(concept),
        medication_reference: value.get("medicationReference").map(reference),
        contained: list(value.get("contained")).map(medication).collect(),
        id: id.clone(),
        ..Peek::default()
    };
    let reference = id.as_ref().map_or_else(
        || kind.name().to_owned(),
        |id| format!("{}/{}", kind.name(), id.as_str()),
    );
    let version = peek
        .meta
        .as_ref()
        .and_then(|m| m.version_id.as_ref())
        .map(|v| v.as_str().to_owned());
    Item {
        kind,
        peek,
        raw,
        full_url: None,
        source: Source { reference, version },
    }
}

/// A list, or one thing where a list belongs.
fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let (many, one) = match value {
        Some(Value::Array(many)) => (many.as_slice(), None),
        Some(Value::Null) | None => (&[] as &[Value], None),
        Some(one) => (&[] as &[Value], Some(one)),
    };
    many.iter().chain(one)
}

/// A text, or a number where a text belongs (`"code": 11124`).
fn text(value: &Value) -> Option<Text<'_>> {
    match value {
        Value::String(s) => Some(Text(Cow::Borrowed(s))),
        Value::Number(n) => Some(Text(Cow::Owned(n.to_string()))),
        _ => None,
    }
}

fn owned(value: Option<&Value>) -> Option<String> {
    value.and_then(text).map(|t| t.0.into_owned())
}

/// The texts of a list; what is none stands there as an empty one.
fn texts(value: Option<&Value>) -> Vec<String> {
    list(value).map(|v| owned(Some(v)).unwrap_or_default()).collect()
}

fn number(value: Option<&Value>) -> Option<f64> {
    finite(&owned(value)?)
}

fn reference(value: &Value) -> Reference<'_> {
    // Some clients send the reference itself as the text.
    let literal = if value.is_string() {
        text(value)
    } else {
        value.get("reference").and_then(text)
    };
    Reference {
        reference: literal,
        display: value.get("display").and_then(text),
    }
}

fn concept(value: &Value) -> Concept<'_> {
    if value.is_string() {
        return Concept {
            coding: Vec::new(),
            text: text(value),
        };
    }
    let coding = |c| {
        let field = |name: &str| Value::get(c, name).and_then(text);
        Coding {
            system: field("system"),
            code: field("code"),
            display: field("display"),
        }
    };
    Concept {
        coding: list(value.get("coding")).map(coding).collect(),
        text: value.get("text").and_then(text),
    }
}

fn medication(value: &Value) -> Medication<'_> {
    Medication {
        resource_type: value.get("resourceType").and_then(text),
        id: value.get("id").and_then(text),
        code: value.get("code").map(concept),
        ingredient: list(value.get("ingredient"))
            .map(|i| super::peek::Ingredient {
                item_codeable_concept: i.get("itemCodeableConcept").map(concept),
                strength: i.get("strength").cloned(),
            })
            .collect(),
        identifier: Vec::new(),
    }
}

/// A quantity, read leniently.
pub fn quantity(value: &Value) -> Quantity {
    Quantity {
        value: owned(value.get("value")),
        comparator: owned(value.get("comparator")),
        unit: owned(value.get("unit")),
        system: owned(value.get("system")),
        code: owned(value.get("code")),
    }
}

fn words(value: Option<&Value>) -> Vec<String> {
    let Some(value) = value else { return Vec::new() };
    let concept = concept(value);
    let codes: Vec<String> = concept.codes().map(|(_, code)| code.to_owned()).collect();
    concept.texts().map(str::to_owned).chain(codes).collect()
}

fn written(value: &Value) -> Written {
    let validity = value
        .get("dispenseRequest")
        .and_then(|d| d.get("validityPeriod"))
        .or_else(|| value.get("effectivePeriod"));
    let dosages = value.get("dosageInstruction").or_else(|| value.get("dosage"));
    let status = owned(value.get("status")).unwrap_or_else(|| "draft".to_owned());
    Written {
        intent: owned(value.get("intent")).unwrap_or_default(),
        forbidden: value.get("doNotPerform").and_then(Value::as_bool) == Some(true) || status == "not-taken",
        status,
        authored: owned(value.get("authoredOn")),
        start: validity.and_then(|p| owned(p.get("start"))),
        end: validity.and_then(|p| owned(p.get("end"))),
        dosages: list(dosages).map(dosage).collect(),
    }
}

fn dosage(value: &Value) -> Dosage {
    let rates: Vec<&Value> = list(value.get("doseAndRate")).collect();
    // Before R4 the dose stood on the instruction itself, and some clients still put it there.
    let holder = if rates.is_empty() {
        value
    } else {
        rates.first().copied().unwrap_or(value)
    };
    let dose = match (rates.len(), holder.get("doseQuantity"), holder.get("doseRange")) {
        (2.., _, _) => Dose::Several,
        (_, Some(q), _) => Dose::Quantity(quantity(q)),
        (_, None, Some(_)) => Dose::Range,
        _ => Dose::None,
    };
    let rate = match (holder.get("rateQuantity"), holder.get("rateRatio")) {
        (Some(q), _) => Some(Rate::Quantity(quantity(q))),
        (None, Some(r)) => r
            .get("numerator")
            .zip(r.get("denominator"))
            .map(|(n, d)| Rate::Ratio(quantity(n), quantity(d))),
        (None, None) => None,
    };
    Dosage {
        sequence: value.get("sequence").and_then(Value::as_i64),
        as_needed: value.get("asNeededBoolean").and_then(Value::as_bool) == Some(true)
            || value.get("asNeededCodeableConcept").is_some(),
        modified: list(value.get("modifierExtension")).next().is_some(),
        route: words(value.get("route")),
        dose,
        rate,
        timing: value.get("timing").map(timing).unwrap_or_default(),
    }
}

fn timing(value: &Value) -> Timing {
    let none = Value::Null;
    let r = value.get("repeat").unwrap_or(&none);
    let bounds = r.get("boundsPeriod");
    Timing {
        modified: list(value.get("modifierExtension")).next().is_some(),
        events: texts(value.get("event")),
        start: bounds.and_then(|b| owned(b.get("start"))),
        end: bounds.and_then(|b| owned(b.get("end"))),
        bounds_hours: r
            .get("boundsDuration")
            .and_then(|d| quantity(d).to("h", Default::default()).ok()),
        count: number(r.get("count")),
        frequency: number(r.get("frequency")),
        period: number(r.get("period")),
        period_unit: owned(r.get("periodUnit")),
        duration: number(r.get("duration")),
        duration_unit: owned(r.get("durationUnit")),
        ranges: ["frequencyMax", "periodMax", "countMax"]
            .iter()
            .any(|k| r.get(k).is_some()),
        days_of_week: texts(r.get("dayOfWeek")),
        times_of_day: texts(r.get("timeOfDay")),
        when: texts(r.get("when")),
        codes: words(value.get("code")),
    }
}
