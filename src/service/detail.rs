//! The Markdown of a card: six blocks, always in the same order. Plain Markdown only (bold, lists), no HTML.

use crate::{
    advice::{
        decide::Decision,
        gates::{Refusal, covariate, decides},
        outcome::{Advised, LISTED},
        present::{KnownFrom, gap},
    },
    patient::needs::UseAs,
    twin::{ledger::LeftOut, personalise::Twin, plan::Kind},
};

use super::cards::Case;

/// Levels listed one by one.
const LEVELS: usize = 3;

fn block(title: &str, lines: &[String]) -> Option<String> {
    (!lines.is_empty()).then(|| format!("{title} {}", lines.join(" ")))
}

fn listed(title: &str, lines: Vec<String>) -> Option<String> {
    match lines.len() {
        0 => None,
        1 => block(title, &lines),
        _ => Some(format!(
            "{title}\n\n{}",
            lines
                .into_iter()
                .map(|l| format!("- {l}"))
                .collect::<Vec<_>>()
                .join("\n")
        )),
    }
}

/// Detail of a card that refuses.
#[must_use]
pub fn refusal(case: &Case<'_>, refusal: &Refusal) -> String {
    let reader = case.reader;
    let blocks = [
        block(&reader.say("block-why", []), &[reader.wording.phrase(&refusal.what)]),
        block(&reader.say("block-help", []), &[reader.wording.phrase(&refusal.help)]),
        block(&reader.say("block-based", []), &based_on(case)),
        listed(&reader.say("block-ignored", []), ignored(case, None)),
        block(&reader.say("block-about", []), &about(case)),
    ];
    blocks.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

/// Detail of a card that advises.
#[must_use]
pub fn advice(case: &Case<'_>, advised: &Advised) -> String {
    let twin = &advised.twin;
    let reader = case.reader;
    let mut ignored = ignored(case, Some(twin));
    ignored.splice(0..0, gap_in_doses(case, advised));
    if ignored.is_empty() {
        ignored.push(reader.say("nothing-ignored", []));
    }
    let blocks = [
        block(&reader.say("block-based", []), &based_on(case)),
        block(&reader.say("block-prediction", []), &prediction(case, advised)),
        Some(options(case, advised)),
        block(&reader.say("block-limits", []), &limits(case, advised)),
        listed(&reader.say("block-ignored", []), ignored),
        block(&reader.say("block-about", []), &about(case)),
    ];
    blocks.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn based_on(case: &Case<'_>) -> Vec<String> {
    let (reader, file, facts) = (case.reader, &case.definition.file, case.facts);
    let mut list = Vec::new();
    let mut newest = None;
    let levels = facts
        .measured
        .get(&file.goal.output)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if levels.is_empty() {
        list.push(reader.say("no-levels", []));
    } else {
        let mut each: Vec<String> = levels
            .iter()
            .rev()
            .take(LEVELS)
            .map(|level| {
                newest = newest.max(Some(level.time));
                let args = [
                    ("value", reader.measured(level)),
                    ("unit", file.unit(&file.goal.output).to_owned()),
                    ("time", reader.time(level.time)),
                ];
                let mut words = reader.say("level-at", args);
                if level.preliminary {
                    words = format!("{words}, {}", reader.say("preliminary", []));
                }
                words
            })
            .collect();
        if levels.len() > LEVELS {
            each.push(reader.wording.count("n-more", levels.len() - LEVELS));
        }
        list.push(format!(
            "{} ({})",
            reader.wording.count("n-levels", levels.len()),
            each.join("; ")
        ));
    }
    list.push(reader.wording.count("n-doses", facts.given.len()));
    newest = newest.max(facts.given.last().map(|g| g.time));
    if let Some(age) = crate::advice::gates::age_years(facts, reader.now, reader.zone) {
        list.push(reader.say("age-years", [("value", reader.number(age))]));
    }
    for item in file.needs.measured.iter().filter(|m| m.use_as == UseAs::Covariate) {
        let Some(found) = covariate(file, facts, &item.name, reader.now) else {
            continue;
        };
        newest = newest.max(Some(found.time));
        let title = file.title(&item.name, reader.wording.language.tag());
        let mut args = vec![
            ("item", title.to_owned()),
            ("value", reader.measured(found)),
            ("unit", item.unit.clone()),
            ("time", reader.time(found.time)),
        ];
        let id = match &found.converted_from {
            Some(recorded) => {
                args.push(("recorded", reader.decimal(crate::wording::escape(recorded))));
                "covariate-converted"
            }
            None => "covariate-at",
        };
        list.push(reader.wording.say(id, args));
    }
    let newest = newest.map_or_else(|| "-".to_owned(), |t| reader.time(t));
    vec![reader.say("based-on", [("list", list.join(", ")), ("newest", newest)])]
}

fn prediction(case: &Case<'_>, advised: &Advised) -> Vec<String> {
    let (twin, advice) = (&advised.twin, &advised.advice);
    let (reader, file) = (case.reader, &case.definition.file);
    let level_unit = twin.level_unit();
    let mut out = Vec::new();
    if let Some(p) = &advised.key {
        let mut args = vec![
            ("parameter", p.name.clone()),
            ("unit", p.unit.clone()),
            ("value", reader.prediction(p.personal)),
            ("typical", reader.prediction(p.typical)),
            ("low", reader.prediction(p.interval.p05)),
            ("high", reader.prediction(p.interval.p95)),
        ];
        out.push(if twin.is_personal() {
            reader.wording.say("prediction-personal", args.drain(..))
        } else {
            reader.wording.say("prediction-population", args.drain(..))
        });
    }
    if let Some(keep) = advice.keep.and_then(|i| advice.options.get(i)) {
        let args = [
            ("label", reader.text(&file.goal.label).to_owned()),
            ("value", reader.prediction(keep.goal.p50)),
            ("low", reader.prediction(keep.goal.p05)),
            ("high", reader.prediction(keep.goal.p95)),
        ];
        out.push(reader.say("prediction-uncertainty", args));
    }
    if let Some(last) = twin.last_level() {
        let args = [
            ("predicted", reader.prediction(last.predicted)),
            ("measured", reader.number(last.measured)),
            ("unit", level_unit.to_owned()),
        ];
        out.push(reader.say("prediction-last-level", args));
    }
    if let Some(two) = twin.two_explanations() {
        let args = [
            ("parameter", two.name.clone()),
            ("unit", two.unit.clone()),
            ("first", reader.prediction(two.first)),
            ("second", reader.prediction(two.second)),
        ];
        out.push(reader.say("prediction-two-modes", args));
    }
    if twin.members.len() > 1 {
        let list: Vec<String> = twin
            .members
            .iter()
            .map(|m| format!("{} {}", m.model.id, reader.percent(m.weight)))
            .collect();
        out.push(reader.say("prediction-models", [("list", list.join(", "))]));
    }
    out
}

fn options(case: &Case<'_>, advised: &Advised) -> String {
    let advice = &advised.advice;
    let (reader, file) = (case.reader, &case.definition.file);
    let [low, high] = file.goal.within;
    let head = reader.say(
        "options-head",
        [
            ("label", reader.text(&file.goal.label).to_owned()),
            ("unit", file.goal.unit.replace('.', "·")),
            ("level_unit", file.unit(&file.goal.output).to_owned()),
            ("low", reader.number(low)),
            ("high", reader.number(high)),
            ("harm", reader.number(file.harm.above)),
        ],
    );
    let mut shown = advice.alternatives(LISTED);
    shown.extend(advice.keep);
    let mut lines: Vec<String> = shown
        .into_iter()
        .filter_map(|i| {
            let option = advice.options.get(i)?;
            let args = [
                ("option", reader.plan(file, &option.plan, true)),
                ("value", reader.prediction(option.goal.p50)),
                (
                    "trough",
                    option
                        .shape
                        .map_or_else(|| "-".to_owned(), |s| reader.prediction(s.trough.p50)),
                ),
                ("chance", reader.percent(option.chance_goal)),
                ("harm", reader.percent(option.chance_harm)),
            ];
            let mut row = reader.say("option-row", args);
            if advice.decision == Decision::Recommend(i) {
                row = format!("{row} **({})**", reader.say("option-recommended", []));
            }
            if option.plan.kind == Kind::Keep {
                let draft = advised
                    .present
                    .as_ref()
                    .is_some_and(|p| p.known_from == KnownFrom::Draft);
                row = format!(
                    "{row} ({})",
                    reader.say(if draft { "option-draft" } else { "option-present" }, [])
                );
            }
            Some(row)
        })
        .collect();
    lines.push(reader.say("option-stop", []));
    let rows: Vec<String> = lines.into_iter().map(|l| format!("- {l}")).collect();
    format!("{} {head}\n\n{}", reader.say("block-options", []), rows.join("\n"))
}

fn limits(case: &Case<'_>, advised: &Advised) -> Vec<String> {
    let twin = &advised.twin;
    let (reader, file) = (case.reader, &case.definition.file);
    let language = reader.wording.language.tag();
    let ranges: Vec<String> = file
        .applies
        .iter()
        .map(|limit| {
            let (item, unit) = if limit.input == file.age_input {
                (reader.say("item-age", []), reader.say("unit-years", []))
            } else {
                let title = file.title(&limit.input, language);
                (title.to_owned(), file.unit(&limit.input).to_owned())
            };
            let [low, high] = limit.range;
            let args = [
                ("item", item),
                ("low", reader.number(low)),
                ("high", reader.number(high)),
                ("unit", unit),
            ];
            reader.say("limit-range", args)
        })
        .collect();
    let mut out = vec![reader.say("limits-inside", [("list", ranges.join(", "))])];
    if !twin.left_out.is_empty() {
        let list: Vec<String> = twin.left_out.iter().map(|p| reader.wording.phrase(p)).collect();
        out.push(reader.say("limits-models-out", [("list", list.join(", "))]));
    }
    for caution in &file.cautions {
        let high = covariate(file, case.facts, &caution.input, reader.now).is_some_and(|m| m.value > caution.above);
        if high {
            out.push(reader.text(&caution.say).to_owned());
        }
    }
    out.push(reader.say(
        if twin.is_personal() {
            "limits-next-level"
        } else {
            "limits-no-further-level"
        },
        [],
    ));
    if let Some(present) = advised.present.as_ref().filter(|p| p.known_from == KnownFrom::Doses) {
        out.push(reader.say(
            "present-from-doses",
            [("regimen", reader.regimen_long(file, &present.regimen))],
        ));
    }
    out
}

/// Doses that may have been given without being charted.
fn gap_in_doses(case: &Case<'_>, advised: &Advised) -> Option<String> {
    let (before, after) = gap(case.facts, advised.present.as_ref()?)?;
    let reader = case.reader;
    Some(reader.say(
        "gap-in-doses",
        [("from", reader.time(before.time)), ("to", reader.time(after.time))],
    ))
}

fn ignored(case: &Case<'_>, twin: Option<&Twin>) -> Vec<String> {
    let (reader, facts) = (case.reader, case.facts);
    let mut remarks: Vec<_> = facts.assumed.iter().chain(&facts.ignored).collect();
    // What decides is never cut off.
    remarks.sort_by_key(|r| !decides(r));
    let mut out: Vec<String> = remarks
        .into_iter()
        .map(|r| reader.remark(&case.definition.file, r))
        .collect();

    out.dedup();
    for level in twin.map(|t| t.ledger.levels.as_slice()).unwrap_or_default() {
        let id = match level.left_out {
            None => continue,
            Some(LeftOut::Distribution) => "ignored-level-distribution",
            Some(LeftOut::NoDoseBefore) => "ignored-level-no-dose",
        };
        let args = [
            ("value", reader.measured(&level.measurement)),
            ("unit", twin.map_or("", Twin::level_unit).to_owned()),
            ("time", reader.time(level.measurement.time)),
        ];
        out.push(reader.say(id, args));
    }
    // A long record has many remarks; a card is read in seconds.
    const MOST: usize = 8;
    if out.len() > MOST {
        let more = out.len() - MOST;
        out.truncate(MOST);
        out.push(reader.wording.count("n-more", more));
    }
    out
}

fn about(case: &Case<'_>) -> Vec<String> {
    let (reader, file) = (case.reader, &case.definition.file);
    let models: Vec<String> = case
        .definition
        .models
        .iter()
        .map(|m| {
            format!(
                "{} {} (SHA-256 {})",
                m.id,
                m.version,
                m.sha256.get(..12).unwrap_or_default()
            )
        })
        .collect();
    let mut out = vec![
        reader.say("about", []),
        reader.say("about-goal", [("source", file.goal.source.clone())]),
        reader.say(
            "about-computed",
            [("time", reader.time(reader.now)), ("models", models.join(", "))],
        ),
    ];
    if case.investigational() {
        out.push(reader.say("about-investigational", []));
    }
    out
}
