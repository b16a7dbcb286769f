//! A FHIR search over resources held in memory: enough of it for prefetch templates and for the queries EHR clients send.
//!
//! Parameters that are not understood are left out, as FHIR allows, and the answer's `self` link shows which ones counted.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::patients::text;

/// Query parameters, decoded, in order.
pub(super) type Query = Vec<(String, String)>;

/// What was found.
pub(super) struct Found<'a> {
    /// How many match, on all pages.
    pub(super) total: usize,
    /// The asked page.
    pub(super) page: Vec<&'a Value>,
    /// The parameters that counted.
    pub(super) used: Query,
    /// Where the next page begins, when there is one.
    pub(super) next: Option<usize>,
}

/// Decodes `a=b&c=d`.
pub(super) fn parse(query: &str) -> Query {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Runs one search.
pub(super) fn run<'a>(resources: impl Iterator<Item = &'a Value>, kind: &str, query: &Query) -> Found<'a> {
    let mut hits: Vec<&Value> = resources
        .filter(|resource| text(resource, "/resourceType") == kind)
        .collect();
    let mut used = Query::new();
    let (mut count, mut offset, mut sort) = (None, 0, Vec::new());
    for (name, value) in query {
        let counts = match name.as_str() {
            "_count" => value.parse().map(|n: usize| count = Some(n)).is_ok(),
            "_offset" => value.parse().map(|n: usize| offset = n).is_ok(),
            "_sort" => {
                sort = value.split(',').filter_map(Order::parse).collect();
                !sort.is_empty()
            }
            _ => match Test::parse(name) {
                Some(test) => {
                    let choices = alternatives(value);
                    hits.retain(|resource| choices.iter().any(|choice| test.passes(resource, choice)));
                    true
                }
                None => false,
            },
        };
        if counts {
            used.push((name.clone(), value.clone()));
        }
    }
    for order in sort.iter().rev() {
        hits.sort_by(|a, b| {
            let ordering = order.key(a).cmp(&order.key(b));
            if order.descending { ordering.reverse() } else { ordering }
        });
    }
    let total = hits.len();
    let page: Vec<&Value> = hits
        .into_iter()
        .skip(offset)
        .take(count.unwrap_or(usize::MAX))
        .collect();
    let end = offset.saturating_add(page.len());
    let next = (end < total && !page.is_empty()).then_some(end);
    Found {
        total,
        page,
        used,
        next,
    }
}

impl Found<'_> {
    /// As a searchset. `base` is the URL of the server, without a slash at the end; `paged` adds the link to the next page.
    pub(super) fn into_bundle(self, base: &str, kind: &str, paged: bool) -> Value {
        let mut links = vec![json!({"relation": "self", "url": link(base, kind, &self.used)})];
        if let (Some(next), true) = (self.next, paged) {
            let mut query = self.used;
            query.retain(|(name, _)| name != "_offset");
            query.push(("_offset".to_owned(), next.to_string()));
            links.push(json!({"relation": "next", "url": link(base, kind, &query)}));
        }
        let entries: Vec<Value> = self
            .page
            .iter()
            .map(|resource| {
                let url = format!("{base}/{kind}/{}", text(resource, "/id"));
                json!({"fullUrl": url, "resource": resource, "search": {"mode": "match"}})
            })
            .collect();
        let mut bundle = Map::new();
        bundle.insert("resourceType".to_owned(), "Bundle".into());
        bundle.insert("type".to_owned(), "searchset".into());
        bundle.insert("total".to_owned(), self.total.into());
        bundle.insert("link".to_owned(), links.into());
        // FHIR knows no empty lists.
        if !entries.is_empty() {
            bundle.insert("entry".to_owned(), entries.into());
        }
        Value::Object(bundle)
    }
}

fn link(base: &str, kind: &str, query: &Query) -> String {
    let encoded = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    if encoded.is_empty() {
        format!("{base}/{kind}")
    } else {
        format!("{base}/{kind}?{encoded}")
    }
}

/// What type of search parameter a name is, when it is understood.
pub(super) fn type_of(name: &str) -> Option<&'static str> {
    Some(match Test::parse(name)? {
        Test::Patient => "reference",
        Test::Time(_) => "date",
        Test::Id | Test::Token(_) => "token",
    })
}

/// Splits at commas that are not escaped.
fn alternatives(value: &str) -> Vec<String> {
    let (mut parts, mut part, mut escaped) = (Vec::new(), String::new(), false);
    for c in value.chars() {
        match c {
            _ if escaped => {
                part.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            ',' => parts.push(std::mem::take(&mut part)),
            _ => part.push(c),
        }
    }
    parts.push(part);
    parts
}

/// How a parameter is tested.
enum Test {
    Id,
    Patient,
    /// Elements that are codes, Codings, CodeableConcepts, Identifiers, or lists of them.
    Token(&'static [&'static str]),
    /// Elements that are dates, date-times or Periods: the first that is there.
    Time(&'static [&'static str]),
}

