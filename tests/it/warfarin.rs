//! The warfarin model against its published maintenance doses.

use std::collections::BTreeMap;

use jumeau::{
    engine::{Dose, Precision, course_of_draws},
    model::model_file::Model,
};

/// Daily racemic dose that the closed form of the steady state gives an INR of 2.5, mg: mean concentration `dose / (2 * 24 * CL)`,
/// `INR = 1 + 20 (1 - (1 - E)^2)^3.61`.
fn maintenance_dose(clearance: f64, ec50: f64) -> f64 {
    let both = (1.5_f64 / 20.0).powf(1.0 / 3.61);
    let effect = 1.0 - (1.0 - both).sqrt();
    let concentration = ec50 * (effect / (1.0 - effect)).powf(1.0 / 0.424);
    concentration * 2.0 * 24.0 * clearance
}

/// Hamberg 2007 (doi 10.1038/sj.clpt.6100084), Table 5: doses for an INR of 2.5 by genotype and age. The recomputation that we know
/// of finds 2.43 to 2.50 by integration at day 90, for doses that the closed form gives 2.45 to 2.53; here the doses are exact, so
/// the band is that of the integration around 2.5. The Q and V2 compartment and the fluctuation over a day make the difference.
#[test]
fn maintenance_doses_hold_the_inr_at_two_and_a_half() {
    let path = "models/warfarin/hamberg-2007.toml";
    let model = Model::parse(path, &std::fs::read_to_string(path).unwrap()).unwrap();
    let place = |name: &str| model.parameters().iter().position(|p| p.name == name).unwrap();
    let inr = model.system().outputs().iter().position(|o| o.name == "INR").unwrap();
    let losses = [
        ("*1/*1", 0.0),
        ("*1/*2", 0.315),
        ("*1/*3", 0.453),
        ("*2/*2", 0.722),
        ("*2/*3", 0.690),
        ("*3/*3", 0.852),
    ];
    let mut found = Vec::new();
    for (cyp, (name, loss)) in losses.iter().enumerate() {
        for (vk, ec50) in [4.61, 3.02, 2.20].into_iter().enumerate() {
            for age in [50.0, 70.0, 85.0] {
                let clearance = 0.314 * (1.0 - loss) * (1.0 - 0.0091 * (age - 71.0));
                let person: BTreeMap<String, f64> = [("age", age), ("cyp", cyp as f64), ("vk", vk as f64)]
                    .map(|(k, v)| (k.to_owned(), v))
                    .into();
                let individual = model.individual(&person).unwrap();
                assert!(
                    (individual.typical()[place("CL")] - clearance).abs() < 1e-12,
                    "{name} at {age}: the model's clearance is the text's"
                );
                let amount = maintenance_dose(clearance, ec50);
                let doses: Vec<Dose> = (0..90)
                    .map(|day| Dose {
                        time: 24.0 * f64::from(day),
                        amount,
                        duration: 0.0,
                    })
                    .collect();
                let subject = individual.subject(&model, &doses);
                let none = vec![vec![0.0; model.system().effects().len()]];
                let precision = Precision::default();
                course_of_draws(
                    model.system(),
                    &subject,
                    &none,
                    &[90.0 * 24.0],
                    precision,
                    |_, values| {
                        found.push((*name, vk, age, amount, values.unwrap()[inr]));
                    },
                )
                .unwrap();
            }
        }
    }
    assert_eq!(found.len(), 54);
    let outside: Vec<_> = found.iter().filter(|f| !(2.43..=2.505).contains(&f.4)).collect();
    assert!(outside.is_empty(), "{outside:#?}");
    // The wild type at the reference age needs about 5 mg a day, the most sensitive less than a tenth of the least.
    let dose = |name, vk, age| found.iter().find(|f| (f.0, f.1, f.2) == (name, vk, age)).unwrap().3;
    assert!(
        (4.0..9.0).contains(&dose("*1/*1", 0, 70.0)),
        "{}",
        dose("*1/*1", 0, 70.0)
    );
    assert!(dose("*3/*3", 2, 85.0) < 0.1 * dose("*1/*1", 0, 50.0));
}
