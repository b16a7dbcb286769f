//! Courses over time of many regimens in many parameter sets.

use super::regimens::{Block, LANES, Lanes, Layout, Prepared, Regimen};
use super::timeline::Timeline;
use super::{EngineError, predict};
use ndarray::{Array3, Axis};
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
        let all = self.quantiles_of_all(std::slice::from_ref(regimen), times, levels)?;
        Ok(all.rows().into_iter().map(|row| row.to_vec()).collect())
    }

    /// The same for several regimens: regimen, time, level.
    ///
    /// # Errors
    /// As [`Prepared::quantiles`].
    pub fn quantiles_of_all(
        &self,
        regimens: &[Regimen],
        times: &[f64],
        levels: &[f64],
    ) -> Result<Array3<f64>, EngineError> {
        if let Some(bad) = levels.iter().find(|level| !(0.0..=1.0).contains(*level)) {
            return Err(EngineError::input("a quantile", bad.to_string()));
        }
        let n = self.len();
        let wanted = Levels::new(levels, n);
        let mut all = Array3::from_elem((regimens.len(), times.len(), levels.len()), f64::NAN);
        // Whole numbers in the order of the values are selected faster than the values. A few regimens at a time share the
        // growth of the modes without filling the cache.
        const TOGETHER: usize = 4;
        let size = n * times.len();
        let mut columns = vec![0_i64; size * TOGETHER.min(regimens.len())];
        for (regimens, mut tables) in regimens
            .chunks(TOGETHER)
            .zip(all.axis_chunks_iter_mut(Axis(0), TOGETHER))
        {
            let mut fine = true;
            self.courses(regimens, times, |regimen, first, rows| {
                let table = columns.get_mut(regimen * size..).unwrap_or_default();
                for (column, row) in table.chunks_mut(n.max(1)).zip(rows) {
                    let cells = column.get_mut(first..).unwrap_or_default();
                    for (cell, value) in cells.iter_mut().zip(row) {
                        fine &= value.is_finite();
                        *cell = ordered(*value);
                    }
                }
            })?;
            if !fine {
                return Err(EngineError::NotFinite { what: "a course" });
            }
            let Some(rows) = tables.as_slice_mut() else { continue };
            rows.par_chunks_mut(levels.len().max(1))
                .zip(columns.par_chunks_mut(n.max(1)))
                .with_min_len(32)
                .for_each(|(row, column)| wanted.select(column, row));
        }
        Ok(all)
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

/// A whole number for each value, in the same order.
fn ordered(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    bits ^ ((bits >> 63) & i64::MAX)
}

/// The value of a whole number of [`ordered`].
fn value_of(key: i64) -> f64 {
    f64::from_bits((key ^ ((key >> 63) & i64::MAX)).cast_unsigned())
}

/// Levels of quantiles in rising order, and their places among sorted values.
struct Levels {
    places: Vec<f64>,
    /// Where each stands in the list given.
    order: Vec<usize>,
}

impl Levels {
    fn new(levels: &[f64], values: usize) -> Self {
        let last = values.saturating_sub(1) as f64;
        let mut order: Vec<usize> = (0..levels.len()).collect();
        order.sort_by(|a, b| levels[*a].total_cmp(&levels[*b]));
        Self {
            places: order.iter().map(|q| levels[*q] * last).collect(),
            order,
        }
    }

    /// Quantiles by selection: what lies between two of them is never put in order. The same numbers as [`quantile`] of the
    /// sorted values.
    fn select(&self, keys: &mut [i64], into: &mut [f64]) {
        if !keys.is_empty() {
            select_within(keys, 0, None, &self.places, &self.order, into);
        }
    }
}

/// The middle one first: it halves the work of the others. `keys` start at `from` in the sorted order; `beyond` is the one that
/// comes after them.
fn select_within(keys: &mut [i64], from: usize, beyond: Option<i64>, places: &[f64], order: &[usize], out: &mut [f64]) {
    let middle = places.len() / 2;
    let Some(place) = places.get(middle) else { return };
    let below = place.floor() as usize;
    let at = below.saturating_sub(from).min(keys.len().saturating_sub(1));
    let (left, low, right) = keys.select_nth_unstable(at);
    let low = *low;
    // Computed once, and only if some level lies above the lower neighbour.
    let mut next = None;
    let (first, after) = (
        places.partition_point(|place| (place.floor() as usize) < below),
        places.partition_point(|place| place.floor() as usize <= below),
    );
    for (place, q) in places[first..after].iter().zip(&order[first..after]) {
        let share = place - place.floor();
        let low = value_of(low);
        out[*q] = if share > 0.0 {
            let high = *next.get_or_insert_with(|| right.iter().min().copied().or(beyond).map_or(low, value_of));
            low + share * (high - low)
        } else {
            low
        };
    }
    select_within(left, from, Some(low), &places[..first], &order[..first], out);
    select_within(right, from + at + 1, beyond, &places[after..], &order[after..], out);
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

    #[inline(always)]
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
    #[inline(always)]
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
        for run in &layout.runs {
            let Some((segment, others)) = layout.segments[run.segments.clone()].split_first() else {
                continue;
            };
            let Some(step) = table.get(segment.step) else { continue };
            let mut entering = [[0.0; LANES]; N];
            if segment.rate != 0.0 {
                for k in 0..N {
                    for lane in 0..LANES {
                        entering[k][lane] = segment.rate * step[k].1[lane];
                    }
                }
            }
            let advance = |state: &mut [Lanes; N]| {
                for k in 0..N {
                    for lane in 0..LANES {
                        state[k][lane] = state[k][lane] * step[k].0[lane] + entering[k][lane];
                    }
                }
            };
            let read = |state: &[Lanes; N], row: &mut Lanes| {
                let mut sum = base.unwrap_or(*row);
                for mode in state {
                    for lane in 0..LANES {
                        sum[lane] += mode[lane];
                    }
                }
                *row = sum;
            };
            match run
                .first_row
                .and_then(|first| values.get_mut(first..first + run.segments.len()))
            {
                Some(rows) => state = run_rows(state, step, &entering, base, rows),
                None => {
                    advance(&mut state);
                    for mark in &layout.order[segment.marks.clone()] {
                        if *mark == 0 {
                            state = start;
                        }
                        if let Some(row) = values.get_mut(*mark) {
                            read(&state, row);
                        }
                    }
                }
            }
            let bolus = others.last().unwrap_or(segment).bolus;
            if bolus != 0.0 {
                for k in 0..N {
                    for lane in 0..LANES {
                        state[k][lane] += weight[k][lane] * bolus;
                    }
                }
            }
        }
    }
}

