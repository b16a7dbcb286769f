//! Writing results.

use serde::Serialize;
use std::fmt;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A table with a header.
    #[default]
    Csv,
    /// One JSON object a line, one line a subject.
    Json,
}

/// A number as it is written: in full, or `.` (`null` in JSON) where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(pub f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let x = self.0;
        let size = x.abs();
        if !x.is_finite() {
            f.write_str(".")
        } else if x != 0.0 && !(1e-5..1e15).contains(&size) {
            write!(f, "{x:e}")
        } else {
            write!(f, "{x}")
        }
    }
}

impl Serialize for Number {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.serialize_none()
        }
    }
}

/// A cell of a CSV table, quoted if it must be.
pub(super) fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_full() {
        assert_eq!(Number(0.1).to_string(), "0.1");
        assert_eq!(Number(3.14733e-8).to_string(), "3.14733e-8");
        assert_eq!(Number(f64::NAN).to_string(), ".");
        assert_eq!(
            serde_json::to_string(&[Number(1.5), Number(f64::INFINITY)]).unwrap(),
            "[1.5,null]"
        );
        assert_eq!(cell("a,\"b"), "\"a,\"\"b\"");
    }
}
