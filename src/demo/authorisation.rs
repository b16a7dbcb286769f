//! The sample FHIR server's authorisation server, so that the twin's page can be opened from a card as in a hospital: it knows one
//! app, asks nobody, and checks what a real one must. Specification: SMART App Launch 2.2; RFC 6749; RFC 7636.
//!
//! The clinician is taken to be logged in, as in an EHR that launches its own apps.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Demo, FHIR_PATH, fhir_server::origin_as_called, patients::text, search};

/// The app that is registered here; a public client.
pub const CLIENT_ID: &str = "jumeau-demo";
/// Where it lets the browser return to, on this same origin.
const REDIRECT: &str = "/smart/callback";
const AUTHORIZE: &str = "/demo/auth/authorize";
const TOKEN: &str = "/demo/auth/token";
/// Tokens of this server begin with it; others pass, since the records are open to all who ask without one.
const MARK: &str = "demo-";
/// Launches, codes and tokens that are remembered, each.
const KEPT: usize = 500;
const CODE_LASTS: Duration = Duration::from_secs(60);
const TOKEN_LASTS: Duration = Duration::from_secs(3600);

/// What was handed out.
#[derive(Debug, Default)]
pub(super) struct Desk {
    launches: Mutex<VecDeque<(String, Launch)>>,
    codes: Mutex<VecDeque<(String, Code)>>,
    tokens: Mutex<VecDeque<(String, Token)>>,
}

/// What a chart was opened with.
#[derive(Debug, Clone)]
struct Launch {
    patient: String,
    context: Option<String>,
}

#[derive(Debug, Clone)]
struct Code {
    launch: Launch,
    redirect: String,
    challenge: String,
    scope: String,
    until: Instant,
}

#[derive(Debug, Clone)]
struct Token {
    patient: String,
    until: Instant,
}

fn keep<T>(list: &Mutex<VecDeque<(String, T)>>, name: String, value: T) {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    if list.len() >= KEPT {
        list.pop_front();
    }
    list.push_back((name, value));
}

fn find<T: Clone>(list: &Mutex<VecDeque<(String, T)>>, name: &str) -> Option<T> {
    let list = list.lock().unwrap_or_else(PoisonError::into_inner);
    list.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
}

fn take<T>(list: &Mutex<VecDeque<(String, T)>>, name: &str) -> Option<T> {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    let place = list.iter().position(|(own, _)| own == name)?;
    list.remove(place).map(|(_, value)| value)
}

/// Whose record a request may see.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Everybody's: it came without a token of ours.
    All,
    /// That patient's.
    One(String),
    /// Nobody's: its token has ended or is not known.
    Nobody,
}

impl Desk {
    /// What a request may see by its token.
    pub(super) fn sight(&self, request: &HttpRequest) -> Sight {
        let header = request.headers().get(header::AUTHORIZATION);
        let token = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let Some(token) = token.filter(|token| token.starts_with(MARK)) else {
            return Sight::All;
        };
        match find(&self.tokens, token).filter(|token| token.until > Instant::now()) {
            Some(token) => Sight::One(token.patient),
            None => Sight::Nobody,
        }
    }
}

/// Adds the endpoints of the authorisation server proper.
pub(super) fn configure(cfg: &mut web::ServiceConfig) {
    cfg.route(AUTHORIZE, web::get().to(authorize))
        .route(TOKEN, web::post().to(token));
}

/// `GET [base]/.well-known/smart-configuration`.
pub(super) async fn configuration(req: HttpRequest) -> HttpResponse {
    let origin = origin_as_called(&req);
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({
        "authorization_endpoint": format!("{origin}{AUTHORIZE}"),
        "token_endpoint": format!("{origin}{TOKEN}"),
        "token_endpoint_auth_methods_supported": ["none"],
        "grant_types_supported": ["authorization_code"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["launch", "patient/*.rs"],
        "authorization_response_iss_parameter_supported": true,
        "capabilities": ["launch-ehr", "client-public", "context-ehr-patient", "permission-patient", "permission-v2"],
    }))
}

/// `POST [base]/_services/smart/Launch`, as the CDS Hooks sandbox asks for a launch: patient and context of a link.
pub(super) async fn prepare(body: web::Bytes, demo: web::Data<Demo>) -> HttpResponse {
    let asked: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let patient = text(&asked, "/parameters/patient");
    if demo.people().get(patient).is_none() {
        return HttpResponse::BadRequest()
            .json(json!({"error": "parameters.patient must be the id of a sample patient"}));
    }
    let context = text(&asked, "/parameters/appContext");
    let launch = Launch {
        patient: patient.to_owned(),
        context: (!context.is_empty() && context.len() <= 4096).then(|| context.to_owned()),
    };
    let id = Uuid::new_v4().simple().to_string();
    keep(&demo.desk.launches, id.clone(), launch);
    HttpResponse::Ok().json(json!({"launch_id": id}))
}

