//! What `GET /cds-services` says of a service. Specification: CDS Hooks 2.0.1, "Discovery".

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::request::Hook;

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Hook name.
    pub hook: String,
    /// Title for people.
    pub title: String,
    /// What it does.
    pub description: String,
    /// Stable id, safe as one URL segment, unique.
    pub id: String,
    /// Prefetch templates by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prefetch: BTreeMap<String, String>,
    /// What the client must provide, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_requirements: Option<String>,
    /// CDS Hooks release, `2.0.1`.
    pub version: String,
}

/// The body of the discovery answer.
#[derive(Debug, Serialize)]
pub struct Discovery<'a> {
    /// All services; an empty list is legal.
    pub services: &'a [Service],
}

/// Hooks by service id.
pub type Offer = BTreeMap<String, Vec<Hook>>;

/// Checks what is about to be offered, so that a mistake in a twin's files stops the start and not a clinician.
///
/// # Errors
/// What is wrong with which service.
pub fn offer(services: &[Service]) -> Result<Offer, String> {
    let mut offer = Offer::new();
    let mut seen = BTreeSet::new();
    for service in services {
        let id = service.id.as_str();
        let segment = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        if !id.bytes().all(segment) || id.bytes().all(|b| b == b'.') {
            return Err(format!(
                "the id of service {id:?} must be letters, digits, '-', '.', '_' and '~'"
            ));
        }
        let Some(hook) = Hook::from_name(&service.hook) else {
            return Err(format!(
                "service {id} is for the hook {:?}, which this server does not serve",
                service.hook
            ));
        };
        if !seen.insert((id, hook)) {
            return Err(format!("service {id} is listed twice for the hook {}", hook.name()));
        }
        if [&service.title, &service.description, &service.version]
            .into_iter()
            .any(|text| text.trim().is_empty())
        {
            return Err(format!("service {id} must have a title, a description and a version"));
        }
        offer.entry(service.id.clone()).or_default().push(hook);
    }
    Ok(offer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(id: &str, hook: &str) -> Service {
        let text = || "text".to_owned();
        Service {
            hook: hook.to_owned(),
            title: text(),
            description: text(),
            id: id.to_owned(),
            prefetch: BTreeMap::new(),
            usage_requirements: None,
            version: "2.0.1".to_owned(),
        }
    }

    #[test]
    fn one_id_may_serve_several_hooks() {
        let offer = offer(&[
            service("a", "patient-view"),
            service("a", "order-sign"),
            service("b", "order-select"),
        ]);
        assert_eq!(
            offer.expect("good").get("a"),
            Some(&vec![Hook::PatientView, Hook::OrderSign])
        );
    }

    #[test]
    fn mistakes_are_found_at_the_start() {
        for bad in [
            vec![service("a b", "patient-view")],
            vec![service("", "patient-view")],
            vec![service("..", "patient-view")],
            vec![service("a", "patient-open")],
            vec![service("a", "order-sign"), service("a", "order-sign")],
            vec![Service {
                title: String::new(),
                ..service("a", "order-sign")
            }],
        ] {
            assert!(offer(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_empty_is_written() {
        let text = serde_json::to_string(&Discovery {
            services: &[service("a", "order-sign")],
        })
        .expect("serialises");
        assert!(!text.contains("null") && !text.contains("{}") && !text.contains("prefetch"));
        assert_eq!(
            serde_json::to_string(&Discovery { services: &[] }).expect("serialises"),
            r#"{"services":[]}"#
        );
    }
}
