//! Tests of the figures.

use super::line::{path, thin};
use super::*;

/// A figure of so many subjects on one oral dose.
fn figure(subjects: usize) -> Figure {
    let panel = |i: usize| {
        let times: Vec<f64> = (0..=240).map(|k| f64::from(k) * 0.1).collect();
        let curve = |scale: f64| {
            times
                .iter()
                .map(|t| scale * ((-0.09 * t).exp() - (-1.4 * t).exp()))
                .collect::<Vec<_>>()
        };
        let scale = 8.0 + i as f64 % 5.0;
        let kinds = [Kind::Exact, Kind::Exact, Kind::Above, Kind::Exact, Kind::Below];
        let observed = kinds.into_iter().zip([0.0, 1.0, 2.0, 9.0, 24.0]);
        Panel {
            title: format!("subject {i}"),
            value_label: "C (mg/L)".into(),
            observed: observed
                .map(|(kind, time)| Point {
                    time,
                    value: 6.0 - time * 0.2,
                    kind,
                })
                .collect(),
            individual: curve(scale),
            population: curve(10.0),
            low: curve(scale * 0.8),
            high: curve(scale * 1.2),
            doses: vec![0.0, 12.0],
            times,
        }
    };
    Figure {
        title: "Observed & predicted".into(),
        subtitle: "one compartment".into(),
        time_label: "time (h)".into(),
        panels: (1..=subjects).map(panel).collect(),
        log_scale: false,
    }
}

