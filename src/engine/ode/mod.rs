//! Numerical solution of ordinary differential equations over any [`Number`]: plain, with derivatives or in lanes.
//!
//! A solver starts with an explicit method and goes over to an implicit one when the problem proves stiff. The error
//! is controlled in every state, every lane and every derivative: a derivative computed by propagating duals through
//! steps chosen for the values alone may be far less exact than the values.
//!
//! Literature: Hairer, Nørsett, Wanner, Solving Ordinary Differential Equations I, 2nd ed., Springer 1993 (HNW);
//! Hairer, Wanner, Solving Ordinary Differential Equations II, 2nd ed., Springer 1996 (HW).

mod explicit;
mod implicit;
#[cfg(test)]
mod tests;

use crate::lang::Number;
use explicit::Explicit;
use implicit::Implicit;

/// Part of the largest state below which no state need be known, whatever its own size. States that start at zero and
/// fill slowly, as the far end of a transit chain, would otherwise demand tiny steps for amounts that matter to nobody.
const OVERALL_FLOOR: f64 = 1e-9;

/// Tighter than this, rounding decides.
const TIGHTEST: f64 = 1e-13;

/// So many attempts in a row may give something that is not a number.
const MAX_NOT_FINITE: u32 = 20;

/// A step that uses up nearly all of the rest takes all of it.
const STRETCH: f64 = 1.01;

/// A step longer than so many times the last is looked at twice. After a restart there is no last one.
const GROWTH_TRUSTED: f64 = 2.0;

/// The error of order 4 is about the error of order 3 to the power of 5/4, for states of size 1. Part of the latter that the
/// former is not believed to fall below: then it is zero by chance.
const COARSE_SHARE: f64 = 0.01;

/// Accepted steps between two tests for stiffness while nothing points to it.
const STIFFNESS_EVERY: u32 = 5;

/// Tests for stiffness between two looks at the Jacobian.
const JACOBIAN_EVERY: u32 = 5;

/// A product of step and rate that is a strong sign of stiffness: the region of stability of the explicit method ends
/// at 3.3 on the negative axis, and the step control settles a little below.
const STRONG_LIMIT: f64 = 2.5;

/// A fast state driven by slow ones can hold the steps far below that limit, the more so the tighter the tolerance.
/// While a fast state really moves, the product is about 3.5 times the fifth root of the tolerance (measured on a
/// decay); eight times that is a weak sign. A wrong sign costs no more than a short trial.
const WEAK_LIMIT: f64 = 28.0;

/// Tests in a row without a sign of stiffness that take back the signs seen before (HW, section IV.2).
const CALM: u32 = 6;

/// Signs of stiffness, a strong one counted four times, that make the solver implicit (15 strong ones as in HW).
const PATIENCE: u32 = 60;
const STRONG: u32 = 4;

/// Accepted implicit steps after which the change of method is judged.
const TRIAL: u32 = 20;

/// An implicit step costs about as much as so many explicit ones.
const IMPLICIT_COST: f64 = 2.5;

/// The right side of y' = f(t, y).
///
/// Both functions must compute in `T` throughout: if derivatives or lanes are dropped in the Jacobian, the implicit
/// method loses its order there.
pub(crate) trait Rhs<T: Number> {
    /// Number of states.
    fn size(&self) -> usize;
    /// Sets every element of `dy` to the derivative of the state of the same index.
    fn derivative(&mut self, t: T, y: &[T], dy: &mut [T]);
    /// Fills d f_i / d y_j into `jacobian`, row by row, and d f_i / d t into `dfdt`; both come filled with zeros.
    fn jacobian(&mut self, t: T, y: &[T], jacobian: &mut [T], dfdt: &mut [T]);
}

/// How exact a solution has to be.
///
/// In one step a state may be wrong by `relative` times the sum of its own size, `floor` times the largest size it has
/// had so far, and a billionth of the largest size any state has had. The same holds for each lane and each derivative
/// with its own sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tolerance {
    /// Relative tolerance of a step.
    pub relative: f64,
    /// Part of a state's largest size so far below which the state counts as zero.
    pub floor: f64,
}

