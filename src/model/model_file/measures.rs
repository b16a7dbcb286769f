//! `[measures.X]`: numbers taken from a whole course, such as an area, a nadir or the time above a threshold.

use super::super::table::Table;
use super::read::Reader;
use super::{Model, ModelError};
use crate::engine::{EngineError, Follower, Precision, Subject, Trajectory, Values};
use crate::lang::{Equations, NodeId, Program, Unit, parser};

/// Points at which a window is first looked at.
const GRID: usize = 256;
/// Points of each closer look, and how many looks.
const CLOSER: usize = 64;
const LOOKS: usize = 3;
/// Most points of a grid given by the model.
const MOST_POINTS: f64 = 200_000.0;

/// Functions of a course.
const FUNCTIONS: [(&str, Function); 9] = [
    ("area", Function::Area),
    ("mean", Function::Mean),
    ("highest", Function::Highest),
    ("lowest", Function::Lowest),
    ("time_of_highest", Function::TimeOfHighest),
    ("time_of_lowest", Function::TimeOfLowest),
    ("time_where", Function::TimeWhere),
    ("first_time", Function::FirstTime),
    ("at", Function::At),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Area,
    Mean,
    Highest,
    Lowest,
    TimeOfHighest,
    TimeOfLowest,
    TimeWhere,
    FirstTime,
    At,
}

/// A function of a course within a measure.
#[derive(Debug, Clone, Copy)]
struct Call {
    function: Function,
    /// Place among the values of a course.
    place: usize,
    /// Place of its value among the values a measure is made of.
    stands_at: usize,
}

/// A number taken from a whole course.
#[derive(Debug, Clone)]
pub struct Measure {
    /// Its name.
    pub name: String,
    /// Its unit, a UCUM code.
    pub unit: String,
    calls: Vec<Call>,
    /// From fixed values and the values of calls and earlier measures to the measure, its window (start, end), its grid, and
    /// the times of `at`. NaN where the file says nothing.
    program: Program,
    stands_at: usize,
}

/// Measures while the file is being read.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) list: Vec<Draft>,
    /// Expressions to follow.
    probes: Vec<NodeId>,
    /// Expressions whose area is followed.
    pub(super) areas: Vec<NodeId>,
    /// What stands for calls and measures, in the order of the values.
    stand_ins: Vec<NodeId>,
}

