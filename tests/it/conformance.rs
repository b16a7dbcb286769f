//! Whether what is answered is FHIR R4 (by the typed model of fhirbolt, strictly) and keeps to our own profiles: cardinalities, fixed
//! values and patterns, required bindings, types and targets of references, closed extensions, and the invariants by name. It knows
//! as much of FHIR's profiling as `profiles/` uses; what it does not know makes it fail.

use std::{collections::BTreeMap, fs, sync::LazyLock};

use serde_json::Value;

/// Definitions by canonical.
static DEFINITIONS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let files = fs::read_dir("profiles").unwrap().map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| serde_json::from_str::<Value>(&fs::read_to_string(path).unwrap()).unwrap())
        .map(|definition| (text(&definition, "url").to_owned(), definition))
        .collect()
});

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A Bundle, or one resource; what is wrong, in words.
pub fn problems(answer: &Value) -> Vec<String> {
    let mut found = Vec::new();
    empty(answer, "", &mut found);
    let bundle = answer["resourceType"] == "Bundle";
    check(answer, answer, &mut found);
    if bundle {
        for entry in items(&answer["entry"]) {
            let resource = if entry["resource"].is_null() {
                &entry["response"]["outcome"]
            } else {
                &entry["resource"]
            };
            if resource["resourceType"] == "Bundle" {
                found.extend(problems(resource));
                continue;
            }
            check(resource, answer, &mut found);
            if let Some(url) = entry["fullUrl"].as_str()
                && url != format!("urn:uuid:{}", text(resource, "id"))
            {
                found.push(format!("fullUrl {url} is not the id of its resource"));
            }
        }
        references(answer, answer, &mut found);
    }
    found
}

/// A resource with what its profiles say of it.
fn check(resource: &Value, bundle: &Value, found: &mut Vec<String>) {
    if let Err(error) = fhir_codec::conforms(resource) {
        found.push(format!("{}: {error}", text(resource, "resourceType")));
    }
    for profile in items(&resource["meta"]["profile"]) {
        let profile = profile.as_str().unwrap();
        let Some(definition) = DEFINITIONS.get(profile) else {
            found.push(format!("unknown profile {profile}"));
            continue;
        };
        if definition["type"] != resource["resourceType"] {
            found.push(format!("{profile} is not for this type"));
        }
        profiled(resource, definition, bundle, found);
    }
}

fn profiled(resource: &Value, definition: &Value, bundle: &Value, found: &mut Vec<String>) {
    let kind = text(definition, "type");
    for element in items(&definition["differential"]["element"]) {
        let path = text(element, "path");
        for constraint in items(&element["constraint"]) {
            let holds = match text(constraint, "key") {
                "jmu-1" => resource["status"] != "data-required" || !items(&resource["dataRequirement"]).is_empty(),
                "jmu-2" => resource["status"] == "success" || !items(&resource["evaluationMessage"]).is_empty(),
                key => panic!("the invariant {key} is not known here"),
            };
            if !holds {
                found.push(format!("{path}: {}", text(constraint, "human")));
            }
        }
        if path == kind || element["sliceName"].is_string() || kind == "Extension" {
            continue;
        }
        let steps: Vec<&str> = path.split('.').skip(1).collect();
        let (last, before) = steps.split_last().unwrap();
        let mut parents = vec![resource];
        for step in before {
            parents = parents.into_iter().flat_map(|parent| children(parent, step)).collect();
        }
        for parent in parents {
            let nodes = children(parent, last);
            let min = element["min"].as_u64().unwrap_or(0) as usize;
            let max = text(element, "max").parse().unwrap_or(usize::MAX);
            if !(min..=max).contains(&nodes.len()) {
                found.push(format!("{path}: {} of them, {min} to {max} allowed", nodes.len()));
            }
            for node in nodes {
                value(node, parent, last, element, path, bundle, found);
            }
        }
    }
    for extension in items(&resource["extension"]) {
        extended(extension, found);
    }
}

/// The values of an element; of one with several types, whichever is there.
fn children<'v>(parent: &'v Value, step: &str) -> Vec<&'v Value> {
    let named = |name: &str| match step.strip_suffix("[x]") {
        Some(stem) => name
            .strip_prefix(stem)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase())),
        None => name == step,
    };
    let members = parent.as_object().into_iter().flatten();
    members
        .filter(|(name, _)| named(name))
        .flat_map(|(_, value)| match value {
            Value::Array(items) => items.iter().collect(),
            one => vec![one],
        })
        .collect()
}

