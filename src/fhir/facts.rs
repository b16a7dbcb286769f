//! From resources to the facts that a twin needs.
//!
//! Every resource is looked at once, narrowly; only those that matter are read in full. What cannot be used costs one
//! remark and never the whole record; only the Patient must be there and be the right one.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::patient::facts::{Facts, Measurement, Source};
use crate::patient::needs::Needs;

use super::bundle::explode_with_urls;
use super::peek::{Medication, Peek, Reference, Text};
use super::references::{PatientNames, Whose, relative};
use super::remarks::Notes;
use super::sums::{self, Values};
use super::terminology::Terminology;
use super::{
    categories, choose, conditions, doses, drugs, inferred, medications, observations, orders, person, results,
    versions,
};

pub use super::bundle::explode;
pub use super::drafts::read_draft_orders;

/// For whom, when, and in which zone clock times without one are meant.
#[derive(Debug, Clone)]
pub struct ReadContext<'a> {
    /// Logical id of the patient of the call.
    pub patient_id: &'a str,
    /// The present.
    pub now: Timestamp,
    /// Zone of the hospital.
    pub zone: TimeZone,
}

/// Why a record cannot be read at all. The message never repeats values of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// No Patient resource.
    #[error("the record holds no Patient resource")]
    PatientMissing,
    /// There is a Patient, but another one.
    #[error("the Patient of the record is not the patient of the call")]
    OtherPatient,
    /// The Patient is not valid FHIR, or has a modifier extension.
    #[error("the Patient resource cannot be read")]
    PatientUnreadable,
}

/// Types of resource that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Patient.
    Patient,
    /// Observation.
    Observation,
    /// MedicationAdministration.
    Administration,
    /// MedicationRequest.
    Request,
    /// MedicationStatement.
    Statement,
    /// Medication.
    Medication,
    /// Condition.
    Condition,
    /// Procedure.
    Procedure,
}

impl Kind {
    /// From `resourceType`.
    pub fn of(resource_type: &str) -> Option<Kind> {
        Some(match resource_type {
            "Patient" => Kind::Patient,
            "Observation" => Kind::Observation,
            "MedicationAdministration" => Kind::Administration,
            "MedicationRequest" => Kind::Request,
            "MedicationStatement" => Kind::Statement,
            "Medication" => Kind::Medication,
            "Condition" => Kind::Condition,
            "Procedure" => Kind::Procedure,
            _ => return None,
        })
    }

    /// As `resourceType`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Patient => "Patient",
            Kind::Observation => "Observation",
            Kind::Administration => "MedicationAdministration",
            Kind::Request => "MedicationRequest",
            Kind::Statement => "MedicationStatement",
            Kind::Medication => "Medication",
            Kind::Condition => "Condition",
            Kind::Procedure => "Procedure",
        }
    }
}

/// One resource, looked at.
#[derive(Debug, Clone)]
pub struct Item<'a> {
    /// Its type.
    pub kind: Kind,
    /// What decides about it.
    pub peek: Peek<'a>,
    /// Its text.
    pub raw: &'a RawValue,
    /// `Bundle.entry.fullUrl`.
    pub full_url: Option<Text<'a>>,
    /// How remarks and facts refer to it.
    pub source: Source,
}

impl Item<'_> {
    /// Whether the record takes the resource back.
    pub fn is_entered_in_error(&self) -> bool {
        self.peek
            .status
            .as_ref()
            .is_some_and(|s| s.as_str() == "entered-in-error")
    }
}

/// What all readers of single resources need.
#[derive(Debug)]
pub struct Reader<'a> {
    /// What the twin asks for.
    pub needs: &'a Needs,
    /// Products and code systems.
    pub terminology: &'a Terminology,
    /// For whom and when.
    pub ctx: &'a ReadContext<'a>,
    /// Names of the patient in the record.
    pub names: PatientNames,
    /// Medications by the references that may point to them.
    pub products: HashMap<String, Medication<'a>>,
    /// What is said about the reading.
    pub notes: Notes,
}

impl<'a> Reader<'a> {
    /// A reader with nothing read.
    pub fn new(needs: &'a Needs, terminology: &'a Terminology, ctx: &'a ReadContext<'a>) -> Self {
        Reader {
            needs,
            terminology,
            ctx,
            names: PatientNames::new(ctx.patient_id),
            products: HashMap::new(),
            notes: Notes::default(),
        }
    }

