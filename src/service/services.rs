//! The services that the twins' files amount to: one a twin and hook, with the prefetch templates that it needs, and one a hook for
//! all twins together.

use super::together::MOST;
use crate::{
    cds::{discovery::Service, request::Hook},
    fhir::prefetch::Query,
    model::twin_file::{Status, TwinFile},
    patient::needs::{Category, Code, LOINC, UseAs},
};

/// Key of the doses given.
pub const ADMINISTRATIONS: &str = "administrations";
/// Codes under which the genomics reporting guide records genotypes: display name of a genotype, of a
/// variant (HL7 Genomics Reporting).
const GENOTYPES: [&str; 2] = ["84413-4", "47998-0"];
/// Key of the Patient.
pub const PATIENT: &str = "patient";
/// Key of the orders of the record.
const ORDERS: &str = "orders";
/// Key of what the patient is said to take.
const STATEMENTS: &str = "statements";
/// What stands in the place of a twin in the id of a service for all of them.
const ANY_TWIN: &str = "any-twin";

/// `vancomycin-order-sign`: stable, unique for each hook, safe in a URL.
#[must_use]
pub fn service_id(file: &TwinFile, hook: Hook) -> String {
    format!("{}-{}", file.id, hook.name())
}

/// What a twin asks of the record. Only the portable subset of search: token lists, `_sort`, `_count`.
///
/// Administrations and orders are asked for without a code, because orders carry product codes that only the
/// terminology file resolves and a dose that is not found makes a wrong twin.
#[must_use]
pub fn queries(file: &TwinFile) -> Vec<Query> {
    let query = |key: &str, template: String, required: bool| Query {
        key: key.to_owned(),
        template,
        required,
    };
    let mut queries = vec![query(PATIENT, "Patient/{{context.patientId}}".into(), true)];
    // An item without a code is computed from others.
    for item in file.needs.measured.iter().filter(|item| !item.codes.is_empty()) {
        let codes: Vec<String> = item.codes.iter().map(|c| format!("{}|{}", c.system, c.code)).collect();
        let count = if item.use_as == UseAs::Observation { 100 } else { 20 };
        let template = format!(
            "Observation?patient={{{{context.patientId}}}}&code={}&_sort=-date&_count={count}",
            codes.join(",")
        );
        let optional = item.use_as == UseAs::Covariate && file.named.get(&item.name).is_some_and(|n| n.optional);
        queries.push(query(&key(&item.name), template, !optional));
    }
    if file.needs.drug.is_some() {
        let of = |kind: &str, sort: &str| format!("{kind}?patient={{{{context.patientId}}}}&_sort={sort}&_count=250");
        queries.push(query(
            ADMINISTRATIONS,
            of("MedicationAdministration", "-effective-time"),
            true,
        ));
        queries.push(query(ORDERS, of("MedicationRequest", "-authoredon"), true));
        queries.push(query(STATEMENTS, of("MedicationStatement", "-effective"), false));
    }
    let observed = |key: String, codes: &[Code], count: u32| {
        let codes: Vec<String> = codes.iter().map(|c| format!("{}|{}", c.system, c.code)).collect();
        let codes = codes.join(",");
        query(
            &key,
            format!("Observation?patient={{{{context.patientId}}}}&code={codes}&_sort=-date&_count={count}"),
            true,
        )
    };
    for flag in file.needs.flags.iter().filter(|f| !f.tests.is_empty()) {
        queries.push(observed(key(&flag.name), &flag.tests, 20));
    }
    if !file.needs.categories.is_empty() {
        let codes = category_codes(&file.needs.categories);
        queries.push(observed("genotypes".to_owned(), &codes, 100));
    }
    if !file.needs.flags.is_empty() {
        queries.push(query(
            "conditions",
            "Condition?patient={{context.patientId}}&_count=250".into(),
            true,
        ));
        queries.push(query(
            "procedures",
            "Procedure?patient={{context.patientId}}&_sort=-date&_count=100".into(),
            true,
        ));
    }
    queries
}

