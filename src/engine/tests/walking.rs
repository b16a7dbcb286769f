//! What happens on the way: clocks, cycles, delays, moving inputs, corners, steady states, and what goes wrong.

use super::super::subject::Course;
use super::*;

fn tight() -> Precision {
    Precision {
        relative: 1e-10,
        ..Precision::default()
    }
}

fn follow(system: &System, subject: &Subject, times: &[f64]) -> Result<Vec<Vec<f64>>, EngineError> {
    let eta = vec![0.0; system.effects().len()];
    let found = course(system, subject, Values::Effects(&eta), times, tight())?;
    Ok((0..times.len()).map(|mark| found.at(mark).to_vec()).collect())
}

fn regime(from: f64, typical: &[f64], inputs: &[f64]) -> Regime {
    Regime {
        from,
        typical: typical.to_vec(),
        inputs: inputs.to_vec(),
        covariates: Vec::new(),
        occasion: None,
    }
}

fn close(found: f64, expected: f64, relative: f64) {
    assert!(
        (found - expected).abs() <= relative * expected.abs().max(1e-9),
        "{found} is not {expected}"
    );
}

#[test]
fn settled_doses_equal_many_repeated_ones() {
    let linear = "d/dt(G) = -0.9*K*G\nd/dt(A) = 0.9*K*G - K/3*A\nC = A/V";
    let with_source = "d/dt(G) = -0.9*K*G\nd/dt(A) = 0.9*K*G - K/3*A + 2\nC = A/V\nA(0) = 5";
    let driven = "d/dt(G) = -0.9*K*G\nd/dt(A) = 0.9*K*G - 9*A/(20 + A)\nd/dt(R) = K*(1 - A/(A + V)) - K*R\nC = A/V + R\nR(0) = 1";
    for (text, source) in [(linear, false), (with_source, true), (driven, true)] {
        for (duration, added) in [(0.0, false), (2.0, false), (6.0, false), (0.0, true), (2.0, true)] {
            if added && source {
                continue;
            }
            for route in ["G", "A"] {
                let system = Model::new(text, &[("K", 0.1), ("V", 0.1)], &[], &["C"])
                    .route(route)
                    .build();
                let interval = 6.0;
                let count = 200;
                let last = f64::from(count) * interval;
                let many: Vec<Dose> = (0..=count)
                    .map(|i| d(f64::from(i) * interval, 40.0, duration))
                    .collect();
                let times = [last + 0.0, last + 0.7, last + 2.0, last + 5.9, last + 6.0, last + 13.0];
                let expected = follow(&system, &subject(&system, &[0.5, 11.0], &many), &times).unwrap();
                let mut person = subject(&system, &[0.5, 11.0], &[d(30.0, 40.0, duration)]);
                person.doses[0].settled = Some(Settled { interval, added });
                let from = |t: f64| t - last + 30.0;
                let found = follow(&system, &person, &times.map(from)).unwrap();
                for (t, (x, y)) in found.iter().zip(&expected).enumerate().skip(1) {
                    assert!(
                        near(x[0], y[0], 1e-6),
                        "{text} {duration} {added} {t}: {} {}",
                        x[0],
                        y[0]
                    );
                }
            }
        }
    }
}

#[test]
fn a_settled_dose_replaces_what_runs_and_an_added_one_does_not() {
    let system = Model::new("d/dt(A) = -K*A\nC = A", &[("K", 0.1)], &[], &["C"])
        .route("A")
        .build();
    let mut person = subject(&system, &[0.3], &[d(0.0, 100.0, 10.0), d(5.0, 20.0, 0.0)]);
    let factor = 1.0 / (1.0 - (-0.3_f64 * 4.0).exp());
    for added in [false, true] {
        person.doses[1].settled = Some(Settled { interval: 4.0, added });
        let found = follow(&system, &person, &[5.0, 8.0, 12.0]).unwrap();
        let running = |t: f64| {
            let end = t.min(10.0);
            10.0 / 0.3 * (1.0 - (-0.3 * end).exp()) * (-0.3 * (t - end)).exp()
        };
        close(found[0][0], running(5.0), 1e-9);
        for (i, t) in [(1, 8.0), (2, 12.0_f64)] {
            let alone = 20.0 * factor * (-0.3 * (t - 5.0)).exp();
            close(found[i][0], if added { alone + running(t) } else { alone }, 1e-9);
        }
    }
    person.doses[1].settled = Some(Settled {
        interval: 4.0,
        added: false,
    });
    person.doses[1].dose.duration = 4.5;
    let error = follow(&system, &person, &[8.0]).unwrap_err().to_string();
    assert!(error.contains("longer than its interval"), "{error}");
    person.doses[1].settled = Some(Settled {
        interval: 0.0,
        added: false,
    });
    assert!(follow(&system, &person, &[8.0]).is_err());
    let never = Model::new(
        "d/dt(A) = 0*K*A\nd/dt(B) = K*A - B\nC = A + B",
        &[("K", 0.1)],
        &[],
        &["C"],
    )
    .route("A")
    .build();
    let mut person = subject(&never, &[0.3], &[d(0.0, 1.0, 0.0)]);
    person.doses[0].settled = Some(Settled {
        interval: 4.0,
        added: false,
    });
    assert!(follow(&never, &person, &[8.0]).is_err());
}

