//! Orders for the twin's drug (FHIR R4, MedicationRequest, 11.1; MedicationStatement, 11.4).

use fhir_codec::resources::{MedicationRequest, MedicationStatement, MedicationStatementEffective};
use jiff::Timestamp;

use crate::patient::facts::Order;
use crate::patient::needs::Drug;

use super::codes::{Match, uncovered_route};
use super::dosage::{Dosage, Understood, once, understand};
use super::drugs::{self, Hit};
use super::facts::{Item, Kind, Reader};
use super::time::{When, parse};
use super::{remarks, strength, typed};

/// An order, and what inferring doses from it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOrder {
    /// As handed out.
    pub order: Order,
    /// Status, as recorded.
    pub status: String,
    /// What its dosage says.
    pub understood: Option<Understood>,
    /// First moment at which it holds, exactly; from when it was written if nothing else is said.
    pub starts: Option<Timestamp>,
    /// Whether that moment is known only to the day.
    pub starts_on_day: bool,
    /// Last moment at which it holds.
    pub ends: Option<Timestamp>,
}

/// An order as it is recorded, whether read strictly from the record or leniently from a draft.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// `status`.
    pub status: String,
    /// `intent`; empty in a MedicationStatement.
    pub intent: String,
    /// `doNotPerform`, or a statement that it was not taken.
    pub forbidden: bool,
    /// `authoredOn`.
    pub authored: Option<String>,
    /// Start of the validity of the order.
    pub start: Option<String>,
    /// End of it.
    pub end: Option<String>,
    /// Dosage instructions.
    pub dosages: Vec<Dosage>,
}

/// From when to when an order holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// Whether a start is said; else it is when the order was written.
    pub said: bool,
    /// First moment that the start can mean.
    pub first: Option<Timestamp>,
    /// The start, when its time of day is known.
    pub exact: Option<Timestamp>,
    /// Last moment that the end can mean.
    pub last: Option<Timestamp>,
}

impl Written {
    /// Whether somebody wants it done: an order of some kind, and neither proposal nor plan.
    pub fn is_intended(&self) -> bool {
        matches!(
            self.intent.as_str(),
            "" | "order" | "original-order" | "reflex-order" | "filler-order" | "instance-order"
        )
    }

    /// From when to when, by timing, validity, and date of writing, in this order.
    pub fn span(&self, reader: &Reader<'_>) -> Span {
        let zone = &reader.ctx.zone;
        let timing = self.dosages.first().map(|d| &d.timing);
        let event = timing
            .and_then(|t| t.events.iter().min())
            .filter(|_| self.dosages.len() == 1);
        let said = event.or(timing.and_then(|t| t.start.as_ref())).or(self.start.as_ref());
        let start = said.or(self.authored.as_ref()).and_then(|t| parse(t));
        let end = timing
            .and_then(|t| t.end.as_ref())
            .or(self.end.as_ref())
            .and_then(|t| parse(t));
        let first = start.and_then(|w| w.earliest(zone));
        let bounded = timing
            .and_then(|t| t.bounds_hours)
            .zip(first)
            .and_then(|(hours, first)| later(first, hours));
        let exact = start
            .filter(|w| matches!(w, When::Instant(_) | When::Local(_)))
            .and_then(|w| w.to_timestamp(zone));
        Span {
            said: said.is_some(),
            first,
            exact: exact.map(|(at, _)| at),
            last: end.and_then(|w| w.latest(zone)).or(bounded),
        }
    }
}

/// A MedicationRequest, as recorded.
pub fn from_request(request: &MedicationRequest) -> Written {
    let validity = request
        .dispense_request
        .as_ref()
        .and_then(|d| d.validity_period.as_deref());
    let (start, end) = validity.map(typed::period).unwrap_or_default();
    Written {
        status: request.status.value.clone().unwrap_or_default(),
        intent: request.intent.value.clone().unwrap_or_default(),
        forbidden: request.do_not_perform.as_ref().and_then(|b| b.value) == Some(true),
        authored: typed::text(&request.authored_on),
        start,
        end,
        dosages: request.dosage_instruction.iter().map(typed::dosage).collect(),
    }
}

/// A MedicationStatement, as recorded.
pub fn from_statement(statement: &MedicationStatement) -> Written {
    let (start, end) = match &statement.effective {
        Some(MedicationStatementEffective::Period(p)) => typed::period(p),
        Some(MedicationStatementEffective::DateTime(at)) => (at.value.clone(), None),
        Some(MedicationStatementEffective::Invalid) | None => (None, None),
    };
    let status = statement.status.value.clone().unwrap_or_default();
    Written {
        intent: String::new(),
        forbidden: status == "not-taken",
        status,
        // When somebody said so is not when it was ordered.
        authored: None,
        start,
        end,
        dosages: statement.dosage.iter().map(typed::dosage).collect(),
    }
}

