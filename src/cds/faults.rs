//! What the types of [`card`](super::card) cannot keep from going wrong. Specification: CDS Hooks 2.0.1, "CDS Service Response".

use std::collections::HashSet;

use serde_json::Value;

use super::card::{Action, ActionType, Card, Response, SelectionBehavior};

/// Longest summary, in characters: the specification says fewer than 140.
const SUMMARY: usize = 139;

/// Lists breaches of the protocol in an answer, in words of ours only: for tests, and for the log when one gets out.
#[must_use]
pub fn faults(response: &Response) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let mut seen = HashSet::new();
    for card in &response.cards {
        of_card(card, &mut faults);
        let suggestions = card.suggestions.iter().map(|suggestion| suggestion.uuid);
        if !suggestions.chain([card.uuid]).all(|uuid| seen.insert(uuid)) {
            faults.push("a uuid is used twice");
        }
        if card.extension.as_ref().is_some_and(hollow) {
            faults.push("the extension of a card is not an object or holds something empty");
        }
    }
    if response.extension.as_ref().is_some_and(hollow) {
        faults.push("the extension of the answer is not an object or holds something empty");
    }
    faults
}

fn of_card(card: &Card, faults: &mut Vec<&'static str>) {
    let mut check = |good: bool, fault| {
        if !good {
            faults.push(fault);
        }
    };
    let web = |url: &str| url.starts_with("https://") || url.starts_with("http://");
    check(!card.summary.trim().is_empty(), "a summary is empty");
    check(
        card.summary.chars().count() <= SUMMARY,
        "a summary has 140 characters or more",
    );
    check(
        !card.summary.chars().any(char::is_control),
        "a summary has a line break or control character",
    );
    check(!card.source.label.is_empty(), "a source has no label");
    check(
        card.source.url.as_deref().is_none_or(web),
        "the url of a source is not absolute",
    );
    check(
        card.suggestions.is_empty() == card.selection_behavior.is_none(),
        "selectionBehavior must be there exactly when there are suggestions",
    );
    let recommended = card
        .suggestions
        .iter()
        .filter(|suggestion| suggestion.is_recommended)
        .count();
    check(
        recommended <= 1 || card.selection_behavior != Some(SelectionBehavior::AtMostOne),
        "several suggestions of at most one are recommended",
    );
    for coding in card.override_reasons.iter().chain([&card.source.topic]) {
        let words = coding.display.as_ref().is_none_or(|words| !words.is_empty());
        check(
            !coding.system.is_empty() && !coding.code.is_empty() && words,
            "a Coding has an empty member",
        );
    }
    check(
        card.override_reasons.iter().all(|reason| reason.display.is_some()),
        "an override reason has no display",
    );
    check(
        card.links.iter().all(|link| !link.label.is_empty() && web(&link.url)),
        "a link has no label or no absolute url",
    );
    for suggestion in &card.suggestions {
        check(!suggestion.label.is_empty(), "a suggestion has no label");
        check(
            suggestion.actions.iter().all(|action| !action.description.is_empty()),
            "an action has no description",
        );
        check(
            suggestion.actions.iter().all(resource_fits),
            "the resource of an action does not fit its type",
        );
    }
}

/// Create and update need a resource, update its id too; nothing in it may be null or empty, as FHIR's JSON rules say.
fn resource_fits(action: &Action) -> bool {
    let Some(resource) = &action.resource else {
        return action.kind == ActionType::Delete;
    };
    let has = |name| resource.get(name).is_some_and(Value::is_string);
    let fits = match action.kind {
        ActionType::Create => true,
        ActionType::Update => has("id"),
        ActionType::Delete => false,
    };
    fits && has("resourceType") && !hollow(resource)
}

/// Whether this is not an object, or something in it is null, "", [] or {}.
fn hollow(value: &Value) -> bool {
    fn empty(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty() || items.iter().any(empty),
            Value::Object(members) => members.is_empty() || members.values().any(empty),
            Value::Bool(_) | Value::Number(_) => false,
        }
    }
    !value.is_object() || empty(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::cds::card::{Coding, Indicator, Link, LinkType, Source, Suggestion};

    fn coding() -> Coding {
        Coding {
            system: "https://example.org".to_owned(),
            code: "c".to_owned(),
            display: Some("d".to_owned()),
        }
    }

    fn good() -> Card {
        let order = json!({ "resourceType": "MedicationRequest", "id": "1", "status": "draft" });
        let update = Action {
            kind: ActionType::Update,
            description: "Changes the dose".to_owned(),
            resource: Some(order),
        };
        let suggestion = |actions| Suggestion {
            uuid: Uuid::new_v4(),
            label: "l".to_owned(),
            is_recommended: false,
            actions,
        };
        Card {
            uuid: Uuid::new_v4(),
            summary: "é".repeat(139),
            detail: String::new(),
            indicator: Indicator::Info,
            source: Source {
                label: "s".to_owned(),
                url: Some("https://example.org".to_owned()),
                topic: coding(),
            },
            suggestions: vec![suggestion(vec![update]), suggestion(vec![])],
            selection_behavior: Some(SelectionBehavior::AtMostOne),
            override_reasons: vec![coding()],
            links: vec![Link {
                label: "l".to_owned(),
                url: "https://x".to_owned(),
                kind: LinkType::Absolute,
                app_context: None,
            }],
            extension: Some(json!({ "org.example": { "numbers": [1, 2] } })),
        }
    }

    fn of(card: Card) -> Vec<&'static str> {
        faults(&Response {
            cards: vec![card],
            extension: None,
        })
    }

    #[test]
    fn a_good_card_has_none() {
        assert_eq!(of(good()), Vec::<&str>::new());
        assert!(faults(&Response::default()).is_empty());
    }

    #[test]
    fn each_fault_is_found() {
        let breaks: [fn(&mut Card); 17] = [
            |c| c.summary.push('x'),
            |c| c.summary = " ".to_owned(),
            |c| c.summary = "a\nb".to_owned(),
            |c| c.source.label.clear(),
            |c| c.source.url = Some("/model".to_owned()),
            |c| c.selection_behavior = None,
            |c| c.suggestions.clear(),
            |c| c.suggestions.iter_mut().for_each(|s| s.is_recommended = true),
            |c| c.source.topic.code.clear(),
            |c| c.override_reasons[0].display = None,
            |c| c.links[0].url = "javascript:x".to_owned(),
            |c| c.suggestions[0].label.clear(),
            |c| c.suggestions[0].uuid = c.uuid,
            |c| c.suggestions[0].actions[0].kind = ActionType::Delete,
            |c| c.suggestions[0].actions[0].resource = None,
            |c| c.suggestions[0].actions[0].resource = Some(json!({ "resourceType": "X", "id": "1", "note": [] })),
            |c| c.extension = Some(json!({ "a": null })),
        ];
        for (n, break_it) in breaks.into_iter().enumerate() {
            let mut card = good();
            break_it(&mut card);
            assert_eq!(of(card).len(), 1, "{n}");
        }
    }
}
