//! Feedback on cards. Specification: CDS Hooks 2.0.1, "Feedback".

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    json::{Object, checked},
    malformed::{Fault, Malformed},
};

/// Longest identifier of a card or a suggestion that is taken: ours are UUIDs of 36 characters.
const LONGEST_ID: usize = 128;

/// What became of one card; parsed and checked, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Feedback {
    /// Uuid of the card.
    pub card: String,
    /// Accepted or overridden.
    pub outcome: Outcome,
    /// Uuids of the accepted suggestions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_suggestions: Vec<String>,
    /// System and code of the reason, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<(String, String)>,
    /// The clinician's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_comment: Option<String>,
    /// RFC 3339, as sent.
    pub outcome_timestamp: String,
}

/// See [`Feedback`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// At least one suggestion was taken.
    Accepted,
    /// The card was dismissed.
    Overridden,
}

/// Reads the body of a feedback call: all entries, or none when one of them is malformed, since an answer has one status.
///
/// Unknown members and `extension` are ignored.
///
/// # Errors
/// [`Malformed`] with the member at fault.
pub fn parse(body: &[u8]) -> Result<Vec<Feedback>, Malformed> {
    let root = Object::root(checked(body)?)?;
    let entries = root.required_array("feedback")?;
    if entries.is_empty() {
        return Err(Malformed::member(
            Fault::Value,
            "feedback",
            "feedback must have at least one entry.",
        ));
    }
    entries
        .into_iter()
        .enumerate()
        .map(|(n, raw)| entry(&Object::at(format!("feedback[{n}]"), raw)?))
        .collect()
}

fn entry(entry: &Object<'_>) -> Result<Feedback, Malformed> {
    let card = identifier(entry, "card")?;
    let outcome = match entry.required_text("outcome")?.as_str() {
        "accepted" => Outcome::Accepted,
        "overridden" => Outcome::Overridden,
        _ => {
            let place = entry.place("outcome");
            return Err(Malformed::member(
                Fault::Value,
                place,
                "outcome must be accepted or overridden.",
            ));
        }
    };
    let outcome_timestamp = entry.required_text("outcomeTimestamp")?;
    if !is_rfc3339(&outcome_timestamp) {
        let message = "outcomeTimestamp must be date, time and offset of RFC 3339, such as 2026-03-01T10:05:31Z.";
        return Err(Malformed::member(
            Fault::Value,
            entry.place("outcomeTimestamp"),
            message,
        ));
    }
    let mut feedback = Feedback {
        card,
        outcome,
        accepted_suggestions: Vec::new(),
        reason: None,
        user_comment: None,
        outcome_timestamp,
    };
    match outcome {
        Outcome::Accepted => feedback.accepted_suggestions = accepted(entry)?,
        Outcome::Overridden => {
            if let Some(why) = entry.object("overrideReason")? {
                feedback.user_comment = why.text("userComment")?.filter(|text| !text.trim().is_empty());
                if let Some(reason) = why.object("reason")? {
                    feedback.reason = Some((reason.required_text("system")?, reason.required_text("code")?));
                }
            }
        }
    }
    Ok(feedback)
}

/// Ids of the suggestions that were taken: at least one.
fn accepted(entry: &Object<'_>) -> Result<Vec<String>, Malformed> {
    let place = entry.place("acceptedSuggestions");
    let items = entry.required_array("acceptedSuggestions")?;
    if items.is_empty() {
        let message = "acceptedSuggestions must have at least one entry when the outcome is accepted.";
        return Err(Malformed::member(Fault::Value, place, message));
    }
    items
        .into_iter()
        .enumerate()
        .map(|(n, raw)| identifier(&Object::at(format!("{place}[{n}]"), raw)?, "id"))
        .collect()
}

fn identifier(object: &Object<'_>, name: &str) -> Result<String, Malformed> {
    let text = object.required_text(name)?;
    if text.len() > LONGEST_ID || text.chars().any(char::is_control) {
        let place = object.place(name);
        let message = format!("{place} must be at most {LONGEST_ID} printable bytes.");
        return Err(Malformed::member(Fault::Value, place, message));
    }
    Ok(text)
}