#[test]
fn order_at_one_moment() {
    // Inputs change, the clock ticks, values are read, infusions end and states are reset, doses enter.
    let text = "next(X) = X + W + A\nd/dt(A) = 0\nC = 1000*W + 10*X + A";
    let mut model = Model::new(text, &[("K", 0.1)], &["W"], &["C"]).route("A");
    let (every, from) = (model.node("2"), model.node("1"));
    let system = model.change(|parts| parts.clock = Some(Clock { every, from })).build();
    let regimes = vec![regime(0.0, &[1.0], &[1.0]), regime(3.0, &[1.0], &[5.0])];
    let mut person = Subject::with_regimes(&system, regimes, vec![d(3.0, 7.0, 0.0).into()]);
    let times = [0.5, 1.0, 2.9, 3.0, 4.0, 5.0];
    let found = follow(&system, &person, &times).unwrap();
    let read: Vec<f64> = found.iter().map(|row| row[0]).collect();
    assert_eq!(read, [1000.0, 1010.0, 1010.0, 5060.0, 5067.0, 5187.0]);
    person.resets.push(3.0);
    let found = follow(&system, &person, &times).unwrap();
    let read: Vec<f64> = found.iter().map(|row| row[0]).collect();
    assert_eq!(read, [1000.0, 1010.0, 1010.0, 5060.0, 5007.0, 5127.0]);
    // The same with times that are one but for rounding.
    person.subject_at(0.1 + 0.2);
    let found = follow(&system, &person, &[0.3, 0.4]).unwrap();
    assert_eq!([found[0][0], found[1][0]], [5000.0, 5007.0]);
}

impl Subject {
    /// Everything that happens at 3 happens at `time` instead.
    fn subject_at(&mut self, time: f64) {
        self.regimes[1].from = time;
        self.doses[0].dose.time = 0.3;
        self.resets = vec![0.3];
    }
}

#[test]
fn a_recursion_equals_a_loop() {
    let text = "next(N) = N + R*N*(1 - N/100) - H*(if (t > 20) 1 else 0)\nnext(S) = S + N\nN(0) = 3\nC = N\nD = S";
    let mut model = Model::new(text, &[("R", 0.1), ("H", 0.1)], &[], &["C", "D"]);
    let (every, from) = (model.node("1.5"), model.node("2*R"));
    let system = model.change(|parts| parts.clock = Some(Clock { every, from })).build();
    let times: Vec<f64> = (0..60).map(f64::from).collect();
    let found = follow(&system, &subject(&system, &[0.4, 2.0], &[]), &times).unwrap();
    let (mut n, mut s, mut tick) = (3.0, 0.0, 0.8);
    for (time, row) in times.iter().zip(&found) {
        while tick <= *time {
            (n, s) = (
                n + 0.4 * n * (1.0 - n / 100.0) - if tick > 20.0 { 2.0 } else { 0.0 },
                s + n,
            );
            tick += 1.5;
        }
        close(row[0], n, 1e-12);
        close(row[1], s, 1e-12);
    }
}

