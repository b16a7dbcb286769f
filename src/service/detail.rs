//! The Markdown of a card: six blocks, always in the same order. Plain Markdown only (bold, lists), no HTML.

use crate::{
    advice::{
        decide::Decision,
        gates::{Refusal, decides, item_title},
        outcome::Advised,
        present::{KnownFrom, gap},
    },
    model::twin_file::Role,
    patient::facts::Measurement,
    twin::{
        ledger::LeftOut,
        personalise::Twin,
        plan::Kind,
        values::{age_years, current},
    },
};

use super::{cards::Case, words::unit};

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
        listed(&reader.say("block-rules", []), rules(case, advised)),
        block(&reader.say("block-limits", []), &limits(case, advised)),
        listed(&reader.say("block-ignored", []), ignored),
        block(&reader.say("block-about", []), &about(case)),
    ];
    blocks.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn based_on(case: &Case<'_>) -> Vec<String> {
    let (reader, file, facts) = (case.reader, &case.definition.file, case.facts);
    let language = reader.wording.language.tag();
    let mut list = Vec::new();
    let mut newest = None;
    let observed: Vec<_> = file.observed().collect();
    let none = |name: &str| facts.measured.get(name).is_none_or(Vec::is_empty);
    if !observed.is_empty() && observed.iter().all(|item| none(&item.name)) {
        list.push(reader.say("no-levels", []));
    }
    for item in &observed {
        let levels = facts.measured.get(&item.name).map(Vec::as_slice).unwrap_or_default();
        newest = newest.max(levels.iter().map(|l| l.time).max());
        if levels.is_empty() {
            continue;
        }
        let words = levels_in_words(case, levels, file.unit(&item.name));
        list.push(if observed.len() == 1 {
            words
        } else {
            let args = [("item", file.title(&item.name, language).to_owned()), ("list", words)];
            reader.say("values-of", args)
        });
    }
    list.push(reader.wording.count("n-doses", facts.given.len()));
    newest = newest.max(facts.given.last().map(|g| g.time));
    if file.age_input.is_some()
        && let Some(age) = age_years(facts, reader.now, reader.zone)
    {
        list.push(reader.say("age-years", [("value", reader.number(age))]));
    }
    for item in file.items.iter().filter(|i| matches!(i.role, Role::Covariate(_))) {
        let Some(found) = current(file, facts, &item.name, reader.now) else {
            continue;
        };
        newest = newest.max(Some(found.time));
        let title = file.title(&item.name, language);
        let mut args = vec![
            ("item", title.to_owned()),
            ("value", reader.measured(found)),
            ("unit", unit(file.unit(&item.name))),
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
    for category in &file.needs.categories {
        if let Some(found) = facts.categories.get(&category.name) {
            let recorded = crate::wording::escape(&found.text);
            list.push(format!("{} {recorded}", file.title(&category.name, language)));
        }
    }
    let newest = newest.map_or_else(|| "-".to_owned(), |t| reader.time(t));
    vec![reader.say("based-on", [("list", list.join(", ")), ("newest", newest)])]
}

/// How many levels there are, and the newest one by one.
fn levels_in_words(case: &Case<'_>, levels: &[Measurement], code: &str) -> String {
    let reader = case.reader;
    let mut each: Vec<String> = levels
        .iter()
        .rev()
        .take(LEVELS)
        .map(|level| {
            let args = [
                ("value", reader.measured(level)),
                ("unit", unit(code)),
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
    format!(
        "{} ({})",
        reader.wording.count("n-levels", levels.len()),
        each.join("; ")
    )
}

fn prediction(case: &Case<'_>, advised: &Advised) -> Vec<String> {
    let (twin, advice) = (&advised.twin, &advised.advice);
    let (reader, file) = (case.reader, &case.definition.file);
    let language = reader.wording.language.tag();
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
    let keep = advice.keep.and_then(|i| advice.options.get(i));
    if let (Some(keep), Some((goal, measure))) = (keep, file.headline())
        && let Some(found) = keep.measure(goal.measure)
    {
        let args = [
            ("label", reader.text(&measure.label).to_owned()),
            ("value", reader.prediction(found.p50)),
            ("low", reader.prediction(found.p05)),
            ("high", reader.prediction(found.p95)),
        ];
        out.push(reader.say("prediction-uncertainty", args));
    }
    for last in file.observed().filter_map(|item| twin.last_level(&item.name)) {
        let args = [
            ("predicted", reader.prediction(last.predicted)),
            ("measured", reader.number(last.measured)),
            ("unit", unit(twin.unit(&last.output))),
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
    for (input, levels) in twin.guessed() {
        let list: Vec<String> = levels
            .iter()
            .filter(|(_, chance)| *chance >= 0.005)
            .map(|(level, chance)| format!("{level} {}", reader.percent(*chance)))
            .collect();
        let args = [
            ("item", file.title(&input, language).to_owned()),
            ("list", list.join(", ")),
        ];
        out.push(reader.say("prediction-guessed", args));
    }
    let votes = twin.votes();
    if votes.len() > 1 {
        let list: Vec<String> = votes
            .iter()
            .map(|(model, vote)| format!("{} {}", model.id, reader.percent(*vote)))
            .collect();
        out.push(reader.say("prediction-models", [("list", list.join(", "))]));
    }
    out
}

/// The options, each with its measures and the chances of goals and harms, beside the present plan and no further doses.
fn options(case: &Case<'_>, advised: &Advised) -> String {
    let advice = &advised.advice;
    let (reader, file) = (case.reader, &case.definition.file);
    // Measures of the goals come first.
    let mut measures: Vec<usize> = file.goals.iter().map(|g| g.measure).collect();
    measures.extend(file.harms.iter().map(|h| h.measure));
    measures.extend(0..file.measures.len());
    let mut seen = std::collections::BTreeSet::new();
    measures.retain(|place| seen.insert(*place));
    let mut columns: Vec<String> = measures
        .iter()
        .filter_map(|place| file.measures.get(*place))
        .map(|m| match unit(&m.unit) {
            unit if unit.is_empty() => reader.text(&m.label).to_owned(),
            unit => format!("{} ({unit})", reader.text(&m.label)),
        })
        .collect();
    for (goal, limits) in file.goals.iter().zip(&advised.targets.goals) {
        if let Some(limits) = limits {
            let args = [
                ("label", reader.text(&goal.label).to_owned()),
                ("range", reader.range(*limits)),
            ];
            columns.push(reader.say("column-goal", args));
        }
    }
    for (harm, limits) in file.harms.iter().zip(&advised.targets.harms) {
        if let Some(limits) = limits {
            let args = [
                ("label", reader.text(&harm.label).to_owned()),
                ("range", reader.range(*limits)),
            ];
            columns.push(reader.say("column-harm", args));
        }
    }
    let dash = || "-".to_owned();
    let mut shown = advised.listed.clone();
    shown.extend(advice.keep);
    shown.extend(advice.stop);
    let rows: Vec<String> = shown
        .into_iter()
        .filter_map(|i| {
            let option = advice.options.get(i)?;
            let mut values: Vec<String> = measures
                .iter()
                .map(|place| option.measure(*place).map_or_else(dash, |m| reader.prediction(m.p50)))
                .collect();
            let goals = option.goals.iter().zip(&advised.targets.goals);
            let chances = goals.chain(option.harms.iter().zip(&advised.targets.harms));
            values.extend(
                chances
                    .filter(|(_, limits)| limits.is_some())
                    .map(|(chance, _)| chance.map_or_else(dash, |c| reader.percent(c))),
            );
            let nothing = option.plan.kind == Kind::Stop && values.iter().all(|v| *v == "-");
            let args = [
                ("option", reader.plan(file, &option.plan, true)),
                (
                    "values",
                    if nothing {
                        reader.say("option-stop", [])
                    } else {
                        values.join(" / ")
                    },
                ),
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
            Some(format!("- {row}"))
        })
        .collect();
    format!(
        "{} {}\n\n{}",
        reader.say("block-options", []),
        columns.join(" / "),
        rows.join("\n")
    )
}

/// The rules that hold, each with where it comes from.
fn rules(case: &Case<'_>, advised: &Advised) -> Vec<String> {
    let rules = advised
        .rules
        .iter()
        .filter_map(|place| case.definition.file.rules.get(*place));
    rules
        .map(|rule| format!("{} ({})", case.reader.text(&rule.say), rule.source))
        .collect()
}

fn limits(case: &Case<'_>, advised: &Advised) -> Vec<String> {
    let twin = &advised.twin;
    let (reader, file) = (case.reader, &case.definition.file);
    let language = reader.wording.language.tag();
    let ranges: Vec<String> = file
        .applies
        .iter()
        .map(|limit| {
            let unit = if file.age_input.as_deref() == Some(limit.input.as_str()) {
                reader.say("unit-years", [])
            } else {
                unit(file.unit(&limit.input))
            };
            let [low, high] = limit.range;
            let args = [
                ("item", item_title(file, &limit.input, language)),
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
    for screen in advised.screens.iter().filter_map(|place| file.screens.get(*place)) {
        out.push(format!("{} {}", reader.text(&screen.say), reader.text(&screen.help)));
    }
    for caution in file.cautions.iter().filter(|c| case.holds(c, &twin.values)) {
        out.push(reader.text(&caution.say).to_owned());
    }
    if file.observed().any(|item| {
        matches!(
            item.role,
            Role::Observed {
                order_loinc: Some(_),
                ..
            }
        )
    }) {
        out.push(reader.say(
            if twin.is_personal() {
                "limits-next-level"
            } else {
                "limits-no-further-level"
            },
            [],
        ));
    }
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
            ("unit", twin.map_or("", |t| t.unit(&level.output)).to_owned()),
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

/// Where the goals come from, each once.
fn sources(case: &Case<'_>) -> String {
    let mut sources: Vec<&str> = case.definition.file.goals.iter().map(|g| g.source.as_str()).collect();
    sources.dedup();
    sources.join("; ")
}

fn about(case: &Case<'_>) -> Vec<String> {
    let reader = case.reader;
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
        reader.say("about-goal", [("source", sources(case))]),
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