/// Reads one order of the record, if it is for the twin's drug.
pub fn read(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<ReadOrder> {
    let drug = reader.needs.drug.as_ref()?;
    let hit = drugs::find(reader, drug.into(), item)?;
    if item.is_entered_in_error() {
        if reader.is_foreign(item, &drug.name) {
            return None;
        }
        let args = [("name", drug.name.as_str())];
        reader
            .notes
            .ignore("remark-order-entered-in-error", &args, Some(&item.source));
        return None;
    }
    if !reader.gate(item, &drug.name) {
        return None;
    }
    let written = match item.kind {
        Kind::Statement => fhir_codec::read_medication_statement(item.raw.get()).map(|s| from_statement(&s)),
        _ => fhir_codec::read_medication_request(item.raw.get()).map(|r| from_request(&r)),
    };
    let Ok(written) = written else {
        reader.unreadable(item);
        return None;
    };
    let mut order = make(reader, drug, &hit, written, item)?;
    order.order.source = Some(item.source.clone());
    Some(order)
}

/// Makes an order of what is written. `item` says to what remarks refer.
pub fn make(
    reader: &mut Reader<'_>,
    drug: &Drug,
    hit: &Hit,
    mut written: Written,
    item: &Item<'_>,
) -> Option<ReadOrder> {
    let name = drug.name.as_str();
    // A draft has no place in the record to point to.
    let source = item.peek.id.as_ref().map(|_| &item.source);
    if written.forbidden {
        reader.notes.ignore("remark-order-forbidden", &[("name", name)], source);
        return None;
    }
    let texts: Vec<&str> = hit.texts.iter().map(String::as_str).collect();
    let routes: Vec<&str> = written
        .dosages
        .iter()
        .flat_map(|d| &d.route)
        .map(String::as_str)
        .collect();
    if let Some(route) = uncovered_route(drug, &routes, &texts) {
        reader
            .notes
            .ignore("remark-order-route", &[("name", name), ("route", &route)], source);
        return None;
    }
    let span = written.span(reader);
    let now = reader.ctx.now;
    let intended = written.is_intended();
    let active = written.status == "active"
        && intended
        && span.first.is_none_or(|first| first <= now)
        && span.last.is_none_or(|last| now <= last);
    strength::apply(&mut written.dosages, hit.strength.as_ref());
    let result = understand(&written.dosages, drug, reader.needs.assumed_infusion);
    let once = once(&written.dosages, drug, reader.needs.assumed_infusion);
    let understood = result.ok();
    let (regimen, unclear) = match result {
        Ok(u) => (
            u.regimen(),
            u.regimen().is_none().then(|| "order-unclear-once".to_owned()),
        ),
        Err(why) => (None, Some(why.to_owned())),
    };
    if understood.is_some_and(|u| u.duration_assumed && u.duration_hours > 0.0) {
        reader
            .notes
            .assume_counted("remark-order-infusion-assumed", &[("name", name)]);
    }
    if let Some(u) = understood.filter(|u| u.days.count() > 0)
        && let Some(hours) = u.interval_hours
    {
        let (count, hours) = (u.days.count().to_string(), remarks::number(hours));
        let args = [("name", name), ("count", count.as_str()), ("value", hours.as_str())];
        reader.notes.assume("remark-order-days", &args, source);
    }
    if hit.how == Match::Text {
        let text = hit.texts.first().map(String::as_str).unwrap_or_default();
        reader
            .notes
            .assume_counted("remark-drug-by-text", &[("name", name), ("text", text)]);
    }
    Some(ReadOrder {
        order: Order {
            source: None,
            draft: false,
            active,
            regimen,
            unclear,
            once: once.map(|(amount, _)| amount),
            once_duration_hours: once.map_or(0.0, |(_, hours)| hours),
            start: span.exact.filter(|_| span.said),
            matched_by_text: hit.how == Match::Text,
            medication_codes: hit.codes.clone(),
        },
        status: if intended {
            written.status
        } else {
            "proposed".to_owned()
        },
        understood,
        starts: span.exact.or(span.first),
        starts_on_day: span.exact.is_none() && span.first.is_some(),
        ends: span.last,
    })
}

/// A moment some hours later, unless that is outside of time.
pub fn later(at: Timestamp, hours: f64) -> Option<Timestamp> {
    let span = jiff::SignedDuration::try_from_secs_f64(hours * 3600.0).ok()?;
    let at = at.checked_add(span).ok()?;
    // Sums of fractions of hours end in stray nanoseconds.
    Some(at.round(jiff::Unit::Second).unwrap_or(at))
}

/// For remarks: a dose as text.
pub fn shown(amount: f64, drug: &Drug) -> String {
    format!("{} {}", remarks::number(amount), drug.unit)
}
