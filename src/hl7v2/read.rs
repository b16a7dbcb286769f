//! What a message says, and of whom. Specification: HL7 v2.5.1, sections 7.3.1 (ORU^R01), 4.13.7 (RDE^O11), 4.13.11 (RAS^O17).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::Value;

use super::{
    doses,
    message::{Message, Problem, Seg, time},
    resources::Context,
    results,
};
use crate::store::inbox::Fact;

#[cfg(test)]
mod tests;

/// How far a sender's clock may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The number of the patient.
    pub patient: String,
    /// Of what.
    pub facts: Vec<Fact>,
}

/// What is taken of every message, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Sender and number, raw and joined: unambiguous, as no field holds a field separator.
    pub id: String,
    /// The sender alone.
    pub sender: String,
    kind: Kind,
    written: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Results,
    Administrations,
    Orders,
}

/// Looks whether a message is one that is taken.
///
/// # Errors
/// [`Problem`].
pub fn header(message: &Message<'_>, zone: &TimeZone, accept_tests: bool, now: Timestamp) -> Result<Header, Problem> {
    let msh = message
        .header()
        .ok_or_else(|| Problem::reject(100, 1, "there is no header"))?;
    if msh.raw(10).trim().is_empty() {
        return Err(Problem::reject(101, 10, "the number of the message is missing"));
    }
    let part = |component| msh.text(9, component).unwrap_or_default();
    let kind = match (part(1).as_str(), part(2).as_str()) {
        ("ORU", "R01") => Kind::Results,
        ("RAS", "O17" | "O01") => Kind::Administrations,
        ("RDE", "O11" | "O01") => Kind::Orders,
        ("ORU" | "RAS" | "RDE", _) => {
            return Err(Problem::reject(201, 9, "of events, R01, O17 and O11 are read"));
        }
        _ => {
            return Err(Problem::reject(
                200,
                9,
                "of messages, ORU^R01, RAS^O17 and RDE^O11 are read",
            ));
        }
    };
    match msh.text(11, 1).as_deref() {
        Some("P") => {}
        Some("T" | "D") if accept_tests => {}
        _ => return Err(Problem::reject(202, 11, "only messages for production (P) are taken")),
    }
    let version = msh.text(12, 1).unwrap_or_default();
    if !matches!(
        version.as_str(),
        "2.3" | "2.3.1" | "2.4" | "2.5" | "2.5.1" | "2.6" | "2.7" | "2.7.1" | "2.8" | "2.8.1" | "2.8.2"
    ) {
        return Err(Problem::reject(203, 12, "versions 2.3 to 2.8 are read"));
    }
    let written = match msh.text(7, 1) {
        None => now,
        Some(text) => match time(&text, zone) {
            // A time to come would stand above every correction until then.
            Some((_, Some(at))) if at.duration_since(now) > AHEAD => {
                return Err(Problem::reject(
                    102,
                    7,
                    "the message is of a time that is still to come",
                ));
            }
            Some((_, Some(at))) => at,
            _ => {
                return Err(Problem::reject(
                    102,
                    7,
                    "the time of the message must be written YYYYMMDDHHMM",
                ));
            }
        },
    };
    let field = message.separators().0;
    let sender = format!("{}{field}{}", msh.raw(3), msh.raw(4));
    Ok(Header {
        id: format!("{sender}{field}{}", msh.raw(10)),
        sender,
        kind,
        written,
    })
}

/// Reads what a message says.
///
/// # Errors
/// [`Problem`]: then nothing of it may be used.
pub fn said(
    message: &Message<'_>,
    header: &Header,
    zone: &TimeZone,
    authority: Option<&str>,
    systems: &BTreeMap<String, String>,
) -> Result<Said, Problem> {
    let context = Context {
        zone,
        authority,
        systems,
        sender: &header.sender,
        written: header.written,
    };
    let patient = patient(message, &context)?;
    let mut facts: Vec<Fact> = Vec::new();
    let all = groups(message, header.kind);
    if all.is_empty() {
        let first = if header.kind == Kind::Results { "OBR" } else { "ORC" };
        return Err(Problem::wrong(100, (first, 1, 1), format!("there is no {first}")));
    }
    for group in all {
        match header.kind {
            Kind::Results => facts.extend(of_results(&context, &group)?),
            Kind::Administrations => facts.extend(of_administrations(&context, &group)?),
            Kind::Orders => facts.push(of_order(&context, &group)?),
        }
    }
    let mut ids: Vec<&str> = facts.iter().map(|fact| fact.id.as_str()).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair.first() == pair.last()) {
        let text = "two parts of the message bear the same numbers: OBX-4 or RXA-2 must tell them apart";
        return Err(Problem {
            reject: false,
            code: 205,
            place: None,
            text: text.to_owned(),
        });
    }
    Ok(Said { patient, facts })
}

