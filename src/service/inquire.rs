//! One question to the twins of a service, from the record to what each says.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::value::RawValue;
use tracing::Instrument as _;

use super::{
    Asked, Member, Twin, TwinAdvisor,
    evaluate::{self, Drafts, Tell},
    load::TooMuch,
    services,
    together::{LeftOut, within},
};
use crate::{
    cds::{
        advisor::CallError,
        request::{Hook, HookCall},
    },
    fhir::prefetch::{Gathered, Query, gather},
    metrics,
    settings::AsOf,
};

/// Time kept back from the deadline for computing and writing the answer.
const FOR_COMPUTING: Duration = Duration::from_millis(400);
/// Time kept back from the deadline for putting the answer together and writing it.
const FOR_WRITING: Duration = Duration::from_millis(150);

/// A call, and what only those ask who do not call by a hook.
pub(super) struct Inquiry {
    pub call: HookCall,
    /// The record, where it comes with the call as a whole and not key by key.
    pub record: Option<Box<RawValue>>,
    /// Orders that are to be compared instead of the options of the twin.
    pub treatments: Vec<Box<RawValue>>,
    /// Whether all is wanted that a twin has to say, also where nobody would be interrupted.
    pub whole: bool,
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
pub(super) type Answers<R> = Vec<(Arc<Twin>, Result<R, LeftOut>)>;

impl TwinAdvisor {
    /// Asks the twins of a service: gathers what they need, and lets those that the call concerns compute.
    pub(super) async fn inquire<R: Send + 'static>(
        self: Arc<Self>,
        asked: &Asked,
        inquiry: Inquiry,
        tell: Tell<R>,
    ) -> Answers<R> {
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
        let internal = |members: &[Member]| -> Answers<R> {
            let failed = members.iter().map(|member| Arc::clone(&member.twin));
            failed
                .map(|twin| (twin, Err(LeftOut::Error(CallError::Internal))))
                .collect()
        };
        if hook == Hook::PatientView {
            // Where the present is that of the record, all of it must be there to tell who is on a treatment.
            let queries = asked.open(&asked.members, &gathered, self.as_of != AsOf::Record);
            gathered = self.gather(&inquiry, &queries, fetched_by).await;
        }
        if self.add_messages(&inquiry.call, &mut gathered).await.is_err() {
            return internal(&asked.members);
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
        // Where the Patient came only now.
        if self.add_messages(&inquiry.call, &mut gathered).await.is_err() {
            return internal(&asked.members);
        }
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
