//! Tests of the pictures and tables.
#![allow(clippy::unwrap_used)]
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::*;
use crate::smart::tables;

const EVIL: &str = "<img src=x onerror=alert(1)>\"'";

fn picture(change: Value) -> Picture {
    let curve = |top: f64| json!({"hours": [0.0, 12.0, 24.0], "p05": [1.0, 2.0, 1.0], "p50": [2.0, top, 2.0], "p95": [3.0, 2.0 * top, 3.0]});
    let option = |kind: &str, top: f64| {
        json!({
            "kind": kind, "label": format!("{kind} {EVIL}"), "recommended": kind == "change", "current": kind == "keep",
            "on_target": 0.64, "below": 0.2, "harm": 0.001, "curve": curve(top),
            "measures": if kind == "stop" { json!({}) } else { json!({"auc": {"median": 468.2, "p05": 348.0, "p95": 688.0}}) },
        })
    };
    let source = json!({"reference": format!("Observation/{EVIL}"), "version": EVIL});
    let mut jumeau = json!({
        "quantity": EVIL, "output": "C", "unit": "mg/L", "now": "2026-01-15T12:00:00Z", "decision": "recommend",
        "options": [option("change", 30.0), option("keep", 44.0), option("stop", 2.0)],
        "measures": [{"name": "auc", "label": EVIL, "unit": "mg.h/L"}],
        "target": {"measure": "auc", "output": "C", "label": EVIL, "unit": "mg/L", "low": 10.0},
        "points": [{"time": "2026-01-15T11:00:00Z", "hours": -1.0, "value": 13.7, "bound": "below", "used": true,
            "output": "C", "unit": EVIL, "source": source}],
        "doses": [{"time": "2026-01-15T00:00:00Z", "hours": -12.0, "amount": 1500.0, "unit": EVIL, "duration_hours": 1.5,
            "assumed": true, "source": source}],
        "inputs": [{"title": EVIL, "value": 0.92, "unit": EVIL, "recorded": format!("81.5 {EVIL}"), "source": source}],
        "models": [{"id": EVIL, "version": EVIL, "sha256": "ab", "doi": EVIL, "weight": 0.6},
            {"id": EVIL, "version": EVIL, "sha256": "ab", "doi": EVIL, "weight": 0.2}],
        "past": {"hours": [-90.0, -12.0, 0.0], "p05": [1.0, 1.0, 1.0], "p50": [2.0, 2.0, 2.0], "p95": [3.0, 3.0, 3.0]},
    });
    for (name, value) in change.as_object().unwrap() {
        jumeau[name] = value.clone();
    }
    Picture::of(Some(&json!({ "jumeau": jumeau }))).unwrap()
}

#[test]
fn nothing_of_a_record_becomes_markup() {
    let zone = TimeZone::UTC;
    let words = Words::of("fr", &zone);
    let picture = picture(json!({}));
    let parts = [
        figures(&picture, &words).unwrap(),
        table(&picture, &words).unwrap(),
        tables::options(&picture, &words),
        tables::basis(&picture, &words),
    ];
    for part in parts {
        assert!(!part.contains("<img") && part.contains("&lt;img"), "{part}");
        assert!(!part.contains("href=\"<") && !part.contains("href=\"&lt;"), "{part}");
    }
}

#[test]
fn options_are_ranked_and_told() {
    let zone = TimeZone::UTC;
    let words = Words::of("en", &zone);
    let own = picture(json!({}));
    let html = figures(&own, &words).unwrap();
    // The present plan, what is offered, no treatment.
    let at = |text: &str| html.find(text).unwrap_or_else(|| unreachable!("{text}: {html}"));
    assert!(at("Keep ") < at("1. Change ") && at("1. Change ") < at("Stop "));
    assert!(
        html.contains("468 mg·h/L (90 % interval 348 to 688), 64 % on target, 20 % too low, chance of harm &lt; 1 %")
    );
    // No treatment has no numbers of a steady one, and none are made up.
    assert!(html.contains("Treatment ends;") && !tables::options(&own, &words).contains("Stop 1"));
    assert_eq!(html.matches("on target,").count(), 2);
    // The measured limit is a limit, and one file is one line with all its votes.
    let basis = tables::basis(&own, &words);
    assert!(
        basis.contains("&lt; 13.7") && basis.contains("80 %") && basis.matches(">ab<").count() == 1,
        "{basis}"
    );
    let mut none = picture(json!({"decision": "nothing-suitable"}));
    none.options.iter_mut().for_each(|option| option.recommended = false);
    let html = figures(&none, &words).unwrap();
    assert!(!html.contains("1. Change") && html.contains(">not suitable<"), "{html}");
}

#[test]
fn pictures_go_back_as_far_as_ahead_in_the_unit_that_fits() {
    let zone = TimeZone::UTC;
    let words = Words::of("en", &zone);
    let own = sheet(&picture(json!({})), &words).unwrap();
    let first = own.tiles.first().unwrap();
    // 24 h ahead, so 27.6 h back; the dose 12 h ago is the earliest thing that is known within.
    assert_eq!(first.panel.times.first().copied(), Some(-12.0));
    assert_eq!(
        (own.time_label.as_str(), own.target),
        ("time from now (h)", Some((10.0, f64::INFINITY)))
    );
    assert_eq!((axis(120.0).1, axis(121.0).1, axis(1500.0).1), (1.0, 24.0, 168.0));
    let other = sheet(
        &picture(json!({"target": {"measure": "auc", "unit": "h", "low": 1.0}})),
        &words,
    )
    .unwrap();
    assert_eq!(other.target, None);
    assert_eq!(sheet(&Picture::default(), &words), None);
}
