//! Courses over time of many regimens in many parameter sets.

use super::regimens::{Block, LANES, Lanes, Layout, Prepared, Regimen};
use super::timeline::Timeline;
use super::{EngineError, predict};
use rayon::prelude::*;

impl Prepared<'_> {
    /// Computes the output at `times` (none before the present) for every regimen and every set, and hands it over block by
    /// block: the place of the regimen, the place of the first set of the block, and one row of [`LANES`] values a time.
    /// Rows may hold more sets than there are left; those beyond [`Prepared::len`] mean nothing.
    ///
    /// The values are those of the same buffer each time, so a summary costs no memory.
    ///
    /// # Errors
    /// Unusable input, or a value that is not finite in a set computed one by one.
    pub fn courses(
        &self,
        regimens: &[Regimen],
        times: &[f64],
        mut see: impl FnMut(usize, usize, &[[f64; LANES]]),
    ) -> Result<(), EngineError> {
        let (steps, layouts) = self.lay_out(regimens, times)?;
        let mut values = vec![[0.0; LANES]; times.len() + 1];
        let rows: Vec<&[f64]> = self.draws.rows().collect();
        for (b, block) in self.blocks.iter().enumerate() {
            let tables = block.weighted_table(&steps);
            for (r, layout) in layouts.iter().enumerate() {
                block.course(layout, &tables, &mut values);
                for place in self.odd.iter().filter(|place| **place / LANES == b) {
                    let end = times.iter().copied().fold(self.now, f64::max);
                    let doses = self.all_doses(&regimens[r], end)?;
                    let found = predict(self.system, rows[*place], &doses, self.output, times)?;
                    for (row, value) in values.iter_mut().skip(1).zip(found) {
                        row[place % LANES] = value;
                    }
                }
                see(r, b * LANES, values.get(1..).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Quantiles over the sets at each time, for one regimen: `result[t][q]` for `times[t]` and `levels[q]` (0.05, 0.5...),
    /// interpolated linearly between the sorted values.
    ///
    /// # Errors
    /// As [`Prepared::courses`]; also a level outside 0 to 1 and values that are not finite.
    pub fn quantiles(&self, regimen: &Regimen, times: &[f64], levels: &[f64]) -> Result<Vec<Vec<f64>>, EngineError> {
        if let Some(bad) = levels.iter().find(|level| !(0.0..=1.0).contains(*level)) {
            return Err(EngineError::input("a quantile", bad.to_string()));
        }
        let n = self.len();
        let mut columns = vec![vec![0.0; n]; times.len()];
        self.courses(std::slice::from_ref(regimen), times, |_, first, rows| {
            for (column, row) in columns.iter_mut().zip(rows) {
                for (cell, value) in column.iter_mut().skip(first).zip(row) {
                    *cell = *value;
                }
            }
        })?;
        columns
            .par_iter_mut()
            .map(|column| {
                if column.iter().any(|value| !value.is_finite()) {
                    return Err(EngineError::NotFinite { what: "a course" });
                }
                column.sort_unstable_by(f64::total_cmp);
                Ok(levels.iter().map(|level| quantile(column, *level)).collect())
            })
            .collect()
    }

    fn lay_out(&self, regimens: &[Regimen], times: &[f64]) -> Result<(Vec<f64>, Vec<Layout>), EngineError> {
        if let Some(bad) = times.iter().find(|t| !(t.is_finite() && **t >= self.now)) {
            return Err(EngineError::input(
                "a time",
                format!("{bad} is before the present {}", self.now),
            ));
        }
        // Mark 0 is the present, where the states are known; the times follow.
        let marks: Vec<f64> = std::iter::once(self.now).chain(times.iter().copied()).collect();
        let end = marks.iter().copied().fold(self.now, f64::max);
        let mut shared = Timeline::default();
        let mut layouts = Vec::with_capacity(regimens.len());
        for regimen in regimens {
            shared.lay_out(&self.future(regimen, end)?, &marks)?;
            layouts.push(Layout::of(&shared));
        }
        Ok((shared.steps, layouts))
    }
}

/// Quantile of sorted values, interpolated linearly.
pub fn quantile(sorted: &[f64], level: f64) -> f64 {
    let place = level * sorted.len().saturating_sub(1) as f64;
    let below = place.floor() as usize;
    let low = sorted.get(below).copied().unwrap_or(f64::NAN);
    let high = sorted.get(below + 1).copied().unwrap_or(low);
    low + (place - place.floor()) * (high - low)
}

/// Tables of `N` modes for each step: growth, and weight times its integral.
type Tables<const N: usize> = Vec<[(Lanes, Lanes); N]>;

/// The modes of a block in groups small enough for the registers.
pub(crate) struct Grouped {
    pairs: Vec<(usize, Tables<2>)>,
    single: Option<(usize, Tables<1>)>,
}

impl Block {
    fn weighted_table(&self, steps: &[f64]) -> Grouped {
        let n = self.rate.len();
        let mut table = self.table(steps);
        for (place, (_, integral)) in table.iter_mut().enumerate() {
            for (x, weight) in integral.iter_mut().zip(&self.weight[place % n]) {
                *x *= weight;
            }
        }
        let pairs = (0..n / 2)
            .map(|pair| {
                let k = 2 * pair;
                (
                    k,
                    (0..steps.len())
                        .map(|s| [table[s * n + k], table[s * n + k + 1]])
                        .collect(),
                )
            })
            .collect();
        let single = (n % 2 == 1).then(|| (n - 1, (0..steps.len()).map(|s| [table[s * n + n - 1]]).collect()));
        Grouped { pairs, single }
    }

    fn course(&self, layout: &Layout, tables: &Grouped, values: &mut [Lanes]) {
        let mut base = Some(self.offset);
        for (k, table) in &tables.pairs {
            self.walk(*k, layout, table, base.take(), values);
        }
        if let Some((k, table)) = &tables.single {
            self.walk(*k, layout, table, base.take(), values);
        }
    }

    /// Walks `N` modes from `first` on. With a `base` the values are set to it plus the modes, without one they are added.
    fn walk<const N: usize>(
        &self,
        first: usize,
        layout: &Layout,
        table: &[[(Lanes, Lanes); N]],
        base: Option<Lanes>,
        values: &mut [Lanes],
    ) {
        let mut weight = [[0.0; LANES]; N];
        let mut start = [[0.0; LANES]; N];
        for k in 0..N {
            weight[k] = self.weight[first + k];
            for lane in 0..LANES {
                start[k][lane] = weight[k][lane] * self.state[first + k][lane];
            }
        }
        let mut state = [[0.0; LANES]; N];
        for segment in &layout.segments {
            let Some(step) = table.get(segment.step) else { continue };
            if segment.rate == 0.0 {
                for k in 0..N {
                    for lane in 0..LANES {
                        state[k][lane] *= step[k].0[lane];
                    }
                }
            } else {
                for k in 0..N {
                    for lane in 0..LANES {
                        state[k][lane] = state[k][lane] * step[k].0[lane] + segment.rate * step[k].1[lane];
                    }
                }
            }
            for mark in &layout.order[segment.marks.clone()] {
                if *mark == 0 {
                    state = start;
                }
                let Some(row) = values.get_mut(*mark) else { continue };
                match base {
                    Some(base) => {
                        for lane in 0..LANES {
                            let mut sum = base[lane];
                            for mode in &state {
                                sum += mode[lane];
                            }
                            row[lane] = sum;
                        }
                    }
                    None => {
                        for lane in 0..LANES {
                            for mode in &state {
                                row[lane] += mode[lane];
                            }
                        }
                    }
                }
            }
            if segment.bolus != 0.0 {
                for k in 0..N {
                    for lane in 0..LANES {
                        state[k][lane] += weight[k][lane] * segment.bolus;
                    }
                }
            }
        }
    }
}
