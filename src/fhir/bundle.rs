//! Taking Bundles apart, one entry at a time, so that a bad entry costs only itself (FHIR R4, Bundle, 2.36).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::peek::Text;

/// A Bundle in a Bundle in a Bundle is as deep as any server goes (a batch of searches).
const DEEPEST: usize = 3;

/// One resource, and the address under which its Bundle knows it.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// `Bundle.entry.fullUrl`, to which references inside the Bundle may point.
    pub full_url: Option<Text<'a>>,
    /// The resource.
    pub resource: &'a RawValue,
}

/// What came out of one answer or one prefetch key.
#[derive(Debug, Clone, Default)]
pub struct Exploded<'a> {
    /// Resources in the order of the text.
    pub entries: Vec<Entry<'a>>,
    /// OperationOutcomes: what the server says about its own answer.
    pub outcomes: Vec<&'a RawValue>,
    /// Whether a Bundle had a link to a next page that is not here.
    pub partial: bool,
    /// Entries that were no resource at all.
    pub broken: usize,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow, default)]
    resource_type: Option<Text<'a>>,
    // A Bundle is recognised by its type of resource; `Bundle.type`, though required, is left out by some clients.
    #[serde(borrow, default)]
    link: Option<&'a RawValue>,
    #[serde(borrow, default)]
    entry: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry<'a> {
    #[serde(borrow, default)]
    full_url: Option<Text<'a>>,
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Link<'a> {
    #[serde(borrow, default)]
    relation: Option<Text<'a>>,
}

/// A resource as it is, or every resource of a Bundle.
pub fn explode_with_urls(data: &RawValue) -> Exploded<'_> {
    let mut out = Exploded::default();
    walk(data, None, DEEPEST, &mut out);
    out
}

/// The resources of a Bundle, or the one resource that `data` is; OperationOutcomes are left out.
pub fn explode(data: &RawValue) -> Vec<&RawValue> {
    explode_with_urls(data)
        .entries
        .into_iter()
        .map(|entry| entry.resource)
        .collect()
}

fn walk<'a>(data: &'a RawValue, full_url: Option<Text<'a>>, depth: usize, out: &mut Exploded<'a>) {
    let Ok(head) = serde_json::from_str::<Head<'a>>(data.get()) else {
        // `null` is how a client says that a prefetch key found nothing (CDS Hooks 2.0, Prefetch).
        if data.get().trim() != "null" {
            out.broken += 1;
        }
        return;
    };
    match head.resource_type.as_ref().map(Text::as_str) {
        Some("Bundle") if depth > 0 => {}
        Some("OperationOutcome") => return out.outcomes.push(data),
        Some(other) if other != "Bundle" => {
            return out.entries.push(Entry {
                full_url,
                resource: data,
            });
        }
        _ => {
            out.broken += 1;
            return;
        }
    }
    let links = head
        .link
        .and_then(|raw| serde_json::from_str::<Vec<Link<'_>>>(raw.get()).ok())
        .unwrap_or_default();
    out.partial |= links
        .iter()
        .any(|link| link.relation.as_ref().is_some_and(|r| r.as_str() == "next"));
    let Some(raw) = head.entry.filter(|raw| raw.get() != "null") else {
        return;
    };
    // The whole list at once, and one by one only when something in it is broken.
    if let Ok(entries) = serde_json::from_str::<Vec<RawEntry<'a>>>(raw.get()) {
        for entry in entries {
            push(entry, depth, out);
        }
        return;
    }
    let Ok(list) = serde_json::from_str::<Vec<&'a RawValue>>(raw.get()) else {
        out.broken += 1;
        return;
    };
    for raw in list {
        match serde_json::from_str::<RawEntry<'a>>(raw.get()) {
            Ok(entry) => push(entry, depth, out),
            Err(_) => out.broken += 1,
        }
    }
}

fn push<'a>(entry: RawEntry<'a>, depth: usize, out: &mut Exploded<'a>) {
    // An entry without a resource is a deletion in a history, or an answer to a write.
    if let Some(resource) = entry.resource {
        walk(resource, entry.full_url, depth - 1, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn one_resource_is_itself() {
        let data = raw(r#"{"id":"a","resourceType":"Patient"}"#);
        assert_eq!(explode(&data).len(), 1);
        assert!(explode(&raw("null")).is_empty());
    }

    #[test]
    fn a_bundle_gives_its_entries_and_says_what_is_missing() {
        let data = raw(
            r#"{"resourceType":"Bundle","link":[{"relation":"self","url":"x"},{"relation":"next","url":"y"}],"entry":[
                {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"}},
                {"resource":{"resourceType":"OperationOutcome","issue":[]}},
                "not an entry", {"response":{"status":"204"}}, {"resource":7}, {"resource":null},
                {"resource":{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Observation"}}]}}]}"#,
        );
        let out = explode_with_urls(&data);
        assert_eq!(
            (out.entries.len(), out.outcomes.len(), out.partial, out.broken),
            (2, 1, true, 2)
        );
        assert_eq!(out.entries[0].full_url.as_ref().unwrap().as_str(), "urn:uuid:1");
    }

    #[test]
    fn a_bundle_nested_without_end_stops() {
        let mut json = r#"{"resourceType":"Patient"}"#.to_owned();
        for _ in 0..20 {
            json = format!(r#"{{"resourceType":"Bundle","entry":[{{"resource":{json}}}]}}"#);
        }
        let data = raw(&json);
        let out = explode_with_urls(&data);
        assert_eq!((out.entries.len(), out.broken), (0, 1));
    }
}
