//! The fast path: models that are linear through and through with plain doses, asked for exposure, peak and trough at steady
//! state. All plans share the modes of a draw.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    engine::{Draws, EngineError, LANES, Loading, Measures, Prepared, Regimen},
    model::{
        model_file::Model,
        twin_file::{Enters, Take, TwinFile, Window},
    },
};

use super::{
    future::due,
    interval::Interval,
    personalise::Batch,
    plan::{Plan, infusion_hours},
    simulate::{Simulated, Simulator},
};

/// Draws with the patient's history taken in.
pub(super) struct Fast<'a> {
    simulator: &'a Simulator<'a>,
    /// With the hours in the unit of time of its model.
    prepared: Vec<(Prepared<'a>, f64)>,
}

impl<'a> Fast<'a> {
    /// Whether the plans of a file can take this path with these models.
    pub(super) fn covers(file: &TwinFile, models: &[Arc<Model>]) -> bool {
        let treatment = &file.treatment;
        let plans = treatment.every.iter().all(|s| s.gaps.len() == 1)
            && treatment.delays.iter().all(|d| *d == 0.0)
            && treatment.times.is_none()
            && treatment.into == Enters::Doses(None);
        let output = file.headline().map(|(_, m)| m.output.as_str());
        let measures = file.measures.iter().all(|m| {
            m.take.is_of_plan()
                || (m.window == Window::Steady
                    && !m.change
                    && matches!(m.take, Take::Area | Take::Highest | Take::Last)
                    && Some(m.output.as_str()) == output)
        });
        let plain = models.iter().all(|model| {
            let has = model.outputs().iter().any(|o| Some(o.name.as_str()) == output);
            model.system().is_plain() && has
        });
        plans && measures && plain && output == Some(file.picture.output.as_str())
    }

    pub(super) fn new(
        simulator: &'a Simulator<'a>,
        batches: &[Batch],
        draws: &'a [Draws],
        from: f64,
    ) -> Result<Self, EngineError> {
        let (twin, file) = (simulator.twin, simulator.file);
        let output = file.headline().map_or("", |(_, m)| m.output.as_str());
        let mut prepared = Vec::with_capacity(draws.len());
        for (batch, draws) in batches.iter().zip(draws) {
            let Some(member) = twin.members.get(batch.member) else {
                continue;
            };
            let Some(place) = member.model.outputs().iter().position(|o| o.name == output) else {
                continue;
            };
            let doses: Vec<_> = member.subject.doses.iter().map(|g| g.dose).collect();
            let from = from / member.hours;
            let ready = Prepared::new(member.model.system(), draws, &doses, from, place)?;
            prepared.push((ready, member.hours));
        }
        Ok(Self { simulator, prepared })
    }

    /// A plan in the unit of time of a model.
    fn regimen(&self, plan: &Plan, hours: f64) -> Regimen {
        let (twin, file) = (self.simulator.twin, self.simulator.file);
        let Some(regimen) = plan.regimen else {
            return Regimen {
                loading: None,
                amount: 0.0,
                interval: 24.0 / hours,
                duration: 0.0,
                start: twin.ledger.now / hours,
            };
        };
        Regimen {
            loading: plan.loading.map(|amount| Loading {
                amount,
                duration: infusion_hours(&file.treatment, amount) / hours,
            }),
            amount: regimen.amount,
            interval: regimen.interval_hours / hours,
            duration: regimen.duration_hours / hours,
            start: due(twin, plan) / hours,
        }
    }

    pub(super) fn run(&self, plans: &[Plan], asked: &[usize], next_day: bool) -> Result<Vec<Simulated>, EngineError> {
        let (twin, file) = (self.simulator.twin, self.simulator.file);
        let takes: Vec<(usize, Take)> = asked
            .iter()
            .filter_map(|i| Some((*i, file.measures.get(*i)?.take)))
            .collect();
        let exposure_only = !next_day && takes.iter().all(|(_, take)| *take == Take::Area);
        let mut all: Vec<Simulated> = plans
            .iter()
            .map(|plan| Simulated {
                plan: plan.clone(),
                values: takes.iter().map(|(place, _)| (*place, Vec::new())).collect(),
                next_day: Vec::new(),
            })
            .collect();
        for (prepared, hours) in &self.prepared {
            let regimens: Vec<Regimen> = plans.iter().map(|p| self.regimen(p, *hours)).collect();
            let day = 24.0 / hours;
            let now = twin.ledger.now / hours;
            let parts: Vec<Measures> = if exposure_only {
                let areas = prepared.exposures(&regimens, day)?;
                let of = |auc_steady| Measures {
                    auc_steady,
                    ..Measures::default()
                };
                areas.into_iter().map(of).collect()
            } else {
                prepared.measures(&regimens, day, next_day.then_some((now, now + day)))?
            };
            for (simulated, part) in all.iter_mut().zip(parts) {
                take(&mut simulated.values, &takes, &part, *hours);
                simulated.next_day.extend(part.auc_window.iter().map(|x| x * hours));
            }
        }
        Ok(all)
    }

    /// Percentiles at `times`, hours since the origin, under each plan.
    pub(super) fn bands(&self, plans: &[Plan], times: &[f64]) -> Result<Vec<Vec<Interval>>, EngineError> {
        let total: usize = self.prepared.iter().map(|(p, _)| p.len()).sum();
        let mut columns = vec![vec![Vec::with_capacity(total + LANES); times.len()]; plans.len()];
        for (prepared, hours) in &self.prepared {
            let mut regimens: Vec<Regimen> = plans.iter().map(|p| self.regimen(p, *hours)).collect();
            // The past is followed from the beginning.
            for regimen in regimens.iter_mut().filter(|r| r.amount == 0.0) {
                regimen.start = prepared.now();
            }
            let times: Vec<f64> = times.iter().map(|t| t / hours).collect();
            prepared.courses(&regimens, &times, |regimen, first, values| {
                let left = prepared.len().saturating_sub(first).min(LANES);
                let Some(columns) = columns.get_mut(regimen) else {
                    return;
                };
                for (column, row) in columns.iter_mut().zip(values) {
                    column.extend(row.iter().take(left));
                }
            })?;
        }
        let of = |columns: Vec<Vec<f64>>| columns.into_iter().map(Interval::of_owned).collect();
        Ok(columns.into_iter().map(of).collect())
    }
}

/// The measures asked for, from what the engine gives of one batch; areas in hours.
fn take(values: &mut BTreeMap<usize, Vec<f64>>, takes: &[(usize, Take)], part: &Measures, hours: f64) {
    for (place, take) in takes {
        let list = values.entry(*place).or_default();
        match take {
            Take::Area => list.extend(part.auc_steady.iter().map(|x| x * hours)),
            Take::Highest => list.extend(&part.peak_steady),
            _ => list.extend(&part.trough_steady),
        }
    }
}
