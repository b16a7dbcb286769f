//! The OpenAPI document says what the server serves beside FHIR and CDS Hooks: all of it, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use super::support::Server;

/// Described by their own standards, or part of the demonstration alone.
const ELSEWHERE: [&str; 3] = ["/cds-services", "/fhir", "/demo"];

fn document() -> Value {
    serde_json::from_str(include_str!("../../src/http/openapi.json")).unwrap()
}

fn is_elsewhere(path: &str) -> bool {
    ELSEWHERE
        .iter()
        .any(|start| path == *start || path.strip_prefix(start).is_some_and(|rest| rest.starts_with('/')))
}

/// The paths that the sources declare: literals, or constants, given to `resource`, `scope` or `route`.
fn declared() -> BTreeSet<String> {
    let mut texts = Vec::new();
    read_all(Path::new("src"), &mut texts);
    let constants: BTreeMap<&str, &str> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| {
            let (name, value) = line.split_once("const ")?.1.split_once(": &str = \"")?;
            Some((name, value.split('"').next()?))
        })
        .collect();
    let mut found = BTreeSet::new();
    for text in &texts {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for call in ["web::resource(", "web::scope(", ".route("] {
            for (at, _) in code.match_indices(call) {
                let argument = code[at + call.len()..].trim_start();
                let path = match argument.strip_prefix('"') {
                    Some(literal) => literal.split('"').next().unwrap(),
                    None => {
                        let mut named = argument.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c));
                        let name = named.next().unwrap().rsplit("::").next().unwrap();
                        constants.get(name).copied().unwrap_or_default()
                    }
                };
                if path.starts_with('/') && !is_elsewhere(path) {
                    found.insert(path.to_owned());
                }
            }
        }
    }
    found
}

/// The demonstration's sources are left out: it describes itself, and a hospital never serves it.
fn read_all(folder: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("demo") {
            read_all(&path, texts);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.to_string_lossy().contains("test") {
            texts.push(fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn it_names_every_route_and_no_other() {
    let documented: BTreeSet<String> = document()["paths"].as_object().unwrap().keys().cloned().collect();
    let declared = declared();
    assert!(
        declared.contains("/health"),
        "the sources were not understood: {declared:?}"
    );
    assert_eq!(
        documented, declared,
        "src/http/openapi.json (left) and the routes of src/ (right) differ"
    );
}

#[test]
fn what_it_names_is_served() {
    let server = Server::start();
    let (status, served) = server.get("/openapi.json");
    assert_eq!((status, &served), (200, &document()));
    for (path, item) in served["paths"].as_object().unwrap() {
        // Those with parameters cannot be asked for without knowing one.
        let Some(read) = item.get("get").filter(|_| !path.contains('{')) else {
            continue;
        };
        let (status, _) = server.get(path);
        assert!(
            status != 404 && read["responses"].get(status.to_string()).is_some(),
            "{path} answers {status}, which is not documented"
        );
    }
}

/// What the specification of OpenAPI 3.1 requires of the parts that are used.
#[test]
fn it_is_openapi() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let tags: BTreeSet<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with('/'), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            if method == "parameters" {
                continue;
            }
            assert!(
                ["get", "put", "post", "delete", "options", "head", "patch", "trace"].contains(&method.as_str()),
                "{place}"
            );
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap()),
                "{place}: id given twice"
            );
            assert!(operation["summary"].is_string(), "{place}");
            for tag in operation["tags"].as_array().unwrap() {
                assert!(tags.contains(tag.as_str().unwrap()), "{place}: {tag}");
            }
            check_responses(&place, &operation["responses"]);
            check_parameters(&place, path, item, operation);
        }
    }
    check_references(&document, &document);
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        check_schema(name, schema);
        let used = document
            .to_string()
            .contains(&format!("\"#/components/schemas/{name}\""));
        assert!(used, "{name} is not used");
    }
}

fn check_responses(place: &str, responses: &Value) {
    let responses = responses.as_object().unwrap();
    assert!(!responses.is_empty(), "{place}");
    for (status, response) in responses {
        let known =
            status == "default" || (status.len() == 3 && status.parse::<u16>().is_ok_and(|s| (100..600).contains(&s)));
        assert!(known, "{place}: {status}");
        assert!(
            response["description"].is_string(),
            "{place}: {status} lacks a description"
        );
        for (kind, media) in response.get("content").and_then(Value::as_object).into_iter().flatten() {
            assert!(
                kind.contains('/') && media["schema"].is_object(),
                "{place}: {status} {kind}"
            );
        }
    }
}

fn check_parameters(place: &str, path: &str, item: &Value, operation: &Value) {
    let all = [item, operation]
        .into_iter()
        .filter_map(|of| of.get("parameters")?.as_array());
    let mut in_path = BTreeSet::new();
    for parameter in all.flatten() {
        let name = parameter["name"].as_str().unwrap();
        assert!(parameter["schema"].is_object(), "{place}: {name}");
        match parameter["in"].as_str().unwrap() {
            "path" => {
                assert_eq!(parameter["required"], true, "{place}: {name}");
                in_path.insert(format!("{{{name}}}"));
            }
            other => assert!(["query", "header", "cookie"].contains(&other), "{place}: {name}"),
        }
    }
    let named: BTreeSet<String> = path
        .split('/')
        .filter(|part| part.starts_with('{'))
        .map(str::to_owned)
        .collect();
    assert_eq!(named, in_path, "{place}: parameters of the path");
}

fn check_references(document: &Value, part: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').expect("a reference within the document");
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            members.values().for_each(|member| check_references(document, member));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(document, item)),
        _ => {}
    }
}

fn check_schema(place: &str, schema: &Value) {
    if let Some(kind) = schema.get("type") {
        let known = ["object", "array", "string", "number", "integer", "boolean", "null"];
        assert!(known.contains(&kind.as_str().unwrap()), "{place}: {kind}");
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        assert!(
            properties.is_some_and(|all| all.contains_key(name.as_str().unwrap())),
            "{place}: {name} is required and not described"
        );
    }
    for (name, property) in properties.into_iter().flatten() {
        check_schema(&format!("{place}.{name}"), property);
    }
    if let Some(items) = schema.get("items") {
        check_schema(place, items);
    }
}