pub(super) struct Draft {
    name: String,
    unit: String,
    calls: Vec<(Function, usize, usize)>,
    outputs: Vec<NodeId>,
    stands_at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn measures(
        &self,
        table: &Table<'_, 'a>,
        equations: &mut Equations,
        time: &Unit,
        has_cycle: bool,
    ) -> Result<Drafts, ModelError> {
        let mut drafts = Drafts::default();
        for entry in table.entries() {
            let mut table = self.named(&entry, "the measure")?;
            let formula = table.required_text("is", "such as \"area(C)\"")?;
            let unit = table.required_text("unit", "a UCUM code")?;
            let mut window = Vec::new();
            for key in ["from", "to", "every"] {
                let node = match table.get(key) {
                    None => equations.graph.constant(f64::NAN),
                    Some(value) => {
                        let text = self.formula_or_number(value)?;
                        self.still(equations, &text)?
                    }
                };
                window.push(node);
            }
            let _doc = table.text("doc")?;
            table.finish()?;
            let declared = self.unit(&unit)?;
            if equations.knows(entry.key) {
                return Err(self
                    .source
                    .error(entry.at, format!("the name `{}` is already taken", entry.key)));
            }
            let expr = parser::formula(formula.get_ref()).map_err(|error| self.inside(&formula, &error))?;
            let mut calls = Vec::new();
            let mut times = Vec::new();
            let names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
            let mut read_call = |name: &'static str, list: &[parser::Expr], span: &std::ops::Range<usize>| {
                let function = FUNCTIONS
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map_or(Function::Area, |(_, f)| *f);
                let wanted = if function == Function::At { 2 } else { 1 };
                let (Some(first), true) = (list.first(), list.len() == wanted) else {
                    let message = format!("`{name}` takes {wanted} value(s), found {}", list.len());
                    return Err(crate::lang::LangError::new(span.clone(), message));
                };
                let argument = equations.formula(first)?;
                if function == Function::At {
                    times.push(equations.numbers(&list[1])?);
                }
                let unit = match function {
                    Function::Area => argument.unit.map(|unit| unit.times(time)),
                    Function::Mean | Function::Highest | Function::Lowest | Function::At => argument.unit,
                    _ => Some(time.clone()),
                };
                let place = match function {
                    Function::Area | Function::Mean => {
                        drafts.areas.push(argument.node);
                        drafts.areas.len() - 1
                    }
                    _ => {
                        drafts.probes.push(argument.node);
                        drafts.probes.len() - 1
                    }
                };
                let stand_in = format!("measure {}", drafts.stand_ins.len());
                let node = equations.declare_value(&stand_in, unit).unwrap_or_default();
                drafts.stand_ins.push(node);
                calls.push((function, place, drafts.stand_ins.len() - 1));
                Ok(stand_in)
            };
            let expr = expr
                .replace_calls(&names, &mut read_call)
                .map_err(|error| self.inside(&formula, &error))?;
            if has_cycle
                && calls
                    .iter()
                    .any(|(f, ..)| matches!(f, Function::FirstTime | Function::TimeWhere))
            {
                return Err(self
                    .source
                    .error(formula.span().start, "a model that repeats itself has no first time"));
            }
            let value = equations
                .formula(&expr)
                .map_err(|error| self.inside(&formula, &error))?;
            if let Some(found) = value.unit.as_ref().filter(|found| !declared.same(found)) {
                return Err(self.source.error(
                    unit.span().start,
                    format!("`{}` has another unit: {}", entry.key, declared.difference(found)),
                ));
            }
            if equations.moves(value.node) {
                return Err(self.source.error_with(
                    formula.span().start,
                    format!(
                        "`{}` is not one number: it still depends on the time or on a state",
                        entry.key
                    ),
                    "take a number from the course: area(..), highest(..), lowest(..), at(.., time) and the like",
                ));
            }
            let node = equations.declare_value(entry.key, value.unit).unwrap_or_default();
            drafts.stand_ins.push(node);
            let outputs = [value.node].into_iter().chain(window).chain(times).collect();
            drafts.list.push(Draft {
                name: entry.key.to_owned(),
                unit: unit.into_inner(),
                calls,
                outputs,
                stands_at: drafts.stand_ins.len() - 1,
            });
        }
        Ok(drafts)
    }
}

impl Drafts {
    /// What is to be followed: states and results by their names, then what the measures look at.
    pub(super) fn followed(&self, equations: &Equations) -> Vec<(String, NodeId)> {
        let states = equations
            .states
            .iter()
            .chain(&equations.clocked)
            .map(|s| (s.name.clone(), s.node));
        let results = equations.assigned.iter().map(|a| (a.name.clone(), a.node));
        let probes = self
            .probes
            .iter()
            .enumerate()
            .map(|(i, node)| (format!("measure {i}"), *node));
        states.chain(results).chain(probes).collect()
    }

    /// Measures ready for use; `outputs` is how many outputs the system has.
    pub(super) fn finish(&self, equations: &Equations, outputs: usize) -> Vec<Measure> {
        let named = equations.states.len() + equations.clocked.len() + equations.assigned.len();
        let first_probe = outputs + named;
        let first_area = first_probe + self.probes.len();
        let fixed = equations
            .parameters
            .iter()
            .chain(&equations.inputs)
            .chain(&equations.covariates);
        let given: Vec<NodeId> = fixed.chain(&self.stand_ins).copied().collect();
        self.list
            .iter()
            .map(|draft| Measure {
                name: draft.name.clone(),
                unit: draft.unit.clone(),
                calls: draft
                    .calls
                    .iter()
                    .map(|(function, place, stands_at)| Call {
                        function: *function,
                        place: match function {
                            Function::Area | Function::Mean => first_area + place,
                            _ => first_probe + place,
                        },
                        stands_at: *stands_at,
                    })
                    .collect(),
                program: Program::over(&equations.graph, &given, &draft.outputs),
                stands_at: draft.stands_at,
            })
            .collect()
    }
}

/// Follows one individual and remembers what was looked at.
struct Looker<'m> {
    model: &'m Model,
    subject: &'m Subject,
    follower: Follower<'m>,
    /// Courses on the grid of a window.
    windows: Vec<([f64; 3], Vec<f64>, Trajectory)>,
}