#[test]
fn a_controller_on_a_clock_drives_equations_that_flow() {
    // Every five minutes a pump looks at the level and sets its rate: the closed loop of an artificial pancreas in small.
    let text = "next(U) = max(0, 0.02*(G - 110) + 0.5*U)\nd/dt(I) = U - 0.02*I\nd/dt(G) = 1.5 - 0.01*G*(1 + 0.3*I/(1 + I))\nG(0) = 180\nC = G\nD = I";
    let mut model = Model::new(text, &[("K", 0.1)], &[], &["C", "D"]);
    let (every, from) = (model.node("5"), model.node("0"));
    let system = model.change(|parts| parts.clock = Some(Clock { every, from })).build();
    assert_eq!(system.solution()[2].len(), 2);
    let times: Vec<f64> = (0..30).map(|i| 10.0 * f64::from(i) + 3.0).collect();
    let found = follow(&system, &subject(&system, &[1.0], &[]), &times).unwrap();
    let (mut u, mut x) = (0.0_f64, [0.0_f64, 180.0]);
    let (mut t, mut step, h) = (0.0, 0_u32, 0.01);
    for (time, row) in times.iter().zip(&found) {
        while t < time - 1e-9 {
            if step % 500 == 0 {
                u = f64::max(0.0, 0.02 * (x[1] - 110.0) + 0.5 * u);
            }
            let f = |x: [f64; 2]| [u - 0.02 * x[0], 1.5 - 0.01 * x[1] * (1.0 + 0.3 * x[0] / (1.0 + x[0]))];
            let plus = |k: [f64; 2], s: f64| [x[0] + s * k[0], x[1] + s * k[1]];
            let a = f(x);
            let b = f(plus(a, h / 2.0));
            let c = f(plus(b, h / 2.0));
            let e = f(plus(c, h));
            x = [0, 1].map(|i| x[i] + h / 6.0 * (a[i] + 2.0 * b[i] + 2.0 * c[i] + e[i]));
            step += 1;
            t = f64::from(step) * h;
        }
        close(row[0], x[1], 1e-8);
        close(row[1], x[0], 1e-8);
    }
    let mut often = Model::new(text, &[("K", 0.1)], &[], &["C"]);
    let (every, from) = (often.node("1e-9*K"), often.node("0"));
    let often = often.change(|parts| parts.clock = Some(Clock { every, from })).build();
    for k in [1.0, 0.0, -1.0] {
        assert!(follow(&often, &subject(&often, &[k], &[]), &[1000.0]).is_err());
    }
}

#[test]
fn a_cycle_settles_to_its_periodic_solution() {
    // x' = w*cos(w t) - K x settles to a sine with a known phase.
    let text = "w = 2*pi/3\nd/dt(X) = w*cos(w*t) - K*X\nd/dt(Y) = 1 - K*Y*(2 + sin(w*t))\nC = X\nD = Y";
    let mut model = Model::new(text, &[("K", 0.1)], &[], &["C", "D"]);
    let (length, square) = (model.node("3"), model.node("X^2"));
    let system = model
        .change(|parts| {
            parts.cycle = Some(Cycle {
                length,
                tolerance: 1e-9,
                at_most: 200,
            });
            parts.areas.push(square);
        })
        .build();
    let times = [0.0, 0.4, 1.0, 1.5, 2.9, 3.0];
    let found = follow(&system, &subject(&system, &[0.7], &[]), &times).unwrap();
    let (w, k) = (2.0 * std::f64::consts::PI / 3.0, 0.7);
    let size = w / (w * w + k * k);
    for (t, row) in times.iter().zip(&found) {
        let exact = size * (k * (w * t).cos() + w * (w * t).sin());
        assert!((row[0] - exact).abs() < 1e-7, "{t}: {} {exact}", row[0]);
    }
    close(found[0][1], found[5][1], 1e-7);
    close(
        found[5][system.area_place(0)],
        size * size * (w * w + k * k) * 1.5,
        1e-6,
    );
    let mut person = subject(&system, &[0.7], &[]);
    person.doses.push(d(0.0, 1.0, 0.0).into());
    assert!(follow(&system, &person, &[1.0]).is_err());
}

