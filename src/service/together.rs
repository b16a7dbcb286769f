//! Several twins at one call: each has its own view of one gathering, all compute at once under one deadline, and one that is slow
//! or fails is left out without a word from the others being lost. A service of one twin is the same with one.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use rayon::{ThreadPool, ThreadPoolBuilder};
use serde_json::{Map, Value, json};

use super::evaluate::Said;
use crate::{
    cds::{advisor::CallError, card::Response},
    fhir::{client::Failure, prefetch::Query},
};

/// Cards of one answer, at most: more are not read.
pub const MOST: usize = 3;

/// What several twins ask of a record, with equal templates once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Union {
    /// In the order in which they are first asked.
    pub queries: Vec<Query>,
    /// For each twin and each of its queries, the key in `queries`.
    pub keys: Vec<Vec<String>>,
}

impl Union {
    /// Of twins, by id. A template keeps the key of the twin that asks for it first; where twins mean different things by one key,
    /// each of those keys ends in the id of its twin, so that no key changes its meaning when a twin comes or goes.
    #[must_use]
    pub fn of<'t>(twins: impl IntoIterator<Item = (&'t str, &'t [Query])>) -> Self {
        let twins: Vec<_> = twins.into_iter().collect();
        let mut meanings: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for query in twins.iter().flat_map(|(_, own)| own.iter()) {
            meanings.entry(&query.key).or_default().insert(&query.template);
        }
        let ambiguous = |key: &str| meanings.get(key).is_some_and(|templates| templates.len() > 1);
        let mut union = Self::default();
        let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
        for (id, own) in &twins {
            let mut keys = Vec::with_capacity(own.len());
            for query in *own {
                let place = *asked.entry(&query.template).or_insert_with(|| {
                    let key = if ambiguous(&query.key) {
                        format!("{}-{id}", query.key)
                    } else {
                        query.key.clone()
                    };
                    union.queries.push(Query { key, ..query.clone() });
                    union.queries.len() - 1
                });
                if let Some(shared) = union.queries.get_mut(place) {
                    shared.required |= query.required;
                    keys.push(shared.key.clone());
                }
            }
            union.keys.push(keys);
        }
        union
    }
}

/// Why a twin is left out of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// It was not ready in time.
    Late,
    /// What it cannot do without could not be had.
    Lacking(Lacking),
    /// It cannot answer.
    Error(CallError),
}

/// What could not be had of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// The keys of the service.
    pub keys: Vec<String>,
    /// Why queries failed, where that is the reason.
    pub failures: Vec<Failure>,
}

impl From<Lacking> for CallError {
    fn from(lacking: Lacking) -> Self {
        let why: BTreeSet<String> = lacking.failures.iter().map(|failure| format!("; {failure}")).collect();
        let why: String = why.into_iter().collect();
        Self::MissingData(format!(
            "needed and neither in prefetch nor to be had from fhirServer: {}{why}",
            lacking.keys.join(", ")
        ))
    }
}

impl LeftOut {
    /// In a word, for logs and pages of ours.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Lacking(_) | Self::Error(CallError::MissingData(_)) => "missing-data",
            Self::Error(CallError::Contradiction(_)) => "contradiction",
            Self::Error(CallError::BadRequest(_)) => "bad-request",
            Self::Error(CallError::Busy) => "busy",
            Self::Error(CallError::Internal) => "failed",
        }
    }
}

/// Does something on the blocking pool and waits for it, but not beyond `until`: then it goes on unheard, or never begins.
///
/// # Errors
/// [`LeftOut`] when it is late or panics.
pub async fn within<R: Send + 'static>(until: Instant, job: impl FnOnce() -> R + Send + 'static) -> Result<R, LeftOut> {
    let task = tokio::task::spawn_blocking(job);
    let stop = task.abort_handle();
    match tokio::time::timeout_at(until.into(), task).await {
        Ok(Ok(done)) => Ok(done),
        // The text of a panic may hold a value of a record, so it is not told.
        Ok(Err(_)) => Err(LeftOut::Error(CallError::Internal)),
        Err(_) => {
            stop.abort();
            Err(LeftOut::Late)
        }
    }
}

/// Threads for what a twin computes in parallel: each evaluation has a set of its own while it lasts, since in a common set those of
/// a quick twin would wait behind those of a slow one.
#[derive(Debug, Default)]
pub struct Threads(Mutex<Vec<ThreadPool>>);

impl Threads {
    /// Does `job` on a set of threads that nobody else uses.
    pub fn run<R: Send>(&self, job: impl FnOnce() -> R + Send) -> R {
        let idle = self.idle().pop();
        let Some(own) = idle.or_else(|| ThreadPoolBuilder::new().build().ok()) else {
            return job();
        };
        let done = own.install(job);
        self.idle().push(own);
        done
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<ThreadPool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One answer of what the twins said, by id and in the order of the catalogue: the most important cards first, [`MOST`] of them.
///
/// Important is what is urgent; then advice, before refusals; then what gains most.
///
/// # Errors
/// When no twin answers for another reason than time: with one twin its error, with several the one that tells most.
pub fn merge(answers: Vec<(String, Result<Said, LeftOut>)>) -> Result<Response, CallError> {
    let (mut said, mut left_out) = (Vec::new(), Vec::new());
    for (twin, answer) in answers {
        match answer {
            Ok(answer) => said.push(answer),
            Err(why) => left_out.push((twin, why)),
        }
    }
    for (twin, why) in &left_out {
        tracing::warn!(
            twin,
            why = why.name(),
            left_out = left_out.len(),
            "a twin is left out of an answer"
        );
    }
    let errors: Option<Vec<CallError>> = left_out
        .iter()
        .map(|(_, why)| match why {
            LeftOut::Late => None,
            LeftOut::Lacking(lacking) => Some(lacking.clone().into()),
            LeftOut::Error(error) => Some(error.clone()),
        })
        .collect();
    let worst = errors.unwrap_or_default().into_iter().min_by_key(telling);
    if let Some(error) = worst.filter(|_| said.is_empty()) {
        return Err(error);
    }
    said.sort_by(|a, b| a.rank().cmp(&b.rank()).then(b.gain.total_cmp(&a.gain)));
    let extension = said.iter_mut().find_map(|one| one.extension.take());
    let mut cards: Vec<_> = said.into_iter().filter_map(|one| one.card).collect();
    if cards.len() > MOST {
        tracing::info!(not_shown = cards.len() - MOST, "more cards than one answer holds");
        cards.truncate(MOST);
    }
    let mut extension = extension.filter(|_| cards.is_empty());
    if !left_out.is_empty() {
        let list: Vec<Value> = left_out
            .iter()
            .map(|(twin, why)| json!({ "twin": twin, "why": why.name() }))
            .collect();
        let members = extension.get_or_insert_with(|| Value::Object(Map::new()));
        if let Some(members) = members.as_object_mut() {
            members.insert("jumeau_left_out".to_owned(), Value::Array(list));
        }
    }
    Ok(Response { cards, extension })
}

impl Said {
    fn rank(&self) -> impl Ord + use<> {
        (Reverse(self.card.as_ref().map(|card| card.indicator)), !self.advice)
    }
}

/// Less is more telling: what the client can mend comes first.
fn telling(error: &CallError) -> u8 {
    match error {
        CallError::Contradiction(_) => 0,
        CallError::MissingData(_) => 1,
        CallError::BadRequest(_) => 2,
        CallError::Busy => 3,
        CallError::Internal => 4,
    }
}

#[cfg(test)]
#[path = "together_tests.rs"]
mod tests;