/// Why a solution cannot be had.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// A state or its derivative is not a finite number, however short the step.
    NotFinite {
        /// Where the last good step ended.
        time: f64,
        /// The state concerned.
        state: usize,
    },
    /// The budget of steps is used up.
    TooManySteps {
        /// How far the solution got.
        time: f64,
        /// The budget.
        steps: usize,
    },
    /// The tolerance asks for steps that no longer change the time.
    StepTooSmall {
        /// How far the solution got.
        time: f64,
        /// The state that changes fastest for its size.
        state: usize,
    },
    /// The end of the interval lies before its start, or one of them is not finite.
    Interval {
        /// The start.
        from: f64,
        /// The end.
        to: f64,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFinite { time, state } => write!(f, "state {state} is not a finite number after time {time}"),
            Self::TooManySteps { time, steps } => write!(f, "{steps} steps were not enough, they ended at time {time}"),
            Self::StepTooSmall { time, state } => {
                write!(f, "no step is short enough for state {state} at time {time}")
            }
            Self::Interval { from, to } => write!(f, "cannot advance from time {from} to time {to}"),
        }
    }
}

impl std::error::Error for Fault {}

/// The interval being solved. Steps are plain fractions of its length, so what start and end depend on flows through.
struct Segment<T> {
    from: T,
    to: T,
    length: T,
}

impl<T: Number> Segment<T> {
    /// The time when `fraction` of the interval is done; the end is met exactly.
    #[inline]
    fn at(&self, fraction: f64) -> T {
        if fraction >= 1.0 {
            self.to
        } else {
            self.from + self.length.scale(fraction)
        }
    }
}

/// What errors are measured against.
struct Scale<'a, T> {
    tolerance: Tolerance,
    /// The largest size of each state so far.
    peak: &'a [T],
    /// The part of the largest size of any state that any error may have.
    overall: T,
}

impl<T: Number> Scale<'_, T> {
    /// Takes the result of the step into account; to be called once before [`Scale::error`].
    #[inline]
    fn include(&mut self, next: &[T]) {
        for y in next {
            self.overall = self.overall.envelope(*y);
        }
        self.overall = self.overall.scale(OVERALL_FLOOR);
    }

    /// The error of the state of index `i` over its allowance.
    #[inline]
    fn error(&self, i: usize, error: T, before: T, after: T) -> f64 {
        let floor = self.peak[i].scale(self.tolerance.floor) + self.overall;
        T::scaled_error(error, before.envelope(after), self.tolerance.relative, floor)
    }
}

/// The largest of some errors; not finite if any is not.
#[derive(Default)]
struct Worst {
    worst: f64,
    doubt: f64,
}

impl Worst {
    #[inline]
    fn add(&mut self, error: f64) {
        self.worst = if error > self.worst { error } else { self.worst };
        // Zero for a finite error, NaN otherwise.
        self.doubt += error * 0.0;
    }

    #[inline]
    fn get(&self) -> f64 {
        self.worst + self.doubt
    }
}

/// One step to try.
struct Attempt<'a, T> {
    segment: &'a Segment<T>,
    /// How much of the interval is done.
    done: f64,
    /// How much is done after the step.
    then: f64,
    /// The length of the step.
    h: T,
    /// Where it starts.
    y: &'a [T],
}

impl<T: Number> Attempt<'_, T> {
    /// The time of a stage at the part `c` of the step.
    #[inline]
    fn time(&self, c: f64) -> T {
        let fraction = if c >= 1.0 {
            self.then
        } else {
            self.done + c * (self.then - self.done)
        };
        self.segment.at(fraction)
    }
}

