//! Plans simulated over the posterior draws of all members of a twin, from what has already been given.
//!
//! Models that are linear through and through, asked for exposure, peak and trough at steady state, take a fast path in which
//! all plans share the work; everything else is followed in time, plan by plan.

use std::{collections::BTreeMap, sync::Arc};

use rayon::prelude::*;

use crate::{
    engine::{Draws, EngineError, Past},
    model::{
        catalog::Definition,
        model_file::Model,
        twin_file::{Take, TwinFile, Window},
    },
};

use super::{
    fast::Fast,
    follow::{Task, courses, grid, past, place},
    future::{due, subject},
    interval::Interval,
    personalise::{Batch, Member, Twin},
    plan::{Kind, Plan},
};

/// Draws behind a picture; chances use all of them.
const PICTURED: usize = 100;
/// Points of a picture, of the past and ahead.
const POINTS: u32 = 40;
/// Draws by which many plans are told apart before the best are followed with all.
const ROUGHLY: usize = 40;
/// Draws that are followed in time, when the file does not say how many.
pub const FOLLOWED: usize = 300;
/// Share of draws without a solution above which nothing is said.
const MOST_FAILED: f64 = 0.02;

/// How a plan would do, over the draws of the posterior.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulated {
    /// The plan.
    pub plan: Plan,
    /// By place in the file, each measure that was asked for and can be taken: one value a draw.
    pub values: BTreeMap<usize, Vec<f64>>,
    /// The area of the headline's output over the next 24 hours, counting what is in the body now; empty unless asked for.
    pub next_day: Vec<f64>,
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
    pub(super) twin: &'a Twin,
    pub(super) file: &'a TwinFile,
    batches: Vec<Batch>,
    /// Parameters of each batch, where the fast path can be taken.
    draws: Option<Vec<Draws>>,
    /// What the intensity of doses is compared with.
    present: Option<Plan>,
}

impl<'a> Simulator<'a> {
    /// With random effects drawn from the posterior, and the present plan.
    ///
    /// # Errors
    /// When there are no draws.
    pub fn new(
        twin: &'a Twin,
        file: &'a TwinFile,
        batches: Vec<Batch>,
        present: Option<Plan>,
    ) -> Result<Self, EngineError> {
        if batches.iter().all(|b| b.effects.is_empty()) {
            return Err(EngineError::NotFinite { what: "the posterior" });
        }
        let models: Vec<Arc<Model>> = twin.members.iter().map(|m| Arc::clone(&m.model)).collect();
        let steady = twin.members.iter().all(|m| m.subject.regimes.len() == 1);
        let draws = if steady && Fast::covers(file, &models) {
            Some(batches.iter().map(|b| parameters(twin, b)).collect::<Result<_, _>>()?)
        } else {
            None
        };
        Ok(Self {
            twin,
            file,
            batches,
            draws,
            present,
        })
    }

    /// Whether the plans of a twin are followed in time, instead of taking the fast path.
    #[must_use]
    pub fn follows(definition: &Definition) -> bool {
        !Fast::covers(&definition.file, &definition.models)
    }

    /// The same with few draws: enough to tell which of many plans are worth following; none where all are followed fast.
    #[must_use]
    pub fn roughly(&self) -> Option<Self> {
        self.draws.is_none().then(|| Self {
            twin: self.twin,
            file: self.file,
            batches: self.thinned(ROUGHLY),
            draws: None,
            present: self.present.clone(),
        })
    }

