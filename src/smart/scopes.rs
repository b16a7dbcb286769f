//! What the app asks leave to read, and whether it got it. Specification: SMART App Launch 2.2, "Scopes and Launch Context".

use std::collections::BTreeSet;

use crate::cds::discovery::Service;

/// The types of resource that services read: those that their prefetch templates begin with.
#[must_use]
pub fn types(services: &[Service]) -> BTreeSet<String> {
    let templates = services.iter().flat_map(|service| service.prefetch.values());
    let kind = |template: &String| -> String { template.chars().take_while(char::is_ascii_alphabetic).collect() };
    templates.map(kind).filter(|kind| !kind.is_empty()).collect()
}

/// What to ask for: the context of the launch, and reading those types about the one patient.
#[must_use]
pub fn asked(types: &BTreeSet<String>, version_2: bool) -> String {
    let may = if version_2 { "rs" } else { "read" };
    let each = types.iter().map(|kind| format!("patient/{kind}.{may}"));
    std::iter::once("launch".to_owned())
        .chain(each)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Those of the types that the scopes do not let the app read and search in full.
#[must_use]
pub fn lacking<'t>(types: &'t BTreeSet<String>, granted: &str) -> Vec<&'t str> {
    types
        .iter()
        .map(String::as_str)
        .filter(|kind| !granted.split_ascii_whitespace().any(|scope| covers(scope, kind)))
        .collect()
}

fn covers(scope: &str, kind: &str) -> bool {
    let Some((level, rest)) = scope.split_once('/') else {
        return false;
    };
    let Some((on, may)) = rest.split_once('.') else {
        return false;
    };
    let read = match may {
        "read" | "*" => true,
        // In the order c, r, u, d, s; with a query it would cover a part only.
        _ => may.contains('r') && may.contains('s') && may.chars().all(|c| "cruds".contains(c)),
    };
    // What is read by its id need not be searched for.
    let read = read || (kind == "Patient" && may.contains('r') && may.chars().all(|c| "cruds".contains(c)));
    matches!(level, "patient" | "user") && (on == "*" || on == kind) && read
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> BTreeSet<String> {
        ["Patient", "Observation"].map(str::to_owned).into()
    }

    #[test]
    fn scopes_of_both_versions() {
        assert_eq!(
            asked(&wanted(), true),
            "launch patient/Observation.rs patient/Patient.rs"
        );
        assert_eq!(
            asked(&wanted(), false),
            "launch patient/Observation.read patient/Patient.read"
        );
    }

    #[test]
    fn what_is_not_granted_is_named() {
        for (granted, lacking_types) in [
            ("launch patient/*.rs", &[][..]),
            ("patient/Observation.read user/Patient.cruds", &[]),
            ("patient/*.*", &[]),
            ("patient/Patient.r patient/Observation.r", &["Observation"]),
            (
                "patient/Patient.rs patient/Observation.rs?category=vital-signs",
                &["Observation"],
            ),
            ("system/*.rs", &["Observation", "Patient"]),
            (
                "patient/Observations.rs patient/Patient.cud",
                &["Observation", "Patient"],
            ),
            ("", &["Observation", "Patient"]),
        ] {
            assert_eq!(lacking(&wanted(), granted), lacking_types, "{granted}");
        }
    }
}