#[test]
fn a_cycle_that_starts_at_zero_settles_too() {
    // The settled X is a pure sine: zero at the seam of the cycle.
    let text = "w = 2*pi\nd/dt(X) = w*cos(w*t) + K*(sin(w*t) - X)\nC = X";
    let mut model = Model::new(text, &[("K", 0.1)], &[], &["C"]);
    let length = model.node("1");
    let cycle = |parts: &mut SystemParts| {
        parts.cycle = Some(Cycle {
            length,
            tolerance: 1e-6,
            at_most: 50,
        });
    };
    let system = model.change(cycle).build();
    let found = follow(&system, &subject(&system, &[0.7], &[]), &[0.25, 0.5]).unwrap();
    close(found[0][0], 1.0, 1e-6);
    assert!(found[1][0].abs() < 1e-6);
}

#[test]
fn inputs_move_and_are_delayed() {
    let text = "d/dt(A) = W\nd/dt(B) = delay(W, L)\nC = W\nD = A\nE = delay(W, L)\nF = B";
    for interpolated in [false, true] {
        let model = Model::new(text, &[("L", 0.1)], &["W"], &["C", "D", "E", "F"]);
        let system = model.change(|parts| parts.interpolated = vec![interpolated]).build();
        let regimes = vec![regime(1.0, &[3.0], &[1.0]), regime(5.0, &[3.0], &[4.0])];
        let person = Subject::with_regimes(&system, regimes, Vec::new());
        let steps = [3.0, 6.0, 9.0];
        let found = follow(&system, &person, &steps).unwrap();
        // By hand: W is 1 to time 1, then jumps to 4 at 5 or rises to it; the integrals start at 0.
        let w = |t: f64| match t {
            _ if t < 1.0 => 1.0,
            _ if t >= 5.0 => 4.0,
            _ if interpolated => 1.0 + 0.75 * (t - 1.0),
            _ => 1.0,
        };
        let area = |lag: f64, end: f64| {
            let n = 90_000_u32;
            let h = end / f64::from(n);
            (0..n).map(|i| w((f64::from(i) + 0.5) * h - lag) * h).sum::<f64>()
        };
        for (t, row) in steps.iter().zip(&found) {
            close(row[0], w(*t), 1e-9);
            close(row[1], area(0.0, *t), 1e-4);
            close(row[2], w(t - 3.0), 1e-9);
            close(row[3], area(3.0, *t), 1e-4);
        }
        let observations: Vec<Observation> = (0..4)
            .map(|output| Observation {
                output,
                ..seen(6.5, 1.0)
            })
            .collect();
        let mut evaluator = evaluate::Evaluator::new(&system, &person, &observations, tight()).unwrap();
        let mut at = |eta: f64| {
            assert!(evaluator.run(&[eta], true));
            (evaluator.predictions.clone(), evaluator.jacobian.clone())
        };
        let (up, down, here) = (at(1e-4).0, at(-1e-4).0, at(0.0).1);
        for i in 0..4 {
            let slope = (up[i] - down[i]) / 2e-4;
            assert!(
                (here[i] - slope).abs() < 1e-6 * (1.0 + slope.abs()),
                "{interpolated} {i}: {} {slope}",
                here[i]
            );
        }
        // Lags differ from lane to lane.
        let sets: Vec<Vec<f64>> = (0..8).map(|k| vec![0.1 * f64::from(k)]).collect();
        course_of_draws(&system, &person, &sets, &steps, tight(), |set, values| {
            let one = course(&system, &person, Values::Effects(&sets[set]), &steps, tight()).unwrap();
            for (i, value) in values.unwrap().iter().enumerate() {
                assert!(near(*value, one.at(i / 4)[i % 4], 1e-9), "{set} {i}");
            }
        })
        .unwrap();
    }
}

#[test]
fn regimes_before_the_start_do_not_start_the_course() {
    let system = Model::new("d/dt(X) = 0.1*X\nX(0) = W\nC = X", &[("K", 0.1)], &["W"], &["C"]).build();
    let regimes = vec![
        regime(-500.0, &[1.0], &[3.0]),
        regime(-20.0, &[1.0], &[2.0]),
        regime(4.0, &[1.0], &[7.0]),
    ];
    let person = Subject::with_regimes(&system, regimes, Vec::new());
    let found = follow(&system, &person, &[10.0]).unwrap();
    close(found[0][0], 2.0 * 1.0_f64.exp(), 1e-9);
}