impl Model {
    /// The measures of one individual, for each of the `rows` (times): a measure whose window has no end of its own ends there.
    /// NaN where there is no such number, as for a time that never comes.
    ///
    /// # Errors
    /// As [`crate::engine::course`].
    pub fn measure(
        &self,
        subject: &Subject,
        individual: Values<'_>,
        rows: &[f64],
        precision: Precision,
    ) -> Result<Vec<Vec<f64>>, EngineError> {
        if self.measures.is_empty() {
            return Ok(vec![Vec::new(); rows.len()]);
        }
        let mut looker = Looker {
            model: self,
            subject,
            follower: Follower::new(&self.system, subject, individual, precision)?,
            windows: Vec::new(),
        };
        let fixed = looker.follower.fixed().to_vec();
        let mut table = Vec::with_capacity(rows.len());
        for row in rows {
            table.push(looker.row(&fixed, *row)?);
        }
        Ok(table)
    }
}

impl Looker<'_> {
    /// All measures at one row.
    fn row(&mut self, fixed: &[f64], row: f64) -> Result<Vec<f64>, EngineError> {
        let count = self.model.measures.iter().map(|m| m.stands_at + 1).max().unwrap_or(0);
        let mut values = vec![f64::NAN; count];
        let measures = &self.model.measures;
        for measure in measures {
            let run = |values: &[f64]| measure.program.values(&[fixed, values].concat());
            let found = run(&values);
            let said = |i: usize| found.get(i).copied().filter(|x| !x.is_nan());
            let cycle = self.model.system.cycle_length(fixed);
            let window = [
                said(1).unwrap_or(0.0),
                said(2).unwrap_or(cycle.unwrap_or(row)),
                said(3).unwrap_or(0.0),
            ];
            let mut times = found.iter().skip(4);
            for call in &measure.calls {
                let time = if call.function == Function::At {
                    times.next().copied().unwrap_or(f64::NAN)
                } else {
                    f64::NAN
                };
                let value = self.call(call, window, time)?;
                if let Some(cell) = values.get_mut(call.stands_at) {
                    *cell = value;
                }
            }
            let value = run(&values).first().copied().unwrap_or(f64::NAN);
            if let Some(cell) = values.get_mut(measure.stands_at) {
                *cell = value;
            }
        }
        Ok(measures
            .iter()
            .filter_map(|m| values.get(m.stands_at))
            .copied()
            .collect())
    }

    fn call(&mut self, call: &Call, window: [f64; 3], time: f64) -> Result<f64, EngineError> {
        let [from, to, every] = window;
        let span = to - from;
        if call.function == Function::At {
            if !time.is_finite() {
                return Ok(f64::NAN);
            }
            let course = self.follower.course(&[time])?;
            return Ok(course.at(0).get(call.place).copied().unwrap_or(f64::NAN));
        }
        if !span.is_finite() || span < 0.0 {
            return Ok(f64::NAN);
        }
        if matches!(call.function, Function::Area | Function::Mean) {
            let course = self.follower.course(&[from, to])?;
            let at = |i: usize| course.at(i).get(call.place).copied().unwrap_or(f64::NAN);
            let area = at(1) - at(0);
            return Ok(if call.function == Function::Area {
                area
            } else {
                area / span
            });
        }
        let grid = self.window(window)?;
        let (_, times, course) = &self.windows[grid];
        let values: Vec<f64> = (0..times.len())
            .map(|i| course.at(i).get(call.place).copied().unwrap_or(f64::NAN))
            .collect();
        let times = times.clone();
        let closer = every == 0.0;
        match call.function {
            Function::Highest | Function::TimeOfHighest => {
                let (time, value) = self.extreme(call.place, &times, &values, 1.0, closer)?;
                Ok(if call.function == Function::Highest {
                    value
                } else {
                    time
                })
            }
            Function::Lowest | Function::TimeOfLowest => {
                let (time, value) = self.extreme(call.place, &times, &values, -1.0, closer)?;
                Ok(if call.function == Function::Lowest { value } else { time })
            }
            Function::FirstTime => {
                let Some(first) = values.iter().position(|x| *x != 0.0 && !x.is_nan()) else {
                    return Ok(f64::NAN);
                };
                match first.checked_sub(1) {
                    Some(before) if closer => self.change(call.place, times[before], times[first]),
                    _ => Ok(times[first]),
                }
            }
            _ => {
                let mut sum = 0.0;
                for i in 1..times.len() {
                    let (a, b) = (values[i - 1] != 0.0, values[i] != 0.0);
                    let (left, right) = (times[i - 1], times[i]);
                    sum += match (a, b) {
                        (true, true) => right - left,
                        (false, false) => 0.0,
                        (true, false) if closer => self.change(call.place, left, right)? - left,
                        (false, true) if closer => right - self.change(call.place, left, right)?,
                        (true, false) => right - left,
                        (false, true) => 0.0,
                    };
                }
                Ok(sum)
            }
        }
    }

    /// The course on the grid of a window; its place among those remembered.
    fn window(&mut self, window: [f64; 3]) -> Result<usize, EngineError> {
        if let Some(known) = self.windows.iter().position(|(known, ..)| *known == window) {
            return Ok(known);
        }
        let [from, to, every] = window;
        let span = to - from;
        let mut times = Vec::new();
        if every > 0.0 {
            if span / every > MOST_POINTS {
                return Err(EngineError::Input {
                    what: "the grid of a measure",
                    why: format!("{from} to {to} every {every} are too many points"),
                });
            }
            let mut k = 0.0;
            while from + k * every <= to {
                times.push(from + k * every);
                k += 1.0;
            }
        } else {
            times.extend((0..=GRID).map(|i| from + span * i as f64 / GRID as f64));
            // Just before and just after whatever happens.
            let doses = self.subject.doses.iter().flat_map(|given| {
                let dose = given.dose;
                [dose.time, dose.time + 1e-9 * span, dose.time + dose.duration]
            });
            let changes = self.subject.regimes.iter().map(|regime| regime.from);
            times.extend(doses.chain(changes).filter(|t| *t > from && *t < to));
            times.sort_by(f64::total_cmp);
            times.dedup();
        }
        let course = self.follower.course(&times)?;
        self.windows.push((window, times, course));
        Ok(self.windows.len() - 1)
    }

    /// Time and value of the largest value times `sign`, first on the grid and then ever closer.
    fn extreme(
        &mut self,
        place: usize,
        times: &[f64],
        values: &[f64],
        sign: f64,
        closer: bool,
    ) -> Result<(f64, f64), EngineError> {
        let best_of = |values: &[f64]| {
            (0..values.len())
                .filter(|i| !values[*i].is_nan())
                .reduce(|a, b| if sign * values[b] > sign * values[a] { b } else { a })
        };
        let Some(mut best) = best_of(values) else {
            return Ok((f64::NAN, f64::NAN));
        };
        let (mut times, mut values) = (times.to_vec(), values.to_vec());
        for _ in 0..if closer { LOOKS } else { 0 } {
            let (time, value) = (times[best], values[best]);
            let left = times[best.saturating_sub(1)];
            let right = times[(best + 1).min(times.len() - 1)];
            if right - left <= 1e-12 * right.abs() {
                break;
            }
            let mut near: Vec<f64> = (0..=CLOSER)
                .map(|i| left + (right - left) * i as f64 / CLOSER as f64)
                .collect();
            near.push(time);
            near.sort_by(f64::total_cmp);
            let course = self.follower.course(&near)?;
            values = (0..near.len())
                .map(|i| course.at(i).get(place).copied().unwrap_or(f64::NAN))
                .collect();
            times = near;
            best = match best_of(&values) {
                Some(found) if sign * values[found] >= sign * value => found,
                // Rounding: the point known is as good as any.
                _ => return Ok((time, value)),
            };
        }
        Ok((times[best], values[best]))
    }

    /// When a condition changes between two times.
    fn change(&mut self, place: usize, mut left: f64, mut right: f64) -> Result<f64, EngineError> {
        for _ in 0..LOOKS {
            let near: Vec<f64> = (0..=CLOSER)
                .map(|i| left + (right - left) * i as f64 / CLOSER as f64)
                .collect();
            let course = self.follower.course(&near)?;
            let truth = |i: usize| course.at(i).get(place).is_some_and(|x| *x != 0.0);
            let first = truth(0);
            let Some(changed) = (1..near.len()).find(|i| truth(*i) != first) else {
                break;
            };
            (left, right) = (near[changed - 1], near[changed]);
        }
        Ok(right)
    }
}
