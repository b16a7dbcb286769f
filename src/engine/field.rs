//! The right side of the states that are integrated, driven by those with a closed form.

use super::layout::Layout;
use super::ode::Rhs;
use super::spectral::{Flow, Spectrum};
use crate::lang::{Frame, Number};

/// Right side between two events.
pub(crate) struct Field<'a, T> {
    pub(crate) layout: &'a Layout,
    pub(crate) states: usize,
    pub(crate) clocked: usize,
    /// When the closed form started.
    pub(crate) start: T,
    /// If conditions turn at the ends: between which times they are read, so that each side of a turn sees its own case.
    pub(crate) inside: Option<(T, T)>,
    pub(crate) flow: &'a mut Flow<T>,
    pub(crate) spectrum: &'a Spectrum<T>,
    /// Coefficients of the closed form: rows of the linear states, each followed by its constant.
    pub(crate) coefficients: &'a [T],
    /// Infusion rates of all states.
    pub(crate) rates: &'a [T],
    /// Moving inputs at the start, and how fast they move.
    pub(crate) moving: &'a [(T, T)],
    pub(crate) field: &'a mut Frame<T>,
    pub(crate) jacobian: &'a mut Frame<T>,
    /// Constant input of the linear states.
    pub(crate) drift: &'a [T],
}

impl<T: Number> Field<'_, T> {
    /// Writes what does not change between the events: clocked states.
    pub(crate) fn hold(&mut self, clocked: &[T]) {
        let from = 1 + self.states;
        for frame in [&mut *self.field, &mut *self.jacobian] {
            if let Some(cells) = frame.inputs().get_mut(from..from + clocked.len()) {
                cells.copy_from_slice(clocked);
            }
        }
    }

    #[inline]
    fn load(&mut self, t: T, y: &[T], into_jacobian: bool) {
        let elapsed = t - self.start;
        let inputs = if into_jacobian {
            self.jacobian.inputs()
        } else {
            self.field.inputs()
        };
        inputs[0] = self.inside.map_or(t, |(first, last)| t.max(first).min(last));
        for (value, state) in y.iter().zip(&self.layout.integrated) {
            inputs[1 + state] = *value;
        }
        if !self.layout.drivers.is_empty() {
            self.flow.at(self.spectrum, elapsed);
            for driver in &self.layout.drivers {
                inputs[1 + self.layout.linear[*driver]] = self.flow.state(self.spectrum, *driver);
            }
        }
        if !self.moving.is_empty() {
            let from = 1 + self.states + self.clocked;
            for (cell, (value, slope)) in inputs[from..].iter_mut().zip(self.moving) {
                *cell = *value + *slope * elapsed;
            }
        }
    }
}

impl<T: Number> Rhs<T> for Field<'_, T> {
    fn size(&self) -> usize {
        self.layout.integrated.len()
    }

    #[inline]
    fn derivative(&mut self, t: T, y: &[T], dy: &mut [T]) {
        self.load(t, y, false);
        self.layout.field.late.execute(self.field);
        self.layout.field.late.results(self.field, dy);
        for (dy, state) in dy.iter_mut().zip(&self.layout.integrated) {
            *dy = *dy + self.rates[*state];
        }
    }

    fn jacobian(&mut self, t: T, y: &[T], jacobian: &mut [T], dfdt: &mut [T]) {
        self.load(t, y, true);
        let late = &self.layout.jacobian.late;
        late.execute(self.jacobian);
        let n = self.layout.integrated.len();
        let linear = self.layout.linear.len();
        for (entry, (row, column)) in self.layout.jacobian_places.iter().enumerate() {
            let value = late.result(self.jacobian, entry);
            if *column < n {
                jacobian[row * n + column] = value;
            } else if *column == n {
                dfdt[*row] = dfdt[*row] + value;
            } else {
                // The driver moves by itself: its derivative is known.
                let k = column - n - 1;
                let mut speed = self.drift[k];
                for j in 0..linear {
                    let c = self.coefficients[k * (linear + 1) + j];
                    if c.size() != 0.0 {
                        speed = speed + c * self.flow.state(self.spectrum, j);
                    }
                }
                dfdt[*row] = dfdt[*row] + value * speed;
            }
        }
    }
}
