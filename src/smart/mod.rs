//! The twin's page as a SMART app: launched by an EHR from the link of a card, with the clinician's own leave to read the record.
//! Specification: SMART App Launch 2.2, "EHR Launch"; RFC 7636 (PKCE); RFC 9207 (`iss` in the answer).
//!
//! | route | answer |
//! |---|---|
//! | `/smart/launch?iss=&launch=` | a redirect to the EHR's authorisation server |
//! | `/smart/callback?code=&state=` | a redirect to the page, once the code is exchanged |
//! | `/smart/twin?s=` | the page |
//! | `/smart/jwks.json` | the public keys of confidential clients |
//! | `/smart/files/…` | its style sheets and icon |
//!
//! Tokens stay in the memory of this process and end with the session. Nothing that a browser sends is repeated on a page or in the
//! log.

pub mod callback;
pub mod configuration;
pub mod cookie;
pub mod curves;
pub mod issuer;
pub mod kept;
pub mod launch;
pub mod outside;
pub mod person;
pub mod picture;
pub mod query;
pub mod scopes;
pub mod session;
pub mod settings;
pub mod tables;
pub mod token;
pub mod trouble;
pub mod twin;
pub mod view;
pub mod words;

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, dev::Payload, error::ErrorServiceUnavailable, http::header, web,
};
use jiff::tz::TimeZone;
use tokio::{runtime::Handle, sync::Semaphore};
use url::Url;

use self::{
    cookie::Jar,
    issuer::{Issuer, Proof},
    kept::Kept,
    launch::Pending,
    outside::Outside,
    session::Session,
    settings::SmartSettings,
};
use crate::{
    cds::{advisor::Advisor, request::Hook},
    outbound::Outbound,
    page,
};

/// Launches that are under way at one time.
const LAUNCHES: usize = 10_000;
/// Pages that are computed at one time.
const PAGES: usize = 16;

/// What the routes share.
pub struct Smart {
    /// Where browsers reach this server.
    pub public: Url,
    /// The EHRs.
    pub issuers: Vec<Arc<Issuer>>,
    /// As configured.
    pub settings: SmartSettings,
    /// Gives advice.
    pub advisor: Arc<dyn Advisor>,
    /// For requests to EHRs.
    pub outside: Outside,
    /// In which times are shown.
    pub zone: TimeZone,
    /// Types of resource that the twins read.
    pub types: BTreeSet<String>,
    /// Twins, by id, with the title of their service.
    pub twins: Vec<(String, String)>,
    /// Launches under way, by state.
    pub launches: Kept<Pending>,
    /// Pages open, by name.
    pub sessions: Kept<Session>,
    /// Leave to compute a page.
    pub turns: Semaphore,
    /// Where evaluations run.
    pub runtime: Handle,
}

impl Smart {
    /// Puts the parts together; must be called inside a tokio runtime.
    ///
    /// # Errors
    /// In words for the operator, naming the setting.
    pub fn new(
        settings: SmartSettings,
        public: Url,
        advisor: Arc<dyn Advisor>,
        zone: TimeZone,
        outbound: Arc<Outbound>,
    ) -> Result<Self, String> {
        settings.check()?;
        let issuers = settings.issuer.iter().map(|issuer| Issuer::new(issuer).map(Arc::new));
        let suffix = format!("-{}", Hook::PatientView.name());
        let views = advisor.services().iter().filter(|s| s.hook == Hook::PatientView.name());
        let twins = views
            .filter_map(|service| Some((service.id.strip_suffix(&suffix)?.to_owned(), service.title.clone())))
            .filter(|(id, _)| id != "any-twin")
            .collect();
        Ok(Self {
            public,
            issuers: issuers.collect::<Result<_, _>>()?,
            outside: Outside(outbound),
            types: scopes::types(advisor.services()),
            twins,
            launches: Kept::new(LAUNCHES),
            sessions: Kept::new(settings.sessions),
            turns: Semaphore::new(PAGES),
            runtime: Handle::try_current().map_err(|e| e.to_string())?,
            settings,
            advisor,
            zone,
        })
    }

    /// The public address of one of the routes.
    #[must_use]
    pub fn at(&self, route: &str) -> String {
        format!("{}/smart/{route}", self.public.as_str().trim_end_matches('/'))
    }

    /// Where EHRs launch the page.
    #[must_use]
    pub fn launch_url(&self) -> String {
        self.at("launch")
    }

    /// As registered at the EHRs.
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        self.at("callback")
    }

    /// Whether there is a twin of that id.
    #[must_use]
    pub fn serves(&self, twin: &str) -> bool {
        self.twins.iter().any(|(id, _)| id == twin)
    }

    /// The title of a twin's service; nothing for none.
    #[must_use]
    pub fn name(&self, twin: &str) -> &str {
        self.twins
            .iter()
            .find(|(id, _)| id == twin)
            .map_or("", |(_, title)| title)
    }

    /// How cookies are set for pages of an EHR.
    #[must_use]
    pub fn jar(&self, issuer: &Issuer) -> Jar {
        Jar {
            secure: self.public.scheme() == "https",
            framed: !issuer.frame_ancestors.is_empty(),
        }
    }
}

/// Holds the state of the routes, once the address is known that the server is bound to.
pub type Slot = OnceLock<web::Data<Smart>>;

/// Adds the routes.
pub fn configure(config: &mut web::ServiceConfig, slot: web::Data<Slot>) {
    config
        .app_data(slot)
        .route("/smart/launch", web::get().to(with(launch::launch)))
        .route("/smart/callback", web::get().to(with(callback::callback)))
        .route("/smart/twin", web::get().to(with(twin::twin)))
        .route("/smart/jwks.json", web::get().to(with(keys)))
        .route("/smart/files/{name}", web::get().to(file));
}

/// A handler that gets the state out of its slot.
fn with<F, R>(handler: F) -> impl actix_web::Handler<(HttpRequest, Opened), Output = HttpResponse>
where
    F: Fn(HttpRequest, web::Data<Smart>) -> R + Clone + 'static,
    R: Future<Output = HttpResponse> + 'static,
{
    move |request: HttpRequest, Opened(smart): Opened| handler(request, smart)
}

/// The state, out of its slot.
struct Opened(web::Data<Smart>);

impl FromRequest for Opened {
    type Error = actix_web::Error;
    type Future = std::future::Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let slot = request.app_data::<web::Data<Slot>>().and_then(|slot| slot.get());
        let smart = slot.cloned().map(Self);
        std::future::ready(smart.ok_or_else(|| ErrorServiceUnavailable("starting")))
    }
}

/// The public keys with which the app proves who it is.
async fn keys(_: HttpRequest, smart: web::Data<Smart>) -> HttpResponse {
    let keys = smart.issuers.iter().filter_map(|issuer| match &issuer.proof {
        Proof::Key(signer) => Some(signer.public()),
        Proof::Public | Proof::Secret(_) => None,
    });
    let mut keys: Vec<serde_json::Value> = keys.collect();
    keys.dedup();
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "max-age=300"))
        .json(serde_json::json!({ "keys": keys }))
}

async fn file(name: web::Path<String>) -> HttpResponse {
    let own = match name.as_str() {
        "smart.css" => Some(include_bytes!("smart.css").as_slice()),
        name => page::asset(name),
    };
    let (Some(found), Some(kind)) = (own, page::content_type(&name)) else {
        return HttpResponse::NotFound().finish();
    };
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, kind))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(found)
}