/// Signs of stiffness and what came of them.
#[derive(Debug, Clone, Copy)]
struct Stiffness<T> {
    /// Tests since the last look at the Jacobian, and the fastest rate on its diagonal then.
    unseen: u32,
    fastest: T,
    /// Accepted steps since the last test.
    untested: u32,
    /// Signs of stiffness, and the tests that gave them.
    signs: u32,
    positive: u32,
    /// Tests in a row that did not.
    calm: u32,
    /// Time covered by the steps that pointed to stiffness.
    covered: f64,
    /// Signs needed.
    patience: u32,
    /// After a change to the implicit method: the explicit step before, and accepted steps and time covered since.
    trial: Option<(f64, u32, f64)>,
}

impl<T: Number> Stiffness<T> {
    fn none(patience: u32) -> Self {
        Self {
            unseen: 0,
            fastest: T::constant(0.0),
            untested: 0,
            signs: 0,
            positive: 0,
            calm: 0,
            covered: 0.0,
            patience,
            trial: None,
        }
    }
}

/// Solves y' = f(t, y) piece by piece. It owns all its working memory: nothing is allocated per step.
#[derive(Debug, Clone)]
pub(crate) struct Solver<T> {
    tolerance: Tolerance,
    max_steps: usize,
    steps: usize,
    starts_implicit: bool,
    is_implicit: bool,
    /// Step to try next, in units of time; zero if there is no guess.
    step: f64,
    /// Whether the next step is the first after a start or a restart.
    fresh: bool,
    /// Whether the first stage holds the derivative at `end`.
    ready: bool,
    /// Where the last call ended.
    end: T,
    end_state: Vec<T>,
    peak: Vec<T>,
    overall: T,
    /// Error of the last accepted step and its length; the length is zero if there is none.
    last_error: f64,
    last_step: f64,
    stiffness: Stiffness<T>,
    weak_limit: f64,
    /// The solution after the step that is tried.
    next: Vec<T>,
    /// The solution somewhere within the step just taken.
    between: Vec<T>,
    explicit: Explicit<T>,
    implicit: Implicit<T>,
}

impl<T: Number> Solver<T> {
    /// A solver for `size` states that takes no more than `max_steps` steps, rejected ones included, in all its calls
    /// of [`Solver::advance`] together.
    pub(crate) fn new(size: usize, tolerance: Tolerance, max_steps: usize) -> Self {
        let zero = T::constant(0.0);
        let relative = tolerance.relative.max(TIGHTEST);
        Self {
            tolerance: Tolerance {
                relative,
                floor: tolerance.floor.max(0.0),
            },
            max_steps,
            steps: 0,
            starts_implicit: false,
            is_implicit: false,
            step: 0.0,
            fresh: true,
            ready: false,
            end: zero,
            end_state: vec![zero; size],
            peak: vec![zero; size],
            overall: zero,
            last_error: 1.0,
            last_step: 0.0,
            stiffness: Stiffness::none(PATIENCE),
            weak_limit: STRONG_LIMIT.min(WEAK_LIMIT * relative.powf(0.2)),
            next: vec![zero; size],
            between: vec![zero; size],
            explicit: Explicit::new(size),
            implicit: Implicit::new(),
        }
    }

    /// As [`Solver::new`], but implicit from the first step on, for problems known to be stiff.
    #[cfg(test)]
    pub(crate) fn implicit(size: usize, tolerance: Tolerance, max_steps: usize) -> Self {
        let mut solver = Self::new(size, tolerance, max_steps);
        solver.starts_implicit = true;
        solver.is_implicit = true;
        solver
    }

    /// Forgets everything, as if newly made: for another trajectory.
    pub(crate) fn begin(&mut self) {
        self.restart();
        self.steps = 0;
        self.step = 0.0;
        self.is_implicit = self.starts_implicit;
        self.stiffness = Stiffness::none(PATIENCE);
        self.overall = T::constant(0.0);
        self.peak.fill(self.overall);
    }

    /// To be called after any discontinuity: a dose, a change of input, another right side. The method in use, the
    /// sizes of the states and the last step (as an upper guess) are kept.
    pub(crate) fn restart(&mut self) {
        self.fresh = true;
        self.ready = false;
        self.last_step = 0.0;
        self.last_error = 1.0;
    }

