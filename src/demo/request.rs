//! The request that an EHR would send for one patient and one service.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use jiff::{ToSpan, civil::Date};
use serde_json::{Map, Value, json};

use super::{Demo, fhir_server, patients::Person, search};
use crate::{cds::discovery::Service, page::language};

const USER: &str = "Practitioner/demo-prescriber";

/// Adds the lists of patients and services, and the request builder.
pub(super) fn configure(cfg: &mut web::ServiceConfig) {
    cfg.route("/demo/patients", web::get().to(patients))
        .route("/demo/services", web::get().to(services))
        .route("/demo/request/{patient}/{service}", web::get().to(request));
}

async fn patients(req: HttpRequest, demo: web::Data<Demo>) -> HttpResponse {
    let language = language::of(&req);
    let people = demo.people();
    let list: Vec<_> = people
        .list()
        .iter()
        .map(|person| person.summary(language, people.today()))
        .collect();
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_LANGUAGE, language))
        .insert_header((header::VARY, "Accept-Language"))
        .json(list)
}

/// Every service that answers, whether discovery lists it or not.
async fn services(demo: web::Data<Demo>) -> HttpResponse {
    let list: Vec<Value> = demo
        .services
        .iter()
        .map(|service| json!({"id": service.id, "hook": service.hook, "title": service.title}))
        .collect();
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(list)
}

async fn request(req: HttpRequest, path: web::Path<(String, String)>, demo: web::Data<Demo>) -> HttpResponse {
    let (patient, service) = path.into_inner();
    let query = search::parse(req.query_string());
    let asked = |name: &str| {
        query
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    };
    let people = demo.people();
    let (Some(person), Some(service)) = (people.get(&patient), demo.service(&service, asked("hook"))) else {
        return HttpResponse::NotFound().json(json!({
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": "not-found", "diagnostics": "no such patient or service"}],
        }));
    };
    let base = fhir_server::base(&req);
    let data = if asked("mode") == Some("server") {
        Data::Server(&base)
    } else {
        Data::Prefetch(people.today())
    };
    let request = build(person, service, data);
    // `bare` gives the body of the call alone, for piping into curl.
    let shown = if asked("bare").is_some() {
        request
    } else {
        json!({"url": format!("/cds-services/{}", service.id), "request": request})
    };
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(shown)
}

/// How the service gets at the record.
pub(super) enum Data<'a> {
    /// The templates of the service are filled; what day it is counts for some.
    Prefetch(Date),
    /// It is told the base URL of a FHIR server.
    Server(&'a str),
}

/// Builds the body of a hook call.
pub(super) fn build(person: &Person, service: &Service, data: Data<'_>) -> Value {
    let mut context = Map::new();
    context.insert("userId".to_owned(), USER.into());
    context.insert("patientId".to_owned(), person.id().into());
    context.insert("encounterId".to_owned(), format!("{}-stay", person.id()).into());
    if service.hook != "patient-view" {
        let drafts = json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": person.draft}]});
        if service.hook == "order-select" {
            let id = person.draft.get("id").and_then(Value::as_str).unwrap_or_default();
            context.insert("selections".to_owned(), json!([format!("MedicationRequest/{id}")]));
        }
        context.insert("draftOrders".to_owned(), drafts);
    }
    let mut body = Map::new();
    body.insert("hook".to_owned(), service.hook.as_str().into());
    body.insert("hookInstance".to_owned(), uuid::Uuid::new_v4().to_string().into());
    match data {
        Data::Server(base) => {
            body.insert("fhirServer".to_owned(), base.into());
        }
        Data::Prefetch(today) => {
            let filled: Map<String, Value> = service
                .prefetch
                .iter()
                .filter_map(|(key, template)| {
                    Some((key.clone(), fetch(&person.record, &fill(template, &context, today)?)))
                })
                .collect();
            body.insert("prefetch".to_owned(), filled.into());
        }
    }
    body.insert("context".to_owned(), context.into());
    Value::Object(body)
}

