//! What counts as now.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{fhir::facts::explode, settings::AsOf};

#[derive(Deserialize)]
struct Times {
    #[serde(rename = "effectiveDateTime", default)]
    date_time: Option<String>,
    #[serde(rename = "effectiveInstant", default)]
    instant: Option<String>,
    #[serde(rename = "effectivePeriod", default)]
    period: Option<Period>,
}

#[derive(Deserialize)]
struct Period {
    #[serde(default)]
    start: Option<String>,
    #[serde(default)]
    end: Option<String>,
}

/// The clock of this machine, a fixed moment, or the newest time of a measurement or dose in the record.
#[must_use]
pub fn now(as_of: AsOf, record: &[&RawValue]) -> Timestamp {
    // To the minute, as cards show it: calls of the same minute are answered alike.
    let machine = Timestamp::now();
    let machine = Timestamp::from_second(machine.as_second() - machine.as_second().rem_euclid(60)).unwrap_or(machine);
    match as_of {
        AsOf::Now => return machine,
        AsOf::At(time) => return time,
        AsOf::Record => {}
    }
    record
        .iter()
        .flat_map(|data| explode(data))
        .filter_map(|resource| serde_json::from_str::<Times>(resource.get()).ok())
        .flat_map(|times| {
            let (start, end) = times.period.map_or((None, None), |p| (p.start, p.end));
            [times.date_time, times.instant, start, end]
        })
        .flatten()
        .filter_map(|text| text.parse::<Timestamp>().ok())
        .max()
        .unwrap_or(machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_time_of_a_record() {
        let bundle = r#"{"resourceType":"Bundle","entry":[
            {"resource":{"resourceType":"Observation","effectiveDateTime":"2112-02-06T08:36:00Z"}},
            {"resource":{"resourceType":"MedicationAdministration","effectivePeriod":{"start":"2112-02-05T08:00:00Z","end":"2112-02-07T08:00:00Z"}}}]}"#;
        let raw = RawValue::from_string(bundle.to_owned()).unwrap();
        assert_eq!(now(AsOf::Record, &[&raw]).to_string(), "2112-02-07T08:00:00Z");
    }
}
