//! The Patient (FHIR R4, Patient, 8.1).

use fhir_codec::resources::PatientDeceased;
use jiff::civil::Date;

use crate::patient::facts::{Person, Sex};

use super::facts::{Item, Kind, Reader, RecordError};
use super::time::{When, parse};

/// No one has lived longer; an older birth date is a code for something else (de-identified records use 300 years).
const OLDEST_YEARS: i16 = 125;

/// The Patient resource of the call, among those of the record. Adds the names by which the record calls the patient.
///
/// # Errors
/// [`RecordError`] when none is there, or only others.
pub fn find<'i, 'a>(items: &'i [Item<'a>], reader: &mut Reader<'_>) -> Result<&'i Item<'a>, RecordError> {
    let mut found = None;
    let mut others = false;
    for item in items.iter().filter(|i| i.kind == Kind::Patient) {
        let url = item.full_url.as_ref().map(|u| u.as_str());
        // A Bundle that is still to be stored gives no ids; its `fullUrl` is then the name of the resource.
        let own = match &item.peek.id {
            Some(id) => id.as_str() == reader.ctx.patient_id,
            None => url.is_some_and(|u| u.strip_prefix("urn:uuid:") == Some(reader.ctx.patient_id)),
        };
        if own {
            url.into_iter().for_each(|u| reader.names.add(u));
            found = found.or(Some(item));
        } else {
            others = true;
        }
    }
    found.ok_or(if others {
        RecordError::OtherPatient
    } else {
        RecordError::PatientMissing
    })
}

/// Reads the Patient.
///
/// # Errors
/// [`RecordError::PatientUnreadable`] when it is not valid FHIR.
pub fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Result<Person, RecordError> {
    if item.peek.is_modified() {
        return Err(RecordError::PatientUnreadable);
    }
    let patient = fhir_codec::read_patient(item.raw.get()).map_err(|_| RecordError::PatientUnreadable)?;
    let source = Some(&item.source);
    let birth = patient.birth_date.as_ref().and_then(|d| d.value.as_deref());
    let birth_date = birth.and_then(|text| {
        let (date, partial) = match parse(text) {
            Some(When::Day(date)) => (date, false),
            Some(When::Month(date) | When::Year(date)) => (date, true),
            Some(When::Instant(_) | When::Local(_)) | None => {
                reader.notes.ignore("remark-birth-date", &[("date", text)], source);
                return None;
            }
        };
        let today = reader.ctx.zone.to_datetime(reader.ctx.now).date();
        if !is_possible(date, today, partial) {
            reader.notes.ignore("remark-birth-date", &[("date", text)], source);
            return None;
        }
        let date = date.min(today);
        if partial {
            reader.notes.assume(
                "remark-birth-date-partial",
                &[("date", text), ("taken", &date.to_string())],
                source,
            );
        }
        Some(date)
    });
    if patient.active.as_ref().and_then(|a| a.value) == Some(false) {
        reader.notes.assume("remark-patient-inactive", &[], source);
    }
    let sex = match patient.gender.as_ref().and_then(|g| g.value.as_deref()) {
        Some("female") => Sex::Female,
        Some("male") => Sex::Male,
        _ => Sex::Unknown,
    };
    let deceased = match &patient.deceased {
        Some(PatientDeceased::Boolean(b)) => b.value == Some(true),
        // A record that is looked at as of an earlier moment knows of a death that is still to come.
        Some(PatientDeceased::DateTime(at)) => at.value.as_deref().is_some_and(|text| {
            parse(text)
                .and_then(|when| when.earliest(&reader.ctx.zone))
                .is_none_or(|died| died <= reader.ctx.now)
        }),
        Some(PatientDeceased::Invalid) | None => false,
    };
    Ok(Person {
        id: reader.ctx.patient_id.to_owned(),
        birth_date,
        sex,
        deceased,
        source: item.source.clone(),
    })
}

fn is_possible(date: Date, today: Date, partial: bool) -> bool {
    // The middle of this year may be still to come for someone who was born in it.
    let not_later = date <= today || (partial && date.year() == today.year());
    not_later && today.year() - date.year() <= OLDEST_YEARS
}
