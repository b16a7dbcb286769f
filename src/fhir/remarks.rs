//! Collecting what was left out of the record, and what was assumed, without repeating one reason a hundred times.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::patient::facts::{Remark, Source};

/// Longest text of the record that a remark repeats, in characters.
const LONGEST: usize = 80;
/// Most remarks of one kind (ignored, assumed); the rest is counted.
const MOST: usize = 200;

/// Whether left out or assumed, the message, and its arguments without the count.
type Counted = (bool, &'static str, Vec<(&'static str, String)>);

/// What was not used, and what was assumed, while one record is read.
#[derive(Debug, Default)]
pub struct Notes {
    ignored: Vec<Remark>,
    assumed: Vec<Remark>,
    counts: BTreeMap<Counted, u64>,
}

/// Builds one remark.
pub fn remark(id: &str, args: &[(&str, &str)], source: Option<&Source>) -> Remark {
    let args = args
        .iter()
        .map(|(k, v)| ((*k).to_owned(), v.chars().take(LONGEST).collect()))
        .collect();
    Remark {
        id: id.to_owned(),
        args,
        source: source.cloned(),
    }
}

/// A number as a clinician would write it: no more than six significant digits, no trailing zeros.
pub fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let decimals = (5.0 - value.abs().log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A time as an argument of a remark: RFC 3339 with whole seconds.
pub fn time(at: Timestamp) -> String {
    at.round(jiff::Unit::Second).unwrap_or(at).to_string()
}

impl Notes {
    /// Notes that something was not used.
    pub fn ignore(&mut self, id: &'static str, args: &[(&str, &str)], source: Option<&Source>) {
        self.ignored.push(remark(id, args, source));
    }

    /// Notes that something was taken as true without being recorded.
    pub fn assume(&mut self, id: &'static str, args: &[(&str, &str)], source: Option<&Source>) {
        self.assumed.push(remark(id, args, source));
    }

    /// Counts an assumption that is said once for all, with its `count`.
    pub fn assume_counted(&mut self, id: &'static str, args: &[(&'static str, &str)]) {
        self.count(false, id, args);
    }

    /// Counts something left out that is said once for all, with its `count`.
    pub fn ignore_counted(&mut self, id: &'static str, args: &[(&'static str, &str)]) {
        self.count(true, id, args);
    }

    fn count(&mut self, ignored: bool, id: &'static str, args: &[(&'static str, &str)]) {
        let args = args.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        *self.counts.entry((ignored, id, args)).or_default() += 1;
    }

    /// Ignored and assumed, sorted and without repeats, so that the order of the record does not show.
    pub fn finish(mut self) -> (Vec<Remark>, Vec<Remark>) {
        for ((ignored, id, args), count) in self.counts {
            let mut remark = remark(id, &[("count", &count.to_string())], None);
            remark.args.extend(args.into_iter().map(|(k, v)| (k.to_owned(), v)));
            if ignored {
                self.ignored.push(remark)
            } else {
                self.assumed.push(remark)
            }
        }
        (tidy(self.ignored), tidy(self.assumed))
    }
}

fn tidy(mut remarks: Vec<Remark>) -> Vec<Remark> {
    remarks.sort();
    remarks.dedup();
    if remarks.len() > MOST {
        let more = remarks.len() - MOST;
        remarks.truncate(MOST);
        remarks.push(remark("remark-more", &[("count", &more.to_string())], None));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_like_numbers() {
        for (value, text) in [
            (1.0, "1"),
            (0.1 + 0.2, "0.3"),
            (1234567.0, "1234567"),
            (97.24200001, "97.242"),
            (-2.5, "-2.5"),
            (0.0, "0"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn repeats_are_said_once_and_floods_are_counted() {
        let mut notes = Notes::default();
        for i in 0..500 {
            notes.ignore("remark-unreadable", &[("type", &format!("{:03}", i % 250))], None);
            notes.assume_counted("remark-zone-assumed", &[("zone", "UTC")]);
        }
        let (ignored, assumed) = notes.finish();
        assert_eq!(ignored.len(), MOST + 1);
        assert_eq!(ignored.last().map(|r| r.args["count"].clone()), Some("50".to_owned()));
        assert_eq!(assumed.len(), 1);
        assert_eq!(assumed[0].args["count"], "500");
    }
}
