//! Tests of the solvers against closed forms and against solutions computed elsewhere: scipy's DOP853 and Radau at
//! rtol 1e-12 or less, and mpmath's matrix exponential at 40 digits.

use super::*;
use crate::lang::{Dual, Lanes};

/// A right side that can be computed with any number; parameters come first.
trait Problem {
    const SIZE: usize;
    fn f<T: Number>(p: &[T], t: T, y: &[T], dy: &mut [T]);
    fn jacobian<T: Number>(p: &[T], t: T, y: &[T], set: impl FnMut(usize, usize, T));
    fn dfdt<T: Number>(_p: &[T], _t: T, _dfdt: &mut [T]) {}
}

struct Case<'a, P, T> {
    p: &'a [T],
    calls: usize,
    problem: std::marker::PhantomData<P>,
}

impl<P: Problem, T: Number> Rhs<T> for Case<'_, P, T> {
    fn size(&self) -> usize {
        P::SIZE
    }
    fn derivative(&mut self, t: T, y: &[T], dy: &mut [T]) {
        self.calls += 1;
        P::f(self.p, t, y, dy);
    }
    fn jacobian(&mut self, t: T, y: &[T], jacobian: &mut [T], dfdt: &mut [T]) {
        assert!(jacobian.iter().chain(dfdt.iter()).all(|j| j.size() == 0.0));
        P::jacobian(self.p, t, y, |i, j, value| jacobian[i * P::SIZE + j] = value);
        P::dfdt(self.p, t, dfdt);
    }
}

fn case<P: Problem, T>(p: &[T]) -> Case<'_, P, T> {
    Case {
        p,
        calls: 0,
        problem: std::marker::PhantomData,
    }
}

fn c<T: Number>(value: f64) -> T {
    T::constant(value)
}

const BUDGET: usize = 200_000;

fn tolerance(relative: f64) -> Tolerance {
    Tolerance { relative, floor: 1e-3 }
}

fn solver<P: Problem, T: Number>(relative: f64) -> Solver<T> {
    Solver::new(P::SIZE, tolerance(relative), BUDGET)
}

/// Solves from zero to `end`; gives the states and the solver.
fn solve<P: Problem, T: Number>(mut solver: Solver<T>, p: &[T], end: T, start: &[T]) -> (Vec<T>, Solver<T>) {
    let mut y = start.to_vec();
    solver.advance(&mut case::<P, T>(p), c(0.0), end, &mut y).unwrap();
    (y, solver)
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], relative: f64, absolute: f64) {
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= relative * b.abs() + absolute,
            "state {i}: {a} is not {b}"
        );
    }
}

/// y' = -k y
struct Decay;
impl Problem for Decay {
    const SIZE: usize = 1;
    fn f<T: Number>(p: &[T], _t: T, y: &[T], dy: &mut [T]) {
        dy[0] = -(p[0] * y[0]);
    }
    fn jacobian<T: Number>(p: &[T], _t: T, _y: &[T], mut set: impl FnMut(usize, usize, T)) {
        set(0, 0, -p[0]);
    }
}

/// y'' = -w^2 y
struct Oscillator;
impl Problem for Oscillator {
    const SIZE: usize = 2;
    fn f<T: Number>(p: &[T], _t: T, y: &[T], dy: &mut [T]) {
        dy[0] = y[1];
        dy[1] = -(p[0] * p[0] * y[0]);
    }
    fn jacobian<T: Number>(p: &[T], _t: T, _y: &[T], mut set: impl FnMut(usize, usize, T)) {
        set(0, 1, c(1.0));
        set(1, 0, -(p[0] * p[0]));
    }
}

