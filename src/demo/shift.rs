//! Moving a record in time: every date and date-time of a resource by the same amount.

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, fmt::temporal::Pieces};
use serde_json::Value;

/// By how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shift {
    by: SignedDuration,
    days: i64,
}

impl Shift {
    /// From one moment to another.
    pub(super) fn between(from: Timestamp, to: Timestamp) -> Self {
        let by = to.duration_since(from);
        Self {
            by,
            days: by.as_hours().div_euclid(24),
        }
    }

    /// Moves all of a JSON value. A resource that moved is another version, so `meta.versionId` says to when it was moved.
    pub(super) fn apply(self, value: &mut Value, version: &str) {
        match value {
            Value::String(text) => {
                if let Some(moved) = self.moved(text) {
                    *text = moved;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.apply(item, version)),
            Value::Object(members) => {
                for (name, member) in members.iter_mut() {
                    match member {
                        Value::String(own) if name == "versionId" => *own = format!("{own}.{version}"),
                        _ => self.apply(member, version),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A date keeps its precision and a date-time its offset; any other text is left alone.
    fn moved(self, text: &str) -> Option<String> {
        let bytes = text.as_bytes();
        if bytes.len() < 10 || bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
            return None;
        }
        if bytes.len() == 10 {
            let date: Date = text.parse().ok()?;
            return Some(date.checked_add(self.days.days()).ok()?.to_string());
        }
        let offset = Pieces::parse(text).ok()?.to_numeric_offset()?;
        let moved = text.parse::<Timestamp>().ok()?.checked_add(self.by).ok()?;
        Some(if offset.is_zero() {
            moved.to_string()
        } else {
            moved.display_with_offset(offset).to_string()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dates_and_times_move_and_nothing_else_does() {
        let from = "2026-01-15T12:00:00Z".parse().unwrap();
        let to = "2026-03-01T10:30:00Z".parse().unwrap();
        let mut value = json!({
            "meta": {"versionId": "2"}, "birthDate": "1959-06-02", "code": "20578-1", "phone": "2026-01-15 soon",
            "times": ["2026-01-15T12:00:00Z", "2026-01-15T07:00:00-05:00"],
        });
        Shift::between(from, to).apply(&mut value, "7");
        assert_eq!(
            value,
            json!({
                "meta": {"versionId": "2.7"}, "birthDate": "1959-07-16", "code": "20578-1", "phone": "2026-01-15 soon",
                "times": ["2026-03-01T10:30:00Z", "2026-03-01T05:30:00-05:00"],
            })
        );
    }
}
