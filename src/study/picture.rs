//! `jumeau plot`: what was measured, and what the model makes of it, subject by subject.

use super::{Person, StudyError, Task};
use crate::dataset;
use crate::engine::{FitOptions, Precision, Values, course, quantile};
use crate::model::model_file::Model;
use crate::plot::{Figure, Kind, Panel, Point, svg};
use rayon::prelude::*;

/// Points of a curve.
const POINTS: usize = 200;
/// Draws behind an interval.
const DRAWS: usize = 200;
/// One seed for all pictures: the same data give the same picture.
const SEED: u64 = 1;

/// Fits every subject and draws the measurements, the individual prediction with its 90 % interval and the prediction for a
/// typical person, as SVG.
///
/// # Errors
/// A subject that cannot be fitted or simulated; too many panels, or nothing to draw.
pub fn draw(task: &Task<'_>, title: &str, log_scale: bool, progress: impl Fn() + Sync) -> Result<String, StudyError> {
    let model = task.model();
    let panels: Result<Vec<Vec<Panel>>, StudyError> = task
        .people()
        .par_iter()
        .with_max_len(1)
        .map(|person| {
            let panels = person_panels(model, person);
            progress();
            panels
        })
        .collect();
    let figure = Figure {
        title: if title.is_empty() {
            model.title.clone()
        } else {
            title.to_owned()
        },
        subtitle: format!("{} ({})", model.id, model.citation),
        time_label: format!("time ({})", model.time_unit),
        panels: panels?.into_iter().flatten().collect(),
        log_scale,
    };
    Ok(svg(&figure)?)
}

fn person_panels(model: &Model, person: &Person) -> Result<Vec<Panel>, StudyError> {
    let (observations, _) = person.observations();
    let fits = model
        .fit_classes(
            &person.known,
            &person.doses,
            &person.resets,
            &observations,
            &FitOptions::default(),
        )
        .map_err(|error| StudyError::from((person, error)))?;
    let Some((class, best)) = fits.first().and_then(|class| Some((class, class.fit.best()?))) else {
        return Err(person.error("it has no fit"));
    };
    let failed = |error| StudyError::from((person, error));
    let (first, last) = person.span().unwrap_or((0.0, 1.0));
    let times: Vec<f64> = (0..=POINTS)
        .map(|i| first + (last - first) * i as f64 / POINTS as f64)
        .collect();
    let system = model.system();
    let run = |eta: &[f64]| {
        course(
            system,
            &class.subject,
            Values::Effects(eta),
            &times,
            Precision::default(),
        )
    };
    let individual = run(&best.eta).map_err(failed)?;
    let population = run(&vec![0.0; best.eta.len()]).map_err(failed)?;
    let sample = class.fit.sample(system, DRAWS, SEED).map_err(failed)?;
    let draws: Vec<_> = sample.effects.iter().filter_map(|eta| run(eta).ok()).collect();
    let mut panels = Vec::new();
    for (output, what) in model.outputs().iter().enumerate() {
        let observed: Vec<Point> = person
            .readings
            .iter()
            .filter(|reading| reading.output == Some(output))
            .filter_map(|reading| {
                Some(Point {
                    time: reading.time,
                    value: reading.value?,
                    kind: match reading.bound {
                        dataset::Bound::Exact => Kind::Exact,
                        dataset::Bound::Below | dataset::Bound::Between(_) => Kind::Below,
                        dataset::Bound::Above => Kind::Above,
                    },
                })
            })
            .collect();
        if observed.is_empty() && model.outputs().len() > 1 {
            continue;
        }
        let value =
            |course: &crate::engine::Trajectory, i: usize| course.at(i).get(output).copied().unwrap_or(f64::NAN);
        let band = |level: f64| -> Vec<f64> {
            (0..times.len())
                .map(|i| {
                    let mut values: Vec<f64> = draws.iter().map(|draw| value(draw, i)).collect();
                    values.sort_by(f64::total_cmp);
                    quantile(&values, level)
                })
                .collect()
        };
        panels.push(Panel {
            title: if model.outputs().len() > 1 {
                format!("subject {}: {}", person.id, what.name)
            } else {
                format!("subject {}", person.id)
            },
            value_label: format!("{} ({})", what.name, what.unit),
            observed,
            individual: (0..times.len()).map(|i| value(&individual, i)).collect(),
            population: (0..times.len()).map(|i| value(&population, i)).collect(),
            low: band(0.05),
            high: band(0.95),
            doses: person.doses.iter().map(|given| given.dose.time).collect(),
            times: times.clone(),
        });
    }
    Ok(panels)
}