/// Robertson's chemical reaction (HW, section IV.1).
struct Robertson;
impl Problem for Robertson {
    const SIZE: usize = 3;
    fn f<T: Number>(p: &[T], _t: T, y: &[T], dy: &mut [T]) {
        let slow = p[0] * y[0];
        let back = p[1] * y[1] * y[2];
        let fast = p[2] * y[1] * y[1];
        dy[0] = back - slow;
        dy[1] = slow - back - fast;
        dy[2] = fast;
    }
    fn jacobian<T: Number>(p: &[T], _t: T, y: &[T], mut set: impl FnMut(usize, usize, T)) {
        let fast = (p[2] * y[1]).scale(2.0);
        set(0, 0, -p[0]);
        set(0, 1, p[1] * y[2]);
        set(0, 2, p[1] * y[1]);
        set(1, 0, p[0]);
        set(1, 1, -(p[1] * y[2]) - fast);
        set(1, 2, -(p[1] * y[1]));
        set(2, 1, fast);
    }
}
const ROBERTSON: [f64; 3] = [0.04, 1e4, 3e7];

/// van der Pol's oscillator.
struct VanDerPol;
impl Problem for VanDerPol {
    const SIZE: usize = 2;
    fn f<T: Number>(p: &[T], _t: T, y: &[T], dy: &mut [T]) {
        dy[0] = y[1];
        dy[1] = p[0] * (c::<T>(1.0) - y[0] * y[0]) * y[1] - y[0];
    }
    fn jacobian<T: Number>(p: &[T], _t: T, y: &[T], mut set: impl FnMut(usize, usize, T)) {
        set(0, 1, c(1.0));
        set(1, 0, -(p[0] * y[0] * y[1]).scale(2.0) - c(1.0));
        set(1, 1, p[0] * (c::<T>(1.0) - y[0] * y[0]));
    }
}

/// Depot, plasma and a chain of blood cells in the making, after Friberg et al., Journal of Clinical Oncology 20 (2002)
/// 4713-4721. Parameters: ka, ke, v, mean transit time, baseline, feedback, effect.
struct Friberg;
impl Problem for Friberg {
    const SIZE: usize = 7;
    fn f<T: Number>(p: &[T], _t: T, y: &[T], dy: &mut [T]) {
        let ktr = c::<T>(4.0) / p[3];
        let effect = p[6] * y[1] / p[2];
        let gain = (c::<T>(1.0) - effect) * (p[4] / y[6]).pow(p[5]);
        dy[0] = -(p[0] * y[0]);
        dy[1] = p[0] * y[0] - p[1] * y[1];
        dy[2] = ktr * y[2] * (gain - c(1.0));
        for i in 3..7 {
            dy[i] = ktr * (y[i - 1] - y[i]);
        }
    }
    fn jacobian<T: Number>(p: &[T], _t: T, y: &[T], mut set: impl FnMut(usize, usize, T)) {
        let ktr = c::<T>(4.0) / p[3];
        let feedback = (p[4] / y[6]).pow(p[5]);
        let rest = c::<T>(1.0) - p[6] * y[1] / p[2];
        set(0, 0, -p[0]);
        set(1, 0, p[0]);
        set(1, 1, -p[1]);
        set(2, 1, -(ktr * y[2] * feedback * p[6] / p[2]));
        set(2, 2, ktr * (rest * feedback - c(1.0)));
        set(2, 6, -(ktr * y[2] * rest * feedback * p[5] / y[6]));
        for i in 3..7 {
            set(i, i - 1, ktr);
            set(i, i, -ktr);
        }
    }
}
const FRIBERG: [f64; 7] = [1.2, 0.15, 40.0, 90.0, 5.0, 0.16, 0.9];
const FRIBERG_START: [f64; 7] = [100.0, 0.0, 5.0, 5.0, 5.0, 5.0, 5.0];
const FRIBERG_AFTER_THREE_DOSES: [f64; 6] = [
    1.740_569_140_201_146_2e-6,
    2.853_138_200_595_036,
    2.449_736_768_516_705,
    2.145_905_667_182_374_6,
    1.959_489_110_150_894_2,
    1.885_649_787_435_564_9,
];

/// Three doses, 120 hours apart.
fn three_doses<T: Number>(p: &[T], solver: &mut Solver<T>) -> (Vec<T>, usize) {
    let mut rhs = case::<Friberg, T>(p);
    let mut y: Vec<T> = FRIBERG_START.iter().map(|v| c(*v)).collect();
    // The cells start at their baseline.
    y[2..].fill(p[4]);
    for dose in 0..3 {
        let from = 120.0 * f64::from(dose);
        if dose > 0 {
            y[0] = y[0] + c(100.0);
            solver.restart();
        }
        solver.advance(&mut rhs, c(from), c(from + 120.0), &mut y).unwrap();
    }
    (y, rhs.calls)
}

