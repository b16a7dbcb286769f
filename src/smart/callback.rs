//! `GET /smart/callback`: the authorisation server sends the browser back. Specification: RFC 6749, section 4.1; RFC 9207; SMART App
//! Launch 2.2, "Obtain access token".

use std::{sync::Arc, time::Instant};

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use uuid::Uuid;

use super::{
    Smart,
    cookie::Purpose,
    issuer::{Issuer, Proof},
    kept::{same, unguessable},
    launch::Pending,
    query::Query,
    session::Session,
    token::Granted,
    trouble::Trouble,
    view,
};
use crate::{cds::request::Secret, outbound::assertion::KIND, page::language};

/// Checks the answer, exchanges the code and sends the browser to the page.
pub async fn callback(request: HttpRequest, smart: web::Data<Smart>) -> HttpResponse {
    let language = language::of(&request);
    match finish(&request, &smart).await {
        Ok(answer) => answer,
        Err((trouble, issuer)) => {
            tracing::warn!(why = trouble.id(), "a launch did not come to its end");
            view::trouble(&smart, trouble, issuer.as_deref(), language)
        }
    }
}

async fn finish(request: &HttpRequest, smart: &Smart) -> Result<HttpResponse, (Trouble, Option<Arc<Issuer>>)> {
    let query = Query::of(request);
    let state = query.one("state").map_err(|trouble| (trouble, None))?;
    // Whoever sends a state again, with whatever else, finds it used.
    let pending = state.and_then(|state| smart.launches.take(state));
    let (Some(state), Some(pending)) = (state, pending) else {
        return Err((Trouble::Used, None));
    };
    let issuer = Arc::clone(&pending.issuer);
    let jar = smart.jar(&issuer);
    let done = async {
        let browser = jar.read(request, Purpose::Launch, state);
        if !browser.is_some_and(|browser| same(&browser, pending.browser.reveal())) {
            return Err(Trouble::OtherBrowser);
        }
        let code = code(&query, &pending)?;
        exchange(smart, &pending, code).await
    };
    let granted = done.await.map_err(|trouble| (trouble, Some(Arc::clone(&issuer))))?;
    let most = smart.settings.session;
    let lasts = granted.lasts.map_or(most, |lasts| lasts.min(most));
    let (name, secret) = (Uuid::new_v4().simple().to_string(), unguessable());
    let session = Session {
        twin: granted
            .twin
            .filter(|twin| smart.serves(twin))
            .or_else(|| pending.twin.clone()),
        issuer: Arc::clone(&issuer),
        secret: Secret::new(secret.clone()),
        token: granted.token,
        patient: granted.patient,
        encounter: granted.encounter,
        lacking: granted.lacking,
    };
    smart.sessions.put(name.clone(), session, Instant::now() + lasts);
    tracing::info!("a page was opened by a launch");
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, format!("{}?s={name}", smart.at("twin"))))
        .append_header((header::SET_COOKIE, jar.set(Purpose::Launch, state, "", 0)))
        .append_header((
            header::SET_COOKIE,
            jar.set(Purpose::Session, &name, &secret, lasts.as_secs()),
        ))
        .finish())
}

/// The code, unless the answer is another server's or an error.
fn code<'q>(query: &'q Query, pending: &Pending) -> Result<&'q str, Trouble> {
    let configuration = &pending.configuration;
    match query.one("iss")? {
        // A server that names itself under OpenID's rules does so by its `issuer`; others are known by their FHIR base.
        Some(iss) if iss != configuration.issuer.as_deref().unwrap_or(&pending.iss) => {
            return Err(Trouble::OtherServer);
        }
        None if configuration.names_itself => return Err(Trouble::OtherServer),
        _ => {}
    }
    match query.one("error")? {
        Some("access_denied") => Err(Trouble::Denied),
        Some(_) => Err(Trouble::Refused),
        None => query.one("code")?.ok_or(Trouble::Malformed),
    }
}

async fn exchange(smart: &Smart, pending: &Pending, code: &str) -> Result<Granted, Trouble> {
    let issuer = &pending.issuer;
    let redirect = smart.redirect_uri();
    let url = pending.configuration.token.clone();
    let assertion;
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect),
        ("code_verifier", pending.verifier.reveal()),
    ];
    let mut basic = None;
    match &issuer.proof {
        Proof::Public => form.push(("client_id", &issuer.client_id)),
        Proof::Secret(secret) => basic = Some((issuer.client_id.as_str(), secret)),
        Proof::Key(signer) => {
            assertion = signer
                .assertion(&issuer.client_id, url.as_str())
                .ok_or(Trouble::Internal)?;
            form.extend([
                ("client_assertion_type", KIND),
                ("client_assertion", assertion.as_str()),
            ]);
        }
    }
    let body = smart.outside.post(&url, &form, basic).await?;
    Granted::read(&body, &pending.scopes, &smart.types)
}
