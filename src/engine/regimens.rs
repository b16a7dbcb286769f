//! Many regimens for many parameter sets, starting from what the patient has already been given.
//!
//! Parameter sets are taken in blocks of [`LANES`]. For a block, the exponentials of every step length that occurs in any
//! regimen are computed once; the states of the block then stay in registers from step to step, and nothing else is
//! computed: one multiplication a mode and step while no infusion runs.

use super::linear::Coefficients;
use super::modes::{Modes, growth};
use super::steady;
use super::system::System;
use super::timeline::{Timeline, check_doses};
use super::{Dose, Draws, EngineError, SteadyState, auc};
use rayon::prelude::*;

/// Parameter sets simulated side by side.
pub const LANES: usize = 8;
/// More doses than this in one simulation is a mistake.
const MOST_DOSES: f64 = 100_000.0;

/// One value for each set of a block.
pub(crate) type Lanes = [f64; LANES];

/// A first dose that differs from the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loading {
    /// How much, in the unit of amount of the model.
    pub amount: f64,
    /// How long its infusion lasts, in the unit of time; 0 is a bolus.
    pub duration: f64,
}

/// A dose repeated at a fixed interval, for ever.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regimen {
    /// Replaces the first dose, if there is one.
    pub loading: Option<Loading>,
    /// Each dose, in the unit of amount of the model.
    pub amount: f64,
    /// Time from one dose to the next, in the unit of time.
    pub interval: f64,
    /// How long each infusion lasts; 0 is a bolus.
    pub duration: f64,
    /// When the first dose (the loading dose, if there is one) starts.
    pub start: f64,
}

impl Regimen {
    /// The doses that start before `end`.
    ///
    /// # Errors
    /// A regimen that makes no sense, or an absurd number of doses.
    pub fn doses_before(&self, end: f64) -> Result<Vec<Dose>, EngineError> {
        steady::check(self.amount, self.interval, self.duration)?;
        let first = match self.loading {
            Some(loading) => Dose {
                time: self.start,
                amount: loading.amount,
                duration: loading.duration,
            },
            None => Dose {
                time: self.start,
                amount: self.amount,
                duration: self.duration,
            },
        };
        check_doses(&[first])?;
        let count = ((end - self.start) / self.interval).ceil().max(0.0);
        if count.is_nan() || count > MOST_DOSES {
            return Err(EngineError::input("a regimen", format!("{count} doses before {end}")));
        }
        let mut doses = Vec::new();
        let mut k = 0.0;
        while self.start + k * self.interval < end {
            doses.push(if k == 0.0 {
                first
            } else {
                Dose {
                    time: self.start + k * self.interval,
                    amount: self.amount,
                    duration: self.duration,
                }
            });
            k += 1.0;
        }
        Ok(doses)
    }
}

/// What one regimen does in each parameter set, in the order of the draws.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measures {
    /// Area over the span asked for, once the regimen has settled.
    pub auc_steady: Vec<f64>,
    /// Highest output within an interval, once settled.
    pub peak_steady: Vec<f64>,
    /// Output just before a dose, once settled.
    pub trough_steady: Vec<f64>,
    /// Area over the window asked for, counting what was given before; empty if no window was asked for.
    pub auc_window: Vec<f64>,
}

/// The modes of a block of parameter sets, and where they stand now.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) rate: Vec<Lanes>,
    pub(crate) weight: Vec<Lanes>,
    pub(crate) offset: Lanes,
    pub(crate) state: Vec<Lanes>,
}

/// Parameter sets with the patient's history taken in, ready for any number of regimens.
#[derive(Debug, Clone)]
pub struct Prepared<'a> {
    pub(crate) system: &'a System,
    pub(crate) draws: &'a Draws,
    pub(crate) output: usize,
    pub(crate) history: Vec<Dose>,
    /// What of the history is still to enter: the rest of a running infusion, doses already ordered.
    pub(crate) pending: Vec<Dose>,
    pub(crate) now: f64,
    pub(crate) blocks: Vec<Block>,
    /// Sets without separate real modes: computed one by one.
    pub(crate) odd: Vec<usize>,
}