/// Twenty-four compartments in a row; the rates are the parameters.
struct Chain;
impl Problem for Chain {
    const SIZE: usize = 24;
    fn f<T: Number>(p: &[T], _t: T, y: &[T], dy: &mut [T]) {
        dy[0] = -(p[0] * y[0]);
        for i in 1..24 {
            dy[i] = p[i - 1] * y[i - 1] - p[i] * y[i];
        }
    }
    fn jacobian<T: Number>(p: &[T], _t: T, _y: &[T], mut set: impl FnMut(usize, usize, T)) {
        for i in 0..24 {
            set(i, i, -p[i]);
            if i > 0 {
                set(i, i - 1, p[i - 1]);
            }
        }
    }
}
fn chain_rates() -> Vec<f64> {
    (0..24).map(|i| 0.1 * 50_000_f64.powf(f64::from(i) / 23.0)).collect()
}
fn chain_start() -> Vec<f64> {
    let mut y = vec![0.0; 24];
    y[0] = 100.0;
    y
}
/// The even-numbered compartments after 10 time units, rates rising.
const CHAIN_UP: [f64; 12] = [
    36.787_944_117_144_23,
    15.056_250_941_590_358,
    3.957_759_819_590_719_5,
    1.187_380_362_655_237,
    0.407_625_638_778_710_05,
    0.150_579_391_250_483_22,
    0.057_474_147_316_082_8,
    0.022_234_528_222_022_088,
    0.008_647_980_691_834_423,
    0.003_370_691_664_517_718,
    0.001_314_869_382_253_297_1,
    0.000_513_081_775_688_884_4,
];
/// The last seven after 10 time units, rates falling.
const CHAIN_DOWN: [f64; 7] = [
    4.387_781_740_607_581e-5,
    0.024_069_473_660_812_916,
    1.183_478_619_340_730_7,
    11.398_269_692_479_593,
    32.621_760_191_835_33,
    34.917_027_836_426_83,
    16.026_251_469_553_987,
];

/// y' = y^2, infinite at time 1 when it starts at 1.
struct BlowUp;
impl Problem for BlowUp {
    const SIZE: usize = 1;
    fn f<T: Number>(_p: &[T], _t: T, y: &[T], dy: &mut [T]) {
        dy[0] = y[0] * y[0];
    }
    fn jacobian<T: Number>(_p: &[T], _t: T, y: &[T], mut set: impl FnMut(usize, usize, T)) {
        set(0, 0, y[0].scale(2.0));
    }
}

/// An input that stops at time p1, into a compartment with rate p0.
struct Stopping;
impl Problem for Stopping {
    const SIZE: usize = 1;
    fn f<T: Number>(p: &[T], t: T, y: &[T], dy: &mut [T]) {
        dy[0] = T::select(t.lt(p[1]), c(10.0), c(0.0)) - p[0] * y[0];
    }
    fn jacobian<T: Number>(p: &[T], _t: T, _y: &[T], mut set: impl FnMut(usize, usize, T)) {
        set(0, 0, -p[0]);
    }
}

/// y' = -k (y - cos t), with a derivative by time (Prothero and Robinson's problem).
struct Driven;
impl Problem for Driven {
    const SIZE: usize = 1;
    fn f<T: Number>(p: &[T], t: T, y: &[T], dy: &mut [T]) {
        dy[0] = -(p[0] * (y[0] - t.cos()));
    }
    fn jacobian<T: Number>(p: &[T], _t: T, _y: &[T], mut set: impl FnMut(usize, usize, T)) {
        set(0, 0, -p[0]);
    }
    fn dfdt<T: Number>(p: &[T], t: T, dfdt: &mut [T]) {
        dfdt[0] = -(p[0] * t.sin());
    }
}
fn driven(k: f64, t: f64) -> f64 {
    let particular = |t: f64| (k * k * t.cos() + k * t.sin()) / (1.0 + k * k);
    particular(t) - particular(0.0) * (-k * t).exp()
}