/// Date, `T`, time, offset, all of them. The date library reads more spellings than RFC 3339 has; storage should not.
fn is_rfc3339(text: &str) -> bool {
    let shape = text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte.eq_ignore_ascii_case(&b'T'),
        13 | 16 => byte == b':',
        0..=18 => byte.is_ascii_digit(),
        _ => matches!(byte, b'0'..=b'9' | b'.' | b':' | b'+' | b'-' | b'Z' | b'z'),
    });
    let zone = text.ends_with(['Z', 'z']) || matches!(text.as_bytes(), [.., b'+' | b'-', _, _, b':', _, _]);
    shape && zone && text.len() <= 40 && text.parse::<Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(entry: &Value) -> Result<Vec<Feedback>, Malformed> {
        parse(json!({ "feedback": [entry] }).to_string().as_bytes())
    }

    fn overridden() -> Value {
        json!({ "card": "c1", "outcome": "overridden", "outcomeTimestamp": "2026-11-23T10:05:31.123Z" })
    }

    fn with(mut entry: Value, name: &str, value: Value) -> Value {
        entry[name] = value;
        entry
    }

    #[test]
    fn fb_2_accepted() -> Result<(), Malformed> {
        let entry = json!({ "card": "c1", "outcome": "accepted", "acceptedSuggestions": [{ "id": "s1" }, { "id": "s2" }],
            "outcomeTimestamp": "2026-11-23T10:05:31+01:00" });
        let read = read(&entry)?;
        assert_eq!(read[0].outcome, Outcome::Accepted);
        assert_eq!(read[0].accepted_suggestions, ["s1", "s2"]);
        assert_eq!(read[0].outcome_timestamp, "2026-11-23T10:05:31+01:00");
        Ok(())
    }

    #[test]
    fn fb_3_and_4_overridden_with_and_without_reasons() -> Result<(), Malformed> {
        assert_eq!(read(&overridden())?[0].reason, None);
        let reason = json!({ "code": "x", "system": "https://example.org/r" });
        let both = read(&with(
            overridden(),
            "overrideReason",
            json!({ "reason": reason, "userComment": "été" }),
        ))?;
        assert_eq!(
            both[0].reason,
            Some(("https://example.org/r".to_owned(), "x".to_owned()))
        );
        assert_eq!(both[0].user_comment.as_deref(), Some("été"));
        assert!(read(&with(overridden(), "overrideReason", json!({ "userComment": "c" }))).is_ok());
        Ok(())
    }

    #[test]
    fn fb_5_and_9_several_entries_and_unknown_members() -> Result<(), Malformed> {
        let body = json!({ "extension": { "org.example.a": 1 }, "feedback": [overridden(), with(overridden(), "future", json!(1))] });
        assert_eq!(parse(body.to_string().as_bytes())?.len(), 2);
        Ok(())
    }

    #[test]
    fn fb_7_malformed_names_the_member() {
        let accepted = json!({ "card": "c", "outcome": "accepted", "outcomeTimestamp": "2026-11-23T10:05:31Z" });
        for (entry, place) in [
            (with(overridden(), "card", Value::Null), "feedback[0].card"),
            (with(overridden(), "card", json!(5)), "feedback[0].card"),
            (with(overridden(), "card", json!(" ")), "feedback[0].card"),
            (with(overridden(), "outcome", json!("ignored")), "feedback[0].outcome"),
            (with(overridden(), "outcome", json!("Accepted")), "feedback[0].outcome"),
            (
                with(overridden(), "outcomeTimestamp", Value::Null),
                "feedback[0].outcomeTimestamp",
            ),
            (
                with(overridden(), "overrideReason", json!("no")),
                "feedback[0].overrideReason",
            ),
            (
                with(overridden(), "overrideReason", json!({"reason": {"code": "x"}})),
                "feedback[0].overrideReason.reason.system",
            ),
            (accepted.clone(), "feedback[0].acceptedSuggestions"),
            (
                with(accepted.clone(), "acceptedSuggestions", json!([])),
                "feedback[0].acceptedSuggestions",
            ),
            (
                with(accepted.clone(), "acceptedSuggestions", json!([{}])),
                "feedback[0].acceptedSuggestions[0].id",
            ),
            (
                with(accepted, "acceptedSuggestions", json!(["s"])),
                "feedback[0].acceptedSuggestions[0]",
            ),
            (json!("x"), "feedback[0]"),
        ] {
            assert_eq!(
                read(&entry).expect_err("accepted").expression.as_deref(),
                Some(place),
                "{entry}"
            );
        }
        for body in [
            r"{}",
            r#"{"feedback":null}"#,
            r#"{"feedback":{}}"#,
            r#"{"feedback":[]}"#,
            "[]",
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn timestamps() {
        for good in [
            "2021-12-11T10:05:31Z",
            "2021-12-11t10:05:31.5z",
            "2021-12-11T10:05:31.123456-05:00",
            "2016-12-31T23:59:60Z",
        ] {
            assert!(is_rfc3339(good), "{good}");
        }
        for bad in [
            "",
            "2020-12-11",
            "yesterday",
            "2021-12-11T10:05Z",
            "2021-12-11 10:05:31Z",
            "2021-12-11T10:05:31",
            "2021-02-30T10:05:31Z",
            "2021-12-11T25:05:31Z",
            "2021-12-11T10:05:31+01",
            "2021-12-11T10:05:31+99:99",
            "2021-12-11T10:05:31Z[Europe/Paris]",
            "é021-12-11T10:05:31Z",
        ] {
            assert!(!is_rfc3339(bad), "{bad}");
        }
    }
}