impl<'a> Prepared<'a> {
    /// Takes in the doses already given (or running, or ordered) and computes where each set stands at `now`.
    ///
    /// # Errors
    /// Unusable input, or a set in which the model has no finite value.
    pub fn new(
        system: &'a System,
        draws: &'a Draws,
        history: &[Dose],
        now: f64,
        output: usize,
    ) -> Result<Self, EngineError> {
        system.check_output(output)?;
        let timeline = Timeline::new(history, &[now])?;
        let pending = history
            .iter()
            .filter(|dose| dose.time >= now || dose.time + dose.duration > now)
            .map(|dose| {
                let time = dose.time.max(now);
                let duration = dose.time + dose.duration - time;
                let left = if dose.duration > 0.0 {
                    duration / dose.duration
                } else {
                    1.0
                };
                Dose {
                    time,
                    amount: dose.amount * left,
                    duration: if dose.duration > 0.0 { duration } else { 0.0 },
                }
            })
            .collect();
        let linear = system.linear()?;
        let n = linear.states();
        let mut modes = Modes::new(linear);
        let mut coefficients = Coefficients::default();
        let mut state = vec![0.0; n];
        let mut blocks = Vec::with_capacity(draws.len().div_ceil(LANES));
        let mut odd = Vec::new();
        let rows: Vec<&[f64]> = draws.rows().collect();
        for (b, rows) in rows.chunks(LANES).enumerate() {
            let mut block = Block {
                rate: vec![[-1.0; LANES]; n],
                weight: vec![[0.0; LANES]; n],
                offset: [0.0; LANES],
                state: vec![[0.0; LANES]; n],
            };
            for (lane, row) in rows.iter().enumerate() {
                system.check_parameters(row)?;
                linear.coefficients(row, &mut coefficients);
                let c = &coefficients;
                if !modes.set(&c.matrix, &c.readout, &c.offset, linear.dose_state()) {
                    odd.push(b * LANES + lane);
                    continue;
                }
                carry(&modes, &timeline, &mut state);
                block.offset[lane] = modes.offset[output];
                for k in 0..n {
                    block.rate[k][lane] = modes.rate()[k];
                    block.weight[k][lane] = modes.weight[output * n + k];
                    block.state[k][lane] = state[k];
                }
                let fine = block.offset[lane].is_finite()
                    && (0..n).all(|k| block.weight[k][lane].is_finite() && block.state[k][lane].is_finite());
                if !fine {
                    return Err(EngineError::NotFinite {
                        what: "the state of a draw",
                    });
                }
            }
            blocks.push(block);
        }
        Ok(Self {
            system,
            draws,
            output,
            history: history.to_vec(),
            pending,
            now,
            blocks,
            odd,
        })
    }

    /// How many parameter sets there are.
    pub fn len(&self) -> usize {
        self.draws.len()
    }

    /// The moment up to which the history was taken in.
    pub fn now(&self) -> f64 {
        self.now
    }

    /// Whether there is no parameter set.
    pub fn is_empty(&self) -> bool {
        self.draws.is_empty()
    }

    /// Doses of a regimen and what is pending, up to `end`.
    pub(crate) fn future(&self, regimen: &Regimen, end: f64) -> Result<Vec<Dose>, EngineError> {
        if !(regimen.start.is_finite() && regimen.start >= self.now) {
            return Err(EngineError::input(
                "a regimen",
                format!("it starts at {}, before the present {}", regimen.start, self.now),
            ));
        }
        let mut doses = regimen.doses_before(end)?;
        doses.extend_from_slice(&self.pending);
        Ok(doses)
    }

    /// All doses a set sees: given, pending and of the regimen. For sets computed one by one.
    pub(crate) fn all_doses(&self, regimen: &Regimen, end: f64) -> Result<Vec<Dose>, EngineError> {
        let mut doses = regimen.doses_before(end)?;
        doses.extend_from_slice(&self.history);
        Ok(doses)
    }