fn value(
    node: &Value,
    parent: &Value,
    step: &str,
    element: &Value,
    path: &str,
    bundle: &Value,
    found: &mut Vec<String>,
) {
    for (rule, wanted) in element.as_object().unwrap() {
        if rule.starts_with("fixed") && node != wanted {
            found.push(format!("{path}: {node} is not {wanted}"));
        }
        if rule.starts_with("pattern") && !holds(node, wanted) {
            found.push(format!("{path}: {node} does not hold {wanted}"));
        }
    }
    if let Some(set) = element["binding"]["valueSet"].as_str()
        && !bound(node, set)
    {
        found.push(format!("{path}: {node} is not in {set}"));
    }
    let types = items(&element["type"]);
    if let (Some(stem), false) = (step.strip_suffix("[x]"), types.is_empty()) {
        let allowed = |kind: &Value| {
            let code = text(kind, "code");
            let mut name = code.chars();
            let name = name
                .next()
                .map(|c| c.to_ascii_uppercase())
                .into_iter()
                .chain(name)
                .collect::<String>();
            parent.get(format!("{stem}{name}")) == Some(node)
        };
        if !types.iter().any(allowed) {
            found.push(format!("{path}: of a type that is not allowed"));
        }
    }
    let targets: Vec<&str> = types
        .iter()
        .flat_map(|kind| items(&kind["targetProfile"]))
        .filter_map(Value::as_str)
        .collect();
    if !targets.is_empty()
        && !targets
            .iter()
            .any(|target| points(text(node, "reference"), target, bundle))
    {
        found.push(format!("{path}: {node} refers to none of {targets:?}"));
    }
}

/// Whether a value holds everything that a pattern has.
fn holds(node: &Value, pattern: &Value) -> bool {
    match pattern {
        Value::Object(members) => members.iter().all(|(name, wanted)| holds(&node[name], wanted)),
        Value::Array(wanted) => wanted.iter().all(|w| items(node).iter().any(|n| holds(n, w))),
        plain => node == plain,
    }
}

fn bound(node: &Value, set: &str) -> bool {
    let set = DEFINITIONS.get(set).unwrap_or_else(|| panic!("no value set {set}"));
    let listed = |codes: &Value, code: &str| items(codes).iter().any(|c| c["code"] == code);
    let within = |system: Option<&str>, code: &str| {
        items(&set["compose"]["include"]).iter().any(|include| {
            let own = text(include, "system");
            system.is_none_or(|system| system == own)
                && match &include["concept"] {
                    Value::Null => listed(&DEFINITIONS[own]["concept"], code),
                    concepts => listed(concepts, code),
                }
        })
    };
    match node {
        Value::String(code) => within(None, code),
        _ => items(&node["coding"])
            .iter()
            .any(|coding| within(coding["system"].as_str(), text(coding, "code"))),
    }
}

/// Whether a reference leads to a resource of the target: one of the Bundle by its profile, another by its type.
fn points(reference: &str, target: &str, bundle: &Value) -> bool {
    if reference.starts_with("urn:uuid:") {
        let entry = items(&bundle["entry"])
            .iter()
            .find(|entry| entry["fullUrl"] == reference);
        return entry.is_some_and(|entry| {
            let resource = &entry["resource"];
            items(&resource["meta"]["profile"]).iter().any(|p| p == target)
                || target.ends_with(&format!("/{}", text(resource, "resourceType")))
        });
    }
    let kind = target.rsplit('/').next().unwrap();
    let before = reference.split("/_history/").next().unwrap();
    before.rsplit('/').nth(1) == Some(kind)
}

/// Every reference inside the Bundle leads somewhere.
fn references(value: &Value, bundle: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("reference").and_then(Value::as_str)
                && reference.starts_with("urn:uuid:")
                && !items(&bundle["entry"])
                    .iter()
                    .any(|entry| entry["fullUrl"] == reference)
            {
                found.push(format!("{reference} leads nowhere"));
            }
            // A Bundle inside is a world of its own.
            let inner = |member: &&Value| member["resourceType"] != "Bundle";
            let members = members.values().filter(inner);
            members.for_each(|member| references(member, bundle, found));
        }
        Value::Array(list) => list.iter().for_each(|item| references(item, bundle, found)),
        _ => {}
    }
}

