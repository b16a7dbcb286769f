//! Flags from Conditions and Procedures (FHIR R4, Condition, 9.2; Procedure, 9.3).

use std::collections::BTreeMap;

use fhir_codec::resources::{ConditionAbatement, ProcedurePerformed};
use fhir_codec::types::CodeableConcept;

use crate::patient::facts::Source;
use crate::patient::needs::Flag;

use super::facts::{Item, Reader};
use super::time::{CLOCK_SKEW, When, parse};
use super::{codes, remarks, typed};

/// Sets the flag; of several resources the one that sorts first is named.
pub fn set(flags: &mut BTreeMap<String, Source>, flag: &Flag, source: &Source) {
    let entry = flags.entry(flag.name.clone()).or_insert_with(|| source.clone());
    if source < entry {
        *entry = source.clone();
    }
}

fn asked<'a>(reader: &Reader<'a>, item: &Item<'_>) -> Vec<&'a Flag> {
    let Some(concept) = &item.peek.code else {
        return Vec::new();
    };
    let needs = reader.needs;
    needs
        .flags
        .iter()
        .filter(|flag| codes::any(&flag.codes, concept, reader.terminology))
        .collect()
}

fn has_code(concept: Option<&CodeableConcept>, wanted: &[&str]) -> bool {
    concept.is_some_and(|c| {
        c.coding
            .iter()
            .filter_map(|c| c.code.as_ref()?.value.as_deref())
            .any(|code| wanted.contains(&code))
    })
}

/// A Condition sets its flags while it is active and not ruled out; a suspicion counts.
pub fn condition(reader: &mut Reader<'_>, item: &Item<'_>, flags: &mut BTreeMap<String, Source>) {
    let asked = asked(reader, item);
    let Some(first) = asked.first() else { return };
    if !reader.gate(item, &first.name) {
        return;
    }
    let Ok(condition) = fhir_codec::read_condition(item.raw.get()) else {
        return reader.unreadable(item);
    };
    if has_code(condition.verification_status.as_deref(), &["entered-in-error"]) {
        reader.notes.ignore(
            "remark-entered-in-error-bare",
            &[("name", &first.name)],
            Some(&item.source),
        );
        return;
    }
    let refuted = has_code(condition.verification_status.as_deref(), &["refuted"]);
    let over = has_code(
        condition.clinical_status.as_deref(),
        &["inactive", "remission", "resolved"],
    );
    let abated = match &condition.abatement {
        // An end that is still to come has not come.
        Some(ConditionAbatement::DateTime(at)) => at
            .value
            .as_deref()
            .and_then(parse)
            .and_then(|w| w.latest(&reader.ctx.zone))
            .is_none_or(|end| end <= reader.ctx.now),
        Some(ConditionAbatement::Period(p)) => typed::text(&p.end)
            .as_deref()
            .and_then(parse)
            .and_then(|w| w.latest(&reader.ctx.zone))
            .is_some_and(|end| end <= reader.ctx.now),
        Some(ConditionAbatement::Invalid) | None => false,
        Some(_) => true,
    };
    if refuted || over || (abated && condition.clinical_status.is_none()) {
        return;
    }
    for flag in asked {
        set(flags, flag, &item.source);
    }
}

/// A Procedure sets its flags when it was done within the time that the flag asks for, or is being done.
///
/// One that is done but has no date sets them too, with a remark: the flags are reasons for caution.
pub fn procedure(reader: &mut Reader<'_>, item: &Item<'_>, flags: &mut BTreeMap<String, Source>) {
    let asked = asked(reader, item);
    let Some(first) = asked.first() else { return };
    if item.is_entered_in_error() {
        if reader.is_foreign(item, &first.name) {
            return;
        }
        reader.notes.ignore(
            "remark-entered-in-error-bare",
            &[("name", &first.name)],
            Some(&item.source),
        );
        return;
    }
    if !reader.gate(item, &first.name) {
        return;
    }
    let Ok(procedure) = fhir_codec::read_procedure(item.raw.get()) else {
        return reader.unreadable(item);
    };
    let running = match procedure.status.value.as_deref() {
        Some("in-progress") => true,
        Some("completed") => false,
        _ => return,
    };
    let written = match &procedure.performed {
        Some(ProcedurePerformed::DateTime(at)) => at.value.clone(),
        Some(ProcedurePerformed::Period(p)) => typed::text(&p.end).or_else(|| typed::text(&p.start)),
        _ => None,
    };
    let when: Option<When> = written.as_deref().and_then(parse);
    let now = reader.ctx.now;
    for flag in asked {
        let (Some(within), false) = (flag.within, running) else {
            set(flags, flag, &item.source);
            continue;
        };
        let Some(when) = when else {
            reader
                .notes
                .assume("remark-procedure-undated", &[("name", &flag.name)], Some(&item.source));
            set(flags, flag, &item.source);
            continue;
        };
        // What is given to the day or the month may have been on the last moment of it.
        let (Some(start), Some(end)) = (when.earliest(&reader.ctx.zone), when.latest(&reader.ctx.zone)) else {
            continue;
        };
        if start.duration_since(now) > CLOCK_SKEW {
            let time = remarks::time(start);
            reader.notes.ignore(
                "remark-future",
                &[("name", &flag.name), ("value", ""), ("time", &time)],
                Some(&item.source),
            );
        } else if now.duration_since(end) <= within {
            set(flags, flag, &item.source);
        }
    }
}