    /// Takes note of the size of something that drives the states and is known to rounding only: no state need be known
    /// better than the rounding of what fills it.
    pub(crate) fn see_driver(&mut self, size: T) {
        self.overall = self.overall.envelope(size);
    }

    /// Steps tried so far, rejected ones included.
    #[cfg(test)]
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// Whether the implicit method is in use.
    #[cfg(test)]
    pub(crate) fn is_implicit(&self) -> bool {
        self.is_implicit
    }

    /// As [`Solver::advance_past`], with nothing to be seen on the way.
    #[cfg(test)]
    pub(crate) fn advance(&mut self, rhs: &mut impl Rhs<T>, from: T, to: T, y: &mut [T]) -> Result<(), Fault> {
        self.advance_past(rhs, from, to, y, &[], |_| {})
    }

    /// Advances `y`, as many states as the solver was made for, from time `from` to exactly `to`. Derivatives of `from`
    /// and `to` flow into `y`, lanes may have intervals of different lengths. After a fault `y` holds the solution at
    /// the end of the last good step.
    ///
    /// On the way `see` is shown the states at `parts` of the interval (rising, above 0 and below 1, the same in all lanes).
    /// The explicit method does not stop there: it interpolates, to order 4.
    pub(crate) fn advance_past(
        &mut self,
        rhs: &mut impl Rhs<T>,
        from: T,
        to: T,
        y: &mut [T],
        parts: &[T],
        mut see: impl FnMut(&[T]),
    ) -> Result<(), Fault> {
        let mut parts = parts.iter().copied().peekable();
        let segment = Segment {
            from,
            to,
            length: to - from,
        };
        if !from.is_finite() || !to.is_finite() || to.lt(from).size() != 0.0 {
            return Err(Fault::Interval {
                from: from.value(),
                to: to.value(),
            });
        }
        debug_assert_eq!(
            y.len(),
            self.next.len(),
            "the solver was made for another number of states"
        );
        debug_assert_eq!(y.len(), rhs.size());
        if y.is_empty() || segment.length.size() == 0.0 {
            parts.for_each(|_| see(y));
            return Ok(());
        }
        // A length of zero that has derivatives is covered by one step.
        let span = segment.length.largest();

        let continues = self.ready
            && (from - self.end).size() == 0.0
            && y.iter().zip(&self.end_state).all(|(a, b)| (*a - *b).size() == 0.0);
        self.ready = continues;
        // Only a call that comes to its end can be continued.
        self.end = T::constant(f64::NAN);
        self.see(y);

        let mut done = 0.0;
        let mut fraction = 0.0;
        let mut rejected = false;
        let mut not_finite = 0;
        // The state that was not finite, until two steps in a row are good.
        let mut trouble = None;
        let mut good = 0;
        while done < 1.0 {
            let time = segment.at(done).value();
            if !self.ready {
                let first = &mut self.explicit.stages[0];
                rhs.derivative(segment.at(done), y, first);
                if let Some(state) = (0..y.len()).find(|i| !first[*i].is_finite() || !y[*i].is_finite()) {
                    return Err(Fault::NotFinite { time, state });
                }
                self.ready = true;
                self.implicit.stale = true;
            }
            if fraction == 0.0 {
                fraction = if span > 0.0 {
                    self.first_step(y, span) / span
                } else {
                    1.0
                };
            }
            if self.steps >= self.max_steps {
                return Err(Fault::TooManySteps {
                    time,
                    steps: self.max_steps,
                });
            }
            self.steps += 1;

            // The implicit method steps onto each part.
            let stop = parts
                .peek()
                .filter(|_| self.is_implicit)
                .map_or(1.0, |part| part.value());
            let last = fraction * STRETCH >= stop - done;
            let then = if last { stop } else { done + fraction };
            let taken = then - done;
            if !last && taken <= 4.0 * f64::EPSILON * done || taken < f64::MIN_POSITIVE {
                return Err(match trouble {
                    Some(state) => Fault::NotFinite { time, state },
                    None => Fault::StepTooSmall {
                        time,
                        state: self.fastest_state(y),
                    },
                });
            }
            let attempt = Attempt {
                segment: &segment,
                done,
                then,
                h: segment.length.scale(taken),
                y,
            };
            let mut scale = Scale {
                tolerance: self.tolerance,
                peak: &self.peak,
                overall: self.overall,
            };
            let error = if self.is_implicit {
                let first = &self.explicit.stages[0];
                self.implicit.attempt(rhs, &attempt, first, &mut self.next, &mut scale)
            } else {
                let error = self.explicit.attempt(rhs, &attempt, &mut self.next, &mut scale);
                // A step much longer than the last may be too long for the estimate, which is zero here and there.
                if error <= 1.0 && taken * span > GROWTH_TRUSTED * self.last_step {
                    let relative = self.tolerance.relative;
                    let coarse = self.explicit.coarse_error(&attempt, &self.next, &scale);
                    error.max(COARSE_SHARE * (coarse * relative).powf(1.25) / relative)
                } else {
                    error
                }
            };
            if !error.is_finite() {
                let state = if self.is_implicit {
                    self.implicit.culprit
                } else {
                    self.explicit.culprit()
                };
                trouble = Some(state);
                good = 0;
                not_finite += 1;
                if not_finite > MAX_NOT_FINITE {
                    return Err(Fault::NotFinite { time, state });
                }
                fraction = 0.5 * taken;
                rejected = true;
                continue;
            }
            not_finite = 0;
            let factor = self.factor(error, taken * span);
            if error > 1.0 {
                fraction = taken * factor.min(0.9);
                rejected = true;
                continue;
            }

            // Accepted. A step cut short by the end of the interval does not spoil the guess for the next.
            let growth = if rejected { factor.min(1.0) } else { factor };
            fraction = if last {
                (taken * growth).max(fraction.min(1e6))
            } else {
                taken * growth
            };
            rejected = false;
            good += 1;
            if good >= 2 {
                trouble = None;
            }
            self.last_error = error;
            self.last_step = taken * span;
            self.fresh = false;
            while let Some(part) = parts.next_if(|part| part.value() <= then) {
                if self.is_implicit {
                    see(&self.next);
                } else {
                    let theta = (part - T::constant(done)).scale(1.0 / taken);
                    self.explicit.within(&attempt, &self.next, theta, &mut self.between);
                    see(&self.between);
                }
            }
            if self.is_implicit {
                self.ready = false;
                self.judge_change(taken * span);
            } else {
                if self.finds_stiffness(rhs, &attempt, taken * span) {
                    self.is_implicit = true;
                    self.last_step = 0.0;
                }
                self.explicit.stages.swap(0, 6);
                self.implicit.stale = true;
            }
            y.copy_from_slice(&self.next);
            self.see(y);
            done = then;
        }
        if span > 0.0 {
            self.step = fraction * span;
        }
        self.end = to;
        self.end_state.copy_from_slice(y);
        Ok(())
    }