/// The second state is not a number after time p0.
struct Broken;
impl Problem for Broken {
    const SIZE: usize = 2;
    fn f<T: Number>(p: &[T], t: T, y: &[T], dy: &mut [T]) {
        dy[0] = -y[0];
        dy[1] = (p[0] - t).sqrt();
    }
    fn jacobian<T: Number>(_p: &[T], _t: T, _y: &[T], mut set: impl FnMut(usize, usize, T)) {
        set(0, 0, c(-1.0));
    }
    fn dfdt<T: Number>(p: &[T], t: T, dfdt: &mut [T]) {
        dfdt[1] = c::<T>(-0.5) / (p[0] - t).sqrt();
    }
}

/// Nothing happens in the first state; the second is fed from it with factor zero.
struct Still;
impl Problem for Still {
    const SIZE: usize = 2;
    fn f<T: Number>(p: &[T], _t: T, y: &[T], dy: &mut [T]) {
        dy[0] = c(0.0);
        dy[1] = p[0] * y[0];
    }
    fn jacobian<T: Number>(p: &[T], _t: T, _y: &[T], mut set: impl FnMut(usize, usize, T)) {
        set(1, 0, p[0]);
    }
}

#[test]
fn decay_and_oscillation_follow_their_closed_forms() {
    for relative in [1e-5, 1e-7, 1e-9, 1e-11] {
        for implicit in [false, true] {
            if implicit && relative < 1e-9 {
                continue;
            }
            let make = |n| {
                if implicit {
                    Solver::implicit(n, tolerance(relative), BUDGET)
                } else {
                    Solver::new(n, tolerance(relative), BUDGET)
                }
            };
            let (y, _) = solve::<Decay, f64>(make(1), &[0.7], 10.0, &[3.0]);
            close(&y, &[3.0 * (-7.0_f64).exp()], 30.0 * relative, 0.0);
            let (y, _) = solve::<Oscillator, f64>(make(2), &[2.0], 10.0, &[1.0, 0.0]);
            close(&y, &[20_f64.cos(), -2.0 * 20_f64.sin()], 0.0, 300.0 * relative);
        }
    }
}

#[test]
fn time_in_the_right_side_is_honoured() {
    for k in [1.0, 1e3, 1e6] {
        for relative in [1e-5, 1e-7, 1e-9] {
            let start = Solver::implicit(1, tolerance(relative), BUDGET);
            let (y, s) = solve::<Driven, f64>(start, &[k], 5.0, &[0.0]);
            close(&y, &[driven(k, 5.0)], 30.0 * relative, 0.0);
            assert!(s.steps() < 500, "{}", s.steps());
            let (y, s) = solve::<Driven, f64>(solver::<Driven, f64>(relative), &[k], 5.0, &[0.0]);
            close(&y, &[driven(k, 5.0)], 30.0 * relative, 0.0);
            assert!(s.steps() < 500, "{}", s.steps());
        }
    }
}

#[test]
fn the_implicit_method_has_order_four() {
    // Steps are forced by the segments, so the tolerance is out of the way.
    let error = |pieces: u32| {
        let mut s = Solver::<f64>::implicit(
            1,
            Tolerance {
                relative: 1.0,
                floor: 1e6,
            },
            BUDGET,
        );
        let p = [1.5];
        let mut rhs = case::<Driven, f64>(&p);
        let mut y = [0.0];
        let h = 2.0 / f64::from(pieces);
        for i in 0..pieces {
            s.restart();
            s.step = 10.0;
            s.fresh = false;
            s.advance(&mut rhs, h * f64::from(i), h * f64::from(i + 1), &mut y)
                .unwrap();
        }
        assert_eq!(s.steps(), pieces as usize);
        (y[0] - driven(1.5, 2.0)).abs()
    };
    let order = (error(20) / error(40)).log2();
    assert!((3.7..4.5).contains(&order), "{order}");
}

