//! The picture of a page: the course of a typical patient, and how much people like this one differ.

use toml::Value;

use super::{
    Twin,
    words::{exact, quantity, rounded, unit},
    written::{Check, Repeat, shown},
};
use crate::{
    engine::{Dose, EngineError, Given, Precision, Subject, Values, course, everything_of_draws, quantile},
    model::model_file::{InputKind, Known, Model, with_class},
    plot::{Figure, Panel, svg},
};

/// Points of a curve.
const POINTS: u32 = 160;
/// People behind the band.
const PEOPLE: usize = 200;
/// One seed for all pictures: the same files give the same bytes.
const SEED: u64 = 1;
/// Most times that a dose of an example is repeated here.
const MOST_TIMES: f64 = 1000.0;

/// A picture and what it shows, in words.
#[derive(Debug)]
pub(super) struct Picture {
    /// The drawing.
    pub(super) svg: String,
    /// For those who cannot see it.
    pub(super) alt: String,
    /// What stands below it.
    pub(super) caption: String,
}

/// Draws the picture's output of the leading model for the person of its first worked check that has doses or, when none has, of
/// its first.
///
/// # Errors
/// Why there is nothing to draw, in words.
pub(super) fn draw(twin: &Twin) -> Result<Picture, String> {
    let file = &twin.definition.file;
    let name = &file.picture.output;
    let (model, written) = twin.models().next().ok_or("the twin has no model")?;
    let check = written
        .checks
        .iter()
        .find(|check| !(check.doses.is_empty() && check.repeat.is_empty()))
        .or(written.checks.first())
        .ok_or("the leading model has no worked check to take a person from")?;
    let (place, ucum) = output(model, name).ok_or("the leading model does not give it")?;
    let doses = doses(model, check);
    let ahead = file.picture.ahead.as_secs_f64() / 3600.0 / model.hours_per_time();
    let last = end(last_expected(check), &doses, ahead);
    let times = grid(last, &doses);
    let subject = model
        .subject(&known(model, check), doses.clone(), Vec::new())
        .map_err(|e| e.to_string())?;
    let title = file
        .item(name)
        .map_or(name.as_str(), |item| file.title(&item.name, "en"));
    let person = person(model, check);
    let shown_unit = match unit(ucum).as_str() {
        "" => String::new(),
        unit => format!(" ({unit})"),
    };
    let mut panel = Panel {
        title: title.to_owned(),
        value_label: format!("{name}{shown_unit}"),
        doses: (doses.iter().map(|given| given.dose.time).filter(|t| *t <= last)).collect(),
        times,
        ..Panel::default()
    };
    curves(model, &subject, place, &mut panel).map_err(|e| e.to_string())?;
    let finite = panel.population.iter().copied().filter(|x| x.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
        (low.min(x), high.max(x))
    });
    let alt = format!(
        "{title} over {} in a typical patient: between {} and {}{}",
        quantity(&exact(last), &model.time_unit),
        rounded(low),
        quantity(&rounded(high), ucum),
        if panel.low.is_empty() {
            ""
        } else {
            ", with the band of 90 % of people"
        }
    );
    let band = if panel.low.is_empty() {
        "; nothing in the model differs between people"
    } else {
        "; shaded, 90 % of people like this one before anything is measured (no residual error)"
    };
    let caption = format!(
        "What {} predicts of {title} for the person of its worked example “{}”: {person}; {}. Dashed, a typical person{band}.",
        model.id,
        check.name,
        dosing(&doses, model)
    );
    let figure = Figure {
        title: format!("{}: typical course", file.name.en),
        subtitle: format!("{} ({}); {person}", model.title, model.id),
        time_label: format!("time ({})", model.time_unit),
        panels: vec![panel],
        log_scale: false,
    };
    Ok(Picture {
        svg: svg(&figure).map_err(|e| e.to_string())?,
        alt,
        caption,
    })
}

/// Place of an output among the values of a course, and its unit.
fn output<'m>(model: &'m Model, name: &str) -> Option<(usize, &'m str)> {
    let outputs = model.outputs();
    if let Some((place, output)) = outputs.iter().enumerate().find(|(_, output)| output.name == name) {
        return Some((place, &output.unit));
    }
    let followed = model.system().followed().iter().position(|known| known == name)?;
    let shown = model.shown().iter().find(|shown| shown.name == name)?;
    Some((outputs.len() + followed, &shown.unit))
}

/// The course of the typical person, and the band of 90 % of people where the model has any differences between them.
fn curves(model: &Model, subject: &Subject, place: usize, panel: &mut Panel) -> Result<(), EngineError> {
    let (system, times, precision) = (model.system(), &panel.times, Precision::default());
    let value = |row: &[f64]| row.get(place).copied().unwrap_or(f64::NAN);
    let none = vec![0.0; system.effects().len()];
    let typical = course(system, subject, Values::Effects(&none), times, precision)?;
    panel.population = (0..times.len()).map(|i| value(typical.at(i))).collect();
    if none.is_empty() {
        return Ok(());
    }
    let effects = subject.prior_effects(system, PEOPLE, SEED)?;
    let mut people: Vec<Vec<f64>> = vec![Vec::with_capacity(PEOPLE); times.len()];
    everything_of_draws(system, subject, &effects, times, precision, |_, found| {
        let rows = found.unwrap_or_default().chunks(system.width().max(1));
        for (at, row) in people.iter_mut().zip(rows) {
            at.extend(Some(value(row)).filter(|x| x.is_finite()));
        }
    })?;
    for values in &mut people {
        values.sort_by(f64::total_cmp);
    }
    let band = |level: f64| people.iter().map(|values| quantile(values, level)).collect();
    (panel.low, panel.high) = (band(0.05), band(0.95));
    Ok(())
}