    /// Takes note of the sizes of the states.
    fn see(&mut self, y: &[T]) {
        for (peak, y) in self.peak.iter_mut().zip(y) {
            *peak = peak.envelope(*y);
            self.overall = self.overall.envelope(*peak);
        }
    }

    /// The state that changes fastest for its size.
    fn fastest_state(&self, y: &[T]) -> usize {
        let rates = self.explicit.stages[0]
            .iter()
            .zip(y)
            .map(|(f, y)| f.largest() / y.largest());
        let fastest = rates.enumerate().fold(
            (0, 0.0),
            |worst, (i, rate)| if rate > worst.1 { (i, rate) } else { worst },
        );
        fastest.0
    }

    /// The first step to try in a call, in units of time.
    fn first_step(&self, y: &[T], span: f64) -> f64 {
        if !self.fresh && self.step > 0.0 {
            return self.step;
        }
        // How fast the states change for their size: the step that would be right if they decayed at that rate. What
        // is wrong with this is soon put right by a rejection, which costs no more than a better estimate.
        let mut rate = 0.0;
        let mut moves = false;
        for (f, (y, peak)) in self.explicit.stages[0].iter().zip(y.iter().zip(&self.peak)) {
            let size = y.largest() + self.tolerance.floor * peak.largest();
            let change = f.largest();
            moves |= change > 0.0;
            if size > 0.0 {
                rate = f64::max(rate, change / size);
            }
        }
        let estimate = if rate > 0.0 {
            // The rate of a state that is all but empty may be beyond all bounds.
            (3.0 * self.tolerance.relative.powf(0.2) / rate).clamp(1e-12 * span, span)
        } else if moves {
            0.01 * span
        } else {
            span
        };
        // After a discontinuity the old step may be far too long, seldom too short.
        if self.step > 0.0 {
            estimate.min(self.step).max(0.1 * estimate)
        } else {
            estimate
        }
    }

