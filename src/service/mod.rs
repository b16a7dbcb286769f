//! One hook call from beginning to end: data, facts, twin, advice, cards. The only module that knows both the protocol
//! and the medicine, and it holds neither: each step is another module's.

pub mod ask;
pub mod cards;
pub mod clock;
pub mod detail;
pub mod evaluate;
mod find;
pub mod finding;
mod inquire;
pub mod load;
pub mod messages;
pub mod offering;
pub mod orders;
pub mod picture;
pub mod services;
pub mod together;
pub mod words;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Instant,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use jiff::{Timestamp, tz::TimeZone};

use messages::Messages;

use crate::{
    advice::recent::Recent,
    cds::{
        advisor::{Advisor, CallError, Own},
        card::Response,
        discovery::Service,
        feedback::Feedback,
        request::HookCall,
    },
    fhir::{
        client::Client,
        prefetch::{Gathered, Query},
        terminology::Terminology,
    },
    metrics,
    model::catalog::{Catalog, Definition},
    settings::{AsOf, Offer},
    store::{FeedbackRecord, open::Stores},
};
use inquire::Inquiry;
use load::{Kind, Load};
use offering::{Offering, Tenant};
use together::{Lacking, Threads, Union};

/// Everything that a call needs, shared by all calls.
pub struct TwinAdvisor {
    /// For callers that belong to no tenant, and what there is in all.
    common: Tenant,
    tenants: BTreeMap<String, Tenant>,
    terminology: Terminology,
    stores: Stores,
    zone: TimeZone,
    as_of: AsOf,
    draws: usize,
    recent: Recent,
    messages: Messages,
    /// Where an EHR launches the page of a twin, once that is known.
    launch: Arc<OnceLock<String>>,
    threads: Threads,
    /// What computes at one time; waiting for a FHIR server does not count, so that a slow one starves nobody.
    load: Load,
    /// Looking whether a call concerns a twin.
    looks: Arc<Kind>,
}

/// The twins that a service asks, and what they ask of the record.
struct Asked {
    queries: Vec<Query>,
    members: Vec<Member>,
}

/// A twin in a service.
#[derive(Clone)]
struct Member {
    twin: Arc<Twin>,
    /// Under which key of the service each of the twin's queries stands.
    keys: Arc<[String]>,
}

/// A twin, ready to be asked.
struct Twin {
    definition: Arc<Definition>,
    queries: Vec<Query>,
    /// Evaluations of this twin that compute at one time, those that nobody waits for any more among them: a twin that hangs must
    /// not take all.
    computing: Arc<Kind>,
}

impl Asked {
    fn of(twins: &[Arc<Twin>]) -> Self {
        let queries = twins.iter().map(|twin| (twin.id(), twin.queries.as_slice()));
        let union = Union::of(queries);
        let members = twins.iter().zip(union.keys).map(|(twin, keys)| Member {
            twin: Arc::clone(twin),
            keys: keys.into(),
        });
        Self {
            members: members.collect(),
            queries: union.queries,
        }
    }

    /// The queries of some members of which nothing is known yet; where a treatment is to be told first, those that tell it.
    fn open(&self, members: &[Member], gathered: &Gathered, treatment_only: bool) -> Vec<Query> {
        let wanted = |key: &str| {
            let of = |member: &Member| {
                let mut pairs = member.pairs();
                pairs.any(|(query, under)| under == key && (!treatment_only || services::tells_treatment(&query.key)))
            };
            !gathered.states.contains_key(key) && members.iter().any(of)
        };
        self.queries
            .iter()
            .filter(|query| wanted(&query.key))
            .cloned()
            .collect()
    }
}

impl Twin {
    fn new(definition: Arc<Definition>, at_once: usize) -> Self {
        Self {
            queries: services::queries(&definition.file),
            computing: Arc::new(Kind::new(at_once)),
            definition,
        }
    }

    fn id(&self) -> &str {
        &self.definition.file.id
    }
}

impl Member {
    /// Each query of the twin with its key in the service.
    fn pairs(&self) -> impl Iterator<Item = (&Query, &str)> {
        self.twin.queries.iter().zip(self.keys.iter().map(String::as_str))
    }

    /// What the twin needs and nobody has, by the keys of the service.
    fn lacks(&self, view: &Gathered) -> Result<(), Lacking> {
        let lacking: Vec<&str> = evaluate::lacking(view).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let named = self.pairs().filter(|(query, _)| lacking.contains(&query.key.as_str()));
        Err(Lacking {
            keys: named.map(|(_, under)| under.to_owned()).collect(),
            failures: view.failures().collect(),
        })
    }
}

/// What a [`TwinAdvisor`] is made from.
pub struct Parts {
    /// The twins.
    pub catalog: Catalog,
    /// For FHIR servers of callers that belong to no tenant.
    pub client: Client,
    /// The tenants, by id.
    pub tenants: BTreeMap<String, TenantParts>,
    /// Product codes.
    pub terminology: Terminology,
    /// Twins and feedback.
    pub stores: Stores,
    /// What other systems said by messages.
    pub messages: Messages,
    /// Zone of cards and of times without one.
    pub zone: TimeZone,
    /// What counts as now.
    pub as_of: AsOf,
    /// Posterior draws.
    pub draws: usize,
    /// Which services discovery lists.
    pub offer: Offer,
    /// Where an EHR launches the page of a twin; cards have no such link while it is not set.
    pub launch: Arc<OnceLock<String>>,
}

