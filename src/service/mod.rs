//! One hook call from beginning to end: data, facts, twin, advice, cards. The only module that knows both the protocol
//! and the medicine, and it holds neither: each step is another module's.

pub mod ask;
pub mod cards;
pub mod clock;
pub mod detail;
pub mod evaluate;
pub mod finding;
pub mod load;
pub mod offering;
pub mod orders;
pub mod picture;
pub mod services;
pub mod together;
pub mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::value::RawValue;
use tracing::Instrument as _;

use crate::{
    advice::recent::Recent,
    cds::{
        advisor::{Advisor, CallError, Own},
        card::Response,
        discovery::Service,
        feedback::Feedback,
        request::{Hook, HookCall},
    },
    fhir::{
        client::Client,
        prefetch::{Gathered, Query, gather},
        terminology::Terminology,
    },
    metrics,
    model::catalog::{Catalog, Definition},
    settings::{AsOf, Offer},
    store::{FeedbackRecord, open::Stores},
};
use evaluate::{Drafts, Tell};
use load::{Kind, Load, TooMuch};
use offering::{Offering, Tenant};
use together::{Lacking, LeftOut, Threads, Union, within};

/// Time kept back from the deadline for computing and writing the answer.
const FOR_COMPUTING: Duration = Duration::from_millis(400);
/// Time kept back from the deadline for putting the answer together and writing it.
const FOR_WRITING: Duration = Duration::from_millis(150);

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
    /// Where an EHR launches the page of a twin, once that is known.
    launch: Arc<OnceLock<String>>,
    threads: Threads,
    /// What computes at one time; waiting for a FHIR server does not count, so that a slow one starves nobody.
    load: Load,
    /// Looking whether a call concerns a twin.
    looks: Arc<Kind>,
}

/// A call, and what only those ask who do not call by a hook.
struct Inquiry {
    call: HookCall,
    /// The record, where it comes with the call as a whole and not key by key.
    record: Option<Box<RawValue>>,
    /// Orders that are to be compared instead of the options of the twin.
    treatments: Vec<Box<RawValue>>,
    /// Whether all is wanted that a twin has to say, also where nobody would be interrupted.
    whole: bool,
}

impl From<HookCall> for Inquiry {
    fn from(call: HookCall) -> Self {
        Self {
            whole: call.page,
            call,
            record: None,
            treatments: Vec::new(),
        }
    }
}