    /// The random effects.
    #[must_use]
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// The draws with the patient's history taken in.
    ///
    /// # Errors
    /// When a model has no finite value for the history.
    pub fn ready(&self) -> Result<Ready<'_>, EngineError> {
        let way = match &self.draws {
            Some(draws) => Way::Fast(Fast::new(self, &self.batches, draws, self.twin.ledger.now)?),
            None => {
                let measured = self.file.measures.iter().map(|m| m.output.as_str());
                Way::Followed(self.pasts(&self.batches, &[0.0], measured)?)
            }
        };
        Ok(Ready { simulator: self, way })
    }

    fn member(&self, batch: &Batch) -> Option<&'a Member> {
        self.twin.members.get(batch.member)
    }

    /// What the draws of each batch went through until now.
    fn pasts<'o>(
        &self,
        batches: &[Batch],
        hours: &[f64],
        outputs: impl Iterator<Item = &'o str> + Clone,
    ) -> Result<Vec<Past>, EngineError> {
        let of = |batch: &Batch| {
            let member = self
                .member(batch)
                .ok_or(EngineError::NotFinite { what: "the posterior" })?;
            past(self.twin, member, &batch.effects, hours, outputs.clone())
        };
        batches.iter().map(of).collect()
    }

    /// Hours of the past and ahead that are drawn, with doses, so that no peak is cut off.
    fn grid(&self, from: f64, to: f64, doses: &[crate::engine::Dose]) -> Vec<f64> {
        grid(from, to, POINTS, doses)
    }

    /// Percentiles of the picture's output over time, of the past and under each plan.
    ///
    /// # Errors
    /// When a model has no finite value on the way.
    pub fn curves(&self, plans: &[Plan]) -> Result<Curves, EngineError> {
        let ledger = &self.twin.ledger;
        let now = ledger.now;
        let end = now + self.file.picture.ahead.as_secs_f64() / 3600.0;
        let thinned = self.thinned(PICTURED);
        let shift = |times: &[f64]| times.iter().map(|t| t - now).collect::<Vec<_>>();
        let past_hours = if now > 0.0 {
            self.grid(self.begins(), now, &ledger.doses)
        } else {
            Vec::new()
        };
        if let Some(draws) = &self.draws {
            let thin: Vec<Draws> = self
                .batches
                .iter()
                .zip(draws)
                .map(|(_, d)| thin(d, self.every(PICTURED)))
                .collect::<Result<_, _>>()?;
            let steps: Vec<f64> = (0..=POINTS)
                .map(|i| now + (end - now) * f64::from(i) / f64::from(POINTS))
                .collect();
            let ahead = Fast::new(self, &self.batches, &thin, now)?.bands(plans, &steps)?;
            let ahead = plans.iter().cloned().zip(ahead).map(|(plan, band)| {
                let hours = shift(&steps);
                (plan, Course { hours, band })
            });
            let mut past = Course::default();
            if !past_hours.is_empty() {
                let stop = [Plan::plain(Kind::Stop, None)];
                let bands = Fast::new(self, &self.batches, &thin, 0.0)?.bands(&stop, &past_hours)?;
                past = Course {
                    hours: shift(&past_hours),
                    band: bands.into_iter().next().unwrap_or_default(),
                };
            }
            return Ok(Curves {
                past,
                ahead: ahead.collect(),
            });
        }
        let output = &self.file.picture.output;
        let pasts = self.pasts(&thinned, &past_hours, std::iter::once(output.as_str()))?;
        let course = |plan: &Plan, hours: &[f64], until: f64| -> Result<Course, EngineError> {
            let mut columns: Vec<Vec<f64>> = vec![Vec::new(); hours.len()];
            for (batch, past) in thinned.iter().zip(&pasts) {
                let Some(member) = self.member(batch) else { continue };
                let Some(subject) = subject(self.twin, self.file, member, plan, until) else {
                    continue;
                };
                let Some((place, followed)) = place(member, output) else {
                    continue;
                };
                let width = followed.width(member.model.system()).max(1);
                courses(member, &subject, &batch.effects, hours, past, |values| {
                    for (column, row) in columns.iter_mut().zip(values.unwrap_or_default().chunks(width)) {
                        column.extend(row.get(place));
                    }
                })?;
            }
            Ok(Course {
                hours: shift(hours),
                band: columns.into_iter().map(Interval::of_owned).collect(),
            })
        };
        let ahead = plans
            .par_iter()
            .map(|plan| {
                let doses = plan.doses(&self.file.treatment, due(self.twin, plan), end);
                Ok((plan.clone(), course(plan, &self.grid(now, end, &doses), end)?))
            })
            .collect::<Result<Vec<_>, EngineError>>()?;
        let past = if past_hours.is_empty() {
            Course::default()
        } else {
            course(&Plan::plain(Kind::Keep, None), &past_hours, now)?
        };
        Ok(Curves { past, ahead })
    }

    /// Where the drawn past begins, hours since the origin.
    fn begins(&self) -> f64 {
        let ledger = &self.twin.ledger;
        let doses = ledger.doses.iter().map(|d| d.time);
        let levels = ledger.levels.iter().map(|l| l.hours);
        let changes = ledger.changes.iter().map(|c| c.hours);
        let first = doses.chain(levels).chain(changes).fold(ledger.now, f64::min);
        if self.draws.is_some() { 0.0 } else { first }
    }

    /// Which draws are kept so that about `n` are left: every k-th.
    fn every(&self, n: usize) -> usize {
        let total: usize = self.batches.iter().map(|b| b.effects.len()).sum();
        total.div_ceil(n).max(1)
    }

    /// About `n` of the draws.
    fn thinned(&self, n: usize) -> Vec<Batch> {
        let every = self.every(n);
        let thin = |batch: &Batch| Batch {
            member: batch.member,
            effects: batch.effects.iter().step_by(every).cloned().collect(),
        };
        self.batches.iter().map(thin).collect()
    }
}