/// What a tenant has of its own.
pub struct TenantParts {
    /// For its FHIR servers.
    pub client: Client,
    /// Ids of the twins that it sees; without it, all.
    pub twins: Option<Vec<String>>,
}

impl TwinAdvisor {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let at_once = 2 * std::thread::available_parallelism().map_or(2, usize::from);
        let twin = |definition: &Arc<Definition>| Arc::new(Twin::new(Arc::clone(definition), at_once / 2));
        let twins: Vec<Arc<Twin>> = parts.catalog.twins.iter().map(twin).collect();
        let all = Arc::new(Offering::of(&twins, parts.offer));
        let tenant = |(id, tenant): (String, TenantParts)| {
            let seen = |twin: &&Arc<Twin>| {
                tenant
                    .twins
                    .as_ref()
                    .is_none_or(|ids| ids.iter().any(|id| id == twin.id()))
            };
            let seen: Vec<Arc<Twin>> = twins.iter().filter(seen).cloned().collect();
            let offering = match seen.len() == twins.len() {
                true => Arc::clone(&all),
                false => Arc::new(Offering::of(&seen, parts.offer)),
            };
            let client = tenant.client;
            (id, Tenant { offering, client })
        };
        let tenants = parts.tenants.into_iter().map(tenant).collect();
        let looks = Arc::new(Kind::new(at_once));
        let kinds = twins.iter().map(|twin| &twin.computing).chain([&looks]);
        Arc::new(Self {
            load: Load::new(at_once, kinds.cloned().collect()),
            looks,
            common: Tenant {
                offering: all,
                client: parts.client,
            },
            tenants,
            terminology: parts.terminology,
            stores: parts.stores,
            messages: parts.messages,
            zone: parts.zone,
            as_of: parts.as_of,
            draws: parts.draws,
            recent: Recent::default(),
            launch: parts.launch,
            threads: Threads::default(),
        })
    }

    async fn answer(self: Arc<Self>, call: HookCall) -> Result<Response, CallError> {
        let Some(asked) = self.tenant(&call.tenant).offering.asked(&call.service_id).cloned() else {
            return Err(CallError::BadRequest("no such service".to_owned()));
        };
        let answers = self.inquire(&asked, Inquiry::from(call), evaluate::said).await;
        let named = |(twin, said): (Arc<Twin>, _)| (twin.id().to_owned(), said);
        together::merge(answers.into_iter().map(named).collect())
    }

    /// Whom the call is for. Calls that nobody vouches for bear the name of a FHIR server, which is no tenant's id.
    fn tenant(&self, id: &str) -> &Tenant {
        self.tenants.get(id).unwrap_or(&self.common)
    }
}

/// The handle that the HTTP layer calls.
pub struct Handle(pub Arc<TwinAdvisor>);

impl Advisor for Handle {
    fn services(&self) -> &[Service] {
        self.0.common.offering.own().services
    }

    fn listed(&self) -> &[Service] {
        self.0.common.offering.own().listed
    }

    fn own(&self) -> Vec<(&str, Own<'_>)> {
        let tenants = self.0.tenants.iter();
        tenants
            .map(|(id, tenant)| (id.as_str(), tenant.offering.own()))
            .collect()
    }

    fn is_overloaded(&self, service_id: &str, deadline: Instant) -> bool {
        let Some(asked) = self.0.common.offering.asked(service_id) else {
            return false;
        };
        let kind = match asked.members.as_slice() {
            [one] => &one.twin.computing,
            // Which twins are concerned is not known yet; that they are looked at comes first.
            _ => &self.0.looks,
        };
        self.0.load.is_too_much(kind, deadline)
    }

    fn advise(&self, call: HookCall) -> BoxFuture<'_, Result<Response, CallError>> {
        Arc::clone(&self.0).answer(call).boxed()
    }

    fn feedback(&self, tenant: &str, service_id: &str, entries: Vec<Feedback>) -> BoxFuture<'_, Result<(), CallError>> {
        let log = Arc::clone(&self.0.stores.feedback);
        let (tenant, service) = (tenant.to_owned(), service_id.to_owned());
        async move {
            let stored = tokio::task::spawn_blocking(move || {
                for entry in entries {
                    let record = FeedbackRecord {
                        received: Timestamp::now(),
                        tenant: tenant.clone(),
                        service: service.clone(),
                        feedback: serde_json::to_value(&entry).map_err(|e| e.to_string())?,
                    };
                    log.append(&record).map_err(|e| e.to_string())?;
                }
                Ok::<(), String>(())
            });
            match stored.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    metrics::store_failed("feedback");
                    tracing::error!(error, "feedback could not be stored");
                    Err(CallError::Internal)
                }
                Err(_) => Err(CallError::Internal),
            }
        }
        .boxed()
    }
}