#[test]
fn robertson_becomes_implicit_and_is_right() {
    let expected = [0.715_827_068_719_405_5, 9.185_534_764_557_768e-6, 0.284_163_745_745_83];
    for relative in [1e-5, 1e-8] {
        for solver in [
            solver::<Robertson, f64>(relative),
            Solver::implicit(3, tolerance(relative), BUDGET),
        ] {
            let (y, s) = solve::<Robertson, f64>(solver, &ROBERTSON, 40.0, &[1.0, 0.0, 0.0]);
            close(&y, &expected, 10.0 * relative, 0.0);
            assert!(s.is_implicit() && s.steps() < 700, "{}", s.steps());
        }
    }
}

#[test]
fn van_der_pol_passes_its_fronts() {
    for relative in [1e-6, 1e-8] {
        let (y, s) = solve::<VanDerPol, f64>(solver::<VanDerPol, f64>(relative), &[1000.0], 2000.0, &[2.0, 0.0]);
        close(
            &y,
            &[1.706_167_732_170_473_6, -0.000_892_809_701_024_807_3],
            100.0 * relative,
            0.0,
        );
        assert!(s.steps() < 4000, "{}", s.steps());
    }
}

#[test]
fn neutropenia_chain_is_right() {
    for relative in [1e-6, 1e-8, 1e-10] {
        let (y, _) = three_doses(&FRIBERG, &mut solver::<Friberg, f64>(relative));
        close(&y[1..2], &FRIBERG_AFTER_THREE_DOSES[..1], 0.1, 0.0);
        close(&y[2..], &FRIBERG_AFTER_THREE_DOSES[1..], 20.0 * relative, 0.0);
        let (y, _) = three_doses(&FRIBERG, &mut Solver::implicit(7, tolerance(relative), BUDGET));
        close(&y[2..], &FRIBERG_AFTER_THREE_DOSES[1..], 30.0 * relative, 0.0);
    }
}

#[test]
fn long_stiff_chain_is_right() {
    let up = chain_rates();
    let down: Vec<f64> = up.iter().rev().copied().collect();
    for relative in [1e-6, 1e-8] {
        let (y, s) = solve::<Chain, f64>(solver::<Chain, f64>(relative), &up, 10.0, &chain_start());
        let even: Vec<f64> = y.iter().copied().step_by(2).collect();
        close(&even, &CHAIN_UP, 50.0 * relative, 0.0);
        assert!(s.is_implicit() && s.steps() < 1500, "{}", s.steps());
        let (y, s) = solve::<Chain, f64>(solver::<Chain, f64>(relative), &down, 10.0, &chain_start());
        close(&y[17..], &CHAIN_DOWN, 50.0 * relative, 100.0 * relative * 0.01);
        assert!(s.steps() < 2500, "{}", s.steps());
    }
}

#[test]
fn duals_equal_differences_of_tight_solutions() {
    // Six directions: every parameter but the volume, relative to its own size.
    let index = [0, 1, 3, 4, 5, 6];
    let p: Vec<Dual<6>> = FRIBERG
        .iter()
        .enumerate()
        .map(|(i, v)| match index.iter().position(|k| *k == i) {
            Some(direction) => Dual::seeded(*v, direction, *v),
            None => Dual::constant(*v),
        })
        .collect();
    let (y, _) = three_doses(&p, &mut solver::<Friberg, Dual<6>>(1e-8));
    let (z, _) = three_doses(&p, &mut Solver::implicit(7, tolerance(1e-8), BUDGET));
    for (direction, k) in index.iter().enumerate() {
        let at = |step: f64| {
            let mut p = FRIBERG;
            p[*k] *= 1.0 + step;
            three_doses(&p, &mut solver::<Friberg, f64>(1e-12)).0
        };
        let h = 2e-3;
        let (a, b, c, d) = (at(-2.0 * h), at(-h), at(h), at(2.0 * h));
        for i in 2..7 {
            let difference = (a[i] - d[i] + 8.0 * (c[i] - b[i])) / (12.0 * h);
            for found in [&y, &z] {
                let slope = found[i].slope[direction];
                assert!(
                    (slope - difference).abs() < 1e-6 * (difference.abs() + 0.01),
                    "{k} {i} {slope} {difference}"
                );
            }
        }
    }
}