/// Replaces the tokens of a prefetch template. `None`: it has one that is not known, and an EHR then leaves the key out.
fn fill(template: &str, context: &Map<String, Value>, today: Date) -> Option<String> {
    let (mut filled, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once("{{") {
        let (token, after) = after.split_once("}}")?;
        filled.push_str(before);
        filled.push_str(&value_of(token.trim(), context, today)?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

fn value_of(token: &str, context: &Map<String, Value>, today: Date) -> Option<String> {
    if let Some(name) = token.strip_prefix("context.") {
        return context.get(name)?.as_str().map(str::to_owned);
    }
    if token == "userPractitionerId" {
        return USER.split_once('/').map(|(_, id)| id.to_owned());
    }
    let shift = token.strip_prefix("today()")?.trim();
    if shift.is_empty() {
        return Some(today.to_string());
    }
    let (sign, amount) = match (shift.strip_prefix('-'), shift.strip_prefix('+')) {
        (Some(amount), _) => (-1, amount),
        (_, Some(amount)) => (1, amount),
        _ => return None,
    };
    let (number, unit) = amount.trim().split_once(' ')?;
    let number: i64 = number.parse().ok().filter(|n: &i64| (0..100_000).contains(n))?;
    let days = if unit.trim().trim_end_matches('s') == "day" {
        number * sign
    } else {
        return None;
    };
    today.checked_add(days.days()).ok().map(|date| date.to_string())
}

/// Runs a filled template on one record: a resource, a searchset, or null.
fn fetch(record: &[Value], query: &str) -> Value {
    const BASE: &str = "https://stelsewhere.example/fhir";
    let (path, query) = query.split_once('?').unwrap_or((query, ""));
    match path.split_once('/') {
        Some((kind, id)) => {
            let by_id = vec![("_id".to_owned(), id.to_owned())];
            search::run(record.iter(), kind, &by_id)
                .page
                .first()
                .map_or(Value::Null, |resource| (*resource).clone())
        }
        None => search::run(record.iter(), path, &search::parse(query)).into_bundle(BASE, path, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{People, patients::text};
    use actix_web::{App, test as http};

    fn service(hook: &str) -> Service {
        Service {
            hook: hook.to_owned(),
            title: "t".to_owned(),
            description: "d".to_owned(),
            id: "v".to_owned(),
            prefetch: [
                ("patient", "Patient/{{context.patientId}}"),
                (
                    "levels",
                    "Observation?patient={{context.patientId}}&code=http://loinc.org|20578-1&_sort=-date&_count=1",
                ),
                (
                    "recent",
                    "Observation?patient={{context.patientId}}&code=29463-7&date=ge{{today() - 1 days}}",
                ),
                ("nobody", "Patient/none"),
                ("odd", "Patient/{{%other.id}}"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
            usage_requirements: None,
            version: "2.0.1".to_owned(),
        }
    }

    #[test]
    fn prefetch_is_filled_and_unknown_tokens_leave_their_key_out() {
        let people = People::at("2026-01-15T12:00:00Z".parse().unwrap()).unwrap();
        let person = people.get("moreau").unwrap();
        let body = build(person, &service("order-select"), Data::Prefetch(people.today()));
        assert_eq!(text(&body, "/prefetch/patient/id"), "moreau");
        assert_eq!(text(&body, "/prefetch/levels/entry/0/resource/id"), "moreau-level-2");
        assert_eq!(body.pointer("/prefetch/recent/total"), Some(&Value::from(0)));
        assert_eq!(body.pointer("/prefetch/nobody"), Some(&Value::Null));
        assert_eq!(body.pointer("/prefetch/odd"), None);
        assert_eq!(text(&body, "/context/selections/0"), "MedicationRequest/moreau-draft");
        assert_eq!(text(&body, "/context/draftOrders/entry/0/resource/id"), "moreau-draft");
    }

    #[actix_web::test]
    async fn the_playground_learns_who_there_is_and_whom_to_ask() {
        let demo = web::Data::new(Demo::new(vec![service("patient-view"), service("order-sign")]).unwrap());
        let app = http::init_service(App::new().app_data(demo).configure(configure)).await;
        let get = |path: &str| http::TestRequest::get().uri(path).to_request();
        let services: Value = http::call_and_read_body_json(&app, get("/demo/services")).await;
        assert_eq!(
            services,
            json!([{"id": "v", "hook": "patient-view", "title": "t"}, {"id": "v", "hook": "order-sign", "title": "t"}])
        );
        let people: Value = http::call_and_read_body_json(&app, get("/demo/patients?lang=fr")).await;
        let first = people.get(0).unwrap();
        assert_eq!(
            ["/id", "/twin", "/twin_name"].map(|path| text(first, path)),
            ["moreau", "vancomycin", "Vancomycine"]
        );
        let names = [
            "name",
            "title",
            "story",
            "hooks",
            "gender",
            "age",
            "order",
            "twin_about",
        ];
        assert!(names.iter().all(|name| first.get(name).is_some()), "{first}");
    }

    #[test]
    fn with_a_server_nothing_is_sent_along() {
        let people = People::at("2026-01-15T12:00:00Z".parse().unwrap()).unwrap();
        let person = people.get("okafor").unwrap();
        let body = build(
            person,
            &service("patient-view"),
            Data::Server("http://127.0.0.1:1/demo/fhir"),
        );
        assert_eq!(text(&body, "/fhirServer"), "http://127.0.0.1:1/demo/fhir");
        assert_eq!(
            (body.get("prefetch"), body.pointer("/context/draftOrders")),
            (None, None)
        );
    }

    #[test]
    fn templates_that_are_cut_short_are_refused() {
        let today = jiff::civil::date(2026, 3, 1);
        let none = Map::new();
        assert_eq!(fill("a{{today()", &none, today), None);
        assert_eq!(fill("a{{today() - x days}}", &none, today), None);
        assert_eq!(
            fill("ge{{today() - 1 days}}&x", &none, today).as_deref(),
            Some("ge2026-02-28&x")
        );
    }
}
