//! `GET /smart/launch`: an EHR opens this address in the clinician's browser. Specification: SMART App Launch 2.2, "Launch App: EHR
//! Launch" and "Obtain authorization code"; RFC 7636.

use std::{sync::Arc, time::Instant};

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::{
    Smart, configuration::Configuration, cookie::Purpose, issuer::Issuer, kept::unguessable, query::Query, scopes,
    settings::base, trouble::Trouble, view,
};
use crate::{cds::request::Secret, page::language};

/// A launch that is under way.
#[derive(Debug)]
pub struct Pending {
    /// From where.
    pub issuer: Arc<Issuer>,
    /// The same as the EHR wrote it in the launch.
    pub iss: String,
    /// As it was when the launch began.
    pub configuration: Arc<Configuration>,
    /// In the cookie of the browser that began.
    pub browser: Secret,
    /// Proves to the token endpoint that the code was asked for here.
    pub verifier: Secret,
    /// What was asked for.
    pub scopes: String,
    /// The twin that the launch address named.
    pub twin: Option<String>,
}

/// Sends the browser to the authorisation server.
pub async fn launch(request: HttpRequest, smart: web::Data<Smart>) -> HttpResponse {
    let language = language::of(&request);
    match begin(&request, &smart).await {
        Ok(answer) => answer,
        Err((trouble, issuer)) => {
            tracing::warn!(why = trouble.id(), "a launch was refused");
            view::trouble(&smart, trouble, issuer.as_deref(), language)
        }
    }
}

async fn begin(request: &HttpRequest, smart: &Smart) -> Result<HttpResponse, (Trouble, Option<Arc<Issuer>>)> {
    let query = Query::of(request);
    let named = |name: &str| query.one(name).map_err(|trouble| (trouble, None));
    let (Some(iss), Some(handle)) = (named("iss")?, named("launch")?) else {
        return Err((Trouble::NotLaunched, None));
    };
    let asked = named("twin")?;
    let issuer = base(iss).and_then(|base| smart.issuers.iter().find(|issuer| issuer.base == base));
    let issuer = Arc::clone(issuer.ok_or((Trouble::NotAllowed, None))?);
    let configuration = configuration(smart, &issuer)
        .await
        .map_err(|trouble| (trouble, Some(Arc::clone(&issuer))))?;
    let scopes = issuer
        .scopes
        .clone()
        .unwrap_or_else(|| scopes::asked(&smart.types, configuration.scopes_v2));
    let (state, browser, verifier) = (unguessable(), unguessable(), unguessable());
    let mut to = configuration.authorize.clone();
    to.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &issuer.client_id)
        .append_pair("redirect_uri", &smart.redirect_uri())
        .append_pair("launch", handle)
        .append_pair("scope", &scopes)
        .append_pair("state", &state)
        .append_pair("aud", iss)
        .append_pair("code_challenge", &challenge(&verifier))
        .append_pair("code_challenge_method", "S256");
    let jar = smart.jar(&issuer);
    let cookie = jar.set(Purpose::Launch, &state, &browser, smart.settings.launch.as_secs());
    let pending = Pending {
        twin: asked.filter(|twin| smart.serves(twin)).map(str::to_owned),
        issuer,
        iss: iss.to_owned(),
        configuration,
        browser: Secret::new(browser),
        verifier: Secret::new(verifier),
        scopes,
    };
    smart
        .launches
        .put(state, pending, Instant::now() + smart.settings.launch);
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, String::from(to)))
        .insert_header((header::SET_COOKIE, cookie))
        .finish())
}

async fn configuration(smart: &Smart, issuer: &Issuer) -> Result<Arc<Configuration>, Trouble> {
    if let Some(known) = issuer.configuration() {
        return Ok(known);
    }
    let url = issuer.configuration_url().ok_or(Trouble::Configuration)?;
    let body = smart.outside.get(&url, None).await?;
    Ok(issuer.remember(Configuration::read(&body, issuer)?))
}

/// S256 of RFC 7636, section 4.2.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

#[cfg(test)]
mod tests {
    use super::challenge;

    #[test]
    fn the_example_of_rfc_7636() {
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