#[test]
fn corners_are_hit() {
    let text = "d/dt(A) = (if (t < 2.3) 1 else 0) + (if (t <= 4.1) 0 else 2)\nd/dt(B) = max(0, t - 3.7)\nd/dt(D) = floor(t/1.1)\nd/dt(E) = mod(t, 2.4)\nd/dt(F) = abs(t - K) - min(t, 7)\nC = A\nG = B\nH = D\nI = E\nJ = F";
    let system = Model::new(text, &[("K", 0.1)], &[], &["C", "G", "H", "I", "J"]).build();
    let sparing = Precision {
        most_steps: 400,
        ..Precision::default()
    };
    let found = course(
        &system,
        &subject(&system, &[5.0], &[]),
        Values::Effects(&[0.0]),
        &[10.0],
        sparing,
    )
    .unwrap();
    let floors: f64 = (0..10)
        .map(|k| f64::from(k) * (1.1 * f64::from(k + 1)).min(10.0) - f64::from(k) * 1.1 * f64::from(k))
        .sum();
    let expected = [
        2.3 + 2.0 * 5.9,
        0.5 * 6.3 * 6.3,
        floors,
        4.0 * 2.88 + 0.5 * 0.4 * 0.4,
        25.0 - 24.5 - 21.0,
    ];
    for (x, y) in found.at(0).iter().zip(expected) {
        close(*x, y, 1e-9);
    }
}

#[test]
fn a_lag_that_ends_with_something_else_keeps_its_slope() {
    let text = "d/dt(A) = -K*A\nC = A";
    for nonlinear in [false, true] {
        let text = if nonlinear {
            "d/dt(A) = -K*A*(1 + 0.001*A)\nC = A"
        } else {
            text
        };
        let model = Model::new(text, &[("K", 0.1), ("L", 0.1)], &[], &["C"]).route("A");
        let system = model.with(|route, node| route.lag = Some(node), "L").build();
        for duration in [0.0, 1.0] {
            let person = subject(&system, &[0.4, 1.0], &[d(0.0, 100.0, duration), d(1.0, 50.0, 0.0)]);
            // At no effect the first dose enters just as the first level is read and the second dose is given.
            let observations = [seen(1.0, 1.0), seen(2.0, 1.0), seen(4.5, 1.0)];
            let mut evaluator = evaluate::Evaluator::new(&system, &person, &observations, tight()).unwrap();
            let mut at = |eta: f64| {
                assert!(evaluator.run(&[0.0, eta], true));
                (evaluator.predictions.clone(), evaluator.jacobian.clone())
            };
            let (up, down, here) = (at(1e-4).0, at(-1e-4).0, at(0.0).1);
            let slope = (up[2] - down[2]) / 2e-4;
            assert!(
                (here[5] - slope).abs() < 1e-6 * (1.0 + slope.abs()),
                "{nonlinear} {duration}: {} {slope}",
                here[5]
            );
        }
    }
}

#[test]
fn lags_of_many_people_are_kept_apart() {
    // In some lanes the lag is nothing, in others it passes readings, a reset and the last time.
    let model = Model::new("d/dt(A) = -K*A\nC = A + 1", &[("K", 0.1), ("L", 0.1)], &[], &["C"]).route("A");
    let system = model
        .with(|route, node| route.lag = Some(node), "max(0, L - 1)")
        .build();
    let mut person = subject(&system, &[0.4, 1.0], &[d(0.0, 100.0, 2.0), d(3.0, 50.0, 0.0)]);
    let times = [0.0, 0.5, 1.0, 3.0, 3.2, 6.0];
    for reset in [None, Some(2.5)] {
        person.resets = reset.into_iter().collect();
        for order in [1.0, -1.0] {
            let sets: Vec<Vec<f64>> = (0..16).map(|k| vec![0.0, order * (f64::from(k) / 5.0 - 1.5)]).collect();
            course_of_draws(&system, &person, &sets, &times, tight(), |set, values| {
                let one = course(&system, &person, Values::Effects(&sets[set]), &times, tight()).unwrap();
                for (i, value) in values.unwrap().iter().enumerate() {
                    assert!(near(*value, one.at(i)[0], 1e-9), "{set} {i}: {value} {}", one.at(i)[0]);
                }
            })
            .unwrap();
        }
    }
}