    /// Summary measures of each regimen in each set. `span` is the length of time of `auc_steady` (24 h for a daily
    /// exposure); `window` asks for the area between two times, from `now` on.
    ///
    /// # Errors
    /// Unusable input, a system that does not settle, or a value that is not finite.
    pub fn measures(
        &self,
        regimens: &[Regimen],
        span: f64,
        window: Option<(f64, f64)>,
    ) -> Result<Vec<Measures>, EngineError> {
        if !(span.is_finite() && span > 0.0) {
            return Err(EngineError::input("the span of an exposure", span.to_string()));
        }
        let mut shared = Timeline::default();
        let mut layouts = Vec::with_capacity(regimens.len());
        for regimen in regimens {
            steady::check(regimen.amount, regimen.interval, regimen.duration)?;
            if let Some((from, to)) = window {
                if !(from >= self.now && to >= from && to.is_finite()) {
                    return Err(EngineError::input(
                        "the window of an exposure",
                        format!("from {from} to {to}"),
                    ));
                }
                // The first mark stands at the present, where the states are known.
                shared.lay_out(&self.future(regimen, to)?, &[self.now, from, to])?;
                layouts.push(Layout::of(&shared));
            }
        }
        let steps = shared.steps;
        let width = window.map_or(0.0, |(from, to)| to - from);
        let parts: Vec<Vec<[Lanes; 4]>> = self
            .blocks
            .par_iter()
            .with_min_len(64)
            .map(|block| block.measures(regimens, span, &steps, &layouts, width))
            .collect();
        let mut all = Vec::with_capacity(regimens.len());
        for r in 0..regimens.len() {
            let column = |which: usize| -> Vec<f64> {
                let mut out: Vec<f64> = parts.iter().flat_map(|part| part[r][which]).collect();
                out.truncate(self.len());
                out
            };
            let auc_window = if window.is_some() { column(3) } else { Vec::new() };
            all.push(Measures {
                auc_steady: column(0),
                peak_steady: column(1),
                trough_steady: column(2),
                auc_window,
            });
        }
        self.measure_odd(regimens, span, window, &mut all)?;
        let fine = |list: &[f64]| list.iter().all(|x| x.is_finite());
        let all_fine = all
            .iter()
            .all(|m| fine(&m.auc_steady) && fine(&m.peak_steady) && fine(&m.trough_steady) && fine(&m.auc_window));
        if all_fine {
            Ok(all)
        } else {
            Err(EngineError::NotFinite {
                what: "a measure of a regimen",
            })
        }
    }

    /// Area over `span` of each regimen once it has settled, in each set: what [`Prepared::measures`] gives as
    /// `auc_steady`, at the price of one multiplication, since it depends on the dose a unit of time alone.
    ///
    /// # Errors
    /// As [`Prepared::measures`].
    pub fn exposures(&self, regimens: &[Regimen], span: f64) -> Result<Vec<Vec<f64>>, EngineError> {
        if !(span.is_finite() && span > 0.0) {
            return Err(EngineError::input("the span of an exposure", span.to_string()));
        }
        // Area under a single unit dose, and the offset, of each set.
        let mut unit: Vec<f64> = Vec::with_capacity(self.len() + LANES);
        let mut offset: Vec<f64> = Vec::with_capacity(self.len() + LANES);
        for block in &self.blocks {
            for lane in 0..LANES {
                let modes = block.rate.iter().zip(&block.weight);
                unit.push(
                    modes
                        .map(|(rate, weight)| {
                            if rate[lane] < 0.0 {
                                -weight[lane] / rate[lane]
                            } else {
                                f64::NAN
                            }
                        })
                        .sum(),
                );
                offset.push(block.offset[lane]);
            }
        }
        unit.truncate(self.len());
        let rows: Vec<&[f64]> = self.draws.rows().collect();
        let mut all = Vec::with_capacity(regimens.len());
        for regimen in regimens {
            steady::check(regimen.amount, regimen.interval, regimen.duration)?;
            let daily = regimen.amount * span / regimen.interval;
            let mut areas: Vec<f64> = unit
                .iter()
                .zip(&offset)
                .map(|(unit, offset)| unit * daily + offset * span)
                .collect();
            for place in &self.odd {
                let Regimen {
                    amount,
                    interval,
                    duration,
                    ..
                } = *regimen;
                let found = SteadyState::of(self.system, rows[*place], amount, interval, duration, self.output)?;
                areas[*place] = found.auc_over(span, interval);
            }
            if areas.iter().any(|area| !area.is_finite()) {
                return Err(EngineError::NotFinite {
                    what: "a measure of a regimen",
                });
            }
            all.push(areas);
        }
        Ok(all)
    }