#[test]
fn stiff_duals_equal_differences() {
    let p: Vec<Dual<3>> = (0..3).map(|i| Dual::seeded(ROBERTSON[i], i, ROBERTSON[i])).collect();
    let start = [Dual::constant(1.0), Dual::constant(0.0), Dual::constant(0.0)];
    let (y, _) = solve::<Robertson, Dual<3>>(solver::<Robertson, _>(1e-8), &p, Dual::constant(40.0), &start);
    for direction in 0..3 {
        let at = |step: f64| {
            let mut p = ROBERTSON;
            p[direction] *= 1.0 + step;
            solve::<Robertson, f64>(solver::<Robertson, f64>(1e-11), &p, 40.0, &[1.0, 0.0, 0.0]).0
        };
        let h = 2e-3;
        let (a, b, c, d) = (at(-2.0 * h), at(-h), at(h), at(2.0 * h));
        for i in 0..3 {
            let difference = (a[i] - d[i] + 8.0 * (c[i] - b[i])) / (12.0 * h);
            let slope = y[i].slope[direction];
            assert!(
                (slope / difference - 1.0).abs() < 1e-6,
                "{direction} {i} {slope} {difference}"
            );
        }
    }
}

#[test]
fn derivatives_of_the_ends_flow_through() {
    // y(end) = 3 exp(-k (end - start)), with the start in direction 0, the end in direction 1 and k in direction 2.
    for implicit in [false, true] {
        let mut s = if implicit {
            Solver::implicit(1, tolerance(1e-9), BUDGET)
        } else {
            Solver::new(1, tolerance(1e-9), BUDGET)
        };
        let p = [Dual::<3>::seeded(0.3, 2, 1.0)];
        let mut rhs = case::<Decay, _>(&p);
        let (from, to) = (Dual::seeded(1.0, 0, 1.0), Dual::seeded(6.0, 1, 1.0));
        let mut y = [Dual::constant(3.0)];
        s.advance(&mut rhs, from, to, &mut y).unwrap();
        let value = 3.0 * (-1.5_f64).exp();
        close(&[y[0].value], &[value], 1e-7, 0.0);
        close(&y[0].slope, &[0.3 * value, -0.3 * value, -5.0 * value], 1e-7, 0.0);
        // A length of zero still carries the derivatives of its ends.
        let before = y[0];
        s.restart();
        s.advance(&mut rhs, to, Dual::constant(6.0), &mut y).unwrap();
        close(&[y[0].value, y[0].slope[1]], &[before.value, 0.0], 1e-7, 1e-7);
    }
}

#[test]
fn lanes_equal_scalar_solutions() {
    let mut p = FRIBERG.map(Lanes::<4>::constant);
    p[0] = Lanes([0.4, 1.2, 2.5, 5.0]);
    p[3] = Lanes([60.0, 90.0, 120.0, 150.0]);
    p[6] = Lanes([0.2, 0.9, 0.0, 0.5]);
    for implicit in [false, true] {
        let mut s = if implicit {
            Solver::implicit(7, tolerance(1e-8), BUDGET)
        } else {
            solver::<Friberg, _>(1e-8)
        };
        let (y, _) = three_doses(&p, &mut s);
        for lane in 0..4 {
            let alone: Vec<f64> = p.iter().map(|p| p.0[lane]).collect();
            let (z, _) = three_doses(&alone, &mut solver::<Friberg, f64>(1e-10));
            let found: Vec<f64> = y.iter().map(|y| y.0[lane]).collect();
            close(&found[2..], &z[2..], 1e-6, 0.0);
        }
    }
    // Intervals of different lengths, one of them empty.
    for implicit in [false, true] {
        let mut s = if implicit {
            Solver::implicit(1, tolerance(1e-8), BUDGET)
        } else {
            solver::<Decay, _>(1e-8)
        };
        let k = [Lanes([0.1, 0.2, 3.0])];
        let mut y = [Lanes([1.0, 2.0, 3.0])];
        s.advance(
            &mut case::<Decay, _>(&k),
            Lanes([1.0, 2.0, 0.0]),
            Lanes([1.0, 5.0, 2.0]),
            &mut y,
        )
        .unwrap();
        assert_eq!(y[0].0[0], 1.0);
        close(
            &y[0].0,
            &[1.0, 2.0 * (-0.6_f64).exp(), 3.0 * (-6.0_f64).exp()],
            1e-6,
            0.0,
        );
    }
}