#[test]
fn a_reset_takes_what_has_yet_to_enter() {
    let model = Model::new("d/dt(A) = -K*A\nC = A", &[("K", 0.1)], &[], &["C"]).route("A");
    let system = model.with(|route, node| route.lag = Some(node), "3").build();
    let mut person = subject(&system, &[0.4], &[d(0.0, 320.0, 0.0), d(1.0, 100.0, 0.0)]);
    person.resets = vec![1.0];
    // The first dose would have entered at 3; the second is given at the reset, after it, and enters at 4.
    let found = follow(&system, &person, &[3.5, 6.0]).unwrap();
    assert_eq!(found[0][0], 0.0);
    assert!(near(found[1][0], 100.0 * (-0.8_f64).exp(), 1e-9), "{found:?}");
}

#[test]
fn occasions_have_effects_of_their_own() {
    let model = Model::new("d/dt(A) = -K*A/(1 + 0.01*A)\nC = A", &[("K", 0.1)], &[], &["C"]).route("A");
    let system = model
        .change(|parts| {
            parts.occasion_effects = (0..3).map(|i| (format!("kappa {i}"), 0.05)).collect();
            parts.parameters[0].occasion_effect = Some(1);
        })
        .build();
    let occasion = |from: f64, occasion| Regime {
        occasion,
        ..regime(from, &[0.3], &[])
    };
    let regimes = vec![
        occasion(0.0, Some(0)),
        occasion(5.0, Some(1)),
        occasion(9.0, None),
        occasion(12.0, Some(2)),
    ];
    let doses = vec![d(0.0, 100.0, 0.0).into(), d(6.0, 50.0, 2.0).into()];
    let mut person = Subject::with_regimes(&system, regimes, doses);
    let eta: Vec<f64> = (0..10).map(|i| 0.1 * f64::from(i) - 0.4).collect();
    let observations = [seen(4.0, 1.0), seen(8.0, 1.0), seen(11.0, 1.0), seen(15.0, 1.0)];
    let mut evaluator = evaluate::Evaluator::new(&system, &person, &observations, tight()).unwrap();
    assert_eq!(evaluator.jacobian.len() % 10, 0);
    assert!(evaluator.run(&eta, true));
    let exact = evaluator.jacobian.clone();
    for j in 0..10 {
        let mut at = |by: f64| {
            let mut moved = eta.clone();
            moved[j] += by;
            assert!(evaluator.run(&moved, false));
            evaluator.predictions.clone()
        };
        let (up, down) = (at(1e-4), at(-1e-4));
        for o in 0..4 {
            let slope = (up[o] - down[o]) / 2e-4;
            assert!(
                (exact[o * 10 + j] - slope).abs() < 1e-5 * (1.0 + slope.abs()),
                "{o} {j}"
            );
        }
    }
    // The second effect of each occasion acts, on what comes after its start; without an occasion none does.
    let acts = |o: usize| -> Vec<usize> { (1..10).filter(|j| exact[o * 10 + j] != 0.0).collect() };
    assert_eq!(
        [acts(0), acts(1), acts(2), acts(3)],
        [vec![2], vec![2, 5], vec![2, 5], vec![2, 5, 8]]
    );
    let levels: Vec<Observation> = observations.iter().map(|o| Observation { value: 20.0, ..*o }).collect();
    let found = fit(&system, &person, &levels, &FitOptions::default()).unwrap();
    assert!(found.converged() && found.best().unwrap().eta.len() == 10);
    assert_eq!(found.best().unwrap().eta[1], 0.0);
    person.regimes[3].occasion = Some(usize::MAX);
    assert!(fit(&system, &person, &levels, &FitOptions::default()).is_err());
}

