//! Doses that were given (FHIR R4, MedicationAdministration, 11.2).

use fhir_codec::resources::{
    MedicationAdministration, MedicationAdministrationDosageRate, MedicationAdministrationEffective,
};
use jiff::Timestamp;

use crate::patient::facts;
use crate::patient::needs::Drug;

use super::codes::{Match, uncovered_route};
use super::dosage::{Rate, assumed_hours, per_hour, per_weight};
use super::drugs::Hit;
use super::facts::{Item, Reader};
use super::peek::Text;
use super::time::{CLOCK_SKEW, Missing, When, hours_between, parse};
use super::units::{Analyte, Quantity};
use super::{drugs, remarks, typed};

/// Shorter than this is the time of charting and not the length of an infusion (MIMIC charts one minute).
const SHORTEST_HOURS: f64 = 10.0 / 60.0;
/// Longer than this is the time of an order, unless a rate says that the infusion was continuous.
const LONGEST_HOURS: f64 = 25.0;

/// Doses found so far.
#[derive(Debug, Default)]
pub struct Given {
    /// The doses, in any order.
    pub doses: Vec<facts::Given>,
    /// Whether any administration of the drug is charted within the window, usable or not: then orders say nothing
    /// about what was given.
    pub charted: bool,
}

/// Reads one MedicationAdministration, if it is of the twin's drug.
pub fn read(reader: &mut Reader<'_>, item: &Item<'_>, out: &mut Given) {
    let Some(drug) = reader.needs.drug.as_ref() else { return };
    let Some(hit) = drugs::find(reader, drug.into(), item) else {
        return;
    };
    let name = drug.name.as_str();
    let source = Some(&item.source);
    if item.is_entered_in_error() {
        if reader.is_foreign(item, name) {
            return;
        }
        let id = "remark-dose-entered-in-error";
        let time =
            fhir_codec::read_medication_administration(item.raw.get()).map_or_else(|_| "?".to_owned(), |a| written(&a));
        return reader.notes.ignore(id, &[("name", name), ("time", &time)], source);
    }
    if !reader.gate(item, name) {
        return;
    }
    let Ok(administration) = fhir_codec::read_medication_administration(item.raw.get()) else {
        // It may have been given, so that orders must not stand in for it.
        out.charted = true;
        return reader.unreadable(item);
    };
    let time = written(&administration);
    let dosage = administration.dosage.as_ref();
    let route = typed::words(dosage.and_then(|d| d.route.as_deref()));
    let route: Vec<&str> = route.iter().map(String::as_str).collect();
    let texts: Vec<&str> = hit.texts.iter().map(String::as_str).collect();
    if let Some(route) = uncovered_route(drug, &route, &texts) {
        return reader.notes.ignore(
            "remark-dose-route",
            &[("name", name), ("time", &time), ("route", &route)],
            source,
        );
    }
    let taken = match when(reader, &administration) {
        Ok(taken) => taken,
        Err(id) => {
            // A dose without a usable time may lie in the window, except one that is said to be still to come.
            out.charted |= id != "remark-dose-future";
            return reader.notes.ignore(id, &[("name", name), ("time", &time)], source);
        }
    };
    let now = reader.ctx.now;
    if now.duration_since(taken.start) > reader.needs.history {
        reader
            .notes
            .ignore_counted("remark-doses-before-window", &[("name", name)]);
        return;
    }
    out.charted = true;
    let status = item.peek.status.as_ref().map(Text::as_str).unwrap_or("?");
    match status {
        "completed" | "in-progress" | "stopped" => {}
        _ => {
            let args = [("name", name), ("time", time.as_str()), ("status", status)];
            return reader.notes.ignore("remark-dose-status", &args, source);
        }
    }
    match amount_and_length(reader, drug, &hit, &administration, &taken, status) {
        Ok((amount, length, assumed)) => {
            if hit.how == Match::Text {
                let text = hit.texts.first().map(String::as_str).unwrap_or_default();
                reader
                    .notes
                    .assume_counted("remark-drug-by-text", &[("name", name), ("text", text)]);
            }
            if taken.zone_assumed {
                reader.zone_assumed();
            }
            let shown = format!("{} {}", remarks::number(amount), drug.unit);
            let args = [("name", name), ("value", shown.as_str()), ("time", time.as_str())];
            match status {
                "in-progress" => reader.notes.assume("remark-dose-in-progress", &args, source),
                "stopped" => reader.notes.assume("remark-dose-stopped", &args, source),
                _ => {}
            }
            out.doses.push(facts::Given {
                time: taken.start,
                amount,
                duration_hours: length,
                duration_assumed: assumed,
                assumed_from_order: false,
                source: item.source.clone(),
            });
        }
        Err((id, value)) => {
            let args = [
                ("name", name),
                ("time", time.as_str()),
                ("value", value.as_str()),
                ("unit", drug.unit.as_str()),
            ];
            reader.notes.ignore(id, &args, source);
        }
    }
}

/// Start and end of an administration.
struct Taken {
    start: Timestamp,
    end: Option<Timestamp>,
    zone_assumed: bool,
}

