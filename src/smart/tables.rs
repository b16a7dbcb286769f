//! What the numbers rest on: measured values, inputs, doses and models, each with where it comes from.

use std::fmt::Write;

use jiff::Timestamp;

use super::{
    curves::{heading, shown, tag},
    picture::{Model, Picture, Source},
    words::Words,
};
use crate::{
    page::html::{escaped, link},
    wording::{Language, unit},
};

/// A table with a caption (of a class, where a heading says the same); columns by their messages, cells as HTML, the first of a row its head.
fn table(caption: &str, columns: &[String], rows: &[Vec<String>]) -> String {
    captioned("", caption, columns, rows)
}

fn captioned(class: &str, caption: &str, columns: &[String], rows: &[Vec<String>]) -> String {
    let mut out = format!(
        r#"<div class="scroller" role="group" tabindex="0" aria-label="{caption}"><table><caption class="{class}">{caption}</caption><thead><tr>"#
    );
    for column in columns {
        let _ = write!(out, r#"<th scope="col">{column}</th>"#);
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (place, cell) in row.iter().enumerate() {
            let _ = match place {
                0 => write!(out, r#"<th scope="row">{cell}</th>"#),
                _ => write!(out, "<td>{cell}</td>"),
            };
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}

fn time(time: Option<Timestamp>, words: &Words<'_>) -> String {
    time.map_or_else(|| "\u{2013}".to_owned(), |time| escaped(&words.time(time)))
}

fn source(source: &Source, words: &Words<'_>) -> String {
    let reference = format!("<code>{}</code>", escaped(&source.reference));
    match source.version.as_str() {
        "" => reference,
        version => format!(
            r#"{reference} <small>{}</small>"#,
            words.say("smart-version-of", [("version", version.to_owned())])
        ),
    }
}

/// The options with all measures and chances.
#[must_use]
pub fn options(picture: &Picture, words: &Words<'_>) -> String {
    let head = |id: &str| words.say(id, []);
    let mut columns = vec![head("smart-option")];
    columns.extend(picture.measures.iter().map(|measure| {
        let unit = unit(&measure.unit);
        let label = escaped(&measure.label);
        if unit.is_empty() {
            label
        } else {
            format!("{label} <small>{}</small>", escaped(&unit))
        }
    }));
    columns.extend(["smart-on-target", "smart-too-low", "smart-harm"].map(head));
    let mut place = 0;
    let rows: Vec<Vec<String>> = shown(picture)
        .into_iter()
        .map(|option| {
            place += usize::from(option.kind == "change");
            let mut row = vec![format!(
                "{}{}",
                heading(picture, option, place, words),
                tag(picture, option, words)
            )];
            row.extend(picture.measures.iter().map(|measure| {
                option.measures.get(&measure.name).map_or_else(
                    || "\u{2013}".to_owned(),
                    |found| {
                        format!(
                            "{} <small>{}\u{2013}{}</small>",
                            words.prediction(found.median),
                            words.prediction(found.p05),
                            words.prediction(found.p95)
                        )
                    },
                )
            }));
            let ends = picture.ends(option);
            row.extend([option.on_target, option.below, option.harm].map(|chance| match ends {
                true => "\u{2013}".to_owned(),
                false => format!(r#"<span class="whole">{}</span>"#, escaped(&words.chance(chance))),
            }));
            row
        })
        .collect();
    format!(
        r#"<p class="quiet">{}</p>{}"#,
        words.say("smart-options-about", []),
        captioned("unseen", &words.say("smart-options", []), &columns, &rows)
    )
}

/// What was read of the record, and the models.
#[must_use]
pub fn basis(picture: &Picture, words: &Words<'_>) -> String {
    let head = |id: &str| words.say(id, []);
    let mut out = String::new();
    let levels: Vec<Vec<String>> = picture
        .points
        .iter()
        .rev()
        .map(|point| {
            let used = if point.used { "smart-used-yes" } else { "smart-used-no" };
            vec![
                time(point.time, words),
                escaped(&format!("{}{}", point.sign(), words.quantity(point.value, &point.unit))),
                words.say(used, []),
                source(&point.source, words),
            ]
        })
        .collect();
    if !levels.is_empty() {
        let columns = ["smart-time", "smart-value", "smart-used", "smart-source"].map(head);
        out.push_str(&table(&head("smart-levels"), &columns, &levels));
    }
    let inputs: Vec<Vec<String>> = picture
        .inputs
        .iter()
        .map(|input| {
            let mut value = escaped(&words.quantity(input.value, &input.unit));
            if !input.recorded.is_empty() {
                let recorded = match words.wording.language {
                    Language::English => input.recorded.clone(),
                    Language::French => input.recorded.replace('.', ","),
                };
                let recorded = words.say("smart-recorded", [("value", recorded)]);
                let _ = write!(value, " <small>({recorded})</small>");
            }
            vec![
                escaped(&input.title),
                value,
                time(input.time, words),
                source(&input.source, words),
            ]
        })
        .collect();
    if !inputs.is_empty() {
        let columns = ["smart-what", "smart-value", "smart-time", "smart-source"].map(head);
        out.push_str(&table(&head("smart-inputs"), &columns, &inputs));
    }
    let doses: Vec<Vec<String>> = picture
        .doses
        .iter()
        .rev()
        .map(|dose| {
            let over = if dose.duration_hours > 0.0 {
                words.quantity(dose.duration_hours, "h")
            } else {
                "\u{2013}".to_owned()
            };
            let assumed = if dose.assumed {
                format!(" <small>({})</small>", words.say("smart-assumed", []))
            } else {
                String::new()
            };
            vec![
                time(dose.time, words),
                escaped(&words.quantity(dose.amount, &dose.unit)),
                format!("{}{assumed}", escaped(&over)),
                source(&dose.source, words),
            ]
        })
        .collect();
    if !doses.is_empty() {
        let columns = ["smart-time", "smart-amount", "smart-length", "smart-source"].map(head);
        let _ = write!(
            out,
            "<details><summary>{} ({})</summary>{}</details>",
            head("smart-doses"),
            doses.len(),
            table(&head("smart-doses"), &columns, &doses)
        );
    }
    out.push_str(&models(picture, words));
    out
}

fn models(picture: &Picture, words: &Words<'_>) -> String {
    let head = |id: &str| words.say(id, []);
    // One file may vote more than once, for each level of an input that is not known.
    let mut files: Vec<Model> = Vec::new();
    for model in &picture.models {
        match files.iter_mut().find(|known| known.sha256 == model.sha256) {
            Some(known) => known.weight += model.weight,
            None => files.push(model.clone()),
        }
    }
    let rows: Vec<Vec<String>> = files
        .iter()
        .map(|model| {
            let doi = if model.doi.is_empty() {
                "\u{2013}".to_owned()
            } else {
                link(&model.doi, &format!("https://doi.org/{}", model.doi))
            };
            vec![
                escaped(&model.id),
                escaped(&model.version),
                escaped(&words.chance(model.weight)),
                doi,
                format!("<code class=\"sha\">{}</code>", escaped(&model.sha256)),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = [
        "smart-model",
        "smart-version",
        "smart-weight",
        "smart-paper",
        "smart-sha",
    ]
    .map(head);
    table(&head("smart-models"), &columns, &rows)
}