/// Parameters of a batch.
fn parameters(twin: &Twin, batch: &Batch) -> Result<Draws, EngineError> {
    let Some(member) = twin.members.get(batch.member) else {
        return Err(EngineError::NotFinite { what: "the posterior" });
    };
    let system = member.model.system();
    let rows: Vec<f64> = batch
        .effects
        .iter()
        .flat_map(|eta| system.individual(member.subject.typical(), eta))
        .collect();
    Draws::from_rows(system.parameters().len(), rows)
}

fn thin(draws: &Draws, every: usize) -> Result<Draws, EngineError> {
    let width = draws.rows().next().map_or(0, <[f64]>::len);
    Draws::from_rows(width, draws.rows().step_by(every).flatten().copied().collect())
}

/// Draws with the patient's history taken in, to be asked about any number of plans.
pub struct Ready<'a> {
    simulator: &'a Simulator<'a>,
    way: Way<'a>,
}

/// How plans are simulated.
enum Way<'a> {
    /// All together.
    Fast(Fast<'a>),
    /// One by one in time, from what each batch of draws went through until now.
    Followed(Vec<Past>),
}

impl Ready<'_> {
    /// Simulates plans over all draws and takes the `asked` measures (places in the file) from each; with `next_day` the area of
    /// the headline's output over the next 24 hours too.
    ///
    /// # Errors
    /// When a model has no finite value for a plan.
    pub fn run(&self, plans: &[Plan], asked: &[usize], next_day: bool) -> Result<Vec<Simulated>, EngineError> {
        let file = self.simulator.file;
        let of_course: Vec<usize> = asked
            .iter()
            .copied()
            .filter(|i| file.measures.get(*i).is_some_and(|m| !m.take.is_of_plan()))
            .collect();
        let mut all = match &self.way {
            Way::Fast(fast) => fast.run(plans, &of_course, next_day)?,
            Way::Followed(pasts) => plans
                .par_iter()
                .map(|plan| self.simulator.follow_plan(pasts, plan, &of_course, next_day))
                .collect::<Result<Vec<_>, _>>()?,
        };
        let headline = file.headline().and_then(|(_, measure)| measure.by.as_ref());
        let by = headline
            .and_then(|by| by.value(&self.simulator.twin.values))
            .unwrap_or(1.0);
        for simulated in &mut all {
            for &place in asked {
                self.simulator.complete(simulated, place);
            }
            simulated.next_day.iter_mut().for_each(|x| *x /= by);
        }
        Ok(all)
    }
}