#[test]
fn what_goes_wrong_is_named() {
    let text = "d/dt(A) = -K*A\nC = A";
    let one = |text: &str| Model::new(text, &[("K", 0.1)], &[], &["C"]).route("A");
    let doses = [d(2.0, 100.0, 0.0)];
    let message = |system: &System, person: &Subject| follow(system, person, &[5.0]).unwrap_err().to_string();
    for (set, formula, word) in [
        (0, "-K", "lag"),
        (1, "ln(-K)", "bioavailability"),
        (1, "-K", "bioavailability"),
    ] {
        let put = |route: &mut Route, node| match set {
            0 => route.lag = Some(node),
            _ => route.bioavailability = Some(node),
        };
        let system = one(text).with(put, formula).build();
        let error = message(&system, &subject(&system, &[1.0], &doses));
        assert!(error.contains(word) && error.contains("at 2"), "{error}");
    }
    let system = one(text).build();
    let fine = subject(&system, &[1.0], &doses);
    for course in [
        Course::ModelledDuration,
        Course::ModelledRate,
        Course::Rate(0.0),
        Course::Rate(f64::NAN),
    ] {
        let mut person = fine.clone();
        person.doses[0].course = course;
        assert!(follow(&system, &person, &[5.0]).is_err(), "{course:?}");
    }
    let blows = one("d/dt(X) = K*X^2\nX(0) = 1\nd/dt(A) = -A\nC = X").build();
    let error = message(&blows, &subject(&blows, &[0.5], &[]));
    assert!(error.contains('X') && error.contains("at time 1.99"), "{error}");
    let shakes = one("d/dt(X) = 1e3*cos(1e9*t)\nX(0) = 1\nd/dt(A) = -A\nC = X").build();
    let short = Precision {
        most_steps: 1000,
        ..Precision::default()
    };
    let error = course(
        &shakes,
        &subject(&shakes, &[0.5], &[]),
        Values::Effects(&[0.0]),
        &[1e6],
        short,
    )
    .unwrap_err();
    assert!(error.to_string().contains("1000 steps"), "{error}");
    let root = one("d/dt(A) = -K*A\nC = ln(A)").build();
    let error = message(&root, &subject(&root, &[1.0], &[]));
    assert!(error.contains('C') && error.contains("finite"), "{error}");
    // Persons that do not fit.
    let change = |change: &dyn Fn(&mut Subject)| {
        let mut person = fine.clone();
        change(&mut person);
        follow(&system, &person, &[5.0]).is_err()
            && fit(&system, &person, &[seen(1.0, 1.0)], &FitOptions::default()).is_err()
    };
    assert!(change(&|person| person.regimes.clear()));
    assert!(change(&|person| person.regimes[0].typical.clear()));
    assert!(change(&|person| person.regimes[0].inputs.push(1.0)));
    assert!(change(&|person| person.regimes[0].from = f64::NAN));
    assert!(change(&|person| person.regimes.push(person.regimes[0].clone())));
    assert!(change(&|person| person.doses[0].route = 99));
    assert!(change(&|person| person.doses[0].dose.amount = -1.0));
    assert!(change(&|person| person.resets.push(f64::INFINITY)));
    assert!(follow(&system, &fine, &[f64::NAN]).is_err());
    assert!(follow(&system, &fine, &[]).unwrap().is_empty());
    assert!(course(&system, &fine, Values::Parameters(&[1.0, 2.0]), &[1.0], tight()).is_err());
}

#[test]
fn a_reset_takes_what_has_yet_to_enter_in_each_draw() {
    let system = Model::new("d/dt(A) = -K*A\nC = A", &[("K", 0.1), ("L", 0.1)], &[], &["C"])
        .route("A")
        .with(|route, node| route.lag = Some(node), "L")
        .build();
    let mut person = subject(&system, &[0.3, 2.0], &[d(1.0, 100.0, 0.0)]);
    person.resets.push(3.0);
    let times = [2.9, 3.0, 5.0];
    // With the first lag the dose has yet to enter at the reset, with the second it enters before.
    let sets = [vec![0.0, 0.5], vec![0.0, -0.5]];
    for order in [[0, 1], [1, 0]] {
        let sets = order.map(|k| sets[k].clone());
        let mut found = Vec::new();
        course_of_draws(&system, &person, &sets, &times, tight(), |_, values| {
            found.push(values.unwrap().to_vec());
        })
        .unwrap();
        for (set, found) in sets.iter().zip(found) {
            let entered = 1.0 + 2.0 * set[1].exp();
            let at = |t: f64| {
                if entered < t {
                    100.0 * (-0.3 * (t - entered)).exp()
                } else {
                    0.0
                }
            };
            close(found[0], at(2.9), 1e-9);
            close(found[1], at(3.0), 1e-9);
            assert_eq!(found[2], 0.0);
        }
    }
}