/// Codes under which any of these categories may be recorded.
#[must_use]
pub fn category_codes<'c>(categories: impl IntoIterator<Item = &'c Category>) -> Vec<Code> {
    let mut codes: Vec<Code> = GENOTYPES
        .map(|code| Code {
            system: LOINC.to_owned(),
            code: code.to_owned(),
        })
        .into();
    codes.extend(categories.into_iter().flat_map(|c| c.codes.iter().cloned()));
    codes.sort();
    codes.dedup();
    codes
}

/// Whether advice must not be given on a part of what a key asks for: doses, conditions, levels.
#[must_use]
pub fn decides(file: &TwinFile, key_asked: &str) -> bool {
    matches!(key_asked, ADMINISTRATIONS | "conditions" | "procedures")
        || file.observed().any(|item| key_asked == key(&item.name))
}

/// Whether a key is asked for to know if the patient is on a treatment at all.
#[must_use]
pub fn tells_treatment(key_asked: &str) -> bool {
    matches!(key_asked, PATIENT | ADMINISTRATIONS | ORDERS | STATEMENTS)
}

/// Prefetch key of a record item.
fn key(name: &str) -> String {
    format!("observation-{}", name.to_ascii_lowercase())
}

/// The services of a twin, one for each hook.
#[must_use]
pub fn services(file: &TwinFile) -> Vec<Service> {
    let queries = queries(file);
    Hook::ALL
        .into_iter()
        .map(|hook| Service {
            hook: hook.name().to_owned(),
            title: file.title.en.clone(),
            description: match file.status {
                Status::Active => file.about.en.clone(),
                _ => format!("{} Investigational: not clinically validated.", file.about.en),
            },
            id: service_id(file, hook),
            prefetch: queries.iter().map(|q| (q.key.clone(), q.template.clone())).collect(),
            usage_requirements: Some(format!(
                "Patient, measurements, doses and orders: in prefetch, or readable on fhirServer with the token sent along. {}",
                match hook {
                    Hook::PatientView => "Speaks only for a patient on this treatment.",
                    Hook::OrderSelect | Hook::OrderSign => "Speaks only when this drug is among the draft orders.",
                }
            )),
            version: "2.0.1".to_owned(),
        })
        .collect()
}

/// `any-twin-order-sign`.
#[must_use]
pub fn together_id(hook: Hook) -> String {
    format!("{ANY_TWIN}-{}", hook.name())
}

/// The service of a hook for all twins together, whose queries together are `queries`.
#[must_use]
pub fn together<'t>(twins: impl IntoIterator<Item = &'t TwinFile>, queries: &[Query], hook: Hook) -> Service {
    let twins: Vec<&TwinFile> = twins.into_iter().collect();
    let titles: Vec<&str> = twins.iter().map(|file| file.title.en.as_str()).collect();
    let investigational = if twins.iter().any(|file| file.status != Status::Active) {
        " Investigational: not clinically validated."
    } else {
        ""
    };
    Service {
        hook: hook.name().to_owned(),
        title: "Patient twins: every one that applies".to_owned(),
        description: format!(
            "At most {MOST} cards, the most important first, from: {}.{investigational}",
            titles.join("; ")
        ),
        id: together_id(hook),
        prefetch: queries.iter().map(|q| (q.key.clone(), q.template.clone())).collect(),
        usage_requirements: Some(format!(
            "Patient, measurements, doses and orders: in prefetch, or readable on fhirServer with the token sent along, which is \
             asked only for what the twins that apply need. {}",
            match hook {
                Hook::PatientView => "A twin speaks only for a patient on its treatment.",
                Hook::OrderSelect | Hook::OrderSign => "A twin speaks only when its drug is among the draft orders.",
            }
        )),
        version: "2.0.1".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_templates_relative() {
        let file = TwinFile::parse("twin.toml", include_str!("../../models/vancomycin/twin.toml")).unwrap();
        let services = services(&file);
        let ids: Vec<_> = services.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "vancomycin-patient-view",
                "vancomycin-order-select",
                "vancomycin-order-sign"
            ]
        );
        for template in services.iter().flat_map(|s| s.prefetch.values()) {
            assert!(
                !template.starts_with('/') && template.contains("{{context.patientId}}"),
                "{template}"
            );
        }
    }
}
