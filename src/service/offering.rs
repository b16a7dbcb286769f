//! Which services there are: made from the twins' files alone. For each hook one of all twins together, then one a twin and hook.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use super::{Asked, Twin, services};
use crate::{
    cds::{advisor::Own, discovery::Service, request::Hook},
    fhir::client::Client,
    settings::Offer,
};

/// The services that some twins make.
pub struct Offering {
    services: Vec<Service>,
    /// Which of them discovery lists.
    listed: Range<usize>,
    by_id: BTreeMap<String, Arc<Asked>>,
}

/// What the calls of one tenant are answered with.
pub struct Tenant {
    /// What it sees.
    pub offering: Arc<Offering>,
    /// Asks its FHIR servers and no others.
    pub client: Client,
}

impl Offering {
    /// The services of these twins.
    #[must_use]
    pub(super) fn of(twins: &[Arc<Twin>], offer: Offer) -> Self {
        let mut services = Vec::new();
        let mut by_id = BTreeMap::new();
        let all = Arc::new(Asked::of(twins));
        for hook in Hook::ALL {
            let files = twins.iter().map(|twin| &twin.definition.file);
            let service = services::together(files, &all.queries, hook);
            by_id.insert(service.id.clone(), Arc::clone(&all));
            services.push(service);
        }
        let first_of_one = services.len();
        for twin in twins {
            let asked = Arc::new(Asked::of(std::slice::from_ref(twin)));
            for service in services::services(&twin.definition.file) {
                by_id.insert(service.id.clone(), Arc::clone(&asked));
                services.push(service);
            }
        }
        let listed = match offer {
            Offer::Together => 0..first_of_one,
            Offer::Each => first_of_one..services.len(),
            Offer::Both => 0..services.len(),
        };
        Self {
            services,
            listed,
            by_id,
        }
    }

    /// The service of that id.
    pub(super) fn asked(&self, id: &str) -> Option<&Arc<Asked>> {
        self.by_id.get(id)
    }

    /// Services, and those that discovery lists.
    #[must_use]
    pub fn own(&self) -> Own<'_> {
        Own {
            services: &self.services,
            listed: self.services.get(self.listed.clone()).unwrap_or_default(),
        }
    }
}