/// Steps of one length, each read into the next row: the innermost loop of all, with everything in registers.
#[inline(always)]
fn run_rows<const N: usize>(
    mut state: [Lanes; N],
    step: &[(Lanes, Lanes); N],
    entering: &[Lanes; N],
    base: Option<Lanes>,
    rows: &mut [Lanes],
) -> [Lanes; N] {
    let growth = step.map(|(growth, _)| growth);
    let entering = *entering;
    for row in rows {
        let mut sum = base.unwrap_or(*row);
        for k in 0..N {
            for lane in 0..LANES {
                state[k][lane] = state[k][lane] * growth[k][lane] + entering[k][lane];
                sum[lane] += state[k][lane];
            }
        }
        *row = sum;
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn selection_is_sorting(
            values in proptest::collection::vec(-1e3_f64..1e3, 1..60),
            levels in proptest::collection::vec(0.0_f64..=1.0, 1..6),
        ) {
            let mut keys: Vec<i64> = values.iter().map(|x| ordered(*x)).collect();
            let mut found = vec![0.0; levels.len()];
            Levels::new(&levels, keys.len()).select(&mut keys, &mut found);
            let mut sorted = values;
            sorted.sort_by(f64::total_cmp);
            for (found, level) in found.iter().zip(&levels) {
                prop_assert_eq!(*found, quantile(&sorted, *level));
            }
        }
    }
}