impl Simulator<'_> {
    /// Numbers of the plan itself, and what a measure is divided by.
    fn complete(&self, simulated: &mut Simulated, place: usize) {
        let Some(measure) = self.file.measures.get(place) else {
            return;
        };
        let draws: usize = self.batches.iter().map(|b| b.effects.len()).sum();
        let plan = &simulated.plan;
        // Without doses there is no steady state to speak of.
        if plan.regimen.is_none() && measure.window == Window::Steady && !measure.take.is_of_plan() {
            simulated.values.remove(&place);
        }
        match measure.take {
            Take::DosePerWeek => {
                let value = plan.daily_dose() * 7.0;
                simulated.values.insert(place, vec![value; draws]);
            }
            Take::DoseIntensity => {
                if let Some(now) = self.present.as_ref().map(Plan::daily_dose).filter(|d| *d > 0.0) {
                    let late = plan
                        .regimen
                        .map_or(1.0, |r| r.interval_hours / (r.interval_hours + plan.delay));
                    let value = plan.daily_dose() * late / now;
                    simulated.values.insert(place, vec![value; draws]);
                }
            }
            _ => {}
        }
        if let Some(by) = &measure.by {
            match by.value(&self.twin.values).filter(|by| *by != 0.0) {
                Some(by) => {
                    for value in simulated.values.get_mut(&place).into_iter().flatten() {
                        *value /= by;
                    }
                }
                None => {
                    simulated.values.remove(&place);
                }
            }
        }
    }

    /// Follows one plan in time.
    fn follow_plan(
        &self,
        pasts: &[Past],
        plan: &Plan,
        asked: &[usize],
        next_day: bool,
    ) -> Result<Simulated, EngineError> {
        let mut values: BTreeMap<usize, Vec<f64>> = asked.iter().map(|i| (*i, Vec::new())).collect();
        let mut day = Vec::new();
        let (mut failed, mut total) = (0.0, 0.0);
        for (batch, past) in self.batches.iter().zip(pasts) {
            let Some(member) = self.member(batch) else { continue };
            for steady in [false, true] {
                let places: Vec<usize> = asked
                    .iter()
                    .copied()
                    .filter(|i| (self.file.measures.get(*i)).is_some_and(|m| (m.window == Window::Steady) == steady))
                    .collect();
                let with_day = next_day && !steady;
                if places.is_empty() && !with_day {
                    continue;
                }
                let Some(task) = Task::new(self.twin, self.file, member, plan, &places, with_day) else {
                    for place in &places {
                        let none = batch.effects.iter().map(|_| f64::NAN);
                        values.entry(*place).or_default().extend(none);
                    }
                    continue;
                };
                task.run(member, &batch.effects, past, |solved, numbers| {
                    total += 1.0;
                    failed += f64::from(u8::from(!solved));
                    for (place, number) in numbers {
                        match place {
                            Some(place) => values.entry(place).or_default().push(number),
                            None => day.push(number),
                        }
                    }
                })?;
            }
        }
        if failed > MOST_FAILED * total {
            return Err(EngineError::NotFinite {
                what: "the course under a plan",
            });
        }
        Ok(Simulated {
            plan: plan.clone(),
            values,
            next_day: day,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::path::Path;

    use jiff::{Timestamp, ToSpan, tz::TimeZone};

    use super::*;
    use crate::{
        model::formula::Values,
        patient::facts::{Bound, Facts, Given, Measurement, Person, Regimen, Sex, Source},
        twin::{ledger::Ledger, values::gather},
        wording::Language,
    };

    fn now() -> Timestamp {
        "2026-01-15T12:00:00Z".parse().unwrap()
    }

    fn source() -> Source {
        Source {
            reference: "Observation/1".into(),
            version: None,
        }
    }

    fn measured(value: f64, hours_ago: i64) -> Measurement {
        Measurement {
            value,
            bound: Bound::Exact,
            time: now() - hours_ago.hours(),
            converted_from: None,
            preliminary: false,
            recorded_as: String::new(),
            source: source(),
        }
    }

    /// A man on 1000 mg every 12 h of a drug given over 1 h, with what was measured.
    fn facts(measurements: &[(&str, f64, i64)]) -> Facts {
        let mut facts = Facts {
            person: Person {
                id: "p".into(),
                birth_date: Some("1960-01-01".parse().unwrap()),
                sex: Sex::Male,
                deceased: false,
                source: source(),
            },
            measured: BTreeMap::new(),
            flags: BTreeMap::new(),
            tested_negative: BTreeMap::new(),
            categories: BTreeMap::new(),
            given: [40_i64, 28, 16, 4]
                .map(|ago| Given {
                    time: now() - ago.hours(),
                    amount: 1000.0,
                    duration_hours: 1.0,
                    duration_assumed: false,
                    assumed_from_order: false,
                    source: source(),
                })
                .into(),
            orders: Vec::new(),
            ignored: Vec::new(),
            assumed: Vec::new(),
        };
        for (name, value, ago) in measurements {
            facts
                .measured
                .entry((*name).to_owned())
                .or_default()
                .push(measured(*value, *ago));
        }
        facts
    }

    fn twin(definition: &Definition, facts: &Facts) -> Twin {
        let ledger = Ledger::new(&definition.file, facts, now());
        let values: Values = gather(&definition.file, facts, &ledger, None, now(), &TimeZone::UTC);
        Twin::fit(definition, values, ledger, None, Language::English).unwrap()
    }

    fn plan(amount: f64, interval_hours: f64) -> Plan {
        let regimen = Regimen {
            amount,
            interval_hours,
            duration_hours: 1.0,
        };
        Plan::plain(Kind::Change, Some(regimen))
    }

    #[test]
    fn the_fast_path_gives_what_is_found_by_following() {
        let definition = Definition::load(Path::new("models/vancomycin")).unwrap();
        let facts = facts(&[("wt", 80.0, 40), ("scr", 1.0, 5), ("C", 14.0, 5)]);
        let twin = twin(&definition, &facts);
        let file = &definition.file;
        let fast = Simulator::new(&twin, file, twin.draws(100), None).unwrap();
        assert!(fast.draws.is_some());
        let mut followed = Simulator::new(&twin, file, twin.draws(100), None).unwrap();
        followed.draws = None;
        let plans = [plan(1000.0, 12.0), plan(750.0, 8.0), plan(2000.0, 48.0)];
        let all: Vec<usize> = (0..file.measures.len()).collect();
        let a = fast.ready().unwrap().run(&plans, &all, true).unwrap();
        let b = followed.ready().unwrap().run(&plans, &all, true).unwrap();
        for (a, b) in a.iter().zip(&b) {
            for (place, values) in &a.values {
                for (x, y) in values.iter().zip(&b.values[place]) {
                    assert!(
                        (x / y - 1.0).abs() < 5e-3,
                        "{} {:?}: {x} {y}",
                        file.measures[*place].name,
                        a.plan
                    );
                }
            }
            for (x, y) in a.next_day.iter().zip(&b.next_day) {
                assert!((x / y - 1.0).abs() < 5e-3, "next day: {x} {y}");
            }
        }
    }

    #[test]
    fn without_doses_there_is_no_steady_state_and_a_course_all_the_same() {
        let definition = Definition::load(Path::new("models/vancomycin")).unwrap();
        let facts = facts(&[("wt", 80.0, 40), ("scr", 1.0, 5)]);
        let twin = twin(&definition, &facts);
        let simulator = Simulator::new(&twin, &definition.file, twin.draws(100), None).unwrap();
        let stop = Plan::plain(Kind::Stop, None);
        let all: Vec<usize> = (0..definition.file.measures.len()).collect();
        let simulated = simulator
            .ready()
            .unwrap()
            .run(std::slice::from_ref(&stop), &all, false)
            .unwrap();
        assert!(simulated[0].values.is_empty());
        let curves = simulator.curves(std::slice::from_ref(&stop)).unwrap();
        let band = &curves.ahead[0].1.band;
        assert!(
            band.first().unwrap().p50 > 4.0 * band.last().unwrap().p50,
            "what is in the body is cleared"
        );
        assert!(curves.past.band.iter().any(|b| b.p50 > 10.0));
    }

    #[test]
    fn a_genotype_that_is_not_known_is_every_genotype_by_its_frequency() {
        let definition = Definition::load(Path::new("models/warfarin")).unwrap();
        let mut facts = facts(&[]);
        facts.given.clear();
        let unknown = twin(&definition, &facts);
        assert_eq!(unknown.members.len(), 18);
        let chances = unknown.guessed();
        assert_eq!(chances["cyp"][0].0, "*1/*1");
        assert!(
            (chances["cyp"][0].1 - 0.587).abs() < 1e-3,
            "nothing was measured: as frequent as in the cohort"
        );
        // An INR that shoots up speaks for sensitive ones.
        facts = self::facts(&[("INR", 4.0, 2)]);
        for given in &mut facts.given {
            given.amount = 5.0;
            given.duration_hours = 0.0;
        }
        let known = twin(&definition, &facts).guessed();
        let of = |levels: &[(String, f64)], name: &str| levels.iter().find(|(level, _)| level == name).unwrap().1;
        assert!(of(&known["vk"], "AA") > of(&chances["vk"], "AA"));
    }
}