    /// Sets without modes, and windows in which a mode hardly moves: one by one.
    fn measure_odd(
        &self,
        regimens: &[Regimen],
        span: f64,
        window: Option<(f64, f64)>,
        all: &mut [Measures],
    ) -> Result<(), EngineError> {
        let rows: Vec<&[f64]> = self.draws.rows().collect();
        for (regimen, measures) in regimens.iter().zip(all) {
            for place in &self.odd {
                let found = SteadyState::of(
                    self.system,
                    rows[*place],
                    regimen.amount,
                    regimen.interval,
                    regimen.duration,
                    self.output,
                )?;
                measures.auc_steady[*place] = found.auc_over(span, regimen.interval);
                measures.peak_steady[*place] = found.peak;
                measures.trough_steady[*place] = found.trough;
            }
            if let Some((from, to)) = window {
                let slow = (0..self.len()).filter(|place| measures.auc_window[*place].is_nan());
                let again: Vec<usize> = self.odd.iter().copied().chain(slow).collect();
                if !again.is_empty() {
                    let doses = self.all_doses(regimen, to)?;
                    for place in again {
                        measures.auc_window[place] = auc(self.system, rows[place], &doses, self.output, from, to)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Each mode at the end of a timeline.
fn carry(modes: &Modes, timeline: &Timeline, state: &mut [f64]) {
    for (k, state) in state.iter_mut().enumerate() {
        let table: Vec<(f64, f64, f64)> = timeline
            .steps
            .iter()
            .map(|step| growth(modes.rate()[k], *step))
            .collect();
        *state = 0.0;
        let last = timeline.segments.len().saturating_sub(1);
        for (i, segment) in timeline.segments.iter().enumerate() {
            let (e, integral, _) = table[segment.step];
            *state = *state * e + segment.rate * integral;
            // A bolus at the last time is not yet given: it is pending.
            if i < last {
                *state += segment.bolus;
            }
        }
    }
}

/// The segments of one regimen; step lengths are in a table shared by all.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) segments: Vec<super::timeline::Segment>,
    pub(crate) order: Vec<usize>,
    /// The segments in runs of equal steps, each read into the next row.
    pub(crate) runs: Vec<Run>,
}

/// Segments that can be walked without looking at each.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Places of the segments.
    pub(crate) segments: std::ops::Range<usize>,
    /// The row of the first, if each of them has one reading and these follow each other.
    pub(crate) first_row: Option<usize>,
}

impl Layout {
    pub(crate) fn of(timeline: &Timeline) -> Self {
        let row = |segment: &super::timeline::Segment| match timeline.order.get(segment.marks.clone()) {
            // Row 0 is the present, where the states are set.
            Some([row]) if *row > 0 => Some(*row),
            _ => None,
        };
        let mut runs: Vec<Run> = Vec::new();
        for (place, segment) in timeline.segments.iter().enumerate() {
            let follows = runs.last().is_some_and(|run| {
                let before = &timeline.segments[place - 1];
                let alike = before.step == segment.step && before.rate == segment.rate && before.bolus == 0.0;
                alike
                    && run
                        .first_row
                        .is_some_and(|first| row(segment) == Some(first + run.segments.len()))
            });
            match runs.last_mut() {
                Some(run) if follows => run.segments.end += 1,
                _ => runs.push(Run {
                    segments: place..place + 1,
                    first_row: row(segment),
                }),
            }
        }
        Self {
            segments: timeline.segments.clone(),
            order: timeline.order.clone(),
            runs,
        }
    }
}

impl Block {
    /// For each regimen: area over the span, peak, trough, area over the window (NaN where it must be done otherwise).
    fn measures(
        &self,
        regimens: &[Regimen],
        span: f64,
        steps: &[f64],
        layouts: &[Layout],
        width: f64,
    ) -> Vec<[Lanes; 4]> {
        let n = self.rate.len();
        let mut out = vec![[[f64::NAN; LANES]; 4]; regimens.len()];
        let (mut rates, mut weights) = (vec![0.0; n], vec![0.0; n]);
        for lane in 0..LANES {
            for k in 0..n {
                rates[k] = self.rate[k][lane];
                weights[k] = self.weight[k][lane];
            }
            for (regimen, cells) in regimens.iter().zip(&mut out) {
                let (amount, interval, duration) = (regimen.amount, regimen.interval, regimen.duration);
                if let Some(found) = steady::modal(&rates, &weights, self.offset[lane], amount, interval, duration) {
                    cells[0][lane] = found.auc_over(span, interval);
                    cells[1][lane] = found.peak;
                    cells[2][lane] = found.trough;
                }
            }
        }
        let table = self.table(steps);
        for (layout, cells) in layouts.iter().zip(&mut out) {
            cells[3] = self.window(layout, &table, steps, width);
        }
        out
    }

    /// `exp(rate*dt)` and its integral for each step and mode.
    pub(crate) fn table(&self, steps: &[f64]) -> Vec<(Lanes, Lanes)> {
        let mut table = Vec::with_capacity(steps.len() * self.rate.len());
        for step in steps {
            for rates in &self.rate {
                let mut cell = ([0.0; LANES], [0.0; LANES]);
                for lane in 0..LANES {
                    let (e, integral, _) = growth(rates[lane], *step);
                    cell.0[lane] = e;
                    cell.1[lane] = integral;
                }
                table.push(cell);
            }
        }
        table
    }

    /// Area between the marks 1 and 2 of a layout: since S' = rate*S + input, the area of S is what S gained beyond the
    /// input, over the rate.
    fn window(&self, layout: &Layout, table: &[(Lanes, Lanes)], steps: &[f64], width: f64) -> Lanes {
        let n = self.rate.len();
        let mut area = self.offset.map(|offset| offset * width);
        for k in 0..n {
            let mut state = [0.0; LANES];
            let mut at_start = [0.0; LANES];
            let mut entered = 0.0;
            let mut inside = false;
            for segment in &layout.segments {
                let (e, integral) = &table[segment.step * n + k];
                for lane in 0..LANES {
                    state[lane] = state[lane] * e[lane] + segment.rate * integral[lane];
                }
                if inside {
                    entered += segment.rate * steps[segment.step];
                }
                for mark in &layout.order[segment.marks.clone()] {
                    match mark {
                        0 => state = self.state[k],
                        1 => {
                            at_start = state;
                            inside = true;
                        }
                        _ => {
                            for lane in 0..LANES {
                                let rate = self.rate[k][lane];
                                area[lane] += if (rate * width).abs() < 1e-6 && width > 0.0 {
                                    f64::NAN
                                } else {
                                    self.weight[k][lane] * (state[lane] - at_start[lane] - entered) / rate
                                };
                            }
                            inside = false;
                        }
                    }
                }
                if segment.bolus != 0.0 {
                    state.iter_mut().for_each(|x| *x += segment.bolus);
                    if inside {
                        entered += segment.bolus;
                    }
                }
            }
        }
        area
    }
}
