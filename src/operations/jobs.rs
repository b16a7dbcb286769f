//! Requests that are answered later (FHIR R4, "Asynchronous Request Pattern"): begun, looked after, fetched, given up. In memory: a
//! restart loses them, and whoever fetches is told 404 and asks again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use actix_web::http::StatusCode;
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::{kept::Digest32, reply::Written};
use crate::http::error::Failure;

/// All of them.
pub struct Jobs {
    by_id: Mutex<BTreeMap<Uuid, Arc<Job>>>,
    under_way: usize,
    keep: Duration,
    most_bytes: usize,
}

/// One request.
pub struct Job {
    tenant: String,
    about: Arc<[Digest32]>,
    total: usize,
    done: AtomicUsize,
    state: Mutex<State>,
}

enum State {
    Running(Option<AbortHandle>),
    Finished(Instant, Written),
}

/// How far a job is.
pub enum Look {
    /// So many of so many.
    Running(usize, usize),
    /// The answer.
    Finished(Written),
}

impl Job {
    /// Counts an entry that is answered.
    pub fn step(&self) {
        self.done.fetch_add(1, Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        if let State::Running(Some(task)) = &*self.state() {
            task.abort();
        }
    }

    fn bytes(&self) -> usize {
        match &*self.state() {
            State::Running(_) => 0,
            State::Finished(_, answer) => answer.body.len(),
        }
    }
}

impl Jobs {
    /// None yet; at most `under_way` run, results stay for `keep` and take at most `most_bytes`.
    #[must_use]
    pub fn new(under_way: usize, keep: Duration, most_bytes: usize) -> Self {
        Self {
            by_id: Mutex::default(),
            under_way,
            keep,
            most_bytes,
        }
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<Uuid, Arc<Job>>> {
        let mut jobs = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|_, job| match &*job.state() {
            State::Running(_) => true,
            State::Finished(since, _) => since.elapsed() <= self.keep,
        });
        jobs
    }

    /// Begins a job of `total` entries about these patients. None when too many run or too many results wait to be fetched.
    #[must_use]
    pub fn begin(&self, tenant: &str, about: Arc<[Digest32]>, total: usize) -> Option<(Uuid, Arc<Job>)> {
        let mut jobs = self.jobs();
        let running = |job: &&Arc<Job>| matches!(&*job.state(), State::Running(_));
        let bytes: usize = jobs.values().map(|job| job.bytes()).sum();
        if jobs.values().filter(running).count() >= self.under_way || bytes >= self.most_bytes {
            return None;
        }
        let job = Arc::new(Job {
            tenant: tenant.to_owned(),
            about,
            total,
            done: AtomicUsize::new(0),
            state: Mutex::new(State::Running(None)),
        });
        let id = Uuid::new_v4();
        jobs.insert(id, Arc::clone(&job));
        Some((id, job))
    }

    /// Says which task does a job, so that it can be given up.
    pub fn doing(&self, job: &Job, task: AbortHandle) {
        if let State::Running(handle) = &mut *job.state() {
            *handle = Some(task);
        }
    }

    /// Ends a job with its answer, if there is room for it.
    pub fn finish(&self, job: &Job, answer: Written) {
        let kept: usize = self.jobs().values().map(|job| job.bytes()).sum();
        let room = kept + answer.body.len() <= self.most_bytes;
        let answer = if room { answer } else { no_room().into() };
        *job.state() = State::Finished(Instant::now(), answer);
    }

    /// How far a tenant's job is; none when there is no such job, or no more.
    #[must_use]
    pub fn look(&self, tenant: &str, id: Uuid) -> Option<Look> {
        let job = self.jobs().get(&id).filter(|job| job.tenant == tenant).cloned()?;
        let state = job.state();
        Some(match &*state {
            State::Running(_) => Look::Running(job.done.load(Relaxed), job.total),
            State::Finished(_, answer) => Look::Finished(answer.clone()),
        })
    }

    /// Gives up a tenant's job, or lets go of its answer; whether there was one.
    pub fn cancel(&self, tenant: &str, id: Uuid) -> bool {
        let mut jobs = self.jobs();
        let Some(job) = jobs.get(&id).filter(|job| job.tenant == tenant) else {
            return false;
        };
        job.stop();
        jobs.remove(&id);
        true
    }

    /// Gives up whatever is about a patient.
    pub fn forget(&self, patient: &Digest32) {
        self.jobs().retain(|_, job| {
            let about = job.about.contains(patient);
            if about {
                job.stop();
            }
            !about
        });
    }
}

fn no_room() -> Failure {
    let text = "There is no room for the answer (operations.keep_bytes): fetch or let go of earlier ones, and ask in smaller batches.";
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "throttled", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(length: usize) -> Written {
        Written {
            status: StatusCode::OK,
            body: vec![b'x'; length].into(),
            job: None,
        }
    }

    #[test]
    fn a_job_is_its_tenants_and_ends() {
        let jobs = Jobs::new(1, Duration::from_secs(60), 10);
        let (id, job) = jobs.begin("a", [[1; 32]].into(), 3).expect("room");
        assert!(jobs.begin("a", [].into(), 1).is_none(), "one at a time");
        job.step();
        assert!(matches!(jobs.look("a", id), Some(Look::Running(1, 3))));
        assert!(jobs.look("b", id).is_none() && !jobs.cancel("b", id));
        jobs.finish(&job, written(10));
        assert!(matches!(jobs.look("a", id), Some(Look::Finished(answer)) if answer.body.len() == 10));
        assert!(jobs.begin("a", [].into(), 1).is_none(), "results wait to be fetched");
        jobs.forget(&[2; 32]);
        assert!(jobs.look("a", id).is_some());
        jobs.forget(&[1; 32]);
        assert!(jobs.look("a", id).is_none());
        let (id, job) = jobs.begin("a", [].into(), 1).expect("room");
        jobs.finish(&job, written(11));
        assert!(matches!(jobs.look("a", id), Some(Look::Finished(answer)) if answer.status.is_server_error()));
        assert!(jobs.cancel("a", id) && jobs.look("a", id).is_none());
    }

    #[test]
    fn results_expire() {
        let jobs = Jobs::new(1, Duration::ZERO, 10);
        let (id, job) = jobs.begin("a", [].into(), 1).expect("room");
        jobs.finish(&job, written(0));
        std::thread::sleep(Duration::from_millis(2));
        assert!(jobs.look("a", id).is_none());
    }
}
