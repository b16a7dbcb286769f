//! Plans simulated over the posterior draws of all models of a twin, from what has already been given.

use crate::{
    engine::{Draws, EngineError, LANES, Loading, Measures, Prepared, Regimen},
    model::twin_file::{Measure, TwinFile},
};

use super::{
    interval::Interval,
    personalise::Twin,
    plan::{Plan, infusion_hours},
};

/// Draws behind a picture; chances use all of them.
const PICTURED: usize = 100;
/// Hours ahead that are drawn.
const AHEAD: u32 = 48;
/// Points of the past that are drawn at most.
const BEHIND: u32 = 50;

/// How a plan would do, over the draws of the posterior.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulated {
    /// The plan.
    pub plan: Plan,
    /// The goal's measure, one value a draw.
    pub goal: Vec<f64>,
    /// The harm's measure, one value a draw.
    pub harm: Vec<f64>,
    /// The goal's measure over the first 24 hours, when no dose has been given yet; empty otherwise.
    pub first_day: Vec<f64>,
}

/// How a plan settles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Peak at steady state.
    pub peak: Interval,
    /// Trough at steady state.
    pub trough: Interval,
    /// The goal's measure over the next 24 hours, counting what is in the body now; for an exposure over 24 hours only.
    pub next_day: Option<Interval>,
}

/// Percentiles over time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Course {
    /// Hours from now; negative lies in the past.
    pub hours: Vec<f64>,
    /// At each hour.
    pub band: Vec<Interval>,
}

/// Courses for a picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curves {
    /// Until now.
    pub past: Course,
    /// From now on, plan by plan.
    pub ahead: Vec<(Plan, Course)>,
}

/// A twin ready to be asked about plans.
pub struct Simulator<'a> {
    twin: &'a Twin,
    file: &'a TwinFile,
    draws: Vec<(usize, Draws)>,
}

impl<'a> Simulator<'a> {
    /// With parameter sets drawn from the posterior, each batch with the place of its model.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(twin: &'a Twin, file: &'a TwinFile, draws: Vec<(usize, Draws)>) -> Result<Self, EngineError> {
        if draws.is_empty() {
            return Err(EngineError::NotFinite { what: "the posterior" });
        }
        Ok(Self { twin, file, draws })
    }

    /// The parameter sets, with the place of the model each batch belongs to.
    #[must_use]
    pub fn draws(&self) -> &[(usize, Draws)] {
        &self.draws
    }

    fn regimen(&self, plan: &Plan) -> Regimen {
        let now = self.twin.ledger.now;
        let Some(regimen) = plan.regimen else {
            return Regimen {
                loading: None,
                amount: 0.0,
                interval: 24.0,
                duration: 0.0,
                start: now,
            };
        };
        let due = self
            .twin
            .ledger
            .doses
            .iter()
            .map(|d| d.time)
            .reduce(f64::max)
            .map(|last| last + regimen.interval_hours);
        let loading = plan.loading.map(|amount| Loading {
            amount,
            duration: infusion_hours(&self.file.treatment, amount),
        });
        Regimen {
            loading,
            amount: regimen.amount,
            interval: regimen.interval_hours,
            duration: regimen.duration_hours,
            start: due.unwrap_or(now).max(now),
        }
    }

    /// The draws with the patient's history taken in.
    ///
    /// # Errors
    /// When a model has no finite value for the history.
    pub fn ready(&self) -> Result<Ready<'_>, EngineError> {
        let ledger = &self.twin.ledger;
        let mut prepared = Vec::with_capacity(self.draws.len());
        for (member, draws) in &self.draws {
            let Some(member) = self.twin.members.get(*member) else {
                continue;
            };
            prepared.push(Prepared::new(
                member.model.system(),
                draws,
                &ledger.doses,
                ledger.now,
                self.twin.output,
            )?);
        }
        Ok(Ready {
            simulator: self,
            prepared,
        })
    }

    /// Percentiles of the level over time, of the past and under each plan.
    ///
    /// # Errors
    /// When a model has no finite value on the way.
    pub fn curves(&self, plans: &[Plan]) -> Result<Curves, EngineError> {
        let ledger = &self.twin.ledger;
        let thinned = self.thinned()?;
        let ahead: Vec<f64> = (0..=AHEAD).map(|h| ledger.now + f64::from(h)).collect();
        let regimens: Vec<Regimen> = plans.iter().map(|p| self.regimen(p)).collect();
        let mut bands = self.bands(&thinned, ledger.now, &regimens, &ahead)?.into_iter();
        let shift = |times: &[f64]| times.iter().map(|t| t - ledger.now).collect::<Vec<_>>();
        let ahead = plans
            .iter()
            .map(|plan| {
                (
                    plan.clone(),
                    Course {
                        hours: shift(&ahead),
                        band: bands.next().unwrap_or_default(),
                    },
                )
            })
            .collect();
        let past = if ledger.now > 0.0 {
            let step = (ledger.now / f64::from(BEHIND)).max(0.5);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most BEHIND")]
            let count = (ledger.now / step).floor() as u32;
            // With the ends of infusions, so that no peak is cut off.
            let doses = ledger.doses.iter().flat_map(|d| [d.time, d.time + d.duration]);
            let mut times: Vec<f64> = (0..=count)
                .map(|i| f64::from(i) * step)
                .chain(doses)
                .filter(|t| *t < ledger.now)
                .chain([ledger.now])
                .collect();
            times.sort_by(f64::total_cmp);
            times.dedup_by(|b, a| *b - *a < 1e-6);
            let nothing = Regimen {
                loading: None,
                amount: 0.0,
                interval: 24.0,
                duration: 0.0,
                start: 0.0,
            };
            let band = self.bands(&thinned, 0.0, &[nothing], &times)?.pop().unwrap_or_default();
            Course {
                hours: shift(&times),
                band,
            }
        } else {
            Course::default()
        };
        Ok(Curves { past, ahead })
    }

    /// Every k-th draw, so that about [`PICTURED`] are left.
    fn thinned(&self) -> Result<Vec<(usize, Draws)>, EngineError> {
        let total: usize = self.draws.iter().map(|(_, d)| d.len()).sum();
        let every = total.div_ceil(PICTURED).max(1);
        self.draws
            .iter()
            .map(|(member, draws)| {
                let width = draws.rows().next().map_or(0, <[f64]>::len);
                let rows: Vec<f64> = draws.rows().step_by(every).flatten().copied().collect();
                Ok((*member, Draws::from_rows(width, rows)?))
            })
            .collect()
    }

    fn bands(
        &self,
        draws: &[(usize, Draws)],
        from: f64,
        regimens: &[Regimen],
        times: &[f64],
    ) -> Result<Vec<Vec<Interval>>, EngineError> {
        let total: usize = draws.iter().map(|(_, d)| d.len()).sum();
        let mut columns = vec![vec![Vec::with_capacity(total + LANES); times.len()]; regimens.len()];
        for (member, rows) in draws {
            let Some(member) = self.twin.members.get(*member) else {
                continue;
            };
            let prepared = Prepared::new(
                member.model.system(),
                rows,
                &self.twin.ledger.doses,
                from,
                self.twin.output,
            )?;
            prepared.courses(regimens, times, |regimen, first, values| {
                let left = rows.len().saturating_sub(first).min(LANES);
                let Some(columns) = columns.get_mut(regimen) else {
                    return;
                };
                for (column, row) in columns.iter_mut().zip(values) {
                    column.extend(row.iter().take(left));
                }
            })?;
        }
        Ok(columns
            .into_iter()
            .map(|c| c.into_iter().map(Interval::of_owned).collect())
            .collect())
    }
}

