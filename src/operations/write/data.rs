//! What is lacking, as `DataRequirement`.

use serde_json::{Value, json};

use crate::service::finding::Required;

/// A requirement.
#[must_use]
pub fn requirement(required: &Required) -> Value {
    let mut out = json!({ "type": required.kind });
    let Some(members) = out.as_object_mut() else { return out };
    if let Some(element) = required.element {
        members.insert("mustSupport".to_owned(), json!([element]));
    }
    if !required.codes.is_empty() {
        let codes: Vec<Value> = required
            .codes
            .iter()
            .map(|code| json!({ "system": code.system, "code": code.code }))
            .collect();
        members.insert("codeFilter".to_owned(), json!([{ "path": "code", "code": codes }]));
    }
    if let Some(hours) = required.within_hours {
        let length = json!({ "value": hours, "unit": "h", "system": "http://unitsofmeasure.org", "code": "h" });
        members.insert(
            "dateFilter".to_owned(),
            json!([{ "path": "effective", "valueDuration": length }]),
        );
    }
    out
}
