//! Prefetch templates and their tokens. Specification: CDS Hooks 2.0.1, "Prefetch tokens".
//!
//! Only the portable tokens are known: every client can fill them, and so can this server when a client does not.

use std::fmt::Write as _;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use crate::cds::request::HookCall;

/// Why a template cannot be made a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}` or the other way round.
    #[error("a token of the template is not closed; write tokens as `{{{{context.patientId}}}}`")]
    Unbalanced,
    /// A token that is not among the portable ones.
    #[error(
        "`{0}` is no token that every client fills; use context.patientId, context.userId, context.encounterId or \
         today() - N days"
    )]
    Unknown(String),
    /// The call does not hold that value (for example, no encounter).
    #[error("the call gives no {0}")]
    Absent(&'static str),
    /// The value would lead to another query than the one that is written.
    #[error("the call's {0} cannot stand in a query")]
    Unfit(&'static str),
}

/// The values that tokens stand for.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    patient_id: &'a str,
    user_id: Option<&'a str>,
    encounter_id: Option<&'a str>,
    today: Date,
}

impl<'a> Tokens<'a> {
    /// Of a call, on a day. "Today" has no time zone in the specification; [`today`] takes that of Greenwich.
    #[must_use]
    pub fn of(call: &'a HookCall, today: Date) -> Self {
        Self {
            patient_id: &call.patient_id,
            user_id: call.user_id.as_deref(),
            encounter_id: call.encounter_id.as_deref(),
            today,
        }
    }

    fn value(&self, token: &str) -> Result<String, TemplateError> {
        match token {
            "context.patientId" => id("patientId", Some(self.patient_id)),
            "context.encounterId" => id("encounterId", self.encounter_id),
            // The one value with a slash: `Practitioner/abc`, which is a query of its own.
            "context.userId" => {
                let text = self.user_id.ok_or(TemplateError::Absent("userId"))?;
                let parts: Result<Vec<_>, _> = text.split('/').map(|part| id("userId", Some(part))).collect();
                Ok(parts?.join("/"))
            }
            _ => self.day(token).ok_or_else(|| TemplateError::Unknown(token.to_owned())),
        }
    }

    /// `today()`, `today() - 90 days`, `today() + 1 day`.
    fn day(&self, token: &str) -> Option<String> {
        let rest = token.strip_prefix("today()")?.trim_start();
        if rest.is_empty() {
            return Some(self.today.to_string());
        }
        let (back, rest) = match rest.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, rest.strip_prefix('+')?),
        };
        let rest = rest.trim_start();
        let digits = rest.trim_end_matches(|c: char| !c.is_ascii_digit());
        if !matches!(rest.strip_prefix(digits)?, " day" | " days") {
            return None;
        }
        // More than the years that a date can hold is no distance that anybody means.
        let days: i32 = digits.parse().ok().filter(|days| (0..=400_000).contains(days))?;
        let day = self.today.checked_add(if back { -days } else { days }.days()).ok()?;
        // FHIR dates have four digits of year.
        (0..=9999).contains(&day.year()).then(|| day.to_string())
    }
}

/// The day in UTC.
#[must_use]
pub fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

/// Fills a template. The result is relative to the base URL of the FHIR server; values are percent-encoded.
///
/// # Errors
/// [`TemplateError`]; none of its messages holds a value of the call.
pub fn render(template: &str, tokens: &Tokens<'_>) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (token, after) = after.split_once("}}").ok_or(TemplateError::Unbalanced)?;
        out.push_str(before);
        out.push_str(&tokens.value(token.trim())?);
        rest = after;
    }
    if rest.contains("}}") || out.contains("}}") {
        return Err(TemplateError::Unbalanced);
    }
    out.push_str(rest);
    Ok(out)
}

fn id(name: &'static str, value: Option<&str>) -> Result<String, TemplateError> {
    let value = value.ok_or(TemplateError::Absent(name))?;
    if value.is_empty() || value.bytes().all(|byte| byte == b'.') {
        // Legal as ids, but in a path they are steps.
        return Err(TemplateError::Unfit(name));
    }
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {

    use super::*;

    fn tokens() -> Tokens<'static> {
        Tokens {
            patient_id: "pat-1.x",
            user_id: Some("Practitioner/abc"),
            encounter_id: None,
            today: Date::constant(2026, 3, 1),
        }
    }

    #[test]
    fn table() {
        for (template, expected) in [
            ("Patient/{{context.patientId}}", "Patient/pat-1.x"),
            ("Patient/{{ context.patientId }}", "Patient/pat-1.x"),
            ("{{context.userId}}", "Practitioner/abc"),
            (
                "Observation?patient={{context.patientId}}&code=http://loinc.org|2160-0&date=ge{{today() - 90 days}}",
                "Observation?patient=pat-1.x&code=http://loinc.org|2160-0&date=ge2025-12-01",
            ),
            ("X?d={{today()}}", "X?d=2026-03-01"),
            ("X?d={{today() - 1 day}}", "X?d=2026-02-28"),
            ("X?d={{today()+1 days}}", "X?d=2026-03-02"),
            ("X?d={{today() - 0 days}}", "X?d=2026-03-01"),
            ("Metadata", "Metadata"),
            ("", ""),
        ] {
            assert_eq!(render(template, &tokens()).as_deref(), Ok(expected), "{template}");
        }
        for template in [
            "{{context.patientId",
            "context.patientId}}",
            "}}{{context.patientId}}",
            "{{}}",
            "{{context.encounterId}}",
            "{{context.draftOrders}}",
            "{{userPractitionerId}}",
            "{{today() - 3 weeks}}",
            "{{today() - days}}",
            "{{today() - -3 days}}",
            "{{today() - 3days}}",
            "{{today() - 99999999999 days}}",
            "{{today() - 400001 days}}",
            "{{today() - 1 days days}}",
            "{{today()3 days}}",
            "{{tomorrow()}}",
        ] {
            assert!(render(template, &tokens()).is_err(), "{template}");
        }
    }

    #[test]
    fn values_cannot_leave_their_place() {
        for (value, expected) in [
            ("a&b=c", Ok("Patient/a%26b%3Dc")),
            ("a/../b", Ok("Patient/a%2F..%2Fb")),
            ("a?x#y", Ok("Patient/a%3Fx%23y")),
            ("é {{today()}}", Ok("Patient/%C3%A9%20%7B%7Btoday%28%29%7D%7D")),
            ("..", Err(TemplateError::Unfit("patientId"))),
            (".", Err(TemplateError::Unfit("patientId"))),
            ("", Err(TemplateError::Unfit("patientId"))),
        ] {
            let tokens = Tokens {
                patient_id: value,
                ..tokens()
            };
            assert_eq!(
                render("Patient/{{context.patientId}}", &tokens).as_deref(),
                expected.as_ref().map(|t| *t)
            );
        }
        let tokens = Tokens {
            user_id: Some("Practitioner/.."),
            ..tokens()
        };
        assert_eq!(
            render("{{context.userId}}", &tokens),
            Err(TemplateError::Unfit("userId"))
        );
    }
}