/// What the twins that a call concerns said, in the order of the catalogue.
type Answers<R> = Vec<(Arc<Twin>, Result<R, LeftOut>)>;

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

    /// Asks the twins of a service: gathers what they need, and lets those that the call concerns compute.
    async fn inquire<R: Send + 'static>(self: Arc<Self>, asked: &Asked, inquiry: Inquiry, tell: Tell<R>) -> Answers<R> {
        let call = &inquiry.call;
        let started = Instant::now();
        let left = call.deadline.saturating_duration_since(started);
        let until = call
            .deadline
            .checked_sub(FOR_WRITING.min(left / 3))
            .unwrap_or(call.deadline);
        let fetched_by = call.deadline.checked_sub(FOR_COMPUTING).unwrap_or(call.deadline);
        let hook = call.hook;
        let inquiry = Arc::new(inquiry);
        let mut gathered = Gathered::default();
        if hook == Hook::PatientView {
            // Where the present is that of the record, all of it must be there to tell who is on a treatment.
            let queries = asked.open(&asked.members, &gathered, self.as_of != AsOf::Record);
            gathered = self.gather(&inquiry, &queries, fetched_by).await;
        }
        // A twin that the call does not concern is passed over without anything being fetched for it.
        let (concerned, left_out) = self.concerned(&asked.members, &inquiry, &gathered, until).await;
        let mut answers: Answers<R> = left_out.into_iter().map(|(twin, why)| (twin, Err(why))).collect();
        // Nor for one that lacks something already.
        let members = concerned.iter().map(|(member, _)| member);
        let able = members.filter(|member| member.lacks(&gathered.view(member.pairs())).is_ok());
        let members: Vec<Member> = able.cloned().collect();
        let queries = asked.open(&members, &gathered, false);
        gathered.add(self.gather(&inquiry, &queries, fetched_by).await);
        let gathering = started.elapsed();
        let evaluations = concerned.into_iter().map(|(member, drafts)| {
            let (this, inquiry) = (Arc::clone(&self), Arc::clone(&inquiry));
            let view = gathered.view(member.pairs());
            async move {
                let said = match member.lacks(&view) {
                    Ok(()) => {
                        let twin = Arc::clone(&member.twin);
                        this.evaluate(twin, inquiry, drafts, view, until, tell).await
                    }
                    Err(lacking) => Err(LeftOut::Lacking(lacking)),
                };
                (member.twin, said)
            }
        });
        answers.extend(join_all(evaluations).await);
        tracing::info!(
            twins = answers.len(),
            gathering_ms = u64::try_from(gathering.as_millis()).unwrap_or(u64::MAX),
            total_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "evaluated"
        );
        answers
    }

    /// Whom the call is for. Calls that nobody vouches for bear the name of a FHIR server, which is no tenant's id.
    fn tenant(&self, id: &str) -> &Tenant {
        self.tenants.get(id).unwrap_or(&self.common)
    }

    async fn gather(&self, inquiry: &Inquiry, queries: &[Query], until: Instant) -> Gathered {
        if let Some(record) = &inquiry.record {
            return Gathered::of_record(record, queries, services::PATIENT);
        }
        let call = &inquiry.call;
        let span = tracing::info_span!("gathering", queries = queries.len());
        gather(call, queries, &self.tenant(&call.tenant).client, until)
            .instrument(span)
            .await
    }

    /// The members that a call concerns, with the drafts for their drugs; beside them those of which that could not be told.
    async fn concerned(
        self: &Arc<Self>,
        members: &[Member],
        inquiry: &Arc<Inquiry>,
        gathered: &Gathered,
        until: Instant,
    ) -> (Vec<(Member, Drafts)>, Vec<(Arc<Twin>, LeftOut)>) {
        let looks = members.iter().map(|member| {
            let (this, twin, inquiry) = (Arc::clone(self), Arc::clone(&member.twin), Arc::clone(inquiry));
            let view = gathered.view(member.pairs());
            async move {
                let turn = self.load.next(&self.looks, until).await?;
                let look = move || evaluate::concern(&this, &twin.definition, &inquiry.call, &view);
                within(until, move || turn.work.run(look)).await
            }
        });
        let (mut concerned, mut left_out) = (Vec::new(), Vec::new());
        for (member, found) in members.iter().zip(join_all(looks).await) {
            match found {
                Ok(Some(drafts)) => concerned.push((member.clone(), drafts)),
                Ok(None) => {}
                Err(why) => left_out.push((Arc::clone(&member.twin), why)),
            }
        }
        // What one twin covers is no other way of giving a drug to the next.
        let orders = concerned.iter().flat_map(|(_, drafts)| &drafts.orders);
        let covered: BTreeSet<usize> = orders.map(|draft| draft.place).collect();
        concerned.retain(|(_, drafts)| {
            !drafts.orders.is_empty() || drafts.other_way.is_empty() || !drafts.other_way.is_subset(&covered)
        });
        (concerned, left_out)
    }

    /// Computes what a twin says, in its turn.
    async fn evaluate<R: Send + 'static>(
        self: Arc<Self>,
        twin: Arc<Twin>,
        inquiry: Arc<Inquiry>,
        drafts: Drafts,
        view: Gathered,
        until: Instant,
        tell: Tell<R>,
    ) -> Result<R, LeftOut> {
        let started = Instant::now();
        let id = Arc::clone(&twin);
        let span = tracing::info_span!("evaluation", twin = twin.id());
        let evaluate = move |this: &Self| evaluate::evaluate(this, &twin.definition, &inquiry, &drafts, &view, tell);
        let said = self.compute(&id, until, evaluate).instrument(span).await;
        let outcome = match &said {
            Ok((outcome, _)) => outcome,
            Err(why) => why.name(),
        };
        metrics::evaluated(id.id(), outcome, started.elapsed());
        said.map(|(_, said)| said)
    }

    async fn compute<R: Send + 'static>(
        self: Arc<Self>,
        twin: &Twin,
        until: Instant,
        evaluate: impl FnOnce(&Self) -> Result<R, CallError> + Send + 'static,
    ) -> Result<R, LeftOut> {
        let turn = self.load.turn(&twin.computing, until).await?;
        let (own, common, work) = (turn.own, turn.common, turn.work);
        let said = within(until, move || {
            let said = work.run(|| self.threads.run(|| evaluate(&self)));
            drop(own);
            said
        });
        let said = said.await;
        // Also when it goes on: it has held up the others long enough.
        drop(common);
        said?.map_err(LeftOut::Error)
    }
}

impl From<TooMuch> for LeftOut {
    fn from(_: TooMuch) -> Self {
        Self::Error(CallError::Busy)
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
