//! Bounds on what callers can make the server do: length, time and memory of bodies, and evaluations at one time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest,
    http::{StatusCode, header},
    web,
};
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{error::Failure, inflate::gunzip};
use crate::{
    cds::malformed::Malformed,
    metrics::{self, Shed},
};

/// Bytes of one unit of the [`Budget`].
const UNIT: usize = 1024;

/// Memory for bodies, shared by all connections: many bodies below the limit can still be too much together.
pub struct Budget {
    units: Arc<Semaphore>,
}

impl Budget {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            units: Arc::new(Semaphore::new((bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS))),
        }
    }

    /// Room for a body that grows. It is taken as bytes come, not as they are announced, since announcing costs nothing.
    fn open(&self) -> Share {
        Share {
            units: Arc::clone(&self.units),
            taken: None,
        }
    }
}

/// A part of the [`Budget`], given back when dropped.
pub struct Share {
    units: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Makes sure of room for `bytes` in all.
    fn grow_to(&mut self, bytes: usize) -> Result<(), Failure> {
        let have = self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(UNIT).saturating_sub(have);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).map_err(|_| Failure::busy())?;
        let permit = Arc::clone(&self.units)
            .try_acquire_many_owned(more)
            .map_err(|_| turned_away(Shed::Bytes))?;
        match &mut self.taken {
            Some(taken) => taken.merge(permit),
            None => self.taken = Some(permit),
        }
        Ok(())
    }
}

/// Longest body that is parsed on a thread that serves connections: well under a millisecond.
const SHORT: usize = 64 * 1024;

/// A body with its share of memory, as it came, perhaps compressed.
pub struct Body {
    bytes: Vec<u8>,
    gzip: bool,
    limit: usize,
    share: Share,
}

impl Body {
    /// Decompresses the body and parses it, on another thread when that may take long. The share of memory is to be kept while
    /// what was parsed lives.
    ///
    /// # Errors
    /// Those of `parse`; as [`gunzip`] for compressed bodies; 503 when there is no memory for the inflated one.
    pub async fn parse<T: Send + 'static>(
        self,
        parse: impl FnOnce(&[u8]) -> Result<T, Malformed> + Send + 'static,
    ) -> Result<(T, Share), Failure> {
        let long = self.gzip || self.bytes.len() > SHORT;
        let work = move || {
            let (bytes, share) = self.open()?;
            Ok((parse(&bytes)?, share))
        };
        if long {
            web::block(work).await.unwrap_or_else(|_| Err(Failure::internal()))
        } else {
            work()
        }
    }

    fn open(mut self) -> Result<(Vec<u8>, Share), Failure> {
        if !self.gzip {
            return Ok((self.bytes, self.share));
        }
        let inflated = gunzip(&self.bytes, self.limit)?;
        self.share.grow_to(inflated.len())?;
        Ok((inflated, self.share))
    }
}

/// Reads a JSON body within `limit` bytes and `timeout`.
///
/// # Errors
/// 415 for another type or encoding, 413 when it is too long, 408 when it is too slow, 400 when it breaks off, 503 when memory
/// for bodies is used up.
pub async fn read_body(
    request: &HttpRequest,
    payload: web::Payload,
    budget: &Budget,
    limit: usize,
    timeout: Duration,
) -> Result<Body, Failure> {
    if !is_json(request) {
        return Err(Failure::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let gzip = is_gzip(request)?;
    let too_long = || {
        let text = format!("The body is too long; this path takes {limit} bytes.");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", text)
    };
    let announced: Option<u64> = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(too_long());
    }
    let mut payload = payload;
    let mut share = budget.open();
    let mut bytes = Vec::new();
    let reading = async {
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Failure::of_status(StatusCode::BAD_REQUEST))?;
            let length = bytes.len() + chunk.len();
            if length > limit {
                return Err(too_long());
            }
            share.grow_to(length)?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    };
    match tokio::time::timeout(timeout, reading).await {
        Ok(result) => result?,
        Err(_) => return Err(Failure::of_status(StatusCode::REQUEST_TIMEOUT)),
    }
    Ok(Body {
        bytes,
        gzip,
        limit,
        share,
    })
}

/// JSON by its media type, with parameters and in any letter case. Nothing else: a form or plain text could be sent by any web
/// page without asking first.
fn is_json(request: &HttpRequest) -> bool {
    let media_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    media_type.is_some_and(|text| {
        let essence = text.split(';').next().unwrap_or_default().trim();
        ["application/json", "application/fhir+json"]
            .into_iter()
            .any(|json| essence.eq_ignore_ascii_case(json))
    })
}

fn is_gzip(request: &HttpRequest) -> Result<bool, Failure> {
    let mut values = request.headers().get_all(header::CONTENT_ENCODING);
    match (
        values.next().map(|value| value.as_bytes().to_ascii_lowercase()),
        values.next(),
    ) {
        (None, _) => Ok(false),
        (Some(value), None) if value == b"identity" => Ok(false),
        (Some(value), None) if value == b"gzip" || value == b"x-gzip" => Ok(true),
        _ => Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-supported",
            "Content-Encoding must be gzip or identity.",
        )),
    }
}

/// Lets so many evaluations run and so many wait.
pub struct Gate {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
}

impl Gate {
    /// Room for `running` evaluations and a queue of `queue`.
    #[must_use]
    pub fn new(running: usize, queue: usize) -> Self {
        let running = Arc::new(Semaphore::new(running.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            running,
            waiting: AtomicUsize::new(0),
            queue,
        }
    }

    /// Waits for a place until `until`; first come, first served.
    ///
    /// # Errors
    /// 503 when the queue is full or the time is up.
    pub async fn enter(&self, until: Instant) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = Place::take(&self.waiting, self.queue).ok_or_else(|| turned_away(Shed::Calls))?;
        match tokio::time::timeout_at(until.into(), Arc::clone(&self.running).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(turned_away(Shed::Calls)),
        }
    }
}

fn turned_away(why: Shed) -> Failure {
    metrics::shed(why);
    Failure::busy()
}

/// A place in the queue, given up when dropped: also when the client goes away while it waits.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, queue: usize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::AcqRel);
        let place = Self(waiting);
        (before < queue).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_given_back() {
        let budget = Budget::new(10 * UNIT);
        let mut a = budget.open();
        assert!(a.grow_to(6 * UNIT).is_ok() && a.grow_to(5).is_ok());
        let mut b = budget.open();
        assert_eq!(b.grow_to(5 * UNIT).map_err(|e| e.status.as_u16()), Err(503));
        drop(a);
        assert!(b.grow_to(10 * UNIT).is_ok());
    }

    #[tokio::test]
    async fn a_gate_has_a_queue_with_an_end() {
        let gate = Arc::new(Gate::new(1, 1));
        let soon = || Instant::now() + Duration::from_secs(5);
        let first = gate.enter(soon()).await.expect("free");
        let second = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(soon()).await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert!(gate.enter(soon()).await.is_err(), "the queue is full");
        drop(first);
        assert!(second.await.expect("no panic"));
        let _held = gate.enter(soon()).await.expect("free again");
        assert!(gate.enter(Instant::now()).await.is_err(), "no time left");
        assert_eq!(gate.waiting.load(Ordering::Acquire), 0);
    }
}