/// Until when to draw: one interval beyond the last of several doses and as far as the example goes; else as far as the example
/// goes, at most twice as far as cards draw.
fn end(expected: f64, doses: &[Given], ahead: f64) -> f64 {
    let mut times: Vec<f64> = doses.iter().map(|given| given.dose.time).collect();
    times.sort_by(f64::total_cmp);
    let end = match times.as_slice() {
        [.., before, last] => expected.max(last + (last - before)),
        few => {
            let start = few.first().copied().unwrap_or(0.0);
            let most = start + 2.0 * ahead;
            if expected > start { expected.min(most) } else { most }
        }
    };
    if end.is_finite() && end > 0.0 { end } else { 1.0 }
}

/// Times of a curve: evenly spread, and where doses begin and have just ended, so that no peak is cut off.
fn grid(last: f64, doses: &[Given]) -> Vec<f64> {
    let even = (0..=POINTS).map(|i| last * f64::from(i) / f64::from(POINTS));
    let edges = doses.iter().flat_map(|given| {
        let Dose { time, duration, .. } = given.dose;
        [time, time + duration.max(last * 1e-4)]
    });
    let mut times: Vec<f64> = even.chain(edges.filter(|t| (0.0..=last).contains(t))).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    times
}

/// The last time at which an example expects something.
fn last_expected(check: &Check) -> f64 {
    let rows = check.expect.iter().chain(&check.expect_fitted);
    rows.filter_map(|row| number(row.get("t")?)).fold(0.0, f64::max)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "a number written by hand")]
        Value::Integer(whole) => Some(*whole as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// The inputs of an example; a category that it leaves open is of the most frequent level.
fn known(model: &Model, check: &Check) -> Vec<Known> {
    let values = |given: &std::collections::BTreeMap<String, Value>| {
        let inputs = model.inputs().iter().map(|input| {
            let value = given.get(&input.name)?;
            match &input.kind {
                #[expect(clippy::cast_precision_loss, reason = "a handful of levels")]
                InputKind::Category { levels, .. } => {
                    let place = levels.iter().position(|level| Some(level.as_str()) == value.as_str());
                    place.map(|place| place as f64)
                }
                _ => number(value),
            }
        });
        inputs.collect()
    };
    let first = Known {
        from: 0.0,
        inputs: values(&check.inputs),
        occasion: None,
    };
    let later = check.inputs_at.iter().map(|row| Known {
        from: row.get("t").and_then(number).unwrap_or(0.0),
        inputs: values(row),
        occasion: None,
    });
    let mut known: Vec<Known> = std::iter::once(first).chain(later).collect();
    known.sort_by(|a, b| a.from.total_cmp(&b.from));
    let classes = model.classes(&known);
    let common = classes.iter().max_by(|a, b| a.0.total_cmp(&b.0));
    common.map_or(known.clone(), |(_, levels)| {
        with_class(&known, levels, model.inputs().len())
    })
}

/// The doses of an example.
fn doses(model: &Model, check: &Check) -> Vec<Given> {
    let single = check.doses.iter().filter_map(|row| match row.as_slice() {
        [time, amount, rest @ ..] => Some(Given::from(Dose {
            time: *time,
            amount: *amount,
            duration: rest.first().copied().unwrap_or(0.0),
        })),
        _ => None,
    });
    let mut doses: Vec<Given> = single.collect();
    let system = model.system();
    for repeat in &check.repeat {
        let Repeat {
            amount,
            every,
            from,
            duration,
            ..
        } = *repeat;
        let goes_to = |state: usize| system.states().get(state) == repeat.to.as_ref();
        let named = system.routes().list().iter().position(|route| goes_to(route.state));
        let mut k = 0.0;
        while k < repeat.times.min(MOST_TIMES) {
            doses.push(Given {
                route: repeat.to.as_ref().and(named).unwrap_or(0),
                ..Given::from(Dose {
                    time: from + k * every,
                    amount,
                    duration,
                })
            });
            k += 1.0;
        }
    }
    doses
}

/// The inputs of an example in words.
fn person(model: &Model, check: &Check) -> String {
    let inputs = model.inputs().iter().filter_map(|input| {
        let value = check.inputs.get(&input.name)?;
        Some(format!("{} {}", input.name, quantity(&shown(value), &input.unit)))
    });
    let inputs: Vec<String> = inputs.collect();
    if inputs.is_empty() {
        "no inputs".to_owned()
    } else {
        inputs.join(", ")
    }
}

/// The doses of an example in words.
fn dosing(doses: &[Given], model: &Model) -> String {
    let first = doses.first().map(|given| given.dose);
    let Some(first) = first else {
        return "untreated, or treated by its inputs".to_owned();
    };
    let amount = quantity(&exact(first.amount), &model.amount_unit);
    match doses.len() {
        1 => format!("one dose of {amount}"),
        n => format!("{n} doses, the first of {amount}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_ends_where_there_is_no_more_to_see() {
        let dose = |time: f64| {
            Given::from(Dose {
                time,
                amount: 1.0,
                duration: 0.0,
            })
        };
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-12, "{found}");
        near(end(10.0, &[dose(0.0), dose(24.0)], 5.0), 48.0);
        near(end(10.0, &[dose(0.0)], 6.0), 10.0);
        near(end(500.0, &[dose(0.0)], 6.0), 12.0);
        near(end(0.0, &[], 5.0), 10.0);
        near(end(0.0, &[], f64::NAN), 1.0);
    }
}
