use super::*;

const ASSUMED: AssumedInfusion = AssumedInfusion {
    hours_per_unit: 0.001,
    at_least: 1.0,
};

fn drug() -> Drug {
    Drug {
        name: "v".into(),
        codes: vec![],
        synonyms: vec![],
        unit: "mg".into(),
        routes: vec![],
    }
}

fn quantity(value: &str, unit: &str) -> Quantity {
    Quantity {
        value: Some(value.into()),
        unit: Some(unit.into()),
        ..Quantity::default()
    }
}

fn dosage(amount: &str, unit: &str, code: &str) -> Dosage {
    Dosage {
        dose: Dose::Quantity(quantity(amount, unit)),
        timing: Timing {
            codes: if code.is_empty() { vec![] } else { vec![code.into()] },
            ..Timing::default()
        },
        ..Dosage::default()
    }
}

fn repeat(frequency: f64, period: f64, unit: &str) -> Timing {
    Timing {
        frequency: Some(frequency),
        period: Some(period),
        period_unit: Some(unit.into()),
        ..Timing::default()
    }
}

#[test]
fn intervals() {
    for (code, hours) in [
        ("Q8H", 8.0),
        ("q12h", 12.0),
        ("BID", 12.0),
        ("TID", 8.0),
        ("QD", 24.0),
        ("Q24H", 24.0),
        ("every 6 hours", 6.0),
        ("Q48H", 48.0),
    ] {
        let got = understand(&[dosage("1", "g", code)], &drug(), ASSUMED).unwrap();
        assert_eq!(
            (got.amount, got.interval_hours, got.duration_hours),
            (1000.0, Some(hours), 1.0),
            "{code}"
        );
        assert!(got.duration_assumed);
    }
    for (timing, hours) in [
        (repeat(1.0, 12.0, "h"), 12.0),
        (repeat(3.0, 1.0, "d"), 8.0),
        (repeat(1.0, 90.0, "min"), 1.5),
    ] {
        let d = Dosage {
            timing,
            ..dosage("1500", "mg", "")
        };
        let got = understand(&[d], &drug(), ASSUMED).unwrap();
        assert_eq!((got.interval_hours, got.duration_hours), (Some(hours), 1.5));
    }
    let once = understand(&[dosage("1", "g", "ONCE")], &drug(), ASSUMED).unwrap();
    assert_eq!((once.interval_hours, once.regimen()), (None, None));
}

#[test]
fn length_from_timing_or_rate() {
    let mut d = dosage("1000", "mg", "Q12H");
    d.timing.duration = Some(90.0);
    d.timing.duration_unit = Some("min".into());
    let got = understand(std::slice::from_ref(&d), &drug(), ASSUMED).unwrap();
    assert_eq!((got.duration_hours, got.duration_assumed), (1.5, false));
    let mut d = dosage("1000", "mg", "Q12H");
    d.rate = Some(Rate::Quantity(quantity("500", "mg/h")));
    assert_eq!(
        understand(std::slice::from_ref(&d), &drug(), ASSUMED)
            .unwrap()
            .duration_hours,
        2.0
    );
    d.rate = Some(Rate::Ratio(quantity("1", "g"), quantity("60", "min")));
    assert_eq!(
        understand(std::slice::from_ref(&d), &drug(), ASSUMED)
            .unwrap()
            .duration_hours,
        1.0
    );
    d.rate = Some(Rate::Quantity(quantity("250", "mL/h")));
    assert!(understand(&[d], &drug(), ASSUMED).unwrap().duration_assumed);
}

