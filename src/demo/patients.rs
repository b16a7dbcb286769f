//! The invented patients: read from the files embedded in the program, moved to the present.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use jiff::{Timestamp, Unit, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{dosage, shift::Shift};

static RECORDS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/demo/patients");
static ORDERS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/demo/orders");
const INDEX: &str = include_str!("patients.toml");
const TWINS: &str = include_str!("twins.toml");
const STAFF: &str = include_str!("staff.json");

/// An embedded file is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("demo file {file}: {problem}")]
pub struct DemoError {
    /// Which.
    pub file: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The index file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    anchor: String,
    patient: Vec<Listed>,
}

/// One patient of the index file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    id: String,
    /// Id of the twin whose services are asked about them.
    twin: String,
    hooks: Vec<String>,
    title: BTreeMap<String, String>,
    story: BTreeMap<String, String>,
}

/// What the playground calls a twin.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: BTreeMap<String, String>,
    about: BTreeMap<String, String>,
}

/// A patient.
#[derive(Debug, Clone)]
pub(super) struct Person {
    listed: Listed,
    group: Group,
    /// The resources of the record.
    pub(super) record: Vec<Value>,
    /// The order that is being drafted: a MedicationRequest.
    pub(super) draft: Value,
}

/// What the playground shows of a patient in its list.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    id: &'a str,
    twin: &'a str,
    twin_name: &'a str,
    twin_about: &'a str,
    name: String,
    title: &'a str,
    story: &'a str,
    hooks: &'a [String],
    gender: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<i16>,
    order: String,
}

impl Person {
    /// Logical id of the Patient.
    pub(super) fn id(&self) -> &str {
        &self.listed.id
    }

    /// For the list, in `en` or `fr`.
    pub(super) fn summary(&self, language: &str, today: Date) -> Summary<'_> {
        let patient = self
            .record
            .iter()
            .find(|resource| text(resource, "/resourceType") == "Patient");
        let at = |path| patient.map_or("", |resource| text(resource, path));
        let born: Option<Date> = at("/birthDate").parse().ok();
        Summary {
            id: self.id(),
            twin: &self.listed.twin,
            twin_name: in_language(&self.group.name, language),
            twin_about: in_language(&self.group.about, language),
            name: format!("{} {}", at("/name/0/given/0"), at("/name/0/family")),
            title: in_language(&self.listed.title, language),
            story: in_language(&self.listed.story, language),
            hooks: &self.listed.hooks,
            gender: at("/gender"),
            age: born.and_then(|born| Some(born.until((Unit::Year, today)).ok()?.get_years())),
            order: dosage::words(&self.draft, language),
        }
    }
}

/// The words in that language, or the English ones.
fn in_language<'a>(texts: &'a BTreeMap<String, String>, language: &str) -> &'a str {
    texts
        .get(language)
        .or_else(|| texts.get("en"))
        .map_or("", String::as_str)
}

/// A string inside a JSON value, or nothing.
pub(super) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// All patients at one moment.
#[derive(Debug, Clone)]
pub struct People {
    now: Timestamp,
    list: Vec<Person>,
    staff: Value,
}

impl People {
    /// The patients with their records moved to end at `now`, rounded down to five minutes so that times read well.
    ///
    /// # Errors
    /// When an embedded file is not what it should be.
    pub fn at(now: Timestamp) -> Result<Self, DemoError> {
        let index: Index = toml::from_str(INDEX).map_err(|e| wrong("patients.toml", &e))?;
        let groups: BTreeMap<String, Group> = toml::from_str(TWINS).map_err(|e| wrong("twins.toml", &e))?;
        let anchor: Timestamp = index
            .anchor
            .parse()
            .map_err(|e: jiff::Error| wrong("patients.toml", &e))?;
        let round = now.as_second().div_euclid(300) * 300;
        let now = Timestamp::from_second(round).map_err(|e| wrong("the clock", &e))?;
        let shift = Shift::between(anchor, now);
        let version = (round.div_euclid(300)).to_string();

        let mut staff = serde_json::from_str(STAFF).map_err(|e| wrong("staff.json", &e))?;
        shift.apply(&mut staff, &version);
        let mut list = Vec::with_capacity(index.patient.len());
        for listed in index.patient {
            let mut bundle = embedded(&RECORDS, &listed.id)?;
            let mut draft = embedded(&ORDERS, &listed.id)?;
            shift.apply(&mut bundle, &version);
            shift.apply(&mut draft, &version);
            let entries = bundle
                .get_mut("entry")
                .and_then(Value::as_array_mut)
                .map(std::mem::take)
                .unwrap_or_default();
            let record = entries
                .into_iter()
                .filter_map(|mut entry| Some(entry.get_mut("resource")?.take()))
                .collect();
            let group = groups.get(&listed.twin).cloned().unwrap_or_default();
            list.push(Person {
                listed,
                group,
                record,
                draft,
            });
        }
        Ok(Self { now, list, staff })
    }

    /// The moment at which the records end.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// In the order of the index.
    pub(super) fn list(&self) -> &[Person] {
        &self.list
    }

    /// By the id of the Patient.
    pub(super) fn get(&self, id: &str) -> Option<&Person> {
        self.list.iter().find(|person| person.id() == id)
    }

    /// Every resource of every record, and who wrote them.
    pub(super) fn resources(&self) -> impl Iterator<Item = &Value> {
        self.list
            .iter()
            .flat_map(|person| &person.record)
            .chain(std::iter::once(&self.staff))
    }