    /// Whether the resource is about the patient and means what it says; else a remark says why not.
    pub fn gate(&mut self, item: &Item<'_>, name: &str) -> bool {
        let args = [("name", name), ("type", item.kind.name())];
        if item.peek.is_modified() {
            self.notes.ignore("remark-modified", &args, Some(&item.source));
            return false;
        }
        match self.whose(item) {
            Whose::Patient => true,
            Whose::Nobody => {
                self.notes.ignore("remark-no-subject", &args, Some(&item.source));
                false
            }
            Whose::Other => {
                self.notes.ignore("remark-other-subject", &args, Some(&item.source));
                false
            }
        }
    }

    /// Whether the resource is someone else's; a remark says so. Asked before anything of a retracted resource is named.
    pub fn is_foreign(&mut self, item: &Item<'_>, name: &str) -> bool {
        let foreign = self.whose(item) == Whose::Other;
        foreign && !self.gate(item, name)
    }

    /// Whose resource it is. One with a focus other than the patient, or a part of a body, is about that one, whatever its
    /// subject.
    fn whose(&self, item: &Item<'_>) -> Whose {
        let whose = self.names.whose(item.peek.subject.as_ref());
        let is_part = |focus: &Reference<'_>| {
            let target = focus.reference.as_ref().map(Text::as_str).and_then(relative);
            target.is_some_and(|(kind, _)| kind == "BodyStructure")
        };
        let aside = |focus| self.names.whose(Some(focus)) != Whose::Patient && !is_part(focus);
        match whose {
            Whose::Patient if item.peek.focus.iter().any(aside) => Whose::Other,
            whose => whose,
        }
    }

    /// Notes a resource that is not valid FHIR.
    pub fn unreadable(&mut self, item: &Item<'_>) {
        self.notes
            .ignore("remark-unreadable", &[("type", item.kind.name())], Some(&item.source));
    }

    /// Notes a clock time without a zone; said once, with the number of times.
    pub fn zone_assumed(&mut self) {
        let zone = self.ctx.zone.iana_name().unwrap_or("UTC").to_owned();
        self.notes.assume_counted("remark-zone-assumed", &[("zone", &zone)]);
    }
}

/// Reads a record for one twin. `resources` may be single resources and Bundles, in any order; the result does not
/// depend on it.
///
/// Prefer whole Bundles: the `fullUrl` of their entries resolves `urn:uuid:` references, and their links say whether
/// pages are missing.
///
/// # Errors
/// [`RecordError`] when there is no Patient, not the right one, or none that can be read.
pub fn read(
    resources: &[&RawValue],
    needs: &Needs,
    terminology: &Terminology,
    ctx: &ReadContext<'_>,
) -> Result<Facts, RecordError> {
    let mut reader = Reader::new(needs, terminology, ctx);
    let items = collect(resources, &mut reader)?;
    let patient = person::find(&items, &mut reader)?;
    let person = person::read(patient, &mut reader)?;

    for item in &items {
        if item.kind == Kind::Medication && !item.is_entered_in_error() {
            remember_product(&mut reader, item);
        }
    }
    let mut measured: Vec<Values> = vec![Values::default(); needs.measured.len()];
    let mut tests = results::Results::default();
    let mut levels = categories::Levels::new(needs);
    let names_drugs = needs.drug.is_some() || medications::any_asked(&reader);
    let mut flags = BTreeMap::new();
    let mut given = doses::Given::default();
    let mut read_orders = Vec::new();
    for item in &items {
        match item.kind {
            Kind::Observation => {
                let wanted = observations::wanted(&reader, item);
                if !wanted.is_empty() {
                    observations::read(&mut reader, item, &wanted, &mut measured);
                }
                results::read(&mut reader, item, &mut tests);
                categories::read(&mut reader, item, &mut levels);
            }
            Kind::Administration | Kind::Request | Kind::Statement => {
                if names_drugs {
                    drugs::note_missing(&mut reader, item);
                }
                if item.kind == Kind::Administration {
                    doses::read(&mut reader, item, &mut given);
                } else {
                    read_orders.extend(orders::read(&mut reader, item));
                }
                medications::read(&mut reader, item, &mut flags);
            }
            Kind::Condition => conditions::condition(&mut reader, item, &mut flags),
            Kind::Procedure => conditions::procedure(&mut reader, item, &mut flags),
            Kind::Patient | Kind::Medication => {}
        }
    }
    let mut by_name: BTreeMap<String, Vec<Measurement>> = BTreeMap::new();
    for (need, found) in needs.measured.iter().zip(measured) {
        let values = sums::values(&mut reader, need, found);
        let chosen = choose::settle(&mut reader, need, values);
        if !chosen.is_empty() {
            by_name.entry(need.name.clone()).or_default().extend(chosen);
        }
    }
    read_orders.sort_by(|a, b| a.order.source.cmp(&b.order.source));
    let charted = given.charted;
    let mut given = doses::settle(&mut reader, given);
    if !charted {
        given = inferred::doses(&mut reader, &read_orders);
    }
    let tested_negative = results::settle(&mut reader, tests, &mut flags);
    let categories = categories::settle(&mut reader, levels);
    let (ignored, assumed) = reader.notes.finish();
    Ok(Facts {
        person,
        measured: by_name,
        flags,
        tested_negative,
        categories,
        given,
        orders: read_orders.into_iter().map(|o| o.order).collect(),
        ignored,
        assumed,
    })
}

