//! The demonstration: invented patients, a small FHIR server that holds them, and a playground in the browser that plays the
//! part of an EHR.
//!
//! It only ever talks to the hook services over HTTP, as an EHR would; it knows no twin and no medicine. Nothing in it is needed
//! by the server proper, and none of its routes exist unless [`configure`] is called.

mod authorisation;
mod dosage;
mod fhir_server;
mod pages;
mod patients;
mod request;
mod search;
mod shift;

use std::sync::{Arc, PoisonError, RwLock};

use actix_web::web;
use jiff::{SignedDuration, Timestamp};

use crate::cds::discovery::Service;

pub use authorisation::CLIENT_ID;
pub use patients::{DemoError, People};

/// Path of the small FHIR server.
pub const FHIR_PATH: &str = "/demo/fhir";

/// Records are moved to the present again when they have fallen this far behind it, so that a demonstration left running for
/// days does not turn its patients into ones with old data.
const STALE_AFTER: SignedDuration = SignedDuration::from_hours(6);

/// What the routes of the demonstration share.
#[derive(Debug)]
pub struct Demo {
    services: Vec<Service>,
    people: RwLock<Arc<People>>,
    desk: authorisation::Desk,
}

impl Demo {
    /// Reads the embedded patients and moves their times so that the records end at the present.
    ///
    /// # Errors
    /// When an embedded file is not what it should be, which a test of this crate would have shown.
    pub fn new(services: Vec<Service>) -> Result<Self, DemoError> {
        let people = People::at(Timestamp::now())?;
        Ok(Self {
            services,
            people: RwLock::new(Arc::new(people)),
            desk: authorisation::Desk::default(),
        })
    }

    /// The patients, never older than [`STALE_AFTER`].
    fn people(&self) -> Arc<People> {
        let people = Arc::clone(&self.people.read().unwrap_or_else(PoisonError::into_inner));
        let now = Timestamp::now();
        if now.duration_since(people.now()) < STALE_AFTER {
            return people;
        }
        let Ok(fresh) = People::at(now) else { return people };
        let fresh = Arc::new(fresh);
        *self.people.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        fresh
    }

    /// The service of that id; when it serves several hooks, the one for `hook`.
    fn service(&self, id: &str, hook: Option<&str>) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.id == id && hook.is_none_or(|hook| service.hook == hook))
    }
}

/// Adds the playground at `/`, its data at `/demo/…` and the FHIR server at [`FHIR_PATH`] to an application that already serves
/// `/cds-services`.
pub fn configure(cfg: &mut web::ServiceConfig, state: web::Data<Demo>) {
    cfg.app_data(state)
        .configure(fhir_server::configure)
        .configure(authorisation::configure)
        .configure(request::configure)
        .configure(pages::configure);
}