async fn authorize(req: HttpRequest, demo: web::Data<Demo>) -> HttpResponse {
    let query = search::parse(req.query_string());
    let asked = |name: &str| {
        let mut values = query.iter().filter(|(own, _)| own == name);
        let first = values.next().map(|(_, value)| value.as_str());
        if values.next().is_some() { None } else { first }
    };
    let origin = origin_as_called(&req);
    let redirect = format!("{origin}{REDIRECT}");
    // Where these two are wrong, the browser is sent nowhere.
    if asked("client_id") != Some(CLIENT_ID) || asked("redirect_uri") != Some(&redirect) {
        return plain(
            StatusCode::BAD_REQUEST,
            "This app, or the address it wants to return to, is not registered here.",
        );
    }
    let answer = |pairs: &[(&str, &str)]| back(&redirect, &format!("{origin}{FHIR_PATH}"), asked("state"), pairs);
    let refuse = |error: &str, words: &str| answer(&[("error", error), ("error_description", words)]);
    if asked("response_type") != Some("code") {
        return refuse("unsupported_response_type", "response_type must be code");
    }
    if asked("aud") != Some(&format!("{origin}{FHIR_PATH}")) {
        return refuse("invalid_request", "aud must be the base URL of this FHIR server");
    }
    let challenge = asked("code_challenge").filter(|text| text.len() == 43);
    let Some(challenge) = challenge.filter(|_| asked("code_challenge_method") == Some("S256")) else {
        return refuse("invalid_request", "code_challenge with S256 is required");
    };
    let scope = asked("scope").unwrap_or_default();
    let launch = asked("launch").and_then(|id| find(&demo.desk.launches, id));
    let Some(launch) = launch.filter(|_| scope.split(' ').any(|own| own == "launch")) else {
        return refuse(
            "invalid_request",
            "launch must be a launch of this server, with the scope launch",
        );
    };
    let code = Uuid::new_v4().simple().to_string();
    let kept = Code {
        launch,
        redirect: redirect.clone(),
        challenge: challenge.to_owned(),
        scope: scope.to_owned(),
        until: Instant::now() + CODE_LASTS,
    };
    keep(&demo.desk.codes, code.clone(), kept);
    answer(&[("code", &code)])
}

/// Sends the browser back to the app, with the name of this server (RFC 9207).
fn back(redirect: &str, iss: &str, state: Option<&str>, pairs: &[(&str, &str)]) -> HttpResponse {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs).append_pair("iss", iss);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, format!("{redirect}?{}", query.finish())))
        .finish()
}

fn plain(status: StatusCode, words: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "security", "diagnostics": words}],
    }))
}

async fn token(body: web::Bytes, demo: web::Data<Demo>) -> HttpResponse {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let asked = |name: &str| {
        form.iter()
            .find(|(own, _)| own == name)
            .map_or("", |(_, value)| value.as_str())
    };
    let refuse = |error: &str| {
        HttpResponse::BadRequest()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(json!({ "error": error }))
    };
    if asked("grant_type") != "authorization_code" {
        return refuse("unsupported_grant_type");
    }
    if asked("client_id") != CLIENT_ID {
        return refuse("invalid_client");
    }
    // A code is gone once it was shown, whether the rest is right or not.
    let Some(code) = take(&demo.desk.codes, asked("code")) else {
        return refuse("invalid_grant");
    };
    let proven = URL_SAFE_NO_PAD.encode(Sha256::digest(asked("code_verifier"))) == code.challenge;
    if !proven || asked("redirect_uri") != code.redirect || code.until < Instant::now() {
        return refuse("invalid_grant");
    }
    let token = format!("{MARK}{}", Uuid::new_v4().simple());
    let kept = Token {
        patient: code.launch.patient.clone(),
        until: Instant::now() + TOKEN_LASTS,
    };
    keep(&demo.desk.tokens, token.clone(), kept);
    let mut answer = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": TOKEN_LASTS.as_secs(),
        "scope": code.scope,
        "patient": code.launch.patient,
        "need_patient_banner": true,
    });
    if let (Some(context), Some(members)) = (code.launch.context, answer.as_object_mut()) {
        members.insert("appContext".to_owned(), context.into());
    }
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(answer)
}
