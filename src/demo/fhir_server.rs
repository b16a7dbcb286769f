//! A FHIR R4 endpoint, read only, that holds the invented patients. Open to any origin, so that a browser EHR can use it.

use actix_cors::Cors;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use serde_json::{Value, json};

use super::{
    Demo, FHIR_PATH,
    authorisation::{self, Sight},
    patients::text,
    search,
};

/// Resource types that the records hold, with their search parameters.
const TYPES: &[(&str, &[&str])] = &[
    ("Patient", &["_id", "identifier", "birthdate", "gender"]),
    ("Practitioner", &["_id"]),
    ("Encounter", &["_id", "patient", "status", "date"]),
    (
        "Condition",
        &["_id", "patient", "code", "category", "clinical-status", "onset-date"],
    ),
    ("Procedure", &["_id", "patient", "code", "status", "date"]),
    (
        "Observation",
        &["_id", "patient", "subject", "code", "category", "status", "date"],
    ),
    (
        "MedicationRequest",
        &["_id", "patient", "code", "status", "intent", "authoredon"],
    ),
    // None are held, but to ask for them is no error.
    ("MedicationStatement", &["_id", "patient", "code", "status"]),
    (
        "MedicationAdministration",
        &["_id", "patient", "code", "status", "effective-time"],
    ),
];

/// Adds the endpoint.
pub(super) fn configure(cfg: &mut web::ServiceConfig) {
    let cors = Cors::default()
        .allow_any_origin()
        .send_wildcard()
        .allowed_methods(["GET", "POST"])
        .allowed_headers([
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
        ])
        .allowed_header("prefer")
        .max_age(600);
    cfg.service(
        web::scope(FHIR_PATH)
            .wrap(cors)
            .route("/metadata", web::get().to(metadata))
            .route(
                "/.well-known/smart-configuration",
                web::get().to(authorisation::configuration),
            )
            .route("/_services/smart/Launch", web::post().to(authorisation::prepare))
            .route("/{kind}", web::get().to(search_by_get))
            .route("/{kind}/_search", web::post().to(search_by_post))
            .route("/{kind}/{id}", web::get().to(read))
            .default_service(web::to(|| async {
                outcome(StatusCode::NOT_FOUND, "not-supported", "no such interaction here")
            })),
    );
}

/// Base URL of the endpoint as this very server reaches it: the address it is bound to.
pub(super) fn base(req: &HttpRequest) -> String {
    let mut address = req.app_config().local_addr();
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{address}{FHIR_PATH}")
}

/// Base URL as the caller wrote it, for the links of an answer.
fn base_as_called(req: &HttpRequest) -> String {
    format!("{}{FHIR_PATH}", origin_as_called(req))
}

/// Origin of this server as the caller wrote it.
pub(super) fn origin_as_called(req: &HttpRequest) -> String {
    let info = req.connection_info();
    format!("{}://{}", info.scheme(), info.host())
}

fn fhir(status: StatusCode, body: &Value) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "application/fhir+json; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(body.to_string())
}

fn outcome(status: StatusCode, code: &str, words: &str) -> HttpResponse {
    fhir(
        status,
        &json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code, "diagnostics": words}]}),
    )
}

fn unknown(kind: &str) -> Option<HttpResponse> {
    let known = TYPES.iter().any(|(name, _)| *name == kind);
    (!known).then(|| {
        outcome(
            StatusCode::NOT_FOUND,
            "not-supported",
            "this resource type is not held here",
        )
    })
}

async fn metadata(req: HttpRequest, demo: web::Data<Demo>) -> HttpResponse {
    let resources: Vec<Value> = TYPES
        .iter()
        .map(|(kind, parameters)| {
            let parameters: Vec<Value> = parameters
                .iter()
                .filter_map(|name| Some(json!({"name": name, "type": search::type_of(name)?})))
                .collect();
            json!({
                "type": kind,
                "interaction": [{"code": "read"}, {"code": "search-type"}],
                "versioning": "versioned",
                "searchParam": parameters,
            })
        })
        .collect();
    let statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": demo.people().now().to_string(),
        "kind": "instance",
        "software": {"name": "Jumeau demonstration records", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "Invented patients, read only", "url": base_as_called(&req)},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [{"mode": "server", "security": {"cors": true}, "resource": resources}],
    });
    fhir(StatusCode::OK, &statement)
}

async fn read(req: HttpRequest, path: web::Path<(String, String)>, demo: web::Data<Demo>) -> HttpResponse {
    let (kind, id) = path.into_inner();
    if let Some(refusal) = unknown(&kind) {
        return refusal;
    }
    let sight = demo.desk.sight(&req);
    if sight == Sight::Nobody {
        return unauthorised();
    }
    let people = demo.people();
    let found = people
        .resources()
        .filter(|r| seen(r, &sight))
        .find(|r| text(r, "/resourceType") == kind && text(r, "/id") == id);
    match found {
        Some(resource) => {
            let mut answer = fhir(StatusCode::OK, resource);
            let tag = format!("W/\"{}\"", text(resource, "/meta/versionId"));
            if let Ok(tag) = header::HeaderValue::from_str(&tag) {
                answer.headers_mut().insert(header::ETAG, tag);
            }
            answer
        }
        None => outcome(StatusCode::NOT_FOUND, "not-found", "no resource with this id"),
    }
}