const EVENT: &[&str] = &[
    "effectiveDateTime",
    "effectivePeriod",
    "performedDateTime",
    "performedPeriod",
    "period",
];

impl Test {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "_id" => Self::Id,
            "patient" | "subject" | "subject:Patient" | "patient:Patient" => Self::Patient,
            "code" => Self::Token(&["code", "medicationCodeableConcept"]),
            "category" => Self::Token(&["category"]),
            "status" => Self::Token(&["status"]),
            "intent" => Self::Token(&["intent"]),
            "identifier" => Self::Token(&["identifier"]),
            "gender" => Self::Token(&["gender"]),
            "clinical-status" => Self::Token(&["clinicalStatus"]),
            "verification-status" => Self::Token(&["verificationStatus"]),
            _ => Self::Time(times(name)?),
        })
    }

    fn passes(&self, resource: &Value, asked: &str) -> bool {
        match self {
            Self::Id => text(resource, "/id") == asked,
            Self::Patient => {
                let id = asked.rsplit('/').next().unwrap_or(asked);
                let own = text(resource, "/resourceType") == "Patient" && text(resource, "/id") == id;
                own || text(resource, "/subject/reference").strip_prefix("Patient/") == Some(id)
            }
            Self::Token(elements) => elements
                .iter()
                .filter_map(|e| resource.get(e))
                .any(|value| token(value, asked)),
            Self::Time(elements) => {
                let Some(own) = elements.iter().find_map(|e| Span::of(resource.get(e)?)) else {
                    return false;
                };
                Span::asked(asked).is_some_and(|(test, span)| test(own, span))
            }
        }
    }
}

/// Elements behind a search parameter of type date.
fn times(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "date" | "effective-time" => EVENT,
        "authoredon" => &["authoredOn"],
        "onset-date" => &["onsetDateTime"],
        "recorded-date" => &["recordedDate"],
        "birthdate" => &["birthDate"],
        _ => return None,
    })
}

