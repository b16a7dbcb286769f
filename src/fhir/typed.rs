//! From the typed resources of fhirbolt to the few own structs that are shared with the lenient reading of drafts.

use fhir_codec::types::{
    Code, CodeableConcept, DateTime, Dosage as TypedDosage, DosageAsNeeded, DosageDoseAndRateDose,
    DosageDoseAndRateRate, Period, Quantity as TypedQuantity, Ratio, Timing as TypedTiming, TimingRepeatBounds,
};

use super::dosage::{Dosage, Dose, Rate, Timing};
use super::units::{Quantity, finite};

/// Text of an optional dateTime.
pub fn text(at: &Option<DateTime>) -> Option<String> {
    at.as_ref().and_then(|at| at.value.clone())
}

/// Text of a code.
pub fn code(code: &Option<Code>) -> Option<String> {
    code.as_ref().and_then(|c| c.value.clone())
}

/// Start and end of a period, as written.
pub fn period(period: &Period) -> (Option<String>, Option<String>) {
    (text(&period.start), text(&period.end))
}

/// A quantity.
pub fn quantity(q: &TypedQuantity) -> Quantity {
    Quantity {
        value: q.value.as_ref().and_then(|v| v.value.clone()),
        comparator: code(&q.comparator),
        unit: q.unit.as_ref().and_then(|u| u.value.clone()),
        system: q.system.as_ref().and_then(|s| s.value.clone()),
        code: code(&q.code),
    }
}

/// A ratio, when both halves are there.
pub fn ratio(r: &Ratio) -> Option<Rate> {
    Some(Rate::Ratio(
        quantity(r.numerator.as_ref()?),
        quantity(r.denominator.as_ref()?),
    ))
}

/// Text, displays and codes of a concept.
pub fn words(concept: Option<&CodeableConcept>) -> Vec<String> {
    let Some(concept) = concept else { return Vec::new() };
    let text = concept.text.iter().filter_map(|t| t.value.clone());
    let displays = concept.coding.iter().filter_map(|c| c.display.as_ref()?.value.clone());
    let codes = concept.coding.iter().filter_map(|c| c.code.as_ref()?.value.clone());
    text.chain(displays).chain(codes).collect()
}

/// A dosage (FHIR R4, Dosage, 2.24.0.15).
pub fn dosage(d: &TypedDosage) -> Dosage {
    let as_needed = match &d.as_needed {
        Some(DosageAsNeeded::Boolean(b)) => b.value == Some(true),
        Some(DosageAsNeeded::CodeableConcept(_)) => true,
        Some(DosageAsNeeded::Invalid) | None => false,
    };
    let dose = match d.dose_and_rate.as_slice() {
        [] => Dose::None,
        [one] => match &one.dose {
            Some(DosageDoseAndRateDose::Quantity(q)) => Dose::Quantity(quantity(q)),
            Some(DosageDoseAndRateDose::Range(_)) => Dose::Range,
            Some(DosageDoseAndRateDose::Invalid) | None => Dose::None,
        },
        _ => Dose::Several,
    };
    let rate = d.dose_and_rate.first().and_then(|one| match one.rate.as_ref()? {
        DosageDoseAndRateRate::Ratio(r) => ratio(r),
        DosageDoseAndRateRate::Quantity(q) => Some(Rate::Quantity(quantity(q))),
        DosageDoseAndRateRate::Range(_) | DosageDoseAndRateRate::Invalid => None,
    });
    Dosage {
        sequence: d.sequence.as_ref().and_then(|s| s.value).map(i64::from),
        as_needed,
        modified: !d.modifier_extension.is_empty(),
        route: words(d.route.as_deref()),
        dose,
        rate,
        timing: d.timing.as_deref().map(timing).unwrap_or_default(),
    }
}

fn timing(t: &TypedTiming) -> Timing {
    let mut out = Timing {
        modified: !t.modifier_extension.is_empty(),
        events: t.event.iter().filter_map(|e| e.value.clone()).collect(),
        codes: words(t.code.as_deref()),
        ..Timing::default()
    };
    let Some(r) = &t.repeat else { return out };
    let number = |d: &Option<fhir_codec::types::Decimal>| d.as_ref().and_then(|d| finite(d.value.as_deref()?));
    match &r.bounds {
        Some(TimingRepeatBounds::Period(p)) => (out.start, out.end) = period(p),
        Some(TimingRepeatBounds::Duration(d)) => {
            let q = Quantity {
                value: d.value.as_ref().and_then(|v| v.value.clone()),
                comparator: None,
                unit: d.unit.as_ref().and_then(|u| u.value.clone()),
                system: d.system.as_ref().and_then(|s| s.value.clone()),
                code: code(&d.code),
            };
            out.bounds_hours = q.to("h", super::units::Analyte::default()).ok();
        }
        _ => {}
    }
    out.count = r.count.as_ref().and_then(|c| c.value).map(f64::from);
    out.frequency = r.frequency.as_ref().and_then(|f| f.value).map(f64::from);
    out.period = number(&r.period);
    out.period_unit = code(&r.period_unit);
    out.duration = number(&r.duration);
    out.duration_unit = code(&r.duration_unit);
    out.ranges = r.frequency_max.is_some() || r.period_max.is_some() || r.count_max.is_some();
    out.days_of_week = r
        .day_of_week
        .iter()
        .map(|d| d.value.clone().unwrap_or_default())
        .collect();
    out.times_of_day = r.time_of_day.iter().filter_map(|t| t.value.clone()).collect();
    out.when = r.when.iter().filter_map(|w| w.value.clone()).collect();
    out
}