    /// By what to multiply the step.
    fn factor(&self, error: f64, step: f64) -> f64 {
        let smallest = if self.fresh { 0.01 } else { 0.1 };
        if self.is_implicit {
            // HW, section IV.8, with the predictive controller of Gustafsson.
            let error = error.max(1e-8);
            let mut factor = 0.9 / error.sqrt().sqrt();
            if self.last_step > 0.0 && error <= 1.0 {
                let memory = self.last_error.max(0.01) / (error * error);
                factor = factor.min(0.9 * step / self.last_step * memory.sqrt().sqrt());
            }
            factor.clamp(smallest.min(0.2), 6.0)
        } else {
            // HNW, section II.4 and HW, section IV.2: proportional and integral control.
            let error = error.max(1e-10);
            if error > 1.0 {
                return (0.9 * error.powf(-0.2)).clamp(smallest, 1.0);
            }
            let memory = self.last_error.max(1e-4);
            (0.9 * error.powf(-0.17) * memory.powf(0.04)).clamp(0.2, 10.0)
        }
    }

    /// Whether the explicit method is held up by stability and the implicit one should take over.
    ///
    /// Two signs count: the rate seen in the last two stages, and the diagonal of the Jacobian. The former misses fast
    /// states that are nearly empty beside slow ones that move, the latter fast rates off the diagonal.
    fn finds_stiffness(&mut self, rhs: &mut impl Rhs<T>, attempt: &Attempt<'_, T>, step: f64) -> bool {
        let mut s = self.stiffness;
        s.untested += 1;
        if s.signs > 0 || s.untested >= STIFFNESS_EVERY {
            s.untested = 0;
            s.unseen += 1;
            if s.unseen >= JACOBIAN_EVERY {
                s.unseen = 0;
                s.fastest = self.implicit.fastest(rhs, attempt);
            }
            let seen = self.explicit.fastest(attempt.h, &self.next, &self.peak);
            let product = seen.max((s.fastest * attempt.h).largest());
            if product > self.weak_limit {
                s.signs += if product > STRONG_LIMIT { STRONG } else { 1 };
                s.positive += 1;
                s.calm = 0;
                s.covered += step;
                if s.signs >= s.patience {
                    s.trial = Some((s.covered / f64::from(s.positive), 0, 0.0));
                    self.stiffness = s;
                    return true;
                }
            } else if s.signs > 0 {
                s.calm += 1;
                if s.calm >= CALM {
                    s.signs = 0;
                    s.positive = 0;
                    s.covered = 0.0;
                }
            }
        }
        self.stiffness = s;
        false
    }

    /// Goes back to the explicit method if the implicit one, after a fair trial, does not pay; each return makes the
    /// next change harder, so there is no going back and forth.
    fn judge_change(&mut self, step: f64) {
        let Some((explicit_step, steps, covered)) = self.stiffness.trial else {
            return;
        };
        let (steps, covered) = (steps + 1, covered + step);
        if steps < TRIAL {
            self.stiffness.trial = Some((explicit_step, steps, covered));
            return;
        }
        self.stiffness.trial = None;
        if covered < IMPLICIT_COST * explicit_step * f64::from(steps) {
            self.stiffness = Stiffness::none(self.stiffness.patience.saturating_mul(4));
            self.is_implicit = false;
        }
    }
}