/// Draws with the patient's history taken in, to be asked about any number of plans.
pub struct Ready<'a> {
    simulator: &'a Simulator<'a>,
    prepared: Vec<Prepared<'a>>,
}

impl Ready<'_> {
    /// Simulates plans over all draws.
    ///
    /// # Errors
    /// When a model has no finite value for a plan.
    pub fn run(&self, plans: &[Plan]) -> Result<Vec<Simulated>, EngineError> {
        let Simulator { twin, file, .. } = self.simulator;
        let regimens: Vec<Regimen> = plans.iter().map(|p| self.simulator.regimen(p)).collect();
        let ledger = &twin.ledger;
        let exposure = file.goal.measure == Measure::Auc24 && file.harm.measure == Measure::Auc24;
        // Only an exposure over 24 hours can be asked of the first day as it is of the steady state.
        let window = (ledger.doses.is_empty() && exposure).then_some((ledger.now, ledger.now + 24.0));
        let mut all: Vec<Measures> = vec![Measures::default(); plans.len()];
        for prepared in &self.prepared {
            let part = if exposure && window.is_none() {
                let areas = prepared.exposures(&regimens, 24.0)?;
                areas
                    .into_iter()
                    .map(|auc_steady| Measures {
                        auc_steady,
                        ..Measures::default()
                    })
                    .collect()
            } else {
                prepared.measures(&regimens, 24.0, window)?
            };
            for (all, part) in all.iter_mut().zip(part) {
                all.auc_steady.extend(part.auc_steady);
                all.peak_steady.extend(part.peak_steady);
                all.trough_steady.extend(part.trough_steady);
                all.auc_window.extend(part.auc_window);
            }
        }
        let pick = |measures: &Measures, which: Measure| match which {
            Measure::Auc24 => measures.auc_steady.clone(),
            Measure::Peak => measures.peak_steady.clone(),
            Measure::Trough => measures.trough_steady.clone(),
        };
        Ok(plans
            .iter()
            .zip(all)
            .map(|(plan, measures)| Simulated {
                plan: plan.clone(),
                goal: pick(&measures, file.goal.measure),
                harm: pick(&measures, file.harm.measure),
                first_day: measures.auc_window,
            })
            .collect())
    }

    /// How plans settle.
    ///
    /// # Errors
    /// When a model has no finite value for a plan.
    pub fn shapes(&self, plans: &[Plan]) -> Result<Vec<Shape>, EngineError> {
        let regimens: Vec<Regimen> = plans.iter().map(|p| self.simulator.regimen(p)).collect();
        let Simulator { twin, file, .. } = self.simulator;
        let now = twin.ledger.now;
        let window = (file.goal.measure == Measure::Auc24).then_some((now, now + 24.0));
        let mut all: Vec<Measures> = vec![Measures::default(); plans.len()];
        for prepared in &self.prepared {
            for (all, part) in all.iter_mut().zip(prepared.measures(&regimens, 24.0, window)?) {
                all.peak_steady.extend(part.peak_steady);
                all.trough_steady.extend(part.trough_steady);
                all.auc_window.extend(part.auc_window);
            }
        }
        let shape = |m: Measures| Shape {
            peak: Interval::of_owned(m.peak_steady),
            trough: Interval::of_owned(m.trough_steady),
            next_day: window.map(|_| Interval::of_owned(m.auc_window)),
        };
        Ok(all.into_iter().map(shape).collect())
    }
}