    /// Today, as the demonstration counts it.
    pub(super) fn today(&self) -> Date {
        TimeZone::UTC.to_datetime(self.now).date()
    }
}

fn wrong(file: &str, problem: &dyn std::fmt::Display) -> DemoError {
    DemoError {
        file: file.to_owned(),
        problem: problem.to_string(),
    }
}

fn embedded(dir: &Dir<'_>, id: &str) -> Result<Value, DemoError> {
    let name = format!("{id}.json");
    let file = dir.get_file(&name).ok_or_else(|| wrong(&name, &"missing"))?;
    serde_json::from_slice(file.contents()).map_err(|e| wrong(&name, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::catalog::Catalog, service::services::services};
    use std::collections::BTreeSet;

    fn people() -> People {
        People::at("2027-06-03T09:13:20Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn every_file_belongs_to_a_listed_patient() {
        let people = people();
        assert_eq!(RECORDS.files().count(), people.list.len());
        assert_eq!(ORDERS.files().count(), people.list.len());
    }

    #[test]
    fn records_are_whole_and_end_at_the_present() {
        let people = people();
        assert_eq!(people.now.to_string(), "2027-06-03T09:10:00Z");
        let mut ids = BTreeSet::new();
        for person in &people.list {
            let own = person.record.iter().filter(|r| text(r, "/resourceType") == "Patient");
            let own: Vec<&str> = own.map(|resource| text(resource, "/id")).collect();
            assert_eq!(own, [person.id()], "one Patient, of that id");
            for resource in &person.record {
                let kind = text(resource, "/resourceType");
                assert!(
                    ids.insert((kind, text(resource, "/id"))),
                    "{kind} {} twice",
                    text(resource, "/id")
                );
                assert!(!text(resource, "/meta/versionId").is_empty());
                let updated: Timestamp = text(resource, "/meta/lastUpdated").parse().unwrap();
                assert!(
                    updated <= people.now,
                    "{kind} {} from the future",
                    text(resource, "/id")
                );
                if kind != "Patient" {
                    assert_eq!(text(resource, "/subject/reference"), format!("Patient/{}", person.id()));
                }
            }
            assert_eq!(
                text(&person.draft, "/resourceType"),
                "MedicationRequest",
                "{}",
                person.id()
            );
            assert_eq!(text(&person.draft, "/status"), "draft", "{}", person.id());
            assert_eq!(
                text(&person.draft, "/subject/reference"),
                format!("Patient/{}", person.id())
            );
        }
    }

    #[test]
    fn every_patient_has_words_in_both_languages() {
        let people = people();
        for person in &people.list {
            for language in ["en", "fr"] {
                let summary = person.summary(language, people.today());
                assert!(
                    !summary.title.is_empty() && summary.story.len() > 30,
                    "{} {language}",
                    person.id()
                );
                assert!(
                    summary.age.is_some_and(|age| (1..100).contains(&age)),
                    "{}",
                    person.id()
                );
                assert!(!summary.hooks.is_empty() && !summary.order.is_empty() && summary.name.len() > 3);
                assert!(
                    !summary.twin_name.is_empty() && !summary.twin_about.is_empty(),
                    "twins.toml does not name {}",
                    summary.twin
                );
                assert!(
                    summary.order.contains(char::is_numeric) && !summary.order.contains("  "),
                    "{}: {}",
                    person.id(),
                    summary.order
                );
            }
            for texts in [&person.listed.title, &person.listed.story, &person.group.about] {
                assert!(texts.keys().eq(["en", "fr"]), "{}", person.id());
                assert_ne!(texts.get("en"), texts.get("fr"), "{}", person.id());
            }
        }
        let order = |language| dosage::words(&people.get("moreau").unwrap().draft, language).replace('\u{a0}', " ");
        assert_eq!(order("en"), "1500 mg IV every 12 h, over 1.5 h");
        assert_eq!(order("fr"), "1500 mg IV toutes les 12 h, en 1,5 h");
        for person in &people.list {
            assert!(!text(&person.draft, "/dosageInstruction/0/text").is_empty());
        }
    }

    #[test]
    fn every_patient_is_asked_about_through_services_that_exist() {
        let (catalog, errors) = Catalog::load(None);
        let ids: BTreeSet<String> = catalog
            .twins
            .iter()
            .flat_map(|twin| services(&twin.file))
            .map(|service| service.id)
            .collect();
        let mut missing = Vec::new();
        for person in &people().list {
            for hook in &person.listed.hooks {
                let id = format!("{}-{hook}", person.listed.twin);
                if !ids.contains(&id) {
                    missing.push(format!("{}: {id}", person.id()));
                }
            }
        }
        assert!(missing.is_empty(), "{missing:?}; not served: {errors:?}");
    }

    #[test]
    fn patients_of_one_twin_stand_together() {
        let people = people();
        let mut order: Vec<&str> = people.list.iter().map(|person| person.listed.twin.as_str()).collect();
        order.dedup();
        let twins: BTreeSet<&str> = order.iter().copied().collect();
        assert_eq!(order.len(), twins.len(), "{order:?}");
        let named: BTreeMap<String, Group> = toml::from_str(TWINS).unwrap();
        assert!(
            named.keys().map(String::as_str).eq(twins),
            "twins.toml names twins without patients"
        );
    }

    #[test]
    fn ages_do_not_drift() {
        let young = people();
        let old = People::at("2031-12-24T00:00:00Z".parse().unwrap()).unwrap();
        for (a, b) in young.list.iter().zip(&old.list) {
            assert_eq!(a.summary("en", young.today()).age, b.summary("en", old.today()).age);
        }
    }
}