fn patient(message: &Message<'_>, context: &Context<'_>) -> Result<String, Problem> {
    let mut all = message.segments().filter(|segment| segment.name() == "PID");
    let Some(pid) = all.next() else {
        return Err(Problem::wrong(100, ("PID", 1, 1), "there is no patient"));
    };
    if all.next().is_some() {
        return Err(Problem::wrong(
            100,
            ("PID", 2, 1),
            "one message must be about one patient: send one for each",
        ));
    }
    let mut numbers = pid.repeats(3).filter(|number| match context.authority {
        None => true,
        Some(authority) => [1, 2]
            .iter()
            .any(|part| number.part(4, *part).as_deref() == Some(authority)),
    });
    numbers.find_map(|number| number.text(1)).ok_or_else(|| {
        let text = match context.authority {
            None => "the number of the patient is missing".to_owned(),
            Some(authority) => format!("there is no number of the patient from {authority} (PID-3.4)"),
        };
        Problem::field(&pid, "PID", 3, text)
    })
}

/// The segments that belong together: an order and what follows it. Results begin with their OBR, for ORC may be left out.
fn groups<'s, 'm>(message: &'s Message<'m>, kind: Kind) -> Vec<Vec<Seg<'s, 'm>>> {
    let first = if kind == Kind::Results { "OBR" } else { "ORC" };
    let mut groups: Vec<Vec<Seg<'s, 'm>>> = Vec::new();
    for segment in message.segments() {
        if segment.name() == first {
            groups.push(vec![segment]);
        } else if let Some(group) = groups.last_mut() {
            group.push(segment);
        }
    }
    groups
}

fn of_results(context: &Context<'_>, group: &[Seg<'_, '_>]) -> Result<Vec<Fact>, Problem> {
    let Some((order, rest)) = group.split_first() else {
        return Ok(Vec::new());
    };
    let mut facts = Vec::new();
    for obx in rest.iter().filter(|segment| segment.name() == "OBX") {
        let Some(fact) = results::result(context, order, obx)? else {
            continue;
        };
        // The lines of a report bear one number.
        let before = facts.iter_mut().find(|before: &&mut Fact| before.id == fact.id);
        match (before, fact.resource.as_ref().and_then(line)) {
            (
                Some(Fact {
                    resource: Some(report), ..
                }),
                Some(more),
            ) if line(report).is_some() => {
                let lines = format!("{}\n{more}", line(report).unwrap_or_default());
                report["valueString"] = lines.into();
            }
            _ => facts.push(fact),
        }
    }
    Ok(facts)
}

/// The text of a result in words.
fn line(resource: &Value) -> Option<&str> {
    resource.get("valueString").and_then(Value::as_str)
}

fn of_administrations(context: &Context<'_>, group: &[Seg<'_, '_>]) -> Result<Vec<Fact>, Problem> {
    let Some((order, rest)) = group.split_first() else {
        return Ok(Vec::new());
    };
    let route = after(rest, "RXA", "RXR");
    let given = || rest.iter().filter(|segment| segment.name() == "RXA");
    if given().next().is_none() {
        return Err(Problem::wrong(100, ("ORC", order.number, 1), "the order has no RXA"));
    }
    given()
        .map(|rxa| doses::administration(context, order, rxa, route.as_ref()))
        .collect()
}

fn of_order(context: &Context<'_>, group: &[Seg<'_, '_>]) -> Result<Fact, Problem> {
    let (Some(order), Some(at)) = (group.first(), group.iter().position(|segment| segment.name() == "RXE")) else {
        let number = group.first().map_or(1, |order| order.number);
        return Err(Problem::wrong(100, ("ORC", number, 1), "the order has no RXE"));
    };
    let (before, encoded) = group.split_at(at);
    let Some(rxe) = encoded.first() else {
        return Err(Problem::wrong(100, ("RXE", 1, 1), "the order has no RXE"));
    };
    // What follows RXE is of the pharmacy and counts; before it stands what was ordered.
    let of = |segments: &[Seg<'_, '_>]| segments.iter().any(|segment| segment.name() == "TQ1");
    let timed = if of(encoded) { encoded } else { before };
    let timings: Vec<Seg<'_, '_>> = timed
        .iter()
        .filter(|segment| segment.name() == "TQ1")
        .copied()
        .collect();
    let route = after(group, "RXE", "RXR").or_else(|| before.iter().find(|s| s.name() == "RXR").copied());
    doses::request(context, order, rxe, &timings, route.as_ref())
}

/// The first segment of a name after one of another.
fn after<'s, 'm>(segments: &[Seg<'s, 'm>], first: &str, name: &str) -> Option<Seg<'s, 'm>> {
    let mut rest = segments.iter().skip_while(|segment| segment.name() != first);
    rest.find(|segment| segment.name() == name).copied()
}
