//! The answer to a message. Specification: HL7 v2.5.1, section 2.9 (acknowledgement), 2.15.5 (ERR), 2.15.8 (MSA); tables 0008, 0155, 0357.

use jiff::Timestamp;
use uuid::Uuid;

use super::message::{Message, Problem, Seg};

/// How a message was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept, or was before.
    Accepted,
    /// It cannot be used.
    Refused(Problem),
    /// Not now; it is to be sent again.
    Failed,
}

impl Verdict {
    /// For metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused(Problem { reject: true, .. }) => "rejected",
            Self::Refused(_) => "wrong",
            Self::Failed => "failed",
        }
    }
}

/// The answer, without its frame. `None` where the sender wants none of this kind (MSH-15, MSH-16).
#[must_use]
pub fn answer(message: Option<&Message<'_>>, verdict: &Verdict, now: Timestamp) -> Option<String> {
    let (field, component, encoding) = match message {
        Some(message) => message.separators(),
        None => ('|', '^', "^~\\&".to_owned()),
    };
    let header = message.and_then(Message::header);
    let raw = |number: usize| header.as_ref().map_or("", |header: &Seg<'_, '_>| header.raw(number));
    let good = *verdict == Verdict::Accepted;
    let wanted = |condition: &str| match condition {
        "NE" => false,
        "ER" => !good,
        "SU" => good,
        _ => true,
    };
    // One answer for both questions, is it safe and is it understood: the message is kept when it was understood, and not before.
    let (accept, application) = (raw(15), raw(16));
    let enhanced = !accept.is_empty() || !application.is_empty();
    let commit = enhanced && !accept.is_empty() && accept != "NE";
    if enhanced && !wanted(if commit { accept } else { application }) {
        return None;
    }
    let code = match (verdict, commit) {
        (Verdict::Accepted, false) => "AA",
        (Verdict::Accepted, true) => "CA",
        (Verdict::Refused(Problem { reject: true, .. }), false) => "AR",
        (Verdict::Refused(Problem { reject: true, .. }), true) => "CR",
        (_, false) => "AE",
        (_, true) => "CE",
    };
    let event = header.as_ref().and_then(|header| header.text(9, 2));
    // Only what may stand in a message unescaped.
    let event: String = event
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let kind = match event.is_empty() {
        true => "ACK".to_owned(),
        false => format!("ACK{component}{event}{component}ACK"),
    };
    let time = now.strftime("%Y%m%d%H%M%S+0000").to_string();
    let id = Uuid::new_v4().simple().to_string();
    let id = id.get(..20).unwrap_or(&id);
    let or = |number: usize, otherwise: &'static str| match raw(number) {
        "" => otherwise.to_owned(),
        text => text.to_owned(),
    };
    let f = field;
    let mut text = format!("MSH{f}{encoding}{f}");
    let parts = [raw(5), raw(6), raw(3), raw(4)].join(&field.to_string());
    text += &format!(
        "{parts}{f}{time}{f}{f}{kind}{f}{id}{f}{}{f}{}",
        or(11, "P"),
        or(12, "2.5.1")
    );
    text += &format!("{}UNICODE UTF-8\r", String::from(field).repeat(6));
    text += &format!("MSA{f}{code}{f}{}\r", raw(10));
    let (number, place, why) = match verdict {
        Verdict::Accepted => return Some(text),
        Verdict::Failed => (207, None, "the message could not be kept now: send it again"),
        Verdict::Refused(problem) => (problem.code, problem.place, problem.text.as_str()),
    };
    let c = component;
    let place = place.map_or_else(String::new, |(segment, at, field)| {
        format!("{segment}{c}{at}{c}{field}")
    });
    let special: Vec<char> = encoding.chars().chain([field, '\r', '\n']).collect();
    let why: String = why
        .chars()
        .map(|char| if special.contains(&char) { ' ' } else { char })
        .collect();
    text += &format!("ERR{f}{f}{place}{f}{number}{f}E{f}{f}{f}{f}{why}\r");
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn asked(msh: &str, verdict: &Verdict) -> Option<String> {
        answer(
            Some(&Message::parse(msh).unwrap()),
            verdict,
            "2026-01-15T12:00:00Z".parse().unwrap(),
        )
    }

    #[test]
    fn sender_and_receiver_change_places_and_the_number_comes_back() {
        let text = asked(
            "MSH|^~\\&|LAB|NORTH|JUMEAU|HERE|20260115||ORU^R01^ORU_R01|4711|P|2.5.1",
            &Verdict::Accepted,
        )
        .unwrap();
        let lines: Vec<&str> = text.split('\r').collect();
        assert!(
            lines[0].starts_with("MSH|^~\\&|JUMEAU|HERE|LAB|NORTH|20260115120000+0000||ACK^R01^ACK|"),
            "{text}"
        );
        assert!(lines[0].ends_with("|P|2.5.1||||||UNICODE UTF-8"), "{text}");
        assert_eq!(&lines[1..], ["MSA|AA|4711", ""]);
        assert!(Message::parse(&text).is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is() {
        let wrong = Verdict::Refused(Problem::wrong(101, ("OBX", 2, 5), "a | that ^ cuts"));
        let text = asked("MSH#*~\\&#LAB#NORTH#J#H#20260115##ORU*R01#1#P#2.5", &wrong).unwrap();
        assert!(
            text.contains("MSA#AE#1\rERR##OBX*2*5#101#E####a | that ^ cuts\r"),
            "{text}"
        );
        let reject = Verdict::Refused(Problem::reject(200, 9, "a | that ^ cuts"));
        let text = asked("MSH|^~\\&|LAB|NORTH|J|H|20260115||ADT^A01|1|P|2.5", &reject).unwrap();
        assert!(
            text.contains("MSA|AR|1\rERR||MSH^1^9|200|E||||a   that   cuts\r"),
            "{text}"
        );
        let nothing = answer(None, &Verdict::Failed, Timestamp::UNIX_EPOCH).unwrap();
        assert!(nothing.contains("\rMSA|AE|\rERR|||207|E||||"), "{nothing}");
    }

    #[test]
    fn enhanced_acknowledgement() {
        let msh = |accept: &str, application: &str| {
            format!("MSH|^~\\&|LAB|NORTH|J|H|20260115||ORU^R01|1|P|2.5|||{accept}|{application}")
        };
        let good = Verdict::Accepted;
        for (accept, application, code) in [
            ("AL", "NE", Some("CA")),
            ("NE", "AL", Some("AA")),
            ("NE", "NE", None),
            ("ER", "NE", None),
            ("SU", "", Some("CA")),
            ("", "AL", Some("AA")),
        ] {
            let text = asked(&msh(accept, application), &good);
            let found = text.map(|text| text.contains(&format!("MSA|{}|1", code.unwrap_or("?"))));
            assert_eq!(found, code.map(|_| true), "{accept} {application}");
        }
        assert!(asked(&msh("ER", "NE"), &Verdict::Failed).unwrap().contains("MSA|CE|1"));
    }
}