fn when(reader: &Reader<'_>, administration: &MedicationAdministration) -> Result<Taken, &'static str> {
    const UNKNOWN: &str = "remark-dose-time-unknown";
    let (start, end) = match &administration.effective {
        MedicationAdministrationEffective::DateTime(at) => (at.value.clone(), None),
        MedicationAdministrationEffective::Period(p) => typed::period(p),
        MedicationAdministrationEffective::Invalid => (None, None),
    };
    let exact = |text: Option<String>| match text.as_deref().map(parse) {
        None => Ok(None),
        Some(Some(when @ (When::Instant(_) | When::Local(_)))) => Ok(when.to_timestamp(&reader.ctx.zone)),
        Some(_) => Err(UNKNOWN),
    };
    let (start, missing) = exact(start)?.ok_or(UNKNOWN)?;
    if start.duration_since(reader.ctx.now) > CLOCK_SKEW {
        return Err("remark-dose-future");
    }
    // An end that cannot be read leaves a start that can.
    let end = exact(end).ok().flatten().map(|(at, _)| at);
    Ok(Taken {
        start,
        end,
        zone_assumed: missing == Missing::Zone,
    })
}

/// Amount, hours of infusion, and whether the hours are assumed.
fn amount_and_length(
    reader: &Reader<'_>,
    drug: &Drug,
    hit: &Hit,
    administration: &MedicationAdministration,
    taken: &Taken,
    status: &str,
) -> Result<(f64, f64, bool), (&'static str, String)> {
    let dosage = administration.dosage.as_ref();
    if dosage.is_some_and(|d| !d.modifier_extension.is_empty()) {
        return Err(("remark-dose-amount", "?".to_owned()));
    }
    let counted = dosage.and_then(|d| d.dose.as_deref()).map(typed::quantity);
    let dose: Option<Quantity> = counted.map(|q| hit.strength.as_ref().and_then(|s| s.of(&q)).unwrap_or(q));
    let rate: Option<Rate> = dosage.and_then(|d| match d.rate.as_ref()? {
        MedicationAdministrationDosageRate::Quantity(q) => Some(Rate::Quantity(typed::quantity(q))),
        MedicationAdministrationDosageRate::Ratio(r) => typed::ratio(r),
        MedicationAdministrationDosageRate::Invalid => None,
    });
    let rate = rate.and_then(|rate| per_hour(&rate, drug));
    let period = taken
        .end
        .map(|end| hours_between(taken.start, end))
        .filter(|h| *h >= SHORTEST_HOURS);
    let amount = match &dose {
        Some(dose) if dose.comparator.is_some() => return Err(("remark-dose-amount", dose.shown())),
        Some(dose) => match dose.to(&drug.unit, Analyte::default()) {
            Ok(amount) if amount > 0.0 => Some(amount),
            Ok(_) => return Err(("remark-dose-amount", dose.shown())),
            Err(_) if per_weight(dose) => return Err(("remark-dose-per-weight", dose.shown())),
            // A volume with a rate in milligrams per hour can still be understood.
            Err(_) if rate.is_some() && period.is_some() => None,
            Err(_) => return Err(("remark-dose-unit", dose.shown())),
        },
        None => None,
    };
    if let Some(hours) = period
        && hours > LONGEST_HOURS
        && rate.is_none()
    {
        return Err(("remark-dose-period", remarks::number(hours)));
    }
    match (amount, period, rate) {
        (Some(amount), Some(hours), _) => Ok((amount, hours, false)),
        (Some(amount), None, Some(rate)) if (SHORTEST_HOURS..=LONGEST_HOURS).contains(&(amount / rate)) => {
            Ok((amount, amount / rate, false))
        }
        (Some(amount), None, _) => Ok((amount, assumed_hours(reader.needs.assumed_infusion, amount), true)),
        (None, Some(hours), Some(rate)) => Ok((rate * hours, hours, false)),
        // Running, with a rate and no end: what has run in so far.
        (None, None, Some(rate)) if status == "in-progress" && taken.end.is_none() => {
            let hours = hours_between(taken.start, reader.ctx.now);
            if hours > 0.0 {
                Ok((rate * hours, hours, false))
            } else {
                Err(("remark-dose-no-amount", "?".to_owned()))
            }
        }
        (None, _, _) => Err(("remark-dose-no-amount", "?".to_owned())),
    }
}

/// The start as written, for remarks.
fn written(administration: &MedicationAdministration) -> String {
    let text = match &administration.effective {
        MedicationAdministrationEffective::DateTime(at) => at.value.clone(),
        MedicationAdministrationEffective::Period(p) => typed::text(&p.start).or_else(|| typed::text(&p.end)),
        MedicationAdministrationEffective::Invalid => None,
    };
    text.map_or_else(
        || "?".to_owned(),
        |t| match parse(&t) {
            Some(When::Instant(at)) => remarks::time(at),
            _ => t,
        },
    )
}

/// Sorted, each once, with one remark for all assumed lengths.
pub fn settle(reader: &mut Reader<'_>, given: Given) -> Vec<facts::Given> {
    let Some(drug) = reader.needs.drug.as_ref() else {
        return Vec::new();
    };
    let mut doses = given.doses;
    doses.sort_by(|a, b| {
        a.time
            .cmp(&b.time)
            .then(a.amount.total_cmp(&b.amount))
            .then_with(|| a.source.cmp(&b.source))
    });
    let mut kept: Vec<facts::Given> = Vec::with_capacity(doses.len());
    for dose in doses {
        let twin = kept
            .iter()
            .rev()
            .take_while(|k| k.time == dose.time)
            .any(|k| (k.amount - dose.amount).abs() < 1e-6);
        if twin {
            let value = format!("{} {}", remarks::number(dose.amount), drug.unit);
            let time = remarks::time(dose.time);
            let args = [
                ("name", drug.name.as_str()),
                ("value", value.as_str()),
                ("time", time.as_str()),
            ];
            reader.notes.ignore("remark-dose-twice", &args, Some(&dose.source));
        } else {
            if dose.duration_assumed && dose.duration_hours > 0.0 {
                reader
                    .notes
                    .assume_counted("remark-infusion-assumed", &[("name", &drug.name)]);
            }
            kept.push(dose);
        }
    }
    kept
}