async fn search_by_get(req: HttpRequest, kind: web::Path<String>, demo: web::Data<Demo>) -> HttpResponse {
    searched(&req, &kind, &search::parse(req.query_string()), &demo)
}

async fn search_by_post(
    req: HttpRequest,
    kind: web::Path<String>,
    body: web::Bytes,
    demo: web::Data<Demo>,
) -> HttpResponse {
    let mut query = search::parse(req.query_string());
    query.extend(url::form_urlencoded::parse(&body).into_owned());
    searched(&req, &kind, &query, &demo)
}

fn searched(req: &HttpRequest, kind: &str, query: &search::Query, demo: &Demo) -> HttpResponse {
    if let Some(refusal) = unknown(kind) {
        return refusal;
    }
    let sight = demo.desk.sight(req);
    if sight == Sight::Nobody {
        return unauthorised();
    }
    let people = demo.people();
    let bundle = search::run(people.resources().filter(|r| seen(r, &sight)), kind, query).into_bundle(
        &base_as_called(req),
        kind,
        true,
    );
    fhir(StatusCode::OK, &bundle)
}

fn unauthorised() -> HttpResponse {
    let mut answer = outcome(
        StatusCode::UNAUTHORIZED,
        "login",
        "this token is not known here, or has ended",
    );
    let challenge = header::HeaderValue::from_static("Bearer error=\"invalid_token\"");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    answer
}

/// Whether a resource may be seen: with a token, what is the patient's, or is about nobody.
fn seen(resource: &Value, sight: &Sight) -> bool {
    let Sight::One(patient) = sight else {
        return *sight == Sight::All;
    };
    match (text(resource, "/resourceType"), text(resource, "/subject/reference")) {
        ("Patient", _) => text(resource, "/id") == patient,
        (_, "") => true,
        (_, subject) => subject.strip_prefix("Patient/") == Some(patient),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{App, test};

    async fn call(request: test::TestRequest) -> (StatusCode, Value, header::HeaderMap) {
        let state = web::Data::new(Demo::new(Vec::new()).unwrap());
        let app = test::init_service(App::new().configure(|cfg| crate::demo::configure(cfg, state))).await;
        let answer = test::call_service(&app, request.to_request()).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = test::read_body(answer).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null), headers)
    }

    #[actix_web::test]
    async fn an_old_accept_header_and_a_foreign_origin_are_welcome() {
        let request = test::TestRequest::get()
            .uri("/demo/fhir/Patient/moreau")
            .insert_header(("accept", "application/json+fhir"))
            .insert_header(("origin", "http://ehr.example"));
        let (status, body, headers) = call(request).await;
        assert_eq!(status, 200);
        assert_eq!(text(&body, "/id"), "moreau");
        assert_eq!(headers.get("access-control-allow-origin").unwrap(), "*");
    }

    #[actix_web::test]
    async fn a_preflight_with_authorization_passes() {
        let request = test::TestRequest::with_uri("/demo/fhir/Observation/_search")
            .method(actix_web::http::Method::OPTIONS)
            .insert_header(("origin", "http://ehr.example"))
            .insert_header(("access-control-request-method", "POST"))
            .insert_header(("access-control-request-headers", "authorization,content-type"));
        let (status, _, headers) = call(request).await;
        assert_eq!(status, 200);
        assert!(
            headers
                .get("access-control-allow-headers")
                .unwrap()
                .to_str()
                .unwrap()
                .contains("authorization")
        );
    }

    #[actix_web::test]
    async fn posted_searches_are_as_good_as_got_ones() {
        let form = "patient=moreau&code=http%3A%2F%2Floinc.org%7C20578-1&_sort=-date";
        let request = test::TestRequest::post()
            .uri("/demo/fhir/Observation/_search")
            .insert_header(("content-type", "application/x-www-form-urlencoded"))
            .set_payload(form);
        let (_, posted, _) = call(request).await;
        let (_, got, _) = call(test::TestRequest::get().uri(&format!("/demo/fhir/Observation?{form}"))).await;
        assert_eq!(posted.get("total"), Some(&Value::from(2)));
        assert_eq!(posted, got);
    }

    #[actix_web::test]
    async fn what_is_not_here_is_an_operation_outcome() {
        for (path, code) in [
            ("Patient/nobody", "not-found"),
            ("Account", "not-supported"),
            ("a/b/c", "not-supported"),
        ] {
            let (status, body, _) = call(test::TestRequest::get().uri(&format!("/demo/fhir/{path}"))).await;
            assert_eq!((status.as_u16(), text(&body, "/issue/0/code")), (404, code), "{path}");
        }
        let (_, body, _) = call(test::TestRequest::get().uri("/demo/fhir/metadata")).await;
        assert_eq!(text(&body, "/fhirVersion"), "4.0.1");
        for (_, parameters) in TYPES {
            assert!(parameters.iter().all(|name| search::type_of(name).is_some()));
        }
    }
}
