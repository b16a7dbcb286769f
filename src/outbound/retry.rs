//! Whether and when to ask again. Specification: RFC 6585, section 4 (429); RFC 9110, sections 10.2.3 (Retry-After) and 15.6.4 (503).

use std::time::{Duration, Instant};

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use uuid::Uuid;

/// The first request included.
const TRIES: u32 = 3;
/// Before the second try; doubled before the third.
const PAUSE: Duration = Duration::from_millis(50);
/// Time that a further try must have before the deadline to be worth it.
const WORTH: Duration = Duration::from_millis(50);

/// How long to wait before the next try; `None` when this answer is the last: it is no request to wait, there were enough tries,
/// or the server would be asked again too late to be of use.
#[must_use]
pub fn pause(status: StatusCode, headers: &HeaderMap, tries: u32, deadline: Instant) -> Option<Duration> {
    let wait = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if !wait || tries >= TRIES {
        return None;
    }
    let backoff = PAUSE * 2_u32.saturating_pow(tries.saturating_sub(1));
    let least = headers.get(RETRY_AFTER).and_then(|value| asked(value.to_str().ok()?));
    // Half of the pause and a random part more, so that those who failed together do not come back together.
    let pause = least.unwrap_or_default() + backoff / 2 + backoff.mul_f64(random()) / 2;
    let left = deadline.saturating_duration_since(Instant::now());
    (pause + WORTH <= left).then_some(pause)
}

/// Seconds, or a date.
fn asked(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        // What is longer than a day is too long anyway, and must not overflow.
        return Some(Duration::from_secs(u64::min(seconds, 86_400)));
    }
    let at: Timestamp = rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default())
}

/// Between 0 and 1.
fn random() -> f64 {
    let (high, _) = Uuid::new_v4().as_u64_pair();
    f64::from(u32::try_from(high >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn asking(status: u16, after: Option<&str>, tries: u32, left: u64) -> Option<u128> {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(RETRY_AFTER, after.parse().unwrap());
        }
        let deadline = Instant::now() + Duration::from_millis(left);
        Some(pause(StatusCode::from_u16(status).unwrap(), &headers, tries, deadline)?.as_millis())
    }

    #[test]
    fn only_who_asks_to_be_asked_later_is() {
        for status in [200, 301, 401, 404, 500, 502, 504] {
            assert_eq!(asking(status, Some("0"), 1, 10_000), None, "{status}");
        }
        for _ in 0..50 {
            assert!((25..=50).contains(&asking(503, None, 1, 10_000).unwrap()));
            assert!((50..=100).contains(&asking(429, None, 2, 10_000).unwrap()));
        }
        assert_eq!(asking(503, None, 3, 10_000), None, "enough");
        assert_eq!(asking(503, None, 1, 60), None, "no time");
    }

    #[test]
    fn what_the_server_asks_for_is_kept_or_not_asked_again() {
        assert!((1025..=1050).contains(&asking(429, Some("1"), 1, 2000).unwrap()));
        assert_eq!(asking(429, Some("3"), 1, 2000), None);
        assert_eq!(asking(429, Some("99999999999999999"), 1, 2000), None);
        assert_eq!(asking(503, Some("Wed, 21 Oct 2065 07:28:00 GMT"), 1, 2000), None);
        for past_or_nonsense in ["Wed, 21 Oct 2015 07:28:00 GMT", "-1", "soon", ""] {
            assert!(
                asking(503, Some(past_or_nonsense), 1, 2000).unwrap() <= 50,
                "{past_or_nonsense}"
            );
        }
    }

    #[test]
    fn pauses_differ() {
        let all: std::collections::BTreeSet<_> = (0..20).map(|_| random().to_bits()).collect();
        assert!(all.len() > 10);
    }
}
