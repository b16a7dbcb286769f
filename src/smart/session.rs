//! A page that is open: whose it is, and what it may read.

use std::sync::Arc;

use actix_web::HttpRequest;

use super::{Smart, cookie::Purpose, issuer::Issuer, kept::same, query::Query, trouble::Trouble};
use crate::cds::request::Secret;

/// In memory only, and gone when the server stops.
#[derive(Debug)]
pub struct Session {
    /// From where it was launched.
    pub issuer: Arc<Issuer>,
    /// In the cookie of the browser.
    pub secret: Secret,
    /// For the FHIR server of the issuer.
    pub token: Secret,
    /// Logical id of the patient.
    pub patient: String,
    /// Logical id of the encounter.
    pub encounter: Option<String>,
    /// The twin that the card or the launch address named.
    pub twin: Option<String>,
    /// Types of resource that may not be read in full.
    pub lacking: Vec<String>,
}

impl Session {
    /// The session that an address names (`s`), if the browser has its cookie; and that name.
    ///
    /// # Errors
    /// [`Trouble::Ended`] whatever the reason: who has no cookie learns nothing of what there is.
    pub fn of(request: &HttpRequest, query: &Query, smart: &Smart) -> Result<(Arc<Self>, String), Trouble> {
        let name = query.one("s")?.ok_or(Trouble::Ended)?;
        let session = smart.sessions.get(name).ok_or(Trouble::Ended)?;
        let secret = smart.jar(&session.issuer).read(request, Purpose::Session, name);
        if secret.is_some_and(|secret| same(&secret, session.secret.reveal())) {
            return Ok((session, name.to_owned()));
        }
        Err(Trouble::Ended)
    }
}