#[test]
fn a_stiff_lane_is_noticed_wherever_it_is() {
    for lane in 0..3 {
        let mut k = [1.0; 3];
        k[lane] = 1e5;
        let p = [Lanes(k)];
        let (y, s) = solve::<Driven, Lanes<3>>(solver::<Driven, _>(1e-6), &p, c(10.0), &[c(0.0)]);
        assert!(s.is_implicit() && s.steps() < 1000, "{}", s.steps());
        close(&y[0].0, &k.map(|k| driven(k, 10.0)), 1e-4, 0.0);
    }
}

#[test]
fn a_blow_up_is_a_fault_near_its_time() {
    for mut s in [
        solver::<BlowUp, f64>(1e-6),
        Solver::implicit(1, tolerance(1e-6), BUDGET),
    ] {
        let fault = s
            .advance(&mut case::<BlowUp, f64>(&[]), 0.0, 2.0, &mut [1.0])
            .unwrap_err();
        let (Fault::NotFinite { time, .. } | Fault::TooManySteps { time, .. } | Fault::StepTooSmall { time, .. }) =
            fault
        else {
            panic!("{fault}");
        };
        assert!((time - 1.0).abs() < 1e-4, "{fault}");
        assert!(s.steps() < 5000, "{}", s.steps());
    }
}

#[test]
fn a_jump_of_the_right_side_is_passed() {
    let (k, stop) = (0.3, std::f64::consts::PI);
    let exact = 10.0 / k * (1.0 - (-k * stop).exp()) * (-k * (8.0 - stop)).exp();
    for relative in [1e-5, 1e-8] {
        for s in [
            solver::<Stopping, f64>(relative),
            Solver::implicit(1, tolerance(relative), BUDGET),
        ] {
            let (y, s) = solve::<Stopping, f64>(s, &[k, stop], 8.0, &[0.0]);
            close(&y, &[exact], 30.0 * relative, 0.0);
            assert!(s.steps() < 1500, "{}", s.steps());
        }
    }
}

#[test]
fn what_is_not_a_number_is_a_fault_with_time_and_state() {
    for start in [
        solver::<Broken, f64>(1e-6),
        Solver::implicit(2, tolerance(1e-6), BUDGET),
    ] {
        let mut s = start;
        let mut y = [1.0, 0.0];
        let fault = s
            .advance(&mut case::<Broken, f64>(&[0.5]), 0.0, 2.0, &mut y)
            .unwrap_err();
        match fault {
            Fault::NotFinite { time, state } => assert!((time - 0.5).abs() < 1e-4 && state == 1, "{fault}"),
            _ => panic!("{fault}"),
        }
        assert!(y.iter().all(|y| y.is_finite()));
        assert!(s.steps() < 500, "{}", s.steps());
        s.begin();
        let fault = s
            .advance(&mut case::<Broken, f64>(&[f64::NAN]), 0.0, 2.0, &mut y)
            .unwrap_err();
        assert_eq!(fault, Fault::NotFinite { time: 0.0, state: 1 });
        s.begin();
        let fault = s
            .advance(&mut case::<Broken, f64>(&[9.0]), 0.0, 2.0, &mut [f64::NAN, 0.0])
            .unwrap_err();
        assert_eq!(fault, Fault::NotFinite { time: 0.0, state: 0 });
    }
}