/// Fails unless the text is one well-formed element that no number spoiled; gives its text back.
fn well_formed(svg: &str) -> String {
    let mut open = Vec::new();
    let mut text = String::new();
    for piece in svg.split('<').skip(1) {
        let (tag, rest) = piece.split_once('>').expect("a closed tag");
        let name = tag.split_whitespace().next().expect("a name").trim_end_matches('/');
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{svg}"),
            None if tag.ends_with('/') => {}
            None => open.push(name),
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        assert!(!rest.contains('>'), "{rest}");
        let entities = rest.split('&').skip(1);
        entities.for_each(|e| assert!(["amp;", "lt;", "gt;"].iter().any(|known| e.starts_with(known)), "{e}"));
        text.push_str(rest);
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    text
}

#[test]
fn any_number_of_panels_is_well_formed_and_small() {
    for subjects in [1, 2, 3, 5, 12, 40, MOST_PANELS] {
        for log_scale in [false, true] {
            let figure = Figure {
                log_scale,
                ..figure(subjects)
            };
            let svg = svg(&figure).unwrap();
            let text = well_formed(&svg);
            assert!(svg.contains(r#"role="img""#) && text.contains("Observed &amp; predicted"));
            assert_eq!(text.matches("individual prediction").count(), 1, "one legend");
            assert!(
                svg.len() < 8_000 + subjects * 6_000,
                "{} bytes for {subjects}",
                svg.len()
            );
            assert_eq!(svg, super::svg(&figure).unwrap());
        }
    }
}

#[test]
fn text_is_escaped() {
    let mut figure = figure(1);
    let nasty = "<script>alert(1)</script> & \"x\" \u{1}\u{ffff}";
    figure.title = nasty.into();
    figure.subtitle = nasty.into();
    figure.time_label = nasty.into();
    figure.panels[0].title = nasty.into();
    figure.panels[0].value_label = nasty.into();
    let svg = svg(&figure).unwrap();
    well_formed(&svg);
    assert!(!svg.contains("<script") && !svg.contains('\u{1}') && !svg.contains('\u{ffff}'));
}

#[test]
fn what_is_not_finite_is_left_out_and_counted() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN] {
        for log_scale in [false, true] {
            let mut figure = Figure { log_scale, ..figure(2) };
            let panel = &mut figure.panels[0];
            for numbers in [&mut panel.times, &mut panel.individual, &mut panel.low, &mut panel.high] {
                numbers[100] = bad;
            }
            panel.observed[1].value = bad;
            panel.observed[2].time = bad;
            panel.doses[0] = bad;
            let text = well_formed(&svg(&figure).unwrap());
            assert!(text.contains("Not drawn because not finite: 7 numbers."), "{text}");
        }
    }
}

#[test]
fn degenerate_values_are_drawn() {
    for value in [0.0, 1e-320, 1e-99, 1.0, -3.0, 1e99, 123_456_789.0] {
        for log_scale in [false, true] {
            let observed = vec![Point {
                time: value,
                value,
                kind: Kind::Exact,
            }];
            let panels = vec![Panel {
                observed,
                ..Panel::default()
            }];
            match svg(&Figure {
                log_scale,
                panels,
                ..Figure::default()
            }) {
                Ok(svg) => assert!(well_formed(&svg).contains("observed") && svg.contains("<circle")),
                Err(error) => assert!(log_scale && value < 1e-100 && error == PlotError::Nothing, "{value}"),
            }
        }
    }
}

#[test]
fn an_empty_panel_says_so_and_an_empty_figure_is_refused() {
    let mut some = figure(2);
    some.panels[1] = Panel {
        title: "subject 2".into(),
        ..Panel::default()
    };
    assert!(well_formed(&svg(&some).unwrap()).contains("no data to draw"));
    assert_eq!(svg(&Figure::default()), Err(PlotError::Nothing));
    let nothing = Figure {
        panels: vec![Panel {
            times: vec![1.0],
            individual: vec![f64::NAN],
            ..Panel::default()
        }],
        ..some
    };
    assert_eq!(svg(&nothing), Err(PlotError::Nothing));
}

#[test]
fn faults_say_what_to_do() {
    let error = svg(&figure(MOST_PANELS + 1)).unwrap_err().to_string();
    assert_eq!(
        error,
        "201 panels are too many for one figure: draw at most 200, as several figures"
    );
    let mut figure = figure(1);
    figure.panels[0].low.pop();
    let error = svg(&figure).unwrap_err().to_string();
    assert_eq!(
        error,
        "panel \"subject 1\": low has 240 values for 241 times; give one for each or none"
    );
}

#[test]
fn zero_is_noted_where_a_logarithmic_scale_cannot_show_it() {
    let mut figure = Figure {
        log_scale: true,
        ..figure(1)
    };
    figure.panels[0].observed[0].value = 0.0;
    figure.panels[0].low[0] = 0.0;
    let text = well_formed(&svg(&figure).unwrap());
    assert!(
        text.contains("Not on the logarithmic scale: 1 observation of zero or less."),
        "{text}"
    );
}

#[test]
fn panels_share_a_scale_unless_one_could_not_be_read_on_it() {
    let mut figure = figure(3);
    assert!(!svg(&figure).unwrap().contains("scales differ"));
    figure.panels[1].high[10] = 500.0;
    assert!(
        svg(&figure)
            .unwrap()
            .contains("Value scales differ from panel to panel.")
    );
    figure.panels[1].value_label = "AUC (mg·h/L)".into();
    assert!(!svg(&figure).unwrap().contains("scales differ"));
    figure.panels[2].doses.push(500.0);
    assert!(
        svg(&figure)
            .unwrap()
            .contains("Time scales differ from panel to panel.")
    );
}

#[test]
fn thinning_keeps_the_line() {
    let wave: Vec<_> = (0..100_000)
        .map(|i| f64::from(i) * 0.003)
        .map(|x| (x, 50.0 + 40.0 * (x * 0.05).sin()))
        .collect();
    let thinned = thin(&wave);
    assert!(thinned.len() < 150, "{}", thinned.len());
    for pair in thinned.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        for point in wave.iter().filter(|p| p.0 >= from.0 && p.0 <= to.0) {
            let line = from.1 + (to.1 - from.1) * (point.0 - from.0) / (to.0 - from.0);
            assert!((line - point.1).abs() < 0.25, "{point:?}");
        }
    }
    // Noise keeps its extremes, a jump its corner.
    let noise: Vec<_> = (0..10_000)
        .map(|i| (f64::from(i) * 0.01, f64::from(i * 7919 % 101)))
        .collect();
    assert!(thin(&noise).len() <= 400);
    let jump = [(0.0, 9.0), (5.0, 9.0), (5.0, 1.0), (9.0, 1.0), (10.0, 1.0)];
    assert_eq!(thin(&jump), [(0.0, 9.0), (5.0, 9.0), (5.0, 1.0), (10.0, 1.0)]);
}

#[test]
fn paths_are_short_and_do_not_drift() {
    assert_eq!(
        path(&[(1.04, 2.0), (1.5, 1.96), (3.0, -0.5), (3.0, -0.5)]),
        "M1 2l.5 0 1.5-2.5"
    );
    assert_eq!(path(&[(1.0, 2.0)]), "M1 2h0");
}