/// Whether an element holds the asked `code`, `system|code`, `system|` or `|code`.
fn token(value: &Value, asked: &str) -> bool {
    match value {
        Value::String(code) => asked.rsplit('|').next() == Some(code),
        Value::Array(items) => items.iter().any(|item| token(item, asked)),
        Value::Object(element) => {
            if let Some(codings) = element.get("coding") {
                return token(codings, asked);
            }
            let has = |name: &str| element.get(name).and_then(Value::as_str).unwrap_or_default();
            let code = if element.contains_key("code") {
                has("code")
            } else {
                has("value")
            };
            match asked.split_once('|') {
                None => code == asked,
                Some((system, wanted)) => has("system") == system && (wanted.is_empty() || code == wanted),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A stretch of time, ends included, in milliseconds since 1970; an open end is the end of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: i64,
    to: i64,
}

/// Of an own time with an asked one.
type Comparison = fn(Span, Span) -> bool;

impl Span {
    /// Of an element.
    fn of(value: &Value) -> Option<Self> {
        if let Some(period) = value.as_object() {
            let end = |name: &str| period.get(name).and_then(Value::as_str);
            let from = end("start").map_or(Some(i64::MIN), |t| Some(Self::parse(t)?.from))?;
            let to = end("end").map_or(Some(i64::MAX), |t| Some(Self::parse(t)?.to))?;
            return Some(Self { from, to });
        }
        Self::parse(value.as_str()?)
    }

    /// Of a search value with its prefix: the comparison (own time, asked time) and the asked time.
    fn asked(value: &str) -> Option<(Comparison, Self)> {
        let (prefix, rest) = match value.get(..2) {
            Some(two) if two.bytes().all(|b| b.is_ascii_lowercase()) => (two, value.get(2..)?),
            _ => ("eq", value),
        };
        let test: Comparison = match prefix {
            "eq" => |own, asked| own.from >= asked.from && own.to <= asked.to,
            "ne" => |own, asked| own.from < asked.from || own.to > asked.to,
            "ge" => |own, asked| own.to >= asked.from,
            "gt" => |own, asked| own.to > asked.to,
            "le" => |own, asked| own.from <= asked.to,
            "lt" => |own, asked| own.from < asked.from,
            "sa" => |own, asked| own.from > asked.to,
            "eb" => |own, asked| own.to < asked.from,
            _ => return None,
        };
        Some((test, Self::parse(rest)?))
    }

    /// `2026`, `2026-01`, `2026-01-15` or a date-time.
    fn parse(text: &str) -> Option<Self> {
        if text.contains('T') {
            let from = text.parse::<Timestamp>().ok()?.as_millisecond();
            let to = if text.contains('.') {
                from
            } else {
                from.checked_add(999)?
            };
            return Some(Self { from, to });
        }
        let (first, last) = match text.len() {
            4 => (format!("{text}-01-01"), format!("{text}-12-31")),
            7 => (format!("{text}-01"), format!("{text}-01")),
            _ => (text.to_owned(), text.to_owned()),
        };
        let first: Date = first.parse().ok()?;
        let mut last: Date = last.parse().ok()?;
        if text.len() == 7 {
            last = last.last_of_month();
        }
        let start = |date: Date| Some(TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_millisecond());
        Some(Self {
            from: start(first)?,
            to: start(last.tomorrow().ok()?)?.checked_sub(1)?,
        })
    }
}

/// One part of `_sort`.
struct Order {
    elements: &'static [&'static str],
    id: bool,
    descending: bool,
}

impl Order {
    fn parse(part: &str) -> Option<Self> {
        let (name, descending) = part.strip_prefix('-').map_or((part, false), |rest| (rest, true));
        match name {
            "_id" => Some(Self {
                elements: &[],
                id: true,
                descending,
            }),
            "_lastUpdated" => Some(Self {
                elements: &[],
                id: false,
                descending,
            }),
            _ => times(name).map(|elements| Self {
                elements,
                id: false,
                descending,
            }),
        }
    }

    fn key<'a>(&self, resource: &'a Value) -> (Option<i64>, &'a str) {
        if self.id {
            return (None, text(resource, "/id"));
        }
        let own = if self.elements.is_empty() {
            Span::parse(text(resource, "/meta/lastUpdated"))
        } else {
            self.elements.iter().find_map(|e| Span::of(resource.get(e)?))
        };
        (own.map(|span| span.from), "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::People;

    fn ids(kind: &str, query: &str) -> Vec<String> {
        let people = People::at("2026-01-15T12:00:00Z".parse().unwrap()).unwrap();
        let found = run(people.resources(), kind, &parse(query));
        found.page.iter().map(|r| text(r, "/id").to_owned()).collect()
    }

    #[test]
    fn codes_with_system_newest_first() {
        let query = "patient=moreau&code=http://loinc.org|20578-1,http://loinc.org|2160-0&_sort=-date&_count=3";
        assert_eq!(
            ids("Observation", query),
            ["moreau-level-2", "moreau-creatinine-2", "moreau-level-1"]
        );
        assert!(ids("Observation", "patient=moreau&code=urn:other|20578-1").is_empty());
        assert_eq!(
            ids("Observation", "subject=Patient/moreau&code=29463-7"),
            ["moreau-weight"]
        );
    }

    #[test]
    fn status_lists_and_dates() {
        assert_eq!(
            ids("MedicationAdministration", "patient=castellano&status=not-done"),
            ["castellano-given-refused"]
        );
        let some = ids(
            "MedicationAdministration",
            "patient=moreau&effective-time=ge2026-01-14T12:00:00Z&_sort=date",
        );
        assert_eq!(some, ["moreau-given-4", "moreau-given-5"]);
        assert_eq!(
            ids("Procedure", "patient=whitfield&date=ge2026-01-15"),
            ["whitfield-crrt"]
        );
        assert_eq!(ids("Condition", "patient=moreau&clinical-status=active").len(), 2);
    }

    #[test]
    fn what_is_not_understood_is_left_out_of_the_self_link() {
        let people = People::at("2026-01-15T12:00:00Z".parse().unwrap()).unwrap();
        let found = run(
            people.resources(),
            "Observation",
            &parse("patient=okafor&colour=red&_count=2&_offset=1"),
        );
        assert_eq!((found.total, found.page.len(), found.next), (6, 2, Some(3)));
        let bundle = found.into_bundle("http://x/f", "Observation", true);
        assert_eq!(
            text(&bundle, "/link/0/url"),
            "http://x/f/Observation?patient=okafor&_count=2&_offset=1"
        );
        assert_eq!(
            text(&bundle, "/link/1/url"),
            "http://x/f/Observation?patient=okafor&_count=2&_offset=3"
        );
    }

    #[test]
    fn nothing_found_has_no_entry() {
        let bundle = run(std::iter::empty(), "Observation", &Query::new()).into_bundle("http://x", "Observation", true);
        assert_eq!(bundle.get("entry"), None);
        assert_eq!(bundle.get("total"), Some(&Value::from(0)));
    }

    #[test]
    fn spans_of_partial_dates() {
        let span = |t| Span::parse(t).unwrap();
        assert_eq!(span("2026-02").to - span("2026-02").from, 28 * 86_400_000 - 1);
        assert_eq!(span("2024").to - span("2024").from, 366 * 86_400_000 - 1);
        assert_eq!(Span::parse("é"), None);
        assert!(Span::asked("éé").is_none());
    }
}