/// The little that is asked of a resource whose shape is wrong.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Least<'a> {
    #[serde(borrow, default)]
    resource_type: Option<Text<'a>>,
}

/// Every resource of a type that counts, in its newest version, in an order of its own.
fn collect<'a>(resources: &[&'a RawValue], reader: &mut Reader<'_>) -> Result<Vec<Item<'a>>, RecordError> {
    let mut items = Vec::new();
    let mut broken_patient = false;
    for data in resources {
        let out = explode_with_urls(data);
        if out.partial {
            reader.notes.ignore("remark-page-missing", &[], None);
        }
        for _ in 0..out.broken {
            reader.notes.ignore_counted("remark-broken-entry", &[]);
        }
        for _ in &out.outcomes {
            reader.notes.ignore_counted("remark-server-message", &[]);
        }
        for entry in out.entries {
            let peek = match serde_json::from_str::<Peek<'a>>(entry.resource.get()) {
                Ok(peek) => peek,
                Err(_) => {
                    let least = serde_json::from_str::<Least<'a>>(entry.resource.get()).ok();
                    let kind = least.and_then(|l| l.resource_type).and_then(|t| Kind::of(t.as_str()));
                    if let Some(kind) = kind {
                        broken_patient |= kind == Kind::Patient;
                        reader
                            .notes
                            .ignore_counted("remark-unreadable-entry", &[("type", kind.name())]);
                    }
                    continue;
                }
            };
            let Some(kind) = peek.resource_type.as_ref().and_then(|t| Kind::of(t.as_str())) else {
                continue;
            };
            let reference = match (&peek.id, &entry.full_url) {
                (Some(id), _) => format!("{}/{}", kind.name(), id.as_str()),
                (None, Some(url)) => url.as_str().to_owned(),
                (None, None) => kind.name().to_owned(),
            };
            let version = peek
                .meta
                .as_ref()
                .and_then(|m| m.version_id.as_ref())
                .map(|v| v.as_str().to_owned());
            let source = Source { reference, version };
            items.push(Item {
                kind,
                peek,
                raw: entry.resource,
                full_url: entry.full_url,
                source,
            });
        }
    }
    let items = versions::newest(items, &mut reader.notes);
    if broken_patient && !items.iter().any(|i| i.kind == Kind::Patient) {
        return Err(RecordError::PatientUnreadable);
    }
    Ok(items)
}

fn remember_product<'a>(reader: &mut Reader<'a>, item: &Item<'a>) {
    let Ok(product) = serde_json::from_str::<Medication<'a>>(item.raw.get()) else {
        return;
    };
    if let Some(id) = &item.peek.id {
        reader
            .products
            .insert(format!("Medication/{}", id.as_str()), product.clone());
    }
    if let Some(url) = &item.full_url {
        reader.products.insert(url.as_str().to_owned(), product);
    }
}