#[test]
fn a_first_step_that_is_too_long_is_noticed() {
    // The derivative of R is zero when the infusion begins; the estimate of the error over the whole way was too, by chance.
    let text = "d/dt(S) = -K3*S\nC = S/V\nd/dt(R) = K2*(1 - C/(C + 2)) - K3*R\nR(0) = K2/K3\nE = R";
    let system = Model::new(text, &[("K2", 0.1), ("K3", 0.1), ("V", 0.1)], &[], &["E"])
        .route("S")
        .build();
    let numbers = [0.23504632179585808, 0.1202280040848063, 14.680863519699253];
    let start = 2.9809647913026835;
    let person = subject(
        &system,
        &numbers,
        &[d(start, 111.91888342804421, 111.91888342804421 / 40.0)],
    );
    let times = [0.33, 1.89, start, 4.669981816461733, 4.983399295466564, 17.0];
    let usual = course(
        &system,
        &person,
        Values::Parameters(&numbers),
        &times,
        Precision::default(),
    )
    .unwrap();
    let exact = course(&system, &person, Values::Parameters(&numbers), &times, tight()).unwrap();
    for mark in 0..times.len() {
        close(usual.at(mark)[0], exact.at(mark)[0], 1e-6);
    }
}

#[test]
fn a_step_after_a_dose_that_is_too_long_is_noticed() {
    // R is slow, and what drives it after a dose is fast: the estimate of the error was zero by chance.
    let text = "d/dt(G) = -KA*G\nd/dt(A) = KA*G - K*A\nd/dt(R) = 0.3*(1 - A/(A + 5*V)) - 0.3*R\nR(0) = 1\nC = R";
    let system = Model::new(text, &[("KA", 0.2), ("K", 0.1), ("V", 0.1)], &[], &["C"])
        .route("G")
        .build();
    let typical = [1.1, 0.2, 10.0];
    let doses: Vec<Dose> = (0..10_u8)
        .map(|i| {
            d(
                12.0 * f64::from(i),
                100.0 + f64::from(i),
                if i % 2 == 0 { 0.0 } else { 1.5 },
            )
        })
        .collect();
    let person = subject(&system, &typical, &doses);
    let eta = [1.107225701686452, -0.18270979657182443, -0.27256750330353857];
    let times: Vec<f64> = (0..40).map(|i| 3.0 * f64::from(i)).collect();
    let usual = Precision {
        relative: 1e-6,
        ..Precision::default()
    };
    let usual = course(&system, &person, Values::Effects(&eta), &times, usual).unwrap();
    let exact = course(&system, &person, Values::Effects(&eta), &times, tight()).unwrap();
    for mark in 0..times.len() {
        close(usual.at(mark)[0], exact.at(mark)[0], 1e-5);
    }
}

#[test]
fn what_only_adds_up_need_not_settle() {
    // Sums of what has a closed form, and of what stands still between events, beside a state that is integrated.
    let text =
        "d/dt(A) = -K*A\nd/dt(N) = 1 - N*(1 + A)\nd/dt(U) = A\nd/dt(B) = delay(W, L)\nC = N\nD = U\nE = B\nN(0) = 1";
    let mut model = Model::new(text, &[("K", 0.1), ("L", 0.1)], &["W"], &["C", "D", "E"]).route("A");
    let area = model.node("N");
    let system = model.change(|parts| parts.areas.push(area)).build();
    let mut dose = Given::from(d(2.0, 5.0, 0.0));
    dose.settled = Some(Settled {
        interval: 6.0,
        added: false,
    });
    let person = Subject::with_regimes(&system, vec![regime(0.0, &[0.4, 1.0], &[3.0])], vec![dose]);
    let times = [2.0, 8.0];
    let values = |precision| {
        let found = course(&system, &person, Values::Effects(&[0.0, 0.0]), &times, precision).unwrap();
        times
            .iter()
            .enumerate()
            .map(|(mark, _)| found.at(mark).to_vec())
            .collect::<Vec<_>>()
    };
    let whole = Precision {
        integrate_all: true,
        ..tight()
    };
    let (split, whole) = (values(tight()), values(whole));
    for (split, whole) in split.iter().zip(&whole) {
        for (x, y) in split.iter().zip(whole) {
            close(*x, *y, 1e-7);
        }
    }
    // All of a dose leaves within an interval; the delayed input is 3 throughout.
    close(split[1][1], 5.0 / 0.4, 1e-8);
    close(split[1][2], 24.0, 1e-9);
}