/// A complex extension has exactly the parts that its definition names.
fn extended(extension: &Value, found: &mut Vec<String>) {
    let url = text(extension, "url");
    let Some(definition) = DEFINITIONS.get(url) else {
        found.push(format!("unknown extension {url}"));
        return;
    };
    let elements = items(&definition["differential"]["element"]);
    let slices: Vec<&str> = elements.iter().filter_map(|e| e["sliceName"].as_str()).collect();
    let parts = items(&extension["extension"]);
    for slice in &slices {
        let wanted = elements
            .iter()
            .find(|e| text(e, "id") == format!("Extension.extension:{slice}.value[x]"))
            .map(|e| text(&e["type"][0], "code"))
            .unwrap();
        let mut name = wanted.chars();
        let first = name.next().unwrap().to_ascii_uppercase();
        let member = format!("value{first}{}", name.as_str());
        let good = |part: &&Value| part["url"] == *slice && !part[&member].is_null();
        if parts.iter().filter(good).count() != 1 {
            found.push(format!("{url}: one {slice} as {wanted}"));
        }
    }
    if parts.len() != slices.len() {
        found.push(format!("{url}: other parts than {slices:?}"));
    }
}

/// FHIR has neither null nor empty members.
fn empty(value: &Value, place: &str, found: &mut Vec<String>) {
    let nothing = match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    if nothing {
        found.push(format!("{place} is empty"));
    }
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, v)| empty(v, &format!("{place}.{name}"), found)),
        Value::Array(items) => items.iter().for_each(|v| empty(v, place, found)),
        _ => {}
    }
}

#[test]
fn the_definitions_are_fhir_themselves() {
    for definition in DEFINITIONS.values() {
        let id = text(definition, "id");
        assert_eq!(
            fhir_codec::conforms(definition).map_err(|e| e.to_string()),
            Ok(()),
            "{id}"
        );
        let url = text(definition, "url");
        assert_eq!(url.rsplit('/').next(), Some(id), "{url}");
        for name in ["valueSet", "targetProfile", "system"] {
            named(definition, name, &mut |canonical| {
                let own = canonical.starts_with("https://jumeau.org/fhir/");
                assert!(
                    !own || DEFINITIONS.contains_key(canonical),
                    "{id}: {canonical} is not there"
                );
            });
        }
    }
}

fn named(value: &Value, name: &str, see: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                if member == name {
                    value.as_str().into_iter().for_each(&mut *see);
                    items(value).iter().filter_map(Value::as_str).for_each(&mut *see);
                }
                named(value, name, see);
            }
        }
        Value::Array(list) => list.iter().for_each(|item| named(item, name, see)),
        _ => {}
    }
}

#[test]
fn every_reason_for_no_advice_is_a_code() {
    let codes = &DEFINITIONS["https://jumeau.org/fhir/CodeSystem/refusal"]["concept"];
    let codes: Vec<&str> = items(codes).iter().map(|c| text(c, "code")).collect();
    let mut seen = 0;
    for file in ["gates", "outcome"] {
        let source = fs::read_to_string(format!("src/advice/{file}.rs")).unwrap();
        for call in source.split("Refusal::new(").skip(1) {
            let Some(reason) = call
                .trim_start()
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next())
            else {
                continue;
            };
            assert!(codes.contains(&reason), "{reason} is not in the CodeSystem");
            seen += 1;
        }
    }
    assert!(seen > 10, "the sources are read: {seen}");
}

#[test]
fn a_departure_is_found() {
    let good = crate::support::read("profiles/examples/evaluate.json");
    assert_eq!(problems(&good), [""; 0]);
    type Change = fn(&mut Value);
    let spoilt = |kind: &str, change: Change| {
        let mut bad = good.clone();
        let entries = bad["entry"].as_array_mut().unwrap();
        let entry = entries
            .iter_mut()
            .find(|e| e["resource"]["resourceType"] == kind)
            .unwrap();
        change(&mut entry["resource"]);
        problems(&bad)
    };
    let cases: [(&str, Change); 9] = [
        ("GuidanceResponse", |r| r["status"] = "in-progress".into()),
        ("GuidanceResponse", |r| r["status"] = "failure".into()),
        ("GuidanceResponse", |r| {
            r["reasonCode"][0]["coding"][0]["code"] = "mood".into()
        }),
        ("GuidanceResponse", |r| r["result"] = r["performer"].clone()),
        ("RequestGroup", |r| r["intent"] = "order".into()),
        ("RequestGroup", |r| r["action"][0]["selectionBehavior"] = "all".into()),
        ("RiskAssessment", |r| {
            r["extension"][0]["extension"][0]["url"] = "other".into()
        }),
        ("Device", |r| {
            r["meta"]["security"] = serde_json::json!([{ "system": "x", "code": "y" }])
        }),
        ("Provenance", |r| {
            r["entity"] = serde_json::json!([{ "role": "source" }])
        }),
    ];
    for (n, (kind, change)) in cases.into_iter().enumerate() {
        assert!(!spoilt(kind, change).is_empty(), "case {n}");
    }
}