#[test]
fn what_is_not_clear() {
    let base = || dosage("1000", "mg", "Q12H");
    for (d, why) in [
        (
            Dosage {
                as_needed: true,
                ..base()
            },
            "order-unclear-as-needed",
        ),
        (
            Dosage {
                modified: true,
                ..base()
            },
            "order-unclear-modified",
        ),
        (
            Dosage {
                dose: Dose::Range,
                ..base()
            },
            "order-unclear-dose-range",
        ),
        (
            Dosage {
                dose: Dose::None,
                ..base()
            },
            "order-unclear-no-dose",
        ),
        (dosage("15", "mg/kg", "Q12H"), "order-unclear-per-weight"),
        (dosage("75", "mg/m\u{b2}", "ONCE"), "order-unclear-per-weight"),
        (dosage("1", "{tbl}", "QD"), "order-unclear-dose-unit"),
        (dosage("1", "dose", "Q12H"), "order-unclear-dose-unit"),
        (dosage("-5", "mg", "Q12H"), "order-unclear-dose"),
        (dosage("5", "mg", ""), "order-unclear-no-timing"),
        (dosage("5", "mg", "whenever"), "order-unclear-timing"),
        (dosage("5", "mg", "Q0H"), "order-unclear-timing"),
        (
            Dosage {
                timing: Timing {
                    codes: vec!["BID".into()],
                    ..repeat(1.0, 8.0, "h")
                },
                ..base()
            },
            "order-unclear-timing",
        ),
        (
            Dosage {
                timing: repeat(0.0, 8.0, "h"),
                ..base()
            },
            "order-unclear-timing",
        ),
        (
            Dosage {
                timing: repeat(1.0, 8.0, "fortnight"),
                ..base()
            },
            "order-unclear-timing",
        ),
    ] {
        assert_eq!(understand(&[d], &drug(), ASSUMED), Err(why));
    }
    assert_eq!(understand(&[], &drug(), ASSUMED), Err("order-unclear-no-dosage"));
    assert_eq!(
        understand(&[base(), dosage("500", "mg", "Q8H")], &drug(), ASSUMED),
        Err("order-unclear-several")
    );
    assert!(understand(&[base(), base()], &drug(), ASSUMED).is_ok());
}

#[test]
fn loading_then_maintenance() {
    let loading = Dosage {
        sequence: Some(1),
        ..dosage("2000", "mg", "ONCE")
    };
    let then = Dosage {
        sequence: Some(2),
        ..dosage("1000", "mg", "Q12H")
    };
    let got = understand(&[then.clone(), loading], &drug(), ASSUMED).unwrap();
    assert_eq!((got.amount, got.interval_hours), (1000.0, Some(12.0)));
    let other = Dosage {
        sequence: Some(1),
        ..dosage("2000", "mg", "Q8H")
    };
    assert_eq!(
        understand(&[then, other], &drug(), ASSUMED),
        Err("order-unclear-several")
    );
}

#[test]
fn one_dose_only() {
    let dose = |d: &Dosage| super::once(std::slice::from_ref(d), &drug(), ASSUMED);
    let mut d = dosage("140", "mg", "");
    assert_eq!(dose(&d), Some((140.0, 1.0)));
    assert_eq!(
        understand(std::slice::from_ref(&d), &drug(), ASSUMED),
        Err("order-unclear-no-timing")
    );
    d.timing.count = Some(1.0);
    d.timing.duration = Some(36.0);
    d.timing.duration_unit = Some("h".into());
    assert_eq!(dose(&d), Some((140.0, 36.0)));
    d.timing = Timing {
        count: Some(1.0),
        ..repeat(1.0, 3.0, "wk")
    };
    let got = understand(std::slice::from_ref(&d), &drug(), ASSUMED).unwrap();
    assert_eq!((dose(&d), got.regimen()), (Some((140.0, 1.0)), None));
    d.timing.count = Some(6.0);
    assert_eq!(dose(&d), None);
    d.timing = Timing {
        events: vec!["2026-05-30".into(), "2026-06-06".into()],
        ..Timing::default()
    };
    assert_eq!(dose(&d), None);
    assert_eq!(dose(&dosage("75", "mg/m2", "")), None);
    assert_eq!(super::once(&[], &drug(), ASSUMED), None);
}

#[test]
fn several_times_of_the_day() {
    let at = |amount: &str, when: &str| Dosage {
        timing: Timing {
            when: vec![when.into()],
            ..repeat(1.0, 1.0, "d")
        },
        ..dosage(amount, "mg", "")
    };
    let all = |d: &[Dosage]| understand(d, &drug(), ASSUMED).map(|u| (u.amount, u.interval_hours));
    assert_eq!(all(&[at("2", "MORN"), at("2", "EVE")]), Ok((2.0, Some(12.0))));
    assert_eq!(
        all(&[at("2", "MORN"), at("2", "NOON"), at("2", "HS")]),
        Ok((2.0, Some(8.0)))
    );
    for unequal in [
        vec![at("2", "MORN"), at("1", "EVE")],
        vec![at("2", "MORN"), at("2", "EVE"), at("2", "EVE")],
        vec![at("2", "MORN"), dosage("2", "mg", "BID")],
        (0..5000).map(|i| at("2", &i.to_string())).collect(),
    ] {
        assert_eq!(all(&unequal), Err("order-unclear-several"));
    }
}