#[test]
fn intervals_are_checked_and_budgets_kept() {
    let mut s = Solver::new(1, tolerance(1e-8), 10);
    let mut rhs = case::<Decay, f64>(&[1.0]);
    let mut y = [1.0];
    assert_eq!(s.advance(&mut rhs, 2.0, 2.0, &mut y), Ok(()));
    assert_eq!((y[0], s.steps(), rhs.calls), (1.0, 0, 0));
    let backwards = Fault::Interval { from: 2.0, to: 1.0 };
    assert_eq!(s.advance(&mut rhs, 2.0, 1.0, &mut y), Err(backwards));
    assert!(s.advance(&mut rhs, 2.0, f64::NAN, &mut y).is_err());
    let fault = s.advance(&mut rhs, 0.0, 100.0, &mut y).unwrap_err();
    assert!(matches!(fault, Fault::TooManySteps { time, steps: 10 } if time > 0.0 && time < 100.0));
    assert_eq!(s.steps(), 10);
    assert!((y[0] - 1.0).abs() > 0.01);
}

#[test]
fn nothing_to_do_costs_next_to_nothing() {
    for start in [
        solver::<Still, Dual<2>>(1e-9),
        Solver::implicit(2, tolerance(1e-9), BUDGET),
    ] {
        let p = [Dual::seeded(0.0, 0, 0.0)];
        let (y, s) = solve::<Still, Dual<2>>(start, &p, c(1000.0), &[c(5.0), c(0.0)]);
        assert_eq!((y[0], y[1]), (c(5.0), c(0.0)));
        assert!(s.steps() <= 2, "{}", s.steps());
    }
    let (y, s) = solve::<Still, f64>(solver::<Still, f64>(1e-9), &[2.0], 1000.0, &[0.0, 0.0]);
    assert!(y == [0.0, 0.0] && s.steps() <= 2);
}

#[test]
fn the_order_of_trajectories_does_not_matter() {
    let mut s = solver::<Friberg, f64>(1e-7);
    let (first, _) = three_doses(&FRIBERG, &mut s);
    let steps = s.steps();
    s.begin();
    let mut other = FRIBERG;
    other[0] = 50.0;
    three_doses(&other, &mut s);
    s.begin();
    let (again, _) = three_doses(&FRIBERG, &mut s);
    assert_eq!((first, steps), (again, s.steps()));
}

#[test]
fn stopping_on_the_way_changes_little_and_costs_little() {
    let p = FRIBERG;
    let mut rhs = case::<Friberg, f64>(&p);
    let mut whole = FRIBERG_START;
    let mut s = solver::<Friberg, f64>(1e-8);
    s.advance(&mut rhs, 0.0, 120.0, &mut whole).unwrap();
    let (steps, calls) = (s.steps(), rhs.calls);
    let mut rhs = case::<Friberg, f64>(&p);
    let mut pieces = FRIBERG_START;
    s.begin();
    for i in 0..20 {
        s.advance(&mut rhs, 6.0 * f64::from(i), 6.0 * f64::from(i + 1), &mut pieces)
            .unwrap();
    }
    close(&pieces[2..], &whole[2..], 1e-6, 0.0);
    assert!(
        s.steps() <= steps + 22 && rhs.calls <= calls + 132,
        "{} {steps} {} {calls}",
        s.steps(),
        rhs.calls
    );
}

#[test]
fn a_state_that_is_all_but_empty_does_no_harm() {
    let (y, s) = solve::<Decay, f64>(solver::<Decay, f64>(1e-6), &[1.0], 1.0, &[5e-324]);
    assert!(y[0] >= 0.0 && s.steps() < 50);
    let (y, s) = solve::<Stopping, f64>(solver::<Stopping, f64>(1e-6), &[1.0, 9.0], 5.0, &[5e-324]);
    close(&y, &[10.0 * (1.0 - (-5.0_f64).exp())], 1e-5, 0.0);
    assert!(s.steps() < 100, "{}", s.steps());
}

#[test]
fn a_false_alarm_is_taken_back() {
    // At a tight tolerance the oscillator is not stiff at any time, and the solver returns to the explicit method.
    let mut s = solver::<Oscillator, f64>(1e-8);
    s.is_implicit = true;
    s.stiffness.trial = Some((0.1, 0, 0.0));
    let (y, s) = solve::<Oscillator, f64>(s, &[2.0], 10.0, &[1.0, 0.0]);
    close(&y, &[20_f64.cos(), -2.0 * 20_f64.sin()], 0.0, 1e-5);
    assert!(!s.is_implicit() && s.stiffness.patience == 4 * PATIENCE);
}
